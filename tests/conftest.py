"""Fixtures that several files of tests ask for; `tests.helpers` has the plain functions."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty folder in the place of the project's: artifacts, runs and figures go there."""
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    return tmp_path
