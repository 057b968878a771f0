"""Datasets: what a split promises, where the shipped pictures come from, and one sentence for every wrong input."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from hashlib_nb import datasets
from hashlib_nb.datasets import Split, Splits, _idx, _make_fashion_mini, fashion_mini, split_by_class
from hashlib_nb.datasets._idx import read_idx, read_pictures
from tests.helpers import run_python

ORIGINALS = Path("/usr/share/datasets/fashion-mnist")
needs_originals = pytest.mark.skipif(
    not ORIGINALS.is_dir(), reason=f"the original Fashion-MNIST files are not in {ORIGINALS} (dataset-fashion-mnist)"
)
PARTS = ("query", "train", "database")


@pytest.fixture(scope="module")
def mini() -> Splits:
    return datasets.load("fashion-mini")


def pictures(split: Split) -> list[bytes]:
    return [image.tobytes() for image in split.images]


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def idx_folder(tmp_path) -> Path:
    """A Fashion-MNIST of 40 + 10 random pictures, the training half compressed and the test half not."""
    rng = np.random.default_rng(1)
    for part, count, ending in (("train", 40, ".gz"), ("t10k", 10, "")):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte{ending}", rng.integers(0, 256, (count, 28, 28)))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte{ending}", np.arange(count) % 10)
    return tmp_path


# What fashion-mini promises


def test_mini_has_the_promised_sizes_per_class(mini):
    for part, per_class in zip(PARTS, (50, 150, 400), strict=True):
        split = getattr(mini, part)
        assert split.images.shape == (10 * per_class, 28, 28, 1)
        assert split.images.dtype == split.labels.dtype == np.uint8
        assert split.labels.sum(axis=0).tolist() == [per_class] * 10
        assert set(split.labels.sum(axis=1)) == {1}
        assert mini.info["sizes"][part] == len(split)
    assert len(mini.class_names) == 10


def test_mini_has_no_picture_twice(mini):
    everything = sum((pictures(getattr(mini, part)) for part in PARTS), [])
    assert len(set(everything)) == len(everything) == 6000


def test_mini_is_under_three_megabytes_with_its_license_beside_it():
    assert fashion_mini.FILE.stat().st_size < 3_000_000
    license_text = fashion_mini.FILE.with_name("fashion_mini.LICENSE.txt").read_text(encoding="utf-8")
    assert "Zalando" in license_text
    assert fashion_mini.SOURCE in license_text


def test_no_part_is_sorted_by_class(mini):
    for part in PARTS:
        class_ids = getattr(mini, part).labels.argmax(axis=1)
        assert len(set(class_ids[:50])) == 10


def test_equal_seeds_give_equal_splits_and_other_seeds_others(mini):
    again, other = datasets.load("fashion-mini", seed=0), datasets.load("fashion-mini", seed=1)
    for part in PARTS:
        assert np.array_equal(getattr(mini, part).images, getattr(again, part).images)
        assert np.array_equal(getattr(mini, part).labels, getattr(again, part).labels)
    assert set(pictures(mini.query)) != set(pictures(other.query))
    assert other.info["seed"] == 1


@needs_originals
def test_mini_is_what_its_script_makes_of_the_originals(tmp_path):
    _make_fashion_mini.main(_make_fashion_mini.Args(root=ORIGINALS, out=tmp_path / "again.npz"))
    with np.load(fashion_mini.FILE) as shipped, np.load(tmp_path / "again.npz") as again:
        assert set(shipped) == set(again)
        for name in shipped:
            assert np.array_equal(shipped[name], again[name])
        images, class_ids = read_pictures(ORIGINALS)
        assert np.array_equal(shipped["images"], images[shipped["source_rows"]])
        assert np.array_equal(shipped["class_ids"], class_ids[shipped["source_rows"]])


# fashion-mnist from a folder


@needs_originals
def test_fashion_mnist_has_all_70000_pictures():
    splits = datasets.load("fashion-mnist", root=ORIGINALS)
    for part, per_class in zip(PARTS, (100, 500, 6400), strict=True):
        assert getattr(splits, part).labels.sum(axis=0).tolist() == [per_class] * 10
    images, _ = read_pictures(ORIGINALS)
    assert sum(getattr(splits, part).images.sum(dtype=np.int64) for part in PARTS) == images.sum(dtype=np.int64)


def test_fashion_mnist_reads_idx_and_gz_and_its_options(idx_folder):
    splits = datasets.load("fashion-mnist", root=str(idx_folder), query_per_class=1, train_per_class=3)
    assert splits.info["sizes"] == {"query": 10, "train": 30, "database": 10}
    images, class_ids = read_pictures(idx_folder)
    class_of = dict(zip((image.tobytes() for image in images), class_ids, strict=True))
    for part in PARTS:
        split = getattr(splits, part)
        assert [class_of[picture] for picture in pictures(split)] == split.labels.argmax(axis=1).tolist()


def test_fashion_mnist_finds_what_torchvision_downloaded(idx_folder):
    raw = idx_folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in list(idx_folder.glob("*-ubyte*")):
        file.rename(raw / file.name)
    splits = datasets.load("fashion-mnist", root=idx_folder, query_per_class=1, train_per_class=1)
    assert len(splits.database) == 30


def test_missing_files_are_named_with_both_remedies(idx_folder):
    (idx_folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load("fashion-mnist", root=idx_folder)
    for part in ("t10k-labels-idx1-ubyte", "dataset-fashion-mnist", "download=True"):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError, match="pass root="):
        datasets.load("fashion-mnist")


def test_failed_download_names_the_offline_way(tmp_path, monkeypatch):
    from torchvision.datasets import FashionMNIST

    def no_network(self) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(FashionMNIST, "download", no_network)
    with pytest.raises(ConnectionError, match="without a network pass root= a folder"):
        datasets.load("fashion-mnist", root=tmp_path, download=True)


@pytest.mark.parametrize("kept", [0, 3, 10, 1000])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_truncated_idx_is_named(tmp_path, ending, kept):
    path = tmp_path / f"train-images-idx3-ubyte{ending}"
    write_idx(path, np.random.default_rng(0).integers(0, 256, (4, 28, 28)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=path.name):
        read_idx(path)


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_an_idx_file_of_endless_zeros_is_refused_before_they_are_all_read(tmp_path, ending, monkeypatch):
    monkeypatch.setattr(_idx, "MOST_BYTES", 1000)
    path = tmp_path / f"train-images-idx3-ubyte{ending}"
    write_idx(path, np.zeros((4, 28, 28)))
    with pytest.raises(ValueError, match=f"{path.name} has over 1,000 bytes"):
        read_idx(path)


@pytest.mark.parametrize(
    ("name", "array", "sentence"),
    [
        ("t10k-images-idx3-ubyte", np.zeros((10, 32, 32)), "not pictures of 28 x 28"),
        ("t10k-labels-idx1-ubyte", np.zeros(9), r"holds an array \[9\] for 10 pictures"),
        ("t10k-labels-idx1-ubyte", np.full(10, 46), "holds the class 46"),
    ],
)
def test_foreign_idx_is_named(idx_folder, name, array, sentence):
    write_idx(idx_folder / name, array)
    with pytest.raises(ValueError, match=f"{name}.*{sentence}"):
        datasets.load("fashion-mnist", root=idx_folder)


def test_file_that_is_no_idx_is_named(idx_folder):
    (idx_folder / "t10k-images-idx3-ubyte").write_bytes(b"\x89PNG and so on")
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte is not an idx file"):
        datasets.load("fashion-mnist", root=idx_folder)


# Names and options


def test_a_new_file_is_a_new_dataset(tmp_path, monkeypatch, mini):
    (tmp_path / "two_dots.py").write_text(
        "import numpy as np\n"
        "from hashlib_nb.datasets import split_by_class\n"
        "def load(root, seed, value=7):\n"
        "    images = np.full((8, 2, 2, 1), value, np.uint8)\n"
        "    counts = dict(query_per_class=1, train_per_class=1)\n"
        "    return split_by_class(images, np.arange(8) % 2, ('a', 'b'), seed=seed, name='two-dots', **counts)\n"
    )
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "hashlib_nb.datasets.two_dots", raising=False)
    assert "two-dots" in datasets.names()
    assert datasets.load("two-dots", value=9).database.images.max() == 9
    with pytest.raises(
        ValueError, match="'values' is no option of the dataset 'two-dots'; the options it takes: value"
    ):
        datasets.load("two-dots", values=9)


def test_helpers_are_no_datasets():
    assert datasets.names() == ("cifar10", "coco", "fashion-mini", "fashion-mnist", "folder", "lists", "nuswide")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "cifar"}, "name is 'cifar', which is no dataset here; there are: cifar10, coco, fashion-mini"),
        ({"name": "fashion-mini", "bits": 3}, "'bits' is no option of the dataset 'fashion-mini'"),
        ({"name": "fashion-mini", "root": "x"}, "root is 'x', but fashion-mini comes with the package"),
        ({"name": "fashion-mini", "seed": -1}, "seed is -1; give a whole number from 0 to 2"),
        ({"name": "fashion-mini", "seed": 0.5}, "seed is 0.5"),
    ],
)
def test_wrong_arguments_get_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        datasets.load(**arguments)


# Splits


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"query_per_class": 0, "train_per_class": 1}, "query_per_class is 0; give a whole number of at least 1"),
        ({"query_per_class": 2, "train_per_class": -1}, "train_per_class is -1"),
        ({"query_per_class": 1, "train_per_class": 2}, "is 3, but the class 'rare' has 3 pictures; draw at most 2"),
    ],
)
def test_counts_that_cannot_be_drawn_are_refused(counts, sentence):
    with pytest.raises(ValueError, match=sentence):
        split_by_class(
            np.zeros((8, 1, 1, 1), np.uint8), np.array([0, 1, 0, 1, 0, 1, 0, 0]), ("common", "rare"), seed=0, **counts
        )


def test_split_by_class_uses_every_row_once():
    images = np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1)
    class_ids = np.random.default_rng(0).integers(0, 3, 200)
    splits = split_by_class(images, class_ids, tuple("abc"), query_per_class=5, train_per_class=7, seed=3)
    rows = np.concatenate([getattr(splits, part).images.ravel() for part in PARTS])
    assert sorted(rows) == list(range(200))
    labels = np.concatenate([getattr(splits, part).labels for part in PARTS])
    assert np.array_equal(labels.argmax(axis=1), class_ids[rows])


IMAGES, LABELS = np.zeros((3, 4, 4, 1), np.uint8), np.eye(3, dtype=np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (IMAGES[..., 0], LABELS, r"images must be a uint8 array \[n, h, w, c\]"),
        (IMAGES.astype(float), LABELS, "this is float64"),
        (IMAGES[:0], LABELS[:0], "without an empty axis"),
        (IMAGES, LABELS.astype(bool), r"labels must be a uint8 array \[n, m\]"),
        (IMAGES, [0, 1, 2], "this is list None"),
        (IMAGES, LABELS * 2, "labels must be 0 or 1, but the largest is 2"),
        (IMAGES, LABELS[:2], "images has 3 rows and labels 2"),
    ],
)
def test_split_refuses_what_does_not_fit(images, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        Split(images, labels)


def test_splits_refuse_parts_that_disagree():
    part = Split(IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"database images are \(2, 2, 1\) and query images \(4, 4, 1\)"):
        Splits(part, part, Split(IMAGES[:, :2, :2], LABELS), ("a", "b", "c"), {})
    with pytest.raises(ValueError, match="query labels have 3 columns for 2 class_names"):
        Splits(part, part, part, ("a", "b"), {})


@pytest.mark.process
def test_datasets_import_and_load_without_torch():
    program = (
        "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "from hashlib_nb import datasets; print(len(datasets.load('fashion-mini').query))"
    )
    assert run_python(program) == "500\n"
