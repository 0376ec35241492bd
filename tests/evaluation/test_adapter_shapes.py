"""What PEFT loads and the benchmark allows is taken and computes the same; the rest is refused with one
error.
"""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from evaluation import rules
from evaluation.checkpoints import base_model_tensors, normalised_adapter_config
from evaluation.findings import Severity
from evaluation.inspection import Inspection, Known, KnownBase, inspect
from evaluation.inspection.folder import gather
from tests.evaluation.peft_cases import CASES, HIDDEN, VOCABULARY, Case, Tensors

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")
safetensors_torch = pytest.importorskip("safetensors.torch")

from evaluation.engines.adapters import Adapter, read  # noqa: E402 - needs the packages above

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT warns of what it does not load, as it should

TOKENS = torch.tensor([[1, 5, 9, 2, 17]])
RULES = rules.of("finance")
SAID_OF_EVERY_FOLDER = {"app.no_config"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers whose output head is its own."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(base: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def known(base: Path) -> Known:
    return Known(base=KnownBase(tensors=base_model_tensors(base)))


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(TOKENS).logits


def trained(model: Any, folder: Path, case: Case) -> Any:
    """Save an adapter whose every tensor is random as PEFT saves it, and return what it computes."""
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], **case.options}
    adapted = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(task_type="CAUSAL_LM", **options))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                parameter.copy_(torch.randn_like(parameter).half() * 0.25)
            elif parameter.requires_grad:
                parameter.mul_(1.5)
    adapted.save_pretrained(folder)
    return logits(adapted.eval())


def sent(folder: Path, case: Case) -> None:
    """Make of PEFT's files what somebody sends."""
    path = folder / "adapter_model.safetensors"
    tensors: Tensors = case.change(safetensors_torch.load_file(path))
    safetensors_torch.save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, path)
    config = json.loads((folder / "adapter_config.json").read_text()) | dict(case.config)
    kept = {key: value for key, value in config.items() if key not in case.dropped}
    (folder / "adapter_config.json").write_text(json.dumps(kept))


def of_peft(model: Any, folder: Path) -> Any | None:
    """What PEFT itself computes; None where it loads nothing, or only a part of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            loaded = peft.PeftModel.from_pretrained(copy.deepcopy(model), folder)
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, NotImplementedError):
            return None
    if any("missing adapter keys" in str(warning.message) for warning in caught):
        return None
    return logits(loaded.eval())


def of_product(model: Any, inspection: Inspection, base: Path, folder: Path) -> Any:
    """What an evaluation computes, by the configuration that it is given."""
    assert inspection.adapter_config is not None and inspection.adapter is not None
    loaded = folder / "loaded"
    loaded.mkdir()
    config = normalised_adapter_config(inspection.adapter_config, "base", inspection.adapter)
    (loaded / "adapter_config.json").write_text(json.dumps(config))
    (loaded / "adapter_model.safetensors").symlink_to(folder / "adapter_model.safetensors")
    before = logits(model)
    adapter = Adapter(model, read(loaded), base)
    computed = logits(adapter._peft)
    adapter.remove()
    assert torch.equal(logits(model), before)
    return computed


def cases(*, taken: bool) -> list[Any]:
    return [pytest.param(case, id=case.name) for case in CASES if (not case.code) == taken]


@pytest.mark.parametrize("case", cases(taken=True))
def test_what_can_be_read_is_taken_and_computes_the_same(
    case: Case, model: Any, base: Path, known: Known, tmp_path: Path
) -> None:
    folder = tmp_path / "sent"
    saved = trained(model, folder, case)
    sent(folder, case)
    inspection = inspect(gather(folder).material, RULES, known)
    assert not inspection.has_errors, inspection.findings
    said = {finding.code for finding in inspection.findings} - SAID_OF_EVERY_FOLDER
    assert said - {"adapter.full_weights"} == case.notes - {"adapter.full_weights"}, inspection.findings
    expected = of_peft(model, folder)
    assert (expected is not None) == case.loads
    computed = of_product(model, inspection, base, folder)
    torch.testing.assert_close(computed, saved if expected is None else expected, rtol=0, atol=1e-5)
    assert not torch.allclose(computed, logits(model), atol=1e-3)


@pytest.mark.parametrize("case", cases(taken=False))
def test_what_cannot_be_evaluated_is_refused_with_one_error(
    case: Case, model: Any, known: Known, tmp_path: Path
) -> None:
    trained(model, tmp_path, case)
    sent(tmp_path, case)
    inspection = inspect(gather(tmp_path).material, RULES, known)
    errors = [finding for finding in inspection.findings if finding.severity is Severity.ERROR]
    assert [finding.code for finding in errors] == [case.code], errors
    assert case.reason or of_peft(model, tmp_path) is None


def test_there_are_more_shapes_than_anybody_counts() -> None:
    assert len(CASES) >= 100 and len({case.name for case in CASES}) == len(CASES)
