"""Distorted pictures: each with random numbers of its own, from the generator alone, whoever shares the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashlib_nb.encoder import augmentation
from hashlib_nb.encoder.augmentation import ERASE, GRAY, distort

PICTURES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_keep_shape_and_type_and_most_of_them_change(channels):
    pictures = PICTURES[..., :channels]
    found = distort(pictures, seeded())
    assert (found.shape, found.dtype) == (pictures.shape, torch.uint8)
    changed = (found != pictures).flatten(1).any(1)
    assert 0.5 < changed.float().mean() <= 1
    assert torch.equal(pictures, PICTURES[..., :channels])  # what was given stays


def test_equal_pictures_are_not_changed_alike():
    found = distort(PICTURES[:1].expand(20, -1, -1, -1), seeded())
    assert len({picture.numpy().tobytes() for picture in found}) > 10


def test_the_generator_alone_decides_and_the_global_one_stays():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one = distort(PICTURES, seeded())
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert torch.equal(distort(PICTURES, seeded()), one)
    assert not torch.equal(distort(PICTURES, seeded(1)), one)


@pytest.mark.parametrize("part", [slice(0, 13), slice(13, 40), slice(39, 40)])
def test_a_share_of_a_batch_is_distorted_as_the_whole_of_it_is(part):
    whole_by, mine_by = seeded(), seeded()
    whole = distort(PICTURES, whole_by)
    assert torch.equal(distort(PICTURES[part], mine_by, part, 40), whole[part])
    assert torch.equal(whole_by.get_state(), mine_by.get_state())  # and the next batch as well


def test_a_quarter_of_the_pictures_has_a_rectangle_erased(monkeypatch):
    monkeypatch.setattr(augmentation.v2, "TrivialAugmentWide", torch.nn.Identity)
    pictures = torch.zeros(800, 16, 16, 3, dtype=torch.uint8)
    found = distort(pictures, seeded())
    erased = (found == GRAY).all(3)
    assert not (found[~erased]).any()  # nothing else is touched
    share = erased.flatten(1).any(1).float().mean().item()
    assert share == pytest.approx(ERASE, abs=4 * np.sqrt(ERASE * (1 - ERASE) / 800))
    for mask in erased[erased.flatten(1).any(1)]:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()  # a whole rectangle
        assert mask.sum() == len(rows) * len(columns)
