"""Perceptual hashes: pictures on their way to bits, and how far copies and other pictures lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from hashlib_nb.plots.base import heatmap, legend_above, line, styled, subplots

COLUMNS = 5
"""Pictures beside each other."""
CHANGED = (0.83, 0.15, 0.12)
"""Color of a bit that differs."""
LOOKS = {
    "aHash": ("#E3A018", ":", "s"),
    "pHash": ("#2166AC", "-", "o"),
    "dHash": ("#C51B7D", "--", "^"),
    "wHash": ("#8C6D31", ":", "D"),
    "color hash": ("#9E9E9E", "-.", "X"),
    "PDQ": ("#1B7837", "--", "v"),
    "keyed DCT": ("#7B3294", "-", "P"),
    "random projection": ("#D95F0E", "-.", "d"),
}
"""Color, line style and marker of the hashes in this file's figures; other titles have looks as everywhere."""


@styled
def steps(pictures: Mapping[str, np.ndarray], *, columns: int = COLUMNS) -> Figure:
    """Pictures in a row, or in several, each with its title above: what every step makes of one of them.

    Args:
        pictures: for each title uint8 [h, w, 3], or gray or features float [h, w], which are shown from their smallest
            value (black) to their largest.
        columns: most of them in a row.
    """
    rows = -(-len(pictures) // columns)
    fig, panels = subplots(6.6, 0.1 + rows * (0.3 + 6.2 / columns), rows, columns, squeeze=False)
    for ax, (title, image) in zip(panels.flat, pictures.items(), strict=False):
        ax.imshow(image, cmap="gray", interpolation="nearest")
        ax.set_title(title)
    for ax in panels.flat:
        ax.set_axis_off()
    return fig


@styled
def hash_bits(codes: Mapping[str, tuple[np.ndarray, np.ndarray]], side: int) -> Figure:
    """Codes as squares of black (0) and white (1): of a picture above, of its copy below, where red bits differ.

    Args:
        codes: for each hash uint8 {0,1} [side * side] of the picture and of the copy.
        side: bits along a side.
    """
    fig, panels = subplots(6.6, 3.2, 2, len(codes), squeeze=False)
    for (above, below), (title, (own, copy)) in zip(panels.T, codes.items(), strict=True):
        above.imshow(own.reshape(side, side), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        shades = np.repeat(copy.reshape(side, side, 1).astype(float), 3, axis=2)
        shades[(own != copy).reshape(side, side)] = CHANGED
        below.imshow(shades, interpolation="nearest")
        above.set_title(title)
        below.set_title(f"{int((own != copy).sum())} of {len(own)} differ")
    for ax in panels.flat:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(True)
    panels[0, 0].set_ylabel("picture")
    panels[1, 0].set_ylabel("copy")
    return fig


@styled
def pair_shares(within: Mapping[str, np.ndarray], binomial: np.ndarray) -> Figure:
    """Share of pairs of different pictures within each distance, beside what as many fair coins would give.

    Args:
        within: for each hash float [k + 1], all of one length.
        binomial: float [k + 1], of k coins.
    """
    fig, ax = subplots(5.6, 3.3)
    distances = np.arange(len(binomial))
    for title, shares in within.items():
        line(ax, distances, np.where(shares > 0, shares, np.nan), title, **_look(title))
    shown = binomial > 1e-9
    ax.plot(distances[shown], binomial[shown], color="0.2", linestyle=(0, (1, 2)), label="fair coins")
    lowest = min(float(shares[shares > 0].min()) for shares in within.values())
    all_in = max(int((shares < 0.999).sum()) for shares in (*within.values(), binomial))
    ax.set(yscale="log", ylim=(lowest / 3, 1.6), xlabel=f"distance, of {len(binomial) - 1} bits")
    ax.set_xlim(right=min(1.05 * (all_in + 1), len(binomial)))
    ax.set_ylabel("pairs within it (share)")
    legend_above(fig)
    return fig


@styled
def roc(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], rate: float) -> Figure:
    """Copies found against false alarms, the latter on a logarithmic scale.

    Args:
        curves: for each hash false alarms and copies found, float [levels], shares.
        rate: of false alarms, drawn as a vertical line.
    """
    fig, ax = subplots(5.6, 3.4)
    for title, (alarms, hits) in curves.items():
        shown = alarms > 0
        line(ax, alarms[shown], hits[shown], title, **_look(title))
    ax.axvline(rate, color="0.5", linewidth=0.9, linestyle="--", label=f"{100 * rate:g}% false alarms", zorder=0)
    lowest = min(float(hits[alarms > rate / 100].min()) for alarms, hits in curves.values())
    ax.set(xscale="log", xlim=(rate / 100, 1.3), ylim=(max(0, lowest - 0.05), 1.02))
    ax.set(xlabel="different pairs within the radius (share)", ylabel="copies within it (share)")
    legend_above(fig)
    return fig


@styled
def found_by_family(shares: np.ndarray, hashes: Sequence[str], families: Sequence[str]) -> Figure:
    """Percent of copies that each hash finds, by family of attacks: a table of shades with numbers.

    Args:
        shares: [hashes, families], 0 to 1.
        hashes: names of the rows.
        families: names of the columns.
    """
    fig, ax = subplots(6.9, 1.35 + 0.24 * len(hashes))
    options = {"vmin": 0, "vmax": 100, "annot": True, "fmt": ".0f", "annot_kws": {"fontsize": 7.5}}
    heatmap(ax, 100 * shares, names=hashes, xticklabels=list(families), **options)
    ax.tick_params(axis="x", rotation=40)
    for label in ax.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    ax.set(xlabel="attack", ylabel="hash")
    return fig


@styled
def shares_learned(pairs: Sequence[int], shares: Mapping[str, Sequence[float]]) -> Figure:
    """How much of a keyed hash somebody can foretell who has seen so many pictures with their hashes.

    Args:
        pairs: numbers of pictures with their hashes.
        shares: for each kind of picture the share of bits that are right, one for each number.
    """
    fig, ax = subplots(5.4, 3.0)
    for title, values in shares.items():
        line(ax, pairs, 100 * np.asarray(values), title, markevery=1)
    ax.axhline(50, color="0.5", linewidth=0.9, linestyle=":", label="guessing")
    ax.set(xscale="log", ylim=(45, 101), xlabel="pictures with their hashes", ylabel="bits foretold (%)")
    ax.set_xticks(list(pairs), [str(each) for each in pairs])
    ax.minorticks_off()
    legend_above(fig)
    return fig


def _look(title: str) -> dict[str, str]:
    """Options of `line` for a hash."""
    if title not in LOOKS:
        return {}
    color, linestyle, marker = LOOKS[title]
    return {"color": color, "markeredgecolor": color, "linestyle": linestyle, "marker": marker}
