"""A database in files is measured as one in memory is, to the last bit; files that are no such database are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hashlib_nb import artifacts, hamming, metrics
from hashlib_nb.metrics import __main__ as metrics_command
from hashlib_nb.scale import Where, shards
from tests.helpers import damage, noisy_codes, refusal, run_main
from tests.scale.jobs import dasks_threads

CODES, LABELS = noisy_codes(n=130, k=13)
QUERIES, QUERY_LABELS = noisy_codes(n=17, k=13, seed=1)
CLASSES = LABELS.argmax(axis=1)


def write(folder: Path, size: int, codes=CODES, labels=LABELS) -> list[Path]:
    """The database in files of so many rows each."""
    paths = [folder / f"{first}.npz" for first in range(0, len(codes), size)]
    for path in paths:
        first = int(path.stem)
        shards.save(path, codes[first : first + size], labels[first : first + size], first=first)
    return paths


def whole(bits=None) -> hamming.Histograms:
    return hamming.histograms(QUERIES, CODES, QUERY_LABELS, LABELS, bits=bits)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HASHLIB_NB_BACKEND", "numpy")  # workers that are threads of one process share numba's threads
    return tmp_path / "home"


# --- what comes out ---


@pytest.mark.parametrize(("size", "bits"), [(4, None), (64, None), (65, (12, 0, 3)), (130, None), (1000, (5,))])
def test_shards_of_any_size_add_up_to_the_whole(tmp_path, size, bits):
    found = shards.histograms(QUERIES, QUERY_LABELS, write(tmp_path, size)[::-1], bits=bits, progress=False)
    np.testing.assert_array_equal(found.counts, whole(bits).counts)
    np.testing.assert_array_equal(found.relevant, whole(bits).relevant)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_gives_the_same(tmp_path, workers):
    write(tmp_path / "shards", 20)
    with dasks_threads(workers) as where:
        found = shards.histograms(QUERIES, QUERY_LABELS, [tmp_path / "shards"], where, parts=tmp_path / "parts")
    np.testing.assert_array_equal(found.counts, whole().counts)
    np.testing.assert_array_equal(found.relevant, whole().relevant)
    assert len([*(tmp_path / "parts").iterdir()]) == 7


def test_class_numbers_are_labels_as_well(tmp_path):
    paths = write(tmp_path, 50, labels=CLASSES)
    found = shards.histograms(QUERIES, QUERY_LABELS.argmax(axis=1), paths, progress=False)
    np.testing.assert_array_equal(found.relevant, whole().relevant)


def test_a_second_run_reads_what_the_first_has_left(tmp_path, monkeypatch):
    paths = write(tmp_path, 30)
    first = shards.histograms(QUERIES, QUERY_LABELS, paths, progress=False)
    monkeypatch.setattr(shards, "_count", None)  # nothing is counted any more
    second = shards.histograms(QUERIES, QUERY_LABELS, paths, progress=False)
    np.testing.assert_array_equal(first.counts, second.counts)
    with pytest.raises(TypeError):
        shards.histograms(QUERIES[::-1], QUERY_LABELS, paths, progress=False)  # other queries are counted anew


def test_a_shard_written_anew_is_counted_anew(tmp_path):
    paths = write(tmp_path, 65)
    shards.histograms(QUERIES, QUERY_LABELS, paths, progress=False)
    shards.save(paths[0], 1 - CODES[:65], LABELS[:65], first=0)
    changed = np.concatenate([1 - CODES[:65], CODES[65:]])
    found = shards.histograms(QUERIES, QUERY_LABELS, paths, progress=False)
    expected = hamming.histograms(QUERIES, changed, QUERY_LABELS, LABELS)
    np.testing.assert_array_equal(found.counts, expected.counts)


def test_the_sum_holds_more_items_than_32_bits_count(tmp_path, monkeypatch):
    paths = write(tmp_path, 65)
    part = {"counts": np.full((17, 14), 2**31 - 1, np.int32), "relevant": np.ones((17, 14), np.int32)}
    monkeypatch.setattr(shards, "_count", lambda queries, path, shard: artifacts.save_npz(Path(path), part) or path)
    found = shards.histograms(QUERIES, QUERY_LABELS, paths, progress=False)
    assert (found.counts == 2 * (2**31 - 1)).all()


@pytest.mark.parametrize("k", [1, 8, 13, 70])
def test_a_shard_gives_back_what_was_saved(tmp_path, k):
    codes, labels = np.random.default_rng(k).integers(0, 2, (20, k), dtype=np.uint8), np.arange(20)
    shards.save(tmp_path / "a.npz", codes, labels, first=40)
    for one, other in zip(shards.read(tmp_path / "a.npz"), (codes, labels), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_command_reports_what_it_reports_of_a_database_in_memory(tmp_path):
    sides = {"query_codes": QUERIES, "query_labels": QUERY_LABELS}
    np.savez(tmp_path / "queries.npz", **sides)
    np.savez(tmp_path / "all.npz", **sides, database_codes=CODES, database_labels=LABELS)
    artifacts.save_json(tmp_path / "bits.json", {"bits": [1, 4, 6, 7]})
    write(tmp_path / "db", 40)
    asked = ("--selection", tmp_path / "bits.json", "--top-n", 5, "--at-n", 1, 9, 999, "--radius", 1)
    run_main(metrics_command, "--codes", tmp_path / "all.npz", "--out", tmp_path / "a.json", *asked)
    shared = ("--shards", tmp_path / "db", "--out", tmp_path / "b.json")
    run_main(metrics_command, "--codes", tmp_path / "queries.npz", *shared, *asked)
    one, other = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    assert one | {"codes": None} == {name: value for name, value in other.items() if name != "shards"} | {"codes": None}
    assert one["map"]["all"]["expected"] == metrics.mean_average_precision(
        QUERIES, CODES, QUERY_LABELS, LABELS, bits=[1, 4, 6, 7]
    )


# --- what is refused ---


def told(paths: list[Path], queries=QUERIES, labels=QUERY_LABELS) -> str:
    with pytest.raises(ValueError, match=".") as refused:
        shards.histograms(queries, labels, paths, progress=False)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_gap_and_a_repeat_are_named(tmp_path):
    paths = write(tmp_path, 40)
    assert told(paths[:1] + paths[2:]) == "shards: no file has the rows 40 to 79; name all of them"
    assert told(paths[1:]).startswith("shards: no file has the rows 0 to 39")
    assert told([*paths, tmp_path]) == (
        f"shards: {paths[0]} and {paths[0]} both have row 0; name each part of the database once"
    )
    shards.save(tmp_path / "late.npz", CODES[70:80], LABELS[70:80], first=70)
    assert f"{paths[1]} and {tmp_path / 'late.npz'} both have row 70" in told([*paths, tmp_path / "late.npz"])


def test_codes_of_unequal_widths_are_named(tmp_path):
    paths = write(tmp_path, 65)
    shards.save(paths[1], CODES[65:, :9], LABELS[65:], first=65)
    assert f"{paths[1]} has codes of 9 bits and {paths[0]} of 13" in told(paths)
    assert told(paths[:1], queries=QUERIES[:, :4]) == (
        "query_codes is uint8 [17, 4], and the shards have codes of 13 bits; give queries and a database of one encoder"
    )


def test_no_shard_and_what_is_none_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert told([tmp_path / "empty"]).startswith("shards is ")
    assert told([]).startswith("shards is []; give npz files")
    assert "nowhere.npz does not exist" in told([tmp_path / "nowhere.npz"])
    np.savez(tmp_path / "other.npz", codes=CODES)
    assert "other.npz lacks rows, code_length" in told([tmp_path / "other.npz"])
    np.savez(tmp_path / "odd.npz", rows=np.array([3, 1]), code_length=np.array(8), codes=CODES, labels=LABELS)
    assert "odd.npz does not say which rows it has" in told([tmp_path / "odd.npz"])


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty", "text", "npy"])
def test_a_damaged_shard_is_named(tmp_path, how):
    paths = write(tmp_path, 65)
    damage(paths[1], how)
    assert str(paths[1]) in told(paths)


def test_a_shard_that_has_fewer_codes_than_rows_is_named(tmp_path):
    paths = write(tmp_path, 130)
    arrays, _ = artifacts.load_npz(paths[0])
    artifacts.save_npz(paths[0], arrays | {"labels": LABELS[:5]})
    assert "has not one code and label for each of its 130 rows" in told(paths)


@pytest.mark.parametrize(("codes", "labels"), [(CODES * 2, LABELS), (CODES, LABELS[:3]), (CODES, np.zeros((1, 1, 1)))])
def test_what_is_no_codes_with_labels_is_not_saved(tmp_path, codes, labels):
    with pytest.raises(ValueError, match="codes|labels"):
        shards.save(tmp_path / "a.npz", codes, labels, first=0)
    assert not [*tmp_path.glob("*.npz")]


def test_another_programs_file_is_not_replaced(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match="was not written by this command"):
        shards.save(tmp_path / "a.npz", CODES, LABELS, first=0)


def test_options_of_the_command_that_do_not_go_together(tmp_path):
    here = ("--codes", tmp_path / "q.npz", "--out", tmp_path / "r.json")
    with pytest.raises(ValueError, match="^leave_one_out is for one set of items, and shards are another"):
        metrics_command.Args(Path("q.npz"), Path("r.json"), shards=(Path("db"),), leave_one_out=True)
    with pytest.raises(ValueError, match="^workers, scheduler, dashboard and parts are for shards: name some, or "):
        metrics_command.Args(Path("q.npz"), Path("r.json"), workers=2)
    np.savez(tmp_path / "q.npz", query_codes=QUERIES, query_labels=QUERY_LABELS)
    graded = {"bits": [3, 10], "n_candidates": 16, "outputs": [1, 5], "thresholds": [0.5, -1.5]}
    artifacts.save_json(tmp_path / "graded.json", graded)
    words = (*here, "--shards", "db", "--selection", tmp_path / "graded.json")
    assert "keeps thermometer bits, which are made of logits" in refusal(metrics_command, *words)


def test_one_worker_is_this_process():
    assert Where().alone
    assert not Where(workers=2).alone
