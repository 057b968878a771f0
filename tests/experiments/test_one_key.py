"""One key says which run it is: what changes a result changes its place, what lies together was made together."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tyro

from hashlib_nb import artifacts
from hashlib_nb.course import demo
from hashlib_nb.experiments import results

SMALL = ("--code-length", "8", "--lengths", "4", "--seeds", "0", "--folds", "2", "--total-episodes", "32")


def asked(*options: str) -> results.Args:
    return tyro.cli(results.Args, args=[*SMALL, "--subsets", "1", *options])


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_other_settings_leave_the_codes_of_a_run_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    results.main(asked("--epochs", "2", "--no-direct"))
    before = contents(artifacts.project_root() / "artifacts")
    results.main(asked("--epochs", "1", "--no-direct", "--folds", "3"))
    after = contents(artifacts.project_root() / "artifacts")
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--literal",)], ids=["repaired", "literal"])
def test_the_encoder_of_the_page_is_the_one_that_made_its_codes(options, tmp_path, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    for asks in ((), options):  # another run lies beside it
        args = asked("--epochs", "1", *asks)
        found = demo.load(args.setup(0), args.lengths[0], total_episodes=args.total_episodes)
    np.testing.assert_array_equal(found.encoder.logits(found.splits.query.images), found.query_logits)
