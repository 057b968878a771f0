"""Who goes where: seeded draws of query, training and database rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hashlib_nb import checks


def draw_by_class(
    class_ids: np.ndarray, parts: Mapping[str, tuple[np.ndarray | int, np.ndarray | int | None]], seed: int
) -> dict[str, np.ndarray]:
    """Put the pictures of each class in random order and give each part a stretch of it.

    Args:
        class_ids: whole numbers [n], one a picture.
        parts: {part: (first, end)} of the stretch, counted within each class from 0; a number for all classes or one
            for each [m]; None as the end for all that remain. Stretches may overlap.
        seed: Decides the order.

    Returns:
        Rows int64 of each part, in random order.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(class_ids))
    ids = class_ids[order]
    rank = _rank_within_class(ids)

    def rows(first: np.ndarray | int, end: np.ndarray | int | None) -> np.ndarray:
        low, high = (limit[ids] if isinstance(limit, np.ndarray) else limit for limit in (first, end))
        # Shuffled once more: a class that fills its quota early would otherwise lead the next part.
        return rng.permutation(order[(rank >= low) & (True if high is None else rank < high)])

    return {part: rows(first, end) for part, (first, end) in parts.items()}


@dataclass(frozen=True)
class Counts:
    """How many pictures each part gets, where they are not drawn class by class."""

    query: int
    """Query pictures, at least 1."""
    train: int
    """Training pictures, at least 1."""
    database: int
    """Database pictures; 0 for all that remain."""
    train_from_database: bool
    """Whether training pictures are in the database as well, or beside it."""

    def check(self, n: int) -> None:
        """Raise ValueError for a count that cannot be, or where n pictures are too few."""
        for argument, least in (("query", 1), ("train", 1), ("database", 0)):
            checks.count(getattr(self, argument), argument, least=least)
        if self.train_from_database and 0 < self.database < self.train:
            raise ValueError(f"train is {self.train} of a database of {self.database}; draw at most {self.database}.")
        beside = max(self.database, 1) + self.train
        needed = self.query + (max(self.database, self.train) if self.train_from_database else beside)
        if needed > n:
            raise ValueError(f"{self} needs {needed:,} pictures and there are {n:,}; ask for fewer.")

    def share_out(self, query: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Rows of the parts: training pictures are the first of the others, the database begins with or after them."""
        first = 0 if self.train_from_database else self.train
        database = others[first : first + self.database if self.database else None]
        # Shuffled once more: training pictures would otherwise lead a database that they are part of.
        return {"query": query, "train": others[: self.train], "database": rng.permutation(database)}


def draw_at_random(n: int, counts: Counts, seed: int) -> dict[str, np.ndarray]:
    """Draw the parts from n pictures whatever their labels. Raises ValueError where n is too small."""
    counts.check(n)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    return counts.share_out(order[: counts.query], order[counts.query :], rng)


def draw_balanced(labels: np.ndarray, class_names: Sequence[str], counts: Counts, seed: int) -> dict[str, np.ndarray]:
    """Draw equally many query and training pictures for each concept; a picture may show further concepts.

    Concepts take turns from the rarest to the most frequent, each taking pictures that no concept before it took. The
    rest of the database is drawn whatever its labels.

    Args:
        labels: uint8 {0,1} [n, m].
        class_names: The m names.
        counts: query and train are multiples of m.
        seed: Decides the draw.

    Raises:
        ValueError: A count that cannot be, or a concept with too few pictures.
    """
    counts.check(len(labels))
    rng = np.random.default_rng(seed)
    free = rng.permutation(len(labels))
    chosen = {"query": [], "train": []}
    for concept in np.argsort(labels.sum(axis=0), kind="stable"):
        for part in chosen:
            quota = _quota(part, getattr(counts, part), class_names)
            rows = free[labels[free, concept] == 1][:quota]
            if len(rows) < quota:
                raise ValueError(
                    f"{part} is {getattr(counts, part)}, {quota} for each of {len(class_names)} concepts, but "
                    f"{class_names[concept]!r} has {labels[:, concept].sum()} pictures, of which {len(rows)} are left; "
                    "draw fewer, or with balanced=False."
                )
            free = free[~np.isin(free, rows)]
            chosen[part].append(rows)
    query, train = (rng.permutation(np.concatenate(rows)) for rows in chosen.values())
    return counts.share_out(query, np.concatenate([train, free]), rng)


def _quota(part: str, count: int, class_names: Sequence[str]) -> int:
    if count % len(class_names):
        raise ValueError(
            f"{part} is {count}; a balanced draw needs a multiple of the {len(class_names)} concepts; or "
            "give balanced=False."
        )
    return count // len(class_names)


def check_parts(class_ids: np.ndarray, class_names: Sequence[str], *, keep: int = 1, **per_class: int) -> None:
    """Raise ValueError where a count is under 1 or a class has too few pictures to leave `keep` for the database.

    Args:
        class_ids: whole numbers [n].
        class_names: The m names.
        keep: Pictures of each class that must remain.
        **per_class: The counts by argument name.
    """
    for argument, count in per_class.items():
        checks.count(count, argument)
    sizes, drawn = np.bincount(class_ids, minlength=len(class_names)), sum(per_class.values())
    if sizes.min() < drawn + keep:
        left = "some are left for the database" if keep else "there are enough"
        raise ValueError(
            f"{' + '.join(per_class)} is {drawn}, but the class {class_names[sizes.argmin()]!r} has {sizes.min()} "
            f"pictures; draw at most {sizes.min() - keep} so that {left}."
        )


def _rank_within_class(class_ids: np.ndarray) -> np.ndarray:
    """How many earlier rows have the same class, for every row: [a, b, a, a] gives [0, 0, 1, 2]."""
    rank = np.empty(len(class_ids), dtype=np.int64)
    for class_id in np.unique(class_ids):
        members = np.flatnonzero(class_ids == class_id)
        rank[members] = np.arange(len(members))
    return rank
