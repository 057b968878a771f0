"""Exact neighbor search over binary codes: everything within a Hamming radius, or the first n, with ties made visible.

Distances take k+1 values, so nothing needs sorting: one pass over packed codes counts the items at each distance, and a
second pass in the order of the database drops each item at its place (a counting sort whose keys are never stored).
Neighbors stand by distance and, at equal distance, by database index; both functions are exact, for any length of code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming.arrays import (
    WORD,
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
from hashlib_nb.machine.numba_cache import CACHE

BLOCK = 4096
"""Items whose distances the numba kernels hold at a time: 8 KB, which stays in the processor's nearest cache."""


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

    Memory is proportional to what is found, and to q (radius + 1) for the counts; time is two passes over q x n pairs.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k], or the same packed, a `Packed`.
        radius: a whole number, at least 0; from k on, everything is found.
        backend: "numba", "numpy" or "auto", see `Pairs`.

    Raises:
        ValueError: codes that are not 0/1 matrices of one width, a negative radius, or an unknown backend.
    """
    radius = checks.count(radius, "radius", least=0)
    count, gather = _kernels(backend)
    query, database, k = _packed(query_codes, database_codes)
    take = count(query, database, min(radius, k) + 1)
    return Neighbors(*gather(query, database, take))


def nearest(query_codes, database_codes, n: int, *, backend: str = "auto") -> Nearest:
    """The n database items nearest to each query.

    Memory is O(q (n + k)); time is two passes over all pairs, the second of which stops once the n are found.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [items, k], or the same packed, a `Packed`.
        n: how many to find, in 1..items.
        backend: "numba", "numpy" or "auto", see `Pairs`.

    Raises:
        ValueError: codes that are not 0/1 matrices of one width, n out of range, or an unknown backend.
    """
    count, gather = _kernels(backend)
    query, database, k = _packed(query_codes, database_codes)
    n = checks.count(n, "n", most=database.shape[1], why="the items of the database")
    counts = count(query, database, k + 1)
    take = np.clip(n - (np.cumsum(counts, axis=1) - counts), 0, counts)  # what each level gives to the first n
    rows, last = np.arange(len(query)), k - np.argmax(take[:, ::-1] > 0, axis=1)
    _, indices, distances = gather(query, database, take)
    return Nearest(indices.reshape(-1, n), distances.reshape(-1, n), counts[rows, last], take[rows, last])


def _packed(query_codes, database_codes) -> tuple[np.ndarray, np.ndarray, int]:
    """Queries uint64 [q, words], the database word by word [words, n], and k."""
    if isinstance(database_codes, Packed):
        query_codes, k = check_codes(query_codes, "query_codes"), database_codes.code_length
        check_widths(query_codes.shape[1], k)
        return pack_checked(query_codes), database_codes.words, k
    query_codes, database_codes = check_same_width(query_codes, database_codes)
    database = np.ascontiguousarray(pack_checked(database_codes).T)
    return pack_checked(query_codes), database, query_codes.shape[1]


def _kernels(backend: str):
    """The functions (count, gather) of a backend.

    count(query, database, levels): int64 [q, levels], items at each distance below `levels`.
    gather(query, database, take): the first `take[i, d]` items at distance d of query i, for all d, as the three fields
    of `Neighbors`.
    """
    return (_count_numba, _gather_numba) if numba_enabled(backend) else (_count_numpy, _gather_numpy)


def _offsets(take: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(take.sum(axis=1))])


def _count_numpy(query: np.ndarray, database: np.ndarray, levels: int) -> np.ndarray:
    counts = np.empty((len(query), levels), np.int64)
    for rows in query_chunks(len(query), database.shape[1]):
        distances = np.minimum(distance_block(query[rows], database), levels)  # the last bin is thrown away
        bins = np.arange(len(distances))[:, None] * (levels + 1) + distances
        flat = np.bincount(bins.ravel(), minlength=len(distances) * (levels + 1))
        counts[rows] = flat.reshape(-1, levels + 1)[:, :-1]
    return counts


def _gather_numpy(query: np.ndarray, database: np.ndarray, take: np.ndarray):
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


if numba is not None:
    from numba import njit, prange

    from hashlib_nb.hamming.kernels import popcount

    @njit(cache=CACHE)
    def _fill_distances(query, database, start, distances):
        """Distances of one query to the items from `start` on, as many as `distances` holds; a loop that vectorizes."""
        distances[:] = 0
        for word in range(len(query)):
            code, items = query[word], database[word, start : start + len(distances)]
            for j in range(len(items)):
                distances[j] += popcount(code ^ items[j])

    @njit(cache=CACHE, parallel=True)
    def _count_levels(query, database, counts):
        n, levels = database.shape[1], counts.shape[1]
        for i in prange(len(query)):
            block = np.empty(BLOCK, np.uint16)
            # All levels are counted, whatever is asked for: one bin for the rest would take nearly every addition, and
            # each would wait for the one before.
            histogram = np.zeros(WORD * len(database) + 1, np.int64)
            for start in range(0, n, BLOCK):
                distances = block[: min(BLOCK, n - start)]
                _fill_distances(query[i], database, start, distances)
                for j in range(len(distances)):
                    histogram[distances[j]] += 1
            counts[i] = histogram[:levels]

    @njit(cache=CACHE, parallel=True)
    def _place_items(query, database, take, offsets, indices, found_distances):
        n, levels = database.shape[1], take.shape[1]
        for i in prange(len(query)):
            block = np.empty(BLOCK, np.uint16)
            place = np.empty(levels, np.int64)  # where the next item at each distance goes
            end = np.empty(levels, np.int64)
            at, farthest = offsets[i], -1
            for d in range(levels):
                place[d] = at
                at += take[i, d]
                end[d] = at
                if take[i, d] > 0:
                    farthest = d
            missing = offsets[i + 1] - offsets[i]
            for start in range(0, n, BLOCK):
                if missing == 0:
                    break
                distances = block[: min(BLOCK, n - start)]
                _fill_distances(query[i], database, start, distances)
                for j in range(len(distances)):
                    d = distances[j]
                    if d <= farthest and place[d] < end[d]:
                        indices[place[d]] = start + j
                        found_distances[place[d]] = d
                        place[d] += 1
                        missing -= 1


def _count_numba(query: np.ndarray, database: np.ndarray, levels: int) -> np.ndarray:
    counts = np.empty((len(query), levels), np.int64)
    _count_levels(query, database, counts)
    return counts


def _gather_numba(query: np.ndarray, database: np.ndarray, take: np.ndarray):
    offsets = _offsets(take)
    indices, distances = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.uint16)
    _place_items(query, database, take, offsets, indices, distances)
    return offsets, indices, distances
