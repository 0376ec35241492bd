"""Adapters made by PEFT itself pass the inspection and, loaded from what it writes, compute the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation.checkpoints import (
    AdapterSummary,
    base_model_tensors,
    inspect_adapter,
    inspect_adapter_config,
    normalised_adapter_config,
)
from evaluation.findings import Severity

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")
safetensors_torch = pytest.importorskip("safetensors.torch")

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT warns about tied and embedding layers as it should

HUB_ID = "Example/Tiny-Llama"
PROMPT = [[1, 5, 9, 2, 17]]


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers with tied embeddings."""
    folder = tmp_path_factory.mktemp("tiny-llama")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def load_base(folder: Path) -> object:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def logits(model: object) -> object:
    with torch.no_grad():
        return model.eval()(torch.tensor(PROMPT)).logits  # type: ignore[attr-defined]


def trained_adapter(base_folder: Path, target: Path, **options: object) -> object:
    """Save an adapter whose every tensor is random, and return what its model computes."""
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **options)
    model = peft.get_peft_model(load_base(base_folder), config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                parameter.copy_(torch.randn_like(parameter) * 0.3)
            elif parameter.requires_grad:
                parameter.mul_(1.5)
    model.save_pretrained(target, save_embedding_layers=False)
    return logits(model)


def inspected(base_folder: Path, folder: Path, target: Path) -> AdapterSummary:
    """Inspect the adapter in `folder` and write to `target` what an engine loads."""
    text = (folder / "adapter_config.json").read_bytes()
    config, findings = inspect_adapter_config(text, base_hub_id=None)
    assert config is not None, findings
    assert findings == ()
    path = folder / "adapter_model.safetensors"
    with path.open("rb") as file:
        summary, findings = inspect_adapter(
            file, path.stat().st_size, config, base_model_tensors(base_folder)
        )
    assert summary is not None, findings
    assert {f.code for f in findings if f.severity is not Severity.NOTE} <= {"adapter.full_weights"}
    target.mkdir()
    (target / path.name).write_bytes(path.read_bytes())
    written = normalised_adapter_config(config, base_folder, summary)
    (target / "adapter_config.json").write_text(json.dumps(written))
    return summary


VARIANTS: dict[str, dict[str, object]] = {
    "plain": {"target_modules": ["q_proj", "v_proj"]},
    "default targets": {},
    "all linear": {"target_modules": "all-linear"},
    "regular expression": {"target_modules": r".*layers\.1\.(?:self_attn|mlp)\.(?:q_proj|down_proj)"},
    "dora": {"target_modules": ["q_proj", "up_proj"], "use_dora": True},
    "rslora": {"target_modules": ["q_proj"], "use_rslora": True},
    "patterns": {
        "target_modules": ["q_proj", "v_proj"],
        "rank_pattern": {"layers.0.self_attn.q_proj": 2, r".*\.1\..*v_proj": 8},
        "alpha_pattern": {"v_proj": 3, "q_proj": 32},
    },
    "layers": {"target_modules": ["q_proj"], "layers_to_transform": [1]},
    "excluded": {"target_modules": ["q_proj", "k_proj"], "exclude_modules": r".*\.0\..*k_proj"},
    "embedding": {"target_modules": ["embed_tokens", "q_proj"]},
    "embedding with dora": {"target_modules": ["embed_tokens", "q_proj"], "use_dora": True},
    "modules to save": {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_an_adapter_of_peft_passes_and_computes_the_same(
    options: dict[str, object], base_folder: Path, tmp_path: Path
) -> None:
    expected = trained_adapter(base_folder, tmp_path / "sent", **options)
    inspected(base_folder, tmp_path / "sent", tmp_path / "loaded")
    loaded = peft.PeftModel.from_pretrained(load_base(base_folder), tmp_path / "loaded")
    torch.testing.assert_close(logits(loaded), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(logits(load_base(base_folder)), expected, atol=1e-3)


def test_the_older_spelling_loads_as_the_adapter_called_default(base_folder: Path, tmp_path: Path) -> None:
    options = {"target_modules": ["q_proj"], "use_dora": True}
    expected = trained_adapter(base_folder, tmp_path / "sent", **options)
    path = tmp_path / "sent" / "adapter_model.safetensors"
    tensors = safetensors_torch.load_file(path)
    older = {
        (name if "magnitude" in name else name.replace(".weight", ".default.weight")): tensor
        for name, tensor in tensors.items()
    }
    safetensors_torch.save_file(older, path)
    inspected(base_folder, tmp_path / "sent", tmp_path / "loaded")
    loaded = peft.PeftModel.from_pretrained(load_base(base_folder), tmp_path / "loaded")
    torch.testing.assert_close(logits(loaded), expected, rtol=0, atol=1e-5)


def test_initial_adapters_change_nothing(base_folder: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
    peft.get_peft_model(load_base(base_folder), config).save_pretrained(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    parsed, _ = inspect_adapter_config((tmp_path / "adapter_config.json").read_bytes(), base_hub_id=None)
    with path.open("rb") as file:
        _, findings = inspect_adapter(file, path.stat().st_size, parsed, base_model_tensors(base_folder))
    assert [finding.code for finding in findings] == ["adapter.no_effect"]
