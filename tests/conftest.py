"""Fixtures that several files of tests ask for, and the order of tests; `tests.helpers` has the plain functions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers import hide_packages


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty folder in the place of the project's: artifacts, runs and figures go there."""
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def without_dask(monkeypatch) -> None:
    """An environment without the extra "scale": workers are the standard library's, which start sooner."""
    hide_packages(monkeypatch, "distributed", "bokeh")


def pytest_collection_modifyitems(items):
    """Where workers share the tests, groups that one worker runs alone come first: small tests fill what is left."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
