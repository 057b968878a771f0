"""Work spread over processes, each on one core: cells of a comparison, selections of a table."""

from __future__ import annotations

import multiprocessing
import os
import threading as python_threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

from hashlib_nb.machine import threads

MAX_WORKERS = 256
"""Most processes that work is spread over."""


@contextmanager
def processes(workers: int, *, start: Callable[..., None] | None = None, initial: tuple = ()) -> Iterator[Executor]:
    """Processes with one thread each, which begin with their first job; the end of the block drops what has not begun.

    Args:
        workers: how many.
        start: called once in each process before its first job, with `initial`: to have everything loaded and compiled.
        initial: arguments of `start`.
    """
    context = multiprocessing.get_context("spawn")  # numba's and torch's threads do not survive a fork
    executor = ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(start, initial))
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def in_workers(
    work: Callable[..., Any],
    jobs: Sequence[tuple],
    workers: int,
    *,
    start: Callable[..., None] | None = None,
    initial: tuple = (),
) -> Iterator[Any]:
    """`work(*job)` of every job, as they finish. An exception, or Ctrl-C, drops those that have not begun.

    Args:
        work: a function of a module, so that other processes find it.
        jobs: its arguments.
        workers: processes, each with one thread.
        start: as of `processes`.
        initial: arguments of `start`.
    """
    if not jobs:
        return
    with processes(min(workers, len(jobs)), start=start, initial=initial) as executor:
        for done in as_completed([executor.submit(work, *job) for job in jobs]):
            yield done.result()


def _start_worker(start: Callable[..., None] | None, initial: tuple) -> None:
    python_threading.Thread(target=_end_with_parent, daemon=True).start()
    threads.limit(1)
    if start is not None:
        start(*initial)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next job for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
