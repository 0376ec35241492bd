"""Which entry a study's further run repeats: cells hold runs of one method that differ in the seed only."""

from __future__ import annotations

from portal.intake.repeats import ENDED
from portal.runs.models import BaselineRun, Study, StudyRun
from portal.submissions.models import Submission


def first_entry(run: BaselineRun) -> Submission | None:
    """The entry of the cell's first run, None where this run's is to be the first, or it is of no study.

    To be called in the transaction that submits the run's result: two workers that end a cell's runs at the
    same time wait for each other here.
    """
    place = StudyRun.objects.filter(run=run).first()
    if place is None:
        return None
    Study.objects.select_for_update().get(pk=place.study_id)
    entries = Submission.objects.filter(
        baseline_run__study_run__study=place.study_id,
        baseline_run__study_run__cell=place.cell,
        repeats=None,
    )
    return entries.exclude(status__in=ENDED).order_by("pk").first()
