"""Videos and records: what is done to copies, where a clip lies in a film, who is found at which radius; a tree."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from hashlib_nb.plots.base import VALUES, legend_above, line, style, styled, subplots

COLUMNS = 5
"""Pictures beside each other in `titled_pictures`."""


@styled
def titled_pictures(pictures: Mapping[str, np.ndarray]) -> Figure:
    """Pictures with a title each, five in a row.

    Args:
        pictures: uint8 [h, w, 3], of any sizes, by title.
    """
    rows = -(-len(pictures) // COLUMNS)
    fig, panels = subplots(6.8, 1.15 * rows, rows, COLUMNS, squeeze=False)
    for ax in panels.flat:
        ax.set_axis_off()
    for ax, (title, picture) in zip(panels.flat, pictures.items(), strict=False):
        ax.imshow(picture)
        ax.set_title(title, fontsize=7)
    return fig


@styled
def alignment(distances: np.ndarray, votes: np.ndarray, radius: int, rate: float) -> Figure:
    """Distances between all frames of a clip and of a film, and how many pairs within the radius vote for each offset.

    Args:
        distances: [q, n], frames of the clip by frames of the film.
        votes: [q + n - 1], for the offsets 1 - q to n - 1.
        radius: up to which frames match; such pairs get a dot.
        rate: frames a second.
    """
    fig, (left, right) = subplots(6.8, 2.5, 1, 2, width_ratios=(1.15, 1))
    q, n = distances.shape
    extent = (-0.5 / rate, (n - 0.5) / rate, (q - 0.5) / rate, -0.5 / rate)
    shades = left.imshow(distances, cmap=f"{VALUES}_r", extent=extent, aspect="auto")
    rows, columns = np.nonzero(distances <= radius)
    left.scatter(columns / rate, rows / rate, s=9, color=style("greedy")["color"], label=f"within {radius}")
    left.set(xlabel="second of the film", ylabel="second of the clip")
    left.legend(loc="upper right", frameon=True)
    fig.colorbar(shades, ax=left, label="bits that differ")
    right.plot(np.arange(1 - q, n) / rate, votes, color=style("PPO")["color"])
    right.set(xlabel="offset of the clip in seconds", ylabel="pairs of frames", ylim=(0, None))
    return fig


@styled
def found_by_radius(
    radii: np.ndarray, found: Mapping[str, np.ndarray], wrong: Mapping[str, np.ndarray], early: Mapping[str, np.ndarray]
) -> Figure:
    """Copies that are found, films that are named wrongly and offsets that are wrong, against the radius.

    Args:
        radii: [r], of 256 bits.
        found: for each rule [r], share of the copies whose film is named.
        wrong: for each rule [r], share of the pairs of a query and a film it is not of that are named all the same.
        early: for each rule that says where [r], share of the copies found at a wrong offset; NaN where none is found.
    """
    fig, panels = subplots(6.8, 2.5, 1, 3)
    shares = {"copies found": found, "others named": wrong, "copies misplaced": early}
    for ax, (label, values) in zip(panels, shares.items(), strict=True):
        for rule, share in values.items():
            line(ax, radii, share, rule)
        ax.set(xlabel="radius, of 256 bits", ylabel=f"share of {label}", ylim=(0, None))
    legend_above(fig)
    return fig


@styled
def merkle_tree(n: int, leaf: int, labels: Mapping[tuple[int, int], str]) -> Figure:
    """A Merkle tree: which nodes prove that a leaf is in it, and which are computed from these.

    Args:
        n: leaves, at least 2.
        leaf: the one that is proved, from 0.
        labels: what to write into the nodes, by their first leaf and the one after their last.
    """
    nodes, joined = _nodes(0, n)
    depth = {(0, n): 0}
    for parent, child in joined:  # parents come before their children
        depth[child] = depth[parent] + 1
    fig, ax = subplots(5.2, 2.6)
    above = {node for node in nodes if node[0] <= leaf < node[1]}
    proof = {child for parent, child in joined if parent in above and child not in above}
    for parent, child in joined:
        ax.plot([sum(parent) / 2, sum(child) / 2], [-depth[parent], -depth[child]], color="0.6", zorder=1)
    kinds = {"computed from the leaf": (above, "white", "-"), "in the proof": (proof, style("PPO")["color"], "-")}
    kinds["not needed"] = ({*nodes} - above - proof, "0.9", ":")
    for label, (among, color, edge) in kinds.items():
        places = np.array([(sum(node) / 2, -depth[node]) for node in sorted(among)]).reshape(-1, 2)
        ax.scatter(*places.T, s=900, c=color, edgecolor="black", linestyle=edge, label=label, zorder=2)
    for node in nodes:
        ink = "white" if node in proof else "black"
        ax.text(sum(node) / 2, -depth[node], labels[node], ha="center", va="center", color=ink, fontsize=7, zorder=3)
    ax.margins(0.12, 0.25)
    ax.set_axis_off()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3, markerscale=0.35)
    return fig


def _nodes(begin: int, end: int) -> tuple[list[tuple[int, int]], list[tuple[tuple[int, int], tuple[int, int]]]]:
    """Nodes over the leaves begin..end - 1, and pairs of a node and one right below it."""
    if end - begin == 1:
        return [(begin, end)], []
    cut = begin + (1 << (end - begin - 1).bit_length() - 1)
    nodes, joined = [(begin, end)], []
    for child in ((begin, cut), (cut, end)):
        below, lines = _nodes(*child)
        nodes += below
        joined += [((begin, end), child), *lines]
    return nodes, joined
