"""One machine's site looks after itself: what dies is started again, and an operator reads one line."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from portal.machine import embedded, processes, static_files
from portal.machine.processes import LAST_PAUSE_SECONDS, Retry, Site
from portal.management.commands.serve import loopback_environment, port_number

LIVES = [sys.executable, "-c", "import time; time.sleep(600)"]
DIES = [sys.executable, "-c", "print('no such port'); raise SystemExit(3)"]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


@pytest.fixture
def site(
    monkeypatch: pytest.MonkeyPatch, said: list[str], settings: Any, tmp_path: Path, handlers: None
) -> Iterator[Site]:
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(processes, "commands", lambda *_: {"web": LIVES, "worker": LIVES})
    with Site("127.0.0.1", 1, {}, said.append) as site:
        yield site


def until_ended(site: Site, name: str) -> None:
    site._running[name].wait(30)


def test_a_process_that_dies_is_started_again_with_a_line(site: Site, said: list[str]) -> None:
    first = site._running["worker"]
    first.kill()
    until_ended(site, "worker")
    while site._running["worker"] is first:
        site.check()
        time.sleep(0.05)
    assert site._running["worker"].poll() is None
    (line,) = said
    assert line.startswith("worker ended with status -9; starting it again in 1 s. Its log: ")


def test_a_process_that_keeps_dying_does_not_end_the_site(site: Site, said: list[str]) -> None:
    site._commands["worker"] = DIES
    site._running["worker"].kill()
    while len(said) < 3:
        site.check()
        time.sleep(0.05)
    assert [line.partition(". ")[0] for line in said[1:]] == [
        "worker ended with status 3; starting it again in 2 s",
        "worker ended with status 3; starting it again in 4 s",
    ]
    assert site._running["web"].poll() is None


def test_the_pauses_grow_to_a_bound_and_a_long_life_ends_them() -> None:
    retry = Retry()
    pauses = []
    for _ in range(8):
        retry.begins()
        pauses.append(retry.ended())
    assert pauses == [1, 2, 4, 8, 16, 32, 60, LAST_PAUSE_SECONDS]
    retry.started -= 1000
    assert retry.ended() == 0 and retry.is_due


def test_a_web_process_that_cannot_start_ends_the_start_with_its_words(site: Site) -> None:
    site._running["web"].kill()
    until_ended(site, "web")
    site._commands["web"] = DIES
    site._start("web")
    until_ended(site, "web")
    with pytest.raises(CommandError, match=r"ended with status 3; its log .*\nno such port"):
        site.wait_until_ready()


def test_embedded_servers_that_are_killed_come_back(
    site: Site, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = Path(tempfile.mkdtemp(prefix="flowertune-test-", dir="/tmp"))
    monkeypatch.setenv("EMBEDDED_STATE_DIR", str(state))
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.delenv("REDIS_URL")
    try:
        embedded.ensure_postgres(state, durable=False)
        embedded.ensure_valkey(state)
        killed = [service.pid for service in embedded.status(state)]
        for pid in killed:
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        while any(service.pid in (None, *killed) for service in embedded.status(state)):
            site.check()
        assert [line.split()[:2] for line in said] == [["postgres", "ended;"], ["valkey", "ended;"]]
    finally:
        embedded.stop(state)
        shutil.rmtree(state)


def test_servers_of_the_operators_own_are_left_to_the_operator(site: Site, said: list[str]) -> None:
    site.check()  # the tests' own are given by URL, and the state folder's may run or not
    assert said == []


@pytest.mark.parametrize("text", ["0", "65536", "99999999999", "-1", "http", "\u0661"])
def test_a_port_that_is_none_is_refused_by_the_option(text: str) -> None:
    with pytest.raises(Exception, match="is no port: 1 to 65535"):
        port_number(text)


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert Site("::1", 8000, {}, print).url == "http://[::1]:8000"
    assert loopback_environment("::1", 8000)["SITE_URL"] == "http://[::1]:8000"


def test_static_files_are_collected_once_and_again_when_one_changes(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "site.css").write_text("a {}")
    settings.STATICFILES_DIRS, settings.STATIC_ROOT = [source], tmp_path / "static"
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    collected = []

    def counted(*args: Any, **options: Any) -> None:
        collected.append(args)
        call_command(*args, **options)

    monkeypatch.setattr(static_files, "call_command", counted)
    static_files.collect()
    static_files.collect()
    assert len(collected) == 1 and (tmp_path / "static" / "site.css").read_text() == "a {}"
    (source / "site.css").write_text("b { color: red }")
    static_files.collect()
    assert (tmp_path / "static" / "site.css").read_text() == "b { color: red }"
