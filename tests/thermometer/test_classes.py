"""Class posteriors, class codes and decided queries against their definitions, written out."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import artifacts, thermometer
from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.thermometer import ClassCodes, halves, predict_classes
from hashlib_nb.thermometer import classes as module
from tests.helpers import assert_same, stage_2

ARRAYS = stage_2()
LOGITS = ARRAYS["out_of_fold_logits"]
CLASSES = ClassCodes.from_arrays(ARRAYS)
TWO = np.eye(2, dtype=np.int8)


def softplus(x: float) -> float:
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


def log_likelihoods(row, classes: ClassCodes) -> list[float]:
    """sum_j log P(T_jc | F_j): log sigma(F) = -softplus(-F) where T is 1, log(1 - sigma(F)) = -softplus(F) else."""
    return [sum(-softplus(-f if t else f) for f, t in zip(row, code, strict=True)) for code in classes.codes.tolist()]


def defined_posteriors(logits, classes: ClassCodes) -> np.ndarray:
    weights = np.array([[classes.beta * each for each in log_likelihoods(row, classes)] for row in logits.tolist()])
    weights = np.exp(weights - weights.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


# --- posteriors -------------------------------------------------------------------------------------------------------


def test_posteriors_are_the_softmax_of_what_the_outputs_say_together():
    found = thermometer.posteriors(LOGITS, CLASSES)
    assert (found.shape, found.dtype) == ((60, 4), np.float64)
    np.testing.assert_allclose(found, defined_posteriors(LOGITS, CLASSES), rtol=1e-9)
    far = np.array([[500.0, -500.0] * 4, [3000.0] * 8], np.float32)
    np.testing.assert_allclose(thermometer.posteriors(far, CLASSES).sum(axis=1), 1)


def test_many_rows_are_done_block_by_block(monkeypatch):
    whole = thermometer.posteriors(LOGITS, CLASSES), thermometer.decide(LOGITS, CLASSES)
    monkeypatch.setattr(thermometer.classes, "ROWS", 30)
    np.testing.assert_allclose(thermometer.posteriors(LOGITS, CLASSES), whole[0], rtol=1e-12)
    np.testing.assert_array_equal(thermometer.decide(LOGITS, CLASSES), whole[1])


@pytest.mark.parametrize("seed", range(3))
def test_beta_is_where_the_rows_own_classes_are_likeliest(seed):
    arrays = stage_2(seed=seed, spread=4.0)
    classes, own = ClassCodes.from_arrays(arrays), arrays["train_labels"].argmax(axis=1)

    def likelihood(beta: float) -> float:
        posteriors = defined_posteriors(
            arrays["out_of_fold_logits"], ClassCodes(classes.codes, classes.label_sets, beta)
        )
        return np.log(posteriors[np.arange(60), own]).sum()

    best = likelihood(classes.beta)
    grid = [likelihood(beta) for beta in np.geomspace(1e-4, 10, 60)]
    assert best >= max(grid) - 1e-7
    assert best > grid[0] + 1  # and it is no flat line
    assert best > likelihood(classes.beta * 1.05) < best


def test_beta_is_fitted_to_label_sets_as_well():
    rng = np.random.default_rng(5)
    sets = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]], np.uint8)
    targets, group = rng.integers(0, 2, (3, 6), np.uint8), rng.integers(0, 3, 80)
    logits = rng.normal(2.0 * targets[group] - 1, 1.5)
    made = ClassCodes.of(targets[group], sets[group], logits)
    ours = [made.label_sets.tolist().index(sets[each].tolist()) for each in group]

    def likelihood(beta: float) -> float:
        posteriors = thermometer.posteriors(logits, ClassCodes(made.codes, made.label_sets, beta))
        return np.log(posteriors[np.arange(80), ours]).sum()

    assert likelihood(made.beta) >= max(map(likelihood, np.geomspace(1e-3, 10, 50))) - 1e-7


# --- codes of classes -------------------------------------------------------------------------------------------------


@given(data=st.data(), numbered=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_class_code_is_the_majority_of_its_pictures_codes(data, numbered):
    n, k, m = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4)), 1 if numbered else 2
    cell = st.integers(0, 1)
    targets = np.array(data.draw(st.lists(st.lists(cell, min_size=k, max_size=k), min_size=n, max_size=n)), np.uint8)
    number = st.integers(-2, 2) if numbered else cell
    labels = np.array(data.draw(st.lists(st.lists(number, min_size=m, max_size=m), min_size=n, max_size=n)))
    if numbered:
        labels = labels[:, 0]
    found = ClassCodes.of(targets, labels)
    assert sorted(map(repr, np.unique(labels, axis=0).tolist())) == sorted(map(repr, found.label_sets.tolist()))
    for code, label_set in zip(found.codes, found.label_sets, strict=True):
        own = [row for row, label in zip(targets.tolist(), labels.tolist(), strict=True) if label == label_set.tolist()]
        assert code.tolist() == [int(2 * sum(column) >= len(own)) for column in zip(*own, strict=True)]


def test_classes_of_one_label_are_numbered_as_its_columns():
    np.testing.assert_array_equal(CLASSES.label_sets, np.eye(4))
    np.testing.assert_array_equal(CLASSES.codes, ARRAYS["targets"][:4])
    assert CLASSES.exclusive
    assert ClassCodes(TWO, [5, 9]).exclusive
    assert not ClassCodes(TWO, [[1, 1], [0, 1]]).exclusive


def test_what_arrays_gives_is_read_again():
    assert_same(ClassCodes.from_arrays(CLASSES.arrays()), CLASSES)


@pytest.fixture
def folder(tmp_path):
    artifacts.save_npz(tmp_path / "codes.npz", ARRAYS | {"encoder": np.array("abc")})
    return tmp_path


def test_class_codes_lie_in_the_models_folder(folder):
    assert_same(ClassCodes.load(folder), CLASSES)
    assert_same(ClassCodes.load(folder, "abc"), CLASSES)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (None, "decided queries need class codes, but .*codes.npz is missing; give the folder"),
        ({"encoder": np.array("other")}, "has the class codes of another encoder than the one beside it"),
        ({"beta": None}, "codes.npz lacks beta"),
        ({"beta": np.array(-1.0)}, r"holds no class codes \(beta is -1\.0; give a finite number above 0\)"),
        ({"beta": np.ones(2)}, r"holds no class codes \(beta is float64 \[2\]"),
        ({"beta": np.array("x")}, r"holds no class codes \(beta is 'x'"),
        ({"class_codes": CLASSES.codes * 2}, r"holds no class codes \(codes has values from 0 to 2"),
        ({"class_codes": CLASSES.codes[1:]}, "holds no class codes .*give a different set for each of 3"),
        ({"class_labels": np.ones((4, 4), np.uint8)}, "holds no class codes .*give a different set for each of 4"),
    ],
)
def test_class_codes_that_are_none_get_a_sentence(folder, changes, sentence):
    arrays = ARRAYS | {"encoder": np.array("abc")} | (changes or {})
    artifacts.save_npz(folder / "codes.npz", {name: each for name, each in arrays.items() if each is not None})
    if changes is None:
        (folder / "codes.npz").unlink()
    with pytest.raises(ArtifactError, match=sentence) as refused:
        ClassCodes.load(folder, "abc")
    assert "\n" not in str(refused.value)


# --- decided queries --------------------------------------------------------------------------------------------------


def test_a_decided_query_has_the_code_of_its_likeliest_class_by_all_outputs():
    likeliest = [int(np.argmax(log_likelihoods(row, CLASSES))) for row in LOGITS.tolist()]
    np.testing.assert_array_equal(thermometer.decided_classes(LOGITS, CLASSES), likeliest)
    np.testing.assert_array_equal(thermometer.decide(LOGITS, CLASSES), CLASSES.codes[likeliest], strict=True)
    outputs = [3, 3, 0]
    expected = CLASSES.codes[likeliest][:, outputs]
    np.testing.assert_array_equal(thermometer.decide(LOGITS, CLASSES, outputs), expected)
    by_few = thermometer.decided_classes(LOGITS[:, :2], ClassCodes(CLASSES.codes[:, :2], CLASSES.label_sets))
    assert (by_few != likeliest).any()  # two outputs alone decide otherwise


def decided_by_loops(posteriors: np.ndarray, sets: np.ndarray) -> int:
    """All labels above one half, or the likeliest; then the label set that differs least, the likeliest of several."""
    labels = [min(1.0, sum(p * s[m] for p, s in zip(posteriors, sets, strict=True))) for m in range(sets.shape[1])]
    wanted = [int(each > 0.5) for each in labels]
    if not any(wanted):
        wanted[int(np.argmax(labels))] = 1
    differ = [sum(int(a != b) for a, b in zip(wanted, each, strict=True)) for each in sets.tolist()]
    nearest = [c for c, each in enumerate(differ) if each == min(differ)]
    return max(nearest, key=lambda c: posteriors[c])


@pytest.mark.parametrize("seed", range(4))
def test_of_several_labels_all_above_one_half_are_decided(seed):
    rng = np.random.default_rng(seed)
    sets = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 1, 1]], np.uint8)
    classes = ClassCodes(rng.integers(0, 2, (5, 6), np.uint8), sets, 0.4)
    logits = rng.normal(0, 2, (200, 6)).astype(np.float32)
    posteriors = thermometer.posteriors(logits, classes)
    expected = [decided_by_loops(row, sets) for row in posteriors]
    np.testing.assert_array_equal(thermometer.decided_classes(logits, classes), expected)
    assert (posteriors.argmax(axis=1) != expected).any()  # the likeliest label set is another rule
    np.testing.assert_array_equal(thermometer.decide(logits, classes, [5, 1]), classes.codes[expected][:, [5, 1]])


def test_equally_near_label_sets_go_by_their_likelihood():
    classes = ClassCodes([[1, 0], [0, 1], [0, 0]], [[1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1]])
    for logits, expected in (([0.3, 0.2], 0), ([0.2, 0.3], 1)):  # label 1 alone is decided: one off from each
        labels = thermometer.label_posteriors(thermometer.posteriors(np.array([logits]), classes), classes)
        assert thermometer.decided_labels(labels).tolist() == [[0, 1, 0, 0]]
        assert thermometer.decided_classes(np.array([logits]), classes).tolist() == [expected]


def test_decided_labels_by_hand():
    posteriors = np.array([[0.6, 0.7, 0.1], [0.3, 0.4, 0.2], [0.5, 0.5, 0.1], [0.0, 0.0, 0.0]])
    found = thermometer.decided_labels(posteriors)
    np.testing.assert_array_equal(found, [[1, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]])


def test_label_posteriors_add_up_those_of_the_label_sets():
    classes = ClassCodes([[1, 0], [0, 1], [1, 1]], [[1, 1], [0, 1], [1, 0]])
    found = thermometer.label_posteriors(np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]), classes)
    np.testing.assert_allclose(found, [[0.5, 0.7], [1, 1]])
    numbered = ClassCodes(classes.codes, [4, 9, 7])
    np.testing.assert_array_equal(thermometer.label_posteriors(found, numbered), found)


# --- the class of a code ----------------------------------------------------------------------------------------------


def test_nearest_target_wins_and_the_first_class_of_several():
    labels = np.eye(3, dtype=np.uint8)[[2, 0, 1, 2]]
    targets = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=np.uint8)
    codes = np.array([[0, 1, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=np.uint8)
    assert predict_classes(codes, targets, labels).tolist() == [1, 0, 2]


def test_label_sets_are_numbered_by_their_first_concepts():
    labels = np.array([[0, 1], [1, 1], [1, 0]], dtype=np.uint8)
    targets = np.array([[1, 1], [0, 1], [0, 0]], dtype=np.uint8)
    assert predict_classes(targets, targets, labels).tolist() == [1, 2, 0]


def test_a_class_whose_pictures_have_several_targets_is_their_majority():
    targets = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 1]], dtype=np.uint8)
    labels = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.uint8)
    predicted = predict_classes(np.array([[1, 1, 0], [0, 0, 1]], dtype=np.uint8), targets, labels)
    assert predicted.tolist() == [0, 1]


def test_class_numbers_are_predicted_as_their_one_hot_rows():
    rng = np.random.default_rng(0)
    classes, targets = rng.permutation(np.arange(60) % 7), rng.integers(0, 2, (60, 5), dtype=np.uint8)
    codes = rng.integers(0, 2, (30, 5), dtype=np.uint8)
    expected = predict_classes(codes, targets, np.eye(7, dtype=np.uint8)[classes])
    numbers = np.array([-9, 0, 1, 5, 77, 10**6, 10**12])[classes]
    np.testing.assert_array_equal(predict_classes(codes, targets, numbers), expected)


# --- outputs of a class head ------------------------------------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_bits_of_posteriors_ask_the_sum_on_one_side(data):
    counts = data.draw(st.lists(st.integers(0, 40), min_size=4, max_size=4).filter(any))
    sides = np.array(data.draw(st.lists(st.lists(st.integers(0, 1), min_size=3, max_size=3), min_size=4, max_size=4)))
    posteriors = np.array([counts]) / sum(counts)
    logits = thermometer.logits_of(posteriors, sides)
    assert (logits.shape, logits.dtype) == ((1, 3), np.float32)
    assert np.isfinite(logits).all()
    levels = (0.02, 0.1234567, 0.5, 0.7654321)  # but for one half, no sum of whole counts comes near
    ones = [sum(c for c, side in zip(counts, column, strict=True) if side) for column in sides.T]
    expected = [int(2 * one >= sum(counts) if t == 0.5 else one / sum(counts) >= t) for one in ones for t in levels]
    exact = sum(counts) & (sum(counts) - 1) == 0  # posteriors of a power of two add up without rounding
    for one, t in ((one, t) for one in ones for t in levels):
        if abs(one / sum(counts) - t) < 1e-5 and not (exact and t == 0.5):
            return  # floats may say either
    np.testing.assert_array_equal(thermometer.bits(logits, levels), [expected])


def test_a_posterior_without_a_doubt_is_finite_and_passes_every_level():
    sides = np.array([[1, 0], [0, 1], [0, 0]])
    logits = thermometer.logits_of(np.array([[1.0, 0.0, 0.0], [1 - 1e-12, 1e-12, 0.0]]), sides)
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(thermometer.bits(logits)[0], np.repeat([1, 0], len(thermometer.LEVELS)))
    np.testing.assert_allclose(logits[1, 0], np.log((1 - 1e-12) / 1e-12), rtol=1e-6)  # digits near 1 are kept


@pytest.mark.parametrize(("n_classes", "k"), [(2, 5), (3, 9), (4, 9), (5, 64), (10, 64), (11, 7), (1000, 40)])
def test_halves_are_even_and_neither_equal_nor_opposite(n_classes, k):
    found = halves(n_classes, k, 3)
    there = sum(1 for _ in combinations(range(n_classes), n_classes // 2)) if n_classes < 12 else 10**9
    assert found.shape == (n_classes, min(k, there // (2 - n_classes % 2)))
    assert (found.sum(axis=0) == n_classes // 2).all()
    columns = [tuple(column) for column in found.T.tolist()]
    assert len({*columns} | {tuple(1 - bit for bit in column) for column in columns}) == 2 * len(columns)
    np.testing.assert_array_equal(halves(n_classes, k, 3), found)
    assert n_classes < 10 or not np.array_equal(halves(n_classes, k, 4), found)


# --- bad input --------------------------------------------------------------------------------------------------------

POSTERIORS = np.array([[0.5, 0.5], [0.25, 0.75]])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: predict_classes(TWO, 2 * TWO - 1, TWO), "targets has values from -1 to 1; map -1/"),
        (lambda: predict_classes(TWO, TWO[:1], TWO), "labels has 2 rows for 1 targets"),
        (lambda: predict_classes(TWO[:, :1], TWO, TWO), "codes has 1 bits and targets 2"),
        (lambda: ClassCodes(TWO, [1, 1]), r"label_sets is int64 \[2\]; give a different set for each of 2"),
        (lambda: ClassCodes(TWO, [1, 2, 3]), "label_sets is .*; give a different set for each of 2"),
        (lambda: ClassCodes(TWO, [1, 2], 0), "beta is 0; give a finite number above 0"),
        (lambda: ClassCodes(TWO, [1, 2], math.nan), "beta is nan; give a finite number above 0"),
        (lambda: ClassCodes.of(TWO, TWO, LOGITS[:3, :2]), "logits has 3 rows for 2 labels; give one row a picture"),
        (lambda: ClassCodes.of(TWO, TWO, LOGITS), r"logits is float32 \[60, 8\]; give float \[n, 2\]"),
        (lambda: thermometer.posteriors(LOGITS[:, :3], CLASSES), r"logits is float32 \[60, 3\]; give float \[n, 8\]"),
        (lambda: thermometer.posteriors(LOGITS * np.nan, CLASSES), "logits has values that are NaN"),
        (lambda: thermometer.decide(LOGITS, CLASSES, [8]), r"outputs is \[8\]; give whole numbers in 0\.\.7"),
        (lambda: thermometer.decided_labels([[0.5, 1.5]]), r"posteriors is float64 \[1, 2\]; give probabilities"),
        (lambda: thermometer.decided_labels([[0.5, math.nan]]), "posteriors is .*; give probabilities in 0"),
        (lambda: thermometer.logits_of(POSTERIORS * 0.9, TWO), r"posteriors adds up to 0\.9000 in row 0; give rows"),
        (lambda: thermometer.logits_of(POSTERIORS, TWO[:1]), "class_codes has 1 rows for 2 classes; give a code a"),
        (lambda: thermometer.logits_of(POSTERIORS, TWO * 3), "class_codes has values from 0 to 3"),
        (lambda: thermometer.logits_of(None, TWO), "posteriors is None; give probabilities"),
        (lambda: halves(1, 4), r"n_classes is 1; give a whole number in 2\.\."),
        (lambda: halves(4, 0), r"k is 0; give a whole number in 1\.\."),
        (lambda: halves(4, 4, -1), "seed is -1; give a whole number from 0"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_blocks_of_rows_change_nothing_and_hold_no_more_than_they_may(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (40, 5), np.uint8)
    labels[:, 0] |= ~labels.any(axis=1)
    classes = ClassCodes.of(rng.integers(0, 2, (40, 9), np.uint8), labels)
    logits = rng.normal(0, 3, (50, 9)).astype(np.float32)
    whole = thermometer.label_posteriors(thermometer.posteriors(logits, classes), classes)
    decided = thermometer.decided_classes(logits, classes)
    held = []
    softmax = module.softmax
    monkeypatch.setattr(module, "softmax", lambda scores, axis: held.append(scores.size) or softmax(scores, axis=axis))
    monkeypatch.setattr(module, "ROWS", 3 * len(classes.codes))
    np.testing.assert_allclose(thermometer.label_posteriors_of(logits, classes), whole, rtol=1e-12)
    np.testing.assert_array_equal(thermometer.decided_classes(logits, classes), decided)
    assert len(held) == 2 * math.ceil(50 / 3)
    assert max(held) <= module.ROWS
