"""Every way to choose bits, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from hashlib_nb.plots.base import RANGE, legend_above, line, panel_grid, style, styled, subplots
from hashlib_nb.plots.selection import above_own_map


@styled
def anytime(
    curves: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], *, xlabel: str, levels: Mapping[str, float]
) -> Figure:
    """Best reward so far against what it cost: one panel a pool, mean over seeds and the band from worst to best seed.

    Args:
        curves: for each pool and method the cost [t], above 0, and the best reward so far [seeds, t], NaN before the
            first subset of p bits.
        xlabel: the cost, with its unit.
        levels: for each pool the reward of one random subset on average; panels begin there.
    """
    fig, panels = _panels(curves)
    for ax, (pool, methods) in zip(panels, curves.items(), strict=True):
        for method, (cost, best) in methods.items():
            line(ax, cost, best, method, errorbar=RANGE, err_kws={"alpha": 0.15, "linewidth": 0})
        ax.set_ylim(bottom=levels[pool])
        ax.set(title=pool, xscale="log", xlabel=xlabel, ylabel="best reward so far")
        _plain_numbers(ax)
    legend_above(fig)
    return fig


@styled
def reward_and_test(
    subsets: Mapping[str, tuple[np.ndarray, np.ndarray]],
    found: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
) -> Figure:
    """Reward and test mAP of the same subsets: one panel a pool, random subsets in grey, each method's answers on top.

    Args:
        subsets: for each pool reward and test mAP [n] of random subsets.
        found: for each pool and method reward and test mAP [seeds].
    """
    fig, panels = _panels(subsets)
    hollow = {"linestyle": "None", "fillstyle": "none", "markeredgewidth": 1.2, "markevery": None}
    for ax, (pool, (reward, test)) in zip(panels, subsets.items(), strict=True):
        sns.scatterplot(x=reward, y=test, s=7, color="0.8", linewidth=0, label="random subsets", legend=False, ax=ax)
        for method, (x, y) in found[pool].items():
            line(ax, x, y, method, **hollow)
        ax.set(title=pool, xlabel="reward", ylabel="test mAP")
        ax.xaxis.set_major_locator(MaxNLocator(4))
    legend_above(fig)
    return fig


@styled
def differences(lines: Sequence[str], measures: Mapping[str, np.ndarray], xlabel: str, *, ylabel: str) -> Figure:
    """Mean difference of two methods with its confidence interval: a line each, one panel a measure.

    A filled dot has an interval that leaves out 0.

    Args:
        lines: what is compared in each line.
        measures: for each measure [lines, 3]: mean, lower and upper end; NaN ends where there is one seed.
        xlabel: of what the difference is taken.
        ylabel: what tells the lines apart.
    """
    fig, panels = subplots(6.6, 0.9 + 0.19 * len(lines), 1, len(measures), sharey=True, squeeze=False)
    place = np.arange(len(lines))
    blue = style("PPO")["color"]
    for ax, (measure, values) in zip(panels.flat, measures.items(), strict=True):
        mean, low, high = values.T
        ax.axvline(0, color="0.6", linewidth=0.8)
        ax.hlines(place, low, high, color="0.3", linewidth=1.2)
        dots = {"palette": {True: blue, False: "white"}, "edgecolor": blue, "linewidth": 1, "s": 24, "zorder": 3}
        sns.scatterplot(x=mean, y=place, hue=(low > 0) | (high < 0), legend=False, ax=ax, **dots)
        ax.set(title=measure, xlabel=xlabel if len(measures) < 3 else "points")
        ax.xaxis.set_major_locator(MaxNLocator(4))
    if len(measures) > 2:
        fig.supxlabel(xlabel, fontsize="medium")
    panels[0, 0].set_ylim(len(lines) - 0.5, -0.5)
    panels[0, 0].set_yticks(place, lines)
    panels[0, 0].set_ylabel(ylabel)
    return fig


@styled
def optimality_gap(calls: np.ndarray, best: Mapping[str, np.ndarray], optimum: float) -> Figure:
    """How far the best subset so far is from the best of all, against reward calls.

    Args:
        calls: [t].
        best: for each method [seeds, t], the best reward so far; NaN before the first subset of p bits.
        optimum: the highest reward of any subset.
    """
    fig, ax = subplots(5.6, 3.4)
    for method, values in best.items():
        line(ax, calls, 100 * (optimum - values), method)
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    ax.set(xscale="log", xlabel="reward calls: distinct subsets evaluated", ylabel="below the optimum (mAP, points)")
    _plain_numbers(ax)
    legend_above(fig)
    return fig


@styled
def chosen_shares(shares: Mapping[str, np.ndarray], bit_map: np.ndarray) -> Figure:
    """How often each method's seeds keep each bit, with the bits in the order of their own mAP.

    Args:
        shares: for each method [k], from 0 to 1.
        bit_map: [k], mAP of the one-bit codes.
    """
    order = np.argsort(-bit_map, kind="stable")
    rows = np.stack([*shares.values()])[:, order]
    fig, shades = above_own_map(rows, list(shares), bit_map[order], dark=np.zeros(len(order), bool), vmin=0, vmax=1)
    fig.axes[1].set_xlabel("bit, by its own mAP")
    fig.colorbar(shades, ax=fig.axes, label="share of seeds")
    return fig


def _panels(names: Mapping[str, object]) -> tuple[Figure, np.ndarray]:
    """A figure with one panel a name, at most two beside each other, and the panels in a flat array."""
    return panel_grid(len(names), 2, 6.8 if len(names) > 1 else 5.0, 2.3, above=0.8)


def _plain_numbers(ax: Axes) -> None:
    """1, 10, 100 along a logarithmic x axis, and no numbers between."""
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
