"""Numbers in the prose of the course are those of their sources, see `quoted_numbers`."""

from __future__ import annotations

import nbformat
import pytest

from hashlib_nb.course.assignments import COURSE
from tests.course.quoted_numbers import Quoted, fault, printed_in, quoted, ran, said_as, unquoted
from tests.course.small_lessons import NOTEBOOKS
from tests.helpers import ROOT

START = ROOT / "notebooks" / "00_start.ipynb"
ASSIGNMENTS = sorted((COURSE / "source").glob("*/*.ipynb"))
PAGES = {path.stem: path for path in (START, *NOTEBOOKS.values())}
PAGES |= {f"assignment {path.stem}": path for path in ASSIGNMENTS}
ORDERS = nbformat.v4.new_code_cell(
    id="orders", outputs=[nbformat.v4.new_output("stream", text="AP from 0.2500 to 0.9167, 12.5% of 1,024 are ties\n")]
)
RAN = nbformat.v4.new_notebook(cells=[ORDERS])


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_every_number_in_prose_is_what_its_source_says(path):
    copy = ran(path)
    notebook = nbformat.read(path, as_version=4)
    faults = [f"{each.cell}: {each.text} {said}" for each in quoted(notebook) if (said := fault(each, copy))]
    assert faults == []
    assert unquoted(notebook) == []


@pytest.mark.parametrize(
    ("prose", "numbers"),
    [
        ("about 0.73 (0.738, 0.737)", ["0.73", "0.738", "0.737"]),
        ("14% above, -0.79 ± 0.85, +0.11, 1,234.5 and 98.6 %", ["14%", "-0.79", "0.85", "+0.11", "1,234.5", "98.6%"]),
        ("0.83-0.93", ["0.83", "0.93"]),
        ("an end of a sentence: 0.5.", ["0.5"]),
        ("a rate of $0.3$, `epochs = 0.5`, at $95\\%$, 16 bits, 1,024 codes", []),
        ("(eq. 3.6, 3.7), Equations 3.2 to 3.10, Tables 4.1 and 4.2, section 3.3.1", []),
        ("Table 4.1 has 0.727", ["0.727"]),
        ("[page](a_0.5.md), RFC 9162, torch 2.14.1", []),
        ("## References\n\nsection 4.1, CC BY 3.0", []),
    ],
)
def test_which_numbers_need_a_source(prose, numbers):
    assert printed_in(prose) == numbers


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("1.50", "arithmetic: (2 + 1) / 2"),
        ("0.7351", "reference: all_bits(0)"),
        ("0.735", "results/fashion-mini.json: rows(r, method='all bits', seed=0)[0]['map']"),
        ("0.727", "source: the thesis, Table 4.1"),
        ("0.25", "cell orders"),
        ("12.5%", "cell orders"),
    ],
)
def test_a_source_is_worked_out_and_another_number_is_refused(text, source):
    assert fault(Quoted("a", text, source), RAN) is None
    if "source:" not in source:
        other = text.replace("5", "6").replace("1", "9")
        assert fault(Quoted("a", other, source), RAN)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "has no source"),
        ("somebody said", "of no kind"),
        ("source: ?", "names nothing"),
        ("results/none.json: 1", "cannot be worked out"),
        ("arithmetic: 1 / 0", "cannot be worked out"),
        ("arithmetic: open('a')", "cannot be worked out"),
        ("results/fashion-mini.json: r['rows'][0]['map'] + 1", "should be"),
        ("cell nowhere", "is not there"),
        ("cell orders", "is not among"),
    ],
)
def test_what_is_wrong_with_a_source_is_said(source, words):
    assert words in fault(Quoted("a", "0.5", source), RAN)


def test_an_entry_for_a_number_that_is_gone_is_found():
    cell = nbformat.v4.new_markdown_cell("now 0.5", metadata={"numbers": {"0.5": "cell a", "0.4": "cell a"}}, id="b")
    assert unquoted(nbformat.v4.new_notebook(cells=[cell])) == [("b", "0.4")]


def test_precision_is_that_of_the_print():
    assert said_as(0.7351, "0.735")
    assert not said_as(0.7351, "0.736")
    assert said_as(0.1449, "14%")
    assert said_as(-0.004, "-0.00")
    assert said_as(1234.51, "1,234.5")
    assert said_as(0.738, ".738")
