"""A search says what its reward says, counts what is new, and loses nothing that its budget paid for."""

from __future__ import annotations

import numpy as np
import pytest
from tests.test_selection import noisy_codes

from hashlib_nb.budget import BudgetSpent, Search
from hashlib_nb.selection import BitSelectionVectorEnv, Reward, random_masks

REWARD = Reward(*noisy_codes())
MASKS = random_masks(12, 4, 30, seed=1)


def test_a_search_says_what_the_reward_says():
    search = Search(REWARD, 4)
    np.testing.assert_allclose(search(MASKS), REWARD(MASKS), atol=1e-12)
    bits = np.array([7, 0, 11, 3])
    masks = np.repeat(MASKS[:1], 4, axis=0)
    masks[range(4), bits] ^= 1
    np.testing.assert_allclose(search.flipped(MASKS[0], bits), REWARD(masks), atol=1e-12)


def test_only_distinct_subsets_count():
    search = Search(REWARD, 4)
    search(np.vstack([MASKS[:3], MASKS[:3]]))
    assert search.calls == 3
    search(MASKS[1:5])
    assert search.calls == 5
    search.flipped(MASKS[0], range(12))
    search.flipped(MASKS[0], range(12))
    assert search.calls == 5 + 12
    without = MASKS[0].copy()
    without[np.flatnonzero(without)[0]] = 0
    search.flipped(without, np.flatnonzero(MASKS[0])[:1])  # is MASKS[0]
    assert search.calls == 5 + 12


def test_a_spent_budget_gives_what_it_paid_for():
    search = Search(REWARD, 4, budget=7)
    search(MASKS[:5])
    with pytest.raises(BudgetSpent) as end:
        search(MASKS[3:10])
    expected = np.concatenate([REWARD(MASKS[3:7]), np.full(3, -np.inf)])
    np.testing.assert_allclose(end.value.values, expected, atol=1e-12)
    assert search.calls == 7
    assert search.best == pytest.approx(REWARD(MASKS[:7]).max(), abs=1e-12)
    np.testing.assert_allclose(search(MASKS[:7]), REWARD(MASKS[:7]), atol=1e-12)  # what is known costs nothing
    with pytest.raises(BudgetSpent):
        search(MASKS[7:8])
    assert search.calls == 7


def test_flips_are_paid_for_in_the_order_asked():
    search = Search(REWARD, 4, budget=3)
    with pytest.raises(BudgetSpent) as end:
        search.flipped(MASKS[0], [9, 2, 5, 0])
    np.testing.assert_allclose(end.value.values[:3], REWARD.flipped(MASKS[0], [9, 2, 5]), atol=1e-12)
    assert end.value.values[3] == -np.inf


def test_the_best_is_of_the_right_size_and_traced_call_by_call():
    search = Search(REWARD, 4)
    search(np.ones((1, 12), dtype=np.uint8))
    assert search.best_bits is None
    search(MASKS)
    values = REWARD(MASKS)
    np.testing.assert_array_equal(search.best_bits, np.flatnonzero(MASKS[values.argmax()]))
    _, first = np.unique(MASKS, axis=0, return_index=True)
    distinct = values[np.sort(first)]
    records = [i for i in range(len(distinct)) if i == 0 or distinct[i] > distinct[:i].max()]
    assert [(calls, best) for calls, _, best in search.trace] == [(i + 2, distinct[i]) for i in records]


def test_an_answer_keeps_the_order_of_the_method_if_it_is_the_best_seen():
    search = Search(REWARD, 4)
    values = search(MASKS)
    best, other = np.flatnonzero(MASKS[values.argmax()]), np.flatnonzero(MASKS[values.argmin()])
    assert search.selection(best[::-1], "mine").bits.tolist() == best[::-1].tolist()
    assert search.selection(other, "mine").bits.tolist() == best.tolist()
    assert search.selection(None, "mine").bits.tolist() == best.tolist()


def test_an_answer_that_was_not_evaluated_gets_its_reward_without_a_call():
    search = Search(REWARD, 4, budget=1)
    found = search.selection([5, 1, 8, 2], "mine")
    assert found.reward == pytest.approx(REWARD.of_bits([5, 1, 8, 2]), abs=1e-12)
    assert (found.calls, found.bits.tolist(), found.history["calls"].tolist()) == (0, [5, 1, 8, 2], [0])


def test_a_search_is_a_reward_for_the_environments():
    search = Search(REWARD, 2, budget=5)
    envs = BitSelectionVectorEnv(search, 2, 3)
    envs.reset()
    envs.step(np.array([0, 1, 2]))
    _, rewards, terminated, _, _ = envs.step(np.array([3, 4, 5]))
    assert terminated.all()
    np.testing.assert_allclose(rewards, [REWARD.of_bits(bits) for bits in ([0, 3], [1, 4], [2, 5])])
    assert search.calls == 3


@pytest.mark.parametrize("masks", [np.full((1, 12), 2), np.ones((1, 11), dtype=np.uint8), np.ones(12, dtype=np.uint8)])
def test_bad_masks_are_refused_and_cost_nothing(masks):
    search = Search(REWARD, 4, budget=1)
    with pytest.raises(ValueError, match="masks"):
        search(masks)
    assert search.calls == 0


def test_bad_bits_are_refused():
    search = Search(REWARD, 4)
    with pytest.raises(ValueError, match="more than once"):
        search.flipped(MASKS[0], [3, 3])
    with pytest.raises(ValueError, match="n_bits must be in 1..12"):
        Search(REWARD, 13)
