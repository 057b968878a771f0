"""The index of pictures: what it notes, what it takes for the same picture, and what survives a kill or a move."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlib_nb.artifacts import ArtifactError, save_npz
from hashlib_nb.hamming import pack_bytes
from hashlib_nb.search import Index, Origin, code_of_hex, hex_of, origin_of, printable
from hashlib_nb.search.index import FILE
from hashlib_nb.selection import Selection

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
    """An index of them, saved."""
    made = Index.new(tmp_path / "index", ORIGIN, tmp_path / "model")
    made = made.add(random_codes(3), photos, [content(place) for place in range(3)])
    made.save()
    return Index.load(tmp_path / "index")


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
            Index.load_or_new(index.folder, other, index.model)
    for bits in (range(8), range(8, -1, -1)):
        with pytest.raises(ValueError, match=rf"keeps 9 of 12 bits, not the {len(bits)} that are asked for"):
            Index.load_or_new(index.folder, Origin(ORIGIN.model, 12, tuple(bits)), index.model)


# --- adding -----------------------------------------------------------------------------------------------------------


def test_what_is_added_in_two_parts_is_there_after_loading(index, photos, tmp_path):
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 \xc3\xbc.jpg"))  # a name that is no UTF-8
    index.add(random_codes(1), [odd], [content("odd")]).save()
    loaded = Index.load(index.folder)
    assert (len(loaded), loaded.n_bits, loaded.origin, loaded.model) == (4, 9, ORIGIN, tmp_path / "model")
    assert [loaded.path(row) for row in range(4)] == [*photos, odd]
    np.testing.assert_array_equal(loaded.unpacked(), np.concatenate([random_codes(3), random_codes(1)]))
    np.testing.assert_array_equal(loaded.codes, pack_bytes(loaded.unpacked()))
    assert printable(loaded.path(3)).endswith(r"caf\xe9 ü.jpg")


def test_one_content_is_wanted_once_and_never_again(index, photos, tmp_path):
    paths = [tmp_path / name for name in ("a.jpg", "copy of 1.jpg", "b.jpg", "copy of a.jpg")]
    kept, missing = index.plan(paths, [content("a"), content(1), content("b"), content("a")])
    assert len(kept) == 3
    assert missing == [0, 2]
    assert index.plan(photos, [content(place) for place in range(3)])[1] == []


def test_a_file_with_another_content_replaces_its_old_entry(index, photos):
    kept, missing = index.plan(photos[:2], [content(0), content("new")])
    assert [kept.path(row) for row in range(len(kept))] == [photos[0], photos[2]]
    np.testing.assert_array_equal(kept.unpacked(), random_codes(3)[[0, 2]])
    assert missing == [1]


def test_a_file_that_became_a_copy_of_another_loses_its_entry(index, photos):
    kept, missing = index.plan([photos[1]], [content(2)])
    assert [kept.path(row) for row in range(len(kept))] == [photos[0], photos[2]]
    assert missing == []


def test_a_picture_that_was_renamed_is_found_under_its_new_name(index, photos):
    moved = photos[0].rename(photos[0].with_name("moved.jpg"))
    kept, missing = index.plan([moved], [content(0)])
    assert [kept.path(row) for row in range(len(kept))] == photos[1:]
    assert missing == [0]


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
    index = Index.new(Path("/data/set/index"), ORIGIN, Path("/data/model"))
    assert index.name_of(Path(picture)) == noted
    assert index.add(random_codes(1), [Path(picture)], [content(0)]).path(0) == Path(picture)


def test_an_index_moves_along_with_its_pictures(index, tmp_path, tmp_path_factory):
    there = tmp_path_factory.mktemp("elsewhere") / "all"
    tmp_path.rename(there)
    moved = Index.load(there / "index")
    assert [moved.path(row).read_text() for row in range(3)] == ["0", "1", "2"]
    assert moved.model == there / "model"
    tmp_path.mkdir()


def test_a_change_by_another_program_is_not_overwritten(index):
    one, other = (index.add(random_codes(1), [index.folder / name], [content(name)]) for name in ("x", "y"))
    one.save()
    before = (index.folder / FILE).read_bytes()
    with pytest.raises(ValueError, match="was changed by another program meanwhile"):
        other.save()
    assert [path.name for path in index.folder.iterdir()] == [FILE]
    assert (index.folder / FILE).read_bytes() == before


def test_damage_is_named(index):
    path = index.folder / FILE
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole.replace(index.contents.tobytes(), bytes(96)), b""):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"index\.npz is truncated or no npz file"):
            Index.load(index.folder)


def test_a_foreign_or_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"index: .* holds no index\.npz; make one with"):
        Index.load(tmp_path)
    save_npz(tmp_path / FILE, {"codes": random_codes(3)}, made_by="another stage")
    with pytest.raises(ArtifactError, match="is no index of pictures"):
        Index.load(tmp_path)


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_kill_in_the_middle_of_writing_leaves_the_old_index(index):
    """The killed program writes into a pipe that is put where its temporary file would be, and stops in its middle."""
    program = f"""
import sys, numpy as np
from pathlib import Path
from hashlib_nb.search import Index
sys.stdin.readline()
index, n = Index.load(Path({str(index.folder)!r})), 20_000
names = [index.folder / str(row) for row in range(n)]
index.add(np.zeros((n, 9), np.uint8), names, [bytes(32)] * n).save()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, text=True) as writing:
        pipe = index.folder / f".{FILE}.{writing.pid}.partial"
        os.mkfifo(pipe)
        writing.stdin.write("go\n")
        writing.stdin.flush()
        with open(pipe, "rb") as reading:
            assert reading.read(100).startswith(b"PK")
            writing.send_signal(signal.SIGKILL)
            writing.wait()
    again = Index.load(index.folder)
    np.testing.assert_array_equal(again.unpacked(), index.unpacked())
    again.add(random_codes(1), [index.folder / "more.jpg"], [content("more")]).save()
    assert len(Index.load(index.folder)) == 4
