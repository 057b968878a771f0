"""A training that can be saved after each epoch and go on later.

It sees pictures (`batches.read`, augmented) or, where the trunk is frozen, its features; several processes share each
batch (see `parallel`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks
from hashlib_nb.encoder import batches, networks, parallel
from hashlib_nb.encoder.augmentation import augment, distort
from hashlib_nb.encoder.heads import Objective
from hashlib_nb.encoder.networks import NotFiniteError
from hashlib_nb.encoder.recipes import Recipe
from hashlib_nb.machine import threads

if TYPE_CHECKING:
    from hashlib_nb.encoder.batches import Images
    from hashlib_nb.encoder.model import Encoder
    from hashlib_nb.encoder.settings import Settings

THREADS = torch.get_num_threads()
"""Threads of a training: numba's kernels change torch's number, and with another number sums round otherwise."""


def optimizer_of(network: nn.Module, recipe: Recipe, *beside: nn.Parameter) -> torch.optim.Optimizer:
    """What is trained, in groups: the last layer (head) has its own learning rate, each block less than the next.

    What is trained `beside` the network has the last layer's.
    """
    last = networks.last_layer_of(network)
    head_ids = {id(p) for p in last.parameters()}
    body = [p for p in network.parameters() if id(p) not in head_ids and p.requires_grad]
    groups = [{"params": body, "lr": recipe.lr}]
    if recipe.lr_decay < 1:
        groups = _by_block(network, recipe)
    groups.append({"params": [*last.parameters(), *beside], "lr": recipe.lr * recipe.head_lr_factor})
    kinds = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
    return kinds[recipe.optimizer](groups, weight_decay=recipe.weight_decay)


def _by_block(network: nn.Module, recipe: Recipe) -> list[dict]:
    groups = []
    for below, part in enumerate(reversed(networks.levels_of(network))):
        trained = [p for module in part for p in module.parameters() if p.requires_grad]
        if trained:
            groups.append({"params": trained, "lr": recipe.lr * recipe.lr_decay**below})
    return groups


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
        objective: Objective,
        progress: bool = False,
    ):
        recipe, epochs = settings.recipe, settings.epochs
        self.encoder, self.recipe, self.images, self.targets, self.rows = encoder, recipe, images, targets, rows
        self.epochs, self.seed, self.progress = epochs, seed, progress and parallel.is_first()
        self.objective = objective.to(encoder.device)
        # The whole target matrix lies on the device, and so do features; pictures go there batch by batch.
        self.device_targets = torch.as_tensor(targets, dtype=torch.float32, device=encoder.device)
        self.features = _features_on(encoder.device, images)
        # Full batches only: batch norm makes a poor estimate from a remainder of two or three pictures.
        self.batch_size = min(recipe.batch_size, len(rows.training))
        if self.batch_size < parallel.count():
            raise ValueError(f"a batch of {self.batch_size} is too small for {parallel.count()} processes: start fewer")
        if recipe.frozen_blocks:
            networks.freeze_blocks(encoder.network, recipe.frozen_blocks)
        self.model = parallel.replicate(encoder.network if self.features is None else encoder.network.head)
        self.optimizer = optimizer_of(encoder.network, recipe, *objective.parameters())
        self.steps = epochs * (len(rows.training) // self.batch_size)
        self.schedule = schedule_of(self.optimizer, recipe, self.steps)
        # Gradients of a sum over the batch are large: torch's first scale, 65,536, would overflow for several steps.
        self.scaler = torch.amp.GradScaler(encoder.device.type, 1024.0, enabled=encoder.precision == "fp16")
        self.generator = torch.Generator().manual_seed(checks.word(seed))
        average = get_ema_multi_avg_fn(recipe.ema)
        self.averaged = AveragedModel(encoder.network, multi_avg_fn=average, use_buffers=True) if recipe.ema else None
        self.epoch = 0
        self.cpu_seconds = 0.0
        self.best: dict = {"epoch": 0, "accuracy": -1.0, "network": {}}
        self.history: dict[str, list[float]] = {}
        held = artifacts.digest(targets, rows.training, rows.watched, rows.validation)
        self.made_from = f"{batches.digest(images)} {held} seed={seed} {settings} {encoder.size}"
        bits = "" if objective.POINTWISE else f" bits={encoder.bits}"  # else the targets say how many
        self.made_from += f" loss={objective}{bits} processes={parallel.count()}"

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
        start = time.process_time()
        self.encoder.network.train()
        if self.recipe.frozen_blocks:
            networks.freeze_blocks(self.encoder.network, self.recipe.frozen_blocks)
        training = self.rows.training
        order = training[torch.randperm(len(training), generator=self.generator).numpy()]
        full = range(0, len(order) - self.batch_size + 1, self.batch_size)
        steps = [self._step(x, target) for x, target in self._batches([order[s : s + self.batch_size] for s in full])]
        self.epoch += 1
        sums = torch.stack([torch.stack([*step.values()]) for step in steps])
        means = (parallel.total(sums) / (self.batch_size * self.encoder.bits)).mean(0)
        measures = dict(zip(steps[0], means.tolist(), strict=True))
        self.check_finite(measures["loss"])
        measures |= self._measure_held_out()
        for name, value in measures.items():
            self.history.setdefault(name, []).append(value)
        self.cpu_seconds += time.process_time() - start
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
        pin = self.encoder.device.type == "cuda"
        for batch in batches.read(self.images, [each[part] for each in rows], pin=pin):
            yield varied(self.encoder, self.recipe, batch, self.generator, part, self.batch_size)

    def _features(self, rows: list[np.ndarray], part: slice) -> Iterator[torch.Tensor]:
        """Float32 [b, d], of each picture a view at random: itself or its mirror image."""
        views = self.features.shape[1]
        for batch in rows:
            view = torch.randint(views, (len(batch),), generator=self.generator)[part]
            yield self.features[torch.as_tensor(batch[part]), view].float()

    def _step(self, x: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """One update; returns this process' sums over its pictures and bits: the loss, and what can be counted."""
        logits = self.encoder.forward(x, self.model)
        loss = self.objective(logits, target, self.schedule.last_epoch / self.steps)
        self.optimizer.zero_grad(set_to_none=True)
        # Gradients are averaged over processes, and the loss is a sum over the batch.
        self.scaler.scale(loss * parallel.count()).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.encoder.network)
        counts = self.objective.counts(logits.detach(), target)
        return {"loss": loss.detach()} | {name: count.float() for name, count in counts.items()}

    def _measure_held_out(self) -> dict[str, float]:
        """Bit accuracy on rows that are not trained on; the best epoch so far is kept where early stopping is on."""
        parallel.same_buffers(self.encoder.network)
        if self.averaged is not None:
            parallel.same_buffers(self.averaged.module)
        measures = {}
        for name in ("watched", "validation"):
            rows = getattr(self.rows, name)
            if len(rows) and self.objective.POINTWISE:
                logits = torch.from_numpy(self.fitted.logits(batches.take(self.images, rows)))
                counts = self.objective.counts(logits, torch.as_tensor(self.targets[rows]))
                measures |= {f"{name}_{what}": float(count) / logits.numel() for what, count in counts.items()}
        accuracy = measures.get("watched_bit_accuracy", -1.0)
        if accuracy > self.best["accuracy"]:
            network = {name: value.clone() for name, value in self._trained_state().items()}
            self.best = {"epoch": self.epoch, "accuracy": accuracy, "network": network}
        return measures

    @property
    def fitted(self) -> Encoder:
        """The encoder as it would be handed on now: with averaged weights where the recipe averages."""
        return self.encoder if self.averaged is None else replace(self.encoder, network=self.averaged.module)

    def _trained_state(self) -> dict[str, torch.Tensor]:
        """The weights without those of a frozen trunk, which every training has from the same file."""
        return self._own(self.fitted.network.state_dict())

    def _own(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: value for name, value in state.items() if not name.startswith("trunk.")}

    def _load_trained(self, state: dict[str, torch.Tensor]) -> None:
        self.encoder.network.load_state_dict(state, strict=not networks.is_frozen(self.encoder.arch))

    def take_best(self) -> None:
        """Give the encoder its last weights: averaged ones, or the best epoch's where early stopping watched."""
        if self.best["network"]:
            self._load_trained(self.best["network"])
        elif self.averaged is not None:
            self._load_trained(self._trained_state())

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
            "network": self._own(self.encoder.network.state_dict()),
            "averaged": self.averaged and self.averaged.state_dict(),
            "objective": self.objective.state_dict(),
            "cpu_seconds": self.cpu_seconds,
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
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.objective.load_state_dict(state["objective"] or {})  # older ones have None where there is none of its own
        self.cpu_seconds = state["cpu_seconds"]
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


def varied(
    encoder: Encoder,
    recipe: Recipe,
    pictures: torch.Tensor,
    generator: torch.Generator,
    part: slice = slice(None),
    batch_size: int | None = None,
) -> torch.Tensor:
    """Network inputs [b, c, h, w] of pictures uint8 [b, h, w, c], augmented as a recipe has it; see `augmentation`."""
    if recipe.distort:
        pictures = distort(pictures, generator, part, batch_size)
    shift = recipe.shift + round(recipe.crop * min(encoder.size))
    return augment(encoder.prepare(pictures), shift, recipe.mirror, generator, part, batch_size)
