"""Small safetensors files and adapters for tests, honest and otherwise."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evaluation.checkpoints import AdapterConfig, BaseModelTensors, inspect_adapter_config

HUB_ID = "Example/Tiny-Llama"
LAYERS = 2
HIDDEN, OUT, VOCABULARY = 8, 12, 20

Tensor = tuple[str, tuple[int, ...], bytes]


# Shapes of SmolLM2-135M: 30 layers, 576 wide, 9 heads of 64 over 3 key-value heads, 1,536 in between.
SMOLLM2 = BaseModelTensors(
    {
        "model.embed_tokens.weight": (49_152, 576),
        "model.norm.weight": (576,),
        **{
            f"model.layers.{layer}.{name}.weight": shape
            for layer in range(30)
            for name, shape in (
                ("self_attn.q_proj", (576, 576)),
                ("self_attn.k_proj", (192, 576)),
                ("self_attn.v_proj", (192, 576)),
                ("self_attn.o_proj", (576, 576)),
                ("mlp.gate_proj", (1_536, 576)),
                ("mlp.up_proj", (1_536, 576)),
                ("mlp.down_proj", (576, 1_536)),
                ("input_layernorm", (576,)),
                ("post_attention_layernorm", (576,)),
            )
        },
    },
    tie_word_embeddings=True,
    model_type="llama",
)


def base_model() -> BaseModelTensors:
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
        "model.norm.weight": (HIDDEN,),
    }
    for layer in range(LAYERS):
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = (OUT, HIDDEN)
        shapes[f"model.layers.{layer}.self_attn.v_proj.weight"] = (HIDDEN, HIDDEN)
    return BaseModelTensors(shapes, tie_word_embeddings=True, model_type="llama")


def config_document(**changes: object) -> dict[str, object]:
    document: dict[str, object] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": HUB_ID,
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj", "v_proj"],
    }
    return document | changes


def config(**changes: object) -> AdapterConfig:
    parsed, findings = inspect_adapter_config(json.dumps(config_document(**changes)), base_hub_id=HUB_ID)
    assert parsed is not None, findings
    return parsed


def f32(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return "F32", shape, np.random.default_rng(seed).normal(size=shape).astype("<f4").tobytes()


def lora_tensors(rank: int = 4) -> dict[str, Tensor]:
    """An honest adapter for `base_model()`."""
    tensors: dict[str, Tensor] = {}
    for layer in range(LAYERS):
        for module, rows in (("q_proj", OUT), ("v_proj", HIDDEN)):
            stem = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{stem}.lora_A.weight"] = f32((rank, HIDDEN), layer)
            tensors[f"{stem}.lora_B.weight"] = f32((rows, rank), layer + 10)
    return tensors


def header_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> dict[str, object]:
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    position = 0
    for name, (dtype, shape, data) in tensors.items():
        offsets = [position, position + len(data)]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": offsets}
        position += len(data)
    return header


def with_header(header: bytes, data: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + data


def safetensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    header = json.dumps(header_of(tensors, metadata)).encode()
    return with_header(header, b"".join(data for _, _, data in tensors.values()))


def write_base(folder: Path, tensors: BaseModelTensors) -> None:
    """A base model of these shapes, whose weights are a hole in the file."""
    folder.mkdir(parents=True)
    settings = {"model_type": tensors.model_type, "tie_word_embeddings": tensors.tie_word_embeddings}
    (folder / "config.json").write_text(json.dumps({**settings, "max_position_embeddings": 512}))
    header, position = {}, 0
    for name, shape in tensors.shapes.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [position, position + size]}
        position += size
    with (folder / "model.safetensors").open("wb") as file:
        file.write(with_header(json.dumps(header).encode(), b""))
        file.truncate(file.tell() + position)
