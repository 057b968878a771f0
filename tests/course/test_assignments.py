"""The assignments: what a source holds, what students get of it, and what submissions of every kind score.

`tests/course/assignments/<name>.py` has the half-right submission of an assignment: WRONG gives tasks (by the solution
cell's grade_id) the body of a plausible mistake, POINTS what every cell of checks must then give. A task that is not in
WRONG is solved if its checks score anything in POINTS. Two are there whose checks do not: one crashes, and one is no
Python. SLIPS, where a file has them, are more mistakes, which run here without nbgrader: a task, the one cell of checks
that the mistake costs, and the body.
"""

from __future__ import annotations

import ast
import csv
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import nbformat
import pytest
from nbconvert.filters import strip_ansi
from nbformat import NotebookNode

from hashlib_nb.course import assignments as classroom
from hashlib_nb.course.assignments import role
from tests.helpers import ROOT

COURSE = ROOT / "assignments"
NAMES = sorted(path.parent.name for path in (COURSE / "source").glob("*/*.ipynb"))
LESSONS = {path.stem for path in (COURSE.parent / "notebooks").glob("0[1-5]_*.ipynb")}
SHARED = "06_search_baselines_agents"
"""The one assignment of several lessons."""
QUESTIONS = ("question", "experiment", "report")
"""Graded by hand."""
SECONDS = 10
"""What a cell may take here: an endless one takes all of it, and every other one far under a second."""
SOLUTION = re.compile(r"^ *### BEGIN SOLUTION\n(.*?)\n *### END SOLUTION$", re.DOTALL | re.MULTILINE)
HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS\n(.*?)\n### END HIDDEN TESTS$", re.DOTALL | re.MULTILINE)
STUB = "    # YOUR CODE HERE\n    raise NotImplementedError()"
PARAMS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NAMES]
each = pytest.mark.parametrize("name", PARAMS)


def source(name: str) -> NotebookNode:
    return nbformat.read(COURSE / "source" / name / f"{name}.ipynb", as_version=4)


def cells_by_id(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}


def tasks_of(notebook: NotebookNode) -> dict[str, list[str]]:
    """The cells of checks that belong to each solution cell: those between it and the next one."""
    tasks: dict[str, list[str]] = {}
    for name, cell in cells_by_id(notebook).items():
        if role(cell) == "solution":
            tasks[name] = []
        elif role(cell) == "tests":
            tasks[list(tasks)[-1]].append(name)
    return tasks


@cache
def mistakes(name: str) -> ModuleType:
    """tests/course/assignments/<name>.py, whose name begins with a digit."""
    path = Path(__file__).parent / "assignments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"mistakes_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def half_right(name: str) -> tuple[dict[str, str], dict[str, float]]:
    """WRONG and POINTS of an assignment."""
    return mistakes(name).WRONG, mistakes(name).POINTS


def slips() -> Iterator:
    """SLIPS of all assignments, as parameters: the assignment, the task, the cell that it costs, the body."""
    for name in NAMES:
        for number, slip in enumerate(getattr(mistakes(name), "SLIPS", [])):
            yield pytest.param(name, *slip, id=f"{slip[1]}-{number}", marks=pytest.mark.xdist_group(name))


@cache
def set_up(name: str) -> Mapping[str, object]:
    """What an assignment's set-up cell defines."""
    namespace: dict[str, object] = {}
    exec(cells_by_id(source(name))["setup"].source, namespace)
    return namespace


def answered(release: NotebookNode, bodies: Mapping[str, str], answers: Mapping[str, str] = {}) -> NotebookNode:
    """A release in which the functions named have a body, and the questions named an answer."""
    notebook = nbformat.from_dict(release)
    for name, cell in cells_by_id(notebook).items():
        if name in bodies:
            assert STUB in cell.source, f"{name} has no stub to put a body in place of"
            cell.source = cell.source.replace(STUB, bodies[name].rstrip("\n"))
        elif name in answers:
            cell.source = answers[name]
    return notebook


def broken(name: str) -> list[str]:
    """The two tasks of the half-right submission that crash, and that are no Python."""
    wrong, points = half_right(name)
    return [
        task for task, tests in tasks_of(source(name)).items() if task not in wrong and not any(map(points.get, tests))
    ]


def submissions(name: str, release: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Students and what they hand in; the endless one waits for long, and is in the first assignment alone."""
    cells, tasks = cells_by_id(source(name)), tasks_of(source(name))
    solutions = {task: SOLUTION.search(cells[task].source)[1] for task in tasks}
    yield "full", answered(release, solutions, {name: cells[name].source for name in QUESTIONS})
    yield "untouched", release
    wrong, points = half_right(name)
    solved = {task: solutions[task] for task in tasks if any(points[tests] for tests in tasks[task])}
    crashing, misspelled = broken(name)
    yield "half-right", answered(release, solved | wrong | {crashing: "    return 1 / 0", misspelled: "    return ("})
    if name == NAMES[0]:
        yield "endless", answered(release, solutions | {endless_task(name): "    while True:\n        pass"})


def endless_task(name: str) -> str:
    tasks = tasks_of(source(name))
    return min(tasks, key=lambda task: len(tasks[task]))


@dataclass(frozen=True)
class Graded:
    """An assignment after grading."""

    name: str
    course: Path
    full_points: dict[str, float]
    """What each cell of checks is worth."""

    def scores(self, student: str) -> dict[str, float]:
        """What each cell of checks gave."""
        with self.gradebook() as book:
            grades = book.find_submission_notebook(self.name, self.name, student).grades
            return {grade.name: grade.auto_score for grade in grades if grade.name in self.full_points}

    def gradebook(self):
        from nbgrader.api import Gradebook

        return Gradebook(f"sqlite:///{self.course / 'gradebook.db'}", "hashlib_nb")

    def errors(self, student: str, cell: str) -> list[tuple[str, str]]:
        """The errors (name, message and traceback) that the graded notebook shows under a cell."""
        path = self.course / "autograded" / student / self.name / f"{self.name}.ipynb"
        outputs = cells_by_id(nbformat.read(path, as_version=4))[cell].outputs
        shown = [output for output in outputs if output.output_type == "error"]
        return [(output.ename, strip_ansi("\n".join([output.evalue, *output.traceback]))) for output in shown]


@pytest.fixture(scope="module", params=PARAMS)
def graded(request, tmp_path_factory) -> Graded:
    """One assignment, released and handed in by all students, graded by one command."""
    from nbgrader.apps import NbGraderAPI

    name = request.param
    course = tmp_path_factory.mktemp(name)
    shutil.copytree(COURSE / "source" / name, course / "source" / name)
    config = (COURSE / "nbgrader_config.py").read_text(encoding="utf-8")
    assert "CELL_SECONDS = 30" in config
    (course / "nbgrader_config.py").write_text(config.replace("CELL_SECONDS = 30", f"CELL_SECONDS = {SECONDS}"))
    classroom.main(classroom.Args(names=(name,), course=course))
    release = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
    for student, notebook in submissions(name, release):
        path = course / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    done = NbGraderAPI(config=classroom.configuration(course)).autograde(name, "*")
    assert done["success"], done["log"][-3000:]
    tests = [cell for cell in source(name).cells if role(cell) == "tests"]
    return Graded(name, course, {cell.metadata.nbgrader.grade_id: cell.metadata.nbgrader.points for cell in tests})


def test_every_lesson_has_its_assignment():
    assert set(NAMES) == LESSONS | {SHARED}


@pytest.mark.slow
def test_the_solution_gets_full_marks_and_waits_for_a_reader(graded):
    assert graded.scores("full") == graded.full_points
    with graded.gradebook() as book:
        for name in QUESTIONS:
            answer = book.find_grade(name, graded.name, graded.name, "full")
            assert answer.needs_manual_grade
            answer.manual_score = answer.max_score
        book.db.commit()
        assert book.find_submission(graded.name, "full").score == 24
    assert not graded.errors("full", "experiment")


@pytest.mark.slow
def test_the_untouched_release_gets_nothing(graded):
    assert set(graded.scores("untouched").values()) == {0}
    with graded.gradebook() as book:
        submission = book.find_submission(graded.name, "untouched")
        assert submission.score == 0
        assert not submission.needs_manual_grade
    first = next(iter(graded.full_points))
    assert graded.errors("untouched", first)[0][0] == "NotImplementedError"


@pytest.mark.slow
def test_half_right_gets_its_part(graded):
    wrong, points = half_right(graded.name)
    assert graded.scores("half-right") == points
    assert len(wrong) >= 2
    assert 0 < sum(points.values()) < sum(graded.full_points.values())


@pytest.mark.parametrize(("name", "task", "cost", "body"), list(slips()))
def test_a_slip_costs_the_cell_that_it_concerns_and_no_other(name, task, cost, body):
    cells, namespace, said = cells_by_id(source(name)), dict(set_up(name)), {}
    exec(SOLUTION.sub(lambda _: body.rstrip("\n"), cells[task].source), namespace)
    for tests in tasks_of(source(name))[task]:
        try:
            exec(cells[tests].source, namespace)
        except AssertionError as error:
            said[tests] = str(error)
    assert [*said] == [cost], said
    assert said[cost], "a check that fails says why"


@pytest.mark.slow
def test_a_crash_and_a_syntax_error_cost_their_tasks_alone_and_are_shown(graded):
    """What the other tasks of the same submission score, the test before has seen."""
    tasks = tasks_of(source(graded.name))
    crashing, misspelled = broken(graded.name)
    what, traceback = graded.errors("half-right", tasks[crashing][0])[0]
    assert what == "ZeroDivisionError"
    assert "return 1 / 0" in traceback
    assert graded.errors("half-right", misspelled)[0][0] == "SyntaxError"
    assert f"name '{misspelled}' is not defined" in graded.errors("half-right", tasks[misspelled][0])[0][1]


@pytest.mark.slow
@pytest.mark.parametrize("graded", PARAMS[:1], indirect=True)
def test_an_endless_loop_costs_its_task_alone_and_says_what_it_was(graded):
    endless = endless_task(graded.name)
    lost = tasks_of(source(graded.name))[endless]
    assert graded.scores("endless") == {
        tests: 0 if tests in lost else points for tests, points in graded.full_points.items()
    }
    (where, traceback), (what, message) = graded.errors("endless", lost[0])
    assert where == "KeyboardInterrupt"
    assert f"in {endless}(" in traceback
    assert "while True:" in traceback
    assert what == "CellTimeoutError"
    assert f"ran for more than {SECONDS} s and was stopped" in message


@pytest.mark.slow
def test_the_release_holds_no_solution_and_no_hidden_test(graded):
    release = cells_by_id(nbformat.read(graded.course / "release" / graded.name / f"{graded.name}.ipynb", as_version=4))
    for name, cell in cells_by_id(source(graded.name)).items():
        assert name in release
        for secret in SOLUTION.findall(cell.source) + HIDDEN.findall(cell.source):
            assert secret not in release[name].source
            assert "".join(secret.split()) not in "".join(release[name].source.split())
        if role(cell) == "question":
            stub = "YOUR ANSWER HERE" if cell.cell_type == "markdown" else dedent(STUB)
            assert release[name].source == stub
    assert not any("### " in cell.source for cell in release.values() if cell.cell_type == "code")


@each
def test_shape(name):
    notebook = source(name)
    tasks, cells = tasks_of(notebook), cells_by_id(notebook)
    graded_cells = [cell for cell in cells.values() if role(cell) in ("tests", "question")]
    assert 3 <= len(tasks) <= 5
    assert sum(cell.metadata.nbgrader.points for cell in graded_cells if role(cell) == "tests") == 16
    assert [cells[name].metadata.nbgrader.points for name in QUESTIONS] == [4, 1, 3]
    assert "*Marking, one point each.*" in cells["question"].source
    assert "*Marking, one point each.*" in cells["report"].source
    assert all(cell.metadata.nbgrader.locked for cell in notebook.cells if not cell.metadata.nbgrader.solution)
    for task, tests in tasks.items():
        assert len(SOLUTION.findall(cells[task].source)) == cells[task].source.count("### BEGIN SOLUTION") == 1
        assert task in {node.name for node in ast.parse(cells[task].source).body if isinstance(node, ast.FunctionDef)}
        assert len(tests) >= 2, f"{task} is all or nothing: one slip would cost all of its points"
        for test in tests:
            hidden = HIDDEN.findall(cells[test].source)
            visible = HIDDEN.sub("", cells[test].source)
            assert hidden, f"{test} has no hidden tests"
            assert "assert" in visible, f"{test} has no visible checks"


@each
def test_points_in_the_table_are_those_of_the_cells(name):
    notebook = source(name)
    cells = cells_by_id(notebook)
    rows = re.findall(r"^\| \d \| (.+) \| ([\d+ ]+) \|$", notebook.cells[0].source, re.MULTILINE)
    expected = [[cells[test].metadata.nbgrader.points for test in tests] for tests in tasks_of(notebook).values()]
    assert [sorted(map(int, points.split("+"))) for _, points in rows] == [*map(sorted, expected), [4], [1, 3]]


@each
def test_only_public_names_of_the_package_are_used(name):
    for cell in source(name).cells:
        if cell.cell_type == "code":
            assert private_names(ast.parse(cell.source)) == []


def private_names(code: ast.Module) -> list[str]:
    """Names with a leading underscore that are imported from hashlib_nb, or looked up in anything."""
    found = []
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("hashlib_nb"):
            found += [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Attribute):
            found.append(node.attr)
    return [name for name in found if re.match("_(?!_)", name)]  # names such as __version__ are public


@each
def test_a_task_needs_no_other_one(name):
    """So a bad answer costs its own points and no others."""
    notebook = source(name)
    tasks, cells = tasks_of(notebook), cells_by_id(notebook)
    for task, tests in tasks.items():
        for cell in (task, *tests):
            names = {node.id for node in ast.walk(ast.parse(cells[cell].source)) if isinstance(node, ast.Name)}
            assert names & (set(tasks) - {task}) == set(), cell


@pytest.fixture
def course_copy(tmp_path) -> Path:
    """The course folder as it is in a fresh clone."""
    shutil.copytree(COURSE, tmp_path / "assignments", ignore=shutil.ignore_patterns(*ignored_by_git()))
    return tmp_path / "assignments"


def ignored_by_git() -> list[str]:
    return [line.rstrip("/") for line in (COURSE / ".gitignore").read_text().split()]


def commands(heading: str) -> list[tuple[str, str]]:
    """Who types what: the bash blocks under a heading of the lecturer's page, in order."""
    page = (COURSE / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {heading}\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)[1]
    return re.findall(r"^```bash ?(\w*)\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def typed(block: str, folder: Path, **environment: str) -> str:
    """Run a block as it stands, with the environment activated; what it says."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=os.environ | {"PATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def solved(course: Path, name: str) -> NotebookNode:
    """What a student hands in who has solved all of a released assignment that the machine grades."""
    cells = cells_by_id(source(name))
    solutions = {task: SOLUTION.search(cells[task].source)[1] for task in tasks_of(source(name))}
    return answered(nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4), solutions)


@pytest.mark.slow
@pytest.mark.xdist_group("lecturer")
def test_the_page_works_as_typed_without_jupyterhub(course_copy):
    name = "01_hash_codes"
    release, folder, *rest = [block for _, block in commands("Without JupyterHub")]
    typed(release, course_copy)
    typed(folder, course_copy)
    nbformat.write(solved(course_copy, name), course_copy / "downloaded" / name / "archive" / f"ada_{name}.ipynb")
    said = "".join(typed(block, course_copy) for block in rest)
    assert "Warning" not in said  # of Python, to a lecturer
    rows = list(csv.DictReader((course_copy / "grades.csv").open()))
    assert [(row["assignment"], row["student_id"], float(row["score"])) for row in rows] == [(name, "ada", 16)]
    feedback = (course_copy / "feedback" / "ada" / name / f"{name}.html").read_text(encoding="utf-8")
    assert "No response." in feedback  # the question
    assert "Score: 16.0 / 24.0" in feedback


@pytest.mark.slow
@pytest.mark.xdist_group("lecturer")
def test_the_page_works_as_typed_with_jupyterhub(course_copy, tmp_path):
    """One account plays both parts; the exchange and the hub's settings lie in folders of their own."""
    name = "01_hash_codes"
    desk, exchange, settings = (tmp_path / each for each in ("desk", "exchange", "settings"))
    for each_folder in (desk, exchange, settings):
        each_folder.mkdir()
    page = (COURSE / "README.md").read_text(encoding="utf-8")
    (shared,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert "/srv/nbgrader/exchange" in shared
    (settings / "nbgrader_config.py").write_text(shared.replace("/srv/nbgrader/exchange", str(exchange)))
    for who, block in commands("With JupyterHub"):
        if "nbgrader submit" in block:
            fetch, submit = block.split("nbgrader submit")
            typed(fetch, desk, JUPYTER_CONFIG_PATH=str(settings))
            nbformat.write(solved(course_copy, name), desk / name / f"{name}.ipynb")
            block = "nbgrader submit" + submit
        typed(block, {"lecturer": course_copy, "student": desk}[who], JUPYTER_CONFIG_PATH=str(settings))
    (feedback,) = (desk / name / "feedback").glob(f"*/{name}.html")
    assert "Score: 16.0 / 24.0" in feedback.read_text(encoding="utf-8")


def test_the_page_lists_every_assignment_with_its_points():
    page = (COURSE / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        points = [cell.metadata.nbgrader.points for cell in source(name).cells if role(cell) in ("tests", "question")]
        row = re.search(rf"^\| \[{name}\]\(source/{name}/{name}\.ipynb\) .*$", page, re.MULTILINE)[0]
        assert f"| {sum(points[:-3])} + {points[-3]} + {sum(points[-2:])} |" in row


def test_links_of_the_page_lead_somewhere():
    page = (COURSE / "README.md").read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", page) if not target.startswith("http")]
    assert targets
    assert [target for target in targets if not (COURSE / target).exists()] == []
