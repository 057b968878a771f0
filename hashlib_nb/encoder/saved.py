"""What an encoder's folder holds: `encoder.safetensors`, its weights, and `encoder.json`, which describes them.

The description has the digest of the weights, and `codes.npz` beside them that of the description: files of two
trainings are not taken for those of one, whenever a run was killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from hashlib_nb import artifacts, checks
from hashlib_nb.artifacts import ArtifactError, shown
from hashlib_nb.encoder import networks
from hashlib_nb.encoder.heads import LabelHead
from hashlib_nb.encoder.networks import Head
from hashlib_nb.encoder.recipes import MAX_SIZE
from hashlib_nb.hamming import MAX_BITS

MAX_LABEL_SETS = 1 << 20
"""Most label sets, and labels, of a label head."""
MAX_FEATURES = 1 << 20
"""Most features of a picture."""
WEIGHTS, DESCRIPTION, CODES = "encoder.safetensors", "encoder.json", artifacts.CODES


@dataclass(frozen=True)
class Description:
    """What `encoder.json` says.

    Raises:
        ValueError: a field that describes no encoder.
    """

    arch: str
    """One of `networks.ARCHS`, or `networks.FEATURES`."""
    bits: int
    """k."""
    size: tuple[int, int]
    """Height and width that pictures are resized to."""
    mean: tuple[float, ...]
    """Per channel, of pictures scaled to 0..1."""
    std: tuple[float, ...]
    """Per channel, above 0."""
    head: Head | None = None
    """What lies on a frozen trunk; None where encoders of version 0.1 had none."""
    label_sets: tuple[int, int] | None = None
    """How many label sets a `LabelHead` asks, of how many labels; None for a network that was fitted to codes."""
    history: Mapping[str, list[float]] = field(default_factory=dict)
    """Curves of the training."""
    weights: str | None = None
    """SHA-256 of the file of weights, in hex; version 0.1 did not write it."""

    def __post_init__(self) -> None:
        """Check every field, and store numbers as Python's own."""
        if self.arch not in (*networks.ARCHS, networks.FEATURES):
            raise ValueError(f"arch is {checks.shown(self.arch)}; give one of {', '.join(networks.ARCHS)}")
        checks.fields(self, checks.count, "bits", most=MAX_BITS)
        checks.fields(self, checks.counts, "size", most=MAX_SIZE if self.arch in networks.ARCHS else MAX_FEATURES)
        if len(self.size) != 2:
            raise ValueError(f"size is {checks.shown(self.size)}; give height and width")
        networks.check_size(self.arch, self.size)
        for name, limit in {"mean": {}, "std": {"above": 0}}.items():
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or len(values) not in (1, 3):
                raise ValueError(f"{name} is {checks.shown(values)}; give 1 or 3 numbers, one a channel")
            object.__setattr__(self, name, tuple(checks.finite(value, name, **limit) for value in values))
        if len(self.mean) != len(self.std) or (len(self.mean) == 1 and self.arch != "alexnet_small"):
            raise ValueError(f"mean and std have {len(self.mean)} and {len(self.std)} channels; {self.arch} has 3")
        if self.head is not None and not networks.is_frozen(self.arch):
            raise ValueError(f"head is given, but {self.arch} has no frozen trunk")
        if self.label_sets is not None:
            checks.fields(self, checks.counts, "label_sets", most=MAX_LABEL_SETS)
            if len(self.label_sets) != 2:
                raise ValueError(
                    f"label_sets is {checks.shown(self.label_sets)}; give how many, and of how many labels"
                )
        self._check_history()
        if self.weights is not None and not isinstance(self.weights, str):
            raise ValueError(f"weights is {checks.shown(self.weights)}; give a SHA-256 in hex")

    def _check_history(self) -> None:
        if not isinstance(self.history, dict):
            raise ValueError(f"history is {checks.shown(self.history)}; give a list of numbers by name")
        for name, values in self.history.items():
            if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
                raise ValueError(f"history has {name} that is no list of numbers")

    @classmethod
    def read(cls, folder: Path) -> Description:
        """What the file in an encoder's folder says; ArtifactError where it is missing or describes no encoder."""
        path = Path(folder) / DESCRIPTION
        about = artifacts.load_json(path)
        try:
            if not isinstance(about, dict) or not {"arch", "bits", "size", "mean", "std", "history"} <= {*about}:
                raise ValueError("it lacks some of arch, bits, size, mean, std, history")
            known = {each.name: about[each.name] for each in fields(cls) if each.name in about}
            head = known.get("head")
            if head is not None:
                if not isinstance(head, dict) or not {*head} <= {each.name for each in fields(Head)}:
                    raise ValueError(f"head is {checks.shown(head)}; give hidden, dropout and batch_norm")
                known["head"] = Head(**head)
                if not isinstance(known["head"].batch_norm, bool):
                    raise ValueError(f"batch_norm is {checks.shown(known['head'].batch_norm)}; give true or false")
            return cls(**known)
        except ValueError as error:
            raise ArtifactError(f"{shown(path)} describes no encoder ({error}): fit one and save it anew") from error


def build(about: Description) -> nn.Module:
    """The network that a description is of, with weights to be filled in."""
    channels, head = about.size[1] if about.arch == networks.FEATURES else len(about.mean), about.head
    if about.label_sets is None:
        return networks.build(about.arch, about.bits, channels, head=head, weights="random")
    n_sets, n_labels = about.label_sets
    network = networks.build(about.arch, n_labels, channels, head=head, weights="random")
    asked = np.zeros((n_sets, n_labels), np.uint8), np.zeros((n_sets, about.bits), np.uint8)
    if isinstance(network, networks.Frozen):
        return networks.Frozen(network.trunk, LabelHead(network.head, *asked, 1.0))
    return LabelHead(network, *asked, 1.0)


def check_folder(folder: Path) -> None:
    """Raise ValueError where `write` would replace files that are not an encoder's, or cannot write."""
    folder = Path(folder)

    def replaces(path: Path) -> bool:
        beside = {DESCRIPTION: artifacts.replaces_json("arch", "bits"), CODES: artifacts.replaces_npz("train_codes")}
        there = (replaces for name, replaces in beside.items() if (folder / name).is_file() and replaces(folder / name))
        return artifacts.is_own_place(path) or next(there, None) is not None

    for name in (WEIGHTS, DESCRIPTION):
        artifacts.check_writable(folder / name, replaces)


def write(folder: Path, network: nn.Module, description: Mapping[str, Any]) -> str:
    """Write a network's weights and their description, a `Description` without its `weights`; see `digest`.

    Raises:
        ValueError: the folder holds such files of another program.
        WriteError: there is no room, or no permission.
    """
    folder = Path(folder)
    check_folder(folder)
    content = save({name: value.contiguous() for name, value in network.state_dict().items()})
    about = dict(description) | {"weights": artifacts.sha256_of(content)}
    with artifacts.locked(folder / "encoder"):
        with artifacts.atomic(folder / WEIGHTS) as partial:
            partial.write_bytes(content)
            # The description first: a run that is killed between the two leaves one that does not fit the old weights.
            artifacts.save_json(folder / DESCRIPTION, about)
        return digest(folder)


def read_into(network: nn.Module, folder: Path, description: Description) -> None:
    """Fill a network that lies on the meta device with the weights in an encoder's folder, on the CPU.

    Raises:
        ArtifactError: the weights are missing, damaged, or not those that are described.
    """
    path = Path(folder) / WEIGHTS
    try:
        artifacts.check_regular(path, "safetensors file")
        fits = not path.exists() or description.weights in (None, artifacts.sha256(path).hex())
        if not fits:
            raise ValueError(f"its content is not what {DESCRIPTION} was written for")
        state = load_file(path)
        shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        if shapes != {name: tuple(value.shape) for name, value in state.items()}:
            raise ValueError(f"it holds other weights than {DESCRIPTION} describes")
        network.to_empty(device="cpu").load_state_dict(state)
        networks.check_finite(network, "it")
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ArtifactError(f"{shown(path)} is missing or damaged ({first}); fit an encoder anew") from error


def digest(folder: Path) -> str:
    """What identifies the encoder in a folder, 64 hex digits; "" where there is none, or half of one."""
    try:
        description = Description.read(folder)
        if description.weights != artifacts.sha256(Path(folder) / WEIGHTS).hex():
            return ""
        return artifacts.sha256(Path(folder) / DESCRIPTION).hex()
    except (ValueError, OSError):
        return ""
