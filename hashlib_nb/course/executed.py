"""The lessons as they ran: their executed copies in runs/, and those that book/executed/ keeps for whoever browses.

    python -m hashlib_nb executed check    # which lessons no copy shows as they are; exit status 1 if there are any
    python -m hashlib_nb executed run      # run these, as `python -m hashlib_nb run_course` would
    python -m hashlib_nb executed keep     # write a copy of each into book/executed/

A copy has the text, code and metadata of the notebook as it is written now and the outputs of a run, if the code that
ran is the notebook's: a word can be mended without running anything. Such a copy is looked for in runs/ and then in
book/executed/. Kept copies are small, with figures of 256 colors, and without progress bars, warnings, times of single
cells and folders of the machine.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import nbformat
import tyro
from nbformat import NotebookNode
from PIL import Image

from hashlib_nb.artifacts import CommandError, absolute, atomic, project_root, run
from hashlib_nb.course import lessons
from hashlib_nb.course.lessons import NOTEBOOKS, Lesson

KEPT = NOTEBOOKS.parent / "book" / "executed"
"""Folder of the kept copies, in the clone."""
COLORS = 256
"""Colors of a kept figure: as many as a PNG's palette holds, at a third of the bytes."""
INJECTED = "injected-parameters"
"""Tag of the cell that papermill adds where a notebook was run with other parameters."""
WIDGET = "application/vnd.jupyter.widget-view+json"
OF_A_FILE = re.compile(r"(saved|loaded) \S+ \(.*\)$")
"""What a stage prints of a file that it writes or finds."""
OF_A_RUN = ("version", "start_time", "end_time", "duration", "exception", "parameters")
"""What a kept copy tells of its run, of all that papermill notes: no folder of the machine."""


@dataclass(frozen=True)
class Args:
    """See to it that every lesson can be shown as it ran."""

    do: Annotated[Literal["check", "run", "keep"], tyro.conf.Positional] = "check"
    """name the lessons that no copy shows as they are; run them; or write a copy of each into book/executed/"""

    def __post_init__(self) -> None:
        """Check that there are lessons, as in every clone."""
        if not lessons.LESSONS:
            raise ValueError(f"{NOTEBOOKS} has no lessons.txt; run this in a clone of the repository")


def main(args: Args) -> None:
    """Check, run or keep.

    Raises:
        CommandError: Lessons that no copy shows as they are, but for `run`; or a notebook failed.
    """
    found = {lesson: find(lesson) for lesson in lessons.LESSONS}
    faults = {lesson: fault for lesson, fault in found.items() if isinstance(fault, str)}
    if args.do == "run" and faults:
        lessons.main(lessons.Args(notebooks=tuple(lesson.number for lesson in faults)))
    elif faults:
        raise CommandError(explain(faults))
    elif args.do == "keep":
        keep(found)
    else:
        print(f"{len(found)} lessons can be shown as they ran")


def find(lesson: Lesson, kept: Path | None = None) -> NotebookNode | str:
    """The executed copy that shows a lesson as it is, or what is wrong.

    Args:
        lesson: which.
        kept: folder in which to look where runs/ has none; by default book/executed/.
    """
    kept = kept or KEPT
    found = read_executed(lesson.path, project_root() / "runs" / lesson.path.name)
    if isinstance(found, str) and not isinstance(other := read_executed(lesson.path, kept / lesson.path.name), str):
        return other
    return found


def explain(faults: Mapping[Lesson, str]) -> str:
    """One sentence with what is wrong with each lesson's copy, and the command that mends it."""
    said = "; ".join(f"runs/{lesson.path.name} {fault}" for lesson, fault in faults.items())
    numbers = " ".join(lesson.number for lesson in faults)
    return f"{said}. Run: .venv/bin/python -m hashlib_nb run_course --notebooks {numbers}"


def read_executed(source: Path, path: Path) -> NotebookNode | str:
    """The executed copy of a notebook, or what is wrong with it."""
    try:
        copy = nbformat.read(path, as_version=4)
    except FileNotFoundError:
        return "is missing"
    except (ValueError, nbformat.reader.NotJSONError, nbformat.ValidationError):
        return "is no whole notebook"
    noted = copy.metadata.get("papermill", {})
    kinds = {output.output_type for cell in code_of(copy) for output in cell.outputs}
    if noted.get("exception") or "error" in kinds:
        return "failed"
    if not noted.get("end_time"):
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
            cell.outputs = readable(ran.outputs)
            cell.execution_count = ran.execution_count
        cells.append(cell)
    lesson.cells = cells
    return lesson


def readable(outputs: Iterable[NotebookNode]) -> list[NotebookNode]:
    """Outputs that a page can show, with neighboring prints as one and few lines about files."""
    kept: list[NotebookNode] = []
    for output in filter(is_shown, outputs):
        if kept and output.output_type == kept[-1].output_type == "stream":
            kept[-1].text += output.text
        else:
            kept.append(nbformat.from_dict(output))
    for output in kept:
        if output.output_type == "stream":
            output.text = few_lines_of_files(output.text)
    return kept


def few_lines_of_files(text: str) -> str:
    """A print in which three lines or more in a row that name files saved or loaded are the first and their number."""
    lines: list[str] = []
    row: list[str] = []
    for line in [*text.splitlines(keepends=True), ""]:
        if OF_A_FILE.match(line.rstrip("\n")):
            row.append(line)
        else:
            lines += row if len(row) < 3 else [row[0], f"... and {len(row) - 1} more files saved or loaded\n"]
            lines.append(line)
            row = []
    return "".join(lines)


def is_shown(output: NotebookNode) -> bool:
    """Whether a page can show an output: no live widgets, progress bars among them, and no warnings on stderr."""
    return output.get("name") != "stderr" and WIDGET not in output.get("data", {})


def is_injected(cell: NotebookNode) -> bool:
    """Whether papermill added the cell."""
    return INJECTED in cell.metadata.get("tags", [])


def code_of(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def title_and_question(lesson: NotebookNode) -> tuple[str, str]:
    """What the first cell says: `# title`, and below it `**question**`."""
    first = [line for line in lesson.cells[0].source.splitlines() if line]
    return first[0].removeprefix("# "), first[1].strip("*")


def keep(copies: Mapping[Lesson, NotebookNode]) -> None:
    """Write a small copy of each lesson into book/executed/, and the page that lists them.

    Raises:
        CommandError: One ran with other parameters than its own.
    """
    for lesson, copy in copies.items():
        if any(map(is_injected, code_of(copy))):
            raise CommandError(
                f"runs/{lesson.path.name} ran with other parameters than the notebook's. "
                f"Run: .venv/bin/python -m hashlib_nb run_course --notebooks {lesson.number}"
            )
    made = {lesson: small(nbformat.read(lesson.path, as_version=4), copy) for lesson, copy in copies.items()}
    texts = {lesson.path.name: nbformat.writes(notebook) + "\n" for lesson, notebook in made.items()}
    texts["README.md"] = listing(made)
    for name, text in texts.items():
        with atomic(KEPT / name) as partial:
            partial.write_text(text, encoding="utf-8")
    for left in {path.name for path in KEPT.glob("*.ipynb")} - texts.keys():
        (KEPT / left).unlink()
    print(f"book/executed/ has {len(made)} lessons as they ran, {sum(map(len, texts.values())) / 1e6:.1f} MB")


def small(lesson: NotebookNode, copy: NotebookNode) -> NotebookNode:
    """The notebook with the copy's outputs as book/executed/ keeps it."""
    shown = merged(lesson, copy)
    noted = copy.metadata.papermill
    shown.metadata["papermill"] = {name: noted[name] for name in OF_A_RUN if name in noted}
    for cell in code_of(shown):
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = with_few_colors(data["image/png"])
            for texts, name in [(output, "text"), *((data, kind) for kind in data if kind.startswith("text/"))]:
                if name in texts:
                    texts[name] = without_folders(texts[name])
    return shown


def without_folders(text: str) -> str:
    """A text in which the project's folder is a dot and that of the user a tilde: they are nobody's business."""
    for folder, name in ((absolute(project_root()), "."), (Path.home(), "~")):
        if folder.name:  # not the root of all files
            text = text.replace(str(folder), name)
    return text


def with_few_colors(encoded: str) -> str:
    """A PNG in base64 whose colors are a palette; itself where that is no smaller, or where it lets light through."""
    drawn = base64.b64decode(encoded)
    picture = Image.open(io.BytesIO(drawn))
    if picture.mode == "P" or picture.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        return encoded
    file = io.BytesIO()
    picture.convert("RGB").quantize(COLORS).save(file, "PNG", optimize=True)
    fewer = file.getvalue()
    return base64.b64encode(fewer).decode("ascii") if len(fewer) < len(drawn) else encoded


def listing(copies: Mapping[Lesson, NotebookNode]) -> str:
    """The page of book/executed/: every lesson with its question and the minutes that it ran."""
    rows = []
    for lesson, copy in copies.items():
        title, question = title_and_question(copy)
        minutes = copy.metadata.papermill["duration"] / 60
        rows.append(f"| [{title}]({lesson.path.name}) | {question} | {minutes:.1f} |")
    return "\n".join(
        [
            "# The lessons as they ran",
            "",
            "Notebooks with their outputs, to read without running anything; the first outputs of each say what it",
            "ran on. `make executed` writes this folder. The [notebooks](../../notebooks) to change have no outputs.",
            "",
            "| notebook | question | minutes |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    run(main, Args)
