"""The files around the package agree with each other."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import tyro
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import hashlib_nb
from hashlib_nb.__main__ import COMMANDS
from tests.helpers import ROOT

CONDA_NAMES = {"torch": "pytorch"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(*extras: str) -> list[Requirement]:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    lines = sum((project["optional-dependencies"][extra] for extra in extras), project["dependencies"])
    return [Requirement(line) for line in lines]


def repository_files() -> list[Path]:
    """Files in version control, and those that would be if everything were committed."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_conda_environment_and_pyproject_ask_for_the_same():
    python, _, *conda, from_pip = yaml.safe_load(read("environment.yml"))["dependencies"]
    assert python == "python =3.11"
    *from_pypi, editable = from_pip["pip"]
    assert editable == "-e .[test]"
    lines = (line.partition(" ") for line in [*conda, *from_pypi])
    asked = {name: SpecifierSet(versions) for name, _, versions in lines}
    assert asked == {CONDA_NAMES.get(wanted.name, wanted.name): wanted.specifier for wanted in requirements("test")}


def test_constraints_pin_every_dependency_within_its_range():
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in lines)
    pinned = dict(line.split("==") for line in lines)
    for wanted in requirements("test", "tuning", "scale", "records", "video", "bench"):
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), wanted
    assert len(pinned) == len(lines)


def test_every_pinned_version_takes_the_oldest_python_that_the_package_takes():
    oldest = re.fullmatch(r">=(\d+\.\d+)", tomllib.loads(read("pyproject.toml"))["project"]["requires-python"])[1]
    assert f"Python {oldest} or later" in read("README.md")
    for name in re.findall(r"^([a-z0-9-]+)==", read("constraints.txt"), re.MULTILINE):
        try:
            wanted = metadata.metadata(name).get("Requires-Python") or ""
        except metadata.PackageNotFoundError:  # of an extra that is not installed here
            continue
        assert SpecifierSet(wanted).contains(f"{oldest}.0"), f"{name} wants Python {wanted}"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_lists_every_target():
    shown = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)[1].split()
    assert {"help", "install", "course", "check", "test", "bench", "lab", "lint", "clean"} <= set(phony)
    for target in phony:
        assert re.search(rf"make {target} +\w", shown), target


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_old_python_gets_one_clear_sentence(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    done = subprocess.run(["make", "-C", str(tmp_path), "install", "PYTHON=false"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed, and false is not" in done.stdout + done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_torch_for_cpus_comes_first_and_from_pytorchs_own_index(tmp_path):
    pytorch, rest = pip_commands(tmp_path, "TORCH=cpu")
    wheels = "https://download.pytorch.org/whl/cpu"
    assert pytorch.endswith(f"-c constraints.txt --no-deps --index-url {wheels} torch torchvision")
    assert rest.endswith("-c constraints.txt -e '.[test]'")
    assert pip_commands(tmp_path) == [rest]


def pip_commands(folder: Path, *words: str) -> list[str]:
    """What `make install` would tell pip in a folder with the files that it reads."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    command = ["make", "-C", str(folder), "-n", "install", *words]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if " -m pip install " in line]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_another_word_for_torch_gets_one_clear_sentence(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    command = ["make", "-C", str(tmp_path), "install", "TORCH=gpu", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "TORCH is gpu: say TORCH=cpu, or leave it out" in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_readme_names_the_command_that_ci_runs():
    readme, ci = read("README.md"), read(".ci/run")
    assert "make course" in readme
    assert "make test" in readme
    assert ci.rstrip().endswith("make test")


def test_the_workflow_calls_targets_there_are_and_actions_as_they_were_reviewed():
    """GitHub's own schema is not at hand: what can be known here is that it is YAML of jobs whose steps name things."""
    workflow = yaml.load(read(".github/workflows/book.yml"), yaml.BaseLoader)  # "on" is a word here, and no boolean
    jobs = workflow["jobs"]
    assert {*workflow["on"]} == {"push", "pull_request", "workflow_dispatch"}
    assert jobs["publish"]["needs"] == ["test", "build"]
    assert {*jobs["publish"]["needs"]} < {*jobs}
    steps = [step for job in jobs.values() for step in job["steps"]]
    called = [step["run"].split() for step in steps if "run" in step]
    phony = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)[1].split()
    assert all(words[0] == "make" and {*words[1:]} <= {*phony} for words in called)
    assert ["make", "test"] in called
    assert ["make", "book"] in called
    used = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in used)  # a tag can be moved
    pythons = {step["with"]["python-version"] for step in steps if "python-version" in step.get("with", {})}
    assert pythons == {yaml.safe_load(read("environment.yml"))["dependencies"][0].removeprefix("python =")}
    (site,) = [step["with"]["path"] for step in steps if "upload-pages" in step.get("uses", "")]
    assert f" book {site}\n" in read("Makefile")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_workflow_takes_pytorch_without_cuda(tmp_path, monkeypatch):
    for name, value in yaml.safe_load(read(".github/workflows/book.yml"))["env"].items():
        monkeypatch.setenv(name, value)
    assert "--index-url https://download.pytorch.org/whl/cpu" in pip_commands(tmp_path)[0]


PAGES = (
    "README.md",
    "book/own_data.md",
    "results/README.md",
    "benchmarks/README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
)


def commands() -> list[str]:
    """Every command of the package in a block of code of the pages, on one line each."""
    blocks = [block for page in PAGES for block in re.findall(r"^```\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)]
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return sorted({line for line in lines if line.startswith("python -m hashlib_nb")})


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_pages_is_one_that_the_package_understands(command):
    word, *options = shlex.split(command)[2:]
    name = word.partition(".")[2] or options.pop(0)
    tyro.cli(importlib.import_module(f"hashlib_nb.{COMMANDS[name][0]}").Args, args=options)


def test_links_and_targets_of_the_pages_are_there():
    phony = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)[1].split()
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)\)", read(page)):
            assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"
        targets = re.findall(r"^make (\w+)|`make (\w+)", read(page), re.MULTILINE)
        assert {one or other for one, other in targets} <= {*phony}, page


def test_the_changelog_lists_this_version_and_every_module_that_moved():
    text = read("CHANGELOG.md")
    assert f"## {hashlib_nb.__version__}" in text
    assert [name for name in hashlib_nb.MOVED if not re.search(rf"`(hashlib_nb\.)?{name}`", text)] == []


def test_citation_has_what_the_schema_requires():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == hashlib_nb.__version__
    assert citation["license"] == tomllib.loads(read("pyproject.toml"))["project"]["license"] == "MIT"
    assert {(reference["type"], reference["year"]) for reference in citation["references"]} == {
        ("thesis", 2023),
        ("article", 2026),
    }
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)
        assert reference["authors"][0]["family-names"] == "Rezaei"


def test_hooks_are_local_and_strip_notebooks_as_make_checks_them():
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    entries = {hook["id"]: hook["entry"] for hook in repository["hooks"]}
    assert entries["nbstripout"] == "nbstripout --keep-id"
    assert "nbstripout --verify --keep-id" in read("Makefile")


def test_no_file_is_over_three_megabytes():
    assert [path.name for path in repository_files() if path.stat().st_size > 3_000_000] == []


def test_no_file_names_a_folder_of_somebodys_machine():
    home = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w")
    text = [path for path in repository_files() if path.suffix not in {".npz", ".png"}]
    assert [str(path) for path in text if home.search(path.read_text(encoding="utf-8"))] == []
