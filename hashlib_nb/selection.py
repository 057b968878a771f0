"""Choosing p of k bits as a Markov decision process: the reward, a search with a budget, the Gymnasium environments.

Everything that chooses bits (ppo.py, selectors/) asks a `Search`, which remembers what a `Reward` measured, counts the
distinct subsets and stops at a budget; what comes out is a `Selection`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks
from hashlib_nb.hamming import MAX_BITS, Pairs, check_bits, check_codes, check_labels, mask_of, toggled
from hashlib_nb.metrics import map_of_flipped, map_of_masks
from hashlib_nb.thermometer import check_meaning, meaning

MAX_QUERIES = 2000
"""Of code sets with more rows than this, that many are drawn as queries, unless `n_queries` says otherwise."""
MOST = np.iinfo(np.int32).max
"""More queries, calls of a budget or rows than this cannot be asked for."""
MOST_CELLS = 1 << 28
"""Bits of all masks that `random_masks` draws at once: 2 GB of random numbers."""
MOST_EPISODES = 1 << 16
"""Episodes of `BitSelectionVectorEnv` at once."""


@dataclass(frozen=True, eq=False)
class Selection:
    """The bits that a method keeps."""

    bits: np.ndarray
    """int64 [p], indices of the kept bits in the order in which they were chosen."""
    reward: float
    """Their reward: mAP on the codes that were given."""
    calls: int
    """Distinct subsets whose reward was computed to find them."""
    method: str
    """What found them: "ppo" or a name in `selectors.METHODS`."""
    n_candidates: int
    """k, the number of bits there were to choose from."""
    history: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    """Curves over the search, where the method leaves some (see ppo.py)."""
    outputs: np.ndarray | None = None
    """int64 [p], the encoder's output that each kept bit asks, where bits are thermometer bits; None where they are the
    outputs themselves, asked at one half."""
    thresholds: np.ndarray | None = None
    """float32 [p], in logits, at which each asks; None likewise."""

    @property
    def mask(self) -> np.ndarray:
        """bool [k], True where the bit is kept."""
        return mask_of(self.bits, self.n_candidates).astype(bool)

    def save(self, path: Path) -> None:
        """Write JSON with the kept bits first, so that other programs need read no more than that.

        Raises:
            ValueError: `path` is no place to write to, or holds a file that is no selection.
        """
        artifacts.check_writable(path, artifacts.replaces_json("bits"))
        curves = {name: np.asarray(values).tolist() for name, values in self.history.items()}
        about = {"reward": self.reward, "calls": self.calls, "method": self.method, "n_candidates": self.n_candidates}
        about |= meaning(self.outputs, self.thresholds)
        artifacts.save_json(path, {"bits": self.bits.tolist(), **about, "history": curves})

    @classmethod
    def load(cls, path: Path) -> Selection:
        """Read what `save` wrote. Raises ArtifactError for a missing or foreign file."""
        bits, about = artifacts.read_selection(path), artifacts.load_json(path)
        try:
            if not isinstance(about.get("history"), dict):
                raise ValueError("history is no list of numbers by name")
            history = {name: np.array(values) for name, values in about["history"].items()}
            return _stored(about | {"bits": bits}, history)
        except ValueError as error:
            raise artifacts.ArtifactError(f"{artifacts.shown(path)} holds no selection ({error})") from error


def _stored(about: Mapping[str, Any], history: dict[str, np.ndarray]) -> Selection:
    """The selection that a file holds. Raises ValueError for what none can be."""
    if missing := {"bits", "reward", "calls", "method", "n_candidates"} - {*about}:
        raise ValueError(f"it has no {', '.join(sorted(missing))}")
    k = checks.count(about["n_candidates"], "n_candidates", most=MAX_BITS)
    asks = (about.get("outputs"), about.get("thresholds"))
    if any(each is not None for each in asks):
        if any(each is None for each in asks):
            raise ValueError("it has outputs or thresholds, but not both")
        asks = check_meaning(*asks)
        if len(asks[0]) != len(about["bits"]):
            raise ValueError("outputs has not one number for each of its bits")
    if not isinstance(about["method"], str):
        raise ValueError(f"method is {checks.shown(about['method'])}, no name")
    if odd := [name for name, values in history.items() if values.dtype.kind not in "iuf"]:
        raise ValueError(f"history has {odd[0]}, which is no array of numbers")
    return Selection(
        bits=check_bits(about["bits"], k),
        reward=float(checks.finite(about["reward"], "reward")),
        calls=checks.count(about["calls"], "calls", least=0),
        method=about["method"],
        n_candidates=k,
        history=history,
        outputs=asks[0],
        thresholds=asks[1],
    )


def load_or_make(path: Path, settings: Mapping[str, Any], make: Callable[[], Selection]) -> Selection:
    """The selection in `path` if it was made with `settings` (codes' digest, p, method, seed ...), else `make()` it.

    See `artifacts.load_or_make`, which says which of the two and why.
    """

    def arrays() -> dict[str, np.ndarray]:
        made = make()
        curves = {f"history_{name}": values for name, values in made.history.items()}
        about = {"reward": made.reward, "calls": made.calls, "method": made.method, "n_candidates": made.n_candidates}
        asks = {} if made.outputs is None else {"outputs": made.outputs, "thresholds": made.thresholds}
        return {"bits": made.bits, **{name: np.array(value) for name, value in about.items()}, **asks, **curves}

    def read(found: Mapping[str, np.ndarray]) -> Selection:
        history = {name.removeprefix("history_"): found[name] for name in found if name.startswith("history_")}
        names = [name for name in ("reward", "calls", "method", "n_candidates") if name in found]
        about = {name: found[name].item() for name in names if found[name].size == 1}
        kept = ("bits", "outputs", "thresholds")
        return _stored(about | {name: found[name] for name in kept if name in found}, history)

    def wrong(found: Mapping[str, np.ndarray]) -> str | None:
        try:
            read(found)
        except ValueError as error:
            return str(error)
        return None

    return read(artifacts.load_or_make(path, settings, arrays, made_by="hashlib_nb.selection", check=wrong))


def check_n_bits(n_bits: int, k: int) -> int:
    """`n_bits` as an int if it is in 1..k; otherwise a ValueError of one sentence."""
    return checks.count(n_bits, "n_bits", most=k, why=f"the codes have {k} bits")


def check_budget(budget: int | None) -> int | None:
    """`budget` as an int if it is a number of calls, or None for no limit; otherwise a ValueError of one sentence."""
    return None if budget is None else checks.count(budget, "budget", most=MOST, why="reward calls")


class Reward:
    """mAP of bit subsets on one set of codes: the terminal reward of the MDP (eq. 3.14).

    With up to `n_queries` rows every row is a query against all the others (leave one out: an item that retrieves
    itself says nothing, at whatever distance from its own query code it lies). With more, `n_queries` rows drawn once,
    with `seed`, are queries against the remaining rows. Ties count at their expectation. There is no sort and no
    distance matrix: one subset costs about queries x rows x p bit operations, of which a machine word does 64 at a
    time.

    It measures whatever it is asked, repeats included; `Search` is what remembers.

    Args:
        codes: {0,1} [n, k].
        labels: {0,1} [n, m], or class numbers int [n].
        query_codes: {0,1} [n, k], the rows' codes as queries, where these have codes of their own (decided queries:
            `thermometer.decide`); None where they are `codes`.
        n_queries: most rows to use as queries, in 1..`MOST`.
        seed: of the draw.

    Raises:
        ValueError: codes or labels of the wrong shape or values, fewer than 2 rows, or no row with a relevant one.
    """

    def __init__(self, codes, labels, *, query_codes=None, n_queries: int = MAX_QUERIES, seed: int = 0):
        n_queries, seed = checks.count(n_queries, "n_queries", most=MOST), checks.seed(seed)
        codes, labels = check_codes(codes, "codes"), check_labels(labels, "labels")
        queries = codes if query_codes is None else check_codes(query_codes, "query_codes")
        flat = labels.ndim == 1  # class numbers
        if queries.shape != codes.shape:
            raise ValueError(
                f"query_codes is {list(queries.shape)} and codes {list(codes.shape)}; give each row both codes"
            )
        if len(codes) != len(labels):
            raise ValueError(f"labels has {len(labels)} rows for {len(codes)} codes; give one row of labels a code")
        if len(codes) < 2:
            raise ValueError("codes has 1 row; a reward needs at least 2, one to find the other")
        if len(codes) <= n_queries:
            self.pairs = Pairs(queries, codes, labels, labels, leave_one_out=True)
            answerable = (
                len(np.unique(labels)) < len(labels) if flat else (labels.sum(axis=0, dtype=np.int64) > 1).any()
            )
        else:
            order = np.random.default_rng(seed).permutation(len(codes))
            query, rest = np.sort(order[:n_queries]), np.sort(order[n_queries:])
            self.pairs = Pairs(queries[query], codes[rest], labels[query], labels[rest])
            q, r = labels[query], labels[rest]
            answerable = np.isin(q, r).any() if flat else (q.any(axis=0) & r.any(axis=0)).any()
        if not answerable:
            raise ValueError("labels give no query a relevant row: at least two rows must share a label")
        self.k = codes.shape[1]
        self.codes, self.labels = codes, labels
        """What was given, for methods that judge bits without a reward."""
        self.given = (codes, labels) if query_codes is None else (codes, labels, queries)
        """All that the reward depends on beside the draw of queries."""
        self.calls = 0
        """Subsets whose mAP was computed so far, repeats included."""

    @classmethod
    def of_queries(cls, query_codes, query_labels, codes, labels) -> Reward:
        """mAP of given queries against given rows, none of which is left out or drawn.

        Args:
            query_codes: {0,1} [q, k].
            query_labels: {0,1} [q, m], or class numbers int [q].
            codes: {0,1} [n, k].
            labels: {0,1} [n, m], or class numbers int [n].

        Raises:
            ValueError: codes or labels of the wrong shape or values.
        """
        made = cls.__new__(cls)
        made.pairs = Pairs(query_codes, codes, query_labels, labels)
        made.k, made.calls = made.pairs.k, 0
        made.codes, made.labels = check_codes(codes), check_labels(labels)
        made.given = (made.codes, made.labels, check_codes(query_codes), check_labels(query_labels))
        return made

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Rewards float64 [e] of masks {0,1} [e, k]; one pass over the codes for all of them."""
        masks = self.pairs.check_masks(masks)
        self.calls += len(masks)
        return map_of_masks(self.pairs, masks)

    def flipped(self, mask: np.ndarray, bits: Sequence[int] | np.ndarray) -> np.ndarray:
        """Rewards float64 [b] of `mask` {0,1} [k] with each of the b `bits` toggled alone: added, or removed if kept.

        One pass over the codes for all of them, several times cheaper than as many masks; each counts as one call.
        """
        mask, bits = self.pairs.check_masks(np.asarray(mask)[None])[0], check_bits(bits, self.k)
        self.calls += len(bits)
        return map_of_flipped(self.pairs, mask, bits)

    def of_bits(self, bits: Sequence[int] | np.ndarray) -> float:
        """Reward of one subset given by its indices."""
        return float(self(mask_of(bits, self.k)[None])[0])


class BudgetSpent(Exception):  # noqa: N818 - nothing went wrong
    """A search was asked for more subsets than were left in its budget; those that fit were evaluated."""

    def __init__(self, values: np.ndarray):
        super().__init__("the budget of reward calls is spent")
        self.values = values
        """float64, the rewards that were asked for; -inf for those that did not fit."""


class Search:
    """A `Reward` with a memory and a budget, which is what a method is given.

    A subset that was asked for before is answered from memory: only distinct subsets count as calls. Each search counts
    its own, so that two of them may share a `Reward` without either gaining calls.

    Args:
        reward: where rewards come from: a `Reward`, or another search, whose budget then counts as well.
        n_bits: p, the size of the subsets that are answers.
        budget: most calls; None for no limit.
        memo: False to forget (the thesis' setting): repeats are computed again, and each counts as a call.
        progress: show a bar over calls.
        clock: what tells seconds; `time.process_time` for those of this process, whatever else the machine does.

    Raises:
        ValueError: n_bits outside 1..k, a budget under 1, or, when asked, a reward that is not finite.
    """

    def __init__(
        self,
        reward: Reward | Search,
        n_bits: int,
        budget: int | None = None,
        *,
        memo: bool = True,
        progress: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.n_bits, self.k, self.budget = check_n_bits(n_bits, reward.k), reward.k, check_budget(budget)
        self.reward, self.pairs, self.memo = reward, reward.pairs, memo
        self.codes, self.labels = reward.codes, reward.labels
        self.calls = 0
        """Subsets evaluated so far: distinct ones, unless it forgets."""
        self.best = -math.inf
        """Highest reward of a subset of n_bits bits so far."""
        self.best_bits: np.ndarray | None = None
        """That subset, int64 [n_bits] ascending; None while there is none."""
        self.trace: list[tuple[int, float, float]] = []
        """(calls, seconds, best) each time the best improved."""
        self.bar = tqdm(total=budget, unit="call", disable=not progress)
        self._values: dict[bytes, float] = {}
        self._clock, self._start = clock, clock()

    @property
    def seconds(self) -> float:
        """Seconds since the search began."""
        return self._clock() - self._start

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Rewards float64 [e] of masks {0,1} [e, k]. Raises BudgetSpent when they do not all fit."""
        masks = self.pairs.check_masks(masks)
        return self._look_up(masks, lambda rows: self.reward(masks[rows]))

    def flipped(self, mask: np.ndarray, bits: Sequence[int] | np.ndarray) -> np.ndarray:
        """Rewards float64 [b] of `mask` {0,1} [k] with each of the b `bits` toggled alone (see `Reward.flipped`).

        Raises BudgetSpent when they do not all fit; those of the first bits do.
        """
        mask, bits = self.pairs.check_masks(np.asarray(mask)[None])[0], check_bits(bits, self.k)
        return self._look_up(toggled(mask, bits), lambda rows: self.reward.flipped(mask, bits[rows]))

    def _look_up(self, masks: np.ndarray, evaluate: Callable[[list[int]], np.ndarray]) -> np.ndarray:
        """Rewards of masks, of which `evaluate(rows)` computes those that are new, as far as the budget goes."""
        keys = _keys(masks) if self.memo else range(len(masks))  # without a memo each row is new
        known = self._values if self.memo else {}
        new = {key: row for row, key in enumerate(keys) if key not in known}
        rows = list(new.values())
        if self.budget is not None:
            rows = rows[: self.budget - self.calls]
        if rows:
            values = np.asarray(evaluate(rows))
            if not np.isfinite(values).all():
                raise ValueError(
                    f"reward gave {values[~np.isfinite(values)][0]} for a subset of bits; it must be finite"
                )
            self.record(masks[rows], values)
            known.update(zip(new, values.tolist(), strict=False))
            self.calls += len(rows)
        if len(rows) < len(new):
            raise BudgetSpent(np.array([known.get(key, -math.inf) for key in keys]))
        return np.array([known[key] for key in keys])

    def record(self, masks: np.ndarray, values: np.ndarray) -> None:
        """Note which of the new masks are the best answers so far; a search for other answers overrides it."""
        for row in np.flatnonzero((masks.sum(axis=1) == self.n_bits) & (values > self.best)):
            if values[row] > self.best:
                self.improve(np.flatnonzero(masks[row]), values[row], self.calls + int(row) + 1)
        self.bar.update(len(masks))

    def improve(self, bits: np.ndarray, value: float, calls: int) -> None:
        """Note the best answer so far, found at that many calls."""
        self.best, self.best_bits = float(value), bits
        self.trace.append((calls, self.seconds, self.best))
        self.bar.set_postfix(best=f"{self.best:.4f}", refresh=False)

    def state(self) -> dict[str, Any]:
        """All that it knows in plain values, so that it can be saved and gone on with by `restore`."""
        best_bits = None if self.best_bits is None else self.best_bits.tolist()
        about = {"calls": self.calls, "best": self.best, "best_bits": best_bits, "seconds": self.seconds}
        memory = {"subsets": [key.hex() for key in self._values], "rewards": list(self._values.values())}
        return {**about, "trace": [list(point) for point in self.trace], **memory}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        self.calls, self.best, best_bits = state["calls"], state["best"], state["best_bits"]
        self.best_bits = None if best_bits is None else np.array(best_bits)
        self.trace = [tuple(point) for point in state["trace"]]
        self._values = dict(zip(map(bytes.fromhex, state["subsets"]), state["rewards"], strict=True))
        self._start = self._clock() - state["seconds"]

    def run(self, find: Callable[[Search, int], Sequence[int] | np.ndarray | None], seed: int, name: str) -> Selection:
        """The selection that the method `find` comes to from `seed`, or had come to when the budget was spent."""
        try:
            bits = find(self, seed)
        except BudgetSpent:
            bits = None  # the best that it asked for counts
        return self.selection(bits, name)

    def selection(self, bits: Sequence[int] | np.ndarray | None, method: str) -> Selection:
        """The best subset that was asked for, in the order of `bits` if they are it; `bits` if none was asked for."""
        calls, seconds = self.calls, self.seconds
        if self.best_bits is not None and (bits is None or self._known(bits) < self.best):
            bits = self.best_bits
        bits = np.asarray(bits, dtype=np.int64)
        value = self.reward.of_bits(bits) if self.best_bits is None else self.best
        curve = np.array([*self.trace, (calls, seconds, value)])
        history = {"calls": curve[:, 0].astype(np.int64), "seconds": curve[:, 1], "best": curve[:, 2]}
        return Selection(bits, value, calls, method, self.k, history)

    def _known(self, bits: Sequence[int] | np.ndarray) -> float:
        """Reward of a subset if it is remembered, else -inf."""
        return self._values.get(_keys(mask_of(bits, self.k)[None])[0], -math.inf)


def _keys(masks: np.ndarray) -> list[bytes]:
    """A dictionary key for each mask {0,1} [e, k]."""
    return [mask.tobytes() for mask in np.packbits(masks, axis=1)]


REWARD_CODES = ("crossfit", "views", "holdout", "in_sample")
"""Which codes of the training pictures a reward is computed on (see `reward_codes`)."""


def check_reward_codes(kind: str) -> str:
    """`kind` if it is one of `REWARD_CODES`; otherwise a ValueError of one sentence."""
    if kind not in REWARD_CODES:
        raise ValueError(f"reward_codes must be one of {', '.join(REWARD_CODES)}, not {kind!r}")
    return kind


def reward_codes(kind: str, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Codes [n, k] and labels [n, m] to reward a selection on, out of what stage 2 left in `codes.npz`.

    - "in_sample" (the thesis): codes of the training pictures from the encoder that was fitted to them. They are nearly
      perfect, so the reward saturates.
    - "holdout": codes of the first fold's pictures, from the encoder that was fitted to the other folds.
    - "crossfit": every training picture's code from the one fold encoder that did not see it.
    - "views": codes of an augmented view of each training picture, from the encoder that was fitted to such views.

    Raises:
        ValueError: an unknown kind, or arrays of another origin.
    """
    check_reward_codes(kind)
    unseen = kind in ("crossfit", "holdout")
    rewarded = {"in_sample": "train_codes", "views": "view_codes"}.get(kind, "out_of_fold_codes")
    needed = {"train_labels", rewarded} | ({"fold"} if unseen else set())
    if missing := sorted(needed - set(arrays)):
        raise ValueError(
            f"the codes file has no {', '.join(missing)}: give the codes.npz that hashlib_nb.encoder writes"
            + (" with a recipe that makes views, such as tuned" if rewarded in missing and kind == "views" else "")
        )
    if unseen and not len(arrays["fold"]):
        remedy = "set reward_codes to views" if "view_codes" in arrays else "set folds to 2 or more"
        raise ValueError(f"the codes were made with folds=0, so there are none for reward_codes={kind!r}: {remedy}")
    rewarded = arrays[rewarded]
    if len(rewarded) != len(arrays["train_labels"]) or unseen and len(arrays["fold"]) != len(rewarded):
        raise ValueError("the codes file has not one label and fold for each training picture: it must be made anew")
    if not unseen:
        return rewarded, arrays["train_labels"]
    rows = arrays["fold"] == 0 if kind == "holdout" else np.ones(len(arrays["fold"]), dtype=bool)
    return rewarded[rows], arrays["train_labels"][rows]


def random_masks(k: int, n_bits: int, number: int, seed: int | np.random.Generator = 0) -> np.ndarray:
    """`number` uniformly random subsets of `n_bits` of k bits, uint8 {0,1} [number, k].

    Args:
        k: how many bits there are.
        n_bits: p, in 1..k.
        number: of subsets; number x k is at most `MOST_CELLS`.
        seed: a seed, or a generator to go on with.

    Raises:
        ValueError: numbers out of range.
    """
    k = checks.count(k, "k", most=MAX_BITS)
    n_bits = check_n_bits(n_bits, k)
    number = checks.count(number, "number", least=0, most=MOST_CELLS // k, why="what fits into 2 GB")
    if not isinstance(seed, np.random.Generator):
        seed = checks.seed(seed)
    rng = np.random.default_rng(seed)
    chosen = rng.random((number, k)).argsort(axis=1)[:, :n_bits]
    masks = np.zeros((number, k), dtype=np.uint8)
    np.put_along_axis(masks, chosen, 1, axis=1)
    return masks


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
