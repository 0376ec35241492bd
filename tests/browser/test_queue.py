"""The queue's page as its readers use it: live without reloading, and whole without scripts."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.accounts.models import User
from portal.runs import presence
from portal.runs import services as runs
from tests.portal import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def owner(transactional_db: None) -> User:
    return factories.user("owner")


@pytest.mark.slow("the page asks again every five seconds")
def test_the_queue_is_live_fits_a_phone_and_needs_no_scripts(
    page: Page, browser: Browser, live_server: Any, owner: User
) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{live_server.url}/queue/")
    expect(page.get_by_text("No worker is running.")).to_be_visible()
    factories.submission(owner)
    expect(page.get_by_role("rowheader", name="A submission to Finance")).to_be_visible()
    presence.beat("machine:1", ())
    assert runs.claim(worker="machine:1")
    expect(page.get_by_text("1 worker is running, none is free.")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Benchmarks done")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{live_server.url}/queue/")
    expect(plain.get_by_text("A submission to Finance")).to_be_visible()
    context.close()
