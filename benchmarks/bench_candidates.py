"""Choosing among many candidates: a reward and a greedy pass at 64, 768 and 4,096 of them, on one thread.

Candidates are thermometer bits: outputs of a network that means well, asked at a dozen levels. A reward of 16 bits is
to cost the same however many there are to choose from; a greedy pass, which tries every bit that is left, is to cost a
fraction of as many rewards. Both are measured where query and database have the same kind of code (symmetric) and where
each query has the code of the class that it was decided for (decided), of which there are few. That a pass and as many
rewards agree to the last bit is asserted. Reading all packed codes once for each different query is what no way to
count could do without, and so the machine's limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import pandas as pd

from benchmarks import timing
from hashlib_nb import thermometer
from hashlib_nb.hamming import Pairs, toggled
from hashlib_nb.metrics import map_of_flipped, map_of_masks
from hashlib_nb.selection import random_masks

ONE, BATCH, PASS, CALLS, LIMIT = "one reward", "16 in a call", "greedy pass", "one a call", "codes read"
BATCH_SIZE = 16


@dataclass(frozen=True)
class Args:
    """Rewards on 1,000 queries x 5,000 items."""

    queries: int = 1_000
    """queries of the reward"""
    items: int = 5_000
    """items that they rank"""
    candidates: tuple[int, ...] = (64, 768, 4_096)
    """candidates there are to choose from; the first is what the others are compared with"""
    keep: int = 16
    """bits of a subset"""
    wrong: float = 0.15
    """share of queries that are decided for some class at random"""
    repeats: int = 5
    """rounds after the warm-up; the median counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, queries=20, items=60, candidates=(24, 150), keep=3, repeats=1)


def kinds(args: Args, k: int, classes: int = 10) -> dict[str, Pairs]:
    """Pairs of both kinds on k candidates: outputs at one half if there are 64 at most, else thermometer bits."""
    rng, levels = np.random.default_rng(0), thermometer.HALF if k <= 64 else thermometer.LEVELS
    outputs = -(-k // len(levels))
    targets = np.random.default_rng(1).integers(0, 2, (classes, outputs))
    labels = rng.integers(0, classes, args.queries + args.items)
    logits = 6 * targets[labels] - 3 + rng.normal(0, 2, (len(labels), outputs))
    codes = thermometer.bits(logits, levels)[:, :k]
    query, database = codes[: args.queries], codes[args.queries :]
    sides = labels[: args.queries], labels[args.queries :]
    at_random = rng.random(args.queries) < args.wrong
    decided = np.where(at_random, rng.integers(0, classes, args.queries), sides[0])
    of_class = np.repeat(targets, len(levels), axis=1)[:, :k].astype(np.uint8)
    return {"symmetric": Pairs(query, database, *sides), "decided": Pairs(of_class[decided], database, *sides)}


def measure(args: Args, k: int) -> list[dict]:
    """Every side for both kinds on k candidates."""
    rows = []
    for kind, pairs in kinds(args, k).items():
        mask = random_masks(k, args.keep - 1, 1)[0]
        bits = np.flatnonzero(mask == 0)
        masks = toggled(mask, bits)
        words = np.ones(args.items * -(-k // 64), np.uint64)
        sides = {
            ONE: lambda pairs=pairs, masks=masks: map_of_masks(pairs, masks[:1]),
            BATCH: lambda pairs=pairs, masks=masks: map_of_masks(pairs, masks[:BATCH_SIZE]),
            PASS: lambda pairs=pairs, mask=mask, bits=bits: map_of_flipped(pairs, mask, bits),
            CALLS: lambda pairs=pairs, masks=masks: np.concatenate([map_of_masks(pairs, one[None]) for one in masks]),
            LIMIT: lambda pairs=pairs, words=words: [np.bitwise_or.reduce(words) for _ in range(pairs.n_distinct)],
        }
        times, values = timing.take_turns(sides, args.repeats)
        np.testing.assert_array_equal(values[PASS], values[CALLS])
        for side, taken in times.items():
            number = {ONE: 1, BATCH: BATCH_SIZE}.get(side, len(bits))
            about = {"kind": kind, "side": side, "candidates": k, "queries": pairs.n_distinct, "number": number}
            rows.append({**about, "ms_each": 1000 * taken["seconds"] / number, **taken})
    return rows


def ratios(args: Args, rows: list[dict]) -> list[timing.Ratio]:
    """A pass against as many calls and the limit; and what a reward costs among more candidates."""
    of = {(row["kind"], row["candidates"], row["side"]): row for row in rows}
    shape, few = f"{args.queries:,} x {args.items:,}, one thread", args.candidates[0]
    found = []
    for kind in ("symmetric", "decided"):
        for k in args.candidates:
            ours = of[kind, k, PASS]
            what = f"greedy pass, {args.keep} of {k:,} candidates, {kind}, {shape}"
            found.append(
                timing.Ratio(what, f"{ours['number']:,} calls", ours["seconds"], of[kind, k, CALLS]["seconds"])
            )
            found.append(
                timing.Ratio(what, "its codes read once a query", ours["seconds"], of[kind, k, LIMIT]["seconds"])
            )
        for k in args.candidates[1:]:
            for side, name in ((ONE, "reward"), (BATCH, f"{BATCH_SIZE} rewards in a call"), (PASS, "bit of a pass")):
                ours, theirs = (of[kind, each, side]["ms_each"] / 1000 for each in (k, few))
                number = BATCH_SIZE if side == BATCH else 1
                what = f"{name}, {args.keep} of {k:,} candidates, {kind}, {shape}"
                found.append(timing.Ratio(what, f"of {few}", number * ours, number * theirs))
    return found


def main(args: Args) -> None:
    """Measure on one thread, print the table, save rows and figure."""
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        rows = [row for k in args.candidates for row in measure(args, k)]
    finally:
        numba.set_num_threads(threads)
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.4g"))
    timing.save("candidates", args, rows, ratios(args, rows))
    groups = table[table.side.isin([PASS, CALLS])].groupby(["kind", "side"], sort=False)
    curves = {f"{side}, {kind}": (lines.candidates, lines.ms_each) for (kind, side), lines in groups}
    timing.figure("bench_candidates", curves, "candidates", "milliseconds a subset")


if __name__ == "__main__":
    timing.run(main, Args)
