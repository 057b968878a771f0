"""Every way to keep bits, behind one function and on one reward."""

from hashlib_nb.selectors.methods import generation_size
from hashlib_nb.selectors.nested import PREFIX_LENGTHS, nested_order, prefix_lengths
from hashlib_nb.selectors.registry import DEFAULT_BUDGET, METHODS, Method, parse_settings, select
from hashlib_nb.selectors.statistics import binary_entropy, bit_information, label_information, label_smoothness
from hashlib_nb.selectors.surrogate import QuadraticProcess

__all__ = [
    "DEFAULT_BUDGET",
    "METHODS",
    "PREFIX_LENGTHS",
    "Method",
    "QuadraticProcess",
    "binary_entropy",
    "bit_information",
    "dqn",
    "generation_size",
    "label_information",
    "label_smoothness",
    "nested_order",
    "parse_settings",
    "prefix_lengths",
    "select",
]
