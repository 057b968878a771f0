"""Neighbor search against a plain sort, for both backends, and against faiss; answers from an index of pictures."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashlib_nb import hamming, search
from hashlib_nb.hamming import neighbors
from hashlib_nb.search import Index, Origin, hex_of
from hashlib_nb.search import __main__ as command

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


def assert_within(found: search.Neighbors, query, database, radius: int):
    order, distances = sorted_slowly(query, database)
    inside = distances <= radius
    np.testing.assert_array_equal(np.diff(found.offsets), inside.sum(axis=1))
    np.testing.assert_array_equal(found.indices, order[inside])
    np.testing.assert_array_equal(found.distances, distances[inside])


def assert_nearest(found: search.Nearest, query, database, n: int):
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
        patch.setattr(hamming, "NUMPY_PAIRS", pairs)  # from one query at a time to all at once
        within = search.within_radius(query, database, radius, backend=backend)
        nearest = search.nearest(query, database, first, backend=backend)
    assert_within(within, query, database, radius)
    assert_nearest(nearest, query, database, first)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [3, 64, 1024])
def test_search_matches_a_plain_sort_over_several_blocks(k, backend):
    query, database = random_codes(k, 3, 2 * neighbors.BLOCK + 77, k)
    assert_within(search.within_radius(query, database, k // 2, backend=backend), query, database, k // 2)
    assert_nearest(
        search.nearest(query, database, neighbors.BLOCK + 5, backend=backend), query, database, neighbors.BLOCK + 5
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_types_do_not_depend_on_what_is_found(backend):
    query, database = np.zeros((2, 9), np.uint8), np.ones((5, 9), np.uint8)
    for radius in (0, 9):
        found = search.within_radius(query, database, radius, backend=backend)
        assert (found.offsets.dtype, found.indices.dtype, found.distances.dtype) == (np.int64, np.int64, np.uint16)
        assert len(found.indices) == len(found.distances) == found.offsets[-1]
    found = search.nearest(query, database, 2, backend=backend)
    assert (found.indices.dtype, found.distances.dtype) == (np.int64, np.uint16)
    assert found.tied.dtype == found.tied_inside.dtype == np.int64


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("radius", [6, 7, 10**6])
def test_a_radius_of_all_bits_or_more_finds_everything(radius, backend):
    query, database = random_codes(0, 3, 20, 6)
    assert_within(search.within_radius(query, database, radius, backend=backend), query, database, radius)


def test_radius_zero_finds_the_equal_codes():
    query, database = random_codes(1, 1, 30, 8)
    found = search.within_radius(database, database, 0)
    for item in range(30):
        indices, distances = found.of(item)
        np.testing.assert_array_equal(indices, np.flatnonzero((database == database[item]).all(axis=1)))
        assert not distances.any()
    assert len(search.within_radius(query, 1 - query, 0).indices) == 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_among_equal_codes_the_first_are_taken_and_the_cut_is_said(backend):
    found = search.nearest(np.zeros((1, 5), np.uint8), np.ones((7, 5), np.uint8), 3, backend=backend)
    assert (found.indices.tolist(), found.distances.tolist()) == ([[0, 1, 2]], [[5, 5, 5]])
    assert (found.tied.tolist(), found.tied_inside.tolist()) == ([7], [3])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 140))
def test_flipped_bits_and_their_order_change_nothing(seed, k):
    query, database = random_codes(seed, 3, 25, k)
    rng = np.random.default_rng(seed)
    flip, bits = rng.integers(0, 2, k, dtype=np.uint8), rng.permutation(k)
    assert_within(search.within_radius(query ^ flip, database ^ flip, k // 3), query, database, k // 3)
    assert_nearest(search.nearest(query[:, bits], database[:, bits], 9), query, database, 9)


def test_what_is_counted_is_what_the_histograms_count():
    query, database = random_codes(2, 5, 200, 30)
    ones = np.ones((200, 1), np.uint8)
    counts = hamming.histograms(query, database, ones[:5], ones).counts
    found = search.within_radius(query, database, 11)
    np.testing.assert_array_equal(np.diff(found.offsets), counts[:, :12].sum(axis=1))


def test_memory_follows_what_is_found():
    query, database = random_codes(3, 400, 20_000, 64)
    search.within_radius(query[:1], database, 2)  # compile first
    tracemalloc.start()
    found = search.within_radius(query, database, 2)
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
    found = search.within_radius(query, database, radius)
    np.testing.assert_array_equal(limits, found.offsets)
    for i in range(len(query)):
        row = slice(limits[i], limits[i + 1])
        theirs = sorted(zip(distances[row].tolist(), indices[row].tolist(), strict=True))
        ours = list(zip(*(part.tolist() for part in reversed(found.of(i))), strict=True))
        assert ours == [(int(distance), index) for distance, index in theirs]
    np.testing.assert_array_equal(index.search(packed, 50)[0], search.nearest(query, database, 50).distances)


CODES = np.zeros((3, 4), np.uint8)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: search.within_radius(CODES, CODES, -1), "radius is -1; give a Hamming radius of at least 0"),
        (lambda: search.within_radius(CODES, CODES[:, :3], 1), "query_codes has 4 bits and database_codes 3"),
        (lambda: search.within_radius(CODES + 2, CODES, 1), "query_codes has values from 2 to 2"),
        (lambda: search.nearest(CODES, CODES, 0), r"n is 0; the database has 3 items, so give 1\.\.3"),
        (lambda: search.nearest(CODES, CODES, 4), r"n is 4; the database has 3 items, so give 1\.\.3"),
        (lambda: search.nearest(CODES, CODES, 1.5), r"n is 1\.5; the database has 3 items"),
        (lambda: search.nearest(CODES, CODES, 1, backend="cuda"), 'backend is "cuda"; choose "auto"'),
    ],
)
def test_bad_input_gets_a_sentence_that_names_it(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_it_works_without_numba_and_never_imports_torch():
    source = """
import sys, warnings
sys.modules["numba"] = None
warnings.simplefilter("ignore")
from hashlib_nb import search
found = search.nearest([[0, 0]], [[1, 1], [0, 1], [1, 0]], 1)
print(found.indices.tolist(), found.tied.tolist(), search.within_radius([[0, 0]], [[1, 1], [0, 1]], 1).indices.tolist())
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True)
    assert done.stdout == "[[1]] [2] [1]\nFalse\n"


# --- answers from an index of pictures --------------------------------------------------------------------------------

CODES_8 = np.array(
    [[0] * 8, [1] * 8, [1, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 1]], np.uint8
)
"""Distances from zeros: 0, 8, 2, 1, 2."""
COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255)]


@pytest.fixture
def photos(tmp_path) -> Path:
    """An index of five pictures of one color each, named after their place, whose codes are CODES_8."""
    paths = [tmp_path / f"{place}.png" for place in range(5)]
    for path, color in zip(paths, COLORS, strict=True):
        Image.new("RGB", (9, 9), color).save(path)
    index = Index.new(tmp_path / "index", Origin("ab" * 32, 8, tuple(range(8))), tmp_path / "model")
    index.added(CODES_8, paths, [bytes([place] * 32) for place in range(5)]).save()
    return tmp_path


def answer(photos: Path, capsys, **options) -> list[str]:
    """What a search for the code of zeros prints, paths by their place, without the line on time."""
    command.main(command.Args((), photos / "index", hex=options.pop("hex", ("00",)), **({"grid": None} | options)))
    return [line.replace(f"{photos}/", "") for line in capsys.readouterr().out.splitlines() if " codes of " not in line]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"top": 3}, ["query 00: the nearest 3 of 5; 2 tie at distance 2, 1 of them shown", "0  0", "1  3", "2  2"]),
        ({"top": 2}, ["query 00: the nearest 2 of 5; 1 tie at distance 1, 1 of them shown", "0  0", "1  3"]),
        ({"top": 9}, ["query 00: all 5 pictures of the index, not 9", "0  0", "1  3", "2  2", "2  4", "8  1"]),
        ({}, ["query 00: all 5 pictures of the index", "0  0", "1  3", "2  2", "2  4", "8  1"]),
        ({"radius": 2}, ["query 00: 4 of 5 within distance 2", "0  0", "1  3", "2  2", "2  4"]),
        ({"radius": 0, "hex": ("0f",)}, ["query 0f: 0 of 5 within distance 0"]),
        (
            {"top": 1, "hex": ("ff", "03")},
            [
                "query ff: the nearest 1 of 5; 1 tie at distance 0, 1 of them shown",
                "0  1",
                "query 03: the nearest 1 of 5; 1 tie at distance 0, 1 of them shown",
                "0  2",
            ],
        ),
    ],
)
def test_answers_worked_by_hand(photos, capsys, options, said):
    assert answer(photos, capsys, **options) == [f"{line}.png" if "  " in line else line for line in said]


def test_answers_are_those_of_plain_distances(tmp_path, capsys):
    query, database = random_codes(5, 2, 300, 37)
    index = Index.new(tmp_path / "index", Origin("ab" * 32, 37, tuple(range(37))), tmp_path / "model")
    names = [tmp_path / str(row) for row in range(300)]
    index.added(database, names, [row.to_bytes(32) for row in range(300)]).save()
    for options, number in (({"top": 11}, np.array([11, 11])), ({"radius": 15}, None)):
        order, distances = sorted_slowly(query, database)
        number = (distances <= 15).sum(axis=1) if number is None else number
        expected = [(distances[q, : number[q]], order[q, : number[q]]) for q in range(2)]
        lines = [line.split("  ") for line in answer(tmp_path, capsys, hex=tuple(hex_of(query)), **options)]
        found = [(int(line[0]), int(line[1])) for line in lines if len(line) == 2]
        assert found == [pair for each in expected for pair in zip(*map(np.ndarray.tolist, each), strict=True)]


def colors_in(picture: Path) -> set[tuple[int, ...]]:
    return set(map(tuple, np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3).tolist()))


def test_the_grid_shows_the_pictures_that_were_found(photos, capsys):
    lines = answer(photos, capsys, top=3, grid=photos / "grid.png")
    assert lines[-1] == "grid: grid.png"
    assert [color in colors_in(photos / "grid.png") for color in COLORS] == [True, False, True, True, False]
    with Image.open(photos / "grid.png") as grid:
        assert grid.width == 990


def test_the_grid_says_where_it_stops(photos, capsys, monkeypatch):
    monkeypatch.setattr(search, "GRID_FOUND", 2)
    lines = answer(photos, capsys, radius=8, grid=photos / "grid.png")
    assert lines[-1] == "grid: grid.png (the first 20 queries, 2 pictures each, at most)"
    assert [color in colors_in(photos / "grid.png") for color in COLORS] == [True, False, False, True, False]


def test_a_grid_without_neighbors_and_with_pictures_that_have_gone_is_drawn(photos, capsys):
    (photos / "0.png").unlink()
    lines = answer(photos, capsys, hex=("0f", "00"), radius=1, grid=photos / "grid.png")
    assert "0  0.png" in lines
    assert [color in colors_in(photos / "grid.png") for color in COLORS] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"top": 3, "radius": 2}, "top is 3 and radius 2; give one of them"),
        ({"top": 0}, "top is 0; give 1 or more"),
        ({"radius": -1}, "radius is -1; give a Hamming distance of at least 0"),
        ({"hex": ()}, "pictures and hex are empty"),
        ({"hex": ("0000",)}, "hex is '0000'; a code of 8 bits has 2 hex digits"),
        ({"index": Path("nowhere")}, r"index: nowhere holds no index\.npz; make one with python -m hashlib_nb\.encode"),
        ({"grid": Path(".")}, "is a folder; give the name of a file"),
        ({"pictures": (Path("gone.png"),)}, r"pictures: gone\.png does not exist"),
        ({"pictures": (Path(__file__),)}, "model: .*model has no encoder.json; give a folder"),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_a_sentence(photos, options, sentence):
    args = {"pictures": (), "index": photos / "index", "hex": ("00",), "grid": None} | options
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        command.main(command.Args(**args))
