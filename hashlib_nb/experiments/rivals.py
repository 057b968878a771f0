"""Chapter 4's opponents on one trunk: every method of `baselines`, with the same rows, training and trials.

python -m hashlib_nb rivals --dataset cifar10 --root DIR --size 128        # see --help

For each seed some training rows are held out from every method: they choose its settings (the same number of trials
for all, at one code length), the levels of its thermometer bits, and which of them are kept. Kinds of rows:

| kind                 | codes                                                                                         |
|----------------------|-----------------------------------------------------------------------------------------------|
| outputs              | k outputs asked whether they are at least 0, from a fit with k outputs                        |
| thermometer          | p bits of the longest code's outputs, each asked at quantiles of the held-out outputs         |
| thermometer, decided | the same; a query takes the majority code of its nearest class, as held-out rows have it      |

Reference rows: random codes, the class index, and the ceilings of a label head on the same trunk.
"""

from __future__ import annotations

import io
import itertools
import math
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from tqdm.auto import tqdm

from hashlib_nb import artifacts, baselines, checks, encoder, hamming, metrics, thermometer
from hashlib_nb.datasets import PARTS, Splits
from hashlib_nb.encoder import FEATURES, Settings, Setup, bit_cross_entropy, class_cross_entropy
from hashlib_nb.experiments import provenance, unseen
from hashlib_nb.experiments.rival_scores import scores, thermometer_scores
from hashlib_nb.experiments.rival_tables import (  # noqa: F401 (handed on)
    KINDS,
    OURS,
    PRINTED,
    REFERENCES,
    differences,
    markdown,
    printed,
    summarize,
    title,
    verdict,
)
from hashlib_nb.scale import Where, home, in_workers, share_home
from hashlib_nb.selection import Reward
from hashlib_nb.thermometer import LEVELS, ClassCodes


@dataclass(frozen=True)
class Args(Where):
    """Measure other people's codes and the thesis' on one trunk. Each fit is kept, so that a killed run goes on."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    options: tuple[str, ...] = ()
    """what the dataset takes beyond root, as name=value"""
    methods: tuple[str, ...] = ()
    """names in hashlib_nb.baselines; all if left out"""
    lengths: tuple[int, ...] = (12, 16, 24, 32, 48, 64)
    """code lengths; the longest one's outputs are also what thermometer bits ask"""
    seeds: tuple[int, ...] = (0, 1, 2)
    """of held-out rows, weights and batches; the split of the pictures stays the same"""
    n_unseen: int = 0
    """classes that are left out of the training rows, drawn by each seed, and searched for; none by default"""
    held_out: float = 0.1
    """share of the training rows that chooses settings, levels and bits, and that no method is fitted to"""
    trial_length: int = 32
    """bits at which settings are tried, with the first seed"""
    trials: Path | None = None
    """JSON of this command whose settings are taken instead of trying any"""
    out: Path | None = None
    """JSON to write; by default runs/rivals.json. A file that is no such table is not replaced"""
    plan: bool = False
    """say how many fits are missing and about how long they would take, and make nothing"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings(arch="efficientnet_lite0_frozen")

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        super().__post_init__()
        for name in self.methods:
            baselines.method(name)
        checks.fields(self, checks.counts, "lengths", distinct=True, most=hamming.MAX_BITS // len(LEVELS))
        checks.fields(self, checks.seeds, "seeds")
        checks.fields(self, checks.count, "n_unseen", least=0)
        checks.fields(self, checks.finite, "held_out", above=0, below=1)
        checks.fields(self, checks.count, "trial_length", most=hamming.MAX_BITS)

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        return self.out or artifacts.project_root() / "runs" / "rivals.json"

    @property
    def names(self) -> tuple[str, ...]:
        """Methods, ours first."""
        found = self.methods or baselines.names()
        return tuple(sorted(found, key=lambda name: (name != OURS, name)))

    @cached_property
    def setup(self) -> Setup:
        """The key of the pictures and the trunk."""
        return Setup(self.dataset, self.root, self.options, settings=self.settings)


@dataclass(frozen=True, eq=False)
class Data:
    """What one seed's methods are fitted to and measured on."""

    args: Args
    splits: Splits
    """Labels of query and database pictures are those that make them relevant."""
    rows: Mapping[str, np.ndarray]
    """int64, rows of the whole data set that each part has."""
    inputs: Mapping[str, Any] = field(repr=False)
    """Of the whole data set: a frozen trunk's features of each part, or the pictures themselves."""
    seed: int = 0

    @classmethod
    def of(cls, args: Args, whole: Splits, inputs: Mapping[str, Any], seed: int) -> Data:
        """Those of a seed; without `n_unseen` they are the whole data set's for all."""
        if not args.n_unseen:
            return cls(args, whole, {part: np.arange(len(getattr(whole, part))) for part in PARTS}, inputs, seed)
        classes = unseen.drawn_classes(len(whole.class_names), args.n_unseen, seed)
        return cls(args, unseen.unseen_splits(whole, classes), unseen.kept_rows(whole, classes), inputs, seed)

    @cached_property
    def held(self) -> np.ndarray:
        """Training rows that nobody is fitted to, int64, ascending."""
        n = len(self.rows["train"])
        return np.sort(np.random.default_rng([self.seed, n]).permutation(n)[: max(2, round(self.args.held_out * n))])

    def part(self, part: str, of_pictures: bool) -> Any:
        """What a method takes of a part."""
        whole = getattr(self.args.setup.splits, part).images if of_pictures else self.inputs[part]
        return whole if len(self.rows[part]) == len(whole) else encoder.take(whole, self.rows[part])

    @property
    def training(self) -> Settings:
        """How methods are trained: a head on features, or the network on pictures."""
        settings = self.args.setup.settings
        if settings.recipe.head is None:
            return settings
        about = {"epochs": settings.epochs, "device": settings.device, "precision": settings.precision}
        return Settings(arch=FEATURES, recipe=settings.recipe, **about)

    @cached_property
    def digest(self) -> str:
        """What identifies rows, labels and what methods are fitted to."""
        labels = [getattr(self.splits, part).labels for part in PARTS]
        return artifacts.digest(*labels, *(self.rows[part] for part in PARTS), self.held)

    def labels(self, part: str) -> np.ndarray:
        """Uint8 {0,1} [n, m]."""
        return getattr(self.splits, part).labels


def inputs_of(setup: Setup) -> dict[str, Any]:
    """A frozen trunk's features of each part, computed once; the pictures where the trunk is trained too."""
    return setup.features() or {part: getattr(setup.splits, part).images for part in PARTS}


def fitted(data: Data, name: str, settings: Mapping[str, Any], code_length: int) -> baselines.Fitted:
    """A method, fitted to the training rows that are not held out."""
    pictures = baselines.method(name).OF_PICTURES
    return baselines.fit(
        name,
        data.part("train", pictures),
        data.labels("train"),
        code_length,
        seed=data.seed,
        training=data.training,
        held_out=data.held,
        checkpoint=_checkpoint(data, name, code_length),
        **settings,
    )


def _checkpoint(data: Data, name: str, code_length: int) -> Path | None:
    """Where a training goes on after it was cut off; None on features, where it takes seconds."""
    if data.args.setup.settings.recipe.head is not None:
        return None
    return _folder(data) / f"{name}-k{code_length}-s{data.seed}.pt"


def _folder(data: Data) -> Path:
    words = "-unseen" * bool(data.args.n_unseen)
    folder = data.args.setup.folder
    return folder.with_name(f"{folder.name}-rivals{words}")


def _kept(data: Data, file: str, about: Mapping[str, Any], make) -> dict[str, np.ndarray]:
    """Arrays of a file in the folder of this table's fits, made where they are not there."""
    settings = data.args.setup.settings
    about = dict(about) | {"data": data.digest, "arch": settings.arch, "size": settings.size}
    about |= {"recipe": str(settings.recipe), "epochs": settings.epochs, "seed": data.seed}
    path = _folder(data) / f"{file}.npz"
    with redirect_stdout(io.StringIO()):  # hundreds of small files: the bar says how far it is
        return artifacts.load_or_make(path, about, make, made_by="hashlib_nb.experiments.rivals")


def grid(name: str) -> list[dict[str, Any]]:
    """Settings of a method to try, every combination of its `GRID`."""
    offered = baselines.method(name).GRID
    return [dict(zip(offered, values, strict=True)) for values in itertools.product(*offered.values())]


def tried(data: Data, name: str) -> Iterator[dict]:
    """A row for each setting: mAP of the held-out rows, each a query against the others, by `trial_length` outputs."""
    for number, settings in enumerate(grid(name)):

        def make(settings: Mapping[str, Any] = settings) -> dict[str, np.ndarray]:
            model = fitted(data, name, settings, data.args.trial_length)
            held = model.encode(encoder.take(data.part("train", model.method.OF_PICTURES), data.held))
            reward = Reward(held, data.labels("train")[data.held], n_queries=len(held))
            return {"map": np.array(reward.of_bits(range(held.shape[1]))), "cpu_seconds": np.array(model.cpu_seconds)}

        about = {"method": name, "settings": settings, "bits": data.args.trial_length}
        found = _kept(data, f"{name}-trial{number}", about, make)
        yield {"method": name, "settings": settings} | {key: float(found[key]) for key in ("map", "cpu_seconds")}


def best_settings(args: Args, data: Data, names: Sequence[str]) -> tuple[dict[str, dict], list[dict]]:
    """Settings of each of these methods that did best on the held-out rows, and all rows of `tried`."""
    rows = stored_trials(args)
    if not rows:
        rows = [row for name in tqdm(names, desc="trials", unit="method") for row in tried(data, name)]
    best = {name: max((row for row in rows if row["method"] == name), key=lambda row: row["map"]) for name in names}
    return {name: row["settings"] for name, row in best.items()}, rows


def stored_trials(args: Args) -> list[dict]:
    """Rows of `tried` in the file that `args.trials` names; none where it names none.

    Raises:
        ArtifactError, ValueError: it is no table of this command, or lacks a method.
    """
    if args.trials is None:
        return []
    record = artifacts.load_json(args.trials)
    found = record.get("trials") if isinstance(record, dict) else None
    keys = {"method", "settings", "map"}
    if not isinstance(found, list) or not all(isinstance(row, dict) and keys <= {*row} for row in found):
        raise ValueError(f"trials: {artifacts.shown(args.trials)} is no table of hashlib-nb rivals; give one")
    rows = [row for row in found if row["method"] in args.names]
    if missing := {*args.names} - {row["method"] for row in rows}:
        raise ValueError(f"trials: {artifacts.shown(args.trials)} has none of {', '.join(sorted(missing))}")
    return rows


def measured(data: Data, name: str, settings: Mapping[str, Any], code_length: int) -> dict[str, np.ndarray]:
    """Average precision of a method's codes, float64 [3, q] in the order of `metrics.TIES`, by kind and bits.

    Beside it what held-out rows paid for thermometer bits, a number each ("paid/" before kind and bits).
    """
    longest = code_length == max(data.args.lengths)
    lengths = list(data.args.lengths) if longest else []

    def make() -> dict[str, np.ndarray]:
        model = fitted(data, name, settings, code_length)
        pictures = model.method.OF_PICTURES
        said = {part: model.logits(data.part(part, pictures)) for part in ("query", "database")}
        arrays = {f"{KINDS[0]}/{code_length}": scores(data, *((said[part] >= 0) for part in said))}
        if longest:
            said["held"] = model.logits(encoder.take(data.part("train", pictures), data.held))
            arrays |= thermometer_scores(data, said)
        if (checkpoint := _checkpoint(data, name, code_length)) is not None:
            checkpoint.unlink(missing_ok=True)
        return arrays | {"cpu_seconds": np.array(model.cpu_seconds)}

    about = {"method": name, "settings": dict(settings), "bits": code_length, "lengths": lengths}
    return _kept(data, f"{name}-k{code_length}-s{data.seed}", about, make)


def references(data: Data) -> dict[str, np.ndarray]:
    """`scores` of rows that are no method's, by name and bits, and the label head's `accuracy`."""

    def make() -> dict[str, np.ndarray]:
        sizes = [len(data.labels(part)) for part in ("query", "database")]
        found = {}
        for n_bits in data.args.lengths:
            coins = baselines.random_codes(sum(sizes), n_bits, data.seed)
            found[f"random codes/{n_bits}"] = scores(data, coins[: sizes[0]], coins[sizes[0] :])
        return found | ({} if data.args.n_unseen else _of_label_head(data))

    return _kept(data, f"references-s{data.seed}", {"lengths": list(data.args.lengths)}, make)


def _of_label_head(data: Data) -> dict[str, np.ndarray]:
    labels = data.labels("train")
    exclusive = bool((labels.sum(axis=1) == 1).all())
    loss = class_cross_entropy if exclusive else bit_cross_entropy
    train = data.part("train", False)
    head = encoder.fit(train, labels, data.training, loss=loss, validation=data.held, seed=data.seed, progress=False)
    held = head.logits(encoder.take(train, data.held))
    sets = ClassCodes.of(labels, labels)
    beta = ClassCodes.of(labels[data.held], labels[data.held], held).beta
    sets = ClassCodes(sets.codes, sets.label_sets, beta)
    logits = {part: head.logits(data.part(part, False)) for part in ("query", "database")}
    classes = {part: thermometer.decided_classes(each, sets) for part, each in logits.items()}
    index = [baselines.class_index_codes(each, len(sets.codes)) for each in classes.values()]
    found = {f"class index/{index[0].shape[1]}": scores(data, *index)}
    posteriors = [thermometer.label_posteriors_of(each, sets) for each in logits.values()]
    sides = {"ceiling": posteriors[0], "decided ceiling": thermometer.decided_labels(posteriors[0]).astype(float)}
    for name, query in sides.items():
        bracket = thermometer.ceiling_bracket(
            query, posteriors[1], data.labels("query"), data.labels("database"), exclusive=exclusive
        )
        found[f"{name}/0"] = np.stack([bracket[ties] for ties in metrics.TIES])
    right = (thermometer.decided_labels(posteriors[0]) == data.labels("query")).all(axis=1)
    return found | {"accuracy": np.array(right.mean())}


def fits_of(args: Args, name: str, data: Data) -> list[int]:
    """Code lengths that a method is fitted with: those that it can make; says which are left out, and why."""
    made, labels = baselines.method(name), data.labels("train")
    settings = data.training.resolved(echo=lambda _: None)
    shape = data.part("train", made.OF_PICTURES).shape
    of_pixels = len(shape) == 4 and not made.OF_PICTURES
    width = math.prod(shape[1:]) if of_pixels else shape[-1]
    if made.TRAINED:
        if settings.recipe.head is None:
            return list(args.lengths)  # the network knows how wide its last layer is
        width = settings.recipe.head.hidden or width
    able = []
    for n_bits in args.lengths:
        try:
            baselines.check(made, n_bits, width, labels.shape[1], of_pixels=of_pixels)
            able.append(n_bits)
        except ValueError as error:
            print(f"left out: {error}")
    return able


def run(args: Args) -> dict[str, Any]:
    """All rows, the trials behind them, and differences to ours; what is done is found in its files."""
    setup = args.setup
    whole = setup.splits
    stored_trials(args)
    if args.n_unseen > (most := len(whole.class_names) - unseen.LEAST_SEEN):
        raise ValueError(
            f"n_unseen is {args.n_unseen} of {len(whole.class_names)} classes; give at most {max(0, most)}"
        )
    every = {seed: Data.of(args, whole, {}, seed) for seed in args.seeds}  # all draws, before the first takes hours
    inputs = inputs_of(setup)
    every = {seed: replace(data, inputs=inputs) for seed, data in every.items()}
    lengths = {name: fits_of(args, name, every[args.seeds[0]]) for name in args.names}
    names = [name for name in args.names if lengths[name]]
    if not args.alone:
        _fit_in_workers(args, [(args.seeds[0], name) for name in names if not args.trials], "trials")
    settings, trials = best_settings(args, every[args.seeds[0]], names)
    if not args.alone:
        fits = itertools.product(args.seeds, names)
        _fit_in_workers(args, [(*fit, settings[fit[1]], k) for fit in fits for k in lengths[fit[1]]], "fits")
    rows, precisions = [], {}
    with tqdm(total=len(args.seeds) * len(names), desc="rivals", unit="method") as bar:
        for seed, data in every.items():
            found = references(data)
            rows += _as_rows(found, seed, "", precisions)
            for name in names:
                bar.set_postfix_str(f"{name}, seed {seed}")
                for code_length in lengths[name]:
                    found = measured(data, name, settings[name], code_length)
                    rows += _as_rows(found, seed, name, precisions)
                bar.update()
    data = {"data": provenance.data_digest(whole), "settings_of_methods": settings, "trials": trials}
    return data | {"rows": rows, "differences": differences(precisions, args)}


def _fit_in_workers(args: Args, jobs: Sequence[tuple], what: str) -> None:
    """Leave fits in their files, where `run` finds them; frozen trunks' features lie there already."""
    plain = replace(args)  # without what it has loaded
    with tqdm(total=len(jobs), desc=what, unit="fit") as bar:
        for _ in in_workers(_leave_fit, jobs, args, start=_ready, initial=(*home(), plain)):
            bar.update()


def _ready(place: str, args: Args) -> Args:
    """What a worker needs for its fits."""
    share_home(place)
    return args


def _leave_fit(args: Args, seed: int, name: str, settings: Mapping[str, Any] | None = None, bits: int = 0) -> None:
    """A worker's job: all trials of a method, or its fit of a code length with settings."""
    data = _data_of(args, seed)
    if settings is None:
        deque(tried(data, name), maxlen=0)
    else:
        measured(data, name, settings, bits)


@lru_cache(maxsize=1)
def _data_of(args: Args, seed: int) -> Data:
    """Those of a seed; a worker holds one at a time."""
    return Data.of(args, args.setup.splits, inputs_of(args.setup), seed)


def _as_rows(found: Mapping[str, np.ndarray], seed: int, name: str, precisions: dict) -> Iterator[dict]:
    """A row for each kind and length; adds the queries' average precision to `precisions`."""
    about = {key: float(found[key]) for key in ("cpu_seconds", "accuracy") if key in found}
    for key, each in found.items():
        if key in about or key.startswith("paid/"):
            continue
        kind, _, bits = key.rpartition("/")
        means = dict(zip(metrics.TIES, np.nanmean(each, axis=1).tolist(), strict=True))
        row = {"method": name or kind, "kind": kind if name else "reference", "bits": int(bits), "seed": seed}
        precisions[row["method"], row["kind"], row["bits"], seed] = each[0]
        row |= {"map": means["expected"], **{ties: means[ties] for ties in metrics.TIES[1:]}} | about
        paid = found.get(f"paid/{key}")
        yield row if paid is None else row | {"reward": float(paid)}


def say_plan(args: Args) -> None:
    """Print how many fits are missing, and about how many CPU hours their training takes."""
    data = Data.of(args, args.setup.splits, {part: np.zeros((2, 1)) for part in PARTS}, args.seeds[0])
    epochs, head = data.training.resolved(echo=lambda _: None).epochs, args.setup.settings.recipe.head
    n = len(data.rows["train"]) - len(data.held)
    total, hours = 0, 0.0
    for name in args.names:
        files = [f"{name}-k{k}-s{seed}" for k, seed in itertools.product(args.lengths, args.seeds)]
        files += [] if args.trials else [f"{name}-trial{number}" for number in range(len(grid(name)))]
        missing = sum(not (_folder(data) / f"{file}.npz").exists() for file in files)
        total += missing
        if head is not None and missing and not baselines.method(name).OF_PICTURES:
            hours += missing * epochs * n * _seconds_a_row(name, args) / 3600
    took = "of whole networks" if head is None else f"to {n:,} rows, about {hours:.1f} CPU hours"
    print(f"missing: {total} fits {took}")


def _seconds_a_row(name: str, args: Args) -> float:
    """Of one epoch, measured here and now on random features and labels."""
    rng, n = np.random.default_rng(0), 400
    features, labels = rng.standard_normal((n, 64), dtype=np.float32), np.arange(n) % 10
    start = time.process_time()
    baselines.fit(name, features, labels, args.trial_length, training=Settings(arch=FEATURES, epochs=1))
    return (time.process_time() - start) / n


def make_table(args: Args, *, shown: Args | None = None) -> dict[str, Any]:
    """Measure, and write the JSON; `shown` are the arguments as it should say them, None for `args`."""
    artifacts.check_writable(args.path, artifacts.replaces_json("rows", "command"))
    record = provenance.made_by("rivals", shown or args) | run(args)
    with artifacts.locked(args.path):
        artifacts.save_json(args.path, record)
    return record


def main(args: Args) -> None:
    """Measure from the shell; every fit is kept as it is done."""
    if args.plan:
        say_plan(args)
        return
    print("\n".join(markdown(make_table(args))))
    print(f"saved {artifacts.shown(args.path)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
