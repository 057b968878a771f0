"""An index of pictures: their codes, their files, and what made the codes. `encode` fills it, `answers` asks it.

It is an SQLite database, `index.sqlite` in the index' folder, with a row for each picture. Each call is one
transaction: two programs that add pictures at once lose nothing, a program that is killed loses what it was adding in
that moment, and adding to a million pictures takes as long as adding to none. A search reads the codes, 8 bytes each at
64 bits, and the names of its answers alone.
"""

from __future__ import annotations

import os
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashlib_nb import artifacts, checks
from hashlib_nb.hamming import check_codes, pack_bytes
from hashlib_nb.search import database
from hashlib_nb.search.answers import Found, ask
from hashlib_nb.search.contents import Content, contents_of, is_gone, path_of, paths_of, unchanged
from hashlib_nb.search.origin import Origin
from hashlib_nb.search.tables import ROWS, Change, Codes, Plan, make_plan, read_about, read_codes, write_about

FILE, FILE_BEFORE = "index.sqlite", "index.npz"
"""The file in an index' folder, and that of version 0.1, which is no longer read."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """An index as it is within one transaction."""

    index: Index
    """Whose it is."""
    connection: sqlite3.Connection
    """In the middle of that transaction."""
    codes: Codes
    """Its codes."""

    def paths(self, rows: Iterable[int]) -> list[Path]:
        """Files of pictures, by their rows in the order of adding."""
        by_place = "SELECT name FROM pictures WHERE place = ?"
        found = (self.connection.execute(by_place, (self.codes.place(int(row)),)).fetchone() for row in rows)
        return [self.index.file_of(row and row[0]) for row in found]

    def unpacked(self) -> np.ndarray:
        """The codes as uint8 {0,1} [n, p]."""
        words = np.ascontiguousarray(self.codes.packed.words.T).astype("<u8", copy=False)
        return np.unpackbits(words.view(np.uint8), axis=1, count=self.index.n_bits, bitorder="little")

    def digests(self) -> list[bytes]:
        """SHA-256 of each picture's file as it was when it was added, 32 bytes each, in the order of adding."""
        digests = [digest for (digest,) in self.connection.execute("SELECT digest FROM pictures ORDER BY place")]
        if not all(isinstance(digest, bytes) and len(digest) == 32 for digest in digests):
            raise database.damaged(self.index.file, "it holds no SHA-256 of a picture")
        return digests


class Index:
    """Pictures and their codes, in the order in which they were added; see the module.

    A picture's file is noted relative to the index' folder, unless the two have no folder in common but the top one, so
    that a folder that holds both can be moved. Links among the folders are followed first: the way back from where an
    index lies is not the way that led there.

    Args:
        path: the index' folder, which holds `index.sqlite`, or that file.
        origin: what the codes come from. With it an index that is not there yet is made, by the first `add`; without
            it the index must be there.
        model: the encoder's folder, noted in an index that is made.

    Raises:
        ArtifactError: there is no index and no origin, or the file is damaged, of another program or another version.
        ValueError: the index has codes of another origin.
    """

    def __init__(self, path: Path, origin: Origin | None = None, model: Path | None = None) -> None:
        path = path_of(path, "index")
        try:
            is_file = path.is_file() or (path.suffix == Path(FILE).suffix and not path.is_dir())
        except OSError as error:
            raise database.closed(path, error) from error
        self.folder = path.parent if is_file else path
        """Where the index lies, or is to lie."""
        self.file = path if is_file else path / FILE
        """The database."""
        real = os.path.realpath(self.folder)
        self._real = Path(real)
        self._base = self.folder if real == os.path.abspath(self.folder) else self._real
        self._codes: Codes | None = None
        if self._is_there():
            with database.reading(self.file) as connection:
                about = read_about(connection, self.file)
            self.origin, self.model = about.origin, self.file_of(about.folder)
            if origin is not None:
                self.check_origin(origin)
        elif origin is None:
            raise artifacts.ArtifactError(f"index: {artifacts.shown(self.folder)} {self._lack()}")
        else:
            self.origin, self.model = origin, path_of("." if model is None else model, "model")

    def __len__(self) -> int:
        if not self._is_there():
            return 0
        with database.reading(self.file) as connection:
            return read_about(connection, self.file).pictures

    @property
    def n_bits(self) -> int:
        """p, bits of a code."""
        return len(self.origin.outputs)

    # --- asking -------------------------------------------------------------------------------------------------------

    def search(
        self,
        codes: np.ndarray,
        queries: Sequence[str] | None = None,
        *,
        top: int | None = None,
        radius: int | None = None,
    ) -> list[Found]:
        """The nearest pictures to each code, or all within a radius.

        Args:
            codes: {0,1} [q, p].
            queries: q texts that say what the codes are of; None says them in hex.
            top: how many to find, all where there are fewer; 5 where no radius is given either.
            radius: find all within this Hamming distance instead.

        Raises:
            ValueError: both top and radius, or codes, top or radius that cannot be, or an index without pictures.
        """
        return ask(self, codes, queries, top=top, radius=radius)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The index as it is now, and stays until the end of the block: programs that write wait for it.

        Raises:
            ValueError: there are no pictures.
            ArtifactError: the index is damaged.
        """
        if not self._is_there():
            raise self._without_pictures()
        with database.reading(self.file) as connection:
            about = read_about(connection, self.file)
            self.check_origin(about.origin)  # the file may have been replaced
            if about.pictures == 0:
                raise self._without_pictures()
            if self._codes is None or self._codes.version != about.version:
                self._codes = None  # first, since both would lie in memory side by side
                self._codes = read_codes(connection, about, self.file)
            yield Snapshot(self, connection, self._codes)

    def _without_pictures(self) -> ValueError:
        return ValueError(f"index: {artifacts.shown(self.folder)} holds no pictures; add some with hashlib-nb encode")

    def unpacked(self) -> np.ndarray:
        """The codes as uint8 {0,1} [n, p]."""
        if len(self) == 0:
            return np.zeros((0, self.n_bits), np.uint8)
        with self.snapshot() as held:
            return held.unpacked()

    def paths(self) -> list[Path]:
        """The files of all pictures, in the order in which they were added."""
        if len(self) == 0:
            return []
        with self.snapshot() as held:
            return held.paths(range(len(held.codes.packed)))

    def path(self, row: int) -> Path:
        """The file of a picture, absolute if it was noted so, else by way of the index' folder."""
        with self.snapshot() as held:
            row = checks.count(row, "row", least=0, most=len(held.codes.packed) - 1, why="the pictures of the index")
            return held.paths([row])[0]

    # --- adding and taking out ----------------------------------------------------------------------------------------

    def noted(self, paths: Sequence[Path]) -> dict[Path, Content]:
        """What those files hold that have the size and time of change that the index noted; none is read."""
        paths, found = paths_of(paths, "paths"), {}
        names = self._names_of(paths)
        by_name = "SELECT digest, size, mtime_ns FROM pictures WHERE name = ?"
        for first in range(0, len(paths) if self._is_there() else 0, ROWS):
            some = slice(first, first + ROWS)
            with database.reading(self.file) as connection:
                for path, name in zip(paths[some], names[some], strict=True):
                    row = connection.execute(by_name, (name,)).fetchone()
                    if row is not None and unchanged(path, content := Content(*row)):
                        found[path] = content
        return found

    def plan(self, paths: Sequence[Path], contents: Sequence[Content | bytes]) -> Plan:
        """Which files the index lacks, and which of its entries they make stale.

        Stale is a picture whose file is among `paths` with another content, or has gone while `paths` have its content.

        Args:
            paths: files.
            contents: what they hold, or its SHA-256.
        """
        paths = paths_of(paths, "paths")
        names, contents = self._names_of(paths), contents_of(paths, contents)
        if self._is_there():
            with database.reading(self.file) as connection:
                return make_plan(connection, names, contents, self._is_gone)
        first = {content.digest: row for row, content in reversed([*enumerate(contents)])}
        return Plan(missing=sorted(first.values()))

    def add(
        self,
        codes: np.ndarray,
        paths: Sequence[Path],
        contents: Sequence[Content | bytes] | None = None,
        *,
        plan: Plan | None = None,
    ) -> int:
        """Add pictures at the end, in one transaction: all of them, or none.

        A picture whose content is there already is passed over; an entry whose file has another content now, or has
        moved, is taken out.

        Args:
            codes: {0,1} [m, p].
            paths: their files.
            contents: what each file held, or its SHA-256; None reads the files.
            plan: of a larger number of files, whose stale entries are taken out in the same transaction.

        Returns:
            How many were added.

        Raises:
            ValueError: codes that are not 0/1 of the index' length, or another number of files or contents.
            ArtifactError: the index cannot be written, or has been replaced by one of another origin.
        """
        paths = paths_of(paths, "paths")
        packed = self._packed(codes, len(paths))
        names, contents = self._names_of(paths), contents_of(paths, contents)
        with self._writing() as change:
            if plan is not None:
                change.settle(plan)
            own = make_plan(change.connection, names, contents, self._is_gone)
            change.settle(own)
            for row in own.missing:
                change.put(packed[row].tobytes(), names[row], contents[row])
        return len(own.missing)

    def remove_missing(self, folder: Path | None = None) -> int:
        """Take out the pictures whose file is gone, in one transaction; who cannot be asked for is not gone.

        Args:
            folder: those that lay in it, or in a folder in it; None looks at all.

        Returns:
            How many were taken out.
        """
        folder = None if folder is None else path_of(folder, "folder")
        if not self._is_there():
            return 0
        gone = [place for place, file in self._below(folder) if is_gone(file)]
        if not gone:
            return 0
        with self._writing() as change:
            return change.take_out(gone)

    def check_writable(self) -> None:
        """Raise ArtifactError if pictures cannot be added: for before the long work whose result goes there."""
        if self._is_there():
            with database.writing(self.file):
                pass
        place = next(place for place in self.file.absolute().parents if place.exists())
        if not (place.is_dir() and os.access(place, os.W_OK)):
            raise artifacts.ArtifactError(
                f"index: {artifacts.shown(self.folder)} cannot be written; name a folder that can be"
            )

    # --- names --------------------------------------------------------------------------------------------------------

    def name_of(self, path: Path) -> str:
        """How a file is noted: see the class."""
        return os.fsdecode(self._names_of([path])[0])

    def file_of(self, name: bytes) -> Path:
        """The file that is noted so: absolute if it was noted so, else by way of the index' folder."""
        return self._from(self._base, name)

    def _from(self, folder: Path, name: bytes) -> Path:
        if not isinstance(name, bytes):
            raise database.damaged(self.file, f"{name!r:.60} is no name of a file")
        return Path(os.path.normpath(folder / os.fsdecode(name)))

    def _names_of(self, paths: Sequence[Path]) -> list[bytes]:
        real: dict[str, str] = {}  # most files share their folder, and each part of its path must be asked for
        names = []
        for path in paths:
            folder, name = os.path.split(os.path.abspath(path) if os.path.basename(path) in ("", "..") else path)
            if folder not in real:
                real[folder] = os.path.realpath(folder)
            names.append(os.fsencode(self._relative(os.path.join(real[folder], name))))
        return names

    def _relative(self, path: str) -> str:
        together = Path(path).parts[:2] == self._real.parts[:2]  # the top folder and the first one in it
        return os.path.relpath(path, self._real) if together else path

    # --- what the database holds --------------------------------------------------------------------------------------

    def _is_there(self) -> bool:
        return database.is_there(self.file)

    def _lack(self) -> str:
        if (self.folder / FILE_BEFORE).exists():
            return (
                f"holds an {FILE_BEFORE} of version 0.1, which is no longer read; encode the pictures again with "
                "hashlib-nb encode --index"
            )
        return f"holds no {self.file.name}; make one with hashlib-nb encode --index"

    def _below(self, folder: Path | None) -> Iterator[tuple[int, Path]]:
        """Places and files of the pictures in a folder and those in it, a page of names in each transaction."""
        low, high, within = b"", None, None
        if folder is not None:
            within = Path(os.path.realpath(folder))
            if not self._real.is_relative_to(within):
                low = os.fsencode(os.path.join(self._relative(str(within)), ""))
                high = low[:-1] + bytes([low[-1] + 1])
        page = "SELECT place, name FROM pictures WHERE name > ? AND (? IS NULL OR name < ?) ORDER BY name LIMIT ?"
        while True:
            with database.reading(self.file) as connection:
                rows = connection.execute(page, (low, high, high, ROWS)).fetchall()
            for place, name in rows:
                file = self._from(self._real, name)
                if within is None or file.is_relative_to(within):
                    yield place, file
            if len(rows) < ROWS:
                return
            low = rows[-1][1]

    def _packed(self, codes: np.ndarray, n: int) -> np.ndarray:
        """Checked codes as they are stored, uint8 [n, ceil(p/8)]."""
        if n == 0:
            return np.zeros((0, 0), np.uint8)
        codes = check_codes(codes)
        if codes.shape != (n, self.n_bits):
            raise ValueError(
                f"codes has shape {list(codes.shape)}; give one of {self.n_bits} bits, as the index has, for each of "
                f"{n} paths"
            )
        return pack_bytes(codes)

    @contextmanager
    def _writing(self) -> Iterator[Change]:
        with database.writing(self.file) as connection:
            held = "SELECT EXISTS (SELECT 1 FROM about) OR EXISTS (SELECT 1 FROM pictures)"
            if not connection.execute(held).fetchone()[0]:
                write_about(connection, self.origin, self._names_of([self.model])[0])
            about = read_about(connection, self.file)
            self.check_origin(about.origin)  # of two programs that make an index, the second may have another
            change = Change(connection, about, self.file)
            yield change
            change.close()

    def _is_gone(self, name: bytes) -> bool:
        return is_gone(self.file_of(name))

    # --- checks -------------------------------------------------------------------------------------------------------

    def check_model(self, origin: Origin) -> None:
        """Raise ValueError if the origin is another model's."""
        if origin.model != self.origin.model or origin.k != self.origin.k:
            raise ValueError(
                f"index: {artifacts.shown(self.folder)} was made with another model (weights "
                f"{self.origin.model[:12]}, now {origin.model[:12]}); give that model, which was in "
                f"{artifacts.shown(self.model)}, or name a new index"
            )

    def check_origin(self, origin: Origin) -> None:
        """Raise ValueError unless codes of this origin can be compared with those of the index."""
        self.check_model(origin)
        if origin == self.origin:
            return
        asked, held = ([*zip(each.outputs, each.thresholds, strict=True)] for each in (origin, self.origin))
        other = f"{len(asked)} that are asked for"
        if len(asked) == len(held):
            bit = next(bit for bit in range(len(held)) if asked[bit] != held[bit])
            other += f": bit {bit} asks for {self.origin.question(bit)}, not {origin.question(bit)}"
        raise ValueError(
            f"index: {artifacts.shown(self.folder)} keeps {self.origin.said}, not the {other}; give the selection that "
            "it was made with or name a new index"
        )

    # --- version 0.1 --------------------------------------------------------------------------------------------------

    @classmethod
    def load(cls, folder: Path) -> Index:
        """Version 0.1's way to open an index: `Index(folder)`."""
        _ends("Index.load(folder)", "Index(folder)")
        return cls(folder)

    @classmethod
    def new(cls, folder: Path, origin: Origin, model: Path) -> Index:
        """Version 0.1's way to make an index: `Index(folder, origin, model)`."""
        _ends("Index.new(folder, origin, model)", "Index(folder, origin, model)")
        return cls(folder, origin, model)

    @classmethod
    def load_or_new(cls, folder: Path, origin: Origin, model: Path) -> Index:
        """Version 0.1's way to open or make an index: `Index(folder, origin, model)`."""
        _ends("Index.load_or_new(folder, origin, model)", "Index(folder, origin, model)")
        return cls(folder, origin, model)

    def added(self, codes: np.ndarray, paths: Sequence[Path], contents: Sequence[bytes]) -> Index:
        """Version 0.1's `add`, to be followed by `save`."""
        _ends("Index.added", "Index.add, which writes")
        self.add(codes, paths, contents)
        return self

    def save(self) -> None:
        """Nothing: pictures are written as they are added."""
        _ends("Index.save", "not needed: Index.add writes")


def _ends(before: str, now: str) -> None:
    warnings.warn(f"{before} is now {now}; the old name ends with 0.3", DeprecationWarning, stacklevel=3)
