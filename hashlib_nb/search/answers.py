"""What an index of pictures answers: for each query the nearest or all within a radius, and what ties leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming import Nearest, check_codes, nearest
from hashlib_nb.search.origin import hex_of

if TYPE_CHECKING:
    from hashlib_nb.search.index import Index


@dataclass(frozen=True, eq=False)
class Found:
    """What was found for one query."""

    query: str
    """The picture's file, or the code in hex."""
    indices: np.ndarray
    """int64 [found], places in the order in which pictures were added, nearest first."""
    distances: np.ndarray
    """uint16 [found]."""
    remark: str
    """How many there are, and how arbitrary a cut through tied ones is."""
    paths: list[Path] = field(default_factory=list)
    """The files of those that were found."""


def ask(
    index: Index,
    codes: np.ndarray,
    queries: Sequence[str] | None = None,
    *,
    top: int | None = None,
    radius: int | None = None,
) -> list[Found]:
    """Search an index of pictures, in one transaction.

    Args:
        index: of n pictures.
        codes: {0,1} [q, p], with p the index' bits.
        queries: q texts that say what the codes are of; None says them in hex.
        top: how many to find, all n where there are fewer; 5 where no radius is given either.
        radius: find all within this Hamming distance instead.

    Raises:
        ValueError: both top and radius, another number of texts than of codes, an index without pictures, or what
            `nearest` and `within_radius` refuse.
    """
    if top is not None and radius is not None:
        raise ValueError(f"top is {top} and radius {radius}; give one of them")
    wanted = checks.count(5 if top is None else top, "top")
    radius = None if radius is None else checks.count(radius, "radius", least=0)
    codes = check_codes(codes)
    queries = hex_of(codes) if queries is None else queries
    is_list = isinstance(queries, Sequence) and not isinstance(queries, str)
    if not is_list or not all(isinstance(query, str) for query in queries):
        raise ValueError(f"queries is {checks.shown(queries)}; give a list with one text for each code")
    if len(queries) != len(codes):
        raise ValueError(f"queries has {len(queries)} texts and codes {len(codes)} rows; give one text for each code")
    with index.snapshot() as held:
        database = held.codes.packed
        n = len(database)
        if radius is not None:
            found = held.codes.within_radius(codes, radius)
            rows = [found.of(row) for row in range(len(codes))]
            remarks = [f"{len(row[0]):,} of {n:,} within distance {radius}" for row in rows]
        else:
            nearby = nearest(codes, database, min(wanted, n))
            rows = list(zip(nearby.indices, nearby.distances, strict=True))
            remarks = [_remark(nearby, row, wanted, n) for row in range(len(codes))]
        return [
            Found(query, *row, remark, held.paths(row[0]))
            for query, row, remark in zip(queries, rows, remarks, strict=True)
        ]


def _remark(found: Nearest, row: int, wanted: int, n: int) -> str:
    shown, last, tied = found.indices.shape[1], found.distances[row, -1], found.tied[row]
    if shown == n:
        return f"all {n:,} pictures of the index" + (f", not {wanted:,}" if n < wanted else "")
    inside = found.tied_inside[row]
    return f"the nearest {shown:,} of {n:,}; {tied:,} tie at distance {last}, {inside:,} of them shown"
