"""Files of a board as a reader gets them: a filtered view is downloaded and held against the page."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pyarrow import parquet

from portal.management.seeding.entries import fill

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ENTRIES = 20


@pytest.fixture
def board(live_server: Any) -> str:
    fill("finance", ENTRIES)
    return f"{live_server.url}/leaderboard/finance/"


def shown(page: Page) -> list[tuple[str, str]]:
    """Method and average of each row of the table, as they stand there."""
    rows = page.locator("table.board tbody tr")
    return [
        (row.locator("th.method a").first.inner_text(), row.locator("td.mean .score-value").inner_text())
        for row in rows.all()
    ]


def download(page: Page, name: str) -> Path:
    with page.expect_download() as started:
        page.get_by_role("link", name=name, exact=True).click()
    assert started.value.suggested_filename.startswith("flowertune-finance-")
    return Path(started.value.path())


def test_the_files_hold_what_the_filtered_page_shows(page: Page, board: str) -> None:
    page.goto(board)
    page.get_by_label("Search").fill("run")
    expect(page).to_have_url(f"{board}?q=run")
    on_page = shown(page)
    assert 0 < len(on_page) < ENTRIES  # the untuned base models do not pass
    with download(page, "CSV").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["method"], f"{100 * float(row['average [fraction]']):.2f}") for row in rows] == on_page
    assert {row["communication_basis"] for row in rows} == {"derived"}
    table = parquet.read_table(download(page, "Parquet"))
    assert table.column("method").to_pylist() == [method for method, _ in on_page]
    assert table.schema.metadata[b"source"].decode() == f"{board}?q=run"


def test_the_files_are_there_without_scripts(browser: Browser, board: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{board}?q=run&sort=-fpb")
    with download(page, "CSV").open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    scores = [float(row["fpb [fraction]"]) for row in rows]
    assert [row["method"] for row in rows] == [method for method, _ in shown(page)]
    assert scores and scores == sorted(scores, reverse=True)
    context.close()


def test_the_pages_about_the_board_raise_no_error(page: Page, board: str, live_server: Any) -> None:
    """Data blocks for search engines are no scripts: the content security policy does not stop them."""
    for path in ("/leaderboard/finance/", "/method/", "/rules/", "/benchmarks/fpb/", "/changes/"):
        page.goto(f"{live_server.url}{path}")
        expect(page.locator("h1")).to_be_visible()
    page.goto(board)
    assert page.locator('script[type="application/ld+json"]').count() == 1


def test_the_menu_leads_to_the_rules_without_a_mouse(page: Page, live_server: Any) -> None:
    page.goto(f"{live_server.url}/method/")
    page.get_by_role("navigation", name="Main").get_by_text("About").press("Enter")
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Rules").press("Enter")
    expect(page.get_by_role("heading", name="Rules", level=1)).to_be_visible()
