"""The tables of the README on real datasets: which commands make them, where they are stored, how they are shown.

python -m hashlib_nb published --cifar10 DIR --coco DIR --lists DIR    # make what its folders are given for (hours)
python -m hashlib_nb published                                        # show what is stored, in README.md

Each table is one JSON file in `results/`: the command that made it, every row, the versions of packages. The README
holds what `markdown` makes of them, between two comments, and a test compares the two.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from hashlib_nb import artifacts, codes
from hashlib_nb.experiments import results

BEGIN, END = "<!-- results: written by make results -->", "<!-- results: end -->"
COCO = ("query=1000", "train=4000", "train_from_database=false", "size=160")
FROZEN = results.Args(arch="efficientnet_lite0_frozen", size=160)
TUNED = replace(FROZEN, arch="efficientnet_lite0", size=96, folds=2, direct=False)
TABLES = {
    "cifar10-frozen": replace(FROZEN, dataset="cifar10", size=128),
    "cifar10-tuned": replace(TUNED, dataset="cifar10", seeds=(0,)),
    "coco18-frozen": replace(FROZEN, dataset="coco", options=COCO),
    "coco18-no-person-frozen": replace(FROZEN, dataset="coco", options=(*COCO, "exclude=person")),
}
"""Name of the JSON file and the arguments of `hashlib_nb.results`, but for `root` and `out`."""
LISTS = ("nuswide_21", "nuswide_81_m", "coco")
"""Folders of published lists, each with a train.txt: stage 1 runs on their labels."""
THESIS = {
    "CIFAR-10": (0.727, 0.790, 0.788, 0.780),
    "MS-COCO": (0.748, 0.767, 0.790, 0.776),
}
"""Table 4.1, the row "Ours": mAP at 16, 32, 48 and 64 bits with AlexNet."""
SHOWN = {
    "cifar10-frozen": ("CIFAR-10, protocol 54k", "frozen EfficientNet-Lite0 at 128 px"),
    "cifar10-tuned": ("CIFAR-10, protocol 54k", "EfficientNet-Lite0, all layers tuned at 96 px"),
    "coco18-frozen": ("COCO-18", "frozen EfficientNet-Lite0 at 160 px"),
    "coco18-no-person-frozen": ("COCO-18 without person", "frozen EfficientNet-Lite0 at 160 px"),
}


@dataclass(frozen=True)
class Args:
    """Make the stored results of real datasets, then put all that are stored into the README."""

    cifar10: Path | None = None
    """folder of CIFAR-10, as `datasets.load("cifar10", root=...)` takes it"""
    coco: Path | None = None
    """folder of COCO-18, the 10,000 pictures and 18 categories described in the README"""
    lists: Path | None = None
    """folder with nuswide_21/, nuswide_81_m/ and coco/, each holding the published train.txt"""
    only: tuple[str, ...] = ()
    """tables to make, by the names of their files in results/; by default all whose folder is given"""


def folder() -> Path:
    """Where the stored results lie."""
    return artifacts.project_root() / "results"


def make_tables(args: Args) -> None:
    """Run `hashlib_nb.results` for each table whose folder is given."""
    roots = {"cifar10": args.cifar10, "coco": args.coco}
    for name, table in TABLES.items():
        root = roots[table.dataset]
        if root is None or (args.only and name not in args.only):
            continue
        path = folder() / f"{name}.json"
        results.save(replace(table, root=root, out=path), results.make_rows(replace(table, root=root)))
        shown = replace(table, root=Path(table.dataset.upper()), out=Path("results", path.name))
        _say_without_paths(path, "results", shown)


def measure_lists(args: Args) -> None:
    """Run stage 1 on each published list, 64 bits, in a process of its own so that its memory can be told."""
    for name in LISTS:
        for seed in results.Args().seeds:
            path = folder() / f"stage1-{name}-s{seed}.json"
            stage = codes.Args(labels=args.lists / name / "train.txt", bits=64, seed=seed, report=path)
            subprocess.run([sys.executable, *shlex.split(artifacts.command("codes", stage))[1:]], check=True)
            shown = replace(stage, labels=Path("LISTS", name, "train.txt"), report=Path("results", path.name))
            _say_without_paths(path, "codes", shown)


def _say_without_paths(path: Path, stage: str, shown: results.Args | codes.Args) -> None:
    """Put arguments without a path of this machine into a stored file, in its command and where it lists them."""
    record = artifacts.load_json(path)
    record["command"] = artifacts.command(stage, shown)
    if "args" in record:
        record["args"] |= {"root": str(shown.root), "out": str(shown.out)}
    artifacts.save_json(path, record)


def map_tables() -> list[str]:
    """mAP by length: a table for each stored file and the thesis' numbers, as lines of markdown."""
    lengths = [f"{bits} bits" for bits in results.Args().lengths]
    lines = []
    for name, (data, encoder) in SHOWN.items():
        path = folder() / f"{name}.json"
        if path.exists():
            record = artifacts.load_json(path)
            summary = pd.DataFrame(record["summary"]).astype({"map_sd": float})  # null of a single seed becomes NaN
            table = results.markdown_table(("method", *lengths), _rows(summary))
            lines += [_caption(data, encoder, record), "", *table, ""]
    numbers = [[data, *(f"{score:.3f}" for score in scores)] for data, scores in THESIS.items()]
    about = "**What the thesis reports** (Table 4.1, AlexNet; mAP@54,000 on CIFAR-10, mAP@5,000 on all of MS-COCO):"
    return [*lines, about, "", *results.markdown_table(("data", *lengths), numbers)]


def _caption(data: str, encoder: str, record: dict) -> str:
    first, seeds = record["rows"][0], record["args"]["seeds"]
    inside = "in it" if first["training_in_database"] else "not in it"
    return (
        f"**{data}; {encoder}.** {first['n_queries']:,} queries, {first['n_database']:,} database pictures, training "
        f"pictures {inside}; {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}."
    )


def _rows(summary: pd.DataFrame) -> list[list[str]]:
    """One row a method; the row under PPO's says how far the order of ties could move it."""
    found = []
    for method, part in summary.groupby("method", sort=False):
        rows = [row for _, row in part.sort_values("bits").iterrows()]
        if method in results.FIXED:
            found.append([f"{method}, {rows[0]['bits']} bits", *[_mean(rows[0])] * len(results.Args().lengths)])
            continue
        found.append([method, *map(_mean, rows)])
        if method == "PPO":
            bracket = [f"{row['pessimistic']:.3f} to {row['optimistic']:.3f}" for row in rows]
            found.append(["PPO, all orders of ties", *bracket])
    return found


def _mean(row: pd.Series) -> str:
    return results.plus_minus(row["map"], row["map_sd"])


def lists_table() -> list[str]:
    """What stage 1 makes of the published lists, means over seeds, as lines of markdown."""
    records = [artifacts.load_json(path) for path in sorted(folder().glob("stage1-*.json"))]
    if not records:
        return []
    columns = ("list", "rows", "concepts", "label sets", "above the bound", "distinct codes", "codes a set")
    rows = []
    for name, part in pd.DataFrame(records).groupby("labels", sort=False):
        mean = part.mean(numeric_only=True)
        counts = [f"{mean[column]:,.0f}" for column in ("n", "concepts", "label_sets")]
        gap = f"{100 * mean['gap']:.1f} ± {100 * part['gap'].std():.1f}%"
        memory = f"{mean['peak_memory_mb']:,.0f} MB"
        codes_made = [f"{mean['distinct_codes']:,.0f}", f"{mean['codes_per_label_set']:.2f}"]
        rows.append([name, *counts, gap, *codes_made, f"{mean['seconds']:.0f}", memory])
    return results.markdown_table((*columns, "seconds", "memory"), rows)


def markdown() -> str:
    """Both tables, from the files in `results/` alone."""
    return "\n".join([*map_tables(), "", *lists_table()])


def put(text: str, tables: str) -> str:
    """`text` with the tables between its two comments. Raises ValueError where those are not there once each."""
    return artifacts.between(text, BEGIN, END, tables)


def main(args: Args) -> None:
    """Make, then show."""
    if unknown := [name for name in args.only if name not in TABLES]:
        raise ValueError(f"only names {unknown[0]!r}; there are: {', '.join(TABLES)}")
    for option in ("cifar10", "coco", "lists"):
        if (path := getattr(args, option)) is not None and not path.is_dir():
            raise FileNotFoundError(f"{option}: {path} is no folder")
    lists = [] if args.lists is None else [args.lists / name / "train.txt" for name in LISTS]
    if missing := [path for path in lists if not path.is_file()]:
        raise FileNotFoundError(f"lists: {missing[0]} does not exist; give the folder of the published lists")
    make_tables(args)
    if args.lists is not None:
        measure_lists(args)
    print(markdown())
    readme = artifacts.project_root() / "README.md"
    if readme.exists():
        with artifacts.atomic(readme) as partial:
            partial.write_text(put(readme.read_text(encoding="utf-8"), markdown()), encoding="utf-8")


if __name__ == "__main__":
    artifacts.run(main, Args)
