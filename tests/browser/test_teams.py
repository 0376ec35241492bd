"""Teams and notifications as people use them: invite by link, join, and pages that fit their windows."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.accounts import teams
from portal.accounts.models import ApiToken, Membership, Team, User
from portal.notifications import services
from portal.notifications.models import Delivery
from tests.portal import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ALL = [event.value for event in services.SUBMISSION_EVENTS]
PAGES = [
    "/accounts/profile/",
    "/accounts/teams/",
    "/accounts/teams/{team}/",
    "/accounts/teams/{team}/leave/",
    "/teams/{team}/",
    "/accounts/notifications/",
    "/accounts/webhooks/new/",
    "/accounts/webhooks/{webhook}/",
    "/accounts/webhooks/{webhook}/delete/",
    "/accounts/deliveries/{delivery}/",
    "/accounts/tokens/",
]


def sign_in(page: Page, url: str, username: str) -> None:
    page.goto(f"{url}/accounts/login/")
    fill_login(page, username)
    expect(page.get_by_role("heading", name="My submissions")).to_be_visible()


def fill_login(page: Page, username: str) -> None:
    page.get_by_label("Login").fill(username)
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()


def furnished() -> dict[str, int]:
    """An owner with a team, a long-named member, a published entry, a token and a webhook; their keys."""
    owner = factories.user("owner", full_name="Olga Wner", affiliation="Institute of Federated Learning")
    team = teams.found(owner=owner, name="Alpine group for federated learning")
    Membership.objects.create(team=team, user=factories.user("a-member-with-quite-a-long-username"))
    teams.invite(team=team, by=owner, max_uses=3)
    ApiToken.issue(user=owner, name="training server in the basement")
    url = "https://hooks.example.org/a/rather/long/path/that/ends/after/a/while?with=a&query=too"
    webhook, _ = services.add_webhook(team=team, url=url, events=ALL)
    factories.published(owner, team=team, method="A method with quite a long name, rank 16")
    delivery = webhook.deliveries.latest("pk")
    Delivery.objects.filter(pk=delivery.pk).update(
        status="failed", attempts=8, response_code=500, seconds=0.31, detail="The answer was 500."
    )
    Delivery.objects.exclude(pk=delivery.pk).update(
        status="delivered", attempts=1, seconds=0.2, response_code=200
    )
    return {"team": team.pk, "webhook": webhook.pk, "delivery": delivery.pk}


def test_somebody_is_invited_by_link_and_joins(
    page: Page, live_server: Any, browser: Browser, settings: Any
) -> None:
    settings.SITE_URL = live_server.url
    factories.user("owner")
    factories.user("guest")
    sign_in(page, live_server.url, "owner")
    page.goto(f"{live_server.url}/accounts/teams/")
    page.get_by_label("Name").fill("Alpine group")
    page.get_by_role("button", name="Create team").click()
    page.get_by_role("button", name="Invite").click()
    link = page.locator(".copyable code").first.inner_text()

    context = browser.new_context()
    guest = context.new_page()
    guest.goto(link)
    expect(guest.get_by_role("heading", name="Join “Alpine group”?")).to_be_visible()
    expect(guest.get_by_text("owner invites you")).to_be_visible()
    guest.get_by_role("main").get_by_role("link", name="Sign in").click()
    fill_login(guest, "guest")
    guest.get_by_role("button", name="Join the team").click()
    expect(guest.get_by_text("You are in the team “Alpine group”.")).to_be_visible()
    context.close()
    members = Membership.objects.filter(team=Team.objects.get(name="Alpine group"))
    assert set(members.values_list("user__username", "role")) == {("owner", "owner"), ("guest", "member")}


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_of_the_account_is_wider_than_its_window(page: Page, live_server: Any, width: int) -> None:
    keys = furnished()
    sign_in(page, live_server.url, User.objects.get(username="owner").username)
    page.set_viewport_size({"width": width, "height": 900})
    for path in PAGES:
        response = page.goto(live_server.url + path.format(**keys))
        assert response and response.ok, path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_members_are_changed_by_keyboard(page: Page, live_server: Any) -> None:
    keys = furnished()
    sign_in(page, live_server.url, "owner")
    page.goto(f"{live_server.url}/accounts/teams/{keys['team']}/")
    member = page.get_by_role("row", name="a-member-with-quite")
    member.locator("summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("is an owner now")
