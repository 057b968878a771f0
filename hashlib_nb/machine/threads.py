"""How many threads torch, numba and the pools of BLAS and OpenMP use: the one place that sets them.

Work on small arrays is done sooner by one thread than by two that wait for each other. A library that is not loaded is
not loaded for this, and keeps its own number when it is.

    with threads.limited(1, "torch"):
        ...
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from threadpoolctl import threadpool_limits

from hashlib_nb import checks

LIBRARIES = ("torch", "numba", "pools")
"""What can be set: "pools" are those of BLAS and OpenMP that threadpoolctl finds."""

MOST = 4096
"""Most threads that a library is given."""


def limit(number: int, *libraries: str) -> Callable[[], None]:
    """Give the libraries `number` threads from here on.

    Args:
        number: of threads, in 1..`MOST`.
        libraries: names in `LIBRARIES`; all of them if none is given.

    Returns:
        What puts the numbers back that were there before.

    Raises:
        ValueError: an unknown library, or a number out of range.
    """
    number = checks.count(number, "number", most=MOST)
    if unknown := {*libraries} - {*LIBRARIES}:
        raise ValueError(f"libraries has {', '.join(sorted(unknown))}; there are {', '.join(LIBRARIES)}")
    undo: list[Callable[[], object]] = []
    for library in libraries or LIBRARIES:
        if library == "pools":
            undo.append(threadpool_limits(number).restore_original_limits)
        elif module := sys.modules.get(library):
            undo.append(partial(module.set_num_threads, module.get_num_threads()))
            module.set_num_threads(number)

    def put_back() -> None:
        for each in reversed(undo):
            each()

    return put_back


@contextmanager
def limited(number: int, *libraries: str) -> Iterator[None]:
    """`limit` inside a `with` block, or in a decorated function; the numbers are put back whatever happens."""
    put_back = limit(number, *libraries)
    try:
        yield
    finally:
        put_back()
