"""What one stage leaves for the next: atomic writes, checked loads, and "load it if it exists, else make it".

An artifact is an `.npz` of plain arrays (never pickled) or a JSON file. Beside its arrays it carries the arguments that
made it, so that a stage can tell a file that matches from one made with other settings, from a truncated one, and from
one that another program wrote.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shlex
import sys
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

META = "__hashlib_nb__"


class ArtifactError(ValueError):
    """A file that cannot be used: truncated, foreign, or not there. The message names the file."""


def project_root() -> Path:
    """Folder that holds `artifacts/`, `runs/` and `figures/`.

    `$HASHLIB_NB_HOME` where it is set; else the checkout this package lies in; else the current folder (an installed
    copy without notebooks). Notebooks run from two different folders (JupyterLab's and papermill's), so no path may
    depend on the current one.
    """
    if home := os.environ.get("HASHLIB_NB_HOME"):
        return Path(home)
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "pyproject.toml").exists() and (checkout / "notebooks").is_dir() else Path.cwd()


def folder(dataset: str, bits: int, seed: int, arch: str | None = None) -> Path:
    """`artifacts/<dataset>[-<encoder>]-k<bits>-s<seed>` under `project_root` (made when something is saved).

    Target codes depend on no encoder, so stage 1's folder goes without one.
    """
    encoder = f"-{arch}" if arch else ""
    return project_root() / "artifacts" / f"{dataset}{encoder}-k{bits}-s{seed}"


def shown(path: Path) -> str:
    """A path as messages print it: relative to the project where it lies inside it."""
    path = Path(path)
    return printable(path.relative_to(project_root()) if path.is_relative_to(project_root()) else path)


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
    """The 32 bytes that identify a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; success puts it in `path`'s place in one step, failure changes nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise ValueError if `path` is a folder: for before the long work whose result goes there."""
    if Path(path).is_dir():
        raise ValueError(f"{shown(path)} is a folder; give the name of a file to write")


def save_npz(path: Path, arrays: Mapping[str, np.ndarray], **meta: Any) -> None:
    """Write arrays and their JSON-able `meta` (args, made_by, seconds) to `path`, all or nothing."""
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"array {name!r} has dtype object, which would be pickled; give numbers or strings")
    note = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), dtype=np.uint8)
    with atomic(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays, **{META: note})


def load_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read `(arrays, meta)` written by `save_npz`.

    Raises:
        ArtifactError: The file is missing, truncated, damaged, pickled, or written by another program.
    """
    arrays = read_npz(path)
    if META not in arrays:
        held = ", ".join(arrays) or "nothing"
        raise ArtifactError(f"{shown(path)} was not written by hashlib_nb (it holds {held}); it must be made anew")
    with _named_errors(path, "artifact"):
        meta = json.loads(arrays.pop(META).tobytes())
    return arrays, meta


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """Read the named arrays, or all of them, from any npz file, whoever wrote it.

    Raises:
        ArtifactError: The file is missing, truncated, damaged (zip checksum) or pickled, or lacks one of the names.
    """
    with _named_errors(path, "npz file"), zipfile.ZipFile(path) as archive:  # np.load would take a .npy as well
        stored = [name.removesuffix(".npy") for name in archive.namelist()]
    if missing := [name for name in names or () if name not in stored]:
        raise ArtifactError(f"{shown(path)} lacks {', '.join(missing)}; give an npz file with {', '.join(names)}")
    with _named_errors(path, "npz file"), np.load(path, allow_pickle=False) as file:
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
    if not zipfile.is_zipfile(path):
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
    with _named_errors(path, "npy file"), open(path, "rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def save_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, all or nothing. Raises ValueError for NaN, which JSON does not have: use None."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load_json(path: Path) -> Any:
    """Read JSON. Raises ArtifactError where the file is missing or is not JSON."""
    with _named_errors(path, "JSON file"):
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
    chosen_on = selection.get("n_candidates", selection.get("k"))
    if None not in (k, chosen_on) and chosen_on != k:
        raise ArtifactError(
            f"{name} keeps bits of codes of {chosen_on} bits, but these have {k}; give one that was chosen on such"
        )
    try:
        return check_bits(selection["bits"], next((n for n in (k, chosen_on) if isinstance(n, int)), sys.maxsize))
    except ValueError as error:
        raise ArtifactError(f"{name}: {error}") from error


@contextmanager
def _named_errors(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a reader raises about a bad file into one sentence that names it."""
    try:
        yield
    except FileNotFoundError:
        raise ArtifactError(f"{shown(path)} does not exist; run the stage that makes it or name another file") from None
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtifactError(f"{shown(path)} is truncated or no {kind} ({error}); it must be made anew") from error


def load_or_make(
    path: Path, args: Mapping[str, Any], make: Callable[[], Mapping[str, np.ndarray]], *, made_by: str
) -> dict[str, np.ndarray]:
    """Arrays of `path` if it was made with `args`; otherwise `make()` them, save them, and say why.

    Args:
        path: the `.npz` file.
        args: everything the arrays depend on, JSON-able; compared with what the file carries.
        make: called without arguments when there is no matching file.
        made_by: the stage, for messages.

    Raises:
        ValueError: `path` is a folder.
    """
    check_writable(path)
    args = json.loads(json.dumps(dict(args)))  # tuples become lists, as they are in the file
    try:
        arrays, meta = load_npz(path)
    except ArtifactError as error:
        if Path(path).exists():
            print(error)
    else:
        old = meta.get("args", {})
        if old == args:
            print(f"loaded {shown(path)} (made in {meta.get('seconds', 0):.0f} s by {meta.get('made_by')})")
            return arrays
        print(f"{shown(path)} was made with other settings ({differences(old, args)}); making it anew")
    start = time.perf_counter()
    arrays = {name: np.asarray(array) for name, array in make().items()}
    seconds = time.perf_counter() - start
    save_npz(path, arrays, args=args, made_by=made_by, seconds=seconds)
    print(f"saved {shown(path)} (made in {seconds:.0f} s by {made_by})")
    return arrays


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two dicts of settings, in words."""
    pairs = {name: (old.get(name, "not set"), new.get(name, "not set")) for name in sorted({*old, *new})}
    return ", ".join(f"{name}={then!r}, now {now!r}" for name, (then, now) in pairs.items() if then != now)


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
            torch.save({"made_from": self.made_from, **state}, partial)

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last; None where there is none that can be used, and it says why."""
        if self.path is None or not Path(self.path).exists():
            return None
        import torch

        try:
            state = torch.load(self.path, weights_only=True, map_location="cpu")
            same = state.pop("made_from") == self.made_from
        except Exception as error:  # torch, pickle and zipfile each raise their own for a damaged file
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            print(f"{shown(self.path)} is damaged ({reason}): training starts anew")
            return None
        if not same:
            print(f"{shown(self.path)} is of another training (other data or settings): training starts anew")
            return None
        print(f"resuming from {shown(self.path)}")
        return state


def scalar_writer(folder: Path | None, first: int = 0):
    """TensorBoard's writer into `folder`, to which steps from `first` on are new; None for one that writes nothing."""
    if folder is None:
        return SimpleNamespace(add_scalar=lambda *_: None, close=lambda: None)
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=first)


def command(stage: str, args: Any) -> str:
    """The command line that sets a stage's `Args` (a dataclass) to these values; defaults are left out."""
    return shlex.join(["python", "-m", "hashlib_nb", stage, *_options(args)])


def _options(args: Any) -> Iterator[str]:
    """The words that set a dataclass' fields, those of dataclasses in it as well."""
    for field in dataclasses.fields(args):
        value, option = getattr(args, field.name), field.name.replace("_", "-")
        if value == field.default or not field.init:
            continue
        if dataclasses.is_dataclass(value):
            yield from _options(value)
        elif isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        else:
            yield from (f"--{option}", *map(str, value if isinstance(value, (tuple, list)) else [value]))


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB (10^6 bytes), its packages included."""
    import resource  # not on Windows, where nothing else here is missing

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


class CommandError(RuntimeError):
    """What a command could not do, in a sentence for whoever typed it."""


def run(main: Callable[[Any], None], args_type: type, *, prog: str | None = None) -> None:
    """A command line: parse `args_type` with tyro, call `main`; bad input ends in one sentence and status 1.

    Args:
        main: what takes the arguments.
        args_type: a dataclass whose fields are the options. Where it has `PRESETS`, the option `--NAME` puts the
            settings of that name in place of the defaults; options beside it win.
        prog: how the command was called, for its help; by default `python -m` and the module that runs.
    """
    import tyro  # by far the slowest import here, and only a command line needs it

    script = Path(sys.argv[0])
    stage = script.parent.name if script.stem == "__main__" else script.stem
    words = sys.argv[1:]
    for name, settings in getattr(args_type, "PRESETS", {}).items():
        if f"--{name}" in words:
            words.remove(f"--{name}")
            words = [*_options(args_type(**settings)), *words]  # of an option that is given twice the last counts
    try:  # tyro itself words what the options refuse, but not what a dataclass among them does
        main(tyro.cli(args_type, args=words, prog=prog or f"python -m hashlib_nb.{stage}"))
    except (ValueError, OSError, CommandError) as error:
        sys.exit(f"error: {error}")
