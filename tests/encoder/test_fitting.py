"""The encoder: architectures against torchvision's, training that resumes to the bit, folds that see what they may."""

from __future__ import annotations

import itertools
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hashlib_nb import artifacts, datasets
from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.encoder import SMALL, Encoder, cross_fit, fit, fitting, folds_of, load_or_encode
from hashlib_nb.encoder import __main__ as command
from hashlib_nb.encoder.training import Training
from hashlib_nb.thermometer import ClassCodes
from tests.helpers import assert_same, refusal, run_main, start_python

N, K = 60, 6
LABEL = np.arange(N) % 3
TARGETS = np.random.default_rng(0).integers(0, 2, (3, K), np.uint8)[LABEL]


def pictures(n: int = N, height: int = 12, width: int = 12, channels: int = 1) -> np.ndarray:
    """Three kinds of noisy pictures, dark, bright on the left, bright on top, so that few steps tell them apart."""
    images = np.random.default_rng(1).integers(0, 100, (n, height, width, channels))
    images[1::3, :, : width // 2] += 120
    images[2::3, : height // 2] += 120
    return images.astype(np.uint8)


IMAGES = pictures()
RECIPE = replace(SMALL, batch_size=16)
QUICK = {"arch": "alexnet_small", "recipe": RECIPE, "epochs": 4, "device": "cpu", "progress": False}


def weights_of(fitted: Encoder) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in fitted.network.state_dict().items()}


@pytest.fixture(scope="module")
def fitted() -> Encoder:
    return fit(IMAGES, TARGETS, **QUICK)


# --- training ---------------------------------------------------------------------------------------------------------


def test_the_gradient_is_the_papers(monkeypatch):
    """d loss / d F = sigma(F) - b, summed over the batch (not averaged), and as many pictures as targets."""
    seen = {}
    forward = Encoder.forward

    def spy(self, x, module=None):
        logits = forward(self, x, module)
        if logits.requires_grad:
            logits.retain_grad()
            seen["logits"] = logits
        return logits

    monkeypatch.setattr(Encoder, "forward", spy)
    plain = replace(RECIPE, shift=0, mirror=False, batch_size=N)
    fit(IMAGES, np.tile(TARGETS[1], (N, 1)), **{**QUICK, "epochs": 1, "recipe": plain})
    expected = seen["logits"].detach().sigmoid() - torch.as_tensor(TARGETS[1]).float()
    torch.testing.assert_close(seen["logits"].grad, expected)


def test_it_learns_the_targets_and_says_how_well(fitted):
    longer = fit(IMAGES, TARGETS, **{**QUICK, "epochs": 12})
    assert longer.history.keys() == {"loss", "bit_accuracy"}
    assert longer.history["loss"].shape == (12,)
    assert longer.history["loss"][-1] < longer.history["loss"][0] / 2
    assert (longer.encode(IMAGES) == TARGETS).mean() > 0.95
    assert ((fitted.history["bit_accuracy"] >= 0) & (fitted.history["bit_accuracy"] <= 1)).all()


def test_codes_do_not_depend_on_the_batches(fitted):
    whole = fitted.logits(IMAGES)
    for batch_size in (1, 7, N, 1000):
        np.testing.assert_allclose(fitted.logits(IMAGES, batch_size=batch_size), whole, atol=1e-4)
    codes = fitted.encode(IMAGES)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, whole >= 0)
    order = np.random.default_rng(0).permutation(N)
    np.testing.assert_allclose(fitted.logits(IMAGES[order]), whole[order], atol=1e-4)


def test_encoding_holds_one_batch_at_a_time(fitted, monkeypatch):
    sizes = []
    prepare = Encoder.prepare
    monkeypatch.setattr(Encoder, "prepare", lambda self, x: (sizes.append(len(x)), prepare(self, x))[1])
    fitted.encode(IMAGES, batch_size=25)
    assert sizes == [25, 25, 10]


def test_encoding_leaves_the_gradient_off_and_the_network_alone(fitted):
    before = weights_of(fitted)
    first = fitted.encode(IMAGES)
    np.testing.assert_array_equal(fitted.encode(IMAGES), first)
    for name, value in weights_of(fitted).items():
        np.testing.assert_array_equal(value, before[name])
    assert not fitted.network.training


def test_pictures_are_scaled_by_the_training_pictures(fitted):
    x = fitted.prepare(IMAGES)
    assert x.shape == (N, 1, 12, 12)
    assert abs(x.mean().item()) < 1e-4
    assert x.std().item() == pytest.approx(1, abs=0.01)
    assert fitted.prepare(pictures(2, 30, 50)).shape == (2, 1, 12, 12)


def test_equal_seeds_give_equal_encoders_and_the_callers_random_numbers_stay(fitted):
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    again = fit(IMAGES, TARGETS, **QUICK)
    torch.testing.assert_close(torch.rand(3), expected)
    assert_same(again, fitted)
    other = fit(IMAGES, TARGETS, seed=1, **QUICK)
    assert (other.history["loss"] != fitted.history["loss"]).all()
    assert (weights_of(other)["0.weight"] != weights_of(fitted)["0.weight"]).any()


@pytest.mark.parametrize("held", [np.array([3, 1, 50, 3]), 0.25])
def test_held_out_rows_are_never_trained_on(held):
    """Other pictures and other targets in those rows change neither the weights nor the input scaling."""
    rows = fitting._held_out_rows(held, N, 0)
    assert len(rows) == (3 if isinstance(held, np.ndarray) else 15)
    images, targets = IMAGES.copy(), TARGETS.copy()
    images[rows], targets[rows] = 255, 1 - targets[rows]
    clean, spoiled = (fit(i, t, validation=held, **QUICK) for i, t in ((IMAGES, TARGETS), (images, targets)))
    for name, value in weights_of(clean).items():
        np.testing.assert_array_equal(value, weights_of(spoiled)[name], err_msg=name)
    assert (clean.mean, clean.std) == (spoiled.mean, spoiled.std)
    assert (clean.history["validation_bit_accuracy"] != spoiled.history["validation_bit_accuracy"]).any()
    accuracy = (clean.encode(IMAGES[rows]) == TARGETS[rows]).mean()
    assert clean.history["validation_bit_accuracy"][-1] == pytest.approx(accuracy, abs=0.02)


def test_looking_at_held_out_rows_does_not_steer_the_training():
    """Measured or left away, the rows lead to the same weights: what is seen after an epoch is used for nothing."""
    rest = np.setdiff1d(np.arange(N), [0, 1, 2])
    measured = fit(IMAGES, TARGETS, validation=np.array([0, 1, 2]), **QUICK)
    without = fit(IMAGES[rest], TARGETS[rest], **QUICK)
    for name, value in weights_of(measured).items():
        np.testing.assert_array_equal(value, weights_of(without)[name], err_msg=name)


def test_fewer_pictures_than_a_batch_are_one_batch():
    found = fit(IMAGES[:5], TARGETS[:5], **QUICK)
    assert len(found.history["loss"]) == 4
    assert found.encode(IMAGES[:1]).shape == (1, K)


# --- early stopping ---------------------------------------------------------------------------------------------------

PATIENT = replace(RECIPE, patience=2, held_out=0.25, lr=2e-2, one_cycle=False)


def test_early_stopping_returns_the_best_epoch_and_goes_no_further():
    noise = np.random.default_rng(0).integers(0, 2, (N, K), np.uint8)  # targets that cannot be learned
    settings = {**QUICK, "recipe": PATIENT, "epochs": 50}
    found = fit(IMAGES, noise, **settings)
    watched = found.history["watched_bit_accuracy"]
    best = watched.argmax()
    assert len(watched) == len(found.history["loss"]) == best + 1 + PATIENT.patience < 50
    assert (watched[best + 1 :] <= watched[best]).all()
    stopped_there = fit(IMAGES, noise, **{**settings, "epochs": int(best) + 1})  # trains the same epochs, and no more
    for name, value in weights_of(found).items():
        np.testing.assert_array_equal(value, weights_of(stopped_there)[name], err_msg=name)


def test_watched_rows_are_neither_trained_on_nor_validated_on():
    held = np.arange(0, N, 4)
    rows = fitting._rows(held, PATIENT, N, 0)
    everything = np.concatenate([rows.training, rows.watched, rows.validation])
    np.testing.assert_array_equal(np.sort(everything), np.arange(N))
    np.testing.assert_array_equal(rows.validation, held)
    assert len(rows.watched) == round(0.25 * (N - len(held)))
    assert len(fitting._rows(held, RECIPE, N, 0).watched) == 0
    assert (fitting._rows(held, PATIENT, N, 1).watched != rows.watched).any()


def test_neither_validation_rows_nor_their_targets_decide_when_to_stop():
    held = np.arange(0, N, 4)
    images, targets = IMAGES.copy(), TARGETS.copy()
    images[held], targets[held] = 255, 1 - targets[held]
    settings = {**QUICK, "recipe": PATIENT, "validation": held, "epochs": 12}
    clean, spoiled = fit(IMAGES, TARGETS, **settings), fit(images, targets, **settings)
    np.testing.assert_array_equal(clean.history["watched_bit_accuracy"], spoiled.history["watched_bit_accuracy"])
    for name, value in weights_of(clean).items():
        np.testing.assert_array_equal(value, weights_of(spoiled)[name], err_msg=name)


def test_folds_that_stop_at_different_epochs_stand_side_by_side(tmp_path):
    recipe = replace(PATIENT, patience=1)
    codes = load_or_encode(tmp_path, splits(), TRAIN_TARGETS, **{**QUICK, "recipe": recipe, "epochs": 30, "folds": 3})
    curves = codes.history["validation_bit_accuracy"]
    lengths = (~np.isnan(curves)).sum(1)
    assert curves.shape == (3, lengths.max())
    assert (lengths >= 2).all()
    assert all(np.isnan(curve[n:]).all() for curve, n in zip(curves, lengths, strict=True))


# --- precision, size and compilation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_the_same_and_keeps_its_weights_in_full(precision):
    settings = {**QUICK, "epochs": 12}
    full, half = fit(IMAGES, TARGETS, **settings), fit(IMAGES, TARGETS, precision=precision, **settings)
    assert half.forward(half.prepare(IMAGES)).dtype == torch.float32
    assert {p.dtype for p in half.network.parameters()} == {torch.float32}
    assert (half.logits(IMAGES) != full.logits(IMAGES)).any()  # it was indeed another precision
    assert (half.encode(IMAGES) == TARGETS).mean() > 0.9
    assert max(half.history["loss"][-1], full.history["loss"][-1]) < 0.1 < half.history["loss"][0]


def test_the_size_of_the_input_can_be_chosen(tmp_path):
    found = fit(IMAGES, TARGETS, size=20, **{**QUICK, "epochs": 1})
    assert found.size == (20, 20)
    assert found.prepare(IMAGES).shape == (N, 1, 20, 20)
    found.save(tmp_path)
    loaded = Encoder.load(tmp_path, device="cpu", precision="bf16")
    assert (loaded.size, loaded.precision) == ((20, 20), "bf16")


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_is_pillows(channels):
    """The bilinear filter with antialiasing, on bytes: at most one gray level away."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 30, channels), dtype=np.uint8)
    made = fit(pixels, TARGETS[:3], size=16, **{**QUICK, "epochs": 1})
    scale, shift = (np.array(v).reshape(-1, 1, 1) for v in (made.std, made.mean))
    ours = (made.prepare(pixels).numpy() * scale + shift) * 255
    for picture, found in zip(pixels, ours, strict=True):
        theirs = Image.fromarray(picture.squeeze()).resize((16, 16), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(found.transpose(1, 2, 0).squeeze(), np.asarray(theirs), atol=1.01)


@pytest.mark.slow
def test_a_compiled_network_learns_and_is_saved_as_any_other(tmp_path):
    compiled = fit(IMAGES, TARGETS, compile=True, **{**QUICK, "epochs": 12})
    assert (compiled.encode(IMAGES) == TARGETS).mean() > 0.9
    compiled.save(tmp_path)
    plain = Encoder.load(tmp_path, device="cpu")
    np.testing.assert_allclose(plain.logits(IMAGES), compiled.logits(IMAGES), atol=1e-3)


# --- checkpoints ------------------------------------------------------------------------------------------------------


def cut_off(monkeypatch, after: int, call) -> None:
    """Run `call` and interrupt it in the epoch after `after` epochs, counted over all encoders."""
    epochs, train = itertools.count(), Training.train_one_epoch

    def interrupted(self):
        if next(epochs) == after:
            self.generator.manual_seed(123)  # an epoch that was cut off has drawn from its generators
            torch.rand(5)
            raise KeyboardInterrupt
        return train(self)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "train_one_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            call()


@pytest.fixture
def count_epochs(monkeypatch):
    """A list that gets one entry for each epoch that is trained."""
    epochs, train = [], Training.train_one_epoch
    monkeypatch.setattr(Training, "train_one_epoch", lambda self: (epochs.append(1), train(self))[1])
    return epochs


VARIED = replace(RECIPE, distort=True, crop=0.2, ema=0.9, label_smoothing=0.1)


@pytest.mark.parametrize(
    "recipe", [RECIPE, replace(RECIPE, optimizer="sgd", one_cycle=False), VARIED], ids=["small", "thesis", "varied"]
)
def test_a_fit_that_was_cut_off_ends_as_if_it_was_not(monkeypatch, tmp_path, recipe, count_epochs):
    settings = {**QUICK, "recipe": recipe, "validation": 0.2}
    whole = fit(IMAGES, TARGETS, **settings)
    call = lambda: fit(IMAGES, TARGETS, checkpoint=tmp_path / "fit.pt", **settings)  # noqa: E731
    cut_off(monkeypatch, 2, call)
    count_epochs.clear()
    assert_same(call(), whole)
    assert len(count_epochs) == 2
    assert_same(call(), whole)  # and from its end, where nothing is left to train
    assert len(count_epochs) == 2


KILLED = """
import os, sys, signal
import torch
import tests.encoder.test_fitting as t
torch.set_num_threads(int(sys.argv[2]))
step = t.Training._step
def die(self, *batch):
    if self.epoch == 2 and self.schedule.last_epoch == 2 * 3 + 1:  # two epochs of three steps are done, and one step
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *batch)
t.Training._step = die
t.fit(t.IMAGES, t.TARGETS, checkpoint=t.Path(sys.argv[1]), **t.QUICK)
"""


@pytest.mark.process
def test_a_killed_process_loses_at_most_an_epoch(tmp_path, fitted, count_epochs):
    path = tmp_path / "fit.pt"
    done = start_python("-c", KILLED, path, torch.get_num_threads(), check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert os.listdir(tmp_path) == ["fit.pt"]
    assert_same(fit(IMAGES, TARGETS, checkpoint=path, **QUICK), fitted)
    assert len(count_epochs) == 2


def test_a_checkpoint_of_another_training_is_named_and_left(tmp_path, capsys):
    """What is damaged or foreign is `artifacts.Checkpoint`'s affair, and tested there."""
    path = tmp_path / "fit.pt"
    fit(IMAGES, TARGETS, checkpoint=path, **QUICK)
    capsys.readouterr()
    found = fit(IMAGES, TARGETS, checkpoint=path, seed=1, **QUICK)
    assert "fit.pt is of another training" in capsys.readouterr().out
    assert_same(found, fit(IMAGES, TARGETS, seed=1, **QUICK))


def test_a_training_is_another_one_if_anything_differs_that_it_depends_on(monkeypatch):
    made_from = []
    monkeypatch.setattr(fitting, "_run", lambda run, *_: made_from.append(run.made_from))
    changes = [
        {}, {"seed": 1}, {"epochs": 3}, {"recipe": replace(RECIPE, lr=1e-3)}, {"validation": 0.1}, {"size": 20},
        {"precision": "bf16"}, {"arch": "efficientnet_lite0", "weights": "random", "size": 32},
        {"images": 255 - IMAGES}, {"targets": 1 - TARGETS},
    ]  # fmt: skip
    for change in changes:
        fit(**{"images": IMAGES, "targets": TARGETS, **QUICK, **change})
    assert len(set(made_from)) == len(changes)


# --- folds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [2, 3, 7, 20, 60])
def test_folds_are_a_partition_and_spread_each_code(folds):
    fold = folds_of(TARGETS, folds, seed=1)
    sizes = np.bincount(fold, minlength=folds)
    assert len(sizes) == folds
    assert sizes.max() - sizes.min() <= 3
    if folds <= 20:  # there are 20 pictures of each of three codes
        per_code = np.array([np.bincount(fold[c == LABEL], minlength=folds) for c in range(3)])
        assert per_code.max() - per_code.min() <= 1
    np.testing.assert_array_equal(fold, folds_of(TARGETS, folds, seed=1))
    if folds < 60:
        assert (fold != folds_of(TARGETS, folds, seed=2)).any()


def test_codes_that_are_rare_still_fold():
    targets = np.eye(12, dtype=np.uint8)
    assert sorted(np.bincount(folds_of(targets, 5)).tolist()) == [2, 2, 2, 3, 3]


def test_out_of_fold_logits_come_from_encoders_that_never_saw_the_row(monkeypatch):
    made, real_fit = [], fit

    def spy(*arguments, **named):
        made.append((named["seed"], named["validation"], real_fit(*arguments, **named)))
        return made[-1][2]

    monkeypatch.setattr(fitting, "fit", spy)
    trained_on, init = [], Training.__init__

    def note(self, *arguments, **named):
        init(self, *arguments, **named)
        trained_on.append(self.rows.training)

    monkeypatch.setattr(Training, "__init__", note)
    logits, fold, histories = cross_fit(IMAGES, TARGETS.astype(bool), folds=3, seed=4, **QUICK)
    assert logits.dtype == np.float32
    assert [seed for seed, *_ in made] == [5, 6, 7]
    np.testing.assert_array_equal(fold, folds_of(TARGETS, 3, seed=4))
    for f, (_, rows, encoder_of_fold) in enumerate(made):
        np.testing.assert_array_equal(rows, np.flatnonzero(fold == f))
        np.testing.assert_array_equal(trained_on[f], np.flatnonzero(fold != f))
        np.testing.assert_array_equal(logits[rows], encoder_of_fold.logits(IMAGES[rows]))
        np.testing.assert_array_equal(histories[f]["loss"], encoder_of_fold.history["loss"])


# --- saved encoders ---------------------------------------------------------------------------------------------------


def test_a_saved_encoder_gives_the_same_codes(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = Encoder.load(tmp_path, device="cpu")
    assert_same(loaded, fitted)
    np.testing.assert_array_equal(loaded.logits(IMAGES), fitted.logits(IMAGES))
    for name in ("arch", "bits", "size", "mean", "std", "device"):
        assert getattr(loaded, name) == getattr(fitted, name), name


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.json"])
@pytest.mark.parametrize("content", [None, b"", b"half", b'{"arch": "alexnet_small"}', b"[]"])
def test_a_damaged_encoder_is_named(fitted, tmp_path, name, content):
    fitted.save(tmp_path)
    path = tmp_path / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ArtifactError, match=name):
        Encoder.load(tmp_path, device="cpu")


def test_truncated_weights_are_named(fitted, tmp_path):
    fitted.save(tmp_path)
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"encoder.safetensors is missing or damaged \("):
        Encoder.load(tmp_path, device="cpu")


# --- from the data set to codes ---------------------------------------------------------------------------------------


def splits(images: np.ndarray = IMAGES) -> datasets.Splits:
    labels = np.eye(3, dtype=np.uint8)[LABEL]
    parts = {"query": slice(0, 9), "train": slice(9, 45), "database": slice(45, N)}
    made = {name: datasets.Split(images[rows], labels[rows]) for name, rows in parts.items()}
    return datasets.Splits(**made, class_names=("a", "b", "c"), info={})


TRAIN_TARGETS = TARGETS[9:45]


def encode_all(folder: Path, data: datasets.Splits | None = None, **changes):
    return load_or_encode(folder, data or splits(), TRAIN_TARGETS, **{**QUICK, "folds": 2, **changes})


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoded")
    return folder, encode_all(folder)


def test_what_stage_2_hands_on(encoded):
    folder, codes = encoded
    data = splits()
    saved = Encoder.load(folder, device="cpu")
    arrays, _ = artifacts.load_npz(folder / "codes.npz")
    for name in ("query", "train", "database"):
        images = getattr(data, name).images
        np.testing.assert_array_equal(getattr(codes, name), saved.encode(images))
        np.testing.assert_array_equal(arrays[f"{name}_logits"], saved.logits(images), strict=True)
        np.testing.assert_array_equal(arrays[f"{name}_labels"], getattr(data, name).labels)
    np.testing.assert_array_equal(codes.targets, TRAIN_TARGETS)
    assert_same(saved, fit(data.train.images, TRAIN_TARGETS, **QUICK))
    out_of_fold, fold, histories = cross_fit(data.train.images, TRAIN_TARGETS, folds=2, **QUICK)
    np.testing.assert_array_equal(arrays["out_of_fold_logits"], out_of_fold, strict=True)
    np.testing.assert_array_equal(codes.out_of_fold, out_of_fold >= 0)
    np.testing.assert_array_equal(codes.fold, fold)
    assert_same(codes.classes, ClassCodes.of(TRAIN_TARGETS, data.train.labels, out_of_fold))
    assert_same(codes.classes, ClassCodes.load(folder, str(arrays["encoder"])))
    expected = [history["validation_bit_accuracy"] for history in histories]
    np.testing.assert_array_equal(codes.history["validation_bit_accuracy"], expected)
    assert not list(folder.rglob("*.pt"))


def test_codes_that_exist_are_loaded(encoded, count_epochs, capsys):
    folder, codes = encoded
    same = [encode_all(folder), encode_all(folder, epochs=4, progress=True), encode_all(folder, weights_path=None)]
    assert capsys.readouterr().out.count("loaded ") == 3
    assert not count_epochs
    for each in same:
        assert_same(each, codes)


def test_a_default_and_its_value_are_one_setting(tmp_path, count_epochs):
    recipe = replace(RECIPE, epochs=1)
    encode_all(tmp_path, recipe=recipe, epochs=None, folds=0)
    encode_all(tmp_path, recipe=recipe, epochs=1, folds=0)
    assert len(count_epochs) == 1


def relabeled() -> datasets.Splits:
    data = splits()
    return replace(data, database=datasets.Split(data.database.images, data.database.labels[::-1].copy()))


def shortened() -> datasets.Splits:
    data = splits()
    return replace(data, database=datasets.Split(data.database.images[:-1], data.database.labels[:-1]))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 1}, "seed=0, now 1"),
        ({"epochs": 2}, "epochs='4', now '2'"),
        ({"folds": 3}, "folds=2, now 3"),
        ({"recipe": replace(RECIPE, lr=1e-3)}, "recipe="),
        ({"data": splits(255 - IMAGES)}, "data="),
        ({"data": relabeled()}, "data="),
        ({"data": shortened()}, "data="),
    ],
)
def test_codes_of_other_settings_are_made_anew(encoded, tmp_path, capsys, changes, difference):
    folder, _ = encoded
    (tmp_path / "codes.npz").write_bytes((folder / "codes.npz").read_bytes())
    capsys.readouterr()
    made = encode_all(tmp_path, **{"epochs": 4, **changes})
    said = capsys.readouterr().out
    assert "codes.npz was made with other settings (" in said
    assert difference in said
    assert len(made.database) == len((changes.get("data") or splits()).database)


@pytest.mark.parametrize(("after", "left"), [(1, 11), (6, 6), (9, 3), (11, 1)])
def test_a_run_that_was_cut_off_refits_nothing_that_is_finished(
    encoded, tmp_path, monkeypatch, count_epochs, after, left
):
    """Three encoders of four epochs: the final one and two folds."""
    cut_off(monkeypatch, after, lambda: encode_all(tmp_path))
    count_epochs.clear()
    assert_same(encode_all(tmp_path), encoded[1])
    assert len(count_epochs) == left
    assert not list(tmp_path.rglob("*.pt"))


def test_no_folds_leave_the_out_of_fold_codes_empty(tmp_path):
    codes = encode_all(tmp_path, folds=0)
    assert codes.out_of_fold.shape == (0, K)
    assert len(codes.fold) == 0
    assert_same(encode_all(tmp_path, folds=0), codes)


def test_the_query_and_the_database_have_no_part_in_training(encoded, tmp_path):
    images = IMAGES.copy()
    images[:9], images[45:] = 255 - images[:9], 7
    codes = encode_all(tmp_path, splits(images))
    np.testing.assert_array_equal(codes.train, encoded[1].train)
    np.testing.assert_array_equal(codes.out_of_fold, encoded[1].out_of_fold)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: fit(IMAGES / 255, TARGETS, **QUICK),
            r"images must be uint8 \[n, h, w, 1 or 3\], not float64 \[60, 12",
        ),
        (lambda: fit(IMAGES[..., 0], TARGETS, **QUICK), r"images must be uint8 .*, not uint8 \[60, 12, 12\]"),
        (lambda: fit(IMAGES[:0], TARGETS[:0], **QUICK), r"images must be uint8 .*, not uint8 \[0, 12"),
        (lambda: fit(np.repeat(IMAGES, 2, 3), TARGETS, **QUICK), r"not uint8 \[60, 12, 12, 2\]"),
        (lambda: fit(IMAGES, TARGETS * 2, **QUICK), "targets has values from 0 to 2"),
        (lambda: fit(IMAGES, TARGETS * 1.0, **QUICK), "targets is float64"),
        (lambda: fit(IMAGES, TARGETS[:, 0], **QUICK), r"targets has shape \[60\]"),
        (
            lambda: fit(IMAGES, TARGETS[1:], **QUICK),
            "targets has 59 rows for 60 images; give one target code a picture",
        ),
        (lambda: fit(IMAGES, TARGETS, **{**QUICK, "epochs": 0}), "epochs is 0; give a whole number in 1"),
        (lambda: fit(IMAGES, TARGETS, **{**QUICK, "epochs": 2.5}), r"epochs is 2\.5; give a whole number"),
        (lambda: fit(IMAGES, TARGETS, size=100_000, **QUICK), r"size is 100000; give a whole number in 1\.\.2048"),
        (lambda: fit(IMAGES, TARGETS, seed=-1, **QUICK), r"seed is -1; give a whole number from 0 to 2\^64 - 1"),
        (lambda: fit(IMAGES, TARGETS, seed=2**64, **QUICK), "seed is 18446744073709551616; give a whole number"),
        (lambda: fit(IMAGES, TARGETS, validation=None, **QUICK), "validation is None; give a finite number"),
        (lambda: fit(IMAGES, TARGETS, validation=float("nan"), **QUICK), "validation is nan; give a finite number"),
        (lambda: fit(IMAGES, TARGETS, validation=1.0, **QUICK), r"validation is 1\.0; .* of at least 0 and below 1"),
        (lambda: fit(IMAGES, TARGETS, validation=-0.1, **QUICK), r"validation is -0\.1; .* of at least 0 and below 1"),
        (lambda: fit(IMAGES, TARGETS, validation=0.99, **QUICK), "validation leaves 1 of 60 images to train on"),
        (
            lambda: fit(IMAGES, TARGETS, validation=np.array([60]), **QUICK),
            "validation has row 60 of 60; give row numbers",
        ),
        (
            lambda: fit(IMAGES, TARGETS, validation=np.array([-1]), **QUICK),
            "validation has row -1 of 60; give row numbers",
        ),
        (
            lambda: fit(IMAGES, TARGETS, validation=LABEL == 1, **QUICK),
            r"validation is bool \[60\]; give .*flatnonzero",
        ),
        (
            lambda: fit(IMAGES, TARGETS, **{**QUICK, "arch": "vgg"}),
            "arch must be auto, alexnet, .* or alexnet_small, not 'vgg'",
        ),
        (lambda: fit(IMAGES, TARGETS, **{**QUICK, "device": "abacus"}), "device 'abacus' cannot be used here"),
        (
            lambda: fit(IMAGES, TARGETS, weights_path="x.pt", **QUICK),
            "weights_path goes with an arch that has ImageNet weights, not 'alexnet_small'",
        ),
        (
            lambda: cross_fit(IMAGES, TARGETS, folds=1, **QUICK),
            r"folds is 1; give a whole number in 2\.\.60 \(the number of training pictures\)",
        ),
        (lambda: cross_fit(IMAGES, TARGETS, folds=61, **QUICK), r"folds is 61; give a whole number in 2\.\.60"),
        (lambda: cross_fit(IMAGES, TARGETS[1:], folds=2, **QUICK), "targets has 59 rows for 60 images"),
    ],
)
def test_bad_input_gets_a_sentence_before_any_work(call, sentence, monkeypatch):
    monkeypatch.setattr(Training, "train_one_epoch", lambda _: pytest.fail("began to train"))
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where there is no GPU")
def test_no_gpu_gets_a_sentence():
    with pytest.raises(ValueError, match=r"device 'cuda' cannot be used here \([^\n]*\): take 'cpu'$"):
        fit(IMAGES, TARGETS, **{**QUICK, "device": "cuda"})


def test_color_pictures_for_a_gray_encoder_get_a_sentence(fitted):
    with pytest.raises(ValueError, match="images have 3 channels, but the encoder was fitted to gray pictures"):
        fitted.encode(pictures(4, channels=3))
    colored = fit(pictures(8, channels=3), TARGETS[:8], **{**QUICK, "epochs": 1})
    assert colored.encode(pictures(4)).shape == (4, K)  # the other way, gray has the same value in each channel


# --- the shell --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_line_from_pictures_to_codes(home, capsys):
    said = []
    for _ in range(2):
        run_main(command, "--epochs", 1, "--folds", 2, "--bits", 8, "--device", "cpu")
        said.append(capsys.readouterr().out)
    first, second = said
    assert "500 query, 1500 train and 4000 database codes of 8 bits" in first
    place = "artifacts/fashion-mini-alexnet_small-e1-f2-k8-s0"
    assert f"loaded {place}/codes.npz" in second
    arrays, meta = artifacts.load_npz(home / place / "codes.npz")
    targets, _ = artifacts.load_npz(home / "artifacts/fashion-mini-k8-s0/target_codes.npz")
    np.testing.assert_array_equal(arrays["targets"], targets["codes"])
    assert meta["made_by"] == "hashlib_nb.encoder"
    assert arrays["history_validation_bit_accuracy"].shape == (2, 1)
    data = datasets.load("fashion-mini")
    codes = Encoder.load(home / place, device="cpu").encode(data.query.images)
    np.testing.assert_array_equal(codes, arrays["query_codes"])


def test_options_of_a_data_set_have_its_types():
    pairs = ["query=100", "train_from_database=false", "exclude=person,dining table", "on_error=skip"]
    expected = {"query": 100, "train_from_database": False, "exclude": ("person", "dining table"), "on_error": "skip"}
    found = datasets.parse_options("coco", pairs)
    assert found == expected
    assert [type(value) for value in found.values()] == [int, bool, tuple, str]
    assert datasets.parse_options("fashion-mini", []) == {}


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("query", "options must be written name=value, not 'query'"),
        ("query=many", "options: query must be a whole number, not 'many'"),
        ("train_from_database=perhaps", "options: train_from_database must be true or false, not 'perhaps'"),
    ],
)
def test_options_that_do_not_fit_get_a_sentence(pair, sentence):
    with pytest.raises(ValueError, match=sentence):
        datasets.parse_options("coco", [pair])


def test_options_are_part_of_the_folders_name():
    label = datasets.label("coco", options={"exclude": ("person", "car"), "protocol": "10k/50k"})
    assert re.fullmatch(r"coco-[\w.-]+", label)
    assert all(word in label for word in ("person", "10k"))
    several = {datasets.label("coco", options={"exclude": words}) for words in ("a" * 300, "b" * 300, "c", "d")}
    assert len(several) == 4
    assert max(map(len, several)) <= 100


def test_splits_and_roots_are_part_of_the_folders_name(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "my split.npz").write_text(name)
    splits = {datasets.label("coco", split=tmp_path / name / "my split.npz") for name in ("one", "two")}
    assert len(splits) == 2
    assert all("my_split" in label for label in splits)
    monkeypatch.chdir(tmp_path)
    assert datasets.label("coco", root="one") == datasets.label("coco", root=tmp_path / "two" / ".." / "one")
    assert len({datasets.label("coco", root=root) for root in ("one", "two", None)}) == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--arch", "vgg"), "error: arch must be auto, alexnet, vgg19, efficientnet_lite0, efficientnet_lite1"),
        (("--dataset", "nothing"), "error: "),
        (("--targets", "nowhere.npz"), "error: nowhere.npz does not exist"),
        (("--epochs", 0), "error: epochs is 0; give a whole number in 1"),
        (("--folds", 1), "error: folds is 1; give 0 for no out-of-fold codes, or at least 2"),
        (("--options", "protocol=59k"), "error: 'protocol' is no option of the dataset 'fashion-mini'"),
        (("--options", "protocol"), "error: options must be written name=value, not 'protocol'"),
        (("--precision", "int8"), "error: precision must be auto, fp32, bf16 or fp16, not 'int8'"),
        (("--arch", "efficientnet_lite0", "--size", 8), "error: size must be at least 32 for efficientnet_lite0"),
    ],
)
def test_bad_input_on_the_command_line(home, monkeypatch, options, sentence):
    monkeypatch.chdir(home)
    monkeypatch.setattr(Training, "train_one_epoch", lambda _: pytest.fail("began to train"))
    assert sentence in refusal(command, "--bits", 2, "--device", "cpu", *options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_it_runs_on_a_gpu():
    found = fit(IMAGES, TARGETS, **{**QUICK, "epochs": 12, "device": "cuda"})
    assert (found.encode(IMAGES) == TARGETS).mean() > 0.9
    assert found.forward(found.prepare(IMAGES)).dtype == torch.float32
