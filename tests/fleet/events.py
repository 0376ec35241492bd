"""What happens to the fleet while people use it, and how long the work takes to go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import psutil
from django.db import connection

from portal.runs.models import Evaluation
from tests.fleet.machines import Fleet, Machine
from tests.fleet.outcome import judged
from tests.fleet.people import Load
from tests.fleet.site import GPU_1, GPU_2, URL, WEB, bring_up, worker_command

CUT_SECONDS = 15.0
"""Longer than a lease, so that what the machine has in hand is taken over."""
LONG_CUT_SECONDS = 45.0
"""Longer than connections are kept without an answer."""
_LIMIT_SECONDS = 180.0


def strike(fleet: Fleet, *, pause: float) -> int:
    """Let it all happen; returns the exit status."""
    bring_up(fleet)
    web, first, second = (fleet.machines[name] for name in (WEB, GPU_1, GPU_2))
    with Load(URL, pause).going_on() as load:
        _told(
            "both machines evaluate", lambda: _until(lambda: _evaluated_by(first) and _evaluated_by(second))
        )
        _told(f"{first.name} cut off for {CUT_SECONDS:.0f} s", lambda: _cut(first, CUT_SECONDS))
        _told(f"{first.name} cut off for {LONG_CUT_SECONDS:.0f} s", lambda: _cut(first, LONG_CUT_SECONDS))
        _told(f"{second.name} lost while it stores a score", lambda: _lose(second))
        _told(f"{second.name} is back", lambda: _come_back(second))
        for machine in (first, second):
            _told(f"{machine.name} upgraded", lambda machine=machine: _upgrade(machine, web))  # type: ignore[misc]
        load.stop_sending()
        _told("all that was sent is published", lambda: _until(lambda: _published() >= len(load.sent)))
        return judged(fleet, load)


def _told(what: str, act: Callable[[], object]) -> None:
    began = time.monotonic()
    act()
    print(f"{what:40} {time.monotonic() - began:6.1f} s", flush=True)


def _cut(machine: Machine, seconds: float) -> None:
    """Until it evaluates again after the network is healed."""
    _until(lambda: _in_hand(machine))
    machine.plug(in_=False)
    time.sleep(seconds)
    machine.plug(in_=True)
    _evaluates_on(machine)


def _lose(machine: Machine) -> None:
    """With a transaction open, whose locks the database keeps for a machine that says nothing. Until the work
    that it had is done by another one."""
    processes = machine.processes()  # known before, as it has to be quick
    _until(lambda: _frozen_while_it_stores(machine, processes))
    machine.lose()
    in_hand = list(Evaluation.objects.filter(worker__startswith=f"{machine.name}:", status="running"))
    if not in_hand:
        raise AssertionError(f"{machine.name} had nothing in hand")
    _until(lambda: all(Evaluation.objects.get(pk=one.pk).status == "succeeded" for one in in_hand))


def _come_back(machine: Machine) -> None:
    machine.plug(in_=True)
    machine.boot()
    machine.start("worker", worker_command(machine))
    _evaluates_on(machine)


def _upgrade(machine: Machine, web: Machine) -> None:
    """As docs/operating.md has it: drained with work in hand, stopped, started anew, resumed."""
    _until(lambda: _in_hand(machine))
    _workers(web, "drain", machine.name, "--reason", "upgrade", "--wait", str(_LIMIT_SECONDS))
    if status := machine.end("worker"):
        raise OSError(f"the worker of {machine.name} ended with status {status}")
    machine.start("worker", worker_command(machine))
    _workers(web, "resume", machine.name)
    _evaluates_on(machine)


def _workers(web: Machine, *words: str) -> None:
    web.run("workers", [sys.executable, "manage.py", "workers", *words])


def _evaluates_on(machine: Machine) -> None:
    before = _evaluated_by(machine)
    _until(lambda: _evaluated_by(machine) > before)


def _evaluated_by(machine: Machine) -> int:
    return Evaluation.objects.filter(worker__startswith=f"{machine.name}:", status="succeeded").count()


def _in_hand(machine: Machine) -> bool:
    return Evaluation.objects.filter(worker__startswith=f"{machine.name}:", status="running").exists()


def _frozen_while_it_stores(machine: Machine, processes: Sequence[psutil.Process]) -> bool:
    """All stand still, if one has a transaction open at this moment that has locked its evaluation."""
    if not _stores(machine):
        return False
    for process in processes:
        process.suspend()
    time.sleep(0.05)  # what it had sent before has arrived
    if _stores(machine) and _in_hand(machine):  # else it was about to take one
        return True
    for process in processes:
        process.resume()
    return False


def _stores(machine: Machine) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)"
            " WHERE host(client_addr) = %s AND state = 'idle in transaction'"
            " AND relation = 'runs_evaluation'::regclass AND mode = 'RowShareLock'",
            [machine.address],
        )
        return bool(cursor.fetchone()[0])


def _published() -> int:
    return Evaluation.objects.filter(submission__status="published").values("submission").distinct().count()


def _until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not come within {_LIMIT_SECONDS:.0f} s")
        time.sleep(0.005)
