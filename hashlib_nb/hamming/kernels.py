"""The numba kernels behind hamming.py: four ways to count, each exact, each threaded over queries.

`count_words` walks packed codes: exclusive or, mask, popcount, one histogram increment a pair. The increment is what it
waits for, since the next one often goes to the same counter.

`count_planes` has no increment. The database lies in bit planes: bit j of word i of plane b is bit b of item 64 i + j,
so that one machine word holds a bit of 64 items (O'Neil & Quass, "Improved query performance with variant indexes",
SIGMOD 1997). Kept planes are added with carry-save adders (Mula, Kurz & Lemire, "Faster population counts using AVX2
instructions", 2018) to distances that are themselves bit planes; a binary tree over those planes splits the items by
distance, and a popcount per distance reads the histogram off. Its cost grows with the number of kept bits, and bits
that are not kept cost nothing.

`count_flipped` answers for all subsets that differ in one bit from a given one. It takes each item's distance once and
adds its code, one byte a bit, to a row of counters for that distance: how many items at distance d have bit b set gives
the histogram with b added or removed, without going back to the items. `count_flipped_sliced` does the same for long
codes: items that lie at one distance are listed together, so that their bits can be added with carry-save adders, 512
bits of an item in one instruction, and no row of counters is read and written for each item.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from hashlib_nb.machine.numba_cache import CACHE

LANES = 8
"""64-bit words in a vector: one AVX-512 register, two of AVX2, four of NEON; LLVM splits it as the machine needs."""
BLOCK = 64 * LANES
"""Items that `count_planes` takes at a time; planes are padded to a multiple of it."""
BYTE_MAX = np.iinfo(np.uint8).max
"""Most items that one weighted item may stand for in `count_flipped`, which counts in bytes."""
TILE = 64 * LANES
"""Bits of a code that `count_flipped_sliced` counts at a time: one vector."""
EIGHT = 8
"""Items that are added at a time there."""
MOST_IN_BYTES = BYTE_MAX // EIGHT * EIGHT
_VECTOR = ir.VectorType(ir.IntType(64), LANES)


@intrinsic
def popcount(typing_context, word):
    """Number of set bits of a uint64: LLVM's ctpop, one instruction on current processors."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


# A vector of LANES words as a numba type. Loops over short rows of one array would need a run-time check for overlap
# before each could be vectorized; values of this type live in registers.


class _Lanes(types.Type):
    def __init__(self):
        super().__init__(name="Lanes")


_lanes = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, _VECTOR)


def _elementwise(operation: str):
    @intrinsic
    def apply(typing_context, a, b):
        def codegen(context, builder, signature, args):
            return getattr(builder, operation)(*args)

        return _lanes(_lanes, _lanes), codegen

    return apply


_and, _or, _xor, _add, _shl, _lshr = map(_elementwise, ("and_", "or_", "xor", "add", "shl", "lshr"))


def _address(context, builder, signature, args):
    """Pointer to the vector that begins at element [i, j] of a C-ordered uint64 array."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    shape, strides = (cgutils.unpack_tuple(builder, each) for each in (array.shape, array.strides))
    pointer = cgutils.get_item_pointer2(context, builder, array.data, shape, strides, "C", args[1:3])
    return builder.bitcast(pointer, _VECTOR.as_pointer())


@intrinsic
def _load(typing_context, array, i, j):
    def codegen(context, builder, signature, args):
        return builder.load(_address(context, builder, signature, args), align=8)

    return _lanes(array, types.intp, types.intp), codegen


@intrinsic
def _store(typing_context, array, i, j, value):
    def codegen(context, builder, signature, args):
        builder.store(args[3], _address(context, builder, signature, args), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, _lanes), codegen


@intrinsic
def _broadcast(typing_context, word):
    def codegen(context, builder, signature, args):
        vector = ir.Constant(_VECTOR, ir.Undefined)
        for lane in range(LANES):
            vector = builder.insert_element(vector, args[0], ir.Constant(ir.IntType(32), lane))
        return vector

    return _lanes(types.uint64), codegen


@intrinsic
def _popcounts(typing_context, vector):
    def codegen(context, builder, signature, args):
        ctpop = builder.module.declare_intrinsic(f"llvm.ctpop.v{LANES}i64", (), ir.FunctionType(_VECTOR, [_VECTOR]))
        return builder.call(ctpop, args)

    return _lanes(_lanes), codegen


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
def _full_adder(a, b, c):
    """Sum and carry of three bits in every place."""
    half = _xor(a, b)
    return _xor(half, c), _or(_and(a, b), _and(half, c))


@numba.njit(cache=CACHE, inline="always")
def _increase(counters, row, vector):
    _store(counters, row, 0, _add(_load(counters, row, 0), _popcounts(vector)))


@numba.njit(cache=CACHE)
def _distance_planes(planes, flips, kept, start, sums):
    """Adds one block's kept planes, each exclusive-or its flip, into sums [n_sums, LANES], lowest bit first."""
    zero = _broadcast(np.uint64(0))
    ones, twos, fours = zero, zero, zero
    n_sums = len(sums)
    for b in range(3, n_sums):
        _store(sums, b, 0, zero)
    for j in range(0, len(kept), 8):
        x0 = _xor(_load(planes, kept[j], start), _broadcast(flips[j]))
        x1 = _xor(_load(planes, kept[j + 1], start), _broadcast(flips[j + 1]))
        x2 = _xor(_load(planes, kept[j + 2], start), _broadcast(flips[j + 2]))
        x3 = _xor(_load(planes, kept[j + 3], start), _broadcast(flips[j + 3]))
        x4 = _xor(_load(planes, kept[j + 4], start), _broadcast(flips[j + 4]))
        x5 = _xor(_load(planes, kept[j + 5], start), _broadcast(flips[j + 5]))
        x6 = _xor(_load(planes, kept[j + 6], start), _broadcast(flips[j + 6]))
        x7 = _xor(_load(planes, kept[j + 7], start), _broadcast(flips[j + 7]))
        ones, two_a = _full_adder(ones, x0, x1)
        ones, two_b = _full_adder(ones, x2, x3)
        twos, four_a = _full_adder(twos, two_a, two_b)
        ones, two_a = _full_adder(ones, x4, x5)
        ones, two_b = _full_adder(ones, x6, x7)
        twos, four_b = _full_adder(twos, two_a, two_b)
        fours, carry = _full_adder(fours, four_a, four_b)
        for b in range(3, n_sums):
            total = _load(sums, b, 0)
            _store(sums, b, 0, _xor(total, carry))
            carry = _and(total, carry)
    _store(sums, 0, 0, ones)
    _store(sums, 1, 0, twos)
    _store(sums, 2, 0, fours)


@numba.njit(cache=CACHE)
def _split_by_distance(sums, n_kept, items):
    """From items[0], the marks of a block's items, to items[t], marks of those at distance 2 t or 2 t + 1.

    Returns:
        How many t there are.
    """
    width = 1
    for b in range(len(sums) - 1, 0, -1):
        plane = _load(sums, b, 0)
        for t in range(width - 1, -1, -1):
            both = _load(items, t, 0)
            upper = _and(both, plane)
            _store(items, 2 * t + 1, 0, upper)
            _store(items, 2 * t, 0, _xor(both, upper))
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
    lowest = _load(sums, 0, 0)
    if alike:  # most blocks, since the database is sorted by label set: relevance is one question for all of it
        row = half if first else 0
        for t in range(width):
            both = _load(items, t, 0)
            upper = _and(both, lowest)
            _increase(counters, row + 2 * t, _xor(both, upper))
            _increase(counters, row + 2 * t + 1, upper)
        return
    marks = _load(relevant, 0, start)
    for t in range(width):
        both = _load(items, t, 0)
        upper = _and(both, lowest)
        lower = _xor(both, upper)
        upper_hits, lower_hits = _and(upper, marks), _and(lower, marks)
        _increase(counters, 2 * t, _xor(lower, lower_hits))
        _increase(counters, 2 * t + 1, _xor(upper, upper_hits))
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
        _store(items, 0, 0, _load(valid, 0, start))
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
def _first_bins(query_concepts, database_concepts, levels, bins):
    """bins [n] = levels for relevant items, else 0: relevant items count into the upper half of a histogram."""
    bins[:] = 0
    for word in range(len(query_concepts)):
        # Locals, because a store to bins could alias the arrays and would force a reload of each.
        concepts, items = query_concepts[word], database_concepts[word]
        for j in range(len(bins)):  # a select and not a branch: the compiler vectorizes it
            bins[j] = levels if concepts & items[j] else bins[j]


@numba.njit(cache=CACHE)
def _add_distances(query, database, mask, bins):
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
        _first_bins(query_concepts[i], database_concepts, levels, first_bins)
        histogram = np.empty(2 * levels, np.int32)
        for e in range(len(masks)):
            bins[:] = first_bins
            _add_distances(query[i], database, masks[e], bins)
            histogram[:] = 0
            for j in range(len(bins)):
                histogram[bins[j]] += weights[j]
            for d in range(levels):
                relevant[e, i, d] = histogram[levels + d]
                counts[e, i, d] = histogram[d] + histogram[levels + d]


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
            _store(small, row, word, _add(_load(small, row, word), _load(code_bytes, j, word)))
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
        _first_bins(query_concepts[i], database_concepts, levels, bins)
        _add_distances(query[i], database, mask, bins)
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
def _swap(low, high, shift, mask):
    """Exchanges the bits of low that mask, shifted, marks with those of high that mask marks."""
    moved = _and(_xor(_lshr(low, shift), high), mask)
    return _xor(low, _shl(moved, shift)), _xor(high, moved)


@numba.njit(cache=CACHE)
def _sum_slices(order, codes, sums, row, column):
    """How many of these items, MOST_IN_BYTES at most, have each bit of a tile set: bytes of sums [row, column] and on.

    Numbers are added in slices, one vector a binary digit, 8 items at a time, and then turned: byte i of vector r
    counts bit 8 i + r of the tile.
    """
    zero = _broadcast(np.uint64(0))
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    for j in range(0, len(order), EIGHT):
        s0, two_a = _full_adder(s0, _load(codes, order[j], 0), _load(codes, order[j + 1], 0))
        s0, two_b = _full_adder(s0, _load(codes, order[j + 2], 0), _load(codes, order[j + 3], 0))
        s1, four_a = _full_adder(s1, two_a, two_b)
        s0, two_a = _full_adder(s0, _load(codes, order[j + 4], 0), _load(codes, order[j + 5], 0))
        s0, two_b = _full_adder(s0, _load(codes, order[j + 6], 0), _load(codes, order[j + 7], 0))
        s1, four_b = _full_adder(s1, two_a, two_b)
        s2, carry = _full_adder(s2, four_a, four_b)
        s3, carry = _xor(s3, carry), _and(s3, carry)
        s4, carry = _xor(s4, carry), _and(s4, carry)
        s5, carry = _xor(s5, carry), _and(s5, carry)
        s6, carry = _xor(s6, carry), _and(s6, carry)
        s7 = _xor(s7, carry)
    shift, mask = _broadcast(np.uint64(4)), _broadcast(np.uint64(0x0F0F0F0F0F0F0F0F))
    s0, s4 = _swap(s0, s4, shift, mask)
    s1, s5 = _swap(s1, s5, shift, mask)
    s2, s6 = _swap(s2, s6, shift, mask)
    s3, s7 = _swap(s3, s7, shift, mask)
    shift, mask = _broadcast(np.uint64(2)), _broadcast(np.uint64(0x3333333333333333))
    s0, s2 = _swap(s0, s2, shift, mask)
    s1, s3 = _swap(s1, s3, shift, mask)
    s4, s6 = _swap(s4, s6, shift, mask)
    s5, s7 = _swap(s5, s7, shift, mask)
    shift, mask = _broadcast(np.uint64(1)), _broadcast(np.uint64(0x5555555555555555))
    s0, s1 = _swap(s0, s1, shift, mask)
    s2, s3 = _swap(s2, s3, shift, mask)
    s4, s5 = _swap(s4, s5, shift, mask)
    s6, s7 = _swap(s6, s7, shift, mask)
    _store(sums, row, column, s0)
    _store(sums, row, column + LANES, s1)
    _store(sums, row, column + 2 * LANES, s2)
    _store(sums, row, column + 3 * LANES, s3)
    _store(sums, row, column + 4 * LANES, s4)
    _store(sums, row, column + 5 * LANES, s5)
    _store(sums, row, column + 6 * LANES, s6)
    _store(sums, row, column + 7 * LANES, s7)


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
        _first_bins(query_concepts[i], database_concepts, levels, bins)
        _add_distances(query[i], database, mask, bins)
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
