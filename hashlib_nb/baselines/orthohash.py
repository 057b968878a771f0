"""OrthoHash: one loss, the cosine of outputs with centers that lie at right angles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines._centers import far_apart
from hashlib_nb.baselines._deep import RATES, Deep
from hashlib_nb.baselines.greedyhash import label_loss


class Centers(nn.Module):
    """Fixed codes of the classes, [m, k]."""

    def __init__(self, codes: torch.Tensor):
        super().__init__()
        self.register_buffer("codes", codes)


@dataclass(frozen=True)
class OrthoHash(Deep):
    """min cross-entropy of a softmax over classes c of scale (cos(u, center_c) - margin [c is the picture's]).

    u = batch norm (W x), so that bits are balanced. Several labels share the target evenly.
    """

    TITLE: ClassVar = "OrthoHash"
    PAPER: ClassVar = "Hoe, Ng, Zhang, Chan, Song and Xiang, One loss for all, NeurIPS 2021"
    GRID: ClassVar = {"lr": RATES, "margin": (0.2, 0.5)}
    scale: float = 8.0
    """What cosines are multiplied by."""
    margin: float = 0.2
    """By how much the picture's own class must lead."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "scale", above=0)
        checks.fields(self, checks.finite, "margin", least=0)

    def last_layer(self, width: int, code_length: int) -> nn.Module:
        """Linear without bias, and batch norm."""
        return nn.Sequential(nn.Linear(width, code_length, bias=False), nn.BatchNorm1d(code_length))

    def state(self, code_length: int, n_labels: int, seed: int) -> nn.Module:
        """The centers."""
        return Centers(torch.from_numpy(far_apart(n_labels, code_length, seed)))

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above."""
        cosines = nn.functional.normalize(u) @ nn.functional.normalize(state.codes).T
        return label_loss(self.scale * (cosines - self.margin * y), y)
