"""Hostile programs that call the kernel by number, past what Python's library offers; x86-64's numbers."""

from __future__ import annotations

from evaluation.sandbox import Language, Verdict
from tests.evaluation.sandbox.hostile import Hostile, collector

PROGRAMS: list[Hostile] = []
_add_raw = collector(Language.PYTHON, lambda expected: f"\nassert f() == {expected}", PROGRAMS)

CALLS = """
import ctypes, fcntl, mmap, os, resource, select, signal, socket, struct, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
NONE = 2**64 - 1
def call(number, *arguments):
    return libc.syscall(number, *[ctypes.c_size_t(a) if isinstance(a, int) else a for a in arguments])
def pages(size, protection=3, flags=0x22):
    at = libc.mmap(None, ctypes.c_size_t(size), protection, flags, -1, ctypes.c_size_t(0))
    if at == NONE:
        raise MemoryError
    return at
def readable(at, size):
    libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(size), 1)
"""


def _add(name: str, body: str, *verdicts: Verdict, head: str = "") -> None:
    """A program whose attack has succeeded where `f` returns True; it fails, if no other end is named."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    _add_raw(name, f"{CALLS}{head}\ndef f():\n{lines}", "True", *(verdicts or (Verdict.FAILED,)))


def _any(name: str, *calls: str) -> None:
    """One of some calls of the kernel succeeds."""
    _add(name, f"return any(result != -1 for result in ({', '.join(calls)},))")


_OUT = (Verdict.OUT_OF_MEMORY, Verdict.ENDED_EARLY)
_REFUSED = (Verdict.FAILED, Verdict.OUT_OF_MEMORY)

# --- memory of every form

_add(
    "pages that no limit on data counts, behind an ended first thread",
    "threading.Thread(target=take).start()\ncall(60, 0)",
    *_OUT,
    head="""
def take():
    for _ in range(64):
        at = pages(1 << 23)
        ctypes.memset(at, 1, 1 << 23)
        readable(at, 1 << 23)
    time.sleep(1)
    import gc
    next(o for o in gc.get_objects() if type(o).__name__ == 'Wire').send('value', True)
""",
)
_add(
    "pages made read-only when they are full",
    "for _ in range(64):\n    at = pages(1 << 23)\n    ctypes.memset(at, 1, 1 << 23)\n"
    "    readable(at, 1 << 23)\ntime.sleep(1)\nreturn True",
    *_OUT,
)
_add(
    "the stack, moved and grown",
    """
text = ctypes.cast(ctypes.c_void_p.in_dll(libc, 'environ').value, ctypes.POINTER(ctypes.c_void_p))[0]
top = ctypes.c_void_p(text // 4096 * 4096)
at = libc.mremap(top, ctypes.c_size_t(4096), ctypes.c_size_t(1 << 29), 1)
if at == NONE:
    return False
ctypes.memset(at, 1, 1 << 29)
time.sleep(1)
return True
""",
    *_OUT,
    Verdict.FAILED,
)
_add(
    "pages mapped without access, then opened",
    "at = pages(1 << 30, 0)\nif libc.mprotect(ctypes.c_void_p(at), ctypes.c_size_t(1 << 30), 3):\n"
    "    return False\nctypes.memset(at, 1, 1 << 30)\nreturn True",
)
_add(
    "a private copy of a file's pages",
    """
file = os.open('/sandbox/program.py', os.O_RDONLY)
for _ in range(400):
    at = libc.mmap(None, ctypes.c_size_t(1 << 20), 3, 2, file, ctypes.c_size_t(0))
    if at == NONE:
        return False
return True
""",
)
_add(
    "pages pulled in by advice",
    "at = pages(1 << 29, 1)\nreturn call(28, at, 1 << 29, 23) == 0 and not libc.mprotect("
    "ctypes.c_void_p(at), ctypes.c_size_t(1 << 29), 3)",
)
_add(
    "locked pages",
    "at = pages(1 << 20)\nreturn 0 in (call(149, at, 1 << 20), call(325, at, 1 << 20, 1), call(151, 1))",
)
_add(
    "huge pages", "for size in (21, 30):\n    pages(1 << 30, 3, 0x40022 | size << 26)\nreturn True", *_REFUSED
)
_add(
    "pages that may be dropped",
    "return pages(1 << 29, 3, 0x28) and pages(1 << 29, 3, 0x08) and True",
    *_REFUSED,
)
_any("a secret file in memory", "call(447, 0)", "call(319, b'x', 4)", "call(319, b'x', 2)")
_any("memory that answers its own faults", "call(323, 0)", "call(323, 1)")
_any(
    "rings for input and output",
    "call(425, 8, bytes(120))",
    "call(426, 0, 1, 0, 0, 0)",
    "call(427, 0, 0, 0, 0)",
    "call(206, 64, bytes(8))",
)
_add(
    "extended attributes, which no limit on files counts",
    "open('/tmp/x', 'w').close()\nfor path in ('/tmp/x', '/dev/null', '/tmp'):\n"
    "    if call(188, path.encode(), b'user.x', bytes(60000), 60000, 0) != -1:\n        return True\n"
    "with open('/tmp/x') as file:\n    return call(190, file.fileno(), b'user.y', b'x', 1, 0) != -1",
)
_add(
    "files that are deleted and open",
    "for i in range(64):\n    file = open('/tmp/x', 'wb', buffering=0)\n    os.unlink('/tmp/x')\n"
    "    kept.append(file)\n    file.write(bytes(1 << 20))\nreturn True",
    head="kept = []",
)
_add(
    "a file with holes that are filled",
    "file = os.open('/tmp/x', os.O_RDWR | os.O_CREAT)\nos.posix_fallocate(file, 0, 1 << 30)\nreturn True",
)
_add(
    "many folders and links",
    "i = 0\nwhile True:\n    os.mkdir(f'/tmp/{i}')\n    os.symlink('x' * 4000, f'/tmp/{i}/l')\n    i += 1",
    Verdict.TOO_MUCH_OUTPUT,
    Verdict.FAILED,
    Verdict.TIMED_OUT,
)
_add(
    "a deep tree",
    "i = 0\nwhile True:\n    os.mkdir('x' * 200)\n    os.chdir('x' * 200)",
    Verdict.TOO_MUCH_OUTPUT,
    Verdict.TIMED_OUT,
)
_add(
    "the null file as a store",
    "with open('/dev/null', 'wb') as file:\n    for _ in range(64):\n        file.write(bytes(1 << 20))\n"
    "return True",
)
_add(
    "descriptors without end",
    "while True:\n    kept.append(os.pipe())",
    head="kept = []",
)
_add(
    "larger pipes",
    "return any(fcntl.fcntl(os.pipe()[1], 1031, size) for size in (1 << 20, 1 << 16))",
)
_add(
    "timers without end",
    "def timer():\n    return call(222, 0, struct.pack('QiiQQQQQQ', 0, 10, 0, *[0] * 6), bytes(8))\n"
    "return all(timer() == 0 for _ in range(5000))",
)
_add(
    "signals that wait without end",
    "signal.pthread_sigmask(signal.SIG_BLOCK, range(34, 65))\n"
    "return all(libc.sigqueue(os.getpid(), 40, ctypes.c_void_p(1)) == 0 for _ in range(5000))",
)
_add(
    "filters of its own",
    "rule = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))\n"
    "program = struct.pack('HxxxxxxQ', 1, ctypes.addressof(rule))\n"
    "return 0 in (libc.prctl(22, 2, program, 0, 0), call(317, 1, 0, program))",
)
_any(
    "pages merged with the neighbours'", "libc.prctl(67, 1, 0, 0, 0)", "call(28, pages(1 << 16), 1 << 16, 12)"
)

# --- out of the box

_add(
    "device nodes",
    "for number, mode in ((0x103, 0o20666), (0x109, 0o20666), (0x700, 0o60666), (0xAE8, 0o20666)):\n"
    "    for path in ('/tmp/d', '/dev/d'):\n        if call(133, path.encode(), mode, number) == 0:\n"
    "            try:\n                os.open(path, os.O_RDONLY)\n                return True\n"
    "            except OSError:\n                pass\nreturn False",
)
_any(
    "mounts in the new way",
    "call(428, -100 & NONE, b'/', 1)",
    "call(430, b'tmpfs', 0)",
    "call(432, 3, 0, 0)",
    "call(429, 3, b'', 3, b'/tmp', 0)",
    "call(442, -100 & NONE, b'/', 0, bytes(32), 32)",
    "call(155, b'/tmp', b'/tmp')",
    "call(166, b'/tmp', 2)",
)
_any("namespaces of others", "call(308, 0, 0)", "call(272, 0x20000)", "call(272, 0x80)")
_add(
    "a namespace with a thread",
    "stack = ctypes.c_void_p(pages(1 << 16) + (1 << 16) - 64)\n"
    "entry = ctypes.cast(libc.pause, ctypes.c_void_p)\n"
    "return any(libc.clone(entry, stack, 0x10D00 | new, None) != -1\n"
    "           for new in (0x20000, 0x8000000, 0x20000000, 0x40000000, 0x2000000))",
)
_any(
    "other processes' memory",
    "call(310, 1, bytes(16), 1, bytes(16), 1, 0)",
    "call(311, 1, bytes(16), 1, bytes(16), 1, 0)",
    "call(438, call(434, 1, 0), 0, 0)",
    "call(101, 16, 1, 0, 0)",
    "call(312, 1, 1, 0, 0, 0)",
)
_any("another personality", "call(135, 0x0040000)", "call(135, 0x0400000)", "call(135, 8)")
_any(
    "files by their number",
    "call(303, -100 & NONE, b'/', bytes(200), bytes(8), 0)",
    "call(304, 3, bytes(16), 0)",
)
_any("programs in the kernel", "call(321, 5, bytes(120), 120)", "call(321, 0, bytes(120), 120)")
_any("counters of the processor", "call(298, struct.pack('II112x', 1, 112), 0, -1 & NONE, -1 & NONE, 0)")
_any(
    "modules and another kernel",
    "call(175, bytes(64), 64, b'')",
    "call(313, 3, b'', 0)",
    "call(246, 0, 0, 0, 0)",
)
_any(
    "the machine's clock and name", "call(227, 0, bytes(16))", "call(164, bytes(16), 0)", "call(170, b'x', 1)"
)
_any("entry to ports", "call(172, 3)", "call(173, 0, 64, 1)", "call(154, 1, bytes(16), 16)")
_add(
    "a program with another user's rights",
    "with open('/tmp/x', 'wb') as file:\n    file.write(open('/sandbox/prlimit', 'rb').read())\n"
    "os.chmod('/tmp/x', 0o6755)\n"
    "return any(change() == 0 for change in (lambda: call(105, 0), lambda: call(117, 0, 0, 0),\n"
    "           lambda: call(106, 0), lambda: call(116, 1, bytes(4)), lambda: call(92, b'/tmp/x', 0, 0)))",
)
_add(
    "its own interpreter",
    "for path in ('/proc/self/exe', '/python/bin/python3', '/sandbox/prlimit', '/sandbox/program.py'):\n"
    "    for change in (lambda: os.open(path, os.O_WRONLY), lambda: os.chmod(path, 0o777),\n"
    "                   lambda: os.unlink(path), lambda: os.rename(path, '/tmp/y')):\n        try:\n"
    "            change()\n            return True\n        except OSError:\n            pass\nreturn False",
)
_add(
    "the terminal's input",
    "for d in range(64):\n    try:\n        fcntl.ioctl(d, 0x5412, b'x')\n        return True\n"
    "    except OSError:\n        pass\nreturn False",
)
_add(
    "files and folders that the host left open",
    "def foreign(d):\n    mode = os.fstat(d).st_mode >> 12\n    return mode not in (1,)\n"
    "for d in range(1024):\n    try:\n        if foreign(d):\n            return True\n"
    "    except OSError:\n        pass\nreturn False",
)
_add(
    "the host's collector of core dumps",
    "for limit in ((0, 0), (1 << 20, 1 << 20)):\n    try:\n"
    "        resource.setrlimit(resource.RLIMIT_CORE, limit)\n        return True\n"
    "    except (OSError, ValueError):\n        pass\nreturn call(160, 4, bytes(16)) == 0",
)
_add(
    "higher limits",
    "for number in (0, 1, 2, 6, 7, 8, 9, 11, 12):\n"
    "    try:\n        resource.setrlimit(number, (-1, -1))\n        return True\n"
    "    except (OSError, ValueError):\n        pass\nreturn False",
)
_add(
    "a turn before others",
    "deadline = struct.pack('IIQiIQQQ', 48, 6, 0, 0, 0, 1 << 20, 1 << 21, 1 << 22)\n"
    "done = [call(141, 0, 0, -5 & NONE), call(144, 0, 1, struct.pack('i', 1)), call(251, 1, 0, 1 << 13),\n"
    "        libc.prctl(62, 1, 0, 1, 0), call(314, 0, deadline, 0)]\nreturn 0 in done",
)

# --- signals to other programs

_add(
    "sockets by name",
    "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
    "for path in (b'/run/x', b'/var/run/docker.sock', b'/dev/log', b'/run/systemd/notify', b'\\0<port>'):\n"
    "    if call(42, a.fileno(), struct.pack('H', 1) + path, 2 + len(path)) == 0:\n        return True\n"
    "return False",
)
_add(
    "times of the reading of shared files",
    "before = [os.stat(path).st_atime_ns for path in paths]\nfor path in paths:\n"
    "    with open(path, 'rb') as file:\n        file.read(1)\n    os.path.isdir(path)\n"
    "after = [os.stat(path).st_atime_ns for path in paths]\nreturn before != after",
    head="paths = [os.__file__, '/python/bin/python3', '/sandbox/prlimit']",
)
_add(
    "what the neighbours run",
    "return bool(os.path.exists('/proc/1') or os.path.exists('/sys/fs/cgroup') or len(\n"
    "    [p for p in range(2, 20000) if call(62, p, 0) != -1 and p != os.getpid()]) > 1)",
)
_add(
    "queues and semaphores of both kinds",
    "calls = [(29, 77, 4096, 0o1666), (64, 77, 1, 0o1666), (68, 77, 0o1666), (240, b'x', 0o102, 0o666, 0)]\n"
    "return any(call(*c) != -1 for c in calls) or os.path.isdir('/dev/shm')",
)
_any(
    "keys of the kernel",
    "call(250, 1, 0)",
    "call(248, b'user', b'k', b'v', 1, -5 & NONE)",
    "call(250, 0, -5 & NONE, 0)",
)

# --- time, and what stays

_add(
    "a sleep that looks like a disk's",
    "stack = ctypes.c_void_p(pages(1 << 16) + (1 << 16) - 64)\n"
    "return libc.clone(ctypes.cast(libc.pause, ctypes.c_void_p), stack, 0x14F00, None) != -1",
)
_add(
    "threads with a misleading name, asleep",
    "for name in (b') R 0 0', b'\\nVmRSS: 0', b'\\xff) D'):\n"
    "    threading.Thread(target=lambda: (libc.prctl(15, name, 0, 0, 0), time.sleep(60))).start()\n"
    "    time.sleep(0.1)\nlibc.prctl(15, b') R (', 0, 0, 0)\ntime.sleep(60)",
    Verdict.TIMED_OUT,
)
_add(
    "a program that nobody may look at, and that takes memory",
    "libc.prctl(4, 0, 0, 0, 0)\nkept = []\nwhile True:\n    at = pages(1 << 23)\n"
    "    ctypes.memset(at, 1, 1 << 23)\n    readable(at, 1 << 23)",
    *_OUT,
    Verdict.TIMED_OUT,
)
_add(
    "a session of its own that stays",
    "os.setsid()\nfor s in range(1, 32):\n"
    "    if s not in (9, 19):\n        signal.signal(s, signal.SIG_IGN)\n"
    "libc.prctl(36, 1, 0, 0, 0)\nif os.fork() == 0:\n    time.sleep(600)\nreturn True",
)
