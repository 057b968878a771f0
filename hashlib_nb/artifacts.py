"""What one stage leaves for the next: atomic writes, checked loads, and "load it if it exists, else make it".

An artifact is an `.npz` of plain arrays (never pickled) or a JSON file. Beside its arrays it carries the arguments that
made it, so that a stage can tell a file that matches from one made with other settings, from a truncated one, and from
one that another program wrote. How files are written and locked is in `files`.

What a user names as an output replaces an existing file only where that is empty or of the kind that the command
writes: an npz file with this package's mark, JSON with the command's keys, lines or a picture as it writes them.
Everything else is left, and named. Under the project's `artifacts/` and `runs/` every file counts as the package's own.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import re
import shutil
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np

from hashlib_nb.machine import (
    CommandError,
    NotRegularError,
    WriteError,
    absolute,
    atomic,
    check_regular,
    check_writable,
    command,
    expanded,
    locked,
    or_dropped,
    peak_memory_mb,
    printable,
    project_root,
    results_file,
    run,
    shown,
)

__all__ = [
    "CODES", "META", "ArtifactError", "Checkpoint", "CommandError", "WriteError", "absolute", "atomic", "check_regular",
    "check_writable", "command", "differences", "digest", "digest_of_text", "expanded", "folder", "is_own_place",
    "load_json", "load_npy", "load_npz", "load_or_make", "locked", "or_dropped", "peak_memory_mb", "printable",
    "project_root", "read_array", "read_npz", "read_selection", "replaces_checkpoint", "replaces_figure",
    "replaces_json", "replaces_lines", "replaces_npz", "results_file", "run", "save_json", "save_npz", "scalar_writer",
    "sha256", "sha256_of", "shown", "stamp",
]  # fmt: skip

META = "__hashlib_nb__"
CODES = "codes.npz"
"""What stage 2 leaves in its folder for the later stages."""
HEAD = 4096
"""Bytes at the beginning of a file by which a damaged one is known."""


class ArtifactError(ValueError):
    """A file that cannot be used: truncated, foreign, or not there. The message names the file."""


def folder(dataset: str, bits: int, seed: int, arch: str | None = None) -> Path:
    """`artifacts/<dataset>[-<encoder>]-k<bits>-s<seed>` under `project_root` (made when something is saved).

    Target codes depend on no encoder, so stage 1's folder goes without one.
    """
    encoder = f"-{arch}" if arch else ""
    return project_root() / "artifacts" / f"{dataset}{encoder}-k{bits}-s{seed}"


def digest(*arrays: np.ndarray) -> str:
    """Twelve hex digits that identify the arrays' contents, so that an artifact can name what it was made from."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array))
    return sha.hexdigest()[:12]


def digest_of_text(text: str) -> str:
    """Twelve hex digits that identify a text; of names that are no UTF-8, the bytes count that they are."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]


def sha256(path: Path) -> bytes:
    """The 32 bytes that identify a file's content. Raises ValueError for what is no regular file."""
    check_regular(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def sha256_of(content: bytes) -> str:
    """The same of bytes in memory, as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def replaces_npz(*names: str) -> Callable[[Path], bool]:
    """For `check_writable`: whether an existing file is an npz artifact with these arrays, or lies among artifacts."""

    def replaces(path: Path) -> bool:
        if is_own_place(path):
            return True
        try:
            with zipfile.ZipFile(path) as archive:
                return {f"{name}.npy" for name in (META, *names)} <= {*archive.namelist()}
        except (OSError, ValueError, zipfile.BadZipFile):  # a damaged one, if it has the mark
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return content.find(f"{META}.npy".encode()) >= 0  # a name that no compression hides

    return replaces


def replaces_json(*keys: str) -> Callable[[Path], bool]:
    """For `check_writable`: whether an existing file is JSON with these keys, or lies among artifacts and runs."""

    def replaces(path: Path) -> bool:
        if is_own_place(path):
            return True
        try:
            found = load_json(path)
        except ArtifactError:  # a damaged one, if it begins as such do
            with open(path, "rb") as file:
                head = file.read(HEAD)
            return head.startswith(b"{") and any(f'"{key}":'.encode() in head for key in keys)
        return isinstance(found, dict) and {*keys} <= {*found}

    return replaces


def replaces_lines(pattern: str) -> Callable[[Path], bool]:
    """For `check_writable`: whether the first line of an existing text file matches, or it lies among runs."""

    def replaces(path: Path) -> bool:
        with open(path, "rb") as file:
            line = file.readline(1 << 16).decode("utf-8", "replace").rstrip("\n")
        return is_own_place(path) or re.fullmatch(pattern, line) is not None

    return replaces


def replaces_figure(path: Path) -> bool:
    """Whether an existing file is a picture as `plots.save_png` writes it: PNG with alpha, of 150 dots an inch."""
    with open(path, "rb") as file:
        head = file.read(64)
    kind, dots = head[24:26], head[37:50]
    a_meter = round(150 / 0.0254)
    return is_own_place(path) or (kind == b"\x08\x06" and dots == b"pHYs" + 2 * a_meter.to_bytes(4, "big") + b"\x01")


def is_own_place(path: Path) -> bool:
    """Whether a path lies where only this package writes."""
    path = absolute(path)
    return any(path.is_relative_to(absolute(project_root() / name)) for name in ("artifacts", "runs"))


def save_npz(path: Path, arrays: Mapping[str, np.ndarray], **meta: Any) -> None:
    """Write arrays and their JSON-able `meta` (args, made_by, seconds) to `path`, all or nothing."""
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"array {name!r} has dtype object, which would be pickled; give numbers or strings")
    note = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), dtype=np.uint8)
    with atomic(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **{META: note}, **arrays)  # the mark first: what is cut short still has it


def load_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read `(arrays, meta)` written by `save_npz`.

    Raises:
        ArtifactError: The file is missing, truncated, damaged, pickled, or written by another program.
    """
    arrays = read_npz(path)
    if META not in arrays:
        held = ", ".join(arrays) or "nothing"
        raise ArtifactError(f"{shown(path)} was not written by hashlib_nb (it holds {held}); it must be made anew")
    with named_errors(path, "artifact"):
        meta = json.loads(arrays.pop(META).tobytes())
        if not isinstance(meta, dict) or not isinstance(meta.get("args", {}), dict):
            raise ValueError("its note of what made it is of another form")
    return arrays, meta


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Read the named arrays, or all of them, from any npz file, whoever wrote it.

    Raises:
        ArtifactError: The file is missing, truncated, damaged (zip checksum) or pickled, or lacks one of the names.
    """
    with named_errors(path, "npz file"), zipfile.ZipFile(path) as archive:  # np.load would take a .npy as well
        stored = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for name, info in stored.items():
            if name in names if names else info.filename.endswith(".npy"):
                _check_member(archive, info, Path(path).stat().st_size)
    if missing := [name for name in names or () if name not in stored]:
        raise ArtifactError(f"{shown(path)} lacks {', '.join(missing)}; give an npz file with {', '.join(names)}")
    with named_errors(path, "npz file"), np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in names or stored}


def read_array(path: Path, name: str, array: str | None = None) -> np.ndarray:
    """One array from an npy or npz file.

    Args:
        path: the file.
        name: "codes" or "labels": what is wanted, for messages, and the array's name in an npz file.
        array: another name in an npz file. If None and there is no `name` in it, the file's only array is taken.

    Raises:
        ValueError: the file is missing, damaged or neither npy nor npz, or does not say which array is meant.
    """
    with named_errors(path, "npy or npz file"):
        is_npz = zipfile.is_zipfile(path)
    if not is_npz:
        if array is not None:
            raise ValueError(f"{name}_array is {array!r}, but {shown(path)} is no npz file: leave it out")
        return load_npy(path)
    if array is not None:
        return read_npz(path, [array])[array]
    arrays = read_npz(path)
    arrays.pop(META, None)
    if name not in arrays and len(arrays) != 1:
        held = ", ".join(arrays) or "nothing"
        raise ValueError(f"{shown(path)} holds {held}: say which are the {name} with {name}_array")
    return arrays.get(name, next(iter(arrays.values())))


def load_npy(path: Path) -> np.ndarray:
    """Read one plain array from a `.npy` file. Raises ArtifactError where it is missing or is something else."""
    with named_errors(path, "npy file"), open(path, "rb") as file:
        _check_header(file, Path(path).stat().st_size)
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


def _check_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> None:
    """Raise ValueError for an array of an npz file of `size` bytes that says it is larger than it can be."""
    ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: DEFLATE_RATIO}.get(info.compress_type, math.inf)
    if info.file_size > ratio * min(info.compress_size, size) + HEAD:
        raise ValueError(f"{info.filename} in it says that it has {info.file_size:,} bytes, which cannot be")
    with archive.open(info) as member:
        _check_header(member, info.file_size)


def _check_header(file: IO[bytes], size: int) -> None:
    """Raise ValueError for an npy file of `size` bytes whose header asks for more: before memory is asked for."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"its format is version {version[0]}.{version[1]}, not 1.0 or 2.0")
    shape, _, dtype = readers[version](file)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > size - file.tell():
        raise ValueError(f"its header asks for {list(shape)} {dtype}, more than the file holds")


def save_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, all or nothing. Raises ValueError for NaN, which JSON does not have: use None."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load_json(path: Path) -> Any:
    """Read JSON. Raises ArtifactError where the file is missing or is not JSON."""
    with named_errors(path, "JSON file"):
        return json.loads(Path(path).read_text(encoding="utf-8"))


def read_selection(path: Path, k: int | None = None) -> np.ndarray:
    """Indices int64 [p] of the bits that a selection keeps, in its order.

    Args:
        path: JSON with "bits", as `Selection.save` and `python -m hashlib_nb.selectors` write it.
        k: bits of the codes that it is for; if None, those of the codes that it says it was chosen on.

    Raises:
        ArtifactError: the file is missing or no such JSON, was chosen on codes of another length, or names bits that
            are not there.
    """
    from hashlib_nb.hamming import check_bits  # here, since it brings numba, which most readers of files do without

    selection, name = load_json(path), f"selection: {shown(path)}"
    if not isinstance(selection, dict) or "bits" not in selection:
        raise ArtifactError(f'{name} holds no "bits"; give a JSON file with {{"bits": [...]}}')
    bits, chosen_on = selection["bits"], selection.get("n_candidates", selection.get("k"))
    if not isinstance(bits, list) or not all(type(bit) is int for bit in bits):
        raise ArtifactError(f'{name} has "bits" that are no list of whole numbers; give {{"bits": [0, 3, ...]}}')
    if chosen_on is not None and (type(chosen_on) is not int or chosen_on < 1):
        raise ArtifactError(f"{name} says it was chosen on codes of {chosen_on!r} bits; give a whole number, or none")
    if None not in (k, chosen_on) and chosen_on != k:
        raise ArtifactError(
            f"{name} keeps bits of codes of {chosen_on} bits, but these have {k}; give one that was chosen on such"
        )
    if bits and max(map(abs, bits)) > np.iinfo(np.int64).max:  # more than any array of bits can hold
        raise ArtifactError(f"{name} names bit {max(bits, key=abs)}, which no code has; choose the bits anew")
    try:
        return check_bits(bits, next((n for n in (k, chosen_on) if n is not None), sys.maxsize))
    except ValueError as error:
        raise ArtifactError(f"{name}: {error}") from error


@contextmanager
def named_errors(path: Path, kind: str) -> Iterator[None]:
    """Refuse what is no regular file, and turn whatever a reader raises about a bad one into a sentence that names it.

    Args:
        path: about to be read.
        kind: what it should be: "npz file".
    """
    try:
        check_regular(path, kind)
        yield
    except FileNotFoundError:
        raise ArtifactError(f"{shown(path)} does not exist; run the stage that makes it or name another file") from None
    except NotADirectoryError:
        raise ArtifactError(f"{shown(path)} does not exist, for it lies in a file; name another file") from None
    except NotRegularError as error:
        raise ArtifactError(str(error)) from None
    except UnicodeDecodeError as error:
        raise ArtifactError(
            f"{shown(path)} is truncated or no {kind} (byte {error.start} is no UTF-8); it must be made anew"
        ) from error
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, OSError) and error.errno:
            raise ArtifactError(f"{shown(path)} cannot be read ({error.strerror}); name another file") from error
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if "allow_pickle" in reason:
            reason = "it holds Python objects, not numbers"
        raise ArtifactError(f"{shown(path)} is truncated or no {kind} ({reason}); it must be made anew") from error


def load_or_make(
    path: Path,
    args: Mapping[str, Any],
    make: Callable[[], Mapping[str, np.ndarray]],
    *,
    made_by: str,
    check: Callable[[Mapping[str, np.ndarray]], str | None] = lambda _: None,
) -> dict[str, np.ndarray]:
    """Arrays of `path` if it was made with `args`; otherwise `make()` them, save them, and say why.

    Where another process has made them meanwhile, those are taken, so that all who ask get the same.

    Args:
        path: the `.npz` file.
        args: everything the arrays depend on, JSON-able; compared with what the file carries.
        make: called without arguments when there is no matching file.
        made_by: the stage, for messages.
        check: what is wrong with arrays of these arguments, in words, or None: that one is missing, or that a file
            beside them is not the one that they were made with.

    Raises:
        ValueError: `path` is no place to write to, or holds another program's file, which is left as it is.
    """
    check_regular(path, "npz file")
    args = json.loads(json.dumps(dict(args)))  # tuples become lists, as they are in the file
    before = stamp(path)
    if before is not None and (found := _matching(path, args, check, echo=print)) is not None:
        return found
    check_writable(path, replaces_npz())
    start = time.perf_counter()
    arrays = {name: np.asarray(array) for name, array in make().items()}
    seconds = time.perf_counter() - start
    with locked(path):
        if stamp(path) not in (before, None) and (found := _matching(path, args, check, echo=lambda _: None)):
            print(f"loaded {shown(path)} (another process has made it meanwhile)")
            return found
        save_npz(path, arrays, args=args, made_by=made_by, seconds=seconds)
    print(f"saved {shown(path)} (made in {seconds:.0f} s by {made_by})")
    return arrays


def stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced; None where there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _matching(
    path: Path,
    args: Mapping[str, Any],
    check: Callable[[Mapping[str, np.ndarray]], str | None],
    echo: Callable[[str], None],
) -> dict[str, np.ndarray] | None:
    """The arrays of a file if they were made with `args` and pass the check; else None. Says which, and why."""
    try:
        arrays, meta = load_npz(path)
    except ArtifactError as error:
        echo(str(error))
        return None
    old = meta.get("args", {})
    if old != args:
        echo(f"{shown(path)} was made with other settings ({differences(old, args)}); making it anew")
        return None
    if wrong := check(arrays):
        echo(f"{shown(path)} cannot be used ({wrong}); making it anew")
        return None
    seconds = meta.get("seconds")
    took = f"in {seconds:.0f} s " if isinstance(seconds, int | float) else ""
    echo(f"loaded {shown(path)} (made {took}by {meta.get('made_by')})")
    return arrays


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two dicts of settings, in words."""
    pairs = {name: (old.get(name, "not set"), new.get(name, "not set")) for name in sorted({*old, *new})}
    return ", ".join(f"{name}={then!r}, now {now!r}" for name, (then, now) in pairs.items() if then != now)


MARK = b"made_from"
"""What every checkpoint of this package holds within its first `HEAD` bytes."""
DEFLATE_RATIO = 1032  # bytes that one byte can stand for in a zip file, at most


@dataclass(frozen=True)
class Checkpoint:
    """The file that a training goes on from after it was cut off."""

    path: Path | None
    """The file; None for none, so that `save` and `load` do nothing."""
    made_from: str
    """All that the training depends on, in words: data, settings, device. A file made from something else is left."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the training's state (tensors, numbers, strings, lists and dicts of them), all or nothing."""
        if self.path is None:
            return
        import torch  # here, since metrics and datasets import this module and must not need torch

        with atomic(self.path) as partial:
            try:
                torch.save({"made_from": self.made_from, **state}, partial)
            except RuntimeError as error:  # what torch makes of a full disk
                raise WriteError(
                    f"{shown(self.path)} was not written (its disk has {_room(partial):,.1f} MB left); make room "
                    "there, or name another place"
                ) from error

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last; None where there is none that can be used, and it says why.

        Raises:
            ValueError: the file is another program's, which `save` would replace.
        """
        if self.path is None:
            return None
        check_writable(self.path, replaces_checkpoint)
        if not Path(self.path).exists():
            return None
        try:
            state = self._read()
        except ValueError as error:
            print(f"{shown(self.path)} is damaged ({error}): training starts anew")
            return None
        if state.pop("made_from") != self.made_from:
            print(f"{shown(self.path)} is of another training (other data or settings): training starts anew")
            return None
        print(f"resuming from {shown(self.path)}")
        return state

    def remove(self) -> None:
        """Take the file away where it is of this training, for one that must not be gone on with."""
        if self.path is not None and Path(self.path).exists():
            with suppress(ValueError, OSError):
                if self._read()["made_from"] == self.made_from:
                    Path(self.path).unlink()

    def _read(self) -> dict[str, Any]:
        """What the file holds; a ValueError says what is the matter with it."""
        import torch

        if not Path(self.path).stat().st_size:
            raise ValueError("it is empty")
        try:
            with zipfile.ZipFile(self.path) as archive:  # torch does not look at the check sums
                if (changed := archive.testzip()) is not None:
                    raise ValueError(f"{changed} in it has changed")
            state = torch.load(self.path, weights_only=True, map_location="cpu")
        except ValueError:
            raise
        except Exception as error:  # torch, pickle and zipfile each raise their own, some with unfit advice
            raise ValueError("it is cut short or no checkpoint") from error
        if not isinstance(state, dict) or not isinstance(state.get("made_from"), str):
            raise ValueError("it does not say what it was made from")
        return state


def replaces_checkpoint(path: Path) -> bool:
    """Whether an existing file may be replaced by a checkpoint: it is one, whole or damaged, or lies among them."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    return is_own_place(path) or MARK in head or (head.startswith(b"PK") and len(head) < 100)


def _room(path: Path) -> float:
    """Megabytes (10^6 bytes) left on a file's disk."""
    return shutil.disk_usage(Path(path).parent).free / 1e6


def scalar_writer(folder: Path | None, first: int = 0):
    """TensorBoard's writer into `folder`, to which steps from `first` on are new; None for one that writes nothing."""
    if folder is None:
        return SimpleNamespace(add_scalar=lambda *_: None, close=lambda: None)
    if Path(folder).exists() and not Path(folder).is_dir():
        raise ValueError(f"tensorboard: {shown(folder)} is a file; name a folder")
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first)
