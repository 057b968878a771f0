"""Candidate bits against plain loops in float32, what they mean, and which of them differ."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from hashlib_nb import thermometer
from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.encoder.model import codes_of
from hashlib_nb.thermometer import HALF, LEVELS

LOGITS = np.random.default_rng(0).normal(0, 3, (50, 4)).astype(np.float32)

# --- bits -------------------------------------------------------------------------------------------------------------


def thresholds_of(levels) -> list[np.float32]:
    return [np.float32(math.log(t / (1 - t))) for t in levels]


def looped(logits: np.ndarray, levels) -> np.ndarray:
    """1[F_j >= log(t / (1 - t))] one by one, both sides in float32."""
    found = np.zeros((len(logits), logits.shape[1] * len(levels)), np.uint8)
    for i, row in enumerate(logits):
        for j, value in enumerate(row):
            for at, threshold in enumerate(thresholds_of(levels)):
                found[i, j * len(levels) + at] = 1 if np.float32(value) >= threshold else 0
    return found


@given(data=st.data(), dtype=st.sampled_from([np.float16, np.float32, np.float64]))
@settings(max_examples=60, deadline=None)
def test_bits_are_what_loops_in_float32_say(data, dtype):
    levels = sorted(data.draw(st.sets(st.sampled_from([*LEVELS, 0.5, 0.001, 1 / 3]), min_size=1, max_size=5)))
    exact = [value for at in thresholds_of(levels) for value in (at, np.nextafter(at, np.float32(-99)), -at)]
    values = st.one_of(st.floats(-30, 30), st.sampled_from([*map(float, exact), 0.0, -0.0, 1e-40]))
    n, k = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    rows = data.draw(st.lists(st.lists(values, min_size=k, max_size=k), min_size=n, max_size=n))
    logits = np.array(rows).astype(dtype)
    np.testing.assert_array_equal(thermometer.bits(logits, levels), looped(logits, levels), strict=True)


def test_a_logit_at_its_threshold_is_1_and_the_next_smaller_one_is_0():
    at = np.array(thresholds_of(LEVELS))
    below = np.nextafter(at, np.float32(-np.inf))
    found = thermometer.bits(np.stack([at, below], axis=1), LEVELS).reshape(len(LEVELS), 2, len(LEVELS))
    np.testing.assert_array_equal(found[:, 0], np.tri(len(LEVELS)))
    np.testing.assert_array_equal(found[:, 1], np.tri(len(LEVELS), k=-1))


def test_at_one_half_they_are_the_thesis_codes():
    logits = np.append(LOGITS, [[0.0, -0.0, 1e-45, -1e-45]], axis=0).astype(np.float32)
    np.testing.assert_array_equal(thermometer.bits(logits, HALF), codes_of(logits), strict=True)
    np.testing.assert_array_equal(thermometer.code(logits, [2, 0]), codes_of(logits)[:, [2, 0]], strict=True)


def test_more_levels_never_take_a_bit_back():
    """With all levels in order it is the field's thermometer: ones up to the posterior, zeros from there on."""
    rows = thermometer.bits(LOGITS).reshape(50, 4, len(LEVELS)).astype(int)
    assert (np.diff(rows, axis=2) <= 0).all()
    np.testing.assert_array_equal(rows.sum(axis=2), (expit(LOGITS.astype(float))[..., None] >= LEVELS).sum(axis=2))


@pytest.mark.parametrize("levels", [LEVELS, HALF, (0.2, 0.7), thermometer.quantiles(LOGITS, (0.1, 0.5, 0.9))])
def test_candidates_by_id_and_by_meaning_are_columns_of_all(levels):
    every = thermometer.bits(LOGITS, levels)
    ids = np.random.default_rng(1).permutation(every.shape[1])[:4]
    outputs, thresholds = thermometer.meanings(4, levels)
    assert (outputs.dtype, thresholds.dtype) == (np.int64, np.float32)
    width = every.shape[1] // 4
    np.testing.assert_array_equal(outputs, np.arange(every.shape[1]) // width)
    np.testing.assert_array_equal(thermometer.bits(LOGITS, levels, ids), every[:, ids])
    np.testing.assert_array_equal(thermometer.code(LOGITS, outputs[ids], thresholds[ids]), every[:, ids])


def test_many_rows_are_asked_block_by_block(monkeypatch):
    whole = thermometer.bits(LOGITS)
    monkeypatch.setattr(thermometer.levels, "ROWS", 100)
    np.testing.assert_array_equal(thermometer.bits(LOGITS), whole)


def test_the_level_of_a_threshold_is_the_posterior():
    np.testing.assert_allclose(thermometer.level_of(thermometer.meanings(1)[1]), LEVELS, rtol=1e-6)


@pytest.mark.parametrize("level", [0.02, 0.5, 0.9])
def test_a_quantile_has_its_share_of_the_logits_below_it(level):
    thresholds = thermometer.quantiles(LOGITS, (level,))
    assert (thresholds.shape, thresholds.dtype) == ((4, 1), np.float32)
    below = 1 - thermometer.bits(LOGITS, thresholds).mean(axis=0)
    np.testing.assert_allclose(below, level, atol=1 / 50)


def test_an_output_that_says_one_thing_has_equal_quantiles_and_candidates():
    logits = np.append(LOGITS, np.full((50, 1), 3, np.float32), axis=1)
    found = thermometer.bits(logits, thermometer.quantiles(logits))
    assert found.shape == (50, 5 * len(LEVELS))
    assert found[:, -len(LEVELS) :].all()


# --- candidates that differ -------------------------------------------------------------------------------------------


@given(data=st.data(), own=st.booleans())
@settings(max_examples=80, deadline=None)
def test_distinct_keeps_the_first_of_those_that_put_every_pair_equally_far_apart(data, own):
    rows = st.lists(st.lists(st.integers(0, 1), min_size=9, max_size=9), min_size=2, max_size=4)
    codes = np.array(data.draw(rows), np.uint8)
    queries = np.array(data.draw(rows), np.uint8) if own else None
    asked = codes if queries is None else queries
    seen, expected = set(), []
    for j in range(codes.shape[1]):
        distances = (asked[:, None, j] ^ codes[:, j]).tobytes()
        if len({*codes[:, j].tolist()}) == 2 and distances not in seen:
            seen.add(distances)
            expected.append(j)
    np.testing.assert_array_equal(thermometer.distinct(codes, queries), expected)


def test_distinct_by_hand():
    codes = np.array([[0, 0, 1, 0, 1], [0, 1, 0, 1, 0], [0, 1, 0, 1, 1]], np.uint8)
    assert thermometer.distinct(codes).tolist() == [1, 4]  # 0 is constant, 2 opposite to 1, 3 equal to it
    queries = codes.copy()
    queries[0, 3] ^= 1
    assert thermometer.distinct(codes, queries).tolist() == [1, 3, 4]
    assert thermometer.distinct(codes[:1]).tolist() == []


# --- what a selection's file says -------------------------------------------------------------------------------------


def written(path, about):
    path.write_text(about if isinstance(about, str) else json.dumps(about))
    return path


def test_the_meaning_of_kept_bits_is_read(tmp_path):
    thresholds = [float(value) for value in thermometer.meanings(1)[1][[0, 7]]]
    about = {"bits": [84, 7], "n_candidates": 96, "outputs": [7, 0], "thresholds": thresholds}
    outputs, found = thermometer.read_meaning(written(tmp_path / "s.json", about), 8)
    assert outputs.tolist() == [7, 0]
    assert outputs.dtype == np.int64
    np.testing.assert_array_equal(found, np.array(thresholds, np.float32), strict=True)


@pytest.mark.parametrize("about", [{"bits": [5, 2], "n_candidates": 8}, {"bits": [5, 2], "k": 8}, {"bits": [5, 2]}])
def test_bits_without_a_meaning_are_outputs_at_one_half(tmp_path, about):
    outputs, thresholds = thermometer.read_meaning(written(tmp_path / "s.json", about), 8)
    assert outputs.tolist() == [5, 2]
    np.testing.assert_array_equal(thresholds, np.zeros(2, np.float32), strict=True)


MEANS = {"bits": [84, 7], "n_candidates": 96, "outputs": [7, 0], "thresholds": [0.5, -2.0]}


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ("[1, 2", "s.json"),
        ("[1, 2]", 's.json holds no "bits"'),
        ({"bits": [9], "n_candidates": 12}, "keeps bits of codes of 12 bits, but these have 8"),
        ({"bits": [9]}, r"bits runs from 9 to 9; indices must lie in 0\.\.7"),
        (MEANS | {"outputs": [8, 0]}, r"cannot be used \(outputs is \[8, 0\]; give whole numbers in 0\.\.7"),
        (MEANS | {"outputs": None}, '"outputs" and "thresholds" must be lists'),
        (MEANS | {"n_candidates": 100}, "chosen on 100 candidates, and 8 outputs at any levels make others"),
        (MEANS | {"outputs": [7]}, '"outputs" and "thresholds" must be lists of a number for each'),
        (MEANS | {"outputs": 7}, '"outputs" and "thresholds" must be lists'),
        (MEANS | {"outputs": "70"}, '"outputs" and "thresholds" must be lists'),
        (MEANS | {"outputs": {"a": 1, "b": 2}}, '"outputs" and "thresholds" must be lists'),
        (MEANS | {"outputs": [7, None]}, r"outputs is \[7, None\]; give whole numbers"),
        (MEANS | {"outputs": [7.0, 0.0]}, r"outputs is \[7\.0, 0\.0\]; give whole numbers"),
        (MEANS | {"outputs": [[7], [0, 1]]}, "outputs is no array"),
        (MEANS | {"outputs": [7, 10**30]}, "outputs is .*; give whole numbers"),
        (MEANS | {"thresholds": None}, '"outputs" and "thresholds" must be lists'),
        (MEANS | {"thresholds": [0.5, None]}, "thresholds is .*; give a finite number"),
        (MEANS | {"thresholds": [0.5, math.nan]}, "thresholds is .*; give a finite number for each of 2"),
        (MEANS | {"thresholds": [0.5, 1e300]}, "thresholds has numbers that are infinite in float32"),
        (MEANS | {"outputs": [7, 7], "thresholds": [0.0, -0.0]}, "name a candidate more than once"),
    ],
)
def test_a_file_that_does_not_say_what_its_bits_ask_is_named(tmp_path, about, sentence):
    with pytest.raises(ArtifactError, match=sentence) as refused:
        thermometer.read_meaning(written(tmp_path / "s.json", about), 8)
    assert "s.json" in str(refused.value)
    assert "\n" not in str(refused.value)


# --- bad input --------------------------------------------------------------------------------------------------------

NOT_LEVELS = {
    "0": (0.0, 0.5), "1": (0.5, 1.0), "over 1": (0.5, 1.5), "negative": (-0.1,), "NaN": (0.5, math.nan),
    "decreasing": (0.5, 0.2), "repeated": (0.2, 0.2), "none": (), "one number": 0.5, "whole": (0, 1), "text": "0.5",
    "None": None, "a table": ((0.2, 0.5), (0.3, 0.4)), "one in float32": (0.7, 0.7 + 1e-12), "ragged": ((0.1,), 0.2),
    "decreasing thresholds": np.array([[1, 0]] * 4, np.float32), "of fewer outputs": np.zeros((3, 2), np.float32),
    "infinite thresholds": np.full((4, 2), np.inf, np.float32),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOT_LEVELS)
def test_what_are_no_levels_is_refused(kind):
    for call in (thermometer.bits, lambda logits, levels: thermometer.meanings(logits.shape[1], levels)):
        with pytest.raises(ValueError, match="^levels is ") as refused:
            call(LOGITS, NOT_LEVELS[kind])
        assert "\n" not in str(refused.value)


NAN = np.where(np.arange(50)[:, None] == 7, np.nan, LOGITS)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: thermometer.bits(NAN), r"logits has values that are NaN or infinite \(the first in row 7\)"),
        (lambda: thermometer.bits(np.full((2, 2), 1e300)), "logits has values that are NaN or infinite"),
        (lambda: thermometer.bits(LOGITS.astype(int)), r"logits is int64 \[50, 4\]; give float \[n, k\]"),
        (lambda: thermometer.bits(LOGITS[0]), r"logits is float32 \[4\]; give float \[n, k\]"),
        (lambda: thermometer.bits(LOGITS[:0]), r"logits is float32 \[0, 4\]; give"),
        (lambda: thermometer.bits(LOGITS, (0.2, 0.7), [0, 8]), r"candidates is \[0, 8\]; give whole numbers in 0\.\.7"),
        (lambda: thermometer.bits(LOGITS, LEVELS, []), "candidates is .*, at least one"),
        (lambda: thermometer.bits(LOGITS, LEVELS, [True]), "candidates is .*; give whole numbers"),
        (lambda: thermometer.code(LOGITS, [4]), r"outputs is \[4\]; give whole numbers in 0\.\.3"),
        (lambda: thermometer.code(LOGITS, [0, 1], [0.0]), r"thresholds is float64 \[1\]; give a finite number for"),
        (lambda: thermometer.code(LOGITS, [1, 1]), "outputs and thresholds name a candidate more than once"),
        (lambda: thermometer.meanings(60_000), r"the number of candidates is [0-9]+; .*\(k x levels\)"),
        (lambda: thermometer.meanings(0), r"k is 0; give a whole number in 1\.\."),
        (lambda: thermometer.quantiles(LOGITS, np.zeros((4, 2), np.float32)), r"levels is float32 \[4, 2\]; give sh"),
        (lambda: thermometer.quantiles(LOGITS, (0.0,)), r"levels is \[0\.0\]; give"),
        (lambda: thermometer.quantiles(NAN), "logits has values that are NaN"),
        (lambda: thermometer.distinct(LOGITS), "codes is float32; expected"),
        (lambda: thermometer.distinct(np.eye(3, dtype=int), np.eye(2, dtype=int)), "query_codes has 2 bits and"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        call()
    assert "\n" not in str(refused.value)
