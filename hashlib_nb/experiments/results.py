"""Chapter 4's table: how good the kept bits are, beside everything that they must be compared with.

A row is one code of one method from one seed, measured with the query pictures against the whole database:

| method            | its code                                                                                   |
|-------------------|--------------------------------------------------------------------------------------------|
| decided PPO       | the p thermometer bits that PPO keeps, for queries that take the code of their likeliest class |
| thermometer PPO   | the p thermometer bits that PPO keeps, symmetric: queries keep their codes                   |
| PPO               | the p of k outputs at one half that PPO keeps: the thesis' bits                              |
| ... greedy        | the same for the p bits of forward selection, on the same reward (selectors.py)              |
| ... random        | the same for p bits drawn at random of those to choose from: `subsets` draws a seed          |
| decided by p bits | decided PPO's bits, but the class is decided from these bits alone, and not from all outputs |
| oracle            | decided, p thermometer bits that greedy chose on the test pictures themselves: no result     |
| first p           | the first p of the k outputs at one half                                                     |
| direct            | all outputs, at one half, of an encoder trained for p bits; of one fitted to labels, p answers |
| random codes      | p coin flips for each picture: chance                                                        |
| all bits          | all k outputs at one half                                                                    |
| class index       | the number of the predicted class in ceil(log2 C) bits (Sablayrolles et al. 2016)            |
| ceiling           | no code: ranking by the posteriors' P(relevant), `thermometer.ceiling`                       |
| decided ceiling   | the same with the query's class decided first                                                |
| mirrored ...      | the same bits, of logits averaged over a picture and its mirror image: encoded twice         |

A decided query is a classifier's word, so such rows are named. The oracle and the ceilings are rows to compare with,
and no bounds. The index' class is the one whose target code is nearest to the picture's code of k bits, the first one
where several are equally near (with several labels a picture, read "label set" for "class"). At p = k nothing is left
to choose of the outputs: PPO, greedy, random, first p and direct are all bits. No row but the oracle has seen a label
of a query or database picture.

A row belongs to an experiment: a training seed on a split of the pictures. Each is saved as it is finished, and a table
that was cut off goes on with those that are missing.

    python -m hashlib_nb results --lengths 16 32 --seeds 0        # see --help
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import tyro
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks, datasets, hamming, metrics, ppo, selection, thermometer
from hashlib_nb.candidates import Options
from hashlib_nb.encoder import Settings, Setup, Source
from hashlib_nb.experiments import plan
from hashlib_nb.experiments.provenance import data_digest, earlier, made_by
from hashlib_nb.experiments.result_tables import (  # noqa: F401 (handed on)
    CEILINGS,
    CHANCE,
    CHOSEN,
    FIXED,
    GRADED,
    KINDS,
    MEASURES,
    MIRRORED,
    SEARCHES,
    SELECTED,
    TWICE,
    in_words,
    markdown,
    markdown_table,
    mirrored,
    of_one_length,
    plus_minus,
    spread_over,
    summarize,
    without_code,
)
from hashlib_nb.scale import Where, home, in_workers, share_home
from hashlib_nb.thermometer import LEVELS

if TYPE_CHECKING:
    from hashlib_nb.datasets import Splits
    from hashlib_nb.encoder import ImageCodes
from hashlib_nb.experiments.result_codes import (
    Code,
    codes_of_fixed_length,
    codes_of_length,
    direct_setup,
    mirrored_codes,
    select,
)

MAX_SUBSETS = 10_000
"""Most random subsets that a seed and length are measured with: each is a row."""


@dataclass(frozen=True)
class Args(Where):
    """Make the results table: JSON with every row, and markdown. What is missing is made first: codes, selections."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    code_length: int = 64
    """k, the length of the codes that bits are kept of"""
    lengths: tuple[int, ...] = (8, 16, 32, 64)
    """each p: how many bits are kept, within 1..k"""
    seeds: tuple[int, ...] = (0, 1, 2)
    """one experiment each, from the target codes on; the split of the pictures stays the same"""
    reward_codes: Literal["crossfit", "views", "holdout", "in_sample"] | None = None
    """which codes of the training pictures PPO and greedy choose on (`selection.reward_codes`); by default crossfit,
    and views where the recipe has them"""
    total_episodes: int = 2048
    """subsets that PPO tries"""
    subsets: int = 20
    """random subsets a seed and length"""
    top_n: int | None = None
    """cut-off N of mAP; by default the whole database"""
    literal: bool = False
    """fit the encoders to the thesis' target codes as written (the preset "literal") instead of the repaired ones"""
    folds: int | None = None
    """encoders for the out-of-fold codes, at least 2 unless `reward_codes` is in_sample or views; by default 3, and 0
    where the recipe has views"""
    out: Path | None = None
    """JSON to write, and markdown beside it; by default runs/results.json, or runs/results-literal.json. A file that is
    no such table is not replaced"""
    options: tuple[str, ...] = ()
    """what the dataset takes beyond root, as name=value: protocol=59k exclude=person,car"""
    direct: bool = True
    """train an encoder for each length as well (one that is fitted to labels answers for all lengths); without, the row
    "direct" is left out"""
    thermometer: bool = True
    """rows of thermometer bits, symmetric and decided, and reference rows; without, the thesis' rows alone"""
    levels: tuple[float, ...] = LEVELS
    """posteriors at which thermometer bits ask"""
    workers: int = 1
    """processes that search at once, each on one core; their number changes nothing but the time"""
    mirrored: bool = False
    """rows of mirrored logits as well: a second encoding of query and database pictures"""
    codes: Source = "own"
    """reference takes the codes of 64 bits that come with the package, equal on every machine, for seeds 0 to 2; own
    fits encoders. Those of the row "direct" are always fitted"""
    splits: tuple[int, ...] = (0,)
    """seeds of the pictures' splits, each with every training seed; 0 is the data set's own"""
    plan: bool = False
    """say what is missing and about how long that would take, and make nothing"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings()

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        super().__post_init__()
        Options(levels=self.levels, reward_codes=self.reward_codes or "crossfit")
        checks.fields(self, checks.count, "code_length", most=hamming.MAX_BITS)
        checks.fields(self, checks.count, "total_episodes", most=4 * selection.MOST)
        checks.fields(self, checks.count, "subsets", most=MAX_SUBSETS)
        checks.fields(self, checks.count, "top_n", optional=True)
        checks.fields(self, checks.count, "folds", least=0, optional=True)
        checks.fields(self, checks.counts, "lengths", distinct=True)
        checks.fields(self, checks.seeds, "seeds", "splits")
        if max(self.lengths) > self.code_length:
            raise ValueError(
                f"lengths has {max(self.lengths)}, but code_length is {self.code_length}; keep at most all bits"
            )
        if self.codes != "own":
            for split, seed in self.experiments:
                self.setup(seed, split=split)  # says what there are no such codes of

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        name = "results-literal.json" if self.literal else "results.json"
        return self.out or artifacts.project_root() / "runs" / name

    @property
    def kinds(self) -> dict[str, Options]:
        """What there is to choose from, by the word that begins a row's name."""
        reward_codes = self.reward_codes or self.setup(self.seeds[0]).reward_codes
        asked = Options(levels=self.levels, reward_codes=reward_codes)
        return {word: replace(asked, **changes) for word, changes in KINDS.items() if self.thermometer or not word}

    @property
    def methods(self) -> tuple[str, ...]:
        """The table's rows in their order."""
        graded = (*(f"{word}{row}" for word in KINDS if word for row in CHOSEN), *GRADED, *CEILINGS)
        rows = (*SELECTED, *mirrored(TWICE), CHANCE, *CEILINGS, *mirrored(CEILINGS), *FIXED, *mirrored(FIXED))
        left_out = {*(() if self.thermometer else (*graded, *mirrored(graded)))}
        left_out |= {*(() if self.direct else ("direct",))}
        return tuple(row for row in rows if row not in left_out and (self.mirrored or not row.startswith(MIRRORED)))

    @property
    def experiments(self) -> list[tuple[int, int]]:
        """Split and training seed of each."""
        return [*itertools.product(self.splits, self.seeds)]

    def setup(self, seed: int, n_bits: int | None = None, split: int = 0) -> Setup:
        """The key of a seed's k-bit codes on a split; with `n_bits`, of an encoder for so many bits, without folds."""
        return Setup(
            self.dataset,
            self.root,
            self.options,
            split=self.split_path(split) if split else None,
            code_length=self.code_length if n_bits is None else n_bits,
            seed=seed,
            target_codes="literal" if self.literal else "repaired",
            folds=self.folds if n_bits is None else 0,
            settings=self.settings,
            source=self.codes if n_bits is None else "own",
        )

    def split_path(self, split: int) -> Path:
        """The file of the split that is drawn with the seed `split`, made where it is missing."""
        options = datasets.typed_options(self.dataset, self.options)
        label = datasets.label(self.dataset, root=self.root, options=options)
        path = artifacts.project_root() / "artifacts" / f"{label}-splits" / f"split{split}.npz"
        if not path.exists():
            datasets.load(self.dataset, root=self.root, seed=split, **dict(options)).save_split(path)
        return path


def planned(args: Args) -> plan.Plan:
    """What the table wants made, but for the experiments that are in its file."""
    there = [(about["split"], about["seed"]) for about, _ in finished(args)]
    setups = [args.setup(seed, split=split) for split, seed in args.experiments if (split, seed) not in there]
    trained = args.direct and args.setup(args.seeds[0]).settings.outputs == "bits"
    shorter = [n_bits for n_bits in args.lengths if trained and n_bits < args.code_length]
    wanted = [each for setup in setups for each in (setup, *(direct_setup(setup, n_bits) for n_bits in shorter))]
    searches = planned_searches(args, setups, args.kinds)
    oracles = ("oracles: a greedy search on the test pictures for each length, not counted",)
    made = plan.of_setups(wanted, mirrored=setups if args.mirrored else (), searches=searches)
    return replace(made, besides=oracles if args.thermometer and setups else ())


def planned_searches(args: Args, setups: Sequence[Setup], words: Iterable[str]) -> list[plan.Search]:
    """The selections of these experiments, of the kinds of candidates whose names begin with `words`."""
    return [
        plan.Search(setup, name, n_bits, args.kinds[word], args.total_episodes)
        for setup, word in itertools.product(setups, words)
        for name, n_bits in itertools.product(SEARCHES, args.lengths)
        if word or n_bits < args.code_length  # of k outputs nothing is left to choose
    ]


def _select_all(args: Args, split: int, seed: int, word: str) -> None:
    """In a process of its own: leave the selections of an experiment and a kind of candidates where `select` looks."""
    with redirect_stdout(io.StringIO()):
        setup, options = args.setup(seed, split=split), args.kinds[word]
        k = setup.candidates(options).k
        for name, n_bits in itertools.product(SEARCHES, args.lengths):
            if n_bits < k:
                select(args, setup, name, n_bits, options)


def _lacks_some(args: Args, split: int, seed: int, word: str) -> bool:
    """Whether a selection of an experiment and a kind of candidates lies nowhere yet."""
    wanted = planned_searches(args, [args.setup(seed, split=split)], [word])
    return not all(search.there for search in wanted)


def ceilings(made: ImageCodes, splits: Splits, top_n: int | None = None) -> Iterator[dict]:
    """Rows of what the encoder's posteriors rank, without a code; see `thermometer.ceiling`."""
    classes = made.classes
    query, database = (made.label_posteriors(part) for part in ("query", "database"))
    labels = splits.query.labels, splits.database.labels
    asked = {"exclusive": classes.exclusive, "top_n": top_n}
    for method, side in zip(CEILINGS, (thermometer.decided_labels(query), query), strict=True):
        scores = thermometer.ceiling_bracket(side, database, *labels, **asked)
        means = {ties: float(np.nanmean(values)) for ties, values in scores.items()}
        yield _row(method, 0, means, splits, scores["expected"])


def accuracy(made: ImageCodes, splits: Splits) -> dict[str, float]:
    """How often the query pictures' decided labels are right.

    Returns:
        `accuracy`, the share of pictures whose decided class is theirs; or where pictures have several labels
        `label_overlap`, the mean over pictures of decided labels that are right, as a share of all that are decided or
        right (Jaccard's index).
    """
    classes = made.classes
    decided = thermometer.decided_labels(made.label_posteriors("query"))
    right = splits.query.labels
    overlap = (decided & right).sum(axis=1) / np.maximum((decided | right).sum(axis=1), 1)
    return {"accuracy" if classes.exclusive else "label_overlap": float(overlap.mean())}


def measure(code: Code, splits: Splits, top_n: int | None = None) -> dict:
    """A row of the table: what `metrics.evaluate` finds for a code, mAP with its tie bracket and P@H<=2 first."""
    report = metrics.evaluate(code.query, code.database, splits.query.labels, splits.database.labels, top_n=top_n or ())
    row = _row(code.method, code.query.shape[1], report["map"][str(top_n or "all")], splits)
    row |= {"draw": code.draw, "precision_radius2": report["precision_within_radius"]}
    row |= {name: report[name] for name in ("empty_ball_rate", "n_queries", "queries_without_relevant", "n_database")}
    return row | {name: code.selection and getattr(code.selection, name) for name in ("reward", "calls")}


def _row(method: str, bits: int, scores: dict[str, float], splits: Splits, per_query: np.ndarray | None = None) -> dict:
    """A row's columns in their order; what only a code has is None."""
    answered = None if per_query is None else int(np.isfinite(per_query).sum())
    return {
        "method": method,
        "bits": bits,
        "draw": 0,
        "map": scores["expected"],
        "pessimistic": scores["pessimistic"],
        "optimistic": scores["optimistic"],
        "precision_radius2": None,
        "empty_ball_rate": None,
        "reward": None,
        "calls": None,
        "n_queries": answered,
        "queries_without_relevant": None if per_query is None else len(per_query) - answered,
        "n_database": len(splits.database),
        "training_in_database": splits.info["training_in_database"],
    }


Experiment = tuple[dict, list[dict]]
"""An experiment's split and seed with what `describe` says of it, and its rows."""


def measure_experiment(args: Args, setup: Setup) -> Iterator[list[dict]]:
    """The rows of an experiment, some at a time: those of each length, then those of one length and without a code."""
    splits, made = setup.splits, setup.codes(progress=False)
    for n_bits in args.lengths:
        yield [measure(code, splits, args.top_n) for code in codes_of_length(args, setup, n_bits)]
    rows = []
    for word, codes in {"": made, **({MIRRORED: mirrored_codes(setup)} if args.mirrored else {})}.items():
        found = [measure(code, splits, args.top_n) for code in codes_of_fixed_length(codes)]
        found += ceilings(codes, splits, args.top_n) if args.thermometer else []
        rows += [row | {"method": f"{word}{row['method']}"} for row in found]
    yield rows


def describe(args: Args, setup: Setup) -> dict:
    """What is said of an experiment beside its rows.

    Returns:
        `data` (digest of pictures and labels), what `accuracy` gives, with "mirrored_" before the name
        for mirrored logits, `frozen` (whether the trunk is), and `cpu_hours` of fitting the encoder of k outputs and
        its folds and of encoding, a frozen trunk's features apart; None where the codes' file does not say.
    """
    splits, made = setup.splits, setup.codes(progress=False)
    about = {"data": data_digest(splits), **accuracy(made, splits)}
    if args.mirrored:
        about |= {f"mirrored_{name}": value for name, value in accuracy(mirrored_codes(setup), splits).items()}
    seconds = made.arrays.get("cpu_seconds")
    about["frozen"] = setup.settings.recipe.head is not None
    return about | {"cpu_hours": None if seconds is None else float(seconds) / 3600}


def run(args: Args, finished: Sequence[Experiment] = ()) -> Iterator[Experiment]:
    """Every experiment in its order, from `finished` or measured.

    Raises:
        ValueError: settings that a later stage would refuse, before the first one starts.
    """
    for n_bits in args.lengths:
        ppo.Args(n_bits=n_bits, total_episodes=args.total_episodes)
    there = {(about["split"], about["seed"]): (about, rows) for about, rows in finished}
    missing = [key for key in args.experiments if key not in there]
    jobs = [(args, *key, word) for key in missing for word in args.kinds if not args.alone]
    jobs = [job for job in jobs if _lacks_some(*job)]
    fitted_first = [*dict.fromkeys((split, seed) for _, split, seed, _ in jobs)]  # here, on all cores
    total = len(missing) * (1 + len(args.lengths)) + len(fitted_first) + len(jobs)
    with tqdm(total=total, desc="results table") as bar:
        for split, seed in fitted_first:
            args.setup(seed, split=split).codes(progress=False)
            bar.update()
        for _ in in_workers(_select_all, jobs, args, start=share_home, initial=home()):
            bar.update()
        for split, seed in args.experiments:
            if (split, seed) in there:
                yield there[split, seed]
                continue
            setup, name, rows = args.setup(seed, split=split), {"split": split, "seed": seed}, []
            for part in measure_experiment(args, setup):
                rows += [name | row for row in part]
                bar.update()
            yield name | describe(args, setup), rows


def make_rows(args: Args) -> list[dict]:
    """Every row: `measure` of every method, length, experiment and draw. Raises ValueError as `run` does."""
    return [row for _, rows in run(args) for row in rows]


def stored_rows(args: Args, method: str) -> list[dict]:
    """Rows of a method, for the lengths and seeds of `args`, in the table of the data set that lies in results/.

    They are of encoders with the default settings; none where there is no such table.
    """
    path = artifacts.results_file(f"{args.dataset}.json")
    there = artifacts.load_json(path)["rows"] if path.exists() else []
    return [
        row for row in there if row["method"] == method and row["bits"] in args.lengths and row["seed"] in args.seeds
    ]


def save(args: Args, rows: list[dict], abouts: Sequence[dict] = (), *, shown: Args | None = None) -> None:
    """Write the JSON (how it was made, experiments, rows and their summary) and the markdown beside it.

    Args:
        args: of the table.
        rows: of the experiments that are finished.
        abouts: what `describe` says of each.
        shown: the arguments as the file should say them, for one that goes to others; None for `args`.
    """
    summary = json.loads(summarize(rows).to_json(orient="records", double_precision=15))
    record = made_by("results", shown or args) | {"experiments": [*abouts], "summary": summary, "rows": rows}
    with artifacts.locked(args.path), artifacts.atomic(args.path.with_suffix(".md")) as partial:
        partial.write_text(markdown(args, rows, abouts), encoding="utf-8")
        artifacts.save_json(args.path, record)  # both are whole before either takes its place


def finished(args: Args) -> list[Experiment]:
    """The experiments in the file of a table that was cut off, or asked for fewer, where they are those of `args`.

    Of a table that lacks none there are none: it is measured anew. What is taken is said, and why something is not.
    """
    record, name = earlier(args.path, args, but=("seeds", "splits")), artifacts.shown(args.path)
    if record is None:
        return []
    try:
        there = {(about["split"], about["seed"]): about for about in record.get("experiments", ())}
        rows = {key: [row for row in record["rows"] if (row["split"], row["seed"]) == key] for key in there}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        print(f"{name} cannot be used ({error}); its seeds are measured anew")
        return []
    asked = [key for key in args.experiments if key in there]
    if len(asked) == len(args.experiments):
        return []
    return [(there[key], rows[key]) for key in asked if _same_data(args, there[key], name)]


def _same_data(args: Args, about: dict, name: str) -> bool:
    """Whether an experiment of a file was measured on the pictures that there are now; says so."""
    words = f"seed {about['seed']}" + (f" of split {about['split']}" if args.splits != (0,) else "")
    same = about["data"] == data_digest(args.setup(about["seed"], split=about["split"]).splits)
    print(f"{words}: loaded from {name}" if same else f"{words}: {name} has it of other data; it is measured anew")
    return same


def make_table(args: Args, *, keep: bool = True, shown: Args | None = None) -> tuple[list[dict], list[dict]]:
    """Rows, and what `describe` says of each experiment; the file is written after each, and read by `finished`.

    Args:
        args: of the table.
        keep: whether there is to be a file.
        shown: as of `save`.
    """
    rows, abouts = [], []
    for about, found in run(args, finished(args) if keep else ()):
        rows, abouts = rows + found, [*abouts, about]
        try:
            if keep:
                save(args, rows, abouts, shown=shown)
        except artifacts.WriteError as error:
            if args.out is not None:
                raise
            print(f"left out: {error}")  # nobody asked for the file by its name
            keep = False
    return rows, abouts


def main(args: Args) -> None:
    """Make the table from the shell and print it."""
    if args.plan:
        plan.show(planned(args))
        return
    if args.out is not None:
        artifacts.check_writable(args.out, artifacts.replaces_json("rows", "summary"))
        artifacts.check_writable(args.out.with_suffix(".md"), artifacts.replaces_lines(r"\*\*.+\*\*: .* queries .*"))
    keep = args.out is not None or artifacts.or_dropped(args.path) is not None
    rows, abouts = make_table(args, keep=keep)
    print(markdown(args, rows, abouts))
    if keep:
        print(f"every row: {artifacts.shown(args.path)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
