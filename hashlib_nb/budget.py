"""A reward with a budget of calls: what every method of selectors.py searches with, PPO included."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from tqdm.auto import tqdm

from hashlib_nb.hamming import check_bits, mask_of, toggled
from hashlib_nb.selection import Reward, Selection, check_n_bits, memo_keys


class BudgetSpent(Exception):  # noqa: N818 - nothing went wrong
    """A search was asked for more distinct subsets than were left in its budget; those that fit were evaluated."""

    def __init__(self, values: np.ndarray):
        super().__init__("the budget of reward calls is spent")
        self.values = values
        """float64, the rewards that were asked for; -inf for those that did not fit."""


class Search:
    """A `Reward` with a budget and a memory of what was asked, which is what a method is given.

    It counts the distinct subsets asked of it, whether or not a shared `Reward` knew them already, so that two methods
    may share one without either gaining calls (only seconds).

    Args:
        reward: where rewards come from.
        n_bits: p, the size of the subsets that are answers.
        budget: most distinct subsets to evaluate; None for no limit.
        progress: show a bar over calls.

    Raises:
        ValueError: n_bits outside 1..k.
    """

    def __init__(self, reward: Reward, n_bits: int, budget: int | None = None, *, progress: bool = False):
        self.n_bits, self.k, self.budget = check_n_bits(n_bits, reward.k), reward.k, budget
        self.reward = reward
        self.best = -math.inf
        """Highest reward of a subset of n_bits bits so far."""
        self.best_bits: np.ndarray | None = None
        """That subset, int64 [n_bits] ascending; None while there is none."""
        self.trace: list[tuple[int, float, float]] = []
        """(calls, seconds, best) each time the best improved."""
        self.bar = tqdm(total=budget, unit="call", disable=not progress)
        self._values: dict[bytes, float] = {}
        self._start = time.perf_counter()

    @property
    def calls(self) -> int:
        """Distinct subsets evaluated so far."""
        return len(self._values)

    @property
    def seconds(self) -> float:
        """Seconds since the search began."""
        return time.perf_counter() - self._start

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Rewards float64 [e] of masks {0,1} [e, k]. Raises BudgetSpent when they do not all fit."""
        masks = self.reward.pairs.check_masks(masks)
        return self._look_up(masks, lambda rows: self.reward(masks[rows]))

    def flipped(self, mask: np.ndarray, bits: Sequence[int] | np.ndarray) -> np.ndarray:
        """Rewards float64 [b] of `mask` {0,1} [k] with each of the b `bits` toggled alone (see `Reward.flipped`).

        Raises BudgetSpent when they do not all fit; those of the first bits do.
        """
        mask, bits = self.reward.pairs.check_masks(np.asarray(mask)[None])[0], check_bits(bits, self.k)
        return self._look_up(toggled(mask, bits), lambda rows: self.reward.flipped(mask, bits[rows]))

    def _look_up(self, masks: np.ndarray, evaluate: Callable[[list[int]], np.ndarray]) -> np.ndarray:
        """Rewards of masks, of which `evaluate(rows)` computes those that are new, as far as the budget goes."""
        keys = memo_keys(masks)
        new = {key: row for row, key in enumerate(keys) if key not in self._values}
        rows = list(new.values())
        if self.budget is not None:
            rows = rows[: self.budget - self.calls]
        if rows:
            values = evaluate(rows)
            self._record(masks[rows], values)
            self._values.update(zip(new, values.tolist(), strict=False))
        if len(rows) < len(new):
            raise BudgetSpent(np.array([self._values.get(key, -math.inf) for key in keys]))
        return np.array([self._values[key] for key in keys])

    def _record(self, masks: np.ndarray, values: np.ndarray) -> None:
        """Note which of the new masks are the best answers so far."""
        seconds = self.seconds
        for row in np.flatnonzero((masks.sum(axis=1) == self.n_bits) & (values > self.best)):
            if values[row] > self.best:
                self.best, self.best_bits = float(values[row]), np.flatnonzero(masks[row])
                self.trace.append((self.calls + int(row) + 1, seconds, self.best))
                self.bar.set_postfix(best=f"{self.best:.4f}", refresh=False)
        self.bar.update(len(masks))

    def run(self, find: Callable[[Search, int], Sequence[int] | np.ndarray | None], seed: int, name: str) -> Selection:
        """The selection that the method `find` comes to from `seed`, or had come to when the budget was spent."""
        try:
            bits = find(self, seed)
        except BudgetSpent:
            bits = None  # the best that it asked for counts
        return self.selection(bits, name)

    def selection(self, bits: Sequence[int] | np.ndarray | None, method: str) -> Selection:
        """The best subset seen, in the order of `bits` where they are it; `bits` where none was seen."""
        calls, seconds = self.calls, self.seconds
        if self.best_bits is not None and (bits is None or self._known(bits) < self.best):
            bits = self.best_bits
        bits = np.asarray(bits, dtype=np.int64)
        value = self.reward.of_bits(bits) if self.best_bits is None else self.best
        curve = np.array([*self.trace, (calls, seconds, value)])
        history = {"calls": curve[:, 0].astype(np.int64), "seconds": curve[:, 1], "best": curve[:, 2]}
        return Selection(bits, value, calls, method, self.k, history)

    def _known(self, bits: Sequence[int] | np.ndarray) -> float:
        """Reward of a subset if it was asked for, else -inf."""
        return self._values.get(memo_keys(mask_of(bits, self.k)[None])[0], -math.inf)
