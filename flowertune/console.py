"""What a command shows and asks: results on stdout, all else on stderr; with `--json` one document alone."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluation.commands.text import paragraph
from evaluation.findings import RecordedFinding
from flowertune.errors import ClientError, UsageError


class Console:
    """`as_json`: scripts read, so nothing is asked and nothing but the result is written."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    @property
    def is_interactive(self) -> bool:
        """Whether somebody sits there who can be asked."""
        return not self.as_json and sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def shows_progress(self) -> bool:
        return not self.as_json and sys.stderr.isatty()

    def result(self, document: Mapping[str, Any], text: str) -> None:
        """The command's result, in the form that is wanted."""
        shown = json.dumps(document, indent=2, ensure_ascii=False) if self.as_json else printable(text)
        sys.stdout.write(f"{shown}\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Something on the way; scripts don't see it."""
        if not self.as_json:
            sys.stderr.write(f"{printable(text)}\n")
            sys.stderr.flush()

    def failed(self, error: ClientError, findings: str) -> None:
        """Why the command ends."""
        if self.as_json:
            problem = {
                "code": error.code,
                "message": str(error),
                "findings": [as_row(f) for f in error.findings],
            }
            self.result({"error": problem}, "")
            return
        if findings:
            self.note(f"{findings}\n")
        self.note(paragraph(printable(str(error)), "error: "))

    def ask(self, question: str, *, default: str = "", option: str) -> str:
        """An answer from the terminal. Raises UsageError that names `option` where nobody can be asked."""
        if not self.is_interactive:
            raise UsageError(f"{question}: not given. Add {option}.")
        hint = f" [{printable(default)}]" if default else ""
        while True:
            sys.stderr.write(f"{question}{hint}: ")
            sys.stderr.flush()
            if answer := self._line() or default:
                return answer

    def choose(self, question: str, choices: Sequence[str], *, default: str = "", option: str) -> str:
        """One of `choices`, by its number or name."""
        if self.is_interactive:
            for number, choice in enumerate(choices, 1):
                self.note(f"  {number}  {choice}")
        while True:
            answer = self.ask(question, default=default, option=option)
            if answer.isdecimal() and 1 <= int(answer) <= len(choices):
                return choices[int(answer) - 1]
            if found := next((choice for choice in choices if choice.lower() == answer.lower()), None):
                return found
            self.note("Answer with one of the list, or its number.")

    def secret(self, question: str, *, option: str) -> str:
        if not self.is_interactive:
            raise UsageError(f"{question}: not given. Add {option}.")
        return getpass.getpass(f"{question}: ")

    def confirms(self, question: str, *, default: bool = True) -> bool:
        """Ask yes or no; an empty answer means `default`."""
        sys.stderr.write(f"{printable(question)} [{'Y/n' if default else 'y/N'}] ")
        sys.stderr.flush()
        answer = self._line().lower()
        return answer in ("y", "yes") if answer else default

    def _line(self) -> str:
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt  # Ctrl-D at a question means the same as Ctrl-C
        return line.strip()


def printable(text: str) -> str:
    """`text` without what would steer a terminal: names and messages come from other people."""
    if all(c.isprintable() or c == "\n" for c in text):
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text
    )


def table(rows: Iterable[Sequence[str]], *, head: Sequence[str], right: Sequence[int] = ()) -> str:
    """Columns as wide as they need, those in `right` aligned to the right; each row is one line."""
    lines = [[cell.replace("\n", " ") for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_row(finding: RecordedFinding) -> dict[str, str]:
    """A finding as the API writes it."""
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "message": finding.message,
        "location": finding.location,
    }
