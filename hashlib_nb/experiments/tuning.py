"""What should a method's settings be? The same number of trials for every method that has any, by Optuna.

A trial is one choice of settings, worth `area` on average over the tuning pools and the method's seeds: how high the
best reward so far stands, and how early. The method's defaults are the first trial; a multivariate tree-structured
Parzen estimator chooses the others (Bergstra et al. 2011; Falkner, Klein and Hutter 2018), and a trial ends early where
a Wilcoxon signed-rank test, search by search, says that it is worse than the best. What comes of it is measured on
other pools, which no trial has seen, beside the defaults.

    python -m hashlib_nb tuning --methods cem annealing --budget 300        # see --help

Trials lie in a journal, from which a killed run goes on to the trials that it would have come to; optuna-dashboard, a
package of its own, shows that file. The number of workers changes nothing but the time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks, datasets, plots
from hashlib_nb.candidates import Candidates
from hashlib_nb.encoder import Settings
from hashlib_nb.experiments import plan, pools
from hashlib_nb.experiments.duels import interval
from hashlib_nb.experiments.provenance import made_by
from hashlib_nb.experiments.result_tables import markdown_table
from hashlib_nb.scale import Where, in_workers, pool
from hashlib_nb.selection import MOST, Reward, Search, random_masks
from hashlib_nb.selectors import METHODS

if TYPE_CHECKING:
    import optuna
from hashlib_nb.experiments.studies import (
    IS_JOURNAL,
    SPACES,
    Range,
    default_settings,
    distributions,
    finished,
    importances,
    library,
    storage,
    study_of,
    trial_row,
)

CHANCE_SUBSETS = 1000
"""Random subsets whose mean reward is 0 on the scale of `area`."""
TIMED_CALLS = 64
"""Calls of the searches that `--plan` times."""
MEASURES = ("area", "reward", "test_map")
"""What is measured of a search: see `area`; the best reward, and how its bits retrieve the test pictures."""


@dataclass(frozen=True)
class Args(Where):
    """Tune the settings of every method that has some, on pools apart from those that judge them.

    A killed run goes on from its journal. Look into that with a package of its own: optuna-dashboard FILE.
    """

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    pool: str = pools.DECIDED
    """where the bits come from, a pool of hashlib-nb comparison"""
    n_bits: int = 16
    """p, how many bits to keep"""
    budget: int = 1000
    """most reward calls (distinct subsets evaluated) a search"""
    methods: tuple[str, ...] = tuple(SPACES)
    """names in hashlib_nb.selectors that have settings to tune"""
    trials: int = 60
    """choices of settings that are tried of each method, its defaults among them"""
    tuning_pools: tuple[int, ...] = (10, 11, 12)
    """pool seeds, of target codes and encoders, on which settings are tried"""
    reporting_pools: tuple[int, ...] = tuple(range(10))
    """other pool seeds, on which the best settings are measured beside the defaults"""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """of the methods, on every pool"""
    seed: int = 0
    """of the choice of settings"""
    workers: int = 2
    """processes, each on one core; their number changes nothing but the time"""
    folds: int = 3
    """encoders for the out-of-fold codes, at least 2"""
    study: Path | None = None
    """journal of the trials, a file of Optuna's; by default under artifacts/, named after pool, bits and budget"""
    out: Path | None = None
    """JSON to write; by default runs/tuning.json. A file that is no such table is not replaced"""
    plan: bool = False
    """say what is missing and about how many hours that would take, and make nothing"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings()

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        checks.fields(self, checks.count, "budget", least=2, most=MOST)
        checks.fields(self, checks.count, "trials", most=checks.ROUNDS)
        super().__post_init__()
        checks.fields(self, checks.count, "folds", least=2)
        checks.fields(self, checks.seed, "seed")
        checks.fields(self, checks.seeds, "tuning_pools", "reporting_pools", "seeds")
        if self.pool not in pools.NAMES:
            raise ValueError(f"pool is {checks.shown(self.pool)}; there are {', '.join(pools.NAMES)}")
        checks.fields(self, checks.count, "n_bits", most=pools.size(self.pool) - 1, why=f"pool {self.pool}")
        if not self.methods or len({*self.methods}) < len(self.methods):
            raise ValueError(f"methods is {list(self.methods)}; give different ones of {', '.join(SPACES)}")
        for name in self.methods:
            if name not in SPACES:
                raise ValueError(f"methods has {checks.shown(name)}; there are settings to tune of {', '.join(SPACES)}")
        if both := {*self.tuning_pools} & {*self.reporting_pools}:
            raise ValueError(f"reporting_pools has {min(both)}, a pool that settings are tried on; give others")

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        return self.out or artifacts.project_root() / "runs" / "tuning.json"

    @property
    def folder(self) -> Path:
        """Where the scales of pools lie, and by default the journal."""
        return pools.folder("tuning", **self.of_pool(0))

    @property
    def journal(self) -> Path:
        """The file of the trials."""
        return self.study or self.folder / f"{self.pool}-p{self.n_bits}-b{self.budget}.journal"

    @property
    def pool_seeds(self) -> tuple[int, ...]:
        """Of all pools, those for tuning first."""
        return self.tuning_pools + self.reporting_pools

    def of_pool(self, seed: int) -> dict[str, Any]:
        """What `pools.load` and `pools.setups` take."""
        settings = {"dataset": self.dataset, "root": self.root, "seed": seed}
        return settings | {"folds": self.folds, "settings": self.settings}


# --- what a trial is worth ---


def area(calls: Sequence[int], best: Sequence[float], budget: int, chance: float, top: float) -> float:
    """Area under the best reward so far against the logarithm of the calls up to the budget, on a scale of the pool.

    1 / ln(budget) times the integral over ln(c) from c = 1 to the budget of (best reward at c - chance) /
    (top - chance). Before the first subset of p bits, the best is what one random subset has on average: 0.

    Args:
        calls: [t], ascending, of each improvement, as in `Selection.history`.
        best: [t], the best reward from there on.
        budget: most calls, at least 2. A search that ends before it keeps its best.
        chance: mean reward of a random subset, which is 0 on the scale.
        top: a reward that is 1 on the scale; better ones count as more.

    Raises:
        ValueError: `top` is not above `chance`.
    """
    if not top > chance:
        raise ValueError(f"top is {top}, which is not above the mean of random subsets, {chance}: nothing to choose")
    edges = np.log(np.clip([*calls, budget], 1, budget))
    return float(np.diff(edges) @ ((np.asarray(best) - chance) / (top - chance)) / math.log(budget))


@dataclass(frozen=True, eq=False)
class Scaled:
    """A pool of candidates with the rewards that are 0 and 1 on its scale."""

    pool: Candidates
    """The candidates."""
    seed: int
    """Of the pool."""
    chance: float
    """Mean reward of `CHANCE_SUBSETS` random subsets."""
    top: float
    """Reward of greedy + swap, run to its end."""

    @property
    def about(self) -> dict[str, Any]:
        """What a table says of it."""
        return {"seed": self.seed, "candidates": self.pool.k, "chance": self.chance, "top": self.top}


def scaled(pool: Candidates, seed: int, n_bits: int, folder: Path) -> Scaled:
    """The pool with its scale, from `folder` where it was measured on the same codes."""

    def measure() -> dict[str, float]:
        reward = pool.reward()
        drawn = reward(random_masks(pool.k, n_bits, CHANCE_SUBSETS))
        return {"chance": drawn.mean(), "top": Search(reward, n_bits).run(METHODS["swap"].find, 0, "swap").reward}

    path, args = folder / f"{pool.name}-s{seed}-p{n_bits}.npz", {"data": pool.digest(), "n_bits": n_bits}
    found = artifacts.load_or_make(path, args, measure, made_by="hashlib_nb.experiments.tuning")
    return Scaled(pool, seed, float(found["chance"]), float(found["top"]))


def measured(
    on: Scaled, method: str, settings: Mapping[str, Any], n_bits: int, seed: int, budget: int
) -> dict[str, float]:
    """`MEASURES` of one search with these settings."""
    found = Search(on.pool.reward(), n_bits, budget).run(METHODS[method].with_settings(settings), seed, method)
    worth = area(found.history["calls"], found.history["best"], budget, on.chance, on.top)
    return {"area": worth, "reward": found.reward, "test_map": on.pool.test_map(on.pool.named(found).bits)}


# --- trials ---


def about_study(args: Args, method: str) -> dict[str, Any]:
    """What trials depend on beside the candidates' codes, JSON-able; studies with other such settings are not mixed."""
    names = ("dataset", "pool", "n_bits", "budget", "tuning_pools", "seeds", "seed", "folds")
    about = {name: getattr(args, name) for name in names} | {"default": default_settings(method, args.budget)}
    about["encoder"] = args.settings.resolved(echo=lambda _: None).words()
    about["space"] = {
        name: asdict(values) if isinstance(values, Range) else values for name, values in SPACES[method].items()
    }
    return json.loads(json.dumps(about))


def tune(
    study: optuna.Study,
    method: str,
    trials: int,
    searches: Sequence[tuple[Scaled, int]],
    submit: Callable[..., Future],
    *,
    n_bits: int,
    budget: int,
    seed: int = 0,
    each: Callable[[], None] = lambda: None,
) -> None:
    """Add trials to a study until it has so many that are finished.

    What the next trial tries follows from `seed` and from the trials that are finished alone, whoever made them.

    Args:
        study: as `study_of` gives it.
        method: a name in `SPACES`.
        trials: how many there shall be, the defaults among them.
        searches: pool and method's seed of each search that a trial consists of.
        submit: `Executor.submit`, or that of a `scale.Pool`.
        n_bits: p.
        budget: most calls of each search.
        seed: of the settings that are tried, and of the order of the searches.
        each: called after each trial.

    Raises:
        ValueError: the method refuses its default settings.
    """
    optuna = library()
    states, space, defaults = optuna.trial.TrialState, distributions(SPACES[method]), default_settings(method, budget)
    while (number := len(finished(study))) < trials:
        words = np.random.SeedSequence((seed, number)).generate_state(2)
        study.sampler = optuna.samplers.TPESampler(multivariate=True, seed=int(words[0]))
        if number == 0 and not study.get_trials(states=(states.WAITING,)):
            study.enqueue_trial(defaults)
        trial = study.ask(space)
        order = np.random.default_rng(words[1]).permutation(len(searches))
        jobs = [(searches[row][0], method, trial.params, n_bits, searches[row][1], budget) for row in order]
        futures = [submit(measured, *job) for job in jobs]
        try:
            study.tell(trial, run_trial(trial, order, futures))
        except ValueError as error:  # such as a learning rate at which PPO diverges
            if number == 0:
                raise
            trial.set_user_attr("refused", str(error))
            study.tell(trial, state=states.FAIL)
        finally:
            for future in futures:
                future.cancel()
        each()


def run_trial(trial: optuna.Trial, order: Sequence[int], futures: Sequence[Future]) -> float:
    """Mean area of a trial's searches; of those so far where the pruner ends it, which it is marked with.

    Args:
        trial: a running one.
        order: number of each search, by which trials are compared pair by pair.
        futures: of what `measured` returns, one each; looked at in turn, whichever ends first.
    """
    areas: list[float] = []
    for row, future in zip(order, futures, strict=True):
        areas.append(future.result()["area"])
        trial.report(areas[-1], int(row))
        if len(areas) < len(futures) and trial.should_prune():
            trial.set_user_attr("pruned", True)
            break
    return float(np.mean(areas))


# --- what came of it ---


def reported(
    study: optuna.Study,
    trial: optuna.trial.FrozenTrial,
    on: Sequence[Scaled],
    args: Args,
    submit: Callable[..., Future],
) -> np.ndarray:
    """`MEASURES` of a trial's settings on the reporting pools, float64 [pools, seeds, measures]; kept in the study."""
    name = f"reported {trial.number}"
    about = [[each.pool.digest() for each in on], [*args.seeds]]
    kept = study.user_attrs.get(name, {})
    if kept.get("about") != about:
        jobs = [(each, study.study_name, trial.params, args.n_bits, seed, args.budget)
                for each in on for seed in args.seeds]  # fmt: skip
        futures = [submit(measured, *job) for job in jobs]
        found = [[future.result()[measure] for measure in MEASURES] for future in futures]
        kept = {"about": about, "found": found}
        study.set_user_attr(name, kept)
    return np.reshape(kept["found"], (len(on), len(args.seeds), len(MEASURES)))


def result(study: optuna.Study, on: Sequence[Scaled], args: Args, submit: Callable[..., Future]) -> dict[str, Any]:
    """What a table says of a method: defaults, best settings, their difference on other pools, importances, trials."""
    default, best = finished(study)[0], study.best_trial
    sides = {"default": default, "best": best}
    found = {name: reported(study, trial, on, args, submit) for name, trial in sides.items()}
    about: dict[str, Any] = {
        name: {"trial": trial.number, "settings": trial.params, "value": trial.value}
        | {"reported": dict(zip(MEASURES, found[name].mean(axis=(0, 1)).tolist(), strict=True))}
        for name, trial in sides.items()
    }
    about["difference"] = {}
    for measure, by_pool in zip(MEASURES, (found["best"] - found["default"]).mean(axis=1).T, strict=True):
        mean, low, high, verdict = interval(by_pool)
        ends = {name: float(end) if math.isfinite(end) else None for name, end in (("low", low), ("high", high))}
        about["difference"][measure] = {"mean": float(mean), **ends, "verdict": verdict, "by_pool": by_pool.tolist()}
    return about | {"importances": importances(study), "trials": [*map(trial_row, finished(study))]}


def markdown(record: Mapping[str, Any]) -> list[str]:
    """A record as lines of markdown: what was gained, and for each method the settings beside its defaults."""
    columns = ("method", "trials", "pruned", "tuning: default", "best", "reporting: default", "best", "difference")
    columns += ("test mAP",)
    lines = []
    for name, found in record["methods"].items():
        pruned = sum(trial["pruned"] for trial in found["trials"])
        values = [found[side]["value"] for side in ("default", "best")]
        values += [found[side]["reported"]["area"] for side in ("default", "best")]
        gains = [_signed(found["difference"][measure]) for measure in ("area", "test_map")]
        cells = (METHODS[name].title, len(found["trials"]), pruned, *(f"{value:.4f}" for value in values), *gains)
        lines.append([*map(str, cells)])
    said = markdown_table(columns, lines)
    for name, found in record["methods"].items():
        default, best, shares = found["default"]["settings"], found["best"]["settings"], found["importances"]
        rows = [(each, _short(default[each]), _short(best[each]), f"{shares.get(each, math.nan):.2f}")
                for each in shares or default]  # fmt: skip
        said += [
            "",
            f"*{METHODS[name].title}*",
            "",
            *markdown_table(("setting", "default", "best", "importance"), rows),
        ]
    return said


def _signed(difference: Mapping[str, Any]) -> str:
    if difference["low"] is None:
        return f"{difference['mean']:+.4f}"
    return f"{difference['mean']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}]"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def draw(record: Mapping[str, Any]) -> list[str]:
    """Draw the importances of all methods, and each method's trials; returns the names of the figures."""
    shares = {METHODS[name].title: found["importances"] for name, found in record["methods"].items()}
    figures = {}
    if all(shares.values()):
        figures["tuning_importances"] = plots.importances(shares)
    for name, found in record["methods"].items():
        complete = [trial for trial in found["trials"] if trial["value"] is not None]
        values = {each: np.array([trial["settings"][each] for trial in complete]) for each in SPACES[name]}
        logs = [each for each, span in SPACES[name].items() if isinstance(span, Range) and span.log]
        whole = ~np.array([trial["pruned"] for trial in complete])
        worth = np.array([trial["value"] for trial in complete])
        figures[f"tuning_{name}"] = plots.slices(values, worth, whole, logs=logs, default=found["default"]["settings"])
    for name, figure in figures.items():
        plots.save_fig(figure, name)
    return [*figures]


def make_pools(args: Args) -> list[Scaled]:
    """All pools with their scales, those for tuning first."""
    found = [replace(pools.load(args.pool, **args.of_pool(seed)), name=args.pool) for seed in args.pool_seeds]
    jobs = [(pool, seed, args.n_bits, args.folder) for pool, seed in zip(found, args.pool_seeds, strict=True)]
    made = {each.seed: each for each in in_workers(scaled, jobs, args)}
    return [made[seed] for seed in args.pool_seeds]


def check_journal(args: Args) -> None:
    """Raise ValueError where trials cannot be kept in the journal that `args` name, before pools take their minutes."""
    artifacts.check_writable(args.journal, IS_JOURNAL)
    if args.journal.exists():
        with storage(args.journal) as journal:
            for method in args.methods:
                study_of(journal, args.journal, method, about_study(args, method))


def run(args: Args) -> dict[str, Any]:
    """Tune every method, then measure defaults and best settings on the reporting pools; what is done is kept."""
    check_journal(args)
    every = make_pools(args)
    tuning, reporting = every[: len(args.tuning_pools)], every[len(args.tuning_pools) :]
    data = {"data": [each.pool.digest() for each in tuning]}
    searches = [(pool, seed) for pool in tuning for seed in args.seeds]
    found, bar = {}, tqdm(total=args.trials * len(args.methods), unit="trial")
    with storage(args.journal) as journal, pool(args) as executor, bar:
        for method in args.methods:
            study = study_of(journal, args.journal, method, about_study(args, method) | data)
            bar.set_description(method)
            bar.update(min(args.trials, len(finished(study))))
            about = {"n_bits": args.n_bits, "budget": args.budget, "seed": args.seed, "each": bar.update}
            tune(study, method, args.trials, searches, executor.submit, **about)
            found[method] = result(study, reporting, args, executor.submit)
    sides = {"tuning": [each.about for each in tuning], "reporting": [each.about for each in reporting]}
    return {"pools": sides, "methods": found}


def plan_of(args: Args) -> plan.Plan:
    """The encoders of the pools that are missing; of trials, how many there are and about how long they take."""
    setups = [setup for seed in args.pool_seeds for setup in pools.setups(args.pool, **args.of_pool(seed))]
    labels = datasets.load(args.dataset, root=args.root).train.labels
    trials, reports = len(args.tuning_pools) * len(args.seeds), 2 * len(args.reporting_pools) * len(args.seeds)
    words, total = [], 0.0
    for method in args.methods:
        hours = search_seconds(method, args, labels) * (args.trials * trials + reports) / 3600
        total += hours
        words.append(
            f"  {method}: {args.trials} trials of {trials} searches, and {reports} on other pools: {hours:.2g}"
        )
    about = f"searches: about {total:.2g} CPU hours at most, less what lies in {artifacts.shown(args.journal)}"
    return replace(plan.of_setups(setups), besides=(f"{about}, and where trials end early:", *words))


def search_seconds(method: str, args: Args, labels: np.ndarray) -> float:
    """About how long a search with the method's defaults takes, from a short one on codes drawn at random."""
    rng, k = np.random.default_rng(0), pools.size(args.pool)
    codes, queries = rng.integers(0, 2, (2, len(labels), k), np.uint8)
    reward = Reward(codes, labels, query_codes=queries if args.pool == pools.DECIDED else None)
    for calls in (2, min(args.budget, TIMED_CALLS)):  # the first loads and compiles what the method uses
        start = time.process_time()
        Search(reward, args.n_bits, calls).run(METHODS[method].find, 0, method)
    return (time.process_time() - start) * args.budget / calls


def make_record(args: Args, *, shown: Args | None = None) -> dict[str, Any]:
    """What `run` finds and what made it, written to `args.path`; the command is that of `shown`, else of `args`."""
    artifacts.check_writable(args.path, artifacts.replaces_json("methods", "command"))
    about = made_by("tuning", shown or args)
    about["versions"]["optuna"] = library().__version__
    record = about | run(args)
    with artifacts.locked(args.path):
        artifacts.save_json(args.path, record)
    return record


def main(args: Args) -> None:
    """Tune from the shell; every trial is kept as it is done."""
    library()
    if args.plan:
        plan.show(plan_of(args))
        return
    record = make_record(args)
    print("\n".join(markdown(record)))
    print(f"saved {artifacts.shown(args.path)}; figures: {', '.join(draw(record))}")


if __name__ == "__main__":
    artifacts.run(main, Args)
