"""Does an agent earn its place: what a method needs in calls and in seconds, and at what price of a reward it leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from hashlib_nb.plots.base import VALUES, legend_above, line, panel_grid, style, styled, subplots

TIMES = {
    1e-5: "10 µs", 1e-3: "1 ms", 0.1: "0.1 s", 1: "1 s", 10: "10 s", 60: "1 min", 3600: "1 h", 86400: "1 day",
    30 * 86400: "30 days",
}  # fmt: skip
"""Marks of an axis of seconds."""
HATCHES = ("", "///", "...", "\\\\\\", "xx", "++", "oo", "--", "**")
"""What tells areas apart in grey."""


@styled
def leaders(
    prices: Sequence[float], totals: Sequence[float], maps: Mapping[str, np.ndarray], methods: Sequence[str]
) -> Figure:
    """Which method is furthest in a total time at a price of each call: one panel a pool, an area a method.

    Args:
        prices: [c], seconds a call, increasing.
        totals: [t], seconds in all, increasing.
        maps: for each pool the place in `methods` of the leader, int [c, t]; -1 where nobody leads.
        methods: titles.
    """
    fig, panels = subplots(6.8, 3.6, 1, len(maps), sharey=True, squeeze=False)
    for ax, (pool, leader) in zip(panels.flat, maps.items(), strict=True):
        for place, method in enumerate(methods):
            if (leader == place).any():
                where = np.where((leader == place).T, 1.0, 0.0)
                ax.contourf(
                    prices, totals, where, levels=[0.5, 1.5], colors=[_pale(method)], hatches=[HATCHES[place]]
                )  # fmt: skip
        ax.set(xscale="log", yscale="log", title=pool, xlabel="price of a reward")
        _in_words(ax.xaxis, prices)
        _in_words(ax.yaxis, totals)
        ax.tick_params(axis="x", rotation=45)
    panels[0, 0].set_ylabel("time in all")
    shown = [place for place in range(len(methods)) if any((leader == place).any() for leader in maps.values())]
    patches = [Patch(facecolor=_pale(methods[place]), hatch=HATCHES[place], label=methods[place]) for place in shown]
    fig.legend(handles=patches, loc="outside upper center", ncols=4, handlelength=3)
    return fig


@styled
def time_to_level(prices: Sequence[float], seconds: Mapping[str, Mapping[str, np.ndarray]], level: str) -> Figure:
    """Time in all until a level of reward is reached, against the price of a call: one panel a pool, a line a method.

    Args:
        prices: [c], seconds a call, increasing.
        seconds: for each pool and method [c]; inf where it is never reached.
        level: what is reached, in words.
    """
    fig, panels = subplots(6.8, 3.4, 1, len(seconds), sharey=True, squeeze=False)
    for ax, (pool, methods) in zip(panels.flat, seconds.items(), strict=True):
        for method, values in methods.items():
            line(ax, prices, np.where(np.isfinite(values), values, np.nan), method)
        ax.set(xscale="log", yscale="log", title=pool, xlabel="price of a reward", ylabel=f"time to {level}")
        _in_words(ax.xaxis, prices)
        _in_words(ax.yaxis, np.concatenate([v[np.isfinite(v)] for v in methods.values()]))
        ax.tick_params(axis="x", rotation=45)
    legend_above(fig)
    return fig


def _pale(method: str) -> tuple[float, float, float]:
    """The method's color, mixed with white, so that hatches can be seen on it."""
    red, green, blue, _ = to_rgba(style(method)["color"])
    return tuple(0.45 + 0.55 * each for each in (red, green, blue))


def _in_words(axis, values: Sequence[float]) -> None:
    """Marks of a logarithmic axis of seconds in words that one has for them."""
    marks = [mark for mark in TIMES if np.min(values) <= mark <= np.max(values)]
    axis.set_major_locator(FixedLocator(marks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: TIMES[min(TIMES, key=lambda mark: abs(mark - value))]))


@styled
def exchanges(masks: np.ndarray, values: Mapping[str, np.ndarray], measured: Mapping[str, np.ndarray]) -> Figure:
    """Subsets of one size as dots on a circle, a line between two that differ by one exchange: two panels a row.

    Args:
        masks: {0,1} [n, k], written beside the dots.
        values: for each panel [n], the dots' shades, on one scale for all.
        measured: for each panel bool [n], dots that get a ring.
    """
    fig, panels = panel_grid(len(values), 2, 6.2, 2.2)
    angles = np.linspace(0, 2 * np.pi, len(masks), endpoint=False)
    x, y = np.sin(angles), np.cos(angles)
    low, high = (edge([each.min() if edge is min else each.max() for each in values.values()]) for edge in (min, max))
    joined = np.argwhere(np.triu(masks.astype(int) @ masks.T == masks[0].sum() - 1))
    for ax, (title, shades) in zip(panels, values.items(), strict=True):
        for a, b in joined:
            ax.plot(x[[a, b]], y[[a, b]], color="0.85", linewidth=0.7, zorder=1)
        rings = np.where(measured[title], 1.8, 0.0)
        dots = ax.scatter(
            x, y, c=shades, cmap=VALUES, vmin=low, vmax=high, s=130, edgecolor="black", linewidths=rings, zorder=2
        )
        for place, mask in enumerate(masks):
            side = "center" if abs(x[place]) < 0.1 else "left" if x[place] > 0 else "right"
            text = "".join(map(str, mask))
            ax.text(1.14 * x[place], 1.24 * y[place], text, ha=side, va="center", fontsize=8)
        ax.set(title=title, xlim=(-1.9, 1.9), ylim=(-1.35, 1.35), aspect="equal")
        ax.set_axis_off()
    fig.colorbar(dots, ax=panels, label="reward", shrink=0.6)
    return fig
