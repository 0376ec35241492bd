"""An adapter's update in a few kB, by which near ones are found among thousands.

Of each module's update ΔW a sketch holds the numbers xᵢᵀ ΔW yᵢ for fixed vectors x and y of random signs,
made from the module's name and shape, so that all adapters are asked the same. For any two updates the mean
of the products of these numbers is their inner product in expectation (random projections, as in Johnson and
Lindenstrauss 1984): sketches tell the cosine of two updates with an error that is known, whatever signs,
order or number of ranks their factors have.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy
from numpy.typing import NDArray

from evaluation.errors import CheckpointError
from evaluation.resemblance.factors import AdapterFactors, Factors, Module, Values

VERSION = 1
# Numbers of a sketch, shared out among the modules: an error of 1.6% where these weigh alike.
_NUMBERS = 4096
_MOST_OF_A_MODULE = 256
_BLOCK = 1 << 22
_HEAD = struct.Struct("<BHII")
# A cosine of sketches is a sign of something from so many of its errors on; of independent updates, one in
# three million goes beyond.
SIGNIFICANT = 5.0

Keys: TypeAlias = NDArray[numpy.uint64]


@dataclass(frozen=True)
class Estimate:
    """The cosine of two updates as their sketches tell it, and its standard error for independent ones.

    `even` is the same with every module's update brought to length one first, so that no module hides the
    others.
    """

    cosine: float
    error: float
    even: float
    even_error: float

    @property
    def strength(self) -> float:
        """The larger of the two cosines in its errors."""
        return max(abs(self.cosine) / self.error, abs(self.even) / self.even_error)


@dataclass(frozen=True)
class Sketch:
    """`keys` name the modules, in ascending order; `norms` are the updates' Frobenius norms.

    A row of `values` has a module's numbers, divided by its norm. `others` counts the tensors that the
    sketch says nothing of.
    """

    keys: Keys
    norms: Values
    values: Values
    others: int

    @property
    def probes(self) -> int:
        """How many numbers there are of a module; sketches of more begin with the same."""
        return int(self.values.shape[1])

    @cached_property
    def norm(self) -> float:
        return float(numpy.linalg.norm(self.norms.astype(numpy.float64)))

    def to_bytes(self) -> bytes:
        head = _HEAD.pack(VERSION, self.probes, len(self.keys), self.others)
        return b"".join(
            (head, self.keys.astype("<u8").tobytes(), self.norms.astype("<f4").tobytes(),
             self.values.astype("<f2").tobytes())
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> Sketch:
        """Raises CheckpointError for bytes of another version or length."""
        if len(data) < _HEAD.size or data[0] != VERSION:
            raise CheckpointError("the sketch of an adapter has another version")
        _, probes, modules, others = _HEAD.unpack_from(data)
        if len(data) != _HEAD.size + modules * (8 + 4 + 2 * probes):
            raise CheckpointError("the sketch of an adapter is damaged")
        keys = numpy.frombuffer(data, "<u8", modules, _HEAD.size)
        norms = numpy.frombuffer(data, "<f4", modules, _HEAD.size + 8 * modules)
        values = numpy.frombuffer(data, "<f2", modules * probes, _HEAD.size + 12 * modules)
        return cls(keys, norms, values.astype(numpy.float32).reshape(modules, probes), others)

    def vector(self, probes: int | None = None) -> Values:
        """The numbers of each module in the length that its update has, the first `probes` of them."""
        lengthened: Values = self.values[:, :probes] * self.norms[:, None]
        return lengthened


def sketch(adapter: AdapterFactors) -> Sketch:
    """Read an adapter once, module by module. Raises CheckpointError."""
    probes = max(1, min(_MOST_OF_A_MODULE, _NUMBERS // max(1, len(adapter.modules))))
    keys = numpy.array([_key(module) for module in adapter.modules], dtype=numpy.uint64)
    norms = numpy.zeros(len(keys), dtype=numpy.float32)
    values = numpy.zeros((len(keys), probes), dtype=numpy.float32)
    for row, module in enumerate(adapter.modules):
        factors = adapter.read(module)
        norm = math.sqrt(max(0.0, factors.squared_norm)) if factors else 0.0
        if factors and norm > 0:
            norms[row] = norm
            values[row] = _numbers(module, factors, probes) / norm
    order = numpy.argsort(keys)
    return Sketch(keys[order], norms[order], values[order], adapter.others)


def estimate(one: Sketch, other: Sketch) -> Estimate | None:
    """How alike two updates are; None where they have no module in common or one of them is zero."""
    mine, theirs = shared(one, other)
    if not len(mine) or not one.norm or not other.norm:
        return None
    probes = min(one.probes, other.probes)
    products = numpy.einsum("ij,ij->i", one.values[mine, :probes], other.values[theirs, :probes])
    lengths = one.norms[mine].astype(numpy.float64) * other.norms[theirs]
    own, its = _squares(one, probes), _squares(other, probes)
    scale = math.sqrt(_weighed(one, own) * _weighed(other, its))
    even_scale = math.sqrt(float(own.sum()) * float(its.sum()))
    used = math.sqrt(probes * numpy.count_nonzero(one.norms) * numpy.count_nonzero(other.norms))
    return Estimate(
        cosine=float(lengths @ products) / scale,
        error=float(numpy.linalg.norm(lengths)) / (math.sqrt(probes) * one.norm * other.norm),
        even=float(products.sum()) / even_scale,
        even_error=math.sqrt(len(mine)) / used,
    )


def shared(one: Sketch, other: Sketch) -> tuple[NDArray[numpy.intp], NDArray[numpy.intp]]:
    """Where the modules that both adapt stand in either."""
    if numpy.array_equal(one.keys, other.keys):
        rows = numpy.arange(len(one.keys))
        return rows, rows
    _, mine, theirs = numpy.intersect1d(one.keys, other.keys, assume_unique=True, return_indices=True)
    return mine, theirs


def _squares(of: Sketch, probes: int) -> NDArray[numpy.float64]:
    squares: NDArray[numpy.float64] = (of.values[:, :probes].astype(numpy.float64) ** 2).sum(axis=1)
    return squares


def _weighed(of: Sketch, squares: NDArray[numpy.float64]) -> float:
    return float(of.norms.astype(numpy.float64) ** 2 @ squares)


def _key(module: Module) -> int:
    text = f"{module.name} {module.rows} {module.columns}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def _numbers(module: Module, factors: Factors, probes: int) -> Values:
    """xᵢᵀ b a yᵢ for the first `probes` pairs of vectors."""
    left = numpy.concatenate([signs @ factors.b for signs in _signs(module, "x", module.rows, probes)])
    right = numpy.concatenate([signs @ factors.a.T for signs in _signs(module, "y", module.columns, probes)])
    numbers: Values = numpy.einsum("ij,ij->i", left, right)
    return numbers


def _signs(module: Module, side: str, length: int, probes: int) -> Iterator[Values]:
    """`probes` vectors of random signs in blocks, the same on every machine; more of them begin alike."""
    row = (length + 7) // 8
    seed = f"{module.name} {module.rows} {module.columns} {side}".encode()
    bits = numpy.frombuffer(hashlib.shake_256(seed).digest(row * probes), numpy.uint8).reshape(probes, row)
    step = max(1, _BLOCK // length)
    for begin in range(0, probes, step):
        block = numpy.unpackbits(bits[begin : begin + step], axis=1, count=length)
        yield block.astype(numpy.float32) * 2 - 1
