"""The adapter apart from its base model's weights: settings, first values, saving."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import torch
from peft import LoraConfig, get_peft_model
from peft import get_peft_model_state_dict as peft_state
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from evaluation.adapter_kinds import KINDS, LORA
from evaluation.checkpoints.tensor_names import parse_name
from evaluation.errors import ModelError
from evaluation.federated.config import ALL_LINEAR, PEFT_DEFAULT, FederatedConfig
from evaluation.federated.factors import (
    Arrays,
    Product,
    arrays_of,
    by_module,
    chosen,
    compressed,
    products,
    total,
)
from evaluation.method.strategies import get


@dataclass(frozen=True)
class LoraSettings:
    """What defines the adapter's shape and scale, and the name of the base model it records."""

    base_model_id: str
    rank: int
    alpha: int
    target_modules: tuple[str, ...]
    dropout: float = 0.0
    adapter: str = LORA.key

    @classmethod
    def of(cls, config: FederatedConfig) -> LoraSettings:
        """The settings of a run."""
        return cls(
            config.base_model_id,
            config.rank,
            config.alpha,
            config.target_modules,
            config.dropout,
            config.adapter,
        )


def attach(base: Any, settings: LoraSettings) -> Any:
    """Put LoRA layers on a base model and freeze all else.

    Raises ModelError that lists the target modules this model does not have, or cannot be adapted.
    """
    names = [name for name, _ in base.named_modules()]
    named = settings.target_modules if isinstance(_targets(settings.target_modules), list) else ()
    missing = [target for target in named if not any(f".{name}".endswith(f".{target}") for name in names)]
    if missing:
        linear = {
            name.rpartition(".")[2] for name, m in base.named_modules() if isinstance(m, torch.nn.Linear)
        }
        raise ModelError(
            f"{settings.base_model_id} has no module called {', '.join(missing)}; "
            f"its linear modules are {', '.join(sorted(linear))}"
        )
    base.name_or_path = settings.base_model_id  # else peft records the folder that it was loaded from
    try:
        return get_peft_model(base, _peft_config(settings, base))
    except ValueError as error:
        raise ModelError(f"LoRA cannot be put on {', '.join(settings.target_modules)}: {error}") from error


def _peft_config(settings: LoraSettings, base: Any) -> LoraConfig:
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        **KINDS[settings.adapter].settings,
        target_modules=_targets(settings.target_modules),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in base.modules()),  # as GPT-2 has them
        task_type="CAUSAL_LM",
        base_model_name_or_path=settings.base_model_id,
    )


def _targets(names: tuple[str, ...]) -> list[str] | str | None:
    """As PEFT is told: it finds all linear layers, without the head, and knows its own defaults."""
    if names == (PEFT_DEFAULT,):
        return None
    return ALL_LINEAR if names == (ALL_LINEAR,) else list(names)


def weights(model: Any) -> dict[str, torch.Tensor]:
    """The adapter's tensors by the names they have in `adapter_model.safetensors`, sorted; not copies."""
    # Without the flag peft asks the model hub whether the vocabulary grew.
    return dict(sorted(peft_state(model, save_embedding_layers=False).items()))


def first_values(shapes: Mapping[str, tuple[int, ...]], seed: str) -> Arrays:
    """The untrained adapter in fp32, each tensor decided by `seed` and its name alone, on any machine.

    Uniform numbers lie within ±1/√inputs, as peft draws them. What base weights tell is left out.
    """
    arrays = {}
    for name, shape in shapes.items():
        first = _first(name)
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        random = numpy.random.default_rng(int.from_bytes(digest[:16]))
        if first == "zeros":
            arrays[name] = numpy.zeros(shape, dtype=numpy.float32)
        elif first == "normal":
            arrays[name] = random.standard_normal(shape, dtype=numpy.float32)
        elif first == "uniform":
            bound = numpy.float32(1 / numpy.sqrt(shape[1]))
            arrays[name] = (2 * random.random(shape, dtype=numpy.float32) - 1) * bound
    return arrays


def told_by_base(name: str) -> bool:
    """Whether the first values of a tensor come from the base model's weights, as DoRA's magnitudes do."""
    return _first(name) == "base"


def _first(name: str) -> str:
    parsed = parse_name(name)
    if parsed is None:
        raise ModelError(f"{name} is no tensor of a kind of adapter that is known here")
    return parsed.part.first


def merged(arrays: Arrays, settings: LoraSettings) -> tuple[Arrays, LoraSettings]:
    """One LoRA adapter that does what an adapter and its residual do together, and its settings.

    Its rank is the least that all modules need, never below the run's; modules that need less are filled up
    with zeros, as one rank for all is what every program that loads adapters can read. It is exact up to the
    rounding to fp32. The scale alpha / rank of the run goes into B, so that alpha is the rank.
    Without a residual the adapter is as it was.
    """
    residuals = products(arrays, "residual")
    if not residuals:
        return arrays, settings
    scale = settings.alpha / settings.rank
    adapters = products(arrays)
    pairs = {module: [adapters[module], residuals[module]] for module in adapters}
    sums = by_module(lambda pair: compressed(total(pair)), pairs)
    rank = max(settings.rank, *(product.rank for product in sums.values()))
    return arrays_of({module: _filled_up(product, rank, scale) for module, product in sums.items()}), replace(
        settings, rank=rank, alpha=rank
    )


def _filled_up(product: Product, rank: int, scale: float) -> Product:
    zeros = rank - product.rank
    return Product(
        numpy.pad(product.b * numpy.float32(scale), ((0, 0), (0, zeros))),
        numpy.pad(product.a, ((0, zeros), (0, 0))),
    )


class GlobalAdapter:
    """The server's adapter: shapes from a base model that has structure but no weights."""

    def __init__(self, config: FederatedConfig) -> None:
        """Raises ModelError when the base model's config is unusable or a target module is unknown."""
        self._settings = LoraSettings.of(config)
        self._seed = str(config.seed)
        self._trains = get(config.strategy).trains
        try:
            structure = AutoConfig.from_pretrained(config.model, local_files_only=True)
            with torch.device("meta"):
                base = AutoModelForCausalLM.from_config(structure, dtype=torch.float32)
                model = attach(base, self._settings)
        except (OSError, ValueError) as error:
            raise ModelError(f"the base model in {config.model} cannot be read: {error}") from error
        self.shapes = {name: tuple(tensor.shape) for name, tensor in weights(model).items()}
        self._peft_config = model.peft_config["default"]

    def arrays(self) -> Arrays:
        """The untrained adapter in fp32, but for DoRA's magnitudes, which only a client knows."""
        return first_values(self.shapes, self._seed)

    def parameters(self) -> int:
        """How many numbers the run trains: all of the adapter, unless its strategy freezes A."""
        trained = chosen(self.shapes, "B" if self._trains == "B" else "both")
        return sum(int(numpy.prod(self.shapes[name])) for name in trained)

    def save(self, arrays: Arrays, folder: Path) -> None:
        """Write `arrays` as `adapter_model.safetensors` with `adapter_config.json` to `folder`.

        A residual is merged in, which makes the rank larger than the run's.
        """
        whole, settings = merged(arrays, self._settings)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: numpy.ascontiguousarray(array) for name, array in whole.items()},
            folder / "adapter_model.safetensors",
            metadata={"format": "pt"},
        )
        self._peft_config.r, self._peft_config.lora_alpha = settings.rank, settings.alpha
        self._peft_config.inference_mode = True
        self._peft_config.target_modules = sorted(self._peft_config.target_modules)  # a set, of any order
        self._peft_config.save_pretrained(folder)
