"""An order's reward, its exchanges and PPO's episodes against what they say; codes cut by it; what cannot be."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from hashlib_nb import artifacts, ppo
from hashlib_nb.selection import Reward
from hashlib_nb.selectors import PREFIX_LENGTHS, nested, nested_order, prefix_lengths, select
from hashlib_nb.selectors import __main__ as command
from hashlib_nb.selectors.nested import OrderSearch, PrefixVectorEnv, exchange_gains, exchanged
from tests.helpers import noisy_codes, refusal, run_main

CODES, LABELS = noisy_codes(n=70, k=12)
REWARD = Reward(CODES, LABELS)
LENGTHS = (2, 3, 5)


def value(order, lengths=LENGTHS) -> float:
    """The definition: the mean mAP of the prefixes."""
    return float(np.mean([REWARD.of_bits(order[:length]) for length in lengths]))


@pytest.mark.parametrize(
    ("n_bits", "lengths", "found"),
    [
        (64, PREFIX_LENGTHS, (4, 8, 12, 16, 24, 32, 48, 64)),
        (20, PREFIX_LENGTHS, (4, 8, 12, 16, 20)),
        (3, PREFIX_LENGTHS, (3,)),
        (9, (7, 2), (2, 7, 9)),
    ],
)
def test_lengths_are_those_below_p_and_p(n_bits, lengths, found):
    assert prefix_lengths(n_bits, lengths) == found


@pytest.mark.parametrize("method", ["greedy", "ppo"])
@pytest.mark.parametrize("budget", [60, 400])
def test_a_nested_order_keeps_its_promises(method, budget):
    found, again = (
        nested_order(CODES, LABELS, 5, method=method, lengths=(2, 3), budget=budget, seed=2) for _ in range(2)
    )
    assert len(set(found.bits.tolist())) == 5
    assert found.reward == pytest.approx(value(found.bits))
    assert found.calls <= budget
    assert found.history["prefix_lengths"].tolist() == [2, 3, 5]
    for length, reward in zip(LENGTHS, found.history["prefix_rewards"], strict=True):
        assert reward == pytest.approx(REWARD.of_bits(found.bits[:length]))
    assert (np.diff(found.history["calls"]) >= 0).all()
    assert (np.diff(found.history["seconds"]) >= 0).all()
    assert found.history["best"][-1] == found.reward
    np.testing.assert_array_equal(found.bits, again.bits)
    assert (found.reward, found.calls) == (again.reward, again.calls)


@pytest.mark.parametrize("place", range(5))
def test_an_exchange_gains_what_the_definition_says(place):
    search, order = OrderSearch(REWARD, LENGTHS), np.array([7, 2, 9, 4, 0])
    outside = [bit for bit in range(12) if bit not in order]
    bits, gains = exchange_gains(search, order, place, outside)
    first = next(length for length in LENGTHS if length > place)
    assert set(bits.tolist()) == {*outside, *order[first:].tolist()}
    for bit, gain in zip(bits, gains, strict=True):
        made = exchanged(order, place, bit)
        assert sorted(made) == sorted({*order.tolist(), bit} - ({order[place]} if bit in outside else set()))
        assert made[place] == bit
        assert gain == pytest.approx(value(made) - value(order), abs=1e-12)


def test_no_exchange_helps_the_order_that_is_found_and_it_is_no_worse_than_greedys():
    found = nested_order(CODES, LABELS, 5, lengths=LENGTHS)
    greedy = select(CODES, LABELS, 5, method="greedy").bits
    assert found.reward >= value(greedy) - 1e-12
    search = OrderSearch(REWARD, LENGTHS)
    outside = np.setdiff1d(np.arange(12), found.bits)  # fewer than `OUTSIDERS`, so that all were tried
    for place in range(5):
        assert exchange_gains(search, found.bits, place, outside)[1].max(initial=0) < 1e-9


def test_the_mean_over_lengths_is_traded_between_them():
    """Of all orders of 3 of 8 bits the best by enumeration is found, which no order of the best sets need be."""
    codes, labels = noisy_codes(n=50, k=8, seed=4)
    reward = Reward(codes, labels)
    orders = list(itertools.permutations(range(8), 3))
    values = [np.mean([reward.of_bits(order[:length]) for length in (1, 2, 3)]) for order in orders]
    ours = nested_order(codes, labels, 3, lengths=(1, 2), method="ppo", budget=92)
    assert ours.reward == pytest.approx(max(values), abs=1e-12)


def test_of_one_length_it_is_a_choice_for_that_length():
    found = nested_order(CODES, LABELS, 4, lengths=(4,))
    assert found.reward >= select(CODES, LABELS, 4, method="greedy").reward - 1e-12


def test_a_budget_short_of_greedys_still_buys_an_order_that_is_good_to_its_end():
    """Of 10 bits in 7 copies each, greedy's 200 calls are spent on its first 3, and the next best are copies."""
    codes, labels = noisy_codes(n=60, k=10, classes=12, seed=1)
    reward = Reward(np.repeat(codes, 7, axis=1), labels)
    found = nested_order(None, None, 20, budget=200, reward=reward)
    cut = select(None, None, 20, method="greedy", budget=200, reward=reward).bits
    assert found.calls <= 200
    assert found.reward > np.mean([reward.of_bits(cut[:length]) for length in prefix_lengths(20)])


def test_calls_are_distinct_prefixes():
    seen = set()

    class Spy(Reward):
        def __call__(self, masks):
            seen.update(np.asarray(mask).tobytes() for mask in masks)
            return super().__call__(masks)

        def flipped(self, mask, bits):
            for bit in bits:
                seen.add((mask ^ (np.arange(12) == bit)).astype(np.uint8).tobytes())
            return super().flipped(mask, bits)

    for method in ("greedy", "ppo"):
        seen.clear()
        found = nested_order(None, None, 5, lengths=LENGTHS, method=method, budget=300, reward=Spy(CODES, LABELS))
        assert found.calls == len(seen)


# --- PPO's episodes ---------------------------------------------------------------------------------------------------


def test_an_episode_is_paid_at_its_prefixes_and_returns_the_orders_reward():
    env = PrefixVectorEnv(OrderSearch(REWARD, LENGTHS), 2)
    env.reset()
    orders = np.array([[7, 2, 9, 4, 0], [1, 3, 5, 7, 9]])
    paid = []
    for step in range(5):
        _, rewards, terminated, _, info = env.step(orders[:, step])
        paid.append(rewards)
        assert terminated.tolist() == [step == 4] * 2
    paid = np.array(paid)
    assert np.flatnonzero(paid.any(axis=1)).tolist() == [1, 2, 4]
    for order, rewards in zip(orders, paid.T, strict=True):
        assert rewards[1] == pytest.approx(REWARD.of_bits(order[:2]) / 3)
        assert rewards.sum() == pytest.approx(value(order))
    np.testing.assert_array_equal(info["final_info"]["bits"], orders)
    assert env.reward_of.best == pytest.approx(max(map(value, orders)))


def test_a_start_from_the_best_order_leaves_its_bits_in_their_places():
    search = OrderSearch(REWARD, LENGTHS)
    env = PrefixVectorEnv(search, 2)
    env.reset()
    for bit in (7, 2, 9, 4, 0):
        env.step(np.array([bit, bit]))
    calls = search.calls
    observation, _ = env.reset(options={"bits": np.array([[2, 9, 0], [7, 9, 4]])})  # places 0 and 3, 1 and 4 are free
    assert observation.sum(axis=1).tolist() == [3, 3]
    _, first, *_ = env.step(np.array([5, 1]))
    assert first[0] == pytest.approx((REWARD.of_bits([5, 2]) + REWARD.of_bits([5, 2, 9])) / 3)
    assert first[1] == pytest.approx((REWARD.of_bits([7, 1]) + REWARD.of_bits([7, 1, 9])) / 3)
    _, second, _, _, info = env.step(np.array([8, 6]))
    orders = info["final_info"]["bits"]
    assert orders.tolist() == [[5, 2, 9, 8, 0], [7, 1, 9, 4, 6]]
    for order, paid in zip(orders, first + second, strict=True):
        assert paid == pytest.approx(value(order))
    assert search.calls == calls + 6


def test_a_repeated_action_changes_nothing_and_bits_that_are_none_are_refused():
    env = PrefixVectorEnv(OrderSearch(REWARD, LENGTHS), 1)
    env.reset()
    env.step(np.array([7]))
    _, rewards, terminated, *_ = env.step(np.array([7]))
    assert (rewards.tolist(), terminated.tolist()) == ([0.0], [False])
    for bit in (2, 9, 4, 0):
        _, _, terminated, _, info = env.step(np.array([bit]))
    assert info["final_info"]["bits"].tolist() == [[7, 2, 9, 4, 0]]
    with pytest.raises(ValueError, match="actions runs from 12 to 12"):
        env.step(np.array([12]))


def test_ppo_learns_to_order():
    """The order that the policy takes by likelihood is better than that of most random orders."""
    search = OrderSearch(REWARD, LENGTHS)
    args = ppo.Args(n_bits=5, total_episodes=2048, hidden=64, progress=False)
    found = ppo.train(args, reward=search, envs=PrefixVectorEnv(search, args.episodes))
    chance = nested.random_orders(REWARD, LENGTHS, 200, 0).mean(axis=1)
    assert value(found.history["policy_bits"]) > np.quantile(chance, 0.95)
    assert found.reward == pytest.approx(value(found.bits))
    assert found.history["reward"].max() <= found.reward + 1e-12


# --- files and refusals -----------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path) -> tuple:
    np.save(tmp_path / "codes.npy", CODES)
    np.save(tmp_path / "labels.npy", LABELS)
    out = tmp_path / "kept"
    return ("--codes", tmp_path / "codes.npy", "--labels", tmp_path / "labels.npy", "--out", out, "--no-progress"), out


@pytest.mark.parametrize("method", ["greedy", "ppo"])
def test_the_command_writes_an_order_and_what_its_prefixes_are_worth(files, method, capsys):
    options, out = files
    run_main(command, *options, "--n-bits", 6, "--nested", "--method", method, "--budget", 300, "--lengths", 2, 4)
    report = artifacts.load_json(out / "report.json")
    found = nested_order(CODES, LABELS, 6, lengths=(2, 4), method=method, budget=300)
    assert np.load(out / "bits.npy").tolist() == report["bits"] == found.bits.tolist()
    assert report["prefix_lengths"] == [2, 4, 6]
    assert report["prefix_rewards"] == pytest.approx([REWARD.of_bits(report["bits"][:length]) for length in (2, 4, 6)])
    assert report["reward"] == pytest.approx(np.mean(report["prefix_rewards"]))
    assert report["reward_of_random_subsets"]["mean"] < report["reward"]
    assert "mAP of prefixes: 2 bits " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--nested", "--method", "cem"), "method must be one of greedy, ppo for a nested order, not 'cem'"),
        (("--nested", "--lengths", 0), "lengths is 0; give a whole number in 1"),
        (("--nested", "--lengths", 2, 2), "lengths"),
        (("--lengths", 2), "lengths is (2,), of which --nested alone takes the mean"),
        (("--nested", "--budget", 1), "budget is 1; give 2 or more, one for each of 2 prefixes"),
        (("--nested", "--method", "ppo", "--budget", 31), "budget is 31; give 32 or more"),
        (("--nested", "--n-bits", 13), "n_bits is 13; give a whole number in 1..12"),
    ],
)
def test_what_cannot_be_is_refused_before_it_writes(files, options, sentence):
    given, out = files
    assert sentence in refusal(command, *given, "--n-bits", 6, *options)
    assert not out.exists()


def test_a_pool_without_variance_has_any_order():
    found = nested_order(np.ones((20, 9), np.uint8), np.arange(20) % 2, 5)
    assert len(set(found.bits.tolist())) == 5


def test_the_report_is_json(files):
    options, out = files
    run_main(command, *options, "--n-bits", 3, "--nested")
    assert json.loads((out / "report.json").read_text())["method"] == "nested greedy"
