"""Ranking by what posteriors say, without a code: the rows that codes of the same network are compared with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hashlib_nb.hamming import check_labels
from hashlib_nb.metrics import TIES, Levels, average_precision_from_histograms, relevant
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

    Scores are float64 and tie where they are equal. Memory: a block of queries times n; time: a sort of n for each
    query whose posteriors differ from those before it.

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
    sides = query_posteriors, database_posteriors, query_labels, database_labels
    return _ceilings(*sides, exclusive, top_n, (ties,))[0]


def ceiling_bracket(
    query_posteriors,
    database_posteriors,
    query_labels,
    database_labels,
    *,
    exclusive: bool = True,
    top_n: int | None = None,
) -> dict[str, np.ndarray]:
    """`ceiling` for every order of ties that there is a name for, `metrics.TIES`, from one sort of each query's scores.

    Args, memory, time and errors as of `ceiling`.

    Returns:
        float64 [q] by the name of the order.
    """
    sides = query_posteriors, database_posteriors, query_labels, database_labels
    return dict(zip(TIES, _ceilings(*sides, exclusive, top_n, TIES), strict=True))


def _ceilings(
    query_posteriors, database_posteriors, query_labels, database_labels, exclusive: bool, top_n: int | None, ties
) -> np.ndarray:
    """Average precision float64 [len(ties), q] of each query and each order of ties."""
    sides = [check_posteriors(query_posteriors, "query_posteriors", exclusive=exclusive)]
    sides.append(check_posteriors(database_posteriors, "database_posteriors", exclusive=exclusive))
    labels = [check_labels(query_labels, "query_labels"), check_labels(database_labels, "database_labels")]
    if sides[0].shape[1] != sides[1].shape[1] or labels[0].shape[1:] != labels[1].shape[1:]:
        raise ValueError("queries and database have different numbers of labels; give both the same")
    for name, side, label in zip(("query", "database"), sides, labels, strict=True):
        if len(side) != len(label):
            raise ValueError(f"{name}_labels has {len(label)} rows for {len(side)} {name}_posteriors; give one a row")
    found = np.empty((len(ties), len(sides[0])))
    for rows, levels in _levels(*sides, exclusive=exclusive):
        for row in rows:
            hits = levels.hits(relevant(labels[0][row], labels[1]))
            for number, name in enumerate(ties):
                asked = {"top_n": top_n, "ties": name}
                found[number, row] = average_precision_from_histograms(levels.counts[None], hits[None], **asked)[0]
    return found


def _levels(query: np.ndarray, database: np.ndarray, *, exclusive: bool) -> Iterator[tuple[np.ndarray, Levels]]:
    """The rows of queries with equal posteriors, and what these rank: decided queries are as many as classes."""
    _, first, group = np.unique(query, axis=0, return_index=True, return_inverse=True)
    rows = np.split(np.argsort(group.reshape(-1), kind="stable"), np.cumsum(np.bincount(group.reshape(-1)))[:-1])
    step = max(1, ROWS // len(database))
    for start in range(0, len(first), step):
        scores = _relevance(query[first[start : start + step]], database, exclusive=exclusive)
        yield from zip(rows[start : start + step], map(Levels.of, scores), strict=True)


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
