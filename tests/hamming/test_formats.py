"""Codes and labels of other programs: what is found is what was written, and packed codes keep their distances."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import hamming
from hashlib_nb.hamming import as_codes, as_labels, pack_bytes, unpack_bytes

RNG = np.random.default_rng(0)
CODES = RNG.integers(0, 2, (40, 21)).astype(np.uint8)


@given(st.integers(1, 70), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_packing_is_undone(k, seed):
    codes = np.random.default_rng(seed).integers(0, 2, (9, k)).astype(np.uint8)
    packed = pack_bytes(codes)
    assert packed.dtype == np.uint8
    assert packed.shape == (9, -(-k // 8))
    for j in range(k):
        np.testing.assert_array_equal(packed[:, j // 8] >> (j % 8) & 1, codes[:, j])
    if packed.max() > 1:
        np.testing.assert_array_equal(as_codes(packed, k)[0], codes)


def test_packed_codes_keep_their_distances():
    packed = pack_bytes(CODES)
    distances = np.bitwise_count(packed[:, None] ^ packed).sum(axis=2)
    np.testing.assert_array_equal(distances, hamming.distances(CODES, CODES))


def test_faiss_finds_the_same_distances():
    faiss = pytest.importorskip("faiss")
    packed = pack_bytes(CODES)
    index = faiss.IndexBinaryFlat(8 * packed.shape[1])
    index.add(packed)
    found, _ = index.search(packed, len(CODES))
    np.testing.assert_array_equal(found, np.sort(hamming.distances(CODES, CODES), axis=1))


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (CODES, "0/1"),
        (CODES.astype(np.int64), "0/1"),
        (CODES.astype(np.float16), "0/1"),
        (CODES.astype(bool), "bool"),
        (2 * CODES.astype(np.int8) - 1, "-1/+1"),
        (2.0 * CODES - 1, "-1/+1"),
        (np.packbits(CODES, axis=1, bitorder="little"), "packed bytes, 21 bits in little bit order"),
        (np.asfortranarray(CODES), "0/1"),
    ],
)
def test_codes_in_every_format(array, found):
    codes, said = as_codes(array, 21 if "packed" in found else None)
    assert said == found
    assert codes.dtype == np.uint8
    np.testing.assert_array_equal(codes, CODES)


def test_packed_codes_have_eight_bits_a_byte_unless_told():
    codes, found = as_codes(pack_bytes(CODES))
    assert found == "packed bytes, 24 bits in little bit order"
    np.testing.assert_array_equal(codes, np.pad(CODES, ((0, 0), (0, 3))))


@pytest.mark.parametrize(
    ("array", "code_length", "sentence"),
    [
        (CODES[0], None, r"codes is uint8 \[21\]; give 0/1 or -1/\+1"),
        (CODES.astype(str), None, r"codes is <U\d \[40, 21\]"),
        (CODES * 3.0, None, "codes is float64 with values from 0.0 to 3.0, neither 0/1 nor"),
        (np.sign(CODES - 0.0) - np.eye(40, 21), None, "values from -1.0 to 1.0, neither"),
        (2 * CODES.astype(np.int8), None, "codes is int8 with values from 0 to 2"),
        (np.full((3, 2), np.nan), None, "values from nan to nan"),
        (CODES, 20, "code_length is for packed codes"),
        (pack_bytes(CODES), 16, r"code_length is 16; .* in 17\.\.24 \(codes has 3 bytes a row\)"),
        (pack_bytes(CODES), 25, r"code_length is 25; give a whole number in 17\.\.24"),
        (pack_bytes(CODES), 20.5, r"code_length is 20\.5; give a whole number in 17\.\.24"),
        (np.packbits(CODES, axis=1), 21, "codes has bits set beyond code_length, 21, .* numpy's own .big. bit order"),
        (CODES * 255, None, r"codes is uint8 of 0 and 255 alone, .* give \(x > 0\) for one, or code_length"),
        (CODES[:0], None, r"codes is empty, shape \[0, 21\]"),
        (None, None, "codes is None; give 0/1 or"),
        ([[0, 1], [1]], None, "codes is no array"),
        (np.full((1, 9000), 2, np.uint8), None, "codes has 72000 bits per code; at most 65535"),
    ],
)
def test_other_codes_get_a_sentence(array, code_length, sentence):
    with pytest.raises(ValueError, match=sentence):
        as_codes(array, code_length)


@pytest.mark.parametrize(
    "indices",
    [
        np.array([7, -1, 7, 3]),
        np.array([2.0, 1.0, 2.0, 5.0]),
        np.array(["cat", "ant", "cat", "dog"]),
        np.array([[2], [0], [2], [7]]),
    ],
)
def test_class_indices(indices):
    labels, found = as_labels(indices)
    assert found == "class indices, 3 classes"
    assert labels.dtype == np.int64
    assert labels.tolist() == np.unique(indices, return_inverse=True)[1].ravel().tolist()


def test_two_classes_may_be_written_as_0_and_1():
    assert as_labels(np.array([0, 1, 1]))[0].tolist() == [0, 1, 1]
    assert as_labels(np.array([[False], [True], [True]]))[1] == "class indices, 2 classes"


@pytest.mark.parametrize("kind", [np.uint8, bool, np.float64])
def test_a_label_matrix(kind):
    matrix = RNG.integers(0, 2, (6, 5)).astype(kind)
    labels, found = as_labels(matrix)
    assert found == "0/1 matrix, 5 concepts"
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, matrix)


@pytest.mark.parametrize(
    "array", [np.array([0.5, 1]), np.array([np.nan, 1]), np.full((3, 2), 2), np.zeros((2, 2, 2)), np.zeros(0)]
)
def test_other_labels_get_a_sentence(array):
    with pytest.raises(ValueError, match=r"labels is \w+ \[.*give a 0/1 matrix"):
        as_labels(array)


@pytest.mark.parametrize("form", [list, np.asarray, torch.tensor])
def test_lists_and_tensors_are_read_as_arrays(form):
    np.testing.assert_array_equal(as_codes(form(CODES.tolist()))[0], CODES)
    np.testing.assert_array_equal(as_labels(form([5, 2, 5]))[0], [1, 0, 1])
    np.testing.assert_array_equal(pack_bytes(form(CODES.tolist())), pack_bytes(CODES))


@given(st.integers(1, 70), st.booleans())
def test_packed_codes_in_the_other_bit_order_lose_nothing_without_a_word(k, numpys_order):
    codes = np.random.default_rng(k).integers(0, 2, (9, k)).astype(np.uint8)
    codes[0, -min(k, 7) :] = 1  # the last byte's bits
    packed = np.packbits(codes, axis=1, bitorder="big" if numpys_order else "little")
    if numpys_order and k % 8:
        with pytest.raises(ValueError, match="packed has bits set beyond code_length"):
            unpack_bytes(packed, k)
    elif not numpys_order:
        np.testing.assert_array_equal(unpack_bytes(packed, k), codes)


@pytest.mark.parametrize(
    ("codes", "sentence"),
    [
        (CODES.astype(np.int8) * 2 - 1, r"codes has values from -1 to 1; map -1/\+1 to 0/1"),
        (CODES * 255, "codes has values from 0 to 255"),
        (CODES * 1.0, "codes is float64; expected 0/1 integers"),
        (CODES[0], r"codes has shape \[21\]"),
    ],
)
def test_what_is_no_code_is_not_packed(codes, sentence):
    for pack in (pack_bytes, hamming.pack):
        with pytest.raises(ValueError, match=sentence):
            pack(codes)


@pytest.mark.parametrize("packed", [CODES.astype(int), CODES[0], None, np.zeros((3, 0), np.uint8)])
def test_what_is_no_packed_code_is_not_unpacked(packed):
    with pytest.raises(ValueError, match=r"packed is .*; give packed bytes, uint8 \[n, k/8\]"):
        unpack_bytes(packed, 8)
