"""The results table on a tiny run: 200 pictures, 12-bit codes, encoders of one epoch."""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tyro
from scipy import special

from hashlib_nb import artifacts, codes, datasets, encoder, metrics, ppo, selectors, thermometer
from hashlib_nb.candidates import THESIS, Options
from hashlib_nb.course import lessons as run_course
from hashlib_nb.datasets import Splits, split_by_class
from hashlib_nb.encoder import Settings, image_codes
from hashlib_nb.experiments import result_codes, results
from hashlib_nb.experiments.results import Args
from hashlib_nb.thermometer import ClassCodes

QUICK = Settings(arch="alexnet_small", epochs=12)
ARGS = Args(
    code_length=12, lengths=(4, 12), seeds=(0, 1), total_episodes=32, subsets=3, folds=2, mirrored=True, settings=QUICK
)


@dataclass(frozen=True)
class Made:
    home: Path
    splits: Splits
    rows: list[dict]
    abouts: list[dict]


LOAD = datasets.load


def tiny_splits(seed: int = 0) -> Splits:
    everything = LOAD("fashion-mini").database
    classes = everything.labels.argmax(axis=1)
    rows = np.concatenate([np.flatnonzero(classes == c)[:20] for c in range(10)])
    names = tuple("abcdefghij")
    return split_by_class(
        everything.images[rows], classes[rows], names, query_per_class=3, train_per_class=8, seed=seed, name="tiny"
    )


def load_tiny(name: str, *, root: Path | None = None, seed: int = 0, split: Path | None = None) -> Splits:
    """What takes the place of `datasets.load`."""
    drawn = tiny_splits(seed)
    return drawn if split is None else drawn.pool.split_as_saved(split, artifacts.load_npz(split))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One real run; the tests below read what it returned and wrote."""
    home, splits = tmp_path_factory.mktemp("home"), tiny_splits()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLIB_NB_HOME", str(home))
        patch.setattr(datasets, "load", load_tiny)
        yield Made(home, splits, *results.make_table(ARGS))


def codes_file(made: Made, seed: int = 0) -> dict[str, np.ndarray]:
    return artifacts.load_npz(ARGS.setup(seed).folder / "codes.npz")[0]


def row_of(made: Made, **wanted) -> dict:
    (row,) = [row for row in made.rows if all(row[name] == value for name, value in wanted.items())]
    return row


def test_every_row_is_there_once(made):
    per_length = [("first p", 0), ("direct", 0), ("random codes", 0), ("decided by p bits", 0), ("oracle", 0)]
    per_length += [(f"{word}{row}", 0) for word in ("", "thermometer ", "decided ") for row in ("PPO", "greedy")]
    per_length += [(f"mirrored {word}{row}", 0) for word in ("thermometer ", "decided ") for row in ("PPO", "greedy")]
    per_length += [(f"{word}random", draw) for word in ("", "thermometer ", "decided ") for draw in range(3)]
    expected = {
        (method, bits, seed, draw) for (method, draw), bits, seed in itertools.product(per_length, (4, 12), (0, 1))
    }
    fixed = (("all bits", 12), ("class index", 4), ("ceiling", 0), ("decided ceiling", 0))
    expected |= {(f"{word}{method}", bits, seed, 0) for method, bits in fixed for seed in (0, 1)
                 for word in ("", "mirrored ")}  # fmt: skip
    assert {method for method, *_ in expected} == {*ARGS.methods}
    found = [(row["method"], row["bits"], row["seed"], row["draw"]) for row in made.rows]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_rows_are_probabilities_inside_their_bracket(made):
    for row in made.rows:
        low, high = row["pessimistic"] - 1e-12, row["optimistic"] + 1e-12  # a ceiling has hardly a tie
        assert 0 <= low <= row["map"] <= high <= 1 + 1e-12
        if row["bits"]:
            assert 0 <= row["precision_radius2"] <= 1 - row["empty_ball_rate"]


@pytest.mark.parametrize(("name", "method"), [("ppo", "PPO"), ("greedy", "greedy")])
def test_a_selections_row_is_map_of_the_bits_in_its_artifact(made, name, method):
    arrays = codes_file(made, seed=1)
    path = ARGS.setup(1).selection_path(name, 4, THESIS, total_episodes=32)
    bits = artifacts.load_npz(path)[0]["bits"]
    names = ("query_codes", "database_codes", "query_labels", "database_labels")
    score = metrics.mean_average_precision(*(arrays[name] for name in names), bits=bits)
    row = row_of(made, method=method, bits=4, seed=1)
    assert row["map"] == pytest.approx(score)
    out_of_fold = arrays["out_of_fold_codes"][:, bits]
    labels = (arrays["train_labels"],) * 2
    assert row["reward"] == pytest.approx(
        metrics.mean_average_precision(out_of_fold, out_of_fold, *labels, leave_one_out=True)
    )


@pytest.mark.parametrize(("name", "method"), [("ppo", "decided PPO"), ("greedy", "decided greedy")])
def test_a_decided_row_is_thermometer_bits_of_the_database_and_class_codes_of_the_queries(made, name, method):
    arrays = codes_file(made, seed=1)
    bits = artifacts.load_npz(ARGS.setup(1).selection_path(name, 4, Options(), total_episodes=32))[0]["bits"]
    outputs = bits // len(thermometer.LEVELS)
    database = thermometer.bits(arrays["database_logits"])[:, bits]
    likeliest = (arrays["query_logits"] @ arrays["class_codes"].T).argmax(axis=1)  # whatever beta is
    query = arrays["class_codes"][likeliest][:, outputs]
    score = metrics.mean_average_precision(query, database, arrays["query_labels"], arrays["database_labels"])
    assert row_of(made, method=method, bits=4, seed=1)["map"] == pytest.approx(score)


def test_the_oracle_has_what_greedy_finds_on_the_test_pictures(made):
    arrays, pool = codes_file(made), ARGS.setup(0).candidates()
    queries, database = pool.decided_codes, pool.database_codes
    best = max(
        metrics.mean_average_precision(queries, database, arrays["query_labels"], arrays["database_labels"], bits=[bit])
        for bit in (pool.ids if pool.ids is not None else range(pool.k))
    )
    assert pool.test_map(result_codes.oracle(pool, 1).bits) == pytest.approx(best)


def test_ceilings_rank_by_the_posteriors(made):
    arrays = codes_file(made)
    scores = (arrays[f"{part}_logits"].astype(float) @ arrays["class_codes"].T for part in ("query", "database"))
    p, d = (special.softmax(arrays["beta"] * each, axis=1) for each in scores)
    relevant = (arrays["query_labels"].astype(int) @ arrays["database_labels"].T) > 0
    for method, side in {"ceiling": p, "decided ceiling": np.eye(10)[p.argmax(axis=1)]}.items():
        order = (-(side @ d.T)).argsort(axis=1)  # no two of them tie
        hits = np.take_along_axis(relevant, order, axis=1)
        precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
        expected = ((precision * hits).sum(axis=1) / hits.sum(axis=1)).mean()
        assert row_of(made, method=method, seed=0)["map"] == pytest.approx(expected)


def mirrored_arrays(made: Made, seed: int = 0) -> dict[str, np.ndarray]:
    """Codes of logits averaged over pictures and their mirror images, from the encoder itself."""
    fitted, arrays = ARGS.setup(seed).encoder(), dict(codes_file(made, seed))
    for part in ("query", "database"):
        images = getattr(made.splits, part).images
        arrays[f"{part}_logits"] = (fitted.logits(images) + fitted.logits(images[:, :, ::-1])) / 2
        arrays[f"{part}_codes"] = (arrays[f"{part}_logits"] >= 0).astype(np.uint8)
    return arrays


@pytest.mark.parametrize(("name", "row"), [("ppo", "PPO"), ("greedy", "greedy")])
@pytest.mark.parametrize("decided", [False, True])
def test_mirrored_rows_are_the_same_bits_of_logits_averaged_over_mirror_images(made, name, row, decided):
    arrays, options = mirrored_arrays(made, seed=1), Options(decided=decided)
    bits = artifacts.load_npz(ARGS.setup(1).selection_path(name, 4, options, total_episodes=32))[0]["bits"]
    query, database = (thermometer.bits(arrays[f"{part}_logits"])[:, bits] for part in ("query", "database"))
    if decided:
        likeliest = (arrays["query_logits"] @ arrays["class_codes"].T).argmax(axis=1)
        query = arrays["class_codes"][likeliest][:, bits // len(thermometer.LEVELS)]
    score = metrics.mean_average_precision(query, database, arrays["query_labels"], arrays["database_labels"])
    method = f"mirrored {'decided' if decided else 'thermometer'} {row}"
    assert row_of(made, method=method, bits=4, seed=1)["map"] == pytest.approx(score, abs=2e-3)  # sums round otherwise
    assert (
        row_of(made, method=method, bits=4, seed=1)["reward"]
        == row_of(made, method=method.removeprefix("mirrored "), bits=4, seed=1)["reward"]
    )


def test_mirrored_rows_without_a_choice_are_those_of_the_mirrored_logits(made):
    arrays = mirrored_arrays(made)
    sides = {part: arrays[f"{part}_codes"] for part in ("query", "database")}
    codes = replace(ARGS.setup(0).codes(), **sides, arrays=arrays)
    rows = [results.measure(code, made.splits) for code in results.codes_of_fixed_length(codes)]
    for row in [*rows, *results.ceilings(codes, made.splits)]:
        found = row_of(made, method=f"mirrored {row['method']}", seed=0)
        assert found["map"] == pytest.approx(row["map"], abs=2e-3)
        assert found["bits"] == row["bits"]


def test_accuracy_is_the_share_of_queries_whose_likeliest_class_is_theirs(made):
    for arrays, name in ((codes_file(made, seed=1), "accuracy"), (mirrored_arrays(made, seed=1), "mirrored_accuracy")):
        likeliest = (arrays["query_logits"] @ arrays["class_codes"].T).argmax(axis=1)
        right = arrays["class_labels"][likeliest].argmax(axis=1) == arrays["query_labels"].argmax(axis=1)
        assert made.abouts[1][name] == pytest.approx(right.mean(), abs=1 / 30 if name != "accuracy" else 1e-12)


def test_of_several_labels_the_overlap_is_told():
    """Decided {a, b}, right {b, c}: one of three labels; and {a} of {a}."""
    sets = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1]], np.uint8)
    classes = thermometer.ClassCodes(np.eye(3, dtype=np.uint8), sets)
    arrays = {"query_logits": 9 * np.eye(3, dtype=np.float32)[:2], **classes.arrays()}
    none = np.zeros((2, 3), np.uint8)
    codes = encoder.ImageCodes(none, none, none, none, none, np.zeros(2, int), {}, arrays)
    right = datasets.Split(np.zeros((2, 4, 4, 1), np.uint8), np.array([[0, 1, 1], [1, 0, 0]], np.uint8))
    splits = Splits(right, right, right, ("a", "b", "c"), {})
    assert results.accuracy(codes, splits) == {"label_overlap": pytest.approx((1 / 3 + 1) / 2)}


def test_cpu_hours_are_those_of_the_codes_file(made):
    for about in made.abouts:
        assert about["cpu_hours"] == float(codes_file(made, about["seed"])["cpu_seconds"]) / 3600


class CutOffError(Exception):
    """What stands for a killed process."""


def cut_off_after_the_first_seed(args: Args, monkeypatch) -> None:
    describe = results.describe

    def stop(args, setup):
        if setup.seed == args.seeds[1]:
            raise CutOffError
        return describe(args, setup)

    with monkeypatch.context() as patch:
        patch.setattr(results, "describe", stop)
        with pytest.raises(CutOffError):
            results.make_table(args)


def measured_seeds(args: Args, monkeypatch) -> tuple[list[int], tuple]:
    """Which seeds a run measures, and what it returns."""
    measured, measure = [], results.measure_experiment
    with monkeypatch.context() as patch:
        spy = lambda args, setup: measured.append(setup.seed) or measure(args, setup)  # noqa: E731
        patch.setattr(results, "measure_experiment", spy)
        return measured, results.make_table(args)


def test_a_run_that_was_cut_off_goes_on_with_the_seeds_that_are_missing(made, monkeypatch, tmp_path, capsys):
    args = replace(ARGS, out=tmp_path / "table.json")
    cut_off_after_the_first_seed(args, monkeypatch)
    record = artifacts.load_json(args.out)
    assert record["rows"] == [row for row in made.rows if row["seed"] == 0]
    assert record["experiments"] == made.abouts[:1]
    measured, found = measured_seeds(args, monkeypatch)
    assert measured == [1]
    assert found == (made.rows, made.abouts)
    assert artifacts.load_json(args.out)["rows"] == made.rows
    assert "seed 0: loaded from" in capsys.readouterr().out
    assert measured_seeds(args, monkeypatch)[0] == [0, 1]  # a whole table is measured anew


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda record: record["args"].update(subsets=4), r"made with other settings \(subsets=4, now 3\)"),
        (lambda record: record["args"].update(epochs=11), r"made with other settings \(epochs=11, now 12\)"),
        (lambda record: record["experiments"][0].update(data="0" * 12), "has it of other data; it is measured anew"),
        (lambda record: record.update(experiments=[None]), "cannot be used"),
        (lambda record: record.pop("rows"), "cannot be used"),
    ],
)
def test_seeds_of_another_table_are_measured_anew(made, monkeypatch, tmp_path, capsys, change, sentence):
    args = replace(ARGS, out=tmp_path / "table.json")
    results.save(args, made.rows[: len(made.rows) // 2], made.abouts[:1])
    record = artifacts.load_json(args.out)
    change(record)
    artifacts.save_json(args.out, record)
    assert results.finished(args) == []
    assert re.search(sentence, capsys.readouterr().out)


def test_where_the_files_lie_is_no_other_setting(made, tmp_path):
    args = replace(ARGS, out=tmp_path / "table.json")
    results.save(args, made.rows[: len(made.rows) // 2], made.abouts[:1], shown=replace(args, root=Path("DATA")))
    assert artifacts.load_json(args.out)["args"]["root"] == "DATA"
    ((about, rows),) = results.finished(replace(args, workers=2))
    assert about == made.abouts[0]
    assert rows == [row for row in made.rows if row["seed"] == 0]


def test_a_table_over_splits_has_rows_of_each_and_their_spread(made, tmp_path):
    args = replace(ARGS, seeds=(0,), splits=(0, 1), lengths=(4,), direct=False, thermometer=False, mirrored=False,
                   out=tmp_path / "table.json")  # fmt: skip
    rows, abouts = results.make_table(args)
    assert [(about["split"], about["seed"]) for about in abouts] == [(0, 0), (1, 0)]
    drawn = tiny_splits(1)
    assert [about["data"] for about in abouts] == [results.data_digest(each) for each in (made.splits, drawn)]
    assert abouts[0]["data"] != abouts[1]["data"]
    codes = args.setup(0, split=1).codes()
    score = metrics.mean_average_precision(codes.query, codes.database, drawn.query.labels, drawn.database.labels)
    whole = [row["map"] for row in rows if row["method"] == "all bits"]
    assert whole == pytest.approx([row_of(made, method="all bits", seed=0)["map"], score])
    (line,) = [line for line in results.summarize(rows).to_dict("records") if line["method"] == "all bits"]
    assert line["map"] == pytest.approx(np.mean(whole))
    assert line["map_sd"] == pytest.approx(np.std(whole, ddof=1))
    assert "over splits 0, 1 and seed 0" in results.markdown(args, rows, abouts)


@pytest.mark.slow
@pytest.mark.usefixtures("without_dask")
def test_workers_find_what_one_process_finds(tmp_path, monkeypatch):
    settings = replace(QUICK, epochs=2)
    args = replace(ARGS, seeds=(0,), lengths=(4,), direct=False, folds=2, subsets=1, settings=settings)
    found = []
    for workers in (1, 2):
        (tmp_path / str(workers)).mkdir()
        monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path / str(workers)))
        found.append(results.make_rows(replace(args, workers=workers)))
    assert found[0] == found[1]


def test_without_thermometer_the_thesis_rows_are_left(made):
    rows = [row for row in made.rows if row["method"] in replace(ARGS, thermometer=False).methods]
    table = results.markdown(replace(ARGS, thermometer=False), rows)
    assert {"mirrored all bits", "mirrored class index"} < {*replace(ARGS, thermometer=False).methods}
    assert "thermometer" not in table
    assert "decided" not in table
    assert "ceiling" not in table


def test_cut_off_is_that_of_map(made):
    arrays = codes_file(made)
    codes = arrays["query_codes"], arrays["database_codes"]
    cut = results.measure(results.Code("all bits", *codes), made.splits, top_n=5)
    labels = made.splits.query.labels, made.splits.database.labels
    assert cut["map"] == metrics.mean_average_precision(*codes, *labels, top_n=5)
    assert cut["map"] != row_of(made, method="all bits", seed=0)["map"]


def test_with_all_bits_kept_every_selection_is_the_whole_code(made):
    whole = row_of(made, method="all bits", seed=0)
    for method in ("PPO", "greedy", "random", "first p", "direct"):
        for row in (row for row in made.rows if (row["method"], row["bits"], row["seed"]) == (method, 12, 0)):
            assert {name: row[name] for name in results.MEASURES} == {name: whole[name] for name in results.MEASURES}


def test_a_label_head_answers_for_every_length_without_another_fit(monkeypatch, tmp_path):
    """The direct row asks the same label outputs what p target codes ask, whatever k is; views pay for choices."""
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "load", load_tiny)
    recipe = replace(encoder.SMALL, outputs="labels", views=True)
    args = replace(ARGS, seeds=(0,), folds=None, settings=Settings(arch="alexnet_small", epochs=20, recipe=recipe))
    planned = sum(1 + setup.folds for setup in results.planned(args).missing)
    fits, fit = [], image_codes.fit
    monkeypatch.setattr(image_codes, "fit", lambda *given, **how: (fits.append(1), fit(*given, **how))[1])
    rows, _ = results.make_table(args)
    assert len(fits) == planned == 1
    assert {row["method"] for row in rows} == {*args.methods}

    setup = args.setup(0)
    made = setup.codes()
    sides = ClassCodes.of(results.direct_setup(setup, 4).targets(), made.arrays["train_labels"]).codes
    query, database = result_codes.direct_codes(setup, 4)
    np.testing.assert_array_equal(query, made.posteriors("query") @ sides > made.posteriors("query") @ (1 - sides))
    assert query.shape[1] == database.shape[1] == 4
    found = row_of(Made(tmp_path, None, rows, []), method="direct", bits=4)
    labels = made.arrays["query_labels"], made.arrays["database_labels"]
    assert found["map"] == metrics.mean_average_precision(query, database, *labels)


def expected_ap_by_rank(distance: np.ndarray, relevant: np.ndarray) -> float:
    """E[AP] item by item: each relevant item may stand at any rank of its level, the others of the level around it."""
    total = 0.0
    for d in distance[relevant]:
        nearer, tied = distance < d, distance == d
        others = (relevant & tied).sum() - 1
        ranks = np.arange(tied.sum())
        before = (relevant & nearer).sum() + others * ranks / max(1, tied.sum() - 1)
        total += np.mean((1 + before) / (nearer.sum() + ranks + 1))
    return total / relevant.sum()


def test_class_index_is_map_of_the_predicted_classes_written_in_binary(made):
    arrays = codes_file(made)
    target = {label: arrays["targets"][arrays["train_labels"][:, label] == 1][0] for label in range(10)}

    def binary(codes: np.ndarray) -> np.ndarray:
        nearest = [min(range(10), key=lambda label: (code != target[label]).sum()) for code in codes]
        return np.array([[int(digit) for digit in f"{label:04b}"] for label in nearest])

    query, database = binary(arrays["query_codes"]), binary(arrays["database_codes"])
    relevant = (arrays["query_labels"].astype(int) @ arrays["database_labels"].T) > 0
    scores = [expected_ap_by_rank((database != q).sum(axis=1), hits) for q, hits in zip(query, relevant, strict=True)]
    assert row_of(made, method="class index", seed=0)["map"] == pytest.approx(np.mean(scores))


def test_summary_averages_draws_then_seeds():
    row = dict.fromkeys(results.MEASURES, 0.5) | {"method": "random", "bits": 4, "reward": None, "calls": None}
    values = {0: (0.1, 0.3), 1: (0.4, 0.8)}
    rows = [row | {"seed": s, "draw": d, "map": value} for s, pair in values.items() for d, value in enumerate(pair)]
    (line,) = results.summarize(rows).to_dict("records")
    assert line["seeds"] == 2
    assert line["map"] == pytest.approx(0.4)
    assert line["map_sd"] == pytest.approx(0.4 / np.sqrt(2))  # of 0.2 and 0.6
    assert line["map_draw_sd"] == pytest.approx((0.2 + 0.4) / 2 / np.sqrt(2))
    assert np.isnan(line["reward"])


def cells_of(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("| ") and "---" not in line]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


def test_json_and_markdown_say_the_same(made):
    record = artifacts.load_json(made.home / "runs" / "results.json")
    assert record["rows"] == made.rows
    assert record["experiments"] == made.abouts
    assert {"cpu", "threads", "commit", "versions"} < {*record}
    summary = {(line["method"], line["bits"]): line for line in record["summary"]}
    rows = cells_of((made.home / "runs" / "results.md").read_text(encoding="utf-8"))
    detail = {(row[0], int(row[1])): row for row in rows if len(row) == 6 and row[0] != "method"}
    assert set(detail) == {key for key in summary if not results.without_code(key[0])}
    for key, (_, _, score, bracket, ball, empty) in detail.items():
        line = summary[key]
        shown = [*score.split(" ± "), *bracket.split(" to "), *ball.split(" ± ")]
        names = ("map", "map_sd", "pessimistic", "optimistic", "precision_radius2", "precision_radius2_sd")
        assert [float(value) for value in shown] == pytest.approx([line[name] for name in names], abs=6e-4)
        assert float(empty.rstrip("%")) == pytest.approx(100 * line["empty_ball_rate"], abs=0.06)


def test_the_table_by_length_repeats_the_details(made):
    rows = cells_of((made.home / "runs" / "results.md").read_text(encoding="utf-8"))
    by_length = {row[0]: row[1:] for row in rows if len(row) == 3}
    detail = {(row[0], row[1]): row[2] for row in rows if len(row) == 6}
    assert by_length["method"] == ["4 bits", "12 bits"]
    for method in (*results.SELECTED, "random codes"):
        assert by_length[method] == [detail[method, "4"], detail[method, "12"]]
    for method in results.CEILINGS:
        scores = [row["map"] for row in made.rows if row["method"] == method]
        assert by_length[f"{method} (no code)"] == [results.plus_minus(np.mean(scores), np.std(scores, ddof=1))] * 2
    assert by_length["all bits (12 bits)"] == [detail["all bits", "12"]] * 2
    assert by_length["class index (4 bits)"] == [detail["class index", "4"]] * 2
    assert by_length["its spread over 3 subsets"][1] == "± 0.000"


def test_the_caption_says_what_was_measured(made):
    caption = (made.home / "runs" / "results.md").read_text(encoding="utf-8").splitlines()[0]
    assert "30 queries (0 without a relevant picture left out), 90 database pictures" in caption
    assert "training pictures not among them. mAP over the whole database" in caption
    assert "seeds 0, 1. Bits are kept of 12. Accuracy of the decided class 0." in caption
    assert caption.endswith("CPU hours each for fitting and encoding.")
    assert "ccuracy" not in results.markdown(ARGS, made.rows)
    assert "mAP over the first 7 items" in results.markdown(replace(ARGS, top_n=7), made.rows)


def test_one_seed_has_no_deviation(made):
    rows = [row for row in made.rows if row["seed"] == 0]
    assert "±" not in "".join(
        row[2] for row in cells_of(results.markdown(replace(ARGS, seeds=(0,)), rows)) if len(row) == 6
    )


def test_a_second_run_loads_everything_and_finds_the_same(made, monkeypatch):
    def no_work(*args, **kwargs):
        raise AssertionError("this was made before")

    for module, name in ((encoder, "fit"), (ppo, "train"), (selectors, "select")):
        monkeypatch.setattr(module, name, no_work)
    assert results.make_rows(ARGS) == made.rows


def test_direct_encoders_leave_the_folder_of_stage_2_alone(made):
    direct = ARGS.setup(0, 4).folder
    assert direct == artifacts.folder("fashion-mini", 4, 0, "alexnet_small-e12-direct")
    assert (direct / "codes.npz").exists()
    assert not artifacts.folder("fashion-mini", 4, 0, "alexnet_small-e12-f2").exists()


def test_the_command_in_the_json_has_the_same_arguments(made):
    words = shlex.split(artifacts.load_json(made.home / "runs" / "results.json")["command"])
    assert words[:4] == ["python", "-m", "hashlib_nb", "results"]
    assert tyro.cli(Args, args=words[4:]) == ARGS


def test_from_the_shell_it_prints_what_it_writes(made, capsys, tmp_path):
    args = replace(ARGS, seeds=(1,), out=tmp_path / "table.json")
    results.main(args)
    written = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert written in capsys.readouterr().out
    assert pd.DataFrame(artifacts.load_json(args.out)["rows"])["seed"].unique().tolist() == [1]


def test_a_table_that_cannot_be_kept_is_printed_all_the_same(made, capsys, monkeypatch):
    monkeypatch.setattr(artifacts, "or_dropped", lambda path: None)
    results.main(replace(ARGS, out=None))
    assert results.markdown(replace(ARGS, out=None), made.rows, made.abouts) in capsys.readouterr().out


def test_a_full_disk_ends_no_table_that_nobody_named(made, capsys, monkeypatch, tmp_path):
    def full(*args, **kwargs):
        raise artifacts.WriteError("the disk is full")

    monkeypatch.setattr(results, "save", full)
    assert results.make_table(replace(ARGS, out=None)) == (made.rows, made.abouts)
    assert "left out: the disk is full" in capsys.readouterr().out
    with pytest.raises(artifacts.WriteError):
        results.make_table(replace(ARGS, out=tmp_path / "table.json"))


@pytest.mark.parametrize("name", ["mine.json", "mine.md"])
def test_files_of_somebodys_are_no_place_for_a_table(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("mine")
    monkeypatch.setattr(results, "run", lambda *_: pytest.fail("began to work"))
    with pytest.raises(ValueError, match=f"{name} is there and was not written by this command"):
        results.main(replace(ARGS, out=tmp_path / "mine.json"))
    assert (tmp_path / name).read_text() == "mine"


def test_the_course_prints_the_file_that_is_written_here(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    assert Args().path.with_suffix(".md") == tmp_path / run_course.RESULTS


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"lengths": ()}, r"lengths is \[\]; give"),
        ({"lengths": (16, 16)}, r"lengths is \[16, 16\]; give different"),
        ({"lengths": (0, 16)}, "lengths .* at least 1"),
        ({"lengths": (16, 65)}, "lengths has 65, but code_length is 64"),
        ({"seeds": (-1,)}, "seeds is -1; give"),
        ({"subsets": 0}, r"subsets is 0; give a whole number in 1\.\.10000"),
        ({"top_n": 0}, "top_n is 0; give a whole number of at least 1"),
        ({"subsets": 10**9}, r"subsets is 1000000000; give a whole number in 1\.\.10000"),
        ({"lengths": (1.5,)}, r"lengths is 1\.5; give a whole number"),
        ({"seeds": (0, -1)}, r"seeds is -1; give a whole number from 0 to 2\^64 - 1"),
        ({"code_length": None}, "code_length is None; give a whole number"),
        ({"splits": (0, 0)}, r"splits is \[0, 0\]; give different"),
        ({"folds": -1}, "folds is -1; give a whole number of at least 0"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        Args(**wrong)
    assert "\n" not in str(caught.value)


def test_unknown_reward_codes_are_named(made):
    with pytest.raises(ValueError, match="reward_codes must be one of crossfit"):
        results.make_rows(replace(ARGS, lengths=(5,), reward_codes="guess"))


def test_literal_targets_have_folders_of_their_own(made):
    repaired = codes_file(made)
    literal = replace(ARGS, literal=True).setup(0).codes()
    labels = made.splits.train.labels
    assert np.array_equal(literal.targets, codes.infer_codes(labels, 12, **codes.LITERAL).codes)
    assert len(np.unique(literal.targets, axis=0)) > 10
    assert len(np.unique(repaired["targets"], axis=0)) == 10
    assert np.array_equal(codes_file(made)["query_codes"], repaired["query_codes"])


def test_stored_rows_are_of_the_method_lengths_and_seeds_that_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    with_the_clone = results.stored_rows(Args(), "direct")
    assert {row["bits"] for row in with_the_clone} == {*Args().lengths}
    asked = itertools.product(("direct", "PPO"), (8, 48), (0, 7))
    rows = [{"method": method, "bits": bits, "seed": seed} for method, bits, seed in asked]
    artifacts.save_json(tmp_path / "results" / "fashion-mini.json", {"rows": rows})
    assert results.stored_rows(Args(), "direct") == rows[:1]
    assert results.stored_rows(Args(seeds=(7, 0)), "direct") == rows[:2]
    assert results.stored_rows(Args(dataset="folder"), "direct") == []


def test_reference_codes_are_of_some_tables_and_the_row_direct_is_always_fitted():
    args = Args(codes="reference", lengths=(8, 64))
    assert [args.setup(seed).source for seed in args.seeds] == ["reference"] * 3
    assert results.direct_setup(args.setup(0), 8).source == args.setup(0, 8).source == "own"
    with pytest.raises(ValueError, match="seed is 5, but reference codes are of fashion-mini"):
        Args(codes="reference", seeds=(0, 5))
    with pytest.raises(ValueError, match="target_codes is 'literal', but reference codes"):
        Args(codes="reference", literal=True)
