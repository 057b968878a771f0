"""What a perceptual hash is not: a secret key learned from examples, and a second picture with a given hash.

Neither needs more than a laptop and a minute. A hash that is near for near pictures tells about pictures, whatever key
is put in front of it, and there are always other pictures at the same place.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import fft
from sklearn.linear_model import LogisticRegression

from hashlib_nb import checks
from hashlib_nb.hamming import check_codes
from hashlib_nb.perceptual.features import check_image, gray
from hashlib_nb.perceptual.hashes import SIDE, hash_pictures

TRUST = 100.0
"""Inverse of the penalty on the weights of `recover_key`: the bits have no noise, so it is small."""
ROUNDS = 300
"""Corrections that `second_preimage` makes before it gives up."""
MARGIN = 0.02
"""By how much a coefficient is put past the median at first, as a share of the median's own scale."""


def recover_key(features, codes) -> np.ndarray:
    """Weights float64 [d, k] whose signs of sums make nearly the codes of other pictures as well.

    A linear keyed hash is 1[x W > 0], permuted or not: bit by bit a classifier of pictures into two halves, which
    logistic regression learns from examples, pictures with their hashes. The scale of W is lost, and does not matter.

    Args:
        features: float [n, d] of pictures, by the public part of the hash.
        codes: {0,1} [n, k], their hashes under the key.

    Raises:
        ValueError: what is no features or no codes, or another number of rows.
    """
    wanted = "features of the pictures, float [n, d]"
    x, codes = checks.array(features, "features", wanted), check_codes(codes, "codes")
    if x.ndim != 2 or not x.size or x.dtype.kind not in "iuf" or not np.isfinite(x).all():
        raise ValueError(f"features is {checks.shown(x)}; give {wanted}, all finite")
    if len(x) != len(codes):
        raise ValueError(f"features has {len(x)} rows and codes {len(codes)}; give each picture both")
    scale = np.maximum(x.std(axis=0), 1e-12)
    return np.stack([_direction(x / scale, bit) for bit in codes.T], axis=1) / scale[:, None]


def _direction(x: np.ndarray, bit: np.ndarray) -> np.ndarray:
    if bit.min() == bit.max():  # nothing to tell apart: away from the pictures, or towards them
        return x.mean(axis=0) * (1 if bit[0] else -1)
    fitted = LogisticRegression(C=TRUST, fit_intercept=False, max_iter=1000).fit(x, bit)
    return fitted.coef_[0]


def second_preimage(image, code, *, within: int = 0) -> np.ndarray:
    """A picture that looks much like `image` and has the pHash `code`, or one near to it, uint8 [h, w, 3].

    pHash looks at the lowest 16 x 16 of 64 x 64 frequencies, which are linear in the pixels. Those on the wrong side of
    their median are moved across it, the picture is rounded to whole values from 0 to 255, and what rounding and
    clipping have undone is done again, by a margin that grows.

    Args:
        image: uint8 [h, w, 3], what it shall look like.
        code: {0,1} [256], the hash of any other picture: half of its bits are 1.
        within: bits in which the result may differ from it, 0..64: the radius within which hashes are said to match.
            The bits that would cost most are left alone, which is seen less.

    Raises:
        ValueError: no picture, what is no such code, or a code that the picture cannot be given.
    """
    within = checks.count(within, "within", least=0, most=SIDE**2 // 4)
    code = checks.array(code, "code", f"one pHash, {SIDE**2} bits")
    code = check_codes(code[None] if code.ndim == 1 else code, "code")
    if code.shape != (1, SIDE**2) or code.sum() > SIDE**2 // 2:
        raise ValueError(
            f"code is {checks.shown(code)} with {code.sum()} ones; give one pHash, {SIDE**2} bits, half ones"
        )
    wanted, found = code[0].reshape(SIDE, SIDE).astype(bool), check_image(image).astype(np.float64)
    margin, spared = MARGIN, _costliest(_low(image), wanted, within)
    for _ in range(ROUNDS):
        shown = np.rint(found).astype(np.uint8)
        if (hash_pictures("phash", [shown])[0] != code[0]).sum() <= within:
            return shown
        found = np.clip(found + _correction(shown, wanted, spared, margin)[:, :, None], 0, 255)
        margin *= 1.02
    raise ValueError("image cannot be given that code: too much of it is black or white; take another picture")


def _low(image: np.ndarray) -> np.ndarray:
    """The frequencies that pHash compares with their median, float64 [16, 16]."""
    small = Image.fromarray(image).convert("L").resize((4 * SIDE, 4 * SIDE), Image.Resampling.LANCZOS)
    return fft.dctn(np.asarray(small, dtype=np.float64), norm="ortho")[:SIDE, :SIDE]


def _costliest(low: np.ndarray, wanted: np.ndarray, number: int) -> np.ndarray:
    """bool [16, 16], as many bits on the wrong side as may stay there, those that are farthest from the right one.

    As many that are too high as that are too low, so that the median stays.
    """
    gaps = low - np.median(low)
    spared = np.zeros(low.shape, bool)
    for side in (wanted & (gaps <= 0), ~wanted & (gaps > 0)):
        order = np.argsort(np.where(side, -np.abs(gaps), 0), axis=None)
        spared.flat[order[: min(number // 2, int(side.sum()))]] = True
    return spared


def _correction(image: np.ndarray, wanted: np.ndarray, spared: np.ndarray, margin: float) -> np.ndarray:
    """What to add to the luma, float64 [h, w], so that its low frequencies are on the wanted side of their median."""
    low = _low(image)
    edge = np.median(low)
    width = margin * np.abs(low - edge).mean()
    moved = np.where(wanted, np.maximum(low, edge + width), np.minimum(low, edge - width))
    change = np.zeros((4 * SIDE, 4 * SIDE))
    change[:SIDE, :SIDE] = np.where(spared, 0, moved - low)
    grid = Image.fromarray(fft.idctn(change, norm="ortho").astype(np.float32))
    return np.asarray(grid.resize(image.shape[1::-1], Image.Resampling.BICUBIC))


def peak_signal_to_noise(image, other) -> float:
    """How much two pictures of one size look alike, in decibels of their luma; above about 30 few people see it.

    Raises:
        ValueError: no pictures, or of two sizes.
    """
    image, other = gray(check_image(image)), gray(check_image(other, "other"))
    if image.shape != other.shape:
        raise ValueError(
            f"other is {list(other.shape)} pixels and image {list(image.shape)}; give pictures of one size"
        )
    error = ((image - other) ** 2).mean()
    return float(-10 * np.log10(error)) if error else float("inf")
