"""Teams: who may do what as owner, member and stranger, and that a team never loses its last owner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from portal.accounts import teams
from portal.accounts.models import Invitation, Membership, Team, User, personal_team
from portal.accounts.teams import TeamRefused
from tests.portal import factories

pytestmark = pytest.mark.django_db

OWNER, MEMBER = Membership.Role.OWNER, Membership.Role.MEMBER


@pytest.fixture(autouse=True)
def fresh_rates() -> Iterator[None]:
    cache.clear()  # mails to one address are counted
    yield
    cache.clear()


@pytest.fixture
def team(owner: User) -> Team:
    return teams.found(owner=owner, name="Alpine group")


@pytest.fixture
def member(team: Team) -> User:
    return join(team, factories.user("member"))


@pytest.fixture
def as_member(member: User) -> Client:
    client = Client()
    client.force_login(member)
    return client


def join(team: Team, user: User, role: Membership.Role = MEMBER) -> User:
    Membership.objects.create(team=team, user=user, role=role)
    return user


def membership_of(user: User, team: Team) -> Membership:
    return Membership.objects.get(team=team, user=user)


def link_on(page: str) -> str:
    found = re.search(str(settings.SITE_URL) + r"(/accounts/teams/join/[\w-]{30,}/)", page)
    assert found
    return found[1]


def test_a_founder_owns_the_team(as_owner: Client, owner: User) -> None:
    response = as_owner.post("/accounts/teams/", {"name": "  Alpine \t group "})
    founded = Team.objects.get(name="Alpine group")
    assert response["Location"] == f"/accounts/teams/{founded.pk}/"
    assert membership_of(owner, founded).role == OWNER


@pytest.mark.parametrize("name", ["", "ALPINE group", "a" * 81, "Alpine\u200bgroup", "Alpine\u202egroup"])
def test_names_that_are_taken_or_deceive_are_refused(as_owner: Client, team: Team, name: str) -> None:
    assert as_owner.post("/accounts/teams/", {"name": name}).status_code == 422
    assert Team.objects.exclude(personal_of__isnull=False).count() == 1


def test_one_user_owns_a_limited_number_of_teams(owner: User) -> None:
    for number in range(teams.OWNED_TEAMS - 1):
        teams.found(owner=owner, name=f"team {number}")
    with pytest.raises(TeamRefused, match="limit"):
        teams.found(owner=owner, name="one more")


def test_an_invitation_lets_one_person_in(as_owner: Client, as_stranger: Client, team: Team) -> None:
    page = as_owner.post(f"/accounts/teams/{team.pk}/invite/", {"role": "member", "max_uses": 1})
    link = link_on(page.content.decode())
    assert link not in as_owner.get(f"/accounts/teams/{team.pk}/").content.decode()
    shown = as_stranger.get(link).content.decode()
    assert "Alpine group" in shown and "owner" in shown
    assert as_stranger.post(link)["Location"] == f"/accounts/teams/{team.pk}/"
    assert team.memberships.get(user__username="stranger").role == MEMBER
    late = Client()
    late.force_login(factories.user("late"))
    assert late.get(link).status_code == 404
    late.post(link)
    assert not team.members.filter(username="late").exists()


def test_an_invitation_may_be_for_several_but_for_one_owner_only(team: Team, owner: User) -> None:
    _, secret = teams.invite(team=team, by=owner, max_uses=2)
    for name in ("first", "second"):
        teams.accept(invitation=teams.invitation_of(secret), user=factories.user(name))
    with pytest.raises(TeamRefused):
        teams.accept(invitation=teams.invitation_of(secret), user=factories.user("third"))
    invitation, _ = teams.invite(team=team, by=owner, role=OWNER, max_uses=5)
    assert invitation.max_uses == 1


def test_who_is_a_member_already_uses_no_invitation_up(team: Team, owner: User) -> None:
    invitation, secret = teams.invite(team=team, by=owner)
    assert teams.accept(invitation=teams.invitation_of(secret), user=owner).role == OWNER
    invitation.refresh_from_db()
    assert invitation.uses == 0


def test_an_invitation_ends_after_seven_days(team: Team, owner: User) -> None:
    invitation, secret = teams.invite(team=team, by=owner)
    assert invitation.expires_at - invitation.created_at <= timedelta(days=7, seconds=1)
    Invitation.objects.update(expires_at=timezone.now())
    with pytest.raises(TeamRefused):
        teams.accept(invitation=teams.invitation_of(secret), user=factories.user("late"))


def test_a_revoked_invitation_lets_nobody_in(as_owner: Client, team: Team, owner: User) -> None:
    invitation, secret = teams.invite(team=team, by=owner)
    as_owner.post(f"/accounts/invitations/{invitation.pk}/revoke/")
    assert teams.invitation_of(secret) is None


def test_links_that_a_former_owner_kept_are_dead(team: Team, owner: User, stranger: User) -> None:
    join(team, stranger, OWNER)
    _, by_leaver = teams.invite(team=team, by=stranger, role=OWNER)
    teams.remove(membership=membership_of(stranger, team), by=owner)
    join(team, stranger, OWNER)
    _, by_demoted = teams.invite(team=team, by=stranger, role=OWNER)
    teams.change_role(membership=membership_of(stranger, team), by=owner, role=MEMBER)
    assert teams.invitation_of(by_leaver) is None and teams.invitation_of(by_demoted) is None


def test_an_invitation_asks_strangers_to_sign_in_and_leads_back(
    client: Client, team: Team, owner: User
) -> None:
    _, secret = teams.invite(team=team, by=owner)
    path = f"/accounts/teams/join/{secret}/"
    assert f"/accounts/login/?next={path}" in client.get(path).content.decode()
    assert client.post(path).status_code == 200
    assert team.members.count() == 1


def test_only_digests_of_invitations_are_stored(team: Team, owner: User) -> None:
    _, secret = teams.invite(team=team, by=owner)
    assert secret not in str(Invitation.objects.values().get())


def test_members_see_the_team_and_may_not_change_it(as_member: Client, team: Team, owner: User) -> None:
    page = as_member.get(f"/accounts/teams/{team.pk}/").content.decode()
    assert "owner" in page and "Invitations" not in page
    invitation, _ = teams.invite(team=team, by=owner)
    part = membership_of(owner, team).pk
    assert as_member.post(f"/accounts/teams/{team.pk}/invite/", {"role": "owner"}).status_code == 403
    assert as_member.post(f"/accounts/teams/{team.pk}/rename/", {"name": "Mine"}).status_code == 403
    assert as_member.post(f"/accounts/teams/{team.pk}/delete/").status_code == 403
    assert as_member.post(f"/accounts/invitations/{invitation.pk}/revoke/").status_code == 404
    assert as_member.post(f"/accounts/memberships/{part}/role/", {"role": "member"}).status_code == 404
    assert as_member.post(f"/accounts/memberships/{part}/remove/").status_code == 404
    team.refresh_from_db()
    assert team.name == "Alpine group" and membership_of(owner, team).role == OWNER


def test_the_services_ask_for_an_owner_themselves(team: Team, member: User, owner: User) -> None:
    invitation, _ = teams.invite(team=team, by=owner)
    part = membership_of(owner, team)
    for act in (
        lambda: teams.rename(team=team, by=member, name="Mine"),
        lambda: teams.invite(team=team, by=member),
        lambda: teams.revoke(invitation=invitation, by=member),
        lambda: teams.remove(membership=part, by=member),
        lambda: teams.change_role(membership=part, by=member, role=MEMBER),
        lambda: teams.disband(team=team, by=member),
    ):
        with pytest.raises(TeamRefused, match="Only an owner"):
            act()


def test_strangers_learn_nothing_of_a_team(as_stranger: Client, client: Client, team: Team) -> None:
    for path in ("", "leave/", "delete/"):
        assert as_stranger.get(f"/accounts/teams/{team.pk}/{path}").status_code == 404
        assert client.get(f"/accounts/teams/{team.pk}/{path}").status_code == 302
    for path in ("invite/", "rename/"):
        assert as_stranger.post(f"/accounts/teams/{team.pk}/{path}").status_code == 404


def test_owners_change_roles_and_remove(as_owner: Client, team: Team, member: User) -> None:
    part = membership_of(member, team)
    as_owner.post(f"/accounts/memberships/{part.pk}/role/", {"role": "owner"})
    part.refresh_from_db()
    assert part.role == OWNER
    assert "Remove member from" in as_owner.get(f"/accounts/memberships/{part.pk}/remove/").content.decode()
    as_owner.post(f"/accounts/memberships/{part.pk}/remove/")
    assert not team.members.filter(pk=member.pk).exists()


def test_the_last_owner_can_neither_leave_nor_be_demoted(as_owner: Client, team: Team, owner: User) -> None:
    part = membership_of(owner, team)
    as_owner.post(f"/accounts/teams/{team.pk}/leave/")
    as_owner.post(f"/accounts/memberships/{part.pk}/role/", {"role": "member"})
    as_owner.post(f"/accounts/memberships/{part.pk}/remove/")
    assert membership_of(owner, team).role == OWNER
    successor = join(team, factories.user("successor"), OWNER)
    User.objects.filter(pk=successor.pk).update(is_active=False)
    with pytest.raises(TeamRefused):
        teams.leave(team=team, user=owner)
    User.objects.filter(pk=successor.pk).update(is_active=True)
    teams.leave(team=team, user=owner)
    assert list(team.members.all()) == [successor]


def test_leaving_asks_first(as_member: Client, member: User, team: Team) -> None:
    assert "Leave “Alpine group”?" in as_member.get(f"/accounts/teams/{team.pk}/leave/").content.decode()
    assert team.members.filter(pk=member.pk).exists()
    as_member.post(f"/accounts/teams/{team.pk}/leave/")
    assert not team.members.filter(pk=member.pk).exists()


def test_a_personal_team_stays(owner: User, stranger: User) -> None:
    team = personal_team(owner)
    join(team, stranger, OWNER)
    part = membership_of(owner, team)
    for act in (
        lambda: teams.leave(team=team, user=owner),
        lambda: teams.remove(membership=part, by=stranger),
        lambda: teams.change_role(membership=part, by=stranger, role=MEMBER),
        lambda: teams.disband(team=team, by=owner),
    ):
        with pytest.raises(TeamRefused, match=r"personal team"):
            act()
    teams.rename(team=team, by=owner, name="Another name")
    assert personal_team(owner) == team


def test_a_team_with_submissions_is_not_deleted(as_owner: Client, team: Team, owner: User) -> None:
    factories.submission(owner, team=team)
    as_owner.post(f"/accounts/teams/{team.pk}/delete/")
    assert Team.objects.filter(pk=team.pk).exists()
    empty = teams.found(owner=owner, name="Empty")
    as_owner.post(f"/accounts/teams/{empty.pk}/delete/")
    assert not Team.objects.filter(pk=empty.pk).exists()


def test_a_change_of_name_is_on_record(team: Team, owner: User) -> None:
    teams.rename(team=team, by=owner, name="Baltic group")
    events = team._meta.apps.get_model("accounts", "TeamNameEvent").objects.filter(pgh_obj_id=team.pk)
    assert [event.name for event in events.order_by("pgh_id")] == ["Alpine group", "Baltic group"]


def test_the_quota_of_each_team_is_shown(as_owner: Client, team: Team, owner: User) -> None:
    factories.submission(owner, team=team)
    assert "1 of 20 submissions" in as_owner.get(f"/accounts/teams/{team.pk}/").content.decode()
    assert "1 of 20" in as_owner.get("/accounts/teams/").content.decode()


def test_a_team_is_public_once_it_published(
    client: Client, as_stranger: Client, as_owner: Client, team: Team, owner: User
) -> None:
    other = teams.found(owner=owner, name="Baltic group")
    made = factories.published(owner, team=other, method="For all to see")
    for its in (team, other):
        factories.submission(owner, team=its, method="Not yet public")
    assert client.get(f"/teams/{team.pk}/").status_code == 404
    assert as_stranger.get(f"/teams/{team.pk}/").status_code == 404
    assert "Nothing published yet" in as_owner.get(f"/teams/{team.pk}/").content.decode()
    page = client.get(f"/teams/{other.pk}/").content.decode()
    assert "For all to see" in page and f"/entries/{made.pk}/" in page and "70.00" in page
    assert "Not yet public" not in page


def test_people_are_named_in_public_only_as_they_wish(client: Client, as_owner: Client, owner: User) -> None:
    team = personal_team(owner)
    factories.published(owner)
    profile = {"full_name": "Olga Wner", "affiliation": "An institute", "homepage": "https://example.org/"}
    as_owner.post("/accounts/profile/", profile)
    assert "Olga Wner" not in client.get(f"/teams/{team.pk}/").content.decode()
    as_owner.post("/accounts/profile/", {**profile, "shown_in_teams": "on"})
    page = client.get(f"/teams/{team.pk}/").content.decode()
    assert "Olga Wner" in page and "An institute" in page and "https://example.org/" in page


def test_a_home_page_is_a_web_address(as_owner: Client, owner: User) -> None:
    for homepage in ("javascript:alert(1)", "ftp://example.org/", "no address"):
        assert as_owner.post("/accounts/profile/", {"homepage": homepage}).status_code == 422
    owner.refresh_from_db()
    assert owner.homepage == ""


def test_a_profile_lists_teams_and_published_entries(as_owner: Client, team: Team, owner: User) -> None:
    factories.published(owner, team=team, method="Mine and public")
    page = as_owner.get("/accounts/profile/").content.decode()
    assert "Alpine group" in page and "Mine and public" in page


def invite(client: Client, team: Team, whom: str) -> str:
    data = {"role": "member", "max_uses": 5, "whom": whom}
    return client.post(f"/accounts/teams/{team.pk}/invite/", data, follow=True).content.decode()


def test_who_is_invited_by_name_is_mailed_and_accepts_on_their_own_page(
    as_owner: Client, as_stranger: Client, stranger: User, team: Team
) -> None:
    assert "on its way to Stranger" in invite(as_owner, team, "Stranger")
    assert mail.outbox[0].to == [stranger.email] and link_on(str(mail.outbox[0].body))
    assert "Alpine group" in as_stranger.get("/accounts/teams/").content.decode()
    as_stranger.post(f"/accounts/invitations/{Invitation.objects.get().pk}/answer/")
    assert membership_of(stranger, team).role == MEMBER
    assert "Invitations" not in as_stranger.get("/accounts/teams/").content.decode()


def test_an_invitation_by_name_can_be_declined(as_owner: Client, as_stranger: Client, team: Team) -> None:
    invite(as_owner, team, "stranger")
    as_stranger.post(f"/accounts/invitations/{Invitation.objects.get().pk}/answer/", {"decline": "1"})
    assert team.memberships.count() == 1 and not Invitation.objects.open().exists()


def test_an_invitation_by_name_lets_nobody_else_in(as_owner: Client, stranger: User, team: Team) -> None:
    invite(as_owner, team, "stranger")
    other = Client()
    other.force_login(factories.user("other"))
    link = link_on(str(mail.outbox[0].body))
    assert "for another account" in other.post(link, follow=True).content.decode()
    invitation = Invitation.objects.get()
    assert other.post(f"/accounts/invitations/{invitation.pk}/answer/").status_code == 404
    assert team.memberships.count() == 1


def test_an_invitation_by_address_is_mailed_there_and_lets_one_in(as_owner: Client, team: Team) -> None:
    page = invite(as_owner, team, "new@example.org")
    assert mail.outbox[0].to == ["new@example.org"] and link_on(str(mail.outbox[0].body))
    assert "new@example.org" in page and Invitation.objects.get().max_uses == 1


@pytest.mark.parametrize("whom", ["nobody", "owner", "not@an@address"])
def test_nobody_is_invited_who_does_not_exist_or_is_a_member(as_owner: Client, team: Team, whom: str) -> None:
    invite(as_owner, team, whom)
    assert not Invitation.objects.exists() and not mail.outbox


def test_a_user_has_a_limited_number_of_invitations_mailed(
    as_owner: Client, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teams, "MAILED_PER_DAY", 2)
    for number in range(3):
        page = invite(as_owner, team, f"person{number}@example.org")
    assert "Send a link instead" in page and len(mail.outbox) == 2


def test_a_team_that_was_deleted_gives_no_mails_back(
    owner: User, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teams, "MAILED_PER_DAY", 1)
    teams.invite(team=team, by=owner, whom="first@example.org")
    teams.disband(team=team, by=owner)
    another = teams.found(owner=owner, name="Another")
    with pytest.raises(TeamRefused, match="Send a link instead"):
        teams.invite(team=another, by=owner, whom="second@example.org")


def test_one_address_is_sent_a_limited_number_of_invitations_whoever_sends_them(
    owner: User, stranger: User, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teams, "RECEIVED_PER_DAY", 1)
    teams.invite(team=team, by=owner, whom="Victim@example.org")
    another = teams.found(owner=stranger, name="Another")
    with pytest.raises(TeamRefused, match="enough invitations"):
        teams.invite(team=another, by=stranger, whom="victim@example.org")


def test_an_invitation_of_a_closed_account_lets_nobody_in_by_name_either(
    as_owner: Client, as_stranger: Client, team: Team, owner: User
) -> None:
    invite(as_owner, team, "stranger")
    User.objects.filter(pk=owner.pk).update(is_active=False)
    assert "Alpine group" not in as_stranger.get("/accounts/teams/").content.decode()
    answer = as_stranger.post(f"/accounts/invitations/{Invitation.objects.get().pk}/answer/")
    assert answer.status_code == 404 and team.memberships.count() == 1


def test_an_invitation_that_cannot_be_mailed_is_shown(as_owner: Client, team: Team, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert link_on(invite(as_owner, team, "new@example.org"))


def test_members_see_the_teams_submissions_on_its_page(as_owner: Client, owner: User, team: Team) -> None:
    submission = factories.submission(owner, team=team)
    assert submission.method in as_owner.get(f"/accounts/teams/{team.pk}/").content.decode()
