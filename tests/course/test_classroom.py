"""Releasing assignments and grading what breaks the machine it runs on, with a small course made here."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from hashlib_nb.course import assignments as classroom
from tests.helpers import ROOT, refusal

CONFIG = ROOT / "assignments" / classroom.CONFIG
SECONDS = 4
STUB = "    # YOUR CODE HERE\n    raise NotImplementedError()"

pytestmark = pytest.mark.xdist_group("classroom")


def marks(name: str, **values) -> dict:
    fields = {"grade": False, "solution": False, "locked": True, "task": False, "schema_version": 3, "grade_id": name}
    return {"nbgrader": fields | values}


def answer(name: str, **values) -> dict:
    return marks(name, solution=True, locked=False, **values)


def task(name: str, body: str = "    return start + 1") -> list[NotebookNode]:
    """A solution cell, whose function returns 8, and its checks."""
    source = f'def {name}():\n    """Eight."""\n    ### BEGIN SOLUTION\n{body}\n    ### END SOLUTION'
    tests = f"assert {name}() == 8\n### BEGIN HIDDEN TESTS\nassert {name}() == start + 1\n### END HIDDEN TESTS"
    return [
        new_code_cell(source, metadata=answer(name)),
        new_code_cell(tests, metadata=marks(f"{name}_tests", grade=True, points=2)),
    ]


HEADING = new_markdown_cell("## Task 1 \u00b7 Eight, that is $2^3$ (2 points)", metadata=marks("text"))


def make_course(folder: Path, cells: list[NotebookNode], name: str = "a") -> Path:
    """A course with one assignment: the cells given, between a set-up cell and a question."""
    setup = new_code_cell("start = 7", metadata=marks("setup"))
    question = new_markdown_cell("Because.", metadata=answer("question", grade=True, points=1))
    notebook = new_notebook(cells=[setup, *cells, question])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (folder / "source" / name).mkdir(parents=True)
    nbformat.write(notebook, folder / "source" / name / f"{name}.ipynb")
    text = CONFIG.read_text(encoding="utf-8")
    (folder / classroom.CONFIG).write_text(text.replace("CELL_SECONDS = 30", f"CELL_SECONDS = {SECONDS}"))
    return folder


def hand_in(course: Path, student: str, body: str, question: str = "") -> None:
    """Hand in the release of a course with tasks one, two, three, solved but for two, which has the given body."""
    notebook = nbformat.read(course / "release" / "a" / "a.ipynb", as_version=4)
    for cell in notebook.cells:
        if classroom.role(cell) == "solution":
            own = body if cell.metadata.nbgrader.grade_id == "two" else "    return start + 1"
            assert STUB in cell.source
            cell.source = cell.source.replace(STUB, own)
        elif classroom.role(cell) == "question" and question:
            cell.source = question
    path = course / "submitted" / student / "a" / "a.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(notebook, path)


def copy_cell(cell: NotebookNode, **marks) -> NotebookNode:
    """A cell as JupyterLab pastes it, with some of its marks changed."""
    copied = nbformat.from_dict(cell | {"id": f"copy{cell.id}"})
    copied.metadata["nbgrader"] = NotebookNode(cell.metadata.nbgrader | marks)
    return copied


def meddle(notebook: NotebookNode, how: str) -> None:
    """Do to a submission what students do by accident; `how` is one of MEDDLED."""
    setup, _, one, one_tests, two = notebook.cells[:5]
    if how == "copies_a_solution":
        notebook.cells.insert(3, copy_cell(one))
    elif how == "copies_all":
        notebook.cells[:0] = [copy_cell(cell) for cell in notebook.cells]
    elif how == "copies_from_elsewhere":
        notebook.cells.append(copy_cell(one_tests, grade_id="another"))
    elif how == "has_marks_of_other_versions":
        one.metadata.nbgrader["schema_version"] = 1
        del setup.metadata.nbgrader["schema_version"]
        two.metadata.nbgrader |= {"schema_version": 9, "colour": "red"}
    elif how == "has_unreadable_marks":
        setup.metadata["nbgrader"] = {}
        for marks in (["locked"], None, {"grade": True}, setup.metadata.nbgrader | {"grade_id": [1]}):
            notebook.cells.append(new_code_cell("1 + 1", metadata={"nbgrader": marks}))
    elif how == "changes_a_kind":
        notebook.cells[3] = new_markdown_cell(one_tests.source, metadata=one_tests.metadata)


MEDDLED = {
    "copies_a_solution": "cell one is there twice; the last one is graded",
    "copies_all": "cell setup is there twice; the last one is graded",
    "copies_from_elsewhere": "",
    "has_marks_of_other_versions": "",
    "has_unreadable_marks": "",
    "changes_a_kind": "",
}
"""What `meddle` does, and what the check before says of it, if anything: all of it is graded in full."""


def autograde(course: Path) -> None:
    from nbgrader.apps import NbGraderAPI

    done = NbGraderAPI(config=classroom.configuration(course)).autograde("a", "*")
    assert done["success"], done["log"][-3000:]


def gradebook(course: Path):
    from nbgrader.api import Gradebook

    return Gradebook(f"sqlite:///{course / 'gradebook.db'}", "hashlib_nb")


def scores(course: Path, student: str) -> dict[str, float]:
    with gradebook(course) as book:
        grades = book.find_submission_notebook("a", "a", student).grades
        return {grade.name: grade.auto_score for grade in grades if grade.name != "question"}


RECKLESS = {
    "ends_its_process": ("    import os\n    os._exit(1)", "KernelDied: this cell ended its Python process"),
    "leaves_by_exit": ("    exit()\n    return start + 1", "KernelDied: this cell ended its Python process"),
    "ends_it_outside": ("    return 8\nimport os\nos._exit(3)", "NameError: name 'two' is not defined"),
    "ignores_interrupts": (
        "    import time\n    while True:\n        try:\n            time.sleep(99)\n"
        "        except KeyboardInterrupt:\n            pass",
        "CellTimeoutError: this cell ran over its time and could not be interrupted",
    ),
    "prints_without_end": ("    while True:\n        print('x' * 1000)", "OutputFlood: this cell printed without end"),
}
"""Bodies of task two that take more than their own cell with them, and what the cell of checks then says."""


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Path:
    """A course whose students hand in RECKLESS, and one whose answer is right but warns."""
    course = make_course(tmp_path_factory.mktemp("course"), [HEADING, *task("one"), *task("two"), *task("three")])
    classroom.main(classroom.Args(course=course))
    hand_in(course, "answers", "    return start + 1", "Since $2^3 = 8$ <b>&</b> so on.")
    for student, (body, _) in RECKLESS.items():
        hand_in(course, student, body)
    hand_in(course, "warns", "    import warnings\n    warnings.warn('careful')\n    return start + 1")
    for how in MEDDLED:
        hand_in(course, how, "    return start + 1")
        path = course / "submitted" / how / "a" / "a.ipynb"
        notebook = nbformat.read(path, as_version=4)
        meddle(notebook, how)
        path.write_text(json.dumps(notebook), encoding="utf-8")  # nbformat itself would refuse some
    autograde(course)
    return course


@pytest.mark.slow
@pytest.mark.parametrize("student", RECKLESS)
def test_what_takes_its_kernel_with_it_costs_its_task_alone(student, graded):
    assert scores(graded, student) == {"one_tests": 2, "two_tests": 0, "three_tests": 2}


@pytest.mark.slow
@pytest.mark.parametrize(("student", "message"), [(student, message) for student, (_, message) in RECKLESS.items()])
def test_the_graded_notebook_says_what_happened_and_stays_small(student, message, graded):
    path = graded / "autograded" / student / "a" / "a.ipynb"
    cells = {cell.metadata.nbgrader.grade_id: cell for cell in nbformat.read(path, as_version=4).cells}
    errors = [output for output in cells["two_tests"].outputs if output.output_type == "error"]
    shown = strip_ansi("\n".join(line for error in errors for line in error.traceback))
    assert message in shown
    assert path.stat().st_size < 200_000


@pytest.mark.slow
def test_a_warning_costs_nothing(graded):
    assert set(scores(graded, "warns").values()) == {2}


@pytest.mark.slow
@pytest.mark.parametrize("student", MEDDLED)
def test_a_submission_with_odd_cells_is_graded_like_any_other_and_stops_nobody(student, graded):
    assert scores(graded, student) == {"one_tests": 2, "two_tests": 2, "three_tests": 2}


@pytest.mark.slow
def test_the_check_before_names_cells_that_are_there_twice(graded, capsys):
    classroom.main(classroom.Args(course=graded, check_submissions=True))
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"a: {len(RECKLESS) + 2 + len(MEDDLED)} submissions, 2 of them need a look"
    for student, problem in MEDDLED.items():
        said = [line for line in lines if line.startswith(f"a, {student}: ")]
        assert bool(said) == bool(problem)
        assert all(line.startswith(f"a, {student}: {problem}") for line in said[:1])


def feedback(course: Path, student: str) -> str:
    """The page that a student gets back."""
    from nbgrader.converters import GenerateFeedback
    from nbgrader.coursedir import CourseDirectory

    config = classroom.configuration(course)
    config.CourseDirectory.update({"assignment_id": "a", "student_id": student})
    GenerateFeedback(coursedir=CourseDirectory(config=config), config=config, force=True).start()
    return (course / "feedback" / student / "a" / "a.html").read_text(encoding="utf-8")


def table(course: Path, **options) -> list[dict[str, str]]:
    """The table of marks."""
    from hashlib_nb.course.marks import Table

    with gradebook(course) as book:
        Table(to=str(course / "grades.csv"), **options).export(book)
    with (course / "grades.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_feedback_names_tasks_and_checks_and_says_what_nobody_has_marked(graded):
    page = feedback(graded, "answers")
    assert "<b>Score: 6.0 / 7.0</b>, and 1 points that nobody has marked yet" in page
    rows = re.findall(
        r"<tr><td>(.*?)</td>\s*<td><a href=\"#(\w+)\">.*?</a></td>\s*<td>(.*?)</td></tr>", page, re.DOTALL
    )
    heading = "Task 1 \u00b7 Eight, that is $2^3$"
    expected = [(heading, f"{name}_tests", "2 / 2") for name in ("one", "two", "three")]
    assert rows == [*expected, (heading, "question", "not marked yet, 1 to be had")]
    empty = feedback(graded, "warns")
    assert "<b>Score: 6.0 / 7.0</b>." in empty
    assert "not marked yet" not in empty


@pytest.mark.slow
def test_the_feedback_sets_formulas_without_the_net(graded):
    page = feedback(graded, "answers")
    assert "MathJax.version" in page  # the script as a whole
    assert page.count("</script>") == page.count("<script>")
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page)


@pytest.mark.slow
def test_the_table_of_marks_leaves_a_score_empty_until_all_is_marked(graded):
    rows = {row["student_id"]: row for row in table(graded)}
    assert (rows["answers"]["score"], rows["answers"]["raw_score"], rows["answers"]["waiting"]) == (
        "",
        "6.0",
        "question",
    )
    assert (rows["warns"]["score"], rows["warns"]["waiting"]) == ("6.0", "")
    with gradebook(graded) as book:
        book.add_student("nobody")
        book.add_assignment("never_collected")
        book.find_grade("question", "a", "a", "answers").manual_score = 0.0  # read, and worth nothing
        book.db.commit()
    rows = {(row["assignment"], row["student_id"]): row["score"] for row in table(graded)}
    assert rows["a", "answers"] == "6.0"
    assert rows["a", "nobody"] == "0.0"  # handed nothing in, as others did
    assert {assignment for assignment, _ in rows} == {"a"}
    assert [row["student_id"] for row in table(graded, student=["warns"])] == ["warns"]
    assert table(graded, assignment=["b"]) == []


@pytest.mark.slow
def test_grading_twice_leaves_what_grading_once_left(graded):
    everybody = [*RECKLESS, "warns", *MEDDLED]
    before = {student: scores(graded, student) for student in everybody}
    autograde(graded)
    assert {student: scores(graded, student) for student in everybody} == before
    assert all((graded / "autograded" / student / "a" / "a.ipynb").is_file() for student in everybody)


@pytest.mark.slow
def test_a_second_release_keeps_the_marks(graded):
    with gradebook(graded) as book:
        answer = book.find_grade("question", "a", "a", "warns")
        answer.manual_score = 0.5
        book.db.commit()
    before = scores(graded, "warns")
    classroom.main(classroom.Args(course=graded))
    assert scores(graded, "warns") == before
    with gradebook(graded) as book:
        assert book.find_grade("question", "a", "a", "warns").manual_score == 0.5
        assert book.find_submission("a", "warns").score == 6.5


@pytest.mark.slow
def test_an_assignment_with_submissions_keeps_its_cells(graded, tmp_path):
    course = tmp_path / "course"
    shutil.copytree(graded, course)
    shutil.rmtree(course / "source")
    make_course(course, task("one"))
    release = course / "release" / "a" / "a.ipynb"
    before = release.read_bytes()
    with pytest.raises(ValueError, match="^a: nbgrader could not make a release: Cannot add or remove cells"):
        classroom.main(classroom.Args(course=course))
    assert release.read_bytes() == before


def test_the_release_has_stubs_and_the_command_says_what_it_made(tmp_path, capsys):
    course = make_course(tmp_path, task("one"))
    classroom.main(classroom.Args(course=course))
    assert capsys.readouterr().out.startswith("a: 2 tasks, 3 points; ")
    release = course / "release" / "a" / "a.ipynb"
    solution, tests, question = nbformat.read(release, as_version=4).cells[1:]
    assert solution.source == f'def one():\n    """Eight."""\n{STUB}'
    assert tests.source == "assert one() == 8"
    assert question.source == "YOUR ANSWER HERE"
    assert list(classroom.release_problems(release)) == []


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (task("one", "    return 9"), r"a: cell one_tests fails with the source's own solutions \(AssertionError"),
        ([*task("one"), *task("one")], "a: its nbgrader metadata is wrong: Duplicate grade id: one"),
        ([new_code_cell("1 / 0", metadata=marks("more"))], "a: cell more fails .*ZeroDivisionError: division by zero"),
        (
            [new_code_cell("def f():\n    ### BEGIN SOLUTION\n    return 1", metadata=answer("f"))],
            "a: nbgrader could not make a release: no end solution statement found",
        ),
        (
            [new_code_cell('def f():\n    """One."""\n    return 1', metadata=answer("f"))],
            "a: its release is not fit to hand out: solution cell f is not one function with a docstring",
        ),
    ],
    ids=["wrong solution", "two of one name", "failing cell", "no end of a solution", "no region"],
)  # fmt: skip
def test_a_wrong_source_is_named_in_one_sentence(cells, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        classroom.main(classroom.Args(course=make_course(tmp_path, cells)))
    assert not list(tmp_path.glob("release/a/*"))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def f():\n    ### BEGIN SOLUTION\n    raise NotImplementedError()", "cell f still holds a marker"),
        ("def f(:\n    raise NotImplementedError()", "cell f does not parse: line 1"),
        ('def f():\n    """One."""\n    return 1', "solution cell f is not one function"),
        ('def f():\n    """One."""\n    x = 1\n    raise NotImplementedError()', "solution cell f is not one function"),
        ('def f():\n    """One."""\n    raise NotImplementedError()\n\n\nf()', "solution cell f is not one function"),
    ],
)
def test_a_release_that_is_not_fit_to_hand_out_is_noticed(source, problem, tmp_path):
    cell = new_code_cell(source, metadata=answer("f"))
    nbformat.write(new_notebook(cells=[cell]), tmp_path / "f.ipynb")
    assert next(classroom.release_problems(tmp_path / "f.ipynb")).startswith(problem)


@pytest.mark.parametrize(
    ("names", "make", "message"),
    [
        ((), lambda course: None, "has no nbgrader_config.py; name the folder that has it"),
        (
            (),
            lambda course: make_course(course, []) and shutil.rmtree(course / "source"),
            "holds no notebook; put each",
        ),
        (("b",), lambda course: make_course(course, []), "names has 'b'; source/ has a"),
    ],
    ids=["no course", "no source", "no such assignment"],
)
def test_a_wrong_argument_is_named_in_one_sentence(names, make, message, tmp_path):
    make(tmp_path)
    with pytest.raises(ValueError, match=message):
        classroom.main(classroom.Args(names=names, course=tmp_path))


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("homework.ipynb", "", "there is homework.ipynb, but no a.ipynb; rename the notebook"),
        ("a.ipynb", "", "a.ipynb is not a notebook; ask for the file again"),
        ("a.ipynb", '{"cells": [', "a.ipynb is not a notebook"),
        ("a.ipynb", "[1]", "a.ipynb is not a notebook"),
        ("a.ipynb", '{"a": 1}', "a.ipynb is not a notebook"),
        ("a.ipynb", '{"nbformat": 4, "nbformat_minor": 5, "cells": [1]}', "a.ipynb is not a notebook"),
        (
            "a.ipynb",
            nbformat.writes(new_notebook()),
            "graded cells are gone (one, one_tests, two and 1 more)",
        ),
    ],
)
def test_a_submission_that_cannot_be_graded_is_noticed_before(file, text, problem, tmp_path, capsys):
    make_course(tmp_path, [])
    release = tmp_path / "release" / "a" / "a.ipynb"
    release.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=[*task("one"), *task("two")]), release)
    for student, name, content in [("ada", file, text), ("bob", "a.ipynb", release.read_text())]:
        folder = tmp_path / "submitted" / student / "a"
        folder.mkdir(parents=True)
        (folder / name).write_text(content)
    classroom.main(classroom.Args(course=tmp_path, check_submissions=True))
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"a, ada: {problem}")
    assert last == "a: 2 submissions, 1 of them need a look"


def test_submissions_are_compared_with_a_release(tmp_path):
    with pytest.raises(ValueError, match="^a has no release to compare submissions with"):
        classroom.main(classroom.Args(course=make_course(tmp_path, []), check_submissions=True))


def test_without_nbgrader_the_command_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(classroom.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="^nbgrader is not installed; run make install"):
        classroom.main(classroom.Args())


def test_an_error_of_the_command_is_one_sentence(tmp_path):
    assert refusal(classroom, "--course", tmp_path).startswith("error: course is ")
