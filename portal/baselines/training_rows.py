"""Where the rows that baselines train on lie: in the folder TRAINING_DATA, on the hub, or built in.

A run keeps their name, not this machine's path: web server and workers may see the folder at other places.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from evaluation.federated import data
from evaluation.rules import challenges
from evaluation.rules.challenges import CHALLENGES, TrainingSet
from portal.runs.models import DataRegistration

_DEMONSTRATION = "demonstration"


@dataclass(frozen=True)
class TrainingRows:
    """`rows` is None where this process does not know: a worker may see the file, or fetch it."""

    name: str
    rows: int | None

    @property
    def demonstration(self) -> bool:
        return Path(self.name).parent.name == _DEMONSTRATION

    @property
    def on_hub(self) -> bool:
        return training_set_of(self.name) is not None


def rows_of(challenge: str) -> TrainingRows:
    """The rows that a run of `challenge` started now would train on."""
    if settings.TRAINING_DATA == data.HUB:
        name = challenges.get(challenge).training_set.hub_id
        known = DataRegistration.objects.filter(name=name).first()
        return TrainingRows(name, known.rows if known else None)
    name = f"{challenge.replace('-', '_')}.jsonl"
    if not settings.TRAINING_DATA:
        name = f"{_DEMONSTRATION}/{name}"
    path = path_of(name)
    return TrainingRows(name, _count(path) if path.is_file() else None)


def training_set_of(name: str) -> TrainingSet | None:
    """The training set of the hub that a run keeps by that name, None for rows of files."""
    sets = (challenge.training_set for challenge in CHALLENGES.values())
    return next((found for found in sets if found.hub_id == name), None)


def path_of(name: str) -> Path:
    """Where the rows of files of that name are on this machine."""
    if Path(name).parent.name == _DEMONSTRATION:
        return data.DEMONSTRATION / Path(name).name
    return Path(settings.TRAINING_DATA) / Path(name).name


def _count(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
