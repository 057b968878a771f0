"""Every way to choose p of k bits, behind one function and on one reward, so that they can be compared.

A method is a function `(search, seed) -> bits or None` in `methods` and one entry of `METHODS`, which `select`, the
command line, the comparison and the figures read. It asks its `Search` for rewards and may be stopped by `BudgetSpent`
at any of them. The answer of a run is the best subset of p bits whose reward it asked for, in the order that the method
returned if it returned that subset; what the method returned where it asked for none.

    python -m hashlib_nb.selectors --codes codes.npy --labels labels.npy --n-bits 16 --method greedy
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hashlib_nb import checks
from hashlib_nb.selection import MAX_QUERIES, Reward, Search, Selection, check_budget
from hashlib_nb.selectors import methods, surrogate

DEFAULT_BUDGET = 2000
"""Reward calls of an open-ended method where `budget` is None."""


@dataclass(frozen=True)
class Method:
    """A way to choose bits."""

    name: str
    """What commands and code call it."""
    title: str
    """What tables and figures call it."""
    find: Callable[[Search, int], Sequence[int] | np.ndarray | None]
    """`(search, seed) -> bits`, or None for the best subset that was asked for; its docstring says how it chooses."""
    calls: str
    """Reward calls that it makes where no budget stops it."""
    deterministic: bool = False
    """Whether it uses its random numbers to break ties alone, so that one seed stands for all."""
    open_ended: bool = False
    """Whether it never ends by itself, so that it needs a budget."""
    compared: bool = True
    """Whether the comparison runs it beside the others, unless told which to run."""

    @property
    def summary(self) -> str:
        """How it chooses, in one line."""
        return (self.find.__doc__ or self.title).partition("\n")[0]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("ppo", "PPO", methods.ppo, "the budget", open_ended=True),
        Method("untrained", "PPO, untrained", methods.untrained, "the budget", open_ended=True),
        Method("swap", "greedy + swap", methods.swap, "as many as it takes", deterministic=True),
        Method("greedy", "greedy", methods.greedy, "k + (k-1) + ..., p terms", deterministic=True),
        Method("backward", "backward", methods.backward, "k + (k-1) + ... + (p+1)", deterministic=True),
        Method("cem", "cross-entropy", methods.cem, "the budget", open_ended=True),
        Method("annealing", "annealing", methods.annealing, "the budget", open_ended=True),
        Method("stochastic_greedy", "stochastic greedy", methods.stochastic_greedy, "the budget", open_ended=True),
        Method("surrogate", "surrogate", surrogate.surrogate, "the budget", open_ended=True),
        Method("dqn", "DQN", methods.dqn, "the budget, k - p an episode", open_ended=True, compared=False),
        Method("random_search", "best random", methods.random_search, "the budget", open_ended=True),
        Method("per_bit_map", "per-bit mAP", methods.per_bit_map, "k", deterministic=True),
        Method("mrmr", "mRMR", methods.mrmr, "none", deterministic=True),
        Method("ndomset", "NDomSet", methods.ndomset, "none", deterministic=True),
        Method("entropy", "entropy", methods.entropy, "none", deterministic=True),
        Method("first", "first p", methods.first, "none", deterministic=True),
        Method("random", "random", methods.random, "none"),
        Method("exhaustive", "exhaustive", methods.exhaustive, "k choose p", deterministic=True, compared=False),
    )
}
"""Every method by its name, in the order in which tables show them."""


def check(method: str, budget: int | None, seed: int) -> None:
    """Raise ValueError for an unknown method, a budget that is no number of calls, or what is no seed."""
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {checks.shown(method)}")
    check_budget(budget)
    checks.seed(seed)


def select(
    codes,
    labels,
    n_bits: int,
    *,
    method: str,
    query_codes=None,
    budget: int | None = None,
    seed: int = 0,
    n_queries: int = MAX_QUERIES,
    reward: Reward | None = None,
    progress: bool = False,
) -> Selection:
    """Keep `n_bits` of the codes' bits.

    Args:
        codes: {0,1} [n, k]; not looked at where `reward` is given.
        labels: {0,1} [n, m], or class numbers int [n]; likewise.
        n_bits: p, in 1..k.
        method: a name in `METHODS`.
        query_codes: {0,1} [n, k], the rows' codes as queries, where these have codes of their own; see `Reward`.
        budget: most reward calls (distinct subsets evaluated) the method may spend. None for as many as it takes, which
            is `DEFAULT_BUDGET` for an open-ended method.
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
    check(method, budget, seed)
    seed = checks.seed(seed)
    if budget is None and METHODS[method].open_ended:
        budget = DEFAULT_BUDGET
    reward = reward or Reward(codes, labels, query_codes=query_codes, n_queries=n_queries, seed=seed)
    search = Search(reward, n_bits, budget, progress=progress)
    with search.bar:
        return search.run(METHODS[method].find, seed, method)
