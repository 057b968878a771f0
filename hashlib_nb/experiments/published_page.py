"""The page results/README.md: every stored table as markdown, whole, from the JSON files in `results/` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hashlib_nb import artifacts
from hashlib_nb.experiments import (
    ablation,
    comparison,
    published_text,
    questions,
    results,
    reward_rows,
    rivals,
    robustness,
    tuning,
    unseen,
)

COMPARED = {
    "comparison-fashion-mini": "Fashion-MNIST, 6,000 pictures",
    "comparison-cifar10": "CIFAR-10, protocol 54k; frozen EfficientNet-Lite0 at 128 px",
}
QUESTIONS = "questions-fashion-mini"
"""Name of the JSON file that `hashlib-nb questions` makes."""
REWARD_ROWS = "reward-rows-cifar10"
"""Name of the JSON file that `hashlib-nb reward_rows` makes."""
THESIS_LENGTHS = (16, 32, 48, 64)
THESIS = {
    "CIFAR-10": (0.727, 0.790, 0.788, 0.780),
    "MS-COCO": (0.748, 0.767, 0.790, 0.776),
}
"""Table 4.1, the row "Ours": mAP at `THESIS_LENGTHS` with AlexNet."""
BESIDE_THESIS = {"cifar10": "CIFAR-10"}
"""Data sets whose tables have the thesis' numbers as a line: pictures and protocol are the thesis'."""
SHOWN = {
    "fashion-mini": ("Fashion-MNIST, 6,000 pictures", "`alexnet_small` from random weights"),
    "cifar10-tuned": ("CIFAR-10, protocol 54k", "EfficientNet-Lite2, tuned at 160 px"),
    "cifar10-frozen": ("CIFAR-10, protocol 54k", "frozen EfficientNet-Lite0 at 128 px"),
    "cifar10-frozen-splits": ("CIFAR-10, three splits of protocol 54k", "frozen EfficientNet-Lite0 at 128 px"),
    "coco18-frozen": ("COCO-18", "frozen EfficientNet-Lite0 at 160 px"),
    "coco18-no-person-frozen": ("COCO-18 without person", "frozen EfficientNet-Lite0 at 160 px"),
}
HEADS = {"coco18-labels": "coco18-frozen", "coco18-no-person-labels": "coco18-no-person-frozen"}
"""Tables of encoders with an output a label, each beside that of the same pictures with an output a target bit."""
BESIDE_HEADS = ("decided greedy", "decided by p bits", "thermometer greedy", "greedy")
"""Rows that are shown of both, with the ceilings."""
CURVES = ("cifar10-tuned", "cifar10-frozen", "coco18-frozen", "coco18-no-person-frozen")
"""Tables whose mAP is drawn against bits."""
FREE = ("cifar10-frozen",)
"""Those whose drawing the page shows: COCO's photographs belong to those who took them."""
RIVALS_SHOWN = {
    "rivals-cifar10": "CIFAR-10, protocol 54k; frozen EfficientNet-Lite0 at 128 px",
    "rivals-cifar10-tuned": "CIFAR-10, protocol 54k; EfficientNet-Lite2, tuned on all training rows, then frozen",
    "rivals-coco18": "COCO-18; frozen EfficientNet-Lite0 at 160 px",
    "rivals-coco18-no-person": "COCO-18 without person; frozen EfficientNet-Lite0 at 160 px",
    "rivals-unseen-cifar10": "Three classes of CIFAR-10 that nobody trained on; frozen EfficientNet-Lite0 at 128 px",
}


def folder() -> Path:
    """Where the stored results lie."""
    return artifacts.project_root() / "results"


def stored(name: str) -> dict[str, Any] | None:
    """The record of a table in `folder`; None where it is not stored."""
    path = folder() / f"{name}.json"
    return artifacts.load_json(path) if path.exists() else None


def _stored_like(pattern: str) -> list[dict[str, Any]]:
    """The records of all tables whose names are like this, by name."""
    return [artifacts.load_json(path) for path in sorted(folder().glob(f"{pattern}.json"))]


def _summary(record: Mapping[str, Any]) -> pd.DataFrame:
    """Means over seeds; the deviation of a single seed, which is null in the file, is NaN."""
    return pd.DataFrame(record["summary"]).astype({"map_sd": float})


def gains(bits: int = 16) -> str:
    """From where to where greedy's bits are ahead of random ones over all stored tables, in points of mAP, by kind."""
    kinds = {"": "at one half", "thermometer ": "thermometer", "decided ": "decided thermometer"}
    found: dict[str, list[float]] = {}
    for record in filter(None, map(stored, SHOWN)):
        means = _summary(record).set_index(["method", "bits"])["map"]
        for kind, name in kinds.items():
            if (f"{kind}greedy", bits) in means.index:
                points = 100 * (means[f"{kind}greedy", bits] - means[f"{kind}random", bits])
                found.setdefault(name, []).append(points)
    return ", ".join(f"{name} {min(points):.1f} to {max(points):.1f} points" for name, points in found.items())


def spread_of_splits() -> str:
    """How many times as far rows of frozen CIFAR-10 spread over splits as over seeds: median over rows."""
    records = [stored(name) for name in ("cifar10-frozen-splits", "cifar10-frozen")]
    if None in records:
        return "?"
    splits, seeds = (_summary(record).set_index(["method", "bits"])["map_sd"] for record in records)
    return f"{(splits / seeds).median():.1f}"


def map_tables() -> list[str]:
    """mAP by length: a table for each stored file and the thesis' numbers, as lines of markdown."""
    lines = []
    for name, (data, encoder) in SHOWN.items():
        if record := stored(name):
            summary, lengths = _summary(record), record["args"]["lengths"]
            rows = [*_rows(summary, lengths), *_of_the_thesis(record["args"]["dataset"], lengths)]
            table = results.markdown_table(("method", *_columns(lengths)), rows)
            lines += [
                _caption(data, encoder, record),
                "",
                *table,
                "",
                verdict(summary, lengths),
                "",
                *_figures_of(name),
            ]
    numbers = [[data, *(f"{score:.3f}" for score in scores)] for data, scores in THESIS.items()]
    about = "**What the thesis reports** (Table 4.1, AlexNet; mAP@54,000 on CIFAR-10, mAP@5,000 on all of MS-COCO):"
    return [*lines, about, "", *results.markdown_table(("data", *_columns(THESIS_LENGTHS)), numbers)]


def _figures_of(name: str) -> list[str]:
    """Figures of a table, as lines of markdown."""
    data = SHOWN[name][0]
    curves = f"{data}: mAP against bits, a line for each way to choose, with ceilings and chance"
    alts = {"map_by_length": curves} if name in CURVES else {}
    alts |= {"nearest": f"{data}: two good and two bad queries with their nearest pictures"} if name in FREE else {}
    return [line for what, alt in alts.items() for line in (f"![{alt}](../figures/{figure_name(name, what)}.png)", "")]


def verdict(summary: pd.DataFrame, lengths: Sequence[int]) -> str:
    """Which rows are ahead at each length, of mirrored ones none, and what was there to be had: a sentence or two."""
    means = summary.set_index(["method", "bits"])["map"]
    there = {*summary["method"]}
    kinds = {
        "": [method for method in results.SELECTED if method in there and method != "oracle"],
        "symmetric": [method for method in results.SELECTED if method in there and method.startswith("thermometer")],
        "at one half": [method for method in (*results.CHOSEN, "first p", "direct") if method in there],
    }
    said = []
    for kind, methods in kinds.items():
        if not methods or (kind and len(methods) == len(kinds[""])):
            continue
        by_method: dict[str, list[int]] = {}
        for bits in lengths:
            by_method.setdefault(_ahead(means, methods, bits), []).append(bits)
        ahead = [
            f"{method} at {_and(led)} ({', '.join(f'{means[method, bits]:.3f}' for bits in led)})"
            for method, led in by_method.items()
        ]
        said.append(f"{kind or 'most mAP'}: {', '.join(ahead)}")
    to_be_had = [f"the {name} {means[name].iloc[0]:.3f}" for name in results.CEILINGS if name in there]
    if "oracle" in there:
        to_be_had.insert(0, f"the oracle of the choice {means['oracle', lengths[-1]]:.3f} with {lengths[-1]} bits")
    words = "; ".join(said)
    had = f" There to be had: {', '.join(to_be_had)}." if to_be_had else ""
    return f"{words[0].upper()}{words[1:]}.{had}"


def _ahead(means: pd.Series, methods: Sequence[str], bits: int) -> str:
    """The method of these with most mAP at a length."""
    there = [method for method in methods if (method, bits) in means.index]
    return max(there, key=lambda method: means[method, bits])


def _and(numbers: Sequence[int | str]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _of_the_thesis(dataset: str, lengths: Sequence[int]) -> list[list[str]]:
    """The thesis' numbers as a row, where the pictures and the protocol are the thesis'."""
    if dataset not in BESIDE_THESIS:
        return []
    scores = dict(zip(THESIS_LENGTHS, THESIS[BESIDE_THESIS[dataset]], strict=True))
    cells = [f"{scores[bits]:.3f}" if bits in scores else "" for bits in lengths]
    return [["the thesis: AlexNet on a GPU, where ours is another network and no GPU", *cells]]


def _columns(lengths: Sequence[int]) -> list[str]:
    return [f"{bits} bits" for bits in lengths]


def _caption(data: str, encoder: str, record: dict) -> str:
    rows = record["rows"]
    first = rows[0]
    inside = "in it" if first["training_in_database"] else "not in it"
    return (
        f"**{data}; {encoder}.** {first['n_queries']:,} queries, {first['n_database']:,} database pictures, training "
        f"pictures {inside}; {results.spread_over(rows)}.{results.in_words(record.get('experiments', ()))}"
    )


def _rows(summary: pd.DataFrame, lengths: Sequence[int]) -> list[list[str]]:
    """One row a method; the row under PPO's says how far the order of ties could move it."""
    found, methods = [], {*summary["method"]}
    for method in (method for method in results.Args(mirrored=True).methods if method in methods):
        part = summary[summary["method"] == method]
        rows = [row for _, row in part.sort_values("bits").iterrows()]
        if results.of_one_length(method):
            size = f"{rows[0]['bits']} bits" if rows[0]["bits"] else "no code"
            found.append([f"{method}, {size}", *[_mean(rows[0])] * len(lengths)])
            continue
        found.append([method, *map(_mean, rows)])
        if method.endswith("PPO") and not method.startswith(results.MIRRORED):
            bracket = [f"{row['pessimistic']:.3f} to {row['optimistic']:.3f}" for row in rows]
            found.append([f"{method}, all orders of ties", *bracket])
    return found


def _mean(row: pd.Series) -> str:
    return results.plus_minus(row["map"], row["map_sd"])


def heads_tables() -> list[str]:
    """What an output a label does beside an output a target bit, as lines of markdown."""
    lines = []
    for labels, bits in HEADS.items():
        records = {"labels": stored(labels), "bits": stored(bits)}
        if None in records.values():
            continue
        lengths = records["bits"]["args"]["lengths"]
        summaries = {head: _summary(record) for head, record in records.items()}
        overlaps = [
            f"{np.mean([about['label_overlap'] for about in record['experiments']]):.3f} by {head}"
            for head, record in records.items()
        ]
        said = f"{_heads_verdict(summaries, lengths)} Overlap of decided and right labels {', '.join(overlaps)}."
        table = results.markdown_table(("method, outputs", *_columns(lengths)), _heads_rows(summaries, lengths))
        lines += [f"**{SHOWN[bits][0]}.** {said}", "", *table, ""]
    return [published_text.HEADS, "", *lines] if lines else []


def _heads_rows(summaries: Mapping[str, pd.DataFrame], lengths: Sequence[int]) -> list[list[str]]:
    """Rows of both heads, those of a method beneath each other."""
    rows = []
    for method in (*BESIDE_HEADS, *results.CEILINGS):
        for head, summary in summaries.items():
            part = summary[summary["method"] == method].sort_values("bits")
            cells = [_mean(row) for _, row in part.iterrows()]
            if cells:
                rows.append([f"{method}, {head}", *(cells * len(lengths) if results.of_one_length(method) else cells)])
    return rows


def _heads_verdict(summaries: Mapping[str, pd.DataFrame], lengths: Sequence[int]) -> str:
    """Which head's best row, of those that chose no bits on test pictures, has most mAP at each length."""
    methods = [method for method in results.SELECTED if method != "oracle"]
    led: dict[str, list[str]] = {}
    for bits in lengths:
        best = {}
        for head, summary in summaries.items():
            means = summary.set_index(["method", "bits"])["map"]
            best[head] = means[_ahead(means, methods, bits), bits]
        first, second = sorted(best, key=best.get, reverse=True)
        led.setdefault(first, []).append(f"{bits} ({best[first]:.3f} against {best[second]:.3f})")
    return f"Best row ahead: {'; '.join(f'{head} at {_and(at)}' for head, at in led.items())}."


def rivals_tables() -> list[str]:
    """Other people's codes on one trunk, as lines of markdown."""
    lines = []
    for name, words in RIVALS_SHOWN.items():
        if record := stored(name):
            lines += [f"**{words}.** {rivals.verdict(record)}", "", *rivals.markdown(record)]
    return [published_text.AGAINST, "", *lines] if lines else []


def reward_rows_tables() -> list[str]:
    """Who should pay for a choice, and what a last layer should be fitted to, as lines of markdown."""
    record = stored(REWARD_ROWS)
    return [published_text.PAYING, "", *reward_rows.markdown(record), ""] if record else []


def unseen_tables() -> list[str]:
    """Retrieval of classes that nothing was fitted to, as lines of markdown."""
    records = _stored_like("unseen-*")
    return [*unseen.markdown(records), ""] if records else []


def lists_table() -> list[str]:
    """What stage 1 makes of the published lists, means over seeds, as lines of markdown."""
    records = _stored_like("stage1-*")
    if not records:
        return []
    columns = ("list", "rows", "concepts", "label sets", "above the bound", "distinct codes", "codes a set")
    rows = []
    for name, part in pd.DataFrame(records).groupby("labels", sort=False):
        part = part.astype({"gap": float})  # None where the bound is 0
        mean = part.mean(numeric_only=True)
        counts = [f"{mean[column]:,.0f}" for column in ("n", "concepts", "label_sets")]
        gap = f"{100 * mean['gap']:.1f} ± {100 * part['gap'].std():.1f}%"
        gap = "no gap: the bound is 0" if np.isnan(mean["gap"]) else gap
        memory = f"{mean['peak_memory_mb']:,.0f} MB"
        codes_made = [f"{mean['distinct_codes']:,.0f}", f"{mean['codes_per_label_set']:.2f}"]
        rows.append([name, *counts, gap, *codes_made, f"{mean['seconds']:.0f}", memory])
    return results.markdown_table((*columns, "seconds", "memory"), rows)


def robustness_tables() -> list[str]:
    """Perceptual hashes under attack, as lines of markdown."""
    lines = [line for record in _stored_like("robustness-*") for line in (*robustness.markdown(record), "")]
    return [published_text.ATTACKED, "", *lines] if lines else []


def comparison_tables() -> list[str]:
    """PPO against the other searches, as lines of markdown."""
    lines = []
    for name, data in COMPARED.items():
        if record := stored(name):
            seeds = sorted({row["pool_seed"] for row in record["runs"]})
            lines += [f"**{data}**, pool seeds {', '.join(map(str, seeds))}.", "", *comparison.markdown(record), ""]
    for record in _stored_like("ablation-*"):
        lines += [published_text.PARTS, "", *ablation.markdown(record), ""]
    for record in _stored_like("tuning-*"):
        lines += [published_text.TUNED, "", *tuning.markdown(record), ""]
    return [published_text.SEARCHES, "", *lines] if lines else []


def questions_found() -> pd.DataFrame | None:
    """Means over seeds of what `hashlib-nb questions` found; None where it is not stored."""
    record = stored(QUESTIONS)
    return questions.summarize(record["rows"]) if record else None


def questions_tables() -> list[str]:
    """What bits should ask, and on how many rows, as lines of markdown."""
    found = questions_found()
    if found is None:
        return []
    lengths = sorted({*found.loc[found["study"] == "dichotomies", "bits"]})
    lines = []
    for (study, what, kind, levels), part in found.groupby(["study", "what", "kind", "levels"], sort=False):
        if study == "rows":
            continue
        cells = {row["bits"]: results.plus_minus(row["map"], row["map_sd"]) for _, row in part.iterrows()}
        if not {*cells} & {*lengths} or what in (*results.FIXED, *results.CEILINGS):
            cells = dict.fromkeys(lengths, *cells.values())
        words = ", ".join(filter(None, (what, kind, levels if levels == "quantiles" else "")))
        lines.append([words, *(cells.get(bits, "") for bits in lengths)])
    rows = found[found["study"] == "rows"]
    counts = sorted({*rows["rows"]})
    by_rows = []
    for kind, part in rows.groupby("kind", sort=False):
        part = part.set_index("rows")
        for measure, title in {"reward": "reward", "map": "test"}.items():
            cells = [results.plus_minus(part.loc[n, measure], part.loc[n, f"{measure}_sd"]) for n in counts]
            by_rows.append([f"{kind}, {title}", *cells])
    return [
        *results.markdown_table(("what is asked", *_columns(lengths)), lines),
        "",
        published_text.ROWS,
        "",
        *results.markdown_table((f"{rows['bits'].iloc[0]} bits", *(f"{int(n):,} rows" for n in counts)), by_rows),
    ]


def markdown() -> str:
    """The text of results/README.md, from the files in `results/` alone."""
    about = [published_text.ASKED, "", *questions_tables(), ""] if questions_found() is not None else []
    return "\n".join(
        [
            published_text.INTRODUCTION,
            "",
            *map_tables(),
            *heads_tables(),
            "",
            *rivals_tables(),
            *comparison_tables(),
            *reward_rows_tables(),
            *unseen_tables(),
            *about,
            *robustness_tables(),
            *lists_table(),
            "",
            published_text.NOTES.replace("{gains}", gains()).replace("{splits}", spread_of_splits()),
            "",
        ]
    )


def figure_name(table: str, what: str) -> str:
    """The name of a stored table's figure, without ending."""
    return f"{table.replace('-', '_')}_{what}"
