"""What `lint` looks at: the parts of a split, read so that one bad line or file hides no other."""

from __future__ import annotations

import inspect
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hashlib_nb.datasets._files import file_digest, pixel_digest
from hashlib_nb.datasets._lookalikes import edges
from hashlib_nb.datasets._pictures import Pictures, decode, faults, in_threads
from hashlib_nb.datasets._splits import PARTS
from hashlib_nb.datasets.lists import FILES, read_lines
from hashlib_nb.datasets.registry import load, loader
from hashlib_nb.machine import printable

SHOWN = 3
"""Examples of each finding."""
DECODED = 32
"""Pixels that picture files are decoded to when pictures are compared by their looks."""


@dataclass(frozen=True)
class Finding:
    """One thing found, with how often and where first."""

    what: str
    """In words, such as "query pictures in train"."""
    count: int
    """Pictures, rows or lines concerned."""
    examples: tuple[str, ...] = ()
    """The first few of them."""
    fault: bool = True
    """Whether results on this split cannot be trusted; otherwise a note."""

    def __str__(self) -> str:
        """One line."""
        shown = f": {', '.join(self.examples)}" if self.examples else ""
        return printable(f"{'FAULT' if self.fault else 'note'}  {self.what} ({self.count:,}){shown}")


@dataclass
class Part:
    """What is known of one part, row by row."""

    names: list[str]
    """A picture's path, or a number where it has none."""
    labels: np.ndarray
    """uint8 {0,1} [n, m]."""
    class_names: tuple[str, ...]
    """Name of each of the m label columns."""
    contents: list[str | None] = field(default_factory=list)
    """SHA-256 of each picture, of the file's bytes or else of the pixels; None where it could not be read."""
    edges: np.ndarray | None = None
    """float32 [n, d], see `_lookalikes.edges`; None where no picture could be read."""
    plain: np.ndarray | None = None
    """bool [n], whether a picture is of one color throughout; None where no picture could be read."""


def read_splits(
    name: str, root: Path | None, seed: int, split: Path | None, options: Mapping
) -> tuple[dict[str, Part], list[Finding], bool]:
    """The parts of a dataset, what is wrong with its files, and whether it declares training pictures in the database.

    Raises:
        ValueError, FileNotFoundError: What `datasets.load` refuses, bad picture files apart.
    """
    checked = {"on_error": "skip"} if "on_error" in inspect.signature(loader(name)).parameters else {}
    splits = load(name, root=root, seed=seed, split=split, **options, **checked)
    parts = {}
    for part in PARTS:
        pictures = getattr(splits, part)
        names = pictures.names or [f"picture {row}" for row in splits.rows[part]]
        parts[part] = Part(list(names), pictures.labels, splits.class_names, *_look_at(pictures.images))
    bad = _bad_files(splits.pool.left_out)
    known = {kind for _, kind in splits.pool.left_out}
    dropped = [
        Finding(f"pictures left out: {reason}", count, fault=False)
        for reason, count in splits.info["dropped"].items()
        if reason not in known
    ]
    beside = [
        Finding(f"passed over: {kind}", len(names), tuple(names[:SHOWN]), fault=False)
        for kind, names in _by_kind(splits.pool.unused).items()
    ]
    return parts, bad + dropped + beside, splits.info["training_in_database"]


def _look_at(images: np.ndarray | Pictures) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Content and edges of each picture, and whether it is of one color."""
    if isinstance(images, Pictures):
        return _look_at_files(images.paths)
    outlines = np.stack([edges(image) for image in images])
    return [pixel_digest(image) for image in images], outlines, np.array([_is_plain(image) for image in images])


def _look_at_files(paths: Sequence[Path]) -> tuple[list[str], np.ndarray, np.ndarray]:
    def look(path: Path) -> tuple[str, np.ndarray, bool]:
        pixels = decode(path, DECODED)
        return file_digest(path), edges(pixels), _is_plain(pixels)

    contents, outlines, plain = zip(*in_threads(look, paths, "compare pictures"), strict=True)
    return list(contents), np.stack(outlines), np.array(plain)


def _is_plain(image: np.ndarray) -> bool:
    """Whether all pixels are alike."""
    return bool((image == image[0, 0]).all())


def _bad_files(bad: Iterable[tuple[str, str]]) -> list[Finding]:
    """A finding for each kind of (file, kind)."""
    return [
        Finding(f"files that are {kind}", len(names), tuple(names[:SHOWN])) for kind, names in _by_kind(bad).items()
    ]


def _by_kind(examples: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """(example, kind) gathered by kind."""
    found: dict[str, list[str]] = defaultdict(list)
    for example, kind in examples:
        found[kind].append(example)
    return found


def read_lists(root: Path | None, pictures: str | Path | None) -> tuple[dict[str, Part], list[Finding]]:
    """The lists that are there, without the lines that cannot be read, and what is wrong with lines and files.

    Raises:
        FileNotFoundError: None of the lists is there.
        ValueError: No list has a line that can be read.
    """
    files = {} if root is None else {part: root / file for part, file in FILES.items()}
    there = {part: path for part, path in files.items() if path.is_file()}
    if not there:
        raise FileNotFoundError(f"root is {root}; it must hold test.txt, train.txt or database.txt.")
    found = [Finding(f"{files[part].name} does not exist", 1, fault=False) for part in files if part not in there]
    read = {part: list(read_lines(path)) for part, path in there.items()}
    widths = [len(labels) for lines in read.values() for *_, labels in lines if not isinstance(labels, str)]
    if not widths:
        raise ValueError(f"{root} has no line with a path and a 0/1 vector in any of its lists.")
    width = max(set(widths), key=widths.count)
    parts = {}
    for part, lines in read.items():
        found += _bad_lines(there[part].name, lines, width)
        good = [(name, labels) for _, name, labels in lines if not isinstance(labels, str) and len(labels) == width]
        if good:
            parts[part] = _listed(good)
    return parts, found + _read_listed(parts, Path(pictures or root))


def _bad_lines(file: str, lines: Sequence[tuple[int, str, list[int] | str]], width: int) -> list[Finding]:
    if not lines:
        return [Finding(f"{file} is empty", 1)]
    wrong = [
        (f"line {number}", labels if isinstance(labels, str) else f"{len(labels)} labels instead of {width}")
        for number, _, labels in lines
        if isinstance(labels, str) or len(labels) != width
    ]
    return [
        Finding(f"{file}: rows with {words}", len(numbers), tuple(numbers[:SHOWN]))
        for words, numbers in _by_kind(wrong).items()
    ]


def _listed(good: Sequence[tuple[str, list[int]]]) -> Part:
    """A part of its names and labels; ./a.jpg and a.jpg are one name."""
    names = [posixpath.normpath(name) for name, _ in good]
    labels = np.array([labels for _, labels in good], dtype=np.uint8)
    return Part(names, labels, tuple(f"concept {column}" for column in range(labels.shape[1])), [None] * len(names))


def _read_listed(parts: Mapping[str, Part], root: Path) -> list[Finding]:
    """Fill in what listed pictures show, and say which files are bad; where there is no file at all, a note."""
    names = sorted({name for part in parts.values() for name in part.names})
    bad = faults(names, root, decoded=False)
    absent = [row for row, kind in bad.items() if kind == "missing"]
    if absent and set(bad.values()) <= {"missing", "outside root"} and len(bad) == len(names):
        outside = _bad_files((names[row], kind) for row, kind in bad.items() if kind != "missing")
        words = f"no listed picture lies in {root}; names and labels alone were looked at"
        return [*outside, Finding(words, len(absent), fault=False)]
    bad = faults(names, root, decoded=True)
    sound = [name for row, name in enumerate(names) if row not in bad]
    if sound:
        contents, outlines, plain = _look_at_files([root / name for name in sound])
        row_of = {name: row for row, name in enumerate(sound)}
        blank = np.zeros_like(outlines[0])
        for part in parts.values():
            rows = [row_of.get(name) for name in part.names]
            part.contents = [None if row is None else contents[row] for row in rows]
            part.edges = np.stack([blank if row is None else outlines[row] for row in rows])
            part.plain = np.array([row is not None and plain[row] for row in rows])
    return _bad_files((names[row], kind) for row, kind in bad.items())
