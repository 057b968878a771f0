"""How long the search page takes for an answer, against the 200 ms within which it is to feel immediate.

Events of the page are timed in its own process, from the widget's change to the HTML that is sent: a picture chosen,
other bits, the radius moved, a bit dropped, a photo of 12 megapixels uploaded; and the parts of an answer beneath them.
The encoder and the codes are those of notebook 06 (made first where they are missing). Pictures beyond the database's
own are its own again with a little noise, encoded like the others.

`--cifar10 DIR` adds 10,000 photographs of CIFAR-10 with EfficientNet-Lite0 at 128 pixels, whose last layer has random
weights: time does not depend on them.
"""

from __future__ import annotations

import io
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from benchmarks import timing
from hashlib_nb import datasets, selection
from hashlib_nb.course import demo as course_demo
from hashlib_nb.datasets import Split
from hashlib_nb.encoder import Settings, Setup, new_encoder
from hashlib_nb.search import page as demo
from hashlib_nb.search.page import Choice, SearchPage

LIMIT = 0.2  # seconds
NOISE = 6  # gray levels by which a repeated picture differs at most
FASHION, PHOTOS = "fashion-mini", "CIFAR-10, EfficientNet-Lite0"
EVENTS = ("another picture", "other bits", "radius moved", "bit dropped", "photo uploaded")


@dataclass(frozen=True)
class Args:
    """The page over databases of several sizes."""

    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)
    """pictures that are searched"""
    shown: int = 10_000
    """one of these sizes: it goes into benchmarks/README.md"""
    answers: int = 100
    """how often each event and part is timed"""
    cifar10: str = ""
    """folder of CIFAR-10, as dataset cifar10 takes it; without, its photographs are left out"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, sizes=(100, 200), shown=200, answers=2)


def load(args: Args) -> demo.Collection:
    """What notebook 06 loads, or something that is made in seconds."""
    if args.quick:
        quick = Setup(code_length=12, settings=Settings(epochs=1), folds=2)
        return course_demo.load(quick, 5, total_episodes=64)
    return course_demo.load(Setup(), 16)


def of_size(collection: demo.Collection, n: int) -> demo.Collection:
    """A collection with a database of n pictures."""
    database = collection.splits.database
    rows = np.arange(n) % len(database)
    images = np.array(database.images[rows])
    again = np.arange(n) >= len(database)
    noise = np.random.default_rng(0).integers(-NOISE, NOISE + 1, (again.sum(), *images.shape[1:]), dtype=np.int16)
    images[again] = np.clip(images[again] + noise, 0, 255)
    splits = replace(collection.splits, database=Split(images, database.labels[rows]))
    return replace(collection, splits=splits, database_logits=collection.encoder.logits(images))


def photographs(root: Path, n: int = 10_000, k: int = 64) -> demo.Collection:
    """Photographs of CIFAR-10, an encoder for them, and random bits."""
    splits = datasets.load("cifar10", root=root)
    splits = replace(splits, query=splits.query.take(np.arange(100)), database=splits.database.take(np.arange(n)))
    torch.manual_seed(0)
    encoder = new_encoder(splits.train.images, k, Settings(arch="efficientnet_lite0", device="cpu", size=128))
    encoder.network.eval()
    logits = [encoder.logits(part.images, progress=True) for part in (splits.query, splits.database)]
    masks = selection.random_masks(k, 16, 3)
    choices = {f"random {place}": Choice(np.flatnonzero(mask)) for place, mask in enumerate(masks)}
    return demo.Collection(splits, *logits, choices | {"all outputs": Choice(np.arange(k))}, encoder)


def photos() -> dict[str, bytes]:
    """Smooth noise as files like those of a telephone's camera, and of a screen."""
    coarse = np.random.default_rng(0).integers(0, 256, (94, 125, 3), dtype=np.uint8)
    found = {}
    for name, kind, size in (("JPEG of 12 MP", "JPEG", (4000, 3000)), ("PNG of 4 MP", "PNG", (2400, 1800))):
        buffer = io.BytesIO()
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(buffer, format=kind, quality=90)
        found[name] = buffer.getvalue()
    return found


def events(page: SearchPage, file: bytes) -> dict[str, Callable[[], None]]:
    """Each does something to the page that was not so before."""
    methods = itertools.cycle([*page.collection.choices][1:] + [*page.collection.choices][:1])
    radii = itertools.cycle([0, 1, 3, 2])
    bits = itertools.count(1)
    sent = {"name": "photo.jpg", "type": "image/jpeg", "size": len(file), "last_modified": 0}

    def other_bits() -> None:
        page.bits.value = next(methods)

    def move() -> None:
        page.radius.value = next(radii)

    def drop() -> None:
        page.drop.value = int(page.kept[next(bits) % len(page.kept)])

    def take() -> None:
        page.upload.set_state({"value": [sent | {"content": memoryview(file)}]})

    return dict(zip(EVENTS, (page.another.click, other_bits, move, drop, take), strict=True))


def parts(page: SearchPage, files: dict[str, bytes]) -> dict[str, Callable[[], object]]:
    """What an answer consists of."""
    collection = page.collection
    splits, choice = collection.splits, next(iter(collection.choices.values()))
    kept, code = np.arange(len(choice)), demo.query_codes(collection.query_logits[:1], choice)[0]
    image, label = splits.query.images[:1], splits.query.labels[0]
    database = choice.codes(collection.database_logits), splits.database.labels
    found = {f"decode a {kind}": lambda file=file: demo.read_upload(file, page.shape) for kind, file in files.items()}
    return found | {
        "logits of the picture": lambda: collection.encoder.logits(image),
        "nearest ten, ties, precision": lambda: demo.answer(code, kept, *database, label),
        "within radius 2": lambda: demo.within(code, kept, *database, 2, label),
        "each bit dropped": lambda: demo.average_precision_without(code, kept, *database, label),
    }


def timed(actions: dict[str, Callable[[], object]], answers: int) -> Iterator[dict]:
    """Median and worst time of each action; a first time that is not counted compiles and fills caches."""
    for name, action in actions.items():
        seconds = []
        for _ in range(answers + 1):
            start = time.perf_counter()
            action()
            seconds.append(time.perf_counter() - start)
        yield {"what": name, "seconds": statistics.median(seconds[1:]), "worst": max(seconds[1:]), "runs": answers}


def measure(args: Args, case: str, collection: demo.Collection, files: dict[str, bytes]) -> list[dict]:
    """Rows of one collection."""
    page = SearchPage(collection)
    about = {"case": case, "n": len(collection.splits.database)}
    rows = [about | {"kind": "event"} | row for row in timed(events(page, next(iter(files.values()))), args.answers)]
    return rows + [about | {"kind": "part"} | row for row in timed(parts(page, files), args.answers)]


def ratios(args: Args, rows: list[dict]) -> list[timing.Ratio]:
    """The worst time of each event at the size for benchmarks/README.md."""
    return [
        timing.Ratio(
            f"search page, {row['n']:,} pictures ({row['case']}): {row['what']}, worst of {row['runs']}",
            "limit for an answer",
            row["worst"],
            LIMIT,
        )
        for row in rows
        if row["kind"] == "event" and row["n"] == args.shown
    ]


def main(args: Args) -> None:
    """Measure, print the table, save rows and figure."""
    collection = load(args)
    files = photos()
    print(", ".join(f"{kind}: {len(file) / 1e6:.1f} MB" for kind, file in files.items()))
    rows = [row for n in args.sizes for row in measure(args, FASHION, of_size(collection, n), files)]
    if args.cifar10:
        rows += measure(args, PHOTOS, photographs(Path(args.cifar10)), files)
        args = replace(args, cifar10="DIR")  # where it lies is nobody's business
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.4g"))
    timing.save("demo", args, rows, ratios(args, rows))
    groups = table[(table.case == FASHION) & (table.kind == "event")].groupby("what", sort=False)
    curves = {what: (lines.n, 1000 * lines.seconds) for what, lines in groups}
    timing.figure("bench_demo", curves, "pictures that are searched", "milliseconds an answer")


if __name__ == "__main__":
    timing.run(main, Args)
