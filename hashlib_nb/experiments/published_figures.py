"""The figures that README.md and results/README.md show, of stored tables and of the codes that they were made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hashlib_nb import candidates, hamming, metrics, plots
from hashlib_nb.encoder import Setup
from hashlib_nb.experiments import results

SNEAKER = 2
"""Row of the query picture in the banner: one whose neighbors are of several kinds."""
BITS = 16
"""Bits of the codes whose nearest pictures are shown."""
FOUND = 5
"""Pictures beside a query."""
DRAWN = ("oracle", "decided greedy", "thermometer greedy", "greedy", "first p", "direct")
"""Methods of a table that have a line, where they are in it."""


def banner(setup: Setup) -> Figure:
    """The drawing at the top of the README: a query of the course, and the first picture at each small distance."""
    made, data, bits = setup.codes(), setup.splits, setup.select("ppo", BITS, candidates.THESIS).bits
    far = hamming.distances(made.query[SNEAKER : SNEAKER + 1, bits], made.database[:, bits])[0]
    distances, first, counts = (found[:FOUND] for found in np.unique(far, return_index=True, return_counts=True))
    right = (data.query.labels[SNEAKER] & data.database.labels[first]).any(axis=1)
    captions = [
        f"{_count(distance, 'bit')} away:\n{_count(n, 'picture')}"
        for distance, n in zip(distances, counts, strict=True)
    ]
    query, found = data.query.images[SNEAKER], data.database.images[first]
    return plots.banner(query, made.query[SNEAKER], bits, found, right, captions)


def map_by_length(record: Mapping[str, Any]) -> Figure:
    """mAP against bits, of a record of `hashlib_nb.results`: `DRAWN`, the fixed rows and chance."""
    rows = pd.DataFrame(record["rows"])
    lengths = sorted(record["args"]["lengths"])
    means = rows.groupby(["method", "seed", "bits"])["map"].mean()
    there = {*rows["method"]}
    lines = {name: means[name].unstack()[lengths].to_numpy() for name in DRAWN if name in there}
    levels = {name: means[name].mean() for name in (*results.CEILINGS, *results.FIXED) if name in there}
    return plots.map_by_length(lengths, lines, levels, np.zeros(len(lengths)), means[results.CHANCE].mean())


def questions_map_by_length(record: Mapping[str, Any]) -> Figure:
    """mAP against bits, of a record of `hashlib_nb.questions`: the ways to ask, and the rows to compare with."""
    found = pd.DataFrame(record["rows"])
    fixed = found[(found["study"] != "dichotomies") | ((found["what"] == "stage 1") & (found["levels"] == "fixed"))]

    def line(study: str, **wanted: str) -> np.ndarray:
        part = fixed[fixed["study"] == study]
        for column, value in wanted.items():
            part = part[part[column] == value]
        return part.pivot_table(index="seed", columns="bits", values="map")[lengths].to_numpy()

    lengths = sorted({*fixed.loc[fixed["study"] == "dichotomies", "bits"]})
    lines = {
        "oracle": line("references", what="oracle"),
        "decided greedy": line("dichotomies", kind="decided"),
        "thermometer greedy": line("dichotomies", kind="thermometer"),
        "greedy": line("dichotomies", kind="one half"),
        "direct": line("direct", kind="one half"),
    }
    chance = line("references", what="chance").mean()
    levels = {name: found.loc[found["what"] == name, "map"].mean() for name in (*results.CEILINGS, *results.FIXED)}
    return plots.map_by_length(lengths, lines, levels, np.zeros(len(lengths)), chance)


def nearest_pictures(setup: Setup) -> Figure:
    """Two good and two bad queries of the table's first seed, each with its nearest pictures in decided bits.

    Good and bad are the highest and lowest AP, two label sets each; which of the tied pictures are shown is drawn.
    """
    data, options = setup.splits, candidates.Options(decided=True)
    pool = setup.candidates(options)
    query, database = pool.test_codes(setup.select("greedy", BITS, options).bits)
    scores = metrics.average_precision(query, database, data.query.labels, data.database.labels)
    picked = _best_and_worst(scores, data.query.labels)
    far = hamming.distances(query[picked], database)
    tied = [np.bincount(row) for row in far]
    coins = np.random.default_rng(setup.seed).random(far.shape)
    nearest = np.lexsort((coins, far))[:, :FOUND]
    names = data.class_names
    titles = [f"{_named(data.query.labels[row], names)}\nAP {scores[row]:.2f}" for row in picked]
    captions = [
        [
            f"{_named(data.database.labels[index], names)}\nat {_count(at, 'bit')}, {counts[at]} tied"
            for index, at in zip(indices, distances, strict=True)
        ]
        for indices, distances, counts in zip(nearest, np.take_along_axis(far, nearest, axis=1), tied, strict=True)
    ]
    right = (data.query.labels[picked][:, None] & data.database.labels[nearest]).any(axis=2)
    pictures = np.stack([data.database.images[np.sort(row)][np.argsort(np.argsort(row))] for row in nearest])
    return plots.top_matches(data.query.images[picked], pictures, right, titles, captions)


def _best_and_worst(scores: np.ndarray, labels: np.ndarray) -> list[int]:
    """Two rows with the highest and two with the lowest scores [q], of two label sets each; NaN is left out."""
    ascending = np.argsort(scores)[: np.isfinite(scores).sum()]

    def two(order: np.ndarray) -> list[int]:
        other = (labels[order] != labels[order[0]]).any(axis=1)
        return [int(order[0]), *map(int, order[other][:1])]

    return two(ascending[::-1]) + two(ascending)


def _named(labels: np.ndarray, names: list[str]) -> str:
    """Names of the labels {0,1} [m] that a picture has: two, or one and how many more."""
    has = [names[place] for place in np.flatnonzero(labels)]
    return f"{has[0]} and {len(has) - 1} more" if len(has) > 2 else ", ".join(has) or "no label"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
