"""Codes to and from other programs: faiss' file of an IndexBinaryFlat, and NumPy's files; no faiss is needed.

    python -m hashlib_nb exchange photos-index codes.faiss       # faiss.read_index_binary("codes.faiss") searches it
    python -m hashlib_nb exchange codes.faiss codes.npz          # and back, for hashlib-nb selectors or metrics

| ending | holds                                                                                                    |
|--------|----------------------------------------------------------------------------------------------------------|
| .faiss | a binary index that compares each query with all codes: 33 bytes about it, then 8 bits a byte            |
| .npy   | the same bytes as an array, uint8 [n, ceil(k/8)]: bit j of a code is bit j % 8 of byte j // 8            |
| .npz   | `codes` uint8 {0,1} [n, k], and `names` [n] of the files where an index of pictures or an npz file has them |

Item i of one is item i of the others, so that an answer of faiss, which knows numbers alone, can be looked up. faiss
takes whole bytes: codes of another length are filled up with zeros, which changes no distance, and their length must be
said when they are read again. Where items tie, faiss gives them in an order of its own.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import numpy as np
import tyro

from hashlib_nb import artifacts, checks
from hashlib_nb.artifacts import ArtifactError, printable, shown
from hashlib_nb.hamming import MAX_BITS, Packed, as_codes
from hashlib_nb.search.contents import path_of
from hashlib_nb.search.index import FILE, Index

FLAT = b"IBxF"
"""How faiss' file of an IndexBinaryFlat begins; those of its other binary indexes begin with IB as well."""
HEADER = struct.Struct("<4siiq?iQ")
"""What it is, bits and bytes of a code, how many there are, whether trained, its metric, how many bytes follow."""
L2 = 1
"""The metric that faiss notes for a binary index."""
ENDINGS = (".faiss", ".npy", ".npz")


@dataclass(frozen=True)
class Args:
    """Take codes over from one kind of file into another: an index of pictures, faiss' IndexBinaryFlat, NumPy."""

    source: Annotated[Path, tyro.conf.Positional]
    """folder of an index as hashlib-nb encode writes it, a file of faiss' IndexBinaryFlat, or an npy or npz file of
    codes: 0/1 or -1/+1 [n, k], or bytes packed in little bit order"""
    out: Annotated[Path, tyro.conf.Positional]
    """file to write: its ending says what, .faiss, .npy (packed bytes) or .npz (0/1 and names); no file is replaced"""
    codes_array: str | None = None
    """which array of an npz file holds the codes; "codes", or the only one, if left out"""
    code_length: int | None = None
    """k of packed codes that are filled up to whole bytes; 8 bits a byte if left out"""


@dataclass(frozen=True, eq=False)
class Taken:
    """Codes that were read."""

    packed: Packed
    """The codes."""
    names: np.ndarray | None
    """str [n], what each code is of; None where the file does not say."""
    found: str
    """What the file was."""

    @property
    def as_bytes(self) -> np.ndarray:
        """The codes as uint8 [n, ceil(k/8)], in little bit order."""
        words = np.ascontiguousarray(self.packed.words.T).astype("<u8", copy=False)
        return words.view(np.uint8)[:, : -(-self.packed.code_length // 8)]

    @property
    def unpacked(self) -> np.ndarray:
        """The codes as uint8 {0,1} [n, k]."""
        return np.unpackbits(self.as_bytes, axis=1, count=self.packed.code_length, bitorder="little")


def write_faiss(path: Path, codes: Packed) -> None:
    """Write codes as a file of faiss' IndexBinaryFlat, for `faiss.read_index_binary`; all or nothing.

    Raises:
        ValueError: codes that are no `Packed`, or more bits than faiss counts.
        WriteError: it cannot be written.
    """
    if not isinstance(codes, Packed):
        raise ValueError(f"codes is {checks.shown(codes)}; give a hamming.Packed, as Packed.of(codes) makes one")
    content = Taken(codes, None, "").as_bytes
    n, width = content.shape
    with artifacts.atomic(path) as partial, open(partial, "wb") as file:
        file.write(HEADER.pack(FLAT, 8 * width, width, n, True, L2, n * width))
        file.write(np.ascontiguousarray(content).data)


def read_faiss(path: Path, code_length: int | None = None) -> Packed:
    """Codes of a file of faiss' IndexBinaryFlat, as `faiss.write_index_binary` writes it.

    Args:
        path: the file.
        code_length: k of codes that were filled up to whole bytes; all bits if None.

    Raises:
        ArtifactError: the file is missing, damaged, or of another kind.
        ValueError: a code_length that does not belong to it.
    """
    path = path_of(path, "path")
    with artifacts.named_errors(path, "file of faiss' IndexBinaryFlat"), open(path, "rb") as file:
        n, width = _read_header(file, path.stat().st_size)
        content = np.fromfile(file, np.uint8, n * width).reshape(n, width)
    why = f"{shown(path)} has {width} bytes a code"
    k = 8 * width if code_length is None else code_length
    k = checks.count(k, "code_length", least=8 * width - 7, most=min(8 * width, MAX_BITS), why=why)
    filled = np.zeros((n, width + (-width % 8)), np.uint8)
    filled[:, :width] = content
    words = np.ascontiguousarray(filled.view("<u8").T).astype(np.uint64, copy=False)
    if k % 8 and (content[:, -1] >> (k % 8)).any():
        raise ValueError(f"code_length is {k}, but codes of {shown(path)} have bits set beyond it; leave it out")
    return Packed(words, k)


def read_codes(path: Path, codes_array: str | None = None, code_length: int | None = None) -> Taken:
    """Codes of an index of pictures, of faiss' IndexBinaryFlat, or of an npy or npz file.

    Args:
        path: the index' folder, or the file.
        codes_array: which array of an npz file; "codes", or the only one, if None.
        code_length: k of packed codes; 8 bits a byte if None.

    Raises:
        ValueError: what is there cannot be read as codes, or the options do not belong to it; ArtifactError, which is
            one, names a file that is missing or damaged.
    """
    path = path_of(path, "source")
    if path.is_dir() or path.name == FILE:
        for name, value in {"codes_array": codes_array, "code_length": code_length}.items():
            if value is not None:
                raise ValueError(
                    f"{name} is {checks.shown(value)}, but an index of pictures says by itself: leave it out"
                )
        with Index(path).snapshot() as held:
            names = [printable(file) for file in held.paths(range(len(held.codes.packed)))]
            return Taken(held.codes.packed, np.array(names, np.str_), "an index of pictures")
    with artifacts.named_errors(path, "file of codes"), open(path, "rb") as file:
        is_faiss = file.read(2) == FLAT[:2]
    if is_faiss:
        if codes_array is not None:
            raise ValueError(f"codes_array is {codes_array!r}, but {shown(path)} is no npz file: leave it out")
        return Taken(read_faiss(path, code_length), None, "faiss' IndexBinaryFlat")
    array = artifacts.read_array(path, "codes", codes_array)
    try:
        codes, found = as_codes(array, code_length)
    except ValueError as error:
        raise ValueError(f"source: in {shown(path)} {error}") from error
    return Taken(Packed.of(codes), _names_beside(path, len(codes)), found)


def main(args: Args) -> None:
    """Read codes from the source that args name, and write them to the file that they name.

    Raises:
        ValueError: a source, an option or a file that cannot be used.
    """
    ending = args.out.suffix
    if ending not in ENDINGS:
        raise ValueError(f"out is {shown(args.out)}; give it one of the endings {', '.join(ENDINGS)}")
    artifacts.check_writable(args.out, artifacts.is_own_place)
    taken = read_codes(args.source, args.codes_array, args.code_length)
    if ending == ".faiss":
        write_faiss(args.out, taken.packed)
    elif ending == ".npy":
        with artifacts.atomic(args.out) as partial, open(partial, "wb") as file:
            np.save(file, taken.as_bytes, allow_pickle=False)
    else:
        names = {} if taken.names is None else {"names": taken.names}
        made_by = "hashlib_nb.search.exchange"
        artifacts.save_npz(
            args.out, {"codes": taken.unpacked} | names, made_by=made_by, args={"source": str(args.source)}
        )
    n, k = len(taken.packed), taken.packed.code_length
    print(f"found codes: {taken.found}, {n:,} rows of {k} bits")
    without = taken.names is not None and ending != ".npz"
    padded = f"; read it with code_length {k}" if k % 8 and ending != ".npz" else ""
    print(f"saved {shown(args.out)}{', without names: item i is row i' if without else ''}{padded}")


def _read_header(file: IO[bytes], size: int) -> tuple[int, int]:
    """How many codes follow, and bytes of each. Raises ValueError where a file of `size` bytes cannot be that."""
    head = file.read(HEADER.size)
    if head[:4] != FLAT:
        raise ValueError(f"it begins with {head[:4]!r} and not with {FLAT!r}, so that it is of another kind")
    if len(head) < HEADER.size:
        raise ValueError("it ends within its first 33 bytes")
    _, bits, width, n, _, _, content = HEADER.unpack(head)
    if bits != 8 * width or n < 1 or width < 1 or content != n * width or size != HEADER.size + content:
        raise ValueError(f"{n:,} codes of {bits} bits in {width} bytes are not the {size - HEADER.size:,} bytes it has")
    return n, width


def _names_beside(path: Path, n: int) -> np.ndarray | None:
    """`names` of an npz file of n codes, where it has one for each."""
    try:
        names = artifacts.read_npz(path, ["names"])["names"]
    except ArtifactError:  # no npz file, or one without
        return None
    return names if names.shape == (n,) and names.dtype.kind == "U" else None


if __name__ == "__main__":
    artifacts.run(main, Args)
