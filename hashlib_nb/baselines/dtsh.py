"""Deep hashing with triplet labels: what is similar must be nearer than what is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines import _pairs
from hashlib_nb.baselines._deep import RATES, Deep


@dataclass(frozen=True)
class DTSH(Deep):
    """min mean over triplets softplus(a - (theta_ap - theta_an)) + eta mean (u - sgn u)^2.

    theta = u_i.u_j / 2; the margin a = margin k grows with the code, published as 5 at 48 bits.
    """

    TITLE: ClassVar = "DTSH"
    PAPER: ClassVar = "Wang, Shi and Kitani, Deep supervised hashing with triplet labels, ACCV 2016"
    GRID: ClassVar = {"lr": RATES, "eta": (0.1, 1.0)}
    margin: float = 5 / 48
    """Of a bit."""
    eta: float = 1.0
    """Weight of the distance to codes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "margin", "eta", least=0)

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above."""
        margin = self.margin * u.shape[1]
        triplets = _pairs.mean_over_triplets(
            u @ u.T / 2, _pairs.similar(y), lambda nearer: nn.functional.softplus(margin - nearer)
        )
        return triplets + self.eta * _pairs.to_signs(u)
