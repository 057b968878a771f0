"""The decision process of stage 3 in Gymnasium's terms: keep one bit after another, be paid at the end."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from hashlib_nb import checks
from hashlib_nb.selection.kept import check_n_bits
from hashlib_nb.selection.reward import MAX_QUERIES, Reward
from hashlib_nb.selection.search import Search

MOST_EPISODES = 1 << 16
"""Episodes of `BitSelectionVectorEnv` at once."""


class BitSelectionEnv(gymnasium.Env):
    """`BitSelection-v0`: keep p of k bits, one a step.

    | part        | what                                                                                   |
    |-------------|----------------------------------------------------------------------------------------|
    | state       | s in {0,1}^k, 1 = the bit is kept; s_0 = 0. Observation: int8 [k], `MultiBinary(k)`      |
    | action      | a in {0..k-1}, the bit to keep next; `Discrete(k)`. `action_masks()`: those not yet kept |
    | transition  | deterministic: s[a] becomes 1. An action that is kept already changes nothing            |
    | reward      | 0 until p bits are kept, then their mAP on the codes (eq. 3.14), in [0, 1]               |
    | termination | when p bits are kept: after p steps if no action repeats. Never truncated                |

    `info` carries `action_mask` (int8 [k], what may be kept next) and, in the end, `bits` (the p indices in order).

    Args:
        codes: {0,1} [n, k].
        labels: {0,1} [n, m], or class numbers int [n].
        n_bits: p, in 1..k.
        query_codes: as in `Reward`: the rows' codes as queries, where these have codes of their own.
        n_queries, seed: as in `Reward`, which draws queries once; the episode itself has no randomness.
        reward: a `Reward` or a `Search` to share between environments, instead of codes and labels.

    Raises:
        ValueError: as `Reward`, and for p outside 1..k.

    Example:
        env = gymnasium.make("hashlib_nb.selection:BitSelection-v0", codes=codes, labels=labels, n_bits=16)
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}

    def __init__(
        self,
        codes=None,
        labels=None,
        n_bits: int = 16,
        *,
        query_codes=None,
        n_queries: int = MAX_QUERIES,
        seed: int = 0,
        reward: Reward | Search | None = None,
        render_mode: str | None = None,
    ):
        self.reward_of = reward or Reward(codes, labels, query_codes=query_codes, n_queries=n_queries, seed=seed)
        self.k, self.n_bits, self.render_mode = self.reward_of.k, check_n_bits(n_bits, self.reward_of.k), render_mode
        self.observation_space = gymnasium.spaces.MultiBinary(self.k)
        self.action_space = gymnasium.spaces.Discrete(self.k)
        self._mask = np.zeros(self.k, dtype=np.int8)
        self._bits: list[int] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start with no bit kept. Raises ValueError for what is no seed."""
        super().reset(seed=None if seed is None else checks.seed(seed))
        self._mask[:] = 0
        self._bits = []
        return self._mask.copy(), {"action_mask": 1 - self._mask}

    def step(self, action: int):
        """Keep one bit; see the table above. Raises ValueError for an action outside 0..k-1 or after the end."""
        action = checks.count(action, "action", least=0, most=self.k - 1)
        if len(self._bits) == self.n_bits:
            raise ValueError(f"the episode is over, {self.n_bits} bits are kept: call reset()")
        if not self._mask[action]:
            self._mask[action] = 1
            self._bits.append(action)
        terminated = len(self._bits) == self.n_bits
        info: dict[str, Any] = {"action_mask": 1 - self._mask}
        reward = 0.0
        if terminated:
            reward = float(self.reward_of(self._mask[None])[0])
            info["bits"] = list(self._bits)
        return self._mask.copy(), reward, terminated, False, info

    def action_masks(self) -> np.ndarray:
        """bool [k], True where the bit may be kept next (the name sb3-contrib's MaskablePPO looks for)."""
        return self._mask == 0

    def render(self) -> str | None:
        """The mask as a string of 0 and 1, in render mode "ansi"."""
        return "".join(map(str, self._mask)) if self.render_mode == "ansi" else None


class BitSelectionVectorEnv(VectorEnv):
    """`num_envs` episodes of `BitSelectionEnv` at once: array operations, and one reward call for all that end.

    The same state, action, transition and reward. Autoreset is SAME_STEP: when an episode ends, the observation is
    already that of the next one, and `info["final_obs"]` [e, k] holds the finished masks, `info["_final_obs"]` [e] says
    whose they are, `info["final_info"]["bits"]` [e, p] the kept bits in order. (Under Gymnasium's default, NEXT_STEP,
    one transition in p + 1 would be a reset without meaning.)

    Args:
        reward: where rewards come from.
        n_bits: p, in 1..k.
        num_envs: e, episodes at once, in 1..`MOST_EPISODES`.

    Raises:
        ValueError: n_bits or num_envs out of range; in `reset` and `step`, bits that are none.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, reward: Reward | Search, n_bits: int, num_envs: int):
        self.reward_of, self.k, self.n_bits = reward, reward.k, check_n_bits(n_bits, reward.k)
        self.num_envs = num_envs = checks.count(num_envs, "num_envs", most=MOST_EPISODES)
        self.single_observation_space = gymnasium.spaces.MultiBinary(self.k)
        self.single_action_space = gymnasium.spaces.Discrete(self.k)
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self._masks = np.zeros((num_envs, self.k), dtype=np.int8)
        self._bits = np.zeros((num_envs, self.n_bits), dtype=np.int64)
        self._kept = np.zeros(num_envs, dtype=np.int64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start every episode with no bit kept, or with those in `options["bits"]`, int [e, fewer than p] in order."""
        super().reset(seed=None if seed is None else checks.seed(seed))
        start = None
        if options is not None and "bits" in options:
            start = self._indices(options["bits"], "bits")
            if start.ndim != 2 or len(start) != self.num_envs or start.shape[1] >= self.n_bits:
                raise ValueError(f"bits is {list(start.shape)}; give [{self.num_envs}, fewer than {self.n_bits}]")
            if (np.diff(np.sort(start, axis=1), axis=1) == 0).any():
                raise ValueError("bits names an index more than once in a row; list each kept bit once")
        self._masks[:] = 0
        self._kept[:] = 0
        if start is not None:
            self._kept[:] = start.shape[1]
            self._bits[:, : start.shape[1]] = start
            np.put_along_axis(self._masks, start, 1, axis=1)
        return self._masks.copy(), {}

    def step(self, actions: np.ndarray):
        """Keep one bit in every episode; `actions` int [e]. Rewards float64 [e], terminated bool [e]."""
        actions = self._indices(actions, "actions")
        if actions.shape != (self.num_envs,):
            raise ValueError(f"actions is {list(actions.shape)}; give one an episode, [{self.num_envs}]")
        rows = np.flatnonzero(self._masks[np.arange(self.num_envs), actions] == 0)  # a repeated action changes nothing
        self._bits[rows, self._kept[rows]] = actions[rows]
        self._masks[rows, actions[rows]] = 1
        self._kept[rows] += 1
        terminated = self._kept == self.n_bits
        rewards = np.zeros(self.num_envs)
        info: dict[str, Any] = {}
        if terminated.any():
            rewards[terminated] = self.reward_of(self._masks[terminated])
            info = {"final_obs": self._masks.copy(), "final_info": {"bits": self._bits.copy()}}
            info |= {"_final_obs": terminated, "_final_info": terminated}
            self._masks[terminated] = 0
            self._kept[terminated] = 0
        return self._masks.copy(), rewards, terminated, np.zeros(self.num_envs, dtype=bool), info

    def _indices(self, bits, name: str) -> np.ndarray:
        """Bits as an array of integers in 0..k-1, or a ValueError."""
        wanted = f"indices of bits in 0..{self.k - 1}"
        bits = checks.array(bits, name, wanted)
        if bits.dtype.kind not in "iu" and bits.size:
            raise ValueError(f"{name} is {bits.dtype} {list(bits.shape)}; give {wanted}")
        if bits.size and not 0 <= bits.min() <= bits.max() < self.k:
            raise ValueError(f"{name} runs from {bits.min()} to {bits.max()}; give {wanted}")
        return bits.astype(np.int64, copy=False)

    def action_masks(self) -> np.ndarray:
        """bool [e, k], True where the bit may be kept next."""
        return self._masks == 0


gymnasium.register(id="BitSelection-v0", entry_point="hashlib_nb.selection:BitSelectionEnv")
