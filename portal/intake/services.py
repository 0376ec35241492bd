"""Drafting, sending and withdrawing: what people do with submissions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from evaluation.findings import Finding, Severity
from portal.accounts.models import Team
from portal.intake import hub_fetches, stored_files
from portal.intake.checks import MISSING_FILE, Checked, check, evidenced_costs
from portal.intake.drafts import (
    Cost,
    Draft,
    Files,
    HubSource,
    InvalidSubmission,
    TransitionRefused,
)
from portal.intake.quotas import check_drafts, check_quota
from portal.notifications.services import submission_changed
from portal.queues import wake_board_builders
from portal.runs import services as runs
from portal.runs.ngrams import overlap_of_submission
from portal.submissions.models import DeclaredScore, Resource, Submission
from portal.submissions.models import Finding as StoredFinding
from portal.submissions.training_data import TRAINING_SET_ALONE

DRAFT_LIFETIME = timedelta(days=30)

# Of a draft, under the same names in its row.
_SAID = (
    *("challenge", "method", "description", "paper_url", "code_url", "smoke_run"),
    *("repeats", "training_data", "not_trained_on_test_items"),
)

WITHDRAWABLE = (
    Submission.Status.QUEUED,
    Submission.Status.EVALUATING,
    Submission.Status.TRIED,
    Submission.Status.IN_REVIEW,
    Submission.Status.FAILED,
    Submission.Status.PUBLISHED,
)
"""And those that are a draft again, because reviewers asked for changes: see `can_withdraw`."""


def submit(draft: Draft) -> Submission:
    """Check, store and queue a submission for evaluation.

    Raises InvalidSubmission with every finding when one of them is an error; then nothing is stored.
    """
    _refuse(check_quota(draft.team, draft.kind))
    checked = check(draft)
    if checked.has_errors:
        raise InvalidSubmission(checked.findings, is_adapter_usable=checked.keep_adapter)
    sha256 = checked.summary.sha256 if checked.summary else None
    files = draft.files or Files()
    stored_as = "" if sha256 is None or stored_files.is_known(sha256) else stored_files.store(files, sha256)
    try:
        with transaction.atomic():
            _lock(draft.team)
            _refuse(check_quota(draft.team, draft.kind))
            submission = _create_row(draft)
            _write(submission, draft, files, checked, stored_as)
            _queue(submission, checked)
    finally:
        _discard_own(files, stored_as)
    if files.stored_as:
        stored_files.discard_once_committed(files.stored_as)
    return submission


def create(draft: Draft) -> Submission:
    """Store a draft with its findings, errors included.

    Raises InvalidSubmission only when the team has too many drafts. A file that could be of no use in any
    draft, like a pickle, is not kept; its finding says so.
    """
    _refuse(check_drafts(draft.team, draft.kind))
    checked = check(draft, files_expected=draft.hub is None)
    files = draft.files or Files()
    stored_as = _store_if_kept(files, checked)
    try:
        with transaction.atomic():
            _lock(draft.team)
            _refuse(check_drafts(draft.team, draft.kind))
            submission = _create_row(draft)
            _write(submission, draft, files, checked, stored_as)
            if draft.hub:
                hub_fetches.request(submission, draft.hub)
            if files.stored_as != stored_as:
                stored_files.discard_once_committed(files.stored_as)
    finally:
        _discard_own(files, stored_as)
    return submission


def amend(submission: Submission, draft: Draft) -> Submission:
    """Replace what a draft says, and those of its files that are sent; all is checked again.

    Kind and submitter stay, and where it was sent before, challenge, team and base model. Raises
    TransitionRefused when it is a draft no more.
    """

    def amended(current: Submission) -> Draft:
        if current.sent_at and _moves(current, draft):
            raise TransitionRefused(
                "Challenge, team and base model of a submission that was sent stay. Withdraw it and make "
                "another one to change them."
            )
        kind = Submission.Kind(current.kind)
        return replace(draft, submitter=current.submitter, kind=kind, number=current.pk)

    return _redraft(submission, amended, draft.files or Files())[0]


def attach(
    submission: Submission, files: Files, *, origin: str = "", also: Sequence[Finding] = ()
) -> Submission:
    """Give a draft files that came from `origin`, and check it again; its findings begin with `also`.

    Without files that renews the findings alone. Raises TransitionRefused when it is a draft no more.
    """
    return _redraft(submission, draft_of, files, origin=origin, also=also)[0]


def send(submission: Submission) -> Submission:
    """Queue a draft for evaluation; from now on it stays as it is, and counts against the quota.

    Raises InvalidSubmission with all findings where one is an error, and TransitionRefused when it is a
    draft no more or its files are still on their way.
    """
    _refuse(check_quota(submission.team, Submission.Kind(submission.kind)))
    if hub_fetches.is_under_way(submission):
        raise TransitionRefused("Its files are still on their way from the hub. Send it when they are there.")
    draft, checked = _redraft(submission, draft_of, Files())
    if checked.has_errors:
        raise InvalidSubmission(checked.findings)
    with transaction.atomic():
        current = _lock_draft(submission)
        if current.edited_at != draft.edited_at:
            raise TransitionRefused("Somebody changed the draft at this moment. Look at it again.")
        _lock(current.team)
        _refuse(check_quota(current.team, Submission.Kind(current.kind)))
        _queue(current, checked)
    return current


@transaction.atomic
def delete(submission: Submission) -> None:
    """Delete a draft with its files. Raises TransitionRefused where it is none any more or was sent once."""
    current = _lock_draft(submission)
    if current.sent_at:
        raise TransitionRefused("It was sent before and stays on record. Withdraw it instead.")
    name = current.adapter_file.name or ""
    current.delete()
    stored_files.discard_once_committed(name)


def expire_drafts() -> int:
    """Delete the drafts that nobody touched for DRAFT_LIFETIME, and return how many."""
    old = Submission.objects.filter(
        status=Submission.Status.RECEIVED, sent_at=None, edited_at__lt=timezone.now() - DRAFT_LIFETIME
    )
    expired = 0
    for submission in old:
        try:
            delete(submission)
        except TransitionRefused:
            continue  # sent or deleted at this moment
        expired += 1
    return expired


def closes_at(submission: Submission) -> datetime | None:
    """When a draft is deleted, or closed where reviewers asked for its changes, if nobody sends it."""
    if submission.is_returned:
        asked: datetime | None = submission.decisions.filter(change_request__isnull=False).aggregate(
            last=Max("change_request__due_at")
        )["last"]
        return asked
    is_draft = submission.status == Submission.Status.RECEIVED
    return submission.edited_at + DRAFT_LIFETIME if is_draft else None


def can_withdraw(submission: Submission) -> bool:
    return submission.status in WITHDRAWABLE or submission.is_returned


@transaction.atomic
def withdraw(submission: Submission) -> None:
    """Take a submission back at its team's wish; a running evaluation is cancelled.

    Raises TransitionRefused when it is settled in another way already.
    """
    runs.lock_active(submission)  # first, as workers do: evaluation, then submission
    current = Submission.objects.select_for_update().get(pk=submission.pk)
    if not can_withdraw(current):
        advice = " Delete it instead." if current.status == Submission.Status.RECEIVED else ""
        raise TransitionRefused(f"It is {_in_words(current)} and cannot be withdrawn.{advice}")
    hub_fetches.forget(current)
    draft_file = current.adapter_file.name or ""
    Submission.objects.filter(pk=current.pk).update(
        status=Submission.Status.WITHDRAWN, status_changed_at=timezone.now(), adapter_file=""
    )
    stored_files.discard_once_committed(draft_file)
    runs.cancel_active(current)
    submission_changed(current)
    if current.status == Submission.Status.PUBLISHED:
        wake_board_builders()


def draft_of(submission: Submission) -> Draft:
    """What a stored draft says, with the files that it has."""
    return Draft(
        submitter=submission.submitter,
        team=submission.team,
        challenge=submission.challenge,
        base_model=submission.base_model,
        method=submission.method,
        number=submission.pk,
        kind=Submission.Kind(submission.kind),
        description=submission.description,
        paper_url=submission.paper_url,
        code_url=submission.code_url,
        files=stored_files.files_of(submission),
        costs=[
            Cost(Resource.Kind(r.kind), r.value, Resource.Basis(r.basis))
            for r in submission.resources.exclude(basis=Resource.Basis.DERIVED)
        ],
        declared_scores=[score.as_declared() for score in submission.declared_scores.all()],
        smoke_run=submission.smoke_run,
        training_data=submission.training_data or TRAINING_SET_ALONE,
        not_trained_on_test_items=submission.not_trained_on_test_items,
        overlap=overlap_of_submission(submission),
        repeats=submission.repeats,
    )


def _moves(current: Submission, draft: Draft) -> bool:
    """Whether the draft says another challenge, team or base model."""
    stays = (current.challenge, current.team_id, current.base_model_id)
    return stays != (draft.challenge, draft.team.pk, draft.base_model.pk)


def _refuse(findings: list[Finding]) -> None:
    if findings:
        raise InvalidSubmission(findings)


def _lock(team: Team) -> None:
    """Submissions of one team queue up here, so that none slips past the quota.

    What only speaks of the team goes on meanwhile: it is not its key that is locked.
    """
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)


def _redraft(
    submission: Submission,
    changed: Callable[[Submission], Draft],
    sent: Files,
    *,
    origin: str = "",
    also: Sequence[Finding] = (),
) -> tuple[Submission, Checked]:
    """Write what `changed` makes of a draft's locked row, with the files that were sent in their places."""
    stored_as = ""
    try:
        with transaction.atomic():
            current = _lock_draft(submission)
            before = current.adapter_file.name or ""
            files = _completed(sent, stored_files.files_of(current))
            draft = replace(changed(current), files=files)
            if draft.hub:
                hub_fetches.request(current, draft.hub)
            checked = check(draft, files_expected=not hub_fetches.is_under_way(current))
            reasoned = [*also, *_with_reasons(checked.findings, current)]
            checked = replace(checked, findings=tuple(reasoned))
            stored_as = _store_if_kept(files, checked)
            if not sent.is_empty:
                current.origin = origin
            _write(current, draft, files, checked, stored_as)
            for name in {before, sent.stored_as} - {stored_as}:
                stored_files.discard_once_committed(name)
    finally:
        _discard_own(sent, stored_as)
    return current, checked


def _with_reasons(findings: Sequence[Finding], draft: Submission) -> list[Finding]:
    """The findings, and for a file that is missing because it could not be kept what was found in it."""
    before = [finding for f in draft.findings.all() if (finding := f.as_finding())]
    result = []
    for finding in findings:
        reasons = [
            earlier
            for earlier in before
            if finding.code == MISSING_FILE != earlier.code
            and earlier.severity is Severity.ERROR
            and earlier.location.startswith(finding.location)
        ]
        result += reasons or [finding]
    return result


def _lock_draft(submission: Submission) -> Submission:
    current = (
        Submission.objects.select_for_update(of=("self",))
        .select_related("team", "base_model", "submitter")
        .filter(pk=submission.pk)
        .first()
    )
    if current is None:
        raise TransitionRefused("The draft was deleted.")
    if current.status != Submission.Status.RECEIVED:
        raise TransitionRefused(f"It is {_in_words(current)}, and only a draft can be changed.")
    return current


def _in_words(submission: Submission) -> str:
    label = submission.get_status_display()
    return f"a {label}" if submission.status == Submission.Status.RECEIVED else label


def _completed(sent: Files, stored: Files) -> Files:
    """The parts that were sent, and for the others those that the draft has."""
    adapter = sent if sent.has_adapter else stored
    return Files(
        adapter=adapter.adapter,
        adapter_size=adapter.adapter_size,
        stored_as=adapter.stored_as,
        adapter_config=stored.adapter_config if sent.adapter_config is None else sent.adapter_config,
        config=stored.config if sent.config is None else sent.config,
        flower_run=stored.flower_run if sent.flower_run is None else sent.flower_run,
    )


def _store_if_kept(files: Files, checked: Checked) -> str:
    if not checked.keep_adapter:
        return ""
    return stored_files.store(files, checked.summary.sha256 if checked.summary else None)


def _discard_own(files: Files, stored_as: str) -> None:
    """Delete what was stored here for nothing; a finished upload is its owner's until it is taken over."""
    if files.adapter is not None:
        stored_files.discard_unless_used(stored_as)


def _create_row(draft: Draft) -> Submission:
    return Submission.objects.create(
        team=draft.team,
        submitter=draft.submitter,
        challenge=draft.challenge,
        kind=draft.kind,
        method=draft.method,
        base_model=draft.base_model,
    )


def _write(submission: Submission, draft: Draft, files: Files, checked: Checked, stored_as: str) -> None:
    """Write everything that a draft says into its locked row, and what belongs to it."""
    card = checked.inspection.card
    evidenced = evidenced_costs(checked.inspection, draft.costs)
    submission.team, submission.base_model = draft.team, draft.base_model
    for name in _SAID:
        setattr(submission, name, getattr(draft, name))
    submission.overlap = draft.overlap.to_json() if draft.overlap else None
    submission.adapter_file.name = stored_as
    submission.adapter_config_text = stored_files.kept_adapter_config(files)
    submission.config_text = stored_files.kept_config(files)
    submission.flower_run_text = stored_files.kept_flower_run(files)
    submission.method_card = card.to_json() if card else None
    submission.edited_at = timezone.now()
    submission.save()
    submission.findings.all().delete()
    StoredFinding.objects.bulk_create(
        StoredFinding(
            submission=submission,
            code=f.code,
            severity=f.severity.value,
            message=f.message,
            location=f.location[:400],
        )
        for f in checked.findings
    )
    submission.resources.all().delete()
    Resource.objects.bulk_create(
        Resource(submission=submission, kind=cost.kind, value=cost.value, basis=cost.basis)
        for cost in [*draft.costs, *evidenced, *checked.derived_costs]
    )
    submission.declared_scores.all().delete()
    DeclaredScore.objects.bulk_create(DeclaredScore.of(submission, score) for score in draft.declared_scores)


def _queue(submission: Submission, checked: Checked) -> None:
    """Turn a locked draft without errors into a submission that waits for its evaluation."""
    stored_as = submission.adapter_file.name or ""
    if checked.summary:
        submission.checkpoint = stored_files.checkpoint_of(checked, stored_as)
    submission.adapter_file.name = ""
    submission.sent_at = timezone.now()
    submission.save(update_fields=["checkpoint", "adapter_file", "sent_at"])
    stored_files.discard_once_committed(stored_as)
    runs.enqueue_missing(submission)
    submission.refresh_from_db()


__all__ = [
    "WITHDRAWABLE",
    "Cost",
    "Draft",
    "Files",
    "HubSource",
    "InvalidSubmission",
    "TransitionRefused",
    "amend",
    "attach",
    "can_withdraw",
    "closes_at",
    "create",
    "delete",
    "draft_of",
    "expire_drafts",
    "send",
    "submit",
    "withdraw",
]
