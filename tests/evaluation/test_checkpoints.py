"""What an uploaded adapter goes through before anything of it is believed or stored."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluation.checkpoints import (
    AdapterConfig,
    AdapterSummary,
    BaseModelTensors,
    base_model_tensors,
    canonical_name,
    inspect_adapter,
    inspect_adapter_config,
    normalised_adapter_config,
)
from evaluation.findings import Finding, Severity, has_errors
from tests.evaluation.adapters import (
    HIDDEN,
    OUT,
    VOCABULARY,
    Tensor,
    base_model,
    config,
    f32,
    lora_tensors,
    safetensors,
    with_header,
)
from tests.profiles import examples

ROOT = Path(__file__).resolve().parents[2]
Q0 = "base_model.model.model.layers.0.self_attn.q_proj"
QUICK = settings(max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])


def inspect(
    content: bytes, configuration: AdapterConfig | None = None, base: BaseModelTensors | None = None
) -> tuple[AdapterSummary | None, tuple[Finding, ...]]:
    result = inspect_adapter(
        io.BytesIO(content), len(content), configuration or config(), base or base_model()
    )
    assert (result[0] is None) == has_errors(result[1])
    return result


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.code for finding in findings]


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


def test_an_honest_adapter_passes_without_a_finding() -> None:
    summary, findings = inspect(safetensors(lora_tensors(), {"format": "pt"}))
    assert findings == ()
    assert summary is not None
    assert summary.tensor_count == 8
    assert summary.parameters == 2 * 4 * (HIDDEN + OUT + HIDDEN + HIDDEN)
    assert summary.tensor_bytes == 4 * summary.parameters
    assert summary.ranks == (4,)
    assert summary.dtypes == ("F32",)
    assert [module.alpha for module in summary.modules] == [8, 8, 8, 8]
    assert json.loads(json.dumps(asdict(summary)))["modules"][0]["rank"] == 4


class ShrinkingFile(io.BytesIO):
    """Ends before its announced size once it is read past `cut`."""

    def __init__(self, content: bytes, cut: int) -> None:
        super().__init__(content[:cut])


@given(cut=st.integers(0, 3000))
@QUICK
def test_a_file_that_shrinks_while_it_is_read_is_an_error(cut: int) -> None:
    content = safetensors(lora_tensors())
    cut = min(cut, len(content) - 1)
    summary, findings = inspect_adapter(ShrinkingFile(content, cut), len(content), config(), base_model())
    assert summary is None
    assert has_errors(findings)


@given(content=st.binary(max_size=400))
@QUICK
def test_arbitrary_bytes_never_crash_the_inspection(content: bytes) -> None:
    summary, findings = inspect(content)
    assert summary is None
    assert all(finding.message.isprintable() for finding in findings)


@given(header=st.binary(max_size=200), data=st.binary(max_size=50))
@QUICK
def test_arbitrary_headers_never_crash_the_inspection(header: bytes, data: bytes) -> None:
    assert inspect(with_header(b"{" + header, data))[0] is None


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(document=st.dictionaries(st.text(max_size=9), JSON_VALUES, max_size=4), data=st.binary(max_size=9))
@QUICK
def test_arbitrary_json_headers_never_crash_the_inspection(document: dict[str, object], data: bytes) -> None:
    assert inspect(with_header(json.dumps(document).encode(), data))[0] is None


@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
@QUICK
def test_one_changed_header_byte_never_crashes_the_inspection(position: int, value: int) -> None:
    content = bytearray(safetensors(lora_tensors(), {"format": "pt"}))
    content[position % (8 + int.from_bytes(content[:8], "little"))] = value
    inspect(bytes(content))


# Against configuration and base model


def test_an_adapter_of_another_base_model_does_not_fit() -> None:
    tensors = lora_tensors() | {f"{Q0}.lora_A.weight": f32((4, 2 * HIDDEN))}
    finding = only(inspect(safetensors(tensors))[1])
    assert finding.code == "adapter.shape"
    assert finding.location == f"adapter_model.safetensors: {Q0}.lora_A.weight"
    assert "[4, 16]" in finding.message
    assert "[4, 8]" in finding.message


def test_a_rank_other_than_the_configured_one_does_not_fit() -> None:
    findings = inspect(safetensors(lora_tensors(rank=2)))[1]
    assert set(codes(findings)) == {"adapter.shape"}
    assert len(findings) == 1 and "7 more places" in findings[0].message


def test_rank_and_alpha_patterns_hold_module_by_module() -> None:
    tensors = lora_tensors()
    tensors[f"{Q0}.lora_A.weight"] = f32((2, HIDDEN))
    tensors[f"{Q0}.lora_B.weight"] = f32((OUT, 2))
    patterns = {
        "rank_pattern": {"layers.0.self_attn.q_proj": 2},
        "alpha_pattern": {r"layers\.\d+.*v_proj": 5},
    }
    configuration = config(**patterns)
    summary, findings = inspect(safetensors(tensors), configuration)
    assert findings == ()
    assert summary is not None
    assert summary.ranks == (2, 4)
    found = {
        module.name.removeprefix("model.layers."): (module.rank, module.alpha) for module in summary.modules
    }
    assert found == {
        "0.self_attn.q_proj": (2, 8),
        "0.self_attn.v_proj": (4, 5),
        "1.self_attn.q_proj": (4, 8),
        "1.self_attn.v_proj": (4, 5),
    }


def test_both_halves_have_to_be_there() -> None:
    tensors = lora_tensors()
    del tensors[f"{Q0}.lora_B.weight"]
    finding = only(inspect(safetensors(tensors))[1])
    assert finding.code == "adapter.incomplete_module"
    assert finding.location.endswith(f"{Q0}.lora_B.weight")


def test_dora_needs_a_magnitude_of_the_output_size() -> None:
    findings = inspect(safetensors(lora_tensors()), config(use_dora=True))[1]
    assert codes(findings) == ["adapter.incomplete_module"]
    tensors = lora_tensors()
    for name in [name for name in tensors if name.endswith("lora_B.weight")]:
        stem = name.removesuffix(".lora_B.weight")
        ending = ".weight" if ".0." in name else ""
        tensors[f"{stem}.lora_magnitude_vector{ending}"] = f32(tensors[name][1][:1])
    assert inspect(safetensors(tensors), config(use_dora=True))[1] == ()
    assert set(codes(inspect(safetensors(tensors))[1])) == {"adapter.unexpected_magnitude"}
    tensors[f"{Q0}.lora_magnitude_vector.weight"] = f32((HIDDEN,))
    assert codes(inspect(safetensors(tensors), config(use_dora=True))[1]) == ["adapter.shape"]


def test_the_older_spelling_of_names_is_the_same_adapter() -> None:
    honest = lora_tensors()
    older = {name.replace(".weight", ".default.weight"): tensor for name, tensor in reversed(honest.items())}
    summary, findings = inspect(safetensors(honest))
    older_summary, older_findings = inspect(safetensors(older, {"saved": "again"}))
    assert findings == older_findings == ()
    assert summary is not None and older_summary is not None
    assert summary.sha256 != older_summary.sha256
    assert summary.tensors_digest == older_summary.tensors_digest
    assert canonical_name(f"{Q0}.lora_A.default.weight") == f"{Q0}.lora_A.weight"


def test_one_other_value_gives_another_digest() -> None:
    tensors = lora_tensors()
    before = inspect(safetensors(tensors))[0]
    tensors[f"{Q0}.lora_A.weight"] = f32((4, HIDDEN), seed=99)
    after = inspect(safetensors(tensors))[0]
    assert before is not None and after is not None
    assert before.tensors_digest != after.tensors_digest


def test_the_same_tensor_under_two_spellings_is_refused() -> None:
    tensors = lora_tensors()
    tensors[f"{Q0}.lora_A.default.weight"] = tensors[f"{Q0}.lora_A.weight"]
    assert codes(inspect(safetensors(tensors))[1]) == ["adapter.duplicate_tensor"]


@pytest.mark.parametrize(
    ("name", "shape", "code"),
    [
        ("base_model.model.model.norm.weight", (HIDDEN,), "adapter.base_weight"),
        ("base_model.model.lm_head.weight", (VOCABULARY + 1, HIDDEN), "adapter.base_weight"),
        (f"{Q0}.base_layer.weight", (OUT, HIDDEN), "adapter.base_weight"),
        (
            "base_model.model.model.embed_tokens.base_layer.weight",
            (VOCABULARY + 1, HIDDEN),
            "adapter.base_weight",
        ),
        ("model.layers.0.self_attn.q_proj.weight", (OUT, HIDDEN), "adapter.unknown_tensor"),
        (f"{Q0}.lora_E", (4, 1), "adapter.unknown_tensor"),
        (f"{Q0}.lora_embedding_A", (4, HIDDEN), "adapter.unknown_tensor"),
        ("prompt_embeddings", (4, HIDDEN), "adapter.unknown_tensor"),
        (f"{Q0}.bias", (OUT,), "adapter.unknown_tensor"),
        (
            "base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight",
            (4, HIDDEN),
            "adapter.unknown_module",
        ),
        (
            "base_model.model.evil.model.layers.0.self_attn.q_proj.lora_A.weight",
            (4, 8),
            "adapter.unknown_module",
        ),
        ("base_model.model.model.norm.lora_A.weight", (4, HIDDEN), "adapter.unknown_module"),
    ],
)
def test_nothing_but_lora_on_the_base_models_modules_gets_in(
    name: str, shape: tuple[int, ...], code: str
) -> None:
    findings = inspect(safetensors(lora_tensors() | {name: f32(shape)}))[1]
    assert code in codes(findings)
    assert name in next(finding.location for finding in findings if finding.code == code)


def test_embeddings_have_their_own_halves() -> None:
    tensors = {
        "base_model.model.model.embed_tokens.lora_embedding_A": f32((4, VOCABULARY)),
        "base_model.model.model.embed_tokens.lora_embedding_B": f32((HIDDEN, 4)),
    }
    configuration = config(target_modules=["embed_tokens", "q_proj", "v_proj"])
    assert inspect(safetensors(lora_tensors() | tensors), configuration)[1] == ()
    wrong = {"base_model.model.model.embed_tokens.lora_A.weight": f32((4, HIDDEN))}
    assert "adapter.incomplete_module" in codes(
        inspect(safetensors(lora_tensors() | wrong), configuration)[1]
    )


def test_a_tied_output_head_has_the_shape_of_the_embedding() -> None:
    stem = "base_model.model.lm_head"
    tensors = {f"{stem}.lora_A.weight": f32((4, HIDDEN)), f"{stem}.lora_B.weight": f32((VOCABULARY, 4))}
    configuration = config(target_modules=["q_proj", "v_proj", "lm_head"])
    assert inspect(safetensors(lora_tensors() | tensors), configuration)[1] == ()


def test_modules_to_save_are_whole_and_go_to_the_reviewer() -> None:
    configuration = config(modules_to_save=["norm"])
    name = "base_model.model.model.norm.weight"
    summary, findings = inspect(safetensors(lora_tensors() | {name: f32((HIDDEN,))}), configuration)
    assert codes(findings) == ["adapter.full_weights"]
    assert summary is not None and summary.full_weights == (name,)
    assert codes(inspect(safetensors(lora_tensors()), configuration)[1]) == ["adapter.incomplete_module"]
    wrong = safetensors(lora_tensors() | {name: f32((HIDDEN + 1,))})
    assert "adapter.shape" in codes(inspect(wrong, configuration)[1])


def test_gpt2_names_and_transposed_weights_are_understood() -> None:
    base = BaseModelTensors({"h.0.attn.c_attn.weight": (8, 24), "wte.weight": (20, 8)}, True, "gpt2")
    stem = "base_model.model.transformer.h.0.attn.c_attn"
    tensors = {f"{stem}.lora_A.weight": f32((4, 8)), f"{stem}.lora_B.weight": f32((24, 4))}
    assert inspect(safetensors(tensors), config(target_modules=["c_attn"]), base)[1] == ()


@pytest.mark.parametrize(
    "targets",
    [
        ["q_proj", "v_proj"],
        ["model.layers.0.self_attn.q_proj", "layers.1.self_attn.q_proj", "self_attn.v_proj"],
        "all-linear",
        r".*\.(q|v)_proj",
        r"(?:.*?(?:self_attn|mlp).*?(?:q_proj|v_proj).*?)",
    ],
)
def test_targets_are_read_as_peft_reads_them(targets: object) -> None:
    assert inspect(safetensors(lora_tensors()), config(target_modules=targets))[1] == ()


def test_modules_outside_the_targets_are_a_warning_and_not_loaded() -> None:
    summary, findings = inspect(safetensors(lora_tensors()), config(target_modules=["q_proj"]))
    assert codes(findings) == ["adapter.untargeted_module"]
    assert summary is not None
    assert {module.name.rpartition(".")[2] for module in summary.modules} == {"q_proj"}
    loaded = normalised_adapter_config(config(target_modules=["q_proj"]), "base", summary)
    assert loaded["target_modules"] == [f"model.layers.{layer}.self_attn.q_proj" for layer in (0, 1)]


def test_layers_and_exclusions_narrow_the_targets() -> None:
    tensors = {name: tensor for name, tensor in lora_tensors().items() if ".layers.1." in name}
    for narrowed in (
        {"layers_to_transform": [1]},
        {"layers_to_transform": 1, "layers_pattern": "layers"},
        {"exclude_modules": r".*layers\.0\..*"},
        {"exclude_modules": ["layers.0.self_attn.q_proj", "0.self_attn.v_proj"]},
    ):
        assert inspect(safetensors(tensors), config(**narrowed))[1] == (), narrowed
    finding = only(inspect(safetensors(tensors))[1])
    assert finding.code == "adapter.target_without_tensors"
    assert finding.severity is Severity.WARNING


def test_a_configuration_that_targets_nothing_in_the_file_is_an_error() -> None:
    findings = inspect(safetensors(lora_tensors()), config(target_modules=["gate_proj"]))[1]
    assert findings[0].code == "adapter.no_lora_tensors"
    assert inspect(safetensors({}))[1][0].code == "adapter.no_lora_tensors"


@pytest.mark.parametrize(
    ("pattern", "words"), [(r"(q_proj)\1", "a reference back"), ("(q_proj", "no regular expression")]
)
def test_a_pattern_that_cannot_be_matched_is_an_error(pattern: str, words: str) -> None:
    finding = only(inspect(safetensors(lora_tensors()), config(target_modules=pattern))[1])
    assert finding.code == "adapter_config.pattern"
    assert words in finding.message


# Values


@pytest.mark.parametrize(
    ("dtype", "bad", "width"),
    [
        ("F32", np.float32("nan").tobytes(), 4),
        ("F32", np.float32("-inf").tobytes(), 4),
        ("F16", np.float16("inf").tobytes(), 2),
        ("BF16", b"\x80\x7f", 2),
        ("BF16", b"\x81\xff", 2),
    ],
)
@pytest.mark.parametrize("index", [0, 5, 31])
def test_a_value_that_is_not_finite_is_found_where_it_is(
    dtype: str, bad: bytes, width: int, index: int
) -> None:
    data = bytearray(32 * width)
    data[index * width : (index + 1) * width] = bad
    tensors = lora_tensors() | {f"{Q0}.lora_A.weight": (dtype, (4, HIDDEN), bytes(data))}
    finding = only(inspect(safetensors(tensors))[1])
    assert finding.code == "adapter.not_finite"
    assert finding.location.endswith(f"{Q0}.lora_A.weight")
    assert "1 of 32 values" in finding.message
    assert f"flat index {index}." in finding.message


def test_values_past_the_first_chunk_are_looked_at() -> None:
    values = np.zeros((1, 700_000), "<f4")
    values[0, [600_000, 699_999]] = np.nan
    base = BaseModelTensors({"a.weight": (8, 700_000)}, False)
    tensors: dict[str, Tensor] = {
        "base_model.model.a.lora_A.weight": ("F32", (1, 700_000), values.tobytes()),
        "base_model.model.a.lora_B.weight": f32((8, 1)),
    }
    finding = only(inspect(safetensors(tensors), config(r=1, target_modules=["a"]), base)[1])
    assert "2 of 700,000 values are NaN or infinite, the first at flat index 600,000." in finding.message


def test_the_largest_finite_values_pass() -> None:
    for dtype, data in (("F32", b"\xff\xff\x7f\xff"), ("F16", b"\xff\x7b" * 2), ("BF16", b"\x7f\xff" * 2)):
        count = 32 * len(data) // (4 if dtype == "F32" else 2)
        content = data * (32 // (count // 32))
        tensors = lora_tensors() | {f"{Q0}.lora_A.weight": (dtype, (4, HIDDEN), content)}
        assert inspect(safetensors(tensors))[1] == ()


@pytest.mark.parametrize(("dtype", "width"), [("F64", 8), ("I8", 1), ("U8", 1), ("F8_E4M3", 1)])
def test_other_data_types_are_refused(dtype: str, width: int) -> None:
    tensors = lora_tensors() | {f"{Q0}.lora_A.weight": (dtype, (4, HIDDEN), bytes(32 * width))}
    finding = only(inspect(safetensors(tensors))[1])
    assert finding.code == "adapter.dtype"
    assert dtype in finding.message


def test_an_adapter_that_changes_nothing_is_a_warning() -> None:
    tensors = {
        name: (dtype, shape, bytes(len(data)) if "lora_B" in name else data)
        for name, (dtype, shape, data) in lora_tensors().items()
    }
    finding = only(inspect(safetensors(tensors))[1])
    assert finding.code == "adapter.no_effect"
    assert finding.severity is Severity.WARNING


def test_without_configuration_or_base_the_rest_is_still_checked() -> None:
    content = safetensors(lora_tensors())
    summary, findings = inspect_adapter(io.BytesIO(content), len(content), None, None)
    assert findings == ()
    assert summary is not None and summary.ranks == (4,)
    broken = lora_tensors() | {f"{Q0}.lora_A.weight": ("F32", (4, HIDDEN), b"\xff" * 128)}
    content = safetensors(broken)
    assert codes(inspect_adapter(io.BytesIO(content), len(content), None, None)[1]) == ["adapter.not_finite"]


@pytest.fixture(scope="session")
def smollm2_tensors(smollm2: Path) -> BaseModelTensors:
    return base_model_tensors(smollm2)


def test_the_real_federated_adapter_passes(shared: Path, smollm2_tensors: BaseModelTensors) -> None:
    folder = shared / "checkpoints" / "fed_smollm2"
    configuration, findings = inspect_adapter_config(
        (folder / "adapter_config.json").read_bytes(), base_hub_id="HuggingFaceTB/SmolLM2-135M-Instruct"
    )
    assert findings == ()
    assert configuration is not None
    path = folder / "adapter_model.safetensors"
    with path.open("rb") as file:
        summary, findings = inspect_adapter(file, path.stat().st_size, configuration, smollm2_tensors)
    assert findings == ()
    assert summary is not None
    assert summary.parameters == 1_843_200
    assert summary.tensor_bytes == 4 * 1_843_200
    assert summary.ranks == (16,)
    assert len(summary.modules) == 120


@pytest.mark.parametrize(("rank", "expected"), [(8, []), (9, ["adapter.rank"]), (4096, ["adapter.rank"])])
def test_a_rank_over_the_smaller_side_is_a_warning(rank: int, expected: list[str]) -> None:
    content = safetensors(lora_tensors(rank))
    for base in (base_model(), None):
        _, findings = inspect_adapter(io.BytesIO(content), len(content), config(r=rank), base)
        assert codes(findings) == expected
        assert all(finding.severity is Severity.WARNING for finding in findings)
