"""Videos by what they show: an index of their fingerprints, and where a video, or a part of one, comes from.

    hashlib-nb video index films/*.mp4 --index films.npz
    hashlib-nb video find clip.mp4 --index films.npz

Frames are PDQ's codes, or with --model and --selection an encoder's. Each line that is found names a video, where the
clip lies in it, which part of the clip that is, and how many of its frames match.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import tyro

from hashlib_nb import artifacts, checks
from hashlib_nb.artifacts import ArtifactError, printable, shown
from hashlib_nb.machine import sentence
from hashlib_nb.search.fingerprints import (
    GAP,
    RADIUS,
    Coder,
    Fingerprint,
    Match,
    encoder_coder,
    find,
    fingerprint,
    pdq_coder,
)
from hashlib_nb.search.frames import RATES, read_frames
from hashlib_nb.search.origin import origin_of

ARRAYS = ("codes", "changes", "starts", "lengths", "frames", "names", "digests")
"""What an index holds: the rows of all fingerprints one after another, how many each video has, and the files."""


@dataclass
class Videos:
    """Fingerprints of videos of one coder and one rate, in an npz file."""

    about: dict
    """`Coder.about`."""
    n_bits: int
    """k."""
    rate: float
    """Frames looked at in a second."""
    names: list[str] = field(default_factory=list)
    """The files, as they were named."""
    digests: list[str] = field(default_factory=list)
    """SHA-256 of each file, in hex: the same file is not added again."""
    fingerprints: list[Fingerprint] = field(default_factory=list)
    """One a video."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read an index. Raises ArtifactError where the file is missing, damaged or something else."""
        arrays, meta = artifacts.load_npz(path)
        about = meta.get("args", {})
        try:
            cut = np.cumsum(arrays["frames"])[:-1]
            unpacked = (np.unpackbits(arrays[each], axis=1, count=about["n_bits"]) for each in ("codes", "changes"))
            rows = [np.split(each, cut) for each in (*unpacked, arrays["starts"], arrays["lengths"])]
            made = cls(about["coder"], about["n_bits"], checks.finite(about["rate"], "rate", least=1, most=5))
            made.names, made.digests = arrays["names"].tolist(), arrays["digests"].tolist()
            made.fingerprints = [Fingerprint(*row) for row in zip(*rows, strict=True)]
            if not len(made.names) == len(made.digests) == len(arrays["frames"]) or not all(
                map(_is_whole, made.fingerprints)
            ):
                raise ValueError("its arrays do not fit each other")
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"index: {shown(path)} is no index of videos; name another file, or make it anew"
            ) from error
        return made

    def save(self, path: Path) -> None:
        """Write the index, all or nothing."""
        rows = {name: [getattr(each, name) for each in self.fingerprints] for name in ARRAYS[:4]}
        arrays = {name: np.concatenate(each) for name, each in rows.items()}
        arrays |= {name: np.packbits(arrays[name], axis=1) for name in ("codes", "changes")}
        arrays["frames"] = np.array([len(each.codes) for each in self.fingerprints])
        arrays |= {"names": np.array(self.names, np.str_), "digests": np.array(self.digests, np.str_)}
        args = {"coder": self.about, "n_bits": self.n_bits, "rate": self.rate}
        artifacts.save_npz(path, arrays, args=args, made_by="hashlib_nb.search.video")

    def add(self, name: str, digest: str, made: Fingerprint) -> None:
        """Add a video, in the place of one that was in the same file before."""
        for row in [row for row, each in enumerate(self.names) if each == name]:
            del self.names[row], self.digests[row], self.fingerprints[row]
        self.names.append(name)
        self.digests.append(digest)
        self.fingerprints.append(made)

    def search(self, query: Fingerprint, *, radius: int | None = None, changes: bool = True) -> list[tuple[int, Match]]:
        """Videos that have a stretch of the query, with that stretch, the longest first.

        Args:
            query: a fingerprint of the same coder and rate.
            radius: distance up to which frames match; None for RADIUS of 256.
            changes: whether what changed from frame to frame is looked at as well.
        """
        radius = RADIUS * self.n_bits // 256 if radius is None else radius
        gap = round(GAP * self.rate)
        found = [
            (row, find(query, each, radius, gap=gap, changes=changes)) for row, each in enumerate(self.fingerprints)
        ]
        return sorted(((row, match) for row, match in found if match), key=lambda each: -each[1].matched)


def _is_whole(made: Fingerprint) -> bool:
    """Whether the arrays of a fingerprint from a file are as those of `fingerprint`."""
    n = len(made.codes)
    return (
        made.starts.shape == made.lengths.shape == (n,)
        and n > 0
        and made.starts.dtype.kind == made.lengths.dtype.kind == "i"
        and made.starts[0] == 0
        and bool((made.lengths > 0).all() and (np.diff(made.starts) == made.lengths[:-1]).all())
        and made.samples < 2**31
    )


@dataclass(frozen=True)
class Args:
    """Index videos by their frames, and find where a video, or a part of one, comes from."""

    command: Annotated[Literal["index", "find"], tyro.conf.Positional]
    """index adds videos to an index; find looks for each in it"""
    videos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """video files"""
    index: Path
    """npz file of the index; index makes it where it is missing"""
    model: Path | None = None
    """folder of an encoder whose codes frames get, as hashlib_nb.encoder writes it; None for PDQ's"""
    selection: Path | None = None
    """JSON file with the bits of the encoder to keep, as hashlib-nb encode takes it"""
    n_bits: Annotated[int | None, tyro.conf.arg(aliases=["--bits"])] = None
    """how many bits of a nested order to keep, from its front"""
    rate: float | None = None
    """index: frames to look at in a second, 1 to 5; by default the index', or 5 for a new one"""
    radius: int | None = None
    """find: Hamming distance up to which frames match; by default 31 of 256 bits, or as large a share"""
    seconds: float = 2.0
    """find: how long a match must be, in seconds, or all of a video that is shorter"""
    top: int = 5
    """find: how many videos to name for each query, at most"""
    on_error: Literal["raise", "skip"] = "raise"
    """about a file that cannot be read: end (an index keeps what was added until then), or name it and go on"""
    device: str = "auto"
    """cpu, cuda or auto: where an encoder runs"""


def main(args: Args) -> None:
    """Index or find videos. Raises ValueError for what cannot be used."""
    if not args.videos:
        raise ValueError("videos is empty; name video files")
    checks.finite(args.seconds, "seconds", least=0)
    checks.count(args.top, "top")
    if args.radius is not None:
        checks.count(args.radius, "radius", least=0)
    if args.rate is not None:
        checks.finite(args.rate, "rate", least=RATES[0], most=RATES[1])
    (_index if args.command == "index" else _find)(args)


def _coder(args: Args) -> Coder:
    if args.model is None:
        for name in ("selection", "n_bits", "device"):
            if getattr(args, name) not in (None, "auto"):
                raise ValueError(f"{name} is an encoder's, but there is no model; name its folder with --model")
        return pdq_coder()
    return encoder_coder(args.model, origin_of(args.model, args.selection, args.n_bits), args.device)


def _opened(args: Args, coder: Coder) -> Videos:
    """The index, or a new one. Raises ValueError for one of another coder or rate."""
    if args.command == "index" and not (args.index.exists() and args.index.stat().st_size):
        return Videos(coder.about, coder.n_bits, 5.0 if args.rate is None else float(args.rate))
    videos = Videos.load(args.index)
    if videos.about != coder.about or (args.rate is not None and args.rate != videos.rate):
        made = "PDQ's codes" if "outputs" not in videos.about else f"an encoder's {videos.n_bits} bits"
        raise ValueError(
            f"index: {shown(args.index)} has {made} at rate {videos.rate:g}; give the same, or another file"
        )
    return videos


def _read(
    args: Args, path: Path, coder: Coder, rate: float, known: Sequence[str] = ()
) -> tuple[str, Fingerprint | None] | None:
    """SHA-256 of a file, and the fingerprint of one that is not known; None for one to be skipped, with a word."""
    try:
        digest = artifacts.sha256(path).hex()
        return digest, None if digest in known else fingerprint(read_frames(path, rate), coder)
    except (OSError, ValueError) as error:
        if args.on_error == "raise":
            raise
        print(f"skipped: {sentence(error)}", file=sys.stderr)
        return None


def _index(args: Args) -> None:
    artifacts.check_writable(args.index, artifacts.replaces_npz(*ARRAYS))
    coder = _coder(args)
    videos, skipped = _opened(args, coder), 0
    for path in args.videos:
        read = _read(args, path, coder, videos.rate, videos.digests)
        if read is None:
            skipped += 1
            continue
        digest, made = read
        with artifacts.locked(args.index):
            videos = _opened(args, coder)  # another program may have added to it meanwhile
            if is_new := made is not None and digest not in videos.digests:
                videos.add(printable(path), digest, made)
                videos.save(args.index)
        said = f"{len(made.codes):,} of {made.samples:,} frames kept" if is_new else "there already"
        print(f"{printable(path)}: {said}")
    if skipped == len(args.videos):
        raise ValueError(f"videos: none of the {skipped:,} can be read; nothing was added")


def _find(args: Args) -> None:
    coder = _coder(args)
    videos = _opened(args, coder)
    for path in args.videos:
        read = _read(args, path, coder, videos.rate)
        if read is None:
            continue
        _, query = read
        least = min(args.seconds * videos.rate, query.samples)
        found = [each for each in videos.search(query, radius=args.radius) if each[1].matched >= least][: args.top]
        print(f"{printable(path)}: " + (f"{len(found)} found" if found else "nothing found"))
        for row, match in found:
            of, other = (_span(each, videos.rate) for each in (match.query, match.other))
            length = match.query[1] - match.query[0]
            print(f"  {videos.names[row]}  {other}  is {of} of it, {match.matched:,} of {length:,} frames match")


def _span(frames: Sequence[int], rate: float) -> str:
    return "-".join(f"{frame / rate:.1f}" for frame in frames) + " s"


if __name__ == "__main__":
    artifacts.run(main, Args)
