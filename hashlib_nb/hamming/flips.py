"""The numba kernels that toggle each bit of a subset alone, all in one pass: a step of greedy selection.

`count_flipped` takes each item's distance once and adds its code, one byte a bit, to a row of counters for that
distance: how many items at distance d have bit b set gives the histogram with b added or removed, without going back to
the items. `count_flipped_sliced` does the same for long codes: items that lie at one distance are listed together, so
that their bits can be added with carry-save adders, 512 bits of an item in one instruction, and no row of counters is
read and written for each item.
"""

from __future__ import annotations

import numba
import numpy as np

from hashlib_nb.hamming.kernels import add_distances, set_first_bins
from hashlib_nb.hamming.lanes import LANES, add, broadcast, load, store, sum_of, swap
from hashlib_nb.machine import CACHE

BYTE_MAX = np.iinfo(np.uint8).max
"""Most items that one weighted item may stand for in `count_flipped`, which counts in bytes."""
TILE = 64 * LANES
"""Bits of a code that `count_flipped_sliced` counts at a time: one vector."""
EIGHT = 8
"""Items that are added at a time there."""
MOST_IN_BYTES = BYTE_MAX // EIGHT * EIGHT


@numba.njit(cache=CACHE)
def _add_codes(bins, weights, code_bytes, n_items, small, small_bytes, set_bits):
    """For each bin: n_items, how many items it has, and set_bits [bins, k], how many of them have each bit set.

    Bits are counted in bytes, 8 to a word, and moved to set_bits before a byte can overflow.
    """
    in_bytes = np.zeros(len(n_items), np.int32)
    n_items[:] = 0
    for j in range(len(bins)):
        row, weight = bins[j], weights[j]
        if n_items[row] == 0:
            set_bits[row] = 0
            small[row] = 0
        elif in_bytes[row] + weight > BYTE_MAX:
            _carry(small_bytes[row], set_bits[row])
            in_bytes[row] = 0
        for word in range(0, code_bytes.shape[1], LANES):
            store(small, row, word, add(load(small, row, word), load(code_bytes, j, word)))
        n_items[row] += weight
        in_bytes[row] += weight
    for row in range(len(n_items)):
        if n_items[row]:
            _carry(small_bytes[row], set_bits[row])


@numba.njit(cache=CACHE)
def _carry(small, large):
    for b in range(len(small)):
        large[b] += small[b]
        small[b] = 0


@numba.njit(cache=CACHE)
def _runs_of(bits):
    """Where in bits each run of consecutive ones begins, and the end of the last: int64 [runs + 1]."""
    first = np.empty(len(bits) + 1, np.int64)
    runs = 0
    for e in range(len(bits)):
        if e == 0 or bits[e] != bits[e - 1] + 1:
            first[runs] = e
            runs += 1
    first[runs] = len(bits)
    return first[: runs + 1]


@numba.njit(cache=CACHE)
def _differing(n_items, set_bits, bits, runs, sign, differing):
    """differing [b]: how many of a bin's items differ from the query in each bit.

    The rows of set_bits [rows, k] say how many items of the bin's parts have each bit set; sign is 1 where the query's
    bit is 0, and -1 where it is 1.
    """
    differing[:] = 0
    for part in range(len(set_bits)):
        ones = set_bits[part]
        for run in range(len(runs) - 1):  # copies of neighbors, since one number at a time takes the longest of all
            first, size = bits[runs[run]], runs[run + 1] - runs[run]
            source, target = ones[first : first + size], differing[runs[run] : runs[run + 1]]
            for e in range(size):
                target[e] += source[e]
    for e in range(len(differing)):
        differing[e] = differing[e] * sign[e] + (n_items if sign[e] < 0 else 0)


@numba.njit(cache=CACHE)
def _moved(n_items, here, before, after, come, found):
    """found [b]: a bin's items, less those in here, and with those in after where come is -1, else those in before."""
    for e in range(len(found)):
        found[e] = n_items - here[e] + (after[e] & come[e]) + (before[e] & ~come[e])


@numba.njit(cache=CACHE)
def _toggled_histograms(query, n_items, set_bits, parts, mask, bits, runs, counts, relevant):
    """Histograms [levels+1, b] with each bit toggled, from the items in each bin and how many of them have each bit.

    Rows parts[r] to parts[r + 1] of set_bits [rows, k] count those of bin r.

    What differs from the query in a bit goes one level farther once the bit is kept, and one nearer once it is not.
    """
    levels = len(n_items) // 2
    sign, come = np.empty(len(bits), np.int32), np.empty(len(bits), np.int32)
    for e in range(len(bits)):
        word, bit = bits[e] // 64, np.uint64(bits[e] % 64)
        sign[e] = -1 if (query[word] >> bit) & np.uint64(1) else 1
        come[e] = -1 if (mask[word] >> bit) & np.uint64(1) else 0
    differing = np.zeros((2, 3, len(bits)), np.int32)  # at three levels one after another, of either half
    misses = np.empty(len(bits), np.int32)
    for d in range(-1, levels + 1):
        before, here, after = (d - 1) % 3, d % 3, (d + 1) % 3
        for half in range(2):
            row = half * levels + d + 1
            if d + 1 < levels and n_items[row]:
                _differing(
                    n_items[row], set_bits[parts[row] : parts[row + 1]], bits, runs, sign, differing[half, after]
                )
            else:
                differing[half, after] = 0
        if d >= 0:
            total = n_items[d] if d < levels else 0
            hits = n_items[levels + d] if d < levels else 0
            _moved(total, differing[0, here], differing[0, before], differing[0, after], come, misses)
            _moved(hits, differing[1, here], differing[1, before], differing[1, after], come, relevant[d])
            found, sums = relevant[d], counts[d]
            for e in range(len(bits)):
                sums[e] = found[e] + misses[e]


@numba.njit(cache=CACHE, parallel=True)
def count_flipped(
    query, database, weights, code_bytes, query_concepts, database_concepts, mask, n_kept, bits, counts, relevant
):
    """Histograms of one subset with each of `bits` toggled alone, for short codes or few distinct ones.

    Args:
        query: uint64 [q, words], packed codes.
        database: uint64 [words, n].
        weights: int32 [n], how many items each of them stands for, at most BYTE_MAX.
        code_bytes: uint64 [n, multiple of LANES], 8 bits of a code in a word, each a byte of 0 or the weight.
        query_concepts: uint64 [q, concept words].
        database_concepts: uint64 [concept words, n].
        mask: uint64 [words], the subset.
        n_kept: its size.
        bits: int64 [b].
        counts: int32 [q, n_kept + 2, b], filled.
        relevant: int32 [q, n_kept + 2, b], filled.
    """
    levels, runs = n_kept + 1, _runs_of(bits)
    parts = np.arange(2 * levels + 1)
    for i in numba.prange(len(query)):
        bins = np.empty(database.shape[1], np.uint32)
        set_first_bins(query_concepts[i], database_concepts, levels, bins)
        add_distances(query[i], database, mask, bins)
        n_items = np.empty(2 * levels, np.int32)
        small = np.empty((2 * levels, code_bytes.shape[1]), np.uint64)
        set_bits = np.empty((2 * levels, 8 * code_bytes.shape[1]), np.int32)
        _add_codes(bins, weights, code_bytes, n_items, small, small.view(np.uint8), set_bits)
        _toggled_histograms(query[i], n_items, set_bits, parts, mask, bits, runs, counts[i], relevant[i])


@numba.njit(cache=CACHE)
def _sort_by_bin(bins, weights, n_items, starts, order):
    """order: the items bin by bin, each as often as its weight says, bins filled up to EIGHT with the item of zeros."""
    n_items[:] = 0
    for j in range(len(bins)):
        n_items[bins[j]] += weights[j]
    at = 0
    for row in range(len(n_items)):
        starts[row] = at
        at += n_items[row] + (-n_items[row] % EIGHT)
    for j in range(len(bins)):
        at = starts[bins[j]]
        starts[bins[j]] = at + weights[j]
        order[at] = j
        for more in range(1, weights[j]):
            order[at + more] = j
    for row in range(len(n_items)):
        padding = -n_items[row] % EIGHT
        order[starts[row] : starts[row] + padding] = len(bins)
        starts[row] -= n_items[row]


@numba.njit(cache=CACHE)
def _sum_slices(order, codes, sums, row, column):
    """How many of these items, MOST_IN_BYTES at most, have each bit of a tile set: bytes of sums [row, column] and on.

    Numbers are added in slices, one vector a binary digit, 8 items at a time, and then turned: byte i of vector r
    counts bit 8 i + r of the tile.
    """
    s0, s1, s2, s3, s4, s5, s6, s7 = sum_of(codes, 0, order)
    shift, mask = broadcast(np.uint64(4)), broadcast(np.uint64(0x0F0F0F0F0F0F0F0F))
    s0, s4 = swap(s0, s4, shift, mask)
    s1, s5 = swap(s1, s5, shift, mask)
    s2, s6 = swap(s2, s6, shift, mask)
    s3, s7 = swap(s3, s7, shift, mask)
    shift, mask = broadcast(np.uint64(2)), broadcast(np.uint64(0x3333333333333333))
    s0, s2 = swap(s0, s2, shift, mask)
    s1, s3 = swap(s1, s3, shift, mask)
    s4, s6 = swap(s4, s6, shift, mask)
    s5, s7 = swap(s5, s7, shift, mask)
    shift, mask = broadcast(np.uint64(1)), broadcast(np.uint64(0x5555555555555555))
    s0, s1 = swap(s0, s1, shift, mask)
    s2, s3 = swap(s2, s3, shift, mask)
    s4, s5 = swap(s4, s5, shift, mask)
    s6, s7 = swap(s6, s7, shift, mask)
    store(sums, row, column, s0)
    store(sums, row, column + LANES, s1)
    store(sums, row, column + 2 * LANES, s2)
    store(sums, row, column + 3 * LANES, s3)
    store(sums, row, column + 4 * LANES, s4)
    store(sums, row, column + 5 * LANES, s5)
    store(sums, row, column + 6 * LANES, s6)
    store(sums, row, column + 7 * LANES, s7)


@numba.njit(cache=CACHE)
def _parts_of(n_items, parts):
    """parts [bins + 1]: where the sums of each bin begin, one for every MOST_IN_BYTES items."""
    parts[0] = 0
    for row in range(len(n_items)):
        parts[row + 1] = parts[row] + (n_items[row] + MOST_IN_BYTES - 1) // MOST_IN_BYTES


@numba.njit(cache=CACHE, parallel=True)
def count_flipped_sliced(
    query, database, weights, tiles, query_concepts, database_concepts, mask, n_kept, bits, counts, relevant
):
    """`count_flipped` for long codes: items are sorted by distance, so that their bits are added and not their bytes.

    Args: as there, but for
        tiles: uint64 [t, n + 1, LANES], TILE bits of all items after another, as `in_tiles` makes them.
    """
    levels, runs = n_kept + 1, _runs_of(bits)
    n_bins, total = 2 * levels, weights.sum()
    for i in numba.prange(len(query)):
        bins = np.empty(database.shape[1], np.uint32)
        set_first_bins(query_concepts[i], database_concepts, levels, bins)
        add_distances(query[i], database, mask, bins)
        n_items, starts, parts = np.empty(n_bins, np.int32), np.empty(n_bins, np.int64), np.empty(n_bins + 1, np.int64)
        order = np.empty(total + n_bins * EIGHT, np.int32)
        _sort_by_bin(bins, weights, n_items, starts, order)
        _parts_of(n_items, parts)
        sums = np.empty((parts[n_bins], 8 * LANES * len(tiles)), np.uint64)
        for t in range(len(tiles)):
            for row in range(n_bins):
                first, stop = starts[row], starts[row] + n_items[row] + (-n_items[row] % EIGHT)
                for part in range(parts[row], parts[row + 1]):
                    last = min(first + MOST_IN_BYTES, stop)
                    _sum_slices(order[first:last], tiles[t], sums, part, t * 8 * LANES)
                    first = last
        _toggled_histograms(query[i], n_items, sums.view(np.uint8), parts, mask, bits, runs, counts[i], relevant[i])


def in_tiles(codes: np.ndarray) -> np.ndarray:
    """Codes {0,1} [n, k] as `count_flipped_sliced` reads them, uint64 [t, n + 1, LANES]; the last item is 0.

    Bit 64 r + i of a tile lies at place 8 i + r, where its number of items comes out at place 64 r + i.
    """
    n, k = codes.shape
    padded = np.zeros((n + 1, k + (-k % TILE)), np.uint8)
    padded[:n, :k] = codes
    places = padded.reshape(n + 1, -1, 8, TILE // 8).transpose(1, 0, 3, 2)
    packed = np.packbits(np.ascontiguousarray(places).reshape(-1, n + 1, TILE), axis=2, bitorder="little")
    room = np.empty(packed.size // 8 + LANES, np.uint64)  # so that a vector begins where a line of the cache does
    first = -(room.ctypes.data // 8) % LANES
    tiles = room[first : first + packed.size // 8].reshape(-1, n + 1, LANES)
    tiles[:] = packed.view(np.uint64)
    return tiles
