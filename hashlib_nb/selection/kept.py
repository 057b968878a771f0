"""What a choice of bits is, and the file it lies in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hashlib_nb import artifacts, checks
from hashlib_nb.hamming import MAX_BITS, check_bits, mask_of
from hashlib_nb.thermometer import check_meaning, meaning


@dataclass(frozen=True, eq=False)
class Selection:
    """The bits that a method keeps."""

    bits: np.ndarray
    """int64 [p], indices of the kept bits in the order in which they were chosen."""
    reward: float
    """Their reward: mAP on the codes that were given."""
    calls: int
    """Distinct subsets whose reward was computed to find them."""
    method: str
    """What found them: "ppo" or a name in `selectors.METHODS`."""
    n_candidates: int
    """k, the number of bits there were to choose from."""
    history: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    """Curves over the search, where the method leaves some (see ppo.py)."""
    outputs: np.ndarray | None = None
    """int64 [p], the encoder's output that each kept bit asks, where bits are thermometer bits; None where they are the
    outputs themselves, asked at one half."""
    thresholds: np.ndarray | None = None
    """float32 [p], in logits, at which each asks; None likewise."""

    @property
    def mask(self) -> np.ndarray:
        """bool [k], True where the bit is kept."""
        return mask_of(self.bits, self.n_candidates).astype(bool)

    def save(self, path: Path) -> None:
        """Write JSON with the kept bits first, so that other programs need read no more than that.

        Raises:
            ValueError: `path` is no place to write to, or holds a file that is no selection.
        """
        artifacts.check_writable(path, artifacts.replaces_json("bits"))
        curves = {name: np.asarray(values).tolist() for name, values in self.history.items()}
        about = {"reward": self.reward, "calls": self.calls, "method": self.method, "n_candidates": self.n_candidates}
        about |= meaning(self.outputs, self.thresholds)
        artifacts.save_json(path, {"bits": self.bits.tolist(), **about, "history": curves})

    @classmethod
    def load(cls, path: Path) -> Selection:
        """Read what `save` wrote. Raises ArtifactError for a missing or foreign file."""
        bits, about = artifacts.read_selection(path), artifacts.load_json(path)
        try:
            if not isinstance(about.get("history"), dict):
                raise ValueError("history is no list of numbers by name")
            history = {name: np.array(values) for name, values in about["history"].items()}
            return _stored(about | {"bits": bits}, history)
        except ValueError as error:
            raise artifacts.ArtifactError(f"{artifacts.shown(path)} holds no selection ({error})") from error


def _stored(about: Mapping[str, Any], history: dict[str, np.ndarray]) -> Selection:
    """The selection that a file holds. Raises ValueError for what none can be."""
    if missing := {"bits", "reward", "calls", "method", "n_candidates"} - {*about}:
        raise ValueError(f"it has no {', '.join(sorted(missing))}")
    k = checks.count(about["n_candidates"], "n_candidates", most=MAX_BITS)
    asks = (about.get("outputs"), about.get("thresholds"))
    if any(each is not None for each in asks):
        if any(each is None for each in asks):
            raise ValueError("it has outputs or thresholds, but not both")
        asks = check_meaning(*asks)
        if len(asks[0]) != len(about["bits"]):
            raise ValueError("outputs has not one number for each of its bits")
    if not isinstance(about["method"], str):
        raise ValueError(f"method is {checks.shown(about['method'])}, no name")
    if odd := [name for name, values in history.items() if values.dtype.kind not in "iuf"]:
        raise ValueError(f"history has {odd[0]}, which is no array of numbers")
    return Selection(
        bits=check_bits(about["bits"], k),
        reward=float(checks.finite(about["reward"], "reward")),
        calls=checks.count(about["calls"], "calls", least=0),
        method=about["method"],
        n_candidates=k,
        history=history,
        outputs=asks[0],
        thresholds=asks[1],
    )


def load_or_make(path: Path, settings: Mapping[str, Any], make: Callable[[], Selection]) -> Selection:
    """The selection in `path` if it was made with `settings` (codes' digest, p, method, seed ...), else `make()` it.

    See `artifacts.load_or_make`, which says which of the two and why.
    """

    def arrays() -> dict[str, np.ndarray]:
        made = make()
        curves = {f"history_{name}": values for name, values in made.history.items()}
        about = {"reward": made.reward, "calls": made.calls, "method": made.method, "n_candidates": made.n_candidates}
        asks = {} if made.outputs is None else {"outputs": made.outputs, "thresholds": made.thresholds}
        return {"bits": made.bits, **{name: np.array(value) for name, value in about.items()}, **asks, **curves}

    def read(found: Mapping[str, np.ndarray]) -> Selection:
        history = {name.removeprefix("history_"): found[name] for name in found if name.startswith("history_")}
        names = [name for name in ("reward", "calls", "method", "n_candidates") if name in found]
        about = {name: found[name].item() for name in names if found[name].size == 1}
        kept = ("bits", "outputs", "thresholds")
        return _stored(about | {name: found[name] for name in kept if name in found}, history)

    def wrong(found: Mapping[str, np.ndarray]) -> str | None:
        try:
            read(found)
        except ValueError as error:
            return str(error)
        return None

    return read(artifacts.load_or_make(path, settings, arrays, made_by="hashlib_nb.selection", check=wrong))


def check_n_bits(n_bits: int, k: int) -> int:
    """`n_bits` as an int if it is in 1..k; otherwise a ValueError of one sentence."""
    return checks.count(n_bits, "n_bits", most=k, why=f"the codes have {k} bits")
