"""What every trained method is: a loss, and where it needs them a last layer, targets and weights of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines.base import Baseline
from hashlib_nb.encoder import Objective, Recipe

RATES = (1e-3, 2e-3, 4e-3, 8e-3)
"""Peak learning rates that grids try on features, beside two values of something else."""
MORE_RATES = (5e-4, 1e-3, 1.5e-3, 2e-3, 3e-3, 4e-3, 6e-3, 8e-3)
"""The same where there is nothing else to try."""


@dataclass(frozen=True)
class Deep(Baseline):
    """A method that is trained: `loss` is what it minimizes; trunk, rows, batches and schedule are the encoder's."""

    TRAINED: ClassVar = True
    lr: float | None = None
    """Peak learning rate; by default the recipe's."""

    def __post_init__(self) -> None:
        if self.lr is not None:
            checks.fields(self, checks.finite, "lr", above=0)

    def recipe(self, recipe: Recipe) -> Recipe:
        """How it is trained: as the recipe says but for its own learning rate; labels are not smoothed."""
        return replace(recipe, label_smoothing=0.0, patience=0, lr=recipe.lr if self.lr is None else self.lr)

    def targets(self, labels: np.ndarray, code_length: int, seed: int) -> np.ndarray:
        """What `loss` gets of each training row, uint8 {0,1} [n, m]; by default its labels."""
        return labels

    def last_layer(self, width: int, code_length: int) -> nn.Module:
        """Outputs [b, k] of features [b, width]."""
        return nn.Linear(width, code_length)

    def state(self, code_length: int, n_labels: int, seed: int) -> nn.Module | None:
        """Weights and constants of the loss itself; they are trained, where they are weights, and left behind."""
        return None

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """The loss of a batch, a mean over its pictures, pairs or triplets.

        Args:
            u: outputs float32 [b, k].
            y: `targets` of these rows, float32 [b, m].
            state: what `state` returned.
            progress: the share of all steps that is done, 0..1.
        """
        raise NotImplementedError


class Trained(Objective):
    """A method's loss as the encoder's training takes it: a sum over the batch."""

    def __init__(self, method: Deep, code_length: int, n_labels: int, seed: int):
        super().__init__()
        self.method, self.n_labels, self.seed = method, n_labels, seed
        self.state = method.state(code_length, n_labels, seed)

    def last_layer(self, width: int, bits: int) -> nn.Module:
        """As the method has it; ValueError where it cannot make so many bits of so many features."""
        self.method.check(bits, width, self.n_labels)
        return self.method.last_layer(width, bits)

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor, progress: float = 0.0) -> torch.Tensor:
        """The method's mean times the number of pictures."""
        return len(outputs) * self.method.loss(outputs, targets, self.state, progress)

    def __str__(self) -> str:
        """The method with all its settings."""
        return f"{self.method!r} seed={self.seed}"
