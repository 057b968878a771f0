"""Closed forms and alternations: what may never rise, what must be a rotation, and the same computed plainly."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from PIL import Image

from hashlib_nb import baselines, codes
from hashlib_nb.baselines import _kernel, _words, cnnh, sdh
from hashlib_nb.baselines.itq import ITQ, principal
from hashlib_nb.codes import LabelSets
from tests.baselines.test_registry import CLASS, FEATURES, PICTURES, SEVERAL, N, quick

RNG = np.random.default_rng(0)
NOISE = RNG.normal(3, 1, (N, 12)).astype(np.float32) * np.geomspace(1, 0.1, 12, dtype=np.float32)
LABELS = {"one concept": np.eye(3, dtype=np.uint8)[CLASS], "several": SEVERAL}
of_features = pytest.mark.parametrize("features", [FEATURES, NOISE], ids=["blobs", "noise"])
of_labels = pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)


def assert_falls(values: np.ndarray) -> None:
    """Never rises but for rounding, and has fallen."""
    values = np.asarray(values)
    assert (np.diff(values) <= 1e-6 * np.abs(values[:-1])).all(), values
    assert values[-1] < values[0]


# --- lsh and itq ------------------------------------------------------------------------------------------------------


def test_lsh_of_pictures_is_hyperplanes_of_their_pixels():
    fitted = quick("lsh", PICTURES, training=None, seed=4)
    directions = np.random.default_rng(4).standard_normal((144, 8), dtype=np.float32)
    pixels = PICTURES.reshape(N, -1) / 255
    projected = (pixels - pixels.mean(axis=0)) @ directions
    np.testing.assert_allclose(fitted.logits(PICTURES), projected, atol=1e-4)


def test_lshs_hyperplanes_go_through_the_mean_of_the_rows_it_was_fitted_to():
    held_out = np.flatnonzero(CLASS == 2)
    fitted = quick("lsh", held_out=held_out)
    center = FEATURES[CLASS != 2].mean(axis=0, keepdims=True)
    np.testing.assert_allclose(fitted.logits(center), 0, atol=1e-5)


@of_features
@pytest.mark.parametrize("code_length", [1, 5, 12])
def test_itqs_error_never_rises(features, code_length):
    for seed in range(3):
        history = quick("itq", features, code_length=code_length, seed=seed).arrays["history_error"]
        assert history.shape == (50,)
        if code_length > 1:  # a single bit has no rotation but a change of sign
            assert_falls(history)


@of_features
def test_itqs_projection_is_a_rotation_of_the_principal_components(features):
    fitted = quick("itq", features, code_length=5)
    directions = fitted.arrays["directions"].astype(float)
    np.testing.assert_allclose(directions.T @ directions, np.eye(5), atol=1e-5)
    _, _, components = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    rotation = components[:5] @ directions
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(5), atol=1e-4)  # nothing lies outside of the first five


@of_features
def test_the_error_that_itq_tells_is_that_of_its_codes(features):
    fitted = quick("itq", features, code_length=5, rounds=200)
    outputs = (features - features.mean(axis=0)) @ fitted.arrays["directions"]
    error = np.mean((np.where(outputs >= 0, 1, -1) - outputs) ** 2)
    assert error == pytest.approx(fitted.arrays["history_error"][-1], rel=1e-4)  # it has come to rest by then
    np.testing.assert_allclose(fitted.logits(features), outputs, atol=1e-5)


def test_no_rotation_nearby_quantizes_better_than_itqs():
    fitted = quick("itq", NOISE, code_length=4, rounds=300)
    turned = fitted.logits(NOISE).astype(float)
    bits = np.where(turned >= 0, 1.0, -1.0)
    best = ((bits - turned) ** 2).sum()
    rng = np.random.default_rng(0)
    for _ in range(100):
        skew = rng.normal(0, 0.05, (4, 4))
        assert ((bits - turned @ scipy.linalg.expm(skew - skew.T)) ** 2).sum() >= best * (1 - 1e-6)


def test_principal_directions_are_those_of_most_variance():
    centered = NOISE - NOISE.mean(axis=0)
    found = principal(centered, 12)
    variances = (centered @ found).var(axis=0)
    assert (np.diff(variances) < 0).all()
    np.testing.assert_allclose(variances, np.linalg.svd(centered, compute_uv=False) ** 2 / N, rtol=1e-4)


# --- sdh --------------------------------------------------------------------------------------------------------------


@of_features
@of_labels
@pytest.mark.parametrize("nu", [1e-5, 1e-1])
def test_sdhs_objective_never_rises(features, labels, nu):
    for seed in range(3):
        fitted = quick("sdh", features, labels, 12, seed=seed, nu=nu, rounds=8)
        assert fitted.arrays["history_objective"].shape == (8,)
        assert_falls(fitted.arrays["history_objective"])


def plain_sdh(features, labels, code_length, seed, *, anchors, penalty, nu, rounds):
    """Anchors, directions and objectives by plain loops in float64, from the same random numbers."""
    rng = np.random.default_rng(seed)
    x, y = features.astype(float), labels.astype(float)
    anchors = x[np.sort(rng.permutation(len(x))[:anchors])]
    squares = np.array([[((one - anchor) ** 2).sum() for anchor in anchors] for one in x])
    phi = np.exp(-squares / squares.mean())
    phi -= phi.mean(axis=0)
    ridge = sdh.RIDGE * np.mean([column @ column for column in phi.T])
    b = np.where(rng.random((len(x), code_length)) < 0.5, -1.0, 1.0)

    def project() -> np.ndarray:
        return np.linalg.inv(phi.T @ phi + ridge * np.eye(len(anchors))) @ phi.T @ b

    history = []
    for _ in range(rounds):
        w = np.linalg.inv(b.T @ b + penalty * np.eye(code_length)) @ b.T @ y
        p = project()
        for _ in range(sdh.SWEEPS):
            for bit in range(code_length):
                for row in range(len(x)):  # the sign that costs less, with all others as they are
                    cost = {}
                    for b[row, bit] in (1.0, -1.0):
                        cost[b[row, bit]] = ((y[row] - b[row] @ w) ** 2).sum() + nu * (
                            (b[row] - phi[row] @ p) ** 2
                        ).sum()
                    b[row, bit] = 1.0 if cost[1.0] <= cost[-1.0] else -1.0
        labels_term = ((y - b @ w) ** 2).sum() + penalty * (w**2).sum()
        history.append(labels_term + nu * (((b - phi @ p) ** 2).sum() + ridge * (p**2).sum()))
    return anchors, project(), history


@of_labels
@pytest.mark.parametrize("nu", [1e-3, 0.5])
def test_sdh_is_what_plain_loops_find(labels, nu):
    settings = {"anchors": 15, "penalty": 0.7, "nu": nu, "rounds": 3}
    fitted = quick("sdh", NOISE, labels, 5, seed=2, **settings)
    anchors, directions, history = plain_sdh(NOISE, labels, 5, 2, **settings)
    np.testing.assert_array_equal(fitted.arrays["anchors"], anchors.astype(np.float32))
    np.testing.assert_allclose(fitted.arrays["history_objective"], history, rtol=1e-4)
    np.testing.assert_allclose(fitted.arrays["directions"], directions, atol=1e-2 * np.abs(directions).max())


def test_blocks_of_rows_give_the_same_kernel(monkeypatch):
    fitted = quick("sdh")
    whole = fitted.logits(FEATURES)
    monkeypatch.setattr(_kernel, "BLOCK", 7)
    np.testing.assert_allclose(fitted.logits(FEATURES), whole, atol=1e-4 * np.abs(whole).max())


# --- cnnh -------------------------------------------------------------------------------------------------------------


@of_labels
@pytest.mark.parametrize("code_length", [1, 6, 12])
def test_cnnhs_values_are_the_thesis_objective_of_its_relaxed_codes(labels, code_length):
    groups = LabelSets.of(labels)
    for number in (0, 1, 3):
        h, values = cnnh.sweeps(groups, code_length, number, seed=1)
        assert len(values) <= number + 1
        assert np.abs(h).max() <= 1
        assert values[-1] == pytest.approx(codes.pair_objective(h[groups.index], labels), rel=1e-6)


@of_labels
def test_a_sweep_of_cnnhs_never_raises_its_objective(labels):
    for seed in range(4):
        assert_falls(cnnh.sweeps(LabelSets.of(labels), 12, 20, seed)[1])


def test_rows_weigh_as_often_as_they_occur():
    """One row more of a class, not one label set more, is what the objective of the rows says."""
    labels = np.repeat([0, 1, 2], [50, 9, 1])
    groups = LabelSets.of(labels)
    h, values = cnnh.sweeps(groups, 6, 10)
    assert values[-1] == pytest.approx(codes.pair_objective(h[groups.index], labels), rel=1e-6)
    assert_falls(values)


def plain_sweep(h: np.ndarray, groups: LabelSets, similarity: np.ndarray) -> np.ndarray:
    """A Newton step of every entry, its derivatives from the objective's own values: of an entry it is a quartic."""
    h, k, counts = h.copy(), h.shape[1], groups.counts.astype(float)

    def objective(i: int, j: int, x: float) -> float:
        moved = h.copy()
        moved[i, j] = x
        return float(counts @ (moved @ moved.T - k * similarity) ** 2 @ counts)

    for i, j in np.ndindex(h.shape):
        x = h[i, j]
        at = x + np.arange(-2, 3)
        quartic = np.poly1d(np.polyfit(at - x, [objective(i, j, each) for each in at], 4))
        g1, g2 = quartic.deriv(1)(0), quartic.deriv(2)(0)
        end = 1.0 if g1 < 0 else -1.0
        h[i, j] = np.clip(x - g1 / g2, -1, 1) if g2 > 0 else end
    return h


@of_labels
@pytest.mark.parametrize("code_length", [1, 4])
def test_cnnhs_steps_are_newtons_of_the_objective(labels, code_length):
    labels = np.concatenate([labels, labels[:7]])  # label sets that do not occur equally often
    groups = LabelSets.of(labels)
    shared = (groups.sets.astype(int) @ groups.sets.T > 0) * 2.0 - 1
    start, values = cnnh.sweeps(groups, code_length, 0, seed=3)
    once, fell = cnnh.sweeps(groups, code_length, 1, seed=3)
    assert len(values) == 1
    assert len(fell) == 2
    np.testing.assert_allclose(once, plain_sweep(start, groups, shared), atol=1e-6)


def test_cnnhs_targets_are_the_signs_of_its_relaxed_codes():
    groups = LabelSets.of(SEVERAL)
    h, _ = cnnh.sweeps(groups, 12, 5, seed=6)
    targets = baselines.method("cnnh", sweeps=5).targets(SEVERAL, 12, 6)
    np.testing.assert_array_equal(targets, (h >= 0)[groups.index])


# --- bag of words -----------------------------------------------------------------------------------------------------


def plain_histogram(picture: np.ndarray, arrays, patch: int) -> np.ndarray:
    """Words of the patches in each quarter of a picture [32, 32, c], by loops."""
    corners = range(0, 32 - patch + 1, 2)
    counts = np.zeros((2, 2, len(arrays["words"])))
    for row, top in enumerate(corners):
        for column, left in enumerate(corners):
            x = picture[top : top + patch, left : left + patch].astype(float)
            x = np.moveaxis(x, 2, 0).ravel()  # in the order that the words have
            x = (x - x.mean()) / np.sqrt(x.var() + 10)
            x = (x - arrays["patch_mean"]) @ arrays["white"]
            word = ((arrays["words"] - x) ** 2).sum(axis=1).argmin()
            half = len(corners) / 2
            counts[int(row >= half), int(column >= half), word] += 1
    return counts.reshape(-1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("patch", [5, 6])
def test_words_are_counted_in_each_quarter(channels, patch):
    pictures = np.random.default_rng(2).integers(0, 256, (8, 32, 32, channels), dtype=np.uint8)
    pictures[:, 10:20, 5:30] //= 4
    fitted = quick("bag_of_words", pictures, CLASS[:8], 6, words=12, patch=patch)
    expected = np.stack([plain_histogram(each, fitted.arrays, patch) for each in pictures])
    n_patches = len(range(0, 33 - patch, 2)) ** 2
    assert (expected.sum(axis=1) == n_patches).all()
    found = _words.count_words(fitted.arrays, pictures, patch)
    assert (found.sum(axis=1) == n_patches).all()
    assert np.abs(found - expected).sum() <= 2  # a patch between two words
    roots = np.sqrt(expected / n_patches).astype(np.float32)
    np.testing.assert_allclose(fitted.logits(pictures), ITQ().outputs(fitted.arrays, roots), atol=0.05)


def test_white_patches_are_uncorrelated():
    """With a little added to each variance, so that what is next to nothing is not blown up."""
    pictures = np.random.default_rng(2).integers(0, 256, (30, 32, 32, 1), dtype=np.uint8)
    fitted = quick("bag_of_words", pictures, CLASS[:30])
    patches = np.concatenate([each for block in _words.patches(pictures, 6) for each in block])
    white = (patches - fitted.arrays["patch_mean"]) @ fitted.arrays["white"]
    spread = np.linalg.eigvalsh(np.cov(patches.T))
    found = np.linalg.eigvalsh(np.cov(white.T))
    np.testing.assert_allclose(found, spread / (spread + 0.1), rtol=2e-2, atol=1e-4)


def test_pictures_are_brought_to_one_size_and_taken_some_at_a_time(monkeypatch):
    large = np.random.default_rng(3).integers(0, 256, (9, 64, 96, 3), dtype=np.uint8)
    small = np.stack([np.asarray(Image.fromarray(each).resize((32, 32), Image.Resampling.BOX)) for each in large])
    fitted = quick("bag_of_words", small, CLASS[:9], words=12)
    expected = fitted.logits(small)
    monkeypatch.setattr(_words, "ROWS", 4)
    np.testing.assert_allclose(fitted.logits(large), expected, atol=1e-5)


def test_themes_are_shares_that_differ_between_kinds_of_pictures():
    fitted = quick("bag_of_words", themes=9, code="themes")
    counts = _words.count_words(fitted.arrays, PICTURES, 6)
    shares = fitted.method._roots(fitted.arrays, counts) ** 2
    assert shares.shape == (N, 9)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    means = np.stack([shares[kind::3].mean(axis=0) for kind in range(3)])
    within = np.mean([shares[kind::3].std(axis=0).mean() for kind in range(3)])
    assert means.std(axis=0).mean() > within


def test_words_tell_kinds_of_pictures_apart_without_a_label():
    fitted = quick("bag_of_words", code_length=16)
    found = fitted.encode(PICTURES).astype(int)
    far = (found[:, None] != found[None]).sum(axis=2)
    alike = CLASS[:, None] == CLASS
    assert far[alike & ~np.eye(N, dtype=bool)].mean() < far[~alike].mean()
