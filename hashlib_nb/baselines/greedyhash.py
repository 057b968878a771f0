"""GreedyHash: signs in the forward pass, taken for the identity in the backward pass, and a classifier of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines._deep import RATES, Deep


@dataclass(frozen=True)
class GreedyHash(Deep):
    """min cross-entropy(y, W sgn(u)) + alpha mean ||u| - 1|^3, the gradient of sgn taken as 1."""

    TITLE: ClassVar = "GreedyHash"
    PAPER: ClassVar = "Su, Zhang, Han and Tian, Greedy hash, NeurIPS 2018"
    GRID: ClassVar = {"lr": RATES, "alpha": (0.1, 1.0)}
    alpha: float = 0.1
    """Weight of the distance to codes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "alpha", least=0)

    def state(self, code_length: int, n_labels: int, seed: int) -> nn.Module:
        """The classifier of codes."""
        return nn.Linear(code_length, n_labels)

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above."""
        signs = u + (torch.where(u >= 0, 1.0, -1.0) - u).detach()
        return label_loss(state(signs), y) + self.alpha * ((u.abs() - 1).abs() ** 3).mean()


def label_loss(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of a softmax over labels, of several labels a picture shared evenly among them.

    Args:
        scores: float32 [b, m].
        y: labels {0,1} [b, m].
    """
    return nn.functional.cross_entropy(scores, y / y.sum(1, keepdim=True).clamp_min(1))
