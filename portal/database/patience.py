"""How long a silent database is waited for: in a request within bounds, by other work as long as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

# No statement of a page takes so long, unless it waits for a lock, as for a board that another builds.
ANSWER_SECONDS = 30.0

_seconds: ContextVar[float | None] = ContextVar("patience", default=None)


def seconds() -> float | None:
    """None where there is no bound."""
    return _seconds.get()


@contextmanager
def of(most: float) -> Iterator[None]:
    """Within this block no answer may take longer."""
    before = _seconds.set(most)
    try:
        yield
    finally:
        _seconds.reset(before)


class RequestPatience:
    """Middleware: what a frozen database does not answer ends as an outage (503), and not the web process."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with of(ANSWER_SECONDS):
            return self.get_response(request)
