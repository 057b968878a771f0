"""What other people's codes retrieve: outputs at zero, and thermometer bits that held-out rows choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hashlib_nb import hamming, metrics, selectors, thermometer
from hashlib_nb.candidates import Candidates
from hashlib_nb.experiments.rival_tables import KINDS
from hashlib_nb.thermometer import LEVELS, ClassCodes

if TYPE_CHECKING:
    from hashlib_nb.experiments.rivals import Data

LEAST_ROWS = 5
"""Held-out rows that a class needs to have a majority code: one row would be told by itself."""


def scores(data: Data, query: np.ndarray, database: np.ndarray) -> np.ndarray:
    """Average precision float64 [3, q] of codes {0,1} [n, k], in the order of `metrics.TIES`."""
    codes = np.asarray(query, np.uint8), np.asarray(database, np.uint8)
    found = hamming.histograms(*codes, data.labels("query"), data.labels("database"))
    return np.stack(
        [metrics.average_precision_from_histograms(found.counts, found.relevant, ties=ties) for ties in metrics.TIES]
    )


def thermometer_scores(data: Data, said: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`scores` of thermometer bits that greedy keeps, by kind and bits, and what the held-out rows paid for them.

    Levels are quantiles of the held-out outputs. A class' code is the majority of its held-out rows, where there are
    `LEAST_ROWS`; a decided query takes the one that differs least from its own bits, all candidates counted.

    Args:
        data: of the seed.
        said: outputs float32 [n, k] of "query", "database" and "held" rows.
    """
    levels = thermometer.quantiles(said["held"], LEVELS)
    bits = {part: thermometer.bits(each, levels) for part, each in said.items()}
    labels = data.labels("train")[data.held]
    outputs, thresholds = thermometer.meanings(said["held"].shape[1], levels)
    decided: dict[str, np.ndarray | None] = {"held": None, "query": None}
    found = {}
    for kind in KINDS[1:]:
        if kind == KINDS[2]:
            decided = {part: _decided(bits[part], bits["held"], labels) for part in decided}
            if data.args.n_unseen or decided["held"] is None:
                continue
        pool = Candidates(
            kind,
            reward_codes=bits["held"],
            reward_labels=labels,
            in_sample_codes=bits["held"],
            fold=np.zeros(len(labels), np.int64),
            query_codes=bits["query"],
            query_labels=data.labels("query"),
            database_codes=bits["database"],
            database_labels=data.labels("database"),
            reward_queries=decided["held"],
            decided_codes=decided["query"],
            outputs=outputs,
            thresholds=thresholds,
            ids=thermometer.distinct(bits["held"], decided["held"]),
        )
        lengths = [n_bits for n_bits in data.args.lengths if n_bits <= pool.k]
        if not lengths:
            continue
        reward = pool.reward(n_queries=len(labels), seed=data.seed)
        # Greedy's first p bits are what it keeps of p.
        kept = selectors.select(None, None, max(lengths), method="greedy", reward=reward, seed=data.seed).bits
        for n_bits in lengths:
            found[f"{kind}/{n_bits}"] = scores(data, *pool.test_codes(pool.searched[kept[:n_bits]]))
            found[f"paid/{kind}/{n_bits}"] = np.array(reward.of_bits(kept[:n_bits]))
    return found


def _decided(bits: np.ndarray, held: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """The class code of each row's nearest class, uint8 {0,1} [n, candidates]; None where no class has enough rows."""
    _, group, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    enough = counts[group.reshape(-1)] >= LEAST_ROWS
    if not enough.any():
        return None
    codes = ClassCodes.of(held[enough], labels[enough]).codes
    return codes[hamming.nearest(bits, codes, 1).indices[:, 0]]
