"""What can be wrong with a split: leaks between its parts, copies, contradictions, an order that flatters.

`python -m hashlib_nb.datasets lint` prints it. A fault is what makes results untrustworthy; a note is worth knowing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hashlib_nb.datasets import load
from hashlib_nb.datasets._files import file_digest, pixel_digest
from hashlib_nb.datasets._pictures import Pictures, faults, in_threads
from hashlib_nb.datasets._splits import PARTS
from hashlib_nb.datasets.lists import FILES, read_lines

SHOWN = 3
"""Examples of each finding."""
SORTED_FROM = -4.0
"""Standard deviations below the expected number of runs from which an order is called sorted by class."""


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
        return f"{'FAULT' if self.fault else 'note'}  {self.what} ({self.count:,}){shown}"


@dataclass
class Part:
    """What is known of one part, row by row."""

    names: list[str]
    """A picture's path, or a number where it has none."""
    labels: np.ndarray
    """uint8 {0,1} [n, m]."""
    contents: list[str | None] = field(default_factory=list)
    """SHA-256 of each picture; None where it could not be read."""


@dataclass
class Report:
    """What `lint` found."""

    parts: dict[str, Part]
    """Those of query, train and database that there are."""
    findings: list[Finding]
    """Faults first."""

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not any(finding.fault for finding in self.findings)


def lint(
    name: str,
    root: Path | None = None,
    *,
    seed: int = 0,
    split: Path | None = None,
    training_in_database: bool = False,
    **options,
) -> Report:
    """Look for everything that could be wrong with a split.

    Args:
        name: A dataset; "lists" is read line by line, so that one bad line hides no other fault.
        root: Its folder.
        seed: Of the split.
        split: A saved split instead.
        training_in_database: Declares for lists that training pictures are in the database by intention; other datasets
            say so by their protocol.
        **options: Of `datasets.load`.

    Raises:
        ValueError, FileNotFoundError: Where there is nothing to look at: no such dataset, folder or list.
    """
    if name == "lists":
        parts, found = _read_lists(root, options.get("pictures"))
    else:
        parts, found, training_in_database = _read_splits(name, root, seed, split, options)
    found += [*_overlaps(parts, training_in_database), *_copies(parts), *_contradictions(parts)]
    found += [*_orders(parts), *_labels(parts)]
    return Report(parts, sorted((finding for finding in found if finding.count), key=lambda finding: not finding.fault))


def _read_splits(name: str, root, seed: int, split, options: dict) -> tuple[dict[str, Part], list[Finding], bool]:
    try:
        splits = load(name, root=root, seed=seed, split=split, on_error="skip", **options)
    except ValueError as error:
        if "'on_error' is no option" not in str(error):
            raise
        splits = load(name, root=root, seed=seed, split=split, **options)
    parts = {}
    for part in PARTS:
        pictures = getattr(splits, part)
        names = pictures.names or [f"picture {row}" for row in splits.rows[part]]
        parts[part] = Part(list(names), pictures.labels, _contents(pictures.images))
    bad = _examples(splits.pool.left_out)
    kinds = [Finding(f"files that are {kind}", len(names), tuple(names[:SHOWN])) for kind, names in bad.items()]
    return parts, kinds, splits.info["training_in_database"]


def _contents(images: np.ndarray | Pictures) -> list[str | None]:
    if isinstance(images, Pictures):
        return in_threads(file_digest, images.paths, "read files")
    return [pixel_digest(image) for image in images]


def _examples(left_out: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    by_kind: dict[str, list[str]] = defaultdict(list)
    for name, kind in left_out:
        by_kind[kind].append(name)
    return by_kind


def _read_lists(root: Path | None, pictures: str | None) -> tuple[dict[str, Part], list[Finding]]:
    """The lists that are there, without the lines that cannot be read, and what is wrong with lines and files."""
    files = {part: Path(root or ".") / file for part, file in FILES.items()}
    there = {part: path for part, path in files.items() if path.is_file()}
    if root is None or not there:
        raise FileNotFoundError(f"root is {root}; it must hold test.txt, train.txt or database.txt.")
    found = [
        Finding(f"{path.name} does not exist", 1, fault=False) for part, path in files.items() if part not in there
    ]
    read = {part: list(read_lines(path)) for part, path in there.items()}
    widths = [len(labels) for lines in read.values() for *_, labels in lines if not isinstance(labels, str)]
    if not widths:
        raise ValueError(f"{root} has no line with a path and a 0/1 vector in any of its lists.")
    width = max(set(widths), key=widths.count)
    parts = {}
    for part, lines in read.items():
        wrong = [
            (f"line {number}", labels if isinstance(labels, str) else f"{len(labels)} labels instead of {width}")
            for number, _, labels in lines
            if isinstance(labels, str) or len(labels) != width
        ]
        for words, numbers in _examples(wrong).items():
            found.append(Finding(f"{there[part].name}: rows with {words}", len(numbers), tuple(numbers[:SHOWN])))
        good = [(name, labels) for _, name, labels in lines if not isinstance(labels, str) and len(labels) == width]
        labels = np.array([labels for _, labels in good], dtype=np.uint8).reshape(len(good), width)
        parts[part] = Part([name for name, _ in good], labels)
    return parts, found + _read_files(parts, Path(pictures or root))


def _read_files(parts: Mapping[str, Part], root: Path) -> list[Finding]:
    """Fill in the contents of listed pictures and say which files are bad; without any file, a note."""
    names = sorted({name for part in parts.values() for name in part.names})
    bad = faults(names, root, decoded=False)
    if all(kind == "missing" for kind in bad.values()) and len(bad) == len(names):
        for part in parts.values():
            part.contents = [None] * len(part.names)
        return [
            Finding(f"no listed picture lies in {root}; labels and names alone were looked at", len(names), fault=False)
        ]
    bad = faults(names, root, decoded=True)
    sound = [name for row, name in enumerate(names) if row not in bad]
    contents = dict(zip(sound, in_threads(file_digest, [root / name for name in sound], "read files"), strict=True))
    for part in parts.values():
        part.contents = [contents.get(name) for name in part.names]
    by_kind = _examples((names[row], kind) for row, kind in bad.items())
    return [Finding(f"files that are {kind}", len(each), tuple(each[:SHOWN])) for kind, each in by_kind.items()]


def _overlaps(parts: Mapping[str, Part], training_in_database: bool) -> Iterator[Finding]:
    """Pictures that are in two parts, by name and by content under another name."""
    for one, other in (("query", "train"), ("query", "database"), ("train", "database")):
        if one not in parts or other not in parts:
            continue
        declared = one == "train" and training_in_database
        words = f"{one} pictures in {other}" + ", as the protocol has it" * declared
        names = set(parts[other].names)
        same = [name for name in parts[one].names if name in names]
        yield Finding(words, len(same), tuple(same[:SHOWN]), fault=not declared)
        held = _by_content(parts[other])
        copies = [
            f"{name} = {held[content][0]}"
            for name, content in zip(parts[one].names, parts[one].contents, strict=True)
            if content in held and name not in names
        ]
        yield Finding(f"{one} pictures in {other} under another name", len(copies), tuple(copies[:SHOWN]))


def _by_content(part: Part) -> dict[str, list[str]]:
    held: dict[str, list[str]] = defaultdict(list)
    for name, content in zip(part.names, part.contents, strict=True):
        if content is not None:
            held[content].append(name)
    return held


def _copies(parts: Mapping[str, Part]) -> Iterator[Finding]:
    """Pictures that are in one part more than once."""
    for name, part in parts.items():
        names, counts = np.unique(np.array(part.names, dtype=str), return_counts=True)
        twice = names[counts > 1].tolist()
        yield Finding(f"{name} pictures listed more than once", len(twice), tuple(twice[:SHOWN]))
        copies = [sorted(set(each)) for each in _by_content(part).values() if len(set(each)) > 1]
        shown = tuple(" = ".join(each[:2]) for each in copies[:SHOWN])
        yield Finding(f"{name} pictures that are copies of another", sum(len(each) - 1 for each in copies), shown)


def _contradictions(parts: Mapping[str, Part]) -> Iterator[Finding]:
    """One picture, by name or by content, with several label sets."""
    for kind in ("names", "contents"):
        label_sets: dict[str, set[bytes]] = defaultdict(set)
        example: dict[str, str] = {}
        for part in parts.values():
            for key, name, row in zip(getattr(part, kind), part.names, part.labels, strict=True):
                if key is not None:
                    label_sets[key].add(row.tobytes())
                    example.setdefault(key, name)
        several = [example[key] for key, sets in label_sets.items() if len(sets) > 1]
        words = "rows of one picture that disagree in their labels"
        yield Finding(f"{words}, by {kind[:-1]}", len(several), tuple(several[:SHOWN]))


def _orders(parts: Mapping[str, Part]) -> Iterator[Finding]:
    """Parts in which equal label sets stand together far more often than chance would have it (a runs test).

    Only the order of a database decides who comes first among ties, so elsewhere it is a note.
    """
    for name, part in parts.items():
        if (z := runs_z(part.labels)) < SORTED_FROM:
            words = f"{name} is sorted by class (runs test, z = {z:.0f})"
            biased = name == "database"
            yield Finding(words + ", which biases a plain sort of ties" * biased, len(part.names), fault=biased)


def runs_z(labels: np.ndarray) -> float:
    """How many standard deviations the number of runs of equal rows lies from that of a random order.

    Two neighbors in a random order differ with probability p = 1 - sum_c n_c (n_c - 1) / (n (n - 1)); the count of
    differing neighbors has mean (n - 1) p and nearly the variance of a binomial (Wald and Wolfowitz, 1940).
    """
    n = len(labels)
    _, ids, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    p = 1 - float((counts * (counts - 1)).sum()) / max(n * (n - 1), 1)
    if n < 3 or not 0 < p < 1:
        return 0.0
    ids = ids.reshape(-1)
    return float((np.count_nonzero(ids[1:] != ids[:-1]) - (n - 1) * p) / np.sqrt((n - 1) * p * (1 - p)))


def _labels(parts: Mapping[str, Part]) -> Iterator[Finding]:
    for name, part in parts.items():
        bare = [part.names[row] for row in np.flatnonzero(~part.labels.any(axis=1))]
        yield Finding(f"{name} pictures without any label", len(bare), tuple(bare[:SHOWN]))
    if {"query", "database"} <= set(parts):
        shown = parts["database"].labels.any(axis=0)
        lonely = np.flatnonzero(~(parts["query"].labels[:, shown]).any(axis=1))
        names = [parts["query"].names[row] for row in lonely]
        yield Finding("queries without a relevant database picture", len(names), tuple(names[:SHOWN]), fault=False)


def summary(parts: Mapping[str, Part]) -> list[str]:
    """Sizes, labels a picture, class counts and the chance level, in lines."""
    lines = []
    for name, part in parts.items():
        each = part.labels.sum(axis=1)
        lines.append(
            f"{name}: {len(part.names):,} pictures, {each.mean():.2f} labels each ({each.min()} to {each.max()}), "
            f"{len(np.unique(part.labels, axis=0)):,} label sets"
        )
        counts = part.labels.sum(axis=0)
        lines.append(f"  of each of {len(counts)} concepts: {counts.min():,} to {counts.max():,} pictures")
    if {"query", "database"} <= set(parts):
        from hashlib_nb import metrics  # above the datasets: only this line needs it

        labels = parts["query"].labels, parts["database"].labels
        tied = [np.zeros((len(each), 1), dtype=np.uint8) for each in labels]
        lines.append(f"chance: mAP {metrics.mean_average_precision(*tied, *labels):.4f} (random order)")
    return lines
