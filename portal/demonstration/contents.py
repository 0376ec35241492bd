"""What a demonstration consists of: a base model, and of each challenge an untuned entry and a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from evaluation.federated import presets
from evaluation.rules.challenges import CHALLENGES, Challenge

UNTUNED = "Untuned base model"
FEDAVG = "FedAvg baseline"
BOARD = Path(__file__).parent / "public_board.csv"
"""The public board's rows, which stand beside what is computed here: declared, with their source."""

# The federated baseline: small enough for two CPU cores, with what teaches a small model something in few
# steps, which the public apps do not do (docs/baselines.md).
TRAINING: Mapping[str, Any] = {
    **presets.SMALL_RUN,
    "dropout": 0.0,
    "strategy": "fedavg",
    "clients": 4,
    "clients_per_round": 2,
    "rounds": 3,
    "local_steps": 4,
    "batch_size": 4,
    "sequence_length": 192,
    "schedule": "constant",
    "learning_rate": 1e-3,
    "learning_rate_min": 1e-3,
    "rank": 16,
    "alpha": 32,
    "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
    "precision": "fp32",
    "held_out": 0,
    "evaluate_every": 0,
}


class Kind(StrEnum):
    """What is done in a part."""

    BUILDING = "building"
    TRAINING = "training"
    EVALUATING = "evaluating"


@dataclass(frozen=True)
class Part:
    """What is done, and for which entry; the base model is built for all of them.

    `seconds` is what it took on two cores that did nothing else beside the demonstration.
    """

    kind: Kind
    seconds: float
    challenge: Challenge | None = None
    method: str = ""


# Of a challenge: evaluating the untuned model, training the baseline, evaluating it.
_SECONDS = {
    "general-nlp": (25.0, 35.0, 20.0),
    "finance": (30.0, 35.0, 20.0),
    "medical": (45.0, 45.0, 45.0),
    "code": (35.0, 35.0, 20.0),
}
_BUILDING_SECONDS = 25.0


def parts(challenges: Sequence[str]) -> list[Part]:
    """All of a demonstration of these challenges, in the order in which they are begun."""
    chosen = [CHALLENGES[slug] for slug in challenges]
    evaluated = [Part(Kind.EVALUATING, _SECONDS[c.slug][0], c, UNTUNED) for c in chosen]
    trained = [Part(Kind.TRAINING, _SECONDS[c.slug][1], c, FEDAVG) for c in chosen]
    compared = [Part(Kind.EVALUATING, _SECONDS[c.slug][2], c, FEDAVG) for c in chosen]
    return [Part(Kind.BUILDING, _BUILDING_SECONDS), *evaluated, *trained, *compared]
