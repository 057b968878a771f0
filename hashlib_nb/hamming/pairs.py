"""Hamming kernels: packed codes, distances, and the two histograms that every retrieval metric is made of.

A query has k+1 possible distances to the database. How many items, and how many relevant items, lie at each of them is
all that mAP, precision and recall depend on, so the kernels count those two histograms in one pass over packed codes
and never hold a distance matrix. numba runs them on all cores (kernels.py says how); a numpy path gives equal results
where numba is missing or not wanted (``backend="numpy"``, or HASHLIB_NB_BACKEND=numpy).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hashlib_nb.hamming.arrays import (
    WORD,
    check_bits,
    check_codes,
    check_labels,
    check_one_set,
    check_rows,
    check_same_width,
    concept_words,
    distance_block,
    mask_of,
    numba,
    numba_enabled,
    pack_checked,
    query_chunks,
    toggled,
)

if numba is not None:
    from hashlib_nb.hamming import flips, kernels, planes

PLANES_UP_TO = 255  # kept bits; beyond, or with fewer distinct items, words are counted instead of bit planes
MAX_WEIGHT = np.iinfo(np.uint8).max  # items that one distinct item may stand for: a kernel counts them in bytes


@dataclass(frozen=True)
class Histograms:
    """What a ranking by Hamming distance holds, level by level; leading axes as documented by the maker."""

    counts: np.ndarray
    """int32 [..., q, levels]: database items at each distance 0, 1, ... (n_d)."""

    relevant: np.ndarray
    """int32 [..., q, levels]: those among them that share a concept with the query (p_d)."""

    def __add__(self, other: Histograms) -> Histograms:
        """Histograms of the same queries over two parts of a database, as those of the whole."""
        return Histograms(self.counts + other.counts, self.relevant + other.relevant)


@dataclass(frozen=True)
class Counted:
    """Histograms of the rows that `Pairs` counts, and where in them the own item of each distinct query lies."""

    found: Histograms
    """Of shape [..., rows, ..., levels]; what is left out is still in where `own` says so, and only there."""

    own: np.ndarray | None
    """uint16 [..., distinct, ...], the distance of each distinct query's own item; None if nothing is to be taken out.
    Rows are then the distinct queries."""

    starts: np.ndarray
    """int64 [rows + 1]: the distinct queries starts[r] to starts[r + 1] are counted in row r."""

    axis: int
    """Which axis of the histograms numbers rows, and which of `own` distinct queries."""

    def each(self, which: slice = slice(None)) -> Histograms:
        """Histograms of these distinct queries, each without its own item: as `found`, a row for each of them."""
        index = (slice(None),) * self.axis + (which,)
        if self.own is None:
            return Histograms(self.found.counts[index], self.found.relevant[index])
        row = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))[which]
        counts, relevant = (np.take(each, row, self.axis) for each in (self.found.counts, self.found.relevant))
        at = self.own[index][..., None].astype(np.int64)
        there = np.take_along_axis(relevant, at, -1)
        np.put_along_axis(counts, at, np.take_along_axis(counts, at, -1) - 1, -1)
        # An item has its query's labels, so it is relevant unless there are none, and then nothing is.
        np.put_along_axis(relevant, at, there - (there > 0), -1)
        return Histograms(counts, relevant)


class Pairs:
    """Queries against a database, checked and packed once, for many evaluations of bit subsets.

    Relevant means: shares at least one concept, or, where labels are class numbers, is of the same class. With
    ``leave_one_out=True`` row i of both sets is item i, and it is left out of the ranking of query i. Its labels are
    equal in both; its two codes may differ (a query that has a code of its own, such as that of its class), and then
    the item is taken out at its own distance, which depends on the kept bits.

    Queries with equal code and labels are counted once. Those among them whose own items, where these are left out,
    have equal codes as well are one distinct query: there are `n_distinct` of them, in an order of their own, and
    `row_of_query` int64 [q] says which of them each query is.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].
        query_labels: {0,1} [q, m], or class numbers int [q].
        database_labels: {0,1} [n, m], or class numbers int [n]; both in one form.
        leave_one_out: leave item i out of the ranking of query i; both sets then have equal labels, row by row.
        backend: "numba", "numpy", or "auto" (HASHLIB_NB_BACKEND if set, else numba where it is installed).

    Raises:
        ValueError: shapes that do not belong together, values other than 0/1, labels that differ where an item is to be
            left out, or an unknown backend.
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
        self._numba = numba_enabled(backend)
        query_codes, database_codes = check_same_width(query_codes, database_codes)
        query_labels = check_labels(query_labels, "query_labels")
        database_labels = check_labels(database_labels, "database_labels")
        check_rows(query_codes, query_labels, "query")
        check_rows(database_codes, database_labels, "database")
        query_words, database_words, self._n_concepts, self._classes = concept_words(query_labels, database_labels)
        if leave_one_out:
            check_one_set(query_labels, database_labels)
        self.leave_one_out = leave_one_out
        self.n_queries, self.k = query_codes.shape
        self.n_database = len(database_codes)
        # Codes fitted to labels repeat a lot: queries with the same code and labels have the same histograms, and such
        # items are counted as one with a weight. Sorting by labels makes blocks of items that are relevant or are not.
        words = -(-self.k // WORD)
        query_codes, database_codes = pack_checked(query_codes), pack_checked(database_codes)
        rows, starts, order = _distinct(query_codes, query_words)
        rows, self.row_of_query = rows.T, _row_of(starts, order)
        self._starts, self._apart = np.arange(len(rows) + 1), None
        if leave_one_out and not np.array_equal(query_codes, database_codes):
            apart, self.row_of_query, self._starts = _split(self.row_of_query, query_codes ^ database_codes)
            self._apart = np.ascontiguousarray(apart.T)  # which bits each distinct query and its own item differ in
        self.n_distinct, self.n_counted = int(self._starts[-1]), len(rows)
        self._query, self._query_concepts = map(np.ascontiguousarray, np.split(rows, [words], axis=1))
        self._has_concept = self._query_concepts.any(axis=1).astype(np.int32)  # with class numbers, all have
        rows, starts, _ = _distinct(database_codes, database_words)
        rows, self._weights = _weighted(rows, np.diff(starts, append=self.n_database))
        # The database lies word by word, so that the inner loops read memory in order.
        self._database, self._database_concepts = map(np.ascontiguousarray, np.split(rows, [words]))
        # One way to count flipped bits adds the bytes of every distinct item, the other the bits of every item.
        self._sliced = 2 * self.n_database <= words * len(self._weights)

    def histograms(self, bits: Sequence[int] | None = None) -> Histograms:
        """Histograms for one subset of the bits.

        Args:
            bits: distinct indices of the kept bits in 0..k-1; all of them if None. Nothing is repacked.

        Returns:
            Histograms of shape [q, p+1], p being the number of kept bits.
        """
        mask = np.ones(self.k, np.uint8) if bits is None else mask_of(bits, self.k)
        result = self.histograms_many(mask[None])
        return Histograms(result.counts[0], result.relevant[0])

    def histograms_many(self, masks, *, distinct: bool = False) -> Histograms:
        """Histograms for many subsets of the bits in one parallel pass.

        Args:
            masks: bool or {0,1} [e, k]; True keeps the bit. A mask that keeps nothing puts every item at distance 0.
            distinct: give a row for each distinct query only, and q below is `n_distinct`.

        Returns:
            Histograms of shape [e, q, P+1], P being the number of bits that the largest mask keeps; levels beyond a
            mask's own number of kept bits are empty.
        """
        found = self.counted_many(masks).each()
        if distinct:
            return found
        return Histograms(*(np.take(each, self.row_of_query, axis=1) for each in (found.counts, found.relevant)))

    def counted_many(self, masks) -> Counted:
        """`histograms_many` before own items are taken out: a row for each query code and labels.

        Args:
            masks: bool or {0,1} [e, k]; True keeps the bit.

        Returns:
            Histograms of shape [e, `n_counted`, P+1], with own items at [e, `n_distinct`].
        """
        masks = self.check_masks(masks)
        n_kept = masks.sum(axis=1, dtype=np.int64)
        counts = np.empty((len(masks), self.n_counted, n_kept.max() + 1), np.int32)
        relevant = np.empty_like(counts)
        few = self._numba & (n_kept * self.n_database <= PLANES_UP_TO * len(self._weights))
        for rows, count in ((few, self._count_planes), (~few, self._count_words)):
            if rows.all():
                count(masks, n_kept, counts, relevant)
            elif rows.any():
                part = np.empty((2, rows.sum(), *counts.shape[1:]), np.int32)
                count(masks[rows], n_kept[rows], *part)
                counts[rows], relevant[rows] = part
        found = self._finished(Histograms(counts, relevant), self._has_concept)
        own = None if self._apart is None else self._own_distances(masks)
        return Counted(found, own, self._starts, axis=1)

    def histograms_flipped(self, mask, bits: Sequence[int], *, distinct: slice | None = None) -> Histograms:
        """Histograms of a subset of the bits with each of `bits` toggled alone: added, or removed if it is kept.

        One pass over the items serves all of them, for about the price of twenty masks of 16 bits and one more for
        every 64 bits of a code, so that a step of greedy selection, which tries every bit that is left, need not pay
        for each try.

        Args:
            mask: bool or {0,1} [k]; True keeps the bit.
            bits: distinct indices of the bits to toggle, in 0..k-1.
            distinct: give a row for each of these distinct queries only, so that memory can be bounded.

        Returns:
            Histograms of shape [q, b, p+2], p being the number of bits that the mask keeps.
        """
        first, last, _ = (slice(None) if distinct is None else distinct).indices(self.n_distinct)
        rows = np.searchsorted(self._starts, [first, last - 1], side="right") - 1
        counted = self.counted_flipped(mask, bits, slice(rows[0], rows[1] + 1))
        found = counted.each(slice(first - self._starts[rows[0]], last - self._starts[rows[0]]))
        if distinct is not None:
            return found
        return Histograms(found.counts[self.row_of_query], found.relevant[self.row_of_query])

    def counted_flipped(self, mask, bits: Sequence[int], rows: slice = slice(None)) -> Counted:
        """`histograms_flipped` before own items are taken out: a row for each query code and labels.

        Args:
            mask: bool or {0,1} [k]; True keeps the bit.
            bits: distinct indices of the bits to toggle, in 0..k-1.
            rows: which of the `n_counted` rows, so that memory can be bounded.

        Returns:
            Histograms of shape [rows, b, p+2], with own items at [their distinct queries, b].
        """
        mask, bits = self.check_masks(np.asarray(mask)[None])[0], check_bits(bits, self.k)
        first, last, _ = rows.indices(self.n_counted)
        # All bits at one level lie together, so that kernels take many of them in one instruction.
        shape = (last - first, int(mask.sum()) + 2, len(bits))
        counts, relevant = np.empty(shape, np.int32).swapaxes(1, 2), np.empty(shape, np.int32).swapaxes(1, 2)
        (self._flip_numba if self._numba else self._flip_numpy)(mask, bits, rows, counts, relevant)
        found, starts = self._finished(Histograms(counts, relevant), self._has_concept[rows, None]), self._starts
        own = None if self._apart is None else self._own_flipped(mask, bits, slice(starts[first], starts[last]))
        return Counted(found, own, starts[first : last + 1] - starts[first], axis=0)

    def distinct_of(self, rows: slice) -> slice:
        """The distinct queries that are counted in these of the `n_counted` rows; both stand in one order."""
        first, last, _ = rows.indices(self.n_counted)
        return slice(int(self._starts[first]), int(self._starts[last]))

    def check_masks(self, masks) -> np.ndarray:
        """Returns masks as uint8 {0,1} [e, k], or raises ValueError."""
        masks = check_codes(masks, "masks")
        if masks.shape[1] != self.k:
            raise ValueError(f"masks is {masks.shape[1]} wide; the codes have {self.k} bits")
        return masks

    @cached_property
    def _planes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bit planes of a block's codes (k, and one that is 0), of what is an item (1), and of its concepts (m)."""
        items = np.ones((1, self.n_database), np.uint64)
        codes, concepts = self._database, self._database_concepts
        if len(self._weights) < self.n_database:
            codes, concepts = (np.repeat(each, self._weights, axis=1) for each in (codes, concepts))
        return (
            planes.bit_planes(codes, self.k, 1),
            planes.bit_planes(items, 1),
            planes.bit_planes(concepts, self._n_concepts),
        )

    @cached_property
    def _code_bytes(self) -> np.ndarray:
        """The codes' bits as bytes, 0 or the weight, eight to a word, padded to 64 bits: uint64 [distinct, 8 words]."""
        as_bytes = np.ascontiguousarray(self._database.T).view(np.uint8)
        bits = np.unpackbits(as_bytes, axis=1, bitorder="little")
        return (bits * self._weights[:, None].astype(np.uint8)).view(np.uint64)

    @cached_property
    def _tiles(self) -> np.ndarray:
        """The codes of the distinct items as `flips.count_flipped_sliced` reads them."""
        as_bytes = np.ascontiguousarray(self._database.T).view(np.uint8)
        return flips.in_tiles(np.unpackbits(as_bytes, axis=1, bitorder="little"))

    def _own_distances(self, masks: np.ndarray) -> np.ndarray:
        """Distances uint16 [e, n_distinct] of each distinct query to its own item."""
        nearest = np.zeros((1, len(self._apart)), np.uint64)
        return np.concatenate([distance_block(nearest, self._apart, mask) for mask in pack_checked(masks)])

    def _own_flipped(self, mask: np.ndarray, bits: np.ndarray, distinct: slice) -> np.ndarray:
        """Distances uint16 [distinct, b] to their own items of these distinct queries, each bit toggled alone."""
        apart = self._apart[:, distinct]
        differing = np.unpackbits(np.ascontiguousarray(apart.T).view(np.uint8), axis=1, bitorder="little")[:, bits]
        distances = distance_block(np.zeros((1, len(apart)), np.uint64), apart, pack_checked(mask[None])[0])[0]
        return np.where(mask[bits], distances[:, None] - differing, distances[:, None] + differing)

    def _count_planes(self, masks: np.ndarray, n_kept: np.ndarray, counts: np.ndarray, relevant: np.ndarray) -> None:
        kept = np.full((len(masks), n_kept.max() + (-n_kept.max() % 8)), self.k)  # filled up with the plane of zeros
        rows, bits = np.nonzero(masks)
        kept[rows, np.arange(len(rows)) - np.repeat(np.cumsum(n_kept) - n_kept, n_kept)] = bits
        codes, items, concepts = self._planes
        planes.count_planes(self._query, codes, items, self._query_concepts, concepts, kept, n_kept, counts, relevant)

    def _count_words(self, masks: np.ndarray, n_kept: np.ndarray, counts: np.ndarray, relevant: np.ndarray) -> None:
        count = kernels.count_words if self._numba else _count_words_numpy
        pairs = self._query, self._database, self._weights, self._query_concepts, self._database_concepts
        count(*pairs, pack_checked(masks), counts, relevant)

    def _flip_numba(self, mask, bits, rows, counts, relevant) -> None:
        if self._sliced:
            count, codes = flips.count_flipped_sliced, self._tiles
        else:
            count, codes = flips.count_flipped, self._code_bytes
        database = self._database, self._weights, codes, self._query_concepts[rows], self._database_concepts
        words, n_kept = pack_checked(mask[None])[0], int(mask.sum())
        count(self._query[rows], *database, words, n_kept, bits, counts.swapaxes(1, 2), relevant.swapaxes(1, 2))

    def _flip_numpy(self, mask, bits, rows, counts, relevant) -> None:
        database = self._database, self._weights, self._query_concepts[rows], self._database_concepts
        by_mask = counts.swapaxes(0, 1), relevant.swapaxes(0, 1)
        _count_words_numpy(self._query[rows], *database, pack_checked(toggled(mask, bits)), *by_mask)

    def _finished(self, found: Histograms, has_concept: np.ndarray) -> Histograms:
        """Takes each query out of its own ranking where it is at distance 0 from itself, whatever the mask.

        An item whose code is not its query's is taken out later, at its own distance (`Counted.each`). Of class numbers
        the kernels count the items that are not relevant (`concept_words`): the others are.
        """
        if self._classes:
            np.subtract(found.counts, found.relevant, out=found.relevant)
        if self.leave_one_out and self._apart is None:
            found.counts[..., 0] -= 1
            found.relevant[..., 0] -= has_concept
        return found


def histograms_of_shards(
    query_codes, query_labels, shards: Iterable[tuple], *, bits: Sequence[int] | None = None, backend: str = "auto"
) -> Histograms:
    """Histograms over a database that comes in parts, and so need not fit into memory: one part is held at a time.

    Args:
        query_codes: {0,1} [q, k].
        query_labels: {0,1} [q, m], or class numbers int [q].
        shards: pairs of codes {0,1} [n_i, k] and labels, {0,1} [n_i, m] or class numbers int [n_i], such as a generator
            that reads them from files.
        bits: distinct indices of the bits to keep; all of them if None.
        backend: "numba", "numpy" or "auto"; see `Pairs`.

    Returns:
        Histograms of shape [q, p+1], equal to those of the whole database; `metrics.report` makes a report of them.

    Raises:
        ValueError: no shard at all, or what `histograms` refuses.
    """
    total = None
    for codes, labels in shards:
        found = Pairs(query_codes, codes, query_labels, labels, backend=backend).histograms(bits)
        total = found if total is None else total + found
    if total is None:
        raise ValueError("shards is empty; give at least one pair of codes and labels")
    return total


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
        query_labels: {0,1} [q, m]; relevant means that at least one concept is shared. Or class numbers int [q].
        database_labels: {0,1} [n, m], or class numbers int [n].
        bits: distinct indices of the bits to keep; all of them if None.
        leave_one_out: row i of both sets is item i, with equal labels; it is left out of the ranking of query i.
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


def _distinct(codes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct rows (words of a code, then words of labels), equal labels together, among them as `planes` wants them.

    Rows are sorted by one word, whatever their width: 16 bits of a hash of the labels; the number of bits set in the
    code, even ones first; a hash of all; and the row's number, since sorting words is several times as fast as sorting
    their numbers. Rows that share all of that and differ may keep equal ones apart, which costs a row and changes no
    count.

    Returns:
        The rows word by word, uint64 [words, d], and `_sorted`'s starts and order.
    """
    ones = np.bitwise_count(codes).sum(axis=1, dtype=np.uint64)
    ones = (ones & np.uint64(1)) << np.uint64(9) | np.minimum(ones >> np.uint64(1), np.uint64((1 << 9) - 1))
    keys = _hash(labels) >> np.uint64(48) << np.uint64(48) | ones << np.uint64(38)
    words = np.ascontiguousarray(np.hstack([codes, labels]).T)
    return _sorted(keys | _hash(words.T) >> np.uint64(26), words)


def _split(row_of: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct pairs of a row number int64 [n] and words uint64 [n, w], by row number.

    Returns:
        The words uint64 [d, w], which of the d pairs each given one is, and where each row number's pairs begin.
    """
    row_of = row_of.astype(np.uint64)
    keys = row_of << np.uint64(64 - _bits_of(row_of)) | _hash(words) >> np.uint64(_bits_of(row_of))
    pairs, starts, order = _sorted(keys, np.vstack([row_of, words.T]))
    first = np.searchsorted(pairs[0], np.arange(pairs[0, -1] + np.uint64(2)))
    return pairs[1:].T, _row_of(starts, order), first


def _bits_of(numbers: np.ndarray) -> int:
    """Bits that numbers up to the largest of these take, at least one."""
    return max(1, int(numbers.max()).bit_length())


def _sorted(keys: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows word by word, uint64 [words, n], in the order of their keys uint64 [n], equal ones that meet taken together.

    The lowest bits of a key, as many as n has, make room for the row's number.

    Returns:
        The distinct rows uint64 [words, d], where each begins in the order int64 [d], and the order int64 [n].
    """
    below = np.uint64((1 << max(1, (len(keys) - 1).bit_length())) - 1)
    order = (np.sort(keys & ~below | np.arange(len(keys), dtype=np.uint64)) & below).astype(np.int64)
    words = np.take(words, order, axis=1)
    new = np.ones(len(keys), bool)
    np.not_equal(words[0, 1:], words[0, :-1], out=new[1:])
    for word in words[1:]:
        new[1:] |= word[1:] != word[:-1]
    return words if new.all() else words[:, new], np.flatnonzero(new), order


def _row_of(starts: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Which of the distinct rows each given one is, int64 [n], from what `_sorted` returns."""
    row_of = np.empty(len(order), np.int64)
    row_of[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
    return row_of


def _hash(words: np.ndarray) -> np.ndarray:
    """64 bits for each row of uint64 words [n, w]: multiply and fold, word by word (a constant of splitmix64)."""
    mixed = np.zeros(len(words), np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) * np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
    return mixed * np.uint64(0xBF58476D1CE4E5B9)


def _weighted(rows: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows [words, d] that stand for at most MAX_WEIGHT items each, repeated where they must, and int32 how many."""
    if weights.max() <= MAX_WEIGHT:
        return rows, weights.astype(np.int32)
    parts = -(-weights // MAX_WEIGHT)
    shares = np.full(parts.sum(), MAX_WEIGHT, np.int32)
    shares[np.cumsum(parts) - 1] = weights - MAX_WEIGHT * (parts - 1)
    return np.repeat(rows, parts, axis=1), shares


def _relevant_block(query_concepts: np.ndarray, database_concepts: np.ndarray) -> np.ndarray:
    """Marks the pairs that share a concept, bool [c, n]."""
    shared = np.zeros((len(query_concepts), database_concepts.shape[1]), bool)
    for word in range(len(database_concepts)):
        shared |= (query_concepts[:, word, None] & database_concepts[word]) != 0
    return shared


def _count_words_numpy(query, database, weights, query_concepts, database_concepts, masks, counts, relevant) -> None:
    """The numpy twin of `kernels.count_words`, in chunks of queries."""
    levels = counts.shape[2]
    for rows in query_chunks(len(query), database.shape[1]):
        hits = _relevant_block(query_concepts[rows], database_concepts)
        first_bin = (2 * np.arange(len(hits))[:, None] + hits) * levels
        for e, mask in enumerate(masks):
            bins = first_bin + distance_block(query[rows], database, mask)
            repeated = np.broadcast_to(weights, bins.shape).ravel()
            flat = np.bincount(bins.ravel(), repeated, 2 * levels * len(hits)).reshape(-1, 2, levels)
            counts[e, rows], relevant[e, rows] = flat.sum(axis=1), flat[:, 1]
