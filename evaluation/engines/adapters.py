"""Putting PEFT adapters on a resident base model and taking them off without residue."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModelForCausalLM, get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load_file

from evaluation.adapter_kinds import KINDS
from evaluation.checkpoints import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from evaluation.checkpoints.tensor_names import parse_name
from evaluation.engines.adapter_weights import as_peft_calls_them, without_extras
from evaluation.engines.experts import Update, add_updates, fused_modules
from evaluation.engines.loaded_names import as_loaded
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
        weights = load_file(folder / ADAPTER_FILE)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{ADAPTER_FILE} cannot be read: {error}") from error
    return AdapterFiles(folder, settings, as_peft_calls_them(weights))


class Adapter:
    """One adapter on one base model, put on by the constructor. Raises CheckpointError if it doesn't fit.

    `model` is the folder that the base model was loaded from. `clean` tells whether `remove` leaves the base
    model exactly as it was: adapters that re-initialise base weights (PiSSA, OLoRA, LoftQ …), train its
    biases or change experts one by one don't, and the base model must be loaded again.
    """

    def __init__(self, base: Any, files: AdapterFiles, model: Path) -> None:
        self.clean = files.settings.get("bias", "none") == "none" and (
            files.settings.get("init_lora_weights", True) in (True, False, "gaussian")
        )
        self._modules = dict(base.named_modules())
        self._base = base
        self._peft: Any = None
        try:
            config: Any = PeftConfig.from_pretrained(str(files.folder))
            config.inference_mode = True
            weights = as_loaded(base, model, config, files.weights)
            fused = _of_fused(base, weights)
            if fused:
                self.clean = False
                add_updates(base, model, _updates(config, fused))
                _leave_out_fused(base, config)
            rest = {name: weight for name, weight in weights.items() if not _stands_in(name, fused)}
            if rest:
                with _taken_literally(base):
                    self._peft = PeftModelForCausalLM(base, config)
                    _fill(self._peft, rest)
                self._peft.eval()
        except _MISFITS as error:
            if is_out_of_memory(error):
                raise
            raise CheckpointError(f"the adapter does not fit the base model: {error}") from error

    def remove(self) -> None:
        """Take the adapter off the base model again, so far as it can be."""
        base = self._base if self._peft is None else self._peft.unload()
        # Of the modules that an adapter holds whole, peft leaves its own in the model.
        for name, module in list(base.named_modules()):
            if self._modules.get(name, module) is not module:
                base.set_submodule(name, self._modules[name])
        # peft leaves its mark on the model, by which the next adapter would be taken for a second one.
        vars(base).pop("peft_config", None)


Fused = Mapping[str, Mapping[str, torch.Tensor]]
"""Factors by their names, of modules that are parts of a fused weight."""


def _of_fused(base: Any, weights: Mapping[str, torch.Tensor]) -> Fused:
    factors: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    for name, weight in weights.items():
        if parsed := parse_name(name):
            factors[parsed.module][parsed.part.name] = weight
    return {name: factors[name] for name in fused_modules(base, list(factors))}


def _stands_in(name: str, modules: Mapping[str, object]) -> bool:
    parsed = parse_name(name)
    return parsed is not None and parsed.module in modules


def _updates(config: Any, fused: Fused) -> dict[str, Update]:
    """The products of the factors, scaled, by the weights' names in the base model's files."""
    updates: dict[str, Update] = {}
    for module, factors in fused.items():
        if set(factors) != {"lora_A", "lora_B"}:
            raise CheckpointError(
                f"{module} is a part of a fused weight, on which plain LoRA alone is evaluated; "
                f"it has {', '.join(sorted(factors))}"
            )
        rank = _of(config.rank_pattern, module, config.r)
        a, b = factors["lora_A"], factors["lora_B"]
        if a.shape[0] != rank or b.shape[1] != rank:
            raise CheckpointError(f"{module} has factors of rank {a.shape[0]}, the configuration says {rank}")
        scale = _of(config.alpha_pattern, module, config.lora_alpha)
        scale /= math.sqrt(rank) if config.use_rslora else rank
        updates[f"{module}.weight"] = partial(_product, a, b, scale)
    return updates


def _of(pattern: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    """The value for a module, by PEFT's rule."""
    pattern = pattern or {}
    return pattern.get(get_pattern_key(pattern.keys(), module), default)


def _product(a: torch.Tensor, b: torch.Tensor, scale: float) -> torch.Tensor:
    return b.float() @ a.float() * scale


def _leave_out_fused(base: Any, config: Any) -> None:
    """Keep of the target modules those that PEFT finds in the loaded model and adapts; others it refuses."""
    targets = config.target_modules
    if not isinstance(targets, (list, set, tuple)):
        return
    named = [name for name, _ in base.named_modules()]
    strange = fused_modules(base, named)
    found = {target: [n for n in named if f".{n}".endswith(f".{target}")] for target in targets}
    config.target_modules = {target for target, names in found.items() if not strange.issuperset(names)}
    if not isinstance(config.exclude_modules, str):
        routers = strange.intersection(name for names in found.values() for name in names)
        config.exclude_modules = {*(config.exclude_modules or ()), *routers}


@contextmanager
def _taken_literally(base: Any) -> Iterator[None]:
    """Keep PEFT from reading a mixture's gate_proj, wherever it stands, as a part of fused experts.

    It knows such models by their type, and would leave dense layers and shared experts unadapted.
    """
    base.config.model_type = ""
    try:
        yield
    finally:
        del base.config.model_type


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
    if settings.get("target_parameters"):
        raise CheckpointError(f"{ADAPTER_CONFIG_FILE}: target_parameters is not evaluated")
    # With this key peft imports the module that the config names in `megatron_core`.
    if settings.get("megatron_config") is not None:
        raise CheckpointError(f"{ADAPTER_CONFIG_FILE}: megatron_config must be null")
    return settings


def _fill(peft_model: Any, weights: dict[str, torch.Tensor]) -> None:
    """Load the tensors; every one must have its place and every place its tensor."""
    expected = set(get_peft_model_state_dict(peft_model, save_embedding_layers=False))
    weights = without_extras(weights, expected, peft_model)
    if surplus := sorted(set(weights) - expected):
        raise CheckpointError(
            f"{ADAPTER_FILE} holds {len(surplus)} tensors that have no place in the model, "
            f"first: {surplus[0]}"
        )
    if missing := sorted(expected - set(weights)):
        raise CheckpointError(f"{ADAPTER_FILE} lacks {len(missing)} tensors, first: {missing[0]}")
    set_peft_model_state_dict(peft_model, weights)
