"""An index of pictures: their codes, their files, and what made the codes. `encode` fills it, `answers` asks it.

It is one file, `index.npz` in the index' folder, not compressed: a million codes of 64 bits with their names are 95 MB,
written in 0.1 s and read in 0.05 s, where a compressed file of names as numpy strings takes 3.2 and 0.5 s. Every change
writes it anew under another name and puts that in its place, so whoever reads it finds the old one or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hashlib_nb import artifacts
from hashlib_nb.hamming import pack_bytes, unpack_bytes
from hashlib_nb.search.answers import Found, ask

FILE = "index.npz"
ARRAYS = {"codes", "contents", "names", "name_ends"}


@dataclass(frozen=True)
class Origin:
    """What codes come from; only codes of one origin can be compared."""

    model: str
    """SHA-256 of the encoder's weights file, in hex."""
    k: int
    """Bits that the encoder makes."""
    bits: tuple[int, ...]
    """Those of them that are kept, in the order in which a code holds them."""


def origin_of(model: Path, selection: Path | None = None) -> Origin:
    """Origin of the codes that an encoder's folder makes, and a selection keeps.

    Args:
        model: folder with `encoder.json` and `encoder.safetensors`, as `Encoder.save` writes it.
        selection: JSON with the kept "bits", as `hashlib_nb.ppo` and `hashlib_nb.selectors` write it; None keeps all.

    Raises:
        ValueError: a file that is missing or damaged, or bits that the encoder does not have.
    """
    about, weights = Path(model) / "encoder.json", Path(model) / "encoder.safetensors"
    for path in (about, weights):
        if not path.is_file():
            raise ValueError(
                f"model: {artifacts.shown(model)} has no {path.name}; give a folder that hashlib_nb.encoder wrote"
            )
    described = artifacts.load_json(about)
    if not isinstance(described, dict) or not isinstance(described.get("bits"), int):
        raise artifacts.ArtifactError(f"model: {artifacts.shown(about)} describes no encoder: fit one and save it anew")
    k = described["bits"]
    bits = range(k) if selection is None else artifacts.read_selection(selection, k)
    return Origin(artifacts.sha256(weights).hex(), k, tuple(int(bit) for bit in bits))


def printable(path: Path) -> str:
    """A path as text that any terminal and file takes: bytes that are no UTF-8 are written out as escapes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def hex_of(codes: np.ndarray) -> list[str]:
    """Codes {0,1} [n, p] as n texts, two hex digits a byte, packed as `pack_bytes` does."""
    return [row.tobytes().hex() for row in pack_bytes(codes)]


def code_of_hex(text: str, n_bits: int) -> np.ndarray:
    """Code uint8 {0,1} [n_bits] of what `hex_of` wrote.

    Raises:
        ValueError: other letters, another length, or bits beyond the last.
    """
    digits = 2 * -(-n_bits // 8)
    try:
        packed = np.frombuffer(bytes.fromhex(text), np.uint8)
    except ValueError:
        packed = np.zeros(0, np.uint8)
    if 2 * len(packed) != digits or np.unpackbits(packed, bitorder="little")[n_bits:].any():
        raise ValueError(
            f"hex is {text!r}; a code of {n_bits} bits has {digits} hex digits, as hashlib-nb encode writes"
        )
    return unpack_bytes(packed[None], n_bits)[0]


@dataclass(frozen=True, eq=False)
class Index:
    """Pictures and their codes, in the order in which they were added. Never changed: `plan` and `add` make others.

    A picture's file is noted relative to the index' folder, unless the two have no folder in common but the top one, so
    that a folder that holds both can be moved.
    """

    folder: Path
    """Where the index lies, or is to lie."""
    origin: Origin
    """What the codes come from."""
    model: Path
    """The encoder's folder when the index was made."""
    codes: np.ndarray
    """uint8 [n, ceil(p/8)], packed as `pack_bytes` does."""
    contents: np.ndarray
    """uint8 [n, 32], SHA-256 of each picture's file."""
    names: np.ndarray
    """uint8, the names of the files one after the other, in the file system's encoding."""
    name_ends: np.ndarray
    """int64 [n], where in `names` each ends."""
    found: tuple[int, ...] | None = field(default=None, repr=False)
    """Which file this was read from, to notice if another program has replaced it since; None for a new index."""

    @classmethod
    def new(cls, folder: Path, origin: Origin, model: Path) -> Index:
        """An index without pictures."""
        empty = np.zeros((0, -(-len(origin.bits) // 8)), np.uint8), np.zeros((0, 32), np.uint8), np.zeros(0, np.uint8)
        return cls(Path(folder), origin, Path(model), *empty, np.zeros(0, np.int64))

    @classmethod
    def load(cls, folder: Path) -> Index:
        """Read what `save` wrote.

        Raises:
            ArtifactError: there is no index, or it is damaged or of another program.
        """
        folder = Path(folder)
        path = folder / FILE
        if not path.is_file():
            raise artifacts.ArtifactError(
                f"index: {artifacts.shown(folder)} holds no {FILE}; make one with hashlib-nb encode --index"
            )
        found = _stamp(path)
        arrays, about = artifacts.load_npz(path)
        try:
            origin = Origin(about["model"], about["k"], tuple(about["bits"]))
            model = Path(os.path.normpath(folder / about["model_folder"]))
            return cls(folder, origin, model, **arrays, found=found)
        except (KeyError, TypeError) as error:
            raise artifacts.ArtifactError(
                f"index: {artifacts.shown(path)} is no index of pictures ({error}); name another folder"
            ) from error

    @classmethod
    def load_or_new(cls, folder: Path, origin: Origin, model: Path) -> Index:
        """The index in `folder`, or a new one where there is none.

        Raises:
            ArtifactError: it is damaged.
            ValueError: its codes have another origin.
        """
        if not (Path(folder) / FILE).exists():
            return cls.new(folder, origin, model)
        index = cls.load(folder)
        index.check_origin(origin)
        return index

    def save(self) -> None:
        """Write the index to its folder, all or nothing.

        Raises:
            ValueError: another program has written there since this index was loaded.
        """
        path = self.folder / FILE
        about = {"model": self.origin.model, "k": self.origin.k, "bits": self.origin.bits}
        about["model_folder"] = self.name_of(self.model)
        note = np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8)
        arrays = {name: getattr(self, name) for name in sorted(ARRAYS)}
        with artifacts.atomic(path) as partial:
            with open(partial, "wb") as file:
                np.savez(file, **arrays, **{artifacts.META: note})
            if _stamp(path) != self.found:
                raise ValueError(
                    f"index: {artifacts.shown(path)} was changed by another program meanwhile, so nothing was "
                    "written; run the command again"
                )

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def n_bits(self) -> int:
        """p, bits of a code."""
        return len(self.origin.bits)

    def unpacked(self) -> np.ndarray:
        """The codes as uint8 {0,1} [n, p]."""
        return unpack_bytes(self.codes, self.n_bits)

    def path(self, row: int) -> Path:
        """The file of a picture, absolute if it was noted so, else by way of the index' folder."""
        start = self.name_ends[row - 1] if row else 0
        name = os.fsdecode(self.names[start : self.name_ends[row]].tobytes())
        return Path(os.path.normpath(self.folder / name))

    def name_of(self, path: Path) -> str:
        """How a file is noted: see the class."""
        path, folder = Path(os.path.abspath(path)), Path(os.path.abspath(self.folder))
        together = path.parts[:2] == folder.parts[:2]  # the top folder and the first one in it
        return os.path.relpath(path, folder) if together else str(path)

    def search(
        self,
        codes: np.ndarray,
        queries: Sequence[str] | None = None,
        *,
        top: int | None = None,
        radius: int | None = None,
    ) -> list[Found]:
        """The nearest pictures to each code, or all within a radius; `path` names their files.

        Args:
            codes: {0,1} [q, p].
            queries: q texts that say what the codes are of; None says them in hex.
            top: how many to find, all where there are fewer; 5 where no radius is given either.
            radius: find all within this Hamming distance instead.

        Raises:
            ValueError: both top and radius, or codes, top or radius that cannot be.
        """
        return ask(self, codes, hex_of(codes) if queries is None else queries, top=top, radius=radius)

    def check_model(self, origin: Origin) -> None:
        """Raise ValueError if the origin is another model's."""
        if origin.model != self.origin.model or origin.k != self.origin.k:
            raise ValueError(
                f"index: {artifacts.shown(self.folder)} was made with another model (weights "
                f"{self.origin.model[:12]}, now {origin.model[:12]}); give that model, which was in "
                f"{artifacts.shown(self.model)}, or name a new index"
            )

    def check_origin(self, origin: Origin) -> None:
        """Raise ValueError unless codes of this origin can be compared with those of the index."""
        self.check_model(origin)
        if origin.bits != self.origin.bits:
            raise ValueError(
                f"index: {artifacts.shown(self.folder)} keeps {self.n_bits} of {origin.k} bits, not the "
                f"{len(origin.bits)} that are asked for; give the selection that it was made with or name a new index"
            )

    def plan(self, paths: Sequence[Path], contents: Sequence[bytes]) -> tuple[Index, list[int]]:
        """What adding pictures comes to: the index less what they make stale, and which of them it lacks.

        Stale is a picture whose file is among `paths` with another content, or has gone while `paths` have its content.
        Of several files with one content the first counts.

        Args:
            paths: absolute files.
            contents: their SHA-256.
        """
        names = [os.fsencode(self.name_of(path)) for path in paths]
        now = dict(zip(names, contents, strict=True))
        given = set(contents)
        rows = zip(self._names(), map(bytes, self.contents), strict=True)
        fresh = [
            now[name] == content if name in now else content not in given or (self.folder / os.fsdecode(name)).exists()
            for name, content in rows
        ]
        kept = self._take(np.flatnonzero(fresh))
        known, missing = set(map(bytes, kept.contents)), []
        for place, content in enumerate(contents):
            if content not in known:
                known.add(content)
                missing.append(place)
        return kept, missing

    def add(self, codes: np.ndarray, paths: Sequence[Path], contents: Sequence[bytes] | None = None) -> Index:
        """The index with further pictures at its end, not yet saved. `add_pictures` makes their codes as well.

        Args:
            codes: {0,1} [m, p].
            paths: their files.
            contents: SHA-256 of each; None reads the files.
        """
        contents = [artifacts.sha256(path) for path in paths] if contents is None else contents
        names = [os.fsencode(self.name_of(path)) for path in paths]
        return replace(
            self,
            codes=np.concatenate([self.codes, pack_bytes(codes)]),
            contents=np.concatenate([self.contents, np.frombuffer(b"".join(contents), np.uint8).reshape(-1, 32)]),
            **_joined(self._names() + names),
        )

    def _names(self) -> list[bytes]:
        text, starts = self.names.tobytes(), [0, *self.name_ends.tolist()]
        return [text[start:end] for start, end in zip(starts, starts[1:], strict=False)]

    def _take(self, rows: np.ndarray) -> Index:
        if len(rows) == len(self):
            return self
        names = self._names()
        return replace(
            self, codes=self.codes[rows], contents=self.contents[rows], **_joined([names[row] for row in rows])
        )


def _joined(names: list[bytes]) -> dict[str, np.ndarray]:
    lengths = np.fromiter(map(len, names), np.int64, len(names))
    return {"names": np.frombuffer(b"".join(names), np.uint8), "name_ends": np.cumsum(lengths)}


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced; None where there is none."""
    if not path.exists():
        return None
    about = path.stat()
    return about.st_ino, about.st_mtime_ns, about.st_size
