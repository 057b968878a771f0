"""What the two tables of an index hold: read with a check of every value, since anybody can have edited the file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from hashlib_nb.hamming import MultiIndex, Neighbors, Packed, within_radius
from hashlib_nb.search.contents import Content
from hashlib_nb.search.database import OF_OUTPUTS, OF_THRESHOLDS, damaged
from hashlib_nb.search.origin import Origin

ROWS = 512
"""Rows that are read at a time: so few stay in the processor's cache, which halves the time of some thousands."""
MANY = 1000
"""Queries after which codes are put into the tables of `MultiIndex`: these take as long to make as so many scans."""
CHECKSUM = (1 << 63) - 1
"""Checksums are taken modulo one more than this: SQLite's integers hold that."""


@dataclass(frozen=True)
class About:
    """The one row that says what an index holds."""

    origin: Origin
    """What the codes come from."""
    folder: bytes
    """The encoder's, noted as files are."""
    version: bytes
    """Drawn anew by each transaction that adds or takes out pictures."""
    pictures: int
    """How many there are."""
    checksum: int
    """The sum of `_checksum` over all codes."""


@dataclass(eq=False)
class Codes:
    """All codes of one version, and how often they have been asked."""

    version: bytes
    """That of the row about the index."""
    packed: Packed
    """The codes, in the order of adding."""
    starts: np.ndarray
    """int64 [runs], rows of `packed` at which a run of pictures begins whose places follow one another."""
    places: np.ndarray
    """int64 [runs], the place of each run's first picture."""
    asked: int = 0
    """Queries for all within a radius so far."""

    def within_radius(self, query_codes: np.ndarray, radius: int) -> Neighbors:
        """`hamming.within_radius`, which reads all codes until `MANY` queries say that tables of them pay."""
        self.asked += len(query_codes)
        if self.asked < MANY:
            return within_radius(query_codes, self.packed, radius)
        return self._tables.within_radius(query_codes, radius)

    @cached_property
    def _tables(self) -> MultiIndex:
        return MultiIndex.of(self.packed)

    def place(self, row: int) -> int:
        """The place in the database of a row of `packed`."""
        run = int(np.searchsorted(self.starts, row, side="right")) - 1
        return int(self.places[run]) + row - int(self.starts[run])


@dataclass(frozen=True)
class Plan:
    """What adding pictures comes to."""

    missing: list[int] = field(default_factory=list)
    """Which of the files the index lacks: of several with one content the first."""
    stale: list[int] = field(default_factory=list)
    """Places of entries to take out: their file has another content now, or has moved."""
    noted: list[tuple[int | None, int | None, int]] = field(default_factory=list)
    """Size, time of change and place of entries whose file was written anew with the same content."""


def read_about(connection: sqlite3.Connection, file: Path) -> About:
    """The row about an index. Raises ArtifactError where it cannot be."""
    rows = connection.execute("SELECT * FROM about LIMIT 2").fetchall()
    tables = connection.execute("PRAGMA user_version").fetchone()[0]
    try:
        ((model, k, bits, folder, version, pictures, checksum),) = rows
        outputs, thresholds = tuple(json.loads(bits)), None
        if tables == OF_THRESHOLDS:
            outputs, thresholds = zip(*outputs, strict=True)
        origin = Origin(model, k, outputs, thresholds)
    except (ValueError, TypeError, RecursionError) as error:
        raise damaged(file, "it does not say what made its codes") from error
    types = (str, bytes, bytes, int, int)
    if not all(map(isinstance, (model, folder, version, pictures, checksum), types)):
        raise damaged(file, "it does not say how many codes it has")
    # There cannot be more codes than the file has bytes: no room is made for them.
    if not 0 <= pictures * _width(origin) <= file.stat().st_size:
        raise damaged(file, f"it cannot hold the {pictures:,} codes that it claims")
    return About(origin, folder, version, pictures, checksum)


def write_about(connection: sqlite3.Connection, origin: Origin, folder: bytes) -> None:
    """Say of an index without pictures what its codes come from."""
    version, bits = OF_OUTPUTS, origin.outputs
    if not origin.at_half:
        version, bits = OF_THRESHOLDS, [*zip(origin.outputs, origin.thresholds, strict=True)]
    connection.execute(f"PRAGMA user_version = {version}")
    values = (origin.model, origin.k, json.dumps(bits), folder)
    connection.execute("INSERT INTO about VALUES (?, ?, ?, ?, randomblob(16), 0, 0)", values)


def read_codes(connection: sqlite3.Connection, about: About, file: Path) -> Codes:
    """All codes, a few thousand at a time. Raises ArtifactError unless they are those that were added."""
    width = _width(about.origin)
    words = np.empty((_n_words(about.origin), about.pictures), np.uint64)
    starts, places, checksum, at, before = [], [], 0, 0, -1
    rows = connection.execute("SELECT place, code FROM pictures ORDER BY place")
    while chunk := rows.fetchmany(ROWS):
        found, codes = zip(*chunk, strict=True)
        end = at + len(chunk)
        if end > about.pictures or {*map(type, codes)} != {bytes} or {*map(len, codes)} != {width}:
            raise damaged(file, f"its codes are not {about.pictures:,} of {len(about.origin.outputs)} bits")
        block = _words(b"".join(codes), width, len(words))
        words[:, at:end] = block.T
        checksum += _checksum(block)
        found = np.array(found, np.int64)
        breaks = np.flatnonzero(np.diff(found, prepend=before) != 1)
        starts.append(at + breaks)
        places.append(found[breaks])
        at, before = end, found[-1]
    if at != about.pictures or checksum & CHECKSUM != about.checksum:
        raise damaged(file, "its codes are not those that were added")
    try:
        packed = Packed(words, len(about.origin.outputs))
    except ValueError as error:
        raise damaged(file, error) from error
    return Codes(about.version, packed, np.concatenate(starts), np.concatenate(places))


def make_plan(
    connection: sqlite3.Connection,
    names: Sequence[bytes],
    contents: Sequence[Content],
    is_gone: Callable[[bytes], bool],
) -> Plan:
    """Which files the index lacks, and which of its entries they make stale.

    Args:
        connection: in a transaction.
        names: the files, as the index notes them.
        contents: what they hold.
        is_gone: whether there is no file of this name.
    """
    now = dict(zip(names, contents, strict=True))
    plan, known = Plan(), set()
    by_name = "SELECT place, digest, size, mtime_ns FROM pictures WHERE name = ?"
    for name, content in now.items():
        row = connection.execute(by_name, (name,)).fetchone()
        if row is not None and row[1] != content.digest:
            plan.stale.append(row[0])
        elif row is not None:
            known.add(content.digest)
            if row[2:] != (content.size, content.mtime_ns):
                plan.noted.append((content.size, content.mtime_ns, row[0]))
    for digest in {content.digest for content in now.values()} - known:
        row = connection.execute("SELECT place, name FROM pictures WHERE digest = ?", (digest,)).fetchone()
        if row is None or row[1] in now:  # under a name that has another content now
            continue
        if is_gone(row[1]):
            plan.stale.append(row[0])
        else:
            known.add(digest)
    for row, (name, content) in enumerate(zip(names, contents, strict=True)):
        if content.digest not in known and now[name].digest == content.digest:
            known.add(content.digest)
            plan.missing.append(row)
    return plan


class Change:
    """The pictures that come and go in one transaction."""

    def __init__(self, connection: sqlite3.Connection, about: About, file: Path) -> None:
        self.connection = connection
        self._about, self._file = about, file
        self._came: list[bytes] = []
        self._went: list[bytes] = []

    def settle(self, plan: Plan) -> None:
        """Take out what is stale, and note the size and time of what was written anew."""
        self.take_out(plan.stale)
        self.connection.executemany("UPDATE pictures SET size = ?, mtime_ns = ? WHERE place = ?", plan.noted)

    def take_out(self, places: Sequence[int]) -> int:
        """Take out the pictures at these places. Returns how many were there."""
        before = len(self._went)
        for place in places:
            row = self.connection.execute("SELECT code FROM pictures WHERE place = ?", (place,)).fetchone()
            if row is not None:
                self.connection.execute("DELETE FROM pictures WHERE place = ?", (place,))
                self._went.append(row[0])
        return len(self._went) - before

    def put(self, code: bytes, name: bytes, content: Content) -> None:
        """Add a picture."""
        values = (code, name, content.size, content.mtime_ns, content.digest)
        into = "INSERT INTO pictures (code, name, size, mtime_ns, digest) VALUES (?, ?, ?, ?, ?)"
        self.connection.execute(into, values)
        self._came.append(code)

    def close(self) -> None:
        """Bring the row about the index up to date."""
        if not (self._came or self._went):
            return
        checksum = self._about.checksum + self._checksum(self._came) - self._checksum(self._went)
        pictures = self._about.pictures + len(self._came) - len(self._went)
        values = "UPDATE about SET version = randomblob(16), pictures = ?, checksum = ?"
        self.connection.execute(values, (pictures, checksum & CHECKSUM))

    def _checksum(self, codes: Sequence[bytes]) -> int:
        width = _width(self._about.origin)
        if not all(type(code) is bytes and len(code) == width for code in codes):
            raise damaged(self._file, f"it has a code that is not one of {width} bytes")
        return _checksum(_words(b"".join(codes), width, _n_words(self._about.origin)))


def _width(origin: Origin) -> int:
    """Bytes of a stored code."""
    return -(-len(origin.outputs) // 8)


def _n_words(origin: Origin) -> int:
    return -(-len(origin.outputs) // 64)


def _words(codes: bytes, width: int, n_words: int) -> np.ndarray:
    """Stored codes as uint64 [n, n_words]."""
    stored = np.frombuffer(codes, np.uint8).reshape(-1, width)
    filled = np.zeros((len(stored), 8 * n_words), np.uint8)
    filled[:, :width] = stored
    return filled.view("<u8").astype(np.uint64, copy=False)


def _checksum(words: np.ndarray) -> int:
    """A sum that any one changed bit changes, and that codes can be added to and taken from."""
    return int((words * np.arange(1, 2 * words.shape[1], 2, dtype=np.uint64)).sum(dtype=np.uint64))
