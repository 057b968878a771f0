"""Records: what a checkpoint holds fast, what a killed writer leaves, and that every byte of every file counts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hashlib_nb.artifacts import ArtifactError
from hashlib_nb.search import Index, Origin, checkpoints, hex_of, merkle, records
from hashlib_nb.search.checkpoints import Consistency, Inclusion, TreeHead
from hashlib_nb.search.records import Log
from tests.helpers import ROOT, hide_packages, refusal, run_main

ORIGIN = Origin("ab" * 32, 12, tuple(range(9)), [0.25] * 9)
CODES = np.random.default_rng(0).integers(0, 2, (8, 9), np.uint8)


@dataclass(frozen=True)
class House:
    """A folder with pictures, their index, the log of its records and the operator's key."""

    folder: Path

    def __getattr__(self, name: str) -> Path:
        """A file in it: `house.old` is old.json."""
        return self.folder / {"log": "log.jsonl", "key": "key.pem", "index": "index"}.get(name, f"{name}.json")

    def picture(self, number: int) -> Path:
        return self.folder / f"{number}.jpg"

    def index_pictures(self, numbers: range) -> None:
        paths = [self.picture(number) for number in numbers]
        for number, path in zip(numbers, paths, strict=True):
            path.write_text(str(number))
        Index(self.index, ORIGIN, self.folder).add(CODES[numbers.start : numbers.stop], paths)

    def add(self, out: Path) -> None:
        run_main(records, "add", "--index", self.index, "--log", self.log, "--key", self.key, "--out", out)

    @property
    def public_key(self) -> str:
        return TreeHead.load(self.new).public_key

    def verify(self, *words: object) -> None:
        run_main(records, "verify", *words, "--public-key", self.public_key)

    def refused(self, *words: object, public_key: str | None = None) -> str:
        return refusal(records, "verify", *words, "--public-key", public_key or self.public_key)


@pytest.fixture
def house(tmp_path) -> House:
    """Five records under the checkpoint old, three more under new, and a proof of each kind."""
    made = House(tmp_path)
    made.index_pictures(range(5))
    made.add(made.old)
    made.index_pictures(range(5, 8))
    made.add(made.new)
    run_main(records, "prove", made.picture(3), "--log", made.log, "--checkpoints", made.new, "--out", made.included)
    run_main(records, "prove", "--log", made.log, "--checkpoints", made.old, made.new, "--out", made.grown)
    return made


def test_a_record_says_what_the_index_holds_of_a_picture(house):
    leaves = Log(house.log).leaves()
    assert [json.loads(leaf)["sha256"] for leaf in leaves] == [
        hashlib.sha256(str(number).encode()).hexdigest() for number in range(8)
    ]
    assert [json.loads(leaf)["code"] for leaf in leaves] == hex_of(CODES)
    about = json.loads(leaves[3])
    assert (about["encoder"], about["outputs"], about["thresholds"]) == (ORIGIN.model, [*range(9)], [0.25] * 9)
    assert leaves[3].startswith(records.START)
    assert leaves[3].rpartition(records.TIME)[2] == f'"{about["time"]}"}}'.encode()


def test_what_is_recorded_already_is_not_recorded_again(house):
    before = house.log.read_bytes()
    house.add(house.new)
    assert house.log.read_bytes() == before


def test_both_proofs_and_the_log_verify(house, capsys):
    house.verify(house.picture(3), "--checkpoints", house.new, "--proof", house.included)
    assert f"number 4 is of {house.picture(3)}, with the code {hex_of(CODES)[3]}" in capsys.readouterr().out
    house.verify("--checkpoints", house.old, house.new, "--proof", house.grown)
    assert "the later ones begin with the earlier ones" in capsys.readouterr().out
    house.verify("--checkpoints", house.old, house.new, "--log", house.log)
    assert "begins with them, and has 8" in capsys.readouterr().out


def test_a_proof_is_for_its_picture_its_checkpoint_and_its_key(house):
    proof = ("--proof", house.included)
    assert "does not show" in house.refused(house.picture(4), "--checkpoints", house.new, *proof)
    assert "does not show" in house.refused(house.picture(3), "--checkpoints", house.old, *proof)
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
    words = (house.picture(3), "--checkpoints", house.new, *proof)
    assert f"is not signed by {stranger}" in house.refused(*words, public_key=stranger)
    house.picture(3).write_text("another picture")
    assert "does not show" in house.refused(*words)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["log", "new", "included", "grown"])
def test_any_byte_flipped_is_rejected(house, file):
    """Each byte of each file, in two ways: all of its bits, and the one that makes small letters of capital ones."""
    public_key, path = house.public_key, getattr(house, file)
    digest = hashlib.sha256(b"3").digest()

    def all_is_well() -> None:
        old, new = TreeHead.load(house.old), TreeHead.load(house.new)
        new.check(public_key)
        new.hashes(Log(house.log).leaves())
        Inclusion.load(house.included).check(new, digest)
        Consistency.load(house.grown).check(old, new)

    all_is_well()
    content = path.read_bytes()
    for place in range(len(content)):
        for flip in (0x20, 0xFF):
            path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
            with pytest.raises(ValueError, match=r"\w"):
                all_is_well()
    path.write_bytes(content)
    all_is_well()


def test_a_record_left_out_changed_or_moved_shows_against_the_checkpoint(house):
    first, second, *rest = house.log.read_bytes().splitlines(keepends=True)
    changed = second.replace(b'"code":"', b'"code":"0')
    for forged in ([first, *rest], [second, first, *rest], [first, changed, *rest], [first, second, *rest][:-1]):
        house.log.write_bytes(b"".join(forged))
        assert "does not begin with the 8 records" in house.refused("--checkpoints", house.new, "--log", house.log)
        words = ("--index", house.index, "--log", house.log, "--key", house.key, "--out", house.new)
        assert "does not begin with the 8 records" in refusal(records, "add", *words)
        assert house.log.read_bytes() == b"".join(forged)


@pytest.mark.parametrize("grown_by", [0, 3])
def test_a_forked_log_is_found_by_two_checkpoints(house, tmp_path, grown_by):
    """The operator shows one log to one house and another to the next; both keep their checkpoint."""
    fork = House(tmp_path / "fork")
    fork.folder.mkdir()
    shutil.copy(house.key, fork.key)
    lines = house.log.read_bytes().splitlines(keepends=True)[: 5 + grown_by]
    fork.log.write_bytes(b"".join([lines[0].replace(b"0.25", b"0.75"), *lines[1:]]))
    leaves = Log(fork.log).leaves()
    TreeHead.sign(leaves, checkpoints.signing_key(fork.key)).save(fork.other)
    both = ("--checkpoints", house.old, fork.other)
    if not grown_by:
        assert "both sign 5 records, and not the same: the log was forked" in house.refused(*both)
    for log in (house.log, fork.log):
        assert "changed, cut or forked" in house.refused(*both, "--log", log) or not grown_by
        assert "changed, cut or forked" in refusal(
            records, "prove", "--log", log, *both, "--out", tmp_path / "proof.json"
        )
    assert "does not show" in house.refused(*both, "--proof", house.grown) or not grown_by


@pytest.mark.parametrize("kept", [1, 8, 9, 40, -1])
def test_a_torn_last_record_is_taken_away_by_the_next_writer(house, kept):
    whole = house.log.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    torn = last[:kept]
    house.log.write_bytes(whole.removesuffix(last) + torn)
    assert len(Log(house.log).leaves()) == 7
    house.add(house.folder / "after.json")
    assert len(Log(house.log).leaves()) == 8
    assert [json.loads(leaf)["code"] for leaf in Log(house.log).leaves()] == hex_of(CODES)
    TreeHead.load(house.old).hashes(Log(house.log).leaves())


def test_a_torn_first_record_is_no_other_programs_file(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    for torn in (b"", b"{", records.START, records.START + b'"8c'):
        log.path.write_bytes(torn)
        assert log.leaves() == []
        assert log.append([{"code": "8c"}]) == 1
        assert len(log.leaves()) == 1


@pytest.mark.parametrize("content", [b"a\n", b"\n", b"[1]\n", b'{"bits": 3}', b"\x00" * 99, b"\n" + records.START])
def test_another_programs_file_is_left_as_it_is(tmp_path, content):
    log = Log(tmp_path / "log.jsonl")
    log.path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"^log: .*log\.jsonl is no log of records; name another file"):
        log.append([{"code": "8c"}])
    assert log.path.read_bytes() == content


WRITER = """
import sys
from pathlib import Path
from hashlib_nb.search import records

log, who = records.Log(Path(sys.argv[1])), sys.argv[2]
for turn in range(int(sys.argv[3])):
    log.append([{"code": f"{who}-{turn}-{part}" + "0" * 20_000} for part in range(3)])
    print(turn + 1, flush=True)
"""


def start_writer(log: Path, who: str, turns: int) -> subprocess.Popen:
    """Begin to append `turns` times three records."""
    command = [sys.executable, "-c", WRITER, str(log), who, str(turns)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.process
def test_a_writer_that_is_killed_loses_nothing_that_it_has_said(tmp_path):
    log, moments = Log(tmp_path / "log.jsonl"), np.random.default_rng(0)
    signed = None
    for who in "abcd":
        writer = start_writer(log.path, who, 100_000)
        writer.stdout.readline()  # from here on it writes
        time.sleep(moments.uniform(0.0, 0.3))
        writer.kill()
        said, _ = writer.communicate()
        leaves = log.leaves()
        assert [json.loads(leaf)["code"][:1] for leaf in leaves].count(who) >= 3 * (1 + said.count(b"\n"))
        if signed is not None:
            signed.hashes(leaves)
        signed = TreeHead.sign(leaves, Ed25519PrivateKey.generate())
    assert log.append([{"code": "last"}]) == 1
    assert log.path.read_bytes().endswith(b"\n")
    signed.hashes(log.leaves())


@pytest.mark.slow
@pytest.mark.process
def test_two_writers_at_once_lose_nothing(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    for writer in [start_writer(log.path, who, 15) for who in "ab"]:
        _, said = writer.communicate(timeout=300)
        assert writer.returncode == 0, said.decode()
    assert len(log.leaves()) == 2 * 15 * 3


def test_the_key_is_its_users_alone_and_is_not_made_anew(house):
    assert stat.S_IMODE(house.key.stat().st_mode) == 0o600
    assert TreeHead.load(house.old).public_key == TreeHead.load(house.new).public_key


def test_a_checkpoint_of_another_operator_is_not_replaced(house):
    before = house.new.read_bytes()
    words = ("--index", house.index, "--log", house.log, "--key", house.folder / "other.pem", "--out", house.new)
    assert "is not signed by" in refusal(records, "add", *words)
    assert house.new.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "--log", "l"), "records add needs index"),
        (
            ("add", "--index", "i", "--log", "l", "--key", "k", "--out", "o", "--proof", "p"),
            "records add takes no proof",
        ),
        (("prove", "--log", "l", "--checkpoints", "c", "--out", "o"), "checkpoints is 1 files"),
        (("prove", "p", "--log", "l", "--checkpoints", "c", "d", "--out", "o"), "checkpoints is 2 files"),
        (("verify", "--checkpoints", "c", "d", "e", "--public-key", "k"), "checkpoints is 3 files"),
        (("verify", "a.jpg", "--checkpoints", "c", "--public-key", "k"), "needs proof of a picture's record"),
    ],
)
def test_a_word_without_what_it_needs_gets_one_sentence(words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in refusal(records, *words)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("public_key", ["3f", "AB" * 32, "zz" * 32, "0" * 64, "ü"])
def test_what_is_no_public_key_is_refused_by_name(house, public_key):
    said = house.refused("--checkpoints", house.new, public_key=public_key)
    assert "public_key is" in said or "is not signed by" in said


def test_a_picture_that_is_not_recorded_has_no_proof(house):
    house.picture(9).write_text("unknown")
    words = (house.picture(9), "--log", house.log, "--checkpoints", house.new, "--out", house.none)
    assert "none of its first 8 records is of a file with SHA-256" in refusal(records, "prove", *words)
    assert not house.none.exists()


@pytest.mark.parametrize("content", ["", "garbage", "rsa"])
def test_a_key_of_another_kind_is_refused(house, content):
    if content == "rsa":
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        content = ec.generate_private_key(ec.SECP256R1()).private_bytes(*form).decode()
    house.key.write_text(content)
    words = ("--index", house.index, "--log", house.log, "--key", house.key, "--out", house.new)
    assert "is no Ed25519 key without a password" in refusal(records, "add", *words)
    assert house.key.read_text() == content


@pytest.mark.parametrize("package", ["rfc8785", "cryptography"])
def test_a_missing_extra_is_one_sentence_with_the_line_for_pip(house, package, monkeypatch):
    hide_packages(monkeypatch, package)
    words = ("--index", house.index, "--log", house.log, "--key", house.key, "--out", house.new)
    assert "python -m pip install 'cryptography" in refusal(records, "add", *words)


def test_a_flood_of_near_duplicates_passes_untouched(tmp_path):
    """What the log does not do: it records files, and says nothing of pictures that look alike."""
    log = Log(tmp_path / "log.jsonl")
    flood = [{"code": "8c41", "sha256": hashlib.sha256(bytes([number])).hexdigest()} for number in range(100)]
    assert log.append(flood) == 100
    head = TreeHead.sign(log.leaves(), Ed25519PrivateKey.generate())
    head.check(head.public_key)
    assert len(head.hashes(log.leaves())) == 100
    assert merkle.root(head.hashes(log.leaves())).hex() == head.root
