"""What a stored table says of its making, on repositories that are made here."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hashlib_nb import artifacts
from hashlib_nb.encoder import Settings
from hashlib_nb.experiments import comparison, provenance, questions, results, tuning


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a test", "-c", "user.email=test@localhost"]
    return subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def clone(tmp_path):
    """A repository with a package in it, and one commit."""
    package = tmp_path / "clone" / "package"
    package.mkdir(parents=True)
    (package / "code.py").write_text("a = 1\n")
    git(package.parent, "init", "-q")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "-q", "-m", "first")
    return package


@pytest.mark.process
def test_a_commit_is_the_clones_and_says_whether_its_code_has_changed(clone):
    first = git(clone, "rev-parse", "HEAD").strip()
    assert provenance.commit(clone) == first
    (clone.parent / "notes.txt").write_text("beside the package")
    assert provenance.commit(clone) == first
    (clone / "code.py").write_text("a = 2\n")
    assert provenance.commit(clone) == f"{first}-dirty"


@pytest.mark.process
def test_outside_a_clone_there_is_no_commit(clone, tmp_path, monkeypatch):
    assert provenance.commit(tmp_path) is None
    installed = clone.parent / ".venv" / "package"  # inside somebody's clone, and no part of it
    installed.mkdir(parents=True)
    (installed / "code.py").write_text("a = 1\n")
    assert provenance.commit(installed) is None
    monkeypatch.setenv("PATH", "")
    assert provenance.commit(clone) is None


@pytest.mark.parametrize(
    ("stage", "args"),
    [
        ("results", results.Args(root=Path("DATA"), settings=Settings(arch="alexnet_small"))),
        ("questions", questions.Args()),
        ("comparison", comparison.Args()),
        ("tuning", tuning.Args()),
    ],
)
def test_a_record_is_json_and_has_every_setting_resolved(stage, args):
    record = provenance.made_by(stage, args)
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["command"].startswith(f"python -m hashlib_nb {stage}")
    assert record["versions"]["python"] == platform.python_version()
    assert record["cpu"]
    assert min(record["threads"].values()) >= 1
    if hasattr(args, "settings"):
        resolved = args.settings.resolved()
        assert record["args"]["arch"] == resolved.arch
        assert record["args"]["epochs"] == resolved.epochs
        assert record["args"]["recipe"]["lr"] == resolved.recipe.lr


def test_differences_are_those_that_change_numbers():
    args = results.Args()
    record = provenance.made_by("results", replace(args, workers=2, out=Path("somewhere.json")))
    assert provenance.differences(record, args) == ""
    assert provenance.differences(record, replace(args, settings=Settings(epochs=3))) == "epochs=20, now 3"
    assert provenance.differences(record, replace(args, seeds=(0,))) == "seeds=[0, 1, 2], now [0]"
    assert provenance.differences(record, replace(args, seeds=(0,)), but=("seeds",)) == ""
    assert "subsets='not set'" in provenance.differences({}, args)


def test_a_table_that_was_stored_before_a_setting_came_is_of_its_default():
    args = results.Args()
    record = provenance.made_by("results", args)
    del record["args"]["codes"]
    assert provenance.differences(record, args) == ""
    assert provenance.differences(record, replace(args, codes="reference")) == "codes='own', now 'reference'"
    assert provenance.differences(provenance.made_by("questions", questions.Args()), questions.Args()) == ""


def test_an_earlier_record_is_found_or_it_is_said_why_not(tmp_path, capsys):
    path, args = tmp_path / "table.json", results.Args()
    assert provenance.earlier(path, args) is None
    assert capsys.readouterr().out == ""  # nothing was there to go on from
    record = provenance.made_by("results", args) | {"rows": [{"map": 0.5}]}
    artifacts.save_json(path, record)
    assert provenance.earlier(path, args) == json.loads(json.dumps(record))
    assert provenance.earlier(path, replace(args, seeds=(4,)), but=("seeds",)) == provenance.earlier(path, args)
    assert capsys.readouterr().out == ""
    assert provenance.earlier(path, replace(args, seeds=(4,))) is None
    assert "made with other settings (seeds=[0, 1, 2], now [4]); making it anew" in capsys.readouterr().out
    for damaged in ("{", "[]", "3", '{"rows": 3}', '{"args": {}}', '{"rows": [], "args": []}'):
        path.write_text(damaged, encoding="utf-8")
        assert provenance.earlier(path, args) is None
        assert re.search(
            r"^\S+ (cannot be used|was made with other settings) \(.+\); making it anew$", capsys.readouterr().out
        )
