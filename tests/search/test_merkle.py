"""Merkle trees: published vectors, proofs between all sizes, and what is bent is refused."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlib_nb.search import merkle

LEAVES = [bytes.fromhex(each) for each in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""The vectors of Certificate Transparency's reference for RFC 6962: leaves, and the root over the first n of them."""
INCLUSION = {
    0: ("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"),
    5: ("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
}  # fmt: skip
"""Of the same: proofs of a leaf among all eight."""
HASHES = [merkle.leaf_hash(leaf) for leaf in LEAVES]
MANY = [merkle.leaf_hash(bytes([number])) for number in range(64)]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_published_vectors(size):
    assert merkle.root(HASHES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize("index", INCLUSION)
def test_proofs_are_those_of_the_published_vectors(index):
    assert tuple(each.hex() for each in merkle.inclusion_proof(HASHES, index)) == INCLUSION[index]


def test_proofs_between_two_sizes_are_those_of_the_example_in_rfc_9162():
    """Section 2.1.5: seven leaves, whose nodes are named there."""
    a, b, c, d, e, f, j = HASHES[:7]
    g, h, i = merkle.node_hash(a, b), merkle.node_hash(c, d), merkle.node_hash(e, f)
    k, m = merkle.node_hash(g, h), merkle.node_hash(i, j)
    assert merkle.consistency_proof(HASHES[:7], 3) == [c, d, g, m]
    assert merkle.consistency_proof(HASHES[:7], 4) == [m]
    assert merkle.consistency_proof(HASHES[:7], 6) == [i, j, k]
    assert [merkle.inclusion_proof(HASHES[:7], leaf) for leaf in (0, 3, 4, 6)] == [
        [b, h, m], [c, g, m], [f, j, k], [i, k],
    ]  # fmt: skip


def test_a_leaf_cannot_pass_for_a_node():
    left, right = HASHES[:2]
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)
    assert merkle.leaf_hash(b"x") == hashlib.sha256(b"\0x").digest()


def test_each_prefix_of_up_to_64_leaves_is_consistent_with_each_longer_one_and_no_other():
    roots = [merkle.root(MANY[:size]) for size in range(65)]
    for second in range(1, 65):
        for first in range(1, second + 1):
            proof = merkle.consistency_proof(MANY[:second], first)
            assert len(proof) <= 8
            assert merkle.verify_consistency(first, second, proof, roots[first], roots[second])
            assert not merkle.verify_consistency(first, second, [*proof, roots[1]], roots[first], roots[second])
            if first < second:
                assert not merkle.verify_consistency(first, second, proof[:-1], roots[first], roots[second])
                assert not merkle.verify_consistency(first, second, proof, roots[second], roots[first])
                assert not merkle.verify_consistency(first, second, proof, roots[first - 1], roots[second])


def test_each_leaf_of_each_tree_of_up_to_64_is_included_at_its_place_alone():
    for size in range(1, 65):
        root = merkle.root(MANY[:size])
        for index in range(size):
            proof = merkle.inclusion_proof(MANY[:size], index)
            assert merkle.verify_inclusion(MANY[index], index, size, proof, root)
            assert not merkle.verify_inclusion(MANY[index], (index + 1) % size, size, proof, root) or size == 1
            assert not merkle.verify_inclusion(MANY[index - 1], index, size, proof, root) or size == 1
            assert not merkle.verify_inclusion(MANY[index], index, size, [*proof, root], root)


@given(st.integers(1, 64), st.data())
def test_a_proof_with_a_flipped_bit_shows_nothing(size, data):
    root, index = merkle.root(MANY[:size]), data.draw(st.integers(0, size - 1))
    proof = merkle.inclusion_proof(MANY[:size], index)
    place = data.draw(st.integers(0, len(proof)))
    parts = [*proof, root]
    bent = bytearray(parts[place])
    bent[data.draw(st.integers(0, 31))] ^= 1 << data.draw(st.integers(0, 7))
    parts[place] = bytes(bent)
    assert not merkle.verify_inclusion(MANY[index], index, size, parts[:-1], parts[-1])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0), (10**30, 10**40)])
def test_a_place_that_is_not_there_is_not_included(index, size):
    assert not merkle.verify_inclusion(MANY[0], index, size, [], MANY[0])


def test_a_proof_of_any_length_ends():
    assert not merkle.verify_inclusion(MANY[0], 0, 2**5000, [MANY[1]] * 4999, MANY[0])
    assert not merkle.verify_consistency(3, 2**5000, [MANY[1]] * 4999, MANY[0], MANY[1])


def test_what_has_no_proof_is_refused_by_name():
    with pytest.raises(ValueError, match="^index is 4; .*the tree has 4 leaves"):
        merkle.inclusion_proof(MANY[:4], 4)
    for first in (0, 5):
        with pytest.raises(ValueError, match=f"^first is {first}; .*the tree has 4 leaves"):
            merkle.consistency_proof(MANY[:4], first)
