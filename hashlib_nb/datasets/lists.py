"""Lists of pictures in the format of HashNet and its followers: a path and a vector of 0 and 1 on each line.

`root` holds `test.txt` (the queries), `train.txt` and `database.txt`; paths are relative to `root`, or to `pictures`.
The published lists of NUS-WIDE and MS-COCO come like this, so a split by others can be used as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from hashlib_nb.datasets._files import pool_of_files
from hashlib_nb.datasets._splits import Splits
from hashlib_nb.datasets._tables import read_text

FILES = {"query": "test.txt", "train": "train.txt", "database": "database.txt"}
"""The list of each part."""


def load(
    root: Path | None,
    seed: int,
    pictures: str | None = None,
    training_in_database: bool = False,
    size: int = 256,
    on_error: Literal["raise", "skip"] = "raise",
) -> Splits:
    """Load the three lists; who goes where is theirs to say, so `seed` changes nothing.

    Args:
        root: Folder with the three lists.
        seed: Without effect.
        pictures: Folder that the paths are relative to; None for `root`.
        training_in_database: Declares that database.txt holds the training pictures by intention; lint says so if not.
        size: Height and width in pixels that the pictures are decoded to.
        on_error: "raise" for a file that is missing or empty, or "skip" to check all files and go on without the bad.

    Raises:
        FileNotFoundError: A list or a picture is missing.
        ValueError: A line that is no path and 0/1 vector, or lists that disagree in width or in a picture's labels.
    """
    if root is None:
        raise FileNotFoundError(
            "lists is not part of the package: pass root= a folder with test, train and database.txt."
        )
    read = {part: read_list(root / file) for part, file in FILES.items()}
    columns = read["query"][1].shape[1]
    labels_of: dict[str, np.ndarray] = {}
    for part, (names, labels) in read.items():
        if labels.shape[1] != columns:
            path, first = root / FILES[part], FILES["query"]
            raise ValueError(f"{path} has {labels.shape[1]} labels a line and {first} {columns}; they must agree.")
        _join(labels_of, names, labels, root / FILES[part])
    names = sorted(labels_of)
    pool = pool_of_files(
        names,
        np.stack([labels_of[name] for name in names]),
        tuple(f"concept {column}" for column in range(columns)),
        root=root if pictures is None else Path(pictures),
        size=size,
        on_error=on_error,
    )
    row_of = {name: row for row, name in enumerate(pool.everything.names)}
    rows = {
        part: np.array([row_of[n] for n in held if n in row_of], dtype=np.int64) for part, (held, _) in read.items()
    }
    if empty := [part for part, held in rows.items() if not len(held)]:
        raise ValueError(f"{root / FILES[empty[0]]} has no picture that can be used.")
    return pool.split(
        rows,
        name="lists",
        source=str(root.name),
        license="that of the pictures",
        seed=seed,
        protocol="as listed",
        split="as listed, training pictures in the database" if training_in_database else "as listed",
    )


def read_list(path: Path) -> tuple[list[str], np.ndarray]:
    """Read one list, whether or not its pictures are there.

    Returns:
        The paths, and labels uint8 {0,1} [n, m].

    Raises:
        FileNotFoundError: No such file.
        ValueError: An empty file, or a line (named) that has no labels, another value than 0 and 1, or another width.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist; a list has a path and a 0/1 vector on each line.")
    names, rows = [], []
    for number, name, labels in read_lines(path):
        if isinstance(labels, str):
            raise ValueError(f"{path}, line {number}: {labels}.")
        if rows and len(labels) != len(rows[0]):
            raise ValueError(f"{path}, line {number}: {len(labels)} labels, but the lines before have {len(rows[0])}.")
        names.append(name)
        rows.append(labels)
    if not rows:
        raise ValueError(f"{path} is empty; a list has a path and a 0/1 vector on each line.")
    return names, np.array(rows, dtype=np.uint8)


def read_lines(path: Path):
    """Yield (line number from 1, path, labels as a list of 0 and 1) for every line; a fault in words for its labels.

    Raises:
        ValueError: No text file, or none in UTF-8; the message names file and line.
    """
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        first = next((i for i in range(len(words) - 1, -1, -1) if words[i] not in ("0", "1")), -1)
        name, values = " ".join(words[: first + 1]), words[first + 1 :]  # a path may hold spaces
        if not name:
            yield number, "", "no path before the labels"
        elif not values:
            yield number, name, "no label, or one that is not 0 or 1"
        else:
            yield number, name, [int(value) for value in values]


def _join(labels_of: dict[str, np.ndarray], names: list[str], labels: np.ndarray, path: Path) -> None:
    """Add a list to what is known of each picture, which no other list may contradict."""
    for name, row in zip(names, labels, strict=True):
        known = labels_of.setdefault(name, row)
        if not np.array_equal(known, row):
            raise ValueError(f"{path} gives {name} other labels than a list before it; they must agree.")
