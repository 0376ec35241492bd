"""A client's local training: a frozen base model that stays loaded and LoRA weights that come and go."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from peft import set_peft_model_state_dict
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from evaluation.errors import ModelError, OutOfMemoryError
from evaluation.federated import adapter, data, partitioning
from evaluation.federated.adapter import Arrays
from evaluation.federated.config import FederatedConfig

# transformers' default in its Trainer, which the public FlowerTune apps use.
MAX_GRADIENT_NORM = 1.0
_IGNORED = -100


@dataclass(frozen=True)
class LocalModel:
    """A base model with LoRA layers on one device. Only the LoRA weights ever change."""

    model: Any
    tokenizer: Any
    device: torch.device


@dataclass(frozen=True)
class LocalResult:
    """What a client's round gave.

    `loss` is the mean over the local steps. `peak_rss_bytes` is the process's highest resident set so far:
    it includes Python, torch and the base model. `peak_vram_bytes` is torch's allocation peak during the
    round, base model included, and None without CUDA.
    """

    arrays: Arrays
    loss: float
    seconds: float
    peak_rss_bytes: int
    peak_vram_bytes: int | None


@lru_cache(maxsize=1)
def load(path: Path, precision: str, gradient_checkpointing: bool, lora: adapter.LoraSettings) -> LocalModel:
    """Load a base model and put LoRA layers on it; the same arguments again give the same object.

    Raises ModelError when the folder cannot be loaded in this precision.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options: dict[str, Any] = {"dtype": torch.float32 if precision == "fp32" else torch.bfloat16}
    if precision == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
        )
    try:
        base = AutoModelForCausalLM.from_pretrained(
            path, device_map={"": device}, local_files_only=True, **options
        )
        vocabulary = tokenizer(path)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelError(f"the base model in {path} cannot be loaded as {precision}: {error}") from error
    if vocabulary.eos_token_id is None:
        raise ModelError(f"the tokenizer in {path} has no end token to teach the model where an answer ends")
    base.config.use_cache = False
    if gradient_checkpointing:
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model = adapter.attach(base, lora)
    model.train()
    return LocalModel(model, vocabulary, device)


@lru_cache(maxsize=1)
def tokenizer(path: Path) -> Any:
    """The tokenizer in a base model's folder."""
    return AutoTokenizer.from_pretrained(path, local_files_only=True)


def tokenised(config: FederatedConfig, client: int) -> tuple[data.Tokens, ...]:
    """One client's rows in the model's vocabulary, kept for its next round."""
    positions = partitioning.split(config, data.read(config.train_data)).clients[client]
    return _tokens(config.train_data, positions, config.model, config.sequence_length)


@lru_cache(maxsize=4096)
def _tokens(
    rows: Path, positions: tuple[int, ...], model: Path, sequence_length: int
) -> tuple[data.Tokens, ...]:
    every, vocabulary = data.read(rows).rows, tokenizer(model)
    return tuple(data.encode(every[position], vocabulary, sequence_length) for position in positions)


def local_model(config: FederatedConfig) -> LocalModel:
    """The model that a run trains, loaded once in this process."""
    return load(
        config.model, config.precision, config.gradient_checkpointing, adapter.LoraSettings.of(config)
    )


def train(
    config: FederatedConfig, client: int, server_round: int, learning_rate: float, arrays: Arrays
) -> LocalResult:
    """Train a client for `config.local_steps` steps from the global adapter `arrays` and return its own.

    AdamW without weight decay starts afresh each round: no optimiser state outlives it, as a client may
    not be sampled again for long. The rows drawn depend on seed, client and round alone.
    Raises OutOfMemoryError when the device has no room.
    """
    local, rows = local_model(config), tokenised(config, client)
    set_peft_model_state_dict(local.model, {name: torch.from_numpy(array) for name, array in arrays.items()})
    parameters = [parameter for parameter in local.model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0)
    order = random.Random(f"{config.seed}/{client}/{server_round}")  # noqa: S311 - reproducible, not secret
    on_cuda = local.device.type == "cuda"
    if on_cuda:
        torch.cuda.reset_peak_memory_stats()
    start, losses = time.perf_counter(), []
    try:
        for batch in data.batches(rows, config.batch_size, config.local_steps, order):
            loss = answer_loss(local, batch)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            losses.append(loss.detach())
        mean = float(torch.stack(losses).mean())
    except torch.OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"out of memory training {config.batch_size} rows of up to {config.sequence_length} tokens"
        ) from error
    state = adapter.weights(local.model)
    return LocalResult(
        arrays={name: tensor.detach().cpu().numpy() for name, tensor in state.items()},
        loss=mean,
        seconds=time.perf_counter() - start,
        peak_rss_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        peak_vram_bytes=torch.cuda.max_memory_allocated() if on_cuda else None,
    )


def answer_loss(local: LocalModel, batch: Sequence[data.Tokens]) -> torch.Tensor:
    """Mean cross-entropy over the answer tokens of a batch.

    Rows are padded on the left to the longest, so that answers end together and the vocabulary is projected
    for the last positions only: for short answers most of the memory and a good part of the time.
    """
    width, tail = max(map(len, batch)), max(len(row.answer) for row in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    targets = torch.full((len(batch), tail), _IGNORED)
    for position, row in enumerate(batch):
        ids[position, width - len(row) :] = torch.tensor(row.prompt + row.answer)
        mask[position, width - len(row) :] = 1
        targets[position, tail - len(row.answer) :] = torch.tensor(row.answer)
    logits = local.model(
        input_ids=ids.to(local.device),
        attention_mask=mask.to(local.device),
        position_ids=(mask.cumsum(1) - 1).clamp(min=0).to(local.device),
        logits_to_keep=tail + 1,
        use_cache=False,
    ).logits
    predicted = logits[:, :-1].float().flatten(0, 1)
    return torch.nn.functional.cross_entropy(
        predicted, targets.to(local.device).flatten(), ignore_index=_IGNORED
    )
