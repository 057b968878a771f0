"""What the course promises of its results, on the data it ships: retrieval of the codes, and PPO against chance.

One worker trains once for all of them (`pytest --dist loadgroup`).
"""

from __future__ import annotations

import numpy as np
import pytest

from hashlib_nb import codes, datasets, encoder
from hashlib_nb.metrics import mean_average_precision
from hashlib_nb.ppo import Args, train
from hashlib_nb.selection import Reward, random_masks

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("quality")]

SEEDS = (0, 1, 2)
SPLITS = datasets.load("fashion-mini")


@pytest.fixture(scope="module")
def fitted() -> list[encoder.Encoder]:
    """alexnet_small with its defaults for 64 bits, one encoder for each seed."""
    found = []
    for seed in SEEDS:
        targets = codes.infer_codes(SPLITS.train.labels, 64, seed=seed).codes
        found.append(encoder.fit(SPLITS.train.images, targets, arch="alexnet_small", device="cpu", seed=seed))
    return found


def test_the_codes_retrieve(fitted):
    """Tie-aware mAP over the whole database."""
    database, query = SPLITS.database, SPLITS.query
    scores = [
        mean_average_precision(each.encode(query.images), each.encode(database.images), query.labels, database.labels)
        for each in fitted
    ]
    assert np.mean(scores) >= 0.72


@pytest.mark.parametrize("p", [8, 16, 32])
def test_ppo_beats_the_best_of_200_random_subsets(fitted, p):
    """On 1,000 codes of pictures the encoder was not fitted to, as out-of-fold codes are; a quarter of the budget."""
    ours, chance = [], []
    for seed, each in zip(SEEDS, fitted, strict=True):
        held_out, labels = each.encode(SPLITS.database.images[::4]), SPLITS.database.labels[::4]
        reward = Reward(held_out, labels)
        ours.append(train(Args(n_bits=p, total_episodes=512, seed=seed, progress=False), held_out, labels).reward)
        chance.append(reward(random_masks(64, p, 200, seed)).max())
    assert np.mean(ours) > np.mean(chance)
