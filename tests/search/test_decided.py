"""From stage 2 to answers with thermometer bits: symmetric and decided queries, against brute force on logits."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashlib_nb import artifacts, candidates, datasets, encoder, ppo, selectors, thermometer
from hashlib_nb.search import Index, classes_of, encode, encode_pictures, find_pictures, load_encoder
from hashlib_nb.search import __main__ as search
from hashlib_nb.search.index import FILE
from tests.helpers import refusal, run_main

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("decided")]

K, P, SIZE = 12, 8, 16
GROUNDS = {"clay": (150, 90, 60), "grass": (90, 140, 70), "water": (70, 100, 150)}
"""Classes of pictures, and the colors that theirs lie around."""


def draw(path: Path, color: tuple[int, ...], rng: np.random.Generator) -> Path:
    """A picture of noise around a color that is not far from those of the other classes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.normal(rng.normal(color, 35), 40, (24, 24, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """Photos of three classes, the encoder that stage 2 fits to some, and what greedy and PPO keep of its bits."""
    world = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    for name, color in GROUNDS.items():
        for number in range(24):
            draw(world / "photos" / name / f"{number}.png", color, rng)
        draw(world / "asked" / f"{name}.png", color, rng)
    splits = datasets.load("folder", root=world / "photos", train_per_class=0.6, size=SIZE)
    codes = np.random.default_rng(1).integers(0, 2, (3, K), np.uint8)
    how = {"arch": "alexnet_small", "epochs": 10, "device": "cpu", "recipe": replace(encoder.SMALL, batch_size=8)}
    targets = codes[splits.train.labels.argmax(axis=1)]
    made = encoder.load_or_encode(world / "model", splits, targets, folds=2, progress=False, **how)
    pool = candidates.of_arrays(made.arrays)
    chosen = selectors.select(None, None, P, method="greedy", reward=pool.reward())
    pool.named(chosen).save(world / "greedy.json")
    options = ("--n-bits", P, "--total-episodes", 32, "--hidden", 8, "--device", "cpu", "--no-progress")
    run_main(ppo, "--codes", world / "model" / "codes.npz", *options, "--out", world / "ppo.json")
    return world


def logits_of(world: Path, paths: list[Path]) -> np.ndarray:
    """Outputs of the encoder without any of what is tested here: files decoded as datasets decode them."""
    return encoder.Encoder.load(world / "model", device="cpu").logits(datasets.Pictures(paths, size=SIZE))


def kept(world: Path, method: str) -> dict:
    return json.loads((world / f"{method}.json").read_text())


def brute_force(world: Path, method: str, photos: list[Path], asked: list[Path], *, decided: bool) -> np.ndarray:
    """Distances int [asked, photos] on columns of all thermometer bits, or of the codes of the likeliest classes."""
    ids = kept(world, method)["bits"]
    database = thermometer.bits(logits_of(world, photos))[:, ids]
    queries = thermometer.bits(logits_of(world, asked))[:, ids]
    if decided:
        arrays, _ = artifacts.load_npz(world / "model" / "codes.npz")
        codes = arrays["class_codes"].astype(float)
        likeliest = (logits_of(world, asked).astype(float) @ codes.T).argmax(axis=1)
        queries = np.repeat(arrays["class_codes"], len(thermometer.LEVELS), axis=1)[likeliest][:, ids]
    return (queries[:, None] != database).sum(axis=2)


def lines_of(capsys) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if " codes of " not in line]


@pytest.fixture(scope="module", params=["greedy", "ppo"])
def indexed(request, world) -> str:
    """The method that chose the bits of an index of all photos, which lies beside them."""
    method = request.param
    encode.main(encode.Args((world / "photos",), world / "model", world / f"{method}.json", world / f"{method}-index"))
    return method


@pytest.mark.parametrize("decided", [False, True])
def test_answers_are_those_of_brute_force_on_thermometer_bits(world, indexed, decided, capsys):
    photos, asked = find_pictures([world / "photos"]), find_pictures([world / "asked"])
    search.main(search.Args(tuple(asked), world / f"{indexed}-index", top=30, grid=None, decided=decided))
    lines = iter(lines_of(capsys))
    for file, distances in zip(asked, brute_force(world, indexed, photos, asked, decided=decided), strict=True):
        said = next(lines)
        assert said.startswith(f"query {file}{', decided' if decided else ''}: the nearest 30 of {len(photos)}; ")
        order = np.argsort(distances, kind="stable")[:30]
        found = [tuple(next(lines).split("  ")) for _ in range(30)]
        assert found == [(str(distances[row]), str(photos[row])) for row in order]
    assert [*lines] == []


def test_codes_in_an_index_are_columns_of_all_thermometer_bits(world, indexed):
    index = Index(world / f"{indexed}-index")
    everything = thermometer.bits(logits_of(world, index.paths()))
    ids = kept(world, indexed)["bits"]
    np.testing.assert_array_equal(index.unpacked(), everything[:, ids])
    assert index.origin.outputs == tuple(each // len(thermometer.LEVELS) for each in ids)
    assert len({*index.origin.thresholds}) > 1


def test_a_decided_query_is_another_question_than_the_pictures_own_code(world, indexed):
    """Else nothing above would tell the two apart."""
    photos, asked = find_pictures([world / "photos"]), find_pictures([world / "photos"])
    both = [brute_force(world, indexed, photos, asked, decided=decided) for decided in (False, True)]
    assert (both[0] != both[1]).any(axis=1).mean() > 0.1


def test_the_labels_of_query_and_database_pictures_decide_nothing(world, indexed, tmp_path, capsys):
    shutil.copytree(world / "model", tmp_path / "model")
    arrays, meta = artifacts.load_npz(tmp_path / "model" / "codes.npz")
    rng = np.random.default_rng(2)
    for part in ("query", "database"):
        arrays[f"{part}_labels"] = arrays[f"{part}_labels"][rng.permutation(len(arrays[f"{part}_labels"]))]
    artifacts.save_npz(tmp_path / "model" / "codes.npz", arrays, **meta)
    answers = []
    for model in (world / "model", tmp_path / "model"):
        pictures = (world / "asked", world / "photos" / "water")
        args = search.Args(pictures, world / f"{indexed}-index", grid=None, decided=True, model=model)
        search.main(args)
        answers.append(lines_of(capsys))
    assert answers[0] == answers[1]


def test_python_makes_the_same_decided_codes(world, indexed):
    asked, origin = find_pictures([world / "asked"]), Index(world / f"{indexed}-index").origin
    fitted, classes = load_encoder(world / "model", "cpu"), classes_of(world / "model")
    made = encode_pictures(fitted, asked, origin.outputs, origin.thresholds, classes=classes, progress=False)
    rows = {code.tobytes() for code in classes.codes[:, list(origin.outputs)]}
    assert {code.tobytes() for code in made.codes} <= rows
    np.testing.assert_array_equal(made.codes, thermometer.decide(logits_of(world, asked), classes, origin.outputs))


def test_bits_at_one_half_are_the_codes_that_they_always_were(world, tmp_path, capsys):
    """The thesis' setting: `levels=(.5,)` in a selection, ids alone, and `Encoder.encode`."""
    photos, outputs = find_pictures([world / "photos"]), [7, 0, 3]
    plain, asks = {"bits": outputs}, {"outputs": outputs, "thresholds": [0.0] * 3, "n_candidates": K}
    for name, about in {"plain": plain, "asks": plain | asks}.items():
        artifacts.save_json(tmp_path / f"{name}.json", about)
        encode.main(encode.Args((world / "photos",), world / "model", tmp_path / f"{name}.json", tmp_path / name))
        assert f"encoded {len(photos)} pictures into 3 of {K} bits" in capsys.readouterr().err
    codes = encoder.Encoder.load(world / "model", device="cpu").encode(datasets.Pictures(photos, size=SIZE))
    for name in ("plain", "asks"):
        np.testing.assert_array_equal(Index(tmp_path / name).unpacked(), codes[:, outputs])
    assert Index(tmp_path / "plain").origin == Index(tmp_path / "asks").origin


def test_a_threshold_is_compared_in_float32(world, tmp_path):
    """Thresholds at a picture's own logits, and the next float32 above: a bit is 1 at the first and 0 at the second."""
    (photo,) = find_pictures([world / "photos" / "clay" / "0.png"])
    logits = logits_of(world, [photo])[0]
    above = np.nextafter(logits, np.float32(np.inf))
    about = {"bits": [*range(2 * K)], "outputs": [*range(K)] * 2, "thresholds": [*logits.tolist(), *above.tolist()]}
    artifacts.save_json(tmp_path / "selection.json", about)
    files = (tmp_path / name for name in ("selection.json", "index", "codes.npz"))
    args = encode.Args((photo,), world / "model", *files)
    encode.main(args)
    expected = [[1] * K + [0] * K]
    np.testing.assert_array_equal(Index(tmp_path / "index").unpacked(), expected)
    np.testing.assert_array_equal(artifacts.load_npz(tmp_path / "codes.npz")[0]["codes"], expected)
    encode.main(args)
    assert len(Index(tmp_path / "index")) == 1


# --- what cannot be ---------------------------------------------------------------------------------------------------


def test_candidates_of_other_levels_are_not_added(world, indexed, tmp_path):
    other = kept(world, indexed)
    other["thresholds"] = [threshold + 0.25 for threshold in other["thresholds"]]
    artifacts.save_json(tmp_path / "other.json", other)
    index = world / f"{indexed}-index"
    before = (index / FILE).read_bytes()
    options = (world / "photos", "--model", world / "model", "--index", index)
    said = f"keeps {P} thermometer bits of {K} outputs, not the {P} that are asked for: bit 0 asks for output "
    assert said in refusal(encode, *options, "--selection", tmp_path / "other.json")
    assert f"not the {K} that are asked for; give the selection" in refusal(encode, *options)
    assert (index / FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda codes: codes.unlink(), r"decided queries need class codes, but .*codes\.npz is missing"),
        (lambda codes: _with(codes, encoder=np.array("ab" * 32)), "class codes of another encoder"),
        (lambda codes: _with(codes, class_codes=None), "lacks class_codes"),
        (lambda codes: _with(codes, class_codes=np.zeros((3, K))), "holds no class codes"),
        (lambda codes: _with(codes, beta=np.array(np.nan)), "holds no class codes"),
        (lambda codes: codes.write_bytes(b"PK"), r"codes\.npz is"),
    ],
)
def test_decided_queries_need_the_class_codes_of_their_encoder(world, indexed, tmp_path, spoil, sentence):
    shutil.copytree(world / "model", tmp_path / "model")
    spoil(tmp_path / "model" / "codes.npz")
    options = (world / "asked", "--index", world / f"{indexed}-index", "--model", tmp_path / "model")
    with pytest.raises(ValueError, match=sentence):
        raise ValueError(refusal(search, *options, "--decided", "--grid", tmp_path / "grid.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    run_main(search, *options, "--grid", "None")  # a picture's own code needs none


def _with(path: Path, **changes: np.ndarray | None) -> None:
    arrays, meta = artifacts.load_npz(path)
    arrays = {name: value for name, value in (arrays | changes).items() if value is not None}
    artifacts.save_npz(path, arrays, **meta)


def test_a_code_cannot_be_decided(world, indexed, tmp_path):
    options = ("--index", world / f"{indexed}-index", "--hex", "00", "--decided", "--grid", tmp_path / "grid.png")
    for pictures in ((), (world / "asked",)):
        assert "decided is given with hex '00', a code without the outputs" in refusal(search, *pictures, *options)
    assert [*tmp_path.iterdir()] == []


def test_class_codes_of_another_length_are_refused(world):
    fitted, asked = load_encoder(world / "model", "cpu"), find_pictures([world / "asked"])
    for classes in (thermometer.ClassCodes(np.eye(3, dtype=np.uint8), np.arange(3)), "all"):
        with pytest.raises(ValueError, match=r"classes is .*; give the class codes of the encoder's 12 outputs"):
            encode_pictures(fitted, asked, range(K), classes=classes, progress=False)


def test_an_encoder_that_gives_no_numbers_writes_nothing(world, indexed, tmp_path):
    shutil.copytree(world / "model", tmp_path / "model")
    fitted = encoder.Encoder.load(world / "model", device="cpu")
    for weights in fitted.network.parameters():
        weights.data.fill_(3e38)
    fitted.save(tmp_path / "model")
    options = (world / "asked", "--model", tmp_path / "model", "--selection", world / f"{indexed}.json")
    said = refusal(encode, *options, "--index", tmp_path / "index", "--out", tmp_path / "codes.npz")
    assert "logits that are not finite" in said
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_help_says_whose_word_a_decided_query_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        run_main(search, "--help")
    assert "A decided query is a classifier's word" in capsys.readouterr().out
