"""Features of a frozen trunk, computed once and kept: artifacts/<dataset>-<arch>-px<size>/<split>.npy, float16 [n, d].

They depend on pictures, trunk and size, not on code length, seed or target codes, so every training on them shares
them. Beside each array lies a JSON file of the same name that says what it was made from. It is written last and taken
away first: an array without one is what a run that was killed has left.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashlib_nb import artifacts
from hashlib_nb.artifacts import ArtifactError, shown
from hashlib_nb.encoder import batches, networks, parallel

if TYPE_CHECKING:
    from hashlib_nb.datasets import Splits
    from hashlib_nb.encoder.batches import Images
    from hashlib_nb.encoder.model import Encoder


def folder_of(dataset: str, arch: str, size: int) -> Path:
    """Where the features of a data set lie, for all code lengths and seeds; `size` in pixels."""
    return artifacts.project_root() / "artifacts" / f"{dataset}-{arch}-px{size}"


def of_splits(folder: Path, encoder: Encoder, splits: Splits, *, mirror: bool, progress: bool = True) -> dict:
    """Features of each split, float16: `query` and `database` [n, d], `train` [n, 1 or 2, d].

    Args:
        folder: see `folder_of`.
        encoder: with a frozen trunk.
        splits: the data set.
        mirror: give training pictures a second view, their mirror image.
        progress: show bars.
    """
    views = ["train", "train-mirrored"][: 1 + mirror]
    found = {
        name: load_or_compute(
            folder / f"{name}.npy",
            encoder,
            getattr(splits, name.removesuffix("-mirrored")).images,
            mirrored=name.endswith("mirrored"),
            progress=progress,
        )
        for name in ("query", "database", *views)
    }
    return {"query": found["query"], "database": found["database"], "train": np.stack([found[v] for v in views], 1)}


def load_or_compute(
    path: Path, encoder: Encoder, images: Images, *, mirrored: bool = False, progress: bool = True
) -> np.ndarray:
    """The trunk's features of pictures, memory-mapped float16 [n, d]: from `path`, else computed and saved there.

    Among several processes (see `parallel`) all must call it, and `path` must be the same file to all.

    Args:
        path: a `.npy` file.
        encoder: with a frozen trunk.
        images: uint8 [n, h, w, c] or `datasets.Pictures`.
        mirrored: of their mirror images.
        progress: show a bar with pictures a second.
    """
    about = {
        "data": batches.digest(images),
        "arch": encoder.arch,
        "size": list(encoder.size),
        "precision": encoder.precision,
        "trunk": networks.digest(encoder.network.trunk),
        "mirrored": mirrored,
        "shape": [len(images), encoder.network.width],
    }
    if parallel.broadcast(parallel.is_first() and not _is_there(path, about)):
        _compute(path, encoder, images, about, progress)
    parallel.broadcast(None)  # nobody reads before the first process has written
    return np.load(path, mmap_mode="r")


def _is_there(path: Path, about: dict[str, Any]) -> bool:
    """Whether `path` holds these features, whole; says what is the matter where it does not."""
    if not path.exists():
        return False
    try:
        note = artifacts.load_json(path.with_suffix(".json"))
        array = np.load(path, mmap_mode="r")  # checks the length of the file, but reads none of it
        if [*array.shape] != note["about"]["shape"] or array.dtype != np.float16:
            raise ValueError(f"it holds {array.dtype} {list(array.shape)}")
        old, seconds = note["about"], note["seconds"]
    except (ArtifactError, ValueError, KeyError, TypeError, OSError, EOFError) as error:
        print(f"{shown(path)} is truncated or no cache of features ({error}); making it anew")
        return False
    if old != about:
        print(f"{shown(path)} was made with other settings ({artifacts.differences(old, about)}); making it anew")
        return False
    print(f"loaded {shown(path)} (made in {seconds:.0f} s by hashlib_nb.features)")
    return True


def _compute(path: Path, encoder: Encoder, images: Images, about: dict[str, Any], progress: bool) -> None:
    start = time.perf_counter()
    made = encoder.feature_batches(images, mirrored=about["mirrored"], progress=progress)
    if not parallel.is_first():
        for _ in made:
            pass
        return
    note = path.with_suffix(".json")
    note.unlink(missing_ok=True)
    with artifacts.atomic(path) as partial:
        array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=tuple(about["shape"]))
        for rows, values in made:
            array[rows] = values
        array.flush()
    seconds = time.perf_counter() - start
    artifacts.save_json(note, {"about": about, "seconds": seconds})
    print(f"saved {shown(path)} ({len(images) / seconds:,.0f} pictures/s)")
