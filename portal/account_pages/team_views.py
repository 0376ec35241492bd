"""The pages of one's teams: members, invitations, roles. portal.accounts.teams decides what is allowed."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from portal.account_pages.forms import InvitationForm, RoleForm, TeamForm
from portal.account_pages.invitation_mail import mail_invitation
from portal.accounts import teams as services
from portal.accounts.access import signed_in
from portal.accounts.models import Invitation, Membership, Team, User, personal_team
from portal.accounts.teams import TeamRefused
from portal.intake.quotas import Quota, quota_of

Role = Membership.Role
SHOWN = 20
"""Submissions on a team's page; all are on the list of one's submissions."""


@dataclass(frozen=True)
class OwnTeam:
    """A team on the list of one's teams."""

    team: Team
    role: str
    is_personal: bool
    members: int
    quota: Quota


@login_required
@require_http_methods(["GET", "POST"])
@never_cache
def teams(request: HttpRequest) -> HttpResponse:
    """One's teams, and the form that founds another."""
    user = signed_in(request)
    personal_team(user)
    form = TeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            founded = services.found(owner=user, name=form.cleaned_data["name"])
        except TeamRefused as refusal:
            form.add_error("name", str(refusal))
        else:
            messages.success(request, f"The team “{founded}” is created. Invite others below.")
            return redirect("accounts:team", founded.pk)
    memberships = user.memberships.select_related("team").order_by("team__name")
    context = {
        "form": form,
        "teams": [_own_team(m) for m in memberships],
        "invitations": user.invitations.open().select_related("team", "invited_by"),
        "section": "account",
    }
    return render(request, "portal/accounts/teams.html", context, status=422 if form.errors else 200)


@login_required
@require_http_methods(["GET"])
@never_cache
def team(request: HttpRequest, pk: int) -> HttpResponse:
    return _team_page(request, _own(request, pk))


@login_required
@require_POST
def rename(request: HttpRequest, pk: int) -> HttpResponse:
    membership = _own(request, pk, Role.OWNER)
    # The service saves: the form's instance is a copy, so that a refused name does not reach the page.
    form = TeamForm(request.POST, instance=Team.objects.get(pk=pk))
    if not form.is_valid():
        return _team_page(request, membership, rename_form=form)
    try:
        services.rename(team=membership.team, by=membership.user, name=form.cleaned_data["name"])
    except TeamRefused as refusal:
        form.add_error("name", str(refusal))
        return _team_page(request, membership, rename_form=form)
    messages.success(request, "The team has its new name.")
    return redirect("accounts:team", pk)


@login_required
@require_POST
@never_cache
def invite(request: HttpRequest, pk: int) -> HttpResponse:
    """Make an invitation and mail its link, or show it, on this answer alone."""
    membership = _own(request, pk, Role.OWNER)
    form = InvitationForm(request.POST)
    if not form.is_valid():
        return _team_page(request, membership, invitation_form=form)
    try:
        invitation, secret = services.invite(
            team=membership.team,
            by=membership.user,
            role=Role(form.cleaned_data["role"]),
            max_uses=form.cleaned_data["max_uses"],
            whom=form.cleaned_data["whom"],
        )
    except TeamRefused as refusal:
        form.add_error(None, str(refusal))
        return _team_page(request, membership, invitation_form=form)
    link = settings.SITE_URL + _join_path(secret)
    if invitation.addressee and mail_invitation(invitation, link):
        messages.success(request, f"The invitation is on its way to {form.cleaned_data['whom']}.")
        return redirect("accounts:team", pk)
    return _team_page(request, membership, link=link)


@require_http_methods(["GET", "POST"])
@never_cache
def join(request: HttpRequest, secret: str) -> HttpResponse:
    """Where an invitation's link leads: which team, by whom, and the button that accepts."""
    if request.method == "POST" and isinstance(request.user, User):
        try:
            membership = services.accept(invitation=services.invitation_of(secret), user=request.user)
        except TeamRefused as refusal:
            messages.error(request, str(refusal))
            return redirect("accounts:teams")
        messages.success(request, f"You are in the team “{membership.team}”.")
        return redirect("accounts:team", membership.team_id)
    invitation = services.invitation_of(secret)
    is_member = invitation is not None and (
        request.user.is_authenticated and invitation.team.memberships.filter(user=request.user).exists()
    )
    context = {
        "invitation": invitation,
        "is_member": is_member,
        "here": _join_path(secret),
        "section": "account",
    }
    return render(request, "portal/accounts/join.html", context, status=200 if invitation else 404)


@login_required
@require_POST
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """Say yes or no to an invitation by name, from one's own list of teams."""
    user = signed_in(request)
    invitation = get_object_or_404(user.invitations.open().select_related("team"), pk=pk)
    if "decline" in request.POST:
        services.decline(invitation=invitation, user=user)
        messages.success(request, f"The invitation to “{invitation.team}” is declined.")
        return redirect("accounts:teams")
    try:
        services.accept(invitation=invitation, user=user)
    except TeamRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("accounts:teams")
    messages.success(request, f"You are in the team “{invitation.team}”.")
    return redirect("accounts:team", invitation.team_id)


@login_required
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    invitation = get_object_or_404(
        Invitation.objects.select_related("team").filter(team__in=_owned_teams(request)), pk=pk
    )
    try:
        services.revoke(invitation=invitation, by=signed_in(request))
    except TeamRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "The invitation is revoked; its link no longer works.")
    return redirect("accounts:team", invitation.team_id)


@login_required
@require_POST
def change_role(request: HttpRequest, pk: int) -> HttpResponse:
    membership = _of_owned_team(request, pk)
    form = RoleForm(request.POST)
    if form.is_valid():
        try:
            services.change_role(
                membership=membership, by=signed_in(request), role=Role(form.cleaned_data["role"])
            )
        except TeamRefused as refusal:
            messages.error(request, str(refusal))
        else:
            article = "an owner" if form.cleaned_data["role"] == Role.OWNER else "a member"
            messages.success(request, f"{membership.user} is {article} now.")
    return redirect("accounts:team", membership.team_id)


@login_required
@require_http_methods(["GET", "POST"])
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    membership = _of_owned_team(request, pk)
    if request.method == "GET":
        return _confirmation(
            request,
            membership.team,
            question=f"Remove {membership.user} from “{membership.team}”?",
            consequence="They see nothing of the team any more. What they submitted for it stays the team's.",
            action="Remove them",
        )
    try:
        services.remove(membership=membership, by=signed_in(request))
    except TeamRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{membership.user} is no longer in the team.")
    if membership.user == request.user:
        return redirect("accounts:teams")
    return redirect("accounts:team", membership.team_id)


@login_required
@require_http_methods(["GET", "POST"])
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    membership = _own(request, pk)
    if request.method == "GET":
        return _confirmation(
            request,
            membership.team,
            question=f"Leave “{membership.team}”?",
            consequence=(
                "You see nothing of the team any more, and need a new invitation to come back. "
                "What you submitted for it stays the team's."
            ),
            action="Leave it",
        )
    try:
        services.leave(team=membership.team, user=membership.user)
    except TeamRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("accounts:team", pk)
    messages.success(request, f"You have left “{membership.team}”.")
    return redirect("accounts:teams")


@login_required
@require_http_methods(["GET", "POST"])
def disband(request: HttpRequest, pk: int) -> HttpResponse:
    membership = _own(request, pk, Role.OWNER)
    if request.method == "GET":
        return _confirmation(
            request,
            membership.team,
            question=f"Delete “{membership.team}”?",
            consequence="Its members, invitations and webhooks are gone then. This cannot be undone.",
            action="Delete it",
        )
    try:
        services.disband(team=membership.team, by=membership.user)
    except TeamRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("accounts:team", pk)
    messages.success(request, f"The team “{membership.team}” is deleted.")
    return redirect("accounts:teams")


def _own_team(membership: Membership) -> OwnTeam:
    team = membership.team
    return OwnTeam(
        team=team,
        role=membership.role,
        is_personal=team.personal_of_id == membership.user_id,
        members=team.memberships.count(),
        quota=quota_of(team),
    )


def _team_page(
    request: HttpRequest,
    membership: Membership,
    *,
    rename_form: TeamForm | None = None,
    invitation_form: InvitationForm | None = None,
    link: str = "",
) -> HttpResponse:
    team = membership.team
    listed = team.submissions.select_related("team", "base_model").defer("base_model__tensors")
    submissions = list(listed.order_by("-pk")[: SHOWN + 1])
    refused = rename_form or (invitation_form if not link else None)
    context = {
        "team": team,
        "membership": membership,
        "is_owner": membership.role == Role.OWNER,
        "is_personal": team.personal_of_id == membership.user_id,
        "members": team.memberships.select_related("user").order_by("role", "user__username"),
        "invitations": team.invitations.open().select_related("invited_by", "invitee"),
        "rename_form": rename_form or TeamForm(instance=team),
        "invitation_form": invitation_form or InvitationForm(),
        "link": link,
        "quota": quota_of(team),
        "submissions": submissions[:SHOWN],
        "has_more": len(submissions) > SHOWN,
        "section": "account",
    }
    return render(request, "portal/accounts/team.html", context, status=422 if refused else 200)


def _confirmation(
    request: HttpRequest, team: Team, *, question: str, consequence: str, action: str
) -> HttpResponse:
    context = {
        "team": team,
        "question": question,
        "consequence": consequence,
        "action": action,
        "section": "account",
    }
    return render(request, "portal/accounts/team_confirmation.html", context)


def _own(request: HttpRequest, pk: int, role: Membership.Role | None = None) -> Membership:
    """The user's part in a team: 404 for strangers, who must not learn of it, 403 for another role."""
    memberships = Membership.objects.select_related("team", "user")
    membership = get_object_or_404(memberships, team=pk, user=signed_in(request))
    if role and membership.role != role:
        raise PermissionDenied
    return membership


def _of_owned_team(request: HttpRequest, pk: int) -> Membership:
    """Anybody's part in a team that the user owns."""
    memberships = Membership.objects.select_related("team", "user").filter(team__in=_owned_teams(request))
    return get_object_or_404(memberships, pk=pk)


def _owned_teams(request: HttpRequest) -> QuerySet[Team]:
    return Team.objects.filter(memberships__user=signed_in(request), memberships__role=Role.OWNER)


def _join_path(secret: str) -> str:
    return reverse("accounts:join", args=[secret])
