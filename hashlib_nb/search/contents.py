"""What pictures' files hold, and whether they have changed or gone since an index noted them."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hashlib_nb import artifacts, checks

RESTED = 2_000_000_000
"""Nanoseconds for which a file must have been left alone before its time of change tells it from a later one: some
systems count such times in steps of two seconds."""


@dataclass(frozen=True)
class Content:
    """What a picture's file held as it was read."""

    digest: bytes
    """SHA-256, 32 bytes."""
    size: int | None = None
    """Bytes; None where the file must be read again to know whether it is the same."""
    mtime_ns: int | None = None
    """When it was changed last, in nanoseconds; None as above."""


def path_of(value: object, name: str) -> Path:
    """A path, of a text or a path. Raises ValueError for anything else, and for what no file can be called."""
    if not isinstance(value, (str, os.PathLike)) or "\0" in os.fspath(value):
        raise ValueError(f"{name} is {checks.shown(value)}; give the path of a file or folder")
    return Path(value)


def paths_of(values: object, name: str) -> list[Path]:
    """Several paths as a list. Raises ValueError for what is no list of them, such as a single one."""
    if isinstance(values, (str, bytes, os.PathLike)) or not isinstance(values, Iterable):
        raise ValueError(f"{name} is {checks.shown(values)}; give a list of paths")
    return [path_of(value, name) for value in values]


def content_of(path: Path) -> Content:
    """Read a picture's file. Raises OSError where it cannot be read, or is no regular file."""
    about, now = os.stat(path), time.time_ns()  # before the reading, so that a change meanwhile shows the next time
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    noted = (about.st_size, about.st_mtime_ns) if now - about.st_mtime_ns > RESTED else (None, None)
    return Content(artifacts.sha256(path), *noted)


def contents_of(paths: Sequence[Path], contents: Sequence[Content | bytes] | None) -> list[Content]:
    """Contents, one for each file, of what a caller knows of them; None reads them.

    Raises:
        ValueError: another number of contents than of paths, one that is no SHA-256, or a file that cannot be read.
    """
    if contents is None:
        return [_content_of(path) for path in paths]
    contents = [*contents] if isinstance(contents, Iterable) else [contents]
    if len(contents) != len(paths):
        raise ValueError(f"contents has {len(contents)} entries and paths {len(paths)}; give one for each file")
    found = [content if isinstance(content, Content) else Content(content) for content in contents]
    for content in found:
        if not _is_digest(content.digest):
            raise ValueError(f"contents has {content.digest!r:.60}; give the 32 bytes of a file's SHA-256")
    return found


def unchanged(path: Path, content: Content) -> bool:
    """Whether a file has the size and time of change that were noted of it, and what was noted can be."""
    if not _is_digest(content.digest):
        return False
    try:
        about = os.stat(path)
    except OSError:
        return False
    return (about.st_size, about.st_mtime_ns) == (content.size, content.mtime_ns) and stat.S_ISREG(about.st_mode)


def is_gone(path: Path) -> bool:
    """Whether there is no such file; one that cannot be asked for, as its folder is closed, is not gone."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a zero byte is no file's
        return True
    except OSError:
        return False
    return False


def _content_of(path: Path) -> Content:
    try:
        return content_of(path)
    except OSError as error:
        raise ValueError(
            f"paths: {artifacts.shown(path)} cannot be read ({error.strerror}); give files that can be"
        ) from error


def _is_digest(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 32
