"""Every method by its name: settings, fits of any length and label, seeds, held-out rows, files, and refusals."""

from __future__ import annotations

import itertools
import math
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hashlib_nb import baselines, encoder, metrics
from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.baselines import base, registry
from hashlib_nb.baselines.sdh import SDH
from hashlib_nb.encoder.training import Training
from tests.encoder.test_fitting import cut_off, pictures
from tests.helpers import assert_same

N, D, K = 60, 12, 8
CLASS = np.arange(N) % 3
SEVERAL = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], np.uint8)[np.arange(N) % 5]
"""Labels with several concepts."""
PICTURES = pictures(N)
RECIPE = replace(encoder.RECIPES[encoder.FEATURES], batch_size=20)
TRAINING = encoder.Settings(arch=encoder.FEATURES, epochs=2, device="cpu", recipe=RECIPE)
SMALL = encoder.Settings(arch="alexnet_small", epochs=1, device="cpu")
CLOSED = tuple(name for name in baselines.names() if not baselines.method(name).TRAINED)
UNSUPERVISED = ("bag_of_words", "itq", "lsh")
SETTINGS = {"bag_of_words": {"words": 20}, "drlih": {"units": 32}}
"""What makes a method fast here."""
OF_FEATURES = tuple(name for name in baselines.names() if name != "bag_of_words")
every_method = pytest.mark.parametrize("name", baselines.names())
every_method_of_features = pytest.mark.parametrize("name", OF_FEATURES)
every_trained_one = pytest.mark.parametrize("name", [name for name in baselines.names() if name not in CLOSED])


def blobs(n: int = N, seed: int = 0) -> np.ndarray:
    """Features of three classes around three points."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(99).normal(0, 2, (3, D))
    return (centers[np.arange(n) % 3] + rng.normal(0, 1, (n, D))).astype(np.float32)


FEATURES = blobs()


def inputs_of(name: str) -> np.ndarray:
    return PICTURES if name == "bag_of_words" else FEATURES


def quick(name: str, images=None, labels=CLASS, code_length: int = K, **options) -> baselines.Fitted:
    images = inputs_of(name) if images is None else images
    options = {"training": TRAINING, **SETTINGS.get(name, {}), **options}
    return baselines.fit(name, images, labels, code_length, **options)


def sentence(call) -> str:
    """What a refused call says, in one sentence."""
    with pytest.raises(ValueError, match=r"\w") as refused:
        call()
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture
def no_work(monkeypatch):
    """Nothing may be trained or solved."""

    def fail(*_, **__):
        raise AssertionError("work was done")

    monkeypatch.setattr(encoder, "fit", fail)
    monkeypatch.setattr(encoder.Encoder, "features", fail)
    for name in CLOSED:
        monkeypatch.setattr(type(baselines.method(name)), "fit", fail)


# --- names and settings -----------------------------------------------------------------------------------------------


def test_names_are_the_files_of_the_folder():
    files = {path.stem for path in Path(registry.__file__).parent.glob("*.py")}
    assert set(baselines.names()) == {name for name in files if not name.startswith("_")} - {*registry.HELPERS}
    assert list(baselines.names()) == sorted(baselines.names())


def test_no_two_methods_have_one_title():
    titles = [baselines.method(name).TITLE for name in baselines.names()]
    assert len({*titles}) == len(titles)
    assert all(baselines.method(name).PAPER for name in baselines.names())


@every_method
def test_a_grid_has_few_combinations_and_the_method_takes_each(name):
    grid = baselines.method(name).GRID
    assert math.prod(len(values) for values in grid.values()) <= base.TRIALS == 8
    settings = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    made = [baselines.method(name, **each) for each in settings]
    assert len({*map(repr, made)}) == len(made)


@pytest.mark.parametrize(
    ("name", "near"),
    [("hashnett", "hashnet"), ("HashNet", "hashnet"), ("dsph", "dpsh"), ("hash_gan_pairs", "hashgan_pairs")],
)
def test_an_unknown_name_is_told_near_ones(name, near):
    said = sentence(lambda: baselines.method(name))
    assert near in said[said.index("did you mean") : said.index("There are")]
    assert ", ".join(baselines.names()) in said


@pytest.mark.parametrize("name", ["_pairs", "registry", "", 3, None, ["hashnet"]])
def test_what_is_no_method_is_refused(name):
    said = sentence(lambda: baselines.method(name))
    assert said.startswith("name is ")
    assert "There are: bag_of_words" in said


@every_method
def test_an_unknown_setting_is_refused_with_those_there_are(name, no_work):
    said = sentence(lambda: quick(name, colour=3))
    assert said.startswith(f"'colour' is no setting of '{name}'")
    assert all(field.name in said for field in fields(baselines.method(name)))


@every_method
def test_every_setting_refuses_what_is_no_value_of_it(name):
    for field in fields(baselines.method(name)):
        for bad in (math.nan, -1, "seven"):
            assert sentence(lambda f=field, b=bad: baselines.method(name, **{f.name: b})).startswith(field.name)


# --- fits -------------------------------------------------------------------------------------------------------------


@every_method
@pytest.mark.parametrize("code_length", [1, 12, 48])
def test_a_fit_gives_codes_of_any_length(name, code_length):
    if name == "itq" and code_length > D:
        assert sentence(lambda: quick(name, code_length=code_length)).startswith("code_length is 48, but ITQ makes")
        return
    fitted = quick(name, code_length=code_length)
    logits, codes = fitted.logits(inputs_of(name)), fitted.encode(inputs_of(name))
    assert (logits.shape, logits.dtype) == ((N, code_length), np.float32)
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(codes, (logits >= 0).astype(np.uint8), strict=True)


@pytest.mark.parametrize("name", [name for name in baselines.names() if name not in UNSUPERVISED])
def test_a_supervised_method_learns_classes_that_lie_apart(name):
    fitted = quick(name, code_length=16, training=replace(TRAINING, epochs=15))
    known, new, labels = fitted.encode(FEATURES), fitted.encode(blobs(seed=1)), np.eye(3, dtype=np.uint8)[CLASS]
    assert metrics.mean_average_precision(new, known, labels, labels) > 0.9


@every_method
def test_labels_may_be_several_concepts(name):
    fitted = quick(name, labels=SEVERAL)
    codes = fitted.encode(inputs_of(name))
    assert len(np.unique(codes, axis=0)) > 1


@every_method
def test_class_numbers_are_labels_of_one_concept(name):
    one_hot = quick(name, labels=np.eye(3, dtype=np.uint8)[CLASS])
    numbers = quick(name, labels=np.array([-7, 3, 1000])[CLASS])
    assert_same(one_hot.logits(inputs_of(name)), numbers.logits(inputs_of(name)))


@every_method
def test_one_seed_gives_one_result_and_another_another(name):
    one, same, other, large = (quick(name, seed=seed).logits(inputs_of(name)) for seed in (3, 3, 4, 2**40 + 3))
    assert_same(one, same)
    assert (one != other).any()
    assert (one != large).any()


@every_method
def test_a_fit_leaves_the_callers_random_numbers_as_they_were(name):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    quick(name)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@every_method
@pytest.mark.parametrize("kind", ["concepts", "numbers"])
def test_held_out_rows_have_no_part(name, kind):
    held_out = np.arange(5, 25)
    labels = SEVERAL if kind == "concepts" else CLASS
    images, relabeled = inputs_of(name).copy(), labels.copy()
    images[held_out] = images[held_out][::-1] // 2 + 7
    relabeled[held_out] = 1 if kind == "concepts" else 9  # another class, of which there is no training row
    one = quick(name, labels=labels, held_out=held_out)
    other = quick(name, images, relabeled, held_out=held_out)
    assert_same(one.logits(inputs_of(name)), other.logits(inputs_of(name)))
    everything = quick(name, labels=labels)
    assert (everything.logits(inputs_of(name)) != one.logits(inputs_of(name))).any()


@every_trained_one
def test_a_method_has_its_own_learning_rate_and_neither_smoothing_nor_patience(name):
    made = baselines.method(name, lr=0.125)
    recipe = made.recipe(replace(RECIPE, label_smoothing=0.1, patience=3))
    assert recipe == replace(RECIPE, label_smoothing=0.0, patience=0, lr=0.125)
    assert baselines.method(name).recipe(RECIPE) == replace(RECIPE, label_smoothing=0.0, patience=0)


def test_of_views_a_closed_form_takes_the_first_and_a_trained_method_draws():
    views = np.stack([FEATURES, FEATURES[:, ::-1]], 1)
    assert_same(quick("sdh", views).logits(views), quick("sdh").logits(FEATURES))
    drawn, first = quick("hashnet", views), quick("hashnet")
    assert (drawn.logits(FEATURES) != first.logits(FEATURES)).any()
    assert_same(drawn.logits(views), drawn.logits(FEATURES))


def test_a_checkpoint_is_gone_on_with(tmp_path, monkeypatch):
    """PGDH draws from torch's generator, and has seen other draws when it was cut off."""
    path, training = tmp_path / "fit.pt", replace(TRAINING, epochs=3)
    whole = quick("pgdh", training=training)
    cut_off(monkeypatch, 2, lambda: quick("pgdh", training=training, checkpoint=path))
    epochs, train = [], Training.train_one_epoch
    monkeypatch.setattr(Training, "train_one_epoch", lambda self: (epochs.append(1), train(self))[1])
    assert_same(quick("pgdh", training=training, checkpoint=path).logits(FEATURES), whole.logits(FEATURES))
    assert len(epochs) == 1
    quick("pgdh", training=training, checkpoint=path, sharpness=5.0)  # of other settings, so from the start
    quick("pgdh", training=training, checkpoint=path, code_length=K + 1)
    assert len(epochs) == 1 + 3 + 3


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_without_a_trunk_a_closed_form_takes_pixels():
    pixels = PICTURES.reshape(N, -1).astype(np.float32) / 255
    for training in (None, SMALL):
        fitted = quick("sdh", PICTURES, training=training)
        assert_same(fitted.logits(PICTURES), quick("sdh", pixels).logits(pixels))
        assert fitted.encoder is None


def test_pixels_are_features_some_rows_at_a_time_and_no_more_of_them_than_fit(monkeypatch):
    fitted = quick("sdh", PICTURES, training=SMALL)
    whole = fitted.logits(PICTURES)
    held, outputs = [], SDH.outputs
    monkeypatch.setattr(SDH, "outputs", lambda self, a, x: (held.append(len(x)), outputs(self, a, x))[1])
    monkeypatch.setattr(registry, "PIXEL_ROWS", 25)
    np.testing.assert_allclose(fitted.logits(PICTURES), whole, rtol=1e-4, atol=1e-5)
    assert held == [25, 25, 10]
    monkeypatch.setattr(registry, "MAX_PIXELS", PICTURES[0].size - 1)
    said = sentence(lambda: quick("sdh", PICTURES, training=SMALL))
    assert said.startswith(f"images have {PICTURES[0].size:,} pixels, of which SDH takes at most ")
    assert quick("bag_of_words").encode(PICTURES).shape == (N, K)  # it takes pictures, and no pixels as features


def test_a_closed_form_takes_the_features_of_a_frozen_trunk(tmp_path):
    frozen = encoder.Settings(arch="efficientnet_lite0_frozen", size=32, device="cpu", weights="random")
    before = torch.get_rng_state()
    fitted = quick("lsh", PICTURES[:20], CLASS[:20], training=frozen)
    assert torch.equal(torch.get_rng_state(), before)
    features = fitted.encoder.features(PICTURES[:20]).astype(np.float32)
    assert features.shape[1] == fitted.width == 1280
    assert_same(fitted.logits(PICTURES[:20]), quick("lsh", features, CLASS[:20]).logits(features))
    fitted.save(tmp_path)
    assert_same(baselines.load(tmp_path, device="cpu").logits(PICTURES[:20]), fitted.logits(PICTURES[:20]))


def test_too_many_bits_of_a_trunks_features_are_refused_before_those_are_computed(no_work):
    frozen = encoder.Settings(arch="efficientnet_lite0_frozen", size=32, device="cpu", weights="random")
    said = sentence(lambda: quick("itq", PICTURES, code_length=1281, training=frozen))
    assert said == "code_length is 1281, but ITQ makes at most 1280 bits of 1280 features"


@pytest.mark.parametrize("name", ["dnnh", "orthohash", "hashnet"])
def test_a_network_of_pictures_is_trained(name, tmp_path):
    fitted = quick(name, PICTURES, code_length=12, training=SMALL)
    fitted.save(tmp_path)
    loaded = baselines.load(tmp_path, device="cpu")
    assert_same(loaded.logits(PICTURES), fitted.logits(PICTURES))
    assert fitted.encode(PICTURES).shape == (N, 12)


def test_dnnh_has_a_feature_for_each_bit(monkeypatch):
    monkeypatch.setattr(Training, "train_one_epoch", lambda self: pytest.fail("it was trained"))
    linear = replace(TRAINING, recipe=replace(RECIPE, head=encoder.Head(hidden=0)))
    said = sentence(lambda: quick("dnnh", code_length=D + 1, training=linear))
    assert said == "code_length is 13, but DNNH divides 12 features: give at most that"
    said = sentence(lambda: quick("dnnh", PICTURES, code_length=257, training=SMALL))
    assert said == "code_length is 257, but DNNH divides 256 features: give at most that"


# --- files ------------------------------------------------------------------------------------------------------------


@every_method
def test_what_was_saved_is_loaded(name, tmp_path):
    fitted = quick(name, seed=5)
    fitted.save(tmp_path / "a" / "b")
    loaded = baselines.load(tmp_path / "a" / "b", device="cpu")
    assert_same(loaded.logits(inputs_of(name)), fitted.logits(inputs_of(name)))
    assert (loaded.name, loaded.method, loaded.code_length) == (name, fitted.method, K)
    assert loaded.width == fitted.width


def test_themes_are_loaded_too(tmp_path):
    fitted = quick("bag_of_words", themes=12, code="themes")
    fitted.save(tmp_path)
    assert_same(baselines.load(tmp_path).logits(PICTURES), fitted.logits(PICTURES))


def test_settings_are_loaded_too(tmp_path):
    quick("pgdh", lr=0.004, credit="reinforce", sharpness=5).save(tmp_path)
    loaded = baselines.load(tmp_path, device="cpu")
    assert loaded.method == baselines.method("pgdh", lr=0.004, credit="reinforce", sharpness=5)


def test_a_file_that_is_missing_damaged_or_of_something_else_is_named(tmp_path):
    def refusal() -> str:
        with pytest.raises(ArtifactError) as refused:
            baselines.load(tmp_path, device="cpu")
        return str(refused.value)

    assert registry.FILE in refusal()
    quick("hashnet").save(tmp_path)
    weights = tmp_path / "encoder.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    assert weights.name in refusal()
    weights.write_bytes(content)
    baselines.load(tmp_path, device="cpu")
    file = tmp_path / registry.FILE
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert file.name in refusal()
    registry.artifacts.save_npz(file.with_name("other.npz"), {"x": np.zeros(3)}, name="hashnet")
    file.write_bytes(file.with_name("other.npz").read_bytes())
    assert "is no baseline's" in refusal()


# --- refusals ---------------------------------------------------------------------------------------------------------


def with_a(value: float) -> np.ndarray:
    features = FEATURES.copy()
    features[7, 3] = value
    return features


BAD = {
    "NaN": (
        lambda n: quick(n, with_a(math.nan)),
        r"images has features that are NaN or infinite \(the first in row 7\)",
    ),
    "infinite": (lambda n: quick(n, with_a(-math.inf)), r"images has features that are NaN or infinite"),
    "no images": (lambda n: quick(n, FEATURES[0]), r"images must be uint8"),
    "fewer labels": (lambda n: quick(n, labels=CLASS[1:]), r"labels has 59 rows for 60 images"),
    "no labels": (lambda n: quick(n, labels=FEATURES), r"labels"),
    "one class": (lambda n: quick(n, labels=np.zeros(N, int)), r"labels are of one class alone"),
    "one class left": (lambda n: quick(n, held_out=np.flatnonzero(CLASS)), r"labels are of one class alone"),
    "a row left": (lambda n: quick(n, held_out=np.arange(N - 1)), r"held_out leaves 1 rows to fit to"),
    "row beyond": (lambda n: quick(n, held_out=[0, N]), r"held_out has row 60 of 60; give row numbers in 0\.\.59"),
    "negative row": (lambda n: quick(n, held_out=[-1]), r"held_out has row -1 of 60; give row numbers in 0\.\.59"),
    "mask": (lambda n: quick(n, held_out=CLASS == 0), r"held_out is bool \[60\]; give row numbers"),
    "share": (lambda n: quick(n, held_out=0.2), r"held_out is .*row numbers"),
    "no bits": (lambda n: quick(n, code_length=0), r"code_length is 0; give a whole number in 1\.\.65535"),
    "no seed": (lambda n: quick(n, seed=-1), r"seed is -1"),
}


@every_method_of_features
@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_a_sentence_before_any_work(name, bad, no_work):
    if bad.startswith("one class") and name in UNSUPERVISED:
        return  # they look at no label, see below
    call, said = BAD[bad]
    with pytest.raises(ValueError, match=said) as refused:
        call(name)
    assert "\n" not in str(refused.value)


@every_method
def test_who_looks_at_no_label_takes_one_class(name):
    supervised = baselines.method(name).SUPERVISED
    assert supervised == (name not in UNSUPERVISED)
    if not supervised:
        fitted = quick(name, labels=np.zeros(N, int))
        assert_same(fitted.logits(inputs_of(name)), quick(name).logits(inputs_of(name)))


@every_method_of_features
def test_a_fitted_method_refuses_other_features(name):
    fitted = quick(name)
    assert "images are 11 features a picture" in sentence(lambda: fitted.encode(FEATURES[:, 1:]))
    assert "NaN or infinite" in sentence(lambda: fitted.encode(with_a(math.nan)))
    assert "images must be uint8" in sentence(lambda: fitted.encode(FEATURES[0]))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_method_of_features_refuses_pictures(channels):
    said = sentence(lambda: quick("hashnet").encode(np.repeat(PICTURES, channels, axis=3)))
    assert said == "images are pictures, but this encoder was fitted to features: give those"


def test_a_method_of_pictures_refuses_features_and_other_channels():
    said = "images are features, but bag_of_words takes pictures"
    assert said in sentence(lambda: quick("bag_of_words", FEATURES))
    fitted = quick("bag_of_words")
    assert said in sentence(lambda: fitted.encode(FEATURES))
    colored = np.repeat(PICTURES, 3, axis=3)
    assert "images have 3 channels" in sentence(lambda: fitted.encode(colored))


def test_too_many_bits_are_refused_before_any_work(no_work):
    assert sentence(lambda: quick("itq", code_length=D + 1)).startswith("code_length is 13, but ITQ makes at most 12")
    said = sentence(lambda: quick("bag_of_words", code_length=81))
    assert said == "code_length is 81, but there are 80 dimensions: take more words"
    said = sentence(lambda: quick("bag_of_words", code_length=80, code="themes"))
    assert said == "code_length is 80, but there are 79 dimensions: take more themes"


def test_an_image_patch_fits_into_the_picture():
    assert baselines.method("bag_of_words", patch=32).patch == 32
    assert sentence(lambda: baselines.method("bag_of_words", patch=33)).startswith(
        "patch is 33; give a whole number in 1"
    )


def test_sdh_keeps_no_more_anchors_than_rows():
    assert quick("sdh", anchors=7).arrays["anchors"].shape == (7, D)
    assert quick("sdh").arrays["anchors"].shape == (N, D)
    assert SDH().anchors > N


def test_generated_pictures_are_trained_on_where_the_method_takes_them():
    """A generator's stand-in: the training rows themselves, mirrored and noised, as augmentation would make them."""
    rng = np.random.default_rng(0)
    labels = np.eye(3, dtype=np.uint8)[np.arange(60) % 3]
    features = (labels @ rng.standard_normal((3, 12)) + rng.standard_normal((60, 12))).astype(np.float32)
    more = features[:20] + rng.standard_normal((20, 12)).astype(np.float32) / 10, labels[:20]
    training = encoder.Settings(arch=encoder.FEATURES, epochs=2)
    plain, mixed, weightless = (
        baselines.fit("hashgan_pairs", features, labels, 8, training=training, **settings).logits(features)
        for settings in ({}, {"generated": more}, {"generated": more, "generated_weight": 1.0})
    )
    assert not np.allclose(plain, mixed)
    assert not np.allclose(mixed, weightless)
    with pytest.raises(ValueError, match="hashnet knows nothing of generators"):
        baselines.fit("hashnet", features, labels, 8, training=training, generated=more)
    with pytest.raises(ValueError, match="generated is float32"):
        baselines.fit("hashgan_pairs", features, labels, 8, training=training, generated=(more[0][:, :5], more[1]))
    with pytest.raises(ValueError, match="labels of generated"):
        baselines.fit("hashgan_pairs", features, labels, 8, training=training, generated=(more[0], more[1][:, :2]))
