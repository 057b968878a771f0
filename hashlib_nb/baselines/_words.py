"""Visual words: small patches, normalized and whitened (Coates, Ng and Lee, 2011), and how often each occurs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from sklearn.cluster import MiniBatchKMeans

from hashlib_nb import checks
from hashlib_nb.baselines.itq import principal

SAMPLES = 100_000
"""Patches that words are found among."""
ROWS = 256
"""Pictures whose patches are held at a time."""
SIDE = 32
"""Pixels a side that pictures are brought to."""
STEP = 2
"""Pixels from a patch to the next."""


def find_words(pictures: np.ndarray, number: int, side: int, seed: int) -> dict[str, np.ndarray]:
    """Mean and whitening (ZCA) of patches, and `number` words among them by k-means."""
    rng, per_picture = np.random.default_rng(seed), max(1, SAMPLES // len(pictures))
    drawn = [rng.permutation(each)[:per_picture] for block in patches(pictures, side) for each in block]
    sample = np.concatenate(drawn)
    mean, vectors = sample.mean(axis=0), principal(sample - sample.mean(axis=0), sample.shape[1])
    spread = ((sample - mean) @ vectors).var(axis=0)
    white = ((vectors / np.sqrt(spread + 0.1)) @ vectors.T).astype(np.float32)
    kmeans = MiniBatchKMeans(number, random_state=checks.word(seed), n_init=1, batch_size=4096)
    kmeans.fit((sample - mean) @ white)
    return {"patch_mean": mean, "white": white, "words": kmeans.cluster_centers_.astype(np.float32)}


def count_words(arrays: Mapping[str, np.ndarray], pictures: np.ndarray, side: int) -> np.ndarray:
    """How often each word occurs in each quarter of a picture, float32 [n, 4 words]."""
    centers = arrays["words"]
    counts, row = np.zeros((len(pictures), 4, len(centers)), np.float32), 0
    for block in patches(pictures, side):
        across = np.sqrt(block.shape[1]).astype(int)
        x = (block - arrays["patch_mean"]) @ arrays["white"]
        nearest = ((centers**2).sum(axis=1) - 2 * x @ centers.T).argmin(axis=2)  # [b, patches]
        half = np.arange(across) >= across / 2
        quarter = (2 * half[:, None] + half).reshape(-1)
        np.add.at(counts[row : row + len(block)], (np.arange(len(block))[:, None], quarter, nearest), 1)
        row += len(block)
    return counts.reshape(len(pictures), -1)


def patches(pictures: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """Patches of a block of pictures, less their mean and divided by their deviation: float32 [b, patches, d]."""
    for start in range(0, len(pictures), ROWS):
        block = pictures[start : start + ROWS]
        if block.shape[1:3] != (SIDE, SIDE):
            squeezed = block[..., 0] if block.shape[3] == 1 else block
            block = np.stack([Image.fromarray(each).resize((SIDE, SIDE), Image.Resampling.BOX) for each in squeezed])
            block = block.reshape(len(block), SIDE, SIDE, -1)
        windows = sliding_window_view(block, (side, side), axis=(1, 2))[:, ::STEP, ::STEP]
        x = windows.reshape(len(block), windows.shape[1] * windows.shape[2], -1).astype(np.float32)
        x -= x.mean(axis=2, keepdims=True)
        yield x / np.sqrt(x.var(axis=2, keepdims=True) + 10)
