"""The numba kernel that counts histograms of bit subsets of any size from packed words.

Exclusive or, mask, popcount, one histogram increment a pair. The increment is what it waits for, since the next one
often goes to the same counter. It is threaded over queries, and so are the others (`planes`, `flips`, `scan`).
"""

from __future__ import annotations

import numba
import numpy as np

from hashlib_nb.hamming.lanes import popcount
from hashlib_nb.machine import CACHE


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
