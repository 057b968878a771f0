"""CNNH: the thesis' objective, minimized entry by entry by Newton steps, and outputs fitted to what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines._deep import RATES, Deep
from hashlib_nb.baselines._newton import sweeps
from hashlib_nb.codes import LabelSets


@dataclass(frozen=True)
class CNNH(Deep):
    """Stage 1: min ||H H' - k S||_F^2 over H in [-1,1]^(n x k); b = sign(H). Stage 2: min mean (tanh(u) - b)^2.

    The first is eq. 3.5. Rows with the same labels share their code, so that it is one over label sets, each weighing
    as often as it occurs.
    """

    TITLE: ClassVar = "CNNH"
    PAPER: ClassVar = "Xia, Pan, Lai, Liu and Yan, Supervised hashing via image representation learning, AAAI 2014"
    GRID: ClassVar = {"lr": RATES, "sweeps": (5, 10)}
    sweeps: int = 10
    """Times that every entry takes a step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.count, "sweeps", most=checks.ROUNDS)

    def targets(self, labels: np.ndarray, code_length: int, seed: int) -> np.ndarray:
        """Stage 1's codes, uint8 {0,1} [n, k]."""
        groups = LabelSets.of(labels)
        relaxed, _ = sweeps(groups, code_length, self.sweeps, seed)
        return (relaxed >= 0).astype(np.uint8)[groups.index]

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """Stage 2."""
        return ((torch.tanh(u) - (2 * y - 1)) ** 2).mean()
