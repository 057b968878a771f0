"""Our PPO against sb3-contrib's MaskablePPO, an outside client of the environment BitSelection-v0.

Both choose p of k bits, k being as many as an encoder has outputs, and as many as thermometer bits are made of them: of
the same codes, from a fresh `Reward` each, with the same numbers of episodes, of parallel environments, of units, of
passes and of minibatches, and with the same discount, clipping, entropy weight and falling learning rate, on one
thread. What differs is what either has of its own: ours has no value network, since an update's episodes are compared
with each other, and lets the entropy weight fall (its restarts and the weights that it begins with are off, for the
other has none); MaskablePPO divides rewards by a running deviation (`VecNormalize`), and steps through its environments
one by one. Rewards are part of the time.

Subsets that were seen before are free on both sides, so "calls" counts distinct ones. The best rewards are compared at
equal calls: at the number that the more frugal of the two had made in the end. Sides take turns, seed by seed.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks import timing
from benchmarks.data import class_codes
from hashlib_nb import ppo
from hashlib_nb.machine import threads
from hashlib_nb.selection import BitSelectionEnv, Reward, Search

OURS, THEIRS = "hashlib_nb.ppo", "MaskablePPO"


@dataclass(frozen=True)
class Args:
    """Choose 16 of 64 and of 768 bits on 1,000 codes, with three seeds."""

    codes: int = 1_000
    """codes, each a query against the others"""
    bits: tuple[int, ...] = (64, 768)
    """candidates k; the figure shows the first"""
    keep: int = 16
    """bits p to keep"""
    episodes: int = 1_024
    """whole selections in a training"""
    seeds: int = 3
    """trainings of each side"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, codes=60, bits=(12, 30), keep=4, episodes=64, seeds=1)


def settings(args: Args, seed: int) -> ppo.Args:
    """What both sides are told."""
    plain = {"episodes": 32, "minibatches": 4, "hidden": 256}
    plain |= {"restarts": 0.0, "new_subsets": 0.0, "informed": False}  # nothing that the other lacks
    return ppo.Args(n_bits=args.keep, total_episodes=args.episodes, seed=seed, progress=False, **plain)


def train_ours(search: Search, told: ppo.Args) -> None:
    """hashlib_nb.ppo on `search`."""
    ppo.train(told, reward=search)


def train_theirs(search: Search, told: ppo.Args) -> None:
    """MaskablePPO on as many BitSelection-v0 environments that share `search`."""
    from sb3_contrib import MaskablePPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    envs = make_vec_env(lambda: BitSelectionEnv(n_bits=told.n_bits, reward=search), n_envs=told.episodes)
    model = MaskablePPO(
        "MlpPolicy",
        VecNormalize(envs, norm_obs=False, gamma=told.gamma),
        n_steps=told.n_bits,
        batch_size=max(told.episodes, told.episodes * told.n_bits // told.minibatches),
        n_epochs=told.update_epochs,
        learning_rate=lambda remaining: told.learning_rate * remaining,
        gamma=told.gamma,
        gae_lambda=told.gae_lambda,
        clip_range=told.clip,
        ent_coef=told.entropy_weight,
        vf_coef=told.value_weight,
        max_grad_norm=told.max_grad_norm,
        policy_kwargs={"net_arch": [told.hidden, told.hidden]},
        seed=told.seed,
        device="cpu",
    )
    model.learn(told.total_episodes * told.n_bits)


def best_at(search: Search, calls: int) -> float:
    """Best reward of the first `calls` distinct subsets."""
    return max(reward for made, _, reward in search.trace if made <= calls)


def curve(rows: list[dict], side: str, calls: np.ndarray) -> np.ndarray:
    """Best reward by number of calls, mean over seeds."""
    traces = [np.array(row["trace"]) for row in rows if row["side"] == side]
    return np.mean([trace[np.searchsorted(trace[:, 0], calls, side="right") - 1, 1] for trace in traces], axis=0)


def train(side: Callable[[Search, ppo.Args], None], args: Args, bits: int, seed: int) -> tuple[Search, float]:
    """One training: what was searched, and its seconds."""
    codes, labels = class_codes(args.codes, bits, seed=0)
    search = Search(Reward(codes, labels), args.keep)
    start = time.perf_counter()
    side(search, settings(args, seed))
    return search, time.perf_counter() - start


def measure(args: Args) -> list[dict]:
    """One row for each number of candidates, side and seed."""
    sides = {OURS: train_ours}
    if timing.installed("sb3_contrib", "sb3-contrib"):
        sides[THEIRS] = train_theirs
    small = Args(quick=True)
    for side in sides.values():  # compile and load
        train(side, small, small.bits[0], seed=0)
    rows = []
    for bits, seed in itertools.product(args.bits, range(args.seeds)):
        made = {name: train(side, args, bits, seed) for name, side in sides.items()}
        equal = min(search.calls for search, _ in made.values())
        for name, (search, seconds) in made.items():
            row = {"side": name, "bits": bits, "seed": seed, "seconds": seconds, "calls": search.calls}
            row |= {"best": search.best, "steps_per_second": args.episodes * args.keep / seconds}
            row["trace"] = [(calls, best) for calls, _, best in search.trace]
            rows.append(row | {"equal_calls": equal, "best_at_equal_calls": best_at(search, equal)})
    return rows


def ratios(args: Args, table: pd.DataFrame) -> list[timing.Ratio]:
    """Medians over seeds."""
    of = table.drop(columns="trace").groupby(["side", "bits"]).median()
    found, seeds = [], f"median of {args.seeds} seeds"
    for bits in args.bits if (THEIRS, args.bits[0]) in of.index else ():
        ours, theirs, what = of.loc[OURS, bits], of.loc[THEIRS, bits], f"PPO, {args.keep} of {bits} bits"
        calls = f"best mAP at equal reward calls (about {ours.equal_calls:.0f})"
        for name, column, unit in (
            ("environment steps", "steps_per_second", "steps/s"),
            (calls, "best_at_equal_calls", "mAP"),
            (f"best mAP after {args.episodes:,} episodes", "best", "mAP"),
        ):
            found.append(timing.Ratio(f"{what}: {name}, {seeds}", THEIRS, ours[column], theirs[column], unit))
    return found


def main(args: Args) -> None:
    """Train, print the table, save rows and figure."""
    with threads.limited(1, "torch"):
        rows = measure(args)
    table = pd.DataFrame(rows)
    print(table.drop(columns="trace").to_string(index=False, float_format="%.4f"))
    timing.save("ppo", args, rows, ratios(args, table))
    rows = [row for row in rows if row["bits"] == args.bits[0]]
    calls = np.arange(max(row["trace"][0][0] for row in rows), min(row["calls"] for row in rows) + 1)
    curves = {side: (calls, curve(rows, side, calls)) for side in dict.fromkeys(table.side)}
    timing.figure("bench_ppo", curves, "reward calls", "best mAP, mean over seeds", log=False)


if __name__ == "__main__":
    timing.run(main, Args)
