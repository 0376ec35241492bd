"""What the loaded base model calls the weights that an adapter's file names by another release or class.

Names of a model for pictures too (Gemma-3) have changed with the library's releases, and are others in the
base model's files than in the loaded model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from evaluation.checkpoints import ADAPTER_FILE, base_model_tensors
from evaluation.checkpoints.spelling import BASE_LAYER
from evaluation.checkpoints.tensor_names import PREFIX, AdapterTensor, parse_name
from evaluation.engines.experts import Steps, fused_modules
from evaluation.errors import CheckpointError


def as_loaded(
    model: Any, folder: Path, config: Any, weights: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The adapter's tensors by the names of the loaded model; module names in `config` become these too.

    What is a part of a fused weight keeps its name. Raises CheckpointError.
    """
    names = _Names(model, folder)
    modules: dict[str, str] = {}
    renamed = {}
    for name, tensor in weights.items():
        if parsed := parse_name(name):
            modules[parsed.module] = names.module(parsed.module)
            renamed[str(AdapterTensor(modules[parsed.module], parsed.part))] = tensor
        elif name.startswith(PREFIX) and BASE_LAYER not in name:
            renamed[PREFIX + names.parameter(name.removeprefix(PREFIX))] = tensor
        else:
            renamed[name] = tensor
    if len(renamed) < len(weights):
        raise CheckpointError(f"{ADAPTER_FILE} holds tensors under two names of the same module")
    if isinstance(config.target_modules, (list, set, tuple)):
        config.target_modules = {modules.get(target, target) for target in config.target_modules}
    for pattern in (config.rank_pattern, config.alpha_pattern):
        for module in [key for key in pattern or () if modules.get(key, key) != key]:
            pattern[modules[module]] = pattern.pop(module)
    return renamed


class _Names:
    """The names of a loaded model for those in the files of its folder, or in a former release."""

    def __init__(self, model: Any, folder: Path) -> None:
        self._model = model
        self._own = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        self._stored = base_model_tensors(folder)
        self._steps = Steps(model)

    def parameter(self, name: str) -> str:
        """As it is where the loaded model has none of another name, or has it already."""
        if name in self._own or (in_files := self._stored.stored_name(name)) is None:
            return name
        loaded = self._steps.target(in_files)
        return loaded if loaded in self._own else name

    def module(self, name: str) -> str:
        """One that PEFT can adapt, else as it is."""
        loaded = self.parameter(f"{name}.weight").removesuffix(".weight")
        return name if fused_modules(self._model, [loaded]) else loaded
