"""Slow clients cost nobody else anything: heads wait in one loop, and bodies come at a least speed."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from portal.machine import web_worker
from portal.machine.web_worker import MOST_HEAD_BYTES, PacedUnreader, SlowClientError, Waiting

ROOT = Path(__file__).resolve().parents[2]
THREADS = 4
HEAD = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "tests.portal.plain_app", "--bind", f"127.0.0.1:{number}"]
    command += ["--worker-class", "portal.machine.web_worker.PatientWorker", "--threads", str(THREADS)]
    log = tmp_path_factory.mktemp("gunicorn") / "log"
    with log.open("wb") as output:
        server = subprocess.Popen([*command, "--timeout", "0"], cwd=ROOT, stdout=output, stderr=output)
    while True:
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", number)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    yield number
    server.terminate()
    server.wait()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def answer(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(4096):
        received += data
        if b"\r\n\r\n" in received and received.endswith(b"0"):
            break
    return received


def get(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/")
    status = connection.getresponse().status
    connection.close()
    return status


def test_idle_connections_and_half_sent_heads_hold_no_thread(port: int) -> None:
    with ExitStack() as stack:
        waiting = [stack.enter_context(connected(port)) for _ in range(200)]
        for connection in waiting[::2]:
            connection.sendall(HEAD[:20])
        assert get(port) == 200
        # These were held up, not given up: the rest of a head is answered still.
        waiting[0].sendall(HEAD[20:])
        waiting[1].sendall(HEAD)
        assert answer(waiting[0]).startswith(b"HTTP/1.1 200")
        assert answer(waiting[1]).startswith(b"HTTP/1.1 200")


def test_a_kept_connection_waits_for_its_next_head_in_the_loop_too(port: int) -> None:
    with ExitStack() as stack:
        kept = [stack.enter_context(connected(port)) for _ in range(2 * THREADS)]
        for connection in kept:
            connection.sendall(HEAD)
            assert answer(connection).startswith(b"HTTP/1.1 200")
            connection.sendall(HEAD[:10])
        assert get(port) == 200
        kept[0].sendall(HEAD[10:])
        assert answer(kept[0]).startswith(b"HTTP/1.1 200")


def test_requests_that_are_sent_at_once_are_all_answered(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(HEAD + HEAD + HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        received = b""
        while data := connection.recv(4096):
            received += data
    assert received.count(b"HTTP/1.1 200 OK") == 3


def test_a_body_that_comes_with_or_after_its_head_is_read_whole(port: int) -> None:
    for split in (0, 5):
        with connected(port) as connection:
            head = b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
            connection.sendall(head + b"x" * split)
            time.sleep(0.05)
            connection.sendall(b"x" * (100_000 - split))
            received = b""
            while data := connection.recv(4096):
                received += data
        assert received.endswith(b"\r\n\r\n100000")


def test_bodies_that_do_not_come_leave_threads_to_others(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(5 * THREADS):
            stack.enter_context(connected(port)).sendall(head)
        last = stack.enter_context(connected(port))
        last.sendall(head)
        assert get(port) == 200
        last.sendall(b"x" * 100_000)
        assert answer(last).startswith(b"HTTP/1.1 200"), "the newest has had the least time to be slow in"


@pytest.mark.parametrize(("length", "kept"), [(100, True), (10 * 1024**2, False)])
def test_an_answer_says_whether_the_connection_is_kept_where_its_body_was_not_read(
    port: int, length: int, kept: bool
) -> None:
    with connected(port) as connection:
        head = f"POST /unread HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode() + bytes(100))
        assert (b"\r\nConnection: keep-alive\r\n" in answer(connection)) == kept


def test_a_head_without_end_is_refused(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * MOST_HEAD_BYTES)
        assert connection.recv(64).startswith(b"HTTP/1.1 431 ")


def test_a_client_that_leaves_early_or_speaks_nonsense_harms_nobody(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(HEAD[:9])
    with connected(port) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\r\n\r\n")
        assert connection.recv(64).startswith(b"HTTP/1.1 400 ")
    assert get(port) == 200


class TestPace:
    @pytest.fixture
    def ends(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield ours, theirs

    def test_a_silent_client_is_given_up(
        self, ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(web_worker, "PAUSE_SECONDS", 0.05)
        ours, _ = ends
        ours.settimeout(30)
        with pytest.raises(SlowClientError):
            PacedUnreader(ours, Waiting(8)).chunk()
        assert ours.gettimeout() == 30

    def test_bytes_that_trickle_earn_too_little_time(
        self, ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ours, theirs = ends
        unreader = PacedUnreader(ours, Waiting(8))
        monkeypatch.setattr(unreader, "_waited", web_worker.PAUSE_SECONDS + 1)
        monkeypatch.setattr(unreader, "_received", 2 * web_worker.LEAST_BYTES_PER_SECOND)
        theirs.sendall(b"x")
        assert unreader.chunk() == b"x", "a second is left of what its bytes have earned"
        monkeypatch.setattr(unreader, "_received", web_worker.LEAST_BYTES_PER_SECOND // 2)
        theirs.sendall(b"x")
        with pytest.raises(SlowClientError):
            unreader.chunk()
        unreader.begin()
        assert unreader.chunk() == b"x", "the next request starts anew"
