"""The numba kernels that search: codes are read once, 64 of them against each query, and few are looked at twice.

What is asked for is rare: ten of a million, or a small ball. So distances are not kept, and not even counted: the
smallest of 64 in each lane of a vector says whether any of them can matter, and only then are they taken one by one.
Queries go together over a tile of the database, which stays in the processor's second cache meanwhile.

Of the n nearest, the limit is the smallest distance within which n items have been seen. An item farther away can be
none of them, and neither can a later one at the limit itself, which is counted as tied and forgotten. Within a radius
the limit stands still: a bit is left where 64 items have any inside, and once it is known how many there are, only
those are read again.
"""

from __future__ import annotations

import numba
import numpy as np

from hashlib_nb.hamming.lanes import LANES, add, at_most, broadcast, last_zeros, load, popcount, popcounts, smaller, xor
from hashlib_nb.machine import CACHE

GROUP = 8 * LANES
"""Items whose distances are looked at together: eight vectors."""
TILE = 1 << 14
"""Words of the database that some queries read one after the other: 128 KB."""
TOGETHER = 16
"""Queries that read a tile one after the other, at most."""
SPARE = 64
"""Room for more than twice the items that are asked for, so that few of them are not sorted out at every second one."""


@numba.njit(cache=CACHE, inline="always")
def _distances(query, database, at):
    """Distances of the LANES items from `at` on."""
    total = broadcast(np.uint64(0))
    for word in range(len(query)):
        total = add(total, popcounts(xor(broadcast(query[word]), load(database, word, at))))
    return total


@numba.njit(cache=CACHE)
def _any_within(query, database, start, limit):
    """Whether any of GROUP items from `start` on is within the distance `limit`."""
    zero = broadcast(np.uint64(0))
    d0, d1, d2, d3, d4, d5, d6, d7 = zero, zero, zero, zero, zero, zero, zero, zero
    for word in range(len(query)):
        code = broadcast(query[word])
        d0 = add(d0, popcounts(xor(code, load(database, word, start))))
        d1 = add(d1, popcounts(xor(code, load(database, word, start + LANES))))
        d2 = add(d2, popcounts(xor(code, load(database, word, start + 2 * LANES))))
        d3 = add(d3, popcounts(xor(code, load(database, word, start + 3 * LANES))))
        d4 = add(d4, popcounts(xor(code, load(database, word, start + 4 * LANES))))
        d5 = add(d5, popcounts(xor(code, load(database, word, start + 5 * LANES))))
        d6 = add(d6, popcounts(xor(code, load(database, word, start + 6 * LANES))))
        d7 = add(d7, popcounts(xor(code, load(database, word, start + 7 * LANES))))
    least = smaller(smaller(smaller(d0, d1), smaller(d2, d3)), smaller(smaller(d4, d5), smaller(d6, d7)))
    return at_most(least, broadcast(np.uint64(limit))) != 0


@numba.njit(cache=CACHE)
def _within(query, database, start, limit):
    """Which of the items from `start` on, at most GROUP, are within the distance `limit`: bit i for item start + i."""
    size = database.shape[1] - start
    found = np.uint64(0)
    if size >= GROUP:
        limits = broadcast(np.uint64(limit))
        for vector in range(8):
            inside = at_most(_distances(query, database, start + vector * LANES), limits)
            found |= inside << np.uint64(vector * LANES)
    else:
        for i in range(size):
            if _distance(query, database, start + i) <= limit:
                found |= np.uint64(1) << np.uint64(i)
    return found


@numba.njit(cache=CACHE)
def _distance(query, database, item):
    total = 0
    for word in range(len(query)):
        total += np.int64(popcount(query[word] ^ database[word, item]))
    return total


@numba.njit(cache=CACHE)
def _tile_size(words):
    return max(1, TILE // (words * GROUP)) * GROUP


@numba.njit(cache=CACHE)
def _scan_nearest(query, database, start, end, n, state, counts, items, distances):
    """Goes on from item `start` to `end` with what is known of one query.

    That is in `state` int64 [3]: the limit, how many items have been seen nearer than it, and how many are kept; in
    `counts` int64 [k + 2]: items seen at each distance up to the limit; in `items` int64 and `distances` uint16 [room]:
    the kept ones, in the order of the database.
    """
    limit, nearer, kept = state
    for group in range(start, end, GROUP):
        if group + GROUP <= end and not _any_within(query, database, group, limit):
            continue
        inside = _within(query, database, group, limit - 1)
        counts[limit] += np.int64(popcount(_within(query, database, group, limit) & ~inside))
        while inside:
            item = group + np.int64(last_zeros(inside))
            inside &= inside - np.uint64(1)
            distance = _distance(query, database, item)
            counts[distance] += 1
            if distance >= limit:  # which has come nearer within this group
                continue
            if kept == len(items):
                kept = _keep_nearest(items, distances, limit, n - nearer)
            items[kept], distances[kept] = item, distance
            kept += 1
            nearer += 1
            while nearer >= n:
                limit -= 1
                nearer -= counts[limit]
    state[0], state[1], state[2] = limit, nearer, kept


@numba.njit(cache=CACHE)
def _keep_nearest(items, distances, limit, at_limit):
    """Keeps those nearer than the limit, and the first `at_limit` of those at it. Returns how many these are."""
    kept = 0
    for j in range(len(items)):
        here = distances[j] < limit
        if distances[j] == limit and at_limit > 0:
            here = True
            at_limit -= 1
        if here:
            items[kept], distances[kept] = items[j], distances[j]
            kept += 1
    return kept


@numba.njit(cache=CACHE)
def _sorted_by_distance(items, distances, counts, indices, found_distances):
    """Copies kept items, in the order of the database, to where their distance puts them."""
    place, at = np.empty(len(counts), np.int64), 0
    for distance in range(len(counts)):
        place[distance] = at
        at += counts[distance]
    for j in range(len(items)):
        distance = distances[j]
        indices[place[distance]], found_distances[place[distance]] = items[j], distance
        place[distance] += 1


def together(queries: int) -> int:
    """How many of these queries go together: TOGETHER, or fewer where threads would have none."""
    return max(1, min(TOGETHER, -(-queries // numba.get_num_threads())))


@numba.njit(cache=CACHE, parallel=True)
def nearest(query, database, together, indices, found_distances, tied, tied_inside):
    """The n nearest items of each query, by distance and then by index.

    Args:
        query: uint64 [q, words].
        database: uint64 [words, items].
        together: how many queries read a tile one after the other.
        indices: int64 [q, n], filled.
        found_distances: uint16 [q, n], filled.
        tied: int64 [q], filled: items at the distance of the last one.
        tied_inside: int64 [q], filled: those of them among the n.
    """
    n, size, farthest = indices.shape[1], database.shape[1], 64 * len(database)
    step = _tile_size(len(database))
    for chunk in numba.prange((len(query) + together - 1) // together):
        first, last = chunk * together, min(len(query), (chunk + 1) * together)
        room = min(size, 2 * n + SPARE)
        items, distances = np.empty((last - first, room), np.int64), np.empty((last - first, room), np.uint16)
        counts, states = np.zeros((last - first, farthest + 2), np.int64), np.zeros((last - first, 3), np.int64)
        states[:, 0] = farthest + 1
        for start in range(0, size, step):
            end = min(size, start + step)
            for i in range(last - first):
                _scan_nearest(query[first + i], database, start, end, n, states[i], counts[i], items[i], distances[i])
        for i in range(last - first):
            limit, nearer, kept = states[i]
            kept = _keep_nearest(items[i, :kept], distances[i, :kept], limit, n - nearer)
            tied[first + i], tied_inside[first + i] = counts[i, limit], n - nearer
            counts[i, limit] = n - nearer
            counted = counts[i, : limit + 1]
            row = indices[first + i], found_distances[first + i]
            _sorted_by_distance(items[i, :kept], distances[i, :kept], counted, row[0], row[1])


@numba.njit(cache=CACHE, parallel=True)
def mark_within(query, database, together, counts, marks):
    """What lies within a radius of each query: how many at each distance, and where.

    Args:
        query: uint64 [q, words].
        database: uint64 [words, items].
        together: how many queries read a tile one after the other.
        counts: int64 [q, radius + 1], filled.
        marks: uint8 [q, ceil(items / GROUP)], filled: 1 where a group of items has any inside.
    """
    size, radius = database.shape[1], counts.shape[1] - 1
    step = _tile_size(len(database))
    for chunk in numba.prange((len(query) + together - 1) // together):
        first, last = chunk * together, min(len(query), (chunk + 1) * together)
        counts[first:last] = 0
        for start in range(0, size, step):
            for i in range(first, last):
                for group in range(start, min(size, start + step), GROUP):
                    found = group + GROUP > size or _any_within(query[i], database, group, radius)
                    marks[i, group // GROUP] = found
                    if found:
                        inside = _within(query[i], database, group, radius)
                        while inside:
                            item = group + np.int64(last_zeros(inside))
                            inside &= inside - np.uint64(1)
                            counts[i, _distance(query[i], database, item)] += 1


@numba.njit(cache=CACHE, parallel=True)
def gather_within(query, database, counts, marks, offsets, indices, found_distances):
    """The items that `mark_within` counted, by distance and then by index within each query.

    Args:
        query: as there.
        database: as there.
        counts: as filled there.
        marks: as filled there.
        offsets: int64 [q + 1], where each query's items begin.
        indices: int64 [found], filled.
        found_distances: uint16 [found], filled.
    """
    radius = counts.shape[1] - 1
    for i in numba.prange(len(query)):
        place, at = np.empty(radius + 1, np.int64), offsets[i]
        for distance in range(radius + 1):
            place[distance] = at
            at += counts[i, distance]
        if at == offsets[i]:
            continue
        for group in range(marks.shape[1]):
            if marks[i, group]:
                inside = _within(query[i], database, group * GROUP, radius)
                while inside:
                    item = group * GROUP + np.int64(last_zeros(inside))
                    inside &= inside - np.uint64(1)
                    distance = _distance(query[i], database, item)
                    indices[place[distance]], found_distances[place[distance]] = item, distance
                    place[distance] += 1
