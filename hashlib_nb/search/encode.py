"""Codes of anybody's pictures: files and folders in; an index to search, an npz file or lines of hex out.

    python -m hashlib_nb encode --model model photos --index photos-index          # then: python -m hashlib_nb.search
    python -m hashlib_nb encode --model model --selection selection.json a.jpg     # prints `a.jpg  8c41`

Results go to the standard output, and what is said about them to the standard error.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import tyro
from tqdm.auto import tqdm

from hashlib_nb import artifacts
from hashlib_nb.datasets import SUFFIXES, Pictures, in_threads
from hashlib_nb.search.index import Index, Origin, hex_of, origin_of, printable

if TYPE_CHECKING:
    from hashlib_nb.encoder import Encoder

OnError = Literal["raise", "skip"]
CHUNK = 512
"""Pictures encoded at a time; where one of them cannot be read, all of a chunk are read twice."""


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths` and the pictures in the folders among them, each once, a folder's in the order of names.

    Folders are searched with all that lies in them, for files with a picture's ending; hidden ones are left out.

    Raises:
        FileNotFoundError: a path that does not exist.
        ValueError: no path, or a folder without any picture.
    """
    if not paths:
        raise ValueError("pictures is empty; name files or folders of pictures")
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        for file in _in_folder(path) if path.is_dir() else [path]:
            if not file.exists():
                raise FileNotFoundError(
                    f"pictures: {printable(file)} does not exist; name files or folders of pictures"
                )
            found.setdefault(os.path.abspath(file), file)
    return list(found.values())


def _in_folder(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
    files = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not files:
        raise ValueError(f"pictures: {printable(folder)} has no file that ends in {', '.join(sorted(SUFFIXES))}")
    return sorted(files)


def load_encoder(model: Path, device: str = "auto") -> Encoder:
    """The encoder in a folder, for pictures in color.

    Raises:
        ValueError: it is missing or damaged, or was fitted to gray pictures.
    """
    from hashlib_nb.encoder import Encoder  # takes seconds, which bad arguments need not wait for

    encoder = Encoder.load(model, device=device)
    if len(encoder.mean) == 1:
        raise ValueError(
            f"model: {artifacts.shown(model)} was fitted to gray pictures, and files are read in color; fit an encoder "
            "to pictures in color, such as the dataset folder"
        )
    return encoder


def picture_size(encoder: Encoder) -> int:
    """Pixels that files are decoded to, so that a picture has the code that it has in the encoder's own dataset.

    Datasets of files are decoded to 256 x 256 and resized by the encoder. Only an encoder for less than 64 pixels has
    seen pictures of just that size (alexnet_small takes their own up to 64).
    """
    size = max(encoder.size)
    return size if size < 64 else max(size, 256)


class UnreadablePictureError(ValueError):
    """A file that holds no picture, or cannot be read. The message names it."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What became of picture files."""

    codes: np.ndarray
    """uint8 {0,1} [m, p]."""
    paths: list[Path]
    """The m files that they are of, in the order in which they were given."""
    failures: list[str]
    """A sentence for each file that cannot be read."""
    seconds: float
    """How long reading and encoding took."""


def encode_pictures(
    encoder: Encoder, paths: Sequence[Path], bits: Sequence[int], *, on_error: OnError = "raise", progress: bool = True
) -> Encoded:
    """Codes of picture files, which are decoded as they are needed.

    Args:
        encoder: for pictures in color.
        paths: the files.
        bits: int [p], the bits to keep, in order.
        on_error: what to do about a file that cannot be read: raise, or go on without it.
        progress: show a bar.

    Raises:
        UnreadablePictureError: a file that cannot be read, with on_error="raise".
    """
    start = time.perf_counter()
    pictures = Pictures(paths, size=picture_size(encoder))
    codes, failures = [np.zeros((0, encoder.bits), np.uint8)], {}
    with tqdm(total=len(paths), desc="encode", unit=" pictures", disable=not progress) as bar:
        for first in range(0, len(paths), CHUNK):
            rows = np.arange(first, min(first + CHUNK, len(paths)))
            made, unreadable = _encode_chunk(encoder, pictures, rows, on_error)
            codes.append(made)
            failures |= unreadable
            bar.update(len(rows))
    read = [path for row, path in enumerate(paths) if row not in failures]
    return Encoded(np.concatenate(codes)[:, list(bits)], read, [*failures.values()], time.perf_counter() - start)


def _encode_chunk(
    encoder: Encoder, pictures: Pictures, rows: np.ndarray, on_error: OnError
) -> tuple[np.ndarray, dict[int, str]]:
    """Codes [r, k] of the rows that can be read, and a sentence for each that cannot."""
    try:
        return encoder.encode(pictures.take(rows)), {}
    except (ValueError, OSError):
        sentences = in_threads(lambda row: _fault(pictures, row), rows, "look for what cannot be read")
        failures = {int(row): sentence for row, sentence in zip(rows, sentences, strict=True) if sentence}
        if not failures:
            raise
    _stop_at(next(iter(failures.values())), on_error)
    readable = np.setdiff1d(rows, list(failures))
    codes = encoder.encode(pictures.take(readable)) if len(readable) else np.zeros((0, encoder.bits), np.uint8)
    return codes, failures


def _fault(pictures: Pictures, row: int) -> str | None:
    try:
        pictures[row]
    except (ValueError, OSError) as error:
        return str(error)
    return None


def _stop_at(failure: str, on_error: OnError) -> None:
    if on_error == "raise":
        raise UnreadablePictureError(failure)


@dataclass(frozen=True, eq=False)
class Added:
    """What adding pictures to an index came to."""

    index: Index
    """The index with them, not yet saved."""
    encoded: Encoded
    """The pictures that are new to it, and those that cannot be read."""
    known: int
    """How many of those given it held already, or were given twice: files with the same content."""
    stale: int
    """Entries that were taken out, since their file has another content now, or has moved (see `Index.plan`)."""


def add_pictures(
    index: Index, encoder: Encoder, paths: Sequence[Path], *, on_error: OnError = "raise", progress: bool = True
) -> Added:
    """Encode those pictures that an index does not hold, by their files' content. Arguments as of `encode_pictures`.

    Raises:
        UnreadablePictureError: a file that cannot be read, with on_error="raise".
    """
    contents, failures = {}, []
    for path in tqdm(paths, desc="look for known ones", unit=" pictures", disable=not progress):
        try:
            contents[path] = artifacts.sha256(path)
        except OSError as error:
            failures.append(f"the picture {printable(path)} cannot be read ({error.strerror})")
            _stop_at(failures[-1], on_error)
    readable = list(contents)
    kept, missing = index.plan(readable, list(contents.values()))
    new = [readable[row] for row in missing]
    made = encode_pictures(encoder, new, index.origin.bits, on_error=on_error, progress=progress)
    grown = kept.add(made.codes, made.paths, [contents[path] for path in made.paths])
    made = replace(made, failures=failures + made.failures)
    return Added(grown, made, known=len(readable) - len(new), stale=len(index) - len(kept))


@dataclass(frozen=True)
class Args:
    """Encode pictures: into an index to search, an npz file, or lines `path  hex`."""

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """files, and folders that are searched with all that lies in them"""
    model: Path
    """folder of an encoder (encoder.json and encoder.safetensors), as hashlib_nb.encoder writes it"""
    selection: Path | None = None
    """JSON file with the bits to keep, as hashlib_nb.ppo and hashlib_nb.selectors write it; by default all"""
    index: Path | None = None
    """folder of an index to add to, made where it is missing; a picture whose content it holds is not encoded again"""
    out: Path | None = None
    """npz file for what is encoded: codes {0,1} [n, p] and names [n]"""
    text: Path | None = None
    """text file for what is encoded: a line `path  hex` for each picture"""
    show: bool = False
    """print those lines; without index, out and text they are printed anyway"""
    on_error: OnError = "raise"
    """about a picture that cannot be read: end before anything is written, or name it and go on without"""
    device: str = "auto"
    """cpu, cuda or auto"""


def main(args: Args) -> None:
    """Encode the pictures that args name.

    Raises:
        ValueError: an argument, a file or a picture that cannot be used; nothing has been written then.
    """
    start = time.perf_counter()
    _check_outputs(args)
    origin = origin_of(args.model, args.selection)
    index = None if args.index is None else Index.load_or_new(args.index, origin, args.model)
    paths = find_pictures(args.pictures)
    encoder = load_encoder(args.model, args.device)
    try:
        added = None if index is None else add_pictures(index, encoder, paths, on_error=args.on_error)
        made = added.encoded if added else encode_pictures(encoder, paths, origin.bits, on_error=args.on_error)
    except UnreadablePictureError as error:
        raise ValueError(f"{str(error).rstrip('.')} (nothing was written); or give --on-error skip") from error
    for failure in made.failures:
        print(f"skipped: {failure}", file=sys.stderr)
    if len(made.failures) == len(paths):
        raise ValueError(f"none of the {len(paths):,} pictures can be read; nothing was written")
    if added and (made.paths or added.stale):
        added.index.save()
    _write(args, made, origin)
    said = _summary(made, origin) + (_index_summary(added) if added else "")
    print(f"{said}; {time.perf_counter() - start:.1f} s in all", file=sys.stderr)


def _check_outputs(args: Args) -> None:
    for path in (args.out, args.text):
        if path is not None:
            artifacts.check_writable(path)
    if args.index is not None and args.index.exists() and not args.index.is_dir():
        raise ValueError(f"index is {artifacts.shown(args.index)}, which is a file: name a folder")


def _write(args: Args, made: Encoded, origin: Origin) -> None:
    lines = [f"{printable(path)}  {code}" for path, code in zip(made.paths, hex_of(made.codes), strict=True)]
    if args.out is not None:
        names = np.array([printable(path) for path in made.paths], np.str_)
        artifacts.save_npz(
            args.out, {"codes": made.codes, "names": names}, made_by="hashlib_nb.search.encode", args=asdict(origin)
        )
    if args.text is not None:
        with artifacts.atomic(args.text) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if args.show or not (args.out or args.text or args.index):
        sys.stdout.writelines(f"{line}\n" for line in lines)


def _summary(made: Encoded, origin: Origin) -> str:
    n = len(made.paths)
    speed = f" in {made.seconds:.1f} s ({n / made.seconds:.0f} a second)" if n else ""
    skipped = f", {len(made.failures):,} skipped" if made.failures else ""
    return f"encoded {n:,} picture{'s' * (n != 1)} into {len(origin.bits)} of {origin.k} bits{speed}{skipped}"


def _index_summary(added: Added) -> str:
    stale = f", {added.stale:,} outdated {'entry' if added.stale == 1 else 'entries'} taken out" if added.stale else ""
    there = f", {added.known:,} already there by content"
    return f"{there}{stale}; {artifacts.shown(added.index.folder)} holds {len(added.index):,}"


if __name__ == "__main__":
    artifacts.run(main, Args)
