"""What a stored table says of its making: command, settings, versions of packages, processor, threads and commit."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numba
import torch

import hashlib_nb
from hashlib_nb import artifacts
from hashlib_nb.datasets import PARTS, Pictures, Splits

PACKAGES = ("hashlib-nb", "numpy", "torch", "numba", "scikit-learn")
"""Those whose version can change a number."""
LATER = {"codes": "own"}
"""Settings that came after the first tables were stored, with what those would say."""
PLACES = ("root", "out", "workers", "scheduler", "dashboard", "plan")
"""Settings that change no number: where files lie, which processes search, and whether work is planned alone."""


def made_by(stage: str, args: Any) -> dict[str, Any]:
    """The command, its settings (the encoder's resolved), versions, processor, threads and commit, JSON-able.

    Args:
        stage: word of the command.
        args: its `Args`, with or without a field `settings` of the encoder.
    """
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return {
        "command": artifacts.command(stage, args), "args": settings_of(args), "versions": versions, **machine(),
    }  # fmt: skip


def settings_of(args: Any) -> dict[str, Any]:
    """The fields of an `Args`, those of the encoder's settings among them, as JSON gives them back."""
    if hasattr(args, "settings"):
        args = replace(args, settings=args.settings.resolved(echo=lambda _: None))
    found = asdict(args)
    found |= found.pop("settings", {})
    return json.loads(json.dumps(found, default=str))


def differences(record: Mapping[str, Any], args: Any, *, but: tuple[str, ...] = ()) -> str:
    """In which settings a stored record differs from `args`, in words; nothing where it would have the same numbers.

    Args:
        record: what `made_by` began.
        args: the `Args` that the numbers are wanted of.
        but: settings that may differ, beside `PLACES`.
    """
    before, now = record.get("args", {}), settings_of(args)
    later = {name: value for name, value in LATER.items() if before and name in now}
    sides = [later | before, now]
    plain = [{name: value for name, value in side.items() if name not in (*PLACES, *but)} for side in sides]
    return artifacts.differences(*plain)


def earlier(path: Path, args: Any, *, but: tuple[str, ...] = ()) -> dict[str, Any] | None:
    """The record that an earlier run, perhaps one that was killed, has left; None, and says why, where it is of no use.

    Args:
        path: of the JSON.
        args: of this run.
        but: settings that may differ, beside `PLACES`.

    Returns:
        What `made_by` began, with the list "rows".
    """
    if not path.exists():
        return None
    name = artifacts.shown(path)
    try:
        record = artifacts.load_json(path)
        if not isinstance(record["rows"], list):
            raise TypeError("its rows are no list")
        differ = differences(record, args, but=but)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        print(f"{name} cannot be used ({error}); making it anew")
        return None
    if differ:
        print(f"{name} was made with other settings ({differ}); making it anew")
    return None if differ else record


def data_digest(splits: Splits) -> str:
    """What identifies the pictures and labels of all parts, by their content."""
    parts = [getattr(splits, name) for name in PARTS]
    images = [each.images.digest if isinstance(each.images, Pictures) else artifacts.digest(each.images)
              for each in parts]  # fmt: skip
    return artifacts.digest_of_text(" ".join([*images, artifacts.digest(*(each.labels for each in parts))]))


@cache
def machine() -> dict[str, Any]:
    """Processor, threads and commit as they are when it is first asked: a run's own, whatever is committed during it.

    Returns:
        `cpu` (its model), `threads` of torch and numba, and `commit`: the 40 digits of the clone that this package is
        imported from, with "-dirty" where its code has changed since; None outside a clone.
    """
    return {
        "cpu": processor(),
        "threads": {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()},
        "commit": commit(Path(hashlib_nb.__file__).parent),
    }


def processor() -> str:
    """The processor's model as the system names it."""
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def commit(folder: Path) -> str | None:
    """The commit that a folder of tracked files is at, with "-dirty" where they differ from it; None for any other."""
    if not _git(folder, "ls-files"):
        return None  # no git, no clone, or a package that was installed inside of somebody's clone
    dirty = "-dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".") else ""
    found = _git(folder, "rev-parse", "HEAD")
    return found and f"{found}{dirty}"


def _git(folder: Path, *words: str) -> str | None:
    """What git prints in a folder; None where there is no git, or it refuses."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
