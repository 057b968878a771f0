"""Newton steps of single entries on ||H H' - k S||_F^2, the objective of eq. 3.5."""

from __future__ import annotations

import numba
import numpy as np

from hashlib_nb.codes import LabelSets
from hashlib_nb.machine import CACHE


def sweeps(groups: LabelSets, code_length: int, number: int, seed: int = 0) -> tuple[np.ndarray, list[float]]:
    """Stage 1: H float64 [u, k] of the label sets, and ||H H' - k S||_F^2 / (n k)^2 before and after each sweep.

    A sweep that does not lower it is undone, and the last. Time O(u^2 k) a sweep, memory 8 u^2 bytes.
    """
    h = np.random.default_rng(seed).uniform(-1, 1, (len(groups.sets), code_length))
    counts = groups.counts.astype(np.float64)
    residual = h @ h.T - code_length * groups.similarity

    def value() -> float:
        return float(counts @ residual**2 @ counts) / (counts.sum() * code_length) ** 2

    values = [value()]
    for _ in range(number):
        before = h.copy(), residual.copy()
        _sweep(h, residual, counts)
        if value() >= values[-1]:
            h, residual = before
            break
        values.append(value())
    return h, values


@numba.njit(cache=CACHE)
def _sweep(h, residual, counts):  # pragma: no cover - compiled
    """A Newton step of every entry, in place, clipped to [-1, 1]; `residual` is H H' - k S, kept up to date.

    With x = H_ij and L the residual, f = sum_uv n_u n_v L_uv^2 has, but for the factor 4 n_i, the derivatives
    g1 = sum_v n_v L_iv H_vj and g2 = sum_v n_v H_vj^2 + n_i (x^2 + L_ii).
    """
    u, k = h.shape
    for i in range(u):
        for j in range(k):
            x, g1, g2 = h[i, j], 0.0, 0.0
            for v in range(u):
                g1 += counts[v] * residual[i, v] * h[v, j]
                g2 += counts[v] * h[v, j] * h[v, j]
            g2 += counts[i] * (x * x + residual[i, i])
            end = 1.0 if g1 < 0 else -1.0
            new = min(max(x - g1 / g2, -1.0), 1.0) if g2 > 0 else end
            d = new - x
            h[i, j] = new
            for v in range(u):
                if v != i:
                    residual[i, v] += d * h[v, j]
                    residual[v, i] = residual[i, v]
            residual[i, i] += d * (2 * x + d)
