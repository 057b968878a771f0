"""The lessons of the book: notebooks/ as they are written, with the outputs of their executed copies.

Text, code and metadata come from notebooks/, so that a word can be mended without running anything; outputs come from
the copy that a run left in runs/, or from the one that book/executed/ keeps, if its code is the notebook's
(`hashlib_nb.course.executed`). A lesson that has neither ends the build with the command that makes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.config import Config

from hashlib_nb.course import executed, lessons

INTRODUCTION = (
    "Each is a notebook, shown here as it ran. `make lab` opens them to run and to change; each finds what the one "
    "before left, or makes it and says so."
)


def place(app: Sphinx, config: Config) -> None:
    """Write every lesson with its outputs into the book's folder lessons/, and a page that lists them.

    Raises:
        SystemExit: A lesson has no executed copy that is of use: one sentence with all of them and the command. Sphinx
            would bury any other exception in a report of its own versions and a traceback.
    """
    book = Path(app.srcdir)
    copies = {lesson: executed.find(lesson, book / "executed") for lesson in lessons.LESSONS}
    if faults := {lesson: copy for lesson, copy in copies.items() if isinstance(copy, str)}:
        sys.exit(f"error: {executed.explain(faults)}")
    folder = book / "lessons"
    folder.mkdir(exist_ok=True)
    for lesson, copy in copies.items():
        shown = executed.merged(nbformat.read(lesson.path, as_version=4), copy)
        if (book / "answers" / f"{lesson.path.stem}.md").exists():
            point_to_answers(shown, lesson.path.stem)
        write(folder / lesson.path.name, nbformat.writes(shown))
    write(folder / "index.md", contents([lesson.path for lesson in copies]))
    for left in {*folder.glob("*.ipynb")} - {folder / lesson.path.name for lesson in copies}:
        left.unlink()


def point_to_answers(lesson: NotebookNode, name: str) -> None:
    """A line under the exercises that leads to their answers."""
    for cell in lesson.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## Exercises"):
            cell.source += f"\n\n[Answers to exercises 1 to 4](../answers/{name}.md), folded."


def contents(sources: list[Path]) -> str:
    """The page that lists the lessons, each with the question under its title."""
    rows, entries = [], []
    for path in sources:
        title, question = executed.title_and_question(nbformat.read(path, as_version=4))
        rows.append(f"| [{title}]({path.name}) | {question} |")
        entries.append(path.stem)
    table = ["| notebook | question |", "|---|---|", *rows]
    tree = ["```{toctree}", ":hidden:", "", *entries, "```"]
    return "\n".join(["# The lessons", "", INTRODUCTION, "", *table, "", *tree, ""])


def write(path: Path, text: str) -> None:
    """Write what has changed, so that Sphinx reads again no more than that."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Before Sphinx looks for pages."""
    app.connect("config-inited", place)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
