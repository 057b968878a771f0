"""The list of lessons, and the course run headless: executed copies in runs/, the results table at the end.

python -m hashlib_nb run_course
python -m hashlib_nb run_course --notebooks 03 04 --parameters bits=16 seed=1
"""

from __future__ import annotations

import ast
import time
from dataclasses import dataclass
from pathlib import Path

import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from hashlib_nb.artifacts import CommandError, project_root, run

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
"""The notebooks of the clone that this file lies in; what they write goes to the project root."""
RESULTS = Path("runs", "results.md")
"""Where notebook 04 writes the results table, seen from the project root."""


@dataclass(frozen=True)
class Lesson:
    """A line of `notebooks/lessons.txt`."""

    name: str
    """The notebook's file without its ending."""
    in_course: bool
    """Whether `make course` runs it."""

    @property
    def number(self) -> str:
        """What the name begins with."""
        return self.name.partition("_")[0]

    @property
    def path(self) -> Path:
        """The notebook."""
        return NOTEBOOKS / f"{self.name}.ipynb"


def read_lessons(path: Path) -> tuple[Lesson, ...]:
    """The lessons that a file lists, a name a line, a star behind those of the course; none where there is no file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    words = [line.split() for line in lines if line and not line.startswith("#")]
    return tuple(Lesson(name, rest == ["*"]) for name, *rest in words)


LESSONS = read_lessons(NOTEBOOKS / "lessons.txt")
"""All lessons in their order; none in an installed copy without notebooks."""


@dataclass(frozen=True)
class Args:
    """Run notebooks in order and stop at the first that fails."""

    notebooks: tuple[str, ...] = tuple(lesson.number for lesson in LESSONS if lesson.in_course)
    """Numbers of the notebooks to run, in this order; by default those that make up the course."""
    parameters: tuple[str, ...] = ()
    """name=value pairs such as bits=16 for the parameters cells; each goes to every notebook that has the name."""


def main(args: Args) -> None:
    """Check the arguments, run the notebooks and print the results table if notebook 04 was among them.

    Raises:
        ValueError: A parameter that none of the notebooks has, or a value of the wrong kind.
        FileNotFoundError: No notebook with such a number.
        CommandError: A notebook failed; the message names it, the cell, the error and the executed copy.
    """
    root = project_root()
    notebooks = [_find(number) for number in args.notebooks]
    parameters = _match(notebooks, args.parameters)
    for notebook in notebooks:
        started = time.perf_counter()
        _run(root, notebook, parameters[notebook])
        print(f"{notebook.name}: {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)
    if "04" in args.notebooks:
        print("\n" + (root / RESULTS).read_text(encoding="utf-8"))


def _find(number: str) -> Path:
    found = sorted(NOTEBOOKS.glob(f"{number}_*.ipynb"))
    if not found:
        raise FileNotFoundError(f"notebooks names {number!r}, but {NOTEBOOKS} has no {number}_*.ipynb.")
    return found[0]


def _match(notebooks: list[Path], pairs: tuple[str, ...]) -> dict[Path, dict[str, object]]:
    """Give each notebook the parameters it has; papermill would only warn of one that no notebook has."""
    known = {notebook: papermill.inspect_notebook(notebook) for notebook in notebooks}
    matched: dict[Path, dict[str, object]] = {notebook: {} for notebook in notebooks}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        takers = [notebook for notebook in notebooks if name in known[notebook]]
        if not equals or not takers:
            names = ", ".join(sorted({name for parameters in known.values() for name in parameters}))
            raise ValueError(f"parameters has {pair!r}; write name=value with a name that a notebook has: {names}.")
        for notebook in takers:
            matched[notebook][name] = _value(name, text, _literal(known[notebook][name]["default"]))
    return matched


def _value(name: str, text: str, default: object) -> object:
    """Read `text` as the kind of value that the parameters cell has."""
    if isinstance(default, str):
        return text
    value = _literal({"true": "True", "false": "False"}.get(text, text))
    if default is not None and not isinstance(value, (int, float) if isinstance(default, float) else type(default)):
        raise ValueError(f"parameters sets {name} to {text!r}; it must be a value like {default!r}.")
    return value


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _run(root: Path, notebook: Path, parameters: dict[str, object]) -> None:
    executed = RESULTS.with_name(notebook.name)
    (root / executed).parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            notebook,
            root / executed,
            parameters=parameters,
            kernel_name="python3",
            cwd=root,
            progress_bar={"desc": notebook.stem},
        )
    except PapermillExecutionError as error:
        reason = f"in cell [{error.exec_count}]: {error.ename}: {error.evalue.partition(chr(10))[0]}"
    except DeadKernelError:
        reason = "because its Python process died, most often for want of memory"
    else:
        return
    raise CommandError(f"notebooks/{notebook.name} stopped {reason} (the executed copy is {executed}).")


if __name__ == "__main__":
    run(main, Args)
