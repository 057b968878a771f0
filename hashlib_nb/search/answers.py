"""What an index of pictures answers: for each query the nearest or all within a radius, and what ties leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hashlib_nb.hamming import Nearest, nearest, within_radius

if TYPE_CHECKING:
    from hashlib_nb.search.index import Index


@dataclass(frozen=True, eq=False)
class Found:
    """What was found for one query."""

    query: str
    """The picture's file, or the code in hex."""
    indices: np.ndarray
    """int64 [found], places in the index, nearest first."""
    distances: np.ndarray
    """uint16 [found]."""
    remark: str
    """How many there are, and how arbitrary a cut through tied ones is."""


def ask(
    index: Index, codes: np.ndarray, queries: Sequence[str], *, top: int | None = None, radius: int | None = None
) -> list[Found]:
    """Search an index of pictures.

    Args:
        index: of n pictures.
        codes: {0,1} [q, p], with p the index' bits.
        queries: q texts that say what the codes are of.
        top: how many to find, all n where there are fewer; 5 where no radius is given either.
        radius: find all within this Hamming distance instead.

    Raises:
        ValueError: both top and radius, or what `nearest` and `within_radius` refuse.
    """
    if top is not None and radius is not None:
        raise ValueError(f"top is {top} and radius {radius}; give one of them")
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
    return [Found(query, *row, remark) for query, row, remark in zip(queries, rows, remarks, strict=True)]


def _remark(found: Nearest, row: int, wanted: int, n: int) -> str:
    shown, last, tied = found.indices.shape[1], found.distances[row, -1], found.tied[row]
    if shown == n:
        return f"all {n:,} pictures of the index" + (f", not {wanted:,}" if n < wanted else "")
    inside = found.tied_inside[row]
    return f"the nearest {shown:,} of {n:,}; {tied:,} tie at distance {last}, {inside:,} of them shown"
