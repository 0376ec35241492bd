"""Deletes an account: the person goes, what their teams submitted stays.

Rows that must not vanish (submissions, decisions) name an account, so its row stays, with nothing of the
person in it and no way to sign in.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.contrib.admin.models import LogEntry
from django.db import models, transaction
from django.db.models import Exists, OuterRef

from portal.accounts.models import Membership, Team, User
from portal.intake import services as intake
from portal.submissions.models import Submission

_KEPT = (LogEntry,)
"""Rows that would go with their user, and are the site's record of what its staff did."""


class ClosingRefused(Exception):
    """The account can't be deleted yet; the text says to its user why."""


@dataclass(frozen=True)
class Leaving:
    """What an account leaves behind, and what goes with it."""

    blocking: tuple[Team, ...]
    """Teams with other members that would have no owner."""
    staying: tuple[Team, ...]
    """Teams without other members whose submissions stay."""
    drafts: int
    under_way: int
    """Submissions of the teams that stay, which nobody could withdraw any more."""


def leaving(user: User) -> Leaving:
    alone = _alone(user)
    submissions = Submission.objects.filter(team__in=alone)
    return Leaving(
        blocking=tuple(_without_another_owner(user)),
        staying=tuple(alone.filter(submissions__in=submissions.exclude(_DRAFT)).distinct()),
        drafts=submissions.filter(_DRAFT).count(),
        under_way=submissions.exclude(_DRAFT).exclude(status__in=Submission.SETTLED).count(),
    )


@transaction.atomic
def close(user: User) -> None:
    """Raises ClosingRefused where a team with other members would have no owner."""
    # Who joins or leaves one of the teams queues up here, as in portal.accounts.teams.
    list(Team.objects.select_for_update(of=("self",)).filter(members=user).order_by("pk"))
    if blocking := _without_another_owner(user):
        names = ", ".join(f"“{team}”" for team in blocking)
        raise ClosingRefused(f"You are the only owner of {names}. Make somebody else an owner there first.")
    alone = list(_alone(user))
    for draft in Submission.objects.filter(_DRAFT, team__in=alone):
        intake.delete(draft)
    for team in alone:
        if team.submissions.exists() or team.entry_requests.exists():
            team.webhooks.all().delete()
        else:
            team.delete()
    _forget(user)


_DRAFT = models.Q(status=Submission.Status.RECEIVED, sent_at=None)


def _alone(user: User) -> models.QuerySet[Team]:
    """The teams whose only member the user is."""
    others = Membership.objects.filter(team=OuterRef("pk")).exclude(user=user)
    return Team.objects.filter(~Exists(others), members=user)


def _without_another_owner(user: User) -> list[Team]:
    others = Membership.objects.filter(team=OuterRef("pk")).exclude(user=user)
    owners = others.filter(role=Membership.Role.OWNER, user__is_active=True)
    return list(Team.objects.filter(Exists(others), ~Exists(owners), members=user))


def _forget(user: User) -> None:
    """Delete what belongs to the account alone, as deleting its row would, and empty the row."""
    for relation in User._meta.get_fields(include_hidden=True):
        if not isinstance(relation, models.ManyToOneRel) or relation.related_model in _KEPT:
            continue
        rows = relation.related_model._default_manager.filter(**{relation.field.name: user})
        if relation.on_delete is models.CASCADE:
            rows.delete()
        elif relation.on_delete is models.SET_NULL:
            rows.update(**{relation.field.name: None})
    nobody = User(
        pk=user.pk,
        username=f"deleted-{secrets.token_hex(6)}",
        is_active=False,
        date_joined=user.date_joined,
    )
    nobody.set_unusable_password()
    nobody.save(force_update=True)
