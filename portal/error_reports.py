"""Errors of web process, worker and scheduler sent to Sentry, where SENTRY_DSN names one.

Of what the log says at the level ERROR the types of exceptions, the places in the code and the ids are sent.
Texts stay here, as an error's own words may quote an adapter, a person or a secret: the ids find the line of
the log that has them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from importlib.metadata import version
from logging import LogRecord
from typing import TYPE_CHECKING, Any

from evaluation.log_lines import ids_of

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

_OWN = ("evaluation", "flowertune", "leaderboard", "portal", "workers")
# What Celery says of a broker that is away, every few seconds for as long as it is.
_OF_THE_BROKER = frozenset({"celery.beat", "celery.worker.consumer.consumer"})
_SAID_AGAIN_SECONDS = 900.0
_said: dict[tuple[object, ...], float] = {}
# What the SDK says of the event itself and of the program.
_KEPT = (
    "event_id",
    "timestamp",
    "platform",
    "level",
    "logger",
    "release",
    "environment",
    "server_name",
    "sdk",
)
_PLACE = ("filename", "function", "module", "lineno", "pre_context", "context_line", "post_context", "in_app")


def start(dsn: str) -> None:
    """Send from now on; without a DSN nothing is even imported."""
    if not dsn:
        return
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=dsn,
        release=version("flowertune-leaderboard"),
        before_send=_report,
        send_default_pii=False,
        include_local_variables=False,
        max_breadcrumbs=0,
        auto_session_tracking=False,
        enable_metrics=False,
        # No others: Django's and Celery's would look at requests and arguments.
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            LoggingIntegration(level=None, sentry_logs_level=None),
            ExcepthookIntegration(),
            DedupeIntegration(),
            AtexitIntegration(callback=lambda _pending, _timeout: None),
        ],
    )


def _report(event: Event, hint: Hint) -> Event | None:
    """What of an event is sent; None for a refusal while a service is away, which is an outage, and for what
    Celery says of such a one over and over.
    """
    record = hint.get("log_record")
    if getattr(record, "status_code", None) == HTTPStatus.SERVICE_UNAVAILABLE or _is_said(record):
        return None
    report: dict[str, Any] = {name: event[name] for name in _KEPT if name in event}  # type: ignore[literal-required]
    report["tags"] = {name: str(value) for name, value in ids_of(record).items()}
    if record is not None and record.name.partition(".")[0] in _OWN:
        report["logentry"] = {"message": record.msg}  # as it stands in the code, nothing filled in
    if "exception" in event:
        report["exception"] = {"values": list(_exceptions(event["exception"]["values"]))}
    with suppress(AttributeError):
        report["transaction"] = record.request.resolver_match.route  # type: ignore[union-attr]
    return report  # type: ignore[return-value]


def _is_said(record: LogRecord | None) -> bool:
    """Whether Celery said the same of the broker within a quarter of an hour."""
    if record is None or record.name not in _OF_THE_BROKER:
        return False
    key, now = (record.name, record.msg), time.monotonic()
    is_said = now - _said.get(key, float("-inf")) < _SAID_AGAIN_SECONDS
    if not is_said:
        _said[key] = now
    return is_said


def _exceptions(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in found:
        kept = {name: one[name] for name in ("type", "module", "mechanism") if name in one}
        frames = (one.get("stacktrace") or {}).get("frames", ())
        places = [{name: frame[name] for name in _PLACE if name in frame} for frame in frames]
        yield kept | {"stacktrace": {"frames": places}}
