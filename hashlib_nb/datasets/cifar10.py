"""CIFAR-10: 60,000 pictures of ten classes of things, 32 x 32 color (Krizhevsky, 2009).

`root` holds either `cifar-10-batches-py` as torchvision downloads it, or the pictures as files,
`{train,test}/<class>/*.png` or `.jpg`. Three protocols are in use, and results under one say nothing about another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from hashlib_nb.datasets._draw import check_parts, draw_by_class
from hashlib_nb.datasets._files import first_of_equals, pixel_digest, pool_of_files
from hashlib_nb.datasets._splits import Pool, Split, Splits

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
HALVES = ("train", "test")
"""The original halves, in the order in which they are joined: 50,000 and 10,000 pictures."""


@dataclass(frozen=True)
class Protocol:
    """Who may be a query, and whether the database holds the training pictures."""

    query_per_class: int
    """Query pictures of each class unless the caller says otherwise; 0 for the whole test half."""
    train_per_class: int
    """Training pictures of each class unless the caller says otherwise; 0 for the whole database."""
    train_from_database: bool
    """Whether training pictures are in the database as well."""
    words: str
    """What it is, for `Splits.info`."""


PROTOCOLS = {
    "54k": Protocol(100, 500, False, "query and train drawn from all 60,000, database the others (the thesis)"),
    "59k": Protocol(100, 500, True, "query drawn from all 60,000, database the others, train drawn from it"),
    "10k/50k": Protocol(0, 0, True, "query the test half, database the training half, train drawn from it"),
}


def load(
    root: Path | None,
    seed: int,
    protocol: str = "54k",
    query_per_class: int | None = None,
    train_per_class: int | None = None,
    database_per_class: int = 0,
    download: bool = False,
    drop_duplicates: bool = False,
) -> Splits:
    """Load the pictures and split them by one of the `PROTOCOLS`.

    Args:
        root: Folder with `cifar-10-batches-py`, or with `train/` and `test/`.
        seed: Decides the split.
        protocol: "54k" (the thesis), "59k" or "10k/50k".
        query_per_class: Query pictures of each class; None for the protocol's number.
        train_per_class: Training pictures of each class; None for the protocol's number.
        database_per_class: Database pictures of each class; 0 for all that there are.
        download: Let torchvision download what is not in `root` yet.
        drop_duplicates: Keep one of pictures that are equal pixel by pixel.

    Raises:
        FileNotFoundError: The pictures are not in `root` and `download` is off.
        ConnectionError: The download failed.
        ValueError: An unknown protocol, a damaged file, or a class with too few pictures.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}; it must be one of {', '.join(map(repr, PROTOCOLS))}.")
    if root is None:
        raise FileNotFoundError(
            "cifar10 is not part of the package: pass root= a folder with cifar-10-batches-py, or with train/ and "
            "test/, or any folder and download=True."
        )
    images, class_ids, in_test = _read(root, download)
    dropped = {}
    if drop_duplicates:
        first = first_of_equals([pixel_digest(image) for image in images])
        dropped["duplicates"] = len(images) - len(first)
        images, class_ids, in_test = images[first], class_ids[first], in_test[first]
    pool = Pool(Split(images, np.eye(len(CLASS_NAMES), dtype=np.uint8)[class_ids]), CLASS_NAMES, dropped)
    rule = PROTOCOLS[protocol]
    counts = {
        "query_per_class": rule.query_per_class if query_per_class is None else query_per_class,
        "train_per_class": rule.train_per_class if train_per_class is None else train_per_class,
        "database_per_class": database_per_class,
    }
    return pool.split(
        _draw(rule, class_ids, in_test, **counts, seed=seed),
        name="cifar10",
        source=SOURCE,
        license="none stated; cite Krizhevsky, Learning multiple layers of features from tiny images, 2009",
        seed=seed,
        protocol=protocol,
        split=f"protocol {protocol}: {rule.words}",
    )


def _draw(
    rule: Protocol,
    class_ids: np.ndarray,
    in_test: np.ndarray,
    *,
    query_per_class: int,
    train_per_class: int,
    database_per_class: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Rows of the parts. Where query and database come from different halves, each half is drawn from on its own."""
    for argument, count in (("query_per_class", query_per_class), ("train_per_class", train_per_class)):
        if count < 0 or (count == 0 and rule.query_per_class):
            raise ValueError(f"{argument} is {count}; it must be at least 1.")
    if database_per_class < 0:
        raise ValueError(f"database_per_class is {database_per_class}; it must be at least 0.")
    beside = 0 if rule.train_from_database else train_per_class
    least = max(database_per_class, 1, train_per_class if rule.train_from_database else 0)
    if not rule.query_per_class:  # the original halves
        query = _of_half(class_ids, in_test, {"query": (0, query_per_class or None)}, seed, query_per_class)
        train = {"train": (0, train_per_class or None), "database": (0, database_per_class or None)}
        return query | _of_half(class_ids, ~in_test, train, seed, least)
    check_parts(class_ids, CLASS_NAMES, keep=beside + least, query_per_class=query_per_class)
    start = query_per_class + beside
    parts = {
        "query": (0, query_per_class),
        "train": (query_per_class, query_per_class + train_per_class),
        "database": (start, start + database_per_class if database_per_class else None),
    }
    return draw_by_class(class_ids, parts, seed)


def _of_half(class_ids: np.ndarray, half: np.ndarray, parts: dict, seed: int, least: int) -> dict[str, np.ndarray]:
    """`draw_by_class` among the rows of one half. Raises ValueError where a class has fewer than `least` there."""
    rows = np.flatnonzero(half)
    sizes = np.bincount(class_ids[rows], minlength=len(CLASS_NAMES))
    if sizes.min() < max(least, 1):
        raise ValueError(
            f"{' and '.join(parts)} need {max(least, 1)} pictures of each class, but "
            f"{CLASS_NAMES[sizes.argmin()]!r} has {sizes.min()} in its half; draw fewer."
        )
    return {part: rows[drawn] for part, drawn in draw_by_class(class_ids[rows], parts, seed).items()}


@lru_cache(maxsize=1)  # a results table asks for the same pictures once for every encoder
def _read(root: Path, download: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures uint8 [n, 32, 32, 3], class numbers int64 [n], and bool [n], which are of the test half."""
    if not download and all((root / half).is_dir() for half in HALVES):
        return _read_files(root)
    from torchvision.datasets import CIFAR10  # takes seconds, and files need no torch

    try:
        halves = [CIFAR10(str(root), train=half == "train", download=download) for half in HALVES]
    except RuntimeError as error:
        if download:
            raise ConnectionError(f"CIFAR-10 could not be downloaded into {root} ({error}).") from error
        raise FileNotFoundError(
            f"{root} holds neither a sound cifar-10-batches-py nor train/ and test/ ({error}); pass the folder that "
            "does, or download=True where there is a network."
        ) from error
    except OSError as error:
        raise ConnectionError(f"CIFAR-10 could not be downloaded into {root} ({error}).") from error
    class_ids = np.concatenate([np.array(half.targets) for half in halves])
    return np.concatenate([half.data for half in halves]), class_ids, _in_test([len(half.data) for half in halves])


def _read_files(root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    names, class_ids, sizes = [], [], []
    for half in HALVES:
        before = len(names)
        for number, class_name in enumerate(CLASS_NAMES):
            folder = root / half / class_name
            if not folder.is_dir():
                raise FileNotFoundError(f"{folder} does not exist; CIFAR-10 as files has a folder for each class.")
            files = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
            names += [f"{half}/{class_name}/{file}" for file in files]
            class_ids += [number] * len(files)
        sizes.append(len(names) - before)
    labels = np.eye(len(CLASS_NAMES), dtype=np.uint8)[class_ids]
    pool = pool_of_files(names, labels, CLASS_NAMES, root=root, size=32, on_error="raise")
    return np.asarray(pool.everything.images), np.array(class_ids), _in_test(sizes)


def _in_test(sizes: list[int]) -> np.ndarray:
    return np.repeat([False, True], sizes)
