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
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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
        ValueError: Unknown name or option, a seed that is not a whole number of at least 0, a file that is not
            what it should be, or a split of other pictures.
        FileNotFoundError: The dataset's files are not in `root`.
    """
    load_dataset = loader(name)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed is {seed!r}; it must be a whole number of at least 0.")
    saved = None if split is None else read_split(Path(split).expanduser(), name)
    options = ({} if saved is None else saved[1]["info"]["options"]) | options
    known = [option for option in inspect.signature(load_dataset).parameters if option not in ("root", "seed")]
    for option in options:
        if option not in known:
            takes = ", ".join(known) or "none"
            raise ValueError(f"{option!r} is no option of the dataset {name!r}; the options it takes: {takes}.")
    splits = load_dataset(None if root is None else Path(root).expanduser(), seed, **options)
    if saved is not None:
        splits = splits.pool.split_as_saved(split, saved)
    # Paths differ from machine to machine, so they do not travel with a split.
    plain = {option: value for option, value in options.items() if not isinstance(value, Path)}
    return replace(splits, info=splits.info | {"options": plain})
