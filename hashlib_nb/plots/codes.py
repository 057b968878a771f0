"""Stage 1: target codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from hashlib_nb.plots.base import MOST_NUMBERS, VALUES, _figure, _legend_above, _line, _name_rows, _styled, style


@_styled
def similarity_matrices(
    similarity: np.ndarray, inner_products: np.ndarray, classes: np.ndarray, class_names: Sequence[str]
) -> Figure:
    """What the codes should say beside what they say: S and Z Z^T / k of the same pictures.

    Args:
        similarity: [r, r], -1 or +1.
        inner_products: [r, r], from -1 to +1.
        classes: int [r], ascending: the pictures are sorted by class.
        class_names: name of each class.
    """
    fig = _figure(6.2, 3.1)
    left, right = fig.subplots(1, 2, sharey=True)
    shown, starts = np.unique(classes, return_index=True)
    edges = np.append(starts, len(classes))
    for ax, matrix, title in (
        (left, similarity, "wanted: $S$"),
        (right, inner_products, "found: $Z Z^T / k$"),
    ):
        image = ax.imshow(matrix, vmin=-1, vmax=1, cmap=VALUES, extent=(0, len(classes), len(classes), 0))
        ax.set(title=title, xlabel="picture, sorted by class", xticks=[])
        ax.tick_params(length=0)
    left.set_ylabel("picture, sorted by class")
    _name_rows(left, (edges[:-1] + edges[1:]) / 2, [class_names[c] for c in shown])
    fig.colorbar(image, ax=[left, right], label="similarity (no unit)", ticks=[-1, -0.5, 0, 0.5, 1], shrink=0.8)
    return fig


@_styled
def convergence(histories: Mapping[str, Mapping[str, np.ndarray]], lower_bound: float) -> Figure:
    """How far the codes' objective is above the lower bound after each Adam step, and after each sweep of the finish.

    Args:
        histories: for each method, objectives: `binarized` [epochs + 1], at the start and after each step,
            and `finish` [sweeps], which may be empty.
        lower_bound: of the objective. Where it is 0 the excess has no percentage, and the objective itself is shown.
    """
    fig = _figure(5.2, 3.2)
    ax = fig.subplots()
    unit = lower_bound or 1.0
    for method, history in histories.items():
        binarized, finish = (100 * (np.asarray(history[part]) - lower_bound) / unit for part in ("binarized", "finish"))
        last = len(binarized) - 1
        _line(ax, np.arange(last + 1), binarized, method)
        if finish.size:
            _line(ax, last + 1 + np.arange(len(finish)), finish, "discrete finish")
            ax.axvspan(last + 0.5, last + len(finish) + 0.5, color="0.93", zorder=0)
    ax.axhline(0, **style("lower bound"))
    ax.set_xlabel("step: of Adam (white), then sweep of the finish (shaded)")
    ax.set_ylabel("objective above the bound (%)" if lower_bound else "objective (%)")
    _percent_axis(ax)
    _legend_above(ax)
    return fig


@_styled
def class_codes(class_means: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Figure:
    """The code matrix, classes by bits, one panel a method: dark is 1, light is 0, between them a class disagrees.

    Args:
        class_means: for each method [c, k], the share of a class' pictures whose bit is 1.
        class_names: the c names.
    """
    fig = _figure(5.2, 0.6 + 1.9 * len(class_means))
    panels = fig.subplots(len(class_means), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (method, means) in zip(panels, class_means.items(), strict=True):
        image = ax.imshow(means, vmin=0, vmax=1, cmap=VALUES, aspect="auto", interpolation="nearest")
        ax.set(title=method, ylabel="class")
        ax.set_yticks(np.arange(1, len(means)) - 0.5, minor=True)
        ax.grid(axis="y", which="minor", color="white", linewidth=1)
        ax.tick_params(which="both", length=0)
        _name_rows(ax, np.arange(len(means)), class_names)
    panels[-1].set_xlabel("bit")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    fig.colorbar(image, ax=list(panels), label="share of pictures with bit = 1", ticks=[0, 0.5, 1], aspect=30)
    return fig


@_styled
def class_distances(distances: np.ndarray, bits: int, class_names: Sequence[str]) -> Figure:
    """Hamming distances between the class codes, as a table and as a histogram with the largest mean that is possible.

    Args:
        distances: int [c, c], symmetric, 0 on the diagonal.
        bits: code length k. The mean of the distances between c codes is at most k/2 * c/(c - 1) (Plotkin, 1960).
        class_names: the c names.
    """
    c = len(distances)
    pairs = distances[np.triu_indices(c, 1)]
    fig = _figure(6.6, 3.2)
    table, histogram = fig.subplots(1, 2, width_ratios=[1.5, 1])
    span = max(1, np.ptp(pairs))
    image = table.imshow(distances, cmap=VALUES, vmin=pairs.min() - span / 2, vmax=pairs.max() + span / 2)
    table.set(title="distance between class codes (bits)", ylabel="class", xlabel="class, in the same order", xticks=[])
    _name_rows(table, np.arange(c), class_names)
    if c <= MOST_NUMBERS:
        _annotate(table, distances, dark=pairs.max())
    else:
        fig.colorbar(image, ax=table, label="Hamming distance (bits)", extend="min")
    most = bits / 2 * c / (c - 1)
    histogram.bar(*np.unique(pairs, return_counts=True), width=0.8, color="0.75", edgecolor="0.2")
    histogram.axvline(pairs.mean(), color="black", label=f"mean, {pairs.mean():.1f}")
    histogram.axvline(most, **style("lower bound") | {"label": f"largest mean possible, {most:.1f}"})
    histogram.set(xlabel="Hamming distance (bits)", ylabel="pairs of classes")
    for axis in (histogram.xaxis, histogram.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
    _legend_above(histogram, columns=1)
    return fig


def _annotate(ax: Axes, matrix: np.ndarray, *, dark: float) -> None:
    """Write each entry into its cell, white from the value `dark` on."""
    for (row, column), value in np.ndenumerate(matrix):
        color = "white" if value >= dark else "black"
        ax.text(column, row, str(value), ha="center", va="center", fontsize=7, color=color)


def _percent_axis(ax: Axes) -> None:
    """A y axis from 0 on that is linear up to 1% and logarithmic above, with plain numbers."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.7)
    top = max(1.0, *(np.max(line.get_ydata(), initial=0) for line in ax.lines)) * 1.3
    ax.set_ylim(-0.15, top)
    ax.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
