"""Work in other processes, of this machine or of several: jobs go in a few at a time, results come out as they finish.

    for found in in_workers(measure, [("a.npz",), ("b.npz",)], Where(workers=4)):
        ...

A job is worth seconds: paths and settings go to a worker, and what it returns is small, or a path again. Processes of
this machine are Dask's where `distributed` is installed (the extra "scale"), else the standard library's; those of
other machines are Dask's, and are named by their scheduler. What comes out does not depend on which, nor on how many.

A job that fails is tried again, `RETRIES` times; a worker that is ended (the system does that where memory is short) is
replaced, and what it had begun goes to another, until `DEATHS` of them have died of it.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import threading as python_threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from hashlib_nb import checks
from hashlib_nb.artifacts import CommandError
from hashlib_nb.machine import threads

MAX_WORKERS = 256
"""Most processes that work is spread over on this machine."""
AHEAD = 2
"""Jobs that are handed in at a time for each worker."""
RETRIES = 2
"""How often a job that has raised an error is tried again."""
DEATHS = 4
"""Workers that may die of a job; Dask calls one less its allowed failures."""
EXTRA = ("distributed>=2026.8,<2027", "bokeh>=3.4,<4")
"""The packages of the extra "scale"."""
REFUSALS = (ValueError, CommandError)
"""Errors that come of what was given: trying again does not help."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which processes do the work."""

    workers: int = 1
    """processes that share the work, each on one core; their number changes nothing but the time"""
    scheduler: str | None = None
    """address of a Dask scheduler, tcp://HOST:PORT, whose workers do the work in place of this machine's; they need the
    same packages and the same files. It needs the extra "scale\""""
    dashboard: bool = False
    """let Dask serve its page about the work at http://127.0.0.1:8787 while it lasts"""

    def __post_init__(self) -> None:
        """Refuse what cannot be before any work."""
        checks.fields(self, checks.count, "workers", most=MAX_WORKERS)
        if self.scheduler is not None and not (isinstance(self.scheduler, str) and "://" in self.scheduler):
            raise ValueError(f"scheduler is {checks.shown(self.scheduler)}; give an address, tcp://HOST:PORT")
        for name in ("scheduler", "dashboard"):
            if getattr(self, name):
                checks.packages(name, *EXTRA)

    @property
    def alone(self) -> bool:
        """Whether one process is enough, which may be this one."""
        return self.workers == 1 and self.scheduler is None and not self.dashboard

    @property
    def with_dask(self) -> bool:
        """Whether the processes are Dask's."""
        return self.scheduler is not None or checks.find_spec("distributed") is not None


class DeadWorkerError(CommandError):
    """Worker processes have ended in the midst of a job."""

    def __init__(self, deaths: int = 1) -> None:
        super().__init__("a worker has ended")
        self.deaths = deaths


class Pool(Protocol):
    """Processes that take jobs; `Processes` here, and `cluster.Cluster` with Dask."""

    size: int
    """How many jobs to hand in at a time."""

    def submit(self, work: Callable[..., Any], *job: Any) -> Future:
        """Hand in `work(*job)`."""

    def next_done(self, flying: Iterable[Future]) -> Future:
        """The first of these that is done."""

    def result(self, future: Future) -> Any:
        """What came of it. Raises what the job raised, DeadWorkerError or CommandError."""


@contextmanager
def pool(where: Where, *, start: Callable[..., Any] | None = None, initial: tuple = ()) -> Iterator[Pool]:
    """Processes with one thread each; the end of the block drops what has not begun.

    Args:
        where: which processes.
        start: called once in each process before its first job, with `initial`: to have everything loaded and compiled.
            What it returns, unless that is None, is the first argument of every job.
        initial: arguments of `start`.

    Raises:
        ValueError: a scheduler that cannot be reached, has no workers, or whose workers have other packages.
    """
    if where.with_dask:
        from hashlib_nb.scale.cluster import connected  # here, since it imports distributed, which takes a second

        with connected(where, start, initial) as cluster:
            yield cluster
        return
    processes = Processes(where.workers, start, initial)
    try:
        yield processes
    finally:
        processes.close()


def in_workers(
    work: Callable[..., Any],
    jobs: Iterable[tuple],
    where: Where,
    *,
    start: Callable[..., Any] | None = None,
    initial: tuple = (),
) -> Iterator[Any]:
    """`work(*job)` of every job, as they finish. An exception, or Ctrl-C, drops those that have not begun.

    Args:
        work: a function of a module, so that other processes find it.
        jobs: its arguments; taken as workers become free, so that there may be any number of them.
        where: which processes.
        start: as of `pool`.
        initial: arguments of `start`.

    Raises:
        CommandError: a job that ends its workers, or a scheduler that has gone.
        ValueError: as `pool`, and as `work`.
    """
    waiting = iter(jobs)
    if (first := next(waiting, None)) is None:
        return
    with pool(where, start=start, initial=initial) as processes:
        yield from _Run(processes, work, first, waiting).results()


class _Run:
    """Jobs on their way through a pool."""

    def __init__(self, processes: Pool, work: Callable[..., Any], first: tuple, waiting: Iterator[tuple]) -> None:
        self.pool, self.work = processes, work
        self.waiting, self.again = waiting, [(first, 0, 0)]  # job, errors and deaths of its workers so far
        self.flying: dict[Future, tuple[tuple, int, int]] = {}

    def results(self) -> Iterator[Any]:
        while self._fill():
            future = self.pool.next_done(self.flying)
            job, errors, deaths = self.flying.pop(future)
            try:
                found = self.pool.result(future)
            except DeadWorkerError as error:
                deaths += error.deaths
                if deaths >= DEATHS:
                    raise CommandError(_died_of(deaths, job)) from None
                self.again.append((job, errors, deaths))
            except REFUSALS:
                raise
            except Exception:
                if errors >= RETRIES:
                    raise
                self.again.append((job, errors + 1, deaths))
            else:
                yield found

    def _fill(self) -> bool:
        """Hand in as many jobs as are to be under way; whether any are.

        What had begun when a worker died is tried one by one, for then it is known which of it kills workers.
        """
        self.again.sort(key=lambda each: each[2])
        while len(self.flying) < self.pool.size:
            suspect = bool(self.again and self.again[0][2])
            if any(deaths for _, _, deaths in self.flying.values()) or (suspect and self.flying):
                break
            each = self.again.pop(0) if self.again else None
            if each is None:
                if (job := next(self.waiting, None)) is None:
                    break
                each = (job, 0, 0)
            self.flying[self.pool.submit(self.work, *each[0])] = each
        return bool(self.flying)


def _died_of(deaths: int, job: tuple) -> str:
    return (
        f"{deaths} workers have ended, one after the other, at the job {checks.shown(job)}, perhaps since memory was "
        "short: give each less at a time, or take fewer workers; what is finished is kept"
    )


class Processes:
    """The standard library's processes on this machine."""

    def __init__(self, workers: int, start: Callable[..., Any] | None, initial: tuple) -> None:
        self.size = AHEAD * workers
        self._workers, self._begin = workers, (secrets.token_hex(4), start, initial)
        self._executor = self._new()

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # numba's and torch's threads do not survive a fork
        return ProcessPoolExecutor(self._workers, context, initializer=_start_worker, initargs=self._begin)

    def submit(self, work: Callable[..., Any], *job: Any) -> Future:
        """Hand in `work(*job)`, to new processes where the ones before have broken."""
        try:
            return self._executor.submit(call, self._begin[0], work, job)
        except BrokenProcessPool:
            self.close()
            self._executor = self._new()
            return self._executor.submit(call, self._begin[0], work, job)

    def next_done(self, flying: Iterable[Future]) -> Future:
        """The first of these that is done."""
        return next(as_completed(flying))

    def result(self, future: Future) -> Any:
        """What came of it."""
        try:
            return future.result()
        except BrokenProcessPool:
            raise DeadWorkerError from None

    def close(self) -> None:
        """Drop what has not begun."""
        self._executor.shutdown(cancel_futures=True)


# --- in a worker ---


_LOADED: dict[str, Any] = {}
"""What `start` has returned, or raised, by the run that it was called for."""
_THREAD = python_threading.local()


def begin(run: str, start: Callable[..., Any] | None, initial: tuple) -> None:
    """Get a process ready for the jobs of a run; an error is kept for the first of them."""
    _one_thread()
    try:
        _LOADED[run] = None if start is None else start(*initial)
    except Exception as error:
        _LOADED[run] = error


def end(run: str) -> None:
    """Drop what was loaded for a run."""
    _LOADED.pop(run, None)


def call(run: str, work: Callable[..., Any], job: tuple) -> Any:
    """A job in a process that is ready for it."""
    _one_thread()
    loaded = _LOADED.get(run)
    if isinstance(loaded, Exception):
        raise loaded
    return work(*job) if loaded is None else work(loaded, *job)


def _one_thread() -> None:
    """Libraries keep the number of threads for each thread that calls them; Dask's jobs are not in the main one."""
    if not getattr(_THREAD, "limited", False):
        threads.limit(1)
        _THREAD.limited = True


def _start_worker(run: str, start: Callable[..., Any] | None, initial: tuple) -> None:
    python_threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(run, start, initial)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for its next job for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
