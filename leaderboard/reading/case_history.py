"""What happened to a submission, from the append-only records: its statuses, evaluations, retrainings,
decisions, who took it, audits, and what was told of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.apps import apps
from django.db.models import Count, Q

from portal.notifications.models import Delivery, Event, Notification
from portal.review.audits import in_words
from portal.review.models import Audit, CaseClaim, Decision
from portal.runs.models import BaselineRun, Evaluation, Reproduction
from portal.submissions.models import Submission

Status = Submission.Status


@dataclass(frozen=True)
class Happening:
    """One line of the history; `kind` is decision, claim, status, evaluation, retraining, audit or mail.
    `text` is a reason or an error, `who` a reviewer's name or "", `address` where more can be read, or ""."""

    at: datetime
    kind: str
    what: str
    who: str = ""
    text: str = ""
    address: str = ""


def history_of(submission: Submission) -> list[Happening]:
    """Newest first."""
    told = [
        *_statuses(submission),
        *_evaluations(submission.evaluations.prefetch_related("scores")),
        *_retrainings(submission),
        *_decisions(submission),
        *_claims(submission),
        *_audits(submission),
        *_notifications(submission),
    ]
    return sorted(told, key=lambda happening: happening.at, reverse=True)


def _statuses(submission: Submission) -> Iterator[Happening]:
    """Where somebody or something brought it; what is queued or evaluated, its evaluations say."""
    said = {
        Status.RECEIVED: "Begun as a draft",
        Status.QUEUED: "Queued for evaluation",
        Status.IN_REVIEW: "In review",
        Status.FAILED: "Evaluation failed",
        Status.WITHDRAWN: "Withdrawn",
        Status.PUBLISHED: "On the board",
        Status.INVALID: "Found invalid",
    }
    events = apps.get_model("submissions", "StatusEvent").objects.filter(pgh_obj=submission.pk)
    for number, (status, at) in enumerate(events.order_by("pk").values_list("status", "status_changed_at")):
        if status == Status.RECEIVED and number:
            yield Happening(at, "status", "A draft again")
        elif status in said:
            yield Happening(at, "status", said[Status(status)])


def _evaluations(evaluations: Iterable[Evaluation]) -> Iterator[Happening]:
    for one in evaluations:
        if one.finished_at is None:
            continue
        values = [score.value for score in one.scores.all() if score.value is not None]
        what = "Audit's evaluation" if one.for_audit else one.title
        average = f", average {100 * sum(values) / len(values):.2f}%" if values else ""
        yield Happening(
            one.finished_at,
            "evaluation",
            f"{what} {one.pk} under protocol {one.protocol} {one.get_status_display()}{average}",
            text=one.error_message,
        )


def _retrainings(submission: Submission) -> Iterator[Happening]:
    runs = BaselineRun.objects.filter(original=submission).select_related("requested_by")
    for run in runs:
        who, address = run.requested_by.username, run.get_absolute_url()
        yield Happening(run.queued_at, "retraining", f"Retraining {run.pk} ordered", who, "", address)
        if run.finished_at:
            what = f"Retraining {run.pk} {run.get_status_display()}"
            yield Happening(run.finished_at, "retraining", what, "", run.error_message, address)
    found = Reproduction.objects.filter(original=submission).select_related("judged_by", "run")
    for one in found:
        address = one.run.get_absolute_url()
        difference = f"{100 * one.difference:+.2f} points"
        yield Happening(
            one.decided_at, "retraining", f"Compared: {one.get_outcome_display()}", "", difference, address
        )
        if one.judged_at:
            who = one.judged_by.username if one.judged_by else ""
            what = f"Comparison {one.get_verdict_display()}"
            yield Happening(one.judged_at, "retraining", what, who, one.reason, address)


def _decisions(submission: Submission) -> Iterator[Happening]:
    found = Decision.objects.filter(submission=submission)
    for decision in found.select_related("reviewer", "undoes", "confirmation__reviewer"):
        label = decision.get_action_display()
        if decision.undoes:
            label = f"undo: {decision.undoes.get_action_display()}"
        what = f"proposed: {label}" if decision.proposed else label
        yield Happening(
            decision.created_at, "decision", what.capitalize(), decision.reviewer.username, decision.reason
        )
        if said := getattr(decision, "confirmation", None):
            what = f"{'Agreed' if said.agreed else 'Declined'}: {label}"
            yield Happening(said.created_at, "decision", what, said.reviewer.username, said.reason)


def _claims(submission: Submission) -> Iterator[Happening]:
    """Who took the case; that claims end by themselves is not told."""
    for claim in CaseClaim.objects.filter(submission=submission).select_related("reviewer", "ended_by"):
        yield Happening(claim.claimed_at, "claim", "Case taken", claim.reviewer.username)
        if claim.ended_at and claim.ended_by and claim.ended_by_id != claim.reviewer_id:
            what = f"Taken from {claim.reviewer.username}"
            yield Happening(claim.ended_at, "claim", what, claim.ended_by.username)


def _audits(submission: Submission) -> Iterator[Happening]:
    for audit in Audit.objects.filter(submission=submission).select_related("draw"):
        yield Happening(audit.draw.drawn_at, "audit", f"Drawn for the {audit.draw}")
        if audit.settled_at:
            yield Happening(audit.settled_at, "audit", f"The {audit.draw}", text=in_words(audit))


def _notifications(submission: Submission) -> Iterator[Happening]:
    """What was sent, and to how many it came."""
    mails = Q(deliveries__webhook=None)
    arrived = Q(deliveries__status=Delivery.Status.DELIVERED)
    failed = Q(deliveries__status=Delivery.Status.FAILED)
    rows = (
        Notification.objects.filter(submission=submission)
        .annotate(
            mails=Count("deliveries", filter=mails),
            arrived=Count("deliveries", filter=mails & arrived),
            failed=Count("deliveries", filter=mails & failed),
        )
        .filter(mails__gt=0)
    )
    for event, at, sent, came, lost in rows.values_list("event", "created_at", "mails", "arrived", "failed"):
        text = f"to {sent}, delivered to {came}" + (f", given up for {lost}" if lost else "")
        yield Happening(at, "mail", f"Mail “{Event(event).label}”", text=text)
