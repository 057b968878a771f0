"""HashNet: a weighted likelihood of pairs under a tanh that grows towards a sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines import _pairs
from hashlib_nb.baselines._deep import RATES, Deep


@dataclass(frozen=True)
class HashNet(Deep):
    """min mean_ij w_ij (softplus(t_ij) - s_ij t_ij), t = (10/k) h_i.h_j, h = tanh(beta u), beta = sqrt(1 + g progress).

    Similar and dissimilar pairs weigh equally (w). The authors' own schedule has g = 50, a later one g = 7.
    """

    TITLE: ClassVar = "HashNet"
    PAPER: ClassVar = "Cao, Long, Wang and Yu, HashNet, ICCV 2017"
    GRID: ClassVar = {"lr": RATES, "growth": (7.0, 50.0)}
    growth: float = 50.0
    """g."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "growth", least=0)

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above."""
        h = torch.tanh((1 + self.growth * progress) ** 0.5 * u)
        s = _pairs.similar(y)
        return _pairs.mean_over_pairs(_pairs.balanced(s) * _pairs.likelihood(10 / u.shape[1] * h @ h.T, s))
