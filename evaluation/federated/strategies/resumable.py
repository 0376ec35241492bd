"""Strategies that keep something from round to round, so that a run can stop and go on."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from evaluation.federated.factors import Arrays


@runtime_checkable
class Resumable(Protocol):
    """What such a strategy has beside Flower's methods."""

    def state(self) -> dict[str, Arrays]:
        """All that it keeps, between two rounds."""

    def restore(self, state: dict[str, Arrays]) -> None:
        """Take over a saved state."""


def state_of(strategy: Any) -> dict[str, Arrays]:
    """What a strategy keeps; nothing when it only ever looks at one round."""
    return strategy.state() if isinstance(strategy, Resumable) else {}


def restore(strategy: Any, state: dict[str, Arrays]) -> None:
    """Give a strategy what it kept."""
    if isinstance(strategy, Resumable):
        strategy.restore(state)
