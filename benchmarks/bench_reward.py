"""The reward of bit selection: one subset at a time against many in a call and against `Reward.flipped`.

All sides compute the same tie-aware mAPs of the same subsets on the same packed codes; that they agree is asserted.
What differs is how much of the work is shared: masks of one call share the look-up of relevant items, and subsets that
differ in one bit can share the distances as well. A greedy pass from nothing to p bits is p rounds of such subsets. A
reward remembers nothing, so repeats cost what they cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks import timing
from benchmarks.data import class_codes
from hashlib_nb.hamming import toggled
from hashlib_nb.selection import Reward, random_masks

ONE, MANY, FLIPPED = "one a call", "all in one call", "Reward.flipped"


@dataclass(frozen=True)
class Args:
    """Rewards on 1,000 queries x 5,000 items, at two lengths of code."""

    queries: int = 1_000
    """queries of the reward"""
    items: int = 5_000
    """items that they rank"""
    bits: tuple[int, ...] = (64, 512)
    """lengths of the codes"""
    keep: int = 16
    """bits that the greedy pass keeps"""
    numbers: tuple[int, ...] = (1, 4, 32, 256)
    """subsets a call; no more than there are bits to add"""
    repeats: int = 5
    """rounds after the warm-up; the median counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, queries=20, items=60, bits=(12, 70), keep=3, numbers=(1, 4), repeats=1)


def reward_of(args: Args, k: int) -> Reward:
    """A reward of `args.queries` x `args.items` pairs."""
    codes, labels = class_codes(args.queries + args.items, k, seed=0)
    return Reward(codes, labels, n_queries=args.queries)


def one_by_one(reward: Reward, masks: np.ndarray) -> np.ndarray:
    """Each subset in a call of its own."""
    return np.concatenate([reward(mask[None]) for mask in masks])


def greedy(k: int, keep: int, evaluate: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Add the best bit until `keep` are kept; `evaluate(mask, bits)` gives the reward with each bit added."""
    mask = np.zeros(k, np.uint8)
    for _ in range(keep):
        open_bits = np.flatnonzero(mask == 0)
        mask[open_bits[np.argmax(evaluate(mask, open_bits))]] = 1
    return np.flatnonzero(mask)


def measure_calls(args: Args, k: int) -> list[dict]:
    """Cost of a subset by the number of subsets a call, for subsets that differ in one bit from one of `keep`."""
    reward, rows = reward_of(args, k), []
    mask = random_masks(k, args.keep, 1)[0]
    for number in sorted({min(number, k - args.keep) for number in args.numbers}):
        bits = np.flatnonzero(mask == 0)[:number]
        masks = toggled(mask, bits)
        sides = {
            ONE: lambda masks=masks: one_by_one(reward, masks),
            MANY: lambda masks=masks: reward(masks),
            FLIPPED: lambda bits=bits: reward.flipped(mask, bits),
        }
        times, values = timing.take_turns(sides, args.repeats)
        for side, taken in times.items():
            np.testing.assert_allclose(values[side], values[ONE], atol=1e-12)
            per_subset = 1000 * taken["seconds"] / number
            rows.append({"work": "subsets", "side": side, "bits": k, "number": number, "ms_each": per_subset, **taken})
    return rows


def measure_greedy(args: Args, k: int) -> list[dict]:
    """A greedy pass from nothing to `keep` of k bits."""
    reward = reward_of(args, k)
    sides = {
        ONE: lambda: greedy(k, args.keep, lambda mask, bits: one_by_one(reward, toggled(mask, bits))),
        MANY: lambda: greedy(k, args.keep, lambda mask, bits: reward(toggled(mask, bits))),
        FLIPPED: lambda: greedy(k, args.keep, reward.flipped),
    }
    times, values = timing.take_turns(sides, args.repeats)
    number = sum(k - kept for kept in range(args.keep))
    rows = []
    for side, taken in times.items():
        np.testing.assert_array_equal(values[side], values[ONE])
        per_subset = 1000 * taken["seconds"] / number
        rows.append({"work": "greedy", "side": side, "bits": k, "number": number, "ms_each": per_subset, **taken})
    return rows


def ratios(args: Args, rows: list[dict]) -> list[timing.Ratio]:
    """What sharing gains over as many separate evaluations."""
    shape, found = f"{args.queries:,} x {args.items:,}", []
    for k in args.bits:
        of = {
            (row["side"], row["number"]): row["seconds"] for row in rows if (row["work"], row["bits"]) == ("subsets", k)
        }
        most = max(number for _, number in of)
        for side, name in ((MANY, "masks in a call"), (FLIPPED, "flipped bits")):
            what = f"{most} rewards, {name}, {shape} x {k} bits"
            found.append(timing.Ratio(what, f"{most} calls", of[side, most], of[ONE, most]))
    greedy_rows = {row["side"]: row for row in rows if row["work"] == "greedy"}
    ours, theirs = greedy_rows[FLIPPED], greedy_rows[ONE]
    what = f"greedy pass {theirs['bits']} to {args.keep} bits, {shape}"
    found.append(timing.Ratio(what, f"{theirs['number']:,} calls", ours["seconds"], theirs["seconds"]))
    return found


def main(args: Args) -> None:
    """Measure, print the table, save rows and figure."""
    rows = [row for k in args.bits for row in measure_calls(args, k)]
    rows += measure_greedy(args, min(args.bits))  # at 512 bits the separate side would take minutes
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.4g"))
    timing.save("reward", args, rows, ratios(args, rows))
    groups = table[table.work == "subsets"].groupby(["bits", "side"], sort=False)
    curves = {f"{side}, {k} bits": (lines.number, lines.ms_each) for (k, side), lines in groups}
    timing.figure("bench_reward", curves, "subsets that differ in one bit", "milliseconds a subset")


if __name__ == "__main__":
    timing.run(main, Args)
