"""Uploads to S3: pieces become the parts of a multipart upload, the rest of a request a small object.

Part numbers are never given twice, so requests that race each other cannot overwrite recorded parts; what
was not recorded is not listed when the upload is completed, and S3 drops it.
"""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from django.utils import timezone

from portal.uploads.errors import UploadError
from portal.uploads.models import Upload
from portal.uploads.store import READ_BYTES, Position, Store, Writer

# S3 takes 10,000 parts of 5 MiB or more; half of the numbers is left for parts that are sent again.
PART_BYTES = 8 * 1024**2
PARTS = 5_000
LEFTOVER = timedelta(days=1)


class S3Store(Store):
    """A bucket, by the connection of django-storages' backend."""

    def __init__(self, storage: Any) -> None:
        self._storage = storage
        self.client: Any = storage.connection.meta.client
        self.bucket: str = storage.bucket_name

    def key(self, upload: Upload) -> str:
        return posixpath.join(self._storage.location, upload.file)

    def create(self, upload: Upload) -> None:
        """Nothing is needed before the first part."""

    def writer(self, upload: Upload) -> Writer:
        return _PartWriter(self, upload)

    def read(self, upload: Upload) -> Iterator[bytes]:
        with refusals():
            body = self.client.get_object(Bucket=self.bucket, Key=self.key(upload))["Body"]
            yield from body.iter_chunks(READ_BYTES)

    def delete(self, upload: Upload) -> None:
        self.tidy(upload)
        with refusals():
            self.client.delete_object(Bucket=self.bucket, Key=self.key(upload))

    def tidy(self, upload: Upload) -> None:
        key = self.key(upload)
        with refusals():
            for begun in self._multiparts(key):
                self._abort(begun)
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=tail_prefix(key)
            )
            for page in pages:
                for found in page.get("Contents", []):
                    self.client.delete_object(Bucket=self.bucket, Key=found["Key"])

    def delete_leftovers(self, known: set[str]) -> None:
        """Abort multipart uploads of a day ago that no row has: a killed server may leave one."""
        keys = {posixpath.join(self._storage.location, name) for name in known}
        prefix = posixpath.join(self._storage.location, "uploads/")
        with refusals():
            for begun in self._multiparts(prefix):
                if begun["Key"] not in keys and begun["Initiated"] < timezone.now() - LEFTOVER:
                    self._abort(begun)

    def _multiparts(self, prefix: str) -> list[dict[str, Any]]:
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return [begun for page in pages for begun in page.get("Uploads", [])]

    def _abort(self, begun: dict[str, Any]) -> None:
        try:
            self.client.abort_multipart_upload(
                Bucket=self.bucket, Key=begun["Key"], UploadId=begun["UploadId"]
            )
        except ClientError as error:
            if code_of(error) != "NoSuchUpload":  # another process was faster
                raise


class _PartWriter(Writer):
    """Holds one part in memory at most."""

    def __init__(self, store: S3Store, upload: Upload) -> None:
        self._store, self._upload = store, upload
        self._key = store.key(upload)
        self._part_bytes = max(PART_BYTES, -(-upload.length // PARTS))
        self._multipart = ""
        self._parts: list[tuple[int, str, int]] = []
        self._buffer = bytearray()
        self._tail = ""
        self._superseded: list[str] = []

    def begin(self, offset: int, position: Position) -> None:
        self._multipart = position.get("multipart", "")
        self._parts = [(number, tag, size) for number, tag, size in position.get("parts", [])]
        self._tail = position.get("tail", "")
        if self._tail:
            with refusals():
                found = self._store.client.get_object(Bucket=self._store.bucket, Key=self._tail)
                self._buffer += found["Body"].read()
        if sum(size for _, _, size in self._parts) + len(self._buffer) != offset:
            raise UploadError("upload.gone", "Bytes of this upload were lost in storage. Start it again.")

    def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= self._part_bytes:
            self._send_part(bytes(self._buffer[: self._part_bytes]))
            del self._buffer[: self._part_bytes]

    def save(self) -> Position:
        tail = ""
        if self._buffer:
            tail = f"{tail_prefix(self._key)}{uuid.uuid4().hex}"
            with refusals():
                self._store.client.put_object(Bucket=self._store.bucket, Key=tail, Body=bytes(self._buffer))
        # Only now: the tail before the last one may go once the last one was recorded, and it was, or this
        # writer would have been stopped.
        with refusals():
            for name in self._superseded:
                self._store.client.delete_object(Bucket=self._store.bucket, Key=name)
        self._superseded = [self._tail] if self._tail else []
        self._tail = tail
        return {"multipart": self._multipart, "parts": self._parts, "tail": tail}

    def finish(self) -> None:
        if not self._multipart:
            with refusals():
                self._store.client.put_object(
                    Bucket=self._store.bucket, Key=self._key, Body=bytes(self._buffer)
                )
        else:
            if self._buffer:
                self._send_part(bytes(self._buffer))
            self._complete()
        self._buffer.clear()

    def close(self) -> None:
        self._buffer.clear()

    def _send_part(self, data: bytes) -> None:
        with refusals():
            if not self._multipart:
                begun = self._store.client.create_multipart_upload(Bucket=self._store.bucket, Key=self._key)
                self._multipart = begun["UploadId"]
            number = self._upload.begin_part()
            sent = self._store.client.upload_part(
                Bucket=self._store.bucket,
                Key=self._key,
                UploadId=self._multipart,
                PartNumber=number,
                Body=data,
            )
        self._parts.append((number, sent["ETag"], len(data)))

    def _complete(self) -> None:
        parts = [{"PartNumber": number, "ETag": tag} for number, tag, _ in self._parts]
        with refusals():
            self._store.client.complete_multipart_upload(
                Bucket=self._store.bucket,
                Key=self._key,
                UploadId=self._multipart,
                MultipartUpload={"Parts": parts},
            )


def tail_prefix(key: str) -> str:
    return f"{key}.tail/"


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what S3 answers into an UploadError: bytes that are gone, or a storage that is away."""
    try:
        yield
    except ClientError as error:
        if code_of(error) in ("NoSuchUpload", "NoSuchKey"):
            raise UploadError("upload.gone", "The upload's bytes are gone. Start it again.") from error
        raise _away() from error
    except BotoCoreError as error:
        raise _away() from error


def _away() -> UploadError:
    return UploadError(
        "upload.storage_away", "The site's storage does not answer. Try again in a moment.", retry_after=5
    )
