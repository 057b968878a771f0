"""Stage 2: pictures to codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from hashlib_nb.plots.base import RANGE, figure, heatmap, legend_above, line, style, styled, subplots
from hashlib_nb.plots.baselines import correlation
from hashlib_nb.plots.pictures import barcode, picture
from hashlib_nb.thermometer import HALF, LEVELS, bits, level_of

MOST_BARS = 130  # bars of a histogram that can be told apart


@styled
def training_curves(loss: np.ndarray, bit_accuracy: np.ndarray, held_out: np.ndarray, majority: float) -> Figure:
    """Loss and bit accuracy after each epoch, beside what a network that sees nothing can reach.

    Args:
        loss: [epochs], binary cross-entropy per bit in nats, of the final encoder while it trains.
        bit_accuracy: [epochs], of the same encoder on the same pictures, 0..1.
        held_out: [folds, epochs], bit accuracy of each fold's encoder on the pictures it does not train on.
        majority: bit accuracy of always answering with each bit's more frequent value.
    """
    fig, (left, right) = subplots(6.8, 3.0, 1, 2)
    epochs = np.arange(1, len(loss) + 1)
    line(left, epochs, loss, "in sample")
    left.axhline(np.log(2), color="0.3", linestyle=":", label="no idea: ln 2")
    left.set(ylabel="loss per bit (nats)", ylim=(0, None))
    left.legend(loc="upper right", bbox_to_anchor=(1, 0.93), handlelength=3)
    line(right, epochs, 100 * bit_accuracy, "in sample")
    band = {"label": "range of the folds", "linewidth": 0}
    line(right, epochs, 100 * held_out, "out of fold", errorbar=RANGE, err_kws=band)
    right.axhline(100 * majority, color="0.3", linestyle=":", label="more frequent value")
    right.set(ylabel="bits that are right (%)", ylim=(100 * min(majority, held_out.min()) - 3, 101))
    right.legend(loc="lower right", bbox_to_anchor=(1, 0.1), handlelength=3)
    for ax in (left, right):
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return fig


@styled
def bit_accuracy(accuracies: Mapping[str, np.ndarray]) -> Figure:
    """Share of pictures whose bit is right, bit by bit, in ascending order of the method named first.

    Args:
        accuracies: for each method [k], 0..1. The first is drawn as a line, the others as points.
    """
    fig, ax = subplots(5.6, 3.3)
    first = next(iter(accuracies))
    order = np.argsort(accuracies[first], kind="stable")
    for method, values in accuracies.items():
        points = {"linestyle": "None", "markersize": 4, "markevery": None}
        options = {"marker": "None"} if method == first else points
        line(ax, np.arange(1, len(order) + 1), 100 * values[order], method, **options)
    ax.set(xlabel=f"bits, sorted by accuracy ({first})", ylabel="pictures with the right bit (%)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(fig)
    return fig


@styled
def coded_pictures(images: np.ndarray, codes: np.ndarray, wanted: np.ndarray, captions: Sequence[str]) -> Figure:
    """Pictures beside their codes as barcodes: dark is 1, light is 0, a triangle marks each bit that is wrong.

    Args:
        images: uint8 [r, h, w, c], c = 1 or 3.
        codes: {0,1} [r, k], of the pictures.
        wanted: {0,1} [r, k], the target code of each picture's own class.
        captions: one line of text for each picture.
    """
    fig, panels = subplots(6.4, 0.5 + 0.55 * len(images), len(images), 2, width_ratios=[1, 11], squeeze=False)
    for (left, right), image, code, target, caption in zip(panels, images, codes, wanted, captions, strict=True):
        picture(left, image)
        barcode(right, code)
        wrong = np.flatnonzero(code != target)
        right.plot(wrong + 0.5, np.full(wrong.size, 1.3), "^", color="black", markersize=3)
        right.text(0, -0.1, caption, va="bottom", fontsize=8)
        right.set_ylim(1.55, -0.8)
        right.tick_params(labelbottom=right is panels[-1, 1])
    panels[-1, 1].set_xlabel("bit (triangle: not as in the target code of its class)")
    return fig


@styled
def distance_histogram(within: np.ndarray, between: np.ndarray, targets: np.ndarray) -> Figure:
    """Hamming distances of pairs of pictures of one class and of two, and of the target codes of two classes.

    Args:
        within: [k + 1], pairs of one class at each distance.
        between: [k + 1], pairs of different classes at each distance.
        targets: [k + 1], pairs of different target codes at each distance.
    """
    fig, ax = subplots(5.6, 3.3)
    distances = np.arange(len(within))
    width = -(-len(within) // MOST_BARS)  # distances a bar
    edges = np.arange(0, len(within) + width, width) - 0.5
    common = {"x": distances, "bins": list(edges), "stat": "percent", "ax": ax}
    sns.histplot(weights=between, color="0.75", alpha=1, linewidth=0, label="two classes", **common)
    outline = {"element": "step", "fill": False, "linewidth": 1.5, "color": style("query")["color"]}
    sns.histplot(weights=within, label="one class", **outline, **common)
    share = 100 * np.histogram(distances, edges, weights=targets)[0] / max(1, targets.sum())
    points = {"facecolor": "none", "edgecolor": "black", "linewidth": 1, "label": "target codes of two classes"}
    sns.scatterplot(x=(edges[:-1] + width / 2)[share > 0], y=share[share > 0], ax=ax, legend=False, **points)
    ax.set_yscale("log")
    ax.set(xlabel="Hamming distance (bits)", ylabel="share of pairs (%)", ylim=(0.01, 130), xlim=(-1.5, edges[-1] + 1))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    legend_above(fig)
    return fig


@styled
def redundant_bits(codes: np.ndarray, n_classes: int) -> Figure:
    """Which bits say the same, and how many directions all of them fill.

    Left the absolute correlation of any two bits, sorted so that like stands by like. Right how much of the bits'
    variance the first principal components carry, with the number of directions in which so many classes can differ.

    Args:
        codes: {0,1} [n, k].
        n_classes: C, the number of different target codes; C of them span C - 1 directions at most.
    """
    r = correlation(np.asarray(codes, dtype=float))
    far = squareform(1 - np.abs(r), checks=False).clip(0)
    order = leaves_list(linkage(far, "average", optimal_ordering=True)) if len(r) > 1 else np.arange(len(r))
    fig, (left, right) = subplots(6.2, 2.9, 1, 2, width_ratios=[1.15, 1])
    shades = heatmap(left, np.abs(r)[np.ix_(order, order)], vmin=0, vmax=1, square=True, xticklabels=False)
    left.set(xlabel="bit, like beside like", ylabel="bit")
    fig.colorbar(shades, ax=left, label="|r|", ticks=[0, 0.5, 1], shrink=0.8)
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(codes, rowvar=False)))[::-1].clip(0)
    carried = 100 * np.cumsum(variances) / max(variances.sum(), 1e-12)
    sns.lineplot(x=np.arange(1, len(carried) + 1), y=carried, color="black", ax=right, legend=False)
    most = min(n_classes - 1, len(carried))
    right.axvline(most, color="0.4", linestyle="--", label=f"the first {most}: {carried[most - 1]:.0f}%")
    right.set(xlabel="principal components", ylabel="variance carried (%)", ylim=(0, 103), xlim=(0, len(carried) + 1))
    right.legend(loc="lower right")
    return fig


@styled
def thermometer(
    images: np.ndarray,
    logits: np.ndarray,
    captions: Sequence[str],
    *,
    outputs: Sequence[int] | None = None,
    levels: Sequence[float] = LEVELS,
) -> Figure:
    """Pictures side by side, with what some outputs say of each and what a thermometer reads of it.

    A bar is sigma(F_j); on it lies a dot at every level, dark where the bit is 1 and empty where it is 0. Beside it
    stands the single bit that the same output gives at one half.

    Args:
        images: uint8 [r, h, w, c], c = 1 or 3.
        logits: float [r, o], F_j of the outputs to be shown.
        captions: a line of text for each picture.
        outputs: int [o], their numbers j; 0 to o - 1 if None.
        levels: posteriors in (0, 1) at which they are asked, increasing.
    """
    rows, shown = np.shape(logits)
    names = [str(j) for j in (range(shown) if outputs is None else outputs)]
    fig = figure(6.6, 1.9 + 0.26 * shown)
    grid = fig.add_gridspec(2, rows, height_ratios=[1, 0.5 + 0.26 * shown])
    read, half = bits(logits, levels).reshape(rows, shown, -1), bits(logits, HALF)
    for place in range(rows):
        picture(fig.add_subplot(grid[0, place]), images[place], captions[place])
        ax = fig.add_subplot(grid[1, place])
        _thermometers(ax, level_of(logits[place]), levels, read[place], half[place])
        ax.set_yticks(range(shown), names if place == 0 else [""] * shown)
        ax.set_ylabel("" if place else "output $j$")
    return fig


def _thermometers(
    ax: Axes, posteriors: np.ndarray, levels: Sequence[float], read: np.ndarray, half: np.ndarray
) -> None:
    """One bar an output, with the dots of its bits `read` [o, levels] and its bit at one half [o]."""
    rows = np.arange(len(posteriors))
    sns.barplot(x=posteriors, y=rows, orient="h", color="0.85", width=0.85, ax=ax, legend=False)
    ax.axvline(0.5, color="0.3", linestyle=":")
    dots = {"s": 15, "edgecolor": "#08306b", "linewidth": 0.7, "legend": False, "zorder": 3, "ax": ax}
    at, row = np.meshgrid(levels, rows)
    for value, fill in ((1, "#08306b"), (0, "white")):
        sns.scatterplot(x=at[read == value], y=row[read == value], color=fill, **dots)
    for place, bit in zip(rows, half, strict=True):
        ax.text(1.07, place, str(bit), ha="center", va="center", fontsize=9)
    ax.text(1.07, -0.75, "at \N{VULGAR FRACTION ONE HALF}", ha="center", va="bottom", fontsize=8)
    ax.set(xlim=(0, 1.12), ylim=(len(rows) - 0.4, -0.6), xticks=[0, 0.25, 0.5, 0.75, 1])
    ax.set_xlabel("$\\sigma(F_j)$; a dot at each level (dark: 1)")
    ax.spines["left"].set_visible(False)
    ax.spines["bottom"].set_bounds(0, 1)
    ax.tick_params(axis="y", length=0)
