"""Mean average precision of a Hamming ranking: ours against sorting, torchmetrics, faiss and trec_eval.

All sides get the same codes and labels and have to return mAP over the whole database; packing, distances and relevance
are part of each one's time, since a user pays for them too. Each runs as its makers let it, on all cores it can use. In
the others' favor: labels are float32 where a matrix product is made of them, torchmetrics is called in its functional
form (its class first sorts all pairs by query), faiss counts distances instead of keeping a heap. pytrec_eval takes
dictionaries, and building them is part of its time; it runs where there are at most `PYTREC_PAIRS` pairs.

Only ours orders ties at their expectation: the others leave them as a sort, a counter or the names of items happen to.
The column "off_by" says what that is worth here, where the database is in random order, and "off_by_sorted", at the
smallest size, when the same database is sorted by class, as data sets often are. The last three rows rank nothing and
say what the machine can do: our histograms of codes that are packed already, the popcounts of all pairs, and one matrix
product of the same shape in float32.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit, prange

from benchmarks import timing
from benchmarks.data import class_codes
from hashlib_nb import hamming, metrics
from hashlib_nb.hamming.lanes import popcount

OURS, OURS_NUMPY, ARGSORT = "hashlib_nb", "hashlib_nb, numpy path", "argsort, as published"
RADIX, TORCHMETRICS, FAISS, PYTREC = "packed, radix sort", "torchmetrics", "faiss knn + AP", "pytrec_eval"
HISTOGRAMS, POPCOUNT, PRODUCT = "histograms alone", "popcounts alone", "matrix product alone"
PYTREC_PAIRS = 5_000_000  # about 1 GB of dictionaries
QUERIES_AT_ONCE = 50  # where memory grows with them; faiss' counters take 8 k n bytes a query


@dataclass(frozen=True)
class Args:
    """mAP of 1,000 queries against databases of growing size."""

    sizes: tuple[int, ...] = (5_000, 16_000, 54_000)
    """items in the database"""
    queries: int = 1_000
    """queries, the same number for every side"""
    bits: int = 64
    """length of the codes"""
    repeats: int = 5
    """rounds after the warm-up; the median counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, sizes=(50, 200), queries=20, repeats=1)


@dataclass(frozen=True, eq=False)
class Case:
    """One size: codes and labels of queries and database."""

    query: np.ndarray
    database: np.ndarray
    query_labels: np.ndarray
    database_labels: np.ndarray

    def arrays(self) -> tuple[np.ndarray, ...]:
        """In the order in which `hashlib_nb.metrics` takes them."""
        return self.query, self.database, self.query_labels, self.database_labels

    def sorted_by_class(self) -> Case:
        """The same items in another order."""
        order = np.argsort(self.database_labels.argmax(axis=1), kind="stable")
        return Case(self.query, self.database[order], self.query_labels, self.database_labels[order])

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Some queries at a time, and which items share a label with each of them, bool [b, n]."""
        query, database = (labels.astype(np.float32) for labels in (self.query_labels, self.database_labels))
        for start in range(0, len(query), QUERIES_AT_ONCE):
            rows = slice(start, start + QUERIES_AT_ONCE)
            yield rows, query[rows] @ database.T > 0

    def signs(self) -> tuple[np.ndarray, np.ndarray]:
        """The codes as -1 and +1, float32, as published code has them."""
        return tuple(2 * codes.astype(np.float32) - 1 for codes in (self.query, self.database))


def mean_over_rankings(case: Case, rank: Callable[[slice], np.ndarray]) -> float:
    """mAP of rankings: `rank(rows)` orders the whole database for each of some queries, int [b, n]."""
    scores = []
    for rows, relevant in case.blocks():
        for order, of_query in zip(rank(rows), relevant, strict=True):
            at = np.flatnonzero(of_query[order]) + 1
            scores.append(np.mean(np.arange(1, len(at) + 1) / at))
    return float(np.mean(scores))


def by_argsort(case: Case) -> float:
    """The published way: inner products of -1/+1 codes, then a plain sort."""
    k, (query, database) = case.query.shape[1], case.signs()
    return mean_over_rankings(case, lambda rows: np.argsort(0.5 * (k - query[rows] @ database.T), axis=1))


def by_radix_sort(case: Case) -> float:
    """The fastest sort we know in numpy: of distances in 16 bits, which its stable sort takes digit by digit."""
    return mean_over_rankings(
        case, lambda rows: np.argsort(hamming.distances(case.query[rows], case.database), axis=1, kind="stable")
    )


def by_faiss(case: Case) -> float:
    """The whole database as the neighbors of each query, by counting."""
    import faiss

    index = faiss.IndexBinaryFlat(case.query.shape[1])
    index.use_heap = False
    index.add(np.packbits(case.database, axis=1))
    query = np.packbits(case.query, axis=1)
    return mean_over_rankings(case, lambda rows: index.search(query[rows], index.ntotal)[1])


def by_torchmetrics(case: Case) -> float:
    """What RetrievalMAP calls for each query. Scores must be positive: k + 1 - distance."""
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    k, (query, database) = case.query.shape[1], map(torch.as_tensor, case.signs())
    scores = []
    for rows, relevant in case.blocks():
        closeness = 0.5 * (k + query[rows] @ database.T) + 1
        pairs = zip(closeness, torch.as_tensor(relevant), strict=True)
        scores += [retrieval_average_precision(*pair).item() for pair in pairs]
    return float(np.mean(scores))


def by_pytrec_eval(case: Case) -> float:
    """trec_eval's "map" from its dictionaries."""
    import pytrec_eval

    items = [str(item) for item in range(len(case.database))]
    relevance, run = {}, {}
    for rows, relevant in case.blocks():
        for distances, of_query in zip(hamming.distances(case.query[rows], case.database), relevant, strict=True):
            name = str(len(run))
            relevance[name] = {items[item]: 1 for item in np.flatnonzero(of_query)}
            run[name] = dict(zip(items, (-distances.astype(float)).tolist(), strict=True))
    found = pytrec_eval.RelevanceEvaluator(relevance, {"map"}).evaluate(run)
    return float(np.mean([scores["map"] for scores in found.values()]))


@contextmanager
def numpy_backend() -> Iterator[None]:
    """The package without its numba kernels."""
    before = os.environ.get("HASHLIB_NB_BACKEND", "auto")
    os.environ["HASHLIB_NB_BACKEND"] = "numpy"
    try:
        yield
    finally:
        os.environ["HASHLIB_NB_BACKEND"] = before


def by_numpy_path(case: Case) -> float:
    """Ours where numba is missing."""
    with numpy_backend():
        return metrics.mean_average_precision(*case.arrays())


@njit(cache=True, parallel=True)
def popcounts(query, database):  # pragma: no cover - compiled
    """Sum of all distances of packed codes [q, words] and [words, n]: nothing but the counting."""
    total = 0
    for i in prange(len(query)):
        for word in range(len(database)):
            code, items = query[i, word], database[word]
            for j in range(len(items)):
                total += popcount(code ^ items[j])
    return total


def sides(case: Case) -> dict[str, Callable[[], float | None]]:
    """What is timed; those that compute mAP return it."""
    found = {
        OURS: lambda: metrics.mean_average_precision(*case.arrays()),
        OURS_NUMPY: lambda: by_numpy_path(case),
        ARGSORT: lambda: by_argsort(case),
        RADIX: lambda: by_radix_sort(case),
    }
    if timing.installed("torchmetrics", "torchmetrics"):
        found[TORCHMETRICS] = lambda: by_torchmetrics(case)
    if timing.installed("faiss", "faiss-cpu") and case.query.shape[1] % 8 == 0:
        found[FAISS] = lambda: by_faiss(case)
    if timing.installed("pytrec_eval", "pytrec-eval-terrier") and len(case.query) * len(case.database) <= PYTREC_PAIRS:
        found[PYTREC] = lambda: by_pytrec_eval(case)
    return found


def limits(case: Case) -> dict[str, Callable[[], object]]:
    """What the machine can do without ranking anything."""
    pairs = hamming.Pairs(*case.arrays())
    query, database = hamming.pack(case.query), np.ascontiguousarray(hamming.pack(case.database).T)
    popcounts(query[:1], database[:, :1])  # compile
    signs, database_signs = case.signs()
    return {
        HISTOGRAMS: pairs.histograms,
        POPCOUNT: lambda: popcounts(query, database),
        PRODUCT: lambda: signs @ database_signs.T,
    }


def measure(args: Args, n: int) -> list[dict]:
    """The rows of one database size."""
    query, query_labels = class_codes(args.queries, args.bits, seed=0)
    database, database_labels = class_codes(n, args.bits, seed=1)
    case = Case(query, database, query_labels, database_labels)
    ranking = sides(case)
    by_class = {name: side() for name, side in sides(case.sorted_by_class()).items()} if n == min(args.sizes) else {}
    times, values = timing.take_turns(ranking | limits(case), args.repeats)
    rows = []
    for name, taken in times.items():
        row = {"side": name, "queries": args.queries, "database": n, "bits": args.bits, **taken}
        row["pairs_per_second"] = args.queries * n / taken["seconds"]
        if name in ranking:
            row |= {"map": values[name], "off_by": values[name] - values[OURS]}
        if name in by_class:
            row["off_by_sorted"] = by_class[name] - values[OURS]
        rows.append(row)
    return rows


def ratios(args: Args, rows: list[dict]) -> list[timing.Ratio]:
    """Ours beside each other side at the largest size at which it ran."""
    seconds = {(row["side"], row["database"]): row["seconds"] for row in rows}
    found = []
    for side in dict.fromkeys(row["side"] for row in rows if row["side"] not in (OURS, HISTOGRAMS, POPCOUNT)):
        n = max(database for name, database in seconds if name == side)
        what = f"mAP, {args.queries:,} x {n:,} x {args.bits} bits"
        found.append(timing.Ratio(what, side, seconds[OURS, n], seconds[side, n]))
    return found


def main(args: Args) -> None:
    """Measure every size, print the table, save rows and figure."""
    rows = [row for n in args.sizes for row in measure(args, n)]
    table = pd.DataFrame(rows)
    table["G pairs/s"] = table.pop("pairs_per_second") / 1e9
    print(table.drop(columns=["queries", "bits"]).to_string(index=False, float_format="%.4g", na_rep=""))
    timing.save("metrics", args, rows, ratios(args, rows))
    of = {side: table[table.side == side] for side in dict.fromkeys(table.side)}
    curves = {side: (lines.database, lines.seconds) for side, lines in of.items()}
    timing.figure("bench_metrics", curves, f"database items, for {args.queries:,} queries", "seconds")


if __name__ == "__main__":
    timing.run(main, Args)
