"""The index of pictures: what it notes, what it takes for the same picture, and what survives a kill or a move."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb.artifacts import ArtifactError, save_npz
from hashlib_nb.hamming import multi_index
from hashlib_nb.search import Index, Origin, code_of_hex, contents, database, hex_of, origin_of, printable, tables
from hashlib_nb.search.index import FILE
from hashlib_nb.selection import Selection
from tests.helpers import ROOT, assert_same, start_python

ORIGIN = Origin("ab" * 32, 12, tuple(range(9)))


def random_codes(n: int, p: int = 9) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 2, (n, p), np.uint8)


def content(of: int | str) -> bytes:
    return hashlib.sha256(str(of).encode()).digest()


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    """Three files whose contents differ, beside the folder of the index."""
    folder = tmp_path / "photos"
    folder.mkdir()
    paths = [folder / f"{place}.jpg" for place in range(3)]
    for place, path in enumerate(paths):
        path.write_text(str(place))
    return paths


@pytest.fixture
def index(tmp_path, photos) -> Index:
    """An index of them."""
    Index(tmp_path / "index", ORIGIN, tmp_path / "model").add(
        random_codes(3), photos, [content(place) for place in range(3)]
    )
    return Index(tmp_path / "index")


def connect(index: Index) -> sqlite3.Connection:
    """The database, for whoever edits it without the package."""
    return sqlite3.connect(index.file, isolation_level=None)


# --- codes as text ----------------------------------------------------------------------------------------------------


@given(p=st.integers(1, 140), seed=st.integers(0, 2**32 - 1))
def test_hex_and_back_is_the_code(p, seed):
    codes = np.random.default_rng(seed).integers(0, 2, (3, p), np.uint8)
    for text, code in zip(hex_of(codes), codes, strict=True):
        assert len(text) == 2 * -(-p // 8)
        np.testing.assert_array_equal(code_of_hex(text, p), code)


def test_bit_j_of_a_byte_counts_two_to_the_j():
    assert hex_of(np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 0, 0, 0, 1, 1]], np.uint8)) == ["0100", "8a01"]


@pytest.mark.parametrize("text", ["", "00", "0000ff", "0002", "zz00", "00 0g"])
def test_text_that_is_no_code_of_nine_bits_is_refused(text):
    with pytest.raises(ValueError, match="a code of 9 bits has 4 hex digits"):
        code_of_hex(text, 9)


# --- where codes come from --------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "encoder.json").write_text('{"bits": 12}')
    (folder / "encoder.safetensors").write_bytes(b"weights")
    return folder


def test_the_fingerprint_is_of_the_weights_and_all_bits_are_kept(model):
    assert origin_of(model) == Origin(hashlib.sha256(b"weights").hexdigest(), 12, tuple(range(12)))


def test_selections_of_ppo_and_of_selectors_keep_their_bits_in_order(model, tmp_path):
    Selection(np.array([7, 2, 11]), 0.5, 3, "ppo", 12).save(tmp_path / "ppo.json")
    (tmp_path / "report.json").write_text('{"bits": [7, 2, 11], "method": "greedy", "k": 12}')
    for name in ("ppo.json", "report.json"):
        assert origin_of(model, tmp_path / name).bits == (7, 2, 11)


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        ({"bits": [0, 12], "k": 12}, r"runs from 0 to 12; indices must lie in 0\.\.11"),
        ({"bits": [0, 1], "n_candidates": 64}, "keeps bits of codes of 64 bits, but these have 12"),
        ({"bits": [1, 1]}, "more than once"),
        ({"reward": 1}, 'holds no "bits"'),
        ([1, 2], 'holds no "bits"'),
    ],
)
def test_a_selection_that_does_not_fit_is_refused(model, tmp_path, selection, sentence):
    (tmp_path / "selection.json").write_text(json.dumps(selection))
    with pytest.raises(ValueError, match=rf"selection: .*selection\.json.*{sentence}"):
        origin_of(model, tmp_path / "selection.json")


@pytest.mark.parametrize("missing", ["encoder.json", "encoder.safetensors"])
def test_a_folder_that_is_no_model_is_named(model, missing):
    (model / missing).unlink()
    with pytest.raises(ValueError, match=f"model: .*model has no {missing}; give a folder"):
        origin_of(model)


def test_only_codes_of_the_same_model_and_bits_can_be_compared(index):
    index.check_origin(ORIGIN)
    for other in (Origin("cd" * 32, 12, ORIGIN.bits), Origin(ORIGIN.model, 16, ORIGIN.bits)):
        with pytest.raises(ValueError, match=r"made with another model \(weights abababababab, now"):
            Index(index.folder, other, index.model)
    for bits, other in ((range(8), "8"), (range(8, -1, -1), r"9 .*: bit 0 asks for output 0 at 0\.5 .*, not output 8")):
        with pytest.raises(ValueError, match=rf"keeps 9 of 12 bits, not the {other}"):
            Index(index.folder, Origin(ORIGIN.model, 12, tuple(bits)), index.model)


@pytest.mark.parametrize(
    ("k", "outputs", "thresholds", "sentence"),
    [
        (0, (0,), None, r"k is 0; give a whole number in 1\.\.65535"),
        (True, (0,), None, "k is True"),
        (8, (), None, "the number of outputs is 0"),
        (8, (1, 1), None, "name a candidate more than once"),
        (8, (8,), None, "outputs is 8"),
        (8, (0.5,), None, "outputs is 0.5"),
        (8, None, None, "outputs is None"),
        (8, (1, 1), (2.0, 2.0), "name a candidate more than once"),
        (8, (1, 1), (2.0, np.nextafter(2.0, 3.0)), "name a candidate more than once"),  # one and the same in float32
        (8, (1, 2), (2.0,), "thresholds is .*; give a finite number for each of 2"),
        (8, (1, 2), (2.0, np.nan), "thresholds is"),
        (8, (1, 2), (2.0, np.inf), "thresholds is"),
        (8, (1, 2), (2.0, -1e99), "thresholds .* float32"),
        (8, (1, 2), ("2.0", "3.0"), "thresholds is"),
    ],
)
def test_an_origin_that_cannot_be_is_refused(k, outputs, thresholds, sentence):
    with pytest.raises(ValueError, match=sentence):
        Origin("ab" * 32, k, outputs, thresholds)


# --- thermometer bits -------------------------------------------------------------------------------------------------


ASKED = Origin("ab" * 32, 12, (3, 3, 0, 7), (-2.9444389, 2.9444389, 0.0, 0.84729786))
"""Output 3 at .05 and at .95, output 0 at .5, output 7 at .7."""


def test_outputs_without_thresholds_are_asked_at_one_half():
    plain = Origin("ab" * 32, 12, range(3))
    assert plain == Origin("ab" * 32, 12, (0, 1, 2), np.zeros(3, np.float32))
    assert (plain.thresholds, plain.at_half, plain.bits, plain.said) == ((0.0,) * 3, True, (0, 1, 2), "3 of 12 bits")
    assert (ASKED.at_half, ASKED.said) == (False, "4 thermometer bits of 12 outputs")
    assert [ASKED.question(bit) for bit in (0, 3)] == [
        "output 3 at 0.05 (logit -2.94444)",
        "output 7 at 0.7 (logit 0.847298)",
    ]


def test_what_a_selections_bits_ask_travels_with_it(model, tmp_path):
    asks = {"outputs": np.array(ASKED.outputs), "thresholds": np.array(ASKED.thresholds, np.float32)}
    Selection(np.array([37, 46, 5, 91]), 0.5, 3, "ppo", 144, **asks).save(tmp_path / "selection.json")
    found = origin_of(model, tmp_path / "selection.json")
    assert (found.outputs, found.thresholds) == (ASKED.outputs, ASKED.thresholds)


def nested(path, **changes):
    """An order of 4 thermometer bits, as hashlib-nb selectors --nested writes it."""
    asks = {"outputs": list(ASKED.outputs), "thresholds": list(ASKED.thresholds)}
    order = {"bits": [37, 46, 5, 91], "k": 144, **asks, "prefix_lengths": [2, 4], "prefix_rewards": [0.5, 0.6]}
    path.write_text(json.dumps({name: value for name, value in (order | changes).items() if value is not None}))
    return path


@pytest.mark.parametrize("n_bits", [1, 3, 4])
def test_a_code_is_cut_from_the_front_of_a_nested_order(model, tmp_path, n_bits):
    """Of any length, not of those alone over which the order was chosen."""
    found = origin_of(model, nested(tmp_path / "report.json"), n_bits)
    assert (found.outputs, found.thresholds) == (ASKED.outputs[:n_bits], ASKED.thresholds[:n_bits])
    assert origin_of(model, tmp_path / "report.json") == origin_of(model, tmp_path / "report.json", 4)


def test_a_saved_order_and_one_of_outputs_at_one_half_are_cut_as_well(model, tmp_path):
    Selection(np.array([7, 2, 11]), 0.5, 3, "nested ppo", 12, {"prefix_lengths": np.array([3])}).save(tmp_path / "s")
    assert origin_of(model, tmp_path / "s", 2).outputs == (7, 2)


@pytest.mark.parametrize(
    ("changes", "n_bits", "sentence"),
    [
        ({}, 5, r"n_bits is 5; give a whole number in 1\.\.4 \(the order in .*report.json has 4 bits\)"),
        ({}, 0, "n_bits is 0; give a whole number"),
        ({"prefix_lengths": None}, 2, "n_bits is 2, but .*report.json is no nested order"),
        ({"prefix_lengths": None, "history": [1]}, 2, "is no nested order"),
    ],
)
def test_what_no_order_can_be_cut_to_is_refused(model, tmp_path, changes, n_bits, sentence):
    with pytest.raises(ValueError, match=sentence):
        origin_of(model, nested(tmp_path / "report.json", **changes), n_bits)
    with pytest.raises(ValueError, match=f"n_bits is {n_bits}(, but there is no selection|; give a whole number)"):
        origin_of(model, None, n_bits)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"outputs": [3, 12]}, r"outputs is \[3, 12\]; give whole numbers in 0\.\.11"),
        ({"outputs": [3, 3.5]}, r"outputs is \[3, 3.5\]"),
        ({"outputs": 3}, "cannot be used"),
        ({"outputs": None}, "a number for each of its bits"),
        ({"outputs": None, "thresholds": None}, "keeps bits of codes of 144 bits, but these have 12"),
        ({"n_candidates": 150}, "chosen on 150 candidates, and 12 outputs at any levels make others"),
        ({"thresholds": [1.0]}, "a number for each of its bits"),
        ({"thresholds": ["1", "2"]}, "thresholds is"),
        ({"thresholds": [1, None]}, "thresholds is"),
        ({"thresholds": None}, "a number for each of its bits"),
        ({"outputs": [3, 3], "thresholds": [1, 1]}, "more than once"),
        ({"outputs": [3], "thresholds": [1.0]}, "a number for each of its bits"),
        ({"bits": "all"}, "no list of whole numbers"),
        ({"bits": [7, 144]}, "runs from 7 to 144"),
    ],
)
def test_a_selection_that_does_not_say_what_its_bits_ask_is_refused(model, tmp_path, changes, sentence):
    whole = {"bits": [7, 40], "n_candidates": 144, "outputs": [3, 4], "thresholds": [1.0, 2.0]}
    (tmp_path / "selection.json").write_text(json.dumps(whole | changes))
    with pytest.raises(ArtifactError, match=rf"selection: .*selection\.json.*{sentence}"):
        origin_of(model, tmp_path / "selection.json")


def test_candidates_whose_meaning_is_not_said_are_refused(model, tmp_path):
    """Ids alone, of thermometer bits, would be taken for outputs."""
    (tmp_path / "selection.json").write_text(json.dumps({"bits": [7, 3], "n_candidates": 144}))
    with pytest.raises(ArtifactError, match="keeps bits of codes of 144 bits, but these have 12"):
        origin_of(model, tmp_path / "selection.json")


@settings(max_examples=30, deadline=None)
@given(thresholds=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_thresholds_come_back_to_the_last_bit(tmp_path_factory, thresholds):
    folder = tmp_path_factory.mktemp("index")
    origin = Origin("ab" * 32, 9, range(len(thresholds)), thresholds)
    Index(folder, origin).add(random_codes(1, len(thresholds)), [folder / "a"], [content(0)])
    assert Index(folder, origin).origin.thresholds == tuple(thresholds)


BEFORE = """
PRAGMA application_id = 1752064617;
PRAGMA user_version = 1;
CREATE TABLE about (model TEXT NOT NULL, k INTEGER NOT NULL, bits TEXT NOT NULL, folder BLOB NOT NULL, \
version BLOB NOT NULL, pictures INTEGER NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE pictures (place INTEGER PRIMARY KEY AUTOINCREMENT, code BLOB NOT NULL, \
name BLOB NOT NULL UNIQUE, size INTEGER, mtime_ns INTEGER, digest BLOB NOT NULL UNIQUE);
INSERT INTO about VALUES ('{model}', 12, '[5, 0, 11]', x'2e', x'00', 2, 9);
INSERT INTO pictures (code, name, digest) VALUES (x'05', x'61', x'{zeros}00'), (x'04', x'62', x'{zeros}01');
""".replace("\\\n", "")
"""What made an index before there were thermometer bits: codes 101 and 001 of the files a and b."""


def test_an_index_from_before_thermometer_bits_opens_and_means_what_it_meant(tmp_path):
    other = sqlite3.connect(tmp_path / FILE)
    other.executescript(BEFORE.format(model="ab" * 32, zeros="00" * 31))
    other.close()
    outputs_at_half = Origin("ab" * 32, 12, (5, 0, 11), (0, 0, 0))
    index = Index(tmp_path, outputs_at_half)
    assert index.origin == Index(tmp_path).origin == outputs_at_half
    np.testing.assert_array_equal(index.unpacked(), [[1, 0, 1], [0, 0, 1]])
    (found,) = index.search(np.array([[0, 0, 1]], np.uint8))
    assert [path.name for path in found.paths] == ["b", "a"]
    index.add(np.ones((1, 3), np.uint8), [tmp_path / "c"], [content("c")])
    np.testing.assert_array_equal(Index(tmp_path).unpacked(), [[1, 0, 1], [0, 0, 1], [1, 1, 1]])


@pytest.mark.parametrize(
    ("origin", "version", "bits"),
    [
        (ORIGIN, 1, "[0, 1, 2, 3, 4, 5, 6, 7, 8]"),
        (Origin("ab" * 32, 12, (4, 2), (0.0, 1.5)), 2, "[[4, 0.0], [2, 1.5]]"),
    ],
)
def test_only_an_index_of_thermometer_bits_is_one_that_programs_of_before_cannot_read(tmp_path, origin, version, bits):
    index = Index(tmp_path, origin)
    index.add(random_codes(1, index.n_bits), [tmp_path / "a"], [content(0)])
    other = connect(index)
    assert other.execute("PRAGMA user_version").fetchone() == (version,)
    assert other.execute("SELECT bits FROM about").fetchone() == (bits,)
    other.close()


@pytest.mark.parametrize(
    ("outputs", "thresholds", "sentence"),
    [
        ((3, 4, 0, 7), None, r"bit 0 asks for output 3 at 0\.05 .*, not output 3 at 0\.5"),
        (ASKED.outputs, (-2.9444389, 3.8918202, 0.0, 0.84729786), r"bit 1 asks for output 3 at 0\.95 .*, not .* 0\.98"),
        ((3, 3, 1, 7), ASKED.thresholds, r"bit 2 asks for output 0 at 0\.5 .*, not output 1 at 0\.5"),
        ((3, 3, 0), ASKED.thresholds[:3], "not the 3 that are asked for;"),
        (range(12), None, "not the 12 that are asked for;"),
    ],
)
def test_bits_that_ask_something_else_are_refused(tmp_path, outputs, thresholds, sentence):
    index = Index(tmp_path, ASKED)
    index.add(random_codes(1, 4), [tmp_path / "a"], [content(0)])
    before = index.file.read_bytes()
    said = f"keeps 4 thermometer bits of 12 outputs, .*{sentence}.*give the selection that it was made with"
    with pytest.raises(ValueError, match=said):
        Index(tmp_path, Origin(ASKED.model, 12, outputs, thresholds))
    assert index.file.read_bytes() == before


@pytest.mark.parametrize(
    "edit",
    [
        "PRAGMA user_version = 1",
        "UPDATE about SET bits = '[3, 4, 0, 7]'",
        "UPDATE about SET bits = '[[3], [4], [0], [7]]'",
        "UPDATE about SET bits = '[[3, 1.5], [3, 1.5], [0, 0], [7, 1]]'",
        "UPDATE about SET bits = '[[3, 1, 5], [4, 1, 5]]'",
        "UPDATE about SET bits = '[[3, NaN], [4, 1], [0, 0], [7, 1]]'",
        "UPDATE about SET bits = '[[3, 1e99], [4, 1], [0, 0], [7, 1]]'",
        "UPDATE about SET bits = '[[3, \"a\"], [4, 1], [0, 0], [7, 1]]'",
        "UPDATE about SET bits = '[[12, 0], [4, 1], [0, 0], [7, 1]]'",
        "UPDATE about SET bits = '[]'",
        "UPDATE about SET bits = '7'",
        "UPDATE about SET bits = '{\"a\": 1}'",
    ],
)
def test_an_edited_index_of_thermometer_bits_is_refused_in_a_sentence(tmp_path, edit):
    Index(tmp_path, ASKED).add(random_codes(1, 4), [tmp_path / "a"], [content(0)])
    other = connect(Index(tmp_path))
    other.execute(edit)
    other.close()
    with pytest.raises(ArtifactError, match=rf"index: .*{FILE} is damaged .it does not say what made its codes"):
        Index(tmp_path)


@pytest.mark.parametrize("bits", ["12", 12.0, True, 0, -1, 10**9, None, [12]])
def test_a_model_that_does_not_say_its_bits_is_named(model, bits):
    (model / "encoder.json").write_text(json.dumps({"bits": bits}))
    with pytest.raises(ArtifactError, match=r"encoder\.json describes no encoder: fit one and save it anew"):
        origin_of(model)


# --- adding -----------------------------------------------------------------------------------------------------------


def test_what_is_added_in_two_parts_is_there_after_opening(index, photos, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xc3\xbc.jpg"))  # a name that is no UTF-8
    assert index.add(random_codes(1), [odd], [content("odd")]) == 1
    loaded = Index(index.folder)
    assert (len(loaded), loaded.n_bits, loaded.origin, loaded.model) == (4, 9, ORIGIN, tmp_path / "model")
    assert loaded.paths() == [*photos, odd]
    assert [loaded.path(row) for row in range(4)] == [*photos, odd]
    np.testing.assert_array_equal(loaded.unpacked(), np.concatenate([random_codes(3), random_codes(1)]))
    assert printable(loaded.path(3)).endswith(r"caf\xe9 ü.jpg")


@settings(max_examples=12, deadline=None)
@given(p=st.integers(1, 140), seed=st.integers(0, 2**32 - 1), goes=st.sets(st.integers(0, 39), max_size=39))
def test_codes_come_back_in_their_order_whatever_was_taken_out(tmp_path_factory, p, seed, goes):
    folder = tmp_path_factory.mktemp("index")
    codes = np.random.default_rng(seed).integers(0, 2, (40, p), np.uint8)
    paths = [folder / "photos" / str(row) for row in range(40)]
    index = Index(folder, Origin("ab" * 32, 200, tuple(range(p))))
    index.add(codes[:25], paths[:25], [content(row) for row in range(25)])
    index.search(codes[:1])
    (folder / "photos").mkdir()
    stay = [row for row in range(40) if row not in goes]
    for row in range(40):
        if row in stay or row >= 25:
            paths[row].touch()
    index.remove_missing()
    index.add(codes[25:], paths[25:], [content(row) for row in range(25, 40)])
    for row in set(range(25, 40)) - set(stay):
        paths[row].unlink()
    index.remove_missing()
    for seen in (index, Index(folder)):
        np.testing.assert_array_equal(seen.unpacked(), codes[stay])
        assert seen.paths() == [paths[row] for row in stay]
        (found,) = seen.search(codes[stay[-1:]], top=1)
        assert found.distances.tolist() == [0]
        assert found.paths == [paths[stay[int(found.indices[0])]]]


def test_one_content_is_wanted_once_and_never_again(index, photos, tmp_path):
    paths = [tmp_path / name for name in ("a.jpg", "copy of 1.jpg", "b.jpg", "copy of a.jpg")]
    contents = [content("a"), content(1), content("b"), content("a")]
    plan = index.plan(paths, contents)
    assert (plan.missing, plan.stale) == ([0, 2], [])
    assert index.plan(photos, [content(place) for place in range(3)]).missing == []
    assert index.add(random_codes(4), paths, contents) == 2
    assert index.paths() == [*photos, paths[0], paths[2]]
    assert Index(tmp_path / "new", ORIGIN).plan(paths, contents).missing == [0, 1, 2]


def test_a_file_with_another_content_replaces_its_old_entry(index, photos):
    plan = index.plan(photos[:2], [content(0), content("new")])
    assert plan.missing == [1]
    assert index.add(random_codes(1), [photos[1]], [content("new")]) == 1
    assert index.paths() == [photos[0], photos[2], photos[1]]
    np.testing.assert_array_equal(index.unpacked(), np.concatenate([random_codes(3)[[0, 2]], random_codes(1)]))


def test_a_file_that_became_a_copy_of_another_loses_its_entry(index, photos):
    assert index.add(random_codes(1), [photos[1]], [content(2)]) == 0
    assert index.paths() == [photos[0], photos[2]]


def test_a_picture_that_was_renamed_is_found_under_its_new_name(index, photos):
    moved = photos[0].rename(photos[0].with_name("moved.jpg"))
    assert index.plan([moved], [content(0)]).missing == [0]
    index.add(random_codes(1), [moved], [content(0)])
    assert index.paths() == [*photos[1:], moved]


def test_contents_are_read_where_they_are_not_given(index, photos, tmp_path):
    (tmp_path / "new.jpg").write_text("new")
    assert index.add(random_codes(2), [photos[1], tmp_path / "new.jpg"]) == 1
    assert Index(index.folder).plan([tmp_path / "new.jpg"], [hashlib.sha256(b"new").digest()]).missing == []


def test_a_file_that_changed_just_now_is_read_again(index, tmp_path):
    """Two changes within one step of the system's clock leave one time of change."""
    now, before = tmp_path / "now.jpg", tmp_path / "before.jpg"
    for path in (now, before):
        path.write_text(path.name)
    os.utime(before, (1e9, 1e9))
    index.add(random_codes(2), [now, before])
    assert set(index.noted([now, before])) == {before}
    before.write_text("before.gif")
    assert index.noted([now, before]) == {}


@pytest.mark.parametrize(
    ("codes", "paths", "contents", "sentence"),
    [
        (
            random_codes(2),
            ["a"],
            None,
            r"codes has shape \[2, 9\]; give one of 9 bits, as the index has, for each",
        ),
        (random_codes(1, 8), ["a"], [content(7)], r"codes has shape \[1, 8\]"),
        (random_codes(1)[0], ["a"], [content(7)], r"codes has shape \[9\]"),
        (2 * random_codes(2), ["a", "b"], [content(7)] * 2, "codes has values from 0 to 2"),
        (random_codes(1), ["a"], [], "contents has 0 entries and paths 1"),
        (random_codes(1), ["a"], [b"short"], "contents has b'short'; give the 32 bytes of a file's SHA-256"),
        (random_codes(1), ["a"], ["ab" * 16], "give the 32 bytes of a file's SHA-256"),
    ],
)
def test_what_cannot_be_added_is_refused_and_changes_nothing(index, tmp_path, codes, paths, contents, sentence):
    for name in paths:
        (tmp_path / name).touch()
    before = index.file.read_bytes()
    with pytest.raises(ValueError, match=sentence):
        index.add(codes, [tmp_path / name for name in paths], contents)
    assert index.file.read_bytes() == before


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda index: Index(None), "index is None; give the path of a file or folder"),
        (lambda index: Index("a\0b"), "index is 'a.x00b'; give the path"),
        (lambda index: Index("a" * 300), "cannot be opened .File name too long"),
        (lambda index: Index(index.folder / "new", ORIGIN, 7), "model is 7; give the path"),
        (lambda index: index.add(random_codes(1), "a.jpg", [content(9)]), "paths is 'a.jpg'; give a list of paths"),
        (lambda index: index.add(random_codes(1), [None], [content(9)]), "paths is None; give the path of a file"),
        (lambda index: index.add(None, ["a.jpg"], [content(9)]), "codes is None; give a code matrix"),
        (lambda index: index.add(random_codes(1), ["gone.jpg"]), "paths: gone.jpg cannot be read .No such file"),
        (lambda index: index.add(random_codes(1), [os.devnull]), "cannot be read .no regular file"),
        (lambda index: index.plan(["a.jpg"], 7), "contents has 7; give the 32 bytes"),
        (lambda index: index.noted(None), "paths is None; give a list of paths"),
        (lambda index: index.remove_missing(5), "folder is 5; give the path"),
        (lambda index: index.path(3), "row is 3; give a whole number in 0..2"),
        (lambda index: index.path(1.5), "row is 1.5"),
        (lambda index: origin_of(None), "model is None; give the path"),
        (lambda index: hex_of(None), "codes is None"),
        (lambda index: code_of_hex(5, 8), "hex is 5; a code of 8 bits has 2 hex digits"),
        (lambda index: code_of_hex("00", 8.5), "n_bits is 8.5"),
    ],
)
def test_arguments_that_cannot_be_are_refused_by_name(index, call, sentence):
    before = index.file.read_bytes()
    with pytest.raises(ValueError, match=sentence):
        call(index)
    assert index.file.read_bytes() == before


# --- what is gone -----------------------------------------------------------------------------------------------------


PLACES = ["all/index/in.jpg", "all/photos/a.jpg", "all/photos/deep/b.jpg", "all/photos2/c.jpg", "above.jpg"]
"""Files in, beside and above the folder of an index; it also knows FAR, which is not there."""
FAR = "/far/away.jpg"


@pytest.fixture
def places(tmp_path) -> dict[str, Path]:
    """PLACES, with an index that knows them in all/index."""
    files = {name: tmp_path / name for name in PLACES}
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(file))
    index = Index(tmp_path / "all" / "index", ORIGIN)
    index.add(random_codes(6), [*files.values(), Path(FAR)], [content(name) for name in range(6)])
    return files


@pytest.mark.parametrize(
    ("folder", "gone"),
    [
        ("all/photos", PLACES[1:3]),
        ("all/photos/deep", PLACES[2:3]),
        ("all/index", PLACES[:1]),
        ("all", PLACES[:4]),
        ("link", PLACES[1:3]),
        (".", PLACES),
        ("nowhere", []),
        ("/far", [FAR]),
        ("/", [*PLACES, FAR]),
        (None, [*PLACES, FAR]),
    ],
)
def test_what_is_gone_from_a_folder_is_taken_out_and_nothing_else(places, tmp_path, folder, gone):
    (tmp_path / "link").symlink_to(tmp_path / "all" / "photos")
    index = Index(tmp_path / "all" / "index")
    assert index.remove_missing(tmp_path) == 0
    for file in places.values():
        file.unlink()
    assert index.remove_missing(None if folder is None else tmp_path / folder) == len(gone)
    assert index.paths() == [tmp_path / name for name in [*PLACES, FAR] if name not in gone]


def test_who_cannot_be_asked_for_is_not_gone(index, photos, monkeypatch):
    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(contents.os, "stat", closed)
        assert not contents.is_gone(photos[0])
    assert contents.is_gone(photos[0] / "below a file")
    assert contents.is_gone(Path("a\0b"))


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "noted"),
    [
        ("/data/set/index/a.jpg", "a.jpg"),
        ("/data/set/photos/a.jpg", "../photos/a.jpg"),
        ("/data/a.jpg", "../../a.jpg"),
        ("/other/a.jpg", "/other/a.jpg"),
        ("/a.jpg", "/a.jpg"),
    ],
)
def test_files_are_noted_relative_to_the_index_unless_nothing_holds_both(picture, noted):
    index = Index(Path("/data/set/index"), ORIGIN, Path("/data/model"))
    assert index.name_of(Path(picture)) == noted
    assert index.file_of(os.fsencode(noted)) == Path(picture)


@pytest.mark.parametrize("by", ["link/index", "deep/a/b/index", "deep/a/../a/b/index"])
@pytest.mark.parametrize("pictures", ["photos", "to photos", "deep/a/../../photos", "link/../../../photos"])
def test_an_index_made_by_way_of_links_names_files_that_are_there(tmp_path, photos, by, pictures):
    (tmp_path / "deep/a/b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep/a/b")
    (tmp_path / "to photos").symlink_to(photos[0].parent)
    index = Index(tmp_path / by, ORIGIN, tmp_path / "model")
    index.add(random_codes(3), [tmp_path / pictures / path.name for path in photos])
    for again in ("link/index", "deep/a/b/index", "link/index/index.sqlite"):
        found = Index(tmp_path / again).paths()
        assert [path.read_text() for path in found] == ["0", "1", "2"]
        assert found == photos


def test_paths_are_relative_where_the_index_was_given_so(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Index(Path("index")).path(0) == Path("photos/0.jpg")


def test_an_index_moves_along_with_its_pictures(index, tmp_path, tmp_path_factory):
    there = tmp_path_factory.mktemp("elsewhere") / "all"
    tmp_path.rename(there)
    moved = Index(there / "index")
    assert [path.read_text() for path in moved.paths()] == ["0", "1", "2"]
    assert moved.model == there / "model"
    tmp_path.mkdir()


def test_a_copy_in_a_folder_that_cannot_be_written_answers(index, tmp_path):
    copy = tmp_path / "photos" / "copy"
    copy.mkdir()
    shutil.copy(index.file, copy)
    copy.chmod(0o555)
    before = (copy / FILE).stat().st_mtime_ns, copy.stat().st_mtime_ns
    try:
        (found,) = Index(copy).search(random_codes(3)[:1], top=1)
        with database.reading(copy / FILE) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("UPDATE about SET pictures = 0")
    finally:
        copy.chmod(0o755)
    assert found.distances.tolist() == [0]
    assert before == ((copy / FILE).stat().st_mtime_ns, copy.stat().st_mtime_ns)


@pytest.mark.skipif(os.name != "posix", reason="needs permissions of files")
def test_who_may_read_and_write_an_index_is_what_the_user_set(tmp_path):
    before = os.umask(0o002)
    try:
        Index(tmp_path / "index", ORIGIN).add(random_codes(1), [tmp_path / "a"], [content(0)])
    finally:
        os.umask(before)
    assert (tmp_path / "index" / FILE).stat().st_mode & 0o777 == 0o664


def test_a_file_or_its_folder_is_named(index):
    assert len(Index(index.file)) == len(Index(index.folder)) == len(Index(str(index.folder))) == 3
    assert Index(index.file).folder == index.folder


# --- several programs -------------------------------------------------------------------------------------------------

ADDING = """
import sys
import numpy as np
from pathlib import Path
from hashlib_nb.search import Index, Origin
folder, who, turns = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sys.stdin.readline()
for turn in range(turns):
    index = Index(folder, Origin("ab" * 32, 12, tuple(range(9))))
    index.add(np.full((1, 9), turn % 2, np.uint8), [folder / f"{who}_{turn}"], [f"{who:>2}{turn:>30}".encode()])
    print(turn, flush=True)
"""


def start(folder: Path, who: str, turns: int) -> subprocess.Popen:
    """A program that adds one picture after the other once it is told to, and says after each that it did."""
    command = [sys.executable, "-c", ADDING, str(folder), who, str(turns)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.process
def test_two_programs_that_add_at_once_lose_nothing(tmp_path):
    both = [start(tmp_path / "index", who, 150) for who in "ab"]
    for each in both:
        each.stdin.write("go\n")
        each.stdin.flush()
    said = [len(each.communicate()[0].split()) for each in both]
    assert said == [150, 150]
    names = sorted(path.name for path in Index(tmp_path / "index").paths())
    assert names == sorted(f"{who}_{turn}" for who in "ab" for turn in range(150))
    assert [path.name for path in (tmp_path / "index").iterdir()] == [FILE]


@pytest.mark.slow
@pytest.mark.process
def test_a_kill_loses_what_was_being_added_and_nothing_before(tmp_path):
    """Ten kills at ten moments of one index, whose pictures another program goes on adding to meanwhile."""
    index, added = tmp_path / "index", 0
    for turn in range(10):
        with start(index, str(turn), 10_000) as writing:
            writing.stdin.write("go\n")
            writing.stdin.flush()
            for _ in range(1 + 3 * turn):
                assert writing.stdout.readline()
            time.sleep(0.001 * turn)
            writing.send_signal(signal.SIGKILL)
            said = 1 + 3 * turn + len(writing.stdout.read().split())
            writing.wait()
        held = len(Index(index).paths())
        assert said <= held - added <= said + 1
        added = held
    Index(index, ORIGIN).add(random_codes(1), [tmp_path / "more"], [content("more")])
    assert len(Index(index)) == added + 1
    assert [path.name for path in index.iterdir()] == [FILE]


@pytest.mark.process
@pytest.mark.parametrize("before", [0, 3])
def test_a_kill_with_half_of_a_change_on_the_disk_takes_it_back(tmp_path, before):
    """The program writes more than its memory is to hold, so that pages of the change are in the file as it ends."""
    index = Index(tmp_path / "index", ORIGIN)
    if before:
        index.add(random_codes(3), [tmp_path / str(row) for row in range(3)], [content(row) for row in range(3)])
    program = f"""
import os, signal
from pathlib import Path
from hashlib_nb.search import database, tables
from hashlib_nb.search.contents import Content
from hashlib_nb.search.origin import Origin
with database.writing(Path({str(index.file)!r})) as connection:
    connection.execute("PRAGMA cache_size = 5")
    if {before == 0}:
        tables.write_about(connection, Origin("ab" * 32, 12, tuple(range(9))), b".")
    change = tables.Change(connection, None, None)
    for row in range(5000):
        change.put(bytes(2), b"%d" % row, Content(b"%032d" % row))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert start_python("-c", program, check=False).returncode == -signal.SIGKILL
    assert sorted(path.name for path in index.folder.iterdir()) == [FILE, f"{FILE}-journal"]
    assert index.file.stat().st_size > 100_000
    assert len(Index(index.folder, ORIGIN)) == before
    Index(index.folder, ORIGIN).add(random_codes(1), [tmp_path / "more"], [content("more")])
    assert len(Index(index.folder).paths()) == before + 1
    assert [path.name for path in index.folder.iterdir()] == [FILE]


def test_a_change_by_another_program_is_seen_by_who_has_the_index_open(index, photos, tmp_path):
    assert len(index.search(random_codes(1), top=9)[0].paths) == 3
    Index(index.folder, ORIGIN).add(random_codes(1), [tmp_path / "more"], [content("more")])
    assert len(index) == len(index.search(random_codes(1), top=9)[0].paths) == 4


def test_an_index_that_was_replaced_by_another_models_is_refused(index, tmp_path):
    index.unpacked()
    other = Origin("cd" * 32, 12, ORIGIN.bits)
    index.file.unlink()
    Index(index.folder, other).add(random_codes(1), [tmp_path / "a"], [content(0)])
    for call in (index.unpacked, lambda: index.add(random_codes(1), [tmp_path / "b"], [content(1)])):
        with pytest.raises(ValueError, match="was made with another model"):
            call()


def test_who_waits_too_long_for_another_program_is_told(index, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "WAIT", 0.05)
    other = connect(index)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ArtifactError, match="has been written by another program for 30 s; wait for it and run"):
        index.add(random_codes(1), [tmp_path / "more"], [content("more")])
    assert len(index.paths()) == 3  # readers do not wait for a change that is not finished
    other.close()
    assert index.add(random_codes(1), [tmp_path / "more"], [content("more")]) == 1


# --- files that are no index, or were damaged -------------------------------------------------------------------------


def test_a_missing_index_and_one_of_version_0_1_are_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"index: .* holds no index\.sqlite; make one with hashlib-nb encode"):
        Index(tmp_path)
    (tmp_path / "index.npz").touch()
    with pytest.raises(ArtifactError, match=r"index\.npz of version 0\.1, which is no longer read; encode"):
        Index(tmp_path)


FOREIGN = {
    "a text": (lambda path: path.write_text("no database " * 100), "is no index of pictures"),
    "a folder": (lambda path: path.mkdir(), "is no regular file; name another folder"),
    "a pipe": (os.mkfifo, "is no regular file; name another folder"),
    "another program's": (
        lambda path: sqlite3.connect(path).execute("CREATE TABLE pictures (name)").connection.close(),
        "is a database of another program; name another folder",
    ),
    "an npz": (lambda path: save_npz(path, {"codes": random_codes(3)}), "is no index of pictures"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_foreign_file_is_named_and_stays_as_it_is(tmp_path, kind):
    make, sentence = FOREIGN[kind]
    make(tmp_path / FILE)
    before = (tmp_path / FILE).stat()
    for use in (lambda: Index(tmp_path), lambda: Index(tmp_path, ORIGIN).add(random_codes(1), ["a"], [content(1)])):
        with pytest.raises(ArtifactError, match=rf"index: .*{FILE} {sentence}"):
            use()
    assert (tmp_path / FILE).stat() == before


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ("PRAGMA user_version = 3", "has tables of version 3, and versions 1 and 2 are read here; encode the pictures"),
        ("PRAGMA user_version = 2", "does not say what made its codes"),
        ("PRAGMA application_id = 5", "is a database of another program"),
        ("CREATE TABLE more (name)", "its tables are not those of an index"),
        ("CREATE TRIGGER more AFTER DELETE ON pictures BEGIN DELETE FROM about; END", "its tables are not those"),
        ("ALTER TABLE pictures ADD COLUMN more", "its tables are not those of an index"),
        ("DROP TABLE about", "its tables are not those of an index"),
        ("DELETE FROM about", "does not say what made its codes"),
        ("INSERT INTO about SELECT * FROM about", "does not say what made its codes"),
        ("UPDATE about SET k = 8", "does not say what made its codes"),
        ("UPDATE about SET k = 'many'", "does not say what made its codes"),
        ("UPDATE about SET bits = '[0, 0]'", "does not say what made its codes"),
        ("UPDATE about SET bits = 'none'", "does not say what made its codes"),
        ("UPDATE about SET bits = '7'", "does not say what made its codes"),
        ("UPDATE about SET bits = '[[7, 0.5]]'", "does not say what made its codes"),
        ("UPDATE about SET bits = '[0, 1]'", "its codes are not 3 of 2 bits|its codes are not those that were added"),
        ("UPDATE about SET bits = '" + "[" * 100_000 + "'", "does not say what made its codes"),
        ("UPDATE about SET model = x'ff'", "does not say what made its codes"),
        ("UPDATE about SET folder = 7", "does not say how many codes it has"),
        ("UPDATE about SET pictures = 'three'", "does not say how many codes it has"),
        ("UPDATE about SET pictures = -1", "cannot hold the -1 codes that it claims"),
        ("UPDATE about SET pictures = 1000000000000", "cannot hold the 1,000,000,000,000 codes that it claims"),
        ("UPDATE about SET pictures = 2", "its codes are not 2 of 9 bits"),
        ("UPDATE about SET pictures = 4", "its codes are not those that were added"),
        ("UPDATE about SET checksum = 1.5", "does not say how many codes it has"),
        ("UPDATE pictures SET code = x'00' WHERE place = 2", "its codes are not 3 of 9 bits"),
        ("UPDATE pictures SET code = 'ab' WHERE place = 2", "its codes are not 3 of 9 bits"),
        ("UPDATE pictures SET code = 7 WHERE place = 2", "its codes are not 3 of 9 bits"),
        ("UPDATE pictures SET code = x'0300' WHERE place = 2", "its codes are not those that were added"),
        ("UPDATE pictures SET code = x'00ff'", "its codes are not those that were added"),
        ("DELETE FROM pictures WHERE place = 2", "its codes are not those that were added"),
        ("UPDATE pictures SET name = 7 WHERE place = 2", "7 is no name of a file"),
        ("UPDATE pictures SET name = 'text' WHERE place = 2", "'text' is no name of a file"),
    ],
)
def test_what_was_edited_is_refused_in_a_sentence(index, edit, sentence):
    other = connect(index)
    other.execute(edit)
    other.close()
    with pytest.raises(ArtifactError, match=rf"index: .*{FILE} .*({sentence})"):
        Index(index.folder).search(random_codes(1))


def test_damage_is_said_in_a_sentence_or_does_no_harm(index, photos, tmp_path):
    """Cut off anywhere, or with bytes changed anywhere: whatever is answered, codes are those that were added."""
    index.add(random_codes(600), [tmp_path / str(row) for row in range(600)], [content(row) for row in range(3, 603)])
    whole, codes = index.file.read_bytes(), index.unpacked()
    rng = np.random.default_rng(0)
    said = []
    for turn in range(80):
        damaged = bytearray(whole)
        if turn % 4 == 0:
            del damaged[int(rng.integers(1, len(whole))) :]
        else:
            start, n = int(rng.integers(0, (100, 4096, len(whole))[turn % 3])), int(rng.choice([1, 8, 2000]))
            damaged[start : start + n] = rng.bytes(len(damaged[start : start + n]))
        index.file.write_bytes(damaged)
        try:
            opened = Index(index.folder, ORIGIN)
            np.testing.assert_array_equal(opened.unpacked(), codes)
            opened.search(codes[:2], top=3)
            opened.remove_missing()
            opened.noted(photos)
            opened.add(random_codes(1), [tmp_path / "more"], [content("more")])
        except ValueError as error:  # and nothing else
            said.append(str(error))
    assert len(said) > 30
    assert all(each.startswith("index: ") and "\n" not in each for each in said)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o555)
    try:
        for place in (tmp_path, tmp_path / "index"):
            with pytest.raises(ArtifactError, match="cannot be written"):
                Index(place, ORIGIN).check_writable()
    finally:
        tmp_path.chmod(0o755)


def test_a_file_where_a_folder_is_wanted_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ArtifactError, match="cannot be written"):
        Index(tmp_path / "file" / "index", ORIGIN).check_writable()


# --- version 0.1 ------------------------------------------------------------------------------------------------------


def test_the_names_of_version_0_1_still_work_and_warn(tmp_path):
    made = []
    for call in (
        lambda: made.append(Index.load_or_new(tmp_path, ORIGIN, tmp_path)),
        lambda: made.append(made[0].added(random_codes(1), [tmp_path / "a"], [content(0)])),
        lambda: made[1].save(),
        lambda: made.append(Index.load(tmp_path)),
        lambda: made.append(Index.new(tmp_path, ORIGIN, tmp_path)),
    ):
        with pytest.warns(DeprecationWarning, match="the old name ends with 0.3"):
            call()
    assert [len(index) for index in made] == [1, 1, 1, 1]


def test_after_many_queries_tables_answer_the_same(tmp_path, monkeypatch):
    codes = random_codes(200, 20)
    index = Index(tmp_path / "index", Origin("ab" * 32, 20, tuple(range(20))))
    index.add(codes, [tmp_path / str(row) for row in range(200)], [content(row) for row in range(200)])
    queries = codes[:5] ^ (np.arange(20) == 3).astype(np.uint8)
    scanned = index.search(queries, radius=3)
    monkeypatch.setattr(multi_index, "WORTH", 0)  # or so few codes would go on being scanned
    monkeypatch.setattr(tables, "MANY", 10)
    looked_up = index.search(queries, radius=3)
    assert_same(*({found.query: found for found in each} for each in (looked_up, scanned)))
    with index.snapshot() as held:
        assert held.codes.asked == 10
        assert "_tables" in vars(held.codes)
