"""From anybody's logits or posteriors to kept bits and their mAP, by commands alone."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hashlib_nb import artifacts, metrics, selectors, thermometer
from hashlib_nb.metrics import __main__ as metrics_command
from hashlib_nb.selection import Reward
from hashlib_nb.selectors import __main__ as selectors_command
from hashlib_nb.thermometer import LEVELS, ClassCodes
from hashlib_nb.thermometer import __main__ as command
from tests.helpers import refusal, run_main, stage_2

ARRAYS = stage_2(k=10, sizes=(15, 48, 30))
CLASSES = ClassCodes.from_arrays(ARRAYS)
LOGITS, LABELS = ARRAYS["out_of_fold_logits"], ARRAYS["train_labels"]
POSTERIORS = thermometer.posteriors(LOGITS, CLASSES)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with somebody's files, in which commands are called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path / "home"))
    np.save("logits.npy", LOGITS)
    np.save("posteriors.npy", POSTERIORS)
    np.save("class_codes.npy", CLASSES.codes)
    np.save("labels.npy", LABELS)
    artifacts.save_npz(tmp_path / "codes.npz", ARRAYS, made_by="a test")
    return tmp_path


def made(*options) -> dict[str, np.ndarray]:
    run_main(command, *options, "--out", "made.npz")
    return artifacts.load_npz("made.npz")[0]


# --- hashlib-nb thermometer -------------------------------------------------------------------------------------------


def test_logits_alone_give_candidates(here, capsys):
    found = made("--logits", "logits.npy")
    np.testing.assert_array_equal(found["codes"], thermometer.bits(LOGITS), strict=True)
    for name, expected in zip(("outputs", "thresholds"), thermometer.meanings(10), strict=True):
        np.testing.assert_array_equal(found[name], expected, strict=True)
    assert set(found) == {"codes", "outputs", "thresholds"}
    said = capsys.readouterr().out
    differ = len(thermometer.distinct(found["codes"]))
    assert "found 48 rows of 10 outputs; asked at levels 0.02, 0.05" in said
    assert f"{10 * len(LEVELS)} candidates, of which {differ} are neither constant, equal nor opposite" in said
    assert "queries: symmetric\n" in said


def test_class_codes_give_decided_queries_as_well(here, capsys):
    named = ("--logits", "codes.npz", "--logits-array", "out_of_fold_logits")
    named += ("--class-codes", "codes.npz", "--class-codes-array", "class_codes")
    for options in (("--logits", "logits.npy", "--class-codes", "class_codes.npy"), named):
        found = made(*options, "--levels", 0.2, 0.7)
        np.testing.assert_array_equal(found["codes"], thermometer.bits(LOGITS, (0.2, 0.7)))
        expected = thermometer.decide(LOGITS, CLASSES, np.repeat(np.arange(10), 2))
        np.testing.assert_array_equal(found["query_codes"], expected, strict=True)
        assert "or decided for one of 4 classes" in capsys.readouterr().out


@pytest.mark.parametrize("given", [True, False])
def test_posteriors_are_asked_dichotomies(here, given):
    options = ("--class-codes", "class_codes.npy") if given else ("--dichotomies", 2, "--seed", 5)
    sides = CLASSES.codes if given else thermometer.halves(4, 2, 5)
    found = made("--posteriors", "posteriors.npy", *options, "--levels", 0.3, 0.6)
    one = POSTERIORS @ sides
    asked = np.stack([one >= 0.3, one >= 0.6], axis=2).reshape(48, -1)
    assert np.abs(one[..., None] - (0.3, 0.6)).min() > 1e-6  # no rounding decides
    np.testing.assert_array_equal(found["codes"], asked)
    np.testing.assert_array_equal(found["class_codes"], sides)
    np.testing.assert_array_equal(found["query_codes"], sides[POSTERIORS.argmax(axis=1)].repeat(2, axis=1))


def test_quantiles_are_shares_of_the_rows(here):
    found = made("--logits", "logits.npy", "--quantiles", "--levels", 0.25, 0.5)
    np.testing.assert_array_equal(found["codes"].sum(axis=0), [36, 24] * 10)
    np.testing.assert_array_equal(found["thresholds"], thermometer.quantiles(LOGITS, (0.25, 0.5)).reshape(-1))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "candidates are made of logits or of posteriors, but neither is given"),
        (("--logits", "logits.npy", "--posteriors", "posteriors.npy"), "but both are given: name one"),
        (("--logits", "logits.npy", "--class-codes-array", "x"), "class_codes_array is 'x', but class_codes is left"),
        (("--logits", "logits.npy", "--class-codes", "labels.npy"), "class_codes has 4 bits for 10 logits; give one"),
        (("--logits", "logits.npy", "--levels", 1e-12), "no candidate at these levels differs on the 48 rows"),
        (("--logits", "codes.npz"), "codes.npz holds query_labels"),
        (("--posteriors", "logits.npy"), "posteriors is float32 [48, 10]; give probabilities in 0..1"),
        (("--posteriors", "posteriors.npy", "--class-codes", "labels.npy"), "class_codes has 48 rows for 4 classes"),
        (("--logits", "logits.npy", "--out", "labels.npy"), "labels.npy is there and was not written by this command"),
        (("--logits", "logits.npy", "--out", "codes.npz"), "codes.npz is there and was not written by this command"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_written(here, options, sentence):
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    assert sentence in refusal(command, *options)
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_posteriors_that_do_not_add_up_are_refused(here):
    np.save("half.npy", POSTERIORS / 2)
    assert "posteriors adds up to 0.5000 in row" in refusal(command, "--posteriors", "half.npy")


# --- and on: hashlib-nb selectors, hashlib-nb metrics -----------------------------------------------------------------

GREEDY = ("--labels", "labels.npy", "--n-bits", 3, "--method", "greedy", "--no-progress", "--out", "kept")


def chosen(*options) -> dict:
    run_main(selectors_command, "--codes", "made.npz", *GREEDY, *options)
    return json.loads((artifacts.absolute("kept") / "report.json").read_text())


@pytest.mark.parametrize("decided", [True, False])
def test_selectors_choose_among_those_that_differ_and_keep_their_ids(here, decided, capsys):
    found = made("--logits", "logits.npy", "--class-codes", "class_codes.npy")
    report = chosen(*[] if decided else ["--no-decided"])
    codes, queries = found["codes"], found["query_codes"] if decided else None
    ids = thermometer.distinct(codes, queries)
    own = None if queries is None else queries[:, ids]
    best = selectors.select(codes[:, ids], LABELS, 3, method="greedy", query_codes=own)
    bits = ids[best.bits]
    assert report["bits"] == bits.tolist()
    assert report["reward"] == best.reward
    assert report["reward"] == pytest.approx(Reward(codes, LABELS, query_codes=queries).of_bits(bits), abs=1e-12)
    assert report["outputs"] == found["outputs"][bits].tolist()
    assert report["thresholds"] == found["thresholds"][bits].tolist()
    np.testing.assert_allclose(report["levels"], np.array(LEVELS)[bits % len(LEVELS)], rtol=1e-5)
    assert (report["decided"], report["k"]) == (decided, codes.shape[1])
    np.testing.assert_array_equal(np.load("kept/bits.npy"), bits)
    said = capsys.readouterr().out
    assert thermometer.remark(len(ids), codes.shape[1], 48) in said
    assert f"queries are {'decided' if decided else 'symmetric'}" in said


def test_query_codes_of_another_file_are_not_taken_for_decided_ones(here):
    """In codes.npz of stage 2 they are the codes of the query pictures."""
    options = ("--codes", "codes.npz", "--codes-array", "out_of_fold_codes", "--labels-array", "train_labels")
    run_main(selectors_command, *options, "--n-bits", 3, "--no-progress", "--out", "kept")
    report = json.loads((here / "kept" / "report.json").read_text())
    assert report["bits"] == selectors.select(ARRAYS["out_of_fold_codes"], LABELS, 3, method="greedy").bits.tolist()
    assert "outputs" not in report
    assert report["decided"] is False


def measured(*options) -> dict:
    run_main(metrics_command, "--codes", "codes.npz", "--out", "report.json", *options)
    return json.loads(artifacts.absolute("report.json").read_text())


SIDES = (ARRAYS["query_labels"], ARRAYS["database_labels"])


@pytest.mark.parametrize("decided", [False, True])
def test_metrics_measures_what_was_kept_of_them(here, decided, capsys):
    made("--logits", "logits.npy", "--class-codes", "class_codes.npy")
    kept = chosen()
    report = measured("--selection", "kept/report.json", *["--decided"] * decided)
    asks = kept["outputs"], kept["thresholds"]
    queries, database = (thermometer.code(ARRAYS[f"{side}_logits"], *asks) for side in ("query", "database"))
    if decided:
        queries = thermometer.decide(ARRAYS["query_logits"], CLASSES, kept["outputs"])
    expected = metrics.mean_average_precision(queries, database, *SIDES)
    assert report["map"]["all"]["expected"] == pytest.approx(expected, abs=1e-12)
    assert (report["decided"], report["n_bits"]) == (decided, 3)
    for name in ("bits", "outputs", "thresholds", "levels"):
        assert report[name] == kept[name]
    assert ("queries: the code of their likeliest class" in capsys.readouterr().out) == decided


def test_metrics_decides_for_outputs_at_one_half_as_well(here):
    artifacts.save_json(here / "selection.json", {"bits": [7, 2], "n_candidates": 10})
    decided = thermometer.decide(ARRAYS["query_logits"], CLASSES)
    for options, bits in (((), None), (("--selection", "selection.json"), [7, 2])):
        found = measured(*options, "--decided")
        expected = metrics.mean_average_precision(decided, ARRAYS["database_codes"], *SIDES, bits=bits)
        assert found["map"]["all"]["expected"] == pytest.approx(expected, abs=1e-12)
        assert found["bits"] == bits
        assert measured(*options)["decided"] is False


@pytest.mark.parametrize(
    ("lacks", "options", "sentence"),
    [
        (["class_codes"], ["--decided"], "decided queries need class codes: "),
        (["query_logits"], ["--decided"], "decided queries need class codes: "),
        (["database_logits"], ["--selection", "graded.json"], "thermometer bits are made of logits: "),
        (
            [],
            ["--selection", "wide.json"],
            "selection: wide.json cannot be used (outputs is [10, 0]; give",
        ),
        ([], ["--selection", "few.json"], '"outputs" and "thresholds" must be lists of a number for each of its bits'),
    ],
)
def test_metrics_names_what_thermometer_bits_and_decided_queries_lack(here, lacks, options, sentence):
    artifacts.save_npz(here / "codes.npz", {name: each for name, each in ARRAYS.items() if name not in lacks})
    asks = {"bits": [30, 1], "outputs": [2, 0], "thresholds": [0.5, -1.0]}
    artifacts.save_json(here / "graded.json", asks)
    artifacts.save_json(here / "wide.json", asks | {"outputs": [10, 0]})
    artifacts.save_json(here / "few.json", asks | {"thresholds": [0.5]})
    said = refusal(metrics_command, "--codes", "codes.npz", "--out", "report.json", *options)
    assert sentence in said
    assert all(name in said for name in lacks)
    assert not (here / "report.json").exists()
