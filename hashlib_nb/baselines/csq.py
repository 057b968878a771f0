"""Central similarity quantization: every class has a center, far from the others, and outputs are fitted to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines._centers import far_apart
from hashlib_nb.baselines._deep import RATES, Deep


@dataclass(frozen=True)
class CSQ(Deep):
    """min BCE((h + 1)/2, c) + weight mean (|h| - 1)^2, h = tanh(u), c the center of the picture's class.

    Of several labels the center is the majority of theirs, bit by bit; ties take the bit of one code that is drawn.
    """

    TITLE: ClassVar = "CSQ"
    PAPER: ClassVar = "Yuan, Wang, Zhang, Tay, Jie, Liu and Feng, Central similarity quantization, CVPR 2020"
    GRID: ClassVar = {"lr": RATES, "weight": (1e-4, 1e-2)}
    weight: float = 1e-4
    """Of the distance to codes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "weight", least=0)

    def targets(self, labels: np.ndarray, code_length: int, seed: int) -> np.ndarray:
        """Each row's center, uint8 {0,1} [n, k]."""
        votes = labels.astype(np.float32) @ far_apart(labels.shape[1], code_length, seed)
        tie = np.random.default_rng([seed, code_length]).random(code_length) < 0.5
        return np.where(votes == 0, tie, votes > 0).astype(np.uint8)

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above; (tanh(u) + 1)/2 is sigmoid(2u)."""
        central = nn.functional.binary_cross_entropy_with_logits(2 * u, y)
        return central + self.weight * ((torch.tanh(u).abs() - 1) ** 2).mean()
