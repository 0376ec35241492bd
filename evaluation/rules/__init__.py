"""What one protocol asks of one challenge, as one value: all that a check or a run needs to know of both."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.rules import challenges, protocol
from evaluation.rules.challenges import Challenge
from evaluation.rules.protocol import CURRENT, Precision, Protocol

LARGEST_BASE_PARAMETERS = 24_000_000_000
"""The benchmark states no limit on base models; the largest in its paper has 24 billion parameters."""


@dataclass(frozen=True)
class Rules:
    """A challenge under a protocol. `max_base_parameters` is the operator's to set."""

    protocol: Protocol
    challenge: Challenge
    max_base_parameters: int = LARGEST_BASE_PARAMETERS

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The benchmarks whose plain mean is the score, in the board's order."""
        return self.challenge.benchmarks

    @property
    def precision(self) -> Precision:
        """How the base model is loaded for official scores."""
        return self.protocol.precisions[self.challenge.slug]


def of(challenge: str, number: int = CURRENT.number) -> Rules:
    """The rules of a challenge under a protocol. Raises UnknownNameError where there is none of that name."""
    return Rules(protocol.get(number), challenges.get(challenge))
