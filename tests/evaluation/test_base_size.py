"""How large a base model may be: what names say, what an operator sets, what the inspection says."""

from __future__ import annotations

import pytest

from evaluation.findings import FindingCollector
from evaluation.inspection.base_model import check_base_size
from evaluation.rules.base_size import LARGEST_BASE_PARAMETERS, named_size, read_limits


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mistralai/Mistral-7B-v0.3", 7 * 10**9),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 135 * 10**6),
        ("Qwen/Qwen2.5-1.5B", 1_500_000_000),
        ("org/llama_3b_v2", 3 * 10**9),
        ("microsoft/phi-4", None),
        ("internlm3-8bit", None),
        ("", None),
    ],
)
def test_sizes_in_names_are_read(name: str, size: int | None) -> None:
    assert named_size(name) == size


def test_a_base_model_over_the_limit_is_an_error_where_its_size_is_known() -> None:
    def check(name: str | None, parameters: int | None) -> list[str]:
        findings = FindingCollector()
        check_base_size(name, parameters, 13 * 10**9, findings, "pyproject.toml")
        return [finding.severity.value for finding in findings.collected()]

    assert check("org/model-14B", 12_900_000_000) == []
    assert check("org/model", 13_000_000_001) == ["error"]
    assert check("org/model-14B", None) == ["warning"]
    assert check("org/model-7B", None) == check(None, None) == []


def test_a_limit_is_for_all_challenges_or_for_one() -> None:
    assert set(read_limits("").values()) == {LARGEST_BASE_PARAMETERS}
    assert set(read_limits("13000000000").values()) == set(read_limits("13B").values()) == {13 * 10**9}
    assert read_limits("code=1.5B") == {**read_limits(""), "code": 1_500_000_000}
    assert read_limits(" 7B , code = 13B ") == {**read_limits("7B"), "code": 13 * 10**9}


@pytest.mark.parametrize("text", ["many", "0", "-7B", "7B,13B", "poetry=7B", "code=", "7 billion", "1e9"])
def test_a_limit_that_is_none_is_refused_with_the_form_it_has(text: str) -> None:
    with pytest.raises(ValueError, match="write a number of parameters like 24000000000 or 24B"):
        read_limits(text)
