"""Account pages as people use them: a passkey, an authenticator app, and pages that everybody can read."""

from __future__ import annotations

import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from axe_playwright_python.sync_playwright import Axe
from django.core.cache import cache
from playwright.sync_api import Browser, Page, Route, expect

from portal.accounts import teams
from portal.accounts.models import Membership, User, personal_team
from tests.browser.test_teams import fill_login, sign_in
from tests.portal import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ENTRANCE = ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/confirm-email/"]
PAGES = [
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/2fa/",
    "/accounts/2fa/totp/activate/",
    "/accounts/2fa/webauthn/add/",
    "/accounts/2fa/webauthn/",
    "/accounts/data/",
    "/accounts/delete/",
    "/accounts/device/",
    "/accounts/3rdparty/",
    "/accounts/teams/",
]


@pytest.fixture(autouse=True)
def named_site(settings: Any, live_server: Any) -> None:
    """Passkeys belong to the site's name, which is where the browser finds it."""
    settings.SITE_URL = live_server.url
    settings.STAFF_SECOND_FACTOR = True
    cache.clear()


def confirm_password(page: Page) -> None:
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Confirm").click()


def add_virtual_authenticator(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasUserVerification": True,
        "isUserVerified": True,
        "hasResidentKey": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_staff_add_a_passkey_and_sign_in_with_it(page: Page, live_server: Any, settings: Any) -> None:
    factories.user("reviewer", is_staff=True, is_superuser=True)
    add_virtual_authenticator(page)
    sign_in(page, live_server.url, "reviewer")
    page.goto(f"{live_server.url}/admin/")
    expect(page.get_by_text("Staff need a second factor to sign in")).to_be_visible()
    page.get_by_role("link", name="Add a passkey").click()
    confirm_password(page)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.get_by_role("link", name="Done").click()
    page.get_by_role("link", name="Open the administration").click()
    expect(page.get_by_text("Site administration")).to_be_visible()

    page.context.clear_cookies()
    page.goto(f"{live_server.url}/admin/")
    fill_login(page, "reviewer")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Site administration")).to_be_visible()
    assert Authenticator.objects.get(type="webauthn").last_used_at

    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    page.goto(f"{live_server.url}/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Remove").click()
    page.get_by_role("link", name="Use a security key").click()
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Remove the passkey")).to_be_visible()


def test_a_passkey_that_is_added_twice_is_refused_in_words(page: Page, live_server: Any) -> None:
    factories.user("owner")
    add_virtual_authenticator(page)
    sign_in(page, live_server.url, "owner")
    page.goto(f"{live_server.url}/accounts/2fa/webauthn/add/")
    confirm_password(page)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.goto(f"{live_server.url}/accounts/2fa/webauthn/add/")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert").filter(has_text="This key or device is added already.")).to_be_visible()


@pytest.mark.parametrize("late", ["webauthn.js", "passkey.js"])
def test_a_passkey_button_is_shown_once_it_works(page: Page, live_server: Any, late: str) -> None:
    factories.user("owner")
    sign_in(page, live_server.url, "owner")
    page.goto(f"{live_server.url}/accounts/2fa/webauthn/add/")
    held: list[Route] = []
    page.route(f"**/{late}*", lambda route: held.append(route))
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Confirm").click(no_wait_after=True)
    expect(page.get_by_role("heading", name="Add a passkey")).to_be_visible()
    expect(page.get_by_role("button", name="Add it")).to_be_hidden()
    held[0].continue_()
    expect(page.get_by_role("button", name="Add it")).to_be_visible()


def test_an_authenticator_app_is_set_up_by_keyboard(page: Page, live_server: Any) -> None:
    factories.user("owner")
    sign_in(page, live_server.url, "owner")
    page.goto(f"{live_server.url}/accounts/2fa/totp/activate/")
    confirm_password(page)
    secret = page.locator("main code").inner_text()
    code = page.get_by_label("Authenticator code")
    code.focus()
    page.keyboard.type(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()


@pytest.mark.slow("checks every page with axe")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_every_account_page_is_accessible_and_fits_its_window(
    browser: Browser, live_server: Any, scheme: Any, width: int
) -> None:
    owner = factories.user("owner")
    factories.submission(owner)
    team = teams.found(owner=owner, name="Alpine group")
    Membership.objects.create(team=team, user=factories.user("other"), role=Membership.Role.OWNER)
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    for path in ENTRANCE:
        check(page, live_server.url + path)
    sign_in(page, live_server.url, "owner")
    page.goto(f"{live_server.url}/accounts/2fa/totp/activate/")
    check(page, page.url)
    confirm_password(page)
    for path in PAGES:
        check(page, live_server.url + path)
    context.close()


def check(page: Page, url: str) -> None:
    page.goto(url)
    results = Axe().run(page, options={"resultTypes": ["violations"]})
    assert results.violations_count == 0, f"{url}: {results.generate_report()}"
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    assert not wide, f"{url} scrolls sideways"


def test_an_account_is_deleted(page: Page, live_server: Any) -> None:
    owner = factories.user("owner")
    factories.submission(owner)
    sign_in(page, live_server.url, "owner")
    page.goto(f"{live_server.url}/accounts/data/")
    page.get_by_role("link", name="Delete the account").click()
    expect(page.get_by_text("1 submission in evaluation or review")).to_be_visible()
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Delete the account").click()
    expect(page.get_by_text("Your account is deleted")).to_be_visible()
    assert not User.objects.filter(username="owner").exists()
    assert personal_team(factories.user("owner")).name != "owner"
