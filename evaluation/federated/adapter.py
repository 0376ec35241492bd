"""The LoRA adapter apart from its base model's weights: settings, first values, saving."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from peft import get_peft_model_state_dict as peft_state
from peft.tuners.lora import LoraLayer
from transformers import AutoConfig, AutoModelForCausalLM

from evaluation.errors import ModelError
from evaluation.federated.config import FederatedConfig

Arrays = dict[str, numpy.ndarray[Any, numpy.dtype[Any]]]
_NAME = "default"


@dataclass(frozen=True)
class LoraSettings:
    """What defines the adapter's shape and scale, and the name of the base model it records."""

    base_model_id: str
    rank: int
    alpha: int
    target_modules: tuple[str, ...]

    @classmethod
    def of(cls, config: FederatedConfig) -> LoraSettings:
        """The settings of a run."""
        return cls(config.base_model_id, config.rank, config.alpha, config.target_modules)


def attach(base: Any, settings: LoraSettings) -> Any:
    """Put LoRA layers on a base model and freeze all else.

    Raises ModelError that lists the target modules this model does not have, or cannot be adapted.
    """
    names = [name for name, _ in base.named_modules()]
    missing = [t for t in settings.target_modules if not any(f".{name}".endswith(f".{t}") for name in names)]
    if missing:
        linear = {
            name.rpartition(".")[2] for name, m in base.named_modules() if isinstance(m, torch.nn.Linear)
        }
        raise ModelError(
            f"{settings.base_model_id} has no module called {', '.join(missing)}; "
            f"its linear modules are {', '.join(sorted(linear))}"
        )
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(settings.target_modules),
        task_type="CAUSAL_LM",
        base_model_name_or_path=settings.base_model_id,
    )
    base.name_or_path = settings.base_model_id  # else peft records the folder that it was loaded from
    try:
        return get_peft_model(base, lora)
    except ValueError as error:
        raise ModelError(f"LoRA cannot be put on {', '.join(settings.target_modules)}: {error}") from error


def weights(model: Any) -> dict[str, torch.Tensor]:
    """The adapter's tensors by the names they have in `adapter_model.safetensors`."""
    # Without the flag peft asks the model hub whether the vocabulary grew.
    return dict(peft_state(model, save_embedding_layers=False))


class GlobalAdapter:
    """The server's adapter: real LoRA weights on a base model that has structure but no weights."""

    def __init__(self, config: FederatedConfig) -> None:
        """Make the initial adapter from `config.seed`: A by peft's own initialisation, B zero.

        Raises ModelError when the base model's config is unusable or a target module is unknown.
        """
        try:
            structure = AutoConfig.from_pretrained(config.model, local_files_only=True)
            with torch.device("meta"):
                base = AutoModelForCausalLM.from_config(structure, dtype=torch.float32)
                self._model = attach(base, LoraSettings.of(config))
        except (OSError, ValueError) as error:
            raise ModelError(f"the base model in {config.model} cannot be read: {error}") from error
        torch.manual_seed(config.seed)
        for module in self._model.modules():
            if isinstance(module, LoraLayer):
                for part in (module.lora_A, module.lora_B):
                    part.to_empty(device="cpu")
                module.reset_lora_parameters(_NAME, init_lora_weights=True)

    def arrays(self) -> Arrays:
        """The weights in fp32."""
        return {name: tensor.numpy() for name, tensor in weights(self._model).items()}

    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(array.size for array in self.arrays().values())

    def save(self, arrays: Arrays, folder: Path) -> None:
        """Write `arrays` as `adapter_model.safetensors` with `adapter_config.json` to `folder`."""
        set_peft_model_state_dict(self._model, {name: torch.from_numpy(a) for name, a in arrays.items()})
        self._model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)  # peft's card is an empty form
