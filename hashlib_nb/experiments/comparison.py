"""Does reinforcement learning earn its place? Every way to choose bits, on several pools, at several budgets.

A run is one method's search for p bits of one pool (pools.py) within a budget of reward calls (grid.py): what it paid
in calls and in seconds, what it found, and how that retrieves on the test pictures, which no method ever sees. Pools
are made from several seeds, and methods are compared pool by pool (duels.py) and at any price of a reward (prices.py).

**The rule.** At a budget, PPO *earns its place* on a pool if on the test pictures it is ahead of each of its `RIVALS`
at equal calls, in the mean over lengths, by a t test over pool seeds with Holm's correction at 5%; it *does not* if it
is behind any of them, and it is a *matter of taste* otherwise. The pool of decided thermometer bits is asked first.

    python -m hashlib_nb comparison --pools thermometer symmetric --pool-seeds 0 1 2 --budgets 300 1000    # see --help
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import tyro

from hashlib_nb import artifacts, checks
from hashlib_nb.candidates import Candidates
from hashlib_nb.encoder import Settings, Source
from hashlib_nb.experiments import duels, plan, pools
from hashlib_nb.experiments.duels import FREE
from hashlib_nb.experiments.grid import Cell, check_lengths, planned, run_grid
from hashlib_nb.experiments.provenance import made_by
from hashlib_nb.experiments.result_tables import markdown_table
from hashlib_nb.scale import Where
from hashlib_nb.selection import MOST, REWARD_CODES, random_masks
from hashlib_nb.selectors import METHODS

RIVALS = ("swap", "annealing", "cem", "stochastic_greedy", "untrained")
"""What PPO must beat to earn its place: searches that were there before it, and itself without learning."""
FINISHED = ("greedy", "swap")
"""Methods that also run without a budget, until they end by themselves."""
MOST_CALLS = {"surrogate": 1000}
"""Methods that run within budgets up to this one alone, since their own time grows with the cube of the calls."""
MAX_SUBSETS = 10_000
"""Most random subsets of a pool and length."""
POINTS = 24
"""Most points of a run's curve that are stored."""


def compared() -> tuple[str, ...]:
    """Names of the methods that are compared where nothing else is said."""
    return tuple(name for name, method in METHODS.items() if method.compared)


@dataclass(frozen=True)
class Args(Where):
    """Compare every way to choose bits on several pools and at several budgets; finished runs are kept."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    pools: tuple[str, ...] = pools.NAMES
    """where the bits come from"""
    pool_seeds: tuple[int, ...] = (0,)
    """of target codes, encoders and hyperplanes: each makes every pool anew, and methods are compared pool by pool"""
    methods: tuple[str, ...] = compared()
    """names in hashlib_nb.selectors; untrained is PPO without learning"""
    lengths: tuple[int, ...] = (8, 16, 32, 48)
    """each p, how many bits to keep"""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """of the methods; those without random numbers have the first alone"""
    budgets: tuple[int, ...] = (2000,)
    """most reward calls (distinct subsets evaluated) of a search, one search for each; greedy and greedy + swap also
    run until they end by themselves, and methods that ask for no reward once"""
    subsets: int = 200
    """random subsets of each pool and length: the level that a search begins at, and how reward and test go together"""
    workers: int = 2
    """processes, each on one core; their number changes nothing but the time"""
    folds: int = 3
    """encoders for the out-of-fold codes, at least 2"""
    codes: Source = "own"
    """reference takes the codes that come with the package, equal on every machine, for pools of 64 outputs and pool
    seeds 0 to 2; own fits encoders"""
    out: Path | None = None
    """JSON to write, also after each pool seed; by default runs/comparison.json"""
    plan: bool = False
    """say what is missing and about how long that would take, and make nothing"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings()

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        super().__post_init__()
        checks.fields(self, checks.count, "folds", least=2)
        checks.fields(self, checks.count, "subsets", least=2, most=MAX_SUBSETS)
        checks.fields(self, checks.counts, "lengths", distinct=True)
        checks.fields(self, checks.counts, "budgets", distinct=True, most=MOST)
        checks.fields(self, checks.seeds, "seeds", "pool_seeds")
        for name, known in {"pools": pools.NAMES, "methods": tuple(METHODS)}.items():
            values = getattr(self, name)
            if not values or not {*values} <= {*known}:
                raise ValueError(f"{name} is {list(values)}; give some of {', '.join(known)}")
        for name in self.pools:
            check_lengths(self.lengths, name, pools.size(name))
        pools.check_source(self.codes, self.pools, [_of_pools(self, seed) for seed in self.pool_seeds])

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        return self.out or artifacts.project_root() / "runs" / "comparison.json"

    def folder(self, pool_seed: int) -> Path:
        """Where the cells of a pool seed go."""
        return pools.folder("comparison", **_of_pools(self, pool_seed))

    def _methods(self, budget: int | None) -> tuple[str, ...]:
        """Those that run within a budget, or, of None, without one."""
        free = {name for name in self.methods if METHODS[name].calls == "none"}
        if budget is None:
            return tuple(name for name in self.methods if name in FINISHED or name in free)
        return tuple(name for name in self.methods if name not in free and budget <= MOST_CALLS.get(name, MOST))

    @property
    def grids(self) -> list[tuple[int | None, tuple[str, ...]]]:
        """Each budget (None for no limit) and the methods that run within it."""
        grids = [(budget, self._methods(budget)) for budget in (*self.budgets, None)]
        return [(budget, methods) for budget, methods in grids if methods]


def make_pools(args: Args, pool_seed: int) -> dict[str, Candidates]:
    """The pools of a seed by name."""
    return {name: pools.load(name, **_of_pools(args, pool_seed)) for name in args.pools}


def _of_pools(args: Args, pool_seed: int) -> dict:
    """What pools are made of."""
    settings = {"dataset": args.dataset, "root": args.root, "seed": pool_seed}
    return settings | {"folds": args.folds, "settings": args.settings, "source": args.codes}


def plan_of(args: Args) -> plan.Plan:
    """The encoders of the pools; of searches, how many there are."""
    found = []
    for seed, name in itertools.product(args.pool_seeds, args.pools):
        found += pools.setups(name, **_of_pools(args, seed))
    sizes = [(budget, len(planned(methods, args.lengths, args.seeds))) for budget, methods in args.grids]
    each = len(args.pool_seeds) * len(args.pools)
    searches = ", ".join(f"{each * number:,} {_within(budget)}" for budget, number in sizes)
    besides = f"searches: {searches}, not counted; those that lie there are kept"
    return replace(plan.of_setups(found), besides=(besides,))


def _within(budget: float | None) -> str:
    return "to their end" if budget in (None, FREE) else f"within {budget:,.0f} calls"


def run_pools(args: Args, pool_seed: int, among: Mapping[str, Candidates]) -> dict[int | None, list[Cell]]:
    """Every cell that `args` ask for on the pools of a seed, by its budget (None: no limit)."""
    what = {name: getattr(args, name) for name in ("lengths", "seeds")} | {"workers": args}
    what |= {"folder": args.folder(pool_seed), "about": made_by("comparison", args)}
    return {
        budget: run_grid([*among.values()], methods=methods, budget=budget, **what) for budget, methods in args.grids
    }


def run_rows(cells: Mapping[int | None, Sequence[Cell]], pool_seed: int) -> list[dict[str, Any]]:
    """A row a cell: pool, its seed, method, budget (None: no limit), bits, seed, reward, test, calls, seconds, curve.

    `history` is the cell's own, of at most `POINTS` points, with rewards to five decimals.
    """
    rows = []
    for budget, of in cells.items():
        for cell in of:
            row = {"pool": cell.pool, "pool_seed": pool_seed, "method": cell.method, "budget": budget}
            row |= {"bits": cell.n_bits, "seed": cell.seed, "reward": round(cell.reward, 6)}
            row |= {"test": round(cell.test_map, 6), "calls": cell.calls, "seconds": _short(cell.seconds)}
            rows.append(row | {"history": _thinned(cell.history)})
    return rows


def _thinned(history: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """A curve at no more than `POINTS` of its points, even on a logarithmic scale of calls, first and last included."""
    calls = np.array(history["calls"])
    wanted = np.geomspace(max(calls[0], 1), max(calls[-1], 1), POINTS)
    kept = np.unique([0, *(np.searchsorted(calls, np.ceil(wanted), side="right") - 1).clip(0), len(calls) - 1])
    return {
        "calls": calls[kept].tolist(),
        "seconds": [_short(history["seconds"][place]) for place in kept],
        "best": [round(history["best"][place], 5) for place in kept],
    }


def _short(seconds: float) -> float:
    return float(f"{seconds:.3g}")


def pool_rows(pool: Candidates, pool_seed: int, lengths: Sequence[int], subsets: int) -> list[dict[str, Any]]:
    """What a pool offers before a search, a row a length: of random subsets the mean reward and test, and their ranks.

    Returns:
        Rows of pool, pool_seed, bits, k, `reward` and `test` (means over the subsets), `sd` (of their rewards), and for
        each kind of reward codes that the pool has, `rank_<kind>`: Spearman's correlation of reward and test.
    """
    rows = []
    kinds = [kind for kind in REWARD_CODES if kind != "views" and (pool.fold.any() or kind == "in_sample")]
    for bits in lengths:
        masks = random_masks(pool.k, bits, subsets, pool_seed)
        reward, test = pool.reward()(masks), pd.Series(pool.test_maps(masks))
        row = {"pool": pool.name, "pool_seed": pool_seed, "bits": bits, "k": pool.k}
        row |= {"reward": reward.mean(), "sd": reward.std(ddof=1), "test": test.mean()}
        for kind in kinds:
            paid = reward if kind == "crossfit" else pool.rewarded_by(kind).reward()(masks)
            row[f"rank_{kind}"] = pd.Series(paid).corr(test, method="spearman")
        rows.append({name: round(each, 6) if isinstance(each, float) else each for name, each in row.items()})
    return rows


def precisions(pool: Candidates, cells: Mapping[int | None, Sequence[Cell]]) -> Iterator[tuple[tuple, np.ndarray]]:
    """Average precision [q] of the query pictures by (pool, method, budget), means over lengths and seeds."""
    for budget, of in cells.items():
        for method in dict.fromkeys(cell.method for cell in of):
            mine = [pool.test_precisions(c.bits) for c in of if (c.pool, c.method) == (pool.name, method)]
            yield (pool.name, method, FREE if budget is None else budget), np.mean(mine, axis=0)


def make_record(args: Args, *, shown: Args | None = None) -> dict[str, Any]:
    """Every run of `args`, with what is missing made first, and what follows of them; written after each pool seed.

    Args:
        args: what is run.
        shown: whose command the record names; None for `args`.
    """
    artifacts.check_writable(args.path, artifacts.replaces_json("runs", "pools", "duels"))
    about = made_by("comparison", shown or args)
    record: dict[str, Any] = about | {"pools": [], "runs": [], "duels": [], "verdicts": {}}
    by_query: dict[tuple, list[np.ndarray]] = {}
    for pool_seed in args.pool_seeds:
        among = make_pools(args, pool_seed)
        cells = run_pools(args, pool_seed, among)
        record["runs"] += run_rows(cells, pool_seed)
        for pool in among.values():
            record["pools"] += pool_rows(pool, pool_seed, args.lengths, args.subsets)
            for key, each in precisions(pool, cells):
                by_query.setdefault(key, []).append(each)
        queries = {key: np.mean(each, axis=0) for key, each in by_query.items()}
        record |= judged(record["runs"], queries)
        artifacts.save_json(args.path, record)
    return record


def judged(rows: Sequence[Mapping[str, Any]], by_query: Mapping[tuple, np.ndarray] | None = None) -> dict[str, Any]:
    """What follows of runs: the `duels` of PPO and its rivals on reward and test, and the `verdicts` by pool."""
    runs = run_frame(rows)
    if "ppo" not in {*runs["method"]}:
        return {"duels": [], "verdicts": {}}
    tables = []
    for measure in ("test", "reward"):
        queries = by_query if measure == "test" else None
        table = duels.fought(runs, "ppo", (*RIVALS, *_others(runs)), measure=measure, by_query=queries)
        tables.append(table.assign(measure=measure))
    found = pd.concat(tables, ignore_index=True)
    verdicts = {pool: verdict(found, runs, pool) for pool in dict.fromkeys(runs["pool"])}
    plain = found.replace({FREE: None}).astype(object).where(found.notna() & (found != FREE), None)
    return {"duels": plain.to_dict("records"), "verdicts": verdicts}


def _others(runs: pd.DataFrame) -> list[str]:
    """Methods beside PPO's rivals that ask for rewards, in the order of `METHODS`."""
    there = {*runs["method"]} - {"ppo", *RIVALS}
    return [name for name, method in METHODS.items() if name in there and method.calls != "none"]


def run_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of a record as a table; a budget of None becomes `FREE`."""
    frame = pd.DataFrame(rows)
    return frame.assign(budget=frame["budget"].astype(float).fillna(FREE))


def duel_frame(record: Mapping[str, Any], measure: str = "test") -> pd.DataFrame:
    """The duels of a record on "test" or "reward"; a budget of None becomes `FREE`."""
    frame = pd.DataFrame(record["duels"])
    frame = frame[frame["measure"] == measure].drop(columns="measure").reset_index(drop=True)
    limits = {name: frame[name].astype(float).fillna(FREE) for name in ("budget", "rival_budget")}
    return frame.assign(**limits)


def verdict(found: pd.DataFrame, runs: pd.DataFrame, pool: str) -> str:
    """By the rule above, what is to be said of PPO on a pool: budgets, differences in points, and greedy's price."""
    mine = found[(found["pool"] == pool) & (found["measure"] == "test")]
    equal = mine[(mine["budget"] == mine["rival_budget"]) & mine["rival"].isin(RIVALS)]
    words: dict[str, list[str]] = {}
    for budget, lines in equal.groupby("budget"):
        says = "one pool, no verdict" if (lines["verdict"] == "one pool").all() else "a matter of taste"
        says = "earns its place" if (lines["verdict"] == "ahead").all() and {*lines["rival"]} == {*RIVALS} else says
        says = "does not earn its place" if (lines["verdict"] == "behind").any() else says
        words.setdefault(says, []).append(f"{budget:,.0f}")
    said = "; ".join(f"at {_and(budgets)} calls {says}" for says, budgets in words.items())
    parts = [f"PPO on {pool}: {said or 'met none of its rivals at equal calls'}."]
    most = mine["budget"].max()
    dear = mine[(mine["rival"] == "swap") & (mine["rival_budget"] == FREE) & (mine["budget"] == most)]
    for line in dear.itertuples():
        ppo, swap = (
            runs[(runs["pool"] == pool) & (runs["method"] == name) & (runs["budget"] == limit)]
            for name, limit in (("ppo", most), ("swap", FREE))
        )
        interval = f"{100 * line.low:+.2f} to {100 * line.high:+.2f}, {line.pools} pools"
        parts.append(
            f"After {most:,.0f} calls ({ppo['seconds'].median():.2g} s) it is {100 * line.mean:+.2f} points "
            f"({interval if line.pools > 1 else 'one pool'}) on the test against "
            f"{METHODS['swap'].title} to its end ({swap['calls'].median():,.0f} calls, {swap['seconds'].median():.2g} "
            f"s), {line.verdict}."
        )
    return " ".join(parts)


def _and(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + f" and {words[-1]}" if len(words) > 1 else words[0]


def table(runs: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Means over pool seeds and seeds of a measure: a line a method and budget, a column a pool and number of bits."""
    named = runs.assign(
        method=[METHODS[name].title for name in runs["method"]], calls_within=[_within(b) for b in runs["budget"]]
    )
    return named.pivot_table(measure, ["calls_within", "method"], ["pool", "bits"], sort=False)


def markdown(record: Mapping[str, Any]) -> list[str]:
    """A stored record as lines of markdown: the verdicts, and PPO minus each other method on the test pictures."""
    lines = [f"- {sentence}" for sentence in record["verdicts"].values()]
    found = duel_frame(record)
    budgets = sorted({*found["budget"]})
    for pool, mine in found.groupby("pool", sort=False):
        rows = []
        for (rival, free), of in mine.groupby(["rival", mine["rival_budget"] == FREE], sort=False):
            lines_of = of[["budget", "mean", "low", "high", "verdict"]].itertuples(index=False)
            cells = {budget: duels.in_points(*line) for budget, *line in lines_of}
            name = METHODS[rival].title + (", to its end" if free else "")
            rows.append([name, *(cells.get(budget, "") for budget in budgets)])
        columns = (f"{pool}: PPO minus", *(f"{budget:,.0f} calls" for budget in budgets))
        lines += ["", *markdown_table(columns, rows)]
    return lines


def main(args: Args) -> None:
    """Run the comparison from the shell and print its tables."""
    if args.plan:
        plan.show(plan_of(args))
        return
    record = make_record(args)
    runs = run_frame(record["runs"])
    for measure, title in {"reward": "Reward", "test": "mAP on the test pictures"}.items():
        print(f"\n{title}, mean of {len(args.pool_seeds)} pool seeds and {len(args.seeds)} seeds:\n")
        print(table(runs, measure).round(4).to_string())
    if record["duels"]:
        print("\nPPO minus its rivals on the test pictures, mean over lengths, 95% interval over pools, p by Holm:\n")
        print(duel_frame(record).round(4).to_string(index=False))
    for sentence in record["verdicts"].values():
        print(f"\n{sentence}")
    print(f"\nevery run: {artifacts.shown(args.path)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
