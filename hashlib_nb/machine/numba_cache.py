"""Where numba keeps the kernels that it has compiled: beside the code, else in the home, else in a temporary folder.

numba refuses, as a module is imported, to cache where it cannot write, which would keep every command from starting in
a container whose checkout and home can only be read. So kernels are declared with `cache=CACHE`:

    @numba.njit(cache=CACHE)
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself where it is not there yet."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _usual_place() -> bool:
    """Whether numba finds a place: what the user names, `__pycache__` beside the code, or the user's cache."""
    package = Path(__file__).resolve().parents[1]
    beside = [package, package / "hamming", package / "metrics"]
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    places = [[Path(folder) / "__pycache__" for folder in beside], [Path(cache, "numba").expanduser()]]
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        places.append([Path(named)])
    return any(all(map(_can_be_written, place)) for place in places)


def _temporary_place() -> str | None:
    """A folder of this user alone, since what lies in a cache is run; None where nothing can be written at all."""
    try:
        folder = Path(tempfile.gettempdir(), f"hashlib_nb-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
        return str(folder) if own else tempfile.mkdtemp(prefix="hashlib_nb-")
    except OSError:
        return None


def _choose() -> bool:
    """Make numba cache where it can; whether it can anywhere."""
    if os.name != "posix" or _usual_place():
        return True
    if (place := _temporary_place()) is None:
        return False
    os.environ["NUMBA_CACHE_DIR"] = place
    if numba := sys.modules.get("numba"):  # which has read its settings already
        numba.config.CACHE_DIR = place
    return True


CACHE = _choose()
"""The argument `cache` of `numba.njit` in every kernel."""
