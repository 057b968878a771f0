"""Where codes come from, and codes as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashlib_nb import artifacts, checks
from hashlib_nb.hamming import pack_bytes, unpack_bytes
from hashlib_nb.search.contents import path_of

MAX_BITS = np.iinfo(np.uint16).max
"""The longest code whose distances can be counted."""


@dataclass(frozen=True)
class Origin:
    """What codes come from; only codes of one origin can be compared.

    Raises:
        ValueError: a length or bits that cannot be.
    """

    model: str
    """SHA-256 of the encoder's weights file, in hex."""
    k: int
    """Bits that the encoder makes."""
    bits: tuple[int, ...]
    """Those of them that are kept, in the order in which a code holds them."""

    def __post_init__(self) -> None:
        """Check the numbers, and store them as Python's own."""
        if not isinstance(self.model, str):
            raise ValueError(f"model is {checks.shown(self.model)}; give the SHA-256 of an encoder's weights, in hex")
        k = checks.count(self.k, "k", most=MAX_BITS)
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "bits", checks.counts(self.bits, "bits", least=0, most=k - 1, distinct=True))


def origin_of(model: Path, selection: Path | None = None) -> Origin:
    """Origin of the codes that an encoder's folder makes, and a selection keeps.

    Args:
        model: folder with `encoder.json` and `encoder.safetensors`, as `Encoder.save` writes it.
        selection: JSON with the kept "bits", as `hashlib_nb.ppo` and `hashlib_nb.selectors` write it; None keeps all.

    Raises:
        ValueError: a file that is missing or damaged, or bits that the encoder does not have.
    """
    model = path_of(model, "model")
    about, weights = model / "encoder.json", model / "encoder.safetensors"
    for path in (about, weights):
        if not path.is_file():
            raise ValueError(
                f"model: {artifacts.shown(model)} has no {path.name}; give a folder that hashlib_nb.encoder wrote"
            )
    described = artifacts.load_json(about)
    try:
        k = checks.count(described["bits"], "bits", most=MAX_BITS)
    except (KeyError, TypeError, ValueError) as error:
        raise artifacts.ArtifactError(
            f"model: {artifacts.shown(about)} describes no encoder: fit one and save it anew"
        ) from error
    bits = range(k) if selection is None else artifacts.read_selection(selection, k)
    return Origin(artifacts.sha256(weights).hex(), k, tuple(int(bit) for bit in bits))


def hex_of(codes: np.ndarray) -> list[str]:
    """Codes {0,1} [n, p] as n texts, n may be 0; two hex digits a byte, packed as `pack_bytes` does."""
    codes = checks.array(codes, "codes", "a code matrix [n, k]")
    return [] if codes.shape[:1] == (0,) else [row.tobytes().hex() for row in pack_bytes(codes)]


def code_of_hex(text: str, n_bits: int) -> np.ndarray:
    """Code uint8 {0,1} [n_bits] of what `hex_of` wrote.

    Raises:
        ValueError: other letters, another length, or bits beyond the last.
    """
    n_bits = checks.count(n_bits, "n_bits", most=MAX_BITS)
    digits = 2 * -(-n_bits // 8)
    try:
        packed = np.frombuffer(bytes.fromhex(text), np.uint8)
    except (TypeError, ValueError):
        packed = np.zeros(0, np.uint8)
    if 2 * len(packed) != digits or np.unpackbits(packed, bitorder="little")[n_bits:].any():
        raise ValueError(
            f"hex is {checks.shown(text)}; a code of {n_bits} bits has {digits} hex digits, as hashlib-nb encode writes"
        )
    return unpack_bytes(packed[None], n_bits)[0]
