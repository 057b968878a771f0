"""Every figure of the course: arrays in, a matplotlib figure out, and one place to save it.

A cell ends with `plots.save_fig(plots.convergence(...), "01_convergence")`: the picture goes to `figures/` and is shown
once. Figures live outside pyplot, so nothing stays open and no backend has to be chosen. A method has one color, line
style and marker in every figure (`METHODS`); line style and marker alone tell methods apart in grey.

To add a figure, write a function below, in the order in which the course shows it: decorate it with `@_styled`, start
it with `_figure(...)`, label its axes with units, and give it a case in `tests/test_plots.py`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hashlib_nb import artifacts

METHODS = {
    # ways to choose bits, and the rows they are compared with
    "PPO": ("#0072B2", "-", "o"),
    "greedy": ("#D55E00", "--", "s"),
    "random": ("#888888", ":", "x"),
    "first p": ("#E69F00", "-.", "^"),
    "all bits": ("#000000", "-", "None"),
    "random codes": ("#BBBBBB", (0, (1, 3)), "+"),
    "class index": ("#CC79A7", (0, (5, 1, 1, 1, 1, 1)), "D"),
    "direct": ("#009E73", (0, (7, 2)), "v"),
    "PPO, thesis": ("#332288", (0, (2, 1)), "p"),
    "best random": ("#666666", (0, (4, 1, 1, 1)), "*"),
    "greedy + swap": ("#8B1A1A", "-", "D"),
    "PPO, untrained": ("#88CCEE", "-.", "x"),
    "backward": ("#7A5230", "-.", "v"),
    "cross-entropy": ("#44AA99", "--", "P"),
    "annealing": ("#999933", "-.", "p"),
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
}
"""Color, line style and marker of each method; no two share a color, nor both line style and marker."""
RC = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same picture on every machine
    "font.size": 9,
    "axes.titlesize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 5,
    "legend.frameon": False,
}
VALUES = "Blues"  # light to dark, so that a grey print keeps the order
DPI = 150
MOST_NAMES = 24  # tick labels that fit beside a picture of 3 inches
MOST_NUMBERS = 12  # rows and columns whose entries can be read as numbers
_styled = matplotlib.rc_context(RC)


class _Figure(Figure):
    """A figure outside pyplot that a notebook shows as it is saved."""

    def _repr_png_(self) -> bytes:
        return _png(self)


def save_fig(fig: Figure, name: str) -> Figure:
    """Write `fig` to `figures/<name>.png` under the project root and return it, so that a cell can end with the call.

    Equal data gives equal bytes: the file carries no date and no version.

    Raises:
        ValueError: `name` has a folder or an ending.
    """
    if not name or name != Path(name).stem:
        raise ValueError(f"name is {name!r}; give a file name without folder and ending, such as '01_convergence'")
    save_png(fig, artifacts.project_root() / "figures" / f"{name}.png")
    return fig


def save_png(fig: Figure, path: Path) -> None:
    """Write `fig` to a PNG file anywhere, all or nothing."""
    with artifacts.atomic(path) as partial:
        partial.write_bytes(_png(fig))


def style(method: str) -> dict:
    """Keyword arguments of `Axes.plot` for a method: color, line style, marker and label.

    Raises:
        ValueError: a method that `METHODS` does not list.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}; plots.METHODS has {', '.join(METHODS)}: add a line there")
    color, linestyle, marker = METHODS[method]
    return {"color": color, "linestyle": linestyle, "marker": marker, "label": method}


def _figure(width: float, height: float) -> Figure:
    return _Figure(figsize=(width, height), layout="constrained")


@_styled
def _png(fig: Figure) -> bytes:
    fig.draw_without_rendering()
    fig.set_layout_engine("none")  # keep this layout: each further pass would move the axes by a little
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _line(ax: Axes, x: np.ndarray, y: np.ndarray, method: str) -> None:
    """A line in the method's style with about eight markers, however many points it has."""
    ax.plot(x, y, markevery=max(1, len(x) // 8), **style(method))


def _legend_above(ax: Axes, columns: int = 4) -> None:
    """Above the axes, where it covers no data; a method drawn twice is named once."""
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.legend(handles.values(), handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns, handlelength=3)


def _name_rows(ax: Axes, positions: Sequence[float], names: Sequence[str]) -> None:
    """Class names beside the rows of a matrix; every few rows only where there are too many to read."""
    every = -(-len(names) // MOST_NAMES)
    ax.set_yticks(positions[::every], names[::every])
    ax.tick_params(axis="y", length=0)
