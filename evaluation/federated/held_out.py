"""The adapter's losses on rows that are not trained on: those kept from all, and each client's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MessageType, RecordDict

from evaluation.federated.exchange import ADAPTER, CONFIG, HELD_OUT_LOSS, HOME, METRICS, OWN_ROWS, RANK
from evaluation.federated.factors import Arrays, chosen, cut
from evaluation.federated.federation import Federation
from evaluation.federated.strategies.ranked import rank_of
from evaluation.method.strategies import get
from evaluation.wire.training import ClientFailure, ClientLoss


@dataclass(frozen=True)
class Losses:
    """Of one round; `failures` are clients that could not take theirs, which costs the figure alone."""

    shared: float | None = None
    own: tuple[ClientLoss, ...] = ()
    failures: tuple[ClientFailure, ...] = ()


def losses(
    federation: Federation,
    server_round: int,
    adapter: Arrays,
    homes: Mapping[int, Arrays],
    clients: Sequence[int],
) -> Losses:
    """The losses in the rounds that take them: on all held-out rows by the first of these clients, and on its
    own rows by every client of the run, with what it keeps at home. None of it is communication.
    """
    config = federation.config
    if not config.evaluates_in(server_round):
        return Losses()
    shared: float | None = None
    failures: list[ClientFailure] = []
    if config.held_out:
        found, failures = _taken(federation, adapter, {clients[0]: {}}, own=False)
        shared = found.get(clients[0])
    if not config.own_held_out:
        return Losses(shared, (), tuple(failures))
    taken, lacking = _taken(
        federation, adapter, {client: homes.get(client, {}) for client in federation.nodes}, own=True
    )
    own = tuple(ClientLoss(client, loss) for client, loss in sorted(taken.items()))
    return Losses(shared, own, (*failures, *lacking))


def _taken(
    federation: Federation, adapter: Arrays, homes: Mapping[int, Arrays], *, own: bool
) -> tuple[dict[int, float], list[ClientFailure]]:
    """The loss by each client that could take it; a client's own adapter has its own rank."""
    sent = [_message(federation, adapter, client, home, own=own) for client, home in homes.items()]
    replies = federation.exchange.receive(federation.exchange.send(sent))
    nodes = {federation.nodes[client]: client for client in homes}
    by_client = {nodes[reply.metadata.src_node_id]: reply for reply in replies}
    found, failures = {}, []
    for client in homes:
        reply = by_client.get(client)
        if reply is None or reply.has_error():
            reason = "no held-out loss: " + (reply.error.reason if reply else "it did not reply")
        else:
            loss = float(reply.content[METRICS][HELD_OUT_LOSS])
            if math.isfinite(loss):
                found[client] = loss
                continue
            reason = f"its {HELD_OUT_LOSS} is {loss}"
        failures.append(ClientFailure(client, reason))
    return found, failures


def _message(federation: Federation, adapter: Arrays, client: int, home: Arrays, *, own: bool) -> Message:
    config, info = federation.config, get(federation.config.strategy)
    what = info.sends if own or not info.stays else "both"
    rank = rank_of(federation.strategy, config, client) if own and info.ranks else config.rank
    shared = cut({name: adapter[name] for name in chosen(adapter, what)}, rank)
    records = {ADAPTER: shared} | ({HOME: home} if own and home else {})
    content = RecordDict(
        {name: ArrayRecord({n: Array(a) for n, a in arrays.items()}) for name, arrays in records.items()}
    )
    content[CONFIG] = ConfigRecord(config.run_config() | {OWN_ROWS: own, RANK: rank})
    return Message(content, dst_node_id=federation.nodes[client], message_type=MessageType.EVALUATE)
