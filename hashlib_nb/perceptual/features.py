"""Chapter 2's preprocessing and features: the steps that no library here has, and what the hashes are made from.

Pictures are uint8 [h, w, 3], RGB. Filters, equalization and CLAHE are scikit-image's, the transforms scipy's and
PyWavelets'; notebook 10 shows each step on a photograph.
"""

from __future__ import annotations

import numpy as np
import pywt
from PIL import Image
from scipy import fft

from hashlib_nb import checks

WANTED = "a picture in color, uint8 [h, w, 3]"
MOST_SIDE = 512
"""Most blocks or frequencies along a side that features are made of."""


def check_image(image, name: str = "image") -> np.ndarray:
    """`image` as uint8 [h, w, 3] with at least one pixel; otherwise a ValueError of one sentence."""
    found = checks.array(image, name, WANTED)
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3 or not found.size:
        raise ValueError(f"{name} is {checks.shown(found)}; give {WANTED}")
    return found


def gray(image) -> np.ndarray:
    """Luma of a picture, float64 [h, w] in 0..1, as Pillow weighs red, green and blue (ITU-R 601-2)."""
    return np.asarray(Image.fromarray(check_image(image)).convert("L")) / 255


def hue(image, *, offsets: bool = True) -> np.ndarray:
    """Hue of each pixel in radians, float64 [h, w]: equation 2.1, which lacks its offsets.

    Where red is largest, the hue is (G - B) / (max - min) * pi/3; where green is, 2 pi/3 more than
    (B - R) / (max - min) * pi/3; where blue is, 4 pi/3 more than (R - G) / (max - min) * pi/3; all modulo 2 pi. Gray
    has none: 0.

    Args:
        image: uint8 [h, w, 3].
        offsets: False for the equation as the thesis prints it, in which three ranges of hue fall on each other.
    """
    colors = check_image(image).astype(np.float64)
    red, green, blue = np.moveaxis(colors, 2, 0)
    span = colors.max(axis=2) - colors.min(axis=2)
    differences = np.stack([green - blue, blue - red, red - green])
    largest = colors.argmax(axis=2)[None]
    found = np.take_along_axis(differences, largest, 0)[0] / np.where(span > 0, span, 1) * (np.pi / 3)
    return (found + largest[0] * (2 * np.pi / 3)) % (2 * np.pi) if offsets else found


def homomorphic(image, *, cutoff: float = 0.03, low: float = 0.4) -> np.ndarray:
    """Luma with its slow changes of light weakened, float64 [h, w] in 0..1.

    A pixel is light times what the scene reflects, so their logarithms add up, and light changes slowly: a Gaussian
    high-pass of the logarithm weakens it (Oppenheim, Schafer and Stockham 1968). Picture sides are mirrored by the
    cosine transform, so that no edge comes in.

    Args:
        image: uint8 [h, w, 3].
        cutoff: frequency, in cycles a pixel, about which the filter rises.
        low: what remains of the slowest changes; 1 changes nothing.

    Raises:
        ValueError: no picture, a cutoff that is not above 0, or a `low` outside of 0..1.
    """
    cutoff, low = checks.finite(cutoff, "cutoff", above=0), checks.share(low, "low")
    luma = gray(image)
    rows, columns = (np.arange(side) / (2 * side) for side in luma.shape)
    squares = rows[:, None] ** 2 + columns**2
    gain = low + (1 - low) * -np.expm1(-squares / (2 * cutoff**2))
    gain[0, 0] = 1  # the mean of the logarithm stays
    return np.clip(np.expm1(fft.idctn(gain * fft.dctn(np.log1p(luma), norm="ortho"), norm="ortho")), 0, 1)


def block_means(image, side: int = 16) -> np.ndarray:
    """Means of side x side blocks of the luma, less their mean, float64 [side * side]: chapter 2's image pixels."""
    found = _resized(image, checks.count(side, "side", most=MOST_SIDE), Image.Resampling.BOX)
    return (found - found.mean()).ravel()


def low_frequencies(image, side: int = 16) -> np.ndarray:
    """The lowest side x side frequencies of the luma but for its mean, float64 [side * side - 1].

    Coefficients of the cosine transform of the picture at four times that many pixels a side. Each is multiplied by
    its frequency: photographs have amplitudes of about one over the frequency, and without that the lowest few would
    outweigh the rest in every sum.
    """
    side = checks.count(side, "side", least=2, most=MOST_SIDE)
    coefficients = fft.dctn(_resized(image, 4 * side, Image.Resampling.LANCZOS), norm="ortho")[:side, :side]
    return (coefficients * np.hypot(*np.indices((side, side)))).ravel()[1:]


def wavelet_approximation(image, side: int = 16) -> np.ndarray:
    """Haar wavelet approximation of the luma at side x side, less its mean, float64 [side * side]."""
    side = checks.count(side, "side", most=MOST_SIDE)
    coarse = pywt.wavedec2(_resized(image, 8 * side, Image.Resampling.LANCZOS), "haar", level=3)[0]
    return (coarse - coarse.mean()).ravel()


def _resized(image, side: int, how: Image.Resampling) -> np.ndarray:
    """Luma at side x side pixels, float64 in 0..1."""
    return np.asarray(Image.fromarray(check_image(image)).convert("L").resize((side, side), how)) / 255
