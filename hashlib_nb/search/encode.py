"""Codes of anybody's pictures: files and folders in; an index to search, an npz file or lines of hex out.

    python -m hashlib_nb encode --model model photos --index photos-index          # then: python -m hashlib_nb.search
    python -m hashlib_nb encode --model model --selection selection.json a.jpg     # prints `a.jpg  8c41`
    python -m hashlib_nb encode --model model photos --out codes.npz --workers 4   # in parts, each a file

Results go to the standard output, and what is said about them to the standard error.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import tyro
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks, hamming, scale, thermometer
from hashlib_nb.artifacts import printable
from hashlib_nb.datasets import Pictures, in_threads
from hashlib_nb.machine import threads
from hashlib_nb.scale import Where
from hashlib_nb.search.contents import Content, content_of
from hashlib_nb.search.index import FILE, FILE_BEFORE, Index
from hashlib_nb.search.origin import Origin, hex_of, origin_of

if TYPE_CHECKING:
    from hashlib_nb.encoder import Encoder
    from hashlib_nb.thermometer import ClassCodes
from hashlib_nb.search.paths import find_pictures

OnError = Literal["raise", "skip"]
CHUNK = 512
"""Pictures encoded, and added to an index, at a time; where one cannot be read, all of a chunk are read twice."""
BATCH = 64
"""Pictures that the network gets at a time in a worker, so that codes do not depend on how the work is cut."""
LARGEST = 1_000_000
"""Pictures in a part, at most: what a worker that dies has lost."""


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

    added = 0
    """Pictures that had been added to an index by then."""


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
    encoder: Encoder,
    paths: Sequence[Path],
    outputs: Sequence[int],
    thresholds: Sequence[float] | None = None,
    *,
    classes: ClassCodes | None = None,
    on_error: OnError = "raise",
    progress: bool = True,
) -> Encoded:
    """Codes of picture files, which are decoded as they are needed.

    Args:
        encoder: for pictures in color.
        paths: the files.
        outputs: int [p], the output that each bit asks, in order.
        thresholds: float [p], the logits at which they are asked; None asks all at one half. See `Origin`.
        classes: decides each picture, as a query, by all outputs: its code is that of its class (see `classes_of`).
            None leaves pictures the codes of their own, as those of an index are.
        on_error: what to do about a file that cannot be read: raise, or go on without it.
        progress: show a bar.

    Raises:
        ValueError: outputs, thresholds or classes that do not fit the encoder.
        UnreadablePictureError: a file that cannot be read, with on_error="raise".
    """
    start = time.perf_counter()
    outputs, thresholds = thermometer.check_meaning(outputs, thresholds, encoder.bits)
    if classes is None:
        code = partial(thermometer.code, outputs=outputs, thresholds=thresholds)
    else:
        code = partial(thermometer.decide, classes=_check_classes(classes, encoder), outputs=outputs)
    parts = [*_encoded_here(encoder, paths, code, len(outputs), on_error, progress)]
    return _joined(parts, len(outputs), time.perf_counter() - start)


def _check_classes(classes: ClassCodes, encoder: Encoder) -> ClassCodes:
    if not isinstance(classes, thermometer.ClassCodes) or classes.codes.shape[1] != encoder.bits:
        raise ValueError(
            f"classes is {checks.shown(getattr(classes, 'codes', classes))}; give the class codes of the encoder's "
            f"{encoder.bits} outputs, as classes_of reads them"
        )
    return classes


def _encoded_here(
    encoder: Encoder,
    paths: Sequence[Path],
    code: Callable[[np.ndarray], np.ndarray],
    n_bits: int,
    on_error: OnError,
    progress: bool,
) -> Iterator[Encoded]:
    """What becomes of files, a chunk of them at a time; `code` makes codes [n, n_bits] of logits."""
    pictures = Pictures(paths, size=picture_size(encoder))
    with tqdm(total=len(paths), desc="encode", unit=" pictures", disable=not progress) as bar:
        for first in range(0, len(paths), CHUNK):
            start = time.perf_counter()
            rows = np.arange(first, min(first + CHUNK, len(paths)))
            logits, failures = _encode_chunk(encoder, pictures, rows, on_error)
            read = [paths[row] for row in rows if row not in failures]
            codes = code(logits) if read else np.zeros((0, n_bits), np.uint8)
            yield Encoded(codes, read, [*failures.values()], time.perf_counter() - start)
            bar.update(len(rows))


def _joined(parts: Sequence[Encoded], n_bits: int, seconds: float) -> Encoded:
    codes = np.concatenate([np.zeros((0, n_bits), np.uint8), *(part.codes for part in parts)])
    paths = [path for part in parts for path in part.paths]
    return Encoded(codes, paths, [failure for part in parts for failure in part.failures], seconds)


def _encode_chunk(
    encoder: Encoder, pictures: Pictures, rows: np.ndarray, on_error: OnError
) -> tuple[np.ndarray, dict[int, str]]:
    """Logits float32 [r, k] of the rows that can be read, and a sentence for each that cannot."""
    try:
        return encoder.logits(pictures.take(rows)), {}
    except (ValueError, OSError):
        sentences = in_threads(lambda row: _fault(pictures, row), rows, "look for what cannot be read")
        failures = {int(row): sentence for row, sentence in zip(rows, sentences, strict=True) if sentence}
        if not failures:
            raise
    _stop_at(next(iter(failures.values())), on_error)
    readable = np.setdiff1d(rows, list(failures))
    logits = encoder.logits(pictures.take(readable)) if len(readable) else np.zeros((0, encoder.bits), np.float32)
    return logits, failures


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
    """The index, which holds them now."""
    encoded: Encoded
    """The pictures that were new to it, and those that cannot be read."""
    known: int
    """How many of those given it held already, or were given twice: files with the same content."""
    stale: int
    """Entries that were taken out, since their file has another content now, or has moved (see `Index.plan`)."""


def add_pictures(
    index: Index,
    encoder: Encoder | None,
    paths: Sequence[Path],
    *,
    on_error: OnError = "raise",
    progress: bool = True,
    chunks: Callable[[list[Path]], Iterator[Encoded]] | None = None,
) -> Added:
    """Encode those pictures that an index does not hold, by their files' content, and add them a chunk at a time.

    What has been added stays, whatever comes after it. Other arguments are as of `encode_pictures`.

    Args:
        index: the index.
        encoder: for pictures in color; None where `chunks` does without.
        paths: the files.
        on_error: about a file that cannot be read.
        progress: show bars.
        chunks: encodes the files that are new, a chunk of them at a time, in their order; None does it here.

    Raises:
        UnreadablePictureError: a file that cannot be read, with on_error="raise".
    """
    start = time.perf_counter()
    contents, failures = _contents(index, paths, on_error, progress)
    readable = list(contents)
    plan = index.plan(readable, list(contents.values()))
    new = [readable[row] for row in plan.missing]
    if chunks is None:
        code = partial(thermometer.code, outputs=index.origin.outputs, thresholds=index.origin.thresholds)
        chunks = partial(_encoded_here, encoder, code=code, n_bits=index.n_bits, on_error=on_error, progress=progress)
    parts, outdated = [Encoded(np.zeros((0, index.n_bits), np.uint8), [], failures, 0.0)], plan
    try:
        for made in chunks(new):
            parts.append(made)
            if made.paths:
                index.add(made.codes, made.paths, [contents[path] for path in made.paths], plan=outdated)
                outdated = None
    except UnreadablePictureError as error:
        error.added = sum(len(part.paths) for part in parts)
        raise
    encoded = _joined(parts, index.n_bits, time.perf_counter() - start)
    if outdated and (outdated.stale or outdated.noted) and len(encoded.failures) < len(paths):
        index.add(np.zeros((0, index.n_bits), np.uint8), [], [], plan=outdated)
    return Added(index, encoded, known=len(readable) - len(new), stale=len(plan.stale))


def _contents(
    index: Index, paths: Sequence[Path], on_error: OnError, progress: bool
) -> tuple[dict[Path, Content], list[str]]:
    """What files hold, and a sentence for each that cannot be read; read are those that the index does not know."""
    noted = index.noted(paths)
    contents, failures = {}, []
    for path in tqdm(paths, desc="look for known ones", unit=" pictures", disable=not progress):
        try:
            contents[path] = noted[path] if path in noted else content_of(path)
        except OSError as error:
            failures.append(f"the picture {printable(path)} cannot be read ({error.strerror})")
            _stop_at(failures[-1], on_error)
    return contents, failures


@dataclass(frozen=True)
class Args(Where):
    """Encode pictures: into an index to search, an npz file, or lines `path  hex`."""

    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """files, and folders that are searched with all that lies in them"""
    model: Path
    """folder of an encoder (encoder.json and encoder.safetensors), as hashlib_nb.encoder writes it"""
    selection: Path | None = None
    """JSON file with the bits to keep, as hashlib_nb.ppo and hashlib_nb.selectors write it: outputs of the encoder and
    the levels at which they are asked; by default all outputs, at one half"""
    index: Path | None = None
    """folder of an index to add to, made where it is missing; a picture whose content it holds is not encoded again,
    and what is gone from the folders that are given is taken out"""
    out: Path | None = None
    """npz file for what is encoded: codes {0,1} [n, p] and names [n]; another program's file is not replaced"""
    text: Path | None = None
    """text file for what is encoded: a line `path  hex` for each picture; a file of other lines is not replaced"""
    show: bool = False
    """print those lines; without index, out and text they are printed anyway"""
    on_error: OnError = "raise"
    """about a picture that cannot be read: end (an index keeps what was added to it until then, and nothing else is
    written), or name it and go on without"""
    device: str = "auto"
    """cpu, cuda or auto"""
    n_bits: Annotated[int | None, tyro.conf.arg(aliases=["--bits"])] = None
    """how many bits of a nested order (hashlib-nb selectors --nested) a code has, from its front; by default all"""
    shard: int = CHUNK
    """pictures in a part, where several workers share them: each part is a file, and the same command again takes those
    that are there, whatever has ended the run"""
    parts: Path | None = None
    """folder of the parts, which all workers must see; by default in artifacts/parts. Where it is given, one worker
    leaves parts as well"""

    def __post_init__(self) -> None:
        """Check the numbers before any work."""
        super().__post_init__()
        checks.fields(self, checks.count, "shard", most=LARGEST)

    @property
    def in_parts(self) -> bool:
        """Whether the work is cut into parts."""
        return not self.alone or self.parts is not None


def main(args: Args) -> None:
    """Encode the pictures that args name.

    Raises:
        ValueError: an argument, a file or a picture that cannot be used; it says what has been written by then.
    """
    start = time.perf_counter()
    _check_outputs(args)
    origin = origin_of(args.model, args.selection, args.n_bits)
    index = _open(args, origin)
    paths = find_pictures(args.pictures)
    encoder = None if args.in_parts else load_encoder(args.model, args.device)
    chunks = partial(_encoded_in_parts, args, origin) if args.in_parts else None
    try:
        added = None if index is None else add_pictures(index, encoder, paths, on_error=args.on_error, chunks=chunks)
        made = added.encoded if added else _encoded(args, origin, encoder, paths, chunks)
    except UnreadablePictureError as error:
        written = f"the index has {error.added:,} pictures more" if error.added else "nothing was written"
        raise ValueError(f"{str(error).rstrip('.')} ({written}); or give --on-error skip") from error
    for failure in made.failures:
        print(f"skipped: {failure}", file=sys.stderr)
    if len(made.failures) == len(paths):
        raise ValueError(f"none of the {len(paths):,} pictures can be read; nothing was written")
    _write(args, made, origin)
    gone = sum(index.remove_missing(folder) for folder in args.pictures if folder.is_dir()) if added else 0
    said = _summary(made, origin) + (_index_summary(added, gone) if added else "")
    print(f"{said}; {time.perf_counter() - start:.1f} s in all", file=sys.stderr)


def _encoded(
    args: Args, origin: Origin, encoder: Encoder | None, paths: list[Path], chunks: Callable | None
) -> Encoded:
    if chunks is None:
        return encode_pictures(encoder, paths, origin.outputs, origin.thresholds, on_error=args.on_error)
    start = time.perf_counter()
    parts = [*chunks(paths)]
    return _joined(parts, len(origin.outputs), time.perf_counter() - start)


# --- in parts ---


def _encoded_in_parts(args: Args, origin: Origin, paths: list[Path]) -> Iterator[Encoded]:
    """What becomes of files, a part of them at a time, in their order, once workers have made every part.

    Raises:
        UnreadablePictureError: a file that cannot be read, with on_error="raise".
        ValueError: an encoder that cannot be used, or as of `scale.made`.
    """
    folder = scale.default_folder() if args.parts is None else args.parts
    shards = [paths[first : first + args.shard] for first in range(0, len(paths), args.shard)]
    about = asdict(origin) | {"encoder": artifacts.sha256(args.model / "encoder.json").hex()}
    files = [scale.part_path(folder, about | {"pictures": [scale.state_of(p) for p in shard]}) for shard in shards]
    jobs = [([artifacts.absolute(path) for path in shard],) for shard in shards]
    start = {"start": _ready, "initial": (artifacts.absolute(args.model), origin, args.device)}
    found: dict[int, Encoded] = {}
    with tqdm(total=len(paths), desc="encode", unit=" pictures") as bar:
        for number, arrays, note in scale.made(_make_part, jobs, files, ("codes", "read"), args, **start):
            read = [shards[number][row] for row in arrays["read"]]
            codes = hamming.unpack_bytes(arrays["codes"], len(origin.outputs))
            found[number] = Encoded(codes, read, note["failures"], note["seconds"])
            if note["failures"]:
                _stop_at(note["failures"][0], args.on_error)
            bar.update(len(shards[number]))
    yield from (found[number] for number in range(len(shards)))


def _ready(model: Path, origin: Origin, device: str) -> tuple:
    """What a worker needs for its parts."""
    return load_encoder(model, device), origin


def _make_part(loaded: tuple, part: str, paths: list[Path]) -> str:
    """A worker's job: codes of files, and sentences about those that cannot be read."""
    encoder, origin = loaded
    if not any(path.exists() for path in paths):
        raise ValueError(
            f"pictures: a worker on {platform.node()} does not see {artifacts.shown(paths[0])}; give it the folder at "
            "the same place as here"
        )
    start = time.perf_counter()
    read, failures, codes = [], [], [np.zeros((0, len(origin.outputs)), np.uint8)]
    pictures = Pictures(paths, size=picture_size(encoder))
    with threads.limited(1):
        for first in range(0, len(paths), BATCH):
            pixels = {row: _pixels(pictures, row) for row in range(first, min(first + BATCH, len(paths)))}
            failures += [each for each in pixels.values() if isinstance(each, str)]
            if found := [row for row, each in pixels.items() if not isinstance(each, str)]:
                read += found
                logits = _logits_of_batch(encoder, np.stack([pixels[row] for row in found]))
                codes.append(thermometer.code(logits, origin.outputs, origin.thresholds))
    packed = np.packbits(np.concatenate(codes), axis=1, bitorder="little")  # of none as well, unlike hamming.pack_bytes
    note = {"failures": failures, "seconds": time.perf_counter() - start}
    arrays = {"codes": packed, "read": np.array(read, np.int64)}
    artifacts.save_npz(Path(part), arrays, made_by="hashlib_nb.search.encode", **note)
    return part


def _pixels(pictures: Pictures, row: int) -> np.ndarray | str:
    """A picture, or a sentence about one that cannot be read."""
    try:
        return pictures[row]
    except (ValueError, OSError) as error:
        return str(error)


def _logits_of_batch(encoder: Encoder, images: np.ndarray) -> np.ndarray:
    """Logits [b, k] of at most `BATCH` pictures, filled up: a network's last digits depend on its batch's size."""
    filled = np.concatenate([images, np.repeat(images[:1], BATCH - len(images), axis=0)])
    return encoder.logits(filled, batch_size=BATCH)[: len(images)]


def _open(args: Args, origin: Origin) -> Index | None:
    """The index to add to, which can be written."""
    if args.index is None:
        return None
    index = Index(args.index, origin, args.model)
    index.check_writable()
    before = index.folder / FILE_BEFORE
    if before.exists() and not index.file.exists():
        print(f"{artifacts.shown(before)} is of version 0.1 and is not read; {FILE} is made anew", file=sys.stderr)
    return index


def _check_outputs(args: Args) -> None:
    lines = artifacts.replaces_lines(r".*  [0-9a-f]+")
    for path, replaces in ((args.out, artifacts.replaces_npz("codes", "names")), (args.text, lines)):
        if path is not None:
            artifacts.check_writable(path, replaces)
    if args.index is not None and args.index.exists() and not (args.index.is_dir() or args.index.name == FILE):
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
    return f"encoded {n:,} picture{'s' * (n != 1)} into {origin.said}{speed}{skipped}"


def _index_summary(added: Added, gone: int) -> str:
    stale = f", {_entries(added.stale, 'outdated ')} taken out" if added.stale else ""
    missing = f", {_entries(gone)} taken out whose file is gone" if gone else ""
    there = f", {added.known:,} already there by content"
    return f"{there}{stale}{missing}; {artifacts.shown(added.index.folder)} holds {len(added.index):,}"


def _entries(n: int, kind: str = "") -> str:
    return f"{n:,} {kind}{'entry' if n == 1 else 'entries'}"


if __name__ == "__main__":
    artifacts.run(main, Args)
