"""One injection: when it strikes, what its client does meanwhile, and what is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import httpx
from django.db import Error as DatabaseError
from django.db import connection

from tests.faults.parts import Parts
from tests.faults.table import Injection

LIMIT_SECONDS = 90.0
Wrong = Literal["lost", "doubled", "stuck", "wrongly failed", "never struck"]
T = TypeVar("T")


class Broken(Exception):
    """An invariant does not hold."""

    def __init__(self, wrong: Wrong, text: str) -> None:
        super().__init__(text)
        self.wrong = wrong


@dataclass(frozen=True)
class People:
    """Who acts: one team's member by token, and a reviewer by session cookies."""

    token: str
    reviewer: dict[str, str]


class Case:
    """Work under one fault. `name` is the method of its submission, and so finds it."""

    def __init__(self, number: int, injection: Injection, parts: Parts, people: People) -> None:
        self.number, self.injection, self.parts = number, injection, parts
        self.name = f"case {number}"
        self._struck = self._over = 0.0
        self._timers: list[threading.Timer] = []
        self.errors_met: dict[str, int] = {}
        self._people = people
        self._client = httpx.Client(base_url=parts.url, timeout=8)

    def strike(self) -> None:
        """Let the fault begin now, and end in its time."""
        if self._struck:
            return
        self._struck = self._over = time.monotonic()
        fault = self.injection.fault
        try:
            fault.begin(self.parts)
        finally:
            connection.close()
        if fault.seconds:
            self._over += fault.seconds
            self._after(fault.seconds, lambda: fault.end(self.parts))

    def strike_soon(self) -> None:
        self._after(0.15, self.strike)

    def _after(self, seconds: float, act: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, act)
        self._timers.append(timer)
        timer.start()

    def end(self) -> None:
        """Nothing of the fault is left."""
        self.parts.database.unwatch()
        self.parts.broker.unwatch()
        self.parts.hub.unwatch()
        for timer in self._timers:
            timer.join()
        self._client.close()

    def recovery(self) -> float:
        """Seconds since the fault was over."""
        if not self._struck:
            raise Broken("never struck", "the moment for the fault did not come")
        return max(0.0, time.monotonic() - self._over)

    # What a client does

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """A request as an honest client repeats it: after a lost connection, and where it is told to wait."""
        headers = {"Authorization": f"Bearer {self._people.token}", **request.pop("headers", {})}
        return self._repeated(lambda: self._client.request(method, path, headers=headers, **request))

    def decide(self, action: str, pk: int) -> httpx.Response:
        """One attempt of the reviewer on the desk."""
        cookies = self._people.reviewer
        form = {"reason": "", "confirmed": "1", "csrfmiddlewaretoken": cookies["csrftoken"]}
        header = {"Cookie": "; ".join(f"{key}={value}" for key, value in cookies.items())}
        return self._client.post(f"/review/{pk}/{action}/", data=form, headers=header)

    def _repeated(self, once: Callable[[], httpx.Response]) -> httpx.Response:
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                answer = once()
                if answer.status_code < 500 and "Retry-After" not in answer.headers:
                    return answer
                met = str(answer.status_code)
            except httpx.TransportError as error:
                met = type(error).__name__
            self.errors_met[met] = self.errors_met.get(met, 0) + 1
            if time.monotonic() > deadline:
                raise Broken("stuck", f"a client was answered {self.errors_met}")
            time.sleep(0.3)

    # What is waited for

    def wait(self, what: str, done: Callable[[], bool], failed: Callable[[], str] = lambda: "") -> None:
        """Until it is `done`. Raises Broken when it `failed`, with the reason, or does not come."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not fresh(done):
            if reason := fresh(failed):
                raise Broken("wrongly failed", reason)
            if time.monotonic() > deadline:
                raise Broken("stuck", f"waited {LIMIT_SECONDS:.0f} s for {what}")
            time.sleep(0.1)


def fresh(read: Callable[[], T]) -> T:
    """What is in the database, asked again where the fault took the connection."""
    for _ in range(600):
        try:
            return read()
        except DatabaseError:
            connection.close()
            time.sleep(0.1)
    return read()
