"""Numbers that stand in the prose of notebooks and assignments, and whether what they come from says the same.

Every decimal and every percentage in a cell of prose, outside of math and code, has an entry in the cell's metadata:

    {"numbers": {"0.735": "results/fashion-mini.json: mean(each['map'] for each in rows(r, method='all bits', seed=0))",
                 "98.6%": "cell bit-table", "1.5": "arithmetic: (2 + 1) / 2", "0.727": "source: thesis, Table 4.1"}}

A key is the number as it is printed, a value says where it comes from: a table in results/ or benchmarks/ and an
expression of what it holds, r; `reference:` and an expression of the codes that come with the package; a code cell
whose output has it in an executed copy; arithmetic; or a printed source. What is defined and not measured, such as a
learning rate, stands in math. Numbers of equations, tables, figures and sections are names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from scipy import stats

from hashlib_nb import artifacts, codes, datasets, encoder, metrics
from hashlib_nb.course import executed
from tests.helpers import ROOT

NUMBER = re.compile(r"(?<![\w.,/^])(?:[-+−](?=[\d.]))?(?:\d[\d,]*\.\d+|\.\d+|\d[\d,]*(?=\s?%))(?:\s?%)?(?!\.?\d)")
"""A decimal or a percentage, with its sign."""
NOT_PROSE = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$[^$]+\$|``.+?``|`[^`]+`|<!--.*?-->|<[^>\n]+>|(?<=\])\([^)\s]*\)|https?://\S+|arXiv:\S+",
    re.DOTALL,
)
"""Code, math, tags and addresses."""
PLACES = re.compile(
    r"(?:\b(?:eqs?\.|equations?|tables?|figures?|sections?|chapters?)\s+)\d+(?:\.\d+)+"
    r"(?:(?:,|\s+to|\s+and|,\s+and)\s+\d+(?:\.\d+)+)*",
    re.IGNORECASE,
)
"""Equations, tables, figures and sections by their numbers."""
TABLE = re.compile(r"((?:results|benchmarks)/[\w./-]+\.json): (.+)", re.DOTALL)


@dataclass(frozen=True)
class Quoted:
    """A number in a cell of prose."""

    cell: str
    """The cell's id."""
    text: str
    """As it is printed."""
    source: str | None
    """Where the cell's metadata say that it comes from."""


def printed_in(source: str) -> list[str]:
    """The decimals and percentages of a cell of prose, each once, as they are printed; in references they are names."""
    if source.startswith("## References"):
        return []
    prose = PLACES.sub(" ", NOT_PROSE.sub(" ", source))
    return [*dict.fromkeys(found.group().replace(" ", "") for found in NUMBER.finditer(prose))]


def quoted(notebook: nbformat.NotebookNode) -> Iterator[Quoted]:
    """Every number of a notebook's prose."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            sources = cell.metadata.get("numbers", {})
            yield from (Quoted(cell.id, text, sources.get(text)) for text in printed_in(cell.source))


def unquoted(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Cells with an entry for a number that is not there, and the number."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    return [
        (cell.id, text) for cell in cells for text in {*cell.metadata.get("numbers", {})} - {*printed_in(cell.source)}
    ]


def fault(number: Quoted, copy: nbformat.NotebookNode | None) -> str | None:
    """What is wrong with a number, in words; None for nothing.

    Args:
        number: of a notebook.
        copy: the notebook as it ran; None where there is none, and numbers of cells are not looked at.
    """
    kind, _, rest = (number.source or "").partition(": ")
    if number.source is None:
        return "has no source in the metadata of its cell"
    if kind.startswith("cell "):
        return None if copy is None else _fault_of_cell(number.text, kind.removeprefix("cell ").strip(), copy)
    if kind == "source":
        return None if re.search(r"[A-Za-z]{3}", rest) else "has a source that names nothing"
    table = TABLE.fullmatch(number.source)
    if kind not in ("arithmetic", "reference") and table is None:
        return f"has a source of no kind that there is: {number.source}"
    try:
        names = {"r": _table(table[1])} if table else {}
        value = evaluated(table[2] if table else rest, names)
    except Exception as error:
        return f"has a source that cannot be worked out ({type(error).__name__}: {error})"
    return None if said_as(value, number.text) else f"should be {value:.6g}, by its source"


def said_as(value: float, text: str) -> bool:
    """Whether a value is that number at its printed precision; of a percentage the value is a share."""
    digits = len(text.rstrip("%").partition(".")[2])
    plain = text.replace("−", "-").replace(",", "")
    sign = "+" if plain.startswith("+") else ""
    made = f"{value:{sign}.{digits}%}" if plain.endswith("%") else f"{value:{sign}.{digits}f}"
    return made in (plain, f"0{plain}" if plain.startswith(".") else plain)


def _fault_of_cell(text: str, name: str, copy: nbformat.NotebookNode) -> str | None:
    cell = next((cell for cell in copy.cells if cell.cell_type == "code" and cell.get("id") == name), None)
    if cell is None:
        return f"comes from cell {name}, which is not there"
    shown = "\n".join(_texts(cell))
    wanted = -1 if text.endswith("%") else len(text.partition(".")[2])
    for found in re.findall(r"(?<![\w.])[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?%?(?![\w.]*\d)", shown):
        number, percent = found.rstrip("%").replace(",", "").replace("−", "-"), found.endswith("%")
        finer = len(number.partition(".")[2]) >= wanted
        if finer and said_as(float(number) / (100 if percent else 1), text) and percent == text.endswith("%"):
            return None
    return f"is not among what cell {name} printed"


def _texts(cell: nbformat.NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        yield output.get("text", "")
        yield from (text for kind, text in output.get("data", {}).items() if kind in ("text/plain", "text/markdown"))


def evaluated(expression: str, names: Mapping[str, Any]) -> float:
    """A source's expression; it may use `HELPERS`."""
    return float(eval(expression, {"__builtins__": BUILTINS, **HELPERS, **names}))


def rows(table: Mapping[str, Any] | list, **wanted: Any) -> list[dict]:
    """Rows (of a stored table, its list "rows") that have these values."""
    each = table["rows"] if isinstance(table, Mapping) else table
    return [row for row in each if all(row.get(name) == value for name, value in wanted.items())]


@cache
def all_bits(seed: int, part: str = "query") -> float:
    """mAP of all reference bits: of the query pictures, or of "train" (in sample) or "out_of_fold", each left out."""
    arrays = encoder.Setup(seed=seed, source="reference").codes().arrays
    if part == "query":
        sides = [arrays[f"{name}_{what}"] for what in ("codes", "labels") for name in ("query", "database")]
        return metrics.mean_average_precision(*sides)
    found, labels = arrays[f"{part}_codes"], arrays["train_labels"]
    return metrics.mean_average_precision(found, found, labels, labels, leave_one_out=True)


@cache
def above_bound(preset: str) -> float:
    """How far the course's target codes end above the lower bound of their objective, as a share of it."""
    labels = datasets.load("fashion-mini").train.labels
    found = codes.infer_codes(labels, 64, seed=0, **codes.PRESETS[preset])
    return found.objective / codes.lower_bound(labels) - 1


def mean(values) -> float:
    """The mean."""
    return float(np.mean([*values]))


def sd(values) -> float:
    """The standard deviation of a sample, n - 1 in the denominator."""
    return float(np.std([*values], ddof=1))


BUILTINS = {
    each.__name__: each
    for each in (abs, all, any, dict, float, int, len, max, min, next, range, round, set, sorted, sum, zip)
}
HELPERS = {each.__name__: each for each in (rows, mean, sd, all_bits, above_bound)}
HELPERS |= {"np": np, "math": math, "stats": stats}


@cache
def _table(name: str) -> Any:
    path = ROOT / name
    return artifacts.load_json(path)


def ran(path: Path) -> nbformat.NotebookNode | None:
    """A notebook as it ran, with the code that is written now and its own parameters; None where no such copy is."""
    for folder in (artifacts.project_root() / "runs", executed.KEPT):
        copy = executed.read_executed(path, folder / path.name)
        if not isinstance(copy, str) and not any(map(executed.is_injected, executed.code_of(copy))):
            return copy
    return None
