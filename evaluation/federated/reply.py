"""What a client sends back of what it trained, and what of it would have stayed at home."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from evaluation.federated import at_home, compression
from evaluation.federated.config import FederatedConfig
from evaluation.federated.devices import REVERSAL
from evaluation.federated.exchange import ADAPTER, CONTROL, HOME
from evaluation.federated.factors import Arrays, chosen, cut, rank_in
from evaluation.federated.strategies import scaffold
from evaluation.method.strategies import get


@dataclass(frozen=True)
class Received:
    """The arrays of a training message: the adapter, what the client would have kept, control variates."""

    adapter: Arrays
    home: Arrays
    control: Arrays


def of(
    config: FederatedConfig, client: int, received: Received, trained: Arrays, path: float
) -> dict[str, Arrays]:
    """The records of the reply by their names; `path` is the learning rate times the number of steps."""
    if client in config.devices.are_poisoned(config.clients, config.seed):
        trained = _reversed(trained, received.adapter)
    info = get(config.strategy)
    stays = set(chosen(trained, info.stays)) if info.stays else set()
    shared = {name: array for name, array in trained.items() if name not in stays}
    home = received.home | at_home.grouped(at_home.OWN, {name: trained[name] for name in stays})
    records: dict[str, Arrays] = {}
    if info.control:
        own = at_home.of_group(received.home, at_home.CONTROL)
        after = scaffold.renewed(own, received.control, received.adapter, trained, path)
        records[CONTROL] = {name: array - own.get(name, 0) for name, array in after.items()}
        home |= at_home.grouped(at_home.CONTROL, after)
    if config.compression != "none":
        shared, errors = _compressed(config, received, shared)
        home |= at_home.grouped(at_home.ERROR, errors)
    records[ADAPTER] = shared
    return records | ({HOME: home} if home else {})


def _reversed(trained: Arrays, sent: Arrays) -> Arrays:
    """What a poisoned client says that it trained; of a pair that it began itself, from B = 0, B alone."""
    rank = rank_in(trained)
    before = cut(sent, rank) if rank else sent
    factor = numpy.float32(REVERSAL)
    said = {
        name: before[name] - factor * (array - before[name])
        for name, array in trained.items()
        if name in before
    }
    begun = {name: -factor * trained[name] for name in chosen(trained, "B") if name not in before}
    return trained | begun | said


def _compressed(config: FederatedConfig, received: Received, shared: Arrays) -> tuple[Arrays, Arrays]:
    """The packed update, and with top-k what it lacks, which the client's next update makes up for."""
    rank = rank_in(shared) or config.rank
    before = cut(received.adapter, rank)
    update = {name: array - before[name] for name, array in shared.items()}
    if config.compression != "top-k":
        return compression.packed(update, config.compression, config.top_k), {}
    errors = cut(at_home.of_group(received.home, at_home.ERROR), rank)
    update = {name: array + errors.get(name, numpy.float32(0)) for name, array in update.items()}
    sent = compression.packed(update, config.compression, config.top_k)
    whole = compression.unpacked(sent, "top-k", {name: array.shape for name, array in update.items()})
    return sent, {name: update[name] - whole[name] for name in update}
