"""What a run tells while it goes on, for people as lines and for programs as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from evaluation.errors import EvaluationError
from evaluation.federated.partitioning import Shares
from evaluation.method.communication import size_text

if TYPE_CHECKING:
    from evaluation.federated.rounds import Round

_MB = 1024**2


@dataclass(frozen=True)
class Ready:
    """The clients are there, the model is loaded, the rows are shared; `resumed` rounds are behind.

    `planned_bytes` is what all rounds will send, both directions, or at least that where a strategy's
    messages grow; None where it cannot be told.
    """

    strategy: str
    startup_seconds: float
    clients: int
    rows: int
    data: str
    trainable_parameters: int
    hardware: str
    planned_bytes: int | None
    shares: Shares
    resumed: int = 0


@dataclass(frozen=True)
class RoundEnded:
    """A round of `rounds` is over; after resuming, also each that an earlier process had finished."""

    record: Round
    rounds: int


@dataclass(frozen=True)
class Done:
    """The result lies in `output`."""

    output: str
    wall_seconds: float


@dataclass(frozen=True)
class Failed:
    """The run ended without a result; `code` and `retryable` are those of the error."""

    code: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: EvaluationError) -> Failed:
        return cls(error.code, str(error), error.retryable)


Event = Ready | RoundEnded | Done | Failed
Report = Callable[[Event], None]


def as_json(event: Event) -> str:
    """One line of JSON, `event` naming the kind: ready, round, done or error."""
    return json.dumps(_values(event), allow_nan=False)


def as_text(event: Event) -> str:
    """One line for people."""
    match event:
        case Ready():
            again = f", going on after round {event.resumed}" if event.resumed else ""
            planned = f", {size_text(event.planned_bytes)} to send" if event.planned_bytes else ""
            return (
                f"ready after {event.startup_seconds:.1f} s: {event.strategy}, {event.clients} clients, "
                f"{event.rows} rows of {event.data}, {event.trainable_parameters:,} trainable parameters"
                f"{planned}, on {event.hardware}{again}"
            )
        case RoundEnded():
            return _round_text(event.record, event.rounds)
        case Done():
            return f"wrote {event.output} after {event.wall_seconds:.1f} s"
        case Failed():
            return f"error: {event.message}"


def _round_text(measured: Round, rounds: int) -> str:
    """A round in one line. MB are 1024² bytes, as in the FlowerTune rules."""
    held_out = "" if measured.held_out_loss is None else f", held-out loss {measured.held_out_loss:.4f}"
    text = (
        f"round {measured.round}/{rounds}: clients {', '.join(map(str, measured.clients))}, "
        f"train loss {measured.train_loss:.4f}{held_out}, {measured.bytes_down / _MB:.1f} MB down, "
        f"{measured.bytes_up / _MB:.1f} MB up, {measured.seconds:.1f} s"
    )
    for failure in measured.failures:
        text += f"; left out client {failure.client}: {failure.reason}"
    return text


def _values(event: Event) -> dict[str, Any]:
    match event:
        case Ready():
            values = asdict(event)
            return {"event": "ready"} | values | {"partition": list(event.shares.rows)}
        case RoundEnded():
            return {"event": "round"} | asdict(event.record)
        case Done():
            return {"event": "done"} | asdict(event)
        case Failed():
            return {"event": "error"} | asdict(event)
