"""A database in shards against the same database at once, and one that is too large to hold: time and peak memory.

Both sides get codes and labels from the same generator and have to return mAP over the whole database, which must be
equal to the last digit; drawing the codes is part of both times. The largest database is taken in shards alone, once.
Memory is what the database adds to the peak of a fresh process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from benchmarks import timing
from benchmarks.data import class_codes
from hashlib_nb import hamming, metrics

SHARDS, WHOLE = "in shards", "at once"


@dataclass(frozen=True)
class Args:
    """1,000 queries against up to 10 million codes of 64 bits."""

    sizes: tuple[int, ...] = (100_000, 300_000, 1_000_000)
    """items in the databases that both sides take"""
    largest: int = 10_000_000
    """items in the database that is taken in shards alone"""
    shard: int = 100_000
    """items a shard"""
    queries: int = 1_000
    """queries"""
    bits: int = 64
    """length of the codes"""
    repeats: int = 3
    """rounds after the warm-up; the median counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, sizes=(400, 900), largest=1500, shard=200, queries=20, repeats=1)


def shards(args: Args, n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Codes and labels of `n` items, a part at a time."""
    for number, start in enumerate(range(0, n, args.shard)):
        yield class_codes(min(args.shard, n - start), args.bits, seed=1 + number)


def in_shards(args: Args, n: int) -> float:
    """mAP with one shard in memory."""
    query, labels = class_codes(args.queries, args.bits, seed=0)
    return metrics.report(hamming.histograms_of_shards(query, labels, shards(args, n)))["map"]["all"]["expected"]


def at_once(args: Args, n: int) -> float:
    """mAP with the whole database in memory."""
    query, labels = class_codes(args.queries, args.bits, seed=0)
    codes, database_labels = map(np.concatenate, zip(*shards(args, n), strict=True))
    return metrics.evaluate(query, codes, labels, database_labels)["map"]["all"]["expected"]


def memory(args: Args, side: Callable[[Args, int], float], n: int) -> float:
    """MB that a side adds to the peak of a process of its own."""
    tiny = Args(quick=True)
    return timing.peak_memory(side, (args, n), (tiny, tiny.largest))


def measure(args: Args) -> list[dict]:
    """One row for each side and size; the largest size is timed once."""
    rows = []
    for n in args.sizes:
        sides = {SHARDS: in_shards, WHOLE: at_once}
        times, values = timing.take_turns({name: partial(side, args, n) for name, side in sides.items()}, args.repeats)
        assert values[SHARDS] == values[WHOLE]
        rows += [row_of(args, name, sides[name], n, taken) for name, taken in times.items()]
    start = time.perf_counter()
    in_shards(args, args.largest)
    taken = {"seconds": time.perf_counter() - start, "runs": 1}
    return [*rows, row_of(args, SHARDS, in_shards, args.largest, taken)]


def row_of(args: Args, name: str, side: Callable[[Args, int], float], n: int, taken: dict[str, float]) -> dict:
    """A row: what was timed, pairs a second and memory."""
    rate = args.queries * n / taken["seconds"]
    return {"side": name, "database": n, **taken, "pairs_per_second": rate, "mb": memory(args, side, n)}


def ratios(args: Args, rows: list[dict]) -> list[timing.Ratio]:
    """Shards beside the whole at the largest size that both took, and the largest size for its memory."""
    of = {(row["side"], row["database"]): row for row in rows}
    n = max(args.sizes)
    ours, theirs = of[SHARDS, n], of[WHOLE, n]
    what = f"mAP, {args.queries:,} x {n:,} x {args.bits} bits in shards of {args.shard:,}"
    largest = of[SHARDS, args.largest]
    packed = args.largest * args.bits / 8 / 2**20
    return [
        timing.Ratio(f"{what}: time", WHOLE, ours["seconds"], theirs["seconds"]),
        timing.Ratio(f"{what}: memory", WHOLE, ours["mb"], theirs["mb"], "MB"),
        timing.Ratio(
            f"mAP, {args.queries:,} x {args.largest:,}, in shards, {largest['seconds']:.0f} s: memory",
            "its codes alone, packed",
            largest["mb"],
            packed,
            "MB",
        ),
    ]


def main(args: Args) -> None:
    """Measure every size, print the table, save rows and figure."""
    rows = measure(args)
    table = pd.DataFrame(rows)
    table["G pairs/s"] = table.pop("pairs_per_second") / 1e9
    print(table.to_string(index=False, float_format="%.4g"))
    timing.save("stream", args, rows, ratios(args, rows))
    groups = table.groupby("side", sort=False)
    units = {"seconds": "seconds", "mb": "MB of memory"}
    curves = {label: {side: (lines.database, lines[what]) for side, lines in groups} for what, label in units.items()}
    timing.figure("bench_stream", curves, f"database items, for {args.queries:,} queries")


if __name__ == "__main__":
    timing.run(main, Args)
