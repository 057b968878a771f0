"""The notebooks run, headless and small, from a home where nothing was run before; their shape is the course's."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest

from hashlib_nb import encoder, ppo
from hashlib_nb.thermometer import LEVELS
from tests.course.small_lessons import NOTEBOOKS, SMALL, outputs, printed
from tests.helpers import start_python

SELECTION = "03_ppo_selection"
each = pytest.mark.parametrize("path", NOTEBOOKS.values(), ids=NOTEBOOKS)


def run_selection(home: Path, cwd: Path, **parameters: int) -> tuple[nbformat.NotebookNode, str]:
    """Notebook 03 as the README runs it, `papermill ... -p bits 16`: the executed copy, and why it failed."""
    executed = home / "out.ipynb"
    words = [word for name, value in parameters.items() for word in ("-p", name, value)]
    done = start_python(
        "-m", "papermill", NOTEBOOKS[SELECTION], executed, "--no-progress-bar", *words,
        check=False, cwd=cwd, env={"HASHLIB_NB_HOME": str(home)},
    )  # fmt: skip
    return nbformat.read(executed, as_version=4), done.stderr if done.returncode else ""


@pytest.fixture(scope="module")
def selection_home(ran, tmp_path_factory) -> Path:
    """Where notebook 03 has run already."""
    return ran.copy(SELECTION, tmp_path_factory.mktemp("selection"))


def test_there_are_notebooks_and_each_has_small_parameters():
    assert NOTEBOOKS.keys() == SMALL.keys()


@pytest.mark.slow
@each
def test_runs_small_where_nothing_was_run_before(path, ran):
    notebook = ran.notebook(path.stem)
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]
    assert [cell.id for cell in code if not cell.execution_count] == []
    assert [output for output in outputs(notebook) if output.get("name") == "stderr"] == []
    number = path.stem[:2]
    made = {path.stem for path in (ran.home(path.stem) / "runs" / "figures").glob("*.png")}
    source = "".join(cell.source for cell in code)
    source = source.replace("{figure}", number)  # notebook 04 puts the name of another dataset there
    assert made == set(re.findall(rf'"({number}_\w+)"', source))
    assert made


@pytest.mark.slow
@pytest.mark.xdist_group("selection notebook")
def test_a_second_run_from_the_notebooks_own_folder_loads_what_the_first_left(ran, selection_home):
    second, complaint = run_selection(selection_home, NOTEBOOKS[SELECTION].parent, **SMALL[SELECTION])
    assert not complaint
    assert "saved" in printed(ran.notebook(SELECTION))
    assert "saved" not in printed(second)
    assert "loaded" in printed(second)


@pytest.mark.slow
@pytest.mark.xdist_group("selection notebook")
def test_selection_runs_for_a_single_bit(selection_home):
    executed, complaint = run_selection(selection_home, selection_home, **SMALL[SELECTION] | {"bits": 1})
    assert not complaint
    assert "1 bits in the order kept" in printed(executed)


@pytest.mark.slow
@pytest.mark.xdist_group("selection notebook")
def test_in_the_thesis_setting_it_keeps_what_ppo_keeps_of_the_codes_alone(selection_home):
    thesis = {"bits": 11, "thermometer": False, "decided": False}  # the longest code that is a choice
    executed, complaint = run_selection(selection_home, selection_home, **SMALL[SELECTION] | thesis)
    assert not complaint
    arrays = encoder.Setup(source="reference").codes().arrays
    args = ppo.Args(n_bits=11, total_episodes=SMALL[SELECTION]["total_episodes"], progress=False)
    found = ppo.train(args, arrays["out_of_fold_codes"], arrays["train_labels"])
    assert f"11 bits in the order kept: {found.bits.tolist()}" in printed(executed)


@pytest.mark.slow
@pytest.mark.xdist_group("selection notebook")
def test_as_many_bits_as_there_are_thermometer_bits_are_refused_where_some_of_these_never_differ(selection_home):
    _, complaint = run_selection(selection_home, selection_home, **SMALL[SELECTION] | {"bits": 64 * 13 - 1})
    assert re.search(r"bits is 831; it must be a whole number in 1\.\.\d+, for \d+ candidates differ", complaint)


@pytest.mark.slow
def test_bits_outside_the_code_give_one_sentence_before_any_work(tmp_path):
    _, complaint = run_selection(tmp_path, tmp_path, code_length=12, bits=156)
    assert "bits is 156; it must be a whole number in 1..155" in complaint
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        *(({"bits": bits}, rf"bits is {bits!r}; .* in 1\.\.831") for bits in (0, -1, 832, 833, 2.5, "16")),
        *(({"bits": bits, "thermometer": False}, rf"bits is {bits}; .* in 1\.\.63") for bits in (0, 64)),
        ({"thermometer": "false"}, "thermometer is 'false'; it must be True or False"),
        ({"decided": 1}, "decided is 1; it must be True or False"),
        ({"folds": 1}, "folds is 1; it must be a whole number of at least 2"),
        ({"codes": "mine"}, "codes is 'mine'; it must be 'reference' or 'own'"),
    ],
)
def test_the_notebook_refuses_what_cannot_be(given, sentence):
    cells = [cell for cell in nbformat.read(NOTEBOOKS[SELECTION], as_version=4).cells if cell.cell_type == "code"]
    (place,) = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    names: dict[str, object] = {"LEVELS": LEVELS}
    exec(cells[place].source, names)
    with pytest.raises(ValueError, match=f"^{sentence}"):
        exec(cells[place + 1].source, names | given)


def test_the_table_of_lengths_has_the_deviation_of_a_sample():
    cells = {cell.id: cell.source for cell in nbformat.read(NOTEBOOKS["01_hash_codes"], as_version=4).cells}
    above = np.array([[[1.0], [2.0], [4.0]], [[3.0], [3.0], [3.0]]])  # [lengths, seeds, ways]
    names = {"above": above, "ways": ("a",), "table_lengths": (8, 16), "pd": pd}
    exec(cells["table-show"].rpartition("\n")[0], names)  # but for the last line, which shows them
    (row,) = names["rows"]
    assert list(row) == [f"{7 / 3:.2f} ± {statistics.stdev([1, 2, 4]):.2f}", "3.00 ± 0.00"]


@pytest.mark.parametrize("name", ["04_evaluation", "08_agents"])
@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"codes": "mine"}, "codes is 'mine'; it must be 'reference' or 'own'"),
        ({"folds": 2}, "folds is 2, but reference codes are of fashion-mini, .*, or take codes of your own"),
    ],
)
def test_other_codes_than_there_are_end_in_one_sentence(name, given, sentence):
    cells = [cell for cell in nbformat.read(NOTEBOOKS[name], as_version=4).cells if cell.cell_type == "code"]
    (place,) = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    names: dict[str, object] = {}
    for cell in cells[: place + 1]:
        exec(cell.source, names)
    with pytest.raises(ValueError, match=f"^{sentence}"):
        exec(cells[place + 1].source, names | given)


@each
def test_shape(path):
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.metadata.kernelspec.name == "python3"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert not any(cell.outputs or cell.execution_count for cell in code)
    headings = [line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    for wanted in (
        "What you will see",
        "Before you start",
        "Setup",
        "Parameters",
        "Takeaways",
        "Exercises",
        "References",
    ):
        assert f"## {wanted}" in headings
    exercises = next(cell.source for cell in notebook.cells if cell.source.startswith("## Exercises"))
    assert 3 <= len(re.findall(r"^\d\. ", exercises, flags=re.MULTILINE)) <= 5


@each
def test_papermill_knows_every_parameter(path):
    cells = nbformat.read(path, as_version=4).cells
    (source,) = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert set(papermill.inspect_notebook(path)) == set(re.findall(r"^(\w+) = ", source, re.MULTILINE))
