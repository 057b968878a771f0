"""What single bits and pairs of bits tell about the labels and about each other, without evaluating any subset.

Information is in nats, estimated by counting.
"""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from hashlib_nb import checks
from hashlib_nb.hamming import Pairs, check_codes, check_labels


def binary_entropy(probability: np.ndarray) -> np.ndarray:
    """Entropy in nats of binary variables that are 1 with these probabilities; a ValueError for others than 0..1."""
    probability = checks.array(probability, "probability", "probabilities in 0..1")
    if probability.dtype.kind not in "iuf" or not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError(f"probability is {checks.shown(probability)}; give probabilities in 0..1")
    return entr(probability) + entr(1 - probability)


def label_information(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mutual information of each bit and the label set.

    The label set is the whole row of labels as one discrete variable: the class of single-label data. With few rows for
    each set the estimate is too high, but by nearly the same for every bit, which changes no ranking.

    Args:
        codes: {0,1} [n, k].
        labels: {0,1} [n, m], or class numbers int [n].

    Returns:
        float64 [k], nats.

    Raises:
        ValueError: codes that are not a 0/1 matrix, or labels that do not fit.
    """
    codes, labels = check_codes(codes), check_labels(labels)
    if len(codes) != len(labels):
        raise ValueError(f"labels has {len(labels)} rows for {len(codes)} codes; give one row of labels a code")
    rows = ~labels if labels.ndim == 1 else labels  # the order, and so the rounding, of their one-hot rows
    _, label_set, sizes = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    ones = np.stack([np.bincount(label_set.ravel(), weights=bit) for bit in codes.T], axis=1)  # [sets, k]
    within = sizes / sizes.sum() @ binary_entropy(ones / sizes[:, None])
    return np.maximum(binary_entropy(codes.mean(axis=0)) - within, 0.0)


def bit_information(codes: np.ndarray) -> np.ndarray:
    """Mutual information of each two bits of codes {0,1} [n, k], float64 [k, k]; on the diagonal each bit's entropy.

    Raises:
        ValueError: codes that are not a 0/1 matrix.
    """
    codes = check_codes(codes).astype(np.float64)
    one, both = codes.mean(axis=0), codes.T @ codes / len(codes)
    only = np.maximum(one[:, None] - both, 0.0)  # [i, j]: bit i is 1 and bit j is 0
    neither = np.maximum(1 - both - only - only.T, 0.0)
    own = binary_entropy(one)
    return np.maximum(own[:, None] + own - (entr(both) + entr(only) + entr(only.T) + entr(neither)), 0.0)


def label_smoothness(pairs: Pairs) -> np.ndarray:
    """How often each bit tells relevant pairs apart, in units of how often it tells any pair apart, float64 [k].

    0 is perfect and 1 is chance, also for a constant bit. Up to scale it is the Rayleigh quotient of the centred bit on
    the Laplacian of the graph that links relevant pairs.
    """
    found = pairs.histograms_many(np.eye(pairs.k, dtype=np.uint8))  # [k, q, 2]
    apart, relevant_apart = (
        each[:, :, 1].sum(axis=1) / each.sum(axis=(1, 2)) for each in (found.counts, found.relevant)
    )
    return np.divide(relevant_apart, apart, out=np.ones(pairs.k), where=apart > 0)
