"""The workers that evaluate, as they say of themselves now and then."""

from __future__ import annotations

from django.db import models


class WorkerPresence(models.Model):
    """A worker that was there at `seen_at`.

    `leaves` lists what it leaves to others, each as the fields of a `LeftToOthers`; `gpus` what its GPUs were
    like then, each as the fields of a `Condition`.
    """

    name = models.CharField(max_length=120, unique=True)
    seen_at = models.DateTimeField()
    leaves = models.JSONField(default=list)
    gpus = models.JSONField(
        default=list, db_default=[]
    )  # a worker of an earlier release says nothing of them

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
