"""Vectors for the numba kernels: 64-bit words side by side in registers, and what LLVM does with all of them at once.

Loops over short rows of one array would need a run-time check for overlap before each could be vectorized; values of
the type here live in registers.
"""

from __future__ import annotations

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from hashlib_nb.machine.numba_cache import CACHE

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


@numba.njit(cache=CACHE, inline="always")
def full_adder(a, b, c):
    """Sum and carry of three bits in every place."""
    half = xor(a, b)
    return xor(half, c), or_(and_(a, b), and_(half, c))
