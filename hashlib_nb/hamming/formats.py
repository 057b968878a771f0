"""Codes and labels of other programs: read in the usual formats, shrunk codes written as binary indexes take them.

| codes                                 | found where                                   |
|---------------------------------------|-----------------------------------------------|
| bool [n, k]                           | the dtype is bool                             |
| 0/1 [n, k], any number type           | every value is 0 or 1                         |
| -1/+1 [n, k], any number type         | every value is -1 or 1                        |
| packed bytes, uint8 [n, k/8]          | uint8 with other values                       |

Bit j of a packed code is bit j % 8, counted from the least significant one, of byte j // 8: `numpy.packbits` with
`bitorder="little"`, as faiss packs codes for its binary indexes. Bits that fill up the last byte are 0.
"""

from __future__ import annotations

import numpy as np

from hashlib_nb import checks
from hashlib_nb.hamming.arrays import MAX_BITS, check_codes


def as_codes(array: np.ndarray, code_length: int | None = None) -> tuple[np.ndarray, str]:
    """Codes as uint8 {0,1} [n, k], and the format that was found (see the module's table).

    Args:
        array: codes in any of those formats.
        code_length: k of packed codes, to leave padding out; 8 bits a byte if None.

    Raises:
        ValueError: other shapes or values, a code_length that does not belong to the array, or padding that is not 0.
    """
    wanted = "0/1 or -1/+1 [n, k], or packed uint8 [n, k/8]"
    array = checks.array(array, "codes", wanted)
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ValueError(f"codes is {array.dtype} {list(array.shape)}; give {wanted}")
    if array.size == 0:
        raise ValueError(f"codes is empty, shape {list(array.shape)}; give {wanted} with n and k at least 1")
    is_binary = bool(((array == 0) | (array == 1)).all())
    if array.dtype == np.uint8 and not is_binary:
        if code_length is None and bool(((array == 0) | (array == 255)).all()):
            raise ValueError(
                "codes is uint8 of 0 and 255 alone, which may hold one bit each or eight: give (x > 0) for one, or "
                f"code_length (8 * {array.shape[1]}, say) for eight"
            )
        codes = unpack_bytes(array, 8 * array.shape[1] if code_length is None else code_length, "codes")
        return codes, f"packed bytes, {codes.shape[1]} bits in little bit order"
    if code_length is not None:
        raise ValueError(f"code_length is for packed codes; codes is {array.dtype} [n, {array.shape[1]}]: leave it out")
    if is_binary:
        return array.astype(np.uint8), "bool" if array.dtype == bool else "0/1"
    if ((array == -1) | (array == 1)).all():
        return (array > 0).astype(np.uint8), "-1/+1"
    raise ValueError(
        f"codes is {array.dtype} with values from {array.min()} to {array.max()}, neither 0/1 nor -1/+1: "
        "threshold it, (x > 0).astype(numpy.uint8)"
    )


def as_labels(array: np.ndarray) -> tuple[np.ndarray, str]:
    """Labels as uint8 {0,1} [n, m] or class numbers int64 [n], and what was found.

    What is found is "0/1 matrix" [n, m], m above 1, or "class indices" [n] or [n, 1]: any whole numbers or strings, of
    which each distinct one is a class. Classes are numbered from 0, in their order.

    Raises:
        ValueError: other shapes or values.
    """
    wanted = "a 0/1 matrix [n, m] (m > 1) or one class index a row, [n]"
    array = checks.array(array, "labels", wanted)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    whole = array.dtype.kind in "biuSU" or (array.dtype.kind == "f" and bool((array == np.floor(array)).all()))
    if array.ndim == 1 and whole and len(array):
        classes, number = np.unique(array, return_inverse=True)
        return number.astype(np.int64, copy=False), f"class indices, {len(classes)} classes"
    if array.ndim == 2 and array.size and array.dtype.kind in "biuf" and ((array == 0) | (array == 1)).all():
        return array.astype(np.uint8), f"0/1 matrix, {array.shape[1]} concepts"
    raise ValueError(f"labels is {array.dtype} {list(array.shape)}; give {wanted}")


def pack_bytes(codes: np.ndarray) -> np.ndarray:
    """Codes {0,1} [n, k] as uint8 [n, ceil(k/8)] in little bit order; the last byte is filled up with zeros.

    The zeros change no Hamming distance, so a binary index of 8 * ceil(k/8) bits ranks as one of k bits would.

    Raises:
        ValueError: codes is not a 0/1 matrix.
    """
    return np.packbits(check_codes(codes), axis=1, bitorder="little")


def unpack_bytes(packed: np.ndarray, code_length: int, name: str = "packed") -> np.ndarray:
    """Codes uint8 {0,1} [n, code_length] of what `pack_bytes` made.

    Args:
        packed: uint8 [n, ceil(k/8)].
        code_length: k.
        name: of `packed`, for messages.

    Raises:
        ValueError: no uint8 matrix, a code_length that does not belong to it, or bits beyond it that are not 0.
    """
    packed = checks.array(packed, name, "packed bytes, uint8 [n, k/8]")
    if packed.ndim != 2 or packed.dtype != np.uint8 or packed.shape[1] == 0:
        raise ValueError(f"{name} is {packed.dtype} {list(packed.shape)}; give packed bytes, uint8 [n, k/8]")
    width = 8 * packed.shape[1]
    if width - 7 > MAX_BITS:
        raise ValueError(f"{name} has {width} bits per code; at most {MAX_BITS} are supported")
    code_length = checks.count(
        code_length, "code_length", least=width - 7, most=width, why=f"{name} has {width // 8} bytes a row"
    )
    if (packed[:, -1] >> (8 - (width - code_length))).any():
        raise ValueError(
            f"{name} has bits set beyond code_length, {code_length}, where little bit order has zeros: if they are in "
            f"numpy's own (big) bit order, give np.unpackbits(x, axis=1, count={code_length})"
        )
    return np.unpackbits(packed, axis=1, count=code_length, bitorder="little")
