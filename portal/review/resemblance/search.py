"""Finds what submissions resemble, and keeps what that needs: a periodic task's work, piece by piece."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import msgspec
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from evaluation.resemblance.results import SharedMistakes
from portal.review.resemblance import adapters, answers
from portal.review.resemblance.adapters import AdapterSearch
from portal.review.resemblance.report import Found, Likeness, Merge, Report
from portal.runs.models import Evaluation
from portal.submissions.models import AdapterSketch, ResemblanceReport, Submission

# A reviewer is shown those whose equal mistakes are less likely than this by chance.
_BEYOND_CHANCE = 0.01
_NOTHING = AdapterSearch(0, (), None, ())


def run(*, until: float) -> bool:
    """Sketch what came, keep the wrong answers of new scores, and fill the reports that were asked for.

    Those of submissions in review are asked for here. Returns True when all is done, False once
    `time.monotonic()` has passed `until`: the next run goes on. Raises StorageError while the storage is
    away.
    """
    in_review = Submission.objects.filter(status=Submission.Status.IN_REVIEW, resemblance=None)
    ResemblanceReport.objects.bulk_create(
        (ResemblanceReport(submission=submission) for submission in in_review), ignore_conflicts=True
    )
    return all(time.monotonic() < until for _ in itertools.chain(_sketches(), _answers(), _reports()))


def search(submission: Submission) -> Report:
    """Compare a submission with all that is stored. Raises StorageError."""
    found = _NOTHING
    if submission.checkpoint:
        own = adapters.of_team_alone(submission.team_id)
        found = adapters.search(submission.checkpoint, of_team=own)
    mistakes = answers.search(submission)
    lines = [*_of_adapters(submission, found, mistakes)]
    named = {line.submission for line in lines}
    lines += [
        Found(pk, Likeness.ANSWERS, mistakes=shared)
        for pk, shared in mistakes.items()
        if pk not in named and shared.p is not None and shared.p < _BEYOND_CHANCE
    ]
    merge = Merge(found.merge.explained, found.merge.averaged) if found.merge else None
    return Report(found.compared, len(mistakes), tuple(lines), merge, found.remarks)


def _of_adapters(
    submission: Submission, found: AdapterSearch, mistakes: dict[int, SharedMistakes]
) -> Iterator[Found]:
    first = adapters.first_submissions([each.checkpoint for each in found.alike], but=submission)
    for alike in found.alike:
        other = first.get(alike.checkpoint)
        if other is not None:
            yield Found(other.pk, alike.likeness, alike.update, alike.weight, mistakes.get(other.pk))


def _sketches() -> Iterator[object]:
    for checkpoint in adapters.without_sketch().iterator():
        yield adapters.keep_sketch(checkpoint)


def _answers() -> Iterator[object]:
    for score in answers.without_answers().iterator():
        yield answers.keep_answers(score)


def _reports() -> Iterator[object]:
    """Each report in a transaction of its own, locked, so that two workers never make the same one."""
    while True:
        with transaction.atomic():
            asked = ResemblanceReport.objects.filter(found_at=None).order_by("asked_at")
            row = asked.select_for_update(skip_locked=True, of=("self",)).first()
            if row is None:
                return
            report = search(row.submission)
            row.found_at, row.content = timezone.now(), msgspec.to_builtins(report)
            row.is_anothers = _is_anothers(row.submission, report)
            row.save(update_fields=["found_at", "content", "is_anothers"])
            _ask_again_of(row.submission, report)
        yield row


def _is_anothers(submission: Submission, report: Report) -> bool:
    """Whether the update is that of another team's adapter, more than honest trainings have in common."""
    telling = [f.submission for f in report.found if f.likeness not in (Likeness.RELATED, Likeness.ANSWERS)]
    return Submission.objects.filter(pk__in=telling).exclude(team=submission.team_id).exists()


def _ask_again_of(submission: Submission, report: Report) -> None:
    """Others in review that are like it, and were looked at before it was there, are looked at again."""
    sketched = AdapterSketch.objects.filter(checkpoint=submission.checkpoint_id).values_list("created_at")
    done = Evaluation.objects.filter(submission=submission, finished_at__isnull=False)
    came = [at for (at,) in [*sketched, *done.values_list("finished_at")] if at]
    if came:
        ResemblanceReport.objects.filter(
            Q(found_at__lt=max(came)),
            submission__in=[found.submission for found in report.found],
            submission__status=Submission.Status.IN_REVIEW,
        ).update(asked_at=timezone.now(), found_at=None, content=None)
