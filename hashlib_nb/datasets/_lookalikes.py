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
photograph twice, and in a subset of COCO no pair of 9 million reaches 0.81."""
COMMON = 0.7
"""Where others are much like a picture too, its looks are common and say nothing: centered T-shirts are no copies of
each other. Common is a correlation of at least this with the tenth most alike of the others."""
TENTH = 10
"""Which of the most alike is asked for that."""
BLOCK = 64
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


def near_copies(these: np.ndarray, others: np.ndarray) -> list[tuple[int, int]]:
    """Pictures that have one among the others which is nearly a copy of them.

    Args:
        these: `edges` of q pictures, float32 [q, d].
        others: `edges` of n pictures, float32 [n, d].

    Returns:
        (row, row among the others) of each, the most alike first.
    """
    found = []
    for first in range(0, len(these), BLOCK):
        correlation = these[first : first + BLOCK] @ others.T
        nearest = correlation.argmax(axis=1)
        best = correlation.max(axis=1)
        alike = best >= ALIKE
        if len(others) >= TENTH:
            alike &= np.partition(correlation, -TENTH, axis=1)[:, -TENTH] < COMMON
        found += [(-best[row], first + row, nearest[row]) for row in np.flatnonzero(alike).tolist()]
    return [(row, int(other)) for _, row, other in sorted(found)]
