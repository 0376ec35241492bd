"""One pass over an adapter's bytes: digests, and what the values are like. Memory stays flat.

Without numpy, which a participant's client would have to bring along: what is done per value is done by whole
numbers as long as a chunk and by slices of bytes, at the speed of C.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

from evaluation.checkpoints.header import SafetensorsHeader, TensorEntry, read_exactly

CHUNK = 1024**2  # a multiple of every item size; small enough to stay in the processor's cache
_LONG_ROW = 1024
_SIGNLESS = bytes.maketrans(b"\x80", b"\x00")


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """A floating-point format as little-endian unsigned integers of so many bytes.

    Infinite and NaN have all `exponent` bits set; `high` are the last bytes that such values may have.
    """

    itemsize: int
    exponent: int
    high: bytes


FLOATS: Mapping[str, FloatFormat] = {
    "F32": FloatFormat(4, 0x7F80_0000, b"\x7f\xff"),
    "F16": FloatFormat(2, 0x7C00, bytes([*range(0x7C, 0x80), *range(0xFC, 0x100)])),
    "BF16": FloatFormat(2, 0x7F80, b"\x7f\xff"),
}


@dataclass(frozen=True, slots=True)
class TensorScan:
    """`not_finite` values are NaN or infinite, the first at flat index `first_not_finite` (-1: none).

    Of a matrix, `zero_rows` hold nothing but zeros.
    """

    not_finite: int
    first_not_finite: int
    all_zero: bool
    sha256: bytes
    zero_rows: int = 0


@dataclass(frozen=True, slots=True)
class FileScan:
    """`sha256` is the file's, `tensors` are by the names that it has for them."""

    sha256: str
    tensors: Mapping[str, TensorScan]


def scan(file: BinaryIO, header: SafetensorsHeader) -> FileScan | None:
    """Read the whole file once; None when it ends before what the header announces."""
    file.seek(0)
    start = read_exactly(file, header.data_start)
    whole = hashlib.sha256(start)
    if len(start) < header.data_start:
        return None
    tensors: dict[str, TensorScan] = {}
    for entry in header.tensors:
        result = _scan_tensor(file, entry, whole)
        if result is None:
            return None
        tensors[entry.name] = result
    return FileScan(whole.hexdigest(), tensors)


def tensors_digest(entries: Iterable[TensorEntry], names: Mapping[str, str], scanned: FileScan) -> str:
    """SHA-256 over one line a tensor, sorted: its name by `names`, type, shape, SHA-256 of its bytes.

    It depends on the tensors alone: not on their order in the file, the header's spelling, its metadata or
    how the file spells their names.
    """
    lines = sorted(
        f"{names[entry.name]} {entry.dtype} {list(entry.shape)} {scanned.tensors[entry.name].sha256.hex()}\n"
        for entry in entries
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _scan_tensor(file: BinaryIO, entry: TensorEntry, whole: hashlib._Hash) -> TensorScan | None:
    """Tensors of other types than those in FLOATS are hashed only."""
    own = hashlib.sha256()
    layout = FLOATS.get(entry.dtype)
    count, first, zero, zero_rows = 0, -1, True, 0
    row = _row_bytes(entry)
    step = CHUNK // row * row if row else CHUNK
    for begin in range(entry.begin, entry.end, step):
        length = min(step, entry.end - begin)
        chunk = read_exactly(file, length)
        if len(chunk) < length:
            return None
        own.update(chunk)
        whole.update(chunk)
        if layout is None:
            continue
        found, position = _not_finite(chunk, layout)
        if found and first < 0:
            first = (begin - entry.begin) // layout.itemsize + position
        count += found
        if row:
            zero_rows += _zero_rows(chunk, layout, row)
        zero = zero and _is_zero(chunk, layout)
    return TensorScan(count, first, zero and layout is not None, own.digest(), zero_rows)


def _not_finite(chunk: bytes, layout: FloatFormat) -> tuple[int, int]:
    """How many values are infinite or NaN, and the position of the first (0 where there is none)."""
    high = chunk[layout.itemsize - 1 :: layout.itemsize]
    if len(high.translate(None, layout.high)) == len(high):
        return 0, 0
    exponents, ones, signs = _masks(layout, len(high))
    # One more in its lowest bit carries an exponent of ones over into the sign bit, and no other.
    carried = ((int.from_bytes(chunk, "little") & exponents) + ones) & signs
    lowest = (carried & -carried).bit_length() - 1
    return carried.bit_count(), max(0, lowest // (8 * layout.itemsize))


@lru_cache(maxsize=8)  # most chunks of a file are of one length
def _masks(layout: FloatFormat, count: int) -> tuple[int, int, int]:
    """For `count` values side by side: all exponent bits, the lowest of each, the sign bits."""
    lowest = layout.exponent & -layout.exponent
    sign = 1 << (8 * layout.itemsize - 1)
    exponents, ones, signs = (
        int.from_bytes(bits.to_bytes(layout.itemsize, "little") * count, "little")
        for bits in (layout.exponent, lowest, sign)
    )
    return exponents, ones, signs


def _is_zero(values: bytes, layout: FloatFormat) -> bool:
    """Whether all values are zero, of either sign."""
    if values.strip(b"\x00\x80"):
        return False
    size = layout.itemsize
    return all(values[byte::size].count(0) * size == len(values) for byte in range(size - 1))


def _zero_rows(chunk: bytes, layout: FloatFormat, row: int) -> int:
    """How many rows of `row` bytes hold nothing but zeros of either sign."""
    size = layout.itemsize
    high = chunk[size - 1 :: size].translate(_SIGNLESS)
    if bytes(row // size) not in high:
        return 0
    if row > _LONG_ROW:
        return sum(_is_zero(chunk[begin : begin + row], layout) for begin in range(0, len(chunk), row))
    # Short rows are many: a column at a time, gathered into one byte a row.
    gathered = 0
    for byte in range(row):
        is_high = byte % size == size - 1
        column = high[byte // size :: row // size] if is_high else chunk[byte::row]
        gathered |= int.from_bytes(column, "little")
    rows = len(chunk) // row
    return gathered.to_bytes(rows, "little").count(0)


def _row_bytes(entry: TensorEntry) -> int:
    """The bytes of a row of a matrix of numbers; 0 for anything else, and for rows longer than a chunk."""
    if len(entry.shape) != 2 or not entry.elements or entry.dtype not in FLOATS:
        return 0
    row = (entry.end - entry.begin) // entry.shape[0]
    return row if row <= CHUNK else 0
