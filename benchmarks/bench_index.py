"""An index of pictures: opening it, adding to it, and the memory of a search, as it grows.

Opened is what a first search does: all codes are read and checked, and the names of five answers. Added are 100
pictures whose codes and contents are known, in one transaction that is on the disk at its end; beside it stands what a
file costs that is written anew at each change (`numpy.savez` of codes, contents and names). Memory is what the search
adds to a process that has searched an index of one picture; it cannot be less than the packed codes. Pictures are names
alone here: no file is read, and no encoder runs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import timing
from hashlib_nb.search import Index, Origin

OPEN_LIMIT, ADD_LIMIT = 1.0, 0.05  # seconds
OPEN, ADD, ANEW = "opened and searched", "100 added", "written anew"


@dataclass(frozen=True)
class Args:
    """Indexes of several sizes."""

    sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    """pictures; the last goes into benchmarks/README.md"""
    bits: int = 64
    """length of a code"""
    repeats: int = 5
    """rounds after the warm-up; the median counts"""
    quick: bool = False
    """a size that takes no time, to see that everything runs"""

    def __post_init__(self) -> None:
        """Make it small."""
        if self.quick:
            timing.shrink(self, sizes=(100, 1_000), repeats=1)


def pictures(first: int, n: int, bits: int, folder: Path) -> tuple[np.ndarray, list[Path], list[bytes]]:
    """Codes, files and contents of pictures, which only their numbers decide."""
    rng = np.random.default_rng(first)
    names = [folder / "photos" / f"{row // 1000:04d}" / f"IMG_{row:07d}.jpg" for row in range(first, first + n)]
    digests = rng.bytes(32 * n)
    return rng.integers(0, 2, (n, bits), np.uint8), names, [digests[32 * row : 32 * row + 32] for row in range(n)]


def opened(folder: Path, bits: int) -> int:
    """Open an index and search it once; how many pictures were found."""
    (found,) = Index(folder).search(np.zeros((1, bits), np.uint8))
    return len(found.paths)


def saved(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """What a change costs where everything is written anew."""
    np.savez(path, **arrays)


def numbers(start: int) -> Iterator[int]:
    """Numbers of pictures that no index has."""
    while True:
        yield start
        start += 100


def measure(args: Args, n: int, folder: Path) -> list[dict]:
    """Rows of one size."""
    index = Index(folder / "index", Origin("ab" * 32, args.bits, tuple(range(args.bits))), folder / "model")
    start = time.perf_counter()
    for first in range(0, n, 50_000):
        index.add(*pictures(first, min(50_000, n - first), args.bits, folder))
    building = time.perf_counter() - start
    tiny = Index(folder / "tiny", index.origin)
    tiny.add(*pictures(0, 1, args.bits, folder))
    more = numbers(n)
    batches = [pictures(next(more), 100, args.bits, folder) for _ in range(args.repeats + 1)]
    codes, names, contents = pictures(0, n, args.bits, folder)
    arrays = {"codes": np.packbits(codes, axis=1), "contents": np.frombuffer(b"".join(contents), np.uint8)}
    arrays["names"] = np.frombuffer("\n".join(map(str, names)).encode(), np.uint8)
    sides = {
        OPEN: lambda: opened(index.folder, args.bits),
        ADD: lambda: index.add(*batches.pop()),
        ANEW: lambda: saved(folder / "anew.npz", arrays),
    }
    times, _ = timing.take_turns(sides, args.repeats)
    memory = timing.peak_memory(opened, (index.folder, args.bits), (tiny.folder, args.bits))
    about = {
        "n": n,
        "memory_mb": memory,
        "packed_mb": n * args.bits / 8 / 2**20,
        "disk_mb": index.file.stat().st_size / 1e6,
        "building": building,
    }
    return [{"side": side} | about | each for side, each in times.items()]


def ratios(rows: list[dict]) -> list[timing.Ratio]:
    """The largest index: times against their limits, and against what was before."""
    of = {row["side"]: row for row in rows if row["n"] == rows[-1]["n"]}
    n = f"{rows[-1]['n']:,}"
    opening, adding, anew = of[OPEN]["seconds"], of[ADD]["seconds"], of[ANEW]["seconds"]
    memory, packed = of[OPEN]["memory_mb"], of[OPEN]["packed_mb"]
    return [
        timing.Ratio(f"index of {n} pictures: adding 100", "all written anew (npz)", adding, anew),
        timing.Ratio(f"index of {n} pictures: opened and searched", "limit for an answer", opening, OPEN_LIMIT),
        timing.Ratio(f"index of {n} pictures: 100 added", "limit for an answer", adding, ADD_LIMIT),
        timing.Ratio(f"index of {n} pictures: memory of a search", "its codes alone, packed", memory, packed, "MB"),
    ]


def main(args: Args) -> None:
    """Measure, print the table, save rows and figure."""
    rows = []
    for n in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(args, n, Path(folder))
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.4g"))
    timing.save("index", args, rows, ratios(rows))
    curves = {
        side: (lines.n.tolist(), (1000 * lines.seconds).tolist()) for side, lines in table.groupby("side", sort=False)
    }
    timing.figure("bench_index", curves, "pictures in the index", "milliseconds")


if __name__ == "__main__":
    timing.run(main, Args)
