"""The course runner, on tiny notebooks in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess

import nbformat
import pytest

from hashlib_nb.course import lessons as run_course
from hashlib_nb.course.lessons import LESSONS, Args
from tests.helpers import ROOT


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A project of two notebooks; the second writes its parameters as the results table."""

    def write(name: str, parameters: str, source: str) -> None:
        cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell(source)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / "notebooks" / name)

    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(run_course, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(run_course, "project_root", lambda: tmp_path)
    write("01_first.ipynb", "seed = 0  # a number", "assert seed < 5, 'seed is too large\\nfor this test'")
    write(
        "04_last.ipynb",
        'seed = 0\nfast = True\nrate = 0.5\nname = "a"',
        "from pathlib import Path\nPath('runs/results.md').write_text(repr((seed, fast, rate, name)))",
    )
    return tmp_path


def test_runs_in_order_with_typed_parameters_and_prints_the_table(course, capsys):
    run_course.main(Args(notebooks=("01", "04"), parameters=("seed=3", "fast=false", "rate=2", "name=7")))
    printed = capsys.readouterr().out
    assert "(3, False, 2, '7')" in printed
    assert printed.index("01_first.ipynb") < printed.index("04_last.ipynb") < printed.index("(3,")
    assert (course / "runs" / "01_first.ipynb").exists()


def test_stops_at_the_first_failure_and_names_it(course):
    with pytest.raises(RuntimeError) as caught:
        run_course.main(Args(notebooks=("01", "04"), parameters=("seed=9",)))
    message = str(caught.value)
    assert "\n" not in message
    for part in ("notebooks/01_first.ipynb", "cell [", "AssertionError: seed is too large", "runs/01_first.ipynb"):
        assert part in message
    assert not (course / "runs" / "04_last.ipynb").exists()


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (("seeed=1",), "'seeed=1'; write name=value with a name that a notebook has: fast, name, rate, seed"),
        (("seed",), "'seed'; write name=value"),
        (("seed=many",), "seed to 'many'; it must be a value like 0"),
        (("fast=1",), "fast to '1'; it must be a value like True"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(course, parameters, sentence):
    with pytest.raises(ValueError, match="parameters") as caught:
        run_course.main(Args(notebooks=("01", "04"), parameters=parameters))
    assert sentence in str(caught.value)
    assert not (course / "runs").exists()


def test_missing_notebook_is_refused_before_anything_runs(course):
    with pytest.raises(FileNotFoundError, match=r"no 09_\*\.ipynb"):
        run_course.main(Args(notebooks=("01", "09")))
    assert not (course / "runs").exists()


def test_the_list_of_lessons_is_of_the_notebooks_there_are_and_the_start_page_links_each():
    names = [lesson.name for lesson in LESSONS]
    there = {path.stem for path in run_course.NOTEBOOKS.glob("*.ipynb")}
    assert {*names, "00_start"} == there
    assert names == sorted(names)
    start = (run_course.NOTEBOOKS / "00_start.ipynb").read_text(encoding="utf-8")
    places = [start.index(f"({name}.ipynb)") for name in names]
    assert places == sorted(places)


def test_make_builds_the_book_of_the_lessons_on_the_list(tmp_path):
    env = {**os.environ, "HASHLIB_NB_HOME": str(tmp_path)}
    done = subprocess.run(["make", "-n", "book"], cwd=ROOT, capture_output=True, text=True, check=True, env=env)
    assert re.findall(r"run_course --notebooks (\d+)", done.stdout) == [lesson.number for lesson in LESSONS]


def test_a_list_of_lessons_has_a_name_a_line(tmp_path):
    path = tmp_path / "lessons.txt"
    assert run_course.read_lessons(path) == ()
    path.write_text("# what they are\n\n01_first *\n10_last\n")
    first, last = run_course.read_lessons(path)
    assert (first.number, first.in_course, last.number, last.in_course) == ("01", True, "10", False)
