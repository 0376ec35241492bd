"""What a precision makes of a base model: the type of its weights, their quantisation and arithmetic."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from transformers import BitsAndBytesConfig

_TYPES = {"nf4": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
# Where a layer keeps whether the processor has AVX512-BF16, which it asks before it packs its weights.
_PACKS = "support_avx512bf16_for_cpu"


def loading_options(precision: str) -> dict[str, Any]:
    """What `from_pretrained` is given for weights of this precision. Raises KeyError for an unknown one."""
    options: dict[str, Any] = {"dtype": _TYPES[precision]}
    if precision == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=_TYPES[precision]
        )
    return options


def compute_alike(model: Any) -> None:
    """Have the 4-bit layers on a CPU compute by definition whatever the processor: dequantise, then multiply.

    With AVX512-BF16 bitsandbytes would pack a layer's weights anew when it first answers, for a product of
    its own: that rounds their scales to bf16 and fails where rows are no multiple of 32. With AVX-512 it
    takes wrong scales where a row holds no whole number of blocks; such layers are dequantised once, here.
    Raises RuntimeError with a bitsandbytes whose layers no longer ask what is answered here.
    """
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, Linear4bit) or layer.weight.device.type != "cpu":
            continue
        if not hasattr(layer, _PACKS):
            raise RuntimeError(f"the 4-bit layers of this bitsandbytes have no {_PACKS}")
        setattr(layer, _PACKS, False)
        if layer.in_features % layer.weight.quant_state.blocksize:
            model.set_submodule(name, _dequantised(layer))


def _dequantised(layer: Any) -> torch.nn.Linear:
    """A layer that holds the values which the 4-bit one stands for, in its compute type."""
    state = copy(layer.weight.quant_state)
    state.shape = torch.Size([state.shape.numel()])  # as one row, whose blocks are counted right
    state.dtype = layer.compute_dtype
    values = dequantize_4bit(layer.weight.data, state).view(layer.out_features, layer.in_features)
    plain = torch.nn.Linear(layer.in_features, layer.out_features, device="meta", bias=layer.bias is not None)
    plain.weight = torch.nn.Parameter(values, requires_grad=False)
    if layer.bias is not None:
        plain.bias = torch.nn.Parameter(layer.bias.to(layer.compute_dtype), requires_grad=False)
    return plain
