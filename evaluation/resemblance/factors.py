"""An adapter's update of each module as two factors, read from its file one module at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

import numpy
from numpy.typing import NDArray

from evaluation.checkpoints.header import TensorEntry, read_exactly, read_header
from evaluation.checkpoints.spelling import spelling
from evaluation.checkpoints.tensor_names import parse_name
from evaluation.checkpoints.weight_digests import READ
from evaluation.errors import CheckpointError

Values: TypeAlias = NDArray[numpy.float32]

# The names of the two factors of a linear module and of an embedding. Those of an embedding give the
# transposed update, as those of every other adapter on it do.
_PAIRS = (("lora_A", "lora_B"), ("lora_embedding_A", "lora_embedding_B"))

# Vectors of a rank as trainings have them; squares of others leave the range of float32.
_SHORTEST, _LONGEST = 1e-9, 1e9


@dataclass(frozen=True)
class Factors:
    """An update b·a, its scale included: `a` is rank × columns, `b` rows × rank."""

    a: Values
    b: Values

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])

    @property
    def squared_norm(self) -> float:
        """Of b·a, without building it."""
        return float(numpy.sum((self.b.T @ self.b) * (self.a @ self.a.T), dtype=numpy.float64))


@dataclass(frozen=True, order=True)
class Module:
    """An adapted module: its name in the base model and the shape of its update."""

    name: str
    rows: int
    columns: int


def scales(adapter_config: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, float]:
    """What PEFT multiplies each module's product by, from a checkpoint's normalised configuration and its
    summary.
    """
    by_root = bool(adapter_config.get("use_rslora"))
    result = {}
    for module in summary["modules"]:
        rank, alpha = module["rank"], module["alpha"]
        alpha = adapter_config["lora_alpha"] if alpha is None else alpha
        result[module["name"]] = alpha / (math.sqrt(rank) if by_root else rank)
    return result


class AdapterFactors:
    """The updates in a safetensors file of `size` bytes, for the modules that have a scale.

    `others` counts the tensors that are no part of them: DoRA's magnitudes, whole weights, modules that are
    not loaded. Raises CheckpointError where the file is not what was checked when it came.
    """

    def __init__(self, file: BinaryIO, size: int, scales: Mapping[str, float]) -> None:
        header, findings = read_header(file, size)
        if header is None:
            raise CheckpointError(f"the stored adapter cannot be read: {findings[0].message}")
        self._file, self._start, self._scales = file, header.data_start, scales
        self._pairs = _pairs(header.tensors, scales)
        self.modules: tuple[Module, ...] = tuple(sorted(self._pairs))
        self.others = len(header.tensors) - 2 * len(self._pairs)

    def read(self, module: Module) -> Factors | None:
        """The module's factors; None where the adapter has none of that name and shape."""
        pair = self._pairs.get(module)
        if pair is None:
            return None
        a, b = (self._values(entry) for entry in pair)
        return _factors(a, b, self._scales[module.name])

    def _values(self, entry: TensorEntry) -> Values:
        self._file.seek(self._start + entry.begin)
        data = read_exactly(self._file, entry.end - entry.begin)
        if len(data) < entry.end - entry.begin:
            raise CheckpointError("the stored adapter ended while it was read")
        return READ[entry.dtype](data).reshape(entry.shape)


def _factors(a: Values, b: Values, scale: float) -> Factors:
    """Each rank's length shared out evenly between its two vectors where either is so long or short that
    squares leave the range of float32: the update stays, and nobody hides it by multiplying one and dividing
    the other. Raises CheckpointError where the update itself is that long."""
    long_a, long_b = _lengths(a), _lengths(b.T) * abs(scale)
    known = numpy.concatenate([long_a[long_a > 0], long_b[long_b > 0]])
    if not len(known) or (known.min() > _SHORTEST and known.max() < _LONGEST):
        return Factors(a, b * numpy.float32(scale))
    both = numpy.sqrt(long_a * long_b)
    if both.max() > _LONGEST:
        raise CheckpointError("the stored adapter has an update that is too large to be compared")
    with numpy.errstate(divide="ignore", invalid="ignore"):
        by_a = numpy.where(both > 0, both / long_a, 0.0)
        by_b = numpy.where(both > 0, both / long_b, 0.0) * scale
    return Factors((a * by_a[:, None]).astype(numpy.float32), (b * by_b).astype(numpy.float32))


def _lengths(rows: Values) -> NDArray[numpy.float64]:
    squares: NDArray[numpy.float64] = numpy.einsum("ij,ij->i", rows, rows, dtype=numpy.float64)
    return numpy.sqrt(squares)


def _pairs(
    tensors: tuple[TensorEntry, ...], scales: Mapping[str, float]
) -> dict[Module, tuple[TensorEntry, TensorEntry]]:
    names = spelling([entry.name for entry in tensors]).names
    by_module: dict[str, dict[str, TensorEntry]] = defaultdict(dict)
    for entry in tensors:
        parsed = parse_name(names[entry.name])
        if parsed is not None and parsed.module in scales and entry.dtype in READ:
            by_module[parsed.module][parsed.part.name] = entry
    found = {}
    for name, parts in by_module.items():
        for first, second in _PAIRS:
            if first in parts and second in parts:
                a, b = parts[first], parts[second]
                found[Module(name, b.shape[0], a.shape[1])] = (a, b)
    return found
