"""What a subset of bits is paid, and which codes pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming import MAX_BITS, Pairs, check_bits, check_codes, check_labels, mask_of
from hashlib_nb.metrics import map_of_flipped, map_of_masks
from hashlib_nb.selection.kept import check_n_bits

MAX_QUERIES = 2000
"""Of code sets with more rows than this, that many are drawn as queries, unless `n_queries` says otherwise."""
MOST = np.iinfo(np.int32).max
"""More queries, calls of a budget or rows than this cannot be asked for."""
MOST_CELLS = 1 << 28
"""Bits of all masks that `random_masks` draws at once: 2 GB of random numbers."""


class Reward:
    """mAP of bit subsets on one set of codes: the terminal reward of the MDP (eq. 3.14).

    With up to `n_queries` rows every row is a query against all the others (leave one out: an item that retrieves
    itself says nothing, at whatever distance from its own query code it lies). With more, `n_queries` rows drawn once,
    with `seed`, are queries against the remaining rows. Ties count at their expectation. There is no sort and no
    distance matrix: one subset costs about queries x rows x p bit operations, of which a machine word does 64 at a
    time.

    It measures whatever it is asked, repeats included; `Search` is what remembers.

    Args:
        codes: {0,1} [n, k].
        labels: {0,1} [n, m], or class numbers int [n].
        query_codes: {0,1} [n, k], the rows' codes as queries, where these have codes of their own (decided queries:
            `thermometer.decide`); None where they are `codes`.
        n_queries: most rows to use as queries, in 1..`MOST`.
        seed: of the draw.

    Raises:
        ValueError: codes or labels of the wrong shape or values, fewer than 2 rows, or no row with a relevant one.
    """

    def __init__(self, codes, labels, *, query_codes=None, n_queries: int = MAX_QUERIES, seed: int = 0):
        n_queries, seed = checks.count(n_queries, "n_queries", most=MOST), checks.seed(seed)
        codes, labels = check_codes(codes, "codes"), check_labels(labels, "labels")
        queries = codes if query_codes is None else check_codes(query_codes, "query_codes")
        flat = labels.ndim == 1  # class numbers
        if queries.shape != codes.shape:
            raise ValueError(
                f"query_codes is {list(queries.shape)} and codes {list(codes.shape)}; give each row both codes"
            )
        if len(codes) != len(labels):
            raise ValueError(f"labels has {len(labels)} rows for {len(codes)} codes; give one row of labels a code")
        if len(codes) < 2:
            raise ValueError("codes has 1 row; a reward needs at least 2, one to find the other")
        if len(codes) <= n_queries:
            self.pairs = Pairs(queries, codes, labels, labels, leave_one_out=True)
            answerable = (
                len(np.unique(labels)) < len(labels) if flat else (labels.sum(axis=0, dtype=np.int64) > 1).any()
            )
        else:
            order = np.random.default_rng(seed).permutation(len(codes))
            query, rest = np.sort(order[:n_queries]), np.sort(order[n_queries:])
            self.pairs = Pairs(queries[query], codes[rest], labels[query], labels[rest])
            q, r = labels[query], labels[rest]
            answerable = np.isin(q, r).any() if flat else (q.any(axis=0) & r.any(axis=0)).any()
        if not answerable:
            raise ValueError("labels give no query a relevant row: at least two rows must share a label")
        self.k = codes.shape[1]
        self.codes, self.labels = codes, labels
        """What was given, for methods that judge bits without a reward."""
        self.given = (codes, labels) if query_codes is None else (codes, labels, queries)
        """All that the reward depends on beside the draw of queries."""
        self.calls = 0
        """Subsets whose mAP was computed so far, repeats included."""

    @classmethod
    def of_queries(cls, query_codes, query_labels, codes, labels) -> Reward:
        """mAP of given queries against given rows, none of which is left out or drawn.

        Args:
            query_codes: {0,1} [q, k].
            query_labels: {0,1} [q, m], or class numbers int [q].
            codes: {0,1} [n, k].
            labels: {0,1} [n, m], or class numbers int [n].

        Raises:
            ValueError: codes or labels of the wrong shape or values.
        """
        made = cls.__new__(cls)
        made.pairs = Pairs(query_codes, codes, query_labels, labels)
        made.k, made.calls = made.pairs.k, 0
        made.codes, made.labels = check_codes(codes), check_labels(labels)
        made.given = (made.codes, made.labels, check_codes(query_codes), check_labels(query_labels))
        return made

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Rewards float64 [e] of masks {0,1} [e, k]; one pass over the codes for all of them."""
        masks = self.pairs.check_masks(masks)
        self.calls += len(masks)
        return map_of_masks(self.pairs, masks)

    def flipped(self, mask: np.ndarray, bits: Sequence[int] | np.ndarray) -> np.ndarray:
        """Rewards float64 [b] of `mask` {0,1} [k] with each of the b `bits` toggled alone: added, or removed if kept.

        One pass over the codes for all of them, several times cheaper than as many masks; each counts as one call.
        """
        mask, bits = self.pairs.check_masks(np.asarray(mask)[None])[0], check_bits(bits, self.k)
        self.calls += len(bits)
        return map_of_flipped(self.pairs, mask, bits)

    def of_bits(self, bits: Sequence[int] | np.ndarray) -> float:
        """Reward of one subset given by its indices."""
        return float(self(mask_of(bits, self.k)[None])[0])


REWARD_CODES = ("crossfit", "views", "holdout", "in_sample")
"""Which codes of the training pictures a reward is computed on (see `reward_codes`)."""


def check_reward_codes(kind: str) -> str:
    """`kind` if it is one of `REWARD_CODES`; otherwise a ValueError of one sentence."""
    if kind not in REWARD_CODES:
        raise ValueError(f"reward_codes must be one of {', '.join(REWARD_CODES)}, not {kind!r}")
    return kind


def reward_codes(kind: str, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Codes [n, k] and labels [n, m] to reward a selection on, out of what stage 2 left in `codes.npz`.

    - "in_sample" (the thesis): codes of the training pictures from the encoder that was fitted to them. They are nearly
      perfect, so the reward saturates.
    - "holdout": codes of the first fold's pictures, from the encoder that was fitted to the other folds.
    - "crossfit": every training picture's code from the one fold encoder that did not see it.
    - "views": codes of an augmented view of each training picture, from the encoder that was fitted to such views.

    Raises:
        ValueError: an unknown kind, or arrays of another origin.
    """
    check_reward_codes(kind)
    unseen = kind in ("crossfit", "holdout")
    rewarded = {"in_sample": "train_codes", "views": "view_codes"}.get(kind, "out_of_fold_codes")
    needed = {"train_labels", rewarded} | ({"fold"} if unseen else set())
    if missing := sorted(needed - set(arrays)):
        raise ValueError(
            f"the codes file has no {', '.join(missing)}: give the codes.npz that hashlib_nb.encoder writes"
            + (" with a recipe that makes views, such as tuned" if rewarded in missing and kind == "views" else "")
        )
    if unseen and not len(arrays["fold"]):
        remedy = "set reward_codes to views" if "view_codes" in arrays else "set folds to 2 or more"
        raise ValueError(f"the codes were made with folds=0, so there are none for reward_codes={kind!r}: {remedy}")
    rewarded = arrays[rewarded]
    if len(rewarded) != len(arrays["train_labels"]) or unseen and len(arrays["fold"]) != len(rewarded):
        raise ValueError("the codes file has not one label and fold for each training picture: it must be made anew")
    if not unseen:
        return rewarded, arrays["train_labels"]
    rows = arrays["fold"] == 0 if kind == "holdout" else np.ones(len(arrays["fold"]), dtype=bool)
    return rewarded[rows], arrays["train_labels"][rows]


def random_masks(k: int, n_bits: int, number: int, seed: int | np.random.Generator = 0) -> np.ndarray:
    """`number` uniformly random subsets of `n_bits` of k bits, uint8 {0,1} [number, k].

    Args:
        k: how many bits there are.
        n_bits: p, in 1..k.
        number: of subsets; number x k is at most `MOST_CELLS`.
        seed: a seed, or a generator to go on with.

    Raises:
        ValueError: numbers out of range.
    """
    k = checks.count(k, "k", most=MAX_BITS)
    n_bits = check_n_bits(n_bits, k)
    number = checks.count(number, "number", least=0, most=MOST_CELLS // k, why="what fits into 2 GB")
    if not isinstance(seed, np.random.Generator):
        seed = checks.seed(seed)
    rng = np.random.default_rng(seed)
    chosen = rng.random((number, k)).argsort(axis=1)[:, :n_bits]
    masks = np.zeros((number, k), dtype=np.uint8)
    np.put_along_axis(masks, chosen, 1, axis=1)
    return masks
