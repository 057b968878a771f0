"""Stage 3: which bits are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hashlib_nb.plots.base import heatmap, legend_above, line, name_levels, style, styled, subplots

MOST_PARTED = 128  # bits that white lines part; between more of them the lines would hide the bits
MOST_COLUMNS = 64  # bits of an episode that can be told apart, circles and all


@styled
def reward_correlations(rewards: Mapping[str, np.ndarray], test_map: np.ndarray) -> Figure:
    """Does the reward say what the test will say? One panel a kind of reward, one point a random subset of bits.

    Args:
        rewards: for each kind of reward codes [subsets], mAP.
        test_map: [subsets], mAP of the same subsets on query and database.
    """
    fig, panels = subplots(6.8, 2.7, 1, len(rewards), sharey=True, squeeze=False)
    for ax, (kind, values) in zip(panels.flat, rewards.items(), strict=True):
        points = {"s": 9, "color": style("random")["color"], "edgecolor": "0.2", "linewidth": 0.4, "legend": False}
        sns.scatterplot(x=values, y=test_map, ax=ax, **points)
        ax.set(title=f"{kind}: r = {np.corrcoef(values, test_map)[0, 1]:.2f}", xlabel="reward (mAP)")
        ax.xaxis.set_major_locator(MaxNLocator(3))
    panels[0, 0].set_ylabel("test mAP")
    return fig


@styled
def learning_curve(
    curves: Mapping[str, Mapping[str, np.ndarray]], levels: Mapping[str, float], spread: float
) -> Figure:
    """Reward against reward calls: best so far (line) and mean over an update's episodes (dots), beside fixed levels.

    Dots are updates of whole episodes: those that restart from a part of the best subset say little about the policy.

    Args:
        curves: for each method `calls`, `best`, `reward` and `steps`, the length of the episodes [updates].
        levels: for each method that needs no curve, its reward; drawn as a horizontal line with its name at the end.
        spread: standard deviation of the level "random", drawn as a band.
    """
    fig, ax = subplots(5.6, 3.4)
    for method, curve in curves.items():
        whole = curve["steps"] == np.max(curve["steps"])
        dots = {"s": 6, "color": style(method)["color"], "alpha": 0.5, "linewidth": 0, "legend": False}
        sns.scatterplot(x=curve["calls"][whole], y=curve["reward"][whole], ax=ax, **dots)
        line(ax, curve["calls"], curve["best"], method)
    if "random" in levels:
        ax.axhspan(levels["random"] - spread, levels["random"] + spread, color="0.9", zorder=0)
    name_levels(ax, levels)
    ax.set(xlabel="reward calls: distinct subsets evaluated", ylabel="reward (mAP)")
    legend_above(fig, without=levels)
    return fig


@styled
def kept_bits(masks: Mapping[str, np.ndarray], bit_map: np.ndarray) -> Figure:
    """Which bits each method keeps, above the mAP of each bit alone.

    Args:
        masks: for each method bool [k].
        bit_map: [k], mAP of the one-bit codes.
    """
    kept = np.stack([*masks.values()]).astype(bool)
    colors = ["white", *(style(method)["color"] for method in masks)]
    shade = kept * np.arange(1, len(masks) + 1)[:, None]  # 0, or the row's number: the color of its method
    shades = {"cmap": colors, "vmin": 0, "vmax": len(masks), "linewidths": int(kept.shape[1] <= MOST_PARTED)}
    fig, _ = above_own_map(shade, list(masks), bit_map, dark=kept.all(axis=0), **shades)
    fig.axes[1].set_xlabel("bit (dark: kept by every method above)")
    return fig


@styled
def kept_candidates(kept: Mapping[str, np.ndarray], own_map: np.ndarray, levels: Sequence[float]) -> Figure:
    """Which thermometer bits each method keeps, by what they ask: an output a column, a level a row.

    Shades are the mAP of each alone; grey are those that no method could choose. Each method has its own mark.

    Args:
        kept: for each method int [p], candidate ids, output * levels + level.
        own_map: [k * levels], mAP of the one-bit codes; NaN for candidates that were left out.
        levels: posteriors at which each output is asked, increasing.
    """
    fig, ax = subplots(6.6, 3.2)
    grid = np.reshape(own_map, (-1, len(levels))).T
    heatmap(ax, grid, names=[f"{level:g}" for level in levels], cbar=True, cbar_kws={"label": "its own mAP"})
    ax.set_facecolor("0.6")
    for size, (method, candidates) in zip((70, 26, 8), kept.items(), strict=False):
        look = style(method)
        output, at = np.divmod(candidates, len(levels))
        mark = {"x": output + 0.5, "y": at + 0.5, "marker": look["marker"], "color": "none", "s": size, "ax": ax}
        sns.scatterplot(edgecolor="white", linewidth=3, legend=False, **mark)  # seen on dark shades as well
        sns.scatterplot(edgecolor=look["color"], linewidth=1.4, label=method, legend=False, **mark)
    ax.invert_yaxis()  # as a thermometer stands
    ax.set(xlabel="output $j$", ylabel="level $t$")
    legend_above(fig)
    return fig


def above_own_map(
    rows: np.ndarray, names: Sequence[str], bit_map: np.ndarray, *, dark: np.ndarray, **options: Any
) -> tuple[Figure, QuadMesh]:
    """A row of shades for each name, above the mAP of each bit alone: a point each, black where `dark` [k] is true."""
    shape = {"sharex": True, "height_ratios": [0.3 * len(names) + 0.2, 1.3]}
    fig, (upper, lower) = subplots(6.4, 1.9 + 0.28 * len(names), 2, 1, **shape)
    shades = heatmap(upper, rows, names=names, **options)
    upper.set_ylabel("kept by")
    points = {"hue": dark, "palette": {True: "0.1", False: "0.65"}, "s": 20, "linewidth": 0, "legend": False}
    sns.scatterplot(x=np.arange(len(bit_map)) + 0.5, y=bit_map, ax=lower, **points)
    lower.set_ylabel("its own mAP")
    return fig, shades


@styled
def policy_entropy(entropies: Mapping[str, np.ndarray], largest: float) -> Figure:
    """Mean policy entropy after each update, as a share of the updates done, so that runs of unequal length compare.

    Args:
        entropies: for each method [updates], nats.
        largest: entropy of the policy that takes every allowed action alike, averaged over an episode's steps.
    """
    fig, ax = subplots(5.0, 3.0)
    for method, values in entropies.items():
        line(ax, 100 * np.arange(1, len(values) + 1) / len(values), values, method)
    ax.axhline(largest, **style("random") | {"label": "uniform policy", "marker": "None"})
    ax.set(xlabel="training done (%)", ylabel="entropy (nats)", ylim=(0, None))
    legend_above(fig)
    return fig


@styled
def episode(probabilities: np.ndarray, bits: np.ndarray, names: Sequence[str] = ()) -> Figure:
    """One episode of the final policy: its probabilities in every state, and the bit that it takes.

    Of many bits only those are shown that are taken, or ever likelier than the others.

    Args:
        probabilities: [p, k], in the state before each step.
        bits: int [p], the bit kept in each step.
        names: k names of the bits; their numbers if left out.
    """
    bits = np.asarray(bits)
    likely = probabilities.max(axis=0)
    likely[bits] = 2  # more than any probability
    shown = np.sort(np.argsort(-likely, kind="stable")[: max(MOST_COLUMNS, len(bits))])
    fig, ax = subplots(6.4, 3.4)
    steps, columns = np.arange(len(bits)), np.searchsorted(shown, bits)
    taken = np.zeros((len(bits), len(shown)), dtype=bool)
    for step, column in enumerate(columns):
        taken[step + 1 :, column] = True
    bar = {"mask": taken, "cbar": True, "cbar_kws": {"label": "probability"}}
    heatmap(ax, probabilities[:, shown], names=steps + 1, **bar)
    ticks = [int(tick) for tick in ax.get_xticks()]
    ax.set_xticks(ax.get_xticks(), [names[shown[tick]] if len(names) else str(shown[tick]) for tick in ticks])
    ax.set_facecolor("0.6")
    circles = {"color": "white", "edgecolor": "black", "linewidth": 1, "s": 18, "legend": False}
    sns.scatterplot(x=columns + 0.5, y=steps + 0.5, ax=ax, **circles)
    what = "bit" if len(shown) == len(likely) else f"bit, the {len(shown)} likeliest of {len(likely)}"
    ax.set(xlabel=f"{what} (grey: kept already, probability 0; circle: the bit taken)", ylabel="step")
    return fig
