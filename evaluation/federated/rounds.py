"""The federated rounds: choose clients, send the adapter, check what comes back, aggregate, measure."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import numpy
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from evaluation.energy import Energy, total
from evaluation.errors import EvaluationError
from evaluation.federated import at_home, held_out, peak_memory
from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import (
    ADAPTER,
    CONFIG,
    ENERGY,
    EXAMPLES,
    HOME,
    LEARNING_RATE,
    METRICS,
    PEAK_RSS,
    PEAK_VRAM,
    RANK,
    TRAIN_LOSS,
    TRAIN_SECONDS,
    TRAINS,
    WORKER,
    failed_by,
    payload_bytes,
)
from evaluation.federated.factors import Arrays, chosen, cut
from evaluation.federated.federation import Federation
from evaluation.federated.privacy import epsilon
from evaluation.federated.strategies import resumable
from evaluation.federated.strategies.cohort import Cohort, choose
from evaluation.federated.strategies.ranked import Ranked, rank_of
from evaluation.federated.strategies.updates import arrays_in
from evaluation.federated.usable import Asked, Usable, sorted_out
from evaluation.method.strategies import get
from evaluation.wire.training import ClientFailure, Round


@dataclass(frozen=True)
class Progress:
    """A run between two rounds: all that the next round depends on, and what the last ones measured.

    `adapter` holds the global adapter in fp32, its residual if the strategy has one, by sorted names;
    `strategy` is what the strategy itself keeps, such as momentum, `homes` what each client would keep.
    """

    adapter: Arrays
    round: int = 0
    strategy: Mapping[str, Arrays] = field(default_factory=dict)
    homes: Mapping[int, Arrays] = field(default_factory=dict)
    records: tuple[Round, ...] = ()


def run(federation: Federation, progress: Progress, on_round: Callable[[Progress], None]) -> Progress:
    """Run the rounds that are left, and return the last one's progress.

    `on_round` is called after each round. A run that goes on from a saved progress gives, bit for bit, what
    it would have given without a break. Raises EvaluationError when too few clients of a round are left.
    """
    resumable.restore(federation.strategy, dict(progress.strategy))
    for _ in range(progress.round, federation.config.rounds):
        progress = _round(federation, progress)
        on_round(progress)
    return progress


def _round(federation: Federation, before: Progress) -> Progress:
    config, start, server_round = federation.config, time.perf_counter(), before.round + 1
    info = get(config.strategy)
    clients = choose(config, federation.rows, server_round)
    absent = _absent(config, clients, server_round)
    sent = _messages(federation, before, clients)
    there = [message for client, message in sent.items() if client not in absent]
    replies = federation.exchange.receive(federation.exchange.send(there))
    exchanged = time.perf_counter() - start
    bytes_up = payload_bytes(replies)  # before strategies, some of which empty the replies
    usable = _usable(federation, before, sent, replies, absent)
    metrics = [dict(reply.content[METRICS]) for reply in usable.replies.values()]
    energy = total([_energy(reply) for reply in usable.replies.values()])
    aggregating = time.perf_counter()
    following, homes = _aggregated(federation, before, usable)
    end = time.perf_counter()
    losses = held_out.losses(federation, server_round, following, homes, [*usable.replies, *clients])
    examples = sum(int(metric[EXAMPLES]) for metric in metrics)
    train_seconds = sum(metric[TRAIN_SECONDS] for metric in metrics)
    vram = max((int(metric[PEAK_VRAM]) for metric in metrics), default=0) or None
    weighted = sum(metric[TRAIN_LOSS] * int(metric[EXAMPLES]) for metric in metrics)
    record = Round(
        round=server_round,
        clients=tuple(usable.replies),
        failures=(*usable.failures, *losses.failures),
        examples=examples,
        learning_rate=config.learning_rate_in(server_round),
        train_loss=weighted / examples if examples else None,
        held_out_loss=losses.shared,
        client_losses=losses.own,
        bytes_down=payload_bytes(sent.values()) if info.communicates else 0,
        bytes_up=bytes_up if info.communicates else 0,
        messages_down=len(sent),
        messages_up=len(replies),
        train_seconds=train_seconds,
        aggregate_seconds=end - aggregating,
        communicate_seconds=max(0.0, exchanged - _busiest(metrics)),
        seconds=end - start,
        simulated_time=_simulated_time(config, clients, absent),
        client_peak_rss_bytes=max((int(metric[PEAK_RSS]) for metric in metrics), default=0),
        client_peak_vram_bytes=vram,
        server_peak_rss_bytes=peak_memory.bytes_so_far(),
        gpu_seconds=train_seconds if vram else None,
        energy_joules=energy.joules,
        energy_net_joules=energy.net_joules,
        energy_method=energy.method,
        epsilon=epsilon(config, server_round),
    )
    kept = resumable.state_of(federation.strategy)
    return Progress(following, server_round, kept, homes, (*before.records, record))


def _absent(config: FederatedConfig, clients: Sequence[int], server_round: int) -> dict[int, str]:
    """The clients that will not answer in this round, as simulated, and why."""
    reasons = {
        client: config.devices.why_absent(client, config.steps_of(client), config.seed, server_round)
        for client in clients
    }
    return {client: reason for client, reason in reasons.items() if reason}


def _simulated_time(
    config: FederatedConfig, clients: Sequence[int], absent: Mapping[int, str]
) -> float | None:
    """How long the round takes in steps' time: to the last answer, to the deadline where one is lacking."""
    devices = config.devices
    if not devices.are_timed:
        return None
    answered = [devices.time(client, config.steps_of(client)) for client in clients if client not in absent]
    return devices.deadline if absent and devices.deadline else max(answered, default=0.0)


def _messages(federation: Federation, before: Progress, clients: Sequence[int]) -> dict[int, Message]:
    """The round's training messages by client: the adapter cut to its rank, and what it would have kept."""
    config, info, server_round = federation.config, get(federation.config.strategy), before.round + 1
    settings = {LEARNING_RATE: config.learning_rate_in(server_round), TRAINS: info.trained_in(server_round)}
    configured = federation.strategy.configure_train(
        server_round,
        _record({name: before.adapter[name] for name in chosen(before.adapter, info.sends)}),
        ConfigRecord(config.run_config() | settings),
        Cohort({client: federation.nodes[client] for client in clients}),
    )
    partitions = {node: client for client, node in federation.nodes.items()}
    messages = {}
    for message in configured:
        client = partitions[message.metadata.dst_node_id]
        messages[client] = _for_client(federation, before, client, message)
    return messages


def _for_client(federation: Federation, before: Progress, client: int, message: Message) -> Message:
    """A message of its own, as Flower's strategies give the same content to all."""
    rank = rank_of(federation.strategy, federation.config, client)
    content = RecordDict(dict(message.content))
    content[CONFIG] = ConfigRecord(dict(message.content[CONFIG]) | {RANK: rank})
    if rank != federation.config.rank:
        content[ADAPTER] = _record(cut(arrays_in(message.content[ADAPTER]), rank))
    if client in before.homes:
        content[HOME] = _record(before.homes[client])
    return Message(
        content, dst_node_id=message.metadata.dst_node_id, message_type=message.metadata.message_type
    )


def _record(arrays: Arrays) -> ArrayRecord:
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def _usable(
    federation: Federation,
    before: Progress,
    sent: Mapping[int, Message],
    replies: Sequence[Message],
    absent: Mapping[int, str],
) -> Usable:
    """The replies that count, and the failures of all others.

    A round that lacks clients because they are simulated to be absent changes nothing and is gone on from.
    Raises EvaluationError when fewer are usable than the run asks for, the outage where one is the reason.
    """
    config, server_round = federation.config, before.round + 1
    partitions = {node: client for client, node in federation.nodes.items()}
    by_client = {partitions[reply.metadata.src_node_id]: reply for reply in replies}
    may_prune = isinstance(federation.strategy, Ranked)
    asked = {
        client: Asked(arrays_in(message.content[ADAPTER]), int(message.content[CONFIG][RANK]), may_prune)
        for client, message in sent.items()
        if client not in absent
    }
    usable = sorted_out(config, server_round, before.adapter, asked, by_client)
    left_out = (*usable.failures, *(ClientFailure(client, reason) for client, reason in absent.items()))
    failures = tuple(sorted(left_out, key=lambda failure: failure.client))
    count, needed = len(usable.replies), min(config.fewest_replies, len(sent))
    if count >= needed:
        return Usable(usable.replies, usable.homes, failures)
    if count + len(absent) >= needed:
        return Usable({}, {}, failures)
    reasons = "; ".join(f"client {failure.client}: {failure.reason}" for failure in failures)
    gave = f"only {count} of at least {config.fewest_replies} clients" if count else "no client"
    raise failed_by(replies)(f"round {server_round}: {gave} gave a usable adapter ({reasons})")


def _aggregated(
    federation: Federation, before: Progress, usable: Usable
) -> tuple[Arrays, Mapping[int, Arrays]]:
    """The global adapter after the round: what the strategy makes of the replies, over what it was.

    With it comes what the clients keep. Tensors that stay with the clients are those of the largest one.
    """
    if not usable.replies:
        return before.adapter, before.homes
    server_round, homes = before.round + 1, dict(sorted({**before.homes, **usable.homes}.items()))
    record, _ = federation.strategy.aggregate_train(server_round, list(usable.replies.values()))
    changed = {name: array.numpy().astype(numpy.float32, copy=False) for name, array in record.items()}
    if get(federation.config.strategy).stays:
        largest = min(homes, key=lambda client: (-federation.rows[client], client))
        changed |= at_home.of_group(homes[largest], at_home.OWN)
    for name, array in changed.items():
        if not numpy.isfinite(array).all():
            raise EvaluationError(f"round {server_round}: the aggregate of {name} is not finite")
    return dict(sorted((before.adapter | changed).items())), homes


def _energy(reply: Message) -> Energy:
    """What the client says that its training took; of one that says no such thing nothing is known."""
    told = reply.content.config_records.get(CONFIG, ConfigRecord()).get(ENERGY)
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(str(told), type=Energy)
    return Energy()


def _busiest(metrics: Sequence[Mapping[str, float]]) -> float:
    """Seconds of training in the client process that trained the longest."""
    seconds: defaultdict[int, float] = defaultdict(float)
    for metric in metrics:
        seconds[int(metric[WORKER])] += metric[TRAIN_SECONDS]
    return max(seconds.values(), default=0.0)
