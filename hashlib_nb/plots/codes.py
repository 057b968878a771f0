"""Stage 1: target codes."""

from __future__ import annotations

import itertools
import string
from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from hashlib_nb.plots.base import MOST_NAMES, SIGNED, heatmap, legend_above, level, line, style, styled, subplots

MOST_NUMBERS = 12  # rows and columns whose entries can be read as numbers
DEPTH = np.array([[1.0, 0.0], [0.0, 1.0], [0.4, 0.24]])
"""Where a step along each of the three bits of a cube goes on paper."""
CODE, CORNER = "#0B3C6F", "#EDEDED"
"""Colors of a corner that is a code, and of one that is not."""


@styled
def hamming_cube(sets: Mapping[str, np.ndarray]) -> Figure:
    """All codes of three bits as the corners of a cube, whose edges are flips of one bit; a panel a set of codes.

    Codes of a set are dark and named A, B, C ... in their order; a dashed line joins two of them, and says in how many
    bits they differ: the fewest edges from one to the other.

    Args:
        sets: for each title {0,1} [c, 3], c different codes.

    Raises:
        ValueError: codes of another length, or not all different.
    """
    fig, panels = subplots(2.7 * max(2, len(sets)), 2.4, 1, len(sets), squeeze=False)
    corners = np.array(list(itertools.product((0, 1), repeat=3)))
    for ax, (title, codes) in zip(panels.flat, sets.items(), strict=True):
        codes = np.asarray(codes, dtype=int)
        if codes.ndim != 2 or codes.shape[1] != 3 or len(np.unique(codes, axis=0)) < len(codes):
            raise ValueError(f"sets has {codes.tolist()} under {title!r}; give different codes of 3 bits")
        for one, other in itertools.combinations(corners, 2):
            if (one != other).sum() == 1:
                ax.plot(*np.transpose([one @ DEPTH, other @ DEPTH]), color="0.75", linewidth=1.2, zorder=1)
        for one, other in itertools.combinations(codes, 2):
            _apart(ax, one @ DEPTH, other @ DEPTH, int((one != other).sum()))
        names = {tuple(code): letter for code, letter in zip(codes.tolist(), string.ascii_uppercase, strict=False)}
        for corner in corners:
            letter = names.get(tuple(corner.tolist()), "")
            _corner(ax, corner @ DEPTH, "".join(map(str, corner)), letter)
        ax.set(title=title, xlim=(-0.35, 1.75), ylim=(-0.3, 1.5), aspect="equal")
        ax.set_axis_off()
    return fig


def _corner(ax: Axes, at: np.ndarray, code: str, letter: str) -> None:
    """A corner of the cube, dark where it is a code, with the code beside it."""
    size = {"s": 190 if letter else 40, "linewidth": 0, "zorder": 4}
    ax.scatter(*at, color=CODE if letter else CORNER, edgecolor="0.5", **size)
    ax.text(*at, letter, ha="center", va="center", color="white", fontsize=9, weight="bold", zorder=5)
    shift = (0.19, 0.14) if code[2] == "1" else (-0.12, 0.17) if code[1] == "1" else (0, -0.18)  # behind, above, below
    ax.text(*(at + shift), code, ha="center", va="center", fontsize=9, zorder=3)


def _apart(ax: Axes, one: np.ndarray, other: np.ndarray, bits: int) -> None:
    """A dashed line between two codes, with their distance a little off its middle, where no other line crosses it."""
    ax.plot(*np.transpose([one, other]), color="#D55E00", linestyle="--", linewidth=1.6, zorder=2)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    ax.text(*(0.6 * one + 0.4 * other), str(bits), ha="center", va="center", fontsize=10, bbox=box, zorder=3)


@styled
def similarity_matrices(
    similarity: np.ndarray, inner_products: np.ndarray, classes: np.ndarray, class_names: Sequence[str]
) -> Figure:
    """What the codes should say beside what they say: S and Z Z^T / k of the same pictures; white is 0, orthogonal.

    Args:
        similarity: [r, r], -1 or +1.
        inner_products: [r, r], from -1 to +1.
        classes: int [r], ascending: the pictures are sorted by class.
        class_names: name of each class.
    """
    fig, panels = subplots(6.2, 3.1, 1, 2, sharey=True)
    titles = {"wanted: $S$": similarity, "found: $Z Z^T / k$": inner_products}
    for ax, (title, matrix) in zip(panels, titles.items(), strict=True):
        shades = heatmap(ax, matrix, cmap=SIGNED, vmin=-1, vmax=1, square=True, xticklabels=False)
        ax.set(title=title, xlabel="picture, sorted by class")
    shown, starts, members = np.unique(classes, return_index=True, return_counts=True)
    every = -(-len(shown) // MOST_NAMES)
    panels[0].set_yticks((starts + members / 2)[::every], [class_names[c] for c in shown[::every]])
    panels[0].set_ylabel("picture, sorted by class")
    fig.colorbar(shades, ax=panels, label="similarity (no unit)", ticks=[-1, -0.5, 0, 0.5, 1], shrink=0.8)
    return fig


@styled
def convergence(histories: Mapping[str, Mapping[str, np.ndarray]], lower_bound: float) -> Figure:
    """How far the codes' objective is above the lower bound after each Adam step, and after each sweep of the finish.

    Args:
        histories: for each method, objectives: `binarized` [epochs + 1], at the start and after each step,
            and `finish` [sweeps], which may be empty.
        lower_bound: of the objective. Where it is 0 the excess has no percentage, and the objective itself is shown.
    """
    fig, ax = subplots(5.2, 3.2)
    unit = lower_bound or 1.0
    for method, history in histories.items():
        binarized, finish = (100 * (np.asarray(history[part]) - lower_bound) / unit for part in ("binarized", "finish"))
        last = len(binarized) - 1
        line(ax, np.arange(last + 1), binarized, method)
        if finish.size:
            line(ax, last + 1 + np.arange(len(finish)), finish, "discrete finish")
            ax.axvspan(last + 0.5, last + len(finish) + 0.5, color="0.93", zorder=0)
    level(ax, 0, "lower bound")
    ax.set_xlabel("step: of Adam (white), then sweep of the finish (shaded)")
    ax.set_ylabel("objective above the bound (%)" if lower_bound else "objective (%)")
    _percent_axis(ax)
    legend_above(fig)
    return fig


@styled
def class_codes(class_means: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Figure:
    """The code matrix, classes by bits, one panel a method: dark is 1, light is 0, between them a class disagrees.

    Args:
        class_means: for each method [c, k], the share of a class' pictures whose bit is 1.
        class_names: the c names.
    """
    n = len(class_means)
    fig, panels = subplots(5.2, 0.6 + 1.9 * n, n, 1, sharex=True, squeeze=False)
    for ax, (method, means) in zip(panels.flat, class_means.items(), strict=True):
        shades = heatmap(ax, means, names=class_names, vmin=0, vmax=1)
        ax.hlines(np.arange(1, len(means)), *ax.get_xlim(), color="white", linewidth=1)
        ax.set(title=method, ylabel="class")
    panels[-1, 0].set_xlabel("bit")
    fig.colorbar(shades, ax=panels, label="share of pictures with bit = 1", ticks=[0, 0.5, 1], aspect=30)
    return fig


@styled
def class_distances(distances: np.ndarray, bits: int, class_names: Sequence[str]) -> Figure:
    """Hamming distances between the class codes, as a table and as a histogram with the largest mean that is possible.

    Args:
        distances: int [c, c], symmetric, 0 on the diagonal.
        bits: code length k. The mean of the distances between c codes is at most k/2 * c/(c - 1) (Plotkin, 1960).
        class_names: the c names.
    """
    c = len(distances)
    pairs = distances[np.triu_indices(c, 1)]
    fig, (table, histogram) = subplots(6.6, 3.2, 1, 2, width_ratios=[1.5, 1])
    ends = {"vmin": pairs.min() - max(1, np.ptp(pairs)) / 2, "vmax": pairs.max()}
    small = c <= MOST_NUMBERS
    text = {"annot": small, "fmt": "d", "annot_kws": {"fontsize": 7}}
    bar = {"cbar": not small, "cbar_kws": {"label": "Hamming distance (bits)", "extend": "min"}}
    heatmap(table, distances, names=class_names, square=True, xticklabels=False, **ends, **text, **bar)
    table.set(title="distance between class codes (bits)", ylabel="class", xlabel="class, in the same order")
    most = bits / 2 * c / (c - 1)
    sns.histplot(x=pairs, discrete=True, shrink=0.8, color="0.75", edgecolor="0.2", alpha=1, ax=histogram)
    histogram.axvline(pairs.mean(), color="black", label=f"mean, {pairs.mean():.1f}")
    histogram.axvline(most, **style("lower bound") | {"label": f"largest mean possible, {most:.1f}"})
    histogram.set(xlabel="Hamming distance (bits)", ylabel="pairs of classes")
    histogram.locator_params(nbins=5, integer=True)
    histogram.legend(loc="lower center", bbox_to_anchor=(0.5, 1), handlelength=3)
    return fig


def _percent_axis(ax: Axes) -> None:
    """A y axis from 0 on that is linear up to 1% and logarithmic above, with plain numbers."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.7)
    top = max(1.0, *(np.max(drawn.get_ydata(), initial=0) for drawn in ax.lines)) * 1.3
    ax.set_ylim(-0.15, top)
    ax.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
