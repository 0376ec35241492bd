"""Fifty clients at a time over boards, API and uploads: what is answered, how fast, and what memory does.

As in production (DEBUG=0), with an address for each client, as a proxy tells it, so that the limits a minute
hold for each by itself. Whoever is told to wait waits. CLIENTS_SECONDS shortens it.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from portal.accounts.models import ApiToken
from portal.environment import PROJECT_ROOT, read_environment
from portal.machine import embedded
from portal.management.seeding.entries import fill
from portal.submissions.models import Submission
from tests.portal import factories
from tests.portal.uploads.servers import WebServer

SECONDS = int(os.environ.get("CLIENTS_SECONDS", 300))
PARTS = 5
ENTRIES = 200
UPLOAD_BYTES = 2 * 1024**2
READERS, PROGRAMS, SENDERS = 20, 15, 15
_MB = 1024**2
_TUS = {"Tus-Resumable": "1.0.0"}


@dataclass(frozen=True)
class Figure:
    """One line of what was found."""

    text: str

    def line(self) -> str:
        return self.text


@dataclass
class Tally:
    """What the clients were answered: statuses and seconds, by what they do."""

    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def lines(self) -> Iterator[str]:
        for kind in sorted(self.seconds):
            times = self.seconds[kind]
            found = ", ".join(
                f"{n} x {status}" for (of, status), n in sorted(self.statuses.items()) if of == kind
            )
            cuts = statistics.quantiles(times, n=20)
            yield f"{kind}: {found}; p50 {statistics.median(times):.2f} s, p95 {cuts[-1]:.2f} s"
        broken = sum(
            n for (_, status), n in self.statuses.items() if not status[:3].isdecimal() or status >= "5"
        )
        yield f"5xx and broken connections: {broken}"


class Client(threading.Thread):
    """One of the fifty, from an address of its own; asks again as soon as it was answered."""

    def __init__(self, number: int, kind: str, act: Callable[[Client], None], url: str, tally: Tally) -> None:
        super().__init__(daemon=True)
        self.kind, self._act, self._tally = kind, act, tally
        self.random = random.Random(number)
        self.stopped = threading.Event()
        headers = {"X-Forwarded-For": f"10.0.{number // 250}.{number % 250}"}
        self._http = httpx.Client(base_url=url, timeout=60, headers=headers)

    def run(self) -> None:
        while not self.stopped.is_set():
            self._act(self)

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response | None:
        """The answer; None where the connection broke."""
        began = time.monotonic()
        try:
            answer = self._http.request(method, path, **request)
            status = _named(answer)
        except httpx.TransportError as error:
            answer, status = None, f"{type(error).__name__} at {method}"
        self._tally.statuses[self.kind, status] += 1
        self._tally.seconds[self.kind].append(time.monotonic() - began)
        if answer is not None and "Retry-After" in answer.headers:
            self.stopped.wait(float(answer.headers["Retry-After"]))
        return answer


def _named(answer: httpx.Response) -> str:
    """The status, and what was said to be wrong."""
    if answer.headers.get("Content-Type") != "application/problem+json":
        return str(answer.status_code)
    return f"{answer.status_code} {answer.json()['type'].rpartition(':')[2]}"


def compare() -> Iterator[Figure]:
    from django.test.runner import DiscoverRunner

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases: Any = runner.setup_databases()
    try:
        with tempfile.TemporaryDirectory() as name, _as_in_production(Path(name)):
            entries = _prepare()
            with WebServer(Path(name)) as server:
                yield from _measured(server, entries)
    finally:
        runner.teardown_databases(databases)


def _measured(server: WebServer, entries: list[int]) -> Iterator[Figure]:
    assert server.process
    tally = Tally()
    clients = _clients(server.url, entries, tally)
    for client in clients:
        client.start()
    taken = []
    for _ in range(PARTS):
        time.sleep(SECONDS / PARTS)
        taken.append(_memory(server.process.pid))
    for client in clients:
        client.stopped.set()
    for client in clients:
        client.join(90)
    yield Figure(f"{len(clients)} clients, {SECONDS} s, {len(entries)} entries a board")
    yield from map(Figure, tally.lines())
    for name in taken[0]:
        amounts = ", ".join(f"{memory.get(name, 0) / _MB:.0f}" for memory in taken)
        yield Figure(f"resident memory of {name}, MB after each of {PARTS} parts: {amounts}")


def _clients(url: str, entries: list[int], tally: Tally) -> list[Client]:
    users = [factories.user(f"client{number}") for number in range(PROGRAMS + SENDERS)]
    tokens = [{"Authorization": f"Bearer {ApiToken.issue(user=user, name='load')[1]}"} for user in users]
    made = [Client(n, "boards", lambda one: _read(one, entries), url, tally) for n in range(READERS)]
    for number, token in enumerate(tokens):
        act = _program(token, entries) if number < PROGRAMS else _sender(token)
        kind = "API" if number < PROGRAMS else "uploads"
        made.append(Client(READERS + number, kind, act, url, tally))
    return made


def _read(client: Client, entries: list[int]) -> None:
    pick = client.random
    path = pick.choice([
        "/", "/leaderboard/", "/leaderboard/finance/", f"/leaderboard/finance/?page={pick.randint(1, 4)}",
        f"/leaderboard/finance/?q={pick.randint(0, 999)}", "/leaderboard/finance/charts/",
        "/leaderboard/finance.json", "/leaderboard/finance.csv", "/leaderboard/finance/?as_of=2026-11-20",
        "/changes/", "/feed.atom", f"/entries/{pick.choice(entries)}/",
        f"/compare/?entries={pick.choice(entries)},{pick.choice(entries)}",
    ])  # fmt: skip
    client.ask("GET", path)


def _program(token: dict[str, str], entries: list[int]) -> Callable[[Client], None]:
    paths = ["leaderboards/finance/", "submissions/", "challenges/", "findings/", "base-models/", "teams/"]

    def act(client: Client) -> None:
        own = f"submissions/{client.random.choice(entries)}/"
        client.ask("GET", f"/api/v1/{client.random.choice([*paths, own])}", headers=token)

    return act


def _sender(token: dict[str, str]) -> Callable[[Client], None]:
    def act(client: Client) -> None:
        content = client.random.randbytes(UPLOAD_BYTES)
        headers = {**token, **_TUS, "Upload-Length": str(len(content))}
        begun = client.ask("POST", "/api/v1/uploads/", headers=headers)
        if begun is None or begun.status_code != 201:
            return
        path, half = httpx.URL(begun.headers["Location"]).path, len(content) // 2
        for offset, piece in ((0, content[:half]), (half, content[half:])):
            kind = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
            client.ask("PATCH", path, content=piece, headers={**token, **_TUS, **kind})
        client.ask("DELETE", path, headers={**token, **_TUS})

    return act


def _prepare() -> list[int]:
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"], cwd=PROJECT_ROOT, check=True
    )
    fill("finance", ENTRIES)
    return list(
        Submission.objects.filter(challenge="finance", status="published").values_list("pk", flat=True)
    )


@contextmanager
def _as_in_production(folder: Path) -> Iterator[None]:
    """What the server's environment says; it is this process's."""
    given = {
        "DEBUG": "0",
        "TRUST_PROXY": "1",
        "VAR_DIR": str(folder),
        "HTTPS": "0",
        "UPLOAD_DAILY_BYTES": str(1 << 40),
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ |= given
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _memory(web: int) -> dict[str, int]:
    """Bytes resident, by process: gunicorn's, and those of the services together."""
    master = psutil.Process(web)
    found = {"the web server's master": master.memory_info().rss}
    for number, worker in enumerate(master.children(), 1):
        found[f"the web server's worker {number}"] = worker.memory_info().rss
    for service in embedded.status(read_environment().services_state):
        assert service.pid
        main = psutil.Process(service.pid)
        family = [main, *main.children(recursive=True)]
        found[service.name] = sum(one.memory_info().rss for one in family)
    return found
