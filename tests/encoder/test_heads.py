"""Last layers: losses against their definitions, and what label outputs answer against thermometer's own formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax
from torch import nn

from hashlib_nb import thermometer
from hashlib_nb.encoder import SMALL, Encoder, Head, Settings, fit, heads, load_or_encode
from hashlib_nb.encoder.heads import LabelHead, bit_cross_entropy, class_cross_entropy, n_right, smoothed
from hashlib_nb.encoder.recipes import FROZEN
from hashlib_nb.thermometer import ClassCodes
from tests.encoder.test_fitting import IMAGES, LABEL, QUICK, N
from tests.encoder.test_setup import splits
from tests.helpers import assert_same

RNG = np.random.default_rng(0)
ONE = np.eye(3, dtype=np.uint8)
"""Label sets of one label each."""
SEVERAL = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 1, 1]], np.uint8)
SAID = RNG.normal(0, 3, (50, 3)).astype(np.float32)
LABELS = ONE[LABEL]
TARGETS = RNG.integers(0, 2, (3, 8), np.uint8)[LABEL]
LABEL_HEAD = {**QUICK, "loss": class_cross_entropy}


def dichotomies(n: int, k: int = 9) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 2, (n, k), dtype=np.uint8)


# --- losses -----------------------------------------------------------------------------------------------------------


def test_losses_are_sums_over_the_batch_of_their_definitions():
    logits, targets = torch.tensor(SAID[:4]), torch.tensor(ONE[[0, 1, 2, 1]], dtype=torch.float32)
    expected = -(targets.numpy() * log_softmax(SAID[:4].astype(float), axis=1)).sum()
    assert class_cross_entropy(logits, targets).item() == pytest.approx(expected, rel=1e-5)
    p = expit(SAID[:4].astype(float))
    expected = -(targets.numpy() * np.log(p) + (1 - targets.numpy()) * np.log(1 - p)).sum()
    assert bit_cross_entropy(logits, targets).item() == pytest.approx(expected, rel=1e-5)


def test_smoothing_a_class_is_torchs_label_smoothing_and_of_a_bit_moves_it_to_one_half():
    logits, targets = torch.tensor(SAID[:4]), torch.tensor(ONE[[0, 1, 2, 1]], dtype=torch.float32)
    smooth = smoothed(targets, 0.1, class_cross_entropy)
    theirs = nn.functional.cross_entropy(logits, targets.argmax(1), reduction="sum", label_smoothing=0.1)
    assert class_cross_entropy(logits, smooth).item() == pytest.approx(theirs.item(), rel=1e-5)
    assert smooth.sum(1).tolist() == pytest.approx([1] * 4)
    assert smoothed(targets, 0.1, bit_cross_entropy).unique().tolist() == pytest.approx([0.05, 0.95])


def test_of_a_class_head_a_picture_is_right_or_wrong_as_a_whole():
    logits = torch.tensor([[2.0, 3.0, -1.0], [-3.0, -2.0, -1.0]])
    targets = torch.tensor([[0, 1, 0], [0, 1, 0]])
    assert n_right(logits, targets, class_cross_entropy).item() == 3
    assert n_right(logits, targets, bit_cross_entropy).item() == 2 + 2


# --- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sets", [ONE, SEVERAL], ids=["one label", "several"])
def test_answers_are_the_log_odds_of_what_the_label_sets_posteriors_say(sets):
    sides = dichotomies(len(sets))
    head = LabelHead(nn.Identity(), sets, sides, beta=0.7)
    posteriors = thermometer.posteriors(SAID, ClassCodes(sets, sets, 0.7))
    found = head(torch.tensor(SAID)).numpy()
    np.testing.assert_allclose(found, thermometer.logits_of(posteriors, sides), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(expit(found.astype(float)), posteriors @ sides, atol=1e-6)


def test_one_label_a_picture_is_the_classifiers_softmax():
    head = LabelHead(nn.Identity(), ONE, ONE, beta=1.0)
    found = expit(head(torch.tensor(SAID)).numpy().astype(float))
    np.testing.assert_allclose(found, np.exp(log_softmax(SAID.astype(float), axis=1)), atol=1e-6)


def test_no_doubt_and_a_side_without_classes_give_finite_logits():
    head = LabelHead(nn.Identity(), ONE, np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1]], np.uint8), beta=1.0)
    found = head(torch.tensor([[1e4, -1e4, -1e4], [-1e4, 1e4, 0]]))
    assert found.isfinite().all()
    assert (found[:, 1] < -80).all()
    assert (found[:, 2] > 80).all()


# --- encoders ---------------------------------------------------------------------------------------------------------


def asking(encoder: Encoder) -> Encoder:
    classes = ClassCodes.of(TARGETS, LABELS)
    return encoder.asking(lambda inner: LabelHead(inner, ONE[::-1].copy(), classes.codes, 0.9), TARGETS.shape[1])


@pytest.fixture(scope="module")
def labelled() -> Encoder:
    return fit(IMAGES, LABELS, **{**LABEL_HEAD, "epochs": 12})


def test_a_class_head_learns_what_there_is_to_learn(labelled):
    assert labelled.bits == 3
    assert labelled.label_head is None
    assert (labelled.logits(IMAGES).argmax(1) == LABEL).mean() > 0.9
    assert labelled.history["bit_accuracy"].max() <= 1


def test_an_encoder_that_asks_gives_the_answers_of_its_labels_and_is_saved_whole(labelled, tmp_path):
    encoder = asking(labelled)
    assert encoder.bits == TARGETS.shape[1]
    said = encoder.last_layer(IMAGES)
    np.testing.assert_array_equal(said, labelled.logits(IMAGES))
    np.testing.assert_array_equal(encoder.logits(IMAGES), encoder.asked(said))
    np.testing.assert_array_equal(encoder.logits(IMAGES), encoder.label_head.ask(torch.tensor(said)).numpy())
    encoder.save(tmp_path)
    loaded = Encoder.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(loaded.logits(IMAGES), encoder.logits(IMAGES))
    np.testing.assert_array_equal(loaded.last_layer(IMAGES), said)


def test_a_frozen_trunk_carries_a_label_head_too(tmp_path):
    small = {"arch": "efficientnet_lite0_frozen", "size": 32, "weights": "random", "device": "cpu", "progress": False}
    recipe = replace(FROZEN, batch_size=16, head=Head(8))
    images = np.tile(IMAGES, (1, 1, 1, 3))
    encoder = asking(fit(images, LABELS, **small, recipe=recipe, epochs=2, loss=class_cross_entropy))
    of_pictures, features = encoder.logits(images), encoder.features(images)
    np.testing.assert_allclose(encoder.logits(features), of_pictures, atol=1e-5)
    encoder.save(tmp_path)
    np.testing.assert_array_equal(Encoder.load(tmp_path, device="cpu").logits(features), encoder.logits(features))


def test_mirrored_outputs_are_those_of_mirrored_pictures(labelled):
    np.testing.assert_allclose(
        labelled.last_layer(IMAGES, mirrored=True), labelled.last_layer(IMAGES[:, :, ::-1].copy()), atol=1e-5
    )


# --- stage 2 ----------------------------------------------------------------------------------------------------------

VIEWS = replace(SMALL, batch_size=8, views=True, distort=True, crop=0.1, ema=0.9, label_smoothing=0.1, outputs="labels")
STAGE_2 = Settings(arch="alexnet_small", device="cpu", epochs=2, recipe=VIEWS)


@pytest.fixture(scope="module")
def stage_2(tmp_path_factory):
    data = splits()
    classes = data.train.labels.argmax(1)
    targets = np.random.default_rng(1).integers(0, 2, (3, 8), dtype=np.uint8)[classes]
    folder = tmp_path_factory.mktemp("labels")
    return data, targets, folder, load_or_encode(folder, data, targets, STAGE_2, progress=False)


def test_a_recipe_with_views_needs_no_folds_and_leaves_a_view_of_each_training_picture(stage_2):
    data, targets, _, made = stage_2
    assert made.out_of_fold.shape == (0, 8)
    assert len(made.fold) == 0
    view, plain = made.arrays["view_logits"], made.arrays["train_logits"]
    assert view.shape == plain.shape == targets.shape
    assert (view != plain).any()
    assert made.arrays["view_labels_said"].shape == data.train.labels.shape
    assert made.arrays["cpu_seconds"] > 0


def test_codes_of_new_pictures_are_those_that_stage_2_wrote(stage_2):
    data, _, folder, made = stage_2
    encoder = Encoder.load(folder, device="cpu")
    np.testing.assert_array_equal(encoder.encode(data.query.images), made.query)
    np.testing.assert_allclose(encoder.logits(data.query.images), made.arrays["query_logits"], atol=1e-5)


def test_beta_is_fitted_to_the_views(stage_2):
    data, _, folder, made = stage_2
    expected = ClassCodes.of(data.train.labels, data.train.labels, made.arrays["view_labels_said"]).beta
    assert Encoder.load(folder, device="cpu").label_head.beta.item() == expected


def test_other_settings_give_no_other_views_of_what_stays(stage_2, tmp_path):
    data, targets, _, made = stage_2
    again = load_or_encode(tmp_path, data, targets, STAGE_2, progress=False)
    assert_same({**again.arrays}, {**made.arrays})


def test_bits_and_labels_differ_in_what_is_fitted_alone(stage_2, tmp_path):
    data, targets, _, made = stage_2
    bits = load_or_encode(tmp_path, data, targets, replace(STAGE_2, outputs="bits"), progress=False)
    assert not any("said" in name for name in bits.arrays)
    assert bits.query.shape == made.query.shape


def test_several_labels_are_fitted_each_on_its_own(tmp_path, monkeypatch):
    data = splits()
    several = [
        replace(part, labels=SEVERAL[np.arange(len(part)) % 4]) for part in (data.query, data.train, data.database)
    ]
    data = replace(data, query=several[0], train=several[1], database=several[2])
    targets = np.random.default_rng(2).integers(0, 2, (4, 8), dtype=np.uint8)[np.arange(len(data.train)) % 4]
    made = load_or_encode(tmp_path, data, targets, STAGE_2, progress=False)
    head = Encoder.load(tmp_path, device="cpu").label_head
    assert head.label_sets.shape == (4, 3)
    np.testing.assert_array_equal(head.label_sets.numpy(), made.classes.label_sets)
    np.testing.assert_array_equal(head.dichotomies.numpy(), made.classes.codes)


def test_losses_have_names_that_a_checkpoint_can_tell_apart():
    assert heads.bit_cross_entropy.__qualname__ != heads.class_cross_entropy.__qualname__


def test_pictures_without_views_of_their_own_are_refused():
    with pytest.raises(ValueError, match="views is set, but pictures are not augmented"):
        replace(SMALL, shift=0, mirror=False, views=True)


def test_rows_are_as_many_as_pictures():
    assert len(IMAGES) == N


def test_posteriors_are_those_of_the_label_outputs_and_the_ks_come_near(stage_2):
    data, _, _, made = stage_2
    found = made.posteriors("query")
    np.testing.assert_allclose(found.sum(axis=1), 1)
    sides = made.classes.codes.astype(float)
    np.testing.assert_allclose(expit(made.arrays["query_logits"].astype(float)), found @ sides, atol=1e-6)
    said = replace(made, arrays={name: each for name, each in made.arrays.items() if "said" not in name})
    assert said.posteriors("query").shape == found.shape == (len(data.query), 3)
