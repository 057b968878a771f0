"""Tables of what is given wrongly: each option of each command, and each argument of each function, x bad values.

`World` is a folder with small inputs that would do and with files that would not. `command_lines` derives every line
from the commands' own options: a line that would work, with one value in it that cannot. `tests.test_fuzz` runs them in
this process, `tests.torture` as processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import inspect
import io
import itertools
import os
import resource
import signal
import sys
import typing
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hashlib_nb import artifacts, datasets, thermometer
from hashlib_nb.__main__ import COMMANDS, main
from hashlib_nb.search import Index, Origin
from hashlib_nb.search.checkpoints import TreeHead
from hashlib_nb.search.frames import write_frames
from hashlib_nb.search.records import Log
from tests.helpers import ONE_THREAD, ROOT, draw, noisy_codes, stage_2

SECONDS = 30
"""So long a line may take before it counts as hanging; refused lines take under one."""
BYTES = 6 * 2**30
"""So much address space beyond what it has now the process may ask for while a line runs."""


class HangsError(BaseException):
    """A line that takes too long; not an Exception, so that no command mistakes it for its own."""


@dataclass(frozen=True)
class World:
    """A folder of inputs, with a home for what commands keep and a folder in which they are called."""

    folder: Path
    """All of it."""

    @property
    def here(self) -> Path:
        """Where commands are called."""
        return self.folder / "here"

    @property
    def bad(self) -> Path:
        """Files that are of no use."""
        return self.here / "bad"

    def environment(self) -> dict[str, str]:
        """What keeps commands inside the world."""
        return {"HASHLIB_NB_HOME": str(self.folder / "home"), "COLUMNS": "400"}

    def snapshot(self) -> dict[str, tuple]:
        """Everything in the folder, so that two of them tell what has changed between."""
        found = {}
        for path, names, files in os.walk(self.folder):
            for name in itertools.chain(names, files):
                about = os.lstat(os.path.join(path, name))
                kept = (about.st_mode, about.st_ino) + ((about.st_size, about.st_mtime_ns) if name in files else ())
                found[os.path.join(path, name)] = kept
        return found


def make_world(folder: Path) -> World:
    """Draw the world: a few pictures in two classes, labels, codes, a selection, an encoder, an index."""
    world = World(folder)
    draw(folder / "home" / "runs" / "figures" / "a.png", 0)
    world.here.mkdir()
    codes, labels = noisy_codes(n=40, k=8)
    for number in range(24):
        draw(world.here / "photos" / "ab"[number % 2] / f"{number}.png", number, size=(32, 32))
    np.save(world.here / "labels.npy", labels)
    np.save(world.here / "codes.npy", codes)
    made = stage_2(k=8, sizes=(40, 40, 40))
    artifacts.save_npz(world.here / "codes.npz", made, made_by="a test")
    artifacts.save_json(world.here / "selection.json", {"bits": [0, 3, 5]})
    logits, classes = made["out_of_fold_logits"], thermometer.ClassCodes.from_arrays(made)
    np.save(world.here / "logits.npy", logits)
    np.save(world.here / "posteriors.npy", thermometer.posteriors(logits, classes))
    np.save(world.here / "class_codes.npy", classes.codes)
    asks = dict(zip(("outputs", "thresholds"), thermometer.meanings(8, (0.2, 0.7)), strict=True))
    candidates = {"codes": thermometer.bits(logits, (0.2, 0.7)), **asks}
    artifacts.save_npz(world.here / "candidates.npz", candidates, made_by="a test")
    graded = {"bits": [3, 10], "n_candidates": 16, "outputs": [1, 5], "thresholds": [0.5, -1.5]}
    artifacts.save_json(world.here / "graded.json", graded)
    Index(world.here / "recorded", Origin("ab" * 32, 8, range(8))).add(
        codes[:2], ["a", "b"], [bytes(32), bytes([1] * 32)]
    )
    shades = np.arange(0, 250, 50, np.uint8)[:, None, None, None] + np.arange(48, dtype=np.uint8)[:, None, None]
    write_frames(world.here / "film.mp4", np.broadcast_to(shades, (5, 48, 64, 3)), 5)
    log = Log(world.here / "log.jsonl")
    log.append([{"code": code, "sha256": code * 32} for code in ("8c", "8d", "ff")])
    TreeHead.sign(log.leaves(), Ed25519PrivateKey.from_private_bytes(bytes(32))).save(world.here / "checkpoint.json")
    _make_files_that_do_not_fit(world.bad, made, candidates)
    datasets.load("folder", root=world.here / "photos").save_split(world.here / "split.npz")
    _make_bad(world.bad)
    return world


def add_encoder(world: World) -> None:
    """Fit an encoder of 8 bits to noise and index the photos; brings torch."""
    from hashlib_nb import encoder

    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    targets = np.random.default_rng(1).integers(0, 2, (8, 8), dtype=np.uint8)
    fitted = encoder.fit(images, targets, arch="alexnet_small", epochs=1, progress=False)
    fitted.save(world.here / "model")
    made = run_line(world, ("encode", "photos", "--model", "model", "--index", "index"))
    assert made.status == 0, made


def _make_files_that_do_not_fit(bad: Path, made: dict[str, np.ndarray], candidates: dict[str, np.ndarray]) -> None:
    """What PARTICULAR names: of the right kind, and yet of no use."""
    bad.mkdir()
    np.save(bad / "half.npy", np.full((40, 4), 0.1))
    for name in ("class_codes", "logits"):
        rest = {each: array for each, array in made.items() if not each.endswith(name)}
        artifacts.save_npz(bad / f"no-{name}.npz", rest, made_by="a test")
    artifacts.save_npz(bad / "longer.npz", candidates | {"outputs": np.arange(17)}, made_by="a test")
    artifacts.save_npz(bad / "same.npz", candidates | {"outputs": np.zeros(16, int)}, made_by="a test")
    artifacts.save_npz(bad / "others.npz", candidates | {"query_codes": np.eye(3, dtype=np.uint8)}, made_by="a test")
    constant = {"codes": np.ones((40, 16), np.uint8)}
    artifacts.save_npz(bad / "constant.npz", candidates | constant, made_by="a test")


def _make_bad(bad: Path) -> None:
    """The files of BAD and BAD_NPZ, and what else is in the way."""
    (bad / "folder").mkdir()
    (bad / "folder" / "notes.txt").write_text("somebody's")
    (bad / "empty").write_bytes(b"")
    (bad / "garbage").write_bytes(np.random.default_rng(0).bytes(3000))
    (bad / "latin1").write_bytes("Straße,Maß\nä,ö\n".encode("latin1"))
    (bad / "utf16").write_text("path,label\na,b\n", encoding="utf-16")
    (bad / "foreign.json").write_text('{"name": "somebody\'s", "bits": null}')
    (bad / "asks.json").write_text('{"bits": [0, 900], "n_candidates": 960, "outputs": [0, 900], "thresholds": [0, 1]}')
    (bad / "list.json").write_text("[1, 2")
    (bad / "deep.json").write_text("[" * 100_000)
    os.mkfifo(bad / "pipe")
    (bad / "loop").symlink_to("loop")
    (bad / "nowhere").symlink_to("gone")
    (bad / os.fsdecode(b"caf\xe9")).write_bytes(b"\xff\xfe\x00")
    (bad / "a\nb").write_bytes(b"\x93NUMPY")
    np.savez(bad / "foreign.npz", weights=np.zeros(3))
    np.savez(bad / "objects.npz", codes=np.array([None, 1]), labels=np.array([{}, 1]))
    np.save(bad / "objects.npy", np.array([None, 1]))
    np.save(bad / "strings.npy", np.array(["a", "b"]))
    np.save(bad / "cube.npy", np.zeros((2, 2, 2)))
    np.save(bad / "nans.npy", np.full((40, 8), np.nan))
    np.save(bad / "scalar.npy", np.float64(3))
    whole = io.BytesIO()
    np.savez(whole, codes=noisy_codes()[0])
    (bad / "short.npz").write_bytes(whole.getvalue()[:300])
    flipped = bytearray(whole.getvalue())
    flipped[200] ^= 255
    (bad / "flipped.npz").write_bytes(flipped)
    with zipfile.ZipFile(bad / "liar.npz", "w") as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999, 99999), }"
        text = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
        archive.writestr("codes.npy", text)
        archive.writestr("labels.npy", text)
    for name in ("model-empty", "model-garbage", "model-short"):
        (bad / name).mkdir()
    (bad / "model-empty" / "encoder.json").write_text("{}")
    (bad / "model-empty" / "encoder.safetensors").write_bytes(b"")
    (bad / "model-garbage" / "encoder.json").write_bytes(b"\xff\x00\xfe")
    (bad / "model-garbage" / "encoder.safetensors").write_bytes(b"\xff" * 99)
    (bad / "model-short" / "encoder.json").write_text('{"arch": "alexnet_small", "bits": 8')


BAD_FILES = (
    "bad/missing", "bad/folder", "labels.npy/x", "bad/empty", "bad/garbage", "bad/latin1", "bad/utf16", "bad/asks.json",
    "bad/list.json", "bad/deep.json", "bad/foreign.json", "bad/foreign.npz", "bad/objects.npz", "bad/objects.npy",
    "bad/short.npz", "bad/flipped.npz", "bad/liar.npz", "bad/strings.npy", "bad/cube.npy", "bad/nans.npy",
    "bad/scalar.npy", "bad/pipe", "bad/loop", "bad/nowhere", "bad/caf\udce9", "bad/a\nb", "bad/missing\udcff",
    "/dev/zero", "/dev/full", "", " ", "x" * 300, "~no-such-user/x", "/nowhere/x",
)  # fmt: skip
"""Paths that are no file of any use here."""
BAD_FOLDERS = (
    "bad/missing", "labels.npy", "labels.npy/x", "bad/folder", "bad/empty", "bad/garbage", "bad/pipe", "bad/loop",
    "bad/nowhere", "bad/caf\udce9", "bad/model-empty", "bad/model-garbage", "bad/model-short", "/dev/zero", "/dev/full",
    " ", "x" * 300,
)  # fmt: skip
"""Paths that are no folder of any use here."""
BAD_OUT_FILES = ("bad/folder", "labels.npy/x", "labels.npy", "bad/garbage", "bad/loop", "bad/pipe/x", "", "x" * 300)
"""Paths at which no file can be written, or where another program's is."""
BAD_OUT_FOLDERS = ("labels.npy", "labels.npy/x", "bad/pipe", "bad/loop", "/dev/full", "/dev/full/x", "x" * 300)
"""Paths at which no folder can be made."""
MANY = "9" * 30
BAD_WHOLE = ("x", "1.5", "-1", "1e3", "nan", "", " ", "0x10", MANY, "-" + MANY, "9" * 5000)
"""No whole numbers that would do anywhere."""
BAD_REAL = ("x", "nan", "inf", "-inf", "-1", "1e999", "", "1,5")
"""No numbers that would do anywhere."""
BAD_WORDS = ("nothing", "", " ", "../x", "FOLDER", "*", "\udcff", "folder\n", "x" * 300)
"""Texts that name nothing."""
BAD_OPTIONS = ("x", "=", "x=1", "size=x", "size=-1", "size=99999999999", "size", "\udcff=1", "query_per_class=nan", "")
"""Options of the dataset folder that it does not take."""

OUT_FILES = ("codes.out", "codes.report", "ppo.out", "ppo.checkpoint", "dqn.out", "metrics.out", "encode.out",
             "encode.text", "search.grid", "results.out", "questions.out", "unseen.out", "thermometer.out",
             "reward_rows.out", "rivals.out", "comparison.out", "tuning.out", "tuning.study",
             "ablation.out", "robustness.out", "records.out", "video.index", "exchange.out")  # fmt: skip
OUT_FOLDERS = ("encoder.out", "ppo.tensorboard", "selectors.out", "encode.index", "encode.parts", "metrics.parts",
               "baselines.out")  # fmt: skip
FOLDERS = ("root", "model", "index", "cifar10", "coco", "lists", "course")
"""Options that are folders to read; all others that are paths are files."""

SMALL_DATA = ("--dataset", "folder", "--root", "photos")
SMALL_ENCODER = (*SMALL_DATA, "--bits", "8", "--folds", "0", "--epochs", "1", "--arch", "alexnet_small")
PUBLIC_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
LINES: Mapping[str, tuple[str, ...]] = {
    "datasets": ("lint", "folder", "--root", "photos"),
    "codes": (*SMALL_DATA, "--bits", "8", "--epochs", "1", "--out", "new/codes.npz"),
    "encoder": (*SMALL_ENCODER, "--out", "new/encoder"),
    "thermometer": ("--logits", "logits.npy", "--class-codes", "class_codes.npy", "--out", "new/t.npz"),
    "ppo": ("--codes", "codes.npz", "--n-bits", "3", "--total-episodes", "32", "--hidden", "8", "--out", "new/s.json"),
    "dqn": ("--codes", "codes.npz", "--n-bits", "3", "--budget", "32", "--hidden", "8", "--out", "new/d.json"),
    "selectors": ("--codes", "codes.npy", "--labels", "labels.npy", "--n-bits", "3", "--out", "new/kept"),
    "baselines": (
        "lsh",
        *SMALL_DATA,
        "--bits",
        "8",
        "--arch",
        "efficientnet_lite0_frozen",
        "--size",
        "32",
        "--out",
        "new/baseline",
    ),  # fmt: skip
    "metrics": ("--codes", "codes.npz", "--out", "new/report.json"),
    "encode": ("photos", "--model", "model", "--out", "new/codes.npz"),
    "search": ("photos/a/0.png", "--index", "index", "--grid", "new/grid.png"),
    "exchange": ("codes.npy", "new/codes.faiss"),
    "records": ("verify", "--checkpoints", "checkpoint.json", "--log", "log.jsonl", "--public-key", PUBLIC_KEY),
    "video": ("index", "film.mp4", "--index", "new/films.npz"),
    "results": (*SMALL_ENCODER, "--lengths", "4", "--seeds", "0", "--total-episodes", "32", "--out", "new/r.json"),
    "questions": (
        *SMALL_DATA,
        "--code-length",
        "8",
        "--lengths",
        "4",
        "--seeds",
        "0",
        "--epochs=1",
        "--out",
        "new/q.json",
    ),
    "reward_rows": (
        *SMALL_DATA,
        "--code-length",
        "8",
        "--lengths",
        "4",
        "--judges",
        "4",
        "--held-out",
        "2",
        "--epochs",
        "1",
        "--arch",
        "efficientnet_lite0",
        "--size",
        "32",
        "--out",
        "new/rr.json",
    ),
    "rivals": (*SMALL_DATA, "--methods", "lsh", "--lengths", "8", "--seeds", "0", "--size=32", "--out", "new/v.json"),
    "unseen": ("--code-length=8", "--lengths=4", "--seeds=0", "--epochs=1", "--subsets=2", "--out", "new/u.json"),
    "comparison": (*SMALL_DATA, "--pools", "64", "--methods", "first", "--lengths", "8", "--out", "new/c.json"),
    "tuning": (*SMALL_DATA, "--pool", "64", "--n-bits", "8", "--trials", "1", "--workers", "1", "--out", "new/tu.json"),
    "ablation": (*SMALL_DATA, "--pools=64", "--variants=default", "--lengths=8", "--budgets=20", "--out", "new/a.json"),
    "robustness": ("--root=photos", "--size=32", "--n-bits=8", "--methods=first", "--out", "new/ro.json"),
    "published": (),
    "run_course": ("--notebooks", "01", "--parameters", "epochs=1"),
    "executed": ("check",),
    "figures": (),
    "demo": ("--no-browser",),
    "classroom": (),
}
"""For each command a line that would work, or would begin to, and would not take long."""

ALLOWED: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    ("codes.block_size", "metrics.top_n", "metrics.at_n", "metrics.radius", "search.top", "search.radius",
     "results.top_n", "video.top", "video.radius"), (MANY,)
)  # fmt: skip
"""Values that an option takes although they are in the table of its kind."""


def of_records() -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Lines of the words add and prove with one option at a bad value."""
    add = (
        "add",
        "--index",
        "recorded",
        "--log",
        "new/log.jsonl",
        "--key",
        "new/key.pem",
        "--out",
        "new/checkpoint.json",
    )
    prove = ("prove", "labels.npy", "--log", "log.jsonl", "--checkpoints", "checkpoint.json", "--out", "new/proof.json")
    for word, *rest in (add, prove):
        for option in rest[rest.index("--log") - 2 * (word == "add") :: 2]:
            is_written = option == "--out" or (word == "add" and option != "--index")
            for value in BAD_FOLDERS if option == "--index" else BAD_OUT_FILES if is_written else BAD_FILES:
                yield ("records", word, *rest, f"{option}={value}"), option[2:], value


GRADED = ("metrics", "--selection", "graded.json", "--out", "new/report.json")
OF_POSTERIORS = ("thermometer", "--out", "new/t.npz", "--posteriors")
CHOSEN = ("selectors", "--labels", "labels.npy", "--n-bits", "3", "--out", "new/kept")
PARTICULAR: tuple[tuple[tuple[str, ...], str, str], ...] = (
    *(
        ((command, *LINES[command], "--levels", *levels), "levels", levels[0])
        for command in ("thermometer", "ppo", "dqn")
        for levels in (("0", "0.5"), ("0.5", "1"), ("0.5", "0.2"), ("0.2", "0.2"), ("0.7", "0.7000000000001"))
    ),
    (("thermometer", "--out", "new/t.npz"), "logits", ""),
    (("thermometer", *LINES["thermometer"], "--posteriors", "posteriors.npy"), "posteriors", ""),
    *(
        ((*OF_POSTERIORS, file), "posteriors", file)
        for file in ("bad/half.npy", "bad/nans.npy", "bad/cube.npy", "logits.npy", "bad/foreign.npz")
    ),
    *(
        ((*OF_POSTERIORS, "posteriors.npy", "--class-codes", each), "class_codes", each)
        for each in ("bad/nans.npy", "bad/cube.npy", "logits.npy", "codes.npy")
    ),
    (("thermometer", "--logits", "logits.npy", "--class-codes", "labels.npy", "--out", "new/t.npz"), "class_codes", ""),
    *(((*GRADED, "--codes", f"bad/no-{name}.npz", "--decided"), "codes", f"bad/no-{name}.npz")
      for name in ("logits", "class_codes")),
    ((*GRADED, "--codes", "bad/no-logits.npz"), "codes", "bad/no-logits.npz"),
    ((*GRADED, "--codes", "codes.npz", "--selection", "bad/asks.json"), "selection", "bad/asks.json"),
    (("metrics", "--codes", "bad/no-class_codes.npz", "--decided", "--out", "new/r.json"), "decided", ""),
    *(((*CHOSEN, "--codes", file), "codes", file)
      for file in ("bad/longer.npz", "bad/same.npz", "bad/others.npz", "bad/constant.npz")),
    *(((*CHOSEN, "--codes", "codes.npy", "--nested", *words), words[-2][2:], words[-1])
      for words in (("--method", "cem"), ("--budget", "0"), ("--lengths", "0"), ("--method", "ppo", "--budget", "9"))),
    (("selectors", *LINES["selectors"], "--lengths", "2"), "lengths", "2"),
    (("encode", *LINES["encode"], "--n-bits", "3"), "n_bits", "3"),
    (("encode", *LINES["encode"], "--selection", "graded.json", "--n-bits", "1"), "n_bits", "1"),
    *of_records(),
    (("ppo", *LINES["ppo"], "--codes", "bad/no-logits.npz"), "codes", "codes file"),
    (("ppo", *LINES["ppo"], "--codes", "bad/no-class_codes.npz"), "codes", "codes file"),
)  # fmt: skip
"""Lines of which no single value is wrong in itself, with the option to blame: levels, and files that do not fit."""


@dataclass(frozen=True)
class Line:
    """A command line that cannot be carried out."""

    words: tuple[str, ...]
    """All of it, from the command's name on."""
    option: str
    """Field of `Args` that has the bad value."""
    value: str
    """The bad value."""

    @property
    def name(self) -> str:
        """For messages."""
        return " ".join(each if len(each) < 40 else f"{each[:20]}..." for each in map(ascii, self.words))


def fields_of(args_type: type) -> Iterator[tuple[str, Any]]:
    """Name and kind of each option, those of a dataclass among them as well."""
    kinds = typing.get_type_hints(args_type)
    for field in dataclasses.fields(args_type):
        kind = kinds[field.name]
        if dataclasses.is_dataclass(kind):
            yield from fields_of(kind)
        elif field.init and not any(map(dataclasses.is_dataclass, typing.get_args(kind))):
            yield field.name, kind


def bad_values(command: str, option: str, kind: Any) -> tuple[str, ...]:
    """What an option cannot be, from the tables above."""
    where = f"{command}.{option}"
    kinds = {kind, *typing.get_args(kind)}
    if Path in kinds or tuple[Path, ...] == kind:
        special = {**dict.fromkeys(OUT_FILES, BAD_OUT_FILES), **dict.fromkeys(OUT_FOLDERS, BAD_OUT_FOLDERS)}
        found = special.get(where, BAD_FOLDERS if option in FOLDERS else BAD_FILES)
    elif option == "options":
        found = BAD_OPTIONS
    elif bool in kinds:
        found = ()
    elif int in kinds:
        found = BAD_WHOLE
    elif float in kinds:
        found = BAD_REAL
    else:
        found = BAD_WORDS
    return tuple(value for value in found if value not in ALLOWED.get(where, ()))


def command_lines() -> Iterator[Line]:
    """Each option of each command x each bad value of its kind."""
    for command, usual in LINES.items():
        args_type = importlib.import_module(f"hashlib_nb.{COMMANDS[command][0]}").Args
        for option, kind in fields_of(args_type):
            for value in bad_values(command, option, kind):
                yield Line((command, *_with(command, usual, option, value)), option, value)
    yield from (Line(*each) for each in PARTICULAR)


POSITIONAL = {
    "datasets.command": 0,
    "datasets.name": 1,
    "encode.pictures": 0,
    "search.pictures": 0,
    "exchange.source": 0,
    "exchange.out": 1,
    "records.command": 0,
    "video.command": 0,
    "video.videos": 1,
    "figures.names": 0,
}
"""Options without a name, and which word of LINES they are."""


def _with(command: str, usual: tuple[str, ...], option: str, value: str) -> tuple[str, ...]:
    """The usual line with one option at another value."""
    place = POSITIONAL.get(f"{command}.{option}")
    if place is not None:
        return (*usual[:place], value, *usual[place + 1 :])
    flag = "--" + option.replace("_", "-")
    return (*usual, f"{flag}={value}")  # of an option that is given twice the last counts


@dataclass(frozen=True)
class Outcome:
    """How a line ended."""

    status: int
    """Its exit status."""
    said: str
    """What it printed on the standard error."""
    trace: str
    """The error, if it ended in one that nobody caught."""
    changed: tuple[str, ...]
    """What is new, gone or different in the world."""


def process_environment(world: World) -> dict[str, str]:
    """The environment of a process in the world: one thread, and this project's package."""
    return os.environ | world.environment() | ONE_THREAD | {"PYTHONPATH": str(ROOT)}


SOURCE = functools.cache(inspect.getsource)
"""The source of a class, from which tyro reads the docstrings of its fields, for each line anew."""


def run_line(world: World, words: tuple[str, ...]) -> Outcome:
    """Run a line in this process, in the world, for SECONDS at most and with BYTES more memory at most."""
    before, errors = world.snapshot(), io.StringIO()
    status, trace = 0, ""
    with bounded(), contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):  # noqa: SIM117
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["hashlib-nb", *words])
            patch.setattr(inspect, "getsource", SOURCE)
            patch.chdir(world.here)
            for name, value in world.environment().items():
                patch.setenv(name, value)
            try:
                main()
            except SystemExit as stopped:
                text = isinstance(stopped.code, str)
                status = 1 if text else stopped.code or 0
                if text:
                    errors.write(stopped.code)
            except HangsError:
                status, trace = -1, f"hangs for {SECONDS} s"
            except BaseException as error:
                status, trace = -1, f"{type(error).__name__}: {error}"
    return Outcome(status, errors.getvalue(), trace, changes(before, world.snapshot()))


def changes(before: Mapping[str, tuple], after: Mapping[str, tuple]) -> tuple[str, ...]:
    """What two snapshots differ in."""
    return tuple(sorted(path for path in {*before, *after} if before.get(path) != after.get(path)))


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Limits of time and memory."""

    def stop(*_):
        raise HangsError

    handler = signal.signal(signal.SIGALRM, stop)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, limits[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)


FOREIGN = (
    "Traceback", "codec can", "[Errno", "zip() ", "Overflow", "to unpack", "unpack requires", "null byte",
    "subscript", "has no attribute", "NoneType", "positional argument", "object is not", "could not convert",
    "out of bounds", "index out of range", "weights_only", "list index", "invalid literal", "not iterable", "ufunc",
    "broadcast", "pickle",
)  # fmt: skip
"""Words of Python and of the packages below, which say nothing to whoever typed the line."""


def foreign_words(text: str) -> list[str]:
    """Words of FOREIGN in a sentence."""
    return [words for words in FOREIGN if words in text]


def complaints(line: Line, outcome: Outcome) -> list[str]:
    """What is wrong with how a line ended; nothing for one sentence, status 1 or 2, and nothing changed."""
    found = []
    said = outcome.said.strip()
    if outcome.trace:
        found.append(outcome.trace)
    elif outcome.status not in (1, 2):
        found.append(f"status {outcome.status}")
    elif outcome.status == 1:
        last = said.splitlines()[-1] if said else ""
        if not last.startswith("error: "):
            found.append(f"no sentence, but {last!r}")
        names = {"is empty", line.option, line.option.replace("_", "-"), f"--{line.option}"}
        value = line.value.partition("=")[0] if line.option in ("options", "parameters") else line.value
        if not any(name in last for name in names) and not is_shown(value, last):
            found.append(f"does not name {line.option}")
        found += [f"says {words!r}" for words in foreign_words(last)]
    if outcome.changed:
        found.append(f"changed {outcome.changed[:3]}")
    return found


def is_shown(value: str, text: str) -> bool:
    """Whether a text shows the value, as itself or as `printable` or `repr` write it."""
    plain = value.strip() or ("' '" if value else "")
    return bool(plain) and any(
        shown in text for shown in (plain[:40], artifacts.printable(plain)[:40], repr(plain)[1:30].rstrip("'"))
    )
