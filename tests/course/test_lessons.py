"""The course runner, on tiny notebooks in a folder of its own."""

from __future__ import annotations

import nbformat
import pytest

from hashlib_nb.course import lessons as run_course
from hashlib_nb.course.lessons import Args


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
