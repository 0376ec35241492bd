"""Claims on cases: a reviewer takes a case before deciding it, and has it until the claim ends."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from portal.accounts.models import User
from portal.intake.services import TransitionRefused
from portal.review.models import CLAIM_SPAN, CaseClaim
from portal.submissions.models import Submission


class CaseClaimed(TransitionRefused):
    """Another reviewer has the case; `claim` says who, and until when."""

    def __init__(self, claim: CaseClaim) -> None:
        super().__init__(
            f"{claim.reviewer.public_name} has the case until {claim.until:%H:%M} UTC, or for as long as "
            "they work on it."
        )
        self.claim = claim


def may_decide(user: object) -> bool:
    """Whether the user is a reviewer with a second factor, where the site asks for one."""
    return isinstance(user, User) and user.acts_as_staff and user.has_perm("review.decide")


def is_conflicted(user: User, submission: Submission) -> bool:
    """Whether the case is of the user's own team. Reference entries are the site's own."""
    if submission.kind == Submission.Kind.REFERENCE:
        return False
    return submission.submitter_id == user.pk or user.memberships.filter(team=submission.team_id).exists()


def claim_of(submission: Submission) -> CaseClaim | None:
    """The claim that holds now."""
    now = timezone.now()
    held = CaseClaim.objects.filter(submission=submission, ended_at=None, until__gt=now)
    return held.select_related("reviewer").first()


@transaction.atomic
def claim(submission: Submission, *, reviewer: User, take_over: bool = False) -> CaseClaim:
    """Take the case, or keep it for another while.

    Raises CaseClaimed where another reviewer has it, unless a superuser takes it over, which stays on
    record; and TransitionRefused for who may not decide it.
    """
    Submission.objects.select_for_update().get(pk=submission.pk)  # two who take it at once queue up here
    check_may_decide(submission, reviewer)
    now = timezone.now()
    held = CaseClaim.objects.select_related("reviewer").filter(submission=submission, ended_at=None).first()
    if held and held.until > now:
        if held.reviewer_id == reviewer.pk:
            held.until = now + CLAIM_SPAN
            held.save(update_fields=["until"])
            return held
        if not (take_over and reviewer.is_superuser):
            raise CaseClaimed(held)
        _end(held, by=reviewer)
    elif held:
        held.ended_at = held.until
        held.save(update_fields=["ended_at"])
    return CaseClaim.objects.create(
        submission=submission, reviewer=reviewer, claimed_at=now, until=now + CLAIM_SPAN
    )


@transaction.atomic
def release(submission: Submission, *, reviewer: User) -> None:
    """Give the case back; nothing happens where the reviewer does not have it."""
    Submission.objects.select_for_update().get(pk=submission.pk)
    held = CaseClaim.objects.filter(submission=submission, reviewer=reviewer, ended_at=None).first()
    if held:
        _end(held, by=reviewer)


def check_may_decide(submission: Submission, reviewer: User) -> None:
    """Raises TransitionRefused for who is no reviewer, or of the submission's team."""
    if not may_decide(reviewer):
        raise TransitionRefused("Only reviewers decide.")
    if is_conflicted(reviewer, submission):
        raise TransitionRefused(f"{submission} is of your own team: another reviewer decides on it.")


def _end(held: CaseClaim, *, by: User) -> None:
    held.ended_at, held.ended_by = timezone.now(), by
    held.save(update_fields=["ended_at", "ended_by"])
