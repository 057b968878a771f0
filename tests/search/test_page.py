"""The search page: its answers are those of plain loops, uploads are pictures or a sentence, no name becomes markup."""

from __future__ import annotations

import builtins
import io
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashlib_nb import datasets, encoder, metrics, thermometer
from hashlib_nb.datasets import decode
from hashlib_nb.search import page as search_page
from hashlib_nb.search.page import Choice, Collection, SearchPage, html, uploads, widgets
from hashlib_nb.thermometer import LEVELS, ClassCodes
from tests.search.uploaded import BAD, GOOD, file_of, turned, upload

K, N = 9, 60


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
    found = search_page.answer(code, bits, database, labels, label if known else None, n=7)
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
    found = search_page.answer(code, bits, database, labels, label, n=7)
    distance, relevant = distances(code, bits, database), (labels & label).any(axis=1)
    rng = np.random.default_rng(seed)
    orders = [np.lexsort((rng.random(N), distance))[:7] for _ in range(20_000)]
    drawn = np.cumsum(relevant[np.array(orders)], axis=1) / np.arange(1, 8)
    np.testing.assert_allclose(found.precision, drawn.mean(axis=0), atol=0.015)


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 40])
@pytest.mark.parametrize("known", [True, False])
def test_within_a_radius_lies_what_loops_find(radius, known):
    code, label, database, labels, bits = some_codes(1)
    ball = search_page.within(code, bits, database, labels, radius, label if known else None)
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
    ball = search_page.within(code, bits, far, labels, 2, label)
    assert (len(ball.indices), ball.relevant, ball.precision) == (0, 0, None)


@pytest.mark.parametrize("n_bits", [1, 2, 5, 9])
def test_average_precision_without_a_bit_is_that_of_codes_which_lack_it(n_bits):
    code, label, database, labels, _ = some_codes(2)
    bits = np.random.default_rng(n_bits).permutation(K)[:n_bits]
    found = search_page.average_precision_without(code, bits, database, labels, label)
    for place, bit in enumerate(bits):
        rest = bits[bits != bit]
        pair = code[None, rest], database[:, rest]
        if not len(rest):  # everything is at one distance then
            pair = np.zeros((1, 1), np.uint8), np.zeros((N, 1), np.uint8)
        assert found[place] == pytest.approx(metrics.average_precision(*pair, label[None], labels)[0])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"n": 0}, "n is 0; give a whole number in 1..60"),
        ({"n": N + 1}, f"n is {N + 1}; give a whole number in 1..60"),
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
        search_page.answer(database_codes=database, database_labels=labels, **arguments)


@pytest.mark.parametrize(
    ("radius", "bits", "sentence"), [(-1, [0, 1], "radius is -1"), (1, [0, K], "bits"), (1, [0, 0], "bits")]
)
def test_a_ball_that_cannot_be_drawn_is_refused_in_a_sentence(radius, bits, sentence):
    code, _, database, labels, _ = some_codes(0)
    with pytest.raises(ValueError, match=sentence):
        search_page.within(code, bits, database, labels, radius)


# uploads

SHAPES = {"gray, 28 pixels": (28, 28, 1), "color, 256 pixels": (256, 256, 3)}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", GOOD)
def test_pngs_and_jpegs_of_every_kind_become_pictures_like_the_datasets(name, shape):
    upload = search_page.read_upload(GOOD[name], shape)
    assert (upload.image.shape, upload.image.dtype) == (shape, np.uint8)
    assert upload.shown.shape[2] == 3
    assert max(upload.shown.shape) <= uploads.THUMBNAIL


@pytest.mark.parametrize("name", ["PNG", "JPEG", "gray JPEG", "CMYK JPEG", "palette PNG", "JPEG on its side"])
def test_an_upload_is_what_the_file_would_be_in_a_dataset_of_files(name, tmp_path):
    (tmp_path / "picture").write_bytes(GOOD[name])
    np.testing.assert_array_equal(
        search_page.read_upload(GOOD[name], (256, 256, 3)).image, decode(tmp_path / "picture", 256)
    )


def test_a_picture_of_the_size_comes_back_as_it_is():
    pixels = np.random.default_rng(1).integers(0, 256, (28, 28), dtype=np.uint8)
    np.testing.assert_array_equal(
        search_page.read_upload(file_of(Image.fromarray(pixels), "PNG"), (28, 28, 1)).image[..., 0], pixels
    )


def test_gray_of_16_bits_keeps_its_high_bytes():
    pixels = np.random.default_rng(2).integers(0, 2**16, (28, 28), dtype=np.uint16)
    found = search_page.read_upload(file_of(Image.fromarray(pixels), "PNG"), (28, 28, 1)).image[..., 0]
    np.testing.assert_array_equal(found, pixels >> 8)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_become_white(mode):
    black = Image.new(mode, (28, 28), 0)  # and wholly transparent
    assert search_page.read_upload(file_of(black, "PNG"), (28, 28, 1)).image.min() == 255


def test_exif_turns_the_picture():
    upright = search_page.read_upload(GOOD["JPEG"], (256, 256, 3)).shown
    found = search_page.read_upload(turned(6), (256, 256, 3)).shown  # 6: the camera was turned to the left
    assert found.shape[:2] == upright.shape[1::-1]
    assert np.abs(found.astype(int) - np.rot90(upright, -1)).mean() < 3


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_refused_in_a_sentence_and_runs_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, sentence = BAD[name]
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        search_page.read_upload(content, (28, 28, 1))
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@given(st.sampled_from(["PNG", "JPEG on its side", "palette PNG"]), st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_a_picture_or_a_sentence(name, data):
    content = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert search_page.read_upload(bytes(content), (28, 28, 1)).image.shape == (28, 28, 1)
    except ValueError as refused:
        assert re.search("is damaged|no PNG or JPEG|pixels; give one", str(refused))  # noqa: PT017 - or it is none


def test_nothing_of_an_upload_touches_the_disk(monkeypatch):
    def refuse(*arguments, **_):
        raise AssertionError(f"opens {arguments}")

    search_page.read_upload(GOOD["PNG"], (28, 28, 1))  # Pillow has loaded its readers
    search_page.read_upload(GOOD["JPEG"], (28, 28, 1))
    for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
        monkeypatch.setattr(module, name, refuse)
    search_page.read_upload(GOOD["PNG"], (28, 28, 1))
    search_page.read_upload(GOOD["JPEG"], (28, 28, 1))


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
    assert html.printable(name) == shown


HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "\"'",
    "' onerror='alert(1)",
    "</p></figure><script>",
    "<!--",
    "&lt;b&amp;",
    "{{ 7 * 7 }}",
]


class Parsed(HTMLParser):
    """What a browser makes of HTML: its elements with the names of their attributes, and all text that it shows."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.texts = [], [""]
        self.feed(str(text))
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, [name for name, _ in attributes]))
        self.texts += [*(value or "" for _, value in attributes), ""]

    def handle_endtag(self, tag):
        self.elements.append(f"/{tag}")
        self.texts.append("")

    def handle_data(self, data):
        self.texts[-1] += data


def areas_that_name(name: str) -> list[str]:
    """Whatever says the name of a class, a file or a dataset, or repeats an error's sentence."""
    code, label, database, labels, bits = some_codes(0)
    answer = search_page.answer(code, bits, database, labels, label, n=2)
    ball = search_page.within(code, bits, database, labels, 5, label)
    images = np.zeros((2, 4, 4, 1), np.uint8)
    figure = html.figure(images[0], name)
    return [
        figure,
        html.alert(name),
        html.query([figure], f"It shows: {name}."),
        html.found(answer, images, [name, name], np.array([True, False])),
        html.ball(ball, answer, [name] * 3, [figure]),
        html.title(name, 1, 2, 3),
        html.query([figure], "", html.decided(name, 0.5)),
        html.found(answer, images, ["coat", "coat"], np.array([True, False]), html.compared(answer, answer, name)),
    ]


@given(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.sampled_from("<>\"'&;/=!-{}%# ab"), min_size=1), st.text(min_size=1))
)
@settings(max_examples=80, deadline=None)
def test_a_name_is_shown_as_it_is_and_never_becomes_markup(name):
    for made, harmless in zip(areas_that_name(name), areas_that_name("coat"), strict=True):
        found = Parsed(made)
        assert found.elements == Parsed(harmless).elements
        assert any(name in text for text in found.texts)


@pytest.mark.parametrize("shape", [(28, 28, 1), (300, 200, 3), (4, 4, 3)])
def test_a_picture_on_the_page_is_a_png_of_at_most_112_pixels(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    found = Image.open(io.BytesIO(html.png(pixels)))
    assert found.format == "PNG"
    assert max(found.size) == min(112, max(shape))
    if max(shape) <= 112:
        np.testing.assert_array_equal(np.asarray(found).reshape(shape), pixels)


def test_a_code_has_a_mark_for_each_bit_in_use_at_its_output_and_as_high_as_its_level():
    choice = Choice(np.array([3, 0, 3]), thermometer.check_levels([0.25, 0.5, 0.75])[0][[2, 1, 0]])
    drawn = html.code(np.array([1, 0, 1]), choice, np.array([0, 1, 2]), np.full(4, 0.6))
    marks = re.findall(r'x="([\d.]+)" y="([\d.]+)" width="160.00" height="6.00"', drawn)
    assert marks == [("0.00", "67.00"), ("480.00", "102.00"), ("480.00", "32.00")]  # of 140: at 0.5, 0.25, 0.75
    assert (drawn.count(html.DARK), drawn.count(html.LIGHT)) == (3, 1)  # a 0 is light within dark
    assert 'aria-label="The 3 bits in use: 101"' in drawn
    assert "output 0 at 0.5: 1; output 3 at 0.25: 0; output 3 at 0.75: 1." in drawn
    fewer = html.code(np.array([1, 0, 1]), choice, np.array([0, 2]), np.full(4, 0.6))
    assert 'aria-label="The 2 bits in use: 11"' in fewer
    assert "output 3 at 0.25" not in fewer


# what is searched


@pytest.mark.parametrize("seed", range(3))
def test_a_choice_makes_the_bits_that_it_names_in_the_order_of_outputs_and_levels(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(20, 6)).astype(np.float32)
    outputs, thresholds = thermometer.meanings(6, LEVELS)
    chosen = rng.permutation(len(outputs))[:9]
    choice = Choice(outputs[chosen], thresholds[chosen])
    codes = choice.codes(logits)
    for place, name in enumerate(choice.names):
        output, level = re.fullmatch(r"output (\d+) at ([\d.]+)", name).groups()
        above = 1 / (1 + np.exp(-logits[:, int(output)].astype(float))) >= float(level)
        np.testing.assert_array_equal(codes[:, place], above)
    assert choice.names == [f"output {bit // len(LEVELS)} at {LEVELS[bit % len(LEVELS)]:g}" for bit in np.sort(chosen)]
    assert choice.graded


def test_outputs_at_one_half_are_todays_codes():
    logits = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    choice = Choice(np.array([4, 1]))
    np.testing.assert_array_equal(choice.codes(logits), logits[:, [1, 4]] >= 0)
    assert (choice.graded, choice.names) == (False, ["output 1 at 0.5", "output 4 at 0.5"])


def test_a_decided_query_has_the_code_of_its_likeliest_class_whatever_its_own_bits_are():
    classes = ClassCodes(np.array([[0, 1, 1], [1, 0, 1]], np.uint8), np.eye(2, dtype=np.uint8))
    logits = np.array([[-3, 2, 1], [0.4, 0.1, 5]], dtype=np.float32)  # the second is nearly torn: .4 against .1
    choice = Choice(np.array([0, 1, 2, 2]), thermometer.check_levels([0.3, 0.5, 0.9, 0.95])[0])
    assert search_page.query_codes(logits, choice).tolist() == [[0, 1, 0, 0], [1, 1, 1, 1]]
    assert search_page.query_codes(logits, choice, classes).tolist() == [[0, 1, 1, 1], [1, 0, 1, 1]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([0, -1],), "outputs is"),
        (([0, 1], [0.5]), "thresholds is"),
        (([0, 1], [0.5, np.nan]), "thresholds is"),
        (([1, 1], [0.5, 0.5]), "name a candidate more than once"),
    ],
)
def test_bits_that_ask_nothing_are_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Choice(*arguments)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"classes": None}, "decided is True, but there are no class codes"),
        ({"today": "yesterday"}, "today is 'yesterday'; give one of PPO, greedy"),
    ],
)
def test_a_collection_that_cannot_be_searched_as_asked_is_refused_in_a_sentence(change, sentence, collection):
    with pytest.raises(ValueError, match=sentence):
        replace(collection, **change)


# widgets, without a browser


@pytest.fixture(scope="module")
def collection() -> Collection:
    """A part of fashion-mini, an encoder that knows some of its classes apart, and bits chosen by nobody."""
    splits = datasets.load("fashion-mini")
    few = {
        part: getattr(splits, part).take(np.arange(n))
        for part, n in {"query": 80, "train": 96, "database": 600}.items()
    }
    splits = replace(splits, **few)
    rng = np.random.default_rng(0)
    targets = (splits.train.labels @ rng.integers(0, 2, (10, 12))).astype(np.uint8)
    fitted = encoder.fit(splits.train.images, targets, arch="alexnet_small", epochs=20, device="cpu", progress=False)
    outputs, thresholds = thermometer.meanings(12)
    draws = {name: rng.permutation(len(outputs))[:p] for name, p in {"PPO": 5, "greedy": 5, "random": 7}.items()}
    choices = {name: Choice(outputs[bits], thresholds[bits]) for name, bits in draws.items()}
    choices |= {TODAY: Choice(np.array([7, 0, 3, 11, 4])), "today: all outputs": Choice(np.arange(12))}
    logits = [fitted.logits(part.images) for part in (splits.query, splits.database)]
    classes = ClassCodes.of(targets, splits.train.labels)
    return Collection(splits, *logits, choices, fitted, classes, decided=True, today=TODAY)


TODAY = "today: PPO"
CHOICES = ("PPO", "greedy", "random", TODAY, "today: all outputs")


def wanted_of(collection: Collection, row: int, name: str, *, decided: bool) -> search_page.Answer:
    """What loops over the database's logits and class codes find for a query picture: its answer by plain comparisons.

    The class is the one whose code agrees best with the logits, their sizes counted.
    """
    choice, logits, splits = collection.choices[name], collection.query_logits[row], collection.splits
    code = [logits[output] >= threshold for output, threshold in zip(choice.outputs, choice.thresholds, strict=True)]
    if decided:
        scores = [sum(value for value, bit in zip(logits, of, strict=True) if bit) for of in collection.classes.codes]
        code = [collection.classes.codes[np.argmax(scores)][output] for output in choice.outputs]
    asked = zip(choice.outputs, choice.thresholds, strict=True)
    database = np.stack([collection.database_logits[:, j] >= threshold for j, threshold in asked], axis=1)
    of = np.array(code, np.uint8), np.arange(len(choice)), database.astype(np.uint8), splits.database.labels
    return search_page.answer(*of, splits.query.labels[row])


@pytest.fixture
def page(collection) -> SearchPage:
    return SearchPage(collection)


def text_of(page: SearchPage, area: str) -> str:
    return re.sub(r"<[^>]*>", "", page.areas[area].value)


def test_what_the_network_sees_of_a_picture_of_its_size_is_the_picture(collection):
    image = collection.splits.query.images[3]
    np.testing.assert_array_equal(search_page.seen(collection.encoder, image), image)


@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize("method", CHOICES)
def test_the_page_answers_with_the_bits_that_are_chosen(method, decided, page, collection):
    page.number.value, page.bits.value, page.decided.value = 7, method, decided
    wanted = wanted_of(collection, 7, method, decided=decided)
    assert page.answer.code.tolist() == wanted.code.tolist()
    assert page.answer.indices.tolist() == wanted.indices.tolist()
    assert f"P@10 = {wanted.precision[-1]:.3f}" in text_of(page, "found")
    assert f"{wanted.tied:,} picture" in text_of(page, "found")
    for bit, name in zip(wanted.code, collection.choices[method].names, strict=True):
        assert f"{name}: {bit}" in text_of(page, "code")
    assert page.radius.max == len(wanted.code)


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("decided", [True, False])
def test_ties_of_today_and_of_the_chosen_bits_stand_in_one_line(decided, row, page, collection):
    today = wanted_of(collection, row, TODAY, decided=False)
    page.number.value, page.decided.value = row, decided
    for method in CHOICES:
        page.bits.value = method
        shown = method if "today" not in method else "PPO"  # today's bits are compared with the first ones
        now = wanted_of(collection, row, shown, decided=decided)
        line = next(line for line in page.areas["found"].value.splitlines() if "As near as the last of 10" in line)
        assert f"today {today.tied:,} picture" in line
        assert f"({shown}{', decided' if decided else ''}) {now.tied:,} picture" in line
        assert f"P@10 {today.precision[-1]:.3f} and {now.precision[-1]:.3f}" in line


def test_what_a_decided_query_is_taken_for_stands_beside_it(page, collection):
    taken = set()
    for row in range(20):
        page.number.value = row
        logits, codes = collection.query_logits[row], collection.classes.codes
        likelihoods = collection.classes.beta * (codes @ logits.astype(float))
        posteriors = np.exp(likelihoods) / np.exp(likelihoods).sum()
        label = collection.classes.label_sets[posteriors.argmax()]
        name = collection.splits.class_names[label.argmax()]
        taken.add(name)
        assert f"Decided: {name}, with posterior {posteriors.max():.2f}." in text_of(page, "query")
        assert "a classifier&#39;s word" in text_of(page, "query")
    assert len(taken) > 1
    page.decided.value = False
    assert "Decided" not in text_of(page, "query")


def test_labels_of_pictures_change_no_code_and_no_class_that_a_query_is_taken_for(collection):
    rng, splits = np.random.default_rng(1), collection.splits
    parts = {name: getattr(splits, name) for name in ("query", "database")}
    shuffled = {name: replace(part, labels=rng.permutation(part.labels)) for name, part in parts.items()}
    pages = [SearchPage(each) for each in (collection, replace(collection, splits=replace(splits, **shuffled)))]
    for row in range(10):
        for page in pages:
            page.number.value = row
        one, other = (page.answer for page in pages)
        assert (one.code.tolist(), one.indices.tolist()) == (other.code.tolist(), other.indices.tolist())
        assert len({re.search("Decided: .*?word", text_of(page, "query"))[0] for page in pages}) == 1


def test_without_class_codes_there_is_no_switch_and_without_todays_bits_nothing_to_compare_with(collection):
    page = SearchPage(replace(collection, classes=None, decided=False, today=""))
    assert not page.decided.value
    assert not any(page.decided in getattr(box, "children", ()) for box in page.widget.children)
    assert "today" not in text_of(page, "found")


def test_class_numbers_name_the_classes_as_well(collection):
    numbers = replace(collection.classes, label_sets=collection.classes.label_sets.argmax(axis=1))
    one, other = SearchPage(collection), SearchPage(replace(collection, classes=numbers))
    assert one.areas["query"].value == other.areas["query"].value


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
    splits, choice = collection.splits, collection.choices["PPO"]
    code, database = wanted_of(collection, 0, "PPO", decided=True).code, choice.codes(collection.database_logits)
    within = search_page.within(code, page.used, database, splits.database.labels, radius, splits.query.labels[0])
    sentence = f"{len(within.indices):,} of 600 pictures lie within radius {radius}"
    assert sentence in text_of(page, "ball")
    if within.precision is not None:
        assert f"{within.relevant:,} of them relevant: precision {within.precision:.3f}" in text_of(page, "ball")


def test_dropping_a_bit_searches_without_it_and_says_what_changed(page):
    bit = int(page.kept[2])
    before = page.answer
    page.drop.value = bit
    assert page.drop.label == page.choice.names[2]
    assert page.used.tolist() == [each for each in page.kept if each != bit]
    new = len(set(page.answer.indices.tolist()) - set(before.indices.tolist()))
    said = text_of(page, "dropped")
    assert f"The bit of {page.choice.names[2]} is {before.code[2]} here" in said
    assert f"Without it {new} of the 10 are new" in said
    assert f"average precision from {before.average_precision:.3f} to {page.answer.average_precision:.3f}" in said
    assert text_of(page, "found").count("new: ") == new
    page.bits.value = "today: all outputs"
    assert page.drop.label == "none"
    assert page.answer is page.full


def test_a_query_is_decided_or_not_while_a_bit_is_dropped(page, collection):
    page.drop.value = 1
    for decided in (False, True):
        page.decided.value = decided
        code = wanted_of(collection, 0, "PPO", decided=decided).code
        assert page.full.code.tolist() == code.tolist()
        assert page.answer.code.tolist() == np.delete(code, 1).tolist()


@pytest.mark.parametrize("decided", [True, False])
def test_an_upload_is_encoded_searched_with_and_forgotten(decided, page, collection):
    page.decided.value = decided
    picture = collection.splits.query.images[11]
    upload(page, file_of(Image.fromarray(picture[..., 0]), "PNG"), "my <b>shirt</b>.exe")
    assert page.upload.value == ()
    wanted = wanted_of(collection, 11, "PPO", decided=decided)
    assert page.answer.code.tolist() == wanted.code.tolist()
    assert page.answer.indices.tolist() == wanted.indices.tolist()
    assert ("Decided: " in text_of(page, "query")) == decided
    assert page.answer.precision is None
    assert f"today {wanted_of(collection, 11, TODAY, decided=False).tied:,} picture" in text_of(page, "found")
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
    page.decided.value = False
    upload(page, file_of(Image.fromarray(255 - picture[..., 0]), "PNG"))
    page.negative.value = True
    assert page.answer.code.tolist() == wanted_of(collection, 11, "PPO", decided=False).code.tolist()


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

    monkeypatch.setattr(widgets, "answer", gone)
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
    single = replace(collection, choices={"PPO": Choice([3], [0.5])}, today="")
    page = SearchPage(single)
    assert len(page.drop.options) == 1
    assert "none can be dropped" in text_of(page, "dropped")


def test_the_chart_of_bits_left_out_has_an_axis_in_points():
    chart = html.effects(["3 at 0.5", "5 at 0.5"], np.array([-3.0, 1.5]))
    heights = {text: float(y) for y, text in re.findall(r'<text x="0" y="([\d.]+)"[^>]*>([^<]+)</text>', chart)}
    assert list(heights) == ["+3.00", "-3.00"]
    bars = re.findall(
        r'<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)" fill="#(?:d55e00|0072b2)"/>', chart
    )
    (_, falls), (rises, height) = [
        (float(y), float(y) + float(h)) if n == 0 else (float(y), float(h)) for n, (y, h) in enumerate(bars)
    ]
    middle = sum(heights.values()) / 2
    assert falls == heights["-3.00"]  # the largest reaches the mark
    assert rises == pytest.approx(middle - height)
    assert height == pytest.approx((middle - heights["+3.00"]) / 2, abs=0.01)
    assert ">0</text>" in html.effects(["a", "b"], np.zeros(2))
