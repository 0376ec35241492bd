"""How the clients of a run differ from each other, and who is missing from a round, as simulated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


REVERSAL = 4.0
"""By how much a poisoned client's change is enlarged."""


@dataclass(frozen=True)
class Devices:
    """What the clients can do; each list is dealt to them in turn, client 0 first, empty where all are alike.

    `ranks` are those of their adapters, `steps` their local steps a round, `speeds` how fast they take them:
    a client of speed 0.5 needs twice the time of one of speed 1. Time is counted in steps of a client of
    speed 1. Whoever needs more than `deadline` is left out of the round; 0: the server waits for all.
    `drop_out` is the probability that a client that was asked does not answer, decided by seed, round and
    client. `poisoned` clients, drawn by the seed, send their change reversed and REVERSAL times as large.
    """

    ranks: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()
    speeds: tuple[float, ...] = ()
    deadline: float = 0.0
    drop_out: float = 0.0
    poisoned: int = 0

    @property
    def are_timed(self) -> bool:
        """Whether a round's simulated time says anything that its steps do not."""
        return bool(self.speeds or self.deadline)

    def rank(self, client: int, otherwise: int) -> int:
        """The rank of a client's adapter."""
        return _dealt(self.ranks, client, otherwise)

    def local_steps(self, client: int, otherwise: int) -> int:
        """How many steps a client takes in a round."""
        return _dealt(self.steps, client, otherwise)

    def time(self, client: int, steps: int) -> float:
        """The simulated time in which a client takes so many steps."""
        return steps / _dealt(self.speeds, client, 1.0)

    def are_poisoned(self, clients: int, seed: int) -> frozenset[int]:
        """The clients of a run that work against it."""
        order = random.Random(f"{seed}/poisoned")  # noqa: S311 - reproducible
        return frozenset(order.sample(range(clients), min(self.poisoned, clients)))

    def why_absent(self, client: int, steps: int, seed: int, server_round: int) -> str:
        """Why a client that was asked gives nothing in a round; "" where it answers."""
        drawn = random.Random(f"{seed}/{server_round}/{client}/drop-out")  # noqa: S311 - reproducible
        if drawn.random() < self.drop_out:
            return "it dropped out, as simulated"
        time = self.time(client, steps)
        if self.deadline and time > self.deadline:
            return (
                f"it would answer after {time:g} steps' time, the deadline is {self.deadline:g}, as simulated"
            )
        return ""


ALIKE = Devices()
"""Clients that do not differ, none of them ever missing."""


def _dealt(values: Sequence[T], client: int, otherwise: T) -> T:
    return values[client % len(values)] if values else otherwise
