"""The list of lessons, and the course run headless: executed copies in runs/, the results table at the end.

python -m hashlib_nb run_course
python -m hashlib_nb run_course --notebooks 03 04 --parameters bits=16 seed=1
python -m hashlib_nb run_course --notebooks 01 02 --parameters seed=1 02:epochs=5
"""

from __future__ import annotations

import ast
import os
import time
from dataclasses import dataclass
from pathlib import Path

import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from hashlib_nb.artifacts import CommandError, absolute, project_root, run

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
"""The notebooks of the clone that this file lies in; what they write goes to the project root."""
RESULTS = Path("runs", "results.md")
"""Where notebook 04 writes the results table, seen from the project root."""
PATHS = ("root", "pictures")
"""Parameters, and names in the list `options`, whose values are folders: relative ones are seen from the caller's."""


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
    """name=value pairs such as bits=16 for the parameters cells; each goes to every notebook that has the name, and
    02:epochs=5 to notebook 02 alone; relative folders are seen from the current one"""

    def __post_init__(self) -> None:
        """Check what can be checked before any notebook is read."""
        there = [lesson.number for lesson in LESSONS]
        if not there:
            raise ValueError(f"{NOTEBOOKS} has no lessons.txt; run this in a clone of the repository")
        if not self.notebooks or not {*self.notebooks} <= {*there}:
            raise ValueError(f"notebooks is {list(self.notebooks)}; give some of {', '.join(there)}")


def main(args: Args) -> None:
    """Check the arguments, run the notebooks and print the results table if notebook 04 was among them.

    Raises:
        ValueError: A parameter that none of the notebooks has, or that means another thing in each, or a value of the
            wrong kind.
        FileNotFoundError: A notebook on the list is not there.
        CommandError: A notebook failed; the message names it, the cell, the error and the executed copy.
    """
    root = absolute(project_root())
    if "HASHLIB_NB_HOME" in os.environ:  # notebooks run in that folder, and would look for a relative one inside it
        os.environ["HASHLIB_NB_HOME"] = str(root)
    notebooks = [lesson.path for number in args.notebooks for lesson in LESSONS if lesson.number == number]
    if missing := [path for path in notebooks if not path.is_file()]:
        raise FileNotFoundError(f"{missing[0]} is not there, though lessons.txt lists it; get it from the repository")
    parameters = _match(notebooks, args.parameters)
    for notebook in notebooks:
        started = time.perf_counter()
        _run(root, notebook, parameters[notebook])
        print(f"{notebook.name}: {(time.perf_counter() - started) / 60:.1f} minutes", flush=True)
    if "04" in args.notebooks:
        print("\n" + (root / RESULTS).read_text(encoding="utf-8"))


def _match(notebooks: list[Path], pairs: tuple[str, ...]) -> dict[Path, dict[str, object]]:
    """Give each notebook the parameters it has; papermill would only warn of one that no notebook has."""
    known = {notebook: _defaults(notebook) for notebook in notebooks}
    matched: dict[Path, dict[str, object]] = {notebook: {} for notebook in notebooks}
    own = {pair.partition("=")[0] for pair in pairs if ":" in pair.partition("=")[0]}
    for pair in pairs:
        words, equals, text = pair.partition("=")
        name = words.rpartition(":")[2]
        takers = [path for path in notebooks if name in known[path] and words in (name, f"{_number(path)}:{name}")]
        if not equals or not takers:
            names = ", ".join(sorted({name for parameters in known.values() for name in parameters}))
            ways = "write name=value, or 02:name=value for one notebook, with a name that it has"
            raise ValueError(f"parameters has {pair!r}; {ways}: {names}")
        if words not in own:
            takers = [path for path in takers if f"{_number(path)}:{name}" not in own]
        _check_one_meaning(name, text, {_number(path): known[path][name] for path in takers})
        for path in takers:
            matched[path][name] = _value(name, text, known[path][name])
    for path, values in matched.items():
        for name, value in values.items():
            print(f"{path.stem}: {name}={value!r}", flush=True)
    return matched


def _number(notebook: Path) -> str:
    return Lesson(notebook.stem, in_course=False).number


def _defaults(notebook: Path) -> dict[str, object]:
    """The parameters of a notebook, with their values."""
    return {name: _literal(about["default"]) for name, about in papermill.inspect_notebook(notebook).items()}


def _check_one_meaning(name: str, text: str, defaults: dict[str, object]) -> None:
    """Refuse a number that is another thing in each of the notebooks: 01's epochs are steps of Adam, 02's are passes.

    Where it is the same thing, it has the same default. Lists (seeds, lengths) say how much of one thing to do.
    """
    if any(isinstance(default, list) for default in defaults.values()) or len({*map(repr, defaults.values())}) < 2:
        return
    differs = ", ".join(f"{default!r} in {number}" for number, default in defaults.items())
    ways = " or ".join(f"{number}:{name}={text}" for number in defaults)
    raise ValueError(f"parameters sets {name}, another thing in each notebook ({differs}); write {ways}, or both")


def _value(name: str, text: str, default: object) -> object:
    """Read `text` as the kind of value that the parameters cell has."""
    if isinstance(default, str):
        return _from_here(name, text)
    value = _literal({"true": "True", "false": "False"}.get(text, text))
    kind = (int, float) if isinstance(default, float) else type(default)
    if default is not None and (not isinstance(value, kind) or isinstance(value, bool) != isinstance(default, bool)):
        raise ValueError(f"parameters sets {name} to {text!r}; it must be a value like {default!r}")
    return [_option_from_here(each) for each in value] if name == "options" else value


def _from_here(name: str, text: str) -> str:
    """A text as the notebook gets it, which runs in another folder: relative paths become absolute ones."""
    return str(absolute(text)) if name in PATHS and text else text


def _option_from_here(option: object) -> object:
    name, equals, text = option.partition("=") if isinstance(option, str) else ("", "", "")
    return f"{name}={_from_here(name, text)}" if equals else option


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # the last two of texts that nest too deeply
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
