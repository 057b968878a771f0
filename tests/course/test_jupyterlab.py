"""The start page lists the lessons, and they run in JupyterLab as a student runs them: Run All Cells."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from tests.course.browser import chromium, free_port, needs_chromium, serving
from tests.course.small_lessons import NOTEBOOKS, SMALL
from tests.helpers import ROOT, start_python

START = ROOT / "notebooks" / "00_start.ipynb"
IN_THE_BROWSER = ("03_ppo_selection", "06_retrieval_demo")
"""Lessons that are run in the browser too: the one with the longest work and its bars, and the one with the page."""
TABLE = next(cell.source for cell in nbformat.read(START, as_version=4).cells if cell.id == "notebooks")
LISTED = re.findall(r"^\| \[(.+?)\]\((.+?)\)", TABLE, re.MULTILINE)


def title(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")


def test_the_start_page_lists_every_lesson_in_order_under_its_own_title():
    assert [(title(path), path.name) for path in NOTEBOOKS.values()] == LISTED


@pytest.mark.slow
def test_the_start_page_runs(tmp_path):
    words = ("-m", "papermill", "-k", "python3", START, tmp_path / "out.ipynb")
    start_python(*words, env={"HASHLIB_NB_HOME": str(tmp_path)})


def test_make_lab_lands_on_the_start_page():
    url = re.search(r"default_url=/lab/tree/(\S+)", (ROOT / "Makefile").read_text())[1]
    assert ROOT / url == START


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab as `make lab` starts it, over copies of the notebooks with small parameters: (address, home)."""
    home = tmp_path_factory.mktemp("lab")
    (home / "notebooks").mkdir()
    shutil.copy(START, home / "notebooks")
    for path in NOTEBOOKS.values():
        small = parameterize_notebook(load_notebook_node(str(path)), SMALL[path.stem])
        nbformat.write(small, home / "notebooks" / path.name)
    port, token = free_port(), "test"
    address = f"http://127.0.0.1:{port}/lab"
    options = [f"--port={port}", f"--IdentityProvider.token={token}", "--no-browser", "--allow-root"]
    command = [sys.executable, "-m", "jupyterlab", "--LabApp.default_url=/lab/tree/notebooks/00_start.ipynb"]
    folders = {name: str(home / "jupyter" / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTERLAB_SETTINGS_DIR")}
    with serving(
        [*command, *options, f"--ServerApp.root_dir={home}"],
        f"{address}?token={token}",
        home / "lab.log",
        HASHLIB_NB_HOME=str(home),
        JUPYTERLAB_WORKSPACES_DIR=str(home / "jupyter" / "workspaces"),
        **folders,
    ):
        yield f"{address}?token={token}", home


@needs_chromium
@pytest.mark.slow
@pytest.mark.xdist_group("jupyterlab")
def test_the_start_page_opens_and_its_links_lead_to_the_lessons(lab):
    address, _ = lab
    with chromium() as page:
        page.goto(address.replace("/lab?", "/?"))
        links = page.locator(".jp-Notebook table a[href*='/files/']")  # JupyterLab has resolved them
        links.first.wait_for(timeout=60_000)
        assert page.url.endswith("/lab/tree/notebooks/00_start.ipynb")
        assert links.all_text_contents() == [name for name, _ in LISTED]
        links.first.click()
        page.get_by_role("tab", name=LISTED[0][1]).wait_for(timeout=30_000)


@needs_chromium
@pytest.mark.slow
@pytest.mark.xdist_group("jupyterlab")
@pytest.mark.parametrize("name", IN_THE_BROWSER)
def test_run_all_cells(name, lab):
    address, home = lab
    path = NOTEBOOKS[name]
    with chromium() as page:
        page.goto(address.replace("/lab?", f"/lab/tree/notebooks/{path.name}?reset&"))
        page.get_by_text("| Idle").wait_for(timeout=60_000)
        page.locator(".jp-Notebook").click()
        run_all_cells(page)
        done = page.locator(".jp-Notebook-ExecutionIndicator", has_text=re.compile(r"Executed \d+ cells"))
        done.wait_for(state="attached", timeout=240_000)
        page.keyboard.press("Control+s")
        page.wait_for_timeout(2000)
    ran = json.loads((home / "notebooks" / path.name).read_text(encoding="utf-8"))
    code = [cell for cell in ran["cells"] if cell["cell_type"] == "code" and cell["source"]]
    assert [cell["id"] for cell in code if not cell["execution_count"]] == []
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"] == []


def run_all_cells(page) -> None:
    """Choose it from the menu, which does nothing in the first moments after a notebook was opened."""
    from playwright.sync_api import TimeoutError as StillIdle

    for _ in range(5):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            return page.get_by_text("| Busy").wait_for(timeout=3000)
        except StillIdle:
            page.keyboard.press("Escape")
    raise AssertionError("Run All Cells did not start the notebook")
