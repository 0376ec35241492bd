"""Submitting, withdrawing and the checks between: the only code that writes submissions."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import BinaryIO

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from evaluation.challenges import CHALLENGES
from evaluation.checkpoints import (
    AdapterSummary,
    BaseModelTensors,
    inspect_adapter,
    inspect_adapter_config,
    normalised_adapter_config,
)
from evaluation.findings import Finding, Severity, has_errors
from evaluation.flowerconfig import inspect_config
from portal.accounts.models import Team, User
from portal.runs import services as runs
from portal.submissions.models import BaseModel, Checkpoint, Resource, Submission
from portal.submissions.models import Finding as StoredFinding

WITHDRAWABLE = (
    Submission.Status.RECEIVED,
    Submission.Status.QUEUED,
    Submission.Status.EVALUATING,
    Submission.Status.IN_REVIEW,
    Submission.Status.FAILED,
    Submission.Status.PUBLISHED,
)


class InvalidSubmission(Exception):
    """The submission has problems that block it; `findings` holds them all. Nothing was stored."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(finding.message for finding in findings))
        self.findings = findings


class TransitionRefused(Exception):
    """The submission's status does not allow this step (any more); the text says so to the user."""


@dataclass(frozen=True)
class Cost:
    """One resource figure of a submission's training, in SI units."""

    kind: Resource.Kind
    value: float
    basis: Resource.Basis


@dataclass(frozen=True)
class Files:
    """The uploaded parts. `adapter` is seekable and `adapter_size` bytes long."""

    adapter: BinaryIO
    adapter_size: int
    adapter_config: bytes
    config: bytes


@dataclass(frozen=True)
class Draft:
    """What a submitter says about a submission; `files` is None only for an untuned reference."""

    submitter: User
    team: Team
    challenge: str
    base_model: BaseModel
    method: str
    files: Files | None
    kind: Submission.Kind = Submission.Kind.COMMUNITY
    description: str = ""
    paper_url: str = ""
    code_url: str = ""
    costs: list[Cost] = field(default_factory=list)


@dataclass(frozen=True)
class Inspection:
    """Everything that the checks found, and what the files mean where they are sound."""

    findings: list[Finding]
    summary: AdapterSummary | None
    adapter_config: dict[str, object] | None
    config_text: str


def inspect(draft: Draft) -> Inspection:
    """Check a draft in one pass; stores nothing."""
    findings: list[Finding] = []
    if not CHALLENGES[draft.challenge].evaluable:
        findings.append(
            Finding(
                "submission.challenge_not_open",
                Severity.ERROR,
                f"The {CHALLENGES[draft.challenge].title} challenge cannot be evaluated here yet. "
                "Choose another one.",
                "challenge",
            )
        )
    if not draft.base_model.active:
        findings.append(
            Finding(
                "submission.base_model_closed",
                Severity.ERROR,
                f"{draft.base_model.hub_id} takes no new submissions. Choose a base model from the list.",
                "base_model",
            )
        )
    if draft.files is None:
        return Inspection(findings, None, None, "")
    _, config_findings = inspect_config(draft.files.config)
    config, adapter_config_findings = inspect_adapter_config(
        draft.files.adapter_config,
        base_hub_id=draft.base_model.hub_id,
        base_revision=draft.base_model.revision or None,
    )
    findings += [*config_findings, *adapter_config_findings]
    draft.files.adapter.seek(0)
    summary, adapter_findings = inspect_adapter(
        draft.files.adapter,
        draft.files.adapter_size,
        config,
        BaseModelTensors.from_json(draft.base_model.tensors),
    )
    findings += adapter_findings
    if summary:
        findings += _duplicates(draft, summary)
    normalised = (
        normalised_adapter_config(config, draft.base_model.hub_id, summary) if config and summary else None
    )
    return Inspection(findings, summary, normalised, draft.files.config.decode("utf-8", "replace"))


def submit(draft: Draft) -> Submission:
    """Check, store and queue a submission for evaluation.

    Raises InvalidSubmission with every finding when one of them is an error; then nothing is stored.
    """
    _check_quota(draft)
    inspection = inspect(draft)
    if has_errors(inspection.findings):
        raise InvalidSubmission(inspection.findings)
    stored_as = _store(draft.files, inspection.summary) if draft.files and inspection.summary else None
    try:
        return _create(draft, inspection, stored_as)
    finally:
        _discard_unless_used(stored_as)


@transaction.atomic
def withdraw(submission: Submission) -> None:
    """Take a submission back at its team's wish; a running evaluation is cancelled.

    Raises TransitionRefused when it is settled in another way already.
    """
    runs.lock_active(submission)  # first, as workers do: evaluation, then submission
    current = Submission.objects.select_for_update().get(pk=submission.pk)
    if current.status not in WITHDRAWABLE:
        raise TransitionRefused(f"It is {current.get_status_display()} and cannot be withdrawn.")
    Submission.objects.filter(pk=current.pk).update(
        status=Submission.Status.WITHDRAWN, status_changed_at=timezone.now()
    )
    runs.cancel_active(current)


@transaction.atomic
def _create(draft: Draft, inspection: Inspection, stored_as: str | None) -> Submission:
    # Submissions of one team queue up here, so that none slips past the quota.
    Team.objects.select_for_update().get(pk=draft.team.pk)
    _check_quota(draft)
    submission = Submission.objects.create(
        team=draft.team,
        submitter=draft.submitter,
        challenge=draft.challenge,
        kind=draft.kind,
        method=draft.method,
        description=draft.description,
        paper_url=draft.paper_url,
        code_url=draft.code_url,
        base_model=draft.base_model,
        checkpoint=_checkpoint(inspection, stored_as) if draft.files else None,
        config_text=inspection.config_text,
    )
    StoredFinding.objects.bulk_create(
        StoredFinding(
            submission=submission,
            code=f.code,
            severity=f.severity.value,
            message=f.message,
            location=f.location[:400],
        )
        for f in inspection.findings
    )
    Resource.objects.bulk_create(
        Resource(submission=submission, kind=cost.kind, value=cost.value, basis=cost.basis)
        for cost in [*draft.costs, *_derived_costs(inspection)]
    )
    runs.enqueue(submission)
    submission.refresh_from_db()
    return submission


def _derived_costs(inspection: Inspection) -> list[Cost]:
    if not inspection.summary:
        return []
    return [
        Cost(Resource.Kind.TRAINABLE_PARAMETERS, float(inspection.summary.parameters), Resource.Basis.DERIVED)
    ]


def _checkpoint(inspection: Inspection, stored_as: str | None) -> Checkpoint:
    """The checkpoint of these tensors under this config; its file is the one stored first."""
    summary, config = inspection.summary, inspection.adapter_config
    assert summary and config is not None
    known = Checkpoint.objects.filter(sha256=summary.sha256).first()
    checkpoint, _ = Checkpoint.objects.get_or_create(
        sha256=summary.sha256,
        config_sha256=hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
        defaults={
            "tensors_digest": summary.tensors_digest,
            "size": summary.size,
            "adapter_config": config,
            "summary": asdict(summary),
            "file": known.file.name if known else stored_as,
        },
    )
    return checkpoint


def _store(files: Files, summary: AdapterSummary) -> str | None:
    """Store the adapter and return its name, or None when a checkpoint has the same file already.

    The name is under the SHA-256 but of its own, so that a part left by a crash is never taken for a file.
    """
    if Checkpoint.objects.filter(sha256=summary.sha256).exists():
        return None
    files.adapter.seek(0)
    name = f"checkpoints/{summary.sha256[:2]}/{summary.sha256}/{uuid.uuid4().hex}.safetensors"
    return default_storage.save(name, File(files.adapter))


def _discard_unless_used(stored_as: str | None) -> None:
    if stored_as and not Checkpoint.objects.filter(file=stored_as).exists():
        default_storage.delete(stored_as)


def _duplicates(draft: Draft, summary: AdapterSummary) -> list[Finding]:
    same = (
        Submission.objects.filter(
            challenge=draft.challenge, checkpoint__tensors_digest=summary.tensors_digest
        )
        .exclude(status__in=[Submission.Status.WITHDRAWN, Submission.Status.FAILED])
        .select_related("team")
        .first()
    )
    if same is None:
        return []
    if same.team_id == draft.team.pk:
        words = f"Your team submitted these very tensors before, as submission {same.pk}."
    else:
        words = (
            "Another team submitted these very tensors before. The reviewer will ask where they come from."
        )
    return [Finding("submission.duplicate_checkpoint", Severity.WARNING, words, "adapter_model.safetensors")]


def _check_quota(draft: Draft) -> None:
    """Raise InvalidSubmission when the team made its submissions of the day; failed ones are not counted."""
    if draft.kind == Submission.Kind.REFERENCE:
        return
    recent = Submission.objects.filter(
        team=draft.team, created_at__gt=timezone.now() - timedelta(days=1)
    ).exclude(status=Submission.Status.FAILED)
    if recent.count() >= settings.SUBMISSIONS_PER_DAY:
        message = (
            f"Your team made {settings.SUBMISSIONS_PER_DAY} submissions in the last 24 hours, "
            "which is the limit. Try again later."
        )
        raise InvalidSubmission([Finding("submission.quota", Severity.ERROR, message, "team")])
