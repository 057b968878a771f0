"""The SQLite file of an index: opened for one transaction, checked, and every fault of it said in a sentence.

Each reader and each writer opens the file for one transaction and closes it, so that nothing is held between calls and
nothing is shared with another process or thread. Readers never write, which is why a copy in a folder that cannot be
written answers; a writer waits for the others. The journal is SQLite's older one, beside the file while a transaction
lasts: the newer one (WAL) needs shared memory, which home folders on a network lack.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from hashlib_nb import artifacts

WAIT = 30.0
"""Seconds that a transaction waits for those of other programs."""
APPLICATION = int.from_bytes(b"hnbi", "big")
"""What tells an index from other SQLite files."""
OF_OUTPUTS, OF_THRESHOLDS = 1, 2
"""Versions of an index. The tables are the same; `about.bits` lists the outputs that bits ask at one half, or, in the
second, pairs of output and threshold in logits. Programs that know the first alone say so of the second."""
TABLES = {
    "about": (
        "CREATE TABLE about (model TEXT NOT NULL, k INTEGER NOT NULL, bits TEXT NOT NULL, folder BLOB NOT NULL, "
        "version BLOB NOT NULL, pictures INTEGER NOT NULL, checksum INTEGER NOT NULL)"
    ),
    "pictures": (
        "CREATE TABLE pictures (place INTEGER PRIMARY KEY AUTOINCREMENT, code BLOB NOT NULL, "
        "name BLOB NOT NULL UNIQUE, size INTEGER, mtime_ns INTEGER, digest BLOB NOT NULL UNIQUE)"
    ),
}
"""One row about the encoder and the state; one row a picture, whose place no other picture ever gets."""
AGAIN = "delete it and encode the pictures again"
SENTENCES = {
    "BUSY": f"has been written by another program for {WAIT:.0f} s; wait for it and run the command again",
    "LOCKED": f"has been written by another program for {WAIT:.0f} s; wait for it and run the command again",
    "FULL": "could not be written, since the disk is full; free some space and run the command again",
    "READONLY": "cannot be written; give an index in a folder that can be",
    "CANTOPEN": "cannot be opened; see that its folder can be read, and written to add pictures",
    "PERM": "cannot be opened; see that it can be read, and written to add pictures",
    "IOERR": "could not be read or written; see to the disk and run the command again",
    "NOTADB": "is no index of pictures, or one whose beginning is damaged; name another folder, or delete the file",
}
"""What is said of SQLite's errors; of all others, that the file is damaged."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction that reads an index, and cannot write. Raises ArtifactError for a file that is none."""
    _check_regular(path)
    with _sentences(path), closing(_connect(path, "ro")) as connection:
        try:
            _begin(connection)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "") != "SQLITE_READONLY_ROLLBACK":
                raise
            _undo_what_was_killed(path, error)
            connection.execute("ROLLBACK")
            _begin(connection)
        _check(connection, path)
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction that writes an index, or makes the tables of a new one; all of it happens, or nothing.

    Raises:
        ArtifactError: a file that is no index, or cannot be written.
    """
    _check_regular(path)
    with _sentences(path):
        _make_file(path)
        with closing(_connect(path, "rw")) as connection:
            connection.execute("BEGIN IMMEDIATE")
            if path.stat().st_size == 0:  # asked under the lock: of several programs, the first makes the tables
                _make_tables(connection)
            else:
                _check(connection, path)
            yield connection
            connection.execute("COMMIT")


def is_there(path: Path) -> bool:
    """Whether a file has anything in it: a program that was killed as it made an index leaves an empty one."""
    try:
        _check_regular(path)
    except OSError as error:
        raise closed(path, error) from error
    if path.exists() and path.with_name(f"{path.name}-journal").exists():
        with suppress(artifacts.ArtifactError), _sentences(path):  # who reads comes upon it again
            _undo_what_was_killed(path, None)
    return path.exists() and path.stat().st_size > 0


def _check_regular(path: Path) -> None:
    """Raise ArtifactError for a pipe, a device or a folder, of which SQLite would read, perhaps for ever."""
    if path.exists() and not path.is_file():
        raise artifacts.ArtifactError(f"index: {artifacts.shown(path)} is no regular file; name another folder")


def closed(path: Path, error: OSError) -> artifacts.ArtifactError:
    """The error for an index that cannot even be asked for: its folder is closed, or no file can have its name."""
    return artifacts.ArtifactError(
        f"index: {artifacts.shown(path)} cannot be opened ({error.strerror}); name another folder"
    )


def damaged(path: Path, how: object) -> artifacts.ArtifactError:
    """The error for an index that holds what no index can hold."""
    return artifacts.ArtifactError(f"index: {artifacts.shown(path)} is damaged ({how}); {AGAIN}")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # A URI takes names that are no UTF-8 as well: as_uri writes their bytes out.
    uri = f"{Path(os.path.abspath(path)).as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=WAIT, isolation_level=None)


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # BEGIN alone reads nothing yet


def _undo_what_was_killed(path: Path, error: sqlite3.Error | None) -> None:
    """Take back what a writer was doing as it was killed, which a connection that only reads must not."""
    try:
        with closing(_connect(path, "rw")) as connection:
            _begin(connection)
    except sqlite3.OperationalError as failure:
        raise artifacts.ArtifactError(
            f"index: {artifacts.shown(path)} was left in the middle of a change by a program that was killed; search "
            "it once where its folder can be written"
        ) from (error or failure)


def _make_file(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o666))  # SQLite itself would leave the group out
    except OSError as error:
        raise artifacts.ArtifactError(
            f"index: {artifacts.shown(path)} cannot be written ({error.strerror}); name a folder that can be"
        ) from error


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {OF_OUTPUTS}")
    for table in TABLES.values():
        connection.execute(table)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ArtifactError unless the file has an index' tables, and nothing else."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if application != APPLICATION:
        raise artifacts.ArtifactError(
            f"index: {artifacts.shown(path)} is a database of another program; name another folder"
        )
    if version not in (OF_OUTPUTS, OF_THRESHOLDS):
        raise artifacts.ArtifactError(
            f"index: {artifacts.shown(path)} has tables of version {version}, and versions {OF_OUTPUTS} and "
            f"{OF_THRESHOLDS} are read here; encode the pictures again into another folder"
        )
    tables = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%'"
    if dict(connection.execute(tables)) != TABLES:
        raise damaged(path, "its tables are not those of an index")


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    """Say what SQLite raises in one sentence that names the file and what would do."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_").split("_")[0]
        if name not in SENTENCES:
            raise damaged(path, str(error).splitlines()[0] if str(error) else type(error).__name__) from error
        raise artifacts.ArtifactError(f"index: {artifacts.shown(path)} {SENTENCES[name]}") from error
