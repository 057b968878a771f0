"""Stored tables, the course's and those on real photographs: what makes them, where they lie, how they are shown.

python -m hashlib_nb published --cifar10 DIR --coco DIR --lists DIR    # make what its folders are given for (hours)
python -m hashlib_nb published --only fashion-mini                     # make the course's own (6 minutes)
python -m hashlib_nb published --cifar10 DIR --plan                    # say what that would take, and make nothing
python -m hashlib_nb published                                         # show what is stored
python -m hashlib_nb published --figures                               # and draw the figures of the pages

Each table is one JSON file in `results/`: the command that made it, every row, where and with what it was made. It is
written after each seed, and a table that was cut off goes on with the seeds that are missing. `markdown` makes
results/README.md of them, whole, and a test compares the two.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hashlib_nb import artifacts, codes, plots
from hashlib_nb.encoder import Settings
from hashlib_nb.experiments import (
    ablation,
    comparison,
    plan,
    published_figures,
    published_text,
    results,
    reward_rows,
    rivals,
    robustness,
    unseen,
)
from hashlib_nb.experiments import questions as asked

COCO = ("query=1000", "train=4000", "train_from_database=false", "size=160")
PHOTOGRAPHS = results.Args(lengths=(8, 16, 32, 48, 64))
FROZEN = replace(PHOTOGRAPHS, settings=Settings(arch="efficientnet_lite0_frozen", size=160))
LABELS = replace(FROZEN, settings=replace(FROZEN.settings, outputs="labels"))
CIFAR10 = replace(FROZEN, dataset="cifar10", settings=replace(FROZEN.settings, size=128))
TABLES = {
    "fashion-mini": results.Args(workers=2),
    "cifar10-tuned": replace(PHOTOGRAPHS, dataset="cifar10", settings=Settings(recipe="tuned")),
    "cifar10-frozen": CIFAR10,
    "cifar10-frozen-splits": replace(CIFAR10, seeds=(0,), splits=(0, 1, 2)),
    "coco18-frozen": replace(FROZEN, dataset="coco", options=COCO),
    "coco18-no-person-frozen": replace(FROZEN, dataset="coco", options=(*COCO, "exclude=person")),
    "coco18-labels": replace(LABELS, dataset="coco", options=COCO),
    "coco18-no-person-labels": replace(LABELS, dataset="coco", options=(*COCO, "exclude=person")),
}
"""Name of the JSON file and the arguments of `hashlib_nb.results`, but for `root` and `out`."""
TRIALS = Path("results", "rivals-cifar10.json")
"""Where the settings of other people's methods come from, for every data set."""
ELSEWHERE = rivals.Args(dataset="coco", options=COCO, lengths=(16, 64), trials=TRIALS, settings=FROZEN.settings)
RIVALS = {
    "rivals-cifar10": rivals.Args(dataset="cifar10", seeds=(0,), settings=CIFAR10.settings),
    "rivals-coco18": ELSEWHERE,
    "rivals-coco18-no-person": replace(ELSEWHERE, options=(*COCO, "exclude=person")),
    "rivals-unseen-cifar10": rivals.Args(
        dataset="cifar10", lengths=(64,), n_unseen=3, trials=TRIALS, settings=CIFAR10.settings
    ),
}
"""The same of `hashlib_nb.rivals`; they follow the tables that they take their settings from."""
SEARCHED = comparison.Args(
    pools=("thermometer", "symmetric"),
    lengths=(16,),
    seeds=(0, 1),
    budgets=(100, 300, 1000, 5000),
    methods=(
        "ppo", "untrained", "swap", "greedy", "annealing", "cem", "stochastic_greedy", "surrogate", "random_search",
        "mrmr", "entropy", "random",
    ),
    workers=1,
)  # fmt: skip
COMPARISONS = {
    "comparison-fashion-mini": replace(SEARCHED, pool_seeds=tuple(range(10))),
    "comparison-cifar10": replace(SEARCHED, dataset="cifar10", pool_seeds=(0, 1, 2), settings=CIFAR10.settings),
}
"""The same of `hashlib_nb.comparison`."""
COMPARED = {
    "comparison-fashion-mini": "Fashion-MNIST, 6,000 pictures",
    "comparison-cifar10": "CIFAR-10, protocol 54k; frozen EfficientNet-Lite0 at 128 px",
}
ABLATION = {"ablation-fashion-mini": ablation.Args(lengths=(16,), budgets=(100, 300, 1000), workers=1)}
"""The same of `hashlib_nb.ablation`."""
QUESTIONS = "questions-fashion-mini"
"""Name of the JSON file that `hashlib-nb questions` makes."""
REWARD_ROWS = "reward-rows-cifar10"
"""Name of the JSON file that `hashlib-nb reward_rows` makes."""
LEARNED = "coco18-frozen"
"""The table whose first encoder, of 64 bits, has a row among the hashes."""
ROBUSTNESS = {"robustness-coco18": robustness.Args(model=Path("MODEL"))}
"""The same of `hashlib_nb.robustness`, on the photographs of COCO-18; MODEL is the folder of that encoder."""
LISTS = ("nuswide_21", "nuswide_81_m", "coco")
"""Folders of published lists, each with a train.txt: stage 1 runs on their labels."""
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
CURVES = ("cifar10-tuned", "cifar10-frozen", "coco18-frozen", "coco18-no-person-frozen")
"""Tables whose mAP is drawn against bits."""
PICTURES = ("cifar10-frozen", "coco18-frozen")
"""Tables of which some pictures are drawn with their nearest ones."""
FREE = ("cifar10-frozen",)
"""Those whose drawing the page shows: COCO's photographs belong to those who took them."""
RIVALS_SHOWN = {
    "rivals-cifar10": "CIFAR-10, protocol 54k; frozen EfficientNet-Lite0 at 128 px",
    "rivals-coco18": "COCO-18; frozen EfficientNet-Lite0 at 160 px",
    "rivals-coco18-no-person": "COCO-18 without person; frozen EfficientNet-Lite0 at 160 px",
    "rivals-unseen-cifar10": "Three classes of CIFAR-10 that nobody trained on; frozen EfficientNet-Lite0 at 128 px",
}


@dataclass(frozen=True)
class Args:
    """Make stored results, then show all that are stored in results/README.md."""

    cifar10: Path | None = None
    """folder of CIFAR-10, as `datasets.load("cifar10", root=...)` takes it"""
    coco: Path | None = None
    """folder of COCO-18, the 10,000 pictures and 18 categories described in results/README.md"""
    lists: Path | None = None
    """folder with nuswide_21/, nuswide_81_m/ and coco/, each holding the published train.txt"""
    only: tuple[str, ...] = ()
    """tables to make, by the names of their files in results/; by default all whose folder is given"""
    plan: bool = False
    """say what is missing for these tables and about how long that would take, and make nothing"""
    figures: bool = False
    """draw the figures of README.md and results/README.md too, into runs/figures: from stored tables, from codes of the
    course, and pictures of CIFAR-10 and COCO-18 where their folders are given (codes are made if missing)"""


def folder() -> Path:
    """Where the stored results lie."""
    return artifacts.project_root() / "results"


def make_tables(args: Args) -> None:
    """Make each table that `only` names, or else each whose folder is given, by the command of its kind."""
    for name, table in asked_tables(args).items():
        results.make_table(_placed(table, name), shown=_shown(table, name))
    for name, table in _asked(args, RIVALS).items():
        trials = table.trials and folder() / table.trials.name
        rivals.make_table(replace(_placed(table, name), trials=trials), shown=_shown(table, name))
    for module, tables in ((comparison, COMPARISONS), (ablation, ABLATION)):
        for name, table in _asked(args, tables).items():
            module.make_record(_placed(table, name), shown=_shown(table, name))
    for name, table in _asked(args, ROBUSTNESS).items():
        setup = replace(TABLES[LEARNED], root=table.root).setup(seed=0)
        setup.codes()  # fits the encoder where it is missing
        robustness.make_record(replace(_placed(table, name), model=setup.folder), shown=_shown(table, name))


def _placed(table: Any, name: str) -> Any:
    """Arguments of a table whose JSON goes to `folder`."""
    return replace(table, out=folder() / f"{name}.json")


def _shown(table: Any, name: str) -> Any:
    """The same as its record has them: without a path of this machine."""
    root = table.root and Path(_dataset(table).upper())
    return replace(table, root=root, out=Path("results", f"{name}.json"))


def _dataset(table: Any) -> str:
    """Whose pictures a table is about; hashes are attacked on COCO-18's."""
    return getattr(table, "dataset", "coco")


def asked_tables(args: Args) -> dict[str, results.Args]:
    """The tables of `hashlib_nb results` that are asked for, by name, with the folders that `args` give."""
    return _asked(args, TABLES)


def _asked(args: Args, tables: dict) -> dict:
    roots = {"cifar10": args.cifar10, "coco": args.coco}
    with_root = {name: replace(table, root=roots.get(_dataset(table))) for name, table in tables.items()}
    return {
        name: table for name, table in with_root.items() if (name in args.only if args.only else table.root is not None)
    }


def planned(args: Args) -> plan.Plan:
    """What all tables that `make_tables` makes want made; what several want, once."""
    besides = () if args.lists is None else ("lists: stage 1 on each, not counted",)
    for command, tables in {"rivals": RIVALS, "robustness": ROBUSTNESS}.items():
        besides += tuple(f"{name}: not counted, hashlib-nb {command} --plan says it" for name in _asked(args, tables))
    plans = [results.planned(_placed(table, name)) for name, table in asked_tables(args).items()]
    for module, tables in ((comparison, COMPARISONS), (ablation, ABLATION)):
        plans += [module.plan_of(table) for table in _asked(args, tables).values()]
    return sum(plans, plan.Plan(besides=besides))


def measure_lists(args: Args) -> None:
    """Run stage 1 on each published list, 64 bits, in a process of its own so that its memory can be told."""
    for name in LISTS:
        for seed in results.Args().seeds:
            path = folder() / f"stage1-{name}-s{seed}.json"
            stage = codes.Args(labels=args.lists / name / "train.txt", seed=seed, report=path)
            done = subprocess.run([sys.executable, *shlex.split(artifacts.command("codes", stage))[1:]])
            if done.returncode:  # it has said why
                raise artifacts.CommandError(f"stage 1 of {name}, seed {seed}, ended with status {done.returncode}")
            shown = replace(stage, labels=Path("LISTS", name, "train.txt"), report=Path("results", path.name))
            # without a path of this machine
            artifacts.save_json(path, artifacts.load_json(path) | {"command": artifacts.command("codes", shown)})


def gains(bits: int = 16) -> str:
    """From where to where greedy's bits are ahead of random ones over all stored tables, in points of mAP, by kind."""
    kinds = {"": "at one half", "thermometer ": "thermometer", "decided ": "decided thermometer"}
    found: dict[str, list[float]] = {}
    for path in (folder() / f"{table}.json" for table in SHOWN):
        if path.exists():
            means = pd.DataFrame(artifacts.load_json(path)["summary"]).set_index(["method", "bits"])["map"]
            for kind, name in kinds.items():
                if (f"{kind}greedy", bits) in means.index:
                    points = 100 * (means[f"{kind}greedy", bits] - means[f"{kind}random", bits])
                    found.setdefault(name, []).append(points)
    return ", ".join(f"{name} {min(points):.1f} to {max(points):.1f} points" for name, points in found.items())


def map_tables() -> list[str]:
    """mAP by length: a table for each stored file and the thesis' numbers, as lines of markdown."""
    lines = []
    for name, (data, encoder) in SHOWN.items():
        path = folder() / f"{name}.json"
        if path.exists():
            record = artifacts.load_json(path)
            summary = pd.DataFrame(record["summary"]).astype({"map_sd": float})  # null of a single seed becomes NaN
            lengths = record["args"]["lengths"]
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


def _and(numbers: Sequence[int]) -> str:
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


def rivals_tables() -> list[str]:
    """Other people's codes on one trunk, as lines of markdown."""
    lines = []
    for name, words in RIVALS_SHOWN.items():
        path = folder() / f"{name}.json"
        if path.exists():
            record = artifacts.load_json(path)
            lines += [f"**{words}.** {rivals.verdict(record)}", "", *rivals.markdown(record)]
    return [published_text.AGAINST, "", *lines] if lines else []


def reward_rows_tables() -> list[str]:
    """Who should pay for a choice, and what a last layer should be fitted to, as lines of markdown."""
    path = folder() / f"{REWARD_ROWS}.json"
    return [published_text.PAYING, "", *reward_rows.markdown(artifacts.load_json(path)), ""] if path.exists() else []


def unseen_tables() -> list[str]:
    """Retrieval of classes that nothing was fitted to, as lines of markdown."""
    records = [artifacts.load_json(path) for path in sorted(folder().glob("unseen-*.json"))]
    return [*unseen.markdown(records), ""] if records else []


def lists_table() -> list[str]:
    """What stage 1 makes of the published lists, means over seeds, as lines of markdown."""
    records = [artifacts.load_json(path) for path in sorted(folder().glob("stage1-*.json"))]
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
    paths = [path for path in (folder() / f"{name}.json" for name in ROBUSTNESS) if path.exists()]
    lines = [line for path in paths for line in (*robustness.markdown(artifacts.load_json(path)), "")]
    return [published_text.ATTACKED, "", *lines] if lines else []


def comparison_tables() -> list[str]:
    """PPO against the other searches, as lines of markdown."""
    lines = []
    for name, data in COMPARED.items():
        path = folder() / f"{name}.json"
        if path.exists():
            record = artifacts.load_json(path)
            seeds = sorted({row["pool_seed"] for row in record["runs"]})
            lines += [f"**{data}**, pool seeds {', '.join(map(str, seeds))}.", "", *comparison.markdown(record), ""]
    for name in ABLATION:
        path = folder() / f"{name}.json"
        if path.exists():
            lines += [published_text.PARTS, "", *ablation.markdown(artifacts.load_json(path)), ""]
    return [published_text.SEARCHES, "", *lines] if lines else []


def questions() -> pd.DataFrame | None:
    """Means over seeds of what `hashlib-nb questions` found; None where it is not stored."""
    path = folder() / f"{QUESTIONS}.json"
    return asked.summarize(artifacts.load_json(path)["rows"]) if path.exists() else None


def questions_tables() -> list[str]:
    """What bits should ask, and on how many rows, as lines of markdown."""
    found = questions()
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
    about = [published_text.ASKED, "", *questions_tables(), ""] if questions() is not None else []
    return "\n".join(
        [
            published_text.INTRODUCTION,
            "",
            *map_tables(),
            "",
            *rivals_tables(),
            *comparison_tables(),
            *reward_rows_tables(),
            *unseen_tables(),
            *about,
            *robustness_tables(),
            *lists_table(),
            "",
            published_text.NOTES.replace("{gains}", gains()),
            "",
        ]
    )


def save_figures(args: Args) -> None:
    """Draw what README.md and results/README.md show; of photographs what is given."""
    plots.save_fig(published_figures.banner(TABLES["fashion-mini"].setup(seed=0)), "banner")
    drawn = {QUESTIONS: published_figures.questions_map_by_length} | dict.fromkeys(
        CURVES, published_figures.map_by_length
    )
    for name, draw in drawn.items():
        if (path := folder() / f"{name}.json").exists():
            plots.save_fig(draw(artifacts.load_json(path)), figure_name(name, "map_by_length"))
    for name, table in _asked(replace(args, only=()), {name: TABLES[name] for name in PICTURES}).items():
        setup = table.setup(seed=0)
        plots.save_fig(published_figures.nearest_pictures(setup), figure_name(name, "nearest"))


def figure_name(table: str, what: str) -> str:
    """The name of a stored table's figure, without ending."""
    return f"{table.partition('-')[0] if table == QUESTIONS else table.replace('-', '_')}_{what}"


def main(args: Args) -> None:
    """Make, then show."""
    there = (*TABLES, *RIVALS, *COMPARISONS, *ABLATION, *ROBUSTNESS)
    if unknown := [name for name in args.only if name not in there]:
        raise ValueError(f"only names {unknown[0]!r}; there are: {', '.join(there)}")
    for option in ("cifar10", "coco", "lists"):
        if (path := getattr(args, option)) is not None and not path.is_dir():
            raise FileNotFoundError(f"{option}: {artifacts.shown(path)} is no folder; give the one with its files")
    lists = [] if args.lists is None else [args.lists / name / "train.txt" for name in LISTS]
    if missing := [path for path in lists if not path.is_file()]:
        raise FileNotFoundError(f"lists: {missing[0]} does not exist; give the folder of the published lists")
    if args.plan:
        plan.show(planned(args))
        return
    make_tables(args)
    if args.lists is not None:
        measure_lists(args)
    if args.figures:
        save_figures(args)
    page = folder() / "README.md"
    with artifacts.atomic(page) as partial:
        partial.write_text(markdown(), encoding="utf-8")
    print(f"saved {artifacts.shown(page)}")


if __name__ == "__main__":
    artifacts.run(main, Args)
