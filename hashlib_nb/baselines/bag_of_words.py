"""Bag of visual words and its themes (chapter 2): counts of small patches, and what a topic model makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from sklearn.decomposition import LatentDirichletAllocation

from hashlib_nb import checks
from hashlib_nb.baselines._words import SIDE, count_words, find_words
from hashlib_nb.baselines.base import Projection
from hashlib_nb.baselines.itq import ITQ


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
        arrays = find_words(features, self.words, self.patch, seed)
        counts = count_words(arrays, features, self.patch)
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
        return ITQ().outputs(arrays, self._roots(arrays, count_words(arrays, features, self.patch)))

    def _roots(self, arrays: Mapping[str, np.ndarray], counts: np.ndarray) -> np.ndarray:
        """Square roots of the shares of words or themes, float32 [n, d]."""
        if "topics" in arrays:
            model = LatentDirichletAllocation(len(arrays["topics"]))
            model.components_, model.exp_dirichlet_component_ = arrays["topics"], arrays["topics_exp"]
            model.doc_topic_prior_, model.n_features_in_ = 1 / len(arrays["topics"]), counts.shape[1]
            model.random_state_ = np.random.RandomState(0)
            counts = model.transform(counts)
        return np.sqrt(counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
