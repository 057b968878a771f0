"""The search page of notebook 06: a picture's code, what lies near it, and what each bit does for it.

Whatever the page shows is computed here, by functions that know nothing of widgets; `demo_page` draws it.

    python -m hashlib_nb.demo                          # makes what is missing, then serves the page to this machine
    python -m hashlib_nb.demo --parameters bits=32     # with other parameters of notebook 06

runs notebook 06, which leaves its codes and selections in `artifacts/`, and serves the executed copy in `runs/` by
Voila: the same cells without the lesson's, in a process of their own for each visitor.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro
from PIL import Image, ImageOps, UnidentifiedImageError

from hashlib_nb import hamming, metrics, results, search, selection
from hashlib_nb.artifacts import project_root
from hashlib_nb.datasets._options import parse_options

if TYPE_CHECKING:
    from traitlets.config import Config

    from hashlib_nb.datasets import Splits
    from hashlib_nb.encoder import Encoder

NOTEBOOK = "06_retrieval_demo.ipynb"
MOST_BYTES = 8_000_000
"""Size of an uploaded file. JupyterLab's server drops a connection at a message of 10 MiB, so this is below."""
MOST_PIXELS = 50_000_000
"""Width times height of an uploaded picture; a few bytes can stand for many pixels, which cost memory and time."""
THUMBNAIL = 160
"""Pixels of the longer side at which an uploaded picture is shown."""
WEBSOCKET_BYTES = 256 * 2**20
"""Message that Voila still takes: beyond what is refused with a sentence, so that it is one and no lost connection."""
WIDGETS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"]
"""JupyterLab extensions that the page loads: of all that are installed, those that draw widgets."""
PAGE_RULES = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",  # Voila's own scripts need both
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    "frame-ancestors": "'none'",
}
"""Content-Security-Policy: the page loads nothing from elsewhere (Voila's template asks a CDN for icons)."""


# What is searched


@dataclass(frozen=True, eq=False)
class Collection:
    """Pictures with their codes, the encoder that makes such codes, and ways to keep a part of the bits."""

    splits: Splits
    """The data set: the query pictures to search with, and the database to search in."""
    query_codes: np.ndarray
    """uint8 {0,1} [q, k]."""
    database_codes: np.ndarray
    """uint8 {0,1} [n, k]."""
    choices: Mapping[str, np.ndarray]
    """int64 [p] for each of "PPO", "greedy", "random" and "all bits": the kept bits."""
    encoder: Encoder
    """Makes the code of a picture that is in neither."""


def load(args: results.Args) -> Collection:
    """Codes, encoder and kept bits of the first seed and length in `args`; what is missing is made first.

    Raises:
        ValueError: what `results.load_codes` and `results.select` refuse.
    """
    from hashlib_nb import encoder  # brings in torch, which answers do not need

    seed, n_bits, k = args.seeds[0], args.lengths[0], args.code_length
    splits, made = results.load_codes(args, seed)
    choices = {method: results.select(args, seed, made, n_bits, method).bits for method in ("PPO", "greedy")}
    choices["random"] = np.flatnonzero(selection.random_masks(k, n_bits, 1, seed)[0])
    choices["all bits"] = np.arange(k)
    arch, _ = encoder.choose(args.arch, echo=lambda _: None)
    options = parse_options(args.dataset, args.options)
    folder = encoder.folder_for(args.dataset, k, seed, arch=arch, size=args.size or None, options=options)
    return Collection(splits, made.query, made.database, choices, encoder.Encoder.load(folder))


# What is answered


@dataclass(frozen=True, eq=False)
class Answer:
    """The pictures nearest to one, how arbitrary the cut after them is, and how good they are."""

    code: np.ndarray
    """uint8 {0,1} [p], the query's kept bits."""
    indices: np.ndarray
    """int64 [n], the nearest database items, by distance and then by index."""
    distances: np.ndarray
    """uint16 [n], in bits."""
    tied: int
    """Database items at the distance of the last one shown."""
    tied_inside: int
    """How many of these are among the n; where it is less than `tied`, the index alone decided."""
    counts: np.ndarray
    """int64 [p + 1], database items at each distance."""
    relevant: np.ndarray
    """int64 [p + 1], the relevant ones among them; all 0 without a label."""
    right: np.ndarray | None
    """bool [n], whether each of the n is relevant; None without a label."""
    precision: np.ndarray | None
    """float64 [n], the expected precision of the first 1, 2, ... n, tied items being in random order."""
    average_precision: float | None
    """AP over the whole database, tied items in expectation; None without a label."""


def answer(
    code: np.ndarray,
    bits: Sequence[int],
    database_codes: np.ndarray,
    database_labels: np.ndarray,
    label: np.ndarray | None = None,
    *,
    n: int = 10,
) -> Answer:
    """Search the database with the kept bits of one code.

    Args:
        code: {0,1} [k], of the query picture.
        bits: distinct indices of the kept bits in 0..k-1.
        database_codes: {0,1} [items, k].
        database_labels: {0,1} [items, m].
        label: {0,1} [m], what the query shows: an item that shows some of it is relevant. None if that is not known.
        n: how many to find, in 1..items.

    Raises:
        ValueError: codes, bits, labels or n that do not fit together, or a label that no item shares.
    """
    query, database = hamming.check_same_width(np.asarray(code)[None], database_codes)
    bits, known = hamming.check_bits(bits, query.shape[1]), label is not None
    shows = np.asarray(label)[None] if known else np.zeros((1, database_labels.shape[1]), np.uint8)
    found = search.nearest(query[:, bits], database[:, bits], n)
    histogram = hamming.histograms(query, database, shows, database_labels, bits=bits)
    scores = _scores(histogram, n) if known else (None, None)
    return Answer(
        query[0, bits],
        found.indices[0],
        found.distances[0],
        int(found.tied[0]),
        int(found.tied_inside[0]),
        histogram.counts[0].astype(np.int64),
        histogram.relevant[0].astype(np.int64),
        (database_labels[found.indices[0]] & shows).any(axis=1) if known else None,
        *scores,
    )


def _scores(histogram: hamming.Histograms, n: int) -> tuple[np.ndarray, float]:
    """Expected precision of the first 1 to n, and AP, of a single query."""
    report = metrics.report(histogram, at_n=range(1, n + 1))
    return np.array([*report["precision_at_n"].values()]), report["map"]["all"]["expected"]


@dataclass(frozen=True, eq=False)
class Ball:
    """All pictures within a Hamming radius of one."""

    radius: int
    """In bits; what lies at this distance is inside."""
    indices: np.ndarray
    """int64 [found], database items, by distance and then by index."""
    distances: np.ndarray
    """uint16 [found]."""
    shown: np.ndarray
    """int64 [m], how many of them show each concept."""
    relevant: int | None
    """How many are relevant; None without a label."""
    precision: float | None
    """The relevant share; None without a label, and where nothing is found."""


def within(
    code: np.ndarray,
    bits: Sequence[int],
    database_codes: np.ndarray,
    database_labels: np.ndarray,
    radius: int,
    label: np.ndarray | None = None,
) -> Ball:
    """Everything within a radius of the kept bits of one code. Arguments as of `answer`.

    Raises:
        ValueError: codes and bits that do not fit together, or a negative radius.
    """
    query, database = hamming.check_same_width(np.asarray(code)[None], database_codes)
    bits = hamming.check_bits(bits, query.shape[1])
    indices, distances = search.within_radius(query[:, bits], database[:, bits], radius).of(0)
    labels = database_labels[indices]
    relevant = None if label is None else int((labels & label).any(axis=1).sum())
    precision = relevant / len(indices) if relevant is not None and len(indices) else None
    return Ball(int(radius), indices, distances, labels.sum(axis=0, dtype=np.int64), relevant, precision)


def average_precision_without(
    code: np.ndarray,
    bits: Sequence[int],
    database_codes: np.ndarray,
    database_labels: np.ndarray,
    label: np.ndarray,
) -> np.ndarray:
    """AP of one query with each of its kept bits dropped alone, float64 [p]. Arguments as of `answer`.

    A single bit leaves none, and then AP is that of a random order.
    """
    pairs = hamming.Pairs(np.asarray(code)[None], database_codes, np.asarray(label)[None], database_labels)
    return metrics.map_of_flipped(pairs, hamming.mask_of(bits, pairs.k), bits)


def seen(encoder: Encoder, image: np.ndarray) -> np.ndarray:
    """What an encoder's network gets of a picture: resized, and the scaling undone so that it can be looked at.

    Args:
        encoder: whose input it is.
        image: uint8 [h, w, c].

    Returns:
        uint8 [h', w', c'], of the size and the channels that the network takes.
    """
    x = encoder.prepare(image[None])[0].cpu().numpy().transpose(1, 2, 0)
    return np.rint(255 * (x * np.array(encoder.std) + np.array(encoder.mean))).clip(0, 255).astype(np.uint8)


# What is uploaded


@dataclass(frozen=True, eq=False)
class Upload:
    """An uploaded picture, decoded in memory."""

    shown: np.ndarray
    """uint8 [h', w', 3], upright, its longer side `THUMBNAIL` pixels at most."""
    image: np.ndarray
    """uint8 [h, w, c], like a picture of the data set."""


def read_upload(content: bytes, shape: tuple[int, int, int]) -> Upload:
    """Decode an uploaded PNG or JPEG; its content decides what it is, whatever its name.

    It is turned as its EXIF says, laid on white where it is transparent, and cut to its center as the data sets' files
    are (`datasets.Pictures`); of several frames the first counts. Nothing is written, and nothing in it is executed.

    Args:
        content: the file.
        shape: (h, w, c) of the data set's pictures; c = 1 makes it gray.

    Raises:
        ValueError: it is empty, too large, neither PNG nor JPEG, or damaged.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"the file has {len(content) / 1e6:.1f} MB; give a picture of at most {MOST_BYTES / 1e6:g} MB")
    if not len(content):
        raise ValueError("the file is empty; give a PNG or JPEG picture")
    with _refusals():
        picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))  # reads what comes before the pixels
    if picture.width * picture.height > MOST_PIXELS:
        size = f"{picture.width:,} x {picture.height:,}"
        raise ValueError(f"the picture has {size} pixels; give one of at most {MOST_PIXELS:,} in all")
    with _refusals():
        picture.draft("RGB", (max(THUMBNAIL, *shape[:2]),) * 2)  # of a JPEG, decode no more detail than that takes
        upright = _on_white(ImageOps.exif_transpose(picture))
    square = ImageOps.fit(upright, (shape[1], shape[0]), Image.Resampling.BILINEAR)
    upright.thumbnail((THUMBNAIL, THUMBNAIL))
    pixels = np.array(square.convert("L") if shape[2] == 1 else square)
    return Upload(np.array(upright), pixels.reshape(shape))


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what Pillow raises about a file into one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data and the like, which change no pixel
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError:
        raise ValueError("the file holds no PNG or JPEG picture; save it as one of these") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"the picture has far too many pixels; give one of at most {MOST_PIXELS:,} in all") from None
    except MemoryError:
        raise
    except Exception as error:  # for a damaged one: OSError, SyntaxError, ValueError, struct.error, ...
        raise ValueError(f"the picture is damaged ({error}); save it anew or give another") from error


def _on_white(picture: Image.Image) -> Image.Image:
    """RGB; transparent parts become white, and gray of 16 bits becomes gray of 8."""
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        colored = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colored.size, "white"), colored)
    return picture.convert("RGB")


# The page


@dataclass(frozen=True)
class Args:
    """Serve the search page to this machine, at http://localhost:8866. What it needs and lacks is made first."""

    parameters: tuple[str, ...] = ()
    """name=value pairs for notebook 06, such as bits=32, or dataset=cifar10 root=/data/cifar10"""
    port: int = 8866
    """where to listen; another one where it is taken"""
    browser: bool = True
    """open the page in a browser"""

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        if not 1 <= self.port <= 65535:
            raise ValueError(f"port is {self.port}; give a number in 1..65535")


def main(args: Args) -> None:
    """Run notebook 06, then serve it until Ctrl+C.

    Raises:
        ValueError: Voila is not installed, or what `run_course.main` refuses; it raises others, too.
    """
    from hashlib_nb import run_course  # brings in papermill, which the page does not need

    if find_spec("voila") is None:
        raise ValueError("voila, which serves the page, is not installed; say pip install 'voila>=0.5.8,<1'")
    print("1 of 2: make what the page needs (the first time a minute or two)", flush=True)
    run_course.main(run_course.Args((NOTEBOOK[:2],), args.parameters))
    print(f"2 of 2: serve the page at http://localhost:{args.port}; Ctrl+C ends it", flush=True)
    serve(project_root() / "runs" / NOTEBOOK, args.port, browser=args.browser)


def serve(notebook: Path, port: int, *, browser: bool) -> None:
    """Show a notebook's page through Voila, to this machine alone, until it is interrupted."""
    from voila.app import Voila  # a server's worth of imports

    Voila.launch_instance(argv=[str(notebook)], config=voila_config(port, browser=browser))


def voila_config(port: int, *, browser: bool) -> Config:
    """Voila's settings: no cell tagged "lesson" is shown or run, no source and no file is served, nobody else asks."""
    from traitlets.config import Config

    rules = "; ".join(f"{what} {where}" for what, where in PAGE_RULES.items())
    config = Config()
    config.Voila.update({"ip": "127.0.0.1", "port": port, "open_browser": browser})
    config.Voila.tornado_settings = {
        "websocket_max_message_size": WEBSOCKET_BYTES,
        "allow_remote_access": False,  # a page elsewhere cannot reach this one by giving its own name this address
        "headers": {"Content-Security-Policy": rules},
    }
    config.VoilaConfiguration.update({"theme": "light", "strip_sources": True, "file_allowlist": []})
    config.VoilaConfiguration.extension_allowlist = WIDGETS
    config.TagRemovePreprocessor.update({"enabled": True, "remove_cell_tags": {"lesson"}})
    config.MappingKernelManager.update({"cull_idle_timeout": 600, "cull_interval": 60})  # s, of visitors who have left
    return config


if __name__ == "__main__":
    try:
        main(tyro.cli(Args, prog="python -m hashlib_nb.demo"))
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        sys.exit(f"error: {error}")
