"""What several files of tests use: the project's folder, commands, equality to the last bit, codes and pictures."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hashlib_nb import artifacts, checks
from hashlib_nb.thermometer import ClassCodes

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""Environment of a process whose numbers, or times, are compared with those of another."""


def run_main(command: ModuleType, *options: Any) -> None:
    """Run a command (a module with `main` and `Args`) as a shell does, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{command.__name__}.py", *map(str, options)])
        artifacts.run(command.main, command.Args)


def refusal(command: ModuleType, *options: Any) -> str:
    """The sentence with which a command refuses its options; a text as the exit code means status 1 and stderr."""
    with pytest.raises(SystemExit) as stopped:
        run_main(command, *options)
    assert isinstance(stopped.value.code, str), f"exit status {stopped.value.code} and no sentence"
    assert "\n" not in stopped.value.code
    return stopped.value.code


def start_python(*words: Any, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Start Python anew with these words (`-c`, a program; `-m`, a module), with the project's folder on its path.

    Args:
        words: the command line after the interpreter.
        check: a failure is an error here, which shows what the process said.
        options: of `subprocess.run`; `env` is added to this process's environment.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    env = os.environ | {"PYTHONPATH": path} | options.pop("env", {})
    done = subprocess.run([sys.executable, *map(str, words)], env=env, capture_output=True, text=True, **options)
    assert not check or done.returncode == 0, done.stderr[-4000:]
    return done


def run_python(program: str, *arguments: Any, **options: Any) -> str:
    """What a program prints that runs in a process of its own."""
    return start_python("-c", program, *arguments, **options).stdout


def hide_packages(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """An environment in which these packages of an extra are not installed, as `checks` sees it."""
    there = checks.find_spec
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name in names else there(name))


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Equal to the last bit and in type: dataclasses field by field, networks by their weights, dicts, arrays.

    How long something took is not compared.
    """
    assert type(one) is type(other), where
    if dataclasses.is_dataclass(one):
        parts = {
            field.name: (getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)
        }
    elif hasattr(one, "state_dict"):
        return assert_same(dict(one.state_dict()), dict(other.state_dict()), where)
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        parts = {name: (value, other[name]) for name, value in one.items()}
    elif isinstance(one, np.ndarray) or hasattr(one, "numpy"):
        return np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=where, strict=True)
    else:
        assert one == other, where
        return None
    for name, (mine, theirs) in parts.items():
        if name.endswith("cpu_seconds"):
            continue
        assert_same(mine, theirs, f"{where}.{name}".lstrip("."))
    return None


def noisy_codes(n: int = 60, k: int = 12, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Class codes whose bits flip more and more often from the first to the last, and one-hot labels."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % classes
    flips = rng.random((n, k)) < np.linspace(0.05, 0.5, k)
    return rng.integers(0, 2, (classes, k))[label].astype(np.uint8) ^ flips, np.eye(classes, dtype=np.uint8)[label]


def stage_2(
    k: int = 8, classes: int = 4, sizes: Sequence[int] = (20, 60, 40), seed: int = 0, spread: float = 2.0
) -> dict[str, np.ndarray]:
    """What stage 2 leaves in `codes.npz` of so many query, training and database pictures: outputs around +-2.

    Those of the training pictures are as far apart as `spread` has it, out of fold and of views half as much again.
    """
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, (classes, k), dtype=np.uint8)
    parts = dict(zip(("query", "train", "database"), sizes, strict=True))
    rows = {part: np.arange(n) % classes for part, n in parts.items()}
    arrays = {f"{part}_labels": np.eye(classes, dtype=np.uint8)[label] for part, label in rows.items()}
    for part, label in {**rows, "out_of_fold": rows["train"], "view": rows["train"]}.items():
        wide = spread * (1.5 if part in ("out_of_fold", "view") else 1)
        arrays[f"{part}_logits"] = rng.normal(4.0 * targets[label] - 2, wide).astype(np.float32)
        arrays[f"{part}_codes"] = (arrays[f"{part}_logits"] >= 0).astype(np.uint8)
    arrays |= {"targets": targets[rows["train"]], "fold": np.arange(parts["train"]) % 2, "encoder": np.array("")}
    made = ClassCodes.of(arrays["targets"], arrays["train_labels"], arrays["out_of_fold_logits"])
    return arrays | made.arrays()


def draw(path: Path, seed: int, size: tuple[int, int] = (8, 6)) -> Path:
    """Save a picture of noise, width x height, that only `seed` decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def damage(path: Path, how: str, names: Sequence[str] = ("codes",)) -> None:
    """Make of an npz file what no reader may take for whole; "pickled" has arrays of those names."""
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[:-100])
    elif how == "flipped":
        content[70] ^= 0xFF  # inside the first array
        path.write_bytes(content)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("hello")
    elif how == "npy":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif how == "pickled":
        np.savez(path, **{name: np.array([{}], object) for name in names})
    elif how == "folder":
        path.unlink()
        path.mkdir()
