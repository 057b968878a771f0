"""The answers to the exercises: their code runs and holds, they answer what is asked, and no assignment."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from hashlib_nb.course.lessons import LESSONS
from tests.helpers import ROOT

PAGES = sorted((ROOT / "book" / "answers").glob("[0-9]*.md"))
each = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path) -> list[str]:
    """The code of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_each_lesson_has_a_page_that_the_book_lists():
    assert [page.stem for page in PAGES] == [lesson.name for lesson in LESSONS]
    index = (ROOT / "book" / "answers" / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^(\d\d_\w+)$", index, re.MULTILINE) == [page.stem for page in PAGES]


@each
def test_the_code_of_a_page_runs_from_top_to_bottom_and_what_it_asserts_holds(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"{page.name}, block {number + 1}", "exec"), names)


@each
def test_the_first_four_exercises_are_answered_and_folded(page):
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^<details><summary>Exercise (\d): .+</summary>$", text, re.MULTILINE) == ["1", "2", "3", "4"]
    assert text.count("</details>") == 4
    cells = nbformat.read(ROOT / "notebooks" / f"{page.stem}.ipynb", as_version=4).cells
    (asked,) = [cell.source for cell in cells if cell.source.startswith("## Exercises")]
    assert len(re.findall(r"^[1-4]\. ", asked, re.MULTILINE)) == 4
    assert "assert " in "".join(blocks(page))


def functions(code: str) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)}


def test_no_answer_defines_what_an_assignment_asks_for():
    asked = set()
    for path in (ROOT / "assignments" / "source").glob("*/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.metadata.get("nbgrader", {}).get("solution") and cell.cell_type == "code":
                asked |= functions(cell.source)
    assert len(asked) > 20
    assert not asked & {name for page in PAGES for block in blocks(page) for name in functions(block)}
