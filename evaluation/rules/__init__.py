"""What one protocol asks of one challenge, as one value: all that a check or a run needs to know of both."""

from __future__ import annotations

from dataclasses import dataclass

from evaluation.rules import challenges, protocol
from evaluation.rules.base_size import LARGEST_BASE_PARAMETERS
from evaluation.rules.challenges import Challenge
from evaluation.rules.protocol import CURRENT, Precision, Protocol


@dataclass(frozen=True)
class Rules:
    """A challenge under a protocol. `max_base_parameters` is the operator's to set."""

    protocol: Protocol
    challenge: Challenge
    max_base_parameters: int = LARGEST_BASE_PARAMETERS

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """The benchmarks whose plain mean is the score, in the board's order."""
        return self.protocol.benchmarks[self.challenge.slug]

    @property
    def precision(self) -> Precision:
        """How the base model is loaded for official scores."""
        return self.protocol.precisions[self.challenge.slug]

    @property
    def training_sets(self) -> tuple[str, ...]:
        """The hub ids of the data set that a run trains on, preferred first."""
        return self.challenge.training_sets

    @property
    def former_training_sets(self) -> tuple[str, ...]:
        """Names that the same data had before, or has upstream: taken, with a note."""
        return self.challenge.former_training_sets

    @property
    def clients(self) -> int:
        """The number of SuperNodes that a run has."""
        return self.challenge.clients

    @property
    def communication_budget_bytes(self) -> int:
        """What a whole run may send, both directions together, adapter tensors only."""
        return self.challenge.communication_budget_bytes


def of(
    challenge: str, number: int = CURRENT.number, *, max_base_parameters: int = LARGEST_BASE_PARAMETERS
) -> Rules:
    """The rules of a challenge under a protocol. Raises UnknownNameError where there is none of that name."""
    return Rules(protocol.get(number), challenges.get(challenge), max_base_parameters)
