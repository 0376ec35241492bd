"""Orders of operators that stand, the record of all they did, and what the database was last migrated by."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Queue(models.TextChoices):
    """The kinds of work that are claimed."""

    EVALUATE = "evaluate", "evaluations"
    TRAIN = "train", "training runs"
    FETCH = "fetch", "fetches from the hub"


class Hold(models.Model):
    """A worker, all workers of a machine, or a queue that begins nothing new until it is resumed.

    Drained, what is in hand comes to its end; paused, it goes back to the queue.
    """

    class Kind(models.TextChoices):
        WORKER = "worker", "worker or machine"
        QUEUE = "queue", "queue"

    class How(models.TextChoices):
        DRAIN = "drain", "drained"
        PAUSE = "pause", "paused"

    kind = models.CharField(max_length=6, choices=Kind.choices)
    name = models.CharField(max_length=120)
    how = models.CharField(max_length=5, choices=How.choices)
    reason = models.TextField()
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["kind", "name"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="hold_one_each"),
            models.CheckConstraint(condition=~Q(reason=""), name="hold_has_reason"),
            models.CheckConstraint(condition=Q(how__in=["drain", "pause"]), name="hold_how_known"),
            models.CheckConstraint(
                condition=Q(kind="worker") | Q(kind="queue", name__in=["evaluate", "train", "fetch"]),
                name="hold_of_something",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.get_how_display()}"


class Maintenance(models.Model):
    """While its one row is there, nothing is started; what people send is kept."""

    only = models.BooleanField(default=True, unique=True, editable=False)
    reason = models.TextField(help_text="Shown to everybody on every page")
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(only=True), name="maintenance_is_one"),
            models.CheckConstraint(condition=~Q(reason=""), name="maintenance_has_reason"),
        ]

    def __str__(self) -> str:
        return self.reason


class Eviction(models.Model):
    """A base model that a machine's worker is to remove from the hub's cache at its next look."""

    machine = models.CharField(max_length=120)
    repo = models.CharField(max_length=200)
    asked_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=200, blank=True, help_text="What came of it, in words")

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["machine", "repo"], condition=Q(done_at=None), name="eviction_one_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.repo} on {self.machine}"


class Release(models.Model):
    """The release of the code that last migrated the database: at most one row."""

    only = models.BooleanField(default=True, unique=True, editable=False)
    name = models.CharField(max_length=80)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(only=True), name="release_is_one")]

    def __str__(self) -> str:
        return self.name


class Act(models.Model):
    """Something that an operator did, on record for good. `by` is nobody where it came from a terminal."""

    class Via(models.TextChoices):
        PAGE = "page", "operator's page"
        API = "api", "API"
        TERMINAL = "terminal", "manage.py"

    class What(models.TextChoices):
        DRAIN = "drain", "drained"
        PAUSE = "pause", "paused"
        RESUME = "resume", "resumed"
        MAINTENANCE_ON = "maintenance_on", "began maintenance"
        MAINTENANCE_OFF = "maintenance_off", "ended maintenance"
        REQUEUE = "requeue", "put back into the queue"
        PRIORITY = "priority", "changed the priority of"
        EVICT = "evict", "asked to remove from the cache"

    at = models.DateTimeField(default=timezone.now, editable=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    via = models.CharField(max_length=8, choices=Via.choices)
    what = models.CharField(max_length=15, choices=What.choices)
    target = models.CharField(max_length=330, help_text="What it was done to, in words")
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["-pk"]
        permissions = [("operate", "Can operate workers and queues")]
        constraints = [
            models.CheckConstraint(
                condition=Q(what__in=["resume", "maintenance_off"]) | ~Q(reason=""), name="act_has_reason"
            ),
            models.CheckConstraint(
                condition=Q(via="terminal") | Q(by__isnull=False), name="act_is_somebodys"
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="act_append_only", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.get_what_display()} {self.target}"
