"""The comparison: what its record says follows from its runs, and its runs are what the methods find."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hashlib_nb import selectors
from hashlib_nb.experiments import comparison, duels, grid, pools
from hashlib_nb.experiments.duels import FREE
from hashlib_nb.selection import random_masks
from tests.experiments.test_grid import run_here, synthetic

SMALL = {"pools": ("lsh-512",), "lengths": (2, 4), "seeds": (0, 1), "subsets": 6}


@pytest.fixture(autouse=True)
def here(monkeypatch, home):
    """Searches run in this process, on small pools that need no encoder: another one for each seed."""
    monkeypatch.setattr(grid, "in_workers", run_here)
    monkeypatch.setattr(pools, "load", lambda name, *, seed, **_: synthetic(name, k=12, seed=seed))


def record_of(**changes) -> tuple[comparison.Args, dict]:
    args = comparison.Args(**SMALL | changes)
    return args, comparison.make_record(args)


def test_all_methods_are_compared_but_those_that_are_for_few_candidates():
    assert comparison.compared() == tuple(name for name in selectors.METHODS if name not in ("exhaustive", "dqn"))
    assert {*comparison.RIVALS} < {*comparison.compared()}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pools": ("65",)}, r"pools is \['65'\]; give some of 64, thermometer, symmetric, 256, lsh-512, union"),
        ({"methods": ()}, r"methods is \[\]; give some of"),
        ({"lengths": (16, 64)}, r"lengths is \[16, 64\]; pool 64 has 64 bits: keep 1 to 63"),
        ({"lengths": (8, 8)}, r"lengths is \[8, 8\]; give different whole numbers of at least 1"),
        ({"seeds": (-1,)}, r"seeds is -1; give a whole number from 0 to 2\^64 - 1"),
        ({"budgets": (0,)}, "budgets is 0; give a whole number in 1"),
        ({"budgets": (5, 5)}, r"budgets is \[5, 5\]; give different whole numbers"),
        ({"folds": 1}, "folds is 1; give a whole number of at least 2"),
        ({"workers": 10**6}, r"workers is 1000000; give a whole number in 1\.\.256"),
        ({"pool_seeds": (-1,)}, "pool_seeds is -1; give a whole number from 0"),
        ({"subsets": 1}, r"subsets is 1; give a whole number in 2\.\.10000"),
    ],
)
def test_arguments_that_cannot_be_meant_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        comparison.Args(**wrong)


def test_every_method_runs_at_every_budget_and_what_ends_by_itself_once_more():
    methods = ("ppo", "swap", "greedy", "backward", "first", "entropy")
    args = comparison.Args(methods=methods, budgets=(100, 300))
    assert args.grids == [
        (100, ("ppo", "swap", "greedy", "backward")),
        (300, ("ppo", "swap", "greedy", "backward")),
        (None, ("swap", "greedy", "first", "entropy")),
    ]
    assert replace(args, methods=("first",)).grids == [(None, ("first",))]
    dear = replace(args, methods=("cem", "surrogate"), budgets=(1000, 1001))
    assert dear.grids == [(1000, ("cem", "surrogate")), (1001, ("cem",))]


def test_a_record_has_a_row_a_run_and_the_file_has_the_record():
    args, record = record_of(methods=("random_search", "swap", "first"), budgets=(20, 40), pool_seeds=(0, 3))
    assert json.loads(args.path.read_text()) == json.loads(json.dumps(record))
    runs = comparison.run_frame(record["runs"])
    per_pool = 2 * (2 * (2 + 1) + 2)  # lengths; budgets, of random_search's two seeds and swap's one; without a budget
    assert len(runs) == 2 * per_pool
    assert {*runs["pool_seed"]} == {0, 3}
    assert {*runs.loc[runs["method"] == "swap", "budget"]} == {20, 40, FREE}
    for run in runs.itertuples():
        pool = synthetic("lsh-512", k=12, seed=run.pool_seed)
        budget = None if run.budget == FREE else int(run.budget)
        found = selectors.select(
            pool.reward_codes, pool.reward_labels, run.bits, method=run.method, budget=budget, seed=run.seed
        )
        assert (run.calls, run.reward) == (found.calls, pytest.approx(found.reward, abs=1e-6))
        assert run.test == pytest.approx(pool.test_map(found.bits), abs=1e-6)


def test_a_record_is_made_of_the_cells_that_lie_there(capsys):
    args, record = record_of(methods=("random_search", "swap"), budgets=(20,))
    path = args.folder(0) / "lsh-512-b20.json"
    cells = json.loads(path.read_text())
    cells["cells"][0]["seconds"] = cells["cells"][0]["history"]["seconds"][-1] = 123.0
    path.write_text(json.dumps(cells))
    again = comparison.make_record(args)
    assert [row["seconds"] for row in again["runs"]].count(123.0) == 1
    assert [row["test"] for row in again["runs"]] == [row["test"] for row in record["runs"]]
    assert "loaded" in capsys.readouterr().out


@pytest.mark.parametrize("number", [1, 5, 24, 25, 400])
def test_a_stored_curve_is_a_part_of_the_whole_one_and_ends_as_it_does(number):
    calls = np.sort(np.random.default_rng(number).choice(np.arange(1, 5000), number, replace=False))
    whole = {"calls": calls.tolist(), "seconds": (calls / 7).tolist(), "best": np.sqrt(calls / 5000).tolist()}
    kept = comparison._thinned(whole)
    points = {(c, round(b, 5)) for c, b in zip(whole["calls"], whole["best"], strict=True)}
    assert {*zip(kept["calls"], kept["best"], strict=True)} <= points
    assert len({*map(len, kept.values())}) == 1
    assert (kept["calls"][0], kept["calls"][-1]) == (calls[0], calls[-1])
    assert len(kept["calls"]) <= min(number, comparison.POINTS + 1)


def test_pool_rows_are_of_the_same_random_subsets_for_reward_and_test():
    pool = synthetic(k=12)
    (row,) = comparison.pool_rows(pool, 3, (5,), 40)
    masks = random_masks(12, 5, 40, 3)
    reward = [pool.reward().of_bits(np.flatnonzero(mask)) for mask in masks]
    test = [pool.test_map(np.flatnonzero(mask)) for mask in masks]
    assert (row["reward"], row["sd"], row["test"]) == pytest.approx(
        (np.mean(reward), np.std(reward, ddof=1), np.mean(test)), abs=1e-6
    )
    assert row["rank_crossfit"] == pytest.approx(stats.spearmanr(reward, test).statistic, abs=1e-6)
    assert {name for name in row if name.startswith("rank_")} == {"rank_crossfit", "rank_holdout", "rank_in_sample"}
    (flat,) = comparison.pool_rows(replace(pool, fold=np.zeros(40, int)), 3, (5,), 40)
    assert {name for name in flat if name.startswith("rank_")} == {"rank_in_sample"}


def test_precisions_of_queries_average_to_the_test_of_the_runs():
    args = comparison.Args(**SMALL | {"methods": ("random_search", "swap"), "budgets": (20,)})
    pool = synthetic("lsh-512", k=12)
    cells = comparison.run_pools(args, 0, {pool.name: pool})
    for (name, method, budget), each in comparison.precisions(pool, cells):
        mine = [c.test_map for c in cells[None if budget == FREE else budget] if c.method == method]
        assert name == "lsh-512"
        assert each.mean() == pytest.approx(np.mean(mine))


def test_duels_and_verdicts_of_a_record_follow_from_its_runs():
    methods = ("ppo", *comparison.RIVALS, "random_search")
    _, record = record_of(methods=methods, budgets=(30,), pool_seeds=(0, 1, 2), seeds=(0,))
    runs, found = comparison.run_frame(record["runs"]), comparison.duel_frame(record)
    assert {*found["rival"]} == {*methods} - {"ppo"}
    for line in found.itertuples():
        apart = duels.differences(runs, ("ppo", line.budget), (line.rival, line.rival_budget), "test")
        assert (line.mean, line.pools) == (pytest.approx(apart.mean()), 3)
        assert line.query_low <= line.mean + 1e-9
        assert line.query_high >= line.mean - 1e-9
    assert "query_low" not in comparison.duel_frame(record, "reward").dropna(axis=1)
    assert [*record["verdicts"]] == ["lsh-512"]
    assert comparison.judged(record["runs"])["verdicts"] == record["verdicts"]


def lines_of(verdicts: dict[str, str], budget: float = 100.0) -> pd.DataFrame:
    rows = [
        {"pool": "pool", "measure": "test", "budget": budget, "rival": rival, "rival_budget": budget, "verdict": says}
        | {"mean": 0.01, "low": 0.0, "high": 0.02, "pools": 3}
        for rival, says in verdicts.items()
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "earns its place"),
        ({"cem": "level"}, "a matter of taste"),
        ({"cem": "level", "swap": "behind"}, "does not earn its place"),
        ({"cem": None}, "a matter of taste"),  # one that it never met was not beaten
    ],
)
def test_the_verdict_is_the_rules(changed, says):
    verdicts = dict.fromkeys(comparison.RIVALS, "ahead") | changed
    found = lines_of({rival: each for rival, each in verdicts.items() if each})
    assert comparison.verdict(found, pd.DataFrame(), "pool") == f"PPO on pool: at 100 calls {says}."


def test_the_verdict_names_budgets_that_end_alike_together_and_greedys_price():
    parts = [lines_of(dict.fromkeys(comparison.RIVALS, says), budget)
             for budget, says in ((100.0, "ahead"), (300.0, "ahead"), (1000.0, "behind"))]  # fmt: skip
    free = lines_of({"swap": "behind"}, 1000.0).assign(rival_budget=FREE)
    runs = pd.DataFrame(
        [("pool", "ppo", 1000.0, 1000, 4.0), ("pool", "swap", FREE, 20000, 3.0), ("other", "ppo", 1000.0, 1, 9.0)],
        columns=["pool", "method", "budget", "calls", "seconds"],
    )
    assert comparison.verdict(pd.concat([*parts, free]), runs, "pool") == (
        "PPO on pool: at 100 and 300 calls earns its place; at 1,000 calls does not earn its place. After 1,000 calls "
        "(4 s) it is +1.00 points (+0.00 to +2.00, 3 pools) on the test against greedy + swap to its end (20,000 "
        "calls, 3 s), behind."
    )


def test_a_table_has_the_means_of_its_runs():
    _, record = record_of(methods=("random_search", "swap"), budgets=(20, 40), pool_seeds=(0, 1))
    runs = comparison.run_frame(record["runs"])
    shown = comparison.table(runs, "test")
    for budget, words in ((20, "within 20 calls"), (FREE, "to their end")):
        mine = runs[(runs["method"] == "swap") & (runs["budget"] == budget) & (runs["bits"] == 4)]
        assert shown.loc[(words, "greedy + swap"), ("lsh-512", 4)] == pytest.approx(mine["test"].mean())


def test_the_command_line_prints_tables_and_verdicts_and_names_the_file(capsys):
    args = comparison.Args(**SMALL | {"methods": ("ppo", *comparison.RIVALS), "budgets": (20,)})
    comparison.main(args)
    printed = capsys.readouterr().out
    record = json.loads(args.path.read_text())
    assert comparison.table(comparison.run_frame(record["runs"]), "test").round(4).to_string() in printed
    assert record["verdicts"]["lsh-512"] in printed
    assert "every run: runs/comparison.json" in printed


def test_another_file_is_not_replaced_and_nothing_is_run(tmp_path):
    path = tmp_path / "notes.json"
    path.write_text('{"mine": 1}')
    with pytest.raises(ValueError, match="notes.json"):
        comparison.make_record(comparison.Args(**SMALL, out=path))
    assert path.read_text() == '{"mine": 1}'


def test_folders_of_two_roots_encoders_or_seeds_are_two(tmp_path):
    roots = [comparison.Args(dataset="folder", root=tmp_path / root) for root in ("a", "b")]
    small = replace(roots[0], settings=replace(roots[0].settings, epochs=1))
    folders = {args.folder(seed) for args, seed in itertools.product((*roots, small), (0, 1))}
    assert len(folders) == 6


def test_a_budget_of_none_is_no_limit_and_comes_back_as_one():
    record = {"duels": [{"measure": "test", "budget": 100, "rival_budget": None, "mean": 1.0}]}
    (line,) = comparison.duel_frame(record).itertuples()
    assert math.isinf(line.rival_budget)
