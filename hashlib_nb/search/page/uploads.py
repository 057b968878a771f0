"""An uploaded picture: decoded in memory, or refused in a sentence."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MOST_BYTES = 8_000_000
"""Size of an uploaded file. JupyterLab's server drops a connection at a message of 10 MiB, so this is below."""
MOST_PIXELS = 50_000_000
"""Width times height of an uploaded picture; a few bytes can stand for many pixels, which cost memory and time."""
THUMBNAIL = 160
"""Pixels of the longer side at which an uploaded picture is shown."""


@dataclass(frozen=True, eq=False)
class Upload:
    """An uploaded picture, decoded in memory."""

    shown: np.ndarray
    """uint8 [h', w', 3], upright, its longer side `THUMBNAIL` pixels at most."""
    image: np.ndarray
    """uint8 [h, w, c], like a picture of the data set."""


def read_upload(content: bytes, shape: tuple[int, int, int]) -> Upload:
    """Decode an uploaded PNG or JPEG; its content decides what it is, whatever its name.

    It is turned as its EXIF says, laid on white where it is transparent, and cut to its center as the data sets' files
    are (`datasets.Pictures`); of several frames the first counts. Nothing is written, and nothing in it is executed.

    Args:
        content: the file.
        shape: (h, w, c) of the data set's pictures; c = 1 makes it gray.

    Raises:
        ValueError: it is empty, too large, neither PNG nor JPEG, or damaged.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"the file has {len(content) / 1e6:.1f} MB; give a picture of at most {MOST_BYTES / 1e6:g} MB")
    if not len(content):
        raise ValueError("the file is empty; give a PNG or JPEG picture")
    with _refusals():
        picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))  # reads what comes before the pixels
    if picture.width * picture.height > MOST_PIXELS:
        size = f"{picture.width:,} x {picture.height:,}"
        raise ValueError(f"the picture has {size} pixels; give one of at most {MOST_PIXELS:,} in all")
    with _refusals():
        picture.draft("RGB", (max(THUMBNAIL, *shape[:2]),) * 2)  # of a JPEG, decode no more detail than that takes
        upright = _on_white(ImageOps.exif_transpose(picture))
    square = ImageOps.fit(upright, (shape[1], shape[0]), Image.Resampling.BILINEAR)
    upright.thumbnail((THUMBNAIL, THUMBNAIL))
    pixels = np.array(square.convert("L") if shape[2] == 1 else square)
    return Upload(np.array(upright), pixels.reshape(shape))


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what Pillow raises about a file into one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data and the like, which change no pixel
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError:
        raise ValueError("the file holds no PNG or JPEG picture; save it as one of these") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"the picture has far too many pixels; give one of at most {MOST_PIXELS:,} in all") from None
    except MemoryError:
        raise
    except Exception as error:  # for a damaged one: OSError, SyntaxError, ValueError, struct.error, ...
        raise ValueError(f"the picture is damaged ({error}); save it anew or give another") from error


def _on_white(picture: Image.Image) -> Image.Image:
    """RGB; transparent parts become white, and gray of 16 bits becomes gray of 8."""
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        colored = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colored.size, "white"), colored)
    return picture.convert("RGB")
