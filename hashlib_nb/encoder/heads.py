"""What a last layer says: k bits, as the thesis has it, or labels, whose posteriors answer what the bits ask.

`Recipe.outputs` names which. Either way an encoder has k outputs: `LabelHead` makes them of the labels. Other people's
losses, which compare pictures with each other, are an `Objective`, and so is any other loss to a training: `Pointwise`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from torch import nn

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What a training minimizes: of logits and targets of a batch, float32 [b, k] both, a sum over its pictures."""


class Objective(nn.Module):
    """What a training minimizes, which may be more than a function of logits and targets of the same shape.

    Its own parameters, if it has any, are trained at the last layer's rate and left behind.
    """

    POINTWISE: ClassVar[bool] = False
    """Whether each output has a target of its own: then it is right or wrong, early stopping can watch that, and
    several processes can share a batch. Otherwise all pairs of a batch must be in one."""

    def last_layer(self, width: int, bits: int) -> nn.Module | None:
        """What turns the features [b, width] under the last layer into outputs [b, bits]; None for a linear map."""
        return None

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor, progress: float = 0.0) -> torch.Tensor:
        """The loss of a batch of different pictures, a sum over them.

        Args:
            outputs: float32 [b, bits].
            targets: float32 [b, m], what `fit` was given.
            progress: the share of all steps that is done, 0..1.
        """
        raise NotImplementedError

    def counts(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """What can be said of outputs beside the loss, by name: sums over pictures and outputs, 0-dimensional."""
        return {}

    def __str__(self) -> str:
        """What it is, with all that changes a result: a resumed training must be of the same one."""
        return f"{type(self).__module__}.{type(self).__qualname__}"


def bit_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Eq. 3.11: binary cross-entropy of every bit, summed over bits and pictures (CSQ's loss, Yuan et al. 2020)."""
    return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


def class_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the softmax, summed over pictures; a row of targets is a distribution over the classes."""
    return nn.functional.cross_entropy(logits, targets, reduction="sum")


def smoothed(targets: torch.Tensor, share: float, loss: Loss) -> torch.Tensor:
    """Targets of which a share is spread evenly over what could be: the classes, or both values of a bit."""
    even = 1 / targets.shape[1] if loss is class_cross_entropy else 0.5
    return targets + share * (even - targets)


def n_right(logits: torch.Tensor, targets: torch.Tensor, loss: Loss) -> torch.Tensor:
    """How many outputs are right: of a class head all or none of a picture's, of others each on its own."""
    if loss is class_cross_entropy:
        return (logits.argmax(1) == targets.argmax(1)).sum() * targets.shape[1]
    return ((logits >= 0) == (targets > 0.5)).sum()


class Pointwise(Objective):
    """A `Loss` as an objective: a target for each output, smoothed where the recipe has it so."""

    POINTWISE: ClassVar[bool] = True

    def __init__(self, loss: Loss, smoothing: float = 0.0):
        """Take a loss, and the share of a target that is spread evenly over what could be."""
        super().__init__()
        self.loss, self.smoothing = loss, smoothing

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor, progress: float = 0.0) -> torch.Tensor:
        """The loss itself, float32 []; arguments as of `Objective.forward`, targets [b, bits]."""
        return self.loss(outputs, smoothed(targets, self.smoothing, self.loss) if self.smoothing else targets)

    def counts(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """How many outputs are right."""
        return {"bit_accuracy": n_right(outputs, targets, self.loss)}

    def __str__(self) -> str:
        """The function's name; smoothing is the recipe's."""
        return f"{self.loss.__module__}.{self.loss.__qualname__}"


class LabelHead(nn.Module):
    """A network with one output a label, and what it says to the questions of k bits.

    A class is a label set s that occurs among the training pictures. With outputs L its posterior is

        p_s = softmax over s of beta * sum of L over the labels in s,

    of one label a picture the classifier's own softmax, of several a product of Bernoullis on the sets that occur. Bit
    j, whose dichotomy of the classes is T_j, has the log odds of its posterior as logit:

        F_j = log sum_s p_s T_sj - log sum_s p_s (1 - T_sj).
    """

    def __init__(self, network: nn.Module, label_sets: np.ndarray, dichotomies: np.ndarray, beta: float):
        """Put questions to a network.

        Args:
            network: pictures, or features, to [b, m].
            label_sets: {0,1} [C, m].
            dichotomies: {0,1} [C, k], T.
            beta: how sure the outputs are; see `thermometer.ClassCodes`.
        """
        super().__init__()
        self.network = network
        self.register_buffer("label_sets", torch.tensor(label_sets, dtype=torch.uint8))
        self.register_buffer("dichotomies", torch.tensor(dichotomies, dtype=torch.uint8))
        self.register_buffer("beta", torch.tensor(beta, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits float32 [b, k] of whatever the network takes."""
        return self.ask(self.network(x))

    def ask(self, labels: torch.Tensor) -> torch.Tensor:
        """Logits float32 [b, k] of the labels' outputs [b, m]; in float64 between, so that no digits are lost."""
        scores = labels.double() @ self.label_sets.double().T  # [b, C]
        posteriors = torch.softmax(self.beta * scores, dim=1)
        sides = self.dichotomies.double()
        # Each side from its own sum, since 1 - one has no digits near 1; and finite where no doubt is left.
        one, zero = posteriors @ sides, posteriors @ (1 - sides)
        smallest = torch.finfo(torch.float32).tiny
        return (one.clamp_min(smallest).log() - zero.clamp_min(smallest).log()).float()
