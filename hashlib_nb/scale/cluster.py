"""Dask's processes: those that it starts on this machine, or those of a scheduler that runs already."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, Worker, WorkerPlugin, as_completed
from distributed.comm.core import CommClosedError

import hashlib_nb
from hashlib_nb import artifacts
from hashlib_nb.artifacts import CommandError
from hashlib_nb.scale import workers
from hashlib_nb.scale.workers import AHEAD, DEATHS, DeadWorkerError, Where

SECONDS = 10
"""How long a scheduler may take to answer, and to have a worker."""
REMOTE_AHEAD = 64
"""Least number of jobs that a scheduler elsewhere holds, so that one that adds workers by need sees the need."""
SETTINGS = {
    "distributed.scheduler.allowed-failures": DEATHS - 1,
    "distributed.scheduler.worker-saturation": 1.0,  # one job at a time, so that it is known which ends a worker
    "distributed.worker.memory.target": False,  # jobs return paths: there is nothing to move to a disk
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,  # it would look into a job a hundred times a second
}
"""Of a cluster on this machine; one elsewhere has its own."""
NO_PAGE = {"dashboard_address": "127.0.0.1:0", "scheduler_kwargs": {"dashboard": False}}
"""A scheduler always opens a port for HTTP, and without an address that of the page, 8787: it gets any free one."""
PACKAGES = ("numpy", "numba", "pillow", "torch", "torchvision")
"""What codes and histograms depend on beside this package."""


def versions() -> dict[str, str]:
    """The packages on which results depend, and the content of this one."""
    found = {"hashlib_nb": f"{hashlib_nb.__version__} ({_content()})"}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _content() -> str:
    """What identifies this package's Python: a clone's version stays as its code changes."""
    files = sorted(Path(hashlib_nb.__file__).parent.rglob("*.py"))
    return artifacts.digest_of_text("\n".join(artifacts.sha256(path).hex() for path in files))


class Ready(WorkerPlugin):
    """Gets each worker ready for a run, once, those that join later as well; one with other packages is refused."""

    def __init__(self, run: str, wanted: dict[str, str], start: Callable[..., Any] | None, initial: tuple) -> None:
        self.name, self.wanted = f"hashlib_nb-{run}", wanted
        self._begin = run, start, initial

    def setup(self, worker: Worker) -> None:
        """Load what the jobs need."""
        if (found := versions()) != self.wanted:
            said = artifacts.differences(found, self.wanted)
            raise ValueError(
                f"scheduler: its worker {worker.address} has other packages than this process ({said}); install the "
                "same with all of them"
            )
        workers.begin(*self._begin)

    def teardown(self, worker: Worker) -> None:
        """Drop it."""
        workers.end(self._begin[0])


class Cluster:
    """Workers that take jobs through a client; see `workers.Pool`."""

    def __init__(self, client: Client, where: Where, run: str) -> None:
        self._client, self._where, self._run = client, where, run
        n = len(client.nthreads())
        self.size = AHEAD * where.workers if where.scheduler is None else max(REMOTE_AHEAD, AHEAD * n)

    def submit(self, work: Callable[..., Any], *job: Any) -> Future:
        """Hand in `work(*job)`."""
        with self._lost():
            return self._client.submit(workers.call, self._run, work, job, pure=False)

    def next_done(self, flying: Iterable[Future]) -> Future:
        """The first of these that is done, or lost."""
        with self._lost():
            return next(as_completed([*flying], loop=self._client.loop))

    def result(self, future: Future) -> Any:
        """What came of it."""
        with self._lost():
            try:
                return future.result()
            except KilledWorker:
                raise DeadWorkerError(DEATHS) from None

    def sentence(self, error: BaseException) -> CommandError:
        """What is said of a job that has ended its workers, or of a scheduler that has gone."""
        return CommandError(f"{error}; what is finished is kept") if isinstance(error, KilledWorker) else self._gone()

    @contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except (CancelledError, CommClosedError, TimeoutError) as error:
            raise self._gone() from error
        except RuntimeError as error:
            if self._client.status == "running":
                raise
            raise self._gone() from error

    def _gone(self) -> CommandError:
        return CommandError(
            f"the scheduler at {self._client.scheduler.address} has gone; what is finished is kept: start it anew, and "
            "give the same command again"
        )


@contextmanager
def connected(where: Where, start: Callable[..., Any] | None, initial: tuple) -> Iterator[Cluster]:
    """Workers that are ready; those of this machine end with the block. Raises as `workers.pool` does."""
    run = secrets.token_hex(4)
    with _quiet(), ExitStack() as stack:
        client = stack.enter_context(_remote(where.scheduler) if where.scheduler else _local(where))
        plugin = Ready(run, versions(), start, initial)
        try:
            client.register_plugin(plugin)
        except (ImportError, AttributeError) as error:  # unpickling the plugin brings this package in
            raise ValueError(
                f"scheduler: a worker of {where.scheduler} cannot import this package ({error}); install hashlib_nb "
                f"{hashlib_nb.__version__} with each of them"
            ) from error
        cluster = Cluster(client, where, run)
        try:
            yield cluster
        except (CancelledError, KilledWorker) as error:  # of whoever asks futures themselves
            raise cluster.sentence(error) from error
        finally:
            if where.scheduler and client.status == "running":
                with suppress(Exception):  # the scheduler may go at any moment
                    client.unregister_worker_plugin(plugin.name)


@contextmanager
def _local(where: Where) -> Iterator[Client]:
    page = {"dashboard_address": "127.0.0.1:8787"} if where.dashboard else NO_PAGE
    about = {"n_workers": where.workers, "threads_per_worker": 1, "memory_limit": "auto", "host": "127.0.0.1"}
    environment = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with (
        dask.config.set(SETTINGS),
        LocalCluster(**about, **page, env=environment, silence_logs=logging.CRITICAL) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        if where.dashboard:
            print(f"dashboard: {client.dashboard_link}")
        yield client


@contextmanager
def _remote(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError, CommClosedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"scheduler is {address!r}, which does not answer ({reason}); start one with dask scheduler, or give the "
            "address that it prints"
        ) from error
    try:
        try:
            client.wait_for_workers(1, timeout=SECONDS)
        except (TimeoutError, CommClosedError) as error:
            raise ValueError(
                f"scheduler: {address} has no worker; start some with dask worker {address} --nthreads 1"
            ) from error
        yield client
    finally:
        client.close(timeout=1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask says much about workers that come and go; what matters is raised."""
    loggers = [logging.getLogger(name) for name in ("distributed", "asyncio", "tornado")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
