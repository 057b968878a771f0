"""What is said of the rows that `rivals` measures: differences with their intervals, tables, the verdict.

Beside them stands what the thesis prints (`PRINTED`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import stats

from hashlib_nb import baselines
from hashlib_nb.experiments import duels
from hashlib_nb.experiments.result_tables import markdown_table, plus_minus

if TYPE_CHECKING:
    from hashlib_nb.experiments import rivals

KINDS = ("outputs", "thermometer", "thermometer, decided")
"""What a row's codes are."""
REFERENCES = ("random codes", "class index", "ceiling", "decided ceiling")
"""Rows that are no method's."""
OURS = "thesis"
"""Whom every other method is compared with."""
PRINTED = {
    "cifar10": {
        "sdh": {16: 0.461, 32: 0.520, 48: 0.553, 64: 0.568},
        "cnnh": {16: 0.476, 32: 0.472, 48: 0.489, 64: 0.501},
        "dnnh": {16: 0.559, 32: 0.558, 48: 0.581, 64: 0.583},
        "hashnet": {16: 0.643, 32: 0.667, 48: 0.675, 64: 0.687},
        "HashGAN": {16: 0.668, 32: 0.731, 48: 0.735, 64: 0.749},
        "thesis": {16: 0.727, 32: 0.790, 48: 0.788, 64: 0.780},
    },
    "cifar10, VGG-19": {
        "drlih": {12: 0.816, 24: 0.843, 32: 0.855, 48: 0.853},
        "thesis": {12: 0.857, 24: 0.876, 32: 0.881, 48: 0.883},
    },
}
"""The thesis' Tables 4.1 (AlexNet) and 4.2: mAP@54,000 by bits, of encoders that were tuned on a GPU."""


def differences(precisions: Mapping[tuple, np.ndarray], args: rivals.Args) -> list[dict]:
    """Ours less each rival, of one kind and length, paired by seed and by query.

    Returns:
        Rows of `difference` (mean over seeds), `low` and `high` (Student's t over seeds, 95%), `query_low` and
        `query_high` (the queries drawn again, 95%: `duels.resampled`), and `p`, of the t
        test, corrected by Holm's rule for all rivals of that kind and length; None where there is one seed.
    """
    found, by_query = [], []
    for kind, bits in itertools.product(KINDS, args.lengths):
        rows = []
        for name in args.names[1:]:
            pairs = [
                (precisions[OURS, kind, bits, seed], precisions[name, kind, bits, seed])
                for seed in args.seeds
                if (OURS, kind, bits, seed) in precisions and (name, kind, bits, seed) in precisions
            ]
            if pairs:
                each = [ours - other for ours, other in pairs]
                rows.append({"rival": name, "kind": kind, "bits": bits} | _over_seeds(each))
                by_query.append(each)
        corrected = duels.holm([np.nan if row["p"] is None else row["p"] for row in rows])
        found += [row | {"p": None if np.isnan(p) else float(p)} for row, p in zip(rows, corrected, strict=True)]
    for row, each in zip(found, by_query, strict=True):
        if len({*map(len, each)}) == 1:  # other queries in each draw of unseen classes
            row |= dict(zip(("query_low", "query_high"), duels.resampled(np.nanmean(each, axis=0)), strict=True))
    return found


def _over_seeds(by_query: Sequence[np.ndarray]) -> dict[str, float | None]:
    """Mean of differences float64 [q], one array a seed, and Student's t of the seeds' means."""
    by_seed = np.array([np.nanmean(each) for each in by_query])
    found: dict[str, float | None] = {"difference": float(by_seed.mean()), "low": None, "high": None, "p": None}
    if len(by_seed) > 1 and by_seed.std() > 0:
        test = stats.ttest_1samp(by_seed, 0)
        found |= dict(zip(("low", "high"), map(float, test.confidence_interval()), strict=True))
        found["p"] = float(test.pvalue)
    return found


def summarize(rows: list[dict]) -> pd.DataFrame:
    """Means over seeds, and standard deviations of mAP, a line for each method, kind and code length."""
    frame = pd.DataFrame(rows)
    grouped = frame.groupby(["method", "kind", "bits"], sort=False)
    return grouped["map"].agg(["mean", "std", "size"]).reset_index()


def title(name: str) -> str:
    """What tables call a method or a reference row."""
    return name if name in REFERENCES else baselines.method(name).TITLE


def markdown(record: Mapping[str, Any]) -> list[str]:
    """A stored record as lines of markdown: mAP by kind, the best first, beside what the thesis printed."""
    found, about = summarize(record["rows"]), record["args"]
    lengths, lines = about["lengths"], []
    columns = ("method", *(f"{bits} bits" for bits in lengths))
    by_row = found.set_index(["method", "kind", "bits"])
    for kind in KINDS:
        part = found[found["kind"] == kind]
        if part.empty:
            continue
        last = part[part["bits"] == part["bits"].max()].sort_values("mean", ascending=False)
        cells = [[title(name), *(_cell(by_row, name, kind, bits) for bits in lengths)] for name in last["method"]]
        lines += [f"*{kind}*", "", *markdown_table(columns, cells), ""]
    reference = found[found["kind"] == "reference"]
    said = [
        f"{name} {plus_minus(row['mean'], row['std'])}" + f" ({row['bits']} bits)" * bool(row["bits"])
        for name in REFERENCES
        for _, row in reference[reference["method"] == name].tail(1).iterrows()
    ]
    lines += [f"For comparison: {'; '.join(said)}.", "", *paid(record["rows"])]
    return lines if about.get("n_unseen") else lines + printed(about["dataset"], lengths)  # which are of seen classes


def paid(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What held-out rows paid for the bits that were kept, beside the test's word, where the rows say it."""
    found = pd.DataFrame([row for row in rows if "reward" in row])
    said = [
        f"*{kind}* {part['reward'].min():.3f} to {part['reward'].max():.3f} where the test says "
        f"{part['map'].min():.3f} to {part['map'].max():.3f}"
        for kind, part in (found.groupby("kind", sort=False) if len(found) else ())
    ]
    return [f"Held-out rows paid for the bits that were kept: {'; '.join(said)}.", ""] if said else []


def _cell(by_row: pd.DataFrame, name: str, kind: str, bits: int) -> str:
    if (name, kind, bits) not in by_row.index:
        return ""
    row = by_row.loc[(name, kind, bits)]
    return plus_minus(row["mean"], row["std"])


def verdict(record: Mapping[str, Any]) -> str:
    """What follows of a stored record: who leads, where ours stands, and whether the printed order holds."""
    found, about = summarize(record["rows"]), record["args"]
    longest, said = max(about["lengths"]), []
    for kind in KINDS:
        means = found[(found["kind"] == kind) & (found["bits"] == longest)].set_index("method")["mean"]
        means = means.sort_values(ascending=False)
        if OURS in means:
            place = list(means.index).index(OURS) + 1
            best = f"{title(means.index[0])} leads with {means.iloc[0]:.3f}"
            said.append(f"{kind}: {best}, the thesis is {place} of {len(means)} with {means[OURS]:.3f}")
    words = f"At {longest} bits, {'; '.join(said)}."
    rows = [r for r in record["differences"] if r["kind"] == KINDS[0] and r["bits"] == longest and r["p"] is not None]
    if rows:
        for sign, verb in ((1, "behind"), (-1, "ahead of")):
            names = [title(r["rival"]) for r in rows if r["p"] < 0.05 and sign * r["difference"] > 0]
            words += f" Surely {verb} the thesis (outputs, Holm): {', '.join(names) or 'none'}."
    same = {} if about.get("n_unseen") else PRINTED.get(about["dataset"], {})
    order = {name: by for name, by in same.items() if longest in by}
    outputs = found[(found["kind"] == KINDS[0]) & (found["bits"] == longest)].set_index("method")["mean"]
    order = {name.replace("HashGAN", "hashgan_pairs"): by[longest] for name, by in order.items()}
    both = [name for name in order if name in outputs.index]
    if len(both) > 2:
        rank = stats.spearmanr([order[name] for name in both], [outputs[name] for name in both]).statistic
        words += (
            f" Of {len(both)} methods the thesis prints a number; their order there and here correlates by {rank:.2f}."
        )
    return words


def printed(dataset: str, lengths: Sequence[int]) -> list[str]:
    """What the thesis prints of a data set, as lines of markdown."""
    lines = []
    for table, by_method in PRINTED.items():
        if table.split(",")[0] != dataset or not any(bits in by for by in by_method.values() for bits in lengths):
            continue
        cells = [
            [title(name) if name in baselines.names() else name, *(f"{by[b]:.3f}" if b in by else "" for b in lengths)]
            for name, by in by_method.items()
        ]
        lines += [
            f"*Printed in the thesis ({table.partition(', ')[2] or 'AlexNet'}, tuned on a GPU; mAP@54,000)*", "",
            *markdown_table(("method", *(f"{bits} bits" for bits in lengths)), cells), "",
        ]  # fmt: skip
    return lines
