"""Pictures to try hashes on that need no download: photographs inside installed packages, and generated ones.

A generated picture is "dead leaves": discs of one color each fall on top of each other, the large ones rare. Its edges
and its spectrum are those of photographs (Lee, Mumford and Huang 2001); its meaning is none.
"""

from __future__ import annotations

from importlib import resources

import numpy as np
from PIL import Image, ImageDraw

from hashlib_nb import checks
from hashlib_nb.datasets import square

PHOTOGRAPHS: tuple[tuple[str, str], ...] = (
    *(("skimage.data", f"{name}.png") for name in (
        "astronaut", "brick", "camera", "cell", "chelsea", "clock_motion", "coffee", "coins", "grass", "gravel",
        "horse", "ihc", "moon", "motorcycle_left", "page", "text",
    )),
    *(("skimage.data", f"{name}.jpg") for name in ("hubble_deep_field", "retina", "rocket")),
    *(("sklearn.datasets.images", f"{name}.jpg") for name in ("china", "flower")),
)  # fmt: skip
"""Package and file of each photograph; of the stereo pair one half, since the two are copies of each other."""
DISCS = 500
"""Discs that fall on a generated picture."""
RADII = (0.02, 0.35)
"""Smallest and largest radius, as shares of the side; their density falls with the third power."""
MOST_PIXELS = 2**28
"""Pixels of all pictures together."""


def photographs(size: int = 256) -> tuple[np.ndarray, list[str]]:
    """The photographs of installed packages, uint8 [n, size, size, 3], their centers, and their names.

    Raises:
        ValueError: a size that is no number of pixels.
    """
    size = checks.count(size, "size", least=8, most=2048)
    images = []
    for package, file in PHOTOGRAPHS:
        with resources.files(package).joinpath(file).open("rb") as opened, Image.open(opened) as picture:
            images.append(square(picture.convert("RGB"), size))
    return np.stack(images), [file.partition(".")[0] for _, file in PHOTOGRAPHS]


def dead_leaves(n: int, size: int = 256, *, seed: int = 0) -> np.ndarray:
    """`n` generated pictures uint8 [n, size, size, 3].

    Args:
        n: how many.
        size: height and width in pixels.
        seed: of everything that is drawn; picture i is the same for every n.

    Raises:
        ValueError: numbers out of range.
    """
    size = checks.count(size, "size", least=8, most=2048)
    n = checks.count(n, "n", least=0, most=MOST_PIXELS // size**2)
    drawn = [_leaves(size, np.random.default_rng((checks.seed(seed), row))) for row in range(n)]
    return np.array(drawn, dtype=np.uint8).reshape(n, size, size, 3)


def _leaves(size: int, rng: np.random.Generator) -> np.ndarray:
    picture = Image.new("RGB", (size, size), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    low, high = (radius**-2 for radius in RADII)
    radii = size * rng.uniform(high, low, DISCS) ** -0.5  # density of r to the power of -3
    centers, colors = rng.uniform(0, size, (DISCS, 2)), rng.integers(0, 256, (DISCS, 3))
    for (x, y), radius, color in zip(centers, radii, colors, strict=True):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(color.tolist()))
    return np.asarray(picture)


def sample(n: int, size: int = 256, *, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """`n` pictures uint8 [n, size, size, 3] and their names: first the photographs, then generated ones.

    Raises:
        ValueError: numbers out of range.
    """
    images, names = photographs(size)
    n = checks.count(n, "n", most=MOST_PIXELS // size**2)
    made = dead_leaves(max(0, n - len(images)), size, seed=seed)
    names += [f"leaves {row}" for row in range(len(made))]
    return np.concatenate([images, made])[:n], names[:n]
