"""Fingerprints of videos: for each frame that is looked at a code, and one of what changed; and where they are alike.

A frame that looks like the one before is not kept, only how long it stood. Two videos are compared by votes: each pair
of frames with near codes votes for how far one video lies behind the other, twice where what changed is alike, too. A
still scene votes for many offsets, a copy for one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from hashlib_nb import checks
from hashlib_nb.datasets import square
from hashlib_nb.hamming import within_radius
from hashlib_nb.search.encode import load_encoder, picture_size
from hashlib_nb.search.frames import check_extra
from hashlib_nb.search.origin import Origin

BATCH = 32
"""Frames that are coded at a time, all that lie in memory at once."""
RADIUS, STILL, ALIKE = 31, 8, 64
"""Of 256 bits: the distance up to which frames match (PDQ's own), up to which a scene stands still, and up to which two
changes are alike; of k bits as large a share."""
GAP = 2.0
"""Seconds without a match over which a run of matches goes on."""


@dataclass(frozen=True)
class Coder:
    """What makes numbers of frames, and codes of numbers."""

    about: dict
    """What the codes come from, JSON-able; only codes of one coder can be compared."""
    n_bits: int
    """k."""
    values: Callable[[list[np.ndarray]], np.ndarray]
    """Numbers float [n, k] of n frames uint8 [h, w, 3]: a bit is 1 where its number is at least 0."""

    def scaled(self, of_256: int) -> int:
        """As large a share of k bits as a number is of 256."""
        return of_256 * self.n_bits // 256


def pdq_coder() -> Coder:
    """PDQ's 256 bits, of the library pdqhash: which of 16 x 16 low frequencies are above their median."""
    check_extra()
    import pdqhash

    def values(frames: list[np.ndarray]) -> np.ndarray:
        found = np.stack([pdqhash.compute_float(np.ascontiguousarray(frame))[0] for frame in frames])
        return found - np.median(found, axis=1, keepdims=True)

    return Coder({"coder": "pdq"}, 256, values)


def encoder_coder(model: Path, origin: Origin, device: str = "auto") -> Coder:
    """The bits that an encoder in a folder, and a selection, keep of a frame; see `origin_of`.

    Raises:
        ValueError: the encoder is missing or damaged, or was fitted to gray pictures.
    """
    encoder = load_encoder(model, device)
    size, outputs = picture_size(encoder), list(origin.outputs)

    def values(frames: list[np.ndarray]) -> np.ndarray:
        images = np.stack([square(Image.fromarray(frame), size) for frame in frames])
        return encoder.logits(images)[:, outputs] - np.float32(origin.thresholds)

    about = {"coder": origin.model, "outputs": list(origin.outputs), "thresholds": list(origin.thresholds)}
    return Coder(about, len(outputs), values)


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A video as codes of the frames that were kept."""

    codes: np.ndarray
    """uint8 {0,1} [n, k]."""
    changes: np.ndarray
    """uint8 {0,1} [n, k]: which of the numbers behind the bits have grown since the frame before."""
    starts: np.ndarray
    """int64 [n], the number of each frame among all that were looked at."""
    lengths: np.ndarray
    """int64 [n], how many of these it stands for: itself, and those that look like it and follow."""

    @property
    def samples(self) -> int:
        """How many frames were looked at."""
        return int(self.starts[-1] + self.lengths[-1])


@dataclass(frozen=True)
class Match:
    """A stretch of one video that is in another, in frames that were looked at: divide by the rate for seconds."""

    matched: int
    """Frames of the query in it that match."""
    query: tuple[int, int]
    """First frame of the query, and the one after the last."""
    other: tuple[int, int]
    """The same of the other video."""


def fingerprint(frames: Iterable[np.ndarray], coder: Coder, *, still: int | None = None) -> Fingerprint:
    """The fingerprint of a video, of its frames as `read_frames` gives them.

    Args:
        frames: uint8 [h, w, 3], at least one.
        coder: what makes codes of them.
        still: distance up to which a frame counts as the one that was kept last; None for STILL of 256.

    Raises:
        ValueError: no frames, or a distance that cannot be.
    """
    still = coder.scaled(STILL) if still is None else checks.count(still, "still", least=0, most=coder.n_bits)
    frames, before, codes, changes, starts, number = iter(frames), None, [], [], [], 0
    while batch := list(itertools.islice(frames, BATCH)):
        for row in coder.values(batch):
            code = (row >= 0).astype(np.uint8)
            if not codes or np.count_nonzero(code != codes[-1]) > still:
                codes.append(code)
                changes.append((row > (row if before is None else before)).astype(np.uint8))
                starts.append(number)
            before, number = row, number + 1
    if not codes:
        raise ValueError("frames is empty; give at least one frame")
    return Fingerprint(np.stack(codes), np.stack(changes), np.array(starts), np.diff([*starts, number]))


def find(query: Fingerprint, other: Fingerprint, radius: int, *, gap: int, changes: bool = True) -> Match | None:
    """Where a video lies in another: the longest stretch at the offset with the most votes; None where nothing matches.

    Args:
        query: of one video.
        other: of another, of the same coder and rate.
        radius: distance up to which frames match.
        gap: frames without a match over which the stretch goes on.
        changes: whether pairs with like changes vote twice.
    """
    near = within_radius(query.codes, other.codes, radius)
    if not len(near.indices):
        return None
    rows, others = np.repeat(np.arange(len(query.codes)), np.diff(near.offsets)), near.indices
    alike = _alike(query, other, rows, others) if changes else np.zeros(len(rows), bool)
    offset = _offset(query, other, rows, others, 1 + alike)
    first = np.maximum(query.starts[rows], other.starts[others] - offset - 1)  # one frame early or late is on time
    last = np.minimum((query.starts + query.lengths)[rows], (other.starts + other.lengths)[others] - offset + 1)
    bounds = np.zeros(query.samples + 1, np.int64)
    np.add.at(bounds, first[first < last], 1)
    np.add.at(bounds, last[first < last], -1)
    places = np.flatnonzero(np.cumsum(bounds))
    stretches = np.split(places, np.flatnonzero(np.diff(places) > gap + 1) + 1)
    best = max(stretches, key=len)
    begin, end = int(best[0]), int(best[-1]) + 1
    return Match(len(best), (begin, end), (max(0, begin + offset), min(other.samples, end + offset)))


def share_within(query: Fingerprint, other: Fingerprint, radius: int) -> float:
    """The share of a video's frames that match any of another's, whenever: vPDQ's rule asks for 0.8 within 31."""
    near = within_radius(query.codes, other.codes, radius)
    return float(query.lengths[np.diff(near.offsets) > 0].sum() / query.samples)


def _alike(query: Fingerprint, other: Fingerprint, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """bool [pairs]: whether what changed is alike in two frames; in a first one nothing has changed, and it is not."""
    mine, theirs = (np.packbits(each.changes, axis=1) for each in (query, other))
    apart = np.bitwise_count(mine[rows] ^ theirs[others]).sum(axis=1)
    return (apart <= ALIKE * query.changes.shape[1] // 256) & (query.starts[rows] > 0) & (other.starts[others] > 0)


def _offset(query: Fingerprint, other: Fingerprint, rows: np.ndarray, others: np.ndarray, weights: np.ndarray) -> int:
    """How many frames the query lies behind the start of the other video: the offset with the most votes.

    Two frames that stand for a and b frames give a b votes, min(a, b) at most to an offset: a trapezoid over offsets,
    whose second difference has four entries.
    """
    base = query.samples - 1  # the smallest offset is minus this
    bends = np.zeros(base + other.samples + 3, np.int64)
    start = other.starts[others] - (query.starts + query.lengths - 1)[rows] + base
    a, b = query.lengths[rows], other.lengths[others]
    for place, sign in ((start, 1), (start + a, -1), (start + b, -1), (start + a + b, 1)):
        np.add.at(bends, place, sign * weights)
    votes = np.cumsum(np.cumsum(bends))
    return int(np.argmax(np.convolve(votes, (1, 2, 1), mode="same"))) - base
