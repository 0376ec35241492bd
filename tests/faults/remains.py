"""What must not be left behind once the site is quiet again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone

from portal.notifications.models import Delivery
from portal.runs.models import BaselineRun, Evaluation, Score
from portal.submissions.models import Checkpoint, HubFetch, Submission
from portal.uploads.models import Upload
from tests.faults.parts import WORKERS, Parts

# Written by programs of others while they run, or kept on purpose.
_LATE = timedelta(seconds=5)
_SCRATCH = ("runs", "fetches", "training", "incoming", "tmp")


def work_is_left() -> bool:
    """Whether something is queued or running."""
    active = ("queued", "running")
    claimed = any(
        model._default_manager.filter(status__in=active).exists() for model in (Evaluation, BaselineRun)
    )
    waiting = Delivery.objects.filter(status="running").exists()
    return claimed or waiting or HubFetch.objects.filter(status__in=HubFetch.ACTIVE).exists()


def left_behind(parts: Parts) -> list[str]:
    """Every file, process and lease that nothing accounts for."""
    return [*_files(parts), *_stored(parts), *_processes(parts), *_leases()]


def _files(parts: Parts) -> Iterator[str]:
    for name in _SCRATCH:
        for path in (parts.var / name).glob("*"):
            if not path.name.startswith(("wgunicorn-", "pymp-")):
                yield f"{name}/{path.name}"
    for folder in (parts.var / "storage", parts.var / "hub"):
        for path in folder.rglob("*"):
            if (
                path.is_file()
                and path.stat().st_size == 0
                and not path.name.startswith(".")
                and path.suffix != ".lock"
            ):
                yield f"zero bytes: {path.relative_to(parts.var)}"
            if path.name.endswith(".incomplete"):
                yield f"incomplete: {path.relative_to(parts.var)}"


def _stored(parts: Parts) -> Iterator[str]:
    """Files in storage that no row names."""
    named = {
        *Checkpoint.objects.values_list("file", flat=True),
        *Submission.objects.values_list("adapter_file", flat=True),
        *Score.objects.values_list("items", flat=True),
        *Upload.objects.values_list("file", flat=True),
    }
    storage = parts.var / "storage"
    for path in storage.rglob("*"):
        if path.is_file() and str(path.relative_to(storage)) not in named:
            yield f"nothing names storage/{path.relative_to(storage)}"


def _processes(parts: Parts) -> Iterator[str]:
    workers = {parts.site._running[name].pid for name in WORKERS}
    for child in parts.children():
        if child.ppid() not in workers:
            yield f"process {child.pid}: {' '.join(child.cmdline()[:4])}, child of {child.ppid()}"


def _leases() -> Iterator[str]:
    now = timezone.now()
    for model in (Evaluation, BaselineRun, HubFetch, Delivery):
        for row in model._default_manager.filter(status="running", lease_expires_at__lt=now - _LATE):
            yield f"an expired lease: {row}"
