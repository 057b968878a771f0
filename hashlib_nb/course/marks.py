"""Marks and feedback in which an answer that nobody has read yet is not worth 0.

nbgrader counts such an answer as 0 points, in the table of marks as in the feedback, and an assignment that was never
collected as 0 for everybody. `Table` stands in for its table, `Feedback` for the first step of its feedback, whose page
is templates/feedback_page/index.html.j2. `nbgrader_config.py` in the course folder names both.
"""

from __future__ import annotations

import csv
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode
from nbgrader.api import Assignment, Grade, Gradebook, MissingEntry, Student, SubmittedAssignment
from nbgrader.plugins import ExportPlugin
from nbgrader.preprocessors import GetGrades
from nbgrader.utils import is_grade

COLUMNS = (
    *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email"),
    *("raw_score", "late_submission_penalty", "score", "max_score", "waiting"),
)
"""Those of nbgrader's own table, and behind them the names of the answers that wait for a mark."""
TEMPLATES = Path(__file__).parent / "templates"
"""Where nbconvert finds the page of the feedback."""
TASK = re.compile(r"^## (Task \d+ · .+?)(?: \([^)]*\))?$", re.MULTILINE)
"""The heading of a task, without its points."""


def waits(grade: Grade) -> bool:
    """Whether an answer was given that nobody has marked: one that was left empty has its 0 from the machine."""
    return grade.auto_score is None and grade.manual_score is None


class Table(ExportPlugin):
    """Writes the table of marks: a line for each student and each assignment that anybody handed in.

    `score` is empty while answers wait for a mark; `raw_score` is what there is so far. A student who did not hand in
    what others did has 0.
    """

    def export(self, gradebook: Gradebook) -> None:
        """Write it to `--to`, or to grades.csv; see the class."""
        rows = list(self._rows(gradebook))
        with Path(self.to or "grades.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        for row in rows:
            if row["waiting"]:
                self.log.warning(
                    "%s, %s: no score, for %s waits for a mark", row["assignment"], row["student_id"], row["waiting"]
                )

    def _rows(self, gradebook: Gradebook) -> Iterator[dict]:
        for assignment in gradebook.assignments:
            if not assignment.submissions or (self.assignment and assignment.name not in self.assignment):
                continue
            for student in gradebook.students:
                if not self.student or student.id in self.student:
                    yield _row(assignment, student, _handed_in(gradebook, assignment, student))


def _handed_in(gradebook: Gradebook, assignment: Assignment, student: Student) -> SubmittedAssignment | None:
    try:
        return gradebook.find_submission(assignment.name, student.id)
    except MissingEntry:
        return None


def _row(assignment: Assignment, student: Student, submission: SubmittedAssignment | None) -> dict:
    row = {name: getattr(student, name) for name in ("last_name", "first_name", "email")}
    row |= {"assignment": assignment.name, "duedate": assignment.duedate, "student_id": student.id}
    row |= {"raw_score": 0.0, "late_submission_penalty": 0.0, "score": 0.0, "max_score": assignment.max_score}
    row |= {"timestamp": "", "waiting": ""}
    if submission is None:
        return row
    grades = [grade for notebook in submission.notebooks for grade in notebook.grades]
    waiting = " ".join(grade.name for grade in grades if waits(grade))
    penalty = submission.late_submission_penalty
    score = "" if waiting else max(0.0, submission.score - penalty)
    row |= {"raw_score": submission.score, "late_submission_penalty": penalty, "score": score}
    return row | {"timestamp": submission.timestamp, "waiting": waiting}


class Feedback(GetGrades):
    """Puts marks and comments into a notebook, and with them what nbgrader's page does not say.

    A cell that is worth points learns the task it belongs to (`heading`) and whether it waits for a mark (`waits`); the
    page learns how many points wait, and where MathJax is.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Put them in; see the class."""
        self._heading, waiting = "", 0.0
        nb, resources = super().preprocess(nb, resources)
        for cell in nb.cells:
            if is_grade(cell) and cell.metadata.nbgrader.waits:
                waiting += cell.metadata.nbgrader.points
        resources["nbgrader"] |= {"waiting": waiting, "mathjax": mathjax()}
        if waiting:
            about = resources["nbgrader"]
            self.log.warning("%s, %s: %g points wait for a mark", about["assignment"], about["student"], waiting)
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: dict, cell_index: int) -> tuple[NotebookNode, dict]:
        """One cell; see the class."""
        heading = TASK.search(cell.source) if cell.cell_type == "markdown" and not is_grade(cell) else None
        self._heading = heading[1] if heading else self._heading
        return super().preprocess_cell(cell, resources, cell_index)

    def _get_score(self, cell: NotebookNode, resources: dict) -> None:
        super()._get_score(cell, resources)
        name = cell.metadata.nbgrader.grade_id
        grade = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
        cell.metadata.nbgrader |= {"waits": waits(grade), "heading": self._heading}


def mathjax() -> str:
    """A script that sets formulas without the net: MathJax as sphinx-mathjax-offline brings it, 2 MB, no fonts needed.

    It goes into each page as a whole, so that a page can be mailed.
    """
    package = importlib.util.find_spec("sphinx-mathjax-offline")
    if package is None or package.origin is None:
        raise ValueError("sphinx-mathjax-offline is not installed; run make install, or pip install -e '.[test]'")
    return (Path(package.origin).parent / "static" / "mathjax" / "tex-svg.js").read_text(encoding="utf-8")
