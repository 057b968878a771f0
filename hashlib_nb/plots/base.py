"""What every figure shares: its theme, the look of each method, the ways to draw with seaborn, and where it is saved.

A cell ends with `plots.save_fig(plots.convergence(...), "01_convergence")`: the picture goes to `runs/figures/` and is
shown once; `make figures` takes it over into `figures/`, which the repository keeps. Figures live outside pyplot, so
nothing stays open and no backend has to be chosen. A method has one color, line style and marker in every figure
(`style`); line style and marker alone tell methods apart in grey.

To add a figure, write a function in the file of its chapter: decorate it with `@styled`, start it with `subplots(...)`,
draw with `line`, `heatmap` or a seaborn function that takes `ax`, label the axes with units, and give it a line in
`__init__` and a case in `tests/plots/test_plots.py`.
"""

from __future__ import annotations

import io
import itertools
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from hashlib_nb import artifacts

METHODS = {
    # ways to choose bits, and the rows they are compared with
    "PPO": ("#0072B2", "-", "o"),
    "greedy": ("#D55E00", "--", "s"),
    "random": ("#888888", ":", "X"),
    "first p": ("#E69F00", "-.", "^"),
    "all bits": ("#000000", "-", "None"),
    "random codes": ("#BBBBBB", (0, (1, 3)), "P"),
    "class index": ("#CC79A7", (0, (5, 1, 1, 1, 1, 1)), "D"),
    "direct": ("#009E73", (0, (7, 2)), "v"),
    "decided PPO": ("#B2182B", "-", "p"),
    "decided greedy": ("#F4A582", "--", "v"),
    "decided random": ("#A67C68", ":", "s"),
    "decided by p bits": ("#D6604D", "-.", "D"),
    "thermometer PPO": ("#4393C3", "-", "X"),
    "thermometer greedy": ("#92C5DE", "--", "d"),
    "thermometer random": ("#5B7F95", ":", "o"),
    "oracle": ("#1B7837", (0, (2, 1)), "*"),
    "ceiling": ("#5AAE61", (0, (1, 1)), "None"),
    "decided ceiling": ("#762A83", (0, (3, 1, 1, 1)), "None"),
    "PPO, thesis": ("#332288", (0, (2, 1)), "p"),
    "best random": ("#666666", (0, (4, 1, 1, 1)), "*"),
    "greedy + swap": ("#8B1A1A", "-", "D"),
    "PPO, untrained": ("#88CCEE", "-.", "X"),
    "backward": ("#7A5230", "-.", "v"),
    "cross-entropy": ("#44AA99", "--", "P"),
    "annealing": ("#999933", "-.", "p"),
    "stochastic greedy": ("#DDAA33", (0, (7, 2)), "s"),
    "surrogate": ("#E7298A", (0, (4, 1, 1, 1)), "D"),
    "DQN": ("#BB5566", (0, (5, 1, 1, 1, 1, 1)), "P"),
    "per-bit mAP": ("#6699CC", ":", "^"),
    "mRMR": ("#661100", ":", "v"),
    "NDomSet": ("#AA4466", ":", "D"),
    "entropy": ("#777711", ":", "P"),
    # codes of pictures, by what the encoder that made them had seen
    "in sample": ("#AA4499", "--", "^"),
    "out of fold": ("#0A7E8C", "-.", "d"),
    "query": ("#222266", "-", "s"),
    # ways to make target codes
    "literal": ("#882255", "--", "X"),
    "repaired": ("#56B4E9", "-", "P"),
    "discrete finish": ("#117733", "-.", "*"),
    "lower bound": ("#444444", ":", "None"),
    # rules that say whether a clip is of a film
    "vPDQ's rule": ("#AAAA00", ":", "p"),
    "whenever": ("#EE8866", "-.", "s"),
    "order": ("#77AADD", "--", "o"),
    "order and changes": ("#1F4E79", "-", "^"),
}
"""Color, line style and marker of the methods that the course shows; no two share a color, nor both of the others."""
LINES = ("-", "--", ":", "-.", (0, (7, 2)), (0, (2, 1)))
MARKERS = ("o", "s", "X", "^", "P", "D", "v", "p", "*", "d", "<", ">", "h", "8")
DERIVED = [look for look in itertools.product(LINES, MARKERS) if look not in {known[1:] for known in METHODS.values()}]
"""Line styles and markers that `METHODS` leaves to other titles."""
HUES = sns.husl_palette(len(DERIVED), s=0.8, l=0.5).as_hex()
"""A color for each of `DERIVED`."""
RC = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("paper", font_scale=0.94),  # letters of 9 points, along the axes 8
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same picture on every machine
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
}
"""The theme, seaborn's: complete, so that no setting of the caller's session shows in a figure."""
VALUES = "Blues"  # light to dark, so that a grey print keeps the order
SIGNED = LinearSegmentedColormap.from_list("signed", ["#F4A261", "#FFFFFF", "#08306B"], N=257)
"""For values from -1 to +1: 0 is white, -1 orange and middling in a grey print, +1 dark blue."""
RANGE = ("pi", 100)  # seaborn's name for a band from the lowest to the highest
MARKERS_A_LINE = 8  # about, however many points it has
DPI = 150
MOST_NAMES = 24  # tick labels that fit beside a picture of 3 inches
TICKS = 8  # labels along the bits of a code
styled = matplotlib.rc_context(RC)


class _Figure(Figure):
    """A figure outside pyplot that a notebook shows as it is saved."""

    def _repr_png_(self) -> bytes:
        return _png(self)


def save_fig(fig: Figure, name: str) -> Figure:
    """Write `fig` to `runs/figures/<name>.png` under the project root and return it: a cell can end with the call.

    Equal data gives equal bytes: the file carries no date and no version.

    Raises:
        ValueError: `name` has a folder or an ending.
    """
    if not name or name != Path(name).stem:
        raise ValueError(f"name is {name!r}; give a file name without folder and ending, such as '01_convergence'")
    save_png(fig, artifacts.project_root() / "runs" / "figures" / f"{name}.png")
    return fig


def save_png(fig: Figure, path: Path) -> None:
    """Write `fig` to a PNG file anywhere, all or nothing."""
    with artifacts.atomic(path) as partial:
        partial.write_bytes(_png(fig))


def style(method: str) -> dict[str, Any]:
    """Keyword arguments of `Axes.plot` for a method: color, line style, marker and label.

    A title that `METHODS` does not list, such as that of a selector of one's own, has a look that is derived from its
    letters: the same in every figure, in line style and marker unlike every listed method's. Two such titles can meet
    in one of color and lines (of about 60 each), hardly in both; a line in `METHODS` parts them.
    """
    if method in METHODS:
        color, linestyle, marker = METHODS[method]
    else:
        number = zlib.crc32(method.encode())
        linestyle, marker = DERIVED[number % len(DERIVED)]
        color = HUES[number // len(DERIVED) % len(HUES)]
    return {"color": color, "linestyle": linestyle, "marker": marker, "label": method}


def figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return _Figure(figsize=(width, height), layout="constrained")


def subplots(width: float, height: float, *shape: int, **options: Any) -> tuple[Figure, Any]:
    """An empty figure and its axes; `shape` and `options` are those of `Figure.subplots`."""
    fig = figure(width, height)
    return fig, fig.subplots(*shape, **options)


def panel_grid(
    number: int, columns: int, width: float, height: float, *, above: float = 0, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure with so many panels, at most `columns` beside each other, and the panels in a flat array.

    Args:
        number: of panels.
        columns: most in a row.
        width: of the figure, in inches.
        height: of a row.
        above: what the figure is higher than its rows.
        options: of `Figure.subplots`.
    """
    columns = min(columns, number)
    rows = -(-number // columns)
    fig, grid = subplots(width, above + height * rows, rows, columns, squeeze=False, **options)
    for ax in grid.flat[number:]:
        ax.remove()
    return fig, grid.flat[:number]


@styled
def _png(fig: Figure) -> bytes:
    fig.draw_without_rendering()
    fig.set_layout_engine("none")  # keep this layout: each further pass would move the axes by a little
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def line(ax: Axes, x: Sequence[float], y: np.ndarray, method: str, **options: Any) -> None:
    """Draw a method's values in its look; of several seeds their mean and, by `errorbar`, how far they spread.

    Where a seed has no value (NaN) nothing is drawn.

    Args:
        ax: where. Scale an axis after drawing: seaborn takes the mean on the axis' scale.
        x: [n].
        y: [n], or [seeds, n].
        method: a title.
        options: of `seaborn.lineplot`, or of the line.
    """
    seeds = np.atleast_2d(y)
    known = ~np.isnan(seeds).any(axis=0)
    look = style(method) | {"markevery": max(1, int(known.sum()) // MARKERS_A_LINE)}
    look["markeredgecolor"] = look["color"]  # seaborn's white edge would eat small markers
    several = {"estimator": "mean"} if len(seeds) > 1 else {"estimator": None, "errorbar": None}
    x, y = np.tile(np.asarray(x)[known], len(seeds)), seeds[:, known].ravel()
    sns.lineplot(x=x, y=y, sort=False, legend=False, ax=ax, **look | {"errorbar": None} | options | several)


def level(ax: Axes, value: float, method: str) -> None:
    """Draw the one value that a method has everywhere, as a horizontal line in its look."""
    ax.axhline(value, **style(method) | {"marker": "None"})


def name_levels(ax: Axes, levels: Mapping[str, float], *, apart: float = 0.05) -> None:
    """Draw levels and write each one's name at its right end instead of into a legend, in its color.

    Call it when all else is drawn: names keep `apart` shares of the axis' height from each other.

    Args:
        ax: where.
        levels: for each method its one value.
        apart: least distance of two names, a share of the height.
    """
    for method, value in levels.items():
        level(ax, value, method)
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top)
    at, place = -np.inf, {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center", "fontsize": 8}
    for method in sorted(levels, key=levels.get):
        at = max((levels[method] - bottom) / (top - bottom), at + apart)
        ax.annotate(method, (1, at), (4, 0), color=style(method)["color"], annotation_clip=False, **place)


def heatmap(ax: Axes, matrix: np.ndarray, *, names: Sequence[str] = (), **options: Any) -> QuadMesh:
    """Draw a matrix as shades of one color, and return them for a color bar.

    Args:
        ax: where.
        matrix: [r, c].
        names: r names beside the rows; where there are too many to read, every few rows only.
        options: of `seaborn.heatmap`.
    """
    every = max(1, -(-len(names) // MOST_NAMES))
    defaults = {
        "cmap": VALUES,
        "cbar": False,
        "xticklabels": max(1, np.shape(matrix)[1] // TICKS),
        "yticklabels": every if len(names) else False,
    }
    table = pd.DataFrame(matrix, index=names if len(names) else None)
    sns.heatmap(table, ax=ax, **defaults | options)
    ax.tick_params(length=0, rotation=0)
    return ax.collections[0]


def legend_above(fig: Figure, *, without: Collection[str] = ()) -> None:
    """One legend above all axes, where it covers no data, in as many columns up to four as the figure is wide.

    What several axes draw is named once; `without` are methods that are named elsewhere.
    """
    handles = {}
    for ax in fig.axes:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    handles = {name: handle for name, handle in handles.items() if name not in without}
    for columns in (4, 3, 2, 1):
        legend = fig.legend(handles.values(), handles, loc="outside upper center", ncols=columns, handlelength=3)
        if columns == 1 or legend.get_window_extent().width <= fig.bbox.width:
            break
        legend.remove()
