"""Codes that need no method: coin flips, and the number of the predicted class. Every results table carries them."""

from __future__ import annotations

import numpy as np

from hashlib_nb.hamming import distances


def random_codes(n: int, k: int, seed: int) -> np.ndarray:
    """Codes of fair coin flips, uint8 {0,1} [n, k]: the chance row of a results table."""
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
    classes = np.asarray(classes)
    shape = list(classes.shape)
    if len(shape) != 1 or classes.size == 0 or classes.dtype.kind not in "iu":
        raise ValueError(
            f"classes is {classes.dtype} {shape}; give one integer per item, one_hot.argmax(axis=1) if need be"
        )
    low, high = classes.min(), classes.max()
    if low < 0 or high >= n_classes:
        raise ValueError(f"classes runs from {low} to {high}; n_classes={n_classes} asks for 0..{n_classes - 1}")
    width = max(1, (n_classes - 1).bit_length())
    return ((classes[:, None] >> np.arange(width)) & 1).astype(np.uint8)


def predict_classes(codes: np.ndarray, targets: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Number of the class whose target code is nearest to each code, the first of several that are equally near.

    Args:
        codes: {0,1} [n, k], of the pictures to classify.
        targets: {0,1} [n', k], target codes of the training pictures. A class has one; where its pictures have several
            (the literal codes), the majority of each bit.
        labels: {0,1} [n', m], of the training pictures.

    Returns:
        int64 [n]. With one label a picture it is the label's column; in general, a number for each distinct label set.
    """
    # Read from the last column to the first, rows of one label sort in the order of their columns.
    _, group = np.unique(labels[:, ::-1], axis=0, return_inverse=True)
    group = group.reshape(-1)
    shared = np.stack([targets[group == c].mean(axis=0) >= 0.5 for c in range(group.max() + 1)])
    return distances(codes, shared).argmin(axis=1)
