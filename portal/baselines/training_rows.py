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
_DOMAINS = "all-domains"
"""The rows of all challenges, each with its challenge as the column DOMAIN."""
DOMAINS_OF_HUB = f"{data.HUB}/{_DOMAINS}"


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
        return self.name == DOMAINS_OF_HUB or training_set_of(self.name) is not None


def rows_of(challenge: str, column: str | None = None) -> TrainingRows:
    """The rows that a run of `challenge` started now would train on.

    Where `column`, that of its partition, is DOMAIN, they are those of all challenges.
    """
    if column == data.DOMAIN:
        return _of_all_domains()
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
    """Where the rows of files of that name are on this machine: a folder of them for all domains."""
    is_demonstration = Path(name).parent.name == _DEMONSTRATION
    folder = data.DEMONSTRATION if is_demonstration else Path(settings.TRAINING_DATA)
    return folder if Path(name).name == _DOMAINS else folder / Path(name).name


def _of_all_domains() -> TrainingRows:
    parts = [rows_of(slug) for slug in CHALLENGES]
    if settings.TRAINING_DATA == data.HUB:
        name = DOMAINS_OF_HUB
    else:
        name = _DOMAINS if settings.TRAINING_DATA else f"{_DEMONSTRATION}/{_DOMAINS}"
        parts = [part for part in parts if part.rows is not None]  # those that the folder has
    counts = [part.rows for part in parts]
    known = [count for count in counts if count is not None]
    return TrainingRows(name, sum(known) if known and len(known) == len(counts) else None)


def _count(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
