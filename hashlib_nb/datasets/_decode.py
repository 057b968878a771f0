"""The one decoder: which files count as pictures, and what pixels they give, for data sets, searches and uploads.

Pixels become 8 bits of red, green and blue by these rules:

    alpha, and palettes with transparency   laid on white
    gray of 16 bits                         the upper 8 bits, as Pillow does for color of 16 bits
    numbers of 32 bits (TIFF, PFM)          0 to 255 as they are; fractions of 0 to 1 times 255; all others are refused
    several frames                          the first one
"""

from __future__ import annotations

import importlib
import os
import stat
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

FORMATS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "GIF": "Gif",
    "BMP": "Bmp",
    "PPM": "Ppm",
    "TIFF": "Tiff",
    "WEBP": "WebP",
    "JPEG2000": "Jpeg2K",
    "AVIF": "Avif",
    "TGA": "Tga",  # the last one, since its files do not say what they are
}
"""What is read, and Pillow's module for it. Pillow knows forty formats more; some start a program, such as Ghostscript
for PostScript, whatever the file is called."""
MOST_PIXELS = 2**28 // 3
"""Pixels of a picture that is decoded in full, 256 MB in color. A file of a few KB can claim any number of them."""
MOST_PIXELS_OF_JPEG = 2**28
"""Pixels of a JPEG, which is decoded at an eighth of its height and width where it has more than `MOST_PIXELS`."""


class PictureError(ValueError):
    """A file that gives no pixels. The message goes on after the file's name, such as "is empty"."""

    def __init__(self, kind: str, message: str = "") -> None:
        super().__init__(kind, message)  # both, since an exception is pickled as its arguments
        self.kind = kind
        """In a word or two, to count such files by."""

    def __str__(self) -> str:
        return self.args[1] or f"is {self.kind}"


@cache
def readers() -> dict[str, tuple[Callable, Callable | None]]:
    """Pillow's readers of `FORMATS`, which alone are imported: (what opens a file, what looks at its first bytes)."""
    for module in FORMATS.values():
        with suppress(ImportError):  # Pillow before 11.3 has none for AVIF
            importlib.import_module(f"PIL.{module}ImagePlugin")
    return {name: Image.OPEN[name] for name in FORMATS if name in Image.OPEN}


@cache
def suffixes() -> frozenset[str]:
    """Endings, in small letters, by which a folder's pictures are told from its other files: those of `FORMATS`."""
    known = readers()
    return frozenset(suffix for suffix, name in Image.EXTENSION.items() if name in known)


def open_picture(file: BinaryIO, formats: Sequence[str] = tuple(FORMATS)) -> Image.Image:
    """Read what comes before the pixels, as `Image.open` does, which warns or raises at a bound of its own.

    Raises:
        PictureError: "is no image" of one of the formats.
    """
    start = file.read(16)
    for name in formats:
        reader, accepts = readers().get(name, (None, None))
        begins_so = accepts(start) if accepts else True
        if reader is None or not begins_so or isinstance(begins_so, str):  # a text says what Pillow was built without
            continue
        file.seek(0)
        with suppress(SyntaxError, IndexError, TypeError, struct.error):  # so they say that it is not theirs
            return reader(file, None)
    raise PictureError("no image")


def upright_color(picture: Image.Image, size: int) -> Image.Image:
    """Decode an open picture: turned as its EXIF says, RGB by the rules above.

    Args:
        picture: what `open_picture` found.
        size: pixels that each side has to have at least; a JPEG is decoded at 1/2, 1/4 or 1/8 where that is enough.

    Raises:
        PictureError: it has more pixels than are decoded, or values that are no pixels.
        Exception: whatever Pillow's readers raise about a damaged file.
    """
    (width, height), kind = picture.size, picture.format
    jpeg = kind in ("JPEG", "MPO")
    most = MOST_PIXELS_OF_JPEG if jpeg else MOST_PIXELS
    if width * height > most:
        raise PictureError("too large", f"has {width:,} x {height:,} pixels, and at most {most:,} are decoded")
    at_an_eighth = max(width // 8, 1), max(height // 8, 1)
    picture.draft("RGB", at_an_eighth if width * height > MOST_PIXELS else (size, size))  # of JPEGs alone
    return _on_white(_of_8_bits(ImageOps.exif_transpose(picture), kind))


def square(picture: Image.Image, size: int | tuple[int, int]) -> np.ndarray:
    """The center of a decoded picture, uint8 [size, size, 3] (or of a width and height), bilinear and antialiased."""
    sides = size if isinstance(size, tuple) else (size, size)
    return np.asarray(ImageOps.fit(picture, sides, Image.Resampling.BILINEAR))


def decode(path: Path, size: int) -> np.ndarray:
    """Decode one file to uint8 [size, size, 3], as `Pictures` describes.

    Raises:
        FileNotFoundError: There is no such file.
        PictureError: What is wrong with it: "is empty", "is no image", "is broken (why)", ...
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):  # reading a pipe or a device may never end
            raise PictureError("no regular file")
        if not about.st_size:
            raise PictureError("empty")
        with open(path, "rb") as file:
            return square(upright_color(open_picture(file), size), size)
    except (FileNotFoundError, MemoryError, PictureError):
        raise
    except Image.DecompressionBombError:
        raise PictureError("too large", f"has more than the {MOST_PIXELS:,} pixels that are decoded") from None
    except Exception as error:  # a damaged file makes Pillow's readers raise OSError, SyntaxError, struct.error, ...
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PictureError("broken", f"is broken ({reason})") from error


def _of_8_bits(picture: Image.Image, kind: str | None) -> Image.Image:
    """Numbers of 16 and 32 bits as gray of 8; other pictures as they are."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    values = np.asarray(picture)
    if picture.mode.startswith("I;16") or (picture.mode == "I" and kind != "TIFF"):  # 16 bits in 32, as of PGM
        gray = (values >> 8).astype(np.uint8)
        if isinstance(picture.info.get("transparency"), int):
            gray[values == picture.info["transparency"]] = 255
        return Image.fromarray(gray)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # NaN is neither
        span = f"from {low:g} to {high:g}"
        raise PictureError("of odd values", f"has values {span}, and 0 to 255 or fractions of 0 to 1 can be shown")
    scale = 255 if values.dtype.kind == "f" and high <= 1 else 1
    return Image.fromarray(np.rint(values * scale).astype(np.uint8))


def _on_white(picture: Image.Image) -> Image.Image:
    """RGB; transparent parts become white."""
    if picture.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in picture.info:
        colored = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colored.size, "white"), colored)
    return picture.convert("RGB")
