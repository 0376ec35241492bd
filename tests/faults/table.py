"""The faults, by what they strike, and which of them are injected in which phase."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import psutil
import redis

from portal.machine import embedded
from tests.faults.parts import WORKERS, Parts
from tests.faults.proxy import Mode, Proxy

Act = Callable[[Parts], None]


def _nothing(_: Parts) -> None:
    """What happened at once needs no end."""


@dataclass(frozen=True)
class Fault:
    """`begin` strikes; what lasts is ended after so many seconds."""

    name: str
    begin: Act
    seconds: float = 0.0
    end: Act = _nothing


def _workers(number: signal.Signals) -> Act:
    def act(parts: Parts) -> None:
        for name in parts.names_at_work():
            parts.kill(name, number)

    return act


def _thaw_workers(parts: Parts) -> None:
    for name in WORKERS:
        parts.kill(name, signal.SIGCONT)


def _children(number: signal.Signals) -> Act:
    def act(parts: Parts) -> None:
        for child in parts.children_at_work():
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)

    return act


def _one(name: str, number: signal.Signals) -> Act:
    return lambda parts: parts.kill(name, number)


def _web_child(parts: Parts) -> None:
    for child in psutil.Process(parts.site._running["web"].pid).children():
        child.kill()


def _between(proxy: Callable[[Parts], Proxy], name: str, mode: Mode, seconds: float) -> Fault:
    def set_to(mode: Mode) -> Act:
        return lambda parts: setattr(proxy(parts), "mode", mode)

    return Fault(name, set_to(mode), seconds, set_to("pass"))


def _hub_answers(status: int) -> Act:
    return lambda parts: setattr(parts.hub, "status", status)


def _empty_broker(parts: Parts) -> None:
    redis.Redis.from_url(embedded.status(parts.services)[1].url).flushall()


def _receiver_answers(code: int) -> Act:
    return lambda parts: setattr(parts.receiver, "code", code)


def _everything(parts: Parts) -> None:
    for name in (*WORKERS, "web", "scheduler"):
        parts.kill(name)
    for child in parts.children():
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _database(parts: Parts) -> Proxy:
    return parts.database


def _broker(parts: Parts) -> Proxy:
    return parts.broker


def _hub(parts: Parts) -> Proxy:
    return parts.hub_proxy


STOP, GO, TERM, KILL = signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM, signal.SIGKILL

FAULTS: dict[str, tuple[Fault, ...]] = {
    "worker": (
        Fault("killed", _workers(KILL)),
        Fault("told to stop", _workers(TERM)),
        Fault("frozen for longer than its lease", _workers(STOP), 6, _thaw_workers),
    ),
    "child": (
        Fault("killed", _children(KILL)),
        Fault("frozen for good", _children(STOP)),
    ),
    "web": (
        Fault("killed", _one("web", KILL)),
        Fault("server's worker killed", _web_child),
        Fault("frozen", _one("web", STOP), 4, _one("web", GO)),
    ),
    "scheduler": (
        Fault("killed", _one("scheduler", KILL)),
        Fault("frozen", _one("scheduler", STOP), 6, _one("scheduler", GO)),
    ),
    "database": (
        Fault("connections cut", lambda parts: parts.database.cut()),
        _between(_database, "unreachable", "refuse", 5),
        _between(_database, "silent", "silent", 5),
        _between(_database, "slow", "slow", 5),
        Fault("killed", lambda parts: parts.server("postgres", KILL)),
        Fault("restarted", lambda parts: parts.server("postgres", signal.SIGINT)),
    ),
    "broker": (
        Fault("connections cut", lambda parts: parts.broker.cut()),
        _between(_broker, "unreachable", "refuse", 5),
        _between(_broker, "silent", "silent", 5),
        Fault("killed", lambda parts: parts.server("valkey", KILL)),
        Fault("emptied", _empty_broker),
    ),
    "hub": (
        Fault("answers 500", _hub_answers(500), 5, _hub_answers(0)),
        Fault("answers 429", _hub_answers(429), 5, _hub_answers(0)),
        Fault("connections cut", lambda parts: parts.hub_proxy.cut()),
        _between(_hub, "unreachable", "refuse", 5),
        _between(_hub, "silent", "silent", 12),
    ),
    "disk": (
        Fault("full", lambda parts: parts.fill(full=True), 4, lambda parts: parts.fill(full=False)),
        Fault("read-only", lambda parts: parts.remount("ro"), 4, lambda parts: parts.remount("rw")),
    ),
    "receiver": (
        Fault("answers 503", _receiver_answers(503), 4, _receiver_answers(200)),
        Fault("gone", _receiver_answers(500), 4, _receiver_answers(200)),
    ),
    "machine": (Fault("everything killed", _everything),),
}

STRUCK_IN: dict[str, tuple[str, ...]] = {
    "draft": ("web", "database", "broker", "disk", "machine"),
    "upload": ("web", "database", "broker", "disk", "machine"),
    "submit": ("web", "database", "broker", "disk", "machine"),
    "hub fetch": ("worker", "scheduler", "database", "broker", "hub", "disk", "machine"),
    "base model fetch": ("worker", "scheduler", "database", "broker", "hub", "disk", "machine"),
    "loading": ("worker", "child", "database", "machine"),
    "scoring": ("worker", "child", "scheduler", "database", "broker", "disk", "machine"),
    "recording": ("worker", "child", "database", "disk"),
    "finishing": ("worker", "database", "broker"),
    "decision": ("web", "database", "broker"),
    "snapshot": ("worker", "database", "broker"),
    "notification": ("worker", "scheduler", "database", "receiver"),
    "rounds": ("worker", "child", "database", "machine"),
    "storing": ("worker", "database", "disk"),
    "its evaluation": ("worker", "child", "database"),
}


@dataclass(frozen=True)
class Injection:
    """One fault in one phase."""

    phase: str
    struck: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.phase}: {self.struck} {self.fault.name}"


INJECTIONS = tuple(
    Injection(phase, struck, fault)
    for phase, areas in STRUCK_IN.items()
    for struck in areas
    for fault in FAULTS[struck]
)


def forget_fetched(parts: Parts) -> None:
    """So that the next evaluation fetches its base model again."""
    shutil.rmtree(parts.var / "hub", ignore_errors=True)
