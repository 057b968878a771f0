"""Pictures that lie in files: an array-like that decodes what is asked for, and the check of the files before."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks
from hashlib_nb.datasets._decode import PictureError, decode, suffixes
from hashlib_nb.datasets._folders import counted, ending
from hashlib_nb.machine import printable

MOST_SIDE = 2**13
"""Largest height and width that pictures are decoded to, 201 MB each."""
BAR_FROM = 2_000
"""Files from which on decoding shows a progress bar."""
ON_ERROR = ("raise", "skip")
REFUSALS = {
    "outside root": ("lead out of", "files are only read inside the root: give a root that holds them all"),
    "missing": ("are missing in", 'give the folder that holds them, or on_error="skip" to go on without'),
    "no regular file": ("are folders, pipes or devices in", 'remove them, or give on_error="skip" to go on without'),
    "empty": ("are empty files in", 'replace them, or give on_error="skip" to go on without'),
    "no image": ("have no picture's ending in", 'remove them, or give on_error="skip" to go on without'),
}
"""What is said of files of each kind, the worst first."""


class Pictures:
    """Picture files that look like a uint8 array [n, size, size, 3] and are decoded when they are asked for.

    Indexing with a number, a slice, or an array of rows or booleans gives the decoded pixels; `take` stays lazy. A
    picture is turned as its EXIF says, made RGB of 8 bits (see `_decode`), its shorter side resized to `size`
    (bilinear, antialiased) and its center cropped.

    Args:
        paths: The files, absolute or relative to `root`.
        size: Height and width in pixels.
        root: Folder that no file may lie outside of, not even through a link; None to allow files anywhere.

    Raises:
        ValueError: Paths that are none, a size that is no whole number of 1 to 8,192, or a path that leads out of
            `root`.
    """

    dtype, ndim = np.dtype(np.uint8), 4
    _digested: tuple[list, str] | None = None  # sizes and times of the files when `digest` read them, and what it found

    def __init__(self, paths: Iterable[str | Path], *, size: int, root: str | Path | None = None) -> None:
        self.size = check_size(size)
        self.root = None if root is None else Path(root).absolute()
        self.names = tuple(_relative(path, self.root) for path in _several(paths))
        if self.root is not None and (outside := escaping(self.names, self.root)):
            raise _refusal(dict.fromkeys(outside, "outside root"), self.names, self.root)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, size, size, 3)."""
        return (len(self.names), self.size, self.size, 3)

    @property
    def paths(self) -> list[Path]:
        """The files, absolute."""
        return [self._path(name) for name in self.names]

    @property
    def digest(self) -> str:
        """Twelve hex digits that identify the pictures: their size in pixels, their names and the bytes of the files.

        Files are read once, and again after one has changed: that takes far less time than encoding them would.

        Raises:
            FileNotFoundError: A file is not there any more; the message names it.
            ValueError: One is a folder, a pipe or a device, which could be read for ever.
        """
        stamps = [self._stamp(name) for name in self.names]
        if self._digested is None or self._digested[0] != stamps:
            contents = in_threads(artifacts.sha256, self.paths, "read pictures")
            lines = [f"{name} {content.hex()}" for name, content in zip(self.names, contents, strict=True)]
            self._digested = stamps, artifacts.digest_of_text("\n".join([str(self.shape), *lines]))
        return self._digested[1]

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"Pictures({len(self):,} files of {self.root or 'several folders'}, size={self.size})"

    def take(self, rows: slice | Sequence[int] | np.ndarray) -> Pictures:
        """Some of the pictures, in the order of `rows`, still in their files."""
        chosen = Pictures.__new__(Pictures)  # their paths were checked when this object was made
        chosen.root, chosen.size = self.root, self.size
        chosen.names = tuple(self.names[row] for row in np.arange(len(self))[rows])
        return chosen

    def __getitem__(self, rows: int | slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Decode: uint8 [size, size, 3] for one row, [r, size, size, 3] for several.

        Raises:
            FileNotFoundError: A file is not there any more; the message names it.
            ValueError: A file is empty, broken or no picture; the message names it and the root.
        """
        chosen = np.arange(len(self))[rows]
        if chosen.ndim == 0:
            return self._decode(int(chosen))
        if chosen.ndim > 1:
            raise IndexError(f"rows has the shape {list(chosen.shape)}; pictures are indexed along their first axis.")
        pixels = np.empty((len(chosen), *self.shape[1:]), dtype=np.uint8)

        def fill(place: int) -> None:
            pixels[place] = self._decode(int(chosen[place]))

        in_threads(fill, range(len(chosen)), "decode pictures")
        return pixels

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("copy is False, but decoding pictures always makes a new array.")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def _path(self, name: str) -> Path:
        return Path(name).absolute() if self.root is None else self.root / name

    def _stamp(self, name: str) -> tuple[int, int]:
        try:
            about = os.stat(self._path(name))
        except (OSError, ValueError) as error:
            raise self._missing(name, error) from None
        if not stat.S_ISREG(about.st_mode):
            raise self._unreadable(name, PictureError("no regular file"))
        return about.st_size, about.st_mtime_ns

    def _decode(self, row: int) -> np.ndarray:
        name = self.names[row]
        try:
            return decode(self._path(name), self.size)
        except FileNotFoundError as error:
            raise self._missing(name, error) from None
        except PictureError as error:
            raise self._unreadable(name, error) from error

    def _missing(self, name: str, error: OSError | ValueError) -> OSError:
        closed = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        what = f"cannot be read ({error.strerror})" if closed else "does not exist"
        return (OSError if closed else FileNotFoundError)(f"the picture {printable(name)} {what}{self._place()}.")

    def _unreadable(self, name: str, error: PictureError) -> ValueError:
        return ValueError(f"the picture {printable(name)} {error}{self._place()}; replace it or leave it out.")

    def _place(self) -> str:
        return f" in {printable(self.root)}" if self.root else ""


def in_threads(work: Callable, items: Sequence, description: str) -> list:
    """`work` on every item in a few threads, in order: reading and decoding leave Python's lock alone.

    The threads end with the call, since a pool that outlives it would be dead in forked data loaders.
    """
    bar = tqdm(total=len(items), desc=description, unit="picture", disable=len(items) < BAR_FROM)
    with bar, ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = []
        for result in pool.map(work, items):
            results.append(result)
            bar.update()
    return results


def check_size(size: int) -> int:
    """Height and width in pixels that pictures can be decoded to. Raises ValueError for anything else."""
    return checks.count(size, "size", most=MOST_SIDE)


def escaping(names: Sequence[str], root: Path) -> list[int]:
    """Rows of the names that are absolute, climb out of `root` with `..`, or leave it through a link."""
    inside = Path(os.path.realpath(root))
    folders = {folder: _leads_out(folder, inside) for folder in {os.path.dirname(name) for name in names}}
    return [
        row
        for row, name in enumerate(names)
        if folders[os.path.dirname(name)]
        or os.path.basename(name) in ("", ".", "..")
        or (os.path.islink(inside / name) and _leads_out(name, inside))
    ]


def _leads_out(name: str, inside: Path) -> bool:
    if os.path.isabs(name):
        return True
    try:
        return not Path(os.path.realpath(inside / name)).is_relative_to(inside)
    except ValueError:  # a NUL, or half of a pair of UTF-16: no file has such a name, so it is missing
        return False


def faults(names: Sequence[str], root: Path, *, decoded: bool, any_suffix: bool = True) -> dict[int, str]:
    """What is wrong with the files, {row: kind}, none of them left out.

    Args:
        names: Files relative to `root`.
        root: Their folder.
        decoded: Decode each file as well; takes as long as reading the dataset once.
        any_suffix: False to call a file without a picture's ending "no image" whatever it holds.

    Returns:
        Kinds: "outside root", "missing", "no regular file", "empty", "no image", and of decoded ones those of
        `PictureError`: "broken", "too large", "of odd values".
    """
    outside = set(escaping(names, root))

    def look(row: int) -> str | None:
        if row in outside:
            return "outside root"
        return _fault(root / names[row], decoded, any_suffix)

    kinds = in_threads(look, range(len(names)), "check pictures")
    return {row: kind for row, kind in enumerate(kinds) if kind}


def _fault(path: Path, decoded: bool, any_suffix: bool) -> str | None:
    if not os.path.isfile(path):
        return "no regular file" if os.path.exists(path) else "missing"
    if not any_suffix and path.suffix.lower() not in suffixes():
        return "no image"
    if path.stat().st_size == 0:
        return "empty"
    try:
        if decoded:
            decode(path, 32)
    except PictureError as error:
        return error.kind
    return None


def screen(
    names: Sequence[str], root: Path, on_error: str, *, any_suffix: bool = True
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Check a dataset's files and say which rows can be used.

    Args:
        names: Files relative to `root`.
        root: Their folder; no file may lie outside of it.
        on_error: "raise" looks at every file without decoding it and raises for the first that is no good; "skip"
            decodes every file once and leaves out those that are no good.
        any_suffix: As in `faults`.

    Returns:
        The good rows int64, ascending, and (name, kind) of each file that was left out.

    Raises:
        FileNotFoundError: on_error="raise" and a file is missing.
        ValueError: on_error="raise" and a file is empty, no image, or outside `root`; or an unknown `on_error`.
    """
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error is {on_error!r}; it must be one of {', '.join(ON_ERROR)}.")
    found = faults(names, root, decoded=on_error == "skip", any_suffix=any_suffix)
    if found and on_error == "raise":
        raise _refusal(found, names, root)
    left_out = [(names[row], kind) for row, kind in found.items()]
    if left_out:
        counts = ", ".join(f"{count} {kind}" for kind, count in Counter(found.values()).items())
        endings = [ending(name) for name, kind in left_out if kind == "no image"]
        counts += f", of which {counted(endings)}" if endings else ""
        first = ", ".join(f"{name} ({kind})" for name, kind in left_out[:3])
        print(printable(f"left out {len(left_out):,} of {len(names):,} pictures in {root} ({counts}): {first}"))
    return np.setdiff1d(np.arange(len(names)), list(found)), left_out


def _refusal(found: dict[int, str], names: Sequence[str], root: Path) -> FileNotFoundError | ValueError:
    """The error that refuses files: how many of the worst kind, the first of them, and what would do."""
    kind = min(found.values(), key=list(REFUSALS).index)
    rows = [row for row in found if found[row] == kind]
    named, (what, remedy) = ", ".join(names[row] for row in rows[:3]), REFUSALS[kind]
    endings = f" ({counted(ending(names[row]) for row in rows)})" if kind == "no image" else ""
    sentence = printable(f"{len(rows):,} of {len(names):,} pictures {what} {root}{endings}, first {named}; {remedy}.")
    return FileNotFoundError(sentence) if kind == "missing" else ValueError(sentence)


def _several(paths: Iterable[str | Path]) -> list[str]:
    """The paths as texts. Raises ValueError for a single one, which would be read letter by letter, and for none."""
    try:
        if isinstance(paths, (str, bytes)):
            raise TypeError("a text")
        return [os.fsdecode(path) for path in paths]
    except TypeError:
        raise ValueError(f"paths is {checks.shown(paths)}; give a list of files, each a text or a path.") from None


def _relative(path: str | Path, root: Path | None) -> str:
    """The path as a name with forward slashes, relative to the root where it lies under it."""
    path = Path(path)
    if root is not None and path.is_absolute() and path.is_relative_to(root):
        path = path.relative_to(root)
    return path.as_posix()
