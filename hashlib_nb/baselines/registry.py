"""Other people's codes by name: fit one, encode with it, save and load it.

A method is one module of this folder: ``hashnet`` is ``hashnet.py``. The module defines one `Baseline`. Modules that
start with an underscore are helpers. To add a method, add a file; there is nothing to register.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import pkgutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashlib_nb import artifacts, checks
from hashlib_nb.baselines.base import Baseline
from hashlib_nb.hamming import MAX_BITS, check_labels

if TYPE_CHECKING:
    from hashlib_nb.encoder import Encoder, Settings

HELPERS = ("base", "registry", "trivial", "__main__")
"""Modules of this folder that are no methods, beside those with an underscore."""
MAX_PIXELS = 1 << 14
"""Most pixels, all channels counted, that a closed form takes as features: ITQ's covariance of them is 2 GB."""
PIXEL_ROWS = 1 << 12
"""Pictures whose pixels are held as features at a time while a closed form encodes."""
FILE = "baseline.npz"
"""What a folder of `Fitted.save` holds, beside an encoder's files where there is one."""


def names() -> tuple[str, ...]:
    """The methods that `fit` knows, sorted."""
    modules = (module.name for module in pkgutil.iter_modules(sys.modules[__package__].__path__))
    return tuple(sorted(name for name in modules if not name.startswith("_") and name not in HELPERS))


def method(name: str, **settings) -> Baseline:
    """A method with its settings; what they are its class says.

    Raises:
        ValueError: an unknown name or setting, or a value that a setting does not take.
    """
    if not isinstance(name, str) or name not in names():
        near = difflib.get_close_matches(str(name).lower(), names(), n=3, cutoff=0.4)
        found = f"did you mean {' or '.join(near)}? " if near else ""
        raise ValueError(
            f"name is {checks.shown(name)}, which is no method here; {found}There are: {', '.join(names())}"
        )
    module = importlib.import_module(f"{__package__}.{name}")
    (kind,) = [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Baseline) and each.__module__ == module.__name__
    ]
    takes = [each.name for each in fields(kind)]
    for setting in settings:
        if setting not in takes:
            raise ValueError(
                f"{setting!r} is no setting of {name!r}; the settings it takes: {', '.join(takes) or 'none'}"
            )
    return kind(**settings)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A method that was fitted: pictures or features in, codes out."""

    name: str
    """What `fit` was asked for."""
    method: Baseline
    """With its settings."""
    code_length: int
    """k."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    """Of a closed form."""
    encoder: Encoder | None = None
    """Of a trained method; or the frozen trunk whose features a closed form takes; None where it took features."""
    width: int = 0
    """Number of features that a closed form takes, 0 where it takes pictures."""
    cpu_seconds: float = 0.0
    """Of a processor, that fitting took."""

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Outputs float32 [n, k], of which a bit says whether they are at least 0.

        Args:
            images: pictures, uint8 [n, h, w, c] or `datasets.Pictures`, or features, float [n, d] or [n, views, d],
                as `fit` was given.

        Raises:
            ValueError: something else, features of another width, or NaN.
        """
        images = _checked(images)
        if self.method.TRAINED:
            return self.encoder.logits(images)
        if self.method.OF_PICTURES:
            return self.method.outputs(self.arrays, _pictures(images, self.name)).astype(np.float32)
        width = _width(images, self.encoder)
        if width != self.width:
            raise ValueError(f"images are {width} features a picture, but {self.name} was fitted to {self.width}")
        step = PIXEL_ROWS if images.ndim == 4 and self.encoder is None else len(images)
        parts = (_features(images[start : start + step], self.encoder) for start in range(0, len(images), step))
        return np.concatenate([self.method.outputs(self.arrays, part).astype(np.float32) for part in parts])

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes uint8 {0,1} [n, k]; arguments as of `logits`."""
        return (self.logits(images) >= 0).astype(np.uint8)

    def save(self, folder: Path) -> None:
        """Write all that `load` needs into `folder`. Raises WriteError where that cannot be."""
        folder = Path(folder)
        about = {"name": self.name, "settings": asdict(self.method), "code_length": self.code_length}
        about |= {"width": self.width, "encoder": self.encoder is not None}
        with artifacts.locked(folder / "baseline"):
            if self.encoder is not None:
                self.encoder.save(folder)
            artifacts.save_npz(folder / FILE, self.arrays, **about)


def load(folder: Path, *, device: str = "auto") -> Fitted:
    """What `Fitted.save` wrote.

    Raises:
        ArtifactError: a file is missing, damaged, or of something else; the message names it.
    """
    arrays, about = artifacts.load_npz(Path(folder) / FILE)
    try:
        made = method(about["name"], **about["settings"])
        code_length = checks.count(about["code_length"], "code_length", most=MAX_BITS)
        width, has_encoder = checks.count(about["width"], "width", least=0), bool(about["encoder"])
    except (KeyError, TypeError, ValueError) as error:
        raise artifacts.ArtifactError(
            f"{artifacts.shown(Path(folder) / FILE)} is no baseline's ({error}); fit one anew"
        ) from error
    encoder = None
    if has_encoder:
        from hashlib_nb.encoder import Encoder

        last = (lambda inputs: made.last_layer(inputs, code_length)) if made.TRAINED else None
        encoder = Encoder.load(folder, device=device, last_layer=last)
    return Fitted(about["name"], made, code_length, arrays, encoder, width)


def fit(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    code_length: int,
    *,
    seed: int = 0,
    training: Settings | None = None,
    held_out: np.ndarray | None = None,
    generated: tuple[np.ndarray, np.ndarray] | None = None,
    checkpoint: Path | None = None,
    progress: bool = False,
    **settings,
) -> Fitted:
    """Fit a method to training rows.

    Args:
        name: one of `names()`.
        images: training pictures, uint8 [n, h, w, c] or `datasets.Pictures`, or features, float [n, d], or
            [n, views, d], of which a trained method draws one in each epoch, and another takes the first.
        labels: {0,1} [n, m], or class numbers int [n].
        code_length: k.
        seed: of everything.
        training: network and recipe of a trained method, whose frozen trunk also makes the features of pictures for a
            closed form; None takes a head on features, or the encoder's own choice for pictures. A closed form takes
            the pixels of pictures where there is no frozen trunk.
        held_out: row numbers that take no part; none by default.
        generated: further training rows that a generator has made, of the form of `images`, and their labels, for a
            method that takes them (hashgan_pairs).
        checkpoint: file to go on from where a training was cut off.
        progress: show a bar where something is trained.
        **settings: of the method.

    Raises:
        ValueError: an unknown name or setting, a code length that the method cannot take, labels of one class where it
            looks at them, features with NaN, or anything that does not fit together; before any work.
    """
    made = method(name, **settings)
    code_length, seed = checks.count(code_length, "code_length", most=MAX_BITS), checks.seed(seed)
    images = _checked(images)
    out = () if held_out is None else checks.rows(held_out, "held_out", len(images))
    rows = np.setdiff1d(np.arange(len(images)), out)
    labels = _labels_of(rows, labels, len(images))
    _check_rows(made, labels)
    if generated is not None:
        images, labels, rows = _with_generated(made, name, images, labels, rows, generated)
    start = time.process_time()
    if made.TRAINED:
        how = {"seed": seed, "training": training, "checkpoint": checkpoint, "progress": progress}
        n_generated = 0 if generated is None else len(generated[0])
        fitted = _train(name, made, images, labels, rows, code_length, n_generated=n_generated, **how)
        return replace(fitted, cpu_seconds=fitted.encoder.cpu_seconds)
    if made.OF_PICTURES:
        made.check(code_length, 0, labels.shape[1])
        arrays = made.fit(_pictures(images, name)[rows], labels, code_length, seed)
        return Fitted(name, made, code_length, arrays, cpu_seconds=time.process_time() - start)
    trunk = _trunk(images, training)
    width = _width(images, trunk)
    check(made, code_length, width, labels.shape[1], of_pixels=images.ndim == 4 and trunk is None)
    arrays = made.fit(_features(images, trunk)[rows], labels, code_length, seed)
    return Fitted(name, made, code_length, arrays, trunk, width, time.process_time() - start)


def check(made: Baseline, code_length: int, width: int, n_labels: int, *, of_pixels: bool = False) -> None:
    """Raise ValueError for a code length that a method cannot make, or more pixels than a closed form can take.

    Args:
        made: the method.
        code_length: k.
        width: features that it would be fitted to.
        n_labels: labels that there are.
        of_pixels: whether these features are pixels.
    """
    if of_pixels and width > MAX_PIXELS:
        raise ValueError(
            f"images have {width:,} pixels, of which {made.TITLE} takes at most {MAX_PIXELS:,} as features: take an "
            "arch with a frozen trunk, or smaller pictures"
        )
    made.check(code_length, width, n_labels)


def _train(
    name: str,
    made: Any,
    images: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    code_length: int,
    *,
    n_generated: int,
    seed: int,
    training: Settings | None,
    checkpoint: Path | None,
    progress: bool,
) -> Fitted:
    import torch

    from hashlib_nb import encoder
    from hashlib_nb.baselines._deep import Trained

    training = (training or encoder.Settings(arch=encoder.FEATURES if images.ndim < 4 else "auto")).resolved()
    recipe = made.recipe(training.recipe)
    found = made.targets(labels, code_length, seed)
    if n_generated:
        found = np.column_stack([found, np.arange(len(found)) >= len(found) - n_generated]).astype(np.uint8)
    targets = np.zeros((len(images), found.shape[1]), np.uint8)
    targets[rows] = found
    with torch.random.fork_rng():
        torch.manual_seed(checks.word(seed))
        objective = Trained(made, code_length, labels.shape[1], seed)
    fitted = encoder.fit(
        images,
        targets,
        replace(training, recipe=recipe),
        loss=objective,
        bits=code_length,
        validation=np.setdiff1d(np.arange(len(images)), rows),
        checkpoint=checkpoint,
        seed=seed,
        progress=progress,
    )
    return Fitted(name, made, code_length, encoder=fitted)


def _with_generated(
    made: Baseline, name: str, images: Any, labels: np.ndarray, rows: np.ndarray, generated: tuple
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Images, labels and rows with the generated ones at the end; ValueError where they do not go with the others."""
    if not made.TAKES_GENERATED:
        raise ValueError(f"generated is given, but {name} knows nothing of generators: leave it out, or hashgan_pairs")
    more, more_labels = _checked(generated[0]), check_labels(generated[1], "the labels of generated")
    if not isinstance(images, np.ndarray) or more.shape[1:] != images.shape[1:] or more.dtype != images.dtype:
        raise ValueError(f"generated is {checks.shown(more)}; give arrays like images, {checks.shown(images)}")
    if more_labels.shape != (len(more), labels.shape[1]):
        raise ValueError(
            f"the labels of generated are {checks.shown(more_labels)}; give [{len(more)}, {labels.shape[1]}]"
        )
    rows = np.concatenate([rows, len(images) + np.arange(len(more))])
    return np.concatenate([images, more]), np.concatenate([labels, more_labels]), rows


def _checked(images: Any) -> Any:
    """Pictures or features as they are; ValueError for neither, and for features that are not finite."""
    from hashlib_nb.encoder import as_images

    images = as_images(images)
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        row = int(np.flatnonzero(~np.isfinite(images).reshape(len(images), -1).all(axis=1))[0])
        raise ValueError(f"images has features that are NaN or infinite (the first in row {row}); give finite ones")
    return images


def _labels_of(rows: np.ndarray, labels: Any, n: int) -> np.ndarray:
    """Labels uint8 {0,1} [len(rows), m] of these of n rows; m does not depend on class numbers of other rows."""
    labels = check_labels(labels)
    if len(labels) != n:
        raise ValueError(f"labels has {len(labels)} rows for {n} images; give one row of labels a picture")
    if labels.ndim == 2:
        return labels[rows]
    classes, number = np.unique(labels[rows], return_inverse=True)
    return np.eye(len(classes), dtype=np.uint8)[number.reshape(-1)]


def _check_rows(made: Baseline, labels: np.ndarray) -> None:
    """Raise ValueError where nothing can be learned of these rows."""
    if len(labels) < 2:
        raise ValueError(f"held_out leaves {len(labels)} rows to fit to; hold out fewer")
    if made.SUPERVISED and len(np.unique(labels, axis=0)) < 2:
        raise ValueError(f"labels are of one class alone, of which {made.TITLE} can learn nothing; give two or more")


def _pictures(images: Any, name: str) -> Any:
    if images.ndim != 4:
        raise ValueError(f"images are features, but {name} takes pictures: give uint8 [n, h, w, 1 or 3]")
    return images


def _trunk(images: Any, training: Settings | None) -> Encoder | None:
    """The frozen trunk that makes features of pictures, where there is one."""
    if images.ndim < 4 or training is None or training.resolved().recipe.head is None:
        return None
    import torch

    from hashlib_nb import encoder

    with torch.random.fork_rng():  # its head is not used, and draws first weights
        torch.manual_seed(0)
        return encoder.new_encoder(images, 1, training)


def _width(images: Any, trunk: Encoder | None) -> int:
    """How many features `_features` makes."""
    if images.ndim < 4:
        return images.shape[-1]
    return math.prod(images.shape[1:]) if trunk is None else trunk.network.width


def _features(images: Any, trunk: Encoder | None) -> np.ndarray:
    """Features float32 [n, d]: given, the trunk's, or pixels."""
    if images.ndim < 4:
        return np.ascontiguousarray(images[:, 0] if images.ndim == 3 else images, np.float32)
    if trunk is not None:
        return trunk.features(images).astype(np.float32)
    from hashlib_nb.baselines.lsh import as_pixels

    return as_pixels(images)
