"""A part of a long work is a file: what there is already is taken, the rest is made by workers, each a file again.

A job reads paths, writes `part-<digest>.npz` in one step, and returns that path. The digest is of all that the part
depends on, so that the same command finds what an earlier one has finished, wherever that was ended. A part that is
damaged is named and made anew.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import hashlib_nb
from hashlib_nb import artifacts
from hashlib_nb.artifacts import ArtifactError, CommandError
from hashlib_nb.scale.workers import Where, in_workers

Arrays = dict[str, np.ndarray]


def default_folder() -> Path:
    """Where parts lie if nobody names a folder."""
    return artifacts.project_root() / "artifacts" / "parts"


def home() -> tuple[str]:
    """The folder of this process' `artifacts` and `runs`, as an argument of `share_home`."""
    return (str(artifacts.absolute(artifacts.project_root())),)


def share_home(place: str) -> None:
    """For the start of a worker whose jobs leave files where the project keeps them: have them in `place`.

    Raises:
        ValueError: this worker does not see that folder.
    """
    if not Path(place).is_dir():
        raise ValueError(
            f"HASHLIB_NB_HOME: a worker on {platform.node()} does not see {place}; set it to a folder that all workers "
            "and this process share"
        )
    os.environ["HASHLIB_NB_HOME"] = place


def part_path(folder: Path, about: Mapping[str, Any]) -> Path:
    """The file of the part that depends on `about`, which JSON takes, and on this package's version."""
    text = json.dumps({"version": hashlib_nb.__version__, **about}, sort_keys=True)
    return artifacts.absolute(folder) / f"part-{artifacts.digest_of_text(text)}.npz"


def state_of(path: Path) -> list:
    """What tells a file from another, or from itself before it was written anew: path, size, time of change.

    Raises:
        ValueError: it is not there.
    """
    path = artifacts.absolute(path)
    if (stamp := artifacts.stamp(path)) is None:
        raise ArtifactError(f"{artifacts.shown(path)} does not exist; name another file")
    return [str(path), stamp[2], stamp[1]]


def made(
    work: Callable[..., Any],
    jobs: Sequence[tuple],
    paths: Sequence[Path],
    names: Sequence[str],
    where: Where,
    *,
    start: Callable[..., Any] | None = None,
    initial: tuple = (),
) -> Iterator[tuple[int, Arrays, dict[str, Any]]]:
    """Every part as number, arrays and note: first those that are there, then those that workers make, as they finish.

    Args:
        work: `work(path, *job)` makes a part with `artifacts.save_npz` and returns its path; see `workers.in_workers`.
        jobs: paths and settings, one a part.
        paths: the parts' files by `part_path`, all in one folder that every worker has.
        names: the arrays of a part.
        where: which processes; where one is enough it is this one.
        start: as of `workers.pool`.
        initial: arguments of `start`.

    Raises:
        CommandError: a job that ends its workers, a scheduler that has gone.
        ValueError: workers that do not see the folder, and what `work` and `workers.in_workers` raise.
    """
    if not paths:
        return
    artifacts.check_writable(paths[0], artifacts.replaces_npz(*names))
    number, missing = {}, []
    for row, path in enumerate(paths):
        number[str(path)] = row
        if path.exists() and (found := _read(path, names)) is not None:
            yield row, *found
        else:
            missing.append(row)
    wanted = ((str(paths[row]), *jobs[row]) for row in missing)
    about = (work, wanted, start, initial)
    makers = _here(*about) if where.alone else _there(*about, where, names, paths[0].parent)
    for path in makers:
        yield number[path], *_just_made(Path(path), names)


def _read(path: Path, names: Sequence[str]) -> tuple[Arrays, dict[str, Any]] | None:
    try:
        return _whole(path, names)
    except ArtifactError as error:
        print(error)
        return None


def _whole(path: Path, names: Sequence[str]) -> tuple[Arrays, dict[str, Any]]:
    arrays, note = artifacts.load_npz(path)
    if missing := {*names} - {*arrays}:
        raise ArtifactError(f"{artifacts.shown(path)} lacks {', '.join(sorted(missing))}; it must be made anew")
    return arrays, note


def _just_made(path: Path, names: Sequence[str]) -> tuple[Arrays, dict[str, Any]]:
    try:
        return _whole(path, names)
    except ArtifactError as error:
        raise CommandError(f"a worker has made a part that cannot be used here: {error}") from error


def _here(work: Callable[..., Any], jobs: Iterator[tuple], start: Callable[..., Any] | None, initial: tuple):
    """The jobs in this process, with its threads as they are."""
    loaded, is_ready = None, False
    for job in jobs:
        if start is not None and not is_ready:
            loaded, is_ready = start(*initial), True
        yield work(*job) if loaded is None else work(loaded, *job)


def _there(
    work: Callable[..., Any],
    jobs: Iterator[tuple],
    start: Callable[..., Any] | None,
    initial: tuple,
    where: Where,
    names: Sequence[str],
    folder: Path,
) -> Iterator[Any]:
    sign = folder / f".seen-{secrets.token_hex(8)}"
    folder.mkdir(parents=True, exist_ok=True)
    sign.touch()
    try:
        about = (str(sign), work, tuple(names), start, initial)
        yield from in_workers(_make, jobs, where, start=_start_in_sight, initial=about)
    finally:
        sign.unlink(missing_ok=True)


def _start_in_sight(
    sign: str, work: Callable[..., Any], names: tuple[str, ...], start: Callable[..., Any] | None, initial: tuple
) -> tuple:
    """What a worker needs for its parts, if it sees their folder."""
    if not Path(sign).exists():
        raise ValueError(
            f"parts: a worker on {platform.node()} does not see {artifacts.shown(Path(sign).parent)}; name a folder "
            "that all workers and this process share"
        )
    return work, names, None if start is None else start(*initial)


def _make(ready: tuple, part: str, *job: Any) -> str:
    """A part, unless it is there: the worker that has made it may have died before it could say so."""
    work, names, loaded = ready
    with suppress(ArtifactError):
        _whole(Path(part), names)
        return part
    return work(part, *job) if loaded is None else work(loaded, part, *job)
