"""Injects one fault after another and says what became of the work."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.case import Broken, Case, fresh
from tests.faults.parts import Parts
from tests.faults.people import introduce
from tests.faults.phases import PHASES
from tests.faults.remains import left_behind, work_is_left
from tests.faults.table import Injection

QUIET_SECONDS = 90.0


def inject(chosen: Sequence[Injection], parts: Parts) -> int:
    people = introduce(parts)
    times: list[float] = []
    wrong: Counter[str] = Counter()
    for number, injection in enumerate(chosen, 1):
        case = Case(number, injection, parts, people)
        try:
            PHASES[injection.phase](case)
            seconds = case.recovery()
            times.append(seconds)
            verdict = f"{seconds:5.1f} s"
        except Broken as broken:
            wrong[broken.wrong] += 1
            verdict = f"{broken.wrong.upper()}: {broken}"
        finally:
            case.end()
        met = ", ".join(f"{count} x {name}" for name, count in case.errors_met.items())
        print(f"{number:3}  {injection}  {verdict}{f'  (met {met})' if met else ''}", flush=True)
        _until_quiet(parts, lambda: fresh(work_is_left))
    time.sleep(8)  # two rounds of the scheduler's recovery, which clears what the dead left
    remains = fresh(lambda: left_behind(parts))
    for line in remains:
        print(f"left behind: {line}")
    for name in ("lost", "doubled", "stuck", "wrongly failed", "never struck"):
        print(f"{name} {wrong[name]}")
    print(f"left behind {len(remains)}")
    if len(times) > 1:
        p95 = statistics.quantiles(times, n=20)[-1]
        p50, most = statistics.median(times), max(times)
        print(f"recovery of {len(times)}: p50 {p50:.1f} s, p95 {p95:.1f} s, most {most:.1f} s")
    return 1 if wrong or remains else 0


def _until_quiet(parts: Parts, busy: Callable[[], bool]) -> None:
    """All processes run and no work is left, or the next fault would be two."""
    deadline = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < deadline and not (parts.is_up() and not busy()):
        time.sleep(0.2)


def keep_logs(parts: Parts, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for log in (parts.var / "logs").glob("*.log"):
        (folder / log.name).write_bytes(log.read_bytes())
    (folder / "supervisor.log").write_text("\n".join(parts.said))
