"""Search an index of pictures from the shell.

python -m hashlib_nb.search photo.jpg --index photos-index --top 5        # see --help
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from hashlib_nb import artifacts, checks
from hashlib_nb.artifacts import printable
from hashlib_nb.search.answers import Found
from hashlib_nb.search.index import Index
from hashlib_nb.search.origin import classes_of, code_of_hex, origin_of

GRID_QUERIES, GRID_FOUND, GRID_PIXELS = 20, 30, 160
"""How much a picture grid draws: queries, pictures found for each, and their height and width."""
BLANK = np.full((1, 1, 1), 235, np.uint8)
"""What a grid shows for a query that is a code, and for a file that cannot be read."""


def usual_grid() -> Path:
    """Where the drawing goes that nobody asked for."""
    return artifacts.project_root() / "runs" / "search.png"


@dataclass(frozen=True)
class Args:
    """Find the pictures of an index that are nearest to a picture or a code: a line `distance  path` for each."""

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """the queries: picture files, or folders of them"""
    index: Path
    """folder of an index, as hashlib-nb encode writes it"""
    hex: tuple[str, ...] = ()
    """queries that are codes, as hashlib-nb encode prints them"""
    top: int | None = None
    """how many to find for each query; 5 where no radius is given"""
    radius: int | None = None
    """find all within this Hamming distance instead"""
    decided: bool = False
    """compare each query picture by the code of its class instead of its own: the class that all outputs of the encoder
    say it is of. A decided query is a classifier's word: where that is wrong, so is all that is found"""
    grid: Path | None = field(default_factory=usual_grid)
    """PNG to draw queries and what was found in; another picture is not replaced; None draws nothing"""
    model: Path | None = None
    """folder of the encoder that the index was made with, where it is no longer in the place that the index notes"""
    device: str = "auto"
    """cpu, cuda or auto: where query pictures are encoded"""


def main(args: Args) -> None:
    """Search the index that args name, print what is found and draw it.

    Raises:
        ValueError: an argument, an index or a picture that cannot be used.
    """
    _check(args)
    start = time.perf_counter()
    index = Index(args.index)
    with index.snapshot() as held:
        n = len(held.codes.packed)
    loading = time.perf_counter() - start
    pictures, codes = _queries(args, index)
    start = time.perf_counter()
    answers = index.search(codes, [*map(printable, pictures), *args.hex], top=args.top, radius=args.radius)
    searching = time.perf_counter() - start
    for answer in answers:
        print(f"query {answer.query}{', decided' * args.decided}: {answer.remark}")
        for path, distance in zip(answer.paths, answer.distances.tolist(), strict=True):
            print(f"{distance}  {printable(path)}")
    print(f"{n:,} codes of {index.n_bits} bits: loaded in {loading:.2f} s, searched in {searching:.2f} s")
    try:
        if args.grid is not None and (args.grid != usual_grid() or artifacts.or_dropped(args.grid)):
            _draw(args.grid, pictures, answers)
    except artifacts.WriteError as error:
        if args.grid != usual_grid():
            raise
        print(f"left out: {error}")


def _check(args: Args) -> None:
    if args.top is not None and args.radius is not None:
        raise ValueError(f"top is {args.top} and radius {args.radius}; give one of them")
    if args.top is not None:
        checks.count(args.top, "top")
    if args.radius is not None:
        checks.count(args.radius, "radius", least=0)
    if not args.pictures and not args.hex:
        raise ValueError("pictures and hex are empty; name a picture to search with, or give its code")
    if args.decided and args.hex:
        raise ValueError(
            f"decided is given with hex {args.hex[0]!r:.60}, a code without the outputs that decide; give pictures, or "
            "leave decided out"
        )
    if args.grid is not None and args.grid != usual_grid():
        artifacts.check_writable(args.grid, artifacts.replaces_figure)


def _queries(args: Args, index: Index) -> tuple[list[Path], np.ndarray]:
    """Files of the query pictures, and codes [q, p] of these and then of those given in hex."""
    codes = [code_of_hex(text, index.n_bits)[None] for text in args.hex]
    if not args.pictures:
        return [], np.concatenate(codes)
    from hashlib_nb.search import encode, find_pictures  # brings in torch, which a search by codes does not need

    paths = find_pictures(args.pictures)
    model = args.model or index.model
    index.check_model(origin_of(model))
    classes = classes_of(model) if args.decided else None
    encoder = encode.load_encoder(model, args.device)
    asked = (index.origin.outputs, index.origin.thresholds)
    made = encode.encode_pictures(encoder, paths, *asked, classes=classes, progress=len(paths) > encode.CHUNK)
    return paths, np.concatenate([made.codes, *codes])


def _draw(path: Path, pictures: Sequence[Path], answers: Sequence[Found]) -> None:
    """A picture grid of the first queries and the nearest of what they found."""
    from hashlib_nb import plots  # brings in matplotlib

    drawn = answers[:GRID_QUERIES]
    queries = [_pixels(file) for file in pictures[:GRID_QUERIES]]
    queries += [BLANK] * (len(drawn) - len(queries))
    titles = [f"{_short(answer.query)}\n{len(answer.indices):,} found" for answer in drawn]
    found, captions = zip(*map(_beside, drawn), strict=True)
    plots.save_png(plots.neighbors(queries, found, titles, captions), path)
    cut = len(drawn) < len(answers) or any(len(answer.indices) > GRID_FOUND for answer in drawn)
    limits = f" (the first {GRID_QUERIES} queries, {GRID_FOUND} pictures each, at most)" if cut else ""
    print(f"grid: {artifacts.shown(path)}{limits}")


def _beside(answer: Found) -> tuple[list[np.ndarray], list[str]]:
    """The pictures found for a query, and what the grid says under each."""
    files = answer.paths[:GRID_FOUND]
    pixels = [_pixels(file) for file in files]
    names = [
        "cannot be read" if found is BLANK else _short(file.name) for file, found in zip(files, pixels, strict=True)
    ]
    distances = answer.distances[:GRID_FOUND].tolist()
    return pixels, [f"distance {distance}\n{name}" for distance, name in zip(distances, names, strict=True)]


def _pixels(path: Path) -> np.ndarray:
    """A picture for the grid, uint8 [h, w, c]; BLANK for a file that has gone, since its distance still counts."""
    from hashlib_nb.datasets import decode

    try:
        return decode(path, GRID_PIXELS)
    except (OSError, ValueError):
        return BLANK


def _short(name: str, most: int = 17) -> str:
    """A file's name, or a code, with its middle left out where it is long."""
    name = Path(name).name
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2) :]}"


if __name__ == "__main__":
    artifacts.run(main, Args)
