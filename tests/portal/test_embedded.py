"""The embedded PostgreSQL and Valkey: real servers, real crashes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from kombu import Connection

from portal.addresses import celery_broker
from portal.environment import Environment
from portal.machine import embedded
from portal.machine.daemons import ServiceError

ROOT = Path(__file__).resolve().parent.parent.parent
# What another process of the project does: it starts the services, says so, and goes on.
USER = (
    "import sys; from pathlib import Path; from portal.machine.embedded import *; state = Path(sys.argv[1]); "
)
START_AND_WAIT = (
    USER + "ensure_postgres(state); ensure_valkey(state); print('up', flush=True); sys.stdin.read()"
)


@pytest.fixture(scope="module")
def common_state() -> Iterator[Path]:
    # Not pytest's folder: as root the servers' account must cross it, and pytest closes it again and again.
    state = Path(tempfile.mkdtemp(prefix="flowertune-test-", dir="/tmp"))
    yield state
    embedded.stop(state)
    shutil.rmtree(state)


@pytest.fixture
def state(common_state: Path) -> Path:
    """A state folder with both servers up. Tests share it: to create the database takes a second."""
    start(common_state)
    return common_state


def start(state: Path) -> None:
    embedded.ensure_postgres(state, durable=False)
    embedded.ensure_valkey(state)


def query(state: Path, statement: str) -> object:
    with psycopg.connect(embedded.ensure_postgres(state, durable=False), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def valkey(state: Path) -> redis.Redis:
    return redis.Redis.from_url(embedded.ensure_valkey(state), decode_responses=True)


def pids(state: Path) -> dict[str, int | None]:
    return {service.name: service.pid for service in embedded.status(state)}


def family(state: Path) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter()
        if process.name() in ("postgres", "valkey-server")
        and process.status() != psutil.STATUS_ZOMBIE
        and process.cwd().startswith(str(state))
    ]


def start_user(state: Path) -> subprocess.Popen[str]:
    """Start another process that uses the services until its input ends, without waiting for it."""
    command = [sys.executable, "-c", START_AND_WAIT, str(state)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for_user(user: subprocess.Popen[str]) -> None:
    assert user.stdout is not None
    assert user.stdout.readline() == "up\n"


def end_user(user: subprocess.Popen[str]) -> None:
    user.communicate()
    assert user.returncode == 0


def kill(state: Path, name: str) -> int:
    """Kill a server and return its former pid."""
    pid = pids(state)[name]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while pids(state)[name] is not None:
        time.sleep(0.01)
    return pid


def command_line(action: str, state: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "portal.machine.embedded", action, "--state", str(state)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


def test_postgres_answers_in_utf8_and_listens_on_no_network(state: Path) -> None:
    assert query(state, "SELECT upper('Grüße') || current_setting('server_encoding')") == "GRÜßEUTF8"
    assert query(state, "SELECT current_setting('listen_addresses')") == ""


def test_valkey_never_evicts_and_listens_on_no_network(state: Path) -> None:
    with valkey(state) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("port") == {"port": "0"}


def test_celery_transport_carries_a_message(state: Path) -> None:
    with Connection(celery_broker(embedded.ensure_valkey(state))) as connection:
        queue = connection.SimpleQueue("test")
        queue.put({"evaluation": 7})
        message = queue.get(timeout=60)
        message.ack()
        queue.close()
    assert message.payload == {"evaluation": 7}


def test_only_their_owner_can_reach_the_sockets_and_it_is_never_root(state: Path) -> None:
    folder = (state / "sockets").resolve()
    assert folder.stat().st_mode & 0o077 == 0
    assert all(process.uids().effective == folder.stat().st_uid != 0 for process in family(state))


def test_a_second_start_finds_the_first(state: Path) -> None:
    before = pids(state)
    start(state)
    assert pids(state) == before


def test_servers_that_are_configured_elsewhere_are_not_started(tmp_path: Path) -> None:
    elsewhere = Environment(
        database_url="postgresql://db/x", redis_url="redis://broker", embedded_state_dir=tmp_path / "none"
    )
    with embedded.running(elsewhere):
        assert list(tmp_path.iterdir()) == []


def test_processes_that_start_at_once_share_one_pair(state: Path) -> None:
    embedded.stop(state)
    users = [start_user(state) for _ in range(3)]
    for user in users:
        wait_for_user(user)
    running = set(pids(state).values())
    assert [process.pid for process in family(state) if process.ppid() not in running] == sorted(
        filter(None, running)
    )
    for user in users:
        end_user(user)


def test_the_servers_outlive_a_killed_starter(state: Path) -> None:
    embedded.stop(state)
    user = start_user(state)
    wait_for_user(user)
    before = pids(state)
    user.kill()
    user.communicate()
    assert query(state, "SELECT 1") == 1
    assert pids(state) == before


def test_a_killed_postgres_starts_again_with_its_data(state: Path) -> None:
    query(state, "CREATE TABLE kept AS SELECT 42 AS answer")
    pid = kill(state, "postgres")
    assert query(state, "SELECT answer FROM kept") == 42
    assert pids(state)["postgres"] != pid


def test_a_killed_valkey_starts_again_with_its_last_snapshot(state: Path) -> None:
    with valkey(state) as client:
        client.set("kept", "yes")
        client.save()
    kill(state, "valkey")
    with valkey(state) as client:
        assert client.get("kept") == "yes"


def test_pid_files_whose_number_belongs_to_another_process_block_nothing(state: Path) -> None:
    postgres = state / "postgres" / "postmaster.pid"
    recorded = postgres.read_text()
    embedded.stop(state)
    ours = str(os.getpid())
    postgres.write_text(recorded.replace(recorded.splitlines()[0], ours, 1))
    (state / "valkey" / "valkey.pid").write_text(ours)
    (state / "sockets" / ".s.PGSQL.5432.lock").write_text(ours)
    assert pids(state) == {"postgres": None, "valkey": None}
    assert query(state, "SELECT 1") == 1
    with valkey(state) as client:
        assert client.ping()


def test_stop_saves_everything_leaves_no_process_and_can_be_repeated(state: Path) -> None:
    with valkey(state) as client:
        client.set("saved", "yes")
    assert embedded.stop(state) == ("valkey", "postgres")
    assert family(state) == []
    assert list((state / "sockets").iterdir()) == []
    assert embedded.stop(state) == ()
    with valkey(state) as client:
        assert client.get("saved") == "yes"


def test_the_last_user_stops_them(state: Path) -> None:
    user = start_user(state)
    wait_for_user(user)
    assert not embedded.stop_unless_used(state)
    assert family(state)
    end_user(user)
    assert embedded.stop_unless_used(state)
    assert family(state) == []


def test_services_started_by_hand_stay_until_stopped_by_hand(state: Path) -> None:
    assert command_line("start", state).returncode == 0
    assert not embedded.stop_unless_used(state)
    shown = command_line("status", state)
    assert shown.returncode == 0
    assert f"pid {pids(state)['postgres']} since" in shown.stdout
    assert command_line("stop", state).stdout == "stopped: valkey, postgres\n"
    shown = command_line("status", state)
    assert shown.returncode == 3
    assert shown.stdout.count("not running") == 2


def test_a_start_ends_servers_whose_data_was_deleted(state: Path) -> None:
    before = family(state)
    for name in ("postgres", "valkey", "sockets"):
        shutil.rmtree(state / name)
    assert query(state, "SELECT 1") == 1
    with valkey(state) as client:
        assert client.dbsize() == 0
    assert not [
        process for process in before if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def test_a_path_too_long_for_a_socket_gets_a_short_folder_that_stop_removes(common_state: Path) -> None:
    deep = common_state / ("deep-" * 12) / ("folder " * 8)
    assert query(deep, "SELECT 1") == 1
    with valkey(deep) as client:
        assert client.ping()
    short = (deep / "sockets").readlink()
    shutil.rmtree(short)  # as a reboot does
    embedded.stop(deep)
    with valkey(deep) as client:
        assert client.ping()
    short = (deep / "sockets").readlink()
    assert embedded.stop(deep) == ("valkey",)
    assert not short.exists()


def test_an_interrupted_creation_is_begun_anew(common_state: Path) -> None:
    state = common_state / "interrupted"
    (state / "postgres.draft").mkdir(parents=True)
    (state / "postgres.draft" / "PG_VERSION").write_text("18\n")
    assert query(state, "SELECT 1") == 1
    assert embedded.stop(state) == ("postgres",)


def test_a_failed_start_shows_the_log(state: Path) -> None:
    embedded.stop(state)
    version = state / "postgres" / "PG_VERSION"
    version.write_text("9\n")
    with pytest.raises(ServiceError, match=r"(?s)incompatible with server.*logs/postgres\.log"):
        embedded.ensure_postgres(state)
    version.write_text("18\n")
    assert query(state, "SELECT 1") == 1
