"""Supervised discrete hashing: codes from which the labels can be read off linearly, found bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.linalg

from hashlib_nb import checks
from hashlib_nb.baselines._kernel import kernel, kernel_width
from hashlib_nb.baselines.base import Projection

RIDGE = 1e-4
"""eps, as a share of the mean diagonal of phi' phi: kernel values of near anchors are nearly equal."""
SWEEPS = 3
"""Times that every bit is renewed in a round."""


@dataclass(frozen=True)
class SDH(Projection):
    """min over B in {-1,1}, W, P of ||Y - B W||^2 + lambda ||W||^2 + nu (||B - phi P||^2 + eps ||P||^2), in turn.

    phi are Gaussian kernel values to training anchors, centered; B is renewed bit by bit (discrete cyclic coordinate
    descent): b_l = sign(q_l - B_-l W_-l w_l'), Q = Y W' + nu phi P. The objective never rises. Time O(n a (a + k)) for
    a anchors, memory 4 n a bytes.
    """

    TITLE: ClassVar = "SDH"
    PAPER: ClassVar = "Shen, Shen, Liu and Shen, Supervised discrete hashing, CVPR 2015"
    GRID: ClassVar = {"penalty": (0.1, 1.0), "nu": (1e-5, 1e-3), "rounds": (3, 5)}
    anchors: int = 1000
    """Training rows that the kernel compares with."""
    penalty: float = 1.0
    """lambda."""
    nu: float = 1e-5
    """How much codes must be what the kernel can say."""
    rounds: int = 5
    """Times that W, P and B are renewed."""

    def __post_init__(self) -> None:
        checks.fields(self, checks.count, "anchors", "rounds", most=checks.ROUNDS)
        checks.fields(self, checks.finite, "penalty", "nu", above=0)

    def fit(self, features: np.ndarray, labels: np.ndarray, code_length: int, seed: int) -> dict[str, np.ndarray]:
        """Anchors, kernel width and projection; the objective after each round is `history_objective`."""
        rng = np.random.default_rng(seed)
        anchors = features[np.sort(rng.permutation(len(features))[: self.anchors])]
        gamma = kernel_width(features, anchors)
        phi = kernel(features, anchors, gamma)
        center = phi.mean(axis=0)
        phi, y = phi - center, labels.astype(np.float32)
        gram = (phi.T @ phi).astype(np.float64)
        ridge = RIDGE * max(float(gram.diagonal().mean()), np.finfo(np.float32).tiny)
        factor = scipy.linalg.cho_factor(gram + ridge * np.eye(len(gram)))
        b = np.where(rng.random((len(phi), code_length)) < 0.5, -1.0, 1.0).astype(np.float32)
        history = []
        for _ in range(self.rounds):
            w = np.linalg.solve(b.T @ b + self.penalty * np.eye(code_length), b.T @ y).astype(np.float32)  # [k, m]
            p = scipy.linalg.cho_solve(factor, phi.T @ b).astype(np.float32)  # [a, k]
            said = phi @ p
            q = y @ w.T + self.nu * said
            read = b @ w  # [n, m], kept up to date
            for _ in range(SWEEPS):
                for bit in range(code_length):
                    read -= np.outer(b[:, bit], w[bit])
                    b[:, bit] = np.where(q[:, bit] - read @ w[bit] >= 0, 1, -1)
                    read += np.outer(b[:, bit], w[bit])
            fits = ((y - b @ w) ** 2).sum() + self.penalty * (w**2).sum()
            history.append(float(fits + self.nu * (((b - said) ** 2).sum() + ridge * (p**2).sum())))
        p = scipy.linalg.cho_solve(factor, phi.T @ b).astype(np.float32)
        found = {"anchors": anchors, "gamma": np.float32(gamma), "center": center, "directions": p}
        return found | {"history_objective": np.array(history)}

    def outputs(self, arrays: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        """phi P."""
        phi = kernel(features, arrays["anchors"], float(arrays["gamma"]))
        return (phi - arrays["center"]) @ arrays["directions"]
