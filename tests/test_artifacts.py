"""Artifacts: a failing writer loses nothing, nothing damaged or foreign is taken for whole, and messages say why."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch
import tyro
from hypothesis import given
from hypothesis import strategies as st

from hashlib_nb import artifacts
from hashlib_nb.artifacts import ArtifactError, Checkpoint
from hashlib_nb.machine import files
from tests.helpers import assert_same, damage, run_python

ARRAYS = {"codes": np.arange(12, dtype=np.uint8).reshape(3, 4), "objective": np.array(0.25)}


pytestmark = pytest.mark.usefixtures("home")


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_npz_round_trip_keeps_arrays_and_meta(home):
    artifacts.save_npz(home / "x.npz", ARRAYS, args={"bits": 4, "root": None}, made_by="a test")
    arrays, meta = artifacts.load_npz(home / "x.npz")
    assert meta == {"args": {"bits": 4, "root": None}, "made_by": "a test"}
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)


@pytest.mark.parametrize("dtype", [object, [("word", object)]])
def test_objects_are_refused_before_anything_is_written(home, dtype):
    with pytest.raises(ValueError, match="array 'names' has dtype object"):
        artifacts.save_npz(home / "x.npz", {"names": np.zeros(2, dtype)})
    assert files_of(home) == []


DAMAGES = ["truncated", "flipped", "empty", "text", "npy", "pickled", "folder"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_npz_is_named(home, how):
    artifacts.save_npz(home / "x.npz", ARRAYS)
    damage(home / "x.npz", how)
    sentence = r"truncated or no npz file \(.+\); it must be made anew$"
    for read in (artifacts.load_npz, artifacts.read_npz):
        with pytest.raises(ArtifactError, match=rf"^x\.npz is (a folder, no npz file; name|{sentence})"):
            read(home / "x.npz")


@given(data=st.data())
def test_no_damaged_byte_gives_wrong_arrays(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    artifacts.save_npz(path, ARRAYS, args={"bits": 4})
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    arrays = {}
    with contextlib.suppress(ArtifactError):
        arrays, _ = artifacts.load_npz(path)
    # A byte may say nothing about the arrays: a time stamp, or a letter of an array's name.
    for name in arrays.keys() & ARRAYS.keys():
        np.testing.assert_array_equal(arrays[name], ARRAYS[name], strict=True)


def test_a_foreign_npz_is_read_by_those_who_allow_it(home):
    np.savez(home / "x.npz", codes=ARRAYS["codes"], labels=np.ones(3))
    with pytest.raises(ArtifactError, match=r"^x\.npz was not written by hashlib_nb \(it holds codes, labels\)"):
        artifacts.load_npz(home / "x.npz")
    assert list(artifacts.read_npz(home / "x.npz")) == ["codes", "labels"]
    named = artifacts.read_npz(home / "x.npz", ["codes"])
    assert list(named) == ["codes"]
    np.testing.assert_array_equal(named["codes"], ARRAYS["codes"])


def test_only_the_named_arrays_are_read(home):
    np.savez(home / "x.npz", codes=ARRAYS["codes"], notes=np.array([{}], object))
    assert list(artifacts.read_npz(home / "x.npz", ["codes"])) == ["codes"]
    with pytest.raises(ArtifactError, match=r"^x\.npz lacks b, c; give an npz file with codes, b, c$"):
        artifacts.read_npz(home / "x.npz", ["codes", "b", "c"])


@pytest.mark.parametrize(
    "read", [artifacts.load_npz, artifacts.read_npz, artifacts.load_npy, artifacts.load_json], ids=lambda f: f.__name__
)
def test_an_absent_file_is_named(home, read):
    with pytest.raises(ArtifactError, match=r"^sub/x\.abc does not exist; run the stage that makes it"):
        read(home / "sub" / "x.abc")


def test_npy_files_hold_one_plain_array(home):
    np.save(home / "y.npy", ARRAYS["codes"])
    np.testing.assert_array_equal(artifacts.load_npy(home / "y.npy"), ARRAYS["codes"], strict=True)
    whole = (home / "y.npy").read_bytes()
    np.save(home / "pickled.npy", np.array([{}], object))
    np.savez(home / "archive.npz", a=ARRAYS["codes"])
    bad = {"cut.npy": whole[:-3], "empty.npy": b"", "text.npy": b"hello"}
    for name, content in bad.items():
        (home / name).write_bytes(content)
    for name in [*bad, "pickled.npy", "archive.npz"]:
        with pytest.raises(ArtifactError, match=rf"^{name} is truncated or no npy file"):
            artifacts.load_npy(home / name)


def test_an_array_is_found_in_any_file(home):
    np.save(home / "a.npy", ARRAYS["codes"])
    np.savez(home / "one.npz", whatever=ARRAYS["codes"])
    np.savez_compressed(home / "two.npz", codes=ARRAYS["codes"], labels=ARRAYS["codes"][:, :2])
    artifacts.save_npz(home / "ours.npz", {"train_codes": ARRAYS["codes"]}, made_by="test")
    for name in ("a.npy", "one.npz", "two.npz", "ours.npz"):
        np.testing.assert_array_equal(artifacts.read_array(home / name, "codes"), ARRAYS["codes"])
    np.testing.assert_array_equal(artifacts.read_array(home / "two.npz", "codes", "labels"), ARRAYS["codes"][:, :2])


def test_a_file_that_does_not_say_gets_a_sentence(home):
    np.save(home / "a.npy", ARRAYS["codes"])
    np.savez(home / "two.npz", left=ARRAYS["codes"], right=ARRAYS["codes"])
    np.save(home / "pickled.npy", np.array([{}], dtype=object))
    (home / "cut.npz").write_bytes((home / "two.npz").read_bytes()[:-30])
    (home / "text.npy").write_text("1 0 1")
    for name, array, sentence in (
        ("two.npz", None, "two.npz holds left, right: say which are the codes with codes_array"),
        ("two.npz", "middle", "two.npz lacks middle"),
        ("a.npy", "codes", "codes_array is 'codes', but .*a.npy is no npz file"),
        ("pickled.npy", None, "pickled.npy is truncated or no npy file"),
        ("cut.npz", None, "cut.npz is truncated or no npy file"),
        ("text.npy", None, "text.npy is truncated or no npy file"),
        ("none.npy", None, "none.npy does not exist"),
    ):
        with pytest.raises(ValueError, match=sentence):
            artifacts.read_array(home / name, "codes", array)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON)
def test_json_round_trip(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    artifacts.save_json(path, value)
    assert artifacts.load_json(path) == value


def test_bad_json_is_named_and_never_written(home):
    artifacts.save_json(home / "x.json", [1])
    with pytest.raises(ValueError, match="JSON"):
        artifacts.save_json(home / "x.json", [float("nan")])
    assert artifacts.load_json(home / "x.json") == [1]
    assert files_of(home) == ["x.json"]
    for content in (b"", b'{"bits": [1, ', b"\xff\xfe"):
        (home / "x.json").write_bytes(content)
        with pytest.raises(ArtifactError, match=r"^x\.json is truncated or no JSON file"):
            artifacts.load_json(home / "x.json")


class Maker:
    """A stage that counts its runs."""

    def __init__(self, result=ARRAYS):
        self.runs, self.result = 0, result

    def __call__(self):
        self.runs += 1
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def load_or_make(path, make, **args):
    return artifacts.load_or_make(path, args, make, made_by="hashlib_nb.test")


def test_what_exists_is_loaded_and_says_so(home, capsys):
    make = Maker({"codes": ARRAYS["codes"], "objective": 0.25})
    made = load_or_make(home / "x.npz", make, bits=4, at=(1, 2))
    assert capsys.readouterr().out == "saved x.npz (made in 0 s by hashlib_nb.test)\n"
    loaded = load_or_make(home / "x.npz", make, bits=4, at=(1, 2))
    assert capsys.readouterr().out == "loaded x.npz (made in 0 s by hashlib_nb.test)\n"
    assert make.runs == 1
    for name in ("codes", "objective"):  # a stage sees the same thing in either case
        np.testing.assert_array_equal(made[name], loaded[name], strict=True)


def test_other_settings_are_named_and_the_artifact_made_anew(home, capsys):
    load_or_make(home / "x.npz", Maker(), bits=4, seed=0, lr=0.3)
    capsys.readouterr()
    make = Maker({"codes": np.zeros(1)})
    arrays = load_or_make(home / "x.npz", make, bits=8, seed=0, block=2)
    first_line = capsys.readouterr().out.splitlines()[0]
    assert first_line == (
        "x.npz was made with other settings (bits=4, now 8, block='not set', now 2, lr=0.3, now 'not set'); "
        "making it anew"
    )
    assert make.runs == 1
    assert list(arrays) == ["codes"]
    assert load_or_make(home / "x.npz", make, bits=8, seed=0, block=2)["codes"].shape == (1,)
    assert make.runs == 1


FOREIGN = ("text", "npy", "pickled", "another program's")
"""Damages that leave nothing by which a file could be known as an artifact."""


@pytest.mark.parametrize("how", [*DAMAGES[:-1], "another program's"])
@pytest.mark.parametrize("folder", ["artifacts/run", "named by the user"])
def test_a_damaged_artifact_is_named_and_rebuilt_and_a_foreign_file_is_left(home, folder, how, capsys):
    path = home / folder / "x.npz"
    load_or_make(path, Maker(), bits=4)
    if how == "another program's":
        np.savez(path, **ARRAYS)
    else:
        damage(path, how)
    before, make = path.read_bytes(), Maker()
    capsys.readouterr()
    if folder.startswith("named") and how in FOREIGN:
        with pytest.raises(ValueError, match=r"x\.npz is there and was not written by this command, so it is not rep"):
            load_or_make(path, make, bits=4)
        assert (make.runs, path.read_bytes()) == (0, before)
        return
    load_or_make(path, make, bits=4)
    assert make.runs == 1
    assert capsys.readouterr().out.startswith(f"{folder}/x.npz ")
    assert list(artifacts.load_npz(path)[0]) == list(ARRAYS)


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RuntimeError("diverged")])
def test_a_stage_that_stops_leaves_the_old_artifact(home, stop):
    load_or_make(home / "x.npz", Maker(), bits=4)
    with pytest.raises(type(stop)):
        load_or_make(home / "x.npz", Maker(stop), bits=8)
    arrays, meta = artifacts.load_npz(home / "x.npz")
    assert meta["args"] == {"bits": 4}
    np.testing.assert_array_equal(arrays["codes"], ARRAYS["codes"])
    assert files_of(home) == ["x.npz"]


def test_bad_arguments_are_refused_before_the_work(home):
    make = Maker()
    with pytest.raises(ValueError, match="is a folder, no npz file; name a regular file"):
        load_or_make(home, make, bits=4)
    with pytest.raises(TypeError):
        load_or_make(home / "x.npz", make, labels=np.zeros(3))
    assert make.runs == 0


STATE = {"epoch": 3, "history": {"loss": [0.5, 0.25]}, "weights": {"a": torch.arange(4.0)}, "note": "x"}


def test_a_checkpoint_gives_back_what_was_saved_and_says_so(home, capsys):
    saved = Checkpoint(home / "run.pt", "data lr=0.1")
    assert saved.load() is None
    saved.save(STATE)
    assert capsys.readouterr().out == ""
    assert_same(saved.load(), STATE)
    assert capsys.readouterr().out == "resuming from run.pt\n"
    assert files_of(home) == ["run.pt"]


def test_a_checkpoint_without_a_file_is_none(home, capsys):
    nowhere = Checkpoint(None, "data lr=0.1")
    nowhere.save(STATE)
    assert nowhere.load() is None
    assert (files_of(home), capsys.readouterr().out) == ([], "")


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(4.0, dtype=np.float32).tobytes()) + 5] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: overwrite(path, path.read_bytes()[:300]), "is damaged (it is cut short or no checkpoint)"),
        (lambda path: overwrite(path, path.read_bytes()[:20]), "is damaged (it is cut short or no checkpoint)"),
        (lambda path: overwrite(path, b""), "is damaged (it is empty)"),
        (flip, "is damaged ("),
        (lambda path: torch.save({"made_from": Path("unsafe")}, path), "is damaged (it is cut short or no checkpoint)"),
        (lambda path: torch.save({"made_from": 3}, path), "is damaged (it does not say what it was made from)"),
        (lambda path: Checkpoint(path, "data lr=0.2").save(STATE), "is of another training (other data or settings)"),
    ],
    ids=["cut", "hardly begun", "empty", "a flipped bit", "pickled", "no note", "other settings"],
)
def test_a_checkpoint_that_cannot_be_used_is_named_and_left(home, capsys, spoil, said):
    saved = Checkpoint(home / "run.pt", "data lr=0.1")
    saved.save(STATE)
    spoil(saved.path)
    before = saved.path.read_bytes()
    assert saved.load() is None
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"run.pt {said}")
    assert line.endswith("training starts anew")
    assert "weights_only" not in line
    assert saved.path.read_bytes() == before


@pytest.mark.parametrize(
    "write",
    [
        lambda path: overwrite(path, b"hello"),
        lambda path: torch.save([1, 2], path),
        lambda path: torch.save({"network": {}}, path),
        lambda path: np.savez(path.open("wb"), **ARRAYS),
    ],
    ids=["text", "a list", "another program's weights", "arrays"],
)
def test_a_file_of_another_program_is_no_checkpoint_and_is_left(home, write):
    path = home / "mine.pt"
    write(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"^mine\.pt is there and was not written by this command"):
        Checkpoint(path, "data lr=0.1").load()
    assert path.read_bytes() == before


def test_folders_are_named_after_what_is_in_them(home):
    assert artifacts.folder("fashion-mini", 64, 0) == home / "artifacts" / "fashion-mini-k64-s0"
    assert artifacts.folder("coco", 16, 3, arch="alexnet") == home / "artifacts" / "coco-alexnet-k16-s3"
    assert not (home / "artifacts").exists()


def test_the_project_root(home, monkeypatch):
    assert artifacts.project_root() == home
    monkeypatch.delenv("HASHLIB_NB_HOME")
    monkeypatch.setattr(files, "CHECKOUT", home / "clone")
    monkeypatch.chdir(home)
    assert artifacts.project_root() == home  # no checkout around the package: the current folder
    (home / "clone" / "notebooks").mkdir(parents=True)
    (home / "clone" / "pyproject.toml").touch()
    assert artifacts.project_root() == home / "clone"


def test_tables_that_came_with_the_checkout_are_found_from_any_home(home, monkeypatch):
    monkeypatch.setattr(files, "CHECKOUT", home / "clone")
    mine, theirs = home / "results" / "t.json", home / "clone" / "results" / "t.json"
    assert artifacts.results_file("t.json") == mine  # where it would be made
    artifacts.save_json(theirs, {})
    assert artifacts.results_file("t.json") == theirs
    artifacts.save_json(mine, {})
    assert artifacts.results_file("t.json") == mine


def test_paths_are_shown_relative_to_the_project(home):
    assert artifacts.shown(home / "artifacts" / "x.npz") == "artifacts/x.npz"
    assert artifacts.shown("/elsewhere/x.npz") == "/elsewhere/x.npz"


def test_the_digest_tells_arrays_apart():
    a = np.arange(6, dtype=np.uint8).reshape(2, 3)
    others = [a + 1, a.astype(np.int8), a.reshape(3, 2), a.ravel(), a[::-1], a[:0]]
    digests = {artifacts.digest(array) for array in [a, *others]}
    assert len(digests) == len(others) + 1
    assert artifacts.digest(a) == artifacts.digest(np.asfortranarray(a))  # the memory layout is no content
    assert artifacts.digest(a, a + 1) != artifacts.digest(a + 1, a)
    assert len(artifacts.digest(a)) == 12


@dataclass(frozen=True)
class Args:
    """Do nothing."""

    bits: int
    """code length"""


def run(monkeypatch, main, *options):
    monkeypatch.setattr(sys, "argv", ["/anywhere/codes.py", *options])
    artifacts.run(main, Args)


def test_a_command_line_passes_its_arguments(monkeypatch):
    seen = []
    run(monkeypatch, seen.append, "--bits", "8")
    assert seen == [Args(bits=8)]


@pytest.mark.parametrize(
    "error", [ValueError("bits is 0; give at least 1"), FileNotFoundError("no x"), ArtifactError("x")]
)
def test_bad_input_ends_in_one_sentence(monkeypatch, error):
    def main(args):
        raise error

    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, main, "--bits", "8")
    assert stopped.value.code == f"error: {error}"  # a string: printed to stderr, exit status 1


@dataclass(frozen=True)
class Inner:
    """What is nested in the arguments."""

    epochs: int = 1
    """at least 1"""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"epochs must be at least 1, not {self.epochs}")


@dataclass(frozen=True)
class Outer:
    """Do nothing."""

    inner: Annotated[Inner, tyro.conf.arg(name="")] = Inner()


def test_what_a_nested_dataclass_refuses_is_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["codes.py", "--epochs", "0"])
    with pytest.raises(SystemExit) as stopped:
        artifacts.run(lambda _: pytest.fail("began to work"), Outer)
    assert stopped.value.code == "error: epochs must be at least 1, not 0"


def test_a_mistake_in_the_program_keeps_its_traceback(monkeypatch):
    with pytest.raises(TypeError):
        run(monkeypatch, lambda: None, "--bits", "8")


@pytest.mark.process
def test_the_memory_of_a_process_is_not_that_of_its_parent():
    held = np.ones(300_000_000, np.uint8)
    assert artifacts.peak_memory_mb() > held.nbytes / 1e6
    assert 5 < float(run_python("from hashlib_nb import artifacts; print(artifacts.peak_memory_mb())")) < 200
