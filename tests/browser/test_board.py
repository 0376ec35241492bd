"""A board in a real browser: filtering, sorting, pinning and going back, with scripts and without."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from leaderboard.charts import drawing, forest, profile
from leaderboard.charts.inputs import Peers
from portal.management.seeding.entries import fill
from portal.submissions.models import Submission
from tests import second_protocol
from tests.leaderboard.test_charts import TITLES, entry
from tests.portal import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ENTRIES = 60
BOARD = "/leaderboard/finance/"
CUT_OR_COVERED = """svg => {
  const edge = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll("text")];
  const labels = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
  const covers = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  return labels.filter(([, box], place) => box.left < edge.left || box.right > edge.right
    || labels.some(([, other], at) => at > place && covers(box, other))).map(([text]) => text);
}"""


@pytest.fixture
def board(live_server: Any) -> str:
    fill("finance", ENTRIES)
    return f"{live_server.url}{BOARD}"


def found(page: Page, number: int) -> None:
    expect(page.locator("#board [role=status]")).to_contain_text(re.compile(rf" of {number} "))


def heads(page: Page) -> list[str]:
    return page.locator("table.board thead th").first.locator("xpath=..").locator("th a").all_inner_texts()


def travel(page: Page, steps: int) -> None:
    """Go back or forward in the history, to the end: the page is loaded anew."""
    with page.expect_event("load"):
        page.evaluate(f"history.go({steps})")


def test_a_reader_narrows_sorts_and_pins_in_place_and_goes_back(page: Page, board: str) -> None:
    page.goto(board)
    found(page, ENTRIES)
    page.evaluate("window.stayed = true")

    page.get_by_text("Filters", exact=True).click()
    page.get_by_role("checkbox", name=re.compile("^Qwen")).check()
    expect(page).to_have_url(f"{board}?family=Qwen")
    models = page.locator("table.board td[data-label='Base model']")
    expect(models.filter(has_not_text="Qwen")).to_have_count(0)
    expect(models.first).to_contain_text("Qwen")
    expect(page.get_by_role("checkbox", name=re.compile("^Qwen"))).to_be_visible()  # the panel stays open

    page.get_by_role("link", name="FPB", exact=True).click()
    expect(page).to_have_url(f"{board}?family=Qwen&sort=-fpb")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("FPB")
    scores = [float(t.split()[0]) for t in page.locator("td[data-label='FPB, %']").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    expect(page.get_by_label("Sort by")).to_have_value("-fpb")  # the form follows the link

    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("checkbox", name="pin Communication").check()
    expect(page).to_have_url(f"{board}?family=Qwen&sort=-fpb&pin=communication")
    expect(page.locator("table.board thead th").nth(2)).to_contain_text("Communication")
    assert heads(page)[:3] == ["#", "Method", "Communication"]
    page.get_by_role("checkbox", name="show Strategy").uncheck()
    expect(page.locator("table.board thead")).not_to_contain_text("Strategy")
    assert page.evaluate("window.stayed")

    travel(page, -1)
    expect(page.locator("table.board thead")).to_contain_text("Strategy")
    travel(page, -1)
    expect(page).to_have_url(f"{board}?family=Qwen&sort=-fpb")
    expect(page.locator("table.board thead th").nth(2)).to_contain_text("Base model")
    travel(page, -1)
    expect(page).to_have_url(f"{board}?family=Qwen")
    travel(page, -1)
    found(page, ENTRIES)
    travel(page, 1)
    expect(page).to_have_url(f"{board}?family=Qwen")
    expect(page.get_by_role("checkbox", name=re.compile("^Qwen"), include_hidden=True)).to_be_checked()


def test_search_finds_while_one_types_and_chips_take_back(page: Page, board: str) -> None:
    page.goto(board)
    page.get_by_label("Search").press_sequentially("llama")
    expect(page).to_have_url(f"{board}?q=llama")
    expect(page.get_by_label("Search")).to_be_focused()
    page.get_by_role("link", name="At most 3B", exact=True).click()
    expect(page).to_have_url(f"{board}?q=llama&max_size=3")
    expect(page.get_by_role("link", name="At most 3B", exact=True)).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="“llama”").click()
    expect(page).to_have_url(f"{board}?max_size=3")
    expect(page.get_by_label("Search")).to_have_value("")


def test_pages_follow_each_other_and_entries_are_compared(page: Page, board: str) -> None:
    page.goto(board)
    page.get_by_role("link", name="Next").click()
    expect(page).to_have_url(f"{board}?page=2")
    expect(page.locator("#board [role=status]")).to_contain_text(f"51–{ENTRIES} of {ENTRIES}")
    boxes = page.get_by_role("checkbox", name=re.compile("^Choose "))
    chosen = [boxes.nth(number).get_attribute("value") for number in (0, 1)]
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Compare the chosen").click()
    expect(page).to_have_url(re.compile(r"/compare/\?"))
    assert all(number in page.url for number in chosen if number)


def test_everything_works_without_scripts(browser: Browser, board: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(board)
    page.get_by_text("Filters", exact=True).click()
    page.get_by_role("checkbox", name=re.compile("^Qwen")).check()
    page.get_by_label("Sort by").select_option("-average")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(f"{board}?family=Qwen&sort=-average")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("checkbox", name="pin Communication").check()
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(f"{board}?family=Qwen&sort=-average&pin=communication")
    assert heads(page)[:3] == ["#", "Method", "Communication"]
    page.get_by_role("link", name="Gain", exact=True).click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Gain")
    page.go_back()
    page.go_back()
    expect(page).to_have_url(f"{board}?family=Qwen&sort=-average")
    page.get_by_role("link", name="Clear all").click()
    found(page, ENTRIES)
    context.close()


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_no_page_is_wider_than_its_window(browser: Browser, board: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    for address in (board, f"{board}?columns=team&columns=energy&columns=rounds", board.split("finance")[0]):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_ticks_stay_while_one_filters_and_turns_pages(page: Page, board: str) -> None:
    page.goto(board)
    boxes = page.get_by_role("checkbox", name=re.compile("^Choose "))
    first, second = (str(boxes.nth(number).get_attribute("value")) for number in (0, 1))
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("link", name="Next").click()
    expect(page).to_have_url(f"{board}?page=2&entries={first}&entries={second}")
    bar = page.locator(".compare-bar")
    expect(bar.get_by_role("checkbox")).to_have_count(2)
    bar.get_by_role("checkbox").first.uncheck()
    page.get_by_label("Search").fill("nothing like it")
    expect(page).to_have_url(f"{board}?q=nothing+like+it&entries={second}")
    page.get_by_label("Search").fill("")
    expect(page).to_have_url(f"{board}?entries={second}")
    expect(page.locator(f".method input[value='{second}']")).to_be_checked()
    expect(page.locator(f".method input[value='{first}']")).not_to_be_checked()


def test_the_switch_between_protocols_loads_the_other_board_with_the_same_view(
    page: Page, board: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_protocol.register(monkeypatch)
    for made in Submission.objects.filter(method__startswith="fedavg ").order_by("pk")[:2]:
        factories.evaluate_again(made, protocol=2)
    page.goto(f"{board}?q=fedavg+run")
    switch = page.get_by_role("navigation", name="Protocols")
    expect(switch.get_by_role("link", name="1", exact=True)).to_have_attribute("aria-current", "true")
    with page.expect_event("load"):  # the pictures and the feed are the other board's too
        switch.get_by_role("link", name="2", exact=True).click()
    expect(page).to_have_url(f"{board}?protocol=2&q=fedavg+run")
    found(page, 2)
    page.get_by_label("Search").fill("fed")
    expect(page).to_have_url(f"{board}?protocol=2&q=fed")
    expect(switch.get_by_role("link", name="1", exact=True)).to_have_attribute("href", f"{BOARD}?q=fed")


def test_rows_are_one_line_until_the_reader_wants_them_airy(page: Page, board: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(board)
    height = (
        "Math.max(...[...document.querySelectorAll('.compare .board tbody tr')].map(r => r.offsetHeight))"
    )
    assert page.evaluate(height) * 20 + 120 <= 900
    page.get_by_role("link", name="Airy").click()
    assert page.evaluate(height) > 45
    page.goto(board)  # remembered
    assert page.evaluate(height) > 45
    expect(page.get_by_role("link", name="Airy")).to_have_attribute("aria-current", "true")


@pytest.mark.parametrize("width", [768, 1440])
def test_badges_of_one_line_rows_stay_in_sight(page: Page, board: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(board)
    outside = """found => found.filter(badge => badge.offsetWidth
        && badge.getBoundingClientRect().right > badge.closest('.method').getBoundingClientRect().right)"""
    badges = page.locator(".compare .board .method .badge")
    assert badges.evaluate_all(f"found => ({outside})(found).length") == 0
    assert page.locator(".badge[data-trust=reference]").first.is_visible()


def test_labels_of_pictures_are_whole_in_a_browsers_fonts(page: Page) -> None:
    title = "MMLU social sciences"
    made, best = entry(50, method="Gemma2-9b-cpt-sahabatai-v1-instruct"), entry(90)
    slug = made.scores[0].benchmark
    for figure in (
        profile.figure(made, Peers(None, {slug: best}), TITLES | {slug: title}),
        forest.board_figure("intervals", [made, best], TITLES | {slug: title}),
    ):
        page.set_content(drawing.inline_svg(figure, drawing.Allowance()))
        assert page.locator("svg").evaluate(CUT_OR_COVERED) == [], figure.name


def test_a_phone_shows_one_cost_and_the_rest_by_tapping(page: Page, board: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(board)
    row = page.locator(".compare .board tbody tr").first
    expect(row.locator(".mean")).to_be_visible()
    expect(row.locator("td.chosen-cost")).to_be_visible()
    expect(row.locator("td.score-cell").first).to_be_hidden()
    row.locator(".rest summary").click()
    expect(row.locator("td.score-cell").first).to_be_visible()


def test_a_reader_finds_the_best_within_a_budget(page: Page, board: str) -> None:
    page.goto(board.removesuffix(BOARD))
    page.get_by_label("Client VRAM, at most GB").fill("24")
    page.get_by_label("Communication, at most GB").fill("5")
    page.get_by_role("button", name="Show what is best").click()
    expect(page).to_have_url(re.compile(r"/budget/\?max_client_vram=24&max_communication=5$"))
    expect(
        page.get_by_role("region", name="Finance within the budget").locator("tbody tr").first
    ).to_be_visible()
