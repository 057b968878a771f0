"""What lies in a folder: its pictures, and what is passed over, with the reason."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hashlib_nb.datasets._decode import suffixes
from hashlib_nb.machine import printable

SHOWN = 8
"""Reasons that a sentence names, the most frequent ones."""


@dataclass(frozen=True)
class Walk:
    """All that lies in a folder and the folders in it, sorted; hidden files and folders are left out."""

    pictures: list[Path]
    """Files with a picture's ending."""
    others: list[tuple[str, str]]
    """What is none: its name relative to the folder, and what it is, an ending such as ".heic" or a few words."""


def walk(folder: Path) -> Walk:
    """Look through a folder. Links to files are followed; folders behind links are not, since they may lead around."""
    folder, known = Path(folder), suffixes()
    pictures, others, closed = [], [], []
    for place, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        others += [(Path(place, name), "linked folder") for name in folders if os.path.islink(Path(place, name))]
        for path in (Path(place, name) for name in files if not name.startswith(".")):
            if what := _what(path, known):
                others.append((path, what))
            else:
                pictures.append(path)
    others += [(Path(error.filename), "unreadable folder") for error in closed]
    return Walk(sorted(pictures), sorted((path.relative_to(folder).as_posix(), what) for path, what in others))


def _what(path: Path, known: frozenset[str]) -> str | None:
    """What a file is that is no picture, by its name and its kind alone; None for a picture."""
    if not os.path.isfile(path):
        return "special file" if os.path.exists(path) else "dead link"
    return None if path.suffix.lower() in known else ending(path)


def ending(name: str | Path) -> str:
    """How a file's name ends, to count files by: ".heic", or in words that it has no ending."""
    return Path(name).suffix.lower() or "without an ending"


def counted(reasons: Iterable[str]) -> str:
    """How many of each reason, the most frequent first: "8 .heic, 2 without an ending, 1 dead link"."""
    counts = Counter(reasons).most_common()
    words = [f"{count:,} {_plural(reason, count)}" for reason, count in counts[:SHOWN]]
    return printable(", ".join(words) + (f", and {len(counts) - SHOWN} kinds more" if len(counts) > SHOWN else ""))


def _plural(reason: str, count: int) -> str:
    noun = reason.endswith((" file", " folder", " link", " picture"))
    return f"{reason}s" if noun and count != 1 else reason


def passed_over(others: Sequence[tuple[str, str]], folder: Path) -> str:
    """A sentence about (name, reason) of what is passed over in a folder; "" for nothing."""
    if not others:
        return ""
    many = f"{len(others):,} {'entry' if len(others) == 1 else 'entries'}"
    return printable(
        f"passed over {many} of {folder} ({counted(reason for _, reason in others)}), first {others[0][0]}"
    )


def unused(root: Path, used: Iterable[str], tops: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """What lies in a dataset's folder and is no part of it: (name relative to `root`, reason), sorted.

    Args:
        root: the folder, whose class folders hold the pictures.
        used: names of the files that are part of the dataset, or are refused by it, relative to `root`.
        tops: the folders in `root` that the class folders are in; none for `root` itself.
    """
    used = set(used)
    entered = {folder for name in used for folder in _folders_above(name)}
    found = walk(root)
    others = [(name, what) for name, what in found.others if name not in entered]
    others += [(name, _place(name, tops)) for name in (path.relative_to(root).as_posix() for path in found.pictures)]
    return sorted((name, what) for name, what in others if name not in used)


def _folders_above(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _place(name: str, tops: tuple[str, ...]) -> str:
    """Where a picture lies that is in no class folder."""
    parts = name.split("/")
    if tops and len(parts) > 1:
        if parts[0] not in tops:
            return f"in {parts[0]}/ beside {' and '.join(tops)}"
        parts = parts[1:]
    return "loose picture" if len(parts) == 1 else "nested picture"
