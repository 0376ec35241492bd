"""Whose ranks change while a run goes on: a strategy that decides on the rank of each client's adapter."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from evaluation.federated.config import FederatedConfig


@runtime_checkable
class Ranked(Protocol):
    """What such a strategy has beside Flower's methods."""

    def rank_of(self, client: int) -> int:
        """The rank of a client's adapter in the next round."""


def rank_of(strategy: Any, config: FederatedConfig, client: int) -> int:
    """The rank of a client's adapter, that of the run's settings unless the strategy has another."""
    return strategy.rank_of(client) if isinstance(strategy, Ranked) else config.rank_of(client)
