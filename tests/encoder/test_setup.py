"""The key of a run: equal runs have one folder, other runs another, and no file is taken for one of other data."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hashlib_nb import artifacts, codes, datasets
from hashlib_nb.candidates import THESIS, Options
from hashlib_nb.encoder import RECIPES, Settings, Setup, fit, load_or_encode

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (36, 12, 12, 1), dtype=np.uint8)
LABELS = np.eye(3, dtype=np.uint8)[np.arange(36) % 3]
QUICK = Settings(arch="alexnet_small", device="cpu", epochs=1)


def splits(images: np.ndarray = IMAGES) -> datasets.Splits:
    rows = {"query": slice(0, 6), "train": slice(6, 24), "database": slice(24, 36)}
    parts = {name: datasets.Split(images[r], LABELS[r]) for name, r in rows.items()}
    return datasets.Splits(**parts, class_names=("a", "b", "c"), info={})


@pytest.fixture
def targets_file(tmp_path) -> Path:
    path = tmp_path / "mine.npz"
    np.savez(path, codes=RNG.integers(0, 2, (1500, 64), dtype=np.uint8))
    return path


def test_what_changes_the_codes_changes_the_folder(targets_file, tmp_path):
    plain = RECIPES["alexnet_small"]
    others = [
        {"dataset": "fashion-mnist"},
        {"root": "/data/a"},
        {"root": "/data/b"},
        {"code_length": 32},
        {"seed": 1},
        {"folds": 0},
        {"folds": 2},
        {"target_codes": "literal"},
        {"target_codes": targets_file},
        *({"settings": replace(QUICK, **change)} for change in (
            {"epochs": 2}, {"size": 32}, {"precision": "bf16"}, {"arch": "alexnet"},
            {"recipe": replace(plain, mirror=False)}, {"recipe": replace(plain, lr=1e-4)},
        )),
    ]  # fmt: skip
    folders = [Setup(**{"settings": QUICK, **other}).folder for other in [{}, *others]]
    assert len({*folders}) == len(folders)


def test_what_changes_no_code_changes_no_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    usual = Setup("coco", "pictures", {"query": 7, "exclude": ["person", "car"]}, settings=QUICK)
    same = [
        Setup("coco", tmp_path / "pictures", ("exclude=person,car", "query=7"), settings=QUICK),
        Setup("coco", Path("x") / ".." / "pictures", {"exclude": ("person", "car"), "query": 7}, settings=QUICK),
        replace(usual, settings=replace(QUICK, compile=True)),
    ]
    assert {setup.folder for setup in same} == {usual.folder}
    assert same[0] == same[1] == usual
    assert usual.root == tmp_path / "pictures"


def test_the_courses_folders_have_plain_names(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    usual = Setup(settings=Settings(arch="alexnet_small"))
    assert usual.folder == tmp_path / "artifacts" / "fashion-mini-alexnet_small-k64-s0"
    assert usual.target_path == tmp_path / "artifacts" / "fashion-mini-k64-s0" / "target_codes.npz"
    direct = replace(usual, code_length=16, folds=0, target_codes="literal")
    assert direct.folder.name == "fashion-mini-alexnet_small-direct-literal-k16-s0"
    assert direct.target_path.name == "literal_codes.npz"
    assert usual.selection_path("ppo", 16, THESIS).name == "ppo-p16.npz"
    assert usual.selection_path("ppo", 16).name == "ppo-p16-thermometer-decided.npz"
    options = [Options(**asked) for asked in (
        {}, {"reward_codes": "in_sample"}, {"reward_codes": "holdout"}, {"levels": (0.5,)}, {"levels": (0.2, 0.5)},
        {"levels": (0.2, 0.6)}, {"quantiles": True}, {"quantiles": True, "levels": (0.5,)}, {"decided": False},
    )]  # fmt: skip
    names = {usual.selection_path("ppo", 16, each).name for each in (THESIS, *options)}
    names.add(usual.selection_path("ppo", 16, total_episodes=64).name)
    assert len(names) == len(options) + 2


@pytest.mark.parametrize("part", ["query", "train", "database"])
@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
def test_one_other_pixel_anywhere_is_noticed(tmp_path, capsys, part, place):
    data = splits()
    targets = codes.infer_codes(data.train.labels, 4, epochs=1).codes
    load_or_encode(tmp_path, data, targets, QUICK, folds=0, progress=False)
    changed = IMAGES.copy()
    row = {"query": (0, 5), "train": (6, 23), "database": (24, 35)}[part][place]
    changed[row, 3, 3] ^= 1
    load_or_encode(tmp_path, splits(changed), targets, QUICK, folds=0, progress=False)
    assert "was made with other settings (data=" in capsys.readouterr().out
    load_or_encode(tmp_path, splits(changed), targets, QUICK, folds=0, progress=False)
    assert "loaded" in capsys.readouterr().out


def test_files_of_equal_names_and_sizes_are_told_apart_by_their_content(tmp_path):
    from PIL import Image

    for folder, turn in (("first", 0), ("second", 1)):
        (tmp_path / folder).mkdir()
        for number in range(3):
            pixels = np.rot90(RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8), turn)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.bmp")
    first, second = (
        datasets.Pictures([f"{n}.bmp" for n in range(3)], size=8, root=tmp_path / folder)
        for folder in ("first", "second")
    )
    assert first.digest != second.digest
    before = first.digest
    os.utime(tmp_path / "first" / "0.bmp")  # touched, not changed
    assert first.digest == before


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"dataset": "nothing"}, "name is 'nothing'"),
        ({"options": ("query",)}, "options must be written name=value, not 'query'"),
        ({"code_length": 0}, "code_length is 0; give a whole number in 1"),
        ({"code_length": 10**9}, r"code_length is 1000000000; give a whole number in 1\.\.65535"),
        ({"code_length": 8.0}, r"code_length is 8\.0; give a whole number"),
        ({"folds": -1}, "folds is -1; give a whole number of at least 0"),
        ({"seed": -1}, r"seed is -1; give a whole number from 0 to 2\^64 - 1"),
        ({"folds": 1}, "folds is 1; give 0 for no out-of-fold codes, or at least 2"),
        ({"target_codes": "best"}, "target_codes is 'best'; give one of repaired, literal, or the path of a file"),
    ],
)
def test_a_run_that_cannot_be_is_refused_in_one_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        Setup(**{"settings": QUICK, **wrong})
    assert "\n" not in str(caught.value)


def test_target_codes_of_another_length_are_refused(targets_file):
    with pytest.raises(ValueError, match="has codes of 64 bits, but code_length is 32; give 64"):
        Setup(code_length=32, target_codes=targets_file, settings=QUICK).targets()


def test_targets_are_those_of_the_preset(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    for name, preset in codes.PRESETS.items():
        setup = Setup(code_length=8, target_codes=name, settings=QUICK)
        expected = codes.infer_codes(setup.splits.train.labels, 8, **preset).codes
        np.testing.assert_array_equal(setup.targets(), expected)
        assert artifacts.load_npz(setup.target_path)[0]["codes"].shape == expected.shape


def test_the_loss_is_what_is_minimized():
    """Eq. 3.11 written by hand trains as the default does; another loss leads elsewhere."""

    def by_hand(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return -(targets * nn.functional.logsigmoid(logits) + (1 - targets) * nn.functional.logsigmoid(-logits)).sum()

    def hinge(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(1 - (2 * targets - 1) * logits).sum()

    targets = codes.infer_codes(LABELS, 6, epochs=1).codes
    usual, written, other = (
        fit(IMAGES, targets, replace(QUICK, epochs=2), progress=False, **loss).logits(IMAGES)
        for loss in ({}, {"loss": by_hand}, {"loss": hinge})
    )
    np.testing.assert_allclose(written, usual, atol=1e-4)
    assert np.abs(other - usual).max() > 10 * np.abs(written - usual).max()
