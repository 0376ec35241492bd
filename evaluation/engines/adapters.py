"""Putting PEFT adapters on a resident base model and taking them off without residue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModelForCausalLM, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from evaluation.adapter_kinds import KINDS
from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.engines.memory import is_out_of_memory
from evaluation.errors import CheckpointError

# What peft raises when a config or its tensors don't fit the model in front of it.
_MISFITS = (ValueError, TypeError, KeyError, AttributeError, RuntimeError, NotImplementedError, ImportError)


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter read from its folder."""

    folder: Path
    settings: dict[str, Any]
    weights: dict[str, torch.Tensor]


def read(folder: Path) -> AdapterFiles:
    """Read an adapter without touching any model. Raises CheckpointError."""
    settings = _read_settings(folder)
    try:
        return AdapterFiles(folder, settings, load_file(folder / ADAPTER_FILE))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{ADAPTER_FILE} cannot be read: {error}") from error


class Adapter:
    """One adapter on one base model, put on by the constructor. Raises CheckpointError if it doesn't fit.

    `clean` tells whether `remove` leaves the base model exactly as it was: adapters that re-initialise base
    weights (PiSSA, OLoRA, LoftQ …) or train its biases don't, and the base model must be loaded again.
    """

    def __init__(self, base: Any, files: AdapterFiles) -> None:
        self.clean = files.settings.get("bias", "none") == "none" and (
            files.settings.get("init_lora_weights", True) in (True, False, "gaussian")
        )
        self._modules = dict(base.named_modules())
        try:
            config = PeftConfig.from_pretrained(str(files.folder))
            config.inference_mode = True
            self._peft = PeftModelForCausalLM(base, config)
            _fill(self._peft, files.weights)
        except _MISFITS as error:
            if is_out_of_memory(error):
                raise
            raise CheckpointError(f"the adapter does not fit the base model: {error}") from error
        self._peft.eval()

    def remove(self) -> None:
        """Take the adapter off the base model again."""
        base = self._peft.unload()
        # Of the modules that an adapter holds whole, peft leaves its own in the model.
        for name, module in list(base.named_modules()):
            if self._modules.get(name, module) is not module:
                base.set_submodule(name, self._modules[name])
        # peft leaves its mark on the model, by which the next adapter would be taken for a second one.
        vars(base).pop("peft_config", None)


def _read_settings(folder: Path) -> dict[str, Any]:
    """The adapter's config, refused where it names what this engine does not do."""
    for name in (ADAPTER_CONFIG_FILE, ADAPTER_FILE):
        if not (folder / name).is_file():
            raise CheckpointError(f"the adapter folder {folder} has no {name}")
    try:
        settings = json.loads((folder / ADAPTER_CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{ADAPTER_CONFIG_FILE} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{ADAPTER_CONFIG_FILE} is not a JSON object")
    types = {kind.peft_type for kind in KINDS.values()}
    if settings.get("peft_type") not in types:
        known = " or ".join(sorted(types))
        raise CheckpointError(
            f"{ADAPTER_CONFIG_FILE}: peft_type must be {known}, not {settings.get('peft_type')!r}"
        )
    if settings.get("task_type") not in (None, "CAUSAL_LM"):
        raise CheckpointError(
            f"{ADAPTER_CONFIG_FILE}: task_type must be CAUSAL_LM, not {settings['task_type']!r}"
        )
    # With this key peft imports the module that the config names in `megatron_core`.
    if settings.get("megatron_config") is not None:
        raise CheckpointError(f"{ADAPTER_CONFIG_FILE}: megatron_config must be null")
    return settings


def _fill(peft_model: Any, weights: dict[str, torch.Tensor]) -> None:
    """Load the tensors; every one must have its place and every place its tensor."""
    expected = set(get_peft_model_state_dict(peft_model, save_embedding_layers=False))
    if surplus := sorted(set(weights) - expected):
        raise CheckpointError(
            f"{ADAPTER_FILE} holds {len(surplus)} tensors that have no place in the model, "
            f"first: {surplus[0]}"
        )
    if missing := sorted(expected - set(weights)):
        raise CheckpointError(f"{ADAPTER_FILE} lacks {len(missing)} tensors, first: {missing[0]}")
    set_peft_model_state_dict(peft_model, weights)
