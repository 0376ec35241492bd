"""Rounds with real clients: what travels, what is exact, and that a run goes on as if it had not stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy
import pytest
import torch
from flwr.app import Message
from peft import PeftModel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

from evaluation.errors import EvaluationError
from evaluation.federated import data, partitioning, rounds, training
from evaluation.federated.adapter import GlobalAdapter
from evaluation.federated.config import FederatedConfig, Privacy
from evaluation.federated.encoding import Tokens
from evaluation.federated.exchange import Exchange
from evaluation.federated.factors import Arrays, chosen
from evaluation.federated.federation import Federation
from evaluation.federated.local_model import LocalModel, local_model
from evaluation.federated.rounds import Progress
from evaluation.federated.strategies.building import build
from evaluation.method.strategies import STRATEGIES

from .loopback import LoopbackGrid

IDS = torch.tensor([[4, 5, 6, 7]])


def federation(config: FederatedConfig, grid: LoopbackGrid | None = None) -> Federation:
    grid = grid or LoopbackGrid(config.clients)
    clients = partitioning.split(config, data.read(config.train_data)).clients
    return Federation(
        config=config,
        strategy=build(config),
        exchange=Exchange(grid, Event(), 0.0),
        nodes=grid.nodes,
        rows={client: len(part) for client, part in enumerate(clients)},
    )


def start(config: FederatedConfig) -> Progress:
    magnitudes = local_model(config).magnitudes
    return Progress(dict(sorted((GlobalAdapter(config).arrays() | magnitudes).items())))


def ran(config: FederatedConfig, grid: LoopbackGrid | None = None) -> Progress:
    return rounds.run(federation(config, grid), start(config), lambda _progress: None)


def equal(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(numpy.array_equal(one[name], other[name]) for name in one)


def variants() -> list[tuple[str, str, str]]:
    """Every strategy with every adapter it goes with, and with adaptive clipping where it may be."""
    pairs = [(name, adapter, "") for name, info in STRATEGIES.items() for adapter in info.adapters]
    private = [
        (name, "lora", kind)
        for name, info in STRATEGIES.items()
        for kind in ("fixed", "adaptive")
        if not info.no_privacy
    ]
    return sorted(pairs + private, key=lambda variant: variant[1])  # as the model is loaded once an adapter


@pytest.mark.parametrize(("name", "adapter", "clipping"), variants(), ids=lambda value: value or "open")
def test_a_resumed_run_gives_the_same_adapter_bit_for_bit(
    name: str, adapter: str, clipping: str, config: FederatedConfig
) -> None:
    privacy = Privacy(clipping, clipping_norm=0.1, noise_multiplier=0.5) if clipping else None
    config = replace(
        config, strategy=name, adapter=adapter, privacy=privacy, rounds=3, rank=3, alpha=6, dropout=0.1
    )
    halfway: list[Progress] = []
    whole = rounds.run(federation(config, LoopbackGrid(3, seed=1)), start(config), halfway.append)
    resumed = rounds.run(federation(config, LoopbackGrid(3, seed=2)), halfway[0], lambda _progress: None)
    assert equal(whole.adapter, resumed.adapter)
    assert not equal(whole.adapter, halfway[0].adapter)
    assert [record.round for record in resumed.records] == [1, 2, 3]
    assert all(array.dtype == numpy.float32 for array in whole.adapter.values())


def sizes(config: FederatedConfig) -> dict[str, int]:
    """Bytes of A and of B."""
    shapes = GlobalAdapter(config).shapes
    return {
        letter: 4 * sum(int(numpy.prod(shapes[name])) for name in chosen(shapes, letter)) for letter in "AB"
    }


@pytest.mark.parametrize(
    ("name", "down", "up"),
    [
        ("fedavg", ["AB", "AB", "AB"], ["AB", "AB", "AB"]),
        ("flexlora", ["AB", "AB", "AB"], ["AB", "AB", "AB"]),
        ("ffa-lora", ["B", "B", "B"], ["B", "B", "B"]),
        ("rolora", ["AB", "AB", "AB"], ["B", "A", "B"]),
        ("local-only", ["", "", ""], ["", "", ""]),
        ("centralised", ["", "", ""], ["", "", ""]),
    ],
)
def test_bytes_are_those_of_the_tensors_that_travel(
    name: str, down: list[str], up: list[str], config: FederatedConfig
) -> None:
    config = replace(config, strategy=name, rounds=3)
    records, size = ran(config).records, sizes(config)
    for measured, record, letters in (("down", records, down), ("up", records, up)):
        expected = [config.clients_per_round * sum(size[letter] for letter in round) for round in letters]
        assert [getattr(entry, f"bytes_{measured}") for entry in record] == expected


def test_residual_factors_are_counted_as_they_grow(config: FederatedConfig) -> None:
    config = replace(config, strategy="flora", rounds=3, rank=1)
    records, size = ran(config).records, sizes(config)
    one = size["A"] + size["B"]  # a residual term weighs what an adapter of rank 1 does
    assert [record.bytes_down for record in records] == [0, 2 * 2 * one, 2 * 4 * one]
    assert {record.bytes_up for record in records} == {2 * one}
    config = replace(config, strategy="fedex-lora")
    assert [record.bytes_down for record in ran(config).records] == [2 * one, 2 * 2 * one, 2 * 3 * one]


@pytest.mark.parametrize("name", ["fedex-lora", "flora"])
def test_a_residual_is_exported_as_one_adapter_that_answers_alike(
    name: str, config: FederatedConfig, tmp_path: Path
) -> None:
    config = replace(config, strategy=name, learning_rate=0.05, learning_rate_min=0.05, clients_per_round=3)
    last = ran(config)
    local = local_model(config)
    local.put(last.adapter, str(config.seed))
    expected = local.model(input_ids=IDS).logits
    GlobalAdapter(config).save(last.adapter, tmp_path)
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    assert settings["r"] == settings["lora_alpha"] > config.rank
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(config.model), tmp_path)
    torch.testing.assert_close(loaded(input_ids=IDS).logits, expected, rtol=1e-5, atol=1e-6)
    local.put(GlobalAdapter(config).arrays(), str(config.seed))
    assert not torch.allclose(local.model(input_ids=IDS).logits, expected)


def test_proximal_clients_stay_nearer_to_where_they_started(config: FederatedConfig) -> None:
    config = replace(config, rounds=1, local_steps=8, learning_rate=0.01, learning_rate_min=0.01)
    first = start(config).adapter

    def moved(strategy: str, mu: float) -> float:
        options = (("proximal-mu", mu),) if strategy == "fedprox" else ()
        last = ran(replace(config, strategy=strategy, strategy_options=options)).adapter
        return float(numpy.sqrt(sum(((last[name] - first[name]) ** 2).sum() for name in first)))

    free = moved("fedavg", 0)
    assert moved("fedprox", 0) == free
    assert moved("fedprox", 1000) < moved("fedprox", 10) < free
    assert moved("fedprox", 1000) < 0.5 * free


@dataclass
class Descent:
    """Plain gradient descent with a rate for each step."""

    weights: list[torch.nn.Parameter]
    rates: Iterator[float]

    def step(self) -> None:
        rate = next(self.rates)
        with torch.no_grad():
            for weight in self.weights:
                assert weight.grad is not None
                weight.sub_(weight.grad, alpha=rate)

    def zero_grad(self, set_to_none: bool) -> None:
        assert set_to_none
        for weight in self.weights:
            weight.grad = None


def test_the_proximal_term_adds_its_gradient_to_the_loss_s(
    config: FederatedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """w_2 = w_1 - η (∇F(w_1) + μ (w_1 - w_0)), and w_1 is the same with any μ."""
    rate, mu = 0.05, 3.0
    monkeypatch.setattr(training, "MAX_GRADIENT_NORM", 1e9)
    first = start(config).adapter

    def descended(rates: list[float], weight: float) -> Arrays:
        monkeypatch.setattr(torch.optim, "AdamW", lambda weights, **_settings: Descent(weights, iter(rates)))
        return training.train(config, 0, training.Work(1, rate, proximal_mu=weight), first).arrays

    one = descended([rate, 0.0], mu)
    free, held = descended([rate, rate], 0.0), descended([rate, rate], mu)
    for name in first:
        expected = free[name] - rate * mu * (one[name] - first[name])
        numpy.testing.assert_allclose(held[name], expected, rtol=1e-4, atol=1e-7)
    assert any((held[name] != free[name]).any() for name in first)


def test_only_the_asked_half_is_trained_and_sent_back(config: FederatedConfig) -> None:
    arrays = {name: array + 0.1 for name, array in GlobalAdapter(config).arrays().items()}
    for letter, other in (("A", "B"), ("B", "A")):
        result = training.train(config, 0, training.Work(1, 0.01, letter), arrays)
        assert set(result.arrays) == set(chosen(arrays, letter))
        assert all((result.arrays[name] != arrays[name]).any() for name in result.arrays)
        frozen = local_model(config).arrays(other)
        assert all((frozen[name] == arrays[name]).all() for name in frozen)


def test_what_is_not_sent_is_made_from_the_seed(config: FederatedConfig) -> None:
    config = replace(config, strategy="ffa-lora")
    arrays, work = GlobalAdapter(config).arrays(), training.Work(1, 0.01, "B")
    sent = {name: arrays[name] for name in chosen(arrays, "B")}
    assert equal(training.train(config, 0, work, sent).arrays, training.train(config, 0, work, arrays).arrays)
    anew = replace(config, strategy="flora")
    once = training.train(anew, 0, training.Work(1, 0.01), {}).arrays
    assert equal(once, training.train(anew, 0, training.Work(1, 0.01), {}).arrays)
    assert not equal(once, training.train(anew, 0, training.Work(2, 0.01), {}).arrays)


def test_one_client_for_all_has_all_rows_and_takes_all_steps(
    config: FederatedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    loss = training.summed_loss

    def counted(local: LocalModel, batch: Sequence[Tokens]) -> torch.Tensor:
        taken.append(len(batch))
        return loss(local, batch)

    monkeypatch.setattr(training, "summed_loss", counted)
    (record,) = ran(replace(config, strategy="centralised", rounds=1, held_out=2)).records
    assert (record.clients, record.examples, record.messages_down) == ((0,), 8, 1)
    assert taken == [config.batch_size] * config.local_steps * config.clients_per_round


def test_a_local_only_run_exports_what_its_largest_client_would_make_alone(config: FederatedConfig) -> None:
    last = ran(replace(config, strategy="local-only"))
    alone = start(config).adapter
    for number in (1, 2):
        work = training.Work(number, config.learning_rate_in(number))
        alone = training.train(config, 0, work, alone).arrays  # client 0 has 4 rows, the others 3
    assert equal(last.adapter, alone)


def test_the_held_out_loss_is_taken_when_asked_and_without_dropout(config: FederatedConfig) -> None:
    config = replace(config, rounds=3, evaluate_every=2, held_out=3, dropout=0.5)
    last = ran(config)
    losses = [record.held_out_loss for record in last.records]
    assert losses[0] is None and losses[1] is not None
    assert losses[2] == training.held_out_loss(replace(config, dropout=0.0), last.adapter)
    assert sum(record.bytes_down for record in last.records) == 3 * 2 * sum(sizes(config).values())


def test_a_missing_held_out_loss_costs_the_figure_only(
    config: FederatedConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> float:
        raise RuntimeError("no room")

    monkeypatch.setattr(training, "held_out_loss", broken)
    (record,) = ran(replace(config, rounds=1, evaluate_every=1, held_out=2)).records
    assert record.held_out_loss is None
    assert [failure.reason for failure in record.failures] == ["no held-out loss: no room"]


def raises(_reply: Message) -> None:
    raise ValueError("disk full")


@pytest.mark.parametrize(("minimum", "works"), [(1, True), (2, True), (3, False)])
def test_a_round_below_the_minimum_of_clients_fails(
    minimum: int, works: bool, config: FederatedConfig
) -> None:
    config = replace(config, rounds=1, clients_per_round=3, minimum_clients=minimum)
    grid = LoopbackGrid(3, distort={1: raises})
    if works:
        (record,) = ran(config, grid).records
        assert record.clients == (0, 2)
    else:
        with pytest.raises(
            EvaluationError, match=r"only 2 of at least 3 clients .*client 1: it failed: disk"
        ):
            ran(config, grid)


def silent(grid: LoopbackGrid, client: int) -> Callable[..., list[Message]]:
    node, answer = grid.nodes[client], grid.pull_messages
    return lambda ids: [reply for reply in answer(ids) if reply.metadata.src_node_id != node]


def test_a_client_that_never_replies_is_left_out(config: FederatedConfig) -> None:
    grid = LoopbackGrid(3)
    grid.pull_messages = silent(grid, 2)  # type: ignore[method-assign]
    (record,) = ran(replace(config, rounds=1, clients_per_round=3), grid).records
    assert record.clients == (0, 1)
    assert [(failure.client, failure.reason) for failure in record.failures] == [
        (2, "it did not reply in time")
    ]


def test_seconds_are_split_into_training_aggregating_and_the_rest(config: FederatedConfig) -> None:
    for record in ran(config).records:
        parts = record.train_seconds + record.aggregate_seconds + record.communicate_seconds
        assert 0 < record.train_seconds < parts <= record.seconds
        assert parts > 0.5 * record.seconds
        assert record.server_peak_rss_bytes > 50 * 1024**2


def test_the_adapter_file_has_the_run_s_own_rank_without_a_residual(
    config: FederatedConfig, tmp_path: Path
) -> None:
    last = ran(config)
    GlobalAdapter(config).save(last.adapter, tmp_path)
    assert equal(load_file(tmp_path / "adapter_model.safetensors"), last.adapter)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["inference_mode"] is True
