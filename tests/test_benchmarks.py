"""Every benchmark runs small, without its peers as well, and the READMEs show what the committed results say."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import asdict
from pathlib import Path

import nbformat
import numpy as np
import pytest

from benchmarks import summary, timing
from benchmarks.__main__ import SCRIPTS
from tests.helpers import ROOT

PEERS = {"faiss", "torchmetrics", "pytrec_eval", "sb3_contrib"}


def run_small(script: str) -> None:
    module = importlib.import_module(f"benchmarks.{script}")
    module.main(module.Args(quick=True))


def results(home: Path, script: str) -> dict:
    return json.loads((home / "benchmarks" / "results" / f"{script.removeprefix('bench_')}.json").read_text())


def test_every_script_is_run_by_make_bench():
    assert {path.stem for path in (ROOT / "benchmarks").glob("bench_*.py")} == set(SCRIPTS)


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS[:-1])
def test_a_script_runs_small_and_leaves_rows_ratios_and_a_figure(script, home):
    run_small(script)
    found = results(home, script)
    assert found["rows"]
    assert found["machine"] == timing.machine()
    for ratio in found["ratios"]:
        assert timing.Ratio(**ratio).ratio > 0
    assert (home / "figures" / f"{script}.png").stat().st_size > 5_000


@pytest.mark.slow
def test_without_peers_a_script_measures_the_rest_and_says_what_is_missing(home, monkeypatch, capsys):
    find_spec = timing.find_spec
    monkeypatch.setattr(timing, "find_spec", lambda name: None if name in PEERS else find_spec(name))
    run_small("bench_metrics")
    assert "faiss-cpu is not installed, so it is left out" in capsys.readouterr().out
    sides = {row["side"] for row in results(home, "bench_metrics")["rows"]}
    assert {"hashlib_nb", "argsort, as published"} <= sides
    assert not sides & {"torchmetrics", "faiss knn + AP", "pytrec_eval"}


def test_all_ways_to_compute_map_agree_where_nothing_is_tied():
    from benchmarks import bench_metrics

    database = np.tril(np.ones((40, 40), np.uint8))  # item i is at distance i + 1 from a code of zeros
    labels = np.random.default_rng(0).integers(0, 2, (40, 1), dtype=np.uint8)
    case = bench_metrics.Case(np.zeros((1, 40), np.uint8), database, np.ones((1, 1), np.uint8), labels)
    values = {name: side() for name, side in bench_metrics.sides(case).items()}
    assert len(values) >= 4
    for name, value in values.items():
        assert value == pytest.approx(values["hashlib_nb"], abs=1e-6), name


def test_course_times_come_from_the_executed_notebooks(home, capsys):
    run_small("bench_course")
    assert "make course" in capsys.readouterr().out
    text = (
        "loaded artifacts/a.npz (made in 4 s by x)\nsaved artifacts/b.npz (made in 2 s by y)\nsaved artifacts/c.npz\n"
    )
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("stream", text=text)])
    for name, about in {"01_a": {"duration": 90.0}, "02_b": {"duration": 5.0, "exception": True}}.items():
        notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": about})
        (home / "runs").mkdir(exist_ok=True)
        nbformat.write(notebook, home / "runs" / f"{name}.ipynb")
    run_small("bench_course")
    assert "02_b.ipynb did not run to its end" in capsys.readouterr().out
    assert results(home, "bench_course")["rows"] == [{"notebook": "01_a", "minutes": 1.5, "loaded": 1, "made": 2}]


def test_sides_take_turns_and_a_slow_one_is_timed_once(monkeypatch):
    monkeypatch.setattr(timing, "PATIENCE", 0.02)
    order = []

    def slow():
        order.append("slow")
        timing.time.sleep(0.05)
        return 7

    times, values = timing.take_turns({"fast": lambda: order.append("fast"), "slow": slow}, repeats=3)
    assert order == ["fast", "slow", "fast", "slow", "fast", "fast"]  # the first of each warms up
    assert (times["fast"]["runs"], times["slow"]["runs"]) == (3, 1)
    assert times["slow"]["seconds"] >= 0.05 > times["fast"]["seconds"] >= times["fast"]["fastest"]
    assert values == {"fast": None, "slow": 7}


@pytest.mark.parametrize(("unit", "ratio"), [("s", 2.0), ("MB", 2.0), ("steps/s", 0.5), ("mAP", 0.5)])
def test_a_ratio_above_one_means_that_ours_is_better(unit, ratio):
    assert timing.Ratio("", "", ours=3.0, theirs=6.0, unit=unit).ratio == ratio


@pytest.mark.parametrize(
    ("theirs", "share", "verdict"), [(4.0, 0.75, "reached"), (3.0, 1.0, "reached"), (2.0, 1.5, "missed: because")]
)
def test_a_goal_is_a_share_of_the_other_side_and_says_why_it_was_missed(theirs, share, verdict):
    goal = timing.Goal("search", "another", 3.0, theirs, 1.0, "memory", 0.5, reason="because")
    assert (goal.share, goal.verdict, goal.of_limit) == (share, verdict, "memory, of which ours is 6")
    assert goal.ratio.ratio == 1 / share
    assert goal.said == f"search: {share:.3g} of another (goal 1; limit memory, of which ours is 6): {verdict}"


def test_a_goal_without_its_peer_is_not_compared():
    goal = timing.Goal("search", "another", 3.0, None, 1.0, "memory", None)
    assert (goal.share, goal.verdict, goal.of_limit) == (None, "not compared", "memory")


def test_goals_have_a_table_of_their_own_on_the_page(tmp_path):
    write_results(tmp_path, "search", {"processor": "abacus"})
    file = tmp_path / "search.json"
    goals = [asdict(timing.Goal("search", "another", 3.0, 2.0, 1.2, "memory", 1.0, reason="because"))]
    file.write_text(json.dumps(json.loads(file.read_text()) | {"goals": goals}))
    line = "| search | another | 1.5 | 1.2 | memory, of which ours is 3 | missed: because |"
    assert f"{summary.GOALS}\n\n" in summary.page(tmp_path)
    assert line in summary.page(tmp_path).splitlines()


def write_results(folder: Path, name: str, machine: dict[str, str], against: str = "argsort") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ratio = asdict(timing.Ratio("mAP", against, 0.02, 3.0))
    (folder / f"{name}.json").write_text(json.dumps({"machine": machine, "ratios": [ratio]}))


def test_each_unit_has_a_panel_and_ticks_are_plain_numbers(home, monkeypatch):
    saved = []
    monkeypatch.setattr(timing.plots, "save_png", lambda fig, path: saved.append(fig))
    lines = {"ours": ([1_000, 10_000_000], [0.25, 4.0]), "theirs": ([1_000], [0.5])}
    timing.figure("two", {"seconds": lines, "MB": lines}, "items")
    timing.figure("one", lines, "items", "seconds")
    two, one = saved
    assert [ax.get_ylabel() for ax in two.axes] == ["seconds", "MB"]
    (ax,) = one.axes
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1,000", "10M"]
    one.draw_without_rendering()
    shown = {text.get_text() for text in ax.get_yticklabels()}
    assert {"0.5", "1", "2"} <= shown
    assert not any("^" in text for text in shown)


def test_the_summary_is_a_page_beside_the_scripts(home):
    write_results(timing.results_folder(), "metrics", {"processor": "abacus"})
    page = home / "benchmarks" / "README.md"
    page.write_text("what stood there")
    summary.main()
    first = page.read_text()
    assert "| mAP | 20 ms | argsort | 3 s | 150 |" in first
    assert "abacus" in first
    assert "what stood there" not in first
    assert "without a rival" not in first
    summary.main()
    assert page.read_text() == first


@pytest.mark.parametrize("yardstick", summary.NO_RIVALS)
def test_what_has_no_rival_gets_no_ratio(tmp_path, yardstick):
    write_results(tmp_path, "demo", {"processor": "abacus"}, against=yardstick)
    page = summary.page(tmp_path)
    assert page.endswith("| mAP | 20 ms |\n\nMedians of one run; processor abacus.\n")
    assert yardstick not in page


def test_the_summary_refuses_what_it_cannot_put_together(tmp_path):
    with pytest.raises(ValueError, match="holds no results: run make bench first"):
        summary.page(tmp_path)
    write_results(tmp_path, "metrics", {"processor": "abacus"})
    write_results(tmp_path, "codes", {"processor": "slide rule"})
    with pytest.raises(ValueError, match="different machines: run make bench again"):
        summary.page(tmp_path)


def test_the_page_shows_what_the_results_say_and_the_readme_quotes_three_rows_of_it():
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert page == summary.page(ROOT / "benchmarks" / "results")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert sum(line in readme.splitlines() for line in page.splitlines() if re.search(r"\| [\d.]+ \|$", line)) == 3
