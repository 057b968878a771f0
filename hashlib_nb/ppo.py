"""Stage 3: PPO keeps p of k bits (Algorithm 3). One file, read top to bottom, as CleanRL's are (Huang et al. 2022).

State: the mask of kept bits. Action: a bit not yet kept. Reward: 0 until p bits are kept, then mAP (selection.py).
PPO: Schulman et al. 2017; generalized advantage estimation: Schulman et al. 2016; masking logits: Huang & Ontanon 2022.

What is logged each update, to `Selection.history` and, with `tensorboard`, under the same names:

| name               | what it is                                                                                |
|--------------------|-------------------------------------------------------------------------------------------|
| calls              | distinct subsets whose mAP was computed so far (repeats are answered from a memo)         |
| best               | highest reward of any subset so far                                                       |
| steps              | length of this update's episodes: p, or fewer where they restart from the best subset     |
| reward             | mean raw terminal reward (mAP) of this update's episodes                                  |
| entropy            | mean policy entropy over the last epoch, nats; at most log(bits that may still be kept)   |
| entropy_weight     | its weight in the loss: falling to 0, or higher while too few subsets are new             |
| learning_rate      | Adam's, falling to 0 with `anneal_lr`                                                     |
| policy_loss        | clipped surrogate, mean over the last epoch's minibatches                                 |
| value_loss         | half the squared error of the value head against the returns, likewise                    |
| approx_kl          | mean of (ratio - 1) - log ratio, likewise (Schulman's k3 estimate)                        |
| clip_fraction      | share of samples whose ratio left 1 -+ clip, likewise                                     |
| explained_variance | 1 - Var(returns - values) / Var(returns) before the update; below 0: worse than constant  |

    python -m hashlib_nb.ppo --codes artifacts/fashion-mini-alexnet_small-k64-s0/codes.npz --n-bits 16
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from hashlib_nb import artifacts
from hashlib_nb.hamming import check_codes, mask_of
from hashlib_nb.selection import MAX_QUERIES, BitSelectionVectorEnv, Reward, Selection, check_n_bits, reward_codes


@dataclass(frozen=True)
class Args:
    """PPO for bit selection."""

    codes: Path = Path("codes.npz")
    """npz of stage 2 (python -m hashlib_nb.encoder); the command line alone reads it"""
    reward_codes: Literal["crossfit", "holdout", "in_sample"] = "crossfit"
    """which codes of the training pictures give the reward; the command line alone reads it"""
    out: Path = Path("selection.json")
    """where the command line writes the kept bits, their reward and the curves"""
    n_bits: int = 16
    """p, how many bits to keep"""
    total_episodes: int = 2048
    """subsets tried in all, repeats included; where a budget is given, 4 x budget, for a decided policy repeats"""
    budget: int | None = None
    """most reward calls (distinct subsets): the update that reaches it is the last; None for as many as it takes"""
    episodes: int = 16
    """episodes (whole selections of p bits) in parallel, all of them one update's data"""
    standardize: bool = True
    """bring one update's terminal rewards to mean 0 and deviation 1: raw mAPs differ by hundredths"""
    thesis: bool = False
    """the thesis' setting, whatever else is given: one episode an update, raw reward, gamma 0.99, no memo, no restarts,
    an entropy weight that falls to 0"""
    restarts: float = 0.7
    """share of updates whose episodes start from the best subset so far less a few of its bits, not from nothing"""
    dropped: int = 8
    """most bits that such a start lacks; how many, and which in each episode, is drawn uniformly"""
    new_subsets: float = 0.5
    """share of an update's subsets that ought to be new: while fewer are, the entropy weight rises (at most to 0.3),
    else it sinks back to its schedule; 0 keeps it on schedule"""
    learning_rate: float = 1e-3
    """Adam's, for both networks"""
    anneal_lr: bool = True
    """let the learning rate fall linearly to 0, with the episodes or the budget, whichever is nearer its end"""
    gamma: float = 1.0
    """discount; 1 since every episode has the same length and only its end is rewarded"""
    gae_lambda: float = 0.95
    """lambda of generalized advantage estimation"""
    update_epochs: int = 4
    """passes over one update's data"""
    minibatches: int = 2
    """minibatches a pass"""
    clip: float = 0.2
    """how far the probability ratio may leave 1"""
    entropy_weight: float = 0.02
    """weight of the entropy bonus at the start; falls linearly to 0 as the learning rate does, but see new_subsets"""
    value_weight: float = 0.5
    """weight of the value loss"""
    max_grad_norm: float = 0.5
    """gradients are clipped to this norm"""
    hidden: int = 256
    """units in each of the two hidden layers of the policy and of the value network"""
    n_queries: int = MAX_QUERIES
    """most rows used as queries for the reward; with fewer rows than this, every row is one"""
    seed: int = 0
    """of networks, actions, minibatches and the draw of queries"""
    device: str = "cpu"
    """cpu or cuda; networks this small run as fast on a CPU"""
    tensorboard: Path | None = None
    """folder for TensorBoard scalars; none by default"""
    checkpoint: Path | None = None
    """file saved every few updates; if it is there already, training goes on from it, to the same result"""
    progress: bool = True
    """show a bar"""
    updates: int = field(init=False)
    batch_size: int = field(init=False)
    minibatch_size: int = field(init=False)

    def __post_init__(self) -> None:
        """Derive the sizes and check what can be checked without codes."""
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731 - the dataclass is frozen
        if self.thesis:
            put("episodes", 1)
            put("standardize", False)
            put("gamma", 0.99)
            put("restarts", 0.0)
            put("new_subsets", 0.0)
        for name in ("n_bits", "episodes", "total_episodes", "update_epochs", "minibatches", "hidden", "dropped"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("restarts", "new_subsets"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share and must be in 0..1, not {getattr(self, name)}")
        if self.budget is not None:
            if self.budget < 1:
                raise ValueError(f"budget must be None or at least 1 reward call, not {self.budget}")
            put("total_episodes", max(4 * self.budget, self.episodes))
        if self.total_episodes < self.episodes:
            raise ValueError(f"total_episodes ({self.total_episodes}) must be at least episodes ({self.episodes})")
        put("updates", self.total_episodes // self.episodes)
        put("batch_size", self.episodes * self.n_bits)
        put("minibatch_size", max(self.episodes, self.batch_size // self.minibatches))


def layer(inputs: int, outputs: int, gain: float = 2**0.5) -> nn.Linear:
    """A dense layer with orthogonal weights and zero bias."""
    linear = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(linear.weight, gain)
    nn.init.zeros_(linear.bias)
    return linear


class Agent(nn.Module):
    """Policy and value networks, two hidden layers of 256 units each (section 3.3.2)."""

    def __init__(self, k: int, hidden: int = 256):
        super().__init__()
        trunk = lambda: [layer(k, hidden), nn.Tanh(), layer(hidden, hidden), nn.Tanh()]  # noqa: E731
        self.policy = nn.Sequential(*trunk(), layer(hidden, k, gain=0.01))
        self.critic = nn.Sequential(*trunk(), layer(hidden, 1, gain=1.0))

    def value(self, masks: torch.Tensor) -> torch.Tensor:
        """V(s) [b] of masks float {0,1} [b, k]."""
        return self.critic(masks).squeeze(-1)

    def log_probabilities(self, masks: torch.Tensor) -> torch.Tensor:
        """log pi(a | s) [b, k]; -inf for bits that are kept already (eq. 3.15)."""
        return self.policy(masks).masked_fill(masks > 0, -torch.inf).log_softmax(dim=-1)


def entropy(log_probabilities: torch.Tensor) -> torch.Tensor:
    """Entropy [b] in nats; impossible actions add nothing (0 log 0 = 0)."""
    possible = log_probabilities.masked_fill(log_probabilities == -torch.inf, 0.0)
    return -(log_probabilities.exp() * possible).sum(dim=-1)


def generalized_advantages(rewards, values, terminated, gamma: float, gae_lambda: float) -> torch.Tensor:
    """GAE for whole episodes: A_t = delta_t + gamma lambda (1 - terminated_t) A_{t+1}.

    Args:
        rewards: [steps, episodes].
        values: [steps, episodes], V of the state before each step.
        terminated: [steps, episodes], 1 where the step ended an episode. The last step of each column must, so nothing
            is bootstrapped from beyond it.
        gamma: discount.
        gae_lambda: 1 for Monte Carlo returns, 0 for one-step differences.

    Returns:
        advantages [steps, episodes].
    """
    advantages = torch.zeros_like(rewards)
    running = torch.zeros_like(rewards[0])
    next_value = torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        goes_on = 1.0 - terminated[t]
        delta = rewards[t] + gamma * goes_on * next_value - values[t]
        running = delta + gamma * gae_lambda * goes_on * running
        advantages[t], next_value = running, values[t]
    return advantages


def train(args: Args, codes: np.ndarray | None = None, labels: np.ndarray | None = None, *, reward=None) -> Selection:
    """Choose `args.n_bits` bits of `codes` with PPO; the best subset of all episodes is what is returned.

    Args:
        args: settings.
        codes: {0,1} [n, k].
        labels: {0,1} [n, m].
        reward: a `Reward`, or what is called like one, instead of codes and labels. What it raises is passed on.

    Returns:
        Selection, whose history also holds `policy_bits` and `policy_reward` (what the final policy keeps when it takes
        its likeliest action in every step) and `policy_probabilities` [p, k] along that episode.

    Raises:
        ValueError: codes or labels that do not fit, n_bits outside 1..k, or a checkpoint for a `reward` of the caller's
            (its memo would not be in the file); before any work.
    """
    if reward is None:
        check_n_bits(args.n_bits, check_codes(codes, "codes").shape[1])
        reward = Reward(codes, labels, n_queries=args.n_queries, seed=args.seed, memo=not args.thesis)
    elif args.checkpoint is not None:
        raise ValueError("checkpoint is for a training from codes and labels: give those instead of reward, or no file")
    try:
        generator = torch.Generator(args.device).manual_seed(args.seed)
    except (RuntimeError, AssertionError) as error:  # torch raises either where it was built without the device
        raise ValueError(f"device {args.device!r} is not here ({str(error).splitlines()[0]}): take 'cpu'") from error
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(args.seed)
        agent = Agent(reward.k, args.hidden).to(args.device)
    optimizer = torch.optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5, fused=True)
    draw = lambda: torch.rand((), generator=generator, device=args.device).item()  # noqa: E731
    envs = BitSelectionVectorEnv(reward, args.n_bits, args.episodes)
    calls_before = reward.calls
    best_reward, best_bits, entropy_weight = -1.0, None, args.entropy_weight
    first, history, made_from = 0, {}, ""
    if args.checkpoint is not None:
        made_from = f"{artifacts.digest(np.asarray(codes), np.asarray(labels))} {args.device} {settings(args)}"
    if state := artifacts.load_checkpoint(args.checkpoint, made_from):
        agent.load_state_dict(state["agent"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
        reward.restore(state["memo"])
        first, history, best_bits = state["update"], state["history"], state["best_bits"]
        best_reward, entropy_weight = history["best"][-1], history["entropy_weight"][-1]

    log = writer(args, first)
    with closing(log), keeping_threads():
        bar = tqdm(range(first, args.updates), initial=first, total=args.updates, desc="PPO", disable=not args.progress)
        for update in bar:
            calls = reward.calls - calls_before
            remaining = 1.0 - share_spent(args, update, calls)
            if remaining <= 0:
                break
            if args.anneal_lr:
                optimizer.param_groups[0]["lr"] = args.learning_rate * remaining

            # threads cost networks this small more than they give, and numba's kernels leave OpenMP at their own number
            torch.set_num_threads(1)

            # from nothing, or from the best subset so far less some of its bits
            start, steps = np.zeros((args.episodes, 0), dtype=np.int64), args.n_bits
            if best_bits is not None and args.restarts > 0 and draw() < args.restarts:
                steps = 1 + int(draw() * min(args.dropped, args.n_bits))
                start = parts(best_bits, args.n_bits - steps, args.episodes, generator)

            # storage: [steps, episodes]
            shape = (steps, args.episodes)
            masks = torch.zeros(*shape, reward.k, device=args.device)
            actions = torch.zeros(shape, dtype=torch.long, device=args.device)
            log_probs, rewards, terminations, values = (torch.zeros(shape, device=args.device) for _ in range(4))

            # one episode in every environment
            observation, _ = envs.reset(options={"bits": start})
            for step in range(steps):
                masks[step] = torch.as_tensor(observation)
                with torch.no_grad():
                    log_p = agent.log_probabilities(masks[step])  # [episodes, k]
                    values[step] = agent.value(masks[step])
                actions[step] = torch.multinomial(log_p.exp(), 1, generator=generator).squeeze(-1)
                log_probs[step] = log_p.gather(-1, actions[step][:, None]).squeeze(-1)
                observation, reward_now, terminated, _, info = envs.step(actions[step].cpu().numpy())
                rewards[step] = torch.as_tensor(reward_now)
                terminations[step] = torch.as_tensor(terminated)
            terminal = torch.as_tensor(reward_now, device=args.device)  # float64 [episodes], mAP of each subset
            leader = int(terminal.argmax())
            if terminal[leader].item() > best_reward:
                best_reward, best_bits = terminal[leader].item(), info["final_info"]["bits"][leader].tolist()

            # repeats teach nothing new: while they prevail, the policy is pushed to try other bits
            new = reward.calls - calls_before - calls
            scheduled, found_enough = args.entropy_weight * remaining, new >= args.new_subsets * args.episodes
            entropy_weight *= 1 / 1.15 if found_enough else 1.15
            entropy_weight = max(scheduled, min(entropy_weight, 0.3) if args.new_subsets > 0 else 0.0)

            # raw mAPs differ by hundredths, which the value head would swallow
            if args.standardize:
                rewards[-1] = (terminal - terminal.mean()) / (terminal.std(correction=0) + 1e-8)
            advantages = generalized_advantages(rewards, values, terminations, args.gamma, args.gae_lambda)
            returns = advantages + values
            spread = returns.var(correction=0)
            explained = 1 - ((returns - values).var(correction=0) / spread).item() if spread > 1e-10 else 0.0

            # flatten the batch
            b_masks, b_actions = masks.reshape(-1, reward.k), actions.reshape(-1)
            b_log_probs, b_advantages, b_returns = log_probs.reshape(-1), advantages.reshape(-1), returns.reshape(-1)

            # optimize policy and value
            for _ in range(args.update_epochs):
                measures = []
                order = torch.randperm(steps * args.episodes, generator=generator, device=args.device)
                for rows in order.split(max(args.episodes, len(order) // args.minibatches)):
                    log_p = agent.log_probabilities(b_masks[rows])
                    log_ratio = log_p.gather(-1, b_actions[rows][:, None]).squeeze(-1) - b_log_probs[rows]
                    ratio = log_ratio.exp()
                    advantage = b_advantages[rows]
                    if len(rows) > 1:
                        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                    clipped = ratio.clamp(1 - args.clip, 1 + args.clip)
                    policy_loss = -torch.min(advantage * ratio, advantage * clipped).mean()
                    value_loss = 0.5 * ((agent.value(b_masks[rows]) - b_returns[rows]) ** 2).mean()
                    policy_entropy = entropy(log_p).mean()
                    loss = policy_loss - entropy_weight * policy_entropy + args.value_weight * value_loss
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(agent.parameters(), args.max_grad_norm)
                    optimizer.step()
                    with torch.no_grad():
                        kl = ((ratio - 1) - log_ratio).mean()
                        clip_fraction = ((ratio - 1).abs() > args.clip).float().mean()
                    measures.append(torch.stack([policy_entropy, policy_loss, value_loss, kl, clip_fraction]).detach())

            names = ("entropy", "policy_loss", "value_loss", "approx_kl", "clip_fraction")
            scalars = dict(zip(names, torch.stack(measures).mean(dim=0).tolist(), strict=True))
            scalars |= {"calls": calls + new, "best": best_reward, "reward": terminal.mean().item(), "steps": steps}
            scalars |= {"entropy_weight": entropy_weight, "learning_rate": optimizer.param_groups[0]["lr"]}
            scalars |= {"explained_variance": explained}
            for name, value in scalars.items():
                history.setdefault(name, []).append(value)
                log.add_scalar(name, value, update)
            bar.set_postfix(best=f"{best_reward:.4f}", mean=f"{scalars['reward']:.4f}", calls=scalars["calls"])
            last = share_spent(args, update + 1, calls + new) >= 1
            if args.checkpoint is not None and (last or update % 10 == 9):
                state = {"update": update + 1, "best_bits": best_bits, "history": history}
                state |= {"agent": agent.state_dict(), "optimizer": optimizer.state_dict()}
                state |= {"generator": generator.get_state(), "memo": reward.state()}
                artifacts.save_checkpoint(args.checkpoint, made_from, state)

    calls = reward.calls - calls_before
    curves = {name: np.array(series) for name, series in history.items()}
    policy_bits, curves["policy_probabilities"] = likeliest_episode(agent, args.n_bits, reward.k, args.device)
    curves |= {"policy_bits": policy_bits, "policy_reward": reward(mask_of(policy_bits, reward.k)[None])[0]}
    return Selection(np.array(best_bits), best_reward, calls, "ppo", reward.k, curves)


def share_spent(args: Args, updates: int, calls: int) -> float:
    """How much of the updates or of the budget is spent, whichever is more; at 1 training ends."""
    return max(updates / args.updates, 0.0 if args.budget is None else calls / args.budget)


def parts(bits: list[int], size: int, number: int, generator: torch.Generator) -> np.ndarray:
    """`number` uniformly random parts of `bits`, int64 [number, size], each in the order of `bits`."""
    order = torch.rand(number, len(bits), generator=generator, device=generator.device).argsort(dim=1)[:, :size]
    return np.array(bits)[order.sort(dim=1).values.cpu().numpy()]


@contextmanager
def keeping_threads():
    """Leave torch's number of threads as it was, whatever happens inside."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


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
    """What the result depends on: the arguments less paths, device and display."""
    without = ("codes", "out", "tensorboard", "checkpoint", "progress", "device")
    return {name: value for name, value in asdict(args).items() if name not in without}


def writer(args: Args, first: int):
    """TensorBoard's writer, to which updates from `first` on are new, or a stand-in that writes nothing."""
    if args.tensorboard is None:
        return SimpleNamespace(add_scalar=lambda *_: None, close=lambda: None)
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(args.tensorboard), purge_step=first)


def main(args: Args) -> None:
    """Run stage 3 from the shell."""
    artifacts.check_writable(args.out)
    arrays, _ = artifacts.load_npz(args.codes)
    start = time.perf_counter()
    selection = train(args, *reward_codes(args.reward_codes, arrays))
    selection.save(args.out)
    print(f"kept {args.n_bits} of {selection.n_candidates} bits: {' '.join(map(str, selection.bits))}")
    print(
        f"reward (mAP on {args.reward_codes} codes) {selection.reward:.4f} after {selection.calls} calls and "
        f"{time.perf_counter() - start:.0f} s; saved {artifacts.shown(args.out)}"
    )


if __name__ == "__main__":
    artifacts.run(main, Args)
