"""Rankings by real scores, as levels like those of Hamming distances: equal scores tie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Levels:
    """One ranking, highest score first: equal scores are one level, as equal distances are."""

    order: np.ndarray
    """int64 [n], items by falling score."""
    starts: np.ndarray
    """int64 [levels], where each level begins in it."""
    counts: np.ndarray
    """int64 [levels], its items."""

    @classmethod
    def of(cls, scores: np.ndarray) -> Levels:
        """Those of scores float [n], at least one and none NaN."""
        order = np.argsort(-scores)
        starts = np.flatnonzero(np.append(True, np.diff(scores[order]) != 0))
        return cls(order, starts, np.diff(np.append(starts, len(scores))))

    def hits(self, relevant: np.ndarray) -> np.ndarray:
        """int64 [levels], how many of its items are relevant, bool [n]."""
        return np.add.reduceat(relevant[self.order].astype(np.int64), self.starts)


def relevant(label: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """bool [n], which items share a label with a query.

    Args:
        label: the query's labels {0,1} [m], or its class number.
        labels: {0,1} [n, m], or class numbers int [n].
    """
    return label == labels if labels.ndim == 1 else labels[:, np.flatnonzero(label)].any(axis=1)
