"""The fitted encoder: pictures in, logits and codes out, and the folder that keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from hashlib_nb import checks
from hashlib_nb.encoder import batches, networks, parallel, saved
from hashlib_nb.encoder.heads import LabelHead
from hashlib_nb.encoder.networks import Frozen, Head

if TYPE_CHECKING:
    from hashlib_nb.encoder.batches import Images
    from hashlib_nb.encoder.settings import Settings

ASKED = 2**22
"""Posteriors of label sets that `Encoder.asked` holds at a time: 32 MB."""
INPUT_PIXELS = {"cuda": 2**22, "cpu": 2**19}
"""Pixels of one batch of encoding: what a GPU needs to be busy, and what a CPU has caches for."""


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
    """Per epoch: `loss` and `bit_accuracy` while training, `watched_bit_accuracy` with early stopping,
    `validation_bit_accuracy` where rows were held out."""
    precision: str = "fp32"
    """Inside the network: fp32, bf16 or fp16."""
    head: Head | None = None
    """What lies on a frozen trunk."""
    cpu_seconds: float = 0.0
    """Of a processor, that the training took; 0 of an encoder that was loaded."""

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(
                f"mean has {len(self.mean)} channels and std {len(self.std)}; give a number a channel each"
            )
        for mean, std in zip(self.mean, self.std, strict=True):
            checks.finite(mean, "mean")
            checks.finite(std, "std", above=0)

    def prepare(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """uint8 [b, h, w, c] -> normalized float [b, c, h', w'] on the device, channels last."""
        if isinstance(images, np.ndarray):
            images = torch.from_numpy(np.ascontiguousarray(images))
        x = images.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        if tuple(x.shape[2:]) != self.size:
            x = _resize(x, self.size)
        mean, std = (torch.tensor(v, device=self.device).view(1, -1, 1, 1) for v in (self.mean, self.std))
        # Gray pictures for a network of three channels get those here, as mean and std have three.
        return ((x.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor, module: nn.Module | None = None) -> torch.Tensor:
        """Logits float32 [b, k] of prepared pictures [b, c, h, w] or a frozen trunk's features [b, d].

        Args:
            x: on the device.
            module: called instead of the network, or its head where x are features: a wrapper of it while training.
        """
        module = module or (self.network.head if x.ndim == 2 else self.network)
        with self._autocast():
            return module(x).float()

    @property
    def label_head(self) -> LabelHead | None:
        """What makes the k logits of a network that was fitted to labels; None for one that was fitted to codes."""
        last = self.network.head if isinstance(self.network, Frozen) else self.network
        return last if isinstance(last, LabelHead) else None

    def asking(self, head: Callable[[nn.Module], LabelHead], bits: int) -> Encoder:
        """The same network, fitted to labels, with k = `bits` outputs that `head` makes of them."""
        if isinstance(self.network, Frozen):
            network = Frozen(self.network.trunk, head(self.network.head))
        else:
            network = head(self.network)
        return replace(self, network=network.to(self.device).eval(), bits=bits)

    def _autocast(self) -> torch.autocast:
        dtype = networks.PRECISIONS[self.precision]
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not torch.float32)

    def compile(self) -> None:
        """Let torch.compile make the network faster; the first batches of each shape take seconds to minutes."""
        if isinstance(self.network, Frozen):
            self.network.trunk.compile()  # the head is too small to gain
        else:
            self.network.compile()

    def logits(self, images: Images, *, batch_size: int | None = None, progress: bool = False) -> np.ndarray:
        """F(x), float32 [n, k], in batches: memory beyond the result does not grow with n.

        Among several processes (see `parallel`) all must call it; each does its share, and all get the result.

        Args:
            images: uint8 [n, h, w, c], in memory or `datasets.Pictures`; for a frozen trunk also its features,
                float [n, d] or [n, views, d], of which the first view counts.
            batch_size: pictures at a time in a process; None takes 512, fewer where the network's input is large.
            progress: show a bar with pictures a second.

        Raises:
            ValueError: what is no picture; NotFiniteError where a logit is NaN or infinite.
        """
        return self.asked(self.last_layer(images, batch_size=batch_size, progress=progress))

    @torch.inference_mode()
    def asked(self, outputs: np.ndarray) -> np.ndarray:
        """Logits float32 [n, k] of what `last_layer` gives: that itself, or with a label head its answers to k bits."""
        head = self.label_head
        if head is None:
            return outputs
        step = max(1, ASKED // max(head.label_sets.shape))
        found = np.empty((len(outputs), self.bits), np.float32)
        for start in range(0, len(outputs), step):
            part = torch.from_numpy(outputs[start : start + step]).to(self.device)
            found[start : start + step] = head.ask(part).cpu().numpy()
        return found

    @torch.inference_mode()
    def last_layer(
        self,
        images: Images,
        *,
        mirrored: bool = False,
        vary: Callable[[torch.Tensor, slice, int], torch.Tensor] | None = None,
        batch_size: int | None = None,
        progress: bool = False,
    ) -> np.ndarray:
        """Outputs of the last layer, float32 [n, k], or [n, m] of m labels where it was fitted to those.

        Args:
            images: as of `logits`.
            mirrored: of the pictures' mirror images; of features, of their second view.
            vary: makes network inputs [b, c, h, w] of a batch, the part of it that this process has, and how many
                pictures it is in all; None for the pictures as they are.
            batch_size: as of `logits`.
            progress: as of `logits`.

        Raises:
            ValueError, NotFiniteError: as of `logits`.
        """
        if batch_size is not None:
            batch_size = checks.count(batch_size, "batch_size")
        images, head = batches.as_images(images), self.label_head
        result = np.empty((len(images), self.bits if head is None else head.label_sets.shape[1]), dtype=np.float32)
        if batches.is_features(images):
            self.check_features(images)
            outputs = self._outputs_of_features(images, batch_size or 8192, int(mirrored))
        else:
            run = {"vary": vary, "batch_size": batch_size, "progress": progress}
            outputs = self.outputs(images, lambda x: self._last(x.flip(3) if mirrored else x), **run)
        for rows, values in outputs:
            result[rows] = values
        if not np.isfinite(result).all():
            row = np.flatnonzero(~np.isfinite(result).all(axis=1))[0]
            raise networks.NotFiniteError(
                f"images give logits that are not finite (the first is row {row}): the encoder's training diverged, or "
                "its weights are damaged; fit it anew, with a lower lr"
            )
        return result

    def _last(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs of the last layer [b, k or m] of prepared pictures or of features."""
        head = self.label_head
        if head is None:
            return self.forward(x)
        if isinstance(self.network, Frozen) and x.ndim > 2:
            with self._autocast():
                x = self.network.features(x).float()
        return self.forward(x, head.network)

    def _outputs_of_features(
        self, values: np.ndarray, batch_size: int, view: int = 0
    ) -> Iterator[tuple[slice, np.ndarray]]:
        self.network.eval()
        if view and (values.ndim < 3 or values.shape[1] <= view):
            raise ValueError("images are features without those of mirror images: give [n, 2, d]")
        values = values[:, view] if values.ndim == 3 else values
        for start in range(0, len(values), batch_size):
            x = torch.tensor(values[start : start + batch_size], device=self.device).float()
            yield slice(start, start + len(x)), self._last(x).cpu().numpy()

    @torch.inference_mode()
    def outputs(
        self,
        images: Images,
        run: Callable[[torch.Tensor], torch.Tensor],
        *,
        vary: Callable[[torch.Tensor, slice, int], torch.Tensor] | None = None,
        batch_size: int | None = None,
        progress: bool = False,
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """What `run` makes of prepared pictures, batch by batch: rows, and an array with a row for each.

        Arguments as of `last_layer`.

        Raises:
            ValueError: pictures that the encoder does not take, or a file that is none.
        """
        images = batches.as_images(images)
        batches.check_images(images)
        if images.shape[-1] > len(self.mean):
            raise ValueError(f"images have {images.shape[-1]} channels, but the encoder was fitted to gray pictures")
        self.network.eval()
        prepare = vary or (lambda batch, *_: self.prepare(batch))
        step = (batch_size or self.batch_size_for(images)) * parallel.count()  # each process has its share of a step
        steps = [slice(start, min(start + step, len(images))) for start in range(0, len(images), step)]
        shares = [np.arange(len(images))[rows][parallel.share(rows.stop - rows.start)] for rows in steps]
        read = batches.read(images, [rows for rows in shares if len(rows)], pin=self.device.type == "cuda")
        bar = tqdm(total=len(images), unit=" pictures", desc=self.arch, disable=not (progress and parallel.is_first()))
        with bar:
            for rows, mine in zip(steps, shares, strict=True):
                total = rows.stop - rows.start
                values = run(prepare(next(read), parallel.share(total), total)).cpu().numpy() if len(mine) else None
                yield rows, np.concatenate([each for each in parallel.gather(values) if each is not None])
                bar.update(rows.stop - rows.start)

    def batch_size_for(self, images: Images) -> int:
        """Pictures that are encoded at a time where nothing else is asked for."""
        pixels = INPUT_PIXELS.get(self.device.type, INPUT_PIXELS["cpu"])
        most = min(512, pixels // (self.size[0] * self.size[1]))
        if batches.is_lazy(images):  # several decoded batches lie in shared memory, which is often small
            most = min(most, INPUT_PIXELS["cuda"] // (images.shape[1] * images.shape[2]))
        return max(1, most)

    def encode(self, images: Images, *, batch_size: int | None = None, progress: bool = False) -> np.ndarray:
        """Codes uint8 {0,1} [n, k], 1[F(x) >= 0]. Arguments as of `logits`."""
        return codes_of(self.logits(images, batch_size=batch_size, progress=progress))

    def features(self, images: Images, *, mirrored: bool = False, progress: bool = False) -> np.ndarray:
        """The frozen trunk's features of pictures, float16 [n, d]; see `features.load_or_compute` for cached ones.

        Args:
            images: uint8 [n, h, w, c], in memory or `datasets.Pictures`.
            mirrored: of their mirror images.
            progress: show a bar with pictures a second.

        Raises:
            ValueError: what is no picture, or an encoder without a frozen trunk.
        """
        images = batches.as_images(images)
        if not networks.is_frozen(self.arch):
            raise ValueError(f"arch is {self.arch}, which has no frozen trunk and so no features; call logits")
        result = np.empty((len(images), self.network.width), dtype=np.float16)
        for rows, values in self.feature_batches(images, mirrored=mirrored, progress=progress):
            result[rows] = values
        return result

    def feature_batches(
        self, images: Images, *, mirrored: bool = False, progress: bool = False
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """`features` batch by batch: rows, and their features."""

        def run(x: torch.Tensor) -> torch.Tensor:
            with self._autocast():
                return self.network.features(x.flip(3) if mirrored else x)

        return self.outputs(images, run, progress=progress)

    def check_features(self, values: np.ndarray) -> None:
        """Raise ValueError unless `values` can be features of this encoder's trunk."""
        if not networks.is_frozen(self.arch):
            raise ValueError(f"images are features (floats), but {self.arch} has no frozen trunk: give uint8 pictures")
        if values.shape[-1] != self.network.width:
            raise ValueError(
                f"images are {values.shape[-1]} features a picture, but {self.arch} makes {self.network.width}"
            )

    def save(self, folder: Path) -> str:
        """Write `encoder.safetensors` and `encoder.json` into `folder`, each all or nothing; see `saved`.

        Returns:
            What identifies the two files, 64 hex digits.

        Raises:
            ValueError: files of these names are there that are not an encoder's.
            WriteError: there is no room, or no permission.
        """
        about = {"arch": self.arch, "bits": self.bits, "size": self.size, "mean": self.mean, "std": self.std}
        about["head"] = None if self.head is None else asdict(self.head)
        about["label_sets"] = None if self.label_head is None else list(self.label_head.label_sets.shape)
        about["history"] = {name: np.asarray(values).tolist() for name, values in self.history.items()}
        return saved.write(folder, self.network, about)

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        last_layer: Callable[[int], nn.Module] | None = None,
    ) -> Encoder:
        """Read what `save` wrote; device and precision as in `fit`.

        Args:
            folder: where it lies.
            device: as in `fit`.
            precision: as in `fit`.
            last_layer: makes the last layer of the number of its inputs, where an `Objective` had one of its own.

        Raises:
            ArtifactError: a file is missing or damaged, or the two are not of one encoder; the message names it.
        """
        about = saved.Description.read(folder)
        arch, where = networks.choose(about.arch, device)
        with torch.device("meta"):  # the weights come from the file
            network = saved.build(about)
            if last_layer is not None:
                networks.replace_last_layer(network, last_layer)
        saved.read_into(network, folder, about)
        return cls(
            network.to(where, memory_format=torch.channels_last).eval(),
            arch,
            about.bits,
            about.size,
            about.mean,
            about.std,
            where,
            {name: np.array(values) for name, values in about.history.items()},
            networks.choose_precision(precision, where),
            about.head,
        )


def codes_of(logits: np.ndarray) -> np.ndarray:
    """The thesis' codes uint8 {0,1} [n, k] of logits: every output asked at one half, 1[F(x) >= 0]."""
    return (logits >= 0).astype(np.uint8)


def _resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """uint8 [b, c, h, w] to another height and width, bilinear, averaging where it shrinks as PIL does."""
    if x.is_cuda:  # which resizes floats alone
        return nn.functional.interpolate(x.float(), size, mode="bilinear", antialias=True).round()
    return nn.functional.interpolate(x, size, mode="bilinear", antialias=True)


def new_encoder(images: Images, bits: int, settings: Settings, *, seed: int = 0) -> Encoder:
    """An untrained encoder whose input scaling fits the architecture and the pictures.

    Args:
        images: uint8 [n, h, w, c], lazy or not; `alexnet_small` takes size and scaling from them.
        bits: k.
        settings: see `Settings`.
        seed: of the pictures that stand for the rest where they are lazy. First weights come from torch's generator.
    """
    settings = settings.resolved()
    arch, size, head = settings.arch, settings.size, settings.recipe.head
    channels = 3
    if arch == networks.FEATURES:
        channels, mean, std = images.shape[-1], (0.0,) * 3, (1.0,) * 3
        shape = (1, channels)
    elif arch == "alexnet_small":
        shape = tuple(min(side, 64) for side in images.shape[1:3]) if size is None else (size, size)
        mean, std = batches.statistics(images, seed)
        channels = len(mean)
    else:
        shape = (networks.DEFAULT_SIZE if size is None else size,) * 2
        mean, std = networks.SCALING[networks.trunk_name(arch)]
    networks.check_size(arch, shape)
    weights = {"weights": settings.weights, "weights_path": settings.weights_path}
    network = networks.build(arch, bits, channels, head=head, **weights)
    network = network.to(settings.where, memory_format=torch.channels_last)
    encoder = Encoder(network, arch, bits, shape, mean, std, settings.where, precision=settings.precision, head=head)
    if settings.compile:
        encoder.compile()
    return encoder
