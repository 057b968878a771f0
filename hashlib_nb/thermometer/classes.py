"""What logits say about a picture's class: posteriors, decided queries, and codes of the classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import log_softmax, softmax

from hashlib_nb import artifacts, checks
from hashlib_nb.hamming import MAX_BITS, check_codes, check_labels, nearest
from hashlib_nb.thermometer.levels import ROWS, check_ids, check_logits

CLASS_ARRAYS = ("class_codes", "class_labels", "beta")
"""Names of the class codes in `codes.npz`."""
MAX_CLASSES = 1 << 20
"""Most classes that `halves` splits."""
BETAS = (1e-4, 10.0)
"""Where `fit_beta` looks: the measured one for 64 outputs is about 1/24."""


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
        object.__setattr__(self, "beta", float(checks.finite(self.beta, "beta", above=0)))
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
        return cls(*(arrays[name] for name in CLASS_ARRAYS))

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
        except ValueError as error:
            raise artifacts.ArtifactError(f"{artifacts.shown(path)} holds no class codes ({error})") from error


def unseen(arrays: Mapping[str, np.ndarray], what: str = "logits") -> np.ndarray:
    """Of the training pictures, what of `codes.npz` is least from an encoder that was fitted to them.

    Out of fold; where there is none, of augmented views; else from the encoder that was fitted to them, which is too
    sure, and so is what is fitted to it.
    """
    names = [f"{part}_{what}" for part in ("out_of_fold", "view", "train")]
    return next(arrays[name] for name in names if len(arrays.get(name, ())))


def posteriors(logits, classes: ClassCodes) -> np.ndarray:
    """Class posteriors p_c float64 [n, C]: softmax over c of beta * sum_j log P(T_jc | F_j).

    log P(T_jc | F_j) is T_jc F_j - log(1 + exp F_j), of which the second part is the same for every class.

    Raises:
        ValueError: logits that are no finite matrix of the codes' width.
    """
    return np.concatenate([*_posterior_blocks(logits, classes)])


def _posterior_blocks(logits, classes: ClassCodes) -> Iterator[np.ndarray]:
    """`posteriors` of some rows at a time: label sets are thousands, and a database has a hundred thousand rows."""
    for scores in _class_scores(check_logits(logits, k=classes.codes.shape[1]), classes):
        yield softmax(classes.beta * scores, axis=1)


def fit_beta(logits, classes: ClassCodes, group: np.ndarray) -> float:
    """The beta under which the rows' own classes are likeliest.

    Args:
        logits: float [n, k], of pictures that the network was not fitted to.
        classes: whose beta is not looked at.
        group: int [n], which class each row is of.
    """
    from scipy.optimize import minimize_scalar  # here, since its import takes longer than a search

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


def label_posteriors_of(logits, classes: ClassCodes) -> np.ndarray:
    """`label_posteriors` of logits [n, k], without all class posteriors in memory at once; errors as there."""
    return np.concatenate([label_posteriors(block, classes) for block in _posterior_blocks(logits, classes)])


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
    return np.concatenate([_decide(block, classes) for block in _posterior_blocks(logits, classes)])


def _decide(class_posteriors: np.ndarray, classes: ClassCodes) -> np.ndarray:
    if classes.exclusive:
        return class_posteriors.argmax(axis=1)
    labels = decided_labels(label_posteriors(class_posteriors, classes)).astype(np.float64)
    sets = classes.label_sets.astype(np.float64)
    differ = labels.sum(axis=1)[:, None] + sets.sum(axis=1) - 2 * labels @ sets.T
    nearby = differ == differ.min(axis=1, keepdims=True)
    return np.where(nearby, class_posteriors, -1.0).argmax(axis=1)


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
    logits = check_logits(logits, k=chosen.shape[1])
    if outputs is not None:
        chosen = chosen[:, check_ids(outputs, chosen.shape[1], "outputs")]
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


def halves(n_classes: int, k: int, seed: int = 0) -> np.ndarray:
    """Random dichotomies of classes: one half of them, as even as may be, against the other.

    Args:
        n_classes: C, at least 2.
        k: how many; fewer where there are no more, since no two of them are equal or opposite.
        seed: of the draw.

    Returns:
        uint8 {0,1} [C, k or fewer], which side each class is on.

    Raises:
        ValueError: numbers out of range, or no seed.
    """
    n_classes = checks.count(n_classes, "n_classes", least=2, most=MAX_CLASSES)
    k = checks.count(k, "k", most=MAX_BITS)
    half = (np.arange(n_classes) < n_classes // 2).astype(np.uint8)
    there = math.comb(n_classes, n_classes // 2) // (1 if n_classes % 2 else 2)  # an odd half's other side is larger
    rng, found = np.random.default_rng(checks.seed(seed)), {}
    while len(found) < min(k, there):
        drawn = rng.permutation(half)
        found.setdefault((drawn ^ drawn[0]).tobytes(), drawn)
    return np.stack([*found.values()], axis=1)


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
