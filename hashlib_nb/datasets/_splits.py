"""What every dataset returns, the pool of pictures it is drawn from, and the split files that fix a draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hashlib_nb import artifacts
from hashlib_nb.datasets._draw import check_parts, draw_by_class
from hashlib_nb.datasets._pictures import Pictures

PARTS = ("query", "train", "database")


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures and what they show; row i of one belongs to row i of the others.

    Raises:
        ValueError: They do not fit together, or one has the wrong shape, dtype or values.
    """

    images: np.ndarray | Pictures
    """uint8 [n, h, w, c], 0 to 255; `Pictures` where they stay in their files until they are indexed."""
    labels: np.ndarray
    """uint8 {0, 1} [n, m]: 1 where the picture shows the concept, also when each picture shows exactly one."""
    names: tuple[str, ...] | None = None
    """File of each picture, relative to the dataset's root; None where pictures have no files of their own."""

    def __post_init__(self) -> None:
        _require_array("images", self.images, "[n, h, w, c]", ndim=4)
        _require_array("labels", self.labels, "[n, m]", ndim=2)
        if self.labels.max() > 1:
            raise ValueError(f"labels must be 0 or 1, but the largest is {self.labels.max()}; use one column a class.")
        for argument in ("labels", "names"):
            value = getattr(self, argument)
            if value is not None and len(self.images) != len(value):
                raise ValueError(f"images has {len(self.images)} rows and {argument} {len(value)}; they must agree.")

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> Split:
        """The given rows, in their order; pictures in files stay there."""
        images = self.images.take(rows) if isinstance(self.images, Pictures) else self.images[rows]
        names = None if self.names is None else tuple(self.names[row] for row in rows)
        return type(self)(images, self.labels[rows], names)


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of a retrieval experiment; the query pictures are in none of the others.

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
    """Plain JSON values: name, source, license, seed, sizes, protocol, split (in words), training_in_database,
    single_label, dropped (how many pictures were left out, by reason), options."""
    rows: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    """Row of each part's pictures in the pool, int64; None for parts that were put together by hand."""
    pool: Pool | None = field(default=None, repr=False)
    """All pictures that the parts were drawn from."""

    def __post_init__(self) -> None:
        for part in ("train", "database"):
            ours, query = getattr(self, part).images.shape[1:], self.query.images.shape[1:]
            if ours != query:
                raise ValueError(f"{part} images are {ours} and query images {query}; all must be one [h, w, c].")
        for part in PARTS:
            columns = getattr(self, part).labels.shape[1]
            if columns != len(self.class_names):
                raise ValueError(f"{part} labels have {columns} columns for {len(self.class_names)} class_names.")

    def save_split(self, path: str | Path) -> None:
        """Write which picture is where, so that `load(name, split=path)` gives these parts whatever the seed.

        Raises:
            ValueError: The parts were put together by hand, from no pool, or `path` holds another program's file.
        """
        if self.pool is None:
            raise ValueError("these splits have no pool, so there are no rows to save; splits of `load` can be saved.")
        artifacts.check_writable(Path(path), artifacts.replaces_npz(*PARTS))
        artifacts.save_npz(Path(path), self.rows, pool=self.pool.digest(), info=self.info)


@dataclass(frozen=True, eq=False)
class Pool:
    """All pictures of a dataset before they are split."""

    everything: Split
    """Pictures, labels and names, in an order that depends on the files alone."""
    class_names: tuple[str, ...]
    """Name of each of the m label columns."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """How many pictures were left out, by reason."""
    left_out: tuple[tuple[str, str], ...] = ()
    """(name, reason) of those left out because their files are no good."""
    unused: tuple[tuple[str, str], ...] = ()
    """(name, reason) of what lies beside them in their folder and is no part of the dataset."""

    def __len__(self) -> int:
        return len(self.everything)

    def digest(self) -> str:
        """Identifies the pool by names and labels; by pixels and labels where pictures have no names."""
        who = self.everything.images if self.everything.names is None else np.array(self.everything.names)
        return artifacts.digest(np.asarray(who), self.everything.labels, np.array(self.class_names))

    def split(self, rows: Mapping[str, np.ndarray], **info) -> Splits:
        """Make the three parts from the rows of each; `info` must say name, seed, protocol and split."""
        labels = self.everything.labels
        info = {
            **info,
            "sizes": {part: len(rows[part]) for part in PARTS},
            "training_in_database": bool(np.isin(rows["train"], rows["database"]).any()),
            "single_label": bool((labels.sum(axis=1) == 1).all()),
            "dropped": dict(self.dropped),
        }
        parts = {part: self.everything.take(rows[part]) for part in PARTS}
        return Splits(**parts, class_names=self.class_names, info=info, rows=dict(rows), pool=self)

    def split_as_saved(self, path: Path, saved: tuple[Mapping[str, np.ndarray], dict]) -> Splits:
        """The split of a file that `Splits.save_split` wrote.

        Raises:
            ValueError: It was saved from another pool.
        """
        rows, meta = saved
        if meta["pool"] != self.digest():
            raise ValueError(
                f"split is {path}, which was saved from other pictures or labels "
                f"({sum(meta['info']['sizes'].values()):,} in its parts; {len(self):,} here); "
                "give the same files and options, or make a new split."
            )
        if (last := max(int(held.max()) for held in rows.values())) >= len(self) or min(map(np.min, rows.values())) < 0:
            raise ValueError(f"split is {path}, which names row {last:,} of {len(self):,} pictures; save it anew.")
        return self.split(rows, **meta["info"])


def read_split(path: Path, name: str) -> tuple[dict[str, np.ndarray], dict]:
    """Read a split file of the dataset `name`: rows of each part, and {"pool", "info"}.

    Raises:
        ValueError: The file is missing, damaged, no split file, or of another dataset.
    """
    rows, meta = artifacts.load_npz(path)
    shown = artifacts.shown(path)
    if set(rows) != set(PARTS) or not _describes_split(meta):
        raise ValueError(
            f"split is {shown}, which is no split file (it holds {', '.join(rows)}); write one by save_split."
        )
    if meta["info"]["name"] != name:
        raise ValueError(f"split is {shown}, which is a split of {meta['info']['name']!r}, not of {name!r}.")
    for part, held in rows.items():
        if held.ndim != 1 or held.dtype.kind not in "iu" or not len(held) or len(np.unique(held)) < len(held):
            raise ValueError(f"split is {shown}, whose {part} is no list of different row numbers; save it anew.")
    return rows, meta


def _describes_split(meta: Mapping) -> bool:
    """Whether these are the pool and the info that `save_split` writes, as far as they are read."""
    info = meta.get("info")
    kinds = {"name": str, "sizes": dict, "options": dict, "seed": int, "protocol": str, "split": str}
    return (
        isinstance(info, dict)
        and isinstance(meta.get("pool"), str)
        and all(isinstance(info.get(key), kind) for key, kind in kinds.items())
        and all(isinstance(size, int) for size in info["sizes"].values())
    )


def split_by_class(
    images: np.ndarray | Pictures,
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
    drawn = query_per_class + train_per_class
    check_parts(class_ids, class_names, query_per_class=query_per_class, train_per_class=train_per_class)
    parts = {"query": (0, query_per_class), "train": (query_per_class, drawn), "database": (drawn, None)}
    pool = Pool(Split(images, np.eye(len(class_names), dtype=np.uint8)[class_ids]), class_names)
    return pool.split(
        draw_by_class(class_ids, parts, seed),
        **about,
        seed=seed,
        protocol=f"{query_per_class} query and {train_per_class} train per class, database the rest",
        split=f"{query_per_class} query and {train_per_class} training pictures of each class drawn at random; "
        "the database is all others",
    )


def _require_array(name: str, array: np.ndarray, shape: str, *, ndim: int) -> None:
    dtype, found = getattr(array, "dtype", type(array).__name__), getattr(array, "shape", None)
    if dtype != np.uint8 or found is None or len(found) != ndim or 0 in found:
        raise ValueError(f"{name} must be a uint8 array {shape} without an empty axis; this is {dtype} {found}.")
