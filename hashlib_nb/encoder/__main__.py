"""Stage 2 from the shell.

python -m hashlib_nb.encoder --dataset fashion-mini --code-length 64        # see --help
torchrun --nproc-per-node 2 -m hashlib_nb.encoder ...                       # two GPUs, see parallel
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from hashlib_nb import artifacts
from hashlib_nb.encoder import parallel
from hashlib_nb.encoder.image_codes import Setup
from hashlib_nb.encoder.settings import Settings


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
    code_length: Annotated[int, tyro.conf.arg(aliases=["--bits"])] = 64
    """length k of the codes, where the target codes are made here"""
    targets: Path | None = None
    """npz of stage 1 (`hashlib-nb codes --out`); by default stage 1's artifact, made where it is missing"""
    folds: int | None = None
    """encoders for the out-of-fold codes that stage 3's reward uses; 0 leaves those out; by default 3, and 0 where the
    recipe lets codes of augmented views pay the reward"""
    seed: int = 0
    """of weights, batches, augmentation and folds"""
    out: Path | None = None
    """folder to write; by default artifacts/<dataset>-<encoder>-k<code_length>-s<seed>. Another program's codes.npz,
    encoder.json and encoder.safetensors are not replaced"""
    plan: bool = False
    """say how many fits are missing and about how long they would take, and make nothing"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings()


def main(args: Args) -> None:
    """Run stage 2 from the shell."""
    with parallel.processes(args.settings.device):
        _main(args)


def _main(args: Args) -> None:
    start = time.perf_counter()
    if args.out is not None:
        artifacts.check_writable(args.out / artifacts.CODES, artifacts.replaces_npz("train_codes"))
    run = {name: getattr(args, name) for name in ("dataset", "root", "options", "split", "folds", "seed", "settings")}
    code_length = args.code_length
    if args.targets is not None:
        code_length = artifacts.read_npz(args.targets, ["codes"])["codes"].shape[1]
        run["target_codes"] = args.targets
    args.settings.resolved()  # says what "auto" came to
    setup = Setup(code_length=code_length, **run)
    if args.plan:
        from hashlib_nb.experiments import plan  # what a command would take is known where all of them are

        plan.show(plan.of_setups([setup]))
        return
    made = setup.codes(args.out)
    print(
        f"{len(made.query)} query, {len(made.train)} train and {len(made.database)} database codes of "
        f"{made.query.shape[1]} bits ({time.perf_counter() - start:.0f} s)"
    )


if __name__ == "__main__":
    artifacts.run(main, Args)
