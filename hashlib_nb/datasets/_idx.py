"""The idx files of the MNIST family: a header that gives type and sizes, then the numbers, often compressed."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from hashlib_nb.artifacts import check_regular

UNSIGNED_BYTE = 0x08
MOST_BYTES = 2**27
"""Bytes of one file; the largest of the family has 47 million."""
PARTS = ("train", "t10k")
"""The original training and test halves, in the order in which `read_pictures` joins them."""


def read_pictures(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the four files of Fashion-MNIST, each as idx or idx.gz, from a folder or its FashionMNIST/raw.

    Returns:
        Pictures uint8 [n, 28, 28, 1] and class numbers uint8 [n], the training half first, 70,000 in all.

    Raises:
        FileNotFoundError: A file is missing; the message names the file.
        ValueError: A file is truncated or holds something else; the message names the file.
    """
    halves = [_read_half(folder, part) for part in PARTS]
    images, class_ids = (np.concatenate(arrays) for arrays in zip(*halves, strict=True))
    return images[..., np.newaxis], class_ids


def read_idx(path: Path) -> np.ndarray:
    """Read one idx file of unsigned bytes, compressed if its name ends in .gz.

    Raises:
        ValueError: The file is truncated, longer than its header says, or no such file at all.
    """
    check_regular(path, "idx file")
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)  # some KB of gzip can stand for any number of bytes
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is truncated or not a gzip file ({error}); delete it and fetch it again.") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise ValueError(
            f"{path} is not an idx file of unsigned bytes: it begins with {content[:4].hex() or 'nothing'}."
        )
    if len(content) > MOST_BYTES:
        raise ValueError(f"{path} has over {MOST_BYTES:,} bytes, so it is no file of this family; fetch it again.")
    header = 4 * (1 + content[3])
    shape = tuple(int.from_bytes(content[start : start + 4], "big") for start in range(4, header, 4))
    if len(content) != header + math.prod(shape):
        raise ValueError(
            f"{path} is truncated or damaged: its header promises {math.prod(shape):,} numbers and "
            f"{max(len(content) - header, 0):,} follow; delete it and fetch it again."
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _read_half(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    image_file, label_file = _find(folder, f"{part}-images-idx3-ubyte"), _find(folder, f"{part}-labels-idx1-ubyte")
    images, class_ids = read_idx(image_file), read_idx(label_file)
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{image_file} holds an array {list(images.shape)}, not pictures of 28 x 28.")
    if class_ids.shape != (len(images),):
        raise ValueError(f"{label_file} holds an array {list(class_ids.shape)} for {len(images):,} pictures.")
    if class_ids.max(initial=0) > 9:
        raise ValueError(f"{label_file} holds the class {class_ids.max()}; Fashion-MNIST's classes are 0 to 9.")
    return images, class_ids


def _find(folder: Path, name: str) -> Path:
    for place in (folder, folder / "FashionMNIST" / "raw"):  # the second is where torchvision puts its download
        for path in (place / name, place / f"{name}.gz"):
            if path.is_file():
                return path
    raise FileNotFoundError(f"{folder / name}[.gz] does not exist")
