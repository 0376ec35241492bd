"""Which modules a run adapts: all linear layers of a model family, or what PEFT takes by default."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, Phi3Config

from evaluation.checkpoints import base_model_tensors
from evaluation.federated.adapter import GlobalAdapter, first_values
from evaluation.federated.checks import findings
from evaluation.federated.config import ALL_LINEAR, PEFT_DEFAULT, FederatedConfig
from evaluation.federated.local_model import local_model
from evaluation.federated.planned import planned_bytes

from .conftest import make_base_model

_SMALL: dict[str, Any] = {
    "vocab_size": 24,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
FAMILIES: dict[str, Any] = {
    "llama": LlamaConfig(**_SMALL, intermediate_size=32, num_key_value_heads=1),
    "phi3": Phi3Config(**_SMALL, intermediate_size=32, num_key_value_heads=1, pad_token_id=0),
    "gpt2": GPT2Config(vocab_size=24, n_embd=16, n_layer=2, n_head=2),
}
# The names of the linear layers, and of those that PEFT takes when none is named; None where it has none.
ALL = {
    "llama": {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"},
    "phi3": {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"},
    "gpt2": {"c_attn", "c_proj", "c_fc"},
}
DEFAULT = {"llama": {"q_proj", "v_proj"}, "phi3": None, "gpt2": {"c_attn"}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, config in FAMILIES.items():
        made[name] = tmp_path_factory.mktemp("families") / name
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(made[name])
    return made


def adapted(run: FederatedConfig) -> set[str]:
    """The last part of the names of the modules that have LoRA matrices."""
    return {name.split(".lora_")[0].rpartition(".")[2] for name in GlobalAdapter(run).shapes}


@pytest.mark.parametrize("family", FAMILIES)
def test_all_linear_layers_of_a_family_are_adapted_and_never_the_head(
    family: str, folders: dict[str, Path], config: FederatedConfig, tmp_path: Path
) -> None:
    run = replace(config, model=folders[family], target_modules=(ALL_LINEAR,), adapter="dora")
    base, numbers = base_model_tensors(run.model), GlobalAdapter(run).parameters()
    assert adapted(run) == ALL[family]
    assert findings(run, 10, base)[1:] == ()  # all but the number of clients
    adapter = GlobalAdapter(run)
    adapter.save(first_values(adapter.shapes, "7"), tmp_path)
    listed = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert listed == sorted(listed) and {name.rpartition(".")[2] for name in listed} == ALL[family]
    assert planned_bytes(run, base) == numbers * 4 * 2 * run.clients_per_round * run.rounds


@pytest.mark.parametrize("family", FAMILIES)
def test_where_no_module_is_named_peft_takes_its_own_or_the_run_is_refused(
    family: str, folders: dict[str, Path], config: FederatedConfig
) -> None:
    run = replace(config, model=folders[family], target_modules=(PEFT_DEFAULT,))
    found = [f for f in findings(run, 10, base_model_tensors(run.model)) if f.code == "run.target_modules"]
    wanted = DEFAULT[family]
    if wanted is None:
        assert "PEFT has no default of its own for phi3" in found[0].message
    else:
        assert found == []
        assert adapted(run) == wanted


@pytest.mark.parametrize("kind", ["fp4", "nf4"])
def test_four_bit_weights_are_made_ready_for_training_as_peft_does(
    kind: str, config: FederatedConfig, tmp_path: Path
) -> None:
    """fp4 is what bitsandbytes takes when it is told no kind, as in the public apps."""
    model = make_base_model(tmp_path / "model", width=64)  # rows that hold whole blocks of 4-bit weights
    local = local_model(replace(config, model=model, precision=kind, target_modules=(ALL_LINEAR,)))
    linear = local.model.get_submodule("base_model.model.model.layers.0.mlp.down_proj.base_layer")
    assert (linear.weight.quant_type, linear.compute_dtype) == (kind, torch.float32)
    others = {
        name: parameter.dtype
        for name, parameter in local.model.named_parameters()
        if "lora_" not in name and "proj" not in name
    }
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in others} == {
        "embed_tokens", "input_layernorm", "post_attention_layernorm", "norm", "lm_head"
    }  # fmt: skip
    assert set(others.values()) == {torch.float32}
    assert local.model.is_gradient_checkpointing
    assert not local.model.config.use_cache
