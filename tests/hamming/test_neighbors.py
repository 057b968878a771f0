"""Neighbor search against a plain sort, for both backends, and against faiss."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import hamming
from hashlib_nb.hamming import arrays, neighbors, scan
from tests.helpers import assert_same, run_python

BACKENDS = ("numba", "numpy")


def random_codes(seed: int, q: int, n: int, k: int):
    """Query and database codes of varying density, a third of the database repeated, so that many items are tied."""
    rng = np.random.default_rng(seed)
    codes = (rng.random((q + n, k)) < rng.random((q + n, 1))).astype(np.uint8)
    database = codes[q:]
    copies = rng.integers(0, n, n // 3)
    database[copies] = database[rng.integers(0, n, n // 3)]
    return codes[:q], database


def sorted_slowly(query: np.ndarray, database: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole database in the order of each query, and the distances in that order."""
    distances = (query[:, None] != database).sum(axis=2)
    order = np.argsort(distances, axis=1, kind="stable")
    return order, np.take_along_axis(distances, order, axis=1)


def assert_within(found: hamming.Neighbors, query, database, radius: int):
    order, distances = sorted_slowly(query, database)
    inside = distances <= radius
    np.testing.assert_array_equal(np.diff(found.offsets), inside.sum(axis=1))
    np.testing.assert_array_equal(found.indices, order[inside])
    np.testing.assert_array_equal(found.distances, distances[inside])


def assert_nearest(found: hamming.Nearest, query, database, n: int):
    order, distances = sorted_slowly(query, database)
    last = distances[:, n - 1, None]
    np.testing.assert_array_equal(found.indices, order[:, :n])
    np.testing.assert_array_equal(found.distances, distances[:, :n])
    np.testing.assert_array_equal(found.tied, (distances == last).sum(axis=1))
    np.testing.assert_array_equal(found.tied_inside, (distances[:, :n] == last).sum(axis=1))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 140),
    n=st.integers(1, 40),
    of=st.floats(0, 1),
    pairs=st.integers(1, 99),
)
def test_search_matches_a_plain_sort(backend, seed, k, n, of, pairs):
    query, database = random_codes(seed, 4, n, k)
    radius, first = round(of * k), max(1, round(of * n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "NUMPY_PAIRS", pairs)  # from one query at a time to all at once
        within = hamming.within_radius(query, database, radius, backend=backend)
        nearest = hamming.nearest(query, database, first, backend=backend)
    assert_within(within, query, database, radius)
    assert_nearest(nearest, query, database, first)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [3, 64, 1024])
def test_search_matches_a_plain_sort_over_several_tiles(k, backend):
    tile = scan.TILE // -(-k // 64)
    query, database = random_codes(k, 3, 2 * tile + 77, k)
    for radius in (k // 8, k // 2):
        assert_within(hamming.within_radius(query, database, radius, backend=backend), query, database, radius)
    for first in (1, 90, tile + 5):
        assert_nearest(hamming.nearest(query, database, first, backend=backend), query, database, first)


@pytest.mark.parametrize("order", [1, -1])
def test_nearest_in_any_order_of_the_distances(order):
    # From the farthest to the nearest each item replaces another, and room must be made again and again.
    database = np.tril(np.ones((700, 699), np.uint8), -1)[::order]  # item i is at distance i from a code of zeros
    query = np.zeros((2, 699), np.uint8)
    for first in (1, 5, 400):
        assert_nearest(hamming.nearest(query, database, first), query, database, first)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 12), first=st.integers(1, 300), queries=st.integers(1, 40))
def test_backends_agree_where_most_is_tied(seed, k, first, queries):
    query, database = random_codes(seed, queries, 300, k)
    assert_same(*(hamming.nearest(query, database, first, backend=backend) for backend in BACKENDS))
    assert_same(*(hamming.within_radius(query, database, k // 2, backend=backend) for backend in BACKENDS))


def test_queries_in_several_turns_find_the_same(monkeypatch):
    query, database = random_codes(5, 3 * scan.TOGETHER + 1, 200, 30)
    monkeypatch.setattr(neighbors, "PAIRS_AT_ONCE", 1)
    assert_within(hamming.within_radius(query, database, 12, backend="numba"), query, database, 12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_types_do_not_depend_on_what_is_found(backend):
    query, database = np.zeros((2, 9), np.uint8), np.ones((5, 9), np.uint8)
    for radius in (0, 9):
        found = hamming.within_radius(query, database, radius, backend=backend)
        assert (found.offsets.dtype, found.indices.dtype, found.distances.dtype) == (np.int64, np.int64, np.uint16)
        assert len(found.indices) == len(found.distances) == found.offsets[-1]
    found = hamming.nearest(query, database, 2, backend=backend)
    assert (found.indices.dtype, found.distances.dtype) == (np.int64, np.uint16)
    assert found.tied.dtype == found.tied_inside.dtype == np.int64


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("radius", [6, 7, 10**6])
def test_a_radius_of_all_bits_or_more_finds_everything(radius, backend):
    query, database = random_codes(0, 3, 20, 6)
    assert_within(hamming.within_radius(query, database, radius, backend=backend), query, database, radius)


def test_radius_zero_finds_the_equal_codes():
    query, database = random_codes(1, 1, 30, 8)
    found = hamming.within_radius(database, database, 0)
    for item in range(30):
        indices, distances = found.of(item)
        np.testing.assert_array_equal(indices, np.flatnonzero((database == database[item]).all(axis=1)))
        assert not distances.any()
    assert len(hamming.within_radius(query, 1 - query, 0).indices) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_among_equal_codes_the_first_are_taken_and_the_cut_is_said(backend):
    found = hamming.nearest(np.zeros((1, 5), np.uint8), np.ones((7, 5), np.uint8), 3, backend=backend)
    assert (found.indices.tolist(), found.distances.tolist()) == ([[0, 1, 2]], [[5, 5, 5]])
    assert (found.tied.tolist(), found.tied_inside.tolist()) == ([7], [3])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 140))
def test_flipped_bits_and_their_order_change_nothing(seed, k):
    query, database = random_codes(seed, 3, 25, k)
    rng = np.random.default_rng(seed)
    flip, bits = rng.integers(0, 2, k, dtype=np.uint8), rng.permutation(k)
    assert_within(hamming.within_radius(query ^ flip, database ^ flip, k // 3), query, database, k // 3)
    assert_nearest(hamming.nearest(query[:, bits], database[:, bits], 9), query, database, 9)


def test_what_is_counted_is_what_the_histograms_count():
    query, database = random_codes(2, 5, 200, 30)
    ones = np.ones((200, 1), np.uint8)
    counts = hamming.histograms(query, database, ones[:5], ones).counts
    found = hamming.within_radius(query, database, 11)
    np.testing.assert_array_equal(np.diff(found.offsets), counts[:, :12].sum(axis=1))


def test_memory_follows_what_is_found():
    query, database = random_codes(3, 400, 20_000, 64)
    hamming.within_radius(query[:1], database, 2)  # compile first
    tracemalloc.start()
    found = hamming.within_radius(query, database, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < len(found.indices) < 40_000
    assert peak < 400 * 20_000 / 2  # bytes; the distances alone would take four times that


@pytest.mark.parametrize("k", [8, 64, 136])
def test_faiss_finds_the_same(k):
    faiss = pytest.importorskip("faiss")
    query, database = random_codes(4, 6, 300, k)
    index = faiss.IndexBinaryFlat(k)
    index.add(np.packbits(database, axis=1))
    packed = np.packbits(query, axis=1)
    radius = k // 4
    limits, distances, indices = index.range_search(packed, radius + 1)  # faiss leaves out the radius itself
    found = hamming.within_radius(query, database, radius)
    np.testing.assert_array_equal(limits, found.offsets)
    for i in range(len(query)):
        row = slice(limits[i], limits[i + 1])
        theirs = sorted(zip(distances[row].tolist(), indices[row].tolist(), strict=True))
        ours = list(zip(*(part.tolist() for part in reversed(found.of(i))), strict=True))
        assert ours == [(int(distance), index) for distance, index in theirs]
    np.testing.assert_array_equal(index.search(packed, 50)[0], hamming.nearest(query, database, 50).distances)


CODES = np.zeros((3, 4), np.uint8)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: hamming.within_radius(CODES, CODES, -1), "radius is -1; give a whole number of at least 0"),
        (lambda: hamming.within_radius(CODES, CODES, 1.5), r"radius is 1\.5; give a whole number of at least 0"),
        (lambda: hamming.within_radius(CODES, CODES[:, :3], 1), "query_codes has 4 bits and database_codes 3"),
        (lambda: hamming.within_radius(CODES + 2, CODES, 1), "query_codes has values from 2 to 2"),
        (
            lambda: hamming.nearest(CODES, CODES, 0),
            r"n is 0; give a whole number in 1\.\.3 \(the items of",
        ),
        (lambda: hamming.nearest(CODES, CODES, 4), r"n is 4; give a whole number in 1\.\.3"),
        (lambda: hamming.nearest(CODES, CODES, 1.5), r"n is 1\.5; give a whole number in 1\.\.3"),
        (lambda: hamming.nearest(CODES, CODES, 1, backend="cuda"), 'backend is "cuda"; choose "auto"'),
    ],
)
def test_bad_input_gets_a_sentence_that_names_it(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.process
def test_it_works_without_numba_and_never_imports_torch():
    source = """
import sys, warnings
sys.modules["numba"] = None
warnings.simplefilter("ignore")
from hashlib_nb import hamming
found = hamming.nearest([[0, 0]], [[1, 1], [0, 1], [1, 0]], 1)
within = hamming.within_radius([[0, 0]], [[1, 1], [0, 1]], 1)
print(found.indices.tolist(), found.tied.tolist(), within.indices.tolist())
print("torch" in sys.modules)
"""
    assert run_python(source) == "[[1]] [2] [1]\nFalse\n"
