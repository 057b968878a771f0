"""Encoding pictures against the network's bare forward pass over the same batches, prepared beforehand.

What `Encoder.logits` does beside the forward pass is resizing, scaling, copying and, where pictures lie in files,
decoding. Both sides run the same network in the same batches, and their logits are asserted to be equal. The files are
JPEGs of 256 x 256 pixels in a temporary folder, so they come from memory; on a CPU decoding them takes cores from the
network, which is why that case is shown beside decoding alone. Weights are random: time does not depend on them.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from benchmarks import timing
from hashlib_nb.datasets import Pictures
from hashlib_nb.encoder import Encoder, Settings, batches, new_encoder

ENCODE, FORWARD, DECODE = "encode", "forward pass alone", "decoding alone"
CASES = {
    "28 px arrays, alexnet_small": ("alexnet_small", (28, 28, 1), None, False),
    "32 px arrays at 96 px, efficientnet_lite0": ("efficientnet_lite0", (32, 32, 3), 96, False),
    "256 px JPEG files at 96 px, efficientnet_lite0": ("efficientnet_lite0", (256, 256, 3), 96, True),
}
"""Architecture, shape of a picture, size of the input, and whether pictures lie in files."""


@dataclass(frozen=True)
class Args:
    """Three kinds of pictures in batches of several sizes."""

    pictures: tuple[int, ...] = (4096, 128, 128)
    """pictures of each kind"""
    batches: tuple[int, ...] = (16, 64, 256)
    """pictures a batch, beside what the encoder would take by itself"""
    bits: int = 64
    """length k of the codes"""
    device: str = "cpu"
    """cpu or cuda"""
    repeats: int = 5
    """rounds after the warm-up; the median counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, pictures=(20, 6, 6), batches=(4,), repeats=1)


def pictures_of(shape: tuple[int, int, int], n: int, folder: Path | None) -> np.ndarray | Pictures:
    """Smooth noise, which compresses about as photographs do, in memory or as JPEG files in `folder`."""
    coarse = np.random.default_rng(0).integers(0, 256, (n, shape[0] // 4, shape[1] // 4, shape[2]), dtype=np.uint8)
    images = coarse.repeat(4, 1).repeat(4, 2)
    if folder is None:
        return images
    paths = [folder / f"{i}.jpg" for i in range(n)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path, quality=90)
    return Pictures(paths, size=shape[0], root=folder)


@torch.inference_mode()
def forward_alone(encoder: Encoder, prepared: list[torch.Tensor]) -> np.ndarray:
    """Logits of batches that are ready."""
    return np.concatenate([encoder.forward(x).cpu().numpy() for x in prepared])


def measure(args: Args, case: str, n: int, folder: Path) -> list[dict]:
    """Rows of one kind of pictures, for every size of batch."""
    arch, shape, size, in_files = CASES[case]
    images = pictures_of(shape, n, folder if in_files else None)
    torch.manual_seed(0)
    encoder = new_encoder(images, args.bits, Settings(arch=arch, device=args.device, size=size, weights="random"))
    encoder.network.eval()
    own = encoder.batch_size_for(images)
    return [row for b in sorted({own, *args.batches}) for row in measure_batches(args, case, encoder, images, b, own)]


def measure_batches(args: Args, case: str, encoder: Encoder, images: np.ndarray | Pictures, b: int, own: int) -> list:
    """Rows of one size of batch."""
    rows = [np.arange(start, min(start + b, len(images))) for start in range(0, len(images), b)]
    prepared = [encoder.prepare(batch) for batch in batches.read(images, rows)]
    sides = {
        ENCODE: lambda: encoder.logits(images, batch_size=b),
        FORWARD: lambda: forward_alone(encoder, prepared),
    }
    if batches.is_lazy(images):
        sides[DECODE] = lambda: sum(len(batch) for batch in batches.read(images, rows))
    times, values = timing.take_turns(sides, args.repeats)
    np.testing.assert_array_equal(values[ENCODE], values[FORWARD])
    n = len(images)
    about = {"case": case, "n": n, "batch": b, "own": b == own}
    return [about | {"side": side, "ms_each": 1000 * each["seconds"] / n} | each for side, each in times.items()]


def ratios(rows: list[dict]) -> list[timing.Ratio]:
    """At the encoder's own size of batch: pictures a second, and what is possible."""
    found = []
    for case in CASES:
        of = {row["side"]: row for row in rows if row["case"] == case and row["own"]}
        speed = {side: row["n"] / row["seconds"] for side, row in of.items()}
        for side in (FORWARD, DECODE):
            if side in speed:
                found.append(timing.Ratio(f"encoding, {case}", side, speed[ENCODE], speed[side], "pictures/s"))
    return found


def main(args: Args) -> None:
    """Measure, print the table, save rows and figure."""
    rows = []
    for case, n in zip(CASES, args.pictures, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(args, case, n, Path(folder))
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.4g"))
    timing.save("encode", args, rows, ratios(rows))
    groups = table.groupby(["case", "side"], sort=False)
    curves = {f"{side}, {case}": (lines.batch, lines.ms_each) for (case, side), lines in groups}
    timing.figure("bench_encode", curves, "pictures a batch", "milliseconds a picture")


if __name__ == "__main__":
    timing.run(main, Args)
