"""What people do with teams: found, rename, invite, join, leave. Each act happens under the team's lock."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from portal import rates
from portal.accounts.models import Invitation, Membership, Team, User, digest_of

Role = Membership.Role

INVITATION_LIFETIME = timedelta(days=7)
MOST_USES = 25
OPEN_INVITATIONS = 20
MAILED_PER_DAY = 30
"""Invitations that one user may have mailed within 24 hours."""
RECEIVED_PER_DAY = 5
"""Invitations that may be mailed to one address within 24 hours, whoever sends them."""
OWNED_TEAMS = 10
"""Teams that one user may own: each has a quota of its own."""


class TeamRefused(Exception):
    """The act is not possible; the text says to the user why."""


@transaction.atomic
def found(*, owner: User, name: str) -> Team:
    """Make a team that `owner` owns. Raises TeamRefused when the name is taken or the owner has too many."""
    User.objects.select_for_update(no_key=True).get(pk=owner.pk)
    if owner.memberships.filter(role=Role.OWNER).count() >= OWNED_TEAMS:
        raise TeamRefused(f"You own {OWNED_TEAMS} teams, which is the limit.")
    team = Team(name=name)
    _save_name(team)
    Membership.objects.create(team=team, user=owner, role=Role.OWNER)
    return team


@transaction.atomic
def rename(*, team: Team, by: User, name: str) -> None:
    """Raises TeamRefused when the name is taken or `by` is no owner. Published entries show the new name."""
    current = _lock(team)
    _require_owner(current, by)
    current.name = name
    _save_name(current)


@transaction.atomic
def disband(*, team: Team, by: User) -> None:
    """Delete a team that never submitted. Raises TeamRefused where it did, and for a personal team."""
    current = _lock(team)
    _require_owner(current, by)
    if current.personal_of_id:
        raise TeamRefused("A personal team stays.")
    try:
        current.delete()
    except ProtectedError as error:
        raise TeamRefused(
            "The team has submissions, so it stays. Delete its drafts first if it has nothing else."
        ) from error


@transaction.atomic
def invite(
    *, team: Team, by: User, role: Membership.Role = Role.MEMBER, max_uses: int = 1, whom: str = ""
) -> tuple[Invitation, str]:
    """Make an invitation and return it with the secret of its link, which cannot be read again.

    `whom` is a user name, whose account alone it then lets in, or the address that the link will be mailed
    to; either is for one person. Raises TeamRefused also for a name that nobody has.
    """
    current = _lock(team)
    _require_owner(current, by)
    invitee = _named(whom, current) if whom and "@" not in whom else None
    if current.invitations.open().count() >= OPEN_INVITATIONS:
        raise TeamRefused(f"The team has {OPEN_INVITATIONS} open invitations. Revoke one first.")
    if whom:
        _count_mail(by, invitee.email if invitee else whom)
    secret = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        team=current,
        invited_by=by,
        role=role,
        digest=digest_of(secret),
        addressee=invitee.email if invitee else whom,
        invitee=invitee,
        max_uses=1 if whom or role == Role.OWNER else max_uses,
        expires_at=timezone.now() + INVITATION_LIFETIME,
    )
    return invitation, secret


@transaction.atomic
def revoke(*, invitation: Invitation, by: User) -> None:
    _require_owner(_lock(invitation.team), by)
    Invitation.objects.filter(pk=invitation.pk, revoked_at=None).update(revoked_at=timezone.now())


def invitation_of(secret: str) -> Invitation | None:
    """The open invitation that a link leads to."""
    return (
        Invitation.objects.open()
        .select_related("team", "invited_by")
        .filter(digest=digest_of(secret))
        .first()
    )


@transaction.atomic
def accept(*, invitation: Invitation | None, user: User) -> Membership:
    """Let `user` into the team of an invitation; who is a member already stays what they are.

    Raises TeamRefused when the invitation is used up, expired or revoked (None), or somebody else's.
    """
    if invitation is None:
        raise TeamRefused("This invitation has expired, was used or was revoked. Ask for a new one.")
    if invitation.invitee_id not in (None, user.pk):
        raise TeamRefused(
            "This invitation is for another account. Sign in with that one, or ask for your own."
        )
    team = _lock(invitation.team)
    if membership := team.memberships.filter(user=user).first():
        return membership
    # Read again under the team's lock: another person may have used it up in between.
    open_still = Invitation.objects.open().filter(pk=invitation.pk).first()
    if open_still is None:
        raise TeamRefused("This invitation has just been used or revoked. Ask for a new one.")
    open_still.uses += 1
    open_still.save(update_fields=["uses"])
    return Membership.objects.create(team=team, user=user, role=invitation.role)


@transaction.atomic
def decline(*, invitation: Invitation, user: User) -> None:
    """Let an invitation that names `user` lapse."""
    Invitation.objects.filter(pk=invitation.pk, invitee=user, revoked_at=None).update(
        revoked_at=timezone.now()
    )


@transaction.atomic
def change_role(*, membership: Membership, by: User, role: Membership.Role) -> None:
    """Raises TeamRefused when the team would have no owner left, or `by` is none."""
    team = _lock(membership.team)
    _require_owner(team, by)
    current = _current(membership)
    if role != Role.OWNER:
        _refuse_last_owner(current)
        _revoke_invitations_by(current)
    current.role = role
    current.save(update_fields=["role"])


@transaction.atomic
def remove(*, membership: Membership, by: User) -> None:
    """Take a member out of a team; the invitations that they made lapse. Raises TeamRefused as above."""
    team = _lock(membership.team)
    _require_owner(team, by)
    _end(_current(membership))


@transaction.atomic
def leave(*, team: Team, user: User) -> None:
    """Raises TeamRefused for the last owner and for one's personal team."""
    current = _lock(team)
    membership = current.memberships.filter(user=user).first()
    if membership is None:
        raise TeamRefused("You are not in this team.")
    _end(membership)


def _end(membership: Membership) -> None:
    _refuse_last_owner(membership)
    _revoke_invitations_by(membership)
    membership.delete()


def _refuse_last_owner(membership: Membership) -> None:
    team = membership.team
    if team.personal_of_id == membership.user_id:
        raise TeamRefused(f"“{team}” is the personal team of {membership.user}, who always owns it.")
    others = team.memberships.filter(role=Role.OWNER, user__is_active=True).exclude(pk=membership.pk)
    if membership.role == Role.OWNER and not others.exists():
        raise TeamRefused("A team needs an owner. Make somebody else an owner first.")


def _revoke_invitations_by(membership: Membership) -> None:
    """A link that a former owner kept must not let them in again."""
    membership.team.invitations.filter(invited_by=membership.user_id, revoked_at=None).update(
        revoked_at=timezone.now()
    )


def _current(membership: Membership) -> Membership:
    current = Membership.objects.select_related("team", "user").filter(pk=membership.pk).first()
    if current is None:
        raise TeamRefused("They have left the team in the meantime.")
    return current


def _lock(team: Team) -> Team:
    """The acts on one team queue up here, so that it never loses its last owner."""
    current = Team.objects.select_for_update().filter(pk=team.pk).first()
    if current is None:
        raise TeamRefused("The team was deleted.")
    return current


def _require_owner(team: Team, user: User) -> None:
    if not team.memberships.filter(user=user, role=Role.OWNER).exists():
        raise TeamRefused("Only an owner of the team may do this.")


def _save_name(team: Team) -> None:
    """Save under a name that no other team has; raises TeamRefused."""
    try:
        with transaction.atomic():
            team.save()
    except IntegrityError as error:
        raise TeamRefused("Another team has this name.") from error


def _named(name: str, team: Team) -> User:
    """Raises TeamRefused for a name that nobody has, and for a member's."""
    user = User.objects.filter(username__iexact=name, is_active=True).first()
    if user is None:
        raise TeamRefused(f"Nobody here is called {name}. Mind the spelling, or write an email address.")
    if team.memberships.filter(user=user).exists():
        raise TeamRefused(f"{user} is in the team already.")
    return user


def _count_mail(by: User, address: str) -> None:
    """Count one more mail; raises TeamRefused past the limits. Not by the invitations that there are: those
    of a deleted team are gone, and their mails are not."""
    if not rates.hit(f"{MAILED_PER_DAY}/day", "invitations-by", str(by.pk)).is_allowed:
        raise TeamRefused(
            f"You invited {MAILED_PER_DAY} people by name or address today. Send a link instead."
        )
    if not rates.hit(f"{RECEIVED_PER_DAY}/day", "invitations-to", address.lower()).is_allowed:
        raise TeamRefused("They were sent enough invitations today. Send a link instead.")
