"""The federated rounds: choose clients, send the adapter, check what comes back, aggregate, measure."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp.strategy import Strategy

from evaluation.errors import EvaluationError
from evaluation.federated import peak_memory
from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import (
    ADAPTER,
    CONFIG,
    ENERGY,
    EXAMPLES,
    HELD_OUT_LOSS,
    LEARNING_RATE,
    METRICS,
    PEAK_RSS,
    PEAK_VRAM,
    TRAIN_LOSS,
    TRAIN_SECONDS,
    TRAINS,
    WORKER,
    Exchange,
    failed_by,
    payload_bytes,
)
from evaluation.federated.factors import Arrays, chosen
from evaluation.federated.privacy import epsilon
from evaluation.federated.strategies import resumable
from evaluation.federated.strategies.cohort import Cohort, choose
from evaluation.method.strategies import get
from evaluation.wire.training import ClientFailure, Round


@dataclass(frozen=True)
class Federation:
    """Everything that stays the same over the rounds.

    `nodes` maps a client's partition to its node id, `rows` to its number of rows.
    """

    config: FederatedConfig
    strategy: Strategy
    exchange: Exchange
    nodes: Mapping[int, int]
    rows: Mapping[int, int]


@dataclass(frozen=True)
class Progress:
    """A run between two rounds: all that the next round depends on, and what the last ones measured.

    `adapter` holds the global adapter in fp32, its residual if the strategy has one, by sorted names;
    `strategy` is what the strategy itself keeps, such as momentum.
    """

    adapter: Arrays
    round: int = 0
    strategy: Mapping[str, Arrays] = field(default_factory=dict)
    records: tuple[Round, ...] = ()


def run(federation: Federation, progress: Progress, on_round: Callable[[Progress], None]) -> Progress:
    """Run the rounds that are left, and return the last one's progress.

    `on_round` is called after each round. A run that goes on from a saved progress gives, bit for bit, what
    it would have given without a break. Raises EvaluationError when too few clients of a round are left.
    """
    resumable.restore(federation.strategy, dict(progress.strategy))
    for server_round in range(progress.round + 1, federation.config.rounds + 1):
        adapter, record = _round(federation, server_round, progress.adapter)
        progress = Progress(
            adapter, server_round, resumable.state_of(federation.strategy), (*progress.records, record)
        )
        on_round(progress)
    return progress


def _round(federation: Federation, server_round: int, adapter: Arrays) -> tuple[Arrays, Round]:
    config, start = federation.config, time.perf_counter()
    info = get(config.strategy)
    sent = _messages(federation, server_round, adapter)
    replies = federation.exchange.receive(federation.exchange.send(sent))
    exchanged = time.perf_counter() - start
    bytes_up = payload_bytes(replies)  # before strategies, some of which empty the replies
    accepted, failures = _judge(federation, sent, replies, server_round, adapter)
    metrics = [dict(reply.content[METRICS]) for reply in accepted.values()]
    aggregating = time.perf_counter()
    following = _aggregated(federation.strategy, server_round, list(accepted.values()), adapter)
    end = time.perf_counter()
    held_out_loss, missing = _held_out_loss(federation, server_round, following, min(accepted))
    examples = sum(int(metric[EXAMPLES]) for metric in metrics)
    train_seconds = sum(metric[TRAIN_SECONDS] for metric in metrics)
    vram = max(int(metric[PEAK_VRAM]) for metric in metrics) or None
    return following, Round(
        round=server_round,
        clients=tuple(accepted),
        failures=(*failures, *missing),
        examples=examples,
        learning_rate=config.learning_rate_in(server_round),
        train_loss=sum(metric[TRAIN_LOSS] * int(metric[EXAMPLES]) for metric in metrics) / examples,
        held_out_loss=held_out_loss,
        bytes_down=payload_bytes(sent) if info.communicates else 0,
        bytes_up=bytes_up if info.communicates else 0,
        messages_down=len(sent),
        messages_up=len(replies),
        train_seconds=train_seconds,
        aggregate_seconds=end - aggregating,
        communicate_seconds=max(0.0, exchanged - _busiest(metrics)),
        seconds=end - start,
        client_peak_rss_bytes=max(int(metric[PEAK_RSS]) for metric in metrics),
        client_peak_vram_bytes=vram,
        server_peak_rss_bytes=peak_memory.bytes_so_far(),
        gpu_seconds=train_seconds if vram else None,
        energy_joules=_energy(metrics),
        epsilon=epsilon(config, server_round),
    )


def _messages(federation: Federation, server_round: int, adapter: Arrays) -> list[Message]:
    """The round's training messages, one a chosen client."""
    config, info = federation.config, get(federation.config.strategy)
    clients = choose(config, federation.rows, server_round)
    settings = {LEARNING_RATE: config.learning_rate_in(server_round), TRAINS: info.trained_in(server_round)}
    return list(
        federation.strategy.configure_train(
            server_round,
            _record(adapter, info.sends),
            ConfigRecord(config.run_config() | settings),
            Cohort({client: federation.nodes[client] for client in clients}),
        )
    )


def _record(adapter: Arrays, what: str) -> ArrayRecord:
    return ArrayRecord({name: Array(adapter[name]) for name in chosen(adapter, what)})


def _aggregated(strategy: Strategy, server_round: int, replies: list[Message], adapter: Arrays) -> Arrays:
    """The global adapter after the round: what the strategy makes of the replies, over what it was."""
    record, _ = strategy.aggregate_train(server_round, replies)
    changed = {name: array.numpy().astype(numpy.float32, copy=False) for name, array in record.items()}
    for name, array in changed.items():
        if not numpy.isfinite(array).all():
            raise EvaluationError(f"round {server_round}: the aggregate of {name} is not finite")
    return dict(sorted((adapter | changed).items()))


def _held_out_loss(
    federation: Federation, server_round: int, adapter: Arrays, client: int
) -> tuple[float | None, list[ClientFailure]]:
    """The global adapter's loss on the held-out rows, in the rounds that take it, by a client that answered.

    A client that fails at it costs the figure, not the round.
    """
    config = federation.config
    if not config.evaluates_in(server_round):
        return None, []
    message = Message(
        RecordDict(
            {
                ADAPTER: _record(adapter, get(config.strategy).sends),
                CONFIG: ConfigRecord(config.run_config()),
            }
        ),
        dst_node_id=federation.nodes[client],
        message_type=MessageType.EVALUATE,
    )
    replies = federation.exchange.receive(federation.exchange.send([message]))
    if not replies or replies[0].has_error():
        reason = replies[0].error.reason if replies else "it did not reply"
        return None, [ClientFailure(client, f"no held-out loss: {reason}")]
    loss = float(replies[0].content[METRICS][HELD_OUT_LOSS])
    if not math.isfinite(loss):
        return None, [ClientFailure(client, f"its {HELD_OUT_LOSS} is {loss}")]
    return loss, []


def _energy(metrics: Sequence[Mapping[str, float]]) -> float | None:
    """Joules that the clients' GPUs used while they trained; None unless each could tell."""
    known = [metric[ENERGY] for metric in metrics if ENERGY in metric]
    return sum(known) if len(known) == len(metrics) else None


def _busiest(metrics: Sequence[Mapping[str, float]]) -> float:
    """Seconds of training in the client process that trained the longest."""
    seconds: defaultdict[int, float] = defaultdict(float)
    for metric in metrics:
        seconds[int(metric[WORKER])] += metric[TRAIN_SECONDS]
    return max(seconds.values())


def _judge(
    federation: Federation,
    sent: Sequence[Message],
    replies: Sequence[Message],
    server_round: int,
    adapter: Arrays,
) -> tuple[dict[int, Message], list[ClientFailure]]:
    """The usable replies, by client in order, and the clients without one with what is wrong.

    The order is fixed because the sum of a mean depends on it in the last bit, and replies come in any order;
    so is that of the tensors in a reply, by which Flower's strategies match them.
    Raises EvaluationError when fewer are usable than the run asks for, the outage where one is the reason.
    """
    config, trains = federation.config, get(federation.config.strategy).trained_in(server_round)
    expected = {name: adapter[name] for name in chosen(adapter, trains)}
    partitions = {node: partition for partition, node in federation.nodes.items()}
    by_client = {partitions[reply.metadata.src_node_id]: reply for reply in replies}
    accepted, failures = {}, []
    for client in sorted(partitions[message.metadata.dst_node_id] for message in sent):
        reply = by_client.get(client)
        reason = next(_faults(reply, expected), None) if reply else "it did not reply in time"
        if reply and reason is None:
            arrays = reply.content[ADAPTER]
            reply.content[ADAPTER] = ArrayRecord({name: arrays[name] for name in expected})
            accepted[client] = reply
        else:
            failures.append(ClientFailure(client, str(reason)))
    if len(accepted) < min(config.fewest_replies, len(sent)):
        reasons = "; ".join(f"client {failure.client}: {failure.reason}" for failure in failures)
        gave = (
            f"only {len(accepted)} of at least {config.fewest_replies} clients" if accepted else "no client"
        )
        raise failed_by(replies)(f"round {server_round}: {gave} gave a usable adapter ({reasons})")
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
    for key in (EXAMPLES, TRAIN_LOSS, TRAIN_SECONDS, PEAK_RSS, PEAK_VRAM, WORKER):
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
