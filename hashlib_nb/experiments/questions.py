"""What should a bit ask? Dichotomies, levels, code lengths and the rows that pay, each changed alone.

Every choice of bits is greedy forward selection on out-of-fold codes, so that what changes is the question alone. It
keeps one bit after another, so one search has the choice for every smaller p as well.

| study       | what changes                                                                                   |
|-------------|------------------------------------------------------------------------------------------------|
| dichotomies | of the classes: stage 1's, random halves, or one against the rest; at fixed levels or quantiles |
| direct      | an encoder trained for p bits: its outputs at one half, and the best p of its thermometer bits  |
| rows        | how many training pictures pay for the choice, drawn `draws` times                              |
| references  | rows to compare with: the oracle, the class index, chance, the two ceilings                     |

Halves and one against the rest are asked of the class posteriors of stage 1's outputs (`thermometer.logits_of`), so
nothing is fitted anew. The class of a decided query always comes from all of stage 1's outputs.

    python -m hashlib_nb questions --seeds 0 --lengths 8 16        # see --help
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro
from tqdm.auto import tqdm

from hashlib_nb import artifacts, candidates, checks, datasets, hamming, metrics, selectors, thermometer
from hashlib_nb.baselines import random_codes
from hashlib_nb.candidates import Candidates, Options
from hashlib_nb.encoder import ImageCodes, Settings, Setup
from hashlib_nb.experiments import plan, result_codes, results
from hashlib_nb.experiments.provenance import made_by
from hashlib_nb.selection import MOST
from hashlib_nb.thermometer import HALF, ClassCodes

DICHOTOMIES = ("stage 1", "halves", "one against the rest")
"""Which sides the classes are on, output by output, where a picture has one label."""
OF_SEVERAL = ("stage 1", "label unions")
"""The same where pictures have several, so that a class is a label set."""
KINDS = {"one half": {"levels": HALF, "decided": False}, "thermometer": {"decided": False}, "decided": {}}
"""What is asked of each output, and whether queries are decided."""


@dataclass(frozen=True)
class Args:
    """Measure what candidate bits should ask, and how many rows a choice among them needs. What is made is kept."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    code_length: int = 64
    """k, outputs of the encoder"""
    lengths: tuple[int, ...] = (4, 8, 12, 16, 24, 32, 48, 64)
    """each p, how many bits are kept, within 1..k"""
    seeds: tuple[int, ...] = (0, 1, 2)
    """one experiment each, from the target codes on"""
    rows: tuple[int, ...] = (100, 250, 500, 1000, 1500)
    """how many rows pay, for the study of rows; those beyond what there are count as all"""
    rows_bits: int = 16
    """p of that study"""
    draws: int = 4
    """times that rows are drawn"""
    direct: bool = True
    """train encoders for each length as well (most of the time)"""
    out: Path | None = None
    """JSON to write, also after each seed; by default runs/questions.json. A file that is no such table is not
    replaced"""
    options: tuple[str, ...] = ()
    """what the dataset takes beyond root, as name=value"""
    plan: bool = False
    """say what is missing and about how long that would take, and make nothing"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings()

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        checks.fields(self, checks.count, "code_length", "rows_bits", most=hamming.MAX_BITS)
        checks.fields(self, checks.count, "draws", most=checks.ROUNDS)
        checks.fields(self, checks.counts, "lengths", distinct=True, most=self.code_length)
        checks.fields(self, checks.counts, "rows", distinct=True, least=2, most=MOST)
        checks.fields(self, checks.seeds, "seeds")

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        return self.out or artifacts.project_root() / "runs" / "questions.json"

    def setup(self, seed: int, code_length: int | None = None) -> Setup:
        """The key of a seed's codes, of k outputs or of an encoder trained for so many bits."""
        return Setup(
            self.dataset,
            self.root,
            self.options,
            code_length=code_length or self.code_length,
            seed=seed,
            settings=self.settings,
        )


def planned(args: Args) -> plan.Plan:
    """The encoders that all questions are asked of, of k outputs and direct ones."""
    lengths = [args.code_length, *(args.lengths if args.direct else ())]
    made = plan.of_setups([args.setup(seed, n_bits) for seed in args.seeds for n_bits in lengths])
    return replace(made, besides=("searches: a greedy one for each question and seed, not counted",))


def dichotomies(name: str, classes: ClassCodes, k: int, seed: int) -> np.ndarray:
    """Sides {0,1} [C, outputs] of the classes: k of stage 1's or random halves, or C of one against the rest.

    Of halves there may be fewer than k, since no two of them are equal or opposite (`thermometer.halves`). *Label
    unions* ask whether a label set has any of some labels: of each label alone, and of random halves of the labels.
    """
    n_classes = len(classes.codes)
    if name == "stage 1":
        return classes.codes
    if name == "label unions":
        n_labels = classes.label_sets.shape[1]
        alone, halves = np.eye(n_labels, dtype=np.int64), thermometer.halves(n_labels, k, seed)
        asked_for = np.hstack([alone, halves])[:, :k]
        return (classes.label_sets.astype(np.int64) @ asked_for > 0).astype(np.uint8)
    if name == "one against the rest":
        return np.eye(n_classes, dtype=np.uint8)
    return thermometer.halves(n_classes, k, seed)


def asked(made: ImageCodes, sides: np.ndarray, options: Options) -> Candidates:
    """The candidates that ask these dichotomies of stage 1's posteriors, or of its outputs where they are stage 1's.

    Args:
        made: codes of stage 2.
        sides: {0,1} [C, outputs].
        options: levels, and whether queries are decided.
    """
    classes, arrays = made.classes, dict(made.arrays)
    if sides is not classes.codes:
        for part in (*datasets.PARTS, candidates.paying_part(options.reward_codes)):
            if not len(arrays[f"{part}_logits"]):  # without folds there are no out-of-fold logits
                continue
            arrays[f"{part}_logits"] = thermometer.logits_of(made.posteriors(part), sides)
            arrays[f"{part}_codes"] = thermometer.bits(arrays[f"{part}_logits"], HALF)
    pool = candidates.of_arrays(arrays, replace(options, decided=False))
    if not options.decided:
        return pool
    outputs = np.arange(sides.shape[1]) if pool.outputs is None else pool.outputs
    paid = candidates.paying_part(options.reward_codes)
    decided = {
        part: sides[thermometer.decided_classes(made.arrays[f"{part}_logits"], classes)][:, outputs]
        for part in (paid, "train", "query")
    }
    ids = thermometer.distinct(pool.reward_codes, decided[paid])
    return replace(
        pool,
        reward_queries=decided[paid],
        in_sample_queries=decided["train"],
        decided_codes=decided["query"],
        ids=ids,
    )


def chosen(pool: Candidates, lengths: Sequence[int], seed: int) -> Iterator[dict]:
    """Reward and test mAP of the candidates that greedy keeps, for each p that is not beyond their number."""
    lengths = [n_bits for n_bits in lengths if n_bits <= pool.k]
    reward = pool.reward(seed=seed)
    found = selectors.select(None, None, max(lengths), method="greedy", reward=reward, seed=seed)
    for n_bits in lengths:
        kept = replace(found, bits=found.bits[:n_bits])
        about = {"bits": n_bits, "reward": reward.of_bits(kept.bits), "map": pool.test_map(pool.named(kept).bits)}
        yield about | {"candidates": pool.k}


def rows_of(args: Args, seed: int) -> Iterator[dict]:
    """Every row of a seed."""
    setup = args.setup(seed)
    made = setup.codes(progress=False)
    classes = made.classes
    for name in DICHOTOMIES if classes.exclusive else OF_SEVERAL:
        sides = dichotomies(name, classes, args.code_length, seed)
        for kind, changes in KINDS.items():
            for quantiles in (False, True) if kind != "one half" else (False,):
                options = Options(**changes, quantiles=quantiles, reward_codes=setup.reward_codes)
                pool = asked(made, sides, options)
                about = {"study": "dichotomies", "what": name, "kind": kind}
                about["levels"] = "quantiles" if quantiles else "fixed"
                yield from (about | row for row in chosen(pool, args.lengths, seed))
    for n_bits in args.lengths if args.direct else ():
        direct = args.setup(seed, n_bits).codes(progress=False)
        for kind, changes in KINDS.items():
            pool = candidates.of_arrays(direct.arrays, Options(**changes, reward_codes=setup.reward_codes))
            about = {"study": "direct", "what": "p outputs", "kind": kind}
            yield from (about | row for row in chosen(pool, [n_bits], seed))
    yield from _rows_study(args, setup, seed)
    yield from _references(args, setup, made, seed)


def _rows_study(args: Args, setup: Setup, seed: int) -> Iterator[dict]:
    for kind in ("thermometer", "decided"):
        pool = setup.candidates(Options(**KINDS[kind], reward_codes=setup.reward_codes))
        total = len(pool.reward_codes)
        for n in args.rows:
            for draw in range(args.draws if n < total else 1):
                rows = np.sort(np.random.default_rng([seed, draw]).permutation(total)[:n])
                about = {"study": "rows", "kind": kind, "rows": len(rows), "draw": draw}
                yield from (about | row for row in chosen(_paid_by(pool, rows), [args.rows_bits], seed))


def _paid_by(pool: Candidates, rows: np.ndarray) -> Candidates:
    """The same candidates with some rows alone to pay the reward; those that are equal on these count once."""
    codes = pool.reward_codes[rows]
    queries = None if pool.reward_queries is None else pool.reward_queries[rows]
    ids = thermometer.distinct(codes, queries)
    return replace(pool, reward_codes=codes, reward_labels=pool.reward_labels[rows], reward_queries=queries, ids=ids)


def _references(args: Args, setup: Setup, made: ImageCodes, seed: int) -> Iterator[dict]:
    pool, splits = setup.candidates(), setup.splits
    labels = splits.query.labels, splits.database.labels
    for n_bits in args.lengths:
        value = pool.test_map(result_codes.oracle(pool, n_bits, seed).bits)
        yield {"study": "references", "what": "oracle", "bits": n_bits, "map": value}
        coins = random_codes(len(made.query) + len(made.database), n_bits, seed)
        value = metrics.mean_average_precision(coins[: len(made.query)], coins[len(made.query) :], *labels)
        yield {"study": "references", "what": "chance", "bits": n_bits, "map": value}
    for code in results.codes_of_fixed_length(made):
        value = metrics.mean_average_precision(code.query, code.database, *labels)
        yield {"study": "references", "what": code.method, "bits": code.query.shape[1], "map": value}
    for row in results.ceilings(made, splits):
        yield {"study": "references", "what": row["method"], "bits": 0, "map": row["map"]}


def summarize(rows: list[dict]) -> pd.DataFrame:
    """Mean over seeds of the means over draws, and the seeds' standard deviation, a line for each question."""
    frame = pd.DataFrame(rows)
    keys = ["study", "what", "kind", "levels", "bits", "rows"]
    frame[keys] = frame[keys].astype(object).where(frame[keys].notna(), "")
    seeds = frame.groupby([*keys, "seed"], sort=False)[["map", "reward", "candidates"]].mean()
    grouped = seeds.groupby(keys, sort=False)
    return grouped.mean().join(grouped[["map", "reward"]].std().add_suffix("_sd")).reset_index()


def save(args: Args, rows: list[dict]) -> None:
    """Write the JSON: command, settings, versions and every row."""
    with artifacts.locked(args.path):
        artifacts.save_json(args.path, made_by("questions", args) | {"rows": rows})


def main(args: Args) -> None:
    """Measure from the shell; what the seeds that are done have found is saved after each."""
    if args.plan:
        plan.show(planned(args))
        return
    artifacts.check_writable(args.path, artifacts.replaces_json("rows", "command"))
    rows = []
    for seed in args.seeds:
        rows += [{"seed": seed, **row} for row in tqdm(rows_of(args, seed), desc=f"seed {seed}", unit="row")]
        save(args, rows)
    print(summarize(rows).drop(columns=["candidates"]).round(4).to_string(index=False))
    print(f"saved {artifacts.shown(args.path)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
