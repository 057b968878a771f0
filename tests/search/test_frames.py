"""Frames of video files: which one is seen when, that none is read before it is asked for, and what bad files say."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.search import frames
from hashlib_nb.search.frames import read_frames, write_frames
from tests.helpers import hide_packages


def ramp(n: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Frames uint8 [n, h, w, 3] that are told by how bright they are: 4 shades apart."""
    return np.broadcast_to((4 * np.arange(n, dtype=np.uint8))[:, None, None, None], (n, *size, 3))


def numbers(path: Path, rate: float | None) -> list[int]:
    """Which frames of a ramp are read."""
    return [round(frame.mean() / 4) for frame in read_frames(path, rate)]


@pytest.fixture
def clip(tmp_path) -> Path:
    """Two seconds at 25 frames a second."""
    write_frames(tmp_path / "clip.mp4", ramp(50), 25, crf=0)
    return tmp_path / "clip.mp4"


def test_frame_i_is_what_is_seen_i_over_rate_seconds_after_the_first(clip):
    assert numbers(clip, None) == list(range(50))
    assert numbers(clip, 5) == list(range(0, 50, 5))
    assert numbers(clip, 1) == [0, 25]
    assert numbers(clip, 2.5) == list(range(0, 50, 10))


def test_of_a_slow_video_frames_come_more_than_once(tmp_path):
    write_frames(tmp_path / "slow.mp4", ramp(4), 2, crf=0)
    assert numbers(tmp_path / "slow.mp4", 5) == [0, 0, 0, 1, 1, 2, 2, 2]


def test_equal_frames_make_equal_files_and_an_odd_edge_is_left_out(tmp_path):
    for name in "ab":
        write_frames(tmp_path / f"{name}.mp4", ramp(5, (49, 65)), 25)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert next(read_frames(tmp_path / "a.mp4")).shape == (48, 64, 3)


def test_large_frames_come_small_and_small_ones_as_they_are(tmp_path, clip):
    write_frames(tmp_path / "large.mp4", ramp(3, (200, 800)), 25)
    assert next(read_frames(tmp_path / "large.mp4")).shape == (128, 512, 3)
    assert next(read_frames(tmp_path / "large.mp4", side=100)).shape == (25, 100, 3)
    assert next(read_frames(clip)).shape == (48, 64, 3)


def test_a_frame_is_decoded_when_it_is_asked_for_so_that_a_broken_end_comes_late(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (100, 64, 64, 3), np.uint8)
    path = tmp_path / "broken.mp4"
    write_frames(path, noise, 25)
    content = bytearray(path.read_bytes())
    for place in range(len(content) * 2 // 3, len(content) - 5000, 50):
        content[place] ^= 0xFF
    path.write_bytes(content)
    found = read_frames(path, None)
    assert next(found).shape == (64, 64, 3)
    with pytest.raises(ArtifactError, match=r"broken\.mp4 is broken or no video \(.*, after \d+ frames\)"):
        list(found)


def bad_file(kind: str, clip: Path) -> Path:
    """A file that is no video to be read."""
    path = clip.with_name(f"{kind}.mp4")
    if kind == "sound":
        path = path.with_suffix(".wav")
        with wave.open(str(path), "wb") as sound:
            sound.setparams((1, 2, 8000, 0, "NONE", ""))
            sound.writeframes(bytes(16000))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "playlist":
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://localhost/a.ts\n#EXT-X-ENDLIST\n")
    elif kind != "missing":
        content = clip.read_bytes()
        path.write_bytes({"empty": b"", "text": b"garbage" * 999, "cut": content[: len(content) // 2]}[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("empty", "is broken or no video"), ("text", "is broken or no video"), ("cut", "is broken or no video"),
        ("playlist", "is broken or no video"), ("sound", "has no pictures, only sound or text"),
        ("pipe", "is a pipe, no video"), ("folder", "is a folder, no video"), ("missing", "No such file"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_sentence_with_its_name(kind, sentence, clip):
    path = bad_file(kind, clip)
    with pytest.raises((ValueError, OSError), match=sentence) as raised:
        list(read_frames(path))
    assert path.name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_video_without_a_single_frame_says_so(tmp_path):
    path = tmp_path / "none.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        container.start_encoding()
    with pytest.raises(ArtifactError, match=r"none\.mkv has 0 frames; name another file"):
        list(read_frames(path))


def test_a_video_that_never_ends_is_refused(clip, monkeypatch):
    monkeypatch.setattr(frames, "LONGEST", 1)
    taken = []
    with pytest.raises(ArtifactError, match=r"clip\.mp4 has more than 0 hours of frames; cut it in parts"):
        taken.extend(read_frames(clip, None))
    monkeypatch.setattr(frames, "LONGEST", 0.1)
    with pytest.raises(ArtifactError, match="more than"):
        list(read_frames(clip, None))


@pytest.mark.parametrize(("given", "sentence"), [
    ({"rate": 0}, "rate is 0"), ({"rate": 30}, "rate is 30"), ({"rate": float("nan")}, "rate is nan"),
    ({"side": 0}, "side is 0"),
])  # fmt: skip
def test_numbers_that_cannot_be_are_refused_by_name(given, sentence, clip):
    with pytest.raises(ValueError, match=sentence):
        list(read_frames(clip, **given))


def test_nothing_is_written_of_frames_that_do_not_fit(tmp_path):
    for several in ([], [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)]):
        with pytest.raises(ValueError, match="^frames "):
            write_frames(tmp_path / "none.mp4", several, 25)
    with pytest.raises(ValueError, match="^crf is 52"):
        write_frames(tmp_path / "none.mp4", ramp(3), 25, crf=52)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["av", "pdqhash"])
def test_a_missing_extra_is_one_sentence_with_the_line_for_pip(clip, package, monkeypatch):
    hide_packages(monkeypatch, package)
    with pytest.raises(ValueError, match="^video needs the packages av and pdqhash: python -m pip install 'av"):
        list(read_frames(clip))
