"""Choosing p of k bits as a Markov decision process: the reward, a search with a budget, the Gymnasium environments.

Everything that chooses bits (ppo.py, selectors/) asks a `Search`, which remembers what a `Reward` measured, counts the
distinct subsets and stops at a budget; what comes out is a `Selection`.
"""

from hashlib_nb.selection.environments import BitSelectionEnv, BitSelectionVectorEnv
from hashlib_nb.selection.kept import Selection, check_n_bits, load_or_make
from hashlib_nb.selection.reward import (
    MAX_QUERIES,
    MOST,
    REWARD_CODES,
    Reward,
    check_reward_codes,
    random_masks,
    reward_codes,
)
from hashlib_nb.selection.search import BudgetSpent, Search, check_budget

__all__ = [
    "MAX_QUERIES", "MOST", "REWARD_CODES", "BitSelectionEnv", "BitSelectionVectorEnv", "BudgetSpent", "Reward",
    "Search", "Selection", "check_budget", "check_n_bits", "check_reward_codes", "load_or_make", "random_masks",
    "reward_codes",
]  # fmt: skip
