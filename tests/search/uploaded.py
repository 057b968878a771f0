"""Files that a visitor of the search page may upload: pictures of every kind, and what is none."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zlib

import numpy as np
from PIL import Image

from hashlib_nb.search.page import SearchPage, uploads

PHOTO = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8).repeat(40, 0).repeat(40, 1)
"""240 x 400 pixels in color."""


def file_of(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return file_of(Image.fromarray(PHOTO), "JPEG", exif=exif)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a large picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


RGB = Image.fromarray(PHOTO)
GOOD = {
    "PNG": file_of(RGB, "PNG"),
    "JPEG": file_of(RGB, "JPEG"),
    "progressive JPEG": file_of(RGB, "JPEG", progressive=True),
    "gray JPEG": file_of(RGB.convert("L"), "JPEG"),
    "CMYK JPEG": file_of(RGB.convert("CMYK"), "JPEG"),
    "gray PNG": file_of(RGB.convert("L"), "PNG"),
    "palette PNG": file_of(RGB.convert("P"), "PNG"),
    "PNG of one bit": file_of(RGB.convert("1"), "PNG"),
    "PNG with alpha": file_of(RGB.convert("RGBA"), "PNG"),
    "gray PNG with alpha": file_of(RGB.convert("LA"), "PNG"),
    "JPEG on its side": turned(6),
    "one pixel": file_of(RGB.resize((1, 1)), "PNG"),
    "very wide": file_of(RGB.resize((5000, 1)), "PNG"),
    "several frames": file_of(RGB, "PNG", save_all=True, append_images=[RGB.rotate(90), RGB.rotate(180)]),
}


class Intruder:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


BAD = {
    "empty": (b"", "is empty; give a PNG or JPEG"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "no PNG or JPEG"),
    "HTML": (b"<!DOCTYPE html><script>alert(1)</script>", "no PNG or JPEG"),
    "pickle": (pickle.dumps(Intruder()), "no PNG or JPEG"),
    **{kind: (file_of(RGB, kind), "no PNG or JPEG") for kind in ("GIF", "BMP", "TIFF", "WEBP", "PDF")},
    "half a JPEG": (GOOD["JPEG"][: len(GOOD["JPEG"]) // 2], "is damaged"),
    "half a PNG": (GOOD["PNG"][: len(GOOD["PNG"]) // 2], "is damaged"),
    "the first bytes": (GOOD["PNG"][:20], "is damaged"),
    "the signature alone": (GOOD["PNG"][:8], "no PNG or JPEG"),
    "too large": (GOOD["PNG"] + bytes(uploads.MOST_BYTES), "has 8.0 MB; give a picture of at most 8 MB"),
    "many pixels": (png_that_claims(8_000, 8_000), "8,000 x 8,000 pixels; give one of at most 50,000,000"),
    "bomb": (png_that_claims(60_000, 60_000), "60,000 x 60,000 pixels; give one of at most 50,000,000"),
    "promises pixels": (png_that_claims(7_000, 7_000), "is damaged"),
}


def upload(page: SearchPage, content: bytes, name: str = "a.png") -> None:
    """Hand over a file as the browser does."""
    file = {"name": name, "content": memoryview(content), "type": "image/png", "size": len(content)}
    page.upload.set_state({"value": [file | {"last_modified": 0}]})
