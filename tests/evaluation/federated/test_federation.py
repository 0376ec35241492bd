"""Federated training from first message to output folder, with a tiny model and clients in this process."""

from __future__ import annotations

import errno
import json
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from flwr.app import Array, ArrayRecord, Message
from flwr.cli.config_utils import load_and_validate
from flwr.common.config import flatten_dict
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

import evaluation.federated
from evaluation.errors import EvaluationError, ModelError, OutOfMemoryError
from evaluation.federated import training
from evaluation.federated.config import FederatedConfig, sampled
from evaluation.federated.events import as_text
from evaluation.federated.job import prepare
from evaluation.federated.server_app import federate
from evaluation.federated.strategies.cohort import sample
from evaluation.method.strategies import STRATEGIES
from evaluation.rules import challenges
from evaluation.wire.training import Event

from .loopback import LoopbackGrid


def trained(
    config: FederatedConfig, output: Path, grid: LoopbackGrid | None = None
) -> dict[str, numpy.ndarray]:
    federate(grid or LoopbackGrid(config.clients), prepare(config, output, lambda _line: None))
    return load_file(output / "adapter_model.safetensors")


def record(output: Path) -> dict:
    return json.loads((output / "training.json").read_text())


def test_two_runs_with_one_seed_give_equal_adapters(config: FederatedConfig, tmp_path: Path) -> None:
    first = trained(config, tmp_path / "a", LoopbackGrid(3, seed=1))
    second = trained(
        config, tmp_path / "b", LoopbackGrid(3, seed=2)
    )  # other node ids, other order of replies
    assert first.keys() == second.keys()
    assert all((first[name] == second[name]).all() for name in first)


def test_another_seed_gives_another_adapter(config: FederatedConfig, tmp_path: Path) -> None:
    first, second = trained(config, tmp_path / "a"), trained(replace(config, seed=8), tmp_path / "b")
    assert any((first[name] != second[name]).any() for name in first)


def test_the_adapter_is_the_mean_of_the_clients_weighted_by_their_rows(
    config: FederatedConfig, tmp_path: Path
) -> None:
    grid = LoopbackGrid(3)
    adapter = trained(replace(config, rounds=1, clients_per_round=3), tmp_path / "out", grid)
    replies = [reply.content for reply in grid.replies if reply.content.array_records]
    rows = [reply["metrics"]["num-examples"] for reply in replies]
    assert sorted(rows) == [3, 3, 4]
    for name, tensor in adapter.items():
        mean = sum(
            n * reply["arrays"][name].numpy().astype(float) for n, reply in zip(rows, replies, strict=True)
        )
        numpy.testing.assert_allclose(tensor, mean / 10, rtol=1e-5, atol=1e-7)


def test_training_lowers_the_loss(config: FederatedConfig, tmp_path: Path) -> None:
    everywhere = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
    keen = replace(
        config, rounds=4, local_steps=8, learning_rate=0.02, learning_rate_min=0.02, rank=8, alpha=32,
        target_modules=everywhere,
    )  # fmt: skip
    trained(keen, tmp_path / "out")
    losses = [measured["train_loss"] for measured in record(tmp_path / "out")["rounds"]]
    assert losses[-1] < 0.8 * losses[0]


def test_the_adapter_loads_on_its_base_model_and_changes_its_answers(
    config: FederatedConfig, tmp_path: Path
) -> None:
    trained(config, tmp_path / "out")
    base = AutoModelForCausalLM.from_pretrained(config.model)
    ids = torch.tensor([[4, 5, 6]])
    before = base(ids).logits
    adapted = PeftModel.from_pretrained(base, tmp_path / "out")
    assert not torch.equal(before, adapted(ids).logits)
    settings = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "example/tiny-llama"
    assert (settings["r"], settings["lora_alpha"]) == (2, 4)


def test_communication_is_what_the_adapter_weighs_times_clients_and_rounds(
    config: FederatedConfig, tmp_path: Path
) -> None:
    adapter = trained(config, tmp_path / "out")
    measured = record(tmp_path / "out")
    parameters = sum(tensor.size for tensor in adapter.values())
    assert measured["trainable_parameters"] == parameters
    closed_form = parameters * 4 * config.clients_per_round * config.rounds
    assert measured["communication_down_bytes"] == measured["communication_up_bytes"] == closed_form
    assert [(r["messages_down"], r["messages_up"]) for r in measured["rounds"]] == [(2, 2), (2, 2)]


def test_the_record_says_what_was_run_and_measured(config: FederatedConfig, tmp_path: Path) -> None:
    trained(config, tmp_path / "out")
    measured = record(tmp_path / "out")
    assert measured["base_model"] == "example/tiny-llama"
    assert measured["dataset"] | {"digest": ""} == {
        "name": "finance.jsonl", "rows": 10, "digest": "", "demonstration": False
    }  # fmt: skip
    assert [r["round"] for r in measured["rounds"]] == [1, 2]
    assert measured["rounds"][1]["learning_rate"] == pytest.approx(0.001)
    assert measured["client_peak_rss_bytes"] > 50 * 1024**2
    assert measured["startup_seconds"] < measured["wall_seconds"]
    assert str(config.model) not in (tmp_path / "out" / "training.json").read_text()


def test_the_flower_configuration_describes_the_run(config: FederatedConfig, tmp_path: Path) -> None:
    trained(config, tmp_path / "out")
    text = (tmp_path / "out" / "pyproject.toml").read_text()
    flower = tomllib.loads(text)["tool"]["flwr"]
    settings = flower["app"]["config"]
    assert settings["model"]["lora"] == {
        "peft-lora-r": 2, "peft-lora-alpha": 4, "peft-lora-dropout": 0.0, "peft-use-dora": False,
        "modules": "q_proj,v_proj",
    }  # fmt: skip
    assert settings["train"]["training-arguments"] == {"per-device-train-batch-size": 2, "max-steps": 2}
    assert settings["static"]["dataset"]["name"] == "flwrlabs/fingpt-sentiment-train"
    assert settings["strategy"] == {
        "name": "fedavg", "fraction-train": pytest.approx(2 / 3), "min-train-nodes": 1
    }  # fmt: skip
    assert flower["federations"]["local-simulation"]["options"]["num-supernodes"] == 3
    assert str(config.model) not in text


def raises(_reply: Message) -> None:
    raise ValueError("disk full")


def gives_nan(reply: Message) -> None:
    reply.content["arrays"] = changed(reply, lambda array: array * numpy.float32("nan"))


def gives_other_shapes(reply: Message) -> None:
    reply.content["arrays"] = changed(reply, lambda array: array[:-1])


def gives_other_tensors(reply: Message) -> None:
    reply.content["arrays"] = ArrayRecord({"stranger": Array(numpy.zeros(3, dtype=numpy.float32))})


def gives_an_infinite_loss(reply: Message) -> None:
    reply.content["metrics"]["train-loss"] = float("inf")


def changed(reply: Message, change: Callable[[Any], Any]) -> ArrayRecord:
    return ArrayRecord(
        {name: Array(change(array.numpy())) for name, array in reply.content["arrays"].items()}
    )


FAULTS = {
    raises: "disk full",
    gives_nan: "NaN",
    gives_other_shapes: "expected float32",
    gives_other_tensors: "other tensors",
    gives_an_infinite_loss: "train-loss is inf",
}


@pytest.mark.parametrize(
    ("fault", "reason"), FAULTS.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_a_failing_client_is_named_left_out_and_counted(
    fault: Callable[..., Any], reason: str, config: FederatedConfig, tmp_path: Path
) -> None:
    everyone = replace(config, rounds=1, clients_per_round=3)
    told: list[Event] = []
    grid = LoopbackGrid(3, distort={1: fault})
    federate(grid, prepare(everyone, tmp_path / "out", told.append))
    (measured,) = record(tmp_path / "out")["rounds"]
    assert measured["clients"] == [0, 2]
    ((client, why),) = [(failure["client"], failure["reason"]) for failure in measured["failures"]]
    assert client == 1
    assert reason in why
    assert measured["messages_up"] == 3
    assert any("left out client 1" in line for line in map(as_text, told))
    adapter = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert all(numpy.isfinite(tensor).all() for tensor in adapter.values())


def test_a_round_without_a_usable_client_ends_the_run_and_leaves_nothing(
    config: FederatedConfig, tmp_path: Path
) -> None:
    grid = LoopbackGrid(3, distort=dict.fromkeys(range(3), gives_nan))
    with pytest.raises(EvaluationError, match=r"round 1: no client gave a usable adapter \(client \d: .*NaN"):
        trained(config, tmp_path / "out", grid)
    assert list(tmp_path.iterdir()) == []


def test_what_a_client_cannot_train_on_is_told_in_its_own_words(
    config: FederatedConfig, tmp_path: Path
) -> None:
    run = replace(config, sequence_length=8)
    with pytest.raises(EvaluationError, match=r"\(client \d: it failed: none of the client's \d rows has a"):
        trained(run, tmp_path / "out", LoopbackGrid(3))


@pytest.mark.parametrize(
    ("lacking", "fault", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "outage", "disk"),
        (MemoryError(), "outage", "memory"),
        (OutOfMemoryError("a single row"), "crash", "out_of_memory"),
        (OSError(errno.ENOENT, "No such file"), "input", "evaluation_error"),
    ],
)
def test_what_a_clients_machine_lacks_ends_the_round_as_an_outage_or_a_crash(
    lacking: Exception,
    fault: str,
    code: str,
    config: FederatedConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(*_: object) -> None:
        raise lacking

    monkeypatch.setattr(training, "train", breaks)
    with pytest.raises(EvaluationError, match="round 1: no client gave a usable adapter") as raised:
        trained(config, tmp_path / "out", LoopbackGrid(3))
    assert (raised.value.fault, raised.value.code) == (fault, code)


@given(st.integers(1, 60), st.data())
def test_sampling_takes_the_asked_number_of_distinct_clients(clients: int, data: st.DataObject) -> None:
    count, seed = data.draw(st.integers(1, clients)), data.draw(st.integers())
    chosen = sample(range(clients), count, seed, 3)
    assert len(set(chosen)) == len(chosen) == count
    assert set(chosen) <= set(range(clients))
    assert chosen == sample(list(reversed(range(clients))), count, seed, 3)


def test_every_client_is_sampled_now_and_then() -> None:
    seen = Counter(client for server_round in range(300) for client in sample(range(4), 2, 7, server_round))
    assert all(100 < seen[client] < 200 for client in range(4))


@given(st.integers(1, 200), st.data())
def test_the_written_fraction_samples_the_same_number_again(clients: int, data: st.DataObject) -> None:
    per_round = data.draw(st.integers(1, clients))
    config = FederatedConfig(
        challenge="finance", strategy="fedavg", model=Path("m"), base_model_id="m", train_data=Path("d"),
        clients=clients, clients_per_round=per_round, rounds=1, local_steps=1, batch_size=1,
        sequence_length=8, learning_rate=0.3, learning_rate_min=0.1, rank=1, alpha=1,
        target_modules=("q", "v"), precision="bf16", seed=0,
    )  # fmt: skip
    assert sampled(clients, config.fraction) == per_round
    assert FederatedConfig.from_run_config(config.run_config()) == config


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"strategy": "fedavrg"}, EvaluationError, "no strategy .* fedavg"),
        ({"challenge": "finances"}, EvaluationError, "no challenge .* finance"),
        ({"clients": 11}, EvaluationError, "11 clients cannot share the 10 rows"),
        (
            {"clients_per_round": 4},
            EvaluationError,
            r"clients-per-round \(4\) is more than the clients \(3\)",
        ),
        ({"rounds": 0}, EvaluationError, "rounds must be at least 1"),
        ({"learning_rate_min": 1.0}, EvaluationError, "learning-rate-min <= learning-rate"),
        ({"precision": "int8"}, EvaluationError, "one of fp4, nf4, bf16, fp32"),
        ({"target_modules": ()}, EvaluationError, "target-modules names no module"),
        ({"model": Path("/nowhere")}, ModelError, "no base model in /nowhere"),
    ],
)
def test_a_run_that_cannot_work_is_refused_before_anything_starts(
    change: dict, error: type[Exception], text: str, config: FederatedConfig, tmp_path: Path
) -> None:
    with pytest.raises(error, match=text):
        prepare(replace(config, **change), tmp_path / "out", lambda _line: None)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({}, r"needs a partition-id from 0 to 2 in --node-config, it has None"),
        ({"partition-id": 3}, r"needs a partition-id from 0 to 2 in --node-config, it has 3"),
        ({"partition-id": 1}, "two SuperNodes have the same partition-id"),
        (
            {"partition-id": 0, "train-data": "other.jsonl"},
            r"client 0 would train on other rows than finance",
        ),
        (
            {"partition-id": 0, "train-data": "missing.jsonl"},
            r"cannot take part: .*missing.jsonl cannot be read",
        ),
    ],
)
def test_a_node_that_does_not_fit_the_federation_is_named_before_round_1(
    node: dict[str, Any],
    message: str,
    config: FederatedConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.jsonl").write_text(config.train_data.read_text().replace("buy", "hold"))
    grid = LoopbackGrid(3, node_configs={0: node})
    with pytest.raises(EvaluationError, match=message):
        trained(config, tmp_path / "out", grid)


def test_an_unknown_target_module_is_named_with_those_there_are(
    config: FederatedConfig, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError, match=r"no module called qkv; it has .*q_proj"):
        trained(replace(config, target_modules=("q_proj", "qkv")), tmp_path / "out")


def test_a_full_output_folder_is_not_touched(config: FederatedConfig, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(EvaluationError, match="not empty"):
        prepare(config, tmp_path, lambda _line: None)


def test_the_run_configuration_names_a_missing_key(config: FederatedConfig) -> None:
    values = config.run_config()
    del values["model.lora.peft-lora-r"]
    with pytest.raises(EvaluationError, match=r"no key 'model\.lora\.peft-lora-r'"):
        FederatedConfig.from_run_config(values)


def test_the_app_folder_is_a_flower_app_with_all_keys_of_a_run(config: FederatedConfig) -> None:
    folder = Path(evaluation.federated.__file__).parent / "app"
    settings, warnings = load_and_validate(folder / "pyproject.toml")
    assert warnings == []
    keys = flatten_dict(settings["tool"]["flwr"]["app"]["config"])
    options = {f"strategy.{option.name}" for info in STRATEGIES.values() for option in info.options}
    assert keys.keys() == config.run_config().keys() | options | {
        "events",
        "output",
        "state",
        "static.dataset.name",
    }
    reference = FederatedConfig.from_run_config(keys)
    challenge = challenges.get(reference.challenge)
    assert (reference.clients, reference.clients_per_round) == (
        challenge.clients,
        challenge.baseline_clients_per_round,
    )
