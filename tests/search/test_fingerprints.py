"""Fingerprints of videos: scenes that stand still, what changed, and offsets against a table of all pairs."""

from __future__ import annotations

import numpy as np
import pdqhash
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb.search import clips
from hashlib_nb.search.fingerprints import Coder, Fingerprint, find, fingerprint, pdq_coder, share_within

K = 32
PLAIN = Coder({"coder": "test"}, K, lambda frames: np.stack([frame.ravel()[:K] for frame in frames]) - 100.0)
"""A bit is whether a pixel is at least 100."""


def frames_of(codes: np.ndarray) -> list[np.ndarray]:
    """Frames whose codes these are."""
    return [(100 * code + 50).astype(np.uint8).reshape(1, -1, 1) for code in codes]


def random_codes(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (n, K), np.uint8)


def made(codes: np.ndarray, still: int = 0) -> Fingerprint:
    return fingerprint(frames_of(codes), PLAIN, still=still)


def test_a_scene_that_stands_still_is_kept_once_with_its_length():
    a, b = random_codes(2, 0)
    found = made(np.stack([a, a, a, b, a, a]))
    np.testing.assert_array_equal(found.codes, [a, b, a])
    assert (found.starts.tolist(), found.lengths.tolist(), found.samples) == ([0, 3, 4], [3, 1, 2], 6)


def test_a_scene_moves_on_where_it_is_further_away_than_still():
    codes = np.zeros((4, K), np.uint8)
    for row in range(1, 4):
        codes[row, : 2 * row] = 1  # 2, 4 and 6 bits from the first
    assert made(codes, still=4).starts.tolist() == [0, 3]
    assert made(codes, still=5).starts.tolist() == [0, 3]
    assert made(codes, still=6).starts.tolist() == [0]
    assert made(codes, still=1).starts.tolist() == [0, 1, 2, 3]


def test_what_changed_is_which_numbers_have_grown_since_the_frame_before():
    numbers = np.array([[100, 0, 50], [101, 0, 49], [0, 255, 49]], np.uint8)
    coder = Coder({}, 3, lambda frames: np.stack(frames) - 100.0)
    found = fingerprint(list(numbers), coder, still=0)
    assert found.codes.tolist() == [[1, 0, 0], [0, 1, 0]]  # the second looks like the first and is not kept
    assert found.changes.tolist() == [[0, 0, 0], [0, 1, 0]]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_the_offset_is_the_one_that_most_pairs_of_frames_vote_for(seed):
    """Against a table of all pairs, for videos with scenes that stand still."""
    rng = np.random.default_rng(seed)
    scenes = random_codes(6, seed % 1000)
    query, other = (np.repeat(scenes[rng.integers(0, 6, n)], rng.integers(1, 5, n), axis=0) for n in (4, 7))
    found = find(made(query), made(other), 0, gap=10**6, changes=False)
    pairs = (query[:, None] == other).all(axis=2)
    votes = np.array([np.trace(pairs, offset) for offset in range(-len(query) + 1, len(other))])
    smooth = np.convolve(votes, (1, 2, 1), mode="same")
    if not pairs.any():
        assert found is None
        return
    offset = int(np.argmax(smooth)) - len(query) + 1
    rows, columns = np.nonzero(pairs)
    matched = {int(row) for row, column in zip(rows, columns, strict=True) if abs(column - row - offset) <= 1}
    assert found.matched == len(matched)
    assert found.query == (min(matched), max(matched) + 1)
    assert found.other == (max(0, min(matched) + offset), min(len(other), max(matched) + 1 + offset))


def test_a_part_of_a_video_is_found_where_it_was_cut_out():
    film, advert = random_codes(60, 1), random_codes(15, 2)
    found = find(made(np.concatenate([advert, film[20:45], advert])), made(film), 0, gap=3)
    assert (found.matched, found.query, found.other) == (25, (15, 40), (20, 45))
    assert find(made(advert), made(film), 0, gap=3) is None


def test_a_stretch_goes_on_over_a_gap_and_ends_at_a_longer_one():
    film = random_codes(40, 3)
    query = film.copy()
    query[10:13] = random_codes(3, 4)
    for gap, wanted in ((3, (0, 40)), (2, (13, 40))):
        assert find(made(query), made(film), 0, gap=gap).query == wanted


def test_like_changes_decide_between_two_offsets_that_look_alike():
    """The same eight codes twice; half of the numbers, which no bit tells apart, rise the first time and then fall."""
    seen = 50 + 100 * random_codes(8, 6)[:, : K // 2]
    rising = np.repeat(np.arange(10, 90, 10)[:, None], K // 2, axis=1)
    first, second = np.hstack([seen, rising]), np.hstack([seen, rising[::-1]])
    film = [row.astype(np.uint8).reshape(1, -1, 1) for row in np.concatenate([first, np.full((4, K), 255), second])]
    whole, part = (fingerprint(each, PLAIN, still=0) for each in (film, film[13:]))
    assert find(part, whole, 0, gap=2).other == (13, 20)
    assert find(part, whole, 0, gap=2, changes=False).other == (1, 8)  # both fit as well, and the first is taken


def test_the_share_counts_frames_that_stand_still_as_often_as_they_were_seen():
    a, b, c = random_codes(3, 5)
    assert share_within(made(np.stack([a, a, a, b])), made(np.stack([c, a])), 0) == 0.75


def test_pdq_is_the_librarys():
    frames = list(clips.synthetic_clip(0, seconds=1)[::8])
    wanted = [pdqhash.compute(np.ascontiguousarray(frame))[0] for frame in frames]
    np.testing.assert_array_equal((pdq_coder().values(frames) >= 0).astype(int), wanted)


def test_no_frames_have_no_fingerprint():
    with pytest.raises(ValueError, match="^frames is empty"):
        fingerprint([], PLAIN)
    with pytest.raises(ValueError, match="^still is 33"):
        fingerprint(frames_of(random_codes(2, 0)), PLAIN, still=33)
