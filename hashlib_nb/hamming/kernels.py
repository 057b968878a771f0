"""The numba kernels that count the histograms of bit subsets: two ways, each exact, each threaded over queries.

`count_words` walks packed codes: exclusive or, mask, popcount, one histogram increment a pair. The increment is what it
waits for, since the next one often goes to the same counter.

`count_planes` has no increment. The database lies in bit planes: bit j of word i of plane b is bit b of item 64 i + j,
so that one machine word holds a bit of 64 items (O'Neil & Quass, "Improved query performance with variant indexes",
SIGMOD 1997). Kept planes are added with carry-save adders (Mula, Kurz & Lemire, "Faster population counts using AVX2
instructions", 2018) to distances that are themselves bit planes; a binary tree over those planes splits the items by
distance, and a popcount per distance reads the histogram off. Its cost grows with the number of kept bits, and bits
that are not kept cost nothing.
"""

from __future__ import annotations

import numba
import numpy as np

from hashlib_nb.hamming.lanes import LANES, add, and_, broadcast, full_adder, load, popcount, popcounts, store, xor
from hashlib_nb.machine.numba_cache import CACHE

BLOCK = 64 * LANES
"""Items that `count_planes` takes at a time; planes are padded to a multiple of it."""


@numba.njit(cache=CACHE, parallel=True)
def _transpose(words, n_bits, planes):
    for w in numba.prange((words.shape[1] + 63) // 64):
        start, end = 64 * w, min(64 * w + 64, words.shape[1])
        for b in range(n_bits):
            items, place = words[b // 64], np.uint64(b % 64)
            plane = np.uint64(0)
            for j in range(start, end):
                plane |= ((items[j] >> place) & np.uint64(1)) << np.uint64(j - start)
            planes[b, w] = plane


def bit_planes(words: np.ndarray, n_bits: int, n_zero: int = 0) -> np.ndarray:
    """Bit planes uint64 [n_bits + n_zero, w] of words uint64 [ceil(n_bits/64), n]; the last n_zero planes are 0.

    Bit j of word i of plane b is bit b of item 64 i + j; w is a multiple of LANES, and places beyond item n are 0.
    """
    planes = np.zeros((n_bits + n_zero, -(-words.shape[1] // BLOCK) * LANES), np.uint64)
    _transpose(words, n_bits, planes)
    return planes


@numba.njit(cache=CACHE, inline="always")
def _increase(counters, row, vector):
    store(counters, row, 0, add(load(counters, row, 0), popcounts(vector)))


@numba.njit(cache=CACHE)
def _distance_planes(planes, flips, kept, start, sums):
    """Adds one block's kept planes, each exclusive-or its flip, into sums [n_sums, LANES], lowest bit first."""
    zero = broadcast(np.uint64(0))
    ones, twos, fours = zero, zero, zero
    n_sums = len(sums)
    for b in range(3, n_sums):
        store(sums, b, 0, zero)
    for j in range(0, len(kept), 8):
        x0 = xor(load(planes, kept[j], start), broadcast(flips[j]))
        x1 = xor(load(planes, kept[j + 1], start), broadcast(flips[j + 1]))
        x2 = xor(load(planes, kept[j + 2], start), broadcast(flips[j + 2]))
        x3 = xor(load(planes, kept[j + 3], start), broadcast(flips[j + 3]))
        x4 = xor(load(planes, kept[j + 4], start), broadcast(flips[j + 4]))
        x5 = xor(load(planes, kept[j + 5], start), broadcast(flips[j + 5]))
        x6 = xor(load(planes, kept[j + 6], start), broadcast(flips[j + 6]))
        x7 = xor(load(planes, kept[j + 7], start), broadcast(flips[j + 7]))
        ones, two_a = full_adder(ones, x0, x1)
        ones, two_b = full_adder(ones, x2, x3)
        twos, four_a = full_adder(twos, two_a, two_b)
        ones, two_a = full_adder(ones, x4, x5)
        ones, two_b = full_adder(ones, x6, x7)
        twos, four_b = full_adder(twos, two_a, two_b)
        fours, carry = full_adder(fours, four_a, four_b)
        for b in range(3, n_sums):
            total = load(sums, b, 0)
            store(sums, b, 0, xor(total, carry))
            carry = and_(total, carry)
    store(sums, 0, 0, ones)
    store(sums, 1, 0, twos)
    store(sums, 2, 0, fours)


@numba.njit(cache=CACHE)
def _split_by_distance(sums, n_kept, items):
    """From items[0], the marks of a block's items, to items[t], marks of those at distance 2 t or 2 t + 1.

    Returns:
        How many t there are.
    """
    width = 1
    for b in range(len(sums) - 1, 0, -1):
        plane = load(sums, b, 0)
        for t in range(width - 1, -1, -1):
            both = load(items, t, 0)
            upper = and_(both, plane)
            store(items, 2 * t + 1, 0, upper)
            store(items, 2 * t, 0, xor(both, upper))
        width = min(2 * width, (n_kept >> b) + 1)
    return width


@numba.njit(cache=CACHE)
def _count_block(sums, width, items, relevant, start, counters):
    """Adds a block's items to counters by distance: in the first half those that are not relevant, then the others."""
    half = len(counters) // 2
    first = relevant[0, start]
    alike = first == 0 or first == ~np.uint64(0)
    for lane in range(1, LANES):
        alike = alike and relevant[0, start + lane] == first
    lowest = load(sums, 0, 0)
    if alike:  # most blocks, since the database is sorted by label set: relevance is one question for all of it
        row = half if first else 0
        for t in range(width):
            both = load(items, t, 0)
            upper = and_(both, lowest)
            _increase(counters, row + 2 * t, xor(both, upper))
            _increase(counters, row + 2 * t + 1, upper)
        return
    marks = load(relevant, 0, start)
    for t in range(width):
        both = load(items, t, 0)
        upper = and_(both, lowest)
        lower = xor(both, upper)
        upper_hits, lower_hits = and_(upper, marks), and_(lower, marks)
        _increase(counters, 2 * t, xor(lower, lower_hits))
        _increase(counters, 2 * t + 1, xor(upper, upper_hits))
        _increase(counters, half + 2 * t, lower_hits)
        _increase(counters, half + 2 * t + 1, upper_hits)


@numba.njit(cache=CACHE)
def _mark_relevant(query_concepts, concept_planes, relevant):
    """ORs the planes of the query's concepts: relevant [1, words]."""
    relevant[:] = 0
    for c in range(len(concept_planes)):
        if (query_concepts[c // 64] >> np.uint64(c % 64)) & np.uint64(1):
            for w in range(relevant.shape[1]):
                relevant[0, w] |= concept_planes[c, w]


@numba.njit(cache=CACHE)
def _count_planes_of_mask(query, planes, valid, relevant, kept, n_kept, flips, sums, items, counters):
    """One query and one mask: fills counters; flips, sums and items are room to work in."""
    for j in range(n_kept):
        bit = (query[kept[j] // 64] >> np.uint64(kept[j] % 64)) & np.uint64(1)
        flips[j] = ~np.uint64(0) if bit else np.uint64(0)
    flips[n_kept:] = 0
    counters[:] = 0
    for start in range(0, planes.shape[1], LANES):
        _distance_planes(planes, flips, kept, start, sums)
        store(items, 0, 0, load(valid, 0, start))
        width = _split_by_distance(sums, n_kept, items)
        _count_block(sums, width, items, relevant, start, counters)


@numba.njit(cache=CACHE, parallel=True)
def count_planes(query, planes, valid, query_concepts, concept_planes, kept, n_kept, counts, relevant):
    """Histograms of many small subsets of the bits, from bit planes.

    Args:
        query: uint64 [q, words], packed codes.
        planes: uint64 [k+1, w], w a multiple of LANES; the last plane is 0.
        valid: uint64 [1, w], 1 for items, 0 for padding.
        query_concepts: uint64 [q, words], packed labels.
        concept_planes: uint64 [m, w].
        kept: int64 [e, multiple of 8], kept bits of every subset, filled up with k, the plane of zeros.
        n_kept: int64 [e].
        counts: int32 [e, q, levels], filled.
        relevant: int32 [e, q, levels], filled.
    """
    levels = counts.shape[2]
    for i in numba.prange(len(query)):
        marks = np.empty((1, planes.shape[1]), np.uint64)
        _mark_relevant(query_concepts[i], concept_planes, marks)
        sums, items = np.empty((64, LANES), np.uint64), np.empty((levels + 1, LANES), np.uint64)
        flips, counters = np.empty(kept.shape[1], np.uint64), np.empty((2 * levels + 2, LANES), np.uint64)
        for e in range(len(kept)):
            n_sums = 3
            while n_kept[e] >> n_sums:
                n_sums += 1
            _count_planes_of_mask(
                query[i], planes, valid, marks, kept[e], n_kept[e], flips, sums[:n_sums], items, counters
            )
            for d in range(levels):
                misses, hits = np.uint64(0), np.uint64(0)
                for lane in range(LANES):
                    misses += counters[d, lane]
                    hits += counters[levels + 1 + d, lane]
                counts[e, i, d], relevant[e, i, d] = misses + hits, hits


@numba.njit(cache=CACHE)
def set_first_bins(query_concepts, database_concepts, levels, bins):
    """bins [n] = levels for relevant items, else 0: relevant items count into the upper half of a histogram."""
    bins[:] = 0
    for word in range(len(query_concepts)):
        # Locals, because a store to bins could alias the arrays and would force a reload of each.
        concepts, items = query_concepts[word], database_concepts[word]
        for j in range(len(bins)):  # a select and not a branch: the compiler vectorizes it
            bins[j] = levels if concepts & items[j] else bins[j]


@numba.njit(cache=CACHE)
def add_distances(query, database, mask, bins):
    for word in range(len(query)):
        code, kept, items = query[word], mask[word], database[word]
        if kept:
            for j in range(len(bins)):
                bins[j] += popcount((code ^ items[j]) & kept)


@numba.njit(cache=CACHE, parallel=True)
def count_words(query, database, weights, query_concepts, database_concepts, masks, counts, relevant):
    """Histograms of many subsets of any size, from packed words.

    Args:
        query: uint64 [q, words].
        database: uint64 [words, n], word by word, so that the inner loops read memory in order.
        weights: int32 [n], how many items each of them stands for.
        query_concepts: uint64 [q, concept words].
        database_concepts: uint64 [concept words, n].
        masks: uint64 [e, words].
        counts: int32 [e, q, levels], filled.
        relevant: int32 [e, q, levels], filled.
    """
    levels = counts.shape[2]
    for i in numba.prange(len(query)):
        first_bins = np.empty(database.shape[1], np.uint32)
        bins = np.empty_like(first_bins)
        set_first_bins(query_concepts[i], database_concepts, levels, first_bins)
        histogram = np.empty(2 * levels, np.int32)
        for e in range(len(masks)):
            bins[:] = first_bins
            add_distances(query[i], database, masks[e], bins)
            histogram[:] = 0
            for j in range(len(bins)):
                histogram[bins[j]] += weights[j]
            for d in range(levels):
                relevant[e, i, d] = histogram[levels + d]
                counts[e, i, d] = histogram[d] + histogram[levels + d]
