"""Several workers: how long they take, and which of them had which part of the work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from hashlib_nb.plots.base import legend_above, style, styled, subplots


@styled
def seconds_by_workers(workers: Sequence[int], starting: Sequence[float], counting: Sequence[float]) -> Figure:
    """How long so many workers take, and how much of that passes before the first of them has anything to show.

    Args:
        workers: numbers of them.
        starting: seconds until the first part began.
        counting: seconds from there to the end.
    """
    fig, ax = subplots(5, 2.6)
    places = np.arange(len(workers))
    ax.bar(places, starting, 0.6, color="0.75", label="until the first part begins")
    ax.bar(places, counting, 0.6, bottom=starting, color=style("PPO")["color"], hatch="//", label="counting")
    ax.set(xlabel="workers", ylabel="seconds", xticks=places, xticklabels=[*map(str, workers)])
    legend_above(fig)
    return fig


@styled
def timeline(
    workers: Sequence[int], begun: Sequence[float], ended: Sequence[float], killed: int | None = None
) -> Figure:
    """A row for each worker, a bar for each part that it has made, in the order in which workers turn up.

    Args:
        workers: the worker of each part, by any number.
        begun: when each part was begun, in seconds.
        ended: when it was finished.
        killed: a worker that was killed in the midst of the work; None for none.
    """
    begun, ended = np.asarray(begun) - min(begun), np.asarray(ended) - min(begun)
    rows = {worker: row for row, worker in enumerate(dict.fromkeys(np.asarray(workers)[np.argsort(begun)].tolist()))}
    fig, ax = subplots(6, 0.7 + 0.45 * len(rows))
    for worker, left, right in zip(workers, begun, ended, strict=True):
        ax.barh(rows[worker], right - left, 0.6, left=left, color=style("PPO")["color"], edgecolor="white")
    if killed in rows:
        last = max(right for worker, right in zip(workers, ended, strict=True) if worker == killed)
        ax.plot(last, rows[killed], "X", ms=10, color=style("greedy")["color"], label="killed after this")
        legend_above(fig)
    ax.set(
        xlabel="seconds", ylabel="worker", yticks=[*rows.values()], yticklabels=[str(1 + row) for row in rows.values()]
    )
    ax.invert_yaxis()
    return fig
