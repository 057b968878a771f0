"""Datasets whose pictures lie in files: decoding, the published layouts, splits that come back as they were saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from hashlib_nb import datasets
from hashlib_nb.datasets import Pictures
from hashlib_nb.datasets._options import parse_options
from hashlib_nb.datasets.cifar10 import CLASS_NAMES
from hashlib_nb.datasets.lists import read_list

PARTS = ("query", "train", "database")


def draw(path: Path, value: int, size: tuple[int, int] = (8, 6)) -> None:
    """A picture of noise that only `value` decides."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def by_class(root: Path, classes: tuple[str, ...], each: int, start: int = 0) -> Path:
    for number, name in enumerate(classes):
        for i in range(each):
            draw(root / name / f"{i:03}.png", start + 1000 * number + i)
    return root


def names(split: datasets.Split) -> set[str]:
    return set(split.names)


def disjoint(splits: datasets.Splits, *parts: str) -> bool:
    held = [names(getattr(splits, part)) for part in parts]
    return sum(map(len, held)) == len(set().union(*held))


# Pictures


def test_pictures_decode_like_an_array_of_all(tmp_path):
    for i in range(5):
        draw(tmp_path / f"{i}.png", i, size=(9 + i, 7))
    pictures = Pictures([f"{i}.png" for i in range(5)], size=4, root=tmp_path)
    everything = np.asarray(pictures)
    assert everything.shape == pictures.shape == (5, 4, 4, 3)
    assert everything.dtype == pictures.dtype == np.uint8
    rows = np.array([3, 0, 3])
    for index in (2, slice(1, 4), rows, np.arange(5) % 2 == 0):
        np.testing.assert_array_equal(pictures[index], everything[index])
    np.testing.assert_array_equal(np.asarray(pictures.take(rows)), everything[rows])


def test_pictures_are_read_in_workers(tmp_path):
    for i in range(6):
        draw(tmp_path / f"{i}.png", i)
    pictures = Pictures([f"{i}.png" for i in range(6)], size=4, root=tmp_path)
    read = np.concatenate([batch.numpy() for batch in DataLoader(pictures, batch_size=2, num_workers=2)])
    np.testing.assert_array_equal(read, np.asarray(pictures))


@pytest.mark.parametrize("escape", ["../out.png", "inside/../../out.png", "link.png"])
def test_no_path_leaves_the_root(tmp_path, escape):
    root = tmp_path / "root"
    root.mkdir()
    draw(tmp_path / "out.png", 1)
    (root / "link.png").symlink_to(tmp_path / "out.png")
    with pytest.raises(ValueError, match="lead out of"):
        Pictures([escape], size=4, root=root)


@pytest.mark.parametrize("content", [b"", b"no picture at all", None], ids=["empty", "text", "truncated"])
def test_a_bad_file_is_named_or_counted(tmp_path, content):
    root = by_class(tmp_path, ("a", "b"), 6)
    bad = root / "a" / "003.png"
    bad.write_bytes(bad.read_bytes()[:40] if content is None else content)
    with pytest.raises(ValueError, match="003.png"):
        np.asarray(datasets.load("folder", root=root).pool.everything.images)
    splits = datasets.load("folder", root=root, on_error="skip")
    assert sum(splits.info["dropped"].values()) == 1
    assert "a/003.png" not in splits.pool.everything.names
    assert np.asarray(splits.database.images).shape[0] == len(splits.database)


# Layouts


@pytest.fixture(scope="module")
def cifar(tmp_path_factory) -> Path:
    """Ten classes, 6 pictures each in the training half and 4 in the test half."""
    root = tmp_path_factory.mktemp("cifar")
    by_class(root / "train", CLASS_NAMES, 6)
    by_class(root / "test", CLASS_NAMES, 4, start=500)
    return root


@pytest.mark.parametrize(
    ("protocol", "counts", "sizes", "inside"),
    [
        ("54k", {"query_per_class": 1, "train_per_class": 3}, (10, 30, 60), False),
        ("59k", {"query_per_class": 1, "train_per_class": 3}, (10, 30, 90), True),
        ("10k/50k", {}, (40, 60, 60), True),
        ("10k/50k", {"train_per_class": 2, "database_per_class": 5}, (40, 20, 50), True),
    ],
)
def test_cifar_protocols_give_their_sizes(cifar, protocol, counts, sizes, inside):
    splits = datasets.load("cifar10", root=cifar, protocol=protocol, **counts)
    assert tuple(splits.info["sizes"][part] for part in PARTS) == sizes
    assert splits.info["protocol"] == protocol
    assert splits.info["training_in_database"] is inside
    assert disjoint(splits, "query", "train")
    assert disjoint(splits, "query", "database")
    assert (names(splits.train) <= names(splits.database)) is inside
    if protocol == "10k/50k":
        assert all(name.startswith("test/") for name in splits.query.names)
    for part in PARTS:
        split = getattr(splits, part)
        assert np.ptp(split.labels.sum(axis=0)) == 0
        shown = [CLASS_NAMES[row.argmax()] for row in split.labels]
        assert all(f"/{name}/" in path for name, path in zip(shown, split.names, strict=True))


def coco_folder(root: Path) -> Path:
    """Twelve pictures: number i shows a dog if even, a cat if a multiple of 3, a person if above 6; 1 and 5 nothing."""
    pictures = [{"id": 100 + i, "file_name": f"{i:02}.png"} for i in range(12)]
    shown = [(1, i) for i in range(0, 12, 2)] + [(5, i) for i in range(0, 12, 3)] + [(2, i) for i in range(7, 12)]
    content = {
        "images": pictures,
        "categories": [{"id": 5, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "person"}],
        "annotations": [{"image_id": 100 + i, "category_id": category} for category, i in shown + shown[:2]],
    }
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances.json").write_text(json.dumps(content), encoding="utf-8")
    for i in range(12):
        draw(root / "images" / f"{i:02}.png", i)
    return root


def test_coco_by_hand(tmp_path):
    splits = datasets.load("coco", root=coco_folder(tmp_path), query=2, train=3, train_from_database=False, size=8)
    assert splits.class_names == ("dog", "person", "cat")
    assert splits.info["dropped"]["without labels"] == 2
    assert [len(getattr(splits, part)) for part in PARTS] == [2, 3, 5]
    assert disjoint(splits, *PARTS)
    for name, row in zip(splits.pool.everything.names, splits.pool.everything.labels, strict=True):
        i = int(Path(name).stem)
        assert row.tolist() == [i % 2 == 0, i > 6, i % 3 == 0]


def test_coco_without_a_category_drops_what_shows_nothing_else(tmp_path):
    splits = datasets.load("coco", root=coco_folder(tmp_path), query=1, train=2, exclude=("person",), size=8)
    assert splits.class_names == ("dog", "cat")
    assert splits.info["dropped"] == {"without labels": 2, "only excluded labels": 2}  # 7 and 11 show a person alone
    assert names(splits.train) <= names(splits.database)


def nuswide_folder(root: Path, n: int = 30) -> Path:
    listed = [f"group{i % 2}\\{i:03}.png" for i in range(n)]
    (root / "ImageList").mkdir(parents=True)
    (root / "ImageList" / "Imagelist.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    labels = root / "Groundtruth" / "AllLabels"
    labels.mkdir(parents=True)
    for concept in range(22):  # the rarer the higher its number; pictures from 28 on show nothing
        values = ["1" if i < 28 - concept else "0" for i in range(n)]
        (labels / f"Labels_c{concept:02}.txt").write_text("\n".join(values) + "\n", encoding="utf-8")
    for i in range(n):
        draw(root / "Flickr" / f"group{i % 2}" / f"{i:03}.png", i)
    return root


def test_nuswide_by_hand(tmp_path):
    splits = datasets.load("nuswide", root=nuswide_folder(tmp_path), query=3, train=5, balanced=False, size=8)
    assert splits.class_names == tuple(f"c{i:02}" for i in range(21))  # the rarest of the 22 is left out
    assert splits.info["dropped"]["without labels"] == 2
    assert [len(getattr(splits, part)) for part in PARTS] == [3, 5, 25]
    for name, row in zip(splits.pool.everything.names, splits.pool.everything.labels, strict=True):
        assert row.sum() == min(21, 28 - int(Path(name).stem))


def write_lists(root: Path, **lines: list[str]) -> Path:
    for part, each in lines.items():
        (root / f"{part}.txt").write_text("\n".join(each) + "\n", encoding="utf-8")
    return root


def test_lists_give_the_parts_as_listed(tmp_path):
    for i in range(6):
        draw(tmp_path / "my pictures" / f"{i}.png", i)
    lines = [f"my pictures/{i}.png {i % 2} {1 - i % 2}" for i in range(6)]
    write_lists(tmp_path, test=lines[:1], train=lines[1:3], database=lines[2:])
    splits = datasets.load("lists", root=tmp_path, size=8)
    assert splits.train.names == ("my pictures/1.png", "my pictures/2.png")
    assert splits.database.names == tuple(f"my pictures/{i}.png" for i in range(2, 6))
    assert splits.info["training_in_database"]
    assert splits.query.labels.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a.jpg 0 1", "b.jpg 1"], "line 2: 1 labels, but the lines before have 2"),
        (["a.jpg 0 2"], "line 1: no label"),
        (["0 1 1"], "line 1: no path"),
        ([""], "is empty"),
    ],
)
def test_a_bad_list_is_named_with_its_line(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        read_list(write_lists(tmp_path, train=lines) / "train.txt")


def test_folder_of_classes_gives_each_part_of_each_class(tmp_path):
    by_class(tmp_path, ("cats", "dogs"), 20)
    splits = datasets.load("folder", root=tmp_path, size=8)
    assert [len(getattr(splits, part)) for part in PARTS] == [4, 16, 20]
    assert disjoint(splits, *PARTS)
    exact = datasets.load("folder", root=tmp_path, size=8, query_per_class=3, train_per_class=5)
    assert [len(getattr(exact, part)) for part in PARTS] == [6, 10, 24]


def test_folder_with_a_test_half_asks_with_it(tmp_path):
    by_class(tmp_path / "train", ("cats", "dogs"), 10)
    by_class(tmp_path / "test", ("cats", "dogs"), 3, start=500)
    splits = datasets.load("folder", root=tmp_path, size=8)
    assert names(splits.query) == {f"test/{name}/00{i}.png" for name in ("cats", "dogs") for i in range(3)}
    assert [len(splits.train), len(splits.database)] == [8, 12]
    assert disjoint(splits, *PARTS)


def test_folder_with_a_table_takes_several_labels(tmp_path):
    for i in range(10):
        draw(tmp_path / "p" / f"{i}.png", i)
    lines = ["path,labels", *(f"p/{i}.png,{'sea|sky' if i % 2 else 'sky'}" for i in range(10))]
    (tmp_path / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    splits = datasets.load("folder", root=tmp_path, size=8)
    assert splits.class_names == ("sea", "sky")
    for name, row in zip(splits.pool.everything.names, splits.pool.everything.labels, strict=True):
        assert row.tolist() == [int(Path(name).stem) % 2, 1]
    assert [len(getattr(splits, part)) for part in PARTS] == [1, 4, 5]


def test_a_class_with_too_few_pictures_is_named(tmp_path):
    by_class(tmp_path, ("cats",), 10)
    by_class(tmp_path, ("dogs",), 2)
    with pytest.raises(ValueError, match="'dogs' has 2 pictures"):
        datasets.load("folder", root=tmp_path)


# Splits


def test_a_saved_split_comes_back_whatever_the_seed(cifar, tmp_path):
    counts = {"query_per_class": 1, "train_per_class": 3}
    first = datasets.load("cifar10", root=cifar, seed=3, **counts)
    first.save_split(tmp_path / "split.npz")
    again = datasets.load("cifar10", root=cifar, seed=4, split=tmp_path / "split.npz", **counts)
    other = datasets.load("cifar10", root=cifar, seed=4, **counts)
    for part in PARTS:
        assert getattr(again, part).names == getattr(first, part).names
    assert again.query.names != other.query.names
    assert again.info == first.info


def test_a_split_of_other_pictures_is_refused(cifar, tmp_path):
    datasets.load("cifar10", root=cifar, query_per_class=1, train_per_class=3).save_split(tmp_path / "split.npz")
    with pytest.raises(ValueError, match="is a split of 'cifar10', not of 'folder'"):
        datasets.load("folder", root=by_class(tmp_path / "f", ("a", "b"), 5), split=tmp_path / "split.npz")
    by_class(tmp_path / "train", CLASS_NAMES, 6)
    by_class(tmp_path / "test", CLASS_NAMES, 3)
    with pytest.raises(ValueError, match="saved from other pictures"):
        datasets.load("cifar10", root=tmp_path, split=tmp_path / "split.npz", query_per_class=1, train_per_class=3)


@pytest.mark.parametrize("name", ["cifar10", "coco", "nuswide", "lists", "folder"])
def test_without_a_folder_the_remedy_is_named(name):
    with pytest.raises(FileNotFoundError, match="root="):
        datasets.load(name)


def test_options_take_the_types_of_the_dataset():
    pairs = ["query=7", "train_from_database=false", "exclude=person,potted plant"]
    assert parse_options("coco", pairs) == {
        "query": 7,
        "train_from_database": False,
        "exclude": ("person", "potted plant"),
    }
