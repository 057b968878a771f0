"""Ways to choose p of k bits other than PPO, behind one function, so that they can be compared on the same reward.

A method is a function `(reward, n_bits, budget, seed) -> bits`, registered in `METHODS`. `select` gives it a fresh
`Reward` and counts the calls. To add one: write the function, put it into `METHODS`; the tests run over every entry.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hashlib_nb.selection import MAX_QUERIES, Reward, Selection, check_n_bits, random_masks


def first(reward: Reward, n_bits: int, budget: int | None, seed: int) -> np.ndarray:
    """Bits 0..p-1: what cutting a code short does."""
    return np.arange(n_bits)


def random(reward: Reward, n_bits: int, budget: int | None, seed: int) -> np.ndarray:
    """One uniformly random subset: the chance level of every other method."""
    return np.flatnonzero(random_masks(reward.k, n_bits, 1, seed)[0])


def random_search(reward: Reward, n_bits: int, budget: int | None, seed: int) -> np.ndarray:
    """The best of `budget` (200 if None) random subsets: what a search must beat to be worth its name."""
    masks = random_masks(reward.k, n_bits, 200 if budget is None else budget, seed)
    return np.flatnonzero(masks[reward(masks).argmax()])


def greedy(reward: Reward, n_bits: int, budget: int | None, seed: int) -> np.ndarray:
    """Forward selection: keep the bit that adds most to the kept ones' mAP, p times; k + (k-1) + ... calls.

    `budget` bounds the calls: bits that it cannot pay for are drawn at random.
    """
    kept: list[int] = []
    rest = np.random.default_rng(seed).permutation(reward.k)  # ties between equally good bits are broken at random
    while len(kept) < n_bits:
        if budget is not None and reward.calls + len(rest) > budget:
            return np.array([*kept, *rest[: n_bits - len(kept)]])
        masks = np.zeros((len(rest), reward.k), dtype=np.uint8)
        masks[:, kept] = 1
        masks[np.arange(len(rest)), rest] = 1
        winner = int(reward(masks).argmax())
        kept.append(int(rest[winner]))
        rest = np.delete(rest, winner)
    return np.array(kept)


METHODS: dict[str, Callable[[Reward, int, int | None, int], np.ndarray]] = {
    "first": first,
    "random": random,
    "random_search": random_search,
    "greedy": greedy,
}


def select(
    codes: np.ndarray,
    labels: np.ndarray,
    n_bits: int,
    *,
    method: str,
    budget: int | None = None,
    seed: int = 0,
    n_queries: int = MAX_QUERIES,
) -> Selection:
    """Keep `n_bits` of the codes' bits.

    Args:
        codes: {0,1} [n, k].
        labels: {0,1} [n, m].
        n_bits: p, in 1..k.
        method: a name in `METHODS`.
        budget: most reward calls (distinct subsets evaluated) the method may spend; None for as many as it takes.
        seed: of the method's random numbers and, as in ppo.py, of the draw of queries.
        n_queries: as in `Reward`.

    Raises:
        ValueError: an unknown method, n_bits outside 1..k, a budget under 1, or codes and labels that do not fit.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if budget is not None and budget < 1:
        raise ValueError(f"budget must be None or at least 1 reward call, not {budget}")
    reward = Reward(codes, labels, n_queries=n_queries, seed=seed)
    check_n_bits(n_bits, reward.k)
    bits = METHODS[method](reward, n_bits, budget, seed)
    calls = reward.calls
    return Selection(bits, reward.of_bits(bits), calls, method, reward.k)
