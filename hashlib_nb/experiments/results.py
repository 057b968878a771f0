"""Chapter 4's table: how good the kept bits are, beside everything that they must be compared with.

A row is one code of one method from one seed, measured with the query pictures against the whole database:

| method       | its code                                                                                        |
|--------------|-------------------------------------------------------------------------------------------------|
| PPO          | the p of k bits that PPO keeps (ppo.py), by the reward on codes of the training pictures          |
| greedy       | the p bits of forward selection on the same reward (selectors.py)                                 |
| random       | p of the k bits drawn at random: `subsets` draws a seed, one row each                             |
| first p      | the first p of the k bits                                                                        |
| direct       | all bits of an encoder that was trained for p bits                                               |
| random codes | p coin flips for each picture: chance                                                            |
| all bits     | all k bits                                                                                       |
| class index  | the number of the predicted class in ceil(log2 C) bits (Sablayrolles et al. 2016)                 |

The class is predicted by the same k bits: it is the class whose target code is nearest to the picture's code, the first
one where several are equally near (with several labels a picture, read "label set" for "class"). At p = k nothing is
left to choose: the first five rows are all bits. No row has seen a label of a query or database picture.

    python -m hashlib_nb results --lengths 16 32 --seeds 0        # see --help
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pandas as pd
import tyro
from tqdm.auto import tqdm

from hashlib_nb import artifacts, checks, hamming, metrics, ppo, selection, selectors
from hashlib_nb.baselines import class_index_codes, random_codes
from hashlib_nb.encoder import Settings, Setup
from hashlib_nb.thermometer import predict_classes

if TYPE_CHECKING:
    from hashlib_nb.datasets import Splits
    from hashlib_nb.encoder import ImageCodes

SEARCHES = ("ppo", "greedy")
"""Methods of `selectors` that the table holds."""
SELECTED = (*(selectors.METHODS[name].title for name in SEARCHES), "random", "first p", "direct")
"""Methods that make a code of p bits out of pictures."""
FIXED = ("all bits", "class index")
"""Methods whose code length does not depend on p."""
MEASURES = ("map", "pessimistic", "optimistic", "precision_radius2", "empty_ball_rate", "reward", "calls")
"""Columns of a row that are averaged over draws and seeds."""


MAX_SUBSETS = 10_000
"""Most random subsets that a seed and length are measured with: each is a row."""


@dataclass(frozen=True)
class Args:
    """Make the results table: JSON with every row, and markdown. What is missing is made first: codes, selections."""

    dataset: str = "fashion-mini"
    """a name in hashlib_nb.datasets"""
    root: Path | None = None
    """folder of the data set's files, where it needs one"""
    code_length: int = 64
    """k, the length of the codes that bits are kept of"""
    lengths: tuple[int, ...] = (16, 32, 48, 64)
    """each p: how many bits are kept, within 1..k"""
    seeds: tuple[int, ...] = (0, 1, 2)
    """one experiment each, from the target codes on; the split of the pictures stays the same"""
    reward_codes: Literal["crossfit", "holdout", "in_sample"] = "crossfit"
    """which codes of the training pictures PPO and greedy choose on (`selection.reward_codes`)"""
    total_episodes: int = 2048
    """subsets that PPO tries"""
    subsets: int = 20
    """random subsets a seed and length"""
    top_n: int | None = None
    """cut-off N of mAP; by default the whole database"""
    literal: bool = False
    """fit the encoders to the thesis' target codes as written (the preset "literal") instead of the repaired ones"""
    folds: int = 3
    """encoders for the out-of-fold codes, at least 2 unless `reward_codes` is in_sample"""
    out: Path | None = None
    """JSON to write, and markdown beside it; by default runs/results.json, or runs/results-literal.json. A file that is
    no such table is not replaced"""
    options: tuple[str, ...] = ()
    """what the dataset takes beyond root, as name=value: protocol=59k exclude=person,car"""
    direct: bool = True
    """train an encoder for each length as well; without, the row "direct" is left out"""
    settings: Annotated[Settings, tyro.conf.arg(name="")] = Settings()

    def __post_init__(self) -> None:
        """Check what can be checked before any work."""
        checks.fields(self, checks.count, "code_length", most=hamming.MAX_BITS)
        checks.fields(self, checks.count, "total_episodes", most=4 * selection.MOST)
        checks.fields(self, checks.count, "subsets", most=MAX_SUBSETS)
        checks.fields(self, checks.count, "top_n", optional=True)
        checks.fields(self, checks.count, "folds", least=0)
        checks.fields(self, checks.counts, "lengths", distinct=True)
        checks.fields(self, checks.seeds, "seeds")
        if max(self.lengths) > self.code_length:
            raise ValueError(
                f"lengths has {max(self.lengths)}, but code_length is {self.code_length}; keep at most all bits"
            )

    @property
    def path(self) -> Path:
        """Where the JSON goes."""
        name = "results-literal.json" if self.literal else "results.json"
        return self.out or artifacts.project_root() / "runs" / name

    def setup(self, seed: int, n_bits: int | None = None) -> Setup:
        """The key of a seed's k-bit codes; with `n_bits`, of an encoder trained for so many bits, without folds."""
        return Setup(
            self.dataset,
            self.root,
            self.options,
            code_length=self.code_length if n_bits is None else n_bits,
            seed=seed,
            target_codes="literal" if self.literal else "repaired",
            folds=self.folds if n_bits is None else 0,
            settings=self.settings,
        )


@dataclass(frozen=True, eq=False)
class Code:
    """One code of one method, ready to be measured."""

    method: str
    """A row of the table above."""
    query: np.ndarray
    """uint8 {0,1} [q, p]."""
    database: np.ndarray
    """uint8 {0,1} [n, p]."""
    draw: int = 0
    """Which of the random subsets it is."""
    selection: selection.Selection | None = None
    """How its bits were found, where they were searched for."""


def codes_of_length(args: Args, setup: Setup, n_bits: int) -> Iterator[Code]:
    """Every code of `n_bits` bits; `setup` is the key of the seed's k-bit codes."""
    made = setup.codes(progress=False)

    def kept(method: str, bits: np.ndarray, **about) -> Code:
        return Code(method, made.query[:, bits], made.database[:, bits], **about)

    for name in SEARCHES:
        title = selectors.METHODS[name].title
        if n_bits == args.code_length:
            yield kept(title, np.arange(n_bits))
        else:
            found = select(args, setup, name, n_bits)
            yield kept(title, found.bits, selection=found)
    for draw, mask in enumerate(selection.random_masks(args.code_length, n_bits, args.subsets, setup.seed)):
        yield kept("random", np.flatnonzero(mask), draw=draw)
    yield kept("first p", np.arange(n_bits))
    if args.direct:
        direct = made if n_bits == args.code_length else args.setup(setup.seed, n_bits).codes(progress=False)
        yield Code("direct", direct.query, direct.database)
    coins = random_codes(len(made.query) + len(made.database), n_bits, setup.seed)
    yield Code("random codes", coins[: len(made.query)], coins[len(made.query) :])


def codes_of_fixed_length(made: ImageCodes) -> Iterator[Code]:
    """All k bits, and the class index that they predict."""
    yield Code("all bits", made.query, made.database)
    labels = made.arrays["train_labels"]
    n_classes = len(np.unique(labels, axis=0))
    predicted = [predict_classes(part, made.targets, labels) for part in (made.query, made.database)]
    yield Code("class index", *(class_index_codes(classes, n_classes) for classes in predicted))


def select(args: Args, setup: Setup, name: str, n_bits: int) -> selection.Selection:
    """The bits that a method of `selectors` keeps, by the reward and the episodes that `args` ask for."""
    return setup.select(name, n_bits, reward_codes=args.reward_codes, total_episodes=args.total_episodes)


def measure(code: Code, splits: Splits, top_n: int | None = None) -> dict:
    """A row of the table: what `metrics.evaluate` finds for a code, mAP with its tie bracket and P@H<=2 first."""
    report = metrics.evaluate(code.query, code.database, splits.query.labels, splits.database.labels, top_n=top_n or ())
    scores = report["map"][str(top_n or "all")]
    return {
        "method": code.method,
        "bits": code.query.shape[1],
        "draw": code.draw,
        "map": scores["expected"],
        "pessimistic": scores["pessimistic"],
        "optimistic": scores["optimistic"],
        "precision_radius2": report["precision_within_radius"],
        "empty_ball_rate": report["empty_ball_rate"],
        "reward": code.selection and code.selection.reward,
        "calls": code.selection and code.selection.calls,
        "n_queries": report["n_queries"],
        "queries_without_relevant": report["queries_without_relevant"],
        "n_database": report["n_database"],
        "training_in_database": splits.info["training_in_database"],
    }


def make_rows(args: Args) -> list[dict]:
    """Every row: `measure` of every method, length, seed and draw.

    Raises:
        ValueError: settings that a later stage would refuse, before the first one starts.
    """
    for n_bits in args.lengths:
        ppo.Args(n_bits=n_bits, total_episodes=args.total_episodes)
    rows = []

    def add(seed: int, codes: Iterator[Code]) -> None:
        rows.extend({"seed": seed, **measure(code, splits, args.top_n)} for code in codes)
        bar.update()

    with tqdm(total=len(args.seeds) * (1 + len(args.lengths)), desc="results table") as bar:
        for seed in args.seeds:
            setup = args.setup(seed)
            splits = setup.splits
            for n_bits in args.lengths:
                add(seed, codes_of_length(args, setup, n_bits))
            add(seed, codes_of_fixed_length(setup.codes(progress=False)))
    return rows


def summarize(rows: list[dict]) -> pd.DataFrame:
    """One line a method and code length: means over seeds of the means over draws, and standard deviations.

    Returns:
        A frame with `method`, `bits`, `seeds` (how many), the `MEASURES`, and standard deviations with n - 1 in the
        denominator: `map_sd` and `precision_radius2_sd` over seeds, `map_draw_sd` over the draws of a seed (the mean of
        the seeds'). NaN where there is one seed, one draw, or no search.
    """
    by_seed = pd.DataFrame(rows).astype({"reward": float, "calls": float})
    by_seed = by_seed.groupby(["method", "bits", "seed"], sort=False)
    seeds = by_seed[list(MEASURES)].mean().groupby(["method", "bits"], sort=False)
    summary = seeds.mean()
    summary.insert(0, "seeds", seeds.size())
    deviations = seeds[["map", "precision_radius2"]].std().add_suffix("_sd")
    draws = by_seed["map"].std().groupby(["method", "bits"], sort=False).mean().rename("map_draw_sd")
    return summary.join(deviations).join(draws).reset_index()


def markdown(args: Args, rows: list[dict]) -> str:
    """The table for people: mAP by method and p, then every measure of every code length."""
    summary = summarize(rows).set_index(["method", "bits"])
    lengths = [f"{n_bits} bits" for n_bits in args.lengths]
    by_length = [[name, *cells] for name, cells in _by_length(args, summary)]
    detail = [_detail(method, bits, line) for (method, bits), line in summary.iterrows()]
    columns = ("method", "bits", "mAP", "pessimistic to optimistic", "P@H<=2", "empty balls")
    return "\n".join(
        [
            _caption(args, rows[0]),
            "",
            *markdown_table(("method", *lengths), by_length),
            "",
            "The same codes, with the range over all orders of tied items, and inside Hamming radius 2:",
            "",
            *markdown_table(columns, detail),
            "",
        ]
    )


def _caption(args: Args, row: dict) -> str:
    """What was measured on what; the sizes are the same in every row."""
    scope = f"the first {args.top_n:,} items" if args.top_n else "the whole database"
    data = " ".join([args.dataset, *args.options])
    return (
        f"**{data}**: {row['n_queries']:,} queries ({row['queries_without_relevant']} without a relevant picture left "
        f"out), {row['n_database']:,} database pictures, training pictures "
        f"{'among them' if row['training_in_database'] else 'not among them'}. mAP over {scope}, tied items in "
        f"expectation; mean ± standard deviation over seeds {', '.join(map(str, args.seeds))}. Bits are kept of "
        f"{args.code_length}.{' Target codes: literal.' if args.literal else ''}"
    )


def _by_length(args: Args, summary: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Rows of the first table; methods of fixed length say the same in every column."""
    for method in (*SELECTED, "random codes"):
        if method not in summary.index:
            continue
        lines = [summary.loc[method, n_bits] for n_bits in args.lengths]
        yield method, [plus_minus(line["map"], line["map_sd"]) for line in lines]
        if method == "random":
            deviations = [line["map_draw_sd"] for line in lines]
            yield f"its spread over {args.subsets} subsets", ["" if sd != sd else f"± {sd:.3f}" for sd in deviations]
    for method in FIXED:
        (bits, line), *_ = summary.loc[method].iterrows()
        yield f"{method} ({bits} bits)", [plus_minus(line["map"], line["map_sd"])] * len(args.lengths)


def _detail(method: str, bits: int, line: pd.Series) -> list[str]:
    return [
        method,
        str(bits),
        plus_minus(line["map"], line["map_sd"]),
        f"{line['pessimistic']:.3f} to {line['optimistic']:.3f}",
        plus_minus(line["precision_radius2"], line["precision_radius2_sd"]),
        f"{line['empty_ball_rate']:.1%}",
    ]


def plus_minus(mean: float, deviation: float) -> str:
    """A mean with its standard deviation, which is NaN where there is one value alone."""
    return f"{mean:.3f}" if deviation != deviation else f"{mean:.3f} ± {deviation:.3f}"  # one seed has no deviation


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]


def save(args: Args, rows: list[dict]) -> None:
    """Write the JSON (command, settings, versions, rows and their summary) and the markdown beside it."""
    settings = asdict(args)
    settings |= settings.pop("settings")
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    packages = ("hashlib-nb", "numpy", "torch", "numba", "scikit-learn")
    record = {
        "command": artifacts.command("results", args),
        "args": settings,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "summary": json.loads(summarize(rows).to_json(orient="records", double_precision=15)),
        "rows": rows,
    }
    with artifacts.locked(args.path), artifacts.atomic(args.path.with_suffix(".md")) as partial:
        partial.write_text(markdown(args, rows), encoding="utf-8")
        artifacts.save_json(args.path, record)  # both are whole before either takes its place


def main(args: Args) -> None:
    """Make the table from the shell and print it."""
    if args.out is not None:
        artifacts.check_writable(args.out, artifacts.replaces_json("rows", "summary"))
        artifacts.check_writable(args.out.with_suffix(".md"), artifacts.replaces_lines(r"\*\*.+\*\*: .* queries .*"))
    rows = make_rows(args)
    print(markdown(args, rows))
    try:
        if args.out is not None or artifacts.or_dropped(args.path):
            save(args, rows)
            print(f"every row: {artifacts.shown(args.path)}")
    except artifacts.WriteError as error:
        if args.out is not None:
            raise
        print(f"left out: {error}")


if __name__ == "__main__":
    artifacts.run(main, Args)
