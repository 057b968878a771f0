"""Stage 2, images -> k-bit codes: the thesis' Algorithm 2, a CNN fitted to the target codes of stage 1.

AlexNet's last layer is given k outputs F(x), one a bit, and the network is trained as k binary classifiers (eq. 3.11)

    loss = - sum_i sum_j  b_ij log sigma(F_j(x_i)) + (1 - b_ij) log(1 - sigma(F_j(x_i))),      dloss/dF = sigma(F) - b;

a picture's code is 1[F >= 0]. Target codes come from labels alone, so bit j means the same in every refit: that
lets `cross_fit` give every training picture the code of an encoder that has never seen it.

    python -m hashlib_nb.encoder --dataset fashion-mini --bits 64        # see --help
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
import torchvision
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sklearn.model_selection import KFold, StratifiedKFold
from torch import nn
from tqdm.auto import tqdm

from hashlib_nb import artifacts, codes, datasets
from hashlib_nb.hamming import check_codes

THREADS = torch.get_num_threads()
"""Threads of a training: numba's kernels change torch's number, and with another number sums round otherwise."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
    """Pictures a step."""
    epochs: int
    """Passes over the training pictures, unless `fit` is told otherwise."""
    one_cycle: bool
    """Warm up and anneal the learning rate (Smith 2018) instead of keeping it constant."""
    shift: int
    """Augmentation: shift each picture by up to this many input pixels either way."""
    mirror: bool
    """Augmentation: mirror half of the pictures."""
    weight_decay: float = 0.0
    """Decoupled for adamw."""


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
RECIPES = {"alexnet": THESIS, "alexnet_small": SMALL}


def alexnet_small(bits: int, channels: int = 1) -> nn.Sequential:
    """AlexNet's topology for small pictures: five convolutions, three dense layers, batch norm, about 0.4M weights.

    Krizhevsky et al. (2012) pool after convolutions 1, 2 and 5 and drop out before dense layers 1 and 2; so do we.
    Batch norm is what lets it learn from random weights, which AlexNet with plain SGD does not.

    Args:
        bits: k, outputs of the last layer.
        channels: of the pictures, 1 or 3.
    """

    def convolution(inputs: int, outputs: int, size: int) -> list[nn.Module]:
        return [
            nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]

    def dense(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Dropout(0.2), nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *convolution(channels, 16, 5),  # [b, 16, h, w]
        nn.MaxPool2d(2),
        *convolution(16, 32, 3),  # [b, 32, h/2, w/2]
        nn.MaxPool2d(2),
        *convolution(32, 64, 3),  # [b, 64, h/4, w/4]
        *convolution(64, 64, 3),
        *convolution(64, 64, 3),
        nn.AdaptiveMaxPool2d(3),  # [b, 64, 3, 3] for pictures of any size
        nn.Flatten(),
        *dense(64 * 9, 256),
        *dense(256, 256),
        nn.Linear(256, bits),
    )


def alexnet(bits: int, weights: str = "imagenet", weights_path: Path | None = None) -> nn.Module:
    """torchvision's AlexNet whose last layer has k outputs; 57M weights, 224 x 224 x 3 pictures.

    Args:
        bits: k.
        weights: "imagenet" (torchvision's, downloaded once) or "random".
        weights_path: a state dict of torchvision's AlexNet on disk, instead of the download.

    Raises:
        FileNotFoundError, ValueError: `weights_path` is missing, or holds no AlexNet.
        ConnectionError: the download failed; the message has the offline alternatives.
    """
    network = torchvision.models.alexnet()
    if weights_path is not None:
        _load_weights(network, Path(weights_path))
    elif weights == "imagenet":
        source = torchvision.models.AlexNet_Weights.IMAGENET1K_V1
        try:
            network.load_state_dict(source.get_state_dict(progress=True, check_hash=True))
        except (URLError, OSError, RuntimeError) as error:
            raise ConnectionError(
                f"ImageNet weights for alexnet could not be had from {source.url} ({error}): give weights_path=, a "
                "file fetched elsewhere, or take arch='alexnet_small', or weights='random' (which hardly learns)"
            ) from error
    elif weights != "random":
        raise ValueError(f"weights must be 'imagenet' or 'random', not {weights!r}")
    network.classifier[-1] = nn.Linear(network.classifier[-1].in_features, bits)
    return network


def _load_weights(network: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"weights_path: {path} does not exist: give a state dict of torchvision's AlexNet")
    try:
        state = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, weights_only=True, map_location="cpu")
        )
        network.load_state_dict(state)
    except Exception as error:  # torch, pickle and safetensors each raise their own for a foreign file
        first = str(error).splitlines()[0]
        raise ValueError(f"weights_path: {path} holds no state dict of torchvision's AlexNet ({first})") from error


def choose(arch: str, device: str = "auto", *, echo: Callable[[str], None] = print) -> tuple[str, torch.device]:
    """Resolve "auto": alexnet on CUDA, alexnet_small on a CPU; says which and why.

    Raises:
        ValueError: an unknown `arch`, or a `device` that is not here.
    """
    if arch not in ("auto", *RECIPES):
        raise ValueError(f"arch must be auto, {' or '.join(RECIPES)}, not {arch!r}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here ({str(error).splitlines()[0]}): take 'cpu'") from error
    if arch == "auto":
        arch = "alexnet" if where.type == "cuda" else "alexnet_small"
        reason = (
            "alexnet's 57M weights want a GPU"
            if where.type != "cuda"
            else f"{torch.cuda.get_device_name(where)} is here"
        )
        echo(f"encoder: {arch} on {where.type} (auto: {reason})")
    return arch, where


@dataclass(eq=False)
class Encoder:
    """A fitted encoder: `encode` turns pictures into codes."""

    network: nn.Module
    """Pictures, normalized [b, c, h, w], to logits [b, k]."""
    arch: str
    """A key of `RECIPES`."""
    bits: int
    """k."""
    size: tuple[int, int]
    """Height and width that pictures are resized to."""
    mean: tuple[float, ...]
    """Per channel, of pictures scaled to 0..1; subtracted before the network."""
    std: tuple[float, ...]
    """Per channel; divided by."""
    device: torch.device
    """Where the network lies."""
    history: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    """Per epoch: `loss` and `bit_accuracy` while training, `validation_bit_accuracy` where rows were held out."""

    def prepare(self, images: np.ndarray) -> torch.Tensor:
        """uint8 [b, h, w, c] -> normalized float [b, c, h', w'] on the device, channels last."""
        x = torch.from_numpy(np.ascontiguousarray(images)).to(self.device, non_blocking=True)
        x = x.permute(0, 3, 1, 2).float() / 255
        x = (
            x.expand(-1, len(self.mean), -1, -1) if x.shape[1] == 1 else x
        )  # gray pictures for a network of three channels
        if tuple(x.shape[2:]) != self.size:
            x = nn.functional.interpolate(x, self.size, mode="bilinear", antialias=True)
        mean, std = (torch.tensor(v, device=self.device).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return ((x - mean) / std).contiguous(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits float32 [b, k] of prepared pictures; bfloat16 inside where the device is a GPU."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type == "cuda"):
            return self.network(x).float()

    @torch.inference_mode()
    def logits(self, images: np.ndarray, *, batch_size: int = 512) -> np.ndarray:
        """F(x), float32 [n, k], in batches: memory beyond the result does not grow with n.

        Args:
            images: uint8 [n, h, w, c].
            batch_size: pictures at a time.
        """
        check_images(images)
        if images.shape[-1] > len(self.mean):
            raise ValueError(f"images have {images.shape[-1]} channels, but the encoder was fitted to gray pictures")
        self.network.eval()
        result = np.empty((len(images), self.bits), dtype=np.float32)
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            result[start : start + len(batch)] = self.forward(self.prepare(batch)).cpu().numpy()
        return result

    def encode(self, images: np.ndarray, *, batch_size: int = 512) -> np.ndarray:
        """Codes uint8 {0,1} [n, k] of pictures uint8 [n, h, w, c]: 1[F(x) >= 0]."""
        return (self.logits(images, batch_size=batch_size) >= 0).astype(np.uint8)

    def save(self, folder: Path) -> None:
        """Write `encoder.safetensors` and `encoder.json` into `folder`, each all or nothing."""
        state = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        with artifacts.atomic(Path(folder) / "encoder.safetensors") as partial:
            save_file(state, partial)
        about = {"arch": self.arch, "bits": self.bits, "size": self.size, "mean": self.mean, "std": self.std}
        about["history"] = {name: np.asarray(values).tolist() for name, values in self.history.items()}
        artifacts.save_json(Path(folder) / "encoder.json", about)

    @classmethod
    def load(cls, folder: Path, *, device: str = "auto") -> Encoder:
        """Read what `save` wrote. Raises ArtifactError naming a missing or damaged file."""
        path = Path(folder) / "encoder.json"
        about = artifacts.load_json(path)
        fields = {"arch", "bits", "size", "mean", "std", "history"}
        if not isinstance(about, dict) or not fields <= set(about):
            raise artifacts.ArtifactError(f"{artifacts.shown(path)} describes no encoder: fit one and save it anew")
        arch, where = choose(about["arch"], device)
        network = _network(arch, about["bits"], len(about["mean"]), weights="random")
        path = path.with_name("encoder.safetensors")
        try:
            network.load_state_dict(load_file(path))
        except (FileNotFoundError, SafetensorError, RuntimeError) as error:
            first = str(error).splitlines()[0]
            raise artifacts.ArtifactError(f"{artifacts.shown(path)} is missing or damaged ({first})") from error
        history = {name: np.array(values) for name, values in about["history"].items()}
        return cls(
            network.to(where, memory_format=torch.channels_last),
            arch,
            about["bits"],
            tuple(about["size"]),
            tuple(about["mean"]),
            tuple(about["std"]),
            where,
            history,
        )


def check_images(images: np.ndarray) -> None:
    """Raise ValueError unless `images` is uint8 [n, h, w, c] with 1 or 3 channels and n at least 1."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or len(images) == 0:
        raise ValueError(f"images must be uint8 [n, h, w, 1 or 3], not {images.dtype} {list(images.shape)}")


def _network(arch: str, bits: int, channels: int, *, weights: str, weights_path: Path | None = None) -> nn.Module:
    return alexnet(bits, weights, weights_path) if arch == "alexnet" else alexnet_small(bits, channels)


def _new_encoder(images: np.ndarray, bits: int, arch: str, device: torch.device, **weights) -> Encoder:
    """An untrained encoder whose input scaling fits the architecture and the pictures."""
    if arch == "alexnet":
        size, mean, std = (224, 224), IMAGENET_MEAN, IMAGENET_STD
    else:
        size = tuple(min(side, 64) for side in images.shape[1:3])
        mean = tuple(float(m) for m in images.mean(axis=(0, 1, 2)) / 255)
        std = tuple(float(s) + 1e-3 for s in images.std(axis=(0, 1, 2)) / 255)
    network = _network(arch, bits, len(mean), **weights)
    return Encoder(network.to(device, memory_format=torch.channels_last), arch, bits, size, mean, std, device)


def _augment(x: torch.Tensor, shift: int, mirror: bool, generator: torch.Generator) -> torch.Tensor:
    """Shift every picture by its own offset (edges filled with its border) and mirror half of them; x [b, c, h, w]."""
    b, _, h, w = x.shape
    if shift:
        padded = nn.functional.pad(x, (shift,) * 4, mode="replicate")
        dy, dx = torch.randint(0, 2 * shift + 1, (2, b), generator=generator).to(x.device)
        rows = (dy[:, None] + torch.arange(h, device=x.device))[:, :, None]  # [b, h, 1]
        columns = (dx[:, None] + torch.arange(w, device=x.device))[:, None, :]  # [b, 1, w]
        picture = torch.arange(b, device=x.device)[:, None, None]
        x = padded[picture, :, rows, columns].permute(0, 3, 1, 2)  # [b, c, h, w]
    if mirror:
        mirrored = torch.rand(b, generator=generator).to(x.device) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    return x.contiguous(memory_format=torch.channels_last)


def _optimizer(encoder: Encoder, recipe: Recipe) -> torch.optim.Optimizer:
    head = [module for module in encoder.network.modules() if isinstance(module, nn.Linear)][-1]
    head_ids = {id(p) for p in head.parameters()}
    body = [p for p in encoder.network.parameters() if id(p) not in head_ids]
    groups = [
        {"params": body, "lr": recipe.lr},
        {"params": list(head.parameters()), "lr": recipe.lr * recipe.head_lr_factor},
    ]
    kinds = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
    return kinds[recipe.optimizer](groups, weight_decay=recipe.weight_decay)


def fit(
    images: np.ndarray,
    targets: np.ndarray,
    *,
    arch: str = "auto",
    epochs: int | None = None,
    recipe: Recipe | None = None,
    validation: float | np.ndarray = 0.0,
    weights: str = "imagenet",
    weights_path: Path | None = None,
    checkpoint: Path | None = None,
    device: str = "auto",
    seed: int = 0,
    progress: bool = True,
) -> Encoder:
    """Fit an encoder to target codes (Algorithm 2).

    Args:
        images: uint8 [n, h, w, c], training pictures alone: the query set has no part in this.
        targets: uint8 {0,1} [n, k], their target codes.
        arch: "alexnet", "alexnet_small", or "auto" (see `choose`).
        epochs: passes over the pictures; None takes the recipe's.
        recipe: optimizer settings; None takes `RECIPES[arch]`.
        validation: a fraction of the training pictures, or their row numbers, to hold out. They are measured after each
            epoch and used for nothing else: the last epoch is what is returned.
        weights: for alexnet, "imagenet" or "random".
        weights_path: for alexnet, a state dict on disk instead of the download.
        checkpoint: file to save to after each epoch; if it is there, training goes on from it, to the same result.
        device: "cpu", "cuda", or "auto".
        seed: of initial weights, batches, augmentation and dropout.
        progress: show a bar with loss and bit accuracy.

    Raises:
        ValueError: shapes or values that do not fit, named, before any work.
    """
    check_images(images)
    targets = check_codes(targets, "targets")
    if len(images) != len(targets):
        raise ValueError(f"targets has {len(targets)} rows for {len(images)} images; give one target code a picture")
    arch, where = choose(arch, device)
    if weights_path is not None and arch != "alexnet":
        raise ValueError(f"weights_path goes with arch='alexnet', not {arch!r}: set the one or leave out the other")
    recipe = recipe or RECIPES[arch]
    epochs = recipe.epochs if epochs is None else epochs
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, not {epochs}")
    held_out = _held_out_rows(validation, len(images), seed)
    training = np.setdiff1d(np.arange(len(images)), held_out)
    if len(training) < 2:
        raise ValueError(f"validation leaves {len(training)} of {len(images)} images to train on; hold out fewer")
    with torch.random.fork_rng():  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        encoder = _new_encoder(
            images[training], targets.shape[1], arch, where, weights=weights, weights_path=weights_path
        )
        origin = f"{arch} {weights} {weights_path}"
        run = _Training(encoder, recipe, images, targets, training, held_out, epochs, seed, origin)
        run.resume(checkpoint)
        bar = tqdm(
            range(run.epoch, epochs), initial=run.epoch, total=epochs, desc=f"{arch} seed {seed}", disable=not progress
        )
        for _ in bar:
            bar.set_postfix(run.train_one_epoch())
            if checkpoint is not None:
                run.save(Path(checkpoint))
    encoder.network.eval()
    return replace(encoder, history={name: np.array(values) for name, values in run.history.items()})


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


class _Training:
    """Everything that changes while an encoder is fitted, so that it can be saved after an epoch and go on later."""

    def __init__(self, encoder, recipe, images, targets, training, held_out, epochs, seed, origin):
        self.encoder, self.recipe, self.images, self.targets = encoder, recipe, images, targets
        self.training, self.held_out, self.seed = training, held_out, seed
        # The whole target matrix lies on the device; pictures go there batch by batch.
        self.device_targets = torch.as_tensor(targets, dtype=torch.float32, device=encoder.device)
        # Full batches only: batch norm makes a poor estimate from a remainder of two or three pictures.
        self.batch_size = min(recipe.batch_size, len(training))
        steps = epochs * (len(training) // self.batch_size)
        self.optimizer = _optimizer(encoder, recipe)
        if recipe.one_cycle:
            peaks = [group["lr"] for group in self.optimizer.param_groups]
            self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, peaks, total_steps=steps, pct_start=0.2)
        else:
            self.schedule = torch.optim.lr_scheduler.ConstantLR(self.optimizer, factor=1.0)
        self.generator = torch.Generator().manual_seed(seed)
        self.epoch = 0
        self.history: dict[str, list[float]] = {"loss": [], "bit_accuracy": []}
        self.made_from = artifacts.digest(images, targets, training) + f" epochs={epochs} seed={seed} {recipe} {origin}"

    def train_one_epoch(self) -> dict[str, float]:
        """One pass over the training pictures; returns the epoch's measures."""
        torch.set_num_threads(THREADS)
        self.encoder.network.train()
        order = self.training[torch.randperm(len(self.training), generator=self.generator).numpy()]
        losses, accuracies = [], []
        for start in range(0, len(order) - self.batch_size + 1, self.batch_size):
            rows = order[start : start + self.batch_size]
            x = self.encoder.prepare(self.images[rows])
            x = _augment(x, self.recipe.shift, self.recipe.mirror, self.generator)
            target = self.device_targets[torch.as_tensor(rows, device=x.device)]  # [b, k]
            logits = self.encoder.forward(x)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")  # eq. 3.11
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            losses.append(loss.detach() / target.numel())
            accuracies.append(((logits.detach() >= 0) == (target > 0.5)).float().mean())
        self.epoch += 1
        measures = {"loss": torch.stack(losses).mean().item(), "bit_accuracy": torch.stack(accuracies).mean().item()}
        if len(self.held_out):
            right = self.encoder.encode(self.images[self.held_out]) == self.targets[self.held_out]
            measures["validation_bit_accuracy"] = float(right.mean())
        for name, value in measures.items():
            self.history.setdefault(name, []).append(value)
        return measures

    def save(self, path: Path) -> None:
        state = {
            "epoch": self.epoch,
            "history": self.history,
            "network": self.encoder.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "batches_rng": self.generator.get_state(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        artifacts.save_checkpoint(path, self.made_from, state)

    def resume(self, path: Path | None) -> None:
        """Go on from a checkpoint of the same training where there is one."""
        state = artifacts.load_checkpoint(path, self.made_from)
        if state is None:
            return
        self.epoch, self.history = state["epoch"], state["history"]
        self.encoder.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["batches_rng"])
        torch.set_rng_state(state["rng"])
        if state["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_rng"])


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
    images: np.ndarray,
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
        images: uint8 [n, h, w, c].
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
    for f in range(folds):
        rows = np.flatnonzero(fold == f)
        file = None if checkpoint is None else Path(checkpoint) / f"fold{f}.pt"
        encoder = fit(images, targets, validation=rows, checkpoint=file, seed=seed + f + 1, **settings)
        out_of_fold[rows] = encoder.encode(images[rows])
        histories.append(encoder.history)
    return out_of_fold, fold, histories


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
    folder: Path, splits: datasets.Splits, targets: np.ndarray, *, folds: int = 3, seed: int = 0, **settings
):
    """Codes of all splits: from `folder` if they were made with these settings, else fit, cross-fit, encode and save.

    Args:
        folder: where `codes.npz`, `encoder.safetensors` and `encoder.json` lie.
        splits: the data set.
        targets: target codes of `splits.train`, uint8 [n, k].
        folds: encoders for the out-of-fold codes; 0 leaves those out.
        seed: of everything.
        **settings: further arguments of `fit`, except validation and checkpoint.
    """
    settings["arch"], device = choose(settings.get("arch", "auto"), settings.get("device", "auto"))
    settings["device"] = str(device)
    if folds:
        folds_of(targets, folds, seed)  # a number of folds that cannot be is named before the first encoder is fitted
    checkpoints = Path(folder) / "checkpoints"

    def make() -> dict[str, np.ndarray]:
        encoder = fit(splits.train.images, targets, checkpoint=checkpoints / "final.pt", seed=seed, **settings)
        out_of_fold, fold, histories = targets[:0], np.zeros(0, dtype=np.int64), []
        if folds:
            out_of_fold, fold, histories = cross_fit(
                splits.train.images, targets, folds=folds, checkpoint=checkpoints, seed=seed, **settings
            )
        encoder.save(folder)
        arrays = {
            f"{name}_codes": encoder.encode(getattr(splits, name).images) for name in ("query", "train", "database")
        }
        arrays |= {f"{name}_labels": getattr(splits, name).labels for name in ("query", "train", "database")}
        arrays |= {"targets": targets, "out_of_fold_codes": out_of_fold, "fold": fold}
        arrays |= {f"history_{name}": values for name, values in encoder.history.items()}
        arrays["history_validation_bit_accuracy"] = np.array([h["validation_bit_accuracy"] for h in histories])
        return arrays

    # Of query and database, which may be large, the first picture and all labels stand for the rest.
    some = [array for split in (splits.query, splits.database) for array in (split.images[:1], split.labels)]
    recipe = settings.get("recipe") or RECIPES[settings["arch"]]
    args = {"data": artifacts.digest(splits.train.images, splits.train.labels, targets, *some), "folds": folds}
    epochs = settings.get("epochs")
    args |= {"seed": seed, "recipe": str(recipe), "epochs": recipe.epochs if epochs is None else epochs}
    result_depends_on = ("arch", "device", "weights", "weights_path")
    args |= {name: str(settings[name]) for name in result_depends_on if settings.get(name) is not None}
    arrays = artifacts.load_or_make(Path(folder) / "codes.npz", args, make, made_by="hashlib_nb.encoder")
    for file in checkpoints.glob("*.pt"):  # the codes are safe: nothing to resume any more
        file.unlink()
    history = {name.removeprefix("history_"): arrays[name] for name in arrays if name.startswith("history_")}
    names = {"query": "query_codes", "train": "train_codes", "database": "database_codes", "targets": "targets"}
    names |= {"out_of_fold": "out_of_fold_codes", "fold": "fold"}
    return ImageCodes(
        **{field_name: arrays[name] for field_name, name in names.items()}, history=history, arrays=arrays
    )


@dataclass(frozen=True)
class Args:
    """Stage 2: fit an encoder to target codes and write the codes of query, training and database pictures."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    bits: int = 64
    """length k of the codes, where the target codes are made here"""
    targets: Path | None = None
    """npz of stage 1 (`python -m hashlib_nb.codes --out`); by default stage 1's artifact, made where it is missing"""
    arch: str = "auto"
    """alexnet, alexnet_small, or auto: alexnet on a GPU, alexnet_small on a CPU"""
    epochs: int | None = None
    """passes over the training pictures; by default the architecture's recipe"""
    folds: int = 3
    """encoders for the out-of-fold codes that stage 3's reward uses; 0 leaves those out"""
    weights_path: Path | None = None
    """alexnet's ImageNet weights on disk, where they cannot be downloaded"""
    device: str = "auto"
    """cpu, cuda or auto"""
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
    device: str = "auto",
    seed: int = 0,
    targets: np.ndarray | None = None,
    folder: Path | None = None,
    **settings,
) -> tuple[datasets.Splits, ImageCodes]:
    """Stages 1 and 2 by name: the data set and its codes, from the artifacts where they exist, made where they do not.

    Args:
        dataset: a name in `hashlib_nb.datasets`.
        bits: code length k.
        root: folder of the data set's files, where it needs one.
        arch: as in `fit`.
        device: as in `fit`.
        seed: of both stages. The split of the pictures stays the data set's own (its seed 0).
        targets: target codes {0,1} [n_train, k] to use instead of stage 1's.
        folder: where the codes lie, instead of `artifacts.folder`.
        **settings: further arguments of `load_or_encode`: folds, epochs, weights_path.
    """
    splits = datasets.load(dataset, root=root)
    arch, where = choose(arch, device)
    if targets is None:
        path = artifacts.folder(dataset, bits, seed) / "target_codes.npz"
        targets = codes.load_or_infer(path, splits.train.labels, bits, seed=seed).codes
    folder = folder or artifacts.folder(dataset, bits, seed, arch)
    return splits, load_or_encode(folder, splits, targets, arch=arch, device=str(where), seed=seed, **settings)


def main(args: Args) -> None:
    """Run stage 2 from the shell."""
    targets = None if args.targets is None else artifacts.read_npz(args.targets, ["codes"])["codes"]
    bits = args.bits if targets is None else targets.shape[1]
    start = time.perf_counter()
    _, made = codes_for(
        args.dataset,
        bits,
        root=args.root,
        arch=args.arch,
        device=args.device,
        seed=args.seed,
        targets=targets,
        folder=args.out,
        folds=args.folds,
        epochs=args.epochs,
        weights_path=args.weights_path,
    )
    print(
        f"{len(made.query)} query, {len(made.train)} train and {len(made.database)} database codes of "
        f"{made.query.shape[1]} bits ({time.perf_counter() - start:.0f} s)"
    )


if __name__ == "__main__":
    artifacts.run(main, Args)
