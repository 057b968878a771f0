"""Outputs asked at several levels: candidate bits, what each of them asks, and which differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit, logit

from hashlib_nb import artifacts, checks
from hashlib_nb.hamming import MAX_BITS, check_codes

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Posteriors at which an output is asked, unless others are given. One half is among them, so that the thesis' bits are
candidates too, and a network that is sure of nothing yet has candidates at all."""
HALF = (0.5,)
"""The thesis' setting: one question an output, at one half."""
ROWS = 1 << 22
"""Numbers that a block of logits, posteriors or scores holds at a time: 32 MB."""


def check_levels(levels, k: int | None = None) -> np.ndarray:
    """Thresholds float32 [1, levels] of posteriors, or [k, levels] where they were given as `quantiles` returns them.

    Raises:
        ValueError: levels outside (0, 1), not increasing or there twice, or thresholds that are not.
    """
    found = checks.array(levels, "levels", "posteriors in (0, 1), increasing")
    if found.ndim == 2 and found.dtype == np.float32:
        wide = k is not None and len(found) != k
        if wide or not found.size or not np.isfinite(found).all() or (np.diff(found, axis=1) < 0).any():
            raise ValueError(
                f"levels is {checks.shown(levels)}; give a row of finite thresholds, none below the one before it, "
                f"for each of the {k or 'k'} outputs"
            )
        return found
    inside = found.ndim == 1 and found.size and found.dtype.kind == "f" and ((found > 0) & (found < 1)).all()
    if not inside or (np.diff(found) <= 0).any():
        shown = checks.shown(levels if found.ndim != 1 or found.size > 20 else found.tolist())
        raise ValueError(f"levels is {shown}; give posteriors inside (0, 1), each once and in increasing order")
    thresholds = logit(found.astype(np.float64)).astype(np.float32)
    if (np.diff(thresholds) <= 0).any():
        raise ValueError(f"levels is {checks.shown(found.tolist())}; in float32 some of them are one and the same")
    return thresholds[None]


def check_logits(logits, name: str = "logits", k: int | None = None) -> np.ndarray:
    """Logits as float32 [n, k]. Raises ValueError for another shape or type, no row, NaN and infinite values."""
    wanted = "float [n, k]" if k is None else f"float [n, {k}]"
    found = checks.array(logits, name, wanted)
    if found.ndim != 2 or not found.size or found.dtype.kind != "f" or (k is not None and found.shape[1] != k):
        raise ValueError(f"{name} is {checks.shown(found)}; give {wanted}")
    with np.errstate(over="ignore"):
        found = found.astype(np.float32, copy=False)
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found).all(axis=1))[0])
        raise ValueError(f"{name} has values that are NaN or infinite (the first in row {row}); give finite ones")
    return found


def bits(logits, levels=LEVELS, candidates: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
    """Candidate bits of logits: 1[F_j >= log(t / (1 - t))], compared in float32.

    Args:
        logits: float [n, k], F(x).
        levels: posteriors t in (0, 1), increasing, the same for every output; or thresholds float32 [k, levels].
        candidates: ids of those wanted; all if None. Candidate j * levels + l is output j at its level l, so that at
            one level candidates are outputs.

    Returns:
        uint8 {0,1} [n, k * levels], or [n, candidates].

    Raises:
        ValueError: logits that are no finite matrix, levels that are none, ids outside the candidates.
    """
    logits = check_logits(logits)
    outputs, thresholds = meanings(logits.shape[1], levels)
    if candidates is not None:
        candidates = check_ids(candidates, len(outputs))
        outputs, thresholds = outputs[candidates], thresholds[candidates]
    return _asked(logits, outputs, thresholds)


def meanings(k: int, levels=LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """What each candidate asks: outputs int64 [k * levels], and thresholds float32 [k * levels] in logits.

    Raises:
        ValueError: levels that are none, or more candidates than a code may have bits.
    """
    k = checks.count(k, "k", most=MAX_BITS)
    thresholds = check_levels(levels, k)
    checks.count(k * thresholds.shape[1], "the number of candidates", most=MAX_BITS, why="k x levels")
    thresholds = np.broadcast_to(thresholds, (k, thresholds.shape[1]))
    return np.repeat(np.arange(k), thresholds.shape[1]), thresholds.reshape(-1).copy()


def code(logits, outputs, thresholds=None) -> np.ndarray:
    """Codes of chosen candidates, by what they mean instead of by their ids.

    Args:
        logits: float [n, k].
        outputs: int [p], in 0..k-1.
        thresholds: float32 [p], in logits; None for 0, which is one half.

    Returns:
        uint8 {0,1} [n, p].

    Raises:
        ValueError: what `check_meaning` refuses, or logits that are no finite matrix.
    """
    logits = check_logits(logits)
    outputs, thresholds = check_meaning(outputs, thresholds, logits.shape[1])
    return _asked(logits, outputs, thresholds)


def check_meaning(outputs, thresholds, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Outputs int64 [p] and thresholds float32 [p] of candidates, no two of them one and the same.

    Raises:
        ValueError: outputs outside 0..k-1, thresholds that are not finite, as many of each, or a candidate twice.
    """
    outputs = check_ids(outputs, MAX_BITS if k is None else k, "outputs")
    if thresholds is None:
        thresholds = np.zeros(len(outputs), np.float32)
    thresholds = checks.array(thresholds, "thresholds", "a finite number for each output")
    if thresholds.shape != outputs.shape or thresholds.dtype.kind not in "iuf" or not np.isfinite(thresholds).all():
        raise ValueError(f"thresholds is {checks.shown(thresholds)}; give a finite number for each of {len(outputs)}")
    with np.errstate(over="ignore"):
        thresholds = thresholds.astype(np.float32)
    if not np.isfinite(thresholds).all():
        raise ValueError("thresholds has numbers that are infinite in float32; give logits, such as -3.9 or 0.4")
    if len({*zip(outputs.tolist(), thresholds.tolist(), strict=True)}) < len(outputs):
        raise ValueError("outputs and thresholds name a candidate more than once; name each once")
    return outputs, thresholds


def read_meaning(path: Path, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What the kept bits of a selection file ask: outputs int64 [p], and thresholds float32 [p] in logits.

    Args:
        path: JSON as `Selection.save` and `hashlib-nb selectors` write it. Without "outputs", its bits are the outputs
            at one half.
        k: outputs of the encoder that it is for; None for any.

    Raises:
        ArtifactError: the file is missing, no selection, or one for another encoder as far as can be told: it asks
            outputs that are not there, or was chosen on a number of candidates that k outputs cannot make.
    """
    about = artifacts.load_json(path)
    if not isinstance(about, dict) or (about.get("outputs"), about.get("thresholds")) == (None, None):
        return check_meaning(artifacts.read_selection(path, k), None)
    bits = artifacts.read_selection(path)
    asks, chosen_on = (about.get("outputs"), about.get("thresholds")), about.get("n_candidates", about.get("k"))
    try:
        if None not in (k, chosen_on) and chosen_on % k:
            raise ValueError(f"it was chosen on {chosen_on} candidates, and {k} outputs at any levels make others")
        if not all(isinstance(numbers, list) and len(numbers) == len(bits) for numbers in asks):
            raise ValueError('"outputs" and "thresholds" must be lists of a number for each of its bits')
        return check_meaning(*asks, k)
    except ValueError as error:
        raise artifacts.ArtifactError(f"selection: {artifacts.shown(path)} cannot be used ({error})") from error


def meaning(outputs: np.ndarray | None, thresholds: np.ndarray | None) -> dict[str, list]:
    """What a file says of thermometer bits beside their ids: outputs, thresholds, and for people the levels."""
    if outputs is None:
        return {}
    levels = [float(f"{level:.6g}") for level in level_of(thresholds)]
    return {"outputs": outputs.tolist(), "thresholds": thresholds.tolist(), "levels": levels}


def level_of(thresholds) -> np.ndarray:
    """The posterior float64 at which a threshold in logits asks."""
    return expit(np.asarray(thresholds, np.float64))


def quantiles(logits, levels=LEVELS) -> np.ndarray:
    """Thresholds float32 [k, levels] at quantiles of logits, for outputs that are no log odds.

    Args:
        logits: float [n, k], of rows that the network has not seen: what it says of its own rows is too sure.
        levels: shares in (0, 1), increasing: that share of the logits lies below the threshold.

    Raises:
        ValueError: logits that are no finite matrix, or levels that are none.
    """
    logits = check_logits(logits)
    wanted = "shares inside (0, 1), one list for all outputs"
    levels = checks.array(levels, "levels", wanted)
    if levels.ndim > 1:
        raise ValueError(f"levels is {checks.shown(levels)}; give {wanted}")
    check_levels(levels)
    return np.quantile(logits.astype(np.float64), np.asarray(levels, np.float64), axis=0).T.astype(np.float32)


def distinct(codes, query_codes=None) -> np.ndarray:
    """Ids int64 of the candidates that differ on the rows that pay a reward: a choice between equals is none.

    Left out are those that are constant in the database, where they rank nothing, and those that are equal or opposite
    to an earlier one, in the queries as well: a code of either has the same distances.

    Args:
        codes: {0,1} [n, candidates], of the database rows.
        query_codes: {0,1} [q, candidates], of the queries where these have codes of their own.

    Raises:
        ValueError: codes that are no 0/1 matrices of one width.
    """
    codes = columns = check_codes(codes)
    if query_codes is not None:
        query_codes = check_codes(query_codes, "query_codes")
        if query_codes.shape[1] != codes.shape[1]:
            raise ValueError(f"query_codes has {query_codes.shape[1]} bits and codes {codes.shape[1]}; give both alike")
        columns = np.vstack([codes, query_codes])
    packed = np.packbits(columns ^ columns[:1], axis=0)  # of opposite columns, one form
    _, first = np.unique(packed, axis=1, return_index=True)
    varied = (codes != codes[:1]).any(axis=0)
    return np.sort(first[varied[first]])


def remark(kept: int, total: int, rows: int) -> str:
    """How many of so many candidates are chosen among, in words: those that `distinct` found on so many rows."""
    if kept == total:
        return f"{total:,} candidates"
    return (
        f"{kept:,} of {total:,} candidates differ on the {rows:,} rows that pay the reward; the others are constant "
        "there, equal or opposite to one of these, and left out"
    )


def _asked(logits: np.ndarray, outputs: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    found = np.empty((len(logits), len(outputs)), np.uint8)
    step = max(1, ROWS // len(outputs))
    for start in range(0, len(logits), step):
        found[start : start + step] = logits[start : start + step, outputs] >= thresholds
    return found


def check_ids(ids, most: int, name: str = "candidates") -> np.ndarray:
    """Whole numbers int64 [p] in 0..most-1, at least one. Raises ValueError for anything else."""
    found = checks.array(ids, name, f"whole numbers in 0..{most - 1}")
    inside = found.ndim == 1 and found.size and found.dtype.kind in "iu" and 0 <= found.min() <= found.max() < most
    if not inside:
        raise ValueError(f"{name} is {checks.shown(ids)}; give whole numbers in 0..{most - 1}, at least one")
    return found.astype(np.int64)
