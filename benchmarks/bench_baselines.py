"""Other people's codes at the size of a whole training set: closed forms against their matrix products, one thread.

ITQ and SDH have no rival that is maintained, so the yardstick is what they cannot do without: the products of n rows
with d features, or with the anchors. CNNH shares a code among equal label sets; the other side is the same sweep over
rows that each have a further label of their own, so that none share. The mean over a batch's triplets (DTSH's) is
compared with the tensor of b^3 differences that its formula shows; gradients are asserted to be equal. Memory is
measured in a process of its own for each entry, data included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import softplus

from benchmarks import timing
from hashlib_nb import baselines
from hashlib_nb.codes import pair_objective
from hashlib_nb.machine import threads

OURS, PRODUCTS, EACH_ROW, CUBE = "ours", "matrix products alone", "a code for each row", "tensor of b^3"
METHODS = {"itq": "ITQ", "sdh": "SDH"}
"""Closed forms, by name."""


@dataclass(frozen=True)
class Args:
    """Closed forms, sweeps and triplets, on one thread."""

    n: int = 50_000
    """training rows"""
    width: int = 1_280
    """features of a row"""
    bits: int = 64
    """k"""
    cnnh_rows: int = 1_000
    """training rows of CNNH's two sides"""
    batches: tuple[int, ...] = (32, 64, 128, 256)
    """rows whose triplets are taken"""
    repeats: int = 1
    """rounds after the warm-up; the median counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, n=200, width=40, bits=8, cnnh_rows=40, batches=(6, 12))


def rows_of(n: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [n, width] around ten centers, and classes int [n]."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, n)
    centers = rng.standard_normal((10, width), dtype=np.float32)
    return centers[classes] + rng.standard_normal((n, width), dtype=np.float32), classes


def closed_form(name: str, n: int, width: int, bits: int) -> None:
    """What is measured for memory, from rows to the fitted method."""
    baselines.fit(name, *rows_of(n, width), bits)


def products(name: str, features: np.ndarray, bits: int) -> Callable[[], None]:
    """The products of large matrices that a closed form cannot do without."""
    made, k = baselines.method(name), np.zeros((features.shape[1], bits), np.float32)

    def itq() -> None:
        features.T @ features
        values = features @ k
        for _ in range(made.rounds):
            values.T @ (values @ np.eye(bits, dtype=np.float32))

    def sdh() -> None:
        phi = features @ features[: made.anchors].T
        phi.T @ phi
        for _ in range(made.rounds):
            phi @ (phi.T @ np.zeros((len(phi), bits), np.float32))

    return {"itq": itq, "sdh": sdh}[name]


def measure_closed(args: Args, name: str) -> list[dict]:
    """Rows of a closed form."""
    features, classes = rows_of(args.n, args.width)
    sides = {
        OURS: lambda: baselines.fit(name, features, classes, args.bits),
        PRODUCTS: products(name, features, args.bits),
    }
    times, _ = timing.take_turns(sides, args.repeats)
    small = (name, max(100, 2 * args.bits), args.width, args.bits)
    peak = timing.peak_memory(closed_form, (name, args.n, args.width, args.bits), small)
    about = {"what": METHODS[name], "n": args.n, "bits": args.bits}
    return [
        about | {"side": side, **taken, **({"peak_mb": peak} if side == OURS else {})} for side, taken in times.items()
    ]


def measure_cnnh(args: Args) -> list[dict]:
    """Rows of CNNH's stage 1, which both sides end equally well."""
    classes = np.eye(10, dtype=np.uint8)[np.arange(args.cnnh_rows) % 10]
    each = np.hstack([classes, np.eye(args.cnnh_rows, dtype=np.uint8)])  # which makes no two rows similar

    def value(labels: np.ndarray) -> float:
        return pair_objective(baselines.method("cnnh").targets(labels, args.bits, 0), classes)

    times, values = timing.take_turns({OURS: lambda: value(classes), EACH_ROW: lambda: value(each)}, args.repeats)
    about = {"what": "CNNH", "n": args.cnnh_rows, "bits": args.bits}
    return [about | {"side": side, **taken, "objective": values[side]} for side, taken in times.items()]


def ours(u: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """DTSH's mean over triplets, without its distance to codes."""
    return baselines.method("dtsh", eta=0.0).loss(u, y, None, 0.0)


def cube(u: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The same as its formula has it."""
    near, s = u @ u.T / 2, (y @ y.T > 0).float()
    alike, unlike = s - torch.eye(len(s)), 1 - s
    penalties = softplus(5 / 48 * u.shape[1] - (near[:, :, None] - near[:, None, :]))
    return torch.einsum("apn,ap,an->", penalties, alike, unlike) / (alike.sum(1) @ unlike.sum(1))


def gradient(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], batch: int, bits: int) -> torch.Tensor:
    """Of a loss of triplets with respect to outputs [b, k]; half of the pairs are similar."""
    u = torch.randn(batch, bits, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss(u, torch.nn.functional.one_hot(torch.arange(batch) % 2).float()).backward()
    return u.grad


def measure_triplets(args: Args, batch: int) -> list[dict]:
    """Rows of one batch's triplets, forward and backward."""
    sides = {OURS: ours, CUBE: cube}
    runs = {side: lambda loss=loss: gradient(loss, batch, args.bits) for side, loss in sides.items()}
    times, values = timing.take_turns(runs, max(3, args.repeats))
    torch.testing.assert_close(values[OURS], values[CUBE], rtol=1e-3, atol=1e-6)
    rows = []
    for side, taken in times.items():
        peak = timing.peak_memory(gradient, (sides[side], batch, args.bits), (sides[side], 4, args.bits))
        rows.append({"what": "triplets", "n": batch, "bits": args.bits, "side": side, **taken, "peak_mb": peak})
    return rows


def ratios(args: Args, rows: list[dict]) -> list[timing.Ratio]:
    """Time of each against its yardstick, and memory where both were measured."""
    of = {(row["what"], row["side"]): row for row in rows}  # of several batches the last, which is the largest
    found = []
    for (what, side), row in of.items():
        if side == OURS:
            continue
        ours, size = of[what, OURS], f"{row['n']:,} x {args.bits} bits, one thread"
        found.append(timing.Ratio(f"{what}, {size}", side, ours["seconds"], row["seconds"]))
        if "peak_mb" in row:
            found.append(timing.Ratio(f"its peak memory, {size}", side, ours["peak_mb"], row["peak_mb"], "MB"))
        elif "peak_mb" in ours:
            data = 4 * args.n * args.width / 1e6
            found.append(timing.Ratio(f"its peak memory, {size}", "its features alone", ours["peak_mb"], data, "MB"))
    return found


@threads.limited(1, "pools", "torch")
def main(args: Args) -> None:
    """Measure, print the table, save rows."""
    rows = [row for name in METHODS for row in measure_closed(args, name)]
    triplets = [row for batch in args.batches for row in measure_triplets(args, batch)]
    rows += measure_cnnh(args) + triplets
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.4g", na_rep=""))
    timing.save("baselines", args, rows, ratios(args, rows))
    groups = pd.DataFrame(triplets).groupby("side", sort=False)
    curves = {side: (lines.n, lines.seconds) for side, lines in groups}
    timing.figure("bench_baselines", curves, "pictures in a batch", "seconds for its triplets")


if __name__ == "__main__":
    timing.run(main, Args)
