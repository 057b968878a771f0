"""Features: against colorsys, scikit-image, and what the transforms must leave alone."""

from __future__ import annotations

import colorsys
import itertools

import numpy as np
import pytest
import skimage
from PIL import Image

from hashlib_nb import perceptual

CORNERS = np.array([*itertools.product((0, 60, 128, 255), repeat=3)], dtype=np.uint8)[None]
"""A picture with every order of red, green and blue, ties among them."""
NOISE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def test_hue_is_that_of_colorsys_and_the_printed_equation_is_not():
    wanted = np.array([colorsys.rgb_to_hsv(*color)[0] for color in CORNERS[0] / 255]) * 2 * np.pi
    apart = np.abs(perceptual.hue(CORNERS)[0] - wanted)
    assert np.minimum(apart, 2 * np.pi - apart).max() < 1e-12
    printed = perceptual.hue(CORNERS, offsets=False)[0]
    assert np.abs(printed).max() <= np.pi / 3 + 1e-12
    pure = [perceptual.hue(np.array([[color]], np.uint8), offsets=False).item() for color in np.eye(3) * 255]
    assert pure == [0, 0, 0]  # red, green and blue, all one hue


def test_gray_is_that_of_pillow_and_near_that_of_the_standard():
    luma = perceptual.gray(NOISE)
    assert np.abs(luma - NOISE @ [0.299, 0.587, 0.114] / 255).max() < 1 / 255


def test_block_means_are_means_of_blocks():
    image = np.repeat(NOISE[:32, :48, :1], 3, axis=2)  # gray, so that Pillow's rounding to gray changes nothing
    found = perceptual.block_means(image, 4)
    wanted = skimage.measure.block_reduce(image[..., 0] / 255, (8, 12), np.mean)
    assert np.abs(found - (wanted - wanted.mean()).ravel()).max() <= 1 / 255


@pytest.mark.parametrize("make", [perceptual.block_means, perceptual.low_frequencies, perceptual.wavelet_approximation])
def test_features_do_not_see_a_change_of_brightness(make):
    dark = np.clip(NOISE, 20, 200)
    assert np.abs(make(dark) - make(dark + 30)).max() < 0.02 * np.abs(make(dark)).max()
    assert make(np.full_like(dark, 90)) == pytest.approx(0, abs=1e-9)


def test_a_cosine_is_a_single_low_frequency():
    across = np.cos(np.pi * 3 * (np.arange(64) + 0.5) / 64)
    image = np.rint(127.5 + 100 * np.tile(across, (64, 1)))[..., None].repeat(3, axis=2).astype(np.uint8)
    found = np.abs(np.append(0, perceptual.low_frequencies(image, 16))).reshape(16, 16)
    assert np.unravel_index(found.argmax(), found.shape) == (0, 3)
    assert found.ravel()[found.argmax()] > 20 * np.sort(found.ravel())[-2]


def test_homomorphic_filtering_takes_slow_light_away_and_leaves_a_constant_picture():
    scene = perceptual.dead_leaves(1, 128, seed=3)[0]
    light = np.linspace(0.25, 1, 128)
    lit = np.rint(scene * light[None, :, None]).astype(np.uint8)

    def likeness(one, other):
        return np.corrcoef(one.ravel(), other.ravel())[0, 1]

    before = likeness(perceptual.gray(scene), perceptual.gray(lit))
    after = likeness(perceptual.homomorphic(scene, low=0.1), perceptual.homomorphic(lit, low=0.1))
    assert after > before
    assert perceptual.homomorphic(lit, low=1) == pytest.approx(perceptual.gray(lit), abs=1e-12)
    flat = np.full((16, 24, 3), 77, np.uint8)
    assert perceptual.homomorphic(flat) == pytest.approx(perceptual.gray(flat), abs=1e-12)


@pytest.mark.parametrize("image", [NOISE[..., 0], NOISE / 255, NOISE[:0], None, "photo.jpg", Image.new("L", (3, 3))])
def test_what_is_no_picture_is_refused_by_name(image):
    with pytest.raises(ValueError, match=r"^image .*give a picture in color, uint8 \[h, w, 3\]"):
        perceptual.gray(image)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: perceptual.homomorphic(NOISE, cutoff=0), "cutoff"),
        (lambda: perceptual.homomorphic(NOISE, low=2), "low"),
        (lambda: perceptual.low_frequencies(NOISE, 1), "side"),
        (lambda: perceptual.block_means(NOISE, 10_000), "side"),
        (lambda: perceptual.wavelet_approximation(NOISE, 0), "side"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(call, name):
    with pytest.raises(ValueError, match=f"^{name} is "):
        call()
