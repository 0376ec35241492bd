"""Accounts: sign-up, signing in, passwords, addresses, and API tokens on the account page."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib import import_module
from io import StringIO
from pathlib import Path
from smtplib import SMTPServerDisconnected
from typing import Any
from unittest.mock import Mock

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from portal.accounts.models import ApiToken, Membership, Team, User, personal_team
from tests.portal import factories

pytestmark = pytest.mark.django_db

PASSWORD = "a long pass phrase"


def sign_up(client: Client, username: str, email: str = "", **extra: Any) -> Any:
    address = email or f"{username}@example.org"
    body = {"username": username, "email": address, "password1": PASSWORD, "password2": PASSWORD}
    return client.post("/accounts/signup/", body, **extra)


def sign_in(client: Client, login: str, password: str, next: str = "", **extra: Any) -> Any:
    return client.post("/accounts/login/", {"login": login, "password": password, "next": next}, **extra)


def link_in(mail: EmailMessage) -> str:
    found = re.search(
        str(settings.SITE_URL) + r"(/accounts/(?:confirm-email|password/reset/key)/\S+)", str(mail.body)
    )
    assert found, mail.body
    return found[1]


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    cache.clear()


def test_who_signs_up_has_a_team_and_is_signed_in_once_the_address_is_confirmed(
    client: Client, mailoutbox: list[EmailMessage]
) -> None:
    response = sign_up(client, "newcomer")
    assert response["Location"] == "/accounts/confirm-email/"
    membership = Membership.objects.get(user__username="newcomer")
    assert membership.role == "owner" and membership.team.name == "newcomer"
    response = client.post(link_in(mailoutbox[0]))
    assert response.status_code == 302 and response["Location"] == "/submissions/"
    assert User.objects.get(username="newcomer").email == "newcomer@example.org"


def test_an_address_is_an_account_s_once_it_is_confirmed(
    client: Client, mailoutbox: list[EmailMessage]
) -> None:
    sign_up(client, "newcomer")
    assert User.objects.get(username="newcomer").email == ""
    response = sign_in(Client(), "newcomer", PASSWORD)
    assert response["Location"] == "/accounts/confirm-email/"
    confirmed = Client().post(link_in(mailoutbox[0]))
    assert confirmed["Location"] == "/accounts/login/"
    assert sign_in(Client(), "newcomer@example.org", PASSWORD)["Location"] == "/submissions/"


@pytest.mark.parametrize("known", ["confirmed", "given by the operator", "unknown"])
def test_a_sign_up_answers_alike_whether_its_address_is_known_or_not(
    client: Client, mailoutbox: list[EmailMessage], known: str
) -> None:
    if known == "confirmed":
        owner = factories.user("owner")
        EmailAddress.objects.create(user=owner, email=owner.email, verified=True, primary=True)
    elif known == "given by the operator":
        factories.user("owner")
    response = sign_up(client, "newcomer", "Owner@example.org")
    page = client.get(response["Location"]).content.decode()
    assert response["Location"] == "/accounts/confirm-email/" and "on its way to the address" in page
    # Nor do the next steps tell: the name is taken, and nobody is let in.
    assert sign_up(Client(), "newcomer", "third@example.org").status_code == 200
    assert sign_in(Client(), "newcomer", PASSWORD)["Location"] == "/accounts/confirm-email/"
    assert mailoutbox[0].to == ["owner@example.org"]
    told = "is the address of an account that is there already" in mailoutbox[0].body
    assert told == (known != "unknown")


def test_an_address_that_became_somebody_s_meanwhile_is_not_confirmed_for_another(
    client: Client, mailoutbox: list[EmailMessage]
) -> None:
    sign_up(client, "newcomer", "both@example.org")
    User.objects.create_user("faster", "both@example.org", PASSWORD)
    client.post(link_in(mailoutbox[0]))
    assert User.objects.get(username="newcomer").email == ""
    assert not EmailAddress.objects.filter(verified=True).exists()


@pytest.mark.parametrize("email", ["", "Admin@example.org"])
def test_an_account_that_the_operator_made_needs_no_confirmation(client: Client, email: str) -> None:
    User.objects.create_superuser("admin", email, PASSWORD)
    assert sign_in(client, "admin", PASSWORD)["Location"] == "/submissions/"
    assert list(EmailAddress.objects.values_list("email", "verified")) == (
        [("admin@example.org", True)] if email else []
    )


def test_mailed_links_lead_to_the_site_whatever_host_a_request_names(
    client: Client, settings: Any, mailoutbox: list[EmailMessage]
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    elsewhere: Any = {"headers": {"host": "elsewhere.example:8443"}}
    factories.user("owner")
    sign_up(client, "newcomer", **elsewhere)
    sign_up(client, "another", "owner@example.org", **elsewhere)
    for address in ("owner@example.org", "nobody@example.org"):
        client.post("/accounts/password/reset/", {"email": address}, **elsewhere)
    assert len(mailoutbox) == 4
    for mail in mailoutbox:
        assert "elsewhere" not in f"{mail.subject} {mail.body}"
        assert f"{settings.SITE_URL}/accounts/" in mail.body


def test_an_address_that_was_only_claimed_neither_lets_in_nor_gets_a_new_password(
    client: Client, owner: User, mailoutbox: list[EmailMessage]
) -> None:
    for name in ("first", "second"):
        sign_up(Client(), name, owner.email)
    assert "not correct" in sign_in(client, owner.email, PASSWORD).content.decode()
    mailoutbox.clear()
    client.post("/accounts/password/reset/", {"email": owner.email})
    assert len(mailoutbox) == 1 and "for the account owner" in mailoutbox[0].body


def test_a_name_that_looks_like_an_address_takes_nobody_s_place(client: Client, owner: User) -> None:
    factories.user(owner.email)
    sign_in(client, owner.email, "correct horse")
    assert client.session["_auth_user_id"] == str(owner.pk)


@pytest.mark.parametrize("login", ["owner", "owner@example.org", "nobody", "nobody@example.org"])
def test_a_wrong_password_takes_as_long_for_a_known_account(
    client: Client, owner: User, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    hashed = []

    def encode(self: MD5PasswordHasher, password: str, salt: str) -> str:
        hashed.append(password)
        return "md5$salt$digest"

    monkeypatch.setattr(MD5PasswordHasher, "encode", encode)
    sign_in(client, login, "wrong")
    assert hashed == ["wrong"]


def test_guesses_at_a_password_are_counted_whatever_host_they_name(
    client: Client, settings: Any, owner: User
) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    for port in range(5):
        sign_in(client, "owner", "wrong", headers={"host": f"testserver:{port + 1}"})
    page = sign_in(client, "owner", "correct horse").content.decode()
    assert "Too many failed login attempts" in page


def test_the_administration_signs_in_through_the_public_page(client: Client, reviewer: User) -> None:
    response = client.get("/admin/submissions/submission/")
    assert response["Location"] == "/admin/login/?next=/admin/submissions/submission/"
    response = client.post(response["Location"], {"username": "reviewer", "password": "correct horse"})
    assert response["Location"] == "/accounts/login/?next=/admin/submissions/submission/"
    assert "_auth_user_id" not in client.session
    response = sign_in(client, "reviewer", "correct horse", next="/admin/submissions/submission/")
    assert response["Location"] == "/admin/submissions/submission/"
    assert client.get("/admin/password_change/")["Location"] == "/accounts/password/change/"


def test_the_administration_is_closed_to_others(as_owner: Client) -> None:
    assert as_owner.get("/admin/", follow=True).status_code == 403


def test_a_new_password_ends_other_sessions_and_all_tokens(
    client: Client, owner: User, mailoutbox: list[EmailMessage]
) -> None:
    other = Client()
    for browser in (client, other):
        sign_in(browser, "owner", "correct horse")
    _, secret = ApiToken.issue(user=owner, name="CI")
    assert "ends your other sessions" in client.get("/accounts/password/change/").content.decode()
    body = {"oldpassword": "correct horse", "password1": PASSWORD, "password2": PASSWORD}
    page = client.post("/accounts/password/change/", body, follow=True).content.decode()
    assert "all your API tokens have ended" in page
    assert other.get("/submissions/").status_code == 302
    assert client.get("/submissions/").status_code == 200
    program = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/submissions/", headers=program).status_code == 401
    assert mailoutbox[-1].to == ["owner@example.org"] and "tokens have ended" in mailoutbox[-1].body


def test_a_forgotten_password_is_replaced_by_a_mailed_link(
    client: Client, owner: User, mailoutbox: list[EmailMessage]
) -> None:
    session = Client()
    session.force_login(owner)
    ApiToken.issue(user=owner, name="CI")
    client.post("/accounts/password/reset/", {"email": "owner@example.org"})
    form = client.get(link_in(mailoutbox[0]))["Location"]
    client.post(form, {"password1": PASSWORD, "password2": PASSWORD})
    assert "All its sessions and API tokens have ended" in mailoutbox[-1].body
    assert not owner.api_tokens.filter(revoked_at=None).exists()
    assert session.get("/submissions/").status_code == 302
    assert sign_in(client, "owner", PASSWORD)["Location"] == "/submissions/"


def test_a_password_set_by_staff_ends_sessions_and_tokens_too(
    as_reviewer: Client, as_owner: Client, owner: User, mailoutbox: list[EmailMessage]
) -> None:
    ApiToken.issue(user=owner, name="CI")
    body = {"password1": PASSWORD, "password2": PASSWORD, "usable_password": "true"}
    as_reviewer.post(f"/admin/accounts/user/{owner.pk}/password/", body)
    assert not owner.api_tokens.filter(revoked_at=None).exists()
    assert as_owner.get("/submissions/").status_code == 302
    assert mailoutbox[-1].to == ["owner@example.org"]


def test_a_password_set_on_the_command_line_ends_tokens(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ApiToken.issue(user=owner, name="CI")
    monkeypatch.setattr("getpass.getpass", Mock(return_value=PASSWORD))
    call_command("changepassword", "owner", stdout=StringIO())
    assert not owner.api_tokens.filter(revoked_at=None).exists()


def test_a_new_address_needs_the_password_and_a_confirmation(
    client: Client, owner: User, mailoutbox: list[EmailMessage]
) -> None:
    sign_in(client, "owner", "correct horse")
    asked = client.post("/accounts/email/", {"email": "new@example.org", "action_add": "1"})
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert not EmailAddress.objects.filter(email="new@example.org").exists()
    page = client.post(asked["Location"], {"password": "correct horse"}, follow=True).content.decode()
    assert "new@example.org" in page
    owner.refresh_from_db()
    assert owner.email == "owner@example.org"
    client.post(link_in(mailoutbox[0]))
    owner.refresh_from_db()
    assert owner.email == "new@example.org"
    assert mailoutbox[-1].to == ["owner@example.org"] and "to new@example.org" in mailoutbox[-1].body


def test_a_new_address_does_not_tell_whether_it_is_known(
    client: Client, owner: User, stranger: User, mailoutbox: list[EmailMessage]
) -> None:
    sign_in(client, "owner", "correct horse")
    client.post("/accounts/reauthenticate/", {"password": "correct horse"})
    page = client.post(
        "/accounts/email/", {"email": "stranger@example.org", "action_add": "1"}, follow=True
    ).content.decode()
    assert "Waiting for confirmation" in page
    assert mailoutbox[-1].to == ["stranger@example.org"] and "there already" in mailoutbox[-1].body


def test_a_mail_server_that_is_away_stops_no_new_password(
    client: Client, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: EmailMessage, fail_silently: bool = False) -> int:
        raise SMTPServerDisconnected("it is away")

    monkeypatch.setattr(EmailMessage, "send", away)
    sign_in(client, "owner", "correct horse")
    body = {"oldpassword": "correct horse", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post("/accounts/password/change/", body).status_code == 302
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)


def test_mail_on_disk_is_private(settings: Any, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND = "portal.notifications.mail_folder.PrivateFolder"
    settings.EMAIL_FILE_PATH = folder = tmp_path / "mail"
    folder.mkdir(mode=0o755)
    for number in range(2):
        EmailMessage(f"Message {number}", "A link", to=["owner@example.org"]).send()
    files = list(folder.iterdir())
    assert len(files) == 2 and all("A link" in file.read_text() for file in files)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("has_mail_server", [True, False])
def test_addresses_from_before_are_those_that_the_site_asked_to_confirm(
    settings: Any, has_mail_server: bool
) -> None:
    settings.EMAIL_FILE_PATH = None if has_mail_server else "mail"
    user = factories.user("owner")
    EmailAddress.objects.create(user=user, email=user.email, primary=True)
    import_module("portal.accounts.migrations.0004_confirmed_addresses").settle(apps, None)
    user.refresh_from_db()
    assert (user.email, EmailAddress.objects.get(user=user).verified) == (
        ("", False) if has_mail_server else ("owner@example.org", True)
    )


def test_a_taken_team_name_does_not_stop_anybody(client: Client) -> None:
    Team.objects.create(name="Newcomer")
    assert factories.user("newcomer").teams.get().name.startswith("newcomer (")


def test_one_signs_in_by_name_or_address(client: Client, owner: User) -> None:
    for login in ("owner", "owner@example.org"):
        response = client.post("/accounts/login/", {"login": login, "password": "correct horse"})
        assert response.status_code == 302
        client.logout()


def test_a_token_is_shown_once(as_owner: Client) -> None:
    page = as_owner.post(
        "/accounts/tokens/", {"name": "CI", "scopes": ["read"], "lifetime": "90"}
    ).content.decode()
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


def test_a_token_has_the_scopes_and_the_end_that_were_chosen(as_owner: Client) -> None:
    as_owner.post("/accounts/tokens/", {"name": "CI", "scopes": ["read"], "lifetime": "7"})
    token = ApiToken.objects.get()
    assert token.allows("read") and not token.allows("submit")
    assert token.expires_at and timedelta(days=6) < token.expires_at - timezone.now() <= timedelta(days=7)
    as_owner.post("/accounts/tokens/", {"name": "for ever", "scopes": ["read", "submit"], "lifetime": "none"})
    assert ApiToken.objects.get(name="for ever").expires_at is None


@pytest.mark.parametrize("wrong", [{"scopes": []}, {"scopes": ["admin"]}, {"lifetime": "9999"}])
def test_a_token_without_a_known_scope_or_end_is_not_made(as_owner: Client, wrong: dict[str, Any]) -> None:
    body = {"name": "CI", "scopes": ["read"], "lifetime": "7", **wrong}
    assert as_owner.post("/accounts/tokens/", body).status_code == 422
    assert not ApiToken.objects.exists()


def test_an_expired_token_is_refused_with_its_reason(client: Client, owner: User) -> None:
    token, secret = ApiToken.issue(user=owner, name="CI", expires_at=timezone.now() + timedelta(days=1))
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/submissions/", headers=headers).status_code == 200
    ApiToken.objects.update(expires_at=timezone.now())
    response = client.get("/api/v1/submissions/", headers=headers)
    assert response.status_code == 401
    assert "expired on" in response.json()["detail"] and token.name in response.json()["detail"]


def test_teams_from_before_are_marked_as_personal() -> None:
    """As the migration does it: the team that a sign-up made, not another one that its user owns."""
    users = [factories.user("first"), factories.user("second")]
    own = [personal_team(user) for user in users]
    Team.objects.update(personal_of=None)
    for user in users:
        other = Team.objects.create(name=f"Group of {user}")
        Membership.objects.create(team=other, user=user, role=Membership.Role.OWNER)
    import_module("portal.accounts.migrations.0003_personal_teams").mark(apps, None)
    assert [personal_team(user) for user in users] == own
    assert Team.objects.filter(personal_of__isnull=False).count() == 2
