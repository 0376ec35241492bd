"""From the board to an entry, its answers and a comparison, with scripts and without."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.leaderboard.test_items import answered, line
from tests.portal import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
HOSTILE = "<img src=x onerror=document.title='owned'>"


@pytest.fixture
def entries() -> tuple[int, int]:
    """A good entry and a worse one, whose answers hold markup."""
    owner = factories.user("owner")
    good = answered(owner, [line(i, i % 10 > 0) for i in range(40)], method="Good")
    bad = answered(owner, [line(i, i % 4 == 0, completion=HOSTILE) for i in range(40)], method="Worse")
    return good.pk, bad.pk


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def reader(request: pytest.FixtureRequest, browser: Browser) -> Any:
    context = browser.new_context(java_script_enabled=request.param)
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def test_a_reader_drills_down_to_single_answers(
    reader: Page, live_server: Any, entries: tuple[int, int]
) -> None:
    reader.goto(f"{live_server.url}/leaderboard/finance/")
    reader.get_by_role("rowheader").get_by_role("link", name="Worse").click()
    expect(reader.get_by_role("heading", name="Worse", level=1)).to_be_visible()
    expect(reader.get_by_role("row", name="FPB").first).to_contain_text("10 of 40")
    reader.get_by_role("link", name="read the answers to FPB").click()
    expect(reader.get_by_text("40 of 40 answers")).to_be_visible()

    reader.get_by_label("Show", exact=True).select_option("wrong")
    reader.get_by_label("Words in question or answer").fill("Question 39")
    reader.get_by_role("button", name="Show").click()
    expect(reader.get_by_text("1 of 40 answers")).to_be_visible()
    expect(reader.get_by_text(HOSTILE)).to_be_visible()
    assert "owned" not in reader.title() and "q=Question+39" in reader.url

    reader.get_by_role("link", name="Answer 40").click()
    expect(reader.locator("#item-40")).to_be_in_viewport()
    reader.go_back()
    expect(reader.get_by_text("1 of 40 answers")).to_be_visible()


def test_a_reader_compares_entries_and_sees_where_they_disagree(
    reader: Page, live_server: Any, entries: tuple[int, int]
) -> None:
    reader.goto(f"{live_server.url}/leaderboard/finance/")
    for name in ("Good", "Worse"):
        reader.get_by_role("checkbox", name=f"Choose {name}").check()
    reader.get_by_role("button", name="Compare the chosen").click()
    expect(reader.get_by_role("heading", name="Good against Worse")).to_be_visible()
    tests = reader.get_by_role("region", name="Tests against Worse")
    expect(tests.get_by_role("row", name="FPB")).to_contain_text("+65.00")
    expect(tests.get_by_role("row", name="FPB")).to_contain_text("better")

    reader.get_by_role("list").get_by_role("link", name="FPB").click()
    expect(reader.get_by_role("heading", name="FPB, item 1", exact=True)).to_be_visible()
    reader.get_by_role("link", name=f"Good, entry {entries[0]}", exact=True).first.click()
    expect(reader.locator("#item-1")).to_be_visible()
    reader.go_back()

    reader.get_by_role("link", name="Compare the others with it Worse").click()
    expect(reader.get_by_role("heading", name="Worse against Good")).to_be_visible()
    reader.get_by_role("link", name="Remove Good").click()
    expect(reader.get_by_text("Paired tests")).to_have_count(0)
    reader.get_by_label("Add an entry by its number").fill(str(entries[0]))
    reader.get_by_role("button", name="Add").click()
    expect(reader.get_by_role("heading", name="Worse against Good")).to_be_visible()


def test_answers_are_downloaded_as_shown(page: Page, live_server: Any, entries: tuple[int, int]) -> None:
    page.goto(f"{live_server.url}/entries/{entries[0]}/items/fpb/")
    with page.expect_download() as started:
        page.get_by_role("link", name="JSON lines").click()
    lines = started.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == 40 and json.loads(lines[39])["prompt"] == line(39, True)["prompt"]


def test_points_of_a_chart_are_reached_by_keyboard_and_lead_to_entries(
    page: Page, live_server: Any, entries: tuple[int, int]
) -> None:
    page.goto(f"{live_server.url}/leaderboard/finance/charts/")
    while page.get_by_text("Load this page again").count():  # drawn too late on a busy machine
        page.reload()
    point = page.locator("#chart-intervals svg a").first
    point.focus()
    assert point.evaluate("element => document.activeElement === element")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Good", level=1)).to_be_visible()


def test_the_badge_is_a_picture_and_the_frame_may_be_framed(
    page: Page, live_server: Any, entries: tuple[int, int]
) -> None:
    page.goto(f"{live_server.url}/entries/{entries[0]}/")
    page.get_by_text("Badge and frame for your own pages").click()
    badge = page.get_by_role("img", name="Finance badge of this entry")
    expect(badge).to_be_visible()
    assert badge.evaluate("picture => picture.naturalWidth") > 80
    page.goto(f"{live_server.url}/entries/{entries[0]}/embed/")
    expect(page.get_by_role("link", name="Good")).to_be_visible()
