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

import itertools
import math
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import logit

from hashlib_nb import artifacts, codes_io
from hashlib_nb.bit_statistics import binary_entropy, bit_information, label_information, label_smoothness
from hashlib_nb.budget import BudgetSpent, Search
from hashlib_nb.hamming import mask_of
from hashlib_nb.selection import MAX_QUERIES, Reward, Selection, check_n_bits, random_masks

DEFAULT_BUDGET = 2000
"""Reward calls of the methods in `OPEN_ENDED` where `budget` is None."""
OPEN_ENDED = ("random_search", "cem", "annealing", "ppo")
"""Methods that would never end by themselves."""
MAX_SUBSETS = 100_000
"""Most subsets that `exhaustive` looks at."""
BATCH = 256
"""Masks per reward call where a method has any number of them ready."""
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


def random_search(search: Search, seed: int) -> None:
    """The best of as many random subsets as the budget has calls: what a search must beat to be worth its name."""
    rng = np.random.default_rng(seed)
    for start in range(0, search.budget, BATCH):
        search(random_masks(search.k, search.n_bits, min(BATCH, search.budget - start), rng))


def cem(search: Search, seed: int) -> None:
    """Cross-entropy method (Rubinstein and Kroese 2004): learn how likely each bit is to be kept.

    A generation draws subsets of p bits without replacement (top p of log odds plus Gumbel noise) and moves the
    probabilities most of the way to the bits' frequencies in its best fifth. One that is nearly all repeats has
    converged: the next starts from equal probabilities again, to use what is left of the budget.
    """
    rng = np.random.default_rng(seed)
    size = int(np.clip(search.budget // 20, 20, 100))
    keep_rate = np.full(search.k, search.n_bits / search.k)
    for _ in range(_rounds(search, size)):
        noisy = logit(np.clip(keep_rate, 1e-6, 1 - 1e-6)) + rng.gumbel(size=(size, search.k))
        masks = np.zeros((size, search.k), dtype=np.uint8)
        np.put_along_axis(masks, np.argsort(-noisy, axis=1)[:, : search.n_bits], 1, axis=1)
        calls, values = search.calls, search(masks)
        elite = masks[np.argsort(-values, kind="stable")[: size // 5]].mean(axis=0)
        keep_rate = 0.7 * elite + 0.3 * keep_rate
        if search.calls - calls < size // 10:
            keep_rate[:] = search.n_bits / search.k


def annealing(search: Search, seed: int) -> None:
    """Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983) by exchanges of one kept bit for another.

    Starts from the best of 20 random subsets, whose standard deviation is the first temperature; it falls to a
    hundredth of that, geometrically with the budget spent.
    """
    rng = np.random.default_rng(seed)
    masks = random_masks(search.k, search.n_bits, 20, rng)
    values = search(masks)
    mask, value, hottest = masks[values.argmax()], values.max(), max(values.std(), 1e-12)
    for _ in range(_rounds(search, 1) if search.n_bits < search.k else 0):
        other = mask.copy()
        other[rng.choice(np.flatnonzero(mask))] = 0
        other[rng.choice(np.flatnonzero(mask == 0))] = 1
        other_value = search(other[None])[0]
        temperature = hottest * 0.01 ** (search.calls / search.budget)
        if rng.random() < math.exp(min(0.0, other_value - value) / temperature):
            mask, value = other, other_value


def _rounds(search: Search, size: int) -> int:
    """Rounds of `size` draws after which a search ends even with budget left, since it finds nothing new."""
    return 5 * math.ceil(search.budget / size)


def ppo(search: Search, seed: int) -> np.ndarray:
    """A policy that keeps one bit after another, learned by PPO with its default settings (see ppo.py)."""
    from hashlib_nb import ppo as stage3  # here, since it needs torch and no other method does

    args = stage3.Args(n_bits=search.n_bits, budget=search.budget, seed=seed, progress=False)
    return stage3.train(args, reward=search).bits


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


@dataclass(frozen=True)
class Args:
    """Choose which bits of binary codes to keep.

    The reward is tie-aware mAP on the codes given: each of them is a query against all the others (leave one out), or,
    with more rows than n_queries, that many drawn ones are queries against the rest. What is reported was optimized on
    these codes, so measure the kept bits on queries that had no part in it.
    """

    codes: Path
    """npy or npz file: 0/1 or -1/+1 [n, k], or bytes packed in little bit order, uint8 [n, k/8]; it says which"""
    bits: int
    """p, how many bits to keep"""
    labels: Path | None = None
    """npy or npz file: a 0/1 matrix [n, m] or one class index a row [n]; the file of the codes if left out"""
    method: str = "greedy"
    """random, first, entropy, per_bit_map, mrmr, ndomset, greedy, backward, swap, random_search, cem, annealing, ppo or
    exhaustive"""
    budget: int | None = None
    """most reward calls to spend; as many as the method takes (2,000 for one that would not end) if left out"""
    seed: int = 0
    """of the method and of the draw of queries"""
    n_queries: int = MAX_QUERIES
    """most rows used as queries; with fewer rows than this, every row is one"""
    codes_array: str | None = None
    """which array of an npz file holds the codes, such as out_of_fold_codes; "codes", or the only one, if left out"""
    labels_array: str | None = None
    """which array of an npz file holds the labels, such as train_labels; "labels" if left out, or the only one of
    `labels`"""
    code_length: int | None = None
    """k of packed codes that are filled up to whole bytes"""
    out: Path = Path("selection")
    """folder for bits.npy (kept indices), codes.npy (shrunk codes, packed for binary indexes) and report.json"""
    progress: bool = True
    """show a bar"""


RANDOM_SUBSETS = 20
"""Random subsets that a report compares with."""


def main(args: Args) -> None:
    """Choose bits of the codes that args name; write the kept indices, the shrunk codes and a report.

    Raises:
        ValueError: a file that is not there or does not hold what it should, or anything that `select` refuses.
    """
    _check(args.method, args.budget, args.seed)
    if args.out.exists() and not args.out.is_dir():
        raise ValueError(f"out is {artifacts.shown(args.out)}, which is a file: name a folder")
    codes, codes_found = codes_io.as_codes(codes_io.read_array(args.codes, "codes", args.codes_array), args.code_length)
    labels, labels_found = codes_io.as_labels(_read_labels(args))
    n, k = codes.shape
    print(f"found codes: {codes_found}, {n} rows of {k} bits; labels: {labels_found}")
    reward = Reward(codes, labels, n_queries=args.n_queries, seed=args.seed)
    check_n_bits(args.bits, k, name="bits")
    found = select(
        None,
        None,
        args.bits,
        method=args.method,
        budget=args.budget,
        seed=args.seed,
        reward=reward,
        progress=args.progress,
    )
    chance = reward(random_masks(k, args.bits, RANDOM_SUBSETS, args.seed))
    report = {
        "bits": found.bits.tolist(),
        "method": found.method,
        "reward": found.reward,
        "reward_of_all_bits": reward.of_bits(range(k)),
        "reward_of_random_subsets": {"mean": chance.mean(), "sd": chance.std(ddof=1), "subsets": RANDOM_SUBSETS},
        "calls": found.calls,
        "seconds": found.history["seconds"][-1],
        "budget": args.budget,
        "seed": args.seed,
        "n": n,
        "k": k,
        "p": args.bits,
        "n_queries": reward.pairs.n_queries,
        "codes_found": codes_found,
        "labels_found": labels_found,
    }
    _write(args.out, report, found.bits, codes_io.pack_bytes(codes[:, found.bits]))
    print(
        f"kept {args.bits} of {k} bits: {' '.join(map(str, found.bits))}\n"
        f"reward (mAP) {found.reward:.4f} after {found.calls} calls and {report['seconds']:.1f} s; all {k} bits "
        f"{report['reward_of_all_bits']:.4f}, random subsets {chance.mean():.4f} ± {chance.std(ddof=1):.4f}\n"
        f"saved {artifacts.shown(args.out)}"
    )


def _read_labels(args: Args) -> np.ndarray:
    """The labels' array; from the file of the codes, it must be named there, or it could be the codes themselves."""
    if args.labels is not None:
        return codes_io.read_array(args.labels, "labels", args.labels_array)
    if not zipfile.is_zipfile(args.codes):
        raise ValueError(
            f"labels is left out, but {artifacts.shown(args.codes)} holds one array: name a file of labels"
        )
    return codes_io.read_array(args.codes, "labels", args.labels_array or "labels")


def _write(folder: Path, report: dict, bits: np.ndarray, packed: np.ndarray) -> None:
    """Write the three files; the report last, so that it stands for whole ones."""
    for name, array in (("bits.npy", bits), ("codes.npy", packed)):
        with artifacts.atomic(folder / name) as partial, open(partial, "wb") as file:
            np.save(file, array)
    artifacts.save_json(folder / "report.json", report)


if __name__ == "__main__":
    artifacts.run(main, Args)
