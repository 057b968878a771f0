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

    The paper adds pictures of a generator (a class-conditional WGAN-GP) to the training rows, whose pairs weigh .1.
    Nothing is generated here: `fit(..., generated=(images, labels))` takes those of any generator.
    """

    TITLE: ClassVar = "HashGAN, pair loss only"
    PAPER: ClassVar = "Cao, Liu, Long and Wang, HashGAN, CVPR 2018"
    TAKES_GENERATED: ClassVar = True
    GRID: ClassVar = {"lr": RATES, "scale": (5.0, 10.0)}
    scale: float = 10.0
    """What cosines are multiplied by."""
    generated_weight: float = 0.1
    """Of a pair with a generated picture in it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "scale", above=0)
        checks.fields(self, checks.finite, "generated_weight", least=0)

    def state(self, code_length: int, n_labels: int, seed: int) -> nn.Module:
        """How many columns of the targets are labels; one more says which rows were generated."""
        state = nn.Module()
        state.n_labels = n_labels
        return state

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above."""
        direction = nn.functional.normalize(u)
        y, generated = y[:, : state.n_labels], y[:, state.n_labels :]
        s = _pairs.similar(y)
        weights = _pairs.balanced(s, dissimilar=False)
        if generated.shape[1]:
            either = torch.maximum(generated, generated.T)
            weights = weights * torch.where(either > 0, self.generated_weight, 1.0)
        return _pairs.mean_over_pairs(weights * _pairs.likelihood(self.scale * direction @ direction.T, s))
