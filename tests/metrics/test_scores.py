"""Levels of equal scores against counting by hand, and against Hamming distances."""

from __future__ import annotations

import numpy as np
import pytest

from hashlib_nb import hamming, metrics


def test_levels_of_a_ranking_by_hand():
    levels = metrics.Levels.of(np.array([0.5, 2.0, 0.5, -1.0, 2.0, 0.5]))
    assert [sorted(part) for part in np.split(levels.order, levels.starts[1:])] == [[1, 4], [0, 2, 5], [3]]
    assert levels.counts.tolist() == [2, 3, 1]
    assert levels.hits(np.array([True, False, True, True, True, False])).tolist() == [1, 2, 1]


def test_levels_of_falling_distances_are_the_histogram_of_a_code():
    rng = np.random.default_rng(0)
    query, database = rng.integers(0, 2, (1, 9), np.uint8), rng.integers(0, 2, (60, 9), np.uint8)
    labels = rng.integers(0, 2, (61, 3), np.uint8)
    found = hamming.histograms(query, database, labels[:1], labels[1:])
    levels = metrics.Levels.of(-hamming.distances(query, database)[0].astype(float))
    there = found.counts[0] > 0
    np.testing.assert_array_equal(levels.counts, found.counts[0][there])
    hits = levels.hits(metrics.relevant(labels[0], labels[1:]))
    np.testing.assert_array_equal(hits, found.relevant[0][there])


@pytest.mark.parametrize("label", [0, 2])
def test_class_numbers_are_relevant_as_their_one_hot_rows_are(label):
    classes, one_hot = np.array([0, 2, 1, 2]), np.eye(3, dtype=np.uint8)
    by_number = metrics.relevant(np.int64(label), classes)
    np.testing.assert_array_equal(metrics.relevant(one_hot[label], one_hot[classes]), by_number)
    np.testing.assert_array_equal(by_number, classes == label)
