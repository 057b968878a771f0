"""What the scripts share: turns of timing, the machine's description, results on disk, and one kind of figure.

`torch.utils.benchmark` and `pyperf` time one side after the other, the latter each in a process of its own. What is
wanted here is a ratio on a machine that others may be using: the sides take turns, so that a busy minute hits them all.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import matplotlib
import numba
import tyro
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from hashlib_nb import artifacts, plots

PATIENCE = 2.0  # seconds: a side that takes longer is timed once
REST = 0.2  # seconds before each run: a side's threads go on spinning for a while, on the next one's cores
LINES = (
    ("#0072B2", "-", "o"), ("#D55E00", "--", "s"), ("#009E73", "-.", "^"), ("#CC79A7", ":", "D"),
    ("#E69F00", "-", "v"), ("#56B4E9", "--", "P"), ("#000000", "-.", "x"), ("#882255", ":", "*"),
    ("#117733", "-", "+"), ("#888888", "--", "h"),
)  # fmt: skip
"""Color, line style and marker of each side; they can be told apart in grey as well."""
PACKAGES = [
    "numpy",
    "numba",
    "torch",
    "faiss-cpu",
    "torchmetrics",
    "pytrec-eval-terrier",
    "stable-baselines3",
    "sb3-contrib",
]


@dataclass(frozen=True)
class Ratio:
    """One line of the summary: ours beside theirs, from one run."""

    what: str
    """What was measured, and on how much."""
    against: str
    """The other side."""
    ours: float
    theirs: float
    unit: str = "s"
    """"s", "MB" or "codes", where less is better, or another, such as "steps/s", where more is."""

    @property
    def ratio(self) -> float:
        """How many times better ours is; below 1 it is worse."""
        return self.theirs / self.ours if self.unit in ("s", "MB", "codes") else self.ours / self.theirs


@dataclass(frozen=True)
class Goal:
    """What something may take as a share of another side, beside what the machine sets as a limit."""

    what: str
    """What was measured, and on how much."""
    against: str
    """The other side."""
    ours: float
    theirs: float | None
    """None where the other side is not installed."""
    goal: float
    """Most of ours / theirs."""
    limit: str
    """What sets a limit to both."""
    limited: float | None
    """What the limit alone takes; None where it was not measured apart."""
    unit: str = "s"
    """"s", or another of which less is better."""
    reason: str = ""
    """Why a goal that is missed was missed."""

    @property
    def share(self) -> float | None:
        """Ours / theirs."""
        return None if self.theirs is None else self.ours / self.theirs

    @property
    def ratio(self) -> Ratio:
        """As a line of the usual table; a share of what is not time says the same the other way round."""
        return Ratio(f"{self.what}, one thread", self.against, self.ours, self.theirs, self.unit)

    @property
    def verdict(self) -> str:
        """Whether the goal is reached, and why it was missed."""
        if self.share is None:
            return "not compared"
        return "reached" if self.share <= self.goal else f"missed: {self.reason}"

    @property
    def of_limit(self) -> str:
        """Ours as a multiple of the limit, with its name."""
        return self.limit if self.limited is None else f"{self.limit}, of which ours is {self.ours / self.limited:.3g}"

    @property
    def said(self) -> str:
        """All of it in a line."""
        share = "-" if self.share is None else f"{self.share:.3g}"
        return f"{self.what}: {share} of {self.against} (goal {self.goal:.3g}; limit {self.of_limit}): {self.verdict}"


def shrink(args: Any, **small: Any) -> None:
    """Give a frozen `Args` the sizes of its quick run, in its `__post_init__`."""
    for name, value in small.items():
        object.__setattr__(args, name, value)


def take_turns(
    sides: Mapping[str, Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Times every side `repeats` times, in rounds in which each runs once.

    A first round warms up (compilation, caches, threads) and is not counted. A side that took more than `PATIENCE`
    seconds in it runs once more and no further.

    Args:
        sides: what to call, by name.
        repeats: rounds.
        clock: seconds; `time.process_time` for one thread on a machine that others use as well.

    Returns:
        {side: {"seconds": median, "fastest": minimum, "runs": how many}}, and {side: what it returned}.
    """
    warm_up, values = {}, {}
    for name, side in sides.items():
        start = clock()
        values[name] = side()
        warm_up[name] = clock() - start
    times = {name: [] for name in sides}
    for turn in range(repeats):
        for name, side in sides.items():
            if turn == 0 or warm_up[name] <= PATIENCE:
                time.sleep(REST)
                start = clock()
                side()
                times[name].append(clock() - start)
    summary = {
        name: {"seconds": statistics.median(taken), "fastest": min(taken), "runs": len(taken)}
        for name, taken in times.items()
    }
    return summary, values


def peak_memory(function: Callable, arguments: Sequence, tiny: Sequence) -> float:
    """MB by which a call raises the peak of a process that has made a `tiny` call and nothing else; at least 0.1."""
    context = get_context("forkserver")  # which imports the libraries once, for all fresh processes
    context.set_forkserver_preload(["benchmarks.timing", "hashlib_nb.codes"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_peak_growth, function, arguments, tiny).result()


def _peak_growth(function: Callable, arguments: Sequence, tiny: Sequence) -> float:
    function(*tiny)  # threads, libraries, compiled code
    before = artifacts.peak_memory_mb()
    function(*arguments)
    return max(0.1, artifacts.peak_memory_mb() - before)


def machine() -> dict[str, str]:
    """Processor, cores, threads, memory and versions, for the reader of a ratio."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}",
        "threads": f"{numba.get_num_threads()}",
        "memory": f"{memory:.0f} GB",
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def installed(module: str, package: str) -> bool:
    """Whether a peer can be measured; says so where it cannot."""
    if find_spec(module) is None:
        print(f"{package} is not installed, so it is left out; `make bench` installs it")
        return False
    return True


def results_folder() -> Path:
    """`benchmarks/results` under the project root, where each script leaves `<name>.json`."""
    return artifacts.project_root() / "benchmarks" / "results"


def save(
    name: str, args: Any, rows: Sequence[Mapping[str, Any]], ratios: Sequence[Ratio], goals: Sequence[Goal] = ()
) -> None:
    """Write what a script measured, and print its ratios and the machine; goals have a table of their own."""
    path = results_folder() / f"{name}.json"
    value = {"args": asdict(args), "machine": machine(), "rows": list(rows), "ratios": [asdict(one) for one in ratios]}
    if goals:
        value["goals"] = [asdict(one) for one in goals]
    artifacts.save_json(path, value)
    for one in ratios:
        print(f"{one.what}: {one.ours:.4g} {one.unit}, {one.against} {one.theirs:.4g} {one.unit}, {one.ratio:.2f}x")
    print(", ".join(f"{key} {text}" for key, text in machine().items()))
    print(f"saved {artifacts.shown(path)}")


Curves = Mapping[str, tuple[Sequence, Sequence]]
"""A line (x, y) for each side."""


def figure(
    name: str, curves: Curves | Mapping[str, Curves], xlabel: str, ylabel: str = "", *, log: bool = True
) -> None:
    """Save `figures/<name>.png`: one line for each side.

    Args:
        name: of the file.
        curves: those of one panel, or those of several by the label of each one's axis: a unit has an axis of its own.
        xlabel: of all panels.
        ylabel: of the one panel.
        log: logarithmic axes.
    """
    panels = curves if all(isinstance(each, Mapping) for each in curves.values()) else {ylabel: curves}
    sides = list(dict.fromkeys(side for each in panels.values() for side in each))
    looks = dict(zip(sides, LINES[: len(sides)], strict=True))
    with matplotlib.rc_context(plots.RC):
        fig = Figure(figsize=(5.6 if len(panels) == 1 else 3.6 * len(panels), 3.2), layout="constrained")
        for ax, (label, each) in zip(fig.subplots(1, len(panels), squeeze=False).flat, panels.items(), strict=True):
            _panel(ax, each, looks, log=log)
            ax.set(xlabel=xlabel, ylabel=label)
        handles = dict(zip(*reversed(fig.axes[0].get_legend_handles_labels()), strict=True))
        fig.legend(
            handles.values(),
            handles,
            loc="outside right upper" if len(panels) == 1 else "outside upper center",
            ncols=len(panels),
        )
    plots.save_png(fig, artifacts.project_root() / "figures" / f"{name}.png")


def _panel(ax: Axes, curves: Curves, looks: Mapping[str, tuple], *, log: bool) -> None:
    for side, (x, y) in curves.items():
        color, linestyle, marker = looks[side]
        every = max(1, len(x) // 8)
        ax.plot(x, y, label=side, color=color, linestyle=linestyle, marker=marker, markevery=every)
    if not log:
        return
    ax.set(xscale="log", yscale="log")
    sizes = sorted({int(size) for x, _ in curves.values() for size in x})
    ax.set_xticks(sizes, [_short(size) for size in sizes])
    ax.xaxis.minorticks_off()
    low, high = ax.get_ylim()
    few = (1, 2, 5) if high / low < 100 else (1,)
    ax.yaxis.set_major_locator(LogLocator(subs=few))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.yaxis.minorticks_off()


def _short(size: int) -> str:
    """A size as a tick has room for: 300,000 is 300k."""
    for unit, letter in ((10**6, "M"), (10**3, "k")):
        if size >= 10**4 and size % unit == 0:
            return f"{size // unit}{letter}"
    return f"{size:,}"


def run(main: Callable[[Any], None], args_type: type) -> None:
    """A script's command line."""
    main(tyro.cli(args_type, prog=f"python -m benchmarks.{Path(sys.argv[0]).stem}"))
