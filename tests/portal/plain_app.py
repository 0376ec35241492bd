"""A WSGI application for tests of the server alone: counts the bytes that it was sent, but at /unread."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    unread = environ["PATH_INFO"] == "/unread"
    received = b"0" if unread else str(len(environ["wsgi.input"].read())).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(received)))])
    return [received]
