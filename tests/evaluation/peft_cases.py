"""Adapters in the shapes that PEFT of several years, its users and other tools save them in.

Each is made from one adapter as PEFT saves it today. What tells of the shapes: PEFT's documentation of its
checkpoint format and its issues (2699 on names of adapters, 1579 and 2132 on prefixes), those of unsloth,
axolotl, LLaMA-Factory, trl, torchtune and MLX, and the code of their savers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

torch = pytest.importorskip("torch")

Tensors = dict[str, Any]
Change = Callable[[Tensors], Tensors]
PREFIX = "base_model.model."
HIDDEN, KEYS, VOCABULARY = 16, 8, 32


@dataclass(frozen=True)
class Case:
    """`options` make the adapter with PEFT; `config` and `change` make of its files what somebody sends.

    `code` is of the one error, "" where it is taken; `notes` are the codes of what is said beside. PEFT
    itself `loads` it or not: what it loads is refused only where the benchmark does not allow it, which
    `reason` says.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    change: Change = dict
    code: str = ""
    notes: frozenset[str] = frozenset()
    loads: bool = True
    reason: str = ""
    dropped: tuple[str, ...] = ()


def renamed(change: Callable[[str], str]) -> Change:
    return lambda tensors: {change(name): tensor for name, tensor in tensors.items()}


def under(adapter: str) -> Change:
    """With the adapter's name where PEFT puts it in a model's own state."""
    return renamed(lambda name: re.sub(r"\.(lora_[AB])\.weight$", rf".\1.{adapter}.weight", name))


def within(part: str, behind: str) -> Change:
    return renamed(lambda name: re.sub(behind, lambda match: f"{match[0]}{part}", name))


def each(change: Callable[[Any], Any]) -> Change:
    return lambda tensors: {name: change(tensor) for name, tensor in tensors.items()}


def beside(extra: Mapping[str, tuple[int, ...]]) -> Change:
    return lambda tensors: tensors | {name: torch.ones(shape) for name, shape in extra.items()}


def only(extra: Mapping[str, tuple[int, ...]]) -> Change:
    return lambda _: {name: torch.ones(shape) for name, shape in extra.items()}


def then(*changes: Change) -> Change:
    def all_of_them(tensors: Tensors) -> Tensors:
        for change in changes:
            tensors = change(tensors)
        return tensors

    return all_of_them


def taken(name: str, *notes: str, loads: bool = True, **more: Any) -> Case:
    return Case(name, notes=frozenset(notes), loads=loads, **more)


def respelt(name: str, change: Change, **more: Any) -> Case:
    """PEFT would load none of it, or only warn; read here without the marks."""
    return taken(name, "adapter.spelling", loads=False, change=change, **more)


def refused(name: str, code: str, reason: str = "", **more: Any) -> Case:
    """PEFT loads it only where a `reason` stands against it."""
    return Case(name, code=code, reason=reason, loads=bool(reason), **more)


_LAYER = r"layers\.\d+\."
_Q0 = f"{PREFIX}model.layers.0.self_attn.q_proj"
_ALL = {"target_modules": "all-linear"}
_EMBEDDING = {"target_modules": ["embed_tokens", "q_proj"]}
_HEAD = {"target_modules": ["lm_head", "q_proj"]}
_WHOLE = {"modules_to_save": ["norm"]}
_DORA = {"use_dora": True}
_OLD = ("alpha_pattern", "auto_mapping", "layers_pattern", "layers_to_transform", "rank_pattern", "revision")
_SINCE_0_8 = ("loftq_config", "megatron_config", "megatron_core")
_SINCE_0_9 = ("use_dora", "use_rslora")
_SINCE_0_12 = ("layer_replication", "runtime_config")
_SINCE_0_14 = ("eva_config", "exclude_modules", "lora_bias")
_SINCE_0_15 = ("corda_config", "trainable_token_indices")
_NEWEST = (
    "alora_invocation_tokens", "arrow_config", "ensure_weight_tying", "kasa_config", "lora_ga_config",
    "monteclora_config", "peft_version", "qalora_group_size", "target_parameters", "use_bdlora", "use_qalora",
    "velora_config",
)  # fmt: skip
_LATER = (_NEWEST, _SINCE_0_15, _SINCE_0_14, _SINCE_0_12, _SINCE_0_9, _SINCE_0_8, _OLD)


def _as_of(version: str, generations: int) -> Case:
    """Without the keys that came in the last so many generations."""
    return taken(f"the configuration of PEFT {version}", dropped=sum(_LATER[:generations], ()))


def _magnitudes(ending: str) -> Change:
    return renamed(lambda name: re.sub(r"lora_magnitude_vector$", f"lora_magnitude_vector{ending}", name))


def _whole_modules_raw(tensors: Tensors) -> Tensors:
    """As a state dict by hand has them: wrapped, with the original beside."""
    name = f"{PREFIX}model.norm"
    weight = tensors.pop(f"{name}.weight")
    return tensors | {f"{name}.modules_to_save.default.weight": weight}


NAMES = (
    taken("as PEFT saves it"),
    taken("in another order", change=lambda tensors: dict(sorted(tensors.items(), reverse=True))),
    taken("in half precision", change=each(lambda tensor: tensor.half().float().half())),
    taken("the names of a model's own state", change=under("default")),
    respelt("an adapter called client_0", under("client_0")),
    respelt("an adapter called lora", under("lora")),
    respelt("an adapter called default_0", under("default_0")),
    respelt("torch.compile around all", renamed(lambda name: f"_orig_mod.{name}")),
    respelt("torch.compile before PEFT", within("_orig_mod.", rf"^{re.escape(PREFIX)}")),
    respelt("torch.compile of each layer", within("_orig_mod.", _LAYER)),
    respelt("DDP", renamed(lambda name: f"module.{name}")),
    respelt(
        "FSDP",
        then(renamed(lambda name: f"_fsdp_wrapped_module.{name}"), within("_fsdp_wrapped_module.", _LAYER)),
    ),
    respelt("activation checkpointing", within("_checkpoint_wrapped_module.", _LAYER)),
    respelt("Lightning's strategy", renamed(lambda name: f"_forward_module.{name}")),
    respelt("a Lightning module's attribute", renamed(lambda name: f"model.{name}")),
    respelt("trl's model with a value head", renamed(lambda name: f"pretrained_model.{name}")),
    respelt("trl's policy and value", renamed(lambda name: f"policy.{name}")),
    respelt("DDP around a compiled model", renamed(lambda name: f"module._orig_mod.{name}")),
    respelt("no prefix", renamed(lambda name: name.removeprefix(PREFIX))),
    respelt("made a PEFT model twice", renamed(lambda name: PREFIX + name)),
    respelt("a compiled model of a named adapter", then(under("client_3"), renamed("_orig_mod.{}".format))),
    respelt("a whole module as in the model's state", _whole_modules_raw, options=_WHOLE),
)
CONFIGS = (
    _as_of("0.18", 1),
    _as_of("0.14", 2),
    _as_of("0.13", 3),
    _as_of("0.11", 4),
    _as_of("0.8", 5),
    _as_of("0.6", 6),
    taken(
        "the configuration of PEFT 0.3",
        config={"enable_lora": None, "merge_weights": False},
        dropped=sum(_LATER, ()),
    ),
    taken(
        "unsloth's auto_mapping",
        "adapter_config.auto_mapping",
        config={
            "auto_mapping": {
                "base_model_class": "LlamaForCausalLM",
                "parent_library": "transformers.models.llama.modeling_llama",
                "unsloth_fixed": True,
            }
        },
    ),
    taken(
        "PEFT's auto_mapping without a task type",
        "adapter_config.auto_mapping",
        config={
            "task_type": None,
            "auto_mapping": {
                "base_model_class": "LlamaForCausalLM",
                "parent_library": "transformers.models.llama.modeling_llama",
            },
        },
    ),
    taken("no task type", "adapter_config.task_type", config={"task_type": None}),
    taken("keys of a later version", "adapter_config.unknown_keys", config={"use_flora": None, "x": 1}),
    taken("an alpha that is a fraction", options={"lora_alpha": 12.5}),
    taken("dropout", options={"lora_dropout": 0.1}),
    taken("rank 1", options={"r": 1}),
    taken("Gaussian at first", options={"init_lora_weights": "gaussian"}),
    taken("zeros at first", config={"init_lora_weights": False}),
    taken("made for training", config={"inference_mode": False}),
    taken("a revision", config={"revision": "main"}),
    taken("the targets as a regular expression", options={"target_modules": r".*\.(q_proj|v_proj)"}),
    taken(
        "LLaMA-Factory's regular expression",
        options={"target_modules": r"^(?!.*vision).*(?:q_proj|v_proj).*"},
    ),
    taken("all linear modules", options=_ALL),
    taken("all linear modules by the word all", options=_ALL, config={"target_modules": "all"}, loads=False),
    taken("PEFT's own targets", options={"target_modules": None}),
    taken("longer names of targets", options={"target_modules": ["self_attn.q_proj", "mlp.up_proj"]}),
    taken("a target that is excluded", options={"exclude_modules": ["layers.0.self_attn.q_proj"]}),
    taken("exclusion by an expression", options={"exclude_modules": r".*\.1\..*v_proj"}),
    taken("some layers", options={"layers_to_transform": [1]}),
    taken("a layer and its pattern", options={"layers_to_transform": 1, "layers_pattern": "layers"}),
    taken("ranks by module", options={"rank_pattern": {"q_proj": 2, "layers.1.self_attn.v_proj": 6}}),
    taken("ranks by an expression", options={"rank_pattern": {r".*\.0\..*q_proj": 2}}),
    taken(
        "a rank from a name's start on", options={"rank_pattern": {r"^model.layers.0.self_attn.q_proj": 2}}
    ),
    taken("alphas by module", options={"alpha_pattern": {"v_proj": 3}}),
    taken("rank-stabilised", options={"use_rslora": True}),
    taken("rank-stabilised with ranks", options={"use_rslora": True, "rank_pattern": {"v_proj": 6}}),
    taken("modules outside the targets", "adapter.untargeted_module", config={"target_modules": ["q_proj"]}),
)
KINDS = (
    taken("DoRA", options=_DORA),
    taken("DoRA with older magnitudes", options=_DORA, change=_magnitudes(".weight")),
    respelt(
        "DoRA of a named adapter", then(under("client_1"), _magnitudes(".client_1.weight")), options=_DORA
    ),
    taken("DoRA on all linear modules", options=_DORA | _ALL),
    taken("a norm trained whole", "adapter.full_weights", options=_WHOLE),
    taken("the output head trained whole", "adapter.full_weights", options={"modules_to_save": ["lm_head"]}),
    taken(
        "an embedding trained whole", "adapter.full_weights", options={"modules_to_save": ["embed_tokens"]}
    ),
    taken("LoRA on the embedding", "adapter.base_copy", options=_EMBEDDING),
    taken("LoRA on the output head", "adapter.base_copy", options=_HEAD),
    taken(
        "LoRA on both",
        "adapter.base_copy",
        options={"target_modules": ["embed_tokens", "lm_head", "q_proj"]},
    ),
    taken("DoRA on the embedding", "adapter.base_copy", options=_EMBEDDING | _DORA),
)
NOT_EVALUATED = "of a kind that the benchmark does not evaluate"
REFUSED = (
    refused("trained biases", "adapter_config.unsupported", NOT_EVALUATED, options={"bias": "all"}),
    refused(
        "biases of LoRA's modules", "adapter_config.unsupported", NOT_EVALUATED, options={"bias": "lora_only"}
    ),
    refused("biases on LoRA", "adapter_config.unsupported", NOT_EVALUATED, options={"lora_bias": True}),
    refused(
        "trained tokens",
        "adapter_config.unsupported",
        NOT_EVALUATED,
        options={"trainable_token_indices": [1]},
    ),
    refused("PiSSA", "adapter_config.unsupported", NOT_EVALUATED, config={"init_lora_weights": "pissa"}),
    refused("OLoRA", "adapter_config.unsupported", NOT_EVALUATED, config={"init_lora_weights": "olora"}),
    refused(
        "IA3",
        "adapter_config.peft_type",
        config={"peft_type": "IA3", "feedforward_modules": []},
        dropped=("r", "lora_alpha"),
        change=only({f"{_Q0}.ia3_l": (16, 1)}),
    ),
    refused(
        "prompt tuning",
        "adapter_config.peft_type",
        config={"peft_type": "PROMPT_TUNING"},
        dropped=("r", "lora_alpha"),
        change=only({"prompt_embeddings": (8, 16)}),
    ),
    refused(
        "AdaLoRA",
        "adapter_config.peft_type",
        config={"peft_type": "ADALORA"},
        change=beside({f"{_Q0}.lora_E": (4, 1), f"{_Q0}.ranknum": (1,)}),
    ),
    refused(
        "LoHa",
        "adapter_config.peft_type",
        config={"peft_type": "LOHA"},
        change=only({f"{_Q0}.hada_w1_a": (16, 4)}),
    ),
    refused(
        "OFT", "adapter_config.peft_type", config={"peft_type": "OFT"}, change=only({f"{_Q0}.oft_R": (4, 4)})
    ),
    refused("VeRA", "adapter_config.peft_type", config={"peft_type": "VERA"}),
    refused(
        "a classifier",
        "adapter_config.task_type",
        NOT_EVALUATED,
        config={"task_type": "SEQ_CLS", "modules_to_save": ["score"]},
        change=beside({f"{PREFIX}score.weight": (2, HIDDEN)}),
    ),
    refused("no known type", "adapter_config.type", config={"peft_type": ["LORA"]}),
    refused(
        "remote code", "adapter_config.remote_code", NOT_EVALUATED, config={"auto_map": {"AutoModel": "x.y"}}
    ),
    refused(
        "two clients' adapters",
        "adapter.several_adapters",
        change=lambda tensors: under("client_0")(tensors) | under("client_1")(tensors),
    ),
    refused(
        "MLX",
        "adapter.unknown_tensor",
        change=renamed(
            lambda name: re.sub(
                r"lora_([AB])\.weight$", lambda match: f"lora_{match[1].lower()}", name.removeprefix(PREFIX)
            )
        ),
    ),
    refused("torchtune", "adapter.unknown_tensor", change=renamed(lambda name: name.lower())),
    refused(
        "kohya's tools",
        "adapter.unknown_tensor",
        change=renamed(lambda name: name.replace("lora_A", "lora_down").replace("lora_B", "lora_up")),
    ),
    refused("loralib", "adapter.unknown_tensor", change=renamed(lambda name: name.removesuffix(".weight"))),
    refused(
        "with a value head",
        "adapter.unknown_tensor",
        reason=NOT_EVALUATED,
        change=beside({"v_head.summary.weight": (1, HIDDEN), "v_head.summary.bias": (1,)}),
    ),
    refused(
        "the base model's own weights beside it",
        "adapter.base_weight",
        reason=NOT_EVALUATED,
        change=beside(
            {
                f"{PREFIX}model.layers.{layer}.self_attn.q_proj.base_layer.weight": (HIDDEN, HIDDEN)
                for layer in range(2)
            }
        ),
    ),
    refused(
        "a merged model",
        "adapter.no_lora_tensors",
        change=only(
            {
                f"model.layers.{layer}.self_attn.{name}.weight": (HIDDEN, HIDDEN)
                for layer in range(2)
                for name in ("q_proj", "o_proj")
            }
        ),
    ),
    refused(
        "a resized vocabulary",
        "adapter.base_weight",
        change=beside(
            {
                f"{PREFIX}lm_head.weight": (VOCABULARY + 1, HIDDEN),
                f"{PREFIX}model.embed_tokens.weight": (VOCABULARY + 1, HIDDEN),
            }
        ),
    ),
    refused(
        "trained embeddings without a word",
        "adapter.base_weight",
        reason=NOT_EVALUATED,
        change=beside(
            {
                f"{PREFIX}lm_head.weight": (VOCABULARY, HIDDEN),
                f"{PREFIX}model.embed_tokens.weight": (VOCABULARY, HIDDEN),
            }
        ),
    ),
    refused("ZeRO-3 without gathering", "adapter.shape", change=each(lambda tensor: tensor[:0].flatten())),
    refused("FSDP's flat parts", "adapter.shape", change=each(lambda tensor: tensor.flatten()[:10].clone())),
    refused(
        "another base model",
        "adapter.shape",
        change=each(
            lambda tensor: torch.ones([2 * size if size in (HIDDEN, KEYS) else size for size in tensor.shape])
        ),
    ),
    refused(
        "a model with more layers",
        "adapter.unknown_module",
        change=renamed(lambda name: name.replace("layers.1", "layers.7")),
        options={"target_modules": ["q_proj", "v_proj"]},
    ),
    refused(
        "a model without its head",
        "adapter.unknown_module",
        change=renamed(lambda name: name.replace("model.model.layers", "model.layers")),
    ),
    refused(
        "fused projections",
        "adapter.unknown_module",
        change=renamed(lambda name: name.replace("q_proj", "qkv_proj")),
        options={"target_modules": ["q_proj"]},
        config={"target_modules": ["qkv_proj"]},
    ),
    refused("another rank than configured", "adapter.shape", config={"r": 8}),
    refused("stored transposed", "adapter.shape", change=each(lambda tensor: tensor.T.contiguous())),
    refused(
        "one factor only",
        "adapter.incomplete_module",
        change=lambda tensors: {name: tensor for name, tensor in tensors.items() if "lora_A" in name},
    ),
    refused("DoRA without magnitudes", "adapter.incomplete_module", config={"use_dora": True}),
    refused(
        "magnitudes without DoRA",
        "adapter.unexpected_magnitude",
        NOT_EVALUATED,
        options=_DORA,
        config={"use_dora": False},
    ),
    refused(
        "8-bit numbers", "adapter.dtype", NOT_EVALUATED, change=each(lambda tensor: tensor.to(torch.int8))
    ),
    refused(
        "a diverged training",
        "adapter.not_finite",
        NOT_EVALUATED,
        change=each(lambda tensor: tensor * torch.nan),
    ),
)
CASES = (*NAMES, *CONFIGS, *KINDS, *REFUSED)
