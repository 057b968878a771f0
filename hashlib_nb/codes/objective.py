"""Stage 1's objective, its gradient without an n x n matrix, and a bound below which no codes come."""

from __future__ import annotations

import numpy as np
import scipy.optimize
import scipy.sparse
import torch

from hashlib_nb import checks
from hashlib_nb.codes.labels import LabelSets

ZERO = 1e-12
"""A bound below this is 0 but for rounding, since an objective is of the order of 1."""


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
    check_rows(groups, z, "z")
    if block_size is not None:
        return blockwise_gradient(z, groups, block_size)
    return factorized_gradient(z, torch.as_tensor(groups.index), torch.as_tensor(groups.similarity, dtype=z.dtype))


def factorized_gradient(z: torch.Tensor, index: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    k = z.shape[1]
    set_sums = z.new_zeros(len(s), k).index_add_(0, index, z)  # [u, k]
    return 4 * (z @ (z.T @ z) - k * (s @ set_sums)[index])  # [n, k]


def blockwise_gradient(z: torch.Tensor, groups: LabelSets, block_size: int) -> torch.Tensor:
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
    check_rows(groups, z, "codes")
    return relaxed_objective(z, groups)


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


def check_rows(groups: LabelSets, z: np.ndarray | torch.Tensor, name: str) -> None:
    if len(z) != len(groups.index):
        raise ValueError(f"{name} has {len(z)} rows and labels {len(groups.index)}; give one row of labels a code")


def relaxed_objective(z: np.ndarray, groups: LabelSets) -> float:
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
