"""Every command: listed, explained option by option, and what cannot be done gets one sentence and a status."""

from __future__ import annotations

import importlib
import re
import runpy
import sys
from collections.abc import Iterator

import pytest

from hashlib_nb import __main__ as hashlib_nb_command
from hashlib_nb.__main__ import COMMANDS
from tests.helpers import start_python

STAGES = ("datasets", "codes", "encoder", "thermometer", "ppo", "selectors", "metrics", "search")
"""Commands that `python -m hashlib_nb.<stage>` starts as well."""


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Help without broken lines."""
    monkeypatch.setenv("COLUMNS", "400")


def status(monkeypatch, *words: str) -> int | str | None:
    """How `hashlib-nb WORDS` ends in this process."""
    monkeypatch.setattr(sys, "argv", ["hashlib-nb", *words])
    try:
        hashlib_nb_command.main()
    except SystemExit as stopped:
        return stopped.code
    return 0


def explained(help_text: str) -> Iterator[tuple[str, str]]:
    """Each argument that a help lists, and what is said of it beside its default; tyro frames both, or indents them."""
    rows = [line[2:].rstrip(" │") for line in help_text.splitlines() if line.startswith(("│ ", "  "))]
    for entry in re.split(r"\n(?=\S)", "\n".join(row for row in rows if row)):
        argument, text = re.fullmatch(r"(\S.*?)(?:\s{2,}(.*))?", entry, re.DOTALL).groups()
        yield argument, re.sub(r"\((default|required)\b.*", "", text or "", flags=re.DOTALL).strip()


@pytest.mark.parametrize("word", COMMANDS)
def test_help_explains_each_option(word, monkeypatch, capsys):
    assert status(monkeypatch, word, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: hashlib-nb {word} ")
    options = dict(explained(shown))
    assert len(options) > 1  # than --help
    assert [option for option, text in options.items() if not text] == []


@pytest.mark.parametrize("word", COMMANDS)
def test_an_unknown_option_ends_with_status_2_before_anything_runs(word, monkeypatch, capsys):
    module = importlib.import_module(f"hashlib_nb.{COMMANDS[word][0]}")
    monkeypatch.setattr(module, "main", lambda _: pytest.fail("began to work"))
    assert status(monkeypatch, word, "--nonsense", "3") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"hashlib-nb {word} --help" in captured.err


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_without_a_word_all_are_listed(words, monkeypatch, capsys):
    assert status(monkeypatch, *words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(COMMANDS)
    for line, (_, does) in zip(lines[1:], COMMANDS.values(), strict=False):
        assert line.endswith(does)


def test_an_unknown_word_gets_one_sentence_and_status_2(monkeypatch, capsys):
    assert status(monkeypatch, "nothing") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: 'nothing' is no command; there are: {', '.join(COMMANDS)}\n"


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_a_stage_is_a_command_under_its_own_module_as_well(stage, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{stage}.py", "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module(f"hashlib_nb.{stage}", run_name="__main__", alter_sys=True)
    assert stopped.value.code in (0, None)
    assert f"usage: python -m hashlib_nb.{stage}" in capsys.readouterr().out


@pytest.mark.process
def test_the_shell_gets_the_list_a_status_and_one_sentence(tmp_path):
    assert start_python("-m", "hashlib_nb").stdout.startswith("hashlib-nb COMMAND ...")
    assert start_python("-m", "hashlib_nb", "nothing", check=False).returncode == 2
    words = ("metrics", "--codes", "nowhere.npz", "--out", "report.json")
    done = start_python("-m", "hashlib_nb", *words, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: nowhere.npz does not exist; run the stage that makes it or name another file\n"
