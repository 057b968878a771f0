"""Iterative quantization: principal components, turned until they lie near the corners of a cube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.linalg

from hashlib_nb import checks
from hashlib_nb.baselines.base import Projection


@dataclass(frozen=True)
class ITQ(Projection):
    """min over rotations R of ||sign(V R) - V R||_F^2, V the first k principal components, by alternation.

    With B = sign(V R) fixed, R is the orthogonal Procrustes solution: B'V = U S W', R = W U'. The error never rises.
    """

    TITLE: ClassVar = "ITQ"
    PAPER: ClassVar = "Gong and Lazebnik, Iterative quantization, CVPR 2011"
    SUPERVISED: ClassVar = False
    rounds: int = 50
    """Alternations, as published."""

    def __post_init__(self) -> None:
        checks.fields(self, checks.count, "rounds", most=checks.ROUNDS)

    def check(self, code_length: int, width: int, n_labels: int) -> None:
        """There are no more principal components than features."""
        if code_length > width:
            raise ValueError(f"code_length is {code_length}, but ITQ makes at most {width} bits of {width} features")

    def fit(self, features: np.ndarray, labels: np.ndarray, code_length: int, seed: int) -> dict[str, np.ndarray]:
        """Mean and projection; the quantization error after each round is `history_error`."""
        mean = features.mean(axis=0)
        components = principal(features - mean, code_length)
        values = (features - mean) @ components  # V, [n, k]
        rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((code_length, code_length)))[0]
        errors = []
        for _ in range(self.rounds):
            turned = values @ rotation
            bits = np.where(turned >= 0, 1.0, -1.0)
            errors.append(float(((bits - turned) ** 2).mean()))
            left, _, right = scipy.linalg.svd(bits.T @ values)  # U, S, W'
            rotation = (left @ right).T
        arrays = {"mean": mean, "directions": (components @ rotation).astype(np.float32)}
        return arrays | {"history_error": np.array(errors)}

    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        """The turned components."""
        return (features - arrays["mean"]) @ arrays["directions"]


def principal(centered: np.ndarray, number: int) -> np.ndarray:
    """Directions float64 [d, number] of most variance of centered rows, the largest first. O(n d^2 + d^3)."""
    covariance = (centered.T @ centered).astype(np.float64) / len(centered)
    last = len(covariance) - 1
    _, vectors = scipy.linalg.eigh(covariance, subset_by_index=(last - number + 1, last))
    return vectors[:, ::-1]
