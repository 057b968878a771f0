"""Stored results: what the READMEs show is what the files say, and the files say how to make them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tyro

from hashlib_nb import artifacts, codes, perceptual
from hashlib_nb.encoder import Settings
from hashlib_nb.experiments import (
    ablation,
    comparison,
    published,
    published_page,
    questions,
    results,
    reward_rows,
    rivals,
    robustness,
    tuning,
)

ROOT = Path(__file__).resolve().parents[2]
STORED = sorted((ROOT / "results").glob("*.json"))
OTHERS = ("stage1", "questions", "unseen", "rivals", "comparison", "ablation", "robustness", "tuning", "reward-rows")
TABLES = [path for path in STORED if not path.stem.startswith(OTHERS)]
QUESTIONS = ROOT / "results" / f"{published_page.QUESTIONS}.json"
RIVALS = [path for path in STORED if path.stem.startswith("rivals")]
COMPARISONS = [path for path in STORED if path.stem.startswith("comparison")]
STAGE1 = [path for path in STORED if path.stem.startswith("stage1")]


MADE = {
    path: (module, published_tables[path.stem])
    for module, published_tables in (
        (results, published.TABLES), (rivals, published.RIVALS), (comparison, published.COMPARISONS),
        (ablation, published.ABLATION), (robustness, published.ROBUSTNESS), (tuning, published.TUNED),
        (reward_rows, published.PAYING),
    )
    for path in STORED if path.stem in published_tables
}  # fmt: skip
"""Every table of those lists that is stored: whose command made it, with which arguments."""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def arguments(command: str, kind: type):
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "hashlib_nb"]
    return words[3], tyro.cli(kind, args=words[4:])


def test_the_page_of_results_shows_the_stored_tables(monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(ROOT))
    assert read("results/README.md") == published_page.markdown()


def test_the_readme_quotes_rows_of_the_course_s_table():
    """Five rows with deviations, each as results/README.md has it."""
    quoted = re.findall(r"^\| .* ± .* \|$", read("README.md"), flags=re.MULTILINE)
    course = read("results/README.md").partition("**CIFAR-10")[0].splitlines()
    assert len(quoted) == 5
    assert not {*quoted} - {*course}


def test_the_readme_and_the_assignment_quote_the_stored_ablation():
    lines = artifacts.load_json(ROOT / "results" / "ablation-fashion-mini.json")["differences"]
    at = {line["variant"]: line for line in lines if line["budget"] == 1000}
    said = " ".join(read("README.md").split())
    asked = read("assignments/source/05_bit_selectors/05_bit_selectors.ipynb")
    for variant, words, line in [
        ("PPO, untrained", "PPO that never learns", "networks that never learn"),
        ("critic", "with a critic", "a value network"),
        ("no restarts", "without restarts", "no bit kept"), ("annealing", "annealing", "annealing"),
        ("stochastic greedy", "stochastic greedy", "stochastic greedy"),
        ("best random", "the best of 1,000 random subsets", "best of 1,000 random subsets"),
    ]:  # fmt: skip
        mean, half = at[variant]["mean"], (at[variant]["high"] - at[variant]["low"]) / 2
        numbers = f"{100 * mean:+.2f} ± {100 * half:.2f}"
        assert f"{words} {numbers}" in said
        assert f"{line} | {numbers}" in asked


def test_the_readme_quotes_the_stored_tables_of_cifar10():
    record = artifacts.load_json(ROOT / "results" / "rivals-cifar10.json")
    found = rivals.summarize(record["rows"]).query("kind == 'outputs' and bits == 64").set_index("method")["mean"]
    assert found.idxmax() == "pgdh"
    said = f"three seeds, 64 bits: PGDH {found['pgdh']:.3f}, the thesis {found['thesis']:.3f}"
    assert len(record["args"]["seeds"]) == 3
    summary = pd.DataFrame(artifacts.load_json(ROOT / "results" / "cifar10-tuned.json")["summary"])
    means = summary.set_index(["method", "bits"])["map"]
    tuned = f"decided greedy: {means['decided greedy', 16]:.3f} with 16 bits, {means['decided greedy', 64]:.3f} with 64"
    assert said in read("README.md")
    assert tuned in read("README.md")


def test_the_verdict_in_the_readme_is_that_of_the_stored_comparison():
    verdict = artifacts.load_json(ROOT / "results" / "comparison-fashion-mini.json")["verdicts"]["thermometer"]
    assert verdict.removeprefix("PPO on thermometer: ") in " ".join(read("README.md").split())


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.stem)
def test_a_stored_table_is_of_the_command_that_its_list_says(path):
    """So that `make results` makes this file again."""
    module, listed = MADE[path]
    word, args = arguments(artifacts.load_json(path)["command"], module.Args)
    assert word == module.__name__.rpartition(".")[2]
    dataset = getattr(listed, "dataset", "coco")  # hashes are attacked on COCO-18's pictures
    root = None if dataset == "fashion-mini" else Path(dataset.upper())
    about = {} if module is ablation else {"root": root}
    assert args == replace(listed, **about, out=Path("results", path.name))


@pytest.mark.parametrize(
    ("paths", "listed", "shown"),
    [
        (TABLES, published.TABLES, published_page.SHOWN | published_page.HEADS),
        (RIVALS, published.RIVALS, published_page.RIVALS_SHOWN),
        (COMPARISONS, published.COMPARISONS, published_page.COMPARED),
    ],
    ids=["results", "rivals", "comparison"],
)  # fmt: skip
def test_every_stored_table_has_its_command_and_its_title(paths, listed, shown):
    assert {path.stem for path in paths} <= {*listed} == {*shown}


def test_every_stored_table_can_be_asked_for_by_its_name():
    with pytest.raises(ValueError, match="there are: ") as refused:
        published.main(published.Args(only=("nothing",)))
    assert {path.stem for path in MADE} <= {*str(refused.value).partition("there are: ")[2].split(", ")}


def test_the_thesis_numbers_stand_beside_those_of_its_pictures_with_what_differs_in_the_same_line(monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(ROOT))
    text = "\n".join(published_page.map_tables())
    tables = re.findall(r"^\*\*(.+?)\*\*(.+?)(?=^\*\*|\Z)", text, re.DOTALL | re.MULTILINE)
    assert len(tables) > len([path for path in TABLES if path.stem in published_page.SHOWN])
    for title, table in tables:
        lines = [line for line in table.splitlines() if line.startswith("| the thesis")]
        assert len(lines) == title.startswith("CIFAR-10")
        for line in lines:
            assert "another network and no GPU" in line
            assert line.endswith("| 0.727 | 0.790 | 0.788 | 0.780 |")


TINY = results.Args(
    code_length=8, lengths=(4,), seeds=(0, 1), total_episodes=32, subsets=1, folds=2, direct=False, thermometer=False,
    settings=Settings(arch="alexnet_small", epochs=1),
)  # fmt: skip


def test_a_table_is_made_without_a_path_of_the_machine_and_goes_on_where_it_was_cut_off(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    monkeypatch.setattr(published, "TABLES", {"tiny": TINY})
    monkeypatch.setattr(published_page, "SHOWN", {"tiny": ("Tiny", "one epoch")})
    (tmp_path / "results").mkdir()
    published.main(published.Args(only=("tiny",)))
    text = (tmp_path / "results" / "tiny.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    record = json.loads(text)
    assert arguments(record["command"], results.Args)[1] == replace(TINY, out=Path("results", "tiny.json"))
    page = (tmp_path / "results" / "README.md").read_text(encoding="utf-8")
    accuracy = np.mean([about["accuracy"] for about in record["experiments"]])
    assert f"seeds 0, 1. Accuracy of the decided class {accuracy:.3f} ±" in page
    cut = record | {"experiments": record["experiments"][:1], "rows": [r for r in record["rows"] if r["seed"] == 0]}
    artifacts.save_json(tmp_path / "results" / "tiny.json", cut)
    published.main(published.Args(only=("tiny",)))
    assert "seed 0: loaded from" in capsys.readouterr().out
    assert artifacts.load_json(tmp_path / "results" / "tiny.json")["rows"] == record["rows"]
    assert (tmp_path / "results" / "README.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_tables_summary_is_that_of_its_rows(path):
    record = artifacts.load_json(path)
    again = json.loads(results.summarize(record["rows"]).to_json(orient="records", double_precision=15))
    pd.testing.assert_frame_equal(pd.DataFrame(record["summary"]), pd.DataFrame(again))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_has_the_rows_that_its_arguments_ask_for(path):
    record, args = artifacts.load_json(path), published.TABLES[path.stem]
    experiments = {(row.get("split", 0), row["seed"]) for row in record["rows"]}
    assert experiments <= {*args.experiments}  # fewer where the last ones are still being made
    methods = {row["method"] for row in record["rows"]}
    assert methods == {*args.methods}


@pytest.mark.parametrize("name", published.ROBUSTNESS)
def test_a_table_of_hashes_adds_up(name):
    record, args = artifacts.load_json(ROOT / "results" / f"{name}.json"), published.ROBUSTNESS[name]
    assert record["attacks"] == [each.name for each in perceptual.ATTACKS]
    assert [row["hash"] for row in record["rows"]] == [*args.hashes, robustness.LEARNED]
    n, attacks = record["pictures"], len(record["attacks"])
    for row in record["rows"]:
        assert (row["copies"], row["pairs"]) == (n * attacks, n * attacks * (n - 1))
        for about in row["attacks"].values():
            low, high = about["interval"]
            assert 0 <= low <= about["recall"] <= high <= 1
    for row in record["chosen"]["rows"]:
        assert len(row.get("kept", range(args.n_bits))) == args.n_bits
        if row["title"] != "random":
            low, high = row["recall_interval"]
            assert low <= row["recall"] <= high


@pytest.mark.parametrize("path", RIVALS, ids=lambda path: path.stem)
def test_a_table_of_rivals_has_the_rows_that_its_arguments_ask_for(path):
    record, args = artifacts.load_json(path), published.RIVALS[path.stem]
    assert {row["seed"] for row in record["rows"]} <= {*args.seeds}  # fewer where the last ones are still being made
    assert {row["method"] for row in record["rows"]} - {*rivals.REFERENCES} == {*args.names}


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.stem)
def test_a_stored_comparison_says_what_its_runs_say(path):
    record, args = artifacts.load_json(path), published.COMPARISONS[path.stem]
    runs = comparison.run_frame(record["runs"])
    assert {*runs["pool_seed"]} <= {*args.pool_seeds}  # fewer where the last ones are still being made
    assert {*runs["method"]} == {*args.methods}
    assert comparison.judged(record["runs"])["verdicts"] == record["verdicts"]


def test_the_stored_study_says_what_its_trials_say():
    for path in (path for path, (module, _) in MADE.items() if module is tuning):
        record, args = artifacts.load_json(path), published.TUNED[path.stem]
        assert [*record["methods"]] == [*args.methods]
        for found in record["methods"].values():
            whole = [trial["value"] for trial in found["trials"] if not trial["pruned"] and trial["value"] is not None]
            assert len(found["trials"]) == args.trials
            assert found["trials"][0]["settings"] == found["default"]["settings"]
            assert max(whole) == found["best"]["value"] >= found["default"]["value"]
            difference = found["difference"]["area"]
            assert len(difference["by_pool"]) == len(args.reporting_pools)
            assert difference["mean"] == pytest.approx(np.mean(difference["by_pool"]))


def test_the_stored_ablation_says_what_its_cells_say():
    for path in (path for path, (module, _) in MADE.items() if module is ablation):
        record = artifacts.load_json(path)
        cells = [ablation.Cell(**cell) for cell in record["cells"]]
        found = ablation.differences(cells).to_dict("list")
        np.testing.assert_allclose(found["mean"], [line["mean"] for line in record["differences"]])


def test_the_stored_questions_are_those_that_their_command_asks():
    record = artifacts.load_json(QUESTIONS)
    module, args = arguments(record["command"], questions.Args)
    assert module == "questions"
    assert args == questions.Args(out=Path("results", QUESTIONS.name))
    rows = pd.DataFrame(record["rows"])
    assert {*rows["seed"]} == {*args.seeds}
    asked = rows[rows["study"] == "dichotomies"].groupby(["seed", "what", "kind", "levels"])["bits"].agg(list)
    whole = [bits for (_, what, kind, _), bits in asked.items() if (what, kind) != ("one against the rest", "one half")]
    assert len(whole) == len(args.seeds) * (2 * 5 + 4)
    assert all(bits == list(args.lengths) for bits in whole)
    assert {*rows.loc[rows["study"] == "rows", "rows"]} == {*args.rows}


def test_the_stored_table_holds_what_the_readme_claims_of_thermometer_bits():
    """64 bits decided at the decided ceiling, 8 bits above the thesis' 64, 16 chosen well above 16 at random."""
    scores = results.summarize(artifacts.load_json(ROOT / "results" / "fashion-mini.json")["rows"])
    scores = scores.set_index(["method", "bits"])["map"]
    assert scores["decided PPO", 64] >= scores["decided ceiling", 0] - 0.015
    assert scores["decided PPO", 8] > scores["all bits", 64]
    assert scores["decided PPO", 16] >= scores["decided random", 16] + 0.02


@pytest.mark.parametrize("path", STAGE1, ids=lambda path: path.stem)
def test_stage_1_stays_above_its_bound(path):
    record = artifacts.load_json(path)
    module, args = arguments(record["command"], codes.Args)
    assert (module, args.code_length, args.seed) == ("codes", record["bits"], record["seed"])
    assert record["lower_bound"] <= record["objective"]
    assert record["gap"] == pytest.approx(record["objective"] / record["lower_bound"] - 1)
    assert 1 <= record["codes_per_label_set"] <= record["n"] / record["label_sets"]


def test_stored_files_name_no_folder_of_a_machine():
    for path in STORED:
        assert not [word for word in shlex.split(artifacts.load_json(path)["command"]) if word.startswith("/")]


@pytest.mark.process
def test_lists_are_measured_and_shown(tmp_path, monkeypatch):
    """On small lists in a folder with a space: one process each, rows that say what was inferred."""
    tmp_path = tmp_path / "my lists"
    tmp_path.mkdir()
    rng = np.random.default_rng(0)
    for name in published.LISTS:
        (tmp_path / name).mkdir()
        labels = rng.integers(0, 2, (30, 4)) | np.eye(4, dtype=int)[rng.integers(0, 4, 30)]
        lines = [f"{i}.jpg {' '.join(map(str, row))}" for i, row in enumerate(labels)]
        (tmp_path / name / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(published, "LISTS", published.LISTS[:1])
    published.measure_lists(published.Args(lists=tmp_path))
    lines = published_page.lists_table()
    assert len(lines) == 3
    assert lines[2].startswith("| nuswide_21-train | 30 | 4 |")
    record = artifacts.load_json(tmp_path / "home" / "results" / "stage1-nuswide_21-s0.json")
    assert record["command"].endswith("--report results/stage1-nuswide_21-s0.json")
    assert record["peak_memory_mb"] > 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"only": ("cifar11",)}, "only names 'cifar11'"),
        ({"coco": Path("nowhere")}, "coco: nowhere is no folder"),
        ({"lists": ROOT}, "nuswide_21/train.txt does not exist"),
    ],
)
def test_bad_arguments_are_named_before_any_work(settings, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        published.main(published.Args(**settings))


def test_commands_carry_every_kind_of_value():
    """Text, numbers, flags and tuples come back from the shell as they were."""
    args = results.Args(
        dataset="coco", root=Path("a folder"), seeds=(3, 1), literal=True, direct=False, options=("query=7", "x=a b")
    )
    assert asdict(arguments(artifacts.command("results", args), results.Args)[1]) == asdict(args)


def test_a_verdict_names_who_is_ahead_at_each_length_and_what_was_there_to_be_had():
    scores = {
        ("decided PPO", 8): 0.7, ("decided PPO", 16): 0.8, ("decided greedy", 8): 0.6, ("decided greedy", 16): 0.9,
        ("thermometer PPO", 8): 0.5, ("thermometer PPO", 16): 0.6, ("PPO", 8): 0.3, ("PPO", 16): 0.4,
        ("first p", 8): 0.2, ("first p", 16): 0.45, ("oracle", 8): 0.95, ("oracle", 16): 0.96, ("ceiling", 0): 0.92,
    }  # fmt: skip
    rows = [{"method": method, "bits": bits, "map": mean} for (method, bits), mean in scores.items()]
    assert published_page.verdict(pd.DataFrame(rows), [8, 16]) == (
        "Most mAP: decided PPO at 8 (0.700), decided greedy at 16 (0.900); symmetric: thermometer PPO at 8 and 16 "
        "(0.500, 0.600); at one half: PPO at 8 (0.300), first p at 16 (0.450). There to be had: the oracle of the "
        "choice 0.960 with 16 bits, the ceiling 0.920."
    )
    halves = [row for row in rows if row["method"] in ("PPO", "first p")]
    assert published_page.verdict(pd.DataFrame(halves), [8, 16]) == "Most mAP: PPO at 8 (0.300), first p at 16 (0.450)."
