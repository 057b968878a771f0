"""The search page, served: a browser shows what the package returns, and the server gives out nothing else.

python -m tests.course.test_demo        # draws figures/06_page.png from the full-size page, with Chromium
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashlib_nb import artifacts
from hashlib_nb.candidates import THESIS, Options
from hashlib_nb.course import demo
from hashlib_nb.encoder import Settings, Setup
from hashlib_nb.search.page import Collection, SearchPage, html, uploads
from hashlib_nb.search.page import query_codes as search_codes
from tests.course.browser import chromium, free_port, needs_chromium, serving
from tests.course.small_lessons import SMALL
from tests.search.uploaded import BAD, GOOD, file_of, upload

pytestmark = [pytest.mark.slow, pytest.mark.course, pytest.mark.xdist_group("search page")]
PARAMETERS = SMALL["06_retrieval_demo"]


@pytest.fixture(scope="module")
def home(ran, tmp_path_factory) -> Iterator[Path]:
    """Where notebook 06 has run."""
    folder = ran.copy("06_retrieval_demo", tmp_path_factory.mktemp("demo"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLIB_NB_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def setup(home) -> Setup:
    """The run of notebook 06 with its small parameters."""
    small = {name: PARAMETERS[name] for name in ("code_length", "folds")}
    return Setup(settings=Settings(epochs=PARAMETERS["epochs"]), **small)


@pytest.fixture(scope="module")
def collection(setup) -> Collection:
    """What notebook 06 loads with its small parameters."""
    return demo.load(setup, PARAMETERS["bits"], total_episodes=PARAMETERS["total_episodes"])


@pytest.fixture
def page(collection) -> SearchPage:
    return SearchPage(collection)


def test_the_collection_holds_thermometer_bits_beside_todays_and_an_encoder_that_makes_its_logits(collection, setup):
    k, p = PARAMETERS["code_length"], PARAMETERS["bits"]
    lengths = {name: (len(choice), choice.graded) for name, choice in collection.choices.items()}
    assert lengths == {
        "PPO": (p, True),
        "greedy": (p, True),
        "random": (p, True),
        "today: PPO": (p, False),
        "today: all outputs": (k, False),
    }
    assert (collection.decided, collection.today) == (True, "today: PPO")
    made = collection.encoder.logits(collection.splits.query.images)
    np.testing.assert_array_equal(made, collection.query_logits)
    codes = setup.codes(progress=False)
    everything = collection.choices["today: all outputs"]
    np.testing.assert_array_equal(everything.codes(collection.database_logits), codes.database)


def test_kept_bits_are_those_of_the_selections_and_random_ones_are_candidates_that_differ(collection, setup):
    pool = setup.candidates()
    kept = setup.select("ppo", PARAMETERS["bits"], total_episodes=PARAMETERS["total_episodes"])
    queries, database = pool.test_codes(kept.bits)
    choice = collection.choices["PPO"]
    order = np.lexsort((kept.thresholds, kept.outputs))
    np.testing.assert_array_equal(choice.codes(collection.database_logits), database[:, order])
    asked = {*zip(pool.outputs[pool.ids].tolist(), pool.thresholds[pool.ids].tolist(), strict=True)}
    random = collection.choices["random"]
    assert {*zip(random.outputs.tolist(), random.thresholds.tolist(), strict=True)} < asked
    decided = search_codes(collection.query_logits, choice, collection.classes)
    np.testing.assert_array_equal(decided, queries[:, order])


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (THESIS, ["PPO", "greedy", "random", "today: all outputs"]),
        (Options(levels=(0.5,)), ["PPO", "greedy", "random", "today: PPO", "today: all outputs"]),
        (Options(decided=False), ["PPO", "greedy", "random", "today: PPO", "today: all outputs"]),
    ],
    ids=["thesis", "one half, decided", "thermometer, symmetric"],
)
def test_the_page_of_other_options_begins_with_them(options, names, setup):
    found = demo.load(setup, PARAMETERS["bits"], options, total_episodes=PARAMETERS["total_episodes"])
    assert [*found.choices] == names
    assert found.decided == options.decided
    assert found.choices["PPO"].graded == options.graded
    page = SearchPage(found)
    assert page.decided.value == options.decided
    assert ("As near as the last" in page.areas["found"].value) == (options != THESIS)


def test_what_cannot_be_served_is_said_before_anything_is_made(monkeypatch, tmp_path):
    monkeypatch.setenv("HASHLIB_NB_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="port is 70000; give a number in 1..65535"):
        demo.Args(port=70_000)
    with pytest.raises(ValueError, match="parameters has 'bitz=3'"):
        demo.main(demo.Args(("bitz=3",)))
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match="voila, which serves the page, is not installed"):
        demo.main(demo.Args())
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
def test_the_page_shows_what_the_package_returns_as_bits_radius_and_drop_are_changed(visitor, page):
    page.number.value = 8
    query_of(visitor, 8)
    for method in ("today: all outputs", "PPO", "random", "greedy"):
        page.bits.value = method
        visitor.get_by_label("Bits kept").select_option({name: text for text, name in page.bits.options}[method])
        for area in ("found", "ball", "code"):
            for sentence in re.findall("<p>(.*?)</p>", re.sub("</?code>", "", page.areas[area].value)):
                sees(visitor, unescape(sentence))
    found = visitor.locator(".hnb li img").evaluate_all("images => images.map(image => [image.alt, image.src])")
    assert [list(pair) for pair in re.findall('alt="(.*?)" src="(.*?)"', page.areas["found"].value)] == found
    bit = int(page.kept[1])
    page.drop.value = bit
    visitor.get_by_label("Drop one bit").select_option(page.choice.names[bit])
    sees(visitor, re.findall("<p>(.*?)</p>", page.areas["dropped"].value)[-1])
    sees(visitor, re.findall("<p>(.*?)</p>", page.areas["found"].value)[-1])
    page.drop.label = "none"
    visitor.get_by_label("Drop one bit").select_option("none")
    sees(visitor, "Choose a bit to search without it.")
    assert visitor.get_by_label("Drop one bit").input_value() == "none"


@needs_chromium
def test_a_query_is_decided_or_keeps_its_own_code_and_ties_are_compared_with_todays(visitor, page):
    query_of(visitor, 6)
    visitor.get_by_label("Bits kept").select_option("PPO, 5 bits")
    switch = visitor.get_by_label("decided query")
    page.number.value, page.bits.value = 6, "PPO"
    for decided in (False, True):
        switch.set_checked(decided)
        page.decided.value = decided
        line = re.search("<p>(As near as the last of 10: today .*?)</p>", page.areas["found"].value)[1]
        sees(visitor, unescape(line))
        assert visitor.get_by_text("a classifier's word").count() == decided
    sees(visitor, unescape(re.search("Decided: .*?word", page.areas["query"].value)[0]))


@needs_chromium
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
    visitor.get_by_label("Bits kept").select_option("PPO, 5 bits")
    page.number.value, page.radius.value = 5, 3
    sees(visitor, re.search("<p>(.*?)</p>", page.areas["ball"].value)[1])


@needs_chromium
def test_a_good_file_is_searched_with_and_bad_ones_are_refused_while_the_page_goes_on(
    visitor, page, collection, tmp_path
):
    picture = file_of(Image.fromarray(collection.splits.query.images[11][..., 0]), "PNG")
    choose(visitor, stored(tmp_path, "shirt <b>11.png", picture))
    sees(visitor, "uploaded: shirt <b>11.png")
    visitor.get_by_label("Bits kept").select_option("today: all outputs, 12 bits")
    upload(page, picture)
    page.bits.value = "today: all outputs"
    sees(visitor, html.ties(page.answer))
    choose(visitor, stored(tmp_path, "drawing.png", BAD["SVG"][0]))
    assert refusal(visitor).startswith("drawing.png was refused: the file holds no PNG or JPEG picture")
    choose(visitor, stored(tmp_path, "half.jpg", GOOD["JPEG"][:3000]))
    sees(visitor, "half.jpg was refused: the picture is damaged")
    query_of(visitor, 3)
    page.number.value = 3
    sees(visitor, html.precision(page.answer))
    assert not visitor.get_by_role("alert").filter(has_text="refused").count()


@needs_chromium
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
def test_nothing_has_to_be_scrolled_sideways_on_a_phone(visitor):
    visitor.set_viewport_size({"width": 390, "height": 800})
    visitor.wait_for_timeout(300)
    wide = "each => each.getBoundingClientRect().right > innerWidth + 1"
    assert (
        visitor.evaluate(f"[...document.querySelectorAll('.hnb *')].filter({wide}).map(each => each.outerHTML)") == []
    )
    visitor.set_viewport_size({"width": 1100, "height": 900})


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
