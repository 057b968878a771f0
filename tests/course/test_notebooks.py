"""The notebooks run, headless and small, from a home where nothing was run before; their shape is the course's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest

from hashlib_nb.course.lessons import LESSONS

NOTEBOOKS = [lesson.path for lesson in LESSONS]
"""The lessons; 00_start.ipynb, which lists them, is tested in test_jupyterlab.py."""
SMALL = {
    "01_hash_codes": {"code_length": 12, "epochs": 5, "table_seeds": 1},
    "02_encoder": {"code_length": 12, "epochs": 1, "folds": 2},
    "03_ppo_selection": {
        "code_length": 12, "bits": 5, "epochs": 1, "folds": 2,
        "total_episodes": 64, "thesis_episodes": 4, "random_subsets": 20,
    },
    "04_evaluation": {"code_length": 12, "lengths": [4], "seeds": [0], "epochs": 1, "total_episodes": 64},
    "05_bit_selectors": {
        "pool_names": ["64", "lsh-512"], "lengths": [4, 6], "seeds": [0, 1], "budget": 60, "shown_bits": 4,
        "gap_candidates": 8, "gap_bits": 3, "gap_budget": 40, "long_budget": 80, "random_subsets": 10,
        "direct_lengths": [4], "epochs": 1, "folds": 2,
    },
    "06_retrieval_demo": {"code_length": 12, "bits": 5, "epochs": 1, "folds": 2, "total_episodes": 64},
}  # fmt: skip
"""Parameters with which a notebook takes seconds."""
ids = [path.stem for path in NOTEBOOKS]


def run(notebook: Path, home: Path, cwd: Path | None = None, **parameters) -> nbformat.NotebookNode:
    """Execute with papermill into `home`, where artifacts, runs and figures go as well.

    An unknown parameter name is an error here: papermill itself would only warn.
    """
    unknown = set(parameters) - set(papermill.inspect_notebook(notebook))
    assert not unknown, f"{notebook.name} has no parameter {', '.join(sorted(unknown))}"
    executed = home / "executed.ipynb"
    arguments = ["-y", json.dumps(parameters), "--no-progress-bar", "-k", "python3"]
    done = subprocess.run(
        [sys.executable, "-m", "papermill", notebook, executed, *arguments],
        cwd=cwd or home,
        env=os.environ | {"HASHLIB_NB_HOME": str(home), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    result = nbformat.read(executed, as_version=4)
    result.metadata["failed"] = done.returncode != 0
    result.metadata["stderr"] = done.stderr
    return result


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.get("text", "") for output in outputs)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def test_there_are_notebooks_and_each_has_small_parameters():
    assert {path.stem for path in NOTEBOOKS} == set(SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=ids)
def test_runs_small_where_nothing_was_run_before(notebook, tmp_path):
    executed = run(notebook, tmp_path, **SMALL[notebook.stem])
    assert not executed.metadata["failed"], executed.metadata["stderr"][-2000:]
    number = notebook.stem[:2]
    made = {path.stem for path in (tmp_path / "runs" / "figures").glob("*.png")}
    source = "".join(cell.source for cell in executed.cells if cell.cell_type == "code")
    source = source.replace("{figure}", number)  # notebook 04 puts the name of another dataset there
    assert made == set(re.findall(rf'"({number}_\w+)"', source))
    assert made


@pytest.mark.slow
@pytest.mark.xdist_group("selection notebook")
@pytest.mark.parametrize("bits", [1, 11])
def test_selection_runs_for_the_shortest_and_the_longest_code(bits, home):
    executed = run(notebook_named("03_ppo_selection"), home, **SMALL["03_ppo_selection"] | {"bits": bits})
    assert not executed.metadata["failed"], executed.metadata["stderr"][-2000:]
    assert f"{bits} bits in the order kept" in printed(executed)


@pytest.mark.slow
@pytest.mark.xdist_group("selection notebook")
def test_a_second_run_from_the_notebooks_own_folder_loads_what_the_first_left(home):
    path = notebook_named("03_ppo_selection")
    first = run(path, home, **SMALL["03_ppo_selection"])
    second = run(path, home, cwd=path.parent, **SMALL["03_ppo_selection"])
    assert not second.metadata["failed"], second.metadata["stderr"][-2000:]
    assert "saved" in printed(first)
    assert "saved" not in printed(second)
    assert "loaded" in printed(second)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [0, 12, 64])
def test_bits_outside_the_code_give_one_sentence_before_any_work(bits, tmp_path):
    executed = run(notebook_named("03_ppo_selection"), tmp_path, code_length=12, bits=bits)
    assert executed.metadata["failed"]
    assert f"bits is {bits}; it must be a whole number in 1..11" in executed.metadata["stderr"]
    assert not (tmp_path / "artifacts").exists()


def test_an_unknown_parameter_is_an_error(tmp_path):
    with pytest.raises(AssertionError, match="has no parameter bitz"):
        run(notebook_named("03_ppo_selection"), tmp_path, bitz=3)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
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


def notebook_named(stem: str) -> Path:
    return next(path for path in NOTEBOOKS if path.stem == stem)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_papermill_knows_every_parameter(path):
    cells = nbformat.read(path, as_version=4).cells
    (source,) = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert set(papermill.inspect_notebook(path)) == set(re.findall(r"^(\w+) = ", source, re.MULTILINE))
