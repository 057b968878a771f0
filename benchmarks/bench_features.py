"""Features of a frozen trunk from picture files, against what torchvision's documentation would have one write.

The other side is a `Dataset` that opens a file, resizes, scales and normalizes it with torchvision's transforms, a
`DataLoader`, and the trunk in channels-last order under `inference_mode`. Both run the same network in batches of one
size, on one thread each, and what is taken is processor time. Files are JPEGs of 256 x 256 pixels in a folder for the
while; weights are random, since time does not depend on them. The limit is the trunk's forward pass over the same
batches, prepared beforehand.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks import timing
from benchmarks.bench_encode import pictures_of
from hashlib_nb.datasets import Pictures
from hashlib_nb.encoder import Encoder, Settings, batches, new_encoder
from hashlib_nb.machine import threads

OURS, LOADER, FORWARD = "features", "torchvision + DataLoader", "forward pass alone"
PIXELS, ARCH = 256, "efficientnet_lite0_frozen"


@dataclass(frozen=True)
class Args:
    """Pictures through a frozen trunk."""

    pictures: int = 256
    """files"""
    size: int = 96
    """pixels of the network's input, height and width"""
    repeats: int = 5
    """rounds after the warm-up; the least counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, pictures=6, repeats=1)


class Files(Dataset):
    """Picture files, transformed."""

    def __init__(self, paths: list[Path], encoder: Encoder) -> None:
        self.paths = paths
        self.transform = transforms.Compose(
            [
                transforms.Resize(encoder.size),
                transforms.ToTensor(),
                transforms.Normalize(encoder.mean, encoder.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> torch.Tensor:
        with Image.open(self.paths[row]) as picture:
            return self.transform(picture.convert("RGB"))


@torch.inference_mode()
def by_loader(encoder: Encoder, paths: list[Path], batch: int) -> np.ndarray:
    """Features as one would compute them without this package."""
    loader = DataLoader(Files(paths, encoder), batch_size=batch)
    trunk = encoder.network.trunk
    return np.concatenate([trunk(x.contiguous(memory_format=torch.channels_last)).numpy() for x in loader])


@torch.inference_mode()
def forward_alone(encoder: Encoder, prepared: list[torch.Tensor]) -> np.ndarray:
    """Features of batches that are ready."""
    return np.concatenate([encoder.network.features(x).numpy() for x in prepared])


@threads.limited(1, "pools", "torch", "numba")
def measure(args: Args, folder: Path) -> list[timing.Goal]:
    """Pictures a second, ours and theirs."""
    files = pictures_of((PIXELS, PIXELS, 3), args.pictures, folder)
    paths = [folder / f"{i}.jpg" for i in range(args.pictures)]
    torch.manual_seed(0)
    encoder = new_encoder(files, 64, Settings(arch=ARCH, device="cpu", size=args.size, weights="random"))
    encoder.network.eval()
    images = Pictures(paths, size=args.size, root=folder)
    size = encoder.batch_size_for(images)
    rows = [np.arange(first, min(first + size, len(paths))) for first in range(0, len(paths), size)]
    prepared = [encoder.prepare(batch) for batch in batches.read(images, rows)]
    sides = {
        OURS: lambda: encoder.features(images),
        LOADER: lambda: by_loader(encoder, paths, size),
        FORWARD: lambda: forward_alone(encoder, prepared),
    }
    times, values = timing.take_turns(sides, args.repeats, clock=time.process_time)
    np.testing.assert_array_equal(values[OURS], values[FORWARD])
    check_alike(prepared[0], torch.stack([Files(paths, encoder)[row] for row in rows[0]]))
    seconds = {side: each["fastest"] for side, each in times.items()}
    what = f"features of {args.pictures:,} JPEG files, {PIXELS} to {args.size} px, {ARCH}"
    reason = "decoding and resizing"
    return [timing.Goal(what, LOADER, seconds[OURS], seconds[LOADER], 1.0, FORWARD, seconds[FORWARD], reason=reason)]


def check_alike(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Raise AssertionError unless the network sees about the same pixels on both sides, which resize differently."""
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().mean()) < 0.2 * float(theirs.std())


def main(args: Args) -> None:
    """Measure, print the table, save rows and figure."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, Path(folder))
    (goal,) = found
    print(goal.said)
    timing.save("features", args, [asdict(goal)], [goal.ratio], found)
    seconds = {OURS: goal.ours, LOADER: goal.theirs, FORWARD: goal.limited}
    curves = {side: ([0, 1], [0, args.pictures / taken]) for side, taken in seconds.items()}
    timing.figure("bench_features", curves, "seconds of one processor", "pictures", log=False)


if __name__ == "__main__":
    timing.run(main, Args)
