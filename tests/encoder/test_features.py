"""Features of a frozen trunk: the same from pictures and from the cache, which holds only what is whole and its own."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hashlib_nb import datasets
from hashlib_nb.encoder import Encoder, Head, Settings, cross_fit, features, fit, load_or_encode
from hashlib_nb.encoder.model import new_encoder
from hashlib_nb.encoder.recipes import FROZEN
from tests.helpers import ONE_THREAD, assert_same, start_python

ARCH, N, K, D = "efficientnet_lite0_frozen", 24, 6, 1280
IMAGES = np.random.default_rng(0).integers(0, 256, (N, 20, 24, 3), dtype=np.uint8)
TARGETS = np.random.default_rng(1).integers(0, 2, (N, K), dtype=np.uint8)
QUICK = {"arch": ARCH, "size": 32, "device": "cpu", "weights": "random", "epochs": 3, "progress": False}
QUICK["recipe"] = replace(FROZEN, batch_size=8, head=Head(16))


def trunk_of(size: int = 32) -> Encoder:
    return new_encoder(IMAGES, 1, Settings(arch=ARCH, device="cpu", size=size, weights="random"))


def other_trunk() -> Encoder:
    encoder = trunk_of()
    next(encoder.network.trunk.parameters()).data[0] *= 2
    return encoder


@pytest.fixture(scope="module")
def trunk() -> Encoder:
    return trunk_of()


@pytest.fixture
def computed(monkeypatch) -> list:
    """A list that gets one entry for each time the trunk goes through pictures."""
    calls, real = [], Encoder.feature_batches
    monkeypatch.setattr(Encoder, "feature_batches", lambda self, *a, **k: (calls.append(1), real(self, *a, **k))[1])
    return calls


def load(path: Path, encoder: Encoder, images: np.ndarray = IMAGES, **settings) -> np.ndarray:
    return features.load_or_compute(path, encoder, images, progress=False, **settings)


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_kept_is_what_the_trunk_makes(trunk, tmp_path, computed, capsys, mirrored):
    pictures = IMAGES[:, :, ::-1] if mirrored else IMAGES
    made = load(tmp_path / "x.npy", trunk, mirrored=mirrored)
    assert isinstance(made, np.memmap)
    assert (made.dtype, made.shape) == (np.float16, (N, D))
    with torch.inference_mode():
        np.testing.assert_array_equal(made, trunk.network.trunk(trunk.prepare(pictures)).half().numpy())
    again = load(tmp_path / "x.npy", trunk, mirrored=mirrored)
    np.testing.assert_array_equal(again, made)
    assert len(computed) == 1
    said = capsys.readouterr().out
    assert "pictures/s" in said
    assert said.count("loaded ") == 1


DAMAGE = {
    "truncated array": lambda array, note: array.write_bytes(array.read_bytes()[:-5]),
    "empty array": lambda array, note: array.write_bytes(b""),
    "foreign array": lambda array, note: np.save(array, np.zeros(3)),
    "pickled array": lambda array, note: np.save(array, np.array([{}], dtype=object)),
    "no note": lambda array, note: note.unlink(),
    "foreign note": lambda array, note: note.write_text("[1]"),
    "half a note": lambda array, note: note.write_text(note.read_text()[:40]),
    "note of fewer pictures": lambda array, note: note.write_text(note.read_text().replace(f"{N},", f"{N - 1},")),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_cache_that_is_not_whole_is_named_and_made_anew(trunk, tmp_path, computed, capsys, kind):
    path = tmp_path / "x.npy"
    expected = np.array(load(path, trunk))
    DAMAGE[kind](path, path.with_suffix(".json"))
    capsys.readouterr()
    np.testing.assert_array_equal(load(path, trunk), expected)
    said = capsys.readouterr().out
    assert "x.npy is truncated or no cache of features (" in said
    assert "making it anew" in said
    assert len(computed) == 2


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda: (trunk_of(), 255 - IMAGES, False), "data="),
        (lambda: (trunk_of(), IMAGES[:-1], False), f"shape=[{N}, {D}], now [{N - 1}, {D}]"),
        (lambda: (trunk_of(), IMAGES, True), "mirrored=False, now True"),
        (lambda: (trunk_of(size=40), IMAGES, False), "size=[32, 32], now [40, 40]"),
        (lambda: (other_trunk(), IMAGES, False), "trunk="),
        (lambda: (replace(trunk_of(), precision="bf16"), IMAGES, False), "precision='fp32', now 'bf16'"),
    ],
)
def test_a_cache_of_something_else_is_named_and_made_anew(trunk, tmp_path, computed, capsys, change, difference):
    load(tmp_path / "x.npy", trunk)
    capsys.readouterr()
    encoder, images, mirrored = change()
    made = load(tmp_path / "x.npy", encoder, images, mirrored=mirrored)
    assert "x.npy was made with other settings (" in (said := capsys.readouterr().out)
    assert difference in said
    np.testing.assert_array_equal(made, encoder.features(images, mirrored=mirrored))


KILLED = """
import os, signal, sys
from pathlib import Path
import tests.encoder.test_features as t
real = t.Encoder.feature_batches
def die(self, *a, **k):
    for step, batch in enumerate(self.outputs(a[0], self.network.features, batch_size=5)):
        if step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
t.Encoder.feature_batches = die
t.load(Path(sys.argv[1]), t.trunk_of())
"""


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("before", [False, True], ids=["nothing before", "another size before"])
def test_a_killed_run_leaves_nothing_that_is_taken_for_whole(trunk, tmp_path, before, capsys):
    path = tmp_path / "x.npy"
    if before:
        load(path, trunk_of(size=40))
    done = start_python("-c", KILLED, path, check=False, env=ONE_THREAD)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len([*tmp_path.glob(".x.npy.*.partial")]) == 1
    if before:  # what was there is as it was
        load(path, trunk_of(size=40))
        assert "loaded " in capsys.readouterr().out
    np.testing.assert_array_equal(load(path, trunk), trunk.features(IMAGES))
    assert json.loads(path.with_suffix(".json").read_text())["about"]["size"] == [32, 32]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.json", "x.npy"]


KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
import tests.encoder.test_features as t
real = os.replace
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL) if str(names[1]).endswith(".npy") else real(*names)
t.load(Path(sys.argv[1]), t.trunk_of())
"""


def made_up(monkeypatch) -> list:
    """Let encoders make features of nothing but the call's number, 1, 2 ...; a list that gets one entry a call."""
    calls = []

    def batches(self, images, **settings):
        calls.append(1)
        yield slice(0, len(images)), np.full((len(images), D), len(calls), np.float16)

    monkeypatch.setattr(Encoder, "feature_batches", batches)
    return calls


@pytest.mark.slow
@pytest.mark.process
def test_a_note_and_an_array_of_two_runs_are_not_taken_for_one(trunk, tmp_path, monkeypatch, capsys):
    path = tmp_path / "x.npy"
    calls = made_up(monkeypatch)
    load(path, trunk_of(size=40))
    assert start_python("-c", KILLED_BETWEEN, path, check=False, env=ONE_THREAD).returncode == -signal.SIGKILL
    assert json.loads(path.with_suffix(".json").read_text())["about"]["size"] == [32, 32]
    assert (load(path, trunk) == 2).all()
    assert "it is not the array that its JSON file describes" in capsys.readouterr().out
    assert len(calls) == 2


def test_two_arrays_that_changed_places_are_not_taken(trunk, tmp_path, monkeypatch):
    calls, paths = made_up(monkeypatch), {False: tmp_path / "a.npy", True: tmp_path / "b.npy"}
    for mirrored, path in paths.items():
        load(path, trunk, mirrored=mirrored)
    one, other = (path.read_bytes() for path in paths.values())
    paths[False].write_bytes(other)
    paths[True].write_bytes(one)
    again = [load(path, trunk, mirrored=mirrored) for mirrored, path in paths.items()]
    assert [int(array[0, 0]) for array in again] == [3, 4]
    assert len(calls) == 4


# --- training on features ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mirror", [False, True])
def test_pictures_and_their_features_lead_to_the_same_encoder(mirror):
    settings = {**QUICK, "recipe": replace(QUICK["recipe"], mirror=mirror), "seed": 3}
    on_pictures = fit(IMAGES, TARGETS, **settings)
    trunk = trunk_of()
    views = np.stack([trunk.features(IMAGES, mirrored=m) for m in (False, True)[: 1 + mirror]], 1)
    on_features = fit(views, TARGETS, **settings)
    assert_same(on_pictures.network, on_features.network)
    np.testing.assert_array_equal(on_pictures.encode(IMAGES), on_features.encode(views))
    np.testing.assert_array_equal(on_features.encode(views[:, 0]), on_features.encode(views))


def test_mirrored_views_are_trained_on():
    plain = np.zeros((N, 1, D), dtype=np.float16)
    seen, unseen = (np.concatenate([plain, np.full_like(plain, value)], 1) for value in (0.0, 5.0))
    one, other = (fit(values, TARGETS, **QUICK) for values in (seen, unseen))
    assert (one.history["loss"] != other.history["loss"]).any()


def test_a_saved_encoder_of_a_frozen_trunk_encodes_pictures_by_itself(tmp_path, monkeypatch):
    fitted = fit(IMAGES, TARGETS, **QUICK)
    fitted.save(tmp_path)
    monkeypatch.setattr("hashlib_nb.encoder.networks._loaded", lambda *_: pytest.fail("read the ImageNet weights"))
    loaded = Encoder.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(loaded.encode(IMAGES), fitted.encode(IMAGES))
    assert (loaded.head, loaded.size) == (QUICK["recipe"].head, (32, 32))
    assert not any(p.requires_grad for p in loaded.network.trunk.parameters())


def test_folds_share_the_features(computed):
    by_pictures, fold, _ = cross_fit(IMAGES, TARGETS, folds=3, **QUICK)
    assert len(computed) == 2  # pictures and mirror images, once
    views = np.stack([trunk_of().features(IMAGES, mirrored=mirrored) for mirrored in (False, True)], 1)
    np.testing.assert_array_equal(cross_fit(views, TARGETS, folds=3, **QUICK)[0], by_pictures)
    assert len(np.unique(fold)) == 3


def splits() -> datasets.Splits:
    labels = np.eye(2, dtype=np.uint8)[np.arange(N) % 2]
    rows = {"query": slice(0, 4), "train": slice(4, 16), "database": slice(16, N)}
    return datasets.Splits(
        **{name: datasets.Split(IMAGES[r], labels[r]) for name, r in rows.items()}, class_names=("a", "b"), info={}
    )


def test_code_lengths_and_seeds_share_the_cache(tmp_path, computed):
    data = splits()
    made = {}
    for seed, bits in ((0, 6), (1, 6), (0, 3)):
        folder, targets = tmp_path / f"{bits}-{seed}", TARGETS[4:16, :bits]
        settings = {**QUICK, "seed": seed, "folds": 2, "cache": tmp_path / "cache"}
        made[seed, bits] = load_or_encode(folder, data, targets, **settings)
        encoder = Encoder.load(folder, device="cpu")
        for name in ("query", "train", "database"):
            from_pictures = encoder.encode(getattr(data, name).images)
            np.testing.assert_array_equal(getattr(made[seed, bits], name), from_pictures, err_msg=name)
    assert len(computed) == 4  # query, train, its mirror images, database
    assert sorted(path.name for path in (tmp_path / "cache").glob("*.npy")) == [
        "database.npy",
        "query.npy",
        "train-mirrored.npy",
        "train.npy",
    ]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: fit(np.zeros((N, D - 1), np.float16), TARGETS, **QUICK),
            "images are 1279 features a picture, but efficientnet_lite0_frozen makes 1280",
        ),
        (
            lambda: fit(np.zeros((N, D), np.float16), TARGETS, arch="alexnet_small", device="cpu"),
            "images are features .*, but alexnet_small has no frozen trunk: give uint8 pictures",
        ),
        (
            lambda: fit(IMAGES, TARGETS, **{**QUICK, "recipe": replace(FROZEN, head=None)}),
            "recipe must have a head for a frozen trunk, and none else, but arch is efficientnet_lite0_frozen",
        ),
        (
            lambda: fit(IMAGES, TARGETS, arch="alexnet_small", recipe=FROZEN, device="cpu"),
            "recipe must have a head for a frozen trunk, and none else, but arch is alexnet_small",
        ),
    ],
)
def test_what_does_not_go_together_gets_a_sentence(call, sentence, computed):
    with pytest.raises(ValueError, match=sentence):
        call()
    assert not computed
