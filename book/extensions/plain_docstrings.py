"""Docstrings are written to be read as text; this makes of them what Sphinx reads (reStructuredText).

Inside single backticks is code; a table is drawn with bars; whatever is indented after a blank line, formulas and
commands, is shown as it stands. Everything else is words, in which stars, bars, underscores and at signs mean
themselves.
"""

from __future__ import annotations

import dataclasses
import re

from sphinx.application import Sphinx

CODE = re.compile(r"``.+?``|`[^`]+`")
MARKUP = re.compile(r"[*|\\@]|_(?!\w)")
SECTION = re.compile(r"(Args|Returns|Raises|Yields):$")


def as_restructured(lines: list[str]) -> list[str]:
    """The docstring's lines with its tables, indented blocks and words in Sphinx's markup."""
    made: list[str] = []
    at, in_section = 0, False
    while at < len(lines):
        line = lines[at]
        end = _end_of_block(lines, at)
        if SECTION.match(line):
            in_section = True
            made.append(line)
            at += 1
        elif line == "Example:":
            end = _end_of_indented(lines, at + 1)
            made += [".. rubric:: Example", "", ".. code-block:: python", "", *lines[at + 1 : end], ""]
            at = end
        elif line.lstrip().startswith("| "):
            end = next((i for i in range(at, len(lines)) if not lines[i].lstrip().startswith("|")), len(lines))
            made += _table(lines[at:end])
            at = end
        elif end > at and not in_section:
            made += [".. code-block:: text", "", *lines[at:end], ""]
            at = end
        else:
            in_section = in_section and (not line.strip() or line.startswith(" "))
            made.append(_words(line))
            at += 1
    return made


def _end_of_block(lines: list[str], start: int) -> int:
    """Where the indented block that begins at `start`, after a blank line, ends; `start` if none begins there."""
    if not lines[start].startswith("    ") or (start and lines[start - 1].strip()):
        return start
    return _end_of_indented(lines, start)


def _end_of_indented(lines: list[str], start: int) -> int:
    end = start
    while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
        end += 1
    return end


def _table(rows: list[str]) -> list[str]:
    """A list-table of a table drawn with bars, whose second row is the rule under its head."""
    cells = [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]
    body = [cell for number, cell in enumerate(cells) if number != 1]
    lines = ["", ".. list-table::", "   :header-rows: 1", ""]
    for row in body:
        marks = ["   * -", *["     -"] * (len(row) - 1)]
        lines += [f"{mark} {_words(cell)}" for mark, cell in zip(marks, row, strict=True)]
    return [*lines, ""]


def _words(line: str) -> str:
    """A line in which code is marked as such and everything else means itself."""
    name = re.match(r"\s*\*{1,2}\w+: ", line)  # napoleon minds the stars of *args and **kwargs
    start = name.end() if name else 0
    made, last = [line[:start]], start
    for code in CODE.finditer(line, start):
        made += [MARKUP.sub(r"\\\g<0>", line[last : code.start()]), f"``{code.group().strip('`')}``"]
        last = code.end()
        if line[last : last + 1].isalnum():
            made.append("\\ ")  # nothing, but it ends the code: `figure`s
    return "".join([*made, MARKUP.sub(r"\\\g<0>", line[last:])])


def convert(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Replace the lines of our own docstrings before napoleon reads their sections."""
    if name.startswith("hashlib_nb"):
        lines[:] = as_restructured(lines)
        if what in ("attribute", "data", "property"):
            lines[:0] = ["..", ""]  # a comment, or napoleon would take what stands before a colon for the type


def without_constructor(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """No signature for a dataclass: its fields follow, each with its type, its default and its own words."""
    return ("", None) if what == "class" and dataclasses.is_dataclass(obj) else None


def skip_long_text(app: Sphinx, what: str, name: str, obj: object, skip: bool, options: object) -> bool | None:
    """Leave out constants that are whole scripts or style sheets: Sphinx would print all of each as its value."""
    return True if isinstance(obj, str) and len(obj) > 200 else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before napoleon, whose handlers have the usual priority of 500."""
    app.connect("autodoc-process-docstring", convert, priority=400)
    app.connect("autodoc-process-signature", without_constructor)
    app.connect("autodoc-skip-member", skip_long_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
