"""A folder of one's own pictures: a subfolder for each class, or a table that names each picture's labels.

    root/<class>/*                    all pictures are one pool; each class gives some to each part
    root/{train,test}/<class>/*       the pictures in test are the queries, those in train are shared out
    root/labels.csv                   lines `path,label|label|...` with that header; any number of labels a picture

A share of the pictures is given as a fraction below 1, or a number of pictures of each class.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np

from hashlib_nb import checks
from hashlib_nb.datasets._draw import Counts, draw_at_random, draw_by_class
from hashlib_nb.datasets._files import class_folders, pool_of_files
from hashlib_nb.datasets._folders import unused
from hashlib_nb.datasets._splits import Pool, Splits
from hashlib_nb.datasets._tables import read_csv
from hashlib_nb.machine import printable

TABLE = "labels.csv"
HALVES = ("train", "test")
SPLITS = {
    "by class": "query {query} and train {train} of each class drawn at random; the database is all others",
    "test folder": "query all of test/, train {train} of each class of train/ drawn at random, database its others",
    "table": "query {query} and train {train} of all pictures drawn at random; the database is all others",
}
"""What each protocol does, in words."""


def load(
    root: Path | None,
    seed: int,
    query_per_class: float = 0.1,
    train_per_class: float = 0.4,
    size: int = 256,
    on_error: Literal["raise", "skip"] = "raise",
    drop_duplicates: bool = False,
) -> Splits:
    """Load the pictures and split them; training pictures stay out of the database.

    Args:
        root: The folder, in one of the three forms above.
        seed: Decides the split.
        query_per_class: Query pictures of each class: a fraction below 1, or a number. Without effect where there is a
            folder test. In a table, where pictures may be of several classes, a fraction of all pictures.
        train_per_class: Training pictures, likewise.
        size: Height and width in pixels that the pictures are decoded to.
        on_error: "raise" for a file that is missing, empty or no picture, or "skip" to go on without the bad.
        drop_duplicates: Keep one of pictures whose files are equal byte by byte.

    Raises:
        FileNotFoundError: No such folder, none in it, or a picture of the table is missing.
        ValueError: A share that cannot be, a table that is none, or a class with too few pictures.
    """
    if root is None or not root.is_dir():
        where = None if root is None else printable(root)
        raise FileNotFoundError(f"root is {where}; pass root= a folder with a subfolder of pictures for each class.")
    for argument, share in (("query_per_class", query_per_class), ("train_per_class", train_per_class)):
        if checks.finite(share, argument, above=0) > 1 and share != int(share):
            raise ValueError(f"{argument} is {share}; give a fraction below 1, or a whole number of pictures.")
    about = {"root": root, "size": size, "on_error": on_error, "drop_duplicates": drop_duplicates, "any_suffix": False}
    if (root / TABLE).exists():
        pool = _pool_of_table(about)
        rows, protocol = _draw_table(len(pool), query_per_class, train_per_class, seed), "table"
    else:
        pool = _pool_of_folders(about)
        rows, protocol = _draw_folders(pool, query_per_class, train_per_class, seed)
    return pool.split(
        rows,
        name="folder",
        source=printable(root.name),
        license="your own",
        seed=seed,
        protocol=protocol,
        split=SPLITS[protocol].format(query=f"{query_per_class:g}", train=f"{train_per_class:g}"),
    )


def _pool_of_folders(about: dict) -> Pool:
    root = about["root"]
    tops = HALVES if all((root / half).is_dir() for half in HALVES) else ()
    files = [pair for top in tops or ("",) for pair in class_folders(root / top, root)]
    names = [name for name, _ in files]
    classes = sorted({class_name for _, class_name in files})
    ids = [classes.index(class_name) for _, class_name in files]
    labels = np.eye(len(classes), dtype=np.uint8)[ids]
    return pool_of_files(names, labels, tuple(map(printable, classes)), **about, unused=unused(root, names, tops))


def _pool_of_table(about: dict) -> Pool:
    root, path = about["root"], about["root"] / TABLE
    rows = read_csv(path, ("path", "labels"))
    if not rows:
        raise ValueError(f"{printable(path)} names no picture; give one on each line after the first.")
    names = [_listed(row["path"], root) for _, row in rows]
    shown = [{label.strip() for label in row["labels"].split("|")} - {""} for _, row in rows]
    for (number, _), name, labels in zip(rows, names, shown, strict=True):
        if not name or not labels:
            what = f"{name!r} has no label; label it" if name else "no path; give one"
            raise ValueError(f"{printable(path)}, line {number}: {what} or drop the line.")
    class_names = tuple(sorted(set().union(*shown)))
    labels = np.array([[name in each for name in class_names] for each in shown], dtype=np.uint8)
    left = [(name, what) for name, what in unused(root, [*names, TABLE])]
    left = [(name, f"not in {TABLE}" if what.endswith("picture") else what) for name, what in left]
    return pool_of_files(names, labels, tuple(map(printable, class_names)), **about, unused=left)


def _listed(name: str, root: Path) -> str:
    """A path as the table means it: spaces around it count only where a file's name has them."""
    return name if name == name.strip() or os.path.isfile(root / name) else name.strip()


def _draw_folders(pool: Pool, query: float, train: float, seed: int) -> tuple[dict[str, np.ndarray], str]:
    class_ids = pool.everything.labels.argmax(axis=1)
    in_test = np.array([name.startswith("test/") for name in pool.everything.names])
    halves = in_test.any() and not in_test.all() and all(n.split("/")[0] in HALVES for n in pool.everything.names)
    if not halves:
        sizes = np.bincount(class_ids, minlength=len(pool.class_names))
        first, end = _share(query, sizes), _share(query, sizes) + _share(train, sizes)
        _check(class_ids, pool, first, end)
        parts = {"query": (0, first), "train": (first, end), "database": (end, None)}
        return draw_by_class(class_ids, parts, seed), "by class"
    rest = np.flatnonzero(~in_test)
    sizes = np.bincount(class_ids[rest], minlength=len(pool.class_names))
    end = _share(train, sizes)
    _check(class_ids[rest], pool, np.zeros_like(end), end)
    drawn = draw_by_class(class_ids[rest], {"train": (0, end), "database": (end, None)}, seed)
    query_rows = np.random.default_rng(seed).permutation(np.flatnonzero(in_test))
    return {"query": query_rows, **{part: rest[rows] for part, rows in drawn.items()}}, "test folder"


def _share(share: float, sizes: np.ndarray) -> np.ndarray:
    """Pictures of each class: at least one of each."""
    return np.maximum(np.round(share * sizes), 1).astype(int) if share < 1 else np.full(len(sizes), int(share))


def _check(class_ids: np.ndarray, pool: Pool, first: np.ndarray, end: np.ndarray) -> None:
    sizes = np.bincount(class_ids, minlength=len(pool.class_names))
    if short := np.flatnonzero(sizes <= end).tolist():
        name, size = pool.class_names[short[0]], sizes[short[0]]
        raise ValueError(
            f"the class {name!r} has {size} pictures, but {first[short[0]]} queries, "
            f"{(end - first)[short[0]]} training pictures and at least one for the database are asked "
            "for; add pictures, or lower query_per_class or train_per_class."
        )


def _draw_table(n: int, query: float, train: float, seed: int) -> dict[str, np.ndarray]:
    counts = [int(_share(share, np.array([n]))[0]) for share in (query, train)]
    return draw_at_random(n, Counts(*counts, database=0, train_from_database=False), seed)
