"""Ranking by what posteriors say, without a code: the rows that codes of the same network are compared with."""

from __future__ import annotations

import numpy as np

from hashlib_nb.hamming import check_labels
from hashlib_nb.metrics import average_precision_from_histograms
from hashlib_nb.thermometer.classes import check_posteriors
from hashlib_nb.thermometer.levels import ROWS


def ceiling(
    query_posteriors,
    database_posteriors,
    query_labels,
    database_labels,
    *,
    exclusive: bool = True,
    top_n: int | None = None,
    ties: str = "expected",
) -> np.ndarray:
    """Average precision of ranking by P(relevant) of query and picture, which no code of the same network need reach.

    Relevance is sum_c p_c(q) p_c(d) where one label excludes another, and else 1 - prod_c (1 - p_c(q) p_c(d)). With the
    query's labels decided first, `decided_labels`, it is the decided ceiling. It is a row to compare with and no bound:
    posteriors rank best only where they are calibrated.

    Scores are float64 and tie where they are equal. Memory: a block of queries times n; time: q sorts of n.

    Args:
        query_posteriors: [q, m].
        database_posteriors: [n, m].
        query_labels: {0,1} [q, m'], or class numbers int [q]; for measuring alone.
        database_labels: {0,1} [n, m'], or class numbers int [n].
        exclusive: whether a picture has one label alone.
        top_n: cut-off N; the whole database if None.
        ties: "expected", "pessimistic" or "optimistic", as in `metrics`.

    Returns:
        float64 [q]; NaN where the database holds no relevant item.

    Raises:
        ValueError: posteriors or labels that do not fit together.
    """
    sides = [check_posteriors(query_posteriors, "query_posteriors", exclusive=exclusive)]
    sides.append(check_posteriors(database_posteriors, "database_posteriors", exclusive=exclusive))
    labels = [check_labels(query_labels, "query_labels"), check_labels(database_labels, "database_labels")]
    if sides[0].shape[1] != sides[1].shape[1] or labels[0].shape[1:] != labels[1].shape[1:]:
        raise ValueError("queries and database have different numbers of labels; give both the same")
    for name, side, label in zip(("query", "database"), sides, labels, strict=True):
        if len(side) != len(label):
            raise ValueError(f"{name}_labels has {len(label)} rows for {len(side)} {name}_posteriors; give one a row")
    found = np.empty(len(sides[0]))
    step = max(1, ROWS // len(sides[1]))
    for start in range(0, len(found), step):
        rows = slice(start, start + step)
        scores = _relevance(sides[0][rows], sides[1], exclusive=exclusive)
        for i, score in enumerate(scores, start):
            relevant = labels[0][i] == labels[1] if labels[0].ndim == 1 else (labels[0][i] & labels[1]).any(axis=1)
            found[i] = _average_precision(score, relevant, top_n, ties)
    return found


def _relevance(query: np.ndarray, database: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """P(relevant) [q, n], label by label: a matrix product can round equal rows differently, which then do not tie."""
    total = np.zeros((len(query), len(database))) if exclusive else np.ones((len(query), len(database)))
    for of_query, of_item in zip(query.T, database.T, strict=True):
        both = of_query[:, None] * of_item
        if exclusive:
            total += both
        else:
            total *= 1 - both
    return total if exclusive else 1 - total


def _average_precision(scores: np.ndarray, relevant: np.ndarray, top_n: int | None, ties: str) -> float:
    """AP of one ranking by scores [n], highest first, equal ones tied: a level for each score, as for a distance."""
    order = np.argsort(-scores)
    new = np.append(True, np.diff(scores[order]) != 0)
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(scores)))
    hits = np.add.reduceat(relevant[order].astype(np.int64), starts)
    return average_precision_from_histograms(counts[None], hits[None], top_n=top_n, ties=ties)[0]
