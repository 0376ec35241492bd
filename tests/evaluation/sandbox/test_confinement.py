"""A program changes nothing of the host, tells others nothing, and takes no memory beyond its limit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.sandbox import Language, Limits, Outcome, Program, Verdict, cgroups, memory_measure, run

LIMITS = Limits(cpu_seconds=5, wall_seconds=20, memory_bytes=256 * 1024**2)

pytestmark = pytest.mark.usefixtures("python")

# What ctypes needs to call the kernel, and a shared library's page that all programs map.
CALLS = """
import ctypes, fcntl, os, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p] + [ctypes.c_size_t] * 5
def call(number, *arguments):
    result = libc.syscall(number, *[ctypes.c_size_t(a) if isinstance(a, int) else a for a in arguments])
    return result, ctypes.get_errno()
page = ctypes.cast(libc.printf, ctypes.c_void_p).value // 4096 * 4096
shared = open(os.__file__)
"""


@pytest.fixture(params=["control groups", "no control groups"])
def _measure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no control groups":
        monkeypatch.setattr(cgroups, "hierarchy", lambda: None)
    elif cgroups.hierarchy() is None:
        pytest.skip("this process may make no control groups")


def _f(body: str, tests: str, limits: Limits = LIMITS) -> Outcome:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    program = Program(Language.PYTHON, f"{CALLS}\ndef f():\n{lines}", tests)
    [(_, outcome)] = run([program], limits)
    return outcome


def test_the_hosts_devices_stay_as_they_are() -> None:
    devices = [Path("/dev/null"), Path("/dev/zero"), Path("/dev/urandom")]
    before = [device.stat() for device in devices]
    outcome = _f(
        """
found = [*range(10), *(os.path.join('/dev', name) for name in os.listdir('/dev'))]
for what in found:
    for change in (lambda: os.chmod(what, 0o666), lambda: os.utime(what, (1, 2)), lambda: os.utime(what),
                   lambda: os.setxattr(what, 'user.x', b'1'), lambda: os.chown(what, -1, os.getgid())):
        try:
            change()
        except (OSError, TypeError):
            pass
return [what for what in found if isinstance(what, str) and os.stat(what).st_rdev]
""",
        "assert f() == []",
    )
    assert outcome.detail == ""
    after = [device.stat() for device in devices]
    assert [(s.st_mode, s.st_mtime_ns, s.st_atime_ns, s.st_ctime_ns) for s in after] == [
        (s.st_mode, s.st_mtime_ns, s.st_atime_ns, s.st_ctime_ns) for s in before
    ]


def test_nothing_but_its_own_files_can_be_changed() -> None:
    outcome = _f(
        """
changed, owned = [], []
for folder, _, names in os.walk('/'):
    for path in (folder, *(os.path.join(folder, name) for name in names)):
        status = os.lstat(path)
        own = status.st_dev in (os.stat('/').st_dev, os.stat('/tmp').st_dev)
        if status.st_uid == os.getuid() and not own:
            owned.append(path)
        try:
            os.utime(path, follow_symlinks=False)
            changed.append(path)
        except OSError:
            pass
descriptors = [d for d in range(10) if not call(5, d, bytes(144))[0] and os.fstat(d).st_uid == os.getuid()]
return sorted(changed), owned, descriptors
""",
        # Programs of an ordinary user own what is that user's, all of it mounted read-only.
        "changed, owned, descriptors = f()\nassert set(changed) <= {'/tmp', '/dev/null'}, changed\n"
        + ("assert (owned, descriptors) == ([], []), (owned, descriptors)" if os.geteuid() == 0 else ""),
    )
    assert outcome.detail == ""


def test_a_program_has_no_capabilities() -> None:
    outcome = _f(
        "data = (ctypes.c_uint32 * 6)()\n"
        "libc.capget((ctypes.c_uint32 * 2)(0x20080522, 0), data)\n"
        "return [*data, *(libc.prctl(47, 1, c, 0, 0) for c in range(40)), libc.prctl(39, 0, 0, 0, 0)]",
        "assert f() == [0] * 46 + [1]",
    )
    assert outcome.detail == ""


LOCKS = """
other = open(os.__file__)
for lock in (lambda file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
             lambda file: fcntl.fcntl(file, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 0, 0, 0)),
             lambda file: fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)):
    lock(shared)
    lock(other)
for asking in (5, 36):
    try:
        fcntl.fcntl(other, asking, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))
        return False
    except OSError:
        pass
return True
"""


def test_a_lock_is_granted_and_seen_by_nobody() -> None:
    assert _f(LOCKS, "assert f() is True").detail == ""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of the calls are of x86-64")
def test_calls_that_reach_other_programs_through_shared_files_are_refused() -> None:
    outcome = _f(
        """
fd, results = shared.fileno(), {}
attempts = {
    'futex wake': (202, page, 1, 1), 'futex wait': (202, page, 0, 0, 0), 'futex2': (454, page, 1, 1, 2),
    'inotify': (294, 0), 'inotify, older': (253,), 'fanotify': (300, 0, 0), 'dnotify': (72, fd, 1026, 2),
    'lease': (72, fd, 1024, 0), 'owner of signals': (72, fd, 8, 1), 'write hint': (72, fd, 1036, bytes(8)),
    'read hint': (72, fd, 1035, bytes(8)), 'file flags': (16, fd, 0x80086601, bytes(8)),
    'encryption key': (16, fd, 0xC0506617, bytes(128)), 'page cache': (27, page, 4096, bytes(8)),
    'page cache of a file': (451, fd, bytes(16), bytes(64), 0), 'advice': (221, fd, 0, 0, 4),
    'read what is cached': (327, fd, 0, 0, 0, 0, 8), 'add_key': (248, b'user', b'x', b'x', 1, 0xFFFFFFFC),
    'request_key': (249, b'user', b'x', 0, 0xFFFFFFFC), 'keyctl': (250, 0, 0xFFFFFFFC, 1),
    'shmget': (29, 1, 4096, 0o1666), 'semget': (64, 1, 1, 0o1666), 'msgget': (68, 1, 0o1666),
    'mq_open': (240, b'x', 0o102, 0o600, 0), 'memfd': (319, b'x', 0), 'input events': (206, 1, bytes(8)),
    'unix socket': (41, 1, 1, 0), 'host name': (170, b'x', 1), 'sendmsg': (46, 1, bytes(56), 0),
    'a call of tomorrow': (600,), 'shared mapping': (9, 0, 4096, 1, 1, fd, 0),
}
return {name: call(*arguments) for name, arguments in attempts.items() if call(*arguments)[0] != -1}
""",
        "assert f() == {}, f()",
    )
    assert outcome.detail == ""


def test_the_next_program_finds_nothing() -> None:
    mark = "open('/tmp/x', 'w')\nopen('/dev/null', 'w').write('x')\nos.utime('/dev/null')"
    look = "return open('/dev/null').read(), os.stat('/dev/null').st_size, os.listdir('/tmp')"
    assert _f(mark, "f()").passed
    assert _f(look, "assert f() == ('', 0, [])").detail == ""
    assert _f("return open('/dev/urandom', 'rb').read(8)", "assert len(f()) == 8").detail == ""


# Each takes 1.5 GB or more of what a process's resident set or its data does not show.
GREEDY = {
    "shared pages, dropped from the resident set": """
start = libc.mmap(None, 3 << 29, 3, 0x21, 2**64 - 1, 0)
if start == 2**64 - 1:
    raise OSError
for at in range(start, start + (3 << 29), 1 << 21):
    ctypes.memset(at, 1, 1 << 21)
    libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(1 << 21), 4)
return True
""",
    "page tables": """
start = libc.mmap(None, 800 << 30, 1, 0x4022, 2**64 - 1, 0)
if start == 2**64 - 1:
    raise OSError
for at in range(start, start + (800 << 30), 1 << 21):
    ctypes.string_at(at, 1)
return True
""",
    "a stack": """
start = libc.mmap(None, 3 << 29, 3, 0x122, 2**64 - 1, 0)
if start == 2**64 - 1:
    raise OSError
ctypes.memset(start, 1, 3 << 29)
return True
""",
    "pipes": """
kept = []
for _ in range(2000):
    kept.append(os.pipe())
    fcntl.fcntl(kept[-1][1], 1031, 1 << 20)
    os.write(kept[-1][1], bytes(1 << 20))
return True
""",
    "sockets' queues": """
import socket
kept = []
while len(kept) < 5000:
    a, b = socket.socketpair()
    a.setblocking(False)
    a.send(bytes(100_000))
    a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack('i', b.fileno()))])
    kept.append(a)
    os.close(b.detach())
return True
""",
}


@pytest.mark.parametrize("kind", GREEDY)
@pytest.mark.usefixtures("_measure")
def test_memory_is_counted_however_it_is_taken(kind: str) -> None:
    outcome = _f(GREEDY[kind], "assert f() is True")
    assert not outcome.passed, kind
    assert outcome.verdict in (Verdict.FAILED, Verdict.OUT_OF_MEMORY, Verdict.ENDED_EARLY)


def test_a_program_may_use_what_it_is_allowed() -> None:
    assert _f("return len(bytearray(b'x' * 100_000_000))", "assert f() == 100_000_000").detail == ""


def test_a_thread_that_computes_is_no_waiting() -> None:
    body = """
import hashlib, threading
thread = threading.Thread(target=hashlib.pbkdf2_hmac, args=('sha256', b'x', b'x', 3_000_000))
thread.start()
thread.join()
return True
"""
    assert _f(body, "assert f()", Limits(cpu_seconds=20, wall_seconds=0.5)).detail == ""
    assert _f("import time\ntime.sleep(60)", "f()", Limits(wall_seconds=0.5)).verdict is Verdict.TIMED_OUT


def _needs_groups() -> cgroups.Hierarchy:
    found = cgroups.hierarchy()
    if found is None:
        pytest.skip("this process may make no control groups")
    return found


def test_the_kernel_holds_a_group_to_its_limit() -> None:
    _needs_groups()
    takes = (
        "import mmap\ninput()\nmap = mmap.mmap(-1, 1 << 28)\nfor at in range(0, 1 << 28, 4096): map[at] = 1"
    )
    with cgroups.group(64 * 1024**2, 8) as group:
        with subprocess.Popen([sys.executable, "-c", takes], stdin=subprocess.PIPE) as process:
            group.add(process.pid)
            process.communicate(b"\n")
        assert process.returncode == -9
        assert group.killed
        assert group.full


def test_groups_go_with_their_boxes_and_leftovers_with_the_next_start() -> None:
    place = _needs_groups()
    with subprocess.Popen(["true"]) as ended:
        pass
    left = [folder / f"flowertune-box-{ended.pid}-0" for folder in place.folders]
    for folder in left:
        folder.mkdir()
    assert _f("return 1", "assert f() == 1").passed
    cgroups.hierarchy.cache_clear()
    assert cgroups.hierarchy() == place
    assert not [folder for folder in left if folder.exists()]
    ours = f"flowertune-box-{os.getpid()}-*"
    assert not [group for folder in place.folders for group in folder.glob(ours)]
    assert re.fullmatch("control groups, version [12]", memory_measure())


def test_a_group_is_sought_where_this_process_may_have_one(tmp_path: Path) -> None:
    mounts = (
        "1 0 0:1 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "2 0 0:2 /docker/a /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n"
        "3 0 0:3 /elsewhere /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    )
    membership = "2:memory:/docker/a/b\n1:pids:/docker/a/b\n0::/site.service/worker\n"
    assert cgroups.own_folders(mounts, membership) == {
        "unified": Path("/sys/fs/cgroup/unified/site.service/worker"),
        "memory": Path("/sys/fs/cgroup/memory/b"),
    }


def test_version_2_holds_memory_swap_and_processes(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    (tmp_path / "cgroup.subtree_control").write_text("")
    cgroups.Group(cgroups.Hierarchy(2, tmp_path, tmp_path), "box").make(1024, 9)
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "memory.max": "1024",
        "pids.max": "9",
    }
    (folder / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 2\noom_group_kill 0\n")
    group = cgroups.Group(cgroups.Hierarchy(2, tmp_path, tmp_path), "box")
    assert (group.killed, group.full) == (True, True)
