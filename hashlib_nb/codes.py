"""Stage 1, labels -> target codes: the thesis' Algorithm 1, its exact factorised gradient, a lower bound, a discrete finish.

Two images are similar if they share a label: S = 2 min(Y Y^T, 1) - 1, for labels Y in {0,1}^{n x m}. The codes Z in
{-1,+1}^{n x k} should have inner products that say the same, so stage 1 minimizes

    f(Z) = || Z Z^T - k S ||_F^2  +  lambda || |Z| - 1 ||_F^2 ,     Z = tanh(W) while it is relaxed,

by Adam on W, and then takes the sign. The thesis sums the gradient block by block because S is n x n. It never has to be:

    gradient of the pair term = 4 (Z (Z^T Z) - k S Z),

Z^T Z is k x k, and rows of S that belong to equal label sets are equal, so S Z needs only the u distinct label sets. Cost
O(n k^2 + u^2 k) a step, memory O(n k + u^2).

    python -m hashlib_nb.codes --dataset fashion-mini --bits 64        # see --help
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numba
import numpy as np
import scipy.optimize
import scipy.sparse
import torch
from tqdm.auto import tqdm

from hashlib_nb import artifacts, datasets
from hashlib_nb.hamming import check_labels

LITERAL = {"lr": 1.0, "init_scale": 1.0, "finish_sweeps": 0}
"""The thesis' settings, as written: Adam at 1.0 from W ~ N(0, 1), then the sign. For side-by-side comparison."""


@dataclass(frozen=True)
class LabelSets:
    """The u distinct rows of a label matrix; everything in stage 1 depends on the labels through them alone."""

    sets: np.ndarray
    """uint8 [u, m], the distinct label vectors."""
    index: np.ndarray
    """int64 [n], the label set of each row."""
    counts: np.ndarray
    """int64 [u], how many rows have it."""

    @classmethod
    def of(cls, labels: np.ndarray) -> LabelSets:
        """Group the rows of ``labels`` {0,1} [n, m]. Raises ValueError if a row has no label at all."""
        labels = check_labels(labels, "labels")
        empty = np.flatnonzero(labels.sum(axis=1) == 0)
        if empty.size:
            raise ValueError(
                f"labels: row {empty[0]} (and {empty.size - 1} more) has no label, so no image is similar to it: drop such rows"
            )
        sets, index, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
        return cls(sets, index.reshape(-1), counts)

    @cached_property
    def similarity(self) -> np.ndarray:
        """float32 [u, u], S between the label sets."""
        return similarity(self.sets)

    def sums(self, z: np.ndarray) -> np.ndarray:
        """float64 [u, k], the rows of ``z`` [n, k] added up within each label set."""
        n = len(self.index)
        return scipy.sparse.csr_array((np.ones(n), (self.index, np.arange(n))), shape=(len(self.sets), n)) @ z


@dataclass(frozen=True)
class TargetCodes:
    """What stage 1 hands to stage 2."""

    codes: np.ndarray
    """uint8 {0,1} [n, k], the target code of each row of the labels."""
    objective: float
    """|| Z Z^T - k S ||_F^2 / (n k)^2 of these codes."""
    lower_bound: float
    """No codes of any length can have a smaller objective (:func:`lower_bound`)."""
    history: dict[str, np.ndarray] = field(repr=False)
    """``relaxed`` and ``binarized`` objective after each Adam step, ``finish`` after each sweep of the discrete finish."""

    @property
    def gap(self) -> float:
        """How far the objective is above the lower bound, as a fraction of it."""
        return self.objective / self.lower_bound - 1 if self.lower_bound > 0 else float("nan")


def similarity(labels: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """S = 2 min(Y Y'^T, 1) - 1, float32 [n, n'] (eq. 3.2). For pictures and small n: it is the matrix the rest avoids."""
    a = np.asarray(labels, dtype=np.float32)
    b = a if other is None else np.asarray(other, dtype=np.float32)
    return 2 * np.minimum(a @ b.T, 1) - 1


def pair_gradient(z: torch.Tensor, labels: np.ndarray | LabelSets, *, block_size: int | None = None) -> torch.Tensor:
    """Gradient of || Z Z^T - k S ||_F^2 with respect to Z, both [n, k].

    ``block_size=None`` uses the factorised form. A number runs the thesis' sum over blocks of S with that many rows and
    columns (eq. 3.10; the last blocks may be smaller), which gives the same gradient for every block size.
    """
    groups = labels if isinstance(labels, LabelSets) else LabelSets.of(labels)
    if block_size is not None:
        return _blockwise_gradient(z, groups, block_size)
    index = torch.as_tensor(groups.index, device=z.device)
    s = torch.as_tensor(groups.similarity, dtype=z.dtype, device=z.device)
    return _factorized_gradient(z, index, s)


def _factorized_gradient(z: torch.Tensor, index: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    k = z.shape[1]
    set_sums = z.new_zeros(len(s), k).index_add_(0, index, z)  # [u, k]
    return 4 * (z @ (z.T @ z) - k * (s @ set_sums)[index])  # [n, k]


def _blockwise_gradient(z: torch.Tensor, groups: LabelSets, block_size: int) -> torch.Tensor:
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, not {block_size}")
    n, k = z.shape
    y = torch.as_tensor(groups.sets[groups.index], dtype=z.dtype, device=z.device)
    gradient = torch.zeros_like(z)
    for r in range(0, n, block_size):
        rows = slice(r, r + block_size)
        for c in range(0, n, block_size):
            columns = slice(c, c + block_size)
            s = 2 * (y[rows] @ y[columns].T).clamp(max=1) - 1
            residual = z[rows] @ z[columns].T - k * s  # [h, w]
            gradient[rows] += 2 * residual @ z[columns]
            gradient[columns] += 2 * residual.T @ z[rows]
    return gradient


def pair_objective(codes: np.ndarray, labels: np.ndarray | LabelSets) -> float:
    """|| Z Z^T - k S ||_F^2 / (n k)^2 for ``codes``, 0 where every inner product is right; O(n k^2 + u^2 k), exact.

    Args:
        codes: [n, k], {0,1} codes or relaxed values in [-1, 1]. Unsigned integers are taken as {0,1}, floats as Z itself.
        labels: {0,1} [n, m].
    """
    groups = labels if isinstance(labels, LabelSets) else LabelSets.of(labels)
    codes = np.asarray(codes)
    z = codes.astype(np.float64)
    if codes.dtype.kind in "ub":
        z = 2 * z - 1
    n, k = z.shape
    set_sums = groups.sums(z)
    cross = np.sum(groups.similarity * (set_sums @ set_sums.T))  # <Z Z^T, S>
    return float(np.sum((z.T @ z) ** 2) - 2 * k * cross + (k * n) ** 2) / (n * k) ** 2


def lower_bound(labels: np.ndarray | LabelSets, *, iterations: int = 15) -> float:
    """A number that ``pair_objective`` cannot fall under, for any codes of any length.

    Replace Z Z^T / k by any positive semidefinite G with unit diagonal, average G over pairs of label sets (Jensen), and what
    remains is a weighted nearest-correlation-matrix problem (Higham 2002) over u x u matrices. Every nonnegative nu gives
    the dual value  || (T - diag nu)_- ||_F^2 - || nu ||^2,  T = D^{1/2} S D^{1/2},  D the label sets' shares; it is maximized by
    L-BFGS-B with one eigendecomposition an evaluation. For C balanced classes the optimum is (C-1)/C ((C-2)/(C-1))^2.

    Args:
        iterations: L-BFGS steps. Stopping early gives a looser bound, never a wrong one.
    """
    groups = labels if isinstance(labels, LabelSets) else LabelSets.of(labels)
    root = np.sqrt(groups.counts / groups.counts.sum())
    t = root[:, None] * groups.similarity.astype(np.float64) * root

    def negative_dual(nu: np.ndarray) -> tuple[float, np.ndarray]:
        eigenvalues, vectors = np.linalg.eigh(t - np.diag(nu))
        negative = eigenvalues < 0
        diagonal = (vectors[:, negative] ** 2) @ eigenvalues[negative]
        return nu @ nu - np.sum(eigenvalues[negative] ** 2), 2 * (nu + diagonal)

    start = root**2  # nu has the scale of the shares
    result = scipy.optimize.minimize(
        negative_dual, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(t), options={"maxiter": iterations}
    )
    return max(0.0, -float(result.fun))


@numba.njit(cache=True)
def _anneal_sweep(z, residual, similarity, share, temperature, seed):  # pragma: no cover - compiled
    """One sweep of Metropolis flips over ``z`` {-1,+1} [u, k], in place; ``residual`` = Z Z^T - k S is kept up to date."""
    np.random.seed(seed)
    u, k = z.shape
    for _ in range(u * k):
        a, j = np.random.randint(u), np.random.randint(k)
        pull = 0.0
        for b in range(u):
            if b != a:
                pull += share[b] * residual[a, b] * z[b, j]
        change = (1 - share[a]) - z[a, j] * pull  # of f, in units of 8 share[a]
        if change < 0 or (temperature > 0 and np.random.random() < np.exp(-change / temperature)):
            for b in range(u):
                if b != a:
                    step = 2 * z[a, j] * z[b, j]
                    residual[a, b] -= step
                    residual[b, a] -= step
            z[a, j] = -z[a, j]


def discrete_finish(z: np.ndarray, groups: LabelSets, *, sweeps: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Simulated annealing of one code per label set; yields {-1,+1} [u, k] after each sweep, the last at temperature 0.

    A flip of one bit of one label set changes f by 8 share_a ((1 - share_a) - z_aj sum_b share_b r_ab z_bj), r = Z Z^T - k S: O(u).
    The temperature falls linearly from 12 times the mean share of an image's own label set.
    """
    share = groups.counts / groups.counts.sum()
    s = groups.similarity.astype(np.float64)
    z = z.astype(np.float64)
    residual = z @ z.T - z.shape[1] * s
    hottest = 12 * float(np.sum(share**2))
    for sweep in range(sweeps):
        _anneal_sweep(z, residual, s, share, hottest * (1 - (sweep + 1) / sweeps), seed + sweep)
        yield z


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
    device: str = "cpu",
    progress: bool = False,
) -> TargetCodes:
    """Target codes for labels (Algorithm 1). ``**LITERAL`` gives the thesis' settings, the defaults the repaired ones.

    Args:
        labels: {0,1} [n, m], at least one label in every row.
        bits: code length k, at least 1.
        epochs: Adam steps; each uses the gradient of the whole similarity matrix once.
        lr: Adam's learning rate on W. At 1.0 (the thesis) tanh saturates within a few steps and freezes noise.
        init_scale: standard deviation of W at the start.
        quantization_weight: lambda, the weight of || |Z| - 1 ||^2 (eq. 3.8 as it must be: 1 would pull every bit to +1).
        finish_sweeps: sweeps of :func:`discrete_finish`, which also gives equal label sets one code; 0 takes the sign alone.
        block_size: None for the factorised gradient, or the block of the thesis' sum.
        seed: of W and of the finish.
        device: where the gradient runs, "cpu" or "cuda".
        progress: show a bar.

    Raises:
        ValueError: for labels that are not 0/1 or have an empty row, or settings out of range; before any work.
    """
    groups = LabelSets.of(labels)
    for name, value, least in (
        ("bits", bits, 1),
        ("epochs", epochs, 0),
        ("finish_sweeps", finish_sweeps, 0),
        ("lr", lr, 0),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, not {value}")
    if block_size is not None and block_size < 1:
        raise ValueError(f"block_size must be None or at least 1, not {block_size}")
    n = len(groups.index)
    generator = torch.Generator().manual_seed(seed)
    w = (init_scale * torch.randn(n, bits, generator=generator)).to(device)
    index = torch.as_tensor(groups.index, device=device)
    s = torch.as_tensor(groups.similarity, device=device)
    optimizer = torch.optim.Adam([w], lr=lr)
    history: dict[str, list[float]] = {"relaxed": [], "binarized": [], "finish": []}
    for _ in tqdm(range(epochs), desc=f"stage 1, {bits} bits", disable=not progress):
        z = torch.tanh(w)
        gradient = (
            _factorized_gradient(z, index, s) if block_size is None else _blockwise_gradient(z, groups, block_size)
        )
        gradient += quantization_weight * 2 * (z.abs() - 1) * z.sign()
        w.grad = (
            gradient * (1 - z**2) / (4 * n * bits)
        )  # chain rule; the constant keeps float32 (and Adam's epsilon) comfortable
        optimizer.step()
        z = torch.tanh(w).cpu().numpy()
        history["relaxed"].append(pair_objective(z, groups))
        history["binarized"].append(pair_objective(z >= 0, groups))
    z = torch.tanh(w).cpu().numpy()
    codes = (z >= 0).astype(np.uint8)  # sign(0) = +1
    if finish_sweeps:
        start = np.where(groups.sums(z) >= 0, 1, -1)
        for shared in discrete_finish(start, groups, sweeps=finish_sweeps, seed=seed):
            codes = (shared > 0).astype(np.uint8)[groups.index]
            history["finish"].append(pair_objective(codes, groups))
    return TargetCodes(
        codes,
        pair_objective(codes, groups),
        lower_bound(groups),
        {name: np.array(values) for name, values in history.items()},
    )


def load_or_infer(path: Path, labels: np.ndarray, bits: int, *, seed: int = 0, **settings) -> TargetCodes:
    """:func:`infer_codes`, unless ``path`` holds the result for these labels and settings; says which.

    Args:
        path: the artifact, an ``.npz`` with ``codes``, ``objective``, ``lower_bound`` and ``history_*``.
        labels: {0,1} [n, m].
        bits: code length k.
        seed: as in :func:`infer_codes`.
        **settings: its other keyword arguments.
    """

    def make() -> dict[str, np.ndarray]:
        target = infer_codes(labels, bits, seed=seed, progress=True, **settings)
        history = {f"history_{name}": values for name, values in target.history.items()}
        return {"codes": target.codes, "objective": target.objective, "lower_bound": target.lower_bound, **history}

    args = {"labels": artifacts.digest(labels), "bits": bits, "seed": seed, **settings}
    arrays = artifacts.load_or_make(path, args, make, made_by="hashlib_nb.codes")
    history = {name.removeprefix("history_"): arrays[name] for name in arrays if name.startswith("history_")}
    return TargetCodes(arrays["codes"], float(arrays["objective"]), float(arrays["lower_bound"]), history)


@dataclass(frozen=True)
class Args:
    """Stage 1: infer target codes from labels and write them to an npz file."""

    dataset: str = "fashion-mini"
    """whose training labels to use (a name in hashlib_nb.datasets)"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    labels: Path | None = None
    """a .npy file with labels {0,1} [n, m] to use instead of a data set's"""
    bits: int = 64
    """length k of the codes"""
    literal: bool = False
    """the thesis' settings as written (Adam at 1.0 from N(0, 1), no discrete finish) instead of the repaired ones"""
    epochs: int = 100
    """Adam steps, each with the gradient of the whole similarity matrix"""
    block_size: int | None = None
    """sum the gradient over blocks of this size, as the thesis does, instead of factorizing it"""
    seed: int = 0
    """of the initial W and of the discrete finish"""
    out: Path | None = None
    """npz to write; by default artifacts/<dataset>-k<bits>-s<seed>/target_codes.npz"""


def main(args: Args) -> None:
    """Run stage 1 from the shell."""
    if args.labels is None:
        labels, name = datasets.load(args.dataset, root=args.root).train.labels, args.dataset
    else:
        labels, name = artifacts.load_npy(args.labels), args.labels.stem
    path = args.out or artifacts.folder(name, args.bits, args.seed) / "target_codes.npz"
    settings = LITERAL if args.literal else {}
    target = load_or_infer(
        path, labels, args.bits, seed=args.seed, epochs=args.epochs, block_size=args.block_size, **settings
    )
    distinct = len(np.unique(target.codes, axis=0))
    print(
        f"{len(target.codes)} codes of {args.bits} bits, {distinct} distinct; objective {target.objective:.4f}, "
        f"{100 * target.gap:.1f}% above the lower bound {target.lower_bound:.4f}"
    )


if __name__ == "__main__":
    artifacts.run(main, Args)
