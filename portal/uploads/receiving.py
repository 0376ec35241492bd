"""Receiving one request's bytes: hashed and stored as they come, in memory one piece at a time."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from portal.accounts.models import User
from portal.uploads import running_digests
from portal.uploads.errors import UploadError
from portal.uploads.models import DailyTraffic, Upload
from portal.uploads.running_digests import DIGEST_BYTES, PIECE_BYTES, Digests
from portal.uploads.store import READ_BYTES, Store, Writer
from portal.uploads.stores import current_store

if TYPE_CHECKING:
    from hashlib import _Hash

# How much a killed server makes the client send again, at most.
RECORD_BYTES = 32 * 1024**2
RECORD_SECONDS = 5.0

CHECKSUM_ALGORITHMS = ("sha1", "sha256")


class Body(Protocol):
    """A request's body. `read` returns fewer bytes than asked for only at its end."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Checksum:
    """What the client says its request's body hashes to; `algorithm` is one of CHECKSUM_ALGORITHMS."""

    algorithm: str
    digest: bytes


def receive(
    upload: Upload, body: Body, size: int, *, offset: int, checksum: Checksum | None = None
) -> Upload:
    """Append `size` bytes of `body`, which begin at `offset`, and return the upload as recorded.

    What arrived before a connection broke is kept, unless a checksum was to be verified: then all of it
    counts or nothing. Raises UploadError.
    """
    store = current_store()
    writer = store.writer(upload)
    try:
        # Again, now that no other request can move it.
        current = Upload.objects.kept().filter(pk=upload.pk).first()
        if current is None or current.consumed_at:
            raise UploadError("upload.gone", "The upload is gone. Start it again.")
        _check_place(current, offset, size)
        if size:
            writer.begin(offset, current.position)
            _Reception(current, store, writer, checksum).run(body, size)
        return current
    finally:
        writer.close()


def _check_place(upload: Upload, offset: int, size: int) -> None:
    if offset != upload.offset:
        raise UploadError(
            "upload.offset", f"The upload stands at byte {upload.offset}, the request begins at {offset}."
        )
    if offset + size > upload.length:
        raise UploadError(
            "upload.too_large",
            f"The request would bring {offset + size} bytes; {upload.length} were announced.",
        )


class _Reception:
    """One request's bytes on their way from the body to the recorded offset."""

    def __init__(self, upload: Upload, store: Store, writer: Writer, checksum: Checksum | None) -> None:
        self._upload, self._store, self._writer, self._checksum = upload, store, writer, checksum
        self._running: Digests | None = running_digests.take(upload.pk, upload.offset)
        self._chunk: _Hash | None = hashlib.new(checksum.algorithm) if checksum else None
        if checksum and self._running:  # for the next attempt, should this one be refused
            running_digests.keep(upload.pk, upload.offset, self._running.copy())
        self._received = 0
        self._offset = upload.offset  # with what has been written
        self._recorded_at = time.monotonic()

    def run(self, body: Body, size: int) -> None:
        try:
            is_whole = self._copy(body, size)
            self._verify(is_whole)
            self._record()
        except UploadError as error:
            if error.code == "upload.storage_full" and self._checksum is None:
                self._record()
            raise
        finally:
            _count_traffic(self._upload, self._received)
        if not is_whole:
            raise UploadError(
                "upload.cut_off",
                f"The request announced {size} bytes and ended after {self._received}. Ask for the offset.",
            )

    def _copy(self, body: Body, size: int) -> bool:
        """Return whether all of it came."""
        while self._received < size:
            try:
                data = body.read(min(READ_BYTES, size - self._received))
            except OSError:  # the connection broke, or was silent for too long
                return False
            if not data:
                return False
            self._received += len(data)
            self._writer.write(data)
            self._offset += len(data)
            if self._running:
                self._running.update(data)
            if self._chunk:
                self._chunk.update(data)
            if self._checksum is None and self._is_due():
                self._record()
        return True

    def _is_due(self) -> bool:
        return self._offset < self._upload.length and (
            self._offset - self._upload.offset >= RECORD_BYTES
            or time.monotonic() - self._recorded_at >= RECORD_SECONDS
        )

    def _verify(self, is_whole: bool) -> None:
        """Nothing that a checksum was sent for is recorded before it has been verified."""
        if self._checksum is None or self._chunk is None:
            return
        if not is_whole:
            raise UploadError("upload.cut_off", "The request ended early; nothing of it was kept.")
        if not hmac.compare_digest(self._chunk.digest(), self._checksum.digest):
            raise UploadError(
                "upload.checksum",
                f"The {self._checksum.algorithm} of the received bytes is not the one in Upload-Checksum; "
                "they were dropped. Send them again.",
            )

    def _record(self) -> None:
        """Store what has been written and say so in the database, the two in this order."""
        upload = self._upload
        if self._offset == upload.offset:
            return
        is_last = self._offset == upload.length
        now = timezone.now()
        changes: dict[str, object] = {
            "offset": self._offset,
            "expires_at": now + timedelta(hours=settings.UPLOAD_EXPIRY_HOURS),
        }
        if is_last:
            self._writer.finish()
            digests = self._running or self._read_again()
            changes |= {"position": {}, "completed_at": now}
            changes |= {"sha256": digests.sha256, "pieces": digests.pieces}
        else:
            changes["position"] = self._writer.save()
            known = bytes(upload.pieces)[: upload.offset // PIECE_BYTES * DIGEST_BYTES]  # the whole ones
            changes["pieces"] = self._running.pieces if self._running else known
        unchanged = Upload.objects.kept().filter(pk=upload.pk, offset=upload.offset, completed_at=None)
        if not unchanged.update(**changes):
            self._give_up(is_last)
        for name, value in changes.items():
            setattr(upload, name, value)
        self._recorded_at = time.monotonic()
        if is_last:
            self._store.tidy(upload)
        elif self._running:
            running_digests.keep(upload.pk, self._offset, self._running.copy())

    def _read_again(self) -> Digests:
        digests = Digests()
        for data in self._store.read(self._upload):
            digests.update(data)
        return digests

    def _give_up(self, is_last: bool) -> None:
        """The upload was thrown away meanwhile, or another request moved it on."""
        if Upload.objects.kept().filter(pk=self._upload.pk).exists():
            raise UploadError("upload.busy", "Another request sent to this upload meanwhile.", retry_after=1)
        if is_last:
            self._store.delete(self._upload)
        raise UploadError("upload.gone", "The upload was cancelled meanwhile.")


def _count_traffic(upload: Upload, received: int) -> None:
    if not received or upload.user_id is None:
        return
    with transaction.atomic():
        # Locked, as somebody may be deleting the user at this moment.
        user = User.objects.select_for_update(no_key=True).filter(pk=upload.user_id).first()
        if user:
            today = DailyTraffic.objects.get_or_create(user=user, day=timezone.now().date())[0]
            DailyTraffic.objects.filter(pk=today.pk).update(received=F("received") + received)
