"""Every selector keeps p distinct bits, repeats with its seed and spends no more than it may; most have an oracle."""

from __future__ import annotations

import inspect
import itertools
import math
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from hashlib_nb import artifacts, plots, selectors
from hashlib_nb.experiments import comparison, grid, pools
from hashlib_nb.metrics import __main__ as metrics_command
from hashlib_nb.selection import Reward, Search, random_masks
from hashlib_nb.selectors import METHODS, methods, select
from hashlib_nb.selectors import __main__ as command
from hashlib_nb.selectors.__main__ import Args, main
from tests.helpers import noisy_codes, refusal, run_main, start_python

CODES, LABELS = noisy_codes(n=60, k=10)
REWARD = Reward(CODES, LABELS)
SEARCHES = (
    "greedy", "backward", "swap", "stochastic_greedy", "random_search", "cem", "annealing", "surrogate", "ppo",
    "untrained", "dqn", "exhaustive",
)  # fmt: skip
"""Methods that evaluate subsets of p bits."""


def affordable(method: str, budget: int | None) -> int | None:
    """The default budget is 60 times more than there is to find here."""
    return 40 if budget is None and METHODS[method].open_ended else budget


class Spy:
    """A `Reward` that remembers which subsets it was asked for, in order of first asking."""

    def __init__(self, reward: Reward = REWARD):
        self.inner, self.k, self.pairs = reward, reward.k, reward.pairs
        self.codes, self.labels = reward.codes, reward.labels
        self.seen: dict[tuple[int, ...], float] = {}

    def __call__(self, masks):
        values = self.inner(masks)
        for mask, value in zip(masks, values, strict=True):
            self.seen.setdefault(tuple(np.flatnonzero(mask).tolist()), float(value))
        return values

    def flipped(self, mask, bits):
        masks = np.repeat(mask[None], len(bits), axis=0)
        masks[np.arange(len(bits)), bits] ^= 1
        return self(masks)

    def of_bits(self, bits):
        return self.inner.of_bits(bits)

    def answers(self, p: int) -> list[float]:
        return [value for bits, value in self.seen.items() if len(bits) == p]


# --- what every method promises ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [None, 1, 12, 25])
@pytest.mark.parametrize("p", [1, 4, 9, 10])
@pytest.mark.parametrize("method", METHODS)
def test_a_selector_keeps_its_promises(method, p, budget):
    budget = affordable(method, budget)
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
    for name in ("calls", "best"):
        np.testing.assert_array_equal(found.history[name], again.history[name])


@pytest.mark.parametrize("budget", [None, 7, 30])
@pytest.mark.parametrize("p", [1, 4, 10])
@pytest.mark.parametrize("method", METHODS)
def test_the_curve_rises_to_the_answer(method, p, budget):
    found = select(CODES, LABELS, p, method=method, budget=affordable(method, budget))
    calls, seconds, best = (found.history[name] for name in ("calls", "seconds", "best"))
    assert len(calls) == len(seconds) == len(best) >= 1
    assert (np.diff(calls) >= 0).all()
    assert (np.diff(seconds) >= 0).all()
    assert seconds[0] > 0
    assert (np.diff(best[:-1]) > 0).all()  # a point for each improvement, and one for the end
    assert (calls[-1], best[-1]) == (found.calls, found.reward)
    assert best.max() == found.reward


@pytest.mark.parametrize("budget", [None, 3, 17, 46])
@pytest.mark.parametrize("p", [1, 3, 9])
@pytest.mark.parametrize("method", METHODS)
def test_no_answer_is_worse_than_one_that_was_seen(method, p, budget):
    spy = Spy()
    found = select(None, None, p, method=method, budget=affordable(method, budget), seed=1, reward=spy)
    assert found.calls == len(spy.seen)
    if spy.answers(p):
        assert found.reward == pytest.approx(max(spy.answers(p)), abs=1e-12)
        assert tuple(sorted(found.bits.tolist())) in spy.seen
    else:
        assert budget is not None or method not in SEARCHES


@pytest.mark.parametrize("budget", [10, 20, 24, 30, 33, 60])
@pytest.mark.parametrize("method", ["greedy", "backward", "swap", "exhaustive"])
def test_a_smaller_budget_gives_the_best_of_the_same_beginning(method, budget):
    unbounded = Spy()
    select(None, None, 3, method=method, seed=2, reward=unbounded)
    answers = [value for bits, value in list(unbounded.seen.items())[:budget] if len(bits) == 3]
    found = select(None, None, 3, method=method, seed=2, reward=REWARD, budget=budget)
    assert found.calls == min(budget, len(unbounded.seen))
    if answers:
        assert found.reward == pytest.approx(max(answers), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("k", "p"), [(1, 1), (65, 2), (200, 1)])
def test_a_selector_takes_codes_of_any_length(method, k, p):
    codes, labels = noisy_codes(30, k)
    found = select(codes, labels, p, method=method, budget=affordable(method, None))
    assert len(set(found.bits.tolist())) == p
    assert 0 <= found.bits.min() <= found.bits.max() < k


@pytest.mark.parametrize("method", METHODS)
def test_a_selector_leaves_what_it_was_given(method):
    codes, labels = CODES.copy(), LABELS.copy()
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global generator is what must not move
    select(codes, labels, 3, method=method, budget=40)
    np.testing.assert_array_equal(codes, CODES)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_it_does(method):
    one = METHODS[method]
    assert one.name == method
    assert one.title
    assert one.calls
    assert one.summary
    first, second, *settings = inspect.signature(one.find).parameters.values()
    assert (first.name, second.name) == ("search", "seed")
    assert all(each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD) for each in settings)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_whether_its_seed_matters(method):
    """On bits of which no two are alike, so that there are no ties to break."""
    codes = np.random.default_rng(0).integers(0, 2, (60, 9), dtype=np.uint8)
    labels = np.eye(3, dtype=np.uint8)[np.arange(60) % 3]
    budget = 30 if METHODS[method].open_ended else None
    found = {frozenset(select(codes, labels, 4, method=method, budget=budget, seed=seed).bits) for seed in range(6)}
    assert (len(found) == 1) == METHODS[method].deterministic


def test_titles_tell_methods_apart():
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_constant_bits_and_copies_are_candidates_like_others(method):
    codes = CODES.copy()
    codes[:, 3], codes[:, 4], codes[:, 5] = 0, 1, codes[:, 0]
    found = select(codes, LABELS, 4, method=method, budget=40, seed=0)
    assert len(set(found.bits.tolist())) == 4
    assert np.isfinite(found.reward)


@pytest.mark.parametrize("method", METHODS)
def test_multi_label_codes(method):
    rng = np.random.default_rng(0)
    labels = (rng.random((50, 5)) < 0.3).astype(np.uint8)
    codes = (labels @ rng.normal(size=(5, 9)) + rng.normal(size=(50, 9)) > 0).astype(np.uint8)
    found = select(codes, labels, 3, method=method, budget=affordable(method, None))
    assert found.reward == pytest.approx(Reward(codes, labels).of_bits(found.bits), abs=1e-12)


@pytest.mark.parametrize("method", ["greedy", "cem"])
def test_a_shared_reward_gives_the_same_answer_at_the_same_calls(method):
    """What another run asked for before counts no less."""
    shared = Reward(CODES, LABELS)
    select(None, None, 4, method="swap", reward=shared)
    ours, alone = (
        select(CODES, LABELS, 4, method=method, budget=50, seed=6, reward=reward) for reward in (shared, None)
    )
    np.testing.assert_array_equal(ours.bits, alone.bits)
    assert ours.calls == alone.calls
    np.testing.assert_array_equal(ours.history["calls"], alone.history["calls"])


@pytest.mark.parametrize("method", ["greedy", "swap", "mrmr", "per_bit_map", "ndomset", "backward"])
def test_renaming_the_bits_renames_the_answer(method):
    order = np.random.default_rng(0).permutation(10)
    found = select(CODES, LABELS, 4, method=method)
    renamed = select(CODES[:, order], LABELS, 4, method=method)
    assert renamed.reward == pytest.approx(found.reward, abs=1e-12)
    assert set(order[renamed.bits].tolist()) == set(found.bits.tolist())


def test_progress_is_shown_on_request(capsys):
    select(CODES, LABELS, 3, method="greedy", progress=True)
    assert "27call" in capsys.readouterr().err
    select(CODES, LABELS, 3, method="random_search", budget=20, progress=True)
    shown = capsys.readouterr().err
    assert "/20" in shown
    assert "best=" in shown
    select(CODES, LABELS, 3, method="greedy")
    assert capsys.readouterr().err == ""


# --- the slow, obvious versions ---------------------------------------------------------------------------------------


def test_first():
    np.testing.assert_array_equal(select(CODES, LABELS, 4, method="first").bits, range(4))


def test_random_draws_each_bit_equally_often():
    """Chi-square over 10 bits; 27.9 is its 0.1% point at 9 degrees of freedom."""
    drawn = [select(None, None, 3, method="random", seed=seed, reward=REWARD) for seed in range(300)]
    counts = np.bincount(np.concatenate([each.bits for each in drawn]), minlength=10)
    assert ((counts - 90) ** 2 / 90).sum() < 27.9
    assert all(each.calls == 0 for each in drawn)


@pytest.mark.parametrize("budget", [None, 1, 30, 300])
def test_random_search_is_the_best_of_its_masks(budget):
    found = select(CODES, LABELS, 4, method="random_search", budget=budget, seed=5)
    masks = random_masks(10, 4, budget or selectors.DEFAULT_BUDGET, seed=5)
    assert found.reward == pytest.approx(REWARD(masks).max(), abs=1e-12)
    assert found.calls == len(np.unique(masks, axis=0))
    assert (masks == found.mask).all(axis=1).any()


def test_entropy_keeps_the_best_balanced_bits():
    rng = np.random.default_rng(0)
    codes = (rng.random((200, 12)) < np.linspace(0.05, 0.9, 12)).astype(np.uint8)
    labels = np.eye(2, dtype=np.uint8)[np.arange(200) % 2]
    order = sorted(range(12), key=lambda bit: abs(codes[:, bit].mean() - 0.5))
    assert select(codes, labels, 5, method="entropy").bits.tolist() == order[:5]


def test_per_bit_map_keeps_the_bits_that_are_best_alone():
    found = select(CODES, LABELS, 4, method="per_bit_map")
    alone = [REWARD.of_bits([bit]) for bit in range(10)]
    assert found.bits.tolist() == sorted(range(10), key=lambda bit: -alone[bit])[:4]
    assert found.calls == 10


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mrmr_is_the_obvious_loop(seed):
    codes, labels = noisy_codes(70, 9, 5, seed=seed)
    labels[::7, 0] = 1  # some rows carry two concepts: the label set is the variable
    label_set = [str(row) for row in labels.tolist()]
    kept: list[int] = []
    for _ in range(5):
        scores = {}
        for bit in set(range(9)) - set(kept):
            redundancy = [mutual_info_score(codes[:, bit], codes[:, other]) for other in kept]
            scores[bit] = mutual_info_score(label_set, codes[:, bit]) - (np.mean(redundancy) if kept else 0.0)
        kept.append(max(scores, key=scores.get))
    found = select(codes, labels, 5, method="mrmr")
    assert found.bits.tolist() == kept
    assert found.calls == 0


def test_ndomset_prefers_informative_bits_and_avoids_copies():
    """Bits 0 to 3 are equally useful, 4 to 6 copies of bit 0, the others noise."""
    rng = np.random.default_rng(0)
    labels = np.eye(16, dtype=np.uint8)[np.arange(640) % 16]
    codes = (np.arange(640)[:, None] >> np.arange(4) & 1) ^ (rng.random((640, 4)) < 0.1)
    pool = np.hstack([codes, codes[:, [0, 0, 0]], rng.integers(0, 2, (640, 5))]).astype(np.uint8)
    bits = select(pool, labels, 4, method="ndomset").bits
    assert {1, 2, 3} < set(bits.tolist())
    assert len(set(bits.tolist()) & {0, 4, 5, 6}) == 1


def test_replicator_dynamics_end_in_a_local_maximum_of_the_quadratic_form():
    """Karush, Kuhn and Tucker: payoffs are equal where the population lives and no higher where it died out."""
    for seed in range(5):
        weights = np.random.default_rng(seed).random((8, 8))
        weights = (weights + weights.T) / 2
        np.fill_diagonal(weights, 0.0)
        x = np.exp(methods.replicate(weights))
        payoff, mean = weights @ x, x @ weights @ x
        assert x.sum() == pytest.approx(1)
        assert mean >= weights.sum() / 64
        np.testing.assert_allclose(payoff[x > 1e-4], mean, rtol=1e-3)
        assert (payoff < mean * (1 + 1e-3)).all()


def test_replicator_dynamics_on_small_graphs():
    np.testing.assert_allclose(np.exp(methods.replicate(1.0 - np.eye(5))), 0.2)
    weak = np.array([[0, 1, 0.1], [1, 0, 0.1], [0.1, 0.1, 0]])
    log_x = methods.replicate(weak)
    np.testing.assert_allclose(np.exp(log_x), [0.5, 0.5, 0], atol=1e-8)
    assert np.isfinite(log_x).all()
    np.testing.assert_array_equal(methods.replicate(np.zeros((1, 1))), [0.0])


def slow_greedy(reward: Reward, p: int) -> list[int]:
    kept: list[int] = []
    for _ in range(p):
        gains = {bit: reward.of_bits([*kept, bit]) for bit in range(reward.k) if bit not in kept}
        kept.append(max(gains, key=gains.get))
    return kept


def test_stochastic_greedy_is_greedy_where_its_budget_pays_for_all_bits_and_exchanges_only_help():
    search = Search(REWARD, 4, budget=2 * 4 * 10)  # half of it for 4 steps, so that each looks at all 10 bits
    assert methods.sampled_greedy(search, np.random.default_rng(1)).tolist() == slow_greedy(REWARD, 4)
    few = Search(REWARD, 4, budget=24)  # 3 bits a step
    begun = REWARD.of_bits(methods.sampled_greedy(few, np.random.default_rng(1)))
    assert few.calls <= 12
    assert select(CODES, LABELS, 4, method="stochastic_greedy", budget=24, seed=1).reward >= begun


def slow_backward(reward: Reward, p: int) -> list[int]:
    kept = list(range(reward.k))
    while len(kept) > p:
        without = {bit: reward.of_bits([other for other in kept if other != bit]) for bit in kept}
        kept.remove(max(without, key=without.get))
    return kept


def slow_swap(reward: Reward, p: int) -> list[int]:
    kept, unchanged, turn = slow_greedy(reward, p), 0, 0
    while unchanged < p:
        others = [bit for bit in range(reward.k) if bit not in kept]
        rewards = {bit: reward.of_bits([*kept[:turn], bit, *kept[turn + 1 :]]) for bit in others}
        unchanged += 1
        if rewards and max(rewards.values()) > reward.of_bits(kept) + 1e-12:
            kept[turn], unchanged = max(rewards, key=rewards.get), 1
        turn = (turn + 1) % p
    return kept


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_greedy_is_the_obvious_loop(seed):
    codes, labels = noisy_codes(70, 9, 5, seed=seed)
    expected = slow_greedy(Reward(codes, labels), 5)
    found = select(codes, labels, 5, method="greedy", seed=seed)
    assert found.bits.tolist() == expected  # in the order in which they were chosen
    assert found.calls == 9 + 8 + 7 + 6 + 5
    longer = select(codes, labels, 9, method="greedy", seed=seed)
    assert longer.bits[:5].tolist() == expected


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("p", [1, 5, 8, 9])
def test_backward_is_the_obvious_loop(seed, p):
    codes, labels = noisy_codes(70, 9, 5, seed=seed)
    found = select(codes, labels, p, method="backward", seed=seed)
    assert sorted(found.bits.tolist()) == slow_backward(Reward(codes, labels), p)
    assert found.calls == sum(range(p + 1, 10))


def wide_codes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Equally good bits, among which greedy's early choices turn out wrong."""
    rng = np.random.default_rng(seed)
    label = np.arange(80) % 8
    codes = rng.integers(0, 2, (8, 14))[label] ^ (rng.random((80, 14)) < 0.2)
    return codes.astype(np.uint8), np.eye(8, dtype=np.uint8)[label]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p", [1, 4, 6, 14])
def test_swap_is_the_obvious_loop(seed, p):
    codes, labels = wide_codes(seed)
    reward = Reward(codes, labels)
    found = select(codes, labels, p, method="swap", seed=seed)
    assert sorted(found.bits.tolist()) == sorted(slow_swap(reward, p))
    assert found.reward >= reward.of_bits(slow_greedy(reward, p)) - 1e-12


def test_swap_ends_where_no_exchange_helps_and_finds_what_greedy_missed():
    gains = 0
    for seed in range(6):
        codes, labels = wide_codes(seed)
        reward = Reward(codes, labels)
        found = select(None, None, 5, method="swap", reward=reward)
        for out, other in itertools.product(found.bits, set(range(14)) - set(found.bits.tolist())):
            assert reward.of_bits([other, *(bit for bit in found.bits if bit != out)]) <= found.reward + 1e-12
        gains += found.reward > select(None, None, 5, method="greedy", reward=reward).reward + 1e-12
    assert gains > 0


@pytest.mark.parametrize("p", [1, 3, 10])
def test_exhaustive_is_the_best_of_all(p):
    found = select(CODES, LABELS, p, method="exhaustive")
    best = max(REWARD.of_bits(bits) for bits in itertools.combinations(range(10), p))
    assert found.reward == pytest.approx(best, abs=1e-12)
    assert found.calls == math.comb(10, p)


def test_greedy_breaks_ties_by_its_seed():
    """Bits 0 and 1 are copies: either may come first, and no bit that differs in reward changes place."""
    codes = CODES.copy()
    codes[:, 1] = codes[:, 0]
    winners = [select(codes, LABELS, 1, method="greedy", seed=seed).bits[0] for seed in range(20)]
    assert len(set(winners)) == (2 if winners[0] in (0, 1) else 1)


@pytest.mark.parametrize("method", ["entropy", "per_bit_map", "mrmr", "ndomset", "greedy", "backward"])
def test_among_equal_bits_each_seed_may_keep_another(method):
    tied = np.tile(CODES[:, :1], (1, 6))
    kept = Counter(select(tied, LABELS, 1, method=method, seed=seed).bits[0] for seed in range(40))
    assert set(kept) == set(range(6))


def test_greedy_out_of_budget_keeps_what_it_paid_for():
    """Two steps are paid for; the other three bits are those that looked best in the second."""
    unbounded = select(CODES, LABELS, 5, method="greedy").bits
    cut = select(CODES, LABELS, 5, method="greedy", budget=10 + 9)
    np.testing.assert_array_equal(cut.bits[:2], unbounded[:2])
    assert cut.calls == 19
    gains = {bit: REWARD.of_bits([unbounded[0], bit]) for bit in range(10) if bit != unbounded[0]}
    assert cut.bits[1:].tolist() == sorted(gains, key=gains.get, reverse=True)[:4]


def test_backward_out_of_budget_drops_what_was_missed_least():
    cut = select(CODES, LABELS, 4, method="backward", budget=10)
    without = {bit: REWARD.of_bits(sorted(set(range(10)) - {bit})) for bit in range(10)}
    assert cut.bits.tolist() == sorted(without, key=without.get)[:4]


def planted(seed: int) -> tuple[np.ndarray, np.ndarray, set[int]]:
    """Eight useful bits among 32 of noise."""
    rng = np.random.default_rng(seed)
    codes, labels = noisy_codes(200, 8, 6, seed=seed)
    pool = rng.integers(0, 2, (200, 40)).astype(np.uint8)
    useful = rng.permutation(40)[:8]
    pool[:, useful] = codes
    return pool, labels, set(useful.tolist())


@pytest.mark.parametrize("method", ["cem", "annealing", "greedy"])
def test_a_search_that_learns_beats_one_that_does_not(method):
    for seed in range(3):
        codes, labels, useful = planted(seed)
        reward = Reward(codes, labels)
        ours, chance = (
            select(None, None, 6, method=name, budget=400, seed=seed, reward=reward)
            for name in (method, "random_search")
        )
        assert ours.reward > chance.reward
        assert len(useful & set(ours.bits.tolist())) > 6 * 8 / 40  # more than at random


@pytest.mark.parametrize("method", ["cem", "annealing"])
def test_a_search_with_budget_to_spare_finds_the_best_of_all(method):
    best = select(CODES, LABELS, 3, method="exhaustive").reward
    for seed in range(3):
        found = select(CODES, LABELS, 3, method=method, budget=500, seed=seed)
        assert found.reward == pytest.approx(best, abs=1e-12)


def test_more_rows_than_queries_give_the_reward_that_ppo_would_see():
    for seed in (0, 4):
        found = select(CODES, LABELS, 3, method="greedy", seed=seed, n_queries=20)
        same = Reward(CODES, LABELS, n_queries=20, seed=seed)
        assert found.reward == pytest.approx(same.of_bits(found.bits), abs=1e-12)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: select(CODES, LABELS, 3, method="best"), "method must be one of ppo, .*greedy.*, not 'best'"),
        (
            lambda: select(CODES, LABELS, 3, method="greedy", budget=0),
            r"budget is 0; give a whole number in 1\.\.\d+ \(reward calls\)",
        ),
        (
            lambda: select(CODES, LABELS, 0, method="first"),
            r"n_bits is 0; give a whole number in 1\.\.10 \(the codes have 10 bits\)",
        ),
        (lambda: select(CODES, LABELS, 11, method="random"), r"n_bits is 11; give a whole number in 1\.\.10"),
        (lambda: select(CODES * 1.0, LABELS, 3, method="first"), "codes is float64"),
        (lambda: select(CODES, LABELS[1:], 3, method="first"), "labels has 59 rows for 60 codes"),
        (
            lambda: select(*noisy_codes(20, 40), 8, method="exhaustive"),
            r"at most 100,000 subsets and 8 of 40 bits are 76,904,685: take 'swap'",
        ),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


# --- the command line, on codes of other programs ---------------------------------------------------------------------


def written(folder: Path, name: str, array: np.ndarray) -> Path:
    np.save(folder / f"{name}.npy", array)
    return folder / f"{name}.npy"


def outcome(folder: Path) -> tuple[np.ndarray, np.ndarray, dict]:
    report = artifacts.load_json(folder / "report.json")
    return np.load(folder / "bits.npy"), np.load(folder / "codes.npy"), report


@pytest.fixture
def codes_file(tmp_path):
    return written(tmp_path, "codes", CODES)


@pytest.fixture
def labels_file(tmp_path):
    return written(tmp_path, "labels", LABELS)


# --- settings ---


def test_only_methods_that_learn_or_cool_down_have_settings():
    assert {name for name, method in METHODS.items() if method.settings} == {"ppo", "cem", "annealing"}
    assert METHODS["annealing"].settings == {"start": 1.0, "end": 0.01, "subsets": 20}


@pytest.mark.parametrize("method", ["cem", "annealing", "ppo"])
def test_the_defaults_given_as_settings_change_nothing(method):
    known = METHODS[method].settings
    given, plain = (
        select(None, None, 3, method=method, budget=30, seed=1, reward=REWARD, settings=settings)
        for settings in (known, None)
    )
    assert given.bits.tolist() == plain.bits.tolist()
    np.testing.assert_array_equal(given.history["best"], plain.history["best"])


def seen(method: str, **settings) -> dict[tuple[int, ...], float]:
    """The subsets that a method asks for, in its order."""
    spy = Spy()
    select(None, None, 3, method=method, budget=60, seed=2, reward=spy, settings=settings)
    return spy.seen


def test_cem_that_keeps_its_probabilities_does_not_care_whose_bits_count():
    assert seen("cem", smoothing=1.0, elite=0.1) == seen("cem", smoothing=1.0, elite=0.9)
    assert seen("cem", smoothing=0.0, elite=0.1) != seen("cem", smoothing=0.0, elite=0.9)


@pytest.mark.parametrize("size", [4, 12])
def test_cem_draws_generations_of_the_size_that_it_is_given(size):
    asked = []
    spy = Spy()
    values = spy.__call__
    reward = lambda masks: asked.append(len(masks)) or values(masks)  # noqa: E731
    for name in ("k", "pairs", "codes", "labels"):
        setattr(reward, name, getattr(spy, name))
    select(None, None, 3, method="cem", budget=60, seed=2, reward=reward, settings={"size": size, "smoothing": 1.0})
    assert max(asked) <= size  # repeats are answered from memory
    assert asked[0] >= size - 2


def test_cold_annealing_climbs_only():
    """At next to no temperature every subset is one exchange away from one of the best so far."""
    found = [*seen("annealing", start=1e-9, end=1.0, subsets=5).items()]
    for number, (bits, _) in enumerate(found[5:], 5):
        best = max(value for _, value in found[:number])
        near = [other for other, value in found[:number] if value >= best - 1e-12]
        assert any(len({*bits} ^ {*other}) == 2 for other in near)


def test_ppo_takes_the_settings_of_its_args():
    idle = {"learning_rate": 0.0, "update_epochs": 1, "minibatches": 1}
    bits = [
        select(None, None, 3, method=method, budget=30, reward=REWARD, settings=settings).history["best"].tolist()
        for method, settings in (("ppo", idle), ("untrained", None))
    ]
    assert bits[0] == bits[1]


@pytest.mark.parametrize(
    ("method", "settings", "sentence"),
    [
        ("cem", {"sizes": 3}, "settings has 'sizes'; method 'cem' takes size, elite, smoothing"),
        ("greedy", {"size": 3}, "settings has 'size'; method 'greedy' has none"),
        ("cem", {"size": 1}, r"size is 1; give a whole number in 2\.\."),
        ("cem", {"elite": 0}, "elite is 0; give a finite number above 0 and of at most 1"),
        ("cem", {"smoothing": 1.5}, r"smoothing is 1\.5; give a share in 0\.\.1"),
        ("cem", {"size": True}, "settings has size=True; give a number"),
        ("annealing", {"start": 0}, "start is 0; give a finite number above 0"),
        ("annealing", {"end": 2.0}, r"end is 2\.0; give a finite number above 0 and of at most 1"),
        ("annealing", {"subsets": 1}, r"subsets is 1; give a whole number in 2\.\."),
        ("ppo", {"budget": 3}, "settings has 'budget'; method 'ppo' takes episodes, "),
        ("ppo", {"anneal_lr": 1}, "settings has anneal_lr=1; give true or false"),
        ("ppo", {"clip": 0.0}, r"clip is 0\.0; give a finite number above 0"),
    ],
)
def test_settings_that_a_method_cannot_take_are_refused(method, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        select(None, None, 3, method=method, budget=30, reward=REWARD, settings=settings)


def test_settings_of_the_command_line_are_names_and_values():
    parsed = selectors.parse_settings("ppo", ["clip=0.3", "anneal_lr=false", "episodes=8"])
    assert parsed == {"clip": 0.3, "anneal_lr": False, "episodes": 8}
    assert type(parsed["episodes"]) is int
    for pair in ("clip", "clip=", "clip=x", "clip=[1]", "=", "clip=null", "[" * 10**5):
        with pytest.raises(ValueError, match=r"settings is .*; write name=value, with a number, true or false"):
            selectors.parse_settings("ppo", [pair])


def test_the_command_line_sets_and_reports_them(tmp_path, codes_file, labels_file):
    settings = {"start": 0.5, "subsets": 4}
    given = {"method": "annealing", "budget": 30, "seed": 1, "out": tmp_path / "out", "progress": False}
    main(Args(codes_file, 3, labels_file, settings=("start=0.5", "subsets=4"), **given))
    report = outcome(tmp_path / "out")[2]
    assert report["settings"] == settings
    expected = select(CODES, LABELS, 3, method="annealing", budget=30, seed=1, settings=settings)
    assert report["bits"] == expected.bits.tolist()


FORMATS = {
    "0/1": CODES,
    "bool": CODES.astype(bool),
    "0/1 in floats": CODES.astype(np.float32),
    "-1/+1": 2 * CODES.astype(np.int8) - 1,
    "-1/+1 in floats": 2.0 * CODES - 1,
    "packed bytes": np.packbits(CODES, axis=1, bitorder="little"),
}


@pytest.mark.parametrize("found", FORMATS)
def test_the_command_line_gives_the_same_answer_for_every_format(found, tmp_path, labels_file, capsys):
    expected = select(CODES, LABELS, 4, method="greedy", seed=2)
    code_length = 10 if found == "packed bytes" else None
    codes_file = written(tmp_path, "other", FORMATS[found])
    main(
        Args(codes_file, 4, labels_file, seed=2, out=tmp_path / "out", code_length=code_length, progress=False),
    )
    bits, packed, report = outcome(tmp_path / "out")
    np.testing.assert_array_equal(bits, expected.bits)
    np.testing.assert_array_equal(packed, np.packbits(CODES[:, expected.bits], axis=1, bitorder="little"))
    assert (report["bits"], report["calls"]) == (bits.tolist(), expected.calls)
    assert report["reward"] == pytest.approx(expected.reward, abs=1e-12)
    assert report["codes_found"].startswith(found.split(" in ")[0])
    assert report["codes_found"] in capsys.readouterr().out


def test_the_report_says_what_to_compare_with(tmp_path, codes_file, labels_file):
    main(Args(codes_file, 3, labels_file, method="swap", budget=30, seed=4, out=tmp_path / "out", progress=False))
    report = outcome(tmp_path / "out")[2]
    masks = random_masks(10, 3, 20, 4)
    chance = [REWARD.of_bits(np.flatnonzero(mask)) for mask in masks]
    assert report["reward_of_all_bits"] == pytest.approx(REWARD.of_bits(range(10)))
    assert report["reward_of_random_subsets"]["mean"] == pytest.approx(np.mean(chance))
    assert report["reward_of_random_subsets"]["sd"] == pytest.approx(np.std(chance, ddof=1))
    assert (report["n"], report["k"], report["p"], report["n_queries"]) == (60, 10, 3, 60)
    assert (report["method"], report["seed"], report["budget"], report["calls"]) == ("swap", 4, 30, 30)
    assert report["seconds"] > 0


def test_the_report_has_the_digests_of_the_files_beside_it(tmp_path, codes_file, labels_file):
    for n_bits in (3, 4):  # an earlier selection is replaced, all of it
        main(Args(codes_file, n_bits, labels_file, method="first", out=tmp_path / "out", progress=False))
    bits, _, report = outcome(tmp_path / "out")
    assert bits.tolist() == report["bits"] == [0, 1, 2, 3]
    found = {path.name: artifacts.sha256(path).hex() for path in (tmp_path / "out").glob("*.npy")}
    assert report["sha256"] == found
    assert len([*(tmp_path / "out").iterdir()]) == 3


@pytest.mark.parametrize("name", ["bits.npy", "codes.npy", "report.json"])
def test_files_of_other_programs_in_the_folder_are_left(tmp_path, codes_file, labels_file, name):
    mine = tmp_path / "data" / name
    mine.parent.mkdir()
    mine.write_bytes(b"not yours")
    arguments = ("--codes", codes_file, "--labels", labels_file, "--n-bits", 3, "--out", mine.parent)
    assert f"data/{name} is there and was not written by this command" in refusal(command, *arguments)
    assert [path.name for path in mine.parent.iterdir()] == [name]
    assert mine.read_bytes() == b"not yours"


def test_codes_that_are_read_are_not_replaced(tmp_path, codes_file, labels_file):
    main(Args(codes_file, 3, labels_file, method="first", out=tmp_path / "out", progress=False))
    mine = tmp_path / "out" / "codes.npy"
    before = mine.read_bytes()
    arguments = ("--codes", mine, "--labels", labels_file, "--n-bits", 2, "--out", tmp_path / "out")
    assert "whose codes.npy has the codes: name another folder" in refusal(command, *arguments)
    assert mine.read_bytes() == before


def test_labels_may_be_classes_and_one_file_may_hold_both(tmp_path, codes_file, labels_file):
    indices = written(tmp_path, "indices", LABELS.argmax(axis=1))
    both = tmp_path / "both.npz"
    np.savez(both, codes=CODES, labels=LABELS)
    stage2 = tmp_path / "stage2.npz"
    artifacts.save_npz(stage2, {"train_codes": CODES, "train_labels": LABELS, "fold": np.arange(3)}, made_by="test")
    runs = {
        "matrix": Args(codes_file, 4, labels_file),
        "indices": Args(codes_file, 4, indices),
        "both": Args(both, 4),
        "stage2": Args(stage2, 4, codes_array="train_codes", labels_array="train_labels"),
    }
    answers = set()
    for name, args in runs.items():
        main(Args(**{**vars(args), "out": tmp_path / name, "progress": False}))
        bits, _, report = outcome(tmp_path / name)
        answers.add((*bits.tolist(), round(report["reward"], 10)))
    assert len(answers) == 1
    assert outcome(tmp_path / "indices")[2]["labels_found"] == "class indices, 4 classes"


def test_codes_are_not_taken_for_labels(tmp_path, codes_file):
    np.savez(tmp_path / "alone.npz", codes=np.load(codes_file))
    with pytest.raises(ValueError, match="alone.npz lacks labels"):
        main(Args(tmp_path / "alone.npz", 4, out=tmp_path / "out", progress=False))
    assert not (tmp_path / "out").exists()


def test_metrics_reads_the_report(tmp_path, codes_file, labels_file, capsys):
    main(Args(codes_file, 4, labels_file, out=tmp_path / "out", progress=False))
    pairs = {"query_codes": CODES, "database_codes": CODES, "query_labels": LABELS, "database_labels": LABELS}
    np.savez(tmp_path / "pairs.npz", **pairs)
    metrics_command.main(
        metrics_command.Args(
            tmp_path / "pairs.npz", tmp_path / "map.json", tmp_path / "out" / "report.json", leave_one_out=True
        )
    )
    found = artifacts.load_json(tmp_path / "map.json")
    assert found["map"]["all"]["expected"] == pytest.approx(outcome(tmp_path / "out")[2]["reward"], abs=1e-12)


@pytest.mark.process
def test_the_command_works_from_a_shell_and_fails_in_one_sentence(tmp_path, codes_file, labels_file):
    files = ("-m", "hashlib_nb.selectors", "--codes", codes_file, "--labels", labels_file)
    start_python(*files, "--n-bits", 4, "--method", "per_bit_map", "--out", tmp_path / "out")
    expected = select(CODES, LABELS, 4, method="per_bit_map").bits
    np.testing.assert_array_equal(outcome(tmp_path / "out")[0], expected)
    failed = start_python(*files, "--n-bits", 11, check=False)
    assert failed.returncode == 1
    assert failed.stderr.strip() == "error: n_bits is 11; give a whole number in 1..10 (the codes have 10 bits)"
    assert "found codes: 0/1, 60 rows of 10 bits; labels: 0/1 matrix, 4 concepts" in failed.stdout


@pytest.mark.parametrize("option", ["--n-bits", "--bits"])
def test_the_number_of_bits_has_a_new_and_an_old_name(tmp_path, codes_file, labels_file, option):
    files = ("--codes", codes_file, "--labels", labels_file, "--out", tmp_path / "out")
    run_main(command, *files, option, 3, "--method", "first", "--no-progress")
    assert outcome(tmp_path / "out")[0].tolist() == [0, 1, 2]


# --- a method of one's own: one entry ---------------------------------------------------------------------------------


def last(search, seed):
    """The last p bits."""
    return np.arange(search.k)[-search.n_bits :]


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(METHODS, "last", selectors.Method("last", "last p", last, "none", deterministic=True))


@pytest.mark.usefixtures("toy")
def test_one_entry_makes_a_method_known_everywhere(tmp_path, codes_file, labels_file, capsys):
    assert select(CODES, LABELS, 3, method="last").bits.tolist() == [7, 8, 9]
    assert METHODS["last"].summary == "The last p bits."
    files = ("--codes", codes_file, "--labels", labels_file, "--out", tmp_path / "out")
    run_main(command, *files, "--n-bits", 3, "--method", "last", "--no-progress")
    assert outcome(tmp_path / "out")[2]["method"] == "last"
    assert "random, exhaustive, last, not 'magic'" in refusal(command, *files, "--n-bits", 3, "--method", "magic")

    pool = pools.Candidates(
        "toy", CODES, LABELS, CODES, np.arange(60) % 2, CODES[:9], LABELS[:9], CODES[9:], LABELS[9:]
    )
    cell = grid.run_cell(pool, "last", 3, 0, 50)
    assert cell.bits == [7, 8, 9]
    assert "last" in comparison.compared()
    assert grid.planned(["last"], [3], [4, 5]) == [("last", 3, 4)]
    assert grid.frame([cell])["method"].tolist() == ["last p"]
    assert plots.style(METHODS["last"].title)["label"] == "last p"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": "magic"}, "method must be one of"),
        ({"budget": 0}, r"budget is 0; give a whole number in 1\.\."),
        ({"n_bits": 0}, r"n_bits is 0; give a whole number in 1\.\."),
        ({"n_bits": 10**9}, r"n_bits is 1000000000; give a whole number in 1\.\.65535"),
        ({"n_queries": 10**12}, "n_queries is 1000000000000; give a whole number in 1"),
        ({"codes": Path("nowhere.npy")}, "nowhere.npy does not exist"),
        ({"codes": Path(__file__)}, "no npy file"),
        ({"codes": Path(__file__).parent}, "selectors is a folder"),
        ({"labels": None}, "labels is left out, but .*codes.npy holds one array"),
        ({"settings": ("size=3",)}, "settings has 'size'; method 'greedy' has none"),
        ({"method": "cem", "settings": ("size=1",)}, r"size is 1; give a whole number in 2\.\."),
        ({"seed": -1}, r"seed is -1; give a whole number from 0 to 2\^64 - 1"),
        ({"labels_array": "labels"}, "is no npz file"),
        ({"out": Path(__file__)}, "which is a file: name a folder"),
    ],
)
def test_the_command_line_refuses_before_it_writes(changes, sentence, tmp_path, codes_file, labels_file):
    args = {"codes": codes_file, "n_bits": 4, "labels": labels_file, "out": tmp_path / "out", "progress": False}
    with pytest.raises(ValueError, match=sentence):
        main(Args(**(args | changes)))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_many_classes_need_no_matrix_of_one_hot_rows(tmp_path, capsys):
    """One-hot rows of these would take 5 GB."""
    np.save(tmp_path / "labels.npy", np.repeat(np.arange(50_000), 2))
    np.save(tmp_path / "codes.npy", np.random.default_rng(0).integers(0, 2, (100_000, 64), dtype=np.uint8))
    options = ("--codes", tmp_path / "codes.npy", "--labels", tmp_path / "labels.npy", "--out", tmp_path / "s")
    tracemalloc.start()
    run_main(command, *options, "--n-bits", 16, "--method", "random", "--no-progress")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "class indices, 50000 classes" in capsys.readouterr().out
    assert most < 0.3e9
