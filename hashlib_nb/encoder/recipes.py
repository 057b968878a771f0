"""Recipes: how an encoder is optimized, one for each architecture and some by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hashlib_nb import checks
from hashlib_nb.encoder.networks import FEATURES, LITE, Head

MAX_BLOCKS = 64
"""Most blocks that a recipe can leave as they are; EfficientNet-Lite2 has 21."""
MAX_SIZE = 2048
"""Largest height and width of a network's input: memory grows with their product."""
MAX_SHIFT = 256
"""Most pixels by which augmentation shifts a picture: each is padded by so many on every side."""


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
    size: int | None = None
    """Height and width in pixels of the network's input where nothing else is asked for."""
    crop: float = 0.0
    """Augmentation: shift by up to this share of the input's side, beside `shift`."""
    distort: bool = False
    """Augmentation: TrivialAugmentWide, and a rectangle erased in a quarter of the pictures, before resizing."""
    frozen_blocks: int = 0
    """The stem and so many blocks of EfficientNet are left as they are."""
    lr_decay: float = 1.0
    """Each block's learning rate is this much of that of the block above it."""
    label_smoothing: float = 0.0
    """Share of a target that is spread evenly over what could be."""
    ema: float = 0.0
    """The encoder gets an exponential moving average of the weights, which keeps this much of itself in a step; 0 gives
    it the last ones."""
    outputs: Literal["bits", "labels"] = "bits"
    """What the last layer is fitted to: stage 1's target codes, or the labels (see `heads`)."""
    views: bool = False
    """Let the codes of an augmented view of each training picture pay stage 3's reward, by the encoder itself, so that
    no further encoders are fitted for out-of-fold codes. In-sample codes without strong augmentation are too sure."""

    def __post_init__(self) -> None:
        if self.optimizer not in ("sgd", "adamw"):
            raise ValueError(f"optimizer must be 'sgd' or 'adamw', not {self.optimizer!r}")
        checks.fields(self, checks.finite, "lr", "head_lr_factor", "weight_decay", least=0)
        if self.outputs not in ("bits", "labels"):
            raise ValueError(f"outputs must be 'bits' or 'labels', not {self.outputs!r}")
        checks.fields(self, checks.finite, "held_out", above=0, below=1)
        checks.fields(self, checks.finite, "crop", "label_smoothing", "ema", least=0, below=1)
        checks.fields(self, checks.finite, "lr_decay", above=0, most=1)
        checks.fields(self, checks.count, "frozen_blocks", least=0, most=MAX_BLOCKS)
        checks.fields(self, checks.count, "size", optional=True, most=MAX_SIZE, why="pixels")
        if self.head is not None and (self.distort or self.crop or self.views or self.frozen_blocks):
            raise ValueError("a head on a frozen trunk takes features: no crop, distort, frozen_blocks or views")
        if self.views and not (self.distort or self.crop or self.shift or self.mirror):
            raise ValueError("views is set, but pictures are not augmented: set distort, crop, shift or mirror")
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
TUNED = Recipe(
    "adamw",
    lr=1e-3,
    head_lr_factor=5,
    batch_size=50,
    epochs=20,
    one_cycle=True,
    shift=0,
    mirror=True,
    weight_decay=0.02,
    size=160,
    crop=1 / 8,
    distort=True,
    frozen_blocks=3,
    lr_decay=0.97,
    label_smoothing=0.1,
    ema=0.995,
    outputs="labels",
    views=True,
)
"""For EfficientNet-Lite with a few hours of a CPU: the best that was found for CIFAR-10's 5,000 training pictures."""
RECIPES = {
    "alexnet": THESIS,
    "alexnet_small": SMALL,
    "vgg19": THESIS,
    **dict.fromkeys(LITE, FINE_TUNED),
    "alexnet_frozen": FROZEN,
    "vgg19_frozen": FROZEN,
    **{f"{name}_frozen": FROZEN for name in LITE},
    FEATURES: FROZEN,
}
"""By architecture: what is taken where no recipe is asked for."""
NAMED = {"tuned": TUNED, "thesis": THESIS}
"""Recipes that can be asked for by name."""
TUNED_ARCH = "efficientnet_lite2"
"""What arch "auto" comes to for the recipe "tuned"."""
