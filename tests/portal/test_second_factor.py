"""The second factor: staff need one before anything of staff's opens, others may have one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.test import Client, RequestFactory

from portal.accounts.models import ApiToken, User
from portal.accounts.second_factor import SecondFactorAdapter, passkeys_possible
from tests.portal import factories

pytestmark = pytest.mark.django_db

STAFF_PAGES = ["/admin/", "/admin/submissions/submission/", "/baselines/runs/new/"]


@pytest.fixture(autouse=True)
def required(settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = True
    cache.clear()


def code_of(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def sign_in(client: Client, name: str, **extra: str) -> Any:
    return client.post("/accounts/login/", {"login": name, "password": "correct horse", **extra})


def with_app(user: User) -> str:
    """Give a user an authenticator app and return its secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return str(secret)


@pytest.mark.parametrize("path", STAFF_PAGES)
def test_staff_without_one_are_led_to_set_it_up(client: Client, reviewer: User, path: str) -> None:
    sign_in(client, "reviewer")
    response = client.get(path, follow=True)
    assert response.redirect_chain[-1][0] == "/accounts/2fa/"
    page = response.content.decode()
    assert "Staff need a second factor" in page and "Set up an app" in page


@pytest.mark.django_db(transaction=True)
def test_an_app_is_set_up_with_the_password_and_opens_the_administration(
    client: Client, reviewer: User, mailoutbox: list[EmailMessage]
) -> None:
    sign_in(client, "reviewer")
    asked = client.get("/accounts/2fa/totp/activate/")
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    page = client.post(asked["Location"], {"password": "correct horse"}, follow=True).content.decode()
    secret = re.search(r'<code class="code">(\w+)</code>', page)
    assert secret and "data:image/svg+xml" in page
    codes = client.post("/accounts/2fa/totp/activate/", {"code": code_of(secret[1])}, follow=True)
    assert len(re.findall(r"\b\d{8}$", codes.content.decode(), re.MULTILINE)) == 10
    assert client.get("/admin/").status_code == 200
    assert "Open the administration" in client.get("/accounts/2fa/").content.decode()
    assert "authenticator app was set up" in mailoutbox[-1].body


def test_signing_in_asks_for_the_second_factor(client: Client, reviewer: User) -> None:
    secret = with_app(reviewer)
    response = sign_in(client, "reviewer", next="/admin/")
    assert response["Location"] == "/accounts/2fa/authenticate/"
    assert client.get("/admin/").status_code == 302
    assert "Incorrect code" in client.post(response["Location"], {"code": "000000"}).content.decode()
    assert client.post(response["Location"], {"code": code_of(secret)})["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_codes_cannot_be_guessed_for_long(client: Client, reviewer: User) -> None:
    secret = with_app(reviewer)
    sign_in(client, "reviewer")
    for _ in range(5):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    page = client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)}).content.decode()
    assert "Too many" in page


def test_recovery_codes_alone_open_nothing(as_reviewer: Client, reviewer: User) -> None:
    Authenticator.objects.create(user=reviewer, type=Authenticator.Type.RECOVERY_CODES, data={})
    assert as_reviewer.get("/admin/").status_code == 302


def test_until_then_staff_are_ordinary_users_with_their_tokens_too(
    client: Client, reviewer: User, owner: User
) -> None:
    made = factories.submission(owner, method="Not yet public")
    _, token = ApiToken.issue(user=reviewer, name="review")
    program = {"Authorization": f"Bearer {token}"}
    of_owner = f"/api/v1/submissions/{made.pk}/"
    assert client.get(of_owner, headers=program).status_code == 404
    refused = client.post("/api/v1/baseline-runs/", {}, "application/json", headers=program)
    assert refused.status_code == 403 and "second factor" in refused.json()["detail"]
    with_app(reviewer)
    assert client.get(of_owner, headers=program).status_code == 200
    assert client.post("/api/v1/baseline-runs/", {}, "application/json", headers=program).status_code == 400


def test_others_may_have_one(client: Client, owner: User) -> None:
    assert sign_in(client, "owner")["Location"] == "/submissions/"
    secret = with_app(owner)
    client.logout()
    assert sign_in(client, "owner")["Location"] == "/accounts/2fa/authenticate/"
    client.post("/accounts/2fa/authenticate/", {"code": code_of(secret)})
    assert client.get("/submissions/").status_code == 200


def test_a_site_may_do_without(as_reviewer: Client, settings: Any) -> None:
    settings.STAFF_SECOND_FACTOR = False
    assert as_reviewer.get("/admin/").status_code == 200


def test_a_secret_is_not_stored_in_the_clear(owner: User) -> None:
    secret = with_app(owner)
    stored = Authenticator.objects.get(user=owner, type=Authenticator.Type.TOTP).data
    assert secret not in str(stored)


@pytest.mark.parametrize(
    ("site", "possible"),
    [
        ("https://board.example.org", True),
        ("http://localhost:8000", True),
        ("http://board.example.org", False),
        ("http://127.0.0.1:8000", False),
        ("https://[::1]:8000", False),
    ],
)
def test_passkeys_are_offered_where_browsers_keep_them(
    client: Client, owner: User, settings: Any, site: str, possible: bool
) -> None:
    settings.SITE_URL = site
    assert passkeys_possible() == possible
    sign_in(client, "owner")
    assert ("Add a passkey" in client.get("/accounts/2fa/").content.decode()) == possible


@pytest.fixture
def request_from_elsewhere(settings: Any) -> Iterator[None]:
    settings.ALLOWED_HOSTS = ["*"]
    with context.request_context(RequestFactory().get("/", headers={"host": "elsewhere.example"})):
        yield


def test_passkeys_belong_to_the_site_s_own_name(settings: Any, request_from_elsewhere: None) -> None:
    settings.SITE_URL = "https://board.example.org:8443"
    assert SecondFactorAdapter().get_public_key_credential_rp_entity()["id"] == "board.example.org"
