"""Gaussian kernel values between rows and anchors, some rows at a time."""

from __future__ import annotations

import numpy as np

BLOCK = 8192
"""Rows whose distances to the anchors are held at a time."""


def kernel_width(features: np.ndarray, anchors: np.ndarray) -> float:
    """gamma, one over the mean squared distance of rows to anchors, as the first `BLOCK` rows have it."""
    return 1 / max(float(_squared_distances(features[:BLOCK], anchors).mean()), np.finfo(np.float32).tiny)


def _squared_distances(rows: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    lengths = (rows**2).sum(axis=1)[:, None] + (anchors**2).sum(axis=1)
    return np.maximum(lengths - 2 * rows @ anchors.T, 0)


def kernel(features: np.ndarray, anchors: np.ndarray, gamma: float) -> np.ndarray:
    """exp(-gamma ||x - a||^2), float32 [n, a]."""
    phi = np.empty((len(features), len(anchors)), np.float32)
    for start in range(0, len(features), BLOCK):
        part = slice(start, start + BLOCK)
        phi[part] = np.exp(-gamma * _squared_distances(features[part], anchors))
    return phi
