"""The MDP: both environments against each other and outside checkers, the reward against the metric it stands for."""

from __future__ import annotations

import json
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import selection
from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.metrics import mean_average_precision
from hashlib_nb.selection import BitSelectionEnv, BitSelectionVectorEnv, Reward, Selection, random_masks, reward_codes


def noisy_codes(n: int = 60, k: int = 12, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Class codes whose bits flip more and more often from the first to the last, and one-hot labels."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % classes
    flips = rng.random((n, k)) < np.linspace(0.05, 0.5, k)
    return rng.integers(0, 2, (classes, k))[label].astype(np.uint8) ^ flips, np.eye(classes, dtype=np.uint8)[label]


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
    with pytest.raises(ValueError, match=rf"action must be in 0..11, not {action}"):
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


@given(rows=st.lists(st.integers(0, 7), min_size=1, max_size=12), split=st.integers(0, 12))
@settings(max_examples=50, deadline=None)
def test_the_memo_changes_no_value_and_counts_distinct_subsets(rows, split):
    pool = random_masks(12, 3, 8, seed=1)
    with_memo, without = Reward(CODES, LABELS), Reward(CODES, LABELS, memo=False)
    for part in (rows[:split], rows[split:]):
        if part:
            np.testing.assert_array_equal(with_memo(pool[part]), without(pool[part]))
    assert with_memo.calls == len({pool[row].tobytes() for row in rows})
    assert without.calls == len(rows)


def test_a_seen_subset_is_answered_without_the_codes(monkeypatch):
    reward, masks = Reward(CODES, LABELS), random_masks(12, 3, 5)
    first = reward(masks)
    monkeypatch.setattr(selection, "map_of_masks", lambda *_: pytest.fail("computed again"))
    np.testing.assert_array_equal(reward(masks[::-1]), first[::-1])


@pytest.mark.parametrize("memo", [True, False])
def test_flipped_bits_are_rewarded_and_counted_as_so_many_masks(memo):
    reward, masks = Reward(CODES, LABELS, memo=memo), Reward(CODES, LABELS)
    mask = random_masks(reward.k, 3, 1, seed=4)[0]
    bits = [int(np.flatnonzero(mask)[1]), *np.flatnonzero(mask == 0)[:4]]
    flipped = np.repeat(mask[None], len(bits), axis=0)
    flipped[np.arange(len(bits)), bits] ^= 1
    seen = masks(flipped[2:3])
    np.testing.assert_array_equal(reward(flipped[2:3]), seen)
    np.testing.assert_array_equal(reward.flipped(mask, bits), masks(flipped))
    assert reward.calls == len(bits) + (not memo)
    with pytest.raises(ValueError, match="indices must lie in"):
        reward.flipped(mask, [reward.k])


def test_a_restored_memo_goes_on_where_it_was():
    reward, masks = Reward(CODES, LABELS), random_masks(12, 3, 5)
    values = reward(masks)
    restored = Reward(CODES, LABELS)
    restored.restore(json.loads(json.dumps(reward.state())))
    np.testing.assert_array_equal(restored(masks), values)
    assert restored.calls == reward.calls == 5
    restored.of_bits(range(12))
    assert restored.calls == 6
    plain = Reward(CODES, LABELS, memo=False)
    plain.restore(reward.state())
    assert plain.calls == 5


def test_the_order_of_rows_and_a_flipped_column_change_no_reward():
    order = np.random.default_rng(0).permutation(60)
    flipped = CODES ^ np.random.default_rng(1).integers(0, 2, 12).astype(np.uint8)
    masks = random_masks(12, 5, 4)
    np.testing.assert_allclose(Reward(CODES[order], LABELS[order])(masks), Reward(CODES, LABELS)(masks), atol=1e-12)
    np.testing.assert_allclose(Reward(flipped, LABELS)(masks), Reward(CODES, LABELS)(masks), atol=1e-12)


UNIQUE = np.eye(60, dtype=np.uint8)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Reward(CODES.astype(float), LABELS), "codes is float64; expected 0/1 integers"),
        (lambda: Reward(2 * CODES.astype(int) - 1, LABELS), "codes has values from -1 to 1; map -1"),
        (lambda: Reward(CODES[0], LABELS), r"codes has shape \[12\]; expected a code matrix"),
        (lambda: Reward(CODES, np.arange(60)), r"labels has shape \[60\]; expected a label matrix"),
        (lambda: Reward(CODES, LABELS[1:]), "labels has 59 rows for 60 codes; give one row"),
        (lambda: Reward(CODES[:1], LABELS[:1]), "a reward needs 2 codes and 1 query at least, not 1 and"),
        (lambda: Reward(CODES, LABELS, n_queries=0), "a reward needs 2 codes and 1 query at least, not 60 and 0"),
        (lambda: Reward(CODES, UNIQUE), "labels give no query a relevant row: at least two rows must share a label"),
        (lambda: Reward(CODES, UNIQUE, n_queries=5), "labels give no query a relevant row"),
        (lambda: Reward(CODES, 0 * LABELS), "labels give no query a relevant row"),
        (lambda: Reward(CODES, LABELS)(np.ones((1, 11), np.uint8)), "masks is 11 wide; the codes have 12 bits"),
        (lambda: Reward(CODES, LABELS)(np.full((1, 12), 0.5)), "masks is float64"),
        (lambda: Reward(CODES, LABELS).of_bits([0, 12]), "bits runs from 0 to 12; indices must lie in 0..11"),
        (lambda: Reward(CODES, LABELS).of_bits([1, 1]), "bits names an index more than once"),
        (lambda: BitSelectionEnv(CODES, LABELS, 0), "n_bits must be in 1..12, for the codes have 12 bits, not 0"),
        (lambda: BitSelectionEnv(CODES, LABELS, 13), "n_bits must be in 1..12, for the codes have 12 bits, not 13"),
        (lambda: BitSelectionVectorEnv(Reward(CODES, LABELS), 13, 2), "n_bits must be in 1..12"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_mask_of_another_width_is_not_answered_from_the_memo():
    reward = Reward(CODES, LABELS)
    reward(np.ones((1, 12), np.uint8))
    with pytest.raises(ValueError, match="masks is 13 wide"):
        reward(np.array([[1] * 12 + [0]], np.uint8))  # packs to the same bytes


def test_one_shared_label_is_enough():
    labels = np.eye(60, dtype=np.uint8)
    labels[7, 9] = 1  # row 7 and row 9 are relevant to each other; the other queries have nothing to find
    expected = leave_one_out_map(CODES, labels, [0, 1])
    assert Reward(CODES, labels).of_bits([0, 1]) == pytest.approx(expected)


# --- reward codes and masks -------------------------------------------------------------------------------------------

STAGE_2 = {
    "train_codes": np.zeros((6, 2), np.uint8),
    "out_of_fold_codes": np.arange(12).reshape(6, 2) % 2,
    "train_labels": np.arange(6)[:, None],
    "fold": np.array([2, 0, 1, 0, 2, 1]),
}


@pytest.mark.parametrize(
    ("kind", "name", "rows"),
    [
        ("in_sample", "train_codes", range(6)),
        ("crossfit", "out_of_fold_codes", range(6)),
        ("holdout", "out_of_fold_codes", [1, 3]),
    ],
)
def test_which_codes_a_reward_sees(kind, name, rows):
    codes, labels = reward_codes(kind, STAGE_2)
    np.testing.assert_array_equal(codes, STAGE_2[name][rows])
    np.testing.assert_array_equal(labels, STAGE_2["train_labels"][rows])


def test_reward_codes_say_what_is_missing():
    with pytest.raises(ValueError, match="reward_codes must be one of crossfit, holdout, in_sample, not 'test'"):
        reward_codes("test", STAGE_2)
    with pytest.raises(ValueError, match="has no fold, out_of_fold_codes, train_labels: give the codes.npz"):
        reward_codes("crossfit", {"train_codes": STAGE_2["train_codes"]})
    no_folds = {**STAGE_2, "fold": np.zeros(0, int), "out_of_fold_codes": STAGE_2["train_codes"][:0]}
    for kind in ("crossfit", "holdout"):
        with pytest.raises(ValueError, match=f"made with folds=0, so there are none for reward_codes='{kind}'"):
            reward_codes(kind, no_folds)
    assert len(reward_codes("in_sample", no_folds)[0]) == 6


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


def assert_same(one: Selection, other: Selection) -> None:
    np.testing.assert_array_equal(one.bits, other.bits, strict=True)
    for name in ("reward", "calls", "method", "n_candidates"):
        assert getattr(one, name) == getattr(other, name)
        assert type(getattr(one, name)) is type(getattr(other, name))
    assert one.history.keys() == other.history.keys()
    for name, values in one.history.items():
        np.testing.assert_array_equal(values, other.history[name], strict=True)


def test_the_mask_of_a_selection():
    np.testing.assert_array_equal(a_selection().mask, [True, False, False, True, False])


def test_a_selection_comes_back_from_json_in_its_order(tmp_path):
    a_selection().save(tmp_path / "s.json")
    assert_same(Selection.load(tmp_path / "s.json"), a_selection())
    assert json.loads((tmp_path / "s.json").read_text())["bits"] == [3, 0]


@pytest.mark.parametrize(
    "text", ["[1, 2]", "3", "{}", '{"bits": [1], "history": {}}', '{"bits": ["a"], "history": {}}']
)
def test_foreign_json_is_named(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(ArtifactError, match="s.json holds no selection"):
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
