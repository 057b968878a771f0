"""The thesis' own method: codes inferred from labels (stage 1), and outputs fitted to them bit by bit (stage 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import nn

from hashlib_nb import checks, codes
from hashlib_nb.baselines._deep import MORE_RATES, Deep


@dataclass(frozen=True)
class Thesis(Deep):
    """min - sum_j [b_j log sigmoid(u_j) + (1 - b_j) log(1 - sigmoid(u_j))] (eq. 3.11), b from Algorithm 1."""

    TITLE: ClassVar = "thesis"
    PAPER: ClassVar = "the thesis, chapter 3"
    GRID: ClassVar = {"lr": MORE_RATES}
    target_codes: Literal["repaired", "literal"] = "repaired"
    """Algorithm 1 as `codes` has it, or as the thesis prints it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target_codes not in codes.PRESETS:
            raise ValueError(
                f"target_codes must be one of {', '.join(codes.PRESETS)}, not {checks.shown(self.target_codes)}"
            )

    def targets(self, labels: np.ndarray, code_length: int, seed: int) -> np.ndarray:
        """Algorithm 1's codes, uint8 {0,1} [n, k]."""
        return codes.infer_codes(labels, code_length, seed=seed, **codes.PRESETS[self.target_codes]).codes

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above, the mean over pictures."""
        return nn.functional.binary_cross_entropy_with_logits(u, y, reduction="sum") / len(u)
