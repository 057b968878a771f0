"""Numbers at the boundary: counts, shares, finite numbers, seeds and arrays, each refused by its name. No torch.

A refusal is a ValueError of one sentence: the argument, what it was, what would do. Whoever takes numbers from outside
asks here before any work:

    n_bits = checks.count(n_bits, "n_bits", most=k)
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np

SEEDS = 1 << 64
"""Seeds are 0 to one less than this."""
WORDS = 1 << 32
"""The seeds that every generator takes; `word` makes one of these of a larger seed."""

ROUNDS = 1_000_000_000
"""The most passes, steps and rounds: more of them would never end."""


def count(value: Any, name: str, *, least: int = 1, most: int | None = None, why: str = "") -> int:
    """A whole number as an int: Python's, numpy's, or an array or tensor of one number without axes.

    Args:
        value: the argument.
        name: its name, for the message.
        least: the smallest that will do.
        most: the largest; None for no limit.
        why: what the limits come from, such as "the codes have 64 bits".

    Raises:
        ValueError: a bool, a fraction, None, a text, or a number out of range.
    """
    try:
        number = None if _is_bool(value) or getattr(value, "ndim", 0) else operator.index(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # numpy and torch each raise their own
        number = None
    if number is None or number < least or (most is not None and number > most):
        raise ValueError(f"{name} is {shown(value)}; give a whole number {_limits(least, most)}{why and f' ({why})'}")
    return number


def counts(
    values: Any, name: str, *, least: int = 1, most: int | None = None, why: str = "", distinct: bool = False
) -> tuple[int, ...]:
    """Several whole numbers, or a single one, as a tuple of ints; see `count`.

    Args:
        values: a whole number, or any number of them in a list, tuple, range, array or tensor.
        name: the argument's name, for the message.
        least: the smallest that will do.
        most: the largest; None for no limit.
        why: what the limits come from.
        distinct: whether there must be at least one, and none twice.

    Raises:
        ValueError: what `count` refuses, or numbers that are missing or there twice where they must be distinct.
    """
    found = tuple(count(value, name, least=least, most=most, why=why) for value in _each(values))
    if distinct and not 0 < len({*found}) == len(found):
        raise ValueError(f"{name} is {shown(list(found))}; give different whole numbers {_limits(least, most)}")
    return found


def finite(
    value: Any,
    name: str,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """A number that is neither NaN nor infinite, within the limits that are given: Python's own, or a float of another.

    Args:
        value: the argument.
        name: its name, for the message.
        least: the smallest that will do.
        above: what it must be larger than.
        most: the largest that will do.
        below: what it must be smaller than.

    Raises:
        ValueError: no number, NaN, infinite, or out of range.
    """
    number = _as_float(value)
    low = (least is None or number >= least) and (above is None or number > above)
    if not (math.isfinite(number) and low and (most is None or number <= most) and (below is None or number < below)):
        limits = {"of at least": least, "above": above, "of at most": most, "below": below}
        words = " and ".join(f"{word} {limit}" for word, limit in limits.items() if limit is not None)
        raise ValueError(f"{name} is {shown(value)}; give a finite number {words}".rstrip())
    return value if isinstance(value, (int, float)) else number


def share(value: Any, name: str) -> float:
    """A share of something, a number in 0..1. Raises ValueError for anything else."""
    if not 0 <= (number := _as_float(value)) <= 1:
        raise ValueError(f"{name} is {shown(value)}; give a share in 0..1")
    return value if isinstance(value, (int, float)) else number


def seed(value: Any, name: str = "seed") -> int:
    """A seed as an int: any whole number from 0 to 2^64 - 1. Raises ValueError for anything else."""
    try:
        return count(value, name, least=0, most=SEEDS - 1)
    except ValueError:
        raise ValueError(f"{name} is {shown(value)}; give a whole number from 0 to 2^64 - 1") from None


def seeds(values: Any, name: str = "seeds") -> tuple[int, ...]:
    """Different seeds, at least one, as a tuple of ints. Raises ValueError for anything else."""
    found = tuple(seed(value, name) for value in _each(values))
    if not 0 < len({*found}) == len(found):
        raise ValueError(f"{name} is {shown(list(found))}; give different whole numbers from 0 to 2^64 - 1")
    return found


def word(seed: int, part: int = 0) -> int:
    """A seed for generators that know 32 bits alone, as torch's and scikit-learn's do; `seed` has been checked.

    Below 2^32 it is seed + part, so that seeds of old keep their numbers. From there on 32 bits are drawn from both:
    torch's generator would drop the upper half, and seed + part could leave the range.

    Args:
        seed: 0..2^64 - 1.
        part: of the work: 0 for the whole, f + 1 for fold f, the number of a process.
    """
    if seed < WORDS:
        return seed + part
    return int(np.random.SeedSequence((seed, part)).generate_state(1)[0])


def fields(settings: Any, check: Callable, *names: str, optional: bool = False, **limits: Any) -> None:
    """Check fields of a dataclass, frozen or not, and put what the check returns in their place.

    Args:
        settings: the dataclass' instance, in its `__post_init__`.
        check: a function of this module.
        names: of the fields.
        optional: whether None will do, too.
        **limits: what else the check takes.

    Raises:
        ValueError: what the check refuses.
    """
    for name in names:
        if not (optional and getattr(settings, name) is None):
            object.__setattr__(settings, name, check(getattr(settings, name), name, **limits))


def array(value: Any, name: str, wanted: str) -> np.ndarray:
    """What numpy reads in a list, an array or a tensor on the CPU; the same memory where it can be.

    Args:
        value: the argument.
        name: its name, for the message.
        wanted: what would do, for the message: "a code matrix [n, k]".

    Raises:
        ValueError: None, or what is no array of numbers or texts: rows of different lengths, a tensor elsewhere.
    """
    try:
        found = np.asarray(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{name} is no array ({reason}); give {wanted}") from error
    if found.dtype.hasobject or found.dtype.names:
        raise ValueError(f"{name} is {shown(value)}; give {wanted}")
    return found


def rows(value: Any, name: str, n: int) -> np.ndarray:
    """Row numbers within 0..n-1, sorted and each once, int64; none is allowed.

    Raises:
        ValueError: a mask, a share, or a row that is not there.
    """
    wanted = f"row numbers in 0..{n - 1}, np.flatnonzero(mask) of a mask"
    found = array(value, name, wanted)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ValueError(f"{name} is {shown(found)}; give {wanted}")
    found = np.unique(found).astype(np.int64)
    if found.size and (found[0] < 0 or found[-1] >= n):
        raise ValueError(f"{name} has row {found[0] if found[0] < 0 else found[-1]} of {n}; give {wanted}")
    return found


def packages(user: str, *requirements: str) -> None:
    """Check that packages of an extra are installed, before `user` imports them.

    Args:
        user: what needs them, as it is named to whoever reads the error.
        requirements: each as pip takes it, such as "optuna>=5,<6"; its name is that of the module.

    Raises:
        ValueError: one is missing, with the line that installs them all.
    """
    names = [re.match(r"\w+", each)[0] for each in requirements]
    if not all(map(find_spec, names)):
        lines = " ".join(f"'{each}'" for each in requirements)
        plural = "s" * (len(names) > 1)
        raise ValueError(f"{user} needs the package{plural} {' and '.join(names)}: python -m pip install {lines}")


def shown(value: Any) -> str:
    """A value in a few words, on one line: for messages."""
    if hasattr(value, "dtype") and getattr(value, "ndim", 0):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if hasattr(value, "dtype") and hasattr(value, "item"):
        value = value.item()
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _each(values: Any) -> Iterable:
    """The values of a list or an array; a single value, or what is no list of values, as one."""
    if isinstance(values, Iterable) and not isinstance(values, (str, bytes, dict)) and getattr(values, "ndim", 1):
        return values
    return [values]


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _as_float(value: Any) -> float:
    """The number, or NaN for what is none: texts and bools are none."""
    if _is_bool(value) or getattr(value, "ndim", 0) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return math.nan


def _limits(least: int, most: int | None) -> str:
    return f"of at least {least}" if most is None else f"in {least}..{most}"
