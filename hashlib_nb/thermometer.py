"""Thermometer bits: logits asked at several levels, what they say about a picture's class, and decided queries.

Output j of stage 2 is fitted to a dichotomy T_j of the classes, so that sigma(F_j(x)) estimates P(T_j = 1 | x). Asked
at one half alone, every output says the same as soon as one class has more than half of the posterior: the code is
that class' name. Asked at several levels it says how sure the network is: candidate (j, t) is 1[F_j >= log(t / (1-t))].

| name            | what                                                                                            |
|-----------------|-------------------------------------------------------------------------------------------------|
| thermometer bit | candidate (j, t) of logits; with all levels in order the field's thermometer code                 |
| class posterior | softmax over classes of beta sum_j log P(T_jc | F_j), beta fitted to rows the network has not seen |
| decided query   | its code is replaced by the code of its likeliest class; database codes stay                      |
| ceiling         | ranking by the posteriors' P(relevant | query, picture), real-valued: no code                     |

Kin: several thresholds a projection are double-bit quantization (Kong and Li, AAAI 2012) and Manhattan hashing (Kong,
Li and Guo, SIGIR 2012); a code map for the query and another for the database, Neyshabur et al. (NIPS 2013) and Gordo
and Perronnin (CVPR 2011). No torch, and no label of a query or database picture.

    python -m hashlib_nb thermometer --logits logits.npy --out thermometer.npz        # see --help
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax

from hashlib_nb import artifacts, checks
from hashlib_nb.hamming import MAX_BITS, check_codes, check_labels, nearest
from hashlib_nb.metrics import average_precision_from_histograms

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
"""Posteriors at which an output is asked, unless others are given."""
HALF = (0.5,)
"""The thesis' setting: one question an output, at one half."""
ROWS = 1 << 22
"""Numbers that a block of posteriors or scores holds at a time: 32 MB."""
CLASS_ARRAYS = ("class_codes", "class_labels", "beta")
"""Names of the class codes in `codes.npz`."""
BETAS = (1e-4, 10.0)
"""Where `fit_beta` looks: the measured one for 64 outputs is about 1/24."""

# Bits


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
        candidates = _check_ids(candidates, len(outputs))
        outputs, thresholds = outputs[candidates], thresholds[candidates]
    return _asked(logits, outputs, thresholds)


def meanings(k: int, levels=LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """What each candidate asks: outputs int64 [k * levels], and thresholds float32 [k * levels] in logits.

    Raises:
        ValueError: levels that are none, or more candidates than a code may have bits.
    """
    thresholds = check_levels(levels, checks.count(k, "k", most=MAX_BITS))
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
    outputs = _check_ids(outputs, MAX_BITS if k is None else k, "outputs")
    if thresholds is None:
        thresholds = np.zeros(len(outputs), np.float32)
    thresholds = checks.array(thresholds, "thresholds", "a finite number for each output")
    if thresholds.shape != outputs.shape or thresholds.dtype.kind not in "iuf" or not np.isfinite(thresholds).all():
        raise ValueError(f"thresholds is {checks.shown(thresholds)}; give a finite number for each of {len(outputs)}")
    thresholds = thresholds.astype(np.float32)
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
        ArtifactError: the file is missing, no selection, or asks outputs that are not there.
    """
    about = artifacts.load_json(path)
    if not isinstance(about, dict) or about.get("outputs") is None:
        return check_meaning(artifacts.read_selection(path, k), None)
    bits = artifacts.read_selection(path)
    try:
        if len(about["outputs"]) != len(bits) or about.get("thresholds") is None:
            raise ValueError('"outputs" and "thresholds" must have a number for each of its bits')
        return check_meaning(about["outputs"], about["thresholds"], k)
    except (ValueError, TypeError) as error:
        raise artifacts.ArtifactError(f"selection: {artifacts.shown(path)} cannot be used ({error})") from error


def level_of(thresholds) -> np.ndarray:
    """The posterior float64 at which a threshold in logits asks."""
    return expit(np.asarray(thresholds, np.float64))


def quantiles(logits, levels=LEVELS) -> np.ndarray:
    """Thresholds float32 [k, levels] at quantiles of logits, for outputs that are no log odds.

    Args:
        logits: float [n, k], of rows that the network has not seen: what it says of its own rows is too sure.
        levels: shares in (0, 1), increasing: that share of the logits lies below the threshold.
    """
    logits = check_logits(logits)
    check_levels(levels)
    return np.quantile(logits.astype(np.float64), np.asarray(levels, np.float64), axis=0).T.astype(np.float32)


def distinct(codes, query_codes=None) -> np.ndarray:
    """Ids int64 of the candidates that differ on the rows that pay a reward: a choice between equals is none.

    Left out are those that are constant in the database, where they rank nothing, and those that are equal or opposite
    to an earlier one, in the queries as well: a code of either has the same distances.

    Args:
        codes: {0,1} [n, candidates], of the database rows.
        query_codes: {0,1} [n, candidates], of the queries where these have codes of their own.
    """
    codes = check_codes(codes)
    columns = codes if query_codes is None else np.vstack([codes, check_codes(query_codes, "query_codes")])
    packed = np.packbits(columns ^ columns[:1], axis=0)  # of opposite columns, one form
    _, first = np.unique(packed, axis=1, return_index=True)
    varied = (codes != codes[:1]).any(axis=0)
    return np.sort(first[varied[first]])


# Classes


@dataclass(frozen=True, eq=False)
class ClassCodes:
    """What stage 1 gave each class, and how sure logits are of it: all that a decided query needs."""

    codes: np.ndarray
    """uint8 {0,1} [C, k], T: the target code of each class, the majority of each bit where its pictures have several.
    With several labels a picture, a class is a label set that occurs among the training pictures."""
    label_sets: np.ndarray
    """uint8 {0,1} [C, m], the labels of each; or class numbers int64 [C]."""
    beta: float = 1.0
    """How far log odds of single outputs may be added up: outputs of one network err together."""

    def __post_init__(self) -> None:
        codes, label_sets = check_codes(self.codes, "codes"), check_labels(self.label_sets, "label_sets")
        if len(codes) != len(label_sets) or len(np.unique(label_sets, axis=0)) < len(label_sets):
            raise ValueError(f"label_sets is {checks.shown(label_sets)}; give a different set for each of {len(codes)}")
        checks.finite(self.beta, "beta", above=0)
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "label_sets", label_sets)

    @classmethod
    def of(cls, targets, labels, logits=None) -> ClassCodes:
        """Those of training pictures, with beta fitted where logits are given.

        Args:
            targets: {0,1} [n, k], target codes of the training pictures.
            labels: {0,1} [n, m], or class numbers int [n].
            logits: float [n, k] of the same pictures, out of fold; see `fit_beta`.

        Raises:
            ValueError: targets, labels and logits that do not fit together.
        """
        targets, labels = check_codes(targets, "targets"), check_labels(labels)
        if len(labels) != len(targets):
            raise ValueError(
                f"labels has {len(labels)} rows for {len(targets)} targets; give one row of labels a target"
            )
        # Read from the last column to the first, rows of one label sort in the order of their columns.
        rows = labels if labels.ndim == 1 else labels[:, ::-1]
        _, first, group, sizes = np.unique(rows, axis=0, return_index=True, return_inverse=True, return_counts=True)
        group = group.reshape(-1)
        order = np.argsort(group, kind="stable")
        ones = np.add.reduceat(targets[order], np.cumsum(sizes) - sizes, axis=0, dtype=np.int64)
        made = cls((2 * ones >= sizes[:, None]).astype(np.uint8), labels[first])
        return made if logits is None else cls(made.codes, made.label_sets, fit_beta(logits, made, group))

    @property
    def exclusive(self) -> bool:
        """Whether a picture has one label alone."""
        return self.label_sets.ndim == 1 or bool((self.label_sets.sum(axis=1) == 1).all())

    def arrays(self) -> dict[str, np.ndarray]:
        """What `load` reads."""
        return dict(zip(CLASS_ARRAYS, (self.codes, self.label_sets, np.array(self.beta)), strict=True))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ClassCodes:
        """What `arrays` gave. Raises ValueError for what cannot be class codes."""
        codes, label_sets, beta = (arrays[name] for name in CLASS_ARRAYS)
        return cls(codes, label_sets, float(beta))

    @classmethod
    def load(cls, folder: Path, encoder: str | None = None) -> ClassCodes:
        """The class codes in a model's folder.

        Args:
            folder: where stage 2 left `codes.npz`.
            encoder: digest of the encoder that they must belong to; None for any.

        Raises:
            ArtifactError: there are none, or those of another encoder.
        """
        path = Path(folder) / artifacts.CODES
        if not path.exists():
            raise artifacts.ArtifactError(
                f"decided queries need class codes, but {artifacts.shown(path)} is missing; give the folder that "
                "hashlib-nb encoder wrote"
            )
        found = artifacts.read_npz(path, [*CLASS_ARRAYS, "encoder"])
        if encoder is not None and str(found["encoder"]) != encoder:
            raise artifacts.ArtifactError(
                f"{artifacts.shown(path)} has the class codes of another encoder than the one beside it; fit it anew"
            )
        try:
            return cls.from_arrays(found)
        except (ValueError, TypeError) as error:
            raise artifacts.ArtifactError(f"{artifacts.shown(path)} holds no class codes ({error})") from error


def posteriors(logits, classes: ClassCodes) -> np.ndarray:
    """Class posteriors p_c float64 [n, C]: softmax over c of beta * sum_j log P(T_jc | F_j).

    log P(T_jc | F_j) is T_jc F_j - log(1 + exp F_j), of which the second part is the same for every class.

    Raises:
        ValueError: logits that are no finite matrix of the codes' width.
    """
    logits = check_logits(logits, k=classes.codes.shape[1])
    return np.concatenate([softmax(classes.beta * scores, axis=1) for scores in _class_scores(logits, classes)])


def fit_beta(logits, classes: ClassCodes, group: np.ndarray) -> float:
    """The beta under which the rows' own classes are likeliest.

    Args:
        logits: float [n, k], of pictures that the network was not fitted to.
        classes: whose beta is not looked at.
        group: int [n], which class each row is of.
    """
    logits = check_logits(logits, k=classes.codes.shape[1])
    if len(logits) != len(group):
        raise ValueError(f"logits has {len(logits)} rows for {len(group)} labels; give one row a picture")
    scores = np.concatenate([*_class_scores(logits, classes)])
    rows = np.arange(len(scores))

    def loss(log_beta: float) -> float:
        return -log_softmax(np.exp(log_beta) * scores, axis=1)[rows, group].mean()

    found = minimize_scalar(loss, bounds=np.log(BETAS), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def _class_scores(logits: np.ndarray, classes: ClassCodes) -> Iterator[np.ndarray]:
    """sum_j T_jc F_j in float64, some rows at a time."""
    step, targets = max(1, ROWS // len(classes.codes)), classes.codes.T.astype(np.float64)
    for start in range(0, len(logits), step):
        yield logits[start : start + step].astype(np.float64) @ targets


def label_posteriors(class_posteriors: np.ndarray, classes: ClassCodes) -> np.ndarray:
    """P(label | x) float64 [n, m]: of one label a picture its class' posterior, of several the sum over label sets."""
    if classes.label_sets.ndim == 1:
        return class_posteriors
    return np.minimum(class_posteriors @ classes.label_sets.astype(np.float64), 1.0)


def decided_labels(posteriors) -> np.ndarray:
    """Labels uint8 {0,1} [n, m] that posteriors [n, m] come to: all above one half, or the likeliest where none is."""
    posteriors = check_posteriors(posteriors, exclusive=False)
    above = (posteriors > 0.5).astype(np.uint8)
    none = np.flatnonzero(~above.any(axis=1))
    above[none, posteriors[none].argmax(axis=1)] = 1
    return above


def decided_classes(logits, classes: ClassCodes) -> np.ndarray:
    """The class int64 [n] that each row's logits come to, all outputs taken together.

    With one label a picture it is the likeliest class. With several it is the label set that differs least from the
    labels that the row comes to (`decided_labels`), the likeliest of those that do.
    """
    return _decide(posteriors(logits, classes), classes)


def _decide(class_posteriors: np.ndarray, classes: ClassCodes) -> np.ndarray:
    if classes.exclusive:
        return class_posteriors.argmax(axis=1)
    labels = decided_labels(label_posteriors(class_posteriors, classes)).astype(np.float64)
    sets = classes.label_sets.astype(np.float64)
    step, found = max(1, ROWS // len(sets)), np.empty(len(labels), np.int64)
    for start in range(0, len(labels), step):
        rows = slice(start, start + step)
        differ = labels[rows].sum(axis=1)[:, None] + sets.sum(axis=1) - 2 * labels[rows] @ sets.T
        nearby = differ == differ.min(axis=1, keepdims=True)
        found[rows] = np.where(nearby, class_posteriors[rows], -1.0).argmax(axis=1)
    return found


def decide(logits, classes: ClassCodes, outputs: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
    """Codes of decided queries: of each row the code of its class, T_jc, whatever level a candidate asks at.

    Args:
        logits: float [n, k], of the queries, all outputs.
        classes: the class codes.
        outputs: int [p], the output of each candidate that codes are made of; all k outputs if None.

    Returns:
        uint8 {0,1} [n, p].

    Raises:
        ValueError: logits that are no finite matrix of the codes' width, or outputs outside it.
    """
    chosen = classes.codes
    if outputs is not None:
        chosen = chosen[:, _check_ids(outputs, chosen.shape[1], "outputs")]
    return chosen[decided_classes(logits, classes)]


def predict_classes(codes: np.ndarray, targets: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Number of the class whose target code is nearest to each code, the first of several that are equally near.

    Args:
        codes: {0,1} [n, k], of the pictures to classify.
        targets: {0,1} [n', k], target codes of the training pictures. A class has one; where its pictures have several
            (the literal codes), the majority of each bit.
        labels: {0,1} [n', m], of the training pictures, or class numbers int [n'].

    Returns:
        int64 [n]. With one label a picture it is the label's column; in general, a number for each distinct label set,
        or for each class in the order of their numbers.

    Raises:
        ValueError: codes and targets that are not 0/1 matrices of one width, or labels that do not fit.
    """
    codes, targets = check_codes(codes), check_codes(targets, "targets")
    if codes.shape[1] != targets.shape[1]:
        raise ValueError(f"codes has {codes.shape[1]} bits and targets {targets.shape[1]}; give equal lengths")
    return nearest(codes, ClassCodes.of(targets, labels).codes, 1).indices[:, 0]


def logits_of(posteriors, class_codes) -> np.ndarray:
    """Log odds float32 [n, k] that a picture's class is on the side 1 of each dichotomy: outputs of a class head.

    Candidate (j, t) of them is 1[sum_c p_c T_jc >= t]. Where a posterior leaves no doubt they are finite all the same.

    Args:
        posteriors: [n, C], rows that add up to 1.
        class_codes: {0,1} [C, k], T.

    Raises:
        ValueError: posteriors that are none or do not add up, or another number of classes.
    """
    posteriors, codes = check_posteriors(posteriors), check_codes(class_codes, "class_codes")
    if posteriors.shape[1] != len(codes):
        raise ValueError(f"class_codes has {len(codes)} rows for {posteriors.shape[1]} classes; give a code a class")
    one, zero = posteriors @ codes, posteriors @ (1 - codes)  # each from its own sum: 1 - one has no digits near 1
    smallest = np.finfo(np.float32).tiny
    return np.log(np.maximum(one, smallest) / np.maximum(zero, smallest)).astype(np.float32)


# Ceilings


def check_posteriors(values, name: str = "posteriors", *, exclusive: bool = True) -> np.ndarray:
    """Posteriors as float64 [n, m]; where one label excludes another, each row adds up to 1.

    Raises:
        ValueError: another shape, values outside 0..1, or rows that do not add up.
    """
    found = checks.array(values, name, "probabilities [n, classes]")
    if found.ndim != 2 or not found.size or found.dtype.kind not in "iuf" or not ((found >= 0) & (found <= 1)).all():
        raise ValueError(f"{name} is {checks.shown(found)}; give probabilities in 0..1, [n, classes]")
    sums = found.sum(axis=1, dtype=np.float64)
    if exclusive and (np.abs(sums - 1) > 1e-3).any():
        row = int(np.argmax(np.abs(sums - 1)))
        raise ValueError(f"{name} adds up to {sums[row]:.4f} in row {row}; give rows that add up to 1")
    return found.astype(np.float64)


def ceiling(
    query_posteriors,
    database_posteriors,
    query_labels,
    database_labels,
    *,
    exclusive: bool = True,
    top_n: int | None = None,
    ties: str = "expected",
) -> np.ndarray:
    """Average precision of ranking by P(relevant | query, picture), which no code of the same network need reach.

    Relevance is sum_c p_c(q) p_c(d) where one label excludes another, and else 1 - prod_c (1 - p_c(q) p_c(d)). With the
    query's labels decided first, `decided_labels`, it is the decided ceiling. It is a row to compare with and no bound:
    posteriors rank best only where they are calibrated.

    Scores are float64 and tie where they are equal. Memory: a block of queries times n; time: q sorts of n.

    Args:
        query_posteriors: [q, m].
        database_posteriors: [n, m].
        query_labels: {0,1} [q, m'], or class numbers int [q]; for measuring alone.
        database_labels: {0,1} [n, m'], or class numbers int [n].
        exclusive: whether a picture has one label alone.
        top_n: cut-off N; the whole database if None.
        ties: "expected", "pessimistic" or "optimistic", as in `metrics`.

    Returns:
        float64 [q]; NaN where the database holds no relevant item.

    Raises:
        ValueError: posteriors or labels that do not fit together.
    """
    sides = [check_posteriors(query_posteriors, "query_posteriors", exclusive=exclusive)]
    sides.append(check_posteriors(database_posteriors, "database_posteriors", exclusive=exclusive))
    labels = [check_labels(query_labels, "query_labels"), check_labels(database_labels, "database_labels")]
    if sides[0].shape[1] != sides[1].shape[1] or labels[0].shape[1:] != labels[1].shape[1:]:
        raise ValueError("queries and database have different numbers of labels; give both the same")
    for name, side, label in zip(("query", "database"), sides, labels, strict=True):
        if len(side) != len(label):
            raise ValueError(f"{name}_labels has {len(label)} rows for {len(side)} {name}_posteriors; give one a row")
    found = np.empty(len(sides[0]))
    step = max(1, ROWS // len(sides[1]))
    for start in range(0, len(found), step):
        rows = slice(start, start + step)
        scores = _relevance(sides[0][rows], sides[1], exclusive=exclusive)
        for i, score in enumerate(scores, start):
            relevant = labels[0][i] == labels[1] if labels[0].ndim == 1 else (labels[0][i] & labels[1]).any(axis=1)
            found[i] = _average_precision(score, relevant, top_n, ties)
    return found


def _relevance(query: np.ndarray, database: np.ndarray, *, exclusive: bool) -> np.ndarray:
    """P(relevant) [q, n], label by label: a matrix product can round equal rows differently, which then do not tie."""
    total = np.zeros((len(query), len(database))) if exclusive else np.ones((len(query), len(database)))
    for of_query, of_item in zip(query.T, database.T, strict=True):
        both = of_query[:, None] * of_item
        if exclusive:
            total += both
        else:
            total *= 1 - both
    return total if exclusive else 1 - total


def _average_precision(scores: np.ndarray, relevant: np.ndarray, top_n: int | None, ties: str) -> float:
    """AP of one ranking by scores [n], highest first, equal ones tied: a level for each score, as for a distance."""
    order = np.argsort(-scores)
    new = np.append(True, np.diff(scores[order]) != 0)
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(scores)))
    hits = np.add.reduceat(relevant[order].astype(np.int64), starts)
    return average_precision_from_histograms(counts[None], hits[None], top_n=top_n, ties=ties)[0]


def _asked(logits: np.ndarray, outputs: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    found = np.empty((len(logits), len(outputs)), np.uint8)
    step = max(1, ROWS // len(outputs))
    for start in range(0, len(logits), step):
        found[start : start + step] = logits[start : start + step, outputs] >= thresholds
    return found


def _check_ids(ids, most: int, name: str = "candidates") -> np.ndarray:
    found = checks.array(ids, name, f"whole numbers in 0..{most - 1}")
    inside = found.ndim == 1 and found.size and found.dtype.kind in "iu" and 0 <= found.min() <= found.max() < most
    if not inside:
        raise ValueError(f"{name} is {checks.shown(ids)}; give whole numbers in 0..{most - 1}, at least one")
    return found.astype(np.int64)
