"""Run every script in a process of its own, then print the summary: python -m benchmarks [--quick]."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import tyro

from benchmarks import summary

SCRIPTS = (
    "bench_metrics",
    "bench_search",
    "bench_reward",
    "bench_candidates",
    "bench_stream",
    "bench_codes",
    "bench_baselines",
    "bench_ppo",
    "bench_encode",
    "bench_features",
    "bench_index",
    "bench_demo",
    "bench_course",
)


@dataclass(frozen=True)
class Args:
    """All benchmarks, one after the other, on an otherwise idle machine if their numbers are to mean something."""

    quick: bool = False
    """tiny sizes, to see that everything runs; writes the same files"""


def main(args: Args) -> None:
    """Stop at the first script that fails."""
    for script in SCRIPTS:
        print(f"\n== {script}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{script}", *(["--quick"] if args.quick else [])]
        if status := subprocess.run(command, check=False).returncode:
            sys.exit(f"error: {' '.join(command[1:])} ended with status {status}")
    print("\n== summary")
    summary.main()


if __name__ == "__main__":
    main(tyro.cli(Args, prog="python -m benchmarks"))
