"""The second agent: targets worked by hand, a memory that holds what was, and what it learns against enumeration."""

from __future__ import annotations

import itertools
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hashlib_nb import artifacts, candidates
from hashlib_nb.selection import Reward, Search, Selection, random_masks
from hashlib_nb.selectors import dqn, select
from hashlib_nb.selectors.dqn import Args, QNetwork, Replay, double_q_targets, train
from tests.helpers import assert_same, noisy_codes, refusal, run_main, stage_2

CODES, LABELS = noisy_codes(n=80, k=12)
REWARD = Reward(CODES, LABELS)
FEW = Args(n_bits=4, total_steps=160, learning_starts=40, hidden=16, progress=False)


def test_each_argument_says_what_it_is():
    source = Path(dqn.__file__).read_text(encoding="utf-8")
    for each in fields(Args):
        assert re.search(rf'^    {each.name}: .*\n    """\w', source, flags=re.MULTILINE), each.name


def test_one_file_is_read_in_one_sitting():
    assert len(Path(dqn.__file__).read_text(encoding="utf-8").splitlines()) <= 250


def test_double_q_targets_worked_by_hand():
    """The online network chooses among bits that are kept, the target network values; after the end nothing counts.

    Row 1: online prefers bit 0 (5) of bits 0 and 2, which the target values at 10: 1 + 0.5 * 10 = 6.
    Row 2: bit 1 would be best (9), but is gone; of 0 and 2 it takes 2 (3), at 30: 2 + 0.5 * 30 = 17.
    Row 3: the end: 4.
    """
    masks = torch.tensor([[1.0, 0, 1], [1, 0, 1], [0, 1, 0]])
    online, target = torch.tensor([[5.0, 9, 3], [1, 9, 3], [0, 1, 0]]), torch.tensor([[10.0, 20, 30]] * 3)

    def network(values):
        return lambda given: values.masked_fill(given == 0, -torch.inf)

    found = double_q_targets(
        torch.tensor([1.0, 2, 4]), masks, torch.tensor([0.0, 0, 1]), network(online), network(target), 0.5
    )
    assert found.tolist() == [6, 17, 4]


def test_bits_that_are_gone_have_no_value():
    masks = torch.tensor([[1.0, 0, 1, 0]])
    values = QNetwork(4, 8)(masks)[0]
    assert torch.isinf(values).tolist() == [False, True, False, True]


def test_the_memory_holds_the_newest_steps_and_what_follows_from_them():
    replay, k = Replay(size=5, k=6, n_bits=2), 6
    steps = []
    for number in range(8):
        mask = np.ones(k, np.uint8)
        mask[: number % 4] = 0  # 6 to 3 bits are kept
        steps.append((mask, 5 - number % 2, float(number)))
        replay.add(*steps[-1])
    masks, actions, rewards, next_masks, ends = replay.sample(200, np.random.default_rng(0))
    assert set(rewards.tolist()) == {3, 4, 5, 6, 7}
    for row in range(200):
        mask, action, _ = steps[int(rewards[row])]
        np.testing.assert_array_equal(masks[row], mask)
        assert int(actions[row, 0]) == action
        left = mask.copy()
        left[action] = 0
        np.testing.assert_array_equal(next_masks[row], left)
        assert bool(ends[row]) == (left.sum() == 2)


@pytest.mark.slow
def test_it_learns_where_the_optimum_is_known():
    """What the policy keeps lies at least three quarters of the way from a random subset's mean to the best of 495."""
    best = max(REWARD.of_bits(bits) for bits in itertools.combinations(range(12), 4))
    chance = REWARD(random_masks(12, 4, 200)).mean()
    args = replace(FEW, total_steps=1500, learning_starts=200, hidden=64)
    found = [train(replace(args, seed=seed), reward=REWARD) for seed in range(4)]
    learned = np.mean([each.history["policy_reward"] for each in found])
    assert learned > chance + 0.75 * (best - chance)
    untrained = [train(replace(args, seed=seed, learning_rate=0.0), reward=REWARD) for seed in range(4)]
    assert learned > np.mean([each.history["policy_reward"] for each in untrained]) + 0.25 * (best - chance)


def test_rewards_of_an_episode_add_up_and_each_drop_is_a_call(monkeypatch):
    stored = []
    monkeypatch.setattr(Replay, "add", lambda self, *step: stored.append(step))
    found = train(replace(FEW, total_steps=16, learning_starts=100), reward=REWARD)
    everything = REWARD.of_bits(range(12))
    for episode, reward in enumerate(found.history["reward"]):
        steps = stored[8 * episode : 8 * episode + 8]
        assert [int(mask.sum()) for mask, _, _ in steps] == [*range(12, 4, -1)]
        assert everything + sum(step[2] for step in steps) == pytest.approx(reward)
    assert found.calls == len({mask.tobytes() for mask, _, _ in stored}) + 2  # and the two ends
    assert found.history["calls"].tolist() == [9, found.calls]
    assert (np.diff(found.history["seconds"]) > 0).all()


def test_equal_seeds_give_equal_results_and_others_do_not():
    torch.manual_seed(5)
    one, again, other = (train(replace(FEW, seed=seed), CODES, LABELS) for seed in (1, 1, 2))
    for each in (one, again):
        each.history.pop("seconds")
    assert_same(one, again)
    assert not np.array_equal(one.history["reward"], other.history["reward"])


@pytest.mark.parametrize("budget", [1, 5, 9, 30])
def test_a_budget_is_kept_and_one_too_small_leaves_the_untrained_policy(budget):
    found = train(replace(FEW, budget=budget), CODES, LABELS)
    assert found.calls <= budget
    assert found.reward == pytest.approx(REWARD.of_bits(found.bits))
    if budget < 9:
        np.testing.assert_array_equal(found.bits, found.history["policy_bits"])


def test_all_bits_are_one_subset():
    found = train(replace(FEW, n_bits=12), CODES, LABELS)
    assert (found.calls, found.bits.tolist()) == (1, [*range(12)])


def test_a_pool_without_variance_teaches_nothing_and_ends():
    found = train(FEW, np.ones((20, 12), np.uint8), np.arange(20) % 2)
    assert len(found.bits) == 4
    assert np.isfinite(found.history["loss"]).all()


def test_a_search_that_was_given_counts_its_calls():
    search = Search(REWARD, 4, 60)
    found = search.run(lambda search, seed: train(replace(FEW, budget=60), reward=search).bits, 0, "dqn")
    assert found.calls == search.calls <= 60
    assert {"calls", "seconds", "best"} == set(found.history)
    assert select(CODES, LABELS, 4, method="dqn", budget=60).calls <= 60


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="n_bits is 13; give a whole number in 1..12 .the codes have 12 bits"):
        train(replace(FEW, n_bits=13), CODES, LABELS)
    with pytest.raises(ValueError, match="DQN diverged in step"):
        train(replace(FEW, learning_rate=1e30), CODES, LABELS)


def test_the_command_writes_a_selection_of_thermometer_bits(tmp_path, capsys):
    arrays = stage_2()
    artifacts.save_npz(tmp_path / "codes.npz", arrays, made_by="a test")
    files = ("--codes", tmp_path / "codes.npz", "--out", tmp_path / "s.json")
    run_main(dqn, *files, "--n-bits", 3, "--budget", 400, "--hidden", 8, "--no-progress")
    found, pool = Selection.load(tmp_path / "s.json"), candidates.of_arrays(arrays)
    assert found.method == "dqn"
    assert found.n_candidates == pool.reward_codes.shape[1]
    assert set(found.bits) <= set(pool.searched)
    assert set(found.history["policy_bits"]) <= set(pool.searched)
    assert pool.reward().of_bits(np.searchsorted(pool.searched, found.bits)) == pytest.approx(found.reward)
    assert f"an episode drops {pool.k - 3} bits" in capsys.readouterr().out
    assert "n_bits is 9999; give a whole number in" in refusal(dqn, *files, "--n-bits", 9999)
