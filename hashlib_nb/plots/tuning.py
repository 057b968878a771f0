"""Settings of the ways to choose bits: what was tried, and which of them matter."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from hashlib_nb.plots.base import legend_above, panel_grid, style, styled, subplots

COLUMNS = 4
"""Panels of `slices` beside each other, at most."""


@styled
def importances(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """How much each setting matters: one panel a method, one bar a setting, in the given order.

    Args:
        shares: for each method the share of each of its settings; they add up to 1.
    """
    longest = max(map(len, shares.values()))
    fig, panels = subplots(6.8, 0.9 + 0.2 * longest, 1, len(shares), squeeze=False)
    for ax, (method, by_name) in zip(panels.flat, shares.items(), strict=True):
        bars = {"orient": "h", "color": style(method)["color"], "saturation": 1, "width": 0.7}
        sns.barplot(x=[*by_name.values()], y=[*by_name], ax=ax, legend=False, **bars)
        ax.set(title=method, xlabel="importance", xlim=(0, 1), ylim=(longest - 0.5, -0.5))
    panels.flat[0].set_ylabel("setting")
    for ax in panels.flat[1:]:
        ax.set_ylabel(" ")
    return fig


@styled
def slices(
    values: Mapping[str, np.ndarray],
    worth: np.ndarray,
    whole: np.ndarray,
    *,
    logs: Collection[str] = (),
    default: Mapping[str, Any],
) -> Figure:
    """What trials were worth against each of their settings: one panel a setting; a star marks the defaults.

    Args:
        values: for each setting its value [n] in each trial; true or false, or numbers.
        worth: [n], the higher the better.
        whole: bool [n], False for trials that ended early.
        logs: settings with a logarithmic axis.
        default: the value of each setting where nobody sets it, in the first of the trials.
    """
    fig, panels = panel_grid(len(values), COLUMNS, 6.8, 1.5, above=0.7, sharey=True)
    kinds = {"whole trials": (whole, {"color": style("PPO")["color"], "linewidth": 0})}
    kinds["ended early"] = (~whole, {"facecolor": "none", "edgecolor": "0.5", "linewidth": 0.8})
    for number, (ax, (name, found)) in enumerate(zip(panels, values.items(), strict=True)):
        found = np.asarray(found, dtype=float)
        for label, (among, look) in kinds.items():
            if among.any():
                ax.scatter(found[among], worth[among], s=14, label=label, **look)
        ax.scatter(float(default[name]), worth[0], s=70, marker="*", color=style("greedy")["color"], label="defaults")
        counts = (found == found.round()).all()
        if name in logs and counts and found.max() < 100 * found.min():  # labels between powers of ten would overlap
            ax.set_xscale("log", base=2)
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        elif name in logs:
            ax.set_xscale("log")
        if isinstance(default[name], bool):
            ax.set(xticks=(0, 1), xticklabels=("false", "true"), xlim=(-0.5, 1.5))
        ax.set_xlabel(name)
        if number % COLUMNS == 0:
            ax.set_ylabel("area")
    legend_above(fig)
    return fig
