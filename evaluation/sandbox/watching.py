"""Waits for boxes, reads what they write and stops them at their limits."""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.sandbox.box import Box, Stream
from evaluation.sandbox.program import Verdict

# A program gets at most so far past its memory limit as it can in this time.
_INTERVAL_SECONDS = 0.02
_NOTICED_SECONDS = 5 * _INTERVAL_SECONDS
# How many times the limit on waiting may pass in all: so much can a machine's other work slow a program.
_PATIENCE = 20


class StoppedError(Exception):
    """Nobody waits for the outcome any more."""


@dataclass(frozen=True)
class Breach:
    """A limit that a program went past."""

    verdict: Verdict
    detail: str


def wait(awaited: Box, others: Sequence[Box], seconds: float, stopping: threading.Event) -> Breach | None:
    """Wait until the awaited box has ended and all it wrote is read.

    Returns the limit that one of the boxes went past, after which they may still run. `seconds` are such a
    limit for the time in which all boxes wait for something; those that compute, or would if the machine were
    less busy, have their limit of processor time. Raises StoppedError once `stopping` is set.
    """
    boxes = (awaited, *others)
    started = measured = time.monotonic()
    waited = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(awaited.ended, selectors.EVENT_READ)
        for box in boxes:
            for stream in box.streams:
                selector.register(stream.descriptor, selectors.EVENT_READ, stream)
        while True:
            events = selector.select(_INTERVAL_SECONDS)
            ended = any(key.fd == awaited.ended for key, _ in events)
            for key, _ in events:
                if isinstance(key.data, Stream) and not key.data.read():
                    selector.unregister(key.fd)
            if ended:
                _read_out(awaited, selector)
            now = time.monotonic()
            if ended or now - measured > _INTERVAL_SECONDS:
                for box in boxes:
                    if found := box.excess():
                        return Breach(*found)
                # This process gets its turn late on a busy machine, and saw one moment of what passed.
                waited += 0.0 if any(box.busy for box in boxes) else min(now - measured, _NOTICED_SECONDS)
                measured = now
            if ended:
                return None
            if waited > seconds or now - started > _PATIENCE * seconds:
                return Breach(Verdict.TIMED_OUT, f"more than {seconds:g} seconds")
            if stopping.is_set():
                raise StoppedError


def _read_out(box: Box, selector: selectors.BaseSelector) -> None:
    """Read the streams of a box that has ended, as far as they go and as it may write."""
    open_streams = {key.fd for key in selector.get_map().values()}
    for stream in box.streams:
        while stream.descriptor in open_streams and not stream.exceeded and stream.read():
            pass
