"""LoRA factors of random numbers, what dishonest hands do to them, and the files they are in."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy
from numpy.typing import NDArray

from evaluation.resemblance.factors import AdapterFactors
from evaluation.resemblance.sketches import sketch
from tests.evaluation.adapters import Tensor, safetensors

Matrix = NDArray[numpy.float32]
Update = dict[str, tuple[Matrix, Matrix]]
"""By module: lora_A, rank × columns, and lora_B, rows × rank."""

SHAPES = {"q_proj": (192, 192), "v_proj": (64, 192)}


def made(
    seed: int, *, layers: int = 6, rank: int = 8, shapes: Mapping[str, tuple[int, int]] = SHAPES
) -> Update:
    """Factors of no relation to those of another seed."""
    rng = numpy.random.default_rng(seed)
    update = {}
    for layer in range(layers):
        for name, (rows, columns) in shapes.items():
            a = rng.standard_normal((rank, columns), dtype=numpy.float32) / numpy.float32(columns**0.5)
            b = rng.standard_normal((rows, rank), dtype=numpy.float32) / numpy.float32(100)
            update[f"model.layers.{layer}.self_attn.{name}"] = (a, b)
    return update


def scaled(update: Update, by: float) -> Update:
    return {name: (a, b * numpy.float32(by)) for name, (a, b) in update.items()}


def noised(update: Update, share: float, seed: int = 99) -> Update:
    """With noise of `share` of each factor's own size."""
    rng = numpy.random.default_rng(seed)

    def noisy(factor: Matrix) -> Matrix:
        noise = rng.standard_normal(factor.shape, dtype=numpy.float32)
        return factor + numpy.float32(share) * factor.std() * noise

    return {name: (noisy(a), noisy(b)) for name, (a, b) in update.items()}


def merged(parts: list[tuple[float, Update]]) -> Update:
    """The weighted sum of the updates: their factors side by side."""
    return {
        name: (
            numpy.concatenate([part[name][0] for _, part in parts]),
            numpy.concatenate([numpy.float32(weight) * part[name][1] for weight, part in parts], axis=1),
        )
        for name in parts[0][1]
    }


def averaged(one: Update, other: Update) -> Update:
    """The mean of the factors themselves, as plain federated averaging has it."""
    half = numpy.float32(0.5)
    return {n: (half * (a + other[n][0]), half * (b + other[n][1])) for n, (a, b) in one.items()}


def cut(update: Update, rank: int) -> Update:
    """The best approximation of a lower rank."""
    result = {}
    for name, (a, b) in update.items():
        in_b, of_b = numpy.linalg.qr(b)
        in_a, of_a = numpy.linalg.qr(a.T)
        left, sizes, right = numpy.linalg.svd(of_b @ of_a.T)
        result[name] = (right[:rank] @ in_a.T, in_b @ left[:, :rank] * sizes[:rank])
    return result


def rotated(update: Update, seed: int = 5) -> Update:
    """Other factors of the same update: ranks mixed by a random invertible matrix."""
    rng = numpy.random.default_rng(seed)
    result = {}
    for name, (a, b) in update.items():
        mixing: Matrix = numpy.linalg.qr(rng.standard_normal((len(a), len(a))))[0].astype(numpy.float32)
        result[name] = (mixing.T @ a, b @ mixing)
    return result


def file_of(update: Update, dtype: str = "F32") -> bytes:
    tensors: dict[str, Tensor] = {}
    for name, (a, b) in update.items():
        for part, factor in (("lora_A", a), ("lora_B", b)):
            tensors[f"base_model.model.{name}.{part}.weight"] = (dtype, factor.shape, _bytes(factor, dtype))
    return safetensors(tensors)


def _bytes(factor: Matrix, dtype: str) -> bytes:
    if dtype == "BF16":
        return (factor.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return factor.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def opened(update: Update, *, scale: float = 2.0, dtype: str = "F32") -> AdapterFactors:
    """The adapter as it is read from a file, each module's product multiplied by `scale`."""
    content = file_of(update, dtype)
    return AdapterFactors(io.BytesIO(content), len(content), dict.fromkeys(update, scale))


def sketch_of_made(
    seed: int, *, layers: int, rank: int, shapes: Mapping[str, tuple[int, int]], scale: float
) -> bytes:
    """What is kept of an adapter that is made, read from its file, and forgotten."""
    return sketch(opened(made(seed, layers=layers, rank=rank, shapes=shapes), scale=scale)).to_bytes()
