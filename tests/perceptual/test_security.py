"""What a hash is not: keys come out of examples, and a second picture has the first one's hash."""

from __future__ import annotations

import numpy as np
import pytest

from hashlib_nb import perceptual

IMAGES, _ = perceptual.sample(12, 128)


def test_a_linear_key_is_learned_from_examples_and_more_of_them_say_more():
    rng = np.random.default_rng(0)
    x, key = rng.standard_normal((600, 8)), rng.standard_normal((8, 5))
    codes = x @ key > 0
    right = [((x[300:] @ perceptual.recover_key(x[:n], codes[:n]) > 0) == codes[300:]).mean() for n in (20, 300)]
    assert 0.7 < right[0] < right[1]
    assert right[1] > 0.97
    recovered = perceptual.recover_key(x[:300], codes[:300])
    cosines = (recovered * key).sum(axis=0) / np.linalg.norm(recovered, axis=0) / np.linalg.norm(key, axis=0)
    assert cosines.min() > 0.99


def test_a_permutation_of_the_bits_protects_nothing():
    rng = np.random.default_rng(1)
    x, key, order = rng.standard_normal((100, 6)), rng.standard_normal((6, 5)), rng.permutation(5)
    plain, permuted = ((x @ each > 0) for each in (key, key[:, order]))
    assert perceptual.recover_key(x, permuted) == pytest.approx(perceptual.recover_key(x, plain)[:, order])


def test_a_scale_of_features_changes_nothing_and_a_constant_bit_stays_so():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((200, 6)) + 1
    codes = np.column_stack([x @ rng.standard_normal(6) > 0, np.ones(200), np.zeros(200)]).astype(np.uint8)
    found = perceptual.recover_key(x, codes)
    assert (x.mean(axis=0) @ found[:, 1:] > 0).tolist() == [True, False]
    scaled = perceptual.recover_key(x * np.arange(1, 7), codes)
    assert scaled * np.arange(1, 7)[:, None] == pytest.approx(found, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(("mine", "other"), [(1, 5), (4, 15 % 12), (11, 0)])
def test_a_second_picture_has_the_hash_exactly_or_within_the_radius(mine, other):
    image, code = IMAGES[mine], perceptual.hash_pictures("phash", IMAGES[other : other + 1])[0]
    forged = perceptual.second_preimage(image, code)
    assert forged.shape == image.shape
    assert (perceptual.hash_pictures("phash", [forged])[0] == code).all()
    near = perceptual.second_preimage(image, code, within=31)
    assert 0 < (perceptual.hash_pictures("phash", [near])[0] != code).sum() <= 31
    assert perceptual.peak_signal_to_noise(image, near) > perceptual.peak_signal_to_noise(image, forged) + 2


def test_its_own_hash_costs_nothing():
    code = perceptual.hash_pictures("phash", IMAGES[:1])[0]
    assert (perceptual.second_preimage(IMAGES[0], code) == IMAGES[0]).all()


def test_signal_to_noise_is_in_decibels():
    white, gray = (np.full((4, 4, 3), value, np.uint8) for value in (255, 204))
    assert perceptual.peak_signal_to_noise(white, gray) == pytest.approx(-20 * np.log10(0.2))
    assert perceptual.peak_signal_to_noise(white, white) == np.inf


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: perceptual.recover_key(np.zeros((3, 2)), np.zeros((4, 2), int)), "^features has 3 rows and codes 4"),
        (lambda: perceptual.recover_key(np.full((3, 2), np.nan), np.zeros((3, 2), int)), "^features is float64"),
        (lambda: perceptual.second_preimage(IMAGES[0], np.ones(256, int)), "^code is .*half ones"),
        (lambda: perceptual.second_preimage(IMAGES[0], np.zeros(64, int)), "^code is"),
        (lambda: perceptual.second_preimage(IMAGES[0], np.zeros(256, int), within=65), "^within is 65"),
        (
            lambda: perceptual.second_preimage(np.zeros((8, 8, 3), np.uint8), np.arange(256) % 2),
            "^image cannot be given",
        ),
        (lambda: perceptual.peak_signal_to_noise(IMAGES[0], IMAGES[0][:9]), "^other is"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
