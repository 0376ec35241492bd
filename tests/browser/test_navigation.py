"""The site's header on a phone, and what Escape closes."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from portal.management.seeding.entries import fill
from tests.portal import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PHONE = ViewportSize(width=390, height=844)


def test_on_a_phone_the_header_is_one_line_whose_menu_opens_and_closes_by_keyboard(
    page: Page, live_server: Any
) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{live_server.url}/leaderboard/finance/")
    header = page.get_by_role("banner").bounding_box()
    assert header is not None and header["height"] < 64
    expect(page.get_by_role("link", name="Sign up")).to_be_visible()
    entry = page.get_by_role("link", name="Baselines")
    expect(entry).to_be_hidden()
    page.get_by_role("button", name="Menu").focus()
    page.keyboard.press("Enter")
    expect(entry).to_be_visible()
    page.keyboard.press("Escape")
    expect(entry).to_be_hidden()


def test_escape_closes_the_filters_of_a_board_and_keeps_the_place(page: Page, live_server: Any) -> None:
    fill("finance", 4)
    page.goto(f"{live_server.url}/leaderboard/finance/")
    filters = page.locator(".board-form details").first
    heading = filters.locator("summary")
    heading.click()
    filters.get_by_role("checkbox").first.focus()
    page.keyboard.press("Escape")
    expect(filters).not_to_have_attribute("open", "")
    expect(heading).to_be_focused()


def test_the_second_link_of_a_board_leads_to_its_table(page: Page, live_server: Any) -> None:
    factories.published(factories.user("owner"))
    page.goto(f"{live_server.url}/leaderboard/finance/")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the table")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/leaderboard/finance/#board")


def test_every_formula_of_the_method_is_in_sight_on_a_phone(page: Page, live_server: Any) -> None:
    page.set_viewport_size(PHONE)
    page.goto(f"{live_server.url}/method/")
    widths = "found => found.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    formulas = page.locator("math[display=block]")
    assert formulas.count() > 10
    assert formulas.evaluate_all(widths) == []
