"""The book builds from executed notebooks without a warning, needs no net, fits a phone, and its reference is true."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pytest
import snowballstemmer

import hashlib_nb
from hashlib_nb import codes, metrics, ppo, selectors
from hashlib_nb.course import lessons
from hashlib_nb.datasets import Split, Splits
from hashlib_nb.experiments import published, results
from tests.course.browser import chromium, needs_chromium

pytestmark = pytest.mark.xdist_group("book")  # built once, for all of them

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
LESSONS = [lesson.path for lesson in lessons.LESSONS]
sys.path.insert(0, str(BOOK / "extensions"))
plain_docstrings = importlib.import_module("plain_docstrings")
repository_texts = importlib.import_module("repository_texts")

CODES = np.random.default_rng(0).integers(0, 2, (30, 6), dtype=np.uint8)
LABELS = np.eye(3, dtype=np.uint8)[np.arange(30) % 3]


# the build


def without_outputs(path: Path) -> nbformat.NotebookNode:
    """What papermill would leave of a notebook whose cells print nothing: for the text of the others is enough."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["papermill"] = {"exception": None, "end_time": "2026-01-01T00:00:00"}
    return notebook


def checkout(folder: Path) -> Path:
    """A copy of the book, with what it includes beside it, in which a build may write."""
    shutil.copytree(
        BOOK, folder / "book", ignore=shutil.ignore_patterns("_build", "executed", "lessons", "__pycache__")
    )
    for name in ("README.md", "CONTRIBUTING.md", "assignments", "benchmarks", "figures", "notebooks", "results"):
        (folder / name).symlink_to(ROOT / name)
    return folder / "book"


def build(book: Path, out: Path, home: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-t", "without_listings", book, out],
        env=os.environ | {"HASHLIB_NB_HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def home(ran, tmp_path_factory) -> Path:
    """Where notebook 01 ran, small; the others are taken as run, without outputs."""
    home = ran.copy("01_hash_codes", tmp_path_factory.mktemp("home"))
    for path in LESSONS[1:]:
        nbformat.write(without_outputs(path), home / "runs" / path.name)
    return home


@pytest.fixture(scope="module")
def site(tmp_path_factory, home) -> Path:
    out = tmp_path_factory.mktemp("build") / "html"
    done = build(checkout(tmp_path_factory.mktemp("checkout")), out, home)
    assert done.returncode == 0, done.stderr[-4000:]
    assert not done.stderr
    return out


def pages(site: Path) -> list[Path]:
    """Every page that a reader can come to, but the listings of source code."""
    return sorted(
        path for path in site.rglob("*.html") if path.relative_to(site).parts[0] not in ("_modules", "_static")
    )


class Tags(HTMLParser):
    """All tags of a page with their attributes, and in which classes its tables stand."""

    def __init__(self, path: Path):
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[tuple[str, str]] = []
        self.around_tables: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = {name: value or "" for name, value in attrs}
        self.found.append((tag, attributes))
        if tag == "table":
            self.around_tables.append(" ".join(name for _, name in self.open))
        if tag == "div":
            self.open.append((tag, attributes.get("class", "")))

    def handle_endtag(self, tag):
        if tag == "div":
            self.open.pop()


@pytest.fixture(scope="module")
def tags(site) -> dict[Path, Tags]:
    """Every page that a reader can come to, read once."""
    return {page: Tags(page) for page in pages(site)}


@pytest.mark.slow
def test_every_lesson_and_every_page_of_the_source_is_there(site):
    found = {path.relative_to(BOOK) for path in BOOK.rglob("*.md")}
    written = {path for path in found if path.parts[0] not in ("_build", "executed")}  # neither is the book's source
    made = {Path("lessons", path.name) for path in LESSONS} | {Path(name) for name in repository_texts.TEXTS}
    assert {path.with_suffix(".html") for path in written | made} <= {path.relative_to(site) for path in pages(site)}


@pytest.mark.slow
def test_a_lesson_shows_what_it_printed_and_with_which_parameters(site):
    text = (site / "lessons" / "01_hash_codes.html").read_text(encoding="utf-8")
    assert re.search(r"two random codes of 12 bits: inner product -?\d+, distance \d+", text)
    injected = text.split("tag_injected-parameters")[1]
    assert "code_length" in injected[:2000]
    assert "widget-view" not in text  # progress bars
    assert "it/s]" not in text


@pytest.mark.slow
def test_every_picture_has_the_alternative_text_of_its_cell(site, tags):
    for page, of_page in tags.items():
        for tag, attributes in of_page.found:
            assert tag != "img" or len(attributes.get("alt", "")) > 40, f"{page}: {attributes}"
    cells = nbformat.read(LESSONS[0], as_version=4).cells
    wanted = [cell.metadata.mystnb.image.alt for cell in cells if "mystnb" in cell.metadata]
    found = [a["alt"] for tag, a in tags[site / "lessons" / "01_hash_codes.html"].found if tag == "img"]
    assert found == wanted
    assert found


LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
LINKS_LOADED = {"stylesheet", "preload", "icon", "modulepreload", "preconnect", "manifest"}


@pytest.mark.slow
def test_no_page_loads_anything_from_another_host(site, tags):
    for page, of_page in tags.items():
        for tag, attributes in of_page.found:
            address = attributes.get(LOADED.get(tag, ""), "")
            if tag == "link" and LINKS_LOADED & {*attributes.get("rel", "").split()}:
                address = attributes.get("href", "")
            assert not re.match(r"(\w+:)?//", address), f"{page}: <{tag}> loads {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


@pytest.mark.slow
def test_every_link_and_every_file_of_a_page_is_in_the_folder_so_that_any_server_shows_it(site, tags):
    places = {page: {tag[key] for _, tag in of_page.found for key in ("id", "name") if key in tag}
              for page, of_page in tags.items()}  # fmt: skip

    def is_there(page: Path, address: str) -> bool:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https", "data"):
            return True
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        fragment = unquote(parts.fragment)
        inside = target.is_relative_to(site.resolve()) and target.is_file()
        return inside and (not fragment or target not in places or fragment in places[target])

    addresses = {(page, tag[key]) for page, of_page in tags.items() for _, tag in of_page.found
                 for key in ("href", "src", "data") if key in tag}  # fmt: skip
    assert [(page.name, address) for page, address in addresses if not is_there(page, address)] == []


@pytest.mark.slow
def test_what_is_wider_than_a_phone_scrolls_inside_itself(site, tags):
    """As far as style sheets say it; with Chromium below, it is measured."""
    for page, of_page in tags.items():
        for around in of_page.around_tables:
            assert {"pst-scrollable-table-container", "text_html"} & {*around.split()}, page
    styles = "".join(path.read_text(encoding="utf-8") for path in (site / "_static").rglob("*.css"))
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", re.sub(r"/\*.*?\*/", "", styles, flags=re.DOTALL))
    scrolling = {
        name.strip() for names, rule in rules if re.search(r"overflow(-x)?: ?auto", rule) for name in names.split(",")
    }
    wide = {"pre", "div.math", ".pst-scrollable-table-container", ".cell_output .output.text_html"}
    assert wide | {"div.cell_output .output", "span.math mjx-container"} <= scrolling
    assert any(names.strip() == "img" and "max-width" in rule for names, rule in rules)


@pytest.mark.slow
def test_the_landing_page_has_the_banner_and_a_number_of_the_stored_table(site, tags):
    pictures = [attributes["src"] for tag, attributes in tags[site / "index.html"].found if tag == "img"]
    assert any(picture.endswith("banner.png") for picture in pictures)
    text = re.sub(r"<[^>]+>", "", (site / "index.html").read_text(encoding="utf-8"))
    assert "{{" not in text
    rows = json.loads((ROOT / "results" / "fashion-mini.json").read_text(encoding="utf-8"))["rows"]

    def mean(method: str, bits: int) -> float:
        return float(np.mean([row["map"] for row in rows if (row["method"], row["bits"]) == (method, bits)]))

    chosen, everything = mean("decided PPO", 8), mean("all bits", 64)
    gain, first, last = re.search(r"One number: (\S+) points.* an mAP of (\S+), all 64 .*\n?with (\S+),", text).groups()
    assert (float(first), float(last)) == (round(chosen, 3), round(everything, 3))
    assert float(gain) == round(100 * (chosen - everything), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "page"),
    [
        ("harmonic", "reference/metrics"),
        ("plotkin", "lessons/01_hash_codes"),
        ("restarts", "lessons/08_agents"),
        ("crossfit", "reference/glossary"),
        ("tensorboard", "api/bits"),
        ("nbgrader", "classroom"),
    ],
)
def test_the_index_of_the_search_knows_words_of_lessons_reference_and_package(site, word, page):
    index = json.loads((site / "searchindex.js").read_text(encoding="utf-8")[len("Search.setIndex(") : -1])
    found = index["terms"][snowballstemmer.stemmer("english").stemWord(word)]
    assert page in [index["docnames"][number] for number in np.atleast_1d(found)]


@pytest.mark.slow
def test_words_before_a_colon_in_a_fields_docstring_stay_its_words(site):
    text = (site / "api" / "bits.html").read_text(encoding="utf-8")
    assert "bring one update’s terminal rewards to mean 0 and deviation 1: raw mAPs differ by hundredths" in text


# in a browser, as somebody who opens index.html from disk


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """Addresses that pages asked for and that are not on this disk."""
    return []


@pytest.fixture
def page(site, loaded):
    """A browser that is kept from the net and notes what is asked of it."""
    with chromium(viewport={"width": 1280, "height": 900}) as page:
        page.context.set_offline(True)
        page.on("request", lambda request: re.match(r"file:|data:|blob:", request.url) or loaded.append(request.url))
        yield page


SCROLLS_SIDEWAYS = "document.documentElement.scrollWidth > innerWidth"
BROKEN_PICTURES = "[...document.images].filter(image => image.complete && !image.naturalWidth).map(image => image.src)"


@needs_chromium
@pytest.mark.slow
def test_every_page_fits_a_desktop_and_a_phone_and_asks_for_nothing_from_the_net(site, page, loaded):
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in pages(site):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(path.as_uri())
        assert not page.evaluate("window.MathJax && MathJax.startup.promise.then(() => 0)")
        assert not page.evaluate(BROKEN_PICTURES)
        assert not page.locator("mjx-merror").count(), path
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert not page.evaluate(SCROLLS_SIDEWAYS), f"{path} at {width} pixels"
    assert not loaded
    assert not errors


@needs_chromium
@pytest.mark.slow
def test_formulas_are_set_without_the_net(site, page):
    page.goto((site / "reference" / "metrics.html").as_uri())
    page.locator("mjx-container").first.wait_for()
    assert page.locator("mjx-container").count() > 40
    assert "\\frac" not in page.locator("article").inner_text()


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "title", "address"),
    [
        ("harmonic", "Metrics", "reference/metrics.html"),
        ("explained_variance", "Logged scalars", "reference/scalars.html"),
        ("plotkin", "01 · Hash codes from labels", "lessons/01_hash_codes.html"),
        ("mean_average_precision", "mean_average_precision", "api/counting.html"),
    ],
)
def test_searching_for_a_word_finds_its_page(site, page, word, title, address):
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Control+k")
    page.keyboard.type(word)
    page.keyboard.press("Enter")
    found = page.locator("#search-results a", has_text=title).first
    found.wait_for()
    found.click()
    page.wait_for_url(f"**/{address}*")
    assert word in page.locator("article").inner_text().lower()


@needs_chromium
@pytest.mark.slow
def test_on_a_phone_the_menu_opens_and_wide_tables_scroll_inside_themselves(site, page):
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto((site / "reference" / "glossary.html").as_uri())
    table = "document.querySelector('article table').parentElement"
    assert page.evaluate(f"{table}.scrollWidth > {table}.clientWidth")
    page.evaluate(f"{table}.scrollLeft = 60")
    assert page.evaluate(f"{table}.scrollLeft") == 60
    entry = page.locator("#pst-primary-sidebar-modal a, .bd-sidebar-primary a").filter(has_text="Errata").first
    assert not entry.is_visible()
    page.locator("button.primary-toggle:visible").first.click()
    entry.click()
    page.wait_for_url("**/reference/errata.html")


# what ends a build


def test_a_build_without_executed_copies_ends_with_one_sentence_and_the_command(tmp_path):
    done = build(checkout(tmp_path), tmp_path / "build" / "html", tmp_path / "home")
    assert done.returncode == 1
    assert "runs/01_hash_codes.ipynb is missing" in done.stderr
    numbers = " ".join(path.stem[:2] for path in LESSONS)
    assert done.stderr.strip().endswith(f"python -m hashlib_nb run_course --notebooks {numbers}")
    assert len(done.stderr.strip().splitlines()) == 1


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one pixel


def test_a_picture_without_an_alternative_text_is_a_warning_that_names_its_cell(tmp_path):
    (tmp_path / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(BOOK / 'extensions')!r})\n"
        "extensions = ['myst_nb', 'alternative_texts']\nnb_execution_mode = 'off'\n"
    )
    texts = [{"mystnb": {"image": {"alt": alt}}} for alt in ("One gray dot.", " ")]
    cells = [nbformat.v4.new_markdown_cell("# A title")]
    for metadata in (*texts, {}):
        shown = nbformat.v4.new_output("display_data", {"image/png": PNG})
        cells.append(nbformat.v4.new_code_cell("1", metadata=metadata, outputs=[shown]))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / "index.ipynb")
    done = build(tmp_path, tmp_path / "build" / "html", tmp_path)
    assert done.returncode == 1
    assert re.findall(r"the picture of cell (\d) has no alternative text", done.stderr) == ["3", "4"]
    assert done.stderr.count("WARNING") == 2


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("see [01](../notebooks/01_hash_codes.ipynb)", "see [01](lessons/01_hash_codes.ipynb)"),
        ("what [mAP](../book/reference/metrics.md) means", "what [mAP](reference/metrics.md) means"),
        ("its [source](source/01_hash_codes/01_hash_codes.ipynb) holds", "its source holds"),
        ("[nbgrader](https://nbgrader.readthedocs.io) and [below](#late)", None),
        ("![a picture](figures/a.png)", None),
    ],
)
def test_links_to_files_of_the_repository_lead_to_lessons_and_pages_or_are_words(written, read):
    assert repository_texts.for_the_book(written) == (read or written)


# docstrings


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["|| Z Z^T - k S ||_F^2 and |Z| * 2"], [r"\|\| Z Z^T - k S \|\|_F^2 and \|Z\| \* 2"]),
        (["Of `a | b` and `figure`s."], [r"Of ``a | b`` and ``figure``\ s."]),
        (["n_d items, (.)_- and |Z|"], [r"n_d items, (.)\_- and \|Z\|"]),
        (["so", "", "    E = m * c", "", "it"], ["so", "", ".. code-block:: text", "", "    E = m * c", "", "", "it"]),
        (["Args:", "    x: `a`, * b", "", "    More."], ["Args:", r"    x: ``a``, \* b", "", "    More."]),
        (["Args:", "    **settings: of `fit`."], ["Args:", "    **settings: of ``fit``."]),
    ],
)  # fmt: skip
def test_what_a_docstring_says_is_what_is_read(written, read):
    assert plain_docstrings.as_restructured(written) == read


def test_a_table_drawn_with_bars_keeps_its_cells():
    table = ["| name | what |", "|------|------|", "| `a`  | of * b |"]
    made = [line for line in plain_docstrings.as_restructured(table) if line]
    assert made == [
        ".. list-table::", "   :header-rows: 1",
        "   * - name", "     - what",
        "   * - ``a``", r"     - of \* b",
    ]  # fmt: skip


# the reference says what the package does


def names_under(page: str, *headings: str) -> set[str]:
    """First cells of the tables under the headings of a page; a cell may name several."""
    text = (BOOK / "reference" / f"{page}.md").read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in re.split(r"^#{2,3} ", text, flags=re.MULTILINE)}
    rows = re.findall(r"^\| (`.+?) \| ", "\n".join(sections[heading] for heading in headings), flags=re.MULTILINE)
    return {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}


UPDATES = ("What is being searched", "Is the policy deciding?", "Is the update sound?")


def test_the_scalars_of_ppo_are_those_on_the_page(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    args = ppo.Args(n_bits=2, total_episodes=8, episodes=4, hidden=8, progress=False, tensorboard=tmp_path)
    history = ppo.train(args, CODES, LABELS).history
    events = EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) == names_under("scalars", *UPDATES)
    assert set(history) == names_under("scalars", *UPDATES, "After the last update")


def test_the_curves_of_every_other_search_are_those_on_the_page():
    found = selectors.select(CODES, LABELS, 2, method="random_search", budget=5)
    assert set(found.history) == names_under("scalars", "Every other search")


def test_the_curves_of_a_nested_order_and_of_dqn_are_those_on_the_page():
    from hashlib_nb.selectors import dqn

    found = selectors.nested_order(CODES, LABELS, 3, lengths=(1, 2))
    assert set(found.history) == names_under("scalars", "Every other search", "A nested order")
    args = dqn.Args(n_bits=2, total_steps=8, progress=False)
    assert set(dqn.train(args, CODES, LABELS).history) == names_under("scalars", "DQN")


def test_the_methods_are_those_of_the_registry():
    rows = re.findall(r"^\| `.+$", (BOOK / "api" / "bits.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert rows == [f"| `{each.name}` | {each.summary} | {each.calls} |" for each in selectors.METHODS.values()]


def test_the_curves_of_the_encoder_are_those_on_the_page():
    from hashlib_nb import encoder
    from hashlib_nb.encoder import recipes

    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28, 1), dtype=np.uint8)
    recipe = dataclasses.replace(recipes.SMALL, patience=1)
    settings = {"arch": "alexnet_small", "epochs": 1, "recipe": recipe, "validation": 0.2, "progress": False}
    assert set(encoder.fit(images, CODES, **settings).history) == names_under("scalars", "The encoder")


def test_the_curves_of_the_target_codes_are_those_on_the_page():
    history = codes.infer_codes(LABELS, 4, epochs=1, finish_sweeps=1).history
    assert set(history) == names_under("scalars", "Target codes")


def test_the_entries_of_a_report_are_those_on_the_page():
    report = metrics.evaluate(CODES, CODES, LABELS, LABELS)
    assert set(report) == names_under("metrics", "The report")
    assert set(report["precision_recall"]) == names_under("metrics", "Precision-recall curve")


def test_the_columns_of_the_results_table_are_those_on_the_page():
    part = Split(np.zeros((30, 2, 2, 1), np.uint8), LABELS)
    splits = Splits(part, part, part, ("a", "b", "c"), {"training_in_database": False})
    row = results.measure(results.Code("all bits", CODES, CODES), splits)
    assert {"split", "seed", *row} == names_under("metrics", "The results table")


def test_the_columns_of_its_experiments_are_those_on_the_page():
    named = names_under("metrics", "Its experiments")
    stored = [path for name in published.TABLES if (path := ROOT / "results" / f"{name}.json").exists()]
    tables = [json.loads(path.read_text(encoding="utf-8")) for path in stored]
    found = {name for table in tables for about in table.get("experiments", ()) for name in about}
    assert {name.removeprefix("mirrored_") for name in named} <= found <= named


def test_the_options_of_average_precision_are_those_on_the_page():
    names = names_under("metrics", "Average precision") - {"ties", "denominator"}
    assert names == {*metrics.TIES, *metrics.DENOMINATORS}


def test_every_public_metric_is_on_the_page():
    text = (BOOK / "reference" / "metrics.md").read_text(encoding="utf-8")
    for name in metrics.__all__:
        thing = getattr(metrics, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert f"{thing.__module__}.{name}`" in text, name
            for field in dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ():
                assert f"`{field.name}`" in text, f"{name}.{field.name}"


def test_every_module_of_the_package_is_described_once():
    described = [
        name for page in (BOOK / "api").glob("*.md") for name in re.findall(r"automodule:: (\S+)", page.read_text())
    ]
    modules = {module.name for module in pkgutil.walk_packages(hashlib_nb.__path__, "hashlib_nb.")}
    assert sorted(described) == sorted(name for name in modules if "._" not in name)


def test_every_cell_that_saves_a_figure_says_what_it_shows():
    for path in LESSONS:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if "save_fig" in "".join(cell["source"]) and cell["cell_type"] == "code":
                assert len(cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")) > 40, cell["id"]
