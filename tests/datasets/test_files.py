"""Datasets whose pictures lie in files: decoding, the published layouts, splits that come back as they were saved."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10

from hashlib_nb import artifacts, datasets
from hashlib_nb.datasets import Pictures, Split, Splits, parse_options, read_list
from hashlib_nb.datasets._draw import Counts, draw_at_random, draw_balanced
from hashlib_nb.datasets.cifar10 import CLASS_NAMES
from tests.helpers import draw

PARTS = ("query", "train", "database")


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


@pytest.mark.parametrize(
    ("mode", "color"),
    [("L", 200), ("1", 1), ("LA", (200, 128)), ("RGBA", (9, 90, 200, 255)), ("P", 3), ("CMYK", (0, 90, 200, 9))],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode, color):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture = Image.new(mode, (10, 10), color)
    picture.save(path)
    pixels = Pictures([path.name], size=5, root=tmp_path)[0]
    on_white = Image.new("RGBA", picture.size, "white")
    assert (pixels == Image.alpha_composite(on_white, picture.convert("RGBA")).getpixel((0, 0))[:3]).all()


@pytest.mark.parametrize("tall", [False, True])
def test_the_center_of_the_longer_side_is_kept(tmp_path, tall):
    """Red, green and blue squares side by side: only the green one in the middle remains."""
    bands = np.repeat(np.eye(3, dtype=np.uint8) * 255, 60, axis=0)
    pixels = np.repeat(bands[None], 60, axis=0)
    Image.fromarray(pixels.swapaxes(0, 1) if tall else pixels).save(tmp_path / "a.png")
    inner = Pictures(["a.png"], size=20, root=tmp_path)[0][1:-1, 1:-1]
    assert (inner == (0, 255, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(tmp_path, orientation):
    """Cameras store the picture as its sensor lay; shown upright, the dark corner is at the top left."""
    upright = np.full((40, 40, 3), 255, np.uint8)
    upright[:20, :20] = 0
    as_stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(as_stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(Pictures(["a.png"], size=40, root=tmp_path)[0], upright)


def test_a_jpeg_decoded_at_a_fraction_looks_like_one_decoded_in_full(tmp_path):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], ramp[::-1, None]), axis=-1)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(pixels).save(tmp_path / "a.png")  # never decoded at a fraction
    jpeg, png = Pictures(["a.jpg", "a.png"], size=32, root=tmp_path)[:].astype(int)
    assert np.abs(jpeg - png).mean() < 2


def test_pictures_refuse_what_cannot_be(tmp_path):
    draw(tmp_path / "0.png", 0)
    pictures = Pictures(["0.png"], size=4, root=tmp_path)
    with pytest.raises(IndexError):
        pictures[1]
    with pytest.raises(IndexError, match="rows has the shape"):
        pictures[np.zeros((1, 1), int)]
    with pytest.raises(ValueError, match="size is 0"):
        Pictures(["0.png"], size=0)
    (tmp_path / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match="0.png does not exist in"):
        pictures[0]


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


def batches_folder(root: Path, monkeypatch) -> Path:
    """CIFAR-10 as torchvision downloads it, with 2 pictures of each class a file, in rows of 3 x 32 x 32."""
    rng, folder = np.random.default_rng(0), root / CIFAR10.base_folder
    folder.mkdir(parents=True)
    for attribute in ("train_list", "test_list"):
        checked = []
        for name, _ in getattr(CIFAR10, attribute):
            pixels, class_ids = rng.integers(0, 256, (20, 3072), dtype=np.uint8), [i % 10 for i in range(20)]
            (folder / name).write_bytes(pickle.dumps({"data": pixels, "labels": class_ids}))
            checked.append([name, hashlib.md5((folder / name).read_bytes()).hexdigest()])
        monkeypatch.setattr(CIFAR10, attribute, checked)
    content = pickle.dumps({"label_names": list(CLASS_NAMES)})
    (folder / CIFAR10.meta["filename"]).write_bytes(content)
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": hashlib.md5(content).hexdigest()})
    return folder


def test_cifar_reads_the_files_of_torchvision(tmp_path, monkeypatch):
    folder = batches_folder(tmp_path, monkeypatch)
    splits = datasets.load("cifar10", root=tmp_path, protocol="10k/50k")
    assert [len(getattr(splits, part)) for part in PARTS] == [20, 100, 100]
    row = int(splits.query.names[0].removeprefix("test/"))
    stored = pickle.loads((folder / "test_batch").read_bytes())
    np.testing.assert_array_equal(splits.query.images[0], stored["data"][row].reshape(3, 32, 32).transpose(1, 2, 0))
    assert splits.query.labels[0].argmax() == row % 10


def test_a_damaged_file_of_torchvision_is_refused(tmp_path, monkeypatch):
    (batches_folder(tmp_path, monkeypatch) / "data_batch_3").write_bytes(b"")
    with pytest.raises(ValueError, match="incomplete or damaged"):
        datasets.load("cifar10", root=tmp_path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"protocol": "10k"}, "protocol is '10k'; it must be one of 54k, 59k, 10k/50k"),
        ({}, "query_per_class [+] train_per_class is 600, but the class 'airplane' has 10 pictures"),
        ({"protocol": "59k", "query_per_class": 1, "train_per_class": 10}, "is 11, but the class"),
        ({"protocol": "10k/50k", "query_per_class": 5}, "query_per_class is 5, but the class 'airplane' has 4"),
        ({"protocol": "10k/50k", "train_per_class": 3, "database_per_class": 2}, "is 3 of a database_per_class of 2"),
        ({"query_per_class": 0}, "query_per_class is 0; give a whole number of at least 1"),
        ({"database_per_class": -1}, "database_per_class is -1"),
        ({"on_error": "ignore"}, "on_error is 'ignore'; it must be one of raise, skip"),
    ],
)
def test_cifar_refuses_what_cannot_be(cifar, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        datasets.load("cifar10", root=cifar, **options)


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
    for name, row in zip(splits.pool.everything.names, splits.pool.everything.labels, strict=True):
        assert row.tolist() == [int(Path(name).stem) % 2 == 0, int(Path(name).stem) % 3 == 0]
    assert names(splits.train) <= names(splits.database)


def test_coco_of_two_years_takes_each_from_its_folder(tmp_path):
    coco_folder(tmp_path)
    for year in ("train2014", "val2014"):
        shutil.copytree(tmp_path / "images", tmp_path / year)
        shutil.copy(tmp_path / "annotations" / "instances.json", tmp_path / "annotations" / f"instances_{year}.json")
    (tmp_path / "annotations" / "instances.json").unlink()
    splits = datasets.load("coco", root=tmp_path, query=1, train=2, size=8)
    half = len(splits.pool) // 2
    assert half == 10
    assert {name.split("/")[0] for name in splits.pool.everything.names[:half]} == {"train2014"}
    assert {name.split("/")[0] for name in splits.pool.everything.names[half:]} == {"val2014"}
    assert np.array_equal(*np.split(splits.pool.everything.labels, 2))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"exclude": ("horse",)}, "exclude has 'horse', which is no category here; there are: dog, person, cat"),
        ({"exclude": ("dog", "person", "cat")}, "exclude has every category"),
        ({"query": 8, "train": 3, "train_from_database": False}, "there are 10; ask for fewer"),
        ({"query": 1, "train": 3, "database": 2}, "train is 3 of a database of 2"),
        ({"query": 0}, "query is 0; give a whole number of at least 1"),
    ],
)
def test_coco_refuses_what_cannot_be(tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        datasets.load("coco", root=coco_folder(tmp_path), size=8, **options)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "instances.json, line 1: no JSON"),
        ("[]", "no file of COCO instance annotations"),
        ('{"images": [], "categories": []}', "no file of COCO instance annotations"),
        (
            '{"images": [], "categories": [], "annotations": [{"image_id": 7, "category_id": 1}]}',
            "annotates image 7 with category 1, and does not list both",
        ),
    ],
)
def test_annotations_that_are_none_are_named(tmp_path, content, sentence):
    (coco_folder(tmp_path) / "annotations" / "instances.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=sentence):
        datasets.load("coco", root=tmp_path)


def nested(concept: int, i: int) -> bool:
    """The rarer the higher the concept's number; pictures from 28 on show nothing."""
    return i < 28 - concept


def nuswide_folder(root: Path, n: int = 30, shows: Callable[[int, int], bool] = nested) -> Path:
    listed = [f"group{i % 2}\\{i:03}.png" for i in range(n)]
    (root / "ImageList").mkdir(parents=True)
    (root / "ImageList" / "Imagelist.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    labels = root / "Groundtruth" / "AllLabels"
    labels.mkdir(parents=True)
    for concept in range(22):
        values = [str(int(shows(concept, i))) for i in range(n)]
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


def test_nuswide_draws_equally_for_each_concept(tmp_path):
    """Four pictures of each concept and three of the last, so each of the 21 gives 1 query, 2 training, 1 database."""
    root = nuswide_folder(tmp_path, n=87, shows=lambda concept, i: i % 22 == concept)
    splits = datasets.load("nuswide", root=root, query=21, train=42, train_from_database=False, size=8)
    assert splits.info["dropped"]["without labels"] == 3
    for part, each in zip(PARTS, (1, 2, 1), strict=True):
        assert getattr(splits, part).labels.sum(axis=0).tolist() == [each] * 21
    inside = datasets.load("nuswide", root=root, query=21, train=42, size=8)
    assert names(inside.train) <= names(inside.database)
    assert len(inside.database) == 63


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"concepts": 10}, "concepts is 10; it must be 21 or 81"),
        ({"concepts": 81}, "concepts is 81, but .* has 22 label files"),
        ({"query": 1, "train": 21}, "query is 1; a balanced draw needs a multiple of the 21 concepts"),
    ],
)
def test_nuswide_refuses_what_cannot_be(tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        datasets.load("nuswide", root=nuswide_folder(tmp_path, n=80), size=8, **options)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [(["1"] * 29, "Labels_c03.txt has 29 labels, but .* has 30 pictures"), (["2"] * 30, "another value than 0 and 1")],
)
def test_a_label_file_of_nuswide_that_does_not_fit_is_named(tmp_path, values, sentence):
    root = nuswide_folder(tmp_path)
    (root / "Groundtruth" / "AllLabels" / "Labels_c03.txt").write_text("\n".join(values), encoding="utf-8")
    with pytest.raises(ValueError, match=sentence):
        datasets.load("nuswide", root=root, size=8)


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


def test_lists_find_their_pictures_in_another_folder(tmp_path):
    for i in range(3):
        draw(tmp_path / "elsewhere" / f"{i}.png", i)
    write_lists(tmp_path, test=["0.png 1"], train=["1.png 1"], database=["2.png 1"])
    with pytest.raises(FileNotFoundError, match="3 of 3 pictures are missing in"):
        datasets.load("lists", root=tmp_path)
    splits = datasets.load("lists", root=tmp_path, pictures=str(tmp_path / "elsewhere"), size=8)
    assert splits.query.images[:].shape == (1, 8, 8, 3)
    (tmp_path / "database.txt").unlink()
    with pytest.raises(FileNotFoundError, match="database.txt does not exist"):
        datasets.load("lists", root=tmp_path)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["0.png 0 1"], "database.txt gives 0.png other labels than a list before it"),
        (["2.png 0 1 1"], "database.txt has 3 labels a line and test.txt 2"),
    ],
)
def test_lists_that_contradict_each_other_are_refused(tmp_path, lines, sentence):
    write_lists(tmp_path, test=["0.png 1 0"], train=["1.png 1 0"], database=lines)
    with pytest.raises(ValueError, match=sentence):
        datasets.load("lists", root=tmp_path)


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


def test_folder_reports_what_is_no_picture_and_ignores_what_is_hidden(tmp_path):
    by_class(tmp_path, ("cats", "dogs"), 10)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.png").write_bytes(b"")
    (tmp_path / "cats" / ".DS_Store").write_bytes(b"x")
    assert len(datasets.load("folder", root=tmp_path).pool) == 20
    (tmp_path / "dogs" / "notes.txt").write_text("two dogs", encoding="utf-8")
    with pytest.raises(ValueError, match="1 of 21 pictures have no picture's ending in .*, first dogs/notes.txt"):
        datasets.load("folder", root=tmp_path)
    assert datasets.load("folder", root=tmp_path, on_error="skip").info["dropped"] == {"no image": 1}
    (tmp_path / "birds").mkdir()
    with pytest.raises(ValueError, match="the class folder .*birds holds no file"):
        datasets.load("folder", root=tmp_path, on_error="skip")


def test_copies_are_dropped_on_request(tmp_path):
    by_class(tmp_path, ("cats", "dogs"), 10)
    for copy in ("cats/zz.png", "dogs/zz.png"):
        shutil.copy(tmp_path / "cats" / "003.png", tmp_path / copy)
    assert len(datasets.load("folder", root=tmp_path).pool) == 22
    splits = datasets.load("folder", root=tmp_path, drop_duplicates=True)
    assert splits.info["dropped"] == {"duplicates": 2}
    assert sorted(splits.pool.everything.names) == [f"{name}/00{i}.png" for name in ("cats", "dogs") for i in range(10)]


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        ("file,class\na.png,x\n", ValueError, "must begin with the line path,labels"),
        ("path,labels\n", ValueError, "labels.csv names no picture"),
        ("path,labels\na.png,x\nb.png, | \n", ValueError, "labels.csv, line 3: 'b.png' has no label"),
        ("path,labels\na.png,x\na.png,y\n", ValueError, "listed more than once, first a.png"),
        ("path,labels\na.png,x\nz.png,y\n", FileNotFoundError, "missing in .*, first z.png"),
        ("path,labels\na.png,x\n../a.png,y\n", ValueError, "lead out of"),
        ("path,labels\na.png,x\n", ValueError, "needs 3 pictures and there are 1"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, content, error, sentence):
    draw(tmp_path / "a.png", 0)
    (tmp_path / "labels.csv").write_text(content, encoding="utf-8")
    with pytest.raises(error, match=sentence):
        datasets.load("folder", root=tmp_path)


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
@pytest.mark.parametrize("argument", ["query_per_class", "train_per_class"])
def test_a_share_that_cannot_be_is_refused(tmp_path, argument, share):
    with pytest.raises(ValueError, match=f"{argument} is {share}"):
        datasets.load("folder", root=tmp_path, **{argument: share})


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


def test_a_saved_split_brings_its_options(tmp_path):
    options = {"query": 2, "train": 3, "exclude": ("person",), "size": 8}
    first = datasets.load("coco", root=coco_folder(tmp_path), seed=5, **options)
    first.save_split(tmp_path / "split.npz")
    again = datasets.load("coco", root=tmp_path, split=tmp_path / "split.npz")
    assert again.class_names == ("dog", "cat")
    for part in PARTS:
        assert getattr(again, part).names == getattr(first, part).names
        np.testing.assert_array_equal(getattr(again, part).images[:], getattr(first, part).images[:])
    with pytest.raises(ValueError, match="saved from other pictures or labels"):
        datasets.load("coco", root=tmp_path, split=tmp_path / "split.npz", exclude=())


def test_a_file_that_is_no_split_is_refused(cifar, tmp_path):
    artifacts.save_npz(tmp_path / "codes.npz", {"codes": np.zeros(3, np.uint8)})
    with pytest.raises(ValueError, match="is no split file .it holds codes.; write one by save_split"):
        datasets.load("cifar10", root=cifar, split=tmp_path / "codes.npz")
    with pytest.raises(ValueError, match="does not exist"):
        datasets.load("cifar10", root=cifar, split=tmp_path / "none.npz")
    part = Split(np.zeros((1, 2, 2, 1), np.uint8), np.ones((1, 1), np.uint8))
    with pytest.raises(ValueError, match="these splits have no pool"):
        Splits(part, part, part, ("a",), {}).save_split(tmp_path / "split.npz")


@pytest.mark.parametrize("train_from_database", [False, True])
@pytest.mark.parametrize("database", [0, 30])
@pytest.mark.parametrize("balanced", [False, True])
def test_draws_are_disjoint_complete_and_decided_by_the_seed(balanced, database, train_from_database):
    rng, counts = np.random.default_rng(0), Counts(8, 12, database, train_from_database)
    labels = (rng.random((100, 4)) < 0.4).astype(np.uint8)

    def drawn(seed: int) -> dict[str, np.ndarray]:
        return draw_balanced(labels, "abcd", counts, seed) if balanced else draw_at_random(100, counts, seed)

    rows, again, other = drawn(1), drawn(1), drawn(2)
    sizes = (8, 12, database or (92 if train_from_database else 80))
    assert tuple(len(rows[part]) for part in PARTS) == sizes
    assert all(np.array_equal(rows[part], again[part]) for part in PARTS)
    assert not np.array_equal(rows["query"], other["query"])
    assert all(len(set(rows[part].tolist())) == len(rows[part]) for part in PARTS)
    assert not set(rows["query"].tolist()) & {*rows["train"].tolist(), *rows["database"].tolist()}
    shared = set(rows["train"].tolist()) & set(rows["database"].tolist())
    assert len(shared) == (12 if train_from_database else 0)
    if balanced:
        assert (labels[rows["query"]].sum(axis=0) >= 2).all()
        assert (labels[rows["train"]].sum(axis=0) >= 3).all()


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
