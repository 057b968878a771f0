"""PPO: every part against an independent definition, and the whole against exhaustive search and its own resumption."""

from __future__ import annotations

import itertools
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import artifacts, candidates, ppo, thermometer
from hashlib_nb.ppo import THESIS, Agent, Args, generalized_advantages, next_entropy_weight, train
from hashlib_nb.selection import BitSelectionVectorEnv, BudgetSpent, Reward, Search, Selection
from tests.helpers import assert_same, noisy_codes, refusal, run_main, stage_2, start_python

CODES, LABELS = noisy_codes(n=60, k=8)
SMALL = {"hidden": 32, "progress": False}
FEW = Args(n_bits=3, total_episodes=256, episodes=32, **SMALL)


POLICY_CURVES = {"policy_bits", "policy_reward", "policy_probabilities"}
"""What the history holds beside what is logged after each update (book/reference/scalars.md)."""


def assert_same_values(read: Selection, whole: Selection) -> None:
    """JSON keeps values, not their types."""
    assert (read.bits.tolist(), read.reward, read.calls) == (whole.bits.tolist(), whole.reward, whole.calls)
    assert read.history.keys() == whole.history.keys()
    for name, values in whole.history.items():
        np.testing.assert_array_equal(read.history[name], values, err_msg=name)


# --- arguments --------------------------------------------------------------------------------------------------------


def test_each_argument_says_what_it_is():
    source = Path(ppo.__file__).read_text(encoding="utf-8")
    for each in fields(Args):
        if each.init:
            assert re.search(rf'^    {each.name}: .*\n    """\w', source, flags=re.MULTILINE), each.name


def test_updates_are_derived():
    args = Args(n_bits=5, total_episodes=100, episodes=32)
    assert args.updates == 3
    assert replace(args, budget=50).total_episodes == 200
    assert replace(args, budget=1).total_episodes == 32  # one update at least


def test_the_thesis_preset_is_one_raw_episode_an_update_and_what_is_given_beside_it_wins():
    args = Args(**THESIS, n_bits=5, total_episodes=7)
    assert (args.episodes, args.standardize, args.gamma, args.memo, args.updates) == (1, False, 0.99, False, 7)
    assert (args.restarts, args.new_subsets, args.critic, args.hidden, args.informed) == (0, 0, True, 256, False)
    assert Args(**THESIS | {"gamma": 0.5}).gamma == 0.5


def test_settings_are_what_changes_the_result():
    """A stored selection is taken for another's wherever these are equal, so nothing that matters may be missing."""
    plain = ppo.settings(Args(n_bits=5))
    idle = {"codes": Path("x.npz"), "out": Path("y.json"), "device": "cuda", "progress": False}
    idle |= {"tensorboard": Path("tb"), "checkpoint": Path("c.pt"), "pool": candidates.THESIS}
    assert plain == ppo.settings(Args(n_bits=5, **idle))
    assert {*plain} == {each.name for each in fields(Args)} - {*idle}
    assert plain != ppo.settings(Args(n_bits=5, memo=False)) != ppo.settings(Args(n_bits=5, **THESIS))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Args(n_bits=0), "n_bits is 0; give a whole number in 1"),
        (lambda: Args(episodes=0), "episodes is 0; give a whole number in 1"),
        (lambda: Args(minibatches=-1), "minibatches is -1; give a whole number in 1"),
        (lambda: Args(total_episodes=7), r"total_episodes is 7; give .* in 8\.\.[0-9]+ \(episodes is 8\)"),
        (lambda: Args(dropped=0), "dropped is 0; give a whole number in 1"),
        (lambda: Args(restarts=1.5), r"restarts is 1\.5; give a share in 0\.\.1"),
        (lambda: Args(new_subsets=-1), r"new_subsets is -1; give a share in 0\.\.1"),
        (lambda: Args(budget=0), "budget is 0; give a whole number in 1"),
        (lambda: Args(total_episodes=0), "total_episodes is 0; give a whole number in 8"),
        (lambda: Args(n_bits=None), "n_bits is None; give a whole number"),
        (lambda: Args(update_epochs=2.0), r"update_epochs is 2\.0; give a whole number"),
        (lambda: Args(hidden=10**9), r"hidden is 1000000000; give a whole number in 1\.\.8192"),
        (lambda: Args(n_queries=10**12), "n_queries is 1000000000000; give a whole number in 1"),
        (lambda: Args(clip=-1), "clip is -1; give a finite number above 0"),
        (lambda: Args(gamma=5), r"gamma is 5; give a share in 0\.\.1"),
        (lambda: Args(gae_lambda=7), r"gae_lambda is 7; give a share in 0\.\.1"),
        (lambda: Args(learning_rate=float("nan")), "learning_rate is nan; give a finite number of at least 0"),
        (lambda: Args(learning_rate=-1e-3), r"learning_rate is -0\.001; give a finite number of at least 0"),
        (lambda: Args(entropy_weight=-0.1), r"entropy_weight is -0\.1; give a finite number of at least 0"),
        (lambda: Args(value_weight=float("inf")), "value_weight is inf; give a finite number"),
        (lambda: Args(max_grad_norm=0), "max_grad_norm is 0; give a finite number above 0"),
        (lambda: Args(seed=-1), r"seed is -1; give a whole number from 0 to 2\^64 - 1"),
        (lambda: Args(seed=0.5), r"seed is 0\.5; give a whole number"),
        (
            lambda: train(replace(FEW, learning_rate=1e30, critic=True), CODES, LABELS),
            r"PPO diverged in update \d+: lower learning_",
        ),
        (lambda: train(replace(FEW, checkpoint=Path("c.pt")), reward=Reward(CODES, LABELS)), "checkpoint is for a tr"),
        (
            lambda: train(replace(FEW, n_bits=9), reward=Reward(CODES, LABELS)),
            "n_bits is 9; give a whole number in 1..8",
        ),
        (
            lambda: train(replace(FEW, n_bits=9), CODES, LABELS),
            r"n_bits is 9; give a whole number in 1\.\.8 \(the codes have 8 bits\)",
        ),
        (lambda: train(FEW, CODES * 2, LABELS), "codes has values from 0 to 2"),
        (lambda: train(FEW, CODES, LABELS[1:]), "labels has 59 rows for 60 codes"),
        (lambda: train(FEW, CODES, np.eye(60, dtype=np.uint8)), "labels give no query a relevant row"),
        (lambda: train(replace(FEW, device="abacus"), CODES, LABELS), "device 'abacus' is not here"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where there is no GPU")
def test_no_gpu_gets_a_sentence():
    with pytest.raises(ValueError, match=r"device 'cuda' is not here \(.*\): take 'cpu'"):
        train(replace(FEW, device="cuda"), CODES, LABELS)


# --- the parts --------------------------------------------------------------------------------------------------------


def slow_advantages(rewards, values, terminated, gamma, lam):
    """A_t = sum_l (gamma lambda)^l delta_{t+l}, up to the end of t's episode; V beyond an end is 0."""
    steps, columns = rewards.shape
    advantages = np.zeros_like(rewards)
    for t, e in np.ndindex(steps, columns):
        for i in range(t, steps):
            beyond = 0.0 if terminated[i, e] else values[i + 1, e]
            advantages[t, e] += (gamma * lam) ** (i - t) * (rewards[i, e] + gamma * beyond - values[i, e])
            if terminated[i, e]:
                break
    return advantages


@given(
    seed=st.integers(0, 9999),
    steps=st.integers(1, 9),
    columns=st.integers(1, 4),
    gamma=st.sampled_from([0.0, 0.9, 0.99, 1.0]),
    lam=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
)
@settings(max_examples=80, deadline=None)
def test_advantages_are_the_discounted_sum_of_differences(seed, steps, columns, gamma, lam):
    rng = np.random.default_rng(seed)
    rewards, values = rng.normal(size=(2, steps, columns))
    terminated = (rng.random((steps, columns)) < 0.3).astype(float)
    terminated[-1] = 1
    found = generalized_advantages(*map(torch.tensor, (rewards, values, terminated)), gamma, lam)
    np.testing.assert_allclose(found, slow_advantages(rewards, values, terminated, gamma, lam), atol=1e-12)


def test_monte_carlo_returns_of_one_episode():
    """Lambda 1 without discount: advantage + value is the terminal reward in every step."""
    rewards, values = torch.tensor([[0.0], [0.0], [0.7]]), torch.tensor([[0.1], [0.9], [-0.4]])
    advantages = generalized_advantages(rewards, values, torch.tensor([[0.0], [0.0], [1.0]]), 1.0, 1.0)
    torch.testing.assert_close(advantages + values, torch.full((3, 1), 0.7))


def some_masks(k: int, seed: int = 0) -> torch.Tensor:
    masks = torch.rand(40, k, generator=torch.Generator().manual_seed(seed)).round()
    masks[:, -1] = 0  # one bit at least may be kept
    masks[0], masks[1, :-1] = 0, 1
    return masks


def sharp_agent(k: int) -> Agent:
    """An agent whose logits are far from uniform."""
    torch.manual_seed(0)
    agent = Agent(k, 16)
    with torch.no_grad():
        agent.policy[-1].weight.mul_(1000)
    return agent


def test_kept_bits_have_probability_zero_and_the_rest_renormalize():
    agent, masks = sharp_agent(10), some_masks(10)
    probabilities = agent.log_probabilities(masks).exp()
    assert (probabilities[masks > 0] == 0).all()
    torch.testing.assert_close(probabilities.sum(dim=-1), torch.ones(40))
    weights = agent.policy(masks).double().exp() * (1 - masks)
    torch.testing.assert_close(
        probabilities.double(), weights / weights.sum(dim=-1, keepdim=True), atol=1e-6, rtol=1e-4
    )
    torch.testing.assert_close(probabilities[1], 1 - masks[1])
    drawn = torch.multinomial(probabilities, 200, replacement=True)
    assert (masks.gather(1, drawn) == 0).all()


def test_the_networks_have_the_thesis_shape():
    agent = Agent(64)
    for network, outputs in ((agent.policy, 64), (agent.critic, 1)):
        layers = [module for module in network if isinstance(module, torch.nn.Linear)]
        assert [(each.in_features, each.out_features) for each in layers] == [(64, 256), (256, 256), (256, outputs)]
    assert agent.value(torch.zeros(3, 64)).shape == (3,)


def test_entropy_is_that_of_the_categorical_distribution():
    agent, masks = sharp_agent(10), some_masks(10)
    unmasked = agent.policy(masks).log_softmax(dim=-1)
    torch.testing.assert_close(ppo.entropy(unmasked), torch.distributions.Categorical(logits=unmasked).entropy())
    for row, mask in zip(agent.log_probabilities(masks), masks, strict=True):
        expected = torch.distributions.Categorical(logits=row[mask == 0]).entropy()
        torch.testing.assert_close(ppo.entropy(row[None])[0], expected, atol=1e-5, rtol=1e-4)


def plain_log_probabilities(agent: Agent, masks: torch.Tensor) -> torch.Tensor:
    """By the whole network, from the masks as numbers."""
    return agent.policy(masks).masked_fill(masks > 0, -torch.inf).log_softmax(dim=-1)


@given(seed=st.integers(0, 9999), k=st.integers(2, 70), p=st.integers(1, 9), columns=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_sums_along_episodes_are_the_products_with_their_masks(seed, k, p, columns):
    """The first layer's, in each state, and so are the log-probabilities and every gradient that come of them."""
    p, generator = min(p, k), torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    agent = Agent(k, 8).double()
    bits = torch.rand(columns, k, generator=generator).argsort(dim=1)[:, :p].T  # [p, columns]
    masks = torch.stack([torch.zeros(columns, k).scatter_(1, bits[:t].T, 1.0) for t in range(p)]).double()
    weight = torch.rand(p, columns, k, generator=generator) * (1 - masks)
    sums = agent.prefix_sums(bits)
    torch.testing.assert_close(sums, masks @ agent.policy[0].weight.T + agent.policy[0].bias)
    gradients = []
    for log_p in (agent.log_probabilities(masks, sums), plain_log_probabilities(agent, masks)):
        loss = (weight * log_p.masked_fill(masks > 0, 0.0)).sum()
        gradients.append(torch.autograd.grad(loss, agent.policy.parameters()))
    for short, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(short, plain)


@pytest.mark.parametrize("one_hot", [True, False])
def test_an_informed_policy_begins_alike_for_bits_alike_and_prefers_those_that_labels_move(one_hot):
    rng = np.random.default_rng(0)
    classes = np.repeat([3, 7], 100)
    codes = (rng.random((200, 6)) < 0.5).astype(np.uint8)
    codes[:, 3] = classes == 7
    codes[:, 4] = 1 - codes[:, 3]
    codes[:, 1] = codes[:, 0]
    torch.manual_seed(0)
    labels = (classes[:, None] == [3, 5, 7]).astype(np.uint8) if one_hot else classes
    first, *_, last = Agent(6, 16, codes=codes, labels=labels).policy
    for weights in (first.weight.T, last.weight):
        torch.testing.assert_close(weights[0], weights[1])
        torch.testing.assert_close(weights[3], -weights[4])  # opposite bits tell the same apart
        assert torch.nn.functional.cosine_similarity(weights[0], weights[2], dim=0) < 0.5
    assert {*last.bias.argsort()[-2:].tolist()} == {3, 4}
    torch.testing.assert_close(last.bias[3], last.bias[4])


def test_without_a_critic_an_episodes_advantage_is_its_reward_in_its_group(monkeypatch):
    """Values of 0, lambda 1 and no discount: the same in every step of an episode."""
    seen = []

    def spy(rewards, *others):
        seen.append((rewards.clone(), generalized_advantages(rewards, *others)))
        return seen[-1][1]

    monkeypatch.setattr(ppo, "generalized_advantages", spy)
    found = train(replace(FEW, restarts=0.0), CODES, LABELS)
    for rewards, advantages in seen:
        assert rewards[:-1].abs().max() == 0
        torch.testing.assert_close(advantages, rewards[-1].expand_as(advantages))
    assert (found.history["value_loss"] == 0).all()
    assert (found.history["explained_variance"] == 0).all()


def test_masks_leave_every_gradient_finite():
    agent, masks = sharp_agent(10), some_masks(10)
    log_p = agent.log_probabilities(masks)
    allowed = log_p.gather(1, torch.full((40, 1), 9))
    (ppo.entropy(log_p).mean() + allowed.mean() + agent.value(masks).mean()).backward()
    for name, parameter in agent.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few() -> Selection:
    return train(FEW, CODES, LABELS)


def test_what_train_returns(few):
    assert few.bits.shape == (3,)
    assert len(set(few.bits.tolist())) == 3
    assert few.reward == Reward(CODES, LABELS).of_bits(few.bits)
    assert (few.method, few.n_candidates) == ("ppo", 8)
    assert set(few.history) > POLICY_CURVES
    for name in set(few.history) - POLICY_CURVES:
        assert few.history[name].shape == (FEW.updates,), name
        assert np.isfinite(few.history[name]).all(), name
    assert few.history["calls"][-1] == few.calls <= 56
    assert few.history["best"][-1] == few.reward
    assert (np.diff(few.history["best"]) >= 0).all()
    assert (np.diff(few.history["calls"]) >= 0).all()
    assert (few.history["best"] >= few.history["reward"]).all()
    assert few.history["entropy"][0] <= np.mean(np.log([8, 7, 6])) + 1e-6
    assert few.history["learning_rate"][0] == FEW.learning_rate > few.history["learning_rate"][-1] > 0


def test_the_final_policys_likeliest_episode(few):
    bits, probabilities = few.history["policy_bits"], few.history["policy_probabilities"]
    assert len(set(bits.tolist())) == 3
    np.testing.assert_array_equal(bits, probabilities.argmax(axis=1))
    for step in range(3):
        assert (probabilities[step, bits[:step]] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert few.history["policy_reward"] == Reward(CODES, LABELS).of_bits(bits)


def test_a_selection_of_ppo_survives_json(few, tmp_path):
    few.save(tmp_path / "s.json")
    assert_same_values(Selection.load(tmp_path / "s.json"), few)


def test_equal_seeds_give_equal_runs_and_the_callers_random_numbers_stay(few):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    again = train(FEW, CODES, LABELS)
    torch.testing.assert_close(torch.rand(3), expected)
    assert_same(again, few)
    other = train(replace(FEW, seed=1), CODES, LABELS)
    assert (other.history["reward"] != few.history["reward"]).any()


@pytest.mark.parametrize(
    "options",
    [{}, THESIS | {"total_episodes": 20}, {"episodes": 5, "minibatches": 7, "total_episodes": 52}],
    ids=["default", "thesis", "uneven"],
)
def test_every_episode_keeps_p_distinct_bits(monkeypatch, options):
    finished = []

    class Spy(BitSelectionVectorEnv):
        def step(self, actions):
            assert (self._masks[np.arange(self.num_envs), actions] == 0).all()
            result = super().step(actions)
            if result[2].any():
                assert result[2].all()
                finished.extend(result[4]["final_info"]["bits"].tolist())
            return result

    monkeypatch.setattr(ppo, "BitSelectionVectorEnv", Spy)
    args = replace(FEW, **options)
    found = train(args, CODES, LABELS)
    assert len(finished) == args.updates * args.episodes
    assert all(len(set(bits)) == 3 for bits in finished)
    rewards = [Reward(CODES, LABELS).of_bits(bits) for bits in finished]
    assert found.reward == max(rewards)
    assert found.bits.tolist() == finished[int(np.argmax(rewards))]
    distinct = {frozenset(bits) for bits in finished}
    assert found.calls == (len(distinct) if args.memo else len(finished))
    means = np.reshape(rewards, (args.updates, args.episodes)).mean(axis=1)
    np.testing.assert_allclose(found.history["reward"], means, rtol=1e-6)


def test_the_next_entropy_weight_by_hand():
    args = Args(entropy_weight=0.1, new_subsets=0.5, episodes=8)
    assert next_entropy_weight(args, 0.1, remaining=0.5, new=3) == pytest.approx(0.115)
    assert next_entropy_weight(args, 0.1, remaining=0.5, new=4) == pytest.approx(0.1 / 1.15)
    assert next_entropy_weight(args, 0.05, remaining=0.5, new=8) == 0.05  # never under its schedule
    assert next_entropy_weight(args, 0.29, remaining=0.5, new=0) == 0.3
    assert next_entropy_weight(replace(args, new_subsets=0.0), 0.29, remaining=0.5, new=0) == 0.05


@pytest.mark.parametrize("new_subsets", [0.0, 0.2])
def test_the_entropy_weight_leaves_its_schedule_while_too_few_subsets_are_new(new_subsets):
    history = train(replace(FEW, new_subsets=new_subsets, restarts=0.0), CODES, LABELS).history
    scheduled = FEW.entropy_weight * (1 - np.arange(FEW.updates) / FEW.updates)
    if not new_subsets:
        np.testing.assert_allclose(history["entropy_weight"], scheduled)
        return
    change = np.diff(history["entropy_weight"], prepend=FEW.entropy_weight)
    enough = np.diff(history["calls"], prepend=0) >= new_subsets * FEW.episodes
    assert enough.any()
    assert not enough.all()
    assert (change[~enough] > 0).all()
    assert (change[enough] <= 0).all()
    assert (history["entropy_weight"] >= scheduled).all()


class Starts(BitSelectionVectorEnv):
    """Notes what each update's episodes start with."""

    def reset(self, *, options):
        self.starts = [*getattr(self, "starts", []), options["bits"]]
        Starts.last = self.starts
        return super().reset(options=options)


def test_restarts_are_parts_of_the_best_subset_so_far(monkeypatch):
    monkeypatch.setattr(ppo, "BitSelectionVectorEnv", Starts)
    codes, labels = noisy_codes(60, 24)
    args = replace(FEW, n_bits=6, restarts=0.7, new_subsets=0.0, dropped=4, total_episodes=40 * 32)
    found = train(args, codes, labels)
    reward, best = Reward(codes, labels), found.history["best"]
    steps = found.history["steps"]
    assert set(steps) == {1, 2, 3, 4, 6}
    assert 0.4 < np.mean(steps < 6) < 0.95
    whole_sets = {}  # reward -> subset, for finding the best one again
    for update, start in enumerate(Starts.last):
        assert start.shape == (32, 6 - steps[update])
        kept = {frozenset(row) for row in start.tolist()}
        assert all(len(row) == 6 - steps[update] for row in kept)
        if steps[update] < 6:
            whole_sets.setdefault(best[update - 1], set()).update(*kept)
    assert whole_sets
    for value, bits in whole_sets.items():
        assert len(bits) <= 6
        if len(bits) == 6:
            assert reward.of_bits(sorted(bits)) == value
    assert sum(len(bits) == 6 for bits in whole_sets.values()) >= 2


def test_where_a_restart_found_too_few_new_subsets_the_next_episodes_start_from_nothing(monkeypatch):
    """Exchanges of one or two bits of a subset run out."""
    monkeypatch.setattr(ppo, "BitSelectionVectorEnv", Starts)
    codes, labels = noisy_codes(60, 12)
    found = train(replace(FEW, n_bits=6, restarts=1.0, total_episodes=30 * 32), codes, labels)
    few = np.diff(found.history["calls"], prepend=0) < 0.5 * FEW.episodes
    assert 0 < few[:-1].sum() < len(few) - 1
    steps = found.history["steps"]
    np.testing.assert_array_equal(steps[2:] == 6, few[1:-1] & (steps[1:-1] < 6))


def test_without_restarts_every_episode_starts_from_nothing(monkeypatch):
    monkeypatch.setattr(ppo, "BitSelectionVectorEnv", Starts)
    found = train(replace(FEW, restarts=0.0), CODES, LABELS)
    assert (found.history["steps"] == 3).all()
    assert all(start.shape == (32, 0) for start in Starts.last)


def test_parts_are_uniform_and_in_order():
    drawn = ppo.parts([9, 2, 5, 7], 3, 4000, torch.Generator().manual_seed(0))
    places = np.argsort([9, 2, 5, 7])[np.searchsorted([2, 5, 7, 9], drawn)]
    assert (np.diff(places, axis=1) > 0).all()
    missing = 6 - places.sum(axis=1)
    np.testing.assert_allclose(np.bincount(missing, minlength=4) / 4000, 0.25, atol=0.03)


@pytest.mark.parametrize("p", [1, 7, 8])
@pytest.mark.parametrize("preset", [{}, THESIS | {"hidden": 32}], ids=["default", "thesis"])
def test_the_shortest_and_the_longest_selections(p, preset):
    found = train(replace(FEW, n_bits=p, total_episodes=32, **preset), CODES, LABELS)
    assert len(set(found.bits.tolist())) == p
    for name, values in found.history.items():
        assert np.isfinite(values).all(), name
    if p == 8:
        np.testing.assert_array_equal(found.history["policy_probabilities"][-1].max(), 1)
        assert found.calls == (32 if preset else 1)


@pytest.mark.parametrize("k", [1, 65])
def test_codes_of_one_bit_and_of_more_than_a_word(k):
    codes, labels = noisy_codes(30, k)
    found = train(Args(n_bits=1, total_episodes=64, **SMALL), codes, labels)
    assert 0 <= found.bits[0] < k


@pytest.mark.slow
@pytest.mark.parametrize("episodes", [3, 7, 32])
def test_equal_rewards_standardize_to_nothing(monkeypatch, episodes):
    """With p = k all subsets are one: rounding of their mean must not be blown up to a signal."""
    seen = []

    def spy(rewards, *others):
        seen.append(rewards.clone())
        return generalized_advantages(rewards, *others)

    monkeypatch.setattr(ppo, "generalized_advantages", spy)
    args = replace(FEW, n_bits=8, episodes=episodes, total_episodes=episodes, gae_lambda=1.0)
    for seed in range(8):  # mAPs that round differently
        found = train(args, *noisy_codes(n=60, k=8, seed=seed))
    assert len(seen) == 8
    assert max(rewards.abs().max() for rewards in seen) < 1e-6
    assert found.history["explained_variance"][0] == 0  # returns that are all 0 leave nothing to explain


class Affine(Reward):
    """Rewards a r + b of rewards r."""

    scale, offset = 4.0, 0.25

    def __call__(self, masks):
        return self.scale * super().__call__(masks) + self.offset


def test_standardized_training_does_not_see_scale_and_offset(few, monkeypatch):
    monkeypatch.setattr(ppo, "Reward", Affine)
    same = train(FEW, CODES, LABELS)
    np.testing.assert_array_equal(same.bits, few.bits)
    assert same.reward == pytest.approx(4 * few.reward + 0.25)
    for name in ("entropy", "policy_loss", "calls"):
        np.testing.assert_allclose(same.history[name], few.history[name], atol=1e-3, err_msg=name)
    raw = train(replace(FEW, standardize=False, critic=True), CODES, LABELS)
    monkeypatch.undo()
    plain = train(replace(FEW, standardize=False, critic=True), CODES, LABELS)
    assert abs(raw.history["value_loss"] - plain.history["value_loss"]).max() > 0.1


@pytest.mark.slow
def test_it_finds_the_optimum_where_all_subsets_can_be_tried():
    """The final policy has to, not just the best of what was tried."""
    reward = Reward(CODES, LABELS)
    optimum = max(reward.of_bits(bits) for bits in itertools.combinations(range(8), 3))
    assert reward.calls == 56
    runs = [train(Args(n_bits=3, total_episodes=1024, seed=seed, **SMALL), CODES, LABELS) for seed in range(3)]
    assert [run.reward for run in runs] == [optimum] * 3
    assert np.mean([run.history["policy_reward"] for run in runs]) > 0.97 * optimum


# --- a budget and a reward of the caller's ----------------------------------------------------------------------------

WIDE_CODES, WIDE_LABELS = noisy_codes(60, 24)


@pytest.mark.parametrize("budget", [1, 100, 333])
def test_a_budget_ends_training_with_the_update_that_reaches_it(budget):
    found = train(Args(n_bits=6, budget=budget, **SMALL), WIDE_CODES, WIDE_LABELS)
    assert budget <= found.calls < budget + 16
    assert (found.history["calls"][:-1] < budget).all()
    assert found.history["calls"][-1] == found.calls
    used = np.concatenate([[0], found.history["calls"][:-1]]) / budget
    assert (found.history["learning_rate"] <= 1e-3 * (1 - used) + 1e-12).all()


def test_a_budget_that_cannot_be_spent_ends_after_four_times_as_many_episodes():
    found = train(Args(n_bits=1, budget=64, **SMALL), CODES, LABELS)
    assert found.calls == 8
    assert len(found.history["calls"]) == 4 * 64 // Args.episodes
    assert found.reward == max(Reward(CODES, LABELS).of_bits([bit]) for bit in range(8))


def test_a_reward_does_instead_of_codes_and_labels(few):
    reward = Reward(CODES, LABELS)
    assert_same(train(FEW, reward=reward), few)
    assert_same(train(FEW, reward=reward), few)  # each training counts its own calls


def test_a_spent_search_is_passed_on_and_leaves_no_trace():
    search = Search(Reward(WIDE_CODES, WIDE_LABELS), 6, 100)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(BudgetSpent):
            train(Args(n_bits=6, budget=200, **SMALL), reward=search)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert search.calls == 100
    whole = train(Args(n_bits=6, budget=200, **SMALL), WIDE_CODES, WIDE_LABELS)
    assert search.best <= whole.history["best"][np.searchsorted(whole.history["calls"], 100)]


# --- checkpoints ------------------------------------------------------------------------------------------------------


def cut_off(monkeypatch, args: Args, after: int, codes=CODES, labels=LABELS) -> None:
    """Train and be interrupted in the rollout after `after` updates."""
    resets, reset = itertools.count(), BitSelectionVectorEnv.reset

    def interrupted(self, **options):
        if next(resets) == after:
            raise KeyboardInterrupt
        return reset(self, **options)

    with monkeypatch.context() as patch:
        patch.setattr(BitSelectionVectorEnv, "reset", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(args, codes, labels)


@pytest.mark.parametrize("options", [{}, THESIS | {"total_episodes": 25}], ids=["default", "thesis"])
@pytest.mark.parametrize("after", [3, 15])
def test_a_run_that_was_cut_off_ends_as_if_it_was_not(monkeypatch, tmp_path, options, after):
    args = replace(FEW, **{"total_episodes": 25 * 32, **options})
    whole = train(args, CODES, LABELS)
    checked = replace(args, checkpoint=tmp_path / "ppo.pt")
    cut_off(monkeypatch, checked, after)
    assert checked.checkpoint.exists() == (after >= 10)
    assert_same(train(checked, CODES, LABELS), whole)
    assert_same(train(checked, CODES, LABELS), whole)  # and from its end


def test_a_run_with_a_budget_goes_on_and_ends_with_it(monkeypatch, tmp_path):
    args = Args(n_bits=6, budget=500, **SMALL)
    whole = train(args, WIDE_CODES, WIDE_LABELS)
    checked = replace(args, checkpoint=tmp_path / "ppo.pt")
    cut_off(monkeypatch, checked, 13, WIDE_CODES, WIDE_LABELS)
    assert_same(train(checked, WIDE_CODES, WIDE_LABELS), whole)
    assert_same(train(checked, WIDE_CODES, WIDE_LABELS), whole)  # and from its end


def test_a_training_that_diverges_leaves_nothing(monkeypatch, tmp_path):
    args = replace(FEW, total_episodes=32 * 12, checkpoint=tmp_path / "c.pt")
    broken = ppo.next_entropy_weight
    monkeypatch.setattr(
        ppo,
        "next_entropy_weight",
        lambda *rest, **new: float("nan") if args.checkpoint.exists() else broken(*rest, **new),
    )
    with pytest.raises(ValueError, match="PPO diverged in update 10: lower learning_rate, which is 0"):
        train(args, CODES, LABELS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", [2**32, 2**64 - 1])
def test_every_seed_has_a_run_of_its_own(seed):
    one, same, other = (train(replace(FEW, seed=each), CODES, LABELS) for each in (seed, seed, seed % 2**32))
    np.testing.assert_array_equal(one.history["reward"], same.history["reward"])
    assert (one.history["reward"] != other.history["reward"]).any()


def test_class_numbers_are_chosen_for_as_their_one_hot_rows(few):
    numbers = np.array([9, -3, 10**10, 0])[LABELS.argmax(axis=1)]
    np.testing.assert_array_equal(train(FEW, CODES, numbers).bits, few.bits)


def test_a_finished_checkpoint_is_not_trained_again(tmp_path, monkeypatch):
    args = replace(FEW, checkpoint=tmp_path / "ppo.pt")
    first = train(args, CODES, LABELS)
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_: pytest.fail("trained again"))
    assert_same(train(args, CODES, LABELS), first)


@pytest.mark.parametrize("change", ["codes", "labels", "memo"])
def test_a_checkpoint_of_another_training_is_named_and_left(tmp_path, capsys, change):
    """What is damaged or foreign is `artifacts.Checkpoint`'s affair, and tested there."""
    args = replace(FEW, total_episodes=64, checkpoint=tmp_path / "ppo.pt")
    train(args, CODES, LABELS)
    codes, labels, other = CODES, LABELS, args
    if change == "codes":
        codes = CODES ^ np.eye(60, 8, dtype=np.uint8)
    elif change == "labels":
        labels = LABELS[::-1]
    else:
        other = replace(args, memo=False)
    capsys.readouterr()
    found = train(other, codes, labels)
    assert "ppo.pt is of another training" in capsys.readouterr().out
    assert_same(found, train(replace(other, checkpoint=None), codes, labels))


# --- TensorBoard and the shell ----------------------------------------------------------------------------------------


def events_of(folder) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_holds_the_curves_of_the_history(tmp_path, few):
    found = train(replace(FEW, tensorboard=tmp_path / "tb"), CODES, LABELS)
    assert_same(found, few)
    events = events_of(tmp_path / "tb")
    assert set(events) == set(few.history) - POLICY_CURVES
    for name, points in events.items():
        assert [step for step, _ in points] == list(range(FEW.updates))
        np.testing.assert_allclose([value for _, value in points], few.history[name], rtol=1e-6, atol=1e-12)


def test_tensorboard_has_each_update_once_after_a_resumption(tmp_path, monkeypatch):
    args = replace(FEW, total_episodes=15 * 32, tensorboard=tmp_path / "tb", checkpoint=tmp_path / "ppo.pt")
    cut_off(monkeypatch, args, after=13)
    train(args, CODES, LABELS)
    assert [step for step, _ in events_of(tmp_path / "tb")["reward"]] == list(range(15))


ARRAYS = stage_2()
AT_ONE_HALF = (ARRAYS["out_of_fold_codes"], ARRAYS["train_labels"])
"""What pays a choice among the outputs of stage 2."""


@pytest.fixture
def codes_file(tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    artifacts.save_npz(tmp_path / "codes.npz", ARRAYS, made_by="a test")
    return tmp_path / "codes.npz"


@pytest.mark.process
def test_the_command_line_reads_codes_and_writes_bits(codes_file):
    options = ["--n-bits", "3", "--total-episodes", "64", "--hidden", "32", "--no-progress", "--out", "s.json"]
    done = start_python("-m", "hashlib_nb.ppo", "--codes", "codes.npz", *options, cwd=codes_file.parent)
    pool = candidates.of_arrays(ARRAYS)
    expected = pool.named(train(Args(n_bits=3, total_episodes=64, **SMALL), reward=pool.reward()))
    assert_same_values(Selection.load(codes_file.parent / "s.json"), expected)
    assert pool.remark in done.stdout
    assert f"kept 3 of {8 * len(thermometer.LEVELS)} candidates: {' '.join(map(str, expected.bits))}" in done.stdout
    assert f"reward (mAP on crossfit codes) {expected.reward:.4f} after {expected.calls} calls" in done.stdout


def test_codes_at_one_half_need_no_logits(codes_file):
    kept = [name for name in ARRAYS if name.endswith(("_codes", "_labels", "fold")) and "class" not in name]
    artifacts.save_npz(codes_file, {name: ARRAYS[name] for name in kept})
    options = ("--codes", codes_file, "--out", codes_file.parent / "s.json", "--n-bits", 3, "--total-episodes", 64)
    options += ("--hidden", 32, "--no-progress")
    assert "has no beta, class_codes, class_labels, database_logits, " in refusal(ppo, *options)
    assert "has no database_logits, " in refusal(ppo, *options, "--no-decided")
    run_main(ppo, *options, "--levels", 0.5, "--no-decided")
    expected = train(Args(n_bits=3, total_episodes=64, **SMALL), *AT_ONE_HALF)
    found = Selection.load(codes_file.parent / "s.json")
    assert_same_values(found, expected)
    assert found.outputs is None


def test_the_command_line_explains_itself(capsys):
    with pytest.raises(SystemExit):
        run_main(ppo, "--help")
    shown = capsys.readouterr().out
    for each in (*fields(Args), *fields(candidates.Options)):
        flattened = each.name == "pool"
        assert (f"--{each.name.replace('_', '-')} " in shown.replace(",", " ")) == (each.init and not flattened)
    assert "--thesis" in shown


@pytest.mark.parametrize("options", [(), ("--gamma", 0.5)], ids=["alone", "with gamma"])
def test_thesis_on_the_command_line_is_the_preset_and_options_beside_it_win(codes_file, options):
    files = ("--codes", codes_file, "--out", codes_file.parent / "s.json")
    run_main(ppo, "--n-bits", 3, *options, "--thesis", "--total-episodes", 25, "--hidden", 32, "--no-progress", *files)
    changed = {name.strip("-"): value for name, value in zip(options[::2], options[1::2], strict=True)}
    args = Args(**THESIS | changed | SMALL, n_bits=3, total_episodes=25)
    assert_same_values(Selection.load(codes_file.parent / "s.json"), train(args, *AT_ONE_HALF))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--codes", "nowhere.npz"), "error: nowhere.npz does not exist"),
        (("--n-bits", 9, "--levels", 0.5), "error: n_bits is 9; give a whole number in 1..8 (the codes have 8 bits)"),
        (("--out", "."), "is a folder; give the name of a file"),
    ],
)
def test_bad_input_on_the_command_line(codes_file, monkeypatch, options, sentence):
    monkeypatch.chdir(codes_file.parent)
    monkeypatch.setattr(torch.optim.Adam, "step", lambda *_: pytest.fail("began to train"))
    assert sentence in refusal(ppo, *options)


def test_codes_of_another_program_get_a_sentence(codes_file):
    np.savez(codes_file, codes=CODES)
    assert "codes.npz was not written by hashlib_nb" in refusal(ppo, "--codes", codes_file)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_it_runs_on_a_gpu():
    args = replace(FEW, device="cuda", total_episodes=1024)
    found = train(args, CODES, LABELS)
    assert_same(train(args, CODES, LABELS), found)
    assert found.reward > Reward(CODES, LABELS).of_bits([5, 6, 7])
