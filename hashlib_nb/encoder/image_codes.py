"""Codes of a data set by name: which run it is, where it lies, and stages 1 and 2 where it is missing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashlib_nb import artifacts, codes, datasets
from hashlib_nb.encoder import batches, features, networks, parallel
from hashlib_nb.encoder.fitting import PARTS, _frozen_encoder, cross_fit, fit, folds_of
from hashlib_nb.encoder.networks import choose
from hashlib_nb.encoder.training import RECIPES, Recipe

if TYPE_CHECKING:
    from hashlib_nb.encoder.batches import Images


@dataclass(frozen=True, eq=False)
class ImageCodes:
    """What stage 2 hands to stages 3 and 4; every array is uint8 {0,1} [n, k] unless said otherwise."""

    query: np.ndarray
    """Codes of the query pictures."""
    train: np.ndarray
    """Codes of the training pictures, from the encoder that was fitted to them (in sample)."""
    database: np.ndarray
    """Codes of the database pictures."""
    targets: np.ndarray
    """Target codes of the training pictures (stage 1)."""
    out_of_fold: np.ndarray
    """Codes of the training pictures, each from an encoder that never saw it (see `cross_fit`)."""
    fold: np.ndarray
    """int64 [n], which fold each training picture was in."""
    history: dict[str, np.ndarray] = field(repr=False)
    """`loss` and `bit_accuracy` [epochs] of the final encoder, `validation_bit_accuracy` [folds, epochs]."""
    arrays: dict[str, np.ndarray] = field(repr=False)
    """All that `codes.npz` holds, by the names there, labels included: what `selection.reward_codes` reads."""


def load_or_encode(
    folder: Path,
    splits: datasets.Splits,
    targets: np.ndarray,
    *,
    folds: int = 3,
    seed: int = 0,
    cache: Path | None = None,
    **settings,
) -> ImageCodes:
    """Codes of all splits: from `folder` if they were made with these settings, else fit, cross-fit, encode and save.

    Args:
        folder: where `codes.npz`, `encoder.safetensors` and `encoder.json` lie.
        splits: the data set.
        targets: target codes of `splits.train`, uint8 [n, k].
        folds: encoders for the out-of-fold codes; 0 leaves those out.
        seed: of everything.
        cache: folder of a frozen trunk's features (see `features`); None keeps them in `folder`.
        **settings: further arguments of `fit`, except validation and checkpoint.
    """
    settings["arch"], device = choose(settings.get("arch", "auto"), settings.get("device", "auto"))
    settings["device"] = str(device)
    settings["precision"] = networks.choose_precision(settings.get("precision", "auto"), device)
    if folds:
        folds_of(targets, folds, seed)  # a number of folds that cannot be is named before the first encoder is fitted
    recipe = settings.get("recipe") or RECIPES[settings["arch"]]
    checkpoints = Path(folder) / "checkpoints"

    def make() -> dict[str, np.ndarray]:
        inputs = {name: getattr(splits, name).images for name in PARTS}
        if networks.is_frozen(settings["arch"]):
            trunk, progress = _frozen_encoder(splits.train.images, settings), settings.get("progress", True)
            inputs = features.of_splits(Path(cache or folder), trunk, splits, mirror=recipe.mirror, progress=progress)
        arrays = _fit_and_encode(Path(folder), inputs, targets, checkpoints, folds, seed, settings)
        return arrays | {f"{name}_labels": getattr(splits, name).labels for name in PARTS}

    def load_or(make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        args = _made_from(splits, targets, recipe, settings) | {"folds": folds, "seed": seed}
        return artifacts.load_or_make(Path(folder) / "codes.npz", args, make, made_by="hashlib_nb.encoder")

    arrays = parallel.first_decides(load_or, make)
    if parallel.is_first():
        for file in checkpoints.glob("*.pt"):  # the codes are safe: nothing to resume any more
            file.unlink()
    return _image_codes(arrays)


def _fit_and_encode(
    folder: Path,
    inputs: Mapping[str, Images],
    targets: np.ndarray,
    checkpoints: Path,
    folds: int,
    seed: int,
    settings: dict,
) -> dict[str, np.ndarray]:
    """All of `codes.npz` but the labels, from pictures or features of query, train and database."""
    encoder = fit(inputs["train"], targets, checkpoint=checkpoints / "final.pt", seed=seed, **settings)
    out_of_fold, fold, histories = targets[:0], np.zeros(0, dtype=np.int64), []
    if folds:
        out_of_fold, fold, histories = cross_fit(
            inputs["train"], targets, folds=folds, checkpoint=checkpoints, seed=seed, **settings
        )
    if parallel.is_first():
        encoder.save(folder)
    progress = settings.get("progress", True)
    arrays = {f"{name}_codes": encoder.encode(inputs[name], progress=progress) for name in PARTS}
    arrays |= {"targets": targets, "out_of_fold_codes": out_of_fold, "fold": fold}
    arrays |= {f"history_{name}": values for name, values in encoder.history.items()}
    arrays["history_validation_bit_accuracy"] = _side_by_side([h["validation_bit_accuracy"] for h in histories])
    return arrays


def _made_from(splits: datasets.Splits, targets: np.ndarray, recipe: Recipe, settings: dict) -> dict[str, str | int]:
    """What codes depend on beside seed and folds."""
    pictures = [getattr(splits, name).images for name in PARTS]
    labels = artifacts.digest(*(getattr(splits, name).labels for name in PARTS), targets)
    if not batches.is_lazy(splits.train.images):
        # Arrays of query and database may be large: there the first picture stands for the rest.
        pictures = [pictures[0][:1], pictures[1], pictures[2][:1]]
    data = " ".join([*map(batches.digest, pictures), labels])
    epochs = settings.get("epochs")
    args = {"data": data, "recipe": str(recipe), "epochs": recipe.epochs if epochs is None else epochs}
    result_depends_on = ("arch", "device", "precision", "size", "weights", "weights_path")
    return args | {name: str(settings[name]) for name in result_depends_on if settings.get(name) is not None}


def _side_by_side(curves: Sequence[np.ndarray]) -> np.ndarray:
    """[curves, epochs]; a curve that stopped early goes on as NaN."""
    longest = max(map(len, curves), default=0)
    return np.array([np.pad(curve, (0, longest - len(curve)), constant_values=np.nan) for curve in curves])


def _image_codes(arrays: dict[str, np.ndarray]) -> ImageCodes:
    history = {name.removeprefix("history_"): arrays[name] for name in arrays if name.startswith("history_")}
    names = {"query": "query_codes", "train": "train_codes", "database": "database_codes", "targets": "targets"}
    names |= {"out_of_fold": "out_of_fold_codes", "fold": "fold"}
    return ImageCodes(
        **{field_name: arrays[name] for field_name, name in names.items()}, history=history, arrays=arrays
    )


LONGEST_LABEL = 100
"""Characters of a data set's options in the names of its folders; beyond it a checksum stands for them."""


def codes_for(
    dataset: str,
    bits: int,
    *,
    root: Path | str | None = None,
    arch: str = "auto",
    size: int | None = None,
    device: str = "auto",
    seed: int = 0,
    targets: np.ndarray | None = None,
    folder: Path | None = None,
    options: Mapping[str, Any] | None = None,
    split: Path | None = None,
    **settings,
) -> tuple[datasets.Splits, ImageCodes]:
    """Stages 1 and 2 by name: the data set and its codes, from the artifacts where they exist, made where they do not.

    Args:
        dataset: a name in `hashlib_nb.datasets`.
        bits: code length k.
        root: folder of the data set's files, where it needs one.
        arch: as in `fit`.
        size: as in `fit`.
        device: as in `fit`.
        seed: of both stages. The split of the pictures stays the data set's own (its seed 0).
        targets: target codes {0,1} [n_train, k] to use instead of stage 1's.
        folder: where the codes lie, instead of `artifacts.folder`.
        options: further arguments of `datasets.load`; they become part of the folders' names.
        split: file of a saved split, for `datasets.load`.
        **settings: further arguments of `load_or_encode`: folds, epochs, recipe, weights_path, precision, compile.
    """
    splits = datasets.load(dataset, root=root, **({} if split is None else {"split": split}), **(options or {}))
    arch, where = choose(arch, device)
    name = _label(dataset, options or {}, split)
    if targets is None:
        path = artifacts.folder(name, bits, seed) / "target_codes.npz"
        targets = _from_first(lambda: codes.load_or_infer(path, splits.train.labels, bits, seed=seed).codes)
    folder = folder or folder_for(dataset, bits, seed, arch=arch, size=size, options=options, split=split)
    cache = features.folder_of(name, arch, networks.DEFAULT_SIZE if size is None else size)
    settings |= {"arch": arch, "size": size, "device": str(where), "seed": seed, "cache": cache}
    return splits, load_or_encode(folder, splits, targets, **settings)


def folder_for(
    dataset: str,
    bits: int,
    seed: int,
    *,
    arch: str | None = None,
    size: int | None = None,
    options: Mapping[str, Any] | None = None,
    split: Path | None = None,
    suffix: str = "",
) -> Path:
    """Where `codes_for` keeps codes, or with arch=None target codes, of a data set with these options.

    A suffix sets apart codes that were made otherwise, such as those of an encoder trained for fewer bits.
    """
    encoder = arch and f"{arch}{'' if size is None else f'-px{size}'}{suffix}"
    return artifacts.folder(_label(dataset, options or {}, split), bits, seed, encoder)


def _from_first(make: Callable[[], np.ndarray]) -> np.ndarray:
    return parallel.broadcast(make() if parallel.is_first() else None)


def _label(dataset: str, options: Mapping[str, Any], split: Path | None) -> str:
    """The data set's name with what was asked of it, for names of folders."""
    words = [f"{name}-{value}" for name, value in options.items()] + ([] if split is None else [Path(split).stem])
    label = re.sub(r"[^\w.-]+", "_", "-".join([dataset, *words])).strip("_")
    if len(label) > LONGEST_LABEL:  # file systems allow 255 characters, and more is to come
        label = f"{dataset}-{hashlib.sha256(label.encode()).hexdigest()[:12]}"
    return label
