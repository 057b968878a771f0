"""An uploaded picture: decoded in memory, or refused in a sentence."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image

from hashlib_nb.datasets import PictureError, open_picture, square, upright_color

FORMATS = ("PNG", "JPEG")
"""What may be uploaded, of all that files of a data set may be."""
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

    It gets the pixels that the data sets' files get (`datasets.Pictures`), at this size. Nothing is written, and
    nothing in it is executed.

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
        upright = _decode(content, max(shape[:2]))
        # Where a JPEG was decoded at a fraction, it may be too small to be shown.
        shown = upright.copy() if min(upright.size) >= THUMBNAIL else _decode(content, THUMBNAIL)
        shown.thumbnail((THUMBNAIL, THUMBNAIL))
        pixels = square(upright, (shape[1], shape[0]))
    if shape[2] == 1:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))
    return Upload(np.array(shown), np.array(pixels).reshape(shape))


def _decode(content: bytes, size: int) -> Image.Image:
    """The picture as a file of a data set is decoded, see `datasets.upright_color`."""
    picture = open_picture(io.BytesIO(content), FORMATS)
    if picture.width * picture.height > MOST_PIXELS:
        pixels = f"{picture.width:,} x {picture.height:,} pixels"
        raise PictureError("too large", f"has {pixels}; give one of at most {MOST_PIXELS:,} in all")
    return upright_color(picture, size)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the decoder raises about a file into one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data and the like, which change no pixel
            yield
    except PictureError as error:
        if error.kind == "no image":
            raise ValueError("the file holds no PNG or JPEG picture; save it as one of these") from None
        raise ValueError(f"the picture {error}") from None
    except MemoryError:
        raise
    except Exception as error:  # for a damaged one: OSError, SyntaxError, ValueError, struct.error, ...
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"the picture is damaged ({reason}); save it anew or give another") from error
