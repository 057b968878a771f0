"""The ratios of all scripts as one table, in the README between two marker comments.

python -m benchmarks.summary      # reads benchmarks/results/*.json
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.timing import Ratio, results_folder
from hashlib_nb import artifacts

NAMES = ("metrics", "stream", "reward", "codes", "encode", "ppo", "demo")
"""Results with ratios, in the order of the table."""
BEGIN, END = "<!-- benchmarks: written by make bench -->", "<!-- benchmarks: end -->"


def table(folder: Path) -> str:
    """Markdown of all ratios in `folder`, and the machine under it.

    Raises:
        ValueError: two results come from different machines, or there are none.
    """
    results = [artifacts.load_json(folder / f"{name}.json") for name in NAMES if (folder / f"{name}.json").exists()]
    if not results:
        raise ValueError(f"{artifacts.shown(folder)} holds no results: run make bench first")
    if any(result["machine"] != results[0]["machine"] for result in results):
        raise ValueError(f"{artifacts.shown(folder)} holds results of different machines: run make bench again")
    ratios = [Ratio(**one) for result in results for one in result["ratios"]]
    lines = ["| what | ours | against | theirs | times better |", "|---|---|---|---|---|", *map(_line, ratios)]
    about = ", ".join(f"{key} {text}" for key, text in results[0]["machine"].items())
    return "\n".join([*lines, "", f"Medians of one run; {about}."])


def _line(one: Ratio) -> str:
    ours, theirs = (_value(value, one.unit) for value in (one.ours, one.theirs))
    return f"| {one.what} | {ours} | {one.against} | {theirs} | {one.ratio:.3g} |"


def _value(value: float, unit: str) -> str:
    if unit == "s" and value < 1:
        value, unit = 1000 * value, "ms"
    digits = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return f"{digits} {unit}"


def put(text: str, table: str) -> str:
    """`text` with the table between its markers.

    Raises:
        ValueError: the markers are not there once each.
    """
    return artifacts.between(text, BEGIN, END, table)


def main() -> None:
    """Print the table and write it into the README, where there is one."""
    found, readme = table(results_folder()), artifacts.project_root() / "README.md"
    print(found)
    if readme.exists():
        text = put(readme.read_text(encoding="utf-8"), found)
        with artifacts.atomic(readme) as partial:
            partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
