"""One gradient of stage 1: ours in factorized form against the sum over blocks of the n x n similarity matrix.

The other side is what the thesis describes, as plainly as it can be written: for each block of S, the residual
Z Z^T - k S and its product with Z. "whole matrix" is the same with a single block. All three give the same gradient,
which is asserted. Label sets are grouped, and label matrices are floats, before the clock starts, since training does
that once. Single labels (10 distinct label sets) suit the factorized form best; with 21 concepts in free combination it
has to work with thousands of label sets. Memory is measured in a process of its own for each entry, data included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from benchmarks import timing
from hashlib_nb.codes import LabelSets, pair_gradient

FACTORIZED, BLOCKS, WHOLE = "factorized", "sum over blocks", "whole matrix"
WHOLE_ITEMS = 8_000  # above, a few n x n matrices would take more memory than many machines have


@dataclass(frozen=True)
class Args:
    """A gradient for growing numbers of training images."""

    sizes: tuple[int, ...] = (1_000, 2_000, 4_000, 8_000, 16_000)
    """training images n"""
    bits: int = 64
    """length k of the codes"""
    block: int = 1_000
    """rows and columns of a block"""
    kinds: tuple[str, ...] = ("single", "multi")
    """labels: one class an image, or several of 21 concepts"""
    repeats: int = 3
    """rounds after the warm-up; the median counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, sizes=(20, 50), bits=8, block=15, kinds=("multi",), repeats=1)


def labels_of(kind: str, n: int) -> np.ndarray:
    """Labels {0,1} [n, m]: one of 10 classes, or about three of 21 concepts."""
    rng = np.random.default_rng(0)
    if kind == "single":
        return np.eye(10, dtype=np.uint8)[rng.integers(0, 10, n)]
    labels = (rng.random((n, 21)) < 0.15).astype(np.uint8)
    labels[np.arange(n), rng.integers(0, 21, n)] = 1  # every image has a concept
    return labels


def relaxed_codes(n: int, k: int) -> torch.Tensor:
    """Z in the middle of a training, float32 [n, k]."""
    return torch.tanh(torch.randn(n, k, generator=torch.Generator().manual_seed(0)))


def sum_over_blocks(z: torch.Tensor, y: torch.Tensor, block: int) -> torch.Tensor:
    """Gradient of || Z Z^T - k S ||_F^2, block by block of S = 2 min(Y Y^T, 1) - 1."""
    gradient = torch.zeros_like(z)
    for rows in range(0, len(z), block):
        for columns in range(0, len(z), block):
            some, others = slice(rows, rows + block), slice(columns, columns + block)
            similarity = 2 * (y[some] @ y[others].T).clamp(max=1) - 1
            residual = z[some] @ z[others].T - z.shape[1] * similarity
            gradient[some] += 4 * residual @ z[others]
    return gradient


def one_gradient(side: str, kind: str, n: int, k: int, block: int) -> None:
    """What is measured for memory, from labels to gradient."""
    labels, z = labels_of(kind, n), relaxed_codes(n, k)
    if side == FACTORIZED:
        pair_gradient(z, labels)
    else:
        sum_over_blocks(z, torch.as_tensor(labels, dtype=z.dtype), n if side == WHOLE else block)


def measure(args: Args, kind: str, n: int) -> list[dict]:
    """Rows of one size."""
    labels, z = labels_of(kind, n), relaxed_codes(n, args.bits)
    groups, y = LabelSets.of(labels), torch.as_tensor(labels, dtype=z.dtype)
    sides = {
        FACTORIZED: lambda: pair_gradient(z, groups),
        BLOCKS: lambda: sum_over_blocks(z, y, args.block),
    }
    if n <= WHOLE_ITEMS:
        sides[WHOLE] = lambda: sum_over_blocks(z, y, n)
    times, values = timing.take_turns(sides, args.repeats)
    scale = float(values[BLOCKS].abs().max())
    rows = []
    for side, taken in times.items():
        torch.testing.assert_close(values[side], values[BLOCKS], rtol=0, atol=1e-4 * scale)
        row = {"side": side, "labels": kind, "n": n, "bits": args.bits, "label_sets": len(groups.sets), **taken}
        if n == max(size for size in args.sizes if size <= WHOLE_ITEMS):
            row["peak_mb"] = timing.peak_memory(
                one_gradient, (side, kind, n, args.bits, args.block), (side, kind, 100, args.bits, args.block)
            )
        rows.append(row)
    return rows


def ratios(args: Args, rows: list[dict]) -> list[timing.Ratio]:
    """Time at the largest size, memory where every side was measured."""
    found = []
    for kind in args.kinds:
        of = {(row["side"], row["n"]): row for row in rows if row["labels"] == kind}
        largest = max(args.sizes)
        what = f"stage 1 gradient, {largest:,} images x {args.bits} bits, {kind} labels"
        ours, theirs = of[FACTORIZED, largest], of[BLOCKS, largest]
        found.append(timing.Ratio(what, BLOCKS, ours["seconds"], theirs["seconds"]))
        for side, n in of:
            if "peak_mb" in of[side, n] and side != FACTORIZED:
                what = f"its peak memory, {n:,} images, {kind} labels"
                ours, theirs = of[FACTORIZED, n]["peak_mb"], of[side, n]["peak_mb"]
                found.append(timing.Ratio(what, side, ours, theirs, "MB"))
    return found


def main(args: Args) -> None:
    """Measure, print the table, save rows and figure."""
    rows = [row for kind in args.kinds for n in args.sizes for row in measure(args, kind, n)]
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.4g", na_rep=""))
    timing.save("codes", args, rows, ratios(args, rows))
    groups = table.groupby(["labels", "side"], sort=False)
    curves = {f"{side}, {kind}": (lines.n, lines.seconds) for (kind, side), lines in groups}
    timing.figure("bench_codes", curves, "training images", "seconds a gradient")


if __name__ == "__main__":
    timing.run(main, Args)
