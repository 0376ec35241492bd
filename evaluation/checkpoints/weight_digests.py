"""Digests of a base model's embeddings and output head, by which a copy of them is known without their
values.

PEFT stores these weights beside an adapter in some cases, unchanged. A copy may be of another type than the
file that the base model came from, so there is a digest for each type that adapters are stored in.

numpy is loaded when weights are read: a participant's client compares digests that the site sends, and
needs none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from evaluation.checkpoints.header import TensorEntry, read_exactly

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

Digests = Mapping[str, str]
"""SHA-256 of a weight's bytes by the type that it is stored in."""

_CHUNK = 1024**2


@dataclass(frozen=True)
class StoredWeight:
    """Where a base model's weight stands: a safetensors file, the start of its data, and the entry."""

    path: Path
    data_start: int
    entry: TensorEntry

    def digests(self) -> Digests:
        """Raises OSError where the file cannot be read. Empty for a type that is not floating point."""
        read = READ.get(self.entry.dtype)
        if read is None:
            return {}
        hashes = {dtype: hashlib.sha256() for dtype in _WRITTEN}
        with self.path.open("rb") as file:
            file.seek(self.data_start + self.entry.begin)
            for begin in range(self.entry.begin, self.entry.end, _CHUNK):
                chunk = read_exactly(file, min(_CHUNK, self.entry.end - begin))
                values = read(chunk)
                for dtype, written in _WRITTEN.items():
                    hashes[dtype].update(chunk if dtype == self.entry.dtype else written(values))
        return {dtype: digest.hexdigest() for dtype, digest in hashes.items()}


class StoredDigests(Mapping[str, Digests]):
    """The digests of a folder's weights by name, each computed when it is first asked for."""

    def __init__(self, weights: Mapping[str, StoredWeight]) -> None:
        self._weights = weights
        self._digests = cache(lambda name: weights[name].digests())

    def __getitem__(self, name: str) -> Digests:
        return self._digests(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


Values: TypeAlias = "NDArray[numpy.float32]"


def _from_f32(data: bytes) -> Values:
    import numpy

    return numpy.frombuffer(data, "<f4")


def _from_f16(data: bytes) -> Values:
    import numpy

    return numpy.frombuffer(data, "<f2").astype("<f4")


def _from_bf16(data: bytes) -> Values:
    import numpy

    return (numpy.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")


def _to_f32(values: Values) -> bytes:
    return bytes(values.astype("<f4").data)


def _to_f16(values: Values) -> bytes:
    import numpy

    with numpy.errstate(over="ignore"):
        return bytes(values.astype("<f2").data)


def _to_bf16(values: Values) -> bytes:
    """Rounded to the nearest, ties to even, as every framework does."""
    bits = values.view("<u4").astype("<u8")
    return bytes(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").data)


READ: Mapping[str, Callable[[bytes], Values]] = {"F32": _from_f32, "F16": _from_f16, "BF16": _from_bf16}
"""A tensor's bytes as numbers, by the type that it is stored in."""
_WRITTEN: Mapping[str, Callable[[Values], bytes]] = {"F32": _to_f32, "F16": _to_f16, "BF16": _to_bf16}
