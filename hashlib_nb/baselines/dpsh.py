"""Deep pairwise-supervised hashing: the likelihood of pairs under inner products of unbounded outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines import _pairs
from hashlib_nb.baselines._deep import RATES, Deep


@dataclass(frozen=True)
class DPSH(Deep):
    """min mean_ij (softplus(theta_ij) - s_ij theta_ij) + eta mean (u - sgn u)^2, theta = u_i.u_j / 2."""

    TITLE: ClassVar = "DPSH"
    PAPER: ClassVar = "Li, Wang and Kang, Feature learning based deep supervised hashing, IJCAI 2016"
    GRID: ClassVar = {"lr": RATES, "eta": (0.1, 1.0)}
    eta: float = 0.1
    """Weight of the distance to codes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "eta", least=0)

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above."""
        pairs = _pairs.likelihood(u @ u.T / 2, _pairs.similar(y))
        return _pairs.mean_over_pairs(pairs) + self.eta * _pairs.to_signs(u)
