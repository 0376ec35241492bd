"""Loading a base model and its tokenizer: from safetensors only, and without code of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from evaluation.attention import attend_as_configured, attend_to_grouped_keys
from evaluation.engines.memory import memory_for
from evaluation.errors import ModelError
from evaluation.precision import compute_alike, loading_options
from evaluation.rules.protocol import Precision


def load_tokenizer(folder: Path) -> Any:
    """Raises ModelError."""
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(f"the tokenizer of {folder} cannot be loaded: {error}") from error


def load_model(folder: Path, precision: Precision, device: torch.device) -> Any:
    """The model in eval mode. Raises ModelError, OutOfMemoryError."""
    try:
        with memory_for(f"loading {folder} as {precision}"):
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                device_map={"": device},
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
                **loading_options(precision),
            )
    except (OSError, ValueError, ImportError, SafetensorError) as error:
        raise ModelError(f"the base model {folder} cannot be loaded as {precision}: {error}") from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"the base model {folder} lacks {len(missing)} tensors, first: {missing[0]}")
    _forget_sampling(model)
    attend_as_configured(model)
    attend_to_grouped_keys()
    compute_alike(model)
    if device.type == "cpu" and precision == "fp32":
        _lay_out_for_cpu(model)
    return model.eval()


def _lay_out_for_cpu(model: Any) -> None:
    """Store the weights of linear layers column by column, without changing a value.

    The matrix product then reads them as they lie. Measured with one thread: 1.15 to 1.35 times as fast for
    8 to 128 tokens, equal for one and for 500. The output layer keeps its own order: it may be the embedding.
    """
    output = model.get_output_embeddings()
    for module in model.modules():
        if type(module) is torch.nn.Linear and module is not output:
            module.weight.data = module.weight.data.t().contiguous().t()


def _forget_sampling(model: Any) -> None:
    """Keep only the end tokens of the model's own generation settings.

    The rest (temperatures, repetition penalties) have no place where everybody is asked in the same way.
    """
    own = model.generation_config
    model.generation_config = GenerationConfig(eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id)


def end_tokens(model: Any, tokenizer: Any, stop: Sequence[str] = ()) -> frozenset[int]:
    """The tokens that end an answer: the model's, else the tokenizer's, and those that are stop strings.

    A special token (`<file_sep>` is one for some models) never shows in an answer's text.
    """
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    own = frozenset(() if ends is None else ends if isinstance(ends, (list, tuple)) else (ends,))
    added = tokenizer.added_tokens_decoder.items()
    return own | {number for number, token in added if token.special and token.content in stop}


def context_tokens(model: Any) -> int | None:
    """How many tokens the model can attend to; None where its config does not say."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(context) if context and context > 0 else None


def rope_switch(model: Any) -> int | None:
    """Above how many tokens all positions are embedded otherwise (LongRoPE, arXiv 2402.13753); None if never.

    Dynamic NTK changes them too, but not before the tokens that `context_tokens` allows.
    """
    rope = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    kinds = [kind for kind in (rope, *rope.values()) if isinstance(kind, dict)]  # layers may differ
    switching = [kind for kind in kinds if kind.get("rope_type") == "longrope"]
    return min((int(kind["original_max_position_embeddings"]) for kind in switching), default=None)
