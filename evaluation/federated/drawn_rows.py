"""Which rows a run's clients took their steps on: with ten steps a round they are few of what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluation.federated.config import FederatedConfig
from evaluation.federated.encoding import drawn
from evaluation.federated.training import held_by, local_steps, moment_of
from evaluation.leakage.canaries import Canary


@dataclass(frozen=True)
class Drawn:
    """Of one client: the positions of rows that were drawn in some round, and of those that never were, each
    in the order in which it holds them; and the canaries that were drawn."""

    trained_on: tuple[int, ...]
    left: tuple[int, ...]
    canaries: tuple[Canary, ...]


def of_clients(config: FederatedConfig, rounds: Sequence[Iterable[int]]) -> Mapping[int, Drawn]:
    """By client, of those whose replies were used; `rounds` are their numbers, round by round from the first.

    As training draws them, so that nothing needs to be kept of it.
    """
    took_part: dict[int, list[int]] = {}
    for number, clients in enumerate(rounds, start=1):
        for client in clients:
            took_part.setdefault(client, []).append(number)
    return {client: _drawn(config, client, numbers) for client, numbers in sorted(took_part.items())}


def _drawn(config: FederatedConfig, client: int, rounds: Sequence[int]) -> Drawn:
    held = held_by(config, client)
    places = range(len(held.positions) + len(held.canaries))
    differing = rounds if config.draw_anew else rounds[:1]
    seen: set[int] = set()
    for number in differing:
        seen.update(drawn(config, places, local_steps(config, client), moment_of(config, client, number)))
    rows = len(held.positions)
    return Drawn(
        tuple(position for place, position in enumerate(held.positions) if place in seen),
        tuple(position for place, position in enumerate(held.positions) if place not in seen),
        tuple(dict.fromkeys(held.canaries[place - rows] for place in sorted(seen) if place >= rows)),
    )
