"""Files on disk: written whole or not at all, one writer at a time, read only where they are regular files.

What is in a file is not known here; `artifacts` knows.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: partial files of killed writers stay there
    fcntl = None

CHECKOUT = Path(__file__).resolve().parents[2]
"""The clone that the package lies in, if it lies in one."""
LOCK_SECONDS = 600
"""How long a writer waits for another one. Locks are held while files are replaced, not while they are computed."""
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a disk",
    stat.S_IFCHR: "a device",
    stat.S_IFDIR: "a folder",
}
"""What may stand at a path and is no regular file."""
NAME_BYTES = 100
"""So much of a name is kept in those of its partial and lock files, which have more to say in at most 255 bytes."""


class NotRegularError(ValueError):
    """A file to be read that is none: a pipe, a device, a folder."""


class WriteError(OSError):
    """A file that could not be written; the sentence names it, and what stood there stands there still."""


def project_root() -> Path:
    """Folder that holds `artifacts/`, `runs/` and `figures/`.

    `$HASHLIB_NB_HOME` where it is set; else the checkout this package lies in; else the current folder (an installed
    copy without notebooks). Notebooks run from two different folders (JupyterLab's and papermill's), so no path may
    depend on the current one.
    """
    if home := os.environ.get("HASHLIB_NB_HOME"):
        return Path(home)
    return CHECKOUT if (CHECKOUT / "pyproject.toml").exists() and (CHECKOUT / "notebooks").is_dir() else Path.cwd()


def results_file(name: str) -> Path:
    """`results/<name>` under `project_root`, else the table that came with the clone, whatever `$HASHLIB_NB_HOME` is.

    Where neither is there, the path that the first would have.
    """
    places = [root / "results" / name for root in (project_root(), CHECKOUT)]
    return next((place for place in places if place.exists()), places[0])


def shown(path: Path) -> str:
    """A path as messages print it: relative to the project where it lies inside it, blanks at its ends to be seen."""
    path, root = Path(path), project_root()
    text = printable(path.relative_to(root) if path.is_relative_to(root) else path)
    return text if text == text.strip() else repr(text)


def printable(name: str | Path) -> str:
    """A file's name as one line of text that any terminal and file takes.

    Bytes that are no UTF-8, and characters that steer a terminal or end a line, are written out as escapes.
    """
    try:
        text = os.fsencode(name).decode(errors="backslashreplace")
    except UnicodeEncodeError:  # half of a pair, as JSON can hold it: no file has such a name
        text = str(name).encode(errors="backslashreplace").decode()
    if text.isprintable():
        return text
    return "".join(f"\\x{ord(each):02x}" if unicodedata.category(each) == "Cc" else each for each in text)


def expanded(path: str | Path) -> Path:
    """A path whose ~ is the home; of a user who is not there it stays as it is."""
    return Path(os.path.expanduser(path))


def absolute(path: str | Path) -> Path:
    """A path as it is called from any folder: ~ is the home, links are followed, those in a circle are left."""
    return Path(os.path.realpath(expanded(path)))


def kind_of(path: Path) -> str | None:
    """What stands at a path, links followed: "" for a regular file, a word of `KINDS`, None for nothing.

    Raises:
        OSError: it cannot be looked at, because of permissions or of its name.
    """
    try:
        return KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "")
    except (FileNotFoundError, NotADirectoryError):
        return None


def check_regular(path: Path, wanted: str = "file") -> None:
    """Raise NotRegularError, a ValueError, for what is there and is no regular file: a pipe may never end.

    Args:
        path: about to be read. Where nothing is there, whoever opens it says so.
        wanted: what it should be, for the message: "npz file".
    """
    if kind := kind_of(path):
        raise NotRegularError(f"{shown(path)} is {kind}, no {wanted}; name a regular file")


def check_writable(path: Path, replaces: Callable[[Path], bool] | None = None) -> None:
    """Raise ValueError unless a file can be written to `path`: for before the long work whose result goes there.

    Devices such as /dev/null, and /dev/stdout, are written into. Links are followed.

    Args:
        path: where to.
        replaces: says of a file that stands there whether it may be replaced; empty ones always may. None asks nobody.
    """
    path = Path(path)
    try:
        kind = kind_of(path)
        if kind == "a folder":
            raise ValueError(f"{shown(path)} is a folder; give the name of a file to write")
        if _is_stream(path):
            return
        if kind:
            raise ValueError(f"{shown(path)} is {kind}; give the name of a file to write")
        target = _target(path)
        above = next(folder for folder in target.parents if folder.exists())
        if not above.is_dir():
            raise ValueError(f"{shown(path)} cannot be written, for {shown(above)} is a file; name another place")
        if not os.access(above, os.W_OK | os.X_OK) or (kind == "" and not os.access(path, os.W_OK)):
            raise ValueError(
                f"{shown(path)} cannot be written here (no permission, or a disk that can only be read); name another "
                "place, or set HASHLIB_NB_HOME to a folder that can be written"
            )
        if kind == "" and replaces is not None and path.stat().st_size and not replaces(path):
            raise ValueError(
                f"{shown(path)} is there and was not written by this command, so it is not replaced; name another "
                "file or take it away"
            )
    except OSError as error:
        raise ValueError(f"{shown(path)} cannot be written ({error.strerror}); name another place") from error


def or_dropped(path: Path) -> Path | None:
    """`path`, an output that nobody asked for, or None with a note where it cannot be written."""
    try:
        check_writable(path)
    except ValueError as error:
        print(f"left out: {error}")
        return None
    return path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; success puts it in `path`'s place in one step, failure changes nothing.

    What is written is on the disk (fsync) before it takes the place, with the permissions of any new file. A link is
    followed. Partial files of killed writers of the same path are taken away. Into a device, or /dev/stdout, the
    content is copied in the end.

    Raises:
        WriteError: there is no room, no permission, or something that cannot be written into.
    """
    path = Path(path)
    with _named(path):
        is_stream = _is_stream(path)
    if is_stream:
        with tempfile.TemporaryDirectory() as folder:
            partial = Path(folder) / path.name
            yield partial
            with _named(path):
                _copy_into(partial, path)
        return
    with _named(path):
        if kind := kind_of(path):
            raise WriteError(f"{shown(path)} is {kind} and was not written; give the name of a file")
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        partial, held = _new_partial(target)
    try:
        with _named(path, partial):
            mode = stat.S_IMODE(os.fstat(held).st_mode)
            if fcntl is None:
                os.close(held)
            yield partial
            os.chmod(partial, mode)  # some writers make files that only their user may read
            _to_disk(partial)
            os.replace(partial, target)
            _to_disk(target.parent)
    finally:
        partial.unlink(missing_ok=True)
        if fcntl is not None:
            os.close(held)


@contextmanager
def locked(path: Path, *, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Be the only process in such a block for `path`: for files that belong together, or a check before a write.

    The lock is a hidden file beside `path`, there as long as somebody holds it. It is not reentrant.

    Args:
        path: the file.
        seconds: how long to wait for another process that holds it.

    Raises:
        WriteError: the lock cannot be made there, or somebody has held it for so long.
    """
    from filelock import FileLock, Timeout  # here: it takes longer to import than most readers of files take

    path = Path(path)
    with _named(path):
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        place = target.with_name(f".{_short(target.name)}.lock")
        lock = FileLock(place)
        try:
            lock.acquire(timeout=seconds, poll_interval=0.02)
        except Timeout:
            raise WriteError(
                f"{shown(path)} was not written: another process has held it for {seconds:g} s; end that one, or "
                "name another place"
            ) from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            place.unlink()  # who waits for this file finds it gone and makes a new one
        lock.release()


def _target(path: Path) -> Path:
    """The path behind links, which keep pointing at it."""
    return Path(os.path.realpath(path))


def _is_stream(path: Path) -> bool:
    """Whether what is written to `path` goes on elsewhere: a device, or a descriptor that a shell has opened."""
    absolute = os.path.abspath(path)
    if absolute.startswith(("/dev/fd/", "/proc/self/fd/")) or absolute in ("/dev/stdout", "/dev/stderr"):
        return os.path.exists(path)
    return kind_of(path) == "a device"


def _copy_into(content: Path, stream: Path) -> None:
    sys.stdout.flush()
    out = os.open(stream, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
    os.set_blocking(out, True)
    with open(content, "rb") as file, open(out, "wb") as written:
        shutil.copyfileobj(file, written)


def _short(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:NAME_BYTES])


def _start_of_partials(target: Path) -> str:
    """How the names of this machine's partial files of `target` begin."""
    return f".{_short(target.name)}.{re.sub(r'[^A-Za-z0-9-]', '-', platform.node())[:40]}."


def _new_partial(target: Path) -> tuple[Path, int]:
    """A new empty file that nobody else has, and a descriptor that holds its lock until it is closed."""
    while True:
        name = f"{_start_of_partials(target)}{os.getpid()}.{secrets.token_hex(4)}.partial"
        partial = target.with_name(name)
        held = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if _take(held) and os.fstat(held).st_nlink:
            return partial, held
        os.close(held)  # swept by another writer between the two calls


def _take(descriptor: int) -> bool:
    """Lock an open file unless another process has; True as well on file systems that have no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _sweep(target: Path) -> None:
    """Take away what killed writers of `target` have left: this machine's partial files that nobody holds.

    A lock ends with the process that has it, in a container of its own as well, where numbers of processes say nothing.
    """
    if fcntl is None:
        return
    for left in target.parent.glob(f"{glob.escape(_start_of_partials(target))}*.partial"):
        with contextlib.suppress(OSError):
            held = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
            finally:
                os.close(held)


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    is_folder = path.is_dir()
    with contextlib.suppress(OSError if is_folder else ()):  # some file systems do not know it of folders
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _named(path: Path, partial: Path | None = None) -> Iterator[None]:
    """Turn what the system says about a write to `path` into a sentence.

    Where a caller writes to `partial` inside, errors about other files are the caller's own, and pass.
    """
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        no_room = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if partial is not None and not no_room and str(partial) not in (error.filename, error.filename2):
            raise
        remedy = "make room there, or name another place" if no_room else "name another place"
        raise WriteError(f"{shown(path)} was not written ({error.strerror}); {remedy}") from error
