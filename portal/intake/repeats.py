"""Whether a submission is what it says: another run of a method that its team sent, with another seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from evaluation.findings import Finding, Severity
from evaluation.flowerconfig import CONFIG_FILE
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


def repeatable_by(user: User) -> QuerySet[Submission]:
    """First runs of the user's teams, of which a further run may be sent."""
    first_runs = Submission.objects.of_member(user).filter(repeats=None, checkpoint__isnull=False)
    return first_runs.exclude(status__in=ENDED)


def against_first_run(
    draft: Draft, card: MethodCard | None, adapter_config: Mapping[str, Any] | None
) -> list[Finding]:
    """What keeps a draft from being a further run of the method of `draft.repeats`.

    `card` and `adapter_config`, as an evaluation loads it, are None where the files are not sound or missing:
    that is said elsewhere.
    """
    first = draft.repeats
    assert first
    if reason := _why_not(draft, first):
        return [Finding(NOT_REPEATABLE, Severity.ERROR, reason, FIELD)]
    unlike = _unlike(first, card, adapter_config)
    if unlike:
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


def _unlike(
    first: Submission, card: MethodCard | None, adapter_config: Mapping[str, Any] | None
) -> tuple[str, ...]:
    unlike: tuple[str, ...] = ()
    if card:
        before = MethodCard.from_json(first.method_card) if first.method_card else MethodCard()
        unlike += agreement.unlike(before, card)
    if adapter_config and first.checkpoint:
        unlike += agreement.unequal_adapters(first.checkpoint.adapter_config, adapter_config)
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
