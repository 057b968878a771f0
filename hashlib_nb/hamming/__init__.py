"""Counting: packed codes, Hamming distances, histograms, neighbors. No metric, no file and no torch is known here."""

from hashlib_nb.hamming.arrays import (
    MAX_BITS,
    check_bits,
    check_codes,
    check_labels,
    check_same_width,
    distances,
    mask_of,
    numba,
    numba_enabled,
    pack,
    toggled,
)
from hashlib_nb.hamming.formats import as_codes, as_labels, pack_bytes, unpack_bytes
from hashlib_nb.hamming.multi_index import MultiIndex
from hashlib_nb.hamming.neighbors import Nearest, Neighbors, nearest, within_radius
from hashlib_nb.hamming.packed import Packed
from hashlib_nb.hamming.pairs import Counted, Histograms, Pairs, histograms, histograms_of_shards

__all__ = [
    "MAX_BITS", "Counted", "Histograms", "MultiIndex", "Nearest", "Neighbors", "Packed", "Pairs",
    "as_codes", "as_labels", "check_bits", "check_codes", "check_labels", "check_same_width", "distances",
    "histograms", "histograms_of_shards", "mask_of", "nearest", "numba", "numba_enabled", "pack", "pack_bytes",
    "toggled", "unpack_bytes", "within_radius",
]  # fmt: skip
