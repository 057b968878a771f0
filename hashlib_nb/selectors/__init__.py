"""Every way to keep bits, behind one function and on one reward."""

from hashlib_nb.selectors.nested import PREFIX_LENGTHS, nested_order, prefix_lengths
from hashlib_nb.selectors.registry import DEFAULT_BUDGET, METHODS, Method, select
from hashlib_nb.selectors.statistics import binary_entropy, bit_information, label_information, label_smoothness

__all__ = [
    "DEFAULT_BUDGET",
    "METHODS",
    "PREFIX_LENGTHS",
    "Method",
    "binary_entropy",
    "bit_information",
    "label_information",
    "label_smoothness",
    "nested_order",
    "prefix_lengths",
    "select",
]
