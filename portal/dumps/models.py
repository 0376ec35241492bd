"""The dumps that are kept, and of a mirror, what it mirrors."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Dump(models.Model):
    """All public data at a time, as files in storage."""

    created_at = models.DateTimeField(default=timezone.now, unique=True)
    folder = models.CharField(max_length=100, unique=True, help_text="In storage")
    manifest = models.JSONField()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.folder


class Mirror(models.Model):
    """That this database is filled from another site's dump, and takes nothing else. At most one row."""

    only = models.BooleanField(default=True, unique=True, editable=False)
    site = models.URLField(help_text="Whose data these are")
    as_of = models.DateTimeField(help_text="When the dump was made")
    manifest = models.JSONField()
    imported_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(only=True), name="mirror_is_one")]
        triggers = [
            pgtrigger.Protect(name="mirror_stays", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"mirror of {self.site}"
