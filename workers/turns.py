"""Evaluating and training on the same GPUs: side by side where their memory holds both, else by turns."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from evaluation import gpus
from evaluation.gpu_turns import Turn
from workers.leases import Lease
from workers.supervisor import shutting_down

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
# What nobody here holds may stay taken for ever: after so long the work tries with what there is.
FOREIGN_SECONDS = 120.0
# Starting anew costs up to a minute, so that a turn of a training is not given away sooner.
LEAST_SECONDS = 300.0

# Only then has who got a turn filled what it needs, and what is left is there for another.
SETTLED_SECONDS = 120.0

_GIB = 1024**3
# Bytes of a weight, those of 4 bits with what is not quantised in a model.
_WEIGHT_BYTES = {"nf4": 0.7, "fp4": 0.7, "bf16": 2.0, "fp16": 2.0, "fp32": 4.0}


@dataclass(frozen=True)
class Gpus:
    """GPUs that some work uses."""

    uuids: tuple[str, ...]

    def free_bytes(self) -> int | None:
        """On the fullest of them; None where the driver does not tell."""
        free = [gpus.free_bytes(uuid) for uuid in self.uuids]
        known = [room for room in free if room is not None]
        return min(known) if len(known) == len(free) else None

    def turn(self) -> Turn:
        return Turn(self.uuids)

    def are_wanted(self) -> bool:
        """Whether somebody waits for one of them: who waits for several would wait for ever, if on each in
        turn something new began."""
        return self.turn().is_wanted()


def here() -> Gpus | None:
    """All of this worker's; None on a machine without a GPU, where the system shares out the memory."""
    uuids = gpus.visible()
    return Gpus(uuids) if uuids else None


def evaluating_bytes(parameters: int | None, precision: str, *, gpus: int = 1) -> int:
    """About what evaluating a model takes of each of so many GPUs: its weights and room for batches
    (estimated)."""
    return _weights(parameters, precision) // gpus + 2 * _GIB


def training_bytes(parameters: int | None, precision: str) -> int:
    """About what training an adapter takes: the weights and the activations of a batch (estimated)."""
    return _weights(parameters, precision) + 6 * _GIB


def _weights(parameters: int | None, precision: str) -> int:
    return round(1.1 * (parameters or 0) * _WEIGHT_BYTES.get(precision, 2.0))


@contextmanager
def taken(
    found: Gpus | None,
    what: str,
    needed: Callable[[], int],
    lease: Lease,
    tell: Callable[[str], None] | None = None,
) -> Iterator[Turn | None]:
    """Within this block `what` may use the GPUs, of each of whose memory it needs so many bytes.

    With enough free memory it runs at once; it has the turn too where nobody else has. Else it waits, saying
    what for in the log, to `tell` and in its progress, and comes after those who waited before. None on a
    machine without a GPU. Raises what the lease raises, and ShuttingDownError.
    """
    if found is None:
        yield None
        return
    with found.turn() as turn:
        _wait(turn, found, _Wish(what, needed, lease, tell))
        yield turn


class ShuttingDownError(Exception):
    """The worker is told to stop while it waits, for its turn or for a base model."""


@dataclass
class _Wish:
    what: str
    needed: Callable[[], int]
    lease: Lease
    tell: Callable[[str], None] | None
    said: str = ""

    def waits_for(self, reason: str) -> None:
        """Tell it, once."""
        if reason != self.said:
            self.said = reason
            logger.info("%s waits: %s", self.what, reason)
            if self.tell:
                self.tell(f"Waits for the GPU: {reason}.")
            self.lease.renew({"phase": f"waiting: {reason}"})
        else:
            self.lease.renew()


def _wait(turn: Turn, found: Gpus, wish: _Wish) -> None:
    """Return once there is room, with the turn if it can be had."""
    began = time.monotonic()
    is_first = not turn.is_wanted()  # who waits already gets the chance before
    while True:
        if is_first:
            reason = _obstacle(turn, found, wish, time.monotonic() - began)
            if not reason:
                turn.waits_no_more()
                return
            turn.want()
            wish.waits_for(reason)
        is_first = True
        if shutting_down.wait(POLL_SECONDS):
            raise ShuttingDownError


def _obstacle(turn: Turn, found: Gpus, wish: _Wish, waited: float) -> str:
    """Why it must wait on, in words; "" where it need not."""
    needed, free = wish.needed(), found.free_bytes()
    if turn.take(wish.what):
        if free is None or free >= needed:
            return ""
        if waited > FOREIGN_SECONDS:
            logger.warning("%s begins with less memory than it may need, which nothing here holds", wish.what)
            return ""
        turn.give()  # so that a process that keeps a model for its next evaluation can end
        return _room(needed, free)
    holder = turn.holder()
    if holder is None:
        return "another has had the GPU until now"
    if free is None:
        return f"{holder.name} has the GPU"
    if free >= needed and holder.seconds > SETTLED_SECONDS:
        return ""
    return f"{holder.name} has the GPU; {_room(needed, free)}"


def _room(needed: int, free: int) -> str:
    return f"about {needed / _GIB:.0f} GiB are needed and {free / _GIB:.0f} free"
