"""Codes of classes that lie far apart: rows of a Hadamard matrix and their complements, or of fair coins."""

from __future__ import annotations

import numpy as np
import scipy.linalg

DRAWS = 20
"""Matrices of coin flips, of which the one with the largest least distance is taken."""


def far_apart(n: int, code_length: int, seed: int) -> np.ndarray:
    """n codes float32 {-1,+1} [n, k], with at least k/2 between any two where k is a power of two of at least n/2.

    Otherwise the best of `DRAWS` draws of fair coins: a Hadamard matrix would be of another size.
    """
    rng = np.random.default_rng(seed)
    if code_length & (code_length - 1) == 0 and n <= 2 * code_length:
        rows = scipy.linalg.hadamard(code_length)
        return np.concatenate([rows, -rows])[:n].astype(np.float32)

    def least(signs: np.ndarray) -> float:
        nearest = (signs @ signs.T - 2 * code_length * np.eye(n)).max()  # no row is its own neighbor
        return (code_length - nearest) / 2

    draws = [rng.choice(np.float32([-1, 1]), (n, code_length)) for _ in range(DRAWS)]
    return max(draws, key=least)
