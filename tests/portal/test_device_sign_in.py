"""A program is signed in through the browser (RFC 8628): whoever is signed in decides, once, and in time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from portal.account_pages import device_views
from portal.accounts.models import ApiToken, DeviceSignIn, User

pytestmark = pytest.mark.django_db
PAGE = "/accounts/device/"
ALLOWED = {"answer": "allow", "name": "laptop", "scopes": ["read", "submit"], "lifetime": "90"}


@pytest.fixture(autouse=True)
def fresh_rates(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def begin(**fields: str) -> Any:
    body = {"client_id": "flowertune", "scope": "read submit", "device_name": "lab-7", **fields}
    return Client().post("/oauth/device_authorization", body)


def poll(begun: dict[str, Any], *, after_the_interval: bool = True) -> Any:
    """Ask for the token; the wait before it is not waited."""
    if after_the_interval:
        DeviceSignIn.objects.update(polled_at=None)
    body = {"grant_type": device_views.GRANT_TYPE, "device_code": begun["device_code"]}
    return Client().post("/oauth/token", body | {"client_id": "flowertune"})


def test_what_a_person_allows_becomes_a_token_once(as_owner: Client, owner: User) -> None:
    begun = begin().json()
    assert begun["verification_uri"].endswith(PAGE) and begun["interval"] == 5
    assert poll(begun).json()["error"] == "authorization_pending"
    page = as_owner.get(begun["verification_uri_complete"])
    assert begun["user_code"] in page.text and "lab-7" in page.text
    assert poll(begun).json()["error"] == "authorization_pending", "to look at it allows nothing"
    assert as_owner.post(PAGE, {"code": begun["user_code"], **ALLOWED}).status_code == 302
    answer = poll(begun)
    assert answer["Cache-Control"].count("no-store") == 1
    token = ApiToken.objects.get(user=owner)
    assert ApiToken.digest_of(answer.json()["access_token"]) == token.digest
    assert (token.name, token.scopes) == ("laptop", ["read", "submit"]) and token.expires_at is not None
    assert poll(begun).json()["error"] == "invalid_grant"
    assert ApiToken.objects.count() == 1


def test_a_code_is_typed_as_people_type_and_may_be_given_fewer_rights(as_owner: Client) -> None:
    begun = begin().json()
    typed = begun["user_code"].lower().replace("-", " ")
    as_owner.post(PAGE, {"code": typed, **ALLOWED, "scopes": ["read"]})
    assert poll(begun).json()["scope"] == "read"


def test_a_program_is_offered_no_more_than_it_asks_for(as_owner: Client) -> None:
    begun = begin(scope="read").json()
    page = as_owner.get(begun["verification_uri_complete"])
    assert page.context["form"]["scopes"].value() == ["read"]


def test_a_program_that_never_slows_down_breaks_nothing() -> None:
    begun = begin().json()
    DeviceSignIn.objects.update(interval=60)
    poll(begun)
    for _ in range(2):
        assert poll(begun, after_the_interval=False).json()["error"] == "slow_down"
    assert DeviceSignIn.objects.get().interval == 60


def test_a_refused_program_gets_nothing(as_owner: Client) -> None:
    begun = begin().json()
    as_owner.post(PAGE, {"code": begun["user_code"], "answer": "refuse"})
    assert poll(begun).json()["error"] == "access_denied"
    assert as_owner.post(PAGE, {"code": begun["user_code"], **ALLOWED}).status_code == 422
    assert not ApiToken.objects.exists()


def test_a_code_that_is_too_old_is_of_no_use(as_owner: Client) -> None:
    begun = begin().json()
    DeviceSignIn.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert as_owner.post(PAGE, {"code": begun["user_code"], **ALLOWED}).status_code == 422
    assert poll(begun).json()["error"] == "expired_token"
    DeviceSignIn.objects.update(expires_at=timezone.now() - timedelta(hours=2))
    begin()
    assert DeviceSignIn.objects.count() == 1, "old ones are deleted when the next begins"


def test_a_program_that_asks_too_often_is_slowed_down() -> None:
    begun = begin().json()
    poll(begun)
    assert poll(begun, after_the_interval=False).json()["error"] == "slow_down"
    assert DeviceSignIn.objects.get().interval == 10


def test_nobody_answers_without_signing_in_or_for_another_site(as_owner: Client) -> None:
    begun = begin().json()
    answer = Client().post(PAGE, {"code": begun["user_code"], **ALLOWED})
    assert answer.status_code == 302 and "/accounts/login/" in answer["Location"]
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = as_owner.cookies
    assert strict.post(PAGE, {"code": begun["user_code"], **ALLOWED}).status_code == 403
    assert poll(begun).json()["error"] == "authorization_pending"


def test_codes_cannot_be_tried_at_will(as_owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_views, "ENTRIES", "2/hour")
    monkeypatch.setattr(device_views, "BEGINNINGS", "1/hour")
    statuses = [as_owner.post(PAGE, {"code": "BBBBBBBB"}).status_code for _ in range(3)]
    assert statuses == [422, 422, 429]
    assert [begin().status_code for _ in range(2)] == [200, 429]


def test_a_new_password_ends_what_was_allowed_and_not_fetched(as_owner: Client, owner: User) -> None:
    begun = begin().json()
    as_owner.post(PAGE, {"code": begun["user_code"], **ALLOWED})
    ApiToken.revoke_all_of(owner)
    assert poll(begun).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changed", "error"),
    [({"client_id": "other"}, "invalid_client"), ({"scope": "read admin"}, "invalid_scope")],
)
def test_what_is_no_client_of_this_site_is_refused(changed: dict[str, str], error: str) -> None:
    answer = begin(**changed)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert (
        Client().post("/oauth/token", {"grant_type": "password"}).json()["error"] == "unsupported_grant_type"
    )
