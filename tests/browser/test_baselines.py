"""Starting a baseline run and watching it, in a browser with and without scripts."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.accounts.models import User
from portal.baselines import queue
from portal.runs.models import BaselineRun
from tests.portal import baselines, factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def staff() -> User:
    factories.base_model()
    return factories.operator("staff")


@pytest.fixture
def signed_in(page: Page, staff: User, live_server: Any) -> Page:
    sign_in(page, live_server.url)
    return page


def sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/accounts/login/")
    page.get_by_label("Login").fill("staff")
    page.get_by_label("Password", exact=True).fill("correct horse")
    page.locator("main").get_by_role("button", name="Sign In").click()
    page.wait_for_url("**/submissions/")


def test_the_plan_follows_the_form_and_the_run_is_watched_to_its_end(
    signed_in: Page, live_server: Any, staff: User
) -> None:
    page = signed_in
    page.goto(f"{live_server.url}/baselines/runs/new/?preset=cpu-one&challenge=finance")
    expect(page.locator("#plan")).to_contain_text("of the budget of")
    page.get_by_label("Strategy").select_option("fedprox")
    expect(page.get_by_label("proximal-mu")).to_have_value("1.0")
    page.get_by_label("Clients per round").fill("9")
    page.get_by_label("Target modules").fill("q_proj")
    page.get_by_label("Rounds", exact=True).fill("3")
    expect(page.locator("#plan")).to_contain_text("more than the clients")
    page.get_by_label("Clients per round").fill("2")
    page.get_by_label("Rounds", exact=True).focus()
    expect(page.locator("#plan")).not_to_contain_text("cannot start")
    page.get_by_role("button", name="Start the run").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("FedProx baseline")

    run = queue.claim(worker="test")
    assert run and run.config["strategy_options"] == {"proximal-mu": 1.0}
    queue.record_round(run, baselines.metric(1))
    expect(page.get_by_role("img", name="Loss over the rounds")).to_be_visible()
    expect(page.locator("#run")).to_contain_text("1 of 3")
    page.get_by_role("link", name="Cancel the run").click()
    page.get_by_role("button", name="Cancel the run").click()
    expect(page.locator("#run")).to_contain_text("Cancelled")
    assert BaselineRun.objects.get().status == "cancelled"


def test_a_run_starts_without_scripts(browser: Browser, staff: User, live_server: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, live_server.url)
    page.goto(f"{live_server.url}/baselines/runs/new/?preset=cpu-one&challenge=finance")
    page.get_by_label("Target modules").fill("q_proj")
    page.get_by_role("button", name="Check only").click()
    assert "of the budget of" in page.locator("#plan").inner_text()
    page.get_by_role("button", name="Start the run").click()
    assert page.get_by_role("heading", level=1).inner_text() == "FedAvg baseline"
    context.close()


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_no_page_of_the_baselines_is_wider_than_its_window(
    signed_in: Page, staff: User, live_server: Any, width: int
) -> None:
    run = baselines.with_rounds(baselines.run(staff), 2)
    signed_in.set_viewport_size({"width": width, "height": 900})
    for path in ("", "runs/", f"runs/{run.pk}/", f"runs/{run.pk}/cancel/", "runs/new/"):
        signed_in.goto(f"{live_server.url}/baselines/{path}")
        assert signed_in.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
