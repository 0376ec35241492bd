"""Compiles C++ programs: the code under test and its tests apart, each in a box of its own.

The tests' program knows the function by its declaration, which stands in the prompt: nothing that a
completion says gets into it. The standard library's headers are compiled ahead, once in a process; that takes
seconds and makes every compilation several times as fast.
"""

from __future__ import annotations

import atexit
import functools
import logging
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evaluation.errors import DataError, SandboxError
from evaluation.sandbox import toolchains
from evaluation.sandbox.box import Box, Ceilings, Command
from evaluation.sandbox.program import Limits, Program, Verdict
from evaluation.sandbox.toolchains import Mounts, read_only
from evaluation.sandbox.watching import Breach, wait

_LOG = logging.getLogger(__name__)

_FLAGS = ("-std=c++17", "-w", "-fmax-errors=5", "-fdiagnostics-color=never")
_HEADER = "/sandbox/bridge.hpp"
_UNSUPPORTED = "the sandbox cannot copy"
# As opposed to what the compiler says about its own troubles.
_DIAGNOSTIC = re.compile(r"^\S+:\d+:\d+: (fatal )?error:", re.MULTILINE)
_DETAIL_CHARACTERS = 1_500
_BINARY_BYTES = 64 * 1024**2
_HEADER_BYTES = 512 * 1024**2
_WALL_FACTOR = 4
# The compiler's messages go to the output, what it makes to the result.
_SCRIPT = 'made=$1; shift; "$@" 1>&2 && cat "$made"'


@dataclass(frozen=True)
class Compiled:
    """The two programs, ready to run."""

    code: bytes
    tests: bytes


@dataclass(frozen=True)
class _Source:
    """The two programs' texts."""

    code: str
    tests: str


def separate(program: Program) -> _Source:
    """The texts of the two programs. Raises DataError where code and tests lack MultiPL-E's shape."""
    tests = re.fullmatch(r"\s*\}(.*\bauto candidate = (\w+);.*)\}\s*", program.tests, re.DOTALL)
    if tests is None:
        raise DataError("C++ tests must begin with the function's closing brace and name the candidate")
    body, name = tests.groups()
    head = re.search(rf"^(?!\s|//|#)([^;\n]*\b{name}\([^;\n]*\))\s*\{{", program.code, re.MULTILINE)
    if head is None:
        raise DataError(f"the C++ code does not begin a function {name} on a line of its own")
    code = (
        f'#line 1 "program.cpp"\n{program.code}\n}}\n'
        "int main(int, char** arguments) {\n"
        f"auto candidate = {name};\nreturn ::sandbox_bridge::answer(candidate, arguments);\n}}\n"
    )
    declared = (
        f"{program.code[: head.start()]}\n"
        f"namespace sandbox_declared {{ {head[1]}; }}\n"
        "#undef assert\n"
        "#define assert(...) ::sandbox_bridge::expect(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__)\n"
        "namespace sandbox_tests {\n"
        f"constexpr ::sandbox_bridge::Remote<decltype(sandbox_declared::{name})> {name}{{}};\n"
    )
    return _Source(
        code,
        # In a namespace, main must return what it promises.
        f'{declared}#line 1 "tests.cpp"\n{body}\nreturn 0;\n}}\n}}\n'
        "int main(int, char** arguments) {\n"
        "return ::sandbox_bridge::examine(sandbox_tests::main, arguments);\n}\n",
    )


def compiled(program: Program, limits: Limits, stopping: threading.Event) -> Compiled | Breach:
    """Both programs, or why there are none.

    Raises DataError where the tests need what cannot be copied between two programs, SandboxError where a
    compilation of trusted text failed for another reason than its own.
    """
    source = separate(program)
    tests = _tests(source.tests, limits, stopping)
    if isinstance(tests, Breach):
        return _beginning(tests)
    code = _compile(source.code, limits, stopping)
    return _beginning(code) if isinstance(code, Breach) else Compiled(code, tests)


def _beginning(breach: Breach) -> Breach:
    """With the first errors only: those that follow are often their consequences."""
    return Breach(breach.verdict, breach.detail[:_DETAIL_CHARACTERS])


class _Cache:
    """Compiled tests by their text: several completions of one prompt share them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._made: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def get(self, text: str, make: Callable[[], bytes | Breach]) -> bytes | Breach:
        with self._lock:
            if text in self._made:
                return self._made[text]
        made = make()
        if isinstance(made, bytes):
            with self._lock:
                while len(self._made) >= self._most:
                    del self._made[next(iter(self._made))]
                self._made[text] = made
        return made


_CACHE = _Cache(most=512)


def _tests(text: str, limits: Limits, stopping: threading.Event) -> bytes | Breach:
    made = _CACHE.get(text, lambda: _compile(text, limits, stopping))
    if isinstance(made, bytes):
        return made
    if _UNSUPPORTED in made.detail:
        raise DataError(f"the sandbox cannot copy the values of these C++ tests:\n{made.detail}")
    if not _DIAGNOSTIC.search(made.detail):
        raise SandboxError(f"the tests of a C++ program could not be compiled: {made.detail}")
    return Breach(Verdict.NOT_COMPILED, f"the problem itself does not compile:\n{made.detail}")


def _compile(text: str, limits: Limits, stopping: threading.Event) -> bytes | Breach:
    return _run_compiler(
        ("/tmp/program", "g++", *_FLAGS, "-include", _HEADER, "-o", "/tmp/program", "/sandbox/source.cpp"),  # noqa: S108 - inside
        _header(),
        {"/sandbox/source.cpp": text.encode("utf-8", "replace")},
        Ceilings(
            limits.compile_seconds,
            limits.compile_memory_bytes,
            limits.processes,
            _BINARY_BYTES,
            limits.output_bytes,
            forks=True,
        ),
        stopping,
    )


def _run_compiler(
    arguments: tuple[str, ...],
    header: Mounts,
    files: dict[str, bytes],
    ceilings: Ceilings,
    stopping: threading.Event,
) -> bytes | Breach:
    """What the compiler made, or what it says. Raises SandboxError where it could not be run."""
    compiler = str(toolchains.find("g++"))
    words = [compiler if word == "g++" else word for word in arguments]
    command = Command(
        ("/bin/sh", "-c", _SCRIPT, "sh", *words), (*toolchains.compiler(), *header), ceilings, files
    )
    with Box(command, result_bytes=ceilings.file_bytes) as box:
        breach = wait(box, (), _WALL_FACTOR * ceilings.cpu_seconds, stopping)
        if breach is None and box.exit_code is None:
            raise SandboxError(f"bubblewrap failed to start a compilation: {box.output.text.strip()}")
        if breach is None and box.exit_code == 0 and box.result is not None:
            return bytes(box.result.data)
        found = breach.detail if breach else f"the compiler ended with status {box.exit_code}"
        return Breach(Verdict.NOT_COMPILED, f"{found}\n{box.output.text}")


_HEADER_LOCK = threading.Lock()


def _header() -> Mounts:
    """What mounts the prelude of all programs, compiled ahead; one thread makes it, the others wait."""
    with _HEADER_LOCK:
        return _made_header()


@functools.cache
def _made_header() -> Mounts:
    """The prelude, and beside it its compiled form in a folder that goes with this process.

    It is made from the project's own text, in a box like all else that the compiler does.
    """
    plain = read_only(toolchains.GUESTS / "bridge.hpp", _HEADER)
    made = _run_compiler(
        ("/tmp/made", "g++", *_FLAGS, "-x", "c++-header", "-o", "/tmp/made", _HEADER),  # noqa: S108 - inside
        plain,
        {},
        Ceilings(120, 4 * 1024**3, 64, _HEADER_BYTES, 1024**2, forks=True),
        threading.Event(),
    )
    if isinstance(made, Breach):
        _LOG.warning("compiling C++ without precompiled headers, which is slow: %s", made.detail)
        return plain
    folder = Path(tempfile.mkdtemp(prefix="flowertune-sandbox-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)  # where root evaluates, bubblewrap may run as another user
    (folder / "bridge.hpp.gch").write_bytes(made)
    return (*plain, *read_only(folder / "bridge.hpp.gch", f"{_HEADER}.gch"))
