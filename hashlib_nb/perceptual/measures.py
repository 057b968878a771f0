"""What chapter 1 asks of a hash, equations 1.2 to 1.5, as numbers: how far copies lie, and how far other pictures.

    found = distances_of(hash_pictures("pdq", originals), hash_pictures("pdq", copies), copy_of)
    found.recall_at_rate(0.001), found.equal_error_rate

Everything is counted at whole Hamming distances 0..k, which is all that a threshold (the classifier of section 2.2.2)
can look at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from hashlib_nb import checks
from hashlib_nb.hamming import check_codes, distances

CHUNK = 2048
"""Copies whose distances to all originals are held at once."""


@dataclass(frozen=True, eq=False)
class CopyDistances:
    """How many pairs lie at each distance; two of them add up."""

    same: np.ndarray
    """int64 [k + 1], copies at each distance to their own original."""
    different: np.ndarray
    """int64 [k + 1], pairs of a copy and an original of another picture."""
    nearest: np.ndarray
    """int64 [k + 1], copies at each distance to the nearest original of another picture."""

    def __add__(self, other: CopyDistances) -> CopyDistances:
        pairs = zip(self._parts, other._parts, strict=True)
        return CopyDistances(*(one + another for one, another in pairs))

    @property
    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.same, self.different, self.nearest

    @property
    def copies(self) -> int:
        """How many copies were compared."""
        return int(self.same.sum())

    @property
    def pairs(self) -> int:
        """How many pairs of different pictures."""
        return int(self.different.sum())

    @property
    def true_positive_rate(self) -> np.ndarray:
        """float64 [k + 1], share of copies within each distance of their original: robustness, eq. 1.4."""
        return self.same.cumsum() / self.copies

    @property
    def false_positive_rate(self) -> np.ndarray:
        """float64 [k + 1], share of pairs of different pictures within each distance: what eq. 1.2 wants small."""
        return self.different.cumsum() / self.pairs

    @property
    def area(self) -> float:
        """Area under the ROC curve, ties at one half."""
        return float(np.trapezoid(*self._curve()))

    @property
    def equal_error_rate(self) -> float:
        """The error where the share of missed copies equals that of false alarms, interpolated between distances."""
        hits, alarms = self._curve()
        gaps = 1 - hits - alarms  # falls from 1 to -1
        at = int(np.argmax(gaps <= 0))
        weight = gaps[at - 1] / (gaps[at - 1] - gaps[at])
        return float(alarms[at - 1] + weight * (alarms[at] - alarms[at - 1]))

    def recall_at_rate(self, rate: float) -> float:
        """Share of copies found where at most `rate` of the different pairs are, interpolated between distances.

        Between two distances it is what a coin between their two thresholds finds, as ties are counted everywhere here.
        """
        hits, alarms = self._curve()
        return float(recall_at(hits[None, 1:], alarms[None, 1:], checks.share(rate, "rate"))[0])

    def radius_at_rate(self, rate: float) -> int:
        """The largest radius within which at most `rate` of the different pairs lie; -1 where there is none."""
        return int((self.false_positive_rate <= checks.share(rate, "rate")).sum()) - 1

    def hits(self, radius: int) -> int:
        """Copies within a radius of their original."""
        return int(self.same[: radius + 1].sum())

    def recall_at_precision(self, precision: float) -> float:
        """Largest share of copies within a radius at which this share of the answers is right.

        An answer is right where a copy is within the radius of its original, wrong where it is within it of another
        picture's; of the others only the nearest counts, as a search shows one.
        """
        precision = checks.share(precision, "precision")
        right, wrong = self.same.cumsum(), self.nearest.cumsum()
        good = right >= precision * (right + wrong)
        return float(right[good].max(initial=0) / self.copies)

    def _curve(self) -> tuple[np.ndarray, np.ndarray]:
        """The ROC curve from 0 on: hits and false alarms, float64 [k + 2]."""
        return np.append(0.0, self.true_positive_rate), np.append(0.0, self.false_positive_rate)


def recall_at(hits: np.ndarray, alarms: np.ndarray, rate: float) -> np.ndarray:
    """Share of copies found at a rate of false alarms, interpolated, float64 [e].

    Args:
        hits: [e, levels], share of copies within each distance, ascending.
        alarms: [e, levels], share of different pairs within it, ascending to 1.
        rate: in 0..1.
    """
    last = (alarms <= rate).sum(axis=1)  # levels within the rate
    rows = np.arange(len(hits))
    padded = [np.pad(each, ((0, 0), (1, 1)), mode="constant", constant_values=(0, 1)) for each in (hits, alarms)]
    (low, high), (before, after) = ((each[rows, last], each[rows, last + 1]) for each in padded)
    return low + (high - low) * np.where(
        after > before, (rate - before) / np.where(after > before, after - before, 1), 0
    )


def distances_of(originals, copies, copy_of) -> CopyDistances:
    """Count how far copies lie from their originals and from those of other pictures.

    Args:
        originals: codes {0,1} [n, k], one a picture, at least two.
        copies: codes {0,1} [c, k], at least one.
        copy_of: int [c], the row of `originals` that each is a copy of.

    Raises:
        ValueError: what is no codes, other lengths, or rows that are not there.
    """
    originals, copies = check_codes(originals, "originals"), check_codes(copies, "copies")
    copy_of = checks.array(copy_of, "copy_of", "a row of originals for each copy")
    if len(originals) < 2 or not len(copies):
        raise ValueError(f"originals has {len(originals)} rows and copies {len(copies)}; give at least 2 and 1")
    if copy_of.shape != (len(copies),) or copy_of.dtype.kind not in "iu":
        raise ValueError(
            f"copy_of is {checks.shown(copy_of)}; give one row of originals for each of {len(copies)} copies"
        )
    if copy_of.min() < 0 or copy_of.max() >= len(originals):
        raise ValueError(f"copy_of names a row outside of 0..{len(originals) - 1}; give rows of originals")
    k = originals.shape[1]
    found = np.zeros((3, k + 1), np.int64)
    for first in range(0, len(copies), CHUNK):
        far = distances(copies[first : first + CHUNK], originals).astype(np.int64)
        rows, own = np.arange(len(far)), copy_of[first : first + CHUNK]
        same = far[rows, own].copy()
        every = np.bincount(far.ravel(), minlength=k + 1)
        far[rows, own] = k + 1
        found[0] += (counted := np.bincount(same, minlength=k + 1))
        found[1] += every - counted
        found[2] += np.bincount(far.min(axis=1), minlength=k + 1)
    return CopyDistances(*found)


@dataclass(frozen=True)
class Uniqueness:
    """How far different pictures lie from each other, eq. 1.2, and how many free bits would do that."""

    pairs: int
    """Pairs of different pictures."""
    collisions: int
    """Pairs with equal codes."""
    mean: float
    """Their mean distance, as a share of the bits; one half for independent fair bits."""
    effective_bits: float
    """Fair coins whose share of heads would vary as much as the distances do, m (1 - m) / variance (Daugman 2003)."""
    counts: np.ndarray
    """int64 [k + 1], pairs at each distance."""

    @property
    def within(self) -> np.ndarray:
        """float64 [k + 1], share of pairs within each distance: an estimate of tau."""
        return self.counts.cumsum() / self.pairs

    @property
    def binomial(self) -> np.ndarray:
        """float64 [k + 1], the same if every bit were a fair coin of its own: the binomial line."""
        k = len(self.counts) - 1
        return stats.binom.cdf(np.arange(k + 1), k, 0.5)


def uniqueness(codes) -> Uniqueness:
    """Of all pairs of the codes {0,1} [n, k] of different pictures, at least 2.

    Raises:
        ValueError: what is no codes, or fewer than 2 rows.
    """
    codes = check_codes(codes, "codes")
    if len(codes) < 2:
        raise ValueError(f"codes has {len(codes)} rows; give at least 2 pictures' codes")
    k, counts = codes.shape[1], np.zeros(codes.shape[1] + 1, np.int64)
    for first in range(0, len(codes), CHUNK):
        far = distances(codes[first : first + CHUNK], codes)
        counts += np.bincount(far.ravel(), minlength=k + 1)
    counts[0] -= len(codes)  # each to itself
    counts //= 2
    shares = np.arange(k + 1) / max(k, 1)
    mean = np.average(shares, weights=counts)
    variance = np.average((shares - mean) ** 2, weights=counts)
    effective = mean * (1 - mean) / variance if variance > 0 else 0.0
    return Uniqueness(int(counts.sum()), int(counts[0]), float(mean), float(effective), counts)


def wilson(hits: int, number: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's interval for a share of `hits` in `number` independent trials.

    Raises:
        ValueError: more hits than trials, no trial, or a confidence outside of 0..1.
    """
    number = checks.count(number, "number")
    hits = checks.count(hits, "hits", least=0, most=number)
    confidence = checks.finite(confidence, "confidence", above=0, below=1)
    interval = stats.binomtest(hits, number).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def key_sensitivity(codes, others) -> np.ndarray:
    """Share of bits that differ between a picture's codes under two keys, float64 [n]: one half is best, eq. 1.5.

    Args:
        codes: {0,1} [n, k], under one key.
        others: {0,1} [n, k], of the same pictures under another.

    Raises:
        ValueError: what is no codes, or of other shapes.
    """
    codes, others = check_codes(codes, "codes"), check_codes(others, "others")
    if codes.shape != others.shape:
        raise ValueError(f"others is {list(others.shape)} and codes {list(codes.shape)}; give the same pictures' codes")
    return (codes != others).mean(axis=1)
