"""The inspection of an adapter, against the SHA-256 of its file: the least that intake must do."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy

from evaluation.checkpoints import BaseModelTensors, inspect_adapter
from tests.evaluation import adapters
from tests.perf.measure import Comparison, median_seconds

RANK, WIDTH, LAYERS = 256, 4096, 24


def compare() -> Iterator[Comparison]:
    tensors, shapes = {}, {}
    values = numpy.random.default_rng(0).normal(size=RANK * WIDTH).astype("<f4").tobytes()
    for layer in range(LAYERS):
        module = f"model.layers.{layer}.self_attn.q_proj"
        shapes[f"{module}.weight"] = (WIDTH, WIDTH)
        tensors[f"base_model.model.{module}.lora_A.weight"] = ("F32", (RANK, WIDTH), values)
        tensors[f"base_model.model.{module}.lora_B.weight"] = ("F32", (WIDTH, RANK), values)
    base = BaseModelTensors(shapes, tie_word_embeddings=True, model_type="llama")
    config = adapters.config(r=RANK, target_modules=["q_proj"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "adapter_model.safetensors"
        path.write_bytes(adapters.safetensors(tensors))
        size = path.stat().st_size

        def inspect() -> None:
            with path.open("rb") as file:
                summary, findings = inspect_adapter(file, size, config, base)
            assert summary, findings

        def digest() -> None:
            with path.open("rb") as file:
                hashlib.file_digest(file, "sha256")

        yield Comparison(
            f"inspecting an adapter of {size / 1024**2:.0f} MB",
            median_seconds(inspect, 3),
            "its SHA-256 alone",
            median_seconds(digest, 3),
        )
