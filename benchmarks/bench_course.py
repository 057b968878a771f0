"""How long each notebook of `make course` took, from what papermill left in `runs/`.

Nothing is run here. A course that finds artifacts of an earlier one loads them, which its times must be read with: the
last column counts what was loaded and what was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd

from benchmarks import timing
from hashlib_nb.artifacts import project_root


@dataclass(frozen=True)
class Args:
    """Read the executed notebooks."""

    quick: bool = False
    """no difference: it takes no time"""


def printed(notebook: nbformat.NotebookNode) -> list[str]:
    """The lines that its cells printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.text for output in outputs if output.output_type == "stream").splitlines()


def read(path: Path) -> dict | None:
    """The row of one executed notebook; None for one that did not end."""
    notebook = nbformat.read(path, as_version=4)
    about = notebook.metadata.get("papermill", {})
    if not about.get("duration") or about.get("exception"):
        print(f"{path.name} did not run to its end, so it is left out")
        return None
    lines = printed(notebook)
    loaded, made = (sum(line.startswith(f"{word} ") for line in lines) for word in ("loaded", "saved"))
    return {"notebook": path.stem, "minutes": about["duration"] / 60, "loaded": loaded, "made": made}


def main(args: Args) -> None:
    """Print the table and save the rows, or say what to run."""
    rows = [row for path in sorted((project_root() / "runs").glob("[0-9]*.ipynb")) if (row := read(path))]
    if not rows:
        print("runs/ holds no executed notebook: `make course` makes them (10 minutes the first time)")
        return
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.1f"))
    timing.save("course", args, rows, [])


if __name__ == "__main__":
    timing.run(main, Args)
