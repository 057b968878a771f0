"""HashGAN's pair loss, without the pictures that its generator would add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines import _pairs
from hashlib_nb.baselines._deep import RATES, Deep


@dataclass(frozen=True)
class HashGANPairs(Deep):
    """min mean_ij w_ij (softplus(c_ij) - s_ij c_ij), c = scale cos(u_i, u_j), similar pairs weighing all/similar.

    The paper adds pictures of a generator (a class-conditional WGAN-GP) whose pairs weigh .1; nothing is generated
    here. Who has such pictures of his own adds them to the training rows.
    """

    TITLE: ClassVar = "HashGAN, pair loss only"
    PAPER: ClassVar = "Cao, Liu, Long and Wang, HashGAN, CVPR 2018"
    GRID: ClassVar = {"lr": RATES, "scale": (5.0, 10.0)}
    scale: float = 10.0
    """What cosines are multiplied by."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "scale", above=0)

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above."""
        direction = nn.functional.normalize(u)
        s = _pairs.similar(y)
        weights = _pairs.balanced(s, dissimilar=False)
        return _pairs.mean_over_pairs(weights * _pairs.likelihood(self.scale * direction @ direction.T, s))
