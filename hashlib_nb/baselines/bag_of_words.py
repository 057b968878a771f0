"""Bag of visual words and its themes (chapter 2): counts of small patches, and what a topic model makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import LatentDirichletAllocation

from hashlib_nb import checks
from hashlib_nb.baselines._method import Projection
from hashlib_nb.baselines.itq import ITQ, principal

SAMPLES = 100_000
"""Patches that words are found among."""
ROWS = 256
"""Pictures whose patches are held at a time."""
SIDE = 32
"""Pixels a side that pictures are brought to."""
STEP = 2
"""Pixels from a patch to the next."""


@dataclass(frozen=True)
class BagOfWords(Projection):
    """Patches, normalized and whitened -> words -> a histogram of each quarter of the picture -> themes -> ITQ.

    It takes pictures where other methods take features. A mixture of themes (eq. 2.7) is that of latent Dirichlet
    allocation; K of them span K - 1 dimensions, so K must exceed the code length.
    """

    TITLE: ClassVar = "Bag of visual words"
    PAPER: ClassVar = "Fei-Fei and Perona, CVPR 2005; patches as Coates, Ng and Lee, AISTATS 2011"
    GRID: ClassVar = {"words": (400, 800), "code": ("words", "themes")}
    SUPERVISED: ClassVar = False
    OF_PICTURES: ClassVar = True
    words: int = 400
    """Visual words."""
    themes: int = 80
    """K."""
    code: Literal["words", "themes"] = "words"
    """What ITQ quantizes: the square root of the histogram, or of the theme mixture."""
    patch: int = 6
    """Side of a patch in pixels."""

    def __post_init__(self) -> None:
        checks.fields(self, checks.count, "words", "themes", most=1 << 16)
        checks.fields(self, checks.count, "patch", most=SIDE, why="the side that pictures are brought to")
        if self.code not in ("words", "themes"):
            raise ValueError(f"code must be words or themes, not {checks.shown(self.code)}")

    def check(self, code_length: int, width: int, n_labels: int) -> None:
        """A histogram has four counts a word, and a mixture of K themes K - 1 dimensions."""
        most = 4 * self.words if self.code == "words" else self.themes - 1
        if code_length > most:
            raise ValueError(f"code_length is {code_length}, but there are {most} dimensions: take more {self.code}")

    def fit(self, features: np.ndarray, labels: np.ndarray, code_length: int, seed: int) -> dict[str, np.ndarray]:
        """Whitening, words, themes and ITQ's projection."""
        rng, per_picture = np.random.default_rng(seed), max(1, SAMPLES // len(features))
        drawn = [rng.permutation(each)[:per_picture] for block in _patches(features, self.patch) for each in block]
        sample = np.concatenate(drawn)
        mean, vectors = sample.mean(axis=0), principal(sample - sample.mean(axis=0), sample.shape[1])
        spread = ((sample - mean) @ vectors).var(axis=0)
        white = ((vectors / np.sqrt(spread + 0.1)) @ vectors.T).astype(np.float32)  # ZCA
        kmeans = MiniBatchKMeans(self.words, random_state=checks.word(seed), n_init=1, batch_size=4096)
        kmeans.fit((sample - mean) @ white)
        arrays = {"patch_mean": mean, "white": white, "words": kmeans.cluster_centers_.astype(np.float32)}
        counts = self._counts(arrays, features)
        if self.code == "themes":
            model = LatentDirichletAllocation(self.themes, learning_method="online", random_state=checks.word(seed))
            model.fit(counts)
            arrays |= {"topics": model.components_, "topics_exp": model.exp_dirichlet_component_}
        return arrays | ITQ().fit(self._roots(arrays, counts), labels, code_length, seed)

    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        """ITQ's outputs."""
        channels = len(arrays["patch_mean"]) // self.patch**2
        if features.shape[3] != channels:
            raise ValueError(f"images have {features.shape[3]} channels, but the words were found in {channels}")
        return ITQ().outputs(arrays, self._roots(arrays, self._counts(arrays, features)))

    def _counts(self, arrays: Mapping[str, np.ndarray], pictures: np.ndarray) -> np.ndarray:
        """How often each word occurs in each quarter, float32 [n, 4 words]."""
        centers = arrays["words"]
        counts, row = np.zeros((len(pictures), 4, len(centers)), np.float32), 0
        for block in _patches(pictures, self.patch):
            side = np.sqrt(block.shape[1]).astype(int)
            x = (block - arrays["patch_mean"]) @ arrays["white"]
            nearest = ((centers**2).sum(axis=1) - 2 * x @ centers.T).argmin(axis=2)  # [b, patches]
            half = np.arange(side) >= side / 2
            quarter = (2 * half[:, None] + half).reshape(-1)
            np.add.at(counts[row : row + len(block)], (np.arange(len(block))[:, None], quarter, nearest), 1)
            row += len(block)
        return counts.reshape(len(pictures), -1)

    def _roots(self, arrays: Mapping[str, np.ndarray], counts: np.ndarray) -> np.ndarray:
        """Square roots of the shares of words or themes, float32 [n, d]."""
        if "topics" in arrays:
            model = LatentDirichletAllocation(len(arrays["topics"]))
            model.components_, model.exp_dirichlet_component_ = arrays["topics"], arrays["topics_exp"]
            model.doc_topic_prior_, model.n_features_in_ = 1 / len(arrays["topics"]), counts.shape[1]
            model.random_state_ = np.random.RandomState(0)
            counts = model.transform(counts)
        return np.sqrt(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)


def _patches(pictures: np.ndarray, side: int) -> Iterator[np.ndarray]:
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
