"""Locality-sensitive hashing: random hyperplanes, no label and nothing learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hashlib_nb import checks
from hashlib_nb.baselines.base import Projection
from hashlib_nb.datasets import PARTS, Pictures, Splits
from hashlib_nb.hamming import MAX_BITS


@dataclass(frozen=True)
class LSH(Projection):
    """Which side of each random hyperplane through the mean of the training rows a row lies on.

    Directions are Gaussian, so that the Hamming distance estimates the angle between two centered rows.
    """

    TITLE: ClassVar = "LSH"
    PAPER: ClassVar = "Charikar, Similarity estimation techniques from rounding algorithms, STOC 2002"
    SUPERVISED: ClassVar = False

    def fit(self, features: np.ndarray, labels: np.ndarray, code_length: int, seed: int) -> dict[str, np.ndarray]:
        """Mean and directions."""
        mean = features.mean(axis=0)
        shape = (features.shape[1], code_length)
        return {"mean": mean, "directions": np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)}

    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        """Signed distances to the hyperplanes, times the lengths of their normals."""
        return (features - arrays["mean"]) @ arrays["directions"]


def hyperplanes(splits: Splits, code_length: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """`LSH` of a data set's pixels.

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
    pixels = {part: as_pixels(getattr(splits, part).images) for part in PARTS}
    arrays = LSH().fit(pixels["train"], splits.train.labels, code_length, seed)
    return {part: (LSH().outputs(arrays, each) >= 0).astype(np.uint8) for part, each in pixels.items()}


def as_pixels(images: np.ndarray | Pictures) -> np.ndarray:
    """Pictures uint8 [n, h, w, c], in memory or files, as features, float32 [n, h w c] in 0..1."""
    return images[:].reshape(len(images), -1).astype(np.float32) / 255
