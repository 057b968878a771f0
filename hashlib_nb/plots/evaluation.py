"""How the kept bits retrieve (chapter 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from hashlib_nb.plots.base import legend_above, level, line, style, styled, subplots

CARDS = {True: ("#0B3C6F", "white", "\N{CHECK MARK}"), False: ("#EDEDED", "0.35", "\N{BALLOT X}")}
"""Ground, ink and sign of the card of a relevant item, and of another."""


@styled
def tied_cards(distance: np.ndarray, relevant: np.ndarray, scores: np.ndarray) -> Figure:
    """Items as cards, in a bin for each distance, and below them the average precision of every order of the cards.

    Distances say which bin comes first, and nothing about the order of the cards in a bin.

    Args:
        distance: int [n], of each item to the query; few items, so that the cards can be counted.
        relevant: bool [n].
        scores: [orders], average precision of each order that the distances allow.
    """
    fig, (bins, strip) = subplots(4.8, 2.9, 2, 1, height_ratios=[1.15, 1])
    left = 0.0
    for at in np.unique(distance):
        cards = np.sort(np.asarray(relevant, dtype=bool)[distance == at])[::-1]
        rim = {"boxstyle": "round,pad=0,rounding_size=0.15", "facecolor": "none", "edgecolor": "0.4", "linewidth": 1.2}
        bins.add_patch(FancyBboxPatch((left, 0), len(cards) + 0.2, 1.2, **rim))
        for place, card in enumerate(cards.tolist()):
            _card(bins, left + 0.18 + place, card)
        bins.text(left + (len(cards) + 0.2) / 2, -0.12, f"distance {at}", ha="center", va="top", fontsize=9)
        left += len(cards) + 0.75
    bins.set(xlim=(-0.1, left - 0.45), ylim=(-0.55, 1.3), aspect="equal")
    bins.set_axis_off()
    values, counts = np.unique(np.round(scores, 9), return_counts=True)
    values, height = values.repeat(counts), np.concatenate([np.arange(count) for count in counts])
    sns.scatterplot(x=values, y=height, color="0.35", s=42, linewidth=0, legend=False, ax=strip, zorder=3)
    mean, top = float(np.mean(scores)), counts.max()
    strip.plot([mean, mean], [-1, top], color="#D55E00", linewidth=2, zorder=2)
    strip.text(mean, top + 0.1, f"mean {mean:.3f}", ha="center", va="bottom", fontsize=9)
    strip.text(values[0] - 0.03, 0.5 * (top - 1), f"worst\n{values[0]:.3f}", ha="right", va="center", fontsize=9)
    strip.text(values[-1] + 0.03, 0.5 * (top - 1), f"best\n{values[-1]:.3f}", ha="left", va="center", fontsize=9)
    strip.set(xlim=(0, 1), ylim=(-1, top + 1.2), yticks=[], xlabel="average precision (a dot for each order)")
    strip.spines["left"].set_visible(False)
    return fig


def _card(ax: Axes, left: float, relevant: bool) -> None:
    """A card with a tick or a cross."""
    ground, ink, sign = CARDS[relevant]
    ax.add_patch(FancyBboxPatch((left, 0.15), 0.84, 0.9, boxstyle="round,pad=0,rounding_size=0.1", color=ground))
    ax.text(left + 0.42, 0.6, sign, ha="center", va="center", fontsize=12, color=ink)


@styled
def map_by_length(
    lengths: Sequence[int],
    scores: Mapping[str, np.ndarray],
    levels: Mapping[str, float],
    spread: np.ndarray,
    chance: float | None = None,
) -> Figure:
    """mAP against the number of kept bits: mean over seeds with their standard deviation.

    Args:
        lengths: [l], bits kept.
        scores: for each method [seeds, l].
        levels: for each method whose code length is fixed, its mean; drawn as a horizontal line.
        spread: [l], standard deviation over random subsets of one seed, drawn as a band around "random".
        chance: mAP of codes drawn at random, said in words: drawn to scale it would leave the others one line.
    """
    fig, ax = subplots(5.6, 3.6)
    if "random" in scores:
        middle = scores["random"].mean(axis=0)
        ax.fill_between(lengths, middle - spread, middle + spread, color="0.9", zorder=0)
    _seed_lines(ax, lengths, scores)
    for method, value in levels.items():
        level(ax, value, method)
    ax.set(xlabel="bits kept", ylabel="mAP", xticks=lengths)
    if chance is not None:
        where = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "fontsize": 8}
        where["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # a level may run there
        ax.annotate(f"chance, far below: {chance:.3f}", (1, 0), (-4, 4), **where)
    legend_above(fig)
    return fig


@styled
def losses(lengths: Sequence[int], points: Mapping[str, np.ndarray]) -> Figure:
    """Where mAP is lost, part by part, for each number of kept bits: means over seeds with their standard deviation.

    Args:
        lengths: [l], bits kept.
        points: for each part its cost in points of mAP, [seeds, l]; below 0 where a row that is no bound is passed.
    """
    fig, ax = subplots(5.6, 3.2)
    shape = next(iter(points.values())).shape
    _, places = np.indices(shape)
    frame = pd.concat(
        [
            pd.DataFrame({"bits": np.asarray(lengths)[places.ravel()], "points": values.ravel(), "lost to": part})
            for part, values in points.items()
        ]
    )
    greys = ["0.25", "0.55", "0.82"]
    bars = {"errorbar": "sd" if shape[0] > 1 else None, "err_kws": {"linewidth": 0.8}, "capsize": 0.15}
    sns.barplot(frame, x="bits", y="points", hue="lost to", palette=greys[: len(points)], ax=ax, **bars)
    ax.axhline(0, color="0.2", linewidth=0.6)
    ax.get_legend().remove()
    ax.set(xlabel="bits kept", ylabel="points of mAP lost")
    legend_above(fig)
    return fig


@styled
def precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Precision against recall, one point a Hamming radius, from the smallest ball that holds anything to all items.

    Args:
        curves: for each method recall and precision [radii]; NaN where nothing is retrieved.
    """
    fig, ax = subplots(5.6, 3.5)
    for method, (recall, precision) in curves.items():
        line(ax, recall, precision, method, markevery=None)
    ax.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    legend_above(fig)
    return fig


@styled
def precision_radius2(
    lengths: Sequence[int], precision: Mapping[str, np.ndarray], empty: Mapping[str, np.ndarray]
) -> Figure:
    """Precision within Hamming radius 2, and the share of queries whose ball is empty: a table of dots.

    A column for each number of bits, a row for each method: the mean over seeds, and a line of one standard deviation.

    Args:
        lengths: [l], bits kept.
        precision: for each method [seeds, l]; an empty ball counts 0.
        empty: for each method [seeds, l], from 0 to 1.
    """
    fig, rows = subplots(6.8, 1.9 + 0.36 * len(precision), 2, len(lengths), sharex="row", sharey=True, squeeze=False)
    shares = {method: 100 * np.asarray(values) for method, values in empty.items()}
    for axes, scores in zip(rows, (precision, shares), strict=True):
        for place, ax in enumerate(axes):
            _dots(ax, {method: np.asarray(values)[:, place] for method, values in scores.items()})
    for ax, bits in zip(rows[0], lengths, strict=True):
        ax.set_title(f"{bits} bits")
    rows[1, 0].set_xlim(0, None)
    for axes, what in zip(rows, ("precision\nwithin radius 2", "empty balls\n(% of queries)"), strict=True):
        axes[0].set_ylabel("bits kept by")
        for ax in axes:
            ax.set_xlabel(what)
    return fig


@styled
def precision_at_n(cut_offs: np.ndarray, curves: Mapping[str, np.ndarray], relevant: float) -> Figure:
    """Precision of the first N items against N, less that of all bits where these are among the curves.

    Differences are in points: precision itself falls by as much for every method where the relevant items run out.

    Args:
        cut_offs: [c], each N.
        curves: for each method [c].
        relevant: mean number of relevant items a query: up to here a perfect ranking has precision 1.
    """
    fig, ax = subplots(5.6, 3.4)
    base = curves.get("all bits")
    for method, values in curves.items():
        line(ax, cut_offs, values if base is None else 100 * (np.asarray(values) - base), method)
    ax.axvline(relevant, color="0.6", linewidth=0.8, zorder=0)
    where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "center", "fontsize": 8}
    ax.annotate("relevant items", (relevant, 1), (0, 3), **where)
    ylabel = "precision of the first N" if base is None else "precision of the first N,\nless that of all bits (points)"
    ax.set(xscale="log", xlabel="N, items looked at", ylabel=ylabel)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    legend_above(fig)
    return fig


@styled
def unseen_classes(
    unseen: Mapping[str, np.ndarray], seen: Mapping[str, np.ndarray], chance: tuple[float, float] | None = None
) -> Figure:
    """What codes find of classes that were left out of training, and, beside it, of those that were not.

    Methods stand below each other in the order of `unseen`: a small gray dot for each draw of classes, and the mean.

    Args:
        unseen: for each method mAP [draws] on the classes that were left out.
        seen: for each of the same methods mAP [draws] on the others.
        chance: mAP of codes drawn at random, of both.
    """
    fig, axes = subplots(6.6, 0.9 + 0.3 * len(unseen), 1, 2, sharey=True)
    for place, (ax, scores) in enumerate(zip(axes, (unseen, seen), strict=True)):
        frame = pd.DataFrame([(name, value) for name in unseen for value in np.ravel(scores[name])])
        frame.columns = ["method", "map"]
        sns.stripplot(frame, x="map", y="method", order=[*unseen], jitter=False, color="0.7", size=3, zorder=1, ax=ax)
        for row, name in enumerate(unseen):
            look = style(name) | {"linestyle": "None", "markersize": 7}
            ax.plot(
                np.mean(scores[name]), row, **look | {"marker": "|" if look["marker"] == "None" else look["marker"]}
            )
        if chance is not None:
            ax.axvline(chance[place], color="0.6", linewidth=0.8, linestyle=":", zorder=0)
            where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "center"}
            ax.annotate("chance", (chance[place], 1), (0, 3), fontsize=8, **where)
        ax.set(xlabel=f"mAP, {('classes left out', 'classes trained on')[place]}", ylabel="ranking by", xlim=(0, 1))
    return fig


def _dots(ax: Axes, scores: Mapping[str, np.ndarray]) -> None:
    """A row for each method: the mean over its seeds, and a line of one standard deviation where there are several."""
    for row, (method, values) in enumerate(scores.items()):
        look = style(method)
        marker = "|" if look["marker"] == "None" else look["marker"]
        if len(values) > 1:
            ax.hlines(row, *(values.mean() + values.std(ddof=1) * np.array([-1, 1])), color=look["color"], linewidth=1)
        ax.plot(values.mean(), row, color=look["color"], marker=marker, markersize=6, linestyle="None", clip_on=False)
    ax.set_yticks(range(len(scores)), list(scores))
    ax.set_ylim(len(scores) - 0.4, -0.6)  # the first above
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.grid(axis="y", color="0.9", linewidth=0.6)
    ax.tick_params(axis="y", length=0)


def _seed_lines(ax: Axes, x: Sequence[int], scores: Mapping[str, np.ndarray]) -> None:
    """Mean over seeds [seeds, x] of each method, with bars of one standard deviation where there are several seeds.

    Methods stand a little beside each other, so that their bars can be told apart.
    """
    beside = 0.1 * np.diff(x).min(initial=np.ptp(x) or 1) * np.linspace(-1, 1, len(scores))
    bars = {"errorbar": "sd", "err_style": "bars", "err_kws": {"capsize": 2, "elinewidth": 0.8}}
    for (method, values), shift in zip(scores.items(), beside, strict=True):
        line(ax, np.asarray(x) + shift, values, method, markevery=None, **bars)
