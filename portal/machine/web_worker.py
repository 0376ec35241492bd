"""gunicorn's threaded worker, with patience for slow clients that costs nobody else anything.

gunicorn gives each connection to a thread, which then waits for the request's head: as many half-sent heads
as there are threads stop the site. Here the main loop reads the heads, and a thread takes over when one is
complete. A body has to come at a least speed, and an answer has to be taken.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.http import get_parser
from gunicorn.http.parser import _DRAIN_MAX_BYTES
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

# A head is a few kilobytes and comes at once; a mobile network may take a few seconds over it.
HEAD_SECONDS = 15.0
MOST_HEAD_BYTES = 64 * 1024
# A body may pause for so long in all, and beyond that comes at this speed or is given up.
PAUSE_SECONDS = 30.0
LEAST_BYTES_PER_SECOND = 16 * 1024
# One piece of an answer, which is a page or 64 KiB of a file, has to be taken within it.
ANSWER_SECONDS = 120.0

_HEAD_END = b"\r\n\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class SlowClientError(ConnectionResetError):
    """A body that comes too slowly; for the application and for gunicorn the connection is lost."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the request's body came too slowly")


class Waiting:
    """The bodies that threads of one process wait for now: all but two of its threads at most."""

    def __init__(self, threads: int) -> None:
        self._most = max(1, threads - 2)
        self._lock = threading.Lock()
        self._now: set[PacedUnreader] = set()

    @contextmanager
    def holding(self, body: PacedUnreader) -> Iterator[None]:
        """Wait for a piece of this body; of too many, the one that was slowest so far is given up."""
        with self._lock:
            self._now.add(body)
            if len(self._now) > self._most:
                slowest = min(self._now, key=lambda waiting: waiting.allowed)
                self._now.discard(slowest)
                slowest.give_up()
        try:
            yield
        finally:
            with self._lock:
                self._now.discard(body)


class PacedUnreader(SocketUnreader):
    """Reads a request's body from its socket. Only the time spent waiting for the client counts."""

    def __init__(self, sock: socket.socket, waiting: Waiting) -> None:
        super().__init__(sock)
        self._waiting = waiting
        self.begin()

    def begin(self) -> None:
        """Another request follows on the connection."""
        self._waited, self._received = 0.0, 0
        self._since: float | None = None

    @property
    def allowed(self) -> float:
        """The seconds that the client may still let us wait."""
        now = time.monotonic() - self._since if self._since is not None else 0.0
        return PAUSE_SECONDS + self._received / LEAST_BYTES_PER_SECOND - self._waited - now

    def give_up(self) -> None:
        """End the waiting, from another thread."""
        with suppress(OSError):  # it is gone already
            self.sock.shutdown(socket.SHUT_RD)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """As gunicorn's. Raises SlowClientError."""
        allowed = self.allowed
        if allowed <= 0:
            raise SlowClientError
        self._since, before = time.monotonic(), self.sock.gettimeout()
        self.sock.settimeout(min(allowed, before or allowed))
        try:
            with self._waiting.holding(self):
                data: bytes = super().chunk(size_hint)
        except TimeoutError as error:
            raise SlowClientError from error
        finally:
            self.sock.settimeout(before)
            self._waited += time.monotonic() - self._since
            self._since = None
        self._received += len(data)
        return data


class Connection(TConn):
    """A connection whose request's head is being read."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any, *, waiting: Waiting) -> None:
        super().__init__(cfg, sock, client, server)
        self.head = bytearray()
        self.parser = get_parser(cfg, sock, client)
        self.parser.unreader = PacedUnreader(sock, waiting)


class PatientWorker(ThreadWorker):
    """For plain HTTP/1.1, on a machine of its own or behind a proxy that ends TLS."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting = Waiting(self.cfg.threads)

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, and wait for its head."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        server = listener.getsockname()
        self._await_head(Connection(self.cfg, client, address, server, waiting=self._waiting))

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        """A kept connection's next request begins."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        conn.parser.unreader.begin()
        self._await_head(conn)

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """As gunicorn's, in a thread; an answer that nobody takes is given up.

        Where most of a body is left unread, as of a refused upload, gunicorn ends the connection: it says so.
        """
        conn.sock.settimeout(ANSWER_SECONDS)
        asked = req.should_close
        req.should_close = lambda: asked() or getattr(req.body.reader, "length", 0) > _DRAIN_MAX_BYTES
        return super().handle_request(req, conn)

    def _await_head(self, conn: Connection) -> None:
        conn.head.clear()
        conn.timeout = time.monotonic() + HEAD_SECONDS
        conn.sock.setblocking(False)
        self.pending_conns.append(conn)  # in the order of their time-outs, at which gunicorn closes them
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_head, conn))

    def _on_head(self, conn: Connection, client: socket.socket) -> None:
        try:
            data = client.recv(MOST_HEAD_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        conn.head += data
        is_complete = _HEAD_END in conn.head
        if data and not is_complete and len(conn.head) <= MOST_HEAD_BYTES:
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if is_complete:
            conn.parser.unreader.unread(bytes(conn.head))
            conn.data_ready = True
            self.enqueue_req(conn)
            return
        if data:
            self._refuse(client)
        self.nr_conns -= 1
        conn.close()

    def _refuse(self, client: socket.socket) -> None:
        try:
            client.send(_TOO_LARGE)
        except OSError as error:
            self.log.debug("a refused client is gone: %s", error)
