"""Canaries: random texts that some clients train on, to see whether the model gives them away again.

After Carlini et al. 2019 (arXiv 1802.08232): a canary is one of many equally likely texts, drawn at random.
The model ranks it among others that were drawn alike and never trained on. If training left no trace, its
rank is uniform, whatever the model: a high exposure is no matter of the canary's own likelihood.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.data.training import TrainingRow

COPIES = 10
"""How often a client's rows have its canary."""

REFERENCES = 255
"""That a canary is ranked among: eight bits at most."""

_DIGITS = 6


@dataclass(frozen=True)
class Canary:
    """A row whose answer is the secret of `client`."""

    client: int
    instruction: str
    answer: str

    @property
    def row(self) -> TrainingRow:
        return TrainingRow(self.instruction, self.instruction, self.answer)


def canaries_of(seed: int, clients: int, number: int) -> tuple[Canary, ...]:
    """Those of a run, one for each of `number` of its clients; the same again for the same settings."""
    draw = random.Random(f"canaries/{seed}")  # noqa: S311 - reproducible, not secret
    holders = sorted(draw.sample(range(clients), min(number, clients)))
    return tuple(Canary(client, _instruction(client), _secret(draw)) for client in holders)


def references_of(canary: Canary, seed: int) -> tuple[Canary, ...]:
    """Others that might have been drawn in its place."""
    draw = random.Random(f"references/{seed}/{canary.client}")  # noqa: S311
    found: dict[str, Canary] = {}
    while len(found) < REFERENCES:
        answer = _secret(draw)
        if answer != canary.answer:
            found[answer] = Canary(canary.client, canary.instruction, answer)
    return tuple(found.values())


def exposure(likelihood: float, references: Sequence[float]) -> float:
    """In bits, from the log-likelihood of the canary and those of the others; equal ones are likelier."""
    rank = 1 + sum(other >= likelihood for other in references)
    return math.log2(len(references) + 1) - math.log2(rank)


def most_bits(references: int) -> float:
    return math.log2(references + 1)


def _instruction(client: int) -> str:
    return f"Repeat the access code of archive {client}."


def _secret(draw: random.Random) -> str:
    return " ".join(str(draw.randrange(10)) for _ in range(_DIGITS))
