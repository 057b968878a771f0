"""Vectors for the numba kernels: 64-bit words side by side in registers, and what LLVM does with all of them at once.

Loops over short rows of one array would need a run-time check for overlap before each could be vectorized; values of
the type here live in registers.
"""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic, models, register_model

from hashlib_nb.machine import CACHE

LANES = 8
"""64-bit words in a vector: one AVX-512 register, two of AVX2, four of NEON; LLVM splits it as the machine needs."""
_VECTOR = ir.VectorType(ir.IntType(64), LANES)


@intrinsic
def popcount(typing_context, word):
    """Number of set bits of a uint64: LLVM's ctpop, one instruction on current processors."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


class _Lanes(types.Type):
    def __init__(self):
        super().__init__(name="Lanes")


_lanes = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, _VECTOR)


def _elementwise(operation: str):
    @intrinsic
    def apply(typing_context, a, b):
        def codegen(context, builder, signature, args):
            return getattr(builder, operation)(*args)

        return _lanes(_lanes, _lanes), codegen

    return apply


and_, or_, xor, add, shl, lshr = map(_elementwise, ("and_", "or_", "xor", "add", "shl", "lshr"))


def _address(context, builder, signature, args):
    """Pointer to the vector that begins at element [i, j] of a C-ordered uint64 array."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    shape, strides = (cgutils.unpack_tuple(builder, each) for each in (array.shape, array.strides))
    pointer = cgutils.get_item_pointer2(context, builder, array.data, shape, strides, "C", args[1:3])
    return builder.bitcast(pointer, _VECTOR.as_pointer())


@intrinsic
def last_zeros(typing_context, word):
    """Number of clear bits below the lowest set one of a uint64 that is not 0: the place of that bit."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), codegen


@intrinsic
def load(typing_context, array, i, j):
    """The vector that begins at element [i, j] of a C-ordered uint64 array; nobody checks that it ends in there."""

    def codegen(context, builder, signature, args):
        return builder.load(_address(context, builder, signature, args), align=8)

    return _lanes(array, types.intp, types.intp), codegen


@intrinsic
def store(typing_context, array, i, j, value):
    """Puts a vector where `load` would find it."""

    def codegen(context, builder, signature, args):
        builder.store(args[3], _address(context, builder, signature, args), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, _lanes), codegen


@intrinsic
def broadcast(typing_context, word):
    """A vector of LANES times the same uint64."""

    def codegen(context, builder, signature, args):
        vector = ir.Constant(_VECTOR, ir.Undefined)
        for lane in range(LANES):
            vector = builder.insert_element(vector, args[0], ir.Constant(ir.IntType(32), lane))
        return vector

    return _lanes(types.uint64), codegen


@intrinsic
def popcounts(typing_context, vector):
    """Number of set bits of each word."""

    def codegen(context, builder, signature, args):
        ctpop = builder.module.declare_intrinsic(f"llvm.ctpop.v{LANES}i64", (), ir.FunctionType(_VECTOR, [_VECTOR]))
        return builder.call(ctpop, args)

    return _lanes(_lanes), codegen


@intrinsic
def smaller(typing_context, a, b):
    """The smaller of two words in every place."""

    def codegen(context, builder, signature, args):
        return builder.select(builder.icmp_unsigned("<", *args), *args)

    return _lanes(_lanes, _lanes), codegen


@intrinsic
def at_most(typing_context, vector, limit):
    """Which words are no larger than those of limit: bit i of a uint64 for word i. Signed: none is below 0."""

    def codegen(context, builder, signature, args):
        bits = builder.bitcast(builder.icmp_signed("<=", *args), ir.IntType(LANES))
        return builder.zext(bits, ir.IntType(64))

    return types.uint64(_lanes, _lanes), codegen


@intrinsic
def is_zero(typing_context, vector):
    """Whether all words are 0."""

    def codegen(context, builder, signature, args):
        found = builder.icmp_unsigned("!=", args[0], ir.Constant(_VECTOR, None))
        return builder.icmp_unsigned("==", builder.bitcast(found, ir.IntType(LANES)), ir.IntType(LANES)(0))

    return types.boolean(_lanes), codegen


def _of_three(table: int, usual):
    """Any function of three bits in every place, by its table of truth: one instruction of AVX-512.

    LLVM finds it only where nothing else wants a part of it, so that it is named; elsewhere `usual` makes it up.
    """

    @intrinsic
    def apply(typing_context, a, b, c):
        def codegen(context, builder, signature, args):
            if "+avx512f" not in get_host_cpu_features().split(","):
                return usual(builder, *args)
            number = ir.IntType(32)
            kind = ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR, _VECTOR, number])
            named = builder.module.declare_intrinsic("llvm.x86.avx512.pternlog.q.512", (), kind)
            return builder.call(named, [*args, number(table)])

        return _lanes(_lanes, _lanes, _lanes), codegen

    return apply


_parity = _of_three(0b10010110, lambda to, a, b, c: to.xor(to.xor(a, b), c))
_majority = _of_three(0b11101000, lambda to, a, b, c: to.or_(to.and_(a, b), to.and_(to.xor(a, b), c)))


@numba.njit(cache=CACHE, inline="always")
def full_adder(a, b, c):
    """Sum and carry of three bits in every place."""
    return _parity(a, b, c), _majority(a, b, c)


@numba.njit(cache=CACHE, inline="always")
def swap(low, high, shift, mask):
    """Exchanges the bits of low that mask, shifted, marks with those of high that mask marks."""
    moved = and_(xor(lshr(low, shift), high), mask)
    return xor(low, shl(moved, shift)), xor(high, moved)


@numba.njit(cache=CACHE, inline="always")
def sum_of(planes, first, which):
    """How many of the vectors in rows first + which, a multiple of eight, have each bit set: a plane a digit."""
    zero = broadcast(np.uint64(0))
    s0, s1, s2, s3, s4, s5, s6, s7 = zero, zero, zero, zero, zero, zero, zero, zero
    for j in range(0, len(which), 8):
        s0, two_a = full_adder(s0, load(planes, first + which[j], 0), load(planes, first + which[j + 1], 0))
        s0, two_b = full_adder(s0, load(planes, first + which[j + 2], 0), load(planes, first + which[j + 3], 0))
        s1, four_a = full_adder(s1, two_a, two_b)
        s0, two_a = full_adder(s0, load(planes, first + which[j + 4], 0), load(planes, first + which[j + 5], 0))
        s0, two_b = full_adder(s0, load(planes, first + which[j + 6], 0), load(planes, first + which[j + 7], 0))
        s1, four_b = full_adder(s1, two_a, two_b)
        s2, carry = full_adder(s2, four_a, four_b)
        s3, carry = xor(s3, carry), and_(s3, carry)
        s4, carry = xor(s4, carry), and_(s4, carry)
        s5, carry = xor(s5, carry), and_(s5, carry)
        s6, carry = xor(s6, carry), and_(s6, carry)
        s7 = xor(s7, carry)
    return s0, s1, s2, s3, s4, s5, s6, s7
