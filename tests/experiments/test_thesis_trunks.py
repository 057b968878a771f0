"""The thesis' networks and data sets by the commands a user types: AlexNet and VGG-19, NUS-WIDE and MS-COCO.

The pictures are stand-ins in the published layouts, and the weights are random ones in a file.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from hashlib_nb import artifacts, baselines, datasets
from hashlib_nb.baselines import __main__ as baselines_command
from hashlib_nb.experiments import rivals
from tests.datasets.test_files import draw, nuswide_folder
from tests.helpers import refusal, run_main

pytestmark = pytest.mark.slow
N, SIZE = 72, 64
OPTIONS = {
    "nuswide": ("query=8", "train=40", "balanced=false", "size=72"),
    "coco": ("query=8", "train=40", "size=72"),
}


def coco_folder(root: Path, n: int = N) -> None:
    """Picture i shows the things i mod 4 and i // 4 mod 4, of four."""
    shown = [(i, category) for i in range(n) for category in {i % 4, i // 4 % 4}]
    content = {
        "images": [{"id": i, "file_name": f"{i:03}.png"} for i in range(n)],
        "categories": [{"id": number, "name": f"thing{number}"} for number in range(4)],
        "annotations": [{"image_id": i, "category_id": category} for i, category in shown],
    }
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances.json").write_text(json.dumps(content), encoding="utf-8")
    for i in range(n):
        draw(root / "images" / f"{i:03}.png", i)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with both data sets and a file of AlexNet's weights."""
    place = tmp_path_factory.mktemp("thesis")
    nuswide_folder(place / "nuswide", n=N, shows=lambda concept, i: i % 6 == concept % 6)
    coco_folder(place / "coco")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(torchvision.models.alexnet().state_dict(), place / "alexnet.pth")
    return place


def options_of(place: Path, dataset: str, arch: str, *more: object) -> tuple:
    found = ("--dataset", dataset, "--root", place / dataset, "--options", *OPTIONS[dataset], "--arch", arch)
    weights = ("--weights-path", place / "alexnet.pth") if arch.startswith("alexnet") else ()
    return *found, "--size", SIZE, "--device", "cpu", "--epochs", 1, *weights, *more


def splits_of(place: Path, dataset: str) -> datasets.Splits:
    return datasets.load(dataset, root=place / dataset, **dict(datasets.typed_options(dataset, OPTIONS[dataset])))


@pytest.mark.parametrize(
    ("dataset", "name", "arch"),
    [("nuswide", "hashnet", "alexnet"), ("coco", "dnnh", "alexnet_frozen"), ("coco", "itq", "alexnet_frozen")],
)
def test_a_method_is_fitted_and_its_files_encode_the_same(dataset, name, arch, place, home):
    words = options_of(place, dataset, arch, "--code-length", 8, "--out", home / "out", "--no-progress")
    run_main(baselines_command, name, *words)
    found = artifacts.read_npz(home / "out" / artifacts.CODES, ["query_codes", "database_codes", "query_labels"])
    splits = splits_of(place, dataset)
    assert found["database_codes"].shape == (len(splits.database), 8)
    np.testing.assert_array_equal(found["query_labels"], splits.query.labels)
    loaded = baselines.load(home / "out", device="cpu")
    np.testing.assert_array_equal(loaded.encode(splits.query.images), found["query_codes"])


def test_the_table_has_every_row_on_a_frozen_trunk_and_its_trials_serve_a_whole_network(place, home, capsys):
    few = ("--lengths", 8, "--seeds", 0)
    frozen = options_of(place, "nuswide", "alexnet_frozen", *few, "--trial-length", 8, "--out", home / "frozen.json")
    run_main(rivals, "--methods", "thesis", "lsh", *frozen)
    trials = ("--trials", home / "frozen.json", "--out", home / "whole.json")
    run_main(rivals, "--methods", "thesis", "lsh", *options_of(place, "coco", "alexnet", *few, *trials))
    for name, dataset in (("frozen", "nuswide"), ("whole", "coco")):
        record = artifacts.load_json(home / f"{name}.json")
        rows = {(row["method"], row["kind"]) for row in record["rows"]}
        assert {("thesis", "outputs"), ("lsh", "outputs"), *((each, "reference") for each in rivals.REFERENCES)} <= rows
        assert all(0 < row["map"] <= 1 for row in record["rows"])
        assert (record["args"]["dataset"], record["args"]["size"]) == (dataset, SIZE)
    assert not list(home.rglob("*.pt"))  # the whole network's fit is done, and nothing is left to go on from
    assert "| thesis |" in capsys.readouterr().out


def test_vgg19_is_planned_and_run(place, home, capsys):
    words = options_of(place, "coco", "vgg19_frozen", "--weights", "random", "--lengths", 8, "--seeds", 0)
    words = (*words, "--size", 32, "--trial-length", 8, "--methods", "lsh")
    run_main(rivals, *words, "--plan")
    assert "missing: 2 fits to 36 rows" in capsys.readouterr().out
    run_main(rivals, *words, "--out", home / "vgg.json")
    rows = artifacts.load_json(home / "vgg.json")["rows"]
    assert {row["method"] for row in rows} == {"lsh", *rivals.REFERENCES}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--arch", "vgg19", "--size", 16), "size must be at least 32 for vgg19, not 16"),
        (("--arch", "alexnet", "--size", 48), "size must be at least 63 for alexnet, not 48"),
        (("--arch", "alexnet", "--weights-path", "none.pth"), "weights_path: none.pth does not exist"),
        (("--arch", "alexnet_frozen", "--weights-path", "none.pth"), "weights_path: none.pth does not exist"),
    ],
)
@pytest.mark.parametrize("dataset", ["nuswide", "coco"])
def test_what_cannot_be_is_refused_in_a_sentence(dataset, words, said, place, home):
    data = ("--dataset", dataset, "--root", place / dataset, "--options", *OPTIONS[dataset], "--device", "cpu")
    assert said in refusal(rivals, *data, "--lengths", 8, *words)
    assert said in refusal(baselines_command, "hashnet", *data, *words, "--out", home / "out")
    assert not (home / "artifacts").exists()
