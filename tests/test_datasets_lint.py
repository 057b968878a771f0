"""Lint finds every planted fault, and nothing in a clean split."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashlib_nb import datasets
from hashlib_nb.datasets._lint import lint, runs_z, summary

N = 40
PARTS = {"test": range(8), "train": range(8, 20), "database": range(20, N)}


def line(i: int) -> str:
    """A picture with one of four label sets, in no order."""
    return f"p/{i:02}.png {' '.join(str(int(v)) for v in np.eye(4, dtype=int)[(7 * i * i + 3 * i) // 2 % 4])}"


@pytest.fixture
def clean(tmp_path) -> Path:
    (tmp_path / "p").mkdir()
    rng = np.random.default_rng(0)
    for i in range(N):
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(tmp_path / f"p/{i:02}.png")
    for part, rows in PARTS.items():
        write(tmp_path, part, [line(i) for i in rows])
    return tmp_path


def write(root: Path, part: str, lines: list[str]) -> None:
    (root / f"{part}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def add(root: Path, part: str, *lines: str) -> None:
    write(root, part, [*(root / f"{part}.txt").read_text(encoding="utf-8").split("\n")[:-1], *lines])


def copy(root: Path, source: int, target: str) -> str:
    """Another name for the same picture, with its labels."""
    (root / target).write_bytes((root / f"p/{source:02}.png").read_bytes())
    return line(source).replace(f"p/{source:02}.png", target)


def sort_database(root: Path) -> None:
    write(root, "database", sorted((line(i) for i in PARTS["database"]), key=lambda text: text.split()[1:]))


FAULTS: dict[str, Callable[[Path], object]] = {
    "query pictures in train": lambda root: add(root, "train", line(0)),
    "query pictures in database": lambda root: add(root, "database", line(0)),
    "train pictures in database": lambda root: add(root, "database", line(9)),
    "query pictures in train under another name": lambda root: add(root, "train", copy(root, 1, "p/x1.png")),
    "query pictures in database under another name": lambda root: add(root, "database", copy(root, 1, "p/x2.png")),
    "train pictures in database under another name": lambda root: add(root, "database", copy(root, 9, "p/x3.png")),
    "database pictures listed more than once": lambda root: add(root, "database", line(25)),
    "database pictures that are copies of another": lambda root: add(root, "database", copy(root, 25, "p/x4.png")),
    "disagree in their labels, by name": lambda root: add(root, "train", "p/09.png 1 1 1 1"),
    "disagree in their labels, by content": lambda root: add(
        root, "database", f"{copy(root, 25, 'p/x5.png').split()[0]} 1 1 1 1"
    ),
    "database is sorted by class": sort_database,
    "rows with 3 labels instead of 4": lambda root: add(root, "train", "p/09.png 0 1 0"),
    "rows with no label": lambda root: add(root, "train", "p/09.png"),
    "train pictures without any label": lambda root: add(root, "train", "p/39.png 0 0 0 0"),
    "files that are missing": lambda root: (root / "p/30.png").unlink(),
    "files that are empty": lambda root: (root / "p/30.png").write_bytes(b""),
    "files that are no image": lambda root: (root / "p/30.png").write_text("a text"),
    "files that are broken": lambda root: (root / "p/30.png").write_bytes((root / "p/30.png").read_bytes()[:60]),
    "files that are outside root": lambda root: add(root, "database", "../x.png 0 0 0 1"),
}


def test_a_clean_split_has_no_finding(clean):
    report = lint("lists", clean)
    assert report.ok
    assert report.findings == []


@pytest.mark.parametrize("what", FAULTS)
def test_each_planted_fault_is_found_and_named(clean, what):
    FAULTS[what](clean)
    report = lint("lists", clean)
    assert not report.ok
    assert any(what in finding.what and finding.fault for finding in report.findings), [*map(str, report.findings)]


def test_all_faults_at_once_are_all_found(clean):
    planted = [what for what in FAULTS if not what.startswith(("files", "database is"))] + ["files that are missing"]
    for what in planted:
        FAULTS[what](clean)
    found = [finding.what for finding in lint("lists", clean).findings]
    assert not [what for what in planted if not any(what in each for each in found)]


def test_training_pictures_in_the_database_can_be_declared(clean):
    add(clean, "database", line(9))
    report = lint("lists", clean, training_in_database=True)
    assert report.ok
    assert [finding.count for finding in report.findings] == [1]


def test_lists_without_pictures_or_database_are_checked_by_name(clean):
    for file in (clean / "p").iterdir():
        file.unlink()
    (clean / "database.txt").unlink()
    assert lint("lists", clean).ok
    add(clean, "train", line(0))
    assert not lint("lists", clean).ok


@pytest.mark.parametrize(("fault", "status"), [(None, 0), ("query pictures in train", 1)])
def test_the_exit_status_says_it(clean, fault, status):
    if fault:
        FAULTS[fault](clean)
    command = [sys.executable, "-m", "hashlib_nb.datasets", "lint", "lists", "--root", str(clean)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert ("FAULT" in done.stdout) is bool(fault)
    assert "chance: mAP" in done.stdout


def test_the_shipped_pictures_pass():
    assert lint("fashion-mini").ok


def test_chance_is_the_share_of_relevant_pairs_where_each_query_has_as_many(clean):
    """Random order gives AP near R/n; with one query label and half of the database relevant, a little more."""
    splits = datasets.load("fashion-mini")
    (said,) = [each for each in summary(lint("fashion-mini").parts) if each.startswith("chance")]
    value = float(said.split("mAP ")[1].split()[0])
    relevant = (splits.query.labels @ splits.database.labels.T > 0).mean()
    assert relevant < value < relevant + 0.005


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="must hold test.txt"):
        lint("lists", tmp_path)


def test_runs_of_a_shuffled_order_are_as_expected_and_of_a_sorted_one_not():
    labels = np.eye(5, dtype=np.uint8)[np.random.default_rng(0).integers(0, 5, 500)]
    shuffled = [runs_z(np.random.default_rng(seed).permutation(labels)) for seed in range(200)]
    assert abs(np.mean(shuffled)) < 0.3
    assert 0.7 < np.std(shuffled) < 1.3
    assert runs_z(labels[np.argsort(labels.argmax(axis=1))]) < -20
