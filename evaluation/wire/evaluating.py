"""What a worker and `python -m evaluation.server` say to each other: jobs in, events out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from evaluation.wire.leakage import LeakageJob, LeakageMeasured
from evaluation.wire.messages import Ending, Failed, Message, Vocabulary
from evaluation.wire.registration import Registration


@dataclass(frozen=True)
class Job(Message):
    """One model to evaluate, its fields as in `evaluation.running.run.Plan`. `registered` are those of its
    benchmarks of which this project knows no digest.

    `job` is the id that the events bear, `output` a folder for the items files.
    """

    event = "job"

    job: str
    model: str
    adapter: str | None
    benchmarks: Annotated[tuple[str, ...], Meta(min_length=1)]
    protocol: int
    engine: str
    precision: str | None
    data: str | None
    limit: int | None
    output: str
    registered: tuple[Registration, ...]
    smoke_run: bool


@dataclass(frozen=True)
class Ready(Message):
    """The process takes jobs."""

    event = "ready"

    pid: int


@dataclass(frozen=True)
class Loading(Message):
    """The base model is about to be loaded; without it, it was there already."""

    event = "loading"

    job: str


@dataclass(frozen=True)
class Noted(Message):
    """A line for the evaluation's log; `job` is None for what is no single job's."""

    event = "note"

    job: str | None
    level: Literal["info", "warning", "error"]
    text: str


@dataclass(frozen=True)
class Progress(Message):
    """`done` of `total` answers to a benchmark are generated, or then judged; of leakage, texts read.

    `rate` is answers a second over the whole job, `eta` the seconds that its rest takes at that rate; None
    before the first answer.
    """

    event = "progress"

    job: str
    benchmark: str
    phase: Literal["generating", "judging", "reading"]
    done: int
    total: int
    rate: float | None
    eta: float | None


@dataclass(frozen=True)
class Scored(Message):
    """A benchmark's score; fields as the portal's Score stores them.

    `tokens_per_second` and the joules are of generating alone, None where unknown; `energy_net_joules` are
    those above idle, `energy_method` names the counters. `correct_bits` and `scored_bits` hold a bit an item,
    packed, base64 on the line. `items` is the file with the answers, in the job's output folder.
    """

    event = "score"

    job: str
    benchmark: str
    value: float | None
    standard_error: float | None
    n: int
    correct: int
    unscored: int
    data: str
    data_digest: str
    available: int
    official: bool
    unofficial_reasons: tuple[str, ...]
    correct_bits: bytes
    scored_bits: bytes
    seconds: float
    tokens: int
    tokens_per_second: float | None
    energy_joules: float | None
    energy_net_joules: float | None
    energy_method: str
    items: str


@dataclass(frozen=True)
class Done(Ending):
    """All benchmarks of the job are scored; `provenance` is stored as it is."""

    event = "done"

    job: str
    provenance: dict[str, Any]


Event = Ready | Loading | Noted | Progress | Scored | LeakageMeasured | Done | Failed

JOBS: Vocabulary[Job | LeakageJob] = Vocabulary(Job, LeakageJob)
EVENTS: Vocabulary[Event] = Vocabulary(Ready, Loading, Noted, Progress, Scored, LeakageMeasured, Done, Failed)
