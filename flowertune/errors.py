"""The errors of the client, each with the exit status that it ends the command with."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.errors import EvaluationError
from evaluation.findings import RecordedFinding
from flowertune.exit_status import Status


class ClientError(EvaluationError):
    """The site or a check refuses, and will again; `findings` say why where the text does not."""

    code = "refused"
    status = Status.REFUSED

    def __init__(self, message: str, findings: Sequence[RecordedFinding] = (), *, code: str = "") -> None:
        super().__init__(message)
        self.findings = tuple(findings)
        self.code = code or self.code


class NotThere(ClientError):
    """The site has nothing at the address, or nothing that this token may see."""

    code = "not_found"


class UsageError(ClientError):
    """The command line lacks something, or names what does not exist."""

    code = "usage"
    status = Status.USAGE


class EvaluationFailed(ClientError):
    """The evaluation came to no result."""

    code = "evaluation_failed"
    status = Status.EVALUATION_FAILED


class TemporaryError(ClientError):
    """The same call may work later; `wait` is in how many seconds at the earliest, None if unknown."""

    code = "temporary"
    status = Status.TEMPORARY
    retryable = True

    def __init__(
        self,
        message: str,
        findings: Sequence[RecordedFinding] = (),
        *,
        code: str = "",
        wait: float | None = None,
    ) -> None:
        super().__init__(message, findings, code=code)
        self.wait = wait
