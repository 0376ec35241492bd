"""Bounds on what a request may upload, enforced while it arrives."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.template.defaultfilters import filesizeformat

from evaluation.findings import Finding, Severity


class SizeLimitUploadHandler(FileUploadHandler):
    """Stops storing a request whose file passes SUBMISSION_MAX_BYTES; `request.upload_too_large` names it.

    The rest of the body is read and dropped, because a browser whose upload is cut off shows a broken
    connection instead of the answer that says what is wrong.
    """

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, *args: Any, **kwargs: Any
    ) -> None:
        self._received = 0

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self._received += len(raw_data)
        if self._received > settings.SUBMISSION_MAX_BYTES:
            assert self.request is not None
            self.request.upload_too_large = self.field_name  # type: ignore[attr-defined]
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


def file_too_large(field: str) -> Finding:
    """The finding for a file over the limit in the form field or API part `field`."""
    limit = filesizeformat(settings.SUBMISSION_MAX_BYTES)
    return Finding("upload.too_large", Severity.ERROR, f"The file is over the limit of {limit}.", field)
