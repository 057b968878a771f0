"""What is given wrongly ends in one sentence that names it, and changes nothing: by tables over commands and functions.

`tests.fuzz_tables` has the command lines, `tests.fuzz_calls` the calls. `make torture` runs all lines as processes.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from hashlib_nb.__main__ import COMMANDS
from tests import fuzz_calls, fuzz_tables
from tests.fuzz_tables import LINES, Line, World, run_line
from tests.kills import WORKS, kill_again_and_again, killed_writer, leftovers, run_whole, two_writers

ALL: dict[str, list[Line]] = defaultdict(list)
for _line in fuzz_tables.command_lines():
    ALL[_line.words[0]].append(_line)

HEAVY = (
    "codes",
    "encoder",
    "ppo",
    "dqn",
    "encode",
    "search",
    "results",
    "questions",
    "reward_rows",
    "baselines",
    "rivals",
    "unseen",
    "comparison",
    "tuning",
    "robustness",
    "classroom",
)
"""Commands that bring torch, or an encoder to the world, or take long to import."""
WORKING = ("datasets", "codes", "encoder", "thermometer", "ppo", "dqn", "selectors", "metrics", "encode", "search",
           "exchange", "records", "video")  # fmt: skip
"""Commands whose usual line is quickly done."""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> World:
    """Inputs for all lines and calls, which nobody changes."""
    return fuzz_tables.make_world(tmp_path_factory.mktemp("fuzz") / "world")


@pytest.fixture(scope="module")
def world_with_encoder(tmp_path_factory) -> World:
    """The same with an encoder and an index."""
    made = fuzz_tables.make_world(tmp_path_factory.mktemp("fuzz") / "world")
    fuzz_tables.add_encoder(made)
    return made


def test_the_tables_reach_each_option_of_each_command():
    assert set(ALL) == set(COMMANDS)
    assert sum(map(len, ALL.values())) > 1500
    reached = {(command, line.option) for command, lines in ALL.items() for line in lines}
    assert len(reached) > 100


def refused(world: World, command: str) -> None:
    wrong = [(line.name, found) for line in ALL[command] if (found := complain(world, line))]
    assert wrong == []


def complain(world: World, line: Line) -> list[str]:
    return fuzz_tables.complaints(line, run_line(world, line.words))


@pytest.mark.parametrize("command", [command for command in LINES if command not in HEAVY])
def test_each_option_of_a_command_refuses_what_it_cannot_be(command, world):
    refused(world, command)


@pytest.mark.slow
@pytest.mark.xdist_group("fuzz")
@pytest.mark.parametrize("command", HEAVY)
def test_each_option_of_a_heavy_command_refuses_what_it_cannot_be(command, world_with_encoder):
    refused(world_with_encoder, command)


@pytest.mark.slow
@pytest.mark.xdist_group("fuzz")
@pytest.mark.parametrize("command", [*WORKING, "baselines"])
def test_the_line_that_is_bent_would_have_worked(command, world_with_encoder, tmp_path):
    """Else its refusals would say nothing."""
    outputs = [str(tmp_path / word[4:]) if word.startswith("new/") else word for word in LINES[command]]
    found = run_line(world_with_encoder, (command, *outputs))
    assert (found.status, found.trace) == (0, ""), found.said


@pytest.mark.slow
@pytest.mark.process
def test_ten_lines_end_the_same_in_processes_of_their_own(world):
    """Of all lines; `make torture` runs every one so."""
    light = [line for command, lines in ALL.items() if command not in HEAVY for line in lines]
    for line in random.Random(0).sample(light, 10):
        words = [sys.executable, "-m", "hashlib_nb", *line.words]
        before = world.snapshot()
        done = subprocess.run(
            words, cwd=world.here, env=fuzz_tables.process_environment(world), capture_output=True, timeout=60
        )
        assert done.returncode in (1, 2), line.name
        assert b"Traceback" not in done.stderr, line.name
        assert len(done.stderr.splitlines()) == 1 or done.returncode == 2, line.name
        assert world.snapshot() == before, line.name


@pytest.mark.slow
def test_a_call_that_cannot_be_meant_is_refused_by_name(world, monkeypatch):
    monkeypatch.chdir(world.here)
    calls = list(fuzz_calls.calls(world))
    assert len(calls) > 500
    before = world.snapshot()
    assert [(call.name, found) for call in calls if (found := fuzz_calls.complaints(call))] == []
    assert world.snapshot() == before


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.xdist_group("fuzz")
@pytest.mark.parametrize(("work", "kills"), {"encoder": 2, "ppo": 2, "encode": 2}.items())
def test_a_command_that_is_killed_and_given_again_ends_as_if_it_had_not_been(work, kills, world_with_encoder, tmp_path):
    """Each is killed a few times; `make torture` does so ten times."""
    whole, seconds = run_whole(WORKS[work], world_with_encoder, tmp_path / "whole")
    how = {"kills": kills, "seconds": seconds, "seed": 0}
    for found in kill_again_and_again(WORKS[work], world_with_encoder, tmp_path / "killed", **how):
        assert found == whole
    assert leftovers(tmp_path / "killed") == []


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.xdist_group("fuzz")
def test_two_writers_of_an_index_lose_nothing_and_a_killed_one_what_it_was_at(world_with_encoder, tmp_path):
    index = tmp_path / "index"
    assert two_writers(index, world_with_encoder, saves=150) == 300
    said, there = killed_writer(index, world_with_encoder, "c", seconds=0.2)
    assert said <= there <= said + 1


def test_the_words_of_packages_below_are_known():
    assert Counter(fuzz_tables.FOREIGN).most_common(1)[0][1] == 1
    assert fuzz_tables.foreign_words("'utf-8' codec can't decode byte 0xff") == ["codec can"]
