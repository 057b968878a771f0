"""Stage 2, images -> k-bit codes: the thesis' Algorithm 2, a CNN fitted to the target codes of stage 1.

A network's last layer (see `networks`) has k outputs F(x), one a bit, and is trained as k binary classifiers (eq. 3.11)

    loss = - sum_i sum_j  b_ij log sigma(F_j(x_i)) + (1 - b_ij) log(1 - sigma(F_j(x_i))),      dloss/dF = sigma(F) - b;

a picture's code is 1[F >= 0]. Target codes come from labels alone, so bit j means the same in every refit: that
lets `cross_fit` give every training picture the code of an encoder that has never seen it.

    python -m hashlib_nb.encoder --dataset fashion-mini --bits 64        # see --help
    torchrun --nproc-per-node 2 -m hashlib_nb.encoder ...                # two GPUs, see parallel
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.model_selection import KFold, StratifiedKFold
from tqdm.auto import tqdm

from hashlib_nb.encoder import batches, networks, parallel
from hashlib_nb.encoder.batches import check_images
from hashlib_nb.encoder.model import Encoder, new_encoder
from hashlib_nb.encoder.networks import choose
from hashlib_nb.encoder.training import RECIPES, Recipe, Rows, Training
from hashlib_nb.hamming import check_codes

if TYPE_CHECKING:
    from hashlib_nb.encoder.batches import Images

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
