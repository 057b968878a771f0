"""What is said of the rows that `results` measures: their names, means over seeds, and tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from hashlib_nb import selectors
from hashlib_nb.thermometer import HALF

if TYPE_CHECKING:
    from hashlib_nb.experiments import results

SEARCHES = ("ppo", "greedy")
"""Methods of `selectors` that the table holds."""
CHOSEN = (*(selectors.METHODS[name].title for name in SEARCHES), "random")
"""Rows that choose p of the candidates."""
KINDS = {"decided ": {"decided": True}, "thermometer ": {"decided": False}, "": {"levels": HALF, "decided": False}}
"""What the candidates are, by the word that begins a row's name, and how their options differ."""
GRADED = ("decided by p bits", "oracle")
"""Rows of p thermometer bits beside those."""
SELECTED = (
    *(f"decided {row}" for row in CHOSEN), *GRADED, *(f"thermometer {row}" for row in CHOSEN),
    *CHOSEN, "first p", "direct",
)  # fmt: skip
"""Methods that make a code of p bits out of pictures."""
CEILINGS = ("decided ceiling", "ceiling")
"""Methods without a code."""
FIXED = ("all bits", "class index")
"""Methods whose code length does not depend on p."""
MIRRORED = "mirrored "
"""What begins the name of a row of logits that are averaged over pictures and their mirror images."""
TWICE = tuple(f"{word}{selectors.METHODS[name].title}" for word in KINDS if word for name in SEARCHES)
"""Rows of p bits that have a mirrored one beside them."""
CHANCE = "random codes"
MEASURES = ("map", "pessimistic", "optimistic", "precision_radius2", "empty_ball_rate", "reward", "calls")
"""Columns of a row that are averaged over draws and seeds."""
OF_EXPERIMENTS = {"accuracy": "accuracy of the decided class", "label_overlap": "overlap of decided and right labels"}
"""What `accuracy` finds, in words; the overlap is Jaccard's index."""


def mirrored(methods: Sequence[str]) -> tuple[str, ...]:
    """Names of the rows of mirrored logits beside these."""
    return tuple(f"{MIRRORED}{method}" for method in methods)


def without_code(method: str) -> bool:
    """Whether a row is a ranking without a code."""
    return method.removeprefix(MIRRORED) in CEILINGS


def of_one_length(method: str) -> bool:
    """Whether a row has nothing to do with p."""
    return without_code(method) or method.removeprefix(MIRRORED) in FIXED


def summarize(rows: list[dict]) -> pd.DataFrame:
    """One line a method and code length: means over experiments of the means over draws, and standard deviations.

    Returns:
        A frame with `method`, `bits`, `seeds` (how many experiments), the `MEASURES`, and standard deviations with
        n - 1 in the denominator: `map_sd` and `precision_radius2_sd` over experiments, `map_draw_sd` over the draws of
        one (their mean). NaN where there is one experiment, one draw, or no search.
    """
    by_seed = pd.DataFrame(rows).astype(dict.fromkeys(MEASURES, float))
    if "split" not in by_seed:
        by_seed["split"] = 0  # tables that were stored before there were several
    by_seed = by_seed.groupby(["method", "bits", "split", "seed"], sort=False)
    seeds = by_seed[list(MEASURES)].mean().groupby(["method", "bits"], sort=False)
    summary = seeds.mean()
    summary.insert(0, "seeds", seeds.size())
    deviations = seeds[["map", "precision_radius2"]].std().add_suffix("_sd")
    draws = by_seed["map"].std().groupby(["method", "bits"], sort=False).mean().rename("map_draw_sd")
    return summary.join(deviations).join(draws).reset_index()


def markdown(args: results.Args, rows: list[dict], abouts: Sequence[dict] = ()) -> str:
    """The table for people: mAP by method and p, then every measure of every code length.

    Args:
        args: of the table.
        rows: of its experiments.
        abouts: what `describe` says of each of them, for the caption.
    """
    summary = summarize(rows).set_index(["method", "bits"])
    lengths = [f"{n_bits} bits" for n_bits in args.lengths]
    by_length = [[name, *cells] for name, cells in _by_length(args, summary)]
    detail = [_detail(method, bits, line) for (method, bits), line in summary.iterrows() if bits]
    columns = ("method", "bits", "mAP", "pessimistic to optimistic", "P@H<=2", "empty balls")
    return "\n".join(
        [
            _caption(args, rows, abouts),
            "",
            *markdown_table(("method", *lengths), by_length),
            "",
            "The same codes, with the range over all orders of tied items, and inside Hamming radius 2:",
            "",
            *markdown_table(columns, detail),
            "",
        ]
    )


def _caption(args: results.Args, rows: list[dict], abouts: Sequence[dict]) -> str:
    """What was measured on what; the sizes are the same in every row."""
    row, scope = rows[0], f"the first {args.top_n:,} items" if args.top_n else "the whole database"
    data = " ".join([args.dataset, *args.options])
    return (
        f"**{data}**: {row['n_queries']:,} queries ({row['queries_without_relevant']} without a relevant picture left "
        f"out), {row['n_database']:,} database pictures, training pictures "
        f"{'among them' if row['training_in_database'] else 'not among them'}. mAP over {scope}, tied items in "
        f"expectation; mean ± standard deviation over {spread_over(rows)}. Bits are kept of "
        f"{args.code_length}.{' Target codes: literal.' if args.literal else ''}{in_words(abouts)}"
    )


def spread_over(rows: list[dict]) -> str:
    """The experiments of some rows, in words: "seeds 0, 1, 2"."""
    found = []
    for name in ("seed", "split"):
        values = [*dict.fromkeys(row.get(name, 0) for row in rows)]
        if name == "seed" or values != [0]:
            found.append(f"{name if len(values) == 1 else f'{name}s'} {', '.join(map(str, values))}")
    return " and ".join(reversed(found))


def in_words(abouts: Sequence[dict]) -> str:
    """What `describe` says of experiments, as a sentence with a space before it; nothing of none."""
    found = pd.DataFrame([*abouts])
    said = []
    for name, words in OF_EXPERIMENTS.items():
        both = {column: plus_minus(found[column].mean(), found[column].std())
                for column in (name, f"mirrored_{name}") if column in found}  # fmt: skip
        said += [f"{words} {value}" for column, value in both.items() if column == name]
        said += [f"with mirrored logits {value}" for column, value in both.items() if column != name]
    if "cpu_hours" in found and found["cpu_hours"].notna().all():
        apart = ", the features of the frozen trunk apart" if found["frozen"].all() else ""
        said.append(f"{found['cpu_hours'].mean():.2g} CPU hours each for fitting and encoding{apart}")
    if not said:
        return ""
    sentence = ", ".join(said)
    return f" {sentence[0].upper()}{sentence[1:]}."


def _by_length(args: results.Args, summary: pd.DataFrame) -> Iterator[tuple[str, list[str]]]:
    """Rows of the first table; methods of fixed length, and those without a code, say the same in every column."""
    for method in args.methods:
        if method not in summary.index:
            continue
        if of_one_length(method):
            (bits, line), *_ = summary.loc[method].iterrows()
            size = f"{bits} bits" if bits else "no code"
            yield f"{method} ({size})", [plus_minus(line["map"], line["map_sd"])] * len(args.lengths)
            continue
        found = summary.loc[method]
        lines = [found.loc[n_bits] if n_bits in found.index else None for n_bits in args.lengths]
        yield method, ["" if line is None else plus_minus(line["map"], line["map_sd"]) for line in lines]
        if method == "random":
            deviations = [line["map_draw_sd"] for line in lines]
            yield f"its spread over {args.subsets} subsets", ["" if sd != sd else f"± {sd:.3f}" for sd in deviations]


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
