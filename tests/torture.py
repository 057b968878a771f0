"""What `make test` does a little of, at length: every bad line as a process, 40 kills, 2,000 saves by two writers.

make torture                # an hour or so
python -m tests.torture --lines 100 --kills 8 --saves 200
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from hashlib_nb.artifacts import CommandError, run
from tests import fuzz_tables, kills
from tests.fuzz_tables import Line, Outcome, World


@dataclass(frozen=True)
class Args:
    """Give every command what it cannot take, kill what takes long, write one index twice at a time."""

    lines: int | None = None
    """bad command lines, drawn at random; by default all of the tables"""
    kills: int = 40
    """of stage 2, PPO, encode and a writer of an index, a quarter each"""
    saves: int = 2000
    """of two writers together"""
    seed: int = 0
    """of what is drawn, and of the moments of the kills"""
    workers: int = os.cpu_count() or 1
    """processes at a time, for the lines"""


def main(args: Args) -> None:
    """Do all three, and print what is wrong.

    Raises:
        CommandError: something was.
    """
    with tempfile.TemporaryDirectory() as place:
        worlds = [fuzz_tables.make_world(Path(place, f"world{number}")) for number in range(args.workers)]
        for world in worlds:
            fuzz_tables.add_encoder(world)
        wrong = [*_lines(args, worlds), *_kills(args, worlds[0], Path(place)), *_saves(args, worlds[0], Path(place))]
    print(*wrong, sep="\n")
    if wrong:
        raise CommandError(f"{len(wrong)} things are wrong, listed above")
    print("nothing is wrong")


def _lines(args: Args, worlds: list[World]) -> list[str]:
    lines = list(fuzz_tables.command_lines())
    if args.lines is not None:
        lines = random.Random(args.seed).sample(lines, min(args.lines, len(lines)))
    free: Queue[World] = Queue()
    for world in worlds:
        free.put(world)

    def wrong_with(line: Line) -> list[str]:
        world = free.get()
        try:
            return [f"{line.name}: {found}" for found in fuzz_tables.complaints(line, run_process(world, line))]
        finally:
            free.put(world)

    with ThreadPoolExecutor(len(worlds)) as pool:
        found = [each for several in pool.map(wrong_with, lines) for each in several]
    print(f"{len(lines)} lines as processes, {len(found)} complaints", flush=True)
    return found


def run_process(world: World, line: Line) -> Outcome:
    """How a line ends as a process of its own."""
    before, trace = world.snapshot(), ""
    command = [sys.executable, "-m", "hashlib_nb", *line.words]
    env = fuzz_tables.process_environment(world)
    try:
        done = subprocess.run(command, cwd=world.here, env=env, capture_output=True, timeout=4 * fuzz_tables.SECONDS)
    except subprocess.TimeoutExpired:
        return Outcome(-1, "", f"hangs for {4 * fuzz_tables.SECONDS} s", ())
    said = done.stderr.decode(errors="replace")
    if "Traceback" in said or done.returncode < 0:
        trace = f"status {done.returncode}, {said[-500:]}"
    return Outcome(done.returncode, said, trace, fuzz_tables.changes(before, world.snapshot()))


def _kills(args: Args, world: World, place: Path) -> list[str]:
    found, each = [], max(1, args.kills // (len(kills.WORKS) + 1))
    for name, work in kills.WORKS.items():
        whole, seconds = kills.run_whole(work, world, place / name / "whole")
        killed = place / name / "killed"
        how = {"kills": each, "seconds": seconds, "seed": args.seed}
        ends = kills.kill_again_and_again(work, world, killed, **how)
        found += [f"{name}, killed and given again, ends differently"] * sum(end != whole for end in ends)
        found += [f"{name}, killed, leaves {left}" for left in kills.leftovers(killed)]
        print(f"{name}: {each} kills", flush=True)
    moments = random.Random(args.seed)
    for number in range(each):
        said, there = kills.killed_writer(place / "killed-index", world, f"w{number}", moments.uniform(0, 1))
        if not said <= there <= said + 1:
            found.append(f"a killed writer had added {said} pictures, and {there} are there")
    print(f"index: {each} kills", flush=True)
    return found


def _saves(args: Args, world: World, place: Path) -> list[str]:
    there = kills.two_writers(place / "shared-index", world, args.saves // 2)
    print(f"two writers: {args.saves // 2} saves each", flush=True)
    return [] if there == 2 * (args.saves // 2) else [f"two writers saved {args.saves} pictures, and {there} are there"]


if __name__ == "__main__":
    run(main, Args, prog="python -m tests.torture")
