"""A Gaussian process on subsets stands in for the reward: it proposes what to measure next.

The model: bits and pairs of bits add up, f(z) = mean + sum_i u_i z_i + sum_ij v_ij z_i z_j with independent Gaussian
weights u and v, which is a Gaussian process on masks z whose kernel knows two subsets by the size s of what they share.
Kin: BOCS, a sparse quadratic regression and a relaxation of it (Baptista and Poloczek, ICML 2018), and COMBO, a
Gaussian process with a diffusion kernel on the graph of masks (Oh, Tomczak, Gavves and Welling, NeurIPS 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit

from hashlib_nb.hamming import mask_of
from hashlib_nb.selection import Search, random_masks

FIRST = 64
"""Random subsets before the first model."""
ROUND = 16
"""Subsets that one model proposes."""
MOST_ROWS = 1000
"""Most subsets that a model is fitted to, since time grows with their cube: half of them the best, half the newest."""
GROWTH = 1.3
"""The likelihood is maximized anew when there are so many times the subsets that it was maximized for."""
JITTERS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Deviation of the noise on the linear part, in deviations of that part, of one try after another to find a new
subset."""


def similarity(masks: np.ndarray, others: np.ndarray, quadratic: float) -> np.ndarray:
    """K / s2 float64 [n, e] of masks float64 [n, k] and [e, k]: (1 - w) s/p + w (s/p)^2, s the bits that two share."""
    shared = masks @ others.T / masks[0].sum()
    return (1 - quadratic) * shared + quadratic * shared**2


@dataclass(frozen=True, eq=False)
class QuadraticProcess:
    """Posterior mean of a Gaussian process on subsets of p bits with K(x, z) = s2 [(1 - w) s/p + w (s/p)^2], s = x'z.

    As a function of the mask z it is quadratic, mean + l'z + z'Qz: with a the `weights`, of which s2 has gone, the
    linear part l is (1 - w)/p X'a, and Q = w/p^2 X' diag(a) X, whose diagonal is w/p^2 X'a.
    """

    masks: np.ndarray
    """float64 {0,1} [n, k], the subsets that were measured: X."""
    weights: np.ndarray
    """float64 [n]: (K / s2 + noise I)^-1 (y - mean)."""
    mean: float
    """Mean of their rewards, to which the posterior mean falls back."""
    quadratic: float
    """w, the share of pairs in 0..1."""
    noise: float
    """Variance of noise, in units of s2."""
    scale: float
    """s2, the variance of the reward of a subset beside that of `mean`."""

    @classmethod
    def fit(cls, masks: np.ndarray, values: np.ndarray, start: tuple[float, float] | None = None) -> QuadraticProcess:
        """s2, w and noise of highest marginal likelihood (Rasmussen and Williams 2006, eq. 5.8), or those of `start`.

        s2 has a closed form where the others are given: y' (K/s2)^-1 y / n.

        Args:
            masks: {0,1} [n, k], each with p ones.
            values: [n], their rewards.
            start: w and noise, to take and not to fit.
        """
        masks, n, centred = masks.astype(np.float64), len(masks), values - values.mean()
        once, twice = similarity(masks, masks, 0.0), similarity(masks, masks, 1.0)

        def solved(w: float, noise: float) -> tuple[float, np.ndarray, float]:
            kernel = (1 - w) * once + w * twice
            kernel[np.diag_indices(n)] += noise
            factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)
            weights = cho_solve(factor, centred, check_finite=False)
            scale = max(centred @ weights / n, np.finfo(float).tiny)
            return n * np.log(scale) + 2 * np.log(np.diag(factor[0])).sum(), weights, scale

        if start is None:
            found = minimize(
                lambda at: solved(expit(at[0]), np.exp(at[1]))[0],
                (0.0, -3.0),
                method="Nelder-Mead",
                bounds=((-6, 6), (-6, 4)),
                options={"xatol": 0.1, "fatol": 0.1, "maxfev": 60},
            )
            start = float(expit(found.x[0])), float(np.exp(found.x[1]))
        _, weights, scale = solved(*start)
        return cls(masks, weights, float(values.mean()), *start, scale)

    @property
    def _sums(self) -> np.ndarray:
        return self.masks.T @ self.weights

    @property
    def _p(self) -> int:
        return int(self.masks[0].sum())

    @property
    def linear(self) -> np.ndarray:
        """float64 [k]: l."""
        return (1 - self.quadratic) / self._p * self._sums

    @property
    def diagonal(self) -> np.ndarray:
        """float64 [k]: the diagonal of Q."""
        return self.quadratic / self._p**2 * self._sums

    def pairs(self, bits) -> np.ndarray:
        """float64 [b, k]: rows of Q. All of it would be too much for thousands of candidates."""
        return self.quadratic / self._p**2 * (self.masks[:, bits] * self.weights[:, None]).T @ self.masks

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Posterior mean float64 [e] of masks {0,1} [e, k]."""
        return self.mean + similarity(masks.astype(np.float64), self.masks, self.quadratic) @ self.weights


class SwapAscent:
    """Steepest ascent of mean + l'z + z'Qz by exchanges of one kept bit for another.

    With the slope g = l + 2 Q z of the kept bits z, to give up bit a for bit b gains
    (g_b + Q_bb) - (g_a - Q_aa) - 2 Q_ab, and moves g by 2 (Q_b - Q_a): the rows of Q for kept bits are all it needs.
    """

    def __init__(self, process: QuadraticProcess, linear: np.ndarray, bits: np.ndarray):
        self.process, self.diagonal, self.bits = process, process.diagonal, np.array(bits)
        self.rows = process.pairs(self.bits)  # [p, k]
        self.slope = linear + 2 * self.rows.sum(axis=0)  # [k]

    def gains(self) -> np.ndarray:
        """float64 [p, k]: of each kept bit exchanged for each other one; -inf where that is kept."""
        found = (self.slope + self.diagonal) - (self.slope - self.diagonal)[self.bits, None] - 2 * self.rows
        found[:, self.bits] = -np.inf
        return found

    def climb(self) -> np.ndarray:
        """The kept bits int64 [p] from which no exchange gains anything."""
        while len(self.bits) < len(self.slope):
            gains = self.gains()
            place, bit = np.unravel_index(gains.argmax(), gains.shape)
            if gains[place, bit] <= 1e-9 * np.abs(self.slope).max():
                break
            row = self.process.pairs([bit])[0]
            self.slope += 2 * (row - self.rows[place])
            self.rows[place], self.bits[place] = row, bit
        return self.bits


def surrogate(search: Search, seed: int) -> None:
    """A quadratic Gaussian process on the subsets measured so far proposes the next 16, by ascent on its mean."""
    rng = np.random.default_rng(seed)
    masks = random_masks(search.k, search.n_bits, FIRST, rng)
    values = search(masks)
    fitted_to, at = 0, None
    while len(masks):
        rows = _remembered(values)
        at = None if len(rows) >= GROWTH * fitted_to else at
        process = QuadraticProcess.fit(masks[rows], values[rows], at)
        if at is None:
            fitted_to, at = len(rows), (process.quadratic, process.noise)
        new = _proposals(process, masks, values, rng)
        if not len(new):
            return
        values = np.concatenate([values, search(new)])
        masks = np.concatenate([masks, new])


def _remembered(values: np.ndarray) -> np.ndarray:
    """Rows that the model is fitted to: all, or `MOST_ROWS`, half of them the newest and half the best others."""
    older = max(0, len(values) - MOST_ROWS // 2) if len(values) > MOST_ROWS else 0
    best = np.argsort(-values[:older], kind="stable")[: MOST_ROWS - MOST_ROWS // 2]
    return np.concatenate([np.sort(best), np.arange(older, len(values))])


def _proposals(
    process: QuadraticProcess, masks: np.ndarray, values: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Up to `ROUND` subsets {0,1} [b, k] that were not measured, each where an ascent of the mean ends.

    Ascents begin at the best subset; what tells them apart is noise on the linear part, more of it where one ends in a
    subset that is known.
    """
    known, found, linear = {mask.tobytes() for mask in masks}, [], process.linear
    start = np.flatnonzero(masks[values.argmax()])
    for _ in range(ROUND):
        for jitter in JITTERS:
            noise = rng.normal(scale=jitter * linear.std(), size=len(linear))
            end = mask_of(SwapAscent(process, linear + noise, start).climb(), len(linear))
            if end.tobytes() not in known:
                known.add(end.tobytes())
                found.append(end)
                break
    return np.array(found)
