"""Numbers at the boundary: what is plainly meant is taken, all else is refused by its name in one line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hashlib_nb import checks

NO_NUMBERS = [None, "3", b"3", True, np.True_, torch.tensor(True), [3], (3,), {3: 3}, np.array([3]), torch.tensor([3])]
NO_NUMBERS += [1j, Ellipsis, np.datetime64("2020-01-01"), math.nan, math.inf, -math.inf]
FRACTIONS = [2.0, 2.5, np.float32(3), Fraction(6, 2), np.array(2.0), torch.tensor(2.0)]


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3), torch.tensor(3)])
def test_a_whole_number_of_any_library_is_an_int(value):
    found = checks.count(value, "n")
    assert found == 3
    assert type(found) is int
    assert checks.finite(value, "n") == 3
    assert checks.counts(value, "n") == (3,)


@pytest.mark.parametrize("value", [*NO_NUMBERS, *FRACTIONS, 0, -1, 2**80], ids=repr)
@pytest.mark.parametrize("check", [checks.count, checks.counts])
def test_what_is_no_count_is_refused_by_name(check, value):
    if check is checks.counts and isinstance(value, (list, tuple, np.ndarray, torch.Tensor)) and np.ndim(value):
        return  # several counts
    with pytest.raises(ValueError, match=r"^n_bits is .*; give a whole number in 1\.\.64$") as refused:
        check(value, "n_bits", most=64)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize("check", [checks.finite, checks.share])
def test_what_is_no_number_is_refused_by_name(check, value):
    with pytest.raises(ValueError, match="^lr is .*; give a"):
        check(value, "lr")


@pytest.mark.parametrize(
    ("limits", "taken", "refused"),
    [
        ({"least": 0}, (0, 1e300), (-1e-300,)),
        ({"above": 0}, (1e-300,), (0, -1)),
        ({"most": 1}, (-5, 1), (1.1,)),
        ({"above": 0, "below": 1}, (0.5,), (0, 1)),
    ],
)
def test_limits_are_kept(limits, taken, refused):
    for value in taken:
        assert checks.finite(value, "x", **limits) == value
    for value in refused:
        with pytest.raises(ValueError, match=f"x is {value}; give a finite number (of at|above)"):
            checks.finite(value, "x", **limits)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25), torch.tensor(1.0)])
def test_a_share_is_in_0_to_1(value):
    assert checks.share(value, "x") == float(value)
    with pytest.raises(ValueError, match=r"x is .*; give a share in 0\.\.1"):
        checks.share(value + 1.01, "x")


@pytest.mark.parametrize("values", [[1, 3], (1, 3), np.array([1, 3]), torch.tensor([1, 3]), range(1, 4, 2)])
def test_several_counts(values):
    assert checks.counts(values, "at_n") == (1, 3)


@pytest.mark.parametrize(("values", "shown"), [([], r"\[\]"), ([1, 1], r"\[1, 1\]")])
def test_distinct_counts(values, shown):
    assert checks.counts(values, "lengths") == tuple(values)
    with pytest.raises(ValueError, match=f"lengths is {shown}; give different whole numbers of at least 1"):
        checks.counts(values, "lengths", distinct=True)
    with pytest.raises(ValueError, match=f"seeds is {shown}; give different whole numbers from 0 to 2"):
        checks.seeds(values)


@given(st.integers(0, 2**64 - 1))
def test_every_seed_below_2_to_the_64_is_taken_and_gives_32_bits(seed):
    assert checks.seed(seed) == seed
    assert checks.seed(np.uint64(seed)) == seed
    word = checks.word(seed)
    assert word == seed if seed < 2**32 else 0 <= word < 2**32
    np.random.default_rng(seed)
    torch.manual_seed(word)


@pytest.mark.parametrize("value", [-1, 2**64, *NO_NUMBERS, *FRACTIONS], ids=repr)
def test_what_is_no_seed_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"pool_seed is .*; give a whole number from 0 to 2\^64 - 1"):
        checks.seed(value, "pool_seed")


def test_parts_of_a_seed_differ():
    assert [checks.word(7, part) for part in range(3)] == [7, 8, 9]  # as ever
    large = [checks.word(seed, part) for seed in (2**32, 2**32 + 1, 2**63, 2**64 - 1) for part in range(5)]
    assert len({*large}) == len(large)


@pytest.mark.parametrize("value", [[[0, 1], [1, 0]], np.eye(2), torch.eye(2), torch.eye(2, requires_grad=True)])
def test_arrays_lists_and_tensors_are_read(value):
    assert checks.array(value, "codes", "a matrix").shape == (2, 2)


@pytest.mark.parametrize(
    "value", [None, [[0, 1], [1]], {1: 2}, object(), torch.eye(2, device="meta"), torch.eye(2).bfloat16(), [[None]]]
)
def test_what_is_no_array_is_refused_by_name(value):
    with pytest.raises(ValueError, match="^codes is .*; give a code matrix") as refused:
        checks.array(value, "codes", "a code matrix [n, k]")
    assert "\n" not in str(refused.value)


@dataclass(frozen=True)
class Settings:
    n_bits: int = 3
    lr: float = 1
    epochs: int | None = None

    def __post_init__(self):
        checks.fields(self, checks.count, "n_bits", most=9)
        checks.fields(self, checks.count, "epochs", optional=True)
        checks.fields(self, checks.finite, "lr", least=0)


def test_fields_of_a_dataclass_are_checked_and_made_pythons_own():
    found = Settings(np.int64(4), np.float32(0.5), torch.tensor(2))
    assert (found.n_bits, found.lr, found.epochs) == (4, 0.5, 2)
    assert [type(getattr(found, name)) for name in ("n_bits", "lr", "epochs")] == [int, float, int]
    assert type(Settings().lr) is int  # as it was written
    for changed in ({"n_bits": None}, {"n_bits": 10}, {"lr": -1}, {"epochs": 0}):
        with pytest.raises(ValueError, match=f"^{next(iter(changed))} is "):
            Settings(**changed)


@pytest.mark.parametrize("given", [[3, 0, 3], (0, 3), np.array([3, 0], np.uint8), torch.tensor([0, 3])])
def test_rows_are_sorted_and_each_once(given):
    np.testing.assert_array_equal(checks.rows(given, "held_out", 4), np.array([0, 3], np.int64), strict=True)


def test_no_rows_are_rows():
    np.testing.assert_array_equal(checks.rows([], "held_out", 4), np.zeros(0, np.int64), strict=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([0, 4], "has row 4 of 4"),
        ([-1], "has row -1 of 4"),
        (np.array([True] * 4), r"is bool \[4\]"),
        (0.25, r"is 0\.25"),
        ([[1]], r"is int64 \[1, 1\]"),
        ([0.5], r"is float64 \[1\]"),
        (None, "is None"),
    ],
)
def test_what_are_no_rows_is_refused(given, said):
    with pytest.raises(ValueError, match=rf"^held_out {said}; give row numbers in 0\.\.3, np\.flatnonzero\(mask\)"):
        checks.rows(given, "held_out", 4)
