"""Stage 1, labels -> target codes: the thesis' Algorithm 1 with its exact gradient, a lower bound, a discrete finish.

Two images are similar if they share a label: S = 2 min(Y Y^T, 1) - 1, for labels Y in {0,1}^{n x m}. The codes Z in
{-1,+1}^{n x k} should have inner products that say the same, so stage 1 minimizes

    f(Z) = || Z Z^T - k S ||_F^2  +  lambda || |Z| - 1 ||_F^2 ,     Z = tanh(W) while it is relaxed,

by Adam on W, and then takes the sign. The thesis sums the gradient block by block because S is n x n. It never has to:

    gradient of the pair term = 4 (Z (Z^T Z) - k S Z),

Z^T Z is k x k, and rows of S that belong to equal label sets are equal, so S Z needs only the u distinct label sets. A
step costs O(n k^2 + u^2 k), memory is O(n k + u^2).

    python -m hashlib_nb.codes --dataset fashion-mini --bits 64        # see --help
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numba
import numpy as np
import scipy.optimize
import scipy.sparse
import torch
import tyro
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks, datasets
from hashlib_nb.hamming import MAX_BITS, check_labels
from hashlib_nb.machine import CACHE, threads

LITERAL = {"lr": 1.0, "init_scale": 1.0, "finish_sweeps": 0}
"""The thesis' recipe as we read it: Adam at 1.0, which is printed, from W ~ N(0, 1), which is usual; then the sign."""
PRESETS = {"repaired": {}, "literal": LITERAL}
"""Settings of `infer_codes` by name: its defaults, and the thesis'."""
MAX_SETS = 1 << 14
"""Most distinct label sets: the similarities of all pairs are then 1 GB, and the bound's matrices a few times that."""
ZERO = 1e-12
"""A bound below this is 0 but for rounding, since an objective is of the order of 1."""


@dataclass(frozen=True)
class LabelSets:
    """The u distinct rows of a label matrix; everything in stage 1 depends on the labels through them alone."""

    sets: np.ndarray
    """uint8 [u, m], the distinct label vectors; where labels are class numbers, these, int64 [u]."""
    index: np.ndarray
    """int64 [n], the label set of each row."""
    counts: np.ndarray
    """int64 [u], how many rows have it."""

    @classmethod
    def of(cls, labels: np.ndarray | LabelSets) -> LabelSets:
        """Group the rows of `labels`, {0,1} [n, m] or class numbers int [n]; label sets are returned as they are.

        Raises:
            ValueError: The labels are neither, or a row has no label at all.
        """
        if isinstance(labels, LabelSets):
            return labels
        labels = check_labels(labels, "labels")
        if labels.ndim == 1:  # in the order of their one-hot rows, of which the last class's is the smallest
            classes, index, counts = np.unique(~labels, return_inverse=True, return_counts=True)
            return cls(~classes, index, counts)
        empty = np.flatnonzero(~labels.any(axis=1))
        if empty.size:
            raise ValueError(f"labels has {empty.size} rows without any label (row {empty[0]} is one); drop such rows")
        sets, index, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
        return cls(sets, index.reshape(-1), counts)

    @cached_property
    def share(self) -> np.ndarray:
        """float64 [u], the share of the rows that have each label set."""
        return self.counts / self.counts.sum()

    @cached_property
    def similarity(self) -> np.ndarray:
        """float32 [u, u], S between the label sets. Raises ValueError where there are more than `MAX_SETS`."""
        if (u := len(self.sets)) > MAX_SETS:
            raise ValueError(
                f"labels has {u:,} distinct label sets, whose similarities take {4 * u * u / 1e9:,.1f} GB; give "
                f"at most {MAX_SETS:,} sets: fewer rows, or larger classes"
            )
        return similarity(self.sets)

    @cached_property
    def _membership(self) -> scipy.sparse.csr_array:
        n = len(self.index)
        return scipy.sparse.csr_array((np.ones(n), (self.index, np.arange(n))), shape=(len(self.sets), n))

    def sums(self, z: np.ndarray) -> np.ndarray:
        """float64 [u, k], the rows of `z` [n, k] added up within each label set."""
        return self._membership @ z


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


def similarity(labels: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """S = 2 min(Y Y'^T, 1) - 1 (eq. 3.2), which the rest of the module avoids: for pictures and small n.

    Args:
        labels: {0,1} [n, m], Y; or class numbers int [n], of which equal ones are similar.
        other: {0,1} [n', m], Y', or class numbers int [n']; the labels themselves if None.

    Returns:
        float32 {-1,+1} [n, n'].

    Raises:
        ValueError: labels that are neither, or two that are not of one kind and width.
    """
    a = _any_labels(labels, "labels")
    b = a if other is None else _any_labels(other, "other")
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"labels is {list(a.shape)} and other {list(b.shape)}; give both the same concepts")
    if a.ndim == 1:
        return 2 * np.equal.outer(a, b).astype(np.float32) - 1
    return 2 * np.minimum(a.astype(np.float32) @ b.astype(np.float32).T, 1) - 1


def _any_labels(labels: np.ndarray, name: str) -> np.ndarray:
    """`check_labels`, which also takes 0 and 1 as floats."""
    labels = checks.array(labels, name, "a label matrix [n, m]")
    if labels.ndim == 2 and labels.dtype.kind == "f" and ((labels == 0) | (labels == 1)).all():
        labels = labels.astype(np.uint8)
    return check_labels(labels, name)


def pair_gradient(z: torch.Tensor, labels: np.ndarray | LabelSets, *, block_size: int | None = None) -> torch.Tensor:
    """Gradient of || Z Z^T - k S ||_F^2 with respect to Z.

    Args:
        z: float [n, k], Z.
        labels: {0,1} [n, m], or class numbers int [n].
        block_size: None for the factorized form. A number runs the thesis' sum over blocks of S with that many rows
            and columns (eq. 3.10; the last blocks may be smaller): the same gradient, whatever the number.

    Returns:
        [n, k], of z's type.

    Raises:
        ValueError: z and labels that do not fit, or a block_size under 1.
    """
    groups = LabelSets.of(labels)
    if not isinstance(z, torch.Tensor) or z.ndim != 2 or not z.is_floating_point() or not z.numel():
        raise ValueError(f"z is {checks.shown(z)}; give a tensor of floats [n, k]")
    _check_rows(groups, z, "z")
    if block_size is not None:
        return _blockwise_gradient(z, groups, block_size)
    return _factorized_gradient(z, torch.as_tensor(groups.index), torch.as_tensor(groups.similarity, dtype=z.dtype))


def _factorized_gradient(z: torch.Tensor, index: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    k = z.shape[1]
    set_sums = z.new_zeros(len(s), k).index_add_(0, index, z)  # [u, k]
    return 4 * (z @ (z.T @ z) - k * (s @ set_sums)[index])  # [n, k]


def _blockwise_gradient(z: torch.Tensor, groups: LabelSets, block_size: int) -> torch.Tensor:
    block_size = checks.count(block_size, "block_size")
    n, k = z.shape
    labels = groups.sets[groups.index]
    y = torch.as_tensor(labels, dtype=z.dtype if labels.ndim == 2 else torch.int64)
    gradient = torch.zeros_like(z)
    for r in range(0, n, block_size):
        rows = slice(r, r + block_size)
        for c in range(0, n, block_size):
            columns = slice(c, c + block_size)
            shared = y[rows] @ y[columns].T if y.ndim == 2 else (y[rows, None] == y[columns]).to(z.dtype)
            s = 2 * shared.clamp(max=1) - 1
            residual = z[rows] @ z[columns].T - k * s  # [h, w]
            gradient[rows] += 2 * residual @ z[columns]
            gradient[columns] += 2 * residual.T @ z[rows]
    return gradient


def pair_objective(codes: np.ndarray, labels: np.ndarray | LabelSets) -> float:
    """|| Z Z^T - k S ||_F^2 / (n k)^2: 0 where every inner product is right. O(n k^2 + u^2 k), without an n x n matrix.

    Args:
        codes: [n, k]: codes, {0,1} or {-1,+1} (integers or bool), or relaxed values Z in [-1, 1] (floats).
        labels: {0,1} [n, m], or class numbers int [n].

    Raises:
        ValueError: other codes, floats of 0 and 1 alone (which may be codes or values), or labels that do not fit.
    """
    groups = LabelSets.of(labels)
    z = _as_signs(codes)
    _check_rows(groups, z, "codes")
    return _objective(z, groups)


def _as_signs(codes: np.ndarray) -> np.ndarray:
    """Z as float64 [n, k] of codes in any of the forms that `pair_objective` takes."""
    wanted = "codes {0,1} or {-1,+1}, or relaxed values in [-1, 1], [n, k]"
    codes = checks.array(codes, "codes", wanted)
    if codes.ndim != 2 or codes.size == 0 or codes.dtype.kind not in "biuf":
        raise ValueError(f"codes is {codes.dtype} {list(codes.shape)}; give {wanted}")
    low, high = codes.min(), codes.max()
    if not -1 <= low <= high <= 1:  # NaN is refused as well
        raise ValueError(f"codes has values from {low} to {high}; give {wanted}")
    z, binary = codes.astype(np.float64), bool(((codes == 0) | (codes == 1)).all())
    if codes.dtype.kind != "f":
        if not binary and (codes == 0).any():
            raise ValueError("codes is of -1, 0 and 1: codes have two values; give (x > 0) or (x >= 0)")
        return 2 * z - 1 if binary else z
    if binary and low < high:
        raise ValueError("codes is of 0.0 and 1.0 alone: give integers if they are codes, 2 * x - 1 if they are Z")
    return z


def _check_rows(groups: LabelSets, z: np.ndarray | torch.Tensor, name: str) -> None:
    if len(z) != len(groups.index):
        raise ValueError(f"{name} has {len(z)} rows and labels {len(groups.index)}; give one row of labels a code")


def _objective(z: np.ndarray, groups: LabelSets) -> float:
    """`pair_objective` of Z as float64 [n, k]."""
    n, k = z.shape
    set_sums = groups.sums(z)
    # For codes both factors are whole numbers, which float32 multiplies and adds exactly as long as n < 2^24.
    s_sums = groups.similarity @ set_sums.astype(np.float32)
    return float(np.sum((z.T @ z) ** 2) - 2 * k * np.sum(set_sums * s_sums) + (k * n) ** 2) / (n * k) ** 2


def lower_bound(labels: np.ndarray | LabelSets, *, iterations: int = 15) -> float:
    """A number that `pair_objective` cannot fall under, for any codes of any length.

    Replace Z Z^T / k by any positive semidefinite G with unit diagonal and average G over pairs of label sets (Jensen):
    what remains is a weighted nearest-correlation-matrix problem (Higham 2002) over u x u matrices. Every nu >= 0 gives
    the dual value || (T - diag nu)_- ||_F^2 - || nu ||^2, where T = D^{1/2} S D^{1/2}, D are the label sets' shares and
    (.)_- keeps the negative eigenvalues. L-BFGS-B maximizes it with one eigendecomposition, O(u^3), an evaluation. For
    C balanced classes the optimum is (C-1)/C ((C-2)/(C-1))^2.

    Args:
        labels: {0,1} [n, m], or class numbers int [n].
        iterations: L-BFGS steps. Stopping early gives a looser bound, never a wrong one.

    Returns:
        The bound; 0 where it is less than rounding could have made of 0.

    Raises:
        ValueError: labels that are neither, more than `MAX_SETS` distinct ones, or iterations under 1.
    """
    iterations = checks.count(iterations, "iterations")
    groups = LabelSets.of(labels)
    root = np.sqrt(groups.share)
    t = root[:, None] * groups.similarity * root

    def negative_dual(nu: np.ndarray) -> tuple[float, np.ndarray]:
        eigenvalues, vectors = np.linalg.eigh(t - np.diag(nu))
        negative = np.minimum(eigenvalues, 0)
        return nu @ nu - negative @ negative, 2 * (nu + vectors**2 @ negative)

    start = groups.share  # nu has the scale of the shares
    result = scipy.optimize.minimize(
        negative_dual, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(t), options={"maxiter": iterations}
    )
    return bound if (bound := -float(result.fun)) > ZERO else 0.0


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
    settings = _checked(
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
        history["relaxed"].append(_objective(z.astype(np.float64), groups))
        history["binarized"].append(_objective(2.0 * codes - 1, groups))
        if not np.isfinite(history["relaxed"][-1]):
            sizes = ", ".join(f"{name} {settings[name]}" for name in ("lr", "init_scale", "quantization_weight"))
            raise ValueError(
                f"the codes are no numbers after {len(history['relaxed']) - 1} steps; lower one of {sizes}"
            )
    start = np.where(groups.sums(z) >= 0, 1, -1)  # the majority within each label set
    for shared in discrete_finish(start, groups, sweeps=sweeps, seed=seed):
        codes = (shared > 0).astype(np.uint8)[groups.index]
        history["finish"].append(_objective(2.0 * codes - 1, groups))
    return TargetCodes(
        codes,
        (history["finish"] or history["binarized"])[-1],
        lower_bound(groups),
        {name: np.array(values) for name, values in history.items()},
    )


def _checked(**settings: Any) -> dict[str, Any]:
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


def _with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
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
        if block_size is None:
            gradient = _factorized_gradient(z, index, s)
        else:
            gradient = _blockwise_gradient(z, groups, block_size)
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
    settings = _checked(
        bits=bits, **_with_defaults({**settings, "seed": seed})
    )  # an omitted default is the same setting
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


@dataclass(frozen=True)
class Args:
    """Stage 1: infer target codes from labels and write them to an npz file."""

    dataset: str = "fashion-mini"
    """whose training labels to use (a name in hashlib_nb.datasets)"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    options: tuple[str, ...] = ()
    """what the data set takes beyond that, as name=value: protocol=59k exclude=person,car"""
    labels: Path | None = None
    """labels to use instead of a data set's, {0,1} [n, m] or class numbers [n]: a .npy file, or a .txt list (see
    datasets/lists.py)"""
    code_length: Annotated[int, tyro.conf.arg(aliases=["--bits"])] = 64
    """length k of the codes"""
    literal: bool = False
    """the preset of the thesis' settings as written (Adam at 1.0 from N(0, 1), no discrete finish); what else is given
    comes on top"""
    epochs: int = 100
    """Adam steps, each with the gradient of the whole similarity matrix"""
    lr: float | None = None
    """Adam's learning rate; by default 0.3, with literal 1.0"""
    init_scale: float | None = None
    """standard deviation of W at the start; by default 0.1, with literal 1.0"""
    quantization_weight: float = 1.0
    """lambda, the weight of the quantization penalty"""
    finish_sweeps: int | None = None
    """sweeps of the discrete finish; by default 50, with literal 0"""
    block_size: int | None = None
    """sum the gradient over blocks of this size, as the thesis does, instead of factorizing it"""
    seed: int = 0
    """of the initial W and of the discrete finish"""
    out: Path | None = None
    """npz to write; by default artifacts/<dataset>-k<bits>-s<seed>/target_codes.npz. Another program's file is not
    replaced"""
    report: Path | None = None
    """JSON to write: objective, codes a label set, seconds and peak memory; codes that exist already are made anew"""


def _labels_of(args: Args) -> tuple[np.ndarray, str]:
    """Labels and a name for them."""
    if args.labels is None:
        options = dict(datasets.typed_options(args.dataset, args.options))
        name = datasets.label(args.dataset, root=args.root, options=options)
        return datasets.load(args.dataset, root=args.root, **options).train.labels, name
    if args.labels.suffix != ".txt":
        return artifacts.load_npy(args.labels), args.labels.stem
    from hashlib_nb.datasets import read_list

    return read_list(args.labels)[1], f"{artifacts.absolute(args.labels).parent.name}-{args.labels.stem}"


def summarize(target: TargetCodes, labels: np.ndarray) -> dict[str, float | int | None]:
    """What there is to say about codes: how near they are to S, and how many of them a label set has.

    Args:
        target: the codes.
        labels: {0,1} [n, m], or class numbers int [n]: what they were inferred from.

    Returns:
        Plain numbers for JSON. `objective` and `lower_bound` as in `TargetCodes`; `gap` is None where the bound is 0.
    """
    groups = LabelSets.of(labels)
    pairs = np.unique(np.column_stack([groups.index, _rows_as_numbers(target.codes)]), axis=0)
    return {
        "n": len(labels),
        "concepts": labels.shape[1] if labels.ndim == 2 else len(groups.sets),
        "label_sets": len(groups.sets),
        "bits": target.codes.shape[1],
        "objective": target.objective,
        "lower_bound": target.lower_bound,
        "gap": None if np.isnan(target.gap) else target.gap,
        "distinct_codes": len(np.unique(target.codes, axis=0)),
        "codes_per_label_set": len(pairs) / len(groups.sets),
    }


def _rows_as_numbers(rows: np.ndarray) -> np.ndarray:
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)


def main(args: Args) -> None:
    """Run stage 1 from the shell."""
    for path, replaces in (
        (args.out, artifacts.replaces_npz("codes", "objective")),
        (args.report, artifacts.replaces_json("objective")),
    ):
        if path is not None:
            artifacts.check_writable(path, replaces)
    settings = PRESETS["literal" if args.literal else "repaired"] | {
        field: getattr(args, field)
        for field in ("seed", "epochs", "block_size", "quantization_weight", "lr", "init_scale", "finish_sweeps")
        if getattr(args, field) is not None
    }
    _checked(bits=args.code_length, **_with_defaults(settings))
    labels, name = _labels_of(args)
    path = args.out or artifacts.folder(name, args.code_length, args.seed) / "target_codes.npz"
    start = time.perf_counter()
    if args.report is None:
        target = load_or_infer(path, labels, args.code_length, **settings)
    else:  # what is measured must be done
        target = infer_codes(labels, args.code_length, **settings)
    seconds = time.perf_counter() - start
    about = summarize(target, labels)
    above = f"{100 * target.gap:.1f}% above the lower bound {target.lower_bound:.4f}"
    print(
        f"{about['n']} codes of {args.code_length} bits, {about['distinct_codes']} distinct; "
        f"objective {target.objective:.4f}, {'no gap: the bound is 0' if np.isnan(target.gap) else above}"
    )
    if args.report is not None:
        measured = {"seconds": seconds, "peak_memory_mb": artifacts.peak_memory_mb()}
        record = {"command": artifacts.command("codes", args), "labels": name, "seed": args.seed, **about, **measured}
        artifacts.save_json(args.report, record)
        print(f"{seconds:.0f} s, peak memory {measured['peak_memory_mb']:,.0f} MB: {artifacts.shown(args.report)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
