"""Updates of weights that the loaded model holds fused: the experts of a mixture, adapted one by one.

Files of such models hold each expert's matrices by themselves, and adapters are made for these; the library
fuses them while loading. All that it does there is linear (stacking, joining, transposing), so the same steps
turn the experts' updates into those of the fused weights, exactly.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.pytorch_utils import Conv1D

from evaluation.checkpoints import base_model_tensors
from evaluation.errors import CheckpointError

Update = Callable[[], torch.Tensor]
"""Makes the update of one weight, as the files of the base model shape it."""


def fused_modules(model: Any, modules: Sequence[str]) -> frozenset[str]:
    """Those that are no module of the loaded model that PEFT could adapt."""
    kinds = (torch.nn.Linear, torch.nn.Embedding, Conv1D)
    own = {name for name, module in model.named_modules() if isinstance(module, kinds)}
    return frozenset(modules) - own


def add_updates(model: Any, folder: Path, updates: Mapping[str, Update]) -> None:
    """Add updates to the weights of a model, by the names that the files in its folder give the weights.

    Raises CheckpointError, before anything is changed, when one is of no weight or of a quantised one.
    """
    steps = Steps(model)
    stored = base_model_tensors(folder).shapes
    if strange := sorted(set(updates) - set(stored)):
        raise CheckpointError(
            f"the adapter changes {len(strange)} weights that the base model has not, first: {strange[0]}"
        )
    targets = {steps.target(name) for name in updates}
    sources: dict[str, list[str]] = defaultdict(list)
    for name in stored:
        if (target := steps.target(name)) in targets:
            sources[target].append(name)
    parameters = dict(model.named_parameters())
    for target in targets:
        if target not in parameters or not parameters[target].is_floating_point():
            raise CheckpointError(f"the loaded base model has no weight {target} to add an update to")
    for target, names in sources.items():
        weight = parameters[target].data
        parts = {name: updates[name]() if name in updates else torch.zeros(stored[name]) for name in names}
        update = steps.converted(target, parts)
        weight.copy_(weight.float() + update.to(weight.device))


class Steps:
    """What the library does with the weights of this model's files while it loads them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        steps = get_model_conversion_mapping(model)
        self._renamings = [step for step in steps if isinstance(step, WeightRenaming)]
        self._converters = [step for step in steps if isinstance(step, WeightConverter)]

    def target(self, name: str) -> str:
        """The weight of the loaded model that this one of the files becomes a part of."""
        return str(rename_source_key(name, self._renamings, self._converters)[0])

    def converted(self, target: str, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The weight of the loaded model that is made of these, in the order of the files."""
        step: Any = None
        for name, part in parts.items():
            _, pattern = rename_source_key(name, self._renamings, self._converters)
            if pattern is None:
                return part
            if step is None:
                step = copy.deepcopy(next(c for c in self._converters if pattern in c.source_patterns))
            step.add_tensor(target, name, pattern, part)
        made: torch.Tensor | list[torch.Tensor] = step.convert(
            target, model=self._model, config=self._model.config
        )[target]
        return made[0] if isinstance(made, list) else made
