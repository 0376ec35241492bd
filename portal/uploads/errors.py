"""What can be wrong with an upload: one error that carries a finding."""

from __future__ import annotations

from evaluation.findings import Finding, Severity


class UploadError(Exception):
    """A step of an upload is refused; `finding` says why and what to do.

    `retry_after` is the number of seconds after which the same request may work.
    """

    def __init__(self, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.finding = Finding(code, Severity.ERROR, message, "upload")
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        return self.finding.code
