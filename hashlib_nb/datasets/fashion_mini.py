"""fashion-mini: 6,000 pictures of Fashion-MNIST, 600 of each class, shipped so that the course runs offline.

`_make_fashion_mini.py` chose them; fashion_mini.LICENSE.txt names their source and license.
"""

from __future__ import annotations

from pathlib import Path

from hashlib_nb import artifacts
from hashlib_nb.datasets._splits import Splits, split_by_class
from hashlib_nb.datasets.fashion_mnist import CLASS_NAMES, SOURCE

FILE = Path(__file__).with_name("fashion_mini.npz")


def load(root: Path | None, seed: int) -> Splits:
    """Load the 6,000 pictures: 50 query, 150 training and 400 database pictures of each class.

    The 6,000 are always the same; `seed` decides which of them go where.

    Raises:
        ValueError: `root` is given, although the pictures come with the package.
    """
    if root is not None:
        raise ValueError(f"root is {str(root)!r}, but fashion-mini comes with the package: leave root out.")
    arrays = artifacts.read_npz(FILE, ["images", "class_ids"])
    images, class_ids = arrays["images"], arrays["class_ids"]
    return split_by_class(
        images,
        class_ids,
        CLASS_NAMES,
        query_per_class=50,
        train_per_class=150,
        seed=seed,
        name="fashion-mini",
        source=SOURCE,
        license="MIT",
    )
