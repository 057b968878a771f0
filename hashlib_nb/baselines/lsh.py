"""Locality-sensitive hashing: random hyperplanes, no label and nothing learned."""

from __future__ import annotations

import numpy as np

from hashlib_nb import checks
from hashlib_nb.datasets import Splits
from hashlib_nb.hamming import MAX_BITS


def hyperplanes(splits: Splits, code_length: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Which side of each random hyperplane through the mean training picture a picture lies on.

    Directions are Gaussian in the space of pixels, so that the Hamming distance estimates the angle between two
    centered pictures (Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002).

    Args:
        splits: the data set; its labels are not looked at.
        code_length: k, how many hyperplanes.
        seed: of their directions.

    Returns:
        codes uint8 {0,1} [n, code_length] of each part: "query", "train", "database".

    Raises:
        ValueError: a code_length that is no whole number in 1..`hamming.MAX_BITS`, or no seed.
    """
    code_length, seed = checks.count(code_length, "code_length", most=MAX_BITS), checks.seed(seed)

    def pixels(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32) / 255

    mean = pixels(splits.train.images).mean(axis=0)
    directions = np.random.default_rng(seed).standard_normal((len(mean), code_length), dtype=np.float32)
    return {
        part: (((pixels(getattr(splits, part).images) - mean) @ directions) >= 0).astype(np.uint8)
        for part in ("query", "train", "database")
    }
