"""Options of a dataset as a command line writes them, name=value, and as names of folders say them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hashlib_nb import artifacts
from hashlib_nb.datasets import registry

LONGEST_LABEL = 100
"""Characters of a data set's options in the names of its folders; beyond it a checksum stands for them."""


def parse_options(dataset: str, pairs: Sequence[str]) -> dict[str, Any]:
    """Options of `datasets.load` from `name=value` texts, of the types that the data set's `load` declares.

    Raises:
        ValueError: a text without =, an option the data set does not take, or a value of another type.
    """
    options = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"options must be written name=value, not {pair!r}")
        options[name] = _as_type(name, value, _option_types(dataset).get(name, str))
    return options


def _option_types(dataset: str) -> dict[str, Any]:
    if dataset not in registry.names():
        return {}  # `datasets.load` names it
    return get_type_hints(registry.loader(dataset))


def _as_type(name: str, value: str, kind: Any) -> Any:
    """The value of a text: a number, true or false, several words between commas, or the text itself."""
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if any(get_origin(each) in (tuple, list, Sequence) for each in kinds):
        return tuple(word for word in value.split(",") if word)
    for convert in (bool, int, float):
        if convert in kinds and str not in kinds:
            try:
                return {"true": True, "false": False}[value.lower()] if convert is bool else convert(value)
            except (KeyError, ValueError):
                names = {bool: "true or false", int: "a whole number", float: "a number"}
                raise ValueError(f"options: {name} must be {names[convert]}, not {value!r}") from None
    return value


def typed_options(dataset: str, options: Mapping[str, Any] | Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    """Options as (name, value) pairs sorted by name, so that equal ones are equal.

    Args:
        dataset: whose they are.
        options: a mapping; texts as `parse_options` takes them; or such pairs.

    Raises:
        ValueError: an unknown data set, or what `parse_options` refuses.
    """
    registry.loader(dataset)
    if not isinstance(options, Mapping) and all(isinstance(each, str) for each in options):
        options = parse_options(dataset, options)
    pairs = dict(options).items()
    return tuple(sorted((name, tuple(value) if isinstance(value, list) else value) for name, value in pairs))


def label(
    dataset: str,
    *,
    root: Path | str | None = None,
    options: Mapping[str, Any] | Sequence[tuple[str, Any]] = (),
    split: Path | None = None,
) -> str:
    """The data set's name with what was asked of it, for names of folders.

    Args:
        dataset: a name in `names()`.
        root: its folder, of whose absolute path eight digits of a checksum are part of the name.
        options: further arguments of `load`.
        split: file of a saved split, which is known by its content.
    """
    words = [f"{name}-{value}" for name, value in dict(options).items()]
    words += [] if split is None else [f"{Path(split).stem}-{artifacts.sha256(split).hex()[:8]}"]
    text = re.sub(r"[^\w.-]+", "_", "-".join([dataset, *words])).strip("_")
    if len(text) > LONGEST_LABEL:  # file systems allow 255 characters, and more is to come
        text = f"{dataset}-{artifacts.digest_of_text(text)}"
    return text if root is None else f"{text}-r{artifacts.digest_of_text(str(artifacts.absolute(root)))[:8]}"
