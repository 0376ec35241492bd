"""What a run tells while it goes on, and how people read it; programs read the messages themselves."""

from __future__ import annotations

from collections.abc import Callable

from evaluation.method.communication import size_text
from evaluation.wire.messages import Failed
from evaluation.wire.training import Done, Event, Ready, RoundEnded

_MB = 1024**2

Report = Callable[[Event], None]


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
            return _round_text(event)
        case Done():
            return f"wrote {event.output} after {event.wall_seconds:.1f} s"
        case Failed():
            return f"error: {event.message}"


def _round_text(measured: RoundEnded) -> str:
    """A round in one line. MB are 1024² bytes, as in the FlowerTune rules."""
    held_out = "" if measured.held_out_loss is None else f", held-out loss {measured.held_out_loss:.4f}"
    if measured.client_losses:
        worst = max(measured.client_losses, key=lambda one: one.loss)
        held_out += f", worst of the clients' own {worst.loss:.4f} (client {worst.client})"
    clients = ", ".join(map(str, measured.clients)) or "none"
    train_loss = "" if measured.train_loss is None else f", train loss {measured.train_loss:.4f}"
    text = (
        f"round {measured.round}/{measured.rounds}: clients {clients}{train_loss}{held_out}, "
        f"{measured.bytes_down / _MB:.1f} MB down, {measured.bytes_up / _MB:.1f} MB up, "
        f"{measured.seconds:.1f} s"
    )
    for failure in measured.failures:
        text += f"; left out client {failure.client}: {failure.reason}"
    return text
