"""Whether a submission is what it says: another run of a method that its team sent, with another seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from evaluation.checkpoints import AdapterSummary
from evaluation.findings import Finding, Severity
from evaluation.flowerconfig import CONFIG_FILE
from evaluation.inspection import Inspection
from evaluation.method import agreement
from evaluation.method.card import MethodCard
from portal.accounts.models import User
from portal.intake.drafts import Draft
from portal.submissions.models import Submission

NOT_REPEATABLE = "submission.not_repeatable"
OTHER_METHOD = "submission.other_method"
SAME_CONFIG = "submission.same_configuration"
FIELD = "repeats"

ENDED = (
    Submission.Status.INVALID,
    Submission.Status.FAILED,
    Submission.Status.REJECTED,
    Submission.Status.WITHDRAWN,
    Submission.Status.DISQUALIFIED,
)


def repeatable_by(user: User, draft: Submission | None = None) -> QuerySet[Submission]:
    """First runs of the user's teams, of which a further run may be sent.

    What `draft` names already is among them: that it may not any more is for the checks to say.
    """
    first_runs = Submission.objects.of_member(user).filter(repeats=None, checkpoint__isnull=False)
    open_ones = first_runs.exclude(status__in=ENDED)
    if draft is None:
        return open_ones
    return Submission.objects.filter(Q(pk__in=open_ones.values("pk")) | Q(pk=draft.repeats_id)).exclude(
        pk=draft.pk
    )


def against_other_runs(
    draft: Draft, inspection: Inspection, loaded: Mapping[str, Any] | None
) -> list[Finding]:
    """What keeps a draft from being a run of the method that it says, first or further.

    `loaded` is the adapter's configuration as an evaluation loads it, None where the files are not sound or
    missing: that is said elsewhere.
    """
    if draft.repeats is None:
        return _against_further_runs(draft, inspection.card, loaded)
    first = draft.repeats
    if reason := _why_not(draft, first) or _why_no_other(draft, first, inspection.adapter):
        return [Finding(NOT_REPEATABLE, Severity.ERROR, reason, FIELD)]
    if unlike := _unlike(first, inspection.card, loaded):
        message = (
            f"It is sent as another run of submission {first.pk}, but differs in more than the seed. "
            f"{' '.join(unlike)}"
        )
        return [Finding(OTHER_METHOD, Severity.ERROR, message, CONFIG_FILE)]
    config = draft.files.config if draft.files else None
    if config and config.decode(errors="replace") == first.config_text:
        message = (
            f"The configuration is that of submission {first.pk} to the letter, and so is its seed. "
            "The reviewer will ask what was different."
        )
        return [Finding(SAME_CONFIG, Severity.WARNING, message, CONFIG_FILE)]
    return []


def _against_further_runs(
    draft: Draft, card: MethodCard | None, loaded: Mapping[str, Any] | None
) -> list[Finding]:
    """A first run that was changed is still what those say that were sent as further runs of it.

    Drafts among these are looked at when they are sent.
    """
    if draft.number is None:
        return []
    sent = Submission.objects.filter(repeats=draft.number).exclude(status=Submission.Status.RECEIVED)
    for further in sent.exclude(status__in=ENDED).select_related("checkpoint").order_by("pk"):
        if unlike := _unlike(further, card, loaded):
            message = (
                f"Submission {further.pk} was sent as another run of this one, which differs from it in more "
                f"than the seed now. {' '.join(unlike)} Withdraw that one, or take the change back."
            )
            return [Finding(OTHER_METHOD, Severity.ERROR, message, CONFIG_FILE)]
    return []


def _unlike(other: Submission, card: MethodCard | None, loaded: Mapping[str, Any] | None) -> tuple[str, ...]:
    unlike: tuple[str, ...] = ()
    if card:
        before = MethodCard.from_json(other.method_card) if other.method_card else MethodCard()
        unlike += agreement.unlike(before, card)
    if loaded and other.checkpoint:
        unlike += agreement.unequal_adapters(other.checkpoint.adapter_config, loaded)
    return unlike


def _why_not(draft: Draft, first: Submission) -> str:
    if first.status in ENDED:
        return f"Submission {first.pk} is {first.get_status_display()}: send this run as one of its own."
    if first.repeats_id:
        return f"Submission {first.pk} is a further run itself. Name the first one, {first.repeats_id}."
    same = (
        ("challenge", first.challenge, draft.challenge),
        ("team", first.team_id, draft.team.pk),
        ("base model", first.base_model_id, draft.base_model.pk),
        ("kind", first.kind, draft.kind),
    )
    other = [name for name, there, here in same if there != here]
    if other or first.pk == draft.number:
        return (
            f"A run of the same method has the same {' and '.join(other) or 'method as another submission'}."
        )
    return ""


def _why_no_other(draft: Draft, first: Submission, adapter: AdapterSummary | None) -> str:
    if draft.number and Submission.objects.filter(repeats=draft.number).exists():
        return "Other submissions are further runs of this one, so that it cannot be one itself."
    if adapter is None:
        return ""
    runs = Submission.objects.filter(Q(pk=first.pk) | Q(repeats=first)).exclude(pk=draft.number or 0)
    same = runs.filter(checkpoint__tensors_digest=adapter.tensors_digest).exclude(status__in=ENDED).first()
    return f"It has the very tensors of submission {same.pk}: that is no other run." if same else ""
