"""Classes that nobody trained on: who is fitted to, who is searched, how vectors rank, and a tiny real run."""

from __future__ import annotations

import itertools
import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tyro
from sklearn.metrics import average_precision_score

from hashlib_nb import artifacts, baselines, datasets, encoder, metrics, thermometer
from hashlib_nb.datasets import PARTS, Split, Splits, split_by_class
from hashlib_nb.encoder import Head, Settings
from hashlib_nb.encoder.recipes import FROZEN
from hashlib_nb.experiments import provenance, unseen
from hashlib_nb.experiments.unseen import Args
from tests.helpers import ROOT, assert_same, refusal

SETTINGS = Settings(arch="alexnet_small", epochs=12)
ARGS = Args(code_length=12, lengths=(4, 12), seeds=(0, 1), total_episodes=32, subsets=3, settings=SETTINGS)
SIZES = {"query": 40, "train": 60, "database": 80}
NAMES = tuple("abcdefgh")


def drawn(seed: int, single_label: bool = False, m: int = 8) -> Splits:
    """Pictures whose pixels are their numbers, with one label each or with one to three."""
    rng = np.random.default_rng(seed)
    parts = {}
    for number, (part, n) in enumerate(SIZES.items()):
        labels = np.eye(m, dtype=np.uint8)[rng.integers(0, m, n)]
        if not single_label:
            labels |= rng.random((n, m)) < 0.15
        rows = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1)
        images = np.concatenate([rows, np.full_like(rows, number)], axis=2)
        parts[part] = Split(images, labels, tuple(f"{part}/{row}.png" for row in range(n)))
    return Splits(**parts, class_names=NAMES[:m], info={"training_in_database": False, "sizes": SIZES})


def tiny_splits() -> Splits:
    everything = datasets.load("fashion-mini").database
    classes = everything.labels.argmax(axis=1)
    rows = np.concatenate([np.flatnonzero(classes == c)[:24] for c in range(10)])
    images = everything.images[rows]
    counts = {"query_per_class": 3, "train_per_class": 9, "seed": 0, "name": "tiny"}
    return split_by_class(images, classes[rows], tuple("abcdefghij"), **counts)


@dataclass(frozen=True)
class Made:
    home: Path
    splits: Splits
    rows: list[dict]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One real run; the tests below read what it wrote."""
    home, splits = tmp_path_factory.mktemp("home"), tiny_splits()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLIB_NB_HOME", str(home))
        with patch.context() as loading:
            loading.setattr(datasets, "load", lambda name, *, root=None: splits)
            unseen.main(ARGS)
        yield Made(home, splits, artifacts.load_json(home / "runs" / "unseen.json")["rows"])


def draw_of(made: Made, seed: int) -> unseen.Draw:
    return unseen.Draw(ARGS.setup(seed), made.splits, unseen.drawn_classes(10, 3, seed))


def row_of(made: Made, **wanted) -> dict:
    (row,) = [row for row in made.rows if all(row[name] == value for name, value in wanted.items())]
    return row


# --- who is fitted to, and who is searched ----------------------------------------------------------------------------


@pytest.mark.parametrize(("seed", "single_label"), [*itertools.product(range(5), (True, False))])
def test_no_training_picture_has_an_unseen_label_and_every_query_and_database_picture_has_one(seed, single_label):
    whole = drawn(seed, single_label)
    classes = unseen.drawn_classes(8, 3, seed)
    others = [column for column in range(8) if column not in classes]
    there = unseen.unseen_splits(whole, classes)
    assert not there.train.labels[:, classes].any()
    for part in ("query", "database"):
        labels = getattr(there, part).labels
        assert labels[:, classes].any(axis=1).all()
        assert not labels[:, others].any()
    assert there.class_names == whole.class_names


@pytest.mark.parametrize(("seed", "seen"), [*itertools.product(range(5), (True, False))])
def test_each_picture_is_kept_whole_with_its_name_and_the_labels_that_count(seed, seen):
    whole, classes = drawn(seed), unseen.drawn_classes(8, 3, seed)
    there, rows = unseen.unseen_splits(whole, classes, seen=seen), unseen.kept_rows(whole, classes, seen=seen)
    counting = np.isin(np.arange(8), classes) != seen
    for part in PARTS:
        before, after = getattr(whole, part), getattr(there, part)
        np.testing.assert_array_equal(after.images[:, 0, 0, 0], rows[part])  # a picture's pixel is its row
        assert after.names == tuple(before.names[row] for row in rows[part])
        expected = before.labels[rows[part]]
        np.testing.assert_array_equal(after.labels, expected if part == "train" else expected * counting)
        assert there.info["sizes"][part] == len(after)


@pytest.mark.parametrize("seed", range(5))
def test_both_sides_are_all_query_and_database_pictures_and_fit_to_the_same(seed):
    whole, classes = drawn(seed), unseen.drawn_classes(8, 3, seed)
    sides = [unseen.kept_rows(whole, classes, seen=seen) for seen in (False, True)]
    for part in ("query", "database"):
        np.testing.assert_array_equal(np.sort(np.concatenate([side[part] for side in sides])), np.arange(SIZES[part]))
    np.testing.assert_array_equal(sides[0]["train"], sides[1]["train"])


def test_what_was_restricted_is_of_no_pool_that_a_split_could_be_saved_of():
    there = unseen.unseen_splits(tiny_splits(), [1, 4])
    with pytest.raises(ValueError, match="have no pool"):
        there.save_split("split.npz")


def test_training_pictures_in_the_database_are_among_the_seen_alone():
    whole = replace(drawn(0), info={"training_in_database": True, "sizes": SIZES})
    found = [unseen.unseen_splits(whole, [2], seen=seen).info["training_in_database"] for seen in (False, True)]
    assert found == [False, True]


@pytest.mark.parametrize(("n_classes", "n_unseen"), [(10, 3), (17, 6), (3, 1), (10, 8)])
def test_a_seed_draws_so_many_different_classes_and_every_class_is_drawn_by_some(n_classes, n_unseen):
    draws = [unseen.drawn_classes(n_classes, n_unseen, seed) for seed in range(80)]
    for seed, classes in enumerate(draws):
        assert len({*classes}) == n_unseen
        np.testing.assert_array_equal(classes, unseen.drawn_classes(n_classes, n_unseen, seed))
        np.testing.assert_array_equal(classes, np.sort(classes))
    assert {*np.concatenate(draws)} == {*range(n_classes)}


@pytest.mark.parametrize(
    ("n_classes", "n_unseen", "sentence"),
    [
        (10, 9, r"^n_unseen is 9; give a whole number in 1\.\.8 \(of 10 classes at least 2 stay\)"),
        (10, 30, r"^n_unseen is 30; "),
        (10, 0, r"^n_unseen is 0; "),
        (2, 1, r"^n_classes is 2; give a whole number of at least 3"),
    ],
)
def test_what_leaves_fewer_than_two_classes_is_no_draw(n_classes, n_unseen, sentence):
    with pytest.raises(ValueError, match=sentence):
        unseen.drawn_classes(n_classes, n_unseen, 0)


def one_label_each(labels: dict[str, list[int]]) -> Splits:
    parts = {part: Split(np.zeros((len(of), 1, 1, 1), np.uint8), np.eye(3, dtype=np.uint8)[of]) for part, of in
             labels.items()}  # fmt: skip
    return Splits(**parts, class_names=("cat", "dog", "hat"), info={"training_in_database": False, "sizes": {}})


@pytest.mark.parametrize(
    ("labels", "seen", "sentence"),
    [
        ({"train": [0, 0]}, False, "without cat there are 0 training pictures, which show no two"),
        ({"train": [1, 1, 0]}, False, "without cat there are 2 training pictures, which show no two"),
        ({"query": [1, 2]}, False, "with cat left out there are 0 query and 1 database pictures of the same classes"),
        ({"query": [0, 0]}, True, "with cat left out there are 0 query and 2 database pictures of the other classes"),
        (
            {"query": [0, 1], "database": [0, 2]},
            True,
            "with cat left out there are 1 query and 1 database pictures of the other",
        ),
    ],
)
def test_a_draw_with_too_few_pictures_is_refused(labels, seen, sentence):
    whole = one_label_each(dict.fromkeys(PARTS, [0, 1, 2]) | labels)
    with pytest.raises(ValueError, match=f"^n_unseen: {sentence}") as caught:
        unseen.unseen_splits(whole, [0], seen=seen)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("classes", [[], [3], [-1], [1, 1], [0.5], "cat"])
def test_columns_that_are_not_there_are_refused(classes):
    with pytest.raises(ValueError, match="^classes "):
        unseen.unseen_splits(one_label_each(dict.fromkeys(PARTS, [0, 1, 2])), classes)


# --- ranking by vectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [3, 12, 50])
def test_the_cosine_of_signs_ranks_as_the_hamming_distance_of_their_bits_ties_and_all(k):
    rng = np.random.default_rng(k)
    bits = [rng.integers(0, 2, (n, k), dtype=np.uint8) for n in (9, 70)]
    labels = [rng.integers(0, 2, (n, 5), dtype=np.uint8) for n in (9, 70)]
    found = unseen.cosine_precision(*(2.0 * each - 1 for each in bits), *labels)
    np.testing.assert_allclose(found, metrics.average_precision(*bits, *labels))


def test_without_ties_it_is_scikit_learns_average_precision():
    rng = np.random.default_rng(0)
    query, database = rng.normal(size=(6, 7)), rng.normal(size=(50, 7))
    labels = [np.eye(4, dtype=np.uint8)[rng.integers(0, 4, n)] for n in (6, 50)]
    cosine = (query / np.linalg.norm(query, axis=1)[:, None]) @ (database / np.linalg.norm(database, axis=1)[:, None]).T
    relevant = labels[0] @ labels[1].T
    expected = [average_precision_score(hits, scores) for hits, scores in zip(relevant, cosine, strict=True)]
    np.testing.assert_allclose(unseen.cosine_precision(query, database, *labels), expected)


def test_equal_vectors_tie_at_the_mean_over_their_orders():
    database = np.array([[1.0, 0.1], [0.3, 0.4], [0.3, 0.4], [0.3, 0.4], [-1.0, 0.0]])
    relevant = np.array([0, 1, 0, 1, 1])
    precisions = []
    for order in itertools.permutations([1, 2, 3]):
        hits = relevant[[0, *order, 4]]
        precisions.append((np.cumsum(hits) / np.arange(1, 6) * hits).sum() / 3)
    found = unseen.cosine_precision([[1.0, 0.0]], database, [[1]], relevant[:, None])
    assert found[0] == pytest.approx(np.mean(precisions))


def test_lengths_of_vectors_and_the_order_of_the_database_change_nothing():
    rng = np.random.default_rng(1)
    query, database = rng.normal(size=(4, 3)), rng.integers(-2, 3, (60, 3)).astype(float)
    labels = [rng.integers(0, 2, (n, 3)) for n in (4, 60)]
    usual = unseen.cosine_precision(query, database, *labels)
    order = rng.permutation(60)
    np.testing.assert_allclose(unseen.cosine_precision(query, database[order], labels[0], labels[1][order]), usual)
    np.testing.assert_allclose(unseen.cosine_precision(8 * query, 4 * database, *labels), usual)  # exact in binary


def test_a_query_without_a_relevant_picture_has_no_precision_and_a_black_picture_no_cosine():
    found = unseen.cosine_precision(np.ones((2, 2)), [[0.0, 0.0], [1, 0], [-1, -1]], [[1], [0]], [[1], [0], [0]])
    np.testing.assert_array_equal(found, [1 / 2, np.nan])


def test_class_numbers_are_labels_as_well():
    rng = np.random.default_rng(2)
    vectors, classes = [rng.normal(size=(n, 3)) for n in (5, 30)], [rng.integers(0, 4, n) for n in (5, 30)]
    one_hot = [np.eye(4, dtype=np.uint8)[each] for each in classes]
    assert_same(unseen.cosine_precision(*vectors, *classes), unseen.cosine_precision(*vectors, *one_hot))


@pytest.mark.parametrize(
    ("query", "database", "labels", "sentence"),
    [
        (3, 5, (5, 1), "^query and database differ in the length"),
        (3, 3, (5, 2), "^query and database differ in the length"),
        (3, 3, (4, 1), "^database_labels has 4 rows for 5 vectors of database"),
    ],
)
def test_vectors_and_labels_that_do_not_fit_are_refused(query, database, labels, sentence):
    shapes = (2, query), (5, database), (2, 1), labels
    with pytest.raises(ValueError, match=sentence):
        unseen.cosine_precision(*(np.ones(shape, np.uint8) for shape in shapes))


def test_hyperplanes_in_the_space_of_pixels_are_those_of_the_baseline():
    splits = tiny_splits()
    pixels = {part: getattr(splits, part).images.reshape(len(getattr(splits, part)), -1) / np.float32(255) for part in
              PARTS}  # fmt: skip
    lsh = baselines.fit("lsh", pixels["train"], splits.train.labels, 9, seed=5)
    assert_same({part: lsh.encode(pixels[part]) for part in PARTS}, {
        part: baselines.hyperplanes(splits, 9, seed=5)[part] for part in PARTS
    })  # fmt: skip


# --- a real run -------------------------------------------------------------------------------------------------------


def test_every_row_is_there_once_for_each_draw(made):
    fixed = {("all bits", 12, 0), ("cosine of pixels", 0, 0), ("cosine of logits", 0, 0)}
    expected = {(f"{method}", 4, 0) for method in ("PPO", "greedy")} | {("random", 4, draw) for draw in range(3)}
    for bits in (4, 12):
        expected |= {(f"thermometer {method}", bits, 0) for method in ("PPO", "greedy")}
        expected |= {("thermometer random", bits, draw) for draw in range(3)}
        expected |= {(method, bits, 0) for method in ("random codes", "LSH of pixels")}
    for seed in (0, 1):
        found = [(row["method"], row["bits"], row["draw"]) for row in made.rows if row["seed"] == seed]
        graded = [row for row in found if row[0] == "thermometer all bits"]
        assert len(graded) == 1
        assert len(found) == len({*found})
        assert {*found} - {*graded} == fixed | expected


@pytest.mark.parametrize("seed", [0, 1])
def test_the_encoder_was_fitted_to_pictures_of_the_other_classes_alone(made, seed):
    draw = draw_of(made, seed)
    arrays = artifacts.load_npz(draw.folder / "codes.npz")[0]
    assert not arrays["train_labels"][:, draw.classes].any()
    assert len(arrays["train_labels"]) == 9 * 7 == row_of(made, seed=seed, method="all bits")["n_train"]
    assert row_of(made, seed=seed, method="all bits")["classes"] == ["abcdefghij"[column] for column in draw.classes]


def test_training_pictures_of_unseen_classes_have_no_part_in_anything(made, tmp_path, monkeypatch):
    whole, draw = made.splits, draw_of(made, 0)
    images, gone = whole.train.images.copy(), whole.train.labels[:, draw.classes].any(axis=1)
    images[gone] = 255 - images[gone]
    other = replace(draw, whole=replace(whole, train=Split(images, whole.train.labels), rows=None, pool=None))
    usual = draw.arrays(), draw.untouched()
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    arrays, untouched = other.arrays(), other.untouched()
    assert arrays.pop("encoder") == usual[0].pop("encoder")
    for name in (name for name in usual[0] if "seconds" not in name):
        np.testing.assert_array_equal(arrays[name], usual[0][name], err_msg=name)
    assert_same(dict([untouched]), dict([usual[1]]))


@pytest.mark.parametrize(("column", "seen"), [("map", False), ("map_seen", True)])
def test_rows_are_the_map_of_the_codes_in_the_file_on_either_side(made, column, seen):
    draw = draw_of(made, 1)
    arrays = artifacts.load_npz(draw.folder / "codes.npz")[0]
    shows = {part: getattr(made.splits, part).labels[:, draw.classes].any(axis=1) != seen for part in PARTS}
    labels = [getattr(made.splits, part).labels[shows[part]] for part in ("query", "database")]  # one a picture
    logits = [arrays[f"{part}_logits"][shows[part]] for part in ("query", "database")]
    codes = [(each >= 0).astype(np.uint8) for each in logits]
    whole = row_of(made, seed=1, method="all bits")
    assert whole[column] == pytest.approx(metrics.mean_average_precision(*codes, *labels))
    sizes = [whole[f"n_{part}{column.removeprefix('map')}"] for part in ("query", "database")]
    assert sizes == [len(each) for each in labels]
    unit = [each / np.linalg.norm(each, axis=1)[:, None] for each in logits]
    relevant = labels[0] @ labels[1].T
    scores = [average_precision_score(hits, cosine) for hits, cosine in zip(relevant, unit[0] @ unit[1].T, strict=True)]
    assert row_of(made, seed=1, method="cosine of logits")[column] == pytest.approx(np.mean(scores), abs=1e-6)
    graded = [thermometer.bits(each) for each in logits]
    paying = thermometer.bits(arrays["out_of_fold_logits"])
    ids = thermometer.distinct(paying)
    row = row_of(made, seed=1, method="thermometer all bits")
    assert row["bits"] == len(ids)
    assert row[column] == pytest.approx(metrics.mean_average_precision(*graded, *labels, bits=ids))


def test_a_choice_is_paid_out_of_fold_by_the_seen_classes(made):
    """A single greedy bit is the one of the highest reward there, so its reward is the maximum."""
    arrays = artifacts.load_npz(draw_of(made, 0).folder / "codes.npz")[0]
    codes, labels = arrays["out_of_fold_codes"], arrays["train_labels"]
    sides = (codes, codes, labels, labels)
    best = max(
        metrics.mean_average_precision(*sides, bits=[*bits], leave_one_out=True)
        for bits in itertools.combinations(range(12), 4)
    )
    for method in ("PPO", "greedy"):
        row = row_of(made, seed=0, method=method, bits=4)
        assert best * 0.9 <= row["reward"] <= best + 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("outputs", ["bits", "labels"])
def test_features_that_are_shared_between_draws_give_what_a_draw_alone_gives(home, outputs):
    recipe = replace(FROZEN, batch_size=8, head=Head(16))
    settings = Settings(ARCH, size=32, epochs=2, weights="random", device="cpu", recipe=recipe, outputs=outputs)
    whole = drawn(3)
    pictures = np.random.default_rng(0).integers(0, 256, (180, 20, 20, 3), dtype=np.uint8)
    parts = dict(zip(PARTS, np.split(pictures, np.cumsum([SIZES[part] for part in PARTS])[:-1]), strict=True))
    parts = {part: Split(images, getattr(whole, part).labels) for part, images in parts.items()}
    whole = replace(whole, **parts)
    args = Args(code_length=6, lengths=(3,), seeds=(0,), settings=settings)
    draw = unseen.Draw(args.setup(0), whole, unseen.drawn_classes(8, 3, 0))
    found = draw.arrays()
    train = unseen.unseen_splits(whole, draw.classes).train
    targets = artifacts.load_npz(draw.folder / "target_codes.npz")[0]["codes"]
    alone = encoder.load_or_encode(home / "alone", replace(whole, train=train), targets, settings, progress=False)
    for name in ("query_logits", "database_logits", "train_logits", "out_of_fold_logits"):
        np.testing.assert_allclose(found[name], alone.arrays[name], rtol=1e-4, atol=1e-4)
    for name in ("query_codes", "out_of_fold_codes", "fold", "train_labels", "targets"):
        np.testing.assert_array_equal(found[name], alone.arrays[name], strict=True)
    what, vectors = draw.untouched()
    assert what == "features"
    assert [vectors[part].shape for part in PARTS] == [(40, 1280), (len(train), 1280), (80, 1280)]


ARCH = "efficientnet_lite0_frozen"


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_with_the_draws_that_are_missing(made, tmp_path, monkeypatch, capsys):
    real, asked = unseen.rows_of, []

    def killed_at_the_second(args, seed, whole):
        asked.append(seed)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(args, seed, whole)

    monkeypatch.setattr(unseen, "rows_of", killed_at_the_second)
    monkeypatch.setattr(datasets, "load", lambda name, *, root=None: made.splits)
    args = replace(ARGS, out=tmp_path / "table.json")
    with pytest.raises(KeyboardInterrupt):
        unseen.main(args)
    assert {row["seed"] for row in artifacts.load_json(args.out)["rows"]} == {0}
    unseen.main(args)
    assert asked == [0, 1, 1]
    assert "seed 0: loaded from " in capsys.readouterr().out
    assert artifacts.load_json(args.out)["rows"] == made.rows


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda record: record["args"] | {"subsets": 2}, "subsets=2, now 3"),
        (lambda record: record["args"] | {"epochs": 7}, "epochs=7, now 12"),
    ],
)
def test_rows_of_other_settings_are_made_anew(made, tmp_path, capsys, change, sentence):
    record = artifacts.load_json(made.home / "runs" / "unseen.json")
    (tmp_path / "table.json").write_text(json.dumps(record | {"args": change(record)}))
    args = replace(ARGS, out=tmp_path / "table.json")
    assert unseen.finished(args, record["data"]) == []
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ["{", "[]", "3", '{"rows": 3}', '{"rows": [], "args": []}', '{"rows": [], "args": {}}']
)
def test_a_damaged_file_gives_no_rows(made, tmp_path, capsys, text):
    (tmp_path / "table.json").write_text(text)
    assert unseen.finished(replace(ARGS, out=tmp_path / "table.json"), "") == []
    assert "; making it anew" in capsys.readouterr().out


def test_rows_of_other_pictures_are_made_anew(made, capsys):
    record = artifacts.load_json(made.home / "runs" / "unseen.json")
    assert unseen.finished(ARGS, record["data"]) == made.rows
    assert unseen.finished(replace(ARGS, seeds=(1,)), record["data"]) == [row for row in made.rows if row["seed"] == 1]
    capsys.readouterr()
    dark = replace(made.splits, query=Split(made.splits.query.images // 2, made.splits.query.labels))
    assert unseen.finished(ARGS, provenance.data_digest(dark)) == []
    assert "other pictures or labels" in capsys.readouterr().out


def test_the_command_in_the_file_has_the_same_arguments(made):
    words = shlex.split(artifacts.load_json(made.home / "runs" / "unseen.json")["command"])
    assert words[:4] == ["python", "-m", "hashlib_nb", "unseen"]
    assert tyro.cli(Args, args=words[4:]) == ARGS


def test_the_summary_averages_draws_then_seeds():
    row = {"method": "random", "bits": 4}
    values = {0: (0.1, 0.3), 1: (0.4, 0.8)}
    rows = [row | {"seed": s, "map": value, "map_seen": 2 * value} for s, pair in values.items() for value in pair]
    graded = {"method": "thermometer all bits", "map": 0.5, "map_seen": 0.5}
    rows += [graded | {"seed": s, "bits": bits} for s, bits in ((0, 700), (1, 720))]
    rows += [graded | {"method": "all bits", "seed": s, "bits": 64, "map": value} for s, value in ((0, 0.3), (1, 0.5))]
    line, whole, at_half = unseen.summarize(rows).to_dict("records")
    assert (line["seeds"], line["map"], line["map_seen"]) == (2, pytest.approx(0.4), pytest.approx(0.8))
    assert line["map_sd"] == pytest.approx(0.4 / np.sqrt(2))  # of 0.2 and 0.6
    assert (whole["bits"], whole["seeds"], whole["map_sd"]) == (710, 2, 0)
    assert (at_half["gain"], at_half["gain_sd"]) == (0, 0)
    assert whole["gain"] == pytest.approx(0.1)  # 0.2 and 0
    assert whole["gain_sd"] == pytest.approx(0.2 / np.sqrt(2))
    assert line["gain"] == pytest.approx(0.0)  # 0.2 - 0.3 and 0.6 - 0.5


def test_the_table_for_people_says_what_the_file_has(made):
    record = artifacts.load_json(made.home / "runs" / "unseen.json")
    about = unseen.markdown([])
    once, twice = unseen.markdown([record])[len(about) :], unseen.markdown([record, record])[len(about) :]
    assert twice == once + once
    _, caption, _, head, _, *table = once
    assert "3 classes are left out (seed 0: c, e, g; seed 1: " in caption
    assert "Fitted to 63 training pictures" in caption
    assert "9 queries, 36 database pictures" in caption
    assert "the other 21 and 84" in caption
    columns = [cell.strip() for cell in head.strip("| ").split(" | ")]
    titles = ("unseen classes", "gain over all bits", "seen classes")
    assert columns[1:] == [f"{title}, {n_bits} bits" for title in titles for n_bits in (4, 12)]
    cells = {cell[0]: cell[1:] for line in table if (cell := [each.strip() for each in line[1:-1].split("|")])}
    summary = unseen.summarize(made.rows).set_index(["method", "bits"])
    assert {name.partition(",")[0] for name in cells} == {method for method, _ in summary.index}
    assert cells["PPO"][1] == cells["PPO"][5] == ""  # at p = k nothing is left to choose
    assert cells["all bits, 12 bits"][0] == cells["all bits, 12 bits"][1]
    for column, name in enumerate(("map", "map", "gain", "gain", "map_seen", "map_seen")):
        line = summary.loc["thermometer greedy", (4, 12)[column % 2]]
        shown = [float(each) for each in cells["thermometer greedy"][column].split(" ± ")]
        assert shown == pytest.approx([line[name], line[f"{name}_sd"]], abs=6e-4)
    assert cells["cosine of logits, no code"][0] == cells["cosine of logits, no code"][1]


def test_chance_is_the_share_of_relevant_pictures(made):
    """Random codes rank at random, up to the few queries of this run."""
    rows = pd.DataFrame(made.rows)
    chance = rows[rows["method"] == "random codes"].groupby("bits")[["map", "map_seen"]].mean()
    assert (chance["map"] > 1 / 3).all()
    assert (chance["map"] < 0.48).all()
    assert (chance["map_seen"] < chance["map"]).all()


# --- what cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"n_unseen": 0}, "n_unseen is 0"),
        ({"lengths": (13,)}, r"lengths is 13; give a whole number in 1\.\.12"),
        ({"lengths": (4, 4)}, "lengths is "),
        ({"seeds": ()}, "seeds is "),
        ({"subsets": 0}, "subsets is 0"),
        ({"total_episodes": 0}, "total_episodes"),
        ({"code_length": 0}, "code_length is 0"),
    ],
)
def test_wrong_arguments_are_named(wrong, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        replace(ARGS, **wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--n-unseen", "9"), "n_unseen is 9; give a whole number in 1..8 (of 10 classes at least 2 stay)"),
        (("--dataset", "cifar10"), "root"),
        (("--root", "nowhere"), "root"),
        (("--dataset", "cifar10", "--root", "nowhere"), "nowhere"),
    ],
)
def test_from_the_shell_it_is_refused_before_any_work(home, monkeypatch, options, sentence):
    monkeypatch.setattr(unseen.Draw, "arrays", lambda self: pytest.fail("began to work"))
    assert sentence in refusal(unseen, *options)
    assert [*home.iterdir()] == []


def test_the_last_draw_is_checked_before_the_first_is_made(home, monkeypatch):
    """Its class is one that no database picture shows."""
    empty = next(seed for seed in range(99) if unseen.drawn_classes(3, 1, seed)[0] == 2)
    fine = next(seed for seed in range(99) if unseen.drawn_classes(3, 1, seed)[0] == 0)
    whole = one_label_each(dict.fromkeys(PARTS, [0, 1, 2]) | {"database": [0, 1, 1]})
    monkeypatch.setattr(datasets, "load", lambda name, *, root=None: whole)
    monkeypatch.setattr(unseen.Draw, "arrays", lambda self: pytest.fail("began to work"))
    with pytest.raises(ValueError, match="n_unseen: with hat left out there are 1 query and 0 database pictures"):
        unseen.main(replace(ARGS, n_unseen=1, seeds=(fine, empty)))


def test_a_file_of_somebodys_is_no_place_for_the_table(tmp_path):
    (tmp_path / "mine.json").write_text("mine")
    with pytest.raises(ValueError, match=r"mine\.json is there and was not written by this command"):
        unseen.main(replace(ARGS, out=tmp_path / "mine.json"))


# --- what is stored ---------------------------------------------------------------------------------------------------

STORED = sorted((ROOT / "results").glob("unseen-*.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_stored_table_is_what_its_command_makes(path):
    record = artifacts.load_json(path)
    words = shlex.split(record["command"])
    args = tyro.cli(Args, args=words[4:])
    assert args.out == Path("results", path.name)
    assert not [word for word in words if word.startswith("/")]
    assert provenance.differences(record, args, but=("recipe",)) == ""  # whose fields may grow
    rows = pd.DataFrame(record["rows"])
    assert {*rows["seed"]} == {*args.seeds}
    assert rows.groupby("seed").size().nunique() == 1
    for seed, part in rows.groupby("seed"):
        (classes,) = {*map(tuple, part["classes"])}
        assert len({*classes}) == args.n_unseen, seed
    assert rows[["map", "map_seen"]].apply(lambda values: values.between(0, 1)).all(axis=None)


def test_the_stored_draws_of_fashion_mini_hold_what_notebook_04_says_of_them():
    rows = pd.DataFrame(artifacts.load_json(ROOT / "results" / "unseen-fashion-mini.json")["rows"])
    means = rows.groupby(["method", "bits", "seed"])[["map", "map_seen"]].mean()
    whole = means.loc["all bits", 64]["map"]
    for method in ("thermometer PPO", "thermometer greedy"):
        assert (means.loc[method, 16]["map"] > whole).all()
        assert means.loc[method, 16]["map"].mean() > means.loc["thermometer random", 16]["map"].mean() + 0.04
    pixels, logits = means.loc["cosine of pixels", 0], means.loc["cosine of logits", 0]
    assert (pixels["map"] > logits["map"]).sum() == 3
    assert pixels["map_seen"].mean() < logits["map_seen"].mean() - 0.3
    assert means.loc["LSH of pixels", 16]["map"].mean() == pytest.approx(whole.mean(), abs=0.01)
