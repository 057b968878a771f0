"""Searching and counting on one thread, against faiss' flat index and against what the machine can do.

faiss' IndexBinaryFlat answers from the same packed bytes; of its two ways to keep the nearest, a heap and counters, the
faster one counts. Both sides get a database that is packed once, as an index holds it. One thread each, in turns, and
what is taken is processor time, the least of all rounds: on a machine that others use as well, waiting says nothing of
either side. Beside each stands a limit, measured in the same rounds: the exclusive or and popcount of as many pairs, of
codes that are in the cache (`popcounts alone`), and a pass of memory over the codes for every 16 queries. A missed goal
is printed with the reason.

Multi-index hashing reads the codes of some buckets; how many these are is counted, of uniform codes and of learned ones
(ITQ of the package's clothing pictures, each query a picture that the codes were not fitted to).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numba
import numpy as np
import pandas as pd

from benchmarks import timing
from benchmarks.bench_metrics import popcounts
from benchmarks.data import class_codes
from hashlib_nb import baselines, datasets, hamming, metrics
from hashlib_nb.machine import threads

OURS, HEAP, COUNTERS, POPCOUNTS, READ = (
    "hashlib_nb",
    "faiss, heap",
    "faiss, counters",
    "popcounts alone",
    "memory: codes read",
)
FAISS = "faiss IndexBinaryFlat"
SETUP, TABLES = "packing and sorting", "tables"
CACHED = 1 << 17
"""Bytes of codes that stay in the processor's second cache while their popcounts are taken again and again."""
EXPECTED = 40
"""About how many items of uniform codes a radius is to hold, as the ten nearest have some beside them."""


@dataclass(frozen=True)
class Args:
    """Nearest and radius at several lengths, mAP, and small balls in a large database."""

    lengths: tuple[int, ...] = (64, 128, 256, 512)
    """bits of a code"""
    items: tuple[int, ...] = (1_000_000, 1_000_000, 300_000, 300_000)
    """codes in the database at each length"""
    queries: int = 200
    """queries of a search"""
    ranked: tuple[int, int] = (1_000, 54_000)
    """queries and items of mAP, at 64 bits"""
    many: int = 10_000_000
    """codes of 64 bits among which small balls are looked for"""
    radius: int = 3
    """of these"""
    repeats: int = 5
    """rounds after the warm-up; the least counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(
                self, lengths=(64, 128), items=(2_000, 1_000), queries=5, ranked=(20, 500), many=20_000, repeats=1
            )


def radius_of(n: int, k: int) -> int:
    """The radius within which about EXPECTED of n uniform codes lie, from the normal approximation's counts."""
    rng = np.random.default_rng(0)
    query, database = rng.integers(0, 2, (20, k), np.uint8), rng.integers(0, 2, (min(n, 20_000), k), np.uint8)
    found = np.sort(hamming.distances(query, database), axis=None)
    return int(found[min(len(found) - 1, EXPECTED * 20 * min(n, 20_000) // n)])


def searches(args: Args, n: int, k: int) -> list[timing.Goal]:
    """Nearest 10 and all within a radius of n uniform codes of k bits."""
    rng = np.random.default_rng(k)
    stored, asked = (rng.integers(0, 256, (size, k // 8), np.uint8) for size in (n, args.queries))
    database = hamming.Packed(np.ascontiguousarray(stored.view("<u8").T), k)
    query, radius = hamming.unpack_bytes(asked, k), radius_of(n, k)
    words = hamming.pack(query)
    cached = np.ascontiguousarray(database.words[:, : CACHED // (k // 8)])
    limits = {
        POPCOUNTS: lambda: [popcounts(words, cached) for _ in range(-(-n // cached.shape[1]))],
        READ: lambda: [database.words.sum() for _ in range(-(-args.queries // 16))],  # the queries of a tile
    }
    nearest = {OURS: lambda: hamming.nearest(query, database, 10)}
    within = {OURS: lambda: hamming.within_radius(query, database, radius)}
    if timing.installed("faiss", "faiss-cpu"):
        import faiss

        flat, counting = faiss.IndexBinaryFlat(k), faiss.IndexBinaryFlat(k)
        counting.use_heap = False
        for index in (flat, counting):
            index.add(stored)
        nearest |= {HEAP: lambda: flat.search(asked, 10), COUNTERS: lambda: counting.search(asked, 10)}
        within |= {HEAP: lambda: flat.range_search(asked, radius + 1)}  # which leaves out the radius itself
        np.testing.assert_array_equal(flat.search(asked, 10)[0], hamming.nearest(query, database, 10).distances)
        np.testing.assert_array_equal(
            flat.range_search(asked, radius + 1)[0], hamming.within_radius(query, database, radius).offsets
        )
    size, goal = f"{args.queries:,} x {n:,} x {k} bits", 1.0 if k == 64 else 1.2
    return [
        _searched(f"nearest 10, {size}", nearest | limits, args.repeats, goal),
        _searched(f"all within {radius}, {size}", within | limits, args.repeats, goal),
    ]


def _searched(what: str, sides: dict[str, Callable], repeats: int, goal: float) -> timing.Goal:
    seconds = fastest(sides, repeats)
    theirs = min((seconds[side] for side in (HEAP, COUNTERS) if side in seconds), default=None)
    limit = max((POPCOUNTS, READ), key=seconds.get)
    reason = "what a hit costs: its distance is taken again, and it is sorted"
    return timing.Goal(what, FAISS, seconds[OURS], theirs, goal, limit, seconds[limit], reason=reason)


def ranking(args: Args) -> timing.Goal:
    """MAP against the popcounts of all pairs."""
    queries, items = args.ranked
    query, query_labels = class_codes(queries, 64, seed=0)
    database, database_labels = class_codes(items, 64, seed=1)
    arrays = query, database, query_labels, database_labels
    words, stored = hamming.pack(query), np.ascontiguousarray(hamming.pack(database).T)
    sides = {
        OURS: lambda: metrics.mean_average_precision(*arrays),
        SETUP: lambda: hamming.Pairs(*arrays),
        POPCOUNTS: lambda: popcounts(words, stored),
    }
    seconds = fastest(sides, args.repeats)
    times = (seconds[OURS] - seconds[SETUP]) / seconds[POPCOUNTS]
    reason = (
        f"{100 * seconds[SETUP] / seconds[OURS]:.0f}% of it checks, packs and sorts codes and labels; counting and "
        f"scoring alone take {times:.1f} times the popcounts"
    )
    what = f"mAP, {queries:,} x {items:,} x 64 bits"
    return timing.Goal(
        what, POPCOUNTS, seconds[OURS], seconds[POPCOUNTS], 3.0, POPCOUNTS, seconds[POPCOUNTS], reason=reason
    )


def small_balls(args: Args) -> list[timing.Goal]:
    """Codes that multi-index hashing reads, beside all of them, and its time beside that of a scan."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 1 << 64, (1, args.many), np.uint64)
    near = hamming.unpack_bytes(words[0, : args.queries].copy().view(np.uint8).reshape(-1, 8), 64)
    near[:, : args.radius] ^= 1  # each query has one code at the radius itself at least
    packed = hamming.Packed(words, 64)
    start = time.process_time()
    tables = hamming.MultiIndex.of(packed)
    print(f"tables of {args.many:,} codes: {time.process_time() - start:.2f} s")
    size = f"within {args.radius} of {args.many:,} x 64 bits"
    read = float(tables.codes_read(near, args.radius).mean())
    sides = {
        TABLES: lambda: tables.within_radius(near, args.radius),
        OURS: lambda: hamming.within_radius(near, packed, args.radius),
    }
    seconds = fastest(sides, args.repeats)
    found = tables.within_radius(near, args.radius), hamming.within_radius(near, packed, args.radius)
    np.testing.assert_array_equal(*(each.indices for each in found))
    learned, of = learned_codes(args.quick)
    share = float(hamming.MultiIndex.of(of).codes_read(learned, args.radius).mean())
    scan, place = "a scan of all codes", "memory: each code that is read lies elsewhere"
    gathered, few = "classes gather codes in few buckets", "so few codes are sooner read one after the other"
    uniform = f"{size}, uniform"
    of_learned = f"within {args.radius} of {len(of):,} x 64 bits, learned (ITQ)"
    return [
        timing.Goal(f"codes read a query, {uniform}", scan, read, args.many, 1 / 20, place, None, "codes"),
        timing.Goal(
            f"{args.queries:,} queries, {uniform}", scan, seconds[TABLES], seconds[OURS], 1, place, None, reason=few
        ),
        timing.Goal(f"codes read a query, {of_learned}", scan, share, len(of), 1 / 20, place, None, "codes", gathered),
    ]


def learned_codes(quick: bool) -> tuple[np.ndarray, np.ndarray]:
    """Codes of 64 bits of queries and database, by ITQ of the pixels of the clothing pictures."""
    splits = datasets.load("fashion-mini")
    parts = [splits.train.images, splits.query.images, splits.database.images]
    train, query, database = (
        part[: 300 if quick else None].reshape(len(part[: 300 if quick else None]), -1) for part in parts
    )
    labels = splits.train.labels[: len(train)]
    fitted = baselines.fit("itq", train.astype(np.float32), labels, 64, seed=0)
    return fitted.encode(query.astype(np.float32)), fitted.encode(database.astype(np.float32))


def fastest(sides: dict[str, Callable], repeats: int) -> dict[str, float]:
    """Processor seconds of each side: the least of its rounds."""
    times, _ = timing.take_turns(sides, repeats, clock=time.process_time)
    return {name: each["fastest"] for name, each in times.items()}


@threads.limited(1, "pools", "torch")
def goals(args: Args) -> list[timing.Goal]:
    """All of them, on one thread."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        found = [each for n, k in zip(args.items, args.lengths, strict=True) for each in searches(args, n, k)]
        return [*found, ranking(args), *small_balls(args)]
    finally:
        numba.set_num_threads(before)


def main(args: Args) -> None:
    """Measure, print the table, save rows and figure."""
    found = goals(args)
    for goal in found:
        print(goal.said)
    rows = [asdict(goal) for goal in found]
    timing.save("search", args, rows, [goal.ratio for goal in found if goal.theirs is not None], found)
    table = pd.DataFrame(rows)
    curves = {}
    for name in ("nearest 10", "all within"):
        lines = table[table.what.str.startswith(name)]
        per_pair = [1e9 / args.queries / n for n in args.items]
        curves[name] = (list(args.lengths), (lines.ours * per_pair).tolist())
        if lines.theirs.notna().all():
            curves[f"{name}, faiss"] = (list(args.lengths), (lines.theirs * per_pair).tolist())
    timing.figure("bench_search", curves, "bits of a code", "nanoseconds a pair")


if __name__ == "__main__":
    timing.run(main, Args)
