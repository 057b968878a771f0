"""Perceptual hashes by name: a picture becomes k bits, equal or nearly equal for its copies. Nothing is learned.

    codes = hash_pictures("pdq", images)                  # uint8 {0,1} [n, 256]
    codes = keyed_codes(images, b"a secret")              # another key, another code

The classical ones are imagehash's and pdqhash's; the two linear ones are ours, from features and a random projection.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial

import imagehash
import numpy as np
from PIL import Image

from hashlib_nb import checks
from hashlib_nb.hamming import MAX_BITS
from hashlib_nb.perceptual.features import block_means, check_image, low_frequencies

SIDE = 16
"""Bits along a side of the classical hashes: 16 x 16 = 256, as many as PDQ has."""
LINEAR_BITS = 256
"""Bits of the keyed hash and of the random projection, unless another number is asked for."""
KEYED_SIDE = 8
"""Frequencies along a side that the keyed hash is made from: 63 of them without the mean."""
PUBLIC_KEY = b"hashlib_nb"
"""The key in tables, where nobody has to be kept out."""


@dataclass(frozen=True)
class PerceptualHash:
    """A hash by name."""

    title: str
    """What tables and figures call it."""
    bits: int
    """k."""
    of: Callable[[np.ndarray], np.ndarray]
    """Code bool or {0,1} [k] of a picture uint8 [h, w, 3]."""
    what: str
    """What a bit says."""


def _classical(function: Callable, **settings) -> Callable[[np.ndarray], np.ndarray]:
    """A function of imagehash as one of arrays."""
    return lambda image: function(Image.fromarray(image), **settings).hash.ravel()


def check_extra() -> None:
    """Raise ValueError where the package of the extra "perceptual" is missing: PDQ needs it."""
    checks.packages("PDQ", "pdqhash>=0.2.7,<1")


def _pdq_and_quality(image: np.ndarray) -> tuple[np.ndarray, int]:
    check_extra()
    import pdqhash  # here, since it is an extra: some machines have no compiler to build it with

    return pdqhash.compute(np.ascontiguousarray(image))


def _pdq(image: np.ndarray) -> np.ndarray:
    return _pdq_and_quality(image)[0]


def pdq_quality(image) -> int:
    """PDQ's quality of a picture, 0 to 100: how much changes from pixel to pixel; below 50 ignore its hash.

    Raises:
        ValueError: what is no picture, or the package pdqhash is missing.
    """
    return int(_pdq_and_quality(check_image(image))[1])


@cache
def linear_key(key: bytes, n_features: int, n_bits: int) -> np.ndarray:
    """What a key stands for: a Gaussian projection whose columns are permuted, float64 [n_features, n_bits].

    HMAC-SHA256 of the key seeds each of the two draws, so that nobody without the key can make them (eq. 1.5).
    """
    draw = [hmac.new(key, word, hashlib.sha256).digest() for word in (b"projection", b"permutation")]
    projection, permutation = (np.random.default_rng(int.from_bytes(each)) for each in draw)
    return projection.standard_normal((n_features, n_bits))[:, permutation.permutation(n_bits)]


def keyed_codes(images: Iterable[np.ndarray], key: bytes, n_bits: int = LINEAR_BITS) -> np.ndarray:
    """Codes uint8 {0,1} [n, n_bits] that depend on a key: signs of random sums of low frequencies.

    Args:
        images: pictures uint8 [h, w, 3], of any sizes.
        key: the secret, at least one byte.
        n_bits: k.

    Raises:
        ValueError: no picture, or a key that is no bytes.
    """
    if not isinstance(key, bytes) or not key:
        raise ValueError(f"key is {checks.shown(key)}; give bytes, at least one")
    n_bits = checks.count(n_bits, "n_bits", most=MAX_BITS)
    return _stacked(partial(_keyed, key=key, n_bits=n_bits), images, n_bits)


def _keyed(image: np.ndarray, key: bytes, n_bits: int) -> np.ndarray:
    features = low_frequencies(image, KEYED_SIDE)
    return features @ linear_key(key, len(features), n_bits) > 0


def _projected(image: np.ndarray) -> np.ndarray:
    features = block_means(image)
    return features @ linear_key(PUBLIC_KEY, len(features), LINEAR_BITS) > 0


HASHES: dict[str, PerceptualHash] = {
    "ahash": PerceptualHash(
        "aHash", SIDE**2, _classical(imagehash.average_hash, hash_size=SIDE), "a block is brighter than the mean"
    ),
    "phash": PerceptualHash(
        "pHash", SIDE**2, _classical(imagehash.phash, hash_size=SIDE), "a low frequency is above the median"
    ),
    "dhash": PerceptualHash(
        "dHash", SIDE**2, _classical(imagehash.dhash, hash_size=SIDE), "a block is brighter than its left neighbor"
    ),
    "whash": PerceptualHash(
        "wHash", SIDE**2, _classical(imagehash.whash, hash_size=SIDE), "a wavelet average is above the median"
    ),
    "color": PerceptualHash(
        "color hash", 42, _classical(imagehash.colorhash), "how much of the picture is black, gray, or of a hue"
    ),
    "pdq": PerceptualHash("PDQ", 256, _pdq, "a low frequency of the blurred picture is above the median"),
    "keyed_dct": PerceptualHash(
        "keyed DCT", LINEAR_BITS, partial(_keyed, key=PUBLIC_KEY, n_bits=LINEAR_BITS),
        "a random sum of low frequencies is above 0",
    ),
    "projection": PerceptualHash(
        "random projection", LINEAR_BITS, _projected, "a random sum of blocks is above 0"
    ),
}  # fmt: skip
"""Every hash by its name."""


def hash_pictures(name: str, images: Iterable[np.ndarray]) -> np.ndarray:
    """Codes uint8 {0,1} [n, k] of pictures.

    Args:
        name: of `HASHES`.
        images: pictures uint8 [h, w, 3], of any sizes.

    Raises:
        ValueError: an unknown name, no picture, or "pdq" without the package pdqhash.
    """
    if name not in HASHES:
        raise ValueError(f"name is {checks.shown(name)}; there are {', '.join(HASHES)}")
    return _stacked(HASHES[name].of, images, HASHES[name].bits)


def _stacked(of: Callable[[np.ndarray], np.ndarray], images: Iterable[np.ndarray], n_bits: int) -> np.ndarray:
    if isinstance(images, (str, bytes, dict)) or not hasattr(images, "__getitem__") and not hasattr(images, "__iter__"):
        raise ValueError(f"images is {checks.shown(images)}; give pictures, each uint8 [h, w, 3]")
    codes = [of(check_image(image, "images")) for image in images]
    return np.array(codes, dtype=np.uint8).reshape(len(codes), n_bits)
