"""Adapters on the experts of a mixture, one by one, compute what weights merged by hand compute."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evaluation.checkpoints import (
    base_model_tensors,
    inspect_adapter,
    inspect_adapter_config,
    normalised_adapter_config,
)
from evaluation.errors import CheckpointError

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from safetensors.torch import load_file, save_file  # noqa: E402 - they need the packages above
from transformers import AutoModelForCausalLM  # noqa: E402

from evaluation.engines.base_models import load_model  # noqa: E402
from evaluation.engines.transformers import TransformersEngine  # noqa: E402
from tests.evaluation.architectures import Case, configuration  # noqa: E402
from tests.evaluation.conftest import byte_tokenizer  # noqa: E402

TOKENS = list(range(2, 40))
ALPHA = 8
QWEN3_MOE = Case(
    "qwen3_moe", {"hidden_size": 64, "moe_intermediate_size": 32, "head_dim": 16, "intermediate_size": 96}
)


def make_base(case: Case, folder: Path) -> Path:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(configuration(case)).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def make_adapter(base: Path, folder: Path, wanted: str, **options: Any) -> Path:
    """LoRA of rank 4, of random values, on the weights of the files whose names match."""
    torch.manual_seed(1)
    shapes = base_model_tensors(base).shapes
    modules = [name.removesuffix(".weight") for name in shapes if re.search(wanted, name)]
    assert modules
    tensors = {}
    for module in modules:
        rows, columns = shapes[f"{module}.weight"]
        tensors[f"base_model.model.{module}.lora_A.weight"] = torch.randn(4, columns) * 0.2
        tensors[f"base_model.model.{module}.lora_B.weight"] = torch.randn(rows, 4) * 0.2
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    targets = sorted({module.rpartition(".")[2] for module in modules})
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": ALPHA}
    (folder / "adapter_config.json").write_text(json.dumps(config | {"target_modules": targets} | options))
    return folder


def merged_by_hand(base: Path, adapter: Path, folder: Path, scale: Callable[[str], float]) -> Any:
    """Logits of a model whose files hold the sums."""
    weights = load_file(base / "model.safetensors")
    factors = load_file(adapter / "adapter_model.safetensors")
    for name in factors:
        if name.endswith(".lora_A.weight"):
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            product = factors[name.replace("lora_A", "lora_B")] @ factors[name]
            weights[f"{module}.weight"] += scale(module) * product
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_bytes((base / "config.json").read_bytes())
    return logits(load_model(folder, "fp32", torch.device("cpu")))


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([TOKENS])).logits


def passed_intake(base: Path, adapter: Path, folder: Path) -> Path:
    """The adapter as the worker gets it, once the inspection has accepted it."""
    config, findings = inspect_adapter_config(
        (adapter / "adapter_config.json").read_bytes(), base_hub_id=None
    )
    assert config is not None, findings
    path = adapter / "adapter_model.safetensors"
    with path.open("rb") as file:
        summary, findings = inspect_adapter(file, path.stat().st_size, config, base_model_tensors(base))
    assert summary is not None, findings
    folder.mkdir()
    (folder / path.name).write_bytes(path.read_bytes())
    (folder / "adapter_config.json").write_text(json.dumps(normalised_adapter_config(config, base, summary)))
    return folder


def check(base: Path, adapter: Path, scratch: Path, scale: Callable[[str], float]) -> None:
    """As sent and as the worker gets it, the adapter computes what the sums compute, and leaves nothing."""
    expected = merged_by_hand(base, adapter, scratch / "merged", scale)
    engine = TransformersEngine()
    engine.open(base, "fp32")
    before = logits(engine._base())
    for folder in (adapter, passed_intake(base, adapter, scratch / "accepted")):
        engine.use_adapter(folder)
        torch.testing.assert_close(logits(engine._base()), expected, rtol=0, atol=1e-4)
        engine.use_adapter(None)
        assert torch.equal(logits(engine._base()), before)
    assert not torch.allclose(before, expected, atol=1e-2)


def test_the_adapter_of_the_field_equals_merged_weights(shared: Path, tmp_path: Path) -> None:
    base = make_base(QWEN3_MOE, tmp_path / "base")
    check(base, shared / "field" / "moe_per_expert", tmp_path, lambda _: 2.0)


LAYOUTS: Mapping[str, tuple[str, str]] = {
    "experts of other names": ("mixtral", r"experts\.\d+\.w[123]\."),
    "experts, router and attention": ("mixtral", r"experts\.\d+\.w1\.|block_sparse_moe\.gate\.|q_proj"),
    "shared experts too": ("qwen2_moe", r"(gate|up|down)_proj\."),
    "dense layers too": ("deepseek_v3", r"(gate|up|down)_proj\."),
    "one of two that are joined": ("qwen3_moe", r"experts\.\d+\.up_proj\."),
    "some experts": ("qwen3_moe", r"experts\.[13]\.(gate|up|down)_proj\."),
}


@pytest.mark.parametrize(("model_type", "wanted"), LAYOUTS.values(), ids=LAYOUTS)
def test_experts_equal_merged_weights(model_type: str, wanted: str, tmp_path: Path) -> None:
    base = make_base(Case(model_type), tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter", wanted)
    check(base, adapter, tmp_path, lambda _: ALPHA / 4)


def test_scales_of_their_own_count(tmp_path: Path) -> None:
    base = make_base(Case("qwen3_moe"), tmp_path / "base")
    adapter = make_adapter(
        base,
        tmp_path / "adapter",
        r"experts\.\d+\.(gate|down)_proj\.",
        use_rslora=True,
        alpha_pattern={"experts.2.down_proj": 3},
    )
    check(
        base, adapter, tmp_path, lambda module: (3 if module.endswith("experts.2.down_proj") else ALPHA) / 2
    )


def test_dora_on_experts_is_refused_by_intake_and_engine(tmp_path: Path) -> None:
    base = make_base(Case("qwen3_moe"), tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter", r"experts\.\d+\.up_proj\.", use_dora=True)
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    for name in [name for name in tensors if "lora_B" in name]:
        tensors[name.replace("lora_B.weight", "lora_magnitude_vector")] = torch.ones(len(tensors[name]))
    save_file(tensors, path)
    config, _ = inspect_adapter_config((adapter / "adapter_config.json").read_bytes(), base_hub_id=None)
    with path.open("rb") as file:
        _, findings = inspect_adapter(file, path.stat().st_size, config, base_model_tensors(base))
    assert [finding.code for finding in findings] == ["adapter_config.unsupported"]
    engine = TransformersEngine()
    engine.open(base, "fp32")
    with pytest.raises(CheckpointError, match="plain LoRA alone"):
        engine.use_adapter(adapter)


def test_target_parameters_are_refused_by_intake_and_engine(tmp_path: Path) -> None:
    base = make_base(Case("qwen3_moe"), tmp_path / "base")
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=[], target_parameters=["mlp.experts.gate_up_proj"]
    )
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(tmp_path / "a")
    _, findings = inspect_adapter_config(
        (tmp_path / "a" / "adapter_config.json").read_bytes(), base_hub_id=None
    )
    assert "names fused weights" in next(f.message for f in findings if "target_parameters" in f.location)
    engine = TransformersEngine()
    engine.open(base, "fp32")
    with pytest.raises(CheckpointError, match="target_parameters"):
        engine.use_adapter(tmp_path / "a")
