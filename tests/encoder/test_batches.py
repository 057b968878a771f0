"""Pictures in files give what the same pictures in memory give, batch by batch, and name the file that is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hashlib_nb.datasets import Pictures
from hashlib_nb.encoder import SMALL, Head, augmentation, batches, cross_fit, fit
from hashlib_nb.encoder.recipes import FROZEN
from tests.helpers import assert_same, draw

N, K = 30, 5
TARGETS = np.random.default_rng(1).integers(0, 2, (N, K), dtype=np.uint8)
QUICK = {"arch": "alexnet_small", "recipe": replace(SMALL, batch_size=8), "epochs": 2, "device": "cpu"}
QUICK["progress"] = False


def write_pictures(folder: Path, n: int = N) -> Pictures:
    paths = [draw(folder / f"{i}.png", i, size=(24, 20 + i % 3)) for i in range(n)]
    return Pictures(paths, size=16, root=folder)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Pictures:
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("lazy", [True, False])
def test_batches_come_in_their_order(pictures, lazy):
    images = np.asarray(pictures)
    rows = [np.array([3, 1, 29]), np.array([0]), np.arange(10, 20), np.array([3, 3])]
    found = list(batches.read(pictures if lazy else images, rows))
    assert [batch.dtype for batch in found] == [torch.uint8] * len(rows)
    for batch, wanted in zip(found, rows, strict=True):
        np.testing.assert_array_equal(batch, images[wanted])


def test_training_on_files_is_training_on_their_pixels(pictures):
    images = np.asarray(pictures)
    from_files, from_memory = (fit(each, TARGETS, validation=0.2, **QUICK) for each in (pictures, images))
    assert_same(from_files, from_memory)
    assert (from_files.mean, from_files.std) == (from_memory.mean, from_memory.std)
    np.testing.assert_array_equal(from_files.encode(pictures), from_memory.encode(images))
    np.testing.assert_array_equal(from_files.logits(pictures, batch_size=7), from_files.logits(images, batch_size=7))


def test_folds_and_features_of_files_are_those_of_their_pixels(pictures):
    settings = {**QUICK, "arch": "efficientnet_lite0_frozen", "size": 32, "weights": "random"}
    settings["recipe"] = replace(FROZEN, batch_size=8, head=Head(8))
    from_files, from_memory = (
        cross_fit(each, TARGETS, folds=2, **settings)[0] for each in (pictures, np.asarray(pictures))
    )
    np.testing.assert_array_equal(from_files, from_memory)


def test_the_callers_random_numbers_stay(pictures):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    list(batches.read(pictures, [np.arange(4)]))
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "is empty"), (b"no picture", "is no image"), (None, "does not exist")]
)
def test_a_file_that_is_no_picture_is_named_in_one_line(tmp_path, content, why):
    pictures = write_pictures(tmp_path, 12)
    fitted = fit(np.asarray(pictures), TARGETS[:12], **QUICK)
    (tmp_path / "7.png").unlink() if content is None else (tmp_path / "7.png").write_bytes(content)
    for call in (lambda: fitted.encode(pictures), lambda: fit(pictures, TARGETS[:12], **QUICK)):
        with pytest.raises((ValueError, FileNotFoundError), match=f"the picture 7.png {why}") as raised:
            call()
        assert "\n" not in str(raised.value)


def test_mean_and_deviation_of_many_files_come_from_some_of_them(pictures, monkeypatch):
    monkeypatch.setattr(batches, "STATISTICS", 10)
    decoded, real = [], Pictures.__getitem__
    monkeypatch.setattr(Pictures, "__getitem__", lambda self, rows: (decoded.append(rows), real(self, rows))[1])
    mean, std = batches.statistics(pictures, seed=0)
    ((rows),) = decoded
    assert len(np.unique(rows)) == 10
    some = real(pictures, rows) / 255
    np.testing.assert_allclose(mean, some.mean((0, 1, 2)))
    np.testing.assert_allclose(std, some.std((0, 1, 2)) + 1e-3)
    assert batches.statistics(pictures, seed=0) == (mean, std)
    assert batches.statistics(pictures, seed=1) != (mean, std)


def test_the_digest_of_files_is_of_names_order_and_content_and_decodes_none(tmp_path, monkeypatch):
    pictures = write_pictures(tmp_path, 5)
    monkeypatch.setattr(Pictures, "__getitem__", lambda *_: pytest.fail("decoded a picture"))
    whole = batches.digest(pictures)
    assert batches.digest(Pictures(pictures.paths, size=16, root=tmp_path)) == whole
    others = [pictures.take([0, 1, 2, 3]), pictures.take([1, 0, 2, 3, 4]), Pictures(pictures.paths, size=8)]
    assert len({whole, *map(batches.digest, others)}) == 4
    held = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(held[::-1])  # as long as before
    assert batches.digest(pictures) != whole
    (tmp_path / "2.png").write_bytes(held)
    assert batches.digest(pictures) == whole


def test_augmentation_shifts_and_mirrors_but_invents_nothing():
    x = torch.arange(2 * 5 * 7, dtype=torch.float32).view(2, 1, 5, 7).expand(2, 3, 5, 7)
    generator = torch.Generator().manual_seed(0)
    same = augmentation.augment(x, 0, False, generator)
    assert torch.equal(same, x)
    padded = nn.functional.pad(x, (2,) * 4, mode="replicate")
    windows = [padded[:, :, i : i + 5, j : j + 7] for i in range(5) for j in range(5)]
    possible = [[w[b] for w in windows] + [w[b].flip(2) for w in windows] for b in range(2)]
    found = set()
    for _ in range(300):
        moved = augmentation.augment(x, 2, True, generator)
        assert moved.shape == x.shape
        for b in range(2):
            places = [i for i, window in enumerate(possible[b]) if torch.equal(moved[b], window)]
            assert len(places) == 1
            found |= set(places)
    assert found == set(range(50))


# shared memory


@pytest.mark.parametrize(
    ("free", "workers", "prefetched"),
    [(64e9, 8, 2), (8 * 2**20, 0, None), (64 * 2**20, 2, 1), (200 * 2**20, 8, 1), (400 * 2**20, 8, 2), (0, 0, None)],
)
def test_batches_in_advance_fit_into_half_of_the_shared_memory(monkeypatch, free, workers, prefetched):
    monkeypatch.setattr(batches, "WORKERS", 8)
    monkeypatch.setattr(batches, "_free_shared_memory", lambda: free)
    size = 10 * 2**20
    found = batches._ahead(size, 100)
    assert found == (workers, prefetched)
    assert (found[0] * (found[1] or 0) + 1) * size <= max(free / 2, size)
    assert batches._ahead(size, 1) == (min(workers, 1), prefetched if workers == 0 or free < 60 * 2**20 else 2)


def test_pictures_come_the_same_without_any_shared_memory(pictures, monkeypatch):
    monkeypatch.setattr(batches, "_free_shared_memory", lambda: 0)
    rows = [np.array([3, 1, 29]), np.array([0]), np.arange(10, 20)]
    for batch, wanted in zip(batches.read(pictures, rows), rows, strict=True):
        np.testing.assert_array_equal(batch, np.asarray(pictures)[wanted])


def test_where_nothing_can_be_shared_nothing_is_free(tmp_path, monkeypatch):
    assert batches._free_shared_memory() > 0
    monkeypatch.setattr(batches, "SHARED", tmp_path / "none")
    assert batches._free_shared_memory() == 0
    monkeypatch.setattr(batches.sys, "platform", "darwin")
    assert batches._free_shared_memory() == np.inf


# pictures as they are given


def test_tensors_and_lists_of_arrays_are_pictures(pictures):
    images = np.asarray(pictures)
    encoder = fit(images, TARGETS, **QUICK)
    codes = encoder.encode(images)
    for given in (torch.from_numpy(images), list(images), tuple(images), [torch.from_numpy(each) for each in images]):
        np.testing.assert_array_equal(encoder.encode(given), codes)
        assert_same(fit(given, TARGETS, **QUICK), encoder)
    np.testing.assert_array_equal(
        cross_fit(list(images), TARGETS, folds=2, **QUICK)[0], cross_fit(images, TARGETS, folds=2, **QUICK)[0]
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (None, "images is None; give"),
        (5, "images must be uint8 .*, not int64"),
        ("a.png", "not <U5 .*; give files as datasets.Pictures"),
        (["a.png", "b.png"], "give files as datasets.Pictures"),
        ([], "images must be uint8 .*, not float64"),
        (np.zeros((0, 8, 8, 3), np.uint8), "images must be uint8"),
        (np.zeros((3, 8, 8, 3)), "not float64"),
        (np.zeros((3, 8, 8, 3), bool), "not bool"),
        (np.zeros((8, 8, 3), np.uint8), r"not uint8 \[8, 8, 3\]"),
        (np.zeros((3, 3, 8, 8), np.uint8), "put the channels last"),
        (torch.zeros((3, 3, 8, 8), dtype=torch.uint8), "put the channels last"),
        (torch.zeros((3, 8, 8, 3)), "not float32"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)], "images have different shapes"),
        (np.array([None]), "images"),
        (object(), "images"),
        ({"a": 1}, "images"),
    ],
)
def test_what_is_no_picture_is_refused_by_name(pictures, given, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        batches.as_images(given)
    assert str(refused.value).startswith("images ")
    assert "\n" not in str(refused.value)
