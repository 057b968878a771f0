"""Reference logits: what the course's encoder says of fashion-mini, shipped so that it says the same on every machine.

A network that is trained on another processor, or on other threads, ends with other weights, and all that follows
differs in the third decimal. These logits were made once, of the default settings; bits, posteriors, decided queries
and rewards that are made of them are equal everywhere. `_make_reference.py` made them.

A logit is stored as the number of its step of 1/16 over [-8, 8), uint8, and read as the middle of the step. Zero is a
border between two, so the codes at one half are the network's own; logits outside are those of the outermost steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from hashlib_nb import artifacts
from hashlib_nb.datasets import PARTS, Splits
from hashlib_nb.encoder.batches import digest
from hashlib_nb.encoder.model import codes_of
from hashlib_nb.encoder.settings import Settings
from hashlib_nb.thermometer import ClassCodes

FILE = Path(__file__).with_name("reference.npz")
CHECKSUM = "1ef9064d1477"
"""`artifacts.digest` of the file's arrays, in the order of their names."""
DATASET = "fashion-mini"
CODE_LENGTH = 64
SEEDS = (0, 1, 2)
FOLDS = 3
SETTINGS = Settings(arch="alexnet_small", device="cpu")
"""What they were fitted with."""
SAID = (*PARTS, "out_of_fold")
"""Parts whose logits there are: the training pictures' twice, in sample and out of fold."""
STEP = 1 / 16
STEPS = 256
ENCODER = "reference"
"""What stands for the digest of an encoder, since its weights are not shipped."""


def settled(settings: Settings) -> Settings:
    """The same with "auto" decided as it was for these logits, whatever devices there are here."""
    arch, device = (SETTINGS.arch if settings.arch == "auto" else settings.arch, settings.device)
    return replace(settings, arch=arch, device=SETTINGS.device if device == "auto" else device)


def steps_of(logits: np.ndarray) -> np.ndarray:
    """The numbers uint8 of the steps that logits float lie in; those outside [-8, 8) in the first or last."""
    return np.clip(np.floor(np.asarray(logits) / STEP) + STEPS // 2, 0, STEPS - 1).astype(np.uint8)


def logits_of(steps: np.ndarray) -> np.ndarray:
    """The middle of each step, float32: exact, and never 0."""
    return (steps.astype(np.float32) + np.float32(0.5 - STEPS // 2)) * np.float32(STEP)


def load(seed: int, splits: Splits) -> dict[str, np.ndarray]:
    """Arrays as stage 2 leaves them in `codes.npz`, of reference logits.

    Args:
        seed: one of `SEEDS`.
        splits: the data set's own split, whose labels go with the rows.

    Raises:
        ArtifactError: the file is missing or damaged, or the pictures are not those that the logits are of.
    """
    stored = _read(splits)
    at = SEEDS.index(seed)
    labels = {f"{part}_labels": getattr(splits, part).labels for part in PARTS}
    targets = stored["class_codes"][at][labels["train_labels"].argmax(axis=1)]
    logits = {f"{part}_logits": logits_of(stored[part][at]) for part in SAID}
    codes = {name.replace("logits", "codes"): codes_of(values) for name, values in logits.items()}
    classes = ClassCodes.of(targets, labels["train_labels"], logits["out_of_fold_logits"])
    about = {"targets": targets, "fold": stored["fold"][at].astype(np.int64), "encoder": np.array(ENCODER)}
    return logits | codes | labels | about | classes.arrays()


def _read(splits: Splits) -> dict[str, np.ndarray]:
    arrays, about = artifacts.load_npz(FILE)
    name = artifacts.shown(FILE)
    if checksum(arrays) != CHECKSUM:
        raise artifacts.ArtifactError(f"{name} is damaged: its checksum is not {CHECKSUM}; install the package anew")
    if about["args"]["pictures"] != pictures(splits):
        raise artifacts.ArtifactError(f"{name} is of other pictures than {DATASET} has here; install the package anew")
    return arrays


def checksum(arrays: Mapping[str, np.ndarray]) -> str:
    """Twelve hex digits that identify arrays with their names' order."""
    return artifacts.digest(*(arrays[name] for name in sorted(arrays)))


def pictures(splits: Splits) -> str:
    """What identifies pictures and labels of all parts, row by row."""
    parts = [getattr(splits, name) for name in PARTS]
    return " ".join([*(digest(part.images) for part in parts), artifacts.digest(*(part.labels for part in parts))])
