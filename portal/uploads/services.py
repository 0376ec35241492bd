"""Beginning, taking, cancelling and expiring uploads: the code that writes them, beside `receiving`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.template.defaultfilters import filesizeformat
from django.utils import timezone

from portal.accounts.models import User
from portal.uploads import running_digests
from portal.uploads.errors import UploadError
from portal.uploads.models import DailyTraffic, Upload
from portal.uploads.stores import current_store

NAMELESS = "upload"
# A row stays for some time after a submission took its file, so that a second attempt is told what happened.
CONSUMED_KEPT = timedelta(days=7)
KEPT_AFTER_REFUSAL = timedelta(hours=1)


@dataclass(frozen=True)
class StoredUpload:
    """A complete file in storage that now belongs to who took it."""

    name: str
    size: int
    sha256: str
    stored_as: str


def create(*, user: User, length: int, name: str = "") -> Upload:
    """Begin an upload of `length` bytes. Raises UploadError where a limit stands against it."""
    if length > settings.SUBMISSION_MAX_BYTES:
        raise UploadError(
            "upload.too_large",
            f"The file is over the limit of {filesizeformat(settings.SUBMISSION_MAX_BYTES)}.",
        )
    key = uuid4()
    with transaction.atomic():
        # Uploads of one user begin one after the other, so that none slips past the limits.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        _check_open(user, length)
        check_daily(user, length)
        upload = Upload.objects.create(
            id=key,
            user=user,
            name=(name or NAMELESS)[:200],
            length=length,
            file=f"uploads/{key.hex[:2]}/{key.hex}",
            expires_at=timezone.now() + timedelta(hours=settings.UPLOAD_EXPIRY_HOURS),
        )
    # After the row is committed: a row without a file expires, a file without a row would stay for ever.
    current_store().create(upload)
    return upload


def find(user: User, upload_id: UUID) -> Upload:
    """Return the user's upload, complete or not. Raises UploadError: `upload.unknown`, `upload.gone`."""
    upload = Upload.objects.kept().filter(pk=upload_id, user=user).first()
    if upload is None:
        raise UploadError("upload.unknown", "You have no upload with this id.")
    if upload.consumed_at:
        raise UploadError("upload.gone", "A submission has taken this upload. Start a new one.")
    if upload.expires_at <= timezone.now():
        raise UploadError("upload.gone", "This upload has expired. Start it again.")
    return upload


@transaction.atomic
def take(user: User, upload_id: UUID) -> StoredUpload:
    """Hand a complete upload over to a submission; its file stays where it is and is the caller's.

    Part of the caller's transaction: rolled back, the upload can be taken again. Raises UploadError for one
    that is another user's, unknown, expired, incomplete or taken already.
    """
    upload = Upload.objects.select_for_update().kept().filter(pk=upload_id, user=user).first()
    if upload is None:
        raise UploadError("upload.unknown", "You have no upload with this id. Upload the file first.")
    if upload.consumed_at:
        raise UploadError("upload.consumed", "A submission took this upload already. Upload the file again.")
    if upload.expires_at <= timezone.now():
        raise UploadError("upload.gone", "This upload has expired. Upload the file again.")
    if not upload.is_complete:
        raise UploadError(
            "upload.incomplete",
            f"The upload has {upload.offset} of {upload.length} bytes. Finish it first.",
        )
    upload.consumed_at = timezone.now()
    upload.save(update_fields=["consumed_at"])
    return StoredUpload(upload.name, upload.length, upload.sha256, upload.file)


def discard(upload: Upload) -> None:
    """Throw an upload away with all its bytes; one that a submission took is left alone. Idempotent."""
    if Upload.objects.filter(pk=upload.pk, consumed_at=None).update(discarded_at=timezone.now()):
        _delete(upload)


def drop(user: User, upload_id: UUID) -> None:
    """Throw one of the user's uploads away, if it is there and no submission took it."""
    upload = Upload.objects.kept().filter(pk=upload_id, user=user).first()
    if upload is not None:
        discard(upload)


def keep_briefly(user: User, upload_id: UUID) -> None:
    """Keep a complete upload for a short time only, as its form was refused and may not come again."""
    soon = timezone.now() + KEPT_AFTER_REFUSAL
    Upload.objects.open().filter(pk=upload_id, user=user, expires_at__gt=soon).update(expires_at=soon)


def expire() -> int:
    """Delete what nobody wants any more, with its bytes; return how many uploads that were."""
    now = timezone.now()
    over = Q(expires_at__lte=now) | Q(user=None)
    Upload.objects.kept().filter(over, consumed_at=None).update(discarded_at=now)
    count = 0
    for upload in Upload.objects.filter(discarded_at__isnull=False).iterator():
        _delete(upload)
        count += 1
    # Their files belong to submissions.
    Upload.objects.filter(consumed_at__lt=now - CONSUMED_KEPT).delete()
    DailyTraffic.objects.filter(day__lt=now.date() - timedelta(days=7)).delete()
    current_store().delete_leftovers(set(Upload.objects.values_list("file", flat=True)))
    return count


def _delete(upload: Upload) -> None:
    """The bytes first: whoever is killed between the two leaves the row, by which they are found again."""
    running_digests.forget(upload.pk)
    current_store().delete(upload)
    Upload.objects.filter(pk=upload.pk, discarded_at__isnull=False).delete()


def _check_open(user: User, length: int) -> None:
    waiting = Upload.objects.open().filter(user=user)
    if waiting.count() >= settings.UPLOADS_OPEN:
        raise UploadError(
            "upload.too_many_open",
            f"You have {settings.UPLOADS_OPEN} uploads that are unfinished or in no submission yet, which "
            "is the limit. Cancel one (DELETE), or wait until they expire.",
        )
    total = waiting.aggregate(total=Sum("length"))["total"] or 0
    if total + length > settings.UPLOAD_OPEN_BYTES:
        raise UploadError(
            "upload.open_bytes",
            f"Your unfinished and unused uploads may have {filesizeformat(settings.UPLOAD_OPEN_BYTES)} "
            "together. Cancel one (DELETE), or wait until they expire.",
        )


def check_daily(user: User, coming: int) -> None:
    """Raise UploadError where `coming` bytes would exceed what the user may send on one day (UTC)."""
    now = timezone.now()
    traffic = DailyTraffic.objects.filter(user=user, day=now.date()).first()
    if (traffic.received if traffic else 0) + coming > settings.UPLOAD_DAILY_BYTES:
        midnight = datetime.combine(now.date() + timedelta(days=1), time.min, UTC)
        raise UploadError(
            "upload.daily_bytes",
            f"You may send {filesizeformat(settings.UPLOAD_DAILY_BYTES)} a day. Go on tomorrow (UTC).",
            retry_after=int((midnight - now).total_seconds()) + 1,
        )
