"""The methods: each a function `(search, seed) -> bits or None` that asks its `Search` for rewards (see `registry`).

What follows the seed, by keyword alone, are the method's settings, with the values that they have where none are given.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import fields

import numpy as np
from scipy.special import logit

from hashlib_nb import checks
from hashlib_nb.hamming import mask_of
from hashlib_nb.selection import BudgetSpent, Search, random_masks
from hashlib_nb.selectors.statistics import binary_entropy, bit_information, label_information, label_smoothness

MAX_SUBSETS = 100_000
"""Most subsets that `exhaustive` looks at."""
BATCH = 256
"""Masks per reward call where a method has any number of them ready."""
PARTNERS = 4
"""Bits for one of which `stochastic_greedy` exchanges another."""
ROUNDING = 1e-12
"""What a reward must gain to count as better: subsets of equal mAP can differ in the last digits of their means."""


def random(search: Search, seed: int) -> np.ndarray:
    """One uniformly random subset: the chance level of every other method."""
    return np.flatnonzero(random_masks(search.k, search.n_bits, 1, seed)[0])


def first(search: Search, seed: int) -> np.ndarray:
    """Bits 0..p-1: what cutting a code short does."""
    return np.arange(search.n_bits)


def _top(scores: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Indices of the highest scores, highest first; ties in random order."""
    order = np.random.default_rng(seed).permutation(len(scores))
    return order[np.argsort(-scores[order], kind="stable")][:number]


def entropy(search: Search, seed: int) -> np.ndarray:
    """The bits of highest entropy, that is those that are 1 in nearest to half of the codes."""
    return _top(binary_entropy(search.reward.codes.mean(axis=0)), search.n_bits, seed)


def mrmr(search: Search, seed: int) -> np.ndarray:
    """Minimal redundancy, maximal relevance, by difference (Peng, Long and Ding, TPAMI 2005).

    Adds the bit whose mutual information with the label set, less its mean mutual information with the bits kept
    already, is highest.
    """
    relevance = label_information(search.reward.codes, search.reward.labels)
    shared = bit_information(search.reward.codes)
    kept = [int(_top(relevance, 1, seed)[0])]
    while len(kept) < search.n_bits:
        scores = relevance - shared[kept].mean(axis=0)
        scores[kept] = -math.inf
        kept.append(int(_top(scores, 1, seed)[0]))
    return np.array(kept)


def ndomset(search: Search, seed: int) -> np.ndarray:
    """Normalized dominant set of the graph of bits (Liu, He, Lang and Chang, CVPR 2013).

    Vertices are weighted by how well a bit preserves similarity, exp(-2 e), edges by how independent two bits are,
    exp(-2 I) with I their mutual information. The paper's e is the bit's smoothness on a graph of neighbors. Here
    neighbors share a label, and the bit is centred (`label_smoothness`), since a constant bit would be the best else.
    Replicator dynamics over all edges find a population of bits, of which the p largest shares are kept.
    """
    quality = np.exp(-2 * label_smoothness(search.reward.pairs))
    weights = quality[:, None] * quality * np.exp(-2 * bit_information(search.reward.codes))
    np.fill_diagonal(weights, 0.0)
    return _top(replicate(weights), search.n_bits, seed)


def replicate(weights: np.ndarray, tolerance: float = 1e-10, most_steps: int = 100_000) -> np.ndarray:
    """Log of the population [k] to which discrete replicator dynamics lead from equal shares (Pavan and Pelillo 2007).

    x_i becomes x_i (W x)_i / x' W x, which never lowers x' W x, until shares change by less than `tolerance` in sum.
    In logs, so that bits on their way to 0 keep their order.
    """
    log_x = np.full(len(weights), -math.log(len(weights)))
    for _ in range(most_steps):
        x = np.exp(log_x)
        payoff = weights @ x
        mean = x @ payoff
        if np.abs(x * (payoff - mean)).sum() <= tolerance * mean:
            break
        log_x += np.log(payoff / mean)
    return log_x


def greedy(search: Search, seed: int) -> np.ndarray:
    """Forward selection: keep the bit that adds most to the kept ones' mAP, p times.

    Ties keep the order of the step before, at first a random one. Where the budget ends early, the bits that looked
    best in the last step complete the answer.
    """
    rest, kept, mask = np.random.default_rng(seed).permutation(search.k), [], np.zeros(search.k, dtype=np.uint8)
    while len(kept) < search.n_bits:
        values, spent = _flipped(search, mask, rest)
        rest = rest[np.argsort(-values, kind="stable")]
        if spent:
            break
        mask[rest[0]] = 1
        kept, rest = [*kept, rest[0]], rest[1:]
    return np.array([*kept, *rest[: search.n_bits - len(kept)]])


def backward(search: Search, seed: int) -> np.ndarray:
    """Backward elimination: start from all bits and drop the one that is missed least, until p are left.

    Ties as in `greedy`. Where the budget ends early, the bits that were missed least in the last step go together. The
    order returned is from the bit that is missed most.
    """
    kept, mask = np.random.default_rng(seed).permutation(search.k), np.ones(search.k, dtype=np.uint8)
    while len(kept) > search.n_bits:
        values, spent = _flipped(search, mask, kept)
        kept = kept[np.argsort(-values, kind="stable")]
        if spent:
            break
        mask[kept[0]] = 0
        kept = kept[1:]
    return kept[::-1][: search.n_bits]


def _flipped(search: Search, mask: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, bool]:
    """`search.flipped`, and whether the budget ended: then the bits it did not reach get -inf."""
    try:
        return search.flipped(mask, bits), False
    except BudgetSpent as end:
        return end.values, True


def per_bit_map(search: Search, seed: int) -> np.ndarray:
    """The bits of highest mAP as codes of one bit; those the budget does not reach come last."""
    order = np.random.default_rng(seed).permutation(search.k)
    values, _ = _flipped(search, np.zeros(search.k, dtype=np.uint8), order)
    return order[np.argsort(-values, kind="stable")][: search.n_bits]


def swap(search: Search, seed: int) -> np.ndarray:
    """Greedy, then local search: exchange one kept bit for the best other one, until no exchange helps.

    The kept bits take turns; all k-p partners of one share a pass over the codes.
    """
    kept = greedy(search, seed)
    mask = mask_of(kept, search.k)
    turn = unchanged = 0
    while unchanged < search.n_bits < search.k:
        best, others = search.best, np.flatnonzero(mask == 0)
        mask[kept[turn]] = 0
        values, spent = _flipped(search, mask, others)
        unchanged += 1
        if values.max() > best + ROUNDING:
            kept[turn], unchanged = others[values.argmax()], 1
        if spent:
            break
        mask[kept[turn]] = 1
        turn = (turn + 1) % search.n_bits
    return kept


def stochastic_greedy(search: Search, seed: int) -> np.ndarray:
    """Greedy among a few random bits a step, as many as half the budget pays for, then random exchanges that help.

    Stochastic greedy: Mirzasoleiman et al., AAAI 2015. An exchange gives up a random kept bit for the best of
    `PARTNERS` random others, which share a pass over the codes. It ends with the budget.
    """
    rng = np.random.default_rng(seed)
    kept = sampled_greedy(search, rng)
    mask = mask_of(kept, search.k)
    for _ in range(_rounds(search, 1) if search.n_bits < search.k else 0):
        best, place = search.best, rng.integers(search.n_bits)
        some = rng.permutation(np.flatnonzero(mask == 0))[:PARTNERS]
        mask[kept[place]] = 0
        values, spent = _flipped(search, mask, some)
        if values.max() > best + ROUNDING:
            kept[place] = some[values.argmax()]
        mask[kept[place]] = 1
        if spent:
            break
    return kept


def sampled_greedy(search: Search, rng: np.random.Generator) -> np.ndarray:
    """Bits int64 [p] of forward selection among random ones a step, of as many as half the budget pays for.

    Where the budget ends all the same, random bits complete it.
    """
    kept, mask, number = [], np.zeros(search.k, dtype=np.uint8), max(1, search.budget // (2 * search.n_bits))
    spent = False
    while len(kept) < search.n_bits:
        some = rng.permutation(np.flatnonzero(mask == 0))[:number]
        values, spent = (np.zeros(1), True) if spent else _flipped(search, mask, some)
        kept.append(some[values.argmax()])
        mask[kept[-1]] = 1
    return np.array(kept)


def random_search(search: Search, seed: int) -> None:
    """The best of as many random subsets as the budget has calls: what a search must beat to be worth its name."""
    rng = np.random.default_rng(seed)
    for start in range(0, search.budget, BATCH):
        search(random_masks(search.k, search.n_bits, min(BATCH, search.budget - start), rng))


def cem(search: Search, seed: int, *, size: int | None = None, elite: float = 0.2, smoothing: float = 0.3) -> None:
    """Cross-entropy method (Rubinstein and Kroese 2004): learn how likely each bit is to be kept.

    A generation draws subsets of p bits without replacement (top p of log odds plus Gumbel noise) and moves the
    probabilities most of the way to the bits' frequencies in its best fifth. One that is nearly all repeats has
    converged: the next starts from equal probabilities again, to use what is left of the budget.

    Args:
        search: what answers with rewards.
        seed: of its random numbers.
        size: subsets of a generation, at least 2; None for `generation_size` of the budget.
        elite: share of a generation whose bits count, above 0; at least one subset.
        smoothing: weight of the probabilities before in those after, in 0..1.
    """
    size = generation_size(search.budget) if size is None else checks.count(size, "size", least=2, most=MAX_SUBSETS)
    best = max(1, int(checks.finite(elite, "elite", above=0, most=1) * size))
    smoothing, rng = checks.share(smoothing, "smoothing"), np.random.default_rng(seed)
    keep_rate = np.full(search.k, search.n_bits / search.k)
    for _ in range(_rounds(search, size)):
        noisy = logit(np.clip(keep_rate, 1e-6, 1 - 1e-6)) + rng.gumbel(size=(size, search.k))
        masks = np.zeros((size, search.k), dtype=np.uint8)
        np.put_along_axis(masks, np.argsort(-noisy, axis=1)[:, : search.n_bits], 1, axis=1)
        calls, values = search.calls, search(masks)
        frequencies = masks[np.argsort(-values, kind="stable")[:best]].mean(axis=0)
        keep_rate = (1 - smoothing) * frequencies + smoothing * keep_rate
        if search.calls - calls < size // 10:
            keep_rate[:] = search.n_bits / search.k


def generation_size(budget: int) -> int:
    """Subsets of a generation of `cem` where nobody says: a twentieth of the budget, in 20..100."""
    return int(np.clip(budget // 20, 20, 100))


def annealing(search: Search, seed: int, *, start: float = 1.0, end: float = 0.01, subsets: int = 20) -> None:
    """Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) by exchanges of one kept bit for another.

    Starts from the best of some random subsets, whose standard deviation is the first temperature; it falls to a
    hundredth of that, geometrically with the budget spent.

    Args:
        search: what answers with rewards.
        seed: of its random numbers.
        start: the first temperature, in standard deviations of random subsets' rewards, above 0.
        end: the last temperature as a share of the first, above 0 and at most 1.
        subsets: random subsets whose best one it starts from, at least 2.
    """
    start = checks.finite(start, "start", above=0, most=1e6)
    end = checks.finite(end, "end", above=0, most=1)
    subsets, rng = checks.count(subsets, "subsets", least=2, most=MAX_SUBSETS), np.random.default_rng(seed)
    masks = random_masks(search.k, search.n_bits, subsets, rng)
    values = search(masks)
    mask, value, hottest = masks[values.argmax()], values.max(), start * max(values.std(), 1e-12)
    for _ in range(_rounds(search, 1) if search.n_bits < search.k else 0):
        other = mask.copy()
        other[rng.choice(np.flatnonzero(mask))] = 0
        other[rng.choice(np.flatnonzero(mask == 0))] = 1
        other_value = search(other[None])[0]
        temperature = hottest * end ** (search.calls / search.budget)
        if rng.random() < math.exp(min(0.0, other_value - value) / temperature):
            mask, value = other, other_value


def _rounds(search: Search, size: int) -> int:
    """Rounds of `size` draws after which a search ends even with budget left, since it finds nothing new."""
    return 5 * math.ceil(search.budget / size)


def ppo(search: Search, seed: int, **settings) -> np.ndarray:
    """A policy that keeps one bit after another, learned by PPO; its settings are fields of `ppo.Args`."""
    return _trained(search, seed, **settings)


NO_SETTINGS = ("n_bits", "total_episodes", "budget", "n_queries", "memo", "codes", "pool", "out", "seed", "device",
               "tensorboard", "checkpoint", "progress", "updates")  # fmt: skip
"""Fields of `ppo.Args` that say what is searched, how long, and where files lie."""


def ppo_settings() -> dict[str, bool | int | float]:
    """Settings of `ppo` with their defaults: fields of `ppo.Args`, which checks them, but for `NO_SETTINGS`."""
    from hashlib_nb import ppo  # as below

    return {field.name: field.default for field in fields(ppo.Args) if field.name not in NO_SETTINGS}


def untrained(search: Search, seed: int) -> np.ndarray:
    """PPO's episodes, starts and budget with a policy that stays as it was initialized: what of PPO is not learning."""
    return _trained(search, seed, learning_rate=0.0, update_epochs=1, minibatches=1)


def _trained(search: Search, seed: int, **settings) -> np.ndarray:
    """The bits that PPO finds with these settings of `ppo.Args`."""
    from hashlib_nb import ppo  # here, since it needs torch

    args = ppo.Args(n_bits=search.n_bits, budget=search.budget, seed=seed, progress=False, **settings)
    return ppo.train(args, reward=search).bits


def dqn(search: Search, seed: int) -> np.ndarray:
    """DRDH-like: a double deep Q-network that drops bit after bit from all of them; for tens of bits (see dqn.py)."""
    from hashlib_nb.selectors import dqn as agent  # here, since it needs torch

    args = agent.Args(n_bits=search.n_bits, budget=search.budget, seed=seed, progress=False)
    return agent.train(args, reward=search).bits


def exhaustive(search: Search, seed: int) -> None:
    """All subsets; refused above `MAX_SUBSETS` of them."""
    n_subsets = math.comb(search.k, search.n_bits)
    if n_subsets > MAX_SUBSETS:
        raise ValueError(
            f"method 'exhaustive' takes at most {MAX_SUBSETS:,} subsets and {search.n_bits} of {search.k} bits are "
            f"{n_subsets:,}: take 'swap' or fewer bits"
        )
    subsets = itertools.combinations(range(search.k), search.n_bits)
    while batch := list(itertools.islice(subsets, BATCH)):
        masks = np.zeros((len(batch), search.k), dtype=np.uint8)
        np.put_along_axis(masks, np.array(batch), 1, axis=1)
        search(masks)
