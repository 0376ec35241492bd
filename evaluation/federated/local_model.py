"""The base model that a client process keeps loaded, and the adapters that come and go on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from peft import prepare_model_for_kbit_training
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from evaluation.attention import attend_as_configured
from evaluation.errors import ModelError
from evaluation.federated import adapter
from evaluation.federated.accumulation import Room
from evaluation.federated.adapter import LoraSettings, first_values
from evaluation.federated.config import FederatedConfig
from evaluation.federated.factors import Arrays, chosen, cut, filled_up, products
from evaluation.precision import compute_alike
from evaluation.rules.protocol import FOUR_BIT

Factors = dict[str, tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class LocalModel:
    """A base model with LoRA layers on one device. Only the adapter's tensors and the residual ever change.

    `tensors` are the adapter's by name, the very memory that the model computes with. `magnitudes` are
    DoRA's first values, the norms of this model's own weights. `residual` holds a module's frozen factors
    beside its adapter, scaled: they act as a second, fixed LoRA path, so that the base weights, quantised or
    not, are never touched and nothing has to be undone. `room` is what the device was seen to have.
    """

    model: Any
    tokenizer: Any
    device: torch.device
    settings: LoraSettings
    tensors: dict[str, torch.Tensor]
    magnitudes: Arrays
    residual: Factors = field(default_factory=dict)
    room: Room = field(default_factory=Room)

    def put(self, arrays: Arrays, seed: str, rank: int | None = None) -> None:
        """Take over an adapter and its residual. Tensors that `arrays` lacks get first values by `seed`.

        An adapter of a smaller `rank` than the model's is filled up with zeros, which no gradient reaches:
        rows of A and columns of B beyond it stay zero, so that training is that of an adapter of that rank.
        """
        every = {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}
        lacking = {name: shape for name, shape in every.items() if name not in arrays}
        first = cut(self.magnitudes | first_values(lacking, seed), rank or self.settings.rank)
        whole = filled_up({name: (first | arrays)[name] for name in every}, every)
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(torch.from_numpy(whole[name]))
        self.residual.clear()
        scale = self.settings.alpha / self.settings.rank
        for module, product in products(arrays, "residual").items():
            a = torch.from_numpy(product.a).to(self.device)
            self.residual[module] = a, torch.from_numpy(product.b).to(self.device) * scale

    def pairs(self) -> list[tuple[torch.nn.Parameter, torch.nn.Parameter]]:
        """The parameters of A and B of each module."""
        named = dict(self.model.named_parameters())
        return [
            (parameter, named[name.replace(".lora_A.", ".lora_B.")])
            for name, parameter in named.items()
            if ".lora_A." in name
        ]

    def parameters(self, what: str = "both") -> list[torch.nn.Parameter]:
        """The adapter's parameters: `both` for all of them, or `A` or `B`."""
        letter = "lora_" if what == "both" else f".lora_{what}."
        return [parameter for name, parameter in self.model.named_parameters() if letter in name]

    def arrays(self, what: str = "both") -> Arrays:
        """Copies of the adapter's tensors, `both` for all of them, or `A` or `B`."""
        return {name: self.tensors[name].cpu().numpy().copy() for name in chosen(self.tensors, what)}


def local_model(config: FederatedConfig) -> LocalModel:
    """The model that a run trains, loaded once in this process, which computes with the run's threads now.

    Ray gives its processes as many as they have cores, and other programs what their environment says.
    """
    torch.set_num_threads(config.threads)
    return load(config.model, config.precision, LoraSettings.of(config))


@lru_cache(maxsize=1)
def load(path: Path, precision: str, lora: LoraSettings) -> LocalModel:
    """Load a base model and put LoRA layers on it; the same arguments again give the same object.

    The device is the first GPU that the process sees; with several, each client process is shown its own.
    Raises ModelError when the folder cannot be loaded in this precision.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        base, vocabulary = _frozen(path, precision, device), tokenizer(path)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelError(f"the base model in {path} cannot be loaded as {precision}: {error}") from error
    if vocabulary.eos_token_id is None:
        raise ModelError(f"the tokenizer in {path} has no end token to teach the model where an answer ends")
    model = adapter.attach(base, lora)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()  # peft leaves DoRA's magnitudes in the base's precision
    model.train()
    tensors = adapter.weights(model)
    magnitudes = {
        name: tensor.cpu().numpy().copy() for name, tensor in tensors.items() if adapter.told_by_base(name)
    }
    local = LocalModel(model, vocabulary, device, lora, tensors, magnitudes)
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            module.register_forward_hook(partial(_with_residual, local.residual, name))
    return local


def _frozen(path: Path, precision: str, device: torch.device) -> Any:
    """The base model as it is trained upon.

    In 4 bits the linear layers compute in fp32, as bitsandbytes does when it is told no type. All else is
    read as bf16 and then made ready for training as PEFT does: norms, embeddings and head in fp32, and
    activations computed again in the backward pass.
    """
    four_bit = precision in FOUR_BIT
    base = AutoModelForCausalLM.from_pretrained(
        path,
        device_map={"": device},
        local_files_only=True,
        dtype=torch.float32 if precision == "fp32" else torch.bfloat16,
        quantization_config=_four_bits(precision) if four_bit else None,
    )
    base.config.use_cache = False
    attend_as_configured(base)
    compute_alike(base)
    if four_bit:
        base = prepare_model_for_kbit_training(base, gradient_checkpointing_kwargs={"use_reentrant": False})
    return base


def _four_bits(kind: str) -> BitsAndBytesConfig:
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=kind)


@lru_cache(maxsize=1)
def tokenizer(path: Path) -> Any:
    """The tokenizer in a base model's folder."""
    return AutoTokenizer.from_pretrained(path, local_files_only=True)


def _with_residual(
    residual: Factors, name: str, _module: Any, inputs: Sequence[torch.Tensor], output: torch.Tensor
) -> torch.Tensor | None:
    """A layer's output with its residual's share; None, which leaves it as it is, where there is none."""
    if name not in residual:
        return None
    a, b = residual[name]
    linear = torch.nn.functional.linear
    return output + linear(linear(inputs[0].to(a.dtype), a), b).to(output.dtype)
