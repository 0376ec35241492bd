"""Connections to Valkey for cache and rates: while it hangs, nobody waits for it twice."""

from __future__ import annotations

from functools import cache
from typing import Any

from redis import Redis
from redis.connection import AbstractConnection, Connection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from portal.silence import Silence

# Valkey answers within a millisecond; on a machine that is busy beyond measure, within a second.
ANSWER_SECONDS = 2.0


class Pool(ConnectionPool):
    """redis-py's, whose connections remember together that a server is silent."""

    def __init__(self, connection_class: Any = Connection, **options: Any) -> None:
        options = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS, **options}
        super().__init__(connection_class=_remembering(connection_class), **options)


@cache
def client(url: str) -> Redis:
    """The one of this process for a server."""
    return Redis(connection_pool=Pool.from_url(url))


def answers(url: str) -> bool:
    """Whether there is a Valkey that answers."""
    return not why_away(url)


def why_away(url: str) -> str:
    """Why it does not answer, in the words of its client; "" where it does."""
    try:
        client(url).ping()
    except RedisError as error:
        return str(error) or type(error).__name__
    return ""


@cache
def _silence_of(address: str) -> Silence:
    return Silence(f"Valkey at {address}")


@cache
def _remembering(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    return type(f"Remembering{kind.__name__}", (_Remembering, kind), {})


class _Remembering(AbstractConnection):
    """What is added to redis-py's connections, over a socket of any kind."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        path = options.get("path")
        self._silence = _silence_of(path or f"{options.get('host')}:{options.get('port')}")

    def connect(self) -> None:
        """Called before each command, also where there is a connection."""
        if self._silence.refuses():
            raise RedisConnectionError("Valkey gave no answer a moment ago.")
        try:
            super().connect()
        except RedisTimeoutError:
            self._silence.began()
            raise

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            response = super().read_response(*args, **options)
        except RedisTimeoutError:
            self._silence.began()
            raise
        self._silence.ended()
        return response
