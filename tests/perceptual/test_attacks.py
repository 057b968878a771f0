"""Attacks: sizes, identities and inverses; one table holds every parameter."""

from __future__ import annotations

import numpy as np
import pytest

from hashlib_nb import perceptual
from hashlib_nb.perceptual import ATTACKS, TABLE, Attack

IMAGE = perceptual.sample(1, 120)[0][0][:, :100]
"""Higher than wide."""


def test_the_table_is_all_there_is_and_names_are_apart():
    assert [(each.family, each.strength) for each in ATTACKS] == [
        (family, strength) for family, (_, _, strengths) in TABLE.items() for strength in strengths
    ]
    assert len({each.name for each in ATTACKS}) == len(ATTACKS)
    assert Attack("JPEG", 75).name == "JPEG 75 (quality)"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: each.name)
def test_each_changes_a_picture_of_any_size_and_depends_on_its_seed_alone(attack):
    for image in (IMAGE, np.full((16, 17, 3), 128, np.uint8)):
        before = image.copy()
        copy = attack(image, 5)
        assert copy.dtype == np.uint8
        assert copy.ndim == 3
        assert copy.shape[2] == 3
        assert (copy == attack(image, 5)).all()
        assert (image == before).all()
    assert attack(IMAGE, 5).shape != IMAGE.shape or (attack(IMAGE, 5) != IMAGE).any()


def test_noise_follows_the_seed_and_has_the_stated_deviation():
    gray = np.full((200, 200, 3), 128, np.uint8)
    one, other = (Attack("noise", 0.1)(gray, seed).astype(float) for seed in (0, 1))
    assert (one != other).any()
    assert one.std() == pytest.approx(25.5, rel=0.02)


def test_flips_and_a_right_angle_are_moves_of_pixels():
    assert (Attack("flip", 0)(IMAGE) == IMAGE[:, ::-1]).all()
    assert (Attack("flip", 1)(IMAGE) == IMAGE[::-1]).all()
    assert (Attack("rotate", 90)(IMAGE) == np.rot90(IMAGE)).all()


def test_a_crop_leaves_the_middle_and_a_border_leaves_the_picture_inside():
    assert (Attack("crop", 0.2)(IMAGE) == IMAGE[12:-12, 10:-10]).all()
    framed = Attack("border", 0.1)(IMAGE)
    assert (framed[10:-10, 10:-10] == IMAGE).all()
    assert framed[:10].max() == framed[:, -10:].max() == 0


def test_gamma_and_saturation_are_what_they_say():
    wanted = np.rint(255 * (IMAGE / 255) ** 2.5)
    assert np.abs(Attack("gamma", 2.5)(IMAGE) - wanted).max() <= 1
    assert np.ptp(Attack("saturation", 0)(IMAGE).astype(int), axis=2).max() == 0
    assert np.abs(Attack("contrast", 1)(IMAGE).astype(int) - IMAGE).max() <= 1


def test_a_blur_keeps_the_mean_and_a_median_takes_specks_away():
    assert Attack("blur", 2)(IMAGE).mean() == pytest.approx(IMAGE.mean(), abs=1)
    speck = np.full((21, 21, 3), 100, np.uint8)
    speck[10, 10] = 255
    assert (Attack("median", 3)(speck) == 100).all()


@pytest.mark.parametrize(("family", "many"), [("JPEG", (75, 10, 3)), ("noise", (0.02, 0.2)), ("blur", (1, 4))])
def test_stronger_is_farther(family, many):
    far = [np.abs(Attack(family, each)(IMAGE).astype(float) - IMAGE).mean() for each in many]
    assert far == sorted(far)


def test_text_and_logo_stay_in_their_places():
    changed = (Attack("logo", 0.3)(IMAGE) != IMAGE).any(axis=2)
    assert changed[:, :60].sum() == 0
    assert changed[:50].any()
    written = (Attack("text", 0.1)(IMAGE) != IMAGE).any(axis=2)
    assert written[:80].sum() == 0
    assert written[85:110].any()


def test_what_is_no_attack_is_refused():
    with pytest.raises(ValueError, match="^family is 'fire'; there are JPEG, crop"):
        Attack("fire", 1)(IMAGE)
    with pytest.raises(ValueError, match="^image is .*give a picture"):
        ATTACKS[0](IMAGE[..., 0])
    with pytest.raises(ValueError, match="^seed is -1"):
        ATTACKS[0](IMAGE, -1)
