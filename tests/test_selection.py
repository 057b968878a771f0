"""The MDP: both environments against each other and outside checkers, the reward against the metric it stands for.

A search says what its reward says, counts what is new, and loses nothing that its budget paid for.
"""

from __future__ import annotations

import json
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import artifacts, ppo, selection, selectors, thermometer
from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.metrics import mean_average_precision
from hashlib_nb.selection import (
    BitSelectionEnv,
    BitSelectionVectorEnv,
    BudgetSpent,
    Reward,
    Search,
    Selection,
    random_masks,
    reward_codes,
)
from tests.helpers import assert_same, noisy_codes

CODES, LABELS = noisy_codes()


def leave_one_out_map(codes, labels, bits) -> float:
    return mean_average_precision(codes[:, bits], codes[:, bits], labels, labels, leave_one_out=True)


def play(env, actions) -> list[tuple]:
    return [env.step(action) for action in actions]


# --- the single environment -------------------------------------------------------------------------------------------


def make(n_bits: int = 3, **options) -> gymnasium.Env:
    name = "hashlib_nb.selection:BitSelection-v0"
    return gymnasium.make(name, codes=CODES, labels=LABELS, n_bits=n_bits, **options)


def test_gymnasiums_checker_has_nothing_to_say():
    from gymnasium.utils.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(render_mode="ansi").unwrapped)


def test_stable_baselines3s_checker_has_nothing_to_say():
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make().unwrapped)


def test_an_outside_maskable_ppo_learns_on_it():
    maskable = pytest.importorskip("sb3_contrib")
    env = make(4).unwrapped
    settings = {"n_steps": 64, "batch_size": 64, "n_epochs": 6, "learning_rate": 1e-2, "gamma": 1.0}
    model = maskable.MaskablePPO("MlpPolicy", env, seed=0, device="cpu", **settings)
    model.learn(640)
    observation, _ = env.reset()
    for _ in range(4):
        action, _ = model.predict(observation, action_masks=env.action_masks(), deterministic=True)
        observation, reward, terminated, _, info = env.step(int(action))
    assert terminated
    assert len(set(info["bits"])) == 4
    assert reward > Reward(CODES, LABELS)(random_masks(12, 4, 100)).max()


@given(data=st.data(), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_an_episode_pays_once_and_what_the_metric_says(data, seed):
    k = data.draw(st.integers(1, 9))
    codes, labels = noisy_codes(20, k, 3, seed)
    p = data.draw(st.integers(1, k))
    actions = data.draw(st.permutations(range(k)))[:p]
    env = BitSelectionEnv(codes, labels, p)
    observation, info = env.reset()
    assert not observation.any()
    for step, action in enumerate(actions):
        np.testing.assert_array_equal(info["action_mask"], 1 - observation)
        np.testing.assert_array_equal(env.action_masks(), observation == 0)
        observation, reward, terminated, truncated, info = env.step(action)
        assert set(np.flatnonzero(observation)) == set(actions[: step + 1])
        assert (terminated, truncated) == (step == p - 1, False)
        assert ("bits" in info) == terminated
        if not terminated:
            assert reward == 0
    assert info["bits"] == actions
    assert reward == pytest.approx(leave_one_out_map(codes, labels, actions), abs=1e-12)


def test_a_kept_bit_chosen_again_changes_nothing():
    env, other = make().unwrapped, make().unwrapped
    env.reset(), other.reset()
    for observation, reward, terminated, truncated, info in play(env, [5, 5, 5]):
        np.testing.assert_array_equal(np.flatnonzero(observation), [5])
        assert (reward, terminated, truncated) == (0.0, False, False)
        assert "bits" not in info
    assert play(env, [2, 7])[-1][1] == play(other, [5, 2, 7])[-1][1]


def test_what_reset_returns_is_not_what_step_changes():
    env = make().unwrapped
    start, info = env.reset()
    first = env.step(4)[0]
    env.step(5)
    assert not start.any()
    assert info["action_mask"].all()
    np.testing.assert_array_equal(np.flatnonzero(first), [4])
    assert not env.reset()[0].any()


def test_rendering_shows_the_mask():
    env = make(render_mode="ansi").unwrapped
    env.reset()
    env.step(1)
    assert env.render() == "010000000000"
    assert make().unwrapped.render() is None


@pytest.mark.parametrize("action", [-1, 12])
def test_an_action_outside_the_codes_gets_a_sentence(action):
    env = make().unwrapped
    env.reset()
    with pytest.raises(ValueError, match=rf"action is {action}; give a whole number in 0\.\.11"):
        env.step(action)


def test_a_step_after_the_end_gets_a_sentence():
    env = make(1).unwrapped
    env.reset()
    env.step(0)
    with pytest.raises(ValueError, match="the episode is over, 1 bits are kept: call reset"):
        env.step(1)


# --- the vector environment -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "p"), [(1, 1), (6, 1), (6, 3), (6, 6), (65, 4)])
def test_the_vector_environment_steps_like_single_ones(k, p):
    """Gymnasium's own loop over single environments, SAME_STEP, is the oracle; actions repeat now and then."""
    codes, labels = noisy_codes(30, k)
    reward = Reward(codes, labels)
    vector = BitSelectionVectorEnv(reward, p, 3)
    singles = SyncVectorEnv(
        [lambda: BitSelectionEnv(reward=reward, n_bits=p)] * 3, autoreset_mode=AutoresetMode.SAME_STEP
    )
    rng = np.random.default_rng(p)
    np.testing.assert_array_equal(vector.reset(seed=0)[0], singles.reset(seed=0)[0])
    assert vector.observation_space == singles.observation_space
    assert vector.action_space == singles.action_space
    ended = 0
    for _ in range(6 * p + 5):
        actions = rng.integers(0, k, 3)
        ours, theirs = vector.step(actions), singles.step(actions)
        for mine, other in zip(ours[:4], theirs[:4], strict=True):
            np.testing.assert_array_equal(mine, other)
            assert mine.dtype == other.dtype
        assert ("final_obs" in ours[4]) == ("final_obs" in theirs[4])
        if "final_obs" not in ours[4]:
            continue
        for name in ("_final_obs", "_final_info"):
            np.testing.assert_array_equal(ours[4][name], theirs[4][name])
        for e in np.flatnonzero(ours[4]["_final_obs"]):
            ended += 1
            np.testing.assert_array_equal(ours[4]["final_obs"][e], theirs[4]["final_obs"][e])
            np.testing.assert_array_equal(ours[4]["final_info"]["bits"][e], theirs[4]["final_info"]["bits"][e])
        np.testing.assert_array_equal(vector.action_masks(), ours[0] == 0)
    assert ended >= 3


def test_reset_in_the_middle_forgets_everything():
    vector = BitSelectionVectorEnv(Reward(CODES, LABELS), 2, 2)
    vector.reset()
    vector.step(np.array([0, 1]))
    assert not vector.reset()[0].any()
    vector.step(np.array([3, 3]))
    *_, info = vector.step(np.array([4, 2]))
    np.testing.assert_array_equal(info["final_info"]["bits"], [[3, 4], [3, 2]])


def test_episodes_may_start_with_bits_kept():
    vector, reward = BitSelectionVectorEnv(Reward(CODES, LABELS), 3, 2), Reward(CODES, LABELS)
    observation, _ = vector.reset(options={"bits": [[5, 1], [0, 7]]})
    np.testing.assert_array_equal(observation, np.eye(12)[[5, 0]] + np.eye(12)[[1, 7]])
    _, rewards, terminated, _, info = vector.step(np.array([2, 3]))
    assert terminated.all()
    np.testing.assert_array_equal(info["final_info"]["bits"], [[5, 1, 2], [0, 7, 3]])
    np.testing.assert_array_equal(rewards, [reward.of_bits([1, 2, 5]), reward.of_bits([0, 3, 7])])
    assert not vector.reset()[0].any()


# --- the reward -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 8, 64, 65, 200])
def test_a_reward_is_the_metric_with_each_row_left_out_of_its_own_ranking(k):
    codes, labels = noisy_codes(40, k)
    reward = Reward(codes, labels)
    for p in sorted({1, (k + 1) // 2, k}):
        masks = random_masks(k, p, 3, seed=p)
        expected = [leave_one_out_map(codes, labels, np.flatnonzero(mask)) for mask in masks]
        np.testing.assert_allclose(reward(masks), expected, atol=1e-12)
        np.testing.assert_allclose(reward(masks.astype(bool)), expected, atol=1e-12)
        assert reward.of_bits(np.flatnonzero(masks[0])) == pytest.approx(expected[0], abs=1e-12)


def others_map(queries, codes, labels, bits) -> float:
    """Each query against a database from which its own row was taken, one by one."""
    found = []
    for i in range(len(codes)):
        rest = np.arange(len(codes)) != i
        if (labels[rest] & labels[i]).any():
            sides = queries[i : i + 1, bits], codes[rest][:, bits], labels[i : i + 1], labels[rest]
            found.append(mean_average_precision(*sides))
    return float(np.mean(found))


@given(data=st.data(), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_queries_with_codes_of_their_own_leave_their_row_out_where_it_lies(data, seed):
    rng = np.random.default_rng(seed)
    n, k = data.draw(st.integers(6, 18)), data.draw(st.sampled_from([3, 9, 70]))
    codes, labels = noisy_codes(n, k, 3, seed)
    queries = codes ^ (rng.random((n, k)) < data.draw(st.sampled_from([0.0, 0.3, 1.0]))).astype(np.uint8)
    reward = Reward(codes, labels, query_codes=queries)
    masks = random_masks(k, min(k, 3), 3, seed)
    expected = [others_map(queries, codes, labels, np.flatnonzero(mask)) for mask in masks]
    np.testing.assert_allclose(reward(masks), expected, atol=1e-12)
    flipped = masks[0] ^ np.eye(k, dtype=np.uint8)[:3]
    flipped = flipped[flipped.any(axis=1)]
    bits = [int(np.flatnonzero(each ^ masks[0])[0]) for each in flipped]
    expected = [others_map(queries, codes, labels, np.flatnonzero(mask)) for mask in flipped]
    np.testing.assert_allclose(reward.flipped(masks[0], bits), expected, atol=1e-12)


OWN = CODES ^ (np.random.default_rng(5).random(CODES.shape) < 0.2).astype(np.uint8)
"""Codes of the rows as queries."""


def test_queries_that_have_the_rows_own_codes_change_nothing():
    masks = random_masks(12, 4, 5)
    for n_queries in (2000, 20):
        plain, own = (Reward(CODES, LABELS, query_codes=each, n_queries=n_queries) for each in (None, CODES))
        np.testing.assert_array_equal(own(masks), plain(masks))
        assert len(own.given) == len(plain.given) + 1


def test_drawn_queries_bring_their_own_codes():
    reward = Reward(CODES, LABELS, query_codes=OWN, n_queries=13, seed=3)
    order = np.random.default_rng(3).permutation(60)
    query, rest = order[:13], order[13:]
    expected = mean_average_precision(OWN[query][:, [1, 2]], CODES[rest][:, [1, 2]], LABELS[query], LABELS[rest])
    assert reward.of_bits([2, 1]) == pytest.approx(expected, abs=1e-12)


def test_all_that_search_take_queries_of_their_own():
    reward = Reward(CODES, LABELS, query_codes=OWN)
    env = BitSelectionEnv(CODES, LABELS, 2, query_codes=OWN)
    env.reset()
    assert play(env, [5, 1])[-1][1] == reward.of_bits([5, 1]) != Reward(CODES, LABELS).of_bits([5, 1])
    args = ppo.Args(n_bits=3, total_episodes=32, hidden=8, progress=False)
    for found in (
        selectors.select(CODES, LABELS, 3, method="greedy", query_codes=OWN),
        ppo.train(args, CODES, LABELS, query_codes=OWN),
    ):
        assert found.reward == reward.of_bits(found.bits)


def test_given_queries_are_measured_against_given_rows():
    reward = Reward.of_queries(OWN[:9], LABELS[:9], CODES[9:], LABELS[9:])
    expected = mean_average_precision(OWN[:9], CODES[9:], LABELS[:9], LABELS[9:], bits=[3, 4])
    assert reward.of_bits([4, 3]) == pytest.approx(expected, abs=1e-12)


def test_drawn_queries_are_left_out_of_the_database():
    reward = Reward(CODES, LABELS, n_queries=13, seed=3)
    order = np.random.default_rng(3).permutation(60)
    query, rest = order[:13], order[13:]
    expected = mean_average_precision(CODES[query][:, [1, 2]], CODES[rest][:, [1, 2]], LABELS[query], LABELS[rest])
    assert reward.of_bits([2, 1]) == pytest.approx(expected, abs=1e-12)
    assert (reward.pairs.n_queries, reward.pairs.n_database) == (13, 47)
    others = {Reward(CODES, LABELS, n_queries=13, seed=seed).of_bits([1, 2]) for seed in range(5)}
    assert len(others) == 5


def test_n_queries_at_the_number_of_rows_uses_each():
    whole = Reward(CODES, LABELS).of_bits([0, 1, 2])
    assert Reward(CODES, LABELS, n_queries=60).of_bits([0, 1, 2]) == whole
    assert Reward(CODES, LABELS, n_queries=59).of_bits([0, 1, 2]) != whole


def test_flipped_bits_are_rewarded_and_counted_as_so_many_masks():
    reward, masks = Reward(CODES, LABELS), Reward(CODES, LABELS)
    mask = random_masks(reward.k, 3, 1, seed=4)[0]
    bits = [int(np.flatnonzero(mask)[1]), *np.flatnonzero(mask == 0)[:4]]
    flipped = np.repeat(mask[None], len(bits), axis=0)
    flipped[np.arange(len(bits)), bits] ^= 1
    np.testing.assert_array_equal(reward.flipped(mask, bits), masks(flipped))
    assert reward.calls == masks.calls == len(bits)
    reward.flipped(mask, bits)
    assert reward.calls == 2 * len(bits)  # a reward remembers nothing
    with pytest.raises(ValueError, match="indices must lie in"):
        reward.flipped(mask, [reward.k])


def test_the_order_of_rows_and_a_flipped_column_change_no_reward():
    order = np.random.default_rng(0).permutation(60)
    flipped = CODES ^ np.random.default_rng(1).integers(0, 2, 12).astype(np.uint8)
    masks = random_masks(12, 5, 4)
    np.testing.assert_allclose(Reward(CODES[order], LABELS[order])(masks), Reward(CODES, LABELS)(masks), atol=1e-12)
    np.testing.assert_allclose(Reward(flipped, LABELS)(masks), Reward(CODES, LABELS)(masks), atol=1e-12)


UNIQUE = np.eye(60, dtype=np.uint8)


VECTOR = BitSelectionVectorEnv(Reward(CODES, LABELS), 3, 2)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Reward(CODES.astype(float), LABELS), "codes is float64; expected 0/1 integers"),
        (lambda: Reward(2 * CODES.astype(int) - 1, LABELS), "codes has values from -1 to 1; map -1"),
        (lambda: Reward(CODES[0], LABELS), r"codes has shape \[12\]; expected a code matrix"),
        (lambda: Reward(CODES, np.arange(60)), "labels give no query a relevant row: at least two rows must share"),
        (lambda: Reward(CODES, np.arange(60), n_queries=5), "labels give no query a relevant row"),
        (lambda: Reward(CODES, np.arange(60.0)), r"labels is float64 \[60\]; class numbers are integers"),
        (lambda: Reward(CODES, LABELS[1:]), "labels has 59 rows for 60 codes; give one row"),
        (lambda: Reward(CODES[:1], LABELS[:1]), "codes has 1 row; a reward needs at least 2"),
        (lambda: Reward(CODES, LABELS, query_codes=CODES[1:]), r"query_codes is \[59, 12\] and codes \[60, 12\]; give"),
        (lambda: Reward(CODES, LABELS, query_codes=2 * CODES), "query_codes has values from 0 to 2"),
        (lambda: Reward(CODES, LABELS, n_queries=0), "n_queries is 0; give a whole number in 1"),
        (lambda: Reward(CODES, LABELS, n_queries=2.5), r"n_queries is 2\.5; give a whole number"),
        (lambda: Reward(CODES, LABELS, n_queries=10**12), "n_queries is 1000000000000; give a whole number in 1"),
        (lambda: Reward(CODES, LABELS, n_queries=5, seed=-1), r"seed is -1; give a whole number from 0 to 2\^64"),
        (lambda: Reward(CODES, LABELS, seed=0.5), r"seed is 0\.5; give a whole number"),
        (lambda: Search(Reward(CODES, LABELS), 2.0), r"n_bits is 2\.0; give a whole number in 1\.\.12"),
        (lambda: Search(Reward(CODES, LABELS), 2, 0), "budget is 0; give a whole number in 1"),
        (lambda: Search(Reward(CODES, LABELS), 2, 1.5), r"budget is 1\.5; give a whole number"),
        (lambda: random_masks(4, 5, 3), r"n_bits is 5; give a whole number in 1\.\.4 \(the codes have 4 bits\)"),
        (lambda: random_masks(4, 0, 3), "n_bits is 0; give a whole number"),
        (lambda: random_masks(10**9, 2, 3), r"k is 1000000000; give a whole number in 1\.\.65535"),
        (lambda: random_masks(64, 2, 10**9), r"number is 1000000000; .* \(what fits into 2 GB\)"),
        (lambda: random_masks(4, 2, 3, "0"), "seed is '0'; give a whole number"),
        (lambda: BitSelectionEnv(CODES, LABELS, 2).reset(seed=-1), "seed is -1; give a whole number"),
        (lambda: BitSelectionEnv(CODES, LABELS, 2).step(1.0), r"action is 1\.0; give a whole number in 0\.\.11"),
        (lambda: VECTOR.reset(seed=1.5), r"seed is 1\.5; give a whole number"),
        (lambda: VECTOR.reset(options={"bits": 5}), r"bits is \[\]; give \[2, fewer than 3\]"),
        (
            lambda: VECTOR.reset(options={"bits": [[1], [12]]}),
            r"bits runs from 1 to 12; give indices of bits in 0\.\.11",
        ),
        (lambda: VECTOR.reset(options={"bits": [[1, 1], [2, 3]]}), "bits names an index more than once in a row"),
        (lambda: VECTOR.step([0, -1]), "actions runs from -1 to 0; give indices"),
        (lambda: VECTOR.step([0.0, 1.0]), r"actions is float64 \[2\]; give indices"),
        (lambda: VECTOR.step([0, 1, 2]), r"actions is \[3\]; give one an episode, \[2\]"),
        (
            lambda: BitSelectionVectorEnv(Reward(CODES, LABELS), 3, 10**9),
            "num_envs is 1000000000; give a whole number in 1",
        ),
        (lambda: Reward(CODES, UNIQUE), "labels give no query a relevant row: at least two rows must share a label"),
        (lambda: Reward(CODES, UNIQUE, n_queries=5), "labels give no query a relevant row"),
        (lambda: Reward(CODES, 0 * LABELS), "labels give no query a relevant row"),
        (lambda: Reward(CODES, LABELS)(np.ones((1, 11), np.uint8)), "masks is 11 wide; the codes have 12 bits"),
        (lambda: Reward(CODES, LABELS)(np.full((1, 12), 0.5)), "masks is float64"),
        (lambda: Reward(CODES, LABELS).of_bits([0, 12]), "bits runs from 0 to 12; indices must lie in 0..11"),
        (lambda: Reward(CODES, LABELS).of_bits([1, 1]), "bits names an index more than once"),
        (
            lambda: BitSelectionEnv(CODES, LABELS, 0),
            r"n_bits is 0; give a whole number in 1\.\.12 \(the codes have 12 bits\)",
        ),
        (lambda: BitSelectionEnv(CODES, LABELS, 13), r"n_bits is 13; give a whole number in 1\.\.12"),
        (lambda: BitSelectionVectorEnv(Reward(CODES, LABELS), 13, 2), r"n_bits is 13; give a whole number in 1\.\.12"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_one_shared_label_is_enough():
    labels = np.eye(60, dtype=np.uint8)
    labels[7, 9] = 1  # row 7 and row 9 are relevant to each other; the other queries have nothing to find
    expected = leave_one_out_map(CODES, labels, [0, 1])
    assert Reward(CODES, labels).of_bits([0, 1]) == pytest.approx(expected)


# --- the search -------------------------------------------------------------------------------------------------------

REWARD = Reward(CODES, LABELS)
MASKS = random_masks(12, 4, 30, seed=1)


def test_a_search_says_what_the_reward_says():
    search = Search(REWARD, 4)
    np.testing.assert_allclose(search(MASKS), REWARD(MASKS), atol=1e-12)
    bits = np.array([7, 0, 11, 3])
    masks = np.repeat(MASKS[:1], 4, axis=0)
    masks[range(4), bits] ^= 1
    np.testing.assert_allclose(search.flipped(MASKS[0], bits), REWARD(masks), atol=1e-12)


def test_a_search_tells_seconds_by_the_clock_that_it_is_given():
    ticks = iter(range(100))
    search = Search(REWARD, 4, clock=lambda: float(next(ticks)))
    search(np.eye(12, dtype=np.uint8)[:1])  # a subset of another size is no answer, and leaves no trace
    search(selection.random_masks(12, 4, 1))
    assert search.trace[-1][1] == 1.0  # the first tick was the beginning
    assert search.seconds == 2.0


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


@given(rows=st.lists(st.integers(0, 7), min_size=1, max_size=12), split=st.integers(0, 12))
@settings(max_examples=50, deadline=None)
def test_the_memo_changes_no_value_and_counts_distinct_subsets(rows, split):
    pool = random_masks(12, 3, 8, seed=1)
    with_memo, without = Search(Reward(CODES, LABELS), 3), Search(Reward(CODES, LABELS), 3, memo=False)
    for part in (rows[:split], rows[split:]):
        if part:
            np.testing.assert_array_equal(with_memo(pool[part]), without(pool[part]))
    assert with_memo.calls == with_memo.reward.calls == len({pool[row].tobytes() for row in rows})
    assert without.calls == without.reward.calls == len(rows)
    assert with_memo.best == without.best
    np.testing.assert_array_equal(with_memo.best_bits, without.best_bits)


def test_a_seen_subset_is_answered_without_the_codes(monkeypatch):
    search = Search(REWARD, 4)
    first = search(MASKS)
    monkeypatch.setattr(selection.reward, "map_of_masks", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(search(MASKS[::-1]), first[::-1])


def test_without_a_memo_repeats_spend_the_budget():
    search = Search(REWARD, 4, budget=7, memo=False)
    search(np.vstack([MASKS[:2], MASKS[:2]]))
    search.flipped(MASKS[0], [3, 5])
    assert search.calls == 6
    with pytest.raises(BudgetSpent) as end:
        search(MASKS[[0, 0, 1]])
    np.testing.assert_allclose(end.value.values, [*REWARD(MASKS[:1]), -np.inf, -np.inf], atol=1e-12)
    assert search.calls == 7
    assert search.selection(None, "mine").reward == pytest.approx(search.best)


@pytest.mark.parametrize("memo", [True, False])
def test_a_restored_search_goes_on_where_it_was(memo):
    search, restored = (Search(REWARD, 4, budget=40, memo=memo) for _ in range(2))
    search(MASKS[:20])
    restored.restore(json.loads(json.dumps(search.state())))
    assert restored.seconds >= search.trace[-1][1]
    for each in (search, restored):
        each(MASKS[10:25])
    assert restored.calls == search.calls == (25 if memo else 35)
    assert restored.best == search.best
    np.testing.assert_array_equal(restored.best_bits, search.best_bits)
    assert [(calls, best) for calls, _, best in restored.trace] == [(calls, best) for calls, _, best in search.trace]


def test_the_state_of_a_search_that_asked_for_nothing_restores_one():
    restored = Search(REWARD, 4)
    restored.restore(Search(REWARD, 4).state())
    assert (restored.calls, restored.best, restored.best_bits, restored.trace) == (0, -np.inf, None, [])


def test_a_search_in_a_search_counts_its_own_and_keeps_to_the_outer_budget():
    outer = Search(REWARD, 4, budget=10)
    outer(MASKS[:3])
    inner = Search(outer, 4)
    np.testing.assert_array_equal(inner(MASKS[:5]), outer(MASKS[:5]))
    assert (inner.calls, outer.calls) == (5, 5)
    with pytest.raises(BudgetSpent):
        inner(MASKS[5:20])
    assert outer.calls == 10


def test_a_mask_of_another_width_is_not_answered_from_the_memo():
    search = Search(REWARD, 12)
    search(np.ones((1, 12), np.uint8))
    with pytest.raises(ValueError, match="masks is 13 wide"):
        search(np.array([[1] * 12 + [0]], np.uint8))  # packs to the same bytes


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
    with pytest.raises(ValueError, match=r"n_bits is 13; give a whole number in 1\.\.12"):
        Search(REWARD, 13)


# --- reward codes and masks -------------------------------------------------------------------------------------------

STAGE_2 = {
    "train_codes": np.zeros((6, 2), np.uint8),
    "out_of_fold_codes": np.arange(12).reshape(6, 2) % 2,
    "view_codes": np.arange(12).reshape(6, 2) % 3,
    "train_labels": np.arange(6)[:, None],
    "fold": np.array([2, 0, 1, 0, 2, 1]),
}


@pytest.mark.parametrize(
    ("kind", "name", "rows"),
    [
        ("in_sample", "train_codes", range(6)),
        ("crossfit", "out_of_fold_codes", range(6)),
        ("views", "view_codes", range(6)),
        ("holdout", "out_of_fold_codes", [1, 3]),
    ],
)
def test_which_codes_a_reward_sees(kind, name, rows):
    codes, labels = reward_codes(kind, STAGE_2)
    np.testing.assert_array_equal(codes, STAGE_2[name][rows])
    np.testing.assert_array_equal(labels, STAGE_2["train_labels"][rows])


def test_reward_codes_say_what_is_missing():
    with pytest.raises(ValueError, match="reward_codes must be one of crossfit, views, holdout, in_sample, not 'test'"):
        reward_codes("test", STAGE_2)
    with pytest.raises(ValueError, match="has no fold, out_of_fold_codes, train_labels: give the codes.npz"):
        reward_codes("crossfit", {"train_codes": STAGE_2["train_codes"]})
    no_folds = {**STAGE_2, "fold": np.zeros(0, int), "out_of_fold_codes": STAGE_2["train_codes"][:0]}
    for kind in ("crossfit", "holdout"):
        with pytest.raises(ValueError, match=f"made with folds=0, so there are none for reward_codes='{kind}'"):
            reward_codes(kind, no_folds)
    assert len(reward_codes("in_sample", no_folds)[0]) == len(reward_codes("views", no_folds)[0]) == 6
    with pytest.raises(ValueError, match="has no view_codes: .* with a recipe that makes views, such as tuned"):
        reward_codes("views", {name: each for name, each in STAGE_2.items() if name != "view_codes"})


@given(data=st.data(), k=st.sampled_from([1, 2, 7, 64, 200]), number=st.integers(1, 20), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_random_masks_keep_exactly_p(data, k, number, seed):
    p = data.draw(st.integers(1, k))
    masks = random_masks(k, p, number, seed)
    assert masks.shape == (number, k)
    assert masks.dtype == np.uint8
    assert set(masks.sum(axis=1).tolist()) == {p}
    np.testing.assert_array_equal(masks, random_masks(k, p, number, seed))


def test_random_masks_are_uniform_over_subsets():
    """Chi-square over all 20 subsets of 3 of 6 bits; 44 is its 0.1% point at 19 degrees of freedom."""
    masks = random_masks(6, 3, 4000, seed=5)
    _, counts = np.unique(masks, axis=0, return_counts=True)
    assert len(counts) == 20
    assert ((counts - 200) ** 2 / 200).sum() < 44
    assert (masks != random_masks(6, 3, 4000, seed=6)).any()


# --- selections on disk -----------------------------------------------------------------------------------------------


def a_selection(**changes) -> Selection:
    history = {"best": np.array([0.25, 0.5]), "policy_bits": np.array([3, 1]), "policy_reward": np.array(0.5)}
    about = {"bits": np.array([3, 0]), "reward": 0.5, "calls": 7, "method": "ppo", "n_candidates": 5}
    return Selection(**{**about, "history": history, **changes})


def graded_selection(**changes) -> Selection:
    """Thermometer bits: candidate 3 asks output 1 at one threshold, candidate 0 output 0 at another."""
    thresholds = np.array([np.log(0.7 / 0.3), -np.pi], np.float32)
    return a_selection(outputs=np.array([1, 0]), thresholds=thresholds, **changes)


def test_the_mask_of_a_selection():
    np.testing.assert_array_equal(a_selection().mask, [True, False, False, True, False])


def test_a_selection_comes_back_from_json_in_its_order(tmp_path):
    a_selection().save(tmp_path / "s.json")
    assert_same(Selection.load(tmp_path / "s.json"), a_selection())
    written = json.loads((tmp_path / "s.json").read_text())
    assert written["bits"] == [3, 0]
    assert not {"outputs", "thresholds", "levels"} & {*written}


def test_what_kept_bits_ask_comes_back_to_the_last_digit(tmp_path):
    made = graded_selection()
    made.save(tmp_path / "s.json")
    assert_same(Selection.load(tmp_path / "s.json"), made)
    written = json.loads((tmp_path / "s.json").read_text())
    assert written["levels"] == pytest.approx([0.7, 1 / (1 + np.exp(np.pi))], rel=1e-5)
    for _ in range(2):
        assert_same(selection.load_or_make(tmp_path / "s.npz", {"seed": 0}, graded_selection), made)
    outputs, thresholds = thermometer.read_meaning(tmp_path / "s.json")
    assert_same(
        {"outputs": outputs, "thresholds": thresholds}, {"outputs": made.outputs, "thresholds": made.thresholds}
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[1, 2]", 's.json holds no "bits"'),
        ("3", 's.json holds no "bits"'),
        ("{}", 's.json holds no "bits"'),
        ('{"bits": [1], "history": {}}', "s.json holds no selection"),
        ('{"bits": [1], "history": 3}', "s.json holds no selection"),
        ('{"bits": ["a"], "history": {}}', 's.json has "bits" that are no list of whole numbers'),
        ('{"bits": [1, 5], "n_candidates": 5}', "s.json: bits runs from 1 to 5; indices must lie in 0..4"),
    ],
)
def test_foreign_json_is_named(tmp_path, text, sentence):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(ArtifactError, match=sentence):
        Selection.load(tmp_path / "s.json")


def test_a_missing_or_truncated_selection_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="s.json does not exist"):
        Selection.load(tmp_path / "s.json")
    (tmp_path / "s.json").write_text('{"bits": [1,')
    with pytest.raises(ArtifactError, match="s.json is truncated or no JSON file"):
        Selection.load(tmp_path / "s.json")


def test_a_selection_made_once_is_loaded_afterwards(tmp_path, capsys):
    path = tmp_path / "s.npz"
    made = selection.load_or_make(path, {"seed": 0}, a_selection)
    loaded = selection.load_or_make(path, {"seed": 0}, lambda: pytest.fail("made again"))
    for found in (made, loaded):
        assert_same(found, a_selection())
    selection.load_or_make(path, {"seed": 1}, lambda: a_selection(reward=0.75))
    assert "(seed=0, now 1); making it anew" in capsys.readouterr().out
    assert selection.load_or_make(path, {"seed": 1}, a_selection).reward == 0.75


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.text(max_size=4),
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(-2, 6), st.floats(), st.lists(st.integers())), max_size=4),
    st.dictionaries(st.sampled_from(["best", "x"]), st.one_of(st.none(), st.lists(st.floats() | st.text()))),
)  # fmt: skip


@given(
    name=st.sampled_from(["bits", "reward", "calls", "method", "n_candidates", "history", "outputs", "thresholds"]),
    value=JUNK,
    drop=st.booleans(),
)
def test_an_edited_file_is_a_selection_all_the_same_or_named(tmp_path_factory, name, value, drop):
    path = tmp_path_factory.getbasetemp() / "edited.json"
    path.unlink(missing_ok=True)
    graded_selection().save(path)
    about = json.loads(path.read_text())
    del about[name]
    path.write_text(json.dumps(about if drop else about | {name: value}))
    found, said = None, ""
    try:
        found = Selection.load(path)
    except ArtifactError as error:
        said = str(error)
    if found is None:
        assert "edited.json" in said
        assert len(said.splitlines()) == 1
        return
    assert found.mask.sum() == len(found.bits) > 0
    assert (found.outputs is None) == (found.thresholds is None)
    assert found.outputs is None or found.outputs.shape == found.thresholds.shape == found.bits.shape
    assert np.isfinite(found.reward)
    assert found.calls >= 0


@pytest.mark.parametrize("name", ["bits", "reward", "calls", "method", "n_candidates", "outputs", "thresholds"])
@pytest.mark.parametrize("value", [None, np.array(["a", "b"]), np.array([7.5]), np.array([-1, 9])])
def test_a_stored_selection_of_another_form_is_named_and_made_anew(tmp_path, capsys, name, value):
    path = tmp_path / "s.npz"
    selection.load_or_make(path, {"seed": 0}, graded_selection)
    arrays, meta = artifacts.load_npz(path)
    arrays.pop(name)
    these_would_do = (("reward", [7.5]), ("thresholds", [-1, 9]))
    if value is not None and (name, value.tolist()) not in these_would_do:
        arrays[name] = value
    artifacts.save_npz(path, arrays, **meta)
    assert_same(selection.load_or_make(path, {"seed": 0}, graded_selection), graded_selection())
    assert "s.npz cannot be used (" in capsys.readouterr().out


# --- class numbers, seeds, rewards that are none ----------------------------------------------------------------------


@pytest.mark.parametrize("n_queries", [20, 2000])
def test_class_numbers_are_rewarded_as_their_one_hot_rows(n_queries):
    numbers = np.array([5, -1, 0, 10**12])[LABELS.argmax(axis=1)]
    rewards = [Reward(CODES, labels, n_queries=n_queries) for labels in (LABELS, numbers)]
    masks = random_masks(12, 4, 9)
    np.testing.assert_array_equal(*(reward(masks) for reward in rewards))
    np.testing.assert_array_equal(*(reward.flipped(masks[0], range(12)) for reward in rewards))


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 2**63, 2**64 - 1])
def test_any_seed_below_2_to_the_64_draws_queries_and_masks(seed):
    one, other = (Reward(CODES, LABELS, n_queries=9, seed=seed)(random_masks(12, 3, 4, seed)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    BitSelectionEnv(CODES, LABELS, 2, seed=seed).reset(seed=seed)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_not_finite_is_named(value, monkeypatch):
    reward = Reward(CODES, LABELS)
    monkeypatch.setattr(Reward, "__call__", lambda self, masks: np.full(len(masks), value))
    with pytest.raises(ValueError, match=f"reward gave {value} for a subset of bits; it must be finite"):
        Search(reward, 3)(random_masks(12, 3, 2))


def test_codes_of_another_length_than_their_labels_are_named():
    arrays = {"train_codes": CODES, "out_of_fold_codes": CODES, "train_labels": LABELS, "fold": np.zeros(60, int)}
    for name in ("train_labels", "fold", "out_of_fold_codes"):
        with pytest.raises(ValueError, match="not one label and fold for each training picture"):
            reward_codes("crossfit", arrays | {name: arrays[name][1:]})
