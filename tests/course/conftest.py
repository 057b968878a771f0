"""What the tests of lessons, assignments, book and page share; each of them has the mark "course"."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.course.small_lessons import Ran


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.course)


@pytest.fixture(scope="session")
def ran(tmp_path_factory) -> Ran:
    """The lessons, each run once for all tests of all workers."""
    base = tmp_path_factory.getbasetemp()  # a worker's own, where there are several
    return Ran((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "lessons")
