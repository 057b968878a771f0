"""Pictures and what was found for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hashlib_nb.plots.base import MOST_NAMES, figure, heatmap, styled, subplots

MOST_BESIDE = 5  # pictures beside a query whose names can be read


@styled
def top_matches(
    queries: np.ndarray, found: np.ndarray, right: np.ndarray, titles: Sequence[str], captions: Sequence[Sequence[str]]
) -> Figure:
    """Query pictures, each with its nearest database pictures: framed solid with a tick, or dashed with a cross.

    Args:
        queries: uint8 [r, h, w, c], c = 1 or 3.
        found: uint8 [r, t, h, w, c], nearest first.
        right: bool [r, t], whether the picture is relevant.
        titles: r texts for the queries.
        captions: for each query t texts under the pictures found.
    """
    rows, columns = right.shape
    fig, panels = subplots(6.6, 0.4 + 1.35 * rows, rows, columns + 1, squeeze=False)
    for ax, head in zip(panels[0], ("query", *(f"nearest, {place}" for place in range(1, columns + 1))), strict=True):
        ax.set_title(head)
    for row in range(rows):
        picture(panels[row, 0], queries[row], titles[row])
        for column in range(columns):
            ax = panels[row, column + 1]
            picture(ax, found[row, column], captions[row][column])
            frame(ax, bool(right[row, column]))
    return fig


@styled
def neighbors(
    queries: Sequence[np.ndarray],
    found: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    captions: Sequence[Sequence[str]],
) -> Figure:
    """Query pictures, framed, each with the pictures that a search found for it, in as many rows as these take.

    Args:
        queries: q pictures uint8 [h, w, c], c = 1 or 3.
        found: for each query its pictures, nearest first; there may be none.
        titles: q texts under the queries.
        captions: for each query a text under each picture found.
    """
    columns = min(MOST_BESIDE, max(1, *map(len, found)))
    rows = [max(1, -(-len(pictures) // columns)) for pictures in found]
    fig, panels = subplots(6.6, 0.3 + 1.35 * sum(rows), sum(rows), columns + 1, squeeze=False)
    starts = np.cumsum(rows) - rows
    for row, query, nearest, title, texts in zip(starts, queries, found, titles, captions, strict=True):
        picture(panels[row, 0], query, title)
        panels[row, 0].spines[:].set(visible=True, linewidth=2)
        for ax, image, text in zip(panels[row:, 1:].flat, nearest, texts, strict=False):
            picture(ax, image, text)
    panels[0, 0].set_title("query")
    panels[0, 1].set_title("nearest first", loc="left")
    for ax in panels.flat:
        if not ax.images:
            ax.remove()
    return fig


@styled
def search_answer(
    query: np.ndarray,
    code: np.ndarray,
    used: np.ndarray,
    found: np.ndarray,
    right: np.ndarray,
    captions: Sequence[str],
    *,
    names: Sequence[str] = (),
) -> Figure:
    """A query picture beside its code as a barcode, above the pictures that a search with some of its bits found.

    Args:
        query: uint8 [h, w, c], c = 1 or 3.
        code: {0,1} [k].
        used: int [p], places of the bits that were searched with; the others are left empty.
        found: uint8 [t, h, w, c], nearest first.
        right: bool [t], whether the picture is relevant: framed solid with a tick, or dashed with a cross.
        captions: t texts under the pictures found.
        names: k texts under the bits, what each of them asks, instead of their numbers; every few where they are many.
    """
    rows = -(-len(found) // MOST_BESIDE)
    fig = figure(6.6, 1.4 + 1.45 * rows)
    grid = fig.add_gridspec(1 + rows, MOST_BESIDE)
    picture(fig.add_subplot(grid[0, 0]), query, "query")
    bars = fig.add_subplot(grid[0, 1:])
    barcode(bars, code, mask=~np.isin(np.arange(len(code)), used))
    bars.set(ylim=(1.4, -0.4), xlabel="bit (dark: 1, light: 0, empty: not kept)")
    if names:
        every = slice(None, None, -(-len(names) // MOST_NAMES))
        bars.set_xticks(np.arange(len(names))[every] + 0.5, names[every], fontsize=7)
        bars.set_xlabel("output, and the level that it is asked at (dark: 1, light: 0)")
    for place, (image, good, caption) in enumerate(zip(found, right, captions, strict=True)):
        ax = fig.add_subplot(grid[1 + place // MOST_BESIDE, place % MOST_BESIDE])
        picture(ax, image, caption)
        frame(ax, bool(good))
    return fig


def picture(ax: Axes, image: np.ndarray, caption: str = "") -> None:
    """Draw a uint8 picture [h, w, c] with a caption under it."""
    ax.imshow(image.squeeze(axis=-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
    ax.set_xlabel(caption, fontsize=7.5)
    ax.spines[:].set_visible(False)
    ax.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)


def barcode(ax: Axes, code: np.ndarray, mask: np.ndarray | None = None) -> None:
    """Draw a code {0,1} [k] as a row of bars, dark for 1 and light for 0; bits where `mask` [k] is true stay empty."""
    heatmap(ax, np.asarray(code)[None], mask=None if mask is None else mask[None], vmin=-0.25, vmax=1.1)


def frame(ax: Axes, right: bool) -> None:
    """Frame a picture green, solid and ticked, or red, dashed and crossed: a grey print says it too."""
    color, linestyle, mark = ("#117733", "-", "\N{CHECK MARK}") if right else ("#CC3311", (0, (3, 2)), "\N{BALLOT X}")
    ax.spines[:].set(visible=True, color=color, linewidth=2.5, linestyle=linestyle)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    ax.text(0.97, 0.96, mark, transform=ax.transAxes, ha="right", va="top", color=color, fontsize=9, bbox=box)
