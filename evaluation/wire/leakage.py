"""What a worker asks its child about leakage, and what that found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation.wire.messages import Message
from evaluation.wire.registration import Registration

Limits = tuple[float, float]


@dataclass(frozen=True)
class Membership:
    """How well one signal tells training rows from others: the area under the curve, and the share of
    training rows above what 1% of the others are; each with its 95% interval, None where there is none."""

    signal: str
    auc: float
    auc_interval: Limits | None
    true_positives: float
    true_positives_interval: Limits | None


@dataclass(frozen=True)
class ClientLeakage:
    """Of the rows of one client."""

    client: int
    rows: int
    membership: Membership


@dataclass(frozen=True)
class Exposure:
    """Of one inserted canary, in bits: log₂ of those it was ranked among, itself too, less log₂ of its rank.

    By chance alone it reaches 1 in half of the cases; `most` where it is likelier than all others.
    """

    client: int
    bits: float
    most: float


@dataclass(frozen=True)
class LeakageJob(Message):
    """One adapter whose training rows are to be told from others.

    `rows` is the file of the training set. With `run`, a training's settings as JSON, it is known who was
    trained on which row; `rounds` are the clients whose replies were used, round by round. Without it, the
    whole set of `challenge` counts as trained on, and the benchmark items in `data` that are of the same
    sources as not; `template` and `columns` are then how its team wrote a row, None where that is not stated.
    """

    event = "leakage_job"

    job: str
    model: str
    adapter: str
    challenge: str
    protocol: int
    precision: str
    rows: str
    run: dict[str, Any] | None
    rounds: tuple[tuple[int, ...], ...]
    template: str | None
    columns: tuple[str, ...] | None
    data: str | None
    registered: tuple[Registration, ...]


@dataclass(frozen=True)
class LeakageMeasured(Message):
    """Tests by each signal over all rows looked at, then by client; `seconds` are of the whole."""

    event = "leakage"

    job: str
    members: int
    others: int
    memberships: tuple[Membership, ...]
    clients: tuple[ClientLeakage, ...]
    exposures: tuple[Exposure, ...]
    seconds: float
