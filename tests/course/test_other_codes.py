"""Notebook 07 runs for whichever methods are asked for, and says what a name that is none is near to."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from hashlib_nb import baselines
from tests.course.small_lessons import NOTEBOOKS, SMALL, printed
from tests.helpers import start_python

LESSON = "07_baselines"
pytestmark = pytest.mark.xdist_group("baselines notebook")


@pytest.fixture(scope="module")
def home(ran, tmp_path_factory) -> Path:
    """Where it has run already, so that the trunk's features are there."""
    return ran.copy(LESSON, tmp_path_factory.mktemp("baselines"))


def code_cells() -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(NOTEBOOKS[LESSON], as_version=4).cells if cell.cell_type == "code"]


def run(home: Path, cwd: Path, **parameters: int | str) -> tuple[nbformat.NotebookNode, str]:
    """It as a reader runs it, `papermill ... -p methods "sdh,hashnet"`: the executed copy, and why it failed."""
    words = [word for name, value in parameters.items() for word in ("-p", name, value)]
    done = start_python(
        "-m", "papermill", NOTEBOOKS[LESSON], home / "out.ipynb", "--no-progress-bar", *words,
        check=False, cwd=cwd, env={"HASHLIB_NB_HOME": str(home)},
    )  # fmt: skip
    return nbformat.read(home / "out.ipynb", as_version=4), done.stderr if done.returncode else ""


def fitted(home: Path) -> set[str]:
    return {path.stem for path in home.glob("artifacts/*-baselines/*.npz")}


@pytest.mark.slow
def test_each_method_asked_for_has_a_row_and_the_two_that_are_none(ran):
    said = printed(ran.notebook(LESSON))
    for title in ("SDH", "HashNet", "CSQ", "class index", "random codes"):
        assert re.search(rf"^ *{title} .*0\.\d+", said, re.MULTILINE), title
    assert "DPSH  " not in said.partition("points behind")[2]


@pytest.mark.slow
def test_other_methods_from_the_notebooks_own_folder_load_what_is_there(home):
    before = fitted(home)
    executed, complaint = run(home, NOTEBOOKS[LESSON].parent, **SMALL[LESSON] | {"methods": "sdh, lsh"})
    assert not complaint
    assert fitted(home) - before == {"lsh-k12-s0"}
    assert "loaded" in printed(executed)
    assert "sdh-k12-s0.npz (made in" in printed(executed)


@pytest.mark.slow
def test_a_code_length_that_is_no_power_of_two_and_one_method_alone(home):
    _, complaint = run(home, home, **SMALL[LESSON] | {"methods": "orthohash", "code_length": 7})
    assert not complaint


@pytest.mark.slow
def test_an_unknown_method_ends_in_one_sentence_before_any_work(tmp_path):
    _, complaint = run(tmp_path, tmp_path, methods="sdh,hashnat")
    assert "ValueError: methods: name is 'hashnat', which is no method here; did you mean hashnet" in complaint
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"methods": "hashnat"}, "methods: name is 'hashnat'.* did you mean hashnet.*There are: "),
        ({"methods": ""}, "methods: name is ''"),
        ({"methods": "sdh,,lsh"}, "methods: name is ''"),
        ({"methods": ["sdh"]}, r"methods is \['sdh'\]; it must be a text"),
        *(({"code_length": k}, rf"code_length is {k!r}; .* in 2\.\.512") for k in (1, 513, 8.0, "32", True)),
        ({"epochs": -1}, r"epochs is -1; it must be a whole number in 0\.\."),
        ({"seed": -1}, "seed is -1"),
        ({"size": 8}, "size"),
        ({"arch": "alexnet_small", "size": 0}, "arch is 'alexnet_small'; it must be frozen"),
        ({"arch": "resnet"}, "arch"),
    ],
)
def test_what_cannot_be_is_refused(given, sentence):
    cells = code_cells()
    (place,) = [i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    names: dict[str, object] = {}
    exec("from hashlib_nb import baselines, encoder", names)
    exec(cells[place].source, names)
    with pytest.raises(ValueError, match=sentence) as caught:
        exec(cells[place + 1].source, names | given)
    assert "\n" not in str(caught.value)


def test_every_method_of_the_package_has_an_idea_in_the_table():
    (source,) = [cell.source for cell in code_cells() if cell.id == "table"]
    named = re.findall(r'"(\w+)"', source.partition("IDEAS = {")[2].partition("\n}")[0])
    assert set(baselines.names()) <= set(named)


def test_code_lines_fit_the_books_column():
    long = [line for cell in code_cells() for line in cell.source.splitlines() if len(line) > 88]
    assert long == []
