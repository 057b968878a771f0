"""What every method is: a frozen dataclass whose fields are its settings, in a file of its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

TRIALS = 8
"""Settings that a method's `GRID` may offer, the same number for all."""


@dataclass(frozen=True)
class Baseline:
    """Somebody's way to make codes. A subclass is one file; its fields are settings, each with a default."""

    TITLE: ClassVar[str]
    """What tables call it."""
    PAPER: ClassVar[str]
    """Who published it, and where."""
    GRID: ClassVar[Mapping[str, tuple]] = {}
    """Settings that tables try on held-out training rows, every combination; at most `TRIALS` of them."""
    SUPERVISED: ClassVar[bool] = True
    """Whether it looks at labels."""
    TRAINED: ClassVar[bool] = False
    """Whether it is a loss that a network is trained to."""
    TAKES_GENERATED: ClassVar[bool] = False
    """Whether it knows what to do with pictures that a generator has made."""
    OF_PICTURES: ClassVar[bool] = False
    """Whether it takes pictures, uint8 [n, h, w, c], and can make nothing of features."""

    def check(self, code_length: int, width: int, n_labels: int) -> None:
        """Raise ValueError for a code length that the method cannot make of `width` features and `n_labels` labels."""


@dataclass(frozen=True)
class Projection(Baseline):
    """A method whose outputs are a function of features, with arrays that a closed form or alternation has found."""

    def fit(self, features: np.ndarray, labels: np.ndarray, code_length: int, seed: int) -> dict[str, np.ndarray]:
        """The arrays that `outputs` takes.

        Args:
            features: float32 [n, d], finite.
            labels: uint8 {0,1} [n, m].
            code_length: k.
            seed: of all that is drawn.
        """
        raise NotImplementedError

    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        """Float32 [n, k] of features float32 [n, d]; a bit is 1 where its output is at least 0."""
        raise NotImplementedError
