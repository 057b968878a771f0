"""Which rows should pay for a choice of bits, and what should a last layer be fitted to? Asked of training rows alone.

Some training pictures are set aside to judge: each of them is a query against the others. Encoders are fitted to the
rest, greedy search chooses bits, and the judges say how well they retrieve. No query or database picture is touched,
so that what is learned here may be used there.

| fit    | last layer                                       | who pays                                                |
|--------|--------------------------------------------------|---------------------------------------------------------|
| labels | an output a class (`encoder.heads.LabelHead`)    | in sample, one view, three views                        |
| bits   | stage 1's k target codes, as the thesis has it   | the same                                                |
| both   | both on one trunk, the two losses added          | the same, for what its classes say and what its bits do |
| held n | labels, without n rows                           | those n rows                                            |
| folds  | labels, twice on one half                        | the other half of each, for the encoder "labels"        |

A *view* is an augmented copy of a training picture, coded by the encoder that was fitted to such copies.

    python -m hashlib_nb reward_rows --root CIFAR10        # see --help
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import tyro
from tqdm.auto import tqdm

from hashlib_nb import artifacts, candidates, checks, codes, datasets, hamming, selectors, thermometer
from hashlib_nb.candidates import Options
from hashlib_nb.encoder import (
    Encoder,
    Settings,
    Setup,
    bit_cross_entropy,
    class_cross_entropy,
    cross_fit,
    fit,
    smoothed,
    view_of,
)
from hashlib_nb.experiments import plan
from hashlib_nb.experiments.provenance import earlier, made_by
from hashlib_nb.experiments.result_tables import markdown_table, plus_minus
from hashlib_nb.selection import Reward
from hashlib_nb.thermometer import ClassCodes

FOLDS = 2
"""Encoders of the fit "folds"."""
VIEWS = (1, 3)
"""How many views of each training picture pay."""
KINDS = {"thermometer": {"decided": False}, "decided": {}}
"""Whether queries are decided."""


@dataclass(frozen=True)
class Args:
    """Compare which rows pay for a choice of bits, and last layers, on training pictures alone."""

    dataset: str = "cifar10"
    """a name in hashlib_nb.datasets, whose pictures have one label each"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    options: tuple[str, ...] = ()
    """what the dataset takes beyond root, as name=value"""
    code_length: int = 64
    """k"""
    lengths: tuple[int, ...] = (8, 16, 32, 64)
    """each p: how many bits are kept"""
    seeds: tuple[int, ...] = (0,)
    """of the judges, target codes and encoders"""
    judges: int = 1000
    """training pictures that are set aside"""
    held_out: tuple[int, ...] = (500, 1000)
    """of the others, how many pay without being trained on; each number is a fit of its own"""
    out: Path | None = None
    """JSON to write, also after each fit; by default runs/reward_rows.json. The same command goes on from it"""
    plan: bool = False
    """say what is missing and about how long that would take, and make nothing"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings(
        arch="efficientnet_lite0", size=96, epochs=6, recipe="tuned"
    )

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        checks.fields(self, checks.count, "code_length", most=hamming.MAX_BITS)
        checks.fields(self, checks.count, "judges", least=2)
        checks.fields(self, checks.counts, "lengths", distinct=True, most=self.code_length)
        checks.fields(self, checks.counts, "held_out", distinct=True, least=2)
        checks.fields(self, checks.seeds, "seeds")
        recipe = self.settings.resolved(echo=lambda _: None).recipe
        if not recipe.views:
            raise ValueError("recipe makes no views of training pictures to compare with: take tuned")

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        return self.out or artifacts.project_root() / "runs" / "reward_rows.json"

    @property
    def fits(self) -> tuple[str, ...]:
        """What is fitted for each seed, in order."""
        return ("labels", "bits", "both", *(f"held {n}" for n in self.held_out), "folds")


@dataclass(frozen=True, eq=False)
class Rows:
    """Training pictures of one seed, in two parts, with target codes that the judges had no part in."""

    images: np.ndarray
    """uint8 [n, h, w, c], to fit to."""
    labels: np.ndarray
    """uint8 {0,1} [n, m]."""
    targets: np.ndarray
    """uint8 {0,1} [n, k]."""
    judge_images: np.ndarray
    """uint8 [judges, h, w, c]."""
    judge_labels: np.ndarray
    """uint8 {0,1} [judges, m]."""

    @classmethod
    def of(cls, args: Args, train: datasets.Split, seed: int) -> Rows:
        """Draw the judges, and infer target codes of the others."""
        order = np.random.default_rng(seed).permutation(len(train))
        judges, rest = np.sort(order[: args.judges]), np.sort(order[args.judges :])
        labels = train.labels[rest]
        targets = codes.infer_codes(labels, args.code_length, seed=seed).codes
        return cls(train.images[rest], labels, targets, train.images[judges], train.labels[judges])


Said = tuple[np.ndarray, np.ndarray]
"""Last-layer outputs float32 [n, outputs] of rows that pay, and their labels [n, m]."""


def both_cross_entropies(n_labels: int, smoothing: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The loss of labels, the first outputs, and the mean over bits of that of the others, summed over pictures."""

    def both(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        labels = smoothed(targets[:, :n_labels], smoothing, class_cross_entropy)
        bits = smoothed(targets[:, n_labels:], smoothing, bit_cross_entropy)
        of_bits = bit_cross_entropy(logits[:, n_labels:], bits) / bits.shape[1]
        return class_cross_entropy(logits[:, :n_labels], labels) + of_bits

    return both


def fitted(args: Args, rows: Rows, name: str, seed: int) -> Iterator[tuple[str, str, np.ndarray, Said]]:
    """What a fit gives: a last layer, who pays, the judges' outputs of that layer, and what those that pay said."""
    settings = args.settings.resolved(echo=lambda _: None)
    place = artifacts.project_root() / "artifacts" / "reward_rows" / artifacts.digest_of_text(f"{args} {seed}")
    run = {"checkpoint": place / f"{name.replace(' ', '')}.pt", "seed": seed}
    if name == "folds":
        encoder = fit(
            rows.images, rows.labels, settings, loss=class_cross_entropy, **run | {"checkpoint": place / "labels.pt"}
        )
        how = {"folds": FOLDS, "loss": class_cross_entropy, "checkpoint": place / "folds", "seed": seed}
        said, *_ = cross_fit(rows.images, rows.labels, settings, **how)
        yield "labels", "two folds", encoder.last_layer(rows.judge_images), (said, rows.labels)
        return
    if name.startswith("held"):
        number = int(name.split()[1])
        held, kept = np.split(np.random.default_rng([seed, number]).permutation(len(rows.labels)), [number])
        encoder = fit(rows.images[kept], rows.labels[kept], settings, loss=class_cross_entropy, **run)
        said = encoder.last_layer(rows.images[held])
        yield "labels", f"{number:,} held out", encoder.last_layer(rows.judge_images), (said, rows.labels[held])
        return
    n_labels = rows.labels.shape[1]
    if name == "both":
        loss = both_cross_entropies(n_labels, settings.recipe.label_smoothing)
        plain = replace(settings, recipe=replace(settings.recipe, label_smoothing=0.0))
        encoder = fit(rows.images, np.hstack([rows.labels, rows.targets]), plain, loss=loss, **run)
        layers = {"labels of both": slice(None, n_labels), "bits of both": slice(n_labels, None)}
    else:
        fitted_to, loss = (rows.labels, class_cross_entropy) if name == "labels" else (rows.targets, bit_cross_entropy)
        encoder = fit(rows.images, fitted_to, settings, loss=loss, **run)
        layers = {name: slice(None)}
    judged = encoder.last_layer(rows.judge_images)
    for payers, (said, labels) in paying(encoder, settings, rows, seed):
        for layer, columns in layers.items():
            yield layer, payers, judged[:, columns], (said[:, columns], labels)


def paying(encoder: Encoder, settings: Settings, rows: Rows, seed: int) -> Iterator[tuple[str, Said]]:
    """In-sample outputs, and those of views, of all pictures that an encoder was fitted to."""
    yield "in sample", (encoder.last_layer(rows.images), rows.labels)
    views = [view_of(encoder, settings.recipe, rows.images, seed=seed + number) for number in range(max(VIEWS))]
    for number in VIEWS:
        name = "one view" if number == 1 else f"{number} views"
        yield name, (np.concatenate(views[:number]), np.tile(rows.labels, (number, 1)))


def answers(layer: str, rows: Rows, said: np.ndarray, judged: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Logits float32 [n, k] of the k bits: a label layer's answers, or a bit layer's outputs themselves."""
    if layer.startswith("bits"):
        return [said, judged]
    sides = ClassCodes.of(rows.targets, rows.labels).codes
    classes = ClassCodes.of(labels, labels, said)
    return [thermometer.logits_of(thermometer.posteriors(each, classes), sides) for each in (said, judged)]


def judged_rows(args: Args, rows: Rows, layer: str, judged: np.ndarray, paid: Said, seed: int) -> Iterator[dict]:
    """Reward, and mAP of the judges, of the candidates that greedy keeps."""
    said, labels = paid
    logits, judge_logits = answers(layer, rows, said, judged, labels)
    classes = ClassCodes.of(rows.targets, rows.labels)
    of_each = {label.tobytes(): code for label, code in zip(classes.label_sets, classes.codes, strict=True)}
    targets = np.stack([of_each[label.tobytes()] for label in labels])
    classes = ClassCodes.of(targets, labels, logits)
    true = rows.judge_labels.argmax(axis=1)
    decided = classes.label_sets.argmax(axis=1)[thermometer.decided_classes(judge_logits, classes)]
    arrays = classes.arrays() | {"train_labels": labels, "fold": np.zeros(len(labels), np.int64)}
    for part, each in {"out_of_fold": logits, "train": logits, "query": judge_logits, "database": judge_logits}.items():
        arrays |= {f"{part}_logits": each, f"{part}_codes": thermometer.bits(each, thermometer.HALF)}
    arrays |= {"query_labels": rows.judge_labels, "database_labels": rows.judge_labels}
    for kind, changes in KINDS.items():
        pool = candidates.of_arrays(arrays, Options(**changes))
        reward = pool.reward(seed=seed)
        lengths = [n_bits for n_bits in args.lengths if n_bits <= pool.k]
        found = selectors.select(None, None, max(lengths), method="greedy", reward=reward, seed=seed)
        query_codes, database_codes = pool.test_codes(pool.searched)
        judge = Reward(database_codes, rows.judge_labels, query_codes=query_codes, n_queries=len(true))
        for n_bits in lengths:
            kept = found.bits[:n_bits]
            about = {"kind": kind, "bits": n_bits, "candidates": pool.k, "accuracy": float((decided == true).mean())}
            yield about | {"reward": reward.of_bits(kept), "map": judge.of_bits(kept)}


def make_rows(args: Args, rows: list[dict], done: Callable[[], None] = lambda: None) -> None:
    """Add to `rows` those of every seed and fit that are not among them; `done` is called after each fit."""
    options = dict(datasets.typed_options(args.dataset, args.options))
    train = datasets.load(args.dataset, root=args.root, **options).train
    check(args, train)
    for seed, name in tqdm(missing(args, rows), desc="reward rows", unit="fit"):
        drawn = Rows.of(args, train, seed)
        for layer, payers, judged, paid in fitted(args, drawn, name, seed):
            about = {"seed": seed, "fit": name, "layer": layer, "payers": payers, "rows": len(paid[1])}
            rows += [about | row for row in judged_rows(args, drawn, layer, judged, paid, seed)]
        done()


def missing(args: Args, rows: list[dict]) -> list[tuple[int, str]]:
    """Seed and name of each fit that no row is of yet."""
    there = {(row["seed"], row["fit"]) for row in rows}
    return [(seed, name) for seed in args.seeds for name in args.fits if (seed, name) not in there]


def fitted_pictures(args: Args, name: str, n: int) -> list[int]:
    """How many pictures each training of a fit sees in an epoch, where n are not judges."""
    if name == "folds":
        return plan.fold_sizes(n, FOLDS)
    return [n - int(name.split()[1]) if name.startswith("held") else n]


def say_plan(args: Args, rows: list[dict]) -> None:
    """Print how many trainings are missing, and about how many CPU hours they take."""
    setup = Setup(args.dataset, args.root, args.options, settings=args.settings)
    splits, wanted = setup.splits, missing(args, rows)
    check(args, splits.train)
    n, settings = len(splits.train) - args.judges, setup.settings
    seen = [count for _, name in wanted for count in fitted_pictures(args, name, n)]
    speed = plan.measure(setup, splits)
    steps = sum(settings.epochs * (count // settings.recipe.batch_size) for count in seen)
    encoded = len(wanted) * (args.judges + (1 + max(VIEWS)) * n)
    hours = (steps * speed.step + encoded * speed.picture) / 3600
    print(
        f"missing: {len(seen)} trainings, {steps:,} steps, {encoded:,} encodings at most: about {hours:.1f} CPU hours"
    )


def check(args: Args, train: datasets.Split) -> None:
    """Raise ValueError where pictures have several labels, or too few are left to fit to."""
    if (train.labels.sum(axis=1) != 1).any():
        raise ValueError(
            f"dataset is {args.dataset!r}, whose pictures have several labels; take one with one label each"
        )
    if len(train) < args.judges + max(args.held_out, default=0) + 2:
        raise ValueError(
            f"judges is {args.judges} and held_out up to {max(args.held_out, default=0)} of {len(train)} training "
            "pictures; leave some to fit to"
        )


def summarize(rows: list[dict]) -> pd.DataFrame:
    """Means over seeds, and standard deviations, a line for each last layer, who paid, and code length."""
    keys = ["layer", "payers", "rows", "kind", "bits"]
    grouped = pd.DataFrame(rows).groupby(keys, sort=False)
    measures = ["map", "reward", "accuracy"]
    return grouped[measures].mean().join(grouped[["map", "reward"]].std().add_suffix("_sd")).reset_index()


def markdown(record: dict) -> list[str]:
    """A stored record as lines of markdown: mAP of the judges by last layer and who paid, and the class' accuracy."""
    found, about = summarize(record["rows"]), record["args"]
    decided = found[found["kind"] == "decided"]
    columns = ("last layer", "who pays", *(f"{bits} bits" for bits in about["lengths"]), "accuracy")
    lines = []
    for (layer, payers, rows), part in decided.groupby(["layer", "payers", "rows"], sort=False):
        by_bits = part.set_index("bits")
        cells = [plus_minus(by_bits.loc[bits, "map"], by_bits.loc[bits, "map_sd"]) for bits in about["lengths"]]
        lines.append([layer, f"{payers}, {rows:,} rows", *cells, f"{part['accuracy'].mean():.3f}"])
    seeds = ", ".join(map(str, about["seeds"]))
    return [
        f"**{about['dataset']}; {about['arch']} at {about['size']} px, {about['epochs']} epochs.** "
        f"{about['judges']:,} training pictures judge, each a query against the others; decided queries, greedy's "
        f"choice; {'seeds' if len(about['seeds']) > 1 else 'seed'} {seeds}.",
        "",
        *markdown_table(columns, lines),
    ]


def make_record(args: Args, *, shown: Args | None = None) -> dict[str, Any]:
    """Compare, and write the JSON after each fit; `shown` are the arguments as it should say them, None for `args`."""
    artifacts.check_writable(args.path, artifacts.replaces_json("rows", "command"))
    record = earlier(args.path, args)
    rows = [] if record is None else record["rows"]
    if rows:
        print(f"{len(rows)} rows are in {artifacts.shown(args.path)}")
    record = made_by("reward_rows", shown or args) | {"rows": rows}

    def save() -> None:
        with artifacts.locked(args.path):
            artifacts.save_json(args.path, record)

    make_rows(args, rows, save)
    return record


def main(args: Args) -> None:
    """Compare from the shell; what the fits that are done have found is saved after each."""
    if args.plan:
        artifacts.check_writable(args.path, artifacts.replaces_json("rows", "command"))
        found = earlier(args.path, args)
        say_plan(args, [] if found is None else found["rows"])
        return
    print(summarize(make_record(args)["rows"]).round(4).to_string(index=False))
    print(f"saved {artifacts.shown(args.path)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
