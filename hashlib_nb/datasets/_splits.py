"""What every dataset returns, and the seeded per-class split that single-label datasets share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures and what they show; row i of one belongs to row i of the other.

    Raises:
        ValueError: The two do not fit together, or either has the wrong shape, dtype or values.
    """

    images: np.ndarray
    """uint8 [n, h, w, c], 0 to 255."""
    labels: np.ndarray
    """uint8 {0, 1} [n, m]: 1 where the picture shows the concept, also when each picture shows exactly one."""

    def __post_init__(self) -> None:
        _require_array("images", self.images, "[n, h, w, c]", ndim=4)
        _require_array("labels", self.labels, "[n, m]", ndim=2)
        if self.labels.max() > 1:
            raise ValueError(f"labels must be 0 or 1, but the largest is {self.labels.max()}; use one column a class.")
        if len(self.images) != len(self.labels):
            raise ValueError(f"images has {len(self.images)} rows and labels {len(self.labels)}; they must agree.")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Splits:
    """The three disjoint parts of a retrieval experiment.

    Raises:
        ValueError: The parts disagree in picture size or in number of classes.
    """

    query: Split
    """Pictures to search with. Nothing is ever fitted to them, chosen by them or stopped by them."""
    train: Split
    """Pictures to fit the codes and the encoder to."""
    database: Split
    """Pictures to search in."""
    class_names: tuple[str, ...]
    """Name of each of the m label columns."""
    info: dict
    """name, source, license, seed, sizes, split (in words), training_in_database, single_label; plain JSON values."""

    def __post_init__(self) -> None:
        for part in ("train", "database"):
            ours, query = getattr(self, part).images.shape[1:], self.query.images.shape[1:]
            if ours != query:
                raise ValueError(f"{part} images are {ours} and query images {query}; all must be one [h, w, c].")
        for part in ("query", "train", "database"):
            columns = getattr(self, part).labels.shape[1]
            if columns != len(self.class_names):
                raise ValueError(f"{part} labels have {columns} columns for {len(self.class_names)} class_names.")


def split_by_class(
    images: np.ndarray,
    class_ids: np.ndarray,
    class_names: tuple[str, ...],
    *,
    query_per_class: int,
    train_per_class: int,
    seed: int,
    **about: str,
) -> Splits:
    """Draw query and training pictures from every class at random; what remains is the database.

    Each part comes in random order: a database sorted by class would hand an unfair place to whichever class comes
    first wherever distances tie.

    Args:
        images: uint8 [n, h, w, c].
        class_ids: whole numbers [n], 0 to m - 1.
        class_names: The m names.
        query_per_class: Query pictures from each class, at least 1.
        train_per_class: Training pictures from each class, at least 1.
        seed: Decides who goes where.
        **about: name, source and license, for `Splits.info`.

    Raises:
        ValueError: A count under 1, or a class with too few pictures to leave one for the database.
    """
    for argument, count in {"query_per_class": query_per_class, "train_per_class": train_per_class}.items():
        if count < 1:
            raise ValueError(f"{argument} is {count}; it must be at least 1.")
    sizes = np.bincount(class_ids, minlength=len(class_names))
    drawn = query_per_class + train_per_class
    if sizes.min() <= drawn:
        raise ValueError(
            f"query_per_class + train_per_class is {drawn}, but the class {class_names[sizes.argmin()]!r} has "
            f"{sizes.min()} pictures; draw at most {sizes.min() - 1} so that some are left for the database."
        )

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(class_ids))
    rank = _rank_within_class(class_ids[order])
    labels = np.eye(len(class_names), dtype=np.uint8)[class_ids]
    part = np.searchsorted([query_per_class, drawn], rank, side="right")  # 0 query, 1 train, 2 database
    # Shuffled once more: a class that fills its quota early would otherwise lead the next part.
    query, train, database = (
        Split(images[rows], labels[rows]) for rows in (rng.permutation(order[part == p]) for p in range(3))
    )
    info = {
        **about,
        "seed": seed,
        "sizes": {"query": len(query), "train": len(train), "database": len(database)},
        "split": f"{query_per_class} query and {train_per_class} training pictures of each class drawn at random; "
        "the database is all others",
        "training_in_database": False,
        "single_label": True,
    }
    return Splits(query, train, database, class_names, info)


def _rank_within_class(class_ids: np.ndarray) -> np.ndarray:
    """How many earlier rows have the same class, for every row: [a, b, a, a] gives [0, 0, 1, 2]."""
    rank = np.empty(len(class_ids), dtype=np.int64)
    for class_id in np.unique(class_ids):
        members = np.flatnonzero(class_ids == class_id)
        rank[members] = np.arange(len(members))
    return rank


def _require_array(name: str, array: np.ndarray, shape: str, *, ndim: int) -> None:
    dtype, found = getattr(array, "dtype", type(array).__name__), getattr(array, "shape", None)
    if dtype != np.uint8 or found is None or len(found) != ndim or 0 in found:
        raise ValueError(f"{name} must be a uint8 array {shape} without an empty axis; this is {dtype} {found}.")
