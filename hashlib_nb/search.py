"""Exact neighbor search over binary codes: everything within a Hamming radius, or the first n, with ties made visible.

Distances take k+1 values, so nothing needs sorting: one pass over packed codes counts the items at each distance, and a
second pass in the order of the database drops each item at its place (a counting sort whose keys are never stored).
Neighbors stand by distance and, at equal distance, by database index; both functions are exact, for any length of code.

On the command line it answers from an index of pictures (see `hashlib_nb.encode`):

    python -m hashlib_nb.search photo.jpg --index photos-index --top 5
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from hashlib_nb import artifacts, hamming
from hashlib_nb.index import Index, code_of_hex, origin_of, printable

BLOCK = 4096
"""Items whose distances the numba kernels hold at a time: 8 KB, which stays in the processor's nearest cache."""
GRID_QUERIES, GRID_FOUND, GRID_PIXELS = 20, 30, 160
"""How much a picture grid draws: queries, pictures found for each, and their height and width."""
BLANK = np.full((1, 1, 1), 235, np.uint8)
"""What a grid shows for a query that is a code, and for a file that cannot be read."""


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Database items within a radius of each query: row i is `offsets[i]:offsets[i + 1]` of the two flat arrays."""

    offsets: np.ndarray
    """int64 [q + 1]; `np.diff(offsets)` says how many were found for each query."""
    indices: np.ndarray
    """int64 [found], database items, by distance and then by index within each query."""
    distances: np.ndarray
    """uint16 [found], their Hamming distances."""

    def of(self, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and distances of one query's neighbors."""
        row = slice(self.offsets[query], self.offsets[query + 1])
        return self.indices[row], self.distances[row]


@dataclass(frozen=True, eq=False)
class Nearest:
    """The first n database items of each query, and how arbitrary the cut after them is."""

    indices: np.ndarray
    """int64 [q, n], by distance and then by index."""
    distances: np.ndarray
    """uint16 [q, n]."""
    tied: np.ndarray
    """int64 [q], database items at the distance of the last one shown."""
    tied_inside: np.ndarray
    """int64 [q], how many of these are among the n; where it is less than `tied`, the index alone decided."""


def within_radius(query_codes, database_codes, radius: int, *, backend: str = "auto") -> Neighbors:
    """Every database item at Hamming distance `radius` or less (faiss' `range_search` leaves out `radius` itself).

    Memory is proportional to what is found, and to q (radius + 1) for the counts; time is two passes over q x n pairs.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].
        radius: at least 0; from k on, everything is found.
        backend: "numba", "numpy" or "auto", see `hamming.Pairs`.

    Raises:
        ValueError: codes that are not 0/1 matrices of one width, a negative radius, or an unknown backend.
    """
    if radius < 0:
        raise ValueError(f"radius is {radius}; give a Hamming radius of at least 0")
    count, gather = _kernels(backend)
    query, database, k = _packed(query_codes, database_codes)
    take = count(query, database, min(int(radius), k) + 1)
    return Neighbors(*gather(query, database, take))


def nearest(query_codes, database_codes, n: int, *, backend: str = "auto") -> Nearest:
    """The n database items nearest to each query.

    Memory is O(q (n + k)); time is two passes over all pairs, the second of which stops once the n are found.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [items, k].
        n: how many to find, in 1..items.
        backend: "numba", "numpy" or "auto", see `hamming.Pairs`.

    Raises:
        ValueError: codes that are not 0/1 matrices of one width, n out of range, or an unknown backend.
    """
    count, gather = _kernels(backend)
    query, database, k = _packed(query_codes, database_codes)
    if not isinstance(n, (int, np.integer)) or not 1 <= n <= database.shape[1]:
        raise ValueError(f"n is {n}; the database has {database.shape[1]} items, so give 1..{database.shape[1]}")
    counts = count(query, database, k + 1)
    take = np.clip(n - (np.cumsum(counts, axis=1) - counts), 0, counts)  # what each level gives to the first n
    rows, last = np.arange(len(query)), k - np.argmax(take[:, ::-1] > 0, axis=1)
    _, indices, distances = gather(query, database, take)
    return Nearest(indices.reshape(-1, n), distances.reshape(-1, n), counts[rows, last], take[rows, last])


def _packed(query_codes, database_codes) -> tuple[np.ndarray, np.ndarray, int]:
    """Queries uint64 [q, words], the database word by word [words, n], and k."""
    query_codes, database_codes = hamming.check_same_width(query_codes, database_codes)
    database = np.ascontiguousarray(hamming.pack_checked(database_codes).T)
    return hamming.pack_checked(query_codes), database, query_codes.shape[1]


def _kernels(backend: str):
    """The functions (count, gather) of a backend.

    count(query, database, levels): int64 [q, levels], items at each distance below `levels`.
    gather(query, database, take): the first `take[i, d]` items at distance d of query i, for all d, as the three fields
    of `Neighbors`.
    """
    return (_count_numba, _gather_numba) if hamming.numba_enabled(backend) else (_count_numpy, _gather_numpy)


def _offsets(take: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(take.sum(axis=1))])


def _count_numpy(query: np.ndarray, database: np.ndarray, levels: int) -> np.ndarray:
    counts = np.empty((len(query), levels), np.int64)
    for rows in hamming.query_chunks(len(query), database.shape[1]):
        distances = np.minimum(hamming.distance_block(query[rows], database), levels)  # the last bin is thrown away
        bins = np.arange(len(distances))[:, None] * (levels + 1) + distances
        flat = np.bincount(bins.ravel(), minlength=len(distances) * (levels + 1))
        counts[rows] = flat.reshape(-1, levels + 1)[:, :-1]
    return counts


def _gather_numpy(query: np.ndarray, database: np.ndarray, take: np.ndarray):
    farthest = np.where(take > 0, np.arange(take.shape[1]), -1).max(axis=1)
    parts = []
    for rows in hamming.query_chunks(len(query), database.shape[1]):
        block = hamming.distance_block(query[rows], database)
        row, index = np.nonzero(block <= farthest[rows, None])
        distances = block[row, index]
        order = np.lexsort((distances, row))  # stable, so that equal distances stay in the order of the database
        row, index, distances = row[order], index[order], distances[order]
        place = np.arange(len(row)) - np.searchsorted(row, row)
        first = place < take[rows].sum(axis=1)[row]
        parts.append((index[first], distances[first]))
    indices, distances = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _offsets(take), indices, distances


if hamming.numba is not None:
    from numba import njit, prange

    from hashlib_nb.kernels import popcount

    @njit(cache=True)
    def _fill_distances(query, database, start, distances):
        """Distances of one query to the items from `start` on, as many as `distances` holds; a loop that vectorizes."""
        distances[:] = 0
        for word in range(len(query)):
            code, items = query[word], database[word, start : start + len(distances)]
            for j in range(len(items)):
                distances[j] += popcount(code ^ items[j])

    @njit(cache=True, parallel=True)
    def _count_levels(query, database, counts):
        n, levels = database.shape[1], counts.shape[1]
        for i in prange(len(query)):
            block = np.empty(BLOCK, np.uint16)
            # All levels are counted, whatever is asked for: one bin for the rest would take nearly every addition, and
            # each would wait for the one before.
            histogram = np.zeros(hamming.WORD * len(database) + 1, np.int64)
            for start in range(0, n, BLOCK):
                distances = block[: min(BLOCK, n - start)]
                _fill_distances(query[i], database, start, distances)
                for j in range(len(distances)):
                    histogram[distances[j]] += 1
            counts[i] = histogram[:levels]

    @njit(cache=True, parallel=True)
    def _place_items(query, database, take, offsets, indices, found_distances):
        n, levels = database.shape[1], take.shape[1]
        for i in prange(len(query)):
            block = np.empty(BLOCK, np.uint16)
            place = np.empty(levels, np.int64)  # where the next item at each distance goes
            end = np.empty(levels, np.int64)
            at, farthest = offsets[i], -1
            for d in range(levels):
                place[d] = at
                at += take[i, d]
                end[d] = at
                if take[i, d] > 0:
                    farthest = d
            missing = offsets[i + 1] - offsets[i]
            for start in range(0, n, BLOCK):
                if missing == 0:
                    break
                distances = block[: min(BLOCK, n - start)]
                _fill_distances(query[i], database, start, distances)
                for j in range(len(distances)):
                    d = distances[j]
                    if d <= farthest and place[d] < end[d]:
                        indices[place[d]] = start + j
                        found_distances[place[d]] = d
                        place[d] += 1
                        missing -= 1


def _count_numba(query: np.ndarray, database: np.ndarray, levels: int) -> np.ndarray:
    counts = np.empty((len(query), levels), np.int64)
    _count_levels(query, database, counts)
    return counts


def _gather_numba(query: np.ndarray, database: np.ndarray, take: np.ndarray):
    offsets = _offsets(take)
    indices, distances = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.uint16)
    _place_items(query, database, take, offsets, indices, distances)
    return offsets, indices, distances


@dataclass(frozen=True)
class Args:
    """Find the pictures of an index that are nearest to a picture or a code: a line `distance  path` for each."""

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """the queries: picture files, or folders of them"""
    index: Path
    """folder of an index, as hashlib_nb.encode writes it"""
    hex: tuple[str, ...] = ()
    """queries that are codes, as hashlib_nb.encode prints them"""
    top: int | None = None
    """how many to find for each query; 5 where no radius is given"""
    radius: int | None = None
    """find all within this Hamming distance instead"""
    grid: Path | None = field(default_factory=lambda: artifacts.project_root() / "runs" / "search.png")
    """PNG to draw queries and what was found in; None draws nothing"""
    model: Path | None = None
    """folder of the encoder that the index was made with, where it is no longer in the place that the index notes"""
    device: str = "auto"
    """cpu, cuda or auto: where query pictures are encoded"""


@dataclass(frozen=True, eq=False)
class Answer:
    """What was found for one query."""

    query: str
    """The picture's file, or the code in hex."""
    indices: np.ndarray
    """int64 [found], places in the index, nearest first."""
    distances: np.ndarray
    """uint16 [found]."""
    remark: str
    """How many there are, and how arbitrary a cut through tied ones is."""


def main(args: Args) -> None:
    """Search the index that args name, print what is found and draw it.

    Raises:
        ValueError: an argument, an index or a picture that cannot be used.
    """
    _check(args)
    start = time.perf_counter()
    index = Index.load(args.index)
    loading = time.perf_counter() - start
    pictures, codes = _queries(args, index)
    start = time.perf_counter()
    answers = ask(index, codes, [*map(printable, pictures), *args.hex], top=args.top, radius=args.radius)
    searching = time.perf_counter() - start
    for answer in answers:
        print(f"query {answer.query}: {answer.remark}")
        for place, distance in zip(answer.indices.tolist(), answer.distances.tolist(), strict=True):
            print(f"{distance}  {printable(index.path(place))}")
    print(f"{len(index):,} codes of {index.n_bits} bits: loaded in {loading:.2f} s, searched in {searching:.2f} s")
    if args.grid is not None:
        _draw(args.grid, index, pictures, answers)


def _check(args: Args) -> None:
    if args.top is not None and args.radius is not None:
        raise ValueError(f"top is {args.top} and radius {args.radius}; give one of them")
    if args.top is not None and args.top < 1:
        raise ValueError(f"top is {args.top}; give 1 or more neighbors to find")
    if args.radius is not None and args.radius < 0:
        raise ValueError(f"radius is {args.radius}; give a Hamming distance of at least 0")
    if not args.pictures and not args.hex:
        raise ValueError("pictures and hex are empty; name a picture to search with, or give its code")
    if args.grid is not None:
        artifacts.check_writable(args.grid)


def _queries(args: Args, index: Index) -> tuple[list[Path], np.ndarray]:
    """Files of the query pictures, and codes [q, p] of these and then of those given in hex."""
    codes = [code_of_hex(text, index.n_bits)[None] for text in args.hex]
    if not args.pictures:
        return [], np.concatenate(codes)
    from hashlib_nb import encode  # brings in torch, which a search by codes does not need

    paths = encode.find_pictures(args.pictures)
    model = args.model or index.model
    index.check_model(origin_of(model))
    encoder = encode.load_encoder(model, args.device)
    made = encode.encode_pictures(encoder, paths, index.origin.bits, progress=len(paths) > encode.CHUNK)
    return paths, np.concatenate([made.codes, *codes])


def ask(
    index: Index, codes: np.ndarray, queries: Sequence[str], *, top: int | None = None, radius: int | None = None
) -> list[Answer]:
    """Search an index of pictures.

    Args:
        index: of n pictures.
        codes: {0,1} [q, p], with p the index' bits.
        queries: q texts that say what the codes are of.
        top: how many to find, all n where there are fewer; None is 5 if there is no radius either.
        radius: find all within this Hamming distance instead.

    Raises:
        ValueError: what `nearest` and `within_radius` refuse.
    """
    database = index.unpacked()
    if radius is not None:
        found = within_radius(codes, database, radius)
        rows = [found.of(row) for row in range(len(codes))]
        remarks = [f"{len(row[0]):,} of {len(index):,} within distance {radius}" for row in rows]
    else:
        wanted = 5 if top is None else top
        nearby = nearest(codes, database, min(wanted, len(index)))
        rows = list(zip(nearby.indices, nearby.distances, strict=True))
        remarks = [_remark(nearby, row, wanted, len(index)) for row in range(len(codes))]
    return [Answer(query, *row, remark) for query, row, remark in zip(queries, rows, remarks, strict=True)]


def _remark(found: Nearest, row: int, wanted: int, n: int) -> str:
    shown, last, tied = found.indices.shape[1], found.distances[row, -1], found.tied[row]
    if shown == n:
        return f"all {n:,} pictures of the index" + (f", not {wanted:,}" if n < wanted else "")
    inside = found.tied_inside[row]
    return f"the nearest {shown:,} of {n:,}; {tied:,} tie at distance {last}, {inside:,} of them shown"


def _draw(path: Path, index: Index, pictures: Sequence[Path], answers: Sequence[Answer]) -> None:
    """A picture grid of the first queries and the nearest of what they found."""
    from hashlib_nb import plots  # brings in matplotlib

    drawn = answers[:GRID_QUERIES]
    queries = [_pixels(file) for file in pictures[:GRID_QUERIES]]
    queries += [BLANK] * (len(drawn) - len(queries))
    titles = [f"{_short(answer.query)}\n{len(answer.indices):,} found" for answer in drawn]
    found, captions = zip(*(_beside(index, answer) for answer in drawn), strict=True)
    plots.save_png(plots.neighbors(queries, found, titles, captions), path)
    cut = len(drawn) < len(answers) or any(len(answer.indices) > GRID_FOUND for answer in drawn)
    limits = f" (the first {GRID_QUERIES} queries, {GRID_FOUND} pictures each, at most)" if cut else ""
    print(f"grid: {artifacts.shown(path)}{limits}")


def _beside(index: Index, answer: Answer) -> tuple[list[np.ndarray], list[str]]:
    """The pictures found for a query, and what the grid says under each."""
    files = [index.path(place) for place in answer.indices[:GRID_FOUND].tolist()]
    pixels = [_pixels(file) for file in files]
    names = [
        "cannot be read" if found is BLANK else _short(file.name) for file, found in zip(files, pixels, strict=True)
    ]
    distances = answer.distances[:GRID_FOUND].tolist()
    return pixels, [f"distance {distance}\n{name}" for distance, name in zip(distances, names, strict=True)]


def _pixels(path: Path) -> np.ndarray:
    """A picture for the grid, uint8 [h, w, c]; BLANK for a file that has gone, since its distance still counts."""
    from hashlib_nb.datasets._pictures import decode

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
