"""Check a dataset's split before anything is fitted to it.

python -m hashlib_nb.datasets lint cifar10 --root DIR --options protocol=59k
python -m hashlib_nb.datasets lint lists --root DIR
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from hashlib_nb import artifacts
from hashlib_nb.datasets import _lint
from hashlib_nb.datasets._options import parse_options


@dataclass(frozen=True)
class Args:
    """Print sizes, labels, chance level and every fault of a split; exit status 1 where there is a fault."""

    command: Annotated[Literal["lint"], tyro.conf.Positional]
    """lint"""
    name: Annotated[str, tyro.conf.Positional]
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the dataset's files; for lists, the one with test.txt, train.txt and database.txt"""
    options: tuple[str, ...] = ()
    """what the dataset takes beyond that, as name=value: protocol=59k exclude=person,car"""
    seed: int = 0
    """of the split"""
    split: Path | None = None
    """file of Splits.save_split to check instead of a new split"""
    training_in_database: bool = False
    """for lists: training pictures are in the database by intention"""


def main(args: Args) -> None:
    """Run lint from the shell."""
    options = parse_options(args.name, args.options)
    if args.training_in_database:
        options["training_in_database"] = True
    report = _lint.lint(args.name, args.root, seed=args.seed, split=args.split, **options)
    print(*_lint.summary(report.parts), *report.findings, sep="\n")
    faults = sum(finding.fault for finding in report.findings)
    print(f"{args.name}: {faults} kinds of fault" if faults else f"{args.name}: no fault")
    sys.exit(0 if report.ok else 1)


if __name__ == "__main__":
    artifacts.run(main, Args)
