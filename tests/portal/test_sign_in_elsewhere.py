"""Signing up and in with the account of another site, against one on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
from django.core import mail
from django.core.cache import cache
from django.test import Client

from portal.accounts.models import User
from portal.environment import Environment
from tests.portal import factories
from tests.portal.sign_in_provider import Provider, running

pytestmark = pytest.mark.django_db

HUGGING_FACE = "/accounts/oidc/huggingface/login/"
GITHUB = "/accounts/github/login/"


@pytest.fixture
def provider(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    cache.clear()  # mails to one address are rated
    with running() as provider:
        settings.SOCIALACCOUNT_PROVIDERS = provider.settings
        for name, path in provider.github.items():
            monkeypatch.setattr(GitHubOAuth2Adapter, name, provider.url + path)
        yield provider


def come_back(client: Client, address: str, process: str = "login") -> Any:
    """Go to the other site and follow it back; the answer of this site."""
    away = client.post(f"{address}?process={process}")
    assert away.status_code == 302
    back = httpx.get(away["Location"]).headers["Location"]
    return client.get(back.removeprefix("http://testserver"), follow=True)


def sign_up(client: Client, **fields: str) -> Any:
    return client.post("/accounts/3rdparty/signup/", fields, follow=True)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.mark.parametrize("address", [HUGGING_FACE, GITHUB])
def test_who_signs_up_elsewhere_chooses_a_name_and_needs_no_password_and_no_mail(
    provider: Provider, address: str
) -> None:
    client = Client()
    page = come_back(client, address).content.decode()
    assert 'value="jo@example.org"' in page and not User.objects.exists()
    sign_up(client, username="jo", email="jo@example.org")
    user = User.objects.get()
    assert user.email == "jo@example.org" and not user.has_usable_password()
    assert user.memberships.get().team.personal_of_id == user.pk
    assert not mail.outbox and is_signed_in(client)

    again = Client()
    come_back(again, address)
    assert is_signed_in(again) and User.objects.count() == 1


def test_a_code_is_worthless_without_the_browsers_secret(provider: Provider) -> None:
    come_back(Client(), HUGGING_FACE)
    assert len(provider.verifiers[0]) >= 43


@pytest.mark.parametrize(("told", "verified"), [("jo@example.org", False), ("", True)])
def test_an_address_that_the_other_site_does_not_vouch_for_is_confirmed_by_mail(
    provider: Provider, told: str, verified: bool
) -> None:
    provider.person.email, provider.person.verified = told, verified
    client = Client()
    come_back(client, HUGGING_FACE)
    sign_up(client, username="jo", email="jo@example.org")
    assert User.objects.get().email == "" and not is_signed_in(client)
    assert mail.outbox[0].to == ["jo@example.org"]


def test_another_address_than_the_one_vouched_for_is_confirmed_by_mail(provider: Provider) -> None:
    client = Client()
    come_back(client, HUGGING_FACE)
    sign_up(client, username="jo", email="victim@example.org")
    assert User.objects.get().email == "" and not is_signed_in(client)
    assert not EmailAddress.objects.get().verified


def test_an_address_that_has_an_account_opens_it_to_nobody_from_elsewhere(provider: Provider) -> None:
    factories.user("jo")
    client = Client()
    come_back(client, HUGGING_FACE)
    page = sign_up(client, username="second", email="jo@example.org").content.decode()
    assert "This address has an account here" in page
    assert not is_signed_in(client) and not SocialAccount.objects.exists()


def test_an_account_connects_another_sites_and_disconnects_it(provider: Provider) -> None:
    user = factories.user("first")
    client = Client()
    client.post("/accounts/login/", {"login": "first", "password": "correct horse"})
    assert "Connect Hugging Face" in client.get("/accounts/3rdparty/").content.decode()
    assert "Confirm that it is you" in come_back(client, HUGGING_FACE, "connect").content.decode()
    page = client.post("/accounts/reauthenticate/", {"password": "correct horse"}, follow=True)
    assert "Disconnect" in page.content.decode()
    assert "connected to your account" in mail.outbox[-1].body

    other = Client()
    come_back(other, HUGGING_FACE)
    assert other.session["_auth_user_id"] == str(user.pk)

    client.post("/accounts/3rdparty/", {"account": SocialAccount.objects.get().pk})
    assert not SocialAccount.objects.exists()


def test_the_only_way_in_is_not_disconnected(provider: Provider) -> None:
    client = Client()
    come_back(client, HUGGING_FACE)
    sign_up(client, username="jo", email="jo@example.org")
    page = client.post("/accounts/3rdparty/", {"account": SocialAccount.objects.get().pk}).content.decode()
    assert "no password set up" in page and SocialAccount.objects.exists()


def test_who_says_no_elsewhere_is_told_that_nothing_changed(provider: Provider) -> None:
    provider.person.refuses = True
    page = come_back(Client(), HUGGING_FACE).content.decode()
    assert "Signing in was cancelled" in page and not User.objects.exists()


def test_another_site_that_is_away_is_told_and_nothing_breaks(provider: Provider) -> None:
    client = Client()
    away = client.post(HUGGING_FACE)
    back = httpx.get(away["Location"]).headers["Location"].removeprefix("http://testserver")
    wrong_state = back.replace("state=", "state=x")
    page = client.get(wrong_state, follow=True)
    assert "That did not work" in page.content.decode() and not User.objects.exists()


def test_without_settings_nothing_of_it_is_shown_or_answers(settings: Any) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = Environment().sign_in_providers()
    client = Client()
    assert "Sign in with" not in client.get("/accounts/login/").content.decode()
    assert client.get(HUGGING_FACE).status_code == 404


def test_each_is_switched_on_by_one_setting() -> None:
    made = Environment(sign_in_orcid="APP-1:secret", sign_in_github="id:secret")
    apps = made.sign_in_providers()
    assert [app["provider_id"] for app in apps["openid_connect"]["APPS"]] == ["orcid"]
    assert apps["github"]["APPS"][0]["client_id"] == "id"
    assert made.sign_in_origins() == ["https://github.com", "https://orcid.org"]
    with pytest.raises(ValueError, match="CLIENT_ID:SECRET"):
        Environment(sign_in_github="id")
