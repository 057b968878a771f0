"""Is one method better than others? Differences paired by pool, their intervals, and a verdict by a rule fixed before.

A pool (one encoder's candidates) is a block: all methods choose from it, so what it does to all of them cancels. Runs
are averaged over lengths and over the methods' own seeds within each pool; over pools there is Student's t, and beside
it the queries drawn again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

RESAMPLES = 10_000
"""How often the queries are drawn again."""
BLOCK = 500
"""Draws that are multiplied at a time."""
LEVEL = 0.05
"""Share of true ties that a verdict may call a lead or a lag, over all tests of a family (Holm's rule)."""
FREE = math.inf
"""The budget of a search that went on until it ended by itself."""


def interval(differences: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float, str]:
    """Mean difference, its confidence interval (Student's t), and the verdict: win, loss, or tie."""
    values = np.asarray(differences, dtype=float)
    mean, n = values.mean(), len(values)
    if n < 2:
        return mean, np.nan, np.nan, "one seed"
    low, high = _t_test(values).confidence_interval(confidence)
    return mean, low, high, "win" if low > 0 else "loss" if high < 0 else "tie"


def in_points(mean: float, low: float, high: float, verdict: str) -> str:
    """A difference of mAP in points with half its interval, and a mark where the verdict is a lead or a lag."""
    mark = {"ahead": " ▲", "win": " ▲", "behind": " ▼", "loss": " ▼"}.get(verdict, "")
    width = "" if low is None or np.isnan(low) else f" ± {50 * (high - low):.2f}"
    return f"{100 * mean:+.2f}{width}{mark}"


def _t_test(values: np.ndarray):
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of differences that are all the same
        return stats.ttest_1samp(values, 0)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's correction (1979) of the p-values of one family: the smallest of m times m, the next times m - 1, ...

    Args:
        p_values: float [m]; NaN where there is no test, which then counts for nothing.

    Returns:
        float64 [m], at most 1 and in the order given; an effect is real at level a where its value is below a.
    """
    p = np.asarray(p_values, dtype=float)
    found, tested = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    found[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return found


def resampled(differences: np.ndarray, *, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `differences` [q], queries drawn again `RESAMPLES` times.

    NaN (a query without anything relevant) is left out. The draw depends on the seed and on how many are left alone, so
    that all comparisons on the same queries share it.
    """
    values = differences[~np.isnan(differences)]
    blocks = np.split(_resamples(len(values), seed), RESAMPLES // BLOCK)
    means = np.concatenate([block.astype(float) @ values for block in blocks]) / len(values)
    low, high = np.quantile(means, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)


@lru_cache(maxsize=2)
def _resamples(n: int, seed: int) -> np.ndarray:
    """How often each query is in each draw of n queries with replacement, uint8 [RESAMPLES, n]."""
    rng, even = np.random.default_rng(seed), np.full(n, 1 / n)
    return np.concatenate([rng.multinomial(n, even, BLOCK).astype(np.uint8) for _ in range(RESAMPLES // BLOCK)])


def differences(runs: pd.DataFrame, one: tuple[str, float], other: tuple[str, float], measure: str) -> pd.Series:
    """`one` minus `other`, each a method and its budget, by pool seed: means over lengths, and over seeds within each.

    Args:
        runs: of one pool: columns pool_seed, method, budget, bits, seed and the measure.
        one: a method and its budget.
        other: another, of which there must be the same lengths.
        measure: "test" or "reward".

    Returns:
        float, indexed by the seeds of the pools that have both.
    """
    sides = []
    for method, budget in (one, other):
        mine = runs[(runs["method"] == method) & (runs["budget"] == budget)]
        sides.append(mine.groupby(["pool_seed", "bits"])[measure].mean().unstack())
    return (sides[0] - sides[1]).dropna().mean(axis=1)


def fought(
    runs: pd.DataFrame,
    one: str,
    rivals: Iterable[str],
    *,
    measure: str = "test",
    by_query: Mapping[tuple[str, str, float], np.ndarray] | None = None,
) -> pd.DataFrame:
    """`one` against each rival on each pool, at each budget of `one` and against what rivals find without any.

    Args:
        runs: as of `differences`, of any number of pools, named in the column pool.
        one: a method.
        rivals: others.
        measure: "test" or "reward".
        by_query: average precision [q] by pool, method and budget, averaged over everything else; for `query_low` and
            `query_high`.

    Returns:
        A line for each pool, budget, rival and the rival's budget (`FREE` for one that ended by itself): `pools`, how
        many; `mean`, `low`, `high` (Student's t over pools, 95%); `p` by Holm's rule over all lines of the pool that
        are at equal budgets, or over those that are not; `verdict`: ahead, level, behind, or "one pool"; and
        `query_low`, `query_high`.
    """
    lines = []
    for pool, mine in runs.groupby("pool", sort=False):
        budgets = sorted({*mine.loc[mine["method"] == one, "budget"]})
        for budget in budgets:
            for rival in rivals:
                theirs = {*mine.loc[mine["method"] == rival, "budget"]}
                for limit in sorted(theirs & {budget, FREE}):
                    found = differences(mine, (one, budget), (rival, limit), measure)
                    if len(found):
                        line = {"pool": pool, "budget": budget, "rival": rival, "rival_budget": limit}
                        lines.append(line | _line(found))
                        if by_query:
                            apart = by_query[pool, one, budget] - by_query[pool, rival, limit]
                            lines[-1] |= dict(zip(("query_low", "query_high"), resampled(apart), strict=True))
    table = pd.DataFrame(lines)
    if table.empty:
        return table
    for _, family in table.groupby(["pool", table["rival_budget"] == FREE], sort=False):
        table.loc[family.index, "p"] = holm(family["p"])
    table["verdict"] = [_verdict(*line) for line in table[["pools", "mean", "p"]].itertuples(index=False)]
    return table


def _line(found: pd.Series) -> dict:
    mean, low, high, _ = interval(found)
    p = float(_t_test(found.to_numpy()).pvalue) if len(found) > 1 else math.nan
    return {"pools": len(found), "mean": mean, "low": low, "high": high, "p": p}


def _verdict(pools: int, mean: float, p: float) -> str:
    if pools < 2:
        return "one pool"
    return "level" if not p < LEVEL else "ahead" if mean > 0 else "behind"
