"""Chapter 4's opponents on a tiny run: pixels of 200 pictures as features, two methods, two seeds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from hashlib_nb import artifacts, baselines, datasets, metrics, thermometer
from hashlib_nb.baselines import registry
from hashlib_nb.encoder import Settings
from hashlib_nb.experiments import rival_scores, rivals
from hashlib_nb.experiments.rivals import Args, Data
from tests.experiments.test_results import load_tiny, tiny_splits
from tests.scale.jobs import dasks_threads

QUICK = Settings(arch="efficientnet_lite0_frozen", epochs=2)
ARGS = Args(methods=("thesis", "sdh", "lsh"), lengths=(4, 8), seeds=(0, 1), trial_length=4, held_out=0.4)


def pixels(setup) -> dict[str, np.ndarray]:
    """What takes the place of a trunk's features: a small picture of each."""
    parts = {part: getattr(setup.splits, part).images for part in datasets.PARTS}
    found = {part: each[:, ::4, ::4, 0].reshape(len(each), -1).astype(np.float16) / 255 for part, each in parts.items()}
    return found | {"train": np.repeat(found["train"][:, None], 2, axis=1)}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def record(home):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLIB_NB_HOME", str(home))
        patch.setattr(datasets, "load", load_tiny)
        patch.setattr(rivals, "inputs_of", pixels)
        return rivals.run(replace(ARGS))


@pytest.fixture
def data(home, monkeypatch) -> Data:
    monkeypatch.setenv("HASHLIB_NB_HOME", str(home))
    monkeypatch.setattr(datasets, "load", load_tiny)
    args = replace(ARGS)
    return Data.of(args, args.setup.splits, pixels(args.setup), 0)


def test_every_method_has_a_row_of_each_kind_length_and_seed(record):
    found = {(row["method"], row["kind"], row["bits"], row["seed"]) for row in record["rows"]}
    for name in ARGS.methods:
        for kind in rivals.KINDS:
            assert {(name, kind, bits, seed) for bits in ARGS.lengths for seed in ARGS.seeds} <= found
    assert {row["method"] for row in record["rows"] if row["kind"] == "reference"} == {*rivals.REFERENCES}
    assert len(found) == len(record["rows"])


def test_workers_leave_the_fits_that_one_process_makes(record, tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "load", load_tiny)
    monkeypatch.setattr(rivals, "inputs_of", pixels)
    with dasks_threads(1) as where:
        rivals._fit_in_workers(replace(ARGS, scheduler=where.scheduler), [(0, "lsh"), (1, "sdh", {}, 8)], "fits")
        assert len([*tmp_path.rglob("lsh-trial*.npz")]) == len(rivals.grid("lsh"))
        found = rivals.run(replace(ARGS, scheduler=where.scheduler))
    measured = [[row | {"cpu_seconds": 0} for row in each["rows"]] for each in (record, found)]
    assert measured[0] == measured[1]


def test_a_row_is_what_the_package_measures_of_the_fit_that_it_names(record, data):
    settings = record["settings_of_methods"]["sdh"]
    model = rivals.fitted(data, "sdh", settings, 8)
    codes = [model.encode(data.part(part, False)) for part in ("query", "database")]
    expected = metrics.mean_average_precision(*codes, data.labels("query"), data.labels("database"))
    (row,) = [
        row for row in record["rows"]
        if (row["method"], row["kind"], row["bits"], row["seed"]) == ("sdh", "outputs", 8, 0)
    ]  # fmt: skip
    assert row["map"] == pytest.approx(expected, abs=1e-12)
    assert row["pessimistic"] <= row["map"] <= row["optimistic"]


def test_the_settings_are_those_that_did_best_where_nobody_was_fitted(record):
    assert {name: len(rivals.grid(name)) for name in ARGS.methods} == {
        name: sum(row["method"] == name for row in record["trials"]) for name in ARGS.methods
    }
    for name, settings in record["settings_of_methods"].items():
        rows = [row for row in record["trials"] if row["method"] == name]
        assert max(row["map"] for row in rows) == next(row["map"] for row in rows if row["settings"] == settings)


def test_held_out_rows_change_no_fit(data):
    twisted = dict(data.inputs) | {"train": data.inputs["train"].copy()}
    twisted["train"][data.held] = 7
    other = replace(data, inputs=twisted)
    one, same = (rivals.fitted(each, "sdh", {}, 8).encode(data.part("query", False)) for each in (data, other))
    assert (one == same).all()


def test_a_decided_query_takes_the_majority_code_of_a_class_with_enough_rows():
    labels = np.eye(3, dtype=np.uint8)[[0] * 5 + [1] * 6 + [2] * 2]
    held = np.zeros((13, 6), np.uint8)
    held[:5, :3], held[5:11, 3:] = 1, 1
    held[0, 0] = 0  # one of five differs
    held[11:] = 1  # two rows make no class
    queries = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 0]], np.uint8)
    found = rival_scores._decided(queries, held, labels)
    assert found[0].tolist() == [1, 1, 1, 0, 0, 0]
    assert found[2].tolist() == [0, 0, 0, 1, 1, 1]
    assert found[1].tolist() != [1] * 6
    assert rival_scores._decided(queries, held[11:], labels[11:]) is None


def test_differences_are_paired_by_seed_and_query_and_corrected_by_holm():
    rng, args = np.random.default_rng(0), replace(ARGS, lengths=(8,), seeds=(0, 1, 2))
    precisions = {}
    for seed in args.seeds:
        ours = rng.random(40)
        precisions["thesis", "outputs", 8, seed] = ours
        precisions["sdh", "outputs", 8, seed] = ours - 0.1 + rng.normal(0, 0.01, 40)
        precisions["lsh", "outputs", 8, seed] = ours + rng.normal(0, 0.3, 40)
    rows = {row["rival"]: row for row in rivals.differences(precisions, args)}
    assert set(rows) == {"sdh", "lsh"}
    for name, row in rows.items():
        by_seed = [
            np.mean(precisions["thesis", "outputs", 8, s] - precisions[name, "outputs", 8, s]) for s in args.seeds
        ]
        assert row["difference"] == pytest.approx(np.mean(by_seed))
        assert row["low"] < row["difference"] < row["high"]
        assert row["query_low"] < row["difference"] < row["query_high"]
        alone = stats.ttest_1samp(by_seed, 0).pvalue
        assert row["p"] >= alone
    smallest = min(rows.values(), key=lambda row: row["p"])
    assert smallest["rival"] == "sdh"
    by_seed = [np.mean(precisions["thesis", "outputs", 8, s] - precisions["sdh", "outputs", 8, s]) for s in args.seeds]
    assert smallest["p"] == pytest.approx(2 * stats.ttest_1samp(by_seed, 0).pvalue)  # the smallest of two


def test_the_table_says_every_method_and_what_the_thesis_printed(record):
    made = {"args": {"lengths": list(ARGS.lengths), "dataset": "cifar10"}} | record
    text = "\n".join(rivals.markdown(json.loads(json.dumps(made))))
    for name in ARGS.methods:
        assert text.count(f"| {baselines.method(name).TITLE} |") >= len(rivals.KINDS)
    assert "Held-out rows paid for the bits that were kept: *thermometer*" in text
    assert "Printed in the thesis" not in text  # it prints none of these lengths
    assert [line for line in rivals.printed("cifar10", [64]) if "Printed" in line] == [
        "*Printed in the thesis (AlexNet, tuned on a GPU; mAP@54,000)*"
    ]
    assert "0.749" in "\n".join(rivals.printed("cifar10", [48, 64]))
    assert "VGG-19" in "\n".join(rivals.printed("cifar10", [48, 64]))
    known = made | {"args": {"lengths": [64], "dataset": "cifar10"}}
    assert "Printed in the thesis" in "\n".join(rivals.markdown(known))
    of_unseen = made | {"args": {"lengths": [64], "dataset": "cifar10", "n_unseen": 3}}
    assert "Printed in the thesis" not in "\n".join(rivals.markdown(of_unseen))


def test_what_held_out_rows_paid_is_their_map_with_each_of_them_left_out_in_turn(data):
    rng = np.random.default_rng(0)
    said = {part: rng.normal(size=(len(data.labels(part)), 3)).astype(np.float32) for part in ("query", "database")}
    said["held"] = rng.normal(size=(len(data.held), 3)).astype(np.float32)
    one = replace(data, args=replace(ARGS, lengths=(1,)))
    found = rival_scores.thermometer_scores(one, said)
    bits = thermometer.bits(said["held"], thermometer.quantiles(said["held"], thermometer.LEVELS))
    labels, of_bit = data.labels("train")[data.held], []
    for column in bits.T:
        paid = []
        for i in range(len(labels)):
            others = np.arange(len(labels)) != i
            if (labels[others] @ labels[i] > 0).any():
                pair = column[i, None, None], column[others, None]
                paid += metrics.average_precision(*pair, labels[None, i], labels[others]).tolist()
        of_bit.append(np.mean(paid))
    assert found["paid/thermometer/1"] == pytest.approx(max(of_bit), abs=1e-12)


def test_a_run_that_was_cut_off_goes_on_from_its_files(record, home, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(home))
    monkeypatch.setattr(datasets, "load", load_tiny)
    monkeypatch.setattr(rivals, "inputs_of", pixels)
    monkeypatch.setattr(baselines, "fit", lambda *_, **__: pytest.fail("it is there already"))
    again = rivals.run(replace(ARGS))
    assert again["rows"] == record["rows"]


def test_unseen_classes_are_searched_for_and_not_fitted_to(home, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(home))
    monkeypatch.setattr(datasets, "load", load_tiny)
    args = replace(ARGS, n_unseen=3)
    data = Data.of(args, args.setup.splits, pixels(args.setup), 1)
    out = data.labels("query").any(axis=0)
    assert out.sum() == 3
    assert not data.labels("train")[:, out].any()
    assert len(data.part("query", False)) == len(data.labels("query")) == 9
    assert set(rivals.measured(data, "lsh", {}, 8)) >= {"outputs/8", "thermometer/8"}
    assert "thermometer, decided/8" not in rivals.measured(data, "lsh", {}, 8)  # nothing to decide for


def with_several_labels(name: str, **settings) -> datasets.Splits:
    """The tiny pictures with two labels each: whether a class is even, and in which third it lies."""
    splits = load_tiny(name, **settings)

    def labeled(part: datasets.Split) -> datasets.Split:
        classes = part.labels.argmax(axis=1)
        several = np.hstack([np.eye(2, dtype=np.uint8)[classes % 2], np.eye(3, dtype=np.uint8)[classes // 4]])
        return replace(part, labels=several)

    parts = {part: labeled(getattr(splits, part)) for part in datasets.PARTS}
    return replace(splits, **parts, class_names=("even", "odd", "low", "middle", "high"), pool=None)


def test_pictures_with_several_labels_have_every_row(tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "load", with_several_labels)
    monkeypatch.setattr(rivals, "inputs_of", pixels)
    methods = ("thesis", "csq", "orthohash", "sdh")
    found = rivals.run(replace(ARGS, methods=methods, lengths=(8,), seeds=(0,), settings=QUICK))
    rows = {(row["method"], row["kind"]): row["map"] for row in found["rows"]}
    assert {(name, kind) for name in methods for kind in rivals.KINDS} <= {*rows}
    assert rows["sdh", "outputs"] > rows["random codes", "reference"]
    assert rows["ceiling", "reference"] > rows["random codes", "reference"]


def test_trials_of_another_run_are_taken_or_refused_by_name(record, tmp_path, data):
    path = tmp_path / "trials.json"
    artifacts.save_json(path, {"trials": record["trials"]})
    settings, _ = rivals.best_settings(replace(ARGS, trials=path), data, ARGS.methods)
    assert settings == record["settings_of_methods"]
    with pytest.raises(ValueError, match="has none of itq"):
        rivals.best_settings(replace(ARGS, trials=path, methods=("itq", "sdh")), data, ("itq", "sdh"))


def test_a_plan_makes_nothing(home, monkeypatch, capsys):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(home / "other"))
    monkeypatch.setattr(datasets, "load", load_tiny)
    rivals.main(replace(ARGS, plan=True))
    assert "missing: " in capsys.readouterr().out
    assert not (home / "other").exists()


def test_the_tiny_pictures_are_as_many_as_the_tests_say():
    assert len(tiny_splits().query) == 30


def test_a_whole_network_knows_itself_how_wide_its_last_layer_is(home, monkeypatch):
    """Channels are no features: DNNH divides those under the last layer, and ITQ has as many as there are pixels."""
    monkeypatch.setenv("HASHLIB_NB_HOME", str(home))
    monkeypatch.setattr(datasets, "load", load_tiny)
    args = replace(ARGS, lengths=(4, 8), settings=Settings(arch="alexnet_small", epochs=1))
    data = Data.of(args, args.setup.splits, rivals.inputs_of(args.setup), 0)
    assert rivals.fits_of(args, "dnnh", data) == [4, 8]
    assert rivals.fits_of(args, "itq", data) == [4, 8]
    longer = replace(args, lengths=(8, 200), settings=ARGS.settings)
    few = replace(data, args=longer, inputs={"train": np.zeros((len(data.rows["train"]), 2, 50), np.float16)})
    assert rivals.fits_of(longer, "itq", few) == [8]


def test_closed_forms_of_more_pixels_than_fit_into_memory_are_left_out_before_any_trial(tmp_path, monkeypatch, capsys):
    """NUS-WIDE for a whole network: 256 x 256 pixels in color are 196,608 features of LSH and no picture's fault."""
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "load", load_tiny)
    monkeypatch.setattr(registry, "MAX_PIXELS", 28 * 28 - 1)
    args = replace(ARGS, methods=("lsh", "sdh"), lengths=(4, 8), settings=Settings(arch="alexnet_small", epochs=1))
    found = rivals.run(args)
    assert {row["method"] for row in found["rows"]} == {*rivals.REFERENCES}
    assert found["trials"] == found["differences"] == []
    said = capsys.readouterr().out
    assert "left out: images have 784 pixels, of which LSH takes at most 783 as features: take an arch with" in said
