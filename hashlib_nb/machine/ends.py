"""How a command ends: bad input in one sentence, Ctrl-C and a reader that has left without a word too many.

Standard library alone, since it must be there before anything else is imported.
"""

from __future__ import annotations

import csv
import os
import select
import signal
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from hashlib_nb.machine.files import printable, shown

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 and the signal's number."""
CLOSED = 141
"""Exit status where who reads the output has left, as `| head -1` does."""


class CommandError(RuntimeError):
    """What a command could not do, in a sentence for whoever typed it."""


KNOWN = (
    ValueError, OSError, CommandError,
    MemoryError, OverflowError, EOFError, csv.Error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Errors that come of what was given, not of a mistake in the program: those keep their traceback."""


@contextmanager
def ending() -> Iterator[None]:
    """Around all that a command does: turn what stops it into an exit status and at most one sentence."""
    try:
        try:
            yield
        finally:
            _flush()
    except KeyboardInterrupt:
        _interrupted()
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_left():
            _drop_output()
            sys.exit(CLOSED)
        if not is_known(error):
            raise
        sys.exit(f"error: {sentence(error)}")


def quiet_imports() -> None:
    """Let Ctrl-C end quietly before `ending` begins: the imports of a module that runs as a command take seconds."""
    shown = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: object) -> None:
        if issubclass(kind, KeyboardInterrupt):
            _interrupted()  # Python's own status is 1 where what runs at exit compiles anything, as torch's does
        shown(kind, error, trace)

    sys.excepthook = show


def is_known(error: BaseException) -> bool:
    """Whether an error comes of what was given; see `KNOWN`."""
    return isinstance(error, KNOWN) or _is_out_of_memory(error)


def sentence(error: BaseException) -> str:
    """An error as one line that names what it is about."""
    text = str(error) or type(error).__name__
    if _is_out_of_memory(error):
        text = f"memory is not enough ({text.splitlines()[0]}); give fewer pictures, rows or bits at a time"
    elif isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{shown(error.filename)} cannot be used ({error.strerror}); name another"
    return printable(text)


def _is_out_of_memory(error: BaseException) -> bool:
    """Python's own, and torch's, which is a RuntimeError on a CPU and has a class of its own on a GPU."""
    torchs = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or torchs or type(error).__name__ == "OutOfMemoryError"


def _interrupted() -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one ends what still tidies up, as quietly
    print("interrupted", file=sys.stderr)
    sys.exit(INTERRUPTED)


def _flush() -> None:
    """Write out what was printed while an error can still be told; Python's own attempt comes too late for that."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_output()
        raise CommandError(f"the output cannot be written ({error.strerror}); send it elsewhere") from error


def _drop_output() -> None:
    """Send what is still to be printed nowhere, so that Python does not stumble over it while it ends."""
    with suppress(AttributeError, OSError, ValueError):  # an output without a file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _reader_left() -> bool:
    """Whether the broken pipe is the command's own output, and not one to another process, whose end is an error."""
    states = [state for stream in (sys.stdout, sys.stderr) if (state := _state(stream)) is not None]
    return any(states) or not states


def _state(stream: object) -> bool | None:
    """Whether nobody reads a stream; None where that cannot be told."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (AttributeError, OSError, ValueError):  # Windows, or an output without a file
        return None
