"""Policy gradient deep hashing: every bit is an action, and what flipping it would have paid is its credit, exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from hashlib_nb import checks
from hashlib_nb.baselines import _pairs
from hashlib_nb.baselines._deep import RATES, Deep

CELLS = 1 << 22
"""Rewards of flips that are held at a time: 16 MB."""


@dataclass(frozen=True)
class PGDH(Deep):
    """max E[R], bits h_ik = +1 with probability pi_ik = sigmoid(u_ik), R_i = -sum_j w_ij (softplus(t_ij) - s_ij t_ij).

    t = (10/k) h_i.h_j of the sampled codes; w balances similar and dissimilar pairs, and a row of it adds up to 1.
    Credit by flips: dE[R_i]/du_ik = pi (1 - pi) (R_i(h_ik = +1) - R_i(h_ik = -1)), exact given the other bits, in
    O(b^2 k). REINFORCE has (R_i - mean R) for every bit alike. A linear reward, R_i = sum_j w_ij (2 s_ij - 1) t_ij, has
    no interaction between bits, and all of them take one dichotomy.
    """

    TITLE: ClassVar = "PGDH"
    PAPER: ClassVar = "after Yuan, Ren, Lu and Zhou, Relaxation-free deep hashing via policy gradient, ECCV 2018"
    GRID: ClassVar = {"lr": RATES, "sharpness": (5.0, 10.0)}
    sharpness: float = 10.0
    """10 above."""
    credit: Literal["flips", "reinforce"] = "flips"
    """What a bit is paid."""
    reward: Literal["likelihood", "linear"] = "likelihood"
    """Of a pair."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.fields(self, checks.finite, "sharpness", above=0)
        for name, values in {"credit": ("flips", "reinforce"), "reward": ("likelihood", "linear")}.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} must be {' or '.join(values)}, not {checks.shown(getattr(self, name))}")

    def rewards(self, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        """Of pairs, elementwise."""
        return (2 * s - 1) * t if self.reward == "linear" else -_pairs.likelihood(t, s)

    def flips(self, h: torch.Tensor, s: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """R_i with bit k of row i at +1 less R_i with it at -1, all else as in h {-1,+1}: [b, k], of s and w [b, b]."""
        b, k = h.shape
        scale, found = self.sharpness / k, torch.empty_like(h)
        t = scale * h @ h.T
        step = max(1, CELLS // (b * k))
        for start in range(0, b, step):
            rows = slice(start, start + step)
            # Without bit k, t is less by scale h_ik h_jk; with it at +1 it is more by scale h_jk.
            without = t[rows, :, None] - scale * h[rows, None] * h[None]  # [rows, b, k]
            similar, weights = s[rows, :, None], w[rows, :, None]
            gains = self.rewards(without + scale * h[None], similar) - self.rewards(without - scale * h[None], similar)
            found[rows] = (weights * gains).sum(1)
        return found

    def loss(self, u: torch.Tensor, y: torch.Tensor, state: nn.Module | None, progress: float) -> torch.Tensor:
        """A number whose gradient is minus the policy's."""
        pi = torch.sigmoid(u)
        with torch.no_grad():
            h = 2 * torch.bernoulli(pi) - 1
            s = _pairs.similar(y)
            w = _pairs.balanced(s)
            w = w / w.sum(1, keepdim=True).clamp_min(1e-12)
            if self.credit == "flips":
                credit = self.flips(h, s, w)
            else:
                total = (w * self.rewards(self.sharpness / u.shape[1] * h @ h.T, s)).sum(1)
                credit = (total - total.mean())[:, None]
        if self.credit == "flips":
            return -(credit * pi).sum(1).mean()
        return -(credit * nn.functional.logsigmoid(h * u)).sum(1).mean()
