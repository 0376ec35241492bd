"""Attention counts what the config asks for, where the library's usual kernel would not."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from transformers import AutoModelForCausalLM  # noqa: E402 - they need the packages above

from evaluation.attention import attend_as_configured  # noqa: E402
from evaluation.engines.base_models import load_model  # noqa: E402
from tests.evaluation.architectures import Case, configuration  # noqa: E402


def test_caps_on_scores_count_in_evaluation_and_training(tmp_path: Path) -> None:
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(configuration(Case("gemma2"))).save_pretrained(tmp_path)
    usual = AutoModelForCausalLM.from_pretrained(tmp_path)
    eager = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    tokens = torch.arange(2, 40)[None]
    with torch.no_grad():
        expected = eager(tokens).logits
        assert not torch.allclose(usual(tokens).logits, expected, atol=0.1)
        attend_as_configured(usual)  # as training does after loading
        torch.testing.assert_close(usual(tokens).logits, expected)
        torch.testing.assert_close(load_model(tmp_path, "fp32", torch.device("cpu"))(tokens).logits, expected)
