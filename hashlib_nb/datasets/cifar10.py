"""CIFAR-10: 60,000 pictures of ten classes of things, 32 x 32 color (Krizhevsky, 2009).

`root` holds `cifar-10-batches-py` as torchvision downloads it, or the pictures as files, `{train,test}/<class>/` with
.png or .jpg. Three protocols are in use; results under one cannot be compared with results under another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from hashlib_nb import checks
from hashlib_nb.datasets._draw import check_parts, draw_by_class
from hashlib_nb.datasets._files import class_folders, pool_of_files
from hashlib_nb.datasets._splits import Pool, Split, Splits

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
LICENSE = "none stated; cite Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"
OFFLINE_REMEDY = (
    "pass root= a folder with cifar-10-batches-py, or with train/<class>/ and test/<class>/ of picture files"
)


@dataclass(frozen=True)
class Protocol:
    """How many pictures of each class go where; None for all there are."""

    query: int | None
    train: int | None
    halves: bool
    """Whether the queries are from the original test half and all else from the training half."""
    training_in_database: bool
    database: int = 0
    """0 for all that remain."""


PROTOCOLS = {
    "54k": Protocol(query=100, train=500, halves=False, training_in_database=False),
    "59k": Protocol(query=100, train=500, halves=False, training_in_database=True),
    "10k/50k": Protocol(query=None, train=None, halves=True, training_in_database=True),
}


def load(
    root: Path | None,
    seed: int,
    protocol: Literal["54k", "59k", "10k/50k"] = "54k",
    query_per_class: int | None = None,
    train_per_class: int | None = None,
    database_per_class: int = 0,
    download: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
) -> Splits:
    """Load CIFAR-10, all of it decoded, and split it by a protocol.

    Args:
        root: Folder with `cifar-10-batches-py`, or with `train/<class>/` and `test/<class>/`.
        seed: Decides the split.
        protocol: "54k", the thesis: of each class 100 query and 500 training pictures from all 60,000, the database
            is the 54,000 others. "59k": 100 query pictures of each class, the database is the 59,000 others, and the
            500 training pictures of each class are among them. "10k/50k": the original test half are the queries, the
            original training half is the database, and all of it is trained on.
        query_per_class: Query pictures of each class; by default the protocol's.
        train_per_class: Training pictures of each class; by default the protocol's.
        database_per_class: Database pictures of each class; 0 for all.
        download: Let torchvision download `cifar-10-batches-py` into `root`.
        on_error: Of pictures in files: "raise" for one that is missing, empty or broken, or "skip" to go on without.

    Raises:
        FileNotFoundError: The pictures are not in `root`.
        ConnectionError: The download failed.
        ValueError: Unknown protocol, counts that a class cannot give, or a damaged file.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}; it must be one of {', '.join(PROTOCOLS)}.")
    if root is None:
        raise FileNotFoundError(f"cifar10 is not part of the package: {OFFLINE_REMEDY}, or root= and download=True.")
    pool, is_test = _read(root, download, on_error)
    asked = {"query": query_per_class, "train": train_per_class, "database": database_per_class}
    chosen = replace(PROTOCOLS[protocol], **{part: count for part, count in asked.items() if count is not None})
    rows = draw(pool.everything.labels.argmax(axis=1), is_test, chosen, seed)
    words = f"{chosen.query or 'all'} query, {chosen.train or 'all'} training and "
    words += f"{chosen.database or 'all other'} database"
    return pool.split(
        rows,
        name="cifar10",
        source=SOURCE,
        license=LICENSE,
        seed=seed,
        protocol=protocol,
        split=f"{words} pictures of each class drawn at random"
        + (", queries from the original test half, all else from the training half" if chosen.halves else "")
        + (", training pictures from the database" if chosen.training_in_database else ""),
    )


def draw(class_ids: np.ndarray, is_test: np.ndarray, protocol: Protocol, seed: int) -> dict[str, np.ndarray]:
    """Rows of each part.

    Args:
        class_ids: whole numbers [n], 0 to 9.
        is_test: bool [n], the original test half.
        protocol: One of `PROTOCOLS`, or one with other counts.
        seed: Decides who goes where.

    Raises:
        ValueError: A count that cannot be, or a class with too few pictures.
    """
    _check(class_ids, is_test, protocol)
    query, train, limit = protocol.query, protocol.train, protocol.database or None
    if protocol.halves:
        halves = np.flatnonzero(is_test), np.flatnonzero(~is_test)
        of_test = draw_by_class(class_ids[halves[0]], {"query": (0, query)}, seed)
        end = train if train is not None else limit
        of_train = draw_by_class(class_ids[halves[1]], {"train": (0, end), "database": (0, limit)}, seed)
        return {"query": halves[0][of_test["query"]]} | {part: halves[1][rows] for part, rows in of_train.items()}
    first = query if protocol.training_in_database else query + train
    parts = {
        "query": (0, query),
        "train": (query, query + train),
        "database": (first, first + limit if limit else None),
    }
    return draw_by_class(class_ids, parts, seed)


def _check(class_ids: np.ndarray, is_test: np.ndarray, protocol: Protocol) -> None:
    query, train, database = protocol.query, protocol.train, protocol.database
    checks.count(database, "database_per_class", least=0)
    if protocol.training_in_database and train is not None and 0 < database < train:
        raise ValueError(f"train_per_class is {train} of a database_per_class of {database}; draw at most {database}.")
    asked = {"query_per_class": query, "train_per_class": train}
    asked = {argument: checks.count(count, argument) for argument, count in asked.items() if count is not None}
    if not protocol.halves:
        more = max(database - train, 0) if protocol.training_in_database else max(database, 1)
        check_parts(class_ids, CLASS_NAMES, keep=more, **asked)
        return
    for half, argument in ((is_test, "query_per_class"), (~is_test, "train_per_class")):
        check_parts(class_ids[half], CLASS_NAMES, keep=0, **{argument: asked.get(argument, 1)})
    if database:
        check_parts(class_ids[~is_test], CLASS_NAMES, keep=0, database_per_class=database)


@lru_cache(maxsize=1)  # a results table asks for the same pictures once for every encoder
def _read(root: Path, download: bool, on_error: str) -> tuple[Pool, np.ndarray]:
    """The pool, and bool [n], which of its pictures are of the original test half."""
    if download or (root / "cifar-10-batches-py").is_dir():
        return _read_batches(root, download)
    return _read_files(root, on_error)


def _read_batches(root: Path, download: bool) -> tuple[Pool, np.ndarray]:
    from torchvision.datasets import CIFAR10  # takes seconds; checks the files' checksums before it unpickles them

    try:
        halves = [CIFAR10(str(root), train=train, download=download) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        if download:
            raise ConnectionError(
                f"CIFAR-10 could not be downloaded into {root}; without a network {OFFLINE_REMEDY}."
            ) from error
        raise ValueError(f"{root / 'cifar-10-batches-py'} is incomplete or damaged; fetch it again.") from error
    images = np.concatenate([half.data for half in halves])
    class_ids = np.concatenate([half.targets for half in halves])
    is_test = np.arange(len(images)) >= len(halves[0])
    names = tuple(
        f"{half}/{row:05d}" for half, part in zip(("train", "test"), halves, strict=True) for row in range(len(part))
    )
    return Pool(Split(images, np.eye(10, dtype=np.uint8)[class_ids], names), CLASS_NAMES), is_test


def _read_files(root: Path, on_error: str) -> tuple[Pool, np.ndarray]:
    """Decode all files once: 60,000 pictures of 32 x 32 are 184 MB."""
    if not all((root / half).is_dir() for half in ("train", "test")):
        raise FileNotFoundError(
            f"{root} holds no CIFAR-10: {OFFLINE_REMEDY}, or download=True where there is a network."
        )
    files = [(name, class_name) for half in ("train", "test") for name, class_name in class_folders(root / half, root)]
    if others := {class_name for _, class_name in files} ^ set(CLASS_NAMES):
        raise ValueError(f"{root} has or lacks the class {sorted(others)[0]!r}; CIFAR-10 has {', '.join(CLASS_NAMES)}.")
    labels = np.eye(10, dtype=np.uint8)[[CLASS_NAMES.index(class_name) for _, class_name in files]]
    lazy = pool_of_files(
        [name for name, _ in files], labels, CLASS_NAMES, root=root, size=32, on_error=on_error, any_suffix=False
    )
    decoded = Split(lazy.everything.images[:], lazy.everything.labels, lazy.everything.names)
    is_test = np.array([name.startswith("test/") for name in decoded.names])
    return Pool(decoded, CLASS_NAMES, lazy.dropped, lazy.left_out), is_test
