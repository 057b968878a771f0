"""Stage 2, pictures to codes: the thesis' Algorithm 2, a CNN fitted to the target codes of stage 1."""

from hashlib_nb.encoder.fitting import cross_fit, fit, folds_of
from hashlib_nb.encoder.image_codes import ImageCodes, codes_for, folder_for, load_or_encode
from hashlib_nb.encoder.model import Encoder
from hashlib_nb.encoder.networks import ARCHS, Head, alexnet, alexnet_small, choose
from hashlib_nb.encoder.training import RECIPES, SMALL, THESIS, Recipe

__all__ = [
    "ARCHS",
    "RECIPES",
    "SMALL",
    "THESIS",
    "Encoder",
    "Head",
    "ImageCodes",
    "Recipe",
    "alexnet",
    "alexnet_small",
    "choose",
    "codes_for",
    "cross_fit",
    "fit",
    "folder_for",
    "folds_of",
    "load_or_encode",
]
