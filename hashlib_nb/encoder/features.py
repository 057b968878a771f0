"""Features of a frozen trunk, computed once and kept: artifacts/<dataset>-<arch>-px<size>/<split>.npy, float16 [n, d].

They depend on pictures, trunk and size, not on code length, seed or target codes, so every training on them shares
them. Beside each array lies a JSON file of the same name that says what it was made from, and has the array's digest:
an array without one, or with another's, is what a run that was killed has left.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashlib_nb import artifacts
from hashlib_nb.artifacts import shown
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
    found = _found(path, about) if parallel.is_first() else None
    if parallel.broadcast(parallel.is_first() and found is None):
        _compute(path, encoder, images, about, progress)
    parallel.broadcast(None)  # nobody reads before the first process has written
    return np.load(path, mmap_mode="r") if found is None else found


def _found(path: Path, about: dict[str, Any]) -> np.ndarray | None:
    """The features in `path` if they are these, whole; else None, and it says what is the matter."""
    if not path.exists():
        return None
    try:
        artifacts.check_regular(path, "npy file")
        note, array = _note(path.with_suffix(".json")), np.load(path, mmap_mode="r")
        if [*array.shape] != note["about"].get("shape") or array.dtype != np.float16:
            raise ValueError(f"it holds {array.dtype} {list(array.shape)}")
        if note["about"] == about and note["sha256"] != hashlib.sha256(np.ascontiguousarray(array)).hexdigest():
            raise ValueError("it is not the array that its JSON file describes")
    except (ValueError, OSError, EOFError) as error:
        print(f"{shown(path)} is truncated or no cache of features ({error}); making it anew")
        return None
    if note["about"] != about:
        differences = artifacts.differences(note["about"], about)
        print(f"{shown(path)} was made with other settings ({differences}); making it anew")
        return None
    print(f"loaded {shown(path)} (made in {note['seconds']:.0f} s by hashlib_nb.features)")
    return array


def _note(path: Path) -> dict[str, Any]:
    """What a note says; ValueError for one that is none."""
    note = artifacts.load_json(path)
    kinds = {"about": dict, "seconds": int | float, "sha256": str}
    if not isinstance(note, dict) or not all(isinstance(note.get(name), kind) for name, kind in kinds.items()):
        raise ValueError(f"{shown(path)} does not say what it was made from")
    return note


def _compute(path: Path, encoder: Encoder, images: Images, about: dict[str, Any], progress: bool) -> None:
    start = time.perf_counter()
    made = encoder.feature_batches(images, mirrored=about["mirrored"], progress=progress)
    if not parallel.is_first():
        for _ in made:
            pass
        return
    content, header = hashlib.sha256(), {"descr": "<f2", "fortran_order": False, "shape": tuple(about["shape"])}
    # `closing`: where the disk is full the bar ends with its line, and the error has one of its own.
    with closing(made), artifacts.atomic(path) as partial, open(partial, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for _, values in made:  # batch after batch, in the order of the pictures
            batch = np.ascontiguousarray(values, "<f2")
            content.update(batch)
            file.write(batch)
        seconds = time.perf_counter() - start
        # The note first: a run that is killed between the two leaves one that does not fit the old array.
        note = {"about": about, "seconds": seconds, "sha256": content.hexdigest()}
        artifacts.save_json(path.with_suffix(".json"), note)
    print(f"saved {shown(path)} ({len(images) / seconds:,.0f} pictures/s)")
