"""Ranking by posteriors against a brute force over every order that equal scores may stand in."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import metrics, thermometer
from hashlib_nb.thermometer import ceiling, ceiling_bracket


def relevance(query, item, exclusive: bool) -> float:
    """P(a label is shared): sum_c p_c(q) p_c(d), or the noisy-or of the labels."""
    if exclusive:
        return sum(p * q for p, q in zip(query, item, strict=True))
    missed = 1.0
    for p, q in zip(query, item, strict=True):
        missed *= 1 - p * q
    return 1 - missed


def average_precision(order, relevant, top_n: int | None) -> float:
    """Of one ranking, over min(R, N)."""
    hits, total = 0, 0.0
    for rank, item in enumerate(order[:top_n], 1):
        if relevant[item]:
            hits += 1
            total += hits / rank
    return total / min(sum(relevant), top_n or len(order))


def brute_force(scores, relevant, top_n: int | None, ties: str) -> float:
    if not any(relevant):
        return np.nan
    groups = [[i for i, score in enumerate(scores) if score == level] for level in sorted({*scores}, reverse=True)]
    orders = itertools.product(*map(itertools.permutations, groups))
    found = [average_precision([*itertools.chain(*order)], relevant, top_n) for order in orders]
    return {"expected": np.mean, "pessimistic": min, "optimistic": max}[ties](found)


QUARTERS = [[4, 0, 0], [0, 4, 0], [0, 0, 4], [2, 2, 0], [2, 1, 1], [1, 2, 1], [0, 2, 2], [1, 3, 0]]
"""Posteriors in quarters, whose products are exact."""


@given(data=st.data(), exclusive=st.booleans(), ties=st.sampled_from(metrics.TIES))
@settings(max_examples=60, deadline=None)
def test_a_ceiling_is_the_average_precision_of_every_order_of_ties(data, exclusive, ties):
    rows = st.sampled_from(QUARTERS) if exclusive else st.lists(st.sampled_from([0, 1, 2, 4]), min_size=3, max_size=3)
    n = data.draw(st.integers(1, 6))
    query = np.array(data.draw(st.lists(rows, min_size=2, max_size=2))) / 4
    database = np.array(data.draw(st.lists(rows, min_size=n, max_size=n))) / 4
    some = st.sampled_from([*np.eye(3, dtype=np.uint8).tolist(), [1, 1, 0]])
    labels = [np.array(data.draw(st.lists(some, min_size=each, max_size=each))) for each in (2, n)]
    top_n = data.draw(st.sampled_from([None, 1, 2, n, n + 3]))
    found = ceiling(query, database, *labels, exclusive=exclusive, top_n=top_n, ties=ties)
    assert found.dtype == np.float64
    for value, row, label in zip(found, query.tolist(), labels[0], strict=True):
        scores = [relevance(row, item, exclusive) for item in database.tolist()]
        relevant = (label & labels[1]).any(axis=1).tolist()
        np.testing.assert_allclose(value, brute_force(scores, relevant, top_n, ties), rtol=1e-12)


RNG = np.random.default_rng(0)
QUERY, DATABASE = RNG.dirichlet(np.ones(4), 30), RNG.dirichlet(np.ones(4), 200)
CLASSES = (RNG.integers(0, 4, 30), RNG.integers(0, 4, 200))
ONE_HOT = tuple(np.eye(4, dtype=np.uint8)[each] for each in CLASSES)


def test_class_numbers_are_measured_as_their_one_hot_rows():
    numbers = [np.array([7, -1, 10**9, 3])[each] for each in CLASSES]
    np.testing.assert_array_equal(ceiling(QUERY, DATABASE, *numbers), ceiling(QUERY, DATABASE, *ONE_HOT))


def test_a_decided_ceiling_ranks_by_the_posterior_of_the_queries_class():
    decided = thermometer.decided_labels(QUERY)
    found = ceiling(decided, DATABASE, *ONE_HOT)
    for value, of_class, own in zip(found, QUERY.argmax(axis=1), CLASSES[0], strict=True):
        order = np.argsort(-DATABASE[:, of_class])
        assert value == pytest.approx(average_precision(order, (CLASSES[1] == own).tolist(), None))


def test_codes_of_certain_posteriors_reach_the_ceiling():
    """Posteriors of 0 and 1 rank as the class' number does as a code: two levels, ties at their expectation."""
    sure = [np.eye(4)[(each + (np.arange(len(each)) % 5 == 0)) % 4] for each in CLASSES]
    codes = [side.astype(np.uint8) for side in sure]
    expected = metrics.mean_average_precision(*codes, *ONE_HOT)
    assert ceiling(*sure, *ONE_HOT).mean() == pytest.approx(expected, abs=1e-12)


def test_the_order_of_rows_changes_no_ceiling():
    order = RNG.permutation(200)
    twice = np.repeat(DATABASE[:20], 10, axis=0)  # many equal rows
    np.testing.assert_allclose(
        ceiling(QUERY, twice[order], ONE_HOT[0], ONE_HOT[1][order]), ceiling(QUERY, twice, *ONE_HOT), rtol=1e-12
    )


@given(data=st.data(), exclusive=st.booleans(), as_numbers=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_bracket_is_three_ceilings_from_one_sort(data, exclusive, as_numbers):
    """To the last bit, also where several queries share their posteriors and scores tie."""
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    q, n = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 40))
    sides = [draw.dirichlet(np.ones(3), rows).round(data.draw(st.sampled_from([1, 12]))) for rows in (q, n)]
    sides = [side / side.sum(axis=1, keepdims=True) for side in sides]
    sides[0] = sides[0][draw.integers(0, q, q)]
    labels = [draw.integers(0, 3, rows) for rows in (q, n)]
    if not as_numbers:
        labels = [np.eye(3, dtype=np.uint8)[each] | (draw.random((len(each), 3)) < 0.2) for each in labels]
    asked = {"exclusive": exclusive, "top_n": data.draw(st.sampled_from([None, 1, 5]))}
    found = ceiling_bracket(*sides, *labels, **asked)
    assert [*found] == [*metrics.TIES]
    for name, values in found.items():
        np.testing.assert_array_equal(values, ceiling(*sides, *labels, ties=name, **asked))
        apart = [ceiling(sides[0][[i]], sides[1], labels[0][[i]], labels[1], ties=name, **asked)[0] for i in range(q)]
        np.testing.assert_array_equal(values, apart)


def test_queries_of_equal_posteriors_are_sorted_once(monkeypatch):
    sorts, argsort = [], np.argsort
    monkeypatch.setattr(np, "argsort", lambda *args, **kwargs: sorts.append(len(args[0])) or argsort(*args, **kwargs))
    ceiling_bracket(thermometer.decided_labels(QUERY), DATABASE, *ONE_HOT)
    assert sorts.count(len(DATABASE)) == len(np.unique(QUERY.argmax(axis=1)))


def test_a_query_without_a_relevant_picture_has_none():
    found = ceiling(QUERY[:2], DATABASE, [9, 0], np.zeros(200, int))
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(1)


def test_memory_is_bounded_by_a_block_and_blocks_change_nothing(monkeypatch):
    query, database = RNG.dirichlet(np.ones(3), 400), RNG.dirichlet(np.ones(3), 5000)
    labels = [side.argmax(axis=1) for side in (query, database)]
    whole = ceiling(query, database, *labels)
    monkeypatch.setattr(thermometer.ceilings, "ROWS", 1 << 15)
    tracemalloc.start()
    try:
        found = ceiling(query, database, *labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, whole)
    assert peak < 3e6 < 8 * 400 * 5000  # the matrix of all scores has 16 MB


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: ceiling(QUERY * 0.5, DATABASE, *ONE_HOT),
            r"query_posteriors adds up to 0\.5000 in row \d+; give rows",
        ),
        (lambda: ceiling(QUERY, DATABASE * 2, *ONE_HOT, exclusive=False), "database_posteriors is .*; give probabil"),
        (lambda: ceiling(QUERY[0], DATABASE, *ONE_HOT), r"query_posteriors is float64 \[4\]; give probabilities in 0"),
        (lambda: ceiling(QUERY, DATABASE[:, :0], *ONE_HOT), r"database_posteriors is float64 \[200, 0\]; give"),
        (lambda: ceiling(np.eye(3), DATABASE, np.eye(3, dtype=int), ONE_HOT[1]), "have different numbers of labels"),
        (lambda: ceiling(QUERY, DATABASE, CLASSES[0], ONE_HOT[1]), "have different numbers of labels"),
        (lambda: ceiling(QUERY, DATABASE, ONE_HOT[0][1:], ONE_HOT[1]), "query_labels has 29 rows for 30 query_posteri"),
        (lambda: ceiling(QUERY, DATABASE, ONE_HOT[0], ONE_HOT[1] * 2), "database_labels has values from 0 to 2"),
        (lambda: ceiling(QUERY, DATABASE, *ONE_HOT, top_n=0), "top_n is 0; give a whole number"),
        (lambda: ceiling(QUERY, DATABASE, *ONE_HOT, ties="any"), 'ties is "any"; choose one of expected'),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        call()
    assert "\n" not in str(refused.value)
