"""adapter_config.json of all PEFT generations, and of people who hope for more than LoRA."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.adapter_kinds import LORA
from evaluation.checkpoints import inspect_adapter_config, normalised_adapter_config
from evaluation.findings import Finding, Severity, has_errors
from tests.evaluation.adapters import HUB_ID, config, config_document
from tests.profiles import examples


def inspect(document: object) -> tuple[Finding, ...]:
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    parsed, findings = inspect_adapter_config(text, base_hub_id=HUB_ID)
    assert (parsed is None) == has_errors(findings)
    return findings


def only(document: object) -> Finding:
    findings = inspect(document)
    assert len(findings) == 1, findings
    return findings[0]


def test_the_first_generation_gets_todays_defaults() -> None:
    old = config_document(
        bias="none",
        enable_lora=None,
        fan_in_fan_out=False,
        inference_mode=True,
        lora_dropout=0.05,
        merge_weights=False,
    )
    parsed, findings = inspect_adapter_config(json.dumps(old), base_hub_id=HUB_ID)
    assert findings == ()
    assert parsed is not None
    assert (parsed.r, parsed.alpha, parsed.dropout) == (4, 8, 0.05)
    assert parsed.kind is LORA and not parsed.use_rslora
    assert parsed.rank_pattern == {} and parsed.modules_to_save == ()


def test_unknown_keys_are_one_note() -> None:
    finding = only(
        config_document(unsloth_fixed=True, **{f"x{i}": [] for i in range(30)}, **{"a\x00\u202e": 1})
    )
    assert finding.severity is Severity.NOTE
    assert finding.code == "adapter_config.unknown_keys"
    assert "unsloth_fixed" in finding.message
    assert "and 12 more" in finding.message
    assert finding.message.isprintable()


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('{\n  "r": 4,\n  "lora_alpha" 8\n}', "adapter_config.json: line 3, column 16", "delimiter"),
        ("", "adapter_config.json", "empty"),
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "adapter_config.json",
            "git lfs pull",
        ),
        ('{"weight_map": {}}', "adapter_config.json", "index of a sharded"),
        ("[]", "adapter_config.json", "not an object"),
        ('{"r": 4, "r": 8}', "adapter_config.json", '"r" twice'),
        ('{"r": NaN}', "adapter_config.json", "NaN"),
        ('{"r": -Infinity}', "adapter_config.json", "-Infinity"),
        ('{"lora_alpha": 1e999}', "adapter_config.json", "1e999"),
        ('{"r": ' + "9" * 5000 + "}", "adapter_config.json", "too large"),
        ('{"a":' * 50_000, "adapter_config.json", "nested"),
        (b'{"r": "\xff"}', "adapter_config.json", "UTF-8"),
        (b" " * 2_000_000, "adapter_config.json", "limit"),
        ("<html>", "adapter_config.json", "web page"),
    ],
)
def test_what_is_not_one_json_object_is_refused_with_its_place(
    text: str | bytes, place: str, words: str
) -> None:
    finding = only(text)
    assert finding.severity is Severity.ERROR
    assert finding.location == place
    assert words in finding.message


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"r": 0}, "r"),
        ({"r": -1}, "r"),
        ({"r": 4.0}, "r"),
        ({"r": "4"}, "r"),
        ({"r": True}, "r"),
        ({"r": 10**9}, "r"),
        ({"lora_alpha": 0}, "lora_alpha"),
        ({"lora_alpha": [8]}, "lora_alpha"),
        ({"lora_dropout": 1.5}, "lora_dropout"),
        ({"use_dora": "yes"}, "use_dora"),
        ({"use_rslora": 1}, "use_rslora"),
        ({"target_modules": {"q_proj": 1}}, "target_modules"),
        ({"target_modules": ["q_proj", 1]}, "target_modules"),
        ({"target_modules": ["q\x00"]}, "target_modules"),
        ({"target_modules": "x" * 5000}, "target_modules"),
        ({"modules_to_save": ["(a+)+"]}, "modules_to_save"),
        ({"layers_to_transform": [-1]}, "layers_to_transform"),
        ({"layers_to_transform": "0"}, "layers_to_transform"),
        ({"layers_pattern": [".*"]}, "layers_pattern"),
        ({"rank_pattern": {"q_proj": "4"}}, "rank_pattern"),
        ({"rank_pattern": [4]}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": -1}}, "alpha_pattern"),
        ({"base_model_name_or_path": 7}, "base_model_name_or_path"),
        ({"revision": ["main"]}, "revision"),
        ({"task_type": {"a": 1}}, "task_type"),
        ({"peft_version": "0.1\ud800"}, "peft_version"),
    ],
)
def test_a_wrong_value_names_its_key(change: dict[str, object], key: str) -> None:
    findings = [f for f in inspect(config_document(**change)) if f.code == "adapter_config.type"]
    assert [finding.location for finding in findings] == [f"adapter_config.json: {key}"]
    assert findings[0].message.isprintable()


@pytest.mark.parametrize("key", ["peft_type", "r", "lora_alpha"])
def test_a_missing_key_is_named(key: str) -> None:
    document = config_document()
    del document[key]
    finding = only(document)
    assert finding.code == "adapter_config.missing"
    assert finding.location == f"adapter_config.json: {key}"


@pytest.mark.parametrize(
    ("change", "code", "severity"),
    [
        ({"peft_type": "IA3"}, "adapter_config.peft_type", "error"),
        ({"peft_type": "ADALORA"}, "adapter_config.peft_type", "error"),
        ({"task_type": "SEQ_CLS"}, "adapter_config.task_type", "error"),
        ({"task_type": None}, "adapter_config.task_type", "warning"),
        (
            {"auto_mapping": {"base_model_class": "X", "parent_library": "y"}},
            "adapter_config.remote_code",
            "error",
        ),
        ({"trust_remote_code": True}, "adapter_config.remote_code", "error"),
        ({"base_model_class": "X"}, "adapter_config.remote_code", "error"),
        ({"parent_library": "evil"}, "adapter_config.remote_code", "error"),
        ({"auto_map": {"AutoModel": "x.py"}}, "adapter_config.remote_code", "error"),
        ({"bias": "all"}, "adapter_config.unsupported", "error"),
        ({"lora_bias": True}, "adapter_config.unsupported", "error"),
        ({"layer_replication": [[0, 4]]}, "adapter_config.unsupported", "error"),
        ({"trainable_token_indices": [1]}, "adapter_config.unsupported", "error"),
        ({"init_lora_weights": "pissa_niter_16"}, "adapter_config.unsupported", "error"),
        ({"target_modules": None}, "adapter_config.target_modules", "warning"),
        ({"target_modules": []}, "adapter_config.target_modules", "warning"),
    ],
)
def test_what_would_be_evaluated_wrongly_or_unsafely_is_told(
    change: dict[str, object], code: str, severity: str
) -> None:
    finding = only(config_document(**change))
    assert (finding.code, finding.severity) == (code, severity)


@pytest.mark.parametrize("init", [True, False, "gaussian", "eva", "orthogonal", None])
def test_initialisations_that_leave_the_base_alone_are_fine(init: object) -> None:
    assert inspect(config_document(init_lora_weights=init)) == () or init is not None


@pytest.mark.parametrize(
    ("given_name", "severity"),
    [
        ("Example/Tiny-Llama", None),
        ("example/tiny-llama", None),
        ("./Example/Tiny-Llama/", None),
        ("https://huggingface.co/Example/Tiny-Llama", None),
        ("https://huggingface.co/Example/Tiny-Llama/tree/main", None),
        ("Former/Little-Llama", None),  # an alias
        ("Other/Tiny-Llama", "warning"),
        ("unsloth/tiny-llama-bnb-4bit", "warning"),
        ("unsloth/Tiny-Llama-unsloth-bnb-4bit", "warning"),
        ("TheBloke/Tiny-Llama-GPTQ", "warning"),
        ("Example/Meta-Tiny-Llama", "warning"),
        ("Other/Model", "error"),
        ("Example/Tiny-Llama-Instruct", "error"),
        ("https://huggingface.co/Other/Model", "error"),
        ("models/other", "warning"),
        ("models/Tiny-Llama", "note"),
        ("Ex\u0430mple/Tiny-Llama", "error"),  # a Cyrillic a
        ("/home/me/models/Tiny-Llama", "note"),
        ("../models/tiny-llama", "note"),
        ("Tiny-Llama", "note"),
        ("C:\\models\\Tiny-Llama", "note"),
        ("/cache/models--Example--Tiny-Llama/snapshots/0123", "note"),
        ("/home/me/checkpoints/final", "warning"),
        ("/models/Tiny-Llama-v2", "warning"),
        ("", "warning"),
        (None, "warning"),
    ],
)
def test_the_base_model_has_to_be_the_selected_one(given_name: str | None, severity: str | None) -> None:
    text = json.dumps(config_document(base_model_name_or_path=given_name))
    findings = inspect_adapter_config(text, base_hub_id=HUB_ID, base_aliases=["Former/Little-Llama"])[1]
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    assert all(f.location == "adapter_config.json: base_model_name_or_path" for f in findings)


def test_the_base_model_is_not_compared_when_none_is_selected() -> None:
    text = json.dumps(config_document(base_model_name_or_path="Other/Model"))
    assert inspect_adapter_config(text, base_hub_id=None)[1] == ()


def test_another_revision_is_a_warning() -> None:
    text = json.dumps(config_document(revision="abc"))
    findings = inspect_adapter_config(text, base_hub_id=HUB_ID, base_revision="def")[1]
    assert [finding.code for finding in findings] == ["adapter_config.revision"]
    assert inspect_adapter_config(text, base_hub_id=HUB_ID, base_revision="abc")[1] == ()


def test_all_problems_are_told_at_once() -> None:
    document = config_document(r=0, bias="all", trust_remote_code=True, base_model_name_or_path="a/b", new=1)
    found = {finding.code for finding in inspect(document)}
    assert found == {
        "adapter_config.type",
        "adapter_config.unsupported",
        "adapter_config.remote_code",
        "adapter_config.base_model",
        "adapter_config.unknown_keys",
    }


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("peft_type", ["LORA"], "adapter_config.type"),
        ("peft_type", "IA3", "adapter_config.peft_type"),  # whose keys are others than LoRA's
        ("task_type", 3, "adapter_config.type"),
        ("base_model_name_or_path", {"a": 1}, "adapter_config.type"),
        ("target_modules", [["q_proj"]], "adapter_config.type"),
        ("auto_mapping", {"parent_library": "evil"}, "adapter_config.remote_code"),
    ],
)
def test_one_mistake_has_one_finding(key: str, value: object, code: str) -> None:
    assert [finding.code for finding in inspect(config_document(**{key: value}))] == [code]


def test_only_checked_keys_go_on() -> None:
    parsed = config(evil="x", megatron_core="evil.module", rank_pattern={"q_proj": 2})
    written = normalised_adapter_config(parsed, "folder")
    assert "evil" not in written and "megatron_core" not in written
    assert written["base_model_name_or_path"] == "folder"
    assert written["rank_pattern"] == {"q_proj": 2}
    assert written["target_modules"] == ["q_proj", "v_proj"]
    json.dumps(written)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [*config_document(), "rank_pattern", "alpha_pattern", "modules_to_save", "bias", "revision"]
)


@given(raw=st.binary(max_size=200))
@settings(max_examples=examples(150))
def test_arbitrary_bytes_never_crash(raw: bytes) -> None:
    assert has_errors(inspect(raw))


@given(changes=st.dictionaries(KEYS | st.text(max_size=9), JSON_VALUES, max_size=5))
@settings(max_examples=examples(300))
def test_arbitrary_values_never_crash_and_findings_are_storable(changes: dict[str, object]) -> None:
    for finding in inspect(config_document() | changes):
        assert finding.message.isprintable() and finding.location.isprintable()
