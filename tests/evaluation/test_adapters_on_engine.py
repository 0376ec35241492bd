"""Adapters of every kind that is taken compute in each precision what PEFT computes, and leave no residue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.conftest import make_adapter, make_tiny_llama

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from evaluation.engines.base_models import load_model  # noqa: E402 - needs the packages above
from evaluation.engines.transformers import TransformersEngine  # noqa: E402
from evaluation.rules.protocol import PRECISIONS, Precision  # noqa: E402

KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "ranks by module": {"rank_pattern": {"q_proj": 8, "layers.1.self_attn.v_proj": 2}},
    "alphas by module": {"alpha_pattern": {"v_proj": 3}},
    "dora with ranks": {"use_dora": True, "use_rslora": True, "rank_pattern": {"v_proj": 6}},
    "norm saved whole": {"modules_to_save": ["norm"]},
    "output layer saved whole": {"modules_to_save": ["lm_head"]},
}
TOKENS = list(range(30, 60))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model wide enough for 4-bit layers in which each row holds whole blocks."""
    return make_tiny_llama(tmp_path_factory.mktemp("models") / "base", width=64)


@pytest.fixture(scope="module", params=PRECISIONS)
def engine(request: pytest.FixtureRequest, base: Path) -> Iterator[TransformersEngine]:
    if request.param == "nf4":
        pytest.importorskip("bitsandbytes")
    engine = TransformersEngine()
    engine.open(base, request.param)
    yield engine
    engine.close()


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([TOKENS])).logits.float()


def of_peft(base: Path, precision: Precision, adapter: Path) -> Any:
    """The logits of a model of its own that PEFT has put the adapter on."""
    model = load_model(base, precision, torch.device("cpu"))
    return logits(peft.PeftModel.from_pretrained(model, adapter).eval())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_adapter_computes_what_peft_computes_and_leaves_no_residue(
    kind: dict[str, Any], engine: TransformersEngine, base: Path, tmp_path: Path
) -> None:
    assert engine._source is not None
    adapter = make_adapter(base, tmp_path / "adapter", **kind)
    before = logits(engine._base())
    engine.use_adapter(adapter)
    found = logits(engine._base())
    engine.use_adapter(None)
    assert not torch.allclose(found, before, atol=1e-2)
    torch.testing.assert_close(found, of_peft(base, engine._source[1], adapter), rtol=0, atol=0)
    assert torch.equal(logits(engine._base()), before)
