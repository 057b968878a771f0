"""Drawings of the whole: from a picture to its bits, to the bits kept, to what they find, for README and course."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.ticker import MaxNLocator

from hashlib_nb.plots.base import figure, styled
from hashlib_nb.plots.pictures import frame, picture
from hashlib_nb.thermometer import HALF
from hashlib_nb.thermometer import bits as thermometer_bits

SIDE, GAP, HEIGHT = 1.1, 1.0, 1.8
"""Inches: the picture and each square of bits, the space in which an arrow says what happens, the whole."""
TEXT = 11  # points: larger than in other figures, since a page shows this one at three quarters of its size
KEPT = ("#BFD7EA", "#0B3C6F")
LEFT_OUT = ("#F2F2F2", "#CFCFCF")
"""Colors of 0 and of 1, for a bit that is kept and for one that is not."""
CHOSEN = "#D55E00"
"""Of the rings around bits that are kept."""


@styled
def banner(
    query: np.ndarray, code: np.ndarray, bits: np.ndarray, found: np.ndarray, right: np.ndarray, captions: Sequence[str]
) -> Figure:
    """A row that reads from left to right. Its ground is white, so that it can be read on a dark page as well.

    Args:
        query: uint8 [h, w, c], c = 1 or 3.
        code: {0,1} [k], the picture's code.
        bits: int [p], places of the bits that are kept.
        found: uint8 [t, h, w, c], database pictures, nearest first.
        right: bool [t], whether each is relevant.
        captions: t texts under them.
    """
    code, bits = np.asarray(code), np.sort(bits)
    widths = [SIDE, SIDE, SIDE / 2, *[0.85 * SIDE] * len(found)]
    gaps = [0, GAP, GAP, GAP, *[0.2] * (len(found) - 1)]
    lefts = np.cumsum(gaps) + np.cumsum(widths) - widths + 0.15
    width = lefts[-1] + widths[-1] + 0.15
    fig = figure(width, HEIGHT)
    fig.set_layout_engine("none")  # every panel has its place
    axes = [
        fig.add_axes((left / width, (1 - each / HEIGHT) / 2, each / width, each / HEIGHT))
        for left, each in zip(lefts, widths, strict=True)
    ]
    picture(axes[0], query, "a picture")
    _squares(axes[1], code, np.isin(np.arange(len(code)), bits), f"k = {len(code)} bits")
    _squares(axes[2], code[bits], np.ones(len(bits), bool), f"p = {len(bits)} bits")
    for ax, image, good, caption in zip(axes[3:], found, right, captions, strict=True):
        picture(ax, image, caption)
        frame(ax, bool(good))
    for place, says in enumerate(("a network\nreads", "an agent\nkeeps", "a search\nfinds"), start=1):
        _arrow(fig, (lefts[place - 1] + widths[place - 1]) / width, lefts[place] / width, says)
    for ax in axes:
        ax.xaxis.label.set_fontsize(TEXT)
    return fig


@styled
def picture_to_bits(image: np.ndarray, logits: np.ndarray, levels: Sequence[float]) -> Figure:
    """What becomes of a picture: a number from each output of the network, and bits from each number.

    Args:
        image: uint8 [h, w, c], c = 1 or 3.
        logits: float [o], of the outputs to be shown, few.
        levels: posteriors in (0, 1) at which each output is asked, increasing.
    """
    fig = figure(5.4, 2.5)
    fig.set_layout_engine("none")
    _to_bits(fig, image, logits, levels, bottom=0.19, top=0.86)
    return fig


@styled
def pipeline(
    image: np.ndarray,
    logits: np.ndarray,
    levels: Sequence[float],
    kept: np.ndarray,
    found: np.ndarray,
    right: np.ndarray,
    score: float,
) -> Figure:
    """The course in two rows: a picture, its logits, its bits; those that are kept, what they find, what that is worth.

    Args:
        image: uint8 [h, w, c], c = 1 or 3.
        logits: float [o], of the outputs to be shown, few: those that the kept bits ask.
        levels: posteriors in (0, 1) at which each output is asked, increasing.
        kept: int [p, 2], output (a place in `logits`) and level (a place in `levels`) of each bit that is kept.
        found: uint8 [t, h, w, c], the nearest pictures of the database.
        right: bool [t], whether each is relevant.
        score: average precision of the whole ranking.
    """
    kept = np.asarray(kept)
    fig = figure(5.4, 4.0)
    fig.set_layout_engine("none")
    _to_bits(fig, image, logits, levels, bottom=0.51, top=0.91, kept=kept)
    code = thermometer_bits(np.asarray(logits)[None], levels).reshape(len(logits), -1)[tuple(kept.T)]
    ax = fig.add_axes((0.02, 0.14, 0.19, 0.16))
    _squares(ax, code, np.ones(len(code), bool), f"{len(code)} bits kept", columns=-(-len(code) // 2))
    _arrow(fig, 0.21, 0.33, "search", middle=0.22)
    width = 0.47 / len(found)
    for place, (each, good) in enumerate(zip(found, right, strict=True)):
        ax = fig.add_axes((0.33 + place * width, 0.1, 0.9 * width, 0.23))
        picture(ax, each)
        frame(ax, bool(good))
    fig.text(0.565, 0.075, "nearest first, all others behind", ha="center", va="center", fontsize=9)
    _arrow(fig, 0.81, 0.9, "count", middle=0.22)
    fig.text(0.95, 0.22, f"AP\n{score:.2f}", ha="center", va="center", fontsize=TEXT)
    fig.add_artist(_turn(fig))
    return fig


def _to_bits(
    fig: Figure,
    image: np.ndarray,
    logits: np.ndarray,
    levels: Sequence[float],
    *,
    bottom: float,
    top: float,
    kept: np.ndarray | None = None,
) -> None:
    """A row of a figure: a picture, its logits as bars, and a dot for each output and level, dark where the bit is 1.

    Gray lies behind the bits at one half, and a ring around those that are kept.
    """
    height, rows, places = top - bottom, np.arange(len(logits)), np.arange(len(levels))
    middle = (bottom + top) / 2
    ax = fig.add_axes((0.02, middle - 0.5 * height, 0.19, height))
    picture(ax, image, "picture")
    _arrow(fig, 0.22, 0.36, "network", middle=middle)
    ax = fig.add_axes((0.37, bottom, 0.18, height))
    sns.barplot(x=logits, y=rows, orient="h", color="0.45", ax=ax)
    ax.axvline(0, color="0.2", linewidth=1)
    ax.set(yticks=[], ylim=(len(rows) - 0.5, -0.5), xlabel="logit $F_j$", title=f"{len(rows)} outputs")
    ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.spines["left"].set_visible(False)
    _arrow(fig, 0.56, 0.66, "ask", middle=middle)
    ax = fig.add_axes((0.68, bottom, 0.3, height))
    read = thermometer_bits(np.asarray(logits)[None], levels).reshape(len(rows), len(places))
    column, row = np.meshgrid(places, rows)
    dots = {"s": 26, "edgecolor": KEPT[1], "linewidth": 0.7, "legend": False, "ax": ax, "zorder": 3}
    for value, fill in ((1, KEPT[1]), (0, "white")):
        sns.scatterplot(x=column[read == value], y=row[read == value], color=fill, **dots)
    for place in places[np.isclose(levels, HALF)]:
        ax.axvspan(place - 0.5, place + 0.5, color="0.88", zorder=0)
    if kept is not None:
        ring = {"s": 80, "facecolor": "none", "edgecolor": CHOSEN, "linewidth": 1.8}
        ax.scatter(kept[:, 1], kept[:, 0], zorder=4, **ring)
    shown = places[[0, len(places) // 2, -1]]
    ax.set_xticks(shown, [f"{levels[place]:g}" for place in shown])
    ax.set(yticks=[], ylim=(len(rows) - 0.5, -0.5), xlim=(-0.8, len(places) - 0.2), xlabel="level $t$")
    ax.set_title("bits: $\\sigma(F_j) \\geq t$")
    ax.spines["left"].set_visible(False)
    for ax in fig.axes:
        ax.xaxis.label.set_fontsize(9)


def _turn(fig: Figure) -> FancyArrowPatch:
    """The arrow from the first row's end to the second row's beginning."""
    look = {"arrowstyle": "-|>", "mutation_scale": 12, "color": CHOSEN, "linewidth": 1.4}
    way = "angle,angleA=-90,angleB=0,rad=6"
    return FancyArrowPatch((0.83, 0.4), (0.105, 0.34), transform=fig.transFigure, connectionstyle=way, **look)


def _squares(ax: Axes, code: np.ndarray, kept: np.ndarray, caption: str, *, columns: int | None = None) -> None:
    """A code as squares, row by row: dark is 1, light is 0, gray is not kept."""
    side = columns or int(np.ceil(np.sqrt(len(code))))
    rows = side if columns is None else -(-len(code) // side)
    for place, (bit, is_kept) in enumerate(zip(code, kept, strict=True)):
        color = (KEPT if is_kept else LEFT_OUT)[int(bit)]
        ax.add_patch(Rectangle((place % side + 0.06, place // side + 0.06), 0.88, 0.88, color=color, linewidth=0))
    ax.set(xlim=(0, side), ylim=(rows, 0), xticks=[], yticks=[], xlabel=caption)
    ax.spines[:].set_visible(False)


def _arrow(fig: Figure, start: float, end: float, says: str, *, middle: float = 0.5) -> None:
    """An arrow from one panel to the next, in shares of the figure, and what happens there above it."""
    ax = fig.add_axes((start, 0, end - start, 1))
    ax.set_axis_off()
    look = {"arrowstyle": "-|>", "linewidth": 1.2, "color": "0.25"}
    ax.annotate("", (0.88, middle), (0.12, middle), arrowprops=look)
    ax.text(0.5, middle + 0.06 * HEIGHT / fig.get_figheight(), says, ha="center", va="bottom", fontsize=TEXT)
