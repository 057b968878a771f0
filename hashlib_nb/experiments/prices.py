"""What does a reward cost you? Methods compared in total time, from a reward that is free to one that takes hours.

A run pays its own seconds, in which the rewards of this package are included, and a price for each call on top: what
another reward would take, such as encoding anew, a click, or an outside evaluator. Nothing is saved there by asking for
subsets that differ in one bit. So greedy search, whose calls are many and cheap, leads where a reward is nearly free,
and what needs few calls leads where it is dear; the price at which they change places is the break-even price.

Rewards are put on one scale for all pools: 0 is a random subset, 1 what greedy + swap comes to when it ends by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hashlib_nb.experiments.duels import FREE

PRICES = np.geomspace(1e-5, 1e3, 81)
"""Seconds that a reward takes, from a hundredth of a millisecond to a quarter of an hour."""
TOTALS = np.geomspace(1e-2, 1e7, 181)
"""Seconds in all."""
TOP = "swap"
"""The method whose end is 1 on the scale."""


@dataclass(frozen=True, eq=False)
class Reached:
    """How far each method comes in a total time, at a price of each call."""

    methods: tuple[str, ...]
    """Names in `selectors.METHODS`."""
    prices: np.ndarray
    """float64 [c], seconds a call beside what the run took."""
    totals: np.ndarray
    """float64 [t], seconds in all."""
    share: np.ndarray
    """float64 [methods, c, t]: the reward on the scale of this module, mean over runs, of the budget that serves best
    there; NaN where not every run has an answer."""

    def seconds_to(self, level: float) -> np.ndarray:
        """Total seconds [methods, c] until the mean is at least `level`; inf where it never is."""
        there = np.nan_to_num(self.share, nan=-np.inf) >= level
        return np.where(there.any(axis=2), self.totals[there.argmax(axis=2)], np.inf)

    def leaders(self, margin: float = 0.0) -> np.ndarray:
        """Place in `methods` of the one that is furthest, int [c, t]; -1 where none is, or by no more than `margin`."""
        share = np.nan_to_num(self.share, nan=-np.inf)
        order = np.sort(share, axis=0)
        second = order[-2] if len(order) > 1 else np.full_like(order[-1], -np.inf)
        return np.where(np.isfinite(order[-1]) & (order[-1] > second + margin), share.argmax(axis=0), -1)

    def break_even(self, one: str, other: str, level: float) -> float | None:
        """Seconds a call from which on `one` is at `level` sooner than `other`; None if it never is.

        0 where it is so at every price that was looked at.
        """
        to = dict(zip(self.methods, self.seconds_to(level), strict=True))
        if one not in to or other not in to:
            return None
        sooner = to[one] < to[other]
        if not sooner[-1]:
            return None
        later = np.flatnonzero(~sooner)
        return float(self.prices[later[-1] + 1]) if len(later) else 0.0


def reached(
    runs: pd.DataFrame,
    pools: pd.DataFrame,
    methods: Sequence[str],
    *,
    prices: np.ndarray = PRICES,
    totals: np.ndarray = TOTALS,
) -> Reached:
    """How far `methods` come on one pool and length.

    Args:
        runs: of one pool and one number of bits, with the columns pool_seed, method, budget, reward and history.
        pools: of the same: pool_seed and reward, the mean of random subsets.
        methods: names of methods; those without a run are left out.
        prices: seconds a call, increasing.
        totals: seconds in all, increasing.

    Raises:
        ValueError: a pool seed without a run of greedy + swap to its end, which the scale is made from.
    """
    floor = pools.set_index("pool_seed")["reward"]
    top = runs[(runs["method"] == TOP) & (runs["budget"] == FREE)].set_index("pool_seed")["reward"]
    if lacking := sorted({*runs["pool_seed"]} - {*top.index}):
        raise ValueError(f"runs has no {TOP} to its end on the pools of seed {lacking[0]}: it makes the scale")
    there = tuple(method for method in methods if method in {*runs["method"]})
    share = np.full((len(there), len(prices), len(totals)), np.nan)
    for place, method in enumerate(there):
        for _, of in runs[runs["method"] == method].groupby("budget"):
            curves = [
                _curve(run.history, floor[run.pool_seed], top[run.pool_seed], prices, totals) for run in of.itertuples()
            ]
            share[place] = np.fmax(share[place], np.mean(curves, axis=0))
    return Reached(there, np.asarray(prices), np.asarray(totals), share)


def _curve(history: dict, floor: float, top: float, prices: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """[c, t] of one run, NaN before its first subset of p bits."""
    cost = np.asarray(history["seconds"]) + np.multiply.outer(prices, history["calls"])  # [c, points]
    scale = np.array([np.nan, *((np.asarray(history["best"]) - floor) / (top - floor))])
    return np.stack([scale[np.searchsorted(each, totals, side="right")] for each in cost])
