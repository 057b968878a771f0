"""What stage 3 chooses among: candidate bits of all pictures, what each of them asks, and who pays for a choice.

    pool = candidates.of_arrays(setup.codes().arrays)            # thermometer bits, decided queries
    found = pool.named(ppo.train(args, reward=pool.reward()))    # the p kept ones, by their ids and meaning
    pool.test_map(found.bits)                                    # query pictures against the database

The thesis' setting is `THESIS`: every output is asked at one half, and queries keep their codes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hashlib_nb import artifacts, checks, datasets, hamming, metrics, selection, thermometer
from hashlib_nb.selection import MAX_QUERIES, Reward, Selection
from hashlib_nb.thermometer import HALF, LEVELS, ClassCodes


@dataclass(frozen=True)
class Options:
    """How candidates are made of the encoder's outputs, and on what a choice among them is rewarded."""

    levels: tuple[float, ...] = LEVELS
    """posteriors at which each output is asked, inside (0, 1) and increasing; 0.5 alone is the thesis' code"""
    quantiles: bool = False
    """take the levels as shares of the out-of-fold outputs that lie below, instead of as posteriors"""
    decided: bool = True
    """a query takes the code of its likeliest class, which is a classifier's word, while database codes stay; without,
    queries and database have codes of the same kind (symmetric)"""
    reward_codes: Literal["crossfit", "views", "holdout", "in_sample"] = "crossfit"
    """which codes of the training pictures give the reward (`selection.reward_codes`)"""

    def __post_init__(self) -> None:
        """Raise ValueError for levels that are none, or an unknown kind of codes."""
        if getattr(self.levels, "ndim", 1) > 1:  # thresholds, which are of one encoder's outputs
            raise ValueError(f"levels is {checks.shown(self.levels)}; give posteriors inside (0, 1), one list of them")
        thermometer.check_levels(self.levels)
        object.__setattr__(self, "levels", tuple(map(float, self.levels)))
        selection.check_reward_codes(self.reward_codes)

    @property
    def graded(self) -> bool:
        """Whether candidates are thermometer bits, and not the outputs at one half."""
        return self.quantiles or self.levels != HALF

    @property
    def words(self) -> list[str]:
        """What of it is not the thesis' setting, as short words for file names."""
        words = [self.reward_codes] * (self.reward_codes != "crossfit")
        if self.graded:
            words.append("quantiles" if self.quantiles else "thermometer")
            words += [f"l{artifacts.digest_of_text(str(self.levels))}"] * (self.levels != LEVELS)
        return words + ["decided"] * self.decided


THESIS = Options(levels=HALF, decided=False)
"""The thesis' setting: the k outputs at one half, symmetric."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """k candidate bits of the training, query and database pictures; codes are uint8 {0,1}, labels as everywhere."""

    name: str
    """What tables call the pool."""
    reward_codes: np.ndarray
    """[n, k], training pictures: what pays the reward. Learned bits are cross-fitted."""
    reward_labels: np.ndarray
    """[n, m]."""
    in_sample_codes: np.ndarray
    """[n, k], the same pictures coded by encoders that were fitted to them; equal where nothing is learned."""
    fold: np.ndarray
    """int64 [n], which fold's encoder made a row of `reward_codes`; all 0 where nothing is learned, or one encoder made
    all."""
    query_codes: np.ndarray
    """[q, k], for the test alone."""
    query_labels: np.ndarray
    """[q, m]."""
    database_codes: np.ndarray
    """[d, k], for the test alone."""
    database_labels: np.ndarray
    """[d, m]."""
    reward_queries: np.ndarray | None = None
    """[n, k], the training pictures' codes as queries, decided out of fold; None where they are `reward_codes`."""
    in_sample_queries: np.ndarray | None = None
    """[n, k], the same, decided by encoders that were fitted to them."""
    decided_codes: np.ndarray | None = None
    """[q, k], the query pictures' codes as decided queries; None where they are `query_codes`."""
    outputs: np.ndarray | None = None
    """int64 [k], the encoder's output that a candidate asks; None where candidates are the outputs, at one half."""
    thresholds: np.ndarray | None = None
    """float32 [k], in logits, at which it asks."""
    ids: np.ndarray | None = None
    """int64, the candidates that a search chooses among; None for all. The others differ from one of these on no row
    that pays the reward, or are constant there (`thermometer.distinct`)."""

    @property
    def k(self) -> int:
        """Number of candidates that a search chooses among."""
        return self.reward_codes.shape[1] if self.ids is None else len(self.ids)

    @property
    def searched(self) -> np.ndarray:
        """int64 [k], ids of the candidates that a search chooses among, ascending."""
        return np.arange(self.k) if self.ids is None else self.ids

    @property
    def remark(self) -> str:
        """How many candidates there are, in words."""
        rows, total = self.reward_codes.shape
        return thermometer.remark(self.k, total, rows)

    def reward(self, *, n_queries: int = MAX_QUERIES, seed: int = 0) -> Reward:
        """The reward of a choice among the `k` candidates; arguments as of `selection.Reward`."""
        return Reward(**self.paying(), n_queries=n_queries, seed=seed)

    def paying(self) -> dict[str, np.ndarray | None]:
        """What pays a choice among the `k` candidates: codes [n, k], labels [n, m], and query codes [n, k] or None."""
        chosen = slice(None) if self.ids is None else self.ids
        queries = None if self.reward_queries is None else self.reward_queries[:, chosen]
        return {"codes": self.reward_codes[:, chosen], "labels": self.reward_labels, "query_codes": queries}

    def named(self, found: Selection) -> Selection:
        """A selection among the `k` candidates as one among all, by their ids, with what each of them asks."""
        if self.ids is None and self.outputs is None:
            return found
        total, ids = self.reward_codes.shape[1], self.searched
        history = dict(found.history)
        if "policy_bits" in history:
            history["policy_bits"] = ids[history["policy_bits"]]
        if "policy_probabilities" in history:
            everywhere = np.zeros((len(history["policy_probabilities"]), total))
            everywhere[:, ids] = history["policy_probabilities"]
            history["policy_probabilities"] = everywhere
        bits = ids[found.bits]
        made = replace(found, bits=bits, n_candidates=total, history=history)
        if self.outputs is None:
            return made
        return replace(made, outputs=self.outputs[bits], thresholds=self.thresholds[bits])

    def digest(self) -> str:
        """What identifies all that a search sees."""
        return artifacts.digest(*(side for side in self.paying().values() if side is not None))

    def symmetric(self) -> Candidates:
        """The same candidates, of which a query has codes of the database's kind."""
        return replace(self, reward_queries=None, in_sample_queries=None, decided_codes=None)

    def codes_for(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Codes and labels that pay the reward: one of `selection.REWARD_CODES`."""
        return self._of_kind(kind, self.in_sample_codes, self.reward_codes)

    def _of_kind(self, kind: str, in_sample: np.ndarray, out_of_fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        arrays = {"train_codes": in_sample, "out_of_fold_codes": out_of_fold, "fold": self.fold}
        return selection.reward_codes(kind, arrays | {"train_labels": self.reward_labels})

    def rewarded_by(self, kind: str) -> Candidates:
        """The same bits with `codes_for(kind)` to pay the reward, named after it."""
        codes, labels = self.codes_for(kind)
        queries = self.reward_queries
        if queries is not None:
            queries, _ = self._of_kind(kind, self.in_sample_queries, queries)
        named = f"{self.name}-{kind}"
        return replace(self, name=named, reward_codes=codes, reward_labels=labels, reward_queries=queries)

    def of_bits(self, bits: Sequence[int] | np.ndarray, name: str) -> Candidates:
        """The pool of these candidates alone."""
        bits = hamming.check_bits(bits, self.reward_codes.shape[1])
        codes = ["reward_codes", "in_sample_codes", "query_codes", "database_codes"]
        codes += ["reward_queries", "in_sample_queries", "decided_codes", "outputs", "thresholds"]
        given = {which: getattr(self, which) for which in codes if getattr(self, which) is not None}
        return replace(self, name=name, ids=None, **{which: each[..., bits] for which, each in given.items()})

    def test_codes(self, bits: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Codes of these candidates: of the query pictures, decided where queries are, and of the database."""
        queries = self.query_codes if self.decided_codes is None else self.decided_codes
        return queries[:, bits], self.database_codes[:, bits]

    def test_map(self, bits: Sequence[int] | np.ndarray) -> float:
        """mAP of these candidates, query pictures against the database."""
        return float(np.nanmean(self.test_precisions(bits)))

    def test_precisions(self, bits: Sequence[int] | np.ndarray) -> np.ndarray:
        """Average precision float64 [q] of each query picture by these candidates; NaN where nothing is relevant."""
        bits = hamming.check_bits(bits, self.reward_codes.shape[1])
        labels = self.query_labels, self.database_labels
        return metrics.average_precision(*self.test_codes(bits), *labels)

    def test_maps(self, masks) -> np.ndarray:
        """mAP float64 [e] of subsets {0,1} [e, k] of the `k` candidates, query pictures against the database."""
        codes = self.test_codes(self.searched)
        return metrics.map_of_masks(hamming.Pairs(*codes, self.query_labels, self.database_labels), masks)


def of_arrays(
    arrays: Mapping[str, np.ndarray],
    options: Options | None = None,
    *,
    name: str = "thermometer",
    echo: Callable[[str], None] = lambda _: None,
) -> Candidates:
    """The candidates of one encoder.

    Args:
        arrays: what stage 2 left in `codes.npz`.
        options: how candidates are made; None for thermometer bits and decided queries.
        name: what tables call the pool.
        echo: is told how many candidates differ, where some are left out.

    Raises:
        ValueError: arrays that lack what the options ask for.
    """
    options = options or Options()
    _check(arrays, options)
    selection.reward_codes(options.reward_codes, arrays)  # says what does not fit together
    paid = paying_part(options.reward_codes)
    parts = (*datasets.PARTS, paid)
    if not options.graded:
        codes = {part: arrays[f"{part}_codes"] for part in parts}
        outputs = thresholds = None
    else:
        levels = options.levels
        if options.quantiles:
            levels = thermometer.quantiles(thermometer.unseen(arrays), levels)
        outputs, thresholds = thermometer.meanings(arrays["train_logits"].shape[1], levels)
        codes = {part: _bits(arrays[f"{part}_logits"], levels, len(outputs)) for part in parts}
    decided: dict[str, np.ndarray | None] = dict.fromkeys(parts)
    if options.decided:
        classes = ClassCodes.from_arrays(arrays)
        for part in (paid, "train", "query"):
            logits = arrays[f"{part}_logits"]
            decided[part] = thermometer.decide(logits, classes, outputs) if len(logits) else codes[part]
    pool = Candidates(
        name,
        reward_codes=codes[paid],
        reward_labels=arrays["train_labels"],
        in_sample_codes=codes["train"],
        fold=np.zeros(len(codes[paid]), np.int64) if paid == "view" else arrays["fold"],
        query_codes=codes["query"],
        query_labels=arrays["query_labels"],
        database_codes=codes["database"],
        database_labels=arrays["database_labels"],
        reward_queries=decided[paid],
        in_sample_queries=decided["train"],
        decided_codes=decided["query"],
        outputs=outputs,
        thresholds=thresholds,
    )
    if paid == "out_of_fold":
        pool = replace(pool.rewarded_by(options.reward_codes), name=name)
    if not options.graded:
        return pool  # the thesis chooses among all outputs
    ids = thermometer.distinct(pool.reward_codes, pool.reward_queries)
    if not len(ids):
        raise ValueError("no candidate differs on the rows that pay the reward; give other levels, or more pictures")
    pool = pool if len(ids) == len(outputs) else replace(pool, ids=ids)
    echo(pool.remark)
    return pool


def paying_part(kind: str) -> str:
    """Which arrays of `codes.npz` pay the reward, by what their names begin with; `kind` as of `reward_codes`."""
    return "view" if kind == "views" else "out_of_fold"


def _check(arrays: Mapping[str, np.ndarray], options: Options) -> None:
    parts = (*datasets.PARTS, paying_part(options.reward_codes))
    needed = {*(f"{part}_codes" for part in parts), *(f"{part}_labels" for part in datasets.PARTS), "fold"}
    if missing := sorted(needed - {*arrays}):
        raise ValueError(
            f"the codes file has no {', '.join(missing)}: give the codes.npz that hashlib-nb encoder writes"
        )
    needed = {f"{part}_logits" for part in parts} if options.graded or options.decided else set()
    needed |= {*thermometer.CLASS_ARRAYS} if options.decided else set()
    if missing := sorted(needed - {*arrays}):
        raise ValueError(
            f"the codes file has no {', '.join(missing)}, which thermometer bits and decided queries are made of: make "
            "it anew with hashlib-nb encoder, or ask for the codes that it has with --levels 0.5 --no-decided"
        )


def _bits(logits: np.ndarray, levels, total: int) -> np.ndarray:
    if not len(logits):  # without folds there are no out-of-fold logits
        return np.zeros((0, total), np.uint8)
    return thermometer.bits(logits, levels)
