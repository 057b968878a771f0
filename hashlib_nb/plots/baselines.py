"""Other people's codes on one trunk."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from hashlib_nb.plots.base import MARKERS, figure, heatmap, legend_above, line, styled, subplots

PARTED = ("0.15", "0.72")
"""Shades of relevant and of other pictures."""


@styled
def quantization(errors: np.ndarray, maps: Mapping[int, float]) -> Figure:
    """What ITQ's rounds do: the error that it lowers, and beside it the mAP of the codes.

    Args:
        errors: [rounds], mean squared distance of an entry to its sign before each round.
        maps: mAP after so many rounds; 0 is the first, random rotation.
    """
    fig, (left, right) = subplots(6.6, 2.7, 1, 2)
    line(left, np.arange(len(errors)), errors, "ITQ")
    line(right, [*maps], np.array([*maps.values()]), "ITQ")
    left.set(xlabel="rounds done", ylabel="quantization error of an entry")
    right.set(xlabel="rounds done", ylabel="mAP")
    return fig


@styled
def bit_correlations(codes: Mapping[str, np.ndarray]) -> Figure:
    """Which bits say the same: the absolute correlation of any two, a panel for each way to make them.

    Bits are sorted by their correlation with the first principal component of the code, so that like stands by like.

    Args:
        codes: for each way uint8 {0,1} [n, k].
    """
    fig, panels = subplots(6.6, 2.6, 1, len(codes), sharey=True, squeeze=False)
    for ax, (title, bits) in zip(panels.flat, codes.items(), strict=True):
        correlations = correlation(bits)
        _, vectors = np.linalg.eigh(correlations)
        order = np.argsort(-np.abs(vectors[:, -1]), kind="stable")
        shades = heatmap(ax, np.abs(correlations)[np.ix_(order, order)], vmin=0, vmax=1, square=True)
        ax.set(title=title, xlabel="bit", xticks=[], yticks=[])
    panels[0, 0].set_ylabel("bit")
    fig.colorbar(shades, ax=panels, label="|correlation|", shrink=0.8)
    return fig


def correlation(bits: np.ndarray) -> np.ndarray:
    """Of the columns, [k, k]; 0 of a bit that never changes with any other."""
    centered = bits - bits.mean(axis=0)
    deviations = np.sqrt((centered**2).sum(axis=0))
    return centered.T @ centered / np.maximum(np.outer(deviations, deviations), 1e-12)


@styled
def above_bound(runs: Mapping[str, tuple[np.ndarray, np.ndarray]], bound: float) -> Figure:
    """How far codes are above the lower bound of their objective, against the seconds that they took.

    Args:
        runs: for each way to make codes CPU seconds and the objective, [points] or [points, seeds].
        bound: of the objective, above 0.
    """
    fig, ax = subplots(5.6, 3.2)
    for method, (seconds, values) in runs.items():
        line(ax, seconds, 100 * (np.asarray(values).T / bound - 1), method)
    ax.set(xscale="log", yscale="log", xlabel="CPU seconds", ylabel="objective above the bound (%)")
    legend_above(fig)
    return fig


@styled
def query_distances(distances: Mapping[str, np.ndarray], relevant: np.ndarray, code_length: int) -> Figure:
    """How far one query is from every picture of the database, a strip for each method.

    Above each strip's line stand the pictures of the query's class, dark, below it all others, light; the longest bar
    on either side is the largest share of them at one distance.

    Args:
        distances: for each method int [n], in bits.
        relevant: bool [n], which of them are of the query's class.
        code_length: k.
    """
    fig = figure(6.4, 0.9 + 0.52 * len(distances))
    farthest = max(int(far.max()) for far in distances.values())
    panels = fig.subplots(len(distances), 1, sharex=True, sharey=True, squeeze=False)
    for ax, (method, far) in zip(panels.flat, distances.items(), strict=True):
        for rows, sign, shade, label in zip((relevant, ~relevant), (1, -1), PARTED, ("relevant", "other"), strict=True):
            counts = np.bincount(far[rows], minlength=code_length + 1)
            share = counts / max(1, counts.max())
            ax.bar(np.arange(code_length + 1), sign * share, width=0.9, color=shade, label=label)
        ax.axhline(0, color="0.2", linewidth=0.6)
        ax.set(yticks=[], ylim=(-1.05, 1.05), xlim=(-0.8, farthest + 0.8))
        ax.set_ylabel(method, rotation=0, ha="right", va="center")
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.tick_params(bottom=False)
    panels[-1, 0].spines["bottom"].set_visible(True)
    panels[-1, 0].tick_params(bottom=True)
    panels[-1, 0].set_xlabel(f"distance to the query, of {code_length} bits")
    legend_above(fig)
    return fig


@styled
def maps_by_idea(
    maps: Mapping[str, tuple[float, float]], ideas: Mapping[str, str], levels: Mapping[str, float]
) -> Figure:
    """MAP of many methods below each other, the best on top, and of each the idea behind it as its mark.

    Args:
        maps: for each method mAP and the standard error of its mean over queries.
        ideas: for each method the idea, and perhaps for others: an idea's look is its place among all of them.
        levels: mAP of what is no method, as vertical lines.
    """
    fig, ax = subplots(6.4, 1.3 + 0.21 * len(maps))
    order = sorted(maps, key=lambda name: maps[name][0])
    names = [*dict.fromkeys(ideas.values())]
    shades = sns.color_palette("colorblind", len(names))
    for idea, color, marker in zip(names, shades, MARKERS, strict=False):
        rows = [row for row, name in enumerate(order) if ideas[name] == idea]
        if not rows:
            continue
        values, errors = np.array([maps[order[row]] for row in rows]).T
        look = {"color": color, "marker": marker, "linestyle": "none", "elinewidth": 1, "capsize": 2}
        ax.errorbar(values, rows, xerr=2 * errors, label=idea, **look)
    for place, (name, value) in enumerate(levels.items()):
        ax.axvline(value, color="0.5", linewidth=0.9, linestyle=("--", ":", "-.")[place % 3], label=name, zorder=0)
    ax.set(yticks=range(len(order)), yticklabels=order, xlabel="mAP (bars: two standard errors over queries)")
    ax.set_ylim(-0.7, len(order) - 0.3)
    ax.set_ylabel("method")
    legend_above(fig)
    return fig
