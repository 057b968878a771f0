"""The metrics against every order of the tied items, scikit-learn, plain loops, and what must not change them."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from hashlib_nb import baselines, hamming, metrics
from hashlib_nb.metrics import __main__ as command
from hashlib_nb.metrics import ranking
from tests.helpers import damage, refusal, run_main

OPTIONS = list(itertools.product(metrics.TIES, metrics.DENOMINATORS))


def random_pairs(seed: int, q: int, n: int, k: int, m: int = 2):
    """Query codes, database codes, query labels and database labels; every query has a relevant item."""
    rng = np.random.default_rng(seed)
    codes = (rng.random((q + n, k)) < rng.random((q + n, 1))).astype(np.uint8)
    labels = np.eye(m, dtype=np.uint8)[rng.integers(0, m, q + n)]
    labels[rng.integers(0, q + n, n // 4), 0] = 1  # some items carry two concepts
    labels[q] = 1
    return codes[:q], codes[q:], labels[:q], labels[q:]


def rankings(distances, relevant):
    """The relevance of the ranked items under every order of the tied ones, all equally likely: bool [orders, n]."""
    levels = [relevant[distances == d] for d in np.unique(distances)]
    orders = itertools.product(*(itertools.permutations(level) for level in levels))
    return np.array([list(itertools.chain(*order)) for order in orders], bool)


def average_precisions(ranked, top_n, denominator):
    """Average precision of each ranking [orders, n], from the definition."""
    n_relevant, ranked = ranked[0].sum(), ranked[:, :top_n]
    precision = np.cumsum(ranked, axis=1) / np.arange(1, ranked.shape[1] + 1)
    hits = ranked.sum(axis=1)
    divisor = {"min(R,N)": min(n_relevant, top_n), "R": n_relevant, "hits": np.maximum(hits, 1)}[denominator]
    return (precision * ranked).sum(axis=1) / divisor


def small_case(seed):
    """One query, up to seven items on three distances, at least one of them relevant."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 8))
    database = rng.integers(0, 2, (n, 2), dtype=np.uint8)
    labels = rng.integers(0, 2, (n, 1), dtype=np.uint8)
    labels[rng.integers(n)] = 1
    return np.zeros((1, 2), np.uint8), database, np.ones((1, 1), np.uint8), labels


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("seed", range(12))
def test_average_precision_over_all_orders_of_tied_items(seed, backend, monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_BACKEND", backend)
    query, database, query_labels, database_labels = small_case(seed)
    ranked = rankings(database.sum(axis=1), database_labels[:, 0])
    reduce = {"expected": np.mean, "pessimistic": np.min, "optimistic": np.max}
    found = hamming.histograms(query, database, query_labels, database_labels)
    for top_n in range(1, len(database) + 2):
        for ties, denominator in OPTIONS:
            score = metrics.average_precision_from_histograms(
                found.counts, found.relevant, top_n=top_n, ties=ties, denominator=denominator
            )
            oracle = reduce[ties](average_precisions(ranked, top_n, denominator))
            assert score[0] == pytest.approx(oracle, abs=1e-12), (top_n, ties, denominator)


@pytest.mark.parametrize("seed", range(6))
def test_precision_at_n_over_all_orders_of_tied_items(seed):
    pairs = small_case(seed)
    ranked = rankings(pairs[1].sum(axis=1), pairs[3][:, 0])
    cut_offs = np.arange(1, len(pairs[1]) + 1)
    oracle = [ranked[:, :n].mean() for n in cut_offs]
    np.testing.assert_allclose(metrics.precision_at_n(*pairs, n=cut_offs), oracle, atol=1e-12)


def untied_case(seed, n=41):
    """Database item j differs from the query in j bits; items are shuffled."""
    rng = np.random.default_rng(seed)
    database = np.tri(n, n - 1, -1, dtype=np.uint8)[rng.permutation(n)]
    labels = rng.integers(0, 2, (n, 1), dtype=np.uint8)
    return np.zeros((1, n - 1), np.uint8), database, np.ones((1, 1), np.uint8), labels


@pytest.mark.parametrize("ties", metrics.TIES)
@pytest.mark.parametrize("denominator", metrics.DENOMINATORS)
def test_without_ties_every_order_agrees_with_scikit_learn(ties, denominator):
    query, database, query_labels, database_labels = untied_case(0)
    score = metrics.mean_average_precision(
        query, database, query_labels, database_labels, ties=ties, denominator=denominator
    )
    assert score == pytest.approx(average_precision_score(database_labels[:, 0], -database.sum(axis=1, dtype=int)))


def test_average_precision_of_a_hand_computed_ranking():
    # Distances 0, 1, 1, 2; the nearest item and one of the two tied ones are relevant.
    # The tied item comes second (precision 2/2) or third (2/3): AP is (1 + 1)/2 or (1 + 2/3)/2.
    database = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.uint8)
    labels = np.array([[1], [1], [0], [0]], np.uint8)
    arguments = database[:1], database, labels[:1], labels
    assert metrics.mean_average_precision(*arguments, ties="optimistic") == pytest.approx(1)
    assert metrics.mean_average_precision(*arguments, ties="pessimistic") == pytest.approx(5 / 6)
    assert metrics.mean_average_precision(*arguments) == pytest.approx(11 / 12)
    assert metrics.mean_average_precision(*arguments, top_n=1, denominator="R") == pytest.approx(1 / 2)
    assert metrics.mean_average_precision(*arguments, top_n=1) == pytest.approx(1)


def expected_slowly(distances, relevant, top_n):
    """Expected AP rank by rank in exact fractions: P(relevant here) * E[relevant up to here | relevant here] / rank."""
    total, rank, before = Fraction(0), 0, 0
    for d in np.unique(distances):
        n, p = int((distances == d).sum()), int(relevant[distances == d].sum())
        for place in range(n):
            rank += 1
            if p and rank <= top_n:
                earlier = Fraction(place * (p - 1), n - 1) if n > 1 else Fraction(0)
                total += Fraction(p, n) * (before + earlier + 1) / rank
        before += p
    return float(total / min(int(relevant.sum()), top_n))


@pytest.mark.parametrize("k", [1, 12, 64, 65, 1024])
@pytest.mark.parametrize("top_n", [None, 1, 17, 500])
def test_expected_average_precision_at_any_code_length(k, top_n):
    query, database, query_labels, database_labels = random_pairs(k, 4, 60, k, m=70)
    found = metrics.average_precision(query, database, query_labels, database_labels, top_n=top_n)
    for i, score in enumerate(found):
        distances = (database != query[i]).sum(axis=1)
        relevant = (database_labels & query_labels[i]).any(axis=1)
        assert score == pytest.approx(expected_slowly(distances, relevant, top_n or 60), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    k=st.integers(1, 80),
    top_n=st.none() | st.integers(1, 40),
    option=st.sampled_from(OPTIONS),
)
def test_map_ignores_flipped_bits_bit_order_and_database_order(seed, k, top_n, option):
    query, database, query_labels, database_labels = random_pairs(seed, 5, 30, k)
    rng = np.random.default_rng(seed)
    flip, bits, items = rng.integers(0, 2, k, dtype=np.uint8), rng.permutation(k), rng.permutation(30)
    options = {"top_n": top_n, "ties": option[0], "denominator": option[1]}
    score = metrics.mean_average_precision(query, database, query_labels, database_labels, **options)
    for moved in (
        (query ^ flip, database ^ flip, query_labels, database_labels),
        (query[:, bits], database[:, bits], query_labels, database_labels),
        (query, database[items], query_labels, database_labels[items]),
    ):
        assert metrics.mean_average_precision(*moved, **options) == score


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), top_n=st.integers(1, 50), denominator=st.sampled_from(metrics.DENOMINATORS))
def test_expected_lies_between_pessimistic_and_optimistic(seed, top_n, denominator):
    pairs = random_pairs(seed, 6, 40, 3)
    low, middle, high = (
        metrics.average_precision(*pairs, top_n=top_n, ties=ties, denominator=denominator)
        for ties in ("pessimistic", "expected", "optimistic")
    )
    assert np.all(low <= middle + 1e-12)
    assert np.all(middle <= high + 1e-12)


@pytest.mark.parametrize("ties", metrics.TIES)
def test_average_precision_takes_any_leading_axes(ties):
    query, database, query_labels, database_labels = random_pairs(1, 5, 30, 10)
    masks = np.random.default_rng(0).random((3, 10)) < 0.6
    found = hamming.Pairs(query, database, query_labels, database_labels).histograms_many(masks)
    for denominator in metrics.DENOMINATORS:
        options = {"top_n": 7, "ties": ties, "denominator": denominator}
        scores = metrics.average_precision_from_histograms(found.counts, found.relevant, **options)
        assert scores.shape == (3, 5)
        for e, mask in enumerate(masks):
            sliced = metrics.average_precision(
                query[:, mask], database[:, mask], query_labels, database_labels, **options
            )
            np.testing.assert_allclose(scores[e], sliced, atol=1e-12)


@pytest.mark.parametrize("top_n", [None, 9])
def test_map_of_masks_equals_the_map_of_sliced_codes(top_n, monkeypatch):
    monkeypatch.setattr(ranking, "HISTOGRAM_CELLS", 1)  # one mask at a time
    query, database, query_labels, database_labels = random_pairs(2, 6, 40, 70)
    masks = np.random.default_rng(1).random((4, 70)) < 0.2
    scores = metrics.map_of_masks(hamming.Pairs(query, database, query_labels, database_labels), masks, top_n=top_n)
    for score, mask in zip(scores, masks, strict=True):
        sliced = query[:, mask], database[:, mask], query_labels, database_labels
        assert score == pytest.approx(metrics.mean_average_precision(*sliced, top_n=top_n))


@pytest.mark.parametrize("number", [3, 40])
@pytest.mark.parametrize("cells", [1, 1 << 21])
@pytest.mark.parametrize("top_n", [None, 9])
def test_map_of_flipped_equals_the_map_of_each_mask(top_n, cells, number, monkeypatch):
    """To the last bit, since a memo may answer with either; for few bits and for many."""
    monkeypatch.setattr(ranking, "HISTOGRAM_CELLS", cells)
    query, database, query_labels, database_labels = random_pairs(5, 9, 60, 70)
    pairs = hamming.Pairs(query, database, query_labels, database_labels)
    mask = (np.random.default_rng(2).random(70) < 0.2).astype(np.uint8)
    bits = np.random.default_rng(3).permutation(70)[:number]  # some of them kept
    masks = np.repeat(mask[None], len(bits), axis=0)
    masks[np.arange(len(bits)), bits] ^= 1
    found = metrics.map_of_flipped(pairs, mask, bits, top_n=top_n)
    np.testing.assert_array_equal(found, metrics.map_of_masks(pairs, masks, top_n=top_n))


def test_map_of_flipped_needs_a_query_with_a_relevant_item():
    pairs = hamming.Pairs([[0, 1]], [[1, 1]], [[1, 0]], [[0, 1]])
    with pytest.raises(ValueError, match="no query shares a concept"):
        metrics.map_of_flipped(pairs, [1, 0], [1])


def test_a_report_of_shards_is_that_of_the_whole_database():
    query, database, query_labels, database_labels = random_pairs(6, 8, 50, 12)
    whole = metrics.evaluate(query, database, query_labels, database_labels, top_n=7, at_n=(1, 20))
    shards = [(database[:13], database_labels[:13]), (database[13:], database_labels[13:])]
    found = metrics.report(hamming.histograms_of_shards(query, query_labels, shards), top_n=7, at_n=(1, 20))
    assert found == {name: whole[name] for name in found}


def test_leave_one_out_equals_removing_the_item():
    codes, _, labels, _ = random_pairs(3, 20, 4, 6)
    scores = metrics.average_precision(codes, codes, labels, labels, leave_one_out=True, top_n=11)
    for i in range(20):
        rest = np.arange(20) != i
        alone = metrics.average_precision(codes[i : i + 1], codes[rest], labels[i : i + 1], labels[rest], top_n=11)
        assert scores[i] == pytest.approx(alone[0])
    assert metrics.map_of_masks(
        hamming.Pairs(codes, codes, labels, labels, leave_one_out=True), np.ones((1, 6), bool), top_n=11
    ) == pytest.approx(scores.mean())


@pytest.mark.parametrize("backend", ["numba", "numpy"])
@pytest.mark.parametrize("cells", [1, 1 << 21])
@pytest.mark.parametrize("top_n", [None, 7])
@pytest.mark.parametrize("flat", [False, True])
def test_leave_one_out_with_two_codes_equals_removing_the_item(backend, cells, top_n, flat, monkeypatch):
    """A query with its class' code ranks items whose codes are their own, the one it stands for left out."""
    monkeypatch.setattr(ranking, "HISTOGRAM_CELLS", cells)
    monkeypatch.setenv("HASHLIB_NB_BACKEND", backend)
    rng, n, k = np.random.default_rng(0), 30, 70
    classes = rng.integers(0, 3, n)
    of_class = rng.integers(0, 2, (3, k), dtype=np.uint8)
    query = of_class[np.where(rng.random(n) < 0.8, classes, rng.integers(0, 3, n))]
    database = of_class[classes] ^ (rng.random((n, k)) < 0.2)
    labels = classes if flat else np.eye(4, dtype=np.uint8)[classes]
    if not flat:
        labels[rng.permutation(n)[:10], 3], labels[0] = 1, 0  # some have two labels, one has none and says nothing

    def by_hand(mask):
        scores = []
        for i in range(n):
            rest = np.arange(n) != i
            sides = query[i : i + 1, mask], database[rest][:, mask], labels[i : i + 1], labels[rest]
            if (labels[i : i + 1] == labels[rest] if flat else labels[i] & labels[rest]).any():
                scores.append(metrics.average_precision(*sides, top_n=top_n)[0])
        return np.mean(scores)

    pairs = hamming.Pairs(query, database, labels, labels, leave_one_out=True)
    mask = (np.arange(k) % 5 == 0).astype(np.uint8)
    bits = rng.permutation(k)[:40]
    masks = hamming.toggled(mask, bits)
    many, flipped = (
        metrics.map_of_masks(pairs, masks, top_n=top_n),
        metrics.map_of_flipped(pairs, mask, bits, top_n=top_n),
    )
    # To the last bit, since a memo may answer with either; numpy sums in an order that depends on empty levels.
    np.testing.assert_allclose(flipped, many, rtol=0, atol=0 if backend == "numba" else 1e-15)
    np.testing.assert_allclose(many[::8], [by_hand(each.astype(bool)) for each in masks[::8]], atol=1e-12)
    one = metrics.mean_average_precision(
        query, database, labels, labels, bits=np.flatnonzero(masks[0]), leave_one_out=True, top_n=top_n
    )
    assert one == pytest.approx(many[0], abs=1e-15)


def test_queries_without_a_relevant_item_are_left_out_of_every_mean():
    query, database, _, _ = random_pairs(4, 3, 12, 5)
    query_labels, database_labels = np.eye(3, dtype=np.uint8), np.zeros((12, 3), np.uint8)
    database_labels[:, 0] = database_labels[:6, 1] = 1  # nothing carries the third class
    everything, answerable = ((query[:q], database, query_labels[:q], database_labels) for q in (3, 2))
    scores = metrics.average_precision(*everything)
    np.testing.assert_array_equal(np.isnan(scores), [False, False, True])
    ball = metrics.precision_within_radius(*everything)
    np.testing.assert_array_equal(np.isnan(ball.per_query), [False, False, True])
    with_it, without_it = metrics.evaluate(*everything), metrics.evaluate(*answerable)
    assert with_it["queries_without_relevant"] == 1
    assert without_it["queries_without_relevant"] == 0
    sizes = {"n_queries", "queries_without_relevant"}
    assert {key: with_it[key] for key in with_it if key not in sizes} == {
        key: without_it[key] for key in without_it if key not in sizes
    }


def test_precision_within_radius_counts_empty_balls_as_zero():
    database = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 1], [1, 1, 1, 1]], np.uint8)
    labels = np.array([[1, 0], [0, 0], [1, 0], [1, 0]], np.uint8)
    query = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]], np.uint8)
    query_labels = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.uint8)
    # Distances 0 2 3 4, 1 3 4 3 and 2 4 3 2: within radius 1 the balls hold {0}, {0} and nothing. The last query
    # retrieves something, but nothing is relevant to it: it counts neither in the precision nor in the rate.
    ball = metrics.precision_within_radius(query, database, query_labels, labels, radius=1)
    np.testing.assert_allclose(ball.per_query, [1, 1, 0, np.nan])
    assert ball.precision == pytest.approx(2 / 3)
    assert ball.empty_ball_rate == pytest.approx(1 / 3)
    # Within radius 2: {0, 1} with one relevant, {0}, {0, 3}.
    assert metrics.precision_within_radius(query, database, query_labels, labels).precision == pytest.approx(2.5 / 3)


@pytest.mark.parametrize("k", [3, 9])
def test_precision_recall_curve_matches_loops_over_radii(k):
    query, database, query_labels, database_labels = random_pairs(5, 4, 25, k)
    curve = metrics.precision_recall_curve(query, database, query_labels, database_labels)
    distances = (query[:, None] != database).sum(axis=2)
    relevant = (query_labels[:, None] & database_labels).any(axis=2)
    for radius in range(k + 1):
        inside = distances <= radius
        retrieved, hits = inside.sum(axis=1), (inside & relevant).sum(axis=1)
        if retrieved.sum():
            assert curve.micro_precision[radius] == pytest.approx(hits.sum() / retrieved.sum())
        else:
            assert np.isnan(curve.micro_precision[radius])
        assert curve.micro_recall[radius] == pytest.approx(hits.sum() / relevant.sum())
        precisions = [h / r if r else 0 for h, r in zip(hits, retrieved, strict=True)]
        assert curve.macro_precision[radius] == pytest.approx(np.mean(precisions))
        assert curve.macro_recall[radius] == pytest.approx(np.mean(hits / relevant.sum(axis=1)))
    ball = metrics.precision_within_radius(query, database, query_labels, database_labels, radius=2)
    assert curve.macro_precision[2] == pytest.approx(ball.precision)


def test_evaluate_agrees_with_the_single_metrics_and_is_json():
    pairs = random_pairs(6, 7, 50, 16)
    options = {"bits": [0, 3, 5, 6], "denominator": "R"}
    report = metrics.evaluate(*pairs, top_n=[10], at_n=[1, 20, 999], radius=1, **options)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    for top_n, key in ((None, "all"), (10, "10")):
        for ties in metrics.TIES:
            score = metrics.mean_average_precision(*pairs, top_n=top_n, ties=ties, **options)
            assert report["map"][key][ties] == pytest.approx(score)
    precision = metrics.precision_at_n(*pairs, n=[1, 20], bits=options["bits"])
    assert report["precision_at_n"] == pytest.approx({"1": precision[0], "20": precision[1]})
    ball = metrics.precision_within_radius(*pairs, radius=1, bits=options["bits"])
    assert (report["precision_within_radius"], report["empty_ball_rate"]) == (ball.precision, ball.empty_ball_rate)
    assert (report["n_queries"], report["n_database"], report["code_length"], report["n_bits"]) == (7, 50, 16, 4)


def test_one_query_is_enough():
    query, database, query_labels, database_labels = random_pairs(7, 1, 9, 5)
    report = metrics.evaluate(query, database, query_labels, database_labels, at_n=(1,))
    assert report["n_queries"] == 1
    assert 0 < report["map"]["all"]["expected"] <= 1


def test_chance_is_what_random_codes_score():
    query, database, query_labels, database_labels = random_pairs(8, 10, 40, 4)
    chance = metrics.evaluate(query, database, query_labels, database_labels, top_n=5)["map"]
    draws = []
    for seed in range(200):
        codes = baselines.random_codes(50, 4, seed)
        found = hamming.histograms(codes[:10], codes[10:], query_labels, database_labels, backend="numpy")
        draws.append(
            [
                metrics.average_precision_from_histograms(found.counts, found.relevant, top_n=top_n).mean()
                for top_n in (None, 5)
            ]
        )
    error = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert np.all(np.abs(np.mean(draws, axis=0) - [chance["all"]["chance"], chance["5"]["chance"]]) < 4 * error)


def test_codes_that_say_nothing_score_exactly_chance():
    query, database, query_labels, database_labels = random_pairs(9, 5, 30, 4)
    constant = np.zeros_like(query), np.zeros_like(database), query_labels, database_labels
    chance = metrics.evaluate(query, database, query_labels, database_labels)["map"]["all"]["chance"]
    assert metrics.mean_average_precision(*constant) == pytest.approx(chance)
    nothing_kept = np.zeros((1, 4), bool)
    pairs = hamming.Pairs(query, database, query_labels, database_labels)
    assert metrics.map_of_masks(pairs, nothing_kept)[0] == pytest.approx(chance)


PAIRS = random_pairs(10, 3, 8, 4)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: metrics.average_precision(*PAIRS, top_n=0), "top_n is 0; give a whole number of at least 1"),
        (lambda: metrics.average_precision(*PAIRS, top_n=-1), "top_n is -1; give a whole number"),
        (lambda: metrics.average_precision(*PAIRS, top_n=2.5), "top_n is 2.5; give a whole number"),
        (lambda: metrics.average_precision(*PAIRS, ties="lucky"), 'ties is "lucky"; choose one of expected'),
        (lambda: metrics.average_precision(*PAIRS, denominator="N"), r'denominator is "N"; choose one of min\(R,N\)'),
        (lambda: metrics.average_precision(*PAIRS, bits=[9]), "bits runs from 9 to 9"),
        (lambda: metrics.evaluate(*PAIRS, top_n=[5, 0]), "top_n is 0"),
        (lambda: metrics.precision_within_radius(*PAIRS, radius=-1), "radius is -1; give a whole number of at least 0"),
        (
            lambda: metrics.precision_at_n(*PAIRS, n=[1, 9]),
            r"n is 9; give a whole number in 1\.\.8 \(the ranked items\)",
        ),
        (lambda: metrics.precision_at_n(*PAIRS, n=2.7), r"n is 2\.7; give a whole number of at least 1"),
        (lambda: metrics.precision_at_n(*PAIRS, n=None), "n is None; give a whole number"),
        (lambda: metrics.precision_within_radius(*PAIRS, radius=2.5), r"radius is 2\.5; give a whole number"),
        (lambda: metrics.evaluate(*PAIRS, at_n=(1.9,)), r"at_n is 1\.9; give a whole number"),
        (lambda: metrics.evaluate(*PAIRS, at_n="12"), "at_n is '12'; give a whole number"),
        (lambda: metrics.evaluate(*PAIRS, top_n=True), "top_n is True; give a whole number"),
        (lambda: metrics.evaluate(*PAIRS, radius=None), "radius is None; give a whole number"),
        (
            lambda: metrics.average_precision_from_histograms(np.ones((2, 3)), np.ones((2, 3))),
            r"counts is float64 \[2, 3\] .*; give both as int",
        ),
        (
            lambda: metrics.average_precision_from_histograms([1, 2], [1, 2, 3]),
            r"counts is int64 \[2\] and relevant int64 \[3\]",
        ),
    ],
)
def test_bad_arguments_get_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_what_is_plainly_meant_is_taken():
    codes, labels = PAIRS[:2], PAIRS[2:]
    expected = metrics.evaluate(*PAIRS, at_n=(1, 3), radius=2)
    one = metrics.evaluate(*map(torch.tensor, PAIRS), top_n=None, at_n=torch.tensor([1, 3]), radius=np.int64(2))
    assert one == expected
    as_lists = [array.tolist() for array in (*codes, *labels)]
    assert metrics.evaluate(*as_lists, at_n=[np.int8(1), 3], radius=2) == expected
    assert metrics.evaluate(*PAIRS, at_n=3)["precision_at_n"].keys() == {"3"}
    far = metrics.mean_average_precision(*PAIRS, top_n=10**30)
    assert far == metrics.mean_average_precision(*PAIRS, top_n=8)
    assert metrics.precision_within_radius(*PAIRS, radius=10**30).empty_ball_rate == 0


def test_class_numbers_are_measured_as_their_one_hot_rows():
    codes, rng = PAIRS[:2], np.random.default_rng(0)
    query, database = rng.integers(0, 3, len(codes[0])), rng.integers(0, 3, len(codes[1]))
    rows, names = np.eye(3, dtype=np.uint8), np.array([-4, 10**15, 0])
    matrix = metrics.evaluate(*codes, rows[query], rows[database], at_n=(1, 5))
    assert metrics.evaluate(*codes, names[query], names[database], at_n=(1, 5)) == matrix


@pytest.mark.parametrize(
    "metric",
    [
        metrics.mean_average_precision,
        metrics.precision_within_radius,
        metrics.precision_recall_curve,
        metrics.evaluate,
        lambda *pairs: metrics.precision_at_n(*pairs, n=1),
        lambda *pairs: metrics.map_of_masks(hamming.Pairs(*pairs), np.ones((1, 4), bool)),
    ],
)
def test_labels_that_never_meet_are_refused(metric):
    query, database, *_ = PAIRS
    query_labels = np.tile(np.array([[1, 0]], np.uint8), (3, 1))
    database_labels = np.tile(np.array([[0, 1]], np.uint8), (8, 1))
    with pytest.raises(ValueError, match="no query shares a concept with any database item"):
        metric(query, database, query_labels, database_labels)


NAMES = ("query_codes", "database_codes", "query_labels", "database_labels")


@pytest.fixture
def codes_npz(tmp_path):
    path = tmp_path / "codes.npz"
    np.savez(path, **dict(zip(NAMES, random_pairs(11, 6, 40, 12), strict=True)), history=np.arange(3))
    return path


def test_the_command_line_measures_a_selection(codes_npz, tmp_path, capsys):
    selection, out = tmp_path / "selection.json", tmp_path / "reports" / "report.json"
    selection.write_text(json.dumps({"bits": [2, 7, 11], "method": "greedy"}))
    options = ["--selection", selection, "--top-n", "5", "20", "--at-n", "3", "--radius", "1"]
    run_main(command, "--codes", codes_npz, "--out", out, *options)
    report = json.loads(out.read_text())
    pairs = random_pairs(11, 6, 40, 12)
    expected = metrics.evaluate(*pairs, bits=[2, 7, 11], top_n=[5, 20], at_n=[3], radius=1)
    assert {key: report[key] for key in expected} == expected
    assert f"mAP@20      {expected['map']['20']['expected']:10.4f}" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["report.json"]  # no temporary file stays


@pytest.mark.parametrize("how", ["truncated", "flipped", "text", "npy", "pickled"])
def test_a_damaged_or_foreign_codes_file_is_named(how, codes_npz, tmp_path):
    damage(codes_npz, how, NAMES)
    out = tmp_path / "report.json"
    message = refusal(command, "--codes", codes_npz, "--out", out)
    assert message.startswith(f"error: {codes_npz} is truncated or no npz file (")
    assert not out.exists()


def test_missing_files_and_arrays_are_named(codes_npz, tmp_path):
    out = tmp_path / "report.json"
    absent = tmp_path / "absent.npz"
    assert f"{absent} does not exist" in refusal(command, "--codes", absent, "--out", out)
    message = refusal(command, "--codes", codes_npz, "--out", out, "--selection", absent)
    assert f"{absent} does not exist" in message
    np.savez(absent, query_codes=np.zeros((2, 3), np.uint8), query_labels=np.ones((2, 1), np.uint8))
    message = refusal(command, "--codes", absent, "--out", out)
    assert "lacks database_codes, database_labels; give an npz file with query_codes, " in message
    assert f"{tmp_path} is a folder" in refusal(command, "--codes", codes_npz, "--out", tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is truncated or no JSON file"),
        ("[1, 2]", 'holds no "bits"; give a JSON file with {"bits": [...]}'),
        ('{"kept": [1]}', 'holds no "bits"; give a JSON file with {"bits": [...]}'),
        ('{"bits": [1, 12]}', "bits runs from 1 to 12; indices must lie in 0..11"),
        ('{"bits": ["a"]}', 'has "bits" that are no list of whole numbers'),
        ('{"bits": [1], "n_candidates": 64}', "keeps bits of codes of 64 bits, but these have 12"),
        ('{"bits": [1], "k": 64}', "keeps bits of codes of 64 bits, but these have 12"),
    ],
)
def test_a_bad_selection_file_is_explained(text, sentence, codes_npz, tmp_path):
    selection = tmp_path / "selection.json"
    selection.write_text(text)
    options = ("--codes", codes_npz, "--out", tmp_path / "report.json", "--selection", selection)
    assert sentence in refusal(command, *options)


def test_a_failed_run_leaves_the_previous_report(codes_npz, tmp_path):
    out = tmp_path / "report.json"
    out.write_text(previous := '{"map": {}, "n_queries": 1}')
    assert "top_n is 0" in refusal(command, "--codes", codes_npz, "--out", out, "--top-n", "0")
    assert out.read_text() == previous
