"""Where database and broker are: as configured, else those of services that somebody has to start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import addresses
from portal.environment import PROJECT_ROOT, Environment
from portal.machine import embedded
from tests.portal.test_settings import without_services


@pytest.fixture
def var_dir() -> Iterator[Path]:
    # Not pytest's folder: as root the servers' account must cross it.
    with TemporaryDirectory(prefix="flowertune-test-", dir="/tmp") as folder:
        yield Path(folder)


def test_configured_urls_are_left_alone(tmp_path: Path) -> None:
    env = Environment(
        database_url="postgresql://db/x", redis_url="redis://broker", embedded_state_dir=tmp_path
    )
    assert addresses.locate(env) == addresses.Services("postgresql://db/x", "redis://broker")
    addresses.require_embedded(env)


@pytest.mark.parametrize("depth", [0, 12], ids=["short path", "path too long for a socket"])
def test_the_address_of_a_running_service_is_found_without_starting_it(var_dir: Path, depth: int) -> None:
    state = var_dir / ("deep folder " * depth + "services")
    env = Environment(embedded_state_dir=state, database_url="", redis_url="")
    with embedded.running(env):
        started = embedded.ensure_postgres(env.services_state), embedded.ensure_valkey(env.services_state)
        found = addresses.locate(env)
        assert (found.database_url, found.redis_url) == started
        assert state.is_dir()
        addresses.require_embedded(env)
    with pytest.raises(ImproperlyConfigured, match=r"no PostgreSQL and no Valkey of .*services"):
        addresses.require_embedded(env)


@pytest.mark.parametrize("module", ["portal.wsgi", "workers.app"])
def test_a_server_that_finds_no_services_says_what_to_do(tmp_path: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {module}"],
        cwd=PROJECT_ROOT,
        env=without_services(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "portal.machine.embedded start" in done.stderr and "DATABASE_URL" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_django_reads_the_url_as_libpq_does() -> None:
    database = addresses.django_database("postgresql://me:p%40ss@db.example:5433/board?sslmode=require")
    options = database.pop("OPTIONS")
    assert isinstance(options, dict) and options["sslmode"] == "require"
    assert database == {
        "ENGINE": "portal.database",
        "NAME": "board",
        "USER": "me",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "5433",
    }


def test_a_lost_machine_is_given_up_by_both_sides_unless_the_url_says_otherwise() -> None:
    def options(url: str) -> Any:
        return addresses.django_database(url)["OPTIONS"]

    far = options("postgresql://me@db.example/board")
    assert far["tcp_user_timeout"] == 30_000 and "tcp_user_timeout=30000" in far["options"]
    assert options("postgresql://me@db.example/board?tcp_user_timeout=5")["tcp_user_timeout"] == "5"
    assert options("postgresql://me@/board?host=/run/postgresql") == {}


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://:secret@broker:6379/1", "redis://:secret@broker:6379/1"),
        ("unix:///var/valkey.sock", "redis+socket:///var/valkey.sock"),
        ("unix:///var/valkey.sock?db=2", "redis+socket:///var/valkey.sock?virtual_host=2"),
    ],
)
def test_celery_spells_a_socket_differently(url: str, broker: str) -> None:
    assert addresses.celery_broker(url) == broker
