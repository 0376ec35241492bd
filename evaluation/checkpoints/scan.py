"""One pass over an adapter's bytes: digests, and what the values are like. Memory stays flat."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from evaluation.checkpoints.header import SafetensorsHeader, TensorEntry, read_exactly

CHUNK = 1024**2  # a multiple of every item size; small enough to stay in the processor's cache


@dataclass(frozen=True, slots=True)
class FloatFormat:
    """A floating-point format as unsigned integers: infinite and NaN have all exponent bits set."""

    bits: str
    exponent: int
    magnitude: int


FLOATS: Mapping[str, FloatFormat] = {
    "F32": FloatFormat("<u4", 0x7F80_0000, 0x7FFF_FFFF),
    "F16": FloatFormat("<u2", 0x7C00, 0x7FFF),
    "BF16": FloatFormat("<u2", 0x7F80, 0x7FFF),
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
        bits = np.frombuffer(chunk, layout.bits)
        bad = (bits & layout.exponent) == layout.exponent
        found = int(np.count_nonzero(bad))
        if found and first < 0:
            first = (begin - entry.begin) // bits.itemsize + int(bad.argmax())
        count += found
        magnitudes = bits & layout.magnitude
        if row and not magnitudes.all():
            zero_rows += int(np.count_nonzero(~magnitudes.reshape(-1, row // bits.itemsize).any(axis=1)))
        zero = zero and not magnitudes.any()
    return TensorScan(count, first, zero and layout is not None, own.digest(), zero_rows)


def _row_bytes(entry: TensorEntry) -> int:
    """The bytes of a row of a matrix of numbers; 0 for anything else, and for rows longer than a chunk."""
    if len(entry.shape) != 2 or not entry.elements or entry.dtype not in FLOATS:
        return 0
    row = (entry.end - entry.begin) // entry.shape[0]
    return row if row <= CHUNK else 0
