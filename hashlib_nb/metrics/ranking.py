"""How retrieval is measured: every metric from two histograms per query, exact under ties.

Hamming distance takes k+1 values, so most of a ranking is tied, and the order in which a sort leaves tied items can
move mAP by points. Here each metric is an expectation over all orders of the tied items, in closed form (McSherry &
Najork, "Computing information retrieval performance measures efficiently in the presence of tied scores", ECIR 2008).
Let n_d items, p_d of them relevant, lie at distance d, and N0 items, P0 of them relevant, at smaller distances; let R
count the relevant items in all, H be the harmonic numbers, N the cut-off, t = clip(N - N0, 0, n_d) and
m = (p_d - 1)/(n_d - 1), 0 if n_d = 1. Then

    E[AP@N] = sum_d (p_d / n_d) * [m t + (P0 + 1 - m - m N0) (H_{N0+t} - H_{N0})] / min(R, N)

A query without a relevant item says nothing about a code: it has no average precision (NaN) and no part in any mean.

From the shell: ``python -m hashlib_nb.metrics --codes codes.npz --out report.json``; ``--help`` lists the options.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from hashlib_nb import checks, hamming
from hashlib_nb.hamming import Counted, Histograms, Pairs, histograms
from hashlib_nb.machine import CACHE

TIES = ("expected", "pessimistic", "optimistic")
DENOMINATORS = ("min(R,N)", "R", "hits")
NO_RELEVANT = "no query shares a concept with any database item; do both label matrices list the same concepts?"
FARTHEST = np.iinfo(np.int32).max  # more items than histograms can count: a cut-off beyond is one at it
HISTOGRAM_CELLS = 1 << 21  # histogram cells that `map_of_masks` holds at a time, unless one mask alone has more
FEW_BITS = 18  # `map_of_flipped`'s pass costs about as much as so many masks, and one more for every 64 bits of a code


def mean_average_precision(
    query_codes,
    database_codes,
    query_labels,
    database_labels,
    *,
    top_n: int | None = None,
    ties: str = "expected",
    denominator: str = "min(R,N)",
    bits: Sequence[int] | None = None,
    leave_one_out: bool = False,
) -> float:
    """Mean of `average_precision` over the queries that have a relevant item; arguments and errors as there.

    Returns:
        mAP in 0..1.
    """
    scores = average_precision(
        query_codes,
        database_codes,
        query_labels,
        database_labels,
        top_n=top_n,
        ties=ties,
        denominator=denominator,
        bits=bits,
        leave_one_out=leave_one_out,
    )
    return float(np.nanmean(scores))


def average_precision(
    query_codes,
    database_codes,
    query_labels,
    database_labels,
    *,
    top_n: int | None = None,
    ties: str = "expected",
    denominator: str = "min(R,N)",
    bits: Sequence[int] | None = None,
    leave_one_out: bool = False,
) -> np.ndarray:
    """Average precision of every query.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].
        query_labels: {0,1} [q, m]; relevant means that at least one concept is shared. Or class numbers int [q].
        database_labels: {0,1} [n, m], or class numbers int [n].
        top_n: cut-off N; the whole database if None.
        ties: "expected" over all orders of tied items, or the "pessimistic" or "optimistic" end of their range.
        denominator: "min(R,N)"; "R" (trec_eval, ranx); or "hits", the relevant items inside the top N (HashNet,
            HashGAN, DeepHash-pytorch), which is lenient: use it only to compare with papers that do.
        bits: indices of the kept bits; all of them if None.
        leave_one_out: row i of both sets is item i, with equal labels; it is left out of the ranking of query i.

    Returns:
        float64 [q]; NaN where the database holds no relevant item.

    Raises:
        ValueError: shapes that do not belong together, values other than 0/1, an unknown option, or no query with a
            relevant item.
    """
    top_n = check_options(top_n, ties, denominator)
    found = histograms(
        query_codes, database_codes, query_labels, database_labels, bits=bits, leave_one_out=leave_one_out
    )
    answerable(found)
    return average_precision_from_histograms(
        found.counts, found.relevant, top_n=top_n, ties=ties, denominator=denominator
    )


def average_precision_from_histograms(
    counts: np.ndarray,
    relevant: np.ndarray,
    *,
    top_n: int | None = None,
    ties: str = "expected",
    denominator: str = "min(R,N)",
) -> np.ndarray:
    """Average precision from histograms, for any leading axes; histograms of database shards may be added first.

    Denominator "hits" is exact as well: where the cut-off splits a level of ties, the number of hits inside the cut-off
    follows a hypergeometric distribution, over which the expectation runs (and the bracket, over its possible values).

    Args:
        counts: int [..., k+1], database items at each distance.
        relevant: int [..., k+1], relevant items among them.
        top_n: cut-off N; the whole database if None.
        ties: "expected", "pessimistic" or "optimistic".
        denominator: "min(R,N)", "R" or "hits" (0 hits score 0).

    Returns:
        float64 [...]; NaN where there is no relevant item.
    """
    top_n = check_options(top_n, ties, denominator)
    counts, relevant = (
        checks.array(counts, "counts", "int [..., k+1]"),
        checks.array(relevant, "relevant", "int [..., k+1]"),
    )
    if counts.ndim == 0 or counts.shape != relevant.shape or {counts.dtype.kind, relevant.dtype.kind} - {*"iu"}:
        raise ValueError(
            f"counts is {checks.shown(counts)} and relevant {checks.shown(relevant)}; give both as int [..., k+1]"
        )
    shape, counts, relevant = counts.shape[:-1], _as_rows(counts), _as_rows(relevant)
    if ties == "expected" and denominator != "hits" and hamming.numba_enabled():
        scores = np.empty(len(counts))
        harmonic = _harmonic_numbers(_largest_total(counts))
        _expected_average_precisions(counts, relevant, top_n or 0, denominator == "R", harmonic, scores)
        return scores.reshape(shape)
    cut_off = counts.sum(axis=1) if top_n is None else np.full(len(counts), top_n)
    n_relevant = relevant.sum(axis=1)
    if denominator == "hits":
        scores = _precision_per_hit(counts, relevant, cut_off, ties)
    else:
        bound = np.minimum(n_relevant, cut_off) if denominator == "min(R,N)" else n_relevant
        scores = _precision_sums(counts, relevant, cut_off, ties) / np.maximum(bound, 1)
    return np.where(n_relevant > 0, scores, np.nan).reshape(shape)


def map_of_masks(pairs: Pairs, masks, *, top_n: int | None = None) -> np.ndarray:
    """Tie-aware mAP of many bit subsets at once: the reward of bit selection.

    Args:
        pairs: queries and database, packed once.
        masks: bool or {0,1} [e, k]; True keeps the bit. A mask that keeps nothing scores the chance level.
        top_n: cut-off N; the whole database if None.

    Returns:
        float64 [e].

    Raises:
        ValueError: masks that are not [e, k], or no query with a relevant item.
    """
    top_n = check_options(top_n, "expected", "min(R,N)")
    masks = pairs.check_masks(masks)
    step = max(1, HISTOGRAM_CELLS // (pairs.n_counted * (int(masks.sum(axis=1).max()) + 1)))
    per_query = np.empty((len(masks), pairs.n_distinct))
    for start in range(0, len(masks), step):
        per_query[start : start + step] = _of_counted(pairs.counted_many(masks[start : start + step]), top_n)
    return _mean_over_queries(pairs, per_query)


def map_of_flipped(pairs: Pairs, mask, bits: Sequence[int], *, top_n: int | None = None) -> np.ndarray:
    """Tie-aware mAP of a bit subset with each of `bits` toggled alone, in one pass: a step of greedy selection.

    Equal to `map_of_masks` of those subsets, for a fraction of its cost (see `Pairs.histograms_flipped`).

    Args:
        pairs: queries and database, packed once.
        mask: bool or {0,1} [k]; True keeps the bit.
        bits: distinct indices in 0..k-1; each is added to the subset, or removed if it is kept.
        top_n: cut-off N; the whole database if None.

    Returns:
        float64 [b].

    Raises:
        ValueError: a mask that is not [k], bits outside 0..k-1, or no query with a relevant item.
    """
    top_n = check_options(top_n, "expected", "min(R,N)")
    if len(bits) < FEW_BITS + pairs.k // 64:  # the shared pass counts all k bits, whether asked for or not
        mask = pairs.check_masks(np.asarray(mask)[None])[0]
        return map_of_masks(pairs, hamming.toggled(mask, hamming.check_bits(bits, pairs.k)), top_n=top_n)
    step = max(1, HISTOGRAM_CELLS // (len(bits) * (int(np.sum(mask)) + 2)))
    per_query = np.empty((len(bits), pairs.n_distinct))
    for start in range(0, pairs.n_counted, step):
        rows = slice(start, start + step)
        per_query[:, pairs.distinct_of(rows)] = _of_counted(pairs.counted_flipped(mask, bits, rows), top_n).T
    return _mean_over_queries(pairs, per_query)


def _of_counted(counted: Counted, top_n: int | None) -> np.ndarray:
    """Average precision of each distinct query, float64 of the shape of its own items' distances.

    Without its own item a row's score depends on that item's distance alone, so that queries which share both share it.
    """
    found, axis = counted.found, counted.axis
    if hamming.numba_enabled() and (axis == 0 or counted.own is not None):
        harmonic = _harmonic_numbers(int(found.counts[0, 0].sum()))  # all histograms have as many items
        own = np.full(found.counts.shape[:2], -1) if counted.own is None else np.moveaxis(counted.own, axis, 0)
        own = np.ascontiguousarray(own, np.int32)
        scores, score = np.empty(own.shape), _expected_of_masks if axis else _expected_of_flipped
        order = (1, 0, 2) if axis else (0, 2, 1)  # for flipped bits, one level of all of them together
        rows = (np.ascontiguousarray(each.transpose(order)) for each in (found.counts, found.relevant))
        score(*rows, counted.starts, own, top_n or FARTHEST, harmonic, scores)
        return np.moveaxis(scores, 0, axis)
    if counted.own is None:
        return average_precision_from_histograms(found.counts, found.relevant, top_n=top_n)
    step = max(1, HISTOGRAM_CELLS // (counted.own.shape[1 - axis] * found.counts.shape[-1]))
    parts = (counted.each(slice(start, start + step)) for start in range(0, int(counted.starts[-1]), step))
    scores = [average_precision_from_histograms(part.counts, part.relevant, top_n=top_n) for part in parts]
    return np.concatenate(scores, axis)


def _mean_over_queries(pairs: Pairs, per_query: np.ndarray) -> np.ndarray:
    """Means float64 [e] over all queries of average precisions [e, n_distinct]."""
    if np.isnan(per_query).all():
        raise ValueError(NO_RELEVANT)
    return np.nanmean(np.take(per_query, pairs.row_of_query, axis=1), axis=1)  # take: one order of summation


def check_options(top_n: int | None, ties: str, denominator: str) -> int | None:
    """Returns top_n, or raises ValueError for no whole number from 1, or no word of `TIES` and `DENOMINATORS`."""
    if top_n is not None:
        top_n = min(checks.count(top_n, "top_n", why="None for the whole database"), FARTHEST)
    if ties not in TIES:
        raise ValueError(f'ties is "{ties}"; choose one of {", ".join(TIES)}')
    if denominator not in DENOMINATORS:
        raise ValueError(f'denominator is "{denominator}"; choose one of {", ".join(DENOMINATORS)}')
    return top_n


def answerable(found: Histograms) -> tuple[np.ndarray, np.ndarray]:
    """The rows of counts and relevant that have a relevant item."""
    rows = found.relevant.any(axis=1)
    if not rows.any():
        raise ValueError(NO_RELEVANT)
    return found.counts[rows], found.relevant[rows]


def _as_rows(histogram: np.ndarray) -> np.ndarray:
    """The histograms as int32 [r, k+1], the type that the kernel is compiled for."""
    return histogram.reshape(-1, histogram.shape[-1]).astype(np.int32, copy=False)


@lru_cache(maxsize=4)
def _harmonic_table(size: int) -> np.ndarray:
    table = np.arange(size, dtype=np.float64)
    np.divide(1.0, table[1:], out=table[1:])  # in place, since a table for millions of items is large
    np.cumsum(table, out=table)
    table.flags.writeable = False  # shared by every caller
    return table


def _harmonic_numbers(n: int) -> np.ndarray:
    """H_0..H_n at least; sizes are powers of two, so that nearby n share a cached table."""
    return _harmonic_table(1 << int(n + 1).bit_length())


def _precision_sums(counts: np.ndarray, relevant: np.ndarray, cut_off: np.ndarray, ties: str) -> np.ndarray:
    """Per row of histograms [r, k+1]: the sum of the precisions at the relevant ranks up to the cut-off."""
    before, relevant_before = np.cumsum(counts, axis=1) - counts, np.cumsum(relevant, axis=1) - relevant
    taken = np.clip(cut_off[:, None] - before, 0, counts)
    return _level_sums(counts, relevant, before, relevant_before, taken, ties).sum(axis=1)


def _level_sums(n, p, before, relevant_before, taken, ties: str) -> np.ndarray:
    """The share of the precision sum that comes from the first `taken` of n tied items, p of them relevant.

    The i-th item of a level is relevant with probability p/n, and then (i-1)(p-1)/(n-1) relevant items of its level lie
    before it in expectation. The optimistic order has the p relevant items first and the pessimistic one has them last,
    so their ranks are consecutive and each precision is 1 + (relevant before - rank of the start) / rank.
    """
    harmonic = _harmonic_numbers(np.max(before + n, initial=0))
    if ties == "expected":
        m = np.where(n > 1, (p - 1) / np.maximum(n - 1, 1), 0.0)
        ranks = harmonic[before + taken] - harmonic[before]
        return p / np.maximum(n, 1) * (m * taken + (relevant_before + 1 - m - m * before) * ranks)
    misses_first = n - p if ties == "pessimistic" else 0
    start, hits = before + misses_first, np.clip(taken - misses_first, 0, p)
    return hits + (relevant_before - start) * (harmonic[start + hits] - harmonic[start])


def _precision_per_hit(counts: np.ndarray, relevant: np.ndarray, cut_off: np.ndarray, ties: str) -> np.ndarray:
    """Average precision with denominator "hits" per row of histograms [r, k+1]."""
    ends = np.cumsum(counts, axis=1)
    inside = ends <= cut_off[:, None]  # levels that the cut-off leaves whole
    hits = np.where(inside, relevant, 0).sum(axis=1)
    n_inside = np.where(inside, counts, 0).sum(axis=1)
    sums = _precision_sums(counts, relevant, n_inside, ties)
    scores = sums / np.maximum(hits, 1)
    for row in np.flatnonzero(n_inside < np.minimum(cut_off, ends[:, -1])):
        level, before = inside[row].sum(), n_inside[row]
        n, p, taken = counts[row, level], relevant[row, level], cut_off[row] - before
        scores[row] = _split_level(n, p, taken, before, hits[row], sums[row], ties)
    return scores


def _split_level(n, p, taken, before, hits, precision_sum, ties: str) -> float:
    """Precision per hit where the cut-off takes the first `taken` of the last level's n tied items, p of them relevant.

    Given that s of the relevant items are taken, those s are tied among `taken` items: the same problem, without a cut.
    """
    s = np.arange(max(0, taken - (n - p)), min(p, taken) + 1)
    scores = (precision_sum + _level_sums(taken, s, before, hits, taken, ties)) / np.maximum(hits + s, 1)
    if ties == "optimistic":
        return scores.max()
    if ties == "pessimistic":
        return scores.min()
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    log_ways = -(log_factorial[s] + log_factorial[p - s])
    log_ways -= log_factorial[taken - s] + log_factorial[n - p - taken + s]  # hypergeometric, up to a constant
    ways = np.exp(log_ways - log_ways.max())
    return ways @ scores / ways.sum()


if hamming.numba is not None:

    @hamming.numba.njit(cache=CACHE)
    def _largest_total(counts):
        largest = 0
        for i in range(len(counts)):
            total = 0
            for d in range(counts.shape[1]):
                total += counts[i, d]
            largest = max(largest, total)
        return largest

    @hamming.numba.njit(cache=CACHE, inline="always")
    def _expected_average_precision(counts, relevant, row, own, top_n, by_all_relevant, harmonic):
        """Expected average precision of one row of histograms, less one item at distance own unless that is -1.

        An item has its query's labels, so it is relevant unless there are none, and then nothing is.
        """
        before, hits_before, total = 0, 0, 0.0
        for d in range(counts.shape[1]):
            n, p = counts[row, d], relevant[row, d]
            if d == own:
                n, p = n - 1, max(p - 1, 0)
            taken = min(n, top_n - before) if top_n else n
            if p > 0 and taken > 0:
                m = (p - 1) / (n - 1) if n > 1 else 0.0
                ranks = harmonic[before + taken] - harmonic[before]
                total += p / n * (m * taken + (hits_before + 1 - m - m * before) * ranks)
            before += n
            hits_before += p
        bound = hits_before if by_all_relevant or not top_n else min(hits_before, top_n)
        return total / bound if bound else np.nan

    @hamming.numba.njit(cache=CACHE, parallel=True)
    def _expected_average_precisions(counts, relevant, top_n, by_all_relevant, harmonic, scores):
        """Expected average precision of each row in one pass; `_level_sums` is bound by memory where masks are many."""
        for i in hamming.numba.prange(len(counts)):
            scores[i] = _expected_average_precision(counts, relevant, i, -1, top_n, by_all_relevant, harmonic)

    @hamming.numba.njit(cache=CACHE, parallel=True)
    def _expected_of_masks(counts, relevant, starts, own, top_n, harmonic, scores):
        """Fills scores [distinct, e] from counts and relevant [rows, e, levels], own [distinct, e]; see `Counted`."""
        levels = counts.shape[2]
        counts, relevant = counts.reshape(-1, levels), relevant.reshape(-1, levels)
        for i in hamming.numba.prange(len(starts) - 1):
            known = np.empty(levels)  # by the distance of the item that is taken out
            for e in range(own.shape[1]):
                row = i * own.shape[1] + e
                known[:] = -1.0
                for j in range(starts[i], starts[i + 1]):
                    d = own[j, e]
                    if known[d] == -1.0:
                        known[d] = _expected_average_precision(counts, relevant, row, d, top_n, False, harmonic)
                    scores[j, e] = known[d]

    @hamming.numba.njit(cache=CACHE, error_model="numpy")  # no check of divisors, which would be one at a time
    def _expected_terms(n_items, n_hits, before, hits, start, end, taken_out, top_n, terms):
        """What one level adds to the precision sums [b] (see the module's equation), of n_items and n_hits there."""
        for e in range(len(terms)):
            n, p = np.float64(n_items[e] - taken_out), np.float64(max(n_hits[e] - taken_out, 0))
            rank = np.float64(before[e])
            taken = min(n, top_n - rank)
            m = (p - 1) / max(n - 1, 1.0)
            term = p / max(n, 1.0) * (m * taken + (hits[e] + 1 - m - m * rank) * (end[e] - start[e]))
            terms[e] = term if taken > 0 else 0.0

    @hamming.numba.njit(cache=CACHE)
    def _expected_of_many(counts, relevant, own, top_n, harmonic, scores):
        """`_expected_average_precision` of histograms [levels, b], in loops that take several of them at once.

        Where no item lies at distance own, what comes out means nothing, and nobody asks for it.
        """
        size = len(scores)
        before, hits, place = np.zeros(size, np.int32), np.zeros(size, np.int32), np.empty(size, np.uint32)
        ranks, terms = np.zeros((2, size)), np.empty(size)  # harmonic numbers at a level's begin and end, in turns
        scores[:] = 0
        for d in range(len(counts)):
            n_items, n_hits, taken_out = counts[d], relevant[d], np.int32(1 if d == own else 0)
            start, end = ranks[d % 2], ranks[1 - d % 2]
            for e in range(size):
                place[e] = max(0, min(before[e] + n_items[e] - taken_out, top_n))
            for e in range(size):
                end[e] = harmonic[place[e]]
            _expected_terms(n_items, n_hits, before, hits, start, end, taken_out, np.float64(top_n), terms)
            for e in range(size):
                scores[e] += terms[e]
            for e in range(size):
                before[e] += n_items[e] - taken_out
            for e in range(size):
                hits[e] += max(n_hits[e] - taken_out, 0)
        for e in range(size):
            scores[e] = scores[e] / min(hits[e], top_n) if hits[e] else np.nan

    @hamming.numba.njit(cache=CACHE, parallel=True)
    def _expected_of_flipped(counts, relevant, starts, own, top_n, harmonic, scores):
        """Fills scores [distinct, b] from counts and relevant [rows, levels, b], own [distinct, b] or -1 everywhere."""
        for i in hamming.numba.prange(len(counts)):
            some = own[starts[i] : starts[i + 1]]
            nearest = np.int64(some.min())
            by_own = np.empty((np.int64(some.max()) - nearest + 1, counts.shape[2]))
            for d in range(len(by_own)):
                _expected_of_many(counts[i], relevant[i], nearest + d, top_n, harmonic, by_own[d])
            for j in range(starts[i], starts[i + 1]):
                for e in range(counts.shape[2]):
                    scores[j, e] = by_own[np.int64(own[j, e]) - nearest, e]
