"""The search page: its answers are those of plain loops, uploads are pictures or a sentence, a browser shows the same.

python -m tests.course.test_demo        # draws figures/06_page.png from the full-size page, with Chromium
"""

from __future__ import annotations

import builtins
import html
import io
import os
import pickle
import re
import struct
import sys
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashlib_nb import artifacts, metrics
from hashlib_nb.course import demo as course_demo
from hashlib_nb.datasets import decode
from hashlib_nb.experiments import results
from hashlib_nb.search import page as demo
from hashlib_nb.search.page import SearchPage, uploads
from hashlib_nb.search.page import html as demo_html
from tests.course.browser import chromium, free_port, needs_chromium, serving
from tests.course.test_notebooks import SMALL

K, N = 9, 60
PARAMETERS = SMALL["06_retrieval_demo"]


def some_codes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A query code [k] with its label [m], database codes [n, k] with theirs, and kept bits; many distances tie."""
    rng = np.random.default_rng(seed)
    labels = np.eye(3, dtype=np.uint8)[rng.integers(0, 3, N + 1)]
    codes = (labels @ rng.integers(0, 2, (3, K)) ^ (rng.random((N + 1, K)) < 0.2)).astype(np.uint8)
    return codes[0], labels[0], codes[1:], labels[1:], rng.permutation(K)[:5]


def distances(code: np.ndarray, bits: np.ndarray, database: np.ndarray) -> np.ndarray:
    return np.array([sum(int(code[bit] != item[bit]) for bit in bits) for item in database])


# answers


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("known", [True, False])
def test_an_answer_is_what_loops_over_the_database_find(seed, known):
    code, label, database, labels, bits = some_codes(seed)
    found = demo.answer(code, bits, database, labels, label if known else None, n=7)
    distance = distances(code, bits, database)
    order = sorted(range(N), key=lambda item: (distance[item], item))[:7]
    assert found.indices.tolist() == order
    assert found.distances.tolist() == distance[order].tolist()
    tied = distance == distance[order[-1]]
    assert (found.tied, found.tied_inside) == (tied.sum(), tied[order].sum())
    assert found.counts.tolist() == [int((distance == d).sum()) for d in range(6)]
    relevant = (labels & label).any(axis=1) if known else np.zeros(N, bool)
    assert found.relevant.tolist() == [int((relevant & (distance == d)).sum()) for d in range(6)]
    if not known:
        assert (found.right, found.precision, found.average_precision) == (None, None, None)
        return
    assert found.right.tolist() == relevant[order].tolist()
    assert found.average_precision == metrics.average_precision(
        code[None, bits], database[:, bits], label[None], labels
    )


@pytest.mark.parametrize("seed", range(4))
def test_the_precision_shown_is_its_mean_over_random_orders_of_the_ties(seed):
    code, label, database, labels, bits = some_codes(seed)
    found = demo.answer(code, bits, database, labels, label, n=7)
    distance, relevant = distances(code, bits, database), (labels & label).any(axis=1)
    rng = np.random.default_rng(seed)
    orders = [np.lexsort((rng.random(N), distance))[:7] for _ in range(20_000)]
    drawn = np.cumsum(relevant[np.array(orders)], axis=1) / np.arange(1, 8)
    np.testing.assert_allclose(found.precision, drawn.mean(axis=0), atol=0.015)


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("known", [True, False])
def test_within_a_radius_lies_what_loops_find(radius, known):
    code, label, database, labels, bits = some_codes(1)
    ball = demo.within(code, bits, database, labels, radius, label if known else None)
    distance = distances(code, bits, database)
    inside = [item for item in sorted(range(N), key=lambda item: (distance[item], item)) if distance[item] <= radius]
    assert ball.indices.tolist() == inside
    assert ball.shown.tolist() == labels[inside].sum(axis=0).tolist()
    relevant = int((labels[inside] & label).any(axis=1).sum())
    assert ball.relevant == (relevant if known else None)
    assert ball.precision == (relevant / len(inside) if known and inside else None)


def test_an_empty_ball_has_no_precision():
    code, label, database, labels, bits = some_codes(0)
    far = database.copy()
    far[:, bits] = 1 - code[bits]
    ball = demo.within(code, bits, far, labels, 2, label)
    assert (len(ball.indices), ball.relevant, ball.precision) == (0, 0, None)


@pytest.mark.parametrize("n_bits", [1, 2, 5, 9])
def test_average_precision_without_a_bit_is_that_of_codes_which_lack_it(n_bits):
    code, label, database, labels, _ = some_codes(2)
    bits = np.random.default_rng(n_bits).permutation(K)[:n_bits]
    found = demo.average_precision_without(code, bits, database, labels, label)
    for place, bit in enumerate(bits):
        rest = bits[bits != bit]
        pair = code[None, rest], database[:, rest]
        if not len(rest):  # everything is at one distance then
            pair = np.zeros((1, 1), np.uint8), np.zeros((N, 1), np.uint8)
        assert found[place] == pytest.approx(metrics.average_precision(*pair, label[None], labels)[0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n": 0}, "n is 0; the database has 60 items"),
        ({"n": N + 1}, f"n is {N + 1}; the database has 60 items"),
        ({"bits": [1, 1]}, "bits"),
        ({"bits": [K]}, "bits"),
        ({"code": np.zeros(K + 1, np.uint8)}, f"{K + 1}"),
        ({"label": np.zeros(3, np.uint8)}, "no query shares a concept"),
    ],
)
def test_an_answer_that_cannot_be_given_is_refused_in_a_sentence(change, sentence):
    code, label, database, labels, bits = some_codes(0)
    arguments = {"code": code, "bits": bits, "label": label, "n": 5} | change
    with pytest.raises(ValueError, match=sentence):
        demo.answer(database_codes=database, database_labels=labels, **arguments)


@pytest.mark.parametrize(
    ("radius", "bits", "sentence"), [(-1, [0, 1], "radius is -1"), (1, [0, K], "bits"), (1, [0, 0], "bits")]
)
def test_a_ball_that_cannot_be_drawn_is_refused_in_a_sentence(radius, bits, sentence):
    code, _, database, labels, _ = some_codes(0)
    with pytest.raises(ValueError, match=sentence):
        demo.within(code, bits, database, labels, radius)


# uploads

PHOTO = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8).repeat(40, 0).repeat(40, 1)
"""240 x 400 pixels in color."""
SHAPES = {"gray, 28 pixels": (28, 28, 1), "color, 256 pixels": (256, 256, 3)}


def file_of(picture: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return file_of(Image.fromarray(PHOTO), "JPEG", exif=exif)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a large picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


RGB = Image.fromarray(PHOTO)
GOOD = {
    "PNG": file_of(RGB, "PNG"),
    "JPEG": file_of(RGB, "JPEG"),
    "progressive JPEG": file_of(RGB, "JPEG", progressive=True),
    "gray JPEG": file_of(RGB.convert("L"), "JPEG"),
    "CMYK JPEG": file_of(RGB.convert("CMYK"), "JPEG"),
    "gray PNG": file_of(RGB.convert("L"), "PNG"),
    "palette PNG": file_of(RGB.convert("P"), "PNG"),
    "PNG of one bit": file_of(RGB.convert("1"), "PNG"),
    "PNG with alpha": file_of(RGB.convert("RGBA"), "PNG"),
    "gray PNG with alpha": file_of(RGB.convert("LA"), "PNG"),
    "JPEG on its side": turned(6),
    "one pixel": file_of(RGB.resize((1, 1)), "PNG"),
    "very wide": file_of(RGB.resize((5000, 1)), "PNG"),
    "several frames": file_of(RGB, "PNG", save_all=True, append_images=[RGB.rotate(90), RGB.rotate(180)]),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", GOOD)
def test_pngs_and_jpegs_of_every_kind_become_pictures_like_the_datasets(name, shape):
    upload = demo.read_upload(GOOD[name], shape)
    assert (upload.image.shape, upload.image.dtype) == (shape, np.uint8)
    assert upload.shown.shape[2] == 3
    assert max(upload.shown.shape) <= uploads.THUMBNAIL


@pytest.mark.parametrize("name", ["PNG", "JPEG", "gray JPEG", "CMYK JPEG", "palette PNG", "JPEG on its side"])
def test_an_upload_is_what_the_file_would_be_in_a_dataset_of_files(name, tmp_path):
    (tmp_path / "picture").write_bytes(GOOD[name])
    np.testing.assert_array_equal(demo.read_upload(GOOD[name], (256, 256, 3)).image, decode(tmp_path / "picture", 256))


def test_a_picture_of_the_size_comes_back_as_it_is():
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(
        demo.read_upload(file_of(Image.fromarray(pixels), "PNG"), (28, 28, 1)).image[..., 0], pixels
    )


def test_gray_of_16_bits_keeps_its_high_bytes():
    pixels = np.random.default_rng(2).integers(0, 2**16, (28, 28), dtype=np.uint16)
    found = demo.read_upload(file_of(Image.fromarray(pixels), "PNG"), (28, 28, 1)).image[..., 0]
    np.testing.assert_array_equal(found, pixels >> 8)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_become_white(mode):
    black = Image.new(mode, (28, 28), 0)  # and wholly transparent
    assert demo.read_upload(file_of(black, "PNG"), (28, 28, 1)).image.min() == 255


def test_exif_turns_the_picture():
    upright = demo.read_upload(GOOD["JPEG"], (256, 256, 3)).shown
    found = demo.read_upload(turned(6), (256, 256, 3)).shown  # 6: the camera was turned to the left
    assert found.shape[:2] == upright.shape[1::-1]
    assert np.abs(found.astype(int) - np.rot90(upright, -1)).mean() < 3


class Intruder:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


BAD = {
    "empty": (b"", "is empty; give a PNG or JPEG"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "no PNG or JPEG"),
    "HTML": (b"<!DOCTYPE html><script>alert(1)</script>", "no PNG or JPEG"),
    "pickle": (pickle.dumps(Intruder()), "no PNG or JPEG"),
    **{kind: (file_of(RGB, kind), "no PNG or JPEG") for kind in ("GIF", "BMP", "TIFF", "WEBP", "PDF")},
    "half a JPEG": (GOOD["JPEG"][: len(GOOD["JPEG"]) // 2], "is damaged"),
    "half a PNG": (GOOD["PNG"][: len(GOOD["PNG"]) // 2], "is damaged"),
    "the first bytes": (GOOD["PNG"][:20], "is damaged"),
    "the signature alone": (GOOD["PNG"][:8], "no PNG or JPEG"),
    "too large": (GOOD["PNG"] + bytes(uploads.MOST_BYTES), "has 8.0 MB; give a picture of at most 8 MB"),
    "many pixels": (png_that_claims(8_000, 8_000), "8,000 x 8,000 pixels; give one of at most 50,000,000"),
    "bomb": (png_that_claims(60_000, 60_000), "far too many pixels; give one of at most 50,000,000"),
    "promises pixels": (png_that_claims(7_000, 7_000), "is damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused_in_a_sentence_and_runs_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, sentence = BAD[name]
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        demo.read_upload(content, (28, 28, 1))
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@given(st.sampled_from(["PNG", "JPEG on its side", "palette PNG"]), st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_a_picture_or_a_sentence(name, data):
    content = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert demo.read_upload(bytes(content), (28, 28, 1)).image.shape == (28, 28, 1)
    except ValueError as refused:
        assert re.search("is damaged|no PNG or JPEG|pixels; give one", str(refused))  # noqa: PT017 - or it is none


def test_nothing_of_an_upload_touches_the_disk(monkeypatch):
    def refuse(*arguments, **_):
        raise AssertionError(f"opens {arguments}")

    demo.read_upload(GOOD["PNG"], (28, 28, 1))  # Pillow has loaded its readers
    demo.read_upload(GOOD["JPEG"], (28, 28, 1))
    for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
        monkeypatch.setattr(module, name, refuse)
    demo.read_upload(GOOD["PNG"], (28, 28, 1))
    demo.read_upload(GOOD["JPEG"], (28, 28, 1))


# HTML


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("shirt.png", "shirt.png"),
        ("a\x1b[31m\n\u202egnp.exe", "a\ufffd[31m\ufffd\ufffdgnp.exe"),
        ("x" * 100, "x" * 30 + "\u2026" + "x" * 30),
    ],
)
def test_names_of_files_are_shown_without_what_steers_the_display(name, shown):
    assert demo_html.printable(name) == shown


def test_names_are_escaped_wherever_they_stand():
    evil = "<img src=x onerror=alert(1)>\"'"
    code, label, database, labels, bits = some_codes(0)
    answer = demo.answer(code, bits, database, labels, label, n=2)
    ball = demo.within(code, bits, database, labels, 5, label)
    images = np.zeros((2, 4, 4, 1), np.uint8)
    made = [
        demo_html.figure(images[0], evil),
        demo_html.alert(evil),
        demo_html.found(answer, images, [evil, evil], np.array([True, False])),
        demo_html.ball(ball, answer, [evil] * 3, [demo_html.figure(images[0], evil)]),
        demo_html.title(evil, 1, 2, 3),
    ]
    for text in made:
        assert "<img src=x" not in text
        assert html.escape(evil) in text


@pytest.mark.parametrize("shape", [(28, 28, 1), (300, 200, 3), (4, 4, 3)])
def test_a_picture_on_the_page_is_a_png_of_at_most_112_pixels(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = Image.open(io.BytesIO(demo_html.png(pixels)))
    assert found.format == "PNG"
    assert max(found.size) == min(112, max(shape))
    if max(shape) <= 112:
        np.testing.assert_array_equal(np.asarray(found).reshape(shape), pixels)


def test_the_barcode_has_a_bar_for_each_bit_in_use_and_says_them():
    drawn = demo_html.code(np.array([1, 0, 1, 1, 0]), np.array([0, 1, 3]))
    assert (drawn.count(demo_html.DARK), drawn.count(demo_html.LIGHT)) == (2, 1)
    assert 'aria-label="Barcode of the 3 bits in use: 101"' in drawn


# widgets, without a browser


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLIB_NB_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def collection(home) -> demo.Collection:
    """What notebook 06 loads with its small parameters."""
    small = dict(PARAMETERS)
    return course_demo.load(results.Args(lengths=(small.pop("bits"),), seeds=(0,), **small))


@pytest.fixture
def page(collection) -> SearchPage:
    return SearchPage(collection)


def upload(page: SearchPage, content: bytes, name: str = "a.png") -> None:
    """Hand over a file as the browser does."""
    file = {"name": name, "content": memoryview(content), "type": "image/png", "size": len(content)}
    page.upload.set_state({"value": [file | {"last_modified": 0}]})


def text_of(page: SearchPage, area: str) -> str:
    return re.sub(r"<[^>]*>", "", page.areas[area].value)


def test_the_collection_holds_four_choices_and_an_encoder_that_makes_its_codes(collection):
    k, p = PARAMETERS["code_length"], PARAMETERS["bits"]
    lengths = {name: len(set(bits.tolist())) for name, bits in collection.choices.items()}
    assert lengths == {"PPO": p, "greedy": p, "random": p, "all bits": k}
    made = collection.encoder.encode(collection.splits.query.images)
    np.testing.assert_array_equal(made, collection.query_codes)


def test_what_the_network_sees_of_a_picture_of_its_size_is_the_picture(collection):
    image = collection.splits.query.images[3]
    np.testing.assert_array_equal(demo.seen(collection.encoder, image), image)


@pytest.mark.parametrize("method", ["PPO", "greedy", "random", "all bits"])
def test_the_page_answers_with_the_bits_that_are_chosen(method, page, collection):
    page.number.value, page.bits.value = 7, method
    bits = np.sort(collection.choices[method])
    splits = collection.splits
    wanted = demo.answer(
        collection.query_codes[7], bits, collection.database_codes, splits.database.labels, splits.query.labels[7]
    )
    assert page.answer.indices.tolist() == wanted.indices.tolist()
    assert f"P@10 = {wanted.precision[-1]:.3f}" in text_of(page, "found")
    assert f"{wanted.tied:,} picture" in text_of(page, "found")
    assert f"{len(bits)} of {len(collection.query_codes[7])}" in text_of(page, "code")
    assert page.radius.max == len(bits)


def test_another_picture_is_none_that_was_there_before(page):
    seen = [page.number.value]
    for _ in range(30):
        page.another.click()
        seen.append(page.number.value)
    assert len(set(seen)) == len(seen)


def test_another_picture_after_an_upload_is_the_one_before_it(page):
    upload(page, GOOD["PNG"])
    page.another.click()
    assert page.number.value == 0
    assert "It shows" in text_of(page, "query")


@pytest.mark.parametrize("radius", [0, 1, 5])
def test_the_radius_shows_what_lies_within(radius, page, collection):
    page.radius.value = radius
    splits = collection.splits
    within = demo.within(
        collection.query_codes[0], page.used, collection.database_codes, splits.database.labels, radius,
        splits.query.labels[0],
    )  # fmt: skip
    sentence = f"{len(within.indices):,} of 4,000 pictures lie within radius {radius}"
    assert sentence in text_of(page, "ball")
    if within.precision is not None:
        assert f"{within.relevant:,} of them relevant: precision {within.precision:.3f}" in text_of(page, "ball")


def test_dropping_a_bit_searches_without_it_and_says_what_changed(page):
    bit = int(page.kept[2])
    before = page.answer
    page.drop.value = bit
    assert page.used.tolist() == [each for each in page.kept if each != bit]
    new = len(set(page.answer.indices.tolist()) - set(before.indices.tolist()))
    said = text_of(page, "dropped")
    assert f"Without it {new} of the 10 are new" in said
    assert f"average precision from {before.average_precision:.3f} to {page.answer.average_precision:.3f}" in said
    assert text_of(page, "found").count("new: ") == new
    page.bits.value = "all bits"
    assert page.drop.label == "none"
    assert page.answer is page.full


def test_an_upload_is_encoded_searched_with_and_forgotten(page, collection):
    picture = collection.splits.query.images[11]
    upload(page, file_of(Image.fromarray(picture[..., 0]), "PNG"), "my <b>shirt</b>.exe")
    assert page.upload.value == ()
    assert page.answer.code.tolist() == collection.query_codes[11][page.kept].tolist()
    assert page.answer.precision is None
    assert "my &lt;b&gt;shirt&lt;/b&gt;.exe" in page.areas["query"].value
    assert "Say what the picture shows" in text_of(page, "query")
    page.label.value = int(collection.splits.query.labels[11].argmax())
    number = page.answer.precision[-1]
    page.number.value = 11
    assert page.answer.precision[-1] == number
    upload(page, GOOD["PNG"])
    assert page.label.label == "(not said)"  # nobody has said what the new picture shows


def test_the_negative_of_an_upload_is_searched_with(page, collection):
    picture = collection.splits.query.images[11]
    upload(page, file_of(Image.fromarray(255 - picture[..., 0]), "PNG"))
    page.negative.value = True
    assert page.answer.code.tolist() == collection.query_codes[11][page.kept].tolist()


def test_a_refused_upload_leaves_the_page_as_it_was(page):
    before = page.areas["found"].value
    upload(page, BAD["SVG"][0], "<i>evil.png")
    assert "&lt;i&gt;evil.png was refused: the file holds no PNG or JPEG picture" in page.areas["refused"].value
    assert page.upload.value == ()
    assert page.areas["found"].value == before
    upload(page, GOOD["JPEG"])
    assert "refused" not in text_of(page, "refused")


def test_why_there_is_no_answer_is_said_on_the_page(page, monkeypatch):
    def gone(*_, **__):
        raise FileNotFoundError("the picture <a.jpg> does not exist in photos.")

    monkeypatch.setattr(demo, "answer", gone)
    page.another.click()
    assert text_of(page, "refused") == "There is no answer: the picture &lt;a.jpg&gt; does not exist in photos."
    monkeypatch.undo()
    page.another.click()
    assert text_of(page, "refused") == ""


def test_a_query_of_a_class_that_the_database_lacks_has_no_precision(collection):
    splits = collection.splits
    labels = splits.database.labels * (1 - splits.query.labels[0])
    poorer = replace(splits, database=replace(splits.database, labels=labels))
    page = SearchPage(replace(collection, splits=poorer))
    assert page.answer.precision is None
    assert "The database holds nothing of it" in text_of(page, "query")
    assert splits.query.labels[0].argmax() not in dict(page.label.options).values()


def test_of_a_single_bit_none_can_be_dropped(collection):
    single = replace(collection, choices={"PPO": collection.choices["PPO"][:1]})
    page = SearchPage(single)
    assert len(page.drop.options) == 1
    assert "none can be dropped" in text_of(page, "dropped")


def test_what_cannot_be_served_is_said_before_anything_is_made(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="port is 70000; give a number in 1..65535"):
        course_demo.Args(port=70_000)
    with pytest.raises(ValueError, match="parameters has 'bitz=3'"):
        course_demo.main(course_demo.Args(("bitz=3",)))
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="voila, which serves the page, is not installed"):
        course_demo.main(course_demo.Args())
    assert list(tmp_path.iterdir()) == []


# in a browser


@contextmanager
def served(home: Path, *parameters: str) -> Iterator[str]:
    """The page's address, served as `make demo` does."""
    (home / "runs").mkdir(exist_ok=True)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "hashlib_nb", "demo", "--port", str(port), "--no-browser"]
    command += ["--parameters", *parameters] if parameters else []
    ready = f"{address}/voila/static/voila.js"  # to ask for the page itself would start a kernel
    with serving(command, ready, home / "runs" / "demo.log", HASHLIB_NB_HOME=str(home), PYTHONWARNINGS="ignore"):
        yield address


@pytest.fixture(scope="module")
def address(home, collection) -> Iterator[str]:
    with served(home, *(f"{name}={value}" for name, value in PARAMETERS.items())) as address:
        yield address


@pytest.fixture(scope="module")
def visitor(address):
    """The page in a browser, as a visitor finds it; what it asks for and complains about is noted."""
    with chromium(viewport={"width": 1100, "height": 900}) as page:
        page.asked, page.faults = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(address, wait_until="commit")
        page.get_by_role("heading", name="The nearest").wait_for(timeout=90_000)
        yield page


def choose(visitor, file: Path) -> None:
    """Upload a file as somebody does who presses the button and picks it."""
    with visitor.expect_file_chooser() as chooser:
        visitor.get_by_role("button", name="Upload").click()
    chooser.value.set_files(file)


def stored(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def query_of(visitor, number: int) -> None:
    field = visitor.get_by_label("Query picture")
    field.fill(str(number))
    field.press("Enter")


def sees(visitor, text: str) -> None:
    visitor.locator(".hnb", has_text=text).wait_for(timeout=20_000)


def refusal(visitor) -> str:
    alert = visitor.get_by_role("alert").filter(has_text="refused")
    alert.wait_for(timeout=20_000)
    return alert.inner_text()


@needs_chromium
@pytest.mark.slow
@pytest.mark.xdist_group("search page")
def test_the_page_shows_what_the_package_returns_as_bits_radius_and_drop_are_changed(visitor, page):
    page.number.value = 8
    query_of(visitor, 8)
    for method in ("all bits", "PPO", "random", "greedy"):
        page.bits.value = method
        visitor.get_by_label("Bits kept").select_option({name: text for text, name in page.bits.options}[method])
        for area in ("found", "ball", "code"):
            for sentence in re.findall("<p>(.*?)</p>", re.sub("</?code>", "", page.areas[area].value)):
                sees(visitor, html.unescape(sentence))
    found = visitor.locator(".hnb li img").evaluate_all("images => images.map(image => [image.alt, image.src])")
    assert [list(pair) for pair in re.findall('alt="(.*?)" src="(.*?)"', page.areas["found"].value)] == found
    bit = int(page.kept[1])
    page.drop.value = bit
    visitor.get_by_label("Drop one bit").select_option(f"bit {bit}")
    sees(visitor, re.findall("<p>(.*?)</p>", page.areas["dropped"].value)[-1])
    sees(visitor, re.findall("<p>(.*?)</p>", page.areas["found"].value)[-1])
    page.drop.label = "none"
    visitor.get_by_label("Drop one bit").select_option("none")
    sees(visitor, "Choose a bit to search without it.")
    assert visitor.get_by_label("Drop one bit").input_value() == "none"


@needs_chromium
@pytest.mark.slow
@pytest.mark.xdist_group("search page")
def test_the_slider_can_be_moved_by_keys_and_has_a_name(visitor, page):
    handle = visitor.locator(".hnb .noUi-handle")
    handle.focus()
    assert handle.get_attribute("aria-label") == "Radius"
    handle.press("Home")
    sees(visitor, "lie within radius 0")
    for radius in (1, 2, 3):
        handle.press("ArrowRight")
        sees(visitor, f"lie within radius {radius}")
    query_of(visitor, 5)
    visitor.get_by_label("Bits kept").select_option("PPO, 5 of 12")
    page.number.value, page.radius.value = 5, 3
    sees(visitor, re.search("<p>(.*?)</p>", page.areas["ball"].value)[1])


@needs_chromium
@pytest.mark.slow
@pytest.mark.xdist_group("search page")
def test_a_good_file_is_searched_with_and_bad_ones_are_refused_while_the_page_goes_on(
    visitor, page, collection, tmp_path
):
    picture = file_of(Image.fromarray(collection.splits.query.images[11][..., 0]), "PNG")
    choose(visitor, stored(tmp_path, "shirt <b>11.png", picture))
    sees(visitor, "uploaded: shirt <b>11.png")
    visitor.get_by_label("Bits kept").select_option("all bits, 12 of 12")
    upload(page, picture)
    page.bits.value = "all bits"
    sees(visitor, demo_html.ties(page.answer))
    choose(visitor, stored(tmp_path, "drawing.png", BAD["SVG"][0]))
    assert refusal(visitor).startswith("drawing.png was refused: the file holds no PNG or JPEG picture")
    choose(visitor, stored(tmp_path, "half.jpg", GOOD["JPEG"][:3000]))
    sees(visitor, "half.jpg was refused: the picture is damaged")
    query_of(visitor, 3)
    page.number.value = 3
    sees(visitor, demo_html.precision(page.answer))
    assert not visitor.get_by_role("alert").filter(has_text="refused").count()


@needs_chromium
@pytest.mark.slow
@pytest.mark.xdist_group("search page")
def test_a_file_of_30_mb_is_refused_before_it_is_sent_and_by_the_page_if_it_is_sent_all_the_same(visitor, tmp_path):
    large = stored(tmp_path, "large.png", GOOD["PNG"] + bytes(30_000_000))
    choose(visitor, large)
    assert refusal(visitor) == "large.png was refused: the file has 30.0 MB; give a picture of at most 8 MB"
    visitor.evaluate("window.hashlibMostBytes = Infinity")
    choose(visitor, large.rename(tmp_path / "larger.png"))
    assert refusal(visitor) == "larger.png was refused: the file has 30.0 MB; give a picture of at most 8 MB"
    visitor.evaluate(f"window.hashlibMostBytes = {uploads.MOST_BYTES}")
    query_of(visitor, 4)
    visitor.get_by_role("alert").filter(has_text="refused").wait_for(state="detached")


@needs_chromium
@pytest.mark.slow
@pytest.mark.xdist_group("search page")
def test_the_page_shows_no_lesson_asks_nobody_else_and_names_its_pictures(visitor, address):
    shown = visitor.locator("body").inner_text()
    assert shown.strip().startswith("Search pictures by their hash codes")
    assert "Takeaways" not in shown
    assert "loaded artifacts" not in shown
    assert visitor.title() == "Search pictures by their hash codes"
    elsewhere = [url for url in visitor.asked if not url.startswith((address, "data:", "ws://127.0.0.1"))]
    assert all("fontawesome" in url for url in elsewhere)  # Voila's template asks for icons, which the page forbids
    assert visitor.evaluate("performance.getEntriesByType('resource').filter(each => each.transferSize && "
                            "!each.name.startsWith(location.origin)).length") == 0  # fmt: skip
    assert visitor.locator(".hnb img:not([alt]), .hnb img[alt=''], .hnb svg:not([aria-label])").count() == 0
    assert visitor.faults == []


@needs_chromium
@pytest.mark.slow
@pytest.mark.xdist_group("search page")
def test_nothing_has_to_be_scrolled_sideways_on_a_phone(visitor):
    visitor.set_viewport_size({"width": 390, "height": 800})
    visitor.wait_for_timeout(300)
    wide = "each => each.getBoundingClientRect().right > innerWidth + 1"
    assert (
        visitor.evaluate(f"[...document.querySelectorAll('.hnb *')].filter({wide}).map(each => each.outerHTML)") == []
    )
    visitor.set_viewport_size({"width": 1100, "height": 900})


@pytest.mark.slow
@pytest.mark.xdist_group("search page")
def test_the_server_gives_out_no_file_no_source_and_nothing_under_another_name(address, home):
    def status(path: str, host: str = "") -> int:
        request = urllib.request.Request(address + path, headers={"Host": host} if host else {})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code

    (home / "runs" / "secret.png").write_bytes(GOOD["PNG"])
    for path in ("/voila/files/secret.png", "/voila/files/06_retrieval_demo.ipynb", "/runs/06_retrieval_demo.ipynb"):
        assert status(path) in (403, 404), path
    assert status("/", host="elsewhere.example") == 403
    with urllib.request.urlopen(address, timeout=90) as reply:
        assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
        assert b"import hashlib_nb" not in reply.read()


def draw_page() -> None:
    """Serve the full-size page and save what a visitor sees, with one bit dropped, as figures/06_page.png."""
    home = artifacts.project_root()
    with served(home) as address, chromium(viewport={"width": 900, "height": 1450}) as visitor:
        visitor.goto(address, wait_until="commit")
        visitor.get_by_role("heading", name="The nearest").wait_for(timeout=90_000)
        query_of(visitor, 8)
        sees(visitor, "It shows: Coat")
        visitor.wait_for_timeout(500)
        visitor.screenshot(path=home / "figures" / "06_page.png")


if __name__ == "__main__":
    draw_page()
