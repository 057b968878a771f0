"""Commands that are killed at random moments and given again, and two writers of an index; also for `make torture`."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashlib_nb import artifacts, search
from tests.fuzz_tables import World, process_environment
from tests.helpers import draw


@dataclass(frozen=True)
class Work:
    """A command that takes seconds, and what it leaves."""

    words: tuple[str, ...]
    """The line; OUT stands for the folder of its outputs."""
    results: Callable[[Path], Any]
    """What is in that folder, so that two of them can be compared."""
    pictures: int = 0
    """Pictures of noise to be drawn into `many` in that folder."""


def _stage_2(folder: Path) -> dict[str, str]:
    arrays, _ = artifacts.load_npz(folder / "codes.npz")
    arrays.pop("cpu_seconds")  # how long it took, which no two runs share
    found = {name: artifacts.digest(array) for name, array in arrays.items()}
    weights = (folder / "encoder.safetensors").read_bytes()
    return found | {"weights": hashlib.sha256(weights).hexdigest()}


def _selection(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "selection.json").read_text(encoding="utf-8"))
    found["history"].pop("seconds", None)
    return found


def _index(folder: Path) -> dict[str, str]:
    index = search.Index(folder / "index")
    codes = index.unpacked()
    return {Path(path).name: artifacts.digest(code) for path, code in zip(index.paths(), codes, strict=True)}


OUT = "OUT"
WORKS = {
    "encoder": Work(
        (
            "encoder", "--dataset", "folder", "--root", "photos", "--bits", "8", "--folds", "2", "--epochs", "8",
            "--arch", "alexnet_small", "--out", OUT,
        ),
        _stage_2,
    ),
    "ppo": Work(
        (
            "ppo", "--codes", "codes.npz", "--n-bits", "4", "--total-episodes", "2048", "--checkpoint", f"{OUT}/ppo.pt",
            "--out", f"{OUT}/selection.json",
        ),
        _selection,
    ),
    "encode": Work(("encode", f"{OUT}/many", "--model", "model", "--index", f"{OUT}/index"), _index, pictures=600),
}  # fmt: skip
"""What is killed."""


def start(work: Work, world: World, folder: Path) -> subprocess.Popen:
    """Begin a work whose outputs go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(work.pictures if not (folder / "many").exists() else 0):
        draw(folder / "many" / f"{number}.png", number)
    words = [word.replace(OUT, str(folder)) for word in work.words]
    env = process_environment(world) | {"HASHLIB_NB_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "hashlib_nb", *words]
    with open(said_by(folder), "wb") as said:  # not a pipe, which a progress bar would fill
        return subprocess.Popen(command, cwd=world.here, env=env, stdout=said, stderr=said)


def said_by(folder: Path) -> Path:
    """The file with all that a work prints."""
    return folder.with_name(f"{folder.name}.txt")


def finish(process: subprocess.Popen, folder: Path) -> None:
    """Wait for a work's end; its error is an error here."""
    process.wait(timeout=600)
    assert process.returncode == 0, said_by(folder).read_text(errors="replace")[-2000:]


def run_whole(work: Work, world: World, folder: Path) -> tuple[Any, float]:
    """What the work leaves where nobody disturbs it, and how long it takes, in seconds."""
    began = time.monotonic()
    finish(start(work, world, folder), folder)
    return work.results(folder), time.monotonic() - began


def kill_again_and_again(work: Work, world: World, folder: Path, *, kills: int, seconds: float, seed: int) -> list[Any]:
    """Kill a work at random moments and give it again, until it has been killed `kills` times and has ended.

    Args:
        work: what to do.
        world: its inputs.
        folder: for its outputs. Where the work ends before it is killed, that starts anew.
        kills: how often to kill it.
        seconds: how long the work takes.
        seed: of the moments.

    Returns:
        What each work left that came to its end.
    """
    moments, found = random.Random(seed), []
    while kills:
        process = start(work, world, folder)
        try:
            process.wait(moments.uniform(0.3, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills -= 1
        else:
            finish(process, folder)
            found.append(work.results(folder))
            shutil.rmtree(folder)
    finish(start(work, world, folder), folder)
    return [*found, work.results(folder)]


def leftovers(folder: Path) -> list[Path]:
    """Unfinished files of killed commands in a folder."""
    return [path for path in folder.rglob("*") if "partial" in path.name or path.name.endswith((".tmp", "-journal"))]


WRITER = """
import sys
from pathlib import Path

import numpy as np

from hashlib_nb import search

folder, model, who, saves = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
origin, code = search.origin_of(model), np.zeros((1, 8), np.uint8)
for turn in range(saves):
    name = f"{who}-{turn}"
    search.Index(folder, origin, model).add(code, [folder / name], [name.encode().ljust(32)])
    print(turn + 1, flush=True)
"""
"""Adds a picture at a time to an index and says so; each save opens the index anew."""


def start_writer(index: Path, world: World, who: str, saves: int) -> subprocess.Popen:
    """Begin to add `saves` pictures, one at a time."""
    command = [sys.executable, "-c", WRITER, str(index), str(world.here / "model"), who, str(saves)]
    return subprocess.Popen(command, env=process_environment(world), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def two_writers(index: Path, world: World, saves: int) -> int:
    """How many pictures an index holds after two writers have added `saves` each at the same time."""
    for writer in [start_writer(index, world, who, saves) for who in "ab"]:
        _, said = writer.communicate(timeout=600)
        assert writer.returncode == 0, said[-2000:].decode(errors="replace")
    return len(search.Index(index))


def killed_writer(index: Path, world: World, who: str, seconds: float) -> tuple[int, int]:
    """How many pictures a writer said it had added before it was killed, and how many there are."""
    writer = start_writer(index, world, who, 1_000_000)
    writer.stdout.readline()  # from here on it writes
    time.sleep(seconds)
    writer.kill()
    said, _ = writer.communicate()
    there = [path for path in search.Index(index).paths() if os.path.basename(path).startswith(f"{who}-")]
    return 1 + said.count(b"\n"), len(there)
