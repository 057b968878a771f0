"""Answers from an index of pictures: what is printed, what is drawn, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashlib_nb.search import Index, Origin, ask, hex_of
from hashlib_nb.search import __main__ as command
from tests.helpers import run_python

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
    index = Index(tmp_path / "index", Origin("ab" * 32, 8, tuple(range(8))), tmp_path / "model")
    index.add(CODES_8, paths, [bytes([place] * 32) for place in range(5)])
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
    codes = np.random.default_rng(5).integers(0, 2, (302, 37), dtype=np.uint8)
    query, database = codes[:2], codes[2:]
    index = Index(tmp_path / "index", Origin("ab" * 32, 37, tuple(range(37))), tmp_path / "model")
    names = [tmp_path / str(row) for row in range(300)]
    index.add(database, names, [row.to_bytes(32) for row in range(300)])
    for options, number in (({"top": 11}, np.array([11, 11])), ({"radius": 15}, None)):
        distances = (query[:, None] != database).sum(axis=2)
        order = np.argsort(distances, axis=1, kind="stable")
        distances = np.take_along_axis(distances, order, axis=1)
        number = (distances <= 15).sum(axis=1) if number is None else number
        expected = [(distances[q, : number[q]], order[q, : number[q]]) for q in range(2)]
        lines = [line.split("  ") for line in answer(tmp_path, capsys, hex=tuple(hex_of(query)), **options)]
        found = [(int(line[0]), int(line[1])) for line in lines if len(line) == 2]
        assert found == [pair for each in expected for pair in zip(*map(np.ndarray.tolist, each), strict=True)]


@pytest.mark.parametrize("options", [{}, {"top": 2}, {"top": 9}, {"radius": 2}])
def test_an_index_answers_codes_as_it_answers_the_command(photos, options):
    index = Index(photos / "index")
    (found,) = index.search(CODES_8[:1], **options)
    (asked,) = ask(index, CODES_8[:1], ["zeros"], **options)
    assert (found.query, asked.query) == ("00", "zeros")
    assert (found.remark, found.indices.tolist()) == (asked.remark, asked.indices.tolist())
    assert found.distances.tolist() == [int(CODES_8[row].sum()) for row in found.indices]
    assert found.paths == [index.path(row) for row in found.indices]
    assert found.paths[0].name == "0.png"


def test_one_of_top_and_radius_is_asked_for(photos):
    with pytest.raises(ValueError, match="top is 3 and radius 2; give one of them"):
        Index(photos / "index").search(CODES_8, top=3, radius=2)


@pytest.mark.parametrize(
    ("codes", "options", "sentence"),
    [
        (CODES_8, {"top": 0}, "top is 0; give a whole number of at least 1"),
        (CODES_8, {"top": 2.5}, "top is 2.5"),
        (CODES_8, {"top": True}, "top is True"),
        (CODES_8, {"radius": -1}, "radius is -1"),
        (CODES_8, {"radius": "2"}, "radius is '2'"),
        (CODES_8[:, :7], {}, "query_codes has 7 bits and database_codes 8"),
        (CODES_8.astype(float), {}, "codes is float64"),
        (2 * CODES_8, {}, "codes has values from 0 to 2"),
        (CODES_8[0], {}, "codes has shape"),
        (CODES_8, {"queries": "00000"}, "queries is '00000'; give a list with one text for each code"),
        (CODES_8, {"queries": [0, 1, 2, 3, 4]}, "give a list with one text for each code"),
        (None, {}, "codes is None"),
        (CODES_8, {"queries": ["one"]}, "queries has 1 texts and codes 5 rows; give one text for each code"),
    ],
)
def test_a_question_that_cannot_be_is_refused_by_name(photos, codes, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Index(photos / "index").search(codes, **options)


def test_an_index_without_pictures_has_no_answer(tmp_path):
    empty = Index(tmp_path, Origin("ab" * 32, 8, tuple(range(8))))
    with pytest.raises(ValueError, match="holds no pictures; add some with hashlib-nb encode"):
        empty.search(CODES_8)


@pytest.mark.process
def test_a_search_by_code_never_imports_torch(photos):
    source = f"""
import sys
from hashlib_nb.search import __main__ as command
command.main(command.Args((), {str(photos / "index")!r}, hex=("00",), top=1, grid=None))
print("torch" in sys.modules)
"""
    assert run_python(source).splitlines()[-1] == "False"


def colors_in(picture: Path) -> set[tuple[int, ...]]:
    return set(map(tuple, np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3).tolist()))


@pytest.mark.slow
def test_the_grid_shows_the_pictures_that_were_found(photos, capsys):
    lines = answer(photos, capsys, top=3, grid=photos / "grid.png")
    assert lines[-1] == "grid: grid.png"
    assert [color in colors_in(photos / "grid.png") for color in COLORS] == [True, False, True, True, False]
    with Image.open(photos / "grid.png") as grid:
        assert grid.width == 990


def test_a_drawing_that_nobody_asked_for_is_left_out_where_it_cannot_be_written(photos, capsys, home):
    (home / "runs").touch()  # a file, where a folder would be
    assert answer(photos, capsys)[:2] == answer(photos, capsys, grid=command.usual_grid())[:2]
    *_, last = answer(photos, capsys, grid=command.usual_grid())
    assert last.startswith("left out: runs/search.png cannot be written, for runs is a file")


def test_a_picture_of_somebodys_is_not_drawn_over(photos, capsys):
    before = (photos / "1.png").read_bytes()
    with pytest.raises(ValueError, match="1.png is there and was not written by this command"):
        answer(photos, capsys, grid=photos / "1.png")
    assert (photos / "1.png").read_bytes() == before


def test_the_grid_says_where_it_stops(photos, capsys, monkeypatch):
    monkeypatch.setattr(command, "GRID_FOUND", 2)
    lines = answer(photos, capsys, radius=8, grid=photos / "grid.png")
    assert lines[-1] == "grid: grid.png (the first 20 queries, 2 pictures each, at most)"
    assert [color in colors_in(photos / "grid.png") for color in COLORS] == [True, False, False, True, False]


@pytest.mark.slow
def test_a_grid_without_neighbors_and_with_pictures_that_have_gone_is_drawn(photos, capsys):
    (photos / "0.png").unlink()
    lines = answer(photos, capsys, hex=("0f", "00"), radius=1, grid=photos / "grid.png")
    assert "0  0.png" in lines
    assert [color in colors_in(photos / "grid.png") for color in COLORS] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"top": 3, "radius": 2}, "top is 3 and radius 2; give one of them"),
        ({"top": 0}, "top is 0; give a whole number of at least 1"),
        ({"radius": -1}, "radius is -1; give a whole number of at least 0"),
        ({"hex": ()}, "pictures and hex are empty"),
        ({"hex": ("0000",)}, "hex is '0000'; a code of 8 bits has 2 hex digits"),
        ({"index": Path("nowhere")}, r"index: nowhere holds no index\.sqlite; make one with hashlib-nb encode"),
        ({"grid": Path(".")}, "is a folder; give the name of a file"),
        ({"pictures": (Path("gone.png"),)}, r"pictures: gone\.png does not exist"),
        ({"pictures": (Path(__file__),)}, "model: .*model has no encoder.json; give a folder"),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_a_sentence(photos, options, sentence):
    args = {"pictures": (), "index": photos / "index", "hex": ("00",), "grid": None} | options
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        command.main(command.Args(**args))
