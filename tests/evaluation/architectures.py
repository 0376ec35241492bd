"""Small random models of every causal architecture that transformers can make, asked by engine and library.

`python -m tests.evaluation.architectures` makes the table in docs/engines.md, or those rows that it is given.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import peft
import torch
import transformers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, GenerationConfig, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from evaluation.benchmarks.samples import Decoding, Request
from evaluation.engines import canary
from evaluation.engines.transformers import TransformersEngine
from evaluation.errors import ModelError
from tests.evaluation.conftest import byte_tokenizer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engines.md"
WINDOW = 12
CONTEXT = 256
VOCABULARY = 320  # some tokenizers add a few to the bytes
LONG_ROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "original_max_position_embeddings": 40,
    "short_factor": [1.0] * 4,
    "long_factor": [1.0, 2.0, 4.0, 8.0],
}


@dataclass(frozen=True)
class Case:
    """An architecture, with settings of its own beside the small sizes."""

    model_type: str
    options: Mapping[str, Any] = field(default_factory=dict)


# Under a name of their own: what an architecture does only where its config asks for it.
VARIANTS: Mapping[str, Case] = {
    "phi3 with LongRoPE": Case(
        "phi3", {"rope_parameters": LONG_ROPE, "original_max_position_embeddings": 40, "sliding_window": None}
    ),
    "bert as a decoder": Case("bert", {"is_decoder": True}),
    "llama with dynamic NTK": Case(
        "llama",
        {
            "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10_000.0},
            "max_position_embeddings": 64,
        },
    ),
}
CASES: Mapping[str, Case] = {
    **{name: Case(name) for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES},
    **VARIANTS,
}

# What configurations call the sizes of a model; each is given those that it has. An index of few heads has
# ties, which are broken one way or another.
_SIZES: dict[str, Any] = {
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "embed_dim": 32,
    "intermediate_size": 48, "d_ff": 48, "ffn_dim": 48, "ffn_hidden_size": 48,
    "decoder_ffn_dim": 48, "encoder_ffn_dim": 48,
    "num_hidden_layers": 2, "num_layers": 2, "n_layer": 2, "decoder_layers": 2, "encoder_layers": 2,
    "num_attention_heads": 4, "num_heads": 4, "n_head": 4, "n_heads": 4,
    "decoder_attention_heads": 4, "encoder_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "rotary_dim": 4,
    "max_position_embeddings": CONTEXT, "n_positions": CONTEXT, "n_ctx": CONTEXT, "max_seq_len": CONTEXT,
    "moe_intermediate_size": 16, "expert_ffn_hidden_size": 16, "shared_expert_intermediate_size": 16,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "n_shared_experts": 1,
    "num_experts_per_tok": 2, "moe_topk": 2, "zero_expert_num": 1, "n_group": 1, "topk_group": 1,
    "kv_lora_rank": 8, "q_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "qk_head_dim": 8,
    "v_head_dim": 8, "index_topk": 8, "index_head_dim": 8, "index_n_heads": 32,
    "sliding_window": WINDOW, "window_size": WINDOW, "attention_window_size": WINDOW,
    "attention_chunk_size": WINDOW, "local_attention": WINDOW,
    "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "linear_head_dim": 8, "linear_num_heads": 4,
    "mamba_n_heads": 8, "mamba_num_heads": 8, "mamba_head_dim": 8, "mamba_d_head": 8, "mamba_d_state": 4,
    "mamba_d_ssm": 64, "ssm_state_size": 4, "state_size": 4, "n_mamba_heads": 2,
    "initializer_range": 0.3, "attn_logit_softcapping": 2.0,
}  # fmt: skip
_HYBRID = {"layer_types": ["linear_attention", "full_attention"]}
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
_INDEXED = {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 16,
    "indexer_compress_ratio": 4, "layer_types": ["linear_attention", "indexed_attention"], "hc_lowrank": 8,
    "ngram_vocab_size_base": 100}  # fmt: skip
_LATENT = {"num_key_value_heads": 4}
# What some need besides, or cannot have as the others do.
_OWN: Mapping[str, Mapping[str, Any]] = {
    "axk1": _LATENT | {"head_dim": 4},
    "axk2": _LATENT,
    "deepseek_v2": _LATENT,
    "deepseek_v3": _LATENT | {"head_dim": 4},
    "deepseek_v32": _LATENT,
    "glm4_moe_lite": _LATENT,
    "glm_moe_dsa": _LATENT,
    "minicpm3": _LATENT,
    "longcat_flash": _LATENT | {"head_dim": 4},
    "youtu": _LATENT | {"head_dim": 4},
    "kimi_linear": _HYBRID | _LATENT,
    "qwen3_next": _HYBRID,
    "qwen3_5_text": _HYBRID,
    "qwen3_5_moe_text": _HYBRID,
    "qwen4_exp_text": _INDEXED,
    "bamba": {"attn_layer_indices": [1]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False},
    "cohere_compass_text": {"layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {"sliding_attention": _ROPE, "full_attention": _ROPE}},
    "gemma3n_text": {"num_hidden_layers": 4, "num_kv_shared_layers": 2,
        "layer_types": ["sliding_attention", "full_attention"] * 2, "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": VOCABULARY, "laurel_rank": 4, "activation_sparsity_pattern": [0.0] * 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1},
    "reformer": {"is_decoder": True, "axial_pos_embds": False, "attention_head_size": 8,
        "attn_layers": ["local", "lsh"], "local_attn_chunk_length": 16, "lsh_attn_chunk_length": 16},
    "xlstm": {"hidden_size": 64, "num_heads": 2, "qk_dim_factor": 1.0},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"]},
    "zamba2": {"num_hidden_layers": 3, "layers_block_type": ["mamba", "hybrid", "mamba"], "mamba_d_state": 8,
        "num_mem_blocks": 1},
    "gemma4_text": {"vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8,
        "global_head_dim": 8},
    "roc_bert": {"pronunciation_vocab_size": 8, "shape_vocab_size": 8},
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip


def configuration(case: Case) -> PreTrainedConfig:
    """The configuration of a small model, its parts for pictures and sounds small too."""
    return _small(CONFIG_MAPPING[case.model_type], case.options)


def _small(kind: type[PreTrainedConfig], options: Mapping[str, Any]) -> PreTrainedConfig:
    default = kind()
    known = {*vars(default), *default.attribute_map}
    tokens = {"vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": VOCABULARY - 1}
    text_part = default.get_text_config(decoder=True)
    parts = {}
    for name in kind.sub_configs:
        part = getattr(default, name, None)
        if isinstance(part, PreTrainedConfig):
            parts[name] = _small(type(part), options if part is text_part else {})
    is_text = text_part is default
    sizes = {name: size for name, size in (_SIZES | (tokens if is_text else {})).items() if name in known}
    return kind(**{**sizes, **_OWN.get(kind.model_type, {}), **(options if is_text else {}), **parts})


_PREAMBLE = "What is the sentiment of this? "
_ASKED: tuple[tuple[int, tuple[str, ...]], ...] = (
    (5, tuple(_PREAMBLE + "word " * (i % 3) + chr(97 + i) for i in range(5))),  # a prefix to share
    (5, tuple(chr(97 + i) + "word " * (i * 2 % 5) + chr(97 + i) for i in range(4))),  # none
    (36, ("text " * 5 + "a", "long text " * 6 + "b")),
)
Found = Literal["together", "one at a time", "refused", "not made", "wrong"]


@dataclass(frozen=True)
class Row:
    """What came of an architecture. `note` says why it was refused or not made."""

    name: str
    found: Found
    note: str = ""

    def __str__(self) -> str:
        note = re.sub(r"\s+", " ", self.note).replace("|", "/")
        return f"| {self.name} | {self.found} | {note} |"


def examined(name: str) -> Row:
    """Make a model, let engine and `generate` answer the same prompts, and compare."""
    case = CASES[name]
    tokenizer = byte_tokenizer()
    with TemporaryDirectory() as folder:
        try:
            torch.manual_seed(0)
            made = AutoModelForCausalLM.from_config(configuration(case)).eval()
            made(torch.arange(2, 40)[None])
            made.save_pretrained(folder)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no model of this kind then
            return Row(name, "not made", f"{type(error).__name__}: {str(error)[:120]}")
        tokenizer.save_pretrained(folder)
        engine = TransformersEngine()
        try:
            engine.open(Path(folder), "fp32")
            engine.use_adapter(None)
        except ModelError as error:
            return Row(name, "refused", str(error).replace(folder, "")[:160])
        differing = _differing(engine, Path(folder), tokenizer)
    if differing:
        return Row(name, "wrong", differing)
    return Row(name, "together" if engine.facts().batching == canary.TOGETHER else "one at a time")


def _differing(engine: TransformersEngine, folder: Path, tokenizer: Any) -> str:
    """The first answer that is not that of `generate` on a model of its own,
    attention by its eager code and no cache. With its cache, it goes wrong where LongRoPE switches."""
    reference = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    reference.generation_config = GenerationConfig(eos_token_id=VOCABULARY - 1, pad_token_id=0)
    for most, prompts in _ASKED:
        requests = [Request("fpb", prompt, prompt) for prompt in prompts]
        for answer in engine.generate(requests, Decoding(max_new_tokens=most), lambda _: None):
            ids = tokenizer(answer.key, return_tensors="pt").input_ids
            own = reference.generate(
                ids, max_new_tokens=answer.generated_tokens, do_sample=False, use_cache=False
            )
            expected = tokenizer.decode(own[0, ids.shape[1] :], skip_special_tokens=True)
            if answer.text != expected:
                return f"{answer.key!r}: {answer.text!r}, not {expected!r}"
    return ""


_BEGIN, _END = "<!-- architectures -->", "<!-- end -->"


def recorded() -> dict[str, str]:
    """The table's rows as they stand on the page, by name."""
    table = PAGE.read_text(encoding="utf-8").partition(_BEGIN)[2].partition(_END)[0]
    return {line.split("|")[1].strip(): line for line in table.splitlines() if line.startswith("| ")}


def write(rows: Iterable[Row]) -> None:
    """Put rows on the page, in the place of those of their names."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    known = recorded() | {row.name: str(row) for row in rows}
    lines = [known[name] for name in CASES if name in known]
    counts = {kind: sum(f"| {kind} |" in line for line in lines) for kind in Found.__args__}  # type: ignore[attr-defined]
    made_with = f"transformers {transformers.__version__}, torch {torch.__version__}, PEFT {peft.__version__}"
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    table = ["| architecture | answers | |", "|---|---|---|", *lines]
    text = (
        f"{before}{_BEGIN}\n{made_with}: {told}.\n\n"
        + "\n".join(table)
        + f"\n{_END}{rest.partition(_END)[2]}"
    )
    PAGE.write_text(text, encoding="utf-8")


def main() -> None:
    transformers.utils.logging.set_verbosity_error()
    warnings.simplefilter("ignore")  # that fast kernels are missing, and advice on options
    for name in sys.argv[1:] or CASES:
        row = examined(name)
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
        write([row])


if __name__ == "__main__":
    main()
