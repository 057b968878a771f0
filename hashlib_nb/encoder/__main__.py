"""Stage 2 from the shell.

python -m hashlib_nb.encoder --dataset fashion-mini --bits 64        # see --help
torchrun --nproc-per-node 2 -m hashlib_nb.encoder ...                # two GPUs, see parallel
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hashlib_nb import artifacts
from hashlib_nb.datasets import parse_options
from hashlib_nb.encoder import parallel
from hashlib_nb.encoder.image_codes import codes_for

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Args:
    """Stage 2: fit an encoder to target codes and write the codes of query, training and database pictures."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    options: tuple[str, ...] = ()
    """what the data set takes beyond that, as name=value: protocol=59k exclude=person,car"""
    split: Path | None = None
    """file of Splits.save_split: which pictures are query, train and database"""
    bits: int = 64
    """length k of the codes, where the target codes are made here"""
    targets: Path | None = None
    """npz of stage 1 (`python -m hashlib_nb.codes --out`); by default stage 1's artifact, made where it is missing"""
    arch: str = "auto"
    """alexnet, vgg19, efficientnet_lite0, each of them with _frozen, alexnet_small, or auto: alexnet on a GPU,
    alexnet_small on a CPU"""
    size: int | None = None
    """height and width in pixels of the network's input; by default 224, for alexnet_small as the pictures, up to 64"""
    epochs: int | None = None
    """passes over the training pictures; by default the architecture's recipe"""
    folds: int = 3
    """encoders for the out-of-fold codes that stage 3's reward uses; 0 leaves those out"""
    weights_path: Path | None = None
    """ImageNet weights on disk, where they cannot be downloaded"""
    device: str = "auto"
    """cpu, cuda or auto"""
    precision: str = "auto"
    """inside the network: fp32, bf16, fp16, or auto: fp32 on a CPU, bf16 on a GPU that has it"""
    compile: bool = False
    """use torch.compile, which pays where the work takes many minutes"""
    seed: int = 0
    """of weights, batches, augmentation and folds"""
    out: Path | None = None
    """folder to write; by default artifacts/<dataset>-<encoder>-k<bits>-s<seed>"""


def main(args: Args) -> None:
    """Run stage 2 from the shell."""
    with parallel.processes(args.device):
        _main(args)


def _main(args: Args) -> None:
    targets = None if args.targets is None else artifacts.read_npz(args.targets, ["codes"])["codes"]
    bits = args.bits if targets is None else targets.shape[1]
    start = time.perf_counter()
    names = (
        "root",
        "arch",
        "size",
        "device",
        "seed",
        "split",
        "folds",
        "epochs",
        "weights_path",
        "precision",
        "compile",
    )
    settings = {name: getattr(args, name) for name in names}
    options = parse_options(args.dataset, args.options)
    _, made = codes_for(args.dataset, bits, targets=targets, folder=args.out, options=options, **settings)
    print(
        f"{len(made.query)} query, {len(made.train)} train and {len(made.database)} database codes of "
        f"{made.query.shape[1]} bits ({time.perf_counter() - start:.0f} s)"
    )


if __name__ == "__main__":
    artifacts.run(main, Args)
