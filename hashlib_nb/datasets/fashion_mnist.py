"""Fashion-MNIST: 70,000 pictures of clothes in ten classes, 28 x 28 gray (Xiao, Rasul and Vollgraf, 2017).

The files are those of https://github.com/zalandoresearch/fashion-mnist. Debian and Ubuntu carry them as the package
dataset-fashion-mnist, in /usr/share/datasets/fashion-mnist.
"""

from __future__ import annotations

from pathlib import Path

from hashlib_nb.datasets._idx import read_pictures
from hashlib_nb.datasets._splits import Splits, split_by_class

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SOURCE = "https://github.com/zalandoresearch/fashion-mnist"
OFFLINE_REMEDY = (
    "pass root= a folder with the four idx or idx.gz files of Fashion-MNIST (Debian's package dataset-fashion-mnist "
    "puts them in /usr/share/datasets/fashion-mnist)"
)
REMEDIES = f"{OFFLINE_REMEDY}, or pass root= and download=True where there is a network"


def load(
    root: Path | None, seed: int, download: bool = False, query_per_class: int = 100, train_per_class: int = 500
) -> Splits:
    """Load all 70,000 pictures and split them per class.

    The original division into a training and a test half is not kept: both halves are one pool here.

    Args:
        root: Folder with the idx or idx.gz files, or the folder above torchvision's FashionMNIST/raw.
        seed: Decides the split.
        download: Let torchvision download what is not in `root` yet.
        query_per_class: Query pictures from each class.
        train_per_class: Training pictures from each class; the database is what remains.

    Raises:
        FileNotFoundError: A file is missing and `download` is off.
        ConnectionError: The download failed.
        ValueError: A file is truncated or foreign, or the counts leave no database.
    """
    if root is None:
        raise FileNotFoundError(f"fashion-mnist is not part of the package: {REMEDIES}.")
    try:
        images, class_ids = read_pictures(root)
    except FileNotFoundError as error:
        if not download:
            raise FileNotFoundError(f"{error}: {REMEDIES}.") from error
        _download(root)
        images, class_ids = read_pictures(root)
    return split_by_class(
        images,
        class_ids,
        CLASS_NAMES,
        query_per_class=query_per_class,
        train_per_class=train_per_class,
        seed=seed,
        name="fashion-mnist",
        source=SOURCE,
        license="MIT",
    )


def _download(root: Path) -> None:
    from torchvision.datasets import FashionMNIST  # takes seconds, and only a download needs it

    try:
        FashionMNIST(str(root), download=True)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"Fashion-MNIST could not be downloaded into {root}; without a network {OFFLINE_REMEDY}."
        ) from error
