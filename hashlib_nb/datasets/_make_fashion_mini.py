"""Make fashion_mini.npz from the original files of Fashion-MNIST; run it again and the arrays come out the same.

python -m hashlib_nb.datasets._make_fashion_mini --root /usr/share/datasets/fashion-mnist --out fashion_mini.npz
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from hashlib_nb.datasets._idx import read_pictures

PER_CLASS = 600
SEED = 0


@dataclass(frozen=True)
class Args:
    """Choose the 6,000 pictures of fashion-mini and write them to one compressed npz file."""

    root: Path
    """Folder with the four idx or idx.gz files of Fashion-MNIST."""
    out: Path
    """File to write: images uint8 [6000, 28, 28, 1], class_ids uint8 [6000], source_rows int32 [6000]."""


def choose(class_ids: np.ndarray) -> np.ndarray:
    """Rows of 600 pictures of each class drawn at random, int32 [6000], sorted."""
    shuffled = np.random.default_rng(SEED).permutation(len(class_ids))
    chosen = [shuffled[class_ids[shuffled] == class_id][:PER_CLASS] for class_id in range(10)]
    return np.sort(np.concatenate(chosen)).astype(np.int32)


def main(args: Args) -> None:
    """Write the file.

    Raises:
        FileNotFoundError: A source file is missing.
        ValueError: A source file is truncated or foreign.
    """
    images, class_ids = read_pictures(args.root)
    rows = choose(class_ids)
    np.savez_compressed(args.out, images=images[rows], class_ids=class_ids[rows], source_rows=rows)
    print(f"{args.out}: {len(rows):,} pictures, {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(tyro.cli(Args))
