"""A pool of pictures that lie in files, and which of them are copies of each other."""

from __future__ import annotations

import hashlib
import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hashlib_nb import artifacts
from hashlib_nb.datasets._folders import passed_over
from hashlib_nb.datasets._pictures import Pictures, check_size, in_threads, screen
from hashlib_nb.datasets._splits import Pool, Split
from hashlib_nb.machine import printable


def pool_of_files(
    names: Sequence[str],
    labels: np.ndarray,
    class_names: tuple[str, ...],
    *,
    root: Path,
    size: int,
    on_error: str,
    drop_duplicates: bool = False,
    dropped: Mapping[str, int] | None = None,
    any_suffix: bool = True,
    unused: Sequence[tuple[str, str]] = (),
) -> Pool:
    """Check the files, leave out those without a label or not good, and make a pool that decodes lazily.

    Args:
        names: Files relative to `root`.
        labels: uint8 {0,1} [n, m].
        class_names: The m names.
        root: Their folder.
        size: Height and width in pixels that the pictures are decoded to.
        on_error: "raise" or "skip", as in `screen`.
        drop_duplicates: Keep the first of files that are equal byte by byte.
        dropped: What was left out before, by reason.
        any_suffix: As in `screen`.
        unused: (name, reason) of what lies in `root` and is no part of the dataset, to be said.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is no good, or no picture is left.
    """
    check_size(size)
    if twice := [name for name, count in Counter(map(posixpath.normpath, names)).items() if count > 1]:
        raise ValueError(
            f"{len(twice):,} pictures of {printable(root)} are listed more than once, first {printable(twice[0])}; "
            "list each once."
        )
    if unused:
        print(passed_over(unused, root))
    good, left_out = screen(names, root, on_error, any_suffix=any_suffix)
    dropped = dict(dropped or {})
    for _, kind in left_out:
        dropped[kind] = dropped.get(kind, 0) + 1
    if drop_duplicates:
        first = first_of_equals(in_threads(file_digest, [root / names[row] for row in good], "compare files"))
        dropped["duplicates"] = len(good) - len(first)
        good = good[first]
    if not len(good):
        raise ValueError(f"no picture of {printable(root)} is left; left out: {dropped}.")
    kept = [names[row] for row in good]
    pictures = Pictures(kept, size=size, root=root)
    return Pool(Split(pictures, labels[good], tuple(kept)), class_names, dropped, tuple(left_out), tuple(unused))


def first_of_equals(digests: Sequence[str]) -> np.ndarray:
    """Rows, ascending, of the first of each digest: what is left when copies are dropped."""
    return np.sort(np.unique(np.array(digests), return_index=True)[1])


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes as hex digits."""
    return artifacts.sha256(path).hex()


def pixel_digest(image: np.ndarray) -> str:
    """SHA-256 of a picture's pixels as hex digits."""
    return hashlib.sha256(np.ascontiguousarray(image)).hexdigest()


def class_folders(folder: Path, root: Path) -> list[tuple[str, str]]:
    """(file relative to `root`, class) of every file in `folder`'s class folders, sorted; hidden ones are ignored.

    Raises:
        FileNotFoundError: `folder` has no folder in it.
        ValueError: One of its folders holds no file.
    """
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise FileNotFoundError(
            f"{printable(folder)} holds no folders; it needs one for each class, with pictures in it."
        )
    files = {
        one: [file for file in sorted(one.iterdir()) if not file.name.startswith(".") and not file.is_dir()]
        for one in classes
    }
    if bare := [one for one, held in files.items() if not held]:
        raise ValueError(f"the class folder {printable(bare[0])} holds no file; put pictures into it or remove it.")
    return [(file.relative_to(root).as_posix(), one.name) for one, held in files.items() for file in held]
