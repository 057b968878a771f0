"""benchmarks/README.md: the ratios of all scripts as one table, and what was measured without a rival as another.

python -m benchmarks.summary      # reads benchmarks/results/*.json
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.timing import Goal, Ratio, results_folder
from hashlib_nb import artifacts

NAMES = (
    "metrics",
    "search",
    "stream",
    "reward",
    "candidates",
    "codes",
    "baselines",
    "encode",
    "features",
    "ppo",
    "index",
    "demo",
)
"""Results with ratios, in the order of the table."""
NO_RIVALS = ("limit for an answer", "its codes alone, packed", "its features alone")
"""Yardsticks of our own: a ratio to one says nothing of another program, so that it is left out."""
GOALS = """On one thread, processor time, the least of the rounds; what sets a limit was measured in the same rounds:"""
"""Over the table of goals."""
INTRODUCTION = """# Speed

Written by `make bench`, which measures ours and others in one run, taking turns (4 minutes). Below 1 in the last column
the other side is better. Each script in this folder says what is compared and why that is fair; `results/` holds every
size, and by how much mAP is off where a sort decides the order of ties."""


def page(folder: Path) -> str:
    """The text of benchmarks/README.md: the ratios in `folder`, and the machine under them.

    Raises:
        ValueError: two results come from different machines, or there are none.
    """
    results = [artifacts.load_json(folder / f"{name}.json") for name in NAMES if (folder / f"{name}.json").exists()]
    if not results:
        raise ValueError(f"{artifacts.shown(folder)} holds no results: run make bench first")
    if any(result["machine"] != results[0]["machine"] for result in results):
        raise ValueError(f"{artifacts.shown(folder)} holds results of different machines: run make bench again")
    ratios = [Ratio(**one) for result in results for one in result["ratios"]]
    lines = ["| what | ours | against | theirs | times better |", "|---|---|---|---|---|"]
    lines += [_line(one) for one in ratios if one.against not in NO_RIVALS]
    alone = [f"| {one.what} | {_value(one.ours, one.unit)} |" for one in ratios if one.against in NO_RIVALS]
    if alone:
        lines += ["", "Measured without a rival:", "", "| what | measured |", "|---|---|", *alone]
    goals = [Goal(**one) for result in results for one in result.get("goals", [])]
    if goals:
        lines += ["", GOALS, "", "| what | against | ours / theirs | goal | limit | |", "|---|---|---|---|---|---|"]
        lines += [_goal(one) for one in goals]
    about = ", ".join(f"{key} {text}" for key, text in results[0]["machine"].items())
    return "\n".join([INTRODUCTION, "", *lines, "", f"Medians of one run; {about}.", ""])


def _line(one: Ratio) -> str:
    ours, theirs = (_value(value, one.unit) for value in (one.ours, one.theirs))
    return f"| {one.what} | {ours} | {one.against} | {theirs} | {one.ratio:.3g} |"


def _goal(one: Goal) -> str:
    share = "-" if one.share is None else f"{one.share:.3g}"
    return f"| {one.what} | {one.against} | {share} | {one.goal:.3g} | {one.of_limit} | {one.verdict} |"


def _value(value: float, unit: str) -> str:
    if unit == "s" and value < 1:
        value, unit = 1000 * value, "ms"
    digits = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{digits} {unit}"


def main() -> None:
    """Print the page and write it beside the scripts."""
    found, path = page(results_folder()), results_folder().parent / "README.md"
    print(found)
    with artifacts.atomic(path) as partial:
        partial.write_text(found, encoding="utf-8")


if __name__ == "__main__":
    main()
