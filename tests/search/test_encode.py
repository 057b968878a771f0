"""Encoding files: codes as the encoder makes them, an index that grows by what is new, pictures that cannot be read."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hashlib_nb import artifacts, encoder
from hashlib_nb.datasets import Pictures
from hashlib_nb.search import Index, encode, encode_pictures, find_pictures, hex_of, origin_of
from hashlib_nb.search import __main__ as search_command
from hashlib_nb.search.encode import Args
from hashlib_nb.search.index import FILE
from hashlib_nb.selectors import __main__ as selectors_command
from tests.helpers import refusal, run_main, start_python
from tests.scale.jobs import dasks_threads

K = 16


def draw(path: Path, seed: int) -> Path:
    """A colored shape on a colored ground, losslessly."""
    rng = np.random.default_rng(seed)
    ground, color = (tuple(map(int, rng.integers(0, 256, 3))) for _ in range(2))
    picture = Image.new("RGB", (20, 16), ground)
    shape = ImageDraw.Draw(picture).ellipse if seed % 2 else ImageDraw.Draw(picture).rectangle
    shape((*map(int, rng.integers(0, 8, 2)), *map(int, rng.integers(9, 16, 2))), fill=color)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


def pixels(path: Path) -> np.ndarray:
    """What the encoder is to see of a picture by `draw`: the middle square, in its own resolution."""
    return np.asarray(Image.open(path))[None, :, 2:18]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small encoder whose 16 bits tell colors apart."""
    folder = tmp_path_factory.mktemp("model")
    images = np.concatenate([pixels(draw(folder / "train" / f"{seed}.png", seed)) for seed in range(48)])
    colors = images.mean(axis=(1, 2)) - images.mean(axis=(0, 1, 2))
    targets = (colors @ np.random.default_rng(0).normal(size=(3, K)) > 0).astype(np.uint8)
    recipe = replace(encoder.SMALL, batch_size=8)
    encoder.fit(images, targets, arch="alexnet_small", recipe=recipe, epochs=4, device="cpu", progress=False).save(
        folder
    )
    shutil.rmtree(folder / "train")
    return folder


@pytest.fixture
def photos(tmp_path) -> Path:
    for seed in range(6):
        draw(tmp_path / "photos" / ("deep/er" if seed % 2 else ".") / f"{seed}.png", 100 + seed)
    return tmp_path / "photos"


def codes_of(model: Path, paths: list[Path]) -> np.ndarray:
    """Codes without any of what is tested here: pixels, one picture at a time, through the encoder."""
    fitted = encoder.Encoder.load(model, device="cpu")
    return np.concatenate([fitted.encode(pixels(path)) for path in paths])


def summary(captured) -> str:
    return captured.err.splitlines()[-1]


# --- which files ------------------------------------------------------------------------------------------------------


def test_folders_are_searched_for_pictures_that_are_not_hidden(tmp_path):
    wanted = ["b.JPG", "deep/er/a.png", "z.webp"]
    for name in (*wanted, "notes.txt", ".hidden.jpg", ".trash/a.jpg", "deep/.cache/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert find_pictures([tmp_path]) == [tmp_path / name for name in wanted]


def test_a_named_file_counts_whatever_its_ending_and_once(tmp_path, monkeypatch):
    for name in ("scan", "a.png"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert find_pictures([Path("scan"), Path("a.png"), tmp_path, tmp_path / "scan"]) == [Path("scan"), Path("a.png")]


@pytest.mark.parametrize(
    ("names", "error", "sentence"),
    [
        ([], ValueError, "pictures is empty; name files or folders"),
        (["gone.jpg"], FileNotFoundError, r"pictures: .*gone\.jpg does not exist"),
        (["."], ValueError, r"has no file that ends in \."),
    ],
)
def test_nothing_to_encode_is_said(tmp_path, names, error, sentence):
    with pytest.raises(error, match=sentence):
        find_pictures([tmp_path / name for name in names])


# --- codes ------------------------------------------------------------------------------------------------------------


def test_the_lines_hold_the_encoders_codes(model, photos, capsys):
    encode.main(Args((photos,), model))
    lines = dict(line.split("  ") for line in capsys.readouterr().out.splitlines())
    paths = find_pictures([photos])
    assert lines == dict(zip(map(str, paths), hex_of(codes_of(model, paths)), strict=True))
    assert len(set(lines.values())) > 1


def test_codes_of_any_length_are_cut_from_one_nested_order(model, photos, tmp_path, capsys):
    """Chosen by the command that writes orders, from the codes of these pictures, and cut by the one that encodes."""
    codes = codes_of(model, find_pictures([photos]))
    np.save(tmp_path / "codes.npy", codes)
    np.save(tmp_path / "labels.npy", np.arange(len(codes)) % 2)
    files = ("--codes", tmp_path / "codes.npy", "--labels", tmp_path / "labels.npy", "--out", tmp_path / "kept")
    run_main(selectors_command, *files, "--n-bits", 9, "--nested", "--no-progress")
    order, whole = np.load(tmp_path / "kept" / "bits.npy"), ("--selection", tmp_path / "kept" / "report.json")
    for n_bits in (2, 7, 9):
        run_main(encode, photos, "--model", model, *whole, "--n-bits", n_bits, "--out", tmp_path / f"{n_bits}.npz")
        np.testing.assert_array_equal(np.load(tmp_path / f"{n_bits}.npz")["codes"], codes[:, order[:n_bits]])
    assert "whole number in 1..9 (the order in " in refusal(encode, photos, "--model", model, *whole, "--n-bits", 10)
    assert "n_bits is 3, but there is no selection" in refusal(encode, photos, "--model", model, "--n-bits", 3)


def test_files_hold_the_bits_that_a_selection_keeps(model, photos, tmp_path, capsys):
    artifacts.save_json(tmp_path / "selection.json", {"bits": [9, 0, 4]})
    args = Args((photos,), model, tmp_path / "selection.json", out=tmp_path / "codes.npz", text=tmp_path / "codes.txt")
    encode.main(args)
    assert capsys.readouterr().out == ""
    paths = find_pictures([photos])
    arrays, meta = artifacts.load_npz(tmp_path / "codes.npz")
    np.testing.assert_array_equal(arrays["codes"], codes_of(model, paths)[:, [9, 0, 4]])
    assert arrays["names"].tolist() == [str(path) for path in paths]
    assert (meta["args"]["outputs"], meta["args"]["thresholds"]) == ([9, 0, 4], [0.0] * 3)
    lines = [f"{path}  {code}" for path, code in zip(paths, hex_of(arrays["codes"]), strict=True)]
    assert (tmp_path / "codes.txt").read_text().splitlines() == lines


def test_codes_do_not_depend_on_how_pictures_are_grouped(model, photos, monkeypatch):
    paths = find_pictures([photos])
    fitted = encode.load_encoder(model, "cpu")
    at_once = encode_pictures(fitted, paths, range(K), progress=False)
    monkeypatch.setattr(encode, "CHUNK", 4)
    apart = encode_pictures(fitted, paths, range(K), progress=False)
    np.testing.assert_array_equal(apart.codes, at_once.codes)
    assert apart.paths == at_once.paths == paths


def test_codes_are_those_of_the_encoders_own_dataset(tmp_path, photos):
    """An encoder for 64 pixels that was fitted to pictures as datasets of files decode them, 256 x 256."""
    own = Pictures(find_pictures([photos]), size=256)
    targets = np.eye(6, dtype=np.uint8)
    fitted = encoder.fit(own[:], targets, arch="alexnet_small", epochs=1, device="cpu", progress=False)
    assert fitted.size == (64, 64)
    made = encode_pictures(fitted, own.paths, range(6), progress=False)
    np.testing.assert_array_equal(made.codes, fitted.encode(own[:]))


def test_a_model_of_gray_pictures_is_refused(tmp_path, photos):
    images, targets = np.zeros((4, 8, 8, 1), np.uint8), np.eye(4, dtype=np.uint8)
    encoder.fit(images, targets, arch="alexnet_small", epochs=1, device="cpu", progress=False).save(tmp_path / "gray")
    with pytest.raises(ValueError, match="gray was fitted to gray pictures"):
        encode.main(Args((photos,), tmp_path / "gray"))


# --- pictures that cannot be read -------------------------------------------------------------------------------------


@pytest.fixture
def spoiled(photos) -> dict[str, str]:
    """Files added to the photos that cannot be read, and what is wrong with each."""
    whole = (photos / "0.png").read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.png").touch()
    (photos / "text.jpg").write_text("no picture")
    return {"cut.png": "is broken", "empty.png": "is empty", "text.jpg": "is no image"}


def test_by_default_one_of_them_stops_before_anything_is_written(model, photos, spoiled, tmp_path):
    args = Args((photos,), model, index=tmp_path / "index", out=tmp_path / "codes.npz", text=tmp_path / "codes.txt")
    with pytest.raises(ValueError, match=r"cut\.png is broken .*nothing was written\); or give --on-error skip"):
        encode.main(args)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


@pytest.mark.parametrize("chunk", [2, 512])
def test_skipping_names_and_counts_each_and_encodes_the_rest(
    model, photos, spoiled, tmp_path, capsys, monkeypatch, chunk
):
    monkeypatch.setattr(encode, "CHUNK", chunk)
    encode.main(Args((photos,), model, index=tmp_path / "index", on_error="skip"))
    captured = capsys.readouterr()
    named = [line for line in captured.err.splitlines() if line.startswith("skipped: ")]
    assert len(named) == len(spoiled)
    for name, fault in spoiled.items():
        assert any(f"{name} {fault}" in line for line in named), name
    assert "encoded 6 pictures" in summary(captured)
    assert "3 skipped" in summary(captured)
    index = Index(tmp_path / "index")
    readable = [path for path in find_pictures([photos]) if path.name not in spoiled]
    assert [index.path(row) for row in range(len(index))] == readable
    np.testing.assert_array_equal(index.unpacked(), codes_of(model, readable))


def test_nothing_but_unreadable_pictures_is_an_error(model, tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match="none of the 1 pictures can be read; nothing was written"):
        encode.main(Args((tmp_path,), model, index=tmp_path / "index", on_error="skip"))
    assert not (tmp_path / "index").exists()


# --- several workers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shard", [1, 4, 100])
def test_parts_of_any_size_hold_the_encoders_codes(model, photos, tmp_path, shard, capsys):
    (photos / "broken.png").write_bytes(b"no picture")
    options = {"on_error": "skip", "shard": shard, "parts": tmp_path / "parts", "out": tmp_path / "codes.npz"}
    encode.main(Args((photos,), model, **options))
    arrays, _ = artifacts.load_npz(tmp_path / "codes.npz")
    paths = [path for path in find_pictures([photos]) if path.name != "broken.png"]
    assert arrays["names"].tolist() == [*map(str, paths)]
    np.testing.assert_array_equal(arrays["codes"], codes_of(model, paths))
    assert len([*(tmp_path / "parts").iterdir()]) == -(-7 // shard)
    assert "broken.png is no image" in capsys.readouterr().err


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_workers_makes_the_same_index(model, photos, tmp_path, workers):
    encode.main(Args((photos,), model, index=tmp_path / "alone"))
    with dasks_threads(workers) as where:
        about = {"scheduler": where.scheduler, "shard": 1, "parts": tmp_path / "parts"}
        encode.main(Args((photos,), model, index=tmp_path / "shared", **about))
        encode.main(Args((photos,), model, index=tmp_path / "shared", **about))  # which are there by now
    alone, shared = Index(tmp_path / "alone"), Index(tmp_path / "shared")
    np.testing.assert_array_equal(alone.unpacked(), shared.unpacked())
    assert [alone.path(row) for row in range(6)] == [shared.path(row) for row in range(6)]


def test_a_second_run_takes_the_parts_of_the_first_and_makes_those_of_changed_pictures(model, photos, tmp_path):
    options = {"shard": 2, "parts": tmp_path / "parts", "out": tmp_path / "codes.npz"}
    encode.main(Args((photos,), model, **options))
    first = {*(tmp_path / "parts").iterdir()}
    encode.main(Args((photos,), model, **options))
    assert {*(tmp_path / "parts").iterdir()} == first
    draw(photos / "2.png", 999)
    encode.main(Args((photos,), model, **options))
    assert len({*(tmp_path / "parts").iterdir()} - first) == 1
    arrays, _ = artifacts.load_npz(tmp_path / "codes.npz")
    np.testing.assert_array_equal(arrays["codes"], codes_of(model, find_pictures([photos])))


def test_a_picture_that_cannot_be_read_ends_the_work_in_parts_as_it_does_alone(model, photos, tmp_path):
    (photos / "broken.png").write_bytes(b"no picture")
    said = refusal(encode, photos, "--model", model, "--parts", tmp_path / "parts", "--out", tmp_path / "codes.npz")
    assert said.startswith(f"error: the picture {photos / 'broken.png'} is no image")
    assert said.endswith("(nothing was written); or give --on-error skip")
    assert not (tmp_path / "codes.npz").exists()


def test_a_worker_that_does_not_see_the_pictures_says_so(model, tmp_path):
    loaded = encode._ready(model, origin_of(model), "cpu")
    with pytest.raises(
        ValueError, match="^pictures: a worker on .* does not see /nowhere/a.png; give it the folder at "
    ):
        encode._make_part(loaded, str(tmp_path / "part.npz"), [Path("/nowhere/a.png"), Path("/nowhere/b.png")])


def test_a_damaged_model_is_one_sentence_from_a_worker_too(model, photos, tmp_path):
    broken = tmp_path / "model"
    shutil.copytree(model, broken)
    (broken / "encoder.safetensors").write_bytes(b"\xff" * 99)
    assert "model" in refusal(
        encode, photos, "--model", broken, "--parts", tmp_path / "parts", "--out", tmp_path / "c.npz"
    )


# --- the index --------------------------------------------------------------------------------------------------------


def test_an_index_grows_by_contents_that_are_new(model, photos, tmp_path, capsys):
    folder = tmp_path / "index"
    encode.main(Args((photos,), model, index=folder))
    assert "encoded 6 pictures into 16 of 16 bits" in summary(capsys.readouterr())
    draw(photos / "new.png", 200)
    shutil.copy(photos / "new.png", photos / "new copy.png")
    shutil.copy(photos / "0.png", photos / "old copy.png")
    encode.main(Args((photos,), model, index=folder, show=True))
    captured = capsys.readouterr()
    assert "encoded 1 picture into" in summary(captured)
    assert "8 already there" in summary(captured)
    assert "holds 7" in summary(captured)
    assert len(captured.out.splitlines()) == 1
    before = (folder / FILE).read_bytes()
    encode.main(Args((photos,), model, index=folder))
    assert "encoded 0 pictures" in summary(capsys.readouterr())
    assert (folder / FILE).read_bytes() == before
    index = Index(folder)
    np.testing.assert_array_equal(index.unpacked(), codes_of(model, [index.path(row) for row in range(7)]))


def test_an_index_follows_a_picture_that_changes(model, photos, tmp_path, capsys):
    args = Args((photos,), model, index=tmp_path / "index")
    encode.main(args)
    draw(photos / "0.png", 300)
    encode.main(args)
    assert "1 outdated entry taken out" in summary(capsys.readouterr())
    index = Index(tmp_path / "index")
    paths = [index.path(row) for row in range(len(index))]
    assert sorted(paths) == sorted(find_pictures([photos]))
    np.testing.assert_array_equal(index.unpacked(), codes_of(model, paths))


def test_pictures_of_another_model_or_other_bits_are_refused(model, photos, tmp_path):
    args = Args((photos,), model, index=tmp_path / "index")
    encode.main(args)
    before = (tmp_path / "index" / FILE).read_bytes()
    artifacts.save_json(tmp_path / "selection.json", {"bits": [1, 2]})
    shutil.copytree(model, tmp_path / "other")
    weights = encoder.Encoder.load(model, device="cpu")
    next(weights.network.parameters()).data += 1
    weights.save(tmp_path / "other")
    with pytest.raises(ValueError, match="keeps 16 of 16 bits, not the 2 that are asked for"):
        encode.main(replace(args, selection=tmp_path / "selection.json"))
    with pytest.raises(ValueError, match="was made with another model"):
        encode.main(replace(args, model=tmp_path / "other"))
    with pytest.raises(ValueError, match="was made with another model"):
        search_command.main(
            search_command.Args((photos / "0.png",), tmp_path / "index", grid=None, model=tmp_path / "other")
        )
    assert (tmp_path / "index" / FILE).read_bytes() == before


@pytest.mark.parametrize("option", ["out", "text", "index"])
def test_a_place_that_cannot_be_written_is_named_before_the_work(model, photos, tmp_path, option):
    place = photos if option != "index" else photos / "0.png"
    with pytest.raises(ValueError, match=r"photos is a folder|0\.png, which is a file"):
        encode.main(replace(Args((tmp_path / "gone.jpg",), model), **{option: place}))


def test_a_search_by_picture_finds_what_plain_distances_say_also_after_a_move(model, photos, tmp_path, capsys):
    """Index, pictures and model move together, and the query is a picture that the index does not hold."""
    shutil.copytree(model, tmp_path / "all" / "model")
    shutil.move(photos, tmp_path / "all" / "photos")
    artifacts.save_json(tmp_path / "selection.json", {"bits": list(range(12, 0, -1))})
    args = Args((tmp_path / "all/photos",), tmp_path / "all/model", tmp_path / "selection.json", tmp_path / "all/index")
    encode.main(args)
    here = (tmp_path / "all").rename(tmp_path / "moved")
    query = draw(tmp_path / "query.png", 400)
    capsys.readouterr()
    search_command.main(search_command.Args((query,), here / "index", top=6, grid=None))
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:-1]]
    paths = find_pictures([here / "photos"])
    differing = codes_of(here / "model", paths)[:, 1:13] != codes_of(here / "model", [query])[:, 1:13]
    order = np.argsort(differing.sum(axis=1), kind="stable")
    assert lines == [[str(differing[row].sum()), str(paths[row])] for row in order]


@pytest.mark.parametrize("chunk", [2, 512])
def test_a_picture_that_cannot_be_read_costs_nothing_that_was_added_before(model, photos, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(encode, "CHUNK", chunk)
    (photos / "deep" / "er" / "5.png").write_text("no picture")  # the last of six
    said = "nothing was written" if chunk == 512 else "the index has 4 pictures more"
    with pytest.raises(ValueError, match=rf"5\.png is no image.*\({said}\); or give --on-error skip"):
        encode.main(Args((photos,), model, index=tmp_path / "index", text=tmp_path / "codes.txt"))
    assert not (tmp_path / "codes.txt").exists()
    assert (tmp_path / "index").exists() == (chunk == 2)
    if chunk == 2:
        assert len(Index(tmp_path / "index")) == 4


def test_what_is_gone_from_a_folder_leaves_the_index_as_the_folder_is_encoded_again(model, photos, tmp_path, capsys):
    args = Args((photos,), model, index=tmp_path / "index")
    encode.main(replace(args, pictures=(photos, draw(tmp_path / "elsewhere.png", 600))))
    for gone in (photos / "0.png", photos / "deep" / "er" / "3.png", tmp_path / "elsewhere.png"):
        gone.unlink()
    capsys.readouterr()
    encode.main(args)
    assert "2 entries taken out whose file is gone; " in summary(capsys.readouterr())
    assert sorted(Index(args.index).paths()) == sorted([*find_pictures([photos]), tmp_path / "elsewhere.png"])


def test_renamed_pictures_are_found_under_their_new_names_alone(model, photos, tmp_path, capsys):
    args = Args((photos,), model, index=tmp_path / "index")
    encode.main(args)
    photos.rename(tmp_path / "renamed")
    capsys.readouterr()
    encode.main(replace(args, pictures=(tmp_path / "renamed",)))
    assert "6 outdated entries taken out" in summary(capsys.readouterr())
    index = Index(args.index)
    assert index.paths() == find_pictures([tmp_path / "renamed"])
    np.testing.assert_array_equal(index.unpacked(), codes_of(model, index.paths()))


@pytest.mark.parametrize("chunk", [1, 512])
def test_two_pictures_that_change_places_are_both_found(model, photos, tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(encode, "CHUNK", chunk)
    args = Args((photos,), model, index=tmp_path / "index")
    encode.main(args)
    (photos / "0.png").rename(tmp_path / "held.png")
    (photos / "2.png").rename(photos / "0.png")
    (tmp_path / "held.png").rename(photos / "2.png")
    encode.main(args)
    index = Index(args.index)
    assert sorted(index.paths()) == sorted(find_pictures([photos]))
    np.testing.assert_array_equal(index.unpacked(), codes_of(model, index.paths()))


def test_files_that_have_rested_unchanged_are_not_read_again(model, photos, tmp_path, monkeypatch, capsys):
    for path in find_pictures([photos]):
        os.utime(path, (1e9, 1e9))
    args = Args((photos,), model, index=tmp_path / "index")
    encode.main(args)
    read = []
    sha256 = artifacts.sha256
    monkeypatch.setattr(artifacts, "sha256", lambda path: read.append(Path(path).name) or sha256(path))
    os.utime(photos / "0.png", (2e9, 1e9 + 1))
    encode.main(args)
    assert [name for name in read if name.endswith(".png")] == ["0.png"]
    read.clear()
    encode.main(args)
    assert [name for name in read if name.endswith(".png")] == []
    assert "6 already there by content" in summary(capsys.readouterr())


def test_an_index_of_version_0_1_is_made_anew_with_a_word(model, photos, tmp_path, capsys):
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "index.npz").write_bytes(b"PK")
    encode.main(Args((photos,), model, index=tmp_path / "index"))
    assert "index.npz is of version 0.1 and is not read; index.sqlite is made anew" in capsys.readouterr().err
    assert len(Index(tmp_path / "index")) == 6


@pytest.mark.slow
@pytest.mark.process
def test_a_kill_between_two_chunks_leaves_the_first_and_the_next_run_goes_on(model, photos, tmp_path):
    program = f"""
import os, signal
from pathlib import Path
from hashlib_nb.search import encode
encode.CHUNK, again = 2, encode._encode_chunk
def stop_at_the_third(encoder, pictures, rows, on_error):
    if rows[0] == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return again(encoder, pictures, rows, on_error)
encode._encode_chunk = stop_at_the_third
encode.main(encode.Args((Path({str(photos)!r}),), Path({str(model)!r}), index=Path({str(tmp_path / "index")!r})))
"""
    assert start_python("-c", program, check=False).returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "index").iterdir()] == [FILE]
    assert len(Index(tmp_path / "index")) == 4
    encode.main(Args((photos,), model, index=tmp_path / "index"))
    index = Index(tmp_path / "index")
    assert index.paths() == find_pictures([photos])
    assert index.origin == origin_of(model)
    np.testing.assert_array_equal(index.unpacked(), codes_of(model, index.paths()))


@pytest.mark.process
def test_the_shell_gets_one_sentence_and_status_one(model, tmp_path):
    command = [sys.executable, "-m", "hashlib_nb", "encode", str(tmp_path / "gone.jpg"), "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"error: pictures: {tmp_path / 'gone.jpg'} does not exist; name files or folders of pictures"
    ]
