"""Two processes on one training, as torchrun starts them: the losses of one, one voice, and no waiting for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hashlib_nb.encoder import SMALL, Encoder, Head, Settings, augmentation, fit, parallel
from hashlib_nb.encoder import __main__ as command
from hashlib_nb.encoder.recipes import FROZEN
from tests.helpers import ONE_THREAD, ROOT

N, K, D = 46, 5, 1280
FEATURES = np.random.default_rng(0).normal(size=(N, 2, D)).astype(np.float16)
TARGETS = np.random.default_rng(1).integers(0, 2, (N, K), dtype=np.uint8)
IMAGES = np.random.default_rng(2).integers(0, 256, (N, 10, 10, 1), dtype=np.uint8)
QUICK = {"device": "cpu", "epochs": 4, "progress": True, "seed": 5}
# Nothing here depends on which pictures are in one process: no batch norm, no dropout. 46 pictures: batches of 15.
HEAD = replace(FROZEN, batch_size=15, head=Head(8, dropout=0.0, batch_norm=False), patience=3, held_out=0.2)


def on_features(**changes) -> Encoder:
    settings = {"arch": "efficientnet_lite0_frozen", "size": 32, "weights": "random", "recipe": HEAD, **QUICK}
    return fit(FEATURES, TARGETS, **{**settings, **changes})


def on_pictures(**changes) -> Encoder:
    return fit(IMAGES, TARGETS, arch="alexnet_small", recipe=replace(SMALL, batch_size=15), **{**QUICK, **changes})


def several(folder: Path) -> None:
    """What the two processes run: trainings, each twice, so that the second finds what the first has left."""
    with parallel.processes("cpu"):
        for _ in range(2):
            found = on_features(checkpoint=folder / "features.pt")
        small = on_pictures(checkpoint=folder / "pictures.pt", validation=0.2)
        logits = small.logits(IMAGES, batch_size=4)
        print(f"only one says this: {parallel.rank()} of {parallel.count()}")
        about = {name: values.tolist() for name, values in found.history.items()}
        about["agree"] = [parallel.gather(each) for each in (float(logits.sum()), small.history["loss"].tolist())]
        if parallel.is_first():
            small.save(folder)
            np.save(folder / "logits.npy", logits)
            np.save(folder / "feature_logits.npy", found.logits(FEATURES))
            (folder / "about.json").write_text(json.dumps(about))
        quick = Settings(epochs=1, device="cpu")
        args = command.Args(folds=2, code_length=4, out=folder / "out", settings=quick)
        for _ in range(2):
            command.main(args)  # joins as well, which changes nothing here


def fails_in_one() -> None:
    """One process raises while the other waits for it."""
    with parallel.processes("cpu"):
        if parallel.rank() == 1:
            raise ValueError("this one has had enough")
        parallel.gather("waiting")


def start(script: str, home: Path) -> subprocess.CompletedProcess:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import tests.encoder.test_parallel as t; {script}"
    (home / "script.py").write_text(program)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = os.environ | ONE_THREAD | {"HASHLIB_NB_HOME": str(home)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, str(home / "script.py")], env=env, **pipes) as running:
        try:
            out, err = running.communicate(timeout=200)
        except subprocess.TimeoutExpired:
            running.terminate()  # torchrun ends its processes, which a kill would leave waiting
            raise
    return subprocess.CompletedProcess(command, running.returncode, out, err)


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, str]:
    """Folder and standard output of two processes that ran `several`."""
    folder = tmp_path_factory.mktemp("two")
    done = start(f"t.several(t.Path({str(folder)!r}))", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.process
def test_two_processes_have_the_loss_curve_of_one(two):
    about = json.loads((two[0] / "about.json").read_text())
    alone = on_features()
    assert alone.history.keys() == about.keys() - {"agree"}
    for name, values in alone.history.items():
        np.testing.assert_allclose(about[name], values, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(np.load(two[0] / "feature_logits.npy"), alone.logits(FEATURES), atol=1e-4)


@pytest.mark.process
def test_both_have_the_same_encoder_and_one_alone_gives_its_codes(two):
    about = json.loads((two[0] / "about.json").read_text())
    for first, second in about["agree"]:
        assert first == second
    logits = Encoder.load(two[0], device="cpu").logits(IMAGES, batch_size=4)
    np.testing.assert_allclose(np.load(two[0] / "logits.npy"), logits, atol=1e-5)


@pytest.mark.process
def test_one_of_them_speaks_and_what_exists_is_loaded_by_all(two):
    folder, said = two
    assert said.count("only one says this: 0 of 2") == said.count("only one says this") == 1
    assert said.count("resuming from") == 1
    assert said.count("saved") == 2  # target codes, codes
    assert said.count(f"loaded {folder.name}/codes.npz") + said.count("loaded out/codes.npz") == 1
    assert said.count("500 query, 1500 train and 4000 database codes of 4 bits") == 2
    assert not list((folder / "out").rglob("*.pt"))


@pytest.mark.process
def test_an_error_in_one_process_ends_all(tmp_path):
    done = start("t.fails_in_one()", tmp_path)
    assert done.returncode != 0
    assert "this one has had enough" in done.stderr


def test_alone_nothing_is_shared():
    with parallel.processes("cpu"):
        assert (parallel.count(), parallel.rank(), parallel.is_first()) == (1, 0, True)
        assert parallel.share(7) == slice(0, 7)
        assert parallel.gather(3) == [3]
        assert parallel.broadcast("x") == "x"
        module = torch.nn.Linear(2, 2)
        assert parallel.replicate(module) is module


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [1, 7, 8, 50])
def test_shares_are_a_partition_of_nearly_equal_parts(monkeypatch, n, processes):
    monkeypatch.setattr(parallel, "count", lambda: processes)
    parts = []
    for rank in range(processes):
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        parts.append(list(range(n))[parallel.share(n)])
    assert sum(parts, []) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("part", [slice(0, 3), slice(3, 8)])
def test_a_share_is_augmented_as_it_is_in_the_whole_batch(part):
    x = torch.rand(8, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    whole = augmentation.augment(x, 2, True, torch.Generator().manual_seed(1))
    mine = augmentation.augment(x[part], 2, True, torch.Generator().manual_seed(1), part, 8)
    assert torch.equal(mine, whole[part])


def test_too_few_gpus_get_a_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=r"--nproc-per-node asks for more processes than there are GPUs \(1\): give 1"):
        parallel._take_gpu(1)
