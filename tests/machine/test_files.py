"""Files: whole or not at all, one writer at a time, never over a device, a pipe or another program's work."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from hashlib_nb import artifacts
from hashlib_nb.artifacts import ArtifactError, WriteError
from hashlib_nb.machine import files, numba_cache
from tests.helpers import ROOT, run_python, start_python

pytestmark = pytest.mark.usefixtures("home")


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def write(path: Path, text: str = "new") -> None:
    with files.atomic(path) as partial:
        partial.write_text(text)


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(home):
    target = home / "a" / "file.bin"
    write(target, "old")

    def fail():
        with files.atomic(target) as partial:
            partial.write_bytes(b"half of the new")
            raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        fail()
    assert target.read_bytes() == b"old"
    assert names(home) == ["a/file.bin"]


def test_the_target_does_not_change_before_the_writer_ends(home):
    target = home / "file.txt"
    target.write_text("old")
    with files.atomic(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077, 0o002])
def test_a_file_has_the_permissions_of_any_new_file(home, umask):
    before = os.umask(umask)
    try:
        with files.atomic(home / "x") as partial:
            partial.write_text("")
            partial.chmod(0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "x").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("name", ["x" * 255, "é" * 120, "a [b] *?.npz", "\udcff.npz"])
def test_any_name_that_a_file_can_have_can_be_written_and_locked(home, name):
    write(home / name)
    with files.locked(home / name):
        write(home / name, "newer")
    assert (home / name).read_text() == "newer"
    assert len(names(home)) == 1


def test_a_link_is_followed_and_stays(home):
    (home / "big").mkdir()
    (home / "link").symlink_to(home / "big" / "report.json")
    for text in ("first", "second"):  # a link that leads nowhere as well
        write(home / "link", text)
        assert (home / "big" / "report.json").read_text() == text
    assert (home / "link").is_symlink()
    assert names(home / "big") == ["report.json"]


# --- what is no regular file ------------------------------------------------------------------------------------------


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


READERS = {
    "load_npz": artifacts.load_npz,
    "read_npz": artifacts.read_npz,
    "load_npy": artifacts.load_npy,
    "load_json": artifacts.load_json,
    "read_array": lambda path: artifacts.read_array(path, "codes"),
    "read_selection": artifacts.read_selection,
    "sha256": artifacts.sha256,
    "checkpoint": lambda path: artifacts.Checkpoint(path, "x").load(),
    "load_or_make": lambda path: artifacts.load_or_make(path, {}, lambda: pytest.fail("made"), made_by="x"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", ["pipe", "device", "folder", "link to a pipe"])
def test_what_is_no_regular_file_is_refused_before_it_is_read(home, reader, what):
    path = home / "there"
    if what == "folder":
        path.mkdir()
    elif what == "device":
        path = Path("/dev/zero")
    elif what == "pipe":
        pipe(path)
    else:
        path.symlink_to(pipe(home / "real"))
    if reader == "checkpoint" and what == "device":
        pytest.skip("a device can be written into, and holds no checkpoint")
    with pytest.raises(ValueError, match=r"there is a \w+|/dev/zero is a device") as refused:
        READERS[reader](path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_device_is_written_into_and_a_pipe_is_refused_at_once(home):
    write(Path("/dev/null"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe(home / "pipe")
    for call in (lambda: files.check_writable(home / "pipe"), lambda: write(home / "pipe")):
        with pytest.raises((ValueError, WriteError), match="pipe is a pipe"):
            call()
    assert names(home) == ["pipe"]
    with pytest.raises(WriteError, match=r"^/dev/full was not written \(No space left on device\); make room there"):
        write(Path("/dev/full"))


@pytest.mark.process
def test_the_standard_output_is_written_into_whatever_it_is(home):
    program = "from hashlib_nb import artifacts; artifacts.save_json('/dev/stdout', [1])"
    assert run_python(program) == "[\n 1\n]\n"
    with (home / "x.json").open("w") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True, cwd=ROOT)
    assert artifacts.load_json(home / "x.json") == [1]
    assert names(home) == ["x.json"]


def test_a_descriptor_of_a_shell_is_written_into(home):
    """As `--out >(gzip > x.gz)` names one."""
    reading, writing = os.pipe()
    got = []
    reader = threading.Thread(target=lambda: got.append(os.fdopen(reading, "rb").read()))
    reader.start()
    write(Path(f"/dev/fd/{writing}"), "hello")
    os.close(writing)
    reader.join()
    assert got == [b"hello"]


# --- what may be replaced ---------------------------------------------------------------------------------------------


def figure(path: Path) -> None:
    from hashlib_nb import plots

    plots.save_png(plots.neighbors([np.zeros((4, 4, 1), np.uint8)], [[]], ["a"], [[]]), path)


OUR_OWN = {
    "npz": (artifacts.replaces_npz(), lambda path: artifacts.save_npz(path, {"a": np.arange(3)})),
    "json": (
        artifacts.replaces_json("bits", "reward"),
        lambda path: artifacts.save_json(path, {"reward": 1, "bits": []}),
    ),
    "lines": (artifacts.replaces_lines(r".*  [0-9a-f]+"), lambda path: path.write_text("a b.png  0f\n")),
    "figure": (artifacts.replaces_figure, figure),
}
SOMEBODYS = {
    "text": b"my thesis\n",
    "json": b'{"a": 1}',
    "list": b"[1, 2]",
    "binary": bytes(range(256)),
    "one byte": b"x",
    "long line": b"x" * 100_000,
}


@pytest.mark.parametrize("kind", OUR_OWN)
def test_what_is_of_the_kind_is_replaced_and_what_is_not_is_left(home, kind):
    replaces, make = OUR_OWN[kind]
    make(home / "own")
    files.check_writable(home / "own", replaces)
    (home / "empty").touch()
    files.check_writable(home / "empty", replaces)
    files.check_writable(home / "new" / "file", replaces)
    for name, content in SOMEBODYS.items():
        (home / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"^{name} is there and was not written by this command"):
            files.check_writable(home / name, replaces)
        own = home / "artifacts" / name
        own.parent.mkdir(exist_ok=True)
        own.write_bytes(content)
        files.check_writable(own, replaces)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["npz", "json"])
def test_what_is_cut_short_is_still_of_the_kind(home, kind, share):
    replaces, make = OUR_OWN[kind]
    make(home / "own")
    content = (home / "own").read_bytes()
    (home / "own").write_bytes(content[: max(18, round(share * len(content)))] if kind == "json" else content[:100])
    files.check_writable(home / "own", replaces)


def test_an_artifact_of_another_stage_is_left_as_well(home):
    stages = {"codes": ("codes", "objective"), "encoder": ("train_codes",), "encode": ("codes", "names")}
    for stage, names in stages.items():
        artifacts.save_npz(home / stage, dict.fromkeys(names, np.arange(3)))
    for stage, names in stages.items():
        files.check_writable(home / stage, artifacts.replaces_npz(*names))
        for other in stages.keys() - {stage}:
            with pytest.raises(ValueError, match="was not written by this command"):
                files.check_writable(home / other, artifacts.replaces_npz(*names))


def test_what_pillow_and_numpy_save_is_somebodys(home):
    from PIL import Image

    Image.new("RGBA", (5, 5)).save(home / "x.png")
    np.savez(home / "x.npz", codes=np.arange(3))
    for name, replaces in {"x.png": artifacts.replaces_figure, "x.npz": artifacts.replaces_npz()}.items():
        with pytest.raises(ValueError, match="was not written by this command"):
            files.check_writable(home / name, replaces)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("file/x.npz", "file/x.npz cannot be written, for file is a file"),
        ("folder", "folder is a folder; give the name of a file"),
        ("x" * 300, r"cannot be written \(File name too long\)"),
        ("loop/x", r"cannot be written"),
    ],
)
def test_a_place_that_cannot_be_written_is_named_before_the_work(home, path, sentence):
    (home / "file").touch()
    (home / "folder").mkdir()
    (home / "loop").symlink_to(home / "loop")
    with pytest.raises(ValueError, match=sentence) as refused:
        files.check_writable(home / path)
    assert len(str(refused.value).splitlines()) == 1
    with pytest.raises((WriteError, ValueError)) as failed:
        write(home / path)
    assert len(str(failed.value).splitlines()) == 1


def test_an_output_that_nobody_asked_for_is_dropped_with_a_note(home, capsys):
    (home / "file").touch()
    assert files.or_dropped(home / "file" / "x.png") is None
    assert capsys.readouterr().out.startswith("left out: file/x.png cannot be written, for file is a file")
    assert files.or_dropped(home / "x.png") == home / "x.png"


# --- no room ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_sentence_that_names_the_file(home, number):
    def fill():
        with files.atomic(home / "x.npz") as partial:
            partial.write_bytes(b"half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(WriteError, match=r"^x\.npz was not written \(.+\); make room there, or name another place$"):
        fill()
    assert names(home) == []


def test_other_errors_of_a_writer_are_its_own(home):
    def read():
        with files.atomic(home / "x.npz"):
            (home / "missing.png").read_bytes()

    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        read()


LIMITED = """
import resource, sys
import numpy as np, torch
from pathlib import Path
from hashlib_nb import artifacts
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
big = np.random.default_rng(0).random(100_000)
writers = {
    "npz": lambda path: artifacts.save_npz(path, {"a": big}),
    "json": lambda path: artifacts.save_json(path, big.tolist()),
    "checkpoint": lambda path: artifacts.Checkpoint(path, "x").save({"a": torch.as_tensor(big)}),
}
for name, write in writers.items():
    try:
        write(Path(sys.argv[1]) / name)
    except artifacts.WriteError as error:
        print(error)
"""


@pytest.mark.slow
@pytest.mark.process
def test_every_writer_ends_in_a_sentence_where_there_is_no_room(home):
    lines = run_python(LIMITED, home).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["npz", "json", "checkpoint"]
    assert all("was not written (" in line for line in lines)
    assert names(home) == []


# --- several writers --------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from hashlib_nb.machine import files
with files.atomic(sys.argv[1]) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.process
def test_what_a_killed_writer_leaves_is_taken_away_by_the_next(home):
    path = home / "x.json"
    path.write_text("old")
    assert start_python("-c", KILLED, path, check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len([*home.glob(".x.json.*.partial")]) == 1
    write(home / "y.json")  # another file's writer leaves it
    assert len([*home.glob(".x.json.*.partial")]) == 1
    write(path)
    assert names(home) == ["x.json", "y.json"]


def test_what_a_living_writer_has_is_left(home):
    with files.atomic(home / "x") as slow:
        slow.write_text("slow")
        write(home / "x", "quick")
        assert slow.read_text() == "slow"
    assert (home / "x").read_text() == "slow"
    assert names(home) == ["x"]


def test_files_that_only_look_like_partials_are_left(home):
    for name in (".x.partial", ".x.mine.partial", "x.partial"):
        (home / name).touch()
    write(home / "x")
    assert names(home) == [".x.mine.partial", ".x.partial", "x", "x.partial"]


def count(path: Path, turns: int) -> None:
    """Add to a number in a file, which loses some where two do so at once."""
    for _ in range(turns):
        with files.locked(path):
            artifacts.save_json(path, artifacts.load_json(path) + 1)


@pytest.mark.process
def test_a_lock_lets_one_in_at_a_time_and_leaves_no_file(home):
    artifacts.save_json(home / "n.json", 0)
    context = multiprocessing.get_context("fork")
    team = [context.Process(target=count, args=(home / "n.json", 40)) for _ in range(3)]
    for each in team:
        each.start()
    for each in team:
        each.join()
    assert artifacts.load_json(home / "n.json") == 120
    assert names(home) == ["n.json"]


def test_a_lock_that_is_never_given_back_is_named(home):
    def twice():
        with files.locked(home / "x"), files.locked(home / "x", seconds=0.1):
            pass

    with pytest.raises(WriteError, match="^x was not written: another process has held it"):
        twice()


ROUNDS = """
import os, sys
import numpy as np
from pathlib import Path
from hashlib_nb import artifacts
for turn in range(30):
    made = np.full(50_000, turn) + np.arange(50_000)
    artifacts.save_npz(Path(sys.argv[1]), {"a": made})
    found = artifacts.load_npz(Path(sys.argv[1]))[0]["a"]
    assert (found - found[0] == np.arange(50_000)).all()
"""


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("apart", [False, True], ids=["one machine", "two containers"])
def test_two_writers_of_one_file_never_tear_it(home, apart):
    """In containers both writers may be process 1."""
    own_numbers = ["unshare", "-p", "-f"] if apart else []
    if apart and (
        not shutil.which("unshare") or subprocess.run([*own_numbers, "true"], capture_output=True).returncode
    ):
        pytest.skip("needs unshare and the right to use it")
    words = [*own_numbers, sys.executable, "-c", ROUNDS, str(home / "x.npz")]
    both = [subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for each in both:
        _, said = each.communicate(timeout=120)
        assert each.returncode == 0, said
    assert names(home) == ["x.npz"]


def test_of_two_that_make_the_same_the_first_to_end_counts(home, capsys):
    path, arrays = home / "x.npz", {"a": np.arange(3)}

    def make():
        artifacts.load_or_make(path, {"seed": 0}, lambda: arrays, made_by="the other")
        return {"a": np.arange(3) + 1}

    made = artifacts.load_or_make(path, {"seed": 0}, make, made_by="this")
    np.testing.assert_array_equal(made["a"], arrays["a"])
    assert "(another process has made it meanwhile)" in capsys.readouterr().out
    assert artifacts.load_npz(path)[1]["made_by"] == "the other"


def test_arrays_that_fail_their_check_are_made_anew(home, capsys):
    path = home / "x.npz"
    for value, runs in ((1, True), (1, False)):
        found = artifacts.load_or_make(
            path,
            {},
            lambda value=value: {"a": np.array(value)},
            made_by="x",
            check=lambda arrays, runs=runs: "it is of old" if runs and "a" in arrays else None,
        )
    assert found["a"] == 1
    found = artifacts.load_or_make(path, {}, lambda: {"a": np.array(2)}, made_by="x", check=lambda _: "it is of old")
    assert found["a"] == 2
    assert "x.npz cannot be used (it is of old); making it anew" in capsys.readouterr().out


# --- folders that can only be read ------------------------------------------------------------------------------------


@pytest.fixture
def no_folder_can_be_written(monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")  # so that it is put back as it was
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(numba_cache, "_can_be_written", lambda folder: False)


def test_kernels_are_kept_in_a_folder_of_this_user_alone_where_nothing_else_can_be_written(
    home, monkeypatch, no_folder_can_be_written
):
    monkeypatch.setattr(numba_cache.tempfile, "tempdir", str(home))
    monkeypatch.setitem(sys.modules, "numba", None)
    assert numba_cache._choose()
    place = Path(os.environ["NUMBA_CACHE_DIR"])
    assert place.parent == home
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    place.chmod(0o777)  # anybody could put code there
    assert numba_cache._choose()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) != place


def test_kernels_are_compiled_anew_each_time_where_nothing_at_all_can_be_written(monkeypatch, no_folder_can_be_written):
    monkeypatch.setattr(numba_cache, "_temporary_place", lambda: None)
    assert not numba_cache._choose()
    assert "NUMBA_CACHE_DIR" not in os.environ


def test_an_artifact_in_a_folder_that_can_only_be_read_is_loaded(home, monkeypatch):
    path = home / "artifacts" / "x.npz"
    artifacts.load_or_make(path, {"seed": 0}, lambda: {"a": np.arange(3)}, made_by="x")
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    artifacts.load_or_make(path, {"seed": 0}, lambda: pytest.fail("made again"), made_by="x")
    with pytest.raises(ValueError, match="cannot be written here .* set HASHLIB_NB_HOME to a folder that can"):
        artifacts.load_or_make(path, {"seed": 1}, lambda: pytest.fail("made in vain"), made_by="x")


def test_a_file_in_a_file_does_not_exist(home):
    (home / "file").touch()
    with pytest.raises(ArtifactError, match="^file/x.npz does not exist, for it lies in a file; name another file$"):
        artifacts.load_npz(home / "file" / "x.npz")
