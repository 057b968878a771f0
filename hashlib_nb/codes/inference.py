"""Algorithm 1: Adam on the relaxed codes, the sign, and a discrete finish by annealed flips of single bits."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks
from hashlib_nb.codes.labels import LabelSets
from hashlib_nb.codes.objective import ZERO, blockwise_gradient, factorized_gradient, lower_bound, relaxed_objective
from hashlib_nb.hamming import MAX_BITS
from hashlib_nb.machine import CACHE, threads

LITERAL = {"lr": 1.0, "init_scale": 1.0, "finish_sweeps": 0}
"""The thesis' recipe as we read it: Adam at 1.0, which is printed, from W ~ N(0, 1), which is usual; then the sign."""
PRESETS = {"repaired": {}, "literal": LITERAL}
"""Settings of `infer_codes` by name: its defaults, and the thesis'."""


@dataclass(frozen=True)
class TargetCodes:
    """What stage 1 hands to stage 2."""

    codes: np.ndarray
    """uint8 {0,1} [n, k], the target code of each row of the labels."""
    objective: float
    """|| Z Z^T - k S ||_F^2 / (n k)^2 of these codes."""
    lower_bound: float
    """No codes of any length can have a smaller objective; see `lower_bound`."""
    history: dict[str, np.ndarray] = field(repr=False)
    """Objectives on the way: `relaxed` and `binarized` at the start and after each Adam step, so epochs + 1 of each;
    `finish` after each sweep of the discrete finish."""

    @property
    def gap(self) -> float:
        """How far the objective is above the lower bound, as a fraction of it; NaN if the bound is 0."""
        return self.objective / self.lower_bound - 1 if self.lower_bound > ZERO else float("nan")


@numba.njit(cache=CACHE, fastmath=True)
def _anneal_sweep(z, residual, share, order, allowance):  # pragma: no cover - compiled
    """Offer every bit j of every label set a one flip, in place.

    Args:
        z: float32 {-1,+1} [k, u], bit by bit, so that the inner loops read memory in order.
        residual: float32 [u, u], Z Z^T - k S, kept up to date; its diagonal is 0.
        share: float32 [u].
        order: int [u k], the order in which the bits are visited, each as j u + a.
        allowance: float32 [u k], the change of f / (8 share_a) below which each flip is accepted.
    """
    u = len(share)
    for visit in range(len(order)):
        j, a = order[visit] // u, order[visit] % u
        bit, row = z[j], residual[a]
        pull = np.float32(0)
        for b in range(u):
            pull += share[b] * row[b] * bit[b]
        if (1 - share[a]) - bit[a] * pull < allowance[visit]:
            step = 2 * bit[a]
            for b in range(u):
                row[b] -= step * bit[b]
                residual[b, a] = row[b]
            row[a] = 0
            bit[a] = -bit[a]


def discrete_finish(z: np.ndarray, groups: LabelSets, *, sweeps: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Simulated annealing of one code per label set; yields {-1,+1} [u, k] after each sweep, the last at temperature 0.

    A sweep offers each of the u k bits one flip. With r = Z Z^T - k S, flipping bit j of label set a changes f by
    8 share_a ((1 - share_a) - z_aj sum_b share_b r_ab z_bj), which takes O(u) to know. The bracket must stay below the
    temperature times an exponential variate: Metropolis' rule. The temperature falls linearly to 0 from 12 times the
    mean share of an image's own label set.

    Args:
        z: {-1,+1} [u, k], the codes to start from.
        groups: the label sets.
        sweeps: number of sweeps; time is O(u^2 k) for each.
        seed: of the order of visits and of the variates.

    Raises:
        ValueError: z that is not {-1,+1} [u, k], sweeps that are no whole number, or no seed.
    """
    sweeps, seed, z = checks.count(sweeps, "sweeps", least=0), checks.seed(seed), checks.array(z, "z", "{-1,+1} [u, k]")
    if z.ndim != 2 or len(z) != len(groups.sets) or not (np.abs(z) == 1).all():
        raise ValueError(f"z is {checks.shown(z)}; give {{-1,+1}} [{len(groups.sets)}, k], a code for each label set")
    rng = np.random.default_rng(seed)
    share = groups.share.astype(np.float32)
    z = np.ascontiguousarray(z.T, dtype=np.float32)  # [k, u]
    residual = z.T @ z - len(z) * groups.similarity
    hottest = 12 * float(groups.share @ groups.share)
    for sweep in range(sweeps):
        temperature = hottest * (1 - (sweep + 1) / sweeps)
        allowance = np.float32(temperature) * rng.standard_exponential(z.size, dtype=np.float32)
        _anneal_sweep(z, residual, share, rng.permutation(z.size), allowance)
        yield z.T.copy()


@threads.limited(1, "pools")  # matrices this small: two threads that wait for each other on a busy core cost 10x
def infer_codes(
    labels: np.ndarray,
    bits: int,
    *,
    epochs: int = 100,
    lr: float = 0.3,
    init_scale: float = 0.1,
    quantization_weight: float = 1.0,
    finish_sweeps: int = 50,
    block_size: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> TargetCodes:
    """Target codes for labels (Algorithm 1). `**LITERAL` gives the thesis' recipe, the defaults the repaired one.

    Args:
        labels: {0,1} [n, m], at least one label in every row; or class numbers int [n].
        bits: code length k, in 1..`hamming.MAX_BITS`.
        epochs: Adam steps; each uses the gradient of the whole similarity matrix once.
        lr: Adam's learning rate on W. At 1.0 (the thesis) tanh saturates within a few steps and freezes noise.
        init_scale: standard deviation of W at the start.
        quantization_weight: lambda, the weight of || |Z| - 1 ||^2 (eq. 3.8 with |Z|: Z - 1 would pull each bit to +1).
        finish_sweeps: sweeps of `discrete_finish`, which gives equal label sets one code; 0 takes the sign alone.
        block_size: None for the factorized gradient, or the block of the thesis' sum.
        seed: of W and of the finish.
        progress: show a bar.

    Raises:
        ValueError: for labels that are not 0/1 or have an empty row, more than `MAX_SETS` distinct ones, or settings
            out of range; before any work. Settings whose steps end in NaN.
    """
    settings = checked(
        bits=bits,
        epochs=epochs,
        lr=lr,
        init_scale=init_scale,
        quantization_weight=quantization_weight,
        finish_sweeps=finish_sweeps,
        block_size=block_size,
        seed=seed,
    )
    sweeps, groups = settings.pop("finish_sweeps"), LabelSets.of(labels)
    history: dict[str, list[float]] = {"relaxed": [], "binarized": [], "finish": []}
    steps = _relaxation(groups, **settings)
    for z in tqdm(steps, desc=f"stage 1, {bits} bits", total=settings["epochs"] + 1, disable=not progress):
        codes = (z >= 0).astype(np.uint8)  # sign(0) = +1
        history["relaxed"].append(relaxed_objective(z.astype(np.float64), groups))
        history["binarized"].append(relaxed_objective(2.0 * codes - 1, groups))
        if not np.isfinite(history["relaxed"][-1]):
            sizes = ", ".join(f"{name} {settings[name]}" for name in ("lr", "init_scale", "quantization_weight"))
            raise ValueError(
                f"the codes are no numbers after {len(history['relaxed']) - 1} steps; lower one of {sizes}"
            )
    start = np.where(groups.sums(z) >= 0, 1, -1)  # the majority within each label set
    for shared in discrete_finish(start, groups, sweeps=sweeps, seed=seed):
        codes = (shared > 0).astype(np.uint8)[groups.index]
        history["finish"].append(relaxed_objective(2.0 * codes - 1, groups))
    return TargetCodes(
        codes,
        (history["finish"] or history["binarized"])[-1],
        lower_bound(groups),
        {name: np.array(values) for name, values in history.items()},
    )


def checked(**settings: Any) -> dict[str, Any]:
    """The numbers that `infer_codes` takes, by name, of Python's own types; raises ValueError for one out of range."""
    found = dict(settings, bits=checks.count(settings["bits"], "bits", most=MAX_BITS))
    found["seed"] = checks.seed(settings["seed"])
    for name in ("epochs", "finish_sweeps"):
        found[name] = checks.count(settings[name], name, least=0, most=checks.ROUNDS)
    for name in ("lr", "init_scale", "quantization_weight"):
        found[name] = checks.finite(settings[name], name, least=0)
    if settings["block_size"] is not None:
        found["block_size"] = checks.count(settings["block_size"], "block_size")
    return found


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of `infer_codes`, the omitted ones as well."""
    parameters = inspect.signature(infer_codes).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "progress"}
    return {**defaults, **settings}


def _relaxation(
    groups: LabelSets,
    bits: int,
    epochs: int,
    lr: float,
    init_scale: float,
    quantization_weight: float,
    block_size: int | None,
    seed: int,
) -> Iterator[np.ndarray]:
    """Adam on W; yields Z = tanh(W), float32 [n, k], at the start and after each step."""
    n = len(groups.index)
    index, s = torch.as_tensor(groups.index), torch.as_tensor(groups.similarity)
    w = init_scale * torch.randn(n, bits, generator=torch.Generator().manual_seed(checks.word(seed)))
    # Adam written out: torch.optim would load torch's compiler, 140 MB and two seconds, for these three lines.
    mean, square = torch.zeros_like(w), torch.zeros_like(w)
    z = torch.tanh(w)
    yield z.numpy()
    for step in range(1, epochs + 1):
        whole = block_size is None
        gradient = factorized_gradient(z, index, s) if whole else blockwise_gradient(z, groups, block_size)
        gradient += quantization_weight * 2 * (z.abs() - 1) * z.sign()
        # The chain rule through tanh; the constant keeps float32 (and Adam's epsilon) comfortable.
        gradient *= (1 - z**2) / (4 * n * bits)
        mean.lerp_(gradient, 1 - 0.9)
        square.lerp_(gradient**2, 1 - 0.999)
        w -= lr * mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        z = torch.tanh(w)
        yield z.numpy()


def load_or_infer(path: Path, labels: np.ndarray, bits: int, *, seed: int = 0, **settings) -> TargetCodes:
    """`infer_codes`, unless `path` holds the result for these labels and settings; says which.

    Args:
        path: the artifact, an `.npz` with `codes`, `objective`, `lower_bound` and `history_*`.
        labels: {0,1} [n, m], or class numbers int [n].
        bits: code length k.
        seed: as in `infer_codes`.
        **settings: its other keyword arguments, but for `progress`, which is on.
    """
    settings = checked(bits=bits, **with_defaults({**settings, "seed": seed}))  # an omitted default is the same setting
    labels = checks.array(labels, "labels", "a label matrix [n, m], or class numbers [n]")

    def make() -> dict[str, np.ndarray]:
        target = infer_codes(labels, **settings, progress=True)
        history = {f"history_{name}": values for name, values in target.history.items()}
        return {"codes": target.codes, "objective": target.objective, "lower_bound": target.lower_bound, **history}

    args = {"labels": artifacts.digest(labels), **settings}

    def wrong(found: Mapping[str, np.ndarray]) -> str | None:
        numbers = [found.get(name) for name in ("objective", "lower_bound")]
        if any(number is None or number.shape or number.dtype.kind != "f" for number in numbers):
            return "it has no objective or no lower bound"
        whole = "codes" in found and found["codes"].shape == (len(labels), settings["bits"])
        return None if whole else f"it has no codes of {len(labels)} rows of {settings['bits']} bits"

    arrays = artifacts.load_or_make(path, args, make, made_by="hashlib_nb.codes", check=wrong)
    history = {name.removeprefix("history_"): arrays[name] for name in arrays if name.startswith("history_")}
    return TargetCodes(arrays["codes"], float(arrays["objective"]), float(arrays["lower_bound"]), history)
