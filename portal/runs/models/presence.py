"""The workers that are there, as they say of themselves now and then."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone


class WorkerPresence(models.Model):
    """A worker that was there at `seen_at`.

    `leaves` lists what it leaves to others, each as the fields of a `LeftToOthers`; `cached` what of the hub
    is on its disk, each as the fields of a `CachedModel`; `gpus` what its GPUs were like then, each as the
    fields of a `Condition`; `at_once` how many evaluations it takes. Fields that were added later have a
    default of the database, so that a worker of an earlier release can still say that it is there.
    """

    name = models.CharField(max_length=120, unique=True)
    seen_at = models.DateTimeField()
    leaves = models.JSONField(default=list)
    started_at = models.DateTimeField(default=timezone.now, db_default=Now())
    queues = ArrayField(
        models.CharField(max_length=20),
        default=list,
        db_default=["evaluate"],
        help_text="Of the broker, that it listens to",
    )
    release = models.CharField(max_length=80, blank=True, db_default="")
    hardware = models.CharField(max_length=200, blank=True, db_default="")
    waits = models.CharField(
        max_length=600, blank=True, db_default="", help_text="Why it begins nothing, in words"
    )
    cached = models.JSONField(default=list, db_default=[])
    gpus = models.JSONField(default=list, db_default=[])
    at_once = models.PositiveSmallIntegerField(default=1, db_default=1)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
