"""Signed checkpoints of a log of records, and the proofs that lead to them: small files that travel without the log.

Each is a line of JSON in its canonical form (RFC 8785), every byte of which counts: a file that was changed anywhere is
refused, as no such file or because what it says does not hold.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hashlib_nb import artifacts, checks
from hashlib_nb.artifacts import ArtifactError, shown
from hashlib_nb.search import merkle

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


KINDS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: type(value) is int and value >= 0,
    "str": lambda value: isinstance(value, str),
    "dict[str, Any]": lambda value: isinstance(value, dict),
    "list[str]": lambda value: isinstance(value, list) and all(re.fullmatch("[0-9a-f]{64}", each) for each in value),
}
"""What the fields of a `Document` may hold."""


def check_extra() -> None:
    """Raise ValueError where the packages of the extra "records" are missing."""
    checks.packages("records", "cryptography>=44,<51", "rfc8785>=0.1.4,<1")


def canonical(value: Any) -> bytes:
    """JSON as RFC 8785 writes it, so that equal values are equal bytes. Raises ValueError for what has no such form."""
    check_extra()
    import rfc8785  # here, since nothing else needs the extra "records"

    return rfc8785.dumps(value)


def unhex(text: str) -> bytes:
    """Bytes of lower-case hex digits, so that there is one text for them. Raises ValueError for anything else."""
    if bytes.fromhex(text).hex() != text:
        raise ValueError(f"{checks.shown(text)} is not written in lower-case hex digits")
    return bytes.fromhex(text)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file (PKCS 8), which only its user may read; made where there is none.

    Raises:
        ValueError: the file holds another kind of key, one with a password, or none.
    """
    check_extra()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    artifacts.check_regular(path, "key")
    if not path.exists():
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        before = os.umask(0o077)
        try:
            with artifacts.locked(path), artifacts.atomic(path) as partial:
                partial.write_bytes(Ed25519PrivateKey.generate().private_bytes(*form))
        finally:
            os.umask(before)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"key: {shown(path)} is no Ed25519 key without a password; name a new file to make one in")
    return key


class Document:
    """A file with one line of canonical JSON, whose fields are a dataclass'; every byte of it counts."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read one. Raises ArtifactError where the file is missing, of another kind, or changed in a way that shows."""
        check_extra()
        found = artifacts.load_json(path)
        try:
            whole = {*found} == {field.name for field in fields(cls)}
            whole = whole and all(KINDS[field.type](found[field.name]) for field in fields(cls))
            if whole and Path(path).read_bytes() == canonical(found) + b"\n":
                return cls(**found)
        except (TypeError, ValueError, RecursionError):  # what is no object, or has no canonical form
            pass
        raise ArtifactError(f"{shown(path)} is no {cls.__name__} as hashlib-nb records writes it; name another file")

    def save(self, path: Path) -> None:
        """Write it, all or nothing."""
        with artifacts.atomic(path) as partial:
            partial.write_bytes(canonical(asdict(self)) + b"\n")


@dataclass(frozen=True)
class TreeHead(Document):
    """A checkpoint: how many records a log has, and their root, signed. Who keeps one can tell what was changed."""

    public_key: str
    """The operator's, 64 hex digits: worth something once it is compared with one that came another way."""
    root: str
    """Of the Merkle tree over the records, 64 hex digits."""
    size: int
    """How many records there are."""
    time: str
    """When, by the operator's clock."""
    signature: str = ""
    """Ed25519 over the canonical form of the rest, 128 hex digits."""

    @classmethod
    def sign(cls, leaves: Sequence[bytes], key: Ed25519PrivateKey) -> TreeHead:
        """The checkpoint of a log with these records."""
        root = merkle.root([*map(merkle.leaf_hash, leaves)])
        head = cls(key.public_key().public_bytes_raw().hex(), root.hex(), len(leaves), now())
        return replace(head, signature=key.sign(head.signed).hex())

    @property
    def signed(self) -> bytes:
        """What is signed."""
        return canonical(asdict(self) | {"signature": ""})

    def hashes(self, leaves: Sequence[bytes]) -> list[bytes]:
        """The hashes of the records that are covered. Raises ValueError where those of a log are not what is signed."""
        hashes = [*map(merkle.leaf_hash, leaves[: self.size])]
        if len(hashes) < self.size or merkle.root(hashes).hex() != self.root:
            raise ValueError(
                f"log: it does not begin with the {self.size:,} records that the checkpoint of {self.time} signs, but "
                "was changed, cut or forked, or is another log"
            )
        return hashes

    def check(self, public_key: str) -> None:
        """Raise ValueError unless the owner of this key, 64 hex digits, has signed the checkpoint."""
        check_extra()
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = Ed25519PublicKey.from_public_bytes(unhex(public_key))
        except ValueError:
            raise ValueError(
                f"public_key is {checks.shown(public_key)}; give 64 hex digits, as records add prints"
            ) from None
        try:
            key.verify(unhex(self.signature), self.signed)
        except (InvalidSignature, ValueError):
            raise ValueError(f"the checkpoint of {self.time} is not signed by {public_key}: do not trust it") from None


@dataclass(frozen=True)
class Inclusion(Document):
    """That a record is in a log: the hashes that lead from it to the root of a checkpoint."""

    hashes: list[str]
    """Each 64 hex digits, the lowest first."""
    index: int
    """The record's number in the log, from 0."""
    record: dict[str, Any]
    """The record itself."""

    @classmethod
    def of(cls, leaves: Sequence[bytes], head: TreeHead, digest: bytes) -> Inclusion:
        """The proof for the latest record of a file with this SHA-256. Raises ValueError where there is none."""
        hashes, wanted = head.hashes(leaves), f'"sha256":"{digest.hex()}"'.encode()
        found = [place for place, leaf in enumerate(leaves[: head.size]) if wanted in leaf]
        if not found:
            raise ValueError(f"log: none of its first {head.size:,} records is of a file with SHA-256 {digest.hex()}")
        proof = [each.hex() for each in merkle.inclusion_proof(hashes, found[-1])]
        return cls(proof, found[-1], json.loads(leaves[found[-1]]))

    def check(self, head: TreeHead, digest: bytes) -> None:
        """Raise ValueError unless this shows that a file with this SHA-256 is recorded under a checkpoint."""
        leaf = merkle.leaf_hash(canonical(self.record))
        if self.record.get("sha256") != digest.hex() or not merkle.verify_inclusion(
            leaf, self.index, head.size, [*map(unhex, self.hashes)], unhex(head.root)
        ):
            raise ValueError(
                f"the proof does not show that {digest.hex()} is recorded under the checkpoint of {head.time}"
            )


@dataclass(frozen=True)
class Consistency(Document):
    """That a log only grew from one checkpoint to a later one: the hashes that lead to both roots."""

    hashes: list[str]
    """Each 64 hex digits, the lowest first."""

    @classmethod
    def of(cls, leaves: Sequence[bytes], old: TreeHead, new: TreeHead) -> Consistency:
        """The proof. Raises ValueError where the log does not have what both sign, or the older one signs more."""
        old.hashes(leaves)
        return cls([each.hex() for each in merkle.consistency_proof(new.hashes(leaves), old.size)])

    def check(self, old: TreeHead, new: TreeHead) -> None:
        """Raise ValueError unless this shows that what the older checkpoint signs is the beginning of the newer's."""
        roots = unhex(old.root), unhex(new.root)
        if not merkle.verify_consistency(old.size, new.size, [*map(unhex, self.hashes)], *roots):
            raise ValueError(
                f"the proof does not show that the log only grew between the checkpoints of {old.time} and {new.time}"
            )
