"""What is run, within which limits, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from evaluation.languages import Language as Language

_MIB = 1024**2


@dataclass(frozen=True)
class Program:
    """Untrusted code (prompt and completion), and the benchmark's trusted tests, which follow it.

    Tests see the code's functions, and nothing else of it: arguments and results cross by value.
    In C++ both have the shape of MultiPL-E: the code's last function lacks its closing brace, and the tests
    begin with that brace and hold a `main` that says `auto candidate = NAME;`.
    """

    language: Language
    code: str
    tests: str


@dataclass(frozen=True)
class Limits:
    """What a program may take; a C++ program's compilation has limits of its own.

    `cpu_seconds` is the limit that decides, as it does not depend on what else the machine does.
    `wall_seconds` stops programs that wait instead of computing; give it more than the other. `processes`
    counts threads: a program under test cannot start processes. `file_bytes` bounds all its files together,
    `output_bytes` what it prints.
    """

    cpu_seconds: int = 3
    wall_seconds: float = 15
    memory_bytes: int = 512 * _MIB
    processes: int = 64
    file_bytes: int = 16 * _MIB
    output_bytes: int = 4 * _MIB
    compile_seconds: int = 20
    compile_memory_bytes: int = 1536 * _MIB


class Verdict(StrEnum):
    """How a program fared. The values are stored with results and do not change."""

    PASSED = "passed"
    FAILED = "failed"
    """A test did not hold, or the code raised an exception."""
    NOT_COMPILED = "not_compiled"
    """The code is not a program of its language, or compiling it exceeded a limit."""
    ENDED_EARLY = "ended_early"
    """The program's process was gone before its tests were finished, whatever its exit status."""
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    TOO_MUCH_OUTPUT = "too_much_output"
    """It printed more, or made more files, than it may."""
    TOO_MANY_PROCESSES = "too_many_processes"


@dataclass(frozen=True)
class Outcome:
    """What came of one program. `detail` is printable text of bounded length, empty for a pass.

    `seconds` is the wall-clock time from start to end, compilation included.
    """

    verdict: Verdict
    detail: str
    seconds: float

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASSED
