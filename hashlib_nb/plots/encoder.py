"""Stage 2: pictures to codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter

from hashlib_nb.plots.base import METHODS, VALUES, _figure, _legend_above, _line, _styled, style

MOST_BARS = 130  # bars of a histogram that can be told apart


@_styled
def training_curves(loss: np.ndarray, bit_accuracy: np.ndarray, held_out: np.ndarray, majority: float) -> Figure:
    """Loss and bit accuracy after each epoch, beside what a network that sees nothing can reach.

    Args:
        loss: [epochs], binary cross-entropy per bit in nats, of the final encoder while it trains.
        bit_accuracy: [epochs], of the same encoder on the same pictures, 0..1.
        held_out: [folds, epochs], bit accuracy of each fold's encoder on the pictures it does not train on.
        majority: bit accuracy of always answering with each bit's more frequent value.
    """
    fig = _figure(6.8, 3.0)
    left, right = fig.subplots(1, 2)
    epochs = np.arange(1, len(loss) + 1)
    _line(left, epochs, loss, "in sample")
    left.axhline(np.log(2), color="0.3", linestyle=":", label="no idea: ln 2")
    left.set(ylabel="loss per bit (nats)", ylim=(0, None))
    left.legend(loc="upper right", bbox_to_anchor=(1, 0.93), handlelength=3)
    _line(right, epochs, 100 * bit_accuracy, "in sample")
    _line(right, epochs, 100 * held_out.mean(axis=0), "out of fold")
    lowest, highest = 100 * held_out.min(axis=0), 100 * held_out.max(axis=0)
    right.fill_between(epochs, lowest, highest, color="0.85", label="range of the folds")
    right.axhline(100 * majority, color="0.3", linestyle=":", label="more frequent value")
    right.set(ylabel="bits that are right (%)", ylim=(min(100 * majority, lowest.min()) - 3, 101))
    right.legend(loc="lower right", bbox_to_anchor=(1, 0.1), handlelength=3)
    for ax in (left, right):
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return fig


@_styled
def bit_accuracy(accuracies: Mapping[str, np.ndarray]) -> Figure:
    """Share of pictures whose bit is right, bit by bit, in ascending order of the method named first.

    Args:
        accuracies: for each method [k], 0..1. The first is drawn as a line, the others as points.
    """
    fig = _figure(5.6, 3.3)
    ax = fig.subplots()
    order = np.argsort(next(iter(accuracies.values())), kind="stable")
    ranks = np.arange(1, len(order) + 1)
    for number, (method, values) in enumerate(accuracies.items()):
        look = style(method) | ({"marker": "None"} if number == 0 else {"linestyle": "None", "markersize": 4})
        ax.plot(ranks, 100 * values[order], **look)
    ax.set(xlabel=f"bits, sorted by accuracy ({next(iter(accuracies))})", ylabel="pictures with the right bit (%)")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_above(ax)
    return fig


@_styled
def coded_pictures(images: np.ndarray, codes: np.ndarray, wanted: np.ndarray, captions: Sequence[str]) -> Figure:
    """Pictures beside their codes as barcodes: dark is 1, light is 0, a triangle marks each bit that is wrong.

    Args:
        images: uint8 [r, h, w, c], c = 1 or 3.
        codes: {0,1} [r, k], of the pictures.
        wanted: {0,1} [r, k], the target code of each picture's own class.
        captions: one line of text for each picture.
    """
    fig = _figure(6.4, 0.5 + 0.55 * len(images))
    panels = fig.subplots(len(images), 2, width_ratios=[1, 11], squeeze=False)
    for (left, right), image, code, target, caption in zip(panels, images, codes, wanted, captions, strict=True):
        left.imshow(image.squeeze(axis=-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        right.imshow(code[None], cmap=VALUES, vmin=0, vmax=1.2, aspect="auto", extent=(-0.5, len(code) - 0.5, 0, 1))
        wrong = np.flatnonzero(code != target)
        right.plot(wrong, np.full(wrong.size, -0.25), "^", color="black", markersize=3)
        right.text(-0.5, 1.1, caption, va="bottom", fontsize=8)
        right.set(xlim=(-0.7, len(code) - 0.3), ylim=(-0.5, 1.8))
        for ax in (left, right):
            ax.spines[:].set_visible(False)
            ax.tick_params(length=0, labelleft=False, labelbottom=False)
    panels[-1, 1].tick_params(length=3, left=False, labelbottom=True)
    panels[-1, 1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1, 1].set_xlabel("bit (triangle: not as in the target code of its class)")
    return fig


@_styled
def distance_histogram(within: np.ndarray, between: np.ndarray, targets: np.ndarray) -> Figure:
    """Hamming distances of pairs of pictures of one class and of two, and of the target codes of two classes.

    Args:
        within: [k + 1], pairs of one class at each distance.
        between: [k + 1], pairs of different classes at each distance.
        targets: [k + 1], pairs of different target codes at each distance.
    """
    fig = _figure(5.6, 3.3)
    ax = fig.subplots()
    width = -(-len(within) // MOST_BARS)  # distances a bar
    starts = np.arange(0, len(within), width)
    share = {}
    for name, counts in (("within", within), ("between", between), ("targets", targets)):
        share[name] = 100 * np.add.reduceat(counts, starts) / max(1, counts.sum())
    middle = starts + (width - 1) / 2
    ax.bar(middle, share["between"], width, color="0.75", label="two classes")
    edges = np.append(starts, starts[-1] + width) - 0.5
    ax.stairs(share["within"], edges, color=METHODS["query"][0], linewidth=1.5, label="one class")
    drawn = share["targets"] > 0
    ax.plot(middle[drawn], share["targets"][drawn], linestyle="None", marker="o", fillstyle="none", color="black")
    ax.lines[-1].set_label("target codes of two classes")
    ax.set_yscale("log")
    ax.set(xlabel="Hamming distance (bits)", ylabel="share of pairs (%)", ylim=(0.01, 130), xlim=(-1.5, edges[-1] + 1))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    _legend_above(ax)
    return fig
