"""Resumable uploads, and what each user sent on a day."""

from __future__ import annotations

import uuid

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from portal.accounts.models import User


class UploadQuerySet(models.QuerySet["Upload"]):
    def kept(self) -> UploadQuerySet:
        """Those that nobody threw away; the others' bytes are being deleted."""
        return self.filter(discarded_at=None)

    def open(self) -> UploadQuerySet:
        """Those that still wait for bytes or for a submission to take them."""
        return self.kept().filter(consumed_at=None, expires_at__gt=timezone.now())


class Upload(models.Model):
    """One file on its way: what was announced, what has arrived, and what became of it.

    `offset` is the truth about what has arrived: bytes in storage past it are dropped.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Without a user it belongs to nobody and is deleted: a cascade would leave its bytes in storage.
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="uploads")
    name = models.CharField(max_length=200, help_text="As the client calls the file; never used as a path")
    length = models.PositiveBigIntegerField(help_text="Bytes, as announced")
    offset = models.PositiveBigIntegerField(default=0, help_text="Bytes that have arrived")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Known once it is complete")
    pieces = models.BinaryField(
        default=bytes, help_text="SHA-256 of each piece up to the offset, or of the first whole ones"
    )
    file = models.CharField(max_length=200, help_text="Name in storage")
    position = models.JSONField(default=dict, help_text="What the storage needs to go on at the offset")
    parts_begun = models.PositiveIntegerField(default=0, help_text="Numbers given to parts in object storage")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    consumed_at = models.DateTimeField(null=True, help_text="When a submission took it")
    discarded_at = models.DateTimeField(null=True, help_text="Since when its bytes are to be deleted")

    objects = UploadQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["expires_at"], name="upload_expiry")]
        constraints = [
            models.CheckConstraint(
                condition=Q(length__gt=0, offset__lte=F("length")), name="upload_offset_within_length"
            ),
            models.CheckConstraint(
                condition=Q(completed_at=None, sha256="", offset__lt=F("length"))
                | Q(completed_at__isnull=False, sha256__regex=r"^[0-9a-f]{64}$", offset=F("length")),
                name="upload_complete_with_digest",
            ),
            models.CheckConstraint(
                condition=Q(consumed_at=None) | Q(completed_at__isnull=False, discarded_at=None),
                name="upload_consumed_is_complete_and_kept",
            ),
            models.UniqueConstraint(fields=["file"], name="upload_file_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.offset} of {self.length} bytes)"

    @property
    def is_complete(self) -> bool:
        return self.completed_at is not None

    def begin_part(self) -> int:
        """Return a number that no other part has, also where two requests send at a time."""
        with transaction.atomic():
            current = Upload.objects.select_for_update().only("parts_begun").get(pk=self.pk)
            current.parts_begun += 1
            current.save(update_fields=["parts_begun"])
        return current.parts_begun


class DailyTraffic(models.Model):
    """Bytes that a user sent in uploads on one day (UTC), those of discarded uploads included."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    received = models.PositiveBigIntegerField(default=0, help_text="Bytes")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "day"], name="traffic_once_a_day")]

    def __str__(self) -> str:
        return f"{self.received} bytes on {self.day}"
