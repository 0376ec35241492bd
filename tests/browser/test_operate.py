"""An operator drains a worker, and begins maintenance: everybody reads why, without scripts too."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.control.models import Hold
from portal.runs import presence
from tests.browser.test_accessibility import Check, accessible
from tests.portal import factories

__all__ = ["accessible"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.slow("several pages in a browser, checked for accessibility")
def test_a_worker_is_drained_and_maintenance_shown_to_everybody(
    page: Page, browser: Browser, live_server: Any, accessible: Check
) -> None:
    factories.user("reviewer", is_staff=True, is_superuser=True)
    presence.beat("machine:1", ())
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{live_server.url}/accounts/login/?next=/operate/")
    page.get_by_label("Login").fill("reviewer")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    row = page.get_by_role("row").filter(has_text="machine:1")
    expect(row.get_by_text("idle")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    accessible(page, f"{live_server.url}/operate/")
    row.get_by_role("link", name="Drain… machine:1").click()
    expect(page.get_by_text("What is in hand is finished.")).to_be_visible()
    page.get_by_label("Reason").fill("a new driver")
    page.get_by_role("button", name="Drain").click()
    expect(page.get_by_text("machine:1 is drained.")).to_be_visible()
    expect(row.get_by_text("a new driver")).to_be_visible()
    assert Hold.objects.get().name == "machine:1"
    page.get_by_role("link", name="Begin maintenance…").click()
    page.get_by_label("Reason").fill("The disk is replaced until noon.")
    page.get_by_role("button", name="Begin maintenance").click()
    expect(page.get_by_text("The site is under maintenance.")).to_be_visible()
    page.context.clear_cookies()  # as where the session ended: the page as a whole is led to the sign-in
    expect(page).to_have_url(f"{live_server.url}/accounts/login/?next=/operate/", timeout=30_000)
    page.goto("about:blank")  # which asks for nothing any more
    context = browser.new_context(java_script_enabled=False)
    anybody = context.new_page()
    anybody.goto(live_server.url)
    expect(anybody.get_by_text("The disk is replaced until noon.")).to_be_visible()
    context.close()
