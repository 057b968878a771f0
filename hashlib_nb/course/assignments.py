"""Assignments for a class: check every source notebook, then write what the students get; look at what they hand in.

    python -m hashlib_nb classroom              # all of them: what `make assignments` does
    python -m hashlib_nb classroom --names 01_hash_codes
    python -m hashlib_nb classroom --names 01_hash_codes --check-submissions

A source holds solutions and hidden tests, and must pass its own tests. Its release must hold neither, and every
solution in it must be a stub that raises NotImplementedError. Run again, releases are written anew, and a gradebook
keeps its marks.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbconvert.filters import strip_ansi

from hashlib_nb import artifacts

COURSE = Path(__file__).resolve().parents[2] / "assignments"
"""The course folder of the clone that this file lies in."""
CONFIG = "nbgrader_config.py"
MARKERS = ("### BEGIN", "### END")
"""How nbgrader's markers of solutions and hidden tests begin."""


@dataclass(frozen=True)
class Args:
    """Check the source of each assignment and write its release version, or check what was handed in."""

    names: tuple[str, ...] = ()
    """folders in source/ to release, such as 01_hash_codes; all of them if none is given"""
    check_submissions: bool = False
    """release nothing; say which files in submitted/ nbgrader could not grade, or would grade as empty"""
    course: Path = COURSE
    """course folder, with nbgrader_config.py and source/"""


def main(args: Args) -> None:
    """Check and release; stops at the first assignment that is wrong.

    Raises:
        ValueError: nbgrader is not installed, there is no such course or assignment, or an assignment is wrong.
    """
    if importlib.util.find_spec("nbgrader") is None:
        raise ValueError("nbgrader is not installed; run make install, or pip install -e '.[test]'")
    course = artifacts.absolute(args.course)
    for name in _names(course, args.names):
        if args.check_submissions:
            _check_submissions(course, name)
        else:
            _release(course, name)


def _release(course: Path, name: str) -> None:
    source, release = (course / step / name / f"{name}.ipynb" for step in ("source", "release"))
    for problem in source_problems(source):
        raise ValueError(f"{name}: {problem}")
    with _kept(release.parent):
        _generate(course, name)
        for problem in release_problems(release):
            raise ValueError(f"{name}: its release is not fit to hand out: {problem}")
    tasks, points = summarize(nbformat.read(source, as_version=4))
    print(f"{name}: {tasks} tasks, {points:g} points; {artifacts.shown(release)}", flush=True)


def _check_submissions(course: Path, name: str) -> None:
    release = course / "release" / name / f"{name}.ipynb"
    if not release.is_file():
        raise ValueError(f"{name} has no release to compare submissions with; leave out --check-submissions first")
    folders = sorted(path for path in course.glob(f"submitted/*/{name}") if path.is_dir())
    found = {folder.parent.name: list(submission_problems(release, folder)) for folder in folders}
    for student, problems in found.items():
        for problem in problems:
            print(f"{name}, {student}: {problem}")
    print(f"{name}: {len(found)} submissions, {sum(map(bool, found.values()))} of them need a look")


def _names(course: Path, wanted: tuple[str, ...]) -> list[str]:
    if not (course / CONFIG).is_file():
        raise ValueError(f"course is {course}, which has no {CONFIG}; name the folder that has it")
    there = sorted(path.parent.name for path in course.glob("source/*/*.ipynb"))
    if unknown := [name for name in wanted if name not in there]:
        raise ValueError(f"names has {unknown[0]!r}; source/ has {', '.join(there) or 'nothing'}")
    if not there:
        raise ValueError(f"course is {course}, whose source/ holds no notebook; put each in source/<name>/<name>.ipynb")
    return list(wanted) or there


def role(cell: nbformat.NotebookNode) -> str:
    """What a cell is to nbgrader: "solution", "tests", "question" (graded by hand), or "" for all others."""
    marks = cell.metadata.get("nbgrader", {})
    if marks.get("solution"):
        return "question" if marks.get("grade") else "solution"
    return "tests" if marks.get("grade") else ""


def summarize(notebook: nbformat.NotebookNode) -> tuple[int, float]:
    """Number of tasks and of points of an assignment; a task is a function, or an answer in words."""
    tasks = sum(role(cell) == "solution" or _in_words(cell) for cell in notebook.cells)
    points = sum(cell.metadata.nbgrader.points for cell in notebook.cells if role(cell) in ("tests", "question"))
    return tasks, points


def _in_words(cell: nbformat.NotebookNode) -> bool:
    return role(cell) == "question" and cell.cell_type == "markdown"


def source_problems(path: Path) -> Iterator[str]:
    """What is wrong with a source notebook: its nbgrader metadata, or cells that fail with the solutions in place."""
    from nbgrader.nbgraderformat import MetadataValidator, ValidationError
    from nbgrader.validator import Validator

    notebook = nbformat.read(path, as_version=4)
    try:
        MetadataValidator().validate_nb(notebook)
    except ValidationError as error:
        yield f"its nbgrader metadata is wrong: {error.message}"
        return
    settings = configuration(path.parents[2])
    results = Validator(config=settings, validate_all=True, ignore_checksums=True).validate(str(path))
    name_of = {cell.source.strip(): _name(cell) for cell in notebook.cells}
    for failed in results.get("failed", []):
        reason = strip_ansi(failed["raw_error"]).strip().splitlines()[-1]
        yield f"cell {name_of[failed['source']]} fails with the source's own solutions ({reason})"


def release_problems(path: Path) -> Iterator[str]:
    """What is wrong with a release notebook: code that does not parse, a solution that is no stub, a marker left."""
    for cell in nbformat.read(path, as_version=4).cells:
        if any(marker in cell.source for marker in MARKERS):
            yield f"cell {_name(cell)} still holds a marker of a solution or a hidden test"
        if cell.cell_type != "code":
            continue
        try:
            code = ast.parse(cell.source)
        except SyntaxError as error:
            yield f"cell {_name(cell)} does not parse: line {error.lineno}, {error.msg}"
            continue
        if role(cell) == "solution" and not _is_stub(code):
            yield f"solution cell {_name(cell)} is not one function with a docstring that raises NotImplementedError"


def submission_problems(release: Path, folder: Path) -> Iterator[str]:
    """What is wrong with a submission: its name, a file that is no notebook, graded cells that are gone or there twice.

    Args:
        release: the notebook that was handed out.
        folder: submitted/<student>/<assignment>.
    """
    from hashlib_nb.course.grading import TWICE, grade_id, stray

    path = folder / release.name
    if not path.is_file():
        there = ", ".join(sorted(each.name for each in folder.iterdir())) or "nothing"
        yield f"there is {there}, but no {release.name}; rename the notebook"
        return
    marked = [cell for cell in nbformat.read(release, as_version=4).cells if grade_id(cell)]
    try:
        notebook = nbformat.read(path, as_version=4)
        strays = stray(notebook, {grade_id(cell) for cell in marked})
    except (nbformat.ValidationError, ValueError, AttributeError, TypeError, KeyError):  # other JSON, and no JSON
        yield f"{release.name} is not a notebook; ask for the file again"
        return
    for name in {grade_id(cell): None for cell, reason in strays if reason == TWICE}:
        yield f"cell {name} is there twice; the last one is graded, so look whether that is the one meant"
    dropped = {id(cell) for cell, _ in strays}
    handed_in = {grade_id(cell) for cell in notebook.cells if id(cell) not in dropped}
    wanted = [grade_id(cell) for cell in marked if role(cell)]
    if lost := [name for name in wanted if name not in handed_in]:
        shown = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        yield f"graded cells are gone ({shown}), deleted or pasted into a new notebook; they score 0, so ask again"


def _name(cell: nbformat.NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", cell.get("id", "without a name"))


def _is_stub(code: ast.Module) -> bool:
    """Whether code is one function whose body is a docstring and `raise NotImplementedError()`."""
    if len(code.body) != 1 or not isinstance(code.body[0], ast.FunctionDef):
        return False
    function = code.body[0]
    return ast.get_docstring(function) is not None and [ast.unparse(line) for line in function.body[1:]] == [
        "raise NotImplementedError()"
    ]


def configuration(course: Path):
    """The settings in a course's nbgrader_config.py, as nbgrader's classes take them (a traitlets `Config`)."""
    from traitlets.config import PyFileConfigLoader

    return PyFileConfigLoader(CONFIG, path=str(course)).load_config()


@contextmanager
def _kept(folder: Path) -> Iterator[None]:
    """Put a release back as it was before, if the new one fails: nbgrader removes the old one first."""
    with tempfile.TemporaryDirectory() as aside:
        before = shutil.copytree(folder, Path(aside, "release")) if folder.is_dir() else None
        try:
            yield
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            if before:
                shutil.copytree(before, folder)
            raise


def _generate(course: Path, name: str) -> None:
    """Write the release and enter the assignment into the gradebook, which keeps the marks that it has."""
    from nbgrader.apps import NbGraderAPI

    done = NbGraderAPI(config=configuration(course)).generate_assignment(name)
    if not done["success"]:
        log = done.get("log") or done["error"]
        reasons = re.findall(r"^\s*(?:\w+\.)*\w+(?:Error|Exception): (.+)$", log, re.MULTILINE)
        raise ValueError(f"{name}: nbgrader could not make a release: {(reasons or log.strip().splitlines())[-1]}")


if __name__ == "__main__":
    artifacts.run(main, Args)
