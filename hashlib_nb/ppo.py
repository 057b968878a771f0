"""Stage 3: PPO keeps p of k bits (Algorithm 3). One file, read top to bottom, as CleanRL's are (Huang et al. 2022).

State: the mask of kept bits. Action: a bit not yet kept. Reward: 0 until p bits are kept, then mAP (selection/).
PPO: Schulman et al. 2017; generalized advantage estimation: Schulman et al. 2016; masking logits: Huang & Ontanon 2022;
advantages from the group of episodes instead of a critic: Shao et al. 2024 (GRPO).
What is logged after each update, into `Selection.history` and TensorBoard: book/reference/scalars.md.

    python -m hashlib_nb.ppo --codes artifacts/fashion-mini-alexnet_small-k64-s0/codes.npz --n-bits 16
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import torch
import tyro
from torch import nn
from tqdm.auto import tqdm

from hashlib_nb import artifacts, candidates, checks
from hashlib_nb.hamming import mask_of
from hashlib_nb.machine import threads
from hashlib_nb.selection import MAX_QUERIES, MOST, BitSelectionVectorEnv, Reward, Search, Selection

THESIS = {"episodes": 1, "standardize": False, "gamma": 0.99, "restarts": 0.0, "new_subsets": 0.0, "memo": False}
THESIS |= {"critic": True, "hidden": 256, "informed": False, "pool": candidates.THESIS}
"""The thesis' setting, for `Args(**THESIS)`: bits at one half, one episode an update, raw reward, no exploring."""


@dataclass(frozen=True)
class Args:
    """PPO for bit selection. The option --thesis puts the thesis' setting (THESIS) in place of the defaults."""

    PRESETS: ClassVar[dict[str, dict]] = {"thesis": THESIS}
    # --- task ---
    n_bits: int = 16
    """p, how many bits to keep"""
    total_episodes: int = 2048
    """subsets tried in all, repeats included; where a budget is given, 4 x budget, for a decided policy repeats"""
    budget: int | None = None
    """most reward calls (distinct subsets): the update that reaches it is the last; None for as many as it takes"""
    n_queries: int = MAX_QUERIES
    """most rows used as queries for the reward; with fewer rows than this, every row is one"""
    memo: bool = True
    """answer a subset that was tried before from memory, so that distinct ones alone count as calls"""
    # --- PPO ---
    episodes: int = 8
    """episodes (whole selections of p bits) in parallel, all of them one update's data"""
    standardize: bool = True
    """bring one update's terminal rewards to mean 0 and deviation 1: raw mAPs differ by hundredths"""
    learning_rate: float = 1e-3
    """Adam's, for both networks"""
    anneal_lr: bool = True
    """let the learning rate fall linearly to 0, with the episodes or the budget, whichever is nearer its end"""
    gamma: float = 1.0
    """discount; 1, since only the end is rewarded and the order of bits is of no account: no step counts for less"""
    critic: bool = False
    """learn a value network (section 3.3.2); without, an advantage is a reward among those of the update's episodes"""
    gae_lambda: float = 0.95
    """lambda of generalized advantage estimation, with a critic"""
    update_epochs: int = 4
    """passes over one update's data"""
    minibatches: int = 1
    """minibatches a pass, of whole episodes"""
    clip: float = 0.2
    """how far the probability ratio may leave 1"""
    value_weight: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """gradients are clipped to this norm"""
    hidden: int = 128
    """units in each of the two hidden layers of the policy and of the value network"""
    informed: bool = True
    """begin with weights that know which bits code the rows alike and which of them labels move; all random without"""
    # --- exploration ---
    entropy_weight: float = 0.02
    """weight of the entropy bonus at the start; falls linearly to 0 as the learning rate does, but see new_subsets"""
    new_subsets: float = 0.5
    """share of an update's subsets that ought to be new: after fewer, the entropy weight rises, and no two restarts
    follow each other; 0: all goes on schedule"""
    restarts: float = 0.95
    """share of updates whose episodes start from the best subset so far less a few of its bits, not from nothing"""
    dropped: int = 2
    """most bits that such a start lacks; how many, and which in each episode, is drawn uniformly"""
    # --- run ---
    codes: Path = Path("codes.npz")
    """npz of stage 2 (python -m hashlib_nb.encoder); the command line alone reads it"""
    pool: Annotated[candidates.Options, tyro.conf.arg(name="")] = candidates.Options()
    """which candidates are made of them and which of their codes give the reward; the command line alone reads it"""
    out: Path = Path("selection.json")
    """where the command line writes the kept bits, their reward and the curves; only a selection is replaced"""
    seed: int = 0
    """of networks, actions, minibatches and the draw of queries"""
    device: str = "cpu"
    """cpu or cuda; networks this small run as fast on a CPU"""
    tensorboard: Path | None = None
    """folder for TensorBoard scalars; none by default"""
    checkpoint: Path | None = None
    """file saved every few updates; a checkpoint that is there is gone on from, another file is not replaced"""
    progress: bool = True
    """show a bar"""
    updates: int = field(init=False)
    """total_episodes / episodes: derived"""

    def __post_init__(self) -> None:
        """Check what can be checked without codes, and derive the number of updates."""
        checks.fields(self, checks.count, "n_bits", "update_epochs", "minibatches", "dropped", "n_queries", most=MOST)
        checks.fields(self, checks.count, "budget", optional=True, most=MOST)
        checks.fields(self, checks.count, "episodes", "hidden", most=8192)  # memory grows with these
        checks.fields(self, checks.share, "gamma", "gae_lambda", "restarts", "new_subsets")
        checks.fields(self, checks.finite, "learning_rate", "value_weight", "entropy_weight", least=0)
        checks.fields(self, checks.finite, "clip", "max_grad_norm", above=0)
        checks.fields(self, checks.seed, "seed")
        low, total = self.episodes, self.total_episodes if self.budget is None else max(4 * self.budget, self.episodes)
        total = checks.count(total, "total_episodes", least=low, most=4 * MOST, why=f"episodes is {low}")
        vars(self).update(total_episodes=total, updates=total // self.episodes)  # the dataclass is frozen


def layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    """A dense layer with orthogonal weights and zero bias."""
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


class Agent(nn.Module):
    """Policy and value networks, two hidden layers each (section 3.3.2: of 256 units); the latter can be left out.

    Given `codes` {0,1} [n, k] and `labels`, bits that code the rows alike begin with weights alike, so that what is
    learned of one moves its likes, and bits that labels move begin with higher logits; otherwise all are random.
    """

    def __init__(self, k: int, hidden: int = 256, critic: bool = True, codes=None, labels=None):
        super().__init__()
        self.policy, self.critic = (
            nn.Sequential(layer(k, hidden), nn.Tanh(), layer(hidden, hidden), nn.Tanh(), layer(hidden, outputs, gain))
            for outputs, gain in ((k, 0.01), (1, 1.0))
        )
        first, last = self.policy[0], self.policy[-1]
        if codes is not None:
            ones = torch.as_tensor(np.ascontiguousarray(codes), dtype=torch.float32)
            _, scale, axes = torch.svd_lowrank(ones - ones.mean(dim=0), min(32, hidden, *codes.shape))
            alike = nn.functional.normalize(axes * scale)  # principal coordinates [k, 32] of bits, on the unit sphere
            first.weight.data = (alike @ nn.init.orthogonal_(torch.empty(alike.shape[1], hidden))).T
            last.weight.data = alike @ nn.init.orthogonal_(torch.empty(alike.shape[1], hidden))
            has = labels[:, None] == np.unique(labels) if labels.ndim == 1 else labels  # {0,1} [n, m]
            has = torch.as_tensor(np.ascontiguousarray(has), dtype=torch.float32)
            shares = has.T @ ones / has.sum(dim=0).clamp_min(1)[:, None]  # [m, k], how often a bit is 1 beside a label
            last.bias.data = normalized(shares.std(dim=0, correction=0))
        first.weight.data = first.weight.T.contiguous().T  # a bit's weights beside each other, for `prefix_sums`
        self.critic = self.critic if critic else None

    def value(self, masks: torch.Tensor) -> torch.Tensor:
        """V(s) [...] of masks {0,1} [..., k]."""
        return self.critic(masks.float()).squeeze(-1)

    def log_probabilities(self, masks: torch.Tensor, sums: torch.Tensor | None = None) -> torch.Tensor:
        """log pi(a | s) [..., k] of masks {0,1} [..., k], -inf where kept (eq. 3.15); `sums`: their `prefix_sums`."""
        logits = self.policy(masks.float()) if sums is None else self.policy[1:](sums)
        return logits.masked_fill(masks > 0, -torch.inf).log_softmax(dim=-1)

    def prefix_sums(self, bits: torch.Tensor) -> torch.Tensor:
        """W s + b [p, e, hidden] of the policy's first layer, in each state s of episodes that keep `bits` int [p, e].

        States of an episode are nested: these are running sums of rows of W', not products with masks nearly all 0.
        """
        rows = nn.functional.embedding(bits, self.policy[0].weight.T)
        return rows.cumsum(dim=0) - rows + self.policy[0].bias


def entropy(log_probabilities: torch.Tensor) -> torch.Tensor:
    """Entropy [b] in nats; impossible actions add nothing (0 log 0 = 0)."""
    possible = log_probabilities.masked_fill(log_probabilities == -torch.inf, 0.0)
    return -(log_probabilities.exp() * possible).sum(dim=-1)


def normalized(values: torch.Tensor) -> torch.Tensor:
    """Values brought to mean 0 and deviation 1; equal ones to 0."""
    return (values - values.mean()) / (values.std(correction=0) + 1e-8)


def generalized_advantages(rewards, values, terminated, gamma: float, gae_lambda: float) -> torch.Tensor:
    """GAE of whole episodes: A_t = delta_t + gamma lambda (1 - terminated_t) A_{t+1}, all [steps, episodes].

    `values` are of the states before each step; `terminated` is 1 where a step ended its episode, as each column's last
    must. A `gae_lambda` of 1 gives Monte Carlo returns, 0 one-step differences.
    """
    advantages, running, next_value = torch.zeros_like(rewards), 0.0, 0.0  # beyond the end there is nothing
    for t in reversed(range(len(rewards))):
        goes_on = 1.0 - terminated[t]
        delta = rewards[t] + gamma * goes_on * next_value - values[t]
        running = delta + gamma * gae_lambda * goes_on * running
        advantages[t], next_value = running, values[t]
    return advantages


def train(
    args: Args, codes=None, labels=None, *, query_codes=None, reward: Reward | None = None, envs=None, reorder=None
) -> Selection:
    """Choose `args.n_bits` bits of `codes` with PPO; the best subset of all episodes is what is returned.

    Args:
        args: settings.
        codes: {0,1} [n, k].
        labels: {0,1} [n, m], or class numbers int [n].
        query_codes: {0,1} [n, k], the rows' codes as queries where these have codes of their own (see `Reward`).
        reward: a `Reward`, or what is called like one, instead of these arrays. What it raises is passed on.
        envs: a `BitSelectionVectorEnv` on `reward`, then a `Search`, that pays otherwise than at the end alone.
        reorder: what gives a pass over an update's data other orders of the same bits; None for those that were taken.

    Returns:
        Selection, whose history also holds `policy_bits` and `policy_reward` (what the final policy keeps when it takes
        its likeliest action in every step) and `policy_probabilities` [p, k] along that episode.

    Raises:
        ValueError: what does not fit together, n_bits outside 1..k; a reward, loss or weight that is not finite.
    """
    if reward is not None and args.checkpoint is not None:
        raise ValueError("checkpoint is for a training from codes and labels: give those instead of reward, or no file")
    reward = reward or Reward(codes, labels, query_codes=query_codes, n_queries=args.n_queries, seed=args.seed)
    search = Search(reward, args.n_bits, memo=args.memo) if envs is None else reward
    envs = envs or BitSelectionVectorEnv(search, args.n_bits, args.episodes)
    try:
        generator = torch.Generator(args.device).manual_seed(checks.word(args.seed))
    except (RuntimeError, AssertionError) as error:  # torch raises either where it was built without the device
        raise ValueError(f"device {args.device!r} is not here ({str(error).splitlines()[0]}): take 'cpu'") from error
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(checks.word(args.seed))
        known = (search.codes, search.labels) if args.informed else ()
        agent = Agent(search.k, args.hidden, args.critic, *known).to(args.device)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5, fused=True)
    first, history, best_bits, entropy_weight, budget = 0, {}, None, args.entropy_weight, args.budget or np.inf
    exhausted = False
    data = args.checkpoint and artifacts.digest(*reward.given)
    checkpoint = artifacts.Checkpoint(args.checkpoint, f"{data} {args.device} {settings(args)}")
    if state := checkpoint.load():
        agent.load_state_dict(state["agent"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        search.restore(state["search"])
        first, history, best_bits = state["update"], state["history"], state["best_bits"]
        entropy_weight, exhausted = history["entropy_weight"][-1], state["exhausted"]
    uniform = partial(torch.rand, (), generator=generator, device=args.device)
    with closing(artifacts.scalar_writer(args.tensorboard, first)) as log, threads.limited(1, "torch"):
        bar = tqdm(range(first, args.updates), initial=first, total=args.updates, desc="PPO", disable=not args.progress)
        for update in bar:
            calls_before, best_before = search.calls, search.best
            remaining = 1.0 - max(update / args.updates, search.calls / budget)
            if remaining <= 0:
                break
            threads.limit(1, "torch")  # more cost networks this small; numba's kernels leave OpenMP at their own number

            # anneal
            optimizer.param_groups[0]["lr"] = learning_rate = args.learning_rate * (remaining if args.anneal_lr else 1)

            # choose where episodes start: from nothing, or from the best subset so far less some of its bits
            start, steps = np.zeros((args.episodes, 0), dtype=np.int64), args.n_bits
            if best_bits is not None and not exhausted and float(uniform()) < args.restarts:
                steps = 1 + int(float(uniform()) * min(args.dropped, args.n_bits))
                start = parts(best_bits, args.n_bits - steps, args.episodes, generator)

            # roll out one episode in every environment, into [steps, episodes]
            masks = torch.zeros(steps, args.episodes, search.k, dtype=torch.bool, device=args.device)
            rewards = torch.zeros(steps, args.episodes, dtype=torch.double, device=args.device)
            log_probs, terminations, values = torch.zeros(3, steps, args.episodes, device=args.device)
            kept = torch.zeros(args.n_bits, args.episodes, dtype=torch.long, device=args.device)  # in the order taken
            kept[: args.n_bits - steps] = torch.as_tensor(start.T)
            observation, _ = envs.reset(options={"bits": start})
            for step in range(steps):
                masks[step] = torch.as_tensor(observation)
                with torch.no_grad():
                    log_p = agent.log_probabilities(masks[step])  # [episodes, k]
                    values[step] = agent.value(masks[step]) if args.critic else 0.0
                actions = torch.multinomial(log_p.exp(), 1, generator=generator)
                log_probs[step], kept[step - steps] = log_p.gather(-1, actions).squeeze(-1), actions.squeeze(-1)
                observation, step_rewards, terminated, _, info = envs.step(actions.squeeze(-1).cpu().numpy())
                rewards[step], terminations[step] = torch.as_tensor(step_rewards), torch.as_tensor(terminated)
            episode_rewards = rewards.sum(dim=0)  # float64 [episodes], mAP of each
            best_episode = info["final_info"]["bits"][int(episode_rewards.argmax())].tolist()
            best_bits = best_episode if search.best > best_before else best_bits

            # standardize, advantages: raw mAPs differ by hundredths, which the value head would swallow
            if args.standardize:
                rewards = (rewards - rewards.mean(dim=1, keepdim=True)) / (episode_rewards.std(correction=0) + 1e-8)
            gae_lambda = args.gae_lambda if args.critic else 1.0  # values of 0 and lambda 1: the episode's reward
            advantages = generalized_advantages(rewards.float(), values, terminations, args.gamma, gae_lambda)
            returns, advantages = advantages + values, normalized(advantages)

            # explore: repeats teach nothing new
            new = search.calls - calls_before
            entropy_weight = next_entropy_weight(args, entropy_weight, remaining, new)
            exhausted = steps < args.n_bits and new < args.new_subsets * args.episodes  # hardly an exchange is left

            # optimize policy and value, on minibatches of whole episodes
            taken = kept, masks, log_probs
            passes = [reorder(agent, *taken, generator) if reorder else taken for _ in range(args.update_epochs)]
            for bits, masks, log_probs in passes:
                measures = []
                order = torch.randperm(args.episodes, generator=generator, device=args.device)
                for some in order.split(-(-args.episodes // args.minibatches)):
                    log_p = agent.log_probabilities(masks[:, some], agent.prefix_sums(bits[:, some])[-steps:])
                    log_ratio = log_p.gather(-1, bits[-steps:, some, None]).squeeze(-1) - log_probs[:, some]
                    ratio, advantage = log_ratio.exp(), advantages[:, some]
                    clipped_ratio = ratio.clamp(1 - args.clip, 1 + args.clip)
                    policy_loss = -torch.min(advantage * ratio, advantage * clipped_ratio).mean()
                    value_error = agent.value(masks[:, some]) - returns[:, some] if args.critic else torch.zeros(())
                    value_loss, policy_entropy = 0.5 * (value_error**2).mean(), entropy(log_p).mean()
                    loss = policy_loss - entropy_weight * policy_entropy + args.value_weight * value_loss
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                    optimizer.step()
                    with torch.no_grad():
                        kl, clipped = ((ratio - 1) - log_ratio).mean(), ((ratio - 1).abs() > args.clip).float().mean()
                        measures.append(torch.stack([policy_entropy, policy_loss, value_loss, kl, clipped]))

            # record
            names = ("entropy", "policy_loss", "value_loss", "approx_kl", "clip_fraction")  # means over the last pass
            scalars = dict(zip(names, torch.stack(measures).mean(dim=0).tolist(), strict=True))
            scalars |= {"calls": search.calls, "best": search.best, "reward": episode_rewards.mean().item()}
            scalars |= {"steps": steps, "entropy_weight": entropy_weight, "learning_rate": learning_rate}
            variance, left = returns.var(correction=0), (returns - values).var(correction=0)
            scalars["explained_variance"] = 1 - (left / variance).item() if variance > 1e-10 else 0.0
            if not np.isfinite([*scalars.values(), *(p.detach().sum().item() for p in agent.parameters())]).all():
                checkpoint.remove()
                raise ValueError(f"PPO diverged in update {update}: lower learning_rate, which is {args.learning_rate}")
            for name, value in scalars.items():
                history.setdefault(name, []).append(value)
                log.add_scalar(name, value, update)
            bar.set_postfix(best=f"{search.best:.4f}", mean=f"{scalars['reward']:.4f}", calls=search.calls)

            # save
            if update % 10 == 9 or update + 1 == args.updates or search.calls >= budget:
                state = {"update": update + 1, "best_bits": best_bits, "history": history, "search": search.state()}
                state |= {"exhausted": exhausted, "agent": agent.state_dict(), "optimizer": optimizer.state_dict()}
                checkpoint.save(state | {"generator": generator.get_state()})

    curves = {name: np.array(series) for name, series in history.items()}
    policy_bits, curves["policy_probabilities"] = likeliest_episode(agent, args.n_bits, search.k, args.device)
    curves |= {"policy_bits": policy_bits, "policy_reward": reward(mask_of(policy_bits, search.k)[None])[0]}
    return Selection(np.array(best_bits), search.best, search.calls, "ppo", search.k, curves)


def next_entropy_weight(args: Args, weight: float, remaining: float, new: int) -> float:
    """The entropy's weight in an update: it leaves its schedule (at most to 0.3) while too few subsets are `new`."""
    scheduled = args.entropy_weight * remaining
    weight *= 1 / 1.15 if new >= args.new_subsets * args.episodes else 1.15
    return max(scheduled, min(weight, 0.3)) if args.new_subsets else scheduled


def parts(bits: list[int], size: int, number: int, generator: torch.Generator) -> np.ndarray:
    """`number` uniformly random parts of `bits`, int64 [number, size], each in the order of `bits`."""
    order = torch.rand(number, len(bits), generator=generator, device=generator.device).argsort(dim=1)[:, :size]
    return np.array(bits)[order.sort(dim=1).values.cpu().numpy()]


@torch.no_grad()
def likeliest_episode(agent: Agent, n_bits: int, k: int, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Bits [p] that the policy keeps when it takes its likeliest action, and its probabilities [p, k] on the way."""
    mask, bits, probabilities = torch.zeros(1, k, device=device), [], []
    for _ in range(n_bits):
        probabilities.append(agent.log_probabilities(mask).exp()[0].cpu().numpy())
        bits.append(int(probabilities[-1].argmax()))
        mask[0, bits[-1]] = 1
    return np.array(bits), np.stack(probabilities)


def settings(args: Args) -> dict:
    """What the result depends on, beside the codes and labels that it is chosen on."""
    without = ("codes", "pool", "out", "tensorboard", "checkpoint", "progress", "device")
    return {name: value for name, value in asdict(args).items() if name not in without}


def main(args: Args) -> None:
    """Run stage 3 from the shell."""
    artifacts.check_writable(args.out, artifacts.replaces_json("bits"))
    pool = candidates.of_arrays(artifacts.load_npz(args.codes)[0], args.pool, echo=print)
    start = time.perf_counter()
    selection = pool.named(train(args, **pool.paying()))
    selection.save(args.out)
    about = f"after {selection.calls} calls and {time.perf_counter() - start:.0f} s; saved {artifacts.shown(args.out)}"
    print(f"kept {args.n_bits} of {selection.n_candidates} candidates: {' '.join(map(str, selection.bits))}")
    print(f"reward (mAP on {args.pool.reward_codes} codes) {selection.reward:.4f} {about}")


if __name__ == "__main__":
    artifacts.run(main, Args)
