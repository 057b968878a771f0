"""The drawing at the top of the README: a picture, its k bits, the p bits kept, and what they find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from hashlib_nb.plots.base import figure, styled
from hashlib_nb.plots.pictures import frame, picture

SIDE, GAP, HEIGHT = 1.1, 1.0, 1.8
"""Inches: the picture and each square of bits, the space in which an arrow says what happens, the whole."""
TEXT = 11  # points: larger than in other figures, since a page shows this one at three quarters of its size
KEPT = ("#BFD7EA", "#0B3C6F")
LEFT_OUT = ("#F2F2F2", "#CFCFCF")
"""Colors of 0 and of 1, for a bit that is kept and for one that is not."""


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
        _arrow(fig, lefts[place - 1] + widths[place - 1], lefts[place], says)
    for ax in axes:
        ax.xaxis.label.set_fontsize(TEXT)
    return fig


def _squares(ax: Axes, code: np.ndarray, kept: np.ndarray, caption: str) -> None:
    """A code as squares, row by row: dark is 1, light is 0, gray is not kept."""
    side = int(np.ceil(np.sqrt(len(code))))
    for place, (bit, is_kept) in enumerate(zip(code, kept, strict=True)):
        color = (KEPT if is_kept else LEFT_OUT)[int(bit)]
        ax.add_patch(Rectangle((place % side + 0.06, place // side + 0.06), 0.88, 0.88, color=color, linewidth=0))
    ax.set(xlim=(0, side), ylim=(side, 0), xticks=[], yticks=[], xlabel=caption)
    ax.spines[:].set_visible(False)


def _arrow(fig: Figure, start: float, end: float, says: str) -> None:
    """An arrow from one panel to the next, in inches from the left, and what happens there above it."""
    width = fig.get_figwidth()
    ax = fig.add_axes((start / width, 0, (end - start) / width, 1))
    ax.set_axis_off()
    ax.annotate("", (0.88, 0.5), (0.12, 0.5), arrowprops={"arrowstyle": "-|>", "linewidth": 1.2, "color": "0.25"})
    ax.text(0.5, 0.56, says, ha="center", va="bottom", fontsize=TEXT)
