"""An adapter's tensors as PEFT calls them, and without what it stores beside them that is not loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from evaluation.checkpoints import ADAPTER_FILE
from evaluation.checkpoints.spelling import BASE_LAYER, spelling
from evaluation.checkpoints.tensor_names import parse_name
from evaluation.errors import CheckpointError

Weights = dict[str, torch.Tensor]


def as_peft_calls_them(sent: Weights) -> Weights:
    """The tensors under PEFT's names, as the inspection reads them. Raises CheckpointError."""
    spelt = spelling(sent)
    if spelt.adapters:
        raise CheckpointError(
            f"{ADAPTER_FILE} holds {len(spelt.adapters)} adapters; which is meant is not told"
        )
    weights: Weights = {}
    for name, tensor in sent.items():
        if spelt.names[name] in weights:
            raise CheckpointError(f"{ADAPTER_FILE} holds the tensor {spelt.names[name]} twice")
        weights[spelt.names[name]] = tensor
    return weights


def without_extras(weights: Weights, places: Collection[str], model: Any) -> Weights:
    """Those of the tensors that have a place in the PEFT model, and those that are one too many.

    What is left out changes nothing: LoRA on modules that the configuration does not target, which PEFT
    leaves out too, and copies of the base model's own weights. Raises CheckpointError where such a copy
    differs.
    """
    adapted = {parsed.module for name in places if (parsed := parse_name(name))}
    own: Mapping[str, torch.Tensor] = dict(model.named_parameters(remove_duplicate=False))
    kept: Weights = {}
    for name, tensor in weights.items():
        parsed = parse_name(name)
        if name in places or (parsed is not None and parsed.module in adapted):
            kept[name] = tensor
        elif parsed is None and (weight := _base_weight(name, own)) is not None:
            if not _is_copy(tensor, weight):
                raise CheckpointError(f"{ADAPTER_FILE} would overwrite a weight of the base model: {name}")
        elif parsed is None:
            kept[name] = tensor
    return kept


def _base_weight(name: str, own: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """The base model's weight that a tensor is called after, wherever the adapter has put it."""
    plain = name.replace(BASE_LAYER, ".")
    module, _, last = plain.rpartition(".")
    spellings = (plain, f"{module}{BASE_LAYER}{last}", f"{module}.original_module.{last}")
    return next((own[each] for each in spellings if each in own), None)


def _is_copy(tensor: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether they are equal in either's type: files and loaded models have types of their own."""
    if tensor.shape != weight.shape:
        return False
    on_host = weight.detach().to("cpu")
    return torch.equal(tensor.to(on_host.dtype), on_host) or torch.equal(on_host.to(tensor.dtype), tensor)
