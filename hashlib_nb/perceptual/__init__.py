"""Chapters 1 and 2: what a picture's hash must be, from preprocessing to attacks, measures and what breaks it."""

from hashlib_nb.perceptual.attacks import ATTACKS, TABLE, Attack
from hashlib_nb.perceptual.features import (
    block_means,
    check_image,
    gray,
    homomorphic,
    hue,
    low_frequencies,
    wavelet_approximation,
)
from hashlib_nb.perceptual.hashes import (
    HASHES,
    KEYED_SIDE,
    PUBLIC_KEY,
    PerceptualHash,
    check_extra,
    hash_pictures,
    keyed_codes,
    pdq_quality,
)
from hashlib_nb.perceptual.measures import CopyDistances, Uniqueness, distances_of, key_sensitivity, uniqueness, wilson
from hashlib_nb.perceptual.pictures import dead_leaves, photographs, sample
from hashlib_nb.perceptual.recall import RecallReward
from hashlib_nb.perceptual.security import peak_signal_to_noise, recover_key, second_preimage

__all__ = [
    "ATTACKS", "HASHES", "KEYED_SIDE", "PUBLIC_KEY", "TABLE", "Attack", "CopyDistances", "PerceptualHash",
    "RecallReward", "Uniqueness", "block_means", "check_extra", "check_image", "dead_leaves", "distances_of", "gray",
    "hash_pictures", "homomorphic", "hue", "key_sensitivity", "keyed_codes", "low_frequencies", "pdq_quality",
    "peak_signal_to_noise", "photographs", "recover_key", "sample", "second_preimage", "uniqueness",
    "wavelet_approximation", "wilson",
]  # fmt: skip
