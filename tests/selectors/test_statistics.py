"""Bit statistics against scikit-learn and against loops over pairs of rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from hashlib_nb.hamming import Pairs
from hashlib_nb.selectors import binary_entropy, bit_information, label_information, label_smoothness

RNG = np.random.default_rng(0)
CODES = (RNG.random((90, 7)) < [0.1, 0.5, 0.5, 0.7, 0.3, 0.0, 1.0]).astype(np.uint8)  # two constant bits
CODES[:, 4] = CODES[:, 1]
LABELS = (RNG.random((90, 3)) < 0.4).astype(np.uint8)


def test_binary_entropy():
    np.testing.assert_allclose(binary_entropy(np.array([0.0, 1.0, 0.5])), [0, 0, np.log(2)])
    assert binary_entropy(np.array(0.2)) == pytest.approx(-0.2 * np.log(0.2) - 0.8 * np.log(0.8))


def test_bit_information_is_scikit_learns():
    expected = [[mutual_info_score(a, b) for a in CODES.T] for b in CODES.T]
    np.testing.assert_allclose(bit_information(CODES), expected, atol=1e-12)
    np.testing.assert_allclose(np.diag(bit_information(CODES)), binary_entropy(CODES.mean(axis=0)), atol=1e-12)


def test_label_information_is_scikit_learns():
    classes = RNG.integers(0, 5, 90)
    expected = [mutual_info_score(classes, bit) for bit in CODES.T]
    np.testing.assert_allclose(label_information(CODES, np.eye(5, dtype=np.uint8)[classes]), expected, atol=1e-12)
    numbers = label_information(CODES, np.array([-3, 0, 2, 50, 10**9])[classes])
    np.testing.assert_array_equal(numbers, label_information(CODES, np.eye(5, dtype=np.uint8)[classes]))
    label_sets = [str(row) for row in LABELS.tolist()]
    expected = [mutual_info_score(label_sets, bit) for bit in CODES.T]
    np.testing.assert_allclose(label_information(CODES, LABELS), expected, atol=1e-12)


@pytest.mark.parametrize("leave_one_out", [True, False])
def test_label_smoothness_is_a_loop_over_pairs(leave_one_out):
    rows = range(len(CODES)) if leave_one_out else range(30)
    database = range(len(CODES)) if leave_one_out else range(30, 90)
    pairs = [(i, j) for i, j in itertools.product(rows, database) if i != j]
    relevant = [(i, j) for i, j in pairs if (LABELS[i] & LABELS[j]).any()]
    apart = np.mean([CODES[i] != CODES[j] for i, j in pairs], axis=0)
    within = np.mean([CODES[i] != CODES[j] for i, j in relevant], axis=0)
    expected = np.divide(within, apart, out=np.ones(7), where=apart > 0)
    sets = [CODES[list(part)] for part in (rows, database)] + [LABELS[list(part)] for part in (rows, database)]
    found = label_smoothness(Pairs(*sets, leave_one_out=leave_one_out))
    np.testing.assert_allclose(found, expected)
    assert (found[5:] == 1).all()


def test_a_bit_that_is_a_class_is_perfectly_smooth():
    labels = np.eye(2, dtype=np.uint8)[np.arange(20) % 2]
    pairs = Pairs(labels, labels, labels, labels, leave_one_out=True)
    np.testing.assert_array_equal(label_smoothness(pairs), [0.0, 0.0])


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: bit_information(2.0 * CODES - 1), "codes is float64; expected 0/1"),
        (lambda: bit_information(2 * CODES.astype(int) - 1), "codes has values from -1 to 1; map -1/"),
        (lambda: label_information(CODES, LABELS[:5]), "labels has 5 rows for 90 codes"),
        (lambda: binary_entropy(np.array([0.5, 1.5])), r"probability is float64 \[2\]; give probabilities"),
        (lambda: binary_entropy(np.nan), r"probability is nan; give probabilities in 0\.\.1"),
    ],
)
def test_bad_arguments_get_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
