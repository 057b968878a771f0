"""Codes to measure on: a code for each class, in which every picture has some bits wrong."""

from __future__ import annotations

import numpy as np


def class_codes(n: int, k: int, seed: int, *, classes: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Codes uint8 {0,1} [n, k] and labels uint8 {0,1} [n, classes].

    Bits differ in how often they are wrong, between 10% and 45%, so that there is something to choose; tied distances
    are as common as with codes of an encoder.
    """
    wrong = np.random.default_rng(k).uniform(0.1, 0.45, k)
    centers = np.random.default_rng(k + 1).integers(0, 2, (classes, k), dtype=np.uint8)  # the same for every seed
    rng = np.random.default_rng(seed)
    index = rng.integers(0, classes, n)
    return centers[index] ^ (rng.random((n, k), dtype=np.float32) < wrong), np.eye(classes, dtype=np.uint8)[index]
