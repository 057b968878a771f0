"""Pictures and features in batches: what an encoder reads, whether it lies in memory or in picture files."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from hashlib_nb import artifacts, checks
from hashlib_nb.encoder import parallel

if TYPE_CHECKING:
    from hashlib_nb.datasets import Pictures

    Images = np.ndarray | Pictures
    """uint8 [n, h, w, c] in memory, or picture files that are decoded when they are needed."""

WANTED = "[n, h, w, 1 or 3]"
"""Axes of pictures, for messages."""
WORKERS = max(1, min(8, os.cpu_count() or 1))
"""Processes that decode picture files, beside the one that trains or encodes."""
PREFETCHED = 2
"""Batches that each of them has ready."""
SHARED = Path("/dev/shm")
"""Where Linux keeps what processes share. Containers often have 64 MB there, and torch waits for ever for a batch that
did not fit."""
STATISTICS = 1_000
"""Pictures that mean and standard deviation of lazy pictures are taken from."""


def is_lazy(images: Images) -> bool:
    """Whether pictures are decoded when they are asked for, not held in memory."""
    return not isinstance(images, np.ndarray)


def is_features(images: Images) -> bool:
    """Whether these are a frozen trunk's outputs, float [n, d] or [n, views, d], and no pictures."""
    return images.dtype.kind == "f" and images.ndim in (2, 3)


def as_images(images: Images | torch.Tensor | Sequence[np.ndarray]) -> Images:
    """Pictures or features as they are; tensors, and lists of equal arrays or tensors, as one array.

    Raises:
        ValueError: neither pictures, uint8 [n, h, w, c] with 1 or 3 channels and n at least 1, nor features, float
            [n, d] or [n, views, d].
    """
    if not hasattr(images, "take") or isinstance(images, torch.Tensor):  # `Pictures` and arrays have it
        images = _as_array(images)
    if not is_features(images):
        check_images(images)
    return images


def _as_array(images: torch.Tensor | Sequence[np.ndarray]) -> np.ndarray:
    each_is_array = isinstance(images, (list, tuple)) and all(hasattr(each, "shape") for each in images)
    if each_is_array and len({tuple(each.shape) for each in images}) > 1:
        first, other = sorted({tuple(each.shape) for each in images})[:2]
        raise ValueError(f"images have different shapes, {first} and {other}; resize them to one, or give their files")
    if each_is_array:
        images = [np.asarray(each.cpu() if isinstance(each, torch.Tensor) else each) for each in images]
    if isinstance(images, torch.Tensor):
        images = images.cpu()
    return checks.array(images, "images", WANTED)


def check_images(images: Images) -> None:
    """Raise ValueError unless `images` is uint8 [n, h, w, c] with 1 or 3 channels and n at least 1."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or len(images) == 0:
        remedy = ""
        if images.dtype.kind == "U":
            remedy = "; give files as datasets.Pictures(paths, size=256)"
        elif images.dtype == np.uint8 and images.ndim == 4 and images.shape[1] in (1, 3):
            remedy = "; put the channels last"
        raise ValueError(f"images must be uint8 {WANTED}, not {images.dtype} {list(images.shape)}{remedy}")


def digest(images: Images) -> str:
    """Twelve hex digits that identify pictures or features by their content; of files, by names and bytes."""
    return images.digest if is_lazy(images) else artifacts.digest(images)


def take(images: Images, rows: np.ndarray) -> Images:
    """Some of the pictures; lazy ones stay lazy."""
    return images.take(rows) if is_lazy(images) else images[rows]


def statistics(images: Images, seed: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of pixels in 0..1; of lazy pictures, from some drawn at random."""
    if is_lazy(images):
        rows = np.random.default_rng(seed).permutation(len(images))[:STATISTICS]
        images = images[np.sort(rows)]
    mean = tuple(float(m) for m in images.mean(axis=(0, 1, 2)) / 255)
    return mean, tuple(float(s) + 1e-3 for s in images.std(axis=(0, 1, 2)) / 255)


class _Rows(Dataset):
    """Batches of lazy pictures by their row numbers, for worker processes."""

    def __init__(self, images: Pictures):
        self.images = images

    def __getitem__(self, rows: np.ndarray) -> np.ndarray | Exception:
        try:
            return self.images[rows]
        except (ValueError, OSError) as error:
            return error  # raised by the reader: a worker's own exceptions arrive wrapped in a traceback


def read(images: Images, batches: Sequence[np.ndarray], *, pin: bool = False) -> Iterator[torch.Tensor]:
    """The pictures of each batch of row numbers, uint8 [b, h, w, c]; of picture files, some batches in advance.

    Args:
        images: uint8 [n, h, w, c], lazy or not.
        batches: row numbers of each batch.
        pin: put them where a GPU can fetch them while the CPU goes on.

    Raises:
        ValueError, FileNotFoundError: a picture file cannot be decoded; the message names it.
    """
    if not is_lazy(images):
        for rows in batches:
            batch = torch.from_numpy(np.ascontiguousarray(images[rows]))
            yield batch.pin_memory() if pin else batch
        return
    largest = max(map(len, batches), default=0) * math.prod(images.shape[1:])
    workers, prefetched = _ahead(largest, len(batches))
    settings = {"num_workers": workers, "prefetch_factor": prefetched, "pin_memory": pin}
    own = torch.Generator()  # a DataLoader draws a number for its workers: not from the training's generator
    for batch in DataLoader(_Rows(images), batch_size=None, sampler=batches, generator=own, **settings):
        if isinstance(batch, Exception):
            raise batch
        yield batch


def _ahead(batch_bytes: int, n: int) -> tuple[int, int | None]:
    """How many workers decode, and how many batches each has ready, so that all fit into shared memory.

    Args:
        batch_bytes: size of the largest batch.
        n: how many there are.

    Returns:
        (0, None) where not even one fits beside the one in use: it is then decoded, by threads, when it is asked for.
    """
    workers = min(WORKERS, n)
    fit = _free_shared_memory() // 2 // parallel.count() // max(batch_bytes, 1) - 1  # 1 is in use; half is for others
    if fit >= workers * PREFETCHED:
        return workers, PREFETCHED
    workers = int(min(workers, fit))
    return (workers, 1) if workers > 0 else (0, None)


def _free_shared_memory() -> float:
    """Bytes that are free, infinite where no limit is known."""
    if sys.platform != "linux":
        return math.inf
    try:
        about = os.statvfs(SHARED)
    except OSError:  # not there: nothing can be shared
        return 0
    return about.f_bavail * about.f_frsize
