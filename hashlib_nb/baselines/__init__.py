"""Other people's codes, to compare with (chapters 2 and 4): a method a file, on one trunk and one training."""

from hashlib_nb.baselines._method import Method
from hashlib_nb.baselines.lsh import hyperplanes
from hashlib_nb.baselines.registry import Fitted, fit, load, method, names
from hashlib_nb.baselines.trivial import class_index_codes, random_codes

__all__ = ["Fitted", "Method", "class_index_codes", "fit", "hyperplanes", "load", "method", "names", "random_codes"]
