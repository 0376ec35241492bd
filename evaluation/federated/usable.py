"""Which replies of a round are usable, and what is wrong with the others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy
from flwr.app import Array, ArrayRecord, Message

from evaluation.federated import compression
from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import (
    ADAPTER,
    CONTROL,
    EXAMPLES,
    HOME,
    METRICS,
    PEAK_RSS,
    PEAK_VRAM,
    RANK,
    STEPS,
    TRAIN_LOSS,
    TRAIN_SECONDS,
    WORKER,
)
from evaluation.federated.factors import Arrays, chosen, cut
from evaluation.federated.strategies.updates import arrays_in
from evaluation.method.strategies import get
from evaluation.wire.training import ClientFailure


@dataclass(frozen=True)
class Asked:
    """What a client was sent and of which rank, and whether it may give back a smaller one."""

    sent: Arrays
    rank: int
    may_prune: bool = False


@dataclass(frozen=True)
class Usable:
    """The usable replies by client in order, what those clients would have kept, and the others' faults."""

    replies: dict[int, Message]
    homes: dict[int, Arrays] = field(default_factory=dict)
    failures: tuple[ClientFailure, ...] = ()


def sorted_out(
    config: FederatedConfig,
    server_round: int,
    adapter: Arrays,
    asked: Mapping[int, Asked],
    replies: Mapping[int, Message],
) -> Usable:
    """Judge the replies of the clients that were asked; compressed ones are unpacked.

    The order is fixed because the sum of a mean depends on it in the last bit, and replies come in any order;
    so is that of the tensors in a reply, by which Flower's strategies match them.
    """
    info = get(config.strategy)
    returned = {name: adapter[name] for name in chosen(adapter, info.returned_in(server_round))}
    found = Usable({})
    failures = []
    for client in sorted(asked):
        reply = replies.get(client)
        fault = "it did not reply in time" if reply is None else next(_faults(reply, info.control), None)
        if reply and fault is None:
            try:
                expected = cut(returned, _rank(reply, asked[client]))
                record = _unpacked(config, asked[client], expected, reply)
            except ValueError as error:
                fault = str(error)
            else:
                fault = next(_unfit(record, expected), None)
                if fault is None and info.control:
                    fault = next(_unfit(reply.content[CONTROL], expected), None)
        if reply is None or fault is not None:
            failures.append(ClientFailure(client, str(fault)))
            continue
        if HOME in reply.content:
            found.homes[client] = arrays_in(reply.content[HOME])
            del reply.content[HOME]  # Flower's strategies expect a single record of arrays
        reply.content[ADAPTER] = ArrayRecord({name: record[name] for name in expected})
        found.replies[client] = reply
    return Usable(found.replies, found.homes, tuple(failures))


def _rank(reply: Message, asked: Asked) -> int:
    rank = int(reply.content[METRICS].get(RANK, asked.rank))
    if not 1 <= rank <= asked.rank or (rank < asked.rank and not asked.may_prune):
        raise ValueError(f"its adapter has rank {rank}, it was asked for rank {asked.rank}")
    return rank


def _unpacked(config: FederatedConfig, asked: Asked, expected: Arrays, reply: Message) -> Mapping[str, Array]:
    """The reply's adapter: of a compressed update, that much further than what was sent."""
    record: Mapping[str, Array] = reply.content[ADAPTER]
    if config.compression == "none":
        return record
    shapes = {name: array.shape for name, array in expected.items()}
    update = compression.unpacked(arrays_in(record), config.compression, shapes)
    return {name: Array(asked.sent[name][tuple(map(slice, shapes[name]))] + update[name]) for name in shapes}


def _faults(reply: Message, control: bool) -> Iterator[str]:
    """What makes a reply unusable before its adapter is looked at, the first thing first."""
    if reply.has_error():
        yield f"it failed: {reply.error.reason}"
        return
    wanted = {ADAPTER, CONTROL} if control else {ADAPTER}
    if set(reply.content.array_records) - {HOME} != wanted or set(reply.content.metric_records) != {METRICS}:
        yield "its reply does not hold one adapter and one set of metrics"
        return
    metrics = reply.content[METRICS]
    for key in (EXAMPLES, TRAIN_LOSS, TRAIN_SECONDS, STEPS, PEAK_RSS, PEAK_VRAM, WORKER):
        if not isinstance(metrics.get(key), int | float) or not math.isfinite(metrics[key]):
            yield f"its {key} is {metrics.get(key)}"
    if metrics.get(EXAMPLES, 0) < 1:
        yield "it trained on no rows"


def _unfit(arrays: Mapping[str, Array], adapter: Arrays) -> Iterator[str]:
    """What is wrong with tensors that should be like those of `adapter`."""
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
