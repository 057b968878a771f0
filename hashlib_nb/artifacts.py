"""What one stage leaves for the next: atomic writes, checked loads, and "load it if it exists, else make it".

An artifact is an ``.npz`` of plain arrays (never pickled) or a JSON file. Beside its arrays it carries the arguments that
made it, so that a stage can tell a file that matches from one made with other settings, from a truncated one, and from one
that another program wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tyro

META = "__hashlib_nb__"


class ArtifactError(ValueError):
    """A file that cannot be used as an artifact: truncated, foreign, or not there. The message names the file."""


def project_root() -> Path:
    """Folder that holds ``artifacts/``, ``runs/`` and ``figures/``.

    ``$HASHLIB_NB_HOME`` where it is set; else the checkout this package lies in; else the current folder (an installed
    copy without notebooks). Notebooks run from two different folders (JupyterLab's and papermill's), so no path may depend
    on the current one.
    """
    if home := os.environ.get("HASHLIB_NB_HOME"):
        return Path(home)
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "pyproject.toml").exists() and (checkout / "notebooks").is_dir() else Path.cwd()


def folder(dataset: str, bits: int, seed: int, arch: str | None = None) -> Path:
    """``artifacts/<dataset>[-<encoder>]-k<bits>-s<seed>`` under :func:`project_root` (made when something is saved).

    Target codes depend on no encoder, so stage 1's folder goes without one.
    """
    encoder = f"-{arch}" if arch else ""
    return project_root() / "artifacts" / f"{dataset}{encoder}-k{bits}-s{seed}"


def shown(path: Path) -> str:
    """A path as messages print it: relative to the project where it lies inside it."""
    path = Path(path)
    return str(path.relative_to(project_root())) if path.is_relative_to(project_root()) else str(path)


def digest(*arrays: np.ndarray) -> str:
    """Twelve hex digits that identify the arrays' contents, so that an artifact can name what it was made from."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array))
    return sha.hexdigest()[:12]


@contextmanager
def atomic(path: Path):
    """Yield a temporary path beside ``path``; on success it replaces ``path`` in one step, on failure nothing changes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def save_npz(path: Path, arrays: Mapping[str, np.ndarray], **meta: Any) -> None:
    """Write arrays and their JSON-able ``meta`` (args, made_by, seconds) to ``path``, all or nothing."""
    for name, array in arrays.items():
        if np.asarray(array).dtype == object:
            raise ValueError(f"array {name!r} has dtype object, which would be pickled: give numbers or strings")
    note = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), dtype=np.uint8)
    with atomic(path) as partial, open(partial, "wb") as file:
        np.savez_compressed(file, **arrays, **{META: note})


def load_npz(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read ``(arrays, meta)`` written by :func:`save_npz`.

    Raises:
        ArtifactError: if the file is missing, truncated, damaged (zip checksum), pickled, or written by another program.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ArtifactError(f"{shown(path)} does not exist: run the stage that makes it") from None
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, AttributeError) as error:
        raise ArtifactError(f"{shown(path)} is truncated or is no npz file ({error})") from error
    if META not in arrays:
        raise ArtifactError(f"{shown(path)} was not written by hashlib_nb (it holds {', '.join(arrays) or 'nothing'})")
    return arrays, json.loads(arrays.pop(META).tobytes())


def load_npy(path: Path) -> np.ndarray:
    """Read one plain array from a ``.npy`` file. Raises ArtifactError where it is missing or is something else."""
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise ArtifactError(f"{shown(path)} does not exist: give a .npy file") from None
    except (ValueError, OSError, EOFError) as error:
        raise ArtifactError(f"{shown(path)} is truncated or is no .npy file ({error})") from error
    if not isinstance(array, np.ndarray):
        raise ArtifactError(f"{shown(path)} is an npz archive: give a .npy file with one array")
    return array


def save_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, all or nothing."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def load_json(path: Path) -> Any:
    """Read JSON. Raises ArtifactError where the file is missing or is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{shown(path)} does not exist: run the stage that makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{shown(path)} is not JSON ({error})") from error


def load_or_make(
    path: Path, args: Mapping[str, Any], make: Callable[[], Mapping[str, np.ndarray]], *, made_by: str
) -> dict[str, np.ndarray]:
    """Arrays of ``path`` if it was made with ``args``; otherwise ``make()`` them, save them, and say why.

    Args:
        path: the ``.npz`` file.
        args: everything the arrays depend on, JSON-able; compared with what the file carries.
        make: called without arguments when there is no matching file.
        made_by: the stage, for messages.
    """
    args = json.loads(json.dumps(dict(args)))
    try:
        arrays, meta = load_npz(path)
    except ArtifactError as error:
        if Path(path).exists():
            print(f"{error}: making it anew")
    else:
        if meta.get("args") == args:
            print(f"loaded {shown(path)} (made in {meta.get('seconds', 0):.0f} s by {meta.get('made_by')})")
            return arrays
        print(
            f"{shown(path)} was made with other settings ({_differences(meta.get('args', {}), args)}): making it anew"
        )
    start = time.perf_counter()
    arrays = dict(make())
    seconds = time.perf_counter() - start
    save_npz(path, arrays, args=args, made_by=made_by, seconds=seconds)
    print(f"saved {shown(path)} (made in {seconds:.0f} s by {made_by})")
    return arrays


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return ", ".join(f"{name}={old.get(name)!r}, now {new.get(name)!r}" for name in names)


def run(main: Callable[[Any], None], args_type: type) -> None:
    """A stage's command line: parse ``args_type`` with tyro, call ``main``, turn bad input into one sentence and exit 2."""
    args = tyro.cli(args_type)
    try:
        main(args)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
