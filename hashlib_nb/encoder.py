"""Stage 2, images -> k-bit codes: the thesis' Algorithm 2, a CNN fitted to the target codes of stage 1.

A network's last layer (see `networks`) has k outputs F(x), one a bit, and is trained as k binary classifiers (eq. 3.11)

    loss = - sum_i sum_j  b_ij log sigma(F_j(x_i)) + (1 - b_ij) log(1 - sigma(F_j(x_i))),      dloss/dF = sigma(F) - b;

a picture's code is 1[F >= 0]. Target codes come from labels alone, so bit j means the same in every refit: that
lets `cross_fit` give every training picture the code of an encoder that has never seen it.

    python -m hashlib_nb.encoder --dataset fashion-mini --bits 64        # see --help
    torchrun --nproc-per-node 2 -m hashlib_nb.encoder ...                # two GPUs, see parallel
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.model_selection import KFold, StratifiedKFold
from tqdm.auto import tqdm

from hashlib_nb import artifacts, batches, codes, datasets, features, networks, parallel
from hashlib_nb.batches import check_images
from hashlib_nb.datasets._options import parse_options
from hashlib_nb.hamming import check_codes
from hashlib_nb.model import Encoder, new_encoder
from hashlib_nb.networks import Head, alexnet, alexnet_small, choose
from hashlib_nb.training import RECIPES, SMALL, THESIS, Recipe, Rows, Training

if TYPE_CHECKING:
    from hashlib_nb.batches import Images

__all__ = [
    "RECIPES",
    "SMALL",
    "THESIS",
    "Args",
    "Encoder",
    "Head",
    "ImageCodes",
    "Recipe",
    "alexnet",
    "alexnet_small",
    "choose",
    "codes_for",
    "cross_fit",
    "fit",
    "folds_of",
    "load_or_encode",
    "parse_options",
]

PARTS = ("query", "train", "database")


def fit(
    images: Images,
    targets: np.ndarray,
    *,
    arch: str = "auto",
    size: int | None = None,
    epochs: int | None = None,
    recipe: Recipe | None = None,
    validation: float | np.ndarray = 0.0,
    weights: str = "imagenet",
    weights_path: Path | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    compile: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Encoder:
    """Fit an encoder to target codes (Algorithm 2).

    Args:
        images: uint8 [n, h, w, c] or `datasets.Pictures`, training pictures alone: the query set has no part in this.
            For a frozen trunk also its features, float [n, d], or [n, views, d], one of which is drawn in each epoch.
        targets: uint8 {0,1} [n, k], their target codes.
        arch: one of `networks.ARCHS`, or "auto" (see `choose`).
        size: pixels, height and width of the network's input; None takes 224, or for alexnet_small the pictures' own
            up to 64.
        epochs: passes over the pictures; None takes the recipe's.
        recipe: optimizer settings; None takes `RECIPES[arch]`.
        validation: a fraction of the training pictures, or their row numbers, to hold out. They are measured after each
            epoch and used for nothing else; the recipe's `patience` watches other pictures.
        weights: "imagenet" or "random", for all but alexnet_small.
        weights_path: a state dict on disk instead of the ImageNet weights' usual place.
        checkpoint: file to save to after each epoch; if it is there, training goes on from it, to the same result.
        device: "cpu", "cuda", or "auto".
        precision: inside the network: "fp32", "bf16", "fp16", or "auto": fp32 on a CPU, bf16 on a GPU that has it.
        compile: use torch.compile: worth it where a training or encoding takes many minutes.
        seed: of initial weights, batches, augmentation and dropout.
        progress: show a bar with loss and bit accuracy.

    Raises:
        ValueError: shapes or values that do not fit, named, before any work.
    """
    arch, where, recipe, epochs = _checked(images, targets, arch, device, recipe, epochs, weights_path)
    targets = check_codes(targets, "targets")
    rows = _rows(validation, recipe, len(images), seed)
    scaled_by = batches.take(images, rows.training) if arch == "alexnet_small" else images
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        encoder = new_encoder(
            scaled_by,
            targets.shape[1],
            arch,
            where,
            size=size,
            head=recipe.head,
            precision=precision,
            compile=compile,
            seed=seed,
            weights=weights,
            weights_path=weights_path,
        )
        if networks.is_frozen(arch):
            images = _features_for(encoder, images, mirror=recipe.mirror, progress=progress)
        if parallel.rank():  # what each process drops is its own affair
            torch.manual_seed(seed + parallel.rank())
        origin = f"{arch} {weights} {weights_path}"
        run = Training(encoder, recipe, images, targets, rows, epochs, seed, origin=origin, progress=progress)
        _run(run, None if checkpoint is None else Path(checkpoint), progress)
    encoder.network.eval()
    return replace(encoder, history={name: np.array(values) for name, values in run.history.items()})


def _checked(
    images: Images,
    targets: np.ndarray,
    arch: str,
    device: str,
    recipe: Recipe | None,
    epochs: int | None,
    weights_path: Path | None,
) -> tuple[str, torch.device, Recipe, int]:
    """Resolve arch, device, recipe and epochs; raise ValueError for what does not fit together."""
    if not batches.is_features(images):
        check_images(images)
    targets = check_codes(targets, "targets")
    if len(images) != len(targets):
        raise ValueError(f"targets has {len(targets)} rows for {len(images)} images; give one target code a picture")
    arch, where = choose(arch, device)
    if batches.is_features(images) and not networks.is_frozen(arch):
        raise ValueError(f"images are features (floats), but {arch} has no frozen trunk: give uint8 pictures")
    if weights_path is not None and arch == "alexnet_small":
        raise ValueError(
            "weights_path goes with an arch that has ImageNet weights, not 'alexnet_small': set another arch or leave "
            "it out"
        )
    recipe = recipe or RECIPES[arch]
    if networks.is_frozen(arch) != (recipe.head is not None):
        raise ValueError(f"recipe must have a head for a frozen trunk, and none else, but arch is {arch}")
    epochs = recipe.epochs if epochs is None else epochs
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, not {epochs}")
    return arch, where, recipe, epochs


def _run(run: Training, checkpoint: Path | None, progress: bool) -> None:
    """Train to the end, saving after each epoch."""
    run.resume(checkpoint)
    bar = tqdm(
        initial=run.epoch,
        total=run.epochs,
        desc=f"{run.encoder.arch} seed {run.seed}",
        disable=not (progress and parallel.is_first()),
    )
    with bar:
        while not run.finished:
            bar.set_postfix(run.train_one_epoch())
            bar.update()
            if checkpoint is not None:
                run.save(checkpoint)
    run.take_best()


def _features_for(encoder: Encoder, images: Images, *, mirror: bool, progress: bool) -> np.ndarray:
    """Float [n, views, d]: `images` where they are features already, else those of the pictures, and mirrored."""
    if batches.is_features(images):
        encoder.check_features(images)
        return images
    views = [encoder.features(images, mirrored=mirrored, progress=progress) for mirrored in (False, True)[: 1 + mirror]]
    return np.stack(views, 1)


def _rows(validation: float | np.ndarray, recipe: Recipe, n: int, seed: int) -> Rows:
    """Who is trained on; early stopping watches some of those, never the validation rows."""
    validation = _held_out_rows(validation, n, seed)
    rest = np.setdiff1d(np.arange(n), validation)
    watched = rest[:0]
    if recipe.patience:
        number = max(1, round(recipe.held_out * len(rest)))
        watched = np.sort(np.random.default_rng([seed, n]).permutation(rest)[:number])
    training = np.setdiff1d(rest, watched)
    if len(training) < 2:
        raise ValueError(f"validation leaves {len(training)} of {n} images to train on; hold out fewer")
    return Rows(training, watched, validation)


def _held_out_rows(validation: float | np.ndarray, n: int, seed: int) -> np.ndarray:
    if np.ndim(validation) == 0:
        if not 0 <= validation < 1:
            raise ValueError(f"validation must be a fraction in [0, 1) or row numbers, not {validation}")
        return np.sort(np.random.default_rng(seed).permutation(n)[: round(float(validation) * n)])
    rows = np.unique(np.asarray(validation))
    if rows.size and rows.dtype.kind not in "iu":
        raise ValueError(
            f"validation must be a fraction or integer row numbers, not {rows.dtype}: np.flatnonzero(mask)"
        )
    if rows.size and (rows[0] < 0 or rows[-1] >= n):
        raise ValueError(f"validation names row {rows[0] if rows[0] < 0 else rows[-1]}, but there are {n} images")
    return rows


def folds_of(targets: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """Fold of each training picture, int64 [n], drawn so that equal target codes spread evenly where there are enough.

    Raises:
        ValueError: `folds` outside 2..n.
    """
    if not 2 <= folds <= len(targets):
        raise ValueError(f"folds must be in 2..{len(targets)} (the number of training pictures), not {folds}")
    _, group, counts = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
    kind = StratifiedKFold if counts.min() >= folds else KFold
    fold = np.empty(len(targets), dtype=np.int64)
    splits = kind(folds, shuffle=True, random_state=seed).split(targets, group.reshape(-1))
    for number, (_, rows) in enumerate(splits):
        fold[rows] = number
    return fold


def cross_fit(
    images: Images,
    targets: np.ndarray,
    *,
    folds: int = 3,
    checkpoint: Path | None = None,
    seed: int = 0,
    **settings,
) -> tuple[np.ndarray, np.ndarray, list[dict[str, np.ndarray]]]:
    """Out-of-fold codes: each training picture's code from an encoder fitted to the other folds.

    The folds' encoders share one set of target codes, so their bits mean the same and bits can be chosen on these codes
    for an encoder that is trained on everything (cross-fitting).

    Args:
        images: uint8 [n, h, w, c] or `datasets.Pictures`, or a frozen trunk's features, as of `fit`.
        targets: uint8 {0,1} [n, k].
        folds: encoders to fit, each on (folds - 1)/folds of the pictures.
        checkpoint: folder for one checkpoint a fold, so that a killed run goes on where it was.
        seed: of the folds; fold f's encoder is seeded with seed + f + 1.
        **settings: further arguments of `fit`.

    Returns:
        codes uint8 [n, k], fold int64 [n], and each fold's training history, whose validation rows are the fold.
    """
    targets = check_codes(targets, "targets")
    fold = folds_of(targets, folds, seed)
    out_of_fold = np.empty_like(targets)
    histories = []
    if networks.is_frozen(settings.get("arch", "auto")) and not batches.is_features(images):
        recipe = settings.get("recipe") or RECIPES[settings["arch"]]  # once for all folds
        trunk = _frozen_encoder(images, settings)
        images = _features_for(trunk, images, mirror=recipe.mirror, progress=settings.get("progress", True))
    for f in range(folds):
        rows = np.flatnonzero(fold == f)
        file = None if checkpoint is None else Path(checkpoint) / f"fold{f}.pt"
        encoder = fit(images, targets, validation=rows, checkpoint=file, seed=seed + f + 1, **settings)
        out_of_fold[rows] = encoder.encode(batches.take(images, rows))
        histories.append(encoder.history)
    return out_of_fold, fold, histories


def _frozen_encoder(images: Images, settings: dict) -> Encoder:
    """An encoder with the frozen trunk that `fit` with these settings would have, to compute features with."""
    arch, where = choose(settings["arch"], settings.get("device", "auto"))
    names = ("size", "precision", "compile", "weights", "weights_path")
    return new_encoder(images, 1, arch, where, **{name: settings[name] for name in names if name in settings})


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


@dataclass(frozen=True)
class Args:
    """Stage 2: fit an encoder to target codes and write the codes of query, training and database pictures."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    options: tuple[str, ...] = ()
    """what the data set takes beyond that, as name=value: protocol=59k exclude=person,car"""
    split: Path | None = None
    """file of Splits.save_split: which pictures are query, train and database"""
    bits: int = 64
    """length k of the codes, where the target codes are made here"""
    targets: Path | None = None
    """npz of stage 1 (`python -m hashlib_nb.codes --out`); by default stage 1's artifact, made where it is missing"""
    arch: str = "auto"
    """alexnet, vgg19, efficientnet_lite0, each of them with _frozen, alexnet_small, or auto: alexnet on a GPU,
    alexnet_small on a CPU"""
    size: int | None = None
    """height and width in pixels of the network's input; by default 224, for alexnet_small as the pictures, up to 64"""
    epochs: int | None = None
    """passes over the training pictures; by default the architecture's recipe"""
    folds: int = 3
    """encoders for the out-of-fold codes that stage 3's reward uses; 0 leaves those out"""
    weights_path: Path | None = None
    """ImageNet weights on disk, where they cannot be downloaded"""
    device: str = "auto"
    """cpu, cuda or auto"""
    precision: str = "auto"
    """inside the network: fp32, bf16, fp16, or auto: fp32 on a CPU, bf16 on a GPU that has it"""
    compile: bool = False
    """use torch.compile, which pays where the work takes many minutes"""
    seed: int = 0
    """of weights, batches, augmentation and folds"""
    out: Path | None = None
    """folder to write; by default artifacts/<dataset>-<encoder>-k<bits>-s<seed>"""


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


def main(args: Args) -> None:
    """Run stage 2 from the shell."""
    with parallel.processes(args.device):
        _main(args)


def _main(args: Args) -> None:
    targets = None if args.targets is None else artifacts.read_npz(args.targets, ["codes"])["codes"]
    bits = args.bits if targets is None else targets.shape[1]
    start = time.perf_counter()
    names = (
        "root",
        "arch",
        "size",
        "device",
        "seed",
        "split",
        "folds",
        "epochs",
        "weights_path",
        "precision",
        "compile",
    )
    settings = {name: getattr(args, name) for name in names}
    options = parse_options(args.dataset, args.options)
    _, made = codes_for(args.dataset, bits, targets=targets, folder=args.out, options=options, **settings)
    print(
        f"{len(made.query)} query, {len(made.train)} train and {len(made.database)} database codes of "
        f"{made.query.shape[1]} bits ({time.perf_counter() - start:.0f} s)"
    )


if __name__ == "__main__":
    artifacts.run(main, Args)
