"""A reward for choosing bits of a hash: the share of copies found at a stated rate of false alarms.

    reward = RecallReward(copies, originals, copy_of, rate=0.001)
    kept = selectors.select(None, None, 64, method="greedy", reward=reward)

It stands where `selection.Reward` does, which pays in mAP: the same masks in, one number a mask out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming import Pairs, check_bits, check_codes
from hashlib_nb.perceptual.measures import recall_at
from hashlib_nb.selection import Reward

CELLS = 1 << 23
"""Cells of a histogram that are held at once."""


class RecallReward(Reward):
    """Share of copies within the radius at which `rate` of the pairs of different pictures are, for subsets of bits.

    Interpolated between whole distances as `CopyDistances.recall_at_rate` is, so that few bits get a fine reward too.

    Args:
        copies: codes {0,1} [c, k] of changed pictures.
        originals: codes {0,1} [n, k], at least two.
        copy_of: int [c], the row of `originals` that each is a copy of.
        rate: of false alarms, above 0.

    Raises:
        ValueError: codes that do not fit, rows that are not there, or a rate outside of 0..1.
    """

    def __init__(self, copies, originals, copy_of, *, rate: float = 0.001):
        self.rate = checks.finite(rate, "rate", above=0, most=1)
        originals = check_codes(originals, "originals")
        if len(originals) < 2:
            raise ValueError(f"originals has {len(originals)} rows; give at least 2 pictures' codes")
        numbers = checks.array(copy_of, "copy_of", "a row of originals for each copy")
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or not np.isin(numbers, np.arange(len(originals))).all():
            raise ValueError(f"copy_of is {checks.shown(numbers)}; give rows of originals, in 0..{len(originals) - 1}")
        made = Reward.of_queries(check_codes(copies, "copies"), numbers, originals, np.arange(len(originals)))
        self.pairs: Pairs = made.pairs
        self.k, self.calls = made.k, 0
        self.codes, self.labels, self.given = made.codes, made.labels, (*made.given, self.rate)
        self._weights = np.bincount(self.pairs.row_of_query, minlength=self.pairs.n_distinct)

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Rewards float64 [e] of masks {0,1} [e, k]."""
        masks = self.pairs.check_masks(masks)
        self.calls += len(masks)
        step = max(1, CELLS // (self.pairs.n_distinct * (int(masks.sum(axis=1).max(initial=0)) + 1)))
        parts = [np.zeros(0)]
        for first in range(0, len(masks), step):
            found = self.pairs.histograms_many(masks[first : first + step], distinct=True)
            sums = (np.einsum("q,eql->el", self._weights, each) for each in (found.relevant, found.counts))
            parts.append(self._recall(*sums))
        return np.concatenate(parts)

    def flipped(self, mask: np.ndarray, bits: Sequence[int] | np.ndarray) -> np.ndarray:
        """Rewards float64 [b] of `mask` {0,1} [k] with each of the b `bits` toggled alone; see `Reward.flipped`."""
        mask, bits = self.pairs.check_masks(np.asarray(mask)[None])[0], check_bits(bits, self.k)
        self.calls += len(bits)
        step = max(1, CELLS // max(1, len(bits) * (int(mask.sum()) + 2)))
        counts = relevant = 0
        for first in range(0, self.pairs.n_distinct, step):
            rows = slice(first, min(first + step, self.pairs.n_distinct))
            found = self.pairs.histograms_flipped(mask, bits, distinct=rows)
            weights = self._weights[rows]
            counts = counts + np.einsum("q,qbl->bl", weights, found.counts)
            relevant = relevant + np.einsum("q,qbl->bl", weights, found.relevant)
        return self._recall(relevant, counts)

    def _recall(self, relevant: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Of histograms summed over copies, [e, levels]."""
        hits, alarms = relevant.cumsum(axis=1), (counts - relevant).cumsum(axis=1)
        return recall_at(hits / hits[:, -1:], alarms / alarms[:, -1:], self.rate)
