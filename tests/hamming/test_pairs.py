"""The Hamming kernels against obvious loops, for every backend, and what no relabeling of bits or items may change."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import hamming
from hashlib_nb.hamming import arrays
from tests.helpers import run_python

BACKENDS = ("numba", "numpy")


def random_pairs(seed: int, q: int, n: int, k: int, m: int, density: float = 0.3):
    """Query codes, database codes, query labels and database labels, with clustered codes so that distances spread."""
    rng = np.random.default_rng(seed)
    codes = (rng.random((q + n, k)) < rng.random((q + n, 1))).astype(np.uint8)
    labels = (rng.random((q + n, m)) < density).astype(np.uint8)
    return codes[:q], codes[q:], labels[:q], labels[q:]


def count_slowly(query_codes, database_codes, query_labels, database_labels, leave_one_out=False):
    k = query_codes.shape[1]
    counts = np.zeros((len(query_codes), k + 1), int)
    relevant = np.zeros_like(counts)
    for i in range(len(query_codes)):
        for j in range(len(database_codes)):
            if leave_one_out and i == j:
                continue
            distance = sum(a != b for a, b in zip(query_codes[i].tolist(), database_codes[j].tolist(), strict=True))
            counts[i, distance] += 1
            relevant[i, distance] += any(a and b for a, b in zip(query_labels[i], database_labels[j], strict=True))
    return counts, relevant


def assert_counts(found: hamming.Histograms, counts, relevant):
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_array_equal(found.relevant, relevant)


def test_pack_takes_codes_in_any_memory_order():
    codes = random_pairs(0, 6, 1, 70, 1)[0]
    np.testing.assert_array_equal(hamming.pack(np.asfortranarray(codes)), hamming.pack(codes))


def test_pack_puts_bit_j_at_place_j_of_its_word():
    code = np.zeros((1, 130), np.uint8)
    code[0, [0, 3, 64, 129]] = 1
    np.testing.assert_array_equal(hamming.pack(code), np.array([[0b1001, 1, 2]], np.uint64))


@pytest.mark.parametrize("k", [1, 7, 8, 63, 64, 65, 128, 1024])
def test_pack_keeps_every_bit(k):
    codes = random_pairs(0, 5, 1, k, 1)[0]
    words = hamming.pack(codes)
    assert words.dtype == np.uint64
    assert words.shape == (5, -(-k // 64))
    for code, row in zip(codes, words, strict=True):
        whole = sum(int(word) << (64 * place) for place, word in enumerate(row))
        assert whole == sum(int(bit) << j for j, bit in enumerate(code))


@pytest.mark.parametrize("k", [1, 64, 65, 1024])
def test_distances_count_differing_bits(k, monkeypatch):
    monkeypatch.setattr(arrays, "NUMPY_PAIRS", 50)  # several chunks
    query, database, *_ = random_pairs(1, 9, 20, k, 1)
    found = hamming.distances(query, database)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, (query[:, None] != database).sum(axis=2))


def test_distance_of_complementary_codes_is_k():
    ones = np.ones((1, 1024), np.uint8)
    assert hamming.distances(ones, 1 - ones) == 1024


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("k", "m"), [(1, 1), (12, 3), (64, 10), (65, 64), (130, 70), (1024, 200)])
def test_histograms_match_a_double_loop(k, m, backend, monkeypatch):
    monkeypatch.setattr(arrays, "NUMPY_PAIRS", 64)
    pairs = random_pairs(k + m, 7, 23, k, m, density=0.02 if m > 64 else 0.3)
    found = hamming.histograms(*pairs, backend=backend)
    assert_counts(found, *count_slowly(*pairs))
    assert found.counts.dtype == found.relevant.dtype == np.int32


@pytest.mark.parametrize("backend", BACKENDS)
def test_concepts_beyond_the_first_word_count(backend):
    labels = np.zeros((3, 200), np.uint8)
    labels[[0, 1, 2], [70, 70, 199]] = 1
    found = hamming.histograms(labels[:1], labels, labels[:1], labels, backend=backend)
    np.testing.assert_array_equal(np.flatnonzero(found.relevant[0]), [0])
    assert found.relevant[0, 0] == 2


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("k", [5, 64, 150])
def test_bits_equal_slicing_the_codes(k, backend):
    query, database, query_labels, database_labels = random_pairs(2, 6, 30, k, 4)
    bits = np.random.default_rng(3).permutation(k)[: k // 2 + 1]
    found = hamming.histograms(query, database, query_labels, database_labels, bits=bits, backend=backend)
    assert_counts(found, *count_slowly(query[:, bits], database[:, bits], query_labels, database_labels))


@pytest.mark.parametrize("backend", BACKENDS)
def test_leave_one_out_matches_a_double_loop(backend):
    codes, _, labels, _ = random_pairs(4, 25, 1, 10, 3)
    labels[0] = 0  # an item without any concept is not relevant to itself either
    found = hamming.histograms(codes, codes, labels, labels, leave_one_out=True, backend=backend)
    assert_counts(found, *count_slowly(codes, codes, labels, labels, leave_one_out=True))


KINDS = ("one label", "class numbers", "several labels")
DECIDED = list(itertools.product(BACKENDS, KINDS, [(30, 9), (60, 70), (300, 130)]))


def decided_pairs(kind: str, n: int, k: int):
    """Query codes, database codes and one list of labels: codes repeat, and queries have the code of some class."""
    rng = np.random.default_rng(n + k)
    classes, decided = rng.integers(0, 4, (2, n))
    decided = np.where(rng.random(n) < 0.7, classes, decided)
    of_class = rng.integers(0, 2, (4, k), dtype=np.uint8)
    database = of_class[classes] ^ (rng.random((n, k)) < rng.choice([0, 0.02, 0.3], (n, 1))).astype(np.uint8)
    labels = {
        "one label": np.eye(4, dtype=np.uint8)[classes],
        "class numbers": 7 * classes - 9,
        "several labels": rng.integers(0, 2, (n, 3), dtype=np.uint8),  # some rows have none
    }[kind]
    return of_class[decided], database, labels


def left_out_slowly(query, database, labels, levels):
    """Histograms [n, levels] by plain loops over distances: item i is not in the ranking of query i."""
    alike = np.equal.outer(labels, labels) if labels.ndim == 1 else (labels[:, None] & labels).any(axis=2)
    distances = (query[:, None] != database).sum(axis=2)
    found = np.zeros((2, len(query), levels), int)
    for i in range(len(query)):
        for j in range(len(query)):
            if i != j:
                found[0, i, distances[i, j]] += 1
                found[1, i, distances[i, j]] += alike[i, j]
    return found


@pytest.mark.parametrize(("backend", "kind", "size"), DECIDED)
def test_an_item_with_two_codes_is_left_out_at_its_own_distance(backend, kind, size, monkeypatch):
    """Under one subset, several, and each bit toggled alone, kept or not."""
    monkeypatch.setattr(arrays, "NUMPY_PAIRS", 1000)  # several chunks
    (n, k), rng = size, np.random.default_rng(1)
    query, database, labels = decided_pairs(kind, *size)
    pairs = hamming.Pairs(query, database, labels, labels, leave_one_out=True, backend=backend)
    assert pairs.n_counted <= 4 * len(np.unique(labels, axis=0)) < n  # kernels see classes' codes, not queries
    assert_counts(pairs.histograms(), *left_out_slowly(query, database, labels, k + 1))
    masks = (rng.random((3, k)) < np.array([[0.1], [0.6], [0]])).astype(np.uint8)
    many = pairs.histograms_many(masks)
    for counts, relevant, mask in zip(many.counts, many.relevant, masks.astype(bool), strict=True):
        expected = left_out_slowly(query[:, mask], database[:, mask], labels, counts.shape[1])
        assert_counts(hamming.Histograms(counts, relevant), *expected)
    bits = rng.permutation(k)[:4]
    masks[0, bits] = [1, 0, 1, 0]
    flipped = pairs.histograms_flipped(masks[0], bits)
    for e, mask in enumerate(hamming.toggled(masks[0], bits).astype(bool)):
        expected = left_out_slowly(query[:, mask], database[:, mask], labels, flipped.counts.shape[2])
        assert_counts(hamming.Histograms(flipped.counts[:, e], flipped.relevant[:, e]), *expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_distinct_queries_with_two_codes_are_given_out_in_any_slice(backend):
    query, database, labels = decided_pairs("one label", 60, 70)
    query[:3], database[:3], labels[:3] = query[0], database[0], labels[0]  # one distinct query
    pairs = hamming.Pairs(query, database, labels, labels, leave_one_out=True, backend=backend)
    assert len({*pairs.row_of_query[:3]}) == 1
    assert pairs.n_counted < pairs.n_distinct == len(np.unique(np.hstack([query, database, labels]), axis=0))
    mask, bits = (np.arange(70) % 3 == 0).astype(np.uint8), np.array([4, 3, 69])
    whole, many = pairs.histograms_flipped(mask, bits), pairs.histograms_many(mask[None])
    distinct = pairs.histograms_many(mask[None], distinct=True)
    assert_counts(many, distinct.counts[:, pairs.row_of_query], distinct.relevant[:, pairs.row_of_query])
    parts = [
        pairs.histograms_flipped(mask, bits, distinct=slice(start, start + 7))
        for start in range(0, pairs.n_distinct, 7)
    ]
    counts, relevant = (np.concatenate([getattr(part, name) for part in parts]) for name in ("counts", "relevant"))
    assert_counts(whole, counts[pairs.row_of_query], relevant[pairs.row_of_query])
    assert sum(pairs.distinct_of(slice(row, row + 1)).stop for row in (0, pairs.n_counted - 1)) > pairs.n_distinct
    assert pairs.distinct_of(slice(None)) == slice(0, pairs.n_distinct)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("leave_one_out", [False, True])
@pytest.mark.parametrize("k", [20, 70])
def test_many_masks_equal_one_subset_at_a_time(k, leave_one_out, backend, monkeypatch):
    monkeypatch.setattr(arrays, "NUMPY_PAIRS", 64)
    query, database, query_labels, database_labels = random_pairs(5, 12, 12, k, 3)
    if leave_one_out:
        query, query_labels = database, database_labels
    pairs = hamming.Pairs(query, database, query_labels, database_labels, leave_one_out=leave_one_out, backend=backend)
    masks = np.random.default_rng(6).random((4, k)) < np.array([[0.1], [0.5], [0.9], [1.0]])
    masks[0, 0] = True
    many = pairs.histograms_many(masks)
    assert many.counts.shape == many.relevant.shape == (4, 12, k + 1)
    for e, mask in enumerate(masks):
        one = pairs.histograms(np.flatnonzero(mask))
        assert_counts(one, many.counts[e, :, : mask.sum() + 1], many.relevant[e, :, : mask.sum() + 1])
        assert not many.counts[e, :, mask.sum() + 1 :].any()


def test_a_mask_that_keeps_nothing_ties_everything():
    pairs = hamming.Pairs(*random_pairs(7, 3, 11, 6, 2))
    found = pairs.histograms_many(np.zeros((1, 6), bool))
    np.testing.assert_array_equal(found.counts[0, :, 0], [11, 11, 11])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 140), n=st.integers(1, 40))
def test_histograms_ignore_flipped_bits_bit_order_and_database_order(seed, k, n):
    query, database, query_labels, database_labels = random_pairs(seed, 3, n, k, 2)
    rng = np.random.default_rng(seed)
    flip, bits, items = rng.integers(0, 2, k, dtype=np.uint8), rng.permutation(k), rng.permutation(n)
    found = hamming.histograms(query, database, query_labels, database_labels)
    for moved in (
        hamming.histograms(query ^ flip, database ^ flip, query_labels, database_labels),
        hamming.histograms(query[:, bits], database[:, bits], query_labels, database_labels),
        hamming.histograms(query, database[items], query_labels, database_labels[items]),
        hamming.histograms(query, database, query_labels, database_labels, bits=bits),
        hamming.histograms(query, database, query_labels, database_labels, backend="numpy"),
    ):
        assert_counts(found, moved.counts, moved.relevant)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 29))
def test_histograms_of_database_shards_add_up(seed, cut):
    query, database, query_labels, database_labels = random_pairs(seed, 4, 30, 9, 3)
    whole = hamming.histograms(query, database, query_labels, database_labels)
    head = hamming.histograms(query, database[:cut], query_labels, database_labels[:cut])
    tail = hamming.histograms(query, database[cut:], query_labels, database_labels[cut:])
    assert_counts(whole, head.counts + tail.counts, head.relevant + tail.relevant)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64])
def test_codes_and_labels_of_any_integer_type_are_taken(dtype):
    pairs = random_pairs(8, 3, 9, 10, 2)
    found = hamming.histograms(*(array.astype(dtype) for array in pairs))
    assert_counts(found, *count_slowly(*pairs))
    assert hamming.check_codes(pairs[0].astype(dtype)).dtype == np.uint8


CODES = np.zeros((3, 4), np.uint8)
LABELS = np.ones((3, 2), np.uint8)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"query_codes": 2 * CODES.astype(int) - 1}, r"query_codes has values from -1 to -1; map -1/\+1 to 0/1"),
        ({"database_codes": CODES + 3}, "database_codes has values from 3 to 3; expected 0 and 1"),
        ({"query_codes": CODES.astype(float)}, "query_codes is float64; expected 0/1 integers: threshold it"),
        ({"query_codes": CODES[0]}, r"query_codes has shape \[4\]; expected a code matrix .*codes\[None, :\]"),
        ({"database_codes": CODES[:0]}, r"database_codes is empty, shape \[0, 4\]"),
        ({"database_codes": CODES[:, :3]}, "query_codes has 4 bits and database_codes 3"),
        ({"query_codes": np.zeros((3, 70_000), np.uint8)}, "query_codes has 70000 bits per code; at most 65535"),
        (
            {"query_labels": np.array([0, 1, 2])},
            r"query_labels is class numbers \[n\] and .*np\.eye\(n_classes",
        ),
        ({"query_labels": np.array([0.0, 1, 2])}, r"query_labels is float64 \[3\]; class numbers are integers"),
        ({"query_labels": np.array([True, False, True])}, r"query_labels is bool \[3\]; .* query_labels\[:, None\]"),
        ({"query_labels": np.array([2**63, 0, 0], np.uint64)}, "query_labels has numbers up to 9223372036854775808"),
        ({"query_labels": None}, r"query_labels is None; give a label matrix \[n, m\], or class numbers \[n\]"),
        ({"query_labels": np.zeros(0, int)}, "query_labels is empty"),
        ({"query_codes": [[0, 1], [0]]}, "query_codes is no array"),
        ({"database_codes": None}, r"database_codes is None; give a code matrix \[n, k\]"),
        ({"database_labels": LABELS[:2]}, "database_codes has 3 rows and database_labels 2"),
        ({"query_labels": np.ones((3, 5), np.uint8)}, "query_labels has 5 concepts and database_labels 2"),
        ({"bits": [0, 4]}, r"bits runs from 0 to 4; indices must lie in 0\.\.3"),
        ({"bits": [-1]}, r"bits runs from -1 to -1; indices must lie in 0\.\.3"),
        ({"bits": [1, 1]}, "bits names an index more than once"),
        ({"bits": []}, "bits is .* give a non-empty flat list"),
        ({"bits": [0.5]}, "bits is float64 .* give a non-empty flat list"),
        ({"backend": "cuda"}, 'backend is "cuda"; choose "auto", "numba" or "numpy"'),
        (
            {"leave_one_out": True, "database_labels": 1 - LABELS},
            "leave_one_out=True needs item i in row i of queries and database; pass the same labels twice",
        ),
    ],
)
def test_bad_input_gets_a_sentence_that_names_it(changed, sentence):
    arguments = {"query_codes": CODES, "database_codes": CODES, "query_labels": LABELS, "database_labels": LABELS}
    with pytest.raises(ValueError, match=sentence):
        hamming.histograms(**(arguments | changed))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 130), st.integers(1, 40), st.booleans())
@pytest.mark.parametrize("backend", BACKENDS)
def test_class_numbers_count_as_their_one_hot_rows_do(backend, seed, n_classes, n, leave_one_out):
    rng = np.random.default_rng(seed)
    k, numbers = int(rng.integers(1, 90)), np.unique(rng.integers(-(10**12), 10**12, n_classes))
    query_codes, database_codes, *_ = random_pairs(seed, n + 1, n + 1, k, 1)
    query, database = rng.integers(0, len(numbers), (2, n + 1))
    if leave_one_out:
        query_codes, query = database_codes, database
    rows = np.eye(len(numbers), dtype=np.uint8)
    options = {"leave_one_out": leave_one_out, "backend": backend}
    flat = hamming.Pairs(query_codes, database_codes, numbers[query], numbers[database], **options)
    matrix = hamming.Pairs(query_codes, database_codes, rows[query], rows[database], **options)
    mask = rng.integers(0, 2, k).astype(np.uint8)
    for count in (
        hamming.Pairs.histograms,
        lambda pairs: pairs.histograms_many([mask, 1 - mask]),
        lambda pairs: pairs.histograms_flipped(mask, np.arange(k)),
    ):
        assert_counts(count(flat), count(matrix).counts, count(matrix).relevant)


def test_class_numbers_are_compared_and_columns_are_not():
    codes = np.array([[0, 0], [0, 1], [1, 1]], np.uint8)
    numbers = np.array([0, 0, 1])
    assert hamming.histograms(codes, codes, numbers, numbers).relevant.sum(axis=1).tolist() == [2, 2, 1]
    column = numbers[:, None]  # one concept, which the third row alone has
    assert hamming.histograms(codes, codes, column, column).relevant.sum(axis=1).tolist() == [0, 0, 1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64, np.int64, list])
def test_class_numbers_of_any_integer_type(dtype):
    codes, numbers = random_pairs(0, 1, 6, 5, 1)[1], [7, 3, 7, 100, 3, 0]
    given_numbers = numbers if dtype is list else np.array(numbers, dtype)
    found = hamming.histograms(codes, codes, given_numbers, np.array(numbers, np.int64))
    same = np.equal.outer(numbers, numbers).astype(np.uint8)
    assert found.relevant.sum(axis=1).tolist() == same.sum(axis=1).tolist()


def test_leaving_out_the_only_item_is_refused():
    with pytest.raises(ValueError, match="nothing to rank in a database of 1 item"):
        hamming.Pairs(CODES[:1], CODES[:1], LABELS[:1], LABELS[:1], leave_one_out=True)


def test_masks_of_another_width_are_refused():
    with pytest.raises(ValueError, match="masks is 5 wide; the codes have 4 bits"):
        hamming.Pairs(CODES, CODES, LABELS, LABELS).histograms_many(np.ones((2, 5), bool))


def test_the_environment_chooses_the_backend(monkeypatch):
    monkeypatch.setenv("HASHLIB_NB_BACKEND", "numpy")
    assert not hamming.numba_enabled()
    assert hamming.numba_enabled("numba")
    monkeypatch.setenv("HASHLIB_NB_BACKEND", "fortran")
    with pytest.raises(ValueError, match='backend is "fortran"'):
        hamming.numba_enabled()


@pytest.mark.process
def test_without_numba_the_numpy_path_answers_and_says_so():
    source = """
import sys, warnings
sys.modules["numba"] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from hashlib_nb import hamming, metrics
codes, labels = [[0, 0], [0, 1], [1, 1]], [[1], [1], [1]]
found = hamming.histograms(codes, codes, labels, labels)
print("numba is not installed" in str(caught[0].message), found.counts.tolist())
print(metrics.mean_average_precision(codes, codes, labels, labels))
try:
    hamming.histograms(codes, codes, labels, labels, backend="numba")
except ValueError as error:
    print(error)
"""
    first, score, refusal = run_python(source).splitlines()
    assert first == "True [[1, 1, 1], [1, 2, 0], [1, 1, 1]]"
    assert float(score) == pytest.approx(1.0)
    assert 'backend is "numba", which is not installed' in refusal


@pytest.mark.parametrize("leave_one_out", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("n", "k", "kept"), [(3, 1, 0), (3, 1, 1), (40, 9, 4), (700, 65, 2), (600, 64, 64), (90, 130, 100), (30, 1024, 20)]
)
def test_flipped_bits_are_as_many_masks(n, k, kept, backend, leave_one_out):
    """More items than a block and than a byte can count, nothing kept and everything kept, bits beyond one word."""
    query, database, query_labels, database_labels = random_pairs(n + k, n, n, k, 3)
    if leave_one_out:
        query, query_labels = database, database_labels
    pairs = hamming.Pairs(query, database, query_labels, database_labels, leave_one_out=leave_one_out, backend=backend)
    rng = np.random.default_rng(0)
    mask = np.zeros(k, np.uint8)
    mask[rng.permutation(k)[:kept]] = 1
    bits = rng.permutation(k)[:12]
    masks = np.repeat(mask[None], len(bits), axis=0)
    masks[np.arange(len(bits)), bits] ^= 1
    many, found = pairs.histograms_many(masks), pairs.histograms_flipped(mask, bits)
    levels = many.counts.shape[2]
    assert found.counts.shape == (n, len(bits), kept + 2)
    assert not found.counts[..., levels:].any()
    assert_counts(found, *(pad_levels(each.swapaxes(0, 1), kept + 2) for each in (many.counts, many.relevant)))
    distinct = pairs.histograms_flipped(mask, bits, distinct=slice(None))
    assert_counts(found, distinct.counts[pairs.row_of_query], distinct.relevant[pairs.row_of_query])
    part = pairs.histograms_flipped(mask, bits, distinct=slice(1, 3))
    assert_counts(part, distinct.counts[1:3], distinct.relevant[1:3])


@pytest.mark.parametrize("leave_one_out", [False, True])
@pytest.mark.parametrize("bits", [np.arange(530), np.arange(700)[::-1], np.array([512, 3, 4, 5, 699, 511])])
def test_both_ways_to_count_flipped_bits_agree(bits, leave_one_out):
    """Of codes that take two tiles, with an item repeated more often than a byte counts."""
    query, database, query_labels, database_labels = random_pairs(5, 20, 900, 700, 3)
    database[100:500], database_labels[100:500] = database[100], database_labels[100]
    database[500:600] = database[600:700]  # twice, with other labels or the same
    if leave_one_out:
        query, query_labels = np.roll(database, 1, axis=0), database_labels
    sets = query, database, query_labels, database_labels
    mask = (np.arange(700) % 40 == 0).astype(np.uint8)
    expected = hamming.Pairs(*sets, leave_one_out=leave_one_out, backend="numpy").histograms_flipped(mask, bits)
    for sliced in (False, True):
        pairs = hamming.Pairs(*sets, leave_one_out=leave_one_out)
        assert pairs._sliced  # long codes, most of them once
        pairs._sliced = sliced
        found = pairs.histograms_flipped(mask, bits)
        assert_counts(found, expected.counts, expected.relevant)


def pad_levels(histogram: np.ndarray, levels: int) -> np.ndarray:
    return np.pad(histogram, ((0, 0), (0, 0), (0, levels - histogram.shape[2])))


@pytest.mark.parametrize("m", [1, 10, 70])
@pytest.mark.parametrize("k", [1, 63, 64, 65, 200, 1024])
def test_planes_and_words_count_the_same(k, m):
    """Subsets on both sides of the size at which counting by planes gives way to counting by words, in one call."""
    pairs = random_pairs(k + m, 7, 1100, k, m, density=0.15)
    fast, slow = (hamming.Pairs(*pairs, backend=backend) for backend in BACKENDS)
    rng = np.random.default_rng(1)
    sizes = sorted({min(k, size) for size in (0, 1, 7, 8, 64, 65, 255, 256, k)})
    masks = np.zeros((len(sizes), k), np.uint8)
    for mask, size in zip(masks, sizes, strict=True):
        mask[rng.permutation(k)[:size]] = 1
    found, expected = fast.histograms_many(masks), slow.histograms_many(masks)
    assert_counts(found, expected.counts, expected.relevant)
    for mask, counts, relevant in zip(masks, found.counts, found.relevant, strict=True):
        alone = fast.histograms_many(mask[None])
        assert_counts(alone, counts[None, :, : mask.sum() + 1], relevant[None, :, : mask.sum() + 1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_queries_are_counted_once_and_each_gets_its_row(backend):
    query, database, query_labels, database_labels = random_pairs(8, 5, 30, 6, 3)
    query[3], query_labels[3] = query[0], query_labels[0]
    query[4], query_labels[4] = query[0], 1 - query_labels[0]  # the same code with other labels is another query
    pairs = hamming.Pairs(query, database, query_labels, database_labels, backend=backend)
    assert pairs.n_distinct == 4
    assert pairs.row_of_query[0] == pairs.row_of_query[3] != pairs.row_of_query[4]
    assert_counts(pairs.histograms(), *count_slowly(query, database, query_labels, database_labels))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bits", [None, [3, 0, 8]])
def test_shards_add_up_to_the_whole(bits, backend):
    query, database, query_labels, database_labels = random_pairs(3, 6, 50, 9, 4)
    cuts = [slice(0, 1), slice(1, 20), slice(20, 50)]
    shards = ((database[cut], database_labels[cut]) for cut in cuts)  # a generator: each is taken once
    found = hamming.histograms_of_shards(query, query_labels, shards, bits=bits, backend=backend)
    whole = hamming.histograms(query, database, query_labels, database_labels, bits=bits, backend=backend)
    assert_counts(found, whole.counts, whole.relevant)


def test_no_shards_is_an_error():
    with pytest.raises(ValueError, match="shards is empty"):
        hamming.histograms_of_shards([[0]], [[1]], [])


@pytest.mark.process
def test_a_second_process_loads_the_compiled_kernel():
    source = """
from hashlib_nb import hamming
from hashlib_nb.hamming import planes
hamming.histograms([[0]], [[1]], [[1]], [[1]])
stats = planes._count_all.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""
    run_python(source)
    assert run_python(source) == "1 0\n"
