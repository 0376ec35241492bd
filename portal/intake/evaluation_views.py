"""What a submission's page leads to of its evaluations: the answers of a smoke run, the way on, the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from portal.accounts.models import User
from portal.intake import smoke_runs
from portal.intake.progress import smoke_run_of
from portal.intake.services import TransitionRefused
from portal.intake.views import may_measure, own_submission
from portal.runs import leakage, transfer
from portal.runs.items import ItemsMissingError, open_items
from portal.runs.models import Evaluation, Score
from portal.submissions.models import Submission


@dataclass(frozen=True)
class Answers:
    """The single answers behind a score; `missing` says why there are none to be read."""

    score: Score
    items: list[dict[str, Any]]
    missing: str = ""

    @property
    def unreadable(self) -> int:
        """Answers in which none was found."""
        return sum(item["prediction"] == "" for item in self.items)


@login_required
@require_POST
def evaluate(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on in full after the smoke run."""
    submission = get_object_or_404(Submission.objects.of_member(request.user), pk=pk)
    try:
        smoke_runs.evaluate_in_full(submission)
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "It is in the queue for its evaluation in full.")
    return redirect(submission)


@login_required
@require_POST
def measure_transfer(request: HttpRequest, pk: int) -> HttpResponse:
    """Measure the adapter on the other domains, at the wish of its team or of who trains here."""
    return _asked(request, pk, transfer.ask, "It is measured on the other domains once nothing else waits.")


@login_required
@require_POST
def measure_leakage(request: HttpRequest, pk: int) -> HttpResponse:
    """Measure what the adapter gives away, at the wish of its team or of who trains here."""
    return _asked(request, pk, leakage.ask, "Its leakage is measured once nothing else waits.")


def _asked(request: HttpRequest, pk: int, ask: Callable[[Submission], object], done: str) -> HttpResponse:
    submission = _measurable(request, pk)
    try:
        ask(submission)
    except (transfer.TransferRefused, leakage.LeakageRefused) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
    return redirect(submission)


@login_required
@require_GET
@never_cache
def smoke_run(request: HttpRequest, pk: int) -> HttpResponse:
    """Every answer of the smoke run."""
    submission = own_submission(request, pk)
    found = smoke_run_of(submission)
    answers = [_answers(score) for score in found.evaluation.scores.all()] if found else []
    context = {"submission": submission, "smoke_run": found, "answers": answers, "section": "mine"}
    return render(request, "portal/submissions/smoke_run.html", context)


@login_required
@require_GET
@never_cache
def log(request: HttpRequest, pk: int) -> HttpResponse:
    """All that the workers noted on the submission's evaluations."""
    context = _log_context(own_submission(request, pk))
    return render(request, "portal/submissions/log.html", {**context, "section": "mine"})


@login_required
@require_GET
@never_cache
def log_live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the log's page that changes; it asks for itself again while something runs or waits."""
    return render(request, "portal/submissions/_log.html", _log_context(own_submission(request, pk)))


def _measurable(request: HttpRequest, pk: int) -> Submission:
    """A submission that the user may have measured beside its board. Raises PermissionDenied, Http404."""
    submission = own_submission(request, pk)
    if not isinstance(request.user, User) or not may_measure(request.user, submission):
        raise PermissionDenied
    return submission


def _log_context(submission: Submission) -> dict[str, object]:
    evaluations = list(Evaluation.objects.filter(submission=submission).prefetch_related("log"))
    return {
        "submission": submission,
        "evaluations": evaluations,
        "is_live": any(one.is_active for one in evaluations),
    }


def _answers(score: Score) -> Answers:
    try:
        with open_items(score) as file:
            return Answers(score, [json.loads(line) for line in file])
    except ItemsMissingError as error:
        return Answers(score, [], str(error))
