"""How a command line becomes a stage's arguments, and these a command line again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hashlib_nb.machine.ends import ending


def command(stage: str, args: Any) -> str:
    """The command line that sets a stage's `Args` (a dataclass) to these values; defaults are left out."""
    import shlex  # here, as `dataclasses` below

    return shlex.join(["python", "-m", "hashlib_nb", stage, *_options(args)])


def _options(args: Any) -> Iterator[str]:
    """The words that set a dataclass' fields, those of dataclasses in it as well."""
    import dataclasses  # here, since this module is there before anything else is imported, and that one is slow

    for field in dataclasses.fields(args):
        value, option = getattr(args, field.name), field.name.replace("_", "-")
        if value == field.default or not field.init:
            continue
        if dataclasses.is_dataclass(value):
            yield from _options(value)
        elif isinstance(value, bool):
            yield f"--{option}" if value else f"--no-{option}"
        else:
            yield from (f"--{option}", *map(str, value if isinstance(value, (tuple, list)) else [value]))


def peak_memory_mb() -> float:
    """The most memory that this process has held, in MB (10^6 bytes), its packages included."""
    import resource  # not on Windows, where nothing else here is missing

    with suppress(FileNotFoundError):  # Linux, whose ru_maxrss of a process begins with that of its parent
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run(main: Callable[[Any], None], args_type: type, *, prog: str | None = None) -> None:
    """A command line: parse `args_type` with tyro, call `main`; bad input ends in one sentence and status 1.

    Args:
        main: what takes the arguments.
        args_type: a dataclass whose fields are the options. Where it has `PRESETS`, the option `--NAME` puts the
            settings of that name in place of the defaults; options beside it win.
        prog: how the command was called, for its help; by default `python -m` and the module that runs.
    """
    with ending():
        main(_parsed(args_type, prog))


def _check_no_empty(words: Sequence[str]) -> None:
    """Refuse an empty text, which is what a shell makes of a variable that is not set: as a path it is this folder."""
    for number, word in enumerate(words):
        before = words[number - 1] if number and words[number - 1].startswith("--") else f"word {number + 1}"
        option, equals, value = word.partition("=")
        if not word or (option.startswith("--") and equals and not value):
            raise ValueError(f"{option or before} is empty, as an unset variable is; give a value or leave it out")


def _parsed(args_type: type, prog: str | None) -> Any:
    """The command line as an `args_type`; see `run`. What a dataclass among the options refuses is a ValueError."""
    import tyro  # by far the slowest import here, and only a command line needs it

    script = Path(sys.argv[0])
    stage = script.parent.name if script.stem == "__main__" else script.stem
    words = sys.argv[1:]
    _check_no_empty(words)
    for name, settings in getattr(args_type, "PRESETS", {}).items():
        if f"--{name}" in words:
            words.remove(f"--{name}")
            words = [*_options(args_type(**settings)), *words]  # of an option that is given twice the last counts
    return tyro.cli(args_type, args=words, prog=prog or f"python -m hashlib_nb.{stage}")
