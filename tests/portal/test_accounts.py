"""Accounts: sign-up, and API tokens on the account page."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from portal.accounts.models import ApiToken, Membership, Team, User, personal_team
from tests.portal import factories

pytestmark = pytest.mark.django_db


def test_who_signs_up_has_a_team_and_is_signed_in(client: Client) -> None:
    body = {
        "username": "newcomer",
        "email": "newcomer@example.org",
        "password1": "a long pass phrase",
        "password2": "a long pass phrase",
    }
    response = client.post("/accounts/signup/", body)
    assert response.status_code == 302 and response["Location"] == "/submissions/"
    membership = Membership.objects.get(user__username="newcomer")
    assert membership.role == "owner" and membership.team.name == "newcomer"


def test_a_taken_team_name_does_not_stop_anybody(client: Client) -> None:
    Team.objects.create(name="Newcomer")
    assert factories.user("newcomer").teams.get().name.startswith("newcomer (")


def test_one_signs_in_by_name_or_address(client: Client, owner: User) -> None:
    for login in ("owner", "owner@example.org"):
        response = client.post("/accounts/login/", {"login": login, "password": "correct horse"})
        assert response.status_code == 302
        client.logout()


def test_a_token_is_shown_once(as_owner: Client) -> None:
    page = as_owner.post("/accounts/tokens/", {"name": "CI"}).content.decode()
    secret = re.search(r"ftl_[\w-]{30,}", page)
    assert secret and ApiToken.objects.get().digest == ApiToken.digest_of(secret[0])
    assert secret[0] not in as_owner.get("/accounts/tokens/").content.decode()


def test_a_token_is_revoked_by_its_owner_alone(as_owner: Client, as_stranger: Client, owner: User) -> None:
    token, _ = ApiToken.issue(user=owner, name="CI")
    assert as_stranger.post(f"/accounts/tokens/{token.pk}/revoke/").status_code == 404
    assert as_owner.get(f"/accounts/tokens/{token.pk}/revoke/").status_code == 405
    as_owner.post(f"/accounts/tokens/{token.pk}/revoke/")
    token.refresh_from_db()
    assert token.revoked_at


def test_the_longest_user_name_and_a_missing_address_are_no_obstacle() -> None:
    for letter in "ab":
        someone = User.objects.create_user(username=letter * 150)
        assert personal_team(someone).name == letter * 150
