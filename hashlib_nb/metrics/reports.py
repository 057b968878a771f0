"""Everything at once: `evaluate` from codes, `report` from histograms, as plain values for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming import Histograms, histograms
from hashlib_nb.metrics.curves import check_radius, precision_at, precision_recall, radius_precision
from hashlib_nb.metrics.ranking import TIES, answerable, average_precision_from_histograms, check_options


def evaluate(
    query_codes,
    database_codes,
    query_labels,
    database_labels,
    *,
    top_n: int | Sequence[int] | None = (),
    at_n: int | Sequence[int] = (1, 10, 100, 1000),
    radius: int = 2,
    denominator: str = "min(R,N)",
    bits: Sequence[int] | None = None,
    leave_one_out: bool = False,
) -> dict:
    """Everything that a results table needs, from one pass over the pairs.

    Chance level: what codes drawn at random, without looking at the pictures, score in expectation. Their ranking is a
    uniformly random order of the database, so chance mAP is the expected AP of a query all of whose items are tied, and
    chance precision is R/n, whatever the code length; both are exact, nothing is drawn.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].
        query_labels: {0,1} [q, m], or class numbers int [q].
        database_labels: {0,1} [n, m], or class numbers int [n].
        top_n: one cut-off or several, at which mAP is reported beside the one over the whole database; None for none.
        at_n: one cut-off of P@N or several; those beyond the database are left out.
        radius: radius of P@H<=radius, in bits.
        denominator: of average precision; see `average_precision`.
        bits: indices of the kept bits; all of them if None.
        leave_one_out: row i of both sets is item i, with equal labels; it is left out of the ranking of query i.

    Returns:
        A dict that json.dumps takes (NaN is written as None): "map" holds an entry per cut-off, "all" first, each with
        expected, pessimistic, optimistic and chance.

    Raises:
        ValueError: as `average_precision`, or a cut-off or radius that is no whole number; before any work.
    """
    check_report(top_n, at_n, radius, denominator)
    found = histograms(
        query_codes, database_codes, query_labels, database_labels, bits=bits, leave_one_out=leave_one_out
    )
    return report(found, top_n=top_n, at_n=at_n, radius=radius, denominator=denominator) | {
        "n_database": len(database_codes),
        "code_length": np.shape(query_codes)[1],
        "bits": None if bits is None else [int(bit) for bit in bits],
        "leave_one_out": leave_one_out,
    }


def report(
    found: Histograms,
    *,
    top_n: int | Sequence[int] | None = (),
    at_n: int | Sequence[int] = (1, 10, 100, 1000),
    radius: int = 2,
    denominator: str = "min(R,N)",
) -> dict:
    """What `evaluate` says, from histograms: those of `hamming.histograms_of_shards`, say, of a database in parts.

    Args:
        found: histograms of shape [q, k+1].
        top_n: as in `evaluate`.
        at_n: as in `evaluate`.
        radius: as in `evaluate`.
        denominator: as in `evaluate`.

    Raises:
        ValueError: an unknown option, or no query with a relevant item.
    """
    cut_offs, at_n, radius = check_report(top_n, at_n, radius, denominator)
    counts, relevant = answerable(found)
    n_ranked = int(counts[0].sum())
    at_n = [n for n in at_n if n <= n_ranked]
    ball, curve = radius_precision(found, radius), precision_recall(found)
    return {
        "n_queries": len(found.counts),
        "queries_without_relevant": len(found.counts) - len(counts),
        "n_ranked": n_ranked,
        "n_bits": counts.shape[1] - 1,
        "denominator": denominator,
        "map": {str(n or "all"): _map_summary(counts, relevant, n, denominator) for n in cut_offs},
        "radius": radius,
        "precision_within_radius": ball.precision,
        "empty_ball_rate": ball.empty_ball_rate,
        "precision_at_n": dict(zip(map(str, at_n), precision_at(found, at_n).tolist(), strict=True)),
        "chance_precision": float(np.mean(relevant.sum(axis=1) / n_ranked)),
        "precision_recall": {name: _jsonable(values) for name, values in asdict(curve).items()},
    }


def check_report(top_n, at_n, radius, denominator: str) -> tuple[tuple[int | None, ...], tuple[int, ...], int]:
    """The cut-offs of a report, the whole database (None) first; those of P@N; and the radius."""
    cut_offs = () if top_n is None else checks.counts(top_n, "top_n")
    check_options(None, "expected", denominator)
    return (None, *cut_offs), checks.counts(at_n, "at_n"), check_radius(radius)


def _map_summary(counts: np.ndarray, relevant: np.ndarray, top_n: int | None, denominator: str) -> dict:
    scores = {
        ties: average_precision_from_histograms(counts, relevant, top_n=top_n, ties=ties, denominator=denominator)
        for ties in TIES
    }
    all_tied = counts.sum(axis=1, keepdims=True), relevant.sum(axis=1, keepdims=True)
    scores["chance"] = average_precision_from_histograms(*all_tied, top_n=top_n, denominator=denominator)
    return {name: float(score.mean()) for name, score in scores.items()}


def _jsonable(values: np.ndarray) -> list:
    return [None if value != value else value for value in values.tolist()]
