"""What the machine gives: files on disk, threads, a place for compiled kernels, how a command begins and ends.

Its standard part is here by name, and imports nothing but the standard library; `threads` is imported where it is used.
"""

from hashlib_nb.machine.commands import command, peak_memory_mb, run
from hashlib_nb.machine.ends import CommandError, ending, quiet_imports, sentence
from hashlib_nb.machine.files import (
    NotRegularError,
    WriteError,
    absolute,
    atomic,
    check_regular,
    check_writable,
    expanded,
    locked,
    or_dropped,
    printable,
    project_root,
    results_file,
    shown,
)
from hashlib_nb.machine.numba_cache import CACHE

__all__ = [
    "CACHE", "CommandError", "NotRegularError", "WriteError", "absolute", "atomic", "check_regular", "check_writable",
    "command", "ending", "expanded", "locked", "or_dropped", "peak_memory_mb", "printable", "project_root",
    "quiet_imports", "results_file", "run", "sentence", "shown", "threads",
]  # fmt: skip
