"""How an encoder is fitted: everything but pictures, target codes and seed, checked once and passed on whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Literal

import torch
from tyro.constructors import PrimitiveConstructorSpec

from hashlib_nb import artifacts, checks
from hashlib_nb.encoder import networks
from hashlib_nb.encoder.recipes import MAX_SIZE, NAMED, RECIPES, TUNED, TUNED_ARCH, Recipe

AS_TEXT = PrimitiveConstructorSpec(
    nargs=1,
    metavar=f"{{{','.join(NAMED)}}}",
    instance_from_str=lambda words: words[0],
    is_instance=lambda value: value is None or isinstance(value, (str, Recipe)),
    str_from_instance=lambda value: [str(value)],
)
"""How a command line gives a recipe: by its name."""


@dataclass(frozen=True)
class Settings:
    """Which network, and how it is trained."""

    arch: str = "auto"
    """alexnet, vgg19, efficientnet_lite0, _lite1 and _lite2, each of them with _frozen, alexnet_small, or auto: alexnet
    on a GPU, alexnet_small on a CPU, efficientnet_lite2 for the recipe tuned"""
    size: int | None = None
    """height and width in pixels of the network's input, at most 2048; by default the recipe's, else 224, for
    alexnet_small as the pictures, up to 64"""
    epochs: int | None = None
    """passes over the training pictures; by default the architecture's recipe"""
    weights: str = "imagenet"
    """first weights of all but alexnet_small: imagenet or random"""
    weights_path: Path | None = None
    """ImageNet weights on disk, where they cannot be downloaded; or the encoder.safetensors of an encoder that was
    fitted whole, whose trunk is taken"""
    device: str = "auto"
    """cpu, cuda or auto"""
    precision: str = "auto"
    """inside the network: fp32, bf16, fp16, or auto: fp32 on a CPU, bf16 on a GPU that has it"""
    compile: bool = False
    """use torch.compile, which pays where the work takes many minutes"""
    recipe: Annotated[Recipe | str | None, AS_TEXT] = None
    """how the network is optimized: a name (tuned: EfficientNet-Lite with strong augmentation, some CPU hours; thesis),
    in Python a `Recipe` too; by default the architecture's own"""
    outputs: Literal["auto", "bits", "labels"] = "auto"
    """what the last layer is fitted to: bits (stage 1's target codes, as in the thesis), labels (whose posteriors then
    answer what the bits ask), or auto: the recipe's"""

    def __post_init__(self) -> None:
        networks.check_arch(self.arch)
        networks.check_precision(self.precision)
        networks.check_weights(self.weights)
        checks.fields(self, checks.count, "epochs", optional=True, most=checks.ROUNDS)
        checks.fields(self, checks.count, "size", optional=True, most=MAX_SIZE, why="pixels")
        if self.weights_path is not None and self.arch == "alexnet_small":
            raise ValueError(
                "weights_path goes with an arch that has ImageNet weights, not 'alexnet_small': set another arch or "
                "leave it out"
            )
        if self.outputs not in ("auto", "bits", "labels"):
            raise ValueError(f"outputs must be 'auto', 'bits' or 'labels', not {self.outputs!r}")
        if isinstance(self.recipe, str) and self.recipe not in NAMED:
            raise ValueError(f"recipe must be one of {', '.join(NAMED)}, or a Recipe, not {self.recipe!r}")
        recipe = self._named_recipe
        if self.arch == "auto" or recipe is None:
            return
        if networks.is_frozen(self.arch) != (recipe.head is not None):
            raise ValueError(f"recipe must have a head for a frozen trunk, and none else, but arch is {self.arch}")
        if (recipe.frozen_blocks or recipe.lr_decay < 1) and self.arch not in networks.LITE:
            raise ValueError(
                f"recipe treats blocks apart, which {self.arch} does not have: take arch='{TUNED_ARCH}', or a recipe "
                "without frozen_blocks and lr_decay"
            )
        if self.size is not None:
            networks.check_size(self.arch, (self.size, self.size))

    @property
    def _named_recipe(self) -> Recipe | None:
        return NAMED[self.recipe] if isinstance(self.recipe, str) else self.recipe

    def resolved(self, *, echo: Callable[[str], None] = print) -> Settings:
        """The same with nothing left open: no "auto", and the recipe and the number of epochs that will be used.

        Args:
            echo: is told which architecture "auto" came to, and why.

        Raises:
            ValueError: a device that is not here, or what does not go with the architecture that "auto" came to.
        """
        recipe, arch = self._named_recipe, self.arch
        if arch == "auto" and recipe == TUNED:
            arch = TUNED_ARCH
            echo(f"encoder: {arch} (auto: the recipe is for it)")
        arch, where = networks.choose(arch, self.device, echo=echo)
        recipe = recipe or RECIPES[arch]
        return replace(
            self,
            arch=arch,
            size=recipe.size if self.size is None else self.size,
            outputs=recipe.outputs if self.outputs == "auto" else self.outputs,
            device=str(where),
            precision=networks.choose_precision(self.precision, where),
            recipe=recipe,
            epochs=recipe.epochs if self.epochs is None else self.epochs,
        )

    @property
    def where(self) -> torch.device:
        """The device of resolved settings."""
        return torch.device(self.device)

    def words(self) -> dict[str, str]:
        """What of resolved settings is not as by default, by name; `compile` is left out, since it changes no result.

        Weights on disk are known by their content.
        """
        named = next((name for name, recipe in NAMED.items() if recipe == self.recipe), None)
        named = None if self.recipe == RECIPES[self.arch] else named
        usual = Settings(arch=self.arch, recipe=named).resolved(echo=lambda _: None)
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "compile"}
        if self.weights_path is not None:
            networks.check_weights_path(self.weights_path, self.arch)
            found["weights_path"] = artifacts.sha256(self.weights_path).hex()
        words = {name: str(value) for name, value in found.items() if value != getattr(usual, name)}
        return words if named is None else {"recipe": named} | words
