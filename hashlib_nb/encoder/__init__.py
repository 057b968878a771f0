"""Stage 2, pictures to codes: the thesis' Algorithm 2, a CNN fitted to the target codes of stage 1."""

from hashlib_nb.encoder.batches import as_images, take
from hashlib_nb.encoder.features import folder_of as features_folder
from hashlib_nb.encoder.features import of_splits as features_of_splits
from hashlib_nb.encoder.fitting import cross_fit, fit, folds_of, view_of
from hashlib_nb.encoder.heads import Objective, bit_cross_entropy, class_cross_entropy, smoothed
from hashlib_nb.encoder.image_codes import ImageCodes, Setup, Source, load_or_encode
from hashlib_nb.encoder.model import Encoder, new_encoder
from hashlib_nb.encoder.networks import ARCHS, FEATURES, Head, alexnet, alexnet_small, choose
from hashlib_nb.encoder.recipes import RECIPES, SMALL, THESIS, TUNED, Recipe
from hashlib_nb.encoder.settings import Settings

__all__ = [
    "ARCHS", "FEATURES", "RECIPES", "SMALL", "THESIS", "TUNED", "Encoder", "Head", "ImageCodes", "Objective",
    "Recipe", "Settings", "Setup", "Source", "alexnet", "alexnet_small", "as_images", "bit_cross_entropy", "choose",
    "class_cross_entropy", "cross_fit", "features_folder", "features_of_splits", "fit", "folds_of",
    "load_or_encode", "new_encoder", "smoothed", "take", "view_of",
]  # fmt: skip
