"""The digest of a benchmark's answers: which items were scored, and which of them were right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from evaluation.errors import EvaluationError
from evaluation.statements.errors import StatementError


def answers_digest(scored: bytes, right: bytes) -> str:
    """SHA-256 in hex of both bit fields of evaluation.statistics.packed, one after the other."""
    return hashlib.sha256(scored + right).hexdigest()


def digest_of_file(path: Path) -> str:
    """Of the answers in a file of JSON lines with `correct`: true, false, or null where an item has no score.

    Raises EvaluationError where it cannot be read, StatementError where a line is none of these.
    """
    try:
        with path.open(encoding="utf-8") as file:
            verdicts = [_verdict(line, number, path) for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}") from error
    scored = _packed(verdict is not None for verdict in verdicts)
    return answers_digest(scored, _packed(verdict is True for verdict in verdicts))


def _verdict(line: str, number: int, path: Path) -> bool | None:
    try:
        correct = json.loads(line)["correct"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StatementError(f"{path}, line {number}: no JSON object with `correct`.") from error
    if correct is not None and not isinstance(correct, bool):
        raise StatementError(f"{path}, line {number}: `correct` is neither true, false nor null.")
    return correct


def _packed(bits: Iterable[bool]) -> bytes:
    text = "".join("1" if bit else "0" for bit in bits)
    size = (len(text) + 7) // 8
    return int(text.ljust(8 * size, "0"), 2).to_bytes(size, "big") if text else b""
