"""What is said of the rows that `unseen` measures: means over draws, gains within a draw, tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from hashlib_nb.experiments.result_tables import markdown_table, plus_minus

SIDES = {"map": False, "map_seen": True}
"""What a row is measured on: whether query and database pictures are those of the classes that were seen."""
FIXED = ("all bits", "thermometer all bits")
"""Rows of codes whose length does not depend on p."""
ABOUT = """## Classes that nobody trained on

Sablayrolles et al. (2016, arXiv 1609.06753): some classes are left out of the training pictures, other ones in each
draw, and query and database pictures that show them are searched for these alone. Queries keep their own codes, and a
choice of bits is paid by the other classes. *Features* are a frozen trunk's, *pixels* those of the pictures: no label
has touched either. *LSH* takes sides of random hyperplanes in them, a *cosine* is a ranking without a code. The columns
of *seen* classes have the same codes on the other query and database pictures. Mean ± standard deviation over draws.
These differ more than methods do, so the *gain* is taken within each draw: mAP on the unseen classes less that of all
bits at one half."""
"""What begins the tables."""
TITLES = {"map": "unseen classes", "gain": "gain over all bits", "map_seen": "seen classes"}
"""Columns of the summary, as the tables for people name them."""


def summarize(rows: list[dict]) -> pd.DataFrame:
    """One line a method and code length: means over seeds of the means over draws, and the seeds' deviations.

    Returns:
        A frame with `method`, `bits`, `seeds` (how many), `map`, `map_seen`, and `gain`: how far `map` is above that of
        all bits in the same draw of classes. Their standard deviations over the seeds are `map_sd` and so on, NaN where
        there is one. The thermometer bits that differ are another number in each draw; `bits` is their mean.
    """
    frame = pd.DataFrame(rows)
    fixed = frame["method"].isin(FIXED)
    frame.loc[fixed, "bits"] = frame[fixed].groupby("method")["bits"].transform("mean").round().astype(int)
    seeds = frame.groupby(["method", "bits", "seed"], sort=False)[[*SIDES]].mean()
    whole = seeds["map"].xs(FIXED[0], level="method").droplevel("bits")
    seeds["gain"] = seeds["map"] - whole.loc[seeds.index.get_level_values("seed")].to_numpy()
    seeds = seeds.groupby(["method", "bits"], sort=False)
    summary = seeds.mean()
    summary.insert(0, "seeds", seeds.size())
    return summary.join(seeds.std().add_suffix("_sd")).reset_index()


def markdown(records: Sequence[dict]) -> list[str]:
    """Lines for results/README.md: what was done, and a table for each stored record."""
    lines = [ABOUT]
    for record in records:
        lengths = record["args"]["lengths"]
        columns = [f"{title}, {n_bits} bits" for title in TITLES.values() for n_bits in lengths]
        cells = [[method, *found] for method, found in _cells(summarize(record["rows"]), lengths)]
        lines += ["", _caption(record), "", *markdown_table(("method", *columns), cells)]
    return lines


def _caption(record: dict) -> str:
    """What was measured on what."""
    args, rows = record["args"], pd.DataFrame(record["rows"])
    draws = rows.drop_duplicates("seed")
    left_out = "; ".join(f"seed {row['seed']}: {', '.join(row['classes'])}" for _, row in draws.iterrows())

    def sizes(name: str) -> str:
        low, high = draws[name].min(), draws[name].max()
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    return (
        f"**{' '.join([args['dataset'], *args['options']])}; {args['arch']}.** {args['n_unseen']} classes are left out "
        f"({left_out}). Fitted to {sizes('n_train')} training pictures that show none of them. Unseen: "
        f"{sizes('n_query')} queries, {sizes('n_database')} database pictures that show one, relevant by these classes "
        f"alone; seen: the other {sizes('n_query_seen')} and {sizes('n_database_seen')}, searched with the same codes."
    )


def _cells(summary: pd.DataFrame, lengths: Sequence[int]) -> Iterator[tuple[str, list[str]]]:
    """Name and cells of each method; what has a length of its own says the same in each column of a side."""
    for method, found in summary.groupby("method", sort=False):
        found = found.set_index("bits")
        alone = found.iloc[0] if method in FIXED or found.index[0] == 0 else None
        size = "" if alone is None else f", {found.index[0]:,} bits" if found.index[0] else ", no code"
        cells = []
        for column in TITLES:
            for n_bits in lengths:
                line = alone if alone is not None else found.loc[n_bits] if n_bits in found.index else None
                cells.append("" if line is None else plus_minus(line[column], line[f"{column}_sd"]))
        yield f"{method}{size}", cells
