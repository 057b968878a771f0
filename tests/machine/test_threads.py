"""One place sets threads: of the libraries that are named and loaded, and puts back what was there."""

from __future__ import annotations

import numba
import pytest
import torch
from threadpoolctl import threadpool_info

from hashlib_nb.machine import threads
from tests.helpers import run_python


@pytest.fixture(autouse=True)
def two_threads():
    """Numbers that a test can lower, and would otherwise change for the tests after it."""
    torch_before, numba_before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(torch_before)
    numba.set_num_threads(numba_before)


def test_what_is_named_is_limited_and_put_back():
    with threads.limited(1, "torch"):
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)  # as numba's kernels do
        threads.limit(1, "torch")
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_the_numbers_are_put_back_after_an_error():
    @threads.limited(1)
    def fails() -> None:
        assert numba.get_num_threads() == torch.get_num_threads() == 1
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert torch.get_num_threads() == 2


def test_blas_has_one_thread_inside_a_decorated_function():
    @threads.limited(1, "pools")
    def inside() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info()}

    before = threadpool_info()
    assert inside() == inside() == {1}
    assert threadpool_info() == before


@pytest.mark.process
def test_no_library_is_loaded_for_it():
    program = "import sys; from hashlib_nb.machine import threads; threads.limit(1); print('torch' in sys.modules)"
    shown = run_python(program)
    assert shown.strip() == "False"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: threads.limit(0), "number is 0; give a whole number in 1"),
        (lambda: threads.limit(1, "blas"), "libraries has blas; there are torch, numba, pools"),
    ],
)
def test_bad_input_gets_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
