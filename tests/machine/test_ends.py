"""How commands end: in one sentence, on Ctrl-C and where nobody reads on, quietly; mistakes keep their traceback."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from hashlib_nb.__main__ import COMMANDS, main
from hashlib_nb.machine import ends
from tests.helpers import ROOT, start_python

NEEDED = {
    "datasets": "lint fashion-mini",
    "selectors": "--codes a.npz --n-bits 2",
    "metrics": "--codes a.npz --out a.json",
    "encode": "a --model a --out a.npy",
    "search": "a --index a",
    "exchange": "a b",
    "records": "verify --log a",
    "video": "index a --index b",
}
"""Words without which a command does not begin."""


def status(*words: str) -> int | str | None:
    """How `hashlib-nb WORDS` ends in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["hashlib-nb", *words])
        try:
            main()
        except SystemExit as stopped:
            return stopped.code
    return 0


@contextmanager
def without_reader() -> Iterator[None]:
    """Print into a pipe that nobody reads, as after `| head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.MonkeyPatch.context() as patch, open(writing, "w") as stream:
        patch.setattr(sys, "stdout", stream)
        yield


@pytest.fixture(autouse=True)
def handler():
    """Python's own handling of Ctrl-C, afterwards as before."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("words", [(), ("--help",), *([word, "--help"] for word in COMMANDS)], ids=" ".join)
def test_where_nobody_reads_on_a_command_ends_quietly(words, capsys):
    with without_reader():
        assert status(*words) == ends.CLOSED
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("word", COMMANDS)
@pytest.mark.parametrize("interrupted", ["importing", "working"])
def test_an_interrupted_command_ends_quietly(word, interrupted, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    name = f"hashlib_nb.{COMMANDS[word][0]}"
    if interrupted == "importing":
        monkeypatch.setattr(importlib, "import_module", stop)
    else:
        monkeypatch.setattr(importlib.import_module(name), "main", stop)
    assert status(word, *NEEDED.get(word, "").split()) == ends.INTERRUPTED
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "interrupted\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("bits is 0; give at least 1"), "bits is 0; give at least 1"),
        (ValueError(), "ValueError"),
        (ValueError("the name is a\nb\udc80"), "the name is a\\x0ab\\x80"),
        (OSError(13, "Permission denied", "a.npz"), "a.npz cannot be used (Permission denied); name another"),
        (ends.CommandError("the notebook stopped"), "the notebook stopped"),
        (MemoryError("Unable to allocate 7 TiB"), "memory is not enough (Unable to allocate 7 TiB); give fewer"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), "memory is not enough ([enf"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory."), "memory is not enough (CUDA out of"),
        (BrokenPipeError(32, "Broken pipe"), "[Errno 32] Broken pipe"),
    ],
)
def test_what_was_given_wrongly_gets_one_sentence(error, said):
    with open(os.devnull, "w") as reader, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", reader)
        with pytest.raises(SystemExit) as stopped, ends.ending():
            raise error
    assert stopped.value.code.startswith(f"error: {said}")
    assert "\n" not in stopped.value.code


@pytest.mark.parametrize("error", [KeyError("a"), IndexError("a"), TypeError("a"), RuntimeError("a"), AssertionError])
def test_a_mistake_in_the_program_keeps_its_traceback(error):
    with pytest.raises(error if isinstance(error, type) else type(error)), ends.ending():
        raise error


def test_an_output_that_is_full_is_told(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert status() == "error: the output cannot be written (No space left on device); send it elsewhere"


def test_an_output_that_is_closed_is_none(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert status() == 0


def test_what_was_printed_comes_before_what_is_said(monkeypatch):
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)
    assert status() == 0
    assert printed.getvalue().startswith("hashlib-nb COMMAND")


@pytest.mark.process
@pytest.mark.parametrize("module", ["hashlib_nb", "hashlib_nb.codes"])
def test_head_ends_a_command_quietly(module):
    command = f"{sys.executable} -m {module} --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    first, last = done.stdout.splitlines()
    assert first.strip()
    assert last in ("0", str(ends.CLOSED))  # 0 where all was written before head left
    assert done.stderr == ""


@pytest.mark.process
@pytest.mark.parametrize("words", [("-m", "hashlib_nb", "encoder"), ("-m", "hashlib_nb.encoder")], ids=" ".join)
@pytest.mark.parametrize("seconds", [0.6, 2.5, 4.0])
def test_an_interrupt_ends_a_process_quietly(words, seconds, tmp_path):
    env = os.environ | {"HASHLIB_NB_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # also where the tests run in a shell's background
    process = subprocess.Popen([sys.executable, *words], env=env, preexec_fn=heard, **pipes)
    time.sleep(seconds)
    said = None
    for _ in range(12):  # code of others that catches everything while it is imported can lose one: press again
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            _, said = process.communicate(timeout=5)
            break
    assert process.returncode in (ends.INTERRUPTED, -signal.SIGINT), said  # the second while the first tidies up
    assert b"Traceback" not in said
    assert said.endswith(b"interrupted\n")


@pytest.mark.process
def test_the_list_of_commands_starts_at_once():
    said = start_python("-X", "importtime", "-m", "hashlib_nb").stderr
    assert "numpy" not in said
