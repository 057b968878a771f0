"""Datasets by name: pictures, their labels, and a split into query, train and database.

A dataset is one module of this folder: ``fashion-mini`` is ``fashion_mini.py``. The module defines one function,
``load(root, seed, **options) -> Splits``, whose named parameters after ``seed`` are the options the dataset takes.
Modules that start with an underscore are helpers. To add a dataset, add a file; there is nothing to register.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hashlib_nb import checks
from hashlib_nb.artifacts import expanded
from hashlib_nb.datasets._splits import Splits, read_split


def names() -> tuple[str, ...]:
    """The datasets that `load` knows, sorted."""
    modules = (module.name for module in pkgutil.iter_modules(sys.modules[__package__].__path__))
    helpers = ("_", Path(__file__).stem)
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith(helpers)))


def loader(name: str) -> Callable[..., Splits]:
    """The function `load(root, seed, **options)` of a dataset's module; its docstring says what the options do.

    Raises:
        ValueError: Unknown name.
    """
    if name not in names():
        raise ValueError(f"name is {name!r}, which is no dataset here; there are: {', '.join(names())}.")
    return importlib.import_module(f"{__package__}.{name.replace('-', '_')}").load


def load(
    name: str, *, root: str | Path | None = None, seed: int = 0, split: str | Path | None = None, **options
) -> Splits:
    """Load a dataset and split it.

    Args:
        name: One of `names()`.
        root: Folder that holds the dataset's files; None for a dataset that the package ships.
        seed: Decides which pictures become query, train and database. Equal seeds give equal splits.
        split: File written by `Splits.save_split`: the parts are then the saved ones, whatever the seed, and options
            that are not given are those it was saved with.
        **options: What this dataset takes beyond that; its module's `load` says which.

    Returns:
        The three splits, the class names and a description of where the pictures come from.

    Raises:
        ValueError: Unknown name or option, a seed that is no whole number from 0 to 2^64 - 1, a file that is not
            what it should be, or a split of other pictures.
        FileNotFoundError: The dataset's files are not in `root`.
    """
    load_dataset = loader(name)
    seed = checks.seed(seed)
    saved = None if split is None else read_split(expanded(split), name)
    options = ({} if saved is None else saved[1]["info"]["options"]) | options
    known = [option for option in inspect.signature(load_dataset).parameters if option not in ("root", "seed")]
    for option in options:
        if option not in known:
            takes = ", ".join(known) or "none"
            raise ValueError(f"{option!r} is no option of the dataset {name!r}; the options it takes: {takes}.")
    kinds = get_type_hints(load_dataset)
    options = {option: _checked(option, value, kinds.get(option, Any)) for option, value in options.items()}
    splits = load_dataset(None if root is None else expanded(root), seed, **options)
    if saved is not None:
        splits = splits.pool.split_as_saved(split, saved)
    # Paths differ from machine to machine, so they do not travel with a split.
    plain = {option: value for option, value in options.items() if not isinstance(value, Path)}
    return replace(splits, info=splits.info | {"options": plain})


def _checked(name: str, value: Any, kind: Any) -> Any:
    """An option's value if it is of the kind that `load` declares; which values will do, `load` knows.

    Raises:
        ValueError: It is of another kind.
    """
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if value is None and type(None) in kinds:
        return None
    if int in kinds:
        return checks.count(value, name, least=0)
    if float in kinds:
        checks.finite(value, name)
        return value
    if get_origin(kinds[0]) is Literal:
        if not isinstance(value, str) or value not in get_args(kinds[0]):
            raise ValueError(f"{name} is {checks.shown(value)}; it must be one of {', '.join(get_args(kinds[0]))}.")
        return value
    wanted = {bool: (bool, "True or False"), str: ((str, Path), "a text"), Sequence: ((list, tuple), "a list of texts")}
    types, words = wanted.get(kinds[0]) or wanted.get(get_origin(kinds[0]), (object, ""))
    if not isinstance(value, types):
        raise ValueError(f"{name} is {checks.shown(value)}; give {words}.")
    return value
