"""A database of codes in files: shards that follow one another, each with its rows, and the histograms over all.

    shards.save("shards/0.npz", codes[:1000], labels[:1000], first=0)
    found = shards.histograms(query_codes, query_labels, ["shards/0.npz", ...], Where(workers=4))
    metrics.report(found)

How many items, and how many relevant ones, lie at each distance from a query is a sum over items, so that the
histograms of shards add up to those of the whole database, exactly, in whatever order they come. What a shard gives is
kept as a part (`made`), which also notes the process that made it, from when to when, and the most memory that it
has held; one shard a worker is in memory at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks, hamming
from hashlib_nb.hamming import Histograms, Pairs
from hashlib_nb.scale.parts import default_folder, made, part_path, state_of
from hashlib_nb.scale.workers import Where

NAMES = ("codes", "labels", "rows", "code_length")
"""What a shard's file holds: packed codes uint8 [n, ceil(k/8)] (`hamming.pack_bytes`), labels {0,1} [n, m] or class
numbers [n], the first row and the one after the last int64 [2], and k."""
COUNTS = ("counts", "relevant")


@dataclass(frozen=True)
class Shard:
    """A file of codes, and which rows of the database it has."""

    path: Path
    """The npz file, as `save` writes it."""
    first: int
    """Its first row."""
    stop: int
    """The row after its last."""
    code_length: int
    """Bits of a code."""


def save(path: Path, codes: np.ndarray, labels: np.ndarray, *, first: int) -> None:
    """Write the codes and labels of the rows `first`, `first` + 1, ... of a database, all or nothing.

    Args:
        path: an npz file.
        codes: {0,1} [n, k].
        labels: {0,1} [n, m], or class numbers int [n].
        first: the row of the first of them in the whole database.

    Raises:
        ValueError: what are no codes or labels, or not as many labels as codes, or another program's file.
    """
    first = checks.count(first, "first", least=0)
    packed, labels = hamming.pack_bytes(codes), hamming.check_labels(labels)
    if len(labels) != len(packed):
        raise ValueError(f"labels is {checks.shown(labels)}; give one for each of the {len(packed):,} codes")
    artifacts.check_writable(path, artifacts.replaces_npz(*NAMES))
    rows, k = np.array([first, first + len(packed)]), np.array(np.shape(codes)[1])
    arrays = dict(zip(NAMES, (packed, labels, rows, k), strict=True))
    artifacts.save_npz(path, arrays, made_by="hashlib_nb.scale.shards")


def find(paths: Sequence[Path]) -> list[Shard]:
    """The shards in files and folders, in the order of their rows, which must be 0, 1, ... without a gap or a repeat.

    Args:
        paths: npz files by `save`, and folders of such.

    Raises:
        ValueError: no file, one that is no shard, codes of unequal widths, rows that are missing or there twice.
    """
    files = [file for path in map(Path, paths) for file in (sorted(path.glob("*.npz")) if path.is_dir() else [path])]
    if not files:
        raise ValueError(f"shards is {checks.shown([*map(str, paths)])}; give npz files, or folders that hold some")
    found = sorted((_about(file) for file in files), key=lambda shard: (shard.first, shard.stop))
    expected, before = 0, None
    for shard in found:
        name = artifacts.shown(shard.path)
        if shard.code_length != found[0].code_length:
            raise ValueError(
                f"shards: {name} has codes of {shard.code_length} bits and {artifacts.shown(found[0].path)} of "
                f"{found[0].code_length}; give shards of one database"
            )
        if shard.first > expected:
            raise ValueError(f"shards: no file has the rows {expected:,} to {shard.first - 1:,}; name all of them")
        if shard.first < expected:
            both = f"{artifacts.shown(before.path)} and {name}"
            raise ValueError(f"shards: {both} both have row {shard.first:,}; name each part of the database once")
        expected, before = shard.stop, shard
    return found


def _about(path: Path) -> Shard:
    found = artifacts.read_npz(path, NAMES[2:])
    rows, k = found["rows"], found["code_length"]
    whole = rows.dtype.kind in "iu" and rows.shape == (2,) and k.dtype.kind in "iu" and k.shape == ()
    if not whole or not 0 <= rows[0] < rows[1]:
        raise artifacts.ArtifactError(f"{artifacts.shown(path)} does not say which rows it has; write it anew")
    return Shard(artifacts.absolute(path), int(rows[0]), int(rows[1]), checks.count(k, "code_length"))


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Codes uint8 {0,1} [n, k] and labels of a shard. Raises ValueError for a file that is none, or is damaged."""
    about, (arrays, _) = _about(path), artifacts.load_npz(path)
    name, n = artifacts.shown(path), about.stop - about.first
    if not len(arrays["codes"]) == len(arrays["labels"]) == n:
        raise artifacts.ArtifactError(f"{name} has not one code and label for each of its {n:,} rows; write it anew")
    return hamming.unpack_bytes(arrays["codes"], about.code_length, f"the codes of {name}"), arrays["labels"]


def histograms(
    query_codes: np.ndarray,
    query_labels: np.ndarray,
    shards: Sequence[Path | Shard],
    where: Where | None = None,
    *,
    bits: Sequence[int] | None = None,
    parts: Path | None = None,
    progress: bool = True,
) -> Histograms:
    """Histograms over a database in files, equal to those of the whole; `metrics.report` makes a report of them.

    Args:
        query_codes: {0,1} [q, k].
        query_labels: {0,1} [q, m], or class numbers int [q].
        shards: files and folders, or what `find` has found in them.
        where: which processes; by default this one.
        bits: distinct indices of the bits to keep; all of them if None.
        parts: folder for what each shard gives; by default in the project's `artifacts`.
        progress: show a bar.

    Returns:
        Histograms int64 of shape [q, p+1].

    Raises:
        ValueError: as `find`, codes of another width than the queries', and what `hamming.histograms` refuses.
        CommandError: as `made`.
    """
    found = [*shards] if shards and isinstance(shards[0], Shard) else find(shards)
    query_codes = hamming.check_codes(query_codes, "query_codes")
    query_labels = hamming.check_labels(query_labels, "query_labels")
    if query_codes.shape[1] != found[0].code_length:
        raise ValueError(
            f"query_codes is {checks.shown(query_codes)}, and the shards have codes of {found[0].code_length} bits; "
            "give queries and a database of one encoder"
        )
    hamming.histograms(query_codes, query_codes[:1], query_labels, query_labels[:1], bits=bits)  # refuses at once
    bits = None if bits is None else [*map(int, bits)]
    about = {"queries": artifacts.digest(query_codes, query_labels), "bits": bits}
    folder = default_folder() if parts is None else parts
    paths = [part_path(folder, about | {"shard": state_of(shard.path)}) for shard in found]
    jobs = [(str(shard.path),) for shard in found]
    levels = 1 + (found[0].code_length if bits is None else len(bits))
    total = Histograms(*np.zeros((2, len(query_codes), levels), np.int64))
    n = sum(shard.stop - shard.first for shard in found)
    with tqdm(total=n, desc="histograms", unit=" codes", unit_scale=True, disable=not progress) as bar:
        start = {"start": _queries, "initial": (query_codes, query_labels, bits)}
        for number, arrays, _ in made(_count, jobs, paths, COUNTS, where or Where(), **start):
            total += Histograms(*(arrays[name] for name in COUNTS))
            bar.update(found[number].stop - found[number].first)
    return total


def _queries(codes: np.ndarray, labels: np.ndarray, bits: Sequence[int] | None) -> tuple:
    """What a worker holds from the beginning, its kernels loaded."""
    hamming.histograms(codes[:1], codes[:1], labels[:1], labels[:1], bits=bits)
    return codes, labels, bits


def _count(queries: tuple, part: str, shard: str) -> str:
    """A worker's job: the histograms of one shard."""
    begun, (query_codes, query_labels, bits) = time.time(), queries
    codes, labels = read(Path(shard))
    found = Pairs(query_codes, codes, query_labels, labels).histograms(bits)
    note = {"worker": os.getpid(), "begun": begun, "ended": time.time(), "mb": artifacts.peak_memory_mb()}
    arrays = {"counts": found.counts, "relevant": found.relevant}
    artifacts.save_npz(Path(part), arrays, made_by="hashlib_nb.scale.shards", **note)
    return part
