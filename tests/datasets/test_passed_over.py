"""What lies in a folder and is not read is counted by its ending or its place, by every reader of folders."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashlib_nb import datasets
from hashlib_nb.datasets import __main__ as command
from hashlib_nb.datasets import _folders, passed_over, walk
from hashlib_nb.datasets._lint import lint
from hashlib_nb.search import find_pictures
from tests.helpers import draw, run_main


def classes(root: Path, *names: str, each: int = 12, start: int = 0) -> Path:
    for number, name in enumerate(names):
        for i in range(each):
            draw(root / name / f"{i:02}.png", start + 100 * number + i)
    return root


def mix(root: Path) -> Path:
    """Six pictures and six things that are none, beside hidden ones."""
    first = draw(root / "a.png", 1)
    for ending, kind in ((".jfif", "JPEG"), (".tga", "TGA"), (".TIFF", "TIFF"), (".jp2", "JPEG2000"), (".pgm", "PPM")):
        Image.open(first).convert("L" if ending == ".pgm" else "RGB").save(root / f"b{ending}", kind)
    for name in ("x.HEIC", "y.heic", "none", ".hidden.png"):
        (root / name).write_bytes(b"x")
    (root / "annexed.jpg").symlink_to("/nowhere/x.jpg")
    draw(root.parent / "elsewhere/g.png", 2)
    (root / "linked").symlink_to(root.parent / "elsewhere")
    os.mkfifo(root / "pipe.png")
    draw(root / ".thumbs/t.png", 3)
    return root


def test_each_thing_in_a_folder_is_found_or_counted(tmp_path, capsys):
    root = mix(tmp_path / "mix")
    found = walk(root)
    assert [path.name for path in found.pictures] == ["a.png", "b.TIFF", "b.jfif", "b.jp2", "b.pgm", "b.tga"]
    assert dict(found.others) == {
        "x.HEIC": ".heic", "y.heic": ".heic", "none": "without an ending", "annexed.jpg": "dead link",
        "linked": "linked folder", "pipe.png": "special file",
    }  # fmt: skip
    assert find_pictures([root]) == found.pictures
    said = capsys.readouterr()
    assert said.out == ""
    for words in ("passed over 6 entries of", "2 .heic", "1 without an ending", "1 dead link", "1 linked folder"):
        assert words in said.err


def test_many_endings_are_summed_up_and_one_is_said_in_the_singular(tmp_path):
    others = [(f"{i}", f".e{i:02}") for i in range(20)]
    assert passed_over(others, tmp_path).endswith(", and 12 kinds more), first 0")
    assert "passed over 1 entry of" in passed_over(others[:1], tmp_path)
    assert passed_over([], tmp_path) == ""
    assert _folders.counted(["dead link"] * 2 + [".png.txt"] * 3) == "3 .png.txt, 2 dead links"


def test_a_folder_without_pictures_is_refused_with_what_it_holds(tmp_path):
    (tmp_path / "x.heic").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"has no file that ends in .*passed over 1 entry of .* \(1 .heic\)"):
        find_pictures([tmp_path])


@pytest.mark.parametrize(
    ("plant", "what"),
    [
        (lambda root: draw(root / "loose.png", 7), "loose picture"),
        (lambda root: draw(root / "cat/2019/old.png", 7), "nested picture"),
        (lambda root: (root / "notes.txt").write_text("x"), ".txt"),
        (lambda root: (root / "cat2").symlink_to("/nowhere"), "dead link"),
    ],
)
def test_lint_and_load_name_what_is_in_no_class_folder(tmp_path, capsys, plant, what):
    root = classes(tmp_path / "r", "cat", "dog")
    before = datasets.load("folder", root=root)
    assert "passed over" not in capsys.readouterr().out
    assert lint("folder", root).findings == []
    plant(root)
    after = datasets.load("folder", root=root)
    assert f"passed over 1 entry of {root} (1 {what})" in capsys.readouterr().out
    assert after.query.names == before.query.names
    with pytest.raises(SystemExit) as done:
        run_main(command, "lint", "folder", "--root", root)
    assert done.value.code == 0
    assert f"note  passed over: {what} (1): " in capsys.readouterr().out


def test_folders_beside_train_and_test_are_named(tmp_path, capsys):
    for number, part in enumerate(("train", "val", "test")):
        classes(tmp_path / "r" / part, "cat", "dog", each=5, start=1000 * number)
    draw(tmp_path / "r/train/loose.png", 1)
    splits = datasets.load("folder", root=tmp_path / "r")
    assert splits.info["protocol"] == "test folder"
    assert len(splits.pool) == 20
    said = capsys.readouterr().out
    assert "10 in val/ beside train and test" in said
    assert "1 loose picture" in said


def test_pictures_that_a_table_does_not_name_are_counted(tmp_path, capsys):
    root = classes(tmp_path / "r", "cat")
    (root / "labels.csv").write_text("path,labels\n" + "".join(f"cat/{i:02}.png,x\n" for i in range(10)))
    datasets.load("folder", root=root)
    assert "passed over 2 entries of" in (said := capsys.readouterr().out)
    assert "(2 not in labels.csv), first cat/10.png" in said


def test_files_without_a_pictures_ending_in_a_class_folder_are_refused_by_ending(tmp_path, capsys):
    root = classes(tmp_path / "r", "cat", "dog")
    for name in ("x.HEIC", "y.heic", "z.mov"):
        (root / "cat" / name).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"have no picture's ending in .* \(2 .heic, 1 .mov\), first cat/x.HEIC"):
        datasets.load("folder", root=root)
    datasets.load("folder", root=root, on_error="skip")
    assert "3 no image, of which 2 .heic, 1 .mov" in capsys.readouterr().out


def test_a_class_folder_may_be_a_link_inside_the_root(tmp_path, capsys):
    root = classes(tmp_path / "r", "cat", "dog")
    (root / "animal").symlink_to(root / "cat")
    assert datasets.load("folder", root=root).class_names == ("animal", "cat", "dog")
    assert "passed over" not in capsys.readouterr().out


def test_lint_notes_pictures_of_one_color(tmp_path):
    root = classes(tmp_path / "r", "cat", "dog")
    for name in ("cat/00.png", "dog/03.png"):
        Image.new("RGB", (8, 8), (9, 9, 200)).save(root / name, compress_level=int(name[5]))
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "cat/05.png")
    notes = [finding for finding in lint("folder", root).findings if "of one color" in finding.what]
    assert sum(finding.count for finding in notes) == 3
    assert not any(finding.fault for finding in notes)


# names


@pytest.fixture
def latin(tmp_path) -> Path:
    """A file and a class whose names are Latin-1, and a file whose name ends a line."""
    root = classes(tmp_path / "r", "cat", "dog")
    os.rename(os.fsencode(root / "cat/00.png"), os.fsencode(root / "cat") + b"/caf\xe9.png")
    os.rename(root / "cat/01.png", root / "cat/one\nline.png")
    os.rename(os.fsencode(root / "dog"), os.fsencode(root) + b"/h\xfcnd")
    return root


def test_names_that_are_no_utf_8_are_read_hashed_and_printed(latin, tmp_path, capsysbinary):
    splits = datasets.load("folder", root=latin)
    assert splits.class_names == ("cat", r"h\xfcnd")
    digest = splits.pool.everything.images.digest
    assert len(digest) == 12
    splits.save_split(tmp_path / "split.npz")
    again = datasets.load("folder", root=latin, split=tmp_path / "split.npz")
    assert again.query.names == splits.query.names
    os.rename(os.fsencode(latin / "cat") + b"/caf\xe9.png", os.fsencode(latin / "cat") + b"/caf\xea.png")
    assert datasets.load("folder", root=latin).pool.everything.images.digest != digest
    (latin / "cat/one\nline.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit):
        run_main(command, "lint", "folder", "--root", latin)
    said = capsysbinary.readouterr().out.decode()
    assert r"cat/one\x0aline.png" in said
    assert r"(h\xfcnd)" in said or "pictures of each of 2 concepts" in said


def test_a_missing_file_with_such_a_name_is_named_in_one_line(latin):
    pictures = datasets.load("folder", root=latin).pool.everything.images
    for name, shown in ((b"cat/caf\xe9.png", r"cat/caf\\xe9.png"), (b"cat/one\nline.png", r"cat/one\\x0aline.png")):
        os.remove(os.fsencode(latin) + b"/" + name)
        row = pictures.names.index(os.fsdecode(name))
        for ask in (lambda: pictures[row], lambda: pictures.take([row]).digest):  # noqa: B023 - called at once
            with pytest.raises(FileNotFoundError, match=f"the picture {shown} does not exist"):
                ask()
