"""The header of a safetensors file, believed only after everything in it has been checked.

Format: https://github.com/huggingface/safetensors#format. Eight bytes hold the header's length N
(little-endian), N bytes of JSON follow, the rest of the file is the tensors' bytes without holes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from evaluation.checkpoints.foreign_files import foreign_kind
from evaluation.checkpoints.strictjson import DuplicateKeyError, JsonError, parse_object
from evaluation.findings import Finding, FindingCollector, excerpt

ADAPTER_FILE = "adapter_model.safetensors"
# The format allows 100 MB. An adapter of a 70B model has some 1,700 tensors and a header of 0.3 MB,
# while parsed JSON takes up to 25 times its size in memory.
MAX_ADAPTER_HEADER = 4 * 1024**2
MAX_HEADER = 100_000_000
MAX_TENSORS = 20_000
MAX_NAME = 256
MAX_RANK = 8
MAX_DIMENSION = 2**40

DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor as the header describes it; `begin` and `end` are bytes from the start of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A checked header: `tensors` in the order of their bytes, which fill the file from `data_start` on."""

    tensors: tuple[TensorEntry, ...]
    metadata: Mapping[str, str]
    data_start: int


def read_header(
    file: BinaryIO, size: int, *, name: str = ADAPTER_FILE, limit: int = MAX_ADAPTER_HEADER
) -> tuple[SafetensorsHeader | None, tuple[Finding, ...]]:
    """Read and check the header of `file`, which is `size` bytes long, from its start.

    At most `limit` bytes (+ 8) are read. The header is None exactly when a finding is an error;
    `name` is how the findings call the file.
    """
    findings = FindingCollector()
    header = _read(file, size, name, limit, findings)
    return (None if findings.has_errors else header), findings.collected()


def read_exactly(file: BinaryIO, count: int) -> bytes:
    """`count` bytes from `file`, or fewer where it ends before them."""
    pieces: list[bytes] = []
    while count > 0 and (piece := file.read(count)):
        pieces.append(piece)
        count -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _read(
    file: BinaryIO, size: int, name: str, limit: int, findings: FindingCollector
) -> SafetensorsHeader | None:
    raw = _header_bytes(file, size, name, limit, findings)
    if raw is None:
        return None
    place = f"{name}: header"
    try:
        document = parse_object(raw)
    except DuplicateKeyError as error:
        findings.error("header.duplicate_key", f"The header is refused: {error}. Save the file again.", place)
        return None
    except JsonError as error:
        at = f", {error.place}" if error.place else ""
        findings.error("header.json", f"The header is refused: {error}. Save the file again.", place + at)
        return None
    metadata = _metadata(document.pop("__metadata__", {}), name, findings)
    if len(document) > MAX_TENSORS:
        text = f"The header names {len(document):,} tensors; an adapter has at most {MAX_TENSORS:,}."
        findings.error("header.too_many_tensors", text, place)
        return None
    data_size = size - 8 - len(raw)
    entries = [_entry(key, value, name, findings) for key, value in document.items()]
    tensors = sorted((e for e in entries if e is not None), key=lambda entry: (entry.begin, entry.end))
    if not findings.has_errors:
        _check_layout(tensors, data_size, name, findings)
    return SafetensorsHeader(tuple(tensors), metadata, 8 + len(raw))


def _header_bytes(
    file: BinaryIO, size: int, name: str, limit: int, findings: FindingCollector
) -> bytes | None:
    """The JSON part, trailing padding included, or None and a finding."""
    file.seek(0)
    start = read_exactly(file, min(size, 9))
    if not start:
        findings.error("file.empty", "The file is empty. Upload it again.", name)
        return None
    length = int.from_bytes(start[:8], "little")
    starts_like_json = start[8:] == b"{"
    if len(start) == 9 and starts_like_json and 2 <= length <= min(limit, size - 8):
        rest = read_exactly(file, length - 1)
        if len(rest) == length - 1:
            return b"{" + rest
        findings.error("file.truncated", "The file ended while its header was read. Upload it again.", name)
        return None
    kind = foreign_kind(start + read_exactly(file, min(max(size - len(start), 0), 64)))
    if kind:
        advice = "Save the adapter with save_pretrained(…, safe_serialization=True) and upload that file."
        findings.error("file.not_safetensors", f"This is {kind}, not safetensors. {advice}", name)
    elif not starts_like_json and len(start) == 9 and 2 <= length <= min(limit, size - 8):
        text = "The header does not begin with {, so this is not safetensors. Use save_pretrained."
        findings.error("file.not_safetensors", text, name)
    else:
        _report_length(length, size, name, limit, findings)
    return None


def _report_length(length: int, size: int, name: str, limit: int, findings: FindingCollector) -> None:
    place = f"{name}: bytes 0 to 7"
    if size < 10:
        text = f"The file has {size} bytes, too few for a safetensors file. Upload it again."
        findings.error("file.truncated", text, name)
    elif length < 2:
        findings.error("header.length", "The file announces an empty header. Save the adapter again.", place)
    elif length > limit:
        text = (
            f"The file announces a header of {length:,} bytes, the limit is {limit:,}. Either it is not "
            "safetensors or it is damaged; save the adapter with save_pretrained and upload that file."
        )
        findings.error("header.length", text, place)
    else:
        text = (
            f"The file announces a header of {length:,} bytes but has only {size:,} bytes in all. "
            "It was probably cut off; upload it again."
        )
        findings.error("header.length", text, place)


def _metadata(value: object, name: str, findings: FindingCollector) -> dict[str, str]:
    if isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return value
    text = "__metadata__ has to map strings to strings. Save the adapter with save_pretrained."
    findings.error("header.metadata", text, f"{name}: __metadata__")
    return {}


def _entry(key: str, value: object, file_name: str, findings: FindingCollector) -> TensorEntry | None:
    """The tensor `key` if its entry is consistent in itself."""
    place = f"{file_name}: {excerpt(key, 160)}"
    if not key or len(key) > MAX_NAME or not key.isascii() or not key.isprintable():
        text = f"A tensor name has to be 1 to {MAX_NAME} printable ASCII characters. Save the adapter again."
        findings.error("header.tensor_name", text, place)
        return None
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        findings.error(
            "header.tensor_entry", "The entry has to hold dtype, shape and data_offsets only.", place
        )
        return None
    dtype, shape, offsets = value["dtype"], _shape(value["shape"]), _offsets(value["data_offsets"])
    bits = DTYPE_BITS.get(dtype) if isinstance(dtype, str) else None
    if bits is None:
        shown = excerpt(repr(dtype), 40)
        findings.error("header.dtype", f"The data type {shown} does not exist in safetensors.", place)
    if shape is None:
        text = f"The shape has to be at most {MAX_RANK} integers from 0 to {MAX_DIMENSION:,}."
        findings.error("header.shape", text, place)
    if offsets is None:
        findings.error("header.offsets", "data_offsets has to be [begin, end] with 0 ≤ begin ≤ end.", place)
    if not isinstance(dtype, str) or bits is None or shape is None or offsets is None:
        return None
    begin, end = offsets
    if math.prod(shape) * bits != 8 * (end - begin):
        text = (
            f"{dtype} of shape {list(shape)} takes {math.prod(shape) * bits / 8:,.0f} bytes, "
            f"but its offsets span {end - begin:,}. The header is wrong; save the adapter again."
        )
        findings.error("header.tensor_size", text, place)
        return None
    return TensorEntry(key, dtype, shape, begin, end)


def _integers(value: object, upper: int) -> tuple[int, ...] | None:
    """`value` as a tuple if it is a list of integers in [0, upper]; true and false are no integers."""
    if isinstance(value, list) and all(type(item) is int and 0 <= item <= upper for item in value):
        return tuple(value)
    return None


def _shape(value: object) -> tuple[int, ...] | None:
    shape = _integers(value, MAX_DIMENSION)
    return shape if shape is not None and len(shape) <= MAX_RANK else None


def _offsets(value: object) -> tuple[int, int] | None:
    offsets = _integers(value, 2**63)
    if offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        return None
    return offsets[0], offsets[1]


def _check_layout(tensors: list[TensorEntry], data_size: int, name: str, findings: FindingCollector) -> None:
    """The tensors have to follow each other without holes and fill the rest of the file exactly."""
    position = 0
    for tensor in tensors:
        place = f"{name}: {tensor.name}"
        if tensor.begin < position:
            findings.error("header.overlap", "The tensor shares bytes with the one before it.", place)
        elif tensor.begin > position:
            text = f"{tensor.begin - position:,} bytes before the tensor belong to no tensor."
            findings.error("header.hole", text, place)
        position = max(position, tensor.end)
    if position > data_size:
        text = (
            f"The header announces {position:,} bytes of tensors, the file holds {data_size:,}. "
            "It was cut off; upload it again."
        )
        findings.error("file.truncated", text, name)
    elif position < data_size:
        text = (
            f"{data_size - position:,} bytes follow the last tensor. Save the adapter with save_pretrained."
        )
        findings.error("file.trailing_bytes", text, name)
