"""Pools of candidate bits: what their codes are, and that choosing among them never meets a test picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hashlib_nb import baselines, datasets, metrics, thermometer
from hashlib_nb.encoder import ImageCodes, Settings, Setup
from hashlib_nb.experiments import ablation, comparison, pools

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
def union() -> pools.Candidates:
    return pools.side_by_side([image_codes(4, seed=0), image_codes(7, seed=1)], "union")


def test_side_by_side_keeps_every_encoders_bits_in_order(union):
    first, second = image_codes(4, seed=0), image_codes(7, seed=1)
    assert (union.k, union.name) == (11, "union")
    np.testing.assert_array_equal(union.reward_codes[:, :4], first.out_of_fold)
    np.testing.assert_array_equal(union.reward_codes[:, 4:], second.out_of_fold)
    np.testing.assert_array_equal(union.query_codes[:, 4:], second.query)
    np.testing.assert_array_equal(union.in_sample_codes[:, :4], first.train)
    np.testing.assert_array_equal(union.database_labels, first.arrays["database_labels"])


@pytest.mark.parametrize("kind", ["crossfit", "holdout", "in_sample"])
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


def test_maps_of_masks_are_those_of_the_candidates_that_a_search_chooses_among(union):
    some = replace(union, ids=np.array([1, 4, 6, 10]), decided_codes=union.query_codes[::-1])
    masks = np.array([[1, 0, 1, 0], [0, 1, 1, 1]])
    np.testing.assert_allclose(some.test_maps(masks), [some.test_map([1, 6]), some.test_map([4, 6, 10])])
    assert some.test_maps(masks)[0] != pytest.approx(union.test_map([1, 6]))
    assert (some.k, some.searched.tolist(), union.searched.tolist()) == (4, [1, 4, 6, 10], [*range(11)])


def test_a_pool_of_hyperplanes_learns_nothing():
    pool = pools.load("lsh-512", seed=3)
    codes = baselines.hyperplanes(SPLITS, 512, seed=3)
    np.testing.assert_array_equal(pool.query_codes, codes["query"])
    np.testing.assert_array_equal(pool.database_codes, codes["database"])
    np.testing.assert_array_equal(pool.reward_codes, codes["train"])
    np.testing.assert_array_equal(pool.in_sample_codes, pool.reward_codes)
    np.testing.assert_array_equal(pool.reward_labels, SPLITS.train.labels)
    assert pool.k == pools.size("lsh-512") == 512


def test_an_unknown_pool_names_the_known_ones():
    with pytest.raises(ValueError, match="64, thermometer, symmetric, 256, lsh-512, union, not '65'"):
        pools.load("65")


@pytest.mark.slow
def test_a_pool_of_learned_bits_is_what_the_encoders_left_and_is_loaded_the_second_time(home, capsys):
    first = pools.load("union", folds=2, settings=Settings(epochs=1))
    assert "saved" in capsys.readouterr().out
    again = pools.load("union", folds=2, settings=Settings(epochs=1))
    assert "saved" not in capsys.readouterr().out
    assert first.k == again.k == pools.size("union") == 16 + 32 + 48 + 64
    np.testing.assert_array_equal(first.reward_codes, again.reward_codes)
    part = Setup(code_length=32, folds=2, settings=Settings(epochs=1)).codes()
    np.testing.assert_array_equal(first.query_codes[:, 16:48], part.query)
    assert not np.array_equal(first.reward_codes, first.in_sample_codes)


@pytest.mark.usefixtures("home")
def test_the_pool_of_thermometer_bits_asks_the_outputs_of_the_course_at_every_level_and_decides_its_queries():
    pool = pools.load("thermometer", source="reference")
    made = Setup(source="reference").codes()
    assert pool.name == "thermometer"
    assert pool.k <= pools.size("thermometer") == 64 * len(thermometer.LEVELS) == pool.database_codes.shape[1]
    np.testing.assert_array_equal(pool.database_codes, thermometer.bits(made.arrays["database_logits"]))
    decided = thermometer.decide(made.arrays["query_logits"], made.classes, pool.outputs)
    bits = pool.searched[:5]
    expected = metrics.mean_average_precision(
        decided[:, bits], pool.database_codes[:, bits], pool.query_labels, pool.database_labels
    )
    assert pool.test_map(bits) == pytest.approx(expected)
    assert pool.paying()["query_codes"].shape == (1500, pool.k)
    symmetric = pools.load("symmetric", source="reference")
    assert (symmetric.name, symmetric.paying()["query_codes"]) == ("symmetric", None)
    expected = metrics.mean_average_precision(
        thermometer.bits(made.arrays["query_logits"])[:, bits], pool.database_codes[:, bits],
        pool.query_labels, pool.database_labels,
    )  # fmt: skip
    assert symmetric.test_map(bits) == pytest.approx(expected)


@pytest.mark.parametrize("args", [comparison.Args, ablation.Args])
def test_pools_that_there_are_no_reference_codes_of_are_refused_before_any_work(args):
    assert args(pools=("64", "thermometer"), codes="reference", pool_seeds=(0, 2), lengths=(8,)).codes == "reference"
    for asked, word in (({"pools": ("256",)}, "code_length is 256"), ({"pool_seeds": (3,)}, "seed is 3")):
        with pytest.raises(ValueError, match=f"{word}, but reference codes are of fashion-mini"):
            args(**{"codes": "reference", "pools": ("64",), "lengths": (8,)} | asked)
