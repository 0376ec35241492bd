"""Every causal architecture of transformers: answers are those of `generate` one by one, or it is refused.

What each of them comes to stands in docs/engines.md.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

from tests import profiles
from tests.evaluation import architectures

# Those that were once answered wrongly, crashed or were not refused, and the largest families.
AT_EACH_PUSH = (
    "llama",
    "qwen3_moe",
    "gemma2",
    "gpt_neo",
    "bamba",
    "deepseek_v32",
    "phi3 with LongRoPE",
    "llama with dynamic NTK",
    "recurrent_gemma",
    "xlstm",
    "bert",
    "bart",
    "llama4_text",
    "mamba",
)


@pytest.mark.filterwarnings("ignore")  # some say that fast kernels are not installed, or advise on options
@pytest.mark.parametrize("name", architectures.CASES if profiles.LONG else AT_EACH_PUSH)
def test_an_architecture_is_evaluated_rightly_or_refused(name: str) -> None:
    row = architectures.examined(name)
    assert row.found != "wrong", row.note
    assert str(row).split("|")[2] == architectures.recorded()[name].split("|")[2]
