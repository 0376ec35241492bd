"""Each row of what the field has, given beside the project, with the answer that is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation import benchmarks, data, rules
from evaluation.checkpoints import base_model_tensors
from evaluation.inspection import Inspection, Known, KnownBase, inspect
from evaluation.inspection.folder import gather
from evaluation.rules.protocol import CURRENT
from evaluation.running.completions import GivenCompletions, read_given

ROWS = {
    "fsdp_partial_zero_rows": {("warning", "adapter.zero_rows")},
    "lfs_pointer_config": {("error", "adapter_config.json")},
    "lora_on_embedding": {("note", "adapter.base_copy")},
    "named_adapter_keys": {("note", "adapter.spelling")},
    "sharded_adapter": {("error", "file.sharded")},
    "torch_compile_prefix": {("note", "adapter.spelling")},
    "unchanged_lm_head_copy": {("note", "adapter.base_copy")},
    "unsloth_auto_mapping": {("note", "adapter_config.auto_mapping")},
}


@pytest.fixture
def field(shared: Path) -> Path:
    return shared / "field"


def look(path: Path, challenge: str, base: Path | None = None) -> Inspection:
    known = Known(base=KnownBase(tensors=base_model_tensors(base) if base else None))
    return inspect(gather(path).material, rules.of(challenge), known)


@pytest.mark.parametrize("row", ROWS)
def test_an_adapter_gets_the_right_answer(row: str, field: Path) -> None:
    inspection = look(field / row, "finance", field / "tiny_llama_base")
    found = [(str(finding.severity), finding.code) for finding in inspection.findings]
    assert len(found) == len(set(found))  # one mistake, one finding
    assert set(found) == ROWS[row] | {("note", "app.no_config")}


def test_the_former_name_of_a_data_set_is_taken_with_a_note(field: Path) -> None:
    found = {
        finding.code: finding.severity
        for finding in look(field / "former_code_dataset.toml", "code").findings
    }
    assert found["config.static_dataset"] == "note" and "error" not in found.values()


def test_the_marks_in_names_change_nothing_of_what_is_computed(field: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("peft")
    from evaluation.engines.adapters import Adapter, AdapterFiles, read
    from evaluation.engines.base_models import load_model

    model = load_model(field / "tiny_llama_base", "fp32", torch.device("cpu"))

    def logits(adapted: Any) -> Any:
        with torch.inference_mode():
            return adapted(torch.tensor([list(range(30, 60))])).logits

    def with_adapter(files: AdapterFiles) -> Any:
        adapter = Adapter(model, files, field / "tiny_llama_base")
        computed = logits(adapter._peft)
        adapter.remove()
        return computed

    bare = logits(model)
    for row in ("named_adapter_keys", "torch_compile_prefix", "unchanged_lm_head_copy"):
        files = read(field / row)
        plain = {name: tensor for name, tensor in files.weights.items() if "lora" in name}
        assert len(plain) == 8 and all(name.startswith("base_model.model.model.") for name in plain)
        computed = with_adapter(files)
        assert torch.equal(computed, with_adapter(AdapterFiles(files.folder, files.settings, plain)))
        assert not torch.equal(computed, bare)


def given(field: Path, name: str) -> GivenCompletions:
    dataset = data.load(benchmarks.get("humaneval"), data.DEMONSTRATION, CURRENT, None)
    return read_given(field / "score" / name, dataset)


def test_completions_are_read_in_every_form(field: Path) -> None:
    plain = given(field, "plain.jsonl")
    assert len(plain.texts) == 20
    assert given(field, "array.json").texts == given(field, "bom_plain.jsonl").texts == plain.texts
    # These forms say that the prompt ends with a line break, which the protocol strips.
    led = {key: f"\n{text}" for key, text in plain.texts.items()}
    assert given(field, "human_eval_samples.jsonl").texts == led
    whole = given(field, "generations_humaneval.json")
    assert whole.texts == led and whole.warnings == ()


def test_completions_that_hardly_run_are_warned_of(field: Path) -> None:
    (fenced,) = given(field, "fenced.jsonl").warnings
    assert fenced.startswith("20 of 20 completions begin with a code fence") and "stop strings" in fenced
    (indented,) = given(field, "plain.jsonl").warnings
    assert "indented" in indented


def test_every_row_with_a_file_has_a_test(field: Path) -> None:
    elsewhere = {"tiny_llama_base", "moe_per_expert", "score"}
    assert {path.name for path in field.iterdir() if path.is_dir()} == ROWS.keys() | elsewhere


def written(tmp_path: Path, content: str) -> GivenCompletions:
    (tmp_path / "answers").write_text(content)
    dataset = data.load(benchmarks.get("humaneval"), data.DEMONSTRATION, CURRENT, None)
    return read_given(tmp_path / "answers", dataset)


def test_several_answers_to_each_program_are_attempts(tmp_path: Path) -> None:
    dataset = data.load(benchmarks.get("humaneval"), data.DEMONSTRATION, CURRENT, None)
    rows = [[f"{sample.prompt}\n    return {n}" for n in range(3)] for sample in dataset.samples]
    read = written(tmp_path, json.dumps(rows))
    assert read.attempts == 3 and len(read.texts) == 3 * len(dataset.samples)
    assert read.texts["Demo/0#2"] == "\n    return 2"
    lines = [{"task_id": "Demo/0", "completion": text} for text in ("\n    a", "\n    b")]
    assert written(tmp_path, "\n".join(map(json.dumps, lines))).texts == {
        "Demo/0#0": "\n    a",
        "Demo/0#1": "\n    b",
    }


def test_a_whole_solution_loses_its_prompt(tmp_path: Path) -> None:
    dataset = data.load(benchmarks.get("humaneval"), data.DEMONSTRATION, CURRENT, None)
    sample = dataset.samples[0]
    lines = [{"task_id": "Demo/0", "solution": f"{sample.prompt}\n    return 1"}]
    assert written(tmp_path, json.dumps(lines)).texts == {"Demo/0": "\n    return 1"}
