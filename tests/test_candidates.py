"""The pool that stage 3 chooses among: today's codes where they are asked for, no label of a test picture anywhere."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from hashlib_nb import candidates, metrics, ppo, selectors, thermometer
from hashlib_nb.candidates import THESIS, Candidates, Options
from hashlib_nb.selection import REWARD_CODES, Reward, reward_codes
from hashlib_nb.thermometer import HALF, LEVELS, ClassCodes
from tests.helpers import assert_same, noisy_codes, stage_2

ARRAYS = stage_2(k=10, sizes=(15, 48, 30))
CLASSES = ClassCodes.from_arrays(ARRAYS)
POOL = candidates.of_arrays(ARRAYS)
QUICK = ppo.Args(n_bits=3, total_episodes=64, hidden=16, progress=False)
PARTS = {
    "out_of_fold": "reward_codes",
    "train": "in_sample_codes",
    "query": "query_codes",
    "database": "database_codes",
}
"""Parts of stage 2's pictures, and the field of a pool that has their codes."""


@pytest.mark.slow
def test_labels_of_query_and_database_pictures_are_never_looked_at():
    """Permuted, they change no code, no candidate, no decided query and no selection: they measure alone."""
    rng = np.random.default_rng(0)
    moved = ARRAYS | {f"{part}_labels": rng.permutation(ARRAYS[f"{part}_labels"]) for part in ("query", "database")}
    for options in (Options(), Options(quantiles=True), THESIS):
        usual, other = candidates.of_arrays(ARRAYS, options), candidates.of_arrays(moved, options)
        measured = {"query_labels": usual.query_labels, "database_labels": usual.database_labels}
        assert_same(replace(other, **measured), usual)
        found = [selectors.select(None, None, 2, method="greedy", reward=pool.reward()) for pool in (usual, other)]
        assert_same(found[1].bits, found[0].bits)
        trained = [pool.named(ppo.train(QUICK, reward=pool.reward())) for pool in (usual, other)]
        assert_same(trained[1], trained[0])
        assert usual.test_map(trained[0].bits) != other.test_map(trained[0].bits)


# --- the thesis' setting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REWARD_CODES)
def test_the_thesis_setting_is_what_the_codes_themselves_give(kind):
    pool = candidates.of_arrays(ARRAYS, replace(THESIS, reward_codes=kind))
    codes, labels = reward_codes(kind, ARRAYS)
    for part, field in PARTS.items():
        if part != "out_of_fold":
            np.testing.assert_array_equal(getattr(pool, field), ARRAYS[f"{part}_codes"], strict=True)
    np.testing.assert_array_equal(pool.reward_codes, codes, strict=True)
    assert (pool.k, pool.ids, pool.outputs, pool.reward_queries, pool.decided_codes) == (10, None, None, None, None)
    straight = Reward(codes, labels)
    greedy = selectors.select(codes, labels, 4, method="greedy")
    assert_same(greedy.bits, pool.named(selectors.select(**pool.paying(), n_bits=4, method="greedy")).bits)
    assert pool.reward().of_bits(greedy.bits) == straight.of_bits(greedy.bits) == greedy.reward
    trained = ppo.train(QUICK, codes, labels)
    assert_same(pool.named(ppo.train(QUICK, reward=pool.reward())), trained)
    sides = [ARRAYS[f"{part}_{what}"] for what in ("codes", "labels") for part in ("query", "database")]
    assert pool.test_map(trained.bits) == metrics.mean_average_precision(*sides, bits=trained.bits)


def test_the_thesis_codes_are_the_bits_at_one_half_as_well():
    """What encoders of old left needs no logits, and asking the logits at one half gives the same."""
    without = {name: each for name, each in ARRAYS.items() if "logits" not in name and "class" not in name}
    assert_same(candidates.of_arrays(without, THESIS), candidates.of_arrays(ARRAYS, THESIS))
    for part in PARTS:
        asked = thermometer.bits(ARRAYS[f"{part}_logits"], HALF)
        np.testing.assert_array_equal(asked, ARRAYS[f"{part}_codes"], strict=True)
    decided = candidates.of_arrays(ARRAYS, Options(levels=HALF))
    np.testing.assert_array_equal(decided.decided_codes, thermometer.decide(ARRAYS["query_logits"], CLASSES))
    assert_same(decided.symmetric(), candidates.of_arrays(ARRAYS, THESIS))


# --- thermometer bits and decided queries -----------------------------------------------------------------------------


def test_candidates_are_the_bits_of_each_parts_logits():
    outputs, thresholds = thermometer.meanings(10)
    np.testing.assert_array_equal(POOL.outputs, outputs)
    np.testing.assert_array_equal(POOL.thresholds, thresholds, strict=True)
    for part, field in PARTS.items():
        np.testing.assert_array_equal(getattr(POOL, field), thermometer.bits(ARRAYS[f"{part}_logits"]), strict=True)
    for part, field in (("out_of_fold", "reward_queries"), ("train", "in_sample_queries"), ("query", "decided_codes")):
        expected = thermometer.decide(ARRAYS[f"{part}_logits"], CLASSES, outputs)
        np.testing.assert_array_equal(getattr(POOL, field), expected, strict=True)


def test_quantiles_are_those_of_logits_that_the_network_has_not_seen():
    pool = candidates.of_arrays(ARRAYS, Options(quantiles=True, levels=(0.25, 0.75)))
    expected = np.quantile(ARRAYS["out_of_fold_logits"].astype(float), (0.25, 0.75), axis=0).T.astype(np.float32)
    np.testing.assert_array_equal(pool.thresholds.reshape(10, 2), expected)
    np.testing.assert_allclose(pool.reward_codes.mean(axis=0).reshape(10, 2), [[0.75, 0.25]] * 10, atol=1 / 48)


def test_an_output_that_says_one_thing_has_equal_quantiles_and_leaves_the_search():
    still = ARRAYS | {f"{part}_logits": ARRAYS[f"{part}_logits"] * (np.arange(10) > 0) for part in PARTS}
    pool = candidates.of_arrays(still, Options(quantiles=True))
    assert pool.reward_codes.shape[1] == 10 * len(LEVELS)
    assert set(pool.outputs[pool.ids]) == set(range(1, 10))


def test_those_that_do_not_differ_where_it_pays_are_left_out_and_it_is_said():
    said = []
    pool = candidates.of_arrays(ARRAYS, Options(levels=(1e-9, 0.5, 0.5001)), echo=said.append)
    np.testing.assert_array_equal(pool.ids, thermometer.distinct(pool.reward_codes, pool.reward_queries))
    assert not set(pool.ids) & set(range(0, 30, 3))  # which are always 1
    assert pool.k == len(pool.ids) < 30
    assert said == [pool.remark]
    assert f"{pool.k} of 30 candidates differ on the 48 rows" in pool.remark
    paying = pool.paying()
    np.testing.assert_array_equal(paying["codes"], pool.reward_codes[:, pool.ids])
    np.testing.assert_array_equal(paying["query_codes"], pool.reward_queries[:, pool.ids])


def test_a_choice_is_named_by_ids_and_meanings_of_all_candidates():
    found = ppo.train(QUICK, reward=POOL.reward())
    named = POOL.named(found)
    ids = POOL.ids
    np.testing.assert_array_equal(named.bits, ids[found.bits])
    assert (named.n_candidates, named.reward, named.calls) == (10 * len(LEVELS), found.reward, found.calls)
    np.testing.assert_array_equal(named.outputs, named.bits // len(LEVELS))
    np.testing.assert_array_equal(named.thresholds, POOL.thresholds[named.bits], strict=True)
    np.testing.assert_array_equal(named.history["policy_bits"], ids[found.history["policy_bits"]])
    everywhere = named.history["policy_probabilities"]
    np.testing.assert_array_equal(everywhere[:, ids], found.history["policy_probabilities"])
    assert everywhere.shape == (3, 10 * len(LEVELS))
    np.testing.assert_allclose(everywhere.sum(axis=1), 1, rtol=1e-5)
    straight = Reward(POOL.reward_codes, POOL.reward_labels, query_codes=POOL.reward_queries)
    assert straight.of_bits(named.bits) == pytest.approx(named.reward, abs=1e-12)
    again = thermometer.code(ARRAYS["database_logits"], named.outputs, named.thresholds)
    np.testing.assert_array_equal(again, POOL.test_codes(named.bits)[1])


def test_on_the_test_queries_are_decided_and_the_database_is_not():
    bits = POOL.ids[[3, 30, 17, 51]]
    queries, database = POOL.test_codes(bits)
    np.testing.assert_array_equal(queries, thermometer.decide(ARRAYS["query_logits"], CLASSES, POOL.outputs[bits]))
    np.testing.assert_array_equal(database, thermometer.bits(ARRAYS["database_logits"], LEVELS, bits))
    labels = ARRAYS["query_labels"], ARRAYS["database_labels"]
    assert POOL.test_map(bits) == metrics.mean_average_precision(queries, database, *labels)
    symmetric = POOL.symmetric()
    np.testing.assert_array_equal(symmetric.test_codes(bits)[0], thermometer.bits(ARRAYS["query_logits"], LEVELS, bits))
    masks = np.eye(POOL.k, dtype=np.uint8)[[4, 8]]
    np.testing.assert_allclose(POOL.test_maps(masks), [POOL.test_map([POOL.ids[bit]]) for bit in (4, 8)], atol=1e-12)


@pytest.mark.parametrize("kind", REWARD_CODES)
def test_each_kind_of_reward_has_queries_that_are_decided_as_its_codes_were_made(kind):
    pool = candidates.of_arrays(ARRAYS, Options(reward_codes=kind))
    part = {"in_sample": "train", "views": "view"}.get(kind, "out_of_fold")
    rows = ARRAYS["fold"] == 0 if kind == "holdout" else slice(None)
    logits = ARRAYS[f"{part}_logits"][rows]
    np.testing.assert_array_equal(pool.reward_codes, thermometer.bits(logits))
    np.testing.assert_array_equal(pool.reward_queries, thermometer.decide(logits, CLASSES, pool.outputs))
    np.testing.assert_array_equal(pool.reward_labels, ARRAYS["train_labels"][rows])
    others = [candidates.of_arrays(ARRAYS, Options(reward_codes=each)).digest() for each in REWARD_CODES]
    assert others.count(pool.digest()) == 1


def test_without_folds_the_training_pictures_themselves_can_pay():
    empty = {"out_of_fold_logits": (0, 10), "out_of_fold_codes": (0, 10), "fold": (0,)}
    arrays = ARRAYS | {name: ARRAYS[name][:0].reshape(shape) for name, shape in empty.items()}
    arrays = {name: each for name, each in arrays.items() if not name.startswith("view")}
    for options in (Options(reward_codes="in_sample"), Options(reward_codes="in_sample", quantiles=True)):
        pool = candidates.of_arrays(arrays, options)
        assert len(pool.reward_codes) == len(pool.reward_queries) == 48
    with pytest.raises(ValueError, match="reward_codes='crossfit': set folds to 2 or more"):
        candidates.of_arrays(arrays)


def test_views_pay_where_there_are_no_folds_and_quantiles_are_theirs():
    empty = {"out_of_fold_logits": (0, 10), "out_of_fold_codes": (0, 10), "fold": (0,)}
    arrays = ARRAYS | {name: ARRAYS[name][:0].reshape(shape) for name, shape in empty.items()}
    pool = candidates.of_arrays(arrays, Options(reward_codes="views", quantiles=True, levels=(0.25, 0.75)))
    expected = np.quantile(ARRAYS["view_logits"].astype(float), (0.25, 0.75), axis=0).T.astype(np.float32)
    np.testing.assert_array_equal(pool.thresholds.reshape(10, 2), expected)
    assert len(pool.fold) == len(pool.reward_codes) == 48
    with pytest.raises(ValueError, match="has no view_codes"):
        POOL.rewarded_by("views")
    with pytest.raises(ValueError, match="reward_codes='crossfit': set reward_codes to views"):
        candidates.of_arrays(arrays)
    without = {name: each for name, each in ARRAYS.items() if not name.startswith("view")}
    with pytest.raises(ValueError, match="the codes file has no view_codes"):
        candidates.of_arrays(without, Options(reward_codes="views"))


def test_a_pool_of_some_candidates_has_all_that_the_whole_has_of_them():
    bits = [40, 3, 77]
    some = POOL.of_bits(bits, "three")
    assert (some.name, some.k, some.ids) == ("three", 3, None)
    for field in fields(Candidates):
        whole, part = getattr(POOL, field.name), getattr(some, field.name)
        if field.name.endswith(("codes", "queries")) or field.name in ("outputs", "thresholds"):
            np.testing.assert_array_equal(part, whole[..., bits], strict=True)
    assert some.test_map([2, 0]) == POOL.test_map([77, 40])


def test_codes_of_no_encoder_are_a_pool_as_they_are():
    codes, labels = noisy_codes(30, 6)
    sides = dict.fromkeys(PARTS.values(), codes)
    labeled = {f"{part}_labels": labels for part in ("reward", "query", "database")}
    pool = Candidates("mine", **sides, **labeled, fold=np.zeros(30, int))
    found = selectors.select(None, None, 2, method="greedy", reward=pool.reward())
    assert pool.named(found) is found
    assert pool.remark == "6 candidates"


# --- options ----------------------------------------------------------------------------------------------------------


def test_what_is_not_the_thesis_setting_is_in_the_name():
    assert THESIS.words == []
    assert Options().words == ["thermometer", "decided"]
    assert Options(decided=False, reward_codes="holdout").words == ["holdout", "thermometer"]
    assert Options(levels=[0.5], decided=False) == THESIS
    assert (Options(levels=HALF).graded, Options(levels=HALF, quantiles=True).graded) == (False, True)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Options(levels=(0.5, 0.2)), r"levels is \[0\.5, 0\.2\]; give posteriors inside \(0, 1\)"),
        (lambda: Options(levels=()), "levels is .*; give posteriors inside"),
        (lambda: Options(levels=0.5), "levels is .*; give posteriors inside"),
        (lambda: Options(levels=np.zeros((2, 2), np.float32)), r"levels is float32 \[2, 2\]; give posteriors inside"),
        (lambda: Options(reward_codes="all"), "reward_codes must be one of crossfit, views, holdout, in_sample, not"),
        (lambda: of_all_but("query_logits"), "the codes file has no query_logits, which thermometer bits and decided"),
        (lambda: of_all_but("beta"), "the codes file has no beta, which .* --levels 0.5 --no-decided"),
        (lambda: of_all_but("query_logits", levels=HALF), "the codes file has no query_logits, which"),
        (lambda: of_all_but("database_codes", levels=HALF, decided=False), "the codes file has no database_codes: g"),
        (lambda: of_all_but("train_labels"), "the codes file has no train_labels: give the codes.npz"),
        (lambda: of_all_but(class_codes=CLASSES.codes[:, 1:]), r"logits is float32 \[48, 10\]; give float \[n, 9\]"),
        (lambda: of_all_but(beta=np.array(-1)), "beta is -1; give a finite number above 0"),
        (lambda: of_all_but(beta=np.ones(2)), r"beta is float64 \[2\]; give a finite number above 0"),
        (lambda: of_all_but(query_logits=ARRAYS["query_logits"] * np.nan), "logits has values that are NaN"),
        (lambda: candidates.of_arrays(ARRAYS, Options(levels=(1e-9,))), "no candidate differs on the rows that pay"),
    ],
)  # fmt: skip
def test_what_cannot_be_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        call()
    assert "\n" not in str(refused.value)


def of_all_but(*left_out: str, levels=LEVELS, decided: bool = True, **changed: np.ndarray) -> Candidates:
    arrays = {name: array for name, array in (ARRAYS | changed).items() if name not in left_out}
    return candidates.of_arrays(arrays, Options(levels=levels, decided=decided))
