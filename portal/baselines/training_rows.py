"""Where the rows that baselines train on lie: in TRAINING_DATA, else the built-in demonstration rows.

A run keeps their name, not this machine's path: web server and workers may see the folder at other places.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from evaluation.federated import data

_DEMONSTRATION = "demonstration"


@dataclass(frozen=True)
class TrainingRows:
    """`rows` is None where this process does not see the file: a worker may."""

    name: str
    rows: int | None

    @property
    def demonstration(self) -> bool:
        return Path(self.name).parent.name == _DEMONSTRATION


def rows_of(challenge: str) -> TrainingRows:
    """The rows that a run of `challenge` started now would train on."""
    name = f"{challenge.replace('-', '_')}.jsonl"
    if not settings.TRAINING_DATA:
        name = f"{_DEMONSTRATION}/{name}"
    path = path_of(name)
    return TrainingRows(name, _count(path) if path.is_file() else None)


def path_of(name: str) -> Path:
    """Where the rows of that name are on this machine."""
    if Path(name).parent.name == _DEMONSTRATION:
        return data.DEMONSTRATION / Path(name).name
    return Path(settings.TRAINING_DATA) / Path(name).name


def _count(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
