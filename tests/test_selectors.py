"""Every selector keeps p distinct bits, repeats with its seed and spends no more than it may; some have an oracle."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from test_selection import noisy_codes

from hashlib_nb.selection import Reward, random_masks
from hashlib_nb.selectors import METHODS, select

CODES, LABELS = noisy_codes(n=60, k=10)
REWARD = Reward(CODES, LABELS)


@pytest.mark.parametrize("budget", [None, 1, 12, 25])
@pytest.mark.parametrize("p", [1, 4, 9, 10])
@pytest.mark.parametrize("method", METHODS)
def test_a_selector_keeps_its_promises(method, p, budget):
    found, again = (select(CODES, LABELS, p, method=method, budget=budget, seed=3) for _ in range(2))
    assert (found.method, found.n_candidates) == (method, 10)
    assert found.bits.shape == (p,)
    assert found.bits.dtype == np.int64
    assert len(set(found.bits.tolist())) == p
    assert 0 <= found.bits.min() <= found.bits.max() < 10
    assert found.reward == pytest.approx(REWARD.of_bits(found.bits), abs=1e-12)
    assert type(found.calls) is int
    assert budget is None or found.calls <= budget
    np.testing.assert_array_equal(found.bits, again.bits)
    assert (found.reward, found.calls) == (again.reward, again.calls)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("k", "p"), [(1, 1), (65, 2), (200, 1)])
def test_a_selector_takes_codes_of_any_length(method, k, p):
    codes, labels = noisy_codes(30, k)
    found = select(codes, labels, p, method=method)
    assert len(set(found.bits.tolist())) == p
    assert 0 <= found.bits.min() <= found.bits.max() < k


@pytest.mark.parametrize("method", METHODS)
def test_a_selector_leaves_what_it_was_given(method):
    codes, labels = CODES.copy(), LABELS.copy()
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global generator is what must not move
    select(codes, labels, 3, method=method)
    np.testing.assert_array_equal(codes, CODES)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_it_does(method):
    assert METHODS[method].__doc__
    assert list(inspect.signature(METHODS[method]).parameters) == ["reward", "n_bits", "budget", "seed"]


def test_first():
    np.testing.assert_array_equal(select(CODES, LABELS, 4, method="first").bits, range(4))


def test_random_draws_each_bit_equally_often():
    """Chi-square over 10 bits; 27.9 is its 0.1% point at 9 degrees of freedom."""
    drawn = [select(CODES, LABELS, 3, method="random", seed=seed) for seed in range(300)]
    counts = np.bincount(np.concatenate([each.bits for each in drawn]), minlength=10)
    assert ((counts - 90) ** 2 / 90).sum() < 27.9
    assert all(each.calls == 0 for each in drawn)


@pytest.mark.parametrize("budget", [None, 1, 30])
def test_random_search_is_the_best_of_its_masks(budget):
    found = select(CODES, LABELS, 4, method="random_search", budget=budget, seed=5)
    masks = random_masks(10, 4, budget or 200, seed=5)
    assert found.reward == REWARD(masks).max()
    assert found.calls == len(np.unique(masks, axis=0))
    assert (masks == found.mask).all(axis=1).any()


def slow_greedy(reward: Reward, p: int) -> list[int]:
    kept: list[int] = []
    for _ in range(p):
        gains = {bit: reward.of_bits([*kept, bit]) for bit in range(reward.k) if bit not in kept}
        kept.append(max(gains, key=gains.get))
    return kept


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_greedy_is_the_obvious_loop(seed):
    codes, labels = noisy_codes(70, 9, 5, seed=seed)
    reward = Reward(codes, labels)
    expected = slow_greedy(reward, 5)
    found = select(codes, labels, 5, method="greedy", seed=seed)
    assert found.bits.tolist() == expected  # in the order in which they were chosen
    assert found.calls == 9 + 8 + 7 + 6 + 5
    longer = select(codes, labels, 9, method="greedy", seed=seed)
    assert longer.bits[:5].tolist() == expected


def test_greedy_breaks_ties_by_its_seed():
    """Bits 0 and 1 are copies: either may come first, and no bit that differs in reward changes place."""
    codes = CODES.copy()
    codes[:, 1] = codes[:, 0]
    winners = [select(codes, LABELS, 1, method="greedy", seed=seed).bits[0] for seed in range(20)]
    assert len(set(winners)) == (2 if winners[0] in (0, 1) else 1)
    tied = np.tile(CODES[:, :1], (1, 6))
    assert {select(tied, LABELS, 1, method="greedy", seed=seed).bits[0] for seed in range(40)} == set(range(6))


def test_greedy_out_of_budget_keeps_what_it_paid_for():
    unbounded = select(CODES, LABELS, 5, method="greedy").bits
    cut = select(CODES, LABELS, 5, method="greedy", budget=10 + 9 + 7)
    np.testing.assert_array_equal(cut.bits[:2], unbounded[:2])
    assert cut.calls == 19
    ends = {tuple(select(CODES, LABELS, 5, method="greedy", budget=19, seed=seed).bits[2:]) for seed in range(8)}
    assert len(ends) > 1


def test_more_rows_than_queries_give_the_reward_that_ppo_would_see():
    for seed in (0, 4):
        found = select(CODES, LABELS, 3, method="greedy", seed=seed, n_queries=20)
        same = Reward(CODES, LABELS, n_queries=20, seed=seed)
        assert found.reward == same.of_bits(found.bits)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: select(CODES, LABELS, 3, method="best"), "method must be one of first, .*greedy.*, not 'best'"),
        (lambda: select(CODES, LABELS, 3, method="greedy", budget=0), "budget must be None or at least 1 reward call"),
        (
            lambda: select(CODES, LABELS, 0, method="first"),
            "n_bits must be in 1..10, for the codes have 10 bits, not 0",
        ),
        (lambda: select(CODES, LABELS, 11, method="random"), "n_bits must be in 1..10"),
        (lambda: select(CODES * 1.0, LABELS, 3, method="first"), "codes is float64"),
        (lambda: select(CODES, LABELS[1:], 3, method="first"), "labels has 59 rows for 60 codes"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
