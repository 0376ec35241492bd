"""One program examined: its code and its tests run in two boxes, and what they did becomes a verdict.

A pass is what the tests' box reports after its tests have run to their end. The code's box has no way to say
it: it does not hold the tests, the report's pipe or anything that the report depends on but its own answers.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
import time
from pathlib import Path

from evaluation.errors import DataError, SandboxError
from evaluation.sandbox import cgroups
from evaluation.sandbox.box import Box
from evaluation.sandbox.languages import Pair, prepare
from evaluation.sandbox.program import Limits, Outcome, Program, Verdict
from evaluation.sandbox.watching import Breach, wait

_REPORT_BYTES = 1 << 16
_DETAIL_CHARACTERS = 2_000
# Between the end of the code's process and bubblewrap's word of it.
_GRACE_SECONDS = 2.0
# How the interpreters and the C++ library say that they got no memory.
_NO_MEMORY = re.compile(r"\bMemoryError\b|std::bad_alloc|heap out of memory|[Aa]llocation failed")
_REPORTABLE = {
    verdict.value: verdict
    for verdict in (Verdict.PASSED, Verdict.FAILED, Verdict.NOT_COMPILED, Verdict.ENDED_EARLY)
}


def examine(program: Program, limits: Limits, stopping: threading.Event) -> Outcome:
    """Run one program. Raises SandboxError where the sandbox itself failed, DataError where the tests cannot
    be run whatever the code is, StoppedError once `stopping` is set.
    """
    # Where boxes have control groups, these tell whose processes were killed.
    grouped = cgroups.hierarchy() is not None
    started, killed_before = time.monotonic(), _out_of_memory_kills()
    pair = prepare(program, limits, stopping)
    found = pair if isinstance(pair, Breach) else _run(pair, limits, stopping)
    maybe_killed = found.verdict in (Verdict.ENDED_EARLY, Verdict.NOT_COMPILED)
    if maybe_killed and not grouped and _out_of_memory_kills() > killed_before:
        raise SandboxError("the machine ran out of memory while a program ran, and may have killed it")
    detail = "" if found.verdict is Verdict.PASSED else printable(found.detail)
    return Outcome(found.verdict, detail, time.monotonic() - started)


def printable(text: str) -> str:
    """The end of a text, without control characters."""
    kept = "".join(c for c in text if c.isprintable() or c in "\n\t").strip()
    return kept if len(kept) <= _DETAIL_CHARACTERS else "…" + kept[1 - _DETAIL_CHARACTERS :]


def _run(pair: Pair, limits: Limits, stopping: threading.Event) -> Breach:
    with contextlib.ExitStack() as boxes:
        code, tests = _start(pair, boxes)
        breach = wait(tests, (code,), limits.wall_seconds, stopping)
        if breach is None and _report(tests)[0] == Verdict.ENDED_EARLY:
            wait(code, (), _GRACE_SECONDS, stopping)  # for how it ended
        return breach or _judged(code, tests)


def _start(pair: Pair, boxes: contextlib.ExitStack) -> tuple[Box, Box]:
    """Both boxes, which alone hold the pipes between them."""
    with contextlib.ExitStack() as ends:
        try:
            to_code, to_tests = _pipe(ends), _pipe(ends)
        except OSError as error:
            raise SandboxError(f"the sandbox could not be started: {error}") from error
        code = boxes.enter_context(Box(pair.code, (to_code[0], to_tests[1])))
        tests = boxes.enter_context(Box(pair.tests, (to_tests[0], to_code[1]), result_bytes=_REPORT_BYTES))
    return code, tests


def _pipe(ends: contextlib.ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    ends.callback(os.close, reading)
    ends.callback(os.close, writing)
    return reading, writing


def _report(tests: Box) -> tuple[str, str]:
    """The tests' verdict and detail; empty where there is no report."""
    verdict, _, detail = tests.result.text.partition("\n") if tests.result else ("", "", "")
    return verdict, detail


def _judged(code: Box, tests: Box) -> Breach:
    """What two boxes came to that stayed within the limits which are watched."""
    if tests.failed:
        raise SandboxError(f"bubblewrap failed to start a program's tests: {printable(tests.output.text)}")
    verdict, detail = _report(tests)
    if verdict == "unusable":
        raise DataError(detail)
    if verdict not in _REPORTABLE:
        return _without_report(tests)
    if verdict == Verdict.ENDED_EARLY:
        return _ended_early(code)
    if verdict == Verdict.FAILED and _NO_MEMORY.search(detail.partition("\n")[0]):
        return Breach(Verdict.OUT_OF_MEMORY, detail)
    return Breach(_REPORTABLE[verdict], detail or code.output.text)


def _without_report(tests: Box) -> Breach:
    """The tests work on the code's answers: answers that take too much time or memory are its fault."""
    if tests.exit_code == 128 + signal.SIGXCPU:
        return Breach(Verdict.TIMED_OUT, "comparing its answers took too long")
    if _NO_MEMORY.search(tests.output.text):
        return Breach(Verdict.OUT_OF_MEMORY, "its answers take too much memory")
    said = printable(tests.output.text)
    raise SandboxError(f"the tests' process ended with status {tests.exit_code} and no verdict: {said}")


def _ended_early(code: Box) -> Breach:
    """Why the code's process was gone before its tests were finished."""
    status, said = code.exit_code, code.output.text
    if code.failed:
        raise SandboxError(f"bubblewrap failed to start a program: {printable(said)}")
    ignored_signal = status == 128 + signal.SIGKILL and code.seconds >= code.ceilings.cpu_seconds
    if status == 128 + signal.SIGXCPU or ignored_signal:
        return Breach(Verdict.TIMED_OUT, f"more than {code.ceilings.cpu_seconds} seconds of processor time")
    if _NO_MEMORY.search(said):
        return Breach(Verdict.OUT_OF_MEMORY, said)
    if status is None:
        how = "closed its pipe"
    elif status > 128:
        how = f"was ended by signal {status - 128}"
    else:
        how = f"ended with status {status}"
    return Breach(Verdict.ENDED_EARLY, f"{said}\nthe program {how} before its tests were finished")


def _out_of_memory_kills() -> int:
    """How many processes the kernel has killed for want of memory, on the whole machine."""
    for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
