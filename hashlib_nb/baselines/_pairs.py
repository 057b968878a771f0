"""Pairs and triplets of a batch: who is similar, sums over others, and triplets in bounded memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint

TRIPLETS = 1 << 22
"""Triplets whose penalties are held at a time: 16 MB."""


def similar(y: torch.Tensor) -> torch.Tensor:
    """s float32 [b, b]: 1 where two rows of labels {0,1} [b, m] share one."""
    return (y @ y.T > 0.5).float()


def others(b: int, device: torch.device) -> torch.Tensor:
    """Float32 [b, b]: 0 for a row and itself, else 1."""
    return 1 - torch.eye(b, device=device)


def balanced(s: torch.Tensor, *, dissimilar: bool = True) -> torch.Tensor:
    """Weights float32 [b, b] of pairs, 0 on the diagonal: all pairs over similar ones, and over dissimilar ones.

    Args:
        s: who is similar, [b, b].
        dissimilar: weight these as well; otherwise by 1.
    """
    pairs = others(len(s), s.device)
    alike, n = (s * pairs).sum(), pairs.sum()
    weight = n / alike.clamp_min(1)
    unlike = n / (n - alike).clamp_min(1) if dissimilar else torch.ones_like(weight)
    return pairs * torch.where(s > 0.5, weight, unlike)


def likelihood(t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """-log P(s | t) of a Bernoulli with log odds t: softplus(t) - s t, [b, b]."""
    return torch.nn.functional.softplus(t) - s * t


def mean_over_pairs(values: torch.Tensor) -> torch.Tensor:
    """Mean of values [b, b] over pairs of different rows; 0 of a single row."""
    pairs = others(len(values), values.device)
    return (values * pairs).sum() / pairs.sum().clamp_min(1)


def mean_over_triplets(
    near: torch.Tensor, s: torch.Tensor, penalty: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Mean of penalty(near_ap - near_an) over anchors a, similar rows p and dissimilar rows n; 0 where there is none.

    Similar pairs are taken some at a time, and where that is not all their penalties are computed again in the backward
    pass, so that memory does not grow with b^3.

    Args:
        near: how near two rows are, or how far, [b, b].
        s: who is similar, [b, b].
        penalty: of differences of any shape.
    """
    b, unlike = len(near), 1 - s
    anchors, alike = torch.nonzero(s * others(b, s.device), as_tuple=True)  # similar pairs

    def of_pairs(near: torch.Tensor, anchors: torch.Tensor, alike: torch.Tensor) -> torch.Tensor:
        difference = near[anchors, alike][:, None] - near[anchors]  # [pairs, n]
        return (penalty(difference) * unlike[anchors]).sum()

    step = max(1, TRIPLETS // b)
    parts = list(zip(anchors.split(step), alike.split(step), strict=True))
    if len(parts) == 1:
        total = of_pairs(near, *parts[0])
    else:
        total = sum(checkpoint(of_pairs, near, *part, use_reentrant=False) for part in parts)
    return total / unlike[anchors].sum().clamp_min(1)


def squared_distances(f: torch.Tensor) -> torch.Tensor:
    """||f_i - f_j||^2, [b, b]."""
    lengths = (f * f).sum(1)
    return (lengths[:, None] + lengths - 2 * f @ f.T).clamp_min(0)


def to_signs(u: torch.Tensor) -> torch.Tensor:
    """Mean squared distance of outputs to their signs, sign(0) = +1."""
    return ((u - torch.where(u >= 0, 1.0, -1.0)) ** 2).mean()
