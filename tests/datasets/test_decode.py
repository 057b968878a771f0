"""One decoder: which files are read, what pixels they give, what is refused before it is decoded."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from hashlib_nb.datasets import PictureError, Pictures, _decode, decode, suffixes
from hashlib_nb.search import find_pictures
from hashlib_nb.search.page import read_upload

RNG = np.random.default_rng(0)
PHOTO = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((500, 400), Image.Resampling.BICUBIC)
)
RAMP = (np.add.outer(np.arange(64), np.arange(64)) * 2 + 2).astype(np.uint8)
"""Gray, 2 to 254."""


def saved(path: Path, pixels: np.ndarray | Image.Image, **options) -> Path:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)
    return path


def plainly_decoded(path: Path, size: int) -> np.ndarray:
    """What 8 bits without transparency give, by Pillow alone: codes that are stored depend on these pixels."""
    with Image.open(path) as picture:
        picture.draft("RGB", (size, size))
        upright = ImageOps.exif_transpose(picture).convert("RGB")
        return np.asarray(ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR))


# what is read


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK"])
@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".tif", ".gif", ".webp", ".ppm", ".tga", ".jp2"])
def test_eight_bits_without_transparency_keep_their_pixels(tmp_path, mode, ending):
    try:
        path = saved(tmp_path / f"a{ending}", Image.fromarray(PHOTO).convert(mode))
    except (OSError, KeyError, ValueError):
        pytest.skip(f"no {mode} in {ending}")
    for size in (32, 256):
        np.testing.assert_array_equal(decode(path, size), plainly_decoded(path, size))


def test_endings_are_those_of_the_formats_that_are_read():
    Image.init()
    assert {_decode.Image.EXTENSION[suffix] for suffix in suffixes()} == set(_decode.readers())
    assert {".jpg", ".jfif", ".png", ".gif", ".bmp", ".tiff", ".webp", ".pgm", ".jp2", ".tga"} <= suffixes()
    assert not suffixes() & {".eps", ".ps", ".pdf", ".psd", ".wmf", ".ico", ".heic", ".txt"}


@pytest.mark.parametrize("kind", sorted({"EPS", "PDF", "ICO", "PCX", "SGI", "DDS", "MSP", "XBM"}))
def test_no_other_reader_is_started_whatever_the_file_is_called(tmp_path, kind, monkeypatch):
    """A PostScript file called x.png would reach Ghostscript."""
    mode = {"MSP": "1", "XBM": "1"}.get(kind, "RGB")
    saved(tmp_path / "a.png", Image.fromarray(PHOTO).convert(mode), format=kind)
    for name in ("Popen", "run", "check_call", "call"):
        monkeypatch.setattr(subprocess, name, lambda *words, **_: pytest.fail(f"starts {words}"))
    with pytest.raises(PictureError, match="is no image"):
        decode(tmp_path / "a.png", 32)


# what pixels they give


@pytest.mark.parametrize(
    ("ending", "pixels"),
    [
        (".png", RAMP.astype(np.uint16) * 257),
        (".tif", RAMP.astype(np.uint16) * 257),
        (".jp2", RAMP.astype(np.uint16) * 257),
        (".pgm", RAMP.astype(np.int32) * 257),
        (".tif", RAMP.astype(np.int32)),
        (".tif", RAMP.astype(np.float32)),
        (".tif", RAMP.astype(np.float32) / 255),
        (".tif", RAMP.astype(">u2") * 257),
    ],
)
def test_more_than_eight_bits_are_the_picture_in_eight(tmp_path, ending, pixels):
    found = decode(saved(tmp_path / f"a{ending}", pixels), 64)
    np.testing.assert_array_equal(found, np.repeat(RAMP[..., None], 3, axis=2))


@pytest.mark.parametrize("pixels", [RAMP * np.float32(40), -RAMP.astype(np.float32), RAMP * np.float32(np.nan)])
def test_numbers_that_are_no_pixels_are_refused_with_their_span(tmp_path, pixels):
    path = saved(tmp_path / "a.tif", pixels)
    with pytest.raises(PictureError, match="has values from .* to .*, and 0 to 255 or fractions"):
        decode(path, 32)
    with pytest.raises(ValueError, match=r"the picture a.tif has values .*; replace it or leave it out"):
        Pictures(["a.tif"], size=32, root=tmp_path)[0]


def shape(mode: str, box: tuple[int, ...]) -> Image.Image:
    """A black ellipse on transparent black."""
    picture = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse(box, fill=(0, 0, 0, 255))
    if mode == "P":
        palette = picture.getchannel("A").point(lambda alpha: int(alpha > 0)).convert("P")
        palette.putpalette([0] * 6)
        palette.info["transparency"] = 0
        return palette
    return picture.convert(mode)


@pytest.mark.parametrize(("mode", "ending"), [("RGBA", ".png"), ("LA", ".png"), ("P", ".png"), ("P", ".gif")])
def test_transparent_ground_is_white(tmp_path, mode, ending):
    picture = shape(mode, (10, 10, 54, 54))
    options = {"transparency": 0} if mode == "P" else {}
    found = decode(saved(tmp_path / f"a{ending}", picture, **options), 64)
    assert (found[0, 0] == 255).all()
    assert (found[32, 32] == 0).all()


def test_of_several_frames_the_first_counts(tmp_path):
    frames = [Image.fromarray(PHOTO), Image.fromarray(255 - PHOTO)]
    for ending in (".tif", ".png", ".webp"):
        options = {"lossless": True} if ending == ".webp" else {}
        path = saved(tmp_path / f"a{ending}", frames[0], save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(decode(path, 400), np.asarray(ImageOps.fit(frames[0], (400, 400), 2)))


@pytest.mark.parametrize("size", [28, 64, 256])
@pytest.mark.parametrize(
    "picture",
    [Image.fromarray(PHOTO), shape("RGBA", (0, 28, 63, 36)), Image.fromarray(RAMP.astype(np.uint16) * 257)],
    ids=["photo", "shape", "16 bits"],
)
def test_an_upload_has_the_pixels_of_the_file(tmp_path, picture, size):
    for ending in (".png", ".jpg")[: 2 if picture.mode == "RGB" else 1]:
        path = saved(tmp_path / f"a{ending}", picture)
        np.testing.assert_array_equal(
            read_upload(path.read_bytes(), (size, size, 3)).image, decode(path, size), err_msg=ending
        )


# what is refused before it is decoded


def png_of_zeros(path: Path, side: int) -> Path:
    """A small file of side x side pixels, all black."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    lines = zlib.compressobj(9)
    content = b"".join(lines.compress(bytes(1 + side)) for _ in range(side)) + lines.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("side", [9_500, pytest.param(20_000, marks=pytest.mark.slow)])
def test_many_pixels_in_a_small_file_are_refused_and_not_decoded(tmp_path, side, monkeypatch):
    path = png_of_zeros(tmp_path / "a.png", side)
    assert path.stat().st_size < 500_000
    monkeypatch.setattr(ImageOps, "exif_transpose", lambda picture: pytest.fail("it is decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow warns at a bound of its own
        with pytest.raises(ValueError, match=f"a.png has {side:,} x {side:,} pixels, and at most 89,478,485"):
            Pictures(["a.png"], size=8, root=tmp_path)[0]


def test_a_jpeg_above_the_bound_is_decoded_at_an_eighth(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.jpg", PHOTO, quality=95)
    whole = decode(path, 400)
    monkeypatch.setattr(_decode, "MOST_PIXELS", 100_000)
    small = decode(path, 400)
    assert small.shape == whole.shape
    assert 0 < np.abs(small.astype(int) - whole).mean() < 20
    np.testing.assert_array_equal(decode(path, 32), plainly_decoded(path, 32))  # which is an eighth anyway
    monkeypatch.setattr(_decode, "MOST_PIXELS_OF_JPEG", 199_999)
    with pytest.raises(PictureError, match="has 500 x 400 pixels, and at most 199,999 are decoded"):
        decode(path, 32)


@pytest.mark.slow
def test_a_photograph_of_two_hundred_megapixels_is_read(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.new("RGB", (16_384, 12_288), (200, 90, 9)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.abs(decode(path, 32).astype(int) - (200, 90, 9)).max() < 4


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


UNREADABLE = {
    "a pipe": make_pipe,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_is_no_regular_file_is_refused_and_not_read(tmp_path, what):
    UNREADABLE[what](tmp_path / "a.png")
    with pytest.raises(PictureError, match="is no regular file"):
        decode(tmp_path / "a.png", 8)
    pictures = Pictures([tmp_path / "a.png"], size=8)
    for ask in (lambda: pictures[0], lambda: pictures.digest):
        with pytest.raises(ValueError, match=r"the picture .*a.png is no regular file"):
            ask()
    if what != "a folder":
        with pytest.raises(ValueError, match="a.png is no regular file"):
            find_pictures([tmp_path / "a.png"])


@pytest.mark.parametrize("paths", ["a.png", b"a.png", 5, None, [5], [None]])
def test_paths_that_are_no_list_of_files_are_refused(paths):
    with pytest.raises(ValueError, match="paths is .*; give a list of files"):
        Pictures(paths, size=8)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, None, "8", 10**6])
def test_sizes_that_cannot_be_are_refused(size):
    with pytest.raises(ValueError, match="size is .*; give a whole number in 1..8192"):
        Pictures(["a.png"], size=size)


def test_an_error_comes_back_from_a_worker_as_it_is():
    error = PictureError("broken", "is broken (so)")
    again = pickle.loads(pickle.dumps(error))
    assert (again.kind, str(again)) == ("broken", "is broken (so)")
    assert str(PictureError("empty")) == "is empty"
