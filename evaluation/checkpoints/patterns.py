"""Regular expressions from strangers, matched where they can do no harm.

A pattern such as `(a+)+$` takes time exponential in the length of the name, and Python offers no
time limit. So they are matched in a child interpreter, with limits on time and memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from evaluation.findings import excerpt

SECONDS = 3
MAX_LENGTH = 8192
MAX_PATTERNS = 256

_CHILD = """
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (4, 4))
resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
patterns, names = json.load(sys.stdin)
answer = []
for pattern in patterns:
    try:
        match = re.compile(pattern).fullmatch
        answer.append([i for i, name in enumerate(names) if match(name)])
    except (re.error, RecursionError, OverflowError, MemoryError) as error:
        answer.append(str(error) or type(error).__name__)
json.dump(answer, sys.stdout)
"""


class PatternError(ValueError):
    """A pattern is no regular expression, or matching took longer than `SECONDS`; the text says which."""


def full_matches(patterns: Sequence[str], names: Sequence[str]) -> list[frozenset[str]]:
    """For each pattern the names that it matches from end to end.

    Raises PatternError for the first pattern that is malformed and when time runs out.
    """
    if any(len(pattern) > MAX_LENGTH for pattern in patterns):
        raise PatternError(f"a pattern is longer than {MAX_LENGTH:,} characters")
    if len(patterns) > MAX_PATTERNS:
        raise PatternError(f"there are more than {MAX_PATTERNS} patterns")
    command = [sys.executable, "-I", "-S", "-c", _CHILD]
    question = json.dumps([patterns, names])
    try:
        child = subprocess.run(
            command, input=question, capture_output=True, text=True, timeout=SECONDS, env={}, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PatternError(f"matching takes longer than {SECONDS} seconds") from error
    if child.returncode < 0:  # killed at a limit; any other failure is not the pattern's
        raise PatternError("matching takes too much time or memory")
    child.check_returncode()
    answers: list[list[int] | str] = json.loads(child.stdout)
    for pattern, answer in zip(patterns, answers, strict=True):
        if isinstance(answer, str):
            raise PatternError(f"{excerpt(pattern)} is no regular expression ({excerpt(answer)})")
    return [frozenset(names[index] for index in answer if not isinstance(index, str)) for answer in answers]
