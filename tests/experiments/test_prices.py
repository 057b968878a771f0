"""Prices: a run's total is its own seconds and its calls at their price, and who leads follows from that."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hashlib_nb.experiments import prices
from hashlib_nb.experiments.duels import FREE

POOLS = pd.DataFrame({"pool_seed": [0], "reward": [0.5]})


def run(method: str, budget: float, points: list[tuple[int, float, float]], pool_seed: int = 0) -> dict:
    calls, seconds, best = (list(column) for column in zip(*points, strict=True))
    history = {"calls": calls, "seconds": seconds, "best": best}
    return {"pool_seed": pool_seed, "method": method, "budget": budget, "reward": best[-1], "history": history}


SWAP = run("swap", FREE, [(10_000, 2.0, 0.85), (20_000, 3.0, 0.9)])
PPO = run("ppo", 1000.0, [(1, 0.1, 0.6), (500, 2.0, 0.86), (1000, 4.0, 0.88)])


def test_a_share_is_the_best_reward_within_seconds_and_priced_calls():
    found = prices.reached(
        pd.DataFrame([SWAP, PPO]),
        POOLS,
        ("ppo", "swap"),
        prices=np.array([0.0, 0.01]),
        totals=np.array([1.0, 3, 8, 300]),
    )
    expected = np.array([
        [[0.25, 0.9, 0.95, 0.95], [0.25, 0.25, 0.9, 0.95]],  # ppo: at 0.01 s a call 0.11, 7, 14 s
        [[np.nan, 1.0, 1.0, 1.0], [np.nan, np.nan, np.nan, 1.0]],  # swap: 102, 203 s
    ])  # fmt: skip
    np.testing.assert_allclose(found.share, expected)


def test_the_break_even_price_is_where_the_line_of_seconds_and_calls_crosses():
    """At 0.89: 2 s + 500 calls against 3 s + 20,000, PPO is sooner at any price; at 0.94: 4 s + 1,000 calls."""
    totals = np.geomspace(0.5, 1e5, 4000)
    grid = np.geomspace(1e-6, 1, 600)
    found = prices.reached(pd.DataFrame([SWAP, PPO]), POOLS, ("ppo", "swap"), prices=grid, totals=totals)
    assert found.break_even("ppo", "swap", 0.89) == 0.0
    assert found.break_even("ppo", "swap", 0.94) == pytest.approx(1 / 19_000, rel=0.1)
    assert found.break_even("ppo", "swap", 0.99) is None  # it never gets there
    assert found.break_even("swap", "ppo", 0.94) is None  # at no high price
    assert found.break_even("ppo", "cem", 0.9) is None


def test_of_several_budgets_the_one_counts_that_serves_best_there():
    short = run("ppo", 100.0, [(100, 0.5, 0.7)])
    found = prices.reached(
        pd.DataFrame([SWAP, PPO, short]), POOLS, ("ppo",), prices=np.array([0.0]), totals=np.array([0.4, 1.0, 5.0])
    )
    np.testing.assert_allclose(found.share[0, 0], [0.25, 0.5, 0.95])


def test_the_mean_over_runs_has_an_answer_once_all_of_them_have_one():
    pools = pd.DataFrame({"pool_seed": [0, 1], "reward": [0.5, 0.3]})
    late = [run("swap", FREE, [(1, 1.0, 0.7)], 1), run("ppo", 1000.0, [(5, 2.0, 0.5)], 1)]
    found = prices.reached(
        pd.DataFrame([SWAP, PPO, *late]), pools, ("ppo",), prices=np.array([0.0]), totals=np.array([1.0, 2.5, 9.0])
    )
    np.testing.assert_allclose(found.share[0, 0], [np.nan, (0.9 + 0.5) / 2, (0.95 + 0.5) / 2])


def test_leaders_are_those_ahead_by_more_than_the_margin():
    share = np.array([[[np.nan, 0.5, 0.9]], [[np.nan, np.nan, 0.85]]])
    found = prices.Reached(("ppo", "swap"), np.array([1.0]), np.array([1.0, 2, 3]), share)
    assert found.leaders().tolist() == [[-1, 0, 0]]
    assert found.leaders(0.1).tolist() == [[-1, 0, -1]]
    np.testing.assert_array_equal(found.seconds_to(0.85), [[3.0], [3.0]])
    assert np.isinf(found.seconds_to(0.95)).all()


def test_a_pool_without_greedy_to_its_end_has_no_scale():
    with pytest.raises(ValueError, match="runs has no swap to its end on the pools of seed 0"):
        prices.reached(pd.DataFrame([PPO]), POOLS, ("ppo",))
