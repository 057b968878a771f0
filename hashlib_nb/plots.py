"""Every figure of the course: arrays in, a matplotlib figure out, and one place to save it.

A cell ends with `plots.save_fig(plots.convergence(...), "01_convergence")`: the picture goes to `figures/` and is shown
once. Figures live outside pyplot, so nothing stays open and no backend has to be chosen. A method has one color, line
style and marker in every figure (`METHODS`); line style and marker alone tell methods apart in grey.

To add a figure, write a function below, in the order in which the course shows it: decorate it with `@_styled`, start
it with `_figure(...)`, label its axes with units, and give it a case in `tests/test_plots.py`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator, StrMethodFormatter

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
EVERY = 0.12  # markers along a line of many points, as a share of the axes' diagonal
MOST_BESIDE = 5  # pictures beside a query whose names can be read
MOST_BARS = 130  # bars of a histogram that can be told apart

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


# Stage 1: target codes


@_styled
def similarity_matrices(
    similarity: np.ndarray, inner_products: np.ndarray, classes: np.ndarray, class_names: Sequence[str]
) -> Figure:
    """What the codes should say beside what they say: S and Z Z^T / k of the same pictures.

    Args:
        similarity: [r, r], -1 or +1.
        inner_products: [r, r], from -1 to +1.
        classes: int [r], ascending: the pictures are sorted by class.
        class_names: name of each class.
    """
    fig = _figure(6.2, 3.1)
    left, right = fig.subplots(1, 2, sharey=True)
    shown, starts = np.unique(classes, return_index=True)
    edges = np.append(starts, len(classes))
    for ax, matrix, title in (
        (left, similarity, "wanted: $S$"),
        (right, inner_products, "found: $Z Z^T / k$"),
    ):
        image = ax.imshow(matrix, vmin=-1, vmax=1, cmap=VALUES, extent=(0, len(classes), len(classes), 0))
        ax.set(title=title, xlabel="picture, sorted by class", xticks=[])
        ax.tick_params(length=0)
    left.set_ylabel("picture, sorted by class")
    _name_rows(left, (edges[:-1] + edges[1:]) / 2, [class_names[c] for c in shown])
    fig.colorbar(image, ax=[left, right], label="similarity (no unit)", ticks=[-1, -0.5, 0, 0.5, 1], shrink=0.8)
    return fig


@_styled
def convergence(histories: Mapping[str, Mapping[str, np.ndarray]], lower_bound: float) -> Figure:
    """How far the codes' objective is above the lower bound after each Adam step, and after each sweep of the finish.

    Args:
        histories: for each method, objectives: `binarized` [epochs + 1], at the start and after each step,
            and `finish` [sweeps], which may be empty.
        lower_bound: of the objective. Where it is 0 the excess has no percentage, and the objective itself is shown.
    """
    fig = _figure(5.2, 3.2)
    ax = fig.subplots()
    unit = lower_bound or 1.0
    for method, history in histories.items():
        binarized, finish = (100 * (np.asarray(history[part]) - lower_bound) / unit for part in ("binarized", "finish"))
        last = len(binarized) - 1
        _line(ax, np.arange(last + 1), binarized, method)
        if finish.size:
            _line(ax, last + 1 + np.arange(len(finish)), finish, "discrete finish")
            ax.axvspan(last + 0.5, last + len(finish) + 0.5, color="0.93", zorder=0)
    ax.axhline(0, **style("lower bound"))
    ax.set_xlabel("step: of Adam (white), then sweep of the finish (shaded)")
    ax.set_ylabel("objective above the bound (%)" if lower_bound else "objective (%)")
    _percent_axis(ax)
    _legend_above(ax)
    return fig


@_styled
def class_codes(class_means: Mapping[str, np.ndarray], class_names: Sequence[str]) -> Figure:
    """The code matrix, classes by bits, one panel a method: dark is 1, light is 0, between them a class disagrees.

    Args:
        class_means: for each method [c, k], the share of a class' pictures whose bit is 1.
        class_names: the c names.
    """
    fig = _figure(5.2, 0.6 + 1.9 * len(class_means))
    panels = fig.subplots(len(class_means), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (method, means) in zip(panels, class_means.items(), strict=True):
        image = ax.imshow(means, vmin=0, vmax=1, cmap=VALUES, aspect="auto", interpolation="nearest")
        ax.set(title=method, ylabel="class")
        ax.set_yticks(np.arange(1, len(means)) - 0.5, minor=True)
        ax.grid(axis="y", which="minor", color="white", linewidth=1)
        ax.tick_params(which="both", length=0)
        _name_rows(ax, np.arange(len(means)), class_names)
    panels[-1].set_xlabel("bit")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    fig.colorbar(image, ax=list(panels), label="share of pictures with bit = 1", ticks=[0, 0.5, 1], aspect=30)
    return fig


@_styled
def class_distances(distances: np.ndarray, bits: int, class_names: Sequence[str]) -> Figure:
    """Hamming distances between the class codes, as a table and as a histogram with the largest mean that is possible.

    Args:
        distances: int [c, c], symmetric, 0 on the diagonal.
        bits: code length k. The mean of the distances between c codes is at most k/2 * c/(c - 1) (Plotkin, 1960).
        class_names: the c names.
    """
    c = len(distances)
    pairs = distances[np.triu_indices(c, 1)]
    fig = _figure(6.6, 3.2)
    table, histogram = fig.subplots(1, 2, width_ratios=[1.5, 1])
    span = max(1, np.ptp(pairs))
    image = table.imshow(distances, cmap=VALUES, vmin=pairs.min() - span / 2, vmax=pairs.max() + span / 2)
    table.set(title="distance between class codes (bits)", ylabel="class", xlabel="class, in the same order", xticks=[])
    _name_rows(table, np.arange(c), class_names)
    if c <= MOST_NUMBERS:
        _annotate(table, distances, dark=pairs.max())
    else:
        fig.colorbar(image, ax=table, label="Hamming distance (bits)", extend="min")
    most = bits / 2 * c / (c - 1)
    histogram.bar(*np.unique(pairs, return_counts=True), width=0.8, color="0.75", edgecolor="0.2")
    histogram.axvline(pairs.mean(), color="black", label=f"mean, {pairs.mean():.1f}")
    histogram.axvline(most, **style("lower bound") | {"label": f"largest mean possible, {most:.1f}"})
    histogram.set(xlabel="Hamming distance (bits)", ylabel="pairs of classes")
    for axis in (histogram.xaxis, histogram.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
    _legend_above(histogram, columns=1)
    return fig


# Stage 2: pictures to codes


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


# Stage 3: choosing bits


@_styled
def reward_correlations(rewards: Mapping[str, np.ndarray], test_map: np.ndarray) -> Figure:
    """Does the reward say what the test will say? One panel a kind of reward, one point a random subset of bits.

    Args:
        rewards: for each kind of reward codes [subsets], mAP.
        test_map: [subsets], mAP of the same subsets on query and database.
    """
    fig = _figure(6.8, 2.7)
    panels = fig.subplots(1, len(rewards), sharey=True, squeeze=False)[0]
    for ax, (kind, values) in zip(panels, rewards.items(), strict=True):
        ax.scatter(values, test_map, s=9, color=METHODS["random"][0], edgecolor="0.2", linewidth=0.4)
        ax.set(title=f"{kind}: r = {np.corrcoef(values, test_map)[0, 1]:.2f}", xlabel="reward (mAP)")
        ax.xaxis.set_major_locator(MaxNLocator(3))
    panels[0].set_ylabel("test mAP")
    return fig


@_styled
def learning_curve(
    curves: Mapping[str, Mapping[str, np.ndarray]], levels: Mapping[str, float], spread: float
) -> Figure:
    """Reward against reward calls: best so far (line) and mean over an update's episodes (dots), beside fixed levels.

    Dots are updates of whole episodes: those that restart from a part of the best subset say little about the policy.

    Args:
        curves: for each method `calls`, `best`, `reward` and `steps`, the length of the episodes [updates].
        levels: for each method that needs no curve, its reward; drawn as a horizontal line.
        spread: standard deviation of the level "random", drawn as a band.
    """
    fig = _figure(5.6, 3.4)
    ax = fig.subplots()
    for method, curve in curves.items():
        whole = curve["steps"] == np.max(curve["steps"])
        ax.scatter(curve["calls"][whole], curve["reward"][whole], s=5, color=METHODS[method][0], alpha=0.5)
        _line(ax, curve["calls"], curve["best"], method)
    for method, level in levels.items():
        ax.axhline(level, **style(method) | {"marker": "None"})
    if "random" in levels:
        ax.axhspan(levels["random"] - spread, levels["random"] + spread, color="0.9", zorder=0)
    ax.set(xlabel="reward calls: distinct subsets evaluated", ylabel="reward (mAP)")
    _legend_above(ax)
    return fig


@_styled
def kept_bits(masks: Mapping[str, np.ndarray], bit_map: np.ndarray) -> Figure:
    """Which bits each method keeps, above the mAP of each bit alone.

    Args:
        masks: for each method bool [k].
        bit_map: [k], mAP of the one-bit codes.
    """
    fig = _figure(6.4, 1.9 + 0.28 * len(masks))
    rows, bars = fig.subplots(2, 1, sharex=True, height_ratios=[0.3 * len(masks) + 0.2, 1.3])
    for row, (method, mask) in enumerate(masks.items()):
        kept = np.flatnonzero(mask)
        rows.barh(np.full(kept.size, row), 0.9, left=kept - 0.45, height=0.7, color=METHODS[method][0])
    rows.set(ylabel="kept by", ylim=(len(masks) - 0.5, -0.5))
    rows.tick_params(axis="x", length=0)
    _name_rows(rows, np.arange(len(masks)), list(masks))
    by_all = np.all(list(masks.values()), axis=0)
    bars.bar(np.arange(len(bit_map)), bit_map, color=np.where(by_all, "0.25", "0.75"))
    bars.set(xlabel="bit (dark: kept by every method above)", ylabel="its own mAP", xlim=(-0.8, len(bit_map) - 0.2))
    low = bit_map.min() - 0.15 * (np.ptp(bit_map) or 1)
    bars.set_ylim(max(0.0, low), None)
    bars.xaxis.set_major_locator(MaxNLocator(integer=True))
    return fig


@_styled
def policy_entropy(entropies: Mapping[str, np.ndarray], largest: float) -> Figure:
    """Mean policy entropy after each update, as a share of the updates done, so that runs of unequal length compare.

    Args:
        entropies: for each method [updates], nats.
        largest: entropy of the policy that takes every allowed action alike, averaged over an episode's steps.
    """
    fig = _figure(5.0, 3.0)
    ax = fig.subplots()
    for method, values in entropies.items():
        _line(ax, 100 * np.arange(1, len(values) + 1) / len(values), values, method)
    ax.axhline(largest, **style("random") | {"label": "uniform policy", "marker": "None"})
    ax.set(xlabel="training done (%)", ylabel="entropy (nats)", ylim=(0, None))
    _legend_above(ax)
    return fig


@_styled
def episode(probabilities: np.ndarray, bits: np.ndarray) -> Figure:
    """One episode of the final policy: its probabilities in every state, and the bit that it takes.

    Args:
        probabilities: [p, k], in the state before each step.
        bits: int [p], the bit kept in each step.
    """
    fig = _figure(6.4, 3.4)
    ax = fig.subplots()
    steps, k = probabilities.shape
    taken = np.zeros((steps, k), dtype=bool)
    for step, bit in enumerate(bits):
        taken[step + 1 :, bit] = True
    shown = np.ma.masked_where(taken, probabilities)
    extent = (-0.5, k - 0.5, steps + 0.5, 0.5)
    image = ax.imshow(shown, cmap=matplotlib.colormaps[VALUES].with_extremes(bad="0.6"), aspect="auto", extent=extent)
    ax.plot(
        bits,
        np.arange(1, steps + 1),
        linestyle="None",
        marker="o",
        markersize=4,
        color="white",
        markeredgecolor="black",
    )
    ax.set(xlabel="bit (grey: kept already, probability 0; circle: the bit taken)", ylabel="step")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    fig.colorbar(image, ax=ax, label="probability")
    return fig


# Stage 4: evaluation


@_styled
def map_by_length(
    lengths: Sequence[int], scores: Mapping[str, np.ndarray], levels: Mapping[str, float], spread: np.ndarray
) -> Figure:
    """mAP against the number of kept bits: mean over seeds with their standard deviation.

    Args:
        lengths: [l], bits kept.
        scores: for each method [seeds, l].
        levels: for each method whose code length is fixed, its mean; drawn as a horizontal line.
        spread: [l], standard deviation over random subsets of one seed, drawn as a band around "random".
    """
    fig = _figure(5.6, 3.6)
    ax = fig.subplots()
    if "random" in scores:
        middle = scores["random"].mean(axis=0)
        ax.fill_between(lengths, middle - spread, middle + spread, color="0.9", zorder=0)
    _seed_lines(ax, lengths, scores)
    for method, level in levels.items():
        ax.axhline(level, **style(method) | {"marker": "None"})
    ax.set(xlabel="bits kept", ylabel="mAP")
    ax.set_xticks(lengths)
    _legend_above(ax)
    return fig


@_styled
def precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Precision against recall, one point a Hamming radius, from the smallest ball that holds anything to all items.

    Args:
        curves: for each method recall and precision [radii]; NaN where nothing is retrieved.
    """
    fig = _figure(5.6, 3.5)
    ax = fig.subplots()
    for method, (recall, precision) in curves.items():
        ax.plot(recall, precision, **style(method))
    ax.set(xlabel="recall", ylabel="precision", ylim=(0, 1.02))
    _legend_above(ax)
    return fig


@_styled
def precision_radius2(
    lengths: Sequence[int], precision: Mapping[str, np.ndarray], empty: Mapping[str, np.ndarray]
) -> Figure:
    """Precision within Hamming radius 2, and the share of queries whose ball is empty, against the number of bits.

    Args:
        lengths: [l], bits kept.
        precision: for each method [seeds, l]; an empty ball counts 0.
        empty: for each method [seeds, l], from 0 to 1.
    """
    fig = _figure(6.8, 3.3)
    left, right = fig.subplots(1, 2)
    _seed_lines(left, lengths, precision)
    _seed_lines(right, lengths, {method: 100 * values for method, values in empty.items()})
    left.set(xlabel="bits kept", ylabel="precision within radius 2", xticks=lengths)
    right.set(xlabel="bits kept", ylabel="queries with an empty ball (%)", xticks=lengths, ylim=(0, None))
    left.yaxis.set_major_locator(MaxNLocator(5))
    fig.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=6, handlelength=3)
    return fig


@_styled
def precision_at_n(cut_offs: np.ndarray, curves: Mapping[str, np.ndarray], relevant: float) -> Figure:
    """Precision of the first N items against N.

    Args:
        cut_offs: [c], each N.
        curves: for each method [c].
        relevant: mean number of relevant items a query: up to here a perfect ranking has precision 1.
    """
    fig = _figure(5.6, 3.4)
    ax = fig.subplots()
    for method, values in curves.items():
        _line(ax, cut_offs, values, method)
    ax.axvline(relevant, color="0.6", linewidth=0.8, zorder=0)
    where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "right", "fontsize": 8}
    ax.annotate("relevant items", (relevant, 0.02), (-4, 0), **where)
    ax.set(xscale="log", xlabel="N, items looked at", ylabel="precision of the first N")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _legend_above(ax)
    return fig


@_styled
def top_matches(
    queries: np.ndarray, found: np.ndarray, right: np.ndarray, titles: Sequence[str], captions: Sequence[Sequence[str]]
) -> Figure:
    """Query pictures, each with its nearest database pictures: framed solid with a tick, or dashed with a cross.

    Args:
        queries: uint8 [r, h, w, c], c = 1 or 3.
        found: uint8 [r, t, h, w, c], nearest first.
        right: bool [r, t], whether the picture is relevant.
        titles: r texts for the queries.
        captions: for each query t texts under the pictures found.
    """
    rows, columns = right.shape
    fig = _figure(6.6, 0.4 + 1.35 * rows)
    panels = fig.subplots(rows, columns + 1, squeeze=False)
    for ax, head in zip(panels[0], ("query", *(f"nearest, {place}" for place in range(1, columns + 1))), strict=True):
        ax.set_title(head)
    for row in range(rows):
        _picture(panels[row, 0], queries[row], titles[row])
        for column in range(columns):
            ax = panels[row, column + 1]
            _picture(ax, found[row, column], captions[row][column])
            _frame(ax, bool(right[row, column]))
    return fig


@_styled
def neighbors(
    queries: Sequence[np.ndarray],
    found: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    captions: Sequence[Sequence[str]],
) -> Figure:
    """Query pictures, framed, each with the pictures that a search found for it, in as many rows as these take.

    Args:
        queries: q pictures uint8 [h, w, c], c = 1 or 3.
        found: for each query its pictures, nearest first; there may be none.
        titles: q texts under the queries.
        captions: for each query a text under each picture found.
    """
    columns = min(MOST_BESIDE, max(1, *map(len, found)))
    rows = [max(1, -(-len(pictures) // columns)) for pictures in found]
    fig = _figure(6.6, 0.3 + 1.35 * sum(rows))
    panels = fig.subplots(sum(rows), columns + 1, squeeze=False)
    for row, query, pictures, title, texts in zip(
        np.cumsum(rows) - rows, queries, found, titles, captions, strict=True
    ):
        _picture(panels[row, 0], query, title)
        panels[row, 0].spines[:].set(visible=True, linewidth=2)
        for ax, picture, text in zip(panels[row:, 1:].flat, pictures, texts, strict=False):
            _picture(ax, picture, text)
    panels[0, 0].set_title("query")
    panels[0, 1].set_title("nearest first", loc="left")
    for ax in panels.flat:
        if not ax.images:
            ax.remove()
    return fig


@_styled
def search_answer(
    query: np.ndarray, code: np.ndarray, used: np.ndarray, found: np.ndarray, right: np.ndarray, captions: Sequence[str]
) -> Figure:
    """A query picture beside its code as a barcode, above the pictures that a search with some of its bits found.

    Args:
        query: uint8 [h, w, c], c = 1 or 3.
        code: {0,1} [k].
        used: int [p], places of the bits that were searched with; the others are left empty.
        found: uint8 [t, h, w, c], nearest first.
        right: bool [t], whether the picture is relevant: framed solid with a tick, or dashed with a cross.
        captions: t texts under the pictures found.
    """
    rows = -(-len(found) // MOST_BESIDE)
    fig = _figure(6.6, 1.4 + 1.45 * rows)
    grid = fig.add_gridspec(1 + rows, MOST_BESIDE)
    _picture(fig.add_subplot(grid[0, 0]), query, "query")
    bars = fig.add_subplot(grid[0, 1:])
    values = np.full(len(code), np.nan)
    values[used] = np.asarray(code)[used]
    bars.imshow(values[None], cmap=VALUES, vmin=-0.25, vmax=1, aspect="auto", extent=(-0.5, len(code) - 0.5, 0, 1))
    bars.set(ylim=(-0.4, 1.4), xlabel="bit (dark: 1, light: 0, empty: not kept)")
    bars.spines[:].set_visible(False)
    bars.tick_params(left=False, labelleft=False)
    bars.xaxis.set_major_locator(MaxNLocator(integer=True))
    for place, (picture, good, caption) in enumerate(zip(found, right, captions, strict=True)):
        ax = fig.add_subplot(grid[1 + place // MOST_BESIDE, place % MOST_BESIDE])
        _picture(ax, picture, caption)
        _frame(ax, bool(good))
    return fig


# Comparing ways to choose bits


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


# What the figures share


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


def _spaced(ax: Axes, x: np.ndarray, y: np.ndarray, method: str) -> None:
    """A line in the method's style with markers at equal distances on the page; a single point keeps its marker."""
    ax.plot(x, y, markevery=EVERY if len(x) > 1 else None, **style(method))


def _seed_lines(ax: Axes, x: Sequence[int], scores: Mapping[str, np.ndarray]) -> None:
    """Mean over seeds [seeds, x] of each method, with bars of one standard deviation where there are several seeds.

    Methods stand a little beside each other, so that their bars can be told apart.
    """
    beside = 0.02 * (np.ptp(x) or 1) * np.linspace(-1, 1, len(scores))
    for (method, values), shift in zip(scores.items(), beside, strict=True):
        deviation = values.std(axis=0, ddof=1) if len(values) > 1 else None
        ax.errorbar(np.asarray(x) + shift, values.mean(axis=0), deviation, **style(method), capsize=2, elinewidth=0.8)


def _picture(ax: Axes, image: np.ndarray, caption: str) -> None:
    """A uint8 picture [h, w, c] with a caption under it."""
    ax.imshow(image.squeeze(axis=-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
    ax.set_xlabel(caption, fontsize=7.5)
    ax.spines[:].set_visible(False)
    ax.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)


def _frame(ax: Axes, right: bool) -> None:
    """Green, solid and ticked, or red, dashed and crossed, so that a grey print says it too."""
    color, linestyle, mark = ("#117733", "-", "\N{CHECK MARK}") if right else ("#CC3311", (0, (3, 2)), "\N{BALLOT X}")
    ax.spines[:].set(visible=True, color=color, linewidth=2.5, linestyle=linestyle)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    ax.text(0.97, 0.96, mark, transform=ax.transAxes, ha="right", va="top", color=color, fontsize=9, bbox=box)


def _legend_above(ax: Axes, columns: int = 4) -> None:
    """Above the axes, where it covers no data; a method drawn twice is named once."""
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    ax.legend(handles.values(), handles, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns, handlelength=3)


def _name_rows(ax: Axes, positions: Sequence[float], names: Sequence[str]) -> None:
    """Class names beside the rows of a matrix; every few rows only where there are too many to read."""
    every = -(-len(names) // MOST_NAMES)
    ax.set_yticks(positions[::every], names[::every])
    ax.tick_params(axis="y", length=0)


def _annotate(ax: Axes, matrix: np.ndarray, *, dark: float) -> None:
    """Write each entry into its cell, white from the value `dark` on."""
    for (row, column), value in np.ndenumerate(matrix):
        color = "white" if value >= dark else "black"
        ax.text(column, row, str(value), ha="center", va="center", fontsize=7, color=color)


def _percent_axis(ax: Axes) -> None:
    """A y axis from 0 on that is linear up to 1% and logarithmic above, with plain numbers."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.7)
    top = max(1.0, *(np.max(line.get_ydata(), initial=0) for line in ax.lines)) * 1.3
    ax.set_ylim(-0.15, top)
    ax.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
