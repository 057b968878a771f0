"""Duels: differences are paired by pool, and a verdict follows from them alone."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hashlib_nb.experiments import duels
from hashlib_nb.experiments.duels import FREE


def runs_of(scores: dict[tuple[str, float], list[float]], pool: str = "pool") -> pd.DataFrame:
    """Test mAP by method and budget, one a pool seed; twice, with 4 and 8 bits and seeds that scatter around it."""
    rows = []
    for (method, budget), means in scores.items():
        for (pool_seed, mean), bits, seed in itertools.product(enumerate(means), (4, 8), (0, 1)):
            test = mean + 0.01 * (bits - 6) + (0.05 if seed else -0.05)
            rows.append((pool, pool_seed, method, budget, bits, seed, test, test + 0.1))
    return pd.DataFrame(rows, columns=["pool", "pool_seed", "method", "budget", "bits", "seed", "test", "reward"])


MINE, THEIRS = [0.52, 0.63, 0.74, 0.80], [0.50, 0.60, 0.70, 0.79]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "differences",
    [
        [0.1, 0.2, 0.3],
        [-0.1, -0.2, -0.15, -0.1],
        [1e-3, -2e-3, 5e-4, 1e-4, 0],
        [0.1, 0.1, 0.1],
        [0, 0, 0],
        [0, 1e-12, 0],
    ],
)
def test_the_interval_is_students(differences):
    """The formula, also where all differences are the same: then it has no width, and nothing is complained of."""
    mean, low, high, verdict = duels.interval(differences)
    half = stats.t.ppf(0.975, len(differences) - 1) * np.std(differences, ddof=1) / np.sqrt(len(differences))
    assert (mean, low, high) == pytest.approx((np.mean(differences), mean - half, mean + half), rel=1e-12, abs=1e-15)
    assert verdict == ("win" if mean > half else "loss" if mean < -half else "tie")


def test_points_have_half_the_interval_and_a_mark_for_what_is_no_luck():
    assert duels.in_points(0.0123, 0.01, 0.0146, "ahead") == "+1.23 ± 0.23 ▲"
    assert duels.in_points(-0.0123, -0.0146, -0.01, "loss") == "-1.23 ± 0.23 ▼"
    assert duels.in_points(0.001, np.nan, np.nan, "one pool") == "+0.10"


def test_one_difference_has_no_interval_and_no_verdict():
    mean, low, _, verdict = duels.interval([0.1])
    assert (mean, verdict) == (0.1, "one seed")
    assert np.isnan(low)


@pytest.mark.parametrize("seed", range(5))
def test_holm_finds_what_the_step_down_procedure_rejects(seed):
    """Holm's own words: go up from the smallest, reject while p times what is left of the tests is below the level."""
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(9) < 0.5, rng.random(9) / 50, rng.random(9))
    p[rng.integers(9)] = np.nan
    corrected, order = duels.holm(p), np.argsort(p)
    for level in (0.01, 0.05, 0.2):
        rejected, left = set(), np.isfinite(p).sum()
        for place in order:
            if not p[place] * left < level:
                break
            rejected.add(place)
            left -= 1
        assert {*np.flatnonzero(corrected < level)} == rejected
    assert np.isnan(corrected).tolist() == np.isnan(p).tolist()


def test_differences_are_paired_by_pool_and_average_over_lengths_and_seeds():
    runs = runs_of({("ppo", 100): MINE, ("swap", 100): THEIRS}).sample(frac=1, random_state=0)
    found = duels.differences(runs, ("ppo", 100), ("swap", 100), "test")
    np.testing.assert_allclose(found.sort_index(), np.subtract(MINE, THEIRS))
    reward = duels.differences(runs, ("swap", 100), ("ppo", 100), "reward")
    np.testing.assert_allclose(reward.sort_index(), np.subtract(THEIRS, MINE))


def test_a_method_without_random_numbers_meets_the_mean_over_the_others_seeds():
    runs = runs_of({("ppo", 100): MINE, ("swap", 100): THEIRS})
    once = runs[(runs["method"] == "ppo") | (runs["seed"] == 1)]  # whose test is 0.05 above the mean
    found = duels.differences(once, ("ppo", 100), ("swap", 100), "test")
    np.testing.assert_allclose(found.sort_index(), np.subtract(MINE, THEIRS) - 0.05)


def test_pools_that_lack_a_side_are_left_out():
    runs = runs_of({("ppo", 100): MINE, ("swap", 100): THEIRS[:3]})
    assert [*duels.differences(runs, ("ppo", 100), ("swap", 100), "test").index] == [0, 1, 2]


def test_a_line_has_the_paired_t_test_of_its_pools():
    runs = runs_of({("ppo", 100): MINE, ("swap", 100): THEIRS})
    (line,) = duels.fought(runs, "ppo", ["swap"]).itertuples()
    expected = stats.ttest_rel(MINE, THEIRS)
    interval = expected.confidence_interval(0.95)
    assert (line.p, line.low, line.high) == pytest.approx((expected.pvalue, interval.low, interval.high))
    assert (line.pools, line.mean, line.budget, line.rival_budget) == (4, pytest.approx(0.025), 100, 100)


def test_equal_budgets_and_free_rivals_are_two_families_of_each_pool():
    scores = {("ppo", b): MINE for b in (100, 300)} | {("swap", b): THEIRS for b in (100, 300, FREE)}
    scores |= {("cem", b): MINE for b in (100, 300)}
    runs = pd.concat([runs_of(scores), runs_of(scores, "other")])
    found = duels.fought(runs, "ppo", ["swap", "cem"])
    lines = [(line.budget, line.rival, line.rival_budget) for line in found[found["pool"] == "pool"].itertuples()]
    assert lines == [
        (100, "swap", 100), (100, "swap", FREE), (100, "cem", 100),
        (300, "swap", 300), (300, "swap", FREE), (300, "cem", 300),
    ]  # fmt: skip
    alone = stats.ttest_rel(MINE, THEIRS).pvalue  # cem's differences are all 0: no test
    by_budget = found.set_index(["pool", "rival", "budget", "rival_budget"])["p"]
    assert by_budget["other", "swap", 300, 300] == pytest.approx(2 * alone)
    assert by_budget["pool", "swap", 100, FREE] == pytest.approx(2 * alone)
    assert {*found.loc[found["rival"] == "cem", "verdict"]} == {"level"}


def test_a_verdict_needs_holms_level_and_more_than_one_pool():
    wide = {("ppo", 100): np.add(MINE, [0.4, 0.41, 0.4, 0.39]), ("swap", 100): THEIRS, ("cem", 100): MINE}
    found = duels.fought(runs_of(wide), "ppo", ["swap", "cem"]).set_index("rival")["verdict"]
    assert found.to_dict() == {"swap": "ahead", "cem": "ahead"}
    turned = duels.fought(
        runs_of({("ppo", 100): THEIRS, ("swap", 100): np.add(THEIRS, [0.2, 0.21, 0.2, 0.2])}), "ppo", ["swap"]
    )
    assert turned["verdict"].tolist() == ["behind"]
    alone = duels.fought(runs_of({("ppo", 100): MINE[:1], ("swap", 100): THEIRS[:1]}), "ppo", ["swap"])
    assert alone["verdict"].tolist() == ["one pool"]


def test_queries_drawn_again_agree_with_the_normal_interval_of_many_queries():
    apart = np.random.default_rng(0).normal(0.02, 0.1, 400)
    low, high = duels.resampled(np.append(apart, np.nan))  # a query without anything relevant counts for nothing
    half = 1.96 * apart.std(ddof=1) / 20
    assert (low, high) == pytest.approx((apart.mean() - half, apart.mean() + half), abs=6e-4)
    by_query = {("pool", "ppo", 100): np.append(apart, np.nan), ("pool", "swap", 100): np.zeros(401)}
    runs = runs_of({("ppo", 100): MINE, ("swap", 100): THEIRS})
    (line,) = duels.fought(runs, "ppo", ["swap"], by_query=by_query).itertuples()
    assert (line.query_low, line.query_high) == (low, high)


def test_nothing_to_compare_is_an_empty_table():
    assert duels.fought(runs_of({("swap", 100): THEIRS}), "ppo", ["swap"]).empty
