"""Files that people wrote: what is wrong with one is said with its name and, where it has lines, the line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from hashlib_nb import artifacts, datasets
from hashlib_nb.datasets import __main__ as command
from tests.helpers import draw, refusal

NAMES = [f"{kind}/{i:02}.png" for kind in "ab" for i in range(12)]


@pytest.fixture
def root(tmp_path) -> Path:
    for seed, name in enumerate(NAMES):
        draw(tmp_path / "p" / name, seed)
    return tmp_path / "p"


def table(*lines: str) -> str:
    return "\n".join(["path,labels", *(f"{name},{name[0]}" for name in NAMES), *lines]) + "\n"


# labels.csv


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (table().replace(",a\n", ",a,animal\n"), "line 2: 3 fields, but the first line names 2"),
        (table().replace("path,labels", "path,labels,labels"), "line 1: the column 'labels' is there twice"),
        (table("a/00.png"), "line 26: 1 fields, but the first line names 2"),
        (table('"a/00.png,b', 'b/01.png",a'), "line 26: a row of several lines .is a quote left open"),
        (table('"a/00.png,b'), "line 26: unexpected end of data .is a quote left open"),
        (table('"' + "x" * 140_000), r"line 26: field larger than field limit \(131072\) .is a quote left open"),
        (table(",b"), "line 26: no path; give one"),
        (table("c/00.png,"), "line 26: 'c/00.png' has no label"),
        (table("./a/00.png,b"), "1 pictures of .* are listed more than once, first a/00.png"),
        (table().replace(",", ";"), "must begin with the line path,labels; it begins with 'path;labels'"),
        ("", "must begin with the line path,labels; it begins with ''"),
        (table().encode("utf-16"), "labels.csv is a text in UTF-16; save it as UTF-8"),
        (table().encode("utf-16-le"), "labels.csv, line 1: no text; save it as UTF-8"),
        (table("ä,ö").encode("latin-1"), "labels.csv, line 26: no UTF-8; save it as UTF-8"),
        (table().encode("utf-32"), "labels.csv is a text in UTF-16"),
        (os.urandom(3000) + b"\xff", "labels.csv"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_by_its_line(root, content, sentence):
    (root / "labels.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=sentence) as refused:
        datasets.load("folder", root=root)
    assert "labels.csv" in str(refused.value) or "listed" in sentence
    assert "\n" not in str(refused.value)
    assert "error: " in refusal(command, "lint", "folder", "--root", root)


@pytest.mark.parametrize(
    "content",
    [
        table().encode("utf-8-sig"),
        table().replace("\n", "\r\n").encode(),
        table().replace("\n", "\r").encode(),
        table().replace("\n", "\n\n").encode(),
        table().replace(".png,", ".png ,").replace("\na/", "\n a/").replace("path,", "path ,").encode(),
        table()
        .replace("path,labels", "path,labels,by")
        .replace(",a\n", ",a,me\n")
        .replace(",b\n", ',b,"me, too"\n')
        .encode(),
    ],
    ids=["byte order mark", "Windows", "old Mac", "empty lines", "spaces around", "another column"],
)
def test_what_means_the_same_is_read_the_same(root, content):
    (root / "labels.csv").write_bytes(table().encode())
    wanted = datasets.load("folder", root=root)
    (root / "labels.csv").write_bytes(content)
    found = datasets.load("folder", root=root)
    assert found.query.names == wanted.query.names
    assert found.class_names == wanted.class_names == ("a", "b")
    np.testing.assert_array_equal(found.pool.everything.labels, wanted.pool.everything.labels)


def test_spaces_that_a_file_has_are_kept(root):
    (root / "a/00.png").rename(root / "a/00.png ")
    (root / "labels.csv").write_text(table().replace("00.png,a", "00.png ,a"))
    with pytest.raises(ValueError, match="without an ending|no picture's ending"):
        datasets.load("folder", root=root)  # its ending is ".png "
    (root / "a/00.png ").rename(root / "a/ 00.png")
    (root / "labels.csv").write_text(table().replace("a/00.png,", "a/ 00.png,"))
    assert "a/ 00.png" in datasets.load("folder", root=root).pool.everything.names


# annotations of COCO


def coco() -> dict:
    return {
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "images": [{"id": i, "file_name": name} for i, name in enumerate(NAMES)],
        "annotations": [{"image_id": i, "category_id": 1 + i % 2} for i in range(len(NAMES))],
    }


def changed(part: str, row: int, **values) -> dict:
    content = coco()
    content[part][row] |= values
    return content


def write_coco(root: Path, content: object) -> None:
    (root / "annotations").mkdir(exist_ok=True)
    if not (root / "images").exists():
        (root / "images").symlink_to(root)
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (root / "annotations/instances.json").write_bytes(text)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (changed("images", 7, id=3), "lists the id 3 twice in images, for 'a/03.png' and 'a/07.png'"),
        (changed("categories", 1, id=1), "lists the id 1 twice in categories, for 'cat' and 'dog'"),
        (changed("categories", 1, name="cat"), "lists 'cat' twice in categories, under two ids"),
        (changed("images", 7, file_name="a/03.png"), "lists 'a/03.png' twice in images, under two ids"),
        (changed("images", 7, id=None), "has the id None; give a whole number"),
        (changed("images", 7, id=[1]), r"has the id \[1\]; give a whole number"),
        (changed("images", 7, id=True), "has the id True"),
        (changed("images", 7, id="7"), "ids in images that are numbers and others that are texts"),
        (changed("images", 7, file_name=7), "file_name of images 7 is 7; give a text"),
        (changed("images", 7, file_name="x\0.png"), "are missing in"),
        (changed("images", 7, file_name="\ud800.png"), "are missing in"),
        (changed("images", 7, file_name="x" * 5000), "are missing in"),
        (changed("annotations", 7, image_id=99), "annotates image 99 with category 2, and does not list both"),
        (changed("annotations", 7, category_id="1"), "annotates image 7 with category 1, and does not list both"),
        (changed("annotations", 7, category_id={}), "has the category_id {}"),
        ([coco()], "no file of COCO instance annotations .it holds no list 'images'"),
        (coco() | {"images": {"1": "a"}}, "it holds no list 'images' of objects"),
        (coco() | {"annotations": [1]}, "it holds no list 'annotations' of objects"),
        (b"", "instances.json, line 1: no JSON"),
        (b'{\n"images": nought}', "instances.json, line 2: no JSON"),
        (b"[" * 100_000, "instances.json is no JSON that can be read"),
        (b'{"images": ' + b"9" * 5000 + b"}", "instances.json is no JSON that can be read"),
        (json.dumps(coco()).encode("utf-16"), "instances.json is a text in UTF-16"),
        ('{"ä": 1}'.encode("latin-1"), "instances.json, line 1: no UTF-8"),
    ],
)
def test_annotations_that_cannot_be_are_refused(root, content, sentence):
    write_coco(root, content)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as refused:
        datasets.load("coco", root=root, query=4, train=4)
    assert "\n" not in str(refused.value)
    str(refused.value).encode()  # what cannot be printed is written out


def test_a_mark_of_utf_8_and_ids_of_tables_are_no_fault(root):
    write_coco(root, coco())
    wanted = datasets.load("coco", root=root, query=4, train=4)
    content = coco()
    for each in content["annotations"]:
        each["image_id"] = float(each["image_id"])
    write_coco(root, b"\xef\xbb\xbf" + json.dumps(content).encode())
    found = datasets.load("coco", root=root, query=4, train=4)
    np.testing.assert_array_equal(found.pool.everything.labels, wanted.pool.everything.labels)


# lists, NUS-WIDE and files that are none


@pytest.mark.parametrize("dataset", ["lists", "nuswide"])
@pytest.mark.parametrize(
    ("encoding", "sentence"), [("utf-16", "UTF-16; save it as UTF-8"), ("latin-1", "line 2: no UTF-8")]
)
def test_lists_in_another_encoding_are_refused_by_name_and_line(root, dataset, encoding, sentence):
    lines = "a/00.png 1 0\nä/00.png 0 1\n"
    file = root / ("test.txt" if dataset == "lists" else "ImageList/Imagelist.txt")
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(lines.encode(encoding))
    with pytest.raises(ValueError, match=f"{file.name}.* {sentence}|{file.name}, {sentence}"):
        datasets.load(dataset, root=root)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lists_may_begin_with_a_mark_and_hold_odd_spaces_in_names(root, mark):
    (root / "a/00.png").rename(root / "a/0\u20280\x0c.png")
    for part, names in (("test", NAMES[1:4]), ("train", NAMES[4:9]), ("database", [*NAMES[9:], "a/0\u20280\x0c.png"])):
        lines = [f"{name} {int(name[0] == 'a')} {int(name[0] == 'b')}" for name in names]
        (root / f"{part}.txt").write_text(mark + "\n".join(lines), encoding="utf-8", newline="\n")
    read, labels = datasets.read_list(root / "database.txt")
    assert len(read) == len(labels) == len(NAMES) - 8


TEXTS = {
    "folder": "labels.csv",
    "lists": "test.txt",
    "coco": "annotations/instances.json",
    "nuswide": "ImageList/Imagelist.txt",
}


@pytest.mark.parametrize("dataset", TEXTS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_text_that_is_no_regular_file_is_refused_and_not_read(root, dataset, kind):
    file = root / TEXTS[dataset]
    file.parent.mkdir(exist_ok=True)
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        file.mkdir()
    with pytest.raises((ValueError, FileNotFoundError)) as refused:
        datasets.load(dataset, root=root)
    assert file.name in str(refused.value)


# split files


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"query": np.array([0.5, 1.0])}, "whose query is no list of different row numbers"),
        ({"query": np.array([1, 1])}, "whose query is no list of different row numbers"),
        ({"query": np.array([[1]])}, "whose query is no list of different row numbers"),
        ({"train": np.array([], int)}, "whose train is no list of different row numbers"),
        ({"database": np.array([-1, 3])}, "names row .* of 24 pictures"),
        ({"database": np.array([3, 24])}, "names row 24 of 24 pictures"),
        ({"info": None}, "is no split file"),
        ({"info": {"name": "folder"}}, "is no split file"),
        ({"pool": 5}, "is no split file"),
        ({"sizes": 5}, "is no split file"),
        ({"options": []}, "is no split file"),
        ({"pool": "0" * 12}, "was saved from other pictures or labels"),
        ({"name": "coco"}, "is a split of 'coco', not of 'folder'"),
    ],
)
def test_a_split_file_that_was_edited_is_refused(root, tmp_path, change, sentence):
    path = tmp_path / "split.npz"
    datasets.load("folder", root=root).save_split(path)
    rows, meta = artifacts.load_npz(path)
    for name, value in change.items():
        where = rows if name in rows else meta if name in meta else meta["info"]
        where[name] = value
    artifacts.save_npz(path, rows, **meta)
    with pytest.raises(ValueError, match=sentence):
        datasets.load("folder", root=root, split=path)


# options


@pytest.mark.parametrize(
    ("dataset", "options"),
    [("folder", {"query_per_class": value}) for value in ("x", None, [1], np.nan, np.inf, True, 0, -1, 1.5)]
    + [("folder", {"size": value}) for value in (2.5, "8", None, 0, -3, 10**9, True)]
    + [("folder", {"drop_duplicates": value}) for value in (1, "no", None)]
    + [("folder", {"on_error": value}) for value in (["skip"], None, "ignore", 3)]
    + [("coco", {"query": value}) for value in (2.5, None, -1, 0, "4", True)]
    + [("coco", {"exclude": value}) for value in ("cat", 5, None, ["horse"])]
    + [("nuswide", {"concepts": value}) for value in (21.0, "21", 5, True)]
    + [("folder", {"seed": value}) for value in (-1, 0.5, True, None, "1", 2**64)],
)
def test_options_of_another_kind_are_refused_by_name(root, dataset, options):
    if dataset == "coco":
        write_coco(root, coco())
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name} "):
        datasets.load(dataset, root=root, **options)
