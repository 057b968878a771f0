"""The surrogate against scikit-learn, its swaps against brute force, its search against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Exponentiation, WhiteKernel

from hashlib_nb.hamming import mask_of
from hashlib_nb.selection import Reward, Search, random_masks
from hashlib_nb.selectors import select, surrogate
from hashlib_nb.selectors.surrogate import QuadraticProcess, SwapAscent, similarity
from tests.helpers import noisy_codes

pytestmark = pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")  # scikit-learn's log of our sigma_0 = 0


def quadratic(masks: np.ndarray, seed: int = 0) -> np.ndarray:
    """Values of masks {0,1} [e, k] under random weights of bits and of pairs of bits."""
    rng, k = np.random.default_rng(seed), masks.shape[1]
    return masks @ rng.normal(size=k) + np.einsum("ea,ab,eb->e", masks, rng.normal(size=(k, k)) / 3, masks)


def measured(k: int = 20, p: int = 6, n: int = 50, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    masks = np.unique(random_masks(k, p, n, seed), axis=0)
    return masks, 0.7 + 0.01 * quadratic(masks, seed)


def of_sklearn(masks: np.ndarray, values: np.ndarray, s2: float, w: float, noise: float) -> GaussianProcessRegressor:
    """The same process from scikit-learn's own kernels, a product with a constant each."""
    p = masks[0].sum()
    bits = ConstantKernel(s2 * (1 - w) / p) * DotProduct(0.0)
    pairs = ConstantKernel(s2 * w / p**2) * Exponentiation(DotProduct(0.0), 2)
    made = GaussianProcessRegressor(bits + pairs + WhiteKernel(s2 * noise), alpha=1e-12, optimizer=None)
    return made.fit(masks, values - values.mean())


@pytest.mark.parametrize("w", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_kernel_is_positive_semidefinite(w, seed):
    masks = random_masks(15, 5, 80, seed).astype(float)
    assert np.linalg.eigvalsh(similarity(masks, masks, w)).min() > -1e-9
    np.testing.assert_allclose(np.diag(similarity(masks, masks, w)), 1)


@pytest.mark.parametrize(("w", "noise"), [(0.0, 0.1), (0.4, 0.01), (1.0, 1.0)])
def test_the_posterior_mean_is_that_of_scikit_learn(w, noise):
    masks, values = measured()
    process, others = QuadraticProcess.fit(masks, values, (w, noise)), random_masks(20, 6, 30, seed=9)
    peer = of_sklearn(masks, values, process.scale, w, noise)
    np.testing.assert_allclose(process(others), values.mean() + peer.predict(others), rtol=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_other_setting_is_likelier(seed):
    """Of a grid over w, noise and s2, by scikit-learn's likelihood; the maximum is sought to a tenth of a nat or so."""
    masks, values = measured(n=70, seed=seed)
    fitted = QuadraticProcess.fit(masks, values)
    best = of_sklearn(masks, values, fitted.scale, fitted.quadratic, fitted.noise).log_marginal_likelihood_value_
    for w, noise, factor in itertools.product((0.1, 0.5, 0.9), (0.003, 0.1, 3), (0.5, 1, 2)):
        s2 = factor * QuadraticProcess.fit(masks, values, (w, noise)).scale
        assert of_sklearn(masks, values, s2, w, noise).log_marginal_likelihood_value_ < best + 0.2


@pytest.mark.parametrize("w", [0.0, 0.4, 1.0])
def test_the_gain_of_a_swap_is_the_difference_of_two_means(w):
    masks, values = measured()
    process = QuadraticProcess.fit(masks, values, (w, 0.05))
    noise = np.random.default_rng(3).normal(size=20) * 1e-3
    ascent = SwapAscent(process, process.linear + noise, np.array([3, 0, 17, 9, 11, 5]))

    def at(bits) -> float:
        mask = mask_of(bits, 20)
        return process(mask[None])[0] + mask @ noise

    for _ in range(2):  # once as it begins, once where it ends
        gains = ascent.gains()
        for place, bit in itertools.product(range(6), range(20)):
            if bit in ascent.bits:
                assert gains[place, bit] == -np.inf
            else:
                swapped = [*ascent.bits[:place], bit, *ascent.bits[place + 1 :]]
                assert gains[place, bit] == pytest.approx(at(swapped) - at(ascent.bits), abs=1e-12)
        before = at(ascent.bits)
        ascent.climb()
        assert at(ascent.bits) >= before
    assert ascent.gains().max() < 1e-9


class Quadratic(Reward):
    """A reward that is as quadratic as the model thinks, of which all subsets are quickly valued."""

    def __init__(self, k: int, seed: int):
        super().__init__(*noisy_codes(20, k))
        self.seed = seed

    def __call__(self, masks):
        return quadratic(np.asarray(masks), self.seed)


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_the_best_subset_where_the_model_is_right(seed):
    """The best of all 33,649 in 300 calls, in which random subsets stay below: the 99.9th percentile is far off."""
    reward = Quadratic(23, seed)
    subsets = np.array(list(itertools.combinations(range(23), 5)))
    masks = np.zeros((len(subsets), 23), np.uint8)
    np.put_along_axis(masks, subsets, 1, axis=1)
    found = Search(reward, 5, 300).run(surrogate.surrogate, 0, "surrogate")
    assert found.reward == pytest.approx(reward(masks).max())
    assert select(None, None, 5, method="random_search", budget=300, reward=reward).reward < found.reward


def test_beyond_the_most_rows_the_model_keeps_the_newest_and_the_best(monkeypatch):
    monkeypatch.setattr(surrogate, "MOST_ROWS", 70)
    seen, fit = [], QuadraticProcess.fit.__func__
    monkeypatch.setattr(
        QuadraticProcess, "fit", classmethod(lambda cls, *given: seen.append(given) or fit(cls, *given))
    )
    asked = []
    reward = Quadratic(30, 0)
    search = Search(reward, 6, 160)
    search.run(lambda search, seed: surrogate.surrogate(search, seed), 0, "surrogate")
    asked = np.array(list(search._values.values()))
    assert [len(given[0]) for given in seen][:3] == [64, 70, 70]
    known = asked[: 64 + 16 * (len(seen) - 1)]  # no subset of these was drawn twice
    values = seen[-1][1]
    np.testing.assert_array_equal(values[-35:], known[-35:])
    np.testing.assert_array_equal(np.sort(values[:35]), np.sort(known[:-35])[-35:])


@pytest.mark.parametrize(("k", "p"), [(4, 4), (5, 4), (6, 1)])
def test_it_ends_where_no_subset_is_left(k, p):
    found = select(*noisy_codes(30, k), p, method="surrogate", budget=500)
    assert found.calls == len(list(itertools.combinations(range(k), p)))


def test_a_pool_whose_subsets_are_all_alike_has_any_for_an_answer():
    codes = np.ones((20, 30), np.uint8)
    found = select(codes, np.arange(20) % 2, 4, method="surrogate", budget=120)
    assert len(set(found.bits.tolist())) == 4
    assert found.calls == 120 or found.reward == pytest.approx(Reward(codes, np.arange(20) % 2).of_bits([0, 1, 2, 3]))
