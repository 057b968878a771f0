"""Hashes: imagehash's and pdqhash's own answers, keys that decide, codes that hold against small changes."""

from __future__ import annotations

import imagehash
import numpy as np
import pdqhash
import pytest
from PIL import Image

from hashlib_nb import perceptual
from hashlib_nb.perceptual import HASHES

IMAGES, NAMES = perceptual.sample(24, 96)


@pytest.mark.parametrize("name", HASHES)
def test_codes_have_the_stated_length_and_say_the_same_for_any_size(name):
    codes = perceptual.hash_pictures(name, IMAGES)
    assert codes.dtype == np.uint8
    assert codes.shape == (24, HASHES[name].bits)
    assert {*np.unique(codes)} == {0, 1}
    twice = np.asarray(Image.fromarray(IMAGES[0]).resize((192, 192), Image.Resampling.BICUBIC))
    (larger,) = perceptual.hash_pictures(name, [twice])
    others = (codes[1:] != codes[0]).sum(axis=1)
    assert (larger != codes[0]).sum() < others.min()


def test_classical_hashes_are_those_of_the_libraries():
    picture = Image.fromarray(IMAGES[1])
    hexes = {
        "ahash": imagehash.average_hash(picture, 16), "phash": imagehash.phash(picture, 16),
        "dhash": imagehash.dhash(picture, 16), "whash": imagehash.whash(picture, 16),
        "color": imagehash.colorhash(picture),
    }  # fmt: skip
    for name, wanted in hexes.items():
        bits = perceptual.hash_pictures(name, [IMAGES[1]])[0]
        assert str(imagehash.ImageHash(bits.astype(bool).reshape(wanted.hash.shape))) == str(wanted), name
    bits, quality = pdqhash.compute(IMAGES[1])
    assert (perceptual.hash_pictures("pdq", [IMAGES[1]])[0] == bits).all()
    assert perceptual.pdq_quality(IMAGES[1]) == quality > perceptual.pdq_quality(np.full((64, 64, 3), 9, np.uint8)) == 0


def test_a_phash_is_the_lowest_frequencies_above_their_median():
    from scipy import fft

    small = np.asarray(Image.fromarray(IMAGES[2]).convert("L").resize((64, 64), Image.Resampling.LANCZOS), float)
    low = fft.dctn(small)[:16, :16]
    assert (perceptual.hash_pictures("phash", [IMAGES[2]])[0] == (low > np.median(low)).ravel()).all()


def test_a_key_gives_one_code_and_another_key_one_that_has_nothing_to_do_with_it():
    codes = perceptual.keyed_codes(IMAGES, b"one")
    assert (codes == perceptual.keyed_codes(IMAGES, b"one")).all()
    far = [perceptual.key_sensitivity(codes, perceptual.keyed_codes(IMAGES, bytes([key]))) for key in range(20)]
    assert np.mean(far) == pytest.approx(0.5, abs=0.01)
    assert (
        perceptual.hash_pictures("keyed_dct", IMAGES) == perceptual.keyed_codes(IMAGES, perceptual.PUBLIC_KEY)
    ).all()


def test_keyed_codes_are_linear_in_their_features():
    """Bits are signs, so a picture and its negative have opposite bits."""
    image = np.clip(IMAGES[3], 1, 254)
    code, negative = perceptual.keyed_codes([image, 255 - image], b"k")
    assert (code != negative).mean() > 0.97  # but for rounding to gray


@pytest.mark.parametrize("key", [b"", "text", None, 3])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(ValueError, match="^key is .*; give bytes, at least one"):
        perceptual.keyed_codes(IMAGES[:1], key)


def test_unknown_names_and_what_is_no_picture_are_refused():
    with pytest.raises(ValueError, match="^name is 'md5'; there are ahash, phash, "):
        perceptual.hash_pictures("md5", IMAGES)
    for images in (3, "photo.jpg", IMAGES[0], [IMAGES[0], None]):
        with pytest.raises(ValueError, match="^images is .*give"):
            perceptual.hash_pictures("pdq", images)
    assert perceptual.hash_pictures("pdq", []).shape == (0, 256)


def test_samples_are_photographs_first_and_the_same_for_every_number():
    fewer, names = perceptual.sample(23, 96)
    assert (fewer == IMAGES[:23]).all()
    assert names == NAMES[:23]
    assert names[0] == "astronaut"
    assert len({image.tobytes() for image in IMAGES}) == len(IMAGES)
    assert (perceptual.dead_leaves(2, 32, seed=1)[0] != perceptual.dead_leaves(2, 32, seed=2)[0]).any()
    photos = perceptual.photographs(32)[0]
    assert photos.shape == (21, 32, 32, 3)


def test_dead_leaves_have_the_spectrum_of_photographs():
    """Amplitudes fall with frequency, about one over it: a slope of -1 on logarithmic scales."""
    images = perceptual.dead_leaves(12, 128, seed=0)
    power = np.mean([np.abs(np.fft.fft2(perceptual.gray(image))) ** 2 for image in images], axis=0)[1:32, 0]
    slope = np.polyfit(np.log(np.arange(1, 32)), np.log(power) / 2, 1)[0]
    assert -1.6 < slope < -0.7
