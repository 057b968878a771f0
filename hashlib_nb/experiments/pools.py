"""Pools of candidate bits of the same pictures, for methods that choose among them.

| pool        | k   | its bits                                                                                      |
|-------------|-----|-----------------------------------------------------------------------------------------------|
| 64          | 64  | the course's encoder of 64 outputs, each asked at one half                                    |
| thermometer | 832 | the same outputs, asked at thirteen levels (less those that never differ); decided queries    |
| symmetric   | 832 | the same candidates, but queries keep their own codes                                         |
| 256         | 256 | an encoder of 256 outputs: four times as many target codes of the same kind                   |
| lsh-512     | 512 | random hyperplanes through the mean training picture (Charikar 2002): nothing is learned      |
| union       | 160 | encoders of 16, 32, 48 and 64 outputs side by side, as HBS-RL chooses from several lengths    |

Queries of the pool "thermometer" have the code of their likeliest class (`thermometer.decide`), those of all others
their own. Nothing is chosen here, and no label of a query or database picture is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashlib_nb import baselines, candidates, datasets, encoder
from hashlib_nb.candidates import Candidates
from hashlib_nb.encoder import Source
from hashlib_nb.thermometer import LEVELS

if TYPE_CHECKING:
    from hashlib_nb.encoder import ImageCodes

ENCODERS = {"64": (64,), "thermometer": (64,), "symmetric": (64,), "256": (256,), "union": (16, 32, 48, 64)}
"""Pools of learned bits: the code lengths whose encoders stand side by side."""
DECIDED = "thermometer"
"""The pool of which outputs are asked at all levels, and queries are decided."""
GRADED = (DECIDED, "symmetric")
"""Pools of thermometer bits."""
HYPERPLANES = {"lsh-512": 512}
"""Pools of random hyperplanes: how many."""
NAMES = ("64", "thermometer", "symmetric", "256", "lsh-512", "union")


def size(name: str) -> int:
    """k of the pool `name` in `NAMES`, before it is made; of thermometer bits some may turn out not to differ."""
    if name in HYPERPLANES:
        return HYPERPLANES[name]
    return sum(ENCODERS[name]) * (len(LEVELS) if name in GRADED else 1)


def load(
    name: str,
    *,
    dataset: str = "fashion-mini",
    root=None,
    seed: int = 0,
    folds: int = 3,
    settings: encoder.Settings | None = None,
    source: Source = "own",
) -> Candidates:
    """A pool by name; encoders come from the artifacts where they exist, and are fitted where they do not.

    Args:
        name: one of `NAMES`.
        dataset: a name in `hashlib_nb.datasets`.
        root: folder of the data set's files, where it needs one.
        seed: of target codes and encoders, or of the hyperplanes.
        folds: encoders for the out-of-fold codes, at least 2.
        settings: how each encoder is fitted; None for the package's defaults.
        source: "own" encoders, or "reference" codes, of which there are pools of 64 outputs alone (`encoder.Setup`).

    Raises:
        ValueError: an unknown name, or reference codes of what there are none of.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, not {name!r}")
    if name in HYPERPLANES:
        return of_hyperplanes(datasets.load(dataset, root=root), HYPERPLANES[name], name=name, seed=seed)
    key = {"dataset": dataset, "root": root, "seed": seed, "folds": folds, "settings": settings, "source": source}
    needed = setups(name, **key)
    if name in GRADED:
        options = candidates.Options(decided=name == DECIDED)
        return candidates.of_arrays(needed[0].codes().arrays, options, name=name)
    return side_by_side([setup.codes() for setup in needed], name)


def setups(
    name: str,
    *,
    dataset: str = "fashion-mini",
    root=None,
    seed: int = 0,
    folds: int = 3,
    settings: encoder.Settings | None = None,
    source: Source = "own",
) -> list[encoder.Setup]:
    """Keys of the encoders whose bits a pool holds, none for hyperplanes; arguments as of `load`."""
    key = {"seed": seed, "folds": folds, "settings": settings or encoder.Settings(), "source": source}
    return [encoder.Setup(dataset, root, code_length=k, **key) for k in ENCODERS.get(name, ())]


def check_source(source: Source, names: Iterable[str], keys: Sequence[Mapping[str, Any]]) -> None:
    """Raise ValueError where there are no reference codes of some pools, of which `keys` say the rest (see `load`)."""
    if source != "own":
        for name, key in itertools.product(names, keys):
            setups(name, **key)


def folder(what: str, *, seed: int = 0, **key) -> Path:
    """Where experiments of that name on the pools of a seed keep their files; other arguments as of `load`."""
    (setup,) = setups("64", seed=seed, **key)
    return setup.folder.with_name(f"{setup.folder.name}-{what}")


def side_by_side(parts: list[ImageCodes], name: str) -> Candidates:
    """The pool of all bits of several encoders of the same pictures."""

    def joined(which: str) -> np.ndarray:
        return np.hstack([part.arrays[which] for part in parts])

    labels = {f"{split}_labels": parts[0].arrays[f"{split}_labels"] for split in ("query", "database")}
    return Candidates(
        name,
        reward_codes=joined("out_of_fold_codes"),
        reward_labels=parts[0].arrays["train_labels"],
        in_sample_codes=joined("train_codes"),
        fold=parts[0].fold,
        query_codes=joined("query_codes"),
        database_codes=joined("database_codes"),
        **labels,
    )


def of_hyperplanes(splits: datasets.Splits, bits: int, *, name: str = "lsh", seed: int = 0) -> Candidates:
    """The pool of `bits` random hyperplanes (`baselines.hyperplanes`)."""
    codes = baselines.hyperplanes(splits, bits, seed=seed)
    return Candidates(
        name,
        reward_codes=codes["train"],
        reward_labels=splits.train.labels,
        in_sample_codes=codes["train"],
        fold=np.zeros(len(splits.train), dtype=np.int64),
        query_codes=codes["query"],
        query_labels=splits.query.labels,
        database_codes=codes["database"],
        database_labels=splits.database.labels,
    )
