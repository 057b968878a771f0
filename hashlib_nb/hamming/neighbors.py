"""Exact neighbor search over binary codes: everything within a Hamming radius, or the first n, with ties made visible.

Distances take k+1 values, so nothing needs sorting: neighbors are counted by distance, and dropped at their place in
the order of the database. They stand by distance and, at equal distance, by database index; both functions are exact,
for any length of code. With numba the codes are read once (`scan` says how); numpy reads them twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming.arrays import (
    check_codes,
    check_same_width,
    check_widths,
    distance_block,
    numba,
    numba_enabled,
    pack_checked,
    query_chunks,
)
from hashlib_nb.hamming.packed import Packed

if numba is not None:
    from hashlib_nb.hamming import scan

PAIRS_AT_ONCE = 1 << 30
"""Query-database pairs of which the numba path marks, a byte for 64, where items within a radius lie: 16 MB."""


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Database items within a radius of each query: row i is `offsets[i]:offsets[i + 1]` of the two flat arrays."""

    offsets: np.ndarray
    """int64 [q + 1]; `np.diff(offsets)` says how many were found for each query."""
    indices: np.ndarray
    """int64 [found], database items, by distance and then by index within each query."""
    distances: np.ndarray
    """uint16 [found], their Hamming distances."""

    def of(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and distances of one query's neighbors."""
        row = slice(self.offsets[query], self.offsets[query + 1])
        return self.indices[row], self.distances[row]


@dataclass(frozen=True, eq=False)
class Nearest:
    """The first n database items of each query, and how arbitrary the cut after them is."""

    indices: np.ndarray
    """int64 [q, n], by distance and then by index."""
    distances: np.ndarray
    """uint16 [q, n]."""
    tied: np.ndarray
    """int64 [q], database items at the distance of the last one shown."""
    tied_inside: np.ndarray
    """int64 [q], how many of these are among the n; where it is less than `tied`, the index alone decided."""


def within_radius(query_codes, database_codes, radius: int, *, backend: str = "auto") -> Neighbors:
    """Every database item at Hamming distance `radius` or less (faiss' `range_search` leaves out `radius` itself).

    Memory is proportional to what is found, to q (radius + 1) for the counts, and to one byte for 64 pairs in some
    queries' turn (`PAIRS_AT_ONCE`). Time is one pass over q x n pairs, in which few items are looked at twice.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k], or the same packed, a `Packed`.
        radius: a whole number, at least 0; from k on, everything is found.
        backend: "numba", "numpy" or "auto", see `Pairs`.

    Raises:
        ValueError: codes that are not 0/1 matrices of one width, a negative radius, or an unknown backend.
    """
    radius = checks.count(radius, "radius", least=0)
    find = _within_numba if numba_enabled(backend) else _within_numpy
    query, database, k = _packed(query_codes, database_codes)
    return Neighbors(*find(query, database, min(radius, k)))


def nearest(query_codes, database_codes, n: int, *, backend: str = "auto") -> Nearest:
    """The n database items nearest to each query.

    Memory is O(q (n + k)); time is one pass over all pairs, which is quick where n is small beside the database.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [items, k], or the same packed, a `Packed`.
        n: how many to find, in 1..items.
        backend: "numba", "numpy" or "auto", see `Pairs`.

    Raises:
        ValueError: codes that are not 0/1 matrices of one width, n out of range, or an unknown backend.
    """
    find = _nearest_numba if numba_enabled(backend) else _nearest_numpy
    query, database, k = _packed(query_codes, database_codes)
    n = checks.count(n, "n", most=database.shape[1], why="the items of the database")
    return Nearest(*find(query, database, n, k))


def _packed(query_codes, database_codes) -> tuple[np.ndarray, np.ndarray, int]:
    """Queries uint64 [q, words], the database word by word [words, n], and k."""
    if isinstance(database_codes, Packed):
        query_codes, k = check_codes(query_codes, "query_codes"), database_codes.code_length
        check_widths(query_codes.shape[1], k)
        return pack_checked(query_codes), database_codes.words, k
    query_codes, database_codes = check_same_width(query_codes, database_codes)
    database = np.ascontiguousarray(pack_checked(database_codes).T)
    return pack_checked(query_codes), database, query_codes.shape[1]


def _offsets(take: np.ndarray) -> np.ndarray:
    """Where each query's items begin, int64 [q + 1], from how many it has at each distance."""
    return np.concatenate([[0], np.cumsum(take.sum(axis=1))])


def _within_numpy(query: np.ndarray, database: np.ndarray, radius: int):
    """The three fields of `Neighbors`."""
    return _gather_numpy(query, database, _count_numpy(query, database, radius + 1))


def _nearest_numpy(query: np.ndarray, database: np.ndarray, n: int, k: int):
    """The four fields of `Nearest`."""
    counts = _count_numpy(query, database, k + 1)
    take = np.clip(n - (np.cumsum(counts, axis=1) - counts), 0, counts)  # what each level gives to the first n
    rows, last = np.arange(len(query)), k - np.argmax(take[:, ::-1] > 0, axis=1)
    _, indices, distances = _gather_numpy(query, database, take)
    return indices.reshape(-1, n), distances.reshape(-1, n), counts[rows, last], take[rows, last]


def _within_numba(query: np.ndarray, database: np.ndarray, radius: int):
    step = max(scan.TOGETHER, PAIRS_AT_ONCE // database.shape[1])
    parts = [_within_some(query[first : first + step], database, radius) for first in range(0, len(query), step)]
    counts, indices, distances = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
    return _offsets(counts), indices, distances


def _within_some(query: np.ndarray, database: np.ndarray, radius: int):
    counts = np.empty((len(query), radius + 1), np.int64)
    marks = np.empty((len(query), -(-database.shape[1] // scan.GROUP)), np.uint8)
    scan.mark_within(query, database, scan.together(len(query)), counts, marks)
    offsets = _offsets(counts)
    indices, distances = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.uint16)
    scan.gather_within(query, database, counts, marks, offsets, indices, distances)
    return counts, indices, distances


def _nearest_numba(query: np.ndarray, database: np.ndarray, n: int, k: int):
    indices, distances = np.empty((len(query), n), np.int64), np.empty((len(query), n), np.uint16)
    tied, tied_inside = np.empty(len(query), np.int64), np.empty(len(query), np.int64)
    scan.nearest(query, database, scan.together(len(query)), indices, distances, tied, tied_inside)
    return indices, distances, tied, tied_inside


def _count_numpy(query: np.ndarray, database: np.ndarray, levels: int) -> np.ndarray:
    """Items at each distance below `levels`, int64 [q, levels]."""
    counts = np.empty((len(query), levels), np.int64)
    for rows in query_chunks(len(query), database.shape[1]):
        distances = np.minimum(distance_block(query[rows], database), levels)  # the last bin is thrown away
        bins = np.arange(len(distances))[:, None] * (levels + 1) + distances
        flat = np.bincount(bins.ravel(), minlength=len(distances) * (levels + 1))
        counts[rows] = flat.reshape(-1, levels + 1)[:, :-1]
    return counts


def _gather_numpy(query: np.ndarray, database: np.ndarray, take: np.ndarray):
    """The first `take[i, d]` items at distance d of query i, for all d, as the fields of `Neighbors`."""
    farthest = np.where(take > 0, np.arange(take.shape[1]), -1).max(axis=1)
    parts = []
    for rows in query_chunks(len(query), database.shape[1]):
        block = distance_block(query[rows], database)
        row, index = np.nonzero(block <= farthest[rows, None])
        distances = block[row, index]
        order = np.lexsort((distances, row))  # stable, so that equal distances stay in the order of the database
        row, index, distances = row[order], index[order], distances[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        first = place < take[rows].sum(axis=1)[row]
        parts.append((index[first], distances[first]))
    indices, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _offsets(take), indices, distances
