"""A board of many entries: its first build, warm pages in the process and through a web server.

BOARD_ENTRIES and BOARD_CHALLENGE set the size and the challenge. An empty view stands beside every page: in
the process one behind the same middleware, through the server `/healthz`, in the same run.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from django.core.cache import cache
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path

from evaluation import rules
from leaderboard.reading import snapshots
from leaderboard.reading.queries import public_at, read
from leaderboard.standing.ranking import standings
from portal.management.seeding.entries import fill
from portal.urls import urlpatterns as site_urls
from tests.perf.measure import Comparison, median_seconds
from tests.portal.uploads.servers import WebServer

ENTRIES = int(os.environ.get("BOARD_ENTRIES", "10000"))
CHALLENGE = os.environ.get("BOARD_CHALLENGE", "finance")
BOARD = f"/leaderboard/{CHALLENGE}/"
BUILD_LIMIT, PAGE_LIMIT = 3.0, 0.030
QUERIES_LIMIT = 5
CLIENTS, SECONDS = 4, 4.0
urlpatterns = [path("empty/", lambda _: HttpResponse("ok")), *site_urls]


def compare() -> Iterator[Comparison]:
    from django.test.runner import DiscoverRunner
    from django.test.utils import override_settings

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases: Any = runner.setup_databases()
    try:
        fill(CHALLENGE, ENTRIES)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        yield from _build()
        with override_settings(ROOT_URLCONF="tests.perf.board_speed", ALLOWED_HOSTS=["*"]):
            yield from _pages()
        yield from _throughput()
    finally:
        cache.clear()
        runner.teardown_databases(databases)


def _build() -> Iterator[Comparison]:
    cache.clear()
    start = time.perf_counter()
    reading = read(public_at(CHALLENGE), with_answers=True)
    read_seconds = time.perf_counter() - start
    start = time.perf_counter()
    standings(reading.entries, rules.of(CHALLENGE).benchmarks, reading.answers)
    rank_seconds = time.perf_counter() - start
    start = time.perf_counter()
    snapshots.checked(CHALLENGE)
    built = time.perf_counter() - start
    parts = f"reading {read_seconds:.2f} s, ranking with ties {rank_seconds:.2f} s"
    yield Comparison(f"first snapshot of {ENTRIES:,} entries", built, "the aim", BUILD_LIMIT, parts)
    snapshots._known.clear()
    seconds = _timed(lambda: snapshots.checked(CHALLENGE))
    yield Comparison("the same in another process, from the cache", seconds, "building it", built)


def _pages() -> Iterator[Comparison]:
    client = Client(headers={"accept-encoding": "gzip"})
    empty = median_seconds(lambda: client.get("/empty/"), 50)
    numbers = count(1)
    addresses = {
        "the board": lambda: BOARD,
        "its last page": lambda: f"{BOARD}?page={ENTRIES // 50}",
        "sorted and filtered": lambda: f"{BOARD}?max_size=3&sort=-communication",
        "a view that nobody asked for before": lambda: f"{BOARD}?max_communication={next(numbers)}.5",
        "home": lambda: "/",
        "across domains": lambda: "/leaderboard/",
        "one page of the API": lambda: f"/api/v1/leaderboards/{CHALLENGE}/?page_size=50",
    }
    for name, address in addresses.items():
        client.get(address())  # the other boards are built, and the templates read
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(address())
        assert answer.status_code == 200, (name, answer.status_code)
        assert len(queries) <= QUERIES_LIMIT, (name, len(queries))
        seconds = median_seconds(lambda address=address: client.get(address()), 20)  # type: ignore[misc]
        note = f"an empty view takes {1000 * empty:.2f} ms; at most {len(queries)} queries"
        yield Comparison(f"GET {name}", seconds, "the aim", PAGE_LIMIT, note)
    etag = client.get(BOARD)["ETag"]
    seconds = median_seconds(lambda: client.get(BOARD, headers={"if-none-match": etag}), 50)
    yield Comparison("GET the board again, 304", seconds, "an empty view", empty)


def _throughput() -> Iterator[Comparison]:
    with tempfile.TemporaryDirectory() as folder, WebServer(Path(folder)) as server:
        targets = {"an empty view": "/healthz", "the board": BOARD, "sorted": f"{BOARD}?sort=-average"}
        rates: dict[str, list[float]] = {name: [] for name in targets}
        for address in targets.values():
            _rate(server.port, address, 1.0)
        for _ in range(3):  # in turns, because other programs may share the machine
            for name, address in targets.items():
                rates[name].append(_rate(server.port, address, SECONDS / 3))
    best = {name: max(found) for name, found in rates.items()}
    for name in ("the board", "sorted"):
        yield Comparison(
            f"{name} through the web server, a request",
            1 / best[name],
            "an empty view",
            1 / best["an empty view"],
            f"{best[name]:.0f} against {best['an empty view']:.0f} requests a second, {CLIENTS} at a time",
        )


def _rate(port: int, address: str, seconds: float) -> float:
    """Answers a second to clients that each keep a connection and ask one after the other."""
    done = [0] * CLIENTS
    end = time.perf_counter() + seconds

    def ask(number: int) -> None:
        with closing(socket.create_connection(("127.0.0.1", port))) as link:
            while time.perf_counter() < end:
                _get(link, address)
                done[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - start)


def _get(link: socket.socket, address: str) -> None:
    """Ask over a raw socket: a client library would take longer than the server."""
    link.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n".encode())
    received = b""
    while b"\r\n\r\n" not in received:
        received += _received(link)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head[:200]
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    missing = int(fields[b"content-length"]) - len(body)
    while missing > 0:
        missing -= len(_received(link))


def _received(link: socket.socket) -> bytes:
    data = link.recv(1 << 18)
    if not data:
        raise ConnectionError("the server closed the connection")
    return data


def _timed(call: Any) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
