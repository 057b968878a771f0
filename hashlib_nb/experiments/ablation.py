"""What in the agent makes the difference? Variants of PPO, each one change from the default, at several budgets.

A cell is one variant's search for p bits of one pool (pools.py) within one budget, which the search is told before.
Each is a file of its own, written as it ends: a killed run goes on. Searches that are not PPO stand beside the
variants, so that the table says as well what it is ahead of.

    python -m hashlib_nb ablation --lengths 16 --budgets 100 300        # see --help
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
import tyro
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks, plots, ppo
from hashlib_nb.candidates import Candidates
from hashlib_nb.encoder import Settings, Source
from hashlib_nb.experiments import duels, plan, pools
from hashlib_nb.experiments.provenance import made_by
from hashlib_nb.experiments.result_tables import markdown_table
from hashlib_nb.scale import Where, in_workers
from hashlib_nb.selection import MOST, BudgetSpent, Reward, Search
from hashlib_nb.selectors import METHODS

TIMED = 64
"""Reward calls of the searches that a plan times."""


def reorder(
    agent: ppo.Agent,
    bits: torch.Tensor,
    masks: torch.Tensor,
    log_probs: torch.Tensor,
    generator: torch.Generator,
    *,
    exact: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same subsets in other orders, for `ppo.train(reorder=...)`: one proposal, uniform among the orders, for each.

    The reward is of the set S, so that the gradient of its expectation is E[R(S) grad log P(S)], with P(S) the sum of
    pi over S's orders o, and grad log P(S) the mean of grad log pi(o) over pi(o | S): the order that was taken is one
    draw of it. With `exact`, the proposal o' takes its place with probability min(1, pi(o') / pi(o)), a step of
    Metropolis and Hastings that leaves pi(o | S) as it is: the estimate stays unbiased, and each pass sees a new draw.
    Otherwise o' always does: all orders of a good subset are made likelier, which is biased towards orders that the
    policy would hardly take; "Black-box combinatorial optimization with order-invariant reinforcement learning" (arXiv
    2510.01824) draws orders at random as well. Kool et al. (arXiv 2002.06043) treat samples as sets instead.

    Args:
        agent: the policy that acted.
        bits: int [p, e], the bits that e episodes kept, in order.
        masks: bool [steps, e, k], the states before the last `steps` of them, whose order is drawn anew.
        log_probs: [steps, e], of these actions in these states.
        generator: of the draws.
        exact: see above.

    Returns:
        bits, masks and log_probs of the orders now taken.
    """
    steps, episodes, k = masks.shape
    order = torch.rand(steps, episodes, generator=generator, device=bits.device).argsort(dim=0)
    new_bits = torch.cat([bits[:-steps], bits[-steps:].gather(0, order)])
    chosen = torch.nn.functional.one_hot(new_bits, k)
    new_masks = (chosen.cumsum(dim=0) - chosen)[-steps:].bool()
    with torch.no_grad():
        log_p = agent.log_probabilities(new_masks, agent.prefix_sums(new_bits)[-steps:])
        new_log_probs = log_p.gather(-1, new_bits[-steps:, :, None]).squeeze(-1)
    if not exact:
        return new_bits, new_masks, new_log_probs
    uniform = torch.rand(episodes, generator=generator, device=bits.device)
    taken = uniform.log() < (new_log_probs - log_probs).sum(dim=0)
    return (
        torch.where(taken, new_bits, bits),
        torch.where(taken[:, None], new_masks, masks),
        torch.where(taken, new_log_probs, log_probs),
    )


def _ppo(search: Search, seed: int, *, orders: Literal["taken", "uniform", "exact"] = "taken", **changed) -> None:
    args = ppo.Args(n_bits=search.n_bits, budget=search.budget, seed=seed, progress=False, **changed)
    ppo.train(args, reward=search, reorder=None if orders == "taken" else partial(reorder, exact=orders == "exact"))


RIVALS = ("untrained", "stochastic_greedy", "annealing", "cem", "random_search")
"""Searches that are no PPO, or no learning, by their names in `selectors.METHODS`."""
DEFAULT = "default"
"""What the others are compared with."""
VARIANTS: dict[str, Callable[[Search, int], Any]] = {
    DEFAULT: _ppo,
    "random weights": partial(_ppo, informed=False),
    "critic": partial(_ppo, critic=True),
    "critic, raw rewards": partial(_ppo, critic=True, standardize=False),
    "no restarts": partial(_ppo, restarts=0.0),
    "restarts lack 8": partial(_ppo, dropped=8),
    "no memo": partial(_ppo, memo=False),
    "entropy on schedule": partial(_ppo, new_subsets=0.0),
    "no entropy": partial(_ppo, new_subsets=0.0, entropy_weight=0.0),
    "16 episodes": partial(_ppo, episodes=16),
    "4 episodes": partial(_ppo, episodes=4),
    "constant rate": partial(_ppo, anneal_lr=False),
    "other orders": partial(_ppo, orders="uniform"),
    "other orders, exact": partial(_ppo, orders="exact"),
    "16 episodes, 0.7 restarts lack 8": partial(_ppo, episodes=16, minibatches=2, restarts=0.7, dropped=8),
    **{METHODS[name].title: METHODS[name].find for name in RIVALS},
}
"""Each variant by the name that tables give it: a function of a search and a seed, as `selectors.METHODS` have."""


@dataclass(frozen=True)
class Cell:
    """What one variant found for p bits of a pool within a budget."""

    variant: str
    """A name in `VARIANTS`."""
    pool: str
    """Name of the pool."""
    pool_seed: int
    """What it was made from."""
    n_bits: int
    """p."""
    budget: int
    """Most reward calls."""
    seed: int
    """Of the variant's random numbers."""
    reward: float
    """Best reward within the budget."""
    test_map: float
    """mAP of the bits that have it, query pictures against the database."""
    calls: int
    """Distinct subsets that it evaluated."""
    seconds: float
    """CPU seconds that it took, on one core."""

    def __post_init__(self) -> None:
        """Raise ValueError for what no search leaves, since cells are read from files."""
        for name in ("n_bits", "budget", "calls"):
            checks.count(getattr(self, name), name)
        for name in ("reward", "test_map", "seconds"):
            checks.finite(getattr(self, name), name)
        for name in ("seed", "pool_seed"):
            checks.seed(getattr(self, name))


def run_cell(pool: Candidates, pool_seed: int, variant: str, n_bits: int, budget: int, seed: int) -> Cell:
    """Search, then measure what was found on the test pictures."""
    search = Search(pool.reward(), n_bits, budget)
    start = time.process_time()
    with suppress(BudgetSpent):  # the best that it asked for counts
        VARIANTS[variant](search, seed)
    seconds = time.process_time() - start
    test_map = pool.test_map(pool.searched[search.best_bits])
    about = (variant, pool.name, pool_seed, n_bits, budget, seed)
    return Cell(*about, search.best, test_map, search.calls, seconds)


def run(among: Mapping[int, Sequence[Candidates]], args: Args) -> list[Cell]:
    """Every cell that `args` ask for of the pools of each seed, from its folder where it was made of the same data."""
    wanted, found = [], {}
    for pool_seed, pool in ((seed, pool) for seed, of in among.items() for pool in of):
        data = f"{pool.digest()} {artifacts.digest(*pool.test_codes(pool.searched))}"
        for key in args.keys:
            words = re.sub(r"[^a-z0-9.-]+", "-", "-".join(map(str, (pool.name, *key))))
            path = args.folder(pool_seed) / f"{words}.json"
            made_of = artifacts.digest_of_text(f"{data} {settings_of(key[0])}")
            found[pool_seed, pool.name, key] = _stored(path, made_of)
            if found[pool_seed, pool.name, key] is None:
                wanted.append((path, made_of, pool, pool_seed, key))
    wanted.sort(key=lambda job: job[4][2])  # small budgets first, on every pool
    total = len(found)
    if len(wanted) < total:
        print(f"loaded {total - len(wanted)} of {total} cells")
    with tqdm(total=total, initial=total - len(wanted), desc="ablation", unit="cell", disable=not args.progress) as bar:
        about = made_by("ablation", args)
        jobs = [(path, made_of, about, pool, pool_seed, *key) for path, made_of, pool, pool_seed, key in wanted]
        for cell in in_workers(_make, jobs, args, start=_warm_up):
            found[cell.pool_seed, cell.pool, (cell.variant, cell.n_bits, cell.budget, cell.seed)] = cell
            bar.update()
    return [*found.values()]


def settings_of(variant: str) -> dict[str, Any]:
    """What a variant's result depends on beside the data: of PPO the settings, with every default as it is today."""
    find = VARIANTS[variant]
    if find is not _ppo and getattr(find, "func", None) is not _ppo:
        return {}
    changed = dict(getattr(find, "keywords", {}))
    return {"orders": changed.pop("orders", "taken"), **ppo.settings(ppo.Args(**changed))}


def _make(path: Path, made_of: str, about: dict, *cell) -> Cell:
    made = run_cell(*cell)
    artifacts.save_json(path, about | {"made_of": made_of, "cell": asdict(made)})
    return made


def _stored(path: Path, made_of: str) -> Cell | None:
    """The cell in a file; None where there is none of this data and these settings."""
    if not path.exists():
        return None
    try:
        record = artifacts.load_json(path)
        if record["made_of"] == made_of:
            return Cell(**record["cell"])
        reason = "was made of other data or by other settings"
    except (ValueError, TypeError, KeyError) as error:
        reason = f"cannot be used ({error})"
    print(f"{artifacts.shown(path)} {reason}; it is made anew")
    return None


def _warm_up() -> None:
    """Load and compile everything before a clock runs."""
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 2, (40, 8), dtype=np.uint8), rng.integers(0, 2, 40)
    for queries in (None, codes):
        _ppo(Search(Reward(codes, labels, query_codes=queries), 2), 0, total_episodes=16)


def frame(cells: Sequence[Cell]) -> pd.DataFrame:
    """One row a cell."""
    return pd.DataFrame([asdict(cell) for cell in cells])


def differences(cells: Sequence[Cell], measure: str = "reward") -> pd.DataFrame:
    """Each variant minus the default at each budget: mean over pool seeds and its t interval, a line for each.

    A pool seed is a block: cells of one pool, p, budget and seed are subtracted from each other, and averaged over all
    of a pool seed before the interval over these is taken.

    Returns:
        Columns variant, budget, pools, mean, low, high, verdict (as of `duels.interval`).

    Raises:
        ValueError: no cell of the default.
    """
    table = frame(cells).pivot_table(measure, ["budget", "pool_seed", "pool", "n_bits", "seed"], "variant", sort=False)
    if DEFAULT not in table:
        raise ValueError(f"cells has none of the variant {DEFAULT!r}: run it beside the others")
    by_pool = (
        table.sub(table[DEFAULT], axis=0).drop(columns=DEFAULT).groupby(["budget", "pool_seed"], sort=False).mean()
    )
    lines = []
    for variant in by_pool:
        for budget, of_pools in by_pool[variant].dropna().groupby("budget", sort=False):
            mean, low, high, verdict = duels.interval(of_pools)
            line = {"variant": variant, "budget": budget, "pools": len(of_pools), "mean": mean}
            lines.append(line | {"low": low, "high": high, "verdict": verdict})
    return pd.DataFrame(lines)


def table(cells: Sequence[Cell]) -> pd.DataFrame:
    """A line a variant: mean best reward at each budget, and of the largest one test mAP, seconds and the difference.

    The difference is that of rewards to the default's, with half the width of its 95% interval over pools.
    """
    rows = frame(cells)
    largest = rows[rows.budget == rows.budget.max()].groupby("variant", sort=False)
    shown = rows.pivot_table("reward", "variant", "budget", sort=False).sort_index(axis=1).add_prefix("at ")
    shown["test mAP"], shown["seconds"] = largest.test_map.mean(), largest.seconds.mean()
    against = differences(cells)
    against = against[against.budget == rows.budget.max()].set_index("variant")
    shown["difference"], shown["+-"] = against["mean"], (against["high"] - against["low"]) / 2
    return shown.loc[list(dict.fromkeys(rows.variant))]


def figure(cells: Sequence[Cell]) -> Figure:
    """Each variant's reward less the default's in points of mAP: a line a variant, a panel a budget, with intervals."""
    against = differences(cells)
    panels = {}
    for budget, lines in against.groupby("budget"):
        of_variant = lines.set_index("variant").reindex(against.variant.unique())
        panels[f"{budget:,} calls"] = 100 * of_variant[["mean", "low", "high"]].to_numpy()
    lines = list(against.variant.unique())
    return plots.differences(lines, panels, "reward less the default's (points)", ylabel="variant")


@dataclass(frozen=True)
class Args(Where):
    """Change the agent in one thing at a time, on several pools and budgets; finished cells are kept."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    pools: tuple[str, ...] = pools.GRADED
    """where the bits come from: names in hashlib_nb.experiments.pools"""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """what to run; the default is what the others are compared with"""
    lengths: tuple[int, ...] = (8, 16, 32)
    """each p, how many bits to keep"""
    budgets: tuple[int, ...] = (100, 300, 1000, 5000)
    """most reward calls (distinct subsets evaluated) of a search, which it is told beforehand: a search for each"""
    pool_seeds: tuple[int, ...] = (0, 1, 2)
    """of target codes and encoders: each is another pool"""
    seeds: tuple[int, ...] = (0,)
    """of the searches"""
    folds: int = 3
    """encoders for the out-of-fold codes, at least 2"""
    codes: Source = "own"
    """reference takes the codes that come with the package, equal on every machine, for pools of 64 outputs and pool
    seeds 0 to 2; own fits encoders"""
    workers: int = 2
    """processes, each on one core"""
    out: Path | None = None
    """where the cells and the differences go as JSON, and the figure beside it; by default runs/ablation.json"""
    progress: bool = True
    """show a bar"""
    plan: bool = False
    """say what is missing and about how long that would take, and make nothing"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings()
    keys: list[tuple] = field(init=False, repr=False, compare=False)
    """variant, p, budget and seed of every cell of a pool: derived"""

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        super().__post_init__()
        checks.fields(self, checks.count, "folds", least=2)
        checks.fields(self, checks.counts, "lengths", "budgets", distinct=True)
        checks.fields(self, checks.seeds, "seeds", "pool_seeds")
        known = {"pools": pools.NAMES, "variants": tuple(VARIANTS)}
        for name, among in known.items():
            values = getattr(self, name)
            if not values or not {*values} <= {*among} or len({*values}) < len(values):
                raise ValueError(f"{name} is {list(values)}; give some of {', '.join(among)}, each once")
        pools.check_source(self.codes, self.pools, [_of_pools(self, seed) for seed in self.pool_seeds])
        if DEFAULT not in self.variants:
            raise ValueError(f"variants has no {DEFAULT!r}, which the others are compared with: add it")
        for name in self.pools:
            if max(self.lengths) >= pools.size(name):
                raise ValueError(
                    f"lengths is {list(self.lengths)}; pool {name} has {pools.size(name)} bits: keep fewer"
                )
        if max(self.budgets) > MOST:
            raise ValueError(f"budgets has {max(self.budgets)}; give at most {MOST}")
        keys = [
            (variant, n_bits, budget, seed)
            for budget in self.budgets  # the cheap ones first
            for n_bits in self.lengths
            for seed in self.seeds
            for variant in self.variants
        ]
        vars(self).update(keys=keys)

    def folder(self, pool_seed: int) -> Path:
        """Where the cells of a pool seed go."""
        return pools.folder("ablation", **_of_pools(self, pool_seed))

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        return self.out or artifacts.project_root() / "runs" / "ablation.json"


def _of_pools(args: Args, seed: int) -> dict[str, Any]:
    settings = {"dataset": args.dataset, "root": args.root, "seed": seed}
    return settings | {"folds": args.folds, "settings": args.settings, "source": args.codes}


def make_pools(args: Args) -> dict[int, list[Candidates]]:
    """The pools of each seed."""
    return {seed: [pools.load(name, **_of_pools(args, seed)) for name in args.pools] for seed in args.pool_seeds}


def plan_of(args: Args) -> plan.Plan:
    """The encoders of the pools, and the cells with their hours: short searches are timed on random codes as wide."""
    setups = [
        setup
        for seed in args.pool_seeds
        for name in args.pools
        for setup in pools.setups(name, **_of_pools(args, seed))
    ]
    _warm_up()
    rng, seconds = np.random.default_rng(0), 0.0
    for name in args.pools:
        labels = rng.integers(0, 10, 1000)
        reward = Reward(rng.integers(0, 2, (1000, pools.size(name)), dtype=np.uint8), labels)
        for variant in args.variants:
            start = time.process_time()
            with suppress(BudgetSpent):
                VARIANTS[variant](Search(reward, min(args.lengths), TIMED), 0)
            took = (time.process_time() - start) / TIMED
            seconds += took * sum(args.budgets) * len(args.lengths) * len(args.seeds)
    blocks = len(args.pool_seeds)
    said = f"cells: {blocks * len(args.pools) * len(args.keys):,}, of which those that lie there are kept"
    hours = f"cells take about {blocks * seconds / 3600:.2g} CPU hours, all made, beside what follows"
    return replace(plan.of_setups(setups), besides=(said, hours))


def make_record(args: Args, *, shown: Args | None = None) -> dict[str, Any]:
    """Every cell of `args`, with what is missing made first, and the differences; written to `args.path`.

    Args:
        args: what is run.
        shown: whose command the record names; None for `args`.
    """
    artifacts.check_writable(args.path, artifacts.replaces_json("cells", "differences"))
    cells = run(make_pools(args), args)
    lines = differences(cells).to_dict("records")
    lines = [{name: None if value != value else value for name, value in line.items()} for line in lines]
    record = made_by("ablation", shown or args) | {"differences": lines, "cells": [asdict(cell) for cell in cells]}
    artifacts.save_json(args.path, record)
    return record


def markdown(record: Mapping[str, Any]) -> list[str]:
    """A stored record as lines of markdown: each variant's reward less the default's at each budget, in points."""
    found = pd.DataFrame(record["differences"])
    budgets = sorted({*found["budget"]})
    rows = []
    for variant, of in found.groupby("variant", sort=False):
        cells = {}
        for line in of.itertuples():
            cells[line.budget] = duels.in_points(line.mean, line.low, line.high, line.verdict)
        rows.append([variant, *(cells.get(budget, "") for budget in budgets)])
    return markdown_table(("variant", *(f"{budget:,} calls" for budget in budgets)), rows)


def main(args: Args) -> None:
    """Run the ablation from the shell and print its table."""
    if args.plan:
        plan.show(plan_of(args))
        return
    record = make_record(args)
    cells = [Cell(**cell) for cell in record["cells"]]
    print(f"\nBest reward at each budget, mean over pools, p and seeds; the rest at {max(args.budgets):,} calls:\n")
    print(table(cells).round(4).to_string())
    print("\nReward less the default's, paired by pool, 95% interval over pools:\n")
    print(differences(cells).round(4).to_string(index=False))
    drawing = args.path.with_suffix(".png")
    if len(args.variants) > 1:
        plots.save_png(figure(cells), drawing)
    print(f"\nsaved {artifacts.shown(args.path)}{f' and {drawing.name}' if len(args.variants) > 1 else ''}")


if __name__ == "__main__":
    artifacts.run(main, Args)
