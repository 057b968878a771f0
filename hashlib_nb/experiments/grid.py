"""One search for p bits of a pool of candidates, a cell: what it paid, what it found, and how that retrieves.

Cells are saved as they finish, one JSON file a pool and budget, so that a killed run goes on where it was.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks
from hashlib_nb.candidates import Candidates
from hashlib_nb.scale import Where, in_workers
from hashlib_nb.selection import Search, check_budget
from hashlib_nb.selectors import METHODS

CURVES = ("calls", "seconds", "best")
"""What a cell's history holds."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One method's search for p bits of a pool."""

    pool: str
    """Name of the pool."""
    method: str
    """A name in `selectors.METHODS`."""
    n_bits: int
    """p."""
    seed: int
    """Of the method's random numbers."""
    bits: list[int]
    """The p bits."""
    reward: float
    """Their mAP on the codes that the method was given."""
    test_map: float
    """Their mAP, query against database."""
    calls: int
    """Distinct subsets that the method evaluated."""
    seconds: float
    """CPU seconds that it took, on one core."""
    history: dict[str, list[float]]
    """`calls`, `seconds` and `best` reward so far, each time the best improved."""

    def __post_init__(self) -> None:
        """Raise ValueError for what no search leaves, since cells are read from files."""
        if self.method not in METHODS:
            raise ValueError(f"method is {checks.shown(self.method)}; there are {', '.join(METHODS)}")
        checks.seed(self.seed)
        bits = checks.counts(self.bits, "bits", least=0, distinct=True)
        if len(bits) != checks.count(self.n_bits, "n_bits"):
            raise ValueError(f"bits are {len(bits)}, but n_bits is {self.n_bits}")
        checks.count(self.calls, "calls", least=0)
        for name in ("reward", "test_map", "seconds"):
            checks.finite(getattr(self, name), name)
        curves = [self.history.get(name) for name in CURVES] if isinstance(self.history, dict) else []
        if not curves or not all(isinstance(curve, list) and len(curve) == len(curves[0]) > 0 for curve in curves):
            raise ValueError(f"history must have {', '.join(CURVES)}, lists of one length")
        for name, curve in zip(CURVES, curves, strict=True):
            for value in curve:
                checks.finite(value, name)

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from the other cells of its pool."""
        return self.method, self.n_bits, self.seed

    def best_at(self, amount: float, of: str = "calls") -> float:
        """Best reward within `amount` calls (or "seconds"); NaN before the first subset."""
        place = np.searchsorted(self.history[of], amount, side="right")
        return self.history["best"][place - 1] if place else math.nan


def run_cell(pool: Candidates, method: str, n_bits: int, seed: int, budget: int | None) -> Cell:
    """Search, then measure what was found on the test pictures."""
    found = pool.named(
        Search(pool.reward(), n_bits, budget, clock=time.process_time).run(METHODS[method].find, seed, method)
    )
    history = {name: found.history[name].tolist() for name in CURVES}
    test_map = pool.test_map(found.bits)
    seconds = history["seconds"][-1]
    return Cell(
        pool.name, method, n_bits, seed, found.bits.tolist(), found.reward, test_map, found.calls, seconds, history
    )


def compared() -> tuple[str, ...]:
    """Names of the methods that are compared where nothing else is said."""
    return tuple(name for name, method in METHODS.items() if method.compared)


def planned(methods: Sequence[str], lengths: Sequence[int], seeds: Sequence[int]) -> list[tuple[str, int, int]]:
    """Method, p and seed of every cell of a pool; deterministic methods have the first seed alone."""
    return [
        (method, n_bits, seed)
        for n_bits in lengths
        for method in methods
        for seed in (seeds[:1] if METHODS[method].deterministic else seeds)
    ]


def run_grid(
    pools: Sequence[Candidates],
    *,
    methods: Sequence[str] | None = None,
    lengths: Sequence[int] = (8, 16, 32, 48),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    budget: int | None = 2000,
    workers: int | Where = 2,
    folder: Path,
    about: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> list[Cell]:
    """Every cell of the grid, from `folder` where it was made on the same codes with the same budget.

    Args:
        pools: of different names, each with more bits than the largest length.
        methods: names in `selectors.METHODS`; None for all that are compared.
        lengths: each p.
        seeds: of the methods.
        budget: most distinct subsets a search may evaluate; None for as many as it takes.
        workers: processes, each on one core, or which ones. Their number changes nothing but the time.
        folder: one JSON file a pool and budget, rewritten after each cell.
        about: what the files say of the run that wrote them last, such as its command (`provenance.made_by`).
        progress: show a bar.

    Raises:
        ValueError: an unknown method, a length outside 1..k-1, what is no seed, budget or number of workers, or pools
            of one name, before any work.
    """
    methods = compared() if methods is None else methods
    lengths, seeds = checks.counts(lengths, "lengths", distinct=True), checks.seeds(seeds)
    budget, where = check_budget(budget), workers if isinstance(workers, Where) else Where(workers=workers)
    _check(pools, methods, lengths, budget)
    stores = {pool.name: _Store(Path(folder) / f"{pool.name}-b{budget}.json", pool, budget, about) for pool in pools}
    plan = planned(methods, lengths, seeds)
    missing = [(pool, key) for pool in pools for key in plan if key not in stores[pool.name].cells]
    total = len(pools) * len(plan)
    bar = tqdm(total=total, initial=total - len(missing), desc="comparison", unit="cell", disable=not progress)
    with bar:
        used = sorted({method for _, (method, _, _) in missing})
        jobs = [(pool.name, *key, budget) for pool, key in missing]
        held = {"start": _ready, "initial": ({pool.name: pool for pool in pools}, used)}
        for cell in in_workers(_run_named, jobs, where, **held):
            stores[cell.pool].add(cell)
            bar.set_postfix_str(f"{cell.pool} {cell.method} {cell.n_bits}")
            bar.update()
    return [stores[pool.name].cells[key] for pool in pools for key in plan]


def _check(pools: Sequence[Candidates], methods: Sequence[str], lengths: Sequence[int], budget: int | None) -> None:
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"methods has {method!r}; there are {', '.join(METHODS)}")
        if budget is None and METHODS[method].open_ended:
            raise ValueError(f"budget is None, but method {method!r} never ends by itself: give a number of calls")
    for pool in pools:
        check_lengths(lengths, pool.name, pool.k)
    if len({pool.name for pool in pools}) < len(pools):
        raise ValueError(f"pools are named {[pool.name for pool in pools]}; give each its own name")


def check_lengths(lengths: Sequence[int], pool: str, k: int) -> None:
    """Raise ValueError where not every length is less than the pool's number of bits."""
    if not 1 <= min(lengths) <= max(lengths) < k:
        raise ValueError(f"lengths is {list(lengths)}; pool {pool} has {k} bits: keep 1 to {k - 1}")


def _ready(pools: dict[str, Candidates], methods: Sequence[str]) -> dict[str, Candidates]:
    """What a worker gets once: every pool, and all that the methods load and compile."""
    _warm_up(methods)
    return pools


def _run_named(pools: dict[str, Candidates], name: str, *key: Any) -> Cell:
    """A worker's job."""
    return run_cell(pools[name], *key)


def _warm_up(methods: Sequence[str]) -> None:
    """Load and compile everything that the methods use, before a clock runs."""
    labels = np.eye(2, dtype=np.uint8)[np.arange(20) % 2]
    for k in (8, 80):  # a machine word and more than one have kernels of their own
        codes = np.random.default_rng(0).integers(0, 2, (20, k), dtype=np.uint8)
        small = Candidates("warm-up", codes, labels, codes, labels[:, 0], codes, labels, codes, labels)
        for method in methods:
            run_cell(small, method, 2, 0, 100)
        for method in ("greedy", "random_search"):  # of queries with codes of their own
            run_cell(replace(small, reward_queries=1 - codes), method, 2, 0, 100)


class _Store:
    """The cells of one pool and budget on disk: one JSON file, replaced after each cell in one step.

    Several runs may add to one file: each keeps what the others have added.
    """

    def __init__(self, path: Path, pool: Candidates, budget: int | None, about: Mapping[str, Any] | None = None):
        self.pool, self.about = pool.name, dict(about or {})
        sides = [*pool.paying().values(), pool.query_codes, pool.query_labels, pool.database_codes]
        sides = [side for side in (*sides, pool.database_labels, pool.decided_codes) if side is not None]
        self.path = path
        self.settings = {"data": artifacts.digest(*sides), "budget": budget}
        self.cells: dict[tuple, Cell] = {}
        artifacts.check_writable(path, artifacts.replaces_json("settings", "cells"))
        self.stamp = artifacts.stamp(path)
        if self.stamp:
            self.cells = self._read(echo=print)

    def _read(self, echo: Callable[[str], None]) -> dict[tuple, Cell]:
        """The cells in the file by their keys, if they are of this pool; says which, or why there are none."""
        name = artifacts.shown(self.path)
        try:
            record = artifacts.load_json(self.path)
            if record["settings"] != self.settings:
                echo(f"{name} was made from other codes; its cells are made anew")
                return {}
            cells = [Cell(**cell) for cell in record["cells"]]
            if others := {cell.pool for cell in cells} - {self.pool}:
                raise ValueError(f"it has cells of the pool {min(others)}")
            changed = {cell.method for cell in cells if record["methods"].get(cell.method) != _settings(cell.method)}
        except (ValueError, TypeError, KeyError) as error:
            echo(f"{name} cannot be used ({error}); its cells are made anew")
            return {}
        if changed:
            echo(f"{name} has cells of {', '.join(sorted(changed))} with other settings; they are made anew")
            cells = [cell for cell in cells if cell.method not in changed]
        seconds = sum(cell.seconds for cell in cells)
        echo(f"loaded {name} ({len(cells)} cells, made in {seconds:.0f} s on one core)")
        return {cell.key: cell for cell in cells}

    def add(self, cell: Cell) -> None:
        """Put a cell beside those that are in the file by now, another run's included."""
        with artifacts.locked(self.path):
            if artifacts.stamp(self.path) not in (self.stamp, None):
                self.cells = self._read(echo=lambda _: None) | self.cells
            self.cells[cell.key] = cell
            cells = [asdict(cell) for cell in self.cells.values()]
            methods = {method: _settings(method) for method in sorted({cell["method"] for cell in cells})}
            artifacts.save_json(self.path, self.about | {"settings": self.settings, "methods": methods, "cells": cells})
            self.stamp = artifacts.stamp(self.path)


def _settings(method: str) -> dict[str, Any]:
    """A method's own settings as they are today, as JSON gives them back; those of PPO for PPO that does not learn."""
    return json.loads(json.dumps(METHODS["ppo" if method == "untrained" else method].settings))


def frame(cells: Sequence[Cell]) -> pd.DataFrame:
    """One row a cell: pool, method (as tables name it), bits, seed, reward, test mAP, calls, seconds."""
    columns = ("pool", "n_bits", "seed", "reward", "test_map", "calls", "seconds")
    rows = [{"method": METHODS[cell.method].title} | {name: getattr(cell, name) for name in columns} for cell in cells]
    return pd.DataFrame(rows).rename(columns={"n_bits": "bits"})


def table(cells: Sequence[Cell], measure: str) -> pd.DataFrame:
    """Mean over seeds of a column of `frame`: a line a method, a column a pool and number of bits."""
    return frame(cells).pivot_table(measure, "method", ["pool", "bits"], sort=False)


def curve(cells: Sequence[Cell], name: str, n_bits: int, method: str, amounts, of: str = "calls") -> np.ndarray:
    """Best reward of each seed within each of `amounts` calls (or "seconds") on the pool `name`: [seeds, amounts]."""
    found = [cell for cell in cells if (cell.pool, cell.n_bits, cell.method) == (name, n_bits, method)]
    if not found:
        raise ValueError(f"cells has none of method {method!r} for {n_bits} bits of pool {name}: run the grid with it")
    return np.array([[cell.best_at(amount, of) for amount in amounts] for cell in found])
