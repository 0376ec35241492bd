"""Runs a server's program as a daemon: under which account, recognised how, ended how."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

START_SECONDS = 60  # the recovery of a large database after a crash takes its time
STOP_SECONDS = 30
ORPHAN_SECONDS = 3  # in which children end by themselves once their parent is gone

_ACCOUNT = "flowertune"
_ADVICE = "run as an ordinary user, or set DATABASE_URL and REDIS_URL"
_SOCKET_PATH_BYTES = 103  # sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included
_LOG_LINES = 20


class ServiceError(RuntimeError):
    """A server could not be started or stopped; the text says why and where its log is."""


@dataclass(frozen=True)
class Owner:
    """The account that the servers run as, where that is not the account of this process."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Server:
    """A server in a state folder. It is recognised by its process, not by its pid file alone.

    Its process has the program's name and the data folder as working directory. After a crash the
    number in a pid file may belong to another process.
    """

    state: Path  # resolved
    name: str
    program: str
    pid_name: str  # in the data folder; the first line is the pid
    stop_signal: signal.Signals  # ends it at once, with everything saved

    @property
    def data(self) -> Path:
        return self.state / self.name

    @property
    def pid_file(self) -> Path:
        return self.data / self.pid_name

    @property
    def log(self) -> Path:
        return self.state / "logs" / f"{self.name}.log"

    def family(self) -> list[psutil.Process]:
        """Return its living processes with their children, also where its data folder has been deleted."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def main_process(self) -> psutil.Process | None:
        """Return the process that the pid file names, if it is this server."""
        lines = read_lines(self.pid_file)
        if not lines or not lines[0].strip().isdigit():
            return None
        try:
            process = psutil.Process(int(lines[0]))
        except psutil.NoSuchProcess:
            return None
        return process if self._owns(process) else None

    def _owns(self, process: psutil.Process) -> bool:
        try:
            is_ours = process.name() == self.program and process.cwd() == str(self.data)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        return is_ours and not _has_ended(process)

    def launch(self, command: list[str], owner: Owner | None) -> None:
        """Run the command that leaves the server behind as a daemon. Raises ServiceError."""
        try:
            execute(command, owner)
        except ServiceError as error:
            raise self.error(f"did not start: {error}") from error

    def becomes_ready(self, is_ready: Callable[[], bool]) -> bool:
        """Wait until it is ready; return False if it ends before. Raises ServiceError after START_SECONDS."""
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if not self.family():
                return False
            if time.monotonic() > deadline:
                raise self.error(f"is not ready after {START_SECONDS} s")
            time.sleep(0.02)
        return True

    def stop(self) -> bool:
        """Stop it, and what a crash left of it; return whether it ran."""
        family = self.family()
        main = self.main_process()
        if main is not None:
            with suppress(psutil.NoSuchProcess):
                main.send_signal(self.stop_signal)
        _end(family, STOP_SECONDS if main else ORPHAN_SECONDS)
        return main is not None

    def clear_remains(self, files: Iterable[Path]) -> None:
        """Remove what a crash left while the server does not run: orphaned children, pid file, `files`.

        A new server must not start beside a child of the last one that still writes.
        """
        _end(self.family(), ORPHAN_SECONDS if self.data.is_dir() else 0)
        for path in (self.pid_file, *files):
            path.unlink(missing_ok=True)

    def error(self, text: str) -> ServiceError:
        """Return the error that says `text` of this server, with the last lines of its log."""
        last = read_lines(self.log)[-_LOG_LINES:]
        return ServiceError("\n".join([f"{self.name} {text}", *last, f"(log: {self.log})"]))


def _end(processes: list[psutil.Process], seconds: float) -> None:
    """Give the processes some seconds to end by themselves, then kill them."""
    alive = _wait_for_end(processes, seconds)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    _wait_for_end(alive, 5)


def _wait_for_end(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Return those that live still after some seconds. A zombie has ended: in a container without an
    init process nobody may ever reap it, for which psutil.wait_procs would wait."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if not _has_ended(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return alive


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file, none where it does not exist."""
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []


def execute(command: list[str], owner: Owner | None, *, text: str = "") -> None:
    """Run a program to its end as `owner`, with `text` as its input. Raises ServiceError with its output."""
    with tempfile.TemporaryFile("w+") as output:  # a pipe would stay open as long as the daemon lives
        done = subprocess.run(
            command,
            input=text,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",  # the account may not enter the current folder
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},  # no PG* variables
            user=None if owner is None else owner.uid,
            group=None if owner is None else owner.gid,
            extra_groups=None if owner is None else [],
            umask=0o077,
        )
        output.seek(0)
        printed = output.read().strip()
    if done.returncode != 0:
        raise ServiceError(f"{Path(command[0]).name} ended with status {done.returncode}: {printed}")


def find_program(package: str, pattern: str, owner: Owner | None) -> str:
    """Return the first file in an installed package that fits `pattern`, made runnable for `owner`.

    Raises ServiceError where the package or the file is missing.
    """
    spec = importlib.util.find_spec(package)
    for folder in map(Path, (spec.submodule_search_locations or ()) if spec else ()):
        for program in sorted(folder.glob(pattern)):
            if owner is not None:
                _let_run(folder, program)
            return str(program)
    raise ServiceError(f"the package {package} is not installed or has no server for this machine: {_ADVICE}")


# --- Accounts and folders -------------------------------------------------------------------------


def resolve_owner(data: Path) -> Owner | None:
    """Return the account for the servers: PostgreSQL refuses to run as root, so root uses another one.

    That is the owner of the data already there, else the account "flowertune", which is created.
    """
    holder = data.stat().st_uid if data.is_dir() else None
    if os.geteuid() != 0:
        if holder not in (None, os.geteuid()):
            raise ServiceError(f"{data} belongs to another account (uid {holder}): use that or remove it")
        return None
    if holder:
        return Owner(holder, data.stat().st_gid)
    try:
        account = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        _add_account()
        account = pwd.getpwnam(_ACCOUNT)
    return Owner(account.pw_uid, account.pw_gid)


def _add_account() -> None:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT]
    if shutil.which(command[0]) is None:
        raise ServiceError(f"PostgreSQL cannot run as root and there is no useradd: {_ADVICE}")
    added = subprocess.run(command, capture_output=True, text=True, check=False)
    if added.returncode not in (0, 9):  # 9: another process has just added it
        raise ServiceError(f"useradd {_ACCOUNT} failed: {added.stderr.strip()}; {_ADVICE}")


def let_cross(folder: Path) -> None:
    """Let other accounts cross the folders on the way to `folder`; they still cannot list them."""
    for part in (folder, *folder.parents):
        mode = part.stat().st_mode
        if not mode & 0o001:
            part.chmod(mode | 0o001)


def _let_run(package: Path, program: Path) -> None:
    """Let other accounts run a package's program, where the umask of the installation forbade it."""
    let_cross(package)
    if program.stat().st_mode & 0o005 == 0o005:
        return
    for folder in package.parent.glob(f"{package.name}*"):  # with its .libs, where the wheel brings any
        for path in (folder, *folder.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | (mode >> 6 & 0o005))


def make_private(folder: Path, owner: Owner | None) -> None:
    """Make a folder that only `owner` may enter, unless it is there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        os.chown(folder, owner.uid, owner.gid)


def make_socket_folder(folder: Path, owner: Owner | None, longest_name: str) -> Path:
    """Make `folder` for sockets and return it; where its path is too long, a link to a short one instead.

    `longest_name` is the longest file name of a socket in it.
    """
    if len(os.fsencode(folder / longest_name)) <= _SOCKET_PATH_BYTES:
        make_private(folder, owner)
        return folder
    # The name carries a digest of the path, so that a link copied with its folder is not taken for one's own.
    prefix = f"flowertune-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}-"
    if folder.is_symlink():
        target = folder.readlink()
        holder = os.geteuid() if owner is None else owner.uid
        if target.name.startswith(prefix) and target.is_dir() and target.stat().st_uid == holder:
            return target
        folder.unlink()
    target = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))  # TMPDIR may be long
    make_private(target, owner)
    folder.symlink_to(target)
    return target


def remove_socket_folder(folder: Path) -> None:
    """Remove a short folder that `folder` links to, with the link."""
    if folder.is_symlink():
        shutil.rmtree(folder.readlink(), ignore_errors=True)
        folder.unlink()
