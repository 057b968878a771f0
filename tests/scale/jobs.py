"""What workers do in the tests, and a scheduler with one worker in a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import hashlib_nb
from hashlib_nb import artifacts
from hashlib_nb.scale import Where


def square(number: int) -> int:
    """A job that goes well."""
    return number * number


def process(number: int) -> tuple[int, int]:
    """Which process has a job."""
    time.sleep(0.02)
    return number, os.getpid()


def square_at_last(number: int, folder: str) -> int:
    """The first time it raises what a network does now and then."""
    if _first_time(number, folder):
        raise OSError("the file server did not answer")
    return square(number)


def square_or_die(number: int, folder: str) -> int:
    """The first time one of the jobs loses its worker."""
    if number == 3 and _first_time(number, folder):
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def die(number: int) -> int:
    """Job 3 always loses its worker."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    """What is given is of no use."""
    raise ValueError(f"number is {number}; give another")


def load(base: int) -> int:
    """What a worker loads before its jobs."""
    return base


def add(base: int, number: int) -> int:
    """A job of what was loaded."""
    return base + number


def fail_to_load() -> None:
    """A worker that cannot get ready."""
    raise ValueError("model: nowhere has no encoder.json; give another")


def make(part: str, number: int, folder: str) -> str:
    """A part: a file with one number; leaves a trace of having been made."""
    time.sleep(0.02)
    _first_time(number, folder)
    artifacts.save_npz(Path(part), {"number": np.array(number)}, made_by="a test")
    return part


def make_elsewhere(part: str, number: int, folder: str) -> str:
    """What a worker on another disk does."""
    return part


def _first_time(number: int, folder: str) -> bool:
    try:
        Path(folder, str(number)).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def set_version(version: str) -> str:
    """Make this process one with another package; gives back which it had."""
    before, hashlib_nb.__version__ = hashlib_nb.__version__, version
    return before


@contextmanager
def dasks_threads(workers: int) -> Iterator[Where]:
    """A scheduler with workers that are threads of this process."""
    from distributed import LocalCluster

    from hashlib_nb.scale.cluster import NO_PAGE

    about = {"n_workers": workers, "threads_per_worker": 1, "processes": False, "protocol": "tcp://"}
    with LocalCluster(**about, **NO_PAGE) as running:
        yield Where(scheduler=running.scheduler_address)


async def serve() -> None:
    """Run a scheduler and a worker until somebody ends the process."""
    from distributed import Scheduler, Worker

    async with (
        Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0") as scheduler,
        Worker(scheduler.address, nthreads=1, dashboard=False),
    ):
        print(scheduler.address, flush=True)
        await scheduler.finished()


if __name__ == "__main__":
    sys.modules["tests.scale.jobs"] = sys.modules["__main__"]
    asyncio.run(serve())
