"""The review desk as reviewers use it: by keyboard alone, without scripts, on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from portal.review.models import ReasonTemplate
from portal.submissions.models import Submission
from tests.browser.test_accessibility import Check, accessible
from tests.portal import factories

__all__ = ["accessible"]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
CHANGED = '[tool.flwr.app.config.static]\ndataset.name = "flwrlabs/fingpt-sentiment-train"\nshuffle = false'


@pytest.fixture
def cases(transactional_db: None) -> list[Submission]:
    owner = factories.user("owner")
    factories.published(owner, method="On the board", correct=50)
    factories.user("second", is_staff=True, is_superuser=True)
    changed = factories.files(factories.pyproject(static=CHANGED))
    return [
        factories.evaluated(owner, method="First", correct=60),
        factories.evaluated(owner, method="Changed", correct=97, files=changed),
    ]


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/accounts/login/?next=/review/")
    page.get_by_label("Login").fill("reviewer")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Review", exact=True)).to_be_visible()


def press(page: Page, key: str) -> None:
    """Once the page's script is there: people are slower."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def test_cases_are_decided_by_keyboard_alone(page: Page, live_server: Any, cases: list[Submission]) -> None:
    sign_in(page, live_server.url)
    press(page, "?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    press(page, "Escape")
    for key in ("j", "j", "k"):
        press(page, key)
    expect(page.get_by_role("link", name="First")).to_be_focused()
    press(page, "o")
    expect(page.get_by_role("heading", name="First")).to_be_visible()
    press(page, "p")
    expect(page.get_by_role("heading", name="Publish", exact=True)).to_be_visible()
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Publish this for everybody?")).to_be_visible()
    press(page, "Enter")  # by inertia: nothing happens
    press(page, "y")
    expect(page.get_by_text("“Publish” is carried out.")).to_be_visible()
    press(page, "n")
    expect(page.get_by_role("heading", name="Changed")).to_be_visible()
    press(page, "r")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.type("your jokes?")  # keys are letters here
    press(page, "Tab")
    press(page, "Enter")
    expect(page.get_by_text("“Reject” is carried out.")).to_be_visible()
    press(page, "u")
    expect(page.get_by_text("Taken back: reject.")).to_be_visible()
    assert [Submission.objects.get(pk=case.pk).status for case in cases] == ["published", "in_review"]


def test_a_finding_leads_to_its_line_and_a_template_into_the_reason(
    page: Page, live_server: Any, cases: list[Submission]
) -> None:
    ReasonTemplate.objects.create(action="reject", title="Own words", text="Say where it comes from.")
    sign_in(page, live_server.url)
    page.goto(f"{live_server.url}/review/{cases[1].pk}/")
    page.locator("#findings").get_by_role("link", name="static.shuffle").click()
    expect(page.locator("li[data-static]", has_text="shuffle = false")).to_be_in_viewport()
    page.goto(f"{live_server.url}/review/{cases[1].pk}/reject/")
    page.get_by_label("Reason").fill("It stands twice.")
    page.get_by_role("link", name="Own words").click()
    expect(page.get_by_label("Reason")).to_have_value("It stands twice.\n\nSay where it comes from.")


@pytest.fixture
def plain(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(java_script_enabled=False)
    yield context
    context.close()


def test_without_scripts_a_public_act_is_confirmed_too(
    plain: BrowserContext, live_server: Any, cases: list[Submission]
) -> None:
    page = plain.new_page()
    sign_in(page, live_server.url)
    page.get_by_role("link", name="Changed").click()
    page.get_by_role("link", name="Publish…").click()
    page.get_by_role("button", name="Publish…").click()
    assert Submission.objects.get(pk=cases[1].pk).status == "in_review"
    page.get_by_role("button", name="Publish now").click()
    expect(page.get_by_text("“Publish” is carried out.")).to_be_visible()


@pytest.mark.slow("checks the desk's pages with axe")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_the_desk_has_no_violation(
    browser: Browser, live_server: Any, cases: list[Submission], accessible: Check, scheme: Any, width: int
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    sign_in(page, live_server.url)
    for path in ("", f"{cases[1].pk}/", f"{cases[1].pk}/changes/", f"{cases[1].pk}/publish/"):
        accessible(page, f"{live_server.url}/review/{path}")
    context.close()
