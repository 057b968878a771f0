"""What happens to pictures on their way, as one table: compressed, cut, turned, blurred, written on, and all of it.

    for attack in ATTACKS:
        copy = attack(image, seed=0)

"Attack" is the field's word; most of it is done by honest people and their programs. Pictures are uint8 [h, w, 3].
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from hashlib_nb import checks
from hashlib_nb.perceptual.features import check_image

Change = Callable[[Image.Image, float, np.random.Generator], Image.Image]


def jpeg(picture: Image.Image, quality: float, _) -> Image.Image:
    """Written as a JPEG of a quality, and read again."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(quality))
    return Image.open(file).convert("RGB")


def crop(picture: Image.Image, share: float, _) -> Image.Image:
    """A share of the width and of the height is cut off, half of it on either side."""
    across, down = (round(side * share / 2) for side in picture.size)
    return picture.crop((across, down, picture.width - across, picture.height - down))


def scale(picture: Image.Image, factor: float, _) -> Image.Image:
    """Both sides times a factor."""
    return picture.resize([max(1, round(side * factor)) for side in picture.size], Image.Resampling.BICUBIC)


def rotate(picture: Image.Image, degrees: float, _) -> Image.Image:
    """Turned about its center to the left; corners that nothing covers are black."""
    return picture.rotate(degrees, Image.Resampling.BICUBIC, expand=degrees % 90 == 0)


def flip(picture: Image.Image, axis: float, _) -> Image.Image:
    """Mirrored: left to right (0), or top to bottom (1)."""
    return ImageOps.flip(picture) if axis else ImageOps.mirror(picture)


def blur(picture: Image.Image, sigma: float, _) -> Image.Image:
    """Gaussian, of a standard deviation in pixels."""
    return picture.filter(ImageFilter.GaussianBlur(sigma))


def median(picture: Image.Image, width: float, _) -> Image.Image:
    """Each pixel the median of a square of a width in pixels."""
    return picture.filter(ImageFilter.MedianFilter(int(width)))


def noise(picture: Image.Image, deviation: float, rng: np.random.Generator) -> Image.Image:
    """Gaussian noise of a standard deviation, as a share of white, on each color of each pixel."""
    values = np.asarray(picture) + rng.normal(0, 255 * deviation, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def gamma(picture: Image.Image, exponent: float, _) -> Image.Image:
    """Values in 0..1 to the power of an exponent."""
    curve = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(int).tolist()
    return picture.point(curve * 3)


def contrast(picture: Image.Image, factor: float, _) -> Image.Image:
    """Differences to the mean gray times a factor."""
    return ImageEnhance.Contrast(picture).enhance(factor)


def saturation(picture: Image.Image, factor: float, _) -> Image.Image:
    """Differences to each pixel's own gray times a factor; 0 takes all color away."""
    return ImageEnhance.Color(picture).enhance(factor)


def border(picture: Image.Image, share: float, _) -> Image.Image:
    """A black frame around it, as wide as a share of the shorter side."""
    return ImageOps.expand(picture, max(1, round(min(picture.size) * share)), "black")


def text(picture: Image.Image, share: float, _) -> Image.Image:
    """A line of text over the lower part, its letters a share of the height, white with a black edge."""
    changed, size = picture.copy(), max(4, round(picture.height * share))
    place = picture.width / 2, picture.height * 0.8
    font, edge = ImageFont.load_default(size), max(1, size // 12)
    words = {"font": font, "fill": "white", "stroke_width": edge, "stroke_fill": "black", "anchor": "mm"}
    ImageDraw.Draw(changed).text(place, "look at this", **words)
    return changed


def logo(picture: Image.Image, share: float, _) -> Image.Image:
    """A filled disc in a corner, its diameter a share of the shorter side."""
    changed, size = picture.copy(), max(2, round(min(picture.size) * share))
    left, top = picture.width - size - size // 8, size // 8
    draw = ImageDraw.Draw(changed)
    draw.ellipse((left, top, left + size, top + size), fill="crimson", outline="white", width=max(1, size // 16))
    return changed


def combined(picture: Image.Image, steps: float, rng: np.random.Generator) -> Image.Image:
    """So many steps of `CHAIN`, one after the other."""
    for change, strength in CHAIN[: int(steps)]:
        picture = change(picture, strength, rng)
    return picture


CHAIN: tuple[tuple[Change, float], ...] = ((scale, 0.5), (jpeg, 50), (gamma, 1.5), (text, 0.15), (crop, 0.05))
"""What a picture goes through that is passed on and on."""
TABLE: dict[str, tuple[Change, str, tuple[float, ...]]] = {
    "JPEG": (jpeg, "quality", (75, 50, 30, 10, 3)),
    "crop": (crop, "share cut", (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)),
    "scale": (scale, "factor", (2, 0.5, 0.25, 0.125)),
    "rotate": (rotate, "degrees", (1, 2, 5, 10, 45, 90)),
    "flip": (flip, "axis", (0, 1)),
    "blur": (blur, "sigma", (1, 2, 4)),
    "median": (median, "pixels", (3, 5, 9)),
    "noise": (noise, "deviation", (0.02, 0.05, 0.1, 0.2)),
    "gamma": (gamma, "exponent", (0.5, 0.75, 1.5, 2.5)),
    "contrast": (contrast, "factor", (0.5, 2)),
    "saturation": (saturation, "factor", (0, 0.5, 2)),
    "border": (border, "share", (0.02, 0.05, 0.1)),
    "text": (text, "share", (0.1, 0.2)),
    "logo": (logo, "share", (0.15, 0.3)),
    "combined": (combined, "steps", (2, 3, 4, 5)),
}
"""Family of attacks: what does it, the name of its strength, and the strengths. All parameters are here."""


@dataclass(frozen=True)
class Attack:
    """One change of a picture."""

    family: str
    """A name in `TABLE`."""
    strength: float
    """How much, in the family's own measure."""

    @property
    def name(self) -> str:
        """Family, strength and what that is: "JPEG 75 (quality)"."""
        return f"{self.family} {self.strength:g} ({TABLE[self.family][1]})"

    def __call__(self, image, seed: int = 0) -> np.ndarray:
        """The changed picture, uint8 [h, w, 3], perhaps of another size.

        Args:
            image: uint8 [h, w, 3].
            seed: of the noise.

        Raises:
            ValueError: no picture, a family that is not there, or what is no seed.
        """
        if self.family not in TABLE:
            raise ValueError(f"family is {checks.shown(self.family)}; there are {', '.join(TABLE)}")
        rng = np.random.default_rng(checks.seed(seed))
        return np.asarray(TABLE[self.family][0](Image.fromarray(check_image(image)), self.strength, rng))


ATTACKS: tuple[Attack, ...] = tuple(Attack(name, each) for name, (_, _, all_) in TABLE.items() for each in all_)
"""Every attack of the table, in its order."""
