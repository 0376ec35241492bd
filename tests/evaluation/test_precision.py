"""4-bit weights compute what their definition says, whatever instructions the processor has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.conftest import make_adapter, make_tiny_llama

torch = pytest.importorskip("torch")
pytest.importorskip("bitsandbytes")

from bitsandbytes.functional import quantize_4bit  # noqa: E402
from bitsandbytes.nn import Linear4bit  # noqa: E402 - needs the packages above
from peft import PeftModel  # noqa: E402

from evaluation.engines.base_models import load_model  # noqa: E402
from evaluation.engines.transformers import TransformersEngine  # noqa: E402
from evaluation.precision import compute_alike  # noqa: E402
from evaluation.rules.protocol import FOUR_BIT, Precision  # noqa: E402

TABLES = {
    # A sign, two bits of exponent, one of fraction, over 12: 0, 1/16, 8, 12, 4, 6, 2, 3, and their negatives.
    "fp4": (
        0.0, 0.005208333333, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25,
        -0.0, -0.005208333333, -0.66666667, -1.0, -0.33333333, -0.5, -0.16666667, -0.25,
    ),
    # Quantiles of a normal distribution (arXiv 2305.14314, appendix E).
    "nf4": (
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ),
}  # fmt: skip
COMPUTED_IN = {"fp4": torch.float32, "nf4": torch.bfloat16}
# What bitsandbytes asks the processor: the answer decides whether it packs weights.
QUESTION = "bitsandbytes.nn.modules.has_avx512bf16"
TOKENS = list(range(30, 60))


@pytest.fixture(params=[False, True], ids=["without AVX512-BF16", "with AVX512-BF16"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that bitsandbytes takes to have the instructions, or not to have them."""
    monkeypatch.setattr(QUESTION, lambda: request.param)


@pytest.fixture(scope="module")
def wide_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of which most layers hold whole blocks of 4-bit weights in a row, and some don't."""
    return make_tiny_llama(tmp_path_factory.mktemp("models") / "wide-llama", width=64)


@pytest.fixture(params=sorted(FOUR_BIT))
def precision(request: pytest.FixtureRequest) -> Precision:
    kind: Precision = request.param
    return kind


def four_bit(kind: Precision, inputs: int, outputs: int, bias: bool = False) -> Any:
    torch.manual_seed(0)
    layer = Linear4bit(inputs, outputs, bias, COMPUTED_IN[kind], compress_statistics=False, quant_type=kind)
    return torch.nn.Sequential(layer).to("cpu").eval()  # moving it quantises


def values(packed: Any, state: Any) -> Any:
    """Weights by the definition: a value of the table for each, times the scale of its block."""
    packed = packed.reshape(-1)
    places = torch.stack((packed >> 4, packed & 15), dim=1).reshape(-1).long()
    scales = state.absmax.repeat_interleave(state.blocksize)[: len(places)]
    exact = (torch.tensor(TABLES[state.quant_type])[places] * scales)[: state.shape.numel()]
    return exact.reshape(state.shape).to(COMPUTED_IN[state.quant_type])


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([TOKENS])).logits


@pytest.mark.usefixtures("processor")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [(64, 64), (128, 40), (64, 7), (32, 32), (96, 64), (16, 3), (6, 5)],
)
def test_a_4_bit_layer_multiplies_by_its_dequantised_weights(
    precision: Precision, inputs: int, outputs: int, bias: bool
) -> None:
    kind = COMPUTED_IN[precision]
    model = four_bit(precision, inputs, outputs, bias)
    weights = values(model[0].weight.data, model[0].weight.quant_state)
    offset = model[0].bias.detach().to(kind) if bias else torch.zeros(outputs, dtype=kind)
    compute_alike(model)
    x = torch.randn(5, inputs).to(kind)
    with torch.inference_mode():
        found = model(x)
        assert torch.equal(found, model(x))
        assert torch.equal(found, torch.nn.functional.linear(x, weights, offset))
        exact = torch.nn.functional.linear(x.double(), weights.double(), offset.double())
    # bf16 keeps eight bits; the order of adding may decide on the last one.
    torch.testing.assert_close(found.double(), exact, rtol=2**-7, atol=1e-2)


@pytest.mark.usefixtures("processor")
def test_a_4_bit_model_computes_what_a_model_of_its_dequantised_weights_does(
    wide_llama: Path, precision: Precision
) -> None:
    plain: Precision = "fp32" if precision == "fp4" else "bf16"
    expected = load_model(wide_llama, plain, torch.device("cpu"))
    for layer in expected.model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data = values(*quantize_4bit(layer.weight.data, quant_type=precision))
    found = load_model(wide_llama, precision, torch.device("cpu"))
    assert any(isinstance(layer, Linear4bit) for layer in found.modules())
    assert torch.equal(logits(found), logits(expected))


def test_adapters_on_4_bit_weights_answer_alike_on_every_processor(
    wide_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    adapter = make_adapter(wide_llama, tmp_path / "adapter", use_dora=True, modules_to_save=["lm_head"])
    found = []
    for answer in (False, True):
        monkeypatch.setattr(QUESTION, lambda answer=answer: answer)
        engine = TransformersEngine()
        engine.open(wide_llama, precision)
        engine.use_adapter(adapter)
        found.append(logits(engine._base()))
        peft = PeftModel.from_pretrained(load_model(wide_llama, precision, torch.device("cpu")), adapter)
        found.append(logits(peft.eval()))
    assert all(torch.equal(one, found[0]) for one in found)


def test_a_bitsandbytes_that_keeps_no_answer_is_an_error() -> None:
    model = four_bit("fp4", 64, 64)
    del model[0].support_avx512bf16_for_cpu
    with pytest.raises(RuntimeError, match="support_avx512bf16_for_cpu"):
        compute_alike(model)
