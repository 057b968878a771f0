"""Arrays at the boundary: codes, labels and bits checked, codes packed into words, distances of packed codes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence

import numpy as np

from hashlib_nb import checks

try:
    import numba
except ImportError:
    numba = None
    warnings.warn("numba is not installed: Hamming histograms run on the slower numpy path", stacklevel=2)

WORD = 64
MAX_BITS = np.iinfo(np.uint16).max  # distances are uint16
NUMPY_PAIRS = 1 << 20  # query-database pairs that the numpy path holds at a time, unless one query alone has more


def check_codes(codes, name: str = "codes") -> np.ndarray:
    """Returns codes as uint8 {0,1} [n, k].

    Args:
        codes: array-like of bool or integers, each 0 or 1, [n, k].
        name: the argument's name, for the message.

    Raises:
        ValueError: wrong number of axes, nothing inside, not integers, or values other than 0 and 1.
    """
    codes = _check_binary(codes, name, "a code matrix [n, k]", "wrap a single code as codes[None, :]")
    if codes.shape[1] > MAX_BITS:
        raise ValueError(f"{name} has {codes.shape[1]} bits per code; at most {MAX_BITS} are supported")
    return codes


def check_labels(labels, name: str = "labels") -> np.ndarray:
    """Returns labels as uint8 {0,1} [n, m], or class numbers as int64 [n].

    A matrix says which concepts a row has; a row of zeros (no concept at all) is allowed. A flat list of integers gives
    the class of each row, any number that int64 holds: equal ones belong together, 0 to 0 as well.

    Args:
        labels: array-like of bool or integers, each 0 or 1, [n, m]; or of integers, [n].
        name: the argument's name, for the message.

    Raises:
        ValueError: another number of axes, nothing inside, not integers, or values other than 0 and 1 in a matrix.
    """
    wanted = "a label matrix [n, m], or class numbers [n]"
    labels = checks.array(labels, name, wanted)
    if labels.ndim != 1:
        return _check_binary(labels, name, wanted, "one row of labels, or one class number, an item")
    if labels.size == 0:
        raise ValueError(f"{name} is empty; expected {wanted} with n at least 1")
    if labels.dtype.kind not in "iu":
        remedy = (
            f"a single concept is a column, {name}[:, None]" if labels.dtype.kind == "b" else "np.unique numbers them"
        )
        raise ValueError(f"{name} is {labels.dtype} [{len(labels)}]; class numbers are integers: {remedy}")
    if labels.dtype == np.uint64 and labels.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} has numbers up to {labels.max()}; class numbers must be below 2^63")
    return labels.astype(np.int64, copy=False)


def check_bits(bits: Sequence[int], k: int) -> np.ndarray:
    """Returns the indices of the kept bits as int64 [p]; they must be distinct and within 0..k-1.

    Raises:
        ValueError: empty, not a flat list of integers, repeated, or out of range.
    """
    wanted = "a non-empty flat list of bit indices"
    bits = checks.array(bits, "bits", wanted)
    if bits.ndim != 1 or bits.size == 0 or bits.dtype.kind not in "iu":
        raise ValueError(f"bits is {bits.dtype} {list(bits.shape)}; give {wanted}")
    if bits.min() < 0 or bits.max() >= k:
        raise ValueError(f"bits runs from {bits.min()} to {bits.max()}; indices must lie in 0..{k - 1}")
    if np.unique(bits).size < bits.size:
        raise ValueError("bits names an index more than once; list each kept bit once")
    return bits.astype(np.int64)


def mask_of(bits: Sequence[int], k: int) -> np.ndarray:
    """Mask uint8 {0,1} [k] of the kept bits; raises ValueError as `check_bits`."""
    mask = np.zeros(k, np.uint8)
    mask[check_bits(bits, k)] = 1
    return mask


def toggled(mask: np.ndarray, bits: Sequence[int]) -> np.ndarray:
    """Masks uint8 {0,1} [b, k]: `mask` {0,1} [k] with each of the b `bits` toggled alone; both are checked."""
    masks = np.repeat(np.asarray(mask, np.uint8)[None], len(bits), axis=0)
    masks[np.arange(len(bits)), bits] ^= 1
    return masks


def pack(codes) -> np.ndarray:
    """Packs 0/1 codes into 64-bit words in little bit order.

    Bit j of a code is bit j % 64, counted from the least significant one, of word j // 64.

    Args:
        codes: {0,1} [n, k].

    Returns:
        uint64 [n, ceil(k/64)]; the unused high bits of the last word are 0.

    Raises:
        ValueError: codes is not a 0/1 matrix.
    """
    return pack_checked(check_codes(codes))


def distances(query_codes, database_codes) -> np.ndarray:
    """Hamming distance of every query to every database item.

    The one function here whose memory grows with q x n; metrics use `histograms`.

    Args:
        query_codes: {0,1} [q, k].
        database_codes: {0,1} [n, k].

    Returns:
        uint16 [q, n].

    Raises:
        ValueError: codes that are not 0/1 matrices of one width.
    """
    query_codes, database_codes = check_same_width(query_codes, database_codes)
    query, database = pack_checked(query_codes), pack_checked(database_codes).T
    out = np.empty((len(query_codes), len(database_codes)), np.uint16)
    for rows in query_chunks(*out.shape):
        out[rows] = distance_block(query[rows], database)
    return out


def numba_enabled(backend: str = "auto") -> bool:
    """Whether the numba kernels are to be used; "auto" asks HASHLIB_NB_BACKEND, then whether numba is installed."""
    if backend == "auto":
        backend = os.environ.get("HASHLIB_NB_BACKEND", "auto")
    if backend not in ("auto", "numba", "numpy"):
        raise ValueError(f'backend is "{backend}"; choose "auto", "numba" or "numpy"')
    if backend == "numba" and numba is None:
        raise ValueError('backend is "numba", which is not installed; choose "auto" or install numba')
    return backend != "numpy" and numba is not None


def _check_binary(array, name: str, shape: str, ndim_remedy: str) -> np.ndarray:
    array = checks.array(array, name, shape)
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {list(array.shape)}; expected {shape}: {ndim_remedy}")
    if array.size == 0:
        raise ValueError(
            f"{name} is empty, shape {list(array.shape)}; expected {shape} with n and the width at least 1"
        )
    if array.dtype.kind not in "biu":
        raise ValueError(f"{name} is {array.dtype}; expected 0/1 integers: threshold it, (x > 0).astype(np.uint8)")
    high = int(array.max())
    low = int(array.min()) if array.dtype.kind == "i" or high > 1 else 0
    if low < 0 or high > 1:
        remedy = "map -1/+1 to 0/1 with (x > 0).astype(np.uint8)" if low < 0 else "expected 0 and 1 alone"
        raise ValueError(f"{name} has values from {low} to {high}; {remedy}")
    return array.astype(np.uint8, copy=False)


def check_same_width(query_codes, database_codes) -> tuple[np.ndarray, np.ndarray]:
    """Returns both as uint8 {0,1} [q, k] and [n, k].

    Raises:
        ValueError: codes that are not 0/1 matrices of one width.
    """
    query_codes, database_codes = check_codes(query_codes, "query_codes"), check_codes(database_codes, "database_codes")
    check_widths(query_codes.shape[1], database_codes.shape[1])
    return query_codes, database_codes


def check_widths(query: int, database: int) -> None:
    """Raise ValueError unless codes of the queries have as many bits as those of the database."""
    if query != database:
        raise ValueError(f"query_codes has {query} bits and database_codes {database}; both must come from one encoder")


def check_rows(codes: np.ndarray, labels: np.ndarray, role: str) -> None:
    """Raise ValueError unless there are as many rows of labels as of codes."""
    if len(codes) != len(labels):
        raise ValueError(f"{role}_codes has {len(codes)} rows and {role}_labels {len(labels)}; give one label row each")


def concept_words(query_labels: np.ndarray, database_labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, bool]:
    """Checked labels as words of which two have a bit in common, or have none, where the items are relevant.

    A concept is a bit, and relevant items share one. Class numbers are numbered anew and make one word, whatever their
    number: the number's bits beside their complement for a query, the other way round for an item. Two such words have
    a bit in common exactly where the classes differ, so a kernel that counts items with a shared bit counts those that
    are not relevant.

    Args:
        query_labels: uint8 {0,1} [q, m], or int64 [q].
        database_labels: uint8 {0,1} [n, m], or int64 [n].

    Returns:
        uint64 [q, words] and [n, words], how many bits of a row mean something, and whether these are classes.

    Raises:
        ValueError: matrices of different widths, or one matrix and one list of class numbers.
    """
    if query_labels.ndim != database_labels.ndim:
        kinds = {1: "class numbers [n]", 2: "a label matrix [n, m]"}
        raise ValueError(
            f"query_labels is {kinds[query_labels.ndim]} and database_labels {kinds[database_labels.ndim]}; give both "
            "in one form: np.eye(n_classes, dtype=np.uint8)[numbers] is a matrix"
        )
    if query_labels.ndim == 2:
        if query_labels.shape[1] != database_labels.shape[1]:
            raise ValueError(
                f"query_labels has {query_labels.shape[1]} concepts and database_labels {database_labels.shape[1]}; "
                "both must list the same concepts"
            )
        return pack_checked(query_labels), pack_checked(database_labels), query_labels.shape[1], False
    classes, number = np.unique(np.concatenate([query_labels, database_labels]), return_inverse=True)
    width = np.uint64(max(1, int(len(classes) - 1).bit_length()))
    number = number.astype(np.uint64)[:, None]
    other = number ^ np.uint64((1 << int(width)) - 1)
    query, items = number | other << width, other | number << width
    return query[: len(query_labels)], items[len(query_labels) :], 2 * int(width), True


def check_one_set(query_labels, database_labels) -> None:
    """Raise ValueError unless the queries are the database's items, of which there are two at least."""
    if not np.array_equal(query_labels, database_labels):
        raise ValueError(
            "leave_one_out=True needs item i in row i of queries and database; pass the same labels twice, and codes "
            "of the same items"
        )
    if len(query_labels) < 2:
        raise ValueError("leave_one_out=True leaves nothing to rank in a database of 1 item; give at least 2")


def pack_checked(binary: np.ndarray) -> np.ndarray:
    """`pack` for uint8 {0,1} [n, k] that has been checked already."""
    n, k = binary.shape
    filled = np.ascontiguousarray(binary)  # a column selection such as codes[:, bits] is stored column by column
    if k % WORD:
        filled = np.zeros((n, k + (-k % WORD)), np.uint8)
        filled[:, :k] = binary
    # Row after row, since packbits is several times as fast along one axis as along the second of two.
    packed = np.packbits(filled.reshape(-1), bitorder="little")
    return packed.view("<u8").astype(np.uint64, copy=False).reshape(n, -1)


def query_chunks(n_queries: int, n_database: int) -> list[slice]:
    """Rows of queries in chunks of about NUMPY_PAIRS pairs with the database, one query at least."""
    step = max(1, NUMPY_PAIRS // n_database)
    return [slice(start, start + step) for start in range(0, n_queries, step)]


def distance_block(query: np.ndarray, database: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Distances uint16 [c, n] of packed queries [c, words] to a word-by-word database [words, n]."""
    total = np.zeros((len(query), database.shape[1]), np.uint16)
    for word in range(len(database)):
        differing = query[:, word, None] ^ database[word]
        total += np.bitwise_count(differing if mask is None else differing & mask[word])
    return total
