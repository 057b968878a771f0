"""Hamming kernels: packed codes, distances, and the two histograms that every retrieval metric is made of.

A query has k+1 possible distances to the database. How many items, and how many relevant items, lie at each of them is
all that mAP, precision and recall depend on, so the kernels below count those two histograms in one pass over packed
codes and never hold a distance matrix. numba runs the pass on all cores with the processor's popcount instruction; a
numpy path gives equal results where numba is missing or not wanted (``backend="numpy"``, or HASHLIB_NB_BACKEND=numpy).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

try:
    import numba
except ImportError:
    numba = None
    warnings.warn("numba is not installed: Hamming histograms run on the slower numpy path", stacklevel=2)

WORD = 64
MAX_BITS = np.iinfo(np.uint16).max  # distances are uint16
NUMPY_PAIRS = 1 << 20  # query-database pairs that the numpy path holds at a time, unless one query alone has more


def check_codes(codes, name: str = "codes") -> np.ndarray:
    """Returns codes as uint8 {0,1} [n, k].

    Args:
        codes: array-like of bool or integers, each 0 or 1, [n, k].
        name: the argument's name, for the message.

    Raises:
        ValueError: wrong number of axes, nothing inside, not integers, or values other than 0 and 1.
    """
    codes = _check_binary(codes, name, "a code matrix [n, k]", "wrap a single code as codes[None, :]")
    if codes.shape[1] > MAX_BITS:
        raise ValueError(f"{name} has {codes.shape[1]} bits per code; at most {MAX_BITS} are supported")
    return codes


def check_labels(labels, name: str = "labels") -> np.ndarray:
    """Returns labels as uint8 {0,1} [n, m]; a row of zeros (no concept at all) is allowed.

    Args:
        labels: array-like of bool or integers, each 0 or 1, [n, m].
        name: the argument's name, for the message.

    Raises:
        ValueError: wrong number of axes, nothing inside, not integers, or values other than 0 and 1.
    """
    remedy = "turn class indices into rows with np.eye(n_classes, dtype=np.uint8)[indices]"
    return _check_binary(labels, name, "a label matrix [n, m]", remedy)


def check_bits(bits: Sequence[int], k: int) -> np.ndarray:
    """Returns the indices of the kept bits as int64 [p]; they must be distinct and within 0..k-1.

    Raises:
        ValueError: empty, not a flat list of integers, repeated, or out of range.
    """
    bits = np.asarray(bits)
    if bits.ndim != 1 or bits.size == 0 or bits.dtype.kind not in "iu":
        raise ValueError(f"bits is {bits.dtype} {list(bits.shape)}; give a non-empty flat list of bit indices")
    if bits.min() < 0 or bits.max() >= k:
        raise ValueError(f"bits runs from {bits.min()} to {bits.max()}; indices must lie in 0..{k - 1}")
    if np.unique(bits).size < bits.size:
        raise ValueError("bits names an index more than once; list each kept bit once")
    return bits.astype(np.int64)


def pack(codes) -> np.ndarray:
    """Packs 0/1 codes into 64-bit words in little bit order.

    Bit j of a code is bit j % 64, counted from the least significant one, of word j // 64.

    Args:
        codes: {0,1} [n, k].

    Returns:
        uint64 [n, ceil(k/64)]; the unused high bits of the last word are 0.

    Raises:
        ValueError: codes is not a 0/1 matrix.
    """
    return _pack(check_codes(codes))


def distances(query_codes, database_codes) -> np.ndarray:
    """Hamming distance of every query to every database item.

    The one function here whose memory grows with q x n; metrics use `histograms`.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].

    Returns:
        uint16 [q, n].

    Raises:
        ValueError: codes that are not 0/1 matrices of one width.
    """
    query_codes, database_codes = _check_same_width(query_codes, database_codes)
    query, database = _pack(query_codes), _pack(database_codes).T
    out = np.empty((len(query_codes), len(database_codes)), np.uint16)
    for rows in _query_chunks(*out.shape):
        out[rows] = _distance_block(query[rows], database)
    return out


@dataclass(frozen=True)
class Histograms:
    """What a ranking by Hamming distance holds, level by level; leading axes as documented by the maker."""

    counts: np.ndarray
    """int32 [..., q, k+1]: database items at each distance (n_d)."""

    relevant: np.ndarray
    """int32 [..., q, k+1]: those among them that share a concept with the query (p_d)."""


class Pairs:
    """Queries against a database, checked and packed once, for many evaluations of bit subsets.

    Relevant means: shares at least one concept. With ``leave_one_out=True`` the query set is the database, row i is
    query i, and item i is left out of its own ranking.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].
        query_labels: {0,1} [q, m].
        database_labels: {0,1} [n, m].
        leave_one_out: leave item i out of the ranking of query i.
        backend: "numba", "numpy", or "auto" (HASHLIB_NB_BACKEND if set, else numba where it is installed).

    Raises:
        ValueError: shapes that do not belong together, values other than 0/1, or an unknown backend.
    """

    def __init__(
        self,
        query_codes,
        database_codes,
        query_labels,
        database_labels,
        *,
        leave_one_out: bool = False,
        backend: str = "auto",
    ):
        self._count_words = _count_words_numba if numba_enabled(backend) else _count_words_numpy
        query_codes, database_codes = _check_same_width(query_codes, database_codes)
        query_labels = check_labels(query_labels, "query_labels")
        database_labels = check_labels(database_labels, "database_labels")
        _check_rows(query_codes, query_labels, "query")
        _check_rows(database_codes, database_labels, "database")
        if query_labels.shape[1] != database_labels.shape[1]:
            raise ValueError(
                f"query_labels has {query_labels.shape[1]} concepts and database_labels {database_labels.shape[1]}; "
                "both must list the same concepts"
            )
        if leave_one_out:
            _check_one_set(query_codes, database_codes, query_labels, database_labels)
        self.leave_one_out = leave_one_out
        self.n_queries, self.k = query_codes.shape
        self.n_database = len(database_codes)
        self._has_concept = query_labels.any(axis=1)
        # The database lies word by word, so that the inner loops read memory in order.
        self._query, self._database = _pack(query_codes), np.ascontiguousarray(_pack(database_codes).T)
        self._query_concepts = _pack(query_labels)
        self._database_concepts = np.ascontiguousarray(_pack(database_labels).T)

    def histograms(self, bits: Sequence[int] | None = None) -> Histograms:
        """Histograms for one subset of the bits.

        Args:
            bits: distinct indices of the kept bits in 0..k-1; all of them if None. A word mask: nothing is repacked.

        Returns:
            Histograms of shape [q, p+1], p being the number of kept bits.
        """
        bits = np.arange(self.k) if bits is None else check_bits(bits, self.k)
        mask = np.zeros((1, self.k), np.uint8)
        mask[0, bits] = 1
        result = self._count(mask, len(bits) + 1)
        return Histograms(result.counts[0], result.relevant[0])

    def histograms_many(self, masks) -> Histograms:
        """Histograms for many subsets of the bits in one parallel pass.

        Args:
            masks: bool or {0,1} [e, k]; True keeps the bit. A mask that keeps nothing puts every item at distance 0.

        Returns:
            Histograms of shape [e, q, k+1]; levels beyond a mask's number of kept bits are empty.
        """
        return self._count(self.check_masks(masks), self.k + 1)

    def check_masks(self, masks) -> np.ndarray:
        """Returns masks as uint8 {0,1} [e, k], or raises ValueError."""
        masks = check_codes(masks, "masks")
        if masks.shape[1] != self.k:
            raise ValueError(f"masks is {masks.shape[1]} wide; the codes have {self.k} bits")
        return masks

    def _count(self, masks: np.ndarray, levels: int) -> Histograms:
        counts, relevant = self._count_words(
            self._query, self._database, self._query_concepts, self._database_concepts, _pack(masks), levels
        )
        if self.leave_one_out:  # an item is at distance 0 from itself, whatever the mask
            counts[..., 0] -= 1
            relevant[..., 0] -= self._has_concept
        return Histograms(counts, relevant)


def histograms(
    query_codes,
    database_codes,
    query_labels,
    database_labels,
    *,
    bits: Sequence[int] | None = None,
    leave_one_out: bool = False,
    backend: str = "auto",
) -> Histograms:
    """Per query and per distance: database items (n_d) and relevant database items (p_d).

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].
        query_labels: {0,1} [q, m]; relevant means that at least one concept is shared.
        database_labels: {0,1} [n, m].
        bits: distinct indices of the bits to keep; all of them if None.
        leave_one_out: the query set is the database; item i is left out of the ranking of query i.
        backend: "numba", "numpy" or "auto"; see `Pairs`.

    Returns:
        Histograms of shape [q, p+1], p being the number of kept bits.

    Raises:
        ValueError: shapes that do not belong together, values other than 0/1, bad bits, or an unknown backend.
    """
    pairs = Pairs(
        query_codes, database_codes, query_labels, database_labels, leave_one_out=leave_one_out, backend=backend
    )
    return pairs.histograms(bits)


def numba_enabled(backend: str = "auto") -> bool:
    """Whether the numba kernels are to be used; "auto" asks HASHLIB_NB_BACKEND, then whether numba is installed."""
    if backend == "auto":
        backend = os.environ.get("HASHLIB_NB_BACKEND", "auto")
    if backend not in ("auto", "numba", "numpy"):
        raise ValueError(f'backend is "{backend}"; choose "auto", "numba" or "numpy"')
    if backend == "numba" and numba is None:
        raise ValueError('backend is "numba", which is not installed; choose "auto" or install numba')
    return backend != "numpy" and numba is not None


def _check_binary(array, name: str, shape: str, ndim_remedy: str) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {list(array.shape)}; expected {shape}: {ndim_remedy}")
    if array.size == 0:
        raise ValueError(
            f"{name} is empty, shape {list(array.shape)}; expected {shape} with n and the width at least 1"
        )
    if array.dtype.kind not in "biu":
        raise ValueError(f"{name} is {array.dtype}; expected 0/1 integers: threshold it, (x > 0).astype(np.uint8)")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 1:
        remedy = "map -1/+1 to 0/1 with (x > 0).astype(np.uint8)" if low < 0 else "expected 0 and 1 alone"
        raise ValueError(f"{name} has values from {low} to {high}; {remedy}")
    return array.astype(np.uint8, copy=False)


def _check_same_width(query_codes, database_codes) -> tuple[np.ndarray, np.ndarray]:
    query_codes, database_codes = check_codes(query_codes, "query_codes"), check_codes(database_codes, "database_codes")
    if query_codes.shape[1] != database_codes.shape[1]:
        raise ValueError(
            f"query_codes has {query_codes.shape[1]} bits and database_codes {database_codes.shape[1]}; "
            "both must come from one encoder"
        )
    return query_codes, database_codes


def _check_rows(codes: np.ndarray, labels: np.ndarray, role: str) -> None:
    if len(codes) != len(labels):
        raise ValueError(f"{role}_codes has {len(codes)} rows and {role}_labels {len(labels)}; give one label row each")


def _check_one_set(query_codes, database_codes, query_labels, database_labels) -> None:
    if not (np.array_equal(query_codes, database_codes) and np.array_equal(query_labels, database_labels)):
        raise ValueError("leave_one_out=True needs the database as the query set; pass the same codes and labels twice")
    if len(query_codes) < 2:
        raise ValueError("leave_one_out=True leaves nothing to rank in a database of 1 item; give at least 2")


def _pack(binary: np.ndarray) -> np.ndarray:
    padding = -binary.shape[1] % WORD
    packed = np.packbits(np.pad(binary, ((0, 0), (0, padding))), axis=1, bitorder="little")
    # A column selection such as codes[:, bits] is stored column by column, and so is what packbits makes of it.
    return np.ascontiguousarray(packed).view("<u8").astype(np.uint64, copy=False)


def _query_chunks(n_queries: int, n_database: int) -> list[slice]:
    step = max(1, NUMPY_PAIRS // n_database)
    return [slice(start, start + step) for start in range(0, n_queries, step)]


def _distance_block(query: np.ndarray, database: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Distances uint16 [c, n] of packed queries [c, words] to a word-by-word database [words, n]."""
    total = np.zeros((len(query), database.shape[1]), np.uint16)
    for word in range(len(database)):
        differing = query[:, word, None] ^ database[word]
        total += np.bitwise_count(differing if mask is None else differing & mask[word])
    return total


def _relevant_block(query_concepts: np.ndarray, database_concepts: np.ndarray) -> np.ndarray:
    """Marks the pairs that share a concept, bool [c, n]."""
    shared = np.zeros((len(query_concepts), database_concepts.shape[1]), bool)
    for word in range(len(database_concepts)):
        shared |= (query_concepts[:, word, None] & database_concepts[word]) != 0
    return shared


def _count_words_numpy(query, database, query_concepts, database_concepts, masks, levels):
    """The numpy twin of `_count_words_numba`, in chunks of queries."""
    n_queries = len(query)
    result = np.empty((len(masks), n_queries, 2, levels), np.int32)
    for rows in _query_chunks(n_queries, database.shape[1]):
        relevant = _relevant_block(query_concepts[rows], database_concepts)
        first_bin = (2 * np.arange(len(relevant))[:, None] + relevant) * levels
        for e, mask in enumerate(masks):
            bins = first_bin + _distance_block(query[rows], database, mask)
            flat = np.bincount(bins.ravel(), minlength=2 * levels * len(relevant))
            result[e, rows] = flat.reshape(-1, 2, levels)
    relevant = result[:, :, 1].copy()
    return result[:, :, 0] + relevant, relevant


if numba is not None:

    @numba.extending.intrinsic
    def _popcount(typing_context, word):
        """Number of set bits of a uint64: LLVM's ctpop, one instruction on current processors."""

        def codegen(context, builder, signature, args):
            return builder.ctpop(args[0])

        return numba.types.uint64(numba.types.uint64), codegen

    @numba.njit(cache=True)
    def _count_mask(query, database, mask, first_bins, bins, histogram):
        """Counts one query's items; the last word goes straight into the histogram, so one-word codes take one loop."""
        last = len(query) - 1
        if last > 0:
            bins[:] = first_bins
            first_bins = bins
        for word in range(last):
            # Locals, because a store to bins could alias the arrays and would force a reload of each.
            code, kept, items = query[word], mask[word], database[word]
            if kept:
                for j in range(len(items)):
                    bins[j] += _popcount((code ^ items[j]) & kept)
        code, kept, items = query[last], mask[last], database[last]
        for j in range(len(items)):
            histogram[first_bins[j] + _popcount((code ^ items[j]) & kept)] += 1

    @numba.njit(cache=True)
    def _count_query(query, database, query_concepts, database_concepts, masks, counts, relevant):
        """Fills one query's counts and relevant [e, levels]; relevance is looked up once for all masks."""
        n_masks, levels = counts.shape
        n_database = database.shape[1]
        first_bins = np.zeros(n_database, np.uint32)  # relevant items count into the upper half of the histogram
        for word in range(len(query_concepts)):
            concepts, items = query_concepts[word], database_concepts[word]
            for j in range(n_database):  # a select and not a branch: the compiler vectorizes it
                first_bins[j] = levels if concepts & items[j] else first_bins[j]
        bins = np.empty(n_database, np.uint32)
        histogram = np.empty(2 * levels, np.int32)
        for e in range(n_masks):
            histogram[:] = 0
            _count_mask(query, database, masks[e], first_bins, bins, histogram)
            for d in range(levels):
                relevant[e, d] = histogram[levels + d]
                counts[e, d] = histogram[d] + histogram[levels + d]

    @numba.njit(cache=True, parallel=True)
    def _count_queries(query, database, query_concepts, database_concepts, masks, counts, relevant):
        for i in numba.prange(len(query)):
            _count_query(query[i], database, query_concepts[i], database_concepts, masks, counts[:, i], relevant[:, i])


def _count_words_numba(query, database, query_concepts, database_concepts, masks, levels):
    """Counts int32 [e, q, levels] twice, all items and relevant ones; arguments are packed words."""
    counts = np.empty((len(masks), len(query), levels), np.int32)
    relevant = np.empty_like(counts)
    _count_queries(query, database, query_concepts, database_concepts, masks, counts, relevant)
    return counts, relevant
