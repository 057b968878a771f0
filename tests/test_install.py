"""The package as its wheel installs it: its commands and the files it reads of itself, away from any clone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from hashlib_nb import metrics
from hashlib_nb.search import Index, Origin
from tests.helpers import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.process, pytest.mark.xdist_group("wheel")]


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Path:
    """The folder of an environment that holds the wheel, and finds the packages it needs where this one has them."""
    pytest.importorskip("setuptools", reason="builds the wheel without asking a registry for it")
    folder = tmp_path_factory.mktemp("install")
    source = folder / "source"
    shutil.copytree(ROOT / "hashlib_nb", source / "hashlib_nb", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source, cwd=folder)
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}  # but not what a .pth file there adds
    (packages / "borrowed.pth").write_text("\n".join(borrowed))
    shutil.rmtree(source)
    return folder / "venv"


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, without the variables by which Python would find a clone."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "HASHLIB_NB_HOME"}}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_package_reads_of_itself_is_there(environment, tmp_path):
    source = """
import hashlib_nb
from hashlib_nb import datasets, encoder
from hashlib_nb.search.page import html, widgets
splits = datasets.load("fashion-mini")
print(hashlib_nb.__file__)
codes = encoder.Setup(source="reference").codes()
print(len(splits.train), len(codes.train))
print(".hnb" in html.title("coats", 1, 2, 3), "hashlibSearchPage(" in widgets.script())
"""
    where, _, found, read = run(environment / "bin" / "python", "-c", source, cwd=tmp_path).splitlines()
    assert Path(where).is_relative_to(environment)
    pictures, coded = found.split()
    assert read == "True True"
    assert int(pictures) == int(coded) > 0


def test_its_command_lists_the_others(environment, tmp_path):
    shown = run(environment / "bin" / "hashlib-nb", cwd=tmp_path)
    assert {"metrics", "search", "ppo"} <= {line.split()[0] for line in shown.splitlines() if line.strip()}


def test_codes_are_measured(environment, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.eye(3, dtype=np.uint8)[rng.integers(0, 3, 60)]
    codes = (labels @ rng.integers(0, 2, (3, 12)) ^ (rng.random((60, 12)) < 0.2)).astype(np.uint8)
    parts = {"query_codes": codes[:10], "query_labels": labels[:10]}
    parts |= {"database_codes": codes[10:], "database_labels": labels[10:]}
    np.savez(tmp_path / "codes.npz", **parts)
    command = environment / "bin" / "hashlib-nb"
    run(command, "metrics", "--codes", "codes.npz", "--out", "report.json", cwd=tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["map"]["all"]["expected"] == metrics.mean_average_precision(**parts)


def test_an_index_is_searched(environment, tmp_path):
    codes = np.tril(np.ones((9, 8), np.uint8), -1)  # row i has i ones
    paths = [tmp_path / f"{ones}.png" for ones in range(9)]
    made = Index(tmp_path / "index", Origin("ab" * 32, 8, tuple(range(8))), tmp_path / "model")
    made.add(codes, paths, [bytes([row] * 32) for row in range(9)])
    options = ("--index", "index", "--hex", "00", "--top", "3", "--grid", "None")
    lines = run(environment / "bin" / "hashlib-nb", "search", *options, cwd=tmp_path).splitlines()
    assert lines[0].startswith("query 00: the nearest 3 of 9; ")
    assert [line.split("  ")[0] for line in lines[1:4]] == ["0", "1", "2"]
    assert [Path(line.split("  ")[1]).name for line in lines[1:4]] == ["0.png", "1.png", "2.png"]
