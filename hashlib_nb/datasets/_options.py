"""Options of a dataset as a command line writes them: name=value."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hashlib_nb.datasets import registry as datasets


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
    if dataset not in datasets.names():
        return {}  # `datasets.load` names it
    return get_type_hints(datasets.loader(dataset))


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
