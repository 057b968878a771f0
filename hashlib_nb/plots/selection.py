"""Stage 3: which bits are kept."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hashlib_nb.plots.base import METHODS, VALUES, _figure, _legend_above, _line, _name_rows, _styled, style


@_styled
def reward_correlations(rewards: Mapping[str, np.ndarray], test_map: np.ndarray) -> Figure:
    """Does the reward say what the test will say? One panel a kind of reward, one point a random subset of bits.

    Args:
        rewards: for each kind of reward codes [subsets], mAP.
        test_map: [subsets], mAP of the same subsets on query and database.
    """
    fig = _figure(6.8, 2.7)
    panels = fig.subplots(1, len(rewards), sharey=True, squeeze=False)[0]
    for ax, (kind, values) in zip(panels, rewards.items(), strict=True):
        ax.scatter(values, test_map, s=9, color=METHODS["random"][0], edgecolor="0.2", linewidth=0.4)
        ax.set(title=f"{kind}: r = {np.corrcoef(values, test_map)[0, 1]:.2f}", xlabel="reward (mAP)")
        ax.xaxis.set_major_locator(MaxNLocator(3))
    panels[0].set_ylabel("test mAP")
    return fig


@_styled
def learning_curve(
    curves: Mapping[str, Mapping[str, np.ndarray]], levels: Mapping[str, float], spread: float
) -> Figure:
    """Reward against reward calls: best so far (line) and mean over an update's episodes (dots), beside fixed levels.

    Dots are updates of whole episodes: those that restart from a part of the best subset say little about the policy.

    Args:
        curves: for each method `calls`, `best`, `reward` and `steps`, the length of the episodes [updates].
        levels: for each method that needs no curve, its reward; drawn as a horizontal line.
        spread: standard deviation of the level "random", drawn as a band.
    """
    fig = _figure(5.6, 3.4)
    ax = fig.subplots()
    for method, curve in curves.items():
        whole = curve["steps"] == np.max(curve["steps"])
        ax.scatter(curve["calls"][whole], curve["reward"][whole], s=5, color=METHODS[method][0], alpha=0.5)
        _line(ax, curve["calls"], curve["best"], method)
    for method, level in levels.items():
        ax.axhline(level, **style(method) | {"marker": "None"})
    if "random" in levels:
        ax.axhspan(levels["random"] - spread, levels["random"] + spread, color="0.9", zorder=0)
    ax.set(xlabel="reward calls: distinct subsets evaluated", ylabel="reward (mAP)")
    _legend_above(ax)
    return fig


@_styled
def kept_bits(masks: Mapping[str, np.ndarray], bit_map: np.ndarray) -> Figure:
    """Which bits each method keeps, above the mAP of each bit alone.

    Args:
        masks: for each method bool [k].
        bit_map: [k], mAP of the one-bit codes.
    """
    fig = _figure(6.4, 1.9 + 0.28 * len(masks))
    rows, bars = fig.subplots(2, 1, sharex=True, height_ratios=[0.3 * len(masks) + 0.2, 1.3])
    for row, (method, mask) in enumerate(masks.items()):
        kept = np.flatnonzero(mask)
        rows.barh(np.full(kept.size, row), 0.9, left=kept - 0.45, height=0.7, color=METHODS[method][0])
    rows.set(ylabel="kept by", ylim=(len(masks) - 0.5, -0.5))
    rows.tick_params(axis="x", length=0)
    _name_rows(rows, np.arange(len(masks)), list(masks))
    by_all = np.all(list(masks.values()), axis=0)
    bars.bar(np.arange(len(bit_map)), bit_map, color=np.where(by_all, "0.25", "0.75"))
    bars.set(xlabel="bit (dark: kept by every method above)", ylabel="its own mAP", xlim=(-0.8, len(bit_map) - 0.2))
    low = bit_map.min() - 0.15 * (np.ptp(bit_map) or 1)
    bars.set_ylim(max(0.0, low), None)
    bars.xaxis.set_major_locator(MaxNLocator(integer=True))
    return fig


@_styled
def policy_entropy(entropies: Mapping[str, np.ndarray], largest: float) -> Figure:
    """Mean policy entropy after each update, as a share of the updates done, so that runs of unequal length compare.

    Args:
        entropies: for each method [updates], nats.
        largest: entropy of the policy that takes every allowed action alike, averaged over an episode's steps.
    """
    fig = _figure(5.0, 3.0)
    ax = fig.subplots()
    for method, values in entropies.items():
        _line(ax, 100 * np.arange(1, len(values) + 1) / len(values), values, method)
    ax.axhline(largest, **style("random") | {"label": "uniform policy", "marker": "None"})
    ax.set(xlabel="training done (%)", ylabel="entropy (nats)", ylim=(0, None))
    _legend_above(ax)
    return fig


@_styled
def episode(probabilities: np.ndarray, bits: np.ndarray) -> Figure:
    """One episode of the final policy: its probabilities in every state, and the bit that it takes.

    Args:
        probabilities: [p, k], in the state before each step.
        bits: int [p], the bit kept in each step.
    """
    fig = _figure(6.4, 3.4)
    ax = fig.subplots()
    steps, k = probabilities.shape
    taken = np.zeros((steps, k), dtype=bool)
    for step, bit in enumerate(bits):
        taken[step + 1 :, bit] = True
    shown = np.ma.masked_where(taken, probabilities)
    extent = (-0.5, k - 0.5, steps + 0.5, 0.5)
    image = ax.imshow(shown, cmap=matplotlib.colormaps[VALUES].with_extremes(bad="0.6"), aspect="auto", extent=extent)
    ax.plot(
        bits,
        np.arange(1, steps + 1),
        linestyle="None",
        marker="o",
        markersize=4,
        color="white",
        markeredgecolor="black",
    )
    ax.set(xlabel="bit (grey: kept already, probability 0; circle: the bit taken)", ylabel="step")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    fig.colorbar(image, ax=ax, label="probability")
    return fig
