"""A TCP proxy that cuts, blackholes or delays, and that strikes when certain bytes pass."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

Address = Path | tuple[str, int]
Mode = Literal["pass", "silent", "slow", "refuse"]
Strike = Callable[[], None]

SLOW_SECONDS = 0.15
_PIECE = 1 << 16


class Proxy:
    """Stands before a server. `silent` holds all bytes back, `refuse` takes no connection and cuts all."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self._mode: Mode = "pass"
        self._open: set[socket.socket] = set()
        self._watched: tuple[bytes, int, Strike] | None = None
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode == "refuse":
            self.cut()

    def cut(self) -> None:
        """Reset every connection, as a machine that dies between the two does."""
        with self._lock:
            sockets = list(self._open)
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def watch(self, pattern: bytes, strike: Strike, *, nth: int = 1) -> None:
        """Call `strike` once, before the bytes go on, when a client sends the pattern for the nth time."""
        self._watched = (pattern, nth, strike)

    def unwatch(self) -> None:
        self._watched = None

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._mode == "refuse":
                client.close()
                continue
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = self._dialled()
        except OSError:
            client.close()
            return
        with self._lock:
            self._open |= {client, server}
        threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()
        self._pump(client, server, True)

    def _dialled(self) -> socket.socket:
        if isinstance(self._server, Path):
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            return server
        return socket.create_connection(self._server)

    def _pump(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        tail = b""
        try:
            while data := source.recv(_PIECE):
                if asks:
                    tail = self._look(tail + data)
                while self._mode == "silent":
                    time.sleep(0.02)
                if self._mode == "slow":
                    time.sleep(SLOW_SECONDS)
                target.sendall(data)
        except OSError:
            pass  # cut, or its process is gone
        finally:
            for one in (source, target):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._open.discard(source)
            source.close()

    def _look(self, seen: bytes) -> bytes:
        """Strike where the watched bytes passed; return what the next bytes have to be seen together with."""
        with self._lock:
            if self._watched is None:
                return b""
            pattern, nth, strike = self._watched
            if pattern not in seen:
                return seen[-len(pattern) + 1 :]
            self._watched = (pattern, nth - 1, strike) if nth > 1 else None
        if nth == 1:
            strike()
        return b""
