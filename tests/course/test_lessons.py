"""The course runner, on tiny notebooks in a folder of its own."""

from __future__ import annotations

import nbformat
import pytest

from hashlib_nb.course import lessons as run_course
from hashlib_nb.course.lessons import LESSONS, Args, Lesson


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A project of two notebooks, called from another folder; the second writes its parameters as the results table."""

    def write(name: str, parameters: str, source: str) -> None:
        cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_code_cell(source)])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / "notebooks" / name)

    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(run_course, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(run_course, "LESSONS", (Lesson("01_first", True), Lesson("04_last", True)))
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write(
        "01_first.ipynb", "seed = 0  # a number\nepochs = 100", "assert seed < 5, 'seed is too large\\nfor this test'"
    )
    write(
        "04_last.ipynb",
        'seed = 0\nfast = True\nrate = 0.5\nname = "a"\nepochs = 0\nroot = ""\noptions = []\nseeds = [0]',
        "from pathlib import Path\nfrom hashlib_nb.artifacts import project_root\n"
        "said = repr((seed, fast, rate, name, epochs, root, options))\n"
        "Path(project_root(), 'runs', 'results.md').write_text(said)",
    )
    return tmp_path


def test_runs_in_order_with_typed_parameters_and_prints_the_table(course, capsys):
    run_course.main(Args(notebooks=("01", "04"), parameters=("seed=3", "fast=false", "rate=2", "name=7")))
    printed = capsys.readouterr().out
    assert "(3, False, 2, '7', 0, '', [])" in printed
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
        (
            ("seeed=1",),
            "'seeed=1'; write name=value, or 02:name=value for one notebook, with a name that it has: epochs, ",
        ),
        (("seed",), "'seed'; write name=value"),
        (("02:seed=1",), "'02:seed=1'; write"),
        (("01:rate=1",), "'01:rate=1'; write"),
        ((":seed=1",), "':seed=1'; write"),
        (("epochs=2",), "another thing in each notebook (100 in 01, 0 in 04); write 01:epochs=2 or 04:epochs=2"),
        (("seed=true",), "seed to 'true'; it must be a value like 0"),
        (("seed=" + "(" * 5000,), "it must be a value like 0"),
        (("seed=many",), "seed to 'many'; it must be a value like 0"),
        (("fast=1",), "fast to '1'; it must be a value like True"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(course, parameters, sentence):
    with pytest.raises(ValueError, match="parameters") as caught:
        run_course.main(Args(notebooks=("01", "04"), parameters=parameters))
    assert sentence in str(caught.value)
    assert not (course / "runs").exists()


@pytest.mark.parametrize("number", ["09", "*", "0?", "[0-9]1", "1", "", "01_first", "../01", "01\n"])
def test_notebooks_are_called_by_the_numbers_on_the_list(number, course):
    with pytest.raises(ValueError, match=r"^notebooks is .*; give some of 01, 04$"):
        Args(notebooks=("01", number))


def test_missing_notebook_is_refused_before_anything_runs(course):
    (course / "notebooks" / "04_last.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match="04_last.ipynb is not there"):
        run_course.main(Args(notebooks=("01", "04")))
    assert not (course / "runs").exists()


def test_a_parameter_reaches_one_notebook_and_is_said(course, capsys):
    run_course.main(Args(notebooks=("01", "04"), parameters=("04:epochs=2", "04:seed=4", "seed=3", "epochs=7")))
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if "=" in line] == [
        "01_first: seed=3", "01_first: epochs=7", "04_last: epochs=2", "04_last: seed=4"
    ]  # fmt: skip
    assert "(4, True, 0.5, 'a', 2, '', [])" in said


@pytest.mark.parametrize("home", ["..", "."])
def test_folders_are_seen_from_the_callers(home, course, capsys, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", home)  # is as relative as they are
    here = course / "elsewhere"
    options = ("root=photos", "options=['pictures=../p', 'size=8']")
    run_course.main(Args(notebooks=("04",), parameters=options))
    assert (here / home / "runs" / "04_last.ipynb").is_file()
    said = capsys.readouterr().out
    assert f"04_last: root='{here / 'photos'}'" in said
    assert f"'{here / 'photos'}', ['pictures={course / 'p'}', 'size=8'])" in said


def test_the_list_of_lessons_is_of_the_notebooks_there_are_and_the_start_page_links_each():
    names = [lesson.name for lesson in LESSONS]
    there = {path.stem for path in run_course.NOTEBOOKS.glob("*.ipynb")}
    assert {*names, "00_start"} == there
    assert names == sorted(names)
    start = (run_course.NOTEBOOKS / "00_start.ipynb").read_text(encoding="utf-8")
    places = [start.index(f"({name}.ipynb)") for name in names]
    assert places == sorted(places)


def test_a_list_of_lessons_has_a_name_a_line(tmp_path):
    path = tmp_path / "lessons.txt"
    assert run_course.read_lessons(path) == ()
    path.write_text("# what they are\n\n01_first *\n10_last\n")
    first, last = run_course.read_lessons(path)
    assert (first.number, first.in_course, last.number, last.in_course) == ("01", True, "10", False)
