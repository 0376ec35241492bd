"""A submitter's pages: submit, drafts, the list of one's submissions, and each with its live status."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from evaluation.rules.challenges import CHALLENGES
from portal import pace
from portal.accounts.access import sees_all, trains_here
from portal.accounts.models import User, personal_team
from portal.discussion.services import thread_of
from portal.intake import model_requests, queue_page, services
from portal.intake.forms import BaseModelRequestForm, SubmissionForm, values_of
from portal.intake.progress import attempts_of, smoke_run_of, steps_of
from portal.intake.quotas import Quota, quota_of
from portal.runs import leakage, logs, transfer
from portal.runs.ngrams import overlap_of_submission
from portal.submissions.known_of_method import card_of
from portal.submissions.models import BaseModel, HubFetch, Submission
from portal.uploads import file_too_large
from portal.uploads import services as uploads
from portal.uploads.errors import UploadError

_KEPT = "kept_upload"
"""In a session: the upload that was kept when its form was refused."""


@sensitive_post_parameters("hub_token")
@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def create(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    personal_team(user)
    if request.method == "GET":
        challenge = request.GET.get("challenge", "")
        return _form_page(request, SubmissionForm(user=user, initial={"challenge": challenge}))
    send = _is_to_be_sent(request)
    form = SubmissionForm(request.POST, request.FILES, user=user)
    if too_large := getattr(request, "upload_too_large", None):
        return _form_page(request, form, [file_too_large(too_large)], status=413)
    if not form.is_valid():
        return _form_page(request, form, status=422)
    try:
        # A refusal gives a finished upload back, so that it need not be sent again.
        with transaction.atomic():
            draft = form.draft(send=send)
            submission = services.submit(draft) if send and draft.hub is None else services.create(draft)
    except UploadError as error:
        return _without_upload(request, form, error)
    except services.InvalidSubmission as error:
        form.name_missing(error.findings)
        if upload := form.cleaned_data["adapter_upload"]:
            _keep_or_drop(request, form, upload, is_usable=error.is_adapter_usable)
        return _form_page(request, form, error.findings, status=422)
    _say_what_happens(request, submission)
    return redirect(submission)


@sensitive_post_parameters("hub_token")
@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on with a draft: change what it says and its files, and send it."""
    submission = _member_draft(request, pk)
    user = _user(request)
    if request.method == "GET":
        form = SubmissionForm(user=user, submission=submission, initial=values_of(submission))
        return _form_page(request, form, list(submission.findings.all()))
    send = _is_to_be_sent(request)
    form = SubmissionForm(request.POST, request.FILES, user=user, submission=submission)
    if too_large := getattr(request, "upload_too_large", None):
        return _form_page(request, form, [file_too_large(too_large)], status=413)
    if not form.is_valid():
        return _form_page(request, form, status=422)
    try:
        with transaction.atomic():
            draft = form.draft(send=send)
            submission = services.amend(submission, draft)
        if send and draft.hub is None:
            submission = services.send(submission)
    except UploadError as error:
        return _without_upload(request, form, error)
    except services.TransitionRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("submissions:detail", pk)
    except services.InvalidSubmission as error:
        saved = SubmissionForm(user=user, submission=submission, initial=values_of(submission))
        return _form_page(request, saved, error.findings, status=422)
    _say_what_happens(request, submission)
    return redirect(submission)


@login_required
@require_http_methods(["GET", "POST"])
def request_base_model(request: HttpRequest) -> HttpResponse:
    """Ask the operators for a base model that is on no list."""
    user = _user(request)
    form = BaseModelRequestForm(
        request.POST if request.method == "POST" else None,
        initial={"hub_id": request.GET.get("model", "")[:200]},
    )
    if request.method == "POST" and form.is_valid():
        try:
            asked = model_requests.ask(
                user=user, hub_id=form.cleaned_data["hub_id"].repository, reason=form.cleaned_data["reason"]
            )
        except model_requests.RequestRefused as refusal:
            form.add_error("hub_id", str(refusal))
        else:
            messages.success(request, f"The operators are told that you ask for {asked.hub_id}.")
            return redirect("submissions:request-base-model")
    context = {"form": form, "own": user.base_model_requests.all()[:20], "section": "submit"}
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "portal/submissions/request_base_model.html", context, status=status)


@login_required
@require_POST
def send(request: HttpRequest, pk: int) -> HttpResponse:
    submission = _member_draft(request, pk)
    try:
        submission = services.send(submission)
    except services.TransitionRefused as refusal:
        messages.error(request, str(refusal))
    except services.InvalidSubmission as error:
        form = SubmissionForm(user=_user(request), submission=submission, initial=values_of(submission))
        return _form_page(request, form, error.findings, status=422)
    else:
        _say_what_happens(request, submission)
    return redirect("submissions:detail", pk)


@login_required
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    submission = _member_draft(request, pk)
    if request.method == "GET":
        return render(
            request, "portal/submissions/delete.html", {"submission": submission, "section": "mine"}
        )
    try:
        services.delete(submission)
    except services.TransitionRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("submissions:detail", pk)
    messages.success(request, f"The draft “{submission.method}” is deleted.")
    return redirect("submissions:list")


@login_required
@require_GET
@never_cache
def mine(request: HttpRequest) -> HttpResponse:
    user = _user(request)
    submissions = list(
        Submission.objects.of_member(user).select_related("team", "base_model").defer("base_model__tensors")
    )
    places = queue_page.places_of(submissions)
    for submission in submissions:
        submission.place = places.get(submission.pk, "")  # type: ignore[attr-defined]
    context = {"submissions": submissions, "quotas": _quotas(user), "section": "mine"}
    return render(request, "portal/submissions/list.html", context)


@login_required
@require_GET
@never_cache
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    submission = own_submission(request, pk)
    return render(
        request,
        "portal/submissions/detail.html",
        {
            **_status_context(submission, _user(request)),
            "thread": thread_of(submission, _user(request)),
            "overlap": overlap_of_submission(submission),
            "retrainings": submission.retrainings.order_by("pk") if sees_all(request.user) else (),
            "section": "mine",
        },
    )


@login_required
@require_GET
@never_cache
def status(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that changes; it asks for itself again until the submission is settled.

    `known` is the status that the page shows; only a change is announced to screen readers.
    """
    submission = own_submission(request, pk)
    context = _status_context(submission, _user(request)) | {
        "announce": request.GET.get("known", submission.status) != submission.status
    }
    return render(request, "portal/submissions/_status.html", context)


@require_safe
@never_cache
def queue(request: HttpRequest) -> HttpResponse:
    """What runs, waits and came out, for everybody."""
    if refused := pace.refusal(request):
        return refused
    context = {"queue": queue_page.shown_to(request.user), "section": "queue"}
    return render(request, "portal/submissions/queue.html", context)


@require_safe
@never_cache
def queue_live(request: HttpRequest) -> HttpResponse:
    """The part of the queue's page that changes; it asks for itself again."""
    if refused := pace.refusal(request):
        return refused
    context = {"queue": queue_page.shown_to(request.user)}
    return render(request, "portal/submissions/_queue.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    submission = get_object_or_404(Submission.objects.of_member(request.user), pk=pk)
    if submission.status == Submission.Status.RECEIVED and not submission.is_returned:
        return redirect("submissions:delete", pk)
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


def own_submission(request: HttpRequest, pk: int) -> Submission:
    """A submission of the user's teams, or any for staff; 404 for others, who must not learn of it."""
    user = _user(request)
    allowed = Submission.objects.all() if sees_all(user) else Submission.objects.of_member(user)
    return get_object_or_404(allowed.select_related("team", "base_model", "checkpoint", "submitter"), pk=pk)


def _member_draft(request: HttpRequest, pk: int) -> Submission:
    """A draft of the user's teams; 404 for others, and once it was sent."""
    drafts = Submission.objects.of_member(request.user).filter(status=Submission.Status.RECEIVED)
    return get_object_or_404(drafts.select_related("team", "base_model", "submitter"), pk=pk)


def _status_context(submission: Submission, user: User) -> dict[str, object]:
    is_member = submission.team.memberships.filter(user=user).exists()
    is_draft = submission.status == Submission.Status.RECEIVED
    findings = list(submission.findings.all())
    fetch = HubFetch.objects.filter(submission=submission).first()
    return {
        "submission": submission,
        "challenge": CHALLENGES[submission.challenge],
        "attempts": attempts_of(submission),
        "smoke_run": smoke_run_of(submission),
        "log": logs.newest(submission),
        "steps": steps_of(submission),
        "refresh_seconds": _refresh_seconds(submission, fetch),
        "fetch": fetch,
        "can_edit": is_draft and is_member,
        "can_evaluate": is_member and submission.status == Submission.Status.TRIED,
        "can_withdraw": is_member and services.can_withdraw(submission),
        "can_appeal": is_member
        and submission.status in (Submission.Status.REJECTED, Submission.Status.DISQUALIFIED),
        "can_retrain": trains_here(user)
        and not is_draft
        and submission.kind == Submission.Kind.COMMUNITY
        and submission.method_card is not None,
        "expires_at": services.closes_at(submission),
        "findings": findings,
        "has_errors": any(finding.severity == "error" for finding in findings),
        "decisions": submission.decisions.in_effect().filter(undone_by=None),
        "card": card_of(submission),
        "transfer": transfer.state_of(submission),
        "leakage": leakage.state_of(submission),
        "can_measure": may_measure(user, submission),
    }


def may_measure(user: User, submission: Submission) -> bool:
    """Whether a user may ask for what is measured beside the board: its team, and who trains here."""
    return trains_here(user) or submission.team.memberships.filter(user=user).exists()


def _refresh_seconds(submission: Submission, fetch: HubFetch | None) -> int | None:
    """How often the live status asks again: quickly while it runs, slowly while a person has to act."""
    if submission.status == Submission.Status.RECEIVED:
        return 2 if fetch and fetch.is_active else None
    if submission.is_settled:
        return None
    return 30 if submission.status in (Submission.Status.IN_REVIEW, Submission.Status.TRIED) else 2


def _keep_or_drop(request: HttpRequest, form: SubmissionForm, upload: UUID, *, is_usable: bool) -> None:
    """What becomes of the upload of a form that was refused: it is kept for the next attempt, where it may
    pass.

    A form that nobody sends again must not use up the room for open uploads, so it is kept for a short time,
    and of one session only the last.
    """
    before = request.session.pop(_KEPT, None)
    if before and before != str(upload):
        uploads.drop(form.user, UUID(before))
    if is_usable:
        uploads.keep_briefly(form.user, upload)
        request.session[_KEPT] = str(upload)
    else:
        uploads.drop(form.user, upload)
        _forget_upload(request, form)


def _forget_upload(request: HttpRequest, form: SubmissionForm) -> None:
    data = request.POST.copy()
    data["adapter_upload"] = ""
    form.data = data


def _without_upload(request: HttpRequest, form: SubmissionForm, error: UploadError) -> HttpResponse:
    """The form again, without the upload that is of no use."""
    _forget_upload(request, form)
    form.add_error("adapter_model", error.finding.message)
    return _form_page(request, form, status=422)


def _form_page(
    request: HttpRequest, form: SubmissionForm, findings: Sequence[object] = (), *, status: int = 200
) -> HttpResponse:
    context = {
        "form": form,
        "draft": form.submission,
        "findings": findings,
        "quotas": _quotas(form.user),
        "no_base_models": not BaseModel.objects.filter(active=True).exists(),
        "section": "submit",
    }
    return render(request, "portal/submissions/create.html", context, status=status)


def _quotas(user: User) -> list[Quota]:
    return [quota_of(team) for team in user.teams.all()]


def _is_to_be_sent(request: HttpRequest) -> bool:
    """Whether the form's first button was pressed; the second only saves."""
    return request.POST.get("action") != "save"


def _say_what_happens(request: HttpRequest, submission: Submission) -> None:
    if submission.status != Submission.Status.RECEIVED:
        what = "smoke run" if submission.smoke_run else "evaluation"
        messages.success(request, f"Submitted. The {what} starts as soon as a worker is free.")
    elif HubFetch.objects.filter(submission=submission, status__in=HubFetch.ACTIVE).exists():
        messages.success(request, "Saved. Its files are being fetched from the hub.")
    else:
        messages.success(request, "Saved as a draft. Nothing is evaluated until you submit it.")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
