"""What stays the same over the rounds of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flwr.serverapp.strategy import Strategy

from evaluation.federated.config import FederatedConfig
from evaluation.federated.exchange import Exchange


@dataclass(frozen=True)
class Federation:
    """The run, its strategy, and its clients.

    `nodes` maps a client's partition to its node id, `rows` to its number of rows.
    """

    config: FederatedConfig
    strategy: Strategy
    exchange: Exchange
    nodes: Mapping[int, int]
    rows: Mapping[int, int]
