"""What can be wrong with a split: leaks between its parts, copies, contradictions, an order that flatters.

`python -m hashlib_nb.datasets lint` prints it. A fault is what makes results untrustworthy; a note is worth knowing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashlib_nb.artifacts import expanded
from hashlib_nb.datasets._lookalikes import near_copies
from hashlib_nb.datasets._parts import SHOWN, Finding, Part, read_lists, read_splits

SORTED_FROM = -4.0
"""Standard deviations below the expected number of runs from which an order is called sorted by class."""


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
    root: str | Path | None = None,
    *,
    seed: int = 0,
    split: str | Path | None = None,
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
        **options: Of `datasets.load`, except on_error: every file is looked at.

    Raises:
        ValueError: No such dataset or option, or nothing to look at.
        FileNotFoundError: No such folder or list.
    """
    root = None if root is None else expanded(root)
    if "on_error" in options:
        raise ValueError(f"on_error is {options['on_error']!r}, but lint looks at every file: leave it out.")
    if name == "lists":
        _check_lists_options(split, options)
        parts, found = read_lists(root, options.get("pictures"))
    else:
        if training_in_database:
            raise ValueError(f"training_in_database is for lists; {name!r} declares it by its protocol: leave it out.")
        parts, found, training_in_database = read_splits(name, root, seed, split, options)
    found += [*_overlaps(parts, training_in_database), *_near_copies(parts), *_copies(parts)]
    found += [*_contradictions(parts), *_orders(parts), *_labels(parts), *_plain(parts)]
    return Report(parts, sorted((finding for finding in found if finding.count), key=lambda finding: not finding.fault))


def _check_lists_options(split: str | Path | None, options: Mapping) -> None:
    if split is not None:
        raise ValueError(f"split is {split}, but lists say themselves who goes where: leave it out.")
    if unknown := sorted(set(options) - {"pictures", "size"}):
        raise ValueError(f"{unknown[0]!r} is no option that lists are checked with; there is pictures.")


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
        words = f"{one} pictures in {other} under another name"
        yield Finding(words, len(copies), tuple(copies[:SHOWN]), fault=not declared)


def _near_copies(parts: Mapping[str, Part]) -> Iterator[Finding]:
    """Queries that look like a picture to train on or to find; a note, since looks can deceive.

    Those of equal content are left to `_overlaps`.
    """
    for other in ("train", "database"):
        if "query" not in parts or other not in parts or parts["query"].edges is None or parts[other].edges is None:
            continue
        query, held = parts["query"], parts[other]
        names, contents = set(held.names), set(held.contents)
        alike = [
            f"{query.names[i]} ~ {held.names[j]}"
            for i, j in near_copies(query.edges, held.edges)
            if query.names[i] not in names and query.contents[i] not in contents
        ]
        yield Finding(f"query pictures that look like one in {other}", len(alike), tuple(alike[:SHOWN]), fault=False)


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


def _plain(parts: Mapping[str, Part]) -> Iterator[Finding]:
    """Pictures of one color, such as those whose content is in their alpha alone; a note, since a photograph can be."""
    for name, part in parts.items():
        rows = [] if part.plain is None else np.flatnonzero(part.plain)
        shown = tuple(part.names[row] for row in rows[:SHOWN])
        yield Finding(f"{name} pictures of one color throughout", len(rows), shown, fault=False)


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
        ends = [f"{counts[at]:,} ({part.class_names[at]})" for at in (counts.argmin(), counts.argmax())]
        span = " to ".join(ends) if counts.min() < counts.max() else f"{counts[0]:,}"
        lines.append(f"  pictures of each of {len(counts)} concepts: {span}")
    other = "database" if "database" in parts else "train"
    if {"query", other} <= set(parts):
        lines.append(_chance(parts["query"].labels, parts[other].labels, other))
    return lines


def _chance(query: np.ndarray, database: np.ndarray, searched: str) -> str:
    """What random order scores, exactly: the expected mAP of codes that are all alike."""
    from hashlib_nb import metrics  # above the datasets: only this line needs it

    if not (query.any(axis=0) & database.any(axis=0)).any():
        return "chance: none, since no query shares a concept with what is searched"
    alike = [np.zeros((len(labels), 1), dtype=np.uint8) for labels in (query, database)]
    value = metrics.mean_average_precision(*alike, query, database)
    return f"chance: mAP {value:.4f} of a random order" + (" of train" if searched == "train" else "")
