"""Small balls in a large database: each code lies in a table for every 16 of its bits, and few codes are read.

Multi-index hashing (Norouzi, Punjani & Fleet, "Fast search in Hamming space with multi-index hashing", CVPR 2012): cut
codes into m parts. Two codes that differ in r = m s + a bits, with a below m, differ in s bits at most in one of the
first a + 1 parts, or in s - 1 at most in one of the others: else there would be more than r in all. So it is enough to
read the codes that lie with the query in a bucket of one part, or in a bucket near by, and the answer is exact.

The paper cuts codes into parts of about log2 n bits. Here a part has 16, so that its numbers are sorted by their digits
in one pass and a table's beginnings take 512 KB; where buckets would give away too much, all codes are read in turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming.arrays import check_codes, check_widths, numba_enabled, pack_checked
from hashlib_nb.hamming.neighbors import Neighbors, within_radius
from hashlib_nb.hamming.packed import Packed

PART = 16
"""Bits of a part; the last one of a code may have fewer."""
WORTH = 8
"""Buckets are read where they hold fewer than one of so many codes: a scan in order is that much faster for each."""
_NUMBERS = np.arange(1 << PART, dtype=np.uint64)
_NEAREST_FIRST = np.argsort(np.bitwise_count(_NUMBERS), kind="stable").astype(np.uint64)
_WITHIN = np.concatenate([[0], np.cumsum(np.bincount(np.bitwise_count(_NUMBERS)))])


@dataclass(frozen=True, eq=False)
class MultiIndex:
    """A table for every 16 bits of a database's codes: 4 bytes a code and table, and 512 KB a table.

    Building it sorts the database by each part, which takes as long as about a thousand searches through all codes.
    """

    packed: Packed
    """The codes."""
    order: np.ndarray
    """int32, or int64 from 2^31 codes on, [m, n]: items by their part, those of one bucket by their index."""
    starts: np.ndarray
    """int64 [m, 65537]: bucket b of a table is `order[starts[b]:starts[b + 1]]` of its row."""

    @classmethod
    def of(cls, database) -> MultiIndex:
        """The tables of a `Packed`, or of codes {0,1} [n, k]. Raises ValueError as `Packed.of` does."""
        packed = database if isinstance(database, Packed) else Packed.of(database)
        n, parts = len(packed), -(-packed.code_length // PART)
        order = np.empty((parts, n), np.int32 if n < 1 << 31 else np.int64)
        starts = np.zeros((parts, (1 << PART) + 1), np.int64)
        for part in range(parts):
            numbers = _parts_of(packed.words, part).astype(np.uint16)
            order[part] = np.argsort(numbers, kind="stable")
            np.cumsum(np.bincount(numbers, minlength=1 << PART), out=starts[part, 1:])
        return cls(packed, order, starts)

    def __len__(self) -> int:
        return len(self.packed)

    def codes_read(self, query_codes, radius: int) -> np.ndarray:
        """How many codes the buckets for each query hold, int64 [q]: one in several of them counts in each.

        Args:
            query_codes: {0,1} [q, k].
            radius: a whole number, at least 0.

        Raises:
            ValueError: codes of another width, or a radius that is none.
        """
        query, radius = self._query(query_codes), checks.count(radius, "radius", least=0)
        total = np.zeros(len(query), np.int64)
        for part, near in enumerate(self._radii(radius)):
            numbers, starts = _parts_of(query.T, part), self.starts[part]
            for mask in _masks(near, self._bits_of(part)):
                bucket = (numbers ^ mask).astype(np.int64)
                total += starts[bucket + 1] - starts[bucket]
        return total

    def within_radius(self, query_codes, radius: int, *, backend: str = "auto") -> Neighbors:
        """What `hamming.within_radius` finds, in the same order; arguments and errors as there."""
        query, radius = self._query(query_codes), checks.count(radius, "radius", least=0)
        if not self._is_worth_it(query_codes, radius):
            return within_radius(query_codes, self.packed, radius, backend=backend)
        numba_enabled(backend)  # for its check: what is waited for here is memory, and numpy waits no longer
        rows = [self._near(code, radius) for code in query]
        indices, distances = (np.concatenate(each) for each in zip(*rows, strict=True))
        return Neighbors(np.cumsum([0, *(len(row) for row, _ in rows)]), indices, distances)

    def _is_worth_it(self, query_codes, radius: int) -> bool:
        n, buckets = (
            len(self),
            sum(len(_masks(near, self._bits_of(part))) for part, near in enumerate(self._radii(radius))),
        )
        return buckets * WORTH < n and self.codes_read(query_codes, radius).sum() * WORTH < n * len(query_codes)

    def _query(self, query_codes) -> np.ndarray:
        query_codes = check_codes(query_codes, "query_codes")
        check_widths(query_codes.shape[1], self.packed.code_length)
        return pack_checked(query_codes)

    def _bits_of(self, part: int) -> int:
        return min(PART, self.packed.code_length - part * PART)

    def _radii(self, radius: int) -> list[int]:
        """How many bits of each part may differ; -1 where its table need not be asked."""
        least, rest = divmod(min(radius, self.packed.code_length), len(self.order))
        return [min(least - (part > rest), self._bits_of(part)) for part in range(len(self.order))]

    def _near(self, code: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
        """Items within the radius of one query, and their distances."""
        read = [np.empty(0, np.int64)]
        for part, near in enumerate(self._radii(radius)):
            buckets = (_parts_of(code[:, None], part) ^ _masks(near, self._bits_of(part))).astype(np.int64)
            starts = self.starts[part]
            read += [self.order[part, starts[bucket] : starts[bucket + 1]] for bucket in buckets]
        items = np.unique(np.concatenate(read))
        distances = np.bitwise_count(code[:, None] ^ self.packed.words[:, items]).sum(axis=0, dtype=np.uint16)
        items, distances = items[distances <= radius], distances[distances <= radius]
        order = np.argsort(distances, kind="stable")
        return items[order].astype(np.int64), distances[order]


def _parts_of(words: np.ndarray, part: int) -> np.ndarray:
    """One part of codes in words uint64 [words, n], as uint64 [n] below 2^16."""
    word, place = divmod(part * PART, 64)
    return words[word] >> np.uint64(place) & np.uint64((1 << PART) - 1)


def _masks(near: int, bits: int) -> np.ndarray:
    """All numbers uint64 of so many bits of which at most `near` are set; none where that is -1."""
    found = _NEAREST_FIRST[: _WITHIN[near + 1]]
    return found if bits == PART else found[found < 1 << bits]
