"""A reward that remembers, counts its calls and ends at a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from hashlib_nb import checks
from hashlib_nb.hamming import check_bits, mask_of, toggled
from hashlib_nb.selection.kept import Selection, check_n_bits
from hashlib_nb.selection.reward import MOST, Reward


def check_budget(budget: int | None) -> int | None:
    """`budget` as an int if it is a number of calls, or None for no limit; otherwise a ValueError of one sentence."""
    return None if budget is None else checks.count(budget, "budget", most=MOST, why="reward calls")


class BudgetSpent(Exception):  # noqa: N818 - nothing went wrong
    """A search was asked for more subsets than were left in its budget; those that fit were evaluated."""

    def __init__(self, values: np.ndarray):
        super().__init__("the budget of reward calls is spent")
        self.values = values
        """float64, the rewards that were asked for; -inf for those that did not fit."""


class Search:
    """A `Reward` with a memory and a budget, which is what a method is given.

    A subset that was asked for before is answered from memory: only distinct subsets count as calls. Each search counts
    its own, so that two of them may share a `Reward` without either gaining calls.

    Args:
        reward: where rewards come from: a `Reward`, or another search, whose budget then counts as well.
        n_bits: p, the size of the subsets that are answers.
        budget: most calls; None for no limit.
        memo: False to forget (the thesis' setting): repeats are computed again, and each counts as a call.
        progress: show a bar over calls.
        clock: what tells seconds; `time.process_time` for those of this process, whatever else the machine does.

    Raises:
        ValueError: n_bits outside 1..k, a budget under 1, or, when asked, a reward that is not finite.
    """

    def __init__(
        self,
        reward: Reward | Search,
        n_bits: int,
        budget: int | None = None,
        *,
        memo: bool = True,
        progress: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.n_bits, self.k, self.budget = check_n_bits(n_bits, reward.k), reward.k, check_budget(budget)
        self.reward, self.pairs, self.memo = reward, reward.pairs, memo
        self.codes, self.labels = reward.codes, reward.labels
        self.calls = 0
        """Subsets evaluated so far: distinct ones, unless it forgets."""
        self.best = -math.inf
        """Highest reward of a subset of n_bits bits so far."""
        self.best_bits: np.ndarray | None = None
        """That subset, int64 [n_bits] ascending; None while there is none."""
        self.trace: list[tuple[int, float, float]] = []
        """(calls, seconds, best) each time the best improved."""
        self.bar = tqdm(total=budget, unit="call", disable=not progress)
        self._values: dict[bytes, float] = {}
        self._clock, self._start = clock, clock()

    @property
    def seconds(self) -> float:
        """Seconds since the search began."""
        return self._clock() - self._start

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Rewards float64 [e] of masks {0,1} [e, k]. Raises BudgetSpent when they do not all fit."""
        masks = self.pairs.check_masks(masks)
        return self._look_up(masks, lambda rows: self.reward(masks[rows]))

    def flipped(self, mask: np.ndarray, bits: Sequence[int] | np.ndarray) -> np.ndarray:
        """Rewards float64 [b] of `mask` {0,1} [k] with each of the b `bits` toggled alone (see `Reward.flipped`).

        Raises BudgetSpent when they do not all fit; those of the first bits do.
        """
        mask, bits = self.pairs.check_masks(np.asarray(mask)[None])[0], check_bits(bits, self.k)
        return self._look_up(toggled(mask, bits), lambda rows: self.reward.flipped(mask, bits[rows]))

    def _look_up(self, masks: np.ndarray, evaluate: Callable[[list[int]], np.ndarray]) -> np.ndarray:
        """Rewards of masks, of which `evaluate(rows)` computes those that are new, as far as the budget goes."""
        keys = _keys(masks) if self.memo else range(len(masks))  # without a memo each row is new
        known = self._values if self.memo else {}
        new = {key: row for row, key in enumerate(keys) if key not in known}
        rows = list(new.values())
        if self.budget is not None:
            rows = rows[: self.budget - self.calls]
        if rows:
            values = np.asarray(evaluate(rows))
            if not np.isfinite(values).all():
                raise ValueError(
                    f"reward gave {values[~np.isfinite(values)][0]} for a subset of bits; it must be finite"
                )
            self.record(masks[rows], values)
            known.update(zip(new, values.tolist(), strict=False))
            self.calls += len(rows)
        if len(rows) < len(new):
            raise BudgetSpent(np.array([known.get(key, -math.inf) for key in keys]))
        return np.array([known[key] for key in keys])

    def record(self, masks: np.ndarray, values: np.ndarray) -> None:
        """Note which of the new masks are the best answers so far; a search for other answers overrides it."""
        for row in np.flatnonzero((masks.sum(axis=1) == self.n_bits) & (values > self.best)):
            if values[row] > self.best:
                self.improve(np.flatnonzero(masks[row]), values[row], self.calls + int(row) + 1)
        self.bar.update(len(masks))

    def improve(self, bits: np.ndarray, value: float, calls: int) -> None:
        """Note the best answer so far, found at that many calls."""
        self.best, self.best_bits = float(value), bits
        self.trace.append((calls, self.seconds, self.best))
        self.bar.set_postfix(best=f"{self.best:.4f}", refresh=False)

    def state(self) -> dict[str, Any]:
        """All that it knows in plain values, so that it can be saved and gone on with by `restore`."""
        best_bits = None if self.best_bits is None else self.best_bits.tolist()
        about = {"calls": self.calls, "best": self.best, "best_bits": best_bits, "seconds": self.seconds}
        memory = {"subsets": [key.hex() for key in self._values], "rewards": list(self._values.values())}
        return {**about, "trace": [list(point) for point in self.trace], **memory}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        self.calls, self.best, best_bits = state["calls"], state["best"], state["best_bits"]
        self.best_bits = None if best_bits is None else np.array(best_bits)
        self.trace = [tuple(point) for point in state["trace"]]
        self._values = dict(zip(map(bytes.fromhex, state["subsets"]), state["rewards"], strict=True))
        self._start = self._clock() - state["seconds"]

    def run(self, find: Callable[[Search, int], Sequence[int] | np.ndarray | None], seed: int, name: str) -> Selection:
        """The selection that the method `find` comes to from `seed`, or had come to when the budget was spent."""
        try:
            bits = find(self, seed)
        except BudgetSpent:
            bits = None  # the best that it asked for counts
        return self.selection(bits, name)

    def selection(self, bits: Sequence[int] | np.ndarray | None, method: str) -> Selection:
        """The best subset that was asked for, in the order of `bits` if they are it; `bits` if none was asked for."""
        calls, seconds = self.calls, self.seconds
        if self.best_bits is not None and (bits is None or self._known(bits) < self.best):
            bits = self.best_bits
        bits = np.asarray(bits, dtype=np.int64)
        value = self.reward.of_bits(bits) if self.best_bits is None else self.best
        curve = np.array([*self.trace, (calls, seconds, value)])
        history = {"calls": curve[:, 0].astype(np.int64), "seconds": curve[:, 1], "best": curve[:, 2]}
        return Selection(bits, value, calls, method, self.k, history)

    def _known(self, bits: Sequence[int] | np.ndarray) -> float:
        """Reward of a subset if it is remembered, else -inf."""
        return self._values.get(_keys(mask_of(bits, self.k)[None])[0], -math.inf)


def _keys(masks: np.ndarray) -> list[bytes]:
    """A dictionary key for each mask {0,1} [e, k]."""
    return [mask.tobytes() for mask in np.packbits(masks, axis=1)]
