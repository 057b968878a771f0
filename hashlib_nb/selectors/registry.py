"""Every way to choose p of k bits, behind one function and on one reward, so that they can be compared.

| method        | how it chooses                                  | reward calls              |
|---------------|-------------------------------------------------|---------------------------|
| random        | one random subset                               | 0                         |
| first         | bits 0..p-1                                     | 0                         |
| entropy       | the best balanced bits                          | 0                         |
| per_bit_map   | the bits that retrieve best alone               | k                         |
| mrmr          | informative of the labels, not of each other    | 0                         |
| ndomset       | normalized dominant set of the graph of bits    | 0                         |
| greedy        | adds the bit that helps most                    | k + (k-1) + ... (p terms) |
| backward      | drops the bit that is missed least              | k + (k-1) + ... + (p+1)   |
| swap          | greedy, then swaps single bits until none helps | as many as it takes       |
| random_search | the best of random subsets                      | the budget                |
| cem           | cross-entropy method                            | the budget                |
| annealing     | simulated annealing                             | the budget                |
| ppo           | a learned policy (ppo.py)                       | the budget                |
| exhaustive    | all subsets, where they are few                 | k choose p                |

A method is a function `(search, seed) -> bits or None`, entered in `METHODS`. It asks its `Search` for rewards and may
be stopped by `BudgetSpent` at any of them. The answer of a run is the best subset of p bits whose reward it asked for,
in the order that the method returned if it returned that subset; what the method returned where it asked for none.

    python -m hashlib_nb.selectors --codes codes.npy --labels labels.npy --bits 16 --method greedy
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hashlib_nb.budget import Search
from hashlib_nb.selection import MAX_QUERIES, Reward, Selection
from hashlib_nb.selectors.methods import (
    annealing,
    backward,
    cem,
    entropy,
    exhaustive,
    first,
    greedy,
    mrmr,
    ndomset,
    per_bit_map,
    ppo,
    random,
    random_search,
    swap,
)

DEFAULT_BUDGET = 2000
"""Reward calls of the methods in `OPEN_ENDED` where `budget` is None."""
OPEN_ENDED = ("random_search", "cem", "annealing", "ppo")
"""Methods that would never end by themselves."""
METHODS: dict[str, Callable[[Search, int], Sequence[int] | np.ndarray | None]] = {
    "random": random,
    "first": first,
    "entropy": entropy,
    "per_bit_map": per_bit_map,
    "mrmr": mrmr,
    "ndomset": ndomset,
    "greedy": greedy,
    "backward": backward,
    "swap": swap,
    "random_search": random_search,
    "cem": cem,
    "annealing": annealing,
    "ppo": ppo,
    "exhaustive": exhaustive,
}


def _check(method: str, budget: int | None, seed: int) -> None:
    """Raise ValueError for an unknown method, a budget under 1 or a negative seed."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if budget is not None and budget < 1:
        raise ValueError(f"budget must be None or at least 1 reward call, not {budget}")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")


def select(
    codes,
    labels,
    n_bits: int,
    *,
    method: str,
    budget: int | None = None,
    seed: int = 0,
    n_queries: int = MAX_QUERIES,
    reward: Reward | None = None,
    progress: bool = False,
) -> Selection:
    """Keep `n_bits` of the codes' bits.

    Args:
        codes: {0,1} [n, k]; not looked at where `reward` is given.
        labels: {0,1} [n, m]; likewise.
        n_bits: p, in 1..k.
        method: a name in `METHODS`.
        budget: most reward calls (distinct subsets evaluated) the method may spend. None for as many as it takes, which
            is `DEFAULT_BUDGET` for the methods in `OPEN_ENDED`.
        seed: of the method's random numbers and, as in ppo.py, of the draw of queries.
        n_queries: as in `Reward`.
        reward: a `Reward` to share between runs, instead of one made from codes and labels.
        progress: show a bar over reward calls.

    Returns:
        Selection, whose history is the anytime curve: `calls`, `seconds` and `best`, the highest reward of p bits so
        far, each time it rose and at the end.

    Raises:
        ValueError: an unknown method, n_bits outside 1..k, a budget under 1, a negative seed, codes and labels that do
            not fit, or more subsets than `exhaustive` takes.
    """
    _check(method, budget, seed)
    if budget is None and method in OPEN_ENDED:
        budget = DEFAULT_BUDGET
    search = Search(reward or Reward(codes, labels, n_queries=n_queries, seed=seed), n_bits, budget, progress=progress)
    with search.bar:
        return search.run(METHODS[method], seed, method)
