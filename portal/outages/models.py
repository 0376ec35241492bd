"""Outages as operators see them, and what every row that may wait for the end of one has."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone


class Outage(models.Model):
    """One thing that is or was away, however much work waits for it. One of a cause and place at a time."""

    cause = models.CharField(max_length=60)
    place = models.CharField(max_length=120, blank=True, help_text="The machine; empty for all of them")
    words = models.CharField(max_length=120, help_text="As in “waiting for …”")
    detail = models.TextField(blank=True, help_text="What the last attempt ran into")
    count = models.PositiveIntegerField(default=0, help_text="Attempts that it ended")
    began_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, help_text="When nothing waited for it any more")
    told_at = models.DateTimeField(null=True, editable=False)
    end_told_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["cause", "place"], condition=Q(end_told_at=None), name="outage_one_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.words}, {self.place}" if self.place else self.words


class Heartbeat(models.Model):
    """One row: when the periodic recovery was last there, which needs scheduler, queue and database."""

    at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.at}"


class Waiting(models.Model):
    """Work that waits for the end of an outage until its next try, and says so; see portal.outages.waiting.

    `waiting_since` is the first failure after the last that went well, over all tries in between.
    `waits_at` are the machines whose own outage it is: others may try at once. None are all.
    """

    outage = models.ForeignKey(Outage, null=True, editable=False, on_delete=models.PROTECT, related_name="+")
    waiting_since = models.DateTimeField(null=True, editable=False)
    waits_until = models.DateTimeField(null=True, editable=False)
    waits_at = ArrayField(models.CharField(max_length=120), default=list, editable=False)

    class Meta:
        abstract = True

    @property
    def waiting_for(self) -> str:
        """What the row waits for, as in "waiting for …"; empty where it does not, or its next try runs."""
        return self.outage.words if self.outage and self.waits_until else ""

    @property
    def wait_in_words(self) -> str:
        """As the submitter reads it; empty where it waits for nothing."""
        if not self.waiting_for or self.waits_until is None:
            return ""
        if self.waits_until <= timezone.now():
            return f"waiting for {self.waiting_for}, next try when a worker is free"
        return f"waiting for {self.waiting_for}, next try at {self.waits_until:%H:%M:%S} UTC"
