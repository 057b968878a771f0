"""The lessons with parameters that take seconds, what a run of one printed, and a home in which each ran."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

from hashlib_nb.course.lessons import LESSONS
from tests.helpers import start_python

NOTEBOOKS = {lesson.name: lesson.path for lesson in LESSONS}
"""The lessons by name; 00_start.ipynb, which lists them, is tested in test_jupyterlab.py."""
SMALL = {
    "01_hash_codes": {"code_length": 12, "epochs": 5, "table_seeds": 1},
    "02_encoder": {"code_length": 12, "epochs": 1, "folds": 2},
    "03_ppo_selection": {
        "bits": 5, "total_episodes": 64, "thesis_episodes": 4, "random_subsets": 20,
    },
    "04_evaluation": {
        "codes": "own", "code_length": 12, "lengths": [4], "seeds": [0], "epochs": 1, "total_episodes": 64,
    },
    "05_bit_selectors": {
        "pool_names": ["thermometer", "lsh-512"], "shown_pool": "thermometer", "lengths": [4], "seeds": [0, 1],
        "budget": 60, "shown_bits": 4, "gap_candidates": 8, "gap_bits": 3, "gap_budget": 40, "long_budget": 80,
        "random_subsets": 10, "direct_lengths": [4], "epochs": 1, "folds": 2, "workers": 1,
    },
    "06_retrieval_demo": {"code_length": 12, "bits": 5, "epochs": 1, "folds": 2, "total_episodes": 64},
    "08_agents": {"bits": 4, "budget": 60, "dqn_budget": 120, "workers": 1},
    "09_scaling": {"items": 3000, "shard": 250, "queries": 20, "workers": [1, 2]},
    "10_perceptual_hashes": {"pictures": 24, "size": 64, "kept": 16, "examples": [50]},
    "11_video_and_records": {"synthetic": 2, "strangers": 1, "real": False, "rate": 2, "flood": 10},
    "07_baselines": {"code_length": 12, "methods": "sdh,hashnet,csq", "size": 32, "epochs": 1},
}  # fmt: skip
"""Parameters with which a notebook takes seconds."""


def outputs(notebook: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    """What its cells show, in order."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield from cell.outputs


def printed(notebook: nbformat.NotebookNode) -> str:
    """What its cells print."""
    return "".join(output.get("text", "") for output in outputs(notebook))


@dataclass(frozen=True)
class Ran:
    """Homes in which one lesson each has run, small, where nothing was run before; a lesson runs once a session.

    All tests and all workers share them, so they are read and never written: `copy` is for those who go on from one.
    """

    folder: Path
    """Where the homes are."""

    def home(self, name: str) -> Path:
        """The home of a lesson: its executed copy is in runs/. The first who asks runs it, as `make course` does."""
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        with open(self.folder / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the file is closed
            if not (home / "said.txt").exists():
                values = [f"{key}={value}" for key, value in SMALL[name].items()]
                words = ("run_course", "--notebooks", name.partition("_")[0], "--parameters", *values)
                done = start_python("-m", "hashlib_nb", *words, check=False, env={"HASHLIB_NB_HOME": str(home)})
                (home / "said.txt").write_text(f"{done.returncode}\n{done.stderr[-2000:]}")
        assert (home / "said.txt").read_text().startswith("0\n"), (home / "said.txt").read_text()
        return home

    def notebook(self, name: str) -> nbformat.NotebookNode:
        """Its executed copy."""
        return nbformat.read(self.home(name) / "runs" / f"{name}.ipynb", as_version=4)

    def copy(self, name: str, folder: Path) -> Path:
        """The lesson's home in a folder of one's own."""
        return Path(shutil.copytree(self.home(name), folder, dirs_exist_ok=True))
