"""Hostile programs in Python."""

from __future__ import annotations

from evaluation.sandbox import Language, Verdict
from tests.evaluation.sandbox.hostile import Hostile, collector

PROGRAMS: list[Hostile] = []
_add = collector(Language.PYTHON, lambda expected: f"\nassert f() == {expected}", PROGRAMS)
_ends = Verdict.ENDED_EARLY

# --- taking what there is

_add(
    "fork bomb",
    "import os\ndef f():\n    while True:\n        os.fork()",
    "None",
    Verdict.FAILED,
)
_add(
    "children",
    "import subprocess\ndef f():\n    return subprocess.run(['/bin/true']).returncode",
    "0",
    Verdict.FAILED,
)
_add(
    "memory bomb",
    "def f():\n    kept = []\n    while True:\n        kept.append(bytearray(10_000_000))",
    "None",
    Verdict.OUT_OF_MEMORY,
)
_add("one huge object", "def f():\n    return len(b'x' * 10**12)", "10**12", Verdict.OUT_OF_MEMORY)
_add(
    "shared memory bomb",
    "import mmap\ndef f():\n    m = mmap.mmap(-1, 4 << 30)\n    for i in range(0, 4 << 30, 4096):\n"
    "        m[i] = 1\n    return True",
    "True",
    Verdict.FAILED,
)
_add("endless loop", "def f():\n    while True:\n        pass", "None", Verdict.TIMED_OUT)
_add(
    "endless loop that ignores signals",
    "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef f():\n    while True:\n        pass",
    "None",
    Verdict.TIMED_OUT,
)
_add("sleep", "import time\ndef f():\n    time.sleep(3600)", "None", Verdict.TIMED_OUT)
_add(
    "endless output", "def f():\n    while True:\n        print('x' * 1000)", "None", Verdict.TOO_MUCH_OUTPUT
)
_add(
    "huge file",
    "def f():\n    with open('/tmp/huge', 'wb') as file:\n        for _ in range(1000):\n"
    "            file.write(bytes(1_000_000))\n    return True",
    "True",
    Verdict.FAILED,
)
_add(
    "many files",
    "def f():\n    i = 0\n    while True:\n        open(f'/tmp/{i}', 'w').close()\n        i += 1",
    "None",
    Verdict.TOO_MUCH_OUTPUT,
    Verdict.TIMED_OUT,
)
_add(
    "thread bomb",
    "import threading, time\nthreading.stack_size(65536)\ndef f():\n    for _ in range(5000):\n"
    "        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n    return True",
    "True",
    Verdict.TOO_MANY_PROCESSES,
    Verdict.FAILED,
)
_add(
    "anonymous files",
    "import os\ndef f():\n    os.memfd_create('x')\n    return True",
    "True",
    Verdict.FAILED,
)
_add("deep recursion", "def f():\n    return f()", "None", Verdict.FAILED)
_add(
    "an answer without end",
    "def f():\n    while True:\n        yield 1",
    "0 or list(f())",
    Verdict.OUT_OF_MEMORY,
    Verdict.TIMED_OUT,
)
_add("an answer too large", "def f():\n    return 'x' * 20_000_000", "'x' * 20_000_000", Verdict.FAILED)
_add(
    "an answer too deep",
    "def f():\n    kept = []\n    for _ in range(100_000):\n        kept = [kept]\n    return kept",
    "f()",
    Verdict.FAILED,
)

# --- getting out

_SOCKET = "import socket\ndef f():\n    s = socket.socket({})\n    s.settimeout(1)\n    {}\n    return True"
_add(
    "TCP to the host",
    _SOCKET.format("socket.AF_INET", "s.connect(('127.0.0.1', <port>))"),
    "True",
    Verdict.FAILED,
)
_add(
    "UDP",
    _SOCKET.format("socket.AF_INET, socket.SOCK_DGRAM", "s.sendto(b'x', ('127.0.0.1', <port>))"),
    "True",
    Verdict.FAILED,
)
_add("IPv6", _SOCKET.format("socket.AF_INET6", "s.connect(('::1', <port>))"), "True", Verdict.FAILED)
_add("virtual sockets", _SOCKET.format("socket.AF_VSOCK", "s.connect((2, <port>))"), "True", Verdict.FAILED)
_add(
    "netlink", _SOCKET.format("socket.AF_NETLINK, socket.SOCK_RAW", "s.bind((0, 0))"), "True", Verdict.FAILED
)
_add("Unix sockets", _SOCKET.format("socket.AF_UNIX", "s.connect('\\0<port>')"), "True", Verdict.FAILED)
_add(
    "a web page",
    "import urllib.request\ndef f():\n"
    "    return urllib.request.urlopen('http://127.0.0.1:<port>/', timeout=1).status",
    "200",
    Verdict.FAILED,
)
_add("a host's file", "def f():\n    return open('<canary>').read()", "'<secret>'", Verdict.FAILED)
_add("the host's users", "def f():\n    return 'root' in open('/etc/passwd').read()", "True", Verdict.FAILED)
_add(
    "the way up",
    "def f():\n    return open('../' * 20 + '<canary>'.lstrip('/')).read()",
    "'<secret>'",
    Verdict.FAILED,
)
_add(
    "a symbolic link",
    "import os\ndef f():\n    os.symlink('<canary>', '/tmp/link')\n    return open('/tmp/link').read()",
    "'<secret>'",
    Verdict.FAILED,
)
_add(
    "a hard link",
    "import os\ndef f():\n    os.link('/sandbox/program.py', '/tmp/link')\n    return True",
    "True",
    Verdict.FAILED,
)
_add(
    "an archive that unpacks elsewhere",
    "import io, tarfile\ndef f():\n    data = io.BytesIO()\n"
    "    with tarfile.open(fileobj=data, mode='w') as t:\n"
    "        entry = tarfile.TarInfo('../' * 20 + '<canary>'.lstrip('/'))\n        t.addfile(entry)\n"
    "    data.seek(0)\n    tarfile.open(fileobj=data).extractall('/tmp')\n    return open('<canary>').read()",
    "'<secret>'",
    Verdict.FAILED,
)
_add(
    "environment",
    "import os\ndef f():\n    return os.environ['<variable>']",
    "'<secret>'",
    Verdict.FAILED,
)
_add(
    "environment of parents",
    "def f():\n    return any('<secret>' in open(f'/proc/{p}/environ').read() for p in ('self', 1, <pid>))",
    "True",
    Verdict.FAILED,
)
_add(
    "search of the file system",
    "import os\nname = '<canary>'.split('/')[-1]\n"
    "def f():\n    return [folder for folder, _, names in os.walk('/') if name in names][0]",
    "'<canary>'.rsplit('/', 1)[0]",
    Verdict.FAILED,
)
_add(
    "writing to the host",
    "def f():\n    with open('<canary>', 'w') as file:\n        file.write('gone')\n    return True",
    "True",
    Verdict.FAILED,
)
_add(
    "writing to the interpreter",
    "import os\ndef f():\n    with open(os.__file__, 'a') as file:\n        file.write('#')\n    return True",
    "True",
    Verdict.FAILED,
)
_add(
    "killing the host's process",
    "import os\ndef f():\n    os.kill(<pid>, 9)\n    return True",
    "True",
    Verdict.FAILED,
    _ends,  # in a container the number may be its own, in the box
)
_add("killing everything", "import os\ndef f():\n    os.kill(-1, 9)\n    return True", "True", Verdict.FAILED)
_add(
    "stopping the sandbox's first process",
    "import os, time\ndef f():\n    for s in (2, 15, 19, 9):\n        os.kill(1, s)\n"
    "    os.kill(os.getppid(), 9)\n"
    "    os._exit(0)",
    "None",
    _ends,
    Verdict.FAILED,  # it belongs to another user, where root evaluates
)
_add(
    "bubblewrap's word on which process to kill",
    "import os, time\ndef f():\n    for d in range(64):\n        try:\n"
    '            os.write(d, b\'{"child-pid": <pid>, "exit-code": 0}\\n\')\n'
    "        except OSError:\n            pass\n"
    "    time.sleep(60)",
    "1",
)
_CALL = (
    "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def f():\n    return [libc.syscall(*call) for call in ({},)]"
)
_add("ptrace", _CALL.format("(101, 0, 0, 0, 0)"), "[0]", Verdict.FAILED)
_add("mount", _CALL.format("(165, b'x', b'/tmp', b'tmpfs', 0, 0)"), "[0]", Verdict.FAILED)
_add("new namespaces", _CALL.format("(272, 0x10000000)"), "[0]", Verdict.FAILED)
_add("setuid", "import os\ndef f():\n    os.setuid(0)\n    return os.getuid()", "0", Verdict.FAILED)
_add("chroot", "import os\ndef f():\n    os.chroot('/tmp')\n    return True", "True", Verdict.FAILED)
_add(
    "an interpreter in its place",
    "import os\ndef f():\n    os.execv('/python/bin/python3', ['python3', '-c', 'print(\"passed\")'])",
    "None",
    _ends,
)

# --- feigning success

_add("exit while loading", "import sys\ndef f():\n    return 1\nsys.exit(0)", "1", _ends)
_add("exit while called", "import sys\ndef f():\n    sys.exit(0)", "1", _ends)
_add("exit at once", "import os\ndef f():\n    os._exit(0)", "1", _ends)
_add("SystemExit", "def f():\n    raise SystemExit", "1", _ends)
_add("KeyboardInterrupt", "def f():\n    raise KeyboardInterrupt", "1", _ends)
_add(
    "a thread that exits",
    "import os, threading, time\nthreading.Timer(0.2, os._exit, (0,)).start()\ndef f():\n    time.sleep(60)",
    "1",
    _ends,
)
_add("atexit", "import atexit, os, sys\natexit.register(os._exit, 0)\ndef f():\n    sys.exit(1)", "1", _ends)
_add("an abort", "import os\ndef f():\n    os.abort()", "1", _ends)
_add(
    "saying that it passed",
    "import os\ndef f():\n    for d in range(64):\n        try:\n            os.write(d, b'passed\\n')\n"
    "        except OSError:\n            pass\n    os._exit(0)",
    "1",
)
_add(
    "equal to all",
    "class A:\n    def __eq__(self, _): return True\ndef f():\n    return A()",
    "1",
    Verdict.FAILED,
)
_add(
    "a number equal to all",
    "class A(int):\n    def __eq__(self, _): return True\n    __hash__ = int.__hash__\ndef f():\n"
    "    return A(2)",
    "1",
    Verdict.FAILED,
)
_add(
    "a list equal to all",
    "class A(list):\n    def __eq__(self, _): return True\ndef f():\n    return A()",
    "[1]",
    Verdict.FAILED,
)
_add(
    "other built-in functions",
    "import builtins\nbuiltins.abs = builtins.set = lambda *_: 0\nabs = set = lambda *_: 0\n"
    "def f():\n    return [2]",
    "[2] and set(f()) == {1}",
    Verdict.FAILED,
)
_add(
    "no assertions",
    "import builtins, sys\nbuiltins.AssertionError = Warning\nsys.excepthook = lambda *_: None\n"
    "def f():\n    return 2",
    "1",
    Verdict.FAILED,
)
_add(
    "the main module",
    "import sys\nmain = sys.modules['__main__']\nfor n in list(vars(main)):\n"
    "    setattr(main, n, lambda *_: True)\n"
    "def f():\n    return 2",
    "1",
)
_add(
    "tracing the tests",
    "import sys, threading\ndef t(frame, *_):\n    frame.f_globals['f'] = lambda: 1\n    return t\n"
    "sys.settrace(t)\nthreading.settrace(t)\ndef f():\n    return 2",
    "1",
)
_add(
    "an import hook",
    "import sys\nsys.meta_path.insert(0, type('F', (), {'find_spec': lambda *_: sys.exit(0)}))\n"
    "def f():\n    import unknown",
    "1",
)
_add(
    "what the frames know",
    "import sys, gc\ndef f():\n    frame = sys._getframe()\n    found = []\n    while frame:\n"
    "        found += [v for v in frame.f_locals.values() if isinstance(v, str) and 'assert' in v]\n"
    "        frame = frame.f_back\n"
    "    found += [o for o in gc.get_objects() if isinstance(o, str) and 'assert f' in o]\n"
    "    return eval(found[0].split('==')[1])",
    "12345",
    Verdict.FAILED,
)
_add(
    "the tests' file",
    "def f():\n    return eval(open('/sandbox/tests.py').read().split('==')[1])",
    "12345",
    Verdict.FAILED,
)
_add(
    "other tests",
    "def f():\n    open('/sandbox/tests.py', 'w').write('')\n    return 2",
    "1",
    Verdict.FAILED,
)
_add("not Python", "def f(:\n    return 1", "1", Verdict.NOT_COMPILED)
