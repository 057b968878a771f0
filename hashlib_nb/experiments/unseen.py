"""Retrieval of classes that nobody trained on: what a code says beyond the names of the classes it was fitted to.

With classes seen in training, retrieval is close to classification, and a decided query is a classifier's word. The
antidote of Sablayrolles et al. ("How should we evaluate supervised hashing?", 2016, arXiv 1609.06753): draw some
classes, fit to training pictures that show none of them, search with the query pictures that do among the database
pictures that do, and let these classes alone make two pictures relevant to each other. Queries keep their own codes,
since there is no class to decide for, and a choice of bits is paid on out-of-fold codes of the other classes.

| row                      | what it ranks by                                                                        |
|--------------------------|-----------------------------------------------------------------------------------------|
| all bits                 | all k outputs at one half                                                               |
| thermometer all bits     | all thermometer bits that differ on the rows that pay                                     |
| PPO, greedy, random      | p of the k outputs at one half; *random* is `subsets` draws                               |
| thermometer PPO and so on| p of the thermometer bits                                                               |
| random codes             | p coin flips for each picture: chance                                                   |
| LSH of features          | p random hyperplanes through the mean training picture, in what the network started from  |
| cosine of features       | no code: the cosine of what the network started from, which no label has touched          |
| cosine of logits         | no code: the cosine of the k outputs                                                    |

What a network with a frozen trunk starts from are the trunk's features. Another one's weights have all been fitted, so
its untouched rows rank by pixels, and are named after them. Each row is measured twice: on the classes that were left
out (`map`), and, of the same codes, on the query and database pictures of the others (`map_seen`). Rows that choose as
many bits as there are to choose from, or more, are left out.

    python -m hashlib_nb unseen --seeds 0 --lengths 16        # see --help
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from tqdm.auto import tqdm

from hashlib_nb import (
    artifacts,
    baselines,
    candidates,
    checks,
    codes,
    encoder,
    hamming,
    metrics,
    ppo,
    selection,
    selectors,
    thermometer,
)  # fmt: skip
from hashlib_nb.candidates import THESIS, Candidates, Options
from hashlib_nb.datasets import PARTS, Split, Splits
from hashlib_nb.encoder import Settings, Setup
from hashlib_nb.experiments import provenance, results
from hashlib_nb.experiments.unseen_tables import FIXED, SIDES, markdown, summarize  # noqa: F401 (handed on)
from hashlib_nb.hamming import check_labels
from hashlib_nb.thermometer import HALF

KINDS = {"": THESIS, "thermometer ": Options(decided=False)}
"""What there is to choose from, by the word that begins a row's name; queries are symmetric."""
LEAST_SEEN = 2
"""Classes that must be left to fit to: of one alone there is nothing to tell apart."""


@dataclass(frozen=True)
class Args:
    """Measure retrieval of classes that nobody trained on. Each draw is saved as it is done; a killed run goes on."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    n_unseen: int = 3
    """how many classes are left out of the training pictures; at least two must stay"""
    code_length: int = 64
    """k, outputs of the encoder"""
    lengths: tuple[int, ...] = (16, 64)
    """each p, how many bits are kept, within 1..k"""
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    """one draw of classes each, and the seed of all that follows from it; the split of the pictures stays the same"""
    total_episodes: int = 2048
    """subsets that PPO tries"""
    subsets: int = 20
    """random subsets a seed and length"""
    out: Path | None = None
    """JSON to write, also after each seed; by default runs/unseen.json. A file that is no such table is not replaced"""
    options: tuple[str, ...] = ()
    """what the dataset takes beyond root, as name=value"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings()

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        checks.fields(self, checks.count, "code_length", most=hamming.MAX_BITS)
        checks.fields(self, checks.count, "n_unseen")
        checks.fields(self, checks.count, "subsets", most=results.MAX_SUBSETS)
        checks.fields(self, checks.count, "total_episodes", most=4 * selection.MOST)
        checks.fields(self, checks.counts, "lengths", distinct=True, most=self.code_length)
        checks.fields(self, checks.seeds, "seeds")
        for n_bits in self.lengths:
            ppo.Args(n_bits=n_bits, total_episodes=self.total_episodes)

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        return self.out or artifacts.project_root() / "runs" / "unseen.json"

    def setup(self, seed: int) -> Setup:
        """The key of a run to all classes, beside whose folder the draw's lies."""
        return Setup(
            self.dataset,
            self.root,
            self.options,
            code_length=self.code_length,
            seed=seed,
            settings=self.settings,
        )


def drawn_classes(n_classes: int, n_unseen: int, seed: int) -> np.ndarray:
    """Columns int64 [n_unseen], ascending, of the classes that a seed leaves out.

    Raises:
        ValueError: fewer than two classes would be left, or numbers that are none.
    """
    n_classes = checks.count(n_classes, "n_classes", least=LEAST_SEEN + 1)
    most = n_classes - LEAST_SEEN
    n_unseen = checks.count(n_unseen, "n_unseen", most=most, why=f"of {n_classes} classes at least {LEAST_SEEN} stay")
    return np.sort(np.random.default_rng(checks.seed(seed)).permutation(n_classes)[:n_unseen])


def kept_rows(splits: Splits, classes: Sequence[int] | np.ndarray, *, seen: bool = False) -> dict[str, np.ndarray]:
    """Rows int64 of each part that `unseen_splits` takes; arguments as there."""
    shows = {part: getattr(splits, part).labels[:, classes].any(axis=1) for part in PARTS}
    return {part: np.flatnonzero(~has if seen or part == "train" else has) for part, has in shows.items()}


def unseen_splits(splits: Splits, classes: Sequence[int] | np.ndarray, *, seen: bool = False) -> Splits:
    """A data set in which some classes are left out of training, and searched for.

    Args:
        splits: the whole data set.
        classes: columns of the classes that are left out.
        seen: take the other query and database pictures, those that show none of these classes.

    Returns:
        Training pictures without a label of `classes`. Query and database pictures with at least one, whose other
        labels are 0, so that these classes alone make pictures relevant. The columns of the labels stay as they are.

    Raises:
        ValueError: columns that are not there, or pictures that do not suffice to fit or to search: no training
            pictures that differ in their labels, or no query picture for which anything is relevant.
    """
    classes = checks.counts(classes, "classes", least=0, most=len(splits.class_names) - 1, distinct=True)
    rows, chosen = kept_rows(splits, classes, seen=seen), np.zeros(len(splits.class_names), np.uint8)
    chosen[[*classes]] = 1
    _check_rows(splits, rows, chosen, seen)
    parts = {part: getattr(splits, part).take(rows[part]) for part in PARTS}
    for part in ("query", "database"):
        searched = parts[part].labels & (1 - chosen if seen else chosen)
        parts[part] = Split(parts[part].images, searched, parts[part].names)
    info = splits.info | {"sizes": {part: len(rows[part]) for part in PARTS}}
    info["training_in_database"] = seen and splits.info["training_in_database"]
    return Splits(**parts, class_names=splits.class_names, info=info)  # of no pool, whose labels are others


def _check_rows(splits: Splits, rows: Mapping[str, np.ndarray], chosen: np.ndarray, seen: bool) -> None:
    """Raise ValueError unless something can be fitted to a draw, and found."""
    names = ", ".join(name for name, is_out in zip(splits.class_names, chosen, strict=True) if is_out)
    labels = {part: getattr(splits, part).labels[rows[part]] for part in PARTS}
    if len(np.unique(labels["train"], axis=0)) < 2:
        raise ValueError(
            f"n_unseen: without {names} there are {len(rows['train']):,} training pictures, which show no two "
            "different things; leave out fewer classes"
        )
    both = labels["query"].any(axis=0) & labels["database"].any(axis=0)
    if not (both & (chosen != seen)).any():
        counts = f"{len(rows['query']):,} query and {len(rows['database']):,} database pictures"
        raise ValueError(
            f"n_unseen: with {names} left out there are {counts} of the {'other' if seen else 'same'} classes, and "
            "nothing to find among them; leave out another number of classes, or give more pictures"
        )


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of classes: who is fitted to, who is searched, and where the codes lie."""

    setup: Setup
    """The key of the same run to all classes."""
    whole: Splits
    """The data set with all classes."""
    classes: np.ndarray
    """int64, columns of the classes that are left out."""

    @property
    def folder(self) -> Path:
        """Beside the run's own, named after the columns that are left out."""
        columns = "-".join(map(str, self.classes))
        return self.setup.folder.with_name(f"{self.setup.folder.name}-without-{columns}")

    @cached_property
    def features(self) -> dict[str, np.ndarray] | None:
        """A frozen trunk's, of each part with all classes, float16 [n, d], of training pictures [n, views, d].

        Computed once for all draws, and shared with other tables of the data set. None where the trunk is trained too.
        """
        return self.setup.features(self.whole)

    def arrays(self) -> dict[str, np.ndarray]:
        """What stage 2 leaves in `codes.npz`, of an encoder that was fitted to the training pictures that are left.

        Query and database pictures are all of them, so that one encoding serves both sides.
        """
        setup, rows = self.setup, kept_rows(self.whole, self.classes)["train"]
        train, path = self.whole.train.take(rows), self.folder / "target_codes.npz"
        preset, run = codes.PRESETS[setup.target_codes], {"seed": setup.seed, "folds": setup.folds}
        targets = codes.load_or_infer(path, train.labels, setup.code_length, seed=setup.seed, **preset).codes
        if self.features is None or setup.settings.outputs == "labels":
            splits = replace(self.whole, train=train, rows=None, pool=None)
            return encoder.load_or_encode(self.folder, splits, targets, setup.settings, progress=False, **run).arrays
        read = dict(self.features) | {"train": self.features["train"][rows]}
        about = {"features": artifacts.digest(*read.values()), "targets": artifacts.digest(targets)} | run
        about |= {"arch": setup.settings.arch, "recipe": str(setup.settings.recipe)} | setup.settings.words()
        make = partial(_fit_to_features, read, targets, setup)
        made = artifacts.load_or_make(self.folder / "codes.npz", about, make, made_by="hashlib_nb.experiments.unseen")
        return made | {"train_labels": train.labels}

    def untouched(self) -> tuple[str, dict[str, np.ndarray]]:
        """What the network started from: "features" of a frozen trunk, or "pixels", float32 [n, d] of each part."""
        rows = kept_rows(self.whole, self.classes)["train"]
        if self.features is None:
            what, found = "pixels", {part: baselines.as_pixels(getattr(self.whole, part).images) for part in PARTS}
        else:
            what, found = "features", dict(self.features) | {"train": self.features["train"][:, 0]}
        found["train"] = found["train"][rows]
        return what, {part: np.asarray(values, np.float32) for part, values in found.items()}


def _fit_to_features(read: Mapping[str, np.ndarray], targets: np.ndarray, setup: Setup) -> dict[str, np.ndarray]:
    """Logits and codes of a head on a frozen trunk's features of query, train and database, as stage 2 names them."""
    run = {"seed": setup.seed, "progress": False}
    fitted = encoder.fit(read["train"], targets, setup.settings, **run)
    logits = {part: fitted.logits(read[part]) for part in PARTS}
    logits["out_of_fold"], fold, _ = encoder.cross_fit(read["train"], targets, setup.settings, folds=setup.folds, **run)
    arrays = {f"{part}_logits": values for part, values in logits.items()} | {"targets": targets, "fold": fold}
    return arrays | {f"{part}_codes": thermometer.bits(values, HALF) for part, values in logits.items()}


def cosine_precision(query, database, query_labels, database_labels) -> np.ndarray:
    """Average precision of ranking by the cosine of real vectors, ties at their expectation.

    Cosines are float64. Pictures of equal vectors tie, whatever a matrix product rounds them to: each different vector
    is scored once. Memory: one query against the database at a time.

    Args:
        query: [q, d], finite.
        database: [n, d]; a vector of zeros has a cosine of 0.
        query_labels: {0,1} [q, m]; relevant means that at least one label is shared. Or class numbers int [q].
        database_labels: {0,1} [n, m], or class numbers int [n].

    Returns:
        float64 [q]; NaN where the database holds no relevant item.

    Raises:
        ValueError: what is no matrix of finite numbers, or vectors and labels that do not fit together.
    """
    sides = [_vectors(query, "query"), _vectors(database, "database")]
    labels = [check_labels(query_labels, "query_labels"), check_labels(database_labels, "database_labels")]
    if sides[0].shape[1] != sides[1].shape[1] or labels[0].shape[1:] != labels[1].shape[1:]:
        raise ValueError("query and database differ in the length of vectors, or of rows of labels; give both the same")
    for name, side, label in zip(("query", "database"), sides, labels, strict=True):
        if len(side) != len(label):
            raise ValueError(
                f"{name}_labels has {len(label)} rows for {len(side)} vectors of {name}; give one row each"
            )
    number: dict[bytes, int] = {}
    place = np.array([number.setdefault(row.tobytes(), len(number)) for row in sides[1]])
    different = sides[1][np.unique(place, return_index=True)[1]]
    norms = np.maximum(np.linalg.norm(different, axis=1), np.finfo(float).tiny)
    scores = np.empty(len(sides[0]))
    for i, row in enumerate(sides[0]):
        levels = metrics.Levels.of((different @ row / norms)[place])
        hits = levels.hits(metrics.relevant(labels[0][i], labels[1]))
        scores[i] = metrics.average_precision_from_histograms(levels.counts[None], hits[None])[0]
    return scores


def _vectors(values, name: str) -> np.ndarray:
    """Vectors as float64 [n, d]; -0.0 is 0.0, so that equal ones have equal bytes."""
    found = checks.array(values, name, "a row of numbers for each picture")
    if found.ndim != 2 or not found.size or found.dtype.kind not in "iuf" or not np.isfinite(found).all():
        raise ValueError(f"{name} is {checks.shown(found)}; give a row of finite numbers for each picture")
    return found.astype(np.float64) + 0.0


@dataclass(frozen=True, eq=False)
class Side:
    """What one column of the table is measured on: query and database pictures of one kind of classes."""

    rows: Mapping[str, np.ndarray]
    """int64, of each part among all its pictures."""
    labels: tuple[np.ndarray, np.ndarray]
    """{0,1} [q, m] and [n, m], of query and database: of these classes alone."""

    @classmethod
    def of(cls, splits: Splits, classes: np.ndarray, *, seen: bool) -> Side:
        """The classes that are left out, or the others."""
        there = unseen_splits(splits, classes, seen=seen)
        return cls(kept_rows(splits, classes, seen=seen), (there.query.labels, there.database.labels))

    def of_codes(self, codes: Mapping[str, np.ndarray]) -> float:
        """mAP of codes of all query and database pictures, of which this side's are taken."""
        query, database = (codes[part][self.rows[part]] for part in ("query", "database"))
        return metrics.mean_average_precision(query, database, *self.labels)

    def of_vectors(self, vectors: Mapping[str, np.ndarray]) -> float:
        """mAP of ranking by the cosine of vectors of all query and database pictures."""
        query, database = (vectors[part][self.rows[part]] for part in ("query", "database"))
        return float(np.nanmean(cosine_precision(query, database, *self.labels)))

    def pool(self, made: Mapping[str, np.ndarray], options: Options) -> Candidates:
        """The candidates, to be tested on this side. What pays for a choice among them is the same on both."""
        arrays = dict(made)
        for part, labels in zip(("query", "database"), self.labels, strict=True):
            arrays |= {f"{part}_{what}": arrays[f"{part}_{what}"][self.rows[part]] for what in ("logits", "codes")}
            arrays[f"{part}_labels"] = labels
        return candidates.of_arrays(arrays, options)


def rows_of(args: Args, seed: int, whole: Splits) -> Iterator[dict]:
    """Every row of one draw; `whole` is the data set, loaded once for all of them."""
    draw = Draw(args.setup(seed), whole, drawn_classes(len(whole.class_names), args.n_unseen, seed))
    sides = {column: Side.of(whole, draw.classes, seen=seen) for column, seen in SIDES.items()}
    made = draw.arrays()
    about = {"seed": seed, "classes": [whole.class_names[column] for column in draw.classes]}
    about["n_train"] = len(made["train_labels"])
    for column, side in sides.items():
        about |= {f"n_{part}{column.removeprefix('map')}": len(side.rows[part]) for part in ("query", "database")}
    for row in (*_choices(args, made, sides, draw.setup), *_references(args, draw, made, sides)):
        yield about | row


def _choices(args: Args, made: Mapping[str, np.ndarray], sides: Mapping[str, Side], setup: Setup) -> Iterator[dict]:
    """Rows of codes whose bits are chosen, and of all that there are to choose from."""
    seed = setup.seed
    for word, options in KINDS.items():
        options = replace(options, reward_codes=setup.reward_codes)
        pools = {column: side.pool(made, options) for column, side in sides.items()}
        pool = pools["map"]
        reward = pool.reward(seed=seed)
        yield _tested(f"{word}all bits", pools, pool.searched)
        for n_bits in (length for length in args.lengths if length < pool.k):
            asked = ppo.Args(n_bits=n_bits, total_episodes=args.total_episodes, seed=seed, progress=False)
            found = pool.named(ppo.train(asked, reward=reward))
            yield _tested(f"{word}PPO", pools, found.bits, found)
            found = pool.named(selectors.select(None, None, n_bits, method="greedy", reward=reward, seed=seed))
            yield _tested(f"{word}greedy", pools, found.bits, found)
            for number, mask in enumerate(selection.random_masks(pool.k, n_bits, args.subsets, seed)):
                yield _tested(f"{word}random", pools, pool.searched[mask == 1], draw=number)


def _tested(
    method: str,
    pools: Mapping[str, Candidates],
    bits: np.ndarray,
    found: selection.Selection | None = None,
    draw: int = 0,
) -> dict:
    """The row of some candidates, on each side."""
    about = {"method": method, "bits": len(bits), "draw": draw}
    about |= {"reward": found and found.reward, "calls": found and found.calls}
    return about | {column: pool.test_map(bits) for column, pool in pools.items()}


def _references(args: Args, draw: Draw, made: Mapping[str, np.ndarray], sides: Mapping[str, Side]) -> Iterator[dict]:
    """Rows of codes that learn nothing, and of rankings without a code."""
    what, vectors = draw.untouched()
    seed, sizes = draw.setup.seed, (len(vectors["query"]), len(vectors["database"]))
    about = {"draw": 0, "reward": None, "calls": None}
    for n_bits in args.lengths:
        coins = np.split(baselines.random_codes(sum(sizes), n_bits, seed), sizes[:1])
        coins = dict(zip(("query", "database"), coins, strict=True))
        lsh = baselines.fit("lsh", vectors["train"], made["train_labels"], n_bits, seed=seed)
        sides_of = {part: lsh.encode(vectors[part]) for part in ("query", "database")}
        for method, each in {"random codes": coins, f"LSH of {what}": sides_of}.items():
            scores = {column: side.of_codes(each) for column, side in sides.items()}
            yield {"method": method, "bits": n_bits} | about | scores
    logits = {part: made[f"{part}_logits"] for part in ("query", "database")}
    for method, each in {f"cosine of {what}": vectors, "cosine of logits": logits}.items():
        scores = {column: side.of_vectors(each) for column, side in sides.items()}
        yield {"method": method, "bits": 0} | about | scores


def finished(args: Args, data: str) -> list[dict]:
    """Rows of the asked seeds that an earlier run, perhaps one that was killed, has left at `args.path`.

    Args:
        args: of this run.
        data: `provenance.data_digest` of its data set.
    """
    record = provenance.earlier(args.path, args, but=("seeds",))
    if record is None:
        return []
    if record.get("data") != data:
        print(f"{artifacts.shown(args.path)} was made of other pictures or labels; making it anew")
        return []
    rows = [row for row in record["rows"] if row["seed"] in args.seeds]
    for seed in dict.fromkeys(row["seed"] for row in rows):
        print(f"seed {seed}: loaded from {artifacts.shown(args.path)}")
    return rows


def save(args: Args, data: str, rows: list[dict]) -> None:
    """Write the JSON: command, settings, versions, the data's content, and every row."""
    with artifacts.locked(args.path):
        artifacts.save_json(args.path, provenance.made_by("unseen", args) | {"data": data, "rows": rows})


def main(args: Args) -> None:
    """Measure from the shell; what the seeds that are done have found is saved after each.

    Raises:
        ValueError: a draw of the classes that leaves too little to fit or to search, before the first is made.
    """
    artifacts.check_writable(args.path, artifacts.replaces_json("rows", "command"))
    splits = args.setup(args.seeds[0]).splits
    for seed, seen in itertools.product(args.seeds, SIDES.values()):
        unseen_splits(splits, drawn_classes(len(splits.class_names), args.n_unseen, seed), seen=seen)
    data = provenance.data_digest(splits)
    rows = finished(args, data)
    for seed in args.seeds:
        if seed not in {row["seed"] for row in rows}:
            rows += tqdm(rows_of(args, seed, splits), desc=f"seed {seed}", unit="row")
            save(args, data, rows)
    print(summarize(rows).round(4).to_string(index=False))
    print(f"saved {artifacts.shown(args.path)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
