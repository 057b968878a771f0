"""The house: rooms are entered through their doors, arrows point one way, and what must stay light imports no torch."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

import hashlib_nb
from tests.helpers import ROOT, run_python

PACKAGE = ROOT / "hashlib_nb"
ORDER = (
    "__main__", "course", "experiments", "perceptual", "search", "plots", "baselines", "selectors", "ppo", "candidates",
    "selection", "encoder", "thermometer", "codes", "datasets", "metrics", "scale", "hamming",
    "artifacts", "machine", "checks",
)  # fmt: skip
"""Rooms and modules of the package; each imports only what stands after it."""
EXCEPTIONS = {
    ("artifacts", "hamming"): "reading a selection checks its bits; who reads other files does without numba",
    ("metrics", "thermometer"): "the command makes codes of a selection's thermometer bits, and of decided queries",
    ("encoder", "selection"): "the key of a run (Setup) also names its selections",
    ("encoder", "candidates"): "the same: Setup.candidates, what they are selections of",
    ("encoder", "ppo"): "the same: Setup.select",
    ("encoder", "selectors"): "the same: Setup.select",
    ("encoder", "experiments"): "the command's --plan counts as those of tables do",
}
"""Imports against the order: inside a function alone, each with its reason."""
SEVERAL_METHODS = ("experiments", "course")
"""Only these know the ways to choose bits, and other people's codes, by name."""
INSIDE = {
    ("benchmarks/bench_metrics.py", "hashlib_nb.hamming.lanes"): "it times the kernels' own instruction",
    ("benchmarks/bench_encode.py", "hashlib_nb.encoder.batches"): "it times decoding apart from the network",
    ("benchmarks/bench_features.py", "hashlib_nb.encoder.batches"): "it times the network apart from decoding",
}
"""Files that look into a room, each with its reason."""
LIGHT = (
    "checks", "artifacts", "scale", "hamming", "hamming.formats", "metrics", "metrics.__main__", "scale.shards",
    "datasets", "datasets.__main__", "thermometer", "selection", "candidates", "selectors", "selectors.__main__",
    "baselines", "plots", "perceptual", "search", "search.__main__", "search.encode", "search.records", "search.video",
    "course.lessons", "course.assignments", "__main__",
)  # fmt: skip
"""What is imported without torch, in this order: what is called with arrays alone, and commands for their help."""


@dataclass(frozen=True)
class Source:
    """Code that imports the package."""

    name: str
    """Path from the project's folder."""
    package: str
    """Dotted name of the package that the file is in, "" outside of hashlib_nb."""
    tree: ast.Module
    """Its code."""

    @property
    def room(self) -> str:
        """The entry of `ORDER` that the file belongs to."""
        inside = Path(self.name).relative_to("hashlib_nb").with_suffix("").parts
        return inside[0]


def code_of(path: Path) -> str:
    """Python of a file, or of a notebook's cells without their magics."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return "\n".join(line for cell in cells for line in cell.splitlines() if not line.lstrip().startswith(("%", "!")))


def sources() -> list[Source]:
    """All code that goes with the project, but the tests, which may look inside a room."""
    found = [*PACKAGE.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    found += [*(ROOT / "assignments" / "source").rglob("*.ipynb"), *(ROOT / "book" / "extensions").glob("*.py")]
    made = []
    for path in sorted(path for path in found if ".ipynb_checkpoints" not in path.parts):
        name = path.relative_to(ROOT)
        package = ".".join(name.parent.parts) if path.is_relative_to(PACKAGE) else ""
        made.append(Source(str(name), package, ast.parse(code_of(path), str(name))))
    return made


SOURCES = sources()
OWN = [source for source in SOURCES if source.package]
ROOMS = {source.package: source for source in OWN if source.name.endswith("__init__.py") and source.name.count("/") > 1}
"""Dotted names of the package's folders, and their `__init__.py`."""


def imports(source: Source) -> Iterator[tuple[str, str, bool]]:
    """Module, name in it ("" for the module itself) and whether at import time, of each import from hashlib_nb."""

    def walk(node: ast.AST, at_import: bool) -> Iterator[tuple[str, str, bool]]:
        for child in ast.iter_child_nodes(node):
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            later |= isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if isinstance(child, ast.Import):
                yield from ((alias.name, "", at_import) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert not child.level, f"{source.name}: write {ast.unparse(child)} with the package's full name"
                yield from ((child.module, alias.name, at_import) for alias in child.names)
            yield from walk(child, at_import and not later)

    yield from (found for found in walk(source.tree, True) if found[0].split(".")[0] == "hashlib_nb")


def is_module(dotted: str) -> bool:
    path = ROOT.joinpath(*dotted.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def public_names(room: str) -> list[str]:
    """`__all__` of a room, read from its source."""
    (value,) = [node.value for node in ROOMS[room].tree.body if isinstance(node, ast.Assign)]
    return ast.literal_eval(value)


def trespasses(source: Source) -> Iterator[str]:
    """What a file imports past a room's door, in words."""
    for module, name, _ in imports(source):
        target = f"{module}.{name}" if name and is_module(f"{module}.{name}") else module
        room, _, inner = target.rpartition(".")
        wanted = f"{module}.{name}".rstrip(".")
        helper = is_module(target) and module == source.package  # a file with an underscore is its own room's
        if name.startswith("_") and not name.startswith("__") and not helper:
            yield f"{source.name} imports {wanted}, which is private: take the underscore away or leave it there"
        if target == "hashlib_nb" and name not in ("", "__version__"):
            yield f"{source.name} imports {wanted}, which is not there any more"
        if source.package in (room, target) or (source.name, target) in INSIDE:
            continue
        if target in ROOMS and name and target == module and name not in public_names(target):
            yield f"{source.name} imports {wanted}, which {target} does not hand on"
        if target not in ROOMS and room in ROOMS and inner not in public_names(room):
            yield f"{source.name} imports {target}, an inner file of {room}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_rooms_are_entered_by_their_doors(source):
    assert list(trespasses(source)) == []


def accessed(source: Source) -> Iterator[tuple[str, str]]:
    """Modules of the package that a file has under a name of its own, and attributes that it takes from them."""
    held = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "hashlib_nb":
            for alias in node.names:
                if is_module(f"{node.module}.{alias.name}"):
                    held[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    stored = {
        node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    stored |= {node.arg for node in ast.walk(source.tree) if isinstance(node, ast.arg)}
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in held.keys() - stored
        ):
            yield held[node.value.id], node.attr


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_through_a_door_only_what_the_room_hands_on_is_taken(source):
    taken = [(module, name) for module, name in accessed(source) if not name.startswith("__")]
    assert [f"{module}.{name}" for module, name in taken if name.startswith("_")] == []
    outside = [(module, name) for module, name in taken if module in ROOMS and module != source.package]
    assert [f"{module}.{name}" for module, name in outside if name not in public_names(module)] == []


def sort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest: the order of ruff's RUF022."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_hands_on_names_and_defines_nothing(room):
    source = ROOMS[room]
    assert len((ROOT / source.name).read_text(encoding="utf-8").splitlines()) < 40
    docstring, *body = source.tree.body
    assert ast.get_docstring(source.tree), docstring
    *handed, assigned = body
    assert ast.unparse(assigned.targets[0]) == "__all__"
    assert all(isinstance(node, ast.ImportFrom) for node in handed)
    names = public_names(room)
    assert names == sorted(set(names), key=sort_key)
    imported = {alias.asname or alias.name for node in handed for alias in node.names}
    modules = {path.stem for path in (ROOT / source.name).parent.glob("[!_]*.py")}
    assert imported <= set(names) <= imported | modules  # modules that are commands of their own are handed on whole


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_is_named_like_a_thing_that_its_room_hands_on(room):
    """Else `from room import name` would give the one or the other, as the order of imports has it."""
    handed = {alias.asname or alias.name for node in ast.walk(ROOMS[room].tree) if isinstance(node, ast.ImportFrom)
              for alias in node.names}  # fmt: skip
    modules = {module.name for module in pkgutil.iter_modules([str((ROOT / ROOMS[room].name).parent)])}
    assert handed & modules == set()


def arrows() -> dict[tuple[str, str], set[tuple[str, bool]]]:
    """From room to room: the files with an import that goes there, and whether it is there at import time."""
    found: dict[tuple[str, str], set[tuple[str, bool]]] = {}
    for source in OWN:
        for module, name, at_import in imports(source):
            dotted = f"{module}.{name}" if module == "hashlib_nb" else module
            to = dotted.split(".")[1]
            if source.room not in (to, "__init__") and to in ORDER:
                found.setdefault((source.room, to), set()).add((source.name, at_import))
    return found


ARROWS = arrows()


def test_every_room_and_module_has_its_place_in_the_order():
    assert {module.name for module in pkgutil.iter_modules(hashlib_nb.__path__)} == set(ORDER)


def test_arrows_point_one_way():
    up = {(at, to): files for (at, to), files in ARROWS.items() if ORDER.index(at) > ORDER.index(to)}
    assert {arrow: files for arrow, files in up.items() if arrow not in EXCEPTIONS} == {}
    assert {arrow: files for arrow, files in up.items() if any(at_import for _, at_import in files)} == {}
    assert EXCEPTIONS.keys() - up.keys() == set()  # one that is needed no more


def test_only_the_experiments_and_the_course_know_several_methods():
    knowing = {at for at, to in ARROWS if to in ("selectors", "baselines") and (at, to) not in EXCEPTIONS}
    assert knowing - {"selectors", "baselines"} == set(SEVERAL_METHODS)


@pytest.mark.parametrize("room", ["hamming", "metrics"])
def test_counting_knows_no_torch_no_file_and_no_stage(room):
    for source in OWN:
        if source.room == room and not source.name.endswith("__main__.py"):
            known = {name if module == "hashlib_nb.machine" else module.removeprefix("hashlib_nb.").split(".")[0]
                     for module, name, _ in imports(source) if "." in module}  # fmt: skip
            assert known <= {"hamming", "CACHE", room}
            modules = {alias.name.split(".")[0] for node in ast.walk(source.tree) if isinstance(node, ast.Import)
                       for alias in node.names}  # fmt: skip
            modules |= {node.module.split(".")[0] for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom)}
            assert modules & {"torch", "torchvision", "pathlib", "io", "tyro"} == set(), source.name


@pytest.mark.process
def test_what_must_stay_light_imports_no_torch():
    program = f"""
import importlib, sys
for name in {LIGHT!r}:
    importlib.import_module("hashlib_nb." + name)
    if found := [slow for slow in ("torch", "torchvision") if slow in sys.modules]:
        sys.exit(f"hashlib_nb.{{name}} imports {{', '.join(found)}}")
    if name == "artifacts":
        assert not {{"tyro", "numba"}} & sys.modules.keys(), "hashlib_nb.artifacts is slow to import"
"""
    assert run_python(program) == ""


@pytest.mark.parametrize("old", hashlib_nb.MOVED)
def test_an_old_name_warns_and_gives_the_new_module(old):
    with pytest.warns(DeprecationWarning, match=rf"hashlib_nb\.{old} is now hashlib_nb\.{hashlib_nb.MOVED[old]}; "):
        found = getattr(hashlib_nb, old)
    assert found is importlib.import_module(f"hashlib_nb.{hashlib_nb.MOVED[old]}")
    assert not is_module(f"hashlib_nb.{old}")


def test_a_name_that_never_was_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'hashlib_nb' has no attribute 'nothing'"):
        _ = hashlib_nb.nothing
