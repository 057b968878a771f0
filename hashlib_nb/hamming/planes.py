"""The numba kernel that counts histograms from bit planes: for bit subsets of up to 255 bits, most items distinct.

The database lies in bit planes: a plane holds one bit of each of 512 items, so that one instruction takes a bit of all
of them (O'Neil & Quass, "Improved query performance with variant indexes", SIGMOD 1997). There is no increment to wait
for, and bits that are not kept cost nothing.

Of a query with q kept bits set, and an item with w of them set and s of these in common, the distance is w + q - 2 s.
The w are added up once for all queries, so that a query adds the planes of its own ones alone, or of its zeros where
these are fewer: half of the kept bits at most. Planes are added with carry-save adders (Mula, Kurz & Lemire, "Faster
population counts using AVX2 instructions", 2018) to sums that are themselves bit planes, and so is the distance.

Its lowest plane is w + q alone. Items are sorted so that a block mostly has one parity of w, and then half of all
distances cannot occur in it. Three high planes split the rest by distance; where something is left, a popcount for each
of eight distances reads the histogram off.
"""

from __future__ import annotations

import numba
import numpy as np

from hashlib_nb.hamming.lanes import (
    LANES,
    add,
    and_,
    broadcast,
    full_adder,
    is_zero,
    load,
    or_,
    popcounts,
    store,
    sum_of,
    swap,
    xor,
)
from hashlib_nb.machine import CACHE

BLOCK = 64 * LANES
"""Items of a plane."""
DIGITS = 8
"""Binary digits of a distance."""
MOST_KEPT = (1 << DIGITS) - 1
"""Most bits of a subset."""
_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_SWAPS = np.array(
    [
        (32, 0x00000000FFFFFFFF), (16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333), (1, 0x5555555555555555),
    ],
    np.uint64,
)  # fmt: skip
"""What `_turn` exchanges: distances in rows and in bits, and which bits these are."""


@numba.njit(cache=CACHE)
def _turn(square):
    """Transposes the 64 x 64 bits that each lane of square [64, LANES] has: bit j of row i goes to bit i of row j."""
    for step in range(len(_SWAPS)):
        shift, mask = broadcast(_SWAPS[step, 0]), broadcast(_SWAPS[step, 1])
        apart = np.int64(_SWAPS[step, 0])
        for row in range(64):
            if row & apart == 0:
                low, high = swap(load(square, row, 0), load(square, row + apart, 0), shift, mask)
                store(square, row, 0, low)
                store(square, row + apart, 0, high)


@numba.njit(cache=CACHE, parallel=True)
def _turn_all(words, n_bits, planes):
    each = len(planes) // (words.shape[1] // BLOCK)  # planes of a block
    for block in numba.prange(words.shape[1] // BLOCK):
        square = np.empty((64, LANES), np.uint64)
        for word in range(len(words)):
            for row in range(64):
                store(square, row, 0, load(words, word, block * BLOCK + row * LANES))
            _turn(square)
            for bit in range(64 * word, min(64 * word + 64, n_bits)):
                store(planes, block * each + bit, 0, load(square, bit - 64 * word, 0))


def bit_planes(words: np.ndarray, n_bits: int, n_zero: int = 0) -> np.ndarray:
    """Bit planes uint64 [blocks (n_bits + n_zero), LANES] of words uint64 [ceil(n_bits/64), n].

    Those of a block of BLOCK items follow one another, n_bits and n_zero that are 0. Bit j of word l is that of item
    8 j + l of the block; places beyond item n are 0.
    """
    blocks = -(-words.shape[1] // BLOCK)
    planes = np.zeros((blocks * (n_bits + n_zero), LANES), np.uint64)
    _turn_all(np.pad(words, ((0, 0), (0, blocks * BLOCK - words.shape[1]))), n_bits, planes)
    return planes


@numba.njit(cache=CACHE, parallel=True)
def _add_kept(planes, each, kept, weights):
    for block in numba.prange(len(planes) // each):
        for e in range(len(kept)):
            s0, s1, s2, s3, s4, s5, s6, s7 = sum_of(planes, block * each, kept[e])
            row = block * DIGITS
            store(weights[e], row, 0, s0)
            store(weights[e], row + 1, 0, s1)
            store(weights[e], row + 2, 0, s2)
            store(weights[e], row + 3, 0, s3)
            store(weights[e], row + 4, 0, s4)
            store(weights[e], row + 5, 0, s5)
            store(weights[e], row + 6, 0, s6)
            store(weights[e], row + 7, 0, s7)


@numba.njit(cache=CACHE, inline="always")
def _digit(number, place):
    """A plane of one binary digit of a number."""
    return broadcast(_ONES if (number >> place) & 1 else np.uint64(0))


@numba.njit(cache=CACHE, inline="always")
def _distances(planes, first, which, weights, row, constant, flip):
    """Distance planes of a block, lowest first: those of (w + constant - 2 s) modulo 256, each exclusive-or flip."""
    s0, s1, s2, s3, s4, s5, s6, _ = sum_of(planes, first, which)
    ones = broadcast(_ONES)
    w0, c0 = load(weights, row, 0), _digit(constant, 0)
    d0, carry = xor(w0, c0), and_(w0, c0)
    d1, carry = full_adder(load(weights, row + 1, 0), _digit(constant, 1), carry)
    d2, carry = full_adder(load(weights, row + 2, 0), _digit(constant, 2), carry)
    d3, carry = full_adder(load(weights, row + 3, 0), _digit(constant, 3), carry)
    d4, carry = full_adder(load(weights, row + 4, 0), _digit(constant, 4), carry)
    d5, carry = full_adder(load(weights, row + 5, 0), _digit(constant, 5), carry)
    d6, carry = full_adder(load(weights, row + 6, 0), _digit(constant, 6), carry)
    d7 = xor(xor(load(weights, row + 7, 0), _digit(constant, 7)), carry)
    # a - b is what is left of all ones once ones - a + b is taken away, and adding needs no borrow.
    d1 = xor(d1, ones)
    d1, carry = xor(d1, s0), and_(d1, s0)
    d2, carry = full_adder(xor(d2, ones), s1, carry)
    d3, carry = full_adder(xor(d3, ones), s2, carry)
    d4, carry = full_adder(xor(d4, ones), s3, carry)
    d5, carry = full_adder(xor(d5, ones), s4, carry)
    d6, carry = full_adder(xor(d6, ones), s5, carry)
    d7 = xor(xor(xor(d7, ones), s6), carry)
    back = xor(flip, ones)
    return (
        xor(d0, flip),
        xor(d1, back),
        xor(d2, back),
        xor(d3, back),
        xor(d4, back),
        xor(d5, back),
        xor(d6, back),
        xor(d7, back),
    )


@numba.njit(cache=CACHE, inline="always")
def _increase(counters, row, vector):
    store(counters, row, 0, add(load(counters, row, 0), popcounts(vector)))


@numba.njit(cache=CACHE)
def _count_eight(counters, row, items, low, middle, high):
    """Adds these items to eight counters from `row` on, each by the number that three planes spell."""
    upper = and_(items, high)
    lower = xor(items, upper)
    upper_right, lower_right = and_(upper, middle), and_(lower, middle)
    upper_left, lower_left = xor(upper, upper_right), xor(lower, lower_right)
    odd = and_(lower_left, low)
    _increase(counters, row, xor(lower_left, odd))
    _increase(counters, row + 1, odd)
    odd = and_(lower_right, low)
    _increase(counters, row + 2, xor(lower_right, odd))
    _increase(counters, row + 3, odd)
    odd = and_(upper_left, low)
    _increase(counters, row + 4, xor(upper_left, odd))
    _increase(counters, row + 5, odd)
    odd = and_(upper_right, low)
    _increase(counters, row + 6, xor(upper_right, odd))
    _increase(counters, row + 7, odd)


@numba.njit(cache=CACHE, inline="always")
def _split(items, plane):
    """Those items that the plane has not, and those that it has."""
    having = and_(items, plane)
    return xor(items, having), having


@numba.njit(cache=CACHE, inline="always")
def _count_some(counters, row, items, quarters, d1, d2, d3, d4, d5, d6, d7):
    """Adds items to counters by half their distance: from `row` on that is 0, 1, and so on."""
    for quarter in range(quarters):
        _, here = _split(items, d7) if quarter & 2 else _split(items, xor(d7, broadcast(_ONES)))
        _, here = _split(here, d6) if quarter & 1 else _split(here, xor(d6, broadcast(_ONES)))
        if is_zero(here):
            continue
        lower, upper = _split(here, d5)
        some, others = _split(lower, d4)
        at = row + 32 * quarter
        if not is_zero(some):
            _count_eight(counters, at, some, d1, d2, d3)
        if not is_zero(others):
            _count_eight(counters, at + 8, others, d1, d2, d3)
        some, others = _split(upper, d4)
        if not is_zero(some):
            _count_eight(counters, at + 16, some, d1, d2, d3)
        if not is_zero(others):
            _count_eight(counters, at + 24, others, d1, d2, d3)


@numba.njit(cache=CACHE)
def _count_of_mask(planes, each, valid, relevant, which, weights, constant, flip, apart, counters):
    """One query and one mask: adds all items to counters.

    Half the distance is counted from row 0 on for even distances of items that are not relevant, `apart` later for odd
    ones, and 2 `apart` later for those that are relevant.
    """
    quarters = (apart + 31) // 32
    for block in range(len(valid)):
        d0, d1, d2, d3, d4, d5, d6, d7 = _distances(
            planes, block * each, which, weights, block * DIGITS, constant, flip
        )
        misses, hits = _split(load(valid, block, 0), load(relevant, block, 0))
        for kind in range(2):
            items = hits if kind else misses
            if not is_zero(items):
                even, odd = _split(items, d0)
                if not is_zero(even):
                    _count_some(counters, 2 * apart * kind, even, quarters, d1, d2, d3, d4, d5, d6, d7)
                if not is_zero(odd):
                    _count_some(counters, 2 * apart * kind + apart, odd, quarters, d1, d2, d3, d4, d5, d6, d7)


@numba.njit(cache=CACHE)
def _mark_relevant(query_concepts, concept_planes, relevant):
    """ORs the planes of the query's concepts: relevant [blocks, LANES]."""
    relevant[:] = 0
    each = len(concept_planes) // len(relevant)
    for c in range(each):
        if (query_concepts[c // 64] >> np.uint64(c % 64)) & np.uint64(1):
            for block in range(len(relevant)):
                store(relevant, block, 0, or_(load(relevant, block, 0), load(concept_planes, block * each + c, 0)))


@numba.njit(cache=CACHE)
def _own_planes(query, kept, n_kept, zero, which):
    """Lists the kept planes of the query's ones, or of its zeros where these are fewer, up to a multiple of eight.

    Returns:
        How many are listed, how many kept bits of the query are set, and whether the ones are listed.
    """
    n_set, listed = 0, 0
    for j in range(n_kept):
        n_set += np.int64((query[kept[j] // 64] >> np.uint64(kept[j] % 64)) & np.uint64(1))
    wanted = np.uint64(1 if 2 * n_set <= n_kept else 0)
    for j in range(n_kept):
        if (query[kept[j] // 64] >> np.uint64(kept[j] % 64)) & np.uint64(1) == wanted:
            which[listed] = kept[j]
            listed += 1
    while listed % 8:
        which[listed] = zero
        listed += 1
    return listed, n_set, wanted == np.uint64(1)


@numba.njit(cache=CACHE)
def _apart(n_kept):
    """Counters for half of a distance, in eights."""
    return 8 * (n_kept // 16 + 1)


@numba.njit(cache=CACHE, parallel=True)
def _count_all(query, planes, valid, query_concepts, concept_planes, kept, n_kept, weights, counts, relevant):
    levels, each = counts.shape[2], len(planes) // len(valid)
    for i in numba.prange(len(query)):
        marks = np.empty(valid.shape, np.uint64)
        _mark_relevant(query_concepts[i], concept_planes, marks)
        which, counters = np.empty(kept.shape[1] + 8, np.int64), np.empty((4 * _apart(levels - 1), LANES), np.uint64)
        for e in range(len(kept)):
            listed, n_set, are_ones = _own_planes(query[i], kept[e], n_kept[e], each - 1, which)
            # Of the zeros in common, s, it is q - w + 2 s, which is what is left of all ones without w - q - 1 - 2 s.
            constant, flip = (n_set, np.uint64(0)) if are_ones else (MOST_KEPT - n_set, _ONES)
            apart = _apart(n_kept[e])
            counters[: 4 * apart] = 0
            _count_of_mask(
                planes, each, valid, marks, which[:listed], weights[e], constant, broadcast(flip), apart, counters
            )
            counts[e, i], relevant[e, i] = 0, 0
            for d in range(n_kept[e] + 1):
                row = apart * (d % 2) + d // 2
                misses, hits = np.uint64(0), np.uint64(0)
                for lane in range(LANES):
                    misses += counters[row, lane]
                    hits += counters[2 * apart + row, lane]
                counts[e, i, d], relevant[e, i, d] = misses + hits, hits


def count_planes(query, planes, valid, query_concepts, concept_planes, kept, n_kept, counts, relevant) -> None:
    """Histograms of many subsets of the bits, from bit planes.

    Args:
        query: uint64 [q, words], packed codes.
        planes: uint64 [blocks (k + 1), LANES] as `bit_planes` makes them; the last one of each block is 0.
        valid: uint64 [blocks, LANES], 1 for items, 0 for padding.
        query_concepts: uint64 [q, words], packed labels.
        concept_planes: uint64 [blocks m, LANES].
        kept: int64 [e, multiple of 8], kept bits of every subset, filled up with k, the plane of zeros.
        n_kept: int64 [e], at most MOST_KEPT.
        counts: int32 [e, q, levels], filled.
        relevant: int32 [e, q, levels], filled.
    """
    weights = np.empty((len(kept), len(valid) * DIGITS, LANES), np.uint64)
    _add_kept(planes, len(planes) // len(valid), kept, weights)
    _count_all(query, planes, valid, query_concepts, concept_planes, kept, n_kept, weights, counts, relevant)
