"""Pictures that are nearly copies: the same photograph saved, scaled or retouched once more.

Two pictures are compared by the edges of gray thumbnails. Plain pixels would call any two pictures of sky over land
alike. CIFAR-10 holds many such pairs across its halves (Barz and Denzler, Do We Train on Test Data?, 2020).
"""

from __future__ import annotations

import numpy as np
from PIL import Image

SIDE = 16
"""Height and width of the thumbnails in pixels."""
ALIKE = 0.85
"""Correlation of edges from which two pictures count as alike. Chosen by eye: the pairs of CIFAR-10 above it show one
photograph twice, and in a subset of COCO without copies no pair of 9 million reaches 0.81."""
BLOCK = 8_192
"""Pictures compared at a time."""


def edges(image: np.ndarray) -> np.ndarray:
    """Differences between neighboring pixels of a gray thumbnail, scaled to length 1.

    Args:
        image: uint8 [h, w, 1 or 3].

    Returns:
        float32 [2 SIDE (SIDE - 1)]; all 0 for a picture of one color.
    """
    gray = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("L")
    small = np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    found = np.concatenate([np.diff(small, axis=axis).ravel() for axis in (0, 1)])
    return found / max(float(np.linalg.norm(found)), 1.0)


def most_alike(these: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each picture, which of the others looks most like it, and how much.

    Args:
        these: `edges` of q pictures, float32 [q, d].
        others: `edges` of n pictures, float32 [n, d].

    Returns:
        Row among the others int64 [q], and the correlation of edges float32 [q], 1 for a copy.
    """
    best, row = np.full(len(these), -1, dtype=np.float32), np.zeros(len(these), dtype=np.int64)
    for first in range(0, len(others), BLOCK):
        correlation = these @ others[first : first + BLOCK].T
        nearest = correlation.argmax(axis=1)
        found = correlation[np.arange(len(these)), nearest]
        better = found > best
        best[better], row[better] = found[better], nearest[better] + first
    return row, best
