"""Lint finds every planted fault, and nothing in a clean split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashlib_nb import datasets
from hashlib_nb.datasets import __main__ as command
from hashlib_nb.datasets import _lookalikes
from hashlib_nb.datasets._lint import lint, runs_z, summary
from hashlib_nb.datasets._lookalikes import edges, near_copies
from hashlib_nb.datasets.cifar10 import CLASS_NAMES
from tests.helpers import run_main

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
    "train.txt is empty": lambda root: (root / "train.txt").write_text(""),
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
    alone = ("files", "database is", "train.txt is empty")
    planted = [what for what in FAULTS if not what.startswith(alone)] + ["files that are missing"]
    for what in planted:
        FAULTS[what](clean)
    found = [finding.what for finding in lint("lists", clean).findings]
    assert not [what for what in planted if not any(what in each for each in found)]


def test_training_pictures_in_the_database_can_be_declared(clean):
    add(clean, "database", line(9))
    report = lint("lists", clean, training_in_database=True)
    assert report.ok
    assert [finding.count for finding in report.findings] == [1]


def test_copies_of_declared_training_pictures_in_the_database_are_no_leak(clean):
    add(clean, "database", line(9), copy(clean, 10, "p/x6.png"))
    assert lint("lists", clean, training_in_database=True).ok


def test_one_picture_spelled_in_two_ways_is_one(clean):
    for file in (clean / "p").iterdir():
        file.unlink()
    add(clean, "train", line(0).replace("p/", "./p//"))
    assert [finding.what for finding in lint("lists", clean).findings if finding.fault] == ["query pictures in train"]


def test_a_path_that_escapes_is_found_where_no_picture_is(clean):
    for file in (clean / "p").iterdir():
        file.unlink()
    add(clean, "train", "../x.png 0 0 0 1")
    faults = [finding for finding in lint("lists", clean).findings if finding.fault]
    assert [(finding.what, finding.count) for finding in faults] == [("files that are outside root", 1)]


def test_lists_without_pictures_or_database_are_checked_by_name(clean):
    for file in (clean / "p").iterdir():
        file.unlink()
    (clean / "database.txt").unlink()
    assert lint("lists", clean).ok
    add(clean, "train", line(0))
    assert not lint("lists", clean).ok


@pytest.mark.parametrize(("fault", "status"), [(None, 0), ("query pictures in train", 1)])
def test_the_exit_status_says_it(clean, fault, status, capsys):
    if fault:
        FAULTS[fault](clean)
    with pytest.raises(SystemExit) as ended:
        run_main(command, "lint", "lists", "--root", clean)
    assert ended.value.code == status
    said = capsys.readouterr().out
    assert ("FAULT" in said) is bool(fault)
    assert "chance: mAP" in said


def test_the_shipped_pictures_pass():
    report = lint("fashion-mini")
    assert report.ok
    assert all(len(set(part.contents)) == len(part.names) for part in report.parts.values())


def test_chance_is_the_share_of_relevant_pairs_where_each_query_has_as_many():
    """Random order gives AP near R/n; with one label a query, and as many of each class, a little more."""
    splits = datasets.load("fashion-mini")
    (said,) = [each for each in summary(lint("fashion-mini").parts) if each.startswith("chance")]
    value = float(said.split("mAP ")[1].split()[0])
    relevant = (splits.query.labels @ splits.database.labels.T > 0).mean()
    assert relevant < value < relevant + 0.005


def test_without_a_database_chance_is_that_of_the_training_pictures(clean):
    (clean / "database.txt").unlink()
    assert [each for each in summary(lint("lists", clean).parts) if "mAP" in each and each.endswith("of train")]


# Datasets other than lists


@pytest.fixture
def cifar(tmp_path) -> Path:
    """Four pictures of each class in both halves, lossless."""
    rng = np.random.default_rng(1)
    for half in ("test", "train"):
        for name in CLASS_NAMES:
            (tmp_path / half / name).mkdir(parents=True)
            for i in range(4):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / half / name / f"{i}.png")
    return tmp_path


def test_pixels_of_a_query_in_the_database_are_found_whatever_the_file(cifar):
    with Image.open(cifar / "test/cat/0.png") as picture:
        picture.save(cifar / "train/cat/9.png", compress_level=0)
    assert (cifar / "test/cat/0.png").read_bytes() != (cifar / "train/cat/9.png").read_bytes()
    faults = {found.what: found for found in lint("cifar10", cifar, protocol="10k/50k").findings if found.fault}
    assert set(faults) == {f"query pictures in {part} under another name" for part in ("train", "database")}
    for fault in faults.values():
        assert (fault.count, fault.examples) == (1, ("test/cat/0.png = train/cat/9.png",))


def test_training_pictures_in_the_database_are_declared_by_the_protocol(cifar):
    (note,) = lint("cifar10", cifar, protocol="10k/50k").findings
    assert (note.what, note.fault) == ("train pictures in database, as the protocol has it", False)
    assert lint("cifar10", cifar, protocol="54k", query_per_class=1, train_per_class=2).findings == []


def test_bad_files_are_counted_in_every_dataset_of_files(cifar):
    (cifar / "train/dog/1.png").write_bytes(b"")
    (cifar / "train/dog/2.png").write_bytes((cifar / "train/dog/2.png").read_bytes()[:60])
    for name in ("cifar10", "folder"):
        report = lint(name, cifar, query_per_class=1, train_per_class=1)
        found = {finding.what: finding for finding in report.findings if finding.fault}
        assert found["files that are empty"].examples == ("train/dog/1.png",)
        assert found["files that are broken"].examples == ("train/dog/2.png",)


def test_pictures_that_a_dataset_leaves_out_are_noted(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / f"images/{i:02}.png")
    content = {
        "images": [{"id": i, "file_name": f"{i:02}.png"} for i in range(12)],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"image_id": i, "category_id": 1} for i in range(10)],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances.json").write_text(json.dumps(content), encoding="utf-8")
    report = lint("coco", tmp_path, query=2, train=3, train_from_database=False)
    assert report.ok
    assert [(note.what, note.count) for note in report.findings] == [("pictures left out: without labels", 2)]


def test_a_saved_split_can_be_checked(tmp_path):
    splits = datasets.load("fashion-mini", seed=3)
    splits.save_split(tmp_path / "split.npz")
    assert lint("fashion-mini", split=tmp_path / "split.npz").parts["query"].names == [
        f"picture {row}" for row in splits.rows["query"]
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "lists", "colour": 1}, "'colour' is no option that lists are checked with"),
        ({"name": "lists", "split": "s.npz"}, "split is s.npz, but lists say themselves"),
        ({"name": "lists", "on_error": "skip"}, "on_error is 'skip', but lint looks at every file"),
        ({"name": "fashion-mini", "training_in_database": True}, "'fashion-mini' declares it by its protocol"),
        ({"name": "cifar"}, "name is 'cifar', which is no dataset here"),
    ],
)
def test_options_without_effect_are_refused(clean, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        lint(arguments.pop("name"), clean, **arguments)


# Pictures that look alike


def photograph(seed: int, side: int = 64) -> Image.Image:
    """Smooth shapes, as photographs have; noise would not survive a change of size."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((side, side), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("saved", "options"),
    [("x.jpg", {"quality": 60}), ("x.png", {}), ("x.gif", {})],
)
@pytest.mark.parametrize("scale", [1, 0.5])
def test_a_photograph_saved_once_more_is_noted_and_no_fault(clean, saved, options, scale):
    original = photograph(0)
    original.save(clean / "p/00.png")
    changed = original.resize((int(scale * 64),) * 2).point(lambda value: 20 + 0.8 * value)
    changed.save(clean / saved, **options)
    add(clean, "database", line(0).replace("p/00.png", saved))
    report = lint("lists", clean)
    assert report.ok
    (note,) = report.findings
    assert note.what == "query pictures that look like one in database"
    assert note.examples == (f"p/00.png ~ {saved}",)


def test_photographs_of_different_things_are_no_copies():
    outlines = np.stack([edges(np.asarray(photograph(seed))) for seed in range(300)])
    assert near_copies(outlines[:150], outlines[150:]) == []


def test_near_copies_are_the_pairs_of_largest_correlation(monkeypatch):
    monkeypatch.setattr(_lookalikes, "BLOCK", 7)
    rng = np.random.default_rng(0)
    others = np.stack([edges(np.asarray(photograph(seed))) for seed in range(40)])
    blurred = {31: 0.01, 3: 0.03, 8: 0.02}
    these = np.stack([others[row] + rng.normal(scale=noise, size=480) for row, noise in blurred.items()])
    these = np.concatenate([rng.normal(size=(20, 480)), these]).astype(np.float32)
    these /= np.linalg.norm(these, axis=1, keepdims=True)
    assert near_copies(these, others) == [(20, 31), (22, 8), (21, 3)]


def test_looks_that_are_common_say_nothing():
    outlines = np.stack([edges(np.asarray(photograph(seed))) for seed in range(40)])
    assert near_copies(outlines[:1], outlines) == [(0, 0)]
    assert near_copies(outlines[:1], np.concatenate([outlines, np.repeat(outlines[:1], 9, axis=0)])) == []


def test_a_picture_of_one_color_is_like_nothing():
    flat = edges(np.full((9, 5, 1), 7, dtype=np.uint8))
    assert not flat.any()
    assert near_copies(flat[None], flat[None]) == []


def test_a_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="must hold test.txt"):
        lint("lists", tmp_path)


def test_runs_of_a_shuffled_order_are_as_expected_and_of_a_sorted_one_not():
    labels = np.eye(5, dtype=np.uint8)[np.random.default_rng(0).integers(0, 5, 500)]
    shuffled = [runs_z(np.random.default_rng(seed).permutation(labels)) for seed in range(200)]
    assert abs(np.mean(shuffled)) < 0.3
    assert 0.7 < np.std(shuffled) < 1.3
    assert runs_z(labels[np.argsort(labels.argmax(axis=1))]) < -20
