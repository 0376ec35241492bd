"""Which rows of the hub are a data set's own on this site, where the project itself knows no digest."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.utils import timezone

from evaluation.wire.registration import Registration


class DataRegistration(models.Model):
    """A line of the site's register. Written once, never changed; gone only while no official score has it.

    `name` is a benchmark's, or the hub id of a training set. `adopted_by` is empty where the rows were taken
    at first sight.
    """

    name = models.CharField(max_length=200, unique=True)
    dataset = models.CharField(max_length=200)
    commit = models.CharField(max_length=40)
    rows = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    adopted_by = models.CharField(max_length=120, blank=True)
    registered_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["name"]
        triggers = [
            pgtrigger.Protect(name="data_registration_immutable", operation=pgtrigger.Update),
            pgtrigger.Trigger(
                name="data_registration_used",
                when=pgtrigger.Before,
                operation=pgtrigger.Delete,
                func="""
                    IF EXISTS (
                        SELECT 1 FROM runs_score
                        WHERE benchmark = OLD.name AND data_digest = OLD.digest AND official
                    ) THEN
                        RAISE EXCEPTION 'Official scores rest on these rows';
                    END IF;
                    RETURN OLD;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.digest[:12]}"

    @property
    def registration(self) -> Registration:
        return Registration(
            self.name,
            self.dataset,
            self.commit,
            self.rows,
            self.digest,
            self.adopted_by,
            self.registered_at.isoformat(timespec="seconds"),
        )
