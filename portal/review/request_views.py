"""Pages on which people ask something of the reviewers about an entry, and on which these answer."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from portal.accounts.access import signed_in
from portal.accounts.models import User
from portal.review import entry_requests
from portal.review.cases import may_decide
from portal.review.forms import AnswerForm, ReplyForm, RequestForm
from portal.review.models import EntryRequest
from portal.review.request_texts import TEXTS
from portal.submissions.models import Submission

Kind, State = EntryRequest.Kind, EntryRequest.State
PAGE_SIZE = 50


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def ask(request: HttpRequest, pk: int, kind: EntryRequest.Kind) -> HttpResponse:
    """Ask something about an entry, and see what came of what one asked before."""
    user = signed_in(request)
    submission = _asked_about(user, kind, pk)
    words = TEXTS[kind]
    form = RequestForm(
        request.POST if request.method == "POST" else None,
        user=user, kind=kind, reason=words.reason, help=words.help,
    )  # fmt: skip
    if request.method == "POST" and form.is_valid():
        team = submission.team if kind == Kind.APPEAL else form.cleaned_data.get("team")
        try:
            entry_requests.ask(
                user=user,
                kind=kind,
                submission=submission,
                reason=form.cleaned_data["reason"],
                link=form.cleaned_data["link"],
                team=team,
            )
        except entry_requests.RequestRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "The reviewers are told. Their answer will stand on this page.")
            return redirect(request.path)
    own = user.entry_requests.filter(submission=submission, kind=kind).select_related("team")
    context = {
        "form": form,
        "words": words,
        "kind": kind,
        "submission": submission,
        "own": own,
        "is_open": any(asked.state == State.OPEN for asked in own),
        "section": "boards",
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "portal/review/ask.html", context, status=status)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def reply(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer an objection for the entry's team."""
    user = signed_in(request)
    mine = EntryRequest.objects.filter(kind=Kind.OBJECTION, submission__team__memberships__user=user)
    objection = get_object_or_404(mine.select_related("submission", "user"), pk=pk)
    form = ReplyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            entry_requests.reply(objection, user=user, text=form.cleaned_data["text"])
        except entry_requests.RequestRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "Your answer stands on the entry's page, and the reviewers are told.")
            return redirect("entry", objection.submission_id)
    context = {"form": form, "objection": objection, "section": "mine"}
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "portal/review/reply.html", context, status=status)


@login_required
@never_cache
@require_GET
def requests(request: HttpRequest) -> HttpResponse:
    """What people ask of the reviewers: open ones first, the oldest first."""
    reviewer = _reviewer(request)
    chosen = request.GET.get("state", State.OPEN)
    found = entry_requests.shown_to(reviewer).select_related("submission", "user", "team")
    found = found.order_by("created_at") if chosen == State.OPEN else found.order_by("-answered_at")
    found = found.filter(state=State.OPEN) if chosen == State.OPEN else found.exclude(state=State.OPEN)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"page": page, "shows_open": chosen == State.OPEN, "section": "review"}
    return render(request, "portal/review/requests.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def request_page(request: HttpRequest, pk: int) -> HttpResponse:
    """A request with what it is about, and its answer."""
    reviewer = _reviewer(request)
    shown = entry_requests.shown_to(reviewer).select_related(
        "submission__team", "user", "team", "answered_by", "replied_by"
    )
    asked = get_object_or_404(shown, pk=pk)
    form = AnswerForm(request.POST if request.method == "POST" else None, kind=asked.kind)
    if request.method == "POST" and form.is_valid():
        try:
            entry_requests.answer(
                asked,
                reviewer=reviewer,
                accept=request.POST.get("verdict") == "accept",
                text=form.cleaned_data["text"],
                hide=form.cleaned_data.get("hide", False),
            )
        except entry_requests.RequestRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, "The answer is on record and sent to who asked.")
            return redirect("review:request", pk)
    context = {"asked": asked, "form": form, "is_open": asked.state == State.OPEN, "section": "review"}
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "portal/review/request.html", context, status=status)


def _asked_about(user: User, kind: EntryRequest.Kind, pk: int) -> Submission:
    """What can be asked about; 404 where it cannot, as a submission that is not public must not show."""
    submissions = Submission.objects.select_related("team", "base_model")
    if kind == Kind.APPEAL:
        refused = (Submission.Status.REJECTED, Submission.Status.DISQUALIFIED)
        return get_object_or_404(submissions.of_member(user).filter(status__in=refused), pk=pk)
    if kind == Kind.CLAIM:
        submissions = submissions.filter(kind=Submission.Kind.IMPORTED, status=Submission.Status.PUBLISHED)
    return get_object_or_404(submissions.filter(status__in=Submission.PUBLIC), pk=pk)


def _reviewer(request: HttpRequest) -> User:
    """Raises Http404 for others: what is asked of the reviewers is theirs."""
    user = signed_in(request)
    if not may_decide(user):
        raise Http404
    return user
