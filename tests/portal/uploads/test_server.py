"""Uploads through the real web server: broken connections, killed servers, and requests that lie."""

from __future__ import annotations

import hashlib
import select
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings

from portal.accounts.models import ApiToken
from portal.api.views import uploads
from portal.uploads.models import Upload
from tests.portal import factories
from tests.portal.uploads.servers import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

MEBIBYTE = 1024**2
CONTENT = hashlib.sha512(b"content").digest() * (24 * MEBIBYTE // 64)
KIND = {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture(scope="module")
def one_server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with WebServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(one_server: WebServer, transactional_db: None) -> Iterator[WebServer]:
    """The module's server, with nothing in its storage at first."""
    yield one_server
    shutil.rmtree(one_server.storage, ignore_errors=True)


@pytest.fixture
def headers(transactional_db: None) -> dict[str, str]:
    token = ApiToken.issue(user=factories.user("sender"), name="test")[1]
    return {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"}


def call(
    server: WebServer, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> HTTPResponse:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=120)) as connection:
        connection.request(method, path, body, {"Content-Length": str(len(body)), **headers})
        answer = connection.getresponse()
        answer.read()
        return answer


def begin(server: WebServer, headers: dict[str, str], length: int = len(CONTENT)) -> str:
    answer = call(server, "POST", "/api/v1/uploads/", {**headers, "Upload-Length": str(length)})
    assert answer.status == 201
    return f"/{(answer.headers['Location']).split('/', 3)[3]}"


def offset(server: WebServer, path: str, headers: dict[str, str]) -> int:
    answer = call(server, "HEAD", path, headers)
    assert answer.status == 200
    return int(answer.headers["Upload-Offset"])


def send_rest(server: WebServer, path: str, headers: dict[str, str]) -> None:
    start = offset(server, path, headers)
    answer = call(server, "PATCH", path, {**headers, **KIND, "Upload-Offset": str(start)}, CONTENT[start:])
    assert answer.status == 204, answer.headers


def open_request(
    server: WebServer, path: str, headers: dict[str, str], start: int, size: int
) -> socket.socket:
    """The head of a PATCH that announces `size` bytes."""
    lines = {**headers, **KIND, "Host": "127.0.0.1", "Upload-Offset": str(start), "Content-Length": str(size)}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    connection.sendall(f"PATCH {path} HTTP/1.1\r\n{head}\r\n".encode())
    return connection


def answered(connections: Sequence[socket.socket]) -> list[socket.socket]:
    """Those that the server has written to."""
    return select.select(connections, [], [], 0)[0]


def is_whole(server: WebServer) -> bool:
    upload = Upload.objects.get()
    files = [path for path in server.storage.rglob("*") if path.is_file()]
    return (
        upload.sha256 == hashlib.sha256(CONTENT).hexdigest()
        and files == [server.storage / upload.file]
        and files[0].read_bytes() == CONTENT
    )


def test_a_client_that_dies_goes_on_where_its_bytes_ended(server: WebServer, headers: dict[str, str]) -> None:
    path = begin(server, headers)
    connection = open_request(server, path, headers, 0, len(CONTENT))
    connection.sendall(CONTENT[: len(CONTENT) // 2])
    connection.close()
    deadline = time.monotonic() + 120
    while offset(server, path, headers) < len(CONTENT) // 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert offset(server, path, headers) == len(CONTENT) // 2
    send_rest(server, path, headers)
    assert is_whole(server)


def test_a_server_that_is_killed_between_bytes_and_offset_loses_nothing(
    server: WebServer, headers: dict[str, str]
) -> None:
    path = begin(server, headers)
    first = 5 * MEBIBYTE
    assert (
        call(server, "PATCH", path, {**headers, **KIND, "Upload-Offset": "0"}, CONTENT[:first]).status == 204
    )
    connection = open_request(server, path, headers, first, len(CONTENT) - first)
    connection.sendall(CONTENT[first : 12 * MEBIBYTE])
    file = server.storage / Upload.objects.get().file
    deadline = time.monotonic() + 120
    while file.stat().st_size <= first + MEBIBYTE and time.monotonic() < deadline:
        time.sleep(0.01)
    server.kill()
    connection.close()
    assert file.stat().st_size > Upload.objects.get().offset == first
    server.start()
    assert offset(server, path, headers) == first
    send_rest(server, path, headers)
    assert is_whole(server)


def test_a_body_shorter_than_announced_is_said(server: WebServer, headers: dict[str, str]) -> None:
    path = begin(server, headers)
    connection = open_request(server, path, headers, 0, 100)
    connection.sendall(b"only ten b")
    connection.shutdown(socket.SHUT_WR)
    answer = connection.recv(65536)
    connection.close()
    assert b" 400 " in answer.splitlines()[0] and b"application/problem+json" in answer
    assert offset(server, path, headers) == 10


def test_a_body_of_unknown_length_is_refused(server: WebServer, headers: dict[str, str]) -> None:
    path = begin(server, headers)
    connection = HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("PATCH", path, iter([b"abc"]), {**headers, **KIND, "Upload-Offset": "0"})
    assert connection.getresponse().status == 411
    connection.close()
    assert offset(server, path, headers) == 0


@pytest.mark.parametrize("length", ["-5", "5, 6", "abc"])
def test_a_content_length_that_is_none_never_arrives(
    server: WebServer, headers: dict[str, str], length: str
) -> None:
    path = begin(server, headers)
    assert (
        call(
            server, "PATCH", path, {**headers, **KIND, "Upload-Offset": "0", "Content-Length": length}
        ).status
        == 400
    )
    assert offset(server, path, headers) == 0


def test_requests_that_race_over_the_wire_make_one_file(server: WebServer, headers: dict[str, str]) -> None:
    path = begin(server, headers)
    statuses: list[int] = []

    def send(fill: bytes) -> None:
        body = fill * len(CONTENT)
        given = {**headers, **KIND, "Upload-Offset": "0"}
        try:
            statuses.append(call(server, "PATCH", path, given, body).status)
        except ConnectionError:  # refused while it was still sending
            statuses.append(0)

    threads = [threading.Thread(target=send, args=[fill]) for fill in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(204) == 1 and set(statuses) <= {0, 204, 409, 423, 429}
    content = (server.storage / Upload.objects.get().file).read_bytes()
    assert len(set(content)) == 1 and len(content) == len(CONTENT)


def test_pages_are_served_while_uploads_hold_every_slot(server: WebServer, headers: dict[str, str]) -> None:
    waiting = []
    for name in ("one", "two", "three"):
        token = ApiToken.issue(user=factories.user(name), name="test")[1]
        own = {**headers, "Authorization": f"Bearer {token}"}
        for _ in range(2):
            path = begin(server, own)
            waiting.append(open_request(server, path, own, 0, len(CONTENT)))
    refused = len(waiting) - settings.UPLOAD_STREAMS
    deadline = time.monotonic() + 120
    while len(answered(waiting)) < refused and time.monotonic() < deadline:
        time.sleep(0.05)
    assert call(server, "GET", "/healthz", {}).status == 200
    assert call(server, "GET", "/api/v1/challenges/", {}).status == 200
    assert len(answered(waiting)) == refused, "the others still hold their slots"
    for connection in waiting:
        connection.close()


def test_no_request_holds_its_thread_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    request: Any = SimpleNamespace(META={"gunicorn.socket": ours})
    monkeypatch.setattr(uploads, "REQUEST_SECONDS", 0.05)
    with uploads._cut_off_in_time(request):
        assert ours.recv(1) == b""
    ours.close()
    theirs.close()
