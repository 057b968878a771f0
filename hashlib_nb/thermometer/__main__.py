"""Make candidate bits of anybody's logits or class posteriors, from the shell.

python -m hashlib_nb.thermometer --logits logits.npy --out thermometer.npz        # see --help
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashlib_nb import artifacts, checks
from hashlib_nb.hamming import MAX_BITS, check_codes
from hashlib_nb.thermometer.classes import ClassCodes, check_posteriors, decide, halves, logits_of
from hashlib_nb.thermometer.levels import (
    LEVELS,
    bits,
    check_levels,
    check_logits,
    distinct,
    meanings,
    quantiles,
)

ARRAYS = ("codes", "outputs", "thresholds")
"""What every file that is written here has."""


@dataclass(frozen=True)
class Args:
    """Make candidate bits of logits or class posteriors: each output asked at several levels.

    Choose among them with hashlib-nb selectors --codes thermometer.npz --labels labels.npy. Give rows that the network
    was not fitted to: on its own it is too sure.
    """

    logits: Path | None = None
    """npy or npz file: float [n, k], log odds of k dichotomies; or any outputs, with --quantiles"""
    posteriors: Path | None = None
    """npy or npz file, instead of logits: class posteriors [n, C] whose rows add up to 1, of which the dichotomies in
    class_codes are asked"""
    class_codes: Path | None = None
    """npy or npz file: 0/1 [C, k], the side of each dichotomy that each class is on; with it, queries can be decided"""
    logits_array: str | None = None
    """which array of an npz file holds them, such as out_of_fold_logits; "logits", or the only one, if left out"""
    posteriors_array: str | None = None
    """which array of an npz file holds the posteriors; "posteriors", or the only one, if left out"""
    class_codes_array: str | None = None
    """which array of an npz file holds the class codes; "class_codes", or the only one, if left out"""
    levels: tuple[float, ...] = LEVELS
    """posteriors at which each output is asked, inside (0, 1) and increasing"""
    quantiles: bool = False
    """take the levels as shares of these outputs that lie below, instead of as posteriors"""
    dichotomies: int = 64
    """of posteriors without class_codes: how many random halves of the classes to ask"""
    seed: int = 0
    """of their draw"""
    out: Path = Path("thermometer.npz")
    """where the candidates go: codes uint8 [n, candidates], of each its output and its threshold in logits, and with
    class codes query_codes, the rows' codes as decided queries; only such a file is replaced"""

    def __post_init__(self) -> None:
        """Raise ValueError for levels that are none, and for numbers out of range."""
        check_levels(self.levels)
        checks.fields(self, checks.count, "dichotomies", most=MAX_BITS)
        checks.fields(self, checks.seed, "seed")


def main(args: Args) -> None:
    """Make the candidates that args ask for, and write them.

    Raises:
        ValueError: neither logits nor posteriors or both, or a file that is not there or does not hold what it should.
    """
    if (args.logits is None) == (args.posteriors is None):
        found = "neither is given" if args.logits is None else "both are given"
        raise ValueError(f"candidates are made of logits or of posteriors, but {found}: name one of the two files")
    for name in ("logits", "posteriors", "class_codes"):
        array = getattr(args, f"{name}_array")
        if array is not None and getattr(args, name) is None:
            raise ValueError(f"{name}_array is {array!r}, but {name} is left out: name the file that holds it")
    artifacts.check_writable(args.out, artifacts.replaces_npz(*ARRAYS))
    logits, class_codes, queries = _asked(args)
    n, k = logits.shape
    thresholds = quantiles(logits, args.levels) if args.quantiles else args.levels
    arrays = dict(zip(ARRAYS, (bits(logits, thresholds), *meanings(k, thresholds)), strict=True))
    if class_codes is not None:
        arrays |= {"class_codes": class_codes, "query_codes": queries[:, arrays["outputs"]]}
    differ = len(distinct(arrays["codes"], arrays.get("query_codes")))
    if not differ:
        raise ValueError(f"no candidate at these levels differs on the {n:,} rows; give other levels, or more rows")
    artifacts.save_npz(args.out, arrays, made_by=artifacts.command("thermometer", args))
    asked = f"{'quantiles' if args.quantiles else 'levels'} {', '.join(f'{level:g}' for level in args.levels)}"
    print(
        f"found {n:,} rows of {k} outputs; asked at {asked}\n"
        f"{k * len(args.levels):,} candidates, of which {differ:,} are neither constant, equal nor opposite here\n"
        f"queries: symmetric{'' if class_codes is None else f', or decided for one of {len(class_codes):,} classes'}\n"
        f"saved {artifacts.shown(args.out)}"
    )


def _asked(args: Args) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Logits float32 [n, k], class codes {0,1} [C, k], and each row's code as a decided query {0,1} [n, k]."""
    class_codes = None
    if args.class_codes is not None:
        given = artifacts.read_array(args.class_codes, "class_codes", args.class_codes_array)
        class_codes = check_codes(given, "class_codes")
    if args.logits is not None:
        logits = check_logits(artifacts.read_array(args.logits, "logits", args.logits_array))
        if class_codes is None:
            return logits, None, None
        if class_codes.shape[1] != logits.shape[1]:
            raise ValueError(f"class_codes has {class_codes.shape[1]} bits for {logits.shape[1]} logits; give one each")
        return logits, class_codes, decide(logits, ClassCodes(class_codes, np.arange(len(class_codes))))
    given = artifacts.read_array(args.posteriors, "posteriors", args.posteriors_array)
    posteriors = check_posteriors(given)
    if class_codes is None:
        class_codes = halves(posteriors.shape[1], args.dichotomies, args.seed)
    return logits_of(posteriors, class_codes), class_codes, class_codes[posteriors.argmax(axis=1)]


if __name__ == "__main__":
    artifacts.run(main, Args)
