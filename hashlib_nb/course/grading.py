"""How submissions are run when they are graded, so that an answer that crashes or never ends costs its task alone.

nbgrader interrupts a cell that runs too long, but gives a whole submission up where the kernel dies or an interrupt is
caught and ignored, and it keeps all that a cell prints. `ExecuteSubmission` stands in for its way of running notebooks.
It also gives the whole class up where one submission holds a cell twice, or marks of another version of nbgrader:
`MendMarks` goes before. `nbgrader_config.py` in the course folder names both. Needs nbgrader, which the extra "test"
installs.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Collection

import jsonschema
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.api import Gradebook
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from nbgrader.utils import has_failed, is_grade
from traitlets import Integer

# Two lines each where they are long: feedback pages do not wrap them.
DIED = "KernelDied", "this cell ended its Python process\n(os._exit, exit(), a crash, or out of memory)"
STUCK = "CellTimeoutError", "this cell ran over its time and could not be interrupted;\nits Python process was ended"
FLOODED = "OutputFlood", "this cell printed without end and was stopped"
EXIT = "ask_exit"  # what IPython's exit() and quit() put into a reply: the kernel ends a moment after it


class MendMarks(NbGraderPreprocessor):
    """Takes nbgrader's marks off the cells of a submission that `stray` finds.

    A cell without marks runs like any other and counts for nothing; `classroom --check-submissions` names them before.
    """

    def preprocess(self, nb: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        """Take them off; see the class."""
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as book:
            graded = {cell.name for cell in book.find_notebook(about["notebook"], about["assignment"]).source_cells}
        for cell, reason in stray(nb, graded):
            self.log.warning("Cell %r counts for nothing: %s", grade_id(cell), reason)
            del cell.metadata["nbgrader"]
        return nb, resources


TWICE = "it is there twice"
"""What `stray` says of the copies of a cell before its last one."""


def stray(notebook: NotebookNode, graded: Collection[str]) -> list[tuple[NotebookNode, str]]:
    """Cells whose marks nbgrader would stumble over, and why; marks of older versions are brought up to date.

    The last of several copies is none of them, as Python takes the last of several functions.

    Args:
        notebook: a submission.
        graded: the names that the assignment's cells have.
    """
    found, seen = [], set()
    for cell in reversed(notebook.cells):
        if "nbgrader" not in cell.metadata:
            continue
        if not _readable(cell):
            found.append((cell, "its marks cannot be read"))
        elif (name := grade_id(cell)) not in graded:
            found.append((cell, "it is not of this assignment"))
        elif name in seen:
            found.append((cell, TWICE))
        seen.add(grade_id(cell))
    return found[::-1]


def grade_id(cell: NotebookNode) -> str | None:
    """The name under which nbgrader knows a cell; None for one without marks, or with marks that cannot be read."""
    marks = cell.metadata.get("nbgrader")
    name = marks.get("grade_id") if isinstance(marks, dict) else None
    return name if isinstance(name, str) else None


def _readable(cell: NotebookNode) -> bool:
    """Whether nbgrader can read a cell's marks, which are first brought to its own version."""
    validator = MetadataValidator()
    try:
        upgraded = validator.upgrade_cell_metadata(copy.deepcopy(cell))
        marks = upgraded.metadata["nbgrader"] | {"schema_version": validator.schema_version}
        jsonschema.validate(marks, validator.schema)
    except (jsonschema.ValidationError, KeyError, TypeError, AttributeError):  # of marks that are something else
        return False
    if not marks.get("grade_id") or (marks["grade"] and "points" not in marks):
        return False
    cell.metadata["nbgrader"] = NotebookNode(marks)
    return True


class ExecuteSubmission(Execute):
    """Runs every cell of a submission, with a new kernel where one dies or hangs.

    A cell that kills its kernel, or keeps it from stopping, gets an error with that message, which scores 0 where the
    cell is a check. The next cell finds a new kernel in which all earlier cells but checks and failed ones ran again.
    Warnings count as output and not, as in nbgrader, as failure.
    """

    max_outputs = Integer(200, help="Outputs kept of a cell, beside its errors.").tag(config=True)
    max_characters = Integer(50_000, help="Characters kept of what a cell prints.").tag(config=True)
    flood = Integer(10_000_000, help="Characters after which a cell that prints is interrupted.").tag(config=True)

    def preprocess_cell(self, cell: NotebookNode, resources: dict, index: int) -> tuple[NotebookNode, dict]:
        """Run one cell; see the class."""
        if not self._survives(cell, index):
            self._replace_kernel(index)
        return cell, resources

    def _survives(self, cell: NotebookNode, index: int) -> bool:
        """Whether the kernel can be used after running the cell; if not, the cell says why."""
        self._exits, self._printed = False, 0
        try:
            self.execute_cell(cell, index, store_history=True)
        except DeadKernelError:
            self._exits = True
        except CellTimeoutError:
            _add_error(cell, *STUCK)
            return False
        if self._printed > self.flood:
            _add_error(cell, *FLOODED)
        if self._exits:
            _add_error(cell, *DIED)
        return not self._exits

    def _replace_kernel(self, index: int) -> None:
        """Start a new kernel and bring it to where the old one was before cell `index`."""
        self._cleanup_kernel()
        self.create_kernel_manager()
        self.start_new_kernel()
        self.start_new_kernel_client()
        for earlier, cell in enumerate(self.nb.cells[:index]):
            if cell.cell_type != "code" or is_grade(cell) or has_failed(cell):
                continue
            again = copy.deepcopy(cell)
            if not self._survives(again, earlier):
                self.nb.cells[earlier] = again  # now it counts as failed, and the next kernel goes without it
                self._replace_kernel(index)
                return
            self.nb.cells[earlier] = cell

    def on_cell_executed(self, **kwargs) -> None:
        """Look at the reply: record its error, note an `exit()`, and make warnings ordinary output."""
        super().on_cell_executed(**kwargs)
        payload = kwargs["execute_reply"]["content"].get("payload", [])
        self._exits = any(entry.get("source") == EXIT for entry in payload)
        for output in kwargs["cell"].outputs:
            if output.output_type == "stream":
                output.name = "stdout"

    def output(self, outs: list[NotebookNode], msg: dict, display_id: str | None, cell_index: int):
        """Keep an output, or as much of it as there is room for, and stop a cell that floods."""
        if msg["msg_type"] == "stream":
            msg["content"]["text"] = self._cut(msg["content"]["text"])
        full = len(outs) >= self.max_outputs or msg["content"].get("text") == ""
        return None if full and msg["msg_type"] != "error" else super().output(outs, msg, display_id, cell_index)

    def _cut(self, text: str) -> str:
        """What is kept of a printed text; one kernel can fill gigabytes before its cell's time is over."""
        before, self._printed = self._printed, self._printed + len(text)
        if before <= self.flood < self._printed:
            self._interrupt = asyncio.ensure_future(self.km.interrupt_kernel())
        return text[: max(0, self.max_characters - before)]


def _add_error(cell: NotebookNode, name: str, message: str) -> None:
    cell.outputs.append(new_output("error", ename=name, evalue=message, traceback=[f"{name}: {message}"]))
