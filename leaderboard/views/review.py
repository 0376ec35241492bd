"""The review desk's pages: the queue of cases, a case, and the acts on it. For reviewers alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, Q, QuerySet, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from evaluation.rules.challenges import CHALLENGES
from leaderboard.reading.cases import waiting_rows
from leaderboard.review import queue as cases_queue
from leaderboard.review.case import case_of
from leaderboard.review.forms import ActForm, SecondForm
from leaderboard.review.marks import Mark
from leaderboard.review.queue import DECIDED, Holder, Order, View
from portal.accounts.access import signed_in
from portal.accounts.models import User
from portal.accounts.staff_pages import for_staff_who
from portal.discussion.services import thread_of
from portal.intake.services import TransitionRefused
from portal.review import cases, services, waiting
from portal.review.acts import ACTS, Act, acts_for
from portal.review.entry_requests import shown_to
from portal.review.models import UNDO_SPAN, Decision, ReasonTemplate
from portal.review.resemblance import resembling
from portal.runs.ngrams import overlap_of_submission
from portal.submissions.models import Submission

Action = Decision.Action
PAGE_SIZE = 50
SHOWS = ("", "held", "failed", DECIDED)
"""What the queue can show: by default what waits."""
RECENT = timedelta(days=30)
# One letter an act on the page of a case; on each the letter stands beside the act.
KEYS = {
    Action.PUBLISH: "p",
    Action.CHANGES: "a",
    Action.REJECT: "r",
    Action.REOPEN: "b",
    Action.RERUN: "e",
    Action.RETRAIN: "t",
    Action.HOLD: "h",
    Action.RELEASE: "l",
    Action.DISQUALIFY: "d",
    Action.REINSTATE: "i",
}


@dataclass(frozen=True)
class Offer:
    """An act that the case allows, and its key."""

    act: Act
    key: str


reviewers_only = for_staff_who(
    cases.may_decide,
    without_second_factor="Reviewers need a second factor. Set one up here; then the desk opens.",
    refused="The review desk is for this site's reviewers.",
)


@reviewers_only
@require_safe
def queue(request: HttpRequest) -> HttpResponse:
    user = signed_in(request)
    view = View.of(request.GET.dict(), SHOWS)
    rows = cases_queue.rows_of(waiting_rows(_shown(view.show)), user.pk)
    found = cases_queue.chosen(rows, view)
    context = {
        "view": view,
        "page_obj": Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")),
        "total": len(rows),
        "requests": waiting.open_requests(user).count(),
        "oldest": cases_queue.oldest(rows),
        "marks": list(Mark),
        "holders": [(Holder.ANYBODY, "Anybody"), (Holder.NOBODY, "Nobody"), (Holder.ME, "Me")],
        "orders": [
            (Order.USUAL, "Latest first" if view.is_of_the_past else "Longest waiting first"),
            (Order.NEWEST, "Newest first"),
            (Order.FINDINGS, "Most findings first"),
            (Order.CHALLENGE, "By challenge"),
        ],
        "shows": [
            ("", "Waits for a decision"),
            ("held", "On hold"),
            ("failed", "Evaluation failed"),
            (DECIDED, f"Decided in the last {RECENT.days} days"),
        ],
        "section": "review",
    }
    return render(request, "leaderboard/review/queue.html", context)


@reviewers_only
@require_safe
def case(request: HttpRequest, pk: int) -> HttpResponse:
    """Everything that is known of a submission that was sent, whatever became of it."""
    user = signed_in(request)
    submission = _case(pk)
    context = _desk(submission, user) | {
        "case": case_of(submission),
        "overlap": overlap_of_submission(submission),
        "resembling": resembling(submission),
        "thread": thread_of(submission, user),
        "next": _next(submission, user),
        "requests": shown_to(user).filter(submission=submission).select_related("user"),
    }
    return render(request, "leaderboard/review/case.html", context)


@reviewers_only
@require_POST
def take(request: HttpRequest, pk: int) -> HttpResponse:
    """Claim the case, keep it, or take it over from another reviewer."""
    submission = _case(pk)
    try:
        cases.claim(submission, reviewer=signed_in(request), take_over="over" in request.POST)
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    return redirect("desk:case", pk)


@reviewers_only
@require_POST
def give_back(request: HttpRequest, pk: int) -> HttpResponse:
    cases.release(_case(pk), reviewer=signed_in(request))
    return redirect("desk:queue")


@reviewers_only
@require_http_methods(["GET", "POST"])
def act(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """What an act does, its form, and for a public one the question whether it is meant."""
    submission = _case(pk)
    chosen = _named(action)
    if chosen not in acts_for(submission, on_hold=services.is_on_hold(submission)):
        state = "on hold" if services.is_on_hold(submission) else submission.get_status_display()
        messages.error(request, f"{chosen.title} is not possible now: {submission} is {state}.")
        return redirect("desk:case", pk)
    templates = ReasonTemplate.objects.filter(action=chosen.action, active=True)
    if request.method == "GET":
        picked = templates.filter(pk=_number(request.GET.get("template"))).first()
        form = ActForm(act=chosen, initial={"reason": picked.text if picked else ""})
        return _act_page(request, submission, chosen, form, templates)
    form = ActForm(request.POST, act=chosen)
    if not form.is_valid():
        return _act_page(request, submission, chosen, form, templates, status=422)
    if chosen.is_public and "confirmed" not in request.POST:
        return _act_page(request, submission, chosen, form, templates, is_last=True)
    reviewer = signed_in(request)
    try:
        cases.claim(submission, reviewer=reviewer)  # whoever decides has the case
        decision = services.decide(
            submission=submission, reviewer=reviewer, action=chosen.action, **form.decided()
        )
    except TransitionRefused as refusal:
        form.add_error(None, str(refusal))
        return _act_page(request, submission, chosen, form, templates, status=422)
    _release_unless_waiting(submission, reviewer)
    _say(request, chosen, decision)
    return redirect("desk:case", pk)


@reviewers_only
@require_http_methods(["GET", "POST"])
def second(request: HttpRequest, pk: int) -> HttpResponse:
    """Agree to what another reviewer proposed, or decline it with a reason."""
    submission = _case(pk)
    proposed = services.pending(submission)
    if proposed is None:
        messages.error(request, "No decision waits for a second reviewer any more.")
        return redirect("desk:case", pk)
    form = SecondForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        reviewer = signed_in(request)
        try:
            cases.claim(submission, reviewer=reviewer)
            services.confirm(proposed, reviewer=reviewer, **form.cleaned_data)
        except TransitionRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            _release_unless_waiting(submission, reviewer)
            agreed = form.cleaned_data["agreed"]
            messages.success(request, "It is carried out." if agreed else "You declined it; it is on record.")
            return redirect("desk:case", pk)
    context = _frame(submission) | {"proposed": proposed, "act": ACTS[proposed.act], "form": form}
    status = 422 if form.is_bound else 200
    return render(request, "leaderboard/review/second.html", context, status=status)


@reviewers_only
@require_POST
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back the last decision, where nothing public came of it."""
    submission = _case(pk)
    last = services.undoable(submission)
    try:
        if last is None or str(last.pk) != request.POST.get("decision"):
            raise TransitionRefused("It cannot be undone any more.")
        services.undo(last, reviewer=signed_in(request))
    except TransitionRefused as refusal:
        messages.error(request, str(refusal))
    else:
        _release_unless_waiting(submission, signed_in(request))
        messages.success(request, f"Taken back: {last.get_action_display()}.")
    return redirect("desk:case", pk)


def _release_unless_waiting(submission: Submission, reviewer: User) -> None:
    """Give the case back where nothing is left to do: nobody has to wait for a claim that is of no use."""
    if not waiting.waiting().filter(pk=submission.pk).exists():
        cases.release(submission, reviewer=reviewer)


def _shown(show: str) -> QuerySet[Submission]:
    states = Submission.objects.all()
    if show == "held":
        return waiting.held()
    if show == "failed":
        return waiting.with_state(states.filter(status=Submission.Status.FAILED))
    if show == DECIDED:
        lately = Decision.objects.filter(created_at__gt=timezone.now() - RECENT).values("submission")
        return waiting.with_state(states.filter(pk__in=lately).exclude(status=Submission.Status.IN_REVIEW))
    return waiting.waiting()


def _case(pk: int) -> Submission:
    """A submission that was sent, be it a draft again. 404 for others: a team's drafts are its own affair."""
    rows = (
        Submission.objects.exclude(status=Submission.Status.RECEIVED, sent_at=None)
        .select_related("team", "base_model", "checkpoint", "submitter")
        .defer("base_model__tensors", "checkpoint__summary")
        .prefetch_related("findings", "resources", "declared_scores")
    )
    return get_object_or_404(rows, pk=pk)


def _frame(submission: Submission) -> dict[str, object]:
    """What all pages about a case say of it."""
    return {
        "submission": submission,
        "challenge": CHALLENGES[submission.challenge],
        "section": "review",
    }


def _desk(submission: Submission, user: User) -> dict[str, object]:
    """What the reviewer can do with the case now."""
    claim = cases.claim_of(submission)
    is_conflicted = cases.is_conflicted(user, submission)
    proposed = services.pending(submission)
    on_hold = services.is_on_hold(submission)
    acts = [] if is_conflicted or proposed else acts_for(submission, on_hold=on_hold)
    return _frame(submission) | {
        "claim": claim,
        "has_it": claim is not None and claim.reviewer_id == user.pk,
        "is_conflicted": is_conflicted,
        "can_take_over": user.is_superuser,
        "proposed": proposed,
        "is_own_proposal": proposed is not None and proposed.reviewer_id == user.pk,
        "on_hold": on_hold,
        "offers": [Offer(act, KEYS[act.action]) for act in acts],
        "undoable": None if is_conflicted else services.undoable(submission),
        "is_open": bool(acts or proposed),
    }


def _next(submission: Submission, user: User) -> Submission | None:
    """The case behind this one in the queue's order, then from its begin: of those that the user can decide
    and nobody else has."""
    at = submission.status_changed_at
    behind = Q(status_changed_at__gt=at) | Q(status_changed_at=at, pk__gt=submission.pk)
    first = Case(When(behind, then=0), default=1)
    found = waiting.open_to(user).exclude(pk=submission.pk)
    return found.order_by(first, "status_changed_at", "pk").first()


def _named(action: str) -> Act:
    """Raises Http404."""
    found = next((act for act in ACTS.values() if act.action == action), None)
    if found is None:
        raise Http404(f"no act {action}")
    return found


def _act_page(
    request: HttpRequest,
    submission: Submission,
    act: Act,
    form: ActForm,
    templates: Iterable[ReasonTemplate] = (),
    *,
    is_last: bool = False,
    status: int = 200,
) -> HttpResponse:
    """`is_last`: the question whether it is meant, after which it is done."""
    context = _frame(submission) | {"act": act, "form": form, "templates": templates, "is_last": is_last}
    return render(request, "leaderboard/review/act.html", context, status=status)


def _say(request: HttpRequest, act: Act, decision: Decision) -> None:
    if decision.proposed:
        text = (
            f"“{act.title}” is proposed. Another reviewer has to agree before it takes effect; they are told."
        )
    elif act.can_be_undone:
        minutes = int(UNDO_SPAN.total_seconds()) // 60
        text = f"“{act.title}” is carried out. It can be undone for {minutes} minutes."
    else:
        text = f"“{act.title}” is carried out."
    messages.success(request, text)


def _number(text: str | None) -> int:
    """0, which no row has, for what is no number."""
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0
