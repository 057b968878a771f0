"""Codes to and from faiss' files and NumPy's: the same codes, the same answers, and what is no such file refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlib_nb import artifacts, hamming
from hashlib_nb.search import Index, Origin, exchange
from tests.helpers import assert_same


def codes_of(n: int, k: int, seed: int = 0) -> np.ndarray:
    """Codes of which many are equal, so that answers are tied."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, (max(2, n // 3), k), np.uint8)[rng.integers(0, max(2, n // 3), n)]


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 30), k=st.integers(1, 140), seed=st.integers(0, 2**32 - 1))
def test_codes_come_back_as_they_were(n, k, seed, tmp_path_factory):
    path = tmp_path_factory.mktemp("exchange") / "a.faiss"
    packed = hamming.Packed.of(codes_of(n, k, seed))
    exchange.write_faiss(path, packed)
    assert_same(exchange.read_faiss(path, k), packed)
    assert exchange.read_faiss(path).code_length == 8 * -(-k // 8)


def test_the_file_by_hand(tmp_path):
    exchange.write_faiss(tmp_path / "a.faiss", hamming.Packed.of([[1, 0, 0, 0, 0, 0, 0, 1, 1], [0] * 9]))
    head = b"IBxF" + b"\x10\0\0\0" + b"\x02\0\0\0" + b"\x02" + bytes(7) + b"\1" + b"\1\0\0\0" + b"\x04" + bytes(7)
    assert (tmp_path / "a.faiss").read_bytes() == head + b"\x81\x01\0\0"


@pytest.mark.parametrize("k", [8, 13, 64, 200])
def test_faiss_reads_ours_and_answers_the_same_with_ties(k, tmp_path):
    faiss = pytest.importorskip("faiss")
    database, query = codes_of(300, k), codes_of(7, k, seed=1)
    exchange.write_faiss(tmp_path / "a.faiss", hamming.Packed.of(database))
    index = faiss.read_index_binary(str(tmp_path / "a.faiss"))
    radius = k // 3
    limits, distances, items = index.range_search(hamming.pack_bytes(query), radius + 1)  # faiss leaves out the radius
    ours = hamming.within_radius(query, database, radius)
    np.testing.assert_array_equal(limits, ours.offsets)
    for row in range(len(query)):
        theirs = sorted(
            zip(distances[limits[row] : limits[row + 1]], items[limits[row] : limits[row + 1]], strict=True)
        )
        assert theirs == [*zip(*reversed(ours.of(row)), strict=True)]
    found = index.search(hamming.pack_bytes(query), 50)[0]
    np.testing.assert_array_equal(found, hamming.nearest(query, database, 50).distances)


@pytest.mark.parametrize("k", [8, 64, 200])
def test_ours_reads_what_faiss_writes(k, tmp_path):
    faiss = pytest.importorskip("faiss")
    database = codes_of(50, k)
    index = faiss.IndexBinaryFlat(k)
    index.add(hamming.pack_bytes(database))
    faiss.write_index_binary(index, str(tmp_path / "theirs.faiss"))
    assert_same(exchange.read_faiss(tmp_path / "theirs.faiss"), hamming.Packed.of(database))
    exchange.write_faiss(tmp_path / "ours.faiss", hamming.Packed.of(database))
    assert (tmp_path / "ours.faiss").read_bytes() == (tmp_path / "theirs.faiss").read_bytes()


def test_another_kind_of_index_of_faiss_is_refused(tmp_path):
    faiss = pytest.importorskip("faiss")
    faiss.write_index_binary(faiss.IndexBinaryHash(64, 8), str(tmp_path / "hash.faiss"))
    with pytest.raises(artifacts.ArtifactError, match="another kind"):
        exchange.read_codes(tmp_path / "hash.faiss")


def test_an_index_of_pictures_goes_to_faiss_and_numpy_with_its_order_and_names(tmp_path, capsys):
    codes = codes_of(6, 11)
    index = Index(tmp_path / "index", Origin("ab" * 32, 11, tuple(range(11))))
    index.add(codes, [tmp_path / f"{name}.png" for name in "abcdef"], [bytes([row] * 32) for row in range(6)])
    for ending in exchange.ENDINGS:
        exchange.main(exchange.Args(index.folder, tmp_path / f"out{ending}"))
    said = capsys.readouterr().out
    assert said.count("found codes: an index of pictures, 6 rows of 11 bits") == 3
    assert said.count("without names: item i is row i; read it with code_length 11") == 2
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), hamming.pack_bytes(codes))
    arrays, _ = artifacts.load_npz(tmp_path / "out.npz")
    np.testing.assert_array_equal(arrays["codes"], codes)
    assert arrays["names"].tolist() == [str(path) for path in index.paths()]
    packed = hamming.Packed.of(codes)
    for ending in exchange.ENDINGS:
        length = None if ending == ".npz" else 11
        taken = exchange.read_codes(tmp_path / f"out{ending}", code_length=length)
        assert_same(taken.packed, packed)
        assert (taken.names is None) == (ending != ".npz")
    (found,) = index.search(codes[:1], top=3)
    again = hamming.nearest(codes[:1], exchange.read_faiss(tmp_path / "out.faiss", 11), 3)
    np.testing.assert_array_equal(found.indices, again.indices[0])


def damaged(change) -> bytes:
    head = exchange.HEADER.pack(exchange.FLAT, 16, 2, 3, True, exchange.L2, 6)
    return change(head + bytes(range(6)))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (damaged(lambda whole: whole[:-1]), "3 codes of 16 bits in 2 bytes are not the 5 bytes"),
        (damaged(lambda whole: whole + b"x"), "are not the 7 bytes"),
        (damaged(lambda whole: whole[:20]), "ends within its first 33 bytes"),
        (damaged(lambda whole: b"IxF2" + whole[4:]), "another kind"),
        (damaged(lambda whole: whole[:4] + b"\x11" + whole[5:]), "3 codes of 17 bits"),
        (damaged(lambda whole: whole[:12] + b"\xff" * 8 + whole[20:]), "-1 codes"),
        (damaged(lambda whole: whole[:12] + b"\xff" * 7 + b"\x7f" + whole[20:]), "codes of 16 bits"),
        (b"", "another kind"),
    ],
)
def test_what_is_damaged_is_named(content, sentence, tmp_path):
    (tmp_path / "a.faiss").write_bytes(content)
    with pytest.raises(artifacts.ArtifactError, match=sentence):
        exchange.read_faiss(tmp_path / "a.faiss")


def test_bad_arguments_get_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exchange.write_faiss("full.faiss", hamming.Packed.of(np.ones((2, 16), np.uint8)))
    np.save("codes.npy", codes_of(4, 5))
    Index("index", Origin("ab" * 32, 3, tuple(range(3)))).add(codes_of(1, 3), ["a"], [bytes(32)])
    for call, sentence in (
        (lambda: exchange.write_faiss("a.faiss", codes_of(2, 3)), r"codes is .*; give a hamming.Packed"),
        (lambda: exchange.read_faiss("full.faiss", 12), "code_length is 12, but codes of full.faiss have bits set"),
        (lambda: exchange.read_faiss("full.faiss", 8), "code_length is 8; give a whole number in 9..16"),
        (lambda: exchange.read_codes("full.faiss", codes_array="a"), "full.faiss is no npz file: leave it out"),
        (lambda: exchange.read_codes("index", code_length=3), "code_length is 3, but an index of pictures says"),
        (lambda: exchange.read_codes("nowhere"), "nowhere does not exist"),
        (lambda: exchange.main(exchange.Args("codes.npy", tmp_path / "a.txt")), "give it one of the endings .faiss"),
        (lambda: exchange.main(exchange.Args("codes.npy", tmp_path / "codes.npy")), "codes.npy"),
    ):
        with pytest.raises(ValueError, match=sentence):
            call()
    np.testing.assert_array_equal(np.load("codes.npy"), codes_of(4, 5))
