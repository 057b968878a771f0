"""Merkle trees of RFC 6962 and their proofs (RFC 9162, section 2.1), each as the recursion that defines it.

A tree of n leaves is split at the largest power of two below n. Its root names all leaves in their order in 32 bytes; a
proof of about log2(n) hashes shows that a leaf is among them, or that one tree begins with all leaves of another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hashlib_nb import checks

LONGEST = 64
"""Hashes in a proof, at most: a tree of 2^63 leaves needs no more."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of a leaf, with a 0 before it, so that no leaf can pass for a node."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of what is above two nodes, with a 1 before them."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes: Sequence[bytes]) -> bytes:
    """The root of a tree, of the hashes of its leaves (`leaf_hash`); without leaves, SHA-256 of nothing."""
    if len(hashes) < 2:
        return hashes[0] if hashes else hashlib.sha256().digest()
    k = _split(len(hashes))
    return node_hash(root(hashes[:k]), root(hashes[k:]))


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Hashes that lead from leaf `index` to the root: the other half at each split, the lowest first.

    Raises:
        ValueError: there is no such leaf.
    """
    index = checks.count(index, "index", least=0, most=len(hashes) - 1, why=f"the tree has {len(hashes)} leaves")
    if len(hashes) == 1:
        return []
    k = _split(len(hashes))
    if index < k:
        return [*inclusion_proof(hashes[:k], index), root(hashes[k:])]
    return [*inclusion_proof(hashes[k:], index - k), root(hashes[:k])]


def consistency_proof(hashes: Sequence[bytes], first: int) -> list[bytes]:
    """Hashes that show that a tree begins with the leaves of its own first `first` ones; none where these are all.

    Raises:
        ValueError: `first` is 0 or more than there are leaves.
    """
    first = checks.count(first, "first", least=1, most=len(hashes), why=f"the tree has {len(hashes)} leaves")
    return _subproof(hashes, first, known=True)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a proof shows that the leaf with this hash is number `index` (from 0) in the tree of that root.

    Args:
        leaf: the leaf's hash.
        index: 0..size - 1.
        size: leaves of the tree.
        proof: of `inclusion_proof`.
        root: the tree's.
    """
    return 0 <= index < size and len(proof) <= LONGEST and _root_above(leaf, index, size, [*proof]) == root


def verify_consistency(first: int, second: int, proof: Sequence[bytes], old: bytes, new: bytes) -> bool:
    """Whether a proof shows that the tree of root `new` begins with all leaves of the one of root `old`.

    Args:
        first: leaves of the older tree, at least 1.
        second: leaves of the newer one.
        proof: of `consistency_proof`.
        old: the older root.
        new: the newer one.
    """
    if not 1 <= first <= second or len(proof) > LONGEST:
        return False
    return _both_roots(first, second, [*proof], old, known=True) == (old, new)


def _split(n: int) -> int:
    """The largest power of two below n, which is at least 2."""
    return 1 << (n - 1).bit_length() - 1


def _subproof(hashes: Sequence[bytes], m: int, known: bool) -> list[bytes]:
    """SUBPROOF of RFC 9162; `known` says whether the first m leaves are the whole older tree, whose root is known."""
    if m == len(hashes):
        return [] if known else [root(hashes)]
    k = _split(len(hashes))
    if m <= k:
        return [*_subproof(hashes[:k], m, known), root(hashes[k:])]
    return [*_subproof(hashes[k:], m - k, False), root(hashes[:k])]


def _root_above(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """The root that a proof leads to; None for one of another length than the tree asks for."""
    if size == 1 or not proof:
        return leaf if size == 1 and not proof else None
    *rest, other = proof
    k = _split(size)
    below = _root_above(leaf, index, k, rest) if index < k else _root_above(leaf, index - k, size - k, rest)
    if below is None:
        return None
    return node_hash(below, other) if index < k else node_hash(other, below)


def _both_roots(m: int, n: int, proof: list[bytes], old: bytes, known: bool) -> tuple[bytes, bytes] | None:
    """Roots of the first m and of all n leaves that a proof leads to; None for one of another length."""
    if m == n:
        hashes = [old] * known + proof
        return (hashes[0], hashes[0]) if len(hashes) == 1 else None
    if not proof:
        return None
    *rest, other = proof
    k = _split(n)
    if m <= k:
        below = _both_roots(m, k, rest, old, known)
        return below and (below[0], node_hash(below[1], other))
    below = _both_roots(m - k, n - k, rest, old, False)
    return below and (node_hash(other, below[0]), node_hash(other, below[1]))
