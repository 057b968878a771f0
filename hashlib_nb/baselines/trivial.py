"""Codes that need no method: coin flips, and the number of the predicted class. Every results table carries them."""

from __future__ import annotations

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming import MAX_BITS

MAX_CELLS = 1 << 32
"""Most bits that `random_codes` draws."""


def random_codes(n: int, k: int, seed: int) -> np.ndarray:
    """Codes of fair coin flips, uint8 {0,1} [n, k]: the chance row of a results table.

    Raises:
        ValueError: n or k that is no whole number from 1, k beyond `hamming.MAX_BITS`, n x k beyond `MAX_CELLS`, or no
            seed.
    """
    k, seed = checks.count(k, "k", most=MAX_BITS), checks.seed(seed)
    n = checks.count(n, "n", most=MAX_CELLS // k, why="what fits into 4 GB")
    return np.random.default_rng(seed).integers(0, 2, (n, k), dtype=np.uint8)


def class_index_codes(classes, n_classes: int) -> np.ndarray:
    """A class index written in binary: the code that a plain classifier's predictions amount to.

    Under the seen-class protocol it beats most supervised hashing (Sablayrolles et al., "How should we evaluate
    supervised hashing?", 2016), which is why every results table carries it.

    Args:
        classes: int [n], true or predicted class of every item.
        n_classes: number of classes C.

    Returns:
        uint8 {0,1} [n, ceil(log2 C)], at least one bit wide, least significant bit first.

    Raises:
        ValueError: classes is not a flat list of integers within 0..C-1.
    """
    classes = checks.array(classes, "classes", "one integer per item")
    n_classes = checks.count(n_classes, "n_classes")
    shape = list(classes.shape)
    if len(shape) != 1 or classes.size == 0 or classes.dtype.kind not in "iu":
        raise ValueError(
            f"classes is {classes.dtype} {shape}; give one integer per item, one_hot.argmax(axis=1) if need be"
        )
    low, high = int(classes.min()), int(classes.max())
    if low < 0 or high >= n_classes:
        raise ValueError(f"classes runs from {low} to {high}; n_classes={n_classes} asks for 0..{n_classes - 1}")
    width = max(1, (n_classes - 1).bit_length())
    return ((classes[:, None] >> np.arange(width)) & 1).astype(np.uint8)
