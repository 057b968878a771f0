"""What the search page answers: a picture's neighbors, what lies in a radius, and what each bit does for it.

Whatever the page shows is computed here, by functions that know nothing of widgets; `widgets` draws it. They take the
code of one query and those of the database; that a query may be decided is a matter of its code alone (`query_codes`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hashlib_nb import hamming, metrics, search, thermometer

if TYPE_CHECKING:
    from hashlib_nb.datasets import Splits
    from hashlib_nb.encoder import Encoder
    from hashlib_nb.selection import Selection
    from hashlib_nb.thermometer import ClassCodes

# What is searched


@dataclass(frozen=True, eq=False)
class Choice:
    """The bits that a way to choose has kept, by what each of them asks; in the order of outputs, then of levels.

    Raises:
        ValueError: what `thermometer.check_meaning` refuses.
    """

    outputs: np.ndarray
    """int64 [p], the encoder's output that a bit asks."""
    thresholds: np.ndarray | None = None
    """float32 [p], in logits, at which it asks; None for 0, which is one half."""

    def __post_init__(self) -> None:
        outputs, thresholds = thermometer.check_meaning(self.outputs, self.thresholds)
        order = np.lexsort((thresholds, outputs))
        object.__setattr__(self, "outputs", outputs[order])
        object.__setattr__(self, "thresholds", thresholds[order])

    @classmethod
    def of(cls, found: Selection) -> Choice:
        """That of a selection."""
        return cls(found.bits) if found.outputs is None else cls(found.outputs, found.thresholds)

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def levels(self) -> np.ndarray:
        """float64 [p], the posterior at which each bit asks."""
        return thermometer.level_of(self.thresholds)

    @property
    def graded(self) -> bool:
        """Whether there are thermometer bits among them, and not outputs at one half alone."""
        return bool(self.thresholds.any())

    @property
    def names(self) -> list[str]:
        """What each bit asks, as a text."""
        asked = zip(self.outputs, self.levels, strict=True)
        return [f"output {output} at {level:.3g}" for output, level in asked]

    def codes(self, logits: np.ndarray) -> np.ndarray:
        """Codes uint8 {0,1} [n, p] of pictures, from their logits float [n, k]."""
        return thermometer.code(logits, self.outputs, self.thresholds)


@dataclass(frozen=True, eq=False)
class Collection:
    """Pictures with their logits, the encoder that made these, and ways to keep bits.

    Raises:
        ValueError: queries are to be decided without class codes, or a choice to compare with that is none.
    """

    splits: Splits
    """The data set: the query pictures to search with, and the database to search in."""
    query_logits: np.ndarray
    """float32 [q, k]."""
    database_logits: np.ndarray
    """float32 [n, k]."""
    choices: Mapping[str, Choice]
    """The kept bits, by the name of what chose them; the page begins with the first."""
    encoder: Encoder
    """Makes the logits of a picture that is in neither."""
    classes: ClassCodes | None = None
    """What decided queries take their codes from; None where there is no such thing."""
    decided: bool = False
    """Whether the page begins with decided queries."""
    today: str = ""
    """The choice of outputs at one half that every answer is compared with, its queries not decided; "" for none."""

    def __post_init__(self) -> None:
        if self.decided and self.classes is None:
            raise ValueError("decided is True, but there are no class codes; give classes, or leave queries their own")
        if self.today and self.today not in self.choices:
            raise ValueError(f"today is {self.today!r}; give one of {', '.join(self.choices)}, or none")


def query_codes(logits: np.ndarray, choice: Choice, classes: ClassCodes | None = None) -> np.ndarray:
    """Codes of queries: their own, or with class codes those of decided queries.

    Args:
        logits: float [q, k].
        choice: p bits.
        classes: with them a query has the code of its likeliest class, whatever its own bits are.

    Returns:
        uint8 {0,1} [q, p].
    """
    return choice.codes(logits) if classes is None else thermometer.decide(logits, classes, choice.outputs)


# What is answered


@dataclass(frozen=True, eq=False)
class Answer:
    """The pictures nearest to one, how arbitrary the cut after them is, and how good they are."""

    code: np.ndarray
    """uint8 {0,1} [p], the query's kept bits."""
    indices: np.ndarray
    """int64 [n], the nearest database items, by distance and then by index."""
    distances: np.ndarray
    """uint16 [n], in bits."""
    tied: int
    """Database items at the distance of the last one shown."""
    tied_inside: int
    """How many of these are among the n; where it is less than `tied`, the index alone decided."""
    counts: np.ndarray
    """int64 [p + 1], database items at each distance."""
    relevant: np.ndarray
    """int64 [p + 1], the relevant ones among them; all 0 without a label."""
    right: np.ndarray | None
    """bool [n], whether each of the n is relevant; None without a label."""
    precision: np.ndarray | None
    """float64 [n], the expected precision of the first 1, 2, ... n, tied items being in random order."""
    average_precision: float | None
    """AP over the whole database, tied items in expectation; None without a label."""


def answer(
    code: np.ndarray,
    bits: Sequence[int],
    database_codes: np.ndarray,
    database_labels: np.ndarray,
    label: np.ndarray | None = None,
    *,
    n: int = 10,
) -> Answer:
    """Search the database with the kept bits of one code.

    Args:
        code: {0,1} [k], of the query picture.
        bits: distinct indices of the kept bits in 0..k-1.
        database_codes: {0,1} [items, k].
        database_labels: {0,1} [items, m].
        label: {0,1} [m], what the query shows: an item that shows some of it is relevant. None if that is not known.
        n: how many to find, in 1..items.

    Raises:
        ValueError: codes, bits, labels or n that do not fit together, or a label that no item shares.
    """
    query, database = hamming.check_same_width(np.asarray(code)[None], database_codes)
    bits, known = hamming.check_bits(bits, query.shape[1]), label is not None
    shows = np.asarray(label)[None] if known else np.zeros((1, database_labels.shape[1]), np.uint8)
    found = search.nearest(query[:, bits], database[:, bits], n)
    histogram = hamming.histograms(query, database, shows, database_labels, bits=bits)
    scores = _scores(histogram, n) if known else (None, None)
    return Answer(
        query[0, bits],
        found.indices[0],
        found.distances[0],
        int(found.tied[0]),
        int(found.tied_inside[0]),
        histogram.counts[0].astype(np.int64),
        histogram.relevant[0].astype(np.int64),
        (database_labels[found.indices[0]] & shows).any(axis=1) if known else None,
        *scores,
    )


def _scores(histogram: hamming.Histograms, n: int) -> tuple[np.ndarray, float]:
    """Expected precision of the first 1 to n, and AP, of a single query."""
    report = metrics.report(histogram, at_n=range(1, n + 1))
    return np.array([*report["precision_at_n"].values()]), report["map"]["all"]["expected"]


@dataclass(frozen=True, eq=False)
class Ball:
    """All pictures within a Hamming radius of one."""

    radius: int
    """In bits; what lies at this distance is inside."""
    indices: np.ndarray
    """int64 [found], database items, by distance and then by index."""
    distances: np.ndarray
    """uint16 [found]."""
    shown: np.ndarray
    """int64 [m], how many of them show each concept."""
    relevant: int | None
    """How many are relevant; None without a label."""
    precision: float | None
    """The relevant share; None without a label, and where nothing is found."""


def within(
    code: np.ndarray,
    bits: Sequence[int],
    database_codes: np.ndarray,
    database_labels: np.ndarray,
    radius: int,
    label: np.ndarray | None = None,
) -> Ball:
    """Everything within a radius of the kept bits of one code. Arguments as of `answer`.

    Raises:
        ValueError: codes and bits that do not fit together, or a negative radius.
    """
    query, database = hamming.check_same_width(np.asarray(code)[None], database_codes)
    bits = hamming.check_bits(bits, query.shape[1])
    indices, distances = search.within_radius(query[:, bits], database[:, bits], radius).of(0)
    labels = database_labels[indices]
    relevant = None if label is None else int((labels & label).any(axis=1).sum())
    precision = relevant / len(indices) if relevant is not None and len(indices) else None
    return Ball(int(radius), indices, distances, labels.sum(axis=0, dtype=np.int64), relevant, precision)


def average_precision_without(
    code: np.ndarray,
    bits: Sequence[int],
    database_codes: np.ndarray,
    database_labels: np.ndarray,
    label: np.ndarray,
) -> np.ndarray:
    """AP of one query with each of its kept bits dropped alone, float64 [p]. Arguments as of `answer`.

    A single bit leaves none, and then AP is that of a random order.
    """
    pairs = hamming.Pairs(np.asarray(code)[None], database_codes, np.asarray(label)[None], database_labels)
    return metrics.map_of_flipped(pairs, hamming.mask_of(bits, pairs.k), bits)


def seen(encoder: Encoder, image: np.ndarray) -> np.ndarray:
    """What an encoder's network gets of a picture: resized, and the scaling undone so that it can be looked at.

    Args:
        encoder: whose input it is.
        image: uint8 [h, w, c].

    Returns:
        uint8 [h', w', c'], of the size and the channels that the network takes.
    """
    x = encoder.prepare(image[None])[0].cpu().numpy().transpose(1, 2, 0)
    return np.rint(255 * (x * np.array(encoder.std) + np.array(encoder.mean))).clip(0, 255).astype(np.uint8)
