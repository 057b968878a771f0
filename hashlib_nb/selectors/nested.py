"""One order of bits whose every prefix is a code: whoever has it cuts a code to any length.

The reward of an order is the mean mAP of its prefixes of a few lengths. Where the bits of a code are asked one after
another anyway this is what progressive retrieval wants; a greedy choice is such an order, made for no length above all.

    python -m hashlib_nb selectors --nested --codes candidates.npz --labels labels.npy --n-bits 64 --out kept
    python -m hashlib_nb encode photos --model model --selection kept/report.json --n-bits 16
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming import MAX_BITS, mask_of
from hashlib_nb.selection import (
    MAX_QUERIES,
    BitSelectionVectorEnv,
    BudgetSpent,
    Reward,
    Search,
    Selection,
    check_budget,
    check_n_bits,
)
from hashlib_nb.selectors import methods

PREFIX_LENGTHS = (4, 8, 12, 16, 24, 32, 48, 64)
"""Lengths over which an order's reward is the mean: those below p, and p."""
NESTED = ("greedy", "ppo")
"""Names of the methods that find an order."""
EPISODES = 16
"""Orders that PPO tries at once."""
PPO_BUDGET = 8000
"""Reward calls of PPO where `budget` is None; an episode of 64 bits takes up to 8 of them, one a length."""
OUTSIDERS = 32
"""Random bits from outside the order that the local search tries in each of its places."""


def prefix_lengths(n_bits: int, lengths: Sequence[int] = PREFIX_LENGTHS) -> tuple[int, ...]:
    """The `lengths` below p = `n_bits`, and p, ascending. Raises ValueError for what are no lengths."""
    lengths = checks.counts(lengths, "lengths", most=MAX_BITS, distinct=True)
    return (*sorted(length for length in lengths if length < n_bits), n_bits)


def check_nested(method: str, budget: int | None, lengths: Sequence[int]) -> None:
    """Raise ValueError for a method that finds no order, or a budget that does not pay for one."""
    if method not in NESTED:
        raise ValueError(f"method must be one of {', '.join(NESTED)} for a nested order, not {checks.shown(method)}")
    orders = EPISODES if method == "ppo" else 1
    if budget is not None and budget < orders * len(lengths):
        at_once = f" of each of the {orders} orders that PPO tries at once" if orders > 1 else ""
        least = orders * len(lengths)
        raise ValueError(f"budget is {budget}; give {least} or more, one for each of {len(lengths)} prefixes{at_once}")


class OrderSearch(Search):
    """A `Search` whose answers are orders of p bits instead of sets; each prefix is a subset, which costs a call.

    Args:
        reward, budget, progress: as in `Search`.
        lengths: of the prefixes that count, ascending, the last of them p.
    """

    def __init__(self, reward: Reward | Search, lengths: Sequence[int], budget=None, *, progress=False):
        super().__init__(reward, lengths[-1], budget, progress=progress)
        self.lengths = np.asarray(lengths)

    def record(self, masks: np.ndarray, values: np.ndarray) -> None:
        """No subset is an answer."""
        self.bar.update(len(masks))

    def prefixes(self, orders: np.ndarray) -> np.ndarray:
        """Masks uint8 {0,1} [e, m, k] of the prefixes of orders int [e, p]."""
        masks = np.zeros((len(orders), len(self.lengths), self.k), np.uint8)
        for place, length in enumerate(self.lengths):
            np.put_along_axis(masks[:, place], orders[:, :length], 1, axis=1)
        return masks

    def rewards(self, order: np.ndarray) -> np.ndarray:
        """Rewards float64 [m] of the prefixes of an order int [p]. Raises BudgetSpent as a call does."""
        return self(self.prefixes(np.asarray(order)[None])[0])

    def measured(self, order: np.ndarray) -> np.ndarray:
        """The same of an order that is the answer, which is no call of the search."""
        return self.reward(self.prefixes(np.asarray(order)[None])[0])


def random_orders(reward: Reward, lengths: Sequence[int], number: int, seed: int) -> np.ndarray:
    """Rewards float64 [number, m] of the prefixes of random orders: what an order must beat."""
    search, rng = OrderSearch(reward, lengths), np.random.default_rng(seed)
    orders = np.array([rng.permutation(reward.k)[: search.n_bits] for _ in range(number)])
    return reward(search.prefixes(orders).reshape(-1, reward.k)).reshape(number, -1)


def nested_order(
    codes,
    labels,
    n_bits: int,
    *,
    method: str = "greedy",
    lengths: Sequence[int] = PREFIX_LENGTHS,
    query_codes=None,
    budget: int | None = None,
    seed: int = 0,
    n_queries: int = MAX_QUERIES,
    reward: Reward | None = None,
    progress: bool = False,
) -> Selection:
    """An order of `n_bits` of the codes' bits whose prefixes are good codes of many lengths.

    Args:
        codes: {0,1} [n, k]; not looked at where `reward` is given.
        labels: {0,1} [n, m], or class numbers int [n]; likewise.
        n_bits: p, in 1..k.
        method: "greedy", the order of forward selection and a local search from there, or "ppo".
        lengths: prefixes over whose rewards the mean is taken, those below `n_bits`, and `n_bits`.
        query_codes: as in `select`.
        budget: most reward calls (distinct prefixes evaluated); None for as many as the local search takes, and for
            `PPO_BUDGET` of PPO.
        seed: of the search and of the draw of queries.
        n_queries: as in `Reward`.
        reward: a `Reward` to share between runs, instead of one made from codes and labels.
        progress: show a bar over reward calls.

    Returns:
        Selection of the bits in that order. Its reward is the mean over the lengths, which `prefix_lengths` in its
        history names; `prefix_rewards` has the reward of each, `calls`, `seconds` and `best` are as in `select`.

    Raises:
        ValueError: as `select`, for another method, and for what are no lengths.
    """
    budget, seed = check_budget(budget), checks.seed(seed)
    reward = reward or Reward(codes, labels, query_codes=query_codes, n_queries=n_queries, seed=seed)
    lengths = prefix_lengths(check_n_bits(n_bits, reward.k), lengths)
    check_nested(method, budget, lengths)
    if method == "ppo" and budget is None:
        budget = PPO_BUDGET
    search = OrderSearch(reward, lengths, budget, progress=progress)
    with search.bar:
        order = _by_ppo(search, seed) if method == "ppo" else _by_exchanges(search, seed)
    rewards = search.measured(order)
    curve = np.array([*search.trace, (search.calls, search.seconds, rewards.mean())])
    history = {"calls": curve[:, 0].astype(np.int64), "seconds": curve[:, 1], "best": curve[:, 2]}
    history |= {"prefix_lengths": np.array(lengths), "prefix_rewards": rewards}
    return Selection(np.array(order), float(rewards.mean()), search.calls, f"nested {method}", reward.k, history)


def _by_exchanges(search: OrderSearch, seed: int) -> np.ndarray:
    """Greedy's order, from which bits are exchanged until none in its turn gains, or the budget is spent.

    Where that is less than twice what greedy takes, it is greedy among a few random bits a step.
    """
    rng, turn, unchanged = np.random.default_rng(seed), 0, 0
    takes = sum(range(search.k - search.n_bits + 1, search.k + 1))
    affordable = search.budget is None or search.budget >= 2 * takes
    order = methods.greedy(search, seed) if affordable else methods.sampled_greedy(search, rng)
    with suppress(BudgetSpent):
        mean = search.rewards(order).mean()
        search.improve(order, mean, search.calls)
        while unchanged < search.n_bits:
            outside = rng.permutation(np.setdiff1d(np.arange(search.k), order))[:OUTSIDERS]
            bits, gains = exchange_gains(search, order, turn, outside)
            unchanged += 1
            if len(bits) and gains.max() > methods.ROUNDING:
                order, unchanged = exchanged(order, turn, bits[gains.argmax()]), 1
                search.improve(order, search.rewards(order).mean(), search.calls)
            turn = (turn + 1) % search.n_bits
    return order


def exchange_gains(search: OrderSearch, order: np.ndarray, place: int, outside) -> tuple[np.ndarray, np.ndarray]:
    """What the mean reward gains where the bit at `place` of an order gives way to another one, and which those are.

    Others are the bits `outside`, and those further back in the order, which then have theirs taken over by it. An
    exchange inside one prefix changes nothing that counts, so that only prefixes with one of the two bits do.

    Returns:
        int64 [b] the other bits, and float64 [b] the gains.
    """
    reach = [length for length in search.lengths if length > place]  # prefixes that have the bit at `place`
    others = np.concatenate([order[reach[0] :], outside]).astype(np.int64)
    gains = np.zeros(len(others))
    for length in reach:
        mask = mask_of(order[:length], search.k)
        now = search(mask[None])[0]
        mask[order[place]] = 0
        changed = mask[others] == 0
        gains[changed] += search.flipped(mask, others[changed]) - now
    return others, gains / len(search.lengths)


def exchanged(order: np.ndarray, place: int, bit: int) -> np.ndarray:
    """The order with `bit` at `place`; what was there takes its place if it was in the order."""
    made = np.where(order == bit, order[place], order)
    made[place] = bit
    return made


class PrefixVectorEnv(BitSelectionVectorEnv):
    """Orders as episodes: whenever a prefix of one of the m lengths is whole, 1/m of its mAP is paid.

    So an episode's return is the order's reward. Where an episode starts from bits of the best order so far, they stand
    in their places there, and what is chosen fills the places between in turn. Observations, actions and the end are
    those of `BitSelectionVectorEnv`; `info["final_info"]["bits"]` are orders.
    """

    def __init__(self, search: OrderSearch, num_envs: int):
        super().__init__(search, search.n_bits, num_envs)
        self._orders = np.full((self.num_envs, self.n_bits), -1)
        self._paid = np.zeros((self.num_envs, len(search.lengths)))

    def reset(self, *, seed: int | None = None, options=None):
        """As in `BitSelectionVectorEnv`; bits that the best order has stand where it has them, others in front."""
        observation, info = super().reset(seed=seed, options=options)
        self._orders[:], self._paid[:] = -1, np.nan
        start = self._bits[:, : self._kept[0]]
        places = np.full(self.k, -1)
        if self.reward_of.best_bits is not None:
            places[self.reward_of.best_bits] = np.arange(self.n_bits)
        if (places[start] < 0).any():
            places = np.arange(start.shape[1])[None].repeat(self.num_envs, axis=0)
        else:
            places = places[start]
        np.put_along_axis(self._orders, places, start, axis=1)
        return observation, info

    def step(self, actions: np.ndarray):
        """Put one bit into the first free place of every order; see the class."""
        actions, rows = self._indices(actions, "actions"), np.arange(self.num_envs)
        if actions.shape == rows.shape:
            new = self._masks[rows, actions] == 0  # a repeated action changes nothing
            self._orders[rows[new], self._whole()[new]] = actions[new]
        orders = self._orders.copy()
        rewards = self._pay()
        observation, _, terminated, truncated, info = super().step(actions)
        if terminated.any():
            info["final_info"] = {"bits": orders}
            for row in np.flatnonzero(terminated):
                value = self._paid[row].mean()
                if value > self.reward_of.best:
                    self.reward_of.improve(orders[row], value, self.reward_of.calls)
            self._orders[terminated], self._paid[terminated] = -1, np.nan
        return observation, rewards, terminated, truncated, info

    def _whole(self) -> np.ndarray:
        """int64 [e]: how many places in front are taken."""
        free = self._orders < 0
        return np.where(free.any(axis=1), free.argmax(axis=1), self.n_bits)

    def _pay(self) -> np.ndarray:
        """float64 [e]: what has become whole, and was not yet paid, is measured."""
        lengths = self.reward_of.lengths
        due = np.isnan(self._paid) & (lengths <= self._whole()[:, None])
        if due.any():
            row, place = np.nonzero(due)
            masks = np.zeros((len(row), self.k), np.uint8)
            for mask, order, length in zip(masks, self._orders[row], lengths[place], strict=True):
                mask[order[:length]] = 1
            self._paid[due] = self.reward_of(masks)
        return np.where(due, self._paid, 0.0).sum(axis=1) / len(lengths)


def _by_ppo(search: OrderSearch, seed: int) -> np.ndarray:
    """The best order of the episodes of a policy that PPO learns with its default settings."""
    from hashlib_nb import ppo  # here, since it needs torch

    args = ppo.Args(n_bits=search.n_bits, episodes=EPISODES, budget=search.budget, seed=seed, progress=False)
    with suppress(BudgetSpent):
        ppo.train(args, reward=search, envs=PrefixVectorEnv(search, EPISODES))
    return search.best_bits
