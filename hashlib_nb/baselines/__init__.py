"""Other people's codes, to compare with (chapters 2 and 4): a method a file, on one trunk and one training."""

from hashlib_nb.baselines.base import Baseline
from hashlib_nb.baselines.lsh import as_pixels, hyperplanes
from hashlib_nb.baselines.registry import Fitted, check, fit, load, method, names
from hashlib_nb.baselines.trivial import class_index_codes, random_codes

__all__ = [
    "Baseline", "Fitted", "as_pixels", "check", "class_index_codes", "fit", "hyperplanes", "load", "method", "names",
    "random_codes",
]  # fmt: skip
