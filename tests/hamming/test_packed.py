"""A packed database: the same answers as from 0/1 codes, and words that are none refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import hamming
from tests.helpers import assert_same

BACKENDS = ("numba", "numpy")


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 200), n=st.integers(1, 30))
def test_a_packed_database_is_answered_as_its_codes(backend, seed, k, n):
    codes = np.random.default_rng(seed).integers(0, 2, (n + 3, k), np.uint8)
    query, database = codes[:3], codes[3:]
    packed = hamming.Packed.of(database)
    assert_same(packed, hamming.Packed(hamming.pack(database).T, k))
    assert len(packed) == n
    first, radius = max(1, n // 2), k // 2
    assert_same(
        hamming.nearest(query, packed, first, backend=backend), hamming.nearest(query, database, first, backend=backend)
    )
    assert_same(
        hamming.within_radius(query, packed, radius, backend=backend),
        hamming.within_radius(query, database, radius, backend=backend),
    )


def test_words_that_lie_one_after_the_other_are_not_copied():
    words = np.arange(6, dtype=np.uint64).reshape(2, 3)
    assert hamming.Packed(words, 128).words is words


@pytest.mark.parametrize(
    ("words", "k", "sentence"),
    [
        (np.zeros((1, 3), np.int64), 9, r"words is int64 \[1, 3\]; give uint64 \[1, n\] for 9 bits"),
        (np.zeros((2, 3), np.uint64), 64, r"words is uint64 \[2, 3\]; give uint64 \[1, n\] for 64 bits"),
        (np.zeros((1, 0), np.uint64), 64, "with n at least 1"),
        (np.zeros(3, np.uint64), 64, r"words is uint64 \[3\]"),
        (np.full((1, 3), 1 << 9, np.uint64), 9, "words has bits beyond the last of 9"),
        (np.zeros((1, 3), np.uint64), 0, "code_length is 0; give a whole number in 1..65535"),
        (np.zeros((1, 3), np.uint64), True, "code_length is True"),
        (None, 9, "words is"),
    ],
)
def test_words_that_are_none_are_refused(words, k, sentence):
    with pytest.raises(ValueError, match=sentence):
        hamming.Packed(words, k)


def test_queries_of_another_width_are_refused():
    packed = hamming.Packed(np.zeros((1, 3), np.uint64), 9)
    with pytest.raises(ValueError, match="query_codes has 8 bits and database_codes 9; both must come from one"):
        hamming.nearest(np.zeros((1, 8), np.uint8), packed, 1)
