"""Random hyperplanes: signs of projections, angles as distances, and no look at a label."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hashlib_nb import baselines, datasets

SPLITS = datasets.load("fashion-mini")


def test_hyperplanes_are_signs_of_projections_of_centered_pictures():
    codes = baselines.hyperplanes(SPLITS, 6, seed=3)
    mean = SPLITS.train.images.reshape(1500, -1).mean(axis=0) / 255
    directions = np.random.default_rng(3).standard_normal((784, 6), dtype=np.float32)
    for row in (0, 17, 499):
        projected = (SPLITS.query.images[row].ravel() / 255 - mean) @ directions
        sure = np.abs(projected) > 1e-4  # float32 and float64 may disagree about the rest
        np.testing.assert_array_equal(codes["query"][row][sure], (projected > 0)[sure])


def test_hamming_distance_of_hyperplanes_estimates_the_angle():
    codes = baselines.hyperplanes(SPLITS, 4096, seed=0)["train"]
    flat = SPLITS.train.images.reshape(1500, -1) / 255
    one, other = (flat - flat.mean(axis=0))[[0, 1]]
    angle = np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    differing = np.mean(codes[0] != codes[1])
    assert differing == pytest.approx(angle / np.pi, abs=4 * 0.5 / np.sqrt(4096))  # 4 standard errors


def test_hyperplanes_know_no_label():
    relabeled = dataclasses.replace(SPLITS.train, labels=np.roll(SPLITS.train.labels, 1, axis=1))
    codes, other = (baselines.hyperplanes(dataclasses.replace(SPLITS, train=t), 8) for t in (SPLITS.train, relabeled))
    assert codes.keys() == {"query", "train", "database"}
    for part in codes:
        np.testing.assert_array_equal(codes[part], other[part])


def test_equal_seeds_give_equal_hyperplanes_and_others_do_not():
    one, same, other = (baselines.hyperplanes(SPLITS, 16, seed=seed)["database"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
