"""Precision inside a Hamming radius, among the first N, and against recall: each from the same histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming import Histograms, histograms
from hashlib_nb.metrics.ranking import answerable


@dataclass(frozen=True)
class RadiusPrecision:
    """Precision inside the Hamming ball around each query."""

    precision: float
    """Mean over the queries with a relevant item; an empty ball counts 0."""

    empty_ball_rate: float
    """Share of those queries whose ball holds no item at all."""

    per_query: np.ndarray
    """float64 [q]; 0 where the ball is empty, NaN where the database holds no relevant item."""


def precision_within_radius(
    query_codes,
    database_codes,
    query_labels,
    database_labels,
    *,
    radius: int = 2,
    bits: Sequence[int] | None = None,
    leave_one_out: bool = False,
) -> RadiusPrecision:
    """Share of relevant items among those at Hamming distance <= radius (P@H<=2), with the rate of empty balls.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].
        query_labels: {0,1} [q, m], or class numbers int [q].
        database_labels: {0,1} [n, m], or class numbers int [n].
        radius: largest distance inside the ball, in bits, a whole number from 0.
        bits: indices of the kept bits; all of them if None.
        leave_one_out: row i of both sets is item i, with equal labels; it is left out of the ranking of query i.

    Raises:
        ValueError: as `average_precision`, or a radius that is no whole number from 0.
    """
    radius = check_radius(radius)
    found = histograms(
        query_codes, database_codes, query_labels, database_labels, bits=bits, leave_one_out=leave_one_out
    )
    return radius_precision(found, radius)


def precision_at_n(
    query_codes,
    database_codes,
    query_labels,
    database_labels,
    *,
    n: int | Sequence[int],
    bits: Sequence[int] | None = None,
    leave_one_out: bool = False,
) -> np.ndarray:
    """Expected share of relevant items among the first N, tied items being in random order (P@N).

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].
        query_labels: {0,1} [q, m], or class numbers int [q].
        database_labels: {0,1} [n, m], or class numbers int [n].
        n: one N or several, each between 1 and the number of ranked items.
        bits: indices of the kept bits; all of them if None.
        leave_one_out: row i of both sets is item i, with equal labels; it is left out of the ranking of query i.

    Returns:
        float64 [number of N], means over the queries with a relevant item.

    Raises:
        ValueError: as `average_precision`, or an N outside 1..number of ranked items.
    """
    cut_offs = checks.counts(n, "n")
    found = histograms(
        query_codes, database_codes, query_labels, database_labels, bits=bits, leave_one_out=leave_one_out
    )
    return precision_at(found, cut_offs)


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """One point per Hamming radius 0..k: retrieve everything inside the ball, then grow it."""

    radius: np.ndarray
    """int64 [k+1]."""

    micro_precision: np.ndarray
    """float64 [k+1]: relevant retrieved / retrieved, both summed over queries; NaN where nothing is retrieved."""

    micro_recall: np.ndarray
    """float64 [k+1]: relevant retrieved / relevant, both summed over queries."""

    macro_precision: np.ndarray
    """float64 [k+1]: mean of the queries' precisions; an empty ball counts 0, as in `precision_within_radius`."""

    macro_recall: np.ndarray
    """float64 [k+1]: mean of the queries' recalls."""


def precision_recall_curve(
    query_codes,
    database_codes,
    query_labels,
    database_labels,
    *,
    bits: Sequence[int] | None = None,
    leave_one_out: bool = False,
) -> PrecisionRecallCurve:
    """Precision and recall inside every Hamming radius, micro- and macro-averaged.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].
        query_labels: {0,1} [q, m], or class numbers int [q].
        database_labels: {0,1} [n, m], or class numbers int [n].
        bits: indices of the kept bits; all of them if None.
        leave_one_out: row i of both sets is item i, with equal labels; it is left out of the ranking of query i.

    Raises:
        ValueError: as `average_precision`.
    """
    found = histograms(
        query_codes, database_codes, query_labels, database_labels, bits=bits, leave_one_out=leave_one_out
    )
    return precision_recall(found)


def check_radius(radius: int) -> int:
    """Returns the radius, or raises ValueError for one that is no whole number from 0."""
    return checks.count(radius, "radius", least=0)


def radius_precision(found: Histograms, radius: int) -> RadiusPrecision:
    """`precision_within_radius` of histograms."""
    answerable(found)
    retrieved = found.counts[:, : radius + 1].sum(axis=1)
    hits = found.relevant[:, : radius + 1].sum(axis=1)
    rows = found.relevant.any(axis=1)
    per_query = np.where(rows, hits / np.maximum(retrieved, 1), np.nan)
    return RadiusPrecision(float(np.nanmean(per_query)), float(np.mean(retrieved[rows] == 0)), per_query)


def precision_at(found: Histograms, n: int | Sequence[int]) -> np.ndarray:
    """`precision_at_n` of histograms."""
    counts, relevant = answerable(found)
    cut_offs = checks.counts(n, "n", most=int(counts[0].sum()), why="the ranked items")
    before = np.cumsum(counts, axis=1) - counts
    share = relevant / np.maximum(counts, 1)
    return np.array([np.sum(share * np.clip(N - before, 0, counts), axis=1).mean() / N for N in cut_offs])


def precision_recall(found: Histograms) -> PrecisionRecallCurve:
    """`precision_recall_curve` of histograms."""
    counts, relevant = answerable(found)
    retrieved, hits = np.cumsum(counts, axis=1), np.cumsum(relevant, axis=1)
    n_relevant = hits[:, -1:]
    all_retrieved, all_hits = retrieved.sum(axis=0), hits.sum(axis=0)
    return PrecisionRecallCurve(
        radius=np.arange(counts.shape[1]),
        micro_precision=np.where(all_retrieved > 0, all_hits / np.maximum(all_retrieved, 1), np.nan),
        micro_recall=all_hits / n_relevant.sum(),
        macro_precision=(hits / np.maximum(retrieved, 1)).mean(axis=0),
        macro_recall=(hits / n_relevant).mean(axis=0),
    )
