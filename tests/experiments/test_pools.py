"""Pools of candidate bits: what their codes are, and that choosing among them never meets a test picture."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hashlib_nb import datasets, metrics, selection
from hashlib_nb.encoder import ImageCodes
from hashlib_nb.experiments import pools

SPLITS = datasets.load("fashion-mini")


def image_codes(bits: int, seed: int) -> ImageCodes:
    """What stage 2 would leave for 12 training, 5 query and 9 database pictures of 3 classes, out of random bits."""
    rng = np.random.default_rng(seed)
    sizes = {"query": 5, "train": 12, "database": 9}
    arrays = {f"{part}_codes": rng.integers(0, 2, (n, bits), dtype=np.uint8) for part, n in sizes.items()}
    arrays |= {f"{part}_labels": np.eye(3, dtype=np.uint8)[np.arange(n) % 3] for part, n in sizes.items()}
    arrays |= {"out_of_fold_codes": rng.integers(0, 2, (12, bits), dtype=np.uint8), "fold": np.arange(12) % 2}
    arrays["targets"] = arrays["train_codes"]
    codes = {name: arrays[f"{name}_codes"] for name in ("query", "train", "database", "out_of_fold")}
    return ImageCodes(**codes, targets=arrays["targets"], fold=arrays["fold"], history={}, arrays=arrays)


@pytest.fixture(scope="module")
def union() -> pools.Pool:
    return pools.side_by_side([image_codes(4, seed=0), image_codes(7, seed=1)], "union")


def test_side_by_side_keeps_every_encoders_bits_in_order(union):
    first, second = image_codes(4, seed=0), image_codes(7, seed=1)
    assert (union.k, union.name) == (11, "union")
    np.testing.assert_array_equal(union.reward_codes[:, :4], first.out_of_fold)
    np.testing.assert_array_equal(union.reward_codes[:, 4:], second.out_of_fold)
    np.testing.assert_array_equal(union.query_codes[:, 4:], second.query)
    np.testing.assert_array_equal(union.in_sample_codes[:, :4], first.train)
    np.testing.assert_array_equal(union.database_labels, first.arrays["database_labels"])


@pytest.mark.parametrize("kind", selection.REWARD_CODES)
def test_rewarded_by_pays_with_the_codes_of_that_kind_and_leaves_the_test_alone(union, kind):
    other = union.rewarded_by(kind)
    rows = {"crossfit": slice(None), "holdout": union.fold == 0, "in_sample": slice(None)}[kind]
    codes = union.in_sample_codes if kind == "in_sample" else union.reward_codes
    np.testing.assert_array_equal(other.reward_codes, codes[rows])
    np.testing.assert_array_equal(other.reward_labels, union.reward_labels[rows])
    assert other.test_map([0, 3, 5]) == union.test_map([0, 3, 5])
    assert other.name == f"union-{kind}"


def test_of_bits_is_a_pool_of_these_bits_alone(union):
    some = union.of_bits([9, 2, 4], "three")
    np.testing.assert_array_equal(some.database_codes, union.database_codes[:, [9, 2, 4]])
    assert some.test_map([0, 2]) == pytest.approx(union.test_map([9, 4]))
    with pytest.raises(ValueError, match=r"indices must lie in 0\.\.10"):
        union.of_bits([11], "none")


def test_test_map_is_that_of_the_query_against_the_database(union):
    bits = [1, 6, 7]
    codes = [codes[:, bits] for codes in (union.query_codes, union.database_codes)]
    expected = metrics.mean_average_precision(*codes, union.query_labels, union.database_labels)
    assert union.test_map(bits) == pytest.approx(expected)


def test_hyperplanes_are_signs_of_projections_of_centered_pictures():
    pool = pools.of_hyperplanes(SPLITS, 6, seed=3)
    mean = SPLITS.train.images.reshape(1500, -1).mean(axis=0) / 255
    directions = np.random.default_rng(3).standard_normal((784, 6), dtype=np.float32)
    for row in (0, 17, 499):
        projected = (SPLITS.query.images[row].ravel() / 255 - mean) @ directions
        sure = np.abs(projected) > 1e-4  # float32 and float64 may disagree about the rest
        np.testing.assert_array_equal(pool.query_codes[row][sure], (projected > 0)[sure])
    np.testing.assert_array_equal(pool.in_sample_codes, pool.reward_codes)


def test_hamming_distance_of_hyperplanes_estimates_the_angle():
    pool = pools.of_hyperplanes(SPLITS, 4096, seed=0)
    flat = SPLITS.train.images.reshape(1500, -1) / 255
    one, other = (flat - flat.mean(axis=0))[[0, 1]]
    angle = np.arccos(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
    differing = np.mean(pool.reward_codes[0] != pool.reward_codes[1])
    assert differing == pytest.approx(angle / np.pi, abs=4 * 0.5 / np.sqrt(4096))  # 4 standard errors


def test_hyperplanes_know_no_label():
    shuffled = dataclasses.replace(SPLITS.train, labels=np.roll(SPLITS.train.labels, 1, axis=1))
    other = pools.of_hyperplanes(dataclasses.replace(SPLITS, train=shuffled), 8)
    pool = pools.of_hyperplanes(SPLITS, 8)
    for part in ("reward_codes", "query_codes", "database_codes"):
        np.testing.assert_array_equal(getattr(pool, part), getattr(other, part))
    assert (pool.reward_labels != other.reward_labels).any()


def test_equal_seeds_give_equal_hyperplanes_and_others_do_not():
    one, same, other = (pools.load("lsh-512", seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.database_codes, same.database_codes)
    assert (one.database_codes != other.database_codes).any()
    assert one.k == pools.size("lsh-512") == 512


def test_an_unknown_pool_names_the_known_ones():
    with pytest.raises(ValueError, match="64, 256, lsh-512, union, not '65'"):
        pools.load("65")


@pytest.mark.slow
def test_a_pool_of_learned_bits_is_what_the_encoders_left_and_is_loaded_the_second_time(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    first = pools.load("union", epochs=1, folds=2)
    assert "saved" in capsys.readouterr().out
    again = pools.load("union", epochs=1, folds=2)
    assert "saved" not in capsys.readouterr().out
    assert first.k == again.k == pools.size("union") == 16 + 32 + 48 + 64
    np.testing.assert_array_equal(first.reward_codes, again.reward_codes)
    part = pools.encoded("fashion-mini", 32, epochs=1, folds=2)
    np.testing.assert_array_equal(first.query_codes[:, 16:48], part.query)
    assert not np.array_equal(first.reward_codes, first.in_sample_codes)
