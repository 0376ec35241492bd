"""The federated rounds: sample clients, send the adapter, check what comes back, aggregate, measure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message
from flwr.serverapp.strategy import Strategy

from evaluation.errors import EvaluationError
from evaluation.federated.adapter import Arrays
from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import (
    ADAPTER,
    EXAMPLES,
    LEARNING_RATE,
    METRICS,
    PEAK_RSS,
    PEAK_VRAM,
    TRAIN_LOSS,
    TRAIN_SECONDS,
    Exchange,
    payload_bytes,
)
from evaluation.federated.strategies.cohort import Cohort, sample


@dataclass(frozen=True)
class ClientFailure:
    """A sampled client whose reply was left out of a round, and why."""

    client: int
    reason: str


@dataclass(frozen=True)
class Round:
    """One round as it was measured.

    `clients` are the partitions whose adapters were aggregated, `examples` the sum of their rows (the weights
    of the mean). `train_loss` is weighted alike. Bytes are `payload_bytes` of all messages, those of
    failing clients included. `train_seconds` is the sum over clients, `seconds` the whole round by the clock.
    """

    round: int
    clients: tuple[int, ...]
    failures: tuple[ClientFailure, ...]
    examples: int
    learning_rate: float
    train_loss: float
    bytes_down: int
    bytes_up: int
    messages_down: int
    messages_up: int
    train_seconds: float
    aggregate_seconds: float
    seconds: float
    client_peak_rss_bytes: int
    client_peak_vram_bytes: int | None


@dataclass(frozen=True)
class Federation:
    """Everything that stays the same over the rounds. `nodes` maps a client's partition to its node id."""

    config: FederatedConfig
    strategy: Strategy
    exchange: Exchange
    nodes: Mapping[int, int]


def run(
    federation: Federation, initial: Arrays, on_round: Callable[[Round], None]
) -> tuple[Arrays, list[Round]]:
    """Run all rounds from the adapter `initial`; returns the last adapter and what each round measured.

    `on_round` is called after each round. Raises EvaluationError when no client of a round is left.
    """
    adapter, records = initial, []
    for server_round in range(1, federation.config.rounds + 1):
        adapter, record = _round(federation, server_round, adapter)
        records.append(record)
        on_round(record)
    return adapter, records


def _round(federation: Federation, server_round: int, adapter: Arrays) -> tuple[Arrays, Round]:
    config, start = federation.config, time.perf_counter()
    sent = _messages(federation, server_round, adapter)
    replies = federation.exchange.receive(federation.exchange.send(sent))
    partitions = {node: partition for partition, node in federation.nodes.items()}
    by_client = {partitions[reply.metadata.src_node_id]: reply for reply in replies}
    accepted, failures = _judge(by_client, adapter)
    if not accepted:
        reasons = "; ".join(f"client {failure.client}: {failure.reason}" for failure in failures)
        raise EvaluationError(f"round {server_round}: no client gave a usable adapter ({reasons})")
    aggregating = time.perf_counter()
    averaged, _ = federation.strategy.aggregate_train(server_round, list(accepted.values()))
    aggregated = {name: array.numpy() for name, array in averaged.items()}
    end = time.perf_counter()
    metrics = [reply.content[METRICS] for reply in accepted.values()]
    examples = sum(int(metric[EXAMPLES]) for metric in metrics)
    return aggregated, Round(
        round=server_round,
        clients=tuple(accepted),
        failures=tuple(failures),
        examples=examples,
        learning_rate=config.learning_rate_in(server_round),
        train_loss=sum(metric[TRAIN_LOSS] * int(metric[EXAMPLES]) for metric in metrics) / examples,
        bytes_down=payload_bytes(sent),
        bytes_up=payload_bytes(replies),
        messages_down=len(sent),
        messages_up=len(replies),
        train_seconds=sum(metric[TRAIN_SECONDS] for metric in metrics),
        aggregate_seconds=end - aggregating,
        seconds=end - start,
        client_peak_rss_bytes=max(int(metric[PEAK_RSS]) for metric in metrics),
        client_peak_vram_bytes=max(int(metric[PEAK_VRAM]) for metric in metrics) or None,
    )


def _messages(federation: Federation, server_round: int, adapter: Arrays) -> list[Message]:
    """The round's training messages, one a sampled client."""
    config = federation.config
    cohort = sample(list(federation.nodes), config.clients_per_round, config.seed, server_round)
    record = ArrayRecord({name: Array(array) for name, array in adapter.items()})
    settings = ConfigRecord(config.run_config() | {LEARNING_RATE: config.learning_rate_in(server_round)})
    nodes = Cohort(tuple(federation.nodes[client] for client in cohort))
    return list(federation.strategy.configure_train(server_round, record, settings, nodes))


def _judge(
    by_client: Mapping[int, Message], adapter: Arrays
) -> tuple[dict[int, Message], list[ClientFailure]]:
    """The usable replies, by client in order, and the others with what is wrong.

    The order is fixed because the sum of a mean depends on it in the last bit, and replies come in any order.
    """
    accepted, failures = {}, []
    for client in sorted(by_client):
        reason = next(_faults(by_client[client], adapter), None)
        if reason is None:
            accepted[client] = by_client[client]
        else:
            failures.append(ClientFailure(client, reason))
    return accepted, failures


def _faults(reply: Message, adapter: Arrays) -> Iterator[str]:
    """What makes a reply unusable, the first thing first; nothing when it is sound."""
    if reply.has_error():
        yield f"it failed: {reply.error.reason}"
        return
    if set(reply.content.array_records) != {ADAPTER} or set(reply.content.metric_records) != {METRICS}:
        yield "its reply does not hold one adapter and one set of metrics"
        return
    metrics = reply.content[METRICS]
    for key in (EXAMPLES, TRAIN_LOSS, TRAIN_SECONDS, PEAK_RSS, PEAK_VRAM):
        if not isinstance(metrics.get(key), int | float) or not math.isfinite(metrics[key]):
            yield f"its {key} is {metrics.get(key)}"
    if metrics.get(EXAMPLES, 0) < 1:
        yield "it trained on no rows"
    arrays = reply.content[ADAPTER]
    if set(arrays) != set(adapter):
        yield f"its adapter has other tensors: {_some(set(arrays) ^ set(adapter))}"
        return
    for name, expected in adapter.items():
        array = arrays[name].numpy()
        if array.shape != expected.shape or array.dtype != expected.dtype:
            yield f"{name} is {array.dtype} {array.shape}, expected {expected.dtype} {expected.shape}"
        elif not numpy.isfinite(array).all():
            yield f"{name} holds NaN or infinite values"


def _some(names: Sequence[str] | set[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
