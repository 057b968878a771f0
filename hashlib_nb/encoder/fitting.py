"""Stage 2, images -> k-bit codes: the thesis' Algorithm 2, a CNN fitted to the target codes of stage 1.

A network's last layer (see `networks`) has k outputs F(x), one a bit, and is trained as k binary classifiers (eq. 3.11)

    loss = - sum_i sum_j [b_ij log sigma(F_j(x_i)) + (1 - b_ij) log(1 - sigma(F_j(x_i)))],     dloss/dF = sigma(F) - b;

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

from hashlib_nb import checks
from hashlib_nb.encoder import batches, networks, parallel
from hashlib_nb.encoder.heads import Loss, Objective, Pointwise, bit_cross_entropy
from hashlib_nb.encoder.model import Encoder, new_encoder
from hashlib_nb.encoder.recipes import Recipe
from hashlib_nb.encoder.settings import Settings
from hashlib_nb.encoder.training import Rows, Training, varied
from hashlib_nb.hamming import MAX_BITS, check_codes

if TYPE_CHECKING:
    from hashlib_nb.encoder.batches import Images

VIEW = 1_000_003
"""What is added to a training's seed for the views that `view_of` draws."""


def fit(
    images: Images,
    targets: np.ndarray,
    settings: Settings | None = None,
    *,
    loss: Loss | Objective = bit_cross_entropy,
    bits: int | None = None,
    validation: float | np.ndarray = 0.0,
    checkpoint: Path | None = None,
    seed: int = 0,
    progress: bool = True,
    **changes,
) -> Encoder:
    """Fit an encoder to target codes (Algorithm 2).

    Args:
        images: uint8 [n, h, w, c] or `datasets.Pictures`, training pictures alone: the query set has no part in this.
            For a frozen trunk also its features, float [n, d], or [n, views, d], one of which is drawn in each epoch.
        targets: uint8 {0,1} [n, k], their target codes; what an `Objective` takes, labels for one.
        settings: which network and how it is trained; None takes the defaults.
        loss: what is minimized, summed over a batch; by default eq. 3.11.
        bits: k, outputs of the network, for an `Objective`; otherwise the targets' width.
        validation: a fraction of the training pictures, or their row numbers, to hold out. They are measured after each
            epoch and used for nothing else; the recipe's `patience` watches other pictures.
        checkpoint: file to save to after each epoch; if it is there, training goes on from it, to the same result.
        seed: of initial weights, batches, augmentation and dropout.
        progress: show a bar with loss and bit accuracy.
        **changes: fields of `Settings` in place of those in `settings`, such as arch="alexnet", epochs=5.

    Raises:
        ValueError: shapes or values that do not fit, named, before any work.
        NotFiniteError: the training diverges; nothing of it is kept.
    """
    seed = checks.seed(seed)
    settings = replace(settings or Settings(), **changes).resolved()
    images = batches.as_images(images)
    _check(images, targets, settings)
    targets = check_codes(targets, "targets")
    bits = targets.shape[1] if bits is None else checks.count(bits, "bits", most=MAX_BITS)
    objective = loss if isinstance(loss, Objective) else Pointwise(loss, settings.recipe.label_smoothing)
    _check_objective(objective, bits, targets, settings.recipe)
    rows = _rows(validation, settings.recipe, len(images), seed)
    scaled_by = batches.take(images, rows.training) if settings.arch == "alexnet_small" else images
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(checks.word(seed))
        encoder = new_encoder(scaled_by, bits, settings, seed=seed)
        networks.replace_last_layer(encoder.network, lambda width: objective.last_layer(width, bits))
        if networks.is_frozen(settings.arch):
            images = _features_for(encoder, images, mirror=settings.recipe.mirror, progress=progress)
        if parallel.rank():  # what each process drops is its own affair
            torch.manual_seed(checks.word(seed, parallel.rank()))
        run = Training(encoder, settings, images, targets, rows, seed, objective=objective, progress=progress)
        _run(run, None if checkpoint is None else Path(checkpoint), progress)
    encoder.network.eval()
    history = {name: np.array(values) for name, values in run.history.items()}
    return replace(encoder, history=history, cpu_seconds=run.cpu_seconds)


def view_of(encoder: Encoder, recipe: Recipe, images: Images, *, seed: int = 0, progress: bool = False) -> np.ndarray:
    """Last-layer outputs float32 [n, k or m] of an augmented view of each picture, as the recipe augments.

    A network that was fitted to such views is not as sure of a further one as of the pictures themselves.

    Args:
        encoder: fitted with the recipe.
        recipe: how pictures are augmented.
        images: uint8 [n, h, w, c] or `datasets.Pictures`.
        seed: of the views; other ones than the training had.
        progress: show a bar.
    """
    generator = torch.Generator().manual_seed(checks.word(seed, VIEW))

    def vary(batch: torch.Tensor, part: slice, total: int) -> torch.Tensor:
        return varied(encoder, recipe, batch, generator, part, total)

    step = max(1, recipe.batch_size // parallel.count())  # a step's numbers are drawn for all processes
    return encoder.last_layer(images, vary=vary, batch_size=step, progress=progress)


def _check(images: Images, targets: np.ndarray, settings: Settings) -> None:
    """Raise ValueError for what does not fit together."""
    targets = check_codes(targets, "targets")
    if len(images) != len(targets):
        raise ValueError(f"targets has {len(targets)} rows for {len(images)} images; give one target code a picture")
    if batches.is_features(images) and not networks.is_frozen(settings.arch):
        raise ValueError(f"images are features (floats), but {settings.arch} has no frozen trunk: give uint8 pictures")
    if not batches.is_features(images) and settings.arch == networks.FEATURES:
        raise ValueError(f"images are pictures, but arch is {settings.arch}: give features, float [n, d], or an arch")


def _check_objective(objective: Objective, bits: int, targets: np.ndarray, recipe: Recipe) -> None:
    """Raise ValueError for outputs, a recipe or processes that do not go with what is minimized."""
    if objective.POINTWISE:
        if bits != targets.shape[1]:
            raise ValueError(f"bits is {bits} for targets of {targets.shape[1]}; leave it out, or give an Objective")
        return
    if recipe.patience:
        raise ValueError("patience watches bits that are right, and no target says so here: set patience=0")
    if recipe.label_smoothing:
        raise ValueError("label_smoothing is of targets, and here they are compared with each other: set it to 0")
    if parallel.count() > 1:
        raise ValueError(f"a loss of pairs wants whole batches, but here are {parallel.count()} processes: start one")


def _run(run: Training, checkpoint: Path | None, progress: bool) -> None:
    """Train to the end, saving after each epoch; a training that diverges leaves no checkpoint."""
    run.resume(checkpoint)
    try:
        _epochs(run, checkpoint, progress)
        run.take_best()
        run.check_finite()
    except networks.NotFiniteError:
        run.forget(checkpoint)
        raise


def _epochs(run: Training, checkpoint: Path | None, progress: bool) -> None:
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
        validation = checks.finite(validation, "validation", least=0, below=1)
        return np.sort(np.random.default_rng(seed).permutation(n)[: round(float(validation) * n)])
    return checks.rows(validation, "validation", n)


def check_folds(folds: int, n: int) -> int:
    """A number of folds that n training pictures can be drawn into, 2..n; raises ValueError for another one."""
    return checks.count(folds, "folds", least=2, most=n, why="the number of training pictures")


def folds_of(targets: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """Fold of each training picture, int64 [n], drawn so that equal target codes spread evenly where there are enough.

    Raises:
        ValueError: `folds` outside 2..n.
    """
    targets, seed = check_codes(targets, "targets"), checks.seed(seed)
    folds = check_folds(folds, len(targets))
    _, group, counts = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
    kind = StratifiedKFold if counts.min() >= folds else KFold
    fold = np.empty(len(targets), dtype=np.int64)
    splits = kind(folds, shuffle=True, random_state=checks.word(seed)).split(targets, group.reshape(-1))
    for number, (_, rows) in enumerate(splits):
        fold[rows] = number
    return fold


def cross_fit(
    images: Images,
    targets: np.ndarray,
    settings: Settings | None = None,
    *,
    folds: int = 3,
    loss: Loss = bit_cross_entropy,
    checkpoint: Path | None = None,
    seed: int = 0,
    progress: bool = True,
    **changes,
) -> tuple[np.ndarray, np.ndarray, list[dict[str, np.ndarray]]]:
    """Out-of-fold logits: each training picture's from an encoder fitted to the other folds.

    The folds' encoders share one set of target codes, so their outputs mean the same and bits can be chosen on
    these pictures for an encoder that is trained on everything (cross-fitting).

    Args:
        images: uint8 [n, h, w, c] or `datasets.Pictures`, or a frozen trunk's features, as of `fit`.
        targets: uint8 {0,1} [n, k].
        settings: as of `fit`.
        folds: encoders to fit, each on (folds - 1)/folds of the pictures.
        loss: as of `fit`.
        checkpoint: folder for one checkpoint a fold, so that a killed run goes on where it was.
        seed: of the folds; fold f's encoder is seeded with seed + f + 1 (see `checks.word`).
        progress: show bars.
        **changes: as of `fit`.

    Returns:
        logits float32 [n, k], fold int64 [n], and each fold's training history, whose validation rows are the fold.
    """
    settings = replace(settings or Settings(), **changes).resolved()
    images = batches.as_images(images)
    _check(images, targets, settings)
    targets = check_codes(targets, "targets")
    seed, fold = checks.seed(seed), folds_of(targets, folds, seed)
    out_of_fold = np.empty(targets.shape, dtype=np.float32)
    histories = []
    if networks.is_frozen(settings.arch) and not batches.is_features(images):  # once for all folds
        trunk = new_encoder(images, 1, settings)
        images = _features_for(trunk, images, mirror=settings.recipe.mirror, progress=progress)
    for f in range(fold.max() + 1):
        rows = np.flatnonzero(fold == f)
        file = None if checkpoint is None else Path(checkpoint) / f"fold{f}.pt"
        run = {"loss": loss, "checkpoint": file, "seed": checks.word(seed, f + 1), "progress": progress}
        encoder = fit(images, targets, settings, validation=rows, **run)
        out_of_fold[rows] = encoder.logits(batches.take(images, rows))
        histories.append(encoder.history)
    return out_of_fold, fold, histories
