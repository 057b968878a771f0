"""Codes of a data set by name: which run it is, where it lies, and stages 1 and 2 where it is missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hashlib_nb import artifacts, checks, codes, datasets, thermometer
from hashlib_nb.datasets import PARTS
from hashlib_nb.encoder import batches, features, networks, parallel, reference, saved
from hashlib_nb.encoder.fitting import check_folds, cross_fit, fit, folds_of, view_of
from hashlib_nb.encoder.heads import LabelHead, Loss, bit_cross_entropy, class_cross_entropy
from hashlib_nb.encoder.model import Encoder, codes_of, new_encoder
from hashlib_nb.encoder.recipes import NAMED
from hashlib_nb.encoder.settings import Settings
from hashlib_nb.hamming import MAX_BITS
from hashlib_nb.thermometer import CLASS_ARRAYS, ClassCodes, unseen

if TYPE_CHECKING:
    from hashlib_nb.candidates import Candidates, Options
    from hashlib_nb.encoder.batches import Images
    from hashlib_nb.selection import Selection

Source = Literal["own", "reference"]
"""Whose codes: of an encoder that is fitted here, or those that come with the package."""
FOLDS = 3
"""Encoders for the out-of-fold codes, unless something else is asked for."""
EPISODES = 2048
"""Subsets that PPO tries, unless something else is asked for."""


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
    """All that `codes.npz` holds, by the names there: labels, logits float32 [n, k] and class codes as well, of which
    `candidates.of_arrays` makes thermometer bits."""

    @property
    def classes(self) -> ClassCodes:
        """The class codes, which decided queries take theirs from."""
        return ClassCodes.from_arrays(self.arrays)

    def posteriors(self, part: str) -> np.ndarray:
        """Class posteriors float64 [n, C] of a part of the pictures, such as "query"; of a label head, its own.

        Those of `classes` are of the k logits, and so at one remove from label outputs.
        """
        return thermometer.posteriors(*self._said(part))

    def label_posteriors(self, part: str) -> np.ndarray:
        """Posteriors of the labels of a part's pictures, float64 [n, m]: what `posteriors` add up to."""
        return thermometer.label_posteriors_of(*self._said(part))

    def _said(self, part: str) -> tuple[np.ndarray, ClassCodes]:
        """Outputs of a part's pictures, and the classes that they speak of."""
        said = f"{part}_labels_said"
        if said not in self.arrays:
            return self.arrays[f"{part}_logits"], self.classes
        sets = self.classes.label_sets
        return self.arrays[said], ClassCodes(sets, sets, float(self.arrays["labels_beta"]))


@dataclass(frozen=True)
class Setup:
    """Which run this is: the one key that folders, caches and figures of a data set's codes come from.

    Made once and resolved at once: the root is absolute, "auto" is decided, options have their types. Whatever changes
    the codes changes `folder`, so that no run overwrites another's; the files in it carry the digest of the data and of
    all settings besides, so that a run finds out where pictures or labels have changed under it.

    Raises:
        ValueError: what no run can be: an unknown data set, option, architecture or preset, a device that is not here,
            a code length under 1, a number of folds under 2 that is not 0, a negative seed.
    """

    dataset: str = "fashion-mini"
    """A name in `hashlib_nb.datasets`."""
    root: Path | str | None = None
    """Folder of the data set's files, where it needs one."""
    options: Mapping[str, Any] | Sequence[Any] = ()
    """What the data set takes beyond that: a mapping, or texts like "protocol=59k"; resolved to (name, value) pairs."""
    split: Path | None = None
    """File of a saved split (`Splits.save_split`); None for the data set's own, of its seed 0."""
    code_length: int = 64
    """k, bits of a code."""
    seed: int = 0
    """Of target codes, weights, batches, augmentation and folds."""
    target_codes: str | Path = "repaired"
    """A preset of stage 1 (`codes.PRESETS`), or an npz file with the array `codes`."""
    folds: int | None = None
    """Encoders for the out-of-fold codes that stage 3's reward uses; 0 leaves those out. None takes 3, and 0 where the
    recipe has codes of augmented views to pay the reward."""
    settings: Settings = Settings()
    """How the encoder is fitted."""
    source: Source = "own"
    """Whose logits: "own" fits the encoder where its codes are missing; "reference" reads those that come with the
    package, equal on every machine, of fashion-mini, 64 bits, seeds 0 to 2 and the default settings alone."""

    def __post_init__(self) -> None:
        checks.fields(self, checks.count, "code_length", most=MAX_BITS)
        checks.fields(self, checks.count, "folds", least=0, optional=True)
        checks.fields(self, checks.seed, "seed")
        if self.folds == 1:
            raise ValueError("folds is 1; give 0 for no out-of-fold codes, or at least 2")
        if isinstance(self.target_codes, str) and self.target_codes not in codes.PRESETS:
            raise ValueError(
                f"target_codes is {self.target_codes!r}; give one of {', '.join(codes.PRESETS)}, or the path of a file"
            )
        if self.source not in ("own", "reference"):
            raise ValueError(f"source is {checks.shown(self.source)}; give 'own' or 'reference'")
        settings = reference.settled(self.settings) if self.source == "reference" else self.settings
        resolved = {
            "root": None if self.root is None else artifacts.absolute(self.root),
            "options": datasets.typed_options(self.dataset, self.options),
            "settings": settings.resolved(echo=lambda _: None),
        }
        if self.folds is None:
            resolved["folds"] = usual_folds(resolved["settings"])
        for name, value in resolved.items():
            object.__setattr__(self, name, value)
        if self.source == "reference":
            self._check_reference()

    def _check_reference(self) -> None:
        """Raise ValueError where no reference logits are of this run."""
        there = {"dataset": reference.DATASET, "options": (), "split": None, "code_length": reference.CODE_LENGTH}
        there |= {"target_codes": "repaired", "folds": reference.FOLDS}
        asked = {name: getattr(self, name) for name in there} | asdict(self.settings)
        there |= asdict(reference.SETTINGS.resolved())
        other = [name for name in there if asked[name] != there[name]]
        if other or self.seed not in reference.SEEDS:
            name, value = (other[0], asked[other[0]]) if other else ("seed", self.seed)
            raise ValueError(
                f"{name} is {checks.shown(value)}, but reference codes are of {reference.DATASET}, "
                f"{reference.CODE_LENGTH} bits, seeds 0 to {max(reference.SEEDS)} and the default settings: give "
                "these, or take codes of your own ('own')"
            )

    @property
    def reward_codes(self) -> str:
        """Which codes of the training pictures pay the reward by default: "crossfit" or "views"."""
        return "views" if self.settings.recipe.views and not self.folds else "crossfit"

    @property
    def label(self) -> str:
        """The data set with what was asked of it, as names of folders say it."""
        return datasets.label(self.dataset, root=self.root, options=self.options, split=self.split)

    @property
    def target_path(self) -> Path:
        """Where stage 1's codes lie: target codes depend on no encoder, so every one of a data set shares them."""
        if isinstance(self.target_codes, Path):
            return self.target_codes
        name = "target" if self.target_codes == "repaired" else self.target_codes
        return artifacts.folder(self.label, self.code_length, self.seed) / f"{name}_codes.npz"

    @property
    def folder(self) -> Path:
        """Where the codes, the encoder and what is chosen of its bits lie."""
        if self.source == "reference":
            return artifacts.folder(self.label, self.code_length, self.seed, self.source)
        return artifacts.folder(self.label, self.code_length, self.seed, "-".join([self.settings.arch, *self._words()]))

    def _words(self) -> list[str]:
        """What of the run is not as by default, as short words in a fixed order."""
        asked = self.settings.words()
        words = [asked.pop("recipe")] if asked.get("recipe") in NAMED else []
        words += [f"px{asked.pop('size')}"] if "size" in asked else []
        words += [f"e{asked.pop('epochs')}"] if "epochs" in asked else []
        words += [asked.pop("outputs")] if "outputs" in asked else []
        if self.folds != usual_folds(self.settings):
            words.append(f"f{self.folds}" if self.folds else "direct")
        if isinstance(self.target_codes, Path):
            words.append(f"t{artifacts.digest(self.targets())}")
        elif self.target_codes != "repaired":
            words.append(self.target_codes)
        return [*words, f"o{artifacts.digest_of_text(str(asked))}"] if asked else words

    @cached_property
    def splits(self) -> datasets.Splits:
        """The data set, loaded once."""
        split = {} if self.split is None else {"split": self.split}
        return datasets.load(self.dataset, root=self.root, **split, **dict(self.options))

    def targets(self) -> np.ndarray:
        """Stage 1's target codes of the training pictures, uint8 [n, k]: found, or inferred where they are missing."""
        if self.source == "reference":
            return self.codes().targets
        if isinstance(self.target_codes, Path):
            found = artifacts.read_npz(self.target_codes, ["codes"])["codes"]
            if found.ndim == 2 and found.shape[1] != self.code_length:
                raise ValueError(
                    f"target_codes: {artifacts.shown(self.target_codes)} has codes of {found.shape[1]} bits, but "
                    f"code_length is {self.code_length}; give {found.shape[1]}"
                )
            return found
        labels, preset = self.splits.train.labels, codes.PRESETS[self.target_codes]

        def infer() -> np.ndarray:
            return codes.load_or_infer(self.target_path, labels, self.code_length, seed=self.seed, **preset).codes

        return parallel.broadcast(infer() if parallel.is_first() else None)

    def codes(self, folder: Path | None = None, *, progress: bool = True) -> ImageCodes:
        """Codes of all pictures: found, or made where they are missing; held from then on.

        Args:
            folder: where they lie; None for `folder` of this run.
            progress: show bars.
        """
        held = self.__dict__.setdefault("_held", {})
        if self.source == "reference" and folder not in held:
            held[folder] = _image_codes(reference.load(self.seed, self.splits))
            print(f"reference codes of seed {self.seed}, which come with the package")
        if folder not in held:
            if self.folds:
                check_folds(self.folds, len(self.splits.train))  # before target codes are made
            where = {"folds": self.folds, "seed": self.seed, "cache": self._cache, "progress": progress}
            held[folder] = load_or_encode(folder or self.folder, self.splits, self.targets(), self.settings, **where)
        return held[folder]

    def encoder(self) -> Encoder:
        """The encoder that makes these codes, of any further picture as well.

        Raises:
            ValueError: the codes are reference codes.
        """
        if self.source == "reference":
            raise ValueError("source is 'reference', whose network is not shipped; give 'own' to encode pictures")
        self.codes()
        return Encoder.load(self.folder, device=self.settings.device, precision=self.settings.precision)

    def mirrored(self, *, progress: bool = True) -> dict[str, np.ndarray]:
        """Arrays of `codes` in which the logits of query and database pictures are means over a picture and its mirror.

        That takes a second encoding of all of them, which is kept beside the codes; held from then on. What pays a
        reward, and what is chosen by it, stays as it is. Of reference codes there are none, as of `encoder`.
        """
        if "_mirrored" in self.__dict__:
            return self.__dict__["_mirrored"]
        arrays = self.codes(progress=progress).arrays
        images = {part: getattr(self.splits, part).images for part in ("query", "database")}

        def make() -> dict[str, np.ndarray]:
            start, encoder, found = time.process_time(), self.encoder(), {}
            for part, each in images.items():
                name = f"{part}_logits" if encoder.label_head is None else f"{part}_labels_said"
                found[name] = (arrays[name] + self._last_layer_of_mirrored(encoder, part, each, progress)) / 2
                found[f"{part}_logits"] = encoder.asked(found[name])
                found[f"{part}_codes"] = codes_of(found[f"{part}_logits"])
            return found | {"mirrored_cpu_seconds": np.array(time.process_time() - start)}

        made_from = {"encoder": str(arrays["encoder"]), "data": " ".join(map(batches.digest, images.values()))}
        path = self.folder / "mirrored.npz"
        found = artifacts.load_or_make(path, made_from, make, made_by="hashlib_nb.encoder")
        return self.__dict__.setdefault("_mirrored", arrays | found)

    def _last_layer_of_mirrored(self, encoder: Encoder, part: str, images: Images, progress: bool) -> np.ndarray:
        if not networks.is_frozen(encoder.arch):
            return encoder.last_layer(images, mirrored=True, progress=progress)
        path = self._cache / f"{part}-mirrored.npy"
        return encoder.last_layer(features.load_or_compute(path, encoder, images, mirrored=True, progress=progress))

    def features(self, splits: datasets.Splits | None = None) -> dict[str, np.ndarray] | None:
        """A frozen trunk's features of each part, computed once and kept; see `features.of_splits`.

        Args:
            splits: the data set where it is loaded already; None for `splits` of this run.

        Returns:
            None where the trunk is trained too.
        """
        if self.settings.recipe.head is None:
            return None
        splits = splits or self.splits
        trunk = new_encoder(splits.train.images, 1, self.settings)
        return features.of_splits(self._cache, trunk, splits, mirror=self.settings.recipe.mirror)

    @property
    def _cache(self) -> Path:
        """Where a frozen trunk's features lie."""
        return features.folder_of(self.label, self.settings.arch, self.settings.size or networks.DEFAULT_SIZE)

    def candidates(self, options: Options | None = None) -> Candidates:
        """The bits that stage 3 chooses among, as `options` ask for them, None for the defaults; held from then on."""
        from hashlib_nb import candidates

        options = options or candidates.Options(reward_codes=self.reward_codes)
        held = self.__dict__.setdefault("_candidates", {})
        if options not in held:
            held[options] = candidates.of_arrays(self.codes().arrays, options)
        return held[options]

    def select(
        self, method: str, n_bits: int, options: Options | None = None, *, total_episodes: int = EPISODES
    ) -> Selection:
        """The bits that a method keeps: from the file beside the codes, or searched for where there is none.

        Args:
            method: a name in `selectors.METHODS`.
            n_bits: p.
            options: which candidates there are and what pays for them (`candidates.Options`); None for the defaults.
            total_episodes: subsets that "ppo" tries; the others go on as long as they take.
        """
        from hashlib_nb import ppo, selection, selectors  # later stages: the key finds them what lies beside its codes

        pool = self.candidates(options)
        args = ppo.Args(n_bits=n_bits, total_episodes=total_episodes, seed=self.seed, progress=False)
        made_from = ppo.settings(args) if method == "ppo" else {"n_bits": n_bits, "seed": self.seed}

        def make() -> Selection:
            reward = pool.reward(seed=self.seed)
            if method == "ppo":
                return pool.named(ppo.train(args, reward=reward))
            return pool.named(selectors.select(None, None, n_bits, method=method, seed=self.seed, reward=reward))

        made_from["data"] = pool.digest()
        path = self.selection_path(method, n_bits, options, total_episodes=total_episodes)
        return selection.load_or_make(path, made_from, make)

    def selection_path(
        self, method: str, n_bits: int, options: Options | None = None, *, total_episodes: int = EPISODES
    ) -> Path:
        """Where `select` keeps what it finds; arguments as there."""
        from hashlib_nb.candidates import Options

        options = options or Options(reward_codes=self.reward_codes)
        words = [method, f"p{n_bits}", *options.words]
        words += [f"t{total_episodes}"] * (total_episodes != EPISODES)
        return self.folder / f"{'-'.join(words)}.npz"


def usual_folds(settings: Settings) -> int:
    """Encoders for out-of-fold codes where nothing else is asked for; `settings` are resolved."""
    return 0 if settings.recipe.views else FOLDS


def load_or_encode(
    folder: Path,
    splits: datasets.Splits,
    targets: np.ndarray,
    settings: Settings | None = None,
    *,
    folds: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    progress: bool = True,
    **changes,
) -> ImageCodes:
    """Codes of all splits: from `folder` if they were made with these settings, else fit, cross-fit, encode and save.

    Args:
        folder: where `codes.npz`, `encoder.safetensors` and `encoder.json` lie.
        splits: the data set.
        targets: target codes of `splits.train`, uint8 [n, k].
        settings: how the encoder is fitted; None takes the defaults.
        folds: encoders for the out-of-fold codes; 0 leaves those out; None as of `Setup`.
        seed: of everything.
        cache: folder of a frozen trunk's features (see `features`); None keeps them in `folder`.
        progress: show bars.
        **changes: fields of `Settings` in place of those in `settings`.
    """
    settings = replace(settings or Settings(), **changes).resolved()
    folds = usual_folds(settings) if folds is None else folds
    if folds:
        folds_of(targets, folds, seed)  # a number of folds that cannot be is named before the first encoder is fitted
    checkpoints, used = Path(folder) / "checkpoints", []

    def make() -> dict[str, np.ndarray]:
        saved.check_folder(folder)
        used.extend(checkpoints / f"{name}.pt" for name in ("final", *(f"fold{f}" for f in range(folds))))
        inputs = {name: getattr(splits, name).images for name in PARTS}
        if networks.is_frozen(settings.arch):
            trunk, mirror = new_encoder(splits.train.images, 1, settings), settings.recipe.mirror
            inputs = features.of_splits(Path(cache or folder), trunk, splits, mirror=mirror, progress=progress)
        labels = splits.train.labels
        arrays = _fit_and_encode(Path(folder), inputs, targets, labels, checkpoints, folds, seed, settings, progress)
        arrays |= ClassCodes.of(targets, labels, unseen(arrays)).arrays()
        return arrays | {f"{name}_labels": getattr(splits, name).labels for name in PARTS}

    def load_or(make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        made_from = _made_from(splits, targets, settings) | {"folds": folds, "seed": seed}
        found = {"made_by": "hashlib_nb.encoder", "check": lambda arrays: _unfit(arrays, Path(folder), splits, targets)}
        return artifacts.load_or_make(Path(folder) / saved.CODES, made_from, make, **found)

    arrays = parallel.first_decides(load_or, make)
    if parallel.is_first():
        for file in used:  # the codes are safe: nothing to resume any more
            file.unlink(missing_ok=True)
    return _image_codes(arrays)


def _unfit(arrays: Mapping[str, np.ndarray], folder: Path, splits: datasets.Splits, targets: np.ndarray) -> str | None:
    """What is the matter with the arrays of a codes.npz, in words; None for nothing."""
    rows = {f"{name}_codes": len(getattr(splits, name)) for name in PARTS} | {"targets": len(targets)}
    for name, number in rows.items():
        found = arrays.get(name)
        if found is None or found.shape != (number, targets.shape[1]) or found.dtype.kind not in "biu":
            return f"it has no {name} of {number} pictures"
    also = {"out_of_fold_codes", "out_of_fold_logits", "fold", "encoder", *CLASS_ARRAYS}
    also |= {f"{name}_{what}" for name in PARTS for what in ("labels", "logits")}
    if missing := also - {*arrays}:
        return f"it has no {', '.join(sorted(missing))}"
    if str(arrays["encoder"]) != saved.digest(folder):
        return f"{saved.WEIGHTS} and {saved.DESCRIPTION} beside it are not of the encoder that made it"
    return None


def _fit_and_encode(
    folder: Path,
    inputs: Mapping[str, Images],
    targets: np.ndarray,
    labels: np.ndarray,
    checkpoints: Path,
    folds: int,
    seed: int,
    settings: Settings,
    progress: bool,
) -> dict[str, np.ndarray]:
    """All of `codes.npz` but labels and class codes, from pictures or features of query, train and database."""
    run, start = {"seed": seed, "progress": progress}, time.process_time()
    fitted_to, loss = _fitted_to(settings, targets, labels)
    encoder = fit(inputs["train"], fitted_to, settings, loss=loss, checkpoint=checkpoints / "final.pt", **run)
    earlier = encoder.cpu_seconds - (time.process_time() - start)  # of a run that was killed
    said = {"out_of_fold": np.zeros((0, fitted_to.shape[1]), np.float32)}
    fold, histories = np.zeros(0, dtype=np.int64), []
    if folds:
        how = {"folds": folds, "loss": loss, "checkpoint": checkpoints}
        said["out_of_fold"], fold, histories = cross_fit(inputs["train"], fitted_to, settings, **how, **run)
    said |= {name: encoder.last_layer(inputs[name], progress=progress) for name in PARTS}
    if settings.recipe.views:
        said["view"] = view_of(encoder, settings.recipe, inputs["train"], **run)
    arrays = {}
    if settings.outputs == "labels":
        arrays = {f"{name}_labels_said": values for name, values in said.items()}
        encoder = _asking(encoder, targets, labels, unseen(arrays, "labels_said"))
    logits = {name: encoder.asked(values) for name, values in said.items()}
    arrays |= {f"{name}_logits": values for name, values in logits.items()}
    arrays |= {f"{name}_codes": codes_of(values) for name, values in logits.items()}
    if encoder.label_head is not None:
        arrays["labels_beta"] = encoder.label_head.beta.cpu().numpy()
    identity = encoder.save(folder) if parallel.is_first() else ""
    arrays |= {"targets": targets, "fold": fold, "encoder": np.array(identity)}
    arrays |= {f"history_{name}": values for name, values in encoder.history.items()}
    arrays["history_validation_bit_accuracy"] = _side_by_side([h["validation_bit_accuracy"] for h in histories])
    arrays["cpu_seconds"] = np.array(max(earlier, 0.0) + time.process_time() - start)
    return arrays


def _fitted_to(settings: Settings, targets: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, Loss]:
    """What the last layer is fitted to, {0,1} [n, outputs], and with which loss."""
    if settings.outputs == "bits":
        return targets, bit_cross_entropy
    exclusive = bool((labels.sum(axis=1) == 1).all())
    return labels, class_cross_entropy if exclusive else bit_cross_entropy


def _asking(encoder: Encoder, targets: np.ndarray, labels: np.ndarray, said: np.ndarray) -> Encoder:
    """The encoder with k outputs, the answers of its label outputs to what the target codes ask."""
    classes = ClassCodes.of(targets, labels)
    sets = ClassCodes.of(labels, labels, said)  # the same classes in the same order
    return encoder.asking(lambda network: LabelHead(network, sets.codes, classes.codes, sets.beta), targets.shape[1])


def _made_from(splits: datasets.Splits, targets: np.ndarray, settings: Settings) -> dict[str, str]:
    """What codes depend on beside seed and folds: the content of the data, and every setting that changes a result."""
    labels = artifacts.digest(*(getattr(splits, name).labels for name in PARTS), targets)
    data = " ".join([*(batches.digest(getattr(splits, name).images) for name in PARTS), labels])
    always = {"data": data, "arch": settings.arch, "recipe": str(settings.recipe), "device": settings.device}
    return always | settings.words()


def _side_by_side(curves: Sequence[np.ndarray]) -> np.ndarray:
    """[curves, epochs]; a curve that stopped early goes on as NaN."""
    longest = max(map(len, curves), default=0)
    return np.array([np.pad(curve, (0, longest - len(curve)), constant_values=np.nan) for curve in curves])


def _image_codes(arrays: dict[str, np.ndarray]) -> ImageCodes:
    history = {name.removeprefix("history_"): arrays[name] for name in arrays if name.startswith("history_")}
    names = {"query": "query_codes", "train": "train_codes", "database": "database_codes", "targets": "targets"}
    names |= {"out_of_fold": "out_of_fold_codes", "fold": "fold"}
    return ImageCodes(
        **{field_name: arrays[name] for field_name, name in names.items()}, history=history, arrays=arrays
    )
