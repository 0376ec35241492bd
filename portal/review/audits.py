"""Monthly audits: a share of the published entries, drawn by a public seed, is evaluated anew or retrained.

The rule, which anybody can follow with what the site shows:

1. The history of a month is every step of a published entry before the month began (UTC), oldest first, a
   line each: number, state, time. Its SHA-256 is the head.
2. The seed is the SHA-256 of the month and the head: "2026-11", a line break, the head in hexadecimal.
3. The entries that were evaluated here and published before the month, and still are, are put in the order of
   the SHA-256 of "seed:number". The first are drawn: the share, rounded up, at least one.
4. An entry whose digest ends in 0, 1, 2 or 3 is retrained, where its method card can be trained; others are
   evaluated anew, on another machine than the one that gave the score, where there is one.

Nobody can know the seed before the month begins. Who publishes or withdraws entries in its last moments could
choose among seeds; the history shows them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, date, datetime

from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from evaluation import rules
from portal.accounts.models import User
from portal.baselines.retraining import RetrainingRefused, retrain, why_not
from portal.review.models import Audit, AuditDraw
from portal.runs import presence, reproductions
from portal.runs import services as runs
from portal.runs.claims import machine_of
from portal.runs.models import BaselineRun, Evaluation, Reproduction
from portal.submissions.models import Submission

ACCOUNT = "audits"
"""In whose name entries are retrained; nobody can sign in to it."""

Kind, Outcome = Audit.Kind, Audit.Outcome
_RETRAINED = "0123"
_STATES = (Submission.Status.PUBLISHED, Submission.Status.DISQUALIFIED, Submission.Status.WITHDRAWN)


def history_before(month: date) -> str:
    """The lines whose SHA-256 is the head."""
    events = (
        apps.get_model("submissions", "StatusEvent")
        .objects.filter(
            status_changed_at__lt=_begin(month), status__in=_STATES, pgh_obj__published_at__isnull=False
        )
        .order_by("status_changed_at", "pk")
        .values_list("pgh_obj_id", "status", "status_changed_at")
    )
    return "".join(f"{number} {status} {at.astimezone(UTC).isoformat()}\n" for number, status, at in events)


def seed_of(month: date, head: str) -> str:
    return _sha256(f"{month:%Y-%m}\n{head}")


def drawn_of(seed: str, population: Sequence[int], percent: float) -> list[int]:
    """The entries that the seed chooses, in the order of their digests."""
    count = min(len(population), max(1, math.ceil(len(population) * percent / 100)))
    return sorted(population, key=lambda number: _digest(seed, number))[:count]


@transaction.atomic
def draw(month: date) -> AuditDraw | None:
    """Draw a month's entries and start trying them again; None where it is drawn, or there is no entry."""
    population = _population(month)
    if not population or AuditDraw.objects.filter(month=month).exists():
        return None
    head = _sha256(history_before(month))
    seed, percent = seed_of(month, head), settings.AUDIT_PERCENT
    made = AuditDraw.objects.create(month=month, head=head, seed=seed, percent=percent, population=population)
    for number in drawn_of(seed, population, percent):
        _start(made, Submission.objects.get(pk=number))
    return made


def draw_this_month() -> AuditDraw | None:
    return draw(timezone.now().astimezone(UTC).date().replace(day=1))


def settle() -> int:
    """Write down what came of the audits that are finished, and return how many."""
    _free_those_without_another_machine()
    waiting = Audit.objects.filter(outcome=Outcome.OPEN).select_related("evaluation", "run", "original")
    return sum(_settle(audit) for audit in waiting)


def in_words(audit: Audit) -> str:
    """What an audit showed, in a sentence for readers."""
    how = "Retrained" if audit.kind == Kind.RETRAINING else "Evaluated anew"
    if audit.kind == Kind.EVALUATION and audit.same_machine:
        how += ", on the same machine, as there was no other"
    match Outcome(audit.outcome):
        case Outcome.OPEN:
            return f"{how}: under way."
        case Outcome.SAME:
            return f"{how}: every answer was judged the same."
        case Outcome.FAILED:
            return f"{how}: no result. {audit.note}"
        case Outcome.WITHIN:
            return f"{how}: {_figures(audit)}, which chance explains."
        case Outcome.DIFFERS:
            return f"{how}: {_figures(audit)}, which chance does not explain."


def _figures(audit: Audit) -> str:
    points = [100 * (value or 0.0) for value in (audit.difference, audit.low, audit.high)]
    return "the average differs by {:+.2f} points (95% interval {:+.2f} to {:+.2f})".format(*points)


def _population(month: date) -> list[int]:
    published = Submission.objects.filter(
        status=Submission.Status.PUBLISHED, published_at__lt=_begin(month)
    ).exclude(kind=Submission.Kind.IMPORTED)
    evaluated = Evaluation.objects.filter(status=Evaluation.Status.SUCCEEDED, for_audit=False)
    return list(
        published.filter(pk__in=evaluated.values("submission")).order_by("pk").values_list("pk", flat=True)
    )


def _start(made: AuditDraw, submission: Submission) -> None:
    original = _counting(submission)
    if _digest(made.seed, submission.pk)[-1] in _RETRAINED and _is_retrainable(submission):
        try:
            run = retrain(submission, requester=_account())
        except RetrainingRefused:
            pass  # no training that could be started now: it is evaluated anew
        else:
            Audit.objects.create(
                draw=made, submission=submission, kind=Kind.RETRAINING, original=original, run=run
            )
            return
    own, there = machine_of(original.worker), _machines()
    evaluation = runs.enqueue_audit(original, not_on=own if there - {own} else "")
    Audit.objects.create(
        draw=made,
        submission=submission,
        kind=Kind.EVALUATION,
        original=original,
        evaluation=evaluation,
        same_machine=evaluation.not_on == "",
    )


def _is_retrainable(submission: Submission) -> bool:
    return submission.kind == Submission.Kind.COMMUNITY and not why_not(submission)


def _counting(submission: Submission) -> Evaluation:
    """The evaluation whose scores stand on the site's first board, else on another."""
    finished = runs.of_present_adapter(submission).filter(status=Evaluation.Status.SUCCEEDED)
    own = finished.filter(protocol=settings.LEADERBOARD_PROTOCOLS[0]).order_by("-finished_at", "-pk").first()
    return own or finished.latest("protocol", "finished_at")


def _account() -> User:
    """The account for retraining, with the right to submit reference entries and no way to sign in.

    Raises RetrainingRefused where the name is somebody's.
    """
    from_right = {"codename": "submit_reference", "content_type__app_label": "submissions"}
    account, is_new = User.objects.get_or_create(username=ACCOUNT)
    if is_new:
        account.set_unusable_password()
        account.save(update_fields=["password"])
        account.user_permissions.add(apps.get_model("auth", "Permission").objects.get(**from_right))
    elif account.has_usable_password():
        raise RetrainingRefused(f"Somebody's account is called {ACCOUNT}; rename it first.")
    return User.objects.get(pk=account.pk)


def _machines() -> set[str]:
    return {machine_of(worker.name) for worker in presence.workers()}


def _free_those_without_another_machine() -> None:
    """Let any worker take what waits for another machine than is there any more."""
    there = _machines()
    waiting = Audit.objects.filter(
        outcome=Outcome.OPEN, evaluation__status=Evaluation.Status.QUEUED, same_machine=False
    ).select_related("evaluation")
    for audit in waiting:
        if audit.evaluation and there == {audit.evaluation.not_on}:
            with transaction.atomic():
                Evaluation.objects.filter(pk=audit.evaluation.pk).update(not_on="")
                Audit.objects.filter(pk=audit.pk).update(same_machine=True)


def _settle(audit: Audit) -> bool:
    outcome = _outcome_of_run(audit) if audit.run else _outcome_of_evaluation(audit)
    if outcome is None:
        return False
    values = dict(zip(("outcome", "difference", "low", "high", "note"), outcome, strict=True))
    return bool(
        Audit.objects.filter(pk=audit.pk, outcome=Outcome.OPEN).update(**values, settled_at=timezone.now())
    )


_Result = tuple[Audit.Outcome, float | None, float | None, float | None, str]


def _outcome_of_evaluation(audit: Audit) -> _Result | None:
    again = audit.evaluation
    assert again
    if again.is_active:
        return None
    if again.status != Evaluation.Status.SUCCEEDED:
        return _failed(again.error_message or "The evaluation was cancelled.")
    slugs = rules.of(audit.submission.challenge, again.protocol).benchmarks
    try:
        found = reproductions.paired(again, audit.original, slugs)
    except reproductions.IncomparableError as reason:
        return _failed(str(reason))
    low, high = found.interval
    if found.is_identical:
        return Outcome.SAME, 0.0, low, high, ""
    return (Outcome.WITHIN if low <= 0 <= high else Outcome.DIFFERS), found.difference, low, high, ""


def _outcome_of_run(audit: Audit) -> _Result | None:
    run = audit.run
    assert run
    found = Reproduction.objects.filter(run=run).first()
    if found is None:
        ended = run.status in (BaselineRun.Status.FAILED, BaselineRun.Status.CANCELLED)
        return _failed(run.error_message or "The training was cancelled.") if ended else None
    if found.verdict == Reproduction.Verdict.OPEN:
        return None
    if found.verdict != Reproduction.Verdict.CONFIRMED:
        return _failed("The comparison was set aside.")
    if found.outcome == Reproduction.Outcome.UNDECIDED:
        return _failed("What was retrained cannot be compared: settings are not stated or not equal.")
    reproduced = found.outcome == Reproduction.Outcome.REPRODUCED
    return (Outcome.WITHIN if reproduced else Outcome.DIFFERS), found.difference, found.low, found.high, ""


def _failed(why: str) -> _Result:
    return Outcome.FAILED, None, None, None, why


def _begin(month: date) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def _digest(seed: str, number: int) -> str:
    return _sha256(f"{seed}:{number}")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
