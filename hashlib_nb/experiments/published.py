"""Stored tables, the course's and those on real photographs: what makes each, by one command.

python -m hashlib_nb published --cifar10 DIR --coco DIR --lists DIR    # make what its folders are given for (hours)
python -m hashlib_nb published --only fashion-mini                     # make the course's own (6 minutes)
python -m hashlib_nb published --cifar10 DIR --plan                    # say what that would take, and make nothing
python -m hashlib_nb published                                         # show what is stored
python -m hashlib_nb published --figures                               # and draw the figures of the pages

Each table is one JSON file in `results/`: the command that made it, every row, where and with what it was made. It is
written after each seed, and a table that was cut off goes on with the seeds that are missing. `published_page` shows
them in results/README.md, and a test compares the two.
"""

from __future__ import annotations

import itertools
import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hashlib_nb import artifacts, codes, plots
from hashlib_nb.encoder import Settings
from hashlib_nb.experiments import (
    ablation,
    comparison,
    plan,
    published_figures,
    results,
    reward_rows,
    rivals,
    robustness,
    tuning,
)
from hashlib_nb.experiments.published_page import CURVES, QUESTIONS, REWARD_ROWS, figure_name, folder, markdown, stored

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
    "rivals-cifar10": rivals.Args(dataset="cifar10", settings=CIFAR10.settings),
    "rivals-coco18": ELSEWHERE,
    "rivals-coco18-no-person": replace(ELSEWHERE, options=(*COCO, "exclude=person")),
    "rivals-unseen-cifar10": rivals.Args(
        dataset="cifar10", lengths=(64,), n_unseen=3, trials=TRIALS, settings=CIFAR10.settings
    ),
    "rivals-cifar10-tuned": rivals.Args(
        dataset="cifar10",
        methods=("thesis", "hashnet", "dtsh", "orthohash"),
        lengths=(64,),
        seeds=(0,),
        trials=TRIALS,
        settings=Settings(
            arch="efficientnet_lite2_frozen", size=160, weights_path=Path("MODEL", "encoder.safetensors")
        ),
    ),
}
"""The same of `hashlib_nb.rivals`; they follow the tables that they take their settings from. MODEL is the folder of
`TUNED_TRUNK`'s first encoder."""
TUNED_TRUNK = "cifar10-tuned"
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
ABLATION = {"ablation-fashion-mini": ablation.Args(lengths=(16,), budgets=(100, 300, 1000), workers=1)}
"""The same of `hashlib_nb.ablation`."""
TUNED = {"tuning-fashion-mini": tuning.Args(trials=40, seeds=(0, 1), workers=1)}
"""The same of `hashlib_nb.tuning`."""
SEARCHES = ((comparison, COMPARISONS), (ablation, ABLATION), (tuning, TUNED))
"""What makes the records of these tables, and the tables."""
PAYING = {REWARD_ROWS: reward_rows.Args()}
"""The same of `hashlib_nb.reward_rows`."""
LEARNED = "coco18-frozen"
"""The table whose first encoder, of 64 bits, has a row among the hashes."""
ROBUSTNESS = {"robustness-coco18": robustness.Args(model=Path("MODEL"))}
"""The same of `hashlib_nb.robustness`, on the photographs of COCO-18; MODEL is the folder of that encoder."""
PICTURES = ("cifar10-frozen", "coco18-frozen")
"""Tables of which some pictures are drawn with their nearest ones."""
LISTS = ("nuswide_21", "nuswide_81_m", "coco")
"""Folders of published lists, each with a train.txt: stage 1 runs on their labels."""


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


def make_tables(args: Args) -> None:
    """Make each table that `only` names, or else each whose folder is given, by the command of its kind."""
    for name, table in asked_tables(args).items():
        results.make_table(_placed(table, name), shown=_shown(table, name))
    for name, table in _asked(args, RIVALS).items():
        trials, settings = table.trials and folder() / table.trials.name, table.settings
        if settings.weights_path is not None:
            settings = replace(
                settings, weights_path=_first_model(TUNED_TRUNK, table.root) / settings.weights_path.name
            )
        rivals.make_table(replace(_placed(table, name), trials=trials, settings=settings), shown=_shown(table, name))
    for module, tables in SEARCHES:
        for name, table in _asked(args, tables).items():
            module.make_record(_placed(table, name), shown=_shown(table, name))
    for name, table in _asked(args, PAYING).items():
        reward_rows.make_record(_placed(table, name), shown=_shown(table, name))
    for name, table in _asked(args, ROBUSTNESS).items():
        model = _first_model(LEARNED, table.root)
        robustness.make_record(replace(_placed(table, name), model=model), shown=_shown(table, name))


def _first_model(name: str, root: Path | None) -> Path:
    """Folder of a table's first encoder, which is fitted where it is missing."""
    setup = replace(TABLES[name], root=root).setup(seed=0)
    setup.codes()
    return setup.folder


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
    for command, tables in {"rivals": RIVALS, "robustness": ROBUSTNESS, "reward_rows": PAYING}.items():
        besides += tuple(f"{name}: not counted, hashlib-nb {command} --plan says it" for name in _asked(args, tables))
    plans = [results.planned(_placed(table, name)) for name, table in asked_tables(args).items()]
    for module, tables in SEARCHES:
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


def save_figures(args: Args) -> None:
    """Draw what README.md and results/README.md show; of photographs what is given."""
    plots.save_fig(published_figures.banner(TABLES["fashion-mini"].setup(seed=0)), "banner")
    drawn = {QUESTIONS: published_figures.questions_map_by_length} | dict.fromkeys(
        CURVES, published_figures.map_by_length
    )
    for name, draw in drawn.items():
        if record := stored(name):
            plots.save_fig(draw(record), figure_name(name, "map_by_length"))
    for name, table in _asked(replace(args, only=()), {name: TABLES[name] for name in PICTURES}).items():
        setup = table.setup(seed=0)
        plots.save_fig(published_figures.nearest_pictures(setup), figure_name(name, "nearest"))


def main(args: Args) -> None:
    """Make, then show."""
    there = [*TABLES, *RIVALS, *itertools.chain(*dict(SEARCHES).values()), *PAYING, *ROBUSTNESS]
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
