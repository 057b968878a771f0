"""Where codes come from, what their bits ask, and codes as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashlib_nb import artifacts, checks, thermometer
from hashlib_nb.hamming import MAX_BITS, pack_bytes, unpack_bytes
from hashlib_nb.search.contents import path_of


@dataclass(frozen=True)
class Origin:
    """What codes come from; only codes of one origin can be compared.

    Bit i of a code is 1 where output `outputs[i]` of the encoder is at least `thresholds[i]`, compared in float32: a
    thermometer bit (see `thermometer`).

    Raises:
        ValueError: numbers of outputs, outputs or thresholds that cannot be.
    """

    model: str
    """SHA-256 of the encoder's weights file, in hex."""
    k: int
    """Outputs of the encoder."""
    outputs: tuple[int, ...]
    """The output that each bit asks, in the order in which a code holds them."""
    thresholds: tuple[float, ...] | None = None
    """The logit from which on each bit is 1, a float32; None is stored as 0 for each, a posterior of one half."""

    def __post_init__(self) -> None:
        """Check the numbers, and store them as Python's own."""
        if not isinstance(self.model, str):
            raise ValueError(f"model is {checks.shown(self.model)}; give the SHA-256 of an encoder's weights, in hex")
        k = checks.count(self.k, "k", most=MAX_BITS)
        object.__setattr__(self, "k", k)
        outputs = checks.counts(self.outputs, "outputs", least=0, most=k - 1)
        checks.count(len(outputs), "the number of outputs", most=MAX_BITS)
        outputs, thresholds = thermometer.check_meaning(outputs, self.thresholds, k)
        object.__setattr__(self, "outputs", tuple(outputs.tolist()))
        object.__setattr__(self, "thresholds", tuple(thresholds.tolist()))

    @property
    def bits(self) -> tuple[int, ...]:
        """`outputs`, which each code asked once and at one half where this was its name."""
        return self.outputs

    @property
    def at_half(self) -> bool:
        """Whether every bit asks at one half, so that it is a bit of `Encoder.encode`."""
        return not any(self.thresholds)

    @property
    def said(self) -> str:
        """How many bits of what, for messages."""
        n = len(self.outputs)
        return f"{n} of {self.k} bits" if self.at_half else f"{n} thermometer bits of {self.k} outputs"

    def question(self, bit: int) -> str:
        """What a bit asks, for messages."""
        threshold = self.thresholds[bit]
        return f"output {self.outputs[bit]} at {thermometer.level_of(threshold):.4g} (logit {threshold:.6g})"


def origin_of(model: Path, selection: Path | None = None, n_bits: int | None = None) -> Origin:
    """Origin of the codes that an encoder's folder makes, and a selection keeps.

    Args:
        model: folder with `encoder.json` and `encoder.safetensors`, as `Encoder.save` writes it.
        selection: JSON with the kept "bits", as `hashlib_nb.ppo` and `hashlib_nb.selectors` write it; None keeps all
            outputs, each asked at one half. Where it has no "outputs" and "thresholds", bits are outputs at one half.
        n_bits: how many bits to take from the front of a nested order (`hashlib-nb selectors --nested`); None for all
            that the selection keeps.

    Raises:
        ValueError: a file that is missing or damaged, bits that the encoder does not have, or `n_bits` of a selection
            that has no order, or fewer bits.
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
    outputs, thresholds = (range(k), None) if selection is None else thermometer.read_meaning(selection, k)
    if n_bits is not None:
        n_bits = _check_prefix(selection, n_bits, len(outputs))
        outputs, thresholds = outputs[:n_bits], thresholds[:n_bits]
    return Origin(artifacts.sha256(weights).hex(), k, outputs, thresholds)


def _check_prefix(selection: Path | None, n_bits: int, n_kept: int) -> int:
    """`n_bits` as an int if the selection is an order of as many bits; otherwise a ValueError of one sentence."""
    n_bits = checks.count(n_bits, "n_bits", most=MAX_BITS)
    remedy = "name one that hashlib-nb selectors --nested wrote with --selection, or leave n_bits out"
    if selection is None:
        raise ValueError(f"n_bits is {n_bits}, but there is no selection to take the first bits of: {remedy}")
    about = artifacts.load_json(selection)
    curves = about.get("history")
    if "prefix_lengths" not in about and not (isinstance(curves, dict) and "prefix_lengths" in curves):
        raise ValueError(
            f"n_bits is {n_bits}, but {artifacts.shown(selection)} is no nested order, whose first bits are a code of "
            f"their own: {remedy}"
        )
    why = f"the order in {artifacts.shown(selection)} has {n_kept} bits"
    return checks.count(n_bits, "n_bits", most=n_kept, why=why)


def classes_of(model: Path) -> thermometer.ClassCodes:
    """The class codes beside an encoder, by which queries are decided.

    Args:
        model: folder with `encoder.json` and `codes.npz`, as `hashlib_nb.encoder` writes it.

    Raises:
        ArtifactError: there are none, or those of another encoder.
    """
    model = path_of(model, "model")
    # As `encoder` identifies one, without torch: the description has the digest of the weights, which loading checks.
    about = model / "encoder.json"
    return thermometer.ClassCodes.load(model, artifacts.sha256(about).hex() if about.is_file() else "")


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
