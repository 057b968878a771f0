"""Measures: hand-counted cases, scikit-learn's ROC, the binomial line of fair coins, Wilson's formula."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from hashlib_nb import perceptual, selection, selectors
from hashlib_nb.perceptual import CopyDistances, RecallReward

RNG = np.random.default_rng(0)
ORIGINALS = RNG.integers(0, 2, (30, 24), dtype=np.uint8)
COPY_OF = np.repeat(np.arange(30), 4)
COPIES = ORIGINALS[COPY_OF] ^ (RNG.random((120, 24)) < 0.2)
FAR = (COPIES[:, None] != ORIGINALS).sum(axis=2)
OWN = COPY_OF[:, None] == np.arange(30)
FOUND = perceptual.distances_of(ORIGINALS, COPIES, COPY_OF)


def test_distances_are_counted_as_one_counts_them_by_hand():
    originals = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    copies = np.array([[0, 0, 0, 1], [1, 1, 1, 1]])
    found = perceptual.distances_of(originals, copies, [0, 1])
    assert found.same.tolist() == [1, 1, 0, 0, 0]
    assert found.different.tolist() == [0, 0, 1, 2, 1]  # 3 and 3; 4 and 2
    assert found.nearest.tolist() == [0, 0, 1, 1, 0]
    assert (found.copies, found.pairs) == (2, 4)
    assert found.true_positive_rate.tolist() == [0.5, 1, 1, 1, 1]
    assert found.false_positive_rate.tolist() == [0, 0, 0.25, 0.75, 1]
    assert found.area == 1
    assert found.equal_error_rate == 0
    assert found.recall_at_precision(1) == 1
    assert (found.radius_at_rate(0), found.radius_at_rate(0.3), found.hits(0)) == (1, 2, 1)


def test_the_curve_is_scikit_learns():
    alarms, hits, thresholds = roc_curve(OWN.ravel(), -FAR.ravel(), drop_intermediate=False)
    at = -thresholds[1:].astype(int)
    assert FOUND.false_positive_rate[at] == pytest.approx(alarms[1:])
    assert FOUND.true_positive_rate[at] == pytest.approx(hits[1:])
    assert FOUND.area == pytest.approx(roc_auc_score(OWN.ravel(), -FAR.ravel()))
    for rate in (1e-4, 0.003, 0.02, 0.5, 1.0):
        assert FOUND.recall_at_rate(rate) == pytest.approx(np.interp(rate, alarms, hits), abs=1e-9)
    equal = FOUND.equal_error_rate
    assert np.interp(equal, alarms, hits) == pytest.approx(1 - equal, abs=1e-9)


def test_recall_at_a_precision_is_that_of_the_best_radius():
    nearest = np.where(OWN, 99, FAR).min(axis=1)
    own = FAR[OWN]
    for precision in (0.5, 0.8, 0.95, 1.0):
        best = 0
        for radius in range(25):
            right, wrong = (own <= radius).sum(), (nearest <= radius).sum()
            if right >= precision * (right + wrong):
                best = max(best, right)
        assert FOUND.recall_at_precision(precision) == best / 120


def test_parts_add_up_and_bits_may_be_permuted_and_flipped():
    halves = [perceptual.distances_of(ORIGINALS, COPIES[rows], COPY_OF[rows]) for rows in (slice(50), slice(50, None))]
    whole = halves[0] + halves[1]
    order, mask = RNG.permutation(24), RNG.integers(0, 2, 24, dtype=np.uint8)
    other = perceptual.distances_of(ORIGINALS[:, order] ^ mask, COPIES[:, order] ^ mask, COPY_OF)
    for name in ("same", "different", "nearest"):
        assert (getattr(whole, name) == getattr(FOUND, name)).all()
        assert (getattr(other, name) == getattr(FOUND, name)).all()


def test_a_hash_that_says_nothing_errs_half_of_the_time():
    constant = np.zeros((5, 8), np.uint8)
    found = perceptual.distances_of(constant, constant, np.arange(5))
    assert found.equal_error_rate == found.area == 0.5
    assert found.recall_at_rate(0.1) == pytest.approx(0.1)
    assert found.radius_at_rate(0.5) == -1
    assert found.recall_at_precision(0.9) == 0


def test_fair_coins_lie_on_the_binomial_line_and_have_as_many_effective_bits():
    coins = RNG.integers(0, 2, (600, 64), dtype=np.uint8)
    found = perceptual.uniqueness(coins)
    assert found.pairs == 600 * 599 // 2
    assert found.mean == pytest.approx(0.5, abs=0.005)
    assert found.effective_bits == pytest.approx(64, rel=0.05)
    assert np.abs(found.within - found.binomial).max() < 0.01
    doubled = perceptual.uniqueness(np.repeat(coins, 2, axis=1))
    assert doubled.effective_bits == pytest.approx(found.effective_bits)  # a copy of a bit is no bit


def test_collisions_are_pairs_of_equal_codes():
    codes = np.array([[0, 1], [0, 1], [0, 1], [1, 1]])
    found = perceptual.uniqueness(codes)
    assert (found.pairs, found.collisions) == (6, 3)
    assert found.counts.tolist() == [3, 3, 0]
    assert perceptual.uniqueness(np.zeros((3, 4), int)).effective_bits == 0


@pytest.mark.parametrize(("hits", "number"), [(0, 10), (3, 10), (10, 10), (450, 500)])
def test_wilsons_interval_is_where_the_score_test_rejects(hits, number):
    z = 1.959963984540054
    for end in perceptual.wilson(hits, number):
        assert (hits / number - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / number, abs=1e-9)
    low, high = perceptual.wilson(hits, number)
    assert 0 <= low <= hits / number <= high <= 1


def test_key_sensitivity_is_the_share_of_other_bits():
    assert perceptual.key_sensitivity([[0, 1, 1, 0]], [[0, 0, 1, 1]]).tolist() == [0.5]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: perceptual.distances_of(ORIGINALS, COPIES, COPY_OF[:5]), "^copy_of is int64 .*one row of originals"),
        (lambda: perceptual.distances_of(ORIGINALS, COPIES, COPY_OF + 9), r"^copy_of names a row outside of 0\.\.29"),
        (lambda: perceptual.distances_of(ORIGINALS[:1], COPIES, COPY_OF), "^originals has 1 rows"),
        (lambda: perceptual.distances_of(ORIGINALS, COPIES[:, :5], COPY_OF), "bits"),
        (lambda: perceptual.uniqueness(ORIGINALS[:1]), "^codes has 1 rows"),
        (lambda: perceptual.wilson(5, 4), "^hits is 5"),
        (lambda: perceptual.wilson(0, 0), "^number is 0"),
        (lambda: perceptual.wilson(1, 2, 1.0), "^confidence is 1.0"),
        (lambda: perceptual.key_sensitivity(ORIGINALS, COPIES), "^others is"),
        (lambda: FOUND.recall_at_rate(2), "^rate is 2"),
        (lambda: RecallReward(COPIES, ORIGINALS, COPY_OF + 9), "^copy_of is int64"),
        (lambda: RecallReward(COPIES, ORIGINALS, COPY_OF, rate=0), "^rate is 0"),
        (lambda: RecallReward(COPIES, ORIGINALS[:1], COPY_OF), "^originals has 1 rows"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()


# --- the reward ---

REWARD = RecallReward(COPIES, ORIGINALS, COPY_OF, rate=0.02)
MASKS = np.array([*selection.random_masks(24, 6, 20, 1), *selection.random_masks(24, 12, 20, 2), np.ones(24, np.uint8)])


def test_the_reward_is_the_recall_that_is_reported():
    wanted = [
        perceptual.distances_of(ORIGINALS[:, mask == 1], COPIES[:, mask == 1], COPY_OF).recall_at_rate(0.02)
        for mask in MASKS
    ]
    before = REWARD.calls
    assert REWARD(MASKS) == pytest.approx(wanted)
    assert REWARD.calls == before + len(MASKS)


def test_copies_that_are_there_twice_count_twice():
    twice = RecallReward(np.repeat(COPIES, 3, axis=0), ORIGINALS, np.repeat(COPY_OF, 3), rate=0.02)
    some = RecallReward([*COPIES, *COPIES[:10]], ORIGINALS, [*COPY_OF, *COPY_OF[:10]], rate=0.02)
    assert twice(MASKS) == pytest.approx(REWARD(MASKS))
    assert (some(MASKS) != REWARD(MASKS)).any()


def test_toggled_bits_are_worth_what_the_masks_are_in_parts_too(monkeypatch):
    mask, bits = MASKS[0], np.arange(24)
    masks = np.tile(mask, (24, 1)) ^ np.eye(24, dtype=np.uint8)
    whole = REWARD.flipped(mask, bits)
    assert whole == pytest.approx(REWARD(masks))
    monkeypatch.setattr("hashlib_nb.perceptual.recall.CELLS", 600)
    assert REWARD.flipped(mask, bits) == pytest.approx(whole)
    assert REWARD(masks) == pytest.approx(whole)


def test_searches_find_the_bits_that_say_something():
    """Of 24 bits 12 are coins in the copies: a search keeps none of them, and its answer is worth what it says."""
    copies = ORIGINALS[COPY_OF].copy()
    copies[:, 12:] = np.random.default_rng(1).integers(0, 2, (120, 12))
    reward = RecallReward(copies, ORIGINALS, COPY_OF, rate=0.02)
    for method in ("greedy", "swap", "cem", "entropy"):
        found = selectors.select(None, None, 8, method=method, reward=reward, budget=300)
        assert found.reward == pytest.approx(reward.of_bits(found.bits))
        if method != "entropy":  # which looks at the originals alone
            assert found.bits.max() < 12, method


def test_a_sum_of_counts_is_all_that_is_kept():
    assert isinstance(FOUND + FOUND, CopyDistances)
    assert (FOUND + FOUND).equal_error_rate == pytest.approx(FOUND.equal_error_rate)
