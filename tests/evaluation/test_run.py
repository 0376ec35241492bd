"""Evaluating plans: what is loaded when, what makes a score official, what goes wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from evaluation import data, gpus
from evaluation.benchmarks.samples import Sample
from evaluation.errors import (
    CheckpointError,
    DataError,
    EvaluationError,
    ModelError,
    OutOfMemoryError,
    UnknownNameError,
)
from evaluation.metering.meter import EnergyMeter
from evaluation.running.run import Evaluator, Observer, Plan, Progress
from evaluation.running.score import Score
from tests.evaluation.conftest import WriteRows, make_adapter

TFNS = [{"text": f"$AB {i}%", "label": i % 3} for i in range(6)]


class Log(Observer):
    def __init__(self) -> None:
        self.loads = 0
        self.last: Progress | None = None
        self.results: list[Score] = []

    def loading(self) -> None:
        self.loads += 1

    def progress(self, progress: Progress) -> None:
        self.last = progress

    def scored(self, result: Score) -> None:
        self.results.append(result)


def scripted(folder: Path, slug: str, answers: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"id": key, "completion": text}) + "\n" for key, text in answers.items()]
    (folder / f"{slug}.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def test_a_scripted_run_scores_what_the_file_says(tmp_path: Path, write_rows: WriteRows) -> None:
    answers = {"0": "negative", "1": "positive", "2": "positive", "3": "negative", "4": "?"}
    model = scripted(tmp_path / "answers", "tfns", answers)
    log = Log()
    plan = Plan(str(model), ("tfns",), engine="scripted", data=str(write_rows("tfns", TFNS)))
    evaluation = Evaluator().evaluate(plan, log)
    (result,) = evaluation.scores
    assert log.results == [result]
    assert (result.correct_count, result.unscored, result.value) == (3, 1, 0.6)
    assert "the completions were not generated here" in result.unofficial
    assert log.last == Progress("tfns", 6, 6, 6, 6)
    assert set(evaluation.as_dict()) >= {"protocol", "engine", "benchmarks", "average", "provenance"}
    assert evaluation.as_dict()["average"] == 0.6


def test_the_base_model_is_loaded_once_for_many_adapters(
    tiny_llama: Path, tmp_path: Path, write_rows: WriteRows
) -> None:
    folder = str(write_rows("tfns", TFNS))
    adapter = make_adapter(tiny_llama, tmp_path / "adapter")
    evaluator, log = Evaluator(), Log()

    def texts(model: Path, adapter: Path | None, precision: str = "fp32") -> list[str | None]:
        plan = Plan(
            str(model), ("tfns",), adapter, engine="transformers", precision=precision, data=folder, limit=2
        )
        return [item.completion for item in evaluator.evaluate(plan, log).scores[0].items]

    bare = texts(tiny_llama, None)
    assert texts(tiny_llama, adapter) != bare
    assert texts(tiny_llama, None) == bare
    assert log.loads == 1
    texts(tiny_llama, None, precision="bf16")
    assert log.loads == 2
    texts(shutil.copytree(tiny_llama, tmp_path / "other"), None, precision="bf16")
    assert log.loads == 3


def test_a_model_that_changed_on_disk_is_loaded_again(tmp_path: Path, write_rows: WriteRows) -> None:
    model = scripted(tmp_path / "answers", "tfns", {"0": "negative"})
    plan = Plan(str(model), ("tfns",), engine="scripted", data=str(write_rows("tfns", TFNS)))
    evaluator, log = Evaluator(), Log()
    evaluator.evaluate(plan, log)
    evaluator.evaluate(plan, log)
    assert log.loads == 1
    scripted(model, "tfns", {"0": "negative", "1": "positive"})
    evaluator.evaluate(plan, log)
    assert log.loads == 2


def test_a_score_is_official_on_official_data_at_the_protocols_precision(
    shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from evaluation.engines.scripted import ScriptedEngine

    location = str(shared / "data" / "eval")
    model = scripted(tmp_path / "answers", "pubmedqa", {})
    # The scripted engine stands in for one that generates, which would take minutes for 500 items.
    monkeypatch.setattr(ScriptedEngine, "generates", True)

    def reasons(**changes: object) -> tuple[str, ...]:
        plan = Plan(str(model), ("pubmedqa",), engine="scripted", data=location, **changes)  # type: ignore[arg-type]
        (result,) = Evaluator().evaluate(plan, Observer()).scores
        assert result.official == (not result.unofficial)
        return result.unofficial

    assert reasons() == reasons(precision="fp4") == ()
    assert reasons(precision="fp32") == ("the precision is fp32; protocol 1 asks for fp4",)
    assert reasons(limit=5) == ("only 5 of 500 items were asked",)


def test_energy_and_speed_are_those_of_generating(
    tiny_llama: Path, tmp_path: Path, write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter([1_000.0, 1_250.0])
    engine = pytest.importorskip("evaluation.engines.transformers").TransformersEngine
    monkeypatch.setattr(engine, "gpu_uuids", lambda _: ("GPU-1",))
    monkeypatch.setattr(gpus, "energy_joules", lambda _: next(readings))
    monkeypatch.setattr(gpus, "name_of", lambda _: "H100")
    plan = Plan(str(tiny_llama), ("tfns",), precision="fp32", data=str(write_rows("tfns", TFNS)))
    meter = EnergyMeter(tmp_path / "powercap", tmp_path / "energy")
    result = Evaluator(meter).evaluate(plan, Observer()).as_dict()["benchmarks"]["tfns"]
    assert result["energy_joules"] == 250.0
    assert result["energy_net_joules"] is None, "idle power was not measured"
    assert result["energy_method"] == "NVML of H100"
    assert result["tokens_per_second"] == pytest.approx(
        result["tokens"] / result["generating_seconds"], rel=0.1
    )


def test_without_a_meter_there_is_no_energy(tmp_path: Path, write_rows: WriteRows) -> None:
    plan = Plan(
        str(scripted(tmp_path, "tfns", {})), ("tfns",), engine="scripted", data=str(write_rows("tfns", TFNS))
    )
    assert Evaluator().evaluate(plan, Observer()).scores[0].as_dict()["energy_joules"] is None


def test_a_gpu_without_bf16_computes_in_fp16_unofficially_and_says_so_first(
    tiny_llama: Path, write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    class Notes(Log):
        def noted(self, note: str) -> None:
            said.append(note)

        def loading(self) -> None:
            said.append("loading")

    monkeypatch.setattr("evaluation.gpus.compute_bf16", lambda: False)
    plan = Plan(str(tiny_llama), ("tfns",), precision="bf16", data=str(write_rows("tfns", TFNS)))
    outcome = Evaluator().evaluate(plan, Notes())
    note = "this GPU does not compute in bf16: fp16 is used instead, and the scores are unofficial"
    assert said == [note, "loading"]
    assert outcome.provenance.precision == "fp16"
    assert note in outcome.scores[0].unofficial


def test_provenance_says_what_ran(tiny_llama: Path, tmp_path: Path, write_rows: WriteRows) -> None:
    adapter = make_adapter(tiny_llama, tmp_path / "adapter")
    plan = Plan(
        str(tiny_llama), ("tfns",), adapter, precision="fp32", data=str(write_rows("tfns", TFNS)), limit=2
    )
    evaluation = Evaluator().evaluate(plan, Observer())
    record = json.loads(json.dumps(evaluation.provenance.as_dict()))
    assert record["protocol"] == 1
    assert record["engine"]["name"] == "transformers"
    assert record["precision"] == "fp32"
    assert record["model"] == "tiny-llama"
    assert set(record["model_digests"]) == {"model.safetensors"}
    assert set(record["adapter_digests"]) == {"adapter_config.json", "adapter_model.safetensors"}
    assert record["data"]["tfns"] == {
        "digest": evaluation.scores[0].dataset.digest,
        "kind": "other",
        "origin": "",
        "available": 6,
        "asked": 2,
    }
    assert record["usage"]["tfns"]["generated_tokens"] > 0
    assert record["packages"]["torch"]
    assert record["peak_rss_bytes"] > 0
    assert str(tmp_path) not in json.dumps(record), "no path of the machine leaves it"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": "/nowhere/model"}, ModelError, "no model folder /nowhere/model"),
        ({"model": "nowhere"}, ModelError, "no model folder nowhere"),
        ({"adapter": Path("/nowhere")}, CheckpointError, "adapter folder /nowhere does not exist"),
        ({"benchmarks": ("tnfs",)}, UnknownNameError, "did you mean tfns"),
        ({"engine": "transfomers"}, UnknownNameError, "did you mean transformers"),
        ({"precision": "bf61"}, UnknownNameError, "did you mean bf16"),
        ({"protocol": 99}, UnknownNameError, "no protocol"),
        ({"data": "/nowhere/data"}, DataError, "the data folder /nowhere/data does not exist"),
        ({"samples": 0}, EvaluationError, "at least one completion"),
        ({"samples": 2}, EvaluationError, "tfns asks for labels"),
    ],
)
def test_a_plan_that_cannot_run_says_why_before_anything_is_loaded(
    changes: dict[str, object], error: type[EvaluationError], message: str, tmp_path: Path
) -> None:
    fields: dict[str, object] = {
        "model": str(scripted(tmp_path / "m", "tfns", {})),
        "benchmarks": ("tfns",),
        "data": "demonstration",
    }
    log = Log()
    with pytest.raises(error, match=message):
        Evaluator().evaluate(Plan(**(fields | changes)), log)  # type: ignore[arg-type]
    assert log.loads == 0


def test_an_engine_that_ran_out_of_memory_is_dropped(
    tmp_path: Path, write_rows: WriteRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evaluation.engines.scripted import ScriptedEngine

    plan = Plan(
        str(scripted(tmp_path / "m", "tfns", {})),
        ("tfns",),
        engine="scripted",
        data=str(write_rows("tfns", TFNS)),
    )
    evaluator, log = Evaluator(), Log()

    def fail(*_: object) -> None:
        raise OutOfMemoryError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(ScriptedEngine, "generate", fail)
        with pytest.raises(OutOfMemoryError):
            evaluator.evaluate(plan, log)
    evaluator.evaluate(plan, log)
    assert log.loads == 2


def test_an_adapter_folder_of_completions_answers_before_the_models(
    tmp_path: Path, write_rows: WriteRows
) -> None:
    model = scripted(tmp_path / "base", "tfns", {f"{i}": "neutral" for i in range(6)})
    adapter = scripted(tmp_path / "tuned", "tfns", {f"{i}": "negative" for i in range(6)})
    location = str(write_rows("tfns", TFNS))
    evaluator = Evaluator()
    for folder, expected in ((adapter, "negative"), (None, "neutral"), (adapter, "negative")):
        plan = Plan(str(model), ("tfns",), folder, engine="scripted", data=location)
        items = evaluator.evaluate(plan, Observer()).scores[0].items
        assert {item.prediction for item in items} == {expected}


def test_the_order_of_a_data_file_does_not_change_an_answer(tiny_llama: Path, write_rows: WriteRows) -> None:
    def answers(rows: list[dict[str, object]]) -> dict[Sample, str | None]:
        plan = Plan(str(tiny_llama), ("medmcqa",), precision="fp32", data=str(write_rows("medmcqa", rows)))
        return {i.sample: i.completion for i in Evaluator().evaluate(plan, Observer()).scores[0].items}

    source = (data.DEMONSTRATION_FOLDER / "medmcqa.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in source][:12]
    assert answers(rows) == answers(rows[::-1])
