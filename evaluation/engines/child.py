"""A process of an engine's own: started with a clean environment, asked, and ended without leftovers.

Both sides speak JSON lines. The child ends itself when its stdin ends, so that it outlives nobody, however
its parent dies; whatever it started is in its process group and ends with it.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from evaluation import memory_kills
from evaluation.errors import (
    CheckpointError,
    DiskError,
    EngineCrashError,
    EvaluationError,
    MemoryTakenError,
    ModelError,
    OutOfMemoryError,
    outage_of,
)

logger = logging.getLogger(__name__)

# What a child may see of the environment: paths, locale, threads and devices, nothing else.
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "XDG_CACHE_HOME",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "CUDA_HOME",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
)
_ERRORS = {
    kind.code: kind
    for kind in (CheckpointError, DiskError, EngineCrashError, MemoryTakenError, ModelError, OutOfMemoryError)
}
_LAST_LINES = 30


class Child:
    """The running process of `python -m <module>`."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._module = module
        # What the child's libraries leave in the folder for temporary files goes with the child.
        self._folder = tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child runs
        root = Path(__file__).resolve().parents[2]
        self._memory_kills = memory_kills.count()
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._popen = subprocess.Popen(
            # -P: nothing in the current folder may pass for a module.
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**passed_on, "PYTHONPATH": str(root), "TMPDIR": self._folder.name, **environment},
            start_new_session=True,
            text=True,
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        """The one reply to a command. Raises what the child raised, and EngineCrashError when it ended."""
        self.send(command)
        return next(self.replies())

    def send(self, command: Mapping[str, Any]) -> None:
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(json.dumps(command) + "\n")
            self._popen.stdin.flush()
        except BrokenPipeError as error:
            raise self._crash() from error

    def replies(self) -> Iterator[dict[str, Any]]:
        """What the child says, without end; errors as with `ask`."""
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            if not line.endswith("\n"):
                break  # it ended within a word
            reply: dict[str, Any] = json.loads(line)
            if "error" in reply:
                raise _ERRORS[reply["error"]](reply["message"])
            yield reply
        raise self._crash()

    def end(self) -> None:
        """End the process and all that it started."""
        with suppress(ProcessLookupError):  # when nothing of the group is left
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):  # what was still unsent has no reader any more
                stream.close()
        self._log.close()
        self._folder.cleanup()

    def _crash(self) -> EvaluationError:
        status = self._popen.wait()
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        logger.error("%s ended with status %d:\n%s", self._module, status, "\n".join(lines[-_LAST_LINES:]))
        if status == -signal.SIGKILL:
            if memory_kills.happened_since(self._memory_kills):
                return MemoryTakenError("the engine's process was killed: the machine's memory ran out")
            return EngineCrashError("the engine's process was killed")
        return EngineCrashError(
            f"the engine's process ended with status {status}: {lines[-1] if lines else 'it said nothing'}"
        )


class Parent:
    """The other end, for the module that runs in the child: commands come in, replies go out.

    When there are no more commands, the process ends, in the middle of its work too.
    """

    def __init__(self) -> None:
        # Libraries print. Replies get the original stdout for themselves; what is printed goes to stderr.
        self._replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def commands(self) -> Iterator[dict[str, Any]]:
        while True:
            yield self._commands.get()

    def _read(self) -> None:
        for line in sys.stdin:
            self._commands.put(json.loads(line))
        os.killpg(os.getpgrp(), signal.SIGKILL)  # nobody is left to hear of it

    def say(self, **reply: Any) -> None:
        self._replies.write(json.dumps(reply) + "\n")
        self._replies.flush()

    def refuse(self, error: EvaluationError) -> None:
        self.say(error=(outage_of(error) or error).code, message=str(error))
