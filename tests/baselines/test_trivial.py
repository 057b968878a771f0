"""Codes that anybody could have without learning: what they are, and what they need not be told."""

from __future__ import annotations

import numpy as np
import pytest

from hashlib_nb import baselines, metrics


def test_random_codes_follow_their_seed():
    codes = baselines.random_codes(400, 50, 1)
    np.testing.assert_array_equal(codes, baselines.random_codes(400, 50, 1))
    assert (codes != baselines.random_codes(400, 50, 2)).any()
    assert set(np.unique(codes)) == {0, 1}
    assert abs(codes.mean() - 0.5) < 0.02  # more than five standard errors


@pytest.mark.parametrize(("n_classes", "width"), [(1, 1), (2, 1), (10, 4), (16, 4), (17, 5)])
def test_class_index_codes_name_each_class_once(n_classes, width):
    codes = baselines.class_index_codes(np.arange(n_classes), n_classes)
    assert codes.shape == (n_classes, width)
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes @ (1 << np.arange(width)), np.arange(n_classes))


def test_a_perfect_classifier_retrieves_perfectly():
    classes = np.random.default_rng(0).integers(0, 10, 80)
    codes, labels = baselines.class_index_codes(classes, 10), np.eye(10, dtype=np.uint8)[classes]
    assert metrics.mean_average_precision(codes, codes, labels, labels) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: baselines.class_index_codes([0, 3], 3), r"classes runs from 0 to 3; n_classes=3 asks for 0\.\.2"),
        (lambda: baselines.class_index_codes(np.eye(3, dtype=int), 3), "classes is int64 .*argmax"),
        (lambda: baselines.class_index_codes([0, 1], 2.5), r"n_classes is 2\.5; give a whole number of at least 1"),
        (lambda: baselines.class_index_codes(None, 2), "classes is None; give one integer per item"),
        (lambda: baselines.random_codes(4, 10**9, 0), r"k is 1000000000; give a whole number in 1\.\.65535"),
        (lambda: baselines.random_codes(0, 4, 0), r"n is 0; give a whole number in 1\.\.\d+ \(what fits into 4 GB\)"),
        (lambda: baselines.random_codes(4, 4, -1), "seed is -1; give a whole number from 0"),
    ],
)
def test_bad_arguments_get_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
