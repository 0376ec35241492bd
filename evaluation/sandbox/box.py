"""One command in isolation: started with bubblewrap (bwrap(1)) and killed with all it started.

A box has its own process, network, mount, IPC, UTS and cgroup namespaces, and a user who owns nothing of
the host. It holds what the command's mounts name, read-only, a small private /tmp, two files of its own in
/dev, and no /proc. It runs without capabilities, without the caller's environment, under the filter of
`seccomp` and, where there are some, in a control group.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluation.errors import SandboxError
from evaluation.sandbox import cgroups, seccomp, usage
from evaluation.sandbox.identity import identity
from evaluation.sandbox.program import Verdict
from evaluation.sandbox.toolchains import Mounts, find, read_only

_CHUNK = 1 << 16
_RANDOM_BYTES = 1 << 16
_MOST_FILES = 1_000
_STACK_BYTES = 8 * 1024**2
_ADDRESS_BYTES = 32 * 1024**3
# How long bubblewrap may take to say which process it started, or to end once that process is killed.
_PATIENCE_SECONDS = 20
_ENVIRONMENT = {"HOME": "/tmp", "LANG": "C.UTF-8", "PATH": "/usr/bin", "TZ": "UTC"}  # noqa: S108 - inside


@dataclass(frozen=True)
class Ceilings:
    """What a box may take. `processes` includes threads; `forks` tells whether there may be processes."""

    cpu_seconds: int
    memory_bytes: int
    processes: int
    file_bytes: int
    output_bytes: int
    forks: bool = False


@dataclass(frozen=True)
class Command:
    """What runs in a box, and what it sees there: `files` by path, read-only and executable.

    The numbers of the descriptors that the box inherits follow the arguments.
    """

    arguments: tuple[str, ...]
    mounts: Mounts
    ceilings: Ceilings
    files: Mapping[str, bytes] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Descriptors:
    """What bubblewrap is given: where it writes, and where it waits before it starts the command."""

    output: int
    error: int
    reporting: int
    gate: int


class Stream:
    """The reading end of a pipe, read up to a limit."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self.descriptor = descriptor
        self.data = bytearray()
        self._limit = limit

    def read(self) -> bool:
        """Read what is there, waiting for something; false at the end of the stream."""
        chunk = os.read(self.descriptor, _CHUNK)
        self.data += chunk
        return bool(chunk)

    @property
    def exceeded(self) -> bool:
        return len(self.data) > self._limit

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


class Box:
    """A running command; leaving the context kills it and waits until nothing of it is left.

    `output` is what it prints. With `result_bytes`, its standard output is kept apart as `result`. `busy`
    tells whether something in it ran, or would have on a free core, when its limits were last looked at.
    Raises SandboxError when bubblewrap cannot be started.
    """

    def __init__(self, command: Command, inherited: Sequence[int] = (), result_bytes: int = 0) -> None:
        self.ceilings = command.ceilings
        self._started = time.monotonic()
        self.result: Stream | None = None
        self.busy = True
        self._init_handle: int | None = None
        with contextlib.ExitStack() as undo, _as_sandbox_errors():
            # One process more than the program may have: the box's first.
            self._group = undo.enter_context(
                cgroups.group(self.ceilings.memory_bytes, self.ceilings.processes + 1)
            )
            gate, opening = _pipe(undo)
            with contextlib.ExitStack() as ends:
                self.output, printing = _stream(command.ceilings.output_bytes, undo, ends)
                self._status, reporting = _stream(_CHUNK, undo, ends)
                standard_output = printing
                if result_bytes:
                    self.result, standard_output = _stream(result_bytes, undo, ends)
                self._monitor = self._start(
                    command, inherited, _Descriptors(standard_output, printing, reporting, gate)
                )
            undo.callback(self._kill)
            self.ended = os.pidfd_open(self._monitor.pid)
            undo.callback(os.close, self.ended)
            self._init = self._await_init()
            if self._init is not None:
                with contextlib.suppress(ProcessLookupError):  # it has failed, and says so
                    self._group.add(self._init)
            os.write(opening, b"x")
            self._undo = undo.pop_all()

    @staticmethod
    def _start(command: Command, inherited: Sequence[int], given: _Descriptors) -> subprocess.Popen[bytes]:
        """bubblewrap, which waits at the gate before it starts the command; the command's input is empty."""
        who = identity()
        with contextlib.ExitStack() as sources:
            nothing, _ = _pipe(sources)
            files, descriptors = _files(command, sources)
            mounts = (*command.mounts, *who.mounts, *files)
            return subprocess.Popen(
                [
                    *_without_core_dumps(),
                    *(str(find("bwrap")), *who.arguments, *_folders(mounts), *mounts),
                    *("--json-status-fd", str(given.reporting), "--block-fd", str(given.gate), "--"),
                    *(*who.entry, *_limited(command), *map(str, inherited)),
                ],
                stdin=nothing,
                stdout=given.output,
                stderr=given.error,
                pass_fds=(*inherited, *descriptors, given.reporting, given.gate),
                env={},
                cwd="/",
                start_new_session=True,
                user=who.user,
                group=who.user,
                extra_groups=None if who.user is None else (),
            )

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @property
    def streams(self) -> tuple[Stream, ...]:
        streams = (self.output, self._status)
        return streams if self.result is None else (*streams, self.result)

    @property
    def exit_code(self) -> int | None:
        """The command's exit status, 128 and the signal's number when a signal ended it.

        None while it runs, and for ever where bubblewrap failed to start it.
        """
        return self._reported("exit-code")

    @property
    def failed(self) -> bool:
        """Whether bubblewrap ended without having run the command; to be asked once its status is read."""
        return self._monitor.poll() is not None and self.exit_code is None

    @property
    def seconds(self) -> float:
        """Wall-clock time since the start."""
        return time.monotonic() - self._started

    def excess(self) -> tuple[Verdict, str] | None:
        """The limit that the box is found past, if any."""
        if self.output.exceeded or (self.result is not None and self.result.exceeded):
            return Verdict.TOO_MUCH_OUTPUT, f"more than {self.ceilings.output_bytes} bytes of output"
        if self._group.killed:
            if not self._group.full:
                raise SandboxError("the machine ran out of memory while a program ran, and killed it")
            return Verdict.OUT_OF_MEMORY, f"more than {self.ceilings.memory_bytes} bytes of memory"
        if self._init is None:
            return None
        used = usage.of(self._init)
        self.busy = used.running
        if used.memory_bytes > self.ceilings.memory_bytes:
            return Verdict.OUT_OF_MEMORY, f"more than {self.ceilings.memory_bytes} bytes of memory"
        if used.threads > self.ceilings.processes:
            return Verdict.TOO_MANY_PROCESSES, f"more than {self.ceilings.processes} processes and threads"
        if usage.files(self._init, self.ceilings.file_bytes) > _MOST_FILES:
            return Verdict.TOO_MUCH_OUTPUT, f"more than {_MOST_FILES} files"
        return None

    def _reported(self, name: str) -> int | None:
        for line in self._status.data.splitlines(keepends=True):
            if line.endswith(b"\n") and name in (event := json.loads(line)):
                return int(event[name])
        return None

    def _await_init(self) -> int | None:
        """Read until bubblewrap says which process it started, the first of the box, or has failed.

        The handle on that process cannot come to mean another one.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        poll = select.poll()
        poll.register(self._status.descriptor, select.POLLIN)
        while (init := self._reported("child-pid")) is None:
            if time.monotonic() > deadline:
                raise SandboxError("bubblewrap does not say which process it started")
            if poll.poll(100) and not self._status.read():
                return None
        with contextlib.suppress(ProcessLookupError):
            self._init_handle = os.pidfd_open(init)
            return init
        return None

    def _kill(self) -> None:
        """Kill the first process of the box, and with it all others; return when they are gone."""
        if self._monitor.poll() is None:
            if self._init_handle is None:
                self._monitor.kill()
            else:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._init_handle, signal.SIGKILL)
        try:
            self._monitor.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._monitor.kill()
            self._monitor.wait()
            raise SandboxError("bubblewrap did not end with the program that it ran") from None
        finally:
            if self._init_handle is not None:
                _outwait(self._init_handle)
                os.close(self._init_handle)


def _outwait(process: int) -> None:
    """Wait until the process of this handle has ended; bubblewrap ends a moment before its first process.

    That process then belongs to the machine's init, which is us where we are a container's only program.
    """
    poll = select.poll()
    poll.register(process, select.POLLIN)
    if not poll.poll(_PATIENCE_SECONDS * 1_000):
        raise SandboxError("a sandbox's first process outlives it")
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOHANG)


def _pipe(ends: contextlib.ExitStack) -> tuple[int, int]:
    """Its reading and its writing end, which the stack closes."""
    reading, writing = os.pipe()
    ends.callback(os.close, reading)
    ends.callback(os.close, writing)
    return reading, writing


def _stream(limit: int, readers: contextlib.ExitStack, writers: contextlib.ExitStack) -> tuple[Stream, int]:
    """A stream and the descriptor that writes to it; the two stacks close them."""
    reading, writing = os.pipe()
    readers.callback(os.close, reading)
    writers.callback(os.close, writing)
    return Stream(reading, limit), writing


@contextlib.contextmanager
def _as_sandbox_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SandboxError(f"the sandbox could not be started: {error}") from error


def _files(command: Command, sources: contextlib.ExitStack) -> tuple[list[str], list[int]]:
    """Arguments that make the command's files, /tmp and /dev; and the descriptors they name.

    In place of devices there are files of the box's own: one to write to, one of random bytes.
    """
    arguments, descriptors = [*read_only(find("prlimit"), "/sandbox/prlimit")], []
    contents = [
        *(("0555", "--ro-bind-data", path, content) for path, content in command.files.items()),
        ("0444", "--ro-bind-data", "/dev/urandom", os.urandom(_RANDOM_BYTES)),
        ("0666", "--bind-data", "/dev/null", b""),
    ]
    for permissions, bind, path, content in contents:
        descriptors.append(_memory_file(content, sources))
        arguments += ["--perms", permissions, bind, str(descriptors[-1]), path]
    size = str(command.ceilings.file_bytes)
    arguments += ["--perms", "1777", "--size", size, "--tmpfs", "/tmp", "--chdir", "/tmp"]  # noqa: S108
    for name, value in {**_ENVIRONMENT, **command.environment}.items():
        arguments += ["--setenv", name, value]
    filter_program = seccomp.program(forks=command.ceilings.forks)
    descriptors.append(_memory_file(filter_program, sources))
    return [*arguments, "--remount-ro", "/", "--seccomp", str(descriptors[-1])], descriptors


def _folders(mounts: Sequence[str]) -> Iterator[str]:
    """Arguments that make the folders of all mounts, as bubblewrap's own are for their maker alone.

    What is mounted is the last word of each argument.
    """
    followed = zip(mounts, (*mounts[1:], "--"), strict=True)
    places = [
        Path(word) for word, following in followed if word.startswith("/") and following.startswith("--")
    ]
    folders = {parent for place in places for parent in place.parents if parent != Path("/")}
    for folder in sorted(folders):
        yield from ("--dir", str(folder))


def _memory_file(content: bytes, sources: contextlib.ExitStack) -> int:
    """A descriptor from which `content` can be read."""
    descriptor = os.memfd_create("sandbox")
    sources.callback(os.close, descriptor)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _without_core_dumps() -> tuple[str, ...]:
    """What goes before a command that shall leave no core dump, see core(5).

    A limit of one byte also keeps the kernel from starting the host's collector of dumps, if there is one;
    a limit of 0, which is all that can be had below a hard limit of 0, would not.
    """
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    return str(find("prlimit")), f"--core={0 if hard == 0 else 1}", "--"


def _limited(command: Command) -> tuple[str, ...]:
    """The command under its resource limits, see setrlimit(2).

    What a program can write to is limited by RLIMIT_DATA; address space, of which node reserves far more than
    it uses, so that the tables for it stay small. The processor time has a hard limit a second later, for
    programs that ignore the signal.
    """
    ceilings = command.ceilings
    return (
        "/sandbox/prlimit",
        f"--cpu={ceilings.cpu_seconds}:{ceilings.cpu_seconds + 1}",
        f"--data={ceilings.memory_bytes}",
        f"--as={_ADDRESS_BYTES}",
        f"--nproc={ceilings.processes}",
        f"--fsize={ceilings.file_bytes}",
        f"--stack={_STACK_BYTES}",
        *("--nofile=64", "--memlock=0", "--msgqueue=0", "--sigpending=1024"),
        "--",
        *command.arguments,
    )
