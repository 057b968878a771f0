"""Drawings of the decision process of stage 3, and of the objective that PPO climbs."""

from __future__ import annotations

import itertools
import string
from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from hashlib_nb.plots.base import VALUES, style, styled, subplots

KEPT, OPEN = "#0B3C6F", "#EDEDED"
"""Colors of a bit in a mask: kept, and not kept."""
NEWEST = "#D55E00"
"""What is drawn around the bit that was kept last, and of the path that is followed."""
MOST_NODES = 256
"""Masks that a lattice can show; more of them cannot be told apart."""


@styled
def decision_process(bits: Sequence[int], k: int, reward: float) -> Figure:
    """One episode from the top down: a state a row, and between two states the action and what it is paid.

    Args:
        bits: int [p], the bits kept, in this order.
        k: how many there are.
        reward: what the last action is paid.
    """
    bits = [int(bit) for bit in bits]
    fig, ax = subplots(4.8, 0.5 + 0.42 * (len(bits) + 1))
    for step in range(len(bits) + 1):
        for place in range(k):
            newest = step > 0 and place == bits[step - 1]
            _square(ax, place, step, place in bits[:step], around=NEWEST if newest else None)
        ax.text(-0.4, step, f"$s_{{{step}}}$", ha="right", va="center", fontsize=10)
    for step, bit in enumerate(bits):
        ax.annotate("", (k + 0.4, step + 0.9), (k + 0.4, step + 0.1), arrowprops={"arrowstyle": "-|>", "color": "0.25"})
        paid = f"{reward:.3f}" if step + 1 == len(bits) else "0"
        ax.text(k + 0.9, step + 0.5, f"keep bit {bit}, reward {paid}", ha="left", va="center", fontsize=9)
    for place in range(k):
        ax.text(place, -0.75, str(place), ha="center", va="center", fontsize=8)
    ax.set(xlim=(-1.6, 1.72 * k + 1.5), ylim=(len(bits) + 0.5, -1.1))
    ax.set_axis_off()
    return fig


@styled
def lattice(rewards: np.ndarray, k: int, path: Sequence[int]) -> Figure:
    """Every mask that an agent can be in, by how many of k bits it has kept; a line is an action.

    The last row holds the finished masks, each in a box as dark as its reward is high, the number below it. One path
    is drawn thick.

    Args:
        rewards: [C(k, p)], of all subsets of p bits in the order of `itertools.combinations(range(k), p)`.
        k: how many bits there are, named A, B, C ...; few, so that the masks can be told apart.
        path: int [p], the bits that are kept along one path, in this order.

    Raises:
        ValueError: not one reward for each subset, or more masks than can be drawn.
    """
    p = len(path)
    levels = [list(itertools.combinations(range(k), size)) for size in range(p + 1)]
    if len(levels[-1]) != len(rewards):
        raise ValueError(f"rewards has {len(rewards)} values; give one for each of {len(levels[-1])} subsets")
    if (nodes := sum(map(len, levels))) > MOST_NODES or k > len(string.ascii_uppercase):
        raise ValueError(f"k is {k}, which makes {nodes} masks; draw fewer bits")
    wide = k + 1.4  # a mask and the space around it, in squares
    center = {
        kept: (wide * (place + 0.5 - len(level) / 2), size)
        for size, level in enumerate(levels)
        for place, kept in enumerate(level)
    }
    fig, ax = subplots(5.4, 0.55 + 0.95 * p)
    followed = [tuple(sorted(path[:size])) for size in range(p + 1)]
    for kept, bit in itertools.product(itertools.chain(*levels[:-1]), range(k)):
        if bit not in kept:
            after = tuple(sorted((*kept, bit)))
            _action(ax, center[kept], center[after], kept in followed and after in followed)
    shade, low, high = sns.color_palette(VALUES, as_cmap=True), np.min(rewards), np.max(rewards)
    scale = Normalize(low - 0.2 * (high - low) - 1e-9, high + 0.6 * (high - low) + 1e-9)  # light enough for dark bits
    for kept, reward in zip(levels[-1], rewards, strict=True):
        x, y = center[kept]
        box = {"boxstyle": "round,pad=0.25,rounding_size=0.2", "facecolor": shade(scale(reward)), "edgecolor": "0.3"}
        ax.add_patch(FancyBboxPatch((x - k / 2, y - 0.12), k, 0.24, mutation_aspect=0.25, zorder=2, **box))
        ax.text(x, y + 0.24, f"{reward:.3f}", ha="center", va="top", fontsize=9)
    for kept, (x, y) in center.items():
        for bit in range(k):
            _square(ax, x - k / 2 + bit + 0.5, y, bit in kept, height=0.2, letter=string.ascii_uppercase[bit])
    half = wide * max(map(len, levels)) / 2
    ax.set(xlim=(-half, half), ylim=(p + 0.55, -0.25))
    ax.set_axis_off()
    return fig


@styled
def clipped_objective(clip: float) -> Figure:
    """What PPO climbs for one action, against the probability ratio, for an advantage of 1 and of -1.

    Numbers name the six cases of ratio (below, inside and above 1 - clip ... 1 + clip) and sign. A gray, dotted line is
    what it would be without a clip.

    Args:
        clip: epsilon, how far the ratio may leave 1, below 1.
    """
    ratio = np.linspace(0, 2, 401)
    fig, panels = subplots(5.4, 2.6, 1, 2, sharex=True)
    for ax, advantage, first in zip(panels, (1, -1), (1, 4), strict=True):
        plain = {"color": "0.55", "linestyle": ":", "legend": False, "estimator": None}
        sns.lineplot(x=ratio, y=advantage * ratio, ax=ax, **plain)
        objective = np.minimum(advantage * ratio, advantage * ratio.clip(1 - clip, 1 + clip))
        look: dict[str, Any] = {"color": style("PPO")["color"], "linewidth": 2.4, "legend": False, "estimator": None}
        sns.lineplot(x=ratio, y=objective, ax=ax, **look)
        for edge in (1 - clip, 1 + clip):
            ax.axvline(edge, color="0.8", linewidth=1, zorder=0)
        ends = (0, 1 - clip, 1 + clip, 2)
        low, high = sorted((-0.25 * advantage, 2.35 * advantage))
        for case, (left, right) in enumerate(itertools.pairwise(ends), start=first):
            ax.text((left + right) / 2, high - 0.06 * (high - low), str(case), ha="center", va="center", fontsize=10)
        ax.set(ylim=(low, high), xlabel="probability ratio $\\rho$", title=f"advantage {advantage:+d}")
    panels[0].set_ylabel("objective")
    panels[1].set_ylabel("objective")
    return fig


def _square(
    ax: Axes, x: float, y: float, kept: bool, *, height: float = 0.8, around: str | None = None, letter: str = ""
) -> None:
    """One bit of a mask, a unit wide."""
    edge = {"edgecolor": around or "white", "linewidth": 2 if around else 0.5, "zorder": 4 if around else 3}
    ax.add_patch(Rectangle((x - 0.42, y - height / 2), 0.84, height, facecolor=KEPT if kept else OPEN, **edge))
    if letter:
        ax.text(x, y, letter, ha="center", va="center", fontsize=9, color="white" if kept else "0.35", zorder=5)


def _action(ax: Axes, start: tuple[float, float], end: tuple[float, float], followed: bool) -> None:
    """A line from a mask to one with a bit more, thick where it is followed."""
    color, width = (NEWEST, 2.6) if followed else ("0.7", 1)
    look = {"color": color, "linewidth": width, "zorder": int(followed)}
    ax.plot([start[0], end[0]], [start[1] + 0.1, end[1] - 0.12], **look)
