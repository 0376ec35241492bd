"""OpenTelemetry's traces where OTEL_EXPORTER_OTLP_ENDPOINT is set: one of each submission, up to the board.

The ids of a trace and of its spans are computed from what they are of. So each process adds what it saw, in
any order, and no row and no message carries a context. Spans are made when they are over.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Tracer

ROOT = "root"
"""The span that has no other above it: of the request that first queued the submission."""

_NANOSECONDS = 1e9


@dataclass(frozen=True)
class Span:
    """Work on a submission, between two moments in seconds since 1970. `error` is the code of what broke it.

    Under `key` others can stand below it; it stands `below` one itself, unless it is the root.
    """

    submission: int
    name: str
    began: float
    ended: float
    key: str = ""
    below: str = ROOT
    error: str = ""
    attributes: Mapping[str, str | int] = field(default_factory=dict)


class _Ids:
    """What the SDK asks for new ids: those that were computed in this thread, one span at a time."""

    def __init__(self) -> None:
        self._next = threading.local()

    def prepare(self, trace: int, span: int) -> None:
        self._next.trace, self._next.span = trace, span

    def generate_trace_id(self) -> int:
        return int(self._next.trace)

    def generate_span_id(self) -> int:
        return int(self._next.span)

    def is_trace_id_random(self) -> bool:
        return False


_ids = _Ids()
_provider: TracerProvider | None = None
_tracer: Tracer | None = None
_of_request: ContextVar[dict[int, bool] | None] = ContextVar("traced_submissions", default=None)


def start(endpoint: str, service: str) -> None:
    """Send spans from now on as those of `service`; without an endpoint nothing is even imported."""
    if not endpoint:
        return
    global _provider, _tracer
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {"service.name": os.environ.get("OTEL_SERVICE_NAME") or service}
    resource = Resource.create({**named, "service.version": version("flowertune-leaderboard")})
    _provider = TracerProvider(resource=resource, id_generator=cast("IdGenerator", _ids))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))  # it reads OTEL_… by itself
    _tracer = _provider.get_tracer("portal")


def stop() -> None:
    """Send what is left, as the end of the process does too."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


def is_on() -> bool:
    return _tracer is not None


def record(span: Span) -> None:
    """Add a span to the trace of its submission."""
    if _tracer is None:
        return
    from opentelemetry import trace

    trace_id = _number(16, "trace", span.submission)
    context = trace.Context()
    if span.key != ROOT:
        above = _number(8, "span", span.submission, span.below)
        known = trace.SpanContext(trace_id, above, is_remote=True, trace_flags=trace.TraceFlags(1))
        context = trace.set_span_in_context(trace.NonRecordingSpan(known), context)
    own = span.key or f"{span.name} {span.began} {os.getpid()}"
    _ids.prepare(trace_id, _number(8, "span", span.submission, own))
    made = _tracer.start_span(
        span.name,
        context,
        attributes={"submission": span.submission, **span.attributes},
        start_time=int(span.began * _NANOSECONDS),
    )
    if span.error:
        made.set_attribute("error.type", span.error)
        made.set_status(trace.Status(trace.StatusCode.ERROR))
    made.end(int(max(span.began, span.ended) * _NANOSECONDS))


def concerns(submission: int, *, first: bool = False) -> None:
    """Say that the request under way is a span of the submission's trace; `first`, its root.

    What is first queued without a request, as by a worker, begins its trace at this moment.
    """
    if not is_on():
        return
    concerned = _of_request.get()
    if concerned is not None:
        concerned[submission] = first or concerned.get(submission, False)
    elif first:
        now = time.time()
        record(Span(submission, "queued", now, now, key=ROOT))


@contextmanager
def request() -> Iterator[dict[int, bool]]:
    """Within this block a request is answered; yields the submissions that it turns out to concern."""
    concerned: dict[int, bool] = {}
    before = _of_request.set(concerned)
    try:
        yield concerned
    finally:
        _of_request.reset(before)


def _number(size: int, *of: object) -> int:
    """An id of so many bytes, never 0; another one on every site."""
    told = "\0".join(map(str, (settings.SITE_URL, *of)))
    return int.from_bytes(hashlib.sha256(told.encode()).digest()[:size], "big") or 1
