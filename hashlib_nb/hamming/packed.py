"""A database of codes in words, for whoever stores them packed: as 0/1 bytes a million codes of 64 bits take 64 MB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming.arrays import MAX_BITS, WORD, check_codes, pack_checked


@dataclass(frozen=True, eq=False)
class Packed:
    """Codes that `nearest` and `within_radius` search as they are, word by word as the kernels read them.

    Raises:
        ValueError: words of another type, number or shape, or with bits beyond the last one.
    """

    words: np.ndarray
    """uint64 [ceil(k/64), n]: bit j of item i is bit j % 64 of `words[j // 64, i]`, so that this is `pack(codes).T`."""
    code_length: int
    """k, bits of a code."""

    def __post_init__(self) -> None:
        """Check the words without a copy."""
        k = checks.count(self.code_length, "code_length", most=MAX_BITS)
        words, rows = checks.array(self.words, "words", "uint64 [ceil(k/64), n]"), -(-k // WORD)
        if words.dtype != np.uint64 or words.ndim != 2 or len(words) != rows or words.size == 0:
            raise ValueError(
                f"words is {words.dtype} {list(words.shape)}; give uint64 [{rows}, n] for {k} bits, with n at least 1"
            )
        if k % WORD and int(words[-1].max()) >> (k % WORD):
            raise ValueError(f"words has bits beyond the last of {k}; leave those 0, as hamming.pack does")
        object.__setattr__(self, "words", np.ascontiguousarray(words))
        object.__setattr__(self, "code_length", k)

    @classmethod
    def of(cls, codes) -> Packed:
        """Codes {0,1} [n, k], checked and packed once for many searches. Raises ValueError as `pack` does."""
        codes = check_codes(codes)
        return cls(pack_checked(codes).T, codes.shape[1])

    def __len__(self) -> int:
        return self.words.shape[1]
