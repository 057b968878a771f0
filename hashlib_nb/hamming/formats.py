"""Codes and labels of other programs: read in the usual formats, shrunk codes written as binary indexes take them.

| codes                                 | found where                                   |
|---------------------------------------|-----------------------------------------------|
| bool [n, k]                           | the dtype is bool                             |
| 0/1 [n, k], any number type           | every value is 0 or 1                         |
| -1/+1 [n, k], any number type         | every value is -1 or 1                        |
| packed bytes, uint8 [n, k/8]          | uint8 with other values                       |

Bit j of a packed code is bit j % 8, counted from the least significant one, of byte j // 8: `numpy.packbits` with
`bitorder="little"`, as faiss packs codes for its binary indexes.
"""

from __future__ import annotations

import numpy as np


def as_codes(array: np.ndarray, code_length: int | None = None) -> tuple[np.ndarray, str]:
    """Codes as uint8 {0,1} [n, k], and the format that was found (see the module's table).

    Args:
        array: codes in any of those formats.
        code_length: k of packed codes, to leave padding out; 8 bits a byte if None.

    Raises:
        ValueError: other shapes or values, or a code_length that does not belong to the array.
    """
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ValueError(
            f"codes is {array.dtype} {list(array.shape)}; give 0/1 or -1/+1 [n, k], or packed uint8 [n, k/8]"
        )
    is_binary = bool(((array == 0) | (array == 1)).all())
    if array.dtype == np.uint8 and not is_binary:
        width = 8 * array.shape[1]
        if code_length is not None and not width - 8 < code_length <= width:
            raise ValueError(f"code_length must be in {width - 7}..{width}, for codes has {width // 8} bytes a row")
        codes = np.unpackbits(array, axis=1, count=code_length, bitorder="little")
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
    """Labels as uint8 {0,1} [n, m], and what was found: "0/1 matrix" [n, m], or "class indices" [n] or [n, 1].

    Class indices may be any integers or strings; each distinct one is a class.

    Raises:
        ValueError: other shapes or values.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    whole = array.dtype.kind in "biuSU" or (array.dtype.kind == "f" and bool((array == np.floor(array)).all()))
    if array.ndim == 1 and whole and len(array):
        classes, index = np.unique(array, return_inverse=True)
        return np.eye(len(classes), dtype=np.uint8)[index], f"class indices, {len(classes)} classes"
    if array.ndim == 2 and array.dtype.kind in "biuf" and ((array == 0) | (array == 1)).all():
        return array.astype(np.uint8), f"0/1 matrix, {array.shape[1]} concepts"
    raise ValueError(
        f"labels is {array.dtype} {list(array.shape)}; give a 0/1 matrix [n, m] (m > 1) or one class index a row, [n]"
    )


def pack_bytes(codes: np.ndarray) -> np.ndarray:
    """Codes {0,1} [n, k] as uint8 [n, ceil(k/8)] in little bit order; the last byte is filled up with zeros.

    The zeros change no Hamming distance, so a binary index of 8 * ceil(k/8) bits ranks as one of k bits would.
    """
    return np.packbits(codes, axis=1, bitorder="little")


def unpack_bytes(packed: np.ndarray, code_length: int) -> np.ndarray:
    """Codes uint8 {0,1} [n, code_length] of what `pack_bytes` made."""
    return np.unpackbits(packed, axis=1, count=code_length, bitorder="little")
