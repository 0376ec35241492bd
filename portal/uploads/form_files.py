"""Bounds on the files of a multipart form, enforced while they arrive."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile, StopUpload
from django.template.defaultfilters import filesizeformat

from evaluation.findings import Finding, Severity

# adapter_config.json, pyproject.toml and a run's record: far more than any real one has.
SMALL_FILE_BYTES = 1024**2


class SizeLimitUploadHandler(FileUploadHandler):
    """Stores the files of signed-in users up to SUBMISSION_MAX_BYTES, and nobody else's.

    A request with a file past the limit has `upload_too_large`, the field's name. The rest of its body is
    read and dropped, because a browser whose upload is cut off shows a broken connection instead of the
    answer that says what is wrong. The body is read before a view runs, so strangers' files end here.
    """

    _file_bytes = _request_bytes = 0

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._file_bytes = 0
        if not getattr(getattr(self.request, "user", None), "is_authenticated", False):
            raise SkipFile
        settings.FILE_UPLOAD_TEMP_DIR.mkdir(parents=True, exist_ok=True)  # for the handler after this one

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self._file_bytes += len(raw_data)
        self._request_bytes += len(raw_data)
        limit = settings.SUBMISSION_MAX_BYTES
        if self._file_bytes > limit or self._request_bytes > limit + 3 * SMALL_FILE_BYTES:
            assert self.request is not None
            self.request.upload_too_large = self.field_name  # type: ignore[attr-defined]
            raise StopUpload(connection_reset=False)
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


def file_too_large(field: str, limit: int | None = None) -> Finding:
    """The finding for a file over `limit` bytes (the adapter's without one) in the form field or API part."""
    size = filesizeformat(limit or settings.SUBMISSION_MAX_BYTES)
    return Finding("upload.too_large", Severity.ERROR, f"The file is over the limit of {size}.", field)
