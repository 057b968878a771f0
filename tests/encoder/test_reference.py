"""Reference codes: logits in steps, read as stage 2 leaves its own, the same on every machine or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlib_nb import artifacts, codes, datasets, metrics
from hashlib_nb.candidates import THESIS, Options
from hashlib_nb.encoder import Settings, Setup, _make_reference, folds_of, reference
from hashlib_nb.encoder.image_codes import _unfit
from tests.helpers import ROOT, damage, stage_2

SPLITS = datasets.load("fashion-mini")


@given(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=50))
def test_a_step_keeps_the_side_of_zero_and_moves_a_logit_by_at_most_half_a_step(values):
    logits = np.array(values, np.float32)
    again = reference.logits_of(reference.steps_of(logits))
    assert ((again >= 0) == (logits >= 0)).all()
    assert (np.abs(again - np.clip(logits, -8, 8)) <= reference.STEP / 2).all()
    np.testing.assert_array_equal(reference.steps_of(again), reference.steps_of(logits))


def test_steps_by_hand():
    logits = np.array([-9, -8, -7.94, -1e-9, 0, 0.0624, 0.0625, 7.99, 8, 30])
    np.testing.assert_array_equal(reference.steps_of(logits), [0, 0, 0, 127, 128, 128, 129, 255, 255, 255])
    np.testing.assert_array_equal(reference.logits_of(np.array([0, 127, 128, 255])), np.array([-255, -1, 1, 255]) / 32)


@pytest.mark.parametrize("seed", reference.SEEDS)
def test_codes_are_what_stage_2_leaves_and_retrieve_as_the_stored_table_has_it(seed, tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    setup = Setup(seed=seed, source="reference")
    made = setup.codes()
    assert _unfit(made.arrays, tmp_path, SPLITS, made.targets).endswith("are not of the encoder that made it")
    np.testing.assert_array_equal(setup.targets(), made.targets)
    np.testing.assert_array_equal(made.fold, folds_of(made.targets, reference.FOLDS, seed))
    assert codes.pair_objective(made.targets, SPLITS.train.labels) < 1.01 * codes.lower_bound(SPLITS.train.labels)
    right = {part: np.mean(getattr(made, part) == made.targets) for part in ("train", "out_of_fold")}
    assert right["train"] > right["out_of_fold"] > 0.9
    table = artifacts.load_json(ROOT / "results" / "fashion-mini.json")["rows"]
    (stored,) = [row["map"] for row in table if (row["method"], row["seed"]) == ("all bits", seed)]
    found = metrics.mean_average_precision(made.query, made.database, SPLITS.query.labels, SPLITS.database.labels)
    assert found == pytest.approx(stored, abs=1e-12)
    assert [*tmp_path.iterdir()] == []


def test_what_follows_takes_them_as_an_encoders_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    setup = Setup(source="reference")
    for options in (THESIS, Options()):
        found = setup.select("random", 5, options)
        assert setup.selection_path("random", 5, options).parent.name == "fashion-mini-reference-k64-s0"
        assert setup.candidates(options).test_map(found.bits) > 0.3
    assert capsys.readouterr().out.count("reference codes of seed 0") == 1
    decided = setup.candidates().decided_codes
    assert len(np.unique(decided, axis=0)) == 10
    assert setup.codes().posteriors("query").shape == (500, 10)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"dataset": "cifar10"}, "dataset is 'cifar10', but reference codes are of fashion-mini, 64 bits"),
        ({"code_length": 32}, "code_length is 32, but"),
        ({"seed": 3}, "seed is 3, but .* seeds 0 to 2 and the default settings: give these, or take codes of your own"),
        ({"folds": 2}, "folds is 2, but"),
        ({"target_codes": "literal"}, "target_codes is 'literal', but"),
        ({"settings": Settings(epochs=3)}, "epochs is 3, but"),
        ({"settings": Settings(arch="alexnet")}, "arch is 'alexnet', but"),
        ({"source": "mine"}, "source is 'mine'; give 'own' or 'reference'"),
    ],
)
def test_a_run_that_they_are_not_of_is_refused_in_one_sentence(asked, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        Setup(**{"source": "reference", **asked})
    assert "\n" not in str(caught.value)


def test_auto_is_what_it_was_for_them_whatever_devices_there_are(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert Setup(source="reference").settings == reference.SETTINGS.resolved()


def test_their_network_is_not_shipped():
    with pytest.raises(ValueError, match="source is 'reference', whose network is not shipped; give 'own'"):
        Setup(source="reference").encoder()


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty"])
def test_a_damaged_file_is_named_in_one_sentence(how, tmp_path, monkeypatch):
    path = tmp_path / "reference.npz"
    shutil.copy(reference.FILE, path)
    damage(path, how)
    monkeypatch.setattr(reference, "FILE", path)
    with pytest.raises(artifacts.ArtifactError, match="reference.npz") as caught:
        reference.load(0, SPLITS)
    assert "\n" not in str(caught.value)


def test_one_changed_step_and_other_pictures_are_found(tmp_path, monkeypatch):
    arrays, about = artifacts.load_npz(reference.FILE)
    arrays["query"][0, 0, 0] ^= 1
    artifacts.save_npz(tmp_path / "changed.npz", arrays, **about)
    with monkeypatch.context() as patch:
        patch.setattr(reference, "FILE", tmp_path / "changed.npz")
        with pytest.raises(artifacts.ArtifactError, match="is damaged: its checksum is not 1ef9064d1477"):
            reference.load(0, SPLITS)
    other = replace(SPLITS, query=replace(SPLITS.query, images=255 - SPLITS.query.images))
    with pytest.raises(artifacts.ArtifactError, match="of other pictures than fashion-mini has here"):
        reference.load(0, other)


def test_the_file_says_what_made_it_and_stays_small():
    arrays, about = artifacts.load_npz(reference.FILE)
    assert about["made_by"] == "hashlib_nb.encoder._make_reference"
    assert about["args"]["settings"] == json.loads(json.dumps(str(reference.SETTINGS.resolved())))
    assert {name: array.shape[:2] for name, array in arrays.items() if name in reference.SAID} == {
        "query": (3, 500), "train": (3, 1500), "out_of_fold": (3, 1500), "database": (3, 4000)
    }  # fmt: skip
    assert reference.FILE.stat().st_size < 1.5e6


def test_what_is_stored_of_codes_is_their_steps_and_one_code_a_class():
    arrays = stage_2(k=6)
    setup = SimpleNamespace(codes=lambda: SimpleNamespace(arrays=arrays))
    found = _make_reference.stored(setup)
    again = found["class_codes"][arrays["train_labels"].argmax(axis=1)]
    np.testing.assert_array_equal(again, arrays["targets"])
    for part in reference.SAID:
        assert np.abs(reference.logits_of(found[part]) - arrays[f"{part}_logits"].clip(-8, 8)).max() <= 1 / 32
    arrays["targets"][0] ^= 1
    with pytest.raises(ValueError, match="targets differ within a class"):
        _make_reference.stored(setup)
