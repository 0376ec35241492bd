"""Makes statements of rows: what an evaluation gave, what became of a submission in public, and what an audit
of it showed."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Exists, F, OuterRef, Prefetch, Q, QuerySet

from evaluation.statements.answers import answers_digest
from evaluation.statements.statement import (
    ADAPTER,
    StatedAct,
    StatedAudit,
    StatedEvaluation,
    StatedScore,
    Statement,
    Subject,
)
from portal.review.models import Audit, Decision
from portal.runs.models import Evaluation, Score
from portal.submissions.invented import ACCOUNT
from portal.submissions.models import BaseModel, Submission
from portal.transparency.models import Leaf

Status = Submission.Status
ACTS = (Status.PUBLISHED, Status.WITHDRAWN, Status.DISQUALIFIED)
"""The steps of a submission that are public, once it was published."""
NOT_STATED = Submission.Kind.IMPORTED
"""Whose scores nobody evaluated here."""


def unstated_evaluations() -> QuerySet[Evaluation]:
    """Those of public entries whose result is not in the log, the oldest first.

    Without audits, which count on no board, and without those of an adapter that a submission had before
    reviewers asked for changes: neither is a result of the entry.
    """
    return (
        evaluations()
        .filter(submission__status__in=Submission.PUBLIC, for_audit=False)
        .filter(Q(checkpoint=None) | Q(checkpoint=F("submission__checkpoint")))
        .exclude(Exists(Leaf.objects.filter(evaluation=OuterRef("pk"))))
        .order_by("pk")
    )


def evaluations() -> QuerySet[Evaluation]:
    """Those that a statement may be made of, with all that it says."""
    return (
        Evaluation.objects.filter(status=Evaluation.Status.SUCCEEDED, submission__published_at__isnull=False)
        .exclude(Q(submission__kind=NOT_STATED) | Q(submission__submitter__username=ACCOUNT))
        .select_related("submission", "base_model", "checkpoint")
        .defer("base_model__tensors", "checkpoint__summary", "checkpoint__adapter_config")
        .defer("submission__config_text", "submission__adapter_config_text", "submission__method_card")
        .prefetch_related(Prefetch("scores", Score.objects.order_by("pk")))
    )


def unstated_acts() -> QuerySet[Any]:
    """The public steps of submissions that are not in the log, in the order in which they were made."""
    return acts().exclude(Exists(Leaf.objects.filter(event=OuterRef("pk")))).order_by("pk")


def acts() -> QuerySet[Any]:
    """All public steps: publishing, taking back, disqualifying, and whatever leads to one of these states."""
    return (
        apps.get_model("submissions", "StatusEvent")
        ._default_manager.filter(status__in=ACTS, pgh_obj__published_at__isnull=False)
        .exclude(pgh_obj__submitter__username=ACCOUNT)
        .select_related("pgh_obj", "pgh_obj__checkpoint", "pgh_obj__base_model")
        .defer("pgh_obj__base_model__tensors", "pgh_obj__checkpoint__summary")
    )


def unstated_audits() -> QuerySet[Audit]:
    """Audits that are finished, without a result too, and not in the log."""
    return audits().filter(leaf=None).order_by("settled_at", "pk")


def audits() -> QuerySet[Audit]:
    """All finished ones: they are public from then on."""
    return (
        Audit.objects.exclude(outcome=Audit.Outcome.OPEN)
        .exclude(submission__submitter__username=ACCOUNT)
        .select_related("draw", "submission", "submission__checkpoint", "submission__base_model")
        .defer("draw__population", "submission__base_model__tensors", "submission__checkpoint__summary")
    )


def statement_of_evaluation(evaluation: Evaluation, *, site: str, stated_at: datetime) -> Statement:
    """Evaluations come as `evaluations` gives them."""
    submission, checkpoint = evaluation.submission, evaluation.checkpoint
    assert evaluation.started_at and evaluation.finished_at and submission.published_at
    adapter = {}
    if checkpoint:
        adapter = {
            "sha256": checkpoint.sha256,
            "configSha256": checkpoint.config_sha256,
            "tensorsDigest": checkpoint.tensors_digest,
        }
    stated = StatedEvaluation(
        site=site,
        entry=submission.pk,
        kind=submission.kind,
        challenge=submission.challenge,
        evaluation=evaluation.pk,
        protocol=evaluation.protocol,
        base_model=evaluation.base_model.hub_id,
        base_revision=evaluation.base_model.revision,
        adapter=adapter,
        scores=[_stated_score(score) for score in evaluation.scores.all()],
        provenance=evaluation.provenance,
        started_at=evaluation.started_at,
        finished_at=evaluation.finished_at,
        published_at=submission.published_at,
        stated_at=stated_at,
    )
    subjects = _subjects(checkpoint.sha256 if checkpoint else "", evaluation.base_model)
    files = evaluation.provenance.get("model_digests", {})
    weights = [Subject(f"{evaluation.base_model.hub_id}/{name}", {"sha256": files[name]}) for name in files]
    return stated.statement([*subjects, *weights] or [_answers_as_subject(stated)])


def statement_of_act(event: Any, *, site: str, stated_at: datetime) -> Statement:
    """Events come as `acts` gives them."""
    submission: Submission = event.pgh_obj
    reason = reason_of(event)
    stated = StatedAct(
        site=site,
        entry=submission.pk,
        kind=submission.kind,
        challenge=submission.challenge,
        act=event.status,
        acted_at=event.status_changed_at,
        reason=hashlib.sha256(reason.encode()).hexdigest() if reason else "",
        stated_at=stated_at,
    )
    return stated.statement(_subjects_of_entry(submission))


def statement_of_audit(audit: Audit, *, site: str, stated_at: datetime) -> Statement:
    """Audits come as `audits` gives them."""
    submission = audit.submission
    assert audit.settled_at
    stated = StatedAudit(
        site=site,
        entry=submission.pk,
        kind=submission.kind,
        challenge=submission.challenge,
        month=f"{audit.draw.month:%Y-%m}",
        seed=audit.draw.seed,
        how=audit.kind,
        original=audit.original_id,
        outcome=audit.outcome,
        difference=audit.difference,
        interval=None if audit.low is None or audit.high is None else (audit.low, audit.high),
        same_machine=audit.same_machine,
        settled_at=audit.settled_at,
        stated_at=stated_at,
    )
    return stated.statement(_subjects_of_entry(submission))


_REASONED = {
    Status.DISQUALIFIED: Decision.Action.DISQUALIFY,
    Status.PUBLISHED: Decision.Action.REINSTATE,
}
"""The steps that are made with a public reason, and the decision that has it."""


def reason_of(event: Any) -> str:
    """The public reason of a step: of a disqualification or a reinstatement, the one it was made with."""
    action = _REASONED.get(event.status)
    if action is None:
        return ""
    decisions = Decision.objects.filter(
        submission=event.pgh_obj_id, action=action, created_at__lte=event.status_changed_at
    )
    return decisions.order_by("-pk").values_list("reason", flat=True).first() or ""


def _stated_score(score: Score) -> StatedScore:
    return StatedScore(
        benchmark=score.benchmark,
        n=score.n,
        unscored=score.unscored,
        correct=score.correct,
        value=score.value,
        data=score.data,
        data_digest=score.data_digest,
        available=score.available,
        official=score.official,
        unofficial_reasons=score.unofficial_reasons,
        answers=answers_digest(bytes(score.scored_bits), bytes(score.correct_bits)),
    )


def _subjects(adapter: str, base_model: BaseModel) -> list[Subject]:
    """The adapter, and the base model where it is a commit of the hub."""
    found = [Subject(ADAPTER, {"sha256": adapter})] if adapter else []
    if base_model.revision:
        found.append(Subject(base_model.hub_id, {"gitCommit": base_model.revision}))
    return found


def _subjects_of_entry(submission: Submission) -> list[Subject]:
    """What a statement on an entry as such is about."""
    if submission.import_digest:
        return [Subject("row of the board it came from", {"sha256": submission.import_digest})]
    checkpoint = submission.checkpoint
    subjects = _subjects(checkpoint.sha256 if checkpoint else "", submission.base_model)
    return subjects or [_entry_as_subject(submission)]


def _answers_as_subject(stated: StatedEvaluation) -> Subject:
    """Of an evaluation of a model whose files nobody digested: in-toto wants a subject with a digest."""
    answers = "".join(score.answers for score in stated.scores)
    return Subject("answers", {"sha256": hashlib.sha256(answers.encode()).hexdigest()})


def _entry_as_subject(submission: Submission) -> Subject:
    """Of an entry without files: its number, digested for the same reason."""
    name = f"entry {submission.pk}"
    return Subject(name, {"sha256": hashlib.sha256(name.encode()).hexdigest()})
