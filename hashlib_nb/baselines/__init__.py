"""Other people's codes, to compare with (chapters 2 and 4): a method a file."""

from hashlib_nb.baselines.lsh import hyperplanes
from hashlib_nb.baselines.trivial import class_index_codes, random_codes

__all__ = ["class_index_codes", "hyperplanes", "random_codes"]
