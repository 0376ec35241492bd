"""Runs many programs on all cores, and finds out beforehand whether this machine can."""

from __future__ import annotations

import logging
import os
import platform
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from evaluation.errors import SandboxError
from evaluation.sandbox import toolchains
from evaluation.sandbox.cgroups import memory_measure
from evaluation.sandbox.examination import examine
from evaluation.sandbox.program import Language, Limits, Outcome, Program
from evaluation.sandbox.watching import StoppedError

_LOG = logging.getLogger(__name__)

_RETRY_SECONDS = 0.5
_OLDEST_BUBBLEWRAP = (0, 8)
_HINT = (
    "Unprivileged user namespaces must be allowed: see the sysctls user.max_user_namespaces, "
    "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns; a container must be "
    "allowed to create namespaces."
)
# Programs that pass wherever a language works.
_PROBES = {
    Language.PYTHON: ("def one():\n    return 1", "assert one() == 1"),
    Language.JAVASCRIPT: (
        "function one(){ return 1; }",
        "const assert = require('node:assert');\nassert.deepEqual(one(), 1);",
    ),
    Language.CPP: (
        "long one() {\n    return 1;",
        "}\nint main() {\n    auto candidate = one;\n    assert(candidate() == (1));\n}",
    ),
}
# Generous, since a machine may be busy.
_PROBE_LIMITS = Limits(cpu_seconds=20, wall_seconds=120)


def check(languages: Iterable[Language]) -> None:
    """Raises SandboxError where programs of these languages cannot be run in isolation here.

    The text says what is missing and how to get it. Each language is tried with a program that passes.
    """
    if platform.system() != "Linux":
        raise SandboxError("generated programs run only in isolation by bubblewrap, which needs Linux")
    wanted = list(dict.fromkeys(languages))
    for language in wanted:
        toolchains.require(language)
    _check_version()
    for language in wanted:
        outcome = _examine_again(Program(language, *_PROBES[language]), _PROBE_LIMITS, threading.Event())
        if not outcome.passed:
            raise SandboxError(
                f"{language.value} does not work in the sandbox: {outcome.verdict.value}. {outcome.detail}"
            )
    _LOG.info("generated programs are held to their memory by %s", memory_measure())


def run(
    programs: Sequence[Program], limits: Limits, *, workers: int | None = None
) -> Iterator[tuple[int, Outcome]]:
    """Run each program in a fresh sandbox; yield its index and what came of it, as they finish.

    `workers` programs run at a time, by default one for each core that this process may use. Closing the
    iterator ends what runs. Raises SandboxError where the sandbox fails a second time for a program, as it
    does without bubblewrap: a program is never run unprotected, and never blamed for the machine. Raises
    DataError where a program's tests cannot be run, whatever its code.
    """
    stopping = threading.Event()
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0)), "sandbox") as pool:
        futures = {
            pool.submit(_examine_again, program, limits, stopping): index
            for index, program in enumerate(programs)
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            stopping.set()
            pool.shutdown(cancel_futures=True)


def _examine_again(program: Program, limits: Limits, stopping: threading.Event) -> Outcome:
    """Examine, once more after a failure of the sandbox: a machine may have been short of something."""
    if stopping.is_set():
        raise StoppedError
    try:
        return examine(program, limits, stopping)
    except SandboxError:
        time.sleep(_RETRY_SECONDS)
    return examine(program, limits, stopping)


def _check_version() -> None:
    """Raises SandboxError where bubblewrap is too old, or cannot isolate anything here."""
    bubblewrap = str(toolchains.find("bwrap"))
    said = subprocess.run([bubblewrap, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST_BUBBLEWRAP:
        oldest = ".".join(map(str, _OLDEST_BUBBLEWRAP))
        raise SandboxError(f"bubblewrap {oldest} or newer is needed, and this is {said.strip() or 'unknown'}")
    tried = subprocess.run(
        [
            *(bubblewrap, "--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/"),
            *(bubblewrap, "--version"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        raise SandboxError(f"bubblewrap cannot isolate programs here: {tried.stderr.strip()}. {_HINT}")
