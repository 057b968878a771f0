"""A training that diverges raises and leaves nothing; encoders that give no numbers are refused; any seed will do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hashlib_nb import artifacts
from hashlib_nb.datasets import Split, Splits
from hashlib_nb.encoder import SMALL, Encoder, cross_fit, fit, folds_of, load_or_encode
from hashlib_nb.encoder.networks import NotFiniteError
from hashlib_nb.encoder.training import Training

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 12, 12, 1), dtype=np.uint8)
TARGETS = RNG.integers(0, 2, (24, 6), dtype=np.uint8)
QUICK = {"arch": "alexnet_small", "recipe": replace(SMALL, batch_size=12), "device": "cpu", "progress": False}
DIVERGING = QUICK | {"recipe": replace(SMALL, batch_size=12, optimizer="sgd", lr=1e30), "epochs": 3}


def splits() -> Splits:
    names = [f"{row}.png" for row in range(24)]
    labels = np.eye(2, dtype=np.uint8)[np.arange(24) % 2]
    parts = [Split(IMAGES[rows], labels[rows], names[rows]) for rows in (slice(0, 8), slice(8, 16), slice(16, 24))]
    return Splits(*parts, ("a", "b"), {"training_in_database": False})


def test_a_training_that_diverges_raises_and_leaves_no_checkpoint(tmp_path):
    with pytest.raises(
        NotFiniteError, match=r"diverged by epoch \d .*, nothing of it is kept: lower lr, which is 1e\+30"
    ):
        fit(IMAGES, TARGETS, checkpoint=tmp_path / "c.pt", **DIVERGING)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFiniteError, match="lower lr"):
        cross_fit(IMAGES, TARGETS, folds=2, checkpoint=tmp_path, **DIVERGING)
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_diverges_late_takes_its_checkpoint_with_it(tmp_path, monkeypatch):
    step, steps = Training._step, iter(range(1000))

    def breaks(training: Training, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        sums = step(training, x, target)
        if next(steps) == 3:  # the last of the second epoch: its loss is fine, its weights are not
            next(training.model.parameters()).data[0] = torch.nan
        return sums

    monkeypatch.setattr(Training, "_step", breaks)
    saved = []
    save = Training.save
    monkeypatch.setattr(Training, "save", lambda training, path: (saved.append(training.epoch), save(training, path)))
    with pytest.raises(NotFiniteError, match="diverged by epoch 2"):
        fit(IMAGES, TARGETS, checkpoint=tmp_path / "c.pt", epochs=4, **QUICK)
    assert saved == [1]
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_a_diverging_stage_2_is_saved(tmp_path):
    with pytest.raises(ValueError, match="lower lr"):
        load_or_encode(tmp_path, splits(), TARGETS[8:16], folds=2, **DIVERGING)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.fixture(scope="module")
def fitted() -> Encoder:
    return fit(IMAGES, TARGETS, epochs=1, **QUICK)


def test_logits_that_are_not_finite_are_no_codes(fitted):
    broken = replace(fitted, network=torch.nn.Sequential(fitted.network, torch.nn.Threshold(0.0, float("nan"))))
    with pytest.raises(NotFiniteError, match=r"images give logits that are not finite \(the first is row \d+\)"):
        broken.encode(IMAGES)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_saved_weights_that_are_not_finite_are_refused(fitted, tmp_path, value):
    fitted.save(tmp_path)
    Encoder.load(tmp_path)
    path = tmp_path / "encoder.safetensors"
    state = load_file(path)
    next(each for each in state.values() if each.is_floating_point()).view(-1)[0] = value
    save_file(state, path)
    with pytest.raises(artifacts.ArtifactError, match=r"encoder\.(safetensors|json) "):
        Encoder.load(tmp_path)


@pytest.mark.parametrize("std", [0.0, -1.0, np.nan, np.inf])
def test_scaling_that_cannot_be_is_refused(fitted, std):
    with pytest.raises(ValueError, match="std is .*; give a finite number above 0"):
        replace(fitted, std=(std,))
    with pytest.raises(ValueError, match="mean is nan; give a finite number"):
        replace(fitted, mean=(np.nan,))
    with pytest.raises(ValueError, match="mean has 1 channels and std 2"):
        replace(fitted, std=(1.0, 1.0))


@pytest.mark.parametrize("batch_size", [0, -5, 2.5, True])
def test_a_batch_of_no_pictures_is_refused(fitted, batch_size):
    with pytest.raises(ValueError, match=f"batch_size is {batch_size}; give a whole number of at least 1"):
        fitted.encode(IMAGES, batch_size=batch_size)


def test_pictures_of_one_color_fit_an_encoder():
    encoder = fit(np.full_like(IMAGES, 7), TARGETS, epochs=1, **QUICK)
    assert encoder.std == (pytest.approx(1e-3),)
    assert encoder.encode(IMAGES).shape == TARGETS.shape


@pytest.mark.parametrize("seed", [2**32, 2**63, 2**64 - 1])
def test_every_seed_has_an_encoder_of_its_own(seed):
    one, same, other = (
        fit(IMAGES, TARGETS, epochs=1, seed=each, **QUICK).logits(IMAGES) for each in (seed, seed, seed % 2**32)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert sorted(np.bincount(folds_of(TARGETS, 3, seed))) == [8, 8, 8]


def test_cross_fitting_takes_the_largest_seed():
    codes, fold, _ = cross_fit(IMAGES, TARGETS, folds=2, epochs=1, seed=2**64 - 1, **QUICK)
    assert codes.shape == TARGETS.shape
    assert {*fold.tolist()} == {0, 1}
