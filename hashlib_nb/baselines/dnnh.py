"""Deep neural network hashing: features divided into groups, a bit from each, and triplets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines import _pairs
from hashlib_nb.baselines._deep import RATES, Deep


class DivideAndEncode(nn.Linear):
    """Output j sees the j-th of k groups of the features alone."""

    def __init__(self, width: int, code_length: int):
        super().__init__(width, code_length)
        group = torch.arange(width) * code_length // width
        self.register_buffer("own", (group == torch.arange(code_length)[:, None]).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [b, k] of features [b, width]."""
        return nn.functional.linear(x, self.weight * self.own, self.bias)


@dataclass(frozen=True)
class DNNH(Deep):
    """min mean over triplets max(0, m + ||f_a - f_p||^2 - ||f_a - f_n||^2), f = sigmoid(u), m = margin k.

    The paper's margin of 1 does not grow with k, and costs much at 64 bits. A bit is f >= 1/2.
    """

    TITLE: ClassVar = "DNNH"
    PAPER: ClassVar = "Lai, Pan, Liu and Yan, Simultaneous feature learning and hash coding, CVPR 2015"
    GRID: ClassVar = {"lr": RATES, "margin": (1 / 16, 1 / 8)}
    margin: float = 1 / 8
    """Of a bit."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "margin", above=0)

    def check(self, code_length: int, width: int, n_labels: int) -> None:
        """A group has at least one feature."""
        if code_length > width:
            raise ValueError(f"code_length is {code_length}, but DNNH divides {width} features: give at most that")

    def last_layer(self, width: int, code_length: int) -> nn.Module:
        """Divide and encode."""
        return DivideAndEncode(width, code_length)

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above."""
        margin = self.margin * u.shape[1]
        far = _pairs.squared_distances(torch.sigmoid(u))
        return _pairs.mean_over_triplets(far, _pairs.similar(y), lambda farther: (margin + farther).clamp_min(0))
