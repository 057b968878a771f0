"""Make reference.npz: fit the course's encoder with each seed, or load what is there, and store its logits in steps.

python -m hashlib_nb.encoder._make_reference --out hashlib_nb/encoder/reference.npz

Codes that lie in artifacts/ are taken as they are, so a run that was cut off goes on. On another processor the logits
come out differently; the checksum that it prints goes into reference.py together with the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashlib_nb import artifacts
from hashlib_nb.encoder import reference
from hashlib_nb.encoder.image_codes import Setup
from hashlib_nb.thermometer import ClassCodes


@dataclass(frozen=True)
class Args:
    """Store the logits of the course's encoder, three seeds of it, in one compressed npz file."""

    out: Path
    """File to write: of query, train, database and out_of_fold uint8 [seeds, n, 64], class_codes uint8 {0,1} [seeds,
    classes, 64], fold uint8 [seeds, n]."""


def stored(setup: Setup) -> dict[str, np.ndarray]:
    """What is stored of one seed."""
    arrays = setup.codes().arrays
    class_codes, labels = ClassCodes.from_arrays(arrays).codes, arrays["train_labels"]
    if not (class_codes[labels.argmax(axis=1)] == arrays["targets"]).all():
        raise ValueError("targets differ within a class; reference logits are of one code a class")
    found = {part: reference.steps_of(arrays[f"{part}_logits"]) for part in reference.SAID}
    return found | {"class_codes": class_codes, "fold": arrays["fold"].astype(np.uint8)}


def main(args: Args) -> None:
    """Write the file and print its checksum."""
    key = {"code_length": reference.CODE_LENGTH, "folds": reference.FOLDS, "settings": reference.SETTINGS}
    setups = [Setup(reference.DATASET, seed=seed, **key) for seed in reference.SEEDS]
    seeds = [stored(setup) for setup in setups]
    arrays = {name: np.stack([each[name] for each in seeds]) for name in seeds[0]}
    made_from = {"pictures": reference.pictures(setups[0].splits), "settings": str(setups[0].settings)}
    artifacts.save_npz(args.out, arrays, args=made_from, made_by="hashlib_nb.encoder._make_reference")
    print(f"{args.out}: {args.out.stat().st_size:,} bytes, checksum {reference.checksum(arrays)}")


if __name__ == "__main__":
    artifacts.run(main, Args, prog="python -m hashlib_nb.encoder._make_reference")
