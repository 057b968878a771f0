"""Work in other processes: the same comes out of any number of any kind of them, whatever happens to them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import distributed
import pytest

from hashlib_nb.artifacts import CommandError
from hashlib_nb.scale import Where, cluster, in_workers, made, part_path, pool
from tests.helpers import ROOT
from tests.scale import jobs
from tests.scale.jobs import dasks_threads

JOBS = [(number,) for number in range(8)]
SQUARES = [number * number for number in range(8)]


@pytest.fixture(scope="module")
def threads_of_dask() -> Iterator[Where]:
    """A scheduler with two workers that are threads of this process: all of Dask's ways but a process's start."""
    with dasks_threads(2) as where:
        yield where


@pytest.fixture
def page_of_somebody() -> Iterator[None]:
    """The port of Dask's page is taken."""
    with socket.socket() as taken:
        with suppress(OSError):  # by somebody else
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        yield


# --- what comes out ---


def test_dasks_workers_do_each_job_once_with_what_they_have_loaded(threads_of_dask):
    assert sorted(in_workers(jobs.square, JOBS, threads_of_dask)) == SQUARES
    assert sorted(in_workers(jobs.add, JOBS, threads_of_dask, start=jobs.load, initial=(10,))) == [*range(10, 18)]


@pytest.mark.process
def test_processes_of_the_standard_library_share_the_work(without_dask, tmp_path):
    found = dict(in_workers(jobs.process, [(number,) for number in range(20)], Where(workers=2)))
    assert found.keys() == {*range(20)}
    assert len({*found.values()}) == 2
    assert os.getpid() not in found.values()


@pytest.mark.process
def test_a_job_that_fails_is_tried_again_and_a_worker_that_dies_is_replaced(without_dask, tmp_path):
    (tmp_path / "raises").mkdir()
    (tmp_path / "dies").mkdir()
    with_folder = {name: [(number, str(tmp_path / name)) for number in range(8)] for name in ("raises", "dies")}
    assert sorted(in_workers(jobs.square_at_last, with_folder["raises"], Where(workers=2))) == SQUARES
    assert sorted(in_workers(jobs.square_or_die, with_folder["dies"], Where(workers=2))) == SQUARES
    assert [path.name for path in (tmp_path / "dies").iterdir()] == ["3"]  # which has died once


@pytest.mark.process
def test_a_job_that_ends_its_workers_is_named(without_dask):
    with pytest.raises(CommandError, match=r"^4 workers have ended, one after the other, at the job \(3,\), perhaps "):
        list(in_workers(jobs.die, JOBS, Where(workers=2)))


@pytest.mark.process
@pytest.mark.slow
def test_dask_replaces_a_worker_that_dies_while_its_page_is_served(tmp_path, capsys):
    with_folder = [(number, str(tmp_path)) for number in range(8)]
    results = in_workers(jobs.square_or_die, with_folder, Where(workers=2, dashboard=True))
    first = next(results)
    page = capsys.readouterr().out.split()[-1]
    assert b"Bokeh" in urllib.request.urlopen(page, timeout=20).read()
    assert sorted([first, *results]) == SQUARES
    assert (tmp_path / "3").exists()


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.filterwarnings("error:Port 8787")
def test_dask_names_a_job_that_ends_its_workers_and_wants_no_port_of_a_page(monkeypatch, page_of_somebody):
    monkeypatch.setitem(cluster.SETTINGS, "distributed.scheduler.allowed-failures", 0)
    with pytest.raises(
        CommandError, match=r"workers have ended, one after the other, at the job \(3,\), perhaps since"
    ):
        list(in_workers(jobs.die, [(3,)], Where(workers=1)))


def test_jobs_are_taken_as_workers_become_free(threads_of_dask):
    taken = []
    endless = (taken.append(number) or (number,) for number in range(10**6))
    results = in_workers(jobs.square, endless, threads_of_dask)
    for _ in range(3):
        next(results)
    results.close()
    assert len(taken) < 200


def test_no_job_starts_no_process():
    assert list(in_workers(jobs.square, [], Where(workers=2, scheduler="tcp://127.0.0.1:9"))) == []


# --- what is refused ---


def test_what_a_job_refuses_is_not_tried_again(threads_of_dask):
    with pytest.raises(ValueError, match=r"^number is \d; give another$"):
        list(in_workers(jobs.refuse, JOBS, threads_of_dask))


def test_a_worker_that_cannot_get_ready_says_why(threads_of_dask):
    with pytest.raises(ValueError, match=r"^model: nowhere has no encoder\.json; give another$"):
        list(in_workers(jobs.square, JOBS, threads_of_dask, start=jobs.fail_to_load))


@pytest.mark.parametrize(("name", "value"), [("scheduler", "tcp://127.0.0.1:8786"), ("dashboard", True)])
def test_a_missing_extra_is_one_sentence_with_the_line_for_pip(without_dask, name, value):
    with pytest.raises(
        ValueError, match=f"^{name} needs the packages distributed and bokeh: python -m pip install 'dis"
    ):
        Where(**{name: value})


@pytest.mark.parametrize("address", ["localhost", "", 8786])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match="^scheduler is .*; give an address, tcp://HOST:PORT$"):
        Where(scheduler=address)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS", 0.3)
    with pytest.raises(
        ValueError, match=r"^scheduler is 'tcp://127\.0\.0\.1:9', which does not answer \(.*\); start one"
    ):
        list(in_workers(jobs.square, JOBS, Where(scheduler="tcp://127.0.0.1:9")))


def test_a_scheduler_without_workers_is_named(monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS", 2)
    with dasks_threads(0) as where:
        address = where.scheduler
        with pytest.raises(
            ValueError, match=f"^scheduler: {address} has no worker; start some with dask worker {address}"
        ):
            list(in_workers(jobs.square, JOBS, where))


# --- a scheduler elsewhere ---


@pytest.mark.process
@pytest.mark.slow
def test_other_packages_are_refused_and_a_lost_scheduler_costs_nothing_that_is_finished(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "tests.scale.jobs"]
    with subprocess.Popen(words, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as elsewhere:
        try:
            where = Where(scheduler=elsewhere.stdout.readline().strip())
            with distributed.Client(where.scheduler, set_as_default=False) as client:
                (before,) = client.run(jobs.set_version, "0.1.0").values()
                with pytest.raises(
                    ValueError, match=r"^scheduler: its worker tcp:.* \(hashlib_nb='0\.1\.0 .*install the"
                ):
                    list(in_workers(jobs.square, JOBS, where))
                client.run(jobs.set_version, before)
            (tmp_path / "made").mkdir()
            work = [(number, str(tmp_path / "made")) for number in range(100)]
            parts = [part_path(tmp_path / "parts", {"number": number}) for number in range(100)]
            coming = made(jobs.make, work, parts, ("number",), where)
            next(coming)
            elsewhere.kill()
            sentence = r"^the scheduler at tcp:.* has gone; what is finished is kept: start it anew, and give the same "
            with pytest.raises(CommandError, match=sentence):
                list(coming)
        finally:
            elsewhere.kill()
    finished = {path: path.stat().st_mtime_ns for path in parts if path.exists()}
    assert 0 < len(finished) < 100
    found = {number: int(arrays["number"]) for number, arrays, _ in made(jobs.make, work, parts, ("number",), Where())}
    assert found == {number: number for number in range(100)}
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # not one was made anew


def test_a_pool_takes_jobs_one_by_one(threads_of_dask):
    with pool(threads_of_dask, start=jobs.load, initial=(5,)) as processes:
        flying = [processes.submit(jobs.add, number) for number in range(3)]
        assert processes.next_done(flying) in flying
        assert [processes.result(future) for future in flying] == [5, 6, 7]
