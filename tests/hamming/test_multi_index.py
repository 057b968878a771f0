"""Multi-index hashing: what a scan through all codes finds, from a small part of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import hamming
from hashlib_nb.hamming import multi_index
from tests.helpers import assert_same

BACKENDS = ("numba", "numpy")


def near_codes(seed: int, q: int, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes in few clusters, so that small balls hold some, and many twice."""
    rng = np.random.default_rng(seed)
    centers = rng.integers(0, 2, (3, k), np.uint8)
    codes = centers[rng.integers(0, 3, q + n)] ^ (rng.random((q + n, k)) < rng.uniform(0, 4 / k)).astype(np.uint8)
    return codes[:q], codes[q:]


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 140), n=st.integers(1, 60), of=st.floats(0, 0.2))
def test_a_ball_holds_what_a_scan_finds(backend, seed, k, n, of):
    query, database = near_codes(seed, 4, n, k)
    index, radius = hamming.MultiIndex.of(database), round(of * k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multi_index, "WORTH", 0)  # or so few codes would be scanned
        found = index.within_radius(query, radius, backend=backend)
    assert_same(found, hamming.within_radius(query, database, radius, backend="numpy"))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("radius", [0, 3, 4, 9, 70])
def test_buckets_are_left_alone_where_a_scan_is_cheaper(radius, backend):
    query, database = near_codes(radius, 5, 3000, 64)
    index = hamming.MultiIndex.of(hamming.Packed.of(database))
    assert len(index) == 3000
    found = index.within_radius(query, radius, backend=backend)
    assert_same(found, hamming.within_radius(query, database, radius, backend=backend))


def test_of_uniform_codes_a_twentieth_is_read_at_most():
    rng = np.random.default_rng(0)
    database, query = rng.integers(0, 2, (20_000, 64), np.uint8), rng.integers(0, 2, (20, 64), np.uint8)
    index = hamming.MultiIndex.of(database)
    assert index.codes_read(query, 3).sum() * 20 < len(query) * len(database)
    radius_three = index.within_radius(database[:9] ^ (np.arange(64) < 3).astype(np.uint8), 3)
    np.testing.assert_array_equal(radius_three.indices, np.arange(9))


def test_what_is_read_by_hand():
    database = np.zeros((4, 32), np.uint8)
    database[1, 0] = database[2, [0, 16]] = database[3, [1, 17, 18]] = 1
    index = hamming.MultiIndex.of(database)
    query = np.zeros((1, 32), np.uint8)
    # Within 0 the first part decides; within 1 either is equal; within 2 the first may differ in one bit.
    assert [int(index.codes_read(query, radius)[0]) for radius in (0, 1, 2)] == [1, 3, 6]
    assert index.within_radius(query, 2).indices.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda index: index.within_radius(np.zeros((1, 8), np.uint8), 1),
            "query_codes has 8 bits and database_codes 9",
        ),
        (lambda index: index.within_radius(np.zeros((1, 9), np.uint8), -1), "radius is -1; give a whole number"),
        (lambda index: index.codes_read(np.zeros((1, 9), np.uint8), 1.5), r"radius is 1\.5"),
        (lambda index: index.within_radius(np.zeros((1, 9), np.uint8), 1, backend="c"), 'backend is "c"'),
        (lambda index: hamming.MultiIndex.of([[2]]), "codes has values from 2"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(hamming.MultiIndex.of(np.eye(9, dtype=np.uint8)))
