"""How an encoder is fitted: recipes, and a training that can be saved after each epoch and go on later.

A training sees pictures (`batches.read`, augmented) or, where the trunk is
frozen, its features; several processes share each batch (see `parallel`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks
from hashlib_nb.encoder import batches, networks, parallel
from hashlib_nb.encoder.networks import Head, NotFiniteError
from hashlib_nb.machine import threads

if TYPE_CHECKING:
    from hashlib_nb.encoder.batches import Images
    from hashlib_nb.encoder.model import Encoder
    from hashlib_nb.encoder.settings import Settings

THREADS = torch.get_num_threads()
"""Threads of a training: numba's kernels change torch's number, and with another number sums round otherwise."""
MAX_SHIFT = 256
"""Most pixels by which augmentation shifts a picture: each is padded by so many on every side."""


Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""What a training minimizes: of logits and targets of a batch, float32 [b, k] both, a sum over its pictures."""


def bit_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Eq. 3.11: binary cross-entropy of every bit, summed over bits and pictures (CSQ's loss, Yuan et al. 2020)."""
    return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


@dataclass(frozen=True)
class Recipe:
    """How an encoder is optimized; `RECIPES` holds one for each architecture."""

    optimizer: str
    """"sgd" (without momentum, as the thesis names none) or "adamw"."""
    lr: float
    """Peak learning rate of all layers but the last."""
    head_lr_factor: float
    """The last layer's learning rate is this many times larger."""
    batch_size: int
    """Pictures a step, over all processes."""
    epochs: int
    """Passes over the training pictures, unless `fit` is told otherwise."""
    one_cycle: bool
    """Warm up and anneal the learning rate (Smith 2018) instead of keeping it constant."""
    shift: int
    """Augmentation: shift each picture by up to this many input pixels either way; not for a frozen trunk."""
    mirror: bool
    """Augmentation: mirror half of the pictures; a frozen trunk's features are computed of both."""
    weight_decay: float = 0.0
    """Decoupled for adamw."""
    head: Head | None = None
    """What is trained on a frozen trunk; None where the trunk is trained too."""
    patience: int = 0
    """Stop after so many epochs in which no more bits of held-out pictures are right, and return the best epoch's
    weights; 0 trains to the end and returns the last."""
    held_out: float = 0.1
    """Share of the training pictures that `patience` watches and that are not trained on."""

    def __post_init__(self) -> None:
        if self.optimizer not in ("sgd", "adamw"):
            raise ValueError(f"optimizer must be 'sgd' or 'adamw', not {self.optimizer!r}")
        checks.fields(self, checks.finite, "lr", "head_lr_factor", "weight_decay", least=0)
        checks.fields(self, checks.finite, "held_out", above=0, below=1)
        checks.fields(self, checks.count, "batch_size", "epochs", most=checks.ROUNDS)
        checks.fields(self, checks.count, "patience", least=0)
        checks.fields(self, checks.count, "shift", least=0, most=MAX_SHIFT)


THESIS = Recipe("sgd", lr=1e-5, head_lr_factor=10, batch_size=32, epochs=50, one_cycle=False, shift=0, mirror=False)
"""Section 4.1: all layers fine-tuned at 1e-5, the last from scratch at 1e-4, batches of 32. It names no epoch count."""
SMALL = Recipe(
    "adamw",
    lr=4e-3,
    head_lr_factor=1,
    batch_size=64,
    epochs=20,
    one_cycle=True,
    shift=2,
    mirror=True,
    weight_decay=0.01,
)
"""For `alexnet_small` from random weights."""
FINE_TUNED = Recipe(
    "adamw",
    lr=3e-4,
    head_lr_factor=10,
    batch_size=50,
    epochs=8,
    one_cycle=True,
    shift=4,
    mirror=True,
    weight_decay=0.01,
)
"""For `efficientnet_lite0`, all layers, from ImageNet weights."""
FROZEN = Recipe(
    "adamw",
    lr=2e-3,
    head_lr_factor=1,
    batch_size=100,
    epochs=20,
    one_cycle=True,
    shift=0,
    mirror=True,
    weight_decay=0.05,
    head=Head(),
)
"""For the head on a frozen trunk."""
RECIPES = {
    "alexnet": THESIS,
    "alexnet_small": SMALL,
    "vgg19": THESIS,
    "efficientnet_lite0": FINE_TUNED,
    "alexnet_frozen": FROZEN,
    "vgg19_frozen": FROZEN,
    "efficientnet_lite0_frozen": FROZEN,
}


def optimizer_of(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Two groups of what is trained: all layers but the last, and the last (head) at its own learning rate."""
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    head_ids = {id(p) for p in last.parameters()}
    body = [p for p in network.parameters() if id(p) not in head_ids and p.requires_grad]
    groups = [
        {"params": body, "lr": recipe.lr},
        {"params": list(last.parameters()), "lr": recipe.lr * recipe.head_lr_factor},
    ]
    kinds = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
    return kinds[recipe.optimizer](groups, weight_decay=recipe.weight_decay)


def schedule_of(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    """The learning rates over `steps` steps."""
    if not recipe.one_cycle:
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    peaks = [group["lr"] for group in optimizer.param_groups]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, peaks, total_steps=steps, pct_start=0.2)


@dataclass(frozen=True, eq=False)
class Rows:
    """Which rows of the pictures a training uses, and for what; no row is in two of them."""

    training: np.ndarray
    """int64, trained on."""
    watched: np.ndarray
    """int64, early stopping watches them; empty without it."""
    validation: np.ndarray
    """int64, measured and used for nothing."""


class Training:
    """Everything that changes while an encoder is fitted, so that it can be saved after an epoch and go on later."""

    def __init__(
        self,
        encoder: Encoder,
        settings: Settings,
        images: Images,
        targets: np.ndarray,
        rows: Rows,
        seed: int,
        *,
        loss: Loss = bit_cross_entropy,
        progress: bool = False,
    ):
        recipe, epochs = settings.recipe, settings.epochs
        self.encoder, self.recipe, self.images, self.targets, self.rows = encoder, recipe, images, targets, rows
        self.epochs, self.seed, self.progress = epochs, seed, progress and parallel.is_first()
        self.loss = loss
        # The whole target matrix lies on the device, and so do features; pictures go there batch by batch.
        self.device_targets = torch.as_tensor(targets, dtype=torch.float32, device=encoder.device)
        self.features = _features_on(encoder.device, images)
        # Full batches only: batch norm makes a poor estimate from a remainder of two or three pictures.
        self.batch_size = min(recipe.batch_size, len(rows.training))
        if self.batch_size < parallel.count():
            raise ValueError(f"a batch of {self.batch_size} is too small for {parallel.count()} processes: start fewer")
        self.model = parallel.replicate(encoder.network if self.features is None else encoder.network.head)
        self.optimizer = optimizer_of(encoder.network, recipe)
        self.schedule = schedule_of(self.optimizer, recipe, epochs * (len(rows.training) // self.batch_size))
        # Gradients of a sum over the batch are large: torch's first scale, 65,536, would overflow for several steps.
        self.scaler = torch.amp.GradScaler(encoder.device.type, 1024.0, enabled=encoder.precision == "fp16")
        self.generator = torch.Generator().manual_seed(checks.word(seed))
        self.epoch = 0
        self.best: dict = {"epoch": 0, "accuracy": -1.0, "network": {}}
        self.history: dict[str, list[float]] = {"loss": [], "bit_accuracy": []}
        held = artifacts.digest(targets, rows.training, rows.watched, rows.validation)
        self.made_from = f"{batches.digest(images)} {held} seed={seed} {settings} {encoder.size}"
        self.made_from += f" loss={loss.__module__}.{loss.__qualname__} processes={parallel.count()}"

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or `patience` of them without a better one."""
        patience = self.recipe.patience
        return self.epoch >= self.epochs or bool(patience) and self.epoch - self.best["epoch"] >= patience

    def train_one_epoch(self) -> dict[str, float]:
        """One pass over the training pictures; returns the epoch's measures.

        Raises:
            NotFiniteError: the loss or the weights after it are not finite.
        """
        threads.limit(THREADS, "torch")
        self.encoder.network.train()
        training = self.rows.training
        order = training[torch.randperm(len(training), generator=self.generator).numpy()]
        full = range(0, len(order) - self.batch_size + 1, self.batch_size)
        steps = [self._step(x, target) for x, target in self._batches([order[s : s + self.batch_size] for s in full])]
        self.epoch += 1
        sums = parallel.total(torch.stack(steps)) / (self.batch_size * self.targets.shape[1])
        loss, accuracy = sums.mean(0).tolist()
        self.check_finite(loss)
        measures = {"loss": loss, "bit_accuracy": accuracy} | self._measure_held_out()
        for name, value in measures.items():
            self.history.setdefault(name, []).append(value)
        return measures

    def check_finite(self, loss: float = 0.0) -> None:
        """Raise NotFiniteError where the loss or the weights are not finite."""
        trained = self._trained_state().values()
        if not math.isfinite(loss) or not all(bool(value.isfinite().all()) for value in trained):
            raise NotFiniteError(
                f"the training diverged by epoch {self.epoch} (mean loss {loss:g}), nothing of it is kept: lower lr, "
                f"which is {self.recipe.lr:g} ({self.recipe.lr * self.recipe.head_lr_factor:g} in the last layer)"
            )

    def _batches(self, rows: list[np.ndarray]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """This process' part of each batch: network inputs, and targets float32 [b, k]."""
        part = parallel.share(self.batch_size)
        bar = tqdm(total=len(rows), desc=f"epoch {self.epoch + 1}", leave=False, delay=5, disable=not self.progress)
        inputs = self._pictures(rows, part) if self.features is None else self._features(rows, part)
        with bar:
            for batch, x in zip(rows, inputs, strict=True):
                yield x, self.device_targets[torch.as_tensor(batch[part], device=x.device)]
                bar.update()

    def _pictures(self, rows: list[np.ndarray], part: slice) -> Iterator[torch.Tensor]:
        shift, mirror = self.recipe.shift, self.recipe.mirror
        pin = self.encoder.device.type == "cuda"
        for batch in batches.read(self.images, [each[part] for each in rows], pin=pin):
            x = self.encoder.prepare(batch)
            yield batches.augment(x, shift, mirror, self.generator, part, self.batch_size)

    def _features(self, rows: list[np.ndarray], part: slice) -> Iterator[torch.Tensor]:
        """Float32 [b, d], of each picture a view at random: itself or its mirror image."""
        views = self.features.shape[1]
        for batch in rows:
            view = torch.randint(views, (len(batch),), generator=self.generator)[part]
            yield self.features[torch.as_tensor(batch[part]), view].float()

    def _step(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """One update; returns this process' sums over its pictures and bits: loss, and bits that are right."""
        logits = self.encoder.forward(x, self.model)
        loss = self.loss(logits, target)
        self.optimizer.zero_grad(set_to_none=True)
        # Gradients are averaged over processes, and the loss is a sum over the batch.
        self.scaler.scale(loss * parallel.count()).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        right = (logits.detach() >= 0) == (target > 0.5)
        return torch.stack([loss.detach(), right.sum().float()])

    def _measure_held_out(self) -> dict[str, float]:
        """Bit accuracy on rows that are not trained on; the best epoch so far is kept where early stopping is on."""
        parallel.same_buffers(self.encoder.network)
        measures = {}
        for name in ("watched", "validation"):
            rows = getattr(self.rows, name)
            if len(rows):
                codes = self.encoder.encode(batches.take(self.images, rows))
                measures[f"{name}_bit_accuracy"] = float((codes == self.targets[rows]).mean())
        accuracy = measures.get("watched_bit_accuracy", -1.0)
        if accuracy > self.best["accuracy"]:
            network = {name: value.clone() for name, value in self._trained_state().items()}
            self.best = {"epoch": self.epoch, "accuracy": accuracy, "network": network}
        return measures

    def _trained_state(self) -> dict[str, torch.Tensor]:
        """The weights without those of a frozen trunk, which every training has from the same file."""
        state = self.encoder.network.state_dict()
        return {name: value for name, value in state.items() if not name.startswith("trunk.")}

    def _load_trained(self, state: dict[str, torch.Tensor]) -> None:
        self.encoder.network.load_state_dict(state, strict=not networks.is_frozen(self.encoder.arch))

    def take_best(self) -> None:
        """Go back to the best epoch's weights, where early stopping watched."""
        if self.best["network"]:
            self._load_trained(self.best["network"])

    def save(self, path: Path) -> None:
        """Write everything to `path`, all or nothing; the first process does."""
        cuda = torch.cuda.get_rng_state() if self.encoder.device.type == "cuda" else torch.empty(0)
        states = parallel.gather((torch.get_rng_state(), cuda))
        if not parallel.is_first():
            return
        state = {
            "epoch": self.epoch,
            "history": self.history,
            "best": self.best,
            "network": self._trained_state(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "batches_rng": self.generator.get_state(),
            "rng": [each[0] for each in states],
            "cuda_rng": [each[1] for each in states],
        }
        artifacts.Checkpoint(path, self.made_from).save(state)

    def forget(self, path: Path | None) -> None:
        """Take this training's checkpoint away; the first process does."""
        if parallel.is_first():
            artifacts.Checkpoint(path, self.made_from).remove()

    def resume(self, path: Path | None) -> None:
        """Go on from a checkpoint of the same training where there is one; the first process reads it for all."""
        checkpoint = artifacts.Checkpoint(path, self.made_from)
        state = parallel.broadcast(checkpoint.load() if parallel.is_first() else None)
        if state is None:
            return
        self.epoch, self.history, self.best = state["epoch"], state["history"], state["best"]
        self._load_trained(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.generator.set_state(state["batches_rng"])
        torch.set_rng_state(state["rng"][parallel.rank()])
        if self.encoder.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"][parallel.rank()])


def _features_on(device: torch.device, images: Images) -> torch.Tensor | None:
    """Features [n, views, d] in the device's memory; None of pictures."""
    if not batches.is_features(images):
        return None
    features = torch.tensor(images, device=device)
    return features[:, None] if features.ndim == 2 else features
