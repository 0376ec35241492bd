"""A submitter's pages: submit, the list of one's submissions, and a submission with its live status."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from evaluation.challenges import CHALLENGES
from evaluation.findings import Finding
from portal.accounts.models import User, personal_team
from portal.submissions import services
from portal.submissions.forms import SubmissionForm
from portal.submissions.models import BaseModel, Submission
from portal.submissions.progress import progress_of, steps_of
from portal.uploads import file_too_large


@login_required
@require_http_methods(["GET", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    personal_team(user)
    if request.method == "GET":
        challenge = request.GET.get("challenge", "")
        return _form_page(request, SubmissionForm(user=user, initial={"challenge": challenge}), [])
    form = SubmissionForm(request.POST, request.FILES, user=user)
    if too_large := getattr(request, "upload_too_large", None):
        return _form_page(request, form, [file_too_large(too_large)], status=413)
    if not form.is_valid():
        return _form_page(request, form, [], status=422)
    try:
        submission = services.submit(form.draft())
    except services.InvalidSubmission as error:
        return _form_page(request, form, error.findings, status=422)
    messages.success(request, "Submitted. The evaluation starts as soon as a worker is free.")
    return redirect(submission)


@login_required
@require_GET
@never_cache
def mine(request: HttpRequest) -> HttpResponse:
    submissions = Submission.objects.of_member(request.user).select_related("team", "base_model")
    return render(request, "portal/submissions/list.html", {"submissions": submissions, "section": "mine"})


@login_required
@require_GET
@never_cache
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    submission = _own(request, pk)
    return render(
        request,
        "portal/submissions/detail.html",
        {**_status_context(submission, _user(request)), "section": "mine"},
    )


@login_required
@require_GET
@never_cache
def status(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that changes; it asks for itself again until the submission is settled.

    `known` is the status that the page shows; only a change is announced to screen readers.
    """
    submission = _own(request, pk)
    context = _status_context(submission, _user(request)) | {
        "announce": request.GET.get("known", submission.status) != submission.status
    }
    return render(request, "portal/submissions/_status.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    submission = get_object_or_404(Submission.objects.of_member(request.user), pk=pk)
    if request.method == "GET":
        return render(
            request, "portal/submissions/withdraw.html", {"submission": submission, "section": "mine"}
        )
    try:
        services.withdraw(submission)
    except services.TransitionRefused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{submission} is withdrawn.")
    return redirect(submission)


def _own(request: HttpRequest, pk: int) -> Submission:
    """A submission of the user's teams, or any for staff; 404 for others, who must not learn of it."""
    user = _user(request)
    allowed = Submission.objects.all() if user.is_staff else Submission.objects.of_member(user)
    return get_object_or_404(allowed.select_related("team", "base_model", "checkpoint", "submitter"), pk=pk)


def _status_context(submission: Submission, user: User) -> dict[str, object]:
    evaluation = submission.evaluations.prefetch_related("scores").first()
    return {
        "submission": submission,
        "challenge": CHALLENGES[submission.challenge],
        "evaluation": evaluation,
        "progress": progress_of(evaluation) if evaluation else None,
        "steps": steps_of(submission),
        "refresh_seconds": _refresh_seconds(submission),
        "can_withdraw": submission.status in services.WITHDRAWABLE
        and submission.team.memberships.filter(user=user).exists(),
        "findings": submission.findings.all(),
        "decisions": submission.decisions.all(),
    }


def _refresh_seconds(submission: Submission) -> int | None:
    """How often the live status asks again: quickly while it runs, slowly while a person has to act."""
    if submission.is_settled:
        return None
    return 30 if submission.status == Submission.Status.IN_REVIEW else 2


def _form_page(
    request: HttpRequest, form: SubmissionForm, findings: list[Finding], *, status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "findings": findings,
        "no_base_models": not BaseModel.objects.filter(active=True).exists(),
        "section": "submit",
    }
    return render(request, "portal/submissions/create.html", context, status=status)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
