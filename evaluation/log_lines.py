"""Log lines as JSON, each with what it belongs to, of web, worker and child alike."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

FORMAT_VARIABLE = "LOG_FORMAT"
"""`json`, or whatever else for text; the worker's, which a child is given too."""

_ids: ContextVar[Mapping[str, object]] = ContextVar("log_ids", default={})  # noqa: B039 - never changed


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Within this block lines carry these ids, beside those of the blocks around it; of this thread alone."""
    before = _ids.set({**_ids.get(), **{name: value for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        _ids.reset(before)


def ids_of(record: logging.LogRecord | None) -> Mapping[str, object]:
    """What a line belongs to that is logged at this moment in this thread."""
    # Django logs an answer of 400 and above when all middleware is through, and says of which request.
    request_id = getattr(getattr(record, "request", None), "log_id", None)
    return {**_ids.get(), **({"request": request_id} if request_id else {})}


class JsonLines(logging.Formatter):
    """One object a line: time (UTC), level, logger, message, the ids, and a traceback as `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: _plain(value) for name, value in ids_of(record).items()},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def warnings_to_stderr() -> None:
    """In a child, whose standard error is its worker's log: what any code logs from warnings on."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)
    if os.environ.get(FORMAT_VARIABLE) == "json":
        handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)


def _plain(value: object) -> object:
    return value if isinstance(value, int) else str(value)
