"""Adapters count whatever a family calls its modules: in files, loaded, and by another release."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evaluation import rules
from evaluation.checkpoints import base_model_tensors, normalised_adapter_config
from evaluation.inspection import Known, KnownBase, inspect
from evaluation.inspection.folder import gather

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from safetensors.torch import load_file, save_file  # noqa: E402 - they need the packages above
from transformers import AutoModelForCausalLM  # noqa: E402

from evaluation.engines.transformers import TransformersEngine  # noqa: E402
from tests.evaluation.architectures import Case  # noqa: E402
from tests.evaluation.test_experts import logits, make_base  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT warns of tied weights and of its own patterns

FILE = "adapter_model.safetensors"


def train(base: Path, folder: Path, **options: Any) -> Any:
    """An adapter of random values as PEFT saves it, and what it computes."""
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **options)
    model = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * 0.3
    model.save_pretrained(folder)
    return logits(model.eval())


def findings(base: Path, folder: Path) -> dict[str, str]:
    inspection = inspect(
        gather(folder).material, rules.of("finance"), Known(KnownBase(tensors=base_model_tensors(base)))
    )
    if inspection.adapter_config:
        config = normalised_adapter_config(inspection.adapter_config, base, inspection.adapter)
        (folder / "adapter_config.json").write_text(json.dumps(config))  # as the worker gets it
    return {finding.code: finding.severity for finding in inspection.findings}


def check(base: Path, folder: Path, expected: Any) -> None:
    found = findings(base, folder)
    assert "error" not in found.values() and "adapter.target_without_tensors" not in found, found
    engine = TransformersEngine()
    engine.open(base, "fp32")
    before = logits(engine._base())
    engine.use_adapter(folder)
    torch.testing.assert_close(logits(engine._base()), expected, rtol=0, atol=1e-4)
    engine.use_adapter(None)
    assert torch.equal(logits(engine._base()), before)
    assert not torch.allclose(before, expected, atol=1e-2)


FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "a tied head under another name of the embedding": ("falcon", {"target_modules": ["lm_head"]}),
    "an embedding under another name": ("mamba", {"target_modules": ["embeddings"]}),
    "a head under another name in the files": ("gpt_neox", {"target_modules": ["lm_head"]}),
    "a head with a bias": ("phi", {"target_modules": ["lm_head"]}),
    "a head with a bias trained whole": (
        "phi",
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    ),
    "a model for pictures too": (
        "gemma3",
        {"target_modules": "all-linear", "rank_pattern": {"q_proj": 2}, "modules_to_save": ["norm"]},
    ),
}


@pytest.mark.parametrize(("model_type", "options"), FAMILIES.values(), ids=FAMILIES)
def test_modules_of_every_family_count(model_type: str, options: Mapping[str, Any], tmp_path: Path) -> None:
    base = make_base(Case(model_type), tmp_path / "base")
    check(base, tmp_path / "adapter", train(base, tmp_path / "adapter", **options))


@pytest.mark.parametrize("former", ["model.language_model.", "language_model.model."])
def test_names_of_other_releases_and_classes_count(former: str, tmp_path: Path) -> None:
    case = Case("gemma3") if former.startswith("language") else Case("gemma3_text")
    base = make_base(case, tmp_path / "base")
    folder = tmp_path / "adapter"
    expected = train(base, folder, target_modules=["up_proj"], alpha_pattern={"layers.1.mlp.up_proj": 3})
    own = next(name for name in load_file(folder / FILE)).partition("layers.")[0]
    tensors = {
        name.replace(own, f"base_model.model.{former}"): tensor
        for name, tensor in load_file(folder / FILE).items()
    }
    save_file(tensors, folder / FILE)
    check(base, folder, expected)


def test_experts_as_one_are_refused_with_one_error(tmp_path: Path) -> None:
    base = make_base(Case("qwen3_moe"), tmp_path / "base")
    train(base, tmp_path / "adapter", target_modules="all-linear")
    found = findings(base, tmp_path / "adapter")
    assert [code for code, severity in found.items() if severity == "error"] == ["adapter_config.unsupported"]
