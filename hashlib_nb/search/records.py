"""Records that nobody rewrites unnoticed: an append-only log of what an index holds, and signed checkpoints of it.

    hashlib-nb records add --index photos-index --log log.jsonl --key key.pem --out checkpoint.json
    hashlib-nb records prove a.jpg --log log.jsonl --checkpoints checkpoint.json --out proof.json
    hashlib-nb records prove --log log.jsonl --checkpoints old.json new.json --out proof.json
    hashlib-nb records verify a.jpg --checkpoints checkpoint.json --proof proof.json --public-key 3f..
    hashlib-nb records verify --log log.jsonl --checkpoints old.json new.json --public-key 3f..

A record is a line of JSON in its canonical form (RFC 8785): the SHA-256 of a picture's file, its code, the encoder's
SHA-256, the outputs and logits that the bits ask, and the time. Records are the leaves of a Merkle tree (`merkle`), and
a checkpoint (`checkpoints`) is its size and root, signed with Ed25519.

What this proves: once a checkpoint has left the house, its operator cannot change, drop or reorder what it covers
without being found out by whoever has it. It proves neither that a picture is the only one of its kind (one pixel more
is another file), nor who made it, nor that code and clock were right, nor that something was never recorded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from hashlib_nb import artifacts
from hashlib_nb.artifacts import ArtifactError, shown
from hashlib_nb.search.checkpoints import Consistency, Inclusion, TreeHead, canonical, now, signing_key
from hashlib_nb.search.index import Index
from hashlib_nb.search.origin import hex_of

START, TIME = b'{"code":', b',"time":'
"""How every record begins, by which a log is known, and what stands before its last value, the time."""


def records_of(index: Index) -> list[dict[str, Any]]:
    """A record for each picture of an index, in its order, without the time. Raises ValueError for an empty one."""
    with index.snapshot() as held:
        asks = {"encoder": index.origin.model, "outputs": index.origin.outputs, "thresholds": index.origin.thresholds}
        pairs = zip(hex_of(held.unpacked()), held.digests(), strict=True)
        return [{"code": code, "sha256": digest.hex(), **asks} for code, digest in pairs]


@dataclass(frozen=True)
class Log:
    """A file of records, a line each, to which lines are only ever added."""

    path: Path
    """The file; it need not be there yet."""

    def leaves(self) -> list[bytes]:
        """The records, without what a writer left that was killed in the middle of a line.

        Raises:
            ArtifactError: the file is no log.
        """
        artifacts.check_regular(self.path, "log of records")
        content = self.path.read_bytes() if self.path.exists() else b""
        *lines, torn = content.split(b"\n")
        first = lines[0] if lines else torn
        if first[: len(START)] != START[: len(first) if not lines else None]:
            raise ArtifactError(f"log: {shown(self.path)} is no log of records; name another file")
        return lines

    def append(self, records: Iterable[Mapping[str, Any]]) -> int:
        """Add those records that the log does not have, at whatever time, and wait until they are on the disk.

        What a killed writer left of a line is taken away first.

        Returns:
            How many were added.
        """
        time = now()
        with artifacts.locked(self.path):
            leaves = self.leaves()
            known = {leaf.rpartition(TIME)[0] for leaf in leaves}
            lines = {line.rpartition(TIME)[0]: line for line in (canonical({**each, "time": time}) for each in records)}
            new = [line + b"\n" for bare, line in lines.items() if bare not in known]
            with open(self.path, "ab") as file:
                file.truncate(sum(len(leaf) + 1 for leaf in leaves))
                file.write(b"".join(new))
                file.flush()
                os.fsync(file.fileno())
        return len(new)


TAKES = {
    "add": ({"log", "index", "key", "out"}, set()),
    "prove": ({"log", "checkpoints", "out"}, {"picture"}),
    "verify": ({"checkpoints", "public_key"}, {"picture", "log", "proof"}),
}
"""Options that each word needs, and those that it takes as well."""


@dataclass(frozen=True)
class Args:
    """Keep a log of an index' records that cannot be rewritten unnoticed, prove what is in it, and verify that."""

    command: Annotated[Literal["add", "prove", "verify"], tyro.conf.Positional]
    """add what an index holds to a log and sign a checkpoint of it; prove that a picture is recorded, or that the log
    only grew between two checkpoints; verify a proof without the log, or the log itself"""
    picture: Annotated[Path | None, tyro.conf.Positional] = None
    """prove and verify: the picture whose record it is about; None is about two checkpoints"""
    log: Path | None = None
    """file of records; add makes it where it is missing"""
    index: Path | None = None
    """add: folder of an index, as hashlib-nb encode writes it; what the log has already is not added again"""
    key: Path | None = None
    """add: file of the operator's private key, made where it is missing; keep it where nobody else can read it"""
    checkpoints: tuple[Path, ...] = ()
    """prove and verify: one, or the older and the newer of two"""
    proof: Path | None = None
    """verify: what prove wrote"""
    public_key: str | None = None
    """verify: the operator's public key in 64 hex digits, as add prints it, had from somebody to be trusted"""
    out: Path | None = None
    """add: the checkpoint; one that is there must fit the log, and is replaced. prove: the proof"""


def main(args: Args) -> None:
    """Run a word of the command. Raises ValueError for what cannot be used, and for what does not hold."""
    _check(args)
    {"add": _add, "prove": _prove, "verify": _verify}[args.command](args)


def _check(args: Args) -> None:
    """Raise ValueError unless a word has what it needs, and no more."""
    needs, also = TAKES[args.command]
    given = {field.name for field in fields(args)[1:] if getattr(args, field.name) not in (None, ())}
    for name, does in (
        (min(needs - given, default=""), "needs"),
        (min(given - needs - also, default=""), "takes no"),
    ):
        if name:
            raise ValueError(f"records {args.command} {does} {name}; see hashlib-nb records --help")
    wanted = {1} if args.picture else {2} if args.command == "prove" or args.proof else {1, 2}
    if args.checkpoints and len(args.checkpoints) not in wanted:
        raise ValueError(
            f"checkpoints is {len(args.checkpoints)} files; give one with a picture, two with another proof"
        )
    if args.command == "verify" and args.picture and not args.proof:
        raise ValueError("records verify needs proof of a picture's record: give what records prove wrote with --proof")
    if args.command != "add" and args.log and not args.log.exists():
        raise ValueError(f"log: {shown(args.log)} does not exist; name the one that records add wrote")


def _add(args: Args) -> None:
    artifacts.check_writable(args.out, artifacts.replaces_json("public_key", "root", "signature"))
    artifacts.check_writable(args.log)
    records, log = records_of(Index(args.index)), Log(args.log)
    log.leaves()  # refused before a key is made
    key = signing_key(args.key)
    if args.out.is_file() and args.out.stat().st_size:
        signed = TreeHead.load(args.out)
        signed.check(key.public_key().public_bytes_raw().hex())
        signed.hashes(log.leaves())  # what was signed once must be there still
    added = log.append(records)
    head = TreeHead.sign(log.leaves(), key)
    head.save(args.out)
    print(f"{shown(log.path)}: {added:,} records added, {head.size:,} in all; {shown(args.out)} signs them")
    print(f"public key {head.public_key}")


def _prove(args: Args) -> None:
    artifacts.check_writable(args.out, artifacts.replaces_json("hashes"))
    leaves, heads = Log(args.log).leaves(), [TreeHead.load(path) for path in args.checkpoints]
    if args.picture:
        proof = Inclusion.of(leaves, *heads, artifacts.sha256(args.picture))
    else:
        proof = Consistency.of(leaves, *heads)
    proof.save(args.out)
    print(f"{shown(args.out)} has the proof, {len(proof.hashes)} hashes")


def _verify(args: Args) -> None:
    heads = [TreeHead.load(path) for path in args.checkpoints]
    for head in heads:
        head.check(args.public_key)
    if len({(head.size, head.root) for head in heads}) > len({head.size for head in heads}):
        raise ValueError(f"checkpoints: both sign {heads[0].size:,} records, and not the same: the log was forked")
    said = [f"the checkpoint of {head.time} signs {head.size:,} records" for head in heads]
    if args.log:
        leaves = Log(args.log).leaves()
        for head in heads:
            head.hashes(leaves)
        said.append(f"{shown(args.log)} begins with them, and has {len(leaves):,}")
    if args.proof and args.picture:
        found = Inclusion.load(args.proof)
        found.check(*heads, artifacts.sha256(args.picture))
        said.append(f"number {found.index + 1:,} is of {shown(args.picture)}, with the code {found.record.get('code')}")
    elif args.proof:
        Consistency.load(args.proof).check(*heads)
        said.append("the later ones begin with the earlier ones")
    print(*map(artifacts.printable, said), sep="\n")


if __name__ == "__main__":
    artifacts.run(main, Args)
