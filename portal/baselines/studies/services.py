"""What staff do with studies: start one, run single places again, change its priority, stop it."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from portal.accounts.models import User
from portal.baselines import services
from portal.baselines.studies.planning import SitePlan, StudyRefused, check, on_site
from portal.intake.repeats import ENDED
from portal.queues import wake_trainers
from portal.runs.models import BaselineRun, Study, StudyRun

Status = BaselineRun.Status

PRIORITIES = range(-100, 101)
BEHIND_SINGLE_RUNS = -1
"""The priority that a study has by itself: a run that somebody starts alone does not wait for hundreds."""


def start(text: str, *, requester: User, priority: int = BEHIND_SINGLE_RUNS) -> Study:
    """Queue all runs of a plan and wake the workers. Raises StudyRefused with everything that is wrong."""
    if priority not in PRIORITIES:
        raise StudyRefused([f"the priority is from {PRIORITIES[0]} to {PRIORITIES[-1]}"])
    planned = on_site(text)
    check(planned)
    try:
        with transaction.atomic():
            services.reference_team(requester)
            study = Study.objects.create(
                title=planned.plan.title, plan=text, priority=priority, started_by=requester
            )
            # Seed by seed, so that the whole table has its first figures before any cell has its last.
            places = [(cell.number, seed) for seed in planned.plan.seeds for cell in planned.plan.cells]
            _enqueue(study, planned, places, requester)
    except services.RunRefused as refusal:
        raise StudyRefused([str(refusal)]) from refusal
    return study


def run_again(study: Study, *, requester: User, cell: int | None = None) -> int:
    """Queue new runs for the places, of a cell or all, that have none that is under way or counts.

    These are places whose run failed or was cancelled, or whose entry counts no more. Returns how many.
    Raises StudyRefused.
    """
    planned = on_site(study.plan)
    if cell is not None and not any(known.number == cell for known in planned.plan.cells):
        raise StudyRefused([f"the study has no cell {cell}"])
    try:
        with transaction.atomic():
            services.reference_team(requester)
            # Two who ask at once must not queue the same place twice.
            Study.objects.select_for_update().get(pk=study.pk)
            newest = newest_runs(study)
            places = [place for place, run in newest.items() if cell in (None, place[0]) and is_over(run)]
            _enqueue(study, planned, places, requester)
    except services.RunRefused as refusal:
        raise StudyRefused([str(refusal)]) from refusal
    return len(places)


def stop(study: Study, *, by: User) -> int:
    """Cancel every run that is queued or running. Returns how many; what is done stays."""
    cancelled = 0
    for run in BaselineRun.objects.filter(study_run__study=study, status__in=BaselineRun.ACTIVE):
        try:
            services.cancel(run, by=by)
        except services.RunRefused:
            continue  # it ended meanwhile
        cancelled += 1
    return cancelled


def set_priority(study: Study, priority: int) -> None:
    """Let the study's queued runs wait by another priority. Raises StudyRefused."""
    if priority not in PRIORITIES:
        raise StudyRefused([f"the priority is from {PRIORITIES[0]} to {PRIORITIES[-1]}"])
    with transaction.atomic():
        Study.objects.filter(pk=study.pk).update(priority=priority)
        queued = BaselineRun.objects.filter(study_run__study=study, status=Status.QUEUED)
        queued.update(priority=priority)
    study.priority = priority


def newest_runs(study: Study) -> dict[tuple[int, int], BaselineRun]:
    """The run that counts at each place, a cell's number and a seed, with its entry."""
    runs = StudyRun.objects.filter(study=study).select_related(
        "run__submission__checkpoint", "run__base_model"
    )
    runs = runs.defer(
        "run__config", "run__setup", "run__submission__config_text", "run__submission__adapter_config_text",
        "run__base_model__tensors",
    )  # fmt: skip
    return {(place.cell, place.seed): place.run for place in runs.order_by("cell", "seed", "pk")}


def is_over(run: BaselineRun) -> bool:
    """Whether a place whose newest run this is has nothing that counts."""
    if run.status in (Status.FAILED, Status.CANCELLED):
        return True
    return run.submission is not None and run.submission.status in ENDED


def _enqueue(study: Study, planned: SitePlan, places: Sequence[tuple[int, int]], requester: User) -> None:
    cells = {cell.number: cell for cell in planned.plan.cells}
    for number, seed in places:
        cell = cells[number]
        run = planned.run_of(cell, seed)
        method = services.default_method(run.config)
        if cell.partition.kind != "iid":
            method = f"{method}, {cell.partition_name}"
        made = services.enqueue(services.Request(run, requester, method), priority=study.priority)
        StudyRun.objects.create(study=study, cell=number, seed=seed, run=made)
    if places:
        wake_trainers()
