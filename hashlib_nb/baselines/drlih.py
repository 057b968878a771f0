"""DRLIH: a recurrent agent decides bit after bit, each seeing what the earlier ones left in its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines import _pairs
from hashlib_nb.baselines._deep import RATES, Deep


class Agent(nn.Module):
    """h_0 = W x; k times h = tanh-RNN(h, h) and u_t = w.h + b, one w for all bits."""

    def __init__(self, width: int, code_length: int, units: int):
        super().__init__()
        self.start, self.cell, self.policy = nn.Linear(width, units), nn.RNNCell(units, units), nn.Linear(units, 1)
        self.code_length = code_length

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log odds [b, k] that each action is 1, of features [b, width]."""
        h, said = self.start(x), []
        weight, bias = self.cell.weight_ih + self.cell.weight_hh, self.cell.bias_ih + self.cell.bias_hh
        for _ in range(self.code_length):
            h = torch.tanh(nn.functional.linear(h, weight, bias))  # the cell, whose input is its state
            said.append(self.policy(h))
        return torch.cat(said, dim=1)


@dataclass(frozen=True)
class DRLIH(Deep):
    """min (1 - w) T + w mean_i(-log pi_i / k) stopgrad(T), T = mean over triplets [1 + |p_a - p_p| - |p_a - p_n|]_+.

    p = sigmoid(u); pi_i is the probability of picture i's greedy actions. That second term, the policy gradient of the
    paper, has the reward T whatever the action was: it makes the agent surer, and works as a quantization penalty.
    """

    TITLE: ClassVar = "DRLIH"
    PAPER: ClassVar = "Peng, Zhang and Ye, Deep reinforcement learning for image hashing, TMM 2020"
    GRID: ClassVar = {"lr": RATES, "policy_weight": (0.001, 0.01)}
    units: int = 256
    """Of the agent's state; 4,096 in the paper."""
    policy_weight: float = 0.001
    """w."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.count, "units", most=1 << 14)
        checks.fields(self, checks.share, "policy_weight")

    def last_layer(self, width: int, code_length: int) -> nn.Module:
        """The agent."""
        return Agent(width, code_length, self.units)

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """As above."""
        far = (_pairs.squared_distances(torch.sigmoid(u)) + 1e-12).sqrt()
        t = _pairs.mean_over_triplets(far, _pairs.similar(y), lambda farther: (1 + farther).clamp_min(0))
        surprise = nn.functional.softplus(-u.abs()).mean()  # -log pi / k: a greedy action has probability sigma(|u|)
        return (1 - self.policy_weight) * t + self.policy_weight * surprise * t.detach()
