"""Every way to choose bits, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter

from hashlib_nb.plots.base import METHODS, VALUES, _figure, _legend_above, _name_rows, _styled, style

EVERY = 0.12  # markers along a line of many points, as a share of the axes' diagonal


@_styled
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
            known = ~np.isnan(best).any(axis=0)
            x, y = cost[known], best[:, known]
            ax.fill_between(x, y.min(axis=0), y.max(axis=0), color=METHODS[method][0], alpha=0.15, linewidth=0)
            _spaced(ax, x, y.mean(axis=0), method)
        ax.set_ylim(bottom=levels[pool])
        ax.set(title=pool, xscale="log", xlabel=xlabel, ylabel="best reward so far")
        _plain_numbers(ax)
    _legend_of_panels(fig, panels)
    return fig


@_styled
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
    for ax, (pool, (reward, test)) in zip(panels, subsets.items(), strict=True):
        ax.scatter(reward, test, s=7, color="0.8", label="random subsets")
        for method, (x, y) in found[pool].items():
            ax.plot(x, y, **style(method) | {"linestyle": "None", "fillstyle": "none"})
        ax.set(title=pool, xlabel="reward", ylabel="test mAP")
        ax.xaxis.set_major_locator(MaxNLocator(4))
    _legend_of_panels(fig, panels)
    return fig


@_styled
def differences(lines: Sequence[str], measures: Mapping[str, np.ndarray], xlabel: str) -> Figure:
    """Mean difference of two methods with its confidence interval: a line each, one panel a measure.

    A filled dot has an interval that leaves out 0.

    Args:
        lines: what is compared in each line.
        measures: for each measure [lines, 3]: mean, lower and upper end; NaN ends where there is one seed.
        xlabel: of what the difference is taken.
    """
    fig = _figure(6.6, 0.9 + 0.19 * len(lines))
    panels = fig.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    place = np.arange(len(lines))
    for ax, (measure, values) in zip(panels, measures.items(), strict=True):
        mean, low, high = values.T
        sure = (low > 0) | (high < 0)
        ax.axvline(0, color="0.6", linewidth=0.8)
        ax.hlines(place, low, high, color="0.3", linewidth=1.2)
        ax.scatter(mean, place, s=24, zorder=3, color=np.where(sure, "#0072B2", "white"), edgecolor="#0072B2")
        ax.set(title=measure, xlabel=xlabel)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    panels[0].set_ylim(len(lines) - 0.5, -0.5)
    panels[0].set_yticks(place, lines)
    panels[0].set_ylabel("pool, bits kept")
    return fig


@_styled
def optimality_gap(calls: np.ndarray, best: Mapping[str, np.ndarray], optimum: float) -> Figure:
    """How far the best subset so far is from the best of all, against reward calls.

    Args:
        calls: [t].
        best: for each method [seeds, t], the best reward so far; NaN before the first subset of p bits.
        optimum: the highest reward of any subset.
    """
    fig = _figure(5.6, 3.4)
    ax = fig.subplots()
    for method, values in best.items():
        known = ~np.isnan(values).any(axis=0)
        _spaced(ax, calls[known], 100 * (optimum - values[:, known]).mean(axis=0), method)
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    ax.set(xscale="log", xlabel="reward calls: distinct subsets evaluated", ylabel="below the optimum (mAP, points)")
    _plain_numbers(ax)
    _legend_above(ax)
    return fig


@_styled
def chosen_shares(shares: Mapping[str, np.ndarray], bit_map: np.ndarray) -> Figure:
    """How often each method's seeds keep each bit, with the bits in the order of their own mAP.

    Args:
        shares: for each method [k], from 0 to 1.
        bit_map: [k], mAP of the one-bit codes.
    """
    fig = _figure(6.4, 1.9 + 0.26 * len(shares))
    order = np.argsort(-bit_map, kind="stable")
    rows, bars = fig.subplots(2, 1, sharex=True, height_ratios=[0.28 * len(shares) + 0.2, 1.1])
    image = rows.imshow(np.stack([*shares.values()])[:, order], cmap=VALUES, aspect="auto", vmin=0, vmax=1)
    rows.set_ylabel("kept by")
    rows.tick_params(axis="x", length=0)
    _name_rows(rows, np.arange(len(shares)), list(shares))
    bars.bar(np.arange(len(order)), bit_map[order], width=1, color="0.6")
    bars.set(xlabel="bit, by its own mAP", ylabel="its own mAP")
    bars.set_ylim(max(0.0, bit_map.min() - 0.15 * (np.ptp(bit_map) or 1)), None)
    bars.xaxis.set_major_locator(MaxNLocator(integer=True))
    fig.colorbar(image, ax=[rows, bars], label="share of seeds")
    return fig


def _panels(names: Mapping[str, object]) -> tuple[Figure, np.ndarray]:
    """A figure with one panel a name, at most two beside each other, and the panels in a flat array."""
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    fig = _figure(6.8 if columns == 2 else 5.0, 0.8 + 2.3 * rows)
    panels = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax in panels[len(names) :]:
        ax.remove()
    return fig, panels[: len(names)]


def _plain_numbers(ax: Axes) -> None:
    """1, 10, 100 along a logarithmic x axis, and no numbers between."""
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _legend_of_panels(fig: Figure, panels: np.ndarray) -> None:
    """One legend above all panels, with each method that any of them shows."""
    handles = {}
    for ax in panels:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    fig.legend(handles.values(), handles, loc="outside upper center", ncols=4, handlelength=3)


def _spaced(ax: Axes, x: np.ndarray, y: np.ndarray, method: str) -> None:
    """A line in the method's style with markers at equal distances on the page; a single point keeps its marker."""
    ax.plot(x, y, markevery=EVERY if len(x) > 1 else None, **style(method))
