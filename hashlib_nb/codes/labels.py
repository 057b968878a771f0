"""Distinct label sets, and the similarity of pictures that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.optimize
import scipy.sparse

from hashlib_nb import checks
from hashlib_nb.hamming import check_labels

MAX_SETS = 1 << 14
"""Most distinct label sets: the similarities of all pairs are then 1 GB, and the bound's matrices a few times that."""


@dataclass(frozen=True)
class LabelSets:
    """The u distinct rows of a label matrix; everything in stage 1 depends on the labels through them alone."""

    sets: np.ndarray
    """uint8 [u, m], the distinct label vectors; where labels are class numbers, these, int64 [u]."""
    index: np.ndarray
    """int64 [n], the label set of each row."""
    counts: np.ndarray
    """int64 [u], how many rows have it."""

    @classmethod
    def of(cls, labels: np.ndarray | LabelSets) -> LabelSets:
        """Group the rows of `labels`, {0,1} [n, m] or class numbers int [n]; label sets are returned as they are.

        Raises:
            ValueError: The labels are neither, or a row has no label at all.
        """
        if isinstance(labels, LabelSets):
            return labels
        labels = check_labels(labels, "labels")
        if labels.ndim == 1:  # in the order of their one-hot rows, of which the last class's is the smallest
            classes, index, counts = np.unique(~labels, return_inverse=True, return_counts=True)
            return cls(~classes, index, counts)
        empty = np.flatnonzero(~labels.any(axis=1))
        if empty.size:
            raise ValueError(f"labels has {empty.size} rows without any label (row {empty[0]} is one); drop such rows")
        sets, index, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
        return cls(sets, index.reshape(-1), counts)

    @cached_property
    def share(self) -> np.ndarray:
        """float64 [u], the share of the rows that have each label set."""
        return self.counts / self.counts.sum()

    @cached_property
    def similarity(self) -> np.ndarray:
        """float32 [u, u], S between the label sets. Raises ValueError where there are more than `MAX_SETS`."""
        if (u := len(self.sets)) > MAX_SETS:
            raise ValueError(
                f"labels has {u:,} distinct label sets, whose similarities take {4 * u * u / 1e9:,.1f} GB; give "
                f"at most {MAX_SETS:,} sets: fewer rows, or larger classes"
            )
        return similarity(self.sets)

    @cached_property
    def _membership(self) -> scipy.sparse.csr_array:
        n = len(self.index)
        return scipy.sparse.csr_array((np.ones(n), (self.index, np.arange(n))), shape=(len(self.sets), n))

    def sums(self, z: np.ndarray) -> np.ndarray:
        """float64 [u, k], the rows of `z` [n, k] added up within each label set."""
        return self._membership @ z


def similarity(labels: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """S = 2 min(Y Y'^T, 1) - 1 (eq. 3.2), which the rest of the module avoids: for pictures and small n.

    Args:
        labels: {0,1} [n, m], Y; or class numbers int [n], of which equal ones are similar.
        other: {0,1} [n', m], Y', or class numbers int [n']; the labels themselves if None.

    Returns:
        float32 {-1,+1} [n, n'].

    Raises:
        ValueError: labels that are neither, or two that are not of one kind and width.
    """
    a = _any_labels(labels, "labels")
    b = a if other is None else _any_labels(other, "other")
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"labels is {list(a.shape)} and other {list(b.shape)}; give both the same concepts")
    if a.ndim == 1:
        return 2 * np.equal.outer(a, b).astype(np.float32) - 1
    return 2 * np.minimum(a.astype(np.float32) @ b.astype(np.float32).T, 1) - 1


def _any_labels(labels: np.ndarray, name: str) -> np.ndarray:
    """`check_labels`, which also takes 0 and 1 as floats."""
    labels = checks.array(labels, name, "a label matrix [n, m]")
    if labels.ndim == 2 and labels.dtype.kind == "f" and ((labels == 0) | (labels == 1)).all():
        labels = labels.astype(np.uint8)
    return check_labels(labels, name)
