"""Frames of video files, read and written with PyAV (the extra "video"): one at a time, so that memory is bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashlib_nb import artifacts, checks
from hashlib_nb.artifacts import ArtifactError, shown

if TYPE_CHECKING:
    import av

RATES = (1, 5)
"""Frames that are looked at in a second: at least, at most."""
LONGEST = 12 * 3600
"""Seconds that a video may last, so that a file whose frames never end is refused."""
FASTEST = 240
"""Frames a second that a video may store, on average over LONGEST."""
SIDE = 512
"""Pixels that the longer side of a frame has at most, once it is read: what PDQ asks for."""


def check_extra() -> None:
    """Raise ValueError where the packages of the extra "video" are missing."""
    checks.packages("video", "av>=14,<19", "pdqhash>=0.2.7,<1")


def read_frames(path: Path, rate: float | None = RATES[1], *, side: int = SIDE) -> Iterator[np.ndarray]:
    """Frames of a video's first stream of pictures, uint8 [h, w, 3], each decoded when it is asked for.

    Frame i is what is to be seen i / rate seconds after the first one: of a slow video some come more than once.

    Args:
        path: the file, of any kind that FFmpeg reads.
        rate: frames a second, 1 to 5; None for each that is stored.
        side: pixels of the longer side, at most; larger frames are made smaller.

    Raises:
        ValueError: a rate or a side out of range, or a package that is missing.
        ArtifactError: the file is missing, broken, without pictures, or lasts more than LONGEST seconds.
    """
    rate = rate if rate is None else checks.finite(rate, "rate", least=RATES[0], most=RATES[1])
    side = checks.count(side, "side", least=8, most=4096)
    check_extra()
    taken, seen, seconds = 0, None, 0.0
    for seconds, frame in _decoded(path):
        if rate is None:
            yield _pixels(frame, side)
        while rate and seen is not None and taken < seconds * rate - 1e-6:
            yield _pixels(seen, side)
            taken += 1
        seen = frame
    while rate and taken <= seconds * rate + 1e-6:
        yield _pixels(seen, side)
        taken += 1


def write_frames(path: Path, frames: Iterable[np.ndarray], rate: int, *, crf: int = 18) -> None:
    """Write frames as an MP4 file (x264, one thread: the same bytes each time), all or nothing.

    Args:
        path: the file.
        frames: uint8 [h, w, 3], of one size; an odd row or column at the end is left out.
        rate: frames a second.
        crf: x264's constant rate factor: 18 looks like the original, 51 is the worst.

    Raises:
        ValueError: no frames, frames of several sizes, or numbers out of range.
    """
    rate, crf = checks.count(rate, "rate", most=FASTEST), checks.count(crf, "crf", least=0, most=51)
    check_extra()
    import av

    with artifacts.atomic(path) as partial, av.open(str(partial), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "veryfast"})
        stream.pix_fmt, stream.thread_count, shape = "yuv420p", 1, None
        for frame in frames:
            frame = frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2]
            if shape not in (None, frame.shape):
                raise ValueError(f"frames are of several sizes, {list(shape)} and {list(frame.shape)}; give one size")
            if shape is None:
                stream.height, stream.width, _ = shape = frame.shape
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        if shape is None:
            raise ValueError("frames is empty; give at least one")
        container.mux(stream.encode())


def _decoded(path: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames as they are stored, with the seconds since the first; what FFmpeg makes of a bad file is a sentence."""
    import av

    artifacts.check_regular(path, "video")
    first, number = None, 0
    try:
        with open(path, "rb") as file, av.open(file) as container:  # a file, since a name may be taken for an address
            if not container.streams.video:
                raise ArtifactError(f"{shown(path)} has no pictures, only sound or text; name a video")
            stream = container.streams.video[0]
            for number, frame in enumerate(container.decode(stream), start=1):
                seconds = (number - 1) / float(stream.average_rate or 25) if frame.time is None else frame.time
                first = seconds if first is None else first
                if seconds - first > LONGEST or number > LONGEST * FASTEST:
                    raise ArtifactError(
                        f"{shown(path)} has more than {LONGEST // 3600} hours of frames; cut it in parts"
                    )
                yield max(0.0, seconds - first), frame
    except (av.FFmpegError, OSError) as error:
        if not isinstance(error, av.FFmpegError) and error.filename is not None:
            raise  # the file cannot be opened; what FFmpeg asks of an empty one has no name
        if number or not isinstance(error, av.error.EOFError):
            said = f"{error.strerror}, after {number:,} frames"
            raise ArtifactError(f"{shown(path)} is broken or no video ({said}); name another file") from error
    if not number:
        raise ArtifactError(f"{shown(path)} has 0 frames; name another file")


def _pixels(frame: av.VideoFrame, side: int) -> np.ndarray:
    """A frame as uint8 [h, w, 3], its longer side at most `side`."""
    shrink = min(1.0, side / max(frame.width, frame.height))
    size = {"width": max(1, round(frame.width * shrink)), "height": max(1, round(frame.height * shrink))}
    return frame.reformat(**size, format="rgb24").to_ndarray()
