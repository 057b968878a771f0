"""The lessons of the book: notebooks/ as they are written, with the outputs of their executed copies in runs/.

Text, code and metadata come from notebooks/, so that a word can be mended without running anything; outputs come from
the copy that `python -m hashlib_nb run_course` left, if its code cells are those of the notebook. A copy that is
missing, failed, was stopped or has other code ends the build with the command that makes it anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.config import Config

from hashlib_nb import artifacts
from hashlib_nb.course import lessons

INJECTED = "injected-parameters"
"""Tag of the cell that papermill adds where a notebook was run with other parameters."""
INTRODUCTION = (
    "Each is a notebook, shown here as it ran. `make lab` opens them to run and to change; each finds what the one "
    "before left, or makes it and says so."
)
WIDGET = "application/vnd.jupyter.widget-view+json"


def place(app: Sphinx, config: Config) -> None:
    """Write every lesson with its outputs into the book's folder lessons/, and a page that lists them.

    Raises:
        SystemExit: An executed copy is missing or unusable: one sentence with all of them and the command. Sphinx would
            bury any other exception in a report of its own versions and a traceback.
    """
    book, runs = Path(app.srcdir), artifacts.project_root() / "runs"
    sources = [lesson.path for lesson in lessons.read_lessons(book.parent / "notebooks" / "lessons.txt")]
    executed = {path: read_executed(path, runs / path.name) for path in sources}
    if faults := {path: copy for path, copy in executed.items() if isinstance(copy, str)}:
        sys.exit(f"error: {_all_faults(faults)}")
    folder = book / "lessons"
    folder.mkdir(exist_ok=True)
    for path, copy in executed.items():
        lesson = merged(nbformat.read(path, as_version=4), copy)
        if (book / "answers" / f"{path.stem}.md").exists():
            point_to_answers(lesson, path.stem)
        write(folder / path.name, nbformat.writes(lesson))
    write(folder / "index.md", contents(sources))
    for left in {*folder.glob("*.ipynb")} - {folder / path.name for path in sources}:
        left.unlink()


def read_executed(source: Path, path: Path) -> NotebookNode | str:
    """The executed copy of a notebook, or what is wrong with it."""
    try:
        copy = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        return "is missing"
    except (ValueError, nbformat.reader.NotJSONError, nbformat.ValidationError):
        return "is no whole notebook"
    run = copy.metadata.get("papermill", {})
    if run.get("exception") or any(output.output_type == "error" for cell in code_of(copy) for output in cell.outputs):
        return "failed"
    if not run.get("end_time"):
        return "did not run to its end"
    written = [cell.source for cell in code_of(nbformat.read(source, as_version=4))]
    if written != [cell.source for cell in code_of(copy) if not is_injected(cell)]:
        return "has other code than the notebook"
    return copy


def merged(lesson: NotebookNode, copy: NotebookNode) -> NotebookNode:
    """The notebook with the copy's outputs; the cell of injected parameters stays where papermill put it."""
    cells, made = [], iter(code_of(copy))
    for cell in lesson.cells:
        if cell.cell_type == "code":
            ran = next(made)
            if is_injected(ran):
                cells.append(ran)
                ran = next(made)
            cell.outputs = [output for output in ran.outputs if is_shown(output)]
        cells.append(cell)
    lesson.cells = cells
    return lesson


def point_to_answers(lesson: NotebookNode, name: str) -> None:
    """A line under the exercises that leads to their answers."""
    for cell in lesson.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("## Exercises"):
            cell.source += f"\n\n[Answers to exercises 1 to 4](../answers/{name}.md), folded."


def is_shown(output: NotebookNode) -> bool:
    """Whether a page can show an output: no live widgets, progress bars among them, and no warnings on stderr."""
    return output.get("name") != "stderr" and WIDGET not in output.get("data", {})


def is_injected(cell: NotebookNode) -> bool:
    """Whether papermill added the cell."""
    return INJECTED in cell.metadata.get("tags", [])


def code_of(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def contents(sources: list[Path]) -> str:
    """The page that lists the lessons, each with the question under its title."""
    rows, entries = [], []
    for path in sources:
        title, question = title_and_question(nbformat.read(path, as_version=4))
        rows.append(f"| [{title}]({path.name}) | {question} |")
        entries.append(path.stem)
    table = ["| notebook | question |", "|---|---|", *rows]
    tree = ["```{toctree}", ":hidden:", "", *entries, "```"]
    return "\n".join(["# The lessons", "", INTRODUCTION, "", *table, "", *tree, ""])


def title_and_question(lesson: NotebookNode) -> tuple[str, str]:
    """What the first cell says: `# title`, and below it `**question**`."""
    first = [line for line in lesson.cells[0].source.splitlines() if line]
    return first[0].removeprefix("# "), first[1].strip("*")


def _all_faults(faults: dict[Path, str]) -> str:
    said = "; ".join(f"runs/{path.name} {fault}" for path, fault in faults.items())
    numbers = " ".join(path.stem.partition("_")[0] for path in faults)
    return f"{said}. Run: .venv/bin/python -m hashlib_nb run_course --notebooks {numbers}"


def write(path: Path, text: str) -> None:
    """Write what has changed, so that Sphinx reads again no more than that."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Before Sphinx looks for pages."""
    app.connect("config-inited", place)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
