"""A second agent: double DQN drops bits until p are left. One file, read top to bottom, as ppo.py and CleanRL's dqn.py.

Like DRDH (Yang, Zhang, Feng, Zhang and Fan, Pattern Recognition 100, 2020), which eliminates redundant bits with a deep
Q-network. Its control without learning is backward elimination.

State: the mask of kept bits, at first all. Action: a kept bit, which is dropped. Reward: by how much that changes mAP.
DQN: Mnih et al. 2015; double: van Hasselt, Guez and Silver 2016. An episode asks k - p rewards, one of them of an
answer: this agent is for tens of candidates. Of 64, with 16 to keep, 1,000 calls are some 20 episodes; of 800, one.

    python -m hashlib_nb dqn --codes artifacts/fashion-mini-alexnet_small-k64-s0/codes.npz --levels 0.5 --n-bits 16
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import nn
from torch.nn import functional
from tqdm.auto import tqdm

from hashlib_nb import artifacts, candidates, checks
from hashlib_nb.machine import threads
from hashlib_nb.selection import MAX_QUERIES, MOST, Reward, Search, Selection


@dataclass(frozen=True)
class Args:
    """DQN for bit selection: it starts from all candidates and drops one a step, so it is for tens of candidates."""

    # --- task ---
    n_bits: int = 16
    """p, how many bits to keep"""
    total_steps: int = 8000
    """bits dropped in all; where a budget is given, 4 x budget, of which subsets that were met before cost no call"""
    budget: int | None = None
    """most reward calls (distinct subsets), of which an episode may take k - p; None for as many as it takes"""
    n_queries: int = MAX_QUERIES
    """most rows used as queries for the reward; with fewer rows than this, every row is one"""
    # --- DQN ---
    learning_rate: float = 1e-3
    """Adam's"""
    buffer_size: int = 10_000
    """steps that the replay memory holds, the newest"""
    batch_size: int = 128
    """steps drawn of it for one update"""
    learning_starts: int = 200
    """steps at random before the first update; the spread of their rewards is the unit in which values are learned"""
    target_frequency: int = 100
    """steps after which the target network takes over the weights"""
    gamma: float = 1.0
    """discount; 1 since episodes are of one length and their changes of mAP add up to that of the bits left"""
    end_epsilon: float = 0.02
    """share of drops at random after the exploration, at whose start it is 1; of 48 drops, from 64 bits to 16, one"""
    exploration: float = 0.5
    """share of the steps or of the budget, whichever is nearer its end, over which that falls linearly"""
    hidden: int = 256
    """units in each of the two hidden layers of the Q-network"""
    # --- run ---
    codes: Path = Path("codes.npz")
    """npz of stage 2 (python -m hashlib_nb.encoder); the command line alone reads it"""
    pool: Annotated[candidates.Options, tyro.conf.arg(name="")] = candidates.Options()
    """which candidates are made of them and which of their codes give the reward; the command line alone reads it"""
    out: Path = Path("selection.json")
    """where the command line writes the kept bits, their reward and the curves; only a selection is replaced"""
    seed: int = 0
    """of the network, the drops, the batches and the draw of queries"""
    progress: bool = True
    """show a bar"""

    def __post_init__(self) -> None:
        """Check what can be checked without codes."""
        counts = ("n_bits", "learning_starts", "target_frequency", "n_queries", "total_steps")
        checks.fields(self, checks.count, *counts, most=MOST)
        checks.fields(self, checks.count, "budget", optional=True, most=MOST)
        checks.fields(self, checks.count, "hidden", "batch_size", most=8192)  # memory grows with these
        checks.fields(self, checks.count, "buffer_size", most=1 << 20)
        checks.fields(self, checks.share, "gamma", "end_epsilon", "exploration")
        checks.fields(self, checks.finite, "learning_rate", least=0)
        checks.fields(self, checks.seed, "seed")
        if self.budget is not None:
            object.__setattr__(self, "total_steps", 4 * self.budget)


class QNetwork(nn.Module):
    """Q(s, a): by how much mAP changes from here on where bit a is dropped, in units of the rewards' spread."""

    def __init__(self, k: int, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(k, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, k)
        )

    def forward(self, masks: torch.Tensor) -> torch.Tensor:
        """Values [b, k] of masks float {0,1} [b, k]; -inf for bits that are gone."""
        return self.layers(masks).masked_fill(masks == 0, -torch.inf)


@torch.no_grad()
def double_q_targets(rewards, next_masks, terminated, online, target, gamma: float) -> torch.Tensor:
    """r + gamma (1 - terminated) Q_target(s', argmax_a Q_online(s', a)), [b], over the bits a that s' still keeps.

    Args:
        rewards: float [b].
        next_masks: float {0,1} [b, k], s', each with a bit that is kept.
        terminated: float {0,1} [b], 1 where s' is the end.
        online: `masks -> values [b, k]`, -inf for bits that are gone: the network that is learned.
        target: the same as it was some steps ago.
        gamma: discount.
    """
    actions = online(next_masks).argmax(dim=1, keepdim=True)
    return rewards + gamma * (1 - terminated) * target(next_masks).gather(1, actions).squeeze(1)


class Replay:
    """The newest steps of all episodes. What follows from a step, s' and whether it is the end, is not stored."""

    def __init__(self, size: int, k: int, n_bits: int):
        self.masks, self.actions, self.rewards = np.zeros((size, k), np.uint8), np.zeros(size, int), np.zeros(size)
        self.size, self.n_bits, self.steps = size, n_bits, 0

    def add(self, mask: np.ndarray, action: int, reward: float) -> None:
        """Store one step, in the place of the oldest."""
        at = self.steps % self.size
        self.masks[at], self.actions[at], self.rewards[at] = mask, action, reward
        self.steps += 1

    def sample(self, number: int, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
        """`number` steps drawn with replacement: masks, actions, rewards, next masks, and whether they are the end."""
        rows = rng.integers(min(self.steps, self.size), size=number)
        masks, actions = torch.as_tensor(self.masks[rows]).float(), torch.as_tensor(self.actions[rows])[:, None]
        next_masks = masks.scatter(1, actions, 0.0)
        ends = (next_masks.sum(dim=1) == self.n_bits).float()
        return masks, actions, torch.as_tensor(self.rewards[rows]).float(), next_masks, ends


def train(args: Args, codes=None, labels=None, *, query_codes=None, reward: Reward | None = None) -> Selection:
    """Choose `args.n_bits` bits of `codes` with DQN; the best subset of all episodes is what is returned.

    Args:
        args: settings.
        codes: {0,1} [n, k].
        labels: {0,1} [n, m], or class numbers int [n].
        query_codes: {0,1} [n, k], the rows' codes as queries where these have codes of their own (see `Reward`).
        reward: a `Reward`, or what is called like one, instead of these arrays. What it raises is passed on.

    Returns:
        Selection, whose history holds for each whole episode `reward` (mAP of the bits left), `calls`, `seconds`,
        `best`, `epsilon` and `loss` (mean over its updates), and `policy_bits` and `policy_reward`: what is left where
        each drop is the one of highest value, and the answer where the budget ended before an episode did.

    Raises:
        ValueError: what does not fit together, n_bits outside 1..k; a reward or loss that is not finite.
    """
    reward = reward or Reward(codes, labels, query_codes=query_codes, n_queries=args.n_queries, seed=args.seed)
    search, rng = Search(reward, args.n_bits, args.budget), np.random.default_rng(args.seed)
    drops, budget = search.k - search.n_bits, args.budget or np.inf
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(checks.word(args.seed))
        online, target = (QNetwork(search.k, args.hidden) for _ in range(2))
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=args.learning_rate)
    replay = Replay(min(args.buffer_size, args.total_steps), search.k, search.n_bits)
    history, losses, unit, mask = {}, [], 1.0, np.ones(search.k, np.uint8)
    everything = value = search(mask[None])[0]
    steps = tqdm(range(args.total_steps if drops else 0), desc="DQN", disable=not args.progress)
    with threads.limited(1, "torch"):
        for step in steps:
            if search.calls >= budget:
                break
            # drop a bit: at random, or the one of highest value
            done = max(step / args.total_steps, search.calls / budget)
            epsilon = max(args.end_epsilon, 1 - (1 - args.end_epsilon) * done / max(args.exploration, 1e-9))
            if step < args.learning_starts or rng.random() < epsilon:
                action = int(rng.choice(np.flatnonzero(mask)))
            else:
                action = best_drop(online, mask)
            left = mask & (np.arange(search.k) != action)
            left_value = search(left[None])[0]
            replay.add(mask, action, left_value - value)
            mask, value = left, left_value

            # learn from steps of all episodes so far; changes of mAP are thousandths, which the network would swallow
            unit = max(replay.rewards[:step].std(), 1e-8) if step == args.learning_starts else unit
            if step >= args.learning_starts:
                masks, actions, rewards, next_masks, ends = replay.sample(args.batch_size, rng)
                targets = double_q_targets(rewards / unit, next_masks, ends, online, target, args.gamma)
                loss = functional.smooth_l1_loss(online(masks).gather(1, actions).squeeze(1), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            if step % args.target_frequency == 0:
                target.load_state_dict(online.state_dict())

            # the end of an episode: record, and start from all bits again
            if mask.sum() == search.n_bits:
                loss = float(np.mean(losses)) if losses else 0.0
                if not np.isfinite(loss):
                    raise ValueError(f"DQN diverged in step {step}: lower learning_rate, which is {args.learning_rate}")
                scalars = {"reward": value, "calls": search.calls, "seconds": search.seconds, "best": search.best}
                for name, scalar in (scalars | {"epsilon": epsilon, "loss": loss}).items():
                    history.setdefault(name, []).append(scalar)
                steps.set_postfix(best=f"{search.best:.4f}", calls=search.calls)
                mask, value, losses = np.ones(search.k, np.uint8), everything, []

    curves = {name: np.array(series) for name, series in history.items()}
    policy_bits = best_episode(online, search.n_bits, search.k)
    while isinstance(reward, Search):  # a look at the policy is no call of the search
        reward = reward.reward
    curves |= {"policy_bits": policy_bits, "policy_reward": reward.of_bits(policy_bits)}
    whole = search.best_bits is not None
    bits, value = (search.best_bits, search.best) if whole else (policy_bits, curves["policy_reward"])
    return Selection(bits, value, search.calls, "dqn", search.k, curves)


@torch.no_grad()
def best_drop(network: QNetwork, mask: np.ndarray) -> int:
    """The kept bit of `mask` {0,1} [k] whose drop has the highest value."""
    return int(network(torch.as_tensor(mask).float()).argmax())


def best_episode(network: QNetwork, n_bits: int, k: int) -> np.ndarray:
    """Bits int64 [p] that are left of k where each drop is the one of highest value."""
    mask = np.ones(k, np.uint8)
    for _ in range(k - n_bits):
        mask[best_drop(network, mask)] = 0
    return np.flatnonzero(mask)


def main(args: Args) -> None:
    """Run the agent from the shell."""
    artifacts.check_writable(args.out, artifacts.replaces_json("bits"))
    pool = candidates.of_arrays(artifacts.load_npz(args.codes)[0], args.pool, echo=print)
    print(f"an episode drops {max(pool.k - args.n_bits, 0)} bits, each with a reward call; one of them is of an answer")
    selection = pool.named(train(args, **pool.paying()))
    selection.save(args.out)
    about = f"after {selection.calls} calls; saved {artifacts.shown(args.out)}"
    print(f"kept {args.n_bits} of {selection.n_candidates} candidates: {' '.join(map(str, selection.bits))}")
    print(f"reward (mAP on {args.pool.reward_codes} codes) {selection.reward:.4f} {about}")


if __name__ == "__main__":
    artifacts.run(main, Args)
